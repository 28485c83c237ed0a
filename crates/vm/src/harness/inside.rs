//! The guest's half: each test in a process of its own.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, setpgid};

use super::{Event, HOST_ROOT, Harness, Job, Test, output_file};
use crate::VmError;
use crate::guest::{self, Guest};

const RESULTS: &str = "/run/wpanlab-tests";
/// Exit status of a process whose test panicked, as libtest's.
const PANICKED: i32 = 101;

pub(super) fn run(harness: &Harness, tests: &[Test]) -> ! {
    let guest = match start(harness) {
        Ok(guest) => guest,
        Err(e) => fail(&e.to_string()),
    };
    let job: Job = match serde_json::from_slice(guest.job()) {
        Ok(job) => job,
        Err(e) => fail(&format!("the job: {e}")),
    };
    for (name, value) in job.environment {
        // SAFETY: this process has one thread.
        unsafe { std::env::set_var(name, value) };
    }
    let mut failures = 0;
    for index in job.tests {
        report(&guest, &Event::Started(index));
        let outcome = match tests.get(index) {
            Some((_, test)) => run_one(harness, index, *test),
            None => Err("no such test".into()),
        };
        failures += i32::from(outcome.is_err());
        report(&guest, &Event::Ended(index, outcome));
    }
    guest.finish(Path::new(RESULTS), failures)
}

fn start(harness: &Harness) -> Result<Guest, VmError> {
    let guest = guest::setup()?;
    // Only a blocked signal can be waited for.
    child_signals()
        .thread_block()
        .map_err(VmError::sys("block", "SIGCHLD"))?;
    std::fs::create_dir_all(RESULTS).map_err(VmError::io("make", RESULTS))?;
    if harness.share_host_root {
        guest.mount_host_root(Path::new(HOST_ROOT))?;
    }
    Ok(guest)
}

/// The end of `/init` is a kernel panic, which carries the words to the host.
fn fail(reason: &str) -> ! {
    eprintln!("test guest: {reason}");
    std::process::exit(1)
}

fn report(guest: &Guest, event: &Event) {
    match serde_json::to_string(event) {
        Ok(line) => guest.progress(&line),
        Err(e) => fail(&e.to_string()),
    }
}

fn run_one(harness: &Harness, index: usize, test: fn()) -> Result<(), String> {
    let path = Path::new(RESULTS).join(output_file(index));
    let output = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    // SAFETY: this process has one thread, so the child may do all that it could.
    match unsafe { fork() } {
        Err(e) => Err(format!("fork: {e}")),
        Ok(ForkResult::Child) => child(&output, test),
        Ok(ForkResult::Parent { child }) => {
            // Done on both sides, as a shell does: whoever comes first. ESRCH, EACCES: over.
            let _ = setpgid(child, child);
            let outcome = wait(child, harness.test_limit);
            // What the test left running would disturb the next one.
            let _ = kill(Pid::from_raw(-child.as_raw()), Signal::SIGKILL);
            outcome
        }
    }
}

fn child(output: &File, test: fn()) -> ! {
    let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    let prepared = nix::unistd::dup2_stdout(output.as_fd())
        .and_then(|()| nix::unistd::dup2_stderr(output.as_fd()))
        .and_then(|()| child_signals().thread_unblock());
    if let Err(e) = prepared {
        fail(&format!("prepare a test's process: {e}"));
    }
    let status = match std::panic::catch_unwind(test) {
        Ok(()) => 0,
        Err(_) => PANICKED,
    };
    std::process::exit(status)
}

/// Waits for the test's process, reaping every other orphan on the way, as pid 1 must.
fn wait(child: Pid, limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => {
                return match status {
                    0 => Ok(()),
                    PANICKED => Err("panicked".into()),
                    status => Err(format!("exited with status {status}")),
                };
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Err(format!("killed by {signal}"));
            }
            Ok(WaitStatus::StillAlive) => {}
            Ok(_) => continue,
            Err(e) => return Err(format!("wait: {e}")),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!(
                "no end within {} s of guest time",
                limit.as_secs_f64()
            ));
        }
        wait_for_a_child(left);
    }
}

/// Returns when a child has ended, or the time is up: a guest that polled would pay for
/// every look with time that is otherwise skipped.
fn wait_for_a_child(limit: Duration) {
    let limit = nix::sys::time::TimeSpec::from_duration(limit);
    // SAFETY: both pointers are to values that outlive the call; no siginfo is asked for.
    // An error (a timeout, an interruption) leads the caller to look again.
    unsafe {
        libc::sigtimedwait(
            child_signals().as_ref(),
            std::ptr::null_mut(),
            limit.as_ref(),
        );
    }
}

fn child_signals() -> SigSet {
    SigSet::from(Signal::SIGCHLD)
}
