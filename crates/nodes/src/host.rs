//! What a daemon shares with whoever started it: events out, control in, the clock.

use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result};
use rundir::control::Control;
use rundir::{Event, EventKind};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::time::Instant;
use units::SimTime;

pub use coap::io::now;

/// The instant at which `tokio` reaches `at`; far away where there is no deadline.
pub fn instant(at: Option<SimTime>) -> Instant {
    const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
    Instant::now() + at.map_or(NEVER, |at| at.saturating_since(now()).min(NEVER))
}

/// The earlier of two deadlines, where there are any.
pub fn earlier(a: Option<SimTime>, b: Option<SimTime>) -> Option<SimTime> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Writes a node's events as JSON lines on standard output.
#[derive(Debug)]
pub struct Events {
    node: String,
    /// Lines for the next [`Events::flush`].
    queued: Vec<u8>,
}

/// Bytes of lines that wait for each other at most: what a pipe takes at once.
const QUEUE_BYTES: usize = 1 << 16;

impl Events {
    /// Events of `node`.
    pub fn new(node: &str) -> Events {
        Events {
            node: node.to_owned(),
            queued: Vec::new(),
        }
    }

    /// Reports an event of this instant.
    ///
    /// # Errors
    /// When standard output is closed: whoever started the daemon is gone.
    pub fn report(&self, kind: EventKind) -> Result<()> {
        self.report_at(now(), kind)
    }

    /// Reports an event of instant `at`.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub fn report_at(&self, at: SimTime, kind: EventKind) -> Result<()> {
        let mut line = Vec::new();
        self.push_line(&mut line, at, kind)?;
        write(&line)
    }

    /// Reports an event of this instant with the next [`Events::flush`], which has to come before
    /// the daemon waits: one system call for all that happens at once.
    ///
    /// # Errors
    /// As [`Events::report`].
    pub fn queue(&mut self, kind: EventKind) -> Result<()> {
        let mut lines = std::mem::take(&mut self.queued);
        self.push_line(&mut lines, now(), kind)?;
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
    pub fn flush(&mut self) -> Result<()> {
        if !self.queued.is_empty() {
            write(&self.queued)?;
            self.queued.clear();
        }
        Ok(())
    }

    fn push_line(&self, lines: &mut Vec<u8>, at: SimTime, kind: EventKind) -> Result<()> {
        tracing::info!(?kind);
        let event = Event {
            time_ns: at.as_nanos(),
            node: self.node.clone(),
            kind,
        };
        serde_json::to_writer(&mut *lines, &event).context("event as JSON")?;
        lines.push(b'\n');
        Ok(())
    }
}

fn write(lines: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(lines)
        .and_then(|()| out.flush())
        .context("write an event to standard output")
}

/// How often a daemon ignored a message, for its log. A line for each would let any neighbour
/// fill the disk.
#[derive(Debug, Default)]
pub struct Ignored(u64);

impl Ignored {
    /// One more; how many there were if that is to be logged: of the first, the tenth, the
    /// hundredth, and so on.
    pub fn another(&mut self) -> Option<u64> {
        self.0 += 1;
        (self.0 == 10_u64.pow(self.0.ilog10())).then_some(self.0)
    }
}

/// Control lines from whoever started the daemon.
#[derive(Debug)]
pub enum Commands {
    /// Lines on standard input, a pipe.
    Pipe(Box<Lines<BufReader<pipe::Receiver>>>),
    /// Nobody: the daemon runs until it is killed, and clients start at once.
    Alone {
        /// Whether [`Control::Start`] was given.
        started: bool,
    },
}

impl Commands {
    /// Reads standard input, which has to be a pipe, if `controlled`.
    ///
    /// # Errors
    /// When standard input is not a pipe.
    pub fn new(controlled: bool) -> Result<Commands> {
        if !controlled {
            return Ok(Commands::Alone { started: false });
        }
        let stdin = std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .context("standard input")?;
        let pipe = pipe::Receiver::from_owned_fd(stdin)
            .context("--control wants a pipe on standard input")?;
        Ok(Commands::Pipe(Box::new(BufReader::new(pipe).lines())))
    }

    /// The next control line; end of file is [`Control::Stop`]. Cancel-safe.
    ///
    /// # Errors
    /// When a line is not a control line.
    pub async fn next(&mut self) -> Result<Control> {
        match self {
            Commands::Pipe(lines) => match lines.next_line().await.context("read control")? {
                Some(line) => {
                    serde_json::from_str(&line).with_context(|| format!("control line `{line}`"))
                }
                None => Ok(Control::Stop),
            },
            Commands::Alone { started: false } => {
                *self = Commands::Alone { started: true };
                Ok(Control::Start)
            }
            Commands::Alone { started: true } => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_ignored_messages_are_seven_lines_of_log() {
        let mut ignored = Ignored::default();
        let logged: Vec<u64> = (0..1_000_000).filter_map(|_| ignored.another()).collect();
        assert_eq!(logged, [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]);
    }
}
