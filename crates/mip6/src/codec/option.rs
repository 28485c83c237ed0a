//! Mobility options (RFC 6275 §6.2, RFC 5213 §8, RFC 4283): type, length, value, and where a value
//! has to stand.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::binding::Lifetime;
use super::error::Invalid;
use super::proxy::{AccessTechnology, HandoffIndicator, LinkLayerId, NodeId, Timestamp};
use crate::rr::{Authenticator, NonceIndex};

/// Option types.
pub(super) mod kind {
    pub const PAD_1: u8 = 0;
    pub const PAD_N: u8 = 1;
    pub const BINDING_REFRESH_ADVICE: u8 = 2;
    pub const ALTERNATE_CARE_OF_ADDRESS: u8 = 3;
    pub const NONCE_INDICES: u8 = 4;
    pub const BINDING_AUTHORIZATION_DATA: u8 = 5;
    pub const MOBILE_NODE_IDENTIFIER: u8 = 8;
    pub const HOME_NETWORK_PREFIX: u8 = 22;
    pub const HANDOFF_INDICATOR: u8 = 23;
    pub const ACCESS_TECHNOLOGY_TYPE: u8 = 24;
    pub const LINK_LAYER_IDENTIFIER: u8 = 25;
    pub const LINK_LOCAL_ADDRESS: u8 = 26;
    pub const TIMESTAMP: u8 = 27;
}

/// An option of a Binding Update or Acknowledgement, but for padding and for the Binding
/// Authorization Data, which is the last one and a field of its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MobilityOption {
    /// Binding Refresh Advice (RFC 6275 §6.2.4): when to register again.
    RefreshAdvice(Lifetime),
    /// Alternate Care-of Address (RFC 6275 §6.2.5).
    AlternateCareOf(Ipv6Addr),
    /// Nonce Indices (RFC 6275 §6.2.6).
    NonceIndices {
        /// Which nonce the home keygen token was made with.
        home: NonceIndex,
        /// Which nonce the care-of keygen token was made with.
        care_of: NonceIndex,
    },
    /// Mobile Node Identifier (RFC 4283 §3) with a network access identifier.
    NodeId(NodeId),
    /// Home Network Prefix (RFC 5213 §8.3); `::/0`, ALL_ZERO, asks for one.
    HomeNetworkPrefix(Ipv6Net),
    /// Handoff Indicator (RFC 5213 §8.4).
    Handoff(HandoffIndicator),
    /// Access Technology Type (RFC 5213 §8.5).
    AccessTechnology(AccessTechnology),
    /// Mobile Node Link-layer Identifier (RFC 5213 §8.6).
    LinkLayerId(LinkLayerId),
    /// Link-local Address (RFC 5213 §8.7); `::`, ALL_ZERO, asks for one.
    LinkLocal(Ipv6Addr),
    /// Timestamp (RFC 5213 §8.8).
    Timestamp(Timestamp),
    /// Any other option: "the receiver MUST quietly ignore and skip over the option" (RFC 6275
    /// §6.2.1).
    Unknown {
        /// Option type, none of the above, of padding or of Binding Authorization Data.
        kind: u8,
        /// Option data, at most 255 octets.
        data: Vec<u8>,
    },
}

/// What stands in an option's octets.
enum Read {
    Padding,
    Option(MobilityOption),
    Authenticator(Authenticator),
}

/// The options that fill `bytes`, and the authenticator behind them.
pub(super) fn decode_all(
    mut bytes: &[u8],
) -> Result<(Vec<MobilityOption>, Option<Authenticator>), Invalid> {
    let mut options = Vec::new();
    while let [kind, after @ ..] = bytes {
        if *kind == kind::PAD_1 {
            bytes = after;
            continue;
        }
        let truncated = Invalid::OptionTruncated { kind: *kind };
        let (&length, after) = after.split_first().ok_or(truncated)?;
        let value = after.split_at_checked(length.into());
        let (value, after) = value.ok_or(truncated)?;
        match decode(*kind, value)? {
            Read::Padding => {}
            Read::Option(option) => options.push(option),
            Read::Authenticator(authenticator) if after.is_empty() => {
                return Ok((options, Some(authenticator)));
            }
            Read::Authenticator(_) => return Err(Invalid::AuthorizationNotLast),
        }
        bytes = after;
    }
    Ok((options, None))
}

