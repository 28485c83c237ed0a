//! Plan to kernel, processes, scenario clock and sniffers: the live half on one machine.
//!
//! Owns the network of a run while it lives and fills the run directory with what happened:
//! `run.json`, `events.jsonl`, `captures/`, `log/`. Knows nothing of topology
//! files, of what the captures mean, or of the VM: inside a VM it runs unchanged.
//!
//! ```text
//! Plan ──► Network (namespaces, radios, backbone) ──► Sniffers ──► Daemons ──► Scenario
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | `network` | namespaces, radios, backbone, addresses |
//! | `medium` | which medium carries the frames |
//! | `edges` | the `edges` medium: attenuation to edges, LQI, signal registers |
//! | `daemon` | one process per node |
//! | [`privileges`] | what such a process may do |
//! | `forward` | TCP connections from outside to what a node serves |
//! | `feed` | events on their way out, in time order |
//! | `scenario` | the clock, the steps, and the watch over the processes |
//! | `sniffer` | one capture per interface |

mod daemon;
mod edges;
mod feed;
mod forward;
mod medium;
mod network;
pub mod privileges;
mod scenario;
mod sniffer;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use cleanup::Claim;
use netlink::Namespace;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rundir::air::Facts;
use rundir::facts::RunFacts;
use rundir::{Event, RunDir};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::unbounded_channel;
use topology::Plan;
use topology::plan::NodeName;
use units::quantity::format_duration;

pub use forward::Forward;
pub use network::RadioRemover;

use daemon::Launcher;
use feed::Feed;
use forward::Forwarding;
use medium::RunMedium;
use network::Network;
use scenario::{Scenario, Stopped};
use sniffer::{Sniffers, Tap};

/// How to run.
pub struct Options<'a> {
    /// Where results go; the directory exists and has at most the plan in it.
    pub run_dir: RunDir,
    /// The program with the `node` subcommand.
    pub binary: PathBuf,
    /// Where marks of ownership go ([`cleanup::state_root`]).
    pub state_root: PathBuf,
    /// Backend, clock and kernel, repeated in the result.
    pub facts: RunFacts,
    /// Where programs of the user's live, if not where this process does.
    pub program_home: Option<ProgramHome>,
    /// What gets in from outside, in real time.
    pub forwards: Vec<Forward>,
    /// Whether the kernel ends with the run, as a VM's does: then what was made ends with it, and
    /// is not removed first.
    pub kernel_ends: bool,
    /// Told how far the run is and what happens in it: whoever follows it.
    pub progress: &'a mut dyn FnMut(Progress),
}

/// The surroundings of programs of the user's: those that the user's own shell would give.
#[derive(Clone, Debug)]
pub struct ProgramHome {
    /// Root of the file system that they see.
    pub root: PathBuf,
    /// Their working directory in it.
    pub directory: PathBuf,
    /// Their `PATH`.
    pub path: OsString,
}

/// How far a run is, and what happens in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The network is being made; so many of the nodes are.
    BringUp {
        /// Nodes that are.
        made: usize,
        /// Nodes that there are.
        of: usize,
    },
    /// Daemons are being started; so many are, ready or not.
    Starting {
        /// Daemons that are.
        started: usize,
        /// Daemons that there are.
        of: usize,
    },
    /// Daemons start; so many of them are ready.
    Ready {
        /// Daemons that are.
        ready: usize,
        /// Daemons that there are.
        of: usize,
    },
    /// Scenario time.
    Scenario {
        /// Since its start.
        at: Duration,
        /// In all.
        of: Duration,
    },
    /// Something has happened. Events come in time order, those of one instant in the order of
    /// their nodes' names; only one that was very long under way comes late.
    Event(Event),
    /// The scenario is over; captures are written.
    Finishing,
}

/// A step that every node takes is told once per so many nodes. Who follows a run takes silence for
/// its end, and a host may be so slow that all of them take minutes.
pub(crate) const TELL_EVERY: usize = 10;

