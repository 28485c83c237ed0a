//! What a server is to ask its clients at times that the plan has.

use std::time::Duration;

use lwm2m::batch;
use topology::Plan;
use topology::kind::lwm2m::operation::OperationPlan;
use topology::kind::lwm2m::server::{PollPlan, ServerPlan};
use topology::kind::lwm2m::{clients, servers};
use topology::plan::NodePlan;

use crate::dissect::Due;

/// All of it within the scenario, by time. A message that servers also send upon a registration is not among it: a
/// capture does not tell the two apart.
pub(crate) fn due(plan: &Plan, node: &NodePlan) -> Vec<Due> {
    let servers = servers(node);
    let mut all: Vec<Due> = servers.flat_map(|server| of_server(plan, server)).collect();
    all.sort_by_key(|due| due.at);
    all
}

fn of_server<'p>(plan: &'p Plan, server: &'p ServerPlan) -> impl Iterator<Item = Due> + 'p {
    let upon = server.upon_registration.iter().filter_map(name);
    let upon: Vec<&str> = upon.collect();
    server.polls.iter().flat_map(move |poll| {
        let names = poll.operations.iter().filter_map(name);
        let names: Vec<_> = names.filter(|name| !upon.contains(name)).collect();
        let waits = waits(plan, &poll.client);
        times(poll, plan.scenario.duration).flat_map(move |at| {
            let names = names.clone().into_iter();
            let client = poll.client.clone();
            names.map(move |message| Due {
                to: client.clone(),
                message,
                at,
                waits,
            })
        })
    })
}

/// The instants of a poll in a scenario that lasts so long.
fn times(poll: &PollPlan, lasts: Duration) -> impl Iterator<Item = Duration> + use<> {
    let most = match (poll.every.is_zero(), poll.times) {
        (true, _) => 1,
        (false, times) => times.unwrap_or(u32::MAX),
    };
    let (first, every) = (poll.first, poll.every);
    let all = (0..most).map(move |n| first.saturating_add(every.saturating_mul(n)));
    all.take_while(move |at| *at < lasts)
}

/// Whether servers keep what they have for a client until it is heard (Queue Mode).
fn waits(plan: &Plan, client: &str) -> bool {
    let nodes = plan.nodes.get(client).into_iter();
    nodes.flat_map(clients).any(|client| client.queue)
}

/// The message that an operation is, by the dissector's name; none if it is not one for certain.
fn name(operation: &OperationPlan) -> Option<&'static str> {
    let or_batch = |path: &str, of_batch, otherwise| match path.parse() {
        Ok(path) if batch::is_value(&path) => of_batch,
        _ => otherwise,
    };
    Some(match operation {
        OperationPlan::Read(path) => or_batch(path, "batch read", "read"),
        OperationPlan::Write { path, .. } => or_batch(path, "batch write", "write"),
        OperationPlan::ReadComposite(_) => "read-composite",
        OperationPlan::WriteComposite(_) => "write-composite",
        OperationPlan::Attributes { .. } => "write-attributes",
        OperationPlan::Discover(_) => "discover",
        OperationPlan::Execute { .. } => "execute",
        OperationPlan::Create { .. } => "create",
        OperationPlan::Delete(_) => "delete",
        // They begin and end again with addresses and registrations.
        OperationPlan::Observe(_)
        | OperationPlan::ObserveComposite(_)
        | OperationPlan::Cancel(_) => {
            return None;
        }
    })
}
