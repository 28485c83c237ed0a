//! The command line.

use std::io::{self, Write};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use topology::Parameter;
use units::Db;
use vm::Processor;

use crate::failure::{self, Refused};
use crate::output;
use crate::sweep::Until;

mod gateway;
mod live;
mod sweep;
mod view;

pub use gateway::GatewayArgs;
pub use live::{CaptureArgs, ExecArgs};
pub use sweep::{ShardArgs, SweepCommand};
pub use view::{ForwardArg, ViewArgs, WatchArgs};

/// Linux 6LoWPAN mobility testbed: one YAML, one command, one handover measured on the real
/// kernel stack.
#[derive(Debug, Parser)]
#[command(name = "wpanlab", version, max_term_width = 100)]
pub struct Cli<C: Subcommand = Command> {
    #[command(subcommand)]
    pub command: C,
    /// Errors and the result only, no progress and no paths
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More about what happens; twice: everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Results as JSON on standard output, errors as JSON on standard error
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a topology and measure its handovers
    ///
    /// Exit code: 0 every expectation holds, 1 one does not, 2 the topology is wrong or a file that
    /// was named is not there, 3 the run itself failed, 130 it was interrupted (what it has seen is
    /// measured and kept).
    Run(RunArgs),
    /// A sweep in parts, on as many machines as there are: plan, run, collect
    #[command(subcommand)]
    Sweep(SweepCommand),
    /// Write a first topology, with comments, that runs as it is
    New {
        /// The file; the topology is named after it
        #[arg(default_value = "first.yaml")]
        file: PathBuf,
    },
    /// List the topologies that the project ships, or write some of them
    Examples {
        /// Those to write, by name; none: list them
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Write every one
        #[arg(long, conflicts_with = "names")]
        all: bool,
        /// Where to write them
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
    /// Validate a topology; nothing is run
    Check {
        /// Topology files
        #[arg(required = true)]
        topologies: Vec<PathBuf>,
        /// A value in place of the file's, such as `backbone.delay=10 ms`; may be repeated
        #[arg(long, value_name = "PATH=VALUE")]
        set: Vec<Parameter>,
    },
    /// Print the resolved plan: every default, address, EUI-64, channel and seed
    Plan {
        /// Topology file
        topology: PathBuf,
        /// Root seed, instead of the topology's
        #[arg(long)]
        seed: Option<u64>,
        /// A value in place of the file's, such as `backbone.delay=10 ms`; may be repeated
        #[arg(long, value_name = "PATH=VALUE")]
        set: Vec<Parameter>,
    },
    /// Print the JSON Schema of topology files
    Schema,
    /// Measure captures taken anywhere: Message IDs, gaps, losses, round-trip times
    ///
    /// Exit code: 0 measured, 1 the captures show no request or a file was read in part, 2 a file
    /// is not there or is no capture. What can be read is measured in any case.
    Analyze(AnalyzeArgs),
    /// Run a topology several times and compare every artefact byte by byte
    Verify(VerifyArgs),
    /// Print the CoMP paper's delay and loss model: tables 3 to 5, the data of figures 15 to 17
    ///
    /// Exit code: 2 for a wrong argument, 3 when a file could not be written.
    Model(ModelArgs),
    /// Make one self-contained HTML page of a run or a sweep; SVG figures, JUnit XML
    ///
    /// Exit code: 2 if the directory is none of a run or a sweep, 3 when a file could not be
    /// written. What the run's expectations came to is in the report, not in the exit code.
    Report(ReportArgs),
    /// Print a stretch of a run as a message sequence: who sent what to whom, and what was lost
    ///
    /// Exit code: 2 if the directory is none of a run, or has no such handover or node.
    Sequence(SequenceArgs),
    /// Execute a command in the network namespace of a node, while a native run goes on; without a command, a shell
    ///
    /// Exit code: the command's; 2 if there is no such run or node, 3 if it cannot be entered.
    #[command(visible_alias = "shell")]
    Exec(ExecArgs),
    /// Write a capture of a run to standard output, while it goes on or after: for `wireshark -k -i -`
    ///
    /// Exit code: 2 if there is no such run or capture, 3 if it cannot be read.
    Capture(CaptureArgs),
    /// Show a run in a browser, finished or growing: play, pause, step, jump
    ///
    /// Prints the address of a page on this machine, and serves it until Ctrl-C. Exit code: 2 if the
    /// directory is none of a run, 3 if the port is not to be had.
    View(ViewArgs),
    /// Say what this machine can do, and what to install for the rest
    Doctor,
    /// List and remove what killed runs left behind
    Clean {
        /// List only
        #[arg(long)]
        dry_run: bool,
    },
    /// The virtual machine's parts
    #[command(subcommand)]
    Vm(VmCommand),
    /// Run one node's daemon, in a namespace of the testbed or on a board
    Node(NodeArgs),
    /// Ask nodes of CoAP by HTTP, by CoAP over WebSockets, and in a browser: the gateway of a testbed, on a board or a desk
    ///
    /// Serves until Ctrl-C, and prints events as `node` does. Exit code: 3 if a port is not to be had.
    Gateway(GatewayArgs),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages of all commands into a directory
    Man {
        /// The directory; it is made
        dir: PathBuf,
    },
}

/// `node` without the other commands.
#[derive(Debug, Subcommand)]
pub enum DaemonCommand {
    /// Run one node's daemon, in a namespace of the testbed or on a board
    Node(NodeArgs),
}

impl Cli {
    /// Reads this process's command line; ends the process if it is wrong.
    ///
    /// A testbed starts a daemon for every node, in the VM on an emulated processor: there the
    /// description of all other commands is a large part of what a daemon's start takes, so it is
    /// left out where the first argument says that none of them is meant.
    pub fn of_process() -> Cli {
        if std::env::args_os()
            .nth(1)
            .is_none_or(|first| first != "node")
        {
            return Cli::try_parse().unwrap_or_else(|wrong| refuse(&wrong));
        }
        let Cli {
            command: DaemonCommand::Node(args),
            quiet,
            verbose,
            json,
        } = Cli::try_parse().unwrap_or_else(|wrong| refuse(&wrong));
        Cli {
            command: Command::Node(args),
            quiet,
            verbose,
            json,
        }
    }
}

/// Ends the process over a wrong command line, or after the help that was asked for.
fn refuse(wrong: &clap::Error) -> ! {
    if wrong.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let text = wrong.render().to_string();
        let text = text.trim().trim_start_matches("error: ").to_owned();
        let code = failure::tell(&Refused(text).into(), true);
        std::process::exit(code.into());
    }
    if !wrong.use_stderr() {
        // The help that was asked for is a result.
        output::note(wrong.print().and_then(|()| io::stdout().flush()));
        if output::is_unwritten() {
            std::process::exit(failure::RUN_FAILED.into());
        }
        std::process::exit(0);
    }
    wrong.exit()
}

