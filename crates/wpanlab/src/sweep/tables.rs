//! What a finished sweep says: `distribution.json`, `runs.csv` and `figures.csv`, and the verdict.

use std::path::Path;

use anyhow::{Context, Result, bail};
use measure::distribution::{Distribution, Row, table};
use rundir::SweepDir;
use topology::Plan;

use super::manifest::Manifest;
use crate::{Outcome, Say};

/// Writes a file of a sweep in one step.
pub fn write(dir: &SweepDir, path: &Path, text: &str) -> Result<()> {
    let written = dir.files().replace(path, text.as_bytes());
    written.with_context(|| format!("write {}", path.display()))
}

/// Writes the tables of `rows`, which are all runs of the sweep in the order of points and seeds.
/// `first` is the first point's plan.
pub fn all(
    dir: &SweepDir,
    manifest: &Manifest,
    first: &Plan,
    rows: &[Row],
) -> Result<Distribution> {
    let distribution = Distribution::of(&first.name, manifest.parameters(), rows);
    let distribution = distribution.expecting(&first.expect_sweep, rows);
    write(dir, &dir.distribution(), &distribution.to_json())?;
    let runs = table::runs(&distribution.parameters, rows);
    write(dir, &dir.runs_table(), &runs)?;
    write(dir, &dir.figures_table(), &table::figures(&distribution))?;
    Ok(distribution)
}

/// Prints them; `compare` is a delay in seconds.
pub fn print(
    dir: &SweepDir,
    distribution: &Distribution,
    rows: &[Row],
    compare: Option<f64>,
    say: Say,
) {
    if say.json {
        out!("{}", distribution.to_json());
        return;
    }
    out!("{}", distribution.report(rows, compare));
    if !say.quiet {
        outln!("runs in {}", dir.root().display());
    }
}

/// Whether what is expected holds.
///
/// # Errors
/// A run failed itself.
pub fn verdict(dir: &SweepDir, distribution: &Distribution, rows: &[Row]) -> Result<Outcome> {
    let broken = rows.iter().filter(|row| row.error.is_some()).count();
    if broken > 0 {
        bail!(
            "{broken} of {} runs failed themselves; `error` in {} says why, and --resume runs them again",
            rows.len(),
            dir.runs().display()
        );
    }
    Ok(if distribution.passed() {
        Outcome::Passed
    } else {
        Outcome::Failed
    })
}
