//! Results on standard output. Whoever reads them may stop reading: `wpanlab schema | head -1` has
//! what it wants, and a run whose summary nobody reads has still passed or failed.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

/// `print!`, of a result.
macro_rules! out {
    ($($text:tt)*) => { $crate::output::write(format_args!($($text)*)) };
}

/// `println!`, of a result.
macro_rules! outln {
    ($($text:tt)*) => { $crate::output::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes to standard output. What cannot be written is said on standard error, unless nobody
/// reads any more.
pub(crate) fn write(text: Arguments<'_>) {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_fmt(text).and_then(|()| stdout.flush());
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => eprintln!("wpanlab: cannot write to standard output: {error}"),
    }
}