#[derive(Debug, Subcommand)]
pub enum VmCommand {
    /// Fetch the distribution's kernel into the cache, without root, unless one is there
    Fetch {
        /// Another suite of Debian's, bookworm-backports for instance: a kernel that runs take with --kernel only
        #[arg(long)]
        suite: Option<String>,
        /// Also if one is there: the distribution may have a newer one
        #[arg(long)]
        again: bool,
    },
    /// Build a User-Mode Linux for --backend uml into the cache, without root: Debian's kernel source
    /// with our patches, some minutes
    BuildUml {
        /// The directory with patches and configuration; default: where this program is from
        #[arg(long, value_name = "DIR")]
        recipe: Option<PathBuf>,
        /// Also if one is there
        #[arg(long)]
        again: bool,
    },
}

#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Topology file
    pub topology: PathBuf,
    /// Run directory; default: runs/NAME-N with the next free N
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Replace the run or sweep in --out if there is one; other files there stay
    #[arg(long)]
    pub force: bool,
    /// Root seed, instead of the topology's
    #[arg(long)]
    pub seed: Option<u64>,
    /// A value in place of the file's, such as `backbone.delay=10 ms` or
    /// `nodes.client.polls[0].every=1 s`; may be repeated. With --seeds several values,
    /// `PATH=VALUE,VALUE` or `PATH=10..80:10 ms`: every combination is run
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<Parameter>,
    /// Run once per seed of A..B, both included, at most 100000, and report the distribution
    #[arg(long, value_name = "A..B", value_parser = parse_seeds, conflicts_with = "seed")]
    pub seeds: Option<RangeInclusive<u64>>,
    /// With --seeds: no more seeds once the 95 % interval of a figure's mean or median is this near,
    /// such as `handover_delay_s median ±1 %`; --seeds has the last one that there may be
    #[arg(long, value_name = "RULE", requires = "seeds")]
    pub until: Option<Until>,
    /// With --seeds: runs at the same time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..), requires = "seeds")]
    pub jobs: u8,
    /// With --seeds: a delay (`1.54 s`) to place in the distribution
    #[arg(long, value_parser = units::quantity::parse_duration, requires = "seeds")]
    pub compare: Option<Duration>,
    /// With --seeds: keep every run's captures; without it, a run can be had again by its seed
    #[arg(long, requires = "seeds")]
    pub captures: bool,
    /// With --seeds: go on with the sweep in --out, and run only what is missing
    #[arg(long, requires = "seeds", requires = "out", conflicts_with = "force")]
    pub resume: bool,
    /// Write the run, or the sweep, as one self-contained HTML page
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the expectations as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    pub watch: WatchArgs,
    #[command(flatten)]
    pub how: HowArgs,
}

