//! `wpanlab run`, and the commands around a topology or a capture.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use measure::result::RunResult;
use rundir::{RunDir, SweepDir, Written};
use serde_json::json;
use topology::{Assignment, Diagnostics, Loaded, Parameter, Plan};

use crate::backend::{How, Outside};
use crate::cli::RunArgs;
use crate::failure::{self, Refused};
use crate::progress::Show;
use crate::report::Left;
use crate::source::Source;
use crate::staged::Staged;
use crate::{Outcome, Say, memory, output, report};

/// Where run directories are that nobody names.
const RUNS: &str = "runs";

/// Reads a topology with these assignments.
///
/// # Errors
/// [`topology::Diagnostics`] if it is wrong.
pub fn load(path: &Path, seed: Option<u64>, assignments: &[Assignment]) -> Result<Plan> {
    Ok(read(path, seed, assignments)?.plan)
}

/// [`load`], with what there is to say of a topology that can be run.
fn read(path: &Path, seed: Option<u64>, assignments: &[Assignment]) -> Result<Loaded> {
    Source::read(path)?.load(seed, assignments)
}

/// The assignments of a single run, of which no parameter has several values.
pub fn single(parameters: &[Parameter]) -> Result<Vec<Assignment>> {
    let several = parameters
        .iter()
        .find(|parameter| parameter.values().len() > 1);
    if let Some(parameter) = several {
        let (path, values) = (parameter.path(), parameter.values());
        let text = format!(
            "--set {path}={}: {} values are a sweep's, `wpanlab run --seeds A..B`; give one",
            values.join(","),
            values.len()
        );
        return Err(Refused(text).into());
    }
    Ok(Parameter::combinations(parameters)
        .pop()
        .unwrap_or_default())
}

/// Resolves a topology, with what there is to say of it said: on standard error, unless the caller wants
/// the result only. As JSON that is an object per warning, one a line.
pub fn load_and_warn(
    source: &Source,
    seed: Option<u64>,
    assignments: &[Assignment],
    say: Say,
) -> Result<Loaded> {
    let loaded = source.load(seed, assignments)?;
    match &loaded.warnings {
        Some(warnings) if say.json && !say.quiet => {
            for warning in failure::problems(warnings, "warning") {
                errln!("{warning}");
            }
        }
        _ if say.quiet => {}
        _ => warn(&loaded),
    }
    Ok(loaded)
}

/// Warnings go to standard error.
fn warn(loaded: &Loaded) {
    if let Some(warnings) = &loaded.warnings {
        errln!("{warnings}");
    }
}

/// `1 step`, `2 steps`.
fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// `wpanlab check`: every file is read, whatever the others hold.
pub fn check(paths: &[PathBuf], set: &[Parameter], say: Say) -> Result<Outcome> {
    let assignments = single(set)?;
    let mut outcome = Outcome::Passed;
    let mut checked = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        match read(path, None, &assignments) {
            Ok(loaded) => {
                let (nodes, steps) = (loaded.plan.nodes.len(), loaded.steps);
                let too_large = no_vm(&loaded.plan);
                if !say.json {
                    warn(&loaded);
                    if let Some(why) = &too_large {
                        errln!("{name}: {why}");
                    }
                    outln!(
                        "{name}: {}, {}",
                        counted(nodes, "node"),
                        counted(steps, "step")
                    );
                }
                let warnings = loaded.warnings.as_ref();
                let warnings = warnings.map(|all| failure::problems(all, "message"));
                checked.push(json!({
                    "topology": name,
                    "valid": true,
                    "nodes": nodes,
                    "steps": steps,
                    "too_large": too_large,
                    "warnings": warnings.unwrap_or_default(),
                }));
            }
            Err(error) => {
                outcome = Outcome::BadInput;
                if !say.json {
                    failure::tell(&error, false);
                }
                let problems = match error.downcast_ref::<Diagnostics>() {
                    Some(diagnostics) => failure::problems(diagnostics, "message"),
                    None => vec![json!({ "message": failure::text(&error) })],
                };
                let more = error
                    .downcast_ref::<Diagnostics>()
                    .map_or(0, Diagnostics::more);
                checked.push(json!({
                    "topology": name,
                    "valid": false,
                    "problems": problems,
                    "more": more,
                }));
            }
        }
    }
    if say.json {
        output::json(&checked)?;
    }
    Ok(outcome)
}

/// `wpanlab plan`.
pub fn print_plan(path: &Path, seed: Option<u64>, set: &[Parameter], say: Say) -> Result<Outcome> {
    let loaded = read(path, seed, &single(set)?)?;
    if say.json {
        return output::json(&loaded.plan).map(|()| Outcome::Passed);
    }
    warn(&loaded);
    if let Some(why) = no_vm(&loaded.plan) {
        errln!("{why}");
    }
    for remark in loaded.plan.remarks() {
        outln!("# {remark}");
    }
    out!("{}", loaded.plan.to_yaml());
    Ok(Outcome::Passed)
}

