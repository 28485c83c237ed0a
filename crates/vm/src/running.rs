//! An emulator and the memory files that it writes into, from its start to its end.

use std::io::PipeWriter;
use std::pin::Pin;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::config::{Clock, Machine};
use crate::follow::Follow;
use crate::place::{Load, Place};
use crate::process::{Emulator, Launch, Memory};
use crate::qemu::{self, Channels, Start};
use crate::{VmConfig, VmError, uml};

/// How often progress is looked for (wall time). The guest never notices.
const POLL: Duration = Duration::from_millis(10);
/// The same of one that may have to stand still.
const HELD_POLL: Duration = Duration::from_millis(1);

/// How long a guest has to stop and hand over its results (wall time). What brings the network up is
/// not interrupted, and on a busy host takes seconds.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// The emulator for one start.
pub(crate) fn launch(
    config: &VmConfig,
    channels: Channels,
    start: Start,
) -> Result<Launch, VmError> {
    match config.machine {
        Machine::Qemu(accel) => Ok(qemu::launch(config, accel, channels, start)),
        Machine::Uml(processor) => uml::launch(config, processor, channels, start),
    }
}

/// A VM that was started; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Running {
    emulator: Emulator,
    /// The other end of its standard input; closed when the guest shall stop.
    alive: Option<PipeWriter>,
    /// It hears of that only when it has opened its end before, as it has when it makes progress: a User-Mode Linux is told by
    /// a signal, which comes once.
    hears_late: bool,
    pub(crate) console: Memory,
    pub(crate) progress: Memory,
    pub(crate) results: Memory,
    pub(crate) stderr: Memory,
    pub(crate) started: Instant,
}

impl Running {
    /// Starts the emulator; `load` is that of the processors a while ago.
    pub(crate) fn start(config: &VmConfig, start: Start, load: &Load) -> Result<Running, VmError> {
        let console = Memory::new("wpanlab-console")?;
        let progress = Memory::new("wpanlab-progress")?;
        let results = Memory::new("wpanlab-results")?;
        let stderr = Memory::new("wpanlab-stderr")?;
        let (stdin, alive) = std::io::pipe().map_err(VmError::io("make", "a pipe"))?;
        let channels = Channels {
            console: console.fd(),
            progress: progress.fd(),
            results: results.fd(),
        };
        let launch = launch(config, channels, start)?;
        tracing::debug!(?launch);
        let started = Instant::now();
        // With real time the two threads work side by side.
        let place = (config.clock == Clock::Virtual)
            .then(|| Place::take(load))
            .flatten();
        let emulator = Emulator::start(launch, stdin, stderr.file(), place)?;
        Ok(Running {
            emulator,
            alive: Some(alive),
            hears_late: matches!(config.machine, Machine::Uml(_)),
            console,
            progress,
            results,
            stderr,
            started,
        })
    }

    /// Waits for its end, which the guest is asked for when `stop` resolves; reports each line of
    /// progress, and has it stand still while `follower` wants it to, unless it is to stop.
    ///
    /// # Errors
    /// [`VmError::Stalled`] when nothing was written for `stall_limit` and [`is_stuck`], or the guest does not stop, and the
    /// emulator is killed.
    pub(crate) async fn ended(
        &mut self,
        stall_limit: Duration,
        mut stop: Pin<&mut dyn Future<Output = ()>>,
        follower: &mut dyn Follow,
    ) -> Result<ExitStatus, VmError> {
        let mut lines = Lines::default();
        let mut last = self.sign();
        let mut stopping: Option<Instant> = None;
        let mut halted = false;
        let poll = if follower.holds() { HELD_POLL } else { POLL };
        let status = loop {
            let ended = tokio::select! {
                ended = tokio::time::timeout(poll, &mut self.emulator.ended) => ended.ok(),
                () = &mut stop, if stopping.is_none() => {
                    stopping = Some(Instant::now());
                    None
                }
            };
            lines.drain(&self.progress, &mut |line| follower.progress(line));
            if stopping.is_some() && (lines.read > 0 || !self.hears_late) {
                self.alive = None;
            }
            if let Some(status) = ended {
                break status;
            }
            if stopping.is_some_and(|since| since.elapsed() > STOP_LIMIT) {
                return Err(self.given_up(STOP_LIMIT));
            }
            let halt = stopping.is_none() && !follower.goes_on();
            // Again and again: a shell that is told to go on lets all go on that it has started.
            if halt || halted {
                halted = halt;
                self.emulator.halt(halt);
            }
            let sign = self.sign();
            if halted || sign.size != last.size {
                last = sign;
            } else if last.at.elapsed() > stall_limit
                && is_stuck(stall_limit, sign.had.saturating_sub(last.had))
            {
                return Err(self.given_up(stall_limit));
            }
        };
        status
            .map_err(|_| std::io::Error::other("its thread died"))
            .and_then(|waited| waited)
            .map_err(VmError::io("wait for", "the emulator"))
    }

    fn sign(&self) -> Sign {
        Sign {
            size: self.console.len() + self.progress.len() + self.results.len(),
            at: Instant::now(),
            had: self.emulator.processor_time(),
        }
    }

    fn given_up(&self, limit: Duration) -> VmError {
        self.emulator.kill();
        VmError::Stalled {
            limit,
            console: self.console.text(),
        }
    }
}

/// What there was of life.
struct Sign {
    /// Bytes that were written.
    size: u64,
    /// When (wall time).
    at: Instant,
    /// What the emulator had had of the processors.
    had: Duration,
}

/// Whether a guest that has been silent for longer than `limit`, in which its emulator had the processors for `had`, is stuck: one
/// that waits for what never comes uses next to nothing, and one that goes in circles all that it can have. What is between
/// shares the processors with others, and has had less time than it seems.
fn is_stuck(limit: Duration, had: Duration) -> bool {
    had < limit / 10 || had >= limit
}

/// Splits what grows into lines.
#[derive(Default)]
struct Lines {
    read: u64,
    partial: Vec<u8>,
}

impl Lines {
    fn drain(&mut self, source: &Memory, on_line: &mut dyn FnMut(&str)) {
        let Ok(bytes) = source.read_from(self.read) else {
            return;
        };
        self.read += bytes.len() as u64;
        self.partial.extend(bytes);
        while let Some(end) = self.partial.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            on_line(&String::from_utf8_lossy(&line[..end]));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_guest_that_shares_the_processors_has_longer() {
        let of = |had| is_stuck(Duration::from_secs(120), Duration::from_secs(had));
        assert_eq!(
            [0, 11, 12, 119, 120].map(of),
            [true, true, false, false, true]
        );
    }

    #[test]
    fn a_line_is_reported_once_and_only_when_it_is_whole() {
        let memory = Memory::new("test").unwrap();
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for part in ["one\ntw", "o\n", "\nthree"] {
            memory.file().write_all(part.as_bytes()).unwrap();
            lines.drain(&memory, &mut |line| seen.push(line.to_string()));
        }
        assert_eq!(seen, ["one", "two", ""]);
    }
}