fn decode(kind: u8, value: &[u8]) -> Result<Read, Invalid> {
    let length = value.len();
    let wrong = Invalid::OptionLength { kind, length };
    let option = match kind {
        kind::PAD_N => return Ok(Read::Padding),
        kind::BINDING_AUTHORIZATION_DATA => {
            return Ok(Read::Authenticator(Authenticator(exactly(value, wrong)?)));
        }
        kind::BINDING_REFRESH_ADVICE => {
            MobilityOption::RefreshAdvice(Lifetime(u16::from_be_bytes(exactly(value, wrong)?)))
        }
        kind::ALTERNATE_CARE_OF_ADDRESS => {
            MobilityOption::AlternateCareOf(exactly::<16>(value, wrong)?.into())
        }
        kind::NONCE_INDICES => {
            let [a, b, c, d] = exactly(value, wrong)?;
            MobilityOption::NonceIndices {
                home: NonceIndex(u16::from_be_bytes([a, b])),
                care_of: NonceIndex(u16::from_be_bytes([c, d])),
            }
        }
        kind::MOBILE_NODE_IDENTIFIER => match value.split_first().ok_or(wrong)? {
            (&NodeId::NETWORK_ACCESS_IDENTIFIER, id) => MobilityOption::NodeId(NodeId(id.to_vec())),
            _ => unknown(kind, value),
        },
        kind::HOME_NETWORK_PREFIX => {
            let [_, bits, address @ ..] = exactly::<18>(value, wrong)?;
            let prefix = Ipv6Net::new(address.into(), bits);
            let prefix = prefix.map_err(|_| Invalid::PrefixLength(bits))?;
            MobilityOption::HomeNetworkPrefix(prefix.trunc())
        }
        kind::HANDOFF_INDICATOR => {
            let [_, value] = exactly(value, wrong)?;
            MobilityOption::Handoff(HandoffIndicator(value))
        }
        kind::ACCESS_TECHNOLOGY_TYPE => {
            let [_, value] = exactly(value, wrong)?;
            MobilityOption::AccessTechnology(AccessTechnology(value))
        }
        kind::LINK_LAYER_IDENTIFIER => match value {
            [_, _, id @ ..] => MobilityOption::LinkLayerId(LinkLayerId(id.to_vec())),
            _ => return Err(wrong),
        },
        kind::LINK_LOCAL_ADDRESS => MobilityOption::LinkLocal(exactly::<16>(value, wrong)?.into()),
        kind::TIMESTAMP => {
            MobilityOption::Timestamp(Timestamp(u64::from_be_bytes(exactly(value, wrong)?)))
        }
        _ => unknown(kind, value),
    };
    Ok(Read::Option(option))
}

fn exactly<const N: usize>(value: &[u8], wrong: Invalid) -> Result<[u8; N], Invalid> {
    value.try_into().map_err(|_| wrong)
}

fn unknown(kind: u8, value: &[u8]) -> MobilityOption {
    MobilityOption::Unknown {
        kind,
        data: value.to_vec(),
    }
}

/// Appends the options to a Mobility Header in the making, each where its alignment wants it, and
/// what fills the header up to 8 octets, with the authenticator as the last of it.
pub(super) fn encode_all(
    options: &[MobilityOption],
    authenticator: Option<Authenticator>,
    header: &mut Vec<u8>,
) {
    for option in options {
        option.encode(header);
    }
    match authenticator {
        // "An implicit alignment requirement is 8n + 2" (§6.2.7).
        Some(Authenticator(octets)) => {
            pad(header, 8, 2);
            header.extend([kind::BINDING_AUTHORIZATION_DATA, octets.len() as u8]);
            header.extend(octets);
        }
        None => pad(header, 8, 0),
    }
}

