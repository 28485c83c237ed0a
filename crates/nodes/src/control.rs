//! Control lines from whoever started the daemon.

use std::os::fd::AsFd;

use anyhow::{Context, Result};
use rundir::control::Control;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::sync::mpsc::UnboundedReceiver;

/// Where control lines come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Lines on standard input, a pipe.
    Pipe(Box<Lines<BufReader<pipe::Receiver>>>),
    /// Nobody: the daemon runs until it is killed, and services start at once.
    Alone {
        /// Whether [`Control::Start`] was given.
        started: bool,
    },
}

impl Source {
    /// Reads standard input, which has to be a pipe, if `controlled`.
    ///
    /// # Errors
    /// When standard input is not a pipe.
    pub(crate) fn new(controlled: bool) -> Result<Source> {
        if !controlled {
            return Ok(Source::Alone { started: false });
        }
        let stdin = std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .context("standard input")?;
        let pipe = pipe::Receiver::from_owned_fd(stdin)
            .context("--control wants a pipe on standard input")?;
        Ok(Source::Pipe(Box::new(BufReader::new(pipe).lines())))
    }

    /// The next control line; end of file is [`Control::Stop`]. Cancel-safe.
    ///
    /// # Errors
    /// When a line is not a control line.
    pub(crate) async fn next(&mut self) -> Result<Control> {
        match self {
            Source::Pipe(lines) => match lines.next_line().await.context("read control")? {
                Some(line) => {
                    serde_json::from_str(&line).with_context(|| format!("control line `{line}`"))
                }
                None => Ok(Control::Stop),
            },
            Source::Alone { started: false } => {
                *self = Source::Alone { started: true };
                Ok(Control::Start)
            }
            Source::Alone { started: true } => std::future::pending().await,
        }
    }
}

/// What one part of a daemon is told.
#[derive(Debug)]
pub(crate) struct Controls(UnboundedReceiver<Control>);

impl Controls {
    /// What comes out of `lines`.
    pub(crate) fn new(lines: UnboundedReceiver<Control>) -> Controls {
        Controls(lines)
    }

    /// The next one; [`Control::Stop`] when nobody tells anything any more. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Control {
        self.0.recv().await.unwrap_or(Control::Stop)
    }

    /// Waits until the part is to stop.
    pub(crate) async fn stopped(&mut self) {
        while self.next().await != Control::Stop {}
    }
}
