//! One run from start to results.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitStatus;
use std::time::Duration;

use files::Tree;

use crate::config::{Clock, Machine};
use crate::follow::Follow;
use crate::input::Input;
use crate::place::Load;
use crate::process::Memory;
use crate::qemu::{EXIT_STATUS, NAME as QEMU, Start};
use crate::running::Running;
use crate::snapshot::Snapshot;
use crate::{VmConfig, VmError, results, root, uml};

/// What a guest left.
#[derive(Clone, Debug)]
pub struct Output {
    /// The files of its results directory by relative path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What it gave to [`crate::guest::Guest::finish`].
    pub exit_code: i32,
    /// Everything that its kernel and programs wrote to the console.
    pub console: String,
    /// Wall time from the start of QEMU to its end.
    pub wall: Duration,
}

impl Output {
    /// Writes the files into a directory, which is there. A file that is there with the same content stays as it is.
    ///
    /// # Errors
    /// A directory or file cannot be written.
    pub fn unpack(&self, into: &Path) -> Result<(), VmError> {
        for (name, content) in &self.files {
            let path = into.join(name);
            let files = Tree::new(into);
            // Whoever has it open goes on reading.
            if files.read(&path).is_ok_and(|there| there == *content) {
                continue;
            }
            files
                .replace(&path, content)
                .map_err(VmError::io("write", path.display()))?;
        }
        Ok(())
    }
}

/// Boots the VM, or has it go on from its snapshot, reports each line of
/// [progress](crate::guest::Guest::progress) and returns what the guest left. Dropping the future
/// kills QEMU; QEMU also dies with this process.
///
/// # Errors
/// A configuration that contradicts itself, files that cannot be read, a QEMU that does not
/// start, and every way in which a guest can fail to deliver: panic, silence beyond the
/// stall limit, an end without complete results. A guest that delivers is `Ok` whatever its
/// exit code.
pub async fn run(config: VmConfig, on_progress: impl FnMut(&str)) -> Result<Output, VmError> {
    run_until(config, std::future::pending(), on_progress).await
}

/// [`run`], followed by `follower`, who may have the guest stand still; and when `stop` resolves the guest is asked to stop
/// ([`Guest::interrupt_when_asked`](crate::guest::Guest::interrupt_when_asked)): it goes on, and hands over what
/// it has.
///
/// # Errors
/// See [`run`]; and the guest does not stop within a minute of wall time.
pub async fn run_until(
    config: VmConfig,
    stop: impl Future<Output = ()>,
    mut follower: impl Follow,
) -> Result<Output, VmError> {
    boxed(config, std::pin::pin!(stop), &mut follower).await
}

/// In a box, so that all of it is compiled here once, and not in every program that runs a VM.
fn boxed<'a>(
    config: VmConfig,
    stop: Pin<&'a mut dyn Future<Output = ()>>,
    follower: &'a mut dyn Follow,
) -> Pin<Box<dyn Future<Output = Result<Output, VmError>> + 'a>> {
    Box::pin(async move {
        config.check()?;
        let stall_limit = config.stall_limit;
        let machine = config.machine;
        let mut running = tokio::task::spawn_blocking(move || start(&config))
            .await
            .map_err(|e| VmError::Config(format!("the preparation panicked: {e}")))??;
        let status = running.ended(stall_limit, stop, follower).await?;
        judge(&running, status, machine)
    })
}

fn start(config: &VmConfig) -> Result<Running, VmError> {
    let load = Load::now();
    // A guest's clock that follows the host's, or files of the host, cannot be stopped.
    let reproducible = config.clock == Clock::Virtual && !config.share_host_root;
    if let Machine::Uml(_) = config.machine {
        return uml::start(config, &load);
    }
    if let Some(directory) = config.snapshots.as_ref().filter(|_| reproducible) {
        return Snapshot::run(config, directory, &load);
    }
    let initrd = Memory::of("wpanlab-initrd", &root::build(config)?)?;
    let input = Memory::of(
        "wpanlab-input",
        &Input::new(config.seed, &config.job).encode(),
    )?;
    let start = Start::Boot {
        initrd: initrd.fd(),
        input: input.fd(),
    };
    Running::start(config, start, &load)
}

/// What became of a guest.
fn judge(running: &Running, status: ExitStatus, machine: Machine) -> Result<Output, VmError> {
    let (emulator, delivered) = match machine {
        Machine::Qemu(_) => (QEMU, EXIT_STATUS),
        Machine::Uml(_) => (uml::NAME, uml::EXIT_STATUS),
    };
    let wall = running.started.elapsed();
    let console = running.console.text();
    if status.code() == Some(delivered) {
        let stream = running
            .results
            .read_from(0)
            .map_err(VmError::io("read", "the guest's results"))?;
        return match results::read(&stream) {
            Ok((exit_code, files)) => Ok(Output {
                files,
                exit_code,
                console,
                wall,
            }),
            Err(reason) => Err(VmError::NoResults { reason, console }),
        };
    }
    if let (Machine::Uml(_), Some(full)) = (machine, uml::out_of_room()) {
        return Err(full);
    }
    if console.contains("Kernel panic") {
        return Err(VmError::Panic { console });
    }
    if status.success() {
        let reason = "it went down by itself".into();
        return Err(VmError::NoResults { reason, console });
    }
    let words = running.stderr.text();
    let end = match status.signal() {
        Some(signal) => format!("killed by signal {signal}"),
        None => format!("exit status {}", status.code().unwrap_or_default()),
    };
    let reason = format!("{end}; {}", words.trim());
    Err(VmError::Emulator {
        emulator,
        reason,
        console,
    })
}
