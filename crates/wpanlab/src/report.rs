//! `wpanlab report`: a run or a sweep as a page, figures, tables of their values and JUnit XML.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};
use files::Tree;
use report::Report;
use rundir::written::PAGE;
use serde_json::json;
use topology::Diagnostics;

use crate::cli::{ReportArgs, RunArgs};
use crate::failure::{self, Refused};
use crate::{Outcome, Say, output};

/// Writes `report.html`, and what else was asked for.
pub fn report(args: &ReportArgs, say: Say) -> Result<Outcome> {
    for (option, file) in [("--out", &args.out), ("--junit", &args.junit)] {
        if let Some(file) = file {
            refuse_place(option, file, &args.dir, None)?;
        }
    }
    let report = Report::read(&args.dir, args.compare).map_err(|e| Refused(e.to_string()))?;
    let mut written = Written::default();
    match &args.out {
        Some(page) => written.write(page, &report.html_at(page, &args.dir))?,
        // Nobody has named it, and the directory may have come from anywhere.
        None => {
            let page = report.html_at(&args.dir.join(PAGE), &args.dir);
            written.write_into(&args.dir, PAGE, &page)?;
        }
    }
    if let Some(dir) = &args.svg {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        for (name, svg) in report.svgs() {
            written.write_into(dir, &format!("{name}.svg"), &svg)?;
        }
    }
    if let Some(dir) = &args.csv {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        for (name, table) in report.tables() {
            written.write_into(dir, &format!("{name}.csv"), &table)?;
        }
    }
    if let Some(file) = &args.junit {
        written.write(file, &report.junit())?;
    }
    if say.json {
        let problems: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
        output::json(&json!({ "written": written.0, "problems": problems }))?;
    } else {
        written.print(say);
        complain(&report);
    }
    Ok(Outcome::Passed)
}

/// Refuses a place for `run --report` and `--junit` where nothing can be written, before the run
/// whose result would go there. `run` is the run's own directory, which is still to be made.
///
/// # Errors
/// [`Refused`].
pub fn check_places(run: &Path, args: &RunArgs) -> Result<()> {
    for (option, file) in [("--report", &args.report), ("--junit", &args.junit)] {
        let Some(file) = file else { continue };
        let folder = folder(file);
        // The run makes its directory, and those around it.
        if !folder.is_dir() && !run.starts_with(folder) {
            let (file, folder) = (file.display(), folder.display());
            let text = format!("{option} {file}: there is no directory {folder}");
            return Err(Refused(text).into());
        }
        refuse_place(option, file, run, Some(&args.topology))?;
    }
    Ok(())
}

/// Refuses to write into the place of a directory, or over what was given: a file of the run or the
/// sweep in `dir`, or the topology.
fn refuse_place(option: &str, file: &Path, dir: &Path, topology: Option<&PathBuf>) -> Result<()> {
    let refused = |why: &str| {
        let text = format!("{option} {}: {why}", file.display());
        Err(Refused(text).into())
    };
    if file.is_dir() || file.file_name().is_none() {
        return refused("it is a directory, no file");
    }
    let place = place_of(file);
    let is_topology = |topology: &PathBuf| {
        let led_to = topology.canonicalize().ok();
        place == place_of(topology) || led_to.is_some_and(|led_to| led_to == place)
    };
    if topology.is_some_and(is_topology) {
        return refused("it is the topology");
    }
    let inside = place.strip_prefix(
        place_of(dir)
            .canonicalize()
            .unwrap_or_else(|_| place_of(dir)),
    );
    if inside.is_ok_and(rundir::written::is_figure) {
        return refused("the run or the sweep has that file");
    }
    Ok(())
}

/// Where a file is, or is to be, whatever links lead there; one that is itself a link is replaced.
fn place_of(file: &Path) -> PathBuf {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let (Some(folder), Some(name)) = (whole.parent(), whole.file_name()) else {
        return whole;
    };
    // Of a folder that is still to be made those around it are there.
    let around = folder.ancestors().find_map(|around| {
        let rest = folder.strip_prefix(around).ok()?;
        Some(around.canonicalize().ok()?.join(rest))
    });
    around.unwrap_or_else(|| folder.to_owned()).join(name)
}

/// Writes what `run --report` and `--junit` ask for of the run or sweep in `dir`.
pub fn beside(dir: &Path, args: &RunArgs, say: Say) -> Result<()> {
    if args.report.is_none() && args.junit.is_none() {
        return Ok(());
    }
    let report = Report::read(dir, args.compare)?;
    let mut written = Written::default();
    if let Some(file) = &args.report {
        written.write(file, &report.html_at(file, dir))?;
    }
    if let Some(file) = &args.junit {
        written.write(file, &report.junit())?;
    }
    if !say.json {
        written.print(say);
        complain(&report);
    }
    Ok(())
}

