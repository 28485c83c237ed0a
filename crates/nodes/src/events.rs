//! Events out: JSON lines on standard output, and in the log.

use std::cell::RefCell;
use std::future::poll_fn;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use driver::{Ignored, Outlet, now, stamp};
use machine::Allowance;
use rundir::{Event, EventKind};
use units::SimTime;

/// Writes a node's events as JSON lines on standard output. Nobody waits for who reads them: what he
/// does not take is kept back, and beyond [`KEPT_BYTES`] counted ([`EventKind::LeftOut`]).
#[derive(Clone, Debug)]
pub(crate) struct Events {
    node: String,
    /// Lines for the next [`Events::flush`].
    queued: Vec<u8>,
    gates: Rc<RefCell<Gates>>,
    outlet: Rc<RefCell<Outlet>>,
}

/// Bytes of lines that wait for each other at most: what a pipe takes at once.
const QUEUE_BYTES: usize = 1 << 16;

/// Bytes of lines that are kept back for a reader at most: twice those of the [`BURST`] that comes at
/// once.
const KEPT_BYTES: usize = 4 << 20;

/// How long a daemon that ends waits for who reads its last events.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Events {
    /// Events of `node` on standard output.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub(crate) fn new(node: &str) -> Result<Events> {
        Events::on(std::io::stdout().as_fd(), node).context("standard output")
    }

    fn on(out: BorrowedFd<'_>, node: &str) -> std::io::Result<Events> {
        let of = node.to_owned();
        let left_out = move |events| {
            let mut line = Vec::new();
            // An event always has a line, and a vector always room.
            let _ = push_line(&mut line, &of, stamp(), EventKind::LeftOut { events });
            line
        };
        Ok(Events {
            node: node.to_owned(),
            queued: Vec::new(),
            gates: Rc::new(RefCell::new(Gates::new(now()))),
            outlet: Rc::new(RefCell::new(Outlet::open(out, KEPT_BYTES, left_out)?)),
        })
    }

    /// Reports an event of this instant.
    ///
    /// # Errors
    /// When standard output is closed: whoever started the daemon is gone.
    pub(crate) fn report(&self, kind: EventKind) -> Result<()> {
        let mut lines = Vec::new();
        let events = self.push_lines(&mut lines, kind)?;
        // The medium waits for some events, and nobody for the log.
        self.write(&lines)?;
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
            self.write(&self.queued)?;
            self.queued.clear();
        }
        Ok(())
    }

    /// Writes what is kept back as soon as there is room, for ever.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub(crate) async fn keep_up(&self) -> Result<()> {
        let outlet = &self.outlet;
        written(poll_fn(|cx| outlet.borrow_mut().poll_flush(cx)).await)
    }

    /// Waits a moment for who reads the last events.
    pub(crate) async fn finish(&self) {
        let outlet = &self.outlet;
        let caught_up = poll_fn(|cx| outlet.borrow_mut().poll_caught_up(cx));
        let left = tokio::time::timeout(LAST_WORDS, caught_up).await;
        if !matches!(left, Ok(Ok(()))) {
            tracing::warn!("the last events found no reader");
        }
    }

    fn write(&self, lines: &[u8]) -> Result<()> {
        let mut outlet = self.outlet.borrow_mut();
        let before = outlet.lost();
        written(outlet.write_lines(lines))?;
        if before == 0 && outlet.lost() > 0 {
            tracing::warn!("nobody reads the events: from now on they are left out");
        }
        Ok(())
    }

    /// Appends an event, or counts it if there are too many like it; returns what was appended.
    fn push_lines(&self, lines: &mut Vec<u8>, kind: EventKind) -> Result<Vec<EventKind>> {
        let at = stamp();
        let mut told = Vec::new();
        if let Some(gate) = self.gates.borrow_mut().of(&kind) {
            match gate.admit(now()) {
                Admitted::No => return Ok(told),
                Admitted::Yes => {}
                Admitted::After(events) => told.push(EventKind::LeftOut { events }),
            }
        }
        told.push(kind);
        for kind in &told {
            push_line(lines, &self.node, at, kind.clone()).context("event as JSON")?;
        }
        Ok(told)
    }
}

fn push_line(lines: &mut Vec<u8>, node: &str, at: SimTime, kind: EventKind) -> std::io::Result<()> {
    let event = Event {
        time_ns: at.as_nanos(),
        node: node.to_owned(),
        kind,
    };
    rundir::event::write_line(lines, &event)
}

fn written(outcome: std::io::Result<()>) -> Result<()> {
    outcome.context("write an event to standard output")
}

fn log(events: &[EventKind]) {
    for kind in events {
        tracing::info!(?kind);
    }
}

/// Events of a kind that anybody can cause by a datagram, as many as are told one by one before they are
/// summed up: whoever sends a million is not to fill a disk.
const BURST: u64 = 8192;

