//! What stands between a CoAP message and the wire: the place for OSCORE (RFC 8613).
//!
//! An [`Endpoint`](crate::Endpoint) hands every request and response to its [`Protection`] when it
//! is complete: below block-wise transfer and Observe, above the bytes.
//!
//! ```text
//!      owner: requests, responses, notifications, whole bodies
//!   ------------------------------------------------------------
//!      blocks (RFC 7959), Observe (RFC 7641), Accept, 4.02
//!      Protection: code, options, payload  <->  code, options, payload
//!      type, Message ID, token; ACK, Reset, ping; copies, retransmissions
//!   ------------------------------------------------------------
//!      bytes
//! ```
//!
//! [`Plain`] is the identity: what is written is what is sent.
//!
//! # What a protection may count on
//!
//! * *The message layer is not its business.* Type, Message ID and token stay as they are (§4.2,
//!   figure 6), Empty messages are not shown to it, and a copy is recognized before it (RFC 7252
//!   §4.5): its replay window (§7.4) sees each message once, and a copy gets the bytes that the
//!   first one got.
//! * *One call, one message.* A message is protected when it is sent for the first time. Its
//!   retransmissions, also to another address ([`Endpoint::retarget`](crate::Endpoint::retarget))
//!   or from one ([`Endpoint::resend`](crate::Endpoint::resend)), repeat the bytes, and no Partial
//!   IV is used twice or without need (§7.2). A peer that was served the first copy from the
//!   endpoint's former address, and so knows it by another source, refuses the second as a replay:
//!   what it asks for is done once, and the request ends in that answer.
//! * *Every block is a message* (§4.1.3.4.1, Inner Block), and so is a registration that is sent
//!   again or ended (§4.1.3.5.1: "a new Partial IV MUST be used"). Outer blocks, which only proxies
//!   make, are not put together.
//! * *What binds a response to its request* (§7.1) is an [`Association`], made with the request at
//!   either end and kept beside it: at the client as long as the request or observation lives, at
//!   the server until it is answered, and with an observation for every notification. It is found
//!   as the request is: by token and peer, wherever the peer has moved since (§8). The protection
//!   has nothing to forget.
//! * *Errors above it are protected* like the owner's answers (§8.3): a critical option that nobody
//!   knows, a block that is missing. [`Refusal`]s are not.
//!
//! # What the endpoint keeps apart by context
//!
//! Blocks that are kept for a peer, and its observations, belong to the [`ContextId`] under which
//! they were asked for: whoever asks under another one, or under none, from the same address gets
//! no block of them and ends no observation (§4.1.3.5: "the server SHOULD NOT remove an active
//! observation just because it receives a request with the same Token"). The owner sees the context
//! of a request in [`Event::Request`](crate::Event::Request), and decides what it may have.
//!
//! # Who is at an address
//!
//! A request of ours goes to an address, and the protection says under which context: who is there
//! its owner tells it ([`Endpoint::protection`](crate::Endpoint::protection)), and
//! [`Endpoint::retarget`](crate::Endpoint::retarget) tells it who has moved. A request of a peer
//! names its context itself (`kid`), whatever its address: a handover changes nothing (§3.1).
//!
//! # OSCORE in these words
//!
//! | RFC 8613 | here |
//! | --- | --- |
//! | §8.1 protecting the request | [`Protection::protect_request`]; [`Association::request`] is its Partial IV |
//! | §8.2 verifying the request | [`Protection::verify_request`] |
//! | §8.2, 2: COSE not decoded; no context | [`Refusal::answered`] with 4.02; with 4.01 |
//! | §7.4 replay | [`Refusal::answered`] with 4.01 |
//! | §8.2, 6: decryption failed | [`Refusal::answered`] with 4.00 |
//! | another's P_Addr under a context: 4.03 | the owner's, by the context of the request |
//! | §8.3 protecting the response | [`Protection::protect_response`]: with the nonce of the request while [`Association::responses`] is 0, then with a Partial IV of its own (§8.3.1) |
//! | §8.4 verifying the response | [`Protection::verify_response`]: [`Association::responses`] is the Notification Number (§7.4.1) plus 1 |
//! | §4.1.3.5.2 Inner Observe is empty | `verify_response` gives the low 24 bits of the Partial IV as the Observe option |
//! | §7.2.1 no number left | [`Unprotectable`] |
//!
//! Echo (RFC 9175 §2) is a class E option of the message, so it belongs above: into the transfer of
//! a request, beside its blocks.

