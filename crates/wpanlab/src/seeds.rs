//! `wpanlab run --seeds A..B`: one run per seed, several at a time, and the distribution.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use measure::distribution::{Distribution, SeedRow};
use rundir::RunDir;
use tokio::task::JoinSet;
use units::Seed;

use crate::Outcome;
use crate::backend::How;
use crate::cli::RunArgs;
use crate::progress::Show;
use crate::run::{choose_run_dir, load, make_run_dir, perform};

/// The distribution's file in the sweep's directory.
const DISTRIBUTION: &str = "distribution.json";

/// Runs the topology once per seed. Each run is what `--seed` alone would give.
pub async fn run(args: RunArgs, show: Show, json: bool) -> Result<Outcome> {
    let Some(seeds) = args.seeds.clone() else {
        return Ok(Outcome::Passed);
    };
    let Some(plan) = load(&args.topology, None)? else {
        return Ok(Outcome::BadTopology);
    };
    let sweep = choose_run_dir(&plan, &args)?;
    let how = How::choose(&args.how, &show).await?;
    make_run_dir(&sweep)?;
    let path = sweep.plan();
    fs::write(&path, plan.to_yaml()).with_context(|| format!("write {}", path.display()))?;
    let total = seeds.clone().count();
    let mut waiting = seeds;
    let mut rows: Vec<SeedRow> = Vec::new();
    let tasks = tokio::task::LocalSet::new();
    let mut running: JoinSet<Result<SeedRow>> = JoinSet::new();
    tasks
        .run_until(async {
            loop {
                while running.len() < usize::from(args.jobs) {
                    let Some(seed) = waiting.next() else { break };
                    let (args, how) = (args.clone(), how.clone());
                    let dir = sweep.root().join(format!("seed-{seed}"));
                    running.spawn_local(async move { one(&args, &how, seed, &dir).await });
                }
                let Some(ended) = running.join_next().await else {
                    return anyhow::Ok(());
                };
                rows.push(ended.context("a run's task")??);
                show.stage(&format!("{} of {total} runs done", rows.len()));
            }
        })
        .await
        .with_context(|| format!("{} of {total} runs were done", rows.len()))?;
    show.done();
    let distribution = Distribution::of(&plan.name, rows);
    let path = sweep.root().join(DISTRIBUTION);
    let text = serde_json::to_string_pretty(&distribution)?;
    fs::write(&path, &text).with_context(|| format!("write {}", path.display()))?;
    if json {
        println!("{text}");
    } else {
        print!(
            "{}",
            distribution.report(args.compare.map(|delay| delay.as_secs_f64()))
        );
        println!("runs in {}", sweep.root().display());
    }
    let passed = distribution.runs.iter().all(|row| row.passed);
    Ok(if passed {
        Outcome::Passed
    } else {
        Outcome::Failed
    })
}

async fn one(args: &RunArgs, how: &How, seed: u64, dir: &Path) -> Result<SeedRow> {
    let failed = || format!("seed {seed}");
    // The seed decides identifiers, so each run has its own plan; the text was valid before.
    let plan = load(&args.topology, Some(seed))?.with_context(failed)?;
    fs::create_dir_all(dir).with_context(failed)?;
    let dir = RunDir::new(dir);
    let result = perform(&plan, how, &dir, &Show::Nothing)
        .await
        .with_context(failed)?;
    debug_assert_eq!(result.seed, Seed(seed));
    if !args.captures {
        fs::remove_dir_all(dir.captures()).with_context(failed)?;
    }
    Ok(SeedRow::of(&result))
}
