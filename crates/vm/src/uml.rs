//! A User-Mode Linux as a guest's machine.
//!
//! The kernel's command line and environment take a part in what a run is, for the kernel stirs both into its
//! random numbers: the same for every run of a configuration, they hold no path, number of a process or open
//! file that is chance.

mod build;
mod kernel;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, access};

use crate::config::Processor;
use crate::input::Input;
use crate::place::Load;
use crate::process::{Descriptors, FIRST, Launch, Memory};
use crate::qemu::{Channels, GUEST_MARK, Start};
use crate::running::Running;
use crate::{VmConfig, VmError, cache, qemu, root};

pub use build::{Built, build};
pub use kernel::locate;

/// What it is called.
pub(crate) const NAME: &str = "User-Mode Linux";
/// What [`GUEST_MARK`] is in the environment of such a guest's `/init`.
pub(crate) const MARK: &str = "uml";
/// What the guest shall do, in its root.
pub(crate) const INPUT: &str = "/wpanlab/input";
/// The kernel's parameter of what a system call takes.
pub(crate) const COST: &str = "ttcost";
/// Consoles of the guest: lines of progress, results, and the one that the host closes when the guest
/// shall stop.
pub(crate) const PROGRESS: &str = "/dev/tty1";
pub(crate) const RESULTS: &str = "/dev/tty2";
pub(crate) const STOP: &str = "/dev/tty3";
/// The kernel's exit status when its guest has switched itself off.
pub(crate) const EXIT_STATUS: i32 = 0;

/// When the guest's clock starts, as in QEMU: 2020-01-01.
const EPOCH: Duration = Duration::from_secs(1_577_836_800);
/// Where the guest's memory is: a file there that has no name. It is mapped with the right to execute.
const MEMORY_AT: &str = "/dev/shm";

/// Starts a guest with its job.
pub(crate) fn start(config: &VmConfig, load: &Load) -> Result<Running, VmError> {
    can_run()?;
    // It is executed here, as it is in the file.
    config.kernel.check()?;
    let input = Input::new(config.seed, &config.job).encode();
    let initrd = Memory::of("wpanlab-initrd", &root::kept(config)?)?;
    let input = root::single(INPUT, &input)?;
    let added = initrd.file().write_all(&input);
    added.map_err(VmError::io("write", "wpanlab-initrd"))?;
    let start = Start::Boot {
        initrd: initrd.fd(),
        input: initrd.fd(),
    };
    Running::start(config, start, load)
}

/// The kernel's process for one start.
pub(crate) fn launch(
    config: &VmConfig,
    processor: Processor,
    channels: Channels,
    start: Start,
) -> Result<Launch, VmError> {
    let Start::Boot { initrd, .. } = start else {
        let reason = "a User-Mode Linux boots for every run".to_owned();
        return Err(VmError::Config(reason));
    };
    let inherit = vec![
        channels.console,
        channels.progress,
        channels.results,
        initrd,
    ];
    Ok(Launch {
        program: config.kernel.vmlinux.clone(),
        arguments: parameters(config, processor),
        environment: Some(vec![("TMPDIR", MEMORY_AT.into())]),
        descriptors: Descriptors::Numbered(inherit),
        remedy: "`wpanlab vm build-uml` builds it",
    })
}

/// The kernel's parameters; numbers of open files are those of [`Descriptors::Numbered`].
fn parameters(config: &VmConfig, processor: Processor) -> Vec<String> {
    let initrd = qemu::path(FIRST + 3);
    let mut parameters = vec![
        format!("mem={}M", config.memory_mib),
        "time-travel=inf-cpu".into(),
        format!("time-travel-start={}", EPOCH.as_nanos()),
        format!("{COST}={}", processor.cost(config.seed)),
        "con=null".into(),
        format!("con0=null,fd:{FIRST}"),
        format!("con1=null,fd:{}", FIRST + 1),
        format!("con2=null,fd:{}", FIRST + 2),
        // The end of the standard input is the host's wish that the guest stop.
        "con3=fd:0,null".into(),
        "ssl=null".into(),
        format!("initrd={initrd}"),
        // Where the host allows it, a system call is caught by a filter (seccomp), not by ptrace: it is
        // cheaper and makes no other difference.
        "seccomp=auto".into(),
        // It wants a directory for a socket by which a machine could be managed, and without HOME or this fails
        // badly: here it can make none, says so, and goes on.
        "uml_dir=/proc/".into(),
        "quiet".into(),
        "loglevel=4".into(),
        "panic=-1".into(),
        "oops=panic".into(),
        "noreboot".into(),
        // Every daemon is the same program; what differs from run to run is not where it is.
        "norandmaps".into(),
        format!("{GUEST_MARK}={MARK}"),
    ];
    parameters.extend(qemu::libraries(config));
    parameters
}

