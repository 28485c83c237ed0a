//! What a node asks others: the periodic GETs and observations of the plan, and what became of
//! them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use coap::Reliability;
use comp::client::{CallId, Event, HoldQueue};
use comp::node::Node;
use driver::Driver;
use rand_core::Rng as _;
use rundir::EventKind;
use topology::plan::{Arrivals, HoldQueuePlan, PollPlan};
use units::{Rng, SimTime};

use crate::host::{Events, now};

/// After so long a resource that is not observed any more is observed again.
const OBSERVE_AGAIN: Duration = Duration::from_secs(1);

/// The hold queue in the core's words.
pub(crate) fn hold_queue(plan: &HoldQueuePlan) -> HoldQueue {
    HoldQueue {
        capacity: plan.capacity as usize,
        timeout: plan.timeout,
    }
}

/// The polls of one node.
pub(crate) struct Polling {
    schedule: Schedule,
    tally: Tally,
}

impl Polling {
    /// Nothing is due before [`Polling::start`]; `rng` draws random periods.
    pub(crate) fn new(plans: Vec<PollPlan>, rng: Rng) -> Polling {
        Polling {
            schedule: Schedule::new(plans, rng),
            tally: Tally::default(),
        }
    }

    /// The scenario has started.
    pub(crate) fn start(&mut self, now: SimTime) {
        self.schedule.start(now);
    }

    /// When [`Polling::ask_due`] has something to do.
    pub(crate) fn next_due(&self) -> Option<SimTime> {
        self.schedule.next_due()
    }

    /// Asks what is due.
    pub(crate) fn ask_due(&mut self, coap: &mut Driver<Node>) {
        for index in self.schedule.take_due(now()) {
            let poll = &self.schedule.plans[index];
            let how = reliability(poll);
            self.tally.requested += 1;
            let call = coap.with(|node, now| match poll.observe {
                true => node.observe(now, poll.p_addr, &poll.path, how),
                false => node.get(now, poll.p_addr, &poll.path, how),
            });
            if poll.observe {
                self.tally.observations.insert(call, (index, false));
            }
        }
    }

    /// Nothing new is asked; what is outstanding ends.
    pub(crate) fn drain(&mut self, coap: &mut Driver<Node>) {
        self.schedule.stop();
        self.tally.draining = true;
        for call in self.tally.observations.keys() {
            coap.with(|node, now| node.stop_observing(now, *call));
        }
    }

    /// Reports what became of a request, or of a binding.
    pub(crate) fn on_event(&mut self, events: &Events, event: Event) -> Result<()> {
        if let Some(index) = self.tally.report(events, event)? {
            self.schedule.again(now(), index);
        }
        Ok(())
    }

    /// Reports once that nothing is outstanding after [`Polling::drain`].
    pub(crate) fn report_if_drained(&mut self, events: &Events) -> Result<()> {
        self.tally.report_if_drained(events)
    }
}

fn reliability(poll: &PollPlan) -> Reliability {
    if poll.confirmable {
        Reliability::Confirmable
    } else {
        Reliability::NonConfirmable
    }
}

/// The schedule: every poll at `start + n * every`, without drift, or after random periods.
struct Schedule {
    plans: Vec<PollPlan>,
    rng: Rng,
    /// Next instant of each poll, and its place in `plans`.
    due: BTreeMap<(SimTime, usize), ()>,
    stopped: bool,
}

impl Schedule {
    fn new(plans: Vec<PollPlan>, rng: Rng) -> Schedule {
        Schedule {
            plans,
            rng,
            due: BTreeMap::new(),
            stopped: false,
        }
    }

    fn start(&mut self, now: SimTime) {
        self.due = self
            .plans
            .iter()
            .enumerate()
            .map(|(i, _)| ((now, i), ()))
            .collect();
    }

    fn stop(&mut self) {
        self.due.clear();
        self.stopped = true;
    }

    fn next_due(&self) -> Option<SimTime> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// Begins an observation again that has ended, unless polling has.
    fn again(&mut self, now: SimTime, index: usize) {
        if !self.stopped {
            self.due.insert((now + OBSERVE_AGAIN, index), ());
        }
    }

