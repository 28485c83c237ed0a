//! The delay and loss model of the CoMP paper (Sensors 2015, 15(7), 16060-16082, section 4).
//!
//! Owns equation 1, tables 3, 4 and 5, the data of figures 15 to 17, and the readings by which
//! the paper's ambiguities are decided. Knows nothing of testbeds, captures or measured figures:
//! parameters and readings come in, delays and losses come out.
//!
//! ```
//! use comp_model::{Model, Protocol};
//! use std::time::Duration;
//!
//! let paper = Model::default();
//! assert_eq!(paper.delay(Protocol::Comp), Duration::from_micros(712_640));
//! let slower = Model::with(&["wireless_delay=20ms"]).unwrap();
//! assert_eq!(slower.delay(Protocol::Comp), Duration::from_micros(727_640));
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`parameter`] | [`Parameters`] and [`Parameter`]: table 5 and the hop counts |
//! | [`reading`] | [`Readings`] and [`Reading`]: what the paper leaves open, and how it is read |
//! | [`assign`] | [`SetError`]: `NAME=VALUE` onto a model |
//! | [`path`](mod@path) | [`Path`] and equation 1 |
//! | [`handover`] | [`Protocol`], [`Sum`]: table 3 and table 4 |
//! | [`variant`] | [`Variant`]: what the protocols take as their specifications have them |
//! | [`figure`] | [`Figure`]: the data of figures 15, 16 and 17 |
//! | [`report`] | [`Report`]: everything, as a document |
//! | [`text`] | the same as plain text |

#![forbid(unsafe_code)]

pub mod assign;
pub mod figure;
pub mod handover;
pub mod parameter;
pub mod path;
pub mod reading;
pub mod report;
pub mod text;
pub mod variant;

pub use assign::SetError;
pub use figure::{Figure, FigureNumber};
pub use handover::{Protocol, Sum};
pub use parameter::{PacketRate, Parameter, Parameters};
pub use path::{Path, Route};
pub use reading::{Reading, Readings};
pub use report::Report;
pub use variant::Variant;

use std::time::Duration;

/// Parameters, and the readings under which they are evaluated.
///
/// The default is the paper's table 5 with the readings that give the points computed by hand:
/// MIPv6 825.60 ms, HMIPv6 691.76 ms, CoMP 712.64 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Model {
    /// Table 5 and the hop counts.
    pub parameters: Parameters,
    /// What the paper leaves open.
    pub readings: Readings,
}

/// Milliseconds, for output: the nearest number to a whole count of nanoseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}

/// Rounded to a millionth, so that the noise of binary fractions does not reach the output.
pub(crate) fn millionths(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
