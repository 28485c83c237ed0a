//! Which messages were sent before.

use std::hash::{DefaultHasher, Hash, Hasher};

use coap::Params;
use coap::wire::Message;
use units::SimTime;

use super::{Peer, Way};
use crate::recent::Recent;

/// Messages that are remembered in each of two generations.
const MOST: usize = 1 << 16;

/// The messages that one interface saw of its node.
#[derive(Debug)]
pub(super) struct Repeats(Recent<(Way, Peer, u16), (SimTime, u64)>);

impl Default for Repeats {
    fn default() -> Repeats {
        Repeats(Recent::new(MOST))
    }
}

impl Repeats {
    /// Whether a message was seen before: the same bytes with the same Message ID, to or from the same
    /// node at whatever address, within EXCHANGE_LIFETIME (RFC 7252 §4.8.2) of the first time.
    pub(super) fn see(
        &mut self,
        way: Way,
        peer: &Peer,
        message: &Message,
        bytes: &[u8],
        time: SimTime,
    ) -> bool {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let hash = hasher.finish();
        let key = (way, peer.clone(), message.message_id);
        let lifetime = Params::default().exchange_lifetime();
        let is_again = self.0.get(&key).is_some_and(|(first, before)| {
            *before == hash && time.saturating_since(*first) <= lifetime
        });
        if !is_again {
            self.0.insert(key, (time, hash));
        }
        is_again
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use coap::Kind;

    use super::*;

    #[test]
    fn a_message_is_repeated_while_its_exchange_lives() {
        let peer = |name: &str| Peer {
            who: Ok(name.into()),
            ports: [5683; 2],
        };
        let message = Message::empty(Kind::Acknowledgement, 7);
        let mut repeats = Repeats::default();
        let mut see = |peer: &Peer, way, bytes: &[u8], seconds| {
            let time = SimTime::ZERO + Duration::from_secs(seconds);
            repeats.see(way, peer, &message, bytes, time)
        };
        let (one, other) = (peer("one"), peer("other"));
        assert!(!see(&one, Way::Sent, b"a", 0));
        assert!(see(&one, Way::Sent, b"a", 247));
        assert!(!see(&one, Way::Received, b"a", 247));
        assert!(!see(&other, Way::Sent, b"a", 247));
        assert!(!see(&one, Way::Sent, b"a", 248), "a new exchange");
        assert!(!see(&one, Way::Sent, b"b", 249), "another message");
    }
}
