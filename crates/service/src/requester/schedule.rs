//! When polls are due.

use std::collections::BTreeSet;
use std::time::Duration;

use units::{Rng, SimTime};

use super::config::{Arrivals, Timing};
use crate::draw::{exponential, uniform};

/// Requests of one [`Schedule::take_due`] at most. If a node is late by more, it is due again at
/// once.
const MAX_AT_ONCE: usize = 1024;

/// One poll's part of the schedule.
#[derive(Debug)]
struct Slot {
    timing: Timing,
    /// Asked once, until [`Schedule::again`].
    once: bool,
    /// Draws periods and jitter.
    rng: Rng,
    /// The instant of the next request without its jitter.
    tick: SimTime,
}

impl Slot {
    /// When the request of this tick is made.
    fn due(&mut self) -> SimTime {
        match self.timing.jitter {
            Duration::ZERO => self.tick,
            jitter => self.tick + uniform(&mut self.rng, jitter),
        }
    }

    fn begin(&mut self, now: SimTime) -> SimTime {
        self.tick = now + self.timing.first;
        self.due()
    }

    fn next(&mut self) -> SimTime {
        let period = match self.timing.arrivals {
            Arrivals::Periodic => self.timing.every,
            Arrivals::Poisson => exponential(&mut self.rng, self.timing.every),
        };
        self.tick += period;
        self.due()
    }
}

/// When the polls of a node are due: each as its timing says, without drift.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    slots: Vec<Slot>,
    /// Next instant of each poll, and its place.
    due: BTreeSet<(SimTime, usize)>,
    /// How long the scenario lasts, if that is known, and when it ends.
    lasts: Option<Duration>,
    end: Option<SimTime>,
    stopped: bool,
}

impl Schedule {
    /// One more poll, at the next place; nothing is due before [`Schedule::start`].
    pub(super) fn push(&mut self, timing: Timing, once: bool, rng: Rng) {
        self.slots.push(Slot {
            timing,
            once,
            rng,
            tick: SimTime::ZERO,
        });
    }

    /// The scenario lasts so long from its start on: nothing is due at its end or later.
    pub(super) fn last(&mut self, duration: Duration) {
        self.lasts = Some(duration);
    }

    pub(super) fn start(&mut self, now: SimTime) {
        self.end = self.lasts.map(|duration| now + duration);
        let slots = self.slots.iter_mut().enumerate();
        self.due = slots
            .map(|(place, slot)| (slot.begin(now), place))
            .collect();
    }

