//! 95 % confidence intervals over runs. Handovers of one run are not independent, so that a run
//! counts once, whatever it has: with its own mean, or its own median.

use serde::{Deserialize, Serialize};

use super::percentiles::Percentiles;
use super::row::Row;
use super::samples;

/// The 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_963_985;
/// Runs under which there is no interval: the expansion of the quantile is 0.2 % off at 5 degrees
/// of freedom and worse under it, and of five values not even all cover the median at 95 %.
pub const MIN_RUNS: usize = 6;

/// What of a sample is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Middle {
    /// The arithmetic mean; its interval is Student's t.
    Mean,
    /// The median; its interval is between two order statistics, whatever the distribution.
    Median,
}

/// An estimate with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Runs that it is of.
    pub runs: usize,
    /// The mean or the median of their values, in the figure's unit.
    pub value: f64,
    /// Its 95 % confidence interval.
    pub interval_95: [f64; 2],
}

impl Estimate {
    /// Of one value per run; `None` under [`MIN_RUNS`] values.
    ///
    /// ```
    /// use measure::distribution::interval::{Estimate, Middle};
    ///
    /// let median = Estimate::of(&[7.0, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0], Middle::Median).unwrap();
    /// assert_eq!((median.value, median.interval_95), (4.0, [1.0, 9.0]));
    /// ```
    pub fn of(values: &[f64], middle: Middle) -> Option<Estimate> {
        let (value, interval_95) = match middle {
            Middle::Mean => {
                let (mean, half) = (mean(values), half_width(values)?);
                (mean, [mean - half, mean + half])
            }
            Middle::Median => {
                let mut sorted = values.to_vec();
                sorted.sort_by(f64::total_cmp);
                let first = first_order(sorted.len())?;
                let interval = [sorted[first], sorted[sorted.len() - 1 - first]];
                (Percentiles::of(&sorted)?.median, interval)
            }
        };
        Some(Estimate {
            runs: values.len(),
            value,
            interval_95,
        })
    }

    /// The farther end of the interval from the value, as a share of it; 0 if they are one.
    pub fn share(&self) -> f64 {
        let [low, high] = self.interval_95;
        let half = (self.value - low).max(high - self.value);
        if half == 0.0 {
            return 0.0;
        }
        half / self.value.abs()
    }
}

/// The value of a measured run that it counts with, if it has the figure `name`.
pub fn of_run(row: &Row, name: &str, middle: Middle) -> Option<f64> {
    let sample = samples(&[row]).into_iter().find(|s| s.name == name)?;
    let percentiles = Percentiles::of(&sample.values)?;
    Some(match middle {
        Middle::Mean => percentiles.mean,
        Middle::Median => percentiles.median,
    })
}

/// The names of the figures that a run has.
pub fn names(row: &Row) -> Vec<String> {
    let samples = samples(&[row]).into_iter();
    let with_values = samples.filter(|sample| !sample.values.is_empty());
    with_values.map(|sample| sample.name).collect()
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Half of the 95 % confidence interval of the mean; `None` under [`MIN_RUNS`] values.
pub(super) fn half_width(values: &[f64]) -> Option<f64> {
    if values.len() < MIN_RUNS {
        return None;
    }
    let (n, mean) = (values.len() as f64, mean(values));
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Some(student_t(n - 1.0) * (variance / n).sqrt())
}

/// The 97.5 % quantile of Student's t (Abramowitz and Stegun 1964, 26.7.5).
fn student_t(degrees: f64) -> f64 {
    let z = |power| Z.powi(power);
    let g1 = (z(3) + z(1)) / 4.0;
    let g2 = (5.0 * z(5) + 16.0 * z(3) + 3.0 * z(1)) / 96.0;
    let g3 = (3.0 * z(7) + 19.0 * z(5) + 17.0 * z(3) - 15.0 * z(1)) / 384.0;
    Z + g1 / degrees + g2 / degrees.powi(2) + g3 / degrees.powi(3)
}

/// The order statistic, from 0, at which the interval of the median of `n` values begins; it ends as
/// far from the other end. So many values are below the median with the binomial distribution of n and
/// 1/2 (Conover 1999, section 3.2): each side is missed with at most 2.5 %.
fn first_order(n: usize) -> Option<usize> {
    // In logarithms: 2^-n is no number for a thousand runs.
    let mut logarithm = -(n as f64) * std::f64::consts::LN_2;
    let (mut missed, mut first) = (0.0, None);
    for below in 0..n / 2 {
        missed += logarithm.exp();
        if missed > 0.025 {
            break;
        }
        first = Some(below);
        logarithm += ((n - below) as f64).ln() - ((below + 1) as f64).ln();
    }
    first.filter(|_| n >= MIN_RUNS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::row::test_row;

    #[test]
    fn quantiles_are_those_of_the_printed_tables() {
        // Abramowitz and Stegun, table 26.10, A = 0.95.
        for (degrees, t, off) in [(5.0, 2.571, 4e-3), (10.0, 2.228, 1e-3), (30.0, 2.042, 1e-3)] {
            assert!(
                (student_t(degrees) - t).abs() < off,
                "{degrees}: {}",
                student_t(degrees)
            );
        }
    }

    #[test]
    fn the_medians_interval_begins_at_the_order_statistic_of_the_binomial_distribution() {
        // R: qbinom(0.025, n, 0.5) from 1, which is this from 0 plus 1, where
        // pbinom(qbinom(...), n, 0.5) is over 0.025: the order statistic of that number.
        for (n, first) in [
            (5, None),
            (6, Some(0)),
            (8, Some(0)),
            (9, Some(1)),
            (10, Some(1)),
            (20, Some(5)),
            (100, Some(39)),
            (1000, Some(468)),
            (10_000, Some(4901)),
        ] {
            assert_eq!(first_order(n), first, "{n}");
        }
    }

    #[test]
    fn an_estimate_says_how_far_its_interval_reaches() {
        let mean = Estimate::of(&[9.0, 11.0, 9.0, 11.0, 9.0, 11.0], Middle::Mean).unwrap();
        // Deviation sqrt(6 / 5), by sqrt(6), by 2.571.
        assert_eq!((mean.runs, mean.value), (6, 10.0));
        assert!((mean.share() - 0.1150).abs() < 2e-4, "{}", mean.share());
        let median = Estimate::of(&[8.0, 9.0, 10.0, 10.0, 11.0, 13.0], Middle::Median).unwrap();
        assert_eq!(
            (median.value, median.interval_95, median.share()),
            (10.0, [8.0, 13.0], 0.3)
        );
        for middle in [Middle::Mean, Middle::Median] {
            assert_eq!(Estimate::of(&[1.0; 5], middle), None);
            assert_eq!(Estimate::of(&[0.0; 6], middle).unwrap().share(), 0.0);
        }
    }

    #[test]
    fn a_run_counts_once_whatever_it_has() {
        let row = test_row(1, 1, &[1.0, 2.0, 6.0]);
        let of = |name, middle| of_run(&row, name, middle);
        assert_eq!(of("handover_delay_s", Middle::Mean), Some(3.0));
        assert_eq!(of("handover_delay_s", Middle::Median), Some(2.0));
        assert_eq!(of("lost", Middle::Mean), Some(0.0));
        assert_eq!(of("outage_s", Middle::Mean), None);
        assert_eq!(of("handover_dleay_s", Middle::Mean), None);
        let names = names(&row);
        assert!(names.contains(&"lost".to_owned()), "{names:?}");
        assert!(!names.contains(&"outage_s".to_owned()), "{names:?}");
    }
}
