//! Numbers over time as text: a point per line, `seconds,number`.
//!
//! Comments go from `#` to the end of a line. Times do not decrease.

use std::time::Duration;

use crate::text::{ParseError, excerpt, instant, number};

/// Most points of a series; more would fill memory.
pub const MAX_POINTS: usize = 1_000_000;

/// What the numbers of a series are.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Optional first line.
    pub header: [&'static str; 2],
    /// The form of a line.
    pub form: &'static str,
    /// A line.
    pub example: &'static str,
    /// What a number is, with its range.
    pub what: &'static str,
    /// Least and greatest number.
    pub range: (f64, f64),
}

/// Readings of a sensor, in whatever unit.
pub const READINGS: Format = Format {
    header: ["time_s", "value"],
    form: "seconds,value",
    example: "1.5,21.4",
    what: "a number",
    range: (f64::MIN, f64::MAX),
};

/// Reads a series: its points in time order, at least one.
///
/// # Errors
/// [`ParseError`] with the line of a point that is none, or is earlier than the one before it; or of
/// the end, if there is no point.
pub fn parse(text: &str, format: &Format) -> Result<Vec<(Duration, f64)>, ParseError> {
    let mut points: Vec<(Duration, f64)> = Vec::new();
    let mut header = false;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if points.is_empty() && !header && line.split(',').map(str::trim).eq(format.header) {
            header = true;
            continue;
        }
        let point = point(line, format).map_err(|message| ParseError::new(number, message))?;
        if points.last().is_some_and(|last| point.0 < last.0) {
            let message = "this time is before that of the point above";
            return Err(ParseError::new(number, message));
        }
        if points.len() == MAX_POINTS {
            let message = format!("there are more than {MAX_POINTS} points");
            return Err(ParseError::new(number, message));
        }
        points.push(point);
    }
    if points.is_empty() {
        let message = format!(
            "there is no point; write `{}`, such as `{}`",
            format.form, format.example
        );
        return Err(ParseError::new(text.lines().count().max(1), message));
    }
    Ok(points)
}

fn point(line: &str, format: &Format) -> Result<(Duration, f64), String> {
    let mut fields = line.split(',').map(str::trim);
    let (Some(time), Some(value), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(format!(
            "`{}` is not a point; write `{}`, such as `{}`",
            excerpt(line),
            format.form,
            format.example
        ));
    };
    let at = instant(time)?;
    let read = number(value, format.what)?;
    if !(format.range.0..=format.range.1).contains(&read) {
        return Err(format!("`{}` is not {}", excerpt(value), format.what));
    }
    Ok((at, read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_have_any_sign_and_a_header_if_they_like() {
        let text = "# indoors\ntime_s,value\n0,-1.5\n\n2.5, 1e3 # warm\n";
        let expected = [(0, -1.5), (2500, 1000.0)];
        let read = parse(text, &READINGS).unwrap();
        let read: Vec<_> = read.iter().map(|(at, v)| (at.as_millis(), *v)).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, line) in [("", 1), ("0,1\nx,1", 2), ("1,1\n0,1", 2), ("0,1,2", 1)] {
            assert_eq!(parse(text, &READINGS).unwrap_err().line, line, "{text}");
        }
    }
}
