//! The hash of the history's maps.
//!
//! Peers choose what is hashed. A key that none of them knows keeps them from choosing all for one
//! bucket; it comes from the endpoint's generator, so that a run can be repeated.

use std::hash::{BuildHasher, Hasher};

/// Makes hashers with one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed(pub(super) u64);

impl BuildHasher for Keyed {
    type Hasher = Fold;

    fn build_hasher(&self) -> Fold {
        Fold(self.0)
    }
}

/// Multiplies by an odd constant and folds the product: every bit of a word reaches every bit.
#[derive(Debug)]
pub(super) struct Fold(u64);

/// 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming 3, §6.4).
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Fold {
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word).wrapping_mul(FACTOR.into());
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(word.into());
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// What a map looks at first: some low bits, and the upper seven.
    #[test]
    fn neighbouring_keys_are_spread_over_the_buckets() {
        let hash = |peer: u64, message_id: u16| {
            Keyed(0x1234_5678_9abc_def0).hash_one((0x2001_0db8_u64 << 32, peer, message_id))
        };
        let hashes = (0..64).flat_map(|peer| (0..64).map(move |id| hash(peer, id)));
        let hashes: Vec<u64> = hashes.collect();
        let low: HashSet<u64> = hashes.iter().map(|hash| hash & 0xfff).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        // 4096 balls hit 63 % of as many bins.
        assert!(low.len() > 2400, "{} of 4096", low.len());
        assert_eq!(high.len(), 128);
    }

    #[test]
    fn another_key_gives_other_hashes() {
        assert_ne!(Keyed(1).hash_one(7_u64), Keyed(2).hash_one(7_u64));
    }
}
