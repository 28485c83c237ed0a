//! The message format of RFC 7252 §3, read a second time: byte by byte from the standard's text,
//! with nothing of the `coap` crate's codec.

use coap::wire::Message;

/// A message as the standard's text reads it.
#[derive(Debug, PartialEq, Eq)]
pub struct Plain {
    /// Type, 0 to 3.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Message ID.
    pub message_id: u16,
    /// Token.
    pub token: Vec<u8>,
    /// Options in the order of the message.
    pub options: Vec<(u16, Vec<u8>)>,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Plain {
    /// Reads a datagram; `None` where the standard has a message format error or another version.
    pub fn read(datagram: &[u8]) -> Option<Plain> {
        let (header, rest) = datagram.split_first_chunk::<4>()?;
        let [first, code, high, low] = *header;
        let (version, kind, token_length) = (first >> 6, first >> 4 & 3, first & 0xf);
        if version != 1 || token_length > 8 {
            return None;
        }
        // "The Token Length field MUST be set to 0 and bytes of data MUST NOT be present after
        // the Message ID field" (§4.1).
        if code == 0 && (token_length > 0 || !rest.is_empty()) {
            return None;
        }
        let (token, mut rest) = rest.split_at_checked(token_length.into())?;
        let mut options = Vec::new();
        let mut number = 0_u16;
        let mut payload = &[][..];
        while let [byte, after @ ..] = rest {
            if *byte == 0xff {
                // "The presence of a marker followed by a zero-length payload MUST be processed
                // as a message format error" (§3).
                payload = Some(after).filter(|p| !p.is_empty())?;
                break;
            }
            rest = after;
            let delta = extended(byte >> 4, &mut rest)?;
            let length = extended(byte & 0xf, &mut rest)?;
            number = number.checked_add(u16::try_from(delta).ok()?)?;
            let (value, after) = rest.split_at_checked(length as usize)?;
            options.push((number, value.to_vec()));
            rest = after;
        }
        Some(Plain {
            kind,
            code,
            message_id: u16::from_be_bytes([high, low]),
            token: token.to_vec(),
            options,
            payload: payload.to_vec(),
        })
    }
}

/// An option's delta or length with its extension (§3.1); 15 is reserved.
fn extended(nibble: u8, rest: &mut &[u8]) -> Option<u32> {
    match nibble {
        13 => {
            let (byte, after) = rest.split_first()?;
            *rest = after;
            Some(u32::from(*byte) + 13)
        }
        14 => {
            let (bytes, after) = rest.split_first_chunk()?;
            *rest = after;
            Some(u32::from(u16::from_be_bytes(*bytes)) + 269)
        }
        15 => None,
        short => Some(short.into()),
    }
}

impl From<&Message> for Plain {
    fn from(message: &Message) -> Plain {
        let options = message.options.iter();
        Plain {
            kind: message.kind as u8,
            code: message.code.0,
            message_id: message.message_id,
            token: message.token.as_bytes().to_vec(),
            options: options
                .map(|(number, value)| (number, value.to_vec()))
                .collect(),
            payload: message.payload.clone(),
        }
    }
}
