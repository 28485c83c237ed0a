//! Quantities as a topology writes them: a number, a blank, a unit.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ieee802154::serde_as_text;

/// Text that is not the quantity that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct QuantityError {
    text: String,
    expected: &'static str,
}

impl QuantityError {
    pub(crate) fn new(text: impl Into<String>, expected: &'static str) -> QuantityError {
        QuantityError {
            text: text.into(),
            expected,
        }
    }
}

/// Splits `-12.5 dB` into the number as written and the unit.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))?;
    let (number, unit) = text.split_at(end);
    let digits = number.trim_start_matches(['-', '+']);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.matches('.').count() <= 1
        && !digits.contains(['-', '+']);
    plain.then_some((number, unit.trim_start()))
}

/// `number` (decimal, as written) times `scale`, exactly, or `None` if it is negative, too
/// large or not a whole number: a lossy conversion is an error.
fn exact(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let divisor = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = digits.checked_mul(u128::from(scale))?;
    if scaled % divisor != 0 {
        return None;
    }
    u64::try_from(scaled / divisor).ok()
}

/// Prints `value / scale` as a decimal without an exponent or trailing zeros.
fn decimal(value: u64, scale: u64) -> String {
    let (whole, mut rest) = (value / scale, value % scale);
    let mut text = whole.to_string();
    if rest > 0 {
        text.push('.');
        let mut unit = scale;
        while rest > 0 {
            unit /= 10;
            text.push(char::from(b'0' + (rest / unit) as u8));
            rest %= unit;
        }
    }
    text
}

/// The largest unit of `table` that prints `value` with at most three decimals.
fn in_best_unit(value: u64, table: &[(&str, u64)]) -> String {
    let best = table
        .iter()
        .rev()
        .find(|(_, scale)| value >= *scale && u128::from(value) * 1000 % u128::from(*scale) == 0);
    let (unit, scale) = best
        .or(table.first())
        .expect("a table of units is not empty");
    format!("{} {unit}", decimal(value, *scale))
}

/// Attenuation, gain or margin, in decibel.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Db(pub f64);

/// Power relative to one milliwatt.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Dbm(pub f64);

impl Sub<Db> for Dbm {
    type Output = Dbm;
    fn sub(self, loss: Db) -> Dbm {
        Dbm(self.0 - loss.0)
    }
}

impl Add<Db> for Dbm {
    type Output = Dbm;
    fn add(self, gain: Db) -> Dbm {
        Dbm(self.0 + gain.0)
    }
}

impl Sub for Dbm {
    type Output = Db;
    fn sub(self, other: Dbm) -> Db {
        Db(self.0 - other.0)
    }
}

/// Implements text and serde for a quantity that is a float with one unit.
macro_rules! float_quantity {
    ($name:ident, $unit:literal, $expected:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{} ", $unit), self.0)
            }
        }
        impl FromStr for $name {
            type Err = QuantityError;
            fn from_str(text: &str) -> Result<Self, QuantityError> {
                match split(text) {
                    Some((number, $unit)) => number
                        .parse()
                        .map($name)
                        .map_err(|_| QuantityError::new(text, $expected)),
                    _ => Err(QuantityError::new(text, $expected)),
                }
            }
        }
    };
}
float_quantity!(Db, "dB", "an attenuation in dB, such as `90 dB`");
float_quantity!(Dbm, "dBm", "a power in dBm, such as `-85 dBm`");

/// What share of packets is lost, from 0 % to 100 %.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct LossRatio {
    percent: f64,
}

impl LossRatio {
    /// Nothing is lost.
    pub const NONE: LossRatio = LossRatio { percent: 0.0 };

    /// A probability from 0 to 1, rounded to a millionth; what is beyond is taken for the end.
    pub fn of(probability: f64) -> LossRatio {
        let millionths = (probability.clamp(0.0, 1.0) * 1e6).round();
        LossRatio {
            percent: millionths / 1e4,
        }
    }

    /// The probability that a packet is lost, from 0 to 1.
    pub fn probability(self) -> f64 {
        self.percent / 100.0
    }
}

impl fmt::Display for LossRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.percent)
    }
}

