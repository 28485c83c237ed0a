//! What one client saw of one resource of one node.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use coap::Code;
use coap::wire::Token;
use units::SimTime;

use super::Options;
use super::binding::Rebinding;
use super::body::Bodies;
use super::exchange::{Exchange, Notification, Observation};
use super::identity::{Key, Members};
use super::pause::{Edge, Pause, Response};

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
        for body in bodies.asked() {
            requests.sent += 1;
            requests.answered += usize::from(body.answered().is_some());
            requests.retransmitted += usize::from(body.is(|e| e.retransmissions() > 0));
            requests.reset += usize::from(body.is(|e| e.reset().is_some() && !e.is_answered()));
            let duplicates = body.all().map(|e| e.duplicates() as usize);
            requests.duplicates += duplicates.sum::<usize>();
            requests.further_blocks += body.further.len();
            let codes = body.all().filter_map(|e| Some(e.answer()?.code));
            for code in codes.filter(|code| matches!(code.class(), 4 | 5)) {
                *requests.error_responses.entry(code).or_default() += 1;
            }
            let asked = body.first.sent_at();
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
        let asked = self.exchanges.iter().flat_map(|e| e.notifications());
        asked.chain(self.observations.iter().flat_map(|o| &o.notifications))
    }

    /// Counts and round-trip times.
    pub fn requests(&self) -> Requests {
        Requests::of(&self.exchanges)
    }

    /// Message IDs requested and never answered, in the order of requests.
    pub fn lost(&self) -> Vec<u16> {
        let lost = self.exchanges.iter().filter(|e| !e.is_answered());
        lost.map(Exchange::message_id).collect()
    }

    /// The addresses that answered, in the order of their first responses, with the number of
    /// requests that each answered.
    pub fn addresses(&self) -> Vec<(SocketAddr, usize)> {
        counted(self.responses().iter().map(Response::from))
    }

    /// The addresses that did not answer, in the order of their first such requests, with the
    /// number of requests that each was sent in vain.
    pub fn unanswered(&self) -> Vec<(SocketAddr, usize)> {
        let silent = self.exchanges.iter().filter(|e| !e.is_answered());
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

    /// The longest pause between two responses of the same address.
    pub fn largest_gap(&self) -> Option<Gap> {
        let pauses = self.pauses();
        let same_address = pauses.iter().filter(|p| !p.changes_address());
        let largest = same_address.reduce(|a, b| if b.duration() > a.duration() { b } else { a });
        largest.map(|pause| self.gap(&pause))
    }

    /// Requests after the last response that nobody answered.
    pub fn unanswered_at_end(&self) -> usize {
        let last = self.responses().last().map(Response::received);
        let silent = self.exchanges.iter().filter(|e| !e.is_answered());
        silent.filter(|e| Some(e.sent_at()) > last).count()
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
        let lost = asked.filter(|e| !e.is_answered());
        lost.map(Exchange::message_id).collect()
    }
}
