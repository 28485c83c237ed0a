//! Which of two messages of a node is the newer one.
//!
//! Every registration, binding update, hold and deregistration of ours carries a binding
//! sequence number in option 2052, one more than the message before it, as a binding update of
//! Mobile IPv6 does (RFC 6275 §6.1.7). The WMMS keeps the last one that it accepted of each
//! node, and so does every correspondent; what is not newer changes nothing and is answered
//! 4.09 with the last accepted number, Mobile IPv6's status 135 (§9.5.1). A node that lost its
//! count (a restart) goes above that and repeats (§11.7.3).
//!
//! A message without the number, as an implementation of the papers sends it, counts by its
//! arrival alone, and leaves no number to compare the next one with; while there is an entry that
//! a numbered message made it is not newer.

use std::time::Duration;

use units::SimTime;

/// The sequence number of a binding (option 2052 in a request).
pub use units::Sequence;

/// How far above a reported number a node goes on. More than one, because messages from
/// before the node lost its count may still be on their way, and must not be newer than what it
/// says now. There are as many as it gave up without an answer: a few.
const LEAP: u16 = 16;

/// What the count of a node begins with goes up by one in this time, so that a node that
/// restarts begins above what it said before, although it remembers nothing, if its clock
/// survived and it said less than ten things a second. Half of the numbers last for 54 minutes,
/// longer than anything can be on its way (RFC 7252 §4.8.2: EXCHANGE_LIFETIME, 247 s).
const TICK: Duration = Duration::from_millis(100);

/// A node's own count: of nothing, or the last number used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter(Option<Sequence>);

impl Counter {
    /// The count of a node that has said nothing yet, or does not remember.
    pub(crate) const fn new() -> Counter {
        Counter(None)
    }

    /// The number of the next message; the first one is the time.
    pub(crate) fn next(&mut self, now: SimTime) -> Sequence {
        let ticks = u128::from(now.as_nanos()) / TICK.as_nanos();
        let next = (self.0).map_or(Sequence(ticks as u16), Sequence::next);
        *self.0.insert(next)
    }

    /// Whether `last`, which a peer had accepted before, is the last number of this count, or one that
    /// it has not reached.
    pub(crate) fn is_behind(&self, last: Sequence) -> bool {
        self.0.is_some_and(|count| !count.is_newer_than(last))
    }

    /// Whether this count has not reached `last`: somebody else has counted on.
    pub(crate) fn is_passed_by(&self, last: Sequence) -> bool {
        self.0.is_none_or(|count| last.is_newer_than(count))
    }

    /// A peer accepted `last` of this node. False, and nothing changes, if the count is ahead of
    /// that: then the refused message was merely overtaken by a later one.
    pub(crate) fn overtake(&mut self, last: Sequence) -> bool {
        let behind = self.0.is_none_or(|count| !count.is_newer_than(last));
        if behind {
            self.0 = Some(Sequence(last.0.wrapping_add(LEAP)));
        }
        behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_is_behind_goes_above_and_one_that_is_ahead_stays() {
        let now = SimTime::ZERO;
        let mut counter = Counter::new();
        assert_eq!(counter.next(now), Sequence(0));
        for last in [0x4000, 0xbfff, 0xffff, 0x4000] {
            assert!(counter.overtake(Sequence(last)), "{last:x}");
            assert!(counter.next(now).is_newer_than(Sequence(last)), "{last:x}");
            assert!(!counter.overtake(Sequence(last)), "{last:x}");
        }
    }

    #[test]
    fn a_count_begins_with_the_time_and_goes_on_by_one() {
        let at = |s| SimTime::ZERO + Duration::from_secs(s);
        let mut counter = Counter::new();
        assert_eq!(counter.next(at(7)), Sequence(70));
        assert_eq!(counter.next(at(500)), Sequence(71));
        assert_eq!(Counter::new().next(at(6553)), Sequence(65_530));
        assert_eq!(Counter::new().next(at(6554)), Sequence(4), "65540 - 65536");
    }
}
