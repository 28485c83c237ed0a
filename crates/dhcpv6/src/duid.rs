//! DHCP unique identifiers (RFC 8415 §11).

use std::fmt;

use units::Eui64;

/// DUID type 3: based on a link-layer address (RFC 8415 §11.4).
const DUID_LL: u16 = 3;
/// Hardware type 27: EUI-64 (IANA, ARP parameters).
const HARDWARE_EUI64: u16 = 27;

/// Least octets of a DUID: a type and something behind it.
const MIN_LENGTH: usize = 3;
/// Most octets of a DUID: "no more than 128 octets [...], not including the type code"
/// (RFC 8415 §11.1).
const MAX_LENGTH: usize = 130;

/// A DHCP unique identifier, opaque to everyone but its owner (RFC 8415 §11).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duid(Vec<u8>);

/// Octets that are no DUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DUID has {0} octets: expected 3 to 130")]
pub struct DuidLength(pub usize);

impl Duid {
    /// The DUID-LL of an IEEE 802.15.4 interface:
    ///
    /// ```text
    ///  0                   1                   2                   3
    ///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |         DUID-Type (3)         |     hardware type (27)        |
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |                       EUI-64 (8 octets)                       |
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// ```
    pub fn link_layer(address: Eui64) -> Duid {
        let mut octets = Vec::with_capacity(12);
        octets.extend(DUID_LL.to_be_bytes());
        octets.extend(HARDWARE_EUI64.to_be_bytes());
        octets.extend(address.0);
        Duid(octets)
    }

    /// The identifier's octets, type first.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for Duid {
    type Error = DuidLength;

    fn try_from(octets: Vec<u8>) -> Result<Duid, DuidLength> {
        match octets.len() {
            MIN_LENGTH..=MAX_LENGTH => Ok(Duid(octets)),
            length => Err(DuidLength(length)),
        }
    }
}

impl fmt::Display for Duid {
    /// Two hexadecimal digits per octet, colons between, as kea and dnsmasq print it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, octet) in self.0.iter().enumerate() {
            write!(f, "{}{octet:02x}", if i > 0 { ":" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Duid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Duid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_802_15_4_duid_is_type_3_hardware_27_and_the_eui64() {
        let duid = Duid::link_layer(Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 1]));
        assert_eq!(duid.to_string(), "00:03:00:1b:02:00:5e:10:00:00:00:01");
    }

    #[test]
    fn a_duid_has_3_to_130_octets() {
        for length in [3, 130] {
            assert!(Duid::try_from(vec![1; length]).is_ok());
        }
        for length in [0, 2, 131] {
            assert_eq!(Duid::try_from(vec![1; length]), Err(DuidLength(length)));
        }
    }
}
