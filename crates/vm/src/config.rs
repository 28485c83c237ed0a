//! What a VM is made of.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::quantity::{format_duration, parse_duration};

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

/// What takes time on a processor that is infinitely fast otherwise: a system call, in the guest's time. One of a
/// range takes each call's share of it from the run's seed, so that other seeds have what is done at one instant
/// done in other orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Processor {
    least: Duration,
    most: Duration,
}

impl Processor {
    /// A call that took longer would not be one of any processor: a node's daemon makes a hundred as it starts.
    const LONGEST: Duration = Duration::from_millis(10);

    /// What [`FromStr`] reads as this.
    pub fn option(&self) -> String {
        let [least, most] = [self.least, self.most].map(format_duration);
        match self.least == self.most {
            true => least,
            false => format!("{least}..{most}"),
        }
    }

    /// For the kernel, in nanoseconds: the least, how much more at most, and what that is drawn from.
    pub(crate) fn cost(&self, seed: u64) -> String {
        let least = self.least.as_nanos();
        match (self.most - self.least).as_nanos() {
            0 => least.to_string(),
            more => format!("{least},{more},{seed}"),
        }
    }
}

impl fmt::Display for Processor {
    /// `10 µs a system call`, `1 to 50 µs a system call, by the seed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [least, most] = [self.least, self.most].map(|cost| cost.as_nanos() as f64 / 1e3);
        match self.least == self.most {
            true => write!(f, "{least} µs a system call"),
            false => write!(f, "{least} to {most} µs a system call, by the seed"),
        }
    }
}

impl From<Processor> for String {
    fn from(processor: Processor) -> String {
        processor.option()
    }
}

impl TryFrom<String> for Processor {
    type Error = String;

    fn try_from(text: String) -> Result<Processor, String> {
        text.parse()
    }
}

impl FromStr for Processor {
    type Err = String;

    /// Reads what a system call takes, `10 us`, or between what and what, `1 us..50 us`.
    fn from_str(text: &str) -> Result<Processor, String> {
        let cost = |text: &str| parse_duration(text.trim()).map_err(|e| e.to_string());
        let (least, most) = match text.split_once("..") {
            Some((least, most)) => (cost(least)?, cost(most)?),
            None => (cost(text)?, cost(text)?),
        };
        if least > most || most > Processor::LONGEST {
            return Err(format!(
                "`{text}`: a system call takes {} at most, and a range begins with the least, such as `1 us..50 us`",
                format_duration(Processor::LONGEST)
            ));
        }
        Ok(Processor { least, most })
    }
}

impl Default for Processor {
    /// 10 µs a system call: `handover.yaml` has the same handover on it as in QEMU within 4 %.
    fn default() -> Processor {
        let cost = Duration::from_micros(10);
        Processor {
            least: cost,
            most: cost,
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

/// TCP connections to a port of 127.0.0.1 on the host, which are connections to a port of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The host's port.
    pub host: u16,
    /// The guest's.
    pub guest: u16,
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
    /// What gets in from the host, for a guest that has a [link to it](crate::guest::Guest::link_to_host); nothing gets out. With
    /// real time only: what comes from outside comes at an instant that nobody can repeat.
    pub forwards: Vec<Forward>,
    /// The wall time after which a guest without progress, console output or results counts as stuck; on processors that it
    /// shares, the processor time.
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
            forwards: Vec::new(),
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
            (Clock::Virtual, _) if !self.forwards.is_empty() => {
                "what is forwarded comes in real time: take that, or forward nothing"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_what_a_system_call_takes_or_between_what_and_what() {
        let shown = |text: &str| text.parse().map(|p: Processor| p.to_string());
        assert_eq!(shown("10 us").unwrap(), Processor::default().to_string());
        let drawn = "0.5 to 50 µs a system call, by the seed";
        assert_eq!(shown("500 ns..50 us").unwrap(), drawn);
        assert_eq!(shown("0 s").unwrap(), "0 µs a system call");
        for text in ["10 us", "1.5 us..50 us"] {
            assert_eq!(text.parse::<Processor>().unwrap().option(), text);
        }
        for wrong in ["50 us..1 us", "11 ms", "fast", "1 us..", "-1 us"] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }
}
