//! The pauses of a flow, and which of them a change of attachment is in.
//!
//! Of a change with a beginning and an end it is the one that has most of that time in it, and not
//! the longest one that touches it: that may be the rest of somebody who asks nothing, from
//! just before the change was over. Of one that is seen at an instant, in an announcement, it is
//! the longest one that comes within two round trips of that instant: the announcement and the
//! responses cross the network by different ways. In both somebody must have waited, or the pause
//! says nothing of the node; and around an announcement somebody must have gone on asking, or the
//! pause is the client's own: it stopped, or was away itself. It has not gone on if it let more
//! than half of the pause pass, and five usual ones, before it asked.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use units::SimTime;

use super::{Unseen, limit};
use crate::analysis::{AllPauses, Exchange, Flow, Observation, Pause, median};

/// From an announcement to what comes of it, in round trips of the flow: by way of an agent, the
/// client learns of it and asks.
const ROUND_TRIPS: u32 = 2;

/// As many pauses are looked at on each side of an instant.
const MOST_NEAR: usize = 64;

/// The pauses of a flow.
pub(crate) struct Pauses<'f> {
    flow: &'f Flow,
    all: AllPauses<'f>,
    /// Of those that a change has, of which instant that is.
    taken: BTreeMap<usize, SimTime>,
    /// Until when somebody waits, of the exchanges up to each.
    waits: Vec<SimTime>,
    /// How many exchanges before each were lost or sent again.
    troubled: Vec<u32>,
    /// How far apart are seen what happens at once.
    tolerance: Duration,
    /// How long after a node stops to answer, or begins again, that is seen: the way of a response.
    way_back: Duration,
    /// For how long at most a client that goes on asking asks nothing.
    rest: Duration,
}

impl<'f> Pauses<'f> {
    pub(crate) fn of(flow: &'f Flow) -> Pauses<'f> {
        let all = flow.pauses();
        let round_trip = {
            // What was sent again waited for that.
            let once = flow.exchanges.iter().filter(|e| e.retransmissions() == 0);
            let mut times: Vec<Duration> = once.filter_map(Exchange::rtt).collect();
            times.sort_unstable();
            median(&times).unwrap_or_default()
        };
        let tolerance = round_trip * ROUND_TRIPS;
        let (mut waits, mut troubled) = (Vec::new(), vec![0]);
        let (mut latest, mut count) = (SimTime::ZERO, 0_u32);
        for exchange in &flow.exchanges {
            latest = latest.max(waits_until(exchange, tolerance));
            count += u32::from(is_troubled(exchange));
            waits.push(latest);
            troubled.push(count);
        }
        let rest = limit(&all, false);
        Pauses {
            flow,
            taken: BTreeMap::new(),
            all,
            waits,
            troubled,
            tolerance,
            way_back: round_trip / 2,
            rest,
        }
    }

    pub(crate) fn all(&self) -> &AllPauses<'f> {
        &self.all
    }

    pub(crate) fn is_taken(&self, at: usize) -> bool {
        self.taken.contains_key(&at)
    }

    /// Gives a pause to the change of `instant`, unless another one has it.
    pub(crate) fn take(&mut self, at: usize, instant: SimTime) -> Result<Pause, Unseen> {
        match self.taken.entry(at) {
            Entry::Occupied(other) => Err(Unseen::Shared(*other.get())),
            Entry::Vacant(free) => {
                free.insert(instant);
                Ok(self.all.at(at))
            }
        }
    }

    /// The pause of a change that lasts from `start` to `end` where the node is, whether or not somebody
    /// waits in it. A node far away answers on for the client when it has left its router.
    pub(crate) fn around(&self, start: SimTime, end: SimTime) -> Result<usize, Unseen> {
        let [start, end] = [start, end].map(|time| time + self.way_back);
        let (first, last) = self.all.span().ok_or(Unseen::NoneAfter)?;
        let shared = |from: SimTime, to: SimTime| to.min(end).saturating_since(from.max(start));
        let of = |at: usize| {
            let pause = self.all.at(at);
            shared(pause.before.received, pause.after.received)
        };
        let from = self.all.ended_while(|time| time < start);
        let touching = from..self.all.begun_while(|time| time <= end);
        let best = touching.max_by_key(|at| (of(*at), self.all.at(*at).duration(), Reverse(*at)));
        let most = best.map(of).unwrap_or_default();
        // What comes before the first response and after the last one is no pause.
        if shared(start, first) > most || end < first {
            return Err(Unseen::NoneBefore);
        }
        if shared(last, end) > most {
            return Err(Unseen::NoneAfter);
        }
        best.ok_or(Unseen::NoneAfter)
    }

