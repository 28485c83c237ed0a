//! The server's side: requests of peers and our responses (RFC 7252 §5.2).

use std::net::SocketAddrV6;

use units::SimTime;

use super::blocks::Taken;
use super::bodies::Asked;
use super::echo::Asker;
use super::observers::Wish;
use super::peer::Peer;
use super::{Endpoint, Event, ExchangeId, MAX_IN_FLIGHT, Timer};
use crate::block::Block;
use crate::message::{Code, Kind, Request, Response, option};
use crate::no_response::NoResponse;
use crate::protection::{Association, Refusal, Unprotectable};
use crate::wire::{Message, Token};

/// Bytes of an Empty message (RFC 7252 §4.1).
const EMPTY_BYTES: usize = 4;

/// A peer's request that is not answered yet.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) from: SocketAddrV6,
    message_id: u16,
    pub(super) token: Token,
    confirmable: bool,
    /// What binds its response to it; none: it came unprotected.
    pub(super) association: Option<Association>,
    /// Who sent it.
    pub(super) asker: Asker,
    /// What it says about blocks.
    pub(super) asked: Asked,
    /// Which responses it does not want.
    pub(super) no_response: NoResponse,
    /// The Content-Format that it accepts, if it says so.
    accept: Option<u64>,
    /// The request, if it asks for notifications.
    pub(super) observe: Option<Box<Request>>,
    /// When its empty ACK is due; `None` once sent, and for a non-confirmable request.
    acknowledge_at: Option<SimTime>,
}

impl Exchange {
    /// "If the preferred Content-Format cannot be returned, then a 4.06 "Not Acceptable" MUST be
    /// sent as a response, unless another error code takes precedence" (RFC 7252 §5.10.4).
    pub(super) fn accepted(&self, response: Response) -> Response {
        let given = response.options.get_uint(option::CONTENT_FORMAT);
        match self.accept {
            Some(accept) if response.code == Code::CONTENT && given != Some(accept) => {
                let has = given.map_or("none".to_owned(), |format| format.to_string());
                let text = format!("Content-Format {accept} is not to be had: this has {has}");
                Response::diagnostic(Code::NOT_ACCEPTABLE, &text)
            }
            _ => response,
        }
    }
}

/// Whether something is kept of a request, by us or by the owner: it changes something, is to be told of
/// changes, or is a part of a body that has more.
fn is_kept(request: &Message) -> bool {
    let observes = request.options.get_uint(option::OBSERVE) == Some(0);
    let block = Block::of(&request.options, option::BLOCK1);
    let is_part = block.is_ok_and(|block| block.is_some_and(|block| block.more));
    observes || is_part || !request.code.is_safe()
}

/// Whether a client does not want this response to its message (RFC 7967 §2.1). What a block with
/// more to follow is answered says how the transfer goes on: that is sent, as the server may.
fn is_suppressed(message: &Message, response: &Response) -> bool {
    let block = Block::of(&message.options, option::BLOCK1);
    let is_part = block.is_ok_and(|block| block.is_some_and(|block| block.more));
    !is_part && NoResponse::of(&message.options).suppresses(response.code)
}

impl Endpoint {
    /// Answers a peer's request, once; piggy-backed on the ACK of a confirmable request if
    /// [`Params::acknowledgement_delay`](crate::Params::acknowledgement_delay) has not
    /// passed, otherwise separately, as CON to a CON and NON to a NON. A response that the peer's
    /// No-Response option suppresses is not sent; a confirmable request gets an empty ACK.
    ///
    /// Ignored if the exchange is answered, or older than EXCHANGE_LIFETIME (NON_LIFETIME for
    /// a NON), when nobody waits for the response.
    pub fn respond(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        // What cannot be protected is not sent: nobody else can do anything about it.
        let _ = self.answer(now, exchange, response);
    }

