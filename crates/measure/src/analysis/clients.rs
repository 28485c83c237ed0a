//! What each client sent and received, each packet once, out of what all capture points saw.
//!
//! The points that saw a client are ranked: first the one that saw most of its requests, the nearest
//! one, since a message that is lost farther on was still seen there; of those that saw the same the
//! one with the longest round trips. The times of a message are
//! those of the best point that saw it, and what a point has missed another one may have.
//!
//! With one exception: a response that did not come as far as the client was lost, whoever saw it
//! farther away. That is known where the client is watched by an interface that saw all of its
//! requests while it recorded: such an interface, unlike a radio's sniffer, misses nothing.
//! Elsewhere it is known if the client sends its request again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use coap::Kind;
use units::SimTime;

use super::Options;
use super::hop::Hop;
use super::identity::Known;
use super::message::Brief;
use super::observe::{Observed, Traffic};
use super::passing::{Asked, Endpoints};
use crate::dissect::Protocol;

/// Who asks, or is notified: an endpoint, and those of its port at other addresses that are known as
/// the same node's.
pub(super) struct Client<'t> {
    /// Of its endpoints the one that was seen first.
    pub(super) endpoint: SocketAddr,
    traffic: &'t Traffic,
    options: &'t Options,
    /// What it sent and received, in time order.
    messages: Vec<Seen<'t>>,
    /// When it sent a request, by server and Message ID, if that is needed to tell what it received.
    asked: HashMap<(SocketAddr, u16), Vec<SimTime>>,
}

/// A message that a client has to do with, by its place among all, and whether it sent it.
#[derive(Clone, Copy)]
struct Part {
    message: u32,
    sent: bool,
}

/// A message of a client.
#[derive(Clone, Copy)]
struct Seen<'t> {
    /// At the best point.
    at: &'t Observed,
    /// As the point saw it that has most of it.
    brief: &'t Brief,
    sent: bool,
    /// Whether the point that watches the client then did not see it.
    elsewhere: bool,
    /// Whether that one would have.
    missed: bool,
}

/// A message as a client has to do with it.
pub(super) enum Passed<'t> {
    Sent(Message<'t>),
    Received(Message<'t>),
    /// A notification that was sent to it, and which it did not receive.
    Missed(Message<'t>),
}

/// A message, when and where it was seen.
#[derive(Clone, Copy)]
pub(super) struct Message<'t> {
    pub(super) first: SimTime,
    pub(super) complete: SimTime,
    pub(super) src: SocketAddr,
    pub(super) dst: SocketAddr,
    pub(super) brief: &'t Brief,
    /// Path and query of a request.
    pub(super) resource: Option<&'t Arc<str>>,
    pub(super) protocol: Option<&'t Protocol>,
    pub(super) hop: Option<Hop>,
}

/// Whoever sent a request or was notified, one after the other.
pub(super) fn clients<'t>(
    traffic: &'t Traffic,
    options: &'t Options,
    known: &Known,
) -> impl Iterator<Item = Client<'t>> {
    let mut seen = Endpoints::default();
    for o in &traffic.messages {
        seen.see(traffic, o);
    }
    let (endpoints, place) = distinct(seen, known);
    let ways = traffic.ways.all().iter();
    let ways: Vec<Sides> = ways.map(|way| sides(way, &place)).collect();
    let mut of: Vec<Vec<Part>> = vec![Vec::new(); endpoints.len()];
    // No memory holds more messages.
    for (message, o) in (0_u32..).zip(&traffic.messages) {
        let (sender, receiver) = roles(ways[o.way as usize], o);
        let parts = [(sender, true), (receiver, false)];
        for (client, sent) in parts {
            if let Some(client) = client {
                of[client].push(Part { message, sent });
            }
        }
    }
    let clients = endpoints.into_iter().zip(of);
    clients.map(|((endpoint, _), parts)| {
        let all = parts.into_iter();
        let all = all.map(|part| (&traffic.messages[part.message as usize], part.sent));
        Client::new(endpoint, traffic, options, all.collect())
    })
}

/// Which clients the ends of a way are.
pub(super) type Sides = (Option<usize>, Option<usize>);

/// The sides of a way.
pub(super) fn sides(way: &(SocketAddr, SocketAddr), of: &BTreeMap<SocketAddr, usize>) -> Sides {
    (of.get(&way.0).copied(), of.get(&way.1).copied())
}

/// Which clients a message was sent by, and received by.
pub(super) fn roles((src, dst): Sides, o: &Observed) -> Sides {
    // Of who asks himself the requests are sent, and the rest is received.
    let itself = src == dst && !o.is_request();
    (
        src.filter(|_| !itself),
        dst.filter(|_| src != dst || itself),
    )
}

