//! Where a client's Location (6) says that it is: the node's position, from metres to degrees.

use std::time::Duration;

use propagation::Origin;
use serde::{Deserialize, Serialize};
use units::quantity::duration;

use crate::decode::At;
use crate::resolve::Resolver;
use crate::resolve::timers::s;

tables! {
    /// Location (6) of a client: its node's `position` and moves. The plane lies on the Earth with its origin, `[0 m, 0 m]`,
    /// here; x is east and y is north.
    pub struct Lwm2mLocation {
        /// Latitude of the plane's origin, degrees north; from -80 to 80; default 0.
        pub latitude: Option<At<f64>>,
        /// Its longitude, degrees east; from -180 to 180; default 0.
        pub longitude: Option<At<f64>>,
        /// From one fix to the next; at least 1 ms; default 1 s.
        pub every: Option<At<Duration>>,
    }
}

/// Location of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocationPlan {
    /// Latitude of the plane's origin, degrees north.
    pub latitude: f64,
    /// Its longitude, degrees east.
    pub longitude: f64,
    /// From one fix to the next.
    #[serde(with = "duration")]
    pub every: Duration,
}

impl LocationPlan {
    /// Where the plane's origin is.
    pub fn origin(&self) -> Origin {
        Origin {
            latitude_deg: self.latitude,
            longitude_deg: self.longitude,
        }
    }
}

impl Lwm2mLocation {
    pub(super) fn plan(&self, r: &mut Resolver<'_>, path: &str) -> LocationPlan {
        let limit = Origin::LIMIT_DEG;
        LocationPlan {
            latitude: degrees(r, &format!("{path}.latitude"), self.latitude, limit),
            longitude: degrees(r, &format!("{path}.longitude"), self.longitude, 180.0),
            every: r.duration(
                &format!("{path}.every"),
                self.every,
                s(1),
                |every| every >= Duration::from_millis(1),
                "at least `1 ms`",
            ),
        }
    }
}

/// An angle, at most `limit` degrees either way.
fn degrees(r: &mut Resolver<'_>, path: &str, given: Option<At<f64>>, limit: f64) -> f64 {
    let print = |value: f64| value.to_string();
    let holds = |value: f64| (-limit..=limit).contains(&value);
    let right = format!("degrees from -{limit} to {limit}");
    r.checked(path, given, 0.0, print, holds, &right)
}

impl Resolver<'_> {
    /// Reports a node whose position its services tell, and that has none.
    pub(crate) fn check_position(&mut self, name: &str, is_there: bool) {
        if is_there || self.faults.below(&format!("nodes.{name}")) {
            return;
        }
        let message = format!(
            "`nodes.{name}`: it is to tell where it is, and has no `position`; give it one, or leave `location` out"
        );
        self.problem(self.span_of(name), message);
    }
}
