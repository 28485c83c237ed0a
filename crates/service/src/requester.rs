//! The requester: asks others, again and again or by observing them.
//!
//! Every poll has a random stream of its own, by its name: another poll, or another request of this
//! one, shifts nothing. A request that finds no answer is reported and not repeated here (the node
//! has done that); the next one comes at its time. An observation that ends is reported, unless its
//! first answer was its end, and begun again after [`OBSERVE_AGAIN`].

mod config;
mod schedule;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use coap::{Reliability, Request};
use units::{Rng, SimTime};

pub use config::{Arrivals, Ask, Poll, PollError, Timing};

use crate::node::{CallId, Node, Outcome, Target};
use crate::service::{Reach, Report, Service, Tally};
use schedule::Schedule;

/// After so long something that is not observed any more is observed again.
pub const OBSERVE_AGAIN: Duration = Duration::from_secs(1);

/// What a poll does at its instants.
#[derive(Debug)]
struct Asked {
    target: Target,
    request: Request,
    reliability: Reliability,
    observe: bool,
}

/// A call that has not ended.
#[derive(Debug)]
struct Pending {
    /// The place of its poll.
    place: usize,
    /// An observation that has been notified.
    notified: bool,
}

/// The polls of a node; a [`Service`].
#[derive(Debug)]
pub struct Requester {
    polls: Vec<Asked>,
    schedule: Schedule,
    calls: BTreeMap<CallId, Pending>,
    tally: Tally,
    reports: VecDeque<Report>,
}

impl Requester {
    /// Nothing is due before the scenario starts. `stream` makes the random stream of a name.
    ///
    /// # Errors
    /// A poll that cannot be had.
    pub fn new(
        polls: Vec<Poll>,
        mut stream: impl FnMut(&str) -> Rng,
    ) -> Result<Requester, PollError> {
        let mut requester = Requester {
            polls: Vec::new(),
            schedule: Schedule::default(),
            calls: BTreeMap::new(),
            tally: Tally::default(),
            reports: VecDeque::new(),
        };
        let mut names: BTreeMap<String, u32> = BTreeMap::new();
        for poll in polls {
            let request = poll.checked()?;
            let times = names.entry(poll.name.clone()).or_default();
            *times += 1;
            let rng = match times {
                1 => stream(&poll.name),
                times => stream(&format!("{} #{times}", poll.name)),
            };
            requester.schedule.push(poll.timing, poll.observe, rng);
            requester.polls.push(Asked {
                target: poll.target,
                request,
                reliability: poll.reliability,
                observe: poll.observe,
            });
        }
        Ok(requester)
    }

    /// Of a scenario that lasts so long: what is due at its end or later is not asked, whenever the
    /// requester is told of the end.
    pub fn lasting(mut self, duration: Duration) -> Requester {
        self.schedule.last(duration);
        self
    }

    fn ask(&mut self, now: SimTime, place: usize, node: &mut dyn Node) {
        let Some(poll) = self.polls.get(place) else {
            return;
        };
        self.tally.requested += 1;
        let request = poll.request.clone();
        let call = match poll.observe {
            true => node.observe(now, poll.target, poll.reliability, request),
            false => node.ask(now, poll.target, poll.reliability, request),
        };
        let pending = Pending {
            place,
            notified: false,
        };
        self.calls.insert(call, pending);
    }

    fn ended(&mut self, now: SimTime, pending: &Pending, outcome: Outcome) {
        let Some(poll) = self.polls.get(pending.place) else {
            return;
        };
        let target = poll.target;
        if poll.observe {
            self.schedule.again(now + OBSERVE_AGAIN, pending.place);
        }
        match outcome {
            Outcome::Failed(reason) if !pending.notified => {
                self.tally.fail(&reason);
                let report = Report::RequestFailed { target, reason };
                self.reports.push_back(report);
            }
            Outcome::Failed(reason) => self.observation_ended(target, reason.to_string()),
            Outcome::Answered { response, .. } if pending.notified => {
                let reason = format!("the node answered {}", response.code);
                self.observation_ended(target, reason);
            }
            Outcome::Sent => self.tally.sent += 1,
            Outcome::Answered { .. }
            | Outcome::Notified { .. }
            | Outcome::NotificationLost { .. } => {}
        }
    }

    fn observation_ended(&mut self, target: Target, reason: String) {
        let report = Report::ObservationEnded { target, reason };
        self.reports.push_back(report);
    }
}

impl Service for Requester {
    fn start(&mut self, now: SimTime, _: &mut dyn Node) {
        self.schedule.start(now);
    }

    fn poll_timeout(&self, reach: Reach) -> Option<SimTime> {
        let goes_on = reach.asks || self.schedule.is_stopped();
        self.schedule.next_due().filter(|_| goes_on)
    }

    fn handle_timeout(&mut self, now: SimTime, reach: Reach, node: &mut dyn Node) {
        // When the scenario is over what cannot be asked is waited for no more.
        if reach.asks || self.schedule.is_stopped() {
            let due = self.schedule.take_due(now);
            for place in due.into_iter().filter(|_| reach.asks) {
                self.ask(now, place, node);
            }
        }
    }

    fn handle_outcome(
        &mut self,
        now: SimTime,
        call: CallId,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        let Some(pending) = self.calls.get_mut(&call) else {
            return;
        };
        let first = !pending.notified;
        if let Outcome::NotificationLost { reason, .. } = outcome
            && let Some(target) = self.polls.get(pending.place).map(|poll| poll.target)
        {
            let report = Report::NotificationLost { target, reason };
            self.reports.push_back(report);
        }
        let answers = !matches!(outcome, Outcome::Failed(_) | Outcome::Sent);
        self.tally.answered += u64::from(answers && first);
        if outcome.ends() {
            if let Some(pending) = self.calls.remove(&call) {
                self.ended(now, &pending, outcome);
            }
            return;
        }
        pending.notified = true;
        if first && self.schedule.is_stopped() {
            node.stop_observing(now, call);
        }
    }

    fn drain(&mut self, now: SimTime, node: &mut dyn Node) {
        self.schedule.stop(now);
        for (call, _) in self.calls.iter().filter(|(_, pending)| pending.notified) {
            node.stop_observing(now, *call);
        }
    }

    fn is_drained(&self) -> bool {
        self.schedule.next_due().is_none() && self.tally.outstanding() == 0
    }

    fn tally(&self) -> Tally {
        self.tally.clone()
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }
}

#[cfg(test)]
mod tests;