/// Runs `plan` and fills the run directory. Everything made is removed again, whatever
/// happens, unless [the kernel ends](Options::kernel_ends); what cannot be removed is an error of
/// its own. SIGINT, SIGTERM and SIGHUP end the
/// run; what was seen until then is kept.
///
/// # Errors
/// When the network cannot be made, a daemon dies or does not get ready, a capture loses
/// packets, something cannot be removed, or the run is interrupted.
pub fn run<'a>(
    plan: &'a Plan,
    options: Options<'a>,
) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>> {
    Box::pin(run_claimed(plan, options))
}

async fn run_claimed(plan: &Plan, mut options: Options<'_>) -> Result<()> {
    for dir in [options.run_dir.captures(), options.run_dir.logs()] {
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    }
    let path = options.run_dir.facts();
    options
        .facts
        .write(&path)
        .with_context(|| format!("write {}", path.display()))?;
    allow_descriptors(plan, options.forwards.len()).context("file descriptors")?;
    // From here on it is noticed when the host's clock is set.
    driver::now();
    let mut signals = Signals::listen().context("signal handlers")?;
    let mut claim = Claim::new(&options.state_root, &plan.name)?;
    if is_live(&options) {
        claim.is_for(options.run_dir.root())?;
    }
    let outcome = run_in(plan, &mut options, &mut claim, &mut signals).await;
    if options.kernel_ends {
        return outcome;
    }
    let removed = claim.close_with(&mut RadioRemover).context("clean up");
    match (outcome, removed) {
        (Ok(()), removed) => removed,
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(left)) => Err(anyhow!("{error:#}; and {left:#}")),
    }
}

/// Moves the calling thread into the network namespace of a node of the run that has this claim ([`cleanup::living`]).
///
/// # Errors
/// The run has ended, or has no such node, or the caller is not root.
pub fn enter(claim: &Path, node: &str) -> Result<()> {
    Ok(Namespace::open(claim.join(node))?.enter_this_thread()?)
}

/// Whether somebody may enter its nodes and follow its captures while it goes on.
fn is_live(options: &Options<'_>) -> bool {
    options.facts.backend == "native"
}

/// Lets this process have the file descriptors that a run of `plan` needs, and so many ports to which connections come from
/// outside. The usual limit of 1024 is enough for a hundred nodes; what may be had without asking is taken, and root may ask.
fn allow_descriptors(plan: &Plan, forwards: usize) -> Result<()> {
    /// Namespace, pipes and process of a daemon; socket and file of three captures.
    const PER_NODE: u64 = 12;
    const BESIDE: u64 = 128;
    let of_nodes = PER_NODE * plan.nodes.len() as u64;
    let wanted = BESIDE + of_nodes + forward::DESCRIPTORS * forwards as u64;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).with_context(|| {
        let nodes = plan.nodes.len();
        format!("{nodes} nodes and {forwards} ports that are forwarded need {wanted} open at once, and the limit is {hard} (`ulimit -n`)")
    })
}

/// The signals with which a user ends a run. They are remembered until they are asked for.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on they do not end the process.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Ends when the user wants the run to end.
    pub async fn interrupted(&mut self) -> Interrupted {
        Interrupted(tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hangup.recv() => SignalKind::hangup(),
        })
    }
}

/// A user ended the run with this signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted(SignalKind);

impl Interrupted {
    /// The signal's number: 2 for SIGINT.
    pub fn number(self) -> i32 {
        self.0.as_raw_value()
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signal = nix::sys::signal::Signal::try_from(self.number());
        f.write_str("interrupted by ")?;
        match signal {
            Ok(signal) => f.write_str(signal.as_str()),
            Err(_) => write!(f, "signal {}", self.number()),
        }
    }
}

impl std::error::Error for Interrupted {}

