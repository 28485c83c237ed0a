//! A domain of Proxy Mobile IPv6: its anchor, its prefixes, the node in it.

use std::net::Ipv6Addr;

use super::secs;
use ipnet::Ipv6Net;
use mip6::codec::{HandoffIndicator, LinkLayerId, NodeId};
use mip6::proxy::gateway::Attached;
use units::SimTime;

pub const ANCHOR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1);

pub fn pool() -> Ipv6Net {
    "2001:db8:f000::/36".parse().unwrap()
}

pub fn prefix(number: u16) -> Ipv6Net {
    let network = Ipv6Addr::new(0x2001, 0xdb8, 0xf000, number, 0, 0, 0, 0);
    Ipv6Net::new(network, 64).unwrap()
}

pub fn node() -> NodeId {
    NodeId(b"sensor".to_vec())
}

pub fn link_layer() -> LinkLayerId {
    LinkLayerId(vec![2, 0, 0x5e, 0x10, 0, 0, 0, 5])
}

pub fn attached(handoff: HandoffIndicator) -> Attached {
    Attached {
        node: node(),
        link_layer: Some(link_layer()),
        handoff,
        prefix: None,
        lifetime: None,
        sequence: None,
    }
}

/// A day in 2023, as live clocks have it.
pub fn start() -> SimTime {
    SimTime::ZERO + secs(1_700_000_000)
}
