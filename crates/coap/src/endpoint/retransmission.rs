//! Confirmable messages until their ACK or RST (RFC 7252 §4.2).

use std::net::SocketAddrV6;
use std::time::Duration;

use units::SimTime;

use super::{Endpoint, Failure, Timer};

/// A confirmable message of ours, neither acknowledged nor reset.
#[derive(Debug)]
pub(super) struct Confirmable {
    pub(super) to: SocketAddrV6,
    bytes: Vec<u8>,
    /// The timeout that runs.
    timeout: Duration,
    /// When it ends.
    due: SimTime,
    /// No retransmission after this.
    envelope: SimTime,
    /// The "retransmission counter".
    retransmissions: u32,
}

/// How late a timer may fire without costing a retransmission: "This specification makes no
/// strong requirements on the accuracy of the clocks" (§4.2).
const TIMER_SLACK: Duration = Duration::from_millis(100);

impl Endpoint {
    /// Sends a confirmable message and starts its retransmission schedule.
    pub(super) fn transmit_confirmable(
        &mut self,
        now: SimTime,
        to: SocketAddrV6,
        message_id: u16,
        bytes: Vec<u8>,
    ) {
        let timeout = self.params.initial_timeout(&mut self.rng);
        let due = now + timeout;
        self.timers.insert((due, Timer::Retransmit(message_id)));
        self.transmit(to, bytes.clone());
        let confirmable = Confirmable {
            to,
            bytes,
            timeout,
            due,
            envelope: now + self.params.max_transmit_span() + TIMER_SLACK,
            retransmissions: 0,
        };
        self.confirmables.insert(message_id, confirmable);
    }

    /// Ends the retransmission of a message; `false` if there was none.
    pub(super) fn stop_retransmission(&mut self, message_id: u16) -> bool {
        let Some(stopped) = self.confirmables.remove(&message_id) else {
            return false;
        };
        self.timers
            .remove(&(stopped.due, Timer::Retransmit(message_id)));
        true
    }

    /// Sends a message that is being retransmitted to another address, as if for the first
    /// time.
    pub(super) fn redirect(&mut self, now: SimTime, message_id: u16, to: SocketAddrV6) {
        let Some(moved) = self.confirmables.remove(&message_id) else {
            return;
        };
        self.timers
            .remove(&(moved.due, Timer::Retransmit(message_id)));
        self.transmit_confirmable(now, to, message_id, moved.bytes);
    }

    /// The timeout of a message has ended.
    pub(super) fn retransmit(&mut self, now: SimTime, message_id: u16) {
        let Some(message) = self.confirmables.get_mut(&message_id) else {
            return;
        };
        // "When the timeout is triggered and the retransmission counter is less than
        // MAX_RETRANSMIT, the message is retransmitted, the retransmission counter is
        // incremented, and the timeout is doubled" (§4.2).
        if message.retransmissions < self.params.max_retransmit {
            message.retransmissions += 1;
            message.timeout = message.timeout.saturating_mul(2);
            // "an endpoint may be late for a specific retransmission [...] and may catch up
            // on the next one. However, the minimum spacing before another retransmission is
            // ACK_TIMEOUT, and the entire sequence of (re-)transmissions MUST stay in the
            // envelope of MAX_TRANSMIT_SPAN" (§4.2).
            message.due = (message.due + message.timeout).max(now + self.params.ack_timeout);
            self.timers
                .insert((message.due, Timer::Retransmit(message_id)));
            if now <= message.envelope {
                let (to, bytes) = (message.to, message.bytes.clone());
                self.transmit(to, bytes);
            }
            return;
        }
        // "the attempt to transmit the message is canceled and the application process
        // informed of failure" (§4.2); of a response of ours nobody waits to hear.
        self.confirmables.remove(&message_id);
        if let Some(&id) = self.by_message_id.get(&message_id) {
            self.fail(now, id, Failure::Timeout);
        }
    }
}
