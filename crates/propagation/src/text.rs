//! What the text formats share: errors with their line, and numbers with their bounds.

use std::time::Duration;

use crate::position::Position;

/// A line of a file that is not what its format says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl ParseError {
    pub(crate) fn new(line: usize, message: impl Into<String>) -> ParseError {
        ParseError {
            line,
            message: message.into(),
        }
    }
}

/// Latest instant that a file may hold, seconds: 31 years.
const LAST_S: f64 = 1e9;

/// A decimal number; `inf` and `nan` are none.
pub(crate) fn number(word: &str, what: &str) -> Result<f64, String> {
    word.parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
        .ok_or_else(|| format!("`{}` is not {what}", excerpt(word)))
}

/// An instant in seconds.
pub(crate) fn instant(word: &str) -> Result<Duration, String> {
    let what = "a time in seconds from 0 to 1000000000";
    let seconds = number(word, what)?;
    if !(0.0..=LAST_S).contains(&seconds) {
        return Err(format!("`{}` is not {what}", excerpt(word)));
    }
    Ok(microseconds(seconds))
}

/// A coordinate in metres.
pub(crate) fn coordinate(word: &str) -> Result<f64, String> {
    let what = "a coordinate in metres, at most 1000 km from the origin";
    let metres = number(word, what)?;
    if metres.abs() > Position::LIMIT_M {
        return Err(format!("`{}` is not {what}", excerpt(word)));
    }
    Ok(metres)
}

/// `seconds` to the microsecond; negative is zero, and too long is as long as can be.
pub(crate) fn microseconds(seconds: f64) -> Duration {
    // `as` saturates and makes zero of what is not a number.
    Duration::from_micros((seconds * 1e6).round() as u64)
}

/// As much of a word as fits in a message.
pub(crate) fn excerpt(word: &str) -> String {
    const LONGEST: usize = 40;
    if word.chars().count() <= LONGEST {
        return word.to_owned();
    }
    word.chars().take(LONGEST).chain(['…']).collect()
}
