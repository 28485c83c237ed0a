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

use crate::series::{self, Format};
use crate::text::ParseError;

/// Losses up to 1000 dB: nothing is heard through that.
const FORMAT: Format = Format {
    header: ["time_s", "loss_db"],
    form: "seconds,dB",
    example: "1.5,60",
    what: "a loss from 0 to 1000 dB",
    range: (0.0, 1000.0),
};

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
        let points = series::parse(text, &FORMAT)?.into_iter();
        let points = points.map(|(at, loss)| TracePoint { at, loss: Db(loss) });
        Ok(Trace {
            points: points.collect(),
        })
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

#[cfg(test)]
mod tests;
