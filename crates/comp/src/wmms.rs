//! The WMMS of CoMP, LMMS in CoMM: the server that knows where every node is.
//!
//! Serves registration, discovery, hold, binding update and deregistration on
//! [`PATH`](crate::codec::PATH), keeps the [`Mmt`], and passes holds and
//! bindings on to the correspondents, which are those who discovered the node.
//!
//! What the papers leave open:
//!
//! * A hold is answered when every correspondent has acknowledged it or
//!   [`Config::hold_timeout`] has passed. Correspondents still silent then are told on; one
//!   that fails or refuses is forgotten until it discovers again.
//! * A binding update, a registration or a deregistration takes the place of everything
//!   about that node that is still on its way to the correspondents, so that an old hold
//!   cannot follow a new binding.
//! * In [`BindingMode::Direct`] the node tells its correspondents itself, and the WMMS passes
//!   the binding on only to those that the node cannot know: who never acknowledged the hold,
//!   who acknowledged it with Sequence number 0 (the node has answered nothing of theirs),
//!   who discovered during the hold, and who was still being told of the binding before.
//!   Otherwise they would stay on hold.
//! * A registration of a node whose T_Addr or H_Flag it changes is passed on to the
//!   correspondents in either mode: the node has restarted and knows none.
//! * A deregistration, like Lifetime 0, is passed on as a binding update of Lifetime 0. A
//!   lifetime that ends is not: the correspondents' entries end with it.
//! * *Reordering.* CoMP has no means to tell an old binding update from a new one: the
//!   Sequence number says what the node answered, not when it spoke. Copies of a request are
//!   recognised for EXCHANGE_LIFETIME (RFC 7252 §4.5), and a [`Node`](crate::node::Node)
//!   stops sending what it has overtaken; what is left is a first copy that the network
//!   delays past the node's next handover.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::{Code, Endpoint, ExchangeId, Machine, Request, RequestId, Response, Transmit};
use units::{Rng, SimTime};

use crate::binding::{BindingMode, Expired, Removal};
use crate::codec::{self, Command, Lifetime, Location};
use crate::deadlines::Deadlines;
use crate::mmt::{self, Mmt};
use crate::resource;

/// What a [`Wmms`] is told once.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How long a hold waits for the correspondents before it is answered anyway.
    pub hold_timeout: Duration,
    /// Who tells the correspondents of a binding.
    pub binding: BindingMode,
    /// CoAP transmission parameters.
    pub coap: coap::Params,
}

/// What the owner is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node or client registered, for the first time or again.
    Registered {
        /// Permanent address.
        p_addr: Ipv6Addr,
        /// Temporary address.
        t_addr: Ipv6Addr,
    },
    /// T_Addr or H_Flag of an entry changed.
    BindingChanged {
        /// Permanent address.
        p_addr: Ipv6Addr,
        /// Temporary address.
        t_addr: Ipv6Addr,
        /// H_Flag.
        held: bool,
    },
    /// An entry left the table.
    BindingRemoved {
        /// Permanent address.
        p_addr: Ipv6Addr,
        /// Why.
        reason: Removal,
    },
}

/// What is being passed on to one correspondent.
#[derive(Clone, Copy, Debug)]
struct Forward {
    p_addr: Ipv6Addr,
    correspondent: SocketAddrV6,
    is_hold: bool,
}

/// A hold that is not answered yet.
#[derive(Debug, Default)]
struct PendingHold {
    /// The node's request, and repeated ones.
    exchanges: Vec<ExchangeId>,
    /// What has to be acknowledged first.
    awaiting: BTreeSet<RequestId>,
}

/// The mobility server; a [`Machine`].
#[derive(Debug)]
pub struct Wmms {
    config: Config,
    endpoint: Endpoint,
    mmt: Mmt,
    forwards: BTreeMap<RequestId, Forward>,
    /// Keys of `forwards` by node.
    forwards_of: BTreeMap<Ipv6Addr, BTreeSet<RequestId>>,
    holds: BTreeMap<Ipv6Addr, PendingHold>,
    hold_deadlines: Deadlines<Ipv6Addr>,
    /// Correspondents on hold that a node cannot tell itself.
    unserved: BTreeMap<Ipv6Addr, BTreeSet<SocketAddrV6>>,
    events: VecDeque<Event>,
}

