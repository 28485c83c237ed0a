//! The server's side of Observe (RFC 7641): who observes what, and their notifications.
//!
//! An observer is a peer and its token (§4.1), and the security context of its registration. What
//! it observes is what it asked for: a path by GET, or by FETCH what its payload selects (RFC 8132
//! §2.4), so that two observations of one path have different states. Notifications are NON, and
//! every [`Params::confirm_notifications`](crate::Params::confirm_notifications)th is CON, as is
//! the first after [`Endpoint::release_notifications`] and the first in 24 hours (§4.5). While a
//! CON is unacknowledged the observer gets nothing else (§4.5.1), then the latest state; states
//! between are not sent. So it is while it fetches the further blocks of one. A Reset, a CON without answer, Observe 1 and an error state end it.
//!
//! Numbers are consecutive per observer, so that a client can count what was lost. Bounded:
//! [`PER_HOST`] observations per address, each by a request of no more than [`MAX_REQUEST`] bytes; one
//! more, or longer, is answered like a plain request, as §4.1 lets a server do. There are
//! [`MAX_OBSERVERS`] in all; one more displaces one of the network that has most.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use machine::network;
use units::SimTime;

use super::bodies::{Asked, Key};
use super::peer::Peer;
use super::{Endpoint, ExchangeId, Timer};
use crate::block::Block;
use crate::message::{Code, Kind, Request, Response, option};
use crate::protection::{Association, ContextId};
use crate::wire::{Message, Token};

/// Observations of all ports of an address.
const PER_HOST: usize = 16;
/// Observations in all.
const MAX_OBSERVERS: usize = 1024;
/// Bytes of options and payload that are kept of a registration.
const MAX_REQUEST: usize = 1024;

/// "a server MUST send a notification in a confirmable message instead of a non-confirmable
/// message at least every 24 hours" (RFC 7641 §4.5).
const CONFIRM_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What a request says about observing (RFC 7641 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Register,
    Deregister,
}

/// An observation of a resource of ours.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// Names it: the exchange in which it was registered last.
    pub id: ExchangeId,
    /// Who observes.
    pub from: SocketAddrV6,
    /// The security context under which it was registered.
    pub context: Option<ContextId>,
    /// What it was registered with.
    pub request: &'a Request,
}

/// A peer that observes a resource.
#[derive(Debug)]
pub(super) struct Observer {
    to: SocketAddrV6,
    id: ExchangeId,
    request: Request,
    key: Key,
    /// What binds notifications to the registration.
    association: Option<Association>,
    path: String,
    /// The block that the registration asked for, whose size notifications keep to.
    block2: Option<Block>,
    sequence: u32,
    /// Non-confirmable notifications since the last confirmable one.
    unconfirmed: u32,
    /// When the peer last acknowledged one, or registered.
    confirmed: SimTime,
    /// The next one is confirmable.
    confirm_next: bool,
    /// Message ID of the last notification.
    last: Option<u16>,
    /// The state in it, if it is confirmable and not acknowledged.
    in_flight: Option<Response>,
    /// The state to send next.
    pending: Option<Response>,
    /// It has further blocks of the last one to fetch, and is waited for until then.
    fetches_until: Option<SimTime>,
}

/// Names an observer.
pub(super) type ObserverKey = (Peer, Token, Option<ContextId>);

impl Observer {
    pub(super) fn address(&self) -> &std::net::Ipv6Addr {
        self.to.ip()
    }
}

impl Wish {
    /// What a GET or FETCH says.
    pub(super) fn of(request: &Request) -> Option<Wish> {
        let value = request.options.get_uint(option::OBSERVE)?;
        match value {
            0 if request.method.is_safe() => Some(Wish::Register),
            1 if request.method.is_safe() => Some(Wish::Deregister),
            _ => None,
        }
    }
}