/// What a run or a sweep that failed leaves for its page and its JUnit file.
#[derive(Debug, Default)]
pub enum Left {
    /// Nothing was run.
    #[default]
    Nothing,
    /// A directory of what was seen until then.
    Part(PathBuf),
    /// They have been written.
    Written,
}

/// Writes what `run --report` and `--junit` ask for of what did not come to its end: an earlier run's
/// files would tell whoever reads them that all is well. What cannot be written is said.
pub fn beside_failed(left: &Left, args: &RunArgs, error: &Error) {
    let why = match error.downcast_ref::<Diagnostics>() {
        Some(diagnostics) => diagnostics.to_string().trim_end().to_owned(),
        None => failure::text(error),
    };
    let report = match left {
        Left::Written => return,
        Left::Part(dir) => Report::read_unfinished(dir, args.compare, &why).ok(),
        Left::Nothing => None,
    };
    let topology = args.topology.file_stem().unwrap_or_default();
    let report = report.unwrap_or_else(|| Report::of_nothing(&topology.to_string_lossy(), &why));
    for (file, is_page) in [(&args.report, true), (&args.junit, false)] {
        let Some(file) = file.as_deref().filter(|file| may_write(file, left, args)) else {
            continue;
        };
        let text = match left {
            _ if !is_page => report.junit(),
            Left::Part(dir) => report.html_at(file, dir),
            Left::Nothing | Left::Written => report.html(),
        };
        if let Err(error) = Written::default().write(file, &text) {
            errln!("wpanlab: {}", failure::text(&error));
        }
    }
}

/// Whether `file` has a place where it may be written: not in an earlier run that was not to be
/// replaced.
fn may_write(file: &Path, left: &Left, args: &RunArgs) -> bool {
    let nothing = matches!(left, Left::Nothing);
    let of_earlier = args.out.as_deref().filter(|_| nothing && !args.force);
    folder(file).is_dir() && !of_earlier.is_some_and(|out| file.starts_with(out))
}

/// The directory in which `file` is.
fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn complain(report: &Report) {
    for problem in report.problems() {
        errln!("wpanlab: the report lacks something: {problem}");
    }
}

/// The files that were written.
#[derive(Default)]
struct Written(Vec<PathBuf>);

impl Written {
    fn write(&mut self, path: &Path, text: &str) -> Result<()> {
        files::write_named(path, text.as_bytes())
            .with_context(|| format!("write {}", path.display()))?;
        self.0.push(path.to_owned());
        Ok(())
    }

    /// Writes the file `name` of the directory `dir`.
    fn write_into(&mut self, dir: &Path, name: &str, text: &str) -> Result<()> {
        let path = dir.join(name);
        Tree::new(dir)
            .replace(&path, text.as_bytes())
            .with_context(|| format!("write {}", path.display()))?;
        self.0.push(path);
        Ok(())
    }

    fn print(&self, say: Say) {
        for path in self.0.iter().filter(|_| !say.quiet) {
            outln!("{}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure;

    #[test]
    fn nothing_is_written_over_what_was_given() {
        let base = tempfile::tempdir().unwrap();
        let at = |name: &str| base.path().join(name);
        fs::create_dir(at("run")).unwrap();
        fs::write(at("x.yaml"), "").unwrap();
        std::os::unix::fs::symlink("run", at("latest")).unwrap();
        std::os::unix::fs::symlink("x.yaml", at("link.yaml")).unwrap();
        for (file, dir, topology) in [
            (Path::new("."), "run", "x.yaml"),
            (&at("run"), "run", "x.yaml"),
            (&at("x.yaml"), "run", "x.yaml"),
            (&at("run/../x.yaml"), "run", "link.yaml"),
            (&at("link.yaml"), "run", "link.yaml"),
            (&at("run/plan.yaml"), "latest", "x.yaml"),
            (&at("latest/result.json"), "run", "x.yaml"),
            (&at("new/log/er1.log"), "new", "x.yaml"),
        ] {
            let refused = refuse_place("--report", file, &at(dir), Some(&at(topology)));
            let refused = refused.expect_err(&file.display().to_string());
            assert_eq!(failure::code(&refused), failure::BAD_INPUT);
        }
        for file in [
            "run/report.html",
            "run/junit.xml",
            "page.html",
            "new/page.html",
        ] {
            refuse_place("--report", &at(file), &at("run"), Some(&at("x.yaml"))).unwrap();
        }
    }
}
