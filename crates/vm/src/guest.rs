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
mod port;
mod system;

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::input::{self, Input, SEED_BYTES};
use crate::qemu::{
    EXIT_PORT, EXIT_VALUE, GUEST_MARK, HOST_ROOT_TAG, INPUT, PAUSE_PORT, PAUSE_VALUE,
    PROGRESS_PORT, RESULTS_PORT, STOP_PORT,
};
use crate::{VmError, results, root};

/// How long a virtio port may take to appear, in guest time.
const PORT_LIMIT: Duration = Duration::from_secs(10);

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
    port: Mutex<()>,
    results: File,
    stop: File,
}

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
    nix::unistd::sethostname("wpanlab").map_err(VmError::sys("set", "the host name"))?;
    system::load_modules(root::AT_START)?;
    system::load_modules(root::FOR_RESULTS)?;
    let results = virtio_port(RESULTS_PORT, OpenOptions::new().write(true))?;
    let stop = virtio_port(STOP_PORT, OpenOptions::new().read(true))?;
    system::loopback_up()?;
    let pause = pause()?;
    let input = fw_cfg::read(INPUT).and_then(|bytes| Input::decode(&bytes));
    let input = input.map_err(VmError::io("read", INPUT))?;
    system::seed_random_numbers(input.seed)?;
    let guest = Guest {
        job: input.job,
        port: Mutex::new(()),
        results,
        stop,
    };
    if guest.job == input::TRIAL {
        guest.progress(&pause.as_nanos().to_string());
        guest.end();
    }
    Ok(guest)
}

/// Where a snapshot is made; how long it took on the guest's clock.
fn pause() -> Result<Duration, VmError> {
    let before = Instant::now();
    // Without a snapshot in the making, nothing listens at that port.
    let failed = VmError::io("write to", "the port that pauses the VM");
    port::write_bytes(PAUSE_PORT, &[PAUSE_VALUE]).map_err(failed)?;
    Ok(before.elapsed())
}

impl Guest {
    /// What the host gave as [`crate::VmConfig::job`].
    pub fn job(&self) -> &[u8] {
        &self.job
    }

    /// Tells the host a line (line feeds become spaces). It costs the guest a few
    /// nanoseconds a byte and no interrupt, so it does not disturb what is measured.
    pub fn progress(&self, line: &str) {
        // A poisoned lock means that another thread panicked between two bytes.
        let _whole_lines = self.port.lock().unwrap_or_else(|e| e.into_inner());
        let mut bytes: Vec<u8> = line
            .bytes()
            .map(|b| if b == b'\n' { b' ' } else { b })
            .collect();
        bytes.push(b'\n');
        if let Err(e) = port::write_bytes(PROGRESS_PORT, &bytes) {
            eprintln!("progress port: {e}");
        }
    }

    /// From now on this process gets SIGINT when the host wants the guest to stop
    /// ([`crate::run_until`]), again and again: `/init` ignores it while nothing handles it.
    ///
    /// # Errors
    /// No thread can be started that waits for it.
    pub fn interrupt_when_asked(&self) -> Result<(), VmError> {
        let failed = |source| VmError::io("start", "the thread that waits for the host")(source);
        let mut stop = self.stop.try_clone().map_err(failed)?;
        let wait = move || {
            // Nothing is ever sent; what ends the waiting is that the host closes the port.
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
        system::mount(
            HOST_ROOT_TAG,
            at,
            "9p",
            nix::mount::MsFlags::MS_RDONLY,
            "trans=virtio,version=9p2000.L,msize=262144,cache=loose",
        )
    }

    /// Sends every regular file under a directory, and the exit code, to the host and ends
    /// the VM. Everything is lost if it fails: then `/init` exits, which the host sees as a
    /// panic.
    pub fn finish(self, results: &Path, exit_code: i32) -> ! {
        // The driver moves at most 32 KiB at a time, each with an exit to the host.
        let port = BufWriter::with_capacity(32 << 10, &self.results);
        if let Err(e) = results::write(results, exit_code, port) {
            let e = VmError::io("send", results.display())(e);
            eprintln!("wpanlab guest: {e}");
            std::process::exit(1);
        }
        self.end()
    }

    fn end(self) -> ! {
        if let Err(e) = port::write_bytes(EXIT_PORT, &[EXIT_VALUE]) {
            eprintln!("wpanlab guest: exit port: {e}");
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

/// A virtio port. The driver learns of it a while after its start, and has its
/// device node made before it can be opened.
fn virtio_port(number: u8, how: &OpenOptions) -> Result<File, VmError> {
    let name = format!("/dev/vport0p{number}");
    let failed = |source| VmError::io("open", &name)(source);
    let deadline = Instant::now() + PORT_LIMIT;
    loop {
        let opened = open_port(&name, how).map_err(failed)?;
        if let Some(port) = opened {
            return Ok(port);
        }
        if Instant::now() > deadline {
            return Err(failed(std::io::ErrorKind::TimedOut.into()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The virtio port if it is there yet.
fn open_port(name: &str, how: &OpenOptions) -> std::io::Result<Option<File>> {
    let not_yet = |error: &std::io::Error| {
        error.kind() == std::io::ErrorKind::NotFound
            || error.raw_os_error() == Some(Errno::ENXIO as i32)
    };
    match how.open(name) {
        Err(error) if not_yet(&error) => Ok(None),
        opened => opened.map(Some),
    }
}
