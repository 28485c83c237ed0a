//! Deadlines by key, ordered by instant, so that expiry looks only at what is due.

use std::collections::{BTreeMap, BTreeSet};

use units::SimTime;

/// At most one deadline per key.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    by_key: BTreeMap<K, SimTime>,
    by_time: BTreeSet<(SimTime, K)>,
}

/// The earlier of two deadlines, where there are any.
pub fn earlier(a: Option<SimTime>, b: Option<SimTime>) -> Option<SimTime> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl<K: Ord + Copy> Default for Deadlines<K> {
    fn default() -> Deadlines<K> {
        Deadlines::new()
    }
}

impl<K: Ord + Copy> Deadlines<K> {
    /// None.
    pub const fn new() -> Deadlines<K> {
        Deadlines {
            by_key: BTreeMap::new(),
            by_time: BTreeSet::new(),
        }
    }

    /// Sets or replaces the deadline of `key`.
    pub fn set(&mut self, key: K, at: SimTime) {
        self.clear(key);
        self.by_key.insert(key, at);
        self.by_time.insert((at, key));
    }

    /// Forgets the deadline of `key`.
    pub fn clear(&mut self, key: K) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// The deadline of `key`.
    pub fn get(&self, key: K) -> Option<SimTime> {
        self.by_key.get(&key).copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<SimTime> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one key whose deadline has come, the earliest first.
    pub fn take_due(&mut self, now: SimTime) -> Option<K> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.clear(key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_deadline_and_the_earliest_due_comes_first() {
        let at = SimTime::from_nanos;
        let mut deadlines = Deadlines::new();
        deadlines.set('a', at(5));
        deadlines.set('b', at(3));
        deadlines.set('c', at(9));
        deadlines.set('a', at(1));
        assert_eq!(deadlines.next(), Some(at(1)));
        assert_eq!(deadlines.take_due(at(4)), Some('a'));
        assert_eq!(deadlines.take_due(at(4)), Some('b'));
        assert_eq!(deadlines.take_due(at(4)), None);
        deadlines.clear('c');
        assert_eq!(deadlines.next(), None);
    }
}
