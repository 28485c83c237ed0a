//! What one instance sends another: a datagram that came to the wrong one, and what is to leave through it.
//!
//! Between the CoAP ports of two instances, so that one firewall rule is for both:
//!
//! ```text
//! 0xC0 (1)  kind (1)  secret (16)  peer: address (16) port (2) scope (4)  datagram
//! ```
//!
//! CoAP's version is 1 in the two highest bits of its first byte, and "Messages with unknown version
//! numbers MUST be silently ignored" (RFC 7252 §3): this has 3 there. The secret is the database's, and whoever cannot
//! read either cannot make a frame; it is no protection against who listens between the instances.

use std::net::{Ipv6Addr, SocketAddrV6};

/// The first byte.
const MARK: u8 = 0xc0;
/// Bytes before the datagram.
const HEADER_BYTES: usize = 40;

/// What all instances of one database know.
pub type Secret = [u8; 16];

/// What is in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A datagram that `peer` has sent, for the instance that has the shard.
    From = 1,
    /// A datagram that is to be sent to `peer`, by the instance that `peer` speaks to.
    To = 2,
}

/// A datagram on its way between two instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which way.
    pub kind: Kind,
    /// Who sent it or is to have it: no instance.
    pub peer: SocketAddrV6,
    /// The CoAP message.
    pub datagram: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Whether a datagram is a frame, or wants to be one.
    pub fn is_one(datagram: &[u8]) -> bool {
        datagram.first() == Some(&MARK)
    }

    /// Reads a frame; `None` if it is none, or is not by somebody who knows the secret.
    pub fn read(bytes: &'a [u8], secret: &Secret) -> Option<Frame<'a>> {
        let (header, datagram) = bytes.split_at_checked(HEADER_BYTES)?;
        let kind = match header[..2] {
            [MARK, 1] => Kind::From,
            [MARK, 2] => Kind::To,
            _ => return None,
        };
        // Every byte is looked at: how long it takes says nothing.
        let differs = (header[2..18].iter().zip(secret)).fold(0, |all, (a, b)| all | (a ^ b));
        let address: [u8; 16] = header[18..34].try_into().ok()?;
        let port = u16::from_be_bytes(header[34..36].try_into().ok()?);
        let scope = u32::from_be_bytes(header[36..40].try_into().ok()?);
        let peer = SocketAddrV6::new(Ipv6Addr::from(address), port, 0, scope);
        (differs == 0).then_some(Frame {
            kind,
            peer,
            datagram,
        })
    }

    /// Its bytes.
    pub fn write(&self, secret: &Secret) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.datagram.len());
        bytes.extend([MARK, self.kind as u8]);
        bytes.extend(secret);
        bytes.extend(self.peer.ip().octets());
        bytes.extend(self.peer.port().to_be_bytes());
        bytes.extend(self.peer.scope_id().to_be_bytes());
        bytes.extend(self.datagram);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: Secret = *b"0123456789abcdef";

    #[test]
    fn a_frame_is_the_bytes_of_the_documentation() {
        let frame = Frame {
            kind: Kind::To,
            peer: SocketAddrV6::new("fe80::9".parse().unwrap(), 5683, 0, 0x0a0b_0c0d),
            datagram: b"x",
        };
        let bytes = b"\xc0\x020123456789abcdef\
            \xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\x16\x33\x0a\x0b\x0c\x0dx";
        assert_eq!(frame.write(&SECRET), bytes);
        assert_eq!(Frame::read(bytes, &SECRET), Some(frame));
        for length in 0..HEADER_BYTES {
            assert_eq!(
                Frame::read(&bytes[..length], &SECRET),
                None,
                "{length} bytes"
            );
        }
        for place in 2..18 {
            let mut forged = *bytes;
            forged[place] ^= 1;
            assert_eq!(Frame::read(&forged, &SECRET), None, "byte {place}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back_as_it_was(
            kind in 0u8..4, rest in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut bytes = vec![MARK, kind];
            bytes.extend(SECRET);
            bytes.extend(rest);
            if let Some(frame) = Frame::read(&bytes, &SECRET) {
                prop_assert_eq!(frame.write(&SECRET), bytes);
            }
        }
    }
}
