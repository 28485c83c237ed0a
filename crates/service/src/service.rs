//! What a service is.

use std::collections::BTreeMap;
use std::fmt;

use coap::Failure;
use coap::link::Link;
use units::SimTime;

use crate::connectivity::Connectivity;
use crate::node::{CallFailure, CallId, Incoming, Node, Outcome, Target};

/// What a node can do for its services at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// What is sent leaves at once: the node is on its link.
    pub sends: bool,
    /// What is asked is sent, or kept back until the node is on a link again.
    pub asks: bool,
}

impl Reach {
    /// That of a node which is always on its link.
    pub const FULL: Reach = Reach {
        sends: true,
        asks: true,
    };
}

/// How many calls there were, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls.
    pub requested: u64,
    /// Those that were answered, be it with an error; of observations, those that were notified.
    pub answered: u64,
    /// Those that were sent and wanted no response, or none that came.
    pub sent: u64,
    /// Those that failed.
    pub failed: u64,
    /// The failed ones by their reason, as [`CallFailure`] prints it: [`MAX_REASONS`] different
    /// ones, since a peer may have a part in their words, and more as `other`.
    pub reasons: BTreeMap<String, u64>,
}

/// Different reasons in a [`Tally`], at most.
pub const MAX_REASONS: usize = 64;

impl Tally {
    /// Calls that have not ended: neither answered nor sent for good nor failed.
    pub fn outstanding(&self) -> u64 {
        (self.requested).saturating_sub(self.answered + self.sent + self.failed)
    }

    /// Counts a call that has failed.
    pub fn fail(&mut self, reason: &CallFailure) {
        self.failed += 1;
        self.count(reason.to_string(), 1);
    }

    fn count(&mut self, reason: String, times: u64) {
        let room = self.reasons.len() < MAX_REASONS || self.reasons.contains_key(&reason);
        let reason = if room { reason } else { "other".to_owned() };
        *self.reasons.entry(reason).or_default() += times;
    }

    /// Adds another one.
    pub fn add(&mut self, other: Tally) {
        self.requested += other.requested;
        self.answered += other.answered;
        self.sent += other.sent;
        self.failed += other.failed;
        for (reason, times) in other.reasons {
            self.count(reason, times);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_holds_so_many_reasons_and_counts_every_failure() {
        let mut tally = Tally::default();
        for n in 0..1000 {
            tally.fail(&CallFailure::Discovery(n.to_string()));
        }
        let mut sum = Tally::default();
        sum.add(tally.clone());
        sum.add(tally);
        assert_eq!((sum.failed, sum.reasons.len()), (2000, MAX_REASONS + 1));
        assert_eq!(sum.reasons.values().sum::<u64>(), 2000);
    }
}

/// What a service has to say to whoever runs the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A request ended without a response.
    RequestFailed {
        /// Who was asked.
        target: Target,
        /// Why.
        reason: CallFailure,
    },
    /// A state of something that is observed could not be had whole.
    NotificationLost {
        /// Who is observed.
        target: Target,
        /// Why.
        reason: Failure,
    },
    /// No further states of something that was observed follow.
    ObservationEnded {
        /// Who was observed.
        target: Target,
        /// Why.
        reason: String,
    },
    /// The service cannot go on, and neither can its node.
    Broken {
        /// Why.
        reason: String,
    },
    /// The scenario is over, and all services are done: the sum of their calls. Said once.
    Drained(Tally),
}

/// An application on a node, as client, server or both.
///
/// Whoever runs it calls [`Service::start`] when the scenario starts, and [`Service::drain`] when
/// it ends. Between them, and before and after, it gives the service what is its: requests, the
/// outcomes of its calls, and the time when it is due. What the service does, it does to the node
/// that comes with every call.
pub trait Service: fmt::Debug {
    /// The application starts, and its time is zero now: when the scenario starts, or when the node
    /// is started again.
    fn start(&mut self, now: SimTime, node: &mut dyn Node) {
        let _ = (now, node);
    }

    /// When [`Service::handle_timeout`] wants to be called, given what the node can do; what it
    /// cannot do waits, and is due at once when it can.
    fn poll_timeout(&self, reach: Reach) -> Option<SimTime> {
        let _ = reach;
        None
    }

    /// Does what is due and can be done.
    fn handle_timeout(&mut self, now: SimTime, reach: Reach, node: &mut dyn Node) {
        let _ = (now, reach, node);
    }

    /// Does what the scenario has its node do now: the step of that number in the node's plan, if it is this service's.
    fn operate(&mut self, now: SimTime, step: usize, node: &mut dyn Node) {
        let _ = (now, step, node);
    }

    /// How the node is connected from now on: said when it is attached first, also before [`Service::start`], and when
    /// something of it changes. Between two routers nothing is said. What follows from it is done when
    /// [`Service::poll_timeout`] says.
    fn connected(&mut self, now: SimTime, connectivity: &Connectivity) {
        let _ = (now, connectivity);
    }

    /// What [`Node::located_at`] or [`Node::kept_back_since`] say of somebody is otherwise than before.
    fn located(&mut self, now: SimTime, node: &mut dyn Node) {
        let _ = (now, node);
    }

    /// Whether requests for `path` are its own: for one path, several, or all below one. Of two
    /// services that say so, the one that the node was given first gets them.
    fn serves(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    /// Critical options that it handles beside those that every endpoint does (RFC 7252 §5.4.1).
    fn known_critical(&self) -> &'static [u16] {
        &[]
    }

    /// What it has in `/.well-known/core` (RFC 6690).
    fn links(&self) -> Vec<Link> {
        Vec::new()
    }

    /// A request for a path that it serves.
    fn handle_request(&mut self, now: SimTime, incoming: Incoming, node: &mut dyn Node) {
        let _ = (now, incoming, node);
    }

    /// What became of a call that it made.
    fn handle_outcome(
        &mut self,
        now: SimTime,
        call: CallId,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        let _ = (now, call, outcome, node);
    }

    /// The scenario ends: nothing new is begun, and what is outstanding ends.
    fn drain(&mut self, now: SimTime, node: &mut dyn Node) {
        let _ = (now, node);
    }

    /// Whether nothing is outstanding any more after [`Service::drain`].
    fn is_drained(&self) -> bool {
        self.tally().outstanding() == 0
    }

    /// Its calls so far.
    fn tally(&self) -> Tally {
        Tally::default()
    }

    /// What it has to say, next.
    fn poll_report(&mut self) -> Option<Report> {
        None
    }
}
