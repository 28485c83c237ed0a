//! [`Connectivity`]: how a node is connected, for those of its services that tell others.

use std::net::Ipv6Addr;

use units::{Dbm, Lqi};

/// What carries a node's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// A radio of IEEE 802.15.4.
    Ieee802154,
    /// A wire.
    Ethernet,
}

/// What a node hears of its router.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// Power of the router's frames at the node.
    pub rssi: Dbm,
    /// Their link quality.
    pub lqi: Lqi,
}

/// How a node is connected.
#[derive(Clone, Debug, PartialEq)]
pub struct Connectivity {
    /// What its packets go by.
    pub bearer: Bearer,
    /// What they could go by, that one among them.
    pub available: Vec<Bearer>,
    /// What it heard last of its router. None: it has no radio, or has heard nothing yet.
    pub heard: Option<Heard>,
    /// The addresses that it has from where it is.
    pub addresses: Vec<Ipv6Addr>,
    /// The next hop of what leaves the link, as the node has it: a link-local address where the router has said so.
    pub routers: Vec<Ipv6Addr>,
}
