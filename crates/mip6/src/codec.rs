//! Mobility Headers: what is on the wire, and what it says.
//!
//! Decoding is strict where the RFCs are: what they have discarded is an [`Invalid`]. What they
//! have ignored (reserved bits, options that are not known, what stands behind the header) leaves
//! no trace, but for unknown options of Binding Updates and Acknowledgements.

pub mod binding;
pub mod error;
pub mod option;
pub mod proxy;

#[cfg(test)]
mod tests;

use std::net::Ipv6Addr;

use units::Sequence;

use crate::headers::{Headers, MOBILITY_HEADER};
use crate::rr::{Cookie, KeygenToken, NonceIndex};
pub(crate) use binding::ProxyOptions;
pub use binding::{BindingAcknowledgement, BindingUpdate, Lifetime, Status};
pub use error::{Invalid, TooLong};
pub use option::MobilityOption;
pub use proxy::{AccessTechnology, HandoffIndicator, LinkLayerId, NodeId, Timestamp};

/// IPPROTO_NONE: nothing follows.
const NO_NEXT_HEADER: u8 = 59;

/// Octets before the message data.
const FIXED: usize = 6;

/// Flags of a Binding Update.
mod update_flag {
    pub const A: u8 = 0x80;
    pub const H: u8 = 0x40;
    pub const L: u8 = 0x20;
    pub const K: u8 = 0x10;
    pub const M: u8 = 0x08;
    pub const P: u8 = 0x02;
}

/// Flags of a Binding Acknowledgement.
mod acknowledgement_flag {
    pub const K: u8 = 0x80;
    pub const P: u8 = 0x20;
}

/// MH Type (RFC 6275 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Binding Refresh Request.
    BindingRefreshRequest = 0,
    /// Home Test Init.
    HomeTestInit = 1,
    /// Care-of Test Init.
    CareOfTestInit = 2,
    /// Home Test.
    HomeTest = 3,
    /// Care-of Test.
    CareOfTest = 4,
    /// Binding Update.
    BindingUpdate = 5,
    /// Binding Acknowledgement.
    BindingAcknowledgement = 6,
    /// Binding Error.
    BindingError = 7,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::BindingRefreshRequest,
        Kind::HomeTestInit,
        Kind::CareOfTestInit,
        Kind::HomeTest,
        Kind::CareOfTest,
        Kind::BindingUpdate,
        Kind::BindingAcknowledgement,
        Kind::BindingError,
    ];

    /// The least Header Len that the type has, from "if no actual options are present".
    const fn least_len(self) -> u8 {
        match self {
            Kind::BindingRefreshRequest => 0,
            Kind::HomeTestInit | Kind::CareOfTestInit => 1,
            Kind::HomeTest | Kind::CareOfTest => 2,
            Kind::BindingUpdate | Kind::BindingAcknowledgement => 1,
            Kind::BindingError => 2,
        }
    }
}

/// Why a Binding Error is sent (RFC 6275 §6.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorStatus(pub u8);

impl ErrorStatus {
    /// Unknown binding for Home Address destination option.
    pub const UNKNOWN_BINDING: ErrorStatus = ErrorStatus(1);
    /// Unrecognized MH Type value.
    pub const UNKNOWN_TYPE: ErrorStatus = ErrorStatus(2);
}

/// A Mobility Header message.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Payload Proto |  Header Len   |   MH Type     |   Reserved    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |           Checksum            |   Message Data ...
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Binding Refresh Request (§6.1.2): a correspondent wants to keep its binding.
    BindingRefreshRequest,
    /// Home Test Init (§6.1.3).
    HomeTestInit {
        /// Home init cookie.
        cookie: Cookie,
    },
    /// Care-of Test Init (§6.1.4).
    CareOfTestInit {
        /// Care-of init cookie.
        cookie: Cookie,
    },
    /// Home Test (§6.1.5).
    HomeTest {
        /// Home nonce index.
        nonce: NonceIndex,
        /// Home init cookie, as it came.
        cookie: Cookie,
        /// Home keygen token.
        token: KeygenToken,
    },
    /// Care-of Test (§6.1.6).
    CareOfTest {
        /// Care-of nonce index.
        nonce: NonceIndex,
        /// Care-of init cookie, as it came.
        cookie: Cookie,
        /// Care-of keygen token.
        token: KeygenToken,
    },
    /// Binding Update.
    BindingUpdate(BindingUpdate),
    /// Binding Acknowledgement.
    BindingAcknowledgement(BindingAcknowledgement),
    /// Binding Error (§6.1.9).
    BindingError {
        /// Why.
        status: ErrorStatus,
        /// The home address in the packet that was the reason, or `::`.
        home_address: Ipv6Addr,
    },
}

