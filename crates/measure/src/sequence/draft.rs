//! Which messages a sequence has, and whose.

use std::collections::BTreeMap;

use units::SimTime;

use super::passages::{Arrival, Passage};
use super::who::Who;
use super::{End, Fate, Message, Sequence, Stretch};

/// As many nodes have a lifeline.
const MOST_LIFELINES: usize = 12;

/// How many messages there may be, and which of more are kept.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) most: usize,
    /// See [`Stretch::signalling_first`].
    pub(super) signalling_first: bool,
}

impl From<&Stretch> for Room {
    fn from(stretch: &Stretch) -> Room {
        Room {
            most: stretch.most,
            signalling_first: stretch.signalling_first,
        }
    }
}

/// The sequence of `messages`, which are in the order of time, as many as `room` has. `seconds` gives the time of the
/// scenario.
pub(super) fn sequence(
    messages: Vec<Passage>,
    who: &Who<'_>,
    seconds: impl Fn(SimTime) -> f64,
    room: Room,
) -> Sequence {
    let all = messages.len();
    let kept = choose(messages, room);
    let (kept, lifelines) = lifelines(kept, who);
    let line = |node: u32| lifelines.get(&node).copied();
    let end = |end: &Arrival| {
        let fate = match (end.received, end.is_known) {
            (Some(time), _) => Fate::Received(seconds(time)),
            (None, false) => Fate::Unknown,
            (None, true) => {
                let seen = end.last_seen;
                let seen = seen.and_then(|(node, time)| Some((line(node)?, seconds(time))));
                Fate::Lost(seen)
            }
        };
        let lifeline = line(end.node)?;
        Some(End { lifeline, fate })
    };
    let message = |passage: &Passage| {
        Some(Message {
            from: line(passage.from)?,
            sent_s: passage.sent.map(&seconds),
            to: passage.to.iter().filter_map(end).collect(),
            protocol: passage.words.protocol.clone(),
            label: passage.words.label.clone(),
        })
    };
    let messages: Vec<Message> = kept.iter().filter_map(message).collect();
    let mut names: Vec<(u32, usize)> = lifelines.into_iter().collect();
    names.sort_by_key(|(_, line)| *line);
    Sequence {
        lifelines: names
            .iter()
            .map(|(node, _)| who.name(*node).into())
            .collect(),
        left_out: (all - messages.len()) as u64,
        messages,
        ..Sequence::default()
    }
}

/// As many messages as there may be, in the order of time.
fn choose(mut messages: Vec<Passage>, room: Room) -> Vec<Passage> {
    let count = messages.len();
    if count <= room.most || !room.signalling_first {
        messages.truncate(room.most);
        return messages;
    }
    let is_signalling = |m: &Passage| {
        let protocol = m.words.protocol.as_ref();
        protocol.is_some_and(|protocol| !protocol.is_application())
    };
    let mut order: Vec<usize> = (0..count).collect();
    let from_end = |at: usize| at.min(count - 1 - at);
    order.sort_by_key(|at| (!is_signalling(&messages[*at]), from_end(*at)));
    order.truncate(room.most);
    order.sort_unstable();
    let mut wanted = order.into_iter().peekable();
    let numbered = messages.into_iter().enumerate();
    let kept = numbered.filter(|(at, _)| wanted.next_if_eq(at).is_some());
    kept.map(|(_, message)| message).collect()
}

/// The messages whose ends have lifelines, and the place of each lifeline. Who hears of multicast alone has none
/// unless nobody else heard it: then the routers have, or the first.
fn lifelines(messages: Vec<Passage>, who: &Who<'_>) -> (Vec<Passage>, BTreeMap<u32, usize>) {
    let mut places: BTreeMap<u32, usize> = BTreeMap::new();
    let add = |places: &mut BTreeMap<u32, usize>, nodes: &[u32]| {
        let new = nodes.iter().filter(|node| !places.contains_key(node));
        let fits = places.len() + new.count() <= MOST_LIFELINES;
        if fits {
            places.extend(nodes.iter().map(|node| (*node, 0)));
        }
        fits
    };
    let is_to_many = |m: &Passage| m.to.len() > 1;
    for message in messages.iter().filter(|m| !is_to_many(m)) {
        let to = message
            .to
            .iter()
            .flat_map(|end| [Some(end.node), end.last_seen.map(|s| s.0)]);
        let ends: Vec<u32> = to.flatten().chain([message.from]).collect();
        add(&mut places, &ends);
    }
    let mut kept = Vec::new();
    for mut message in messages {
        if is_to_many(&message) {
            let heard = |end: &Arrival| places.contains_key(&end.node);
            if !message.to.iter().any(heard) {
                let routers = message.to.iter().any(|end| who.is_router(end.node));
                let first = message.to[0].node;
                message.to.retain(|end| match routers {
                    true => who.is_router(end.node),
                    false => end.node == first,
                });
            } else {
                message.to.retain(heard);
            }
            let ends: Vec<u32> = message
                .to
                .iter()
                .map(|end| end.node)
                .chain([message.from])
                .collect();
            add(&mut places, &ends);
        }
        let has = |node: &u32| places.contains_key(node);
        if has(&message.from) && message.to.iter().all(|end| has(&end.node)) {
            kept.push(message);
        }
    }
    let mut order: Vec<u32> = places.keys().copied().collect();
    order.sort_by_key(|node| who.rank(*node));
    let places = order.into_iter().zip(0..).collect();
    (kept, places)
}
