//! Where a shard puts a run, so that it is there whole or not at all: made in a folder of its own below
//! `unfinished`, with its row in it, and renamed. Nobody waits for anybody and nobody locks: who comes
//! second with the same run finds it there, and his own is the same.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use measure::distribution::Row;
use rundir::{RunDir, SweepDir, Written};
use serde::{Deserialize, Serialize};

use super::by::By;
use super::journal;

/// How often somebody else may be quicker before something else is wrong.
const TRIES: u32 = 100;

/// `row.json`: what a shard says of a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// By what it was made.
    pub by: By,
    /// Its line of `runs.jsonl`.
    pub row: Row,
}

impl Kept {
    /// The one in a run's directory, if there is one.
    ///
    /// # Errors
    /// It cannot be understood, or is of another run.
    pub fn read(sweep: &SweepDir, point: usize, seed: u64) -> Result<Option<Kept>> {
        let path = sweep.run(point, seed).row();
        let text = match sweep.files().read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        let hint = "remove the run's directory to run it again";
        let kept: Kept = serde_json::from_str(&text)
            .with_context(|| format!("{}: is no row of a run; {hint}", path.display()))?;
        if (kept.row.point, kept.row.seed.0) != (point, seed) {
            let (path, row) = (path.display(), &kept.row);
            bail!(
                "{path}: is of point {} and seed {}; {hint}",
                row.point,
                row.seed
            );
        }
        Ok(Some(kept))
    }
}

/// A folder below `unfinished` for a run, or what is left of one.
#[derive(Debug)]
pub struct Apart {
    sweep: SweepDir,
    /// The folder.
    pub dir: RunDir,
}

impl Apart {
    /// A new one, which nobody else has.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(sweep: &SweepDir, point: usize, seed: u64) -> Result<Apart> {
        let folder = sweep.unfinished();
        let name = format!("point-{point}-seed-{seed}");
        let made = (sweep.files().make_folder(&folder))
            .and_then(|()| files::make_numbered(&folder, &name));
        let root: PathBuf =
            made.with_context(|| format!("create a directory in {}", folder.display()))?;
        Ok(Apart {
            sweep: sweep.clone(),
            dir: RunDir::new(root),
        })
    }

    /// Removes it with what a run has written there.
    ///
    /// # Errors
    /// The system refuses.
    pub fn remove(self) -> Result<()> {
        let root = self.dir.root();
        let removed = Written::by_run(&self.dir).and_then(|written| {
            written.remove()?;
            self.sweep.files().remove_empty_folder(root)
        });
        match removed {
            // A collector has removed it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.with_context(|| format!("remove {}", root.display())),
        }
    }

    /// Makes it the run that `kept` says it is. If that is there already, this one goes; a part of one, or
    /// one that failed itself, makes room.
    ///
    /// # Errors
    /// The system refuses.
    pub fn publish(self, kept: &Kept) -> Result<()> {
        let (point, seed) = (kept.row.point, kept.row.seed.0);
        let run = self.sweep.run(point, seed);
        let write = |path: &PathBuf| format!("write {}", path.display());
        let (path, text) = (self.dir.row(), serde_json::to_string(kept)? + "\n");
        let written = self.sweep.files().replace(&path, text.as_bytes());
        written.with_context(|| write(&path))?;
        let folder = self.sweep.point(point);
        let made = self.sweep.files().make_folder(folder.root());
        made.with_context(|| write(&folder.root().to_owned()))?;
        for _ in 0..TRIES {
            match fs::rename(self.dir.root(), run.root()) {
                Ok(()) => return Ok(()),
                Err(error) if is_occupied(&error) => {}
                Err(error) => return Err(error).with_context(|| write(&run.root().to_owned())),
            }
            if is_done(&self.sweep, point, seed)? {
                return self.remove();
            }
            let aside = Apart::new(&self.sweep, point, seed)?;
            match fs::rename(run.root(), aside.dir.root()) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| write(&run.root().to_owned()));
                }
                _ => aside.remove()?,
            }
        }
        bail!("{}: something is always in the way", run.root().display())
    }
}

/// Whether a folder that is not empty is where another one was to go.
fn is_occupied(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists
    )
}

/// Whether a run is there and has been measured, by its row or by the table of those collected.
pub fn is_done(sweep: &SweepDir, point: usize, seed: u64) -> Result<bool> {
    if let Ok(Some(kept)) = Kept::read(sweep, point, seed)
        && kept.row.error.is_none()
    {
        return Ok(true);
    }
    let rows = journal::read(sweep)?;
    let of_run = |row: &&Row| (row.point, row.seed.0) == (point, seed);
    Ok(rows
        .iter()
        .find(of_run)
        .is_some_and(|row| row.error.is_none()))
}
