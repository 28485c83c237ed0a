//! What the captures of one client show of its requests.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use capture::Capture;
use coap::Params;
use rundir::Event;
use topology::Plan;
use topology::plan::{CoapPlan, NodeName, NodePlan};
use units::SimTime;

use crate::analysis::{self, Analysis, Options};
use crate::mobility;

/// The address by which a client is its plan's: of one with a radio its permanent one.
pub(super) fn home(node: &NodePlan) -> Option<IpAddr> {
    let address = match &node.host {
        Some(_) => Some(node.address),
        None => node.backbone.as_ref().map(|b| b.address.addr()),
    };
    address.map(IpAddr::V6)
}

/// What the captures of a client's own interfaces, [`client_interfaces`](super::client_interfaces), show of its requests: the
/// exchanges behind the figures of [`build`](super::build). `events` tell which node had which address.
pub fn analysis(
    plan: &Plan,
    events: &[Event],
    client: &NodeName,
    captures: &[Capture],
) -> Analysis {
    let addresses = mobility::addresses(plan, events).0;
    let end = mobility::scenario_start(events).map(|start| start + plan.scenario.duration);
    let mut analysis = analysis_with(plan, &addresses, client, captures, end);
    analysis.flows.retain(|flow| is_own(client, flow));
    analysis
}

/// Whether the client itself asks, and is not asked.
pub(super) fn is_own(client: &str, flow: &analysis::Flow) -> bool {
    flow.client_name.as_deref() == Some(client)
}

pub(super) fn analysis_with<C: Borrow<Capture>>(
    plan: &Plan,
    addresses: &BTreeMap<IpAddr, NodeName>,
    name: &NodeName,
    captures: &[C],
    end: Option<SimTime>,
) -> Analysis {
    let client = &plan.nodes[name];
    let mut nodes = addresses.clone();
    if let Some(home) = home(client) {
        nodes.entry(home).or_insert_with(|| name.clone());
    }
    let own = nodes.iter().filter(|(_, who)| *who == name);
    let own = own.map(|(address, _)| *address);
    // What a node's daemon serves it numbers so; what a program serves nobody knows.
    let served = plan.nodes.iter();
    let served = served.filter(|(_, node)| node.paths().next().is_some());
    let params = client.coap.as_ref().map(params).unwrap_or_default();
    let options = Options {
        host: match client.is_router() {
            true => own.collect(),
            false => BTreeSet::new(),
        },
        nodes,
        count_by_one: served.map(|(name, _)| name.clone()).collect(),
        max_transmit_span: params.max_transmit_span(),
        max_retransmit: params.max_retransmit,
        end,
        ..Options::default()
    };
    Analysis::of(captures, &options)
}

/// How a client sends again what is not acknowledged (RFC 7252 §4.8).
fn params(coap: &CoapPlan) -> Params {
    Params {
        ack_timeout: coap.ack_timeout,
        ack_random_factor: coap.ack_random_factor,
        max_retransmit: coap.max_retransmit,
        ..Params::default()
    }
}