/// Whether this machine runs a guest.
///
/// # Errors
/// Where its memory would be there is no room, or what is there may not be executed: says what to do.
pub fn can_run() -> Result<(), VmError> {
    has_room(Path::new(MEMORY_AT), LEAST_MIB)
}

/// Whether a guest's memory can be there, `least_mib` of it.
fn has_room(at: &Path, least_mib: u64) -> Result<(), VmError> {
    let refuse = |what: &str| {
        Err(VmError::Config(format!(
            "{NAME} keeps its memory in {}, {what}; or take --backend vm",
            at.display()
        )))
    };
    let Ok(found) = statvfs(at) else {
        return refuse("which is not there: mount -t tmpfs tmpfs /dev/shm");
    };
    if access(at, AccessFlags::W_OK).is_err() {
        return refuse("where this user may not write: chmod 1777 /dev/shm");
    }
    if found.flags().contains(FsFlags::ST_NOEXEC) {
        return refuse(
            "which is mounted noexec: mount -o remount,exec /dev/shm (in a container: --tmpfs /dev/shm:exec)",
        );
    }
    let free = cache::free(at).unwrap_or_default() >> 20;
    if free < least_mib {
        return refuse(&format!(
            "which has {free} MiB left of the {least_mib} MiB that a run takes at least: give it more, and the more \
             the more runs there are at once (in a container: --shm-size=2g)"
        ));
    }
    Ok(())
}

/// What the smallest run touches of its memory, the archive with its program included, MiB.
const LEAST_MIB: u64 = 100;
/// With less left than this, MiB, it was for want of memory that a guest ended badly.
const FULL_MIB: u64 = 8;

/// Why a guest ended badly, if there was no room for its memory.
pub(crate) fn out_of_room() -> Option<VmError> {
    has_room(Path::new(MEMORY_AT), FULL_MIB).err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_the_same_for_every_run() {
        let kernel = crate::kernel::at_home(Path::new("/k"), "7.3.4".into());
        let of = |init: &str| {
            let config = VmConfig::new(kernel.clone(), init);
            parameters(&config, Processor::default()).join(" ")
        };
        let line = || of("/proc/self/exe");
        assert_eq!(line(), line());
        let dynamic = of("/bin/ls");
        assert!(
            dynamic.ends_with(" LD_LIBRARY_PATH=/wpanlab/lib"),
            "{dynamic}"
        );
        assert!(line().contains("ttcost=10000 "), "{}", line());
        let mut config = VmConfig::new(kernel.clone(), "/proc/self/exe");
        config.seed = 7;
        let drawn = parameters(&config, "1 us..50 us".parse().unwrap()).join(" ");
        assert!(drawn.contains("ttcost=1000,49000,7 "), "{drawn}");
        assert!(line().contains("initrd=/proc/self/fd/6 "), "{}", line());
    }

    #[test]
    fn where_memory_cannot_be_it_is_said_why_and_what_to_do() {
        let refused = |at: &str, least| has_room(Path::new(at), least).unwrap_err().to_string();
        let absent = refused("/nonexistent", 1);
        assert!(
            absent.contains("/nonexistent, which is not there"),
            "{absent}"
        );
        assert!(absent.contains("--backend vm"), "{absent}");
        let little = refused("/tmp", u64::MAX);
        assert!(little.contains("MiB left of the"), "{little}");
    }
}
