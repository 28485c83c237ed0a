//! Which sightings of a packet are of which time that it was sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::passages::Sighting;
use super::who::Who;

/// As often may a packet have been sent again before the first one is received.
const MOST_UNDER_WAY: usize = 64;

/// The sightings of one content, which are in the order of time, transmission by transmission. Each sighting of the
/// sender's own is one; of what it has none of, each of the point that saw the first. That is the first of its
/// transmission, and the earliest.
pub(super) fn of<'s>(alike: &[&'s Sighting], who: &Who<'_>) -> Vec<Vec<&'s Sighting>> {
    let mut all = Vec::new();
    let mut left = alike.to_vec();
    while let Some(first) = left.first() {
        let own = left.iter().find(|s| s.is_own());
        let origin = own.unwrap_or(first);
        // Who has not all that was sent may have that before it of what others see now.
        let is_whole = own.is_some() && who.sees_all(origin.node);
        let point = origin.point;
        let (sent, others): (Vec<&Sighting>, Vec<&Sighting>) =
            left.iter().partition(|s| s.point == point);
        let mut by_point: BTreeMap<u32, Vec<&Sighting>> = BTreeMap::new();
        for other in others {
            by_point.entry(other.point).or_default().push(other);
        }
        let mut made: Vec<Vec<&Sighting>> = sent.iter().map(|s| vec![*s]).collect();
        left.clear();
        for there in by_point.into_values() {
            let (arrived, unsent) = arrivals(&sent, &there, who.way(), is_whole);
            for (made, arrived) in made.iter_mut().zip(arrived) {
                made.extend(arrived);
            }
            left.extend(unsent);
        }
        left.sort_by_key(|s| (s.time, s.point));
        all.extend(made);
    }
    all
}

/// Of each that was `sent` what of it came to another point, and what came there of none of them.
///
/// Each is of the latest that it can be; then of one of which nothing came, and of the next of which several did, the
/// first is that of the former: they do not overtake each other, and what took longer than until it was sent again
/// is not lost. That is not told from a copy of the second, so it is so only within `way`.
fn arrivals<'s>(
    sent: &[&'s Sighting],
    there: &[&'s Sighting],
    way: Duration,
    is_whole: bool,
) -> (Vec<VecDeque<&'s Sighting>>, Vec<&'s Sighting>) {
    let is_within = |at: usize, s: &Sighting| s.time.saturating_since(sent[at].time) <= way;
    let mut arrived: Vec<VecDeque<&Sighting>> = vec![VecDeque::new(); sent.len()];
    let mut unsent = Vec::new();
    for s in there {
        let latest = sent.partition_point(|sent| sent.time <= s.time);
        match latest.checked_sub(1) {
            Some(at) if is_whole || is_within(at, s) => arrived[at].push_back(s),
            _ => unsent.push(*s),
        }
    }
    let mut missing: Vec<usize> = Vec::new();
    for at in 0..sent.len() {
        if arrived[at].is_empty() {
            missing.push(at);
        }
        while let Some(to) = missing.last().copied().filter(|_| arrived[at].len() > 1) {
            let firsts = to + 1..=at;
            let fits = |from: usize| {
                arrived[from]
                    .front()
                    .is_some_and(|s| is_within(from - 1, s))
            };
            if firsts.clone().count() > MOST_UNDER_WAY || !firsts.clone().all(fits) {
                break;
            }
            for from in firsts {
                let first = arrived[from].pop_front();
                arrived[from - 1].extend(first);
            }
            missing.pop();
        }
    }
    (arrived, unsent)
}
