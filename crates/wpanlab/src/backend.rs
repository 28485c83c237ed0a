//! Where the network of a run lives: on this machine's kernel, or in a VM.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use rundir::{RunDir, RunFacts};
use testbed::{Progress, Signals};
use topology::Plan;
use topology::plan::NodePlan;
use view::Pacer;
use vm::{Accel, Clock, Kernel, KernelSource, Machine, Processor, VmConfig, VmError};

use crate::cli::{BackendArg, ClockArg, ForwardArg, HowArgs};
use crate::failure::Refused;
use crate::follow::Follower;
use crate::job::{self, Job, facts};
use crate::memory;
use crate::progress::Show;

/// Wall time without a sign of life after which a VM counts as stuck. A guest reports every
/// second of its scenario.
const STALL: Duration = Duration::from_secs(120);
/// And for each node: a guest says nothing of its network until that is up, which on a busy machine took
/// 400 nodes longer.
const PER_NODE: Duration = Duration::from_secs(2);

/// Where and how a run takes place.
#[derive(Clone, Debug)]
pub enum How {
    /// In namespaces of this machine.
    Native,
    /// In a VM.
    Vm {
        /// What it boots.
        kernel: Kernel,
        /// Where that is from.
        source: KernelSource,
        /// What drives its clock.
        clock: Clock,
        /// What it runs on.
        machine: Machine,
    },
}

/// What of the outside takes part in a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outside<'a> {
    /// The clock that holds it, which needs [virtual time](How::is_virtual).
    pub pacer: Option<&'a Pacer>,
    /// Connections that get in, which needs real time.
    pub forwards: &'a [ForwardArg],
}

impl How {
    /// What the command line asks for; for `auto`, what this machine can do.
    pub async fn choose(args: &HowArgs, show: &Show) -> Result<How> {
        if args.syscall_cost.is_some() && args.backend != BackendArg::Uml {
            let text = "--syscall-cost is the processor of --backend uml: give that, too";
            return Err(Refused(text.into()).into());
        }
        match (args.backend, args.clock) {
            (BackendArg::Native, ClockArg::Virtual) => {
                let text = "virtual time needs the VM: give --clock realtime with --backend native";
                Err(Refused(text.into()).into())
            }
            (BackendArg::Native, ClockArg::Realtime) => native_obstacle()
                .map_or(Ok(How::Native), |obstacle| {
                    bail!("native backend: {obstacle}")
                }),
            (BackendArg::Uml, ClockArg::Virtual) => {
                show.stage("find a kernel");
                let source = source(args.kernel.as_deref());
                let processor = args.syscall_cost.unwrap_or_default();
                Ok(How::uml(locate_uml(&source)?, source, processor))
            }
            (BackendArg::Uml, ClockArg::Realtime) => {
                let text = "a User-Mode Linux has virtual time only: give --backend vm or native with --clock realtime";
                Err(Refused(text.into()).into())
            }
            (BackendArg::Auto, ClockArg::Virtual) if args.kernel.is_none() => How::fastest(show),
            (_, ClockArg::Virtual) => How::virtual_clock(args.kernel.as_deref(), show),
            (BackendArg::Vm, ClockArg::Realtime) => {
                How::realtime_vm(args.kernel.as_deref(), show).await
            }
            (BackendArg::Auto, ClockArg::Realtime) => match native_obstacle() {
                None => Ok(How::Native),
                Some(obstacle) => {
                    show.stage(&format!("not native: {obstacle}; using the VM"));
                    How::realtime_vm(args.kernel.as_deref(), show).await
                }
            },
        }
    }

    /// The reproducible VM.
    fn virtual_clock(kernel: Option<&Path>, show: &Show) -> Result<How> {
        let source = source(kernel);
        Ok(How::Vm {
            kernel: locate(&source, show)?,
            source,
            clock: Clock::Virtual,
            machine: Machine::Qemu(Accel::Tcg),
        })
    }

    /// The reproducible VM at the speed of this machine.
    fn uml(kernel: Kernel, source: KernelSource, processor: Processor) -> How {
        How::Vm {
            kernel,
            source,
            clock: Clock::Virtual,
            machine: Machine::Uml(processor),
        }
    }

