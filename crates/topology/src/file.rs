//! The topology file, key by key. Nothing is resolved here: an absent key is `None`.
//!
//! The doc comments of the fields are the descriptions in the JSON Schema. docs/topology.md is the
//! reference for users.
//!
//! | module | holds |
//! | --- | --- |
//! | `radio` | the radio model and the links at the start |
//! | `place` | pairs of nodes, and places in the plane |
//! | `scenario` | the script |
//! | `expect` | the expectations |
//!
//! What a node is, is under [`crate::kind`].

use std::time::Duration;

use ipnet::Ipv6Net;
use units::{ByteSize, DataRate, LossRatio};

use crate::decode::{At, Named};
use crate::kind::Node;
use crate::plan::{BackboneKind, CongestionControl};

#[macro_use]
pub(crate) mod tables;
mod expect;
mod place;
mod radio;
mod scenario;

pub use expect::*;
pub use place::*;
pub use radio::*;
pub use scenario::*;

tables! {
    /// A wpanlab topology: a network, what happens in it, and what must hold at the end.
    pub struct Topology {
        /// Version of this format: 1.
        pub version: At<u64>,
        /// The topology's name: lower-case letters, digits and hyphens.
        pub name: At<String>,
        /// One sentence: what the topology shows.
        pub summary: Option<At<String>>,
        /// Root seed of every identifier and every random draw; default 1. `--seed` overrides it.
        pub seed: Option<At<u64>>,
        /// The wired network. It joins the wired nodes and the edge routers.
        pub backbone: Option<Backbone>,
        /// Radio model.
        pub radio: Option<Radio>,
        /// CoAP parameters of every node that does not give its own.
        pub coap: Option<Coap>,
        /// Every node by name. A name is at most 15 lower-case letters, digits and hyphens.
        pub nodes: Named<Node>,
        /// Attenuation between radios at the start. A host with a radio and the edge router that it
        /// is attached to have 40 dB, unless it is given here or both have a position.
        pub links: Option<Vec<Link>>,
        /// What happens.
        pub scenario: Scenario,
        /// What must hold at the end for the run to pass.
        pub expect: Option<Expect>,
        /// What must hold over the runs of a sweep (`--seeds`) for it to pass.
        pub expect_sweep: Option<ExpectSweep>,
    }

    /// The wired network.
    pub struct Backbone {
        /// `bridge`: one Ethernet link and one prefix. `routed`: a core router with a link and a
        /// prefix per node; default `bridge`.
        pub kind: Option<At<BackboneKind>>,
        /// Prefix of its addresses; a /64 of a bridge, a /48 of a routed one; default
        /// 2001:db8::/64, of a routed one 2001:db8:f000::/48.
        pub prefix: Option<At<Ipv6Net>>,
        /// One-way delay from any wired node to any other; default 0 s.
        pub delay: Option<At<Duration>>,
        /// By how much a packet's delay differs at most from `delay`, evenly spread: packets may
        /// overtake each other; at most `delay`; default 0 s.
        pub jitter: Option<At<Duration>>,
        /// How many packets are lost by chance between any two wired nodes, neighbour solicitations
        /// too; default 0 %.
        pub loss: Option<At<LossRatio>>,
        /// Rate at which each wired node receives; default unlimited.
        pub rate: Option<At<DataRate>>,
    }

    /// CoAP transmission parameters (RFC 7252 §4.8).
    pub struct Coap {
        /// ACK_TIMEOUT; over 0 s; default 2 s.
        pub ack_timeout: Option<At<Duration>>,
        /// ACK_RANDOM_FACTOR; from 1 to 1000; default 1.5.
        pub ack_random_factor: Option<At<f64>>,
        /// MAX_RETRANSMIT; at most 20; default 4.
        pub max_retransmit: Option<At<u32>>,
        /// NSTART: outstanding requests to one peer; at least 1; default 1.
        pub nstart: Option<At<u32>>,
        /// How long a request without a response is waited for; over 0 s; default 10 s.
        pub response_timeout: Option<At<Duration>>,
        /// The retransmission timeout: `fixed`, ACK_TIMEOUT, or `cocoa`, from measured round trips
        /// (draft-ietf-core-cocoa-03); default `fixed`.
        pub congestion_control: Option<At<CongestionControl>>,
        /// The largest block of a body that is sent or asked for: a longer body crosses block by
        /// block (RFC 7959); a power of two from 16 B to 1024 B; default 1024 B.
        pub block_size: Option<At<ByteSize>>,
        /// Whether the blocks of a body that was asked for have an entity tag, 9 B each, by which
        /// whoever fetches it tells blocks of two representations apart; default `true`.
        pub block_etags: Option<At<bool>>,
        /// How long the tokens of requests are at least; from 0 B to 8 B. Below 4 B one is a byte
        /// longer where the peer may take it for another's: 0 B is for requests that nobody answers
        /// and for one at a time; default `4 B` in a run, `8 B` outside and with `verify_sources`.
        pub token_length: Option<At<ByteSize>>,
        /// Every how many notifications to an observer one is CON (RFC 7641 §4.5); at least 1;
        /// default 10.
        pub confirm_notifications: Option<At<u32>>,
        /// Whether who asks for the first time shows where it is before it changes anything or gets
        /// more than three times what it sent (Echo, RFC 9175), and a binding is confirmed before it
        /// is believed that came from an address not known; default `false` in a run, `true` outside.
        pub verify_sources: Option<At<bool>>,
    }
}
