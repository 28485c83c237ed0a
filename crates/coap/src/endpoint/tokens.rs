//! The tokens of our requests (RFC 7252 §5.3.1): which one is free, and whose a response is.
//!
//! [`Params::token_length`] is the shortest that a token is. Tokens of 4 bytes and more are unique
//! among all requests under way. Shorter ones are among those to one peer, as §5.3.1 asks, and
//! where none is free there, the token is a byte longer: "an empty token value is appropriate e.g.,
//! when no other tokens are in use to a destination".
//!
//! A short token comes again soon, and a response that is late would be taken for another
//! request's. So what ended without a response, or wants none, leaves its peer such tokens unused
//! for TOKEN_REUSE_TIME (RFC 7967 §3.1); only requests that want no response at all use them "at
//! liberty". Where [`Endpoint::retarget`] brings requests to one address that have the same short
//! token, a separate response there is the older one's: who moves peers has tokens of 4 bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV6;
use std::time::Duration;

use rand_core::Rng as _;
use units::SimTime;

use super::outstanding::{Awaited, Sent};
use super::peer::Peer;
use super::{Endpoint, Reliability, RequestId};
use crate::message::Kind;
use crate::params;
use crate::wire::{Message, Token};

/// Bytes of a token of which there are so many that none comes again soon.
const LONG: usize = 4;

/// Bytes of the longest token.
const LONGEST: usize = 8;

/// Peers whose late responses are reckoned with; of one more, another one is forgotten.
const MAX_LATE: usize = 4096;

/// The tokens in use.
#[derive(Debug)]
pub(super) struct Tokens {
    /// The next one, where they are counted.
    next: u64,
    in_use: BTreeSet<(Token, RequestId)>,
    /// Peers from which a late response may come, with a token of so many bytes or fewer, and until
    /// when.
    late: BTreeMap<Peer, (SimTime, usize)>,
}

impl Tokens {
    /// None in use; they are counted from `start` on.
    pub(super) fn new(start: u32) -> Tokens {
        Tokens {
            next: start.into(),
            in_use: BTreeSet::new(),
            late: BTreeMap::new(),
        }
    }

    pub(super) fn insert(&mut self, token: Token, id: RequestId) {
        self.in_use.insert((token, id));
    }

    pub(super) fn remove(&mut self, token: Token, id: RequestId) {
        self.in_use.remove(&(token, id));
    }

    /// Goes on to the next token, after one was sent.
    pub(super) fn advance(&mut self) {
        self.next = self.next.wrapping_add(1);
    }

    /// Whose it is.
    fn of(&self, token: Token) -> impl Iterator<Item = RequestId> {
        let all = (token, RequestId(0))..=(token, RequestId(u64::MAX));
        self.in_use.range(all).map(|(_, id)| *id)
    }

    /// Whether anybody's is.
    pub(super) fn contains(&self, token: Token) -> bool {
        self.of(token).next().is_some()
    }

    /// A late response may come from `peer` with a token of `length` bytes until `until`.
    fn expect_late(&mut self, peer: Peer, length: usize, until: SimTime) {
        let known = self.late.get(&peer);
        let length = known.map_or(length, |(_, longest)| length.max(*longest));
        if known.is_none() && self.late.len() >= MAX_LATE {
            self.late.pop_first();
        }
        self.late.insert(peer, (until, length));
    }

    /// The longest short token with which a late response may come from `peer`; `lifetime` is how
    /// long they may from now on, where that is not known yet.
    fn latest(&mut self, now: SimTime, peer: Peer, lifetime: Duration) -> Option<usize> {
        let (until, length) = self.late.get_mut(&peer)?;
        if *until == SimTime::FAR_FUTURE {
            *until = now + lifetime;
        }
        if *until <= now {
            self.late.remove(&peer);
            return None;
        }
        Some(*length)
    }
}

/// The token of the low `length` bytes of `value`; of 8 at most.
fn token(value: u64, length: usize) -> Token {
    let bytes = value.to_be_bytes();
    Token::new(&bytes[LONGEST.saturating_sub(length)..]).unwrap_or_default()
}

impl Endpoint {
    /// A token for a request to `to` of which `awaited` is expected.
    pub(super) fn unused_token(
        &mut self,
        now: SimTime,
        to: SocketAddrV6,
        awaited: Awaited,
    ) -> Token {
        let mut shortest = self.params.token_bytes();
        let lifetime = self.params.token_reuse_time();
        if shortest < LONG
            && let Some(late) = self.tokens.latest(now, to.into(), lifetime)
            && awaited != Awaited::Nothing
        {
            shortest = shortest.max(late + 1);
        }
        (shortest..=LONGEST)
            .find_map(|length| self.free_token(to, length))
            .unwrap_or_default()
    }

    /// The next token of `length` bytes that is free; none of so few bytes may be. Of 8 bytes one is.
    fn free_token(&mut self, to: SocketAddrV6, length: usize) -> Option<Token> {
        let counted = self.params.tokens == params::Tokens::Counted;
        let start = match counted {
            true => self.tokens.next,
            false => self.rng.next_u64(),
        };
        let different = 1u64.checked_shl(8 * length as u32).unwrap_or(u64::MAX);
        let tries = different.min(self.tokens.in_use.len() as u64 + self.requests.len() as u64 + 1);
        let tried = (0..tries).map(|n| start.wrapping_add(n));
        let found = { tried }.find(|value| self.is_free(to, token(*value, length)))?;
        if counted {
            self.tokens.next = found;
        }
        Some(token(found, length))
    }

    fn is_free(&self, to: SocketAddrV6, token: Token) -> bool {
        if token.as_bytes().len() >= LONG {
            return !self.tokens.contains(token);
        }
        let to_peer = |id: &RequestId| self.requests.get(id).is_some_and(|r| r.was_to(to));
        // An observation that is to be confirmed or ended in its turn.
        let is_reserved = |id: &RequestId| self.requests.get(id).and_then(|r| r.token);
        let mut queued = (self.lines.get(&to.into()).into_iter()).flat_map(|line| &line.queue);
        !self.tokens.of(token).any(|id| to_peer(&id))
            && !queued.any(|id| is_reserved(id) == Some(token))
    }

    /// A request to `to` has ended without a response, which may still come. Without a time, it is
    /// that of the next request.
    pub(super) fn retire_token(
        &mut self,
        to: SocketAddrV6,
        sent: Option<Sent>,
        now: Option<SimTime>,
    ) {
        let length = sent.and_then(|sent| Some(sent.token?.as_bytes().len()));
        if let Some(length) = length.filter(|length| *length < LONG) {
            let lifetime = self.params.token_reuse_time();
            let until = now.map_or(SimTime::FAR_FUTURE, |now| now + lifetime);
            self.tokens.expect_late(to.into(), length, until);
        }
    }

    /// The request that a response answers (§5.3.2).
    pub(super) fn request_of(
        &self,
        from: SocketAddrV6,
        response: &Message,
    ) -> Option<(RequestId, Sent)> {
        let answered = |id: RequestId| {
            let request = self.requests.get(&id).filter(|r| r.was_to(from))?;
            let sent = request.sent()?;
            // "In a piggybacked response, the Message ID of the Confirmable request and the
            // Acknowledgement MUST match" (§5.3.2).
            let matches = response.kind != Kind::Acknowledgement
                || request.reliability == Reliability::Confirmable
                    && response.message_id == sent.message_id;
            matches.then_some((id, sent))
        };
        self.tokens.of(response.token).find_map(answered)
    }
}
