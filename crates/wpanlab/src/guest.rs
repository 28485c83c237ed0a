//! The same testbed as the first process of a VM.

use std::path::Path;

use anyhow::{Context, Result};
use rundir::RunDir;
use testbed::{ProgramHome, Progress};
use vm::guest::Guest;

use crate::job::{self, Job};

/// Where the guest fills its run directory.
const RESULTS: &str = "/run/results";
/// Where the host's file system is for programs of the user's.
const HOST_ROOT: &str = "/host";
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
            let dir = RunDir::new(results);
            let _ = dir.files().replace(&dir.error(), text.as_bytes());
            i32::from(crate::failure::RUN_FAILED)
        }
    };
    guest.finish(results, code)
}

fn work(guest: &Guest, results: &Path) -> Result<()> {
    std::fs::create_dir_all(results).context(RESULTS)?;
    let job: Job = serde_json::from_slice(guest.job()).context("the host's job")?;
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
    if !job.forwards.is_empty() {
        guest.link_to_host()?;
    }
    guest.interrupt_when_asked()?;
    let options = testbed::Options {
        run_dir: RunDir::new(results),
        binary: "/proc/self/exe".into(),
        state_root: "/run/wpanlab".into(),
        facts: job::facts("vm", &job.clock)?,
        program_home,
        forwards: job.forwards,
        kernel_ends: true,
        progress: &mut progress,
    };
    crate::runtime()?.block_on(testbed::run(&job.plan, options))
}