/// For each client the endpoint that was seen first and how many requests it sent, and which client each
/// endpoint is.
pub(super) fn distinct(
    seen: Endpoints,
    known: &Known,
) -> (Vec<(SocketAddr, usize)>, BTreeMap<SocketAddr, usize>) {
    let mut clients: Vec<(SocketAddr, Asked)> = Vec::new();
    let mut named = HashMap::new();
    let mut place = BTreeMap::new();
    for (endpoint, asked) in seen {
        let new = clients.len();
        let at = match known.name(endpoint.ip()) {
            Some(name) => *named.entry((name, endpoint.port())).or_insert(new),
            None => new,
        };
        match clients.get_mut(at) {
            Some((first, all)) => {
                if asked.since < all.since {
                    (*first, all.since) = (endpoint, asked.since);
                }
                all.requests += asked.requests;
            }
            None => clients.push((endpoint, asked)),
        }
        place.insert(endpoint, at);
    }
    let clients = clients.into_iter().map(|(end, all)| (end, all.requests));
    (clients.collect(), place)
}

/// Which copies count at a point that sees a packet leave and arrive, such as a router in a
/// cooked capture of all interfaces.
#[derive(Clone, Copy)]
enum Direction {
    All,
    Only(bool),
}

impl Direction {
    /// `preferred`, if some of the packets go that way and others do not.
    fn choose(ways: [bool; 2], preferred: bool) -> Direction {
        if ways == [true; 2] {
            Direction::Only(preferred)
        } else {
            Direction::All
        }
    }

    fn admits(self, outgoing: Option<bool>) -> bool {
        match self {
            Direction::All => true,
            Direction::Only(way) => outgoing == Some(way),
        }
    }
}

/// What a point saw of a client.
#[derive(Default)]
struct View {
    requests: usize,
    notifications: usize,
    /// What it received, and the sums of the times of that and of the requests, nanoseconds.
    responses: usize,
    received_ns: u128,
    requested_ns: u128,
    /// When the first request or notification.
    first: Option<SimTime>,
    /// Which ways requests and responses went, if the capture says.
    sent: [bool; 2],
    received: [bool; 2],
    /// The requests that anybody saw while it recorded, and those that it saw of them.
    asked: usize,
    seen: usize,
    /// The highest hop limit of what it saw of what the client sent, none if that was nothing: at the
    /// client itself it is higher than farther along.
    hop_limit: Option<u8>,
    /// The lowest one of what it saw of what goes to the client, which is lower the nearer it is.
    left: Option<u8>,
    /// When it saw the last frame, and when the client sent something after that which only others saw.
    silent: Option<(SimTime, SimTime)>,
    /// Who answered, and who was asked.
    servers: BTreeSet<std::net::IpAddr>,
    asked_of: BTreeSet<std::net::IpAddr>,
}

impl View {
    fn add(&mut self, o: &Observed, sent: bool, server: SocketAddr) {
        let way = |ways: &mut [bool; 2]| {
            if let Some(outgoing) = o.outgoing {
                ways[usize::from(outgoing)] = true;
            }
        };
        if sent {
            self.hop_limit = self.hop_limit.max(Some(o.hop_limit));
        } else {
            let left = self.left.unwrap_or(u8::MAX);
            self.left = Some(left.min(o.hop_limit));
        }
        match (sent, o.is_request()) {
            (true, true) => {
                self.requests += 1;
                self.requested_ns += u128::from(o.complete.as_nanos());
                self.first.get_or_insert(o.first);
                self.asked_of.insert(server.ip());
                way(&mut self.sent);
            }
            (false, false) => {
                if o.brief.notifies() {
                    self.notifications += 1;
                    self.first.get_or_insert(o.first);
                }
                self.responses += 1;
                self.received_ns += u128::from(o.complete.as_nanos());
                self.servers.insert(server.ip());
                way(&mut self.received);
            }
            _ => {}
        }
    }
}

impl View {
    /// From requests to responses on the average, nanoseconds: the longer the nearer to the client, as
    /// far as the same ones were seen. Whether the clock is right does not matter.
    fn round_trip(&self) -> u128 {
        let mean = |sum: u128, of: usize| sum.checked_div(of as u128).unwrap_or_default();
        let received = mean(self.received_ns, self.responses);
        received.saturating_sub(mean(self.requested_ns, self.requests))
    }
}

/// The points that saw a client, the best first.
struct Points<'t> {
    traffic: &'t Traffic,
    ranked: Vec<(u32, View)>,
    ranks: HashMap<u32, usize>,
}

