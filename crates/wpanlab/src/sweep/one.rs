//! One run of a sweep: from its place in the plan to its row.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::ops::RangeInclusive;
use std::rc::Rc;

use anyhow::{Context, Result};
use measure::distribution::{Origin, Row};
use rundir::{RunDir, SweepDir, Written};
use topology::Assignment;
use units::Seed;

use super::manifest;
use crate::backend::How;
use crate::cli::HowArgs;
use crate::progress::Show;
use crate::run::perform;
use crate::source::Source;

/// How the runs of a sweep are made.
#[derive(Clone)]
pub struct Maker {
    /// What is run.
    pub source: Rc<Source>,
    /// Where and how.
    pub how: How,
    /// What the command line says of that.
    pub asked: HowArgs,
    /// Whether captures are kept.
    pub captures: bool,
}

impl Maker {
    /// Which run of the sweep the one of `seed` at the point `number` is.
    pub fn origin(&self, number: usize, assignments: &[Assignment], seed: u64) -> Origin {
        let set = assignments.iter();
        let topology = self.source.path().display().to_string();
        Origin {
            point: number,
            seed: Seed(seed),
            set: set
                .map(|a| (a.path().to_owned(), a.value().to_owned()))
                .collect::<BTreeMap<_, _>>(),
            command: manifest::command(&topology, &self.asked, seed, assignments),
            dir: SweepDir::run_name(number, seed),
        }
    }

    /// Runs it in the directory `dir`, of which nothing is there yet but what is known of another run.
    ///
    /// # Errors
    /// The run failed itself.
    pub async fn make(
        &self,
        dir: &RunDir,
        assignments: &[Assignment],
        origin: &Origin,
    ) -> Result<Row> {
        // The seed decides identifiers, so each run has its own plan; the text was valid before.
        let plan = self.source.load(Some(origin.seed.0), assignments);
        let plan = plan
            .context("the topology is not valid with this seed")?
            .plan;
        let result = perform(&plan, &self.how, dir, &Show::Nothing).await?;
        let path = dir.events();
        let events = dir
            .files()
            .open(&path)
            .with_context(|| path.display().to_string())?;
        let events = rundir::event::read_all(BufReader::new(events))?;
        if !self.captures {
            let removed = Written::captures(dir).and_then(Written::remove);
            removed.with_context(|| format!("remove {}", dir.captures().display()))?;
        }
        Ok(Row::of(origin.clone(), &plan, &events, &result))
    }
}

/// Makes the directory of a run, without what an interrupted sweep left of it.
pub fn make_anew(sweep: &SweepDir, dir: &RunDir) -> Result<()> {
    let made = sweep.files().make_folder(dir.root());
    made.and_then(|()| Written::by_run(dir)?.remove())
        .map(drop)
        .with_context(|| format!("create {}", dir.root().display()))
}

/// The runs of a sweep, numbered from 1: all seeds of the first point, then those of the next.
#[derive(Clone, Debug)]
pub struct Indexes {
    seeds: RangeInclusive<u64>,
    points: usize,
}

impl Indexes {
    /// Those of so many points.
    pub fn of(seeds: RangeInclusive<u64>, points: usize) -> Indexes {
        Indexes { seeds, points }
    }

    /// The seeds of each point.
    pub fn seeds(&self) -> RangeInclusive<u64> {
        self.seeds.clone()
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.seeds_each().saturating_mul(self.points as u64)
    }

    fn seeds_each(&self) -> u64 {
        (self.seeds.end() - self.seeds.start()).saturating_add(1)
    }

    /// Point, from 1, and seed of a run; none if there are fewer.
    pub fn run(&self, index: u64) -> Option<(usize, u64)> {
        let before = index.checked_sub(1)?;
        let point = usize::try_from(before / self.seeds_each()).ok()? + 1;
        let seed = self.seeds.start() + before % self.seeds_each();
        (point <= self.points).then_some((point, seed))
    }

    /// The index of a run; none if it is of another sweep.
    pub fn of_run(&self, point: usize, seed: u64) -> Option<u64> {
        let known = self.seeds.contains(&seed) && (1..=self.points).contains(&point);
        known.then(|| (point as u64 - 1) * self.seeds_each() + (seed - self.seeds.start()) + 1)
    }

    /// All of them: index, point and seed.
    pub fn all(&self) -> impl Iterator<Item = (u64, usize, u64)> + use<> {
        let indexes = self.clone();
        (1..=self.total()).filter_map(move |index| {
            let (point, seed) = indexes.run(index)?;
            Some((index, point, seed))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_number_the_seeds_of_each_point_in_turn() {
        let indexes = Indexes::of(5..=7, 2);
        let all: Vec<_> = indexes.all().collect();
        assert_eq!(
            all,
            [
                (1, 1, 5),
                (2, 1, 6),
                (3, 1, 7),
                (4, 2, 5),
                (5, 2, 6),
                (6, 2, 7)
            ]
        );
        for (index, point, seed) in all {
            assert_eq!(indexes.of_run(point, seed), Some(index));
        }
        assert_eq!(indexes.run(0), None);
        assert_eq!(indexes.run(7), None);
        for (point, seed) in [(0, 5), (3, 5), (1, 4), (1, 8)] {
            assert_eq!(indexes.of_run(point, seed), None);
        }
    }
}
