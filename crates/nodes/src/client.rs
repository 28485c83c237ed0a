//! The client's daemon: [`comp::client`] on a socket, and the periodic GETs of the plan.

use std::collections::BTreeMap;
use std::net::SocketAddrV6;
use std::time::Duration;

use anyhow::{Context, Result};
use coap::Reliability;
use coap::io::Driver;
use coap::message::PORT;
use comp::client::{CallId, Client, Config, Event, HoldQueue};
use rand_core::Rng as _;
use rundir::EventKind;
use rundir::control::Control;
use topology::plan::{Arrivals, ClientPlan, PollPlan};
use units::{Rng, SimTime};

use crate::host::{instant, now};
use crate::{Host, coap_params, icmpv6};

pub(crate) async fn run(mut host: Host, plan: ClientPlan) -> Result<()> {
    let config = Config {
        p_addr: plan.p_addr,
        wmms: SocketAddrV6::new(plan.wmms, PORT, 0, 0),
        lifetime: plan.lifetime,
        hold_queue: HoldQueue {
            capacity: plan.hold_queue.capacity as usize,
            timeout: plan.hold_queue.timeout,
        },
        coap: coap_params(&plan.coap),
    };
    let client = Client::new(config, host.rng("coap"));
    let mut coap = Driver::from_socket(client, icmpv6::udp(PORT, None)?)?;
    let mut tally = Tally::default();
    let mut polls = Polls::new(plan.polls, host.rng("polls"));
    // In the testbed a client does not move: it is where its permanent address says.
    coap.with(|client, now| client.register(now, plan.p_addr));
    loop {
        tokio::select! {
            event = coap.next_event() => {
                let ended = tally.report(&host, event.context("CoAP socket")?)?;
                if let Some(index) = ended {
                    polls.again(now(), index);
                }
            }
            () = tokio::time::sleep_until(instant(polls.next_due())) => {
                for index in polls.take_due(now()) {
                    let poll = &polls.plans[index];
                    let how = reliability(poll);
                    tally.requested += 1;
                    let call = coap.with(|client, now| match poll.observe {
                        true => client.observe(now, poll.p_addr, &poll.path, how),
                        false => client.get(now, poll.p_addr, &poll.path, how),
                    });
                    if poll.observe {
                        tally.observations.insert(call, (index, false));
                    }
                }
            }
            control = host.commands.next() => match control? {
                Control::Start => polls.start(now()),
                Control::Drain => {
                    polls.stop();
                    tally.draining = true;
                    for call in tally.observations.keys() {
                        coap.with(|client, now| client.stop_observing(now, *call));
                    }
                }
                Control::Signal { .. } | Control::Wake => {}
                Control::Stop => return Ok(()),
            },
        }
        tally.report_if_drained(&host)?;
    }
}

/// After so long a resource that is not observed any more is observed again.
const OBSERVE_AGAIN: Duration = Duration::from_secs(1);

fn reliability(poll: &PollPlan) -> Reliability {
    if poll.confirmable {
        Reliability::Confirmable
    } else {
        Reliability::NonConfirmable
    }
}

/// The schedule: every poll at `start + n * every`, without drift, or after random periods.
struct Polls {
    plans: Vec<PollPlan>,
    rng: Rng,
    /// Next instant of each poll, and its place in `plans`.
    due: BTreeMap<(SimTime, usize), ()>,
    stopped: bool,
}

impl Polls {
    fn new(plans: Vec<PollPlan>, rng: Rng) -> Polls {
        Polls {
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
            let period = match plan.arrivals {
                Arrivals::Periodic => plan.every,
                Arrivals::Poisson => exponential(&mut self.rng, plan.every),
            };
            if !plan.observe {
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
    ready: bool,
    /// Resources being observed: the place in the plan, and whether a state is there.
    observations: BTreeMap<CallId, (usize, bool)>,
}

impl Tally {
    /// Reports an event. Returns the place in the plan of an observation that has ended.
    fn report(&mut self, host: &Host, event: Event) -> Result<Option<usize>> {
        let events = &host.events;
        let mut ended = None;
        match event {
            Event::Registered { p_addr, t_addr } => {
                events.report(EventKind::Registered { p_addr, t_addr })?;
                if !std::mem::replace(&mut self.ready, true) {
                    events.report(EventKind::Ready)?;
                }
            }
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
            Event::BindingChanged {
                p_addr,
                t_addr,
                held,
            } => events.binding(p_addr, t_addr, held)?,
            Event::BindingRemoved { p_addr, reason } => {
                events.report(EventKind::BindingRemoved {
                    p_addr,
                    reason: reason.to_string(),
                })?
            }
            Event::Resumed { p_addr, queued } => events.report(EventKind::Resumed {
                p_addr,
                queued: queued as u32,
            })?,
            Event::RegistrationFailed { reason } => {
                tracing::warn!(%reason, "registration at the WMMS failed");
            }
        }
        Ok(ended)
    }

    fn forget(&mut self, call: CallId) -> Option<usize> {
        self.observations.remove(&call).map(|(index, _)| index)
    }

    fn report_if_drained(&mut self, host: &Host) -> Result<()> {
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
        host.events.report(EventKind::Drained {
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

    fn polls(arrivals: Arrivals) -> Polls {
        let plan = PollPlan {
            node: "sensor".into(),
            p_addr: Ipv6Addr::LOCALHOST,
            path: "/t".into(),
            every: Duration::from_millis(10),
            arrivals,
            confirmable: true,
            observe: false,
        };
        Polls::new(vec![plan], Seed(1).rng(&["polls"]))
    }

    #[test]
    fn a_poll_comes_once_per_period_without_drift() {
        let mut polls = polls(Arrivals::Periodic);
        let at = |ms: u64| SimTime::ZERO + Duration::from_millis(ms);
        assert_eq!(polls.next_due(), None);
        polls.start(at(100));
        assert_eq!(polls.take_due(at(100)).len(), 1);
        assert_eq!(polls.next_due(), Some(at(110)));
        assert_eq!(
            polls.take_due(at(135)).len(),
            3,
            "late by two periods: nothing is left out"
        );
        assert_eq!(polls.next_due(), Some(at(140)));
        polls.stop();
        assert_eq!(polls.next_due(), None);
    }

    #[test]
    fn poisson_arrivals_have_the_mean_period_and_the_share_of_long_ones_of_the_exponential() {
        let mut polls = polls(Arrivals::Poisson);
        polls.start(SimTime::ZERO);
        let mut long = 0;
        let mut now = SimTime::ZERO;
        const REQUESTS: u32 = 20_000;
        for _ in 0..REQUESTS {
            assert_eq!(polls.take_due(now).len(), 1);
            let next = polls.next_due().unwrap();
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
