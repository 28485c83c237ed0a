//! Events out: JSON lines on standard output, and in the log.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use driver::{Ignored, now};
use rundir::{Event, EventKind};
use units::SimTime;

/// Writes a node's events as JSON lines on standard output.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    node: String,
    /// Lines for the next [`Events::flush`].
    queued: Vec<u8>,
    gate: Rc<RefCell<Gate>>,
}

/// Bytes of lines that wait for each other at most: what a pipe takes at once.
const QUEUE_BYTES: usize = 1 << 16;

impl Events {
    /// Events of `node`.
    pub(crate) fn new(node: &str) -> Events {
        Events {
            node: node.to_owned(),
            queued: Vec::new(),
            gate: Rc::new(RefCell::new(Gate::new(now()))),
        }
    }

    /// Reports an event of this instant.
    ///
    /// # Errors
    /// When standard output is closed: whoever started the daemon is gone.
    pub(crate) fn report(&self, kind: EventKind) -> Result<()> {
        let mut lines = Vec::new();
        let events = self.push_lines(&mut lines, kind)?;
        // The medium waits for some events, and nobody for the log.
        write(&lines)?;
        log(&events);
        Ok(())
    }

    /// Reports an event of this instant with the next [`Events::flush`], which has to come before
    /// the part waits: one system call for all that happens at once.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub(crate) fn queue(&mut self, kind: EventKind) -> Result<()> {
        let mut lines = std::mem::take(&mut self.queued);
        log(&self.push_lines(&mut lines, kind)?);
        self.queued = lines;
        match self.queued.len() < QUEUE_BYTES {
            true => Ok(()),
            false => self.flush(),
        }
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub(crate) fn flush(&mut self) -> Result<()> {
        if !self.queued.is_empty() {
            write(&self.queued)?;
            self.queued.clear();
        }
        Ok(())
    }

    /// Appends an event, or counts it if there are too many like it; returns what was appended.
    fn push_lines(&self, lines: &mut Vec<u8>, kind: EventKind) -> Result<Vec<EventKind>> {
        let at = now();
        let mut told = Vec::new();
        if matches!(kind, EventKind::Binding(_)) {
            match self.gate.borrow_mut().admit(at) {
                Admitted::No => return Ok(told),
                Admitted::Yes => {}
                Admitted::After(events) => told.push(EventKind::LeftOut { events }),
            }
        }
        told.push(kind);
        for kind in &told {
            let event = Event {
                time_ns: at.as_nanos(),
                node: self.node.clone(),
                kind: kind.clone(),
            };
            serde_json::to_writer(&mut *lines, &event).context("event as JSON")?;
            lines.push(b'\n');
        }
        Ok(told)
    }
}

fn log(events: &[EventKind]) {
    for kind in events {
        tracing::info!(?kind);
    }
}

/// Events about bindings that are told one by one before they are summed up: anybody can cause one
/// by a datagram, and whoever sends a million is not to fill a disk.
const BURST: u64 = 8192;

/// In this time one more is told.
const INTERVAL: Duration = Duration::from_millis(125);

/// Lets events through at a rate.
#[derive(Debug)]
struct Gate {
    credit: u64,
    since: SimTime,
    left_out: Ignored,
}

/// Whether an event is told.
#[derive(Debug, PartialEq, Eq)]
enum Admitted {
    Yes,
    No,
    /// It is, after so many that were not.
    After(u64),
}

impl Gate {
    fn new(now: SimTime) -> Gate {
        Gate {
            credit: BURST,
            since: now,
            left_out: Ignored::default(),
        }
    }

    fn admit(&mut self, now: SimTime) -> Admitted {
        let passed = now.saturating_since(self.since).as_nanos() / INTERVAL.as_nanos();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        // Also after the clock was set back.
        if passed > 0 || now < self.since {
            self.credit = self.credit.saturating_add(passed).min(BURST);
            self.since = now;
        }
        if self.credit == 0 {
            if let Some(events) = self.left_out.another() {
                tracing::warn!(events, "events about bindings left out");
            }
            return Admitted::No;
        }
        self.credit -= 1;
        match std::mem::take(&mut self.left_out).count() {
            0 => Admitted::Yes,
            events => Admitted::After(events),
        }
    }
}

fn write(lines: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(lines)
        .and_then(|()| out.flush())
        .context("write an event to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_events_is_summed_up_and_told_when_it_is_over() {
        let start = SimTime::ZERO + Duration::from_secs(9);
        let mut gate = Gate::new(start);
        let told = (0..1_000_000).filter(|_| gate.admit(start) != Admitted::No);
        assert_eq!(told.count() as u64, BURST);
        let later = start + INTERVAL;
        assert_eq!(gate.admit(later), Admitted::After(1_000_000 - BURST));
        assert_eq!(gate.admit(later), Admitted::No);
        let long_after = later + INTERVAL * 3;
        assert_eq!(gate.admit(long_after), Admitted::After(1));
        assert_eq!(gate.admit(long_after), Admitted::Yes);
    }

    #[test]
    fn a_day_of_a_flood_is_bounded_and_a_clock_that_is_set_back_closes_nothing() {
        let start = SimTime::ZERO + Duration::from_secs(100);
        let mut gate = Gate::new(start);
        let at = |ms: u64| start + Duration::from_millis(ms);
        let told = (0..864_000).filter(|n| gate.admit(at(n * 100)) != Admitted::No);
        assert!(told.count() < 8 * 86_400 + BURST as usize);
        while gate.admit(at(0)) != Admitted::No {}
        assert!(gate.admit(at(250)) != Admitted::No);
    }
}
