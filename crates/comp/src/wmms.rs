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
//! * A correspondent that is a registered node itself is followed when it moves, and told when it
//!   is back if it is on hold; it counts as one that the node cannot know.
//! * A node hears of it when somebody else has it forgotten, or says where it is.
//! * A registration of a node whose T_Addr or H_Flag it changes is passed on to the
//!   correspondents in either mode: the node has restarted and knows none.
//! * A deregistration, like Lifetime 0, is passed on as a binding update of Lifetime 0. A
//!   lifetime that ends is not: the correspondents' entries end with it.
//! * *Reordering.* A message that is not newer than the last one accepted about its node
//!   changes nothing and is answered 4.09 with the last number ([`crate::sequence`]). What is
//!   passed on carries the number of the message that caused it.

mod follow;
mod forward;
mod hold;
mod notice;
mod restore;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::message::PORT;
use coap::protection::Protection;
use coap::{Code, Endpoint, ExchangeId, Request, RequestId, Response};
use handover::BindingEvent;
use machine::{Machine, Transmit};
use units::{Rng, SimTime};

use crate::binding::{BindingMode, Expired, Removal};
use crate::codec::{self, Command, Lifetime, Location};
use crate::limits::{Limit, Limits, Shares};
use crate::mmt::{Enrolled, Mmt};
use crate::resource;
use crate::sequence::Sequence;
use follow::Away;
use forward::Forward;
pub use hold::MAX_HOLD;
use hold::PendingHold;
use machine::Deadlines;

/// Entries that leave at one call at most when their ends have come. A million may end at the same
/// instant, and requests are answered in between; the next deadline stays the one that is due.
pub const EXPIRED_AT_ONCE: usize = 32;

/// What a [`Wmms`] is told once.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How long a hold waits for the correspondents before it is answered anyway.
    pub hold_timeout: Duration,
    /// Who tells the correspondents of a binding.
    pub binding: BindingMode,
    /// How much is kept, in all and for one peer.
    pub limits: Limits,
    /// CoAP transmission parameters.
    pub coap: coap::Params,
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
    /// When holds without a period end by themselves.
    hold_ends: Deadlines<Ipv6Addr>,
    /// Unanswered holds by who sent them.
    holds_of: Shares,
    /// Correspondents on hold that a node cannot tell itself.
    unserved: BTreeMap<Ipv6Addr, BTreeSet<SocketAddrV6>>,
    /// Nodes on hold, which may be correspondents of others.
    away: Away,
    /// Where this server is: no node is there.
    address: Option<Ipv6Addr>,
    /// Nodes without correspondents.
    untold: BTreeSet<Ipv6Addr>,
    refusals: BTreeMap<Limit, u64>,
    events: VecDeque<BindingEvent>,
}

