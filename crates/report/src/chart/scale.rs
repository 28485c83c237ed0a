//! From figures to places on an axis, and the round values at which it is ticked.

/// How an axis maps its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Equal differences are equally long.
    Linear,
    /// The same for counts and numbers of things: ticked at whole values only.
    Whole,
    /// Equal ratios are equally long; values are greater than 0.
    Log,
}

/// An axis: values from `min` to `max` onto places from `start` to `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    kind: Kind,
    min: f64,
    max: f64,
    start: f64,
    end: f64,
    /// From tick to tick: a difference, or a count of decades.
    step: f64,
}

impl Scale {
    /// An axis over `values` that begins and ends at a tick, with at most `ticks` of them (at
    /// least 2). Values that are not finite are passed over, and with [`Kind::Log`] those that
    /// are not greater than 0. Without any value it goes from 0 to 1 (1 to 10).
    pub fn round(
        kind: Kind,
        values: impl IntoIterator<Item = f64>,
        ticks: usize,
        (start, end): (f64, f64),
    ) -> Scale {
        let fits = |v: &f64| v.is_finite() && (kind != Kind::Log || *v > 0.0);
        let mut range: Option<(f64, f64)> = None;
        for value in values.into_iter().filter(fits) {
            let (low, high) = range.unwrap_or((value, value));
            range = Some((low.min(value), high.max(value)));
        }
        let (min, max, step) = match kind {
            Kind::Linear | Kind::Whole => {
                let (low, high) = range.map_or((0.0, 1.0), |(low, high)| apart(low, high));
                let least = if kind == Kind::Whole { 1.0 } else { 0.0 };
                let step = step((high - low) / (ticks.max(4) - 2) as f64).max(least);
                (
                    (low / step).floor() * step,
                    (high / step).ceil() * step,
                    step,
                )
            }
            Kind::Log => {
                let (low, high) = range.unwrap_or((1.0, 10.0));
                let low = low.log10().floor();
                let high = high.log10().ceil().max(low + 1.0);
                let step = ((high - low + 1.0) / ticks.max(2) as f64).ceil().max(1.0);
                (10f64.powf(low), 10f64.powf(high), step)
            }
        };
        Scale {
            kind,
            min,
            max,
            start,
            end,
            step,
        }
    }

    /// An axis from `min` to `max` as they are, with at most `ticks` between them.
    pub fn exact((min, max): (f64, f64), ticks: usize, (start, end): (f64, f64)) -> Scale {
        let (min, max) = apart(min, max);
        let step = step((max - min) / (ticks.max(4) - 2) as f64);
        Scale {
            kind: Kind::Linear,
            min,
            max,
            start,
            end,
            step,
        }
    }

    /// The place of `value`; values beyond the axis are put at its ends.
    pub fn at(&self, value: f64) -> f64 {
        let share = match self.kind {
            Kind::Linear | Kind::Whole => (value - self.min) / (self.max - self.min),
            Kind::Log => {
                let (min, max) = (self.min.log10(), self.max.log10());
                (value.max(self.min).log10() - min) / (max - min)
            }
        };
        self.start + share.clamp(0.0, 1.0) * (self.end - self.start)
    }

    /// Whether `value` is on the axis.
    pub fn has(&self, value: f64) -> bool {
        (self.min..=self.max).contains(&value)
    }

    /// The places of its ends, and the values there.
    pub fn ends(&self) -> [f64; 4] {
        [self.start, self.end, self.min, self.max]
    }

    /// Round values on the axis, ascending.
    pub fn ticks(&self) -> Vec<f64> {
        match self.kind {
            Kind::Linear | Kind::Whole => {
                // A tick is an end of the axis if only rounding keeps them apart.
                let first = (self.min / self.step - 1e-9).ceil();
                let last = (self.max / self.step + 1e-9).floor();
                let steps = (last - first).max(0.0) as usize;
                (0..=steps)
                    .map(|i| (first + i as f64) * self.step)
                    .collect()
            }
            Kind::Log => {
                let (first, last) = (self.min.log10().round(), self.max.log10().round());
                let powers = (0..=(last - first) as usize).step_by(self.step as usize);
                powers.map(|i| 10f64.powf(first + i as f64)).collect()
            }
        }
    }
}

/// Two values as they are, or a range around one.
fn apart(low: f64, high: f64) -> (f64, f64) {
    // Closer than floating point can tick apart: as good as one.
    if high - low > low.abs().max(high.abs()) * 1e-9 {
        (low, high)
    } else if low == 0.0 {
        (0.0, 1.0)
    } else {
        (low - low.abs() * 0.1, high + high.abs() * 0.1)
    }
}

