//! Sightings of packets to messages with their ends.

use std::collections::BTreeMap;

use units::SimTime;

use super::exchanges::Ref;
use super::found::Found;
use super::transmissions;
use super::who::Who;
use super::words::Words;

/// A packet at one capture point.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    /// What is the same wherever it is seen.
    pub(super) content: u64,
    pub(super) time: SimTime,
    pub(super) point: u32,
    /// The place among the point's packets.
    pub(super) order: u64,
    /// Whose point it is.
    pub(super) node: u32,
    /// Whose the source address is, or of one that is nobody's the frame.
    pub(super) from: Option<u32>,
    /// Whose the destination address is.
    pub(super) to: Option<u32>,
    pub(super) is_multicast: bool,
    /// Whom it is about.
    pub(super) subject: Option<u32>,
    pub(super) exchange: Option<Ref>,
    pub(super) words: Words,
}

impl Sighting {
    /// Whether it is where the packet was sent.
    pub(super) fn is_own(&self) -> bool {
        self.from == Some(self.node)
    }
}

/// A message on its whole way.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    pub(super) from: u32,
    pub(super) sent: Option<SimTime>,
    /// The place among the packets of the point that has it first.
    order: u64,
    pub(super) to: Vec<Arrival>,
    pub(super) subject: Option<u32>,
    pub(super) words: Words,
    /// The exchange that it is of, of each point that saw it.
    pub(super) exchanges: Vec<Ref>,
}

/// Where a message went.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) node: u32,
    pub(super) received: Option<SimTime>,
    /// Whether it would have been seen there.
    pub(super) is_known: bool,
    /// Who saw it last on its way, of one that did not come.
    pub(super) last_seen: Option<(u32, SimTime)>,
}

impl Passage {
    /// When it was seen first.
    pub(super) fn time(&self) -> SimTime {
        let received = self.to.iter().filter_map(|end| end.received);
        let seen = self
            .to
            .iter()
            .filter_map(|end| end.last_seen.map(|(_, t)| t));
        let all = self.sent.into_iter().chain(received).chain(seen);
        all.min().unwrap_or_default()
    }
}

/// The messages that were found, in the order of time, and how many there may be of which nobody knows who sent them
/// when. `end` is the last instant that the captures have.
pub(super) fn messages(found: &Found, who: &Who<'_>, end: SimTime) -> (Vec<Passage>, u64) {
    let mut seen = found.all();
    seen.sort_by_key(|s| (s.content, s.time, s.point));
    let mut all = Vec::new();
    let mut unknown = 0;
    for alike in seen.chunk_by(|a, b| a.content == b.content) {
        let is_whole = found.is_whole(alike[0].content);
        for of_one in transmissions::of(alike, who) {
            let Some(mut passage) = passage(&of_one, who) else {
                continue;
            };
            let is_late = end.saturating_since(passage.time()) < who.way();
            if !is_whole && passage.sent.is_none() && who.sees_all(passage.from) {
                unknown += 1;
                continue;
            }
            // It may have come where nobody looked any more.
            if !is_whole || is_late {
                passage.to.iter_mut().for_each(|end| end.is_known = false);
            }
            all.push(passage);
        }
    }
    // What was sent at one instant is in the order in which its sender sent it.
    all.sort_by_key(|passage| (passage.time(), passage.order));
    (all, unknown)
}

/// A message, of its sightings: the first is that of who sent it, if anybody's. None if nobody asked for it, or
/// nobody is known whom it was for.
fn passage(seen: &[&Sighting], who: &Who<'_>) -> Option<Passage> {
    let first = *seen.first()?;
    let own = seen.iter().find(|s| s.is_own());
    // Behind a translator the sender is known by an address that it does not have.
    let translator = || {
        let mut at = seen.iter().map(|s| s.node);
        at.find(|node| who.translates(*node))
    };
    let hidden = |node: u32| own.is_none() && who.sees_all(node);
    let from = first.from.map_or(first.node, |from| match translator() {
        Some(translator) if hidden(from) => translator,
        _ => from,
    });
    // Nothing is received before it was sent: who has it later than others did not send it there.
    let is_first = |sent: &&&Sighting| seen.iter().all(|s| s.time >= sent.time);
    let at_from = seen.iter().find(|s| s.node == from).filter(is_first);
    let words = own.into_iter().chain(seen).map(|s| &s.words);
    let mut message = Passage {
        from,
        sent: own.or(at_from).map(|s| s.time),
        order: own.map_or(first.order, |s| s.order),
        to: Vec::new(),
        subject: seen.iter().find_map(|s| s.subject),
        words: words.into_iter().find(|words| words.are_known())?.clone(),
        exchanges: seen.iter().filter_map(|s| s.exchange).collect(),
    };
    message.to = match first.to {
        Some(to) => vec![arrival(seen, to, from, who)],
        None => receivers(seen, from),
    };
    message.to.retain(|end| end.node != from);
    (!message.to.is_empty()).then_some(message)
}

/// All that saw what is for many, or for nobody that is known.
fn receivers(seen: &[&Sighting], from: u32) -> Vec<Arrival> {
    let mut all: BTreeMap<u32, SimTime> = BTreeMap::new();
    for s in seen.iter().filter(|s| s.node != from) {
        let known = all.entry(s.node).or_insert(s.time);
        *known = s.time.min(*known);
    }
    let at = |(node, time)| Arrival {
        node,
        received: Some(time),
        is_known: true,
        last_seen: None,
    };
    all.into_iter().map(at).collect()
}

/// What became of a message for `to`.
fn arrival(seen: &[&Sighting], to: u32, from: u32, who: &Who<'_>) -> Arrival {
    let there = |node: u32| {
        let times = seen.iter().filter(|s| s.node == node).map(|s| s.time);
        times.min()
    };
    let received = there(to);
    // What a translator has is for somebody whose address it changes; it is another packet from there on.
    let translator = seen.iter().map(|s| s.node);
    let translator = translator
        .filter(|node| *node != from)
        .find(|node| received.is_none() && who.translates(*node));
    let node = translator.unwrap_or(to);
    let received = there(node);
    let last = seen.iter().filter(|s| s.node != from && received.is_none());
    Arrival {
        node,
        received,
        is_known: who.sees_all(node),
        last_seen: last.max_by_key(|s| s.time).map(|s| (s.node, s.time)),
    }
}