/// Pads a header to `multiple` n + `offset`: "if more than one octet of padding is required, the
/// PadN option ... should be used rather than multiple Pad1 options" (RFC 6275 §6.2.2).
fn pad(header: &mut Vec<u8>, multiple: usize, offset: usize) {
    let missing = (offset + multiple - header.len() % multiple) % multiple;
    match missing {
        0 => {}
        1 => header.push(kind::PAD_1),
        // At most 7.
        _ => {
            header.extend([kind::PAD_N, (missing - 2) as u8]);
            header.resize(header.len() + missing - 2, 0);
        }
    }
}

impl MobilityOption {
    fn encode(&self, header: &mut Vec<u8>) {
        let (multiple, offset) = self.alignment();
        pad(header, multiple, offset);
        let (kind, value) = self.value();
        // Every known value is shorter, and the others are bounded by their type.
        let length = value.len().min(255);
        header.extend([kind, length as u8]);
        header.extend(&value[..length]);
    }

    /// Where the option type has to stand: at `.0` n + `.1` octets.
    fn alignment(&self) -> (usize, usize) {
        match self {
            MobilityOption::RefreshAdvice(_) | MobilityOption::NonceIndices { .. } => (2, 0),
            MobilityOption::AlternateCareOf(_) | MobilityOption::LinkLocal(_) => (8, 6),
            MobilityOption::HomeNetworkPrefix(_) => (8, 4),
            MobilityOption::Timestamp(_) => (8, 2),
            // "Based on the size of the identifier, the option MUST be aligned appropriately" (RFC
            // 5213 §8.6): "fields of width n octets are placed at an integer multiple of n octets".
            MobilityOption::LinkLayerId(LinkLayerId(id)) => match id.len() {
                8 => (8, 4),
                4 => (4, 0),
                2 => (2, 0),
                _ => (1, 0),
            },
            MobilityOption::NodeId(_)
            | MobilityOption::Handoff(_)
            | MobilityOption::AccessTechnology(_)
            | MobilityOption::Unknown { .. } => (1, 0),
        }
    }

    /// Type and data.
    fn value(&self) -> (u8, Vec<u8>) {
        match self {
            MobilityOption::RefreshAdvice(Lifetime(units)) => {
                (kind::BINDING_REFRESH_ADVICE, units.to_be_bytes().to_vec())
            }
            MobilityOption::AlternateCareOf(address) => {
                (kind::ALTERNATE_CARE_OF_ADDRESS, address.octets().to_vec())
            }
            MobilityOption::NonceIndices { home, care_of } => {
                let value = [home.0.to_be_bytes(), care_of.0.to_be_bytes()];
                (kind::NONCE_INDICES, value.concat())
            }
            MobilityOption::NodeId(NodeId(id)) => {
                let value = [&[NodeId::NETWORK_ACCESS_IDENTIFIER][..], id];
                (kind::MOBILE_NODE_IDENTIFIER, value.concat())
            }
            MobilityOption::HomeNetworkPrefix(prefix) => {
                let value = [
                    &[0, prefix.prefix_len()][..],
                    &prefix.network().octets()[..],
                ];
                (kind::HOME_NETWORK_PREFIX, value.concat())
            }
            MobilityOption::Handoff(HandoffIndicator(value)) => {
                (kind::HANDOFF_INDICATOR, vec![0, *value])
            }
            MobilityOption::AccessTechnology(AccessTechnology(value)) => {
                (kind::ACCESS_TECHNOLOGY_TYPE, vec![0, *value])
            }
            MobilityOption::LinkLayerId(LinkLayerId(id)) => {
                (kind::LINK_LAYER_IDENTIFIER, [&[0, 0][..], id].concat())
            }
            MobilityOption::LinkLocal(address) => {
                (kind::LINK_LOCAL_ADDRESS, address.octets().to_vec())
            }
            MobilityOption::Timestamp(Timestamp(value)) => {
                (kind::TIMESTAMP, value.to_be_bytes().to_vec())
            }
            MobilityOption::Unknown { kind, data } => (*kind, data.clone()),
        }
    }
}
