//! What goes wrong, as a caller is told of it: a line or an object of JSON on standard error, and
//! the exit code.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Error, Result};
use capture::ReadError;
use serde_json::{Value, json};
use testbed::Interrupted;
use topology::Diagnostics;

/// Exit code of an expectation that does not hold, and of a file that was read in part.
const FAILED: u8 = 1;
/// Exit code for what the caller gave: a wrong topology or argument, a file that is not there.
pub const BAD_INPUT: u8 = 2;
/// Exit code of a run, or of anything else, that failed itself.
pub const RUN_FAILED: u8 = 3;
/// Exit code of what a signal ended, less the signal's number (as shells have it).
const SIGNALLED: u8 = 128;

/// What the caller gave cannot be, and why.
#[derive(Debug)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Captures show nothing that can be measured, and why.
#[derive(Debug)]
pub struct NothingSeen(pub String);

impl fmt::Display for NothingSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NothingSeen {}

/// The text of a file that the caller named.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| Refused(format!("cannot read {}", path.display())))
}

/// The exit code of an error.
pub fn code(error: &Error) -> u8 {
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        return u8::try_from(interrupted.number()).map_or(RUN_FAILED, |n| SIGNALLED + n);
    }
    if let Some(unread) = error.downcast_ref::<ReadError>() {
        return unread_code(unread);
    }
    if error.downcast_ref::<NothingSeen>().is_some() {
        return FAILED;
    }
    let refused = error.downcast_ref::<Refused>().is_some();
    match refused || error.downcast_ref::<Diagnostics>().is_some() {
        true => BAD_INPUT,
        false => RUN_FAILED,
    }
}

/// A file that is no capture was named by mistake; one that is damaged was not.
fn unread_code(error: &ReadError) -> u8 {
    match error {
        ReadError::Open { .. } | ReadError::Directory { .. } | ReadError::NotACapture { .. } => {
            BAD_INPUT
        }
        ReadError::Empty { .. }
        | ReadError::Truncated { .. }
        | ReadError::Malformed { .. }
        | ReadError::Untimed { .. }
        | ReadError::Io { .. } => FAILED,
    }
}

/// Tells the caller of an error; gives its exit code.
pub fn tell(error: &Error, json: bool) -> u8 {
    let code = code(error);
    if json {
        errln!("{}", object(error, code));
    } else if let Some(diagnostics) = error.downcast_ref::<Diagnostics>() {
        errln!("{diagnostics}");
    } else {
        errln!("wpanlab: {}", text(error));
    }
    code
}

/// An error in a line; what an error says of its own cause is not said again.
pub fn text(error: &Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

fn object(error: &Error, code: u8) -> Value {
    match error.downcast_ref::<Diagnostics>() {
        None => json!({ "error": text(error), "exit_code": code }),
        Some(diagnostics) => json!({
            "error": diagnostics.to_string().trim_end(),
            "exit_code": code,
            "problems": problems(diagnostics, "message"),
        }),
    }
}

/// The problems of a topology, each with its place in the file, or in the `--set` of that number,
/// and its sentence as `what`.
pub fn problems(diagnostics: &Diagnostics, what: &str) -> Vec<Value> {
    let problem = |problem: &topology::Diagnostic| {
        let span = problem.span;
        let (line, column) = (span.line, span.column);
        let message = &problem.message;
        match span.source {
            topology::Source::File => {
                json!({ "line": line, "column": column, what: message })
            }
            topology::Source::Assignment(number) => {
                json!({ "set": number + 1, "column": column, what: message })
            }
        }
    };
    diagnostics.problems().iter().map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io;

    fn absent() -> ReadError {
        ReadError::Open {
            file: "x.pcap".into(),
            source: io::ErrorKind::NotFound.into(),
        }
    }

    #[test]
    fn what_an_error_says_of_its_cause_is_said_once() {
        let error = Error::from(absent());
        assert_eq!(
            text(&error),
            "x.pcap: cannot open the capture: entity not found"
        );
        let error = error.context("measure");
        assert!(text(&error).starts_with("measure: x.pcap: cannot open"));
        assert_eq!(text(&error).matches("not found").count(), 1);
    }

    #[test]
    fn a_file_that_is_not_there_is_the_callers_mistake_and_a_damaged_one_is_not() {
        assert_eq!(code(&Error::from(absent())), BAD_INPUT);
        let missing = read(Path::new("/nonexistent/x.yaml")).unwrap_err();
        assert_eq!(code(&missing), BAD_INPUT);
        assert_eq!(code(&missing.context("more")), BAD_INPUT);
        let file = "x.pcap".to_owned();
        let cut = ReadError::Truncated { file, packet: 3 };
        assert_eq!(code(&Error::from(cut)), FAILED);
        assert_eq!(code(&anyhow::anyhow!("QEMU died")), RUN_FAILED);
    }

    #[test]
    fn an_error_in_json_has_its_text_and_exit_code() {
        let error = Error::from(Refused("--set a: two values".into()));
        let expected = json!({ "error": "--set a: two values", "exit_code": 2 });
        assert_eq!(object(&error, code(&error)), expected);
    }
}
