//! Uniformly distributed delays.

use std::time::Duration;

use rand_core::Rng as _;
use units::Rng;

/// A duration between `min` and `max`, both included, in nanosecond steps. `max` less than
/// `min` counts as `min`. Draws exactly one number, so that settings do not shift the stream.
pub(crate) fn uniform(rng: &mut Rng, min: Duration, max: Duration) -> Duration {
    let span = max.saturating_sub(min).as_nanos().min(u128::from(u64::MAX));
    let part = (u128::from(rng.next_u64()) * (span + 1)) >> 64;
    // `part` is at most `span`, which was cut to 64 bits.
    min + Duration::from_nanos(part as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::Seed;

    #[test]
    fn both_ends_are_reached_and_never_passed() {
        let mut rng = Seed(1).rng(&["uniform"]);
        let (min, max) = (Duration::from_nanos(3), Duration::from_nanos(6));
        let mut seen = [0; 10];
        for _ in 0..400 {
            seen[uniform(&mut rng, min, max).as_nanos() as usize] += 1;
        }
        assert!(seen[3..=6].iter().all(|&n| n > 50), "{seen:?}");
        assert_eq!(seen.iter().sum::<i32>(), seen[3..=6].iter().sum());
    }

    #[test]
    fn an_empty_range_is_its_start() {
        let mut rng = Seed(1).rng(&["uniform"]);
        let second = Duration::from_secs(1);
        assert_eq!(uniform(&mut rng, second, Duration::ZERO), second);
    }
}
