//! How long requests wait before they are sent.

use std::net::SocketAddrV6;
use std::time::Duration;

use units::SimTime;

use super::observation::ask_to_be_told;
use super::outstanding::Role;
use super::{Endpoint, Reliability, RequestId};
use crate::message::Request;

/// The requests that had to wait before they were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// How many.
    pub requests: u64,
    /// All together.
    pub total: Duration,
    /// The one that waited longest.
    pub longest: Duration,
}

impl Waits {
    /// Takes one that was sent after `waited`; none if it had not to wait.
    fn sent(&mut self, waited: Duration) {
        self.requests += u64::from(!waited.is_zero());
        self.total = self.total.saturating_add(waited);
        self.longest = self.longest.max(waited);
    }
}

impl Endpoint {
    /// [`Endpoint::request`], or with `observe` [`Endpoint::observe`], for somebody who has waited since
    /// `since`: [`Endpoint::waits`] has how long until it is sent.
    pub fn ask(
        &mut self,
        now: SimTime,
        since: SimTime,
        to: SocketAddrV6,
        reliability: Reliability,
        mut request: Request,
        observe: bool,
    ) -> RequestId {
        let role = match observe {
            true => {
                ask_to_be_told(&mut request);
                Role::Observation(Default::default())
            }
            false => Role::Request,
        };
        self.enqueue(now, to, reliability, Some(request), role, Some(since))
    }

    /// The requests of [`Endpoint::ask`] that were sent, and not at once.
    pub fn waits(&self) -> Waits {
        self.waits
    }

    /// A request that was asked for at `since` is sent for the first time.
    pub(super) fn waited(&mut self, now: SimTime, since: SimTime) {
        self.waits.sent(now.saturating_since(since));
    }
}
