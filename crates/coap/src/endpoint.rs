//! [`Endpoint`]: client and server of RFC 7252 on one socket, without the socket.
//!
//! Commands are [`Endpoint::request`], [`Endpoint::respond`], [`Endpoint::ping`],
//! [`Endpoint::cancel`], [`Endpoint::retarget`], [`Endpoint::keep_back`],
//! [`Endpoint::release`], [`Endpoint::retry`], [`Endpoint::recall`] and [`Endpoint::resend`]; input and
//! output are those of [`Machine`]. Every [`RequestId`] ends in exactly one [`Event::Response`],
//! [`Event::Failed`], [`Event::Sent`] or [`Event::Pong`]; that of [`Endpoint::observe`] has any number of
//! [`Event::Notification`]s before. A server answers [`Endpoint::respond_observed`] and then
//! calls [`Endpoint::notify`] or [`Endpoint::notify_one`].
//!
//! What RFC 7252 leaves open, and what is chosen:
//!
//! * *Who is a peer.* Address and port; the scope only where it means something (link-local),
//!   and there 0 matches every scope. The flow label never counts.
//! * *What is a duplicate.* Same peer and Message ID (§4.5), and the same token: a repeated
//!   datagram has it too, and a peer that restarted or ran out of Message IDs is not answered
//!   with another request's response.
//! * *How much is remembered for deduplication.* Every CON for EXCHANGE_LIFETIME and every NON
//!   for NON_LIFETIME, up to 1,024 messages of one address and 16,384 messages and 4 MiB of replies
//!   per endpoint; over that, what would expire first is forgotten early, with its exchange if
//!   that is still open.
//! * *NSTART.* Requests and pings, per peer, until ACK or response; a non-confirmable request
//!   until its response or [`Params::response_timeout`], unless it does not want to hear of success.
//!   Responses are not limited: §4.7 binds clients.
//! * *No-Response at the client* (RFC 7967). A non-confirmable request that wants nothing (26) ends
//!   in [`Event::Sent`] as it is sent, a confirmable one with its empty ACK. One that wants errors
//!   only listens for [`Params::response_timeout`] and ends in [`Event::Sent`], too, if none came;
//!   silence is no failure where success is silent. How often such requests go out is the owner's:
//!   nothing slows them down, and §3.2 wants 3 s between them and some that are answered. Of a body
//!   in blocks the option means the last one; until then the server is asked how it goes on. An
//!   observation is asked for without it. Tokens are as §3.1 wants them: a short one is not used
//!   again for a request that wants an answer until no late one may come ([`Params::token_length`]).
//! * *No-Response at the server.* What a peer does not want is not sent, a 4.02, a 5.05, a 4.01 with
//!   Echo and the last block's 4.08 or 4.13 neither; a confirmable request gets an empty ACK, and so
//!   does its copy. Sent all the same is what the server may: 2.31, 4.08 and 4.13 to a block that
//!   has more to follow, since its client cannot go on without; a Reset; the answer to a request
//!   that the protection refuses, whose option may be anybody's (RFC 8613 §4.1.3.6). A registration
//!   that suppresses 2.xx would have all its notifications suppressed, so it is answered like a
//!   plain request, as RFC 7641 §4.1 lets a server do. The error that ends an observation is told.
//! * *When Message IDs run short.* No more than [`MAX_IN_FLIGHT`] requests are under way, and the
//!   others wait; with as many confirmable messages unacknowledged, a separate response goes out
//!   non-confirmable (§5.2.2), so that there is always a Message ID that no unfinished message uses.
//! * *A response from a former address.* After [`Endpoint::retarget`] an ACK or a response
//!   from an address to which the request was sent earlier still counts if Message ID or
//!   token fit: the node was served the request before it moved. A Reset from a former
//!   address does not: somebody else may own that address by now.
//! * *Bodies longer than a block* (RFC 7959) are cut and put together here: the owner gives and
//!   gets whole bodies, unless it writes a Block option itself. Request bodies are atomic: the
//!   owner sees none before its last block. Every response in blocks has an entity tag, if
//!   [`Params::block_etags`] says so; a client whose blocks have different ones begins again. A block
//!   counts for NSTART like any request, and is retransmitted and moved by [`Endpoint::retarget`]
//!   like any.
//! * *A body that changes while it crosses without an entity tag.* The server keeps the body that it
//!   began with, so it changes only where that is lost: for want of room, after EXCHANGE_LIFETIME, by
//!   another request of the peer for the same, or with the server. The client then begins again if
//!   the body ends at another length than Size2 announced, or before the block asked for. Blocks of
//!   two bodies of one length it cannot tell apart, nor those of two FETCHes whose server finds a
//!   body by the request's options alone: what must not be mixed has a tag.
//! * *Two transfers of one resource.* "The Block2 Option provides no way for a single endpoint to
//!   perform multiple concurrently proceeding block-wise response payload transfer [...] operations
//!   to the same resource" (RFC 7959 §2.4, of requests §2.5). So a request waits while another like it
//!   is under way in blocks, and requests for something else go before it. Of two that were sent
//!   before either was known to come in blocks, the second begins again after the first.
//! * *An observed body that changes while it crosses.* The server has one place for it, so that a
//!   newer state would end the transfer: an observer that fetches a body is told of the latest
//!   state after its last block, or when it has asked for none for ACK_TIMEOUT *
//!   ACK_RANDOM_FACTOR. A client whose server does not wait gives up the body of the older
//!   notification, goes on with the newer one and says so: [`Event::NotificationLost`].
//! * *Who asks for the first time* may have to show where it is ([`Params::verify_sources`]): the
//!   server's part is done before the owner sees a request, the client's without its owner.
//! * *Accept* (§5.10.4) is the endpoint's: a 2.05 in another Content-Format, or in none, goes out as
//!   4.06 instead. Other responses have nothing to accept, or another error takes precedence.
//! * *A response with an unknown critical option* is rejected as §5.4.1 demands, and ends its
//!   request with [`Failure::CriticalOption`], since the peer would only repeat it.

