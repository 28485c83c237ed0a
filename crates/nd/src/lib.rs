//! IPv6 neighbour discovery on 6LoWPAN links: router solicitations and advertisements.
//!
//! Owns the two messages that movement detection consists of (RFC 4861 §4.1, §4.2), their
//! options with link-layer addresses in the form of RFC 4944 §8, and the behaviour of a
//! router ([`Advertiser`], RFC 4861 §6.2) and of a host ([`Solicitor`], §6.3.7); and what a node can
//! know of other links before it goes there ([`proxy`]); and whether a neighbour is still there
//! ([`reachability`], §7.3), and a router that has an advertisement for each host ([`visitors`]). Must not know sockets, clocks, interfaces or the topology: instants and a seeded generator come in,
//! ICMPv6 bodies, deadlines and decoded advertisements go out.
//!
//! What the owner of the socket does:
//!
//! - the checksum field is written as zero and not looked at: a raw ICMPv6 socket's kernel
//!   computes and verifies it (RFC 3542 §3.1);
//! - it sends with hop limit 255 and from a link-local address, and passes the received hop
//!   limit and source in ([`machine::Origin`], RFC 4861 §6.1);
//! - it runs each as the [`machine::Machine`] that it is.
//!
//! ```
//! use machine::{Machine, Origin};
//! use nd::{advertiser, solicitor, Advertiser, Solicitor, HOP_LIMIT};
//! use std::time::Duration;
//! use units::{Eui64, Seed, SimTime};
//!
//! let router = Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 1]);
//! let node = Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 2]);
//! let mut config = advertiser::Config::new(router, "2001:db8:1::/64".parse()?);
//! config.max_response_delay = Duration::ZERO;
//! let mut advertiser = Advertiser::new(config, Seed(1).rng(&["router", "nd"]))?;
//! let config = solicitor::Config { max_delay: Duration::ZERO, ..solicitor::Config::new(Some(node)) };
//! let mut solicitor = Solicitor::new(config, Seed(1).rng(&["node", "nd"]))?;
//!
//! let now = SimTime::ZERO;
//! advertiser.start(now);
//! solicitor.start(now);
//! let solicitation = solicitor.poll_transmit().expect("no delay: sent at once");
//! let on_link = |source| Origin { source, hop_limit: HOP_LIMIT };
//! advertiser.handle_datagram(now, on_link(node.link_local()), &solicitation.payload)?;
//! let answer = advertiser.poll_transmit().expect("no delay: answered at once");
//! solicitor.handle_datagram(now, on_link(router.link_local()), &answer.payload)?;
//! let heard = solicitor.poll_event().expect("the advertisement is valid");
//! assert_eq!(heard.router, router.link_local());
//! assert_eq!(heard.prefixes[0].prefix, "2001:db8:1::/64".parse()?);
//! assert_eq!(solicitor.poll_timeout(), None, "a router is known: no more solicitations");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`message`] | [`RouterSolicitation`], [`RouterAdvertisement`], validation of received ones |
//! | [`error`] | [`Invalid`]: the rule that a received one breaks |
//! | [`option`] | [`NdOption`], [`LinkLayerAddress`], [`PrefixInformation`] |
//! | [`advertiser`] | [`Advertiser`]: the router's side |
//! | [`solicitor`] | [`Solicitor`]: the host's side |
//! | [`proxy`] | what a router says of others (RFC 5568 §6.1): [`proxy::Requester`], [`proxy::Responder`] |

#![forbid(unsafe_code)]

use std::net::Ipv6Addr;

pub mod advertiser;
pub mod error;
pub mod message;
pub mod option;
pub mod proxy;
mod random;
pub mod reachability;
pub mod solicitor;
pub mod visitors;

pub use advertiser::Advertiser;
pub use error::Invalid;
pub use message::{RouterAdvertisement, RouterSolicitation};
pub use option::{LinkLayerAddress, NdOption, PrefixInformation};
pub use solicitor::{Advertised, Solicitor};

/// Link-local scope all-nodes multicast address (RFC 4291 §2.7.1).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Link-local scope all-routers multicast address (RFC 4291 §2.7.1).
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// The hop limit that every neighbour discovery message is sent with, so that one forwarded
/// by a router, from off the link, is recognised (RFC 4861 §4.1, §4.2, §6.1).
pub const HOP_LIMIT: u8 = 255;

/// A message to send: to a link-local unicast or multicast address on the owner's interface, an
/// ICMPv6 message from its type on; the checksum field is zero.
type Transmit = machine::Transmit<Ipv6Addr>;

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {value}: expected {expected}")]
pub struct ConfigError {
    /// The variable as RFC 4861 names it.
    pub variable: &'static str,
    /// Its value.
    pub value: String,
    /// What would be right.
    pub expected: &'static str,
}
