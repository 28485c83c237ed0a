//! A VM that has booted and waits for its job, in a file: from there a run starts in a fraction
//! of a boot's time.
//!
//! The guest stops itself, behind one certain instruction, so two snapshots of one configuration
//! hold the same instant of the guest's time, and a run that starts from either is the same run.
//! In the file is the guest's memory, which every run maps and changes for itself alone, and
//! behind it the state of the processor and the devices.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::future::pending;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::libc::{O_NOFOLLOW, O_TMPFILE};
use nix::unistd::linkat;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use crate::input::{Input, TRIAL};
use crate::kernel::hex;
use crate::monitor::Monitor;
use crate::place::Load;
use crate::process::Memory;
use crate::qemu::{self, Channels, QEMU, Start};
use crate::running::{Running, launch};
use crate::{VmConfig, VmError, cache, checksum, root};

/// Snapshots that stay: those of the last few programs and kernels, some 150 MB each.
const KEEP: usize = 4;
/// A snapshot that was used so shortly ago is not said to have been used again.
const RECENTLY: Duration = Duration::from_secs(600);
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
    /// A VM that goes on from the snapshot of `config` in `directory`, which is made if it is not
    /// there or damaged.
    pub(crate) fn run(
        config: &VmConfig,
        directory: &Path,
        load: &Load,
    ) -> Result<Running, VmError> {
        let key = key(config)?;
        if let Some(kept) = Kept::open(directory, &key)
            && let Some(running) = Snapshot::run_kept(kept, config, load)
        {
            return running;
        }
        let snapshot = Snapshot::of(config, load)?;
        // The run has what it needs: the next one boots, too.
        if let Err(error) = keep(&snapshot.file, directory, &key) {
            let directory = directory.display();
            tracing::warn!("the VM's snapshot cannot be kept in {directory}: {error}");
        }
        snapshot.resume(config, &config.job, load)
    }

    /// A VM that goes on from what was kept; none if that turns out to be damaged, which is looked for
    /// while QEMU starts.
    fn run_kept(kept: Kept, config: &VmConfig, load: &Load) -> Option<Result<Running, VmError>> {
        let snapshot = Snapshot {
            file: kept.file.try_clone().ok()?,
            state_at: state_at(config),
        };
        let (running, good) = std::thread::scope(|scope| {
            let check = scope.spawn(|| kept.is_good());
            let running = snapshot.resume(config, &config.job, load);
            (running, check.join())
        });
        matches!(good, Ok(true)).then_some(running)
    }

    /// A new snapshot of `config`, in memory.
    fn of(config: &VmConfig, load: &Load) -> Result<Snapshot, VmError> {
        let state_at = state_at(config);
        let file = Memory::new("wpanlab-snapshot")?.into_file();
        let snapshot = Snapshot { file, state_at };
        let mut tries = 0..TRIES;
        loop {
            if tries.next().is_none() {
                let reason = "the guest's clock does not stand still while it is stopped".into();
                let console = String::new();
                return Err(VmError::Emulator {
                    emulator: "QEMU",
                    reason,
                    console,
                });
            }
            snapshot.make(config, load)?;
            let pause = snapshot.pause(config, load)?;
            if pause < LONGEST_PAUSE {
                break;
            }
            tracing::debug!(?pause, "snapshot discarded");
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
            pin!(pending()),
            &mut |line: &str| {
                said = line.to_owned();
            },
        ))?;
        said.parse().map(Duration::from_nanos).map_err(|_| {
            let words = trial.stderr.text();
            VmError::Emulator {
                emulator: "QEMU",
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
            VmError::Emulator {
                emulator: "QEMU",
                reason,
                console,
            }
        }
    }
}

/// Where the guest's memory ends and the state begins, bytes.
fn state_at(config: &VmConfig) -> u64 {
    u64::from(config.memory_mib) << 20
}

/// A snapshot that was kept, in the file `KEY-CHECKSUM.snapshot`.
struct Kept {
    path: PathBuf,
    file: File,
    key: String,
}

impl Kept {
    /// The snapshot with this key in `directory`, if there is one.
    fn open(directory: &Path, key: &str) -> Option<Kept> {
        let path = named(directory, key)?;
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(O_NOFOLLOW)
            .open(&path);
        // In a cache that cannot be written it can be read.
        let file = opened.or_else(|_| File::open(&path)).ok()?;
        let now = SystemTime::now();
        let used = file.metadata().and_then(|found| found.modified());
        if used.is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age > RECENTLY)) {
            // The oldest go first. Where the time cannot be set, it is that of its making.
            let _ = file.set_modified(now);
        }
        let key = key.to_owned();
        Some(Kept { path, file, key })
    }

    /// Whether it is what was put there. One that is not is removed.
    fn is_good(&self) -> bool {
        let path = self.path.display();
        match self.is_whole() {
            Ok(true) => return true,
            Ok(false) => tracing::warn!("{path} is damaged: it is made again"),
            Err(error) => tracing::warn!("{path} cannot be read ({error}): it is made again"),
        }
        // If it stays, the next run finds out, too.
        let _ = std::fs::remove_file(&self.path);
        false
    }

    /// Whether the file is what its name says. A process looks once: a sweep's runs take the same.
    fn is_whole(&self) -> io::Result<bool> {
        static GOOD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        // What a thread that panicked has left of a set is a set.
        let good = || GOOD.lock().unwrap_or_else(PoisonError::into_inner);
        let identity = identity(&self.path, &self.file.metadata()?);
        if good().contains(&identity) {
            return Ok(true);
        }
        let sum = checksum::of(&self.file)?;
        let stem = self.path.file_stem().and_then(OsStr::to_str);
        let whole = stem.and_then(|stem| stem.split_once('-')) == Some((&self.key, sum.as_str()));
        if whole {
            good().insert(identity);
        }
        Ok(whole)
    }
}

