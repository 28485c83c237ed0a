//! Resources that the client observes (RFC 7641) while their nodes move.

use super::*;

impl Client {
    /// Ends an observation that the node has confirmed.
    pub(crate) fn stop_observing(&mut self, now: SimTime, endpoint: &mut Endpoint, call: CallId) {
        let of_call =
            |purpose: &Purpose| matches!(purpose, Purpose::Observation(c, _) if *c == call);
        let found = (self.requests.iter()).find(|(_, purpose)| of_call(purpose));
        if let Some((&id, _)) = found {
            endpoint.stop_observing(now, id);
        }
    }

    /// A state of a resource that is observed, or that there was one. The first one answers the
    /// request.
    pub(crate) fn heard_of(
        &mut self,
        now: SimTime,
        endpoint: &mut Endpoint,
        id: RequestId,
        message_id: u16,
        state: Outcome,
    ) {
        let Some(purpose) = self.requests.get_mut(&id) else {
            return;
        };
        let (Purpose::Call(call, target) | Purpose::Observation(call, target)) = *purpose else {
            return;
        };
        let before = std::mem::replace(purpose, Purpose::Observation(call, target));
        self.tell(call, state);
        if matches!(before, Purpose::Call(..)) {
            self.outstanding -= 1;
            if let Some(peer) = self.peers.get_mut(&target) {
                peer.in_flight -= 1;
                peer.answered(message_id);
            }
            self.pump(now, endpoint, target);
        }
    }
}
