//! Movements from the files of other tools.
//!
//! | format | written by | a node is |
//! | --- | --- | --- |
//! | [`Format::Bonnmotion`] | BonnMotion, `.movements` | a line, counted from 0 |
//! | [`Format::Ns2`] | CMU `setdest`, BonnMotion `NSFile`, SUMO | the number of `$node_(N)` |
//!
//! Times and metres are those of the file; instants are to the microsecond.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::ParseError;
use crate::track::Waypoint;

mod bonnmotion;
mod ns2;

/// Most waypoints of one file; more would fill memory.
pub const MAX_WAYPOINTS: usize = 1_000_000;

/// A format of movement files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// BonnMotion's native format: a line per node, `time x y time x y ...`, in seconds and
    /// metres, and straight legs between. Lines from `#` are comments.
    Bonnmotion,
    /// The Tcl of ns-2: initial places (`$node_(0) set X_ 10.0`, and Y_) and destinations with a
    /// speed (`$ns_ at 2.0 "$node_(0) setdest 20.0 5.0 1.5"`). A new destination ends the leg
    /// before it where the node is then; speed 0 stops. A place at a time (`$ns_ at 5.0
    /// "$node_(0) set X_ 200.0"`) is a jump. Z_, `$god_`, Tcl variables and what a node is told of its
    /// colour, its name or its start are passed over.
    Ns2,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Bonnmotion => "bonnmotion",
            Format::Ns2 => "ns2",
        })
    }
}

/// The waypoints of every node of a file, in time order and at least one each, by number.
///
/// # Errors
/// [`ParseError`] with the line of the first thing that the format does not have.
pub fn parse(format: Format, text: &str) -> Result<BTreeMap<u32, Vec<Waypoint>>, ParseError> {
    match format {
        Format::Bonnmotion => bonnmotion::parse(text),
        Format::Ns2 => ns2::parse(text),
    }
}

/// Counts waypoints up to [`MAX_WAYPOINTS`].
#[derive(Default)]
struct Count(usize);

impl Count {
    fn one_more(&mut self, line: usize) -> Result<(), ParseError> {
        self.0 += 1;
        if self.0 > MAX_WAYPOINTS {
            let message = format!("there are more than {MAX_WAYPOINTS} waypoints");
            return Err(ParseError::new(line, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
