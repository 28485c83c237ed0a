//! Movement scenarios of ns-2.
//!
//! The Tcl that `setdest` writes (ns-2 manual, "Mobile Networking", section on node movements),
//! and what BonnMotion and SUMO write in its likeness. It is read line by line, not run: a line
//! that is neither movement nor one of those that are passed over is an error.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Count;
use crate::position::Position;
use crate::text::{ParseError, coordinate, excerpt, instant, microseconds, number};
use crate::track::Waypoint;

/// What is known of a node before the clock starts, with the line that says so. A node that is only
/// put somewhere later is there from the start.
#[derive(Default)]
struct Start {
    line: usize,
    x_m: Option<f64>,
    y_m: Option<f64>,
    later_x_m: Option<f64>,
    later_y_m: Option<f64>,
}

/// What a node does at an instant.
struct Order {
    line: usize,
    at: Duration,
    node: u32,
    what: What,
}

enum What {
    /// `setdest`.
    Go { to: Position, speed_m_s: f64 },
    /// `set X_` or `set Y_`: it is there at once, as in ns-3's `Ns2MobilityHelper`.
    Jump { axis: Axis, to_m: f64 },
}

#[derive(Clone, Copy)]
enum Axis {
    X,
    Y,
    /// Height, which is passed over.
    Z,
}

impl Axis {
    fn read(word: &str) -> Result<Axis, String> {
        match word {
            "X_" => Ok(Axis::X),
            "Y_" => Ok(Axis::Y),
            "Z_" => Ok(Axis::Z),
            other => Err(format!("`{}` is not X_, Y_ or Z_", excerpt(other))),
        }
    }
}

/// What scripts tell a node beside where it is: the colours and names of an animation, and when its
/// parts start and stop.
const NO_MOVEMENT: [&str; 11] = [
    "add-mark",
    "color",
    "delete-mark",
    "label",
    "label-at",
    "label-color",
    "random-motion",
    "reset",
    "shape",
    "start",
    "stop",
];

pub(super) fn parse(text: &str) -> Result<BTreeMap<u32, Vec<Waypoint>>, ParseError> {
    let mut starts: BTreeMap<u32, Start> = BTreeMap::new();
    let mut orders = Vec::new();
    let mut count = Count::default();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let wrong = |message| ParseError::new(number, message);
        match words.as_slice() {
            [] | ["set" | "puts" | "$god_", ..] => {}
            [sim, "at", _, "$god_", ..] | [sim, "initial_node_pos", ..] if is_simulator(sim) => {}
            [node, what, ..] if is_no_movement(node, what) => {}
            [sim, "at", _, node, what, ..] if is_simulator(sim) && is_no_movement(node, what) => {}
            [node, "set", axis, value] if node_number(node).is_some() => {
                count.one_more(number)?;
                let start = starts
                    .entry(node_number(node).unwrap_or_default())
                    .or_default();
                start.line = number;
                let value = coordinate(value).map_err(wrong)?;
                match Axis::read(axis).map_err(wrong)? {
                    Axis::X => start.x_m = Some(value),
                    Axis::Y => start.y_m = Some(value),
                    Axis::Z => {}
                }
            }
            [sim, "at", at, node, "set", axis, value]
                if is_simulator(sim) && node_number(node).is_some() =>
            {
                count.one_more(number)?;
                let node = node_number(node).unwrap_or_default();
                let start = starts.entry(node).or_default();
                start.line = start.line.max(number);
                let (at, to_m) = (
                    instant(at).map_err(wrong)?,
                    coordinate(value).map_err(wrong)?,
                );
                let axis = Axis::read(axis).map_err(wrong)?;
                match axis {
                    Axis::X => start.later_x_m = start.later_x_m.or(Some(to_m)),
                    Axis::Y => start.later_y_m = start.later_y_m.or(Some(to_m)),
                    Axis::Z => continue,
                }
                orders.push(Order {
                    line: number,
                    at,
                    node,
                    what: What::Jump { axis, to_m },
                });
            }
            [sim, "at", at, node, "setdest", x, y, speed]
                if is_simulator(sim) && node_number(node).is_some() =>
            {
                count.one_more(number)?;
                let node = node_number(node).unwrap_or_default();
                let order = order(number, node, [at, x, y, speed]).map_err(wrong)?;
                orders.push(order);
            }
            _ => {
                let message = format!(
                    "`{}` is neither `$node_(N) set X_ metres` nor \
                     `$ns_ at seconds \"$node_(N) setdest x y speed\"`",
                    excerpt(line.trim())
                );
                return Err(wrong(message));
            }
        }
    }
    if starts.is_empty() {
        let message = "there is no node; write `$node_(0) set X_ 10.0` and `$node_(0) set Y_ 0.0`";
        return Err(ParseError::new(text.lines().count().max(1), message));
    }
    let mut nodes = places(starts)?;
    // Stable: of two orders at one instant the file's last wins, as in the simulator's queue.
    orders.sort_by_key(|order| order.at);
    for order in orders {
        let Some(waypoints) = nodes.get_mut(&order.node) else {
            let message = format!("`$node_({0})` has no `$node_({0}) set X_`", order.node);
            return Err(ParseError::new(order.line, message));
        };
        obey(waypoints, &order);
    }
    Ok(nodes)
}

