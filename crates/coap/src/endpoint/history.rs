//! What has been received, for deduplication (RFC 7252 §4.5).
//!
//! Bounded by [`MAX_PER_PEER`] messages of one peer, [`MAX_ENTRIES`] messages and [`MAX_REPLY_BYTES`] bytes of cached replies; over
//! that the entry that would expire first goes early, and a later duplicate of it would be
//! served as new. At the defaults (247 s) the bounds are reached by 66 confirmable messages
//! per second, or by 17 per second with replies of 1 KiB. A peer that sends more than its share
//! pushes out its own messages, not those of others.

use std::collections::{BTreeMap, BTreeSet};

use units::SimTime;

use super::ExchangeId;
use super::peer::Peer;
use crate::wire::Token;

/// Messages remembered at most.
pub(super) const MAX_ENTRIES: usize = 16_384;
/// Messages of one peer remembered at most.
pub(super) const MAX_PER_PEER: usize = 1024;
/// Bytes of cached replies at most.
pub(super) const MAX_REPLY_BYTES: usize = 4 << 20;

/// Source and Message ID of a received message.
pub(super) type Key = (Peer, u16);

/// A received CON or NON message.
#[derive(Debug)]
struct Entry {
    token: Token,
    expires: SimTime,
    exchange: Option<ExchangeId>,
    /// The ACK or RST sent.
    reply: Option<Vec<u8>>,
}

/// Received messages until no duplicate of them can arrive.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: BTreeMap<Key, Entry>,
    by_expiry: BTreeSet<(SimTime, Key)>,
    of_peer: BTreeMap<Peer, BTreeSet<(SimTime, u16)>>,
    reply_bytes: usize,
}

impl History {
    /// What was replied to an earlier copy of a message; `None` if there was no earlier copy,
    /// `Some(None)` if it had no reply.
    pub(super) fn reply(&self, now: SimTime, key: Key, token: Token) -> Option<Option<&[u8]>> {
        let entry = self.entries.get(&key)?;
        (entry.token == token && now < entry.expires).then_some(entry.reply.as_deref())
    }

    /// Remembers a message until `expires`. Returns the exchange of another message under
    /// the same key, which it displaces.
    pub(super) fn insert(
        &mut self,
        key: Key,
        token: Token,
        expires: SimTime,
        exchange: Option<ExchangeId>,
    ) -> Option<ExchangeId> {
        let displaced = self.remove(key);
        self.by_expiry.insert((expires, key));
        let (peer, message_id) = key;
        (self.of_peer.entry(peer).or_default()).insert((expires, message_id));
        let entry = Entry {
            token,
            expires,
            exchange,
            reply: None,
        };
        self.entries.insert(key, entry);
        displaced
    }

    /// Remembers the reply to a message.
    pub(super) fn set_reply(&mut self, key: Key, token: Token, reply: Vec<u8>) {
        let Some(entry) = self.entries.get_mut(&key).filter(|e| e.token == token) else {
            return;
        };
        self.reply_bytes += reply.len();
        if let Some(former) = entry.reply.replace(reply) {
            self.reply_bytes -= former.len();
        }
    }

    /// Forgets one message that has expired or that the bounds have no room for, those of `peer`
    /// included, and returns its exchange, if it had one; `None` when there is no such message.
    pub(super) fn forget(&mut self, now: SimTime, peer: Peer) -> Option<Option<ExchangeId>> {
        let own = self.of_peer.get(&peer).filter(|m| m.len() > MAX_PER_PEER);
        if let Some(&(_, message_id)) = own.and_then(BTreeSet::first) {
            return Some(self.remove((peer, message_id)));
        }
        let &(expires, key) = self.by_expiry.first()?;
        let full = self.entries.len() > MAX_ENTRIES || self.reply_bytes > MAX_REPLY_BYTES;
        (expires <= now || full).then(|| self.remove(key))
    }