mod blocks;
mod bodies;
mod client;
mod connection;
mod critical;
mod echo;
mod history;
mod observation;
mod observers;
mod outstanding;
mod peer;
mod protected;
mod recall;
mod retarget;
mod retransmission;
mod server;
mod tokens;
mod transfer;
mod waits;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddrV6;

use rand_core::Rng as _;
use units::{Rng, SimTime};

use crate::block::BlockSize;
use crate::cocoa::Rto;
use crate::message::{Code, Kind, Request, Response};
use crate::params::Params;
use crate::protection::{ContextId, Plain, Protection};
use crate::wire::{self, Message};
use bodies::{Bodies, Upload};
use echo::Sources;
use history::History;
use machine::{Machine, Transmit};
pub use observers::Observation;
use observers::{Observer, ObserverKey};
use outstanding::{Line, Outstanding, Stage};
use peer::Peer;
use retransmission::Confirmable;
use server::Exchange;
use tokens::Tokens;
pub use waits::Waits;

/// Whether a request is sent until acknowledged (RFC 7252 §4.2) or once (§4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reliability {
    /// CON.
    Confirmable,
    /// NON.
    NonConfirmable,
}

/// Requests and pings under way at most, and unacknowledged confirmable messages: each a quarter of
/// all Message IDs.
pub const MAX_IN_FLIGHT: usize = 1 << 14;

/// Names a request or ping of ours; ascending in the order of the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a peer's request that wants [`Endpoint::respond`]; ascending in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(u64);

/// Why a request has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// MAX_RETRANSMIT retransmissions of a confirmable request or ping found no answer
    /// (RFC 7252 §4.2).
    Timeout,
    /// The peer rejected it with a Reset.
    Reset,
    /// [`Params::response_timeout`] passed after the empty ACK or the non-confirmable request.
    NoResponse,
    /// [`Params::queue_timeout`] passed before its turn came: it was never sent.
    NotSent,
    /// The response held this critical option, which is unknown here (RFC 7252 §5.4.1).
    CriticalOption(u16),
    /// A newer notification came before the last block of this one: what changes faster than it
    /// crosses is not had whole each time.
    Superseded,
    /// Max-Age of the last notification passed without another one (RFC 7641 §3.3.1).
    Silent,
    /// A block of the response is not the one that was asked for, or not of its own size
    /// (RFC 7959 §2.3, §2.4).
    BadBlock,
    /// The response has a body of more than [`Params::max_body`] bytes.
    BodyTooLarge,
    /// The representation changed again and again while its blocks were fetched.
    BodyChanges,
    /// A non-confirmable request of which nothing was heard before this endpoint left
    /// ([`Endpoint::recall`]).
    Left,
    /// The endpoint's protection has no context for the peer, or none that can be used any more
    /// ([`protection`](crate::protection)).
    Unprotectable,
    /// [`Endpoint::cancel`].
    Cancelled,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Timeout => f.write_str("no acknowledgement after the last retransmission"),
            Failure::Reset => f.write_str("rejected by the peer with a Reset"),
            Failure::NoResponse => f.write_str("no response within the response timeout"),
            Failure::NotSent => f.write_str("never sent: its turn did not come in time"),
            Failure::CriticalOption(number) => {
                write!(f, "response with unknown critical option {number}")
            }
            Failure::Silent => f.write_str("no notification within Max-Age"),
            Failure::BadBlock => f.write_str("a block that was not asked for"),
            Failure::BodyTooLarge => f.write_str("a body longer than is taken"),
            Failure::BodyChanges => f.write_str("changed whenever its blocks were fetched"),
            Failure::Left => f.write_str("no response before the client left its address"),
            Failure::Superseded => f.write_str("a newer notification came before its last block"),
            Failure::Unprotectable => f.write_str("no way to protect it"),
            Failure::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Failure {}

