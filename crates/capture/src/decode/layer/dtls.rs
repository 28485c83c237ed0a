//! DTLS (RFC 6347, RFC 9147): what it carries is encrypted.

use super::{Below, Payload, Read, State, Unread};

/// Content types: change cipher spec, alert, handshake, application data, heartbeat (RFC 6520),
/// records with a connection ID (RFC 9146).
const CONTENT_TYPES: std::ops::RangeInclusive<u8> = 20..=25;

/// UDP port of `coaps` (RFC 7252 §6.2).
const COAPS: u16 = 5684;

/// Whether a datagram begins with a DTLS record: content type, version 1.0 or 1.2 in complement,
/// epoch and sequence number (8), length. An encrypted record of version 1.3 begins with the bits 001
/// (RFC 9147 §4), which alone tell nothing on other ports; CoAP begins with 01.
pub(super) fn is(ports: [u16; 2], datagram: &[u8]) -> bool {
    if ports.contains(&COAPS) && datagram.first().is_some_and(|first| first >> 5 == 0b001) {
        return true;
    }
    let Some([kind, 0xfe, 0xff | 0xfd, ..]) = datagram.first_chunk::<13>() else {
        return false;
    };
    CONTENT_TYPES.contains(kind)
}

pub(super) fn read(_: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    Err(Unread::Named("DTLS"))
}
