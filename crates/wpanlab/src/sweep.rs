//! Many runs of a topology: one per seed and combination of `--set` values, and how their figures are
//! distributed (`docs/sweep.md`). `wpanlab run --seeds` makes all of them; `wpanlab sweep` writes a plan
//! that any engine can divide among its machines, and puts together what they made.
//!
//! | module | holds |
//! | --- | --- |
//! | [`whole`] | `run --seeds`: all of it, in this process |
//! | [`plan`] | `sweep plan`: the directory before the first run; reading it again |
//! | [`shard`] | `sweep run`: some of the runs |
//! | [`collect`] | `sweep collect`: shards put together |
//! | [`status`] | `sweep status`: which runs are there |
//! | [`manifest`], [`by`] | `sweep.json`: what is run, and by what |
//! | [`journal`] | `runs.jsonl`: which runs are done |
//! | [`one`], [`crew`] | one run, and several at a time |
//! | [`place`], [`numbers`] | where a shard puts a run; which runs it makes |
//! | [`until`] | `--until`: how many seeds are enough |
//! | [`tables`] | what a finished sweep says |

use std::rc::Rc;

use anyhow::Result;
use topology::{Assignment, Parameter, Plan};

use crate::cli::{RunArgs, SweepCommand};
use crate::progress::Show;
use crate::run::load_and_warn;
use crate::source::Source;
use crate::{Outcome, Say};

mod by;
mod collect;
mod crew;
mod journal;
pub mod manifest;
mod numbers;
mod one;
mod place;
mod plan;
mod shard;
mod status;
mod tables;
mod until;
mod whole;

pub use numbers::{Numbers, Shard, Which};
pub use until::Until;
pub use whole::run;

/// One combination of parameter values.
pub struct Point {
    /// From 1.
    number: usize,
    assignments: Vec<Assignment>,
    /// Resolved with the first seed.
    plan: Plan,
}

type Points = Vec<Point>;

/// `wpanlab sweep`.
pub async fn sweep(command: SweepCommand, show: Show, say: Say) -> Result<Outcome> {
    match command {
        SweepCommand::Plan(args) => plan::plan(args.into(), &show, say).await,
        SweepCommand::Run(args) => shard::run(&args, &show, say).await,
        SweepCommand::Collect { dir, shards } => collect::collect(&dir, &shards, say),
        SweepCommand::Status { dir } => status::status(&dir, say),
    }
}

/// Every combination of the parameters' values with its plan. What there is to say of them is said
/// if it is known how.
fn points(source: &Rc<Source>, args: &RunArgs, seed: u64, say: Option<Say>) -> Result<Points> {
    let mut points = Vec::new();
    for (index, assignments) in Parameter::combinations(&args.set).into_iter().enumerate() {
        let loaded = match say {
            Some(say) => load_and_warn(source, Some(seed), &assignments, say)?,
            None => source.load(Some(seed), &assignments)?,
        };
        points.push(Point {
            number: index + 1,
            assignments,
            plan: loaded.plan,
        });
    }
    Ok(points)
}
