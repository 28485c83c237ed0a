//! Bodies on their way, block by block (RFC 7959), as the server sees them.
//!
//! A request body is put together here before the owner sees it, and a response body that
//! exceeds a block stays here while the peer fetches the rest, so that the owner answers one
//! request however many blocks it takes. Both are found by who asks and for what: address and
//! port, security context, method, and the options of the cache key (RFC 7252 §5.4.6) but Block1,
//! Block2 and Observe; the response to a FETCH also by the body of the request, which "is part of
//! the cache key" (RFC 8132 §2). A request for a further block that comes without that body, as it
//! does from clients that send it once, is for the response that was used last; where that is
//! another one's, the entity tag says so, if there is one.
//!
//! Bounded: [`PER_PEER`] bodies of each kind per peer and [`PER_HOST`] per address, [`MAX_BODIES`]
//! and [`MAX_BYTES`] in all, each for EXCHANGE_LIFETIME after its last block. A peer or host over its
//! bound loses its oldest body. Where all are taken no other peer's body goes: a request body is refused, a response
//! body not kept; its blocks come from the owner again, and the entity tag tells whether they
//! are of the same representation.

use std::collections::BTreeMap;
use std::time::Duration;

use units::SimTime;

use super::peer::Peer;
use crate::block::{Block, entity_tag};
use crate::message::{Code, Options, Response, option};
use crate::protection::ContextId;

/// Bodies of each kind kept per peer.
pub(super) const PER_PEER: usize = 4;
/// Bodies of each kind kept for all ports of an address.
pub(super) const PER_HOST: usize = 16 * PER_PEER;
/// Bodies of each kind kept in all.
pub(super) const MAX_BODIES: usize = 1024;
/// Bytes of bodies of each kind, and of the requests they are found by, kept in all.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// Whose body of what it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    peer: Peer,
    context: Option<ContextId>,
    request: Vec<u8>,
    /// Of the request's body, where that is part of the key and known.
    body: Option<[u8; 8]>,
}

impl Key {
    /// Of a request of `peer`, without its body.
    pub(super) fn new(
        peer: Peer,
        context: Option<ContextId>,
        method: Code,
        options: &Options,
    ) -> Key {
        let length: usize = options.iter().map(|(_, value)| 6 + value.len()).sum();
        let mut request = Vec::with_capacity(1 + length);
        request.push(method.0);
        for (number, value) in of_resource(options) {
            request.extend_from_slice(&number.to_be_bytes());
            request.extend_from_slice(&(value.len() as u32).to_be_bytes());
            request.extend_from_slice(value);
        }
        Key {
            peer,
            context,
            request,
            body: None,
        }
    }

    /// Of a request with the body `body`.
    pub(super) fn with_body(self, body: &[u8]) -> Key {
        let counts = self.request.first() == Some(&Code::FETCH.0);
        Key {
            body: counts.then(|| entity_tag(body)),
            ..self
        }
    }

    /// Whether both are of one request, whatever its body.
    pub(super) fn is_like(&self, other: &Key) -> bool {
        (self.peer, self.context, &self.request) == (other.peer, other.context, &other.request)
    }

    /// Bytes of the request that it holds.
    pub(super) fn len(&self) -> usize {
        self.request.len()
    }
}

/// The options that tell one body from another of the same method.
pub(super) fn of_resource(options: &Options) -> impl Iterator<Item = (u16, &[u8])> {
    options.iter().filter(|(number, _)| {
        // "NoCacheKey (...) bits 1-5 all 1" of the number's low byte (RFC 7252 §5.4.6).
        let no_cache_key = number & 0x1e == 0x1c;
        let of_transfer = [option::BLOCK1, option::BLOCK2, option::OBSERVE].contains(number);
        !no_cache_key && !of_transfer
    })
}

/// Bodies of one kind.
#[derive(Debug)]
pub(super) struct Bodies<T> {
    bodies: BTreeMap<Key, Kept<T>>,
    bytes: usize,
    /// How often one was kept or used.
    uses: u64,
}

#[derive(Debug)]
struct Kept<T> {
    expires: SimTime,
    /// What [`Bodies::uses`] was when it was used last.
    used: u64,
    body: T,
}

/// Something of a size in bytes.
pub(super) trait Sized {
    fn bytes(&self) -> usize;
}

/// A request body of which blocks are missing.
#[derive(Debug)]
pub(super) struct Upload(pub(super) Vec<u8>);

impl Sized for Upload {
    fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// A response that the peer fetches.
impl Sized for Response {
    fn bytes(&self) -> usize {
        self.payload.len()
    }
}

impl<T: Sized> Bodies<T> {
    pub(super) const fn new() -> Bodies<T> {
        Bodies {
            bodies: BTreeMap::new(),
            bytes: 0,
            uses: 0,
        }
    }

