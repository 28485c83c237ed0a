//! What `made.json` says of a run or a sweep: when it began, by which command, and what was said of
//! its topology before.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use rundir::Made;
use rundir::made::utc;
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
    for assignment in added {
        words.extend(["--set".to_owned(), assignment.to_string()]);
    }
    let warnings = warnings.map_or(&[][..], Diagnostics::problems).iter();
    let sentence = |warning: &topology::Diagnostic| match warning.span.source {
        Source::File => format!("line {}: {}", warning.span.line, warning.message),
        Source::Assignment(_) => warning.message.clone(),
    };
    Made {
        started: utc(SystemTime::now()),
        command: command_line(words),
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

/// Words as a shell reads them.
pub fn command_line(words: impl IntoIterator<Item = String>) -> String {
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    words.join(" ")
}

/// `word` as a shell reads it as one.
fn quoted(word: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_word_as_it_was() {
        assert_eq!(quoted("a.b=10".into()), "a.b=10");
        assert_eq!(quoted("a=10 ms".into()), "'a=10 ms'");
        assert_eq!(quoted("a[0]='x'".into()), r"'a[0]='\''x'\'''");
        assert_eq!(quoted(String::new()), "''");
    }
}
