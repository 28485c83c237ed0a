//! Neighbour discovery options (RFC 4861 §4.6), link-layer addresses as RFC 4944 §8 has them.

use std::fmt;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use units::{Eui64, ShortAddress};

use crate::error::Invalid;

/// Option types (RFC 4861 §4.6).
mod kind {
    pub const SOURCE_LINK_LAYER: u8 = 1;
    pub const PREFIX_INFORMATION: u8 = 3;
    pub const MTU: u8 = 5;
}

/// On-link flag of a prefix information option.
const FLAG_L: u8 = 0x80;
/// Autonomous address-configuration flag of a prefix information option.
const FLAG_A: u8 = 0x40;

/// A lifetime that does not end (RFC 4861 §4.6.2), in seconds.
pub const INFINITE_LIFETIME_S: u32 = u32::MAX;

/// A link-layer address of IEEE 802.15.4 (RFC 4944 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLayerAddress {
    /// EUI-64: the option takes two units of 8 octets, the last 6 of them padding.
    Extended(Eui64),
    /// 16-bit short address: one unit, the last 4 octets padding.
    Short(ShortAddress),
}

impl fmt::Display for LinkLayerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkLayerAddress::Extended(address) => address.fmt(f),
            LinkLayerAddress::Short(address) => address.fmt(f),
        }
    }
}

/// A prefix information option (RFC 4861 §4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixInformation {
    /// The prefix; bits behind its length are zero.
    pub prefix: Ipv6Net,
    /// L: addresses of the prefix are on the link.
    pub on_link: bool,
    /// A: hosts may form addresses from the prefix.
    pub autonomous: bool,
    /// Seconds that the prefix is valid; [`INFINITE_LIFETIME_S`] for ever.
    pub valid_lifetime_s: u32,
    /// Seconds that addresses formed from the prefix stay preferred.
    pub preferred_lifetime_s: u32,
}

impl PrefixInformation {
    /// The address that a host with link-layer address `eui64` forms, if the rules of
    /// RFC 4862 §5.5.3 a) to d) let it: the A flag is set, the prefix is not link-local, it
    /// is not preferred for longer than it is valid, its valid lifetime is not zero, and with
    /// the 64 bits of the interface identifier it makes 128.
    pub fn autonomous_address(&self, eui64: Eui64) -> Option<Ipv6Addr> {
        let allowed = self.autonomous
            && !self.prefix.network().is_unicast_link_local()
            && !self.prefix.network().is_multicast()
            && self.preferred_lifetime_s <= self.valid_lifetime_s
            && self.valid_lifetime_s > 0
            && self.prefix.prefix_len() == 64;
        allowed.then(|| eui64.address_in(self.prefix.network()))
    }
}

/// An option of a router solicitation or advertisement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NdOption {
    /// The sender's link-layer address (RFC 4861 §4.6.1, RFC 4944 §8).
    SourceLinkLayer(LinkLayerAddress),
    /// A prefix of the link (RFC 4861 §4.6.2).
    Prefix(PrefixInformation),
    /// The link's MTU in octets (RFC 4861 §4.6.4).
    Mtu(u32),
    /// Any other option, or one of the above in a form that is not known (the wrong length, a
    /// prefix longer than 128 bits, an Ethernet address); receivers ignore it.
    Unknown {
        /// Option type.
        kind: u8,
        /// What follows the length octet: 6 octets plus a multiple of 8.
        data: Vec<u8>,
    },
}

impl NdOption {
    /// Decodes the options that fill `bytes`.
    ///
    /// # Errors
    ///
    /// [`Invalid::ZeroLengthOption`] and [`Invalid::TruncatedOption`] (RFC 4861 §6.1.1).
    pub(crate) fn decode_all(mut bytes: &[u8]) -> Result<Vec<NdOption>, Invalid> {
        let mut options = Vec::new();
        while let [kind, units, ..] = *bytes {
            // "All included options have a length that is greater than zero."
            if units == 0 {
                return Err(Invalid::ZeroLengthOption { kind });
            }
            let length = usize::from(units) * 8;
            let Some((option, rest)) = bytes.split_at_checked(length) else {
                let present = bytes.len();
                return Err(Invalid::TruncatedOption {
                    kind,
                    length,
                    present,
                });
            };
            options.push(NdOption::decode(kind, &option[2..]));
            bytes = rest;
        }
        match *bytes {
            [kind] => Err(Invalid::TruncatedOption {
                kind,
                length: 8,
                present: 1,
            }),
            _ => Ok(options),
        }
    }

    /// Decodes what follows the length octet of one option.
    fn decode(kind: u8, data: &[u8]) -> NdOption {
        let known = match kind {
            kind::SOURCE_LINK_LAYER => decode_link_layer(data).map(NdOption::SourceLinkLayer),
            kind::PREFIX_INFORMATION => decode_prefix(data).map(NdOption::Prefix),
            kind::MTU => match *data {
                [_, _, a, b, c, d] => Some(NdOption::Mtu(u32::from_be_bytes([a, b, c, d]))),
                _ => None,
            },
            _ => None,
        };
        known.unwrap_or_else(|| NdOption::Unknown {
            kind,
            data: data.to_vec(),
        })
    }

    /// Appends the option. An [`NdOption::Unknown`] is padded with zeros to whole units of 8
    /// octets and cut at 255 units, which no decoded one needs.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            NdOption::SourceLinkLayer(LinkLayerAddress::Extended(address)) => {
                push(out, kind::SOURCE_LINK_LAYER, &address.0);
            }
            NdOption::SourceLinkLayer(LinkLayerAddress::Short(address)) => {
                push(out, kind::SOURCE_LINK_LAYER, &address.0.to_be_bytes());
            }
            NdOption::Prefix(prefix) => {
                push(out, kind::PREFIX_INFORMATION, &encode_prefix(prefix));
            }
            NdOption::Mtu(mtu) => {
                let [a, b, c, d] = mtu.to_be_bytes();
                push(out, kind::MTU, &[0, 0, a, b, c, d]);
            }
            NdOption::Unknown { kind, data } => push(out, *kind, data),
        }
    }
}

