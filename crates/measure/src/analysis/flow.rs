//! What one client saw of one resource of one node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use coap::Code;
use coap::wire::Token;
use units::SimTime;

use super::Options;
use super::binding::Rebinding;
use super::body::Bodies;
use super::exchange::{Answer, Exchange, Notification, Observation};
use super::hop::Hop;
use super::identity::{Key, Members};

/// The requests of one client for one resource of one node, and what came back.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The client's address; of several the one that it was seen at first.
    pub client: IpAddr,
    /// The client's name, as [`Flow::node`] is its node's.
    pub client_name: Option<String>,
    /// The node's name, if the caller gave one; its permanent address, if bindings in the capture
    /// tell it.
    pub node: Option<String>,
    /// Method of the requests.
    pub method: Code,
    /// Path and query; empty if no request of the capture names it.
    pub resource: String,
    /// The token of an observation whose registration was not captured, and which no request of
    /// the capture names.
    pub token: Option<Token>,
    /// In the order of their first transmissions.
    pub exchanges: Vec<Exchange>,
    /// Observations that were registered before the capture began; at least one, or an exchange.
    pub observations: Vec<Observation>,
    /// When the node said that it is somewhere else, in the order of time.
    pub rebindings: Arc<[Rebinding]>,
    /// Whether the node is known to number its notifications one by one.
    pub counts_by_one: bool,
}

/// One end of a gap: a response or a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Message ID of the request that it answers; of a notification, its own.
    pub message_id: u16,
    /// When the request was first sent; of a notification, when it was received.
    pub sent: SimTime,
    /// When the response was received.
    pub received: SimTime,
    /// Who answered.
    pub from: SocketAddr,
    /// Whether it is a further block of a body, that was asked for as soon as the block before
    /// was there.
    pub further: bool,
    /// Where it was captured, if that is known.
    pub hop: Option<Hop>,
}

/// The time between two responses that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The response before it.
    pub before: Edge,
    /// The response after it.
    pub after: Edge,
}

impl Pause {
    /// How long it is.
    pub fn duration(&self) -> Duration {
        self.after.received.saturating_since(self.before.received)
    }

    /// Whether another address answers after it.
    pub fn changes_address(&self) -> bool {
        self.before.from != self.after.from
    }
}

/// A time without responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last response before it.
    pub before: Edge,
    /// The first response after it.
    pub after: Edge,
    /// Message IDs requested over the gap and never answered, in the order of requests.
    pub lost: Vec<u16>,
}

impl Gap {
    /// From the last response before to the first one after.
    pub fn duration(&self) -> Duration {
        self.after.received.saturating_since(self.before.received)
    }
}

/// A method's name, `GET`; of one that has none its code.
pub fn method_name(method: Code) -> String {
    let name = match method {
        Code::GET => "GET",
        Code::POST => "POST",
        Code::PUT => "PUT",
        Code::DELETE => "DELETE",
        Code::FETCH => "FETCH",
        Code::PATCH => "PATCH",
        Code::IPATCH => "iPATCH",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// Counts and round-trip times of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Requested.
    pub sent: usize,
    /// Answered, to the last block.
    pub answered: usize,
    /// Requested and never answered.
    pub lost: usize,
    /// Sent more than once; of a body in blocks, any of its blocks.
    pub retransmitted: usize,
    /// Rejected with RST; they are among the lost.
    pub reset: usize,
    /// Copies of responses beyond the first.
    pub duplicates: usize,
    /// Requests for or with a further block of a body (RFC 7959), which are part of the request
    /// for its first one.
    pub further_blocks: usize,
    /// Responses with an error, 4.xx or 5.xx, by their code; they are answers.
    pub error_responses: BTreeMap<Code, usize>,
    /// Round-trip times; absent without an answer.
    pub rtt: Option<Rtt>,
}

/// Distribution of round-trip times, each from the first transmission of a request to its
/// response; of a body in blocks (RFC 7959) from the first transmission of the request for the
/// first block to the response with the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtt {
    /// Shortest.
    pub min: Duration,
    /// Mean.
    pub mean: Duration,
    /// Median; the mean of the middle two of an even number.
    pub median: Duration,
    /// 95th percentile: the smallest that at least 95 % do not exceed (nearest rank).
    pub p95: Duration,
    /// 99th percentile (nearest rank).
    pub p99: Duration,
    /// Longest.
    pub max: Duration,
}