#[derive(Clone, Debug, Args)]
pub struct AnalyzeArgs {
    /// pcap or pcapng files, also compressed by gzip; `-` is standard input
    #[arg(required_unless_present = "self_test")]
    pub captures: Vec<PathBuf>,
    /// Every Message ID in the table, not only the notable ones
    #[arg(long)]
    pub all: bool,
    /// A UDP port of CoAP besides 5683; may be repeated
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Vec<u16>,
    /// The addresses of a node, such as `sensor=2001:db8:1::5,2001:db8:2::5`, instead of what
    /// messages or the pattern of requests say; may be repeated
    #[arg(long, value_name = "NAME=ADDR,...", value_parser = parse_node)]
    pub node: Vec<(String, Vec<IpAddr>)>,
    /// The same message again within this time of its last transmission is a retransmission:
    /// MAX_TRANSMIT_SPAN of RFC 7252, 225 s with an ACK_TIMEOUT of 10 s; default: 45 s
    #[arg(long, value_name = "TIME", value_parser = units::quantity::parse_duration)]
    pub max_transmit_span: Option<Duration>,
    /// Who has sent a request again as often does not send it once more if the response does not
    /// come: MAX_RETRANSMIT of RFC 7252; default: 4
    #[arg(long, value_name = "N")]
    pub max_retransmit: Option<u32>,
    /// A context of 6LoWPAN header compression and its prefix, such as `1=2001:db8::/64`, of
    /// which the captures have no router advertisement that tells it; may be repeated
    #[arg(long, value_name = "ID=PREFIX", value_parser = parse_context)]
    pub context: Vec<(u8, Ipv6Net)>,
    /// Measure a synthetic capture with a known gap instead
    #[arg(long, conflicts_with = "captures")]
    pub self_test: bool,
}

/// `NAME=ADDR,ADDR`.
fn parse_node(text: &str) -> Result<(String, Vec<IpAddr>), String> {
    let node = text.split_once('=').and_then(|(name, addresses)| {
        let addresses = addresses.split(',').map(|a| a.trim().parse().ok());
        let addresses: Vec<IpAddr> = addresses.collect::<Option<_>>()?;
        (!name.is_empty()).then(|| (name.to_owned(), addresses))
    });
    node.ok_or_else(|| "a name and its addresses, such as sensor=2001:db8::5,192.0.2.5".into())
}

/// `ID=PREFIX`, of header compression (RFC 6282 §3.1.2).
fn parse_context(text: &str) -> Result<(u8, Ipv6Net), String> {
    let context = text.split_once('=').and_then(|(id, prefix)| {
        let id: u8 = id.parse().ok().filter(|id| *id < 16)?;
        Some((id, prefix.parse().ok()?))
    });
    context.ok_or_else(|| "a context from 0 to 15 and a prefix, such as 1=2001:db8::/64".into())
}

/// Most seeds of a sweep: days of runs.
const MAX_SEEDS: u64 = 100_000;

