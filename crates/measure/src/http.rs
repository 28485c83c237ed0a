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
use std::time::Duration;

use capture::Capture;
use capture::decode::{Decoder, Frame};
use rundir::{Event, EventKind};
use serde::{Deserialize, Serialize};
use topology::Plan;
use topology::plan::{HttpClientPlan, HttpPollPlan, NodeName, NodePlan};
use units::SimTime;

use crate::mobility::NodeHandover;
use crate::result::Scenario;
use crate::text::counted;
use connection::{Connections, Exchange, Outcome, Read};
use figures::Ran;
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

/// So long after what a run has last its daemons have ended, when it is ended before its end.
const STOPPED_WITHIN: Duration = Duration::from_secs(1);

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

impl ConnectionCounts {
    /// How many requests had no connection to be sent by. Of which poll they were the capture does not tell.
    pub fn unconnected(&self) -> usize {
        self.refused + self.unanswered
    }
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

/// What the HTTP clients of a node exchanged with their gateways.
#[derive(Debug)]
pub struct Exchanges {
    /// Gateway by gateway: clients of one node with one gateway share its connections, and nobody tells whose those were that
    /// did not come to a request.
    pub all: Vec<Exchanged>,
    /// Requests that none of their polls has.
    pub others: usize,
    ran: Ran,
}

/// Reads what the HTTP clients of `node` and their gateways exchanged in the capture of its interface. What was open when the run was
/// ended, or where a damaged capture breaks off, is so in [`Outcome`].
pub fn exchanged(
    plan: &Plan,
    scenario: &Scenario,
    events: &[Event],
    node: &NodePlan,
    capture: &Capture,
) -> Exchanges {
    let (mut all, others) = read(node, capture);
    let (ran, is_whole) = ran(plan, scenario, events, capture);
    if !is_whole {
        cut(&mut all, ran.end);
    }
    let last = capture.packets.iter().map(|packet| packet.time).max();
    if let Some(last) = last.filter(|_| capture.damage.is_some()) {
        cut(&mut all, last);
    }
    Exchanges { all, others, ran }
}

fn read(node: &NodePlan, capture: &Capture) -> (Vec<Exchanged>, usize) {
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
    let (mut all, mut others) = (Vec::new(), 0);
    let mut clients: Vec<&HttpClientPlan> = node.http_clients().collect();
    while let Some(first) = clients.first() {
        let at = server(first);
        let (of_one, rest) = clients.iter().partition(|plan| server(plan) == at);
        let connections = by_server.remove(&at).map(Connections::end);
        let (exchanged, of_nobody) = sorted(of_one, connections.unwrap_or_default());
        all.extend(exchanged);
        others += of_nobody;
        clients = rest;
    }
    (all, others)
}

/// What of `read` is of which poll of the clients of one gateway, and how many requests are of none.
fn sorted(clients: Vec<&HttpClientPlan>, read: Read) -> (Option<Exchanged>, usize) {
    let none = |poll: &HttpPollPlan| Polled {
        poll: poll.clone(),
        exchanges: Vec::new(),
    };
    let plans = clients.iter().flat_map(|client| &client.polls);
    let mut polls: Vec<Polled> = plans.clone().map(none).collect();
    let targets: Vec<String> = plans.map(HttpPollPlan::target).collect();
    let mut others = 0;
    for exchange in read.exchanges {
        let mut all = polls.iter_mut().zip(&targets);
        let own = all.find(|(polled, target)| {
            polled.poll.observe == exchange.follows && **target == exchange.target
        });
        match own {
            Some((polled, _)) => polled.exchanges.push(exchange),
            None => others += 1,
        }
    }
    let unread = read.unread.into_iter();
    let connections = ConnectionCounts {
        opened: read.opened,
        refused: read.refused,
        unanswered: read.unanswered,
        unread: unread.map(|(why, n)| (why.to_string(), n)).collect(),
    };
    let exchanged = clients.first().map(|client| Exchanged {
        gateway: client.gateway.clone(),
        connections,
        polls,
    });
    (exchanged, others)
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
            let Exchanges { all, others, ran } = exchanged(plan, scenario, events, node, own);
            let before = measured.clients.len();
            for exchanged in all {
                measured.client((scenario, ran, records), name, exchanged);
            }
            let difference = difference(name, &measured.clients[before..], others, events);
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
        (scenario, ran, records): (&Scenario, Ran, &[NodeHandover]),
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
            .map(|polled| PollFigures::of(polled, ran, scenario, records));
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

/// When the run was, and whether it came to the end of its scenario.
fn ran(plan: &Plan, scenario: &Scenario, events: &[Event], capture: &Capture) -> (Ran, bool) {
    let start = SimTime::from_nanos(scenario.start_unix_ns);
    let end = start + plan.scenario.duration;
    let mut ends = events.iter().filter(|e| e.kind == EventKind::ScenarioEnded);
    if ends.next().is_some() {
        return (Ran { start, end }, true);
    }
    let packets = capture.packets.iter().map(|packet| packet.time);
    let events = events.iter().map(|e| SimTime::from_nanos(e.time_ns));
    let last = packets.chain(events).max().unwrap_or(start);
    let end = last.clamp(start, end);
    (Ran { start, end }, false)
}

/// Marks what was open when a run was ended, at about `end`, and its client with it.
fn cut(all: &mut [Exchanged], end: SimTime) {
    let polls = all.iter_mut().flat_map(|exchanged| &mut exchanged.polls);
    for exchange in polls.flat_map(|polled| &mut polled.exchanges) {
        let left = exchange
            .left
            .is_none_or(|left| left + STOPPED_WITHIN >= end);
        exchange.is_cut = left && exchange.outcome() == Outcome::Unanswered;
    }
}

/// Where what a client tells of itself and its capture, with `others` that no poll has, do not fit together.
fn difference(
    name: &NodeName,
    clients: &[HttpClient],
    others: usize,
    events: &[Event],
) -> Option<String> {
    let own = events.iter().filter(|event| event.node == *name);
    let (mut lives, mut told) = (0, None);
    for event in own {
        match &event.kind {
            EventKind::Ready => lives += 1,
            EventKind::HttpDrained {
                asked, answered, ..
            } => {
                let (all, of_them) = told.get_or_insert((0, 0));
                *all += asked;
                *of_them += answered;
            }
            _ => {}
        }
    }
    // What it asked in a life before it does not know.
    let (asked, answered) = told.filter(|_| lives == 1)?;
    let polls = || clients.iter().flat_map(|client| &client.polls);
    let sent: usize = polls().map(|poll| poll.requests.sent).sum();
    let unconnected = clients
        .iter()
        .map(|client| client.connections.unconnected());
    let seen = (sent + others + unconnected.sum::<usize>()) as u64;
    let seen_answered = polls().map(|poll| poll.requests.answered).sum::<usize>() as u64;
    let told = |what, told, seen| {
        (told != seen).then(|| {
            format!("{name} says that {told} of its requests by HTTP were {what}, and its capture has {seen}")
        })
    };
    told("answered", answered, seen_answered).or_else(|| told("made", asked, seen))
}
