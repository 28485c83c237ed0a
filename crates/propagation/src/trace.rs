//! The loss of one link over time, from a file.
//!
//! ```text
//! # Measured in the corridor, 2026-03-02.
//! time_s,loss_db
//! 0,52.5
//! 1.5,60
//! 1.5,75    # a door closes
//! ```
//!
//! Times do not decrease. Between two points the loss goes linearly from one to the other: a
//! measured loss is a sample of something that changes steadily. Two points at one instant are a
//! step. Before the first point its loss holds, and after the last one the last's.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::Db;
use units::quantity::duration;

use crate::text::{ParseError, excerpt, instant, number};

/// Most points of a trace; more would fill memory.
pub const MAX_POINTS: usize = 1_000_000;
/// Largest loss of a point, dB. Nothing is heard through it.
const MAX_LOSS: f64 = 1000.0;
/// Optional first line of a file.
const HEADER: [&str; 2] = ["time_s", "loss_db"];

/// A point of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracePoint {
    /// Scenario time.
    #[serde(with = "duration")]
    pub at: Duration,
    /// Loss.
    pub loss: Db,
}

/// Points that are not a trace: there is none, or one is earlier than the one before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a trace has at least one point, and its points are in time order")]
pub struct TraceError;

/// The loss of one link over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    points: Vec<TracePoint>,
}

impl Trace {
    /// The trace through `points`, which are in time order.
    ///
    /// # Errors
    /// [`TraceError`] if there is none, or they are not.
    pub fn new(points: Vec<TracePoint>) -> Result<Trace, TraceError> {
        if points.is_empty() || !points.is_sorted_by_key(|point| point.at) {
            return Err(TraceError);
        }
        Ok(Trace { points })
    }

    /// Reads a file: a point per line as `seconds,dB`, comments from `#` to the end of the line,
    /// and the header `time_s,loss_db` before the first point if it likes.
    ///
    /// # Errors
    /// [`ParseError`] with the line of a point that is none, is earlier than the one before it,
    /// or has a loss that is not from 0 to 1000 dB; or of the end, if there is no point.
    pub fn parse(text: &str) -> Result<Trace, ParseError> {
        let mut points: Vec<TracePoint> = Vec::new();
        let mut header = false;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if points.is_empty() && !header && line.split(',').map(str::trim).eq(HEADER) {
                header = true;
                continue;
            }
            let point = point(line).map_err(|message| ParseError::new(number, message))?;
            if points.last().is_some_and(|last| point.at < last.at) {
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
            let message = "there is no point; write `seconds,dB`, such as `0,52.5`";
            return Err(ParseError::new(text.lines().count().max(1), message));
        }
        Ok(Trace { points })
    }

    /// The points; at least one.
    pub fn points(&self) -> &[TracePoint] {
        &self.points
    }

    /// Loss at `at`.
    pub fn loss(&self, at: Duration) -> Db {
        let next = self.points.partition_point(|point| point.at <= at);
        let Some(last) = next.checked_sub(1) else {
            return self.points[0].loss;
        };
        let from = self.points[last];
        match self.points.get(next) {
            None => from.loss,
            Some(to) => {
                // `next` is later than `at`, so the two are not at one instant.
                let share = (at - from.at).as_secs_f64() / (to.at - from.at).as_secs_f64();
                Db(from.loss.0 + (to.loss.0 - from.loss.0) * share)
            }
        }
    }
}

fn point(line: &str) -> Result<TracePoint, String> {
    let mut fields = line.split(',').map(str::trim);
    let (Some(time), Some(loss), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(format!(
            "`{}` is not a point; write `seconds,dB`, such as `1.5,60`",
            excerpt(line)
        ));
    };
    let at = instant(time)?;
    let what = "a loss from 0 to 1000 dB";
    let value = number(loss, what)?;
    if !(0.0..=MAX_LOSS).contains(&value) {
        return Err(format!("`{}` is not {what}", excerpt(loss)));
    }
    Ok(TracePoint {
        at,
        loss: Db(value),
    })
}

#[cfg(test)]
mod tests;
