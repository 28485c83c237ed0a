//! `runs.jsonl`: one line per finished run, written as it ends.

use std::fs::File;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::{Context, Result};
use measure::distribution::Row;
use rundir::SweepDir;

/// The runs that are done.
pub struct Journal {
    dir: SweepDir,
    path: PathBuf,
    file: File,
    rows: Vec<Row>,
}

impl Journal {
    /// Opens the journal of the sweep in `dir`, which may have runs of an earlier call. A last
    /// line that was not finished is dropped, and so are runs that failed themselves, which are
    /// to be run again, and what is not of these seeds and points.
    ///
    /// # Errors
    /// A file cannot be read or written, or another line than the last is no run.
    pub fn open(dir: &SweepDir, seeds: &RangeInclusive<u64>, points: usize) -> Result<Journal> {
        let mut rows = read(dir)?;
        rows.retain(|row| {
            let wanted = seeds.contains(&row.seed.0) && (1..=points).contains(&row.point);
            wanted && row.error.is_none()
        });
        replace(dir, &rows)?;
        let path = dir.runs();
        let file = dir.files().append(&path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        Ok(Journal {
            dir: dir.clone(),
            path,
            file,
            rows,
        })
    }

    /// The runs that are done.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Adds a run; its line is in the file when this returns.
    pub fn add(&mut self, row: Row) -> Result<()> {
        let line = serde_json::to_string(&row)? + "\n";
        let written = self.file.write_all(line.as_bytes());
        written.with_context(|| format!("write {}", self.path.display()))?;
        self.rows.push(row);
        Ok(())
    }

    /// Leaves out the runs of later seeds than `last`.
    pub fn end_at(&mut self, last: u64) {
        self.rows.retain(|row| row.seed.0 <= last);
    }

    /// Puts the lines in the order of points and seeds, so that the file does not tell which run
    /// ended first; gives the rows in that order.
    pub fn finish(mut self) -> Result<Vec<Row>> {
        self.rows.sort_by_key(|row| (row.point, row.seed));
        replace(&self.dir, &self.rows)?;
        Ok(self.rows)
    }
}

/// The runs in the table of the sweep in `dir`, none if there is no table. A last line that was not
/// finished is left out, and so is a run that was measured and whose directory is gone: who removes that wants it again.
///
/// # Errors
/// The file cannot be read, or another line than the last is no run.
pub fn read(dir: &SweepDir) -> Result<Vec<Row>> {
    let path = dir.runs();
    let text = match dir.files().read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let lines = text.split_inclusive('\n').enumerate();
    let whole = lines.take_while(|(_, line)| line.ends_with('\n'));
    let row = |(number, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| {
            let path = path.display();
            format!(
                "{path}:{}: is no run; remove the line to run it again",
                number + 1
            )
        })
    };
    let mut rows: Vec<Row> = whole.map(row).collect::<Result<_>>()?;
    rows.retain(|row| row.error.is_some() || dir.run(row.point, row.seed.0).root().is_dir());
    Ok(rows)
}

/// Writes the file anew, in one step.
pub fn replace(dir: &SweepDir, rows: &[Row]) -> Result<()> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&serde_json::to_string(row)?);
        text.push('\n');
    }
    let path = dir.runs();
    let written = dir.files().replace(&path, text.as_bytes());
    written.with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::distribution::Origin;
    use std::fs::{self, OpenOptions};
    use units::Seed;

    fn row(point: usize, seed: u64) -> Row {
        let origin = Origin {
            point,
            seed: Seed(seed),
            set: Default::default(),
            command: "wpanlab run".into(),
            dir: SweepDir::run_name(point, seed),
        };
        let mut row = Row::broken(origin, String::new());
        row.error = None;
        row
    }

    fn done(journal: &Journal) -> Vec<(usize, u64)> {
        journal
            .rows()
            .iter()
            .map(|row| (row.point, row.seed.0))
            .collect()
    }

    #[test]
    fn a_torn_last_line_and_broken_runs_are_to_be_run_again() {
        let folder = tempfile::tempdir().unwrap();
        let dir = SweepDir::new(folder.path());
        for (point, seed) in [(2, 1), (1, 4), (1, 6)] {
            fs::create_dir_all(dir.run(point, seed).root()).unwrap();
        }
        let mut journal = Journal::open(&dir, &(1..=9), 2).unwrap();
        journal.add(row(2, 1)).unwrap();
        journal.add(row(1, 4)).unwrap();
        journal
            .add(Row {
                error: Some("no kernel".into()),
                ..row(1, 5)
            })
            .unwrap();
        drop(journal);
        let whole = serde_json::to_string(&row(1, 6)).unwrap();
        let mut file = OpenOptions::new().append(true).open(dir.runs()).unwrap();
        file.write_all(&whole.as_bytes()[..40]).unwrap();

        let mut journal = Journal::open(&dir, &(1..=9), 2).unwrap();
        assert_eq!(done(&journal), [(2, 1), (1, 4)]);
        journal.add(row(1, 6)).unwrap();
        let rows = journal.finish().unwrap();
        let order: Vec<(usize, u64)> = rows.iter().map(|r| (r.point, r.seed.0)).collect();
        assert_eq!(order, [(1, 4), (1, 6), (2, 1)]);
        let lines = fs::read_to_string(dir.runs()).unwrap();
        let read: Vec<Row> = lines
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(read, rows);

        fs::remove_dir_all(dir.run(1, 4).root()).unwrap();
        let journal = Journal::open(&dir, &(1..=9), 2).unwrap();
        assert_eq!(done(&journal), [(1, 6), (2, 1)]);
    }

    #[test]
    fn a_line_that_is_no_run_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let dir = SweepDir::new(folder.path());
        fs::write(dir.runs(), "{}\n{}\n").unwrap();
        let error = Journal::open(&dir, &(1..=1), 1).err().unwrap();
        assert!(
            error.to_string().contains("runs.jsonl:1: is no run"),
            "{error:#}"
        );
    }
}
