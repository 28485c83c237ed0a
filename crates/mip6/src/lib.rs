//! Mobile IPv6 (RFC 6275), Hierarchical Mobile IPv6 (RFC 5380) and Proxy Mobile IPv6 (RFC 5213), as
//! pure state machines.
//!
//! Owns the messages (Mobility Headers and their options, the Home Address option, the type 2 routing
//! header, the MAP option), return routability, and the behaviour of the parties, each a
//! [`machine::Machine`]: [`MobileNode`], [`Agent`] (home agent, or mobility anchor point),
//! [`Correspondent`], [`Gateway`] (mobile access gateway) and [`Anchor`] (local mobility anchor).
//!
//! It must not know of sockets, clocks, kernels, radios, neighbour discovery or the testbed: time, a
//! seeded generator and Mobility Headers with the addresses around them ([`Headers`]) come in, the same,
//! deadlines and events go out. Who owns the socket
//!
//! - hands in each message once, to the machine that has a part for it; where several are on one node,
//!   [`codec::Message::kind`] and the H flag tell them apart, and one of them answers for unknown
//!   types;
//! - sends each message as it is, checksum included, with the headers that it names;
//! - moves tunnels and routes as the events say.
//!
//! A node is away, and its home agent learns where:
//!
//! ```
//! use std::net::Ipv6Addr;
//! use machine::Machine;
//! use mip6::{Agent, MobileNode, agent, mobile};
//! use mip6::mobile::{Attachment, Peer};
//! use std::time::Duration;
//! use units::{Seed, SimTime};
//!
//! let (home, care_of): (Ipv6Addr, Ipv6Addr) = ("2001:db8:f::5".parse()?, "2001:db8:1::5".parse()?);
//! let home_agent: Ipv6Addr = "2001:db8:f::1".parse()?;
//!
//! let config = agent::Config {
//!     dad: Duration::ZERO, // nobody else is on the home link
//!     ..agent::Config::new(agent::Role::HomeAgent, home_agent, "2001:db8:f::/64".parse()?)
//! };
//! let mut agent = Agent::new(config);
//! let config = mobile::Config::new(home, home_agent);
//! let mut node = MobileNode::new(config, Seed(1).rng(&["node", "mip6"]));
//!
//! let now = SimTime::ZERO;
//! node.move_to(now, Attachment { address: care_of, map: None });
//! let update = node.poll_transmit().expect("a Binding Update is sent at once");
//! assert_eq!((update.to.source, update.to.home_address), (care_of, Some(home)));
//! agent.handle_datagram(now, update.to, &update.payload)?;
//! let answer = agent.poll_transmit().expect("a Binding Acknowledgement");
//! assert_eq!((answer.to.destination, answer.to.routing), (care_of, Some(home)));
//! node.handle_datagram(now, answer.to, &answer.payload)?;
//!
//! assert_eq!(agent.binding(home).expect("a binding").care_of, care_of);
//! assert_eq!(node.bound_at(Peer::HomeAgent), Some(care_of));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`codec`] | [`codec::Message`]: Mobility Headers, their options, checksum |
//! | [`headers`] | [`Headers`] around a Mobility Header: Home Address option, type 2 routing header |
//! | [`map_option`] | [`MapOption`]: what routers say of mobility anchor points |
//! | [`rr`] | return routability: cookies, tokens, nonces, authenticators |
//! | [`mobile`] | [`MobileNode`] |
//! | [`agent`] | [`Agent`]: home agent, mobility anchor point |
//! | [`correspondent`] | [`Correspondent`] |
//! | [`backoff`] | when a message is sent again, and the constants of that |
//! | [`proxy`] | [`Gateway`], [`Anchor`]: the parties of Proxy Mobile IPv6 |
//! | [`cache`] | what a binding cache tells: [`cache::Change`] |
//! | [`ignored`] | [`Ignored`]: why a message changed nothing |
//!
//! `docs/mip6.md` has the rules, where each is in the code, and its test.
//!
//! # What is not there
//!
//! - IPsec, which RFC 6275 §5.1 and RFC 5380 §12 demand between a mobile node and its home agent and
//!   mobility anchor point: it is the business of whoever owns the socket, and of its kernel. Without it, who
//!   sends from a node's addresses speaks for it there. Correspondents ask for return routability.
//! - Kernel state: tunnels, routes, xfrm; interception on a home link.
//! - Dynamic home agent address discovery and mobile prefix discovery (§6.5 to §6.8, §11.4): home agent
//!   and prefix are configured, and the prefix does not end. The L and K flags are read and written and
//!   mean nothing.
//! - Of Proxy Mobile IPv6: more than one prefix for a session, IPv4, local routing; and attachment,
//!   detachment and the router advertisements to the node, which are the business of a [`Gateway`]'s owner
//!   (`nd::visitors`, `nd::reachability`).
//! - More than one home address or regional address at a time; several care-of addresses for one home
//!   address; a correspondent that is mobile itself; multicast; NEMO (RFC 3963).

#![forbid(unsafe_code)]

pub mod agent;
pub mod backoff;
pub mod cache;
pub mod codec;
pub mod correspondent;
pub mod headers;
pub mod ignored;
pub mod map_option;
pub mod mobile;
mod outbox;
pub mod proxy;
pub mod rr;

pub use agent::Agent;
pub use correspondent::Correspondent;
pub use headers::Headers;
pub use ignored::Ignored;
pub use map_option::MapOption;
pub use mobile::MobileNode;
pub use outbox::Transmit;
pub use proxy::{Anchor, Gateway};