    /// Takes a body out.
    pub(super) fn take(&mut self, now: SimTime, key: &Key) -> Option<T> {
        let kept = self.bodies.remove(key)?;
        self.bytes -= size(key, &kept.body);
        (now < kept.expires).then_some(kept.body)
    }

    /// A body, which is in use: it stays for another `lifetime`. A key without the body of its
    /// request finds what was used last.
    pub(super) fn touch(&mut self, now: SimTime, key: &Key, lifetime: Duration) -> Option<&T> {
        let same = |(other, _): &(&Key, &mut Kept<T>)| other.is_like(key);
        let of_request = self.bodies.range_mut(key..).take_while(same);
        let fits = of_request.filter(|(other, kept)| {
            now < kept.expires && (key.body.is_none() || other.body == key.body)
        });
        let (_, kept) = fits.max_by_key(|(_, kept)| kept.used)?;
        self.uses += 1;
        kept.used = self.uses;
        kept.expires = now + lifetime;
        Some(&kept.body)
    }

    /// Keeps a body for `lifetime`; `false` if there is no room.
    pub(super) fn keep(&mut self, now: SimTime, key: Key, lifetime: Duration, body: T) -> bool {
        self.take(now, &key);
        self.make_room(key.peer);
        let size = size(&key, &body);
        if self.is_full(size) {
            self.forget_expired(now);
        }
        if self.is_full(size) {
            return false;
        }
        self.bytes += size;
        self.uses += 1;
        let kept = Kept {
            expires: now + lifetime,
            used: self.uses,
            body,
        };
        self.bodies.insert(key, kept);
        true
    }

    fn is_full(&self, more: usize) -> bool {
        self.bodies.len() >= MAX_BODIES || self.bytes + more > MAX_BYTES
    }

    /// Drops the oldest body of a peer, or else of a host, that has as many as it may.
    fn make_room(&mut self, peer: Peer) {
        self.make_room_among(peer, PER_PEER, |other| other == peer);
        self.make_room_among(peer.host(), PER_HOST, |other| other.host() == peer.host());
    }

    /// Drops the oldest body of those, from the first one's on, that are `theirs`, if they have as many
    /// as they may.
    fn make_room_among(&mut self, first: Peer, most: usize, theirs: impl Fn(Peer) -> bool) {
        let from = Key {
            peer: first,
            context: None,
            request: Vec::new(),
            body: None,
        };
        let bodies = || {
            let bodies = self.bodies.range(&from..);
            bodies.take_while(|(key, _)| theirs(key.peer))
        };
        if bodies().count() < most {
            return;
        }
        let oldest = bodies().min_by_key(|(_, kept)| kept.used);
        if let Some(key) = oldest.map(|(key, _)| key.clone())
            && let Some(kept) = self.bodies.remove(&key)
        {
            self.bytes -= size(&key, &kept.body);
        }
    }

    fn forget_expired(&mut self, now: SimTime) {
        let bytes = &mut self.bytes;
        self.bodies.retain(|key, kept| {
            let stays = now < kept.expires;
            if !stays {
                *bytes -= size(key, &kept.body);
            }
            stays
        });
    }
}

/// What a body costs. A request can be as long as its body.
fn size<T: Sized>(key: &Key, body: &T) -> usize {
    key.len() + body.bytes()
}

/// What a request says about blocks.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) key: Key,
    /// The last block of its body, to be repeated in the response.
    pub(super) block1: Option<Block>,
    /// The block of the response that it asks for.
    pub(super) block2: Option<Block>,
}