impl<'t> Points<'t> {
    fn of(traffic: &'t Traffic, all: &[(&Observed, bool)]) -> Points<'t> {
        let mut views: BTreeMap<u32, View> = BTreeMap::new();
        for (o, sent) in all {
            let server = match sent {
                true => traffic.dst(o),
                false => traffic.src(o),
            };
            views.entry(o.point).or_default().add(o, *sent, server);
        }
        for (point, view) in &mut views {
            let (stream, _) = traffic.points.all()[*point as usize];
            let recorded = traffic.streams.all[stream].recorded.iter();
            let last = recorded.map(|(_, _, last)| *last).max();
            view.silent = last.map(|last| (last, SimTime::FAR_FUTURE));
        }
        let mut ranked: Vec<(u32, View)> = views.into_iter().collect();
        let seen = |view: &View| (view.requests, view.notifications);
        let most = ranked.iter().map(|(_, view)| seen(view)).max();
        let mut best = ranked.iter().filter(|(_, view)| Some(seen(view)) == most);
        let responses = best.next().map(|(_, view)| view.responses);
        let alike = best.all(|(_, view)| Some(view.responses) == responses);
        ranked.sort_by_key(|(point, view)| {
            let first = view.first.unwrap_or(SimTime::FAR_FUTURE);
            let point = &traffic.points.all()[*point as usize];
            let nearness = (Reverse(view.hop_limit), view.left.unwrap_or(u8::MAX));
            let round_trip = Some(view.round_trip()).filter(|_| alike);
            let counts = (
                Reverse(view.requests),
                nearness,
                Reverse(view.notifications),
            );
            (counts, Reverse(round_trip), first, *point)
        });
        let points = ranked.iter().enumerate();
        Points {
            traffic,
            ranks: points.map(|(rank, (point, _))| (*point, rank)).collect(),
            ranked,
        }
    }

    fn rank(&self, o: &Observed) -> usize {
        self.ranks.get(&o.point).copied().unwrap_or(usize::MAX)
    }

    fn admits(&self, o: &Observed, sent: bool) -> bool {
        let view = &self.ranked[self.rank(o)].1;
        let direction = match sent {
            true => Direction::choose(view.sent, true),
            false => Direction::choose(view.received, false),
        };
        direction.admits(o.outgoing)
    }

    fn recorded(&self, rank: usize, time: SimTime) -> bool {
        let (stream, _) = self.traffic.points.all()[self.ranked[rank].0 as usize];
        let mut recorded = self.traffic.streams.all[stream].recorded.iter();
        recorded.any(|(_, first, last)| (*first..=*last).contains(&time))
    }

    /// Takes note of who saw a request.
    fn asked(&mut self, sightings: &[(&Observed, bool)]) {
        for rank in 0..self.ranked.len() {
            let seen = sightings.iter().any(|(o, _)| self.rank(o) == rank);
            let asked = seen || self.recorded(rank, sightings[0].0.complete);
            self.ranked[rank].1.asked += usize::from(asked);
            self.ranked[rank].1.seen += usize::from(seen);
        }
    }

    fn may_miss(&self, rank: usize) -> bool {
        let (stream, _) = self.traffic.points.all()[self.ranked[rank].0 as usize];
        self.traffic.streams.all[stream].may_miss()
    }

    /// Takes note of who saw something that the client sent. A point that did not see it, and nothing
    /// after it, did not record any more then.
    fn sent(&mut self, sightings: &[(&Observed, bool)]) {
        let time = sightings[0].0.complete;
        for rank in 0..self.ranked.len() {
            if !sightings.iter().any(|(o, _)| self.rank(o) == rank) {
                let silent = &mut self.ranked[rank].1.silent;
                let until = silent.as_mut().filter(|(last, _)| *last < time);
                until
                    .into_iter()
                    .for_each(|(_, until)| *until = time.min(*until));
            }
        }
    }

    /// Whether the point of `o` is farther from the client than the one of `rank`.
    fn is_farther(&self, o: &Observed, rank: usize) -> bool {
        let (there, here) = (&self.ranked[self.rank(o)].1, &self.ranked[rank].1);
        match (there.hop_limit, here.hop_limit) {
            (Some(there), Some(here)) => there < here,
            (None, None) => there.left > here.left,
            _ => false,
        }
    }

    /// The best point that watched the client when this one, which is not as good, saw `o`. A capture
    /// that is silent to its end does not say when that was; but it had begun to record what the client
    /// sent, and missed none of that so far.
    fn watcher(&self, o: &Observed) -> Option<usize> {
        (0..self.rank(o)).find(|rank| {
            let silent = self.ranked[*rank].1.silent;
            let silent =
                silent.is_some_and(|(last, until)| last < o.complete && o.complete < until);
            self.recorded(*rank, o.complete)
                || (silent && !self.may_miss(*rank) && self.is_farther(o, *rank))
        })
    }

    /// Whether the client did not receive what only others saw than the one who watched it.
    fn misses(&self, o: &Observed, watcher: usize) -> bool {
        let view = &self.ranked[watcher].1;
        let server = self.traffic.src(o).ip();
        // A tap of one direction has no response at all; one of both has those of all that it saw asked.
        let watched = view.responses > 0 && view.asked_of.contains(&server);
        let knows = view.requests > 0 && (watched || view.servers.contains(&server));
        !self.may_miss(watcher) && view.seen == view.asked && (knows || self.is_farther(o, watcher))
    }
}

impl<'t> Client<'t> {
    /// `all` is what it has to do with, and whether it sent that.
    fn new(
        endpoint: SocketAddr,
        traffic: &'t Traffic,
        options: &'t Options,
        all: Vec<(&'t Observed, bool)>,
    ) -> Client<'t> {
        let mut points = Points::of(traffic, &all);
        let mut seen = all;
        seen.retain(|(o, sent)| points.admits(o, *sent));
        // Packets are numbered in the order of time, but for those that were seen again.
        let again = !seen.is_sorted_by(|(a, _), (b, _)| a.packet < b.packet);
        let several = points.ranked.len() > 1 || again;
        if several {
            // At one point a request counts from its first hop, and a response from its last.
            let passed = |o: &Observed| match o.is_request() {
                true => u8::MAX - o.hop_limit,
                false => o.hop_limit,
            };
            seen.sort_by_key(|(o, _)| (o.packet, points.rank(o), passed(o)));
            let packets = seen.chunk_by(|(a, _), (b, _)| a.packet == b.packet);
            for packet in packets.filter(|p| p[0].1) {
                points.sent(packet);
                if packet[0].0.is_request() {
                    points.asked(packet);
                }
            }
        }
        let packets = seen.chunk_by(|(a, _), (b, _)| several && a.packet == b.packet);
        let messages = packets.filter_map(|sightings| {
            let (at, sent) = sightings[0];
            let watcher = points.watcher(at).filter(|_| several && !sent);
            let missed = watcher.is_some_and(|watcher| points.misses(at, watcher));
            if missed && !at.brief.notifies() {
                return None;
            }
            let briefs = sightings.iter().map(|(o, _)| &o.brief);
            let brief = briefs.max_by_key(|brief| brief.completeness());
            Some(Seen {
                at,
                brief: brief.unwrap_or(&at.brief),
                sent,
                elsewhere: watcher.is_some(),
                missed,
            })
        });
        let mut messages: Vec<Seen<'_>> = messages.collect();
        messages.sort_by_key(|seen| seen.at.complete);
        let mut asked: HashMap<_, Vec<SimTime>> = HashMap::new();
        if messages
            .iter()
            .any(|seen| seen.elsewhere || !seen.at.arrived)
        {
            for seen in messages
                .iter()
                .filter(|seen| seen.sent && seen.at.is_request())
            {
                let key = (traffic.dst(seen.at), seen.brief.message_id);
                asked.entry(key).or_default().push(seen.at.complete);
            }
        }
        Client {
            endpoint,
            traffic,
            options,
            messages,
            asked,
        }
    }

