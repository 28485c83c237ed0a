//! What every part of a daemon is given: events out, names, randomness, the clock.

use std::cell::Cell;
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result};
use rundir::{Event, EventKind};
use units::{Seed, SimTime};

pub(crate) use driver::{instant, now};
pub(crate) use machine::earlier;

/// Names of a node's interfaces; the testbed uses the defaults.
#[derive(Clone, Debug)]
pub struct Interfaces {
    /// The radio.
    pub wpan: String,
    /// Its 6LoWPAN interface.
    pub lowpan: String,
}

impl Default for Interfaces {
    fn default() -> Interfaces {
        Interfaces {
            wpan: "wpan0".into(),
            lowpan: "lowpan0".into(),
        }
    }
}

/// What a part of a daemon is given.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) seed: Seed,
    /// How often the node crashed before.
    pub(crate) crashes: u32,
    pub(crate) events: Events,
    pub(crate) interfaces: Interfaces,
    /// Directory of what outlives the daemon.
    pub(crate) state: PathBuf,
    /// Parts that are not ready yet.
    pub(crate) unready: Rc<Cell<usize>>,
}

impl Host {
    /// The generator of this node for `purpose`. After a crash it is another one: a Message ID
    /// MUST NOT be used again within EXCHANGE_LIFETIME (RFC 7252 §4.4), and a node that has
    /// lost its state cannot know which ones it used.
    pub(crate) fn rng(&self, purpose: &str) -> units::Rng {
        let life = format!("after crash {}", self.crashes);
        match self.crashes {
            0 => self.seed.rng(&["node", &self.name, purpose]),
            _ => self.seed.rng(&["node", &self.name, purpose, &life]),
        }
    }

    /// A part is ready: to be said once by each. The node is when the last one is.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub(crate) fn part_is_ready(&self) -> Result<()> {
        let left = self.unready.get().saturating_sub(1);
        self.unready.set(left);
        match left {
            0 => self.events.report(EventKind::Ready),
            _ => Ok(()),
        }
    }
}

/// Writes a node's events as JSON lines on standard output.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    node: String,
    /// Lines for the next [`Events::flush`].
    queued: Vec<u8>,
}

/// Bytes of lines that wait for each other at most: what a pipe takes at once.
const QUEUE_BYTES: usize = 1 << 16;

impl Events {
    /// Events of `node`.
    pub(crate) fn new(node: &str) -> Events {
        Events {
            node: node.to_owned(),
            queued: Vec::new(),
        }
    }

    /// Reports an event of this instant.
    ///
    /// # Errors
    /// When standard output is closed: whoever started the daemon is gone.
    pub(crate) fn report(&self, kind: EventKind) -> Result<()> {
        let mut line = Vec::new();
        let event = self.push_line(&mut line, now(), kind)?;
        // The medium waits for some events, and nobody for the log.
        write(&line)?;
        tracing::info!(kind = ?event.kind);
        Ok(())
    }

    /// Reports an event of this instant with the next [`Events::flush`], which has to come before
    /// the part waits: one system call for all that happens at once.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub(crate) fn queue(&mut self, kind: EventKind) -> Result<()> {
        let mut lines = std::mem::take(&mut self.queued);
        let event = self.push_line(&mut lines, now(), kind)?;
        tracing::info!(kind = ?event.kind);
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

    fn push_line(&self, lines: &mut Vec<u8>, at: SimTime, kind: EventKind) -> Result<Event> {
        let event = Event {
            time_ns: at.as_nanos(),
            node: self.node.clone(),
            kind,
        };
        serde_json::to_writer(&mut *lines, &event).context("event as JSON")?;
        lines.push(b'\n');
        Ok(event)
    }
}

fn write(lines: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(lines)
        .and_then(|()| out.flush())
        .context("write an event to standard output")
}
