//! Messages on their way out, and errors among them.

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Duration;

use machine::Allowance;
use units::SimTime;

use crate::codec::{ErrorStatus, Invalid, Message};
use crate::headers::Headers;
use crate::ignored::Ignored;

/// A message to send: a Mobility Header with its checksum, and the headers around it.
pub type Transmit = machine::Transmit<Headers>;

/// What is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    queue: VecDeque<Transmit>,
    /// How many Binding Errors may leave.
    errors: Allowance,
}

impl Default for Outbox {
    fn default() -> Outbox {
        Outbox {
            queue: VecDeque::new(),
            errors: Allowance::new(SimTime::ZERO, BURST, BETWEEN),
        }
    }
}

impl Outbox {
    /// Reads a message that came. "The MH Type field MUST have a known value. Otherwise, the node MUST
    /// discard the message and issue a Binding Error message" (RFC 6275 §9.2).
    pub(crate) fn read(
        &mut self,
        now: SimTime,
        headers: &Headers,
        payload: &[u8],
    ) -> Result<Message, Ignored> {
        Message::decode(headers, payload).map_err(|invalid| {
            if let Invalid::Type(_) = invalid {
                self.error(now, headers, ErrorStatus::UNKNOWN_TYPE);
            }
            invalid.into()
        })
    }

    /// Queues a message. None that a machine makes is too long: it has few options, and of those
    /// that it repeats the lengths are bounded.
    pub(crate) fn push(&mut self, headers: Headers, message: &Message) {
        if let Ok(payload) = message.encode(&headers) {
            self.queue.push_back(Transmit {
                to: headers,
                payload,
            });
        }
    }

    /// "A Binding Error message is sent directly to the address that appeared in the IPv6 Source
    /// Address field of the offending packet. If the Source Address field does not contain a unicast
    /// address, the Binding Error message MUST NOT be sent" (RFC 6275 §9.3.3).
    pub(crate) fn error(&mut self, now: SimTime, offending: &Headers, status: ErrorStatus) {
        let to = offending.source;
        if to.is_multicast() || to.is_unspecified() || !self.errors.take(now) {
            return;
        }
        // "... or set to the unspecified address if no such option appeared in the packet."
        let home_address = offending.home_address.unwrap_or(Ipv6Addr::UNSPECIFIED);
        let error = Message::BindingError {
            status,
            home_address,
        };
        self.push(Headers::between(offending.receiver(), to), &error);
    }

    pub(crate) fn pop(&mut self) -> Option<Transmit> {
        self.queue.pop_front()
    }
}

/// How many Binding Errors leave at once, and in a second: "subject to rate limiting in the same
/// manner as is done for ICMPv6 messages" (RFC 6275 §9.3.3), of which RFC 4443 §2.4 f has 10 as an
/// example of both.
const BURST: u64 = 10;
const BETWEEN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_answered_ten_times_at_once_and_ten_times_a_second() {
        let offending = Headers::between("2001:db8::1".parse().unwrap(), Ipv6Addr::LOCALHOST);
        let mut outbox = Outbox::default();
        let count = |outbox: &mut Outbox| std::iter::from_fn(|| outbox.pop()).count();
        let start = SimTime::ZERO + Duration::from_secs(5);
        for _ in 0..1000 {
            outbox.error(start, &offending, ErrorStatus::UNKNOWN_TYPE);
        }
        assert_eq!(count(&mut outbox), 10);
        for millis in 0..2000 {
            let now = start + Duration::from_millis(millis);
            outbox.error(now, &offending, ErrorStatus::UNKNOWN_TYPE);
        }
        assert_eq!(count(&mut outbox), 19, "at 100 ms, 200 ms, ..., 1900 ms");
    }

    #[test]
    fn nobody_is_answered_who_has_no_unicast_address() {
        let mut outbox = Outbox::default();
        for source in ["::", "ff02::1"] {
            let offending = Headers::between(source.parse().unwrap(), Ipv6Addr::LOCALHOST);
            outbox.error(SimTime::ZERO, &offending, ErrorStatus(1));
        }
        assert_eq!(outbox.pop(), None);
    }
}
