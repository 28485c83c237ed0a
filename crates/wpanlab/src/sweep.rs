//! `wpanlab run --seeds A..B`: one run per seed and combination of `--set` values, several at a
//! time, and how their figures are distributed (`docs/sweep.md`).
//!
//! | module | holds |
//! | --- | --- |
//! | [`manifest`] | `sweep.json`: what is run, and by what |
//! | [`journal`] | `runs.jsonl`: which runs are done |

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Error, Result, bail};
use measure::distribution::{Distribution, Origin, Row, table};
use rundir::{RunDir, SweepDir, Written};
use testbed::Signals;
use tokio::task::{JoinSet, LocalSet};
use topology::{Assignment, Parameter, Plan};
use units::Seed;

use crate::backend::How;
use crate::cli::RunArgs;
use crate::progress::{Pace, Runs, Show};
use crate::report::Left;
use crate::run::{is_occupied, load, load_and_warn, make_run_dir, perform, refuse_places};
use crate::{Outcome, Say, failure, made, report};

mod journal;
mod manifest;

use journal::Journal;
use manifest::Manifest;

/// One combination of parameter values.
struct Point {
    /// From 1.
    number: usize,
    assignments: Vec<Assignment>,
    /// Resolved with the first seed.
    plan: Plan,
}

/// Runs the topology once per point and seed. Each run is what `--seed` and `--set` alone give.
pub async fn run(args: RunArgs, show: Show, say: Say) -> Result<Outcome> {
    let mut left = Left::default();
    let ended = to_its_end(&args, show, say, &mut left).await;
    if let Err(error) = &ended {
        report::beside_failed(&left, &args, error);
    }
    ended
}

/// Tells by `left` what there is of the sweep if it fails.
async fn to_its_end(args: &RunArgs, show: Show, say: Say, left: &mut Left) -> Result<Outcome> {
    let Some(seeds) = args.seeds.clone() else {
        bail!("a sweep needs --seeds A..B");
    };
    let points = points(args, *seeds.start(), Some(say))?;
    let made = made::now(None);
    let name = points.first().map_or("", |point| point.plan.name.as_str());
    refuse_places(args)?;
    let how = How::choose(&args.how, &show).await?;
    let manifest = Manifest::of(args, &seeds, &how)?;
    let (sweep_dir, resumed) = match args.out.as_ref().filter(|_| args.resume) {
        Some(out) if is_occupied(out) => (SweepDir::new(out), true),
        _ => (SweepDir::new(make_run_dir(name, args)?.root()), false),
    };
    // Held to the end: two sweeps in one directory would write over each other's runs.
    let _lock = if resumed {
        manifest.continue_in(&sweep_dir, |first| self::points(args, first, None))?
    } else {
        manifest.begin_in(&sweep_dir)?
    };
    *left = Left::Part(sweep_dir.root().to_owned());
    if !resumed {
        made::write(&made, &sweep_dir.made())?;
    }
    for point in &points {
        let path = sweep_dir.point(point.number).plan();
        write(&sweep_dir, &path, &point.plan.to_yaml())?;
    }
    let mut journal = Journal::open(&sweep_dir, &seeds, points.len())?;
    let sweep = Sweep {
        args,
        how: &how,
        dir: &sweep_dir,
        points: &points,
        seeds: &seeds,
    };
    sweep.run_missing(&mut journal, &show).await?;
    show.done();
    let rows = journal.finish()?;
    let parameters: Vec<String> = args.set.iter().map(|p| p.path().to_owned()).collect();
    let expected = points.first().map_or(&[][..], |p| &p.plan.expect_sweep);
    let distribution = Distribution::of(name, parameters, &rows).expecting(expected, &rows);
    write(
        &sweep_dir,
        &sweep_dir.distribution(),
        &distribution.to_json(),
    )?;
    write(
        &sweep_dir,
        &sweep_dir.runs_table(),
        &table::runs(&distribution.parameters, &rows),
    )?;
    write(
        &sweep_dir,
        &sweep_dir.figures_table(),
        &table::figures(&distribution),
    )?;
    if say.json {
        out!("{}", distribution.to_json());
    } else {
        let compare = args.compare.map(|delay| delay.as_secs_f64());
        out!("{}", distribution.report(&rows, compare));
        if !say.quiet {
            outln!("runs in {}", sweep_dir.root().display());
        }
    }
    report::beside(sweep_dir.root(), args, say)?;
    *left = Left::Written;
    let broken = rows.iter().filter(|row| row.error.is_some()).count();
    if broken > 0 {
        bail!(
            "{broken} of {} runs failed themselves; `error` in {} says why, and --resume runs them again",
            rows.len(),
            sweep_dir.runs().display()
        );
    }
    Ok(if distribution.passed() {
        Outcome::Passed
    } else {
        Outcome::Failed
    })
}

/// Every combination of the parameters' values with its plan. What there is to say of them is said
/// if it is known how.
fn points(args: &RunArgs, seed: u64, say: Option<Say>) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    for (index, assignments) in Parameter::combinations(&args.set).into_iter().enumerate() {
        let plan = match say {
            Some(say) => load_and_warn(&args.topology, Some(seed), &assignments, say)?.plan,
            None => load(&args.topology, Some(seed), &assignments)?,
        };
        points.push(Point {
            number: index + 1,
            assignments,
            plan,
        });
    }
    Ok(points)
}

fn write(dir: &SweepDir, path: &Path, text: &str) -> Result<()> {
    let written = dir.files().replace(path, text.as_bytes());
    written.with_context(|| format!("write {}", path.display()))
}

/// What is to be run.
struct Sweep<'s> {
    args: &'s RunArgs,
    how: &'s How,
    dir: &'s SweepDir,
    points: &'s [Point],
    seeds: &'s RangeInclusive<u64>,
}

