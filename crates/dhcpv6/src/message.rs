//! Client and server messages (RFC 8415 §8), reduced to what this crate acts on.
//!
//! The octets are written and read by `dhcproto`. Its decoder stops silently at the first
//! option that it dislikes, subtracts lengths without looking (an overflow on a short status
//! code) and recurses as deep as a datagram nests, so [`Message::decode`] first sifts: it walks
//! the options strictly, drops those that nobody here reads (unknown options are
//! ignored, RFC 8415 §16) and hands the rest over. `dhcproto`'s constructors draw a
//! transaction ID from a global generator; ours comes in as an argument.

use std::net::Ipv6Addr;

use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, ORO, OptionCode, StatusCode as WireStatus, UnknownOption,
};
use dhcproto::{Decodable, Decoder, Encodable, Encoder};

use crate::Duid;

pub use dhcproto::v6::{MessageType, Status as StatusCode};

/// Option codes (RFC 8415 §21).
mod code {
    pub const CLIENT_ID: u16 = 1;
    pub const SERVER_ID: u16 = 2;
    pub const IA_NA: u16 = 3;
    pub const IA_ADDR: u16 = 5;
    pub const OPTION_REQUEST: u16 = 6;
    pub const PREFERENCE: u16 = 7;
    pub const ELAPSED_TIME: u16 = 8;
    pub const STATUS_CODE: u16 = 13;
    pub const RAPID_COMMIT: u16 = 14;
    pub const SOL_MAX_RT: u16 = 82;
}

/// SOL_MAX_RT option, which clients must ask for (RFC 8415 §18.2.1).
pub const OPTION_SOL_MAX_RT: u16 = code::SOL_MAX_RT;

/// A lifetime or T1/T2 that does not end (RFC 8415 §7.7), in seconds.
pub const INFINITY_S: u32 = u32::MAX;

/// Why octets are no client or server message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than message type and transaction ID.
    #[error("message has {0} octets: expected at least 4")]
    TooShort(usize),
    /// A relay agent's message, or one that RFC 8415 does not define.
    #[error("message type {0} is no client's or server's (RFC 8415 §7.3)")]
    Type(u8),
    /// An option header or option that ends behind what contains it.
    #[error("option {code} claims {length} octets: {present} are left")]
    Truncated {
        /// Option code; 0 if the header itself is cut.
        code: u16,
        /// Octets that it claims.
        length: usize,
        /// Octets that are left.
        present: usize,
    },
    /// An option with a length that its code does not allow.
    #[error("option {code} has {length} octets: not possible (RFC 8415 §21)")]
    Length {
        /// Option code.
        code: u16,
        /// Octets that it has.
        length: usize,
    },
    /// A status message that is not UTF-8 (RFC 8415 §21.13).
    #[error("status message is not UTF-8")]
    StatusText,
    /// `dhcproto` refused what the sieve let through.
    #[error("option after code {after} cannot be decoded")]
    Codec {
        /// Code of the last option that could.
        after: u16,
    },
}

/// A status (RFC 8415 §21.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The code.
    pub code: StatusCode,
    /// Text for people.
    pub message: String,
}

/// An address in an identity association (RFC 8415 §21.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IaAddress {
    /// The address.
    pub address: Ipv6Addr,
    /// Preferred lifetime in seconds.
    pub preferred_s: u32,
    /// Valid lifetime in seconds.
    pub valid_s: u32,
    /// Status of this address.
    pub status: Option<Status>,
}

/// An identity association for non-temporary addresses (RFC 8415 §21.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IaNa {
    /// The client's number for it.
    pub iaid: u32,
    /// Seconds until the server that gave it is asked again; 0: as the client likes.
    pub t1_s: u32,
    /// Seconds until any server is asked; 0: as the client likes.
    pub t2_s: u32,
    /// Its addresses.
    pub addresses: Vec<IaAddress>,
    /// Status of the association.
    pub status: Option<Status>,
}

/// A message between client and server (RFC 8415 §8):
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |    msg-type   |               transaction-id                  |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                            options                            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// Of an option that may occur once, the first counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Message type.
    pub kind: MessageType,
    /// Transaction ID.
    pub xid: [u8; 3],
    /// Client Identifier.
    pub client_id: Option<Duid>,
    /// Server Identifier.
    pub server_id: Option<Duid>,
    /// Identity associations for non-temporary addresses.
    pub ia_nas: Vec<IaNa>,
    /// Option Request: the codes that a client asks for.
    pub requested: Vec<u16>,
    /// Preference of an Advertise; absent counts as 0.
    pub preference: Option<u8>,
    /// Elapsed Time in hundredths of a second.
    pub elapsed_cs: Option<u16>,
    /// Status of the message.
    pub status: Option<Status>,
    /// Rapid Commit.
    pub rapid_commit: bool,
    /// SOL_MAX_RT in seconds, where it is within its limits (RFC 8415 §21.24).
    pub sol_max_rt_s: Option<u32>,
}

