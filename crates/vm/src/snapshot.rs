//! A VM that has booted and waits for its job, in a file: from there a run starts in a fraction
//! of a boot's time.
//!
//! The guest stops itself, behind one certain instruction, so two snapshots of one configuration
//! hold the same instant of the guest's time, and a run that starts from either is the same run.
//! In the file is the guest's memory, which every run maps and changes for itself alone, and
//! behind it the state of the processor and the devices.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::future::pending;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::libc::O_TMPFILE;
use nix::unistd::linkat;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use crate::config::Content;
use crate::input::{Input, TRIAL};
use crate::kernel::hex;
use crate::monitor::Monitor;
use crate::place::Load;
use crate::process::Memory;
use crate::program::Program;
use crate::qemu::{self, Channels, QEMU, Start};
use crate::running::Running;
use crate::{VmConfig, VmError, root};

/// Snapshots that stay: those of the last few programs and kernels, some 150 MB each.
const KEEP: usize = 4;
/// QEMU's main loop may see that the processor stands still before it sees that it was stopped;
/// it takes that for idleness, and the clock skips to the next timer. Without that skip the guest
/// knows of a pause of a few microseconds.
const LONGEST_PAUSE: Duration = Duration::from_micros(50);
/// How often to make a snapshot until its clock has not skipped.
const TRIES: u32 = 10;
/// What their names end with.
const EXTENSION: &str = "snapshot";

/// A stopped VM.
#[derive(Debug)]
pub(crate) struct Snapshot {
    file: File,
    /// Where the guest's memory ends and the state begins, bytes.
    state_at: u64,
}

impl Snapshot {
    /// The snapshot of `config` in `directory`; made if it is not there.
    pub(crate) fn of(
        config: &VmConfig,
        directory: &Path,
        load: &Load,
    ) -> Result<Snapshot, VmError> {
        let path = directory.join(key(config)?).with_extension(EXTENSION);
        let state_at = u64::from(config.memory_mib) << 20;
        let open = OpenOptions::new().read(true).write(true).open(&path);
        if let Ok(file) = open {
            // The oldest go first. Where the time cannot be set, it is that of its making.
            let _ = file.set_modified(SystemTime::now());
            return Ok(Snapshot { file, state_at });
        }
        let (file, named) = match nameless(directory) {
            Ok(file) => (file, true),
            Err(error) => {
                tracing::debug!("no snapshots in {}: {error}", directory.display());
                (Memory::new("wpanlab-snapshot")?.into_file(), false)
            }
        };
        let snapshot = Snapshot { file, state_at };
        let mut tries = 0..TRIES;
        loop {
            if tries.next().is_none() {
                let reason = "the guest's clock does not stand still while it is stopped".into();
                let console = String::new();
                return Err(VmError::Qemu { reason, console });
            }
            snapshot.make(config, load)?;
            let pause = snapshot.pause(config, load)?;
            if pause < LONGEST_PAUSE {
                break;
            }
            tracing::debug!(?pause, "snapshot discarded");
        }
        if named {
            let failed = VmError::io("keep the snapshot", path.display());
            snapshot.publish(&path).map_err(failed)?;
            prune(directory).map_err(VmError::io("tidy up", directory.display()))?;
        }
        Ok(snapshot)
    }

    /// A VM that goes on from here with a job. What it changes in its memory is its own.
    pub(crate) fn resume(
        &self,
        config: &VmConfig,
        job: &[u8],
        load: &Load,
    ) -> Result<Running, VmError> {
        let input = Memory::of("wpanlab-input", &Input::new(config.seed, job).encode())?;
        let state = self.state().map_err(VmError::io("open", "the snapshot"))?;
        let start = Start::Restore {
            memory: self.file.as_raw_fd(),
            state: state.as_raw_fd(),
            input: input.fd(),
        };
        Running::start(config, start, load)
    }

    /// The state of the processor and the devices: the file again, positioned where it begins.
    fn state(&self) -> io::Result<File> {
        let mut state = File::open(qemu::path(self.file.as_raw_fd()))?;
        state.seek(SeekFrom::Start(self.state_at))?;
        Ok(state)
    }

    /// How long its guest was stopped by its own clock.
    fn pause(&self, config: &VmConfig, load: &Load) -> Result<Duration, VmError> {
        let mut trial = self.resume(config, TRIAL, load)?;
        let mut said = String::new();
        let ended = Handle::current().block_on(trial.ended(
            config.stall_limit,
            pending(),
            &mut |line: &str| {
                said = line.to_owned();
            },
        ))?;
        said.parse().map(Duration::from_nanos).map_err(|_| {
            let words = trial.stderr.text();
            VmError::Qemu {
                reason: format!("trial of a snapshot: {ended}; {}", words.trim()),
                console: trial.console.text(),
            }
        })
    }

