//! DHCPv6 (RFC 8415): clients', servers' and relay agents' messages.

use std::net::{IpAddr, Ipv6Addr};

use super::{Dissector, Meaning, Protocol, Seen, Subject};

pub(super) const PROTOCOL: Protocol = Protocol::new("dhcpv6", "DHCPv6");

/// Ports of clients, and of servers and relay agents (§7.2).
const PORTS: [u16; 2] = [546, 547];
/// RELAY-FORW and RELAY-REPL (§7.3), and where their peer-address is (§9).
const RELAYED: std::ops::RangeInclusive<u8> = 12..=13;
const PEER_ADDRESS: std::ops::Range<usize> = 18..34;

/// Message types (§7.3), from 1.
const NAMES: [&str; 13] = [
    "solicit",
    "advertise",
    "request",
    "confirm",
    "renew",
    "rebind",
    "reply",
    "release",
    "decline",
    "reconfigure",
    "information-request",
    "relay-forward",
    "relay-reply",
];

/// The dissector.
#[derive(Debug)]
pub(super) struct Dhcpv6;

impl Dissector for Dhcpv6 {
    fn read(&mut self, packet: &Seen<'_>) -> Option<Meaning> {
        let datagram = packet.ip.udp()?;
        let ports = [datagram.src.port(), datagram.dst.port()];
        if !ports.iter().any(|port| PORTS.contains(port)) {
            return None;
        }
        let kind = datagram.payload.first().copied().unwrap_or_default();
        let subject = match RELAYED.contains(&kind) {
            true => {
                let octets: [u8; 16] = datagram.payload.get(PEER_ADDRESS)?.try_into().ok()?;
                Subject::Node(vec![IpAddr::V6(Ipv6Addr::from(octets))])
            }
            false => Subject::Link,
        };
        let name = usize::from(kind).checked_sub(1);
        let name = name.and_then(|at| NAMES.get(at)).copied();
        Some(Meaning {
            protocol: PROTOCOL,
            message: name.unwrap_or("message of an unknown type").into(),
            subject,
            binding: None,
        })
    }
}
