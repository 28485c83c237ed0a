//! The node daemons: thin shells around the protocol cores, one process per node.
//!
//! Owns the sockets, timers and netlink calls of a node that runs inside its own network
//! namespace, or on a board with a real radio. Knows nothing of how the namespace came to
//! be, of other nodes' internals, of captures or of the scenario.
//!
//! A daemon reads its part of the resolved plan, reports [`rundir::Event`]s as JSON lines on
//! standard output and logs on standard error. With [`Config::controlled`] it is told
//! [`rundir::control::Control`] lines on standard input and leaves at end of file.
//!
//! A node is as many parts as its plan says, side by side in one process. Each hears all control
//! lines, and the daemon is ready when all its parts are.
//!
//! ```text
//! plan ──► daemon ──┬── router          router advertisements, DHCPv6 relay agent
//!                   ├── dhcpv6_server
//!                   ├── http_client
//!                   ├── comp::wmms
//!                   ├── mip6            home agent, mobility anchor point, correspondent;
//!                   │                   local mobility anchor, mobile access gateway
//!                   └── application     CoAP endpoint, services, a mobility adapter;
//!                         in wired      where it is, or
//!                         in radio_host at a router, from which it may be handed over
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | `daemon` | which parts a node has; control lines for all of them |
//! | `host` | what every part is given: events out, names, randomness, the clock |
//! | `events` | events out, and no more than anybody wants to read |
//! | `control` | control lines in |
//! | `router` | an edge router: advertisements, relay agent; forwarding is the kernel's |
//! | `dhcpv6_server` | DHCPv6 server |
//! | `wired`, `radio_host` | the places of an application |
//! | `radio` | radio and 6LoWPAN interface, addresses, default route |
//! | `connectivity` | how a node is connected, in the words of its services |
//! | `application` | services on a CoAP endpoint, whatever the mobility |
//! | `endpoint` | where the CoAP endpoint is bound, and its parameters |
//! | `services` | the plan's services in the words of their cores |
//! | `web` | HTTP for people and scripts, in front of a service |
//! | `gateway` | from HTTP to CoAP, a service |
//! | `http_client` | who asks a gateway by HTTP |
//! | `mobility` | the adapter of a mobility protocol; none |
//! | [`comp`] | CoMP's adapter, and its server |
//! | `lwm2m` | LwM2M clients and servers |
//! | `mip6` | Mobile IPv6's adapter, home agents, mobility anchor points, correspondents; local mobility anchors, mobile access gateways |

#![forbid(unsafe_code)]

mod application;
pub mod comp;
mod connectivity;
mod control;
mod daemon;
mod dhcpv6_server;
mod endpoint;
mod events;
mod gateway;
mod host;
mod http_client;
mod lwm2m;
mod mip6;
mod mobility;
mod radio;
mod radio_host;
mod router;
mod services;
mod web;
mod wired;

pub use daemon::{Config, run};
pub use host::{Interfaces, Shared};
pub use radio_host::SignalSource;
