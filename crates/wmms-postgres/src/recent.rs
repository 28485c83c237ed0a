//! What was said last, of so many and no more.

use std::collections::BTreeMap;

/// A map that keeps what was inserted last: at least as many as it has room for, and at most twice as many.
#[derive(Clone, Debug)]
pub(crate) struct Recent<K, V> {
    room: usize,
    young: BTreeMap<K, V>,
    old: BTreeMap<K, V>,
}

impl<K: Ord, V> Recent<K, V> {
    pub(crate) fn new(room: usize) -> Recent<K, V> {
        Recent {
            room,
            young: BTreeMap::new(),
            old: BTreeMap::new(),
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        self.young.insert(key, value);
        if self.young.len() >= self.room {
            self.old = std::mem::take(&mut self.young);
        }
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept_and_no_more_than_twice_as_many_as_there_is_room_for() {
        let mut recent = Recent::new(4);
        for n in 0..100_u32 {
            recent.insert(n, n);
            for last in n.saturating_sub(3)..=n {
                assert_eq!(recent.get(&last), Some(&last), "after {n}");
            }
            assert!(recent.young.len() + recent.old.len() <= 8);
        }
        assert_eq!(recent.get(&50), None);
        recent.remove(&99);
        assert_eq!(recent.get(&99), None);
    }
}
