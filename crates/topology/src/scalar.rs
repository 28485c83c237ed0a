//! The quantities, identifiers and words that a topology file holds.

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use serde_json::{Value, json};
use units::quantity::parse_duration;
use units::{
    ByteSize, Channel, DataRate, Db, Dbm, EthernetAddress, Eui64, LossRatio, PanId, ShortAddress,
};

use crate::decode::{Scalar, whole};
use crate::diagnostic::not_a_word;
pub use crate::tree::{ScalarKind, ScalarText};
use propagation::import::Format;

/// A decimal number as quantities write it.
const NUMBER: &str = r"[0-9]+(\.[0-9]+)?";

/// Stands in for a duration that could not be read: as long as a scenario may be.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Text with a unit, parsed by `parse`.
fn quantity<T, E: std::fmt::Display>(
    scalar: &ScalarText,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, String> {
    let missing = if scalar.kind == ScalarKind::Number {
        " (the unit is missing)"
    } else {
        ""
    };
    parse(&scalar.text).map_err(|error| format!("{error}{missing}"))
}

/// Implements [`Scalar`] for a type with a `FromStr` whose error says what would be right.
macro_rules! quantity {
    ($name:ty, $title:expr, $parse:expr, $pattern:expr, $example:literal $(, $stand_in:expr)?) => {
        impl Scalar for $name {
            fn read(scalar: &ScalarText) -> Result<Self, String> {
                quantity(scalar, $parse)
            }
            fn schema() -> Value {
                json!({
                    "title": $title, "type": "string", "pattern": $pattern, "examples": [$example],
                })
            }
            $(
                fn stand_in() -> Option<Self> {
                    Some($stand_in)
                }
            )?
        }
    };
}

quantity!(
    Duration,
    "duration",
    parse_duration,
    format!("^{NUMBER} *(ns|us|µs|ms|s|min|h)$"),
    "10 ms",
    LONG
);
quantity!(
    Db,
    "loss",
    str::parse,
    format!("^-?{NUMBER} *dB$"),
    "90 dB",
    Db(0.0)
);
quantity!(
    Dbm,
    "power",
    str::parse,
    format!("^-?{NUMBER} *dBm$"),
    "-85 dBm",
    Dbm(0.0)
);
quantity!(
    LossRatio,
    "share",
    str::parse,
    format!("^{NUMBER} *%$"),
    "1 %",
    LossRatio::NONE
);
quantity!(
    DataRate,
    "data rate",
    str::parse,
    format!("^{NUMBER} *(bit|kbit|Mbit|Gbit)/s$"),
    "250 kbit/s"
);
quantity!(
    ByteSize,
    "size",
    str::parse,
    format!("^{NUMBER} *(B|kB|KiB|MiB)$"),
    "16 B"
);
quantity!(
    Eui64,
    "EUI-64",
    str::parse,
    "^([0-9a-fA-F]{2}[:-]){7}[0-9a-fA-F]{2}$",
    "02:00:5e:10:00:00:00:01"
);
quantity!(
    Ipv6Addr,
    "IPv6 address",
    |text: &str| text
        .parse::<Ipv6Addr>()
        .map_err(|_| format!("`{text}` is not an IPv6 address such as `2001:db8::1`")),
    "^[0-9a-fA-F:.]+$",
    "2001:db8::1"
);
quantity!(
    Ipv6Net,
    "IPv6 prefix",
    |text: &str| text
        .parse::<Ipv6Net>()
        .map_err(|_| format!("`{text}` is not an IPv6 prefix such as `2001:db8:1::/64`")),
    "^[0-9a-fA-F:.]+/[0-9]{1,3}$",
    "2001:db8:1::/64"
);

quantity!(
    EthernetAddress,
    "MAC address",
    str::parse,
    "^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$",
    "02:00:5e:10:00:01"
);

/// `number unit` with one of `units`: the number times the unit's first figure, over its second.
/// Both are whole numbers where they can be, so that `200 nA` is 0.0002 mA and nothing near it.
fn with_unit(text: &str, units: &[(&str, f64, f64)]) -> Option<f64> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))?;
    let (number, unit) = text.split_at(end);
    let (_, factor, divisor) = units.iter().find(|(name, ..)| *name == unit.trim_start())?;
    let value = number.parse::<f64>().ok()? * factor / divisor;
    value.is_finite().then_some(value)
}

