//! Random durations.

use std::time::Duration;

use rand_core::Rng as _;
use units::Rng;
use units::seed::unit_interval;

/// 53 bits, all that an f64 has.
const BITS: f64 = (1_u64 << 53) as f64;

/// A duration from zero up to, and without, `end`.
pub(crate) fn uniform(rng: &mut Rng, end: Duration) -> Duration {
    scaled(end, unit_interval(rng.next_u64()))
}

/// The time until the next event of a Poisson process with that mean.
pub(crate) fn exponential(rng: &mut Rng, mean: Duration) -> Duration {
    // In (0, 1].
    let unit = ((rng.next_u64() >> 11) + 1) as f64 / BITS;
    scaled(mean, -unit.ln())
}

fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::Seed;

    #[test]
    fn a_uniform_duration_lies_anywhere_before_its_end() {
        let mut rng = Seed(1).rng(&["draw"]);
        let end = Duration::from_secs(10);
        let mut drawn: Vec<f64> = (0..1000)
            .map(|_| uniform(&mut rng, end).as_secs_f64())
            .collect();
        drawn.sort_by(f64::total_cmp);
        assert!(drawn[0] < 0.1 && (9.9..10.0).contains(&drawn[999]));
        // Five standard deviations of a mean of 1000: 0.46.
        let mean: f64 = drawn.iter().sum::<f64>() / 1000.0;
        assert!((mean - 5.0).abs() < 0.46, "{mean}");
    }

    #[test]
    fn absurd_periods_saturate_instead_of_panicking() {
        let mut rng = Seed(1).rng(&["draw"]);
        for _ in 0..100 {
            exponential(&mut rng, Duration::MAX);
            uniform(&mut rng, Duration::MAX);
        }
    }
}
