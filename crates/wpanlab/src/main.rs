//! The `wpanlab` command.
//!
//! Owns the command line, the choice of backend and the exit code; everything else is in the
//! crates. As the first process of a VM it is the guest instead.
//!
//! | module | holds |
//! | --- | --- |
//! | [`cli`] | the command line |
//! | [`run`], [`staged`] | `run`: plan, backend, measurement, summary; again when somebody who looks wants another step |
//! | [`backend`] | native or VM, and why |
//! | [`follow`] | what is done with what a run in a VM tells while it goes on |
//! | [`memory`] | how large a VM a run needs |
//! | [`guest`], [`job`] | the same testbed as the first process of a VM, and what it is told |
//! | [`sweep`] | `run --seeds` and `sweep`: runs over seeds and parameter values, and the distribution |
//! | [`source`] | a topology as it was read, with the files that it names |
//! | [`made`] | `made.json`: when and by which command |
//! | [`verify`] | `verify`: run again and compare |
//! | [`mod@model`] | `model`: the CoMP paper's delay and loss model |
//! | [`mod@report`] | `report`: a run or a sweep as a page, figures and JUnit XML |
//! | [`mod@sequence`], [`mod@view`] | `sequence`: a stretch of a run in words; `view`: a run played in a browser, also while `run` goes on |
//! | [`mod@new`], [`examples`] | a first topology, and those that the project ships |
//! | [`gateway`] | `gateway`: the gateway of a testbed, for nodes of a real network |
//! | [`doctor`], [`clean`] | what this machine can do; what killed runs left |
//! | [`mod@analyze`] | `analyze`: captures taken anywhere |
//! | [`progress`], [`output`], [`failure`] | progress on a terminal or as plain lines; results; errors and exit codes |

#![forbid(unsafe_code)]

#[macro_use]
mod output;

mod analyze;
mod backend;
mod clean;
mod cli;
mod doctor;
mod examples;
mod failure;
mod follow;
mod gateway;
mod guest;
mod job;
mod kernels;
mod live;
mod made;
mod memory;
mod model;
mod new;
mod progress;
mod report;
mod run;
mod sequence;
mod source;
mod staged;
mod sweep;
mod verify;
mod view;

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::{Context, Result};
use clap::CommandFactory;
use nodes::SignalSource;
use testbed::privileges;
use topology::Plan;

use cli::{Cli, Command, NodeArgs, SignalArg, VmCommand};
use failure::Refused;

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything holds.
    Passed,
    /// An expectation does not hold, two runs differ, or captures show nothing.
    Failed,
    /// Something of what was given is wrong, which has been said.
    BadInput,
}

impl Outcome {
    fn code(self) -> u8 {
        match self {
            Outcome::Passed => 0,
            Outcome::Failed => 1,
            Outcome::BadInput => failure::BAD_INPUT,
        }
    }
}

/// How a command says what it found.
#[derive(Clone, Copy, Debug)]
pub struct Say {
    /// As JSON.
    pub json: bool,
    /// The result only.
    pub quiet: bool,
}

fn main() -> ExitCode {
    if vm::guest::is_guest() {
        guest::main();
    }
    let cli = Cli::of_process();
    // A daemon's log is for reading later; the command's is for what went wrong.
    let of_daemon = matches!(cli.command, Command::Node(_) | Command::Gateway(_));
    init_logging(cli.verbose.saturating_add(u8::from(of_daemon)), of_daemon);
    let json = cli.json;
    let ended = runtime().and_then(|runtime| {
        let ended = runtime.block_on(dispatch(cli));
        // What was interrupted may still be measuring.
        runtime.shutdown_background();
        ended
    });
    ExitCode::from(match ended {
        Ok(_) if output::is_unwritten() => failure::RUN_FAILED,
        Ok(outcome) => outcome.code(),
        Err(error) if of_daemon => {
            last_words(&failure::words(&error, json));
            failure::code(&error)
        }
        Err(error) => failure::tell(&error, json),
    })
}