/// A coordinate or length in metres, at most 1000 km either way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metres(pub f64);
quantity!(
    Metres,
    "length",
    |text: &str| with_unit(text, &[("m", 1.0, 1.0)])
        .filter(|metres| metres.abs() <= propagation::Position::LIMIT_M)
        .map(Metres)
        .ok_or_else(|| {
            format!(
                "`{text}` is not a coordinate or length in metres up to 1000 km, such as `12.5 m`"
            )
        }),
    format!("^-?{NUMBER} *m$"),
    "12.5 m",
    Metres(1.0)
);

/// A speed in metres per second, over 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(pub f64);
quantity!(
    Speed,
    "speed",
    |text: &str| with_unit(text, &[("m/s", 1.0, 1.0), ("km/h", 1.0, 3.6)])
        .filter(|speed| *speed > 0.0)
        .map(Speed)
        .ok_or_else(|| format!("`{text}` is not a speed over 0, such as `1.4 m/s` or `5 km/h`")),
    format!("^{NUMBER} *(m/s|km/h)$"),
    "1.4 m/s",
    Speed(1e6)
);

/// Declares a quantity that is a float, 0 or more, with these units.
macro_rules! amount {
    ($(#[$meta:meta])* $name:ident, $units:expr, $pattern:literal, $expected:literal, $example:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name(pub f64);
        quantity!(
            $name,
            $expected.trim_start_matches("a "),
            |text: &str| with_unit(text, &$units)
                .filter(|value| *value >= 0.0)
                .map($name)
                .ok_or_else(|| format!("`{text}` is not {}, such as `{}`", $expected, $example)),
            format!(concat!("^{}", $pattern), NUMBER),
            $example,
            $name(1.0)
        );
    };
}
amount!(
    /// A voltage in volts.
    Volts, [("V", 1.0, 1.0)], " *V$", "a voltage", "3.3 V"
);
amount!(
    /// A current in milliamperes.
    Milliamperes,
    [("mA", 1.0, 1.0), ("uA", 1.0, 1e3), ("µA", 1.0, 1e3), ("nA", 1.0, 1e6)],
    " *(mA|uA|µA|nA)$",
    "a current",
    "17.4 mA"
);
amount!(
    /// A frequency in hertz.
    Hertz, [("MHz", 1e6, 1.0), ("GHz", 1e9, 1.0)], " *(MHz|GHz)$", "a frequency", "2440 MHz"
);

impl Scalar for Channel {
    fn read(scalar: &ScalarText) -> Result<Self, String> {
        let expected = "a 2.4 GHz channel from 11 to 26";
        u8::try_from(whole(scalar, expected)?)
            .ok()
            .and_then(|number| Channel::try_from(number).ok())
            .ok_or_else(|| format!("`{}` is not {expected}", scalar.text))
    }
    fn schema() -> Value {
        json!({ "title": "channel", "type": "integer", "minimum": 11, "maximum": 26 })
    }
}

/// Implements [`Scalar`] for a 16-bit identifier under `$limit`.
macro_rules! identifier {
    ($name:ident, $limit:literal, $expected:literal) => {
        impl Scalar for $name {
            fn read(scalar: &ScalarText) -> Result<Self, String> {
                u16::try_from(whole(scalar, $expected)?)
                    .ok()
                    .filter(|id| *id < $limit)
                    .map($name)
                    .ok_or_else(|| format!("`{}` is not {}", scalar.text, $expected))
            }
            fn schema() -> Value {
                json!({ "type": "integer", "minimum": 0, "maximum": $limit - 1 })
            }
        }
    };
}
// 0xffff is the broadcast PAN, 0xfffe "no short address" (IEEE 802.15.4-2006 §7.2.1).
identifier!(PanId, 0xffff, "a PAN ID from 0x0000 to 0xfffe");
identifier!(
    ShortAddress,
    0xfffe,
    "a short address from 0x0000 to 0xfffd"
);

/// Implements [`Scalar`] for an enumeration.
macro_rules! words {
    ($name:ident, $($word:literal => $value:ident),+) => {
        impl $crate::decode::Scalar for $name {
            fn read(scalar: &$crate::tree::ScalarText) -> Result<Self, String> {
                use $crate::tree::ScalarKind::{Plain, Quoted};
                match (scalar.kind, scalar.text.as_str()) {
                    $((Plain | Quoted, $word) => Ok($name::$value),)+
                    (_, other) => Err($crate::diagnostic::not_a_word(other, &[$($word),+])),
                }
            }
            fn schema() -> serde_json::Value {
                serde_json::json!({ "type": "string", "enum": [$($word),+] })
            }
            fn guess(scalar: &$crate::tree::ScalarText) -> Option<Self> {
                match $crate::diagnostic::misspelt(&scalar.text, &[$($word),+])? {
                    $($word => Some($name::$value),)+
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use words;

words!(Format, "bonnmotion" => Bonnmotion, "ns2" => Ns2);

/// A Content-Format (RFC 7252 §12.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentFormat(pub u16);

/// Content-Formats by name, from the CoRE Parameters registry.
const CONTENT_FORMATS: [(&str, u16); 9] = [
    ("text/plain", 0),
    ("application/link-format", 40),
    ("application/xml", 41),
    ("application/octet-stream", 42),
    ("application/json", 50),
    ("application/cbor", 60),
    ("application/senml+json", 110),
    ("application/senml+cbor", 112),
    ("application/merge-patch+json", 52),
];

impl Scalar for ContentFormat {
    fn read(scalar: &ScalarText) -> Result<Self, String> {
        if scalar.kind == ScalarKind::Number {
            let expected = "a Content-Format from 0 to 65535";
            let number = u16::try_from(whole(scalar, expected)?);
            return number
                .map(ContentFormat)
                .map_err(|_| format!("`{}` is not {expected}", scalar.text));
        }
        let known = CONTENT_FORMATS
            .iter()
            .find(|(name, _)| *name == scalar.text);
        known
            .map(|(_, number)| ContentFormat(*number))
            .ok_or_else(|| {
                let names = CONTENT_FORMATS.map(|(name, _)| name);
                format!(
                    "{}; any other by its number",
                    not_a_word(&scalar.text, &names)
                )
            })
    }
    fn schema() -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": u16::MAX },
            { "type": "string", "enum": CONTENT_FORMATS.map(|(name, _)| name) },
        ] })
    }
}

/// Bytes as pairs of hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl Scalar for HexBytes {
    fn read(scalar: &ScalarText) -> Result<Self, String> {
        from_hex(&scalar.text).map(HexBytes).ok_or_else(|| {
            format!(
                "`{}` is not pairs of hexadecimal digits such as `0a0b`",
                scalar.text
            )
        })
    }
    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^([0-9a-fA-F]{2})*$", "examples": ["0a0b"] })
    }
}

