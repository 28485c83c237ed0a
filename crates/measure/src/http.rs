//! What clients asked gateways by HTTP, out of the captures of their own interfaces.
//!
//! ```text
//! capture ──► decode ──► TCP segments ──► stream: bytes in their order ──► message: heads and bodies
//!                                                                              │
//!                            figures of each poll, and around its handovers ◄── exchanges
//! ```
//!
//! A request is timed from its first byte, as the client sent it first, to the last byte of its response, when all before it
//! were there, too. An event stream is timed to the end of its head, and has the times of its events.
//!
//! | module | holds |
//! | --- | --- |
//! | [`connection`] | requests and their responses out of the segments of connections |
//! | `message` | HTTP/1.1 (RFC 9112) out of the bytes of a connection |
//! | `event_stream` | events out of the body of an event stream |
//! | [`figures`] | what the exchanges of a poll come to |

pub mod connection;
mod event_stream;
pub mod figures;
mod message;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use capture::Capture;
use capture::decode::{Decoder, Frame};
use rundir::{Event, EventKind};
use serde::{Deserialize, Serialize};
use topology::Plan;
use topology::plan::{HttpClientPlan, HttpPollPlan, NodeName, NodePlan};

use crate::mobility::NodeHandover;
use crate::result::Scenario;
use crate::text::counted;
use connection::{Connections, Exchange, Read};
pub use figures::{Events, HandoverSeen, PollFigures, RequestCounts};

/// What a client asked a gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpClient {
    /// Who asked.
    pub client: NodeName,
    /// The node with the gateway.
    pub gateway: NodeName,
    /// The client's TCP connections with it.
    pub connections: ConnectionCounts,
    /// Poll by poll, as the plan has them.
    pub polls: Vec<PollFigures>,
}

/// What became of TCP connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionCounts {
    /// Accepted.
    pub opened: usize,
    /// Refused with RST.
    pub refused: usize,
    /// Never answered.
    pub unanswered: usize,
    /// Those that could not be read to their end, by why not: what became of their last requests is not known, and they
    /// are not among the requests. Absent if all were read.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub unread: BTreeMap<String, usize>,
}

/// The exchanges of a poll.
#[derive(Clone, Debug)]
pub struct Polled {
    /// The poll.
    pub poll: HttpPollPlan,
    /// By the time when they were sent.
    pub exchanges: Vec<Exchange>,
}

/// What a client and a gateway exchanged.
#[derive(Debug)]
pub struct Exchanged {
    /// The node with the gateway.
    pub gateway: NodeName,
    /// Its connections.
    pub connections: ConnectionCounts,
    /// Poll by poll.
    pub polls: Vec<Polled>,
}

/// Reads what the HTTP clients of `node` and their gateways exchanged in the capture of its interface; and how many requests none of
/// their polls has. Clients of one gateway share its connections, which are counted with the first.
pub fn exchanged(node: &NodePlan, capture: &Capture) -> (Vec<Exchanged>, usize) {
    let own = node.backbone.iter();
    let own: BTreeSet<IpAddr> = own.map(|eth| eth.address.addr().into()).collect();
    let server = |plan: &HttpClientPlan| SocketAddr::new(plan.address.into(), plan.port);
    let mut by_server: BTreeMap<SocketAddr, Connections> = node
        .http_clients()
        .map(|plan| {
            let connections = Connections::new(own.clone(), server(plan));
            (server(plan), connections)
        })
        .collect();
    let mut decoder = Decoder::default();
    for packet in &capture.packets {
        let Some(interface) = capture.interfaces.get(packet.interface) else {
            continue;
        };
        let Some(ip) = decoder.read(Frame::of(interface, packet)) else {
            continue;
        };
        let Some(segment) = ip.tcp() else { continue };
        for connections in by_server.values_mut() {
            connections.take(&segment, ip.time);
        }
    }
    let mut read: BTreeMap<SocketAddr, Read> = by_server
        .into_iter()
        .map(|(server, connections)| (server, connections.end()))
        .collect();
    let mut all = Vec::new();
    for plan in node.http_clients() {
        all.push(sorted(plan, read.entry(server(plan)).or_default()));
    }
    let others = read.values().map(|read| read.exchanges.len()).sum();
    (all, others)
}