/// The smallest of 1, 2 or 5 times a power of ten that is not under `least`. With `least` a span
/// divided by two less than the wanted ticks, there are no more of them even after both ends of
/// the span were moved outwards to a tick.
fn step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let fits = factors.iter().find(|f| **f * power >= least * (1.0 - 1e-9));
    fits.copied().unwrap_or(10.0) * power
}

/// The labels of `ticks`: as many decimals as tell them apart, thousands in groups.
pub fn labels(ticks: &[f64]) -> Vec<String> {
    let smallest = ticks.windows(2).map(|w| w[1] - w[0]);
    let smallest = smallest.fold(f64::INFINITY, f64::min);
    let decimals = match smallest.is_finite() && smallest < 1.0 {
        true => (-smallest.log10()).ceil().clamp(0.0, 9.0) as usize,
        false => 0,
    };
    ticks.iter().map(|t| number(*t, decimals)).collect()
}

/// A number with so many decimals and a thin gap between groups of thousands.
pub fn number(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
        out.push('-');
    }
    for (i, digit) in whole.chars().enumerate() {
        // Five digits and more are grouped.
        if i > 0 && whole.len() > 4 && (whole.len() - i) % 3 == 0 {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_stand_at_ones_twos_and_fives() {
        let ticks = |values: [f64; 2]| {
            let scale = Scale::round(Kind::Linear, values, 8, (0.0, 1.0));
            labels(&scale.ticks()).join(" ")
        };
        assert_eq!(ticks([0.0, 30.0]), "0 5 10 15 20 25 30");
        assert_eq!(ticks([-87.0, -61.0]), "-90 -85 -80 -75 -70 -65 -60");
        assert_eq!(ticks([0.0, 0.25]), "0.00 0.05 0.10 0.15 0.20 0.25");
        assert_eq!(
            ticks([0.0, 65_535.0]),
            "0 20\u{2009}000 40\u{2009}000 60\u{2009}000 80\u{2009}000"
        );
    }

    #[test]
    fn numbers_of_things_are_ticked_at_whole_values() {
        let scale = Scale::round(Kind::Whole, [7845.0, 7847.0], 8, (0.0, 1.0));
        assert_eq!(scale.ticks(), [7845.0, 7846.0, 7847.0]);
    }

    #[test]
    fn a_logarithmic_axis_is_ticked_at_powers_of_ten() {
        let scale = Scale::round(Kind::Log, [3.0, 900.0, 0.0, f64::NAN], 6, (0.0, 300.0));
        assert_eq!(scale.ticks(), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(scale.at(10.0).round(), 100.0);
        assert_eq!(scale.at(0.0), 0.0, "under the axis: at its end");
    }

    #[test]
    fn the_labels_of_powers_of_ten_have_the_decimals_of_the_least() {
        assert_eq!(labels(&[0.01, 0.1, 1.0]), ["0.01", "0.10", "1.00"]);
        assert_eq!(number(-0.001, 2), "0.00", "no minus before nothing");
    }

    proptest! {
        #[test]
        fn every_axis_has_two_to_count_round_ticks_that_hold_its_values(
            low in -1e6..1e6f64, span in 1e-6..1e6f64, count in 4..12usize,
        ) {
            let high = low + span;
            let scale = Scale::round(Kind::Linear, [low, high], count, (0.0, 500.0));
            let ticks = scale.ticks();
            prop_assert!((2..=count).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(scale.has(low) && scale.has(high));
            let step = ticks[1] - ticks[0];
            let mantissa = step / 10f64.powf((step * 1.000_001).log10().floor());
            // What is left of a difference of two ticks far from 0 is less exact than they are.
            let slack = 1e-6 + high.abs().max(low.abs()) / step * 1e-12;
            prop_assert!([1.0, 2.0, 5.0].iter().any(|m| (mantissa - m).abs() < slack), "{step}");
            for tick in &ticks {
                prop_assert!((tick / step - (tick / step).round()).abs() < slack, "{tick} {step}");
                prop_assert!((0.0..=500.0).contains(&scale.at(*tick)));
            }
            let labels = labels(&ticks);
            let mut distinct = labels.clone();
            distinct.dedup();
            prop_assert_eq!(labels, distinct);
        }

        #[test]
        fn a_single_value_or_none_has_an_axis_too(value in -1e9..1e9f64, kind in 0..3usize) {
            let kind = [Kind::Linear, Kind::Whole, Kind::Log][kind];
            for values in [vec![value], vec![]] {
                let scale = Scale::round(kind, values.clone(), 6, (10.0, 20.0));
                prop_assert!(scale.ticks().len() >= 2);
                for value in values {
                    prop_assert!((10.0..=20.0).contains(&scale.at(value)));
                }
            }
        }
    }
}
