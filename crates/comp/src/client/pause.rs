//! The client's own absence: it is handed over, or asleep.
//!
//! A request that is sent while its responses cannot arrive is lost on the air, and the node's
//! answer with it. So nothing new is sent from the moment at which the node asks for a hold, and
//! what was on its way when it leaves is taken back, to be sent again from where it is then.

use super::*;

impl Client {
    /// Sends nothing more, until [`Client::resume_all`].
    pub(crate) fn pause(&mut self) {
        self.paused = true;
    }

    /// Whether requests are kept back because the client itself is away.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// What is on its way now is not answered any more: takes it back.
    pub(crate) fn recall(&mut self, endpoint: &mut Endpoint) {
        self.pause();
        for to in self.peers.values().filter_map(|peer| peer.sent_to) {
            endpoint.recall(to);
        }
        for p_addr in self.nodes() {
            self.cancel_discovery(endpoint, p_addr);
        }
    }

    /// The client has another address than before.
    pub(crate) fn moved(&mut self) {
        self.moved = true;
        for peer in self.peers.values_mut() {
            peer.moved_since = true;
        }
    }

    /// The client is back: sends what was taken back, then what was kept back.
    pub(crate) fn resume_all(&mut self, now: SimTime, endpoint: &mut Endpoint) {
        if !std::mem::replace(&mut self.paused, false) {
            return;
        }
        let moved = std::mem::take(&mut self.moved);
        for peer in self.peers.values() {
            if let Some(to) = peer.sent_to {
                endpoint.resend(now, to);
            }
        }
        if moved {
            self.observe_again(now, endpoint);
        }
        let targets: Vec<Target> = self.peers.keys().copied().collect();
        for target in targets {
            self.pump(now, endpoint, target);
        }
    }

    /// The nodes that it asks.
    fn nodes(&self) -> Vec<Ipv6Addr> {
        let node = |target: &Target| match target {
            Target::Node(p_addr) => Some(*p_addr),
            Target::Address(_) => None,
        };
        self.peers.keys().filter_map(node).collect()
    }

    /// An observer is known by its address (RFC 7641 §4.1): with another one it registers again.
    fn observe_again(&self, now: SimTime, endpoint: &mut Endpoint) {
        for (id, purpose) in &self.requests {
            if matches!(purpose, Purpose::Observation(..)) {
                endpoint.observe_again(now, *id);
            }
        }
    }

    /// Whether who is at `address`, or was there when this node asked it last, is known to be on
    /// hold: nothing goes to either place.
    pub(crate) fn holds_back(&self, address: Ipv6Addr) -> bool {
        self.nodes()
            .into_iter()
            .filter_map(|p_addr| Some((self.node(p_addr)?, self.lbc.get(p_addr)?)))
            .filter(|(peer, entry)| peer.on_hold_since.is_some() && entry.held)
            .any(|(peer, entry)| {
                entry.t_addr == address || peer.sent_to.is_some_and(|to| *to.ip() == address)
            })
    }
}