use std::any::Any;
use std::fmt;
use std::net::SocketAddrV6;

use thiserror::Error;
use units::SimTime;

use crate::message::{Request, Response};

/// Names a security context: a number that the protection gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(pub u32);

/// What binds responses to the request that they answer (RFC 8613 §7.1). The endpoint keeps it
/// beside the request; what the numbers mean is up to the protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Association {
    /// The context of the request, and so of its responses.
    pub context: ContextId,
    /// Which request under that context: its Partial IV.
    pub request: u64,
    /// How far its responses have come; 0 before the first.
    pub responses: u64,
}

/// A message of ours cannot be protected: no context is known for the peer, or its numbers have run
/// out (RFC 8613 §7.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the message cannot be protected")]
pub struct Unprotectable;

/// A peer's request is not what its protection claims, or has none and needs it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("request refused")]
pub struct Refusal(pub(crate) Option<Response>);

impl Refusal {
    /// Answered so, unprotected (RFC 8613 §8.3: OSCORE errors "are sent as simple CoAP responses,
    /// without OSCORE processing").
    pub fn answered(response: Response) -> Refusal {
        Refusal(Some(response))
    }

    /// A confirmable request is rejected with a Reset (RFC 7252 §4.2), another one ignored.
    pub fn silent() -> Refusal {
        Refusal(None)
    }
}

/// A response to a request of ours is not what its protection claims. It is dropped (RFC 8613 §8.4,
/// 8); an ACK that carried it, or a confirmable message, still counts as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the response cannot be verified")]
pub struct Unverified;

/// Protects messages: see the [module](self). Addresses are those of the other end. After an error
/// a message may hold anything.
pub trait Protection: Any + fmt::Debug + Send {
    /// Turns a request of ours into what is sent. Without an association it is sent as it is, and
    /// its response is taken as it comes.
    ///
    /// # Errors
    /// When it may not be sent: it ends in
    /// [`Failure::Unprotectable`](crate::Failure::Unprotectable).
    fn protect_request(
        &mut self,
        now: SimTime,
        to: SocketAddrV6,
        request: &mut Request,
    ) -> Result<Option<Association>, Unprotectable>;

    /// Turns a request of a peer into what the owner sees. Without an association its response
    /// goes out as it is.
    ///
    /// # Errors
    /// Why the owner does not see it.
    fn verify_request(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        request: &mut Request,
    ) -> Result<Option<Association>, Refusal>;

    /// Turns a response or notification of ours, to a request with an association, into what is
    /// sent.
    ///
    /// # Errors
    /// When it may not be sent. The request gets none, and an observation ends.
    fn protect_response(
        &mut self,
        now: SimTime,
        to: SocketAddrV6,
        association: &mut Association,
        response: &mut Response,
    ) -> Result<(), Unprotectable>;

    /// Turns a response or notification to a request of ours, with an association, into what it
    /// says. An error that a peer could not protect (RFC 8613 §8.2) comes as it is, and may stay
    /// so.
    ///
    /// # Errors
    /// When it is not to be believed.
    fn verify_response(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        association: &mut Association,
        response: &mut Response,
    ) -> Result<(), Unverified>;

    /// Whoever was at `from` is at `to` now ([`Endpoint::retarget`](crate::Endpoint::retarget)).
    fn moved(&mut self, from: SocketAddrV6, to: SocketAddrV6);
}

/// Protects nothing and refuses nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Protection for Plain {
    fn protect_request(
        &mut self,
        _: SimTime,
        _: SocketAddrV6,
        _: &mut Request,
    ) -> Result<Option<Association>, Unprotectable> {
        Ok(None)
    }

    fn verify_request(
        &mut self,
        _: SimTime,
        _: SocketAddrV6,
        _: &mut Request,
    ) -> Result<Option<Association>, Refusal> {
        Ok(None)
    }

    fn protect_response(
        &mut self,
        _: SimTime,
        _: SocketAddrV6,
        _: &mut Association,
        _: &mut Response,
    ) -> Result<(), Unprotectable> {
        Ok(())
    }

    fn verify_response(
        &mut self,
        _: SimTime,
        _: SocketAddrV6,
        _: &mut Association,
        _: &mut Response,
    ) -> Result<(), Unverified> {
        Ok(())
    }

    fn moved(&mut self, _: SocketAddrV6, _: SocketAddrV6) {}
}
