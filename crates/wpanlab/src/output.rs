//! What is written: results on standard output, progress and errors on standard error. Whoever
//! reads may stop reading: `wpanlab schema | head -1` has what it wants, and a run of which nobody
//! reads the progress any more goes on to its end.

use std::fmt::Arguments;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use serde::Serialize;

/// `print!`, of a result.
macro_rules! out {
    ($($text:tt)*) => { $crate::output::write(format_args!($($text)*)) };
}

/// `println!`, of a result.
macro_rules! outln {
    ($($text:tt)*) => { $crate::output::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// `eprintln!` that does not panic when nobody reads.
macro_rules! errln {
    ($($text:tt)*) => { $crate::output::write_error(format_args!("{}\n", format_args!($($text)*))) };
}

/// Whether something could not be written to standard output that somebody was to read.
static UNWRITTEN: AtomicBool = AtomicBool::new(false);

/// Whether the results that were to go to standard output are not all there: the command has failed
/// then, whatever it found.
pub(crate) fn is_unwritten() -> bool {
    UNWRITTEN.load(Ordering::Relaxed)
}

/// Says once what went wrong, unless nobody reads any more.
pub(crate) fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
        && !UNWRITTEN.swap(true, Ordering::Relaxed)
    {
        errln!("wpanlab: cannot write to standard output: {error}");
    }
}

/// Writes to standard output. What cannot be written is said on standard error, unless nobody
/// reads any more.
pub(crate) fn write(text: Arguments<'_>) {
    let mut stdout = io::stdout().lock();
    let text = shown(text.to_string());
    let written = stdout.write_all(text.as_bytes());
    note(written.and_then(|()| stdout.flush()));
}

/// Writes to standard error, of which there is nowhere to say that it cannot be written to.
pub(crate) fn write_error(text: Arguments<'_>) {
    let text = shown(text.to_string());
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// `text` without what a terminal would obey: names of files and what they hold are anybody's. Control
/// characters are escaped; lines and tabs stay.
fn shown(text: String) -> String {
    let obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(obeyed) {
        return text;
    }
    let mut shown = String::new();
    for c in text.chars() {
        match obeyed(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// Writes a result as JSON, piece by piece: of a large capture it is larger than that.
pub(crate) fn json(result: &impl Serialize) -> Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    let written = match serde_json::to_writer_pretty(&mut stdout, result) {
        Err(error) if !error.is_io() => return Err(error.into()),
        written => written.map_err(io::Error::from),
    };
    let written = written.and_then(|()| writeln!(stdout));
    note(written.and_then(|()| stdout.flush()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_text_and_nothing_that_it_obeys() {
        assert_eq!(shown("a\tb\n\u{e9}".into()), "a\tb\n\u{e9}");
        assert_eq!(
            shown("\u{1b}]0;x\u{7}\r\u{9b}1m\n".into()),
            "\\u{1b}]0;x\\u{7}\\r\\u{9b}1m\n"
        );
    }
}