    /// A User-Mode Linux if one was built and can run here, else QEMU.
    fn fastest(show: &Show) -> Result<How> {
        let source = source(None);
        let Ok(kernel) = vm::uml::locate(None, &source.cache) else {
            return How::virtual_clock(None, show);
        };
        match vm::uml::can_run() {
            Ok(()) => Ok(How::uml(kernel, source, Processor::default())),
            Err(why) => {
                show.stage(&format!("not User-Mode Linux: {why}; using QEMU"));
                How::virtual_clock(None, show)
            }
        }
    }

    async fn realtime_vm(kernel: Option<&Path>, show: &Show) -> Result<How> {
        let source = source(kernel);
        let kernel = locate(&source, show)?;
        show.stage("probe KVM");
        let accel = match vm::probe::kvm_works(&kernel, &own_binary()?).await {
            Ok(()) => Accel::Kvm,
            Err(reason) => {
                show.stage(&format!("no KVM: {reason}; using TCG"));
                Accel::Tcg
            }
        };
        Ok(How::Vm {
            kernel,
            source,
            clock: Clock::Realtime,
            machine: Machine::Qemu(accel),
        })
    }

    /// Whether its time is virtual, so that somebody may hold it.
    pub fn is_virtual(&self) -> bool {
        matches!(
            self,
            How::Vm {
                clock: Clock::Virtual,
                ..
            }
        )
    }

    /// Runs `plan`; the run directory then holds what the live half writes.
    pub async fn run(
        &self,
        plan: &Plan,
        dir: &RunDir,
        show: &Show,
        outside: Outside<'_>,
    ) -> Result<()> {
        let Outside { pacer, forwards } = outside;
        match self {
            How::Native => native(plan, dir, show, forwards).await,
            How::Vm {
                kernel,
                source,
                clock,
                machine,
            } => {
                let job = Job::new(plan, *clock, forwards)?;
                let mut config = VmConfig::new(kernel.clone(), own_binary()?);
                config.clock = *clock;
                config.machine = *machine;
                config.seed = plan.seed.0;
                config.memory_mib = memory::of_guest(plan).map_err(Refused)?;
                let emulated = *clock == Clock::Virtual && matches!(machine, Machine::Qemu(_));
                if let Some(why) = memory::overload(plan).filter(|_| emulated) {
                    return Err(Refused(why).into());
                }
                config.job = serde_json::to_vec(&job)?;
                let more = plan.nodes.values().flat_map(NodePlan::kernel_modules);
                for module in more.collect::<BTreeSet<_>>() {
                    if !vm::modules::TESTBED.contains(&module) {
                        config.modules.push(module.to_owned());
                    }
                }
                config.snapshots = Some(vm::default_cache().join("snapshots"));
                config.share_host_root = job::has_programs(plan);
                config.forwards = forwards.iter().map(ForwardArg::to_guest).collect();
                config.stall_limit = STALL + PER_NODE.saturating_mul(plan.nodes.len() as u32);
                let lived = in_vm(config.clone(), Follower::new(show, dir, pacer), dir, show).await;
                match lived.as_ref().map_err(Error::downcast_ref) {
                    Err(Some(damaged @ VmError::Damaged { .. })) => errln!("wpanlab: {damaged}"),
                    _ => return lived,
                }
                config.kernel = match machine {
                    Machine::Qemu(_) => locate(source, show)?,
                    Machine::Uml(_) => locate_uml(source)?,
                };
                in_vm(config, Follower::new(show, dir, pacer), dir, show).await
            }
        }
    }
}

/// Why this machine cannot run natively; `None` if it can.
pub fn native_obstacle() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("it needs root for namespaces and radios".into());
    }
    let loaded = |module: &str| Path::new("/sys/module").join(module).exists();
    let missing: Vec<&str> = ["mac802154_hwsim", "ieee802154_6lowpan"]
        .into_iter()
        .filter(|m| !loaded(m))
        .collect();
    if missing.is_empty() {
        return None;
    }
    Some(format!(
        "the kernel has no {0}; if it has the modules: modprobe -a {0}",
        missing.join(" ")
    ))
}

async fn native(plan: &Plan, dir: &RunDir, show: &Show, forwards: &[ForwardArg]) -> Result<()> {
    let facts = facts("native", ClockArg::Realtime.name())?;
    let mut progress = |progress: Progress| show.testbed(&progress);
    testbed::run(
        plan,
        testbed::Options {
            run_dir: dir.clone(),
            binary: own_binary()?,
            state_root: cleanup::state_root(),
            facts,
            program_home: None,
            forwards: (forwards.iter().map(|f| f.at(Ipv4Addr::LOCALHOST))).collect(),
            kernel_ends: false,
            progress: &mut progress,
        },
    )
    .await
}

