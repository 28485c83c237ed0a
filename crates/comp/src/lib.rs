//! CoMP and CoMM: mobility management over CoAP, as pure state machines.
//!
//! Owns the messages (options 2048-2054 on `/comp`), the tables (MMT, LBC) and the behaviour
//! of the parties, each a [`machine::Machine`] around one [`coap::Endpoint`]: the WMMS, and the node,
//! which is client and server in one. CoMM's LMMS is a WMMS, its CWC and mCSN are nodes; where the
//! papers differ it is a setting ([`BindingMode`]).
//!
//! It must not know of sockets, clocks, radios, neighbour discovery, DHCPv6 or the testbed:
//! time and a seeded generator come in, datagrams, deadlines and events are polled.
//!
//! ```
//! use coap::Params;
//! use handover::BindingEvent;
//! use machine::Machine;
//! use comp::client::HoldQueue;
//! use comp::wmms::{self, Wmms};
//! use comp::{BindingMode, Limits, node};
//! use std::net::{Ipv6Addr, SocketAddrV6};
//! use std::time::Duration;
//! use units::{Seed, SimTime};
//!
//! let (p_addr, t_addr): (Ipv6Addr, Ipv6Addr) =
//!     ("2001:db8::5".parse().unwrap(), "2001:db8:1::5".parse().unwrap());
//! let wmms_address: SocketAddrV6 = "[2001:db8:f::1]:5683".parse().unwrap();
//! let node_address = SocketAddrV6::new(t_addr, 5683, 0, 0);
//!
//! let config = wmms::Config {
//!     hold_timeout: Duration::from_millis(500),
//!     binding: BindingMode::Direct,
//!     limits: Limits::default(),
//!     coap: Params::default(),
//! };
//! let mut wmms = Wmms::new(config, Seed(1).rng(&["wmms"]));
//! let config = node::Config {
//!     p_addr,
//!     wmms: wmms_address,
//!     hold: true,
//!     binding: BindingMode::Direct,
//!     lifetime: Duration::from_secs(600),
//!     hold_queue: HoldQueue::default(),
//!     coap: Params::default(),
//! };
//! let mut node = node::Node::new(config, Seed(1).rng(&["node"]));
//!
//! let now = SimTime::ZERO;
//! node.register(now, t_addr);
//! wmms.handle_datagram(now, node_address, &node.poll_transmit().unwrap().payload);
//! node.handle_datagram(now, wmms_address, &wmms.poll_transmit().unwrap().payload);
//!
//! let registered = BindingEvent::Registered { p_addr, t_addr };
//! assert_eq!(node.poll_event(), Some(node::Event::Binding(registered)));
//! assert_eq!(wmms.mmt().get(p_addr).unwrap().t_addr, t_addr);
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`codec`] | [`codec::Command`] and the responses: options, checks, diagnostics |
//! | [`table`] | [`table::Table`]: bindings that expire, which is what both tables are |
//! | [`mmt`] | [`mmt::Mmt`]: the WMMS's table |
//! | [`limits`] | [`Limits`]: what one peer may cost the WMMS |
//! | [`lbc`] | [`lbc::Lbc`]: the cache of a node that asks |
//! | [`wmms`] | [`wmms::Wmms`]: registration, discovery, hold, binding, deregistration |
//! | [`node`] | [`node::Node`]: registration, hold, sleep, direct and relayed binding; a [`handover::Mobility`] |
//! | [`client`] | [`client::Client`], part of a node: discovery, hold queue, following a node |
//! | [`binding`] | [`BindingMode`], [`Removal`], [`Expired`] |
//! | [`mod@sequence`] | [`Sequence`]: which of two messages of a node is the newer one |
//!
//! # Limits
//!
//! No protection: who sends from a node's address, or the WMMS's, speaks for it. Correspondents
//! are known by the address from which they asked; the WMMS follows those at the T_Addr of a
//! registered node, a node those that it asks itself. A node that restarts and moves on, in
//! direct mode, before a client asks it again does not know that client, and the WMMS does not
//! know so: the client finds out when its patience with the hold ends.

#![forbid(unsafe_code)]

pub mod binding;
pub mod client;
pub mod codec;
pub mod lbc;
pub mod limits;
pub mod mmt;
pub mod node;
mod registrar;
mod resource;
pub mod sequence;
pub mod table;
pub mod wmms;

pub use binding::{BindingMode, Expired, Removal};
pub use limits::{Limit, Limits};
pub use resource::comp_link;
pub use sequence::Sequence;
