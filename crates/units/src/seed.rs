//! One root seed per run, and a derived stream per purpose.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The generator of every core: ChaCha with 8 rounds, seeded from a [`Seed`].
pub type Rng = ChaCha8Rng;

/// The root seed of a run.
///
/// Streams are derived by name (SHA-256 over the seed and the length-prefixed path), so
/// adding a node or a purpose does not reshuffle the others.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The 32 bytes derived for `path`, for example `["node", "sensor", "coap"]`.
    pub fn bytes(self, path: &[&str]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.0.to_be_bytes());
        for part in path {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into()
    }

    /// The generator derived for `path`.
    pub fn rng(self, path: &[&str]) -> Rng {
        ChaCha8Rng::from_seed(self.bytes(path))
    }
}

/// A random word as a number from 0 to below 1: its upper 53 bits, all that a double between 1/2 and 1
/// can hold.
pub fn unit_interval(word: u64) -> f64 {
    (word >> 11) as f64 / (1_u64 << 53) as f64
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_path_and_by_seed_and_not_by_concatenation() {
        let seed = Seed(1);
        assert_eq!(seed.bytes(&["a", "b"]), seed.bytes(&["a", "b"]));
        assert_ne!(seed.bytes(&["a", "b"]), seed.bytes(&["ab"]));
        assert_ne!(seed.bytes(&["a"]), Seed(2).bytes(&["a"]));
    }
}
