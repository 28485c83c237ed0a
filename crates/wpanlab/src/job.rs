//! What the host hands to the guest, and what both say of a run.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rundir::facts::RunFacts;
use serde::{Deserialize, Serialize};
use testbed::Forward;
use topology::Plan;
use vm::Clock;

use crate::cli::{ClockArg, ForwardArg};

/// What the host wants the guest to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// The resolved plan, as far as it is the experiment: what the guest reads takes time of the run.
    #[serde(with = "plan_text")]
    pub plan: Plan,
    /// The clock's name, for the result.
    pub clock: String,
    /// What gets in from the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forwards: Vec<Forward>,
    /// The surroundings on the host of programs of the user's, if the plan has any.
    pub programs: Option<HostShell>,
}

/// Where the host's `wpanlab` was started, and its `PATH`.
#[derive(Debug, Serialize, Deserialize)]
pub struct HostShell {
    /// The directory.
    pub directory: PathBuf,
    /// The search path.
    pub path: OsString,
}

impl Job {
    /// Runs `plan` under `clock`, its programs as if started from here; `forwards` get in at the guest's ports of the same numbers.
    ///
    /// # Errors
    /// The current directory is gone.
    pub fn new(plan: &Plan, clock: Clock, forwards: &[ForwardArg]) -> Result<Job> {
        let clock = match clock {
            Clock::Virtual => ClockArg::Virtual,
            Clock::Realtime => ClockArg::Realtime,
        };
        let programs = if has_programs(plan) {
            Some(HostShell {
                directory: std::env::current_dir().context("the current directory")?,
                path: std::env::var_os("PATH").unwrap_or_default(),
            })
        } else {
            None
        };
        Ok(Job {
            plan: plan.experiment(),
            clock: clock.name().into(),
            forwards: (forwards.iter().map(|f| f.at(Ipv4Addr::UNSPECIFIED))).collect(),
            programs,
        })
    }
}

/// A plan inside a job is its own text, so that one reader of plans serves the guest and its
/// daemons: on an emulated processor what is executed for the first time is what takes long.
mod plan_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use topology::Plan;

    pub fn serialize<S: Serializer>(plan: &Plan, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(&plan.to_json()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Plan, D::Error> {
        let text = String::deserialize(deserializer)?;
        Plan::from_json(text.as_bytes()).map_err(D::Error::custom)
    }
}

/// Whether `plan` runs programs of the user's, which live in this machine's file system.
pub fn has_programs(plan: &Plan) -> bool {
    plan.nodes
        .values()
        .any(|node| node.programs().next().is_some())
}

/// Backend, clock and kernel of this machine, or of the guest that this is.
pub fn facts(backend: &str, clock: &str) -> Result<RunFacts> {
    let system = nix::sys::utsname::uname().context("uname")?;
    Ok(RunFacts {
        backend: backend.into(),
        clock: clock.into(),
        kernel: system.release().to_string_lossy().into_owned(),
        qemu: None,
        processor: None,
        wpanlab_version: env!("CARGO_PKG_VERSION").into(),
    })
}
