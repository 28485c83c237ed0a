//! The `wpanlab` command.
//!
//! Owns the command line, the choice of backend and the exit code; everything else is in the
//! crates. As the first process of a VM it is the guest instead.
//!
//! | module | holds |
//! | --- | --- |
//! | [`cli`] | the command line |
//! | [`run`] | `run`: plan, backend, measurement, summary |
//! | [`backend`] | native or VM, and why |
//! | [`guest`], [`job`] | the same testbed as the first process of a VM, and what it is told |
//! | [`sweep`] | `run --seeds`: runs over seeds and parameter values, and the distribution |
//! | [`verify`] | `verify`: run again and compare |
//! | [`mod@model`] | `model`: the CoMP paper's delay and loss model |
//! | [`mod@report`] | `report`: a run or a sweep as a page, figures and JUnit XML |
//! | [`mod@new`], [`examples`] | a first topology, and those that the project ships |
//! | [`doctor`], [`clean`] | what this machine can do; what killed runs left |
//! | [`progress`], [`output`] | progress on a terminal or as plain lines; results |

#[macro_use]
mod output;

mod backend;
mod clean;
mod cli;
mod doctor;
mod examples;
mod guest;
mod job;
mod model;
mod new;
mod progress;
mod report;
mod run;
mod sweep;
mod verify;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;
use nodes::SignalSource;
use topology::Plan;

use cli::{Cli, Command, NodeArgs, SignalArg, VmCommand};

/// What a command's end means to whoever called it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything holds.
    Passed,
    /// An expectation does not hold, or two runs differ.
    Failed,
    /// The topology is wrong.
    BadTopology,
    /// An argument is wrong that the command line itself could not refuse.
    BadInput,
}

impl Outcome {
    fn code(self) -> u8 {
        match self {
            Outcome::Passed => 0,
            Outcome::Failed => 1,
            Outcome::BadTopology | Outcome::BadInput => 2,
        }
    }
}

/// Exit code of a run that failed itself.
const RUN_FAILED: u8 = 3;

fn main() -> ExitCode {
    if vm::guest::is_guest() {
        guest::main();
    }
    let cli = Cli::of_process();
    // A daemon's log is for reading later; the command's is for what went wrong.
    let base = u8::from(matches!(cli.command, Command::Node(_)));
    init_logging(cli.verbose.saturating_add(base));
    match runtime().and_then(|runtime| runtime.block_on(dispatch(cli))) {
        Ok(outcome) => ExitCode::from(outcome.code()),
        Err(error) => {
            eprintln!("wpanlab: {error:#}");
            ExitCode::from(RUN_FAILED)
        }
    }
}

/// One thread: children are told to die with the thread that started them, and a runtime's
/// worker threads come and go.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("tokio runtime")
}

fn init_logging(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("WPANLAB_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

async fn dispatch(cli: Cli) -> Result<Outcome> {
    let show = progress::Show::new(cli.quiet || cli.json);
    match cli.command {
        Command::Run(args) if args.seeds.is_some() => sweep::run(args, show, cli.json).await,
        Command::Run(args) => run::run(args, show, cli.json, cli.quiet).await,
        Command::New { file } => new::new(&file, cli.json),
        Command::Examples { names, all, out } => examples::examples(&names, all, &out, cli.json),
        Command::Check { topologies, set } => run::check(&topologies, &set),
        Command::Plan {
            topology,
            seed,
            set,
        } => run::print_plan(&topology, seed, &set),
        Command::Schema => {
            out!("{}", topology::schema());
            Ok(Outcome::Passed)
        }
        Command::Analyze {
            self_test: true, ..
        } => {
            measure::selftest().context("self-test")?;
            outln!("self-test passed: a known gap was measured back to within 1 ms");
            Ok(Outcome::Passed)
        }
        Command::Analyze {
            captures,
            all,
            context,
            ..
        } => run::analyze(&captures, context, all, cli.json),
        Command::Verify(args) => verify::verify(args, show).await,
        Command::Model(args) => model::model(&args, cli.json, cli.quiet),
        Command::Report(args) => report::report(&args, cli.quiet || cli.json),
        Command::Doctor => doctor::doctor(cli.json).await,
        Command::Clean { dry_run } => clean::clean(dry_run),
        Command::Vm(VmCommand::Fetch) => backend::fetch(show),
        Command::Node(args) => node(args).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut <Cli>::command(), "wpanlab", &mut script);
            out!("{}", String::from_utf8_lossy(&script));
            Ok(Outcome::Passed)
        }
        Command::Man { dir } => man(&dir),
    }
}

/// `wpanlab man`.
fn man(dir: &Path) -> Result<Outcome> {
    let written =
        std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(<Cli>::command(), dir));
    written.with_context(|| format!("write man pages into {}", dir.display()))?;
    Ok(Outcome::Passed)
}

async fn node(args: NodeArgs) -> Result<Outcome> {
    let text = std::fs::read_to_string(&args.plan)
        .with_context(|| format!("read {}", args.plan.display()))?;
    let plan = match args.plan.extension() {
        Some(extension) if extension == "json" => Plan::from_json(text.as_bytes()),
        _ => Plan::from_yaml(&text),
    };
    let plan = plan.with_context(|| format!("plan {}", args.plan.display()))?;
    nodes::run(nodes::Config {
        plan,
        node: args.node,
        controlled: args.control,
        crashes: args.crashes,
        interfaces: nodes::Interfaces {
            wpan: args.wpan,
            lowpan: args.lowpan,
        },
        state: args.state,
        signal: match args.signal {
            SignalArg::Control => SignalSource::Control,
            SignalArg::Radio => SignalSource::Radio {
                span: args.lqi_span,
            },
        },
    })
    .await?;
    Ok(Outcome::Passed)
}