/// The bytes that pairs of hexadecimal digits stand for; `None` if they are none.
pub fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = digits
        .chars()
        .map(|c| Some(u8::try_from(c.to_digit(16)?).expect("a digit is under 16")))
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    let pairs = digits.chunks_exact(2);
    Some(pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Bytes as pairs of hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether frames can pass a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// As the attenuation says.
    Up,
    /// Never.
    Down,
}
words!(LinkState, "up" => Up, "down" => Down);

/// The right-hand side of an expectation, as text: `1`, `">= 1"`, `"< 100 ms"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition(pub String);

impl Scalar for Condition {
    fn read(scalar: &ScalarText) -> Result<Self, String> {
        match scalar.kind {
            ScalarKind::Bool => Err(format!(
                "`{}` is not a condition such as `1` or `\">= 1\"`",
                scalar.text
            )),
            _ => match misspelt_operator(&scalar.text) {
                Some((wrong, right)) => Err(format!(
                    "`{}`: `{wrong}` is not `<`, `<=`, `==`, `>=` or `>`; did you mean `{right}`?",
                    scalar.text
                )),
                None => Ok(Condition(scalar.text.clone())),
            },
        }
    }
    fn schema() -> Value {
        json!({
            "title": "condition",
            "type": ["string", "integer"],
            "minimum": 0,
            "pattern": format!("^ *(<|<=|==|>=|>)? *{NUMBER}( *(ns|us|µs|ms|s|min|h|%|mJ|J))?$"),
            "examples": [1, ">= 1", ">= 99 %", "< 2 J", "< 100 ms"]
        })
    }
}

