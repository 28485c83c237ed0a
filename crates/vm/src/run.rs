//! One run from start to results.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::config::Clock;
use crate::input::{Input, TRIAL};
use crate::place::{Load, Place};
use crate::process::{Memory, Qemu};
use crate::qemu::{self, Channels, EXIT_STATUS, QEMU, Start};
use crate::snapshot::Snapshot;
use crate::{VmConfig, VmError, results, root};

/// How often progress is looked for (wall time). The guest never notices.
const POLL: Duration = Duration::from_millis(10);

/// What a guest left.
#[derive(Clone, Debug)]
pub struct Output {
    /// The files of its results directory by relative path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What it gave to [`crate::guest::Guest::finish`].
    pub exit_code: i32,
    /// Everything that its kernel and programs wrote to the console.
    pub console: String,
    /// Wall time from the start of QEMU to its end.
    pub wall: Duration,
}

impl Output {
    /// Writes the files into a directory, which is made if need be.
    ///
    /// # Errors
    /// A directory or file cannot be written.
    pub fn unpack(&self, into: &Path) -> Result<(), VmError> {
        for (name, content) in &self.files {
            let path = into.join(name);
            let parent = path.parent().unwrap_or(into);
            std::fs::create_dir_all(parent).map_err(VmError::io("make", parent.display()))?;
            std::fs::write(&path, content).map_err(VmError::io("write", path.display()))?;
        }
        Ok(())
    }
}

/// Boots the VM, or has it go on from its snapshot, reports each line of [progress](crate::guest::Guest::progress) and returns
/// what the guest left. Dropping the future kills QEMU; QEMU also dies with this process.
///
/// # Errors
/// A configuration that contradicts itself, files that cannot be read, a QEMU that does not
/// start, and every way in which a guest can fail to deliver: panic, silence beyond the
/// stall limit, an end without complete results. A guest that delivers is `Ok` whatever its
/// exit code.
pub async fn run(config: VmConfig, mut on_progress: impl FnMut(&str)) -> Result<Output, VmError> {
    config.check()?;
    let stall_limit = config.stall_limit;
    let running = tokio::task::spawn_blocking(move || Running::start(&config))
        .await
        .map_err(|e| VmError::Config(format!("the preparation panicked: {e}")))??;
    running.watch(stall_limit, &mut on_progress).await
}

struct Running {
    qemu: Qemu,
    console: Memory,
    progress: Memory,
    results: Memory,
    stderr: Memory,
    started: Instant,
}

impl Running {
    fn start(config: &VmConfig) -> Result<Running, VmError> {
        let load = Load::now();
        // A guest's clock that follows the host's, or files of the host, cannot be stopped.
        let reproducible = config.clock == Clock::Virtual && !config.share_host_root;
        match &config.snapshots {
            Some(directory) if reproducible => {
                let pause = |snapshot: &Snapshot| Running::pause_of(config, snapshot, &load);
                let snapshot = Snapshot::of(config, directory, &load, pause)?;
                Running::restore(config, &snapshot, &load)
            }
            _ => Running::boot(config, &load),
        }
    }

    fn boot(config: &VmConfig, load: &Load) -> Result<Running, VmError> {
        let initrd = Memory::new("wpanlab-initrd")?;
        initrd
            .file()
            .write_all(&root::build(config)?)
            .map_err(VmError::io("write", "the initramfs"))?;
        let input = input(config)?;
        let start = Start::Boot {
            initrd: initrd.fd(),
            input: input.fd(),
        };
        Running::qemu(config, start, vec![initrd.fd(), input.fd()], load)
    }

    fn restore(config: &VmConfig, snapshot: &Snapshot, load: &Load) -> Result<Running, VmError> {
        let state = snapshot.state()?;
        let input = input(config)?;
        let start = Start::Restore {
            memory: snapshot.memory(),
            state: state.as_raw_fd(),
            input: input.fd(),
        };
        let inherit = vec![snapshot.memory(), state.as_raw_fd(), input.fd()];
        Running::qemu(config, start, inherit, load)
    }

