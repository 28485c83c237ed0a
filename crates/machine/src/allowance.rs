//! How often something may happen: so many times at once, and one more in each interval.

use std::time::Duration;

use units::SimTime;

/// What is left of a burst.
#[derive(Clone, Debug)]
pub struct Allowance {
    burst: u64,
    interval: Duration,
    left: u64,
    /// When there was one more.
    since: SimTime,
}

impl Allowance {
    /// `burst` times from `now` on, and once more in each `interval`, which is not zero.
    pub const fn new(now: SimTime, burst: u64, interval: Duration) -> Allowance {
        Allowance {
            burst,
            interval,
            left: burst,
            since: now,
        }
    }

    /// Whether it may happen once more, which then counts.
    pub fn take(&mut self, now: SimTime) -> bool {
        let passed = now.saturating_since(self.since).as_nanos() / self.interval.as_nanos();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        // Also after the clock was set back.
        if passed > 0 || now < self.since {
            self.left = self.left.saturating_add(passed).min(self.burst);
            self.since = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_comes_back_one_by_one() {
        let interval = Duration::from_millis(100);
        let start = SimTime::ZERO + Duration::from_secs(9);
        let mut allowance = Allowance::new(start, 3, interval);
        let mut taken = |now| (0..9).filter(|_| allowance.take(now)).count();
        assert_eq!(taken(start), 3);
        assert_eq!(taken(start + interval / 2), 0);
        assert_eq!(taken(start + interval), 1);
        // The clock was set back.
        assert_eq!(taken(SimTime::ZERO), 0);
        assert_eq!(taken(SimTime::ZERO + 2 * interval), 2);
        assert_eq!(taken(start + 99 * interval), 3);
    }
}
