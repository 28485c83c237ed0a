//! What goes wrong, as a caller is told of it: a line or an object of JSON on standard error, and
//! the exit code.

use std::fmt;
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

/// Most bytes of a topology or a plan: a thousand nodes written one by one come to 1 MiB.
const LONGEST: u64 = 16 << 20;

/// The text of a file that the caller named.
///
/// # Errors
/// [`Refused`]: it cannot be read, is too long, or is no text in UTF-8.
pub fn read(path: &Path) -> Result<String> {
    let refused = || Refused(format!("cannot read {}", path.display()));
    let bytes = files::read_named(path, LONGEST).with_context(refused)?;
    text_of(bytes).map_err(|what| Refused(format!("{}: {what}", path.display())).into())
}

/// Bytes as text. A byte order mark of UTF-8 says nothing and is left out.
///
/// # Errors
/// What they are instead, in words.
fn text_of(mut bytes: Vec<u8>) -> Result<String, String> {
    const UTF8: &[u8] = b"\xef\xbb\xbf";
    // The longer ones first: that of UTF-32, little-endian, begins as that of UTF-16.
    const OTHERS: [(&[u8], &str); 4] = [
        (b"\xff\xfe\0\0", "UTF-32, little-endian"),
        (b"\0\0\xfe\xff", "UTF-32, big-endian"),
        (b"\xff\xfe", "UTF-16, little-endian"),
        (b"\xfe\xff", "UTF-16, big-endian"),
    ];
    let other = OTHERS.iter().find(|(mark, _)| bytes.starts_with(mark));
    if let Some((_, what)) = other {
        return Err(format!(
            "it is {what}, as its byte order mark (BOM) says; save it as UTF-8"
        ));
    }
    if bytes.starts_with(UTF8) {
        bytes.drain(..UTF8.len());
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(format!(
            "byte {} is NUL: it is no text, or UTF-16 without a byte order mark; save it as UTF-8",
            at + 1
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to() + 1;
        format!("byte {at} is not UTF-8; save it as UTF-8")
    })
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
    errln!("{}", words(error, json));
    code(error)
}

/// What the caller is told of an error.
pub fn words(error: &Error, json: bool) -> String {
    if json {
        return object(error, code(error)).to_string();
    }
    match error.downcast_ref::<Diagnostics>() {
        Some(diagnostics) => diagnostics.to_string(),
        None => format!("wpanlab: {}", text(error)),
    }
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
            "more": diagnostics.more(),
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
    fn what_a_file_is_instead_of_text_is_named() {
        let text = "version: 1\n";
        let wide = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| {
            let units = text.encode_utf16().flat_map(bytes);
            mark.iter().copied().chain(units).collect::<Vec<u8>>()
        };
        assert_eq!(text_of(text.into()).unwrap(), text);
        let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        assert_eq!(text_of(marked).unwrap(), text);
        for (bytes, what) in [
            (wide(b"\xff\xfe", u16::to_le_bytes), "UTF-16, little-endian"),
            (wide(b"\xfe\xff", u16::to_be_bytes), "UTF-16, big-endian"),
            (wide(b"", u16::to_le_bytes), "byte 2 is NUL"),
            (wide(b"", u16::to_be_bytes), "byte 1 is NUL"),
            (b"\xff\xfe\0\0v\0\0\0".to_vec(), "UTF-32, little-endian"),
            (b"name: caf\xe9\n".to_vec(), "byte 10 is not UTF-8"),
        ] {
            let said = text_of(bytes).unwrap_err();
            assert!(said.contains(what) && said.contains("as UTF-8"), "{said}");
        }
    }

    #[test]
    fn a_topology_that_is_too_long_or_no_file_is_the_callers_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("long.yaml");
        std::fs::File::create(&long)
            .unwrap()
            .set_len(1 << 30)
            .unwrap();
        for (path, what) in [
            (long.as_path(), "more than 16 MiB"),
            (dir.path(), "a directory"),
            (Path::new("/dev/zero"), "more than 16 MiB"),
        ] {
            let refused = read(path).unwrap_err();
            assert_eq!(code(&refused), BAD_INPUT);
            let said = super::text(&refused);
            assert!(said.contains(&path.display().to_string()), "{said}");
            assert!(said.contains(what), "{said}");
        }
    }

    #[test]
    fn an_error_in_json_has_its_text_and_exit_code() {
        let error = Error::from(Refused("--set a: two values".into()));
        let expected = json!({ "error": "--set a: two values", "exit_code": 2 });
        assert_eq!(object(&error, code(&error)), expected);
    }
}
