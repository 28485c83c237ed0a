//! What a daemon shares with whoever started it: events out, control in, the clock.

use std::io::Write;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use rundir::control::Control;
use rundir::{Event, EventKind};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe;
use units::SimTime;

pub use driver::{instant, now};
pub use machine::earlier;

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
