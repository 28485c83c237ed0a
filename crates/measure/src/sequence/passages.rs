//! Sightings of packets to messages with their ends.

use std::collections::BTreeMap;

use units::SimTime;

use super::exchanges::Ref;
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
    /// Nobody knows any more whether what was not received would have been.
    pub(super) fn forget_losses(&mut self) {
        let lost = self.to.iter_mut().filter(|end| end.received.is_none());
        lost.for_each(|end| end.is_known = false);
    }

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

/// The messages that were seen, in the order of time.
pub(super) fn messages(mut seen: Vec<&Sighting>, who: &Who<'_>) -> Vec<Passage> {
    seen.sort_by_key(|s| (s.content, s.time, s.point));
    let alike = seen.chunk_by(|a, b| a.content == b.content);
    let mut all: Vec<Passage> = alike
        .flat_map(transmissions)
        .filter_map(|of_one| passage(&of_one, who))
        .collect();
    // What was sent at one instant is in the order in which its sender sent it.
    all.sort_by_key(|passage| (passage.time(), passage.order));
    all
}

/// The sightings of one content, transmission by transmission. Each sighting of the sender's own is one;
/// if it has none, each of the point that saw the first.
fn transmissions<'s>(alike: &[&'s Sighting]) -> Vec<Vec<&'s Sighting>> {
    let is_own = |s: &&Sighting| s.from == Some(s.node);
    let origin = alike.iter().find(|s| is_own(s)).or(alike.first());
    let Some(origin) = origin.map(|s| s.point) else {
        return Vec::new();
    };
    let (sent, others): (Vec<&Sighting>, Vec<&Sighting>) =
        alike.iter().partition(|s| s.point == origin);
    let mut all: Vec<Vec<&Sighting>> = sent.iter().map(|s| vec![*s]).collect();
    let mut by_point: BTreeMap<u32, Vec<&Sighting>> = BTreeMap::new();
    for other in others {
        by_point.entry(other.point).or_default().push(other);
    }
    for there in by_point.into_values() {
        // They do not overtake each other. Where some are missing, each is the latest that it can be.
        let in_turn = there.len() == sent.len()
            && there
                .iter()
                .zip(&sent)
                .all(|(there, sent)| there.time >= sent.time);
        for (at, sighting) in there.into_iter().enumerate() {
            let latest = sent.partition_point(|sent| sent.time <= sighting.time);
            let of = if in_turn {
                at
            } else {
                latest.saturating_sub(1)
            };
            all[of].push(sighting);
        }
    }
    all
}

/// A message, of its sightings: the first is that of who sent it, if anybody's.
fn passage(seen: &[&Sighting], who: &Who<'_>) -> Option<Passage> {
    let first = *seen.first()?;
    let own = seen.iter().find(|s| s.from == Some(s.node));
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
    let at_from = seen.iter().find(|s| s.node == from);
    let mut message = Passage {
        from,
        sent: own.or(at_from).map(|s| s.time),
        order: own.map_or(first.order, |s| s.order),
        to: Vec::new(),
        subject: seen.iter().find_map(|s| s.subject),
        words: own.map_or_else(|| &first.words, |s| &s.words).clone(),
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
