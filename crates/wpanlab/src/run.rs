//! `wpanlab run`, and the commands around a topology or a capture.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ipnet::Ipv6Net;
use measure::result::RunResult;
use rundir::{RunDir, SweepDir};
use topology::{Assignment, Loaded, Overrides, Parameter, Plan};
use units::Seed;

use crate::Outcome;
use crate::backend::How;
use crate::cli::RunArgs;
use crate::progress::Show;

/// Reads a topology with these assignments; diagnostics go to standard error and `None` comes back.
pub fn load(path: &Path, seed: Option<u64>, assignments: &[Assignment]) -> Result<Option<Plan>> {
    Ok(read(path, seed, assignments)?.map(|loaded| loaded.plan))
}

/// [`load`], with what there is to say of a topology that can be run.
fn read(path: &Path, seed: Option<u64>, assignments: &[Assignment]) -> Result<Option<Loaded>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let overrides = Overrides {
        seed: seed.map(Seed),
        assignments: assignments.to_vec(),
    };
    // Traces and movements are named relative to the topology's own file.
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = |name: &str| fs::read(folder.join(name)).map_err(|error| error.to_string());
    match topology::read(&path.display().to_string(), &text, overrides, &mut files) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(diagnostics) => {
            eprintln!("{diagnostics}");
            Ok(None)
        }
    }
}

/// The assignments of a single run; `None` if a parameter has several values, which has been said.
pub fn single(parameters: &[Parameter]) -> Option<Vec<Assignment>> {
    let several = parameters
        .iter()
        .find(|parameter| parameter.values().len() > 1);
    if let Some(parameter) = several {
        let (path, values) = (parameter.path(), parameter.values());
        eprintln!(
            "wpanlab: --set {path}={}: {} values are a sweep's, `wpanlab run --seeds A..B`; give one",
            values.join(","),
            values.len()
        );
        return None;
    }
    Parameter::combinations(parameters).pop()
}

/// Warnings go to standard error.
fn warn(loaded: &Loaded) {
    if let Some(warnings) = &loaded.warnings {
        eprintln!("{warnings}");
    }
}

/// `wpanlab check`: every file is read, whatever the others hold.
pub fn check(paths: &[PathBuf], set: &[Parameter]) -> Result<Outcome> {
    let Some(assignments) = single(set) else {
        return Ok(Outcome::BadInput);
    };
    let mut outcome = Outcome::Passed;
    for path in paths {
        match read(path, None, &assignments)? {
            Some(loaded) => {
                warn(&loaded);
                let (nodes, steps) = (loaded.plan.nodes.len(), loaded.steps);
                outln!("{}: {nodes} nodes, {steps} steps", path.display());
            }
            None => outcome = Outcome::BadTopology,
        }
    }
    Ok(outcome)
}

/// `wpanlab plan`.
pub fn print_plan(path: &Path, seed: Option<u64>, set: &[Parameter]) -> Result<Outcome> {
    let Some(assignments) = single(set) else {
        return Ok(Outcome::BadInput);
    };
    let Some(loaded) = read(path, seed, &assignments)? else {
        return Ok(Outcome::BadTopology);
    };
    warn(&loaded);
    out!("{}", loaded.plan.to_yaml());
    Ok(Outcome::Passed)
}

/// `wpanlab analyze`. Damage further on in a file is said, after what could be read.
pub fn analyze(
    captures: &[PathBuf],
    contexts: Vec<(u8, Ipv6Net)>,
    all: bool,
    json: bool,
) -> Result<Outcome> {
    let mut options = measure::analysis::Options::default();
    options.decode.contexts = contexts.into_iter().collect();
    let (analysis, damage) = measure::analyze(captures, &options)?;
    if json {
        outln!(
            "{}",
            serde_json::to_string_pretty(&measure::export::Report::of(&analysis))?
        );
    } else {
        let table = if all {
            measure::text::Table::All
        } else {
            measure::text::Table::Notable
        };
        out!("{}", measure::text::report(&analysis, table));
    }
    for error in &damage {
        eprintln!("wpanlab: {error}");
    }
    Ok(if damage.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Failed
    })
}