impl Wmms {
    /// A server with an empty table. `rng` makes Message IDs, tokens and timeouts.
    pub fn new(config: Config, rng: Rng) -> Wmms {
        Wmms {
            endpoint: Endpoint::new(config.coap.clone(), codec::KNOWN_CRITICAL, rng),
            mmt: Mmt::new(config.limits.clone()),
            config,
            forwards: BTreeMap::new(),
            forwards_of: BTreeMap::new(),
            holds: BTreeMap::new(),
            hold_deadlines: Deadlines::new(),
            hold_ends: Deadlines::new(),
            holds_of: Shares::new(),
            unserved: BTreeMap::new(),
            away: Away::default(),
            address: None,
            untold: BTreeSet::new(),
            refusals: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// The same server with a protection for its messages from now on.
    pub fn with_protection(self, protection: impl Protection) -> Wmms {
        Wmms {
            endpoint: self.endpoint.with_protection(protection),
            ..self
        }
    }

    /// The same server, which knows its address: among strangers it refuses it as a T_Addr.
    pub fn at(self, address: Ipv6Addr) -> Wmms {
        Wmms {
            address: Some(address),
            ..self
        }
    }

    /// The same server, which tells nobody when one of these nodes, by their P_Addrs, moves: who asks where
    /// it is gets an answer, and is no correspondent ([`BindingMode::Nobody`]).
    pub fn says_nothing_of(self, nodes: impl IntoIterator<Item = Ipv6Addr>) -> Wmms {
        Wmms {
            untold: nodes.into_iter().collect(),
            ..self
        }
    }

    /// The protection, if it is a `P`: for whoever gives it its contexts.
    pub fn protection<P: Protection>(&mut self) -> Option<&mut P> {
        self.endpoint.protection()
    }

    /// The table, also to save it: "a WMMS that restarts comes back with its table".
    pub fn mmt(&self) -> &Mmt {
        &self.mmt
    }

    /// The P_Addrs whose entries have changed since the last call. An owner that keeps the
    /// table durable saves them before it sends what [`Machine::poll_transmit`] gives: an
    /// answer is a promise.
    pub fn take_changes(&mut self) -> BTreeSet<Ipv6Addr> {
        self.mmt.take_changes()
    }

    /// Whether [`Wmms::take_changes`] has something to give.
    pub fn has_changes(&self) -> bool {
        self.mmt.has_changes()
    }

    /// How many P_Addrs [`Wmms::take_changes`] has to give.
    pub fn changes(&self) -> usize {
        self.mmt.changes()
    }

    /// How often each limit has refused a request.
    pub fn refusals(&self) -> &BTreeMap<Limit, u64> {
        &self.refusals
    }

    fn refuse(&mut self, limit: Limit) -> Response {
        *self.refusals.entry(limit).or_default() += 1;
        limit.response()
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
                | coap::Event::Sent { .. }
                | coap::Event::Notification { .. }
                | coap::Event::NotificationLost { .. }
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
        let response = match self.checked(now, request) {
            Err(refusal) => refusal,
            Ok((Command::Hold { p_addr, sleep }, sequence)) => {
                return self.hold(now, exchange, from, p_addr, sleep, sequence);
            }
            Ok((Command::Discovery { p_addr }, _)) => match self.is_welcome(exchange, from) {
                Some(enrol) => self.discover(now, from, p_addr, enrol),
                None => return self.endpoint.challenge(now, exchange),
            },
            Ok((
                Command::Registration {
                    p_addr,
                    t_addr,
                    lifetime,
                },
                sequence,
            )) => self.register(now, from, p_addr, t_addr, lifetime, sequence),
            Ok((
                Command::BindingUpdate {
                    p_addr,
                    t_addr,
                    lifetime,
                },
                sequence,
            )) => self.bind(now, from, p_addr, t_addr, lifetime, sequence),
            Ok((Command::Deregistration { p_addr }, sequence)) => {
                self.mmt.set_sequence(p_addr, sequence);
                self.deregister(now, from, p_addr, Removal::Deregistered, Code::DELETED)
            }
        };
        self.endpoint.respond(now, exchange, response);
    }

    /// The command in a request and its number, if it is in order, or the answer to it.
    fn checked(
        &mut self,
        now: SimTime,
        request: &Request,
    ) -> Result<(Command, Option<Sequence>), Response> {
        let (command, sequence) = resource::command(request)?;
        if self.config.coap.verify_sources && self.address.is_some_and(|own| command.is_at(own)) {
            let text = "option 2050 (Temporary address) is that of this server";
            return Err(Response::diagnostic(Code::BAD_REQUEST, text));
        }
        self.expire_of(now, command.p_addr());
        if !matches!(command, Command::Discovery { .. }) {
            (self.mmt.check_order(command.p_addr(), sequence)).map_err(codec::outdated_response)?;
        }
        Ok((command, sequence))
    }

    /// Whether who asks where a node is becomes a correspondent, whom the WMMS sends more than it is
    /// asked for: if it is where it says. A node that is registered, which speaks from CoAP's port, shows
    /// that first: none. A stranger is answered, and no more.
    fn is_welcome(&self, exchange: ExchangeId, from: SocketAddrV6) -> Option<bool> {
        match self.endpoint.is_proven(exchange) {
            true => Some(true),
            false if from.port() == PORT && self.mmt.knows(*from.ip()) => None,
            false => Some(false),
        }
    }

    fn discover(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        p_addr: Ipv6Addr,
        enrol: bool,
    ) -> Response {
        let Some(entry) = self.mmt.get(p_addr) else {
            return resource::unknown_node(p_addr);
        };
        let location = Location {
            p_addr,
            t_addr: entry.t_addr,
            lifetime: Lifetime::covering(entry.lifetime_ends.saturating_since(now)),
            held: entry.held,
            sleep: entry.sleep_ends.map(|end| end.saturating_since(now)),
            sequence: entry.sequence,
        };
        if !enrol || self.untold.contains(&p_addr) {
            return location.response();
        }
        match self.mmt.add_correspondent(p_addr, from) {
            Err(limit) => return self.refuse(limit),
            Ok(Enrolled::InPlaceOf(displaced)) => self.stop_telling(p_addr, displaced),
            Ok(_) => {}
        }
        if location.held {
            self.unserved.entry(p_addr).or_default().insert(from);
        }
        location.response()
    }

    fn register(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        p_addr: Ipv6Addr,
        t_addr: Ipv6Addr,
        lifetime: Lifetime,
        sequence: Option<Sequence>,
    ) -> Response {
        if lifetime == Lifetime::ZERO {
            self.mmt.set_sequence(p_addr, sequence);
            // RFC 7252 §5.8.2: a POST that "resulted in the deletion of the target resource"
            // is answered 2.02.
            return self.deregister(now, from, p_addr, Removal::LifetimeZero, Code::DELETED);
        }
        if let Err(limit) = self.mmt.admits(p_addr, *from.ip()) {
            return self.refuse(limit);
        }
        let notice = self.overheard(now, from, p_addr, Some(t_addr));
        let restarted =
            (self.mmt.get(p_addr)).is_some_and(|entry| entry.held || entry.t_addr != t_addr);
        let unserved = self.update(now, from, p_addr, t_addr, lifetime, sequence);
        let told = match restarted {
            true => self.correspondents(p_addr),
            false => unserved,
        };
        let command = self.forward_binding(now, p_addr, t_addr, lifetime, told);
        self.give_notice(now, p_addr, notice, &command);
        self.events
            .push_back(BindingEvent::Registered { p_addr, t_addr });
        Response::new(Code::CREATED)
    }

    fn bind(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        p_addr: Ipv6Addr,
        t_addr: Ipv6Addr,
        lifetime: Lifetime,
        sequence: Option<Sequence>,
    ) -> Response {
        let Some(entry) = self.mmt.get(p_addr) else {
            return resource::unknown_node(p_addr);
        };
        if lifetime == Lifetime::ZERO {
            self.mmt.set_sequence(p_addr, sequence);
            return self.deregister(now, from, p_addr, Removal::LifetimeZero, Code::CHANGED);
        }
        let changed = entry.held || entry.t_addr != t_addr;
        let notice = self.overheard(now, from, p_addr, Some(t_addr));
        if let Err(limit) = self.mmt.admits(p_addr, *from.ip()) {
            return self.refuse(limit);
        }
        let unserved = self.update(now, from, p_addr, t_addr, lifetime, sequence);
        let told = match self.config.binding {
            BindingMode::Relayed => self.correspondents(p_addr),
            BindingMode::Direct | BindingMode::Nobody => unserved,
        };
        let command = self.forward_binding(now, p_addr, t_addr, lifetime, told);
        self.give_notice(now, p_addr, notice, &command);
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
        from: SocketAddrV6,
        p_addr: Ipv6Addr,
        t_addr: Ipv6Addr,
        lifetime: Lifetime,
        sequence: Option<Sequence>,
    ) -> BTreeSet<SocketAddrV6> {
        let former = self.place_of(p_addr);
        let is_there = self.is_there(*from.ip(), t_addr);
        let known = self.correspondents(p_addr);
        let mut unserved = self.forget_forwards(p_addr);
        unserved.retain(|correspondent| known.contains(correspondent));
        unserved.extend(known.iter().filter(|known| self.away.is_at(*known.ip())));
        self.mmt.bind(now, p_addr, t_addr, lifetime, *from.ip());
        self.mmt.set_sequence(p_addr, sequence);
        let present = SocketAddrV6::new(t_addr, from.port(), 0, 0);
        match former {
            _ if !is_there => {}
            Some(former) if former != t_addr => self.correspondent_moves(now, former, present),
            _ => self.correspondent_is_back(now, t_addr),
        }
        self.correspondent_returns(now, p_addr);
        self.hold_ends.clear(p_addr);
        unserved
    }

    fn deregister(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        p_addr: Ipv6Addr,
        reason: Removal,
        done: Code,
    ) -> Response {
        let notice = self.overheard(now, from, p_addr, None);
        let Some(entry) = self.mmt.remove(now, p_addr) else {
            return resource::unknown_node(p_addr);
        };
        self.hold_ends.clear(p_addr);
        self.correspondent_returns(now, p_addr);
        self.refuse_hold(now, p_addr);
        self.forget_forwards(p_addr);
        let mut told: BTreeSet<_> = entry.extra.correspondents.iter().collect();
        if *from.ip() != entry.t_addr && notice.is_none() {
            told.insert(SocketAddrV6::new(entry.t_addr, PORT, 0, 0));
        }
        let command = self.forward_binding(now, p_addr, entry.t_addr, Lifetime::ZERO, told);
        self.give_notice(now, p_addr, notice, &command);
        self.events.push_back(BindingEvent::Removed {
            p_addr,
            reason: reason.into(),
        });
        Response::new(done)
    }

    fn correspondents(&self, p_addr: Ipv6Addr) -> BTreeSet<SocketAddrV6> {
        (self.mmt.get(p_addr)).map_or_else(BTreeSet::new, |entry| {
            entry.extra.correspondents.iter().collect()
        })
    }

    fn changed(&mut self, p_addr: Ipv6Addr) {
        if let Some(entry) = self.mmt.get(p_addr) {
            self.events.push_back(BindingEvent::Changed {
                p_addr,
                t_addr: entry.t_addr,
                held: entry.held,
            });
        }
    }

    fn expire(&mut self, now: SimTime) {
        while let Some(p_addr) = self.hold_deadlines.take_due(now) {
            self.answer_hold(now, p_addr);
        }
        while let Some(p_addr) = self.hold_ends.take_due(now) {
            if self.mmt.release(p_addr) {
                self.hold_is_over(now, p_addr);
            }
        }
        for _ in 0..EXPIRED_AT_ONCE {
            let Some(expired) = self.mmt.expire(now) else {
                return;
            };
            self.expired(now, expired);
        }
    }

    /// Whatever else is due: an entry whose end has come is none for a request about it.
    fn expire_of(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        while let Some(expired) = self.mmt.expire_of(now, p_addr) {
            self.expired(now, expired);
        }
    }

    fn expired(&mut self, now: SimTime, expired: Expired<Ipv6Addr>) {
        match expired {
            Expired::Lifetime(p_addr) => {
                self.hold_ends.clear(p_addr);
                self.correspondent_returns(now, p_addr);
                self.refuse_hold(now, p_addr);
                self.forget_forwards(p_addr);
                self.events.push_back(BindingEvent::Removed {
                    p_addr,
                    reason: Removal::LifetimeEnded.into(),
                });
            }
            Expired::Sleep(p_addr) => self.hold_is_over(now, p_addr),
        }
    }
}

impl Machine for Wmms {
    type From = SocketAddrV6;
    type To = SocketAddrV6;
    type Ignored = Infallible;
    type Event = BindingEvent;

    fn handle_datagram(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        payload: &[u8],
    ) -> Result<(), Infallible> {
        self.expire(now);
        self.endpoint.handle_datagram(now, from, payload)?;
        self.handle_events(now);
        Ok(())
    }

    fn handle_timeout(&mut self, now: SimTime) {
        // First: what waited for a request to a node that is gone is sent at this instant, too.
        self.expire(now);
        self.endpoint.handle_timeout(now);
        self.handle_events(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.endpoint.poll_transmit()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        [
            self.endpoint.poll_timeout(),
            self.mmt.next_deadline(),
            self.hold_deadlines.next(),
            self.hold_ends.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn poll_event(&mut self) -> Option<BindingEvent> {
        self.events.pop_front()
    }

    /// Who said what is in the table, also before a restart, and who has shown where it is.
    fn knows(&self, now: SimTime, from: &SocketAddrV6) -> bool {
        self.mmt.knows(*from.ip()) || self.endpoint.knows(now, from)
    }
}
