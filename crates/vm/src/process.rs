//! An emulator, QEMU or a User-Mode Linux, as a child process that cannot outlive us.

use std::fs::File;
use std::io::{self, PipeReader, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::oneshot;

use crate::VmError;
use crate::place::Place;

/// A file in memory that a child can open as `/proc/self/fd/N`.
#[derive(Debug)]
pub(crate) struct Memory(File);

impl Memory {
    pub(crate) fn new(name: &str) -> Result<Memory, VmError> {
        memfd_create(name, MFdFlags::MFD_CLOEXEC)
            .map(|fd| Memory(File::from(fd)))
            .map_err(VmError::sys("make the memory file", name))
    }

    /// A file that holds `bytes`.
    pub(crate) fn of(name: &str, bytes: &[u8]) -> Result<Memory, VmError> {
        let memory = Memory::new(name)?;
        memory
            .file()
            .write_all(bytes)
            .map_err(VmError::io("write", name))?;
        Ok(memory)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(crate) fn file(&self) -> &File {
        &self.0
    }

    pub(crate) fn into_file(self) -> File {
        self.0
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.metadata().map_or(0, |m| m.len())
    }

    /// What was written from `offset` on.
    pub(crate) fn read_from(&self, offset: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len().saturating_sub(offset) as usize];
        self.0.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.read_from(0).unwrap_or_default()).replace('\r', "")
    }
}

/// What is started, and what it has of ours.
#[derive(Debug)]
pub(crate) struct Launch {
    /// A path, or a name to be found on `PATH`.
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// All that its environment shall have; `None`: what ours has.
    pub environment: Option<Vec<(&'static str, String)>>,
    pub descriptors: Descriptors,
    /// What to do if the program is not there.
    pub remedy: &'static str,
}

/// Open files that a child inherits.
#[derive(Debug)]
pub(crate) enum Descriptors {
    /// With the numbers that they have here.
    Kept(Vec<RawFd>),
    /// The first as [`FIRST`], and so on: the numbers take a part in what the child does.
    Numbered(Vec<RawFd>),
}

/// As many as there can be of [`Descriptors::Numbered`].
const MOST_NUMBERED: usize = 8;
/// The number of the first of them, behind the standard streams.
pub(crate) const FIRST: RawFd = 3;

/// A running emulator; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Emulator {
    pidfd: OwnedFd,
    /// What its threads have had of the processors.
    processor_time: Option<ClockId>,
    _place: Option<Place>,
    /// Arrives when it has ended and has been waited for.
    pub(crate) ended: oneshot::Receiver<io::Result<ExitStatus>>,
}

impl Emulator {
    /// Starts it, its standard error into `stderr`; on `place` alone if it has one.
    pub(crate) fn start(
        launch: Launch,
        stdin: PipeReader,
        stderr: &File,
        place: Option<Place>,
    ) -> Result<Emulator, VmError> {
        let program = launch.program.display().to_string();
        let stderr = stderr
            .try_clone()
            .map_err(VmError::io("duplicate", "the emulator's standard error"))?;
        let mut command = Command::new(&launch.program);
        if let Some(environment) = launch.environment {
            command.env_clear().envs(environment);
        }
        command
            .args(launch.arguments)
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(stderr);
        let held = match &launch.descriptors {
            Descriptors::Kept(_) => Ok(Vec::new()),
            Descriptors::Numbered(inherit) => held(FIRST + inherit.len() as RawFd),
        };
        let held = held.map_err(VmError::io("open", "/dev/null"))?;
        let processors = place.as_ref().and_then(Place::set);
        // SAFETY: the closure only makes system calls that are safe between fork and exec.
        unsafe {
            command.pre_exec(move || prepare_child(&launch.descriptors, processors.as_ref()))
        };

        // PR_SET_PDEATHSIG fires when the *thread* that forked ends, and a thread of an
        // async runtime may end before the runtime does: this one waits for the child.
        let (started, start) = std::sync::mpsc::sync_channel(1);
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("emulator".into())
            .spawn(move || {
                let mut child = match command.spawn() {
                    Ok(child) => child,
                    Err(e) => {
                        let _ = started.send(Err(e));
                        return;
                    }
                };
                let pid = rustix::process::Pid::from_child(&child);
                let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from);
                if pidfd.is_err() {
                    let _ = child.kill();
                }
                let clock = clock_getcpuclockid(Pid::from_raw(pid.as_raw_pid())).ok();
                let _ = started.send(pidfd.map(|pidfd| (pidfd, clock)));
                // The receiver is gone when the run was dropped: the child is reaped anyway.
                let _ = end.send(child.wait());
            })
            .map_err(VmError::io("start", "a thread for the emulator"))?;
        let known = start
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("its thread died")));
        drop(held);
        let (pidfd, processor_time) = known.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => VmError::Tool {
                command: program.clone(),
                reason: format!("not found; {}", launch.remedy),
            },
            io::ErrorKind::PermissionDenied => VmError::Tool {
                command: program.clone(),
                reason: format!(
                    "may not be executed: is it on a file system without `noexec`? {}",
                    launch.remedy
                ),
            },
            _ => VmError::io("start", &program)(e),
        })?;
        Ok(Emulator {
            pidfd,
            processor_time,
            _place: place,
            ended,
        })
    }

    /// What it has had of the processors until now; zero if the kernel does not say. Of a User-Mode Linux that is its kernel's
    /// part: what runs on it are processes of their own.
    pub(crate) fn processor_time(&self) -> Duration {
        let told = self.processor_time.and_then(|clock| clock.now().ok());
        told.map_or(Duration::ZERO, Duration::from)
    }

    pub(crate) fn kill(&self) {
        self.send(Signal::KILL);
    }

    /// Has it stand still, or go on. What runs on a User-Mode Linux are processes of their own, which wait for it whenever
    /// their kernel is at work, and are no more than their next system call ahead.
    pub(crate) fn halt(&self, halt: bool) {
        self.send(if halt { Signal::STOP } else { Signal::CONT });
    }

    fn send(&self, signal: Signal) {
        // Fails only when it has ended already.
        let _ = pidfd_send_signal(self.pidfd.as_fd(), signal);
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.kill();
    }
}