    /// How long the guest of a snapshot was stopped by its own clock.
    fn pause_of(config: &VmConfig, snapshot: &Snapshot, load: &Load) -> Result<Duration, VmError> {
        let mut trial = config.clone();
        trial.job = TRIAL.to_vec();
        let mut running = Running::restore(&trial, snapshot, load)?;
        let ended = Handle::current().block_on(&mut running.qemu.ended);
        let (said, console) = (running.progress.text(), running.console.text());
        match said.trim().parse() {
            Ok(nanoseconds) => Ok(Duration::from_nanos(nanoseconds)),
            Err(_) => {
                let words = running.stderr.text();
                let reason = format!("trial of a snapshot: {ended:?}; {}", words.trim());
                Err(VmError::Qemu { reason, console })
            }
        }
    }

    fn qemu(
        config: &VmConfig,
        start: Start,
        mut inherit: Vec<RawFd>,
        load: &Load,
    ) -> Result<Running, VmError> {
        let console = Memory::new("wpanlab-console")?;
        let progress = Memory::new("wpanlab-progress")?;
        let results = Memory::new("wpanlab-results")?;
        let stderr = Memory::new("wpanlab-stderr")?;
        let channels = Channels {
            console: console.fd(),
            progress: progress.fd(),
            results: results.fd(),
        };
        inherit.extend([channels.console, channels.progress, channels.results]);
        let arguments = qemu::arguments(config, channels, start);
        tracing::debug!(?arguments, "{QEMU}");
        let started = Instant::now();
        // With real time the two threads work side by side.
        let place = (config.clock == Clock::Virtual)
            .then(|| Place::take(load))
            .flatten();
        let qemu = Qemu::start(QEMU, &arguments, inherit, stderr.file(), place)?;
        Ok(Running {
            qemu,
            console,
            progress,
            results,
            stderr,
            started,
        })
    }

    async fn watch(
        mut self,
        stall_limit: Duration,
        on_progress: &mut impl FnMut(&str),
    ) -> Result<Output, VmError> {
        let mut lines = Lines::default();
        let mut last_size = 0;
        let mut last_sign = Instant::now();
        let status = loop {
            let ended = tokio::time::timeout(POLL, &mut self.qemu.ended).await;
            lines.drain(&self.progress, on_progress);
            if let Ok(status) = ended {
                break status;
            }
            let size = self.console.len() + self.progress.len() + self.results.len();
            if size != last_size {
                last_size = size;
                last_sign = Instant::now();
            } else if last_sign.elapsed() > stall_limit {
                self.qemu.kill();
                return Err(VmError::Stalled {
                    limit: stall_limit,
                    console: self.console.text(),
                });
            }
        };
        let status = status
            .map_err(|_| std::io::Error::other("its thread died"))
            .and_then(|waited| waited)
            .map_err(VmError::io("wait for", QEMU))?;
        self.judge(status)
    }

    fn judge(self, status: ExitStatus) -> Result<Output, VmError> {
        let wall = self.started.elapsed();
        let console = self.console.text();
        if status.code() == Some(EXIT_STATUS) {
            let stream = self
                .results
                .read_from(0)
                .map_err(VmError::io("read", "the guest's results"))?;
            return match results::read(&stream) {
                Ok((exit_code, files)) => Ok(Output {
                    files,
                    exit_code,
                    console,
                    wall,
                }),
                Err(reason) => Err(VmError::NoResults { reason, console }),
            };
        }
        if console.contains("Kernel panic") {
            return Err(VmError::Panic { console });
        }
        if status.success() {
            let reason = "it went down by itself".into();
            return Err(VmError::NoResults { reason, console });
        }
        let words = self.stderr.text();
        let end = match status.signal() {
            Some(signal) => format!("killed by signal {signal}"),
            None => format!("exit status {}", status.code().unwrap_or_default()),
        };
        let reason = format!("{end}; {}", words.trim());
        Err(VmError::Qemu { reason, console })
    }
}

fn input(config: &VmConfig) -> Result<Memory, VmError> {
    let memory = Memory::new("wpanlab-input")?;
    let bytes = Input::new(config.seed, &config.job).encode();
    let mut file = memory.file();
    file.write_all(&bytes)
        .map_err(VmError::io("write", "the guest's input"))?;
    Ok(memory)
}

/// Splits what grows into lines.
#[derive(Default)]
struct Lines {
    read: u64,
    partial: Vec<u8>,
}

impl Lines {
    fn drain(&mut self, source: &Memory, on_line: &mut impl FnMut(&str)) {
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
    use super::*;

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
