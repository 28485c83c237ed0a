//! Resources that the client observes (RFC 7641) while their nodes move.

use super::*;

impl Client {
    /// Ends an observation, with [`Event::ObservationEnded`].
    pub(crate) fn stop_observing(&mut self, now: SimTime, endpoint: &mut Endpoint, call: CallId) {
        let of_call =
            |purpose: &Purpose| matches!(purpose, Purpose::Observation(c, _) if *c == call);
        let found = (self.requests.iter()).find(|(_, purpose)| of_call(purpose));
        if let Some((&id, _)) = found {
            endpoint.stop_observing(now, id);
        }
    }

    /// A state of a resource that is observed. The first one answers the request.
    pub(crate) fn notified(
        &mut self,
        now: SimTime,
        endpoint: &mut Endpoint,
        id: RequestId,
        message_id: u16,
        sequence: u32,
        response: Response,
    ) {
        let Some(purpose) = self.requests.get_mut(&id) else {
            return;
        };
        let (Purpose::Call(call, p_addr) | Purpose::Observation(call, p_addr)) = *purpose else {
            return;
        };
        let before = std::mem::replace(purpose, Purpose::Observation(call, p_addr));
        self.events.push_back(Event::Notified {
            call,
            p_addr,
            sequence,
            response,
        });
        if matches!(before, Purpose::Call(..)) {
            self.outstanding -= 1;
            if let Some(peer) = self.peers.get_mut(&p_addr) {
                peer.in_flight -= 1;
                peer.answered(message_id);
            }
            self.pump(now, endpoint, p_addr);
        }
    }

    pub(super) fn observation_ended(&mut self, call: CallId, p_addr: Ipv6Addr, reason: String) {
        self.events.push_back(Event::ObservationEnded {
            call,
            p_addr,
            reason,
        });
    }
}
