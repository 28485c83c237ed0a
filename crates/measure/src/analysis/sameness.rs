//! Which messages are one packet that several capture points saw.
//!
//! Within one capture point that is the business of [`capture::sightings`]. Between two, a message
//! with the same bytes within [`FORWARDED_WITHIN`] is the same packet, unless the point has seen that
//! one already: then it was sent again.
//!
//! A router may hold a packet for longer: until it knows its neighbour's link-layer address (RFC 4861
//! §7.2.2), or until a node wakes up. How often a message was sent the interface tells where it was
//! sent, the one that sees it with the highest hop limit, if it misses none of those that others see:
//! what comes later farther along is one of those on its way.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use capture::sightings::FORWARDED_WITHIN;
use coap::Code;
use units::SimTime;

use super::observe::{Observed, Traffic};

/// Point, direction, and how far on its way something was there.
type Place = (u32, Option<bool>, u8);

/// What all sightings of a packet have, whatever the capture cut off.
type Key = (u32, u8, Code, u16);

fn key(o: &Observed) -> Key {
    (o.way, o.brief.kind as u8, o.brief.code, o.brief.message_id)
}

fn place(o: &Observed) -> Place {
    (o.point, o.outgoing, o.hop_limit)
}

/// A packet that may be seen again.
struct Open {
    /// The message that was it first.
    message: u32,
    last: SimTime,
    places: Vec<Place>,
    /// When it was sent, by the interface where it was.
    sent: Option<SimTime>,
}

/// Numbers the packets of `traffic`, whose messages are in the order of time. The same message within
/// `span` of its last transmission is not another one's. Gives how many messages are further sightings.
pub(super) fn number(traffic: &mut Traffic, span: Duration) -> u64 {
    // No memory holds more messages.
    let all = 0..u32::try_from(traffic.messages.len()).unwrap_or(u32::MAX);
    if !can_be_seen_again(traffic) {
        for (o, number) in traffic.messages.iter_mut().zip(all) {
            o.packet = number;
        }
        return 0;
    }
    let mut order: Vec<u32> = all.collect();
    order.sort_by_key(|at| key(&traffic.messages[*at as usize]));
    let origins = Origins::of(traffic, &order);
    let mut further = 0;
    for from in alike(&order, traffic) {
        let origin = origins.of_way(traffic.messages[from[0] as usize].way);
        let packets = Packets::of(traffic, from, origin, span);
        for (at, packet) in packets.numbers {
            further += u64::from(at != packet);
            traffic.messages[at as usize].packet = packet;
        }
    }
    further
}

/// Whether there are several places at which a packet may be seen.
fn can_be_seen_again(traffic: &Traffic) -> bool {
    let mut hop_limits: Vec<Option<u8>> = vec![None; traffic.ways.all().len()];
    let mut moves_on = |o: &Observed| {
        let before = hop_limits[o.way as usize].replace(o.hop_limit);
        before.is_some_and(|before| before != o.hop_limit)
    };
    let mut messages = traffic.messages.iter();
    traffic.points.all().len() > 1 || messages.any(|o| o.outgoing.is_some() || moves_on(o))
}

/// Those of `order` that have one key, in the order of time.
fn alike<'o>(order: &'o [u32], traffic: &Traffic) -> Vec<&'o [u32]> {
    let key = |at: &u32| key(&traffic.messages[*at as usize]);
    order.chunk_by(|a, b| key(a) == key(b)).collect()
}

/// Where what goes one way was sent, as far as it was captured, of each way of which that is known.
struct Origins(HashMap<u32, Place>);

impl Origins {
    fn of(traffic: &Traffic, order: &[u32]) -> Origins {
        // How often each place saw something of each way.
        let mut seen: HashMap<(u32, Place), u32> = HashMap::new();
        for o in &traffic.messages {
            *seen.entry((o.way, place(o))).or_default() += 1;
        }
        let may_miss = |place: Place| {
            let (stream, _) = traffic.points.all()[place.0 as usize];
            traffic.streams.all[stream].may_miss()
        };
        let mut best: HashMap<u32, _> = HashMap::new();
        for ((way, place), count) in seen {
            let (_, outgoing, hop_limit) = place;
            let leaves = outgoing == Some(true);
            let rank = (hop_limit, !may_miss(place), leaves, count, Reverse(place));
            let known = best.entry(way).or_insert(rank);
            *known = rank.max(*known);
        }
        let best = best.into_iter().map(|(way, rank)| (way, rank.4.0));
        let mut origins = Origins(best.filter(|(_, place)| !may_miss(*place)).collect());
        origins.leave_out_who_misses(traffic, order);
        origins
    }