/// What an endpoint tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer's request, once however often its datagram arrives. Answer it with
    /// [`Endpoint::respond`].
    Request {
        /// Names it.
        exchange: ExchangeId,
        /// Who asks.
        from: SocketAddrV6,
        /// Message ID of the request.
        message_id: u16,
        /// CON, otherwise NON.
        confirmable: bool,
        /// The security context under which it was verified; none if it came unprotected.
        context: Option<ContextId>,
        /// The request.
        request: Request,
    },
    /// A peer fetched a block of a response, or sent one of a request body that has more, and
    /// was answered without the owner (RFC 7959).
    Block {
        /// Who asked.
        from: SocketAddrV6,
        /// Message ID of the request.
        message_id: u16,
    },
    /// The response to a request of ours.
    Response {
        /// Names our request.
        id: RequestId,
        /// Who answered; a former address of the peer is possible after
        /// [`Endpoint::retarget`].
        from: SocketAddrV6,
        /// Message ID of our request, which a separate response does not carry; of a response
        /// in blocks, of the request for the last one.
        message_id: u16,
        /// The response.
        response: Response,
    },
    /// A resource that we observe has a new state (RFC 7641). One that is older than the last
    /// one told is left out (§3.4).
    Notification {
        /// Names our request.
        id: RequestId,
        /// Who told.
        from: SocketAddrV6,
        /// Message ID of the notification; of the first, of the response.
        message_id: u16,
        /// The number in its Observe option.
        sequence: u32,
        /// The state.
        response: Response,
    },
    /// A notification came, and its further blocks did not: of that state the owner gets nothing. The
    /// observation goes on.
    NotificationLost {
        /// Names our request.
        id: RequestId,
        /// Message ID of the notification.
        message_id: u16,
        /// The number in its Observe option.
        sequence: u32,
        /// Why.
        reason: Failure,
    },
    /// A request or ping of ours ended without a response.
    Failed {
        /// Names our request.
        id: RequestId,
        /// Where it was sent last, or queued for.
        to: SocketAddrV6,
        /// Why.
        reason: Failure,
    },
    /// A request of ours went out, and no response that it wants is waited for any more (RFC 7967):
    /// whether it was received, or had its effect, is not known. A confirmable one was acknowledged.
    Sent {
        /// Names our request.
        id: RequestId,
        /// Where it was sent.
        to: SocketAddrV6,
        /// Its Message ID; of a request in blocks, of its last one.
        message_id: u16,
    },
    /// The peer answered a ping (RFC 7252 §1.2).
    Pong {
        /// Names our ping.
        id: RequestId,
    },
}

/// What an endpoint waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Send the queued requests of a peer that a cancelled request held up.
    Send(Peer),
    /// Send the empty ACK of an exchange that its owner has not answered yet (§5.2.2).
    Acknowledge(ExchangeId),
    /// Stop waiting for a request's turn.
    Unqueue(RequestId),
    /// Stop waiting until an observer has fetched the body of its last notification.
    Notify(ObserverKey),
    /// Retransmit the confirmable message of this Message ID or give it up (§4.2).
    Retransmit(u16),
    /// Stop waiting for the response to a request.
    GiveUp(RequestId),
}

