//! The same testbed as the first process of a VM.

use std::path::Path;

use anyhow::{Context, Result};
use rundir::RunDir;
use serde::{Deserialize, Serialize};
use testbed::Progress;
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
    /// Whether the host's file system is to be mounted for programs of the user's.
    host_root: bool,
}

impl Job {
    /// Runs `plan` under `clock`.
    pub fn new(plan: &Plan, clock: Clock) -> Job {
        let clock = match clock {
            Clock::Virtual => ClockArg::Virtual,
            Clock::Realtime => ClockArg::Realtime,
        };
        Job {
            plan: plan.to_yaml(),
            clock: clock.name().into(),
            host_root: backend::has_programs(plan),
        }
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
    let program_root = job.host_root.then(|| Path::new(HOST_ROOT).to_owned());
    if let Some(root) = &program_root {
        guest
            .mount_host_root(root)
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
        program_root,
        progress: &mut progress,
    };
    crate::runtime()?.block_on(testbed::run(&plan, options))
}