impl Sweep<'_> {
    /// Runs what the journal does not have. A run that fails itself becomes a row that says so; a
    /// signal ends the sweep when the runs in progress have ended.
    async fn run_missing(&self, journal: &mut Journal, show: &Show) -> Result<()> {
        let rows = journal.rows().iter();
        let done: BTreeSet<(usize, u64)> = rows.map(|row| (row.point, row.seed.0)).collect();
        let of_point = |point| self.seeds.clone().map(move |seed| (point, seed));
        let all = self.points.iter().flat_map(of_point);
        let missing: Vec<(&Point, u64)> = all
            .filter(|(point, seed)| !done.contains(&(point.number, *seed)))
            .collect();
        let mut tally = Tally::new(journal, missing.len());
        let mut missing = missing.into_iter();
        show.runs(&tally.progress());
        let mut signals = Signals::listen().context("signal handlers")?;
        let mut interrupted = None;
        let tasks = LocalSet::new();
        let mut running: JoinSet<(Origin, Result<Row>)> = JoinSet::new();
        let work = async {
            loop {
                while interrupted.is_none() && running.len() < usize::from(self.args.jobs) {
                    let Some((point, seed)) = missing.next() else {
                        break;
                    };
                    running.spawn_local(self.one(point, seed));
                }
                // A signal ends the runs, too: it is seen before what becomes of them.
                let ended = tokio::select! {
                    biased;
                    signal = signals.interrupted(), if interrupted.is_none() => {
                        interrupted = Some(signal);
                        continue;
                    }
                    ended = running.join_next() => ended,
                };
                let Some(ended) = ended else { break };
                let (origin, outcome) = ended.context("a run's task")?;
                let row = match outcome {
                    Err(_) if interrupted.is_some() => continue,
                    Err(error) => Row::broken(origin, failure::text(&error)),
                    Ok(row) => row,
                };
                tally.count(&row);
                journal.add(row)?;
                show.runs(&tally.progress());
            }
            anyhow::Ok(())
        };
        tasks.run_until(work).await?;
        let (done, total) = (tally.done, tally.total);
        match interrupted {
            None => Ok(()),
            Some(signal) => {
                show.done();
                let root = self.dir.root().display();
                Err(Error::from(signal)).with_context(|| {
                    format!("{done} of {total} runs are done; --out {root} --resume goes on")
                })
            }
        }
    }

    /// One run, from its plan to its row; the future owns what it needs.
    fn one(&self, point: &Point, seed: u64) -> impl Future<Output = (Origin, Result<Row>)> + use<> {
        let (args, how) = (self.args.clone(), self.how.clone());
        let sweep = self.dir.clone();
        let assignments = point.assignments.clone();
        let name = SweepDir::run_name(point.number, seed);
        let dir = RunDir::new(self.dir.root().join(&name));
        let set = assignments.iter();
        let origin = Origin {
            point: point.number,
            seed: Seed(seed),
            set: set
                .map(|a| (a.path().to_owned(), a.value().to_owned()))
                .collect::<BTreeMap<_, _>>(),
            command: manifest::command(&args, seed, &assignments),
            dir: name,
        };
        async move {
            let row = measured(&args, &how, &sweep, &dir, &assignments, &origin).await;
            (origin, row)
        }
    }
}

/// Makes the directory of a run, without what an interrupted sweep left of it.
fn make_anew(sweep: &SweepDir, dir: &RunDir) -> Result<()> {
    let made = sweep.files().make_folder(dir.root());
    made.and_then(|()| Written::by_run(dir)?.remove())
        .map(drop)
        .with_context(|| format!("create {}", dir.root().display()))
}

async fn measured(
    args: &RunArgs,
    how: &How,
    sweep: &SweepDir,
    dir: &RunDir,
    assignments: &[Assignment],
    origin: &Origin,
) -> Result<Row> {
    // The seed decides identifiers, so each run has its own plan; the text was valid before.
    let plan = load(&args.topology, Some(origin.seed.0), assignments)
        .context("the topology is not valid with this seed")?;
    make_anew(sweep, dir)?;
    let result = perform(&plan, how, dir, &Show::Nothing).await?;
    let path = dir.events();
    let events = dir
        .files()
        .open(&path)
        .with_context(|| path.display().to_string())?;
    let events = rundir::event::read_all(BufReader::new(events))?;
    if !args.captures {
        let removed = Written::captures(dir).and_then(Written::remove);
        removed.with_context(|| format!("remove {}", dir.captures().display()))?;
    }
    Ok(Row::of(origin.clone(), &plan, &events, &result))
}

/// How far a sweep is.
struct Tally {
    total: usize,
    done: usize,
    failed: usize,
    /// Done in this call.
    fresh: u32,
    since: Instant,
}

impl Tally {
    fn new(journal: &Journal, missing: usize) -> Tally {
        Tally {
            total: journal.rows().len() + missing,
            done: journal.rows().len(),
            failed: journal.rows().iter().filter(|row| !row.passed).count(),
            fresh: 0,
            since: Instant::now(),
        }
    }

    fn count(&mut self, row: &Row) {
        self.done += 1;
        self.fresh += 1;
        self.failed += usize::from(!row.passed);
    }

    fn progress(&self) -> Runs {
        let elapsed = self.since.elapsed();
        let pace = elapsed.checked_div(self.fresh).map(|each| {
            let missing = u32::try_from(self.total - self.done).unwrap_or(u32::MAX);
            Pace {
                per_minute: 60.0 / each.as_secs_f64().max(1e-9),
                left: each.saturating_mul(missing),
            }
        });
        Runs {
            done: self.done,
            total: self.total,
            failed: self.failed,
            pace,
        }
    }
}