/// An operator as other languages have it at the front of a condition, and ours.
fn misspelt_operator(condition: &str) -> Option<(&'static str, &'static str)> {
    const MISSPELT: [(&str, &str); 7] = [
        ("=<", "<="),
        ("=>", ">="),
        ("===", "=="),
        ("≤", "<="),
        ("≥", ">="),
        (">>", ">"),
        ("<<", "<"),
    ];
    let text = condition.trim_start();
    let found = MISSPELT.iter().find(|(wrong, _)| text.starts_with(wrong));
    let single = text.starts_with('=') && !text.starts_with("==");
    found.copied().or(single.then_some(("=", "==")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::DadMode;

    fn read<T: Scalar>(text: &str, kind: ScalarKind) -> Result<T, String> {
        T::read(&ScalarText {
            text: text.to_owned(),
            kind,
        })
    }

    #[test]
    fn a_number_without_its_unit_is_refused_with_what_would_be_right() {
        assert_eq!(
            read::<Duration>("10", ScalarKind::Number).unwrap_err(),
            "`10` is not a duration such as `1.5 s`, `10 ms` or `2 min` (the unit is missing)"
        );
        assert_eq!(
            read::<Db>("90 dBm", ScalarKind::Plain).unwrap_err(),
            "`90 dBm` is not an attenuation in dB, such as `90 dB`"
        );
        assert!(read::<Metres>("10 km", ScalarKind::Plain).is_err());
        assert!(read::<Speed>("0 m/s", ScalarKind::Plain).is_err());
    }

    #[test]
    fn identifiers_are_numbers_without_quotes_in_range() {
        assert_eq!(read("0x1a2b", ScalarKind::Number), Ok(PanId(0x1a2b)));
        assert_eq!(
            read::<PanId>("0xffff", ScalarKind::Number).unwrap_err(),
            "`0xffff` is not a PAN ID from 0x0000 to 0xfffe"
        );
        assert_eq!(
            read::<Channel>("27", ScalarKind::Number).unwrap_err(),
            "`27` is not a 2.4 GHz channel from 11 to 26"
        );
        assert_eq!(
            read::<Channel>("15", ScalarKind::Quoted).unwrap_err(),
            "`\"15\"` in quotes is text, not a 2.4 GHz channel from 11 to 26; write `15`"
        );
        assert!(read::<u64>("-1", ScalarKind::Number).is_err());
        assert!(read::<u32>("1.5", ScalarKind::Number).is_err());
        assert!(read::<String>("1", ScalarKind::Number).is_err());
        assert!(read::<bool>("yes", ScalarKind::Plain).is_err());
    }

    #[test]
    fn a_small_unit_is_the_decimal_that_was_written() {
        let current = |text| read::<Milliamperes>(text, ScalarKind::Plain);
        assert_eq!(current("200 nA"), Ok(Milliamperes(0.0002)));
        assert_eq!(current("900 uA"), Ok(Milliamperes(0.9)));
        assert_eq!(current("17.4 mA"), Ok(Milliamperes(17.4)));
        assert!(current("-1 mA").is_err());
        let frequency = |text| read::<Hertz>(text, ScalarKind::Plain);
        assert_eq!(frequency("2.44 GHz"), frequency("2440 MHz"));
        assert_eq!(
            frequency("2440 Hz").unwrap_err(),
            "`2440 Hz` is not a frequency, such as `2440 MHz`"
        );
    }

    #[test]
    fn a_word_that_is_nearly_right_is_suggested() {
        assert_eq!(
            read::<DadMode>("optimist", ScalarKind::Plain).unwrap_err(),
            "`optimist` is not `normal`, `optimistic` or `off`; did you mean `optimistic`?"
        );
    }
}
