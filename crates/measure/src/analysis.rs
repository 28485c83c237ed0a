//! Captures to requests, responses, losses and handovers.
//!
//! Nothing here knows of a run: the input is any capture with CoAP over UDP. The steps:
//!
//! 1. `observe`: frames become CoAP messages, each once however often a sniffer saw it
//!    ([`capture::sightings`]), and for every client the one interface is chosen that is nearest
//!    to it, so that a message seen at several interfaces of a merged capture counts once;
//! 2. `pairing`: requests and responses become [`Exchange`]s;
//! 3. `binding` and `identity`: addresses become nodes, endpoints become clients;
//! 4. [`flow`]: exchanges become a [`Flow`] per client, node and resource, with its pauses and
//!    statistics. Which of its pauses are handovers is the business of [`crate::attachment`].

mod binding;
mod body;
pub mod flow;
mod hop;
mod identity;
mod observe;
mod pairing;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use capture::Capture;
use capture::decode::UnreadFrames;
use units::SimTime;

use crate::dissect;

pub use binding::Rebinding;
pub(crate) use flow::median;
pub use flow::{Edge, Flow, Gap, Notifications, Pause, Requests, Rtt, method_name};
pub use hop::Hop;
pub use pairing::{Answer, Exchange, Notification, Transmission};

/// How captures are read.
#[derive(Clone, Debug)]
pub struct Options {
    /// A datagram from or to one of these UDP ports is CoAP.
    pub ports: BTreeSet<u16>,
    /// Which node has, or at some time had, an address. Without an entry, addresses are
    /// assigned by the bindings that messages in the capture tell of, then by the pattern of
    /// requests.
    pub nodes: BTreeMap<IpAddr, String>,
    /// The addresses of a host whose interfaces these all are, if they are one's: together they are
    /// one capture point, and what it only forwards is none of its own.
    pub host: BTreeSet<IpAddr>,
    /// Addresses of a client that moves, and the one address that stands for all of them: its
    /// requests from any of them are one client's.
    pub aliases: BTreeMap<IpAddr, IpAddr>,
    /// The same message again within this time of its last transmission is a retransmission;
    /// later, its Message ID is in use for a new one. MAX_TRANSMIT_SPAN (RFC 7252 §4.8.2).
    ///
    /// Not EXCHANGE_LIFETIME (247 s): a client that asks every millisecond comes round its
    /// 65,536 Message IDs in 66 s.
    pub max_transmit_span: Duration,
    /// What the reading of frames cannot know by itself: contexts of header compression.
    pub decode: capture::decode::Options,
    /// What tells the messages of protocols: those of [`crate::dissect::all`] by default.
    pub dissectors: Vec<dissect::New>,
}

impl Default for Options {
    /// Port 5683, no known nodes, no host, no aliases, 45 s.
    fn default() -> Options {
        Options {
            ports: BTreeSet::from([coap::message::PORT]),
            nodes: BTreeMap::new(),
            host: BTreeSet::new(),
            aliases: BTreeMap::new(),
            max_transmit_span: Duration::from_secs(45),
            decode: capture::decode::Options::default(),
            dissectors: dissect::all(),
        }
    }
}

/// What captures show.
#[derive(Clone, Debug, Default)]
pub struct Analysis {
    /// Per client, node and resource, in the order of their first requests.
    pub flows: Vec<Flow>,
    /// Requests that a protocol needs for itself, which belong to no flow.
    pub signalling: Vec<Exchange>,
    /// Time of the first frame.
    pub start: SimTime,
    /// Everything that belongs to no flow.
    pub other: Other,
}

/// What was seen beside the flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// Frames in the captures.
    pub frames: u64,
    /// IP packets that were read in them, counted each time they were seen.
    pub packets: u64,
    /// Frames that were not read, by what they are. Acknowledgements and the like, which carry
    /// nothing, are not among them.
    pub unread: UnreadFrames,
    /// CoAP messages, counted once at every interface that saw them.
    pub coap_messages: u64,
    /// Copies of those: the same packet on its next hop, at a mirror port, outside of a tunnel.
    pub copies: u64,
    /// Frames that the MAC sent again.
    pub repeated: u64,
    /// Datagrams of a CoAP port that are not CoAP (RFC 7252 §3).
    pub undecodable: u64,
    /// Why the first of those is not.
    pub first_undecodable: Option<String>,
    /// Fragmented packets, 6LoWPAN's and IP's, of which a fragment is missing.
    pub incomplete: u64,
    /// How many of those were given up because too many were begun at once.
    pub dropped: u64,
    /// Requests to a multicast group (RFC 7252 §8), not paired.
    pub multicast: u64,
    /// Requests that only end an observation (RFC 7641 §3.6): nobody waits for their answers.
    pub deregistrations: u64,
    /// CoAP pings: Empty confirmable messages (RFC 7252 §4.3).
    pub pings: u64,
    /// Responses to no request that was captured.
    pub stray: u64,
    /// Observe notifications (RFC 7641) after the first response.
    pub notifications: u64,
    /// Bindings that messages told of and that were left out, because there were too many.
    pub bindings_left_out: u64,
}

impl Analysis {
    /// Analyses captures of one network.
    ///
    /// Several captures may have seen the same traffic at different interfaces.
    pub fn of<C: Borrow<Capture>>(captures: &[C], options: &Options) -> Analysis {
        let mut other = Other::default();
        let (observed, bindings) = observe::observe(captures, options, &mut other);
        let mut known = identity::Known::new(&options.nodes);
        known.learn(&bindings);

        let (mut polls, mut signalling) = (Vec::new(), Vec::new());
        for client in observe::clients(&observed) {
            let exchanges = pairing::pair(&client, options.max_transmit_span, &mut other);
            for exchange in exchanges {
                let kind = match exchange.protocol {
                    Some(_) => &mut signalling,
                    None => &mut polls,
                };
                kind.push(exchange);
            }
        }
        let mut moves = identity::rebindings(&bindings, &known);
        let flows = identity::flows(polls, &known).into_iter();
        let mut flows: Vec<Flow> = flows
            .map(|(key, exchanges)| {
                let of_node = key.node.as_ref().map(|node| moves.entry(node.clone()));
                let of_node = of_node.map(|entry| entry.or_default().clone());
                Flow::new(key, exchanges, of_node.unwrap_or_default())
            })
            .collect();
        flows.sort_by_key(Flow::start);
        let frames = captures.iter().flat_map(|c| &c.borrow().packets);
        Analysis {
            flows,
            signalling,
            start: frames.map(|p| p.time).min().unwrap_or_default(),
            other,
        }
    }
}
