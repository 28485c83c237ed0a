//! [`Observed`]: something that is observed (RFC 7641), for all who follow it by HTTP.

use std::time::Duration;

use coap::Response as CoapResponse;
use serde_json::{Value as Json, json};
use units::SimTime;

use super::answer;
use crate::web::{Door, Log, Reader};

/// The last state.
#[derive(Clone, Copy, Debug)]
struct Last {
    /// The event before the one that told it.
    before: u64,
    /// "For as long as it is fresh": a state is not given as one of now after that (RFC 7641 §3.3.1).
    fresh_until: SimTime,
}

/// What is observed, and who follows it.
#[derive(Debug)]
pub(super) struct Observed {
    log: Log,
    /// A state of it has come, or one that was not whole.
    has_begun: bool,
    last: Option<Last>,
}

impl Observed {
    /// Nothing is known of it yet.
    pub(super) fn new(now: SimTime) -> Observed {
        Observed {
            log: Log::new(now),
            has_begun: false,
            last: None,
        }
    }

    /// Whether a state of it has come, or one that was not whole.
    pub(super) fn is_notified(&self) -> bool {
        self.has_begun
    }

    /// Whether somebody follows it.
    pub(super) fn is_followed(&mut self) -> bool {
        self.log.forget_left();
        self.log.is_followed()
    }

    /// A stream that begins with the state that is told next.
    pub(super) fn follow_first(&mut self, door: &Door) -> Reader {
        let last = self.log.last();
        self.log.follow_on(door, last)
    }

    /// A stream that goes on after the event `since`. Where that is not known it begins with the last state, if that is
    /// fresh, else with the next one.
    pub(super) fn follow(&mut self, now: SimTime, since: Option<u64>, door: &Door) -> Reader {
        let since = since.filter(|since| self.log.knows(*since));
        let fresh = self.last.filter(|last| now < last.fresh_until);
        let since = since.or(fresh.map(|last| last.before));
        let since = since.unwrap_or_else(|| self.log.last());
        self.log.follow_on(door, since)
    }

    /// Tells a state.
    pub(super) fn notified(&mut self, now: SimTime, response: &CoapResponse) {
        self.has_begun = true;
        let max_age = Duration::from_secs(answer::max_age_or_default(response));
        self.last = Some(Last {
            before: self.log.last(),
            fresh_until: now + max_age,
        });
        self.log.tell(now, "state", &answer::state(response));
    }

    /// Tells that a state could not be had whole.
    pub(super) fn lost(&mut self, now: SimTime, reason: &str) {
        self.has_begun = true;
        self.log
            .tell(now, "notification-lost", &json!({ "reason": reason }));
    }

    /// Tells why no more states follow, and ends the streams.
    pub(super) fn end(mut self, now: SimTime, why: &Json) {
        self.log.tell(now, "error", why);
    }
}
