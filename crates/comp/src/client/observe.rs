//! Resources that the client observes (RFC 7641) while their nodes move, and what it gives up.

use super::*;

impl Client {
    /// Ends an observation that the node has confirmed, and gives up what has had no outcome.
    pub(crate) fn stop_observing(&mut self, now: SimTime, endpoint: &mut Endpoint, call: CallId) {
        let of_call = |purpose: &Purpose| match purpose {
            Purpose::Call(of, _) | Purpose::Observation(of, _) => *of == call,
            Purpose::Discovery(_) => false,
        };
        let found = (self.requests.iter()).find(|(_, purpose)| of_call(purpose));
        match found {
            Some((&id, _)) => endpoint.stop_observing(now, id),
            None => self.give_up_waiting(call),
        }
    }

    /// Gives up a call that is kept back, if it is.
    fn give_up_waiting(&mut self, call: CallId) {
        let found = self.peers.iter_mut().find_map(|(target, peer)| {
            let place = peer.waiting.iter().position(|w| w.call == call)?;
            peer.waiting.remove(place);
            Some(*target)
        });
        if let Some(target) = found {
            self.fail(call, CallFailure::Exchange(Failure::Cancelled));
            self.arm_patience(target);
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
                peer.observed += 1;
                peer.answered(message_id);
            }
            self.pump(now, endpoint, target);
        }
    }

    /// Forgets an address of which nothing is asked: any number may be asked in turn. Of a node it is remembered what CoMP
    /// tells of it.
    pub(super) fn forget(&mut self, target: Target) {
        let is_idle = self.peers.get(&target).is_some_and(Peer::is_idle);
        if is_idle && matches!(target, Target::Address(_)) {
            self.peers.remove(&target);
        }
    }

    /// An observation that the node had confirmed is over.
    pub(super) fn observed_ended(&mut self, target: Target) {
        if let Some(peer) = self.peers.get_mut(&target) {
            peer.observed -= 1;
        }
        self.forget(target);
    }
}