impl Message {
    /// A message without options.
    pub fn new(kind: MessageType, xid: [u8; 3]) -> Message {
        Message {
            kind,
            xid,
            client_id: None,
            server_id: None,
            ia_nas: Vec::new(),
            requested: Vec::new(),
            preference: None,
            elapsed_cs: None,
            status: None,
            rapid_commit: false,
            sol_max_rt_s: None,
        }
    }

    /// Decodes a UDP payload.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Message, Malformed> {
        let [kind, a, b, c, ref options @ ..] = *bytes else {
            return Err(Malformed::TooShort(bytes.len()));
        };
        let message_type = MessageType::from(kind);
        if !(1..=11).contains(&kind) {
            return Err(Malformed::Type(kind));
        }
        let mut sifted = Vec::with_capacity(bytes.len());
        sift(options, Level::Message, &mut sifted)?;
        let mut message = Message::new(message_type, [a, b, c]);
        for option in decode_options(&sifted)? {
            message.take(option)?;
        }
        Ok(message)
    }

    /// The message's octets, options in the order of their codes.
    pub fn encode(&self) -> Vec<u8> {
        let mut options = DhcpOptions::new();
        let client_id = self.client_id.as_ref();
        let server_id = self.server_id.as_ref();
        let requested = self.requested.iter().map(|&c| OptionCode::from(c));
        let all = [
            client_id.map(|duid| DhcpOption::ClientId(duid.as_bytes().to_vec())),
            server_id.map(|duid| DhcpOption::ServerId(duid.as_bytes().to_vec())),
            (!self.requested.is_empty()).then(|| {
                DhcpOption::ORO(ORO {
                    opts: requested.collect(),
                })
            }),
            self.preference.map(DhcpOption::Preference),
            self.elapsed_cs.map(DhcpOption::ElapsedTime),
            self.status.as_ref().map(wire_status),
            self.rapid_commit.then_some(DhcpOption::RapidCommit),
            self.sol_max_rt_s.map(|seconds| {
                let octets = seconds.to_be_bytes().to_vec();
                DhcpOption::Unknown(UnknownOption::new(OptionCode::SolMaxRt, octets))
            }),
        ];
        all.into_iter()
            .flatten()
            .for_each(|option| options.insert(option));
        // `DhcpOptions::insert` puts an option before those of the same code.
        for ia in self.ia_nas.iter().rev() {
            options.insert(DhcpOption::IANA(ia.to_wire()));
        }
        let [a, b, c] = self.xid;
        [
            &[u8::from(self.kind), a, b, c][..],
            &encode_options(&options),
        ]
        .concat()
    }

    /// Takes an option that the sieve let through.
    fn take(&mut self, option: DhcpOption) -> Result<(), Malformed> {
        match option {
            DhcpOption::ClientId(duid) => keep_first(&mut self.client_id, valid_duid(1, duid)?),
            DhcpOption::ServerId(duid) => keep_first(&mut self.server_id, valid_duid(2, duid)?),
            DhcpOption::IANA(ia) => self.ia_nas.push(IaNa::from_wire(ia)),
            DhcpOption::ORO(ORO { opts }) => {
                self.requested.extend(opts.into_iter().map(u16::from));
            }
            DhcpOption::Preference(preference) => keep_first(&mut self.preference, preference),
            DhcpOption::ElapsedTime(elapsed) => keep_first(&mut self.elapsed_cs, elapsed),
            DhcpOption::StatusCode(status) => keep_first(&mut self.status, status.into()),
            DhcpOption::RapidCommit => self.rapid_commit = true,
            DhcpOption::Unknown(option) => {
                // Only SOL_MAX_RT passes the sieve. §21.24: "A DHCP client MUST ignore any
                // SOL_MAX_RT option values that are less than 60 or more than 86400."
                if let [a, b, c, d] = *option.data() {
                    let seconds = u32::from_be_bytes([a, b, c, d]);
                    if (60..=86_400).contains(&seconds) {
                        keep_first(&mut self.sol_max_rt_s, seconds);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn keep_first<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

fn valid_duid(code: u16, octets: Vec<u8>) -> Result<Duid, Malformed> {
    Duid::try_from(octets).map_err(|error| Malformed::Length {
        code,
        length: error.0,
    })
}

impl IaNa {
    fn from_wire(ia: IANA) -> IaNa {
        let mut addresses = Vec::new();
        let mut status = None;
        for option in ia.opts {
            match option {
                DhcpOption::IAAddr(address) => addresses.push(IaAddress::from_wire(address)),
                DhcpOption::StatusCode(found) => keep_first(&mut status, found.into()),
                _ => {}
            }
        }
        IaNa {
            iaid: ia.id,
            t1_s: ia.t1,
            t2_s: ia.t2,
            addresses,
            status,
        }
    }

    fn to_wire(&self) -> IANA {
        let mut opts = DhcpOptions::new();
        for address in self.addresses.iter().rev() {
            opts.insert(DhcpOption::IAAddr(address.to_wire()));
        }
        if let Some(status) = &self.status {
            opts.insert(wire_status(status));
        }
        IANA {
            id: self.iaid,
            t1: self.t1_s,
            t2: self.t2_s,
            opts,
        }
    }
}

impl IaAddress {
    fn from_wire(address: IAAddr) -> IaAddress {
        let status = address.opts.into_iter().find_map(|option| match option {
            DhcpOption::StatusCode(status) => Some(status.into()),
            _ => None,
        });
        IaAddress {
            address: address.addr,
            preferred_s: address.preferred_life,
            valid_s: address.valid_life,
            status,
        }
    }

    fn to_wire(&self) -> IAAddr {
        IAAddr {
            addr: self.address,
            preferred_life: self.preferred_s,
            valid_life: self.valid_s,
            opts: self.status.iter().map(wire_status).collect(),
        }
    }
}

impl From<WireStatus> for Status {
    fn from(status: WireStatus) -> Status {
        Status {
            code: status.status,
            message: status.msg,
        }
    }
}

fn wire_status(status: &Status) -> DhcpOption {
    DhcpOption::StatusCode(WireStatus {
        status: status.code,
        msg: status.message.clone(),
    })
}

/// What an option stands in, which says which options count there and bounds the recursion.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Message,
    IaNa,
    IaAddr,
}

/// Copies the options that are read at `level` from `bytes` to `out`, after checking each.
fn sift(mut bytes: &[u8], level: Level, out: &mut Vec<u8>) -> Result<(), Malformed> {
    while !bytes.is_empty() {
        let (code, data, rest) = split_option(bytes)?;
        bytes = rest;
        let wanted = match level {
            Level::Message => !matches!(code, code::IA_ADDR),
            Level::IaNa => matches!(code, code::IA_ADDR | code::STATUS_CODE),
            Level::IaAddr => code == code::STATUS_CODE,
        };
        let nested = match code {
            code::IA_NA => Some((12, Level::IaNa)),
            code::IA_ADDR => Some((24, Level::IaAddr)),
            _ => None,
        };
        if !wanted || !is_read(code) {
            continue;
        }
        check_length(code, data)?;
        let mut body = data.to_vec();
        if let Some((fixed, level)) = nested {
            body.truncate(fixed);
            sift(&data[fixed..], level, &mut body)?;
        }
        out.extend(code.to_be_bytes());
        // Not longer than `data`, whose length came from a 16-bit field.
        out.extend((body.len() as u16).to_be_bytes());
        out.extend(body);
    }
    Ok(())
}

/// The first option of `bytes`: its code, its data and what follows it (RFC 8415 §21.1).
pub(crate) fn split_option(bytes: &[u8]) -> Result<(u16, &[u8], &[u8]), Malformed> {
    let [c0, c1, l0, l1, ref rest @ ..] = *bytes else {
        return Err(Malformed::Truncated {
            code: 0,
            length: 4,
            present: bytes.len(),
        });
    };
    let code = u16::from_be_bytes([c0, c1]);
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    match rest.split_at_checked(length) {
        Some((data, rest)) => Ok((code, data, rest)),
        None => Err(Malformed::Truncated {
            code,
            length,
            present: rest.len(),
        }),
    }
}

/// Whether this crate reads options of `code` anywhere.
fn is_read(code: u16) -> bool {
    matches!(
        code,
        code::CLIENT_ID
            | code::SERVER_ID
            | code::IA_NA
            | code::IA_ADDR
            | code::OPTION_REQUEST
            | code::PREFERENCE
            | code::ELAPSED_TIME
            | code::STATUS_CODE
            | code::RAPID_COMMIT
            | code::SOL_MAX_RT
    )
}

/// Refuses a length that is impossible for `code` (RFC 8415 §21).
fn check_length(code: u16, data: &[u8]) -> Result<(), Malformed> {
    let length = data.len();
    let possible = match code {
        code::IA_NA => length >= 12,
        code::IA_ADDR => length >= 24,
        code::OPTION_REQUEST => length.is_multiple_of(2),
        code::PREFERENCE => length == 1,
        code::ELAPSED_TIME => length == 2,
        code::STATUS_CODE => length >= 2,
        code::RAPID_COMMIT => length == 0,
        code::SOL_MAX_RT => length == 4,
        _ => true,
    };
    if !possible {
        return Err(Malformed::Length { code, length });
    }
    if code == code::STATUS_CODE && std::str::from_utf8(&data[2..]).is_err() {
        return Err(Malformed::StatusText);
    }
    Ok(())
}

/// Decodes sifted options, in their order; nothing may be left over.
fn decode_options(sifted: &[u8]) -> Result<Vec<DhcpOption>, Malformed> {
    let mut decoder = Decoder::new(sifted);
    let mut options = Vec::new();
    let mut after = 0;
    while !decoder.buffer().is_empty() {
        let option = DhcpOption::decode(&mut decoder).map_err(|_| Malformed::Codec { after })?;
        after = OptionCode::from(&option).into();
        options.push(option);
    }
    Ok(options)
}

fn encode_options(options: &DhcpOptions) -> Vec<u8> {
    let mut out = Vec::new();
    options
        .encode(&mut Encoder::new(&mut out))
        .expect("a Vec takes every octet, and no name is encoded");
    out
}
