//! Tests that run inside a guest, for test files with `harness = false`.
//!
//! On the host, [`main`] is a test program as `cargo test` and nextest know them: it lists,
//! filters and prints like libtest. It boots one VM with itself as `/init`; there the
//! selected tests run one after the other, each in a process of its own, and their outcomes
//! and output come back.
//!
//! ```no_run
//! fn modules_are_loaded() {
//!     let modules = std::fs::read_to_string("/proc/modules").unwrap();
//!     assert!(modules.contains("mac802154_hwsim"));
//! }
//!
//! fn main() {
//!     vm::harness::main(&[("modules_are_loaded", modules_are_loaded)]);
//! }
//! ```
//!
//! `Cargo.toml` of the crate says `[[test]] name = "kernel"`, `harness = false`. The
//! environment variable `WPANLAB_KERNEL` names a kernel of one's own.

mod arguments;
mod inside;
mod outside;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{GuestFile, modules};

/// A test's name and its function.
pub type Test = (&'static str, fn());

/// Runs the tests in a VM with virtual time and the testbed's modules, many in several at once, and exits: 0 when all passed,
/// 101 when one failed, as libtest does.
pub fn main(tests: &[Test]) -> ! {
    Harness::default().main(tests)
}

/// How the tests' VM is made, where the defaults of [`main`] do not do.
#[derive(Clone, Debug)]
pub struct Harness {
    /// The guest's memory in MiB.
    pub memory_mib: u32,
    /// Modules to load.
    pub modules: Vec<String>,
    /// Further files of the guest's root.
    pub files: Vec<GuestFile>,
    /// Mount the host's root, read-only, at [`HOST_ROOT`]: for tests that run the host's
    /// programs.
    pub share_host_root: bool,
    /// Environment variables of the host that the tests see, too, where they are set.
    pub environment: Vec<String>,
    /// What one test may take, in guest time; then it has failed and is killed.
    pub test_limit: Duration,
    /// Wall time of silence after which the VM counts as stuck.
    pub stall_limit: Duration,
}

/// Where a guest finds the host's root if [`Harness::share_host_root`] is set.
pub const HOST_ROOT: &str = "/host";

impl Default for Harness {
    fn default() -> Harness {
        Harness {
            memory_mib: 512,
            modules: modules::TESTBED.iter().map(|m| m.to_string()).collect(),
            files: Vec::new(),
            share_host_root: false,
            environment: Vec::new(),
            test_limit: Duration::from_secs(600),
            stall_limit: Duration::from_secs(120),
        }
    }
}

impl Harness {
    /// See [`main`].
    pub fn main(&self, tests: &[Test]) -> ! {
        if crate::guest::is_guest() {
            inside::run(self, tests)
        }
        std::process::exit(outside::run(self, tests))
    }
}

/// The guest's job.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    /// Which tests to run, by index.
    tests: Vec<usize>,
    /// Names and values of [`Harness::environment`].
    environment: Vec<(String, String)>,
}

/// A line of progress, as JSON.
#[derive(Debug, Serialize, Deserialize)]
enum Event {
    Started(usize),
    /// With the reason of a failure.
    Ended(usize, Result<(), String>),
}

/// The file in the results with a test's output.
fn output_file(test: usize) -> PathBuf {
    PathBuf::from(format!("{test}.output"))
}
