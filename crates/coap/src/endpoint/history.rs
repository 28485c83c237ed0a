//! What has been received, for deduplication (RFC 7252 §4.5).
//!
//! Bounded by [`MAX_PER_HOST`] messages of one address, [`MAX_ENTRIES`] messages and [`MAX_REPLY_BYTES`] bytes of cached replies; over
//! that the entry that would expire first goes early, and a later duplicate of it would be
//! served as new. At the defaults (247 s) the bounds are reached by 66 confirmable messages
//! per second, or by 17 per second with replies of 1 KiB. Whoever sends more than the share of an
//! address pushes out its own messages, not those of others.
//!
//! Every message stands in two queues, of all messages and of its host's, each queue for one kind:
//! those of a kind are remembered for the same time and expire in the order of arrival. No operation
//! depends on how many there are.

mod keyed;
mod queue;

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use smallvec::SmallVec;
use units::SimTime;

use super::ExchangeId;
use super::peer::Peer;
use crate::message::Kind;
use crate::wire::Token;
use keyed::Keyed;
use queue::{Links, Queue};

/// Messages remembered at most.
pub(super) const MAX_ENTRIES: usize = 16_384;
/// Messages of all ports of one address remembered at most.
pub(super) const MAX_PER_HOST: usize = 1024;
/// Bytes of cached replies at most.
pub(super) const MAX_REPLY_BYTES: usize = 4 << 20;

/// Source and Message ID of a received message.
pub(super) type Key = (Peer, u16);

/// A received CON or NON message.
#[derive(Debug)]
struct Entry {
    key: Key,
    confirmable: bool,
    token: Token,
    expires: SimTime,
    exchange: Option<ExchangeId>,
    /// The ACK or RST sent; most are no longer than header, token and a short option.
    reply: Option<SmallVec<[u8; 16]>>,
}

/// Messages in the order in which they expire.
#[derive(Debug, Default)]
struct ByAge<const SORT: usize> {
    confirmable: Queue<SORT>,
    non_confirmable: Queue<SORT>,
}

/// Sort of the queues of all messages.
const ALL: usize = 0;
/// Sort of the queues of a host's messages.
const OWN: usize = 1;

impl<const SORT: usize> ByAge<SORT> {
    fn of(&mut self, entry: &Entry) -> &mut Queue<SORT> {
        match entry.confirmable {
            true => &mut self.confirmable,
            false => &mut self.non_confirmable,
        }
    }

    /// Place of what expires first, and when that is.
    fn first(&self, entries: &[Option<Entry>]) -> Option<(u32, SimTime)> {
        let first = |queue: &Queue<SORT>| {
            let place = queue.first()?;
            let entry = entries[place as usize].as_ref()?;
            Some((place, entry.expires))
        };
        let of_both = first(&self.confirmable).into_iter();
        let of_both = of_both.chain(first(&self.non_confirmable));
        of_both.min_by_key(|(_, expires)| *expires)
    }
}

/// What one host has in the history.
#[derive(Debug, Default)]
struct Share {
    messages: usize,
    by_age: ByAge<OWN>,
}

/// Received messages until no duplicate of them can arrive.
#[derive(Debug)]
pub(super) struct History {
    keyed: Keyed,
    /// Place of every message in `entries` and `links`, found by its key.
    places: HashTable<u32>,
    entries: Vec<Option<Entry>>,
    links: Vec<Links>,
    /// Places that are empty.
    free: Vec<u32>,
    by_age: ByAge<ALL>,
    /// By [`Peer::host`].
    shares: HashMap<Peer, Share, Keyed>,
    reply_bytes: usize,
}

impl History {
    /// An empty history. `key` is that of its hashes, and changes nothing that can be seen.
    pub(super) fn new(key: u64) -> History {
        History {
            keyed: Keyed(key),
            places: HashTable::new(),
            entries: Vec::new(),
            links: Vec::new(),
            free: Vec::new(),
            by_age: ByAge::default(),
            shares: HashMap::with_hasher(Keyed(key)),
            reply_bytes: 0,
        }
    }

    /// What was replied to an earlier copy of a message; `None` if there was no earlier copy,
    /// `Some(None)` if it had no reply.
    pub(super) fn reply(&self, now: SimTime, key: Key, token: Token) -> Option<Option<&[u8]>> {
        let entry = self.entries[self.place(key)? as usize].as_ref()?;
        (entry.token == token && now < entry.expires).then_some(entry.reply.as_deref())
    }

    fn place(&self, key: Key) -> Option<u32> {
        let is_it = |place: &u32| {
            let entry = self.entries[*place as usize].as_ref();
            entry.is_some_and(|entry| entry.key == key)
        };
        self.places.find(self.keyed.hash_one(key), is_it).copied()
    }

