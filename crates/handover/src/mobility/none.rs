//! No mobility.

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Duration;

use units::SimTime;

use super::{Mobility, Step};

/// A node that tells nobody where it is: it just moves, and whoever asks it has to find it again.
/// It has nothing to prepare and is bound as soon as it has an address, without a phase of its own.
#[derive(Clone, Debug, Default)]
pub struct NoMobility {
    steps: VecDeque<Step>,
}

impl NoMobility {
    /// A node that has no address yet.
    pub fn new() -> NoMobility {
        NoMobility::default()
    }
}

impl Mobility for NoMobility {
    fn attach(&mut self, _: SimTime, address: Ipv6Addr) {
        self.steps.push_back(Step::Attached { address });
    }

    fn prepare(&mut self, _: SimTime) {
        self.steps.push_back(Step::Prepared);
    }

    fn leave(&mut self, _: SimTime) {}

    fn bind(&mut self, _: SimTime, address: Ipv6Addr) {
        self.steps.push_back(Step::Bound { address });
    }

    fn stay(&mut self, _: SimTime, _: Ipv6Addr) {}

    fn announce_sleep(&mut self, _: SimTime, _: Duration) {
        self.steps.push_back(Step::SleepAnnounced);
    }

    fn awake(&mut self, _: SimTime) {}

    fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }
}
