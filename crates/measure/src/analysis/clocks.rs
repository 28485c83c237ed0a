//! Whether the clocks of captures differ, and of the interfaces in one: who merges captures of several
//! machines into one file merges their clocks, too.
//!
//! Two captures that have the same messages tell it: what goes from the one to the other, requests
//! or responses, comes later there, and what goes the other way comes earlier. If it comes later
//! both ways, the clock of the one is ahead. By how much is known but for half of the difference
//! between the two ways. Where nothing is in both captures, nothing is known, and nothing is set.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use capture::sightings::FORWARDED_WITHIN;
use units::SimTime;

use super::binding::Bindings;
use super::observe::{Observed, Traffic};
use super::source::Source;

/// Fewer messages in common tell nothing.
const FEWEST: usize = 3;

/// As many messages are compared, about.
const ENOUGH: usize = 1 << 16;

/// Points that saw a message whose times are compared, each with each.
const MOST_POINTS: usize = 32;

/// Messages that are one and the same come about as late each time. What a client sends again after
/// it was started anew has the same bytes, too.
const STEADY: Duration = Duration::from_millis(100);

/// What mirrors and bridges take is no difference of clocks.
const SLIGHT: Duration = Duration::from_millis(1);

/// A capture whose clock is not the others'. Its times were set by that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The capture, and the interface if it has several.
    pub capture: String,
    /// How far it is ahead of the capture that was begun first, in nanoseconds; negative if behind.
    pub ahead_ns: i64,
}

/// A difference between two captures' times of the same message, in nanoseconds.
#[derive(Default)]
struct Differences {
    of_requests: Vec<i64>,
    of_others: Vec<i64>,
}

/// Sets the clocks of `traffic`, of the bindings in each piece and of what was recorded when to
/// that of the piece begun first, and says which.
pub(super) fn set(
    traffic: &mut Traffic,
    bindings: &mut [Bindings],
    sources: &[&dyn Source],
) -> Vec<Clock> {
    let ahead = match traffic.streams.pieces.len() {
        0 | 1 => return Vec::new(),
        _ => ahead(traffic),
    };
    for o in &mut traffic.messages {
        if let Some(ahead) = ahead.get(&o.piece) {
            o.first = earlier(o.first, *ahead);
            o.complete = earlier(o.complete, *ahead);
        }
    }
    let mut clocks = Vec::new();
    for (piece, ahead_ns) in ahead {
        let at = piece as usize;
        bindings[at].shift(|time| earlier(time, ahead_ns));
        traffic.set_apart(at);
        traffic.streams.shift(at, |time| earlier(time, ahead_ns));
        clocks.push(Clock {
            capture: traffic.streams.called(at, sources),
            ahead_ns,
        });
    }
    clocks.sort_by(|a, b| a.capture.cmp(&b.capture));
    clocks
}

fn earlier(time: SimTime, ahead_ns: i64) -> SimTime {
    SimTime::from_nanos(time.as_nanos().saturating_add_signed(-ahead_ns))
}

/// How far each piece is ahead of the first, of those that are.
fn ahead(traffic: &Traffic) -> HashMap<u32, i64> {
    let mut compared: BTreeMap<u32, Vec<(u32, Differences)>> = BTreeMap::new();
    for ((from, to), differences) in differences(traffic) {
        compared.entry(to).or_default().push((from, differences));
    }
    let mut ahead = HashMap::new();
    // Pieces are numbered in the order in which they were begun.
    for (piece, others) in compared {
        let of = |other: u32| ahead.get(&other).copied().unwrap_or_default();
        let others = others.into_iter();
        let compared = others
            .map(|(other, differences)| (differences.count(), differences.median(), of(other)));
        let best = compared.max_by_key(|(count, ..)| *count);
        if let Some((_, Some(difference), of_other)) = best {
            ahead.insert(piece, difference + of_other);
        }
    }
    ahead.retain(|_, ahead| *ahead != 0);
    ahead
}

/// Between pieces, of which the one was begun before the other, the differences of the messages that
/// both have, and none of them twice.
fn differences(traffic: &Traffic) -> BTreeMap<(u32, u32), Differences> {
    let mut all: HashMap<(u32, u64), Vec<&Observed>> = HashMap::new();
    // Of very many messages some tell as much, the same ones of each piece.
    let one_of = (traffic.messages.len() / ENOUGH).max(1) as u64;
    for o in &traffic.messages {
        if let Some(digest) = o.brief.whole().filter(|digest| digest % one_of == 0) {
            all.entry((o.way, digest)).or_default().push(o);
        }
    }
    let mut differences: BTreeMap<(u32, u32), Differences> = BTreeMap::new();
    for mut seen in all.into_values() {
        seen.sort_by_key(|o| o.piece);
        let is_once = seen.windows(2).all(|pair| pair[0].piece < pair[1].piece);
        // So many do not make it truer.
        seen.truncate(MOST_POINTS);
        for (at, from) in seen.iter().enumerate().filter(|_| is_once) {
            for to in &seen[at + 1..] {
                let difference = to.first.as_nanos().wrapping_sub(from.first.as_nanos());
                let of = differences.entry((from.piece, to.piece)).or_default();
                match from.is_request() {
                    true => of.of_requests.push(difference.cast_signed()),
                    false => of.of_others.push(difference.cast_signed()),
                }
            }
        }
    }
    differences
}

impl Differences {
    fn count(&self) -> usize {
        self.of_requests.len() + self.of_others.len()
    }

    /// By how much the second is ahead of the first, as far as that can be seen.
    fn median(mut self) -> Option<i64> {
        if self.count() < FEWEST {
            return None;
        }
        let (requests, others) = (steady(&mut self.of_requests), steady(&mut self.of_others));
        let (Some(requests), Some(others)) = (requests, others) else {
            let one = requests.or(others)?;
            // A way of one hop after the other takes less.
            return (Duration::from_nanos(one.unsigned_abs()) > FORWARDED_WITHIN).then_some(one);
        };
        let slight = requests.unsigned_abs().min(others.unsigned_abs());
        let both = (requests < 0) == (others < 0) && Duration::from_nanos(slight) > SLIGHT;
        both.then_some(requests / 2 + others / 2)
    }
}

/// The median, if most are near it.
fn steady(differences: &mut [i64]) -> Option<i64> {
    differences.sort_unstable();
    let at = |tenth: usize| differences.get(differences.len().saturating_sub(1) * tenth / 10);
    let (low, middle, high) = (at(1)?, at(5)?, at(9)?);
    let apart = high.wrapping_sub(*low).unsigned_abs();
    (Duration::from_nanos(apart) < STEADY).then_some(*middle)
}
