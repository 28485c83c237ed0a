//! Requests of an endpoint that is away for a while, and perhaps comes back with another address.
//!
//! Which requests were lost with it nobody can tell, nor will a response find it where it was.
//! So what was on its way is no outstanding interaction meanwhile (RFC 7252 §4.7), and what is
//! confirmable goes out again afterwards, with its Message ID and token: the peer recognizes it if
//! the address is still the same.

use std::net::{Ipv6Addr, SocketAddrV6};

use units::SimTime;

use super::outstanding::Stage;
use super::peer::Peer;
use super::{Endpoint, Failure, Reliability, RequestId};

impl Endpoint {
    /// Takes back the requests on their way to a peer: nothing is retransmitted, and others may go
    /// before them. A response that still comes counts. [`Endpoint::resend`] ends it.
    pub fn recall(&mut self, to: SocketAddrV6) {
        let peer = Peer::from(to);
        for (_, request) in self.requests.iter_mut() {
            if Peer::from(request.to) != peer || !request.in_flight() {
                continue;
            }
            if let Stage::Unacknowledged(sent) = &request.stage
                && let Some(message) = self.confirmables.get(&sent.message_id)
            {
                let timer = super::Timer::Retransmit(sent.message_id);
                self.timers.remove(&(message.due, timer));
            }
            request.recalled = true;
            if let Some(line) = self.lines.get_mut(&peer) {
                line.in_flight -= 1;
            }
        }
        self.drop_idle_line(peer);
    }

    /// Sends again what [`Endpoint::recall`] took back, before what is queued behind it. A
    /// non-confirmable request is not repeated (RFC 7252 §4.3): it ends in [`Failure::Left`].
    pub fn resend(&mut self, now: SimTime, to: SocketAddrV6) {
        let peer = Peer::from(to);
        let recalled = |reliability| {
            (self.requests.iter())
                .filter(|(_, request)| request.recalled && Peer::from(request.to) == peer)
                .filter(|(_, request)| request.reliability == reliability)
                .map(|(id, _)| *id)
                .collect::<Vec<RequestId>>()
        };
        let lost = recalled(Reliability::NonConfirmable);
        let again = recalled(Reliability::Confirmable);
        let queue = &mut self.lines.entry(peer).or_default().queue;
        queue.retain(|id| !again.contains(id));
        for id in again.into_iter().rev() {
            queue.push_front(id);
        }
        for id in lost {
            self.fail(now, id, Failure::Left);
        }
        self.send_queued(now, peer);
        self.drop_idle_line(peer);
    }

    /// Sends the registration of an observation again, with its token, because the peer knows an
    /// observer by its address (RFC 7641 §4.1) and this endpoint has another one now. Ignored if
    /// the peer has not confirmed the observation.
    pub fn observe_again(&mut self, now: SimTime, id: RequestId) {
        let Some(token) = self.requests.get(&id).and_then(|r| r.observing()) else {
            return;
        };
        self.forget_fetch(id);
        let Some(mut request) = self.finish(id) else {
            return;
        };
        request.register_again(token);
        let peer = Peer::from(request.to);
        self.requests.insert(id, request);
        self.lines.entry(peer).or_default().queue.push_back(id);
        self.send_queued(now, peer);
    }

    /// Forgets the observers at an address, where they are not any more.
    pub fn forget_observers(&mut self, address: Ipv6Addr) {
        self.observers.retain(|_, o| *o.address() != address);
    }
}
