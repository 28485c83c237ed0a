//! `wpanlab report`: a run or a sweep as a page, figures and JUnit XML.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use report::Report;

use crate::Outcome;
use crate::cli::ReportArgs;

/// Writes `report.html`, and what else was asked for.
pub fn report(args: &ReportArgs, quiet: bool) -> Result<Outcome> {
    let report = match Report::read(&args.dir, args.compare) {
        Ok(report) => report,
        Err(wrong) => {
            eprintln!("wpanlab: {wrong}");
            return Ok(Outcome::BadInput);
        }
    };
    let page = args
        .out
        .clone()
        .unwrap_or_else(|| args.dir.join("report.html"));
    write(&page, &report.html(), quiet)?;
    if let Some(dir) = &args.svg {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        for (name, svg) in report.svgs() {
            write(&dir.join(format!("{name}.svg")), &svg, quiet)?;
        }
    }
    if let Some(file) = &args.junit {
        write(file, &report.junit(), quiet)?;
    }
    for problem in report.problems() {
        eprintln!("wpanlab: the report lacks something: {problem}");
    }
    Ok(Outcome::Passed)
}

fn write(path: &Path, text: &str, quiet: bool) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    if !quiet {
        outln!("{}", path.display());
    }
    Ok(())
}