/// `wpanlab run`.
pub async fn run(args: RunArgs, show: Show, json: bool, quiet: bool) -> Result<Outcome> {
    let Some(assignments) = single(&args.set) else {
        return Ok(Outcome::BadInput);
    };
    let Some(plan) = load(&args.topology, args.seed, &assignments)? else {
        return Ok(Outcome::BadTopology);
    };
    let dir = choose_run_dir(&plan.name, &args)?;
    let how = How::choose(&args.how, &show).await?;
    make_run_dir(&dir)?;
    let outcome = perform(&plan, &how, &dir, &show).await;
    show.done();
    if outcome.is_err() && !is_occupied(dir.root()) {
        // Nothing was seen: an empty directory would only be in the way of the next run.
        fs::remove_dir(dir.root()).with_context(|| format!("remove {}", dir.root().display()))?;
        return outcome.map(|_| Outcome::Failed);
    }
    let result =
        outcome.with_context(|| format!("what was seen is in {}", dir.root().display()))?;
    if json {
        outln!("{}", serde_json::to_string_pretty(&result)?);
    } else if !quiet {
        out!("{}", measure::text::summary(&result));
        print_paths(&dir)?;
    }
    Ok(if result.passed {
        Outcome::Passed
    } else {
        Outcome::Failed
    })
}

/// The live half, then the measurement.
pub async fn perform(plan: &Plan, how: &How, dir: &RunDir, show: &Show) -> Result<RunResult> {
    how.run(plan, dir, show).await?;
    show.stage("measure");
    // A sweep's other runs go on meanwhile.
    let dir = dir.clone();
    let measured = tokio::task::spawn_blocking(move || measure::run_dir(&dir)).await;
    measured.context("measure")?.context("measure")
}

/// Where the run directory of the topology `name` is to be. An existing one is never overwritten
/// without `--force`.
pub fn choose_run_dir(name: &str, args: &RunArgs) -> Result<RunDir> {
    let root = match &args.out {
        Some(out) => out.clone(),
        None => next_free(Path::new("runs"), name),
    };
    if is_occupied(&root) && !args.force && !args.resume {
        let resume = if SweepDir::new(&root).manifest().exists() {
            "--resume continues it, "
        } else {
            ""
        };
        bail!("{} exists; {resume}--force replaces it", root.display());
    }
    Ok(RunDir::new(root))
}

/// Makes the run directory, empty.
pub fn make_run_dir(dir: &RunDir) -> Result<()> {
    let root = dir.root();
    if is_occupied(root) {
        remove_run(root)?;
    }
    fs::create_dir_all(root).with_context(|| format!("create {}", root.display()))
}

/// Whether there is anything in the directory `root`.
pub fn is_occupied(root: &Path) -> bool {
    fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some())
}

/// Removes an earlier run, and refuses to remove anything else.
fn remove_run(root: &Path) -> Result<()> {
    if !RunDir::new(root).plan().exists() && !SweepDir::new(root).manifest().exists() {
        bail!(
            "{} is no run directory (it has no plan.yaml, and no {}): not removed",
            root.display(),
            SweepDir::MANIFEST
        );
    }
    fs::remove_dir_all(root).with_context(|| format!("remove {}", root.display()))
}

fn next_free(base: &Path, name: &str) -> PathBuf {
    let taken = |number: &u32| base.join(format!("{name}-{number}")).exists();
    let number = (1..).find(|number| !taken(number)).unwrap_or(1);
    base.join(format!("{name}-{number}"))
}

fn print_paths(dir: &RunDir) -> Result<()> {
    outln!("run directory  {}", dir.root().display());
    outln!("result         {}", dir.result().display());
    outln!(
        "captures       {}  (all interfaces)",
        dir.merged_capture().display()
    );
    let mut captures: Vec<PathBuf> = fs::read_dir(dir.captures())
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .with_context(|| dir.captures().display().to_string())?;
    captures.sort();
    for capture in captures
        .iter()
        .filter(|path| **path != dir.merged_capture())
    {
        outln!("               {}", capture.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_gets_the_next_free_directory() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(
            next_free(base.path(), "handover"),
            base.path().join("handover-1")
        );
        fs::create_dir(base.path().join("handover-1")).unwrap();
        assert_eq!(
            next_free(base.path(), "handover"),
            base.path().join("handover-2")
        );
    }

    #[test]
    fn force_removes_runs_only() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("precious"), "x").unwrap();
        assert!(
            remove_run(base.path())
                .unwrap_err()
                .to_string()
                .contains("no run directory")
        );
        assert!(base.path().join("precious").exists());
    }
}
