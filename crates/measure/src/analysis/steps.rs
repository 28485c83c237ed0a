//! Clocks that step back while an interface is captured.
//!
//! What comes later in the file was captured later. Some of it may be stamped a little earlier: several
//! queues of an interface are written one after the other. Where the stamps jump back by more than that
//! the clock was set, and the place in the file tells what the stamps do not: what comes next comes at
//! once, so that times on the two sides of a step are apart by as much at least. Less than a second may
//! be either: that is told, and the stamps stay as they are.
//!
//! Stamps that jump back again and again are no clock that is set: two captures were written into one
//! another. They stay as they are, and that is told.

use std::time::Duration;

use units::SimTime;

/// Frames of one interface are written in another order by less than that.
const REORDERED: Duration = Duration::from_millis(100);

/// By as much at least a clock was set.
const SET: Duration = Duration::from_secs(1);

/// A clock is not set more often.
const MOST: u32 = 8;

/// A step as long as that is over when the stamps jump forward by as much. (A shorter one is taken back
/// slowly, and a pause is no step.)
const TAKEN_BACK: Duration = Duration::from_secs(10);

/// A clock that stepped back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stepped {
    /// The capture.
    pub capture: String,
    /// How often.
    pub times: u32,
    /// By how much, the first time.
    pub back: Duration,
    /// The frame before which it was first, as it is counted in the file, from 1.
    pub frame: u64,
    /// Whether times go on from there each time. They do not if it was too often for a clock that is set,
    /// or by too little.
    pub set: bool,
}

/// The clock of one interface, frame by frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    latest: SimTime,
    /// What is added to the stamps, and what was last.
    added: Duration,
    last: Duration,
    times: u32,
    /// How often it was set of those times.
    set: u32,
    first: Option<(Duration, u64)>,
}

impl Steps {
    /// The time of the next frame, by its stamp and its number in the file.
    pub(super) fn time(&mut self, stamp: SimTime, frame: u64) -> SimTime {
        let mut time = stamp + self.added;
        let back = self.latest.saturating_since(time);
        let ahead = time.saturating_since(self.latest);
        if back > REORDERED {
            self.times += 1;
            self.first.get_or_insert((back, frame));
        }
        if back >= SET {
            self.set += 1;
            self.added += back;
            self.last = back;
            time = stamp + self.added;
        } else if self.last > TAKEN_BACK && ahead + REORDERED > self.last {
            self.added = self.added.saturating_sub(self.last);
            self.last = Duration::ZERO;
            time = stamp + self.added;
        }
        self.latest = self.latest.max(time);
        time
    }

    /// Whether the clock was set, and times follow from that.
    pub(super) fn are_set(&self) -> bool {
        (1..=MOST).contains(&self.set)
    }

    /// What is to be told of `capture`.
    pub(super) fn told(&self, capture: String) -> Option<Stepped> {
        let (back, frame) = self.first?;
        Some(Stepped {
            capture,
            times: self.times,
            back,
            frame,
            set: self.are_set() && self.set == self.times,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times of frames with these stamps, seconds.
    fn times(stamps: &[u64]) -> (Vec<u64>, Steps) {
        let mut steps = Steps::default();
        let mut frame = 0;
        let time = |stamp: &u64| {
            frame += 1;
            let time = steps.time(SimTime::from_nanos(stamp * 1_000_000_000), frame);
            time.as_nanos() / 1_000_000_000
        };
        (stamps.iter().map(time).collect(), steps)
    }

    #[test]
    fn what_comes_after_a_step_back_goes_on_from_there() {
        let (found, steps) = times(&[1000, 1001, 901, 902, 950]);
        assert_eq!(found, [1000, 1001, 1001, 1002, 1050]);
        let told = steps.told("c".into()).unwrap();
        assert_eq!((told.times, told.back.as_secs(), told.frame), (1, 100, 3));
        assert!(told.set);
    }

    #[test]
    fn a_step_that_is_taken_back_is_over() {
        assert_eq!(times(&[1000, 0, 1001, 1002]).0, [1000, 1000, 1001, 1002]);
        let (found, _) = times(&[1000, 900, 901, 1003, 1004]);
        assert_eq!(found, [1000, 1000, 1001, 1003, 1004]);
    }

    #[test]
    fn a_few_frames_out_of_order_are_no_step_and_many_steps_are_no_clock() {
        let mut steps = Steps::default();
        for ms in [100, 40, 200, 150] {
            let stamp = SimTime::from_nanos(ms * 1_000_000);
            assert_eq!(steps.time(stamp, ms), stamp);
        }
        assert_eq!(steps.told("c".into()), None);
        let short = SimTime::from_nanos(4_000_000_000);
        steps.time(short + Duration::from_millis(700), 5);
        assert_eq!(steps.time(short, 6), short);
        let told = steps.told("c".into()).unwrap();
        assert_eq!((told.times, told.frame, told.set), (1, 6, false));
        let stamps: Vec<u64> = (0..40).map(|n| 1000 + n - n % 2 * 500).collect();
        let (_, steps) = times(&stamps);
        assert!(!steps.are_set() && !steps.told("c".into()).unwrap().set);
    }
}