/// Why no VM can run a plan, if none can.
fn no_vm(plan: &Plan) -> Option<String> {
    let too_large = memory::of_guest(plan).err();
    let too_large = too_large.map(|why| format!("no VM can run it: {why}"));
    too_large.or_else(|| {
        let why = memory::overload(plan)?;
        Some(format!("no VM with virtual time can run it: {why}"))
    })
}

/// `wpanlab run`. A run that a signal ended is measured, too, as far as it came.
pub async fn run(args: RunArgs, show: Show, say: Say) -> Result<Outcome> {
    let mut left = Left::default();
    let told = |ended: &Result<Outcome>, left: &Left| {
        if let Err(error) = ended {
            report::beside_failed(left, &args, error);
        }
    };
    let mut staged = match Staged::prepare(&args, &show, say).await {
        Ok(staged) => staged,
        Err(error) => {
            let ended = Err(error);
            told(&ended, &left);
            return ended;
        }
    };
    loop {
        let ended = staged.finish(&args, &show, say, &mut left).await;
        told(&ended, &left);
        if !staged.is_wanted_again(&ended, &left, &show, say).await? {
            return ended;
        }
    }
}

/// Says what a run showed that did not come to its end.
///
/// # Errors
/// It was over before everything that is measured came to be, maybe.
pub async fn print_partial(dir: &RunDir, say: Say) -> Result<()> {
    let result = measure(dir, &Show::Nothing).await?;
    print_result(dir, &result, say)
}

pub fn print_result(dir: &RunDir, result: &RunResult, say: Say) -> Result<()> {
    if say.json {
        output::json(result)?;
    } else {
        out!("{}", measure::text::summary(result));
        if !say.quiet {
            print_paths(dir)?;
        }
    }
    Ok(())
}

/// The live half, then the measurement.
pub async fn perform(plan: &Plan, how: &How, dir: &RunDir, show: &Show) -> Result<RunResult> {
    keep_plan(plan, dir)?;
    how.run(plan, dir, show, Outside::default()).await?;
    measure(dir, show).await
}

pub async fn measure(dir: &RunDir, show: &Show) -> Result<RunResult> {
    show.stage("measure");
    // A sweep's other runs go on meanwhile.
    let dir = dir.clone();
    let measured = tokio::task::spawn_blocking(move || measure::run_dir(&dir)).await;
    measured.context("measure")?.context("measure")
}

/// The plan as it is executed, beside what the live half will write. It is the first file of a run
/// directory, and made once: of two runs that were given the same directory one has it.
pub fn keep_plan(plan: &Plan, dir: &RunDir) -> Result<()> {
    let path = dir.plan();
    let kept = dir.files().write_new(&path, plan.to_yaml().as_bytes());
    kept.with_context(|| format!("write {}", path.display()))
}

/// Whether the live half has left anything beside what was there before it, or an earlier run could not
/// remove.
pub fn has_begun(dir: &RunDir) -> bool {
    [
        dir.events(),
        dir.facts(),
        dir.error(),
        dir.logs(),
        dir.captures(),
    ]
    .iter()
    .any(|path| path.exists())
}

/// Removes what is in a run directory before the live half begins, and the directory if nothing else
/// is there.
pub fn remove_unbegun(dir: &RunDir) -> std::io::Result<()> {
    dir.files().remove_file(&dir.plan())?;
    dir.files().remove_file(&dir.made())?;
    match fs::remove_dir(dir.root()) {
        Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => removed,
    }
}

/// Refuses places for the run and what is written beside it that cannot be those.
pub fn refuse_places(args: &RunArgs) -> Result<()> {
    refuse_occupied(args)?;
    report::check_places(args.out.as_deref().unwrap_or(Path::new(RUNS)), args)
}

/// An existing run directory is never overwritten without `--force`.
fn refuse_occupied(args: &RunArgs) -> Result<()> {
    let Some(root) = &args.out else {
        return Ok(());
    };
    if is_occupied(root) && args.force {
        return removable(root, &args.topology).map(drop);
    }
    if is_occupied(root) && !args.resume {
        let resume = if SweepDir::new(root).manifest().exists() {
            "--resume continues it, "
        } else {
            ""
        };
        let text = format!("{} exists; {resume}--force replaces it", root.display());
        return Err(Refused(text).into());
    }
    Ok(())
}

