//! The message format (RFC 7252 §3): bytes to [`Message`] and back.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Ver| T |  TKL  |      Code     |          Message ID           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Token (if any, TKL bytes) ...                               |
//! |   Options (if any) ...                                        |
//! |1 1 1 1 1 1 1 1|    Payload (if any) ...                       |
//! ```
//!
//! Codes of the reserved classes 1, 6 and 7 decode, because whether to reject them is the
//! endpoint's business and a capture may hold them.

use std::fmt;

use thiserror::Error;

use crate::message::{Code, Kind, Options, Response};

/// The longest option value that the format can express: 269 + 65535 (RFC 7252 §3.1).
const MAX_OPTION_LENGTH: usize = 269 + 0xffff;

/// Version of the protocol (RFC 7252 §3).
const VERSION: u8 = 1;

/// Payload marker (RFC 7252 §3).
pub(crate) const PAYLOAD_MARKER: u8 = 0xff;

/// Most messages have no more options than this.
const USUAL_OPTIONS: usize = 8;

/// A token: 0 to 8 opaque bytes (RFC 7252 §5.3.1).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    length: u8,
    /// Zero beyond `length`.
    bytes: [u8; 8],
}

impl Token {
    /// The token of length zero.
    pub const EMPTY: Token = Token {
        length: 0,
        bytes: [0; 8],
    };

    /// A token of up to 8 bytes; `None` if there are more.
    pub fn new(value: &[u8]) -> Option<Token> {
        let mut bytes = [0; 8];
        bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(Token {
            length: value.len() as u8,
            bytes,
        })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Display for Token {
    /// Hexadecimal, as Wireshark prints it; nothing for the empty token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({self})")
    }
}

/// A CoAP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Type.
    pub kind: Kind,
    /// Code.
    pub code: Code,
    /// Message ID.
    pub message_id: u16,
    /// Token; empty in an Empty message.
    pub token: Token,
    /// Options; none in an Empty message.
    pub options: Options,
    /// Payload; empty in an Empty message, and there it is not encoded.
    pub payload: Vec<u8>,
}

/// Why bytes are not a CoAP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Fewer bytes than the header has.
    #[error("CoAP message of {0} bytes is shorter than its 4-byte header")]
    Short(usize),
    /// "Messages with unknown version numbers MUST be silently ignored" (RFC 7252 §3).
    #[error("CoAP version {0}, expected 1")]
    Version(u8),
    /// "Lengths 9-15 are reserved, MUST NOT be sent, and MUST be processed as a message
    /// format error" (RFC 7252 §3).
    #[error("token length {0} is reserved, expected 0 to 8")]
    TokenLength(u8),
    /// The datagram ends inside the token.
    #[error("message ends inside its token")]
    TokenTruncated,
    /// An Empty message of more than the header (RFC 7252 §4.1).
    #[error("Empty message has {0} bytes after its header, expected none")]
    NotEmpty(usize),
    /// An option is cut off, uses the reserved nibble 15, or its number exceeds 65535
    /// (RFC 7252 §3.1).
    #[error("malformed option: {0}")]
    Option(&'static str),
    /// "The presence of a marker followed by a zero-length payload MUST be processed as a
    /// message format error" (RFC 7252 §3).
    #[error("payload marker without payload")]
    MarkerWithoutPayload,
}

/// Type and Message ID of a datagram of version 1, if it has at least a header: enough to
/// reject a message that does not decode.
pub fn header(datagram: &[u8]) -> Option<(Kind, u16)> {
    let [first, _, high, low, ..] = *datagram else {
        return None;
    };
    let kind = match first >> 4 {
        0b0100 => Kind::Confirmable,
        0b0101 => Kind::NonConfirmable,
        0b0110 => Kind::Acknowledgement,
        0b0111 => Kind::Reset,
        _ => return None,
    };
    Some((kind, u16::from_be_bytes([high, low])))
}

impl Message {
    /// An Empty message: ACK, RST, or a CON as ping (RFC 7252 §4.1).
    pub fn empty(kind: Kind, message_id: u16) -> Message {
        Message {
            kind,
            code: Code::EMPTY,
            message_id,
            token: Token::EMPTY,
            options: Options::new(),
            payload: Vec::new(),
        }
    }

    /// A response: piggybacked in an ACK, or separate in a CON or NON (RFC 7252 §5.2).
    pub(crate) fn response(
        kind: Kind,
        message_id: u16,
        token: Token,
        response: Response,
    ) -> Message {
        Message {
            kind,
            code: response.code,
            message_id,
            token,
            options: response.options,
            payload: response.payload,
        }
    }

