//! How long a handover left a client's requests without an answer, out of the events.

use rundir::{BindingEvent, Event, EventKind, HandoverEvent, Phase};
use topology::Plan;
use units::SimTime;

use crate::result::{Handover, RunResult};

/// The interruptions of a run.
pub(super) struct Outages<'r> {
    plan: &'r Plan,
    events: &'r [Event],
    result: &'r RunResult,
}

impl<'r> Outages<'r> {
    pub(super) fn of(plan: &'r Plan, events: &'r [Event], result: &'r RunResult) -> Outages<'r> {
        Outages {
            plan,
            events,
            result,
        }
    }

    /// Seconds within which a request of the client got no answer because of `handover`: it was
    /// sent after `left - (rtt - backbone)` and before `known`, where `left` is the instant at
    /// which the node turned its radio away from its old router, `known` the one at which the
    /// client learnt of the new address, `rtt` the client's median round-trip time and `backbone`
    /// the part of it in which a response is already beyond the radio. `None` if the events do
    /// not have both instants, or the node tried more than once.
    pub(super) fn seconds(&self, handover: &Handover) -> Option<f64> {
        let node = self.plan.nodes.get(&handover.node)?;
        node.handover()?;
        let p_addr = node.address;
        let start = SimTime::from_nanos(self.result.scenario.start_unix_ns);
        let seconds = |event: &Event| {
            let time = SimTime::from_nanos(event.time_ns);
            self.result.scenario.seconds(time)
        };
        let (started, completed) = (handover.started_s?, handover.completed_s?);
        let within = |event: &&Event| {
            SimTime::from_nanos(event.time_ns) >= start
                && (started..=completed).contains(&seconds(event))
        };
        let during = || self.events.iter().filter(within);
        let mut links = during().filter(|event| {
            let link = matches!(&event.kind,
                EventKind::Handover(HandoverEvent::PhaseStarted { phase, .. })
                    if *phase == Phase::LINK);
            link && event.node == handover.node
        });
        let left = seconds(links.next()?);
        if links.next().is_some() || self.follows_a_failure(handover) {
            return None;
        }
        // The first one: an update whose acknowledgement was lost comes again.
        let known = during()
            .filter(|event| seconds(event) >= left)
            .find(|event| {
                let bound = matches!(event.kind,
                EventKind::Binding(BindingEvent::Changed { p_addr: p, held: false, .. })
                    if p == p_addr);
                bound && event.node == handover.client
            })?;
        let flow = self.result.flows.iter().find(|flow| {
            (&flow.client, &flow.node, &flow.method, &flow.resource)
                == (
                    &handover.client,
                    &handover.node,
                    &handover.method,
                    &handover.resource,
                )
        })?;
        let rtt = flow.requests.rtt_s?.median;
        let backbone = self.plan.backbone.delay.as_secs_f64();
        let nanoseconds = ((seconds(known) - left + rtt - backbone) * 1e9).round();
        Some(nanoseconds / 1e9)
    }

    /// Whether the node gave a handover up between its last completed one and this one: then it
    /// may have been gone before this one began.
    fn follows_a_failure(&self, handover: &Handover) -> bool {
        let before = self.events.iter().rev().filter(|event| {
            let time = SimTime::from_nanos(event.time_ns);
            let began = handover.started_s.unwrap_or(f64::MAX);
            event.node == handover.node && self.result.scenario.seconds(time) < began
        });
        let ends = before.filter_map(|event| match event.kind {
            EventKind::Handover(HandoverEvent::Completed { .. }) => Some(false),
            EventKind::Handover(HandoverEvent::Failed { .. }) => Some(true),
            _ => None,
        });
        ends.take(1).any(|failed| failed)
    }
}