/// Appends an option of `kind` with `data`, padded to a multiple of 8 octets.
fn push(out: &mut Vec<u8>, kind: u8, data: &[u8]) {
    let units = (data.len() + 2).div_ceil(8).min(255);
    let data = &data[..data.len().min(units * 8 - 2)];
    out.extend([kind, units as u8]);
    out.extend(data);
    out.resize(out.len() + units * 8 - 2 - data.len(), 0);
}

/// The source link-layer address (RFC 4944 §8):
///
/// ```text
///  0                   1             0                   1
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+ +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |     Type      |   Length=2    | |     Type      |   Length=1    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+ +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |            EUI-64             | |     16-bit short address      |
/// +           (8 octets)          + +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+ |       Padding (4 octets)      |
/// |       Padding (6 octets)      | +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// One unit may also hold the 6 octets of an Ethernet address; RFC 4944 pads with zeros, so
/// anything else in the last four octets is none of ours.
fn decode_link_layer(data: &[u8]) -> Option<LinkLayerAddress> {
    match *data {
        [a, b, 0, 0, 0, 0] => Some(LinkLayerAddress::Short(ShortAddress(u16::from_be_bytes([
            a, b,
        ])))),
        [ref address @ .., _, _, _, _, _, _] => {
            let octets = <[u8; 8]>::try_from(address).ok()?;
            Some(LinkLayerAddress::Extended(Eui64(octets)))
        }
        _ => None,
    }
}

/// Prefix information (RFC 4861 §4.6.2), without type and length (4):
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |     Type=3    |   Length=4    | Prefix Length |L|A| Reserved1 |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                         Valid Lifetime (s)                    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       Preferred Lifetime (s)                  |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                           Reserved2                           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       Prefix (16 octets)                      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
fn decode_prefix(data: &[u8]) -> Option<PrefixInformation> {
    let data: &[u8; 30] = data.try_into().ok()?;
    let address: [u8; 16] = data[14..].try_into().ok()?;
    Some(PrefixInformation {
        // "The bits in the prefix after the prefix length are reserved and MUST be
        // initialized to zero by the sender and ignored by the receiver."
        prefix: Ipv6Net::new(address.into(), data[0]).ok()?.trunc(),
        on_link: data[1] & FLAG_L != 0,
        autonomous: data[1] & FLAG_A != 0,
        valid_lifetime_s: u32::from_be_bytes([data[2], data[3], data[4], data[5]]),
        preferred_lifetime_s: u32::from_be_bytes([data[6], data[7], data[8], data[9]]),
    })
}

/// The counterpart of [`decode_prefix`].
fn encode_prefix(prefix: &PrefixInformation) -> [u8; 30] {
    let mut data = [0; 30];
    data[0] = prefix.prefix.prefix_len();
    data[1] = if prefix.on_link { FLAG_L } else { 0 } | if prefix.autonomous { FLAG_A } else { 0 };
    data[2..6].copy_from_slice(&prefix.valid_lifetime_s.to_be_bytes());
    data[6..10].copy_from_slice(&prefix.preferred_lifetime_s.to_be_bytes());
    data[14..].copy_from_slice(&prefix.prefix.network().octets());
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slaac() -> PrefixInformation {
        PrefixInformation {
            prefix: "2001:db8:1::/64".parse().unwrap(),
            on_link: true,
            autonomous: true,
            valid_lifetime_s: 100,
            preferred_lifetime_s: 50,
        }
    }

    #[test]
    fn an_address_is_formed_only_where_rfc_4862_lets_a_host_do_so() {
        let eui64 = Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 1]);
        let formed = slaac().autonomous_address(eui64);
        assert_eq!(formed, Some("2001:db8:1::5e10:0:1".parse().unwrap()));
        for refused in [
            PrefixInformation {
                autonomous: false,
                ..slaac()
            },
            PrefixInformation {
                prefix: "fe80::/64".parse().unwrap(),
                ..slaac()
            },
            PrefixInformation {
                preferred_lifetime_s: 101,
                ..slaac()
            },
            PrefixInformation {
                valid_lifetime_s: 0,
                preferred_lifetime_s: 0,
                ..slaac()
            },
            PrefixInformation {
                prefix: "2001:db8::/48".parse().unwrap(),
                ..slaac()
            },
        ] {
            assert_eq!(refused.autonomous_address(eui64), None, "{refused:?}");
        }
    }

    #[test]
    fn known_types_of_the_wrong_form_are_kept_as_unknown() {
        for bytes in [
            // An Ethernet address.
            vec![1, 1, 2, 0, 0x5e, 0, 0, 1],
            // A prefix of 129 bits.
            [&[3, 4, 129, 0][..], &[0; 28]].concat(),
            // A prefix option of 8 octets.
            vec![3, 1, 64, 0, 0, 0, 0, 0],
            // An MTU option of 16.
            [&[5, 2][..], &[0; 14]].concat(),
        ] {
            let options = NdOption::decode_all(&bytes).unwrap();
            let expected = NdOption::Unknown {
                kind: bytes[0],
                data: bytes[2..].to_vec(),
            };
            assert_eq!(options, [expected]);
        }
    }

    #[test]
    fn an_unknown_option_is_padded_to_whole_units() {
        let mut out = Vec::new();
        let data = vec![7; 7];
        NdOption::Unknown { kind: 200, data }.encode(&mut out);
        assert_eq!(out, [200, 2, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0]);
    }
}
