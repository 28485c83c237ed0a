//! Link-layer identifiers of IEEE 802.15.4.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Dbm, QuantityError, Seed};

/// Uses `Display` and `FromStr` as the serde form, so that files show what a person writes.
macro_rules! serde_as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
pub(crate) use serde_as_text;

/// A 64-bit extended address, most significant byte first as it is printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Eui64(pub [u8; 8]);

impl Eui64 {
    /// A locally administered unicast address drawn from `seed` for node `name`.
    pub fn derive(seed: Seed, name: &str) -> Eui64 {
        let mut octets = [0; 8];
        octets.copy_from_slice(&seed.bytes(&["node", name, "eui64"])[..8]);
        octets[0] = (octets[0] & 0xfc) | 0x02;
        Eui64(octets)
    }

    /// The modified EUI-64 interface identifier (RFC 4291 appendix A): bit U/L inverted.
    pub fn interface_identifier(self) -> [u8; 8] {
        let mut iid = self.0;
        iid[0] ^= 0x02;
        iid
    }

    /// The address with `prefix`'s first 64 bits and this interface identifier.
    pub fn address_in(self, prefix: Ipv6Addr) -> Ipv6Addr {
        let mut octets = prefix.octets();
        octets[8..].copy_from_slice(&self.interface_identifier());
        octets.into()
    }

    /// `fe80::` and this interface identifier (RFC 4291 §2.5.6).
    pub fn link_local(self) -> Ipv6Addr {
        self.address_in(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0))
    }
}

impl fmt::Display for Eui64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if i > 0 { ":" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Eui64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Eui64({self})")
    }
}

impl FromStr for Eui64 {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let wrong = || QuantityError::new(text, "an EUI-64 such as 02:00:5e:10:00:00:00:01");
        let mut octets = [0; 8];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(wrong)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            Err(wrong())
        } else {
            Ok(Eui64(octets))
        }
    }
}

/// Parses `0x1a2b` or a decimal number.
fn parse_u16(text: &str) -> Option<u16> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if hex.len() <= 4 => u16::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None => text.parse().ok(),
    }
}

/// A PAN identifier (IEEE 802.15.4-2006 §7.2.1.3). `0xffff` is the broadcast PAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PanId(pub u16);

/// A 16-bit short address. `0xffff` broadcast, `0xfffe` none allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortAddress(pub u16);

impl fmt::Display for PanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

impl FromStr for PanId {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        match parse_u16(text) {
            Some(0xffff) | None => Err(QuantityError::new(text, "a PAN ID from 0x0000 to 0xfffe")),
            Some(id) => Ok(PanId(id)),
        }
    }
}

impl fmt::Display for ShortAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

impl FromStr for ShortAddress {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        match parse_u16(text) {
            Some(address) if address < 0xfffe => Ok(ShortAddress(address)),
            _ => Err(QuantityError::new(
                text,
                "a short address from 0x0000 to 0xfffd",
            )),
        }
    }
}

serde_as_text!(Eui64, PanId, ShortAddress);

/// A device's address in a MAC frame (IEEE 802.15.4-2006 §7.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MacAddress {
    /// 16 bits.
    Short(ShortAddress),
    /// 64 bits.
    Extended(Eui64),
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MacAddress::Short(short) => short.fmt(f),
            MacAddress::Extended(eui64) => eui64.fmt(f),
        }
    }
}

/// A channel of the 2.4 GHz O-QPSK PHY: page 0, 11 to 26 (IEEE 802.15.4-2006 §6.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Channel(u8);

impl Channel {
    /// The channel page of every [`Channel`].
    pub const PAGE: u8 = 0;

    /// The channel's number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Channel {
    type Error = QuantityError;
    fn try_from(number: u8) -> Result<Self, QuantityError> {
        if (11..=26).contains(&number) {
            Ok(Channel(number))
        } else {
            Err(QuantityError::new(
                number.to_string(),
                "a 2.4 GHz channel from 11 to 26",
            ))
        }
    }
}

impl From<Channel> for u8 {
    fn from(channel: Channel) -> u8 {
        channel.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Link quality indication, 0 (worst) to 255 (IEEE 802.15.4-2006 §6.9.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lqi(pub u8);

impl Lqi {
    /// Signal over the sensitivity at which LQI saturates.
    pub const SPAN: crate::Db = crate::Db(60.0);

    /// The LQI of a signal: linear from 1 at `sensitivity` to 255 at [`Lqi::SPAN`] above it,
    /// 0 under the sensitivity. The standard asks for 0-255, uniform between the lowest and
    /// highest signal detectable; the span is ours.
    pub fn from_rssi(rssi: Dbm, sensitivity: Dbm) -> Lqi {
        Lqi::over(rssi, sensitivity, Lqi::SPAN)
    }

    /// As [`Lqi::from_rssi`], of a radio whose LQI is 255 at `span` over its sensitivity.
    pub fn over(rssi: Dbm, sensitivity: Dbm, span: crate::Db) -> Lqi {
        let over = rssi.0 - sensitivity.0;
        if over < 0.0 {
            return Lqi(0);
        }
        Lqi((1.0 + 254.0 * (over / span.0).min(1.0)).round() as u8)
    }

    /// The signal that an LQI stands for, the inverse of [`Lqi::from_rssi`]: `sensitivity` at 1,
    /// `span` over it at 255, linear between; none at 0. With [`Lqi::SPAN`] one step is 0.24 dB.
    ///
    /// That an LQI is linear in the signal is an assumption, and `span` is the radio's own: the
    /// standard (§6.9.8) lets it be signal strength, signal-to-noise ratio, or both.
    pub fn to_rssi(self, sensitivity: Dbm, span: crate::Db) -> Option<Dbm> {
        let over = f64::from(self.0.checked_sub(1)?) / 254.0 * span.0;
        Some(sensitivity + crate::Db(over))
    }
}

impl fmt::Display for Lqi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Db;

    #[test]
    fn an_lqi_is_read_back_as_the_signal_that_it_was_made_of() {
        let sensitivity = Dbm(-85.0);
        for tenth in 0..=600 {
            let rssi = Dbm(-85.0 + f64::from(tenth) / 10.0);
            let lqi = Lqi::from_rssi(rssi, sensitivity);
            let back = lqi.to_rssi(sensitivity, Lqi::SPAN).unwrap();
            // Half a step of 60 dB in 254.
            assert!((back.0 - rssi.0).abs() <= 0.119, "{rssi}: {lqi}, {back}");
        }
    }

    #[test]
    fn the_ends_of_the_scale_are_the_sensitivity_and_the_span_over_it() {
        let sensitivity = Dbm(-101.0);
        assert_eq!(Lqi(0).to_rssi(sensitivity, Db(6.0)), None);
        assert_eq!(Lqi(1).to_rssi(sensitivity, Db(6.0)), Some(Dbm(-101.0)));
        assert_eq!(Lqi(128).to_rssi(sensitivity, Db(6.0)), Some(Dbm(-98.0)));
        assert_eq!(Lqi(255).to_rssi(sensitivity, Db(6.0)), Some(Dbm(-95.0)));
    }
}