/// The octets of the Mobility Header that a payload begins with: "octets past the end of the header
/// whose Next Header field contains 59 must be ignored" (RFC 8200 §4.7).
///
/// # Errors
/// [`Invalid::Truncated`].
pub fn header(payload: &[u8]) -> Result<&[u8], Invalid> {
    let present = payload.len();
    let expected = match payload {
        [_, units, ..] => (usize::from(*units) + 1) * 8,
        _ => 8,
    };
    let truncated = Invalid::Truncated { present, expected };
    payload.get(..expected).ok_or(truncated)
}

/// The checksum of a Mobility Header (RFC 6275 §6.1.1) under the addresses of a pseudo-header, its
/// own field counting as zero.
pub fn checksum(source: Ipv6Addr, destination: Ipv6Addr, header: &[u8]) -> u16 {
    let addresses = [source, destination];
    let words = addresses.iter().flat_map(|address| address.segments());
    let pseudo = words.map(u32::from).sum::<u32>() + header.len() as u32;
    let pseudo = pseudo + u32::from(MOBILITY_HEADER);
    let pairs = header.chunks(2).enumerate();
    let sum = pairs.fold(pseudo, |sum, (at, pair)| match (at, pair) {
        (2, _) => sum,
        (_, [high, low]) => sum + u32::from(u16::from_be_bytes([*high, *low])),
        (_, odd) => sum + (u32::from(odd[0]) << 8),
    });
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

impl Message {
    /// Its MH Type.
    pub const fn kind(&self) -> Kind {
        match self {
            Message::BindingRefreshRequest => Kind::BindingRefreshRequest,
            Message::HomeTestInit { .. } => Kind::HomeTestInit,
            Message::CareOfTestInit { .. } => Kind::CareOfTestInit,
            Message::HomeTest { .. } => Kind::HomeTest,
            Message::CareOfTest { .. } => Kind::CareOfTest,
            Message::BindingUpdate(_) => Kind::BindingUpdate,
            Message::BindingAcknowledgement(_) => Kind::BindingAcknowledgement,
            Message::BindingError { .. } => Kind::BindingError,
        }
    }

    /// Decodes and checks a received Mobility Header, in the order of RFC 6275 §9.2. The checksum
    /// is computed over the home addresses in `headers`, where there are any (§6.1.1, §11.3.1).
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn decode(headers: &Headers, payload: &[u8]) -> Result<Message, Invalid> {
        let header = header(payload)?;
        let expected = checksum(headers.sender(), headers.receiver(), header);
        let found = u16::from_be_bytes([header[4], header[5]]);
        // Zero has two forms in one's complement.
        if found != expected && (expected, found) != (0, u16::MAX) {
            return Err(Invalid::Checksum);
        }
        let kind = header[2];
        let known = Kind::ALL.iter().find(|known| **known as u8 == kind);
        let &known = known.ok_or(Invalid::Type(kind))?;
        if header[0] != NO_NEXT_HEADER {
            return Err(Invalid::PayloadProto(header[0]));
        }
        let (found, least) = (header[1], known.least_len());
        if found < least {
            return Err(Invalid::HeaderLen { kind, found, least });
        }
        Message::decode_data(known, &header[FIXED..])
    }

    /// Decodes the data of a message of a known type, of whose fixed part all octets are there.
    fn decode_data(kind: Kind, data: &[u8]) -> Result<Message, Invalid> {
        let u16_at = |at: usize| u16::from_be_bytes([data[at], data[at + 1]]);
        let eight_at = |at: usize| std::array::from_fn::<u8, 8, _>(|i| data[at + i]);
        let cookie = || Cookie(eight_at(2));
        let (message, options) = match kind {
            Kind::BindingRefreshRequest => (Message::BindingRefreshRequest, 2),
            Kind::HomeTestInit => (Message::HomeTestInit { cookie: cookie() }, 10),
            Kind::CareOfTestInit => (Message::CareOfTestInit { cookie: cookie() }, 10),
            Kind::HomeTest => {
                let message = Message::HomeTest {
                    nonce: NonceIndex(u16_at(0)),
                    cookie: cookie(),
                    token: KeygenToken(eight_at(10)),
                };
                (message, 18)
            }
            Kind::CareOfTest => {
                let message = Message::CareOfTest {
                    nonce: NonceIndex(u16_at(0)),
                    cookie: cookie(),
                    token: KeygenToken(eight_at(10)),
                };
                (message, 18)
            }
            Kind::BindingUpdate => {
                let flag = |flag| data[2] & flag != 0;
                let (options, authenticator) = option::decode_all(&data[6..])?;
                return Ok(Message::BindingUpdate(BindingUpdate {
                    sequence: Sequence(u16_at(0)),
                    acknowledge: flag(update_flag::A),
                    home_registration: flag(update_flag::H),
                    link_local_compatibility: flag(update_flag::L),
                    key_management: flag(update_flag::K),
                    map_registration: flag(update_flag::M),
                    proxy_registration: flag(update_flag::P),
                    lifetime: Lifetime(u16_at(4)),
                    options,
                    authenticator,
                }));
            }
            Kind::BindingAcknowledgement => {
                let (options, authenticator) = option::decode_all(&data[6..])?;
                return Ok(Message::BindingAcknowledgement(BindingAcknowledgement {
                    status: Status(data[0]),
                    key_management: data[1] & acknowledgement_flag::K != 0,
                    proxy_registration: data[1] & acknowledgement_flag::P != 0,
                    sequence: Sequence(u16_at(2)),
                    lifetime: Lifetime(u16_at(4)),
                    options,
                    authenticator,
                }));
            }
            Kind::BindingError => {
                let message = Message::BindingError {
                    status: ErrorStatus(data[0]),
                    home_address: std::array::from_fn::<u8, 16, _>(|i| data[2 + i]).into(),
                };
                (message, 18)
            }
        };
        // No option is valid here; one that is malformed makes the message so.
        option::decode_all(&data[options..]).map(|_| message)
    }

    /// The message's octets, with the checksum for its addresses.
    ///
    /// # Errors
    /// Its options do not fit.
    pub fn encode(&self, headers: &Headers) -> Result<Vec<u8>, TooLong> {
        let mut header = self.octets()?;
        let sum = checksum(headers.sender(), headers.receiver(), &header);
        header[4..FIXED].copy_from_slice(&sum.to_be_bytes());
        Ok(header)
    }

    /// The message's octets with a checksum of zero.
    pub(crate) fn octets(&self) -> Result<Vec<u8>, TooLong> {
        let mut header = vec![NO_NEXT_HEADER, 0, self.kind() as u8, 0, 0, 0];
        let mut authenticator = None;
        let mut options: &[MobilityOption] = &[];
        match self {
            Message::BindingRefreshRequest => header.extend([0, 0]),
            Message::HomeTestInit { cookie } | Message::CareOfTestInit { cookie } => {
                header.extend([0, 0]);
                header.extend(cookie.0);
            }
            Message::HomeTest {
                nonce,
                cookie,
                token,
            }
            | Message::CareOfTest {
                nonce,
                cookie,
                token,
            } => {
                header.extend(nonce.0.to_be_bytes());
                header.extend(cookie.0);
                header.extend(token.0);
            }
            Message::BindingUpdate(update) => {
                header.extend(update.sequence.0.to_be_bytes());
                header.extend([update.flags(), 0]);
                header.extend(update.lifetime.0.to_be_bytes());
                (options, authenticator) = (&update.options, update.authenticator);
            }
            Message::BindingAcknowledgement(answer) => {
                header.extend([answer.status.0, answer.flags()]);
                header.extend(answer.sequence.0.to_be_bytes());
                header.extend(answer.lifetime.0.to_be_bytes());
                (options, authenticator) = (&answer.options, answer.authenticator);
            }
            Message::BindingError {
                status,
                home_address,
            } => {
                header.extend([status.0, 0]);
                header.extend(home_address.octets());
            }
        }
        option::encode_all(options, authenticator, &mut header);
        let units = u8::try_from(header.len() / 8 - 1);
        header[1] = units.map_err(|_| TooLong(header.len()))?;
        Ok(header)
    }
}

impl BindingUpdate {
    fn flags(&self) -> u8 {
        let flags = [
            (self.acknowledge, update_flag::A),
            (self.home_registration, update_flag::H),
            (self.link_local_compatibility, update_flag::L),
            (self.key_management, update_flag::K),
            (self.map_registration, update_flag::M),
            (self.proxy_registration, update_flag::P),
        ];
        set(&flags)
    }
}

impl BindingAcknowledgement {
    fn flags(&self) -> u8 {
        let flags = [
            (self.key_management, acknowledgement_flag::K),
            (self.proxy_registration, acknowledgement_flag::P),
        ];
        set(&flags)
    }
}

/// The bits of the flags that are set.
fn set(flags: &[(bool, u8)]) -> u8 {
    let bits = flags.iter().map(|(set, bit)| if *set { *bit } else { 0 });
    bits.fold(0, |all, bit| all | bit)
}