/// `A..B`, both included.
fn parse_seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let wrong = || format!("`{text}` is no range of seeds such as 1..50");
    let (first, last) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
    let range = number(first)?..=number(last)?;
    match range.end().checked_sub(*range.start()) {
        None => Err(wrong()),
        Some(more) if more >= MAX_SEEDS => Err(format!(
            "`{text}` is more than {MAX_SEEDS} seeds; a run takes a second or more"
        )),
        Some(_) => Ok(range),
    }
}

#[derive(Clone, Debug, Args)]
pub struct HowArgs {
    /// Where the network lives
    #[arg(long, value_enum, default_value_t = HowArgs::default().backend)]
    pub backend: BackendArg,
    /// Virtual: idle time costs nothing and runs repeat to the byte
    #[arg(long, value_enum, default_value_t = HowArgs::default().clock)]
    pub clock: ClockArg,
    /// Kernel image for the VM (vmlinuz or vmlinux); its modules are expected beside it, in
    /// ../lib/modules. With --backend uml, the directory of one that `vm build-uml` built
    #[arg(long)]
    pub kernel: Option<PathBuf>,
    /// With --backend uml, what a system call takes of virtual time (`10 us`), or between what and what, drawn
    /// by the seed: `1 us..50 us` has what happens at one instant happen in other orders for other seeds
    /// [default: 10 us]
    #[arg(long, value_name = "TIME[..TIME]")]
    pub syscall_cost: Option<Processor>,
}

impl Default for HowArgs {
    fn default() -> HowArgs {
        HowArgs {
            backend: BackendArg::Auto,
            clock: ClockArg::Virtual,
            kernel: None,
            syscall_cost: None,
        }
    }
}

impl HowArgs {
    /// The words of the command line that say it, without what goes without saying.
    pub fn words(&self) -> Vec<String> {
        let HowArgs {
            backend,
            clock,
            kernel,
            syscall_cost,
        } = self;
        let defaults = HowArgs::default();
        let mut words = Vec::new();
        if *backend != defaults.backend {
            words.extend(["--backend".to_owned(), backend.name().to_owned()]);
        }
        if *clock != defaults.clock {
            words.extend(["--clock".to_owned(), clock.name().to_owned()]);
        }
        if let Some(kernel) = kernel {
            words.extend(["--kernel".to_owned(), kernel.display().to_string()]);
        }
        if let Some(cost) = syscall_cost {
            words.extend(["--syscall-cost".to_owned(), cost.option()]);
        }
        words
    }
}

#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Topology file
    pub topology: PathBuf,
    /// A value in place of the file's, such as `backbone.delay=10 ms`; may be repeated
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<Parameter>,
    /// How many runs
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..))]
    pub runs: u32,
    /// Root seed, instead of the topology's
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where the network lives; what is native does not repeat
    #[arg(long, value_enum, default_value_t = BackendArg::Auto)]
    pub backend: BackendArg,
    /// Kernel image for the VM
    #[arg(long)]
    pub kernel: Option<PathBuf>,
    /// With --backend uml, what a system call takes, as `run` has it
    #[arg(long, value_name = "TIME[..TIME]")]
    pub syscall_cost: Option<Processor>,
}

#[derive(Clone, Debug, Args)]
pub struct ModelArgs {
    /// One figure of the paper only
    #[arg(long, value_parser = clap::value_parser!(u8).range(15..=17))]
    pub figure: Option<u8>,
    /// Default: text; csv is of one figure
    #[arg(long, value_enum)]
    pub format: Option<FormatArg>,
    /// A parameter or a reading, by its name in the JSON: wireless_delay=20ms; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Write model.json and figure-15.csv to figure-17.csv there, over those of an earlier time
    #[arg(long, value_name = "DIR", conflicts_with_all = ["figure", "format"])]
    pub out: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// Run directory, or the directory of a sweep
    pub dir: PathBuf,
    /// The page; default: report.html in the directory
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write every figure as an SVG file there
    #[arg(long, value_name = "DIR")]
    pub svg: Option<PathBuf>,
    /// Write the values of every figure as comma-separated values there
    #[arg(long, value_name = "DIR")]
    pub csv: Option<PathBuf>,
    /// Write the expectations as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Of a sweep: a delay (`1.54 s`) to place in the distribution
    #[arg(long, value_parser = units::quantity::parse_duration)]
    pub compare: Option<Duration>,
}