/// Block `asked` of a response, or the first one, in blocks of no more than `largest` bytes;
/// the response itself if it needs no blocks.
pub(super) fn cut(
    response: &Response,
    asked: Option<Block>,
    largest: crate::BlockSize,
) -> Response {
    let size = asked.map_or(largest, |asked| asked.size.min(largest));
    let offset = asked.map_or(0, Block::offset);
    let body = &response.payload;
    let raw = response.options.get(option::BLOCK2).is_some();
    if raw || !response.code.is_success() || offset == 0 && body.len() <= size.bytes() {
        return response.clone();
    }
    let Some(rest) = body.get(offset..).filter(|rest| !rest.is_empty()) else {
        let text = format!("no block at {offset}: the body has {} bytes", body.len());
        return Response::diagnostic(Code::BAD_REQUEST, &text);
    };
    let length = rest.len().min(size.bytes());
    let block = Block::at(offset, rest.len() > length, size);
    let mut part = Response {
        payload: rest[..length].to_vec(),
        ..response.clone()
    };
    part.options.push_uint(option::BLOCK2, block.value());
    if offset == 0 {
        part.options.push_uint(option::SIZE2, body.len() as u64);
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddrV6;

    const HOUR: Duration = Duration::from_secs(3600);

    fn key(peer: u16, path: &[u8]) -> Key {
        let address = SocketAddrV6::new([0xfd00, 0, 0, 0, 0, 0, 0, peer].into(), 1, 0, 0);
        let mut options = Options::new();
        options.push(option::URI_PATH, path);
        Key::new(address.into(), None, Code::PUT, &options)
    }

    #[test]
    fn block_options_observe_and_size_are_not_part_of_the_key_and_the_query_is() {
        let peer: SocketAddrV6 = "[fd00::1]:1".parse().unwrap();
        let key = |more: &[(u16, &[u8])]| {
            let mut options = Options::new();
            options.push(option::URI_PATH, *b"a");
            more.iter().for_each(|(n, v)| options.push(*n, *v));
            Key::new(peer.into(), None, Code::GET, &options)
        };
        let plain = key(&[]);
        assert_eq!(key(&[(6, b""), (23, b"\x16"), (60, b"\x01")]), plain);
        assert_ne!(key(&[(15, b"q")]), plain);
        assert_ne!(key(&[(17, b"")]), plain);
    }

    #[test]
    fn a_response_to_a_fetch_is_found_by_its_payload_or_without_one_the_last_is() {
        let options = Options::new();
        let of = |method| Key::new(key(1, b"").peer, None, method, &options);
        assert_eq!(of(Code::GET).with_body(b"a"), of(Code::GET));
        let [plain, a, b] = [
            of(Code::FETCH),
            of(Code::FETCH).with_body(b"a"),
            of(Code::FETCH).with_body(b"b"),
        ];
        let mut bodies = Bodies::new();
        let at = |n: u64| SimTime::from_nanos(n);
        bodies.keep(at(1), a.clone(), HOUR, Upload(vec![1]));
        bodies.keep(at(2), b.clone(), HOUR, Upload(vec![2]));
        let mut found = |n, key: &Key| bodies.touch(at(n), key, HOUR).map(|body| body.0[0]);
        assert_eq!(found(3, &plain), Some(2));
        assert_eq!(found(4, &a), Some(1));
        assert_eq!(found(5, &plain), Some(1));
        assert_eq!(found(6, &of(Code::FETCH).with_body(b"c")), None);
        assert_eq!(found(7, &of(Code::POST)), None);
        assert_eq!(found(8, &b), Some(2));
    }

    #[test]
    fn a_peer_over_its_bound_loses_its_oldest_body_and_no_other_peers() {
        let mut bodies = Bodies::new();
        let at = |n: u64| SimTime::from_nanos(n);
        assert!(bodies.keep(at(0), key(2, b"x"), HOUR, Upload(vec![1])));
        for n in 0..=PER_PEER as u64 {
            let key = key(1, &[n as u8]);
            assert!(bodies.keep(at(n), key, HOUR, Upload(vec![n as u8])));
        }
        assert!(bodies.take(at(9), &key(1, &[0])).is_none());
        assert_eq!(bodies.take(at(9), &key(1, &[1])).unwrap().0, [1]);
        assert_eq!(bodies.take(at(9), &key(2, b"x")).unwrap().0, [1]);
    }

    #[test]
    fn a_long_request_counts_as_its_body_does() {
        let mut bodies = Bodies::new();
        let now = SimTime::ZERO;
        let long = key(1, &vec![b'x'; MAX_BYTES]);
        assert!(!bodies.keep(now, long, HOUR, Upload(Vec::new())));
        let half = |peer| key(peer, &vec![b'x'; MAX_BYTES / 2]);
        assert!(bodies.keep(now, half(1), HOUR, Upload(Vec::new())));
        assert!(!bodies.keep(now, half(2), HOUR, Upload(Vec::new())));
        assert!(bodies.take(now, &half(1)).is_some());
        assert_eq!(bodies.bytes, 0);
    }

    #[test]
    fn full_is_full_until_something_expires() {
        let mut bodies = Bodies::new();
        let half = || Upload(vec![0; MAX_BYTES / 2 - key(1, b"").len()]);
        let now = SimTime::ZERO;
        assert!(bodies.keep(now, key(1, b""), HOUR, half()));
        assert!(bodies.keep(now, key(2, b""), HOUR * 2, half()));
        assert!(!bodies.keep(now, key(3, b""), HOUR, half()));
        assert!(bodies.keep(now + HOUR, key(3, b""), HOUR, half()));
        assert!(bodies.take(now + HOUR, &key(1, b"")).is_none());
        assert!(bodies.touch(now + HOUR, &key(2, b""), HOUR).is_some());
        assert!(
            bodies.take(now + HOUR * 2, &key(2, b"")).is_none(),
            "expired"
        );
    }
}
