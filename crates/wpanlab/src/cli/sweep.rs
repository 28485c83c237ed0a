//! `wpanlab sweep`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use topology::Parameter;

use super::{HowArgs, RunArgs, WatchArgs, parse_seeds};
use crate::sweep::{Numbers, Shard, Which};

#[derive(Debug, Subcommand)]
pub enum SweepCommand {
    /// Write the plan of a sweep into a directory; nothing is run
    ///
    /// Prints a line of JSON for each run: `index`, `point`, `seed`, `set`, `command` that makes it there
    /// and `alone`, the command that makes it by itself. In a directory with the same plan nothing
    /// changes, but that there may be more seeds.
    Plan(PlanArgs),
    /// Run some of the runs of a plan; those that are there already are not run again
    ///
    /// May be killed at any instant, and be called on several machines at once. Exit code: 0 the runs are
    /// there, 2 this program, kernel, machine or topology is another than the plan's, 3 a run failed
    /// itself. Whether expectations hold is for `collect` to say.
    Run(ShardArgs),
    /// Put together what shards have made, in their plan's directory or in one of their own
    ///
    /// Leaves what one `wpanlab run --seeds` leaves. Exit code: as that's; 3 if runs are missing, of which
    /// the indexes are printed as `--array=` of Slurm and HyperQueue takes them.
    Collect {
        /// The plan's directory
        dir: PathBuf,
        /// Directories of shards with the same plan, which are copied in
        #[arg(value_name = "SHARD")]
        shards: Vec<PathBuf>,
    },
    /// Say which runs of a plan are there; nothing is changed
    Status {
        /// The plan's directory
        dir: PathBuf,
    },
}

#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// Topology file; it is kept in the directory, with the files that it names
    pub topology: PathBuf,
    /// The directory
    #[arg(long)]
    pub out: PathBuf,
    /// Replace the run or sweep in --out if there is one; other files there stay
    #[arg(long)]
    pub force: bool,
    /// One run per seed of A..B, both included, at most 100000
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    pub seeds: RangeInclusive<u64>,
    /// Values in place of the file's, `PATH=VALUE,VALUE` or `PATH=10..80:10 ms`; may be repeated:
    /// every combination is run
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<Parameter>,
    /// Keep every run's captures; without it, a run can be had again by its seed
    #[arg(long)]
    pub captures: bool,
    #[command(flatten)]
    pub how: HowArgs,
}

impl From<PlanArgs> for RunArgs {
    fn from(args: PlanArgs) -> RunArgs {
        RunArgs {
            topology: args.topology,
            out: Some(args.out),
            force: args.force,
            seed: None,
            set: args.set,
            seeds: Some(args.seeds),
            until: None,
            jobs: 1,
            compare: None,
            captures: args.captures,
            resume: !args.force,
            report: None,
            junit: None,
            watch: WatchArgs::default(),
            how: args.how,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct ShardArgs {
    /// The plan's directory
    pub dir: PathBuf,
    #[command(flatten)]
    which: WhichArgs,
    /// Runs at the same time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub jobs: u8,
    /// Where the kernel is on this machine, if not where the plan says; it is to be the same one
    #[arg(long)]
    pub kernel: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct WhichArgs {
    /// The runs with these indexes, from 1, such as `17` or `3,17-20`
    #[arg(long, value_name = "N")]
    index: Option<Numbers>,
    /// The Kth of N shards, both from 1: every Nth run
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
}

impl ShardArgs {
    /// Which runs.
    pub fn which(&self) -> Which {
        match (&self.which.index, self.which.shard) {
            (_, Some(shard)) => Which::Shard(shard),
            (index, None) => Which::Index(index.clone().unwrap_or_default()),
        }
    }
}
