//! A place in the plane.

use serde::{Deserialize, Serialize};

/// A place in the plane, in metres from an origin that the topology chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// East, metres.
    pub x_m: f64,
    /// North, metres.
    pub y_m: f64,
}

impl Position {
    /// Largest coordinate, metres either way, that files may hold: 1000 km. The plane is no
    /// model of the Earth beyond that, and sums of squares stay exact enough.
    pub const LIMIT_M: f64 = 1e6;

    /// Straight distance to `other`, metres.
    pub fn distance_m(self, other: Position) -> f64 {
        (self.x_m - other.x_m).hypot(self.y_m - other.y_m)
    }

    /// To the micrometre, for plans that people read.
    pub fn rounded(self) -> Position {
        let rounded = |metres: f64| (metres * 1e6).round() / 1e6;
        Position {
            x_m: rounded(self.x_m),
            y_m: rounded(self.y_m),
        }
    }

    /// The place at `share` (0 here, 1 there) of the straight way to `other`.
    pub fn toward(self, other: Position, share: f64) -> Position {
        Position {
            x_m: self.x_m + (other.x_m - self.x_m) * share,
            y_m: self.y_m + (other.y_m - self.y_m) * share,
        }
    }
}