impl Rtt {
    /// The distribution of `times`, if there are any.
    pub fn of(mut times: Vec<Duration>) -> Option<Rtt> {
        times.sort_unstable();
        let n = times.len();
        let (min, max) = (*times.first()?, *times.last()?);
        Some(Rtt {
            min,
            mean: times.iter().sum::<Duration>() / u32::try_from(n).ok()?,
            median: median(&times)?,
            p95: times[(n * 95).div_ceil(100) - 1],
            p99: times[(n * 99).div_ceil(100) - 1],
            max,
        })
    }
}

/// Median of ascending times.
pub(crate) fn median(times: &[Duration]) -> Option<Duration> {
    let n = times.len();
    let upper = *times.get(n / 2)?;
    Some(if n.is_multiple_of(2) {
        (times[n / 2 - 1] + upper) / 2
    } else {
        upper
    })
}

impl Requests {
    /// Counts exchanges.
    pub fn of<'a>(exchanges: impl IntoIterator<Item = &'a Exchange>) -> Requests {
        let mut requests = Requests::default();
        let mut times = Vec::new();
        let bodies = Bodies::of(exchanges);
        requests.further_blocks = bodies.notified.len();
        for body in bodies.asked {
            requests.sent += 1;
            requests.answered += usize::from(body.answered().is_some());
            requests.retransmitted += usize::from(body.is(|e| e.retransmissions() > 0));
            requests.reset += usize::from(body.is(|e| e.reset.is_some() && e.answer.is_none()));
            let duplicates = body.0.iter().map(|e| e.duplicates as usize);
            requests.duplicates += duplicates.sum::<usize>();
            requests.further_blocks += body.0.len() - 1;
            let codes = body.0.iter().filter_map(|e| Some(e.answer?.code));
            for code in codes.filter(|code| matches!(code.class(), 4 | 5)) {
                *requests.error_responses.entry(code).or_default() += 1;
            }
            let asked = body.0[0].sent_at();
            times.extend(body.answered().map(|at| at.saturating_since(asked)));
        }
        requests.lost = requests.sent - requests.answered;
        requests.rtt = Rtt::of(times);
        requests
    }
}

/// Each address once, in the order in which they come first, with how often it comes.
fn counted(addresses: impl Iterator<Item = SocketAddr>) -> Vec<(SocketAddr, usize)> {
    let mut counts: Vec<(SocketAddr, usize)> = Vec::new();
    let mut places = BTreeMap::new();
    for address in addresses {
        let place = *places.entry(address).or_insert(counts.len());
        match counts.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => counts.push((address, 1)),
        }
    }
    counts
}

impl Flow {
    pub(super) fn new(
        key: Key,
        members: Members,
        rebindings: Arc<[Rebinding]>,
        options: &Options,
    ) -> Flow {
        let (exchanges, observations) = members;
        let counts_by_one =
            (key.node.as_ref()).is_some_and(|node| options.count_by_one.contains(node));
        Flow {
            counts_by_one,
            client: key.client,
            client_name: key.client_name,
            node: key.node,
            method: key.method,
            resource: key.resource,
            token: key.token,
            exchanges,
            observations,
            rebindings,
        }
    }

    /// When its first request was sent, or the first notification received of an observation from
    /// before.
    pub fn start(&self) -> SimTime {
        let asked = self.exchanges.first().map(Exchange::sent_at);
        let observations = self.observations.iter();
        let notified = observations.filter_map(|o| Some(o.notifications.first()?.time));
        asked.into_iter().chain(notified).min().unwrap_or_default()
    }

    /// Everything that was notified: of each registration in the order received.
    pub fn notified(&self) -> impl Iterator<Item = &Notification> {
        let asked = self.exchanges.iter().flat_map(|e| &e.notifications);
        asked.chain(self.observations.iter().flat_map(|o| &o.notifications))
    }

    /// Counts and round-trip times.
    pub fn requests(&self) -> Requests {
        Requests::of(&self.exchanges)
    }

    /// Message IDs requested and never answered, in the order of requests.
    pub fn lost(&self) -> Vec<u16> {
        let lost = self.exchanges.iter().filter(|e| e.answer.is_none());
        lost.map(|e| e.message_id).collect()
    }

