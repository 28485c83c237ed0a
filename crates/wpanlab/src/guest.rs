//! The same testbed as the first process of a VM.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rundir::RunDir;
use serde::{Deserialize, Serialize};
use testbed::{ProgramHome, Progress};
use topology::Plan;
use vm::{Clock, guest::Guest};

use crate::backend;
use crate::cli::ClockArg;

/// Where the guest fills its run directory.
const RESULTS: &str = "/run/results";
/// Where the host's file system is for programs of the user's.
const HOST_ROOT: &str = "/host";
/// A file of the results that says why the run failed; absent when it did not.
pub const ERROR_FILE: &str = "error.txt";

/// What the host wants the guest to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// The resolved plan.
    plan: String,
    /// The clock's name, for the result.
    clock: String,
    /// The surroundings on the host of programs of the user's, if the plan has any.
    programs: Option<HostShell>,
}

/// Where the host's `wpanlab` was started, and its `PATH`.
#[derive(Debug, Serialize, Deserialize)]
struct HostShell {
    directory: PathBuf,
    path: OsString,
}

impl Job {
    /// Runs `plan` under `clock`, its programs as if started from here.
    ///
    /// # Errors
    /// The current directory is gone.
    pub fn new(plan: &Plan, clock: Clock) -> Result<Job> {
        let clock = match clock {
            Clock::Virtual => ClockArg::Virtual,
            Clock::Realtime => ClockArg::Realtime,
        };
        let programs = if backend::has_programs(plan) {
            Some(HostShell {
                directory: std::env::current_dir().context("the current directory")?,
                path: std::env::var_os("PATH").unwrap_or_default(),
            })
        } else {
            None
        };
        Ok(Job {
            plan: plan.to_yaml(),
            clock: clock.name().into(),
            programs,
        })
    }
}

/// Sets the guest up, does the job, hands the results to the host and powers off.
pub fn main() -> ! {
    let guest = match vm::guest::setup() {
        Ok(guest) => vm::guest::answer_probe(guest),
        Err(error) => panic!("guest setup: {error:#}"),
    };
    let results = Path::new(RESULTS);
    let code = match work(&guest, results) {
        Ok(()) => 0,
        Err(error) => {
            let text = format!("{error:#}");
            eprintln!("wpanlab: {text}");
            // The console has it too, should the file not be writable.
            let _ = std::fs::write(results.join(ERROR_FILE), text);
            i32::from(crate::RUN_FAILED)
        }
    };
    guest.finish(results, code)
}

fn work(guest: &Guest, results: &Path) -> Result<()> {
    std::fs::create_dir_all(results).context(RESULTS)?;
    let job: Job = serde_json::from_slice(guest.job()).context("the host's job")?;
    let plan = Plan::from_yaml(&job.plan).context("the job's plan")?;
    let program_home = job.programs.map(|shell| ProgramHome {
        root: HOST_ROOT.into(),
        directory: shell.directory,
        path: shell.path,
    });
    if let Some(home) = &program_home {
        guest
            .mount_host_root(&home.root)
            .context("the host's file system")?;
    }
    let mut progress = |progress: Progress| {
        if let Ok(line) = serde_json::to_string(&progress) {
            guest.progress(&line);
        }
    };
    let options = testbed::Options {
        run_dir: RunDir::new(results),
        binary: "/proc/self/exe".into(),
        state_root: "/run/wpanlab".into(),
        facts: backend::facts("vm", &job.clock)?,
        program_home,
        progress: &mut progress,
    };
    crate::runtime()?.block_on(testbed::run(&plan, options))
}
