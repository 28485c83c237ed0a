//! `wpanlab exec` and `wpanlab capture`: into a native run that is going on.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use cleanup::{living, state_root};
use rundir::RunDir;

use crate::Outcome;
use crate::cli::{CaptureArgs, ExecArgs};
use crate::failure::Refused;
use crate::sequence::plan_of;

/// How often a capture is looked at for what is new: the run writes twice a second.
const PERIOD: Duration = Duration::from_millis(100);

/// Becomes the command, in the node's network namespace.
///
/// # Errors
/// There is no such run or node, nobody plays the run on this machine, its namespace may not be entered, or the command cannot be
/// executed.
pub fn exec(args: &ExecArgs) -> Result<Outcome> {
    let plan = plan_of(&RunDir::new(&args.run))?;
    if !plan.nodes.contains_key(&args.node) {
        let names: Vec<&str> = plan.nodes.keys().map(String::as_str).collect();
        let (run, names) = (args.run.display(), names.join(", "));
        bail!(Refused(format!(
            "{run}: the run has no node {}, but {names}",
            args.node
        )));
    }
    let Some(claim) = living(&state_root(), &args.run)? else {
        bail!(Refused(format!(
            "{}: no native run of this user's is going on there. The nodes of a run in a VM are in that, where nobody enters: \
             wpanlab run --backend native",
            args.run.display()
        )));
    };
    testbed::enter(&claim, &args.node)
        .with_context(|| format!("enter the network namespace of {}", args.node))?;
    let shell = || vec![std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into())];
    let words: Vec<OsString> = match args.command.is_empty() {
        true => shell(),
        false => args.command.clone(),
    };
    let error = Command::new(&words[0]).args(&words[1..]).exec();
    Err(anyhow!(error).context(format!("execute {}", words[0].to_string_lossy())))
}

/// Writes a capture of the run to standard output: what there is, and while the run goes on what comes.
///
/// # Errors
/// There is no such run or capture, or it cannot be read or written on.
pub fn capture(args: &CaptureArgs) -> Result<Outcome> {
    let dir = RunDir::new(&args.run);
    plan_of(&dir)?;
    let path = dir.captures().join(format!("{}.pcapng", args.capture));
    let (mut file, mut output) = (None, io::stdout().lock());
    loop {
        // First, so that what a run writes at its end is read after it.
        let goes_on = living(&state_root(), &args.run)?.is_some();
        if file.is_none() {
            file = match dir.files().open(&path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == ErrorKind::NotFound && goes_on => None,
                Err(error) => bail!(Refused(without(&dir, &path, &error))),
            };
        }
        if let Some(file) = &mut file {
            match copy(file, &mut output) {
                // Who read it has enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Outcome::Passed),
                copied => copied.with_context(|| path.display().to_string())?,
            }
        }
        if !goes_on {
            return Ok(Outcome::Passed);
        }
        std::thread::sleep(PERIOD);
    }
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    io::copy(from, to)?;
    to.flush()
}

/// That there is no such capture, and which there are.
fn without(dir: &RunDir, path: &Path, error: &io::Error) -> String {
    let entries = std::fs::read_dir(dir.captures()).into_iter().flatten();
    let found = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_capture = |path: &PathBuf| path.extension().is_some_and(|e| e == "pcapng");
    let mut names: Vec<String> = found
        .filter(is_capture)
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    let there = match names.is_empty() {
        true => "the run has none; those of a run in a VM come at its end".to_owned(),
        false => format!("there are {}", names.join(", ")),
    };
    format!("{}: {error}: {there}", path.display())
}