    /// Decodes a UDP payload.
    ///
    /// # Errors
    /// Whatever RFC 7252 §3 and §4.1 call a message format error; see [`DecodeError`].
    pub fn decode(datagram: &[u8]) -> Result<Message, DecodeError> {
        let &[first, code, ..] = datagram else {
            return Err(DecodeError::Short(datagram.len()));
        };
        if datagram.len() < 4 {
            return Err(DecodeError::Short(datagram.len()));
        }
        let Some((kind, message_id)) = header(datagram) else {
            return Err(DecodeError::Version(first >> 6));
        };
        let code = Code(code);
        // "An Empty message has the Code field set to 0.00. The Token Length field MUST be set
        // to 0 and bytes of data MUST NOT be present after the Message ID field" (§4.1).
        if code == Code::EMPTY && (datagram.len() > 4 || first & 0xf != 0) {
            return Err(DecodeError::NotEmpty(datagram.len() - 4));
        }
        let length = match first & 0xf {
            length @ 0..=8 => usize::from(length),
            length => return Err(DecodeError::TokenLength(length)),
        };
        let after_header = &datagram[4..];
        let (token, rest) = (after_header.split_at_checked(length))
            .and_then(|(token, rest)| Some((Token::new(token)?, rest)))
            .ok_or(DecodeError::TokenTruncated)?;
        let (options, payload) = decode_options(rest)?;
        Ok(Message {
            kind,
            code,
            message_id,
            token,
            options,
            payload: payload.to_vec(),
        })
    }

    /// Encodes it as a UDP payload.
    ///
    /// # Panics
    /// If an option is longer than 65,804 bytes, which the format cannot express (and no UDP
    /// datagram can hold).
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self.kind {
            Kind::Confirmable => 0,
            Kind::NonConfirmable => 1,
            Kind::Acknowledgement => 2,
            Kind::Reset => 3,
        };
        let token = self.token.as_bytes();
        let options: usize = self.options.iter().map(|(_, v)| v.len() + 5).sum();
        let mut bytes = Vec::with_capacity(4 + token.len() + options + 1 + self.payload.len());
        bytes.push(VERSION << 6 | kind << 4 | token.len() as u8);
        bytes.push(self.code.0);
        bytes.extend(self.message_id.to_be_bytes());
        bytes.extend(token);
        encode_options(&mut bytes, &self.options);
        if self.code != Code::EMPTY && !self.payload.is_empty() {
            bytes.push(PAYLOAD_MARKER);
            bytes.extend(&self.payload);
        }
        bytes
    }
}

/// The options at the start of `rest`, and the payload after them.
pub(crate) fn decode_options(mut rest: &[u8]) -> Result<(Options, &[u8]), DecodeError> {
    const NUMBER: DecodeError = DecodeError::Option("reserved delta 15, or a number above 65535");
    const LENGTH: DecodeError =
        DecodeError::Option("reserved length 15, or the message ends inside it");
    let mut options = match rest {
        [] | [PAYLOAD_MARKER, ..] => Options::new(),
        _ => Options::with_room(USUAL_OPTIONS),
    };
    let mut number = 0_u16;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == PAYLOAD_MARKER {
            return match rest {
                [] => Err(DecodeError::MarkerWithoutPayload),
                payload => Ok((options, payload)),
            };
        }
        let delta = take_extended(&mut rest, first >> 4).ok_or(NUMBER)?;
        let delta = u16::try_from(delta).map_err(|_| NUMBER)?;
        number = number.checked_add(delta).ok_or(NUMBER)?;
        let length = take_extended(&mut rest, first & 0xf).ok_or(LENGTH)?;
        let (value, after) = rest.split_at_checked(length).ok_or(LENGTH)?;
        options.push(number, value);
        rest = after;
    }
    Ok((options, &[]))
}

/// Option Delta or Option Length of this nibble, with the extended part at the start of `rest`
/// (§3.1); `None` if that is missing or the nibble reserved.
fn take_extended(rest: &mut &[u8], nibble: u8) -> Option<usize> {
    match nibble {
        13 => {
            let (&byte, after) = rest.split_first()?;
            *rest = after;
            Some(13 + usize::from(byte))
        }
        14 => {
            let (bytes, after) = rest.split_first_chunk()?;
            *rest = after;
            Some(269 + usize::from(u16::from_be_bytes(*bytes)))
        }
        15 => None,
        nibble => Some(nibble.into()),
    }
}

/// Adds the options as they are encoded.
///
/// # Panics
/// As [`Message::encode`].
pub(crate) fn encode_options(bytes: &mut Vec<u8>, options: &Options) {
    let mut former = 0;
    for (number, value) in options.iter() {
        encode_option(bytes, number, number - former, value);
        former = number;
    }
}

fn encode_option(bytes: &mut Vec<u8>, number: u16, delta: u16, value: &[u8]) {
    assert!(
        value.len() <= MAX_OPTION_LENGTH,
        "CoAP option {number} is longer than {MAX_OPTION_LENGTH} bytes"
    );
    let (delta, length) = (usize::from(delta), value.len());
    bytes.push(nibble(delta) << 4 | nibble(length));
    for value in [delta, length] {
        match value {
            0..=12 => {}
            13..=268 => bytes.push((value - 13) as u8),
            _ => bytes.extend(((value - 269) as u16).to_be_bytes()),
        }
    }
    bytes.extend(value);
}

/// The four bits of an Option Delta or Option Length (§3.1).
fn nibble(value: usize) -> u8 {
    match value {
        0..=12 => value as u8,
        13..=268 => 13,
        _ => 14,
    }
}
