//! Where in `events.jsonl` what stands: places to read on from, and states to go on from.
//!
//! Lines come in as the file grows, whole ones, and are forgotten again: what is kept is an offset every
//! [`STEP`] events, and at most [`MOST_STATES`] states that share what they agree in. A jump is the latest state
//! before it and the lines from there on.

use std::collections::{BTreeMap, BTreeSet};

use rundir::event::{LONGEST_LINE, MOST_BYTES, SCENARIO, parse_line};
use rundir::{Event, EventKind, HandoverEvent};
use serde::Serialize;

use crate::state::State;

/// A place is kept every so many events.
pub const STEP: u64 = 256;

/// So many states are kept at most: every second one is forgotten then.
pub const MOST_STATES: usize = 64;

/// So many entries all states together may have, or fewer of them are kept: each has some hundred bytes.
const MOST_ENTRIES_KEPT: usize = 1 << 21;

/// So many entries a state may have: more come from no testbed.
const MOST_ENTRIES: usize = 1 << 20;

/// So many handovers are listed.
pub const MOST_HANDOVERS: usize = 10_000;

/// A place between two events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Bytes before it.
    pub offset: u64,
    /// Lines before it.
    pub line: usize,
    /// Events before it.
    pub number: u64,
    /// The latest instant of those, Unix time in nanoseconds.
    pub time_ns: u64,
}

impl Place {
    /// Goes past a line of `bytes` and the event in it, if there is one.
    pub(crate) fn pass(&mut self, bytes: usize, event: Option<&Event>) {
        self.offset += bytes as u64;
        self.line += 1;
        if let Some(event) = event {
            self.number += 1;
            // One that came late is told late: time does not run back.
            self.time_ns = self.time_ns.max(event.time_ns);
        }
    }
}

/// A place, and what is known there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mark {
    /// Where.
    pub place: Place,
    /// By all events before it.
    pub state: State,
}

/// A handover by the node's own account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// The node.
    pub node: String,
    /// Its own number of it.
    pub number: u32,
    /// The router that it left.
    pub from: String,
    /// When it started, nanoseconds after the first event.
    pub started_ns: u64,
    /// When it ended, likewise; null: it goes on.
    pub ended_ns: Option<u64>,
    /// The router that it arrived at.
    pub to: Option<String>,
    /// Why it was given up.
    pub failure: Option<String>,
}

/// What has been read of a file of events.
#[derive(Debug)]
pub struct Index {
    names: BTreeSet<String>,
    end: Mark,
    places: Vec<Place>,
    states: Vec<Mark>,
    /// Events from one state that is kept to the next.
    stride: u64,
    first_ns: Option<u64>,
    start_ns: Option<u64>,
    ended: bool,
    handovers: Vec<Told>,
    /// Of a node that has a handover, which of those it is.
    open: BTreeMap<String, usize>,
    more_handovers: u64,
    /// Of those that are listed.
    ended_handovers: u64,
    /// The first line with an event that is earlier than one before it.
    late: Option<usize>,
    problem: Option<String>,
}

impl Index {
    /// Of a file of which nothing is read yet. `names` are the plan's nodes: nobody else has events, but for the
    /// testbed.
    pub fn new(names: impl IntoIterator<Item = String>) -> Index {
        let mut names: BTreeSet<String> = names.into_iter().collect();
        names.insert(SCENARIO.to_owned());
        Index {
            names,
            end: Mark::default(),
            places: vec![Place::default()],
            states: vec![Mark::default()],
            stride: 4 * STEP,
            first_ns: None,
            start_ns: None,
            ended: false,
            handovers: Vec::new(),
            open: BTreeMap::new(),
            more_handovers: 0,
            ended_handovers: 0,
            late: None,
            problem: None,
        }
    }

