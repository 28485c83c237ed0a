//! `wpanlab sweep run`: some of the runs of a planned sweep. What is there is not run again, so that it
//! may be killed at any instant and started anew.

use std::ops::ControlFlow;

use anyhow::{Context, Error, Result, bail};
use measure::distribution::{Origin, Row};
use serde_json::json;

use super::by::By;
use super::crew::{self, Tally, When};
use super::numbers::{Numbers, Which};
use super::one::Maker;
use super::place::{Apart, Kept};
use super::plan::Planned;
use super::status::Runs;
use crate::backend::How;
use crate::cli::{HowArgs, ShardArgs};
use crate::failure::Refused;
use crate::progress::Show;
use crate::{Outcome, Say, output};

/// Runs what is asked for and not there yet.
pub async fn run(args: &ShardArgs, show: &Show, say: Say) -> Result<Outcome> {
    let planned = Planned::read(&args.dir)?;
    let which = args.which();
    refuse_beyond(&which, &planned)?;
    let asked = planned.manifest.how();
    let here = HowArgs {
        kernel: args.kernel.clone().or_else(|| asked.kernel.clone()),
        ..asked.clone()
    };
    let how = How::choose(&here, show).await?;
    refuse_others(&planned, &how, &asked)?;
    let maker = Maker {
        source: planned.source.clone(),
        how,
        asked,
        captures: planned.manifest.captures,
    };
    let ended = some(&planned, &maker, &which, args.jobs, show).await?;
    if say.json {
        output::json(&json!({
            "runs": ended.total,
            "before": ended.before,
            "made": ended.made,
            "broken": Numbers::of(ended.broken.iter().copied()).to_string(),
        }))?;
    } else if !say.quiet {
        outln!(
            "{} runs: {} were there, {} made, {} failed themselves",
            ended.total,
            ended.before,
            ended.made,
            ended.broken.len()
        );
    }
    if ended.broken.is_empty() {
        return Ok(Outcome::Passed);
    }
    bail!(
        "the runs {} failed themselves; `error` in row.json of each says why, and the same command runs them again",
        Numbers::of(ended.broken)
    )
}

/// Refuses an index that the sweep has not.
fn refuse_beyond(which: &Which, planned: &Planned) -> Result<()> {
    let total = planned.indexes.total();
    let Which::Index(numbers) = which else {
        return Ok(());
    };
    match numbers.last().filter(|last| *last > total) {
        None => Ok(()),
        Some(last) => {
            let text = format!("--index {last}: the sweep has {total} runs, from 1");
            Err(Refused(text).into())
        }
    }
}

/// Refuses to make runs by something else than what the sweep was planned with.
fn refuse_others(planned: &Planned, how: &How, asked: &HowArgs) -> Result<()> {
    let by = By::of(how, asked.clock, &planned.source.kept()?)?;
    match by.difference(&planned.manifest.by) {
        None => Ok(()),
        Some(difference) => {
            let (dir, difference) = (planned.dir.root(), difference.text("there", "here"));
            let text = format!(
                "{} was planned with another: {difference}; its runs would not be those of the sweep",
                dir.display()
            );
            Err(Refused(text).into())
        }
    }
}

/// What became of the runs.
struct Ended {
    total: usize,
    before: usize,
    made: usize,
    /// Indexes of those that failed themselves.
    broken: Vec<u64>,
}

async fn some(
    planned: &Planned,
    maker: &Maker,
    which: &Which,
    jobs: u8,
    show: &Show,
) -> Result<Ended> {
    let points = planned.manifest.combinations()?;
    let there = Runs::read(planned, |index| which.has(index))?;
    let own: Vec<_> = (planned.indexes.all())
        .filter(|(index, ..)| which.has(*index))
        .collect();
    let failed = there.good().filter(|row| !row.passed).count();
    let mut ended = Ended {
        total: own.len(),
        before: there.good().count(),
        made: 0,
        broken: Vec::new(),
    };
    let mut tally = Tally::of(ended.total, ended.before, failed);
    tally.tell(show);
    let missing = own.into_iter().filter(|(index, ..)| !there.has(*index));
    let runs = missing.filter_map(|(index, point, seed)| {
        let assignments = points.get(point - 1)?.clone();
        let (maker, dir) = (maker.clone(), planned.dir.clone());
        let (by, origin) = (
            planned.manifest.by.clone(),
            maker.origin(point, &assignments, seed),
        );
        Some(async move {
            let apart = Apart::new(&dir, point, seed)?;
            let row = maker.make(&apart.dir, &assignments, &origin).await;
            anyhow::Ok((index, apart, by, origin, row))
        })
    });
    let mut each = |made: Result<(u64, Apart, By, Origin, Result<Row>)>, when: When| {
        let (index, apart, by, origin, row) = made?;
        let Some(row) = when.row(origin, row) else {
            apart.remove()?;
            return Ok(ControlFlow::Continue(()));
        };
        match row.error {
            None => ended.made += 1,
            Some(_) => ended.broken.push(index),
        }
        tally.count(row.passed, show);
        apart.publish(&Kept { by, row })?;
        Ok(ControlFlow::Continue(()))
    };
    let interrupted = crew::work(jobs, runs, &mut each).await?;
    show.done();
    match interrupted {
        None => {
            ended.broken.sort_unstable();
            Ok(ended)
        }
        Some(signal) => Err(Error::from(signal))
            .with_context(|| format!("{} of {} runs are done", tally.done, tally.total)),
    }
}
