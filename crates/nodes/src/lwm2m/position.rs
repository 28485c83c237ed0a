//! [`Positioned`]: where a client's node is by its plan, in degrees.

use std::time::Duration;

use anyhow::{Context, Result};
use lwm2m::client::{Fix, Locating, Whereabouts};
use propagation::{Origin, Track};
use topology::kind::lwm2m::location::LocationPlan;
use topology::plan::Action;

use super::Standing;

/// A node on its way.
#[derive(Debug)]
struct Positioned {
    origin: Origin,
    track: Track,
}

impl Whereabouts for Positioned {
    fn at(&self, at: Duration) -> Fix {
        let (latitude_deg, longitude_deg) = self.origin.degrees(self.track.at(at));
        // To the millimetre per second.
        let speed_m_s = (self.track.speed_m_s(at) * 1e3).round() / 1e3;
        Fix {
            latitude_deg,
            longitude_deg,
            speed_m_s,
        }
    }
}

/// How the client has the place where `standing` has its node.
///
/// # Errors
/// When the plan has no place of it.
pub(super) fn locating(standing: Standing<'_>, plan: &LocationPlan) -> Result<Locating> {
    let track = Track::new(standing.track.to_vec()).context("location: the node's track")?;
    let origin = plan.origin();
    Ok(Locating {
        whereabouts: Box::new(Positioned { origin, track }),
        every: plan.every,
        began: standing.began(),
    })
}

impl Standing<'_> {
    /// The scenario's time when this daemon began: zero, or that of the step that started the node again. A daemon takes
    /// some milliseconds longer until its services start.
    fn began(&self) -> Duration {
        let restarts = (self.steps.iter())
            .filter(|step| matches!(step.action, Action::Restart { .. }))
            .map(|step| step.at);
        let lives = usize::try_from(self.host.crashes).unwrap_or(usize::MAX);
        let restart = lives.checked_sub(1).and_then(|n| restarts.clone().nth(n));
        restart.unwrap_or_default()
    }
}