/// What of `read` is the client's: what is left is for the next one.
fn sorted(plan: &HttpClientPlan, read: &mut Read) -> Exchanged {
    let none = |poll: &HttpPollPlan| Polled {
        poll: poll.clone(),
        exchanges: Vec::new(),
    };
    let mut polls: Vec<Polled> = plan.polls.iter().map(none).collect();
    let targets: Vec<String> = plan.polls.iter().map(HttpPollPlan::target).collect();
    let mut others = Vec::new();
    for exchange in std::mem::take(&mut read.exchanges) {
        let mut all = polls.iter_mut().zip(&targets);
        let own = all.find(|(polled, target)| {
            polled.poll.observe == exchange.follows && **target == exchange.target
        });
        match own {
            Some((polled, _)) => polled.exchanges.push(exchange),
            None => others.push(exchange),
        }
    }
    let unread = std::mem::take(&mut read.unread).into_iter();
    let connections = ConnectionCounts {
        opened: std::mem::take(&mut read.opened),
        refused: std::mem::take(&mut read.refused),
        unanswered: std::mem::take(&mut read.unanswered),
        unread: unread.map(|(why, n)| (why.to_string(), n)).collect(),
    };
    read.exchanges = others;
    Exchanged {
        gateway: plan.gateway.clone(),
        connections,
        polls,
    }
}

/// What a run has of HTTP.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) clients: Vec<HttpClient>,
    /// The exchanges of each poll, and who made them.
    pub(crate) polls: Vec<(NodeName, Polled)>,
    pub(crate) notes: Vec<String>,
    /// The first reason why it is not known completely.
    pub(crate) gap: Option<String>,
}

impl Measured {
    /// What the captures have of all HTTP clients of `plan`. `records` are the handovers of its nodes, as `events` tell them, and
    /// `capture` finds the capture of a node's interface.
    pub(crate) fn of<'c>(
        plan: &Plan,
        scenario: &Scenario,
        (records, events): (&[NodeHandover], &[Event]),
        capture: impl Fn(&str, &str) -> Option<&'c Capture>,
    ) -> Measured {
        let mut measured = Measured::default();
        let clients = plan.nodes.iter();
        for (name, node) in clients.filter(|(_, node)| node.http_clients().next().is_some()) {
            let Some(own) = capture(name, "eth0") else {
                measured.incomplete(format!("there is no capture of {name}"));
                continue;
            };
            if let Some(damage) = &own.damage {
                measured.incomplete(format!("the capture of {name} is damaged: {damage}"));
            }
            let (all, others) = exchanged(node, own);
            let before = measured.clients.len();
            for exchanged in all {
                measured.client(plan, (scenario, records), name, exchanged);
            }
            let own = measured.clients.iter().skip(before);
            let answered = own.flat_map(|client| client.polls.iter().map(|p| p.requests.answered));
            let difference = difference(name, answered.sum::<usize>() as u64, events);
            measured.notes.extend(difference);
            if others > 0 {
                let what = counted(others as u64, "{requests|request}");
                let note = format!("{name} sent {others} {what} by HTTP that no poll of its has");
                measured.notes.push(note);
            }
        }
        measured
    }

    fn client(
        &mut self,
        plan: &Plan,
        (scenario, records): (&Scenario, &[NodeHandover]),
        name: &NodeName,
        exchanged: Exchanged,
    ) {
        let Exchanged {
            gateway,
            connections,
            polls,
        } = exchanged;
        for (why, count) in &connections.unread {
            let what = counted(*count as u64, "{connections|connection}");
            let text = format!(
                "{count} {what} of {name} with {gateway} could not be read to the end: {why}"
            );
            self.incomplete(text);
        }
        let figures = polls
            .iter()
            .map(|polled| PollFigures::of(polled, plan.scenario.duration, scenario, records));
        self.clients.push(HttpClient {
            client: name.clone(),
            gateway,
            connections,
            polls: figures.collect(),
        });
        let polls = polls.into_iter().map(|polled| (name.clone(), polled));
        self.polls.extend(polls);
    }

    fn incomplete(&mut self, reason: String) {
        self.notes.push(reason.clone());
        self.gap.get_or_insert(reason);
    }
}

/// Where what a client tells of itself and its capture, which has so many answered requests, do not fit together.
fn difference(name: &NodeName, answered: u64, events: &[Event]) -> Option<String> {
    let own = events.iter().filter(|event| event.node == *name);
    let (mut lives, mut told) = (0, None);
    for event in own {
        match &event.kind {
            EventKind::Ready => lives += 1,
            EventKind::HttpDrained { answered, .. } => *told.get_or_insert(0) += answered,
            _ => {}
        }
    }
    // What it asked in a life before it does not know.
    let told = told.filter(|told| lives == 1 && *told != answered)?;
    Some(format!(
        "{name} says that {told} of its requests by HTTP were answered, and its capture has {answered}"
    ))
}