impl Endpoint {
    /// Answers a GET or FETCH like [`Endpoint::respond`], and if it has Observe 0 registers the
    /// peer for [`Endpoint::notify`] of its path and [`Endpoint::notify_one`] of `id`.
    pub fn respond_observed(&mut self, now: SimTime, id: ExchangeId, mut response: Response) {
        let registered = self.register(now, id, &response);
        let length = response.payload.len();
        if let Some((_, sequence)) = registered {
            let sequence = u64::from(sequence);
            response.options.push_uint(option::OBSERVE, sequence);
        }
        let answered = self.answer(now, id, response);
        if let Some((key, _)) = registered {
            match (answered, self.observers.get_mut(&key)) {
                (Ok(association), Some(observer)) => {
                    observer.association = association;
                    self.await_fetch(now, key, length);
                }
                _ => drop(self.observers.remove(&key)),
            }
        }
    }

    /// Registers whoever asked in an exchange that `response` is to answer, if that is what it
    /// wants and can have; the number of the first notification.
    fn register(
        &mut self,
        now: SimTime,
        id: ExchangeId,
        response: &Response,
    ) -> Option<(ObserverKey, u32)> {
        let exchange = self.exchanges.get_mut(&id)?;
        let request = exchange.observe.take()?;
        if !exchange.accepted(response.clone()).code.is_success() {
            return None;
        }
        let association = exchange.association;
        let context = association.map(|association| association.context);
        let key = (Peer::from(exchange.from), exchange.token, context);
        let (to, asked) = (exchange.from, exchange.asked.clone());
        let short = asked.key.len() + request.payload.len() <= MAX_REQUEST;
        // Whose notifications would be suppressed, every one a 2.05, has none.
        let wants_states = !exchange.no_response.suppresses(Code::CONTENT);
        let former = self.observers.remove(&key);
        if !short || !wants_states || !self.make_room_for(key.0) {
            return None;
        }
        let sequence = former.map_or(1, |former| former.sequence + 1) & 0x00ff_ffff;
        let observer = Observer {
            to,
            id,
            path: request.path(),
            request: *request,
            key: asked.key,
            association,
            block2: asked.block2,
            sequence,
            unconfirmed: 0,
            confirmed: now,
            confirm_next: false,
            last: None,
            in_flight: None,
            pending: None,
            fetches_until: None,
        };
        self.observers.insert(key, observer);
        Some((key, sequence))
    }

