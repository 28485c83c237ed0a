//! Numbers that say which of two messages is the newer one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A sequence number of 16 bits, compared by serial number arithmetic (RFC 1982 §3.2, SERIAL_BITS
/// 16; the same window as RFC 6275 §9.5.1, where the last number and the 32768 before it are old).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sequence(pub u16);

impl Sequence {
    /// Whether a message with this number is newer than the one with `last`. Two numbers that
    /// are 32768 apart have no order (RFC 1982 §3.2): neither is newer.
    ///
    /// ```
    /// use units::Sequence;
    /// assert!(Sequence(1).is_newer_than(Sequence(0xffff)));
    /// assert!(!Sequence(0xffff).is_newer_than(Sequence(1)));
    /// assert!(!Sequence(5).is_newer_than(Sequence(5)));
    /// ```
    pub const fn is_newer_than(self, last: Sequence) -> bool {
        let ahead = self.0.wrapping_sub(last.0);
        ahead != 0 && ahead < 0x8000
    }

    /// The number after this one.
    pub const fn next(self) -> Sequence {
        Sequence(self.0.wrapping_add(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_ordered_as_rfc_1982_defines_it() {
        // §3.2: s1 > s2 if s1 > s2 and s1 - s2 < 2^15, or s1 < s2 and s2 - s1 > 2^15.
        let newer = |s1: u16, s2: u16| {
            (s1 > s2 && u32::from(s1) - u32::from(s2) < 1 << 15)
                || (s1 < s2 && u32::from(s2) - u32::from(s1) > 1 << 15)
        };
        let interesting = [0, 1, 2, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff];
        for s1 in interesting {
            for s2 in interesting {
                let found = Sequence(s1).is_newer_than(Sequence(s2));
                assert_eq!(found, newer(s1, s2), "{s1} newer than {s2}");
            }
        }
    }

    #[test]
    fn the_example_of_rfc_6275_is_ordered_as_it_says() {
        // §9.5.1: "if the last received sequence number was 15, then messages with sequence numbers
        // 0 through 15, as well as 32783 through 65535, would be considered less than or equal."
        for number in 0..=u16::MAX {
            let old = number <= 15 || number >= 32_783;
            assert_eq!(
                Sequence(number).is_newer_than(Sequence(15)),
                !old,
                "{number}"
            );
        }
    }
}