#[derive(Clone, Debug, Args)]
pub struct SequenceArgs {
    /// Run directory
    pub dir: PathBuf,
    /// A handover, by the node's own number, with its phases
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "to"])]
    pub handover: Option<u32>,
    /// From this time of the scenario on (`1.2 s`)
    #[arg(long, value_name = "TIME", value_parser = units::quantity::parse_duration)]
    pub from: Option<Duration>,
    /// Until this time of the scenario
    #[arg(long, value_name = "TIME", value_parser = units::quantity::parse_duration)]
    pub to: Option<Duration>,
    /// Only what these nodes send and receive, and what is about them; with --handover, whose it is
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub node: Vec<String>,
    /// How it is written
    #[arg(long, value_enum, default_value_t = SequenceFormat::Text)]
    pub format: SequenceFormat,
    /// As many messages at most; the others are counted
    #[arg(long, value_name = "N", default_value = "200")]
    pub limit: NonZeroUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SequenceFormat {
    /// Lines for a terminal
    Text,
    /// A drawing
    Svg,
    /// A diagram of Mermaid
    Mermaid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Tables to read
    Text,
    /// One figure's data: a line of names, one line per point
    Csv,
    /// Data with the parameters and readings that decided it
    Json,
}

#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// Resolved plan (`wpanlab plan`), as YAML, or as JSON if its name ends with .json
    #[arg(long)]
    pub plan: PathBuf,
    /// Take control lines from standard input and leave at its end
    #[arg(long)]
    pub control: bool,
    /// How often the node crashed before: it must not repeat its Message IDs
    #[arg(long, default_value_t = 0)]
    pub crashes: u32,
    /// The 802.15.4 interface
    #[arg(long, default_value = "wpan0")]
    pub wpan: String,
    /// The 6LoWPAN interface
    #[arg(long, default_value = "lowpan0")]
    pub lowpan: String,
    /// Directory of what outlives the daemon: the WMMS's table, in NODE.redb, and what LwM2M keeps, in NODE.lwm2m-*.json
    #[arg(long, value_name = "DIR", default_value = "/var/lib/wpanlab")]
    pub state: PathBuf,
    /// Keep the WMMS's table in PostgreSQL, shared with other instances: a JSON file that names the
    /// database and them (docs/wmms.md)
    #[arg(long, value_name = "FILE", requires = "instance")]
    pub store: Option<PathBuf>,
    /// With --store: which of the file's instances this is
    #[arg(long, value_name = "NAME", requires = "store")]
    pub instance: Option<String>,
    /// A mobile node's signals: told by control lines, or the LQI of the frames that its own
    /// radio receives (on a board; in the initial network namespace only)
    #[arg(long, value_enum, default_value_t = SignalArg::Control)]
    pub signal: SignalArg,
    /// With --signal radio: signal over the plan's sensitivity at which the radio's LQI is 255;
    /// "6 dB" for an AT86RF23x
    #[arg(long, value_name = "DB", default_value_t = units::Lqi::SPAN)]
    pub lqi_span: Db,
    /// Which node of the plan
    pub node: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SignalArg {
    /// Control lines on standard input
    Control,
    /// The node's own radio, through AF_IEEE802154
    Radio,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendArg {
    /// With virtual time a User-Mode Linux, if one was built and can run here, else QEMU. With real time
    /// native, if that is possible, else QEMU
    Auto,
    /// This machine's kernel; needs root and the 802.15.4 modules
    Native,
    /// QEMU; needs no privileges
    Vm,
    /// A User-Mode Linux, built by `wpanlab vm build-uml`: virtual time at the speed of this machine; needs no
    /// privileges
    Uml,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockArg {
    /// The guest's time is counted in instructions
    Virtual,
    /// The wall's
    Realtime,
}

impl BackendArg {
    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            BackendArg::Auto => "auto",
            BackendArg::Native => "native",
            BackendArg::Vm => "vm",
            BackendArg::Uml => "uml",
        }
    }
}

impl ClockArg {
    /// The word in results.
    pub fn name(self) -> &'static str {
        match self {
            ClockArg::Virtual => "virtual",
            ClockArg::Realtime => "realtime",
        }
    }
}
