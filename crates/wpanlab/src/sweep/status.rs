//! `wpanlab sweep status`: which runs of a planned sweep are there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use measure::distribution::Row;
use serde_json::json;

use super::journal;
use super::numbers::Numbers;
use super::place::Kept;
use super::plan::Planned;
use crate::failure::Refused;
use crate::{Outcome, Say, output};

/// The runs of a sweep that are there, by their index: those that were collected, and those that shards
/// have left since.
pub struct Runs {
    rows: BTreeMap<u64, Row>,
    /// Which of them are still told by a row beside the run.
    pub uncollected: Vec<(usize, u64)>,
}

impl Runs {
    /// Looks for those that `wanted` says. A measured one counts before one that failed itself.
    ///
    /// # Errors
    /// Something cannot be understood; [`Refused`]: a run was made by something else than the sweep was
    /// planned with.
    pub fn read(planned: &Planned, wanted: impl Fn(u64) -> bool) -> Result<Runs> {
        let mut rows = BTreeMap::new();
        for row in journal::read(&planned.dir)? {
            let index = planned.indexes.of_run(row.point, row.seed.0);
            if let Some(index) = index.filter(|index| wanted(*index)) {
                rows.insert(index, row);
            }
        }
        let mut uncollected = Vec::new();
        for (index, point, seed) in planned.indexes.all().filter(|(index, ..)| wanted(*index)) {
            let Some(kept) = Kept::read(&planned.dir, point, seed)? else {
                continue;
            };
            if let Some(difference) = kept.by.difference(&planned.manifest.by) {
                let row = planned.dir.run(point, seed).row();
                let text = format!(
                    "{}: the run was made by another: {} in sweep.json; remove its directory to run it again",
                    row.display(),
                    difference.text("planned", "there, not as")
                );
                return Err(Refused(text).into());
            }
            uncollected.push((point, seed));
            let before = rows.get(&index);
            if before.is_none_or(|before: &Row| before.error.is_some()) {
                rows.insert(index, kept.row);
            }
        }
        Ok(Runs { rows, uncollected })
    }

    /// Whether the run `index` is there and was measured.
    pub fn has(&self, index: u64) -> bool {
        let row = self.rows.get(&index);
        row.is_some_and(|row| row.error.is_none())
    }

    /// The measured ones.
    pub fn good(&self) -> impl Iterator<Item = &Row> {
        self.rows.values().filter(|row| row.error.is_none())
    }

    /// All, in the order of points and seeds.
    pub fn into_rows(self) -> Vec<Row> {
        self.rows.into_values().collect()
    }

    /// How many there are of those that are planned.
    pub fn count(&self, planned: &Planned) -> Count {
        let all = planned.indexes.all();
        let missing = all.map(|(index, ..)| index).filter(|i| !self.has(*i));
        let broken = self.rows.iter().filter(|(_, row)| row.error.is_some());
        Count {
            total: planned.indexes.total(),
            done: self.good().count(),
            failed: self.good().filter(|row| !row.passed).count(),
            broken: Numbers::of(broken.map(|(index, _)| *index)),
            missing: Numbers::of(missing),
        }
    }
}

/// How far a sweep is.
pub struct Count {
    /// Runs that are planned.
    pub total: u64,
    /// Runs that are there and were measured.
    pub done: usize,
    /// Of them, those of which an expectation does not hold.
    failed: usize,
    /// Runs that failed themselves.
    pub broken: Numbers,
    /// What is to be run, those that failed themselves among it.
    pub missing: Numbers,
}

impl Count {
    /// `998 of 1000 runs are done, 2 of them failed`.
    pub fn text(&self) -> String {
        let Count {
            total,
            done,
            failed,
            ..
        } = self;
        format!("{done} of {total} runs are done, {failed} of them failed")
    }
}

/// Says which runs of the sweep in `dir` are there; nothing is changed.
pub fn status(dir: &Path, say: Say) -> Result<Outcome> {
    let planned = Planned::read(dir)?;
    let runs = Runs::read(&planned, |_| true)?;
    let count = runs.count(&planned);
    let unfinished = fs::read_dir(planned.dir.unfinished()).map_or(0, Iterator::count);
    if say.json {
        output::json(&json!({
            "total": count.total,
            "done": count.done,
            "failed": count.failed,
            "broken": count.broken.to_string(),
            "missing": count.missing.to_string(),
            "uncollected": runs.uncollected.len(),
            "unfinished": unfinished,
        }))?;
        return Ok(Outcome::Passed);
    }
    outln!("{}", count.text());
    for (what, numbers) in [
        ("failed themselves", &count.broken),
        ("missing", &count.missing),
    ] {
        if !numbers.is_empty() {
            outln!("{what}: {numbers}");
        }
    }
    if unfinished > 0 {
        outln!("{unfinished} in progress, or left by shards that were killed");
    }
    Ok(Outcome::Passed)
}
