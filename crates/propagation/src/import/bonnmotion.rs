//! BonnMotion's native format.
//!
//! One line per node, waypoints as `time x y` in seconds and metres (BonnMotion manual, "Native
//! format"). Files with heights begin with `#3D`, or have four numbers per waypoint.

use std::collections::BTreeMap;

use super::Count;
use crate::position::Position;
use crate::text::{ParseError, coordinate, instant};
use crate::track::Waypoint;

pub(super) fn parse(text: &str) -> Result<BTreeMap<u32, Vec<Waypoint>>, ParseError> {
    let mut nodes = BTreeMap::new();
    let mut count = Count::default();
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim());
        let wrong = |message: String| ParseError::new(number, message);
        if line.is_empty() {
            continue;
        }
        if let Some(comment) = line.strip_prefix('#') {
            if comment.trim().eq_ignore_ascii_case("3d") {
                return Err(wrong(
                    "heights are not read; export the file in 2D".to_owned(),
                ));
            }
            continue;
        }
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if !words.len().is_multiple_of(3) {
            return Err(wrong(format!(
                "{} numbers are not waypoints of three, `time x y`",
                words.len()
            )));
        }
        let mut waypoints: Vec<Waypoint> = Vec::with_capacity(words.len() / 3);
        for triple in words.chunks_exact(3) {
            count.one_more(number)?;
            let waypoint = waypoint(triple).map_err(wrong)?;
            if waypoints.last().is_some_and(|last| waypoint.at < last.at) {
                return Err(wrong(format!(
                    "the waypoint at `{}` s is earlier than the one before it",
                    triple[0]
                )));
            }
            waypoints.push(waypoint);
        }
        nodes.insert(nodes.len() as u32, waypoints);
    }
    if nodes.is_empty() {
        let message = "there is no node; write a line `time x y time x y ...` for each";
        return Err(ParseError::new(text.lines().count().max(1), message));
    }
    Ok(nodes)
}

fn waypoint(words: &[&str]) -> Result<Waypoint, String> {
    Ok(Waypoint {
        at: instant(words[0])?,
        position: Position {
            x_m: coordinate(words[1])?,
            y_m: coordinate(words[2])?,
        },
    })
}