/// The words of a line: comments and quotation marks are gone, and `;` ends a word.
fn words(line: &str) -> Vec<String> {
    let line = line.trim();
    if line.starts_with('#') {
        return Vec::new();
    }
    let line = line.split(";#").next().unwrap_or_default();
    line.replace(['"', ';'], " ")
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect()
}

fn is_simulator(word: &str) -> bool {
    matches!(word, "$ns_" | "$ns")
}

/// Whether a node is told something that moves it nowhere.
fn is_no_movement(node: &str, what: &str) -> bool {
    node_number(node).is_some() && NO_MOVEMENT.contains(&what)
}

/// `$node_(7)` is 7.
fn node_number(word: &str) -> Option<u32> {
    let digits = word.strip_prefix("$node_(")?.strip_suffix(')')?;
    let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| only_digits)
}

fn order(line: usize, node: u32, [at, x, y, speed]: [&str; 4]) -> Result<Order, String> {
    let what = "a speed in m/s, 0 or more";
    let speed_m_s = number(speed, what)?;
    if speed_m_s < 0.0 {
        return Err(format!("`{}` is not {what}", excerpt(speed)));
    }
    let to = Position {
        x_m: coordinate(x)?,
        y_m: coordinate(y)?,
    };
    Ok(Order {
        line,
        at: instant(at)?,
        node,
        what: What::Go { to, speed_m_s },
    })
}

/// Where every node is before the clock starts.
fn places(starts: BTreeMap<u32, Start>) -> Result<BTreeMap<u32, Vec<Waypoint>>, ParseError> {
    let place = |(node, start): (u32, Start)| {
        let missing = |axis| {
            let message = format!("`$node_({node})` has no `$node_({node}) set {axis}`");
            ParseError::new(start.line, message)
        };
        let position = Position {
            x_m: (start.x_m.or(start.later_x_m)).ok_or_else(|| missing("X_"))?,
            y_m: (start.y_m.or(start.later_y_m)).ok_or_else(|| missing("Y_"))?,
        };
        let at = Duration::ZERO;
        Ok((node, vec![Waypoint { at, position }]))
    };
    starts.into_iter().map(place).collect()
}

/// Turns a node that is on its way, or stands, to a new destination, or puts it there.
fn obey(waypoints: &mut Vec<Waypoint>, order: &Order) {
    let mut here = waypoints[waypoints.len() - 1];
    if here.at > order.at {
        // On its way: only the last waypoint can be in the future. It turns where it is.
        waypoints.pop();
        let from = waypoints[waypoints.len() - 1];
        let share = (order.at - from.at).as_secs_f64() / (here.at - from.at).as_secs_f64();
        here.position = from.position.toward(here.position, share);
    }
    here.at = order.at;
    if waypoints.last() != Some(&here) {
        waypoints.push(here);
    }
    match order.what {
        What::Go { to, speed_m_s } => {
            let metres = here.position.distance_m(to);
            if speed_m_s > 0.0 && metres > 0.0 {
                let takes = microseconds(metres / speed_m_s);
                waypoints.push(Waypoint {
                    at: order.at.saturating_add(takes),
                    position: to,
                });
            }
        }
        What::Jump { axis, to_m } => {
            let mut there = here;
            match axis {
                Axis::X => there.position.x_m = to_m,
                Axis::Y => there.position.y_m = to_m,
                Axis::Z => {}
            }
            // X and Y at one instant are one jump.
            let before = waypoints
                .len()
                .checked_sub(2)
                .map(|before| waypoints[before]);
            if before.is_some_and(|before| before.at == order.at) {
                waypoints.pop();
            }
            if waypoints.last() != Some(&there) {
                waypoints.push(there);
            }
        }
    }
}