/// A CoAP endpoint (RFC 7252 §1.2): see the [module](self).
#[derive(Debug)]
pub struct Endpoint {
    params: Params,
    known_critical: &'static [u16],
    /// What is for a proxy is its owner's.
    is_proxy: bool,
    /// Its peer is at the other end of a connection, which delivers everything once.
    is_connected: bool,
    protection: Box<dyn Protection>,
    rng: Rng,
    next_message_id: u16,
    next_request: u64,
    next_exchange: u64,
    /// Unanswered requests and pings, queued ones included.
    requests: BTreeMap<RequestId, Outstanding>,
    /// Those of `requests` that have been sent, by what their responses carry.
    tokens: Tokens,
    /// Those of `requests` that have been sent, by what their ACK or RST carries.
    by_message_id: BTreeMap<u16, RequestId>,
    /// Those of `requests` under way in blocks: no other like one of them is sent meanwhile.
    in_blocks: BTreeSet<RequestId>,
    /// The queue before every peer with requests queued or in flight.
    lines: BTreeMap<Peer, Line>,
    /// Confirmable messages of ours, requests and responses, still being retransmitted.
    confirmables: BTreeMap<u16, Confirmable>,
    /// Estimates of the retransmission timeout, with [`CongestionControl::Cocoa`](crate::params::CongestionControl::Cocoa).
    round_trips: BTreeMap<Peer, Rto>,
    /// Peers to which no request goes for now.
    kept_back: BTreeSet<Peer>,
    /// The largest blocks of hosts that have their own, by [`Peer::host`].
    block_sizes: BTreeMap<Peer, BlockSize>,
    /// Requests of peers that are not answered yet.
    exchanges: BTreeMap<ExchangeId, Exchange>,
    history: History,
    /// Who is known to be where it says.
    sources: Sources,
    /// Request bodies of which blocks are missing.
    uploads: Bodies<Upload>,
    /// Responses that peers fetch block by block.
    downloads: Bodies<Response>,
    /// Peers that observe a resource of ours.
    observers: BTreeMap<ObserverKey, Observer>,
    /// Whether they may be told now.
    notifying: bool,
    timers: BTreeSet<(SimTime, Timer)>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    waits: Waits,
}

impl Endpoint {
    /// An endpoint.
    ///
    /// `known_critical` are the critical options that the owner handles, in requests and in
    /// responses; Uri-Host, Uri-Port, Uri-Path, Uri-Query, Accept, Block1 and Block2 are known anyway. A
    /// confirmable request with another one is answered 4.02 without the owner seeing it, a
    /// non-confirmable one is ignored, a response is rejected (RFC 7252 §5.4.1).
    ///
    /// `rng` makes the random starts of Message IDs and tokens and the random retransmission
    /// timeouts.
    pub fn new(params: Params, known_critical: &'static [u16], mut rng: Rng) -> Endpoint {
        // Of a copy: what else the generator makes does not depend on it.
        let mut aside = rng.clone();
        let (hash_key, secret) = (aside.next_u64(), aside.next_u64());
        Endpoint {
            params,
            known_critical,
            is_proxy: false,
            is_connected: false,
            protection: Box::new(Plain),
            next_message_id: rng.next_u32() as u16,
            tokens: Tokens::new(rng.next_u32()),
            rng,
            next_request: 0,
            next_exchange: 0,
            requests: BTreeMap::new(),
            by_message_id: BTreeMap::new(),
            in_blocks: BTreeSet::new(),
            lines: BTreeMap::new(),
            confirmables: BTreeMap::new(),
            round_trips: BTreeMap::new(),
            kept_back: BTreeSet::new(),
            block_sizes: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            history: History::new(hash_key),
            sources: Sources::new(secret),
            uploads: Bodies::new(),
            downloads: Bodies::new(),
            observers: BTreeMap::new(),
            notifying: true,
            timers: BTreeSet::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            waits: Waits::default(),
        }
    }

    /// The same endpoint with a protection for what it sends and receives from now on.
    pub fn with_protection(self, protection: impl Protection) -> Endpoint {
        Endpoint {
            protection: Box::new(protection),
            ..self
        }
    }

    /// The protection, if it is a `P`: for whoever gives it its contexts.
    pub fn protection<P: Protection>(&mut self) -> Option<&mut P> {
        let protection: &mut dyn Any = &mut *self.protection;
        protection.downcast_mut()
    }

    /// Requests and pings of ours without an answer, queued ones and observations included.
    pub fn outstanding(&self) -> usize {
        self.requests.len()
    }

    /// Whether the peer has acknowledged a confirmable request whose response is still to come (§5.2.2):
    /// it lives, and works on it.
    pub fn is_acknowledged(&self, id: RequestId) -> bool {
        let request = self.requests.get(&id);
        request.is_some_and(|request| {
            request.reliability == Reliability::Confirmable
                && matches!(request.stage, Stage::Unanswered(..))
        })
    }

    /// The next Message ID that no unfinished message of ours uses (§4.4); [`MAX_IN_FLIGHT`] leaves
    /// some.
    fn message_id(&mut self) -> u16 {
        loop {
            let id = self.next_message_id;
            self.next_message_id = id.wrapping_add(1);
            if !self.by_message_id.contains_key(&id) && !self.confirmables.contains_key(&id) {
                return id;
            }
        }
    }

    fn transmit(&mut self, to: SocketAddrV6, payload: Vec<u8>) {
        self.transmits.push_back(Transmit { to, payload });
    }

