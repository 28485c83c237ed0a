//! Percentiles of a sample.

use serde::{Deserialize, Serialize};

/// Percentiles of a sample: linear interpolation between the order statistics (Hyndman and Fan
/// 1996, definition 7).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Size of the sample.
    pub count: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Smallest.
    pub min: f64,
    /// 5th percentile.
    pub p5: f64,
    /// First quartile.
    pub q1: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub q3: f64,
    /// 95th percentile.
    pub p95: f64,
    /// Largest.
    pub max: f64,
}

impl Percentiles {
    /// The percentiles of `values`, or `None` of an empty sample.
    pub fn of(values: &[f64]) -> Option<Percentiles> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let at = |share: f64| {
            let place = share * (sorted.len() - 1) as f64;
            let (low, high) = (
                sorted[place.floor() as usize],
                sorted[place.ceil() as usize],
            );
            low + (high - low) * place.fract()
        };
        Some(Percentiles {
            count: sorted.len(),
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            min,
            p5: at(0.05),
            q1: at(0.25),
            median: at(0.5),
            q3: at(0.75),
            p95: at(0.95),
            max,
        })
    }

    /// The figures in the order of their names in JSON, without the count.
    pub fn figures(&self) -> [(&'static str, f64); 8] {
        [
            ("mean", self.mean),
            ("min", self.min),
            ("p5", self.p5),
            ("q1", self.q1),
            ("median", self.median),
            ("q3", self.q3),
            ("p95", self.p95),
            ("max", self.max),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_interpolate_between_order_statistics() {
        // R's default (type 7): quantile(c(1, 2, 3, 4)) gives 1, 1.75, 2.5, 3.25, 4, and
        // quantile(c(1, 2, 3, 4), c(0.05, 0.95)) gives 1.15, 3.85.
        let q = Percentiles::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(
            (q.min, q.q1, q.median, q.q3, q.max),
            (1.0, 1.75, 2.5, 3.25, 4.0)
        );
        assert!((q.p5 - 1.15).abs() < 1e-12 && (q.p95 - 3.85).abs() < 1e-12);
        assert_eq!((q.count, q.mean), (4, 2.5));
        let one = Percentiles::of(&[7.0]).unwrap();
        assert_eq!((one.count, one.p5, one.p95), (1, 7.0, 7.0));
        assert_eq!(Percentiles::of(&[]), None);
    }
}