    /// Sends the response to an exchange, if there is one, and returns what binds further ones to
    /// its request.
    pub(super) fn answer(
        &mut self,
        now: SimTime,
        exchange: ExchangeId,
        response: Response,
    ) -> Result<Option<Association>, Unprotectable> {
        let Some(mut exchange) = self.remove_exchange(exchange) else {
            return Ok(None);
        };
        let piggybacked = exchange.acknowledge_at.is_some();
        let response = exchange.accepted(response);
        if exchange.no_response.suppresses(response.code) {
            if piggybacked {
                self.acknowledge(exchange.from, exchange.message_id, exchange.token);
            }
            return Ok(exchange.association);
        }
        // To a source that is not proven nothing is repeated: it may not have asked.
        let repeatable = exchange.asker.proven && self.confirmables.len() < MAX_IN_FLIGHT;
        let confirmable = exchange.confirmable && repeatable;
        let (kind, message_id) = match (piggybacked, confirmable) {
            (true, _) => (Kind::Acknowledgement, exchange.message_id),
            (false, true) => (Kind::Confirmable, self.message_id()),
            (false, false) => (Kind::NonConfirmable, self.message_id()),
        };
        let (to, association) = (exchange.from, &mut exchange.association);
        let mut response = self.first_block(now, to, exchange.asked, response);
        if let Err(error) = self.protect_response(now, to, association, &mut response) {
            if piggybacked {
                self.acknowledge(to, message_id, exchange.token);
            }
            return Err(error);
        }
        let (token, asker) = (exchange.token, exchange.asker);
        let encode = |response| Message::response(kind, message_id, token, response).encode();
        let bytes = self.within_bounds(now, to, asker, response, encode);
        match kind {
            Kind::Confirmable => {
                self.transmit_confirmable(now, exchange.from, message_id, bytes);
            }
            Kind::Acknowledgement => {
                let key = (Peer::from(exchange.from), message_id);
                self.history.set_reply(key, exchange.token, &bytes);
                self.transmit(exchange.from, bytes);
            }
            _ => self.transmit(exchange.from, bytes),
        }
        Ok(exchange.association)
    }

    /// A request that is no duplicate.
    pub(super) fn handle_request(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        mut message: Message,
        bytes: usize,
    ) {
        let confirmable = message.kind == Kind::Confirmable;
        let association = match self.verify_request(now, from, &mut message) {
            Ok(association) => association,
            Err(refusal) => {
                // What an unverified message says of its response, anybody may have said.
                message.options.remove(option::NO_RESPONSE);
                return self.refuse(now, from, &message, bytes, refusal);
            }
        };
        let proven = self.take_proof(now, from, &mut message.options) || association.is_some();
        let asker = Asker::new(proven, bytes);
        let context = association.map(|association| association.context);
        let is_for_proxy = message.options.are_for_a_proxy();
        let is_owners = is_for_proxy && self.is_proxy;
        let unrecognized = (message.options).unrecognized_in_request(self.known_critical);
        if let Some(number) = unrecognized.filter(|_| !is_owners) {
            // "Unrecognized options of class 'critical' that occur in a Confirmable request
            // MUST cause the return of a 4.02 (Bad Option) response [...] SHOULD include a
            // diagnostic payload"; "in a Non-confirmable message MUST cause the message to be
            // rejected" (§5.4.1).
            if confirmable {
                let text = format!("unrecognized critical option {number}");
                let response = Response::diagnostic(Code::BAD_OPTION, &text);
                self.answer_at_once(now, from, asker, &message, association, response);
            }
            return;
        }
        if is_for_proxy && !is_owners {
            // "An endpoint receiving a request with a Proxy-Uri Option that is unable or unwilling to
            // act as a forward-proxy for the request MUST cause the return of a 5.05 (Proxying Not
            // Supported) response" (§5.10.2).
            let response = Response::new(Code::PROXYING_NOT_SUPPORTED);
            return self.answer_at_once(now, from, asker, &message, association, response);
        }
        if !proven && is_kept(&message) {
            let response = self.echo(now, from);
            return self.answer_statelessly(now, from, asker, &message, response);
        }
        let (asked, payload) = match self.take_blocks(now, from, context, &message) {
            Taken::Whole(asked, payload) => (asked, payload),
            Taken::Answered(response) => {
                let given = Block::of(&response.options, option::BLOCK2);
                self.answer_at_once(now, from, asker, &message, association, response);
                if let Ok(Some(given)) = given {
                    self.block_fetched(now, from, context, &message, given.more);
                }
                let message_id = message.message_id;
                self.events.push_back(Event::Block { from, message_id });
                return;
            }
        };
        let exchange = ExchangeId(self.next_exchange);
        self.next_exchange += 1;
        let acknowledge_at = confirmable.then(|| now + self.params.acknowledgement_delay());
        self.remember(now, from, &message, Some(exchange));
        if let Some(due) = acknowledge_at {
            self.timers.insert((due, Timer::Acknowledge(exchange)));
        }
        let mut request = Request {
            method: message.code,
            options: message.options,
            payload,
        };
        for number in [option::BLOCK1, option::BLOCK2, option::SIZE1, option::SIZE2] {
            request.options.remove(number);
        }
        let wish = Wish::of(&request);
        if wish == Some(Wish::Deregister) {
            self.deregister(from, message.token, context);
        }
        self.exchanges.insert(
            exchange,
            Exchange {
                from,
                message_id: message.message_id,
                token: message.token,
                confirmable,
                association,
                asker,
                asked,
                no_response: NoResponse::of(&request.options),
                accept: request.options.get_uint(option::ACCEPT),
                observe: (wish == Some(Wish::Register)).then(|| Box::new(request.clone())),
                acknowledge_at,
            },
        );
        self.events.push_back(Event::Request {
            exchange,
            from,
            message_id: message.message_id,
            confirmable,
            context,
            request,
        });
    }