    /// Whether a response without an acknowledgement of the radio, or one that was seen elsewhere,
    /// arrived all the same: its client would have sent the request again (RFC 7252 §4.2), but for
    /// the last time.
    fn is_content_with(&self, response: &Seen<'_>) -> bool {
        let complete = response.at.complete;
        let server = self.traffic.src(response.at);
        let Some(asked) = self.asked.get(&(server, response.brief.message_id)) else {
            return true;
        };
        let before = asked.partition_point(|time| *time <= complete);
        let recent = asked[..before].iter().rev();
        let span = self.options.max_transmit_span;
        let recent = recent.take_while(|time| complete.saturating_since(**time) <= span);
        let next = asked.get(before);
        next.is_none_or(|time| time.saturating_since(complete) >= span)
            && recent.count() <= self.options.max_retransmit as usize
    }

    /// Whether it came as far as the client.
    fn received(&self, seen: &Seen<'_>) -> bool {
        if seen.missed {
            return false;
        }
        let answers = seen.brief.kind == Kind::Acknowledgement;
        if !seen.at.arrived {
            return seen.at.concluded && answers && self.is_content_with(seen);
        }
        !seen.elsewhere || !answers || self.is_content_with(seen)
    }

    /// What it sent and received, in time order.
    pub(super) fn messages(&self) -> impl Iterator<Item = Passed<'t>> {
        self.messages.iter().filter_map(|seen| {
            let message = self.traffic.message(seen.at, seen.brief);
            match seen.sent {
                true => Some(Passed::Sent(message)),
                false if self.received(seen) => Some(Passed::Received(message)),
                false => seen.brief.notifies().then_some(Passed::Missed(message)),
            }
        })
    }
}
