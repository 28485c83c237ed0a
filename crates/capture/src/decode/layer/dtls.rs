//! DTLS (RFC 6347): what it carries is encrypted.

use super::{Below, Payload, Read, State, Unread};

/// Content types: change cipher spec, alert, handshake, application data, heartbeat (RFC 6520),
/// records with a connection ID (RFC 9146).
const CONTENT_TYPES: std::ops::RangeInclusive<u8> = 20..=25;

/// Whether a datagram begins with a DTLS record: content type, version 1.0 or 1.2 in complement,
/// epoch and sequence number (8), length.
pub(super) fn is(_: [u16; 2], datagram: &[u8]) -> bool {
    let Some([kind, 0xfe, 0xff | 0xfd, ..]) = datagram.first_chunk::<13>() else {
        return false;
    };
    CONTENT_TYPES.contains(kind)
}

pub(super) fn read(_: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    Err(Unread::Named("DTLS"))
}
