//! An emulator and the memory files that it writes into, from its start to its end.

use std::io::PipeWriter;
use std::pin::Pin;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::config::{Clock, Machine};
use crate::place::{Load, Place};
use crate::process::{Emulator, Launch, Memory};
use crate::qemu::{self, Channels, Start};
use crate::{VmConfig, VmError, uml};

/// How often progress is looked for (wall time). The guest never notices.
const POLL: Duration = Duration::from_millis(10);

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
            console,
            progress,
            results,
            stderr,
            started,
        })
    }

    /// Waits for its end, which the guest is asked for when `stop` resolves; reports each line of
    /// progress.
    ///
    /// # Errors
    /// [`VmError::Stalled`] when nothing was written for `stall_limit` and [`is_stuck`], or the guest does not stop, and the
    /// emulator is killed.
    pub(crate) async fn ended(
        &mut self,
        stall_limit: Duration,
        mut stop: Pin<&mut dyn Future<Output = ()>>,
        on_progress: &mut dyn FnMut(&str),
    ) -> Result<ExitStatus, VmError> {
        let mut lines = Lines::default();
        let mut last_size = 0;
        let mut last_sign = (Instant::now(), self.emulator.processor_time());
        let mut stopping: Option<Instant> = None;
        let status = loop {
            let ended = tokio::select! {
                ended = tokio::time::timeout(POLL, &mut self.emulator.ended) => ended.ok(),
                () = &mut stop, if stopping.is_none() => {
                    stopping = Some(Instant::now());
                    self.alive = None;
                    None
                }
            };
            lines.drain(&self.progress, on_progress);
            if let Some(status) = ended {
                break status;
            }
            if stopping.is_some_and(|since| since.elapsed() > STOP_LIMIT) {
                self.emulator.kill();
                return Err(VmError::Stalled {
                    limit: STOP_LIMIT,
                    console: self.console.text(),
                });
            }
            let size = self.console.len() + self.progress.len() + self.results.len();
            if size != last_size {
                last_size = size;
                last_sign = (Instant::now(), self.emulator.processor_time());
            } else if last_sign.0.elapsed() > stall_limit
                && is_stuck(
                    stall_limit,
                    self.emulator.processor_time().saturating_sub(last_sign.1),
                )
            {
                self.emulator.kill();
                return Err(VmError::Stalled {
                    limit: stall_limit,
                    console: self.console.text(),
                });
            }
        };
        status
            .map_err(|_| std::io::Error::other("its thread died"))
            .and_then(|waited| waited)
            .map_err(VmError::io("wait for", "the emulator"))
    }
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
