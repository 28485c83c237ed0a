//! Positions, movement and path loss between radios.
//!
//! Owns where every radio is at each instant of the scenario and how much of a frame's power is
//! lost from one to another. Knows nothing of frames, channels, powers or sensitivities, nor of
//! the topology file: names, tracks and a model come in, a loss in dB comes out.
//!
//! ```
//! use propagation::{Field, Model, Position, Track};
//! use std::time::Duration;
//! use units::{Db, Seed};
//!
//! let model = Model::LogDistance { reference_loss: Db(40.0), exponent: 3.0, shadowing: None };
//! let mut field = Field::new(Seed(1), model);
//! let router = field.add_radio("router", Some(Track::fixed(Position { x_m: 0.0, y_m: 0.0 })));
//! let sensor = field.add_radio("sensor", Some(Track::fixed(Position { x_m: 10.0, y_m: 0.0 })));
//! assert_eq!(field.loss(Duration::ZERO, router, sensor), Some(Db(70.0)));
//! field.set_attenuation(router, sensor, Some(Db(50.0)));
//! assert_eq!(field.loss(Duration::ZERO, sensor, router), Some(Db(50.0)));
//! field.set_up(router, sensor, false);
//! assert_eq!(field.loss(Duration::ZERO, router, sensor), None);
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`position`] | [`Position`] |
//! | [`track`] | [`Waypoint`] and [`Track`]: where something is at an instant |
//! | [`origin`] | [`Origin`]: from metres in the plane to degrees on the Earth |
//! | [`movement`] | routes, back and forth, and circles as waypoints |
//! | [`import`] | movements of BonnMotion and ns-2 files |
//! | [`model`] | [`Model`]: loss over distance |
//! | [`shadowing`] | [`Shadowing`]: correlated loss on top of it |
//! | [`mod@series`] | numbers over time as text |
//! | [`mod@trace`] | [`Trace`]: the loss of one link over time, from a file |
//! | [`field`] | [`Field`]: all of it together |

#![forbid(unsafe_code)]

pub mod field;
pub mod import;
pub mod model;
pub mod movement;
pub mod origin;
pub mod position;
pub mod series;
pub mod shadowing;
mod text;
pub mod trace;
pub mod track;

pub use field::Field;
pub use model::Model;
pub use origin::Origin;
pub use position::Position;
pub use shadowing::Shadowing;
pub use text::ParseError;
pub use trace::{Trace, TracePoint};
pub use track::{Track, TrackError, Waypoint};