/// Says why a daemon ends, without waiting for who reads it: it is to be started again.
fn last_words(text: &str) {
    // Where nobody can be told nobody is.
    if let Ok(mut outlet) = outlet() {
        let _ = outlet.write_lines(format!("{text}\n").as_bytes());
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

/// Bytes of its log that a daemon keeps back while nobody reads it.
const LOG_BYTES: usize = 1 << 16;

/// Standard error, whose reader nobody waits for.
fn outlet() -> std::io::Result<driver::Outlet> {
    let lost = |lines| format!("{lines} lines of the log lost: nobody read them\n").into_bytes();
    driver::Outlet::open(std::io::stderr().as_fd(), LOG_BYTES, lost)
}

/// A daemon's log keeps nobody waiting, whoever reads it.
fn init_logging(verbose: u8, of_daemon: bool) {
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::fmt::writer::BoxMakeWriter;
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("WPANLAB_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let writer = match of_daemon.then(outlet).and_then(Result::ok) {
        Some(outlet) => BoxMakeWriter::new(Mutex::new(outlet)),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(writer)
        // It would be said on standard error, which nobody reads then.
        .log_internal_errors(false)
        .init();
}

async fn dispatch(cli: Cli) -> Result<Outcome> {
    let say = Say {
        json: cli.json,
        quiet: cli.quiet,
    };
    let show = || progress::Show::new(say.quiet || say.json);
    match cli.command {
        Command::Run(args) if args.seeds.is_some() => sweep::run(args, show(), say).await,
        Command::Run(args) => run::run(args, show(), say).await,
        Command::Sweep(command) => sweep::sweep(command, show(), say).await,
        Command::New { file } => new::new(&file, say.json),
        Command::Examples { names, all, out } => examples::examples(&names, all, &out, say.json),
        Command::Check { topologies, set } => run::check(&topologies, &set, say),
        Command::Plan {
            topology,
            seed,
            set,
        } => run::print_plan(&topology, seed, &set, say),
        Command::Schema => {
            out!("{}", topology::schema());
            Ok(Outcome::Passed)
        }
        Command::Analyze(args) => analyze::analyze(&args, say),
        Command::Verify(args) => verify::verify(args, show(), say).await,
        Command::Model(args) => model::model(&args, say.json, say.quiet),
        Command::Report(args) => report::report(&args, say),
        Command::Sequence(args) => sequence::sequence(&args, say),
        Command::Exec(_) | Command::Capture(_) if say.json => {
            Err(Refused("--json: this command's output is no result".into()).into())
        }
        Command::Exec(args) => live::exec(&args),
        Command::Capture(args) => live::capture(&args),
        Command::View(args) => view::view(&args, say).await,
        Command::Doctor => doctor::doctor(say.json).await,
        Command::Clean { dry_run } => clean::clean(dry_run, say),
        Command::Vm(VmCommand::Fetch { suite, again }) => {
            kernels::fetch(suite.as_deref(), again, show(), say)
        }
        Command::Vm(VmCommand::BuildUml { recipe, again }) => {
            kernels::build_uml(recipe, again, show(), say)
        }
        Command::Node(_)
        | Command::Gateway(_)
        | Command::Completions { .. }
        | Command::Man { .. }
            if say.json =>
        {
            Err(Refused("--json: this command's output is no result".into()).into())
        }
        Command::Node(args) => node(args).await,
        Command::Gateway(args) => gateway::gateway(args).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut <Cli>::command(), "wpanlab", &mut script);
            out!("{}", String::from_utf8_lossy(&script));
            Ok(Outcome::Passed)
        }
        Command::Man { dir } => man(&dir),
    }
}

/// `wpanlab man`: a page per command, written as everything is that may have something in the way.
fn man(dir: &Path) -> Result<Outcome> {
    let mut command = <Cli>::command().disable_help_subcommand(true);
    command.build();
    std::fs::create_dir_all(dir)
        .and_then(|()| man_pages(&command, dir))
        .with_context(|| format!("write man pages into {}", dir.display()))?;
    Ok(Outcome::Passed)
}

fn man_pages(command: &clap::Command, dir: &Path) -> std::io::Result<()> {
    let shown = command.get_subcommands().filter(|c| !c.is_hide_set());
    for command in shown {
        man_pages(command, dir)?;
    }
    let page = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    files::Tree::new(dir).replace(&dir.join(page.get_filename()), &text)
}

async fn node(args: NodeArgs) -> Result<Outcome> {
    // In a run the testbed has left it less.
    privileges::keep_only(privileges::OF_DAEMON_ALONE).context("give up privileges")?;
    let text = failure::read(&args.plan)?;
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
        shared: (args.store.zip(args.instance))
            .map(|(settings, instance)| nodes::Shared { settings, instance }),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_man_page_takes_the_place_of_a_link_or_a_fifo_and_follows_none() {
        let base = tempfile::tempdir().unwrap();
        let (dir, precious) = (base.path().join("man"), base.path().join("precious"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(&precious, "mine").unwrap();
        std::os::unix::fs::symlink(&precious, dir.join("wpanlab.1")).unwrap();
        let mode = nix::sys::stat::Mode::S_IRUSR;
        nix::unistd::mkfifo(&dir.join("wpanlab-run.1"), mode).unwrap();
        assert_eq!(man(&dir).unwrap(), Outcome::Passed);
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine");
        for name in ["wpanlab.1", "wpanlab-run.1"] {
            assert!(std::fs::symlink_metadata(dir.join(name)).unwrap().is_file());
        }
    }
}
