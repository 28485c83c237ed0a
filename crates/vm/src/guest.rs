//! The guest's side: what `/init` does before, during and after its work.
//!
//! ```no_run
//! if vm::guest::is_guest() {
//!     let guest = vm::guest::setup().expect("set the guest up");
//!     guest.progress("working");
//!     let results = std::path::Path::new("/run/results");
//!     std::fs::create_dir_all(results).unwrap();
//!     std::fs::write(results.join("answer"), guest.job()).unwrap();
//!     guest.finish(results, 0);
//! }
//! ```

mod fw_cfg;
mod host;
mod port;
mod system;

use std::io::{BufWriter, Read};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use host::Host;

use crate::input::{self, Input, SEED_BYTES};
use crate::qemu::{GUEST_MARK, ON_HOST_LINK};
use crate::{VmError, results, root};

/// All that the thread needs which waits for the host.
const WAITER_STACK: usize = 64 << 10;
/// How often it interrupts a guest that is to stop.
const INTERRUPT_EVERY: Duration = Duration::from_millis(100);

/// Whether this process is the `/init` of a guest that [`crate::run`] booted.
pub fn is_guest() -> bool {
    std::process::id() == 1 && std::env::var_os(GUEST_MARK).is_some()
}

/// The guest after its [setup].
#[derive(Debug)]
pub struct Guest {
    job: Vec<u8>,
    host: Host,
}

/// Neighbours that a guest's kernel remembers: those of all nodes together, each of which may have 1,024.
const NEIGHBOURS: &str = "1048576";

/// Mounts `/proc`, `/sys`, `/dev`, `/run` and `/tmp`, goes on as a copy of this program in large
/// pages (it is executed again), names the host, loads the modules, opens the
/// results' port and brings the loopback link up; then takes the job, and seeds the kernel's random numbers with
/// what came with it. A [snapshot](crate::VmConfig::snapshots) is made just before the job.
///
/// # Errors
/// Names the step that failed. `/init` should end then: the kernel panics, and the host
/// shows the console.
pub fn setup() -> Result<Guest, VmError> {
    if !system::is_in_large_pages() {
        system::mount_all()?;
        system::go_on_in_large_pages()?;
    }
    // Whoever wants random numbers before there is a seed must not wait for it.
    system::seed_random_numbers([0; SEED_BYTES])?;
    // A guest without memory must end, not limp on without one of its processes.
    system::write_sysctl("vm/panic_on_oom", "1")?;
    // Each radio has two threads of the kernel's, and a node that may use sixteen channels has seventeen radios.
    system::write_sysctl("kernel/pid_max", "4194304")?;
    // A kernel has one table of neighbours for all of its namespaces, and of 1,024 at most. Each node would have one of its own.
    for threshold in ["gc_thresh3", "gc_thresh2", "gc_thresh1"] {
        let path = format!("net/ipv6/neigh/default/{threshold}");
        system::write_sysctl(&path, NEIGHBOURS)?;
    }
    nix::unistd::sethostname("wpanlab").map_err(VmError::sys("set", "the host name"))?;
    system::load_modules(root::AT_START)?;
    system::load_modules(root::FOR_RESULTS)?;
    let host = Host::open()?;
    system::loopback_up()?;
    let pause = host.pause()?;
    let input = Input::decode(&host.input()?);
    let input = input.map_err(VmError::io("read", "what the host gave"))?;
    system::seed_random_numbers(input.seed)?;
    let guest = Guest {
        job: input.job,
        host,
    };
    if guest.job == input::TRIAL {
        guest.progress(&pause.as_nanos().to_string());
        guest.end();
    }
    Ok(guest)
}

impl Guest {
    /// What the host gave as [`crate::VmConfig::job`].
    pub fn job(&self) -> &[u8] {
        &self.job
    }

    /// Tells the host a line (line feeds become spaces). It costs the guest a few
    /// nanoseconds a byte in QEMU, a system call in a User-Mode Linux, and no interrupt, so it does not
    /// disturb what is measured.
    pub fn progress(&self, line: &str) {
        let mut bytes: Vec<u8> = line
            .bytes()
            .map(|b| if b == b'\n' { b' ' } else { b })
            .collect();
        bytes.push(b'\n');
        if let Err(e) = self.host.progress(&bytes) {
            eprintln!("progress: {e}");
        }
    }

    /// From now on this process gets SIGINT when the host wants the guest to stop
    /// ([`crate::run_until`]), again and again: `/init` ignores it while nothing handles it.
    ///
    /// In User-Mode Linux it is asked after its first line of [progress](Guest::progress).
    ///
    /// # Errors
    /// No thread can be started that waits for it.
    pub fn interrupt_when_asked(&self) -> Result<(), VmError> {
        let failed = |source| VmError::io("start", "the thread that waits for the host")(source);
        let mut stop = self.host.stop().map_err(failed)?;
        let wait = move || {
            // Nothing is ever sent; what ends the waiting is that the host closes its end.
            while matches!(stop.read(&mut [0]), Ok(1..)) {}
            loop {
                // The process is there.
                let _ = kill(Pid::this(), Signal::SIGINT);
                std::thread::sleep(INTERRUPT_EVERY);
            }
        };
        let thread = std::thread::Builder::new().name("stop".into());
        thread
            .stack_size(WAITER_STACK)
            .spawn(wait)
            .map(drop)
            .map_err(failed)
    }

    /// Mounts the host's root, read-only, at a directory, which is made if need be.
    ///
    /// # Errors
    /// The host does not share it ([`crate::VmConfig::share_host_root`]).
    pub fn mount_host_root(&self, at: &Path) -> Result<(), VmError> {
        system::load_modules(root::FOR_HOST_ROOT)?;
        std::fs::create_dir_all(at).map_err(VmError::io("make", at.display()))?;
        self.host.mount_root(at)
    }

    /// Brings up the link to the host, `eth0` of this namespace. What the host [forwards](crate::VmConfig::forwards) comes by it.
    ///
    /// # Errors
    /// The host forwards nothing.
    pub fn link_to_host(&self) -> Result<(), VmError> {
        system::load_modules(root::FOR_HOST_LINK)?;
        system::ethernet_up("eth0", ON_HOST_LINK)
    }

    /// Sends every regular file under a directory, and the exit code, to the host and ends
    /// the VM. Everything is lost if it fails: then `/init` exits, which the host sees as a
    /// panic.
    pub fn finish(self, results: &Path, exit_code: i32) -> ! {
        // The driver moves at most 32 KiB at a time, each with an exit to the host.
        let port = BufWriter::with_capacity(32 << 10, self.host.results());
        if let Err(e) = results::write(results, exit_code, port) {
            let e = VmError::io("send", results.display())(e);
            eprintln!("wpanlab guest: {e}");
            std::process::exit(1);
        }
        self.end()
    }

    fn end(self) -> ! {
        if let Err(e) = self.host.switch_off() {
            eprintln!("wpanlab guest: switch off: {e}");
        }
        std::process::exit(1)
    }
}

/// Ends the VM at once if all that the host wants is to know whether it runs
/// ([`crate::probe::kvm_works`]). Otherwise gives the guest back.
pub fn answer_probe(guest: Guest) -> Guest {
    if guest.job == crate::probe::JOB {
        guest.finish(Path::new("/wpanlab/modules"), 0);
    }
    guest
}
