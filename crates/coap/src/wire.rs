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
//! coap-lite walks the options; what it lets pass and RFC 7252 does not is refused here. Codes
//! of the reserved classes 1, 6 and 7 decode, because whether to reject them is the
//! endpoint's business and a capture may hold them.

use std::collections::LinkedList;
use std::fmt;

use coap_lite::{MessageClass, MessageType, Packet};
use thiserror::Error;

use crate::message::{Code, Kind, Options};

/// The longest option value that the format can express: 269 + 65535 (RFC 7252 §3.1).
const MAX_OPTION_LENGTH: usize = 269 + 0xffff;

/// Payload marker (RFC 7252 §3).
const PAYLOAD_MARKER: u8 = 0xff;

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
        let token = match first & 0xf {
            length @ 0..=8 => datagram
                .get(4..4 + usize::from(length))
                .and_then(Token::new)
                .ok_or(DecodeError::TokenTruncated)?,
            length => return Err(DecodeError::TokenLength(length)),
        };
        let packet = Packet::from_bytes(datagram).map_err(option_error)?;
        if ends_with_marker(datagram, &packet) {
            return Err(DecodeError::MarkerWithoutPayload);
        }
        let mut options = Options::new();
        for (number, values) in packet.options() {
            for value in values {
                options.push(*number, value.as_slice());
            }
        }
        Ok(Message {
            kind,
            code,
            message_id,
            token,
            options,
            payload: packet.payload,
        })
    }

    /// Encodes it as a UDP payload.
    ///
    /// # Panics
    /// If an option is longer than 65,804 bytes, which the format cannot express (and no UDP
    /// datagram can hold).
    pub fn encode(&self) -> Vec<u8> {
        let mut packet = Packet::new();
        packet.header.set_version(1);
        packet.header.set_type(match self.kind {
            Kind::Confirmable => MessageType::Confirmable,
            Kind::NonConfirmable => MessageType::NonConfirmable,
            Kind::Acknowledgement => MessageType::Acknowledgement,
            Kind::Reset => MessageType::Reset,
        });
        packet.header.code = MessageClass::from(self.code.0);
        packet.header.message_id = self.message_id;
        packet.set_token(self.token.as_bytes().to_vec());
        let mut options = self.options.iter().peekable();
        while let Some((number, value)) = options.next() {
            let mut values = LinkedList::from([value.to_vec()]);
            while let Some((_, value)) = options.next_if(|(next, _)| *next == number) {
                values.push_back(value.to_vec());
            }
            assert!(
                values.iter().all(|v| v.len() <= MAX_OPTION_LENGTH),
                "CoAP option {number} is longer than {MAX_OPTION_LENGTH} bytes"
            );
            packet.set_option(number.into(), values);
        }
        packet.payload.clone_from(&self.payload);
        packet
            .to_bytes_unlimited()
            .expect("coap-lite fails only on a size limit, and none is set")
    }
}

/// Whether the datagram ends with a payload marker rather than with an option that happens
/// to end with the same byte: an option with its last byte cut off no longer decodes.
fn ends_with_marker(datagram: &[u8], packet: &Packet) -> bool {
    packet.payload.is_empty()
        && datagram.last() == Some(&PAYLOAD_MARKER)
        && Packet::from_bytes(&datagram[..datagram.len() - 1]).is_ok()
}

fn option_error(error: coap_lite::error::MessageError) -> DecodeError {
    use coap_lite::error::MessageError;
    DecodeError::Option(match error {
        MessageError::InvalidOptionDelta => "reserved delta 15, or a number above 65535",
        _ => "reserved length 15, or the message ends inside it",
    })
}
