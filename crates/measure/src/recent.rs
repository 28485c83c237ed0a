//! A map that forgets the oldest of very many: what is kept of a capture that may have been made to fill the
//! memory of who reads it.

use std::collections::BTreeMap;

/// Values by key, at most twice as many as it was made for: those that were put in latest, and those before.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    most: usize,
    latest: BTreeMap<K, V>,
    before: BTreeMap<K, V>,
}

impl<K: Ord, V> Recent<K, V> {
    /// One that keeps the latest `most` keys at least.
    pub(crate) fn new(most: usize) -> Recent<K, V> {
        Recent {
            most,
            latest: BTreeMap::new(),
            before: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.latest.get(key).or_else(|| self.before.get(key))
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.latest.len() >= self.most && !self.latest.contains_key(&key) {
            self.before = std::mem::take(&mut self.latest);
        }
        self.latest.insert(key, value);
    }

    /// Takes a key out, and gives what it had.
    pub(crate) fn take(&mut self, key: &K) -> Option<V> {
        let before = self.before.remove(key);
        self.latest.remove(key).or(before)
    }

    /// How many keys it holds, of which one may be in both generations.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.latest.len() + self.before.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_many_the_oldest_are_forgotten() {
        let mut recent = Recent::new(4);
        for n in 0..100 {
            recent.insert(n, n);
            assert!(recent.len() <= 8);
        }
        assert_eq!(recent.get(&90), None);
        assert_eq!(recent.get(&96), Some(&96));
        recent.insert(96, 7);
        assert_eq!(recent.take(&96), Some(7));
        assert_eq!(recent.get(&96), None, "in both generations");
    }
}