    /// The scenario is over, as somebody says at `now`. What is due before its end by this schedule's
    /// own count, which began a moment after that one's, is due still.
    pub(super) fn stop(&mut self, now: SimTime) {
        let end = self.end.unwrap_or(now);
        self.due.retain(|(at, _)| *at > now && *at < end);
        self.end = Some(end);
        self.stopped = true;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn next_due(&self) -> Option<SimTime> {
        let (at, _) = self.due.first()?;
        Some(*at).filter(|at| self.end.is_none_or(|end| *at < end))
    }

    /// Has a poll that is asked once be due at `at`, unless the schedule has been stopped.
    pub(super) fn again(&mut self, at: SimTime, place: usize) {
        if !self.stopped {
            self.due.insert((at, place));
        }
    }

    /// The places of what is due at `now`, in the order of their instants: each as often as its
    /// period has passed.
    pub(super) fn take_due(&mut self, now: SimTime) -> Vec<usize> {
        let mut taken = Vec::new();
        while taken.len() < MAX_AT_ONCE
            && self.next_due().is_some_and(|due| due <= now)
            && let Some((_, place)) = self.due.pop_first()
        {
            if let Some(slot) = self.slots.get_mut(place).filter(|slot| !slot.once) {
                let next = slot.next();
                self.due.insert((next, place));
            }
            taken.push(place);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::Seed;

    fn at(ms: u64) -> SimTime {
        SimTime::ZERO + Duration::from_millis(ms)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Every 10 ms.
    fn timing() -> Timing {
        Timing::every(ms(10))
    }

    fn schedule(timings: &[Timing]) -> Schedule {
        let mut schedule = Schedule::default();
        for (n, timing) in timings.iter().enumerate() {
            let rng = Seed(1).rng(&[&n.to_string()]);
            schedule.push(*timing, false, rng);
        }
        schedule
    }

    /// The instants of a schedule's first requests.
    fn instants(schedule: &mut Schedule, count: usize) -> Vec<SimTime> {
        schedule.start(at(100));
        let next = || {
            let due = schedule.next_due()?;
            assert_eq!(schedule.take_due(due).len(), 1);
            Some(due)
        };
        std::iter::from_fn(next).take(count).collect()
    }

    #[test]
    fn a_poll_comes_once_per_period_without_drift() {
        let mut schedule = schedule(&[timing()]);
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
        schedule.stop(at(139));
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn what_is_due_at_the_end_of_the_scenario_or_later_is_not_asked_and_what_is_late_is() {
        for (first, asked) in [(0, 5), (1, 5), (9, 5), (10, 4)] {
            let later = Timing {
                first: ms(first),
                ..timing()
            };
            let mut schedule = schedule(&[later]);
            schedule.last(ms(50));
            schedule.start(at(100));
            assert_eq!(schedule.take_due(at(999)).len(), asked, "{first}");
            assert_eq!(schedule.next_due(), None);
        }
    }

    #[test]
    fn who_is_told_early_that_the_scenario_is_over_goes_by_its_own_count() {
        let mut schedule = schedule(&[timing(), timing()]);
        schedule.last(ms(41));
        schedule.start(at(100));
        assert_eq!(schedule.take_due(at(135)).len(), 8);
        schedule.stop(at(136));
        assert_eq!(schedule.next_due(), Some(at(140)));
        assert_eq!(schedule.take_due(at(140)), [0, 1]);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn polls_that_are_due_together_come_in_the_order_of_their_instants_and_places() {
        let mut schedule = schedule(&[timing(), timing()]);
        schedule.start(at(100));
        assert_eq!(schedule.take_due(at(115)), [0, 1, 0, 1]);
    }

    #[test]
    fn poisson_arrivals_have_the_mean_period_and_the_share_of_long_ones_of_the_exponential() {
        let mut schedule = schedule(&[Timing {
            arrivals: Arrivals::Poisson,
            ..timing()
        }]);
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

    #[test]
    fn the_first_request_comes_at_its_instant_after_the_start_of_the_scenario() {
        let later = Timing {
            first: ms(1003),
            ..timing()
        };
        let instants = instants(&mut schedule(&[later]), 2);
        assert_eq!(instants, [at(1103), at(1113)]);
    }

    #[test]
    fn jitter_makes_each_request_late_by_less_than_itself_and_does_not_add_up() {
        let jittery = Timing {
            jitter: ms(4),
            ..timing()
        };
        let instants = instants(&mut schedule(&[jittery]), 1000);
        let late = |(n, instant): (u64, &SimTime)| *instant - at(100 + 10 * n);
        let late: Vec<Duration> = (0..).zip(&instants).map(late).collect();
        assert!(late.iter().all(|late| *late < ms(4)));
        assert!(late.iter().any(|late| *late < ms(1)) && late.iter().any(|late| *late > ms(3)));
    }

    #[test]
    fn a_node_that_is_very_late_catches_up_bit_by_bit() {
        let fast = Timing {
            every: Duration::from_nanos(1),
            ..timing()
        };
        let mut schedule = schedule(&[fast]);
        schedule.start(at(0));
        assert_eq!(schedule.take_due(at(1000)).len(), MAX_AT_ONCE);
        assert!(schedule.next_due().unwrap() < at(1));
    }
}
