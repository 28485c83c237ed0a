//! When a message is sent, and sent again (RFC 6275 §11.8).

use std::collections::VecDeque;
use std::time::Duration;

use units::SimTime;

/// INITIAL_BINDACK_TIMEOUT (RFC 6275 §12).
pub const INITIAL_BINDACK_TIMEOUT: Duration = Duration::from_secs(1);
/// MAX_BINDACK_TIMEOUT (RFC 6275 §12).
pub const MAX_BINDACK_TIMEOUT: Duration = Duration::from_secs(32);
/// MAX_UPDATE_RATE (RFC 6275 §12): messages of a type to a node within a second.
pub const MAX_UPDATE_RATE: usize = 3;
const SECOND: Duration = Duration::from_secs(1);

/// The sending of one type of message to one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff {
    due: Option<SimTime>,
    /// From the next transmission to the one after it.
    timeout: Duration,
    /// Transmissions of this message.
    sent: u32,
    /// When the last messages of this type were sent, [`MAX_UPDATE_RATE`] at most.
    recent: VecDeque<SimTime>,
}

impl Backoff {
    /// A message is to be sent, at once if the rate allows it, and again until [`Backoff::stop`].
    pub(crate) fn start(&mut self, now: SimTime, initial: Duration) {
        self.timeout = initial.min(MAX_BINDACK_TIMEOUT);
        self.sent = 0;
        self.due = Some(self.allowed(now));
    }

    /// Nothing is to be sent any more.
    pub(crate) fn stop(&mut self) {
        self.due = None;
    }

    /// Whether something is to be sent, now or later.
    pub(crate) fn is_running(&self) -> bool {
        self.due.is_some()
    }

    /// When it is to be sent.
    pub(crate) fn due(&self) -> Option<SimTime> {
        self.due
    }

    /// Whether it is to be sent now.
    pub(crate) fn is_due(&self, now: SimTime) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// How often it was sent.
    pub(crate) fn transmissions(&self) -> u32 {
        self.sent
    }

    /// It was sent: "the timeout period is doubled upon each retransmission, until ... the timeout
    /// period reaches the value MAX_BINDACK_TIMEOUT. The mobile node MAY continue to send these messages
    /// at this slower rate indefinitely."
    pub(crate) fn sent(&mut self, now: SimTime) {
        if self.recent.len() == MAX_UPDATE_RATE {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.sent = self.sent.saturating_add(1);
        self.due = Some(self.allowed(now + self.timeout));
        self.timeout = (self.timeout * 2).min(MAX_BINDACK_TIMEOUT);
    }

    /// The first instant from `at` on at which another message may be sent: "the mobile node MUST NOT
    /// send Mobility Header messages of a particular type to a particular correspondent node more than
    /// MAX_UPDATE_RATE times within a second".
    fn allowed(&self, at: SimTime) -> SimTime {
        match self.recent.front() {
            Some(first) if self.recent.len() == MAX_UPDATE_RATE => at.max(*first + SECOND),
            _ => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SimTime {
        SimTime::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn the_timeout_doubles_up_to_32_seconds_and_stays_there() {
        let mut backoff = Backoff::default();
        backoff.start(at(0), INITIAL_BINDACK_TIMEOUT);
        let mut seen = Vec::new();
        for _ in 0..9 {
            let due = backoff.due().unwrap();
            seen.push(due.as_nanos() / 1_000_000_000);
            backoff.sent(due);
        }
        assert_eq!(seen, [0, 1, 3, 7, 15, 31, 63, 95, 127]);
        backoff.stop();
        assert!(!backoff.is_running());
    }

    #[test]
    fn no_more_than_three_messages_leave_within_a_second() {
        let mut backoff = Backoff::default();
        for millis in [0, 100, 200] {
            backoff.start(at(millis), INITIAL_BINDACK_TIMEOUT);
            assert!(backoff.is_due(at(millis)));
            backoff.sent(at(millis));
        }
        backoff.start(at(300), INITIAL_BINDACK_TIMEOUT);
        assert_eq!(backoff.due(), Some(at(1000)));
        backoff.sent(at(1000));
        backoff.start(at(1001), INITIAL_BINDACK_TIMEOUT);
        assert_eq!(backoff.due(), Some(at(1100)));
    }
}
