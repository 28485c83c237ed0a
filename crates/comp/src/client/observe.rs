//! Resources that the client observes (RFC 7641) while their nodes move.

use super::*;

impl Client {
    /// Observes `path` of the node `p_addr` (RFC 7641), from now or as soon as it can be reached:
    /// [`Event::Notified`] for every new state, or [`Event::Answered`] if it cannot be observed.
    ///
    /// RFC 7641 knows an observation by the endpoints and the token. Here the node's endpoint is
    /// its P_Addr: a binding update moves the observation to the new T_Addr, without another
    /// registration. One that ends, in [`Event::Failed`] before the first state and in
    /// [`Event::ObservationEnded`] after it, is not begun again.
    pub fn observe(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
        path: &str,
        reliability: Reliability,
    ) -> CallId {
        self.ask(now, p_addr, path, reliability, true)
    }

    /// Ends an observation, with [`Event::ObservationEnded`].
    pub fn stop_observing(&mut self, now: SimTime, call: CallId) {
        let of_call =
            |purpose: &Purpose| matches!(purpose, Purpose::Observation(c, _) if *c == call);
        let found = (self.requests.iter()).find(|(_, purpose)| of_call(purpose));
        if let Some((&id, _)) = found {
            self.endpoint.stop_observing(now, id);
            self.handle_events(now);
        }
    }

    /// A state of a resource that is observed. The first one answers the request.
    pub(super) fn notified(
        &mut self,
        now: SimTime,
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
                peer.sequence_number = message_id;
            }
            self.pump(now, p_addr);
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
