//! `wpanlab sweep collect`: what shards have made becomes what one process leaves.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rundir::Written;
use serde_json::json;

use super::journal;
use super::place::{Apart, Kept};
use super::plan::Planned;
use super::status::Runs;
use super::tables;
use crate::failure::Refused;
use crate::{Outcome, Say, output};

/// Puts the runs of the sweep in `dir` together, also those of other directories of the same sweep.
/// Prints which are missing, or else what a sweep prints.
pub fn collect(dir: &Path, shards: &[PathBuf], say: Say) -> Result<Outcome> {
    let planned = Planned::read(dir)?;
    let shards = shards.iter().map(|shard| same(&planned, shard));
    // All of them before anything is copied.
    let shards = shards.collect::<Result<Vec<_>>>()?;
    for shard in &shards {
        copy(&planned, shard)?;
    }
    let runs = Runs::read(&planned, |_| true)?;
    let count = runs.count(&planned);
    let uncollected = runs.uncollected.clone();
    let rows = runs.into_rows();
    journal::replace(&planned.dir, &rows)?;
    // Only now that the table has them.
    for (point, seed) in uncollected {
        let row = planned.dir.run(point, seed).row();
        match planned.dir.files().remove_file(&row) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed.with_context(|| format!("remove {}", row.display()))?,
        }
    }
    let whole = rows.len() as u64 == count.total;
    let mut said = None;
    if whole {
        remove_unfinished(&planned)?;
        let points = planned.manifest.combinations()?;
        let first = points.first().map_or(&[][..], Vec::as_slice);
        let plan = (planned.source).load(Some(*planned.manifest.seeds().start()), first)?;
        said = Some(tables::all(
            &planned.dir,
            &planned.manifest,
            &plan.plan,
            &rows,
        )?);
    }
    if let Some(distribution) = said.filter(|_| count.missing.is_empty()) {
        tables::print(&planned.dir, &distribution, &rows, None, say);
        return tables::verdict(&planned.dir, &distribution, &rows);
    }
    match say.json {
        true => output::json(&json!({
            "total": count.total,
            "done": count.done,
            "broken": count.broken.to_string(),
            "missing": count.missing.to_string(),
        }))?,
        false => outln!("{}", count.missing),
    }
    let broken = match count.broken.is_empty() {
        true => String::new(),
        false => format!(
            "; {} failed themselves, and `error` in {} says why",
            count.broken,
            planned.dir.runs().display()
        ),
    };
    bail!("{}{broken}", count.text())
}

/// The plan of a shard's own directory, which is to be the same but for its seeds.
fn same(planned: &Planned, shard: &Path) -> Result<Planned> {
    let other = Planned::read(shard)?;
    match planned.manifest.shard_difference(&other.manifest) {
        None => Ok(other),
        Some(difference) => {
            let text = format!(
                "{} is no shard of {}: {}",
                shard.display(),
                planned.dir.root().display(),
                difference.text("in the sweep", "in the shard")
            );
            Err(Refused(text).into())
        }
    }
}

/// Copies what a shard's own directory has and the sweep's has not.
fn copy(planned: &Planned, shard: &Planned) -> Result<()> {
    let there = Runs::read(planned, |_| true)?;
    for row in Runs::read(shard, |_| true)?.good() {
        let (point, seed) = (row.point, row.seed.0);
        let index = planned.indexes.of_run(point, seed);
        if index.is_none_or(|index| there.has(index)) {
            continue;
        }
        let run = shard.dir.run(point, seed);
        let place = || run.root().display().to_string();
        let written = Written::by_run(&run).with_context(place)?;
        if let Some(path) = written.in_the_way() {
            let text = format!("{} is not as a run left it", path.display());
            return Err(Refused(text).into());
        }
        let apart = Apart::new(&planned.dir, point, seed)?;
        for file in written.files() {
            let copied = shard.dir.files().read(file).and_then(|bytes| {
                let inside = file.strip_prefix(run.root()).unwrap_or(file);
                let to = apart.dir.root().join(inside);
                planned.dir.files().replace(&to, &bytes)
            });
            copied.with_context(|| format!("copy {}", file.display()))?;
        }
        apart.publish(&Kept {
            by: shard.manifest.by.clone(),
            row: row.clone(),
        })?;
    }
    Ok(())
}

/// What killed shards left is of nobody once every run is there.
fn remove_unfinished(planned: &Planned) -> Result<()> {
    let folder = planned.dir.unfinished();
    if fs::symlink_metadata(&folder).is_err() {
        return Ok(());
    }
    let removed = Written::unfinished(&planned.dir).and_then(Written::remove);
    let stays = removed.with_context(|| format!("remove {}", folder.display()))?;
    for path in stays {
        errln!("wpanlab: {} is not of a run: it stays", path.display());
    }
    Ok(())
}
