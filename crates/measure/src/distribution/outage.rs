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
    /// client learnt of the new address, `rtt` the client's mean round-trip time and `backbone`
    /// the part of it in which a response is already beyond the radio. `None` if the events do
    /// not have both instants, or the node tried more than once.
    ///
    /// The mean, because as many requests are on their way at an instant as come in a mean
    /// round-trip time (Little 1961), whatever its distribution is.
    pub(super) fn seconds(&self, handover: &Handover) -> Option<f64> {
        let node = self.plan.nodes.get(&handover.node)?;
        node.handover()?;
        let (started, completed) = (handover.started_s?, handover.completed_s?);
        let own = || self.since(started).filter(|e| e.node == handover.node);
        let within = || own().filter(|e| self.time(e) <= completed);
        let mut links = within().filter(|event| is_link(event, true));
        let left = self.time(links.next()?);
        if links.next().is_some() || self.follows_a_failure(handover) {
            return None;
        }
        // Nobody knows where the node is before it is there: what is told of its address until
        // then is told of the one before, also where both are the same.
        let arrived = within().find(|event| is_link(event, false));
        let arrived = arrived.map_or(left, |event| self.time(event));
        let t_addr = within().find_map(|event| match &event.kind {
            EventKind::Handover(HandoverEvent::Completed { t_addr, .. })
                if self.time(event) == completed =>
            {
                Some(*t_addr)
            }
            _ => None,
        })?;
        let gone_again = own().find(|event| {
            let starts = matches!(
                event.kind,
                EventKind::Handover(HandoverEvent::Started { .. })
            );
            starts && self.time(event) > completed
        });
        let gone_again = gone_again.map_or(f64::MAX, |event| self.time(event));
        // The first one: an update whose acknowledgement was lost comes again.
        let known = self.since(arrived).find(|event| {
            let told = matches!(&event.kind,
                EventKind::Binding(BindingEvent::Changed { p_addr, t_addr: at, held: false })
                    if *p_addr == node.address && *at == t_addr);
            told && event.node == handover.client
        });
        let known = self.time(known?);
        if known > gone_again {
            return None;
        }
        let flow = self.result.flows.iter().find(|flow| {
            (&flow.client, &flow.node, &flow.method, &flow.resource)
                == (
                    &handover.client,
                    &handover.node,
                    &handover.method,
                    &handover.resource,
                )
        })?;
        let rtt = flow.requests.rtt_s?.mean?;
        let backbone = self.plan.backbone.delay.as_secs_f64();
        let nanoseconds = ((known - left + rtt - backbone) * 1e9).round();
        Some(nanoseconds / 1e9)
    }

    /// Scenario time of an event, seconds.
    fn time(&self, event: &Event) -> f64 {
        let time = SimTime::from_nanos(event.time_ns);
        self.result.scenario.seconds(time)
    }

    /// What happened from `seconds` on, and in the scenario.
    fn since(&self, seconds: f64) -> impl Iterator<Item = &'r Event> {
        let events = self.events.iter();
        events.filter(move |event| self.time(event) >= seconds.max(0.0))
    }

    /// Whether the node gave a handover up between its last completed one and this one: then it
    /// may have been gone before this one began.
    fn follows_a_failure(&self, handover: &Handover) -> bool {
        let before = self.events.iter().rev().filter(|event| {
            let began = handover.started_s.unwrap_or(f64::MAX);
            event.node == handover.node && self.time(event) < began
        });
        let ends = before.filter_map(|event| match event.kind {
            EventKind::Handover(HandoverEvent::Completed { .. }) => Some(false),
            EventKind::Handover(HandoverEvent::Failed { .. }) => Some(true),
            _ => None,
        });
        ends.take(1).any(|failed| failed)
    }
}

/// Whether with the event a node leaves for another router, or else arrives there.
fn is_link(event: &Event, starts: bool) -> bool {
    match &event.kind {
        EventKind::Handover(HandoverEvent::PhaseStarted { phase, .. }) => {
            starts && *phase == Phase::LINK
        }
        EventKind::Handover(HandoverEvent::PhaseEnded { phase, .. }) => {
            !starts && *phase == Phase::LINK
        }
        _ => false,
    }
}