/// Makes the run directory of the topology `name`, empty: the one that was named, or one that nobody
/// else has.
pub fn make_run_dir(name: &str, args: &RunArgs) -> Result<RunDir> {
    let Some(root) = &args.out else {
        let base = Path::new(RUNS);
        let made = files::make_numbered(base, name);
        let root = made.with_context(|| format!("create a directory in {}", base.display()))?;
        return Ok(RunDir::new(root));
    };
    if is_occupied(root) {
        remove_run(root, &args.topology)?;
    }
    fs::create_dir_all(root).with_context(|| format!("create {}", root.display()))?;
    Ok(RunDir::new(root))
}

/// Whether there is anything in the directory `root`.
pub fn is_occupied(root: &Path) -> bool {
    fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some())
}

/// What an earlier run or sweep wrote into `root`, if that may be removed to run `topology` there.
fn removable(root: &Path, topology: &Path) -> Result<Written> {
    let refused = |why: &str| Refused(format!("{} {why}: not removed", root.display()));
    let place = root.display().to_string();
    let whole = root.canonicalize().with_context(|| place.clone())?;
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    if here.is_ok_and(|here| here.starts_with(&whole)) {
        return Err(refused("is the working directory, or holds it").into());
    }
    if (topology.canonicalize()).is_ok_and(|topology| topology.starts_with(&whole)) {
        return Err(refused("holds the topology").into());
    }
    let Some(written) = Written::by_run_or_sweep(root).with_context(|| place)? else {
        let why = format!(
            "is no run directory (it has no plan.yaml, and no {}, with a made.json beside it)",
            SweepDir::MANIFEST
        );
        return Err(refused(&why).into());
    };
    match written.in_the_way() {
        Some(path) => Err(refused(&format!("is not as a run left it ({})", path.display())).into()),
        None => Ok(written),
    }
}

/// Removes what an earlier run or sweep wrote into `root`, and names what stays there.
fn remove_run(root: &Path, topology: &Path) -> Result<()> {
    let removed = removable(root, topology)?.remove();
    for path in removed.with_context(|| format!("remove {}", root.display()))? {
        errln!("wpanlab: {} is not of a run: it stays", path.display());
    }
    Ok(())
}

/// One line each, however many interfaces there are.
fn print_paths(dir: &RunDir) -> Result<()> {
    let captures = fs::read_dir(dir.captures())
        .and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>())
        .with_context(|| dir.captures().display().to_string())?;
    let merged = dir.merged_capture();
    let single = captures.iter().filter(|entry| entry.path() != merged);
    outln!("run directory  {}", dir.root().display());
    outln!("result         {}", dir.result().display());
    outln!(
        "captures       {}  (of all interfaces; {} of single ones beside it)",
        merged.display(),
        single.count()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made;

    #[test]
    fn of_two_runs_in_one_directory_one_has_it() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies/minimal.yaml");
        let plan = load(&file, None, &[]).unwrap();
        let base = tempfile::tempdir().unwrap();
        let dir = RunDir::new(base.path());
        keep_plan(&plan, &dir).unwrap();
        assert!(!has_begun(&dir));
        let refused = failure::text(&keep_plan(&plan, &dir).unwrap_err());
        assert!(refused.contains("plan.yaml"), "{refused}");
        dir.files().replace(&dir.events(), b"").unwrap();
        assert!(has_begun(&dir));
    }

    #[test]
    fn force_removes_runs_only() {
        let base = tempfile::tempdir().unwrap();
        let (root, topology) = (base.path().join("run"), base.path().join("x.yaml"));
        let refused = |why: &str| {
            let error = remove_run(&root, &topology).unwrap_err();
            assert_eq!(failure::code(&error), failure::BAD_INPUT);
            assert!(failure::text(&error).contains(why), "{error:#}");
        };
        fs::create_dir(&root).unwrap();
        for name in ["precious", "plan.yaml"] {
            fs::write(root.join(name), "x").unwrap();
            refused("no run directory");
        }
        made::write(&made::now(None, &[]), &root.join("made.json")).unwrap();
        fs::write(root.join("x.yaml"), "x").unwrap();
        std::os::unix::fs::symlink("run/x.yaml", &topology).unwrap();
        refused("holds the topology");
        fs::remove_file(&topology).unwrap();
        remove_run(&root, &topology).unwrap();
        assert!(root.join("precious").exists() && root.join("x.yaml").exists());
        assert!(!root.join("plan.yaml").exists() && !root.join("made.json").exists());
    }

    #[test]
    fn force_never_removes_from_the_working_directory_or_one_around_it() {
        for root in [".", "..", "/", "../wpanlab"] {
            let error = remove_run(Path::new(root), Path::new("/x.yaml")).unwrap_err();
            assert!(
                failure::text(&error).contains("working directory"),
                "{root}"
            );
        }
    }
}