    /// Remembers a message until `expires`, which for every kind is the same time after its
    /// arrival. Returns the exchange of another message under the same key, which it displaces.
    pub(super) fn insert(
        &mut self,
        key: Key,
        kind: Kind,
        token: Token,
        expires: SimTime,
        exchange: Option<ExchangeId>,
    ) -> Option<ExchangeId> {
        let displaced = self.place(key).and_then(|former| self.remove(former));
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.links.push(Links::NOWHERE);
            (self.links.len() - 1) as u32
        });
        let entry = Entry {
            key,
            confirmable: kind == Kind::Confirmable,
            token,
            expires,
            exchange,
            reply: None,
        };
        self.by_age.of(&entry).push(&mut self.links, place);
        let share = self.shares.entry(key.0.host()).or_default();
        share.messages += 1;
        share.by_age.of(&entry).push(&mut self.links, place);
        self.entries[place as usize] = Some(entry);
        let hash_of = |place: &u32| {
            let entry = self.entries[*place as usize].as_ref();
            entry.map_or(0, |entry| self.keyed.hash_one(entry.key))
        };
        let hash = self.keyed.hash_one(key);
        self.places.insert_unique(hash, place, hash_of);
        displaced
    }

    /// Remembers the reply to a message.
    pub(super) fn set_reply(&mut self, key: Key, token: Token, reply: &[u8]) {
        let Some(place) = self.place(key) else {
            return;
        };
        let entry = self.entries[place as usize].as_mut();
        let Some(entry) = entry.filter(|entry| entry.token == token) else {
            return;
        };
        self.reply_bytes += reply.len();
        if let Some(former) = entry.reply.replace(SmallVec::from_slice(reply)) {
            self.reply_bytes -= former.len();
        }
    }

    /// Forgets one message that has expired or that the bounds have no room for, those of the host of `peer`
    /// included, and returns its exchange, if it had one; `None` when there is no such message.
    pub(super) fn forget(&mut self, now: SimTime, peer: Peer) -> Option<Option<ExchangeId>> {
        let share = self.shares.get(&peer.host());
        let own = share.filter(|share| share.messages > MAX_PER_HOST);
        if let Some((first, _)) = own.and_then(|share| share.by_age.first(&self.entries)) {
            return Some(self.remove(first));
        }
        let (first, expires) = self.by_age.first(&self.entries)?;
        let full = self.places.len() > MAX_ENTRIES || self.reply_bytes > MAX_REPLY_BYTES;
        (expires <= now || full).then(|| self.remove(first))
    }

    fn remove(&mut self, place: u32) -> Option<ExchangeId> {
        let entry = self.entries[place as usize].take()?;
        self.free.push(place);
        let hash = self.keyed.hash_one(entry.key);
        if let Ok(found) = self.places.find_entry(hash, |it| *it == place) {
            found.remove();
        }
        self.by_age.of(&entry).remove(&mut self.links, place);
        let host = entry.key.0.host();
        if let Some(share) = self.shares.get_mut(&host) {
            share.by_age.of(&entry).remove(&mut self.links, place);
            share.messages -= 1;
            if share.messages == 0 {
                self.shares.remove(&host);
            }
        }
        self.reply_bytes -= entry.reply.map_or(0, |r| r.len());
        entry.exchange
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::SocketAddrV6;
    use std::time::Duration;

    const CON: Kind = Kind::Confirmable;
    const NON: Kind = Kind::NonConfirmable;

    fn key(message_id: u16) -> Key {
        let address: SocketAddrV6 = "[fd00::1]:5683".parse().unwrap();
        (address.into(), message_id)
    }

    fn at(secs: u64) -> SimTime {
        SimTime::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn an_entry_is_known_until_it_expires_and_by_its_token_only() {
        let mut history = History::new(7);
        history.insert(key(1), CON, Token::EMPTY, at(10), Some(ExchangeId(5)));
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
        let mut history = History::new(7);
        history.insert(key(1), CON, Token::EMPTY, at(10), Some(ExchangeId(5)));
        let other = Token::new(b"x").unwrap();
        assert_eq!(
            history.insert(key(1), CON, other, at(20), None),
            Some(ExchangeId(5))
        );
        history.set_reply(key(1), Token::EMPTY, &[1]);
        assert_eq!(history.reply(at(11), key(1), other), Some(None));
        assert_eq!(history.forget(at(11), key(0).0), None);
    }

    /// The `n`-th message of many peers.
    fn scattered(n: u16) -> Key {
        let address = std::net::Ipv6Addr::from(u128::from(n / 512));
        let address = SocketAddrV6::new(address, 5683, 0, 0);
        (address.into(), n)
    }

    #[test]
    fn a_host_over_its_share_pushes_out_its_own_messages_whatever_its_ports() {
        let mut history = History::new(7);
        history.insert(scattered(0), CON, Token::EMPTY, at(1), None);
        let from_port = |n: u16| {
            let address = SocketAddrV6::new("fd00::1".parse().unwrap(), n, 0, 0);
            (Peer::from(address), n)
        };
        for n in 0..=MAX_PER_HOST as u16 {
            let expires = at(1000 + u64::from(n));
            history.insert(from_port(n), CON, Token::EMPTY, expires, None);
        }
        assert_eq!(history.forget(at(0), key(0).0), Some(None));
        assert_eq!(history.forget(at(0), key(0).0), None);
        assert_eq!(history.reply(at(0), from_port(0), Token::EMPTY), None);
        assert_eq!(history.reply(at(0), from_port(1), Token::EMPTY), Some(None));
        let other = history.reply(at(0), scattered(0), Token::EMPTY);
        assert_eq!(
            other,
            Some(None),
            "it would expire first, but is not theirs"
        );
    }

    #[test]
    fn a_full_history_forgets_what_would_expire_first() {
        let mut history = History::new(7);
        for n in 0..=MAX_ENTRIES as u16 {
            history.insert(
                scattered(n),
                CON,
                Token::EMPTY,
                at(1000 + u64::from(n)),
                None,
            );
        }
        assert_eq!(history.forget(at(0), key(0).0), Some(None));
        assert_eq!(history.forget(at(0), key(0).0), None);
        let reply = |n| history.reply(at(0), scattered(n), Token::EMPTY);
        assert_eq!((reply(0), reply(1)), (None, Some(None)));
    }

    #[test]
    fn large_replies_count_by_their_bytes() {
        let mut history = History::new(7);
        for n in 0..=64 {
            history.insert(key(n), CON, Token::EMPTY, at(1000 + u64::from(n)), None);
            history.set_reply(key(n), Token::EMPTY, &[0; 64 << 10]);
        }
        assert_eq!(history.forget(at(0), key(0).0), Some(None));
        assert_eq!(history.forget(at(0), key(0).0), None);
    }

    #[test]
    fn a_non_confirmable_message_expires_before_an_older_confirmable_one() {
        let mut history = History::new(7);
        history.insert(key(1), CON, Token::EMPTY, at(247), Some(ExchangeId(1)));
        history.insert(key(2), NON, Token::EMPTY, at(145), Some(ExchangeId(2)));
        let none = key(0).0;
        assert_eq!(history.forget(at(145), none), Some(Some(ExchangeId(2))));
        assert_eq!(history.forget(at(145), none), None);
        assert_eq!(history.forget(at(247), none), Some(Some(ExchangeId(1))));
    }

    /// What the script does: a message of one of three peers with one of four Message IDs and one of
    /// two tokens, CON or NON, after so many seconds.
    type Step = (u16, u16, bool, bool, u64);

    /// The history as a list that is searched.
    #[derive(Default)]
    struct Model(Vec<(Key, Token, SimTime, ExchangeId)>);

    impl Model {
        fn take(&mut self, which: impl Fn(&(Key, Token, SimTime, ExchangeId)) -> bool) -> Vec<u64> {
            let mut taken: Vec<u64> = self.0.extract_if(.., |m| which(m)).map(|m| m.3.0).collect();
            taken.sort_unstable();
            taken
        }
    }

    proptest! {
        #[test]
        fn it_knows_what_a_list_would_know(
            script in proptest::collection::vec(
                (0_u16..3, 0_u16..4, any::<bool>(), any::<bool>(), 0_u64..20), 0..200)
        ) {
            let (mut history, mut model) = (History::new(7), Model::default());
            let mut seconds = 0;
            for (n, step) in script.into_iter().enumerate() {
                let (peer, message_id, other, confirmable, later): Step = step;
                seconds += later;
                let (now, exchange) = (at(seconds), ExchangeId(n as u64));
                let key = (scattered(peer * 512).0, message_id);
                let token = Token::new(if other { b"x" } else { b"" }).unwrap();
                let known = model.0.iter().any(|m| (m.0, m.1) == (key, token) && now < m.2);
                prop_assert_eq!(history.reply(now, key, token), known.then_some(None));
                if known {
                    continue;
                }
                let (kind, lifetime) = if confirmable { (CON, 247) } else { (NON, 145) };
                let expires = at(seconds + lifetime);
                let displaced = history.insert(key, kind, token, expires, Some(exchange));
                prop_assert_eq!(Vec::from_iter(displaced.map(|e| e.0)), model.take(|m| m.0 == key));
                model.0.push((key, token, expires, exchange));
                let forgotten = std::iter::from_fn(|| history.forget(now, key.0));
                let mut forgotten: Vec<u64> = forgotten.flatten().map(|e| e.0).collect();
                forgotten.sort_unstable();
                prop_assert_eq!(forgotten, model.take(|m| m.2 <= now));
                prop_assert_eq!(history.places.len(), model.0.len());
                prop_assert!(history.entries.len() <= model.0.len() + history.free.len());
            }
        }
    }
}