    /// Takes in what follows in the file, as far as it is whole lines, and says how many bytes those are. At a line
    /// that is wrong it stops for good: see [`Index::problem`].
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while self.problem.is_none() {
            let rest = &bytes[taken..];
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                if rest.len() as u64 > LONGEST_LINE {
                    self.take_line(rest);
                }
                break;
            };
            if !self.take_line(&rest[..=end]) {
                break;
            }
            taken += end + 1;
        }
        taken
    }

    /// Takes in the last line of a file that does not grow any more, which has no end.
    pub fn take_last(&mut self, bytes: &[u8]) {
        if self.problem.is_none() && !bytes.is_empty() {
            self.take_line(bytes);
        }
    }

    /// `false`: it is wrong.
    fn take_line(&mut self, bytes: &[u8]) -> bool {
        let line = self.end.place.line + 1;
        if self.end.place.offset + bytes.len() as u64 > MOST_BYTES {
            return self.stop(
                line,
                &format!("there are more than {} MiB", MOST_BYTES >> 20),
            );
        }
        let event = match parse_line(bytes, line) {
            Ok(event) => event,
            Err(error) => {
                self.problem = Some(error.to_string());
                return false;
            }
        };
        if let Some(event) = &event {
            if !self.names.contains(&event.node) {
                return self.stop(line, &format!("the plan has no node `{}`", event.node));
            }
            self.end.state.take(event, self.end.place.offset);
            if event.time_ns < self.end.place.time_ns {
                self.late.get_or_insert(line);
            }
        }
        self.end.place.pass(bytes.len(), event.as_ref());
        if let Some(event) = event {
            self.note(&event);
        }
        // Counting them is not for every event.
        if self.end.place.number.is_multiple_of(STEP) && self.end.state.entries() > MOST_ENTRIES {
            return self.stop(line, "the nodes know of more than a million addresses");
        }
        true
    }

    fn stop(&mut self, line: usize, why: &str) -> bool {
        self.problem = Some(format!("line {line}: {why}"));
        false
    }

    /// Remembers what there is to remember of an event that was just taken in.
    fn note(&mut self, event: &Event) {
        let place = self.end.place;
        let first = *self.first_ns.get_or_insert(event.time_ns);
        let since = place.time_ns.saturating_sub(first);
        match &event.kind {
            EventKind::ScenarioStarted => {
                self.start_ns.get_or_insert(event.time_ns);
            }
            EventKind::ScenarioEnded => self.ended = true,
            EventKind::Handover(told) => self.handover(&event.node, told, since),
            // Whoever is ready once more has forgotten what it did before it crashed.
            EventKind::Ready => self.end_untold(&event.node, since, "the node began again"),
            _ => {}
        }
        if place.number.is_multiple_of(STEP) {
            self.places.push(place);
        }
        if place.number.is_multiple_of(self.stride) {
            self.states.push(self.end.clone());
            self.thin();
        }
    }

    /// Keeps every second state only, if there are too many.
    fn thin(&mut self) {
        let entries =
            |states: &[Mark]| -> usize { states.iter().map(|mark| mark.state.entries()).sum() };
        while self.states.len() > MOST_STATES
            || (self.states.len() > 2 && entries(&self.states) > MOST_ENTRIES_KEPT)
        {
            self.stride *= 2;
            let stride = self.stride;
            self.states
                .retain(|mark| mark.place.number.is_multiple_of(stride));
        }
    }

    fn handover(&mut self, node: &str, event: &HandoverEvent, since: u64) {
        if let HandoverEvent::Started { .. } = event {
            self.end_untold(node, since, "its end was not told");
        }
        match event {
            HandoverEvent::Started { .. } if self.handovers.len() >= MOST_HANDOVERS => {
                self.more_handovers += 1;
            }
            HandoverEvent::Started { handover, from, .. } => {
                self.open.insert(node.to_owned(), self.handovers.len());
                self.handovers.push(Told {
                    node: node.to_owned(),
                    number: *handover,
                    from: from.clone(),
                    started_ns: since,
                    ended_ns: None,
                    to: None,
                    failure: None,
                });
            }
            HandoverEvent::Completed { handover, to, .. } => {
                self.end_handover(node, *handover, since, |told| told.to = Some(to.clone()));
            }
            HandoverEvent::Failed { handover, reason } => {
                let why = |told: &mut Told| told.failure = Some(reason.clone());
                self.end_handover(node, *handover, since, why);
            }
            HandoverEvent::PhaseStarted { .. } | HandoverEvent::PhaseEnded { .. } => {}
        }
    }

    fn end_handover(&mut self, node: &str, number: u32, since: u64, how: impl FnOnce(&mut Told)) {
        let open = self.open.get(node).copied();
        let told = open.and_then(|at| self.handovers.get_mut(at));
        if let Some(told) = told.filter(|told| told.number == number) {
            told.ended_ns = Some(since);
            how(told);
            self.ended_handovers += 1;
            self.open.remove(node);
        }
    }

    /// Ends the handover that a node has, if it has one, as given up.
    fn end_untold(&mut self, node: &str, since: u64, why: &str) {
        let open = self.open.get(node).and_then(|at| self.handovers.get(*at));
        if let Some(number) = open.map(|told| told.number) {
            self.end_handover(node, number, since, |told| told.failure = Some(why.into()));
        }
    }

    /// Where what is read ends.
    pub fn end(&self) -> &Mark {
        &self.end
    }

    /// What is wrong with the line after what is read, if it is wrong: `line 7 is not an event: …`.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The first line whose event is earlier than one before it. A run puts its events in order at its end.
    pub fn late(&self) -> Option<usize> {
        self.late
    }

    /// The instant of the first event, Unix time in nanoseconds.
    pub fn first_ns(&self) -> Option<u64> {
        self.first_ns
    }

    /// The instant at which the scenario started, likewise.
    pub fn start_ns(&self) -> Option<u64> {
        self.start_ns
    }

    /// Whether the scenario came to its end.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The handovers that were begun, and how many more there are than are listed ([`MOST_HANDOVERS`]).
    pub fn handovers(&self) -> (&[Told], u64) {
        (&self.handovers, self.more_handovers)
    }

    /// How many of those that are listed have ended.
    pub fn ended_handovers(&self) -> u64 {
        self.ended_handovers
    }

    /// The latest state that is kept of those at or before the instant.
    pub(crate) fn state_by_time(&self, time_ns: u64) -> &Mark {
        let after = |mark: &Mark| mark.place.time_ns <= time_ns;
        last_of(&self.states, self.states.partition_point(after))
    }

    /// The latest state that is kept of those after at most so many events.
    pub(crate) fn state_by_number(&self, number: u64) -> &Mark {
        let after = |mark: &Mark| mark.place.number <= number;
        last_of(&self.states, self.states.partition_point(after))
    }

    /// A place before every event at or after the instant.
    pub(crate) fn place_by_time(&self, time_ns: u64) -> Place {
        let before = |place: &Place| place.time_ns < time_ns;
        *last_of(&self.places, self.places.partition_point(before))
    }

    /// A place after at most so many events.
    pub(crate) fn place_by_number(&self, number: u64) -> Place {
        let before = |place: &Place| place.number <= number;
        *last_of(&self.places, self.places.partition_point(before))
    }
}

/// The last one of the first `count`; there always is a first one.
fn last_of<T>(all: &[T], count: usize) -> &T {
    &all[count.saturating_sub(1)]
}

#[cfg(test)]
mod tests;