/// A signal ends the play only: the bring-up takes a moment, and a radio that is being made
/// is not in the claim yet.
async fn run_in(
    plan: &Plan,
    options: &mut Options<'_>,
    claim: &mut Claim,
    signals: &mut Signals,
) -> Result<()> {
    let of = plan.nodes.len();
    let mut made = |made| (options.progress)(Progress::BringUp { made, of });
    let network = Network::up(plan, claim, options.kernel_ends, &mut made)
        .await
        .context("bring up the network")?;
    let (reports, inbox) = unbounded_channel();
    let Network {
        namespaces,
        radios,
        hwsim,
        shadows,
    } = network;
    let (run_dir, on_air) = (&options.run_dir, reports.clone());
    let (medium, recorder) = RunMedium::new(plan, hwsim, radios, &shadows, run_dir, on_air).await?;
    let _forwarding = Forwarding::begin(&options.forwards, &namespaces).await?;
    let sniffers = sniffers(plan, &namespaces, &options.run_dir)?;
    let sniffers = sniffers.start(recorder, is_live(options))?;
    let launcher = Launcher {
        binary: options.binary.clone(),
        run_dir: options.run_dir.clone(),
        program_home: options.program_home.clone(),
        reports,
    };
    let feed = Feed::create(options.run_dir.events(), &mut *options.progress)?;
    let mut scenario = Scenario::new(plan, medium, namespaces, launcher, inbox, claim, feed);
    let played = tokio::select! {
        biased;
        signal = signals.interrupted() => Err(signal.into()),
        played = scenario.play() => played,
    };
    // Whatever happened, what was seen until then is kept.
    let Stopped {
        processes,
        aired,
        fed,
    } = scenario.stop().await;
    let aired = aired.and_then(|facts| match facts {
        None => Ok(()),
        Some(facts) => keep_air(plan, options, &facts),
    });
    let captured = sniffers.finish();
    let on_one_clock = match driver::was_set_ahead_ns() {
        0 => Ok(()),
        by => Err(anyhow!(
            "the host's clock was set by {:.1} s during the run, and its captures and events have \
             two clocks: run it again",
            Duration::from_nanos(by.unsigned_abs()).as_secs_f64()
        )),
    };
    played
        .and(processes)
        .and(aired)
        .and(captured)
        .and(fed)
        .and(on_one_clock)
}

/// Writes what the air counted. Under the virtual clock the air is as punctual in every run of
/// the plan: there a late frame is an error, elsewhere the result says it. Programs of the user's
/// come from the host's file system, at the host's speed: a plan that has some is elsewhere.
fn keep_air(plan: &Plan, options: &Options<'_>, facts: &Facts) -> Result<()> {
    let path = options.run_dir.air();
    facts
        .write(&path)
        .with_context(|| format!("write {}", path.display()))?;
    let late = &facts.lateness;
    let repeatable = options.facts.clock == "virtual" && options.program_home.is_none();
    match &plan.radio.phy {
        Some(phy) if late.over_limit > 0 && repeatable => bail!(
            "the air handed {} frames over more than {} late, at most {}; raise \
             radio.lateness_limit if the scenario can bear it, or send less at one instant",
            late.over_limit,
            format_duration(phy.lateness_limit),
            format_duration(Duration::from_secs_f64(late.max_s)),
        ),
        _ => Ok(()),
    }
}

fn sniffers(
    plan: &Plan,
    namespaces: &BTreeMap<NodeName, Namespace>,
    run_dir: &RunDir,
) -> Result<Sniffers> {
    let mut sniffers = Sniffers::new();
    for (name, node) in &plan.nodes {
        let wired = node.backbone.is_some().then_some([("eth0", Tap::Ethernet)]);
        let radio = node
            .radio
            .is_some()
            .then_some([("lowpan0", Tap::Lowpan), ("wpan0", Tap::Wpan)]);
        for (interface, tap) in wired
            .into_iter()
            .flatten()
            .chain(radio.into_iter().flatten())
        {
            let file = run_dir.capture(name, interface);
            sniffers.add(&namespaces[name], name, interface, tap, file)?;
        }
    }
    Ok(sniffers)
}
