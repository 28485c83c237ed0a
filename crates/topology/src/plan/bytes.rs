//! Bytes in a plan: as text where they are text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::scalar::{from_hex, to_hex};

/// Bytes of a payload or an option. A plan has them as `text:…`, or as `hex:…` where they are no text
/// without control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// Text that is no [`Bytes`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither `text:…` nor `hex:` and pairs of hexadecimal digits")]
pub struct NotBytes(String);

impl Bytes {
    /// Whether they are text without control characters but line feeds and tabs.
    pub fn is_text(&self) -> bool {
        let shown = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
        std::str::from_utf8(&self.0).is_ok_and(|text| text.chars().all(shown))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_text() {
            return write!(f, "text:{}", String::from_utf8_lossy(&self.0));
        }
        write!(f, "hex:{}", to_hex(&self.0))
    }
}

impl FromStr for Bytes {
    type Err = NotBytes;

    fn from_str(text: &str) -> Result<Bytes, NotBytes> {
        let read = match text.split_once(':') {
            Some(("text", text)) => Some(text.as_bytes().to_vec()),
            Some(("hex", digits)) => from_hex(digits),
            _ => None,
        };
        read.map(Bytes).ok_or_else(|| NotBytes(text.to_owned()))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Bytes, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_back_as_they_print() {
        for (bytes, text) in [
            (&b"21.5 K"[..], "text:21.5 K"),
            (b"a:b\n", "text:a:b\n"),
            (b"", "text:"),
            (b"\x00\xff", "hex:00ff"),
            (b"\x1b", "hex:1b"),
        ] {
            let bytes = Bytes(bytes.to_vec());
            assert_eq!(bytes.to_string(), text);
            assert_eq!(text.parse(), Ok(bytes));
        }
        for wrong in ["", "21.5", "hex:0", "hex:0g", "base64:AA=="] {
            assert!(wrong.parse::<Bytes>().is_err(), "{wrong}");
        }
    }
}
