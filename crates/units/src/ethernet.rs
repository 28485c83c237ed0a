//! Link-layer addresses of Ethernet.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::QuantityError;
use crate::ieee802154::serde_as_text;

/// A 48-bit MAC address, first octet on the wire first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EthernetAddress(pub [u8; 6]);

impl fmt::Display for EthernetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for EthernetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EthernetAddress({self})")
    }
}

impl FromStr for EthernetAddress {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let octet = |part: &str| match part.len() {
            2 => u8::from_str_radix(part, 16).ok(),
            _ => None,
        };
        let octets: Option<Vec<u8>> = text.split(':').map(octet).collect();
        let octets = octets.and_then(|octets| octets.try_into().ok());
        octets
            .map(EthernetAddress)
            .ok_or_else(|| QuantityError::new(text, "a MAC address such as `02:00:5e:10:00:01`"))
    }
}

serde_as_text!(EthernetAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses_read_back_as_they_print() {
        let mac: EthernetAddress = "02:00:5e:10:00:01".parse().unwrap();
        assert_eq!(mac.to_string(), "02:00:5e:10:00:01");
        assert!("02:00:5e:10:00".parse::<EthernetAddress>().is_err());
        assert!("02:00:5e:10:00:001".parse::<EthernetAddress>().is_err());
    }
}