/// The snapshot's file with this key.
fn named(directory: &Path, key: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths.find(|path| path.extension() == Some(OsStr::new(EXTENSION)) && key_of(path) == Some(key))
}

fn key_of(path: &Path) -> Option<&str> {
    Some(path.file_stem()?.to_str()?.split_once('-')?.0)
}

/// Puts a snapshot into `directory`, under its key and its checksum, once all of it is on the disk.
fn keep(snapshot: &File, directory: &Path, key: &str) -> io::Result<()> {
    let file = nameless(directory)?;
    let mut sum = checksum::Sum::default();
    let length = checksum::chunks(snapshot, |at, chunk| {
        sum.add(at, chunk);
        file.write_all_at(chunk, at)
    })?;
    file.set_len(length)?;
    let name = format!("{key}-{}.{EXTENSION}", sum.finish(length));
    file.sync_all()?;
    // Somebody else may have been faster, with another of the same.
    if named(directory, key).is_none() {
        let open = PathBuf::from(qemu::path(file.as_raw_fd()));
        let path = directory.join(name);
        match linkat(AT_FDCWD, &open, AT_FDCWD, &path, AtFlags::AT_SYMLINK_FOLLOW) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    prune(directory)
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
    cache::keep_latest(directory, KEEP, |path| {
        path.extension() == Some(OsStr::new(EXTENSION))
    })
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
    let mut parts = launch(config, none, start)?.arguments;
    parts.extend(emulator());
    parts.push(root::identity(config)?);
    let digest = Sha256::digest(parts.join("\n"));
    Ok(hex(&digest[..16]))
}

/// What tells this machine's emulator from another one. `None` if there is none on `PATH`.
pub(crate) fn emulator() -> Option<String> {
    let (path, metadata) = on_path(QEMU, std::env::var_os("PATH"))?;
    Some(identity(&path, &metadata))
}

/// What tells a file from any other on this machine.
pub(crate) fn identity(path: &Path, metadata: &Metadata) -> String {
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

    fn kept(directory: &Path, key: &str) -> Option<File> {
        let kept = Kept::open(directory, key)?;
        kept.is_good().then_some(kept.file)
    }

    /// What stands for a snapshot: some data, and holes.
    fn stopped() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(2 << 20).unwrap();
        for at in [0, 1 << 20, (2 << 20) - 9] {
            file.write_all_at(b"memory", at).unwrap();
        }
        file
    }

    #[test]
    fn a_snapshot_is_kept_whole_with_its_holes_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let into = directory.path().join("not/there/yet");
        assert!(kept(&into, "key").is_none());
        keep(&stopped(), &into, "key").unwrap();
        keep(&stopped(), &into, "key").unwrap();
        assert_eq!(std::fs::read_dir(&into).unwrap().count(), 1);
        let found = kept(&into, "key").unwrap();
        assert!(found.metadata().unwrap().blocks() * 512 < 1 << 20, "holes");
        assert_eq!(
            checksum::of(&found).unwrap(),
            checksum::of(&stopped()).unwrap()
        );
        assert!(kept(&into, "other").is_none());
    }

    #[test]
    fn a_snapshot_that_is_damaged_anywhere_or_cut_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let into = directory.path();
        keep(&stopped(), into, "key").unwrap();
        let path = named(into, "key").unwrap();
        let good = directory.path().join("good");
        std::fs::rename(&path, &good).unwrap();
        let length = stopped().metadata().unwrap().len();
        let mut place = 1u64;
        for attempt in 0..100 {
            std::fs::copy(&good, &path).unwrap();
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            // Places as random as they need be.
            place = place
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1)
                % length;
            match attempt % 4 {
                0 => file.set_len(place).unwrap(),
                _ => file.write_all_at(b"damage", place).unwrap(),
            }
            assert!(kept(into, "key").is_none(), "at {place}");
            assert!(!path.exists());
        }
    }

    #[test]
    fn where_nothing_can_be_kept_that_is_an_error_and_no_more() {
        assert!(keep(&stopped(), Path::new("/proc/snapshots"), "key").is_err());
        assert!(kept(Path::new("/proc/snapshots"), "key").is_none());
    }
}