impl Wmms {
    /// A server with an empty table. `rng` makes Message IDs, tokens and timeouts.
    pub fn new(config: Config, rng: Rng) -> Wmms {
        Wmms {
            endpoint: Endpoint::new(config.coap.clone(), codec::KNOWN_CRITICAL, rng),
            config,
            mmt: Mmt::new(),
            forwards: BTreeMap::new(),
            forwards_of: BTreeMap::new(),
            holds: BTreeMap::new(),
            hold_deadlines: Deadlines::new(),
            unserved: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// The table, also to save it: "a WMMS that restarts comes back with its table".
    pub fn mmt(&self) -> &Mmt {
        &self.mmt
    }

    /// Puts the table back after a restart. Entries whose lifetime has ended meanwhile leave
    /// at the next [`Machine::handle_timeout`].
    pub fn restore(&mut self, entries: impl IntoIterator<Item = (Ipv6Addr, mmt::Entry)>) {
        for (p_addr, entry) in entries {
            if entry.held {
                self.unserved
                    .insert(p_addr, entry.extra.correspondents.clone());
            }
            self.mmt.restore(p_addr, entry);
        }
    }

    fn handle_events(&mut self, now: SimTime) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                coap::Event::Request {
                    exchange,
                    from,
                    request,
                    ..
                } => self.handle_request(now, exchange, from, &request),
                coap::Event::Response { id, response, .. } => {
                    self.forward_ended(now, id, Some(&response));
                }
                coap::Event::Failed { id, .. } => self.forward_ended(now, id, None),
                coap::Event::Pong { .. }
                | coap::Event::Notification { .. }
                | coap::Event::Block { .. } => {}
            }
        }
    }

    fn handle_request(
        &mut self,
        now: SimTime,
        exchange: ExchangeId,
        from: SocketAddrV6,
        request: &Request,
    ) {
        let response = match resource::command(request) {
            Err(refusal) => refusal,
            Ok(Command::Hold { p_addr, sleep }) => {
                return self.hold(now, exchange, p_addr, sleep);
            }
            Ok(Command::Discovery { p_addr }) => self.discover(now, from, p_addr),
            Ok(Command::Registration {
                p_addr,
                t_addr,
                lifetime,
            }) => self.register(now, p_addr, t_addr, lifetime),
            Ok(Command::BindingUpdate {
                p_addr,
                t_addr,
                lifetime,
            }) => self.bind(now, p_addr, t_addr, lifetime),
            Ok(Command::Deregistration { p_addr }) => {
                self.deregister(now, p_addr, Removal::Deregistered, Code::DELETED)
            }
        };
        self.endpoint.respond(now, exchange, response);
    }

    fn discover(&mut self, now: SimTime, from: SocketAddrV6, p_addr: Ipv6Addr) -> Response {
        let Some(entry) = self.mmt.get(p_addr) else {
            return resource::unknown_node(p_addr);
        };
        let location = Location {
            p_addr,
            t_addr: entry.t_addr,
            lifetime: Lifetime::covering(entry.lifetime_ends.saturating_since(now)),
            held: entry.held,
            sleep: entry.sleep_ends.map(|end| end.saturating_since(now)),
        };
        if !self.mmt.add_correspondent(p_addr, from) {
            let text = format!("{p_addr} has as many correspondents as can be told");
            return Response::diagnostic(Code::SERVICE_UNAVAILABLE, &text);
        }
        if location.held {
            self.unserved.entry(p_addr).or_default().insert(from);
        }
        location.response()
    }

    fn register(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
        t_addr: Ipv6Addr,
        lifetime: Lifetime,
    ) -> Response {
        if lifetime == Lifetime::ZERO {
            // RFC 7252 §5.8.2: a POST that "resulted in the deletion of the target resource"
            // is answered 2.02.
            return self.deregister(now, p_addr, Removal::LifetimeZero, Code::DELETED);
        }
        let restarted =
            (self.mmt.get(p_addr)).is_some_and(|entry| entry.held || entry.t_addr != t_addr);
        let unserved = self.update(now, p_addr, t_addr, lifetime);
        let told = match restarted {
            true => self.correspondents(p_addr),
            false => unserved,
        };
        self.forward_binding(now, p_addr, t_addr, lifetime, told);
        self.events.push_back(Event::Registered { p_addr, t_addr });
        Response::new(Code::CREATED)
    }

    fn bind(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
        t_addr: Ipv6Addr,
        lifetime: Lifetime,
    ) -> Response {
        let Some(entry) = self.mmt.get(p_addr) else {
            return resource::unknown_node(p_addr);
        };
        if lifetime == Lifetime::ZERO {
            return self.deregister(now, p_addr, Removal::LifetimeZero, Code::CHANGED);
        }
        let changed = entry.held || entry.t_addr != t_addr;
        let unserved = self.update(now, p_addr, t_addr, lifetime);
        let told = match self.config.binding {
            BindingMode::Relayed => self.correspondents(p_addr),
            BindingMode::Direct => unserved,
        };
        self.forward_binding(now, p_addr, t_addr, lifetime, told);
        if changed {
            self.changed(p_addr);
        }
        Response::new(Code::CHANGED)
    }

    /// Writes a binding into the table, in place of whatever was going on; returns the
    /// correspondents that the node cannot tell.
    fn update(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
        t_addr: Ipv6Addr,
        lifetime: Lifetime,
    ) -> BTreeSet<SocketAddrV6> {
        let known = self.correspondents(p_addr);
        let mut unserved = self.forget_forwards(p_addr);
        unserved.retain(|correspondent| known.contains(correspondent));
        self.mmt.bind(now, p_addr, t_addr, lifetime);
        unserved
    }

    fn deregister(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
        reason: Removal,
        done: Code,
    ) -> Response {
        let Some(entry) = self.mmt.remove(p_addr) else {
            return resource::unknown_node(p_addr);
        };
        self.refuse_hold(now, p_addr);
        self.forget_forwards(p_addr);
        let told = entry.extra.correspondents;
        self.forward_binding(now, p_addr, entry.t_addr, Lifetime::ZERO, told);
        self.events
            .push_back(Event::BindingRemoved { p_addr, reason });
        Response::new(done)
    }

    fn hold(
        &mut self,
        now: SimTime,
        exchange: ExchangeId,
        p_addr: Ipv6Addr,
        sleep: Option<Duration>,
    ) {
        let was_held = self.mmt.get(p_addr).is_some_and(|entry| entry.held);
        if !self.mmt.hold(now, p_addr, sleep) {
            let response = resource::unknown_node(p_addr);
            self.endpoint.respond(now, exchange, response);
            return;
        }
        if !was_held {
            self.changed(p_addr);
        }
        let mut pending = self.holds.remove(&p_addr).unwrap_or_default();
        let exchanges = std::mem::take(&mut pending.exchanges);
        self.forget_forwards(p_addr);
        let told = self.correspondents(p_addr);
        self.unserved.insert(p_addr, told.clone());
        let command = Command::Hold { p_addr, sleep };
        let awaiting = self.forward(now, p_addr, &command, told);
        let exchanges = exchanges.into_iter().chain([exchange]).collect();
        self.holds.insert(
            p_addr,
            PendingHold {
                exchanges,
                awaiting,
            },
        );
        self.hold_deadlines
            .set(p_addr, now + self.config.hold_timeout);
        self.answer_hold_if_told(now, p_addr);
    }

    fn answer_hold_if_told(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        if (self.holds.get(&p_addr)).is_some_and(|hold| hold.awaiting.is_empty()) {
            self.answer_hold(now, p_addr);
        }
    }

    fn answer_hold(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        self.hold_deadlines.clear(p_addr);
        let sequence_number = self.mmt.get(p_addr).map_or(0, |e| e.extra.sequence_number);
        for exchange in self.holds.remove(&p_addr).unwrap_or_default().exchanges {
            let response = codec::hold_response(sequence_number);
            self.endpoint.respond(now, exchange, response);
        }
    }

    /// The entry ended before the hold was answered.
    fn refuse_hold(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        for exchange in self.holds.remove(&p_addr).unwrap_or_default().exchanges {
            let response = resource::unknown_node(p_addr);
            self.endpoint.respond(now, exchange, response);
        }
    }

    fn correspondents(&self, p_addr: Ipv6Addr) -> BTreeSet<SocketAddrV6> {
        (self.mmt.get(p_addr))
            .map_or_else(BTreeSet::new, |entry| entry.extra.correspondents.clone())
    }

    fn changed(&mut self, p_addr: Ipv6Addr) {
        if let Some(entry) = self.mmt.get(p_addr) {
            self.events.push_back(Event::BindingChanged {
                p_addr,
                t_addr: entry.t_addr,
                held: entry.held,
            });
        }
    }

    fn forward_binding(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
        t_addr: Ipv6Addr,
        lifetime: Lifetime,
        told: BTreeSet<SocketAddrV6>,
    ) {
        let command = Command::BindingUpdate {
            p_addr,
            t_addr,
            lifetime,
        };
        self.forward(now, p_addr, &command, told);
    }

    /// Passes a command on to correspondents.
    fn forward(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
        command: &Command,
        told: BTreeSet<SocketAddrV6>,
    ) -> BTreeSet<RequestId> {
        let mut ids = BTreeSet::new();
        for correspondent in told {
            let id = command.send(now, &mut self.endpoint, correspondent);
            let is_hold = matches!(command, Command::Hold { .. });
            self.forwards.insert(
                id,
                Forward {
                    p_addr,
                    correspondent,
                    is_hold,
                },
            );
            self.forwards_of.entry(p_addr).or_default().insert(id);
            ids.insert(id);
        }
        ids
    }

    /// Gives up what is on its way about a node, and its hold without an answer: the node has
    /// left the place from which it asked. Returns the correspondents that it cannot tell, those
    /// included to whom a binding was still on its way.
    fn forget_forwards(&mut self, p_addr: Ipv6Addr) -> BTreeSet<SocketAddrV6> {
        let mut unserved = self.unserved.remove(&p_addr).unwrap_or_default();
        for id in self.forwards_of.remove(&p_addr).unwrap_or_default() {
            if let Some(forward) = self.forwards.remove(&id).filter(|f| !f.is_hold) {
                unserved.insert(forward.correspondent);
            }
            self.endpoint.cancel(id);
        }
        self.holds.remove(&p_addr);
        self.hold_deadlines.clear(p_addr);
        unserved
    }

    /// A correspondent answered, or did not.
    fn forward_ended(&mut self, now: SimTime, id: RequestId, response: Option<&Response>) {
        let Some(forward) = self.forwards.remove(&id) else {
            return;
        };
        let Forward {
            p_addr,
            correspondent,
            is_hold,
        } = forward;
        if let Some(ids) = self.forwards_of.get_mut(&p_addr) {
            ids.remove(&id);
            if ids.is_empty() {
                self.forwards_of.remove(&p_addr);
            }
        }
        match response {
            Some(response) if is_hold => self.hold_acknowledged(p_addr, correspondent, response),
            Some(response) if response.code == Code::CHANGED => {}
            _ => self.forget_correspondent(p_addr, correspondent),
        }
        if let Some(hold) = self.holds.get_mut(&p_addr) {
            hold.awaiting.remove(&id);
            self.answer_hold_if_told(now, p_addr);
        }
    }

    fn hold_acknowledged(
        &mut self,
        p_addr: Ipv6Addr,
        correspondent: SocketAddrV6,
        response: &Response,
    ) {
        match codec::parse_hold_response(response) {
            Ok(0) => {}
            Ok(sequence_number) => {
                self.mmt.set_sequence_number(p_addr, sequence_number);
                if let Some(unserved) = self.unserved.get_mut(&p_addr) {
                    unserved.remove(&correspondent);
                }
            }
            Err(_) => self.forget_correspondent(p_addr, correspondent),
        }
    }

    fn forget_correspondent(&mut self, p_addr: Ipv6Addr, correspondent: SocketAddrV6) {
        self.mmt.remove_correspondent(p_addr, correspondent);
        if let Some(unserved) = self.unserved.get_mut(&p_addr) {
            unserved.remove(&correspondent);
        }
    }

    fn expire(&mut self, now: SimTime) {
        while let Some(p_addr) = self.hold_deadlines.take_due(now) {
            self.answer_hold(now, p_addr);
        }
        while let Some(expired) = self.mmt.expire(now) {
            match expired {
                Expired::Lifetime(p_addr) => {
                    self.refuse_hold(now, p_addr);
                    self.forget_forwards(p_addr);
                    self.events.push_back(Event::BindingRemoved {
                        p_addr,
                        reason: Removal::LifetimeEnded,
                    });
                }
                Expired::Sleep(p_addr) => {
                    // The correspondents know the period and wake up by themselves.
                    self.unserved.remove(&p_addr);
                    self.changed(p_addr);
                }
            }
        }
    }
}

impl Machine for Wmms {
    type Event = Event;

    fn handle_datagram(&mut self, now: SimTime, from: SocketAddrV6, payload: &[u8]) {
        self.expire(now);
        self.endpoint.handle_datagram(now, from, payload);
        self.handle_events(now);
    }

    fn handle_timeout(&mut self, now: SimTime) {
        self.endpoint.handle_timeout(now);
        self.handle_events(now);
        self.expire(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.endpoint.poll_transmit()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        [
            self.endpoint.poll_timeout(),
            self.mmt.next_deadline(),
            self.hold_deadlines.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
