//! DHCPv6 (RFC 8415): client, server and relay agent.
//!
//! Owns how a node gets its temporary address: the exchanges for one identity association,
//! leases per link, and the messages of relay agents. Must not know sockets, clocks,
//! interfaces or the topology: instants and a seeded generator come in; datagrams, deadlines
//! and events go out. Not here: prefix delegation, temporary addresses, authentication,
//! Reconfigure, server unicast, other configuration than addresses.
//!
//! The owner of a [`Client`] calls `handle_*` with input, drains `poll_event` and
//! `poll_transmit`, arms a timer for `poll_timeout`, and calls `handle_timeout` when it fires
//! (early is harmless). A [`Server`] answers a datagram with at most one, so its
//! `handle_datagram` returns it.
//!
//! ```
//! use dhcpv6::{client, relay, server, Client, Duid, Event, Relay, Server};
//! use std::net::SocketAddrV6;
//! use std::time::Duration;
//! use units::{Eui64, Seed, SimTime};
//!
//! let node = Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 2]);
//! let config = client::Config {
//!     rapid_commit: true,
//!     solicit_max_delay: Duration::ZERO,
//!     ..client::Config::new(Duid::link_layer(node), 1)
//! };
//! let mut client = Client::new(config, Seed(1).rng(&["node", "dhcpv6"]))?;
//! let pool = server::Pool {
//!     link: "2001:db8:1::/64".parse()?,
//!     first: "2001:db8:1::1000".parse()?,
//!     last: "2001:db8:1::1fff".parse()?,
//! };
//! let duid = Duid::link_layer(Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 9]));
//! let mut server = Server::new(server::Config::new(duid, vec![pool]))?;
//! let router = Relay { link_address: "2001:db8:1::1".parse()?, interface_id: None };
//! let router_at = SocketAddrV6::new("2001:db8:ffff::1".parse()?, 547, 0, 0);
//!
//! let now = SimTime::ZERO;
//! client.start(now);
//! let solicit = client.poll_transmit().expect("no delay: sent at once");
//! let forwarded = router.forward(node.link_local(), &solicit.payload)?;
//! let answer = server.handle_datagram(now, router_at, &forwarded)?;
//! let reply = relay::unwrap_reply(&answer.payload)?;
//! assert_eq!(*reply.transmit.to.ip(), node.link_local());
//! client.handle_datagram(now, &reply.transmit.payload)?;
//! let Some(Event::Bound(lease)) = client.poll_event() else { panic!("two messages suffice") };
//! assert!(lease.address.segments()[..4] == [0x2001, 0xdb8, 1, 0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`client`] | [`Client`]: one identity association, four messages or two |
//! | [`server`] | [`Server`]: a pool per link, leases |
//! | [`relay`] | [`Relay`], [`relay::unwrap_reply`], [`relay::RelayMessage`] |
//! | [`message`] | [`Message`]: what clients and servers send |
//! | [`retransmission`] | constants and timing of a client's exchanges |
//! | [`duid`] | [`Duid`] |

use std::net::{Ipv6Addr, SocketAddrV6};

pub mod client;
pub mod duid;
pub mod message;
pub mod relay;
pub mod retransmission;
pub mod server;

pub use client::{Client, Event};
pub use duid::Duid;
pub use message::Message;
pub use relay::Relay;
pub use server::Server;

/// UDP port of clients (RFC 8415 §7.2).
pub const CLIENT_PORT: u16 = 546;

/// UDP port of servers and relay agents (RFC 8415 §7.2).
pub const SERVER_PORT: u16 = 547;

/// Link-scoped multicast address of relay agents and servers (RFC 8415 §7.1).
pub const ALL_DHCP_RELAY_AGENTS_AND_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to. A client's has no scope: the interface is the owner's to choose.
    pub to: SocketAddrV6,
    /// UDP payload.
    pub payload: Vec<u8>,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {value}: expected {expected}")]
pub struct ConfigError {
    /// What is set.
    pub variable: String,
    /// Its value.
    pub value: String,
    /// What would be right.
    pub expected: &'static str,
}
