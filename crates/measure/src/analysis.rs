//! Captures to requests, responses, losses and handovers.
//!
//! Nothing here knows of a run: the input is any capture with CoAP over UDP. The steps:
//!
//! 1. `observe`: the frames of all captures become CoAP messages, each once at each capture point
//!    however often that saw it ([`capture::sightings`]);
//! 2. `sameness` and `clients`: what several points saw becomes one message, and every client has
//!    those that it sent and received;
//! 3. `pairing`: requests and responses become [`Exchange`]s, notifications [`Observation`]s;
//! 4. `binding` and `identity`: addresses become nodes, endpoints become clients;
//! 5. [`flow`]: exchanges become a [`Flow`] per client, node and resource, with its pauses and
//!    statistics. Which of its pauses are handovers is the business of [`crate::attachment`].

mod binding;
mod body;
mod clients;
mod clocks;
mod exchange;
mod file;
pub mod flow;
mod hop;
mod identity;
mod message;
mod notifications;
mod observe;
mod pairing;
mod passing;
mod pause;
mod ports;
mod sameness;
mod source;
mod steps;
mod told;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use capture::Capture;
use capture::decode::UnreadFrames;
use units::SimTime;

use crate::dissect;
use pairing::Paired;
use passing::Live;

pub use binding::Rebinding;
pub use clocks::Clock;
pub use exchange::{Answer, Exchange, Missed, Notification, Observation, Transmission};
pub use file::CaptureFile;
pub(crate) use flow::median;
pub use flow::{Flow, Gap, Requests, Rtt, method_name};
pub use hop::Hop;
pub(crate) use message::resource;
pub use notifications::Notifications;
pub use pause::{AllPauses, Edge, Pause};
pub use ports::Port;
pub use source::Source;
pub use steps::Stepped;
pub use told::{Notified, notified};

/// How captures are read.
#[derive(Clone, Debug)]
pub struct Options {
    /// A datagram from or to one of these UDP ports is CoAP.
    pub ports: BTreeSet<u16>,
    /// Which node has, or at some time had, an address. Without an entry, addresses are
    /// assigned by the bindings that messages in the capture tell of, then by the pattern of
    /// requests. A client is one whichever of its addresses it asks from.
    pub nodes: BTreeMap<IpAddr, String>,
    /// The addresses of a host whose interfaces these all are, if they are one's: together they are
    /// one capture point, and what it only forwards is none of its own.
    pub host: BTreeSet<IpAddr>,
    /// The same message again within this time of its last transmission is a retransmission;
    /// later, its Message ID is in use for a new one. MAX_TRANSMIT_SPAN (RFC 7252 §4.8.2).
    ///
    /// Not EXCHANGE_LIFETIME (247 s): a client that asks every millisecond comes round its
    /// 65,536 Message IDs in 66 s.
    pub max_transmit_span: Duration,
    /// How often a CON is sent again at most: who has sent it as often will not, if the response does
    /// not come. MAX_RETRANSMIT (RFC 7252 §4.8).
    pub max_retransmit: u32,
    /// Nodes, by their names in `nodes`, that number the notifications to each observer one by one,
    /// so that a number which is missing was lost. RFC 7641 §4.4 asks only that numbers increase.
    pub count_by_one: BTreeSet<String>,
    /// What the reading of frames cannot know by itself: contexts of header compression.
    pub decode: capture::decode::Options,
    /// What tells the messages of protocols: those of [`crate::dissect::all`] by default.
    pub dissectors: Vec<dissect::New>,
    /// When what is measured ends: what is asked later counts like everything else, and how much of that
    /// was lost is told.
    pub end: Option<SimTime>,
    /// Of one source with more CoAP messages these are not all kept in memory, if it can be read once
    /// more instead: if one interface saw each packet once.
    pub most_kept: usize,
}

/// What EXCHANGE_LIFETIME has besides MAX_TRANSMIT_SPAN: twice MAX_LATENCY, and PROCESSING_DELAY
/// (RFC 7252 §4.8.2).
const BACK_AND_FORTH: Duration = Duration::from_secs(100 + 100 + 2);
/// What NON_LIFETIME has besides: MAX_LATENCY.
const MAX_LATENCY: Duration = Duration::from_secs(100);

impl Options {
    /// For how long the Message ID of a CON is in use.
    fn exchange_lifetime(&self) -> Duration {
        self.max_transmit_span + BACK_AND_FORTH
    }

    /// For how long the Message ID of a NON is in use.
    fn non_lifetime(&self) -> Duration {
        self.max_transmit_span + MAX_LATENCY
    }
}

