//! `wpanlab verify`: the same run again, compared byte by byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rundir::RunDir;
use serde_json::json;

use crate::backend::{self, How};
use crate::cli::{BackendArg, ClockArg, HowArgs, VerifyArgs};
use crate::failure::Refused;
use crate::progress::Show;
use crate::run::{load, perform, single};
use crate::{Outcome, Say, output};

/// Runs the topology `args.runs` times and compares every artefact with the first run's.
pub async fn verify(args: VerifyArgs, show: Show, say: Say) -> Result<Outcome> {
    let plan = load(&args.topology, args.seed, &single(&args.set)?)?;
    if args.backend == BackendArg::Native {
        let text = "verify compares runs in virtual time, which the native backend does not have: take vm or uml";
        return Err(Refused(text.into()).into());
    }
    let how = HowArgs {
        backend: args.backend,
        clock: ClockArg::Virtual,
        kernel: args.kernel.clone(),
        syscall_cost: args.syscall_cost,
    };
    let how = How::choose(&how, &show).await?;
    let scratch = tempfile::tempdir().context("temporary directory")?;
    let mut first: Option<BTreeMap<PathBuf, Vec<u8>>> = None;
    let mut difference = None;
    for number in 1..=args.runs {
        show.stage(&format!("run {number} of {}", args.runs));
        let dir = RunDir::new(scratch.path().join(number.to_string()));
        fs::create_dir(dir.root()).with_context(|| dir.root().display().to_string())?;
        perform(&plan, &how, &dir, &show)
            .await
            .with_context(|| format!("run {number}"))?;
        let files = backend::read_tree(dir.root())?;
        let Some(expected) = &first else {
            first = Some(files);
            continue;
        };
        difference = first_difference(expected, &files).map(|what| (number, what));
        if difference.is_some() {
            break;
        }
    }
    show.done();
    let (name, runs) = (&plan.name, args.runs);
    let files = first.map_or(0, |files| files.len());
    match &difference {
        _ if say.json => output::json(&json!({
            "topology": name,
            "runs": runs,
            "files": files,
            "identical": difference.is_none(),
            "difference": difference.as_ref().map(|(run, what)| json!({ "run": run, "what": what })),
        }))?,
        Some((run, what)) => outln!("{name}: run {run} differs from run 1: {what}"),
        None => outln!("{name}: {runs} runs, {files} files each, identical"),
    }
    Ok(match difference {
        Some(_) => Outcome::Failed,
        None => Outcome::Passed,
    })
}

/// The first file that is not the same in both, and where.
fn first_difference(
    a: &BTreeMap<PathBuf, Vec<u8>>,
    b: &BTreeMap<PathBuf, Vec<u8>>,
) -> Option<String> {
    for (path, left) in a {
        let name = path.display();
        let Some(right) = b.get(path) else {
            return Some(format!("{name} is missing"));
        };
        if left != right {
            return Some(format!("{name} {}", place(path, left, right)));
        }
    }
    b.keys()
        .find(|path| !a.contains_key(*path))
        .map(|path| format!("{} is new", path.display()))
}

/// Line and text for text files, offset for others.
pub fn place(path: &Path, left: &[u8], right: &[u8]) -> String {
    let same = left.iter().zip(right).take_while(|(l, r)| l == r).count();
    if path
        .extension()
        .is_some_and(|extension| extension == "pcapng")
    {
        return format!(
            "at byte {same} ({} and {} bytes long)",
            left.len(),
            right.len()
        );
    }
    let line = left[..same].iter().filter(|byte| **byte == b'\n').count() + 1;
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.lines()
            .nth(line - 1)
            .unwrap_or("(end of file)")
            .to_owned()
    };
    format!("at line {line}:\n  {}\n  {}", text(left), text(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> BTreeMap<PathBuf, Vec<u8>> {
        files
            .iter()
            .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn the_first_difference_is_named_with_its_line() {
        let a = tree(&[("events.jsonl", "one\ntwo\n"), ("plan.yaml", "x")]);
        assert_eq!(first_difference(&a, &a), None);
        let b = tree(&[("events.jsonl", "one\n2\n"), ("plan.yaml", "x")]);
        assert_eq!(
            first_difference(&a, &b).unwrap(),
            "events.jsonl at line 2:\n  two\n  2"
        );
    }

    #[test]
    fn files_that_only_one_run_has_are_differences() {
        let a = tree(&[("a", "x")]);
        let b = tree(&[("a", "x"), ("b", "y")]);
        assert_eq!(first_difference(&a, &b).unwrap(), "b is new");
        assert_eq!(first_difference(&b, &a).unwrap(), "b is missing");
    }
}
