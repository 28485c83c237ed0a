//! Confirmable messages until their ACK or RST (RFC 7252 §4.2).

use std::net::SocketAddrV6;
use std::time::Duration;

use units::SimTime;

use super::peer::Peer;
use super::{Endpoint, Failure, RequestId, Timer};
use crate::cocoa::{self, Rto, backoff_factor};
use crate::params::CongestionControl;

/// A confirmable message of ours, neither acknowledged nor reset.
#[derive(Debug)]
pub(super) struct Confirmable {
    pub(super) to: SocketAddrV6,
    bytes: Vec<u8>,
    /// When it was first sent.
    since: SimTime,
    /// The timeout that runs.
    timeout: Duration,
    /// What the next timeout is multiplied with.
    backoff: f64,
    /// The shortest time between two transmissions.
    spacing: Duration,
    /// When it ends.
    pub(super) due: SimTime,
    /// No retransmission after this.
    envelope: SimTime,
    /// The "retransmission counter".
    retransmissions: u32,
}

/// How late a timer may fire without costing a retransmission: "This specification makes no
/// strong requirements on the accuracy of the clocks" (§4.2).
const TIMER_SLACK: Duration = Duration::from_millis(100);

/// Peers whose round trips are known; of one more, another one is forgotten and begins anew.
const MAX_ROUND_TRIPS: usize = 4096;

impl Endpoint {
    /// Sends a confirmable message and starts its retransmission schedule.
    pub(super) fn transmit_confirmable(
        &mut self,
        now: SimTime,
        to: SocketAddrV6,
        message_id: u16,
        bytes: Vec<u8>,
    ) {
        let rto = self.rto_of(now, to.into());
        let timeout = self.params.dithered(rto, &mut self.rng);
        let adaptive = self.params.congestion_control == CongestionControl::Cocoa;
        let due = now + timeout;
        self.timers.insert((due, Timer::Retransmit(message_id)));
        self.transmit(to, bytes.clone());
        let confirmable = Confirmable {
            to,
            bytes,
            since: now,
            timeout,
            backoff: if adaptive { backoff_factor(rto) } else { 2.0 },
            spacing: rto,
            due,
            envelope: now + self.params.max_transmit_span() + TIMER_SLACK,
            retransmissions: 0,
        };
        self.confirmables.insert(message_id, confirmable);
    }

    /// The timeout of a first transmission to a peer, without its random part.
    fn rto_of(&mut self, now: SimTime, peer: Peer) -> Duration {
        match self.params.congestion_control {
            CongestionControl::Fixed => self.params.ack_timeout,
            CongestionControl::Cocoa => match self.round_trips.get_mut(&peer) {
                Some(rto) => rto.get(now),
                None => Rto::new(now).get(now),
            },
        }
    }

    /// Measures the round trip to `from`, whose ACK of a message of ours has come: from the first
    /// transmission to this address.
    pub(super) fn measure(&mut self, now: SimTime, from: SocketAddrV6, message_id: u16) {
        let Some(message) = self.confirmables.get(&message_id) else {
            return;
        };
        let peer = Peer::from(message.to);
        let adaptive = self.params.congestion_control == CongestionControl::Cocoa;
        if !adaptive || !peer.matches(from.into()) {
            return;
        }
        let rtt = now.saturating_since(message.since);
        let retransmissions = message.retransmissions;
        if self.round_trips.len() >= MAX_ROUND_TRIPS && !self.round_trips.contains_key(&peer) {
            self.round_trips.pop_first();
        }
        let rto = self.round_trips.entry(peer);
        let rto = rto.or_insert_with(|| Rto::new(now));
        rto.measure(now, rtt, retransmissions);
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

    /// Sends the requests whose timeouts ended while their peer was kept back.
    pub(super) fn retransmit_overdue(&mut self, now: SimTime, peer: Peer) {
        self.transmit_again(now, peer, |runs| !runs);
    }

    /// Sends the requests to a peer that it has not acknowledged, as if for the first time: those
    /// of which `wanted` says so, told whether their timeout runs.
    pub(super) fn transmit_again(
        &mut self,
        now: SimTime,
        peer: Peer,
        wanted: impl Fn(bool) -> bool,
    ) {
        let is_wanted = |message_id: u16, message: &Confirmable| {
            let request = self.by_message_id.get(&message_id);
            let request = request.and_then(|id| self.requests.get(id));
            let timer = (message.due, Timer::Retransmit(message_id));
            Peer::from(message.to) == peer
                && wanted(self.timers.contains(&timer))
                && request.is_some_and(|request| !request.recalled)
        };
        // In the order in which they were asked for.
        let mut again: Vec<(RequestId, u16, SocketAddrV6)> = (self.confirmables.iter())
            .filter(|(id, message)| is_wanted(**id, message))
            .filter_map(|(id, message)| Some((*self.by_message_id.get(id)?, *id, message.to)))
            .collect();
        again.sort_unstable_by_key(|(request, ..)| *request);
        for (_, message_id, to) in again {
            self.redirect(now, message_id, to);
        }
    }

    /// The timeout of a message has ended.
    pub(super) fn retransmit(&mut self, now: SimTime, message_id: u16) {
        let Some(message) = self.confirmables.get_mut(&message_id) else {
            return;
        };
        let is_request = self.by_message_id.contains_key(&message_id);
        if is_request && self.kept_back.contains(&message.to.into()) {
            return;
        }
        // "When the timeout is triggered and the retransmission counter is less than
        // MAX_RETRANSMIT, the message is retransmitted, the retransmission counter is
        // incremented, and the timeout is doubled" (§4.2).
        // CoCoA has another factor than two, and the whole still ends with MAX_TRANSMIT_WAIT.
        let end = match self.params.congestion_control {
            CongestionControl::Fixed => None,
            CongestionControl::Cocoa => Some(message.since + self.params.max_transmit_wait()),
        };
        let goes_on = end.is_none_or(|end| now < end);
        if message.retransmissions < self.params.max_retransmit && goes_on {
            message.retransmissions += 1;
            message.timeout = match self.params.congestion_control {
                CongestionControl::Fixed => message.timeout.saturating_mul(2),
                CongestionControl::Cocoa => {
                    let next = message.timeout.as_secs_f64() * message.backoff;
                    Duration::from_secs_f64(next.min(cocoa::LONGEST.as_secs_f64()))
                }
            };
            // "an endpoint may be late for a specific retransmission [...] and may catch up
            // on the next one. However, the minimum spacing before another retransmission is
            // ACK_TIMEOUT, and the entire sequence of (re-)transmissions MUST stay in the
            // envelope of MAX_TRANSMIT_SPAN" (§4.2).
            message.due = (message.due + message.timeout).max(now + message.spacing);
            if let Some(end) = end {
                message.due = message.due.min(end);
            }
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
        self.notification_failed(None, message_id);
        if let Some(&id) = self.by_message_id.get(&message_id) {
            self.fail(now, id, Failure::Timeout);
        }
    }
}