impl Default for Options {
    /// Port 5683, no known nodes, no host, 45 s, four times again, nobody known
    /// to count by one, no end,
    /// 131,072 messages.
    fn default() -> Options {
        Options {
            ports: BTreeSet::from([coap::message::PORT]),
            nodes: BTreeMap::new(),
            host: BTreeSet::new(),
            max_transmit_span: Duration::from_secs(45),
            max_retransmit: 4,
            count_by_one: BTreeSet::new(),
            decode: capture::decode::Options::default(),
            dissectors: dissect::all(),
            end: None,
            most_kept: 1 << 17,
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
    /// Copies of those at one interface: the same packet on its next hop, at a mirror port, outside of
    /// a tunnel.
    pub copies: u64,
    /// Messages among them that several interfaces saw, beyond the first sighting of each.
    pub seen_elsewhere: u64,
    /// Messages of which the capture cut off the end (snap length).
    pub cut: u64,
    /// Requests among those whose options are not all there: their resources are not known.
    pub cut_requests: u64,
    /// Captures whose clocks are not the others', if that can be seen.
    pub clocks: Vec<Clock>,
    /// Captures whose clock stepped back in between.
    pub stepped: Vec<Stepped>,
    /// Frames that the MAC sent again.
    pub repeated: u64,
    /// Datagrams of a CoAP port that are not CoAP (RFC 7252 §3).
    pub undecodable: u64,
    /// Why the first of those is not.
    pub first_undecodable: Option<String>,
    /// Messages with a code that is reserved, or that their type must not have: they are neither requests
    /// nor responses (RFC 7252 §4.2, §12.1).
    pub reserved: u64,
    /// If there is no CoAP at all, the UDP ports that were seen: the busiest ones, those before others
    /// whose datagrams could be CoAP.
    pub udp_ports: Vec<Port>,
    /// How many others there are.
    pub other_udp_ports: usize,
    /// Fragmented packets, 6LoWPAN's and IP's, of which a fragment is missing.
    pub incomplete: u64,
    /// How many of those were given up because too many were begun at once.
    pub dropped: u64,
    /// Requests to a multicast group (RFC 7252 §8), not paired.
    pub multicast: u64,
    /// Responses to those.
    pub multicast_responses: u64,
    /// Requests that were not answered and want no response (No-Response, RFC 7967).
    pub wants_none: u64,
    /// Requests that repeat an unanswered one byte for byte, and count as new since
    /// [`Options::max_transmit_span`] was over.
    pub repeated_late: u64,
    /// Messages whose method and resource are not known, since OSCORE (RFC 8613) protects them.
    pub protected: u64,
    /// Messages with a block of a body that nobody asks for block by block (Q-Block, RFC 9177): such
    /// bodies are not put together.
    pub q_blocks: u64,
    /// Requests that only end an observation (RFC 7641 §3.6): nobody waits for their answers.
    pub deregistrations: u64,
    /// Of the lost requests those that were first sent after the end ([`Options::end`]).
    pub after_end: u64,
    /// CoAP pings: Empty confirmable messages (RFC 7252 §4.3).
    pub pings: u64,
    /// Responses to no request that was captured.
    pub stray: u64,
    /// Observe notifications (RFC 7641) after the first response.
    pub notifications: u64,
    /// Those among them whose registration was not captured.
    pub begun_before: u64,
    /// Messages of protocols that their receivers have to drop, by what is wrong with them.
    pub faults: dissect::Faults,
    /// Bindings that messages told of and that were left out, because there were too many.
    pub bindings_left_out: u64,
}

impl Analysis {
    /// Analyses captures of one network.
    ///
    /// Several captures may have seen the same traffic at different interfaces, or one after the
    /// other.
    pub fn of<C: Borrow<Capture>>(captures: &[C], options: &Options) -> Analysis {
        let captures = captures
            .iter()
            .map(|capture| capture.borrow() as &dyn Source);
        Analysis::of_sources(&captures.collect::<Vec<_>>(), options)
    }

    /// Analyses captures that need not be in memory. Each is read two times, and once more if
    /// something was learnt too late, or if there are too many messages to keep.
    pub fn of_sources(sources: &[&dyn Source], options: &Options) -> Analysis {
        let mut other = Other::default();
        let observe::Seen {
            mut traffic,
            bindings,
            passing,
        } = observe::observe(sources, options, &mut other);
        let mut known = identity::Known::new(&options.nodes);
        known.learn(&bindings);
        let start = traffic.streams.start().unwrap_or_default();

        let (mut subjects, mut signalling) = (identity::Subjects::default(), Vec::new());
        let mut begun_before = 0;
        let mut take = |paired: Paired| {
            let mut exchanges = paired.exchanges;
            signalling.extend(exchanges.extract_if(.., |e| e.protocol().is_some()));
            subjects.exchanges(exchanges);
            for observation in paired.observations {
                begun_before += observation.notifications.len() as u64;
                subjects.observation(observation);
            }
        };
        match passing {
            None => {
                other.seen_elsewhere = sameness::number(&mut traffic, options.max_transmit_span);
                for client in clients::clients(&traffic, options, &known) {
                    take(pairing::pair(&client, options, &known, &mut other));
                }
            }
            Some(endpoints) => {
                let live = Live::new(endpoints, options, &known);
                let live = observe::pass(sources, options, traffic.streams, live);
                live.into_iter()
                    .for_each(|live| live.end(&mut take, &mut other));
            }
        }
        other.begun_before = begun_before;
        let mut moves = identity::rebindings(&bindings, &known);
        let flows = subjects.flows(&known).into_iter();
        let mut flows: Vec<Flow> = flows
            .map(|(key, members)| {
                let of_node = key.node.as_ref().map(|node| moves.entry(node.clone()));
                let of_node = of_node.map(|entry| entry.or_default().clone());
                Flow::new(key, members, of_node.unwrap_or_default(), options)
            })
            .collect();
        flows.sort_by_key(Flow::start);
        Analysis {
            flows,
            signalling,
            start,
            other,
        }
    }
}