    /// What is due at `now`, by its place in the plan: each poll as often as its period has
    /// passed, an observation once.
    fn take_due(&mut self, now: SimTime) -> Vec<usize> {
        let mut due = Vec::new();
        while let Some((&(at, index), ())) = self.due.first_key_value().filter(|(k, ())| k.0 <= now)
        {
            self.due.remove(&(at, index));
            let plan = &self.plans[index];
            if !plan.observe {
                let period = match plan.arrivals {
                    Arrivals::Periodic => plan.every,
                    Arrivals::Poisson => exponential(&mut self.rng, plan.every),
                };
                self.due.insert((at + period, index), ());
            }
            due.push(index);
        }
        due
    }
}

/// A period of a Poisson process.
fn exponential(rng: &mut Rng, mean: Duration) -> Duration {
    // 53 bits, all that a f64 has, in (0, 1].
    let uniform = ((rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    mean.mul_f64(-uniform.ln())
}

/// What became of the requests.
#[derive(Default)]
struct Tally {
    requested: u64,
    answered: u64,
    failed: u64,
    draining: bool,
    /// Resources being observed: the place in the plan, and whether a state is there.
    observations: BTreeMap<CallId, (usize, bool)>,
}

impl Tally {
    /// Reports an event. Returns the place in the plan of an observation that has ended.
    fn report(&mut self, events: &Events, event: Event) -> Result<Option<usize>> {
        let mut ended = None;
        match event {
            Event::Answered { call, .. } => {
                self.answered += 1;
                ended = self.forget(call);
            }
            Event::Notified { call, .. } => {
                if let Some((_, answered)) = self.observations.get_mut(&call) {
                    self.answered += u64::from(!std::mem::replace(answered, true));
                }
            }
            Event::ObservationEnded { call, reason, .. } => {
                tracing::info!(%reason, "observation ended");
                ended = self.forget(call);
            }
            Event::Failed {
                call,
                p_addr,
                reason,
            } => {
                self.failed += 1;
                ended = self.forget(call);
                events.report(EventKind::RequestFailed {
                    p_addr,
                    reason: reason.to_string(),
                })?;
            }
            Event::Binding(event) => events.report(event.into())?,
        }
        Ok(ended)
    }

    fn forget(&mut self, call: CallId) -> Option<usize> {
        self.observations.remove(&call).map(|(index, _)| index)
    }

    fn report_if_drained(&mut self, events: &Events) -> Result<()> {
        if !self.draining || self.answered + self.failed < self.requested {
            return Ok(());
        }
        self.draining = false;
        let Tally {
            requested,
            answered,
            failed,
            ..
        } = *self;
        events.report(EventKind::Drained {
            requested,
            answered,
            failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;
    use units::Seed;

    fn schedule(arrivals: Arrivals) -> Schedule {
        let plan = PollPlan {
            node: "sensor".into(),
            p_addr: Ipv6Addr::LOCALHOST,
            path: "/t".into(),
            every: Duration::from_millis(10),
            arrivals,
            confirmable: true,
            observe: false,
        };
        Schedule::new(vec![plan], Seed(1).rng(&["polls"]))
    }

    #[test]
    fn a_poll_comes_once_per_period_without_drift() {
        let mut schedule = schedule(Arrivals::Periodic);
        let at = |ms: u64| SimTime::ZERO + Duration::from_millis(ms);
        assert_eq!(schedule.next_due(), None);
        schedule.start(at(100));
        assert_eq!(schedule.take_due(at(100)).len(), 1);
        assert_eq!(schedule.next_due(), Some(at(110)));
        assert_eq!(
            schedule.take_due(at(135)).len(),
            3,
            "late by two periods: nothing is left out"
        );
        assert_eq!(schedule.next_due(), Some(at(140)));
        schedule.stop();
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn poisson_arrivals_have_the_mean_period_and_the_share_of_long_ones_of_the_exponential() {
        let mut schedule = schedule(Arrivals::Poisson);
        schedule.start(SimTime::ZERO);
        let mut long = 0;
        let mut now = SimTime::ZERO;
        const REQUESTS: u32 = 20_000;
        for _ in 0..REQUESTS {
            assert_eq!(schedule.take_due(now).len(), 1);
            let next = schedule.next_due().unwrap();
            long += u32::from(next.saturating_since(now) > Duration::from_millis(10));
            now = next;
        }
        // Five standard deviations: of the mean 0.7 %, of the share 0.34 points.
        let mean = now.saturating_since(SimTime::ZERO).as_secs_f64() / f64::from(REQUESTS);
        assert!((mean / 0.01 - 1.0).abs() < 0.036, "{mean}");
        let share = f64::from(long) / f64::from(REQUESTS);
        assert!((share - (-1.0_f64).exp()).abs() < 0.017, "{share}");
    }
}
