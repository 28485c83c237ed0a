//! What carries packets and is not read: in UDP, known by its port (IANA registry) and first bytes, or by
//! a protocol number of IP.

use super::{Below, Payload, Read, State, Unread};

/// Minimal encapsulation of Mobile IPv4 (RFC 2004).
pub(super) fn minimal(_: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    Err(Unread::Named("minimal encapsulation"))
}

/// Ethernet in IP (RFC 3378).
pub(super) fn ether_ip(_: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    Err(Unread::Named("EtherIP"))
}

/// L2TP version 3 (RFC 3931).
pub(super) fn l2tp(_: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    Err(Unread::Named("L2TP"))
}

/// MPLS in IP (RFC 4023).
pub(super) fn mpls(_: &mut Payload<'_>, _: &mut Below, _: &mut State) -> Read {
    Err(Unread::Named("MPLS in IP"))
}

/// The name of what a datagram with one of these ports carries.
pub(super) fn name(ports: [u16; 2], datagram: &[u8]) -> Option<&'static str> {
    let known =
        |(port, name, tells): &Tunnel| (ports.contains(port) && tells(datagram)).then_some(*name);
    TUNNELS.iter().find_map(known)
}

/// Its port, its name, and whether the first bytes are its.
type Tunnel = (u16, &'static str, fn(&[u8]) -> bool);

/// CoAP's first byte is 0x40 to 0x7f (RFC 7252 §3).
const TUNNELS: &[Tunnel] = &[
    (2152, "GTP", |bytes| starts(bytes, 0xf0, 0x30)),
    (3544, "Teredo", is_teredo),
    (4500, "ESP", |bytes| bytes.len() > 8),
    (4789, "VXLAN", |bytes| starts(bytes, 0xff, 0x08)),
    (8472, "VXLAN", |bytes| starts(bytes, 0xff, 0x08)),
    (6081, "Geneve", |bytes| starts(bytes, 0xc0, 0x00)),
    (6635, "MPLS in UDP", is_mpls),
    (51820, "WireGuard", |bytes| {
        matches!(bytes, [1..=4, 0, 0, 0, ..])
    }),
];

/// Whether these bits of the first byte are so.
fn starts(bytes: &[u8], bits: u8, value: u8) -> bool {
    bytes.first().is_some_and(|first| first & bits == value)
}

/// An IPv6 packet, or an indication before it (RFC 4380 §5.1.1).
fn is_teredo(bytes: &[u8]) -> bool {
    match bytes {
        [0, 0 | 1, ..] => true,
        [first, _, _, _, l0, l1, rest @ ..] => {
            let length = usize::from(u16::from_be_bytes([*l0, *l1]));
            first >> 4 == 6 && rest.len() == 34 + length
        }
        _ => false,
    }
}

/// A label stack (RFC 7510, RFC 3032) with an IP packet behind its last entry.
fn is_mpls(bytes: &[u8]) -> bool {
    let (entries, _) = bytes.as_chunks::<4>();
    let last = entries.iter().position(|[_, _, third, _]| third & 1 == 1);
    let packet = last.and_then(|last| entries.get(last + 1));
    packet.is_some_and(|[first, ..]| matches!(first >> 4, 4 | 6))
}
