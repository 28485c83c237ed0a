//! The kinds of object that a run owns, and how each is removed.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, Signal as PidfdSignal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// What a killed process may take to be gone, in milliseconds.
const DEATH_MS: u16 = 10_000;

/// Something that outlives a killed run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "object", rename_all = "snake_case")]
pub enum Object {
    /// An hwsim radio.
    Radio {
        /// Its id at `MAC802154_HWSIM`.
        id: u32,
    },
    /// A network namespace held by a bind mount. What still runs in it goes with it: a process
    /// that a program of the run left behind would keep it alive.
    Namespace {
        /// Where it is mounted.
        path: PathBuf,
    },
    /// A process.
    Process {
        /// Its id.
        pid: i32,
        /// Its start time in clock ticks (`/proc/PID/stat`, field 22), so that a process
        /// which got the number later is left alone.
        started: u64,
    },
    /// A file or a directory with all that is in it.
    Path {
        /// Where.
        path: PathBuf,
    },
}

impl Object {
    /// The running process `pid`.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn process(pid: u32) -> io::Result<Object> {
        let pid = i32::try_from(pid).map_err(io::Error::other)?;
        Ok(Object::Process {
            pid,
            started: start_time(pid)?,
        })
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Radio { id } => write!(f, "radio {id}"),
            Object::Namespace { path } => write!(f, "namespace {}", path.display()),
            Object::Process { pid, .. } => write!(f, "process {pid}"),
            Object::Path { path } => write!(f, "path {}", path.display()),
        }
    }
}

/// Removes what needs more than the file system.
pub trait Remover {
    /// Deletes hwsim radio `id`; a radio that does not exist is success.
    ///
    /// # Errors
    /// The reason in words.
    fn remove_radio(&mut self, id: u32) -> Result<(), String>;
}

/// For owners that never make radios: refuses.
#[derive(Debug)]
pub struct RemoveNoRadios;

impl Remover for RemoveNoRadios {
    fn remove_radio(&mut self, _: u32) -> Result<(), String> {
        Err("this kind of run owns no radios".into())
    }
}

impl Object {
    /// Removes the object. One that is gone already is success.
    pub(crate) fn remove(&self, remover: &mut dyn Remover) -> Result<(), String> {
        match self {
            Object::Radio { id } => remover.remove_radio(*id),
            Object::Namespace { path } => {
                end_inhabitants(path)?;
                remove_mount(path)
            }
            Object::Process { pid, started } => end_process(*pid, *started),
            Object::Path { path } => remove_path(path),
        }
    }
}

fn remove_mount(path: &Path) -> Result<(), String> {
    use nix::errno::Errno;
    match umount2(path, MntFlags::MNT_DETACH) {
        // EINVAL: the file is there but nothing was mounted yet.
        Ok(()) | Err(Errno::ENOENT | Errno::EINVAL) => remove_path(path),
        Err(errno) => Err(format!("unmount: {errno}")),
    }
}

fn remove_path(path: &Path) -> Result<(), String> {
    let gone = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match gone {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Field 22 of `/proc/PID/stat`; the fields are counted behind the last `)`, because the
/// command name may hold anything.
fn start_time(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest);
    after_name
        .and_then(|rest| rest.split_whitespace().nth(19))
        .and_then(|ticks| ticks.parse().ok())
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has no start time")))
}

/// Kills the process if it is still the one recorded. The pidfd is opened before the start
/// time is compared, so the number cannot change hands in between.
fn end_process(pid: i32, started: u64) -> Result<(), String> {
    let Some(raw) = rustix::process::Pid::from_raw(pid) else {
        return Err(format!("{pid} is not a process id"));
    };
    let Ok(fd) = pidfd_open(raw, PidfdFlags::empty()) else {
        return Ok(());
    };
    match start_time(pid) {
        Ok(found) if found == started => {}
        _ => return Ok(()),
    }
    kill_and_wait(&fd)
}

/// Kills the process and waits until it is gone: only then are its files and sockets.
fn kill_and_wait(process: &OwnedFd) -> Result<(), String> {
    match pidfd_send_signal(process, PidfdSignal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(errno) => return Err(format!("kill: {errno}")),
    }
    let mut gone = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    match poll(&mut gone, PollTimeout::from(DEATH_MS)) {
        Ok(1..) => Ok(()),
        Ok(_) => Err("it was killed and does not end".into()),
        Err(errno) => Err(format!("wait for its end: {errno}")),
    }
}

/// Kills every process in the network namespace that is mounted at `path`, and those that
/// they start meanwhile.
fn end_inhabitants(path: &Path) -> Result<(), String> {
    let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
    let own = fs::metadata("/proc/self/ns/net").map(identity).ok();
    let namespace = match fs::metadata(path).map(identity) {
        Ok(namespace) if Some(namespace) != own => namespace,
        _ => return Ok(()),
    };
    // A process that is dying has no namespace any more.
    let lives_there = |pid: i32| {
        fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|its| identity(its) == namespace)
    };
    loop {
        let mut alive = false;
        for entry in fs::read_dir("/proc").map_err(|e| format!("/proc: {e}"))? {
            let name = entry.map_err(|e| format!("/proc: {e}"))?.file_name();
            let Some(pid) = name.to_str().and_then(|n| n.parse().ok()) else {
                continue;
            };
            if !lives_there(pid) {
                continue;
            }
            let Some(Ok(fd)) =
                rustix::process::Pid::from_raw(pid).map(|p| pidfd_open(p, PidfdFlags::empty()))
            else {
                continue;
            };
            // Asked again, now that the number cannot change hands.
            if lives_there(pid) {
                kill_and_wait(&fd).map_err(|reason| format!("process {pid} in it: {reason}"))?;
                alive = true;
            }
        }
        if !alive {
            return Ok(());
        }
    }
}

/// Whether a process with this number exists.
pub(crate) fn is_running(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None::<Signal>).is_ok()
}