/// In this time one more is told.
const INTERVAL: Duration = Duration::from_millis(125);

/// A gate for each kind of event that anybody can cause by a datagram, so that a flood of the one
/// hides no other. What a node does by itself, however often, is always told: it is measured.
#[derive(Debug)]
struct Gates {
    bindings: Gate,
    leases: Gate,
}

impl Gates {
    fn new(now: SimTime) -> Gates {
        Gates {
            bindings: Gate::new(now, "bindings"),
            leases: Gate::new(now, "leases"),
        }
    }

    fn of(&mut self, kind: &EventKind) -> Option<&mut Gate> {
        match kind {
            EventKind::Binding(_) => Some(&mut self.bindings),
            EventKind::Leased { .. } => Some(&mut self.leases),
            _ => None,
        }
    }
}

/// Lets events through at a rate.
#[derive(Debug)]
pub(crate) struct Gate {
    about: &'static str,
    allowance: Allowance,
    left_out: Ignored,
}

/// Whether an event is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It is, after so many that were not.
    After(u64),
}

impl Gate {
    /// For events `about` something, which the log says.
    pub(crate) fn new(now: SimTime, about: &'static str) -> Gate {
        Gate {
            about,
            allowance: Allowance::new(now, BURST, INTERVAL),
            left_out: Ignored::default(),
        }
    }

    /// Whether an event of this instant is told.
    pub(crate) fn admit(&mut self, now: SimTime) -> Admitted {
        if !self.allowance.take(now) {
            if let Some(events) = self.left_out.another() {
                tracing::warn!(events, about = self.about, "events left out");
            }
            return Admitted::No;
        }
        match std::mem::take(&mut self.left_out).count() {
            0 => Admitted::Yes,
            events => Admitted::After(events),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_events_is_summed_up_and_told_when_it_is_over() {
        let start = SimTime::ZERO + Duration::from_secs(9);
        let mut gate = Gate::new(start, "bindings");
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
        let mut gate = Gate::new(start, "bindings");
        let at = |ms: u64| start + Duration::from_millis(ms);
        let told = (0..864_000).filter(|n| gate.admit(at(n * 100)) != Admitted::No);
        assert!(told.count() < 8 * 86_400 + BURST as usize);
        while gate.admit(at(0)) != Admitted::No {}
        assert!(gate.admit(at(250)) != Admitted::No);
    }

    #[test]
    fn what_a_datagram_can_cause_is_summed_up_each_kind_alone_and_what_is_measured_is_told() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut events = Events::on(writer.as_fd(), "dhcp").unwrap();
        let read = std::thread::spawn(move || {
            rundir::event::read_all(std::io::BufReader::new(reader)).unwrap()
        });
        let address = "2001:db8::1".parse().unwrap();
        for _ in 0..3 * BURST {
            events.queue(EventKind::Leased { address }).unwrap();
        }
        let unknown = rundir::BindingEvent::Removed {
            p_addr: address,
            reason: "left".into(),
        };
        events.queue(EventKind::Binding(unknown)).unwrap();
        for _ in 0..2 * BURST {
            events.queue(EventKind::ScenarioStarted).unwrap();
        }
        events.flush().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // However long the reader is held up.
        let caught_up = poll_fn(|cx| events.outlet.borrow_mut().poll_caught_up(cx));
        runtime.block_on(caught_up).unwrap();
        drop((events, writer));
        let read = read.join().unwrap();
        let count = |of: fn(&EventKind) -> bool| {
            let of_kind = read.iter().filter(|event| of(&event.kind));
            of_kind.count() as u64
        };
        let leased = count(|kind| matches!(kind, EventKind::Leased { .. }));
        // Some more while the test lasts.
        assert!((BURST..2 * BURST).contains(&leased), "{leased}");
        assert_eq!(count(|kind| matches!(kind, EventKind::Binding(_))), 1);
        let measured = count(|kind| *kind == EventKind::ScenarioStarted);
        assert_eq!(measured, 2 * BURST);
    }

    #[test]
    fn a_reader_that_stands_still_hears_at_the_end_how_many_events_it_missed() {
        let (reader, writer) = std::io::pipe().unwrap();
        let events = Events::on(writer.as_fd(), "wall").unwrap();
        let total = 100_000;
        for _ in 0..total {
            events.report(EventKind::Ready).unwrap();
        }
        let read = std::thread::spawn(move || {
            rundir::event::read_all(std::io::BufReader::new(reader)).unwrap()
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(events.finish());
        drop((events, writer));
        let read = read.join().unwrap();
        let (last, ready) = read.split_last().unwrap();
        assert!(ready.iter().all(|event| event.kind == EventKind::Ready));
        assert!(ready.len() > KEPT_BYTES / 100, "{}", ready.len());
        let events = (total - ready.len()) as u64;
        assert_eq!(last.kind, EventKind::LeftOut { events });
    }
}
