//! Whether the clocks of captures differ.
//!
//! Two captures that have the same messages tell it: what goes from the one to the other, requests
//! or responses, comes later there, and what goes the other way comes earlier. If it comes later
//! both ways, the clock of the one is ahead. By how much is known but for half of the difference
//! between the two ways. Where nothing is in both captures, nothing is known, and nothing is set.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
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

/// Messages that are one and the same come about as late each time. What a client sends again after
/// it was started anew has the same bytes, too.
const STEADY: Duration = Duration::from_millis(100);

/// What mirrors and bridges take is no difference of clocks.
const SLIGHT: Duration = Duration::from_millis(1);

/// A capture whose clock is not the others'. Its times were set by that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The capture.
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

/// Sets the clocks of `traffic`, of the bindings in each source and of what was recorded when to
/// that of the source begun first, and says which.
pub(super) fn set(
    traffic: &mut Traffic,
    bindings: &mut [Bindings],
    sources: &[&dyn Source],
) -> Vec<Clock> {
    let ahead = match traffic.streams.order.len() {
        0 | 1 => return Vec::new(),
        _ => ahead(traffic),
    };
    for o in &mut traffic.messages {
        if let Some(ahead) = ahead.get(&o.source) {
            o.first = earlier(o.first, *ahead);
            o.complete = earlier(o.complete, *ahead);
        }
    }
    let mut clocks = Vec::new();
    for (source, ahead_ns) in ahead {
        let at = source as usize;
        bindings[at].shift(|time| earlier(time, ahead_ns));
        traffic.set_apart(at);
        traffic.streams.shift(at, |time| earlier(time, ahead_ns));
        clocks.push(Clock {
            capture: sources[at].name().to_owned(),
            ahead_ns,
        });
    }
    clocks.sort_by(|a, b| a.capture.cmp(&b.capture));
    clocks
}

fn earlier(time: SimTime, ahead_ns: i64) -> SimTime {
    SimTime::from_nanos(time.as_nanos().saturating_add_signed(-ahead_ns))
}

/// How far each source is ahead of the first, of those that are.
fn ahead(traffic: &Traffic) -> HashMap<u32, i64> {
    let times = in_several(traffic);
    let mut known: Vec<u32> = Vec::new();
    let mut ahead = HashMap::new();
    for &source in &traffic.streams.order {
        let source = source as u32;
        let of = |other: u32| ahead.get(&other).copied().unwrap_or_default();
        let compared = known.iter().map(|other| {
            let differences = differences(&times, *other, source);
            (differences.count(), differences.median(), of(*other))
        });
        let best = compared.max_by_key(|(count, ..)| *count);
        if let Some((_, Some(difference), of_other)) = best {
            ahead.insert(source, difference + of_other);
        }
        known.push(source);
    }
    ahead.retain(|_, ahead| *ahead != 0);
    ahead
}

/// When each source saw a message.
type Times = Vec<(bool, Vec<(u32, SimTime)>)>;

/// When the sources saw the messages that several have, and none of them twice.
fn in_several(traffic: &Traffic) -> Times {
    let mut all: HashMap<(u32, u64), Vec<(u32, &Observed)>> = HashMap::new();
    // Of very many messages some tell as much, the same ones of each source.
    let one_of = (traffic.messages.len() / ENOUGH).max(1) as u64;
    for o in &traffic.messages {
        let digest = o.brief.whole().filter(|digest| digest % one_of == 0);
        let Some(digest) = digest else {
            continue;
        };
        match all.entry((o.way, digest)) {
            Entry::Occupied(mut known) => known.get_mut().push((o.source, o)),
            Entry::Vacant(new) => _ = new.insert(vec![(o.source, o)]),
        }
    }
    let all = all.into_values().filter(|seen| {
        let mut sources: Vec<u32> = seen.iter().map(|(source, _)| *source).collect();
        sources.sort_unstable();
        sources.dedup();
        sources.len() == seen.len() && seen.len() > 1
    });
    let times = all.map(|seen| {
        let is_request = seen[0].1.is_request();
        let times = seen.into_iter().map(|(source, o)| (source, o.first));
        (is_request, times.collect())
    });
    times.collect()
}

fn differences(times: &Times, from: u32, to: u32) -> Differences {
    let mut differences = Differences::default();
    for (is_request, seen) in times {
        let at = |source: u32| seen.iter().find(|(s, _)| *s == source).map(|(_, at)| *at);
        if let (Some(from), Some(to)) = (at(from), at(to)) {
            let difference = to.as_nanos().wrapping_sub(from.as_nanos()).cast_signed();
            match is_request {
                true => differences.of_requests.push(difference),
                false => differences.of_others.push(difference),
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