    /// The addresses that answered, in the order of their first responses, with the number of
    /// requests that each answered.
    pub fn addresses(&self) -> Vec<(SocketAddr, usize)> {
        counted(self.responses().into_iter().map(|edge| edge.from))
    }

    /// The addresses that did not answer, in the order of their first such requests, with the
    /// number of requests that each was sent in vain.
    pub fn unanswered(&self) -> Vec<(SocketAddr, usize)> {
        let silent = self.exchanges.iter().filter(|e| e.answer.is_none());
        counted(silent.flat_map(Exchange::destinations))
    }

    /// The addresses that were asked, each once, in the order of the first request to each.
    pub fn destinations(&self) -> Vec<SocketAddr> {
        let asked = counted(self.exchanges.iter().flat_map(Exchange::destinations));
        asked.into_iter().map(|(address, _)| address).collect()
    }

    /// Whether nothing but the pattern of requests says that the addresses which were asked are
    /// one node's: neither the caller nor a message names it.
    pub fn is_guessed(&self) -> bool {
        let asked = self.destinations().into_iter();
        let mut ends = asked.chain(self.observations.iter().map(|o| o.server));
        let first = ends.next();
        self.node.is_none() && ends.any(|end| Some(end.ip()) != first.map(|first| first.ip()))
    }

    /// The first response to every answered request and every notification, in the order
    /// received.
    pub fn responses(&self) -> Vec<Edge> {
        let answered = self.exchanges.iter().filter_map(|e| {
            let Answer {
                time, from, hop, ..
            } = e.answer?;
            Some(Edge {
                message_id: e.message_id,
                sent: e.sent_at(),
                received: time,
                from,
                further: e.offset > 0,
                hop,
            })
        });
        let notified = self.notified().map(|n| Edge {
            message_id: n.message_id,
            sent: n.time,
            received: n.time,
            from: n.from,
            further: false,
            hop: n.hop,
        });
        let mut responses: Vec<Edge> = answered.chain(notified).collect();
        responses.sort_by_key(|e| e.received);
        responses
    }

    /// The longest pause between two responses of the same address.
    pub fn largest_gap(&self) -> Option<Gap> {
        let pauses = self.pauses().into_iter();
        let same_address = pauses.filter(|p| !p.changes_address());
        let largest = same_address.reduce(|a, b| if b.duration() > a.duration() { b } else { a });
        largest.map(|pause| self.gap(&pause))
    }

    /// Requests after the last response that nobody answered.
    pub fn unanswered_at_end(&self) -> usize {
        let last = self.responses().last().map(|e| e.received);
        let silent = self.exchanges.iter().filter(|e| e.answer.is_none());
        silent.filter(|e| Some(e.sent_at()) > last).count()
    }

    /// The times between responses that follow each other, in the order of time.
    ///
    /// A response from an address before that comes in after the change, to a request sent before
    /// it, is late, ends no pause and begins none.
    pub fn pauses(&self) -> Vec<Pause> {
        let mut pauses = Vec::new();
        let mut responses = self.responses().into_iter();
        let Some(mut before) = responses.next() else {
            return pauses;
        };
        let mut seen = BTreeSet::from([before.from]);
        // Since when the present address answers.
        let mut since = before.received;
        for after in responses {
            let pause = Pause { before, after };
            if pause.changes_address() {
                if seen.contains(&after.from) && after.sent < since {
                    continue;
                }
                since = after.received;
                seen.insert(after.from);
            }
            pauses.push(pause);
            before = after;
        }
        pauses
    }

    /// A pause with what was lost over it.
    pub fn gap(&self, pause: &Pause) -> Gap {
        let Pause { before, after } = *pause;
        Gap {
            before,
            after,
            lost: self.lost_between(before.sent, after.received),
        }
    }

    fn lost_between(&self, sent_after: SimTime, sent_before: SimTime) -> Vec<u16> {
        let from = self
            .exchanges
            .partition_point(|e| e.sent_at() <= sent_after);
        let asked = self.exchanges[from..].iter();
        let asked = asked.take_while(|e| e.sent_at() < sent_before);
        let lost = asked.filter(|e| e.answer.is_none());
        lost.map(|e| e.message_id).collect()
    }
}