    fn remove(&mut self, key: Key) -> Option<ExchangeId> {
        let entry = self.entries.remove(&key)?;
        self.by_expiry.remove(&(entry.expires, key));
        let (peer, message_id) = key;
        if let Some(messages) = self.of_peer.get_mut(&peer) {
            messages.remove(&(entry.expires, message_id));
            if messages.is_empty() {
                self.of_peer.remove(&peer);
            }
        }
        self.reply_bytes -= entry.reply.map_or(0, |r| r.len());
        entry.exchange
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddrV6;
    use std::time::Duration;

    fn key(message_id: u16) -> Key {
        let address: SocketAddrV6 = "[fd00::1]:5683".parse().unwrap();
        (address.into(), message_id)
    }

    fn at(secs: u64) -> SimTime {
        SimTime::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn an_entry_is_known_until_it_expires_and_by_its_token_only() {
        let mut history = History::default();
        history.insert(key(1), Token::EMPTY, at(10), Some(ExchangeId(5)));
        assert_eq!(history.reply(at(9), key(1), Token::EMPTY), Some(None));
        assert_eq!(history.reply(at(10), key(1), Token::EMPTY), None);
        let other = Token::new(b"x").unwrap();
        assert_eq!(history.reply(at(0), key(1), other), None);
        assert_eq!(history.forget(at(9), key(0).0), None);
        assert_eq!(history.forget(at(10), key(0).0), Some(Some(ExchangeId(5))));
        assert_eq!(history.forget(at(10), key(0).0), None);
    }

    #[test]
    fn a_reused_message_id_displaces_the_former_exchange() {
        let mut history = History::default();
        history.insert(key(1), Token::EMPTY, at(10), Some(ExchangeId(5)));
        let other = Token::new(b"x").unwrap();
        assert_eq!(
            history.insert(key(1), other, at(20), None),
            Some(ExchangeId(5))
        );
        history.set_reply(key(1), Token::EMPTY, vec![1]);
        assert_eq!(history.reply(at(11), key(1), other), Some(None));
        assert_eq!(history.forget(at(11), key(0).0), None);
    }

    /// The `n`-th message of many peers.
    fn scattered(n: u16) -> Key {
        let address = SocketAddrV6::new(std::net::Ipv6Addr::LOCALHOST, n / 512, 0, 0);
        (address.into(), n)
    }

    #[test]
    fn a_peer_over_its_share_pushes_out_its_own_messages() {
        let mut history = History::default();
        history.insert(scattered(0), Token::EMPTY, at(1), None);
        for n in 0..=MAX_PER_PEER as u16 {
            history.insert(key(n), Token::EMPTY, at(1000 + u64::from(n)), None);
        }
        assert_eq!(history.forget(at(0), key(0).0), Some(None));
        assert_eq!(history.forget(at(0), key(0).0), None);
        assert_eq!(history.reply(at(0), key(0), Token::EMPTY), None);
        assert_eq!(history.reply(at(0), key(1), Token::EMPTY), Some(None));
        let other = history.reply(at(0), scattered(0), Token::EMPTY);
        assert_eq!(
            other,
            Some(None),
            "it would expire first, but is not theirs"
        );
    }

    #[test]
    fn a_full_history_forgets_what_would_expire_first() {
        let mut history = History::default();
        for n in 0..=MAX_ENTRIES as u16 {
            history.insert(scattered(n), Token::EMPTY, at(1000 + u64::from(n)), None);
        }
        assert_eq!(history.forget(at(0), key(0).0), Some(None));
        assert_eq!(history.forget(at(0), key(0).0), None);
        let reply = |n| history.reply(at(0), scattered(n), Token::EMPTY);
        assert_eq!((reply(0), reply(1)), (None, Some(None)));
    }

    #[test]
    fn large_replies_count_by_their_bytes() {
        let mut history = History::default();
        for n in 0..=64 {
            history.insert(key(n), Token::EMPTY, at(1000 + u64::from(n)), None);
            history.set_reply(key(n), Token::EMPTY, vec![0; 64 << 10]);
        }
        assert_eq!(history.forget(at(0), key(0).0), Some(None));
        assert_eq!(history.forget(at(0), key(0).0), None);
    }
}
