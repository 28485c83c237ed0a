//! Which CoAP messages are one exchange, and of what kind: who asks whom for what.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use capture::decode::IpPacket;
use coap::wire::Message;

use super::passages::{Passage, Sighting};
use super::{MOST_KINDS, words};
use crate::analysis::method_name;
use crate::dissect::Meaning;
use crate::dissect::answers::Answers;

/// Exchanges of a kind that one capture point keeps: of the first one an answer may have been lost.
const MOST_OF_A_KIND: u32 = 3;
/// Sightings of an exchange that one capture point keeps.
const MOST_SIGHTINGS: u32 = 64;

/// A kind of exchange.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) client: u32,
    pub(super) server: u32,
    pub(super) name: String,
}

/// An exchange, as one capture point sees it.
#[derive(Debug)]
struct Exchange {
    kind: Kind,
    /// How often something of it was seen.
    seen: u32,
    /// Message ID of the request.
    asked: u16,
    /// Message ID of its answer.
    answered: Option<u16>,
    /// Message ID of the latest response after that, and the exchange that it is.
    further: Option<(u16, Option<u32>)>,
}

/// The exchanges that one capture point sees.
pub(super) struct Tracker {
    pub(super) node: u32,
    /// Of each request the exchange, unless that is one too many of its kind.
    answers: Answers<Option<u32>>,
    exchanges: Vec<Exchange>,
    kinds: BTreeMap<Kind, u32>,
}

impl Tracker {
    pub(super) fn new(node: u32) -> Tracker {
        Tracker {
            node,
            answers: Answers::default(),
            exchanges: Vec::new(),
            kinds: BTreeMap::new(),
        }
    }

    /// The number of the exchange that a message is of, if that is kept.
    pub(super) fn see(
        &mut self,
        ip: &IpPacket<'_>,
        message: &Message,
        meaning: Option<&Meaning>,
        seen: &Sighting,
    ) -> Option<u32> {
        let number = self.number(ip, message, meaning, seen)?;
        let exchange = self.exchanges.get_mut(number as usize)?;
        exchange.seen = exchange.seen.saturating_add(1);
        (exchange.seen <= MOST_SIGHTINGS).then_some(number)
    }

    fn number(
        &mut self,
        ip: &IpPacket<'_>,
        message: &Message,
        meaning: Option<&Meaning>,
        seen: &Sighting,
    ) -> Option<u32> {
        let datagram = ip.udp()?;
        let (from, to) = (datagram.src, datagram.dst);
        let name = meaning.map(|m| format!("{} {}", m.protocol.label(), m.message));
        if !message.code.is_request() {
            return self.answer(from, to, message, name);
        }
        let before = self
            .answers
            .asked(from, to, message.token)
            .copied()
            .flatten();
        let asked = before.and_then(|number| self.exchanges.get(number as usize));
        if asked.is_some_and(|asked| asked.asked == message.message_id) {
            return before;
        }
        let resource = || {
            let (method, of) = (method_name(message.code), words::of(ip, message));
            format!("{method} {of}")
        };
        let kind = seen.from.zip(seen.to).map(|(client, server)| Kind {
            client,
            server,
            name: name.unwrap_or_else(resource),
        });
        let number = kind.and_then(|kind| self.begin(kind, message.message_id));
        self.answers.ask(from, to, message, number);
        number
    }

    /// A new exchange, if it is one of the first of its kind.
    fn begin(&mut self, kind: Kind, asked: u16) -> Option<u32> {
        if !self.kinds.contains_key(&kind) && self.kinds.len() >= MOST_KINDS {
            return None;
        }
        let count = self.kinds.entry(kind.clone()).or_default();
        if *count >= MOST_OF_A_KIND {
            return None;
        }
        *count += 1;
        let number = u32::try_from(self.exchanges.len()).ok()?;
        self.exchanges.push(Exchange {
            kind,
            seen: 0,
            asked,
            answered: None,
            further: None,
        });
        Some(number)
    }

