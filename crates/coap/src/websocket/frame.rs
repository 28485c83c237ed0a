//! The message format over WebSockets (RFC 8323 §4.2): bytes to [`Frame`] and back.

use thiserror::Error;

use crate::message::{Code, Options};
use crate::wire::{DecodeError, PAYLOAD_MARKER, Token, decode_options, encode_options};

/// A message over a reliable transport: it has neither a type nor a Message ID.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Len=0 |  TKL  |      Code     |    Token (TKL bytes) ...
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Options (if any) ...
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |1 1 1 1 1 1 1 1|    Payload (if any) ...
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Code: of a request, of a response, or 7.xx of a signaling message.
    pub code: Code,
    /// Token.
    pub token: Token,
    /// Options; those of a signaling message have numbers of their own for each code (§5.2).
    pub options: Options,
    /// Payload.
    pub payload: Vec<u8>,
}

/// Why the bytes of a WebSocket message are not a CoAP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Fewer bytes than length, token length and code take.
    #[error("CoAP message of {0} bytes is shorter than its first 2")]
    Short(usize),
    /// "The Length (Len) field MUST be set to zero, because the WebSocket frame contains the length" (§4.2).
    #[error("Len is {0}, expected 0: a WebSocket's frames have the length")]
    Length(u8),
    /// The rest is as over UDP.
    #[error(transparent)]
    Rest(#[from] DecodeError),
}

impl Frame {
    /// A message that has a code alone.
    pub fn new(code: Code) -> Frame {
        Frame {
            code,
            token: Token::EMPTY,
            options: Options::new(),
            payload: Vec::new(),
        }
    }

    /// Decodes a binary message of a WebSocket.
    ///
    /// # Errors
    /// Whatever RFC 8323 §3.2 and §4.2 and RFC 7252 §3 call a format error; see [`FrameError`].
    pub fn decode(bytes: &[u8]) -> Result<Frame, FrameError> {
        let [first, code, rest @ ..] = bytes else {
            return Err(FrameError::Short(bytes.len()));
        };
        if first >> 4 != 0 {
            return Err(FrameError::Length(first >> 4));
        }
        let length = match first & 0xf {
            length @ 0..=8 => usize::from(length),
            length => return Err(DecodeError::TokenLength(length).into()),
        };
        let (token, rest) = (rest.split_at_checked(length))
            .and_then(|(token, rest)| Some((Token::new(token)?, rest)))
            .ok_or(DecodeError::TokenTruncated)?;
        let (options, payload) = decode_options(rest)?;
        Ok(Frame {
            code: Code(*code),
            token,
            options,
            payload: payload.to_vec(),
        })
    }

    /// Encodes it as a binary message of a WebSocket.
    ///
    /// # Panics
    /// If an option is longer than 65,804 bytes, which the format cannot express.
    pub fn encode(&self) -> Vec<u8> {
        let token = self.token.as_bytes();
        let options: usize = self.options.iter().map(|(_, v)| v.len() + 5).sum();
        let mut bytes = Vec::with_capacity(2 + token.len() + options + 1 + self.payload.len());
        bytes.extend([token.len() as u8, self.code.0]);
        bytes.extend(token);
        encode_options(&mut bytes, &self.options);
        if !self.payload.is_empty() {
            bytes.push(PAYLOAD_MARKER);
            bytes.extend(&self.payload);
        }
        bytes
    }
}