impl FromStr for LossRatio {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let percent: Option<f64> = match split(text) {
            Some((number, "%")) => number.parse().ok(),
            _ => None,
        };
        percent
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(|percent| LossRatio { percent })
            .ok_or_else(|| QuantityError::new(text, "a share from `0 %` to `100 %`"))
    }
}

/// A data rate in bit/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataRate {
    /// Bits per second.
    pub bits_per_second: u64,
}

const RATES: [(&str, u64); 4] = [
    ("bit/s", 1),
    ("kbit/s", 1_000),
    ("Mbit/s", 1_000_000),
    ("Gbit/s", 1_000_000_000),
];

impl fmt::Display for DataRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_best_unit(self.bits_per_second, &RATES))
    }
}

impl FromStr for DataRate {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        scaled(text, &RATES)
            .filter(|rate| *rate > 0)
            .map(|bits_per_second| DataRate { bits_per_second })
            .ok_or_else(|| {
                QuantityError::new(text, "a data rate such as `250 kbit/s` or `10 Mbit/s`")
            })
    }
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const SIZES: [(&str, u64); 4] = [("B", 1), ("kB", 1_000), ("KiB", 1_024), ("MiB", 1_048_576)];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B", self.0)
    }
}

impl FromStr for ByteSize {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        scaled(text, &SIZES).map(ByteSize).ok_or_else(|| {
            QuantityError::new(text, "a size in whole bytes, such as `16 B` or `2 KiB`")
        })
    }
}

fn scaled(text: &str, table: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = split(text)?;
    let (_, scale) = table.iter().find(|(name, _)| *name == unit)?;
    exact(number, *scale)
}

serde_as_text!(Db, Dbm, LossRatio, DataRate, ByteSize);

const DURATIONS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A duration as a topology writes it (`1.5 s`, `10 ms`); `µs` is read as well as `us`.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    scaled(&text.replace("µs", "us"), &DURATIONS)
        .map(Duration::from_nanos)
        .ok_or_else(|| {
            let expected = match text.trim_start().starts_with('-') {
                true => "a duration, which is never under 0, such as `1.5 s` or `10 ms`",
                false => "a duration such as `1.5 s`, `10 ms` or `2 min`",
            };
            QuantityError::new(text, expected)
        })
}

/// Prints a duration so that [`parse_duration`] gives it back: `1.5 s`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    in_best_unit(nanos, &DURATIONS[..4])
}

/// `#[serde(with = "units::quantity::duration")]`: a `Duration` as text with its unit.
pub mod duration {
    use super::*;

    /// Writes `1.5 s`.
    pub fn serialize<S: serde::Serializer>(value: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&format_duration(*value))
    }

    /// Reads `1.5 s`.
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        parse_duration(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_back_as_they_print() {
        for text in ["250 kbit/s", "10 Mbit/s", "1.5 Gbit/s", "7 bit/s"] {
            assert_eq!(text.parse::<DataRate>().unwrap().to_string(), text);
        }
        for text in [
            "1.5 s",
            "10 ms",
            "250 us",
            "3 ns",
            "90 s",
            "0 ns",
            "4294967295 s",
        ] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!("2 KiB".parse::<ByteSize>().unwrap(), ByteSize(2048));
        assert_eq!("-85 dBm".parse::<Dbm>().unwrap(), Dbm(-85.0));
        assert_eq!(Dbm(-85.5).to_string(), "-85.5 dBm");
    }

    #[test]
    fn a_wrong_unit_or_a_lossy_value_is_refused() {
        assert!("90".parse::<Db>().is_err());
        assert!("90 dBm".parse::<Db>().is_err());
        assert!("101 %".parse::<LossRatio>().is_err());
        assert!("-1 %".parse::<LossRatio>().is_err());
        assert!("0.1".parse::<LossRatio>().is_err());
        assert!("1.5 B".parse::<ByteSize>().is_err());
        assert!("0 bit/s".parse::<DataRate>().is_err());
        assert!(parse_duration("0.5 ns").is_err());
        assert!(parse_duration("-1 s").is_err());
        assert!(parse_duration("1..5 s").is_err());
        assert!(parse_duration("1e3 s").is_err());
        let error = parse_duration("10").unwrap_err().to_string();
        assert_eq!(
            error,
            "`10` is not a duration such as `1.5 s`, `10 ms` or `2 min`"
        );
    }
}
