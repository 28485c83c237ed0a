//! TCP: an end, and not read where it carries CoAP.

use super::{Below, Payload, Read, State, Step, Unread};

pub(super) const PROTOCOL: u8 = 6;

/// `coap+tcp` and `coaps+tcp` (RFC 8323 §8.1, §8.2).
const COAP: std::ops::RangeInclusive<u16> = 5683..=5684;

pub(super) fn read(data: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    if let Some([s0, s1, d0, d1]) = data.first_chunk() {
        let ports = [[*s0, *s1], [*d0, *d1]].map(u16::from_be_bytes);
        if ports.iter().any(|port| COAP.contains(port)) {
            return Err(Unread::Named("CoAP over TCP"));
        }
    }
    Ok(Step::End(PROTOCOL))
}