    /// Boots the VM and stops it where it would take its job.
    fn make(&self, config: &VmConfig, load: &Load) -> Result<(), VmError> {
        let emptied = self.file.set_len(0);
        emptied
            .and_then(|()| self.file.set_len(self.state_at))
            .map_err(VmError::io("make room for", "a snapshot"))?;
        let initrd = Memory::of("wpanlab-initrd", &root::build(config)?)?;
        let input = Memory::new("wpanlab-input")?;
        let state = Memory::new("wpanlab-state")?;
        let (ours, theirs) = UnixStream::pair().map_err(VmError::io("make", "a socket pair"))?;
        let start = Start::Template {
            initrd: initrd.fd(),
            input: input.fd(),
            memory: self.file.as_raw_fd(),
            state: state.fd(),
            monitor: theirs.as_raw_fd(),
        };
        let running = Running::start(config, start, load)?;
        drop(theirs);
        let save = || {
            let mut monitor = Monitor::open(ours, config.stall_limit)?;
            monitor.execute("cont", json!({}))?;
            monitor.wait_for("STOP")?;
            let file = json!({ "filename": qemu::path(state.fd()) });
            monitor.execute("xen-save-devices-state", file)?;
            monitor.execute("quit", json!({}))?;
            self.file.write_all_at(&state.read_from(0)?, self.state_at)
        };
        save().map_err(|error| failure(&error, config, &running))
    }

    /// Gives the file its name, once everything in it is on the disk.
    fn publish(&self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        let open = PathBuf::from(qemu::path(self.file.as_raw_fd()));
        match linkat(AT_FDCWD, &open, AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW) {
            // Somebody else was faster, with the same snapshot.
            Ok(()) | Err(nix::errno::Errno::EEXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Why a VM did not get as far as its job.
fn failure(error: &io::Error, config: &VmConfig, running: &Running) -> VmError {
    let console = running.console.text();
    if console.contains("Kernel panic") {
        return VmError::Panic { console };
    }
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => VmError::Stalled {
            limit: config.stall_limit,
            console,
        },
        _ => {
            let reason = format!("{error}; {}", running.stderr.text().trim());
            VmError::Qemu { reason, console }
        }
    }
}

/// A file in `directory` that is gone when nobody has it open, unless it gets a name.
fn nameless(directory: &Path) -> io::Result<File> {
    std::fs::create_dir_all(directory)?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(O_TMPFILE)
        .open(directory)
}

/// Removes all but the [`KEEP`] snapshots that were used last.
fn prune(directory: &Path) -> io::Result<()> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|end| end == EXTENSION) {
            found.push((entry.metadata()?.modified()?, path));
        }
    }
    found.sort();
    let surplus = found.len().saturating_sub(KEEP);
    found[..surplus]
        .iter()
        .try_for_each(|(_, path)| std::fs::remove_file(path))
}

/// A name for what the VM is at its job: everything that it was made of. Large files are known by
/// their identity on this machine.
fn key(config: &VmConfig) -> Result<String, VmError> {
    let none = Channels {
        console: 0,
        progress: 0,
        results: 0,
    };
    let start = Start::Template {
        initrd: 0,
        input: 0,
        memory: 0,
        state: 0,
        monitor: 0,
    };
    let mut parts = qemu::arguments(config, none, start);
    parts.extend(config.modules.clone());
    let kernel = &config.kernel;
    let program = Program::open(&config.init)?;
    let mut files: Vec<&Path> = program.files().collect();
    files.extend([kernel.vmlinux.as_path(), &kernel.modules]);
    for file in &config.files {
        parts.push(format!("{} {:o}", file.guest_path, file.mode));
        match &file.source {
            Content::Host(path) => files.push(path),
            Content::Bytes(bytes) => parts.push(hex(&Sha256::digest(bytes))),
        }
    }
    for path in files {
        let metadata = std::fs::metadata(path).map_err(VmError::io("read", path.display()))?;
        parts.push(identity(path, &metadata));
    }
    parts.extend(emulator());
    let digest = Sha256::digest(parts.join("\n"));
    Ok(hex(&digest[..16]))
}

/// What tells this machine's emulator from another one. `None` if there is none on `PATH`.
pub(crate) fn emulator() -> Option<String> {
    let (path, metadata) = on_path(QEMU, std::env::var_os("PATH"))?;
    Some(identity(&path, &metadata))
}

fn identity(path: &Path, metadata: &Metadata) -> String {
    let (size, inode) = (metadata.size(), metadata.ino());
    let (s, ns) = (metadata.mtime(), metadata.mtime_nsec());
    format!("{} {size} {inode} {s}.{ns:09}", path.display())
}

fn on_path(program: &str, path: Option<OsString>) -> Option<(PathBuf, Metadata)> {
    std::env::split_paths(&path?).find_map(|directory| {
        let candidate = directory.join(program);
        let metadata = std::fs::metadata(&candidate).ok()?;
        Some((candidate, metadata))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_used_last_stay_and_nothing_else_is_touched() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let long_ago = SystemTime::now() - Duration::from_secs(1000);
        std::fs::write(file("notes"), "").unwrap();
        for age in 0..6 {
            let made = File::create(file(&format!("{age}.snapshot"))).unwrap();
            made.set_modified(long_ago - Duration::from_secs(age))
                .unwrap();
        }
        prune(directory.path()).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let expected = [
            "0.snapshot",
            "1.snapshot",
            "2.snapshot",
            "3.snapshot",
            "notes",
        ];
        assert_eq!(left, expected);
    }

    #[test]
    fn a_nameless_file_is_no_entry_of_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let into = directory.path().join("not/there/yet");
        let file = nameless(&into).unwrap();
        assert_eq!(std::fs::read_dir(&into).unwrap().count(), 0);
        let snapshot = Snapshot { file, state_at: 0 };
        snapshot.publish(&into.join("a")).unwrap();
        snapshot.publish(&into.join("a")).unwrap();
        assert_eq!(std::fs::read_dir(&into).unwrap().count(), 1);
    }
}