    /// Sends the Empty message `kind` with the peer's Message ID, and returns its bytes.
    fn transmit_empty(&mut self, to: SocketAddrV6, kind: Kind, message_id: u16) -> Vec<u8> {
        let bytes = Message::empty(kind, message_id).encode();
        self.transmit(to, bytes.clone());
        bytes
    }

    fn handle_message(&mut self, now: SimTime, from: SocketAddrV6, message: Message, bytes: usize) {
        let Message {
            kind,
            code,
            message_id,
            ..
        } = message;
        match (kind, code) {
            // "Provoking a Reset message (e.g., by sending an Empty Confirmable message) is
            // also useful as an inexpensive check of the liveness of an endpoint" (§1.2).
            (Kind::Confirmable, Code::EMPTY) => {
                self.transmit_empty(from, Kind::Reset, message_id);
            }
            (Kind::Acknowledgement, Code::EMPTY) => self.handle_ack(now, from, message_id),
            (Kind::Reset, Code::EMPTY) => self.handle_reset(now, from, message_id),
            (Kind::Confirmable | Kind::NonConfirmable, _)
                if code.is_request() || code.is_response() =>
            {
                if self.replay(now, from, &message) {
                    return;
                }
                if code.is_request() {
                    self.handle_request(now, from, message, bytes);
                } else {
                    self.handle_response(now, from, message);
                }
            }
            (Kind::Acknowledgement, _) if code.is_response() => {
                self.handle_response(now, from, message);
            }
            // "reject the message if the recipient lacks context to process the message
            // properly, including situations where the message is Empty, uses a code with a
            // reserved class (1, 6, or 7), or has a message format error" (§4.2).
            (Kind::Confirmable, _) => {
                self.transmit_empty(from, Kind::Reset, message_id);
            }
            // "Rejecting a Non-confirmable message MAY involve sending a matching Reset
            // message, and apart from the Reset message the rejected message MUST be silently
            // ignored" (§4.3); "Rejecting an Acknowledgement or Reset message is effected by
            // silently ignoring it" (§4.2).
            (Kind::NonConfirmable | Kind::Acknowledgement | Kind::Reset, _) => {}
        }
    }

    /// Acts on a duplicate (§4.5); `false` if `message` is none.
    fn replay(&mut self, now: SimTime, from: SocketAddrV6, message: &Message) -> bool {
        let key = (Peer::from(from), message.message_id);
        let Some(reply) = self.history.reply(now, key, message.token) else {
            return false;
        };
        // "The recipient SHOULD acknowledge each duplicate copy of a Confirmable message
        // using the same Acknowledgement or Reset message but SHOULD process any request or
        // response in the message only once"; "SHOULD silently ignore any duplicated
        // Non-confirmable message" (§4.5). While an exchange has no reply yet, its ACK is
        // due within `acknowledgement_delay` anyway.
        if let Some(reply) = reply {
            let reply = reply.to_vec();
            self.transmit(from, reply);
        }
        true
    }

    fn handle_timer(&mut self, now: SimTime, timer: Timer) {
        match timer {
            Timer::Send(peer) => self.send_queued(now, peer),
            Timer::Acknowledge(exchange) => self.acknowledge_exchange(exchange),
            Timer::Retransmit(message_id) => self.retransmit(now, message_id),
            Timer::GiveUp(id) => self.give_up(now, id),
            Timer::Notify(observer) => self.stop_awaiting_fetch(now, observer),
            Timer::Unqueue(id) => self.fail(now, id, Failure::NotSent),
        }
    }
}

impl Machine for Endpoint {
    type From = SocketAddrV6;
    type To = SocketAddrV6;
    type Ignored = Infallible;
    type Event = Event;

    fn handle_datagram(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        payload: &[u8],
    ) -> Result<(), Infallible> {
        match Message::decode(payload) {
            Ok(message) => self.handle_message(now, from, message, payload.len()),
            // A confirmable message with a format error is rejected with a Reset (§4.2), any
            // other is ignored, and so is one of another version (§3).
            Err(_) => {
                if let Some((Kind::Confirmable, message_id)) = wire::header(payload) {
                    self.transmit_empty(from, Kind::Reset, message_id);
                }
            }
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: SimTime) {
        while let Some(&(due, timer)) = self.timers.first()
            && due <= now
        {
            self.timers.pop_first();
            self.handle_timer(now, timer);
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        self.timers.first().map(|(due, _)| *due)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn knows(&self, now: SimTime, from: &SocketAddrV6) -> bool {
        self.has_proved(now, *from)
    }
}
