//! What pairing counts beside exchanges.

use super::super::Other;

/// What is counted beside exchanges; each as [`Other`] has it.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) pings: u64,
    pub(super) multicast: u64,
    pub(super) multicast_responses: u64,
    pub(super) cut_requests: u64,
    pub(super) repeated_late: u64,
    pub(super) deregistrations: u64,
    pub(super) stray: u64,
    pub(super) notifications: u64,
    pub(super) wants_none: u64,
    pub(super) after_end: u64,
}

impl Counts {
    pub(super) fn add_to(self, other: &mut Other) {
        other.pings += self.pings;
        other.multicast += self.multicast;
        other.multicast_responses += self.multicast_responses;
        other.cut_requests += self.cut_requests;
        other.repeated_late += self.repeated_late;
        other.deregistrations += self.deregistrations;
        other.stray += self.stray;
        other.notifications += self.notifications;
        other.wants_none += self.wants_none;
        other.after_end += self.after_end;
    }
}
