//! TCP: an end, and not read where it carries CoAP.

use super::super::TCP;
use super::{Below, Payload, Read, State, Step, Unread};

/// `coap+tcp` and `coaps+tcp` (RFC 8323 §8.1, §8.2).
const COAP: std::ops::RangeInclusive<u16> = 5683..=5684;

/// What a client asks for that wants CoAP over WebSockets (RFC 8323 §8.3): the handshake tells, and
/// what follows it looks like anybody's.
const WEB_SOCKETS: [&[u8]; 2] = [b"/.well-known/coap ", b"Sec-WebSocket-Protocol: coap\r\n"];

/// A handshake is no longer.
const HANDSHAKE: usize = 1024;

pub(super) fn read(data: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    if let Some([s0, s1, d0, d1]) = data.first_chunk() {
        let ports = [[*s0, *s1], [*d0, *d1]].map(u16::from_be_bytes);
        if ports.iter().any(|port| COAP.contains(port)) {
            return Err(Unread::Named("CoAP over TCP"));
        }
    }
    let start = &data[..data.len().min(HANDSHAKE)];
    let has = |words: &[u8]| start.windows(words.len()).any(|window| window == words);
    if has(b"HTTP/1.1") && WEB_SOCKETS.iter().any(|words| has(words)) {
        return Err(Unread::Named("CoAP over WebSockets (the handshake)"));
    }
    Ok(Step::End(TCP))
}
