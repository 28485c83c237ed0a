//! Loss on top of a model's: what stands between two radios.
//!
//! Log-normal shadowing is normal in dB. While a radio moves it changes gradually: after a way
//! `d` it is correlated with what it was by `exp(-d / d0)` (Gudmundson, "Correlation Model for
//! Shadow Fading in Mobile Radio Systems", Electronics Letters 27(23), 1991). His base station
//! stands; where both ends move, the correlation is the product of both ends', so that `d` is the
//! sum of the two ways (Wang, Tameh and Nix, "Joint Shadowing Process in Urban Peer-to-Peer Radio
//! Channels", IEEE Trans. Vehicular Technology 57(1), 2008).
//!
//! It is a first-order autoregressive sequence on a grid of the way moved, 20 steps per
//! decorrelation distance, and between two points of the grid their weighted sum, scaled so that
//! the variance is the same everywhere. On the grid the correlation is exact; between, the
//! neighbours are joint in both values, which makes it at most 2.6 % of its value higher.
//!
//! The way moved is what counts and not the place: a radio that comes back finds other shadows.

use serde::{Deserialize, Serialize};
use units::{Db, Rng, Seed};

/// Points of the grid per decorrelation distance.
const STEPS: f64 = 20.0;

/// Loss on top of a model's: what stands between two radios.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadowing {
    /// Standard deviation.
    pub sigma: Db,
    /// Way, by both ends together, after which it is correlated by 1/e with what it was, metres.
    pub decorrelation_m: f64,
}

/// The shadowing of one link. Its values depend on the seed, the two names and the way moved,
/// and on nothing else: not on which ways were asked for before, how often, or in which order.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    shadowing: Shadowing,
    /// Generator as it was before the first value.
    start: Rng,
    rng: Rng,
    /// Index on the grid of `here`.
    index: u64,
    /// Values, of unit variance, at `index` and after it.
    here: f64,
    next: f64,
}

impl Process {
    /// The shadowing between `a` and `b`, whatever their order.
    pub(crate) fn new(shadowing: Shadowing, seed: Seed, a: &str, b: &str) -> Process {
        let (first, second) = if a <= b { (a, b) } else { (b, a) };
        let start = seed.rng(&["propagation", "shadowing", first, second]);
        let mut process = Process {
            shadowing,
            rng: start.clone(),
            start,
            index: 0,
            here: 0.0,
            next: 0.0,
        };
        process.rewind();
        process
    }

    /// Goes back to the beginning of the grid.
    fn rewind(&mut self) {
        self.rng = self.start.clone();
        self.index = 0;
        self.here = normal(&mut self.rng);
        self.next = self.after(self.here);
    }

    /// Correlation of two neighbours on the grid.
    fn rho() -> f64 {
        (-1.0 / STEPS).exp()
    }

    /// The value after `value` on the grid.
    fn after(&mut self, value: f64) -> f64 {
        let rho = Process::rho();
        rho * value + (1.0 - rho * rho).sqrt() * normal(&mut self.rng)
    }

    /// The loss after a way of `moved_m` metres by both ends together; may be negative. Its cost
    /// is the number of grid points since the last call, or since the start for a way back.
    pub(crate) fn loss(&mut self, moved_m: f64) -> Db {
        let place = moved_m * STEPS / self.shadowing.decorrelation_m;
        // `as` makes zero of what is negative or not a number.
        let index = place.floor() as u64;
        if index < self.index {
            self.rewind();
        }
        while self.index < index {
            self.here = self.next;
            self.next = self.after(self.here);
            self.index += 1;
        }
        let share = place - self.index as f64;
        let (near, far) = (1.0 - share, share);
        // Variance of the weighted sum of two unit normals with correlation rho.
        let variance = near * near + far * far + 2.0 * near * far * Process::rho();
        let value = (near * self.here + far * self.next) / variance.sqrt();
        Db(self.shadowing.sigma.0 * value)
    }
}

/// A standard normal draw (Box and Muller, Annals of Mathematical Statistics 29, 1958).
fn normal(rng: &mut Rng) -> f64 {
    use rand_core::Rng as _;
    // 53 bits, in (0, 1]: the logarithm of 0 is not a number.
    let mut uniform = || ((rng.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64;
    let radius = (-2.0 * uniform().ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform()).cos()
}

#[cfg(test)]
mod tests;