fn prepare_child(descriptors: &Descriptors, processors: Option<&CpuSet>) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    if let Some(processors) = processors {
        sched_setaffinity(Pid::from_raw(0), processors)?;
    }
    match descriptors {
        Descriptors::Kept(inherit) => inherit.iter().try_for_each(|&fd| {
            // SAFETY: F_SETFD on a descriptor that the parent keeps open over the fork.
            made(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }).map(drop)
        }),
        Descriptors::Numbered(inherit) => number(inherit),
    }
}

/// Has something here at every number from [`FIRST`] to `behind`, and gives what it took for that: the pipe by which
/// a child that cannot execute its program says so must not be at one of them.
fn held(behind: RawFd) -> io::Result<Vec<File>> {
    let mut held = Vec::new();
    loop {
        let null = File::open("/dev/null")?;
        if null.as_raw_fd() >= behind {
            return Ok(held);
        }
        held.push(null);
    }
}

/// Gives descriptors the numbers from [`FIRST`] on; what is there is the child's own copy of something.
fn number(inherit: &[RawFd]) -> io::Result<()> {
    debug_assert!(inherit.len() <= MOST_NUMBERED);
    let behind = FIRST + inherit.len() as RawFd;
    // First out of the way: a number that one shall have may be another's.
    let aside = |fd| {
        // SAFETY: F_DUPFD on a descriptor that the parent keeps open over the fork.
        made(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, behind) })
    };
    let mut moved = [0; MOST_NUMBERED];
    for (to, &fd) in moved.iter_mut().zip(inherit) {
        *to = aside(fd)?;
    }
    (FIRST..behind).zip(moved).try_for_each(|(number, fd)| {
        // SAFETY: both are descriptors, and a closed target is one, too.
        made(unsafe { libc::dup2(fd, number) }).map(drop)
    })
}

fn made(result: libc::c_int) -> io::Result<RawFd> {
    match result {
        0.. => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has a command's child end when the thread does that started it, however that ends.
pub(crate) fn ends_with_us(command: &mut Command) {
    let prepare = || {
        Ok(nix::sys::prctl::set_pdeathsig(
            nix::sys::signal::Signal::SIGKILL,
        )?)
    };
    // SAFETY: the closure only makes a system call that is safe between fork and exec.
    unsafe { command.pre_exec(prepare) };
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn launch(program: &str, files: &[&Memory]) -> Launch {
        Launch {
            program: program.into(),
            arguments: vec!["-c".into(), "echo three >&3; echo four >&4".into()],
            environment: Some(Vec::new()),
            descriptors: Descriptors::Numbered(files.iter().map(|file| file.fd()).collect()),
            remedy: "build it",
        }
    }

    #[test]
    fn what_a_child_inherits_by_number_is_where_it_is_expected_also_crosswise() {
        let [a, b, stderr] = ["a", "b", "stderr"].map(|name| Memory::new(name).unwrap());
        for (files, texts) in [
            ([&a, &b], ["three\n", "four\n"]),
            ([&b, &a], ["three\nfour\n", "four\nthree\n"]),
        ] {
            let (stdin, _alive) = io::pipe().unwrap();
            let emulator = Emulator::start(launch("/bin/sh", &files), stdin, stderr.file(), None);
            let ended = emulator.unwrap();
            let status = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let mut ended = ended;
            let status = status.block_on(&mut ended.ended).unwrap().unwrap();
            assert!(status.success(), "{status}: {}", stderr.text());
            assert_eq!([a.text(), b.text()], texts);
        }
    }

    #[test]
    fn a_program_that_is_not_there_or_may_not_be_executed_is_told_with_the_remedy() {
        let memory = Memory::new("a").unwrap();
        for program in ["/nonexistent/linux", "/etc/passwd"] {
            assert!(Path::new(program).exists() == (program == "/etc/passwd"));
            let (stdin, _alive) = io::pipe().unwrap();
            let error = Emulator::start(launch(program, &[&memory]), stdin, memory.file(), None);
            let error = error.unwrap_err().to_string();
            assert!(error.contains("build it"), "{error}");
        }
    }
}
