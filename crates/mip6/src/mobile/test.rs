//! One of the two tests of return routability, as the mobile node runs it (RFC 6275 §11.6).

use std::net::Ipv6Addr;

use units::{Rng, SimTime};

use crate::backoff::{Backoff, INITIAL_BINDACK_TIMEOUT};
use crate::rr::{Cookie, KeygenToken, MAX_TOKEN_LIFETIME, NonceIndex};

/// A token that came back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) nonce: NonceIndex,
    pub(super) token: KeygenToken,
    /// The address that it proves.
    address: Ipv6Addr,
    /// When it was asked for, which is before it was made.
    asked: SimTime,
}

/// A Home Test or a Care-of Test.
#[derive(Clone, Debug, Default)]
pub(super) struct Test {
    pub(super) backoff: Backoff,
    /// What was asked last: with which cookie, for which address, when.
    asked: Option<(Cookie, Ipv6Addr, SimTime)>,
    token: Option<Token>,
}

impl Test {
    /// Asks for a token for `address`, unless there is one that may be used again: the mobile node "MAY
    /// use them beyond a single run of the return routability procedure until MAX_TOKEN_LIFETIME
    /// expires" (§5.2.7).
    pub(super) fn begin(&mut self, now: SimTime, address: Ipv6Addr, reuse: bool) {
        if !(reuse && self.token(now, address).is_some()) {
            self.token = None;
            self.asked = None;
            self.backoff.start(now, INITIAL_BINDACK_TIMEOUT);
        }
    }

    /// The token for `address`, if it may still be used.
    pub(super) fn token(&self, now: SimTime, address: Ipv6Addr) -> Option<Token> {
        let is_young = |asked: SimTime| now.saturating_since(asked) < MAX_TOKEN_LIFETIME;
        (self.token).filter(|token| token.address == address && is_young(token.asked))
    }

    /// The cookie of the message that is sent now: "retransmitted Home Test Init and Care-of Test Init
    /// messages MUST use new cookie values" (§11.8).
    pub(super) fn ask(&mut self, now: SimTime, address: Ipv6Addr, rng: &mut Rng) -> Cookie {
        self.backoff.sent(now);
        let cookie = Cookie::new(rng);
        self.asked = Some((cookie, address, now));
        cookie
    }

    /// Takes an answer, if it has the cookie of the last question, for the same address, and is the
    /// first one (§11.6.2).
    pub(super) fn answered(
        &mut self,
        address: Ipv6Addr,
        cookie: Cookie,
        nonce: NonceIndex,
        token: KeygenToken,
    ) -> bool {
        let Some((_, _, asked)) = self
            .asked
            .take_if(|asked| (asked.0, asked.1) == (cookie, address))
        else {
            return false;
        };
        self.backoff.stop();
        self.token = Some(Token {
            nonce,
            token,
            address,
            asked,
        });
        true
    }

    /// The token is worth nothing any more: its nonce is too old.
    pub(super) fn expire(&mut self) {
        self.token = None;
    }
}
