//! Captures with too many messages to be kept in memory: what is seen of them in a first reading, and
//! their pairing in a second one.
//!
//! Message by message they can only be paired if each is final when it is seen, and in its place: one
//! capture point, which sees a packet once and knows of none that it did not arrive, in the order of
//! time. So does an interface of an end. What else there is, copies of a sniffer and captures of several
//! points, is kept, and so is what very many clients sent, of whom each has tables of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use units::SimTime;

use super::clients::{self, Passed};
use super::identity::Known;
use super::observe::{Observed, Traffic};
use super::pairing::{Paired, Pairing};
use super::{Options, Other};

/// All clients are paired at once then: as many at most.
const MOST_CLIENTS: usize = 1024;

/// Whoever sent a request or was notified.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoints(BTreeMap<SocketAddr, Asked>);

/// What is known of an endpoint beforehand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// When it sent a request, or was notified, first.
    pub(super) since: SimTime,
    /// How many requests it sent, copies among them.
    pub(super) requests: usize,
}

impl Endpoints {
    /// Takes note of a message, in the order of time.
    pub(super) fn see(&mut self, traffic: &Traffic, o: &Observed) {
        let new = Asked {
            since: o.first,
            requests: 0,
        };
        if o.is_request() {
            self.0.entry(traffic.src(o)).or_insert(new).requests += 1;
        } else if o.brief.notifies() {
            self.0.entry(traffic.dst(o)).or_insert(new);
        }
    }
}

impl IntoIterator for Endpoints {
    type Item = (SocketAddr, Asked);
    type IntoIter = std::collections::btree_map::IntoIter<SocketAddr, Asked>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// What is known of messages that are not kept.
#[derive(Debug, Default)]
pub(super) struct Survey {
    endpoints: Endpoints,
    /// Of each way, whether what goes there leaves, and of what each endpoint sends or receives.
    directions: Vec<Option<bool>>,
    of_ends: BTreeMap<(SocketAddr, bool), Option<bool>>,
    last: SimTime,
    unsteady: bool,
    messages: u64,
    cut: u64,
    protected: u64,
    q_blocks: u64,
}

impl Survey {
    pub(super) fn see(&mut self, traffic: &Traffic, o: &Observed) {
        self.unsteady |= o.complete < self.last || o.twin || !o.arrived;
        self.unsteady |= traffic.points.all().len() > 1 || !self.goes_as_before(traffic, o);
        self.last = o.complete;
        self.endpoints.see(traffic, o);
        self.unsteady |= self.endpoints.0.len() > MOST_CLIENTS;
        self.messages += 1;
        self.cut += u64::from(o.brief.is_cut());
        self.protected += u64::from(o.brief.protected);
        self.q_blocks += u64::from(o.brief.in_q_block);
    }

    /// Whether all that an endpoint sends, and all that it receives, leaves a host of whose interface a
    /// cooked capture is, or all of it arrives there.
    fn goes_as_before(&mut self, traffic: &Traffic, o: &Observed) -> bool {
        if let Some(before) = self.directions.get(o.way as usize) {
            return *before == o.outgoing;
        }
        self.directions.push(o.outgoing);
        let ends = [(traffic.src(o), true), (traffic.dst(o), false)];
        let known = ends.map(|end| *self.of_ends.entry(end).or_insert(o.outgoing));
        known == [o.outgoing; 2]
    }

    /// A message was there before.
    pub(super) fn is_seen_again(&mut self) {
        self.unsteady = true;
    }

    /// Whether all messages are final and in their places.
    pub(super) fn is_steady(&self) -> bool {
        !self.unsteady
    }

    /// Who is a client; what was counted goes to `other`.
    pub(super) fn end(self, other: &mut Other) -> Endpoints {
        other.coap_messages = self.messages;
        other.cut = self.cut;
        other.protected = self.protected;
        other.q_blocks = self.q_blocks;
        self.endpoints
    }
}

/// The clients of a capture, which take its messages one by one.
pub(super) struct Live<'a> {
    pairings: Vec<Pairing<'a>>,
    /// Which of them each endpoint is.
    of: BTreeMap<SocketAddr, usize>,
    /// The sender and the receiver of each way.
    ways: Vec<clients::Sides>,
}

impl<'a> Live<'a> {
    pub(super) fn new(endpoints: Endpoints, options: &'a Options, known: &'a Known) -> Live<'a> {
        let (clients, of) = clients::distinct(endpoints, known);
        let clients = clients.into_iter();
        Live {
            pairings: clients
                .map(|(endpoint, requests)| Pairing::new(endpoint, requests, options, known))
                .collect(),
            of,
            ways: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, traffic: &Traffic, o: &Observed) {
        let new = traffic.ways.all()[self.ways.len()..].iter();
        self.ways
            .extend(new.map(|way| clients::sides(way, &self.of)));
        let message = || traffic.message(o, &o.brief);
        let (sender, receiver) = clients::roles(self.ways[o.way as usize], o);
        if let Some(sender) = sender {
            self.pairings[sender].take(&Passed::Sent(message()));
        }
        if let Some(receiver) = receiver {
            self.pairings[receiver].take(&Passed::Received(message()));
        }
    }

    /// What each has, one after the other.
    pub(super) fn end(self, mut each: impl FnMut(Paired), other: &mut Other) {
        for pairing in self.pairings {
            each(pairing.end(other));
        }
    }
}