    /// Who did not see what others saw on its way while he recorded does not know how often that was
    /// sent.
    fn leave_out_who_misses(&mut self, traffic: &Traffic, order: &[u32]) {
        for all in alike(order, traffic) {
            let messages = || all.iter().map(|at| &traffic.messages[*at as usize]);
            let way = traffic.messages[all[0] as usize].way;
            let Some(origin) = self.of_way(way) else {
                continue;
            };
            if messages().any(|o| place(o) == origin) {
                continue;
            }
            let (stream, _) = traffic.points.all()[origin.0 as usize];
            let recorded = &traffic.streams.all[stream].recorded;
            let was_there = |o: &Observed| {
                let mut recorded = recorded.iter();
                recorded.any(|(_, first, last)| (*first..=*last).contains(&o.complete))
            };
            if messages().any(was_there) {
                self.0.remove(&way);
            }
        }
    }

    fn of_way(&self, way: u32) -> Option<Place> {
        self.0.get(&way).copied()
    }
}

/// The packets among messages of one key.
struct Packets<'t> {
    traffic: &'t Traffic,
    origin: Option<Place>,
    span: Duration,
    open: Vec<Open>,
    /// Of each message the first one of its packet.
    numbers: Vec<(u32, u32)>,
}

impl<'t> Packets<'t> {
    fn of(traffic: &'t Traffic, all: &[u32], origin: Option<Place>, span: Duration) -> Self {
        let mut packets = Packets {
            traffic,
            origin,
            span,
            open: Vec::new(),
            numbers: Vec::new(),
        };
        let is_sent = |at: &&u32| {
            let here = place(&traffic.messages[**at as usize]);
            origin == Some(here)
        };
        for at in all.iter().filter(is_sent) {
            packets.begin(*at, true);
        }
        for at in all.iter().filter(|at| !is_sent(at)) {
            packets.take(*at);
        }
        packets
    }

    fn begin(&mut self, at: u32, is_sent: bool) {
        let o = &self.traffic.messages[at as usize];
        self.numbers.push((at, at));
        self.open.push(Open {
            message: at,
            last: o.complete,
            places: vec![place(o)],
            sent: is_sent.then_some(o.complete),
        });
    }

    fn take(&mut self, at: u32) {
        let o = &self.traffic.messages[at as usize];
        match self.near(o).or_else(|| self.held(o)) {
            Some(known) => {
                let known = &mut self.open[known];
                known.last = known.last.max(o.complete);
                if !known.places.contains(&place(o)) {
                    known.places.push(place(o));
                }
                self.numbers.push((at, known.message));
            }
            None => self.begin(at, false),
        }
    }

    fn is(&self, open: &Open, o: &Observed) -> bool {
        let message = &self.traffic.messages[open.message as usize];
        message.brief.equals(&o.brief)
    }

    /// The one that was seen elsewhere just now. A point may be a little ahead of the origin.
    fn near(&self, o: &Observed) -> Option<usize> {
        self.open.iter().position(|open| {
            let apart = o.complete.saturating_since(open.last);
            let ahead = open.last.saturating_since(o.complete);
            apart.max(ahead) <= FORWARDED_WITHIN
                && !open.places.contains(&place(o))
                && self.is(open, o)
        })
    }

    /// The one that was sent at the origin before, and comes farther along only now: the latest that
    /// this place has not seen. A request that it has seen as often as it was sent is none more.
    fn held(&self, o: &Observed) -> Option<usize> {
        let (_, _, hop_limit) = self.origin?;
        let before = |open: &Open| {
            open.sent.is_some_and(|sent| {
                sent <= o.complete && o.complete.saturating_since(sent) <= self.span
            })
        };
        let is = |open: &Open| before(open) && self.is(open, o);
        if o.hop_limit >= hop_limit {
            return None;
        }
        let new = |open: &Open| is(open) && !open.places.contains(&place(o));
        let held = self.open.iter().rposition(new);
        held.or_else(|| self.open.iter().rposition(is).filter(|_| o.is_request()))
    }
}
