//! Ways of moving, as waypoints.
//!
//! Each builder begins with the waypoint that it is given, so that the result can be a track, or
//! continue one. Speeds are constant; instants are to the microsecond, which at 10 m/s is 10 µm,
//! and places that are computed to the micrometre.

use std::f64::consts::TAU;
use std::time::Duration;

use crate::position::Position;
use crate::text::microseconds;
use crate::track::Waypoint;

/// Most waypoints of one movement; more are a mistake, and would fill memory.
pub const MAX_WAYPOINTS: usize = 100_000;

/// Corners of the polygon that stands for a circle, all on it. Between them the way is inside
/// the circle by at most `1 - cos(pi / 64)`, 0.12 % of its radius, and a round is 0.04 % shorter
/// than the circle's.
pub const CIRCLE_CORNERS: u32 = 64;

/// A movement that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MovementError {
    /// The speed is not a number over 0.
    #[error("the speed is not over 0 m/s")]
    Speed,
    /// It goes nowhere: fewer than two places, or all the same.
    #[error("it goes nowhere: give two places that differ, or a radius over 0 m")]
    Nowhere,
    /// More than [`MAX_WAYPOINTS`].
    #[error("it has more than 100000 waypoints; go slower, or end earlier")]
    TooLong,
}

/// Goes from `start` to each of `places` in turn at `speed_m_s`.
///
/// # Errors
/// [`MovementError`] for a wrong speed or too many places.
pub fn route(
    start: Waypoint,
    places: &[Position],
    speed_m_s: f64,
) -> Result<Vec<Waypoint>, MovementError> {
    walk(start, places.iter().copied(), speed_m_s, None)
}

/// Goes to the first of `places`, along them to the last, back to the first, and so on until the
/// scenario time `until`, where it stops on its way.
///
/// # Errors
/// [`MovementError`] for a wrong speed, places that do not differ, or too many waypoints.
pub fn back_and_forth(
    start: Waypoint,
    places: &[Position],
    speed_m_s: f64,
    until: Duration,
) -> Result<Vec<Waypoint>, MovementError> {
    let Some((first, rest)) = places.split_first() else {
        return Err(MovementError::Nowhere);
    };
    if rest.iter().all(|place| place == first) {
        return Err(MovementError::Nowhere);
    }
    // To the first, forward over the rest, and back over all but the last.
    let there = rest.iter();
    let back = places[..places.len() - 1].iter().rev();
    let round = there.chain(back).copied();
    let places = std::iter::once(*first).chain(round.cycle());
    walk(start, places, speed_m_s, Some(until))
}

/// Goes to the nearest point of the circle (from its centre: east), then round it
/// counter-clockwise until the scenario time `until`, where it stops on its way. The circle is a
/// polygon of [`CIRCLE_CORNERS`] corners.
///
/// # Errors
/// [`MovementError`] for a wrong speed, a radius that is not over 0, or too many waypoints.
pub fn circle(
    start: Waypoint,
    centre: Position,
    radius_m: f64,
    speed_m_s: f64,
    until: Duration,
) -> Result<Vec<Waypoint>, MovementError> {
    if !(radius_m.is_finite() && radius_m > 0.0) {
        return Err(MovementError::Nowhere);
    }
    let (x, y) = (
        start.position.x_m - centre.x_m,
        start.position.y_m - centre.y_m,
    );
    let first = y.atan2(x);
    let corners = (0..CIRCLE_CORNERS).cycle().map(|corner| {
        let angle = first + TAU * f64::from(corner) / f64::from(CIRCLE_CORNERS);
        let corner = Position {
            x_m: centre.x_m + radius_m * angle.cos(),
            y_m: centre.y_m + radius_m * angle.sin(),
        };
        corner.rounded()
    });
    walk(start, corners, speed_m_s, Some(until))
}

/// Goes along `places`, which end, or go on for ever and do not all coincide.
fn walk(
    start: Waypoint,
    places: impl Iterator<Item = Position>,
    speed_m_s: f64,
    until: Option<Duration>,
) -> Result<Vec<Waypoint>, MovementError> {
    if !(speed_m_s.is_finite() && speed_m_s > 0.0) {
        return Err(MovementError::Speed);
    }
    let mut waypoints = vec![start];
    let mut here = start;
    let mut way_m = 0.0;
    // A round of no length at all would otherwise never end.
    for (count, place) in places.enumerate() {
        if count >= MAX_WAYPOINTS {
            return Err(MovementError::TooLong);
        }
        if until.is_some_and(|until| here.at >= until) {
            break;
        }
        // From the whole way, so that the rounding of instants does not add up.
        way_m += here.position.distance_m(place);
        let at = start.at.saturating_add(microseconds(way_m / speed_m_s));
        let there = Waypoint {
            at,
            position: place,
        };
        let next = match until {
            Some(until) if at > until => {
                let share = (until - here.at).as_secs_f64() / (at - here.at).as_secs_f64();
                let position = here.position.toward(place, share).rounded();
                Waypoint {
                    at: until,
                    position,
                }
            }
            _ => there,
        };
        if next.position != here.position {
            waypoints.push(next);
        }
        here = next;
    }
    Ok(waypoints)
}

#[cfg(test)]
mod tests;