    /// The owner has not answered in time: "the acknowledgement effectively is a promise that
    /// the request will be acted upon later" (§5.2.2).
    pub(super) fn acknowledge_exchange(&mut self, exchange: ExchangeId) {
        let Some(exchange) = self.exchanges.get_mut(&exchange) else {
            return;
        };
        exchange.acknowledge_at = None;
        exchange.asker.got += EMPTY_BYTES;
        let (from, message_id, token) = (exchange.from, exchange.message_id, exchange.token);
        self.acknowledge(from, message_id, token);
    }

    /// Sends the empty ACK of a request that is remembered.
    fn acknowledge(&mut self, from: SocketAddrV6, message_id: u16, token: Token) {
        let ack = self.transmit_empty(from, Kind::Acknowledgement, message_id);
        self.history
            .set_reply((Peer::from(from), message_id), token, &ack);
    }

    /// Remembers a received message for deduplication, and forgets what has expired. A connection has no duplicates
    /// (RFC 8323 §3).
    pub(super) fn remember(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        message: &Message,
        exchange: Option<ExchangeId>,
    ) {
        if self.is_connected {
            return;
        }
        let lifetime = match message.kind {
            Kind::Confirmable => self.params.exchange_lifetime(),
            _ => self.params.non_lifetime(),
        };
        let key = (Peer::from(from), message.message_id);
        let displaced =
            self.history
                .insert(key, message.kind, message.token, now + lifetime, exchange);
        if let Some(displaced) = displaced {
            self.remove_exchange(displaced);
        }
        while let Some(forgotten) = self.history.forget(now, key.0) {
            if let Some(exchange) = forgotten {
                self.remove_exchange(exchange);
            }
        }
    }

    /// A request that the protection refuses.
    fn refuse(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        message: &Message,
        bytes: usize,
        refusal: Refusal,
    ) {
        let asker = Asker::new(!self.params.verify_sources, bytes);
        match refusal.0 {
            Some(response) => self.answer_at_once(now, from, asker, message, None, response),
            None if message.kind == Kind::Confirmable => {
                self.remember(now, from, message, None);
                let reset = self.transmit_empty(from, Kind::Reset, message.message_id);
                let key = (Peer::from(from), message.message_id);
                self.history.set_reply(key, message.token, &reset);
            }
            None => {}
        }
    }

    /// Answers a request without the owner, and without remembering it: what changes nothing may be
    /// answered again.
    fn answer_statelessly(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        asker: Asker,
        message: &Message,
        response: Response,
    ) {
        if is_suppressed(message, &response) {
            if message.kind == Kind::Confirmable {
                self.transmit_empty(from, Kind::Acknowledgement, message.message_id);
            }
            return;
        }
        let (kind, id) = self.kind_of_answer(message);
        let encode = |response| Message::response(kind, id, message.token, response).encode();
        let bytes = self.within_bounds(now, from, asker, response, encode);
        self.transmit(from, bytes);
    }

    fn kind_of_answer(&mut self, request: &Message) -> (Kind, u16) {
        match request.kind {
            Kind::Confirmable => (Kind::Acknowledgement, request.message_id),
            _ => (Kind::NonConfirmable, self.message_id()),
        }
    }

    /// Answers a request without the owner.
    fn answer_at_once(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        asker: Asker,
        message: &Message,
        mut association: Option<Association>,
        mut response: Response,
    ) {
        self.remember(now, from, message, None);
        if is_suppressed(message, &response) {
            if message.kind == Kind::Confirmable {
                self.acknowledge(from, message.message_id, message.token);
            }
            return;
        }
        let (kind, id) = self.kind_of_answer(message);
        let protected = self.protect_response(now, from, &mut association, &mut response);
        if protected.is_err() {
            if kind == Kind::Acknowledgement {
                self.acknowledge(from, id, message.token);
            }
            return;
        }
        let encode = |response| Message::response(kind, id, message.token, response).encode();
        let bytes = self.within_bounds(now, from, asker, response, encode);
        if kind == Kind::Acknowledgement {
            self.history
                .set_reply((Peer::from(from), id), message.token, &bytes);
        }
        self.transmit(from, bytes);
    }

    fn remove_exchange(&mut self, id: ExchangeId) -> Option<Exchange> {
        let exchange = self.exchanges.remove(&id)?;
        if let Some(due) = exchange.acknowledge_at {
            self.timers.remove(&(due, Timer::Acknowledge(id)));
        }
        Some(exchange)
    }
}