    fn answer(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        message: &Message,
        name: Option<String>,
    ) -> Option<u32> {
        let number = self.answers.answer(from, to, message)??;
        let id = message.message_id;
        let exchange = self.exchanges.get_mut(number as usize)?;
        if !message.code.is_response() || exchange.answered.is_none_or(|known| known == id) {
            if message.code.is_response() {
                exchange.answered = Some(id);
            }
            return Some(number);
        }
        // A notification (RFC 7641), which is a kind of its own, and whose acknowledgement is of it.
        let further = match exchange.further {
            Some((known, further)) if known == id => further,
            _ => {
                let own = name.filter(|name| *name != exchange.kind.name);
                let kind = Kind {
                    name: own.unwrap_or_else(|| format!("notification of {}", exchange.kind.name)),
                    ..exchange.kind.clone()
                };
                let further = self.begin(kind, id);
                if let Some(number) = further {
                    self.exchanges[number as usize].answered = Some(id);
                }
                self.exchanges[number as usize].further = Some((id, further));
                further
            }
        };
        self.answers.call(from, to, id, further);
        further
    }
}

/// The messages of the first exchange of every kind that was answered, or of the first one: a kind whose
/// name is new comes before those of other nodes with the same name, and else the earlier one.
pub(super) fn firsts(trackers: &[Tracker], messages: Vec<Passage>) -> Vec<(Kind, Vec<Passage>)> {
    let mut groups = Groups::default();
    for message in &messages {
        for pair in message.exchanges.windows(2) {
            groups.join(pair[0], pair[1]);
        }
    }
    let mut exchanges: BTreeMap<Ref, Vec<Passage>> = BTreeMap::new();
    for message in messages {
        if let Some(first) = message.exchanges.first() {
            let group = groups.of(*first);
            exchanges.entry(group).or_default().push(message);
        }
    }
    let mut by_kind: BTreeMap<Kind, Vec<Passage>> = BTreeMap::new();
    for messages in exchanges.into_values() {
        let Some(kind) = kind(trackers, &messages) else {
            continue;
        };
        let better = |known: &Vec<Passage>| {
            let key = |m: &[Passage]| (!is_answered(m, &kind), m.first().map(|m| m.time()));
            key(&messages) < key(known)
        };
        if by_kind.get(&kind).is_none_or(better) {
            by_kind.insert(kind, messages);
        }
    }
    let mut all: Vec<(Kind, Vec<Passage>)> = by_kind.into_iter().collect();
    all.sort_by_key(|(_, messages)| messages.first().map(Passage::time));
    let mut named: BTreeMap<String, u32> = BTreeMap::new();
    let mut place = |(kind, _): &(Kind, Vec<Passage>)| {
        let count = named.entry(kind.name.clone()).or_default();
        *count += 1;
        *count
    };
    all.sort_by_cached_key(&mut place);
    all
}

/// Whether the client has what it asked for.
fn is_answered(messages: &[Passage], kind: &Kind) -> bool {
    let mut all = messages.iter().flat_map(|message| &message.to);
    all.any(|end| end.node == kind.client && end.received.is_some())
}

/// What the messages are an exchange of; the client knows best.
fn kind(trackers: &[Tracker], messages: &[Passage]) -> Option<Kind> {
    let refs = messages.iter().flat_map(|message| &message.exchanges);
    let mut any = None;
    for (point, number) in refs {
        let tracker = trackers.get(*point as usize)?;
        let kind = &tracker.exchanges.get(*number as usize)?.kind;
        if tracker.node == kind.client {
            return Some(kind.clone());
        }
        any = any.or(Some(kind));
    }
    any.cloned()
}

/// An exchange of a capture point.
pub(super) type Ref = (u32, u32);

/// Which exchanges of several points are one.
#[derive(Default)]
struct Groups(BTreeMap<Ref, Ref>);

impl Groups {
    fn of(&self, mut one: Ref) -> Ref {
        while let Some(next) = self.0.get(&one) {
            one = *next;
        }
        one
    }

    fn join(&mut self, a: Ref, b: Ref) {
        let (a, b) = (self.of(a), self.of(b));
        if a != b {
            self.0.insert(a.max(b), a.min(b));
        }
    }
}