    /// Whether a peer may observe one thing more. Where all room is taken, whoever registered longest ago
    /// of the networks that have most of it leaves: whoever has all addresses of one displaces its own.
    fn make_room_for(&mut self, peer: Peer) -> bool {
        let host = peer.host();
        let of_host = self.observers.keys().filter(|(p, ..)| p.host() == host);
        if of_host.count() >= PER_HOST {
            return false;
        }
        if self.observers.len() >= MAX_OBSERVERS {
            let mut of: BTreeMap<Ipv6Addr, usize> = BTreeMap::new();
            for observer in self.observers.values() {
                *of.entry(network(*observer.address())).or_default() += 1;
            }
            let most = of.values().max().copied();
            let crowded = |o: &Observer| of.get(&network(*o.address())).copied() == most;
            let them = self.observers.iter().filter(|(_, o)| crowded(o));
            let oldest = them.min_by_key(|(_, o)| o.id).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                self.observers.remove(&oldest);
            }
        }
        true
    }

    /// Sends a new state of `path` to whoever observes it, or keeps it until it may be sent. An
    /// error code ends the observations (RFC 7641 §4.2).
    ///
    /// By FETCH one peer may observe another state of the path than the next: where that is so,
    /// [`Endpoint::observations`] says who observes what, and [`Endpoint::notify_one`] tells one.
    pub fn notify(&mut self, now: SimTime, path: &str, state: &Response) {
        self.notify_whose(now, |observer| observer.path == path, state);
    }

    /// Sends a new state to one observation, as [`Endpoint::notify`] does. Ignored if it has ended.
    pub fn notify_one(&mut self, now: SimTime, id: ExchangeId, state: &Response) {
        self.notify_whose(now, |observer| observer.id == id, state);
    }

    fn notify_whose(&mut self, now: SimTime, fits: impl Fn(&Observer) -> bool, state: &Response) {
        let observers = self.observers.iter_mut();
        let mut told = Vec::new();
        for (key, observer) in observers.filter(|(_, o)| fits(o)) {
            observer.pending = Some(state.clone());
            told.push(*key);
        }
        for key in told {
            self.send_pending(now, key);
        }
    }

    /// Who observes what, in the order of the addresses.
    pub fn observations(&self) -> impl Iterator<Item = Observation<'_>> {
        self.observers.values().map(|observer| Observation {
            id: observer.id,
            from: observer.to,
            context: observer.association.map(|association| association.context),
            request: &observer.request,
        })
    }

    /// Whether anybody observes `path`.
    pub fn is_observed(&self, path: &str) -> bool {
        self.observers.values().any(|o| o.path == path)
    }

    /// Whoever observes anything, in the order of the addresses.
    pub fn observers(&self) -> impl Iterator<Item = SocketAddrV6> {
        self.observers.values().map(|o| o.to)
    }

    /// Sends no notification until [`Endpoint::release_notifications`]; one that is not
    /// acknowledged is taken back.
    pub fn hold_notifications(&mut self) {
        self.notifying = false;
        let mut stopped = Vec::new();
        for observer in self.observers.values_mut() {
            if let Some(state) = observer.in_flight.take() {
                observer.pending.get_or_insert(state);
                stopped.extend(observer.last);
            }
        }
        for message_id in stopped {
            self.stop_retransmission(message_id);
        }
    }

    /// Sends every observer the latest state that was kept back for it, confirmable.
    pub fn release_notifications(&mut self, now: SimTime) {
        if std::mem::replace(&mut self.notifying, true) {
            return;
        }
        let keys: Vec<ObserverKey> = self.observers.keys().copied().collect();
        for key in keys {
            if let Some(observer) = self.observers.get_mut(&key) {
                observer.confirm_next = true;
            }
            self.send_pending(now, key);
        }
    }

    /// Sends what is pending for an observer, if it may be sent.
    fn send_pending(&mut self, now: SimTime, key: ObserverKey) {
        let message_id = self.message_id();
        let Some(observer) = self.observers.get_mut(&key) else {
            return;
        };
        let waits = observer.in_flight.is_some() || observer.fetches_until.is_some();
        if !self.notifying || waits {
            return;
        }
        let Some(state) = observer.pending.take() else {
            return;
        };
        let ends = !state.code.is_success();
        let confirmable = ends
            || observer.confirm_next
            || observer.unconfirmed + 1 >= self.params.confirm_notifications
            || observer.confirmed + CONFIRM_AFTER <= now;
        observer.sequence = (observer.sequence + 1) & 0x00ff_ffff;
        observer.last = Some(message_id);
        observer.confirm_next = false;
        let asked = Asked {
            key: observer.key.clone(),
            block1: None,
            block2: observer.block2,
        };
        let (to, mut association) = (observer.to, observer.association);
        let mut response = state.clone();
        if !ends {
            let sequence = u64::from(observer.sequence);
            response.options.push_uint(option::OBSERVE, sequence);
        }
        let kind = if confirmable {
            observer.unconfirmed = 0;
            observer.in_flight = Some(state);
            Kind::Confirmable
        } else {
            observer.unconfirmed += 1;
            Kind::NonConfirmable
        };
        let length = response.payload.len();
        let mut response = self.first_block(now, to, asked, response);
        let protected = self.protect_response(now, to, &mut association, &mut response);
        if ends || protected.is_err() {
            self.observers.remove(&key);
        } else if let Some(observer) = self.observers.get_mut(&key) {
            observer.association = association;
        }
        if protected.is_err() {
            return;
        }
        self.await_fetch(now, key, length);
        let bytes = Message::response(kind, message_id, key.1, response).encode();
        match kind {
            Kind::Confirmable => self.transmit_confirmable(now, to, message_id, bytes),
            _ => self.transmit(to, bytes),
        }
    }

    /// An observer has got the first block of a body of `length` bytes: it fetches the others, if
    /// there are any.
    fn await_fetch(&mut self, now: SimTime, key: ObserverKey, length: usize) {
        let largest = self.block_size(key.0);
        let Some(observer) = self.observers.get_mut(&key) else {
            return;
        };
        let asked = observer.block2;
        let size = asked.map_or(largest, |block| block.size.min(largest));
        let params = &self.params;
        let patience = params.ack_timeout.mul_f64(params.ack_random_factor);
        let until = (length > size.bytes()).then_some(now + patience);
        if let Some(former) = std::mem::replace(&mut observer.fetches_until, until) {
            self.timers.remove(&(former, Timer::Notify(key)));
        }
        if let Some(until) = until {
            self.timers.insert((until, Timer::Notify(key)));
        }
    }

    /// A peer was given a further block of what it asked for in `message`, with `more` to come: with
    /// the last one its observation goes on.
    pub(super) fn block_fetched(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        context: Option<ContextId>,
        message: &Message,
        more: bool,
    ) {
        if self.observers.values().all(|o| o.fetches_until.is_none()) {
            return;
        }
        let wanted = Key::new(from.into(), context, message.code, &message.options);
        let fetching = |o: &Observer| o.fetches_until.is_some() && o.key.is_like(&wanted);
        let fetching = self.observers.iter().filter(|(_, o)| fetching(o));
        let keys: Vec<ObserverKey> = fetching.map(|(key, _)| *key).collect();
        for key in keys {
            let length = if more { usize::MAX } else { 0 };
            self.await_fetch(now, key, length);
            self.send_pending(now, key);
        }
    }

    /// An observer has asked for no further block for long enough.
    pub(super) fn stop_awaiting_fetch(&mut self, now: SimTime, key: ObserverKey) {
        if let Some(observer) = self.observers.get_mut(&key) {
            observer.fetches_until = None;
            self.send_pending(now, key);
        }
    }

    /// Of whom `message_id` is the last notification.
    fn observer_of(&self, from: Option<SocketAddrV6>, message_id: u16) -> Option<ObserverKey> {
        let mut observers = self.observers.iter();
        let found = observers.find(|((peer, ..), observer)| {
            observer.last == Some(message_id) && from.is_none_or(|from| peer.matches(from.into()))
        });
        found.map(|(key, _)| *key)
    }

    /// An observer acknowledged a notification: the next one may go.
    pub(super) fn notification_acknowledged(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        message_id: u16,
    ) {
        if let Some(key) = self.observer_of(Some(from), message_id)
            && let Some(observer) = self.observers.get_mut(&key)
        {
            observer.in_flight = None;
            observer.confirmed = now;
            self.send_pending(now, key);
        }
    }

    /// The peer does not observe any more: it rejected a notification (RFC 7641 §3.6), or did
    /// not acknowledge it (§4.5).
    pub(super) fn notification_failed(&mut self, from: Option<SocketAddrV6>, message_id: u16) {
        if let Some(key) = self.observer_of(from, message_id) {
            self.observers.remove(&key);
        }
    }

    /// Acts on a request with Observe 1. A registration that has no first state yet is taken back, too: it is answered
    /// like a plain request.
    pub(super) fn deregister(
        &mut self,
        from: SocketAddrV6,
        token: Token,
        context: Option<ContextId>,
    ) {
        let key = (Peer::from(from), token, context);
        self.observers.remove(&key);
        for exchange in self.exchanges.values_mut() {
            let context = exchange.association.map(|association| association.context);
            if (Peer::from(exchange.from), exchange.token, context) == key {
                exchange.observe = None;
            }
        }
    }
}
