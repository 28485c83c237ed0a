//! Neighbour discovery (RFC 4861), and duplicate address requests of 6LoWPAN (RFC 6775).

use super::{Dissector, Meaning, Protocol, Seen, Subject};

pub(super) const PROTOCOL: Protocol = Protocol::new("neighbour_discovery", "neighbour discovery");

/// Protocol number of ICMPv6.
const ICMPV6: u8 = 58;

/// The dissector.
#[derive(Debug)]
pub(super) struct NeighbourDiscovery;

impl Dissector for NeighbourDiscovery {
    fn read(&mut self, packet: &Seen<'_>) -> Option<Meaning> {
        if packet.ip.protocol != ICMPV6 {
            return None;
        }
        // RFC 4861 §4, RFC 6775 §4.4.
        let message = match packet.ip.payload.first()? {
            133 => "router solicitation",
            134 => "router advertisement",
            135 => "neighbour solicitation",
            136 => "neighbour advertisement",
            137 => "redirect",
            157 => "duplicate address request",
            158 => "duplicate address confirmation",
            _ => return None,
        };
        Some(Meaning {
            protocol: PROTOCOL,
            message: message.into(),
            subject: Subject::Link,
            binding: None,
        })
    }
}