    /// The pause of a change that is seen at `instant`.
    pub(crate) fn near(&self, instant: SimTime) -> Result<usize, Unseen> {
        let (first, last) = self.all.span().ok_or(Unseen::NoneAfter)?;
        let (from, to) = self.around_instant(instant);
        if to < first {
            return Err(Unseen::NoneBefore);
        }
        let here = self.all.ended_while(|time| time < instant);
        let behind = (0..here).rev().take(MOST_NEAR);
        let behind = behind.take_while(|at| self.all.at(*at).after.received >= from);
        let ahead = (here..self.all.len()).take(MOST_NEAR);
        let ahead = ahead.take_while(|at| self.all.at(*at).before.received <= to);
        let candidates: Vec<usize> = ahead.chain(behind).collect();
        let apart = |at: &usize| match *at < here {
            true => here - at,
            false => at - here,
        };
        let changes_address = |at: &&usize| self.all.at(**at).changes_address();
        let of_address = candidates.iter().filter(changes_address);
        if let Some(at) = of_address.min_by_key(|at| apart(at)) {
            return Ok(*at);
        }
        let after_last = last + Duration::from_nanos(1);
        if instant > last && self.waits_between(after_last, to) {
            return Err(Unseen::NoneAfter);
        }
        let waited = candidates.iter().filter(|at| self.waits_in(**at, instant));
        let longest = waited.max_by_key(|at| (self.all.at(**at).duration(), Reverse(apart(at))));
        longest.copied().ok_or(Unseen::NotAsked)
    }

    fn around_instant(&self, instant: SimTime) -> (SimTime, SimTime) {
        let earlier = instant
            .saturating_since(SimTime::ZERO)
            .saturating_sub(self.tolerance);
        (SimTime::ZERO + earlier, instant + self.tolerance)
    }

    /// Whether somebody waits for a response at some time from `start` to `end`.
    pub(crate) fn waits_between(&self, start: SimTime, end: SimTime) -> bool {
        let sent = self.sent_until(end);
        let asked = sent.checked_sub(1).map(|at| self.waits[at]);
        let observes = |o: &Observation| o.notifications.first().is_some_and(|n| n.time <= end);
        asked >= Some(start) || self.flow.observations.iter().any(observes)
    }

    /// Whether somebody asks on in a pause and waits at `instant`, or in vain.
    fn waits_in(&self, at: usize, instant: SimTime) -> bool {
        let Pause { before, after } = self.all.at(at);
        let (from, to) = self.around_instant(instant);
        let from = from.max(before.received + Duration::from_nanos(1));
        let waits = self.is_troubled(at) || self.waits_between(from, to.min(after.received));
        waits && self.goes_on(at)
    }

    /// Whether somebody asks on in a pause, in vain.
    pub(crate) fn waits_in_vain(&self, at: usize) -> bool {
        self.is_troubled(at) && self.goes_on(at)
    }

    /// Whether something that was asked in a pause was lost or sent again.
    fn is_troubled(&self, at: usize) -> bool {
        let Pause { before, after } = self.all.at(at);
        let sent = self.sent_until(after.received);
        let begun = self.sent_until(before.sent).min(sent);
        self.troubled[sent] > self.troubled[begun]
    }

    /// Whether somebody asks, or waits, before a pause has gone on for long.
    fn goes_on(&self, at: usize) -> bool {
        let Pause { before, after } = self.all.at(at);
        let just_after = before.received + Duration::from_nanos(1);
        let half = after.received.saturating_since(before.received) / 2;
        self.waits_between(just_after, before.received + half.max(self.rest))
    }

    /// How many exchanges began until then.
    fn sent_until(&self, time: SimTime) -> usize {
        let exchanges = &self.flow.exchanges;
        exchanges.partition_point(|exchange| exchange.sent_at() <= time)
    }
}

/// Until when somebody waits for a response: of a registered observation (RFC 7641) for good, to
/// a request without a response for a while after it was sent last.
fn waits_until(exchange: &Exchange, tolerance: Duration) -> SimTime {
    let answered = exchange.answer().map(|answer| match answer.number {
        Some(_) => SimTime::FAR_FUTURE,
        None => answer.time,
    });
    let given_up = exchange.reset();
    let given_up = given_up.unwrap_or_else(|| exchange.last().time + tolerance);
    answered.unwrap_or(given_up)
}

/// Whether a request was lost or had to be sent again.
fn is_troubled(exchange: &Exchange) -> bool {
    !exchange.is_answered() || exchange.retransmissions() > 0
}
