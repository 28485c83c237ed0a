//! What a VM is made of.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Kernel, VmError, modules};

/// What drives the guest's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// What the guest does: in QEMU its own instructions, one nanosecond each, in a User-Mode Linux its
    /// system calls. Idle time is skipped. Two runs with the same inputs agree to the nanosecond.
    Virtual,
    /// The host's clock.
    Realtime,
}

/// What a guest runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// An emulated PC.
    Qemu(Accel),
    /// Processes of the host's: [User-Mode Linux](crate#user-mode-linux).
    Uml(Processor),
}

/// What takes time on a processor that is infinitely fast otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor {
    /// A system call, in the guest's time.
    pub system_call: Duration,
}

impl fmt::Display for Processor {
    /// `10 µs a system call`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} µs a system call",
            self.system_call.as_nanos() as f64 / 1e3
        )
    }
}

impl Default for Processor {
    /// 10 µs a system call: `handover.yaml` has the same handover on it as in QEMU within 4 %.
    fn default() -> Processor {
        Processor {
            system_call: Duration::from_micros(10),
        }
    }
}

/// What executes the instructions of QEMU's guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// QEMU's translator: works everywhere.
    Tcg,
    /// The hypervisor in the host's kernel. Ask [`crate::probe::kvm_works`] first.
    Kvm,
}

/// Where the content of a [`GuestFile`] comes from.
#[derive(Clone, Debug)]
pub enum Content {
    /// A file of the host.
    Host(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// A file that the guest finds in its root.
#[derive(Clone, Debug)]
pub struct GuestFile {
    /// Absolute path in the guest.
    pub guest_path: String,
    /// What is in it.
    pub source: Content,
    /// Permission bits, such as `0o755`.
    pub mode: u32,
}

/// A VM to be booted once.
#[derive(Clone, Debug)]
pub struct VmConfig {
    /// The kernel and its modules.
    pub kernel: Kernel,
    /// What drives the guest's clock.
    pub clock: Clock,
    /// What it runs on.
    pub machine: Machine,
    /// All randomness of the guest derives from it.
    pub seed: u64,
    /// Size of the guest's memory in MiB.
    pub memory_mib: u32,
    /// The program that the guest runs as `/init`; the one that starts quickest is static.
    pub init: PathBuf,
    /// Modules to load at start, beside those that they depend on.
    pub modules: Vec<String>,
    /// Further files of the guest's root.
    pub files: Vec<GuestFile>,
    /// Where to keep [snapshots](crate#snapshots), if the VM is to start from one. `None`: every
    /// run boots. With real time, or [`share_host_root`](Self::share_host_root), every run does.
    pub snapshots: Option<PathBuf>,
    /// Bytes handed to the guest as [`crate::guest::Guest::job`].
    pub job: Vec<u8>,
    /// Offer the host's file system, read-only, to
    /// [`crate::guest::Guest::mount_host_root`]. Reading it takes an unforeseeable time, so
    /// a guest that does is not reproducible.
    pub share_host_root: bool,
    /// The wall time after which a guest without progress, console output or results
    /// counts as stuck.
    pub stall_limit: Duration,
}

impl VmConfig {
    /// A VM with virtual time, seed 1, 512 MiB, the [testbed's modules](modules::TESTBED),
    /// an empty job, no snapshots and a minute of patience.
    pub fn new(kernel: Kernel, init: impl Into<PathBuf>) -> VmConfig {
        VmConfig {
            kernel,
            clock: Clock::Virtual,
            machine: Machine::Qemu(Accel::Tcg),
            seed: 1,
            memory_mib: 512,
            init: init.into(),
            modules: modules::TESTBED.iter().map(|m| m.to_string()).collect(),
            files: Vec::new(),
            snapshots: None,
            job: Vec::new(),
            share_host_root: false,
            stall_limit: Duration::from_secs(60),
        }
    }

    /// # Errors
    /// [`VmError::Config`] for a contradiction.
    pub(crate) fn check(&self) -> Result<(), VmError> {
        let contradiction = match (self.clock, self.machine) {
            (Clock::Virtual, Machine::Qemu(Accel::Kvm)) => {
                "virtual time counts instructions, which KVM cannot: take TCG, or real time"
            }
            (Clock::Realtime, Machine::Uml(_)) => {
                "a User-Mode Linux has virtual time only: take QEMU for real time"
            }
            _ => "",
        };
        if !contradiction.is_empty() {
            return Err(VmError::Config(contradiction.into()));
        }
        if !(128..=65536).contains(&self.memory_mib) {
            return Err(VmError::Config(format!(
                "{} MiB of memory: expected 128 to 65536",
                self.memory_mib
            )));
        }
        Ok(())
    }
}
