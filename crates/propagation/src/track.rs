//! Where something is at an instant of the scenario.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::quantity::duration;

use crate::position::Position;

/// A place and when it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waypoint {
    /// Scenario time.
    #[serde(with = "duration")]
    pub at: Duration,
    /// The place.
    pub position: Position,
}

/// Waypoints that are not a track.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrackError {
    /// There is none.
    #[error("a track has at least one waypoint")]
    Empty,
    /// A waypoint is earlier than the one before it.
    #[error("waypoint {index} is earlier than the one before it")]
    Backwards {
        /// Its index, from 0.
        index: usize,
    },
    /// A coordinate is not a finite number.
    #[error("a coordinate of waypoint {index} is not a number")]
    NotANumber {
        /// Its index, from 0.
        index: usize,
    },
}

/// Straight legs at constant speed from waypoint to waypoint. Before the first waypoint it is
/// there already, and after the last it stays there. Two waypoints at one instant are a jump.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    waypoints: Vec<Waypoint>,
    /// Way from the first waypoint to each, metres.
    way_m: Vec<f64>,
}

impl Track {
    /// The track through `waypoints`, which are in time order.
    ///
    /// # Errors
    /// [`TrackError`] if there is none, one is earlier than its predecessor, or a coordinate is
    /// not finite.
    pub fn new(waypoints: Vec<Waypoint>) -> Result<Track, TrackError> {
        if waypoints.is_empty() {
            return Err(TrackError::Empty);
        }
        let mut way_m = Vec::with_capacity(waypoints.len());
        let mut total = 0.0;
        for (index, waypoint) in waypoints.iter().enumerate() {
            let Position { x_m, y_m } = waypoint.position;
            if !(x_m.is_finite() && y_m.is_finite()) {
                return Err(TrackError::NotANumber { index });
            }
            if let Some(before) = index.checked_sub(1).map(|before| waypoints[before]) {
                if waypoint.at < before.at {
                    return Err(TrackError::Backwards { index });
                }
                total += before.position.distance_m(waypoint.position);
            }
            way_m.push(total);
        }
        Ok(Track { waypoints, way_m })
    }

    /// Stands at `position` for ever.
    pub fn fixed(position: Position) -> Track {
        let at = Duration::ZERO;
        Track {
            waypoints: vec![Waypoint { at, position }],
            way_m: vec![0.0],
        }
    }

    /// The waypoints; at least one.
    pub fn waypoints(&self) -> &[Waypoint] {
        &self.waypoints
    }

    /// Whether it never moves.
    pub fn is_fixed(&self) -> bool {
        self.way_m.last().is_none_or(|way| *way == 0.0)
    }

    /// Where it is at `at`.
    pub fn at(&self, at: Duration) -> Position {
        self.state(at).0
    }

    /// The way that lies behind it at `at`, metres: there and back counts twice.
    pub fn distance_moved(&self, at: Duration) -> f64 {
        self.state(at).1
    }

    /// How fast it is at `at`, metres per second: at a waypoint, on the leg that begins there. A jump has no speed.
    pub fn speed_m_s(&self, at: Duration) -> f64 {
        let next = self.waypoints.partition_point(|point| point.at <= at);
        let leg = next.checked_sub(1).zip(self.waypoints.get(next));
        leg.map_or(0.0, |(last, to)| {
            let time = to.at - self.waypoints[last].at;
            (self.way_m[next] - self.way_m[last]) / time.as_secs_f64()
        })
    }

    /// Position and distance moved.
    pub(crate) fn state(&self, at: Duration) -> (Position, f64) {
        let next = self.waypoints.partition_point(|point| point.at <= at);
        let Some(last) = next.checked_sub(1) else {
            return (self.waypoints[0].position, 0.0);
        };
        let (from, way) = (self.waypoints[last], self.way_m[last]);
        match self.waypoints.get(next) {
            None => (from.position, way),
            Some(to) => {
                // `next` is later than `at`, so the leg takes longer than zero.
                let share = (at - from.at).as_secs_f64() / (to.at - from.at).as_secs_f64();
                let moved = way + (self.way_m[next] - way) * share;
                (from.position.toward(to.position, share), moved)
            }
        }
    }
}

#[cfg(test)]
mod tests;
