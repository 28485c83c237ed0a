//! Loss over distance.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};
use units::Db;

use crate::shadowing::Shadowing;

/// Speed of light in vacuum, m/s (exact, by the definition of the metre).
const LIGHT_M_S: f64 = 299_792_458.0;

/// Distance under which no model holds, metres: two antennas nearer than the reference distance
/// of 1 m lose as much as at 1 m.
pub const NEAREST_M: f64 = 1.0;

/// Middle of the 2.4 GHz band's channels 11 to 26 to two places, Hz.
pub const DEFAULT_FREQUENCY_HZ: f64 = 2.44e9;

/// How much is lost over a distance. Antennas are isotropic: their gains are 0 dB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Model {
    /// Free space: `20 log10(4 pi d f / c)` (Friis, "A Note on a Simple Transmission Formula",
    /// Proc. IRE 34, 1946; ITU-R P.525).
    FreeSpace {
        /// Frequency, Hz.
        frequency_hz: f64,
        /// Loss on top.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shadowing: Option<Shadowing>,
    },
    /// Log-distance: `reference_loss + 10 exponent log10(d / 1 m)` (Rappaport, "Wireless
    /// Communications", 2nd ed., section 4.9.1).
    LogDistance {
        /// Loss at 1 m.
        reference_loss: Db,
        /// Path-loss exponent; free space has 2.
        exponent: f64,
        /// Loss on top.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shadowing: Option<Shadowing>,
    },
    /// Two rays, the direct one and one reflected by flat ground, both antennas at one height:
    /// free space up to the crossover distance `4 pi h^2 f / c`, and from there on
    /// `40 log10(d) - 40 log10(h)`, which continues it without a step (Rappaport, section 4.6,
    /// equation 4.52; the crossover as in the ns-2 manual, section 18.2).
    TwoRay {
        /// Frequency, Hz.
        frequency_hz: f64,
        /// Height of every antenna over the ground, metres.
        height_m: f64,
        /// Loss on top.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shadowing: Option<Shadowing>,
    },
}

impl Default for Model {
    /// Log-distance with exponent 3.0 (Rappaport, table 4.2: 2.7 to 3.5 in urban areas) from the
    /// free-space loss at 1 m and 2.44 GHz, 40.2 dB.
    fn default() -> Model {
        Model::LogDistance {
            reference_loss: Db(40.2),
            exponent: 3.0,
            shadowing: None,
        }
    }
}

impl Model {
    /// Loss over `distance_m` metres without shadowing; nearer than [`NEAREST_M`] as at it.
    pub fn mean_loss(&self, distance_m: f64) -> Db {
        let metres = distance_m.max(NEAREST_M);
        match *self {
            Model::FreeSpace { frequency_hz, .. } => free_space(metres, frequency_hz),
            Model::LogDistance {
                reference_loss,
                exponent,
                ..
            } => Db(reference_loss.0 + 10.0 * exponent * metres.log10()),
            Model::TwoRay {
                frequency_hz,
                height_m,
                ..
            } => {
                if metres < crossover_m(frequency_hz, height_m) {
                    free_space(metres, frequency_hz)
                } else {
                    Db(40.0 * (metres / height_m).log10())
                }
            }
        }
    }

    /// The loss on top, if the model has one.
    pub fn shadowing(&self) -> Option<Shadowing> {
        match self {
            Model::FreeSpace { shadowing, .. }
            | Model::LogDistance { shadowing, .. }
            | Model::TwoRay { shadowing, .. } => *shadowing,
        }
    }
}

fn free_space(metres: f64, frequency_hz: f64) -> Db {
    Db(20.0 * (4.0 * PI * metres * frequency_hz / LIGHT_M_S).log10())
}

/// From which distance on the ground's ray counts, metres.
fn crossover_m(frequency_hz: f64, height_m: f64) -> f64 {
    4.0 * PI * height_m * height_m * frequency_hz / LIGHT_M_S
}

#[cfg(test)]
mod tests;