/// The first signal stops the guest, which hands over what it has; the second one ends the wait.
async fn in_vm(config: VmConfig, follower: Follower<'_>, dir: &RunDir, show: &Show) -> Result<()> {
    let mut signals = Signals::listen().context("signal handlers")?;
    let mut again = Signals::listen().context("signal handlers")?;
    let interrupted = Cell::new(None);
    let stop = async {
        let signal = signals.interrupted().await;
        interrupted.set(Some(signal));
        show.stage(&format!("{signal}: stop the VM"));
    };
    let impatient = async {
        let first = again.interrupted().await;
        again.interrupted().await;
        first
    };
    show.stage("boot the VM");
    let machine = config.machine;
    let living = vm::run_until(config, stop, follower);
    let output = tokio::select! {
        output = living => output,
        signal = impatient => return Err(signal.into()),
    };
    let interrupted = interrupted.get();
    let output = match (output, interrupted) {
        (Err(error), Some(signal)) => return Err(Error::from(signal).context(error)),
        (output, _) => output?,
    };
    output.unpack(dir.root())?;
    name_machine(dir, machine)?;
    match (dir.files().read_to_string(&dir.error()), interrupted) {
        // It may have come to its end all the same.
        (Err(_), _) if output.exit_code == 0 => Ok(()),
        (_, Some(signal)) => Err(signal.into()),
        (Ok(text), None) => bail!("in the VM: {text}"),
        (Err(_), None) => bail!(
            "the VM ended with {}; its console:\n{}",
            output.exit_code,
            output.console
        ),
    }
}

/// Adds to what the guest said of itself what it ran on, which it is not told: whatever enters the
/// guest takes a part in what happens there.
fn name_machine(dir: &RunDir, machine: Machine) -> Result<()> {
    let path = dir.facts();
    let Ok(facts) = RunFacts::read(&path) else {
        return Ok(()); // The run ended before it said anything, and that is told.
    };
    let facts = match machine {
        Machine::Qemu(_) => RunFacts {
            qemu: vm::probe::qemu_version(&vm::default_cache()),
            ..facts
        },
        Machine::Uml(processor) => RunFacts {
            backend: BackendArg::Uml.name().into(),
            processor: Some(processor.to_string()),
            ..facts
        },
    };
    facts
        .write(&path)
        .with_context(|| path.display().to_string())
}

/// This program, for daemons and as the guest's `/init`.
pub fn own_binary() -> Result<PathBuf> {
    std::env::current_exe().context("this program's own path")
}

fn source(explicit: Option<&Path>) -> KernelSource {
    KernelSource {
        explicit: explicit.map(Path::to_owned),
        cache: vm::default_cache(),
    }
}

fn locate(source: &KernelSource, show: &Show) -> Result<Kernel> {
    show.stage("find a kernel");
    let found = Kernel::locate_and_tell(source, |line: &str| show.stage(line));
    told(found, source.explicit.as_deref())
}

fn locate_uml(source: &KernelSource) -> Result<Kernel> {
    let explicit = source.explicit.as_deref();
    told(vm::uml::locate(explicit, &source.cache), explicit)
}

/// What became of looking for a kernel; that `--kernel` names none is the caller's fault.
fn told(found: Result<Kernel, VmError>, explicit: Option<&Path>) -> Result<Kernel> {
    match (found, explicit) {
        (Ok(kernel), _) => Ok(kernel),
        (Err(error), Some(path)) if is_of_the_path(&error) => {
            let refused = Refused(format!("--kernel {}", path.display()));
            Err(Error::from(error).context(refused))
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// Whether what the caller named is not there, or is no kernel.
fn is_of_the_path(error: &VmError) -> bool {
    match error {
        VmError::Io { source, .. } => source.kind() == ErrorKind::NotFound,
        VmError::BadKernel { .. } => true,
        _ => false,
    }
}

/// Every file below `root`, by its path relative to it.
pub fn read_tree(root: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
                files.insert(path.strip_prefix(root).unwrap_or(&path).to_owned(), bytes);
            }
        }
    }
    Ok(files)
}
