//! `wpanlab run --seeds A..B`: all runs of a sweep, several at a time.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;

use anyhow::{Context, Error, Result};
use measure::distribution::{Origin, Row};
use rundir::{SweepDir, Written};

use super::crew::{self, Tally, When};
use super::journal::Journal;
use super::one::{self, Indexes, Maker};
use super::plan::Asked;
use super::tables;
use super::until::{Decided, Watch};
use super::{Point, manifest};
use crate::cli::RunArgs;
use crate::progress::Show;
use crate::report::Left;
use crate::{Outcome, Say, report};

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
    let asked = Asked::of(args, &show, say).await?;
    let (dir, resumed) = asked.make_dir(args)?;
    // Held to the end: two sweeps in one directory would write over each other's runs.
    let _lock = manifest::lock(&dir)?;
    asked.write(args, &dir, resumed)?;
    *left = Left::Part(dir.root().to_owned());
    let Asked {
        source,
        points,
        how,
        mut manifest,
        ..
    } = asked;
    let mut journal = Journal::open(&dir, &manifest.seeds(), points.len())?;
    let sweep = Sweep {
        args,
        maker: Maker {
            source,
            how,
            asked: args.how.clone(),
            captures: args.captures,
        },
        dir: &dir,
        points: &points,
        indexes: Indexes::of(manifest.seeds(), points.len()),
    };
    let decided = sweep.run_missing(&mut journal, &show).await?;
    show.done();
    if let (Some(until), Some(decided)) = (&mut manifest.until, decided) {
        journal.end_at(decided.last_seed);
        remove_runs_after(&dir, points.len(), decided.last_seed)?;
        until.decided = Some(decided);
        manifest.replace_in(&dir)?;
    }
    let rows = journal.finish()?;
    let Some(first) = points.first() else {
        return Ok(Outcome::Passed); // There is one of no parameters, too.
    };
    let distribution = tables::all(&dir, &manifest, &first.plan, &rows)?;
    let compare = args.compare.map(|delay| delay.as_secs_f64());
    tables::print(&dir, &distribution, &rows, compare, say);
    if let Some(until) = manifest.until.filter(|_| !say.json) {
        out!("{}", until.text());
    }
    report::beside(dir.root(), args, say)?;
    *left = Left::Written;
    tables::verdict(&dir, &distribution, &rows)
}

/// What is to be run.
struct Sweep<'s> {
    args: &'s RunArgs,
    maker: Maker,
    dir: &'s SweepDir,
    points: &'s [Point],
    indexes: Indexes,
}

impl Sweep<'_> {
    /// Runs what the journal does not have, or as much of it as `--until` says, which is given. A run that
    /// fails itself becomes a row that says so; a signal ends the sweep when the runs in progress have
    /// ended.
    async fn run_missing(&self, journal: &mut Journal, show: &Show) -> Result<Option<Decided>> {
        let (until, points) = (self.args.until.as_ref(), self.points.len());
        let mut watch = until.map(|until| Watch::new(until, self.indexes.seeds(), points));
        if let Some(watch) = &mut watch {
            journal.rows().iter().try_for_each(|row| watch.add(row))?;
        }
        let rows = journal.rows().iter();
        let done: BTreeSet<(usize, u64)> = rows.map(|row| (row.point, row.seed.0)).collect();
        let mut missing: Vec<(&Point, u64)> = (self.indexes.all())
            .filter(|(_, point, seed)| !done.contains(&(*point, *seed)))
            .filter_map(|(_, point, seed)| Some((self.points.get(point - 1)?, seed)))
            .collect();
        if watch.is_some() {
            // All points of a seed, then those of the next.
            missing.sort_by_key(|(point, seed)| (*seed, point.number));
        }
        if watch
            .as_ref()
            .is_some_and(|watch| watch.decided().is_some())
        {
            missing.clear();
        }
        let failed = journal.rows().iter().filter(|row| !row.passed).count();
        let mut tally = Tally::of(done.len() + missing.len(), done.len(), failed);
        tally.tell(show);
        let runs = missing
            .into_iter()
            .map(|(point, seed)| self.one(point, seed));
        let ended = |(origin, outcome): (Origin, Result<Row>), when: When| {
            let Some(row) = when.row(origin, outcome) else {
                return Ok(ControlFlow::Continue(()));
            };
            tally.count(row.passed, show);
            if let Some(watch) = &mut watch {
                watch.add(&row)?;
            }
            journal.add(row)?;
            Ok(match watch.as_ref().and_then(Watch::decided) {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            })
        };
        match crew::work(self.args.jobs, runs, ended).await? {
            None => Ok(watch.and_then(|watch| watch.decided().cloned())),
            Some(signal) => {
                show.done();
                let (done, total) = (tally.done, tally.total);
                let root = self.dir.root().display();
                Err(Error::from(signal)).with_context(|| {
                    format!("{done} of {total} runs are done; --out {root} --resume goes on")
                })
            }
        }
    }

    /// One run, from its plan to its row; the future owns what it needs.
    fn one(&self, point: &Point, seed: u64) -> impl Future<Output = (Origin, Result<Row>)> + use<> {
        let maker = self.maker.clone();
        let sweep = self.dir.clone();
        let assignments = point.assignments.clone();
        let origin = maker.origin(point.number, &assignments, seed);
        let dir = self.dir.run(point.number, seed);
        async move {
            let made = one::make_anew(&sweep, &dir);
            let row = match made {
                Ok(()) => maker.make(&dir, &assignments, &origin).await,
                Err(error) => Err(error),
            };
            (origin, row)
        }
    }
}

/// Runs that were in progress when those before were found to be enough are none of the sweep: how
/// many there are tells of the jobs' time only.
fn remove_runs_after(dir: &SweepDir, points: usize, last: u64) -> Result<()> {
    for point in 1..=points {
        let folder = dir.point(point);
        let entries = fs::read_dir(folder.root());
        let entries = entries.with_context(|| folder.root().display().to_string())?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let seed = name.to_str().and_then(|name| name.strip_prefix("seed-"));
            let seed = seed.and_then(|seed| seed.parse::<u64>().ok());
            if let Some(seed) = seed.filter(|seed| *seed > last) {
                let run = dir.run(point, seed);
                let removed = Written::by_run(&run).and_then(|written| {
                    written.remove()?;
                    match dir.files().remove_empty_folder(run.root()) {
                        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
                        removed => removed,
                    }
                });
                removed.with_context(|| format!("remove {}", run.root().display()))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_later_seeds_go_and_what_is_not_of_a_run_stays() {
        let base = tempfile::tempdir().unwrap();
        let dir = SweepDir::new(base.path());
        for (point, seed) in [(1, 7), (1, 8), (2, 7), (2, 10)] {
            let path = dir.run(point, seed).plan();
            dir.files().replace(&path, b"x").unwrap();
        }
        let mine = dir.run(1, 8).root().join("notes.txt");
        dir.files().replace(&mine, b"mine").unwrap();
        remove_runs_after(&dir, 2, 7).unwrap();
        assert!(dir.run(1, 7).plan().exists() && dir.run(2, 7).plan().exists());
        assert!(!dir.run(1, 8).plan().exists() && mine.exists());
        assert!(!dir.run(2, 10).root().exists());
    }
}
