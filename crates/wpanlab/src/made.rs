//! What `made.json` says of a run or a sweep: when it began, by which command, and what was said of
//! its topology before.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use rundir::Made;
use rundir::made::{command_line, utc};
use topology::{Assignment, Diagnostics, Source};

/// This command, which begins now, with what there is to say of its topology; `added` is what it sets beside what its
/// command line does.
pub fn now(warnings: Option<&Diagnostics>, added: &[Assignment]) -> Made {
    let mut words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    // Where the program is says nothing of the run.
    if let Some(program) = words.first_mut() {
        "wpanlab".clone_into(program);
    }
    // What stands behind `--` is no option.
    let options = words.iter().position(|word| word == "--");
    let added = added
        .iter()
        .flat_map(|assignment| ["--set".to_owned(), assignment.to_string()]);
    let place = options.unwrap_or(words.len());
    words.splice(place..place, added);
    let warnings = warnings.map_or(&[][..], Diagnostics::problems).iter();
    let sentence = |warning: &topology::Diagnostic| match warning.span.source {
        Source::File => format!("line {}: {}", warning.span.line, warning.message),
        Source::Assignment(_) => warning.message.clone(),
    };
    Made {
        started: utc(SystemTime::now()),
        command: command_line(words),
        again: None,
        warnings: warnings.map(sentence).collect(),
    }
}

/// Writes it.
///
/// # Errors
/// It cannot be written.
pub fn write(made: &Made, path: &Path) -> Result<()> {
    made.write(path)
        .with_context(|| format!("write {}", path.display()))
}
