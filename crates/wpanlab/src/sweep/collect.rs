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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use measure::distribution::Row;
    use rundir::SweepDir;
    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::backend::read_tree;
    use crate::failure;
    use crate::source::Source;
    use crate::sweep::by::tests::by_of;
    use crate::sweep::one::Maker;
    use crate::sweep::place::is_done;

    const QUIET: Say = Say {
        json: false,
        quiet: true,
    };

    /// The plan of a sweep over three seeds and two values, as `sweep plan` leaves it.
    fn planned(base: &TempDir, name: &str) -> Planned {
        let topologies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies");
        let source = Source::read(&topologies.join("minimal.yaml")).unwrap();
        source.load(Some(1), &[]).unwrap();
        let kept = source.kept().unwrap();
        let dir = SweepDir::new(base.path().join(name));
        fs::create_dir(dir.root()).unwrap();
        let mut manifest = serde_json::to_value(by_of(&kept)).unwrap();
        let more = json!({
            "schema": 1,
            "topology": "minimal.yaml",
            "seeds": [1, 3],
            "parameters": [{ "path": "backbone.delay", "values": ["1 ms", "2 ms"] }],
            "options": { "backend": "uml", "clock": "virtual" },
            "captures": false,
        });
        let keys = manifest.as_object_mut().unwrap();
        keys.extend(more.as_object().unwrap().clone());
        tables::write(&dir, &dir.manifest(), &manifest.to_string()).unwrap();
        tables::write(&dir, &dir.source(), &kept).unwrap();
        Planned::read(dir.root()).unwrap()
    }

    fn row(planned: &Planned, index: u64) -> Row {
        let (point, seed) = planned.indexes.run(index).unwrap();
        let points = planned.manifest.combinations().unwrap();
        let maker = Maker {
            source: planned.source.clone(),
            how: crate::backend::How::Native,
            asked: planned.manifest.how(),
            captures: false,
        };
        let mut row = Row::broken(maker.origin(point, &points[point - 1], seed), String::new());
        (row.error, row.passed) = (None, true);
        row.figures.insert("lost".into(), 0.1 * index as f64);
        row
    }

    /// What a run leaves, a little of it.
    fn fill(dir: &rundir::RunDir, row: &Row) {
        let text = format!("{}\n", row.seed);
        fs::create_dir_all(dir.root()).unwrap();
        for path in [dir.plan(), dir.events(), dir.log("er1")] {
            dir.files().replace(&path, text.as_bytes()).unwrap();
        }
    }

    /// Makes these runs as a shard does.
    fn make(planned: &Planned, indexes: impl IntoIterator<Item = u64>) {
        for index in indexes {
            let row = row(planned, index);
            let apart = Apart::new(&planned.dir, row.point, row.seed.0).unwrap();
            fill(&apart.dir, &row);
            let by = planned.manifest.by.clone();
            apart.publish(&Kept { by, row }).unwrap();
        }
    }

    /// What one process leaves of all of them.
    fn whole(base: &TempDir) -> BTreeMap<PathBuf, Vec<u8>> {
        let planned = planned(base, "whole");
        let rows: Vec<Row> = (1..=6).map(|index| row(&planned, index)).collect();
        for row in &rows {
            fill(&planned.dir.run(row.point, row.seed.0), row);
        }
        journal::replace(&planned.dir, &rows).unwrap();
        let points = planned.manifest.combinations().unwrap();
        let plan = planned.source.load(Some(1), &points[0]).unwrap().plan;
        tables::all(&planned.dir, &planned.manifest, &plan, &rows).unwrap();
        read_tree(planned.dir.root()).unwrap()
    }

    fn refusal(dir: &Path, shards: &[PathBuf]) -> String {
        let error = collect(dir, shards, QUIET).unwrap_err();
        assert_eq!(failure::code(&error), failure::BAD_INPUT, "{error:#}");
        failure::text(&error)
    }

    #[test]
    fn shards_in_one_directory_become_what_one_process_leaves() {
        let base = tempfile::tempdir().unwrap();
        let planned = planned(&base, "parts");
        make(&planned, [6, 2]);
        // Two shards at once, and one that was killed.
        make(&planned, [2, 4]);
        let killed = Apart::new(&planned.dir, 1, 3).unwrap();
        fill(&killed.dir, &row(&planned, 3));
        let missing = collect(planned.dir.root(), &[], QUIET).unwrap_err();
        assert_eq!(failure::code(&missing), failure::RUN_FAILED);
        let count = Runs::read(&planned, |_| true).unwrap().count(&planned);
        assert_eq!((count.done, count.missing.to_string()), (3, "1,3,5".into()));
        assert!(planned.dir.unfinished().exists());
        assert!(!planned.dir.distribution().exists());
        make(&planned, [1, 3, 5]);
        for _ in 0..2 {
            let outcome = collect(planned.dir.root(), &[], QUIET).unwrap();
            assert_eq!(outcome, Outcome::Passed);
            assert_eq!(read_tree(planned.dir.root()).unwrap(), whole_of(&base));
        }
        // Who comes after that with a run that is there leaves nothing.
        make(&planned, [4]);
        assert!(!planned.dir.run(2, 1).row().exists());
    }

    /// [`whole`], made once.
    fn whole_of(base: &TempDir) -> BTreeMap<PathBuf, Vec<u8>> {
        let dir = base.path().join("whole");
        match dir.exists() {
            true => read_tree(&dir).unwrap(),
            false => whole(base),
        }
    }

    #[test]
    fn directories_of_their_own_are_copied_in_whatever_seeds_they_have() {
        let base = tempfile::tempdir().unwrap();
        let (all, one, other) = (
            planned(&base, "all"),
            planned(&base, "one"),
            planned(&base, "other"),
        );
        make(&one, [1, 2, 3]);
        make(&other, [3, 4, 5, 6]);
        collect(other.dir.root(), &[], QUIET).unwrap_err();
        let shards = [one, other].map(|shard| shard.dir.root().to_owned());
        collect(all.dir.root(), &shards, QUIET).unwrap();
        assert_eq!(read_tree(all.dir.root()).unwrap(), whole(&base));
    }

    #[test]
    fn a_shard_by_something_else_is_refused_with_what_differs() {
        let base = tempfile::tempdir().unwrap();
        let all = planned(&base, "all");
        let shard = planned(&base, "shard");
        make(&shard, [1]);
        let path = shard.dir.manifest();
        let text = fs::read_to_string(&path).unwrap();
        for (key, value, said) in [
            (
                "wpanlab_sha256",
                json!("ff"),
                "wpanlab program (SHA-256) `00` in the sweep, `ff` in",
            ),
            (
                "kernel",
                json!("7.4 x"),
                "kernel `7.3 abc` in the sweep, `7.4 x` in the shard",
            ),
            ("backend", json!("vm, tcg"), "backend `uml, "),
            ("backend", json!("uml, 1 ns"), "processor model `uml, "),
            (
                "topology",
                json!("a.yaml"),
                "topology `minimal.yaml` in the sweep",
            ),
            ("parameters", json!([]), "parameters `--set "),
            ("captures", json!(true), "--captures `false`"),
            (
                "topology_sha256",
                json!("ff"),
                "is not the topology of sweep.json",
            ),
        ] {
            let mut manifest: Value = serde_json::from_str(&text).unwrap();
            manifest[key] = value;
            fs::write(&path, manifest.to_string()).unwrap();
            let text = refusal(all.dir.root(), &[shard.dir.root().to_owned()]);
            assert!(text.contains(said), "{key}: {text}");
            assert!(!is_done(&all.dir, 1, 1).unwrap());
        }
        // A topology of its own, with its own hash.
        let other = fs::read_to_string(shard.dir.source())
            .unwrap()
            .replace("5 s", "6 s");
        let mut manifest: Value = serde_json::from_str(&text).unwrap();
        let hash = serde_json::to_value(by_of(&other)).unwrap()["topology_sha256"].clone();
        manifest["topology_sha256"] = hash;
        fs::write(&path, manifest.to_string()).unwrap();
        fs::write(shard.dir.source(), other).unwrap();
        let text = refusal(all.dir.root(), &[shard.dir.root().to_owned()]);
        assert!(
            text.contains("topology (SHA-256 of source.json) `"),
            "{text}"
        );
        assert!(refusal(base.path(), &[]).contains("`wpanlab sweep plan` makes one"));
    }

    #[test]
    fn a_run_that_something_else_made_in_the_directory_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let planned = planned(&base, "all");
        make(&planned, [1]);
        let path = planned.dir.run(1, 1).row();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("7.3 abc", "7.4 x")).unwrap();
        let said = refusal(planned.dir.root(), &[]);
        assert!(
            said.contains("kernel `7.3 abc` planned, `7.4 x` there"),
            "{said}"
        );
        fs::write(&path, text.replace("\"seed\":1", "\"seed\":2")).unwrap();
        let said = collect(planned.dir.root(), &[], QUIET).unwrap_err();
        assert!(
            failure::text(&said).contains("of point 1 and seed 2"),
            "{said:#}"
        );
        fs::write(&path, "{").unwrap();
        let said = collect(planned.dir.root(), &[], QUIET).unwrap_err();
        assert!(
            failure::text(&said).contains("is no row of a run"),
            "{said:#}"
        );
    }

    #[test]
    fn a_run_that_failed_itself_is_missing_and_makes_room_for_one_that_did_not() {
        let base = tempfile::tempdir().unwrap();
        let planned = planned(&base, "all");
        make(&planned, [1, 2, 3, 4, 6]);
        let mut broken = row(&planned, 5);
        broken.error = Some("no kernel".into());
        let apart = Apart::new(&planned.dir, broken.point, broken.seed.0).unwrap();
        let by = planned.manifest.by.clone();
        apart.publish(&Kept { by, row: broken }).unwrap();
        let said = failure::text(&collect(planned.dir.root(), &[], QUIET).unwrap_err());
        assert!(
            said.contains("5 of 6 runs are done") && said.contains("5 failed themselves"),
            "{said}"
        );
        let table = fs::read_to_string(planned.dir.runs()).unwrap();
        assert!(table.contains("no kernel"), "{table}");
        make(&planned, [5]);
        collect(planned.dir.root(), &[], QUIET).unwrap();
        assert_eq!(read_tree(planned.dir.root()).unwrap(), whole(&base));
    }
}
