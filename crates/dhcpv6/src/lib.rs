//! DHCPv6 (RFC 8415): client, server and relay agent.
//!
//! Owns how a node gets its temporary address: the exchanges for one identity association,
//! leases per link, and the messages of relay agents. Must not know sockets, clocks,
//! interfaces or the topology: instants and a seeded generator come in; datagrams, deadlines
//! and events go out. Not here: prefix delegation, temporary addresses, authentication,
//! Reconfigure, server unicast, other configuration than addresses.
//!
//! Each is a [`machine::Machine`]. A destination of link scope has no scope identifier: the interface
//! is the owner's to choose.
//!
//! ```
//! use dhcpv6::relay::RelayAgent;
//! use dhcpv6::{client, server, Client, Duid, Event, Relay, Server};
//! use machine::Machine;
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
//! let (link, port) = (1, dhcpv6::SERVER_PORT);
//! let server_at = SocketAddrV6::new("2001:db8:ffff::9".parse()?, port, 0, 0);
//! let relay = Relay { link_address: "2001:db8:1::1".parse()?, interface_id: None };
//! let mut router = RelayAgent::new(relay, link, server_at);
//! let router_at = SocketAddrV6::new("2001:db8:ffff::1".parse()?, port, 0, 0);
//!
//! let now = SimTime::ZERO;
//! client.start(now);
//! let solicit = client.poll_transmit().expect("no delay: sent at once");
//! let client_at = SocketAddrV6::new(node.link_local(), dhcpv6::CLIENT_PORT, 0, link);
//! router.handle_datagram(now, client_at, &solicit.payload)?;
//! let forwarded = router.poll_transmit().expect("relayed");
//! server.handle_datagram(now, router_at, &forwarded.payload)?;
//! let answer = server.poll_transmit().expect("answered");
//! router.handle_datagram(now, server_at, &answer.payload)?;
//! let reply = router.poll_transmit().expect("relayed");
//! assert_eq!(reply.to, client_at);
//! client.handle_datagram(now, router_at, &reply.payload)?;
//! let Some(Event::Bound(lease)) = client.poll_event() else { panic!("two messages suffice") };
//! assert!(lease.address.segments()[..4] == [0x2001, 0xdb8, 1, 0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`client`] | [`Client`]: one identity association, four messages or two |
//! | [`server`] | [`Server`]: a pool per link, leases |
//! | [`relay`] | [`relay::RelayAgent`] and what it consists of |
//! | [`message`] | [`Message`]: what clients and servers send |
//! | [`retransmission`] | constants and timing of a client's exchanges |
//! | [`duid`] | [`Duid`] |

#![forbid(unsafe_code)]

use std::net::Ipv6Addr;

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
