//! A CoAP node, mCSN in CoMM, and client, CWC in CoMM, in one: whoever is not the WMMS.
//!
//! Registers at the WMMS and keeps the registration alive, asks it for a hold before a
//! handover or a sleep, and tells it, and in [`BindingMode::Direct`] the correspondents at
//! once, of a new T_Addr. Requests for other paths than [`PATH`](crate::codec::PATH) are the
//! application's. What it asks others is the [`Client`]'s part, over the same endpoint. A node
//! that asks nobody is the papers' node, one that serves nothing and stays is their client.
//!
//! What the papers leave open:
//!
//! * *Correspondents* are the last [`MAX_CORRESPONDENTS`] peers whose requests the node
//!   answered; where there are more, the network that most of them are of has fewer. One that refuses a binding update or stays silent is forgotten and does not
//!   fail the binding: a peer that knows nothing of CoMP may ask the node too.
//! * The binding waits for silent correspondents no longer than [`patience`], though they go
//!   on being told; and not for those that the node knows to be on hold, nor for those that
//!   asked last more than [`patience`] before the latest did.
//! * A correspondent that moves is another one, unless the node asks it, too, and so hears of the
//!   move.
//! * What the node asks others is kept back from the moment at which it asks for a hold, or
//!   leaves, until the WMMS has acknowledged its binding: no longer, because a correspondent may
//!   be silent, and not shorter, so that the WMMS follows the node before it discovers anybody.
//! * A WMMS that is silent keeps nobody: a hold that it has not acknowledged after [`patience`] has
//!   failed, and so has one that it acknowledged and has not answered when clients trust no hold any
//!   more ([`HoldQueue::timeout`](crate::client::HoldQueue::timeout)). What is kept back for a binding
//!   that it has not acknowledged after [`patience`] is sent, while the binding goes on being told.
//! * A WMMS that answers a binding update 4.04 has lost the entry, and with it whom to pass it
//!   on to; the node registers instead, and tells its correspondents itself in either mode.
//! * A binding that fails is registered when the next refresh would be due, unless the owner
//!   binds again before.
//! * The registration is refreshed at half its lifetime, but not during a hold, which it
//!   would end; what falls due during a sleep waits for its end.

mod api;
mod mobility;
mod services;
mod serving;
mod silence;

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::Response;
use coap::protection::Protection;
use coap::{Code, Endpoint, ExchangeId, Failure, Reliability, Request, RequestId};
use handover::{BindingEvent, Phase, Step};
use machine::Machine;
use machine::Transmit;
use service::{CallId, Incoming, Target};
use units::{Rng, SimTime};

pub use api::{Config, Event};

use crate::binding::{BindingMode, Removal};
use crate::client::Client;
use crate::client::Outcome;
use crate::codec::{self, Command, MAX_SLEEP, ResponseError, expect_code};
use crate::registrar::Registrar;
use crate::resource;
use crate::sequence::Sequence;
use silence::AskedHold;

/// Correspondents remembered; the one not heard for longest is forgotten first, of the network (/64)
/// that has most of them. As many as the WMMS keeps, which in direct mode leaves those to the node that it has served.
pub const MAX_CORRESPONDENTS: usize = 256;

/// Critical options that are let in: CoMP's, and those of services.
const KNOWN_CRITICAL: &[u16] = &{
    let (own, of_services) = (codec::KNOWN_CRITICAL, service::KNOWN_CRITICAL);
    let mut all = [0; codec::KNOWN_CRITICAL.len() + service::KNOWN_CRITICAL.len()];
    all.split_at_mut(own.len()).0.copy_from_slice(own);
    all.split_at_mut(own.len()).1.copy_from_slice(of_services);
    all
};

/// How long a binding waits for correspondents after it was sent, and a node for a WMMS that says
/// nothing: 2.5 ACK_TIMEOUT, 5 s by default, within which a first copy that was lost is repeated
/// (RFC 7252 §4.2: after at most 1.5 ACK_TIMEOUT) and acknowledged.
pub fn patience(params: &coap::Params) -> Duration {
    params.ack_timeout.saturating_mul(5) / 2
}

/// What a request of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Hold {
        /// When a sleep ends.
        until: Option<SimTime>,
    },
    /// Binding update, or the registration in its place, at the WMMS.
    Bind,
    /// Binding update at a correspondent.
    Tell(SocketAddrV6),
    Deregister,
}

/// A binding that is not complete.
#[derive(Clone, Copy, Debug)]
struct Binding {
    t_addr: Ipv6Addr,
    /// Who tells the correspondents.
    mode: BindingMode,
    /// Whether the WMMS acknowledged it.
    acknowledged: bool,
    /// When to stop waiting for correspondents, and for a WMMS that says nothing.
    until: SimTime,
    /// Whether what the node asks and tells others waits for the WMMS.
    keeps_back: bool,
}

/// The mobile node; a [`Machine`].
#[derive(Debug)]
pub struct Node {
    config: Config,
    endpoint: Endpoint,
    registrar: Registrar,
    client: Client,
    requests: BTreeMap<RequestId, Purpose>,
    /// The hold that is asked for.
    asked_hold: Option<AskedHold>,
    binding: Option<Binding>,
    /// Whose requests were answered, and when last; the latest last.
    correspondents: VecDeque<(SocketAddrV6, SimTime)>,
    /// Requests that the application has not answered.
    unanswered: BTreeMap<ExchangeId, (SocketAddrV6, u16)>,
    sequence_number: u16,
    events: VecDeque<Event>,
}

impl Node {
    /// A node that is not registered. `rng` makes Message IDs, tokens and timeouts.
    pub fn new(config: Config, rng: Rng) -> Node {
        Node {
            endpoint: Endpoint::new(config.coap.clone(), KNOWN_CRITICAL, rng),
            registrar: Registrar::new(config.p_addr, config.wmms, config.lifetime),
            client: Client::new(
                config.wmms,
                config.hold_queue,
                config.coap.nstart,
                config.coap.verify_sources,
            ),
            config,
            requests: BTreeMap::new(),
            asked_hold: None,
            binding: None,
            correspondents: VecDeque::new(),
            unanswered: BTreeMap::new(),
            sequence_number: 0,
            events: VecDeque::new(),
        }
    }

    /// The same node with a protection for its messages from now on.
    pub fn with_protection(self, protection: impl Protection) -> Node {
        Node {
            endpoint: self.endpoint.with_protection(protection),
            ..self
        }
    }

    /// The protection, if it is a `P`: for whoever gives it its contexts.
    pub fn protection<P: Protection>(&mut self) -> Option<&mut P> {
        self.endpoint.protection()
    }

    /// Registers at the WMMS, and again before the lifetime ends: [`BindingEvent::Registered`] and
    /// [`Step::Attached`], or [`Event::RegistrationFailed`].
    pub fn register(&mut self, now: SimTime, t_addr: Ipv6Addr) {
        self.registrar.register(now, &mut self.endpoint, t_addr);
        self.handle_events(now);
    }

    /// Asks the WMMS to hold back requests until [`Mobility::bind`](handover::Mobility::bind):
    /// [`Step::Prepared`] or [`Step::Failed`].
    pub fn hold(&mut self, now: SimTime) {
        self.registrar.suspend(&mut self.endpoint);
        self.abandon_procedures();
        self.client.pause();
        self.step(Step::PhaseStarted(Phase::HOLD));
        self.send_hold(now, None);
        self.handle_events(now);
    }

    /// Asks the WMMS to hold back requests for `period` or until
    /// [`Mobility::bind`](handover::Mobility::bind): [`Step::SleepAnnounced`] or
    /// [`Step::SleepRefused`].
    pub fn sleep(&mut self, now: SimTime, period: Duration) {
        self.registrar.postpone(&mut self.endpoint, now + period);
        self.abandon_procedures();
        self.client.pause();
        self.send_hold(now, Some(now + period));
        self.handle_events(now);
    }

    /// Asks, now or as soon as the target can be reached:
    /// [`client::Event::Call`](crate::client::Event::Call) says what becomes of it.
    pub fn ask(
        &mut self,
        now: SimTime,
        target: Target,
        reliability: Reliability,
        request: Request,
    ) -> CallId {
        self.call(now, target, reliability, request, false)
    }

    /// Observes by a GET or FETCH (RFC 7641, RFC 8132 §2.4), from now or as soon as the target can
    /// be reached: [`Outcome::Notified`] for every new state, or [`Outcome::Answered`] if it cannot
    /// be observed.
    ///
    /// RFC 7641 knows an observation by the endpoints and the token. Here the other node's endpoint
    /// is its P_Addr: a binding update moves the observation to the new T_Addr, without another
    /// registration. This node's endpoint is its address: when it has moved, it registers again
    /// with the same token. An observation that ends, in [`Outcome::Answered`] or
    /// [`Outcome::Failed`], is not begun again.
    pub fn observe(
        &mut self,
        now: SimTime,
        target: Target,
        reliability: Reliability,
        request: Request,
    ) -> CallId {
        self.call(now, target, reliability, request, true)
    }

    fn call(
        &mut self,
        now: SimTime,
        target: Target,
        reliability: Reliability,
        request: Request,
        observe: bool,
    ) -> CallId {
        let endpoint = &mut self.endpoint;
        let call = (self.client).ask(now, endpoint, target, reliability, request, observe);
        self.handle_events(now);
        call
    }

    /// Ends an observation that the node has confirmed: [`Outcome::Answered`] or
    /// [`Outcome::Failed`]. What has had no outcome yet is given up, wherever it waits:
    /// [`Failure::Cancelled`].
    pub fn stop_observing(&mut self, now: SimTime, call: CallId) {
        self.client.stop_observing(now, &mut self.endpoint, call);
        self.handle_events(now);
    }

    /// What the node asks others.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn send_hold(&mut self, now: SimTime, until: Option<SimTime>) {
        self.endpoint.hold_notifications();
        let command = Command::Hold {
            p_addr: self.config.p_addr,
            sleep: until.map(|until| until.saturating_since(now).min(MAX_SLEEP)),
        };
        let request = self.send_to_wmms(now, &command, Purpose::Hold { until });
        self.hold_asked(now, request, until);
    }

    /// Sends a binding update, or a registration in its place, to the WMMS, and in direct mode a
    /// binding update with the same number to the correspondents.
    fn send_binding(&mut self, now: SimTime, command: &Command, tell: BindingMode) {
        let sequence = self.registrar.counter.next(now);
        let wmms = self.config.wmms;
        self.send(now, wmms, command, Purpose::Bind, sequence);
        let Some(binding) = self.binding.filter(|_| tell == BindingMode::Direct) else {
            return;
        };
        let update = self.binding_update(binding.t_addr);
        for correspondent in self.told() {
            let purpose = Purpose::Tell(correspondent);
            self.send(now, correspondent, &update, purpose, sequence);
        }
    }

    fn binding_update(&self, t_addr: Ipv6Addr) -> Command {
        Command::BindingUpdate {
            p_addr: self.config.p_addr,
            t_addr,
            lifetime: self.registrar.lifetime,
        }
    }

    /// Has the WMMS forget the node: [`Event::Deregistered`] or
    /// [`Event::DeregistrationFailed`].
    pub fn deregister(&mut self, now: SimTime) {
        self.abandon_procedures();
        self.registrar.suspend(&mut self.endpoint);
        self.send_deregistration(now);
        self.handle_events(now);
    }

    fn send_deregistration(&mut self, now: SimTime) {
        let p_addr = self.config.p_addr;
        let command = Command::Deregistration { p_addr };
        self.send_to_wmms(now, &command, Purpose::Deregister);
    }

    fn send_to_wmms(&mut self, now: SimTime, command: &Command, purpose: Purpose) -> RequestId {
        let sequence = self.registrar.counter.next(now);
        self.send(now, self.config.wmms, command, purpose, sequence)
    }

    fn send(
        &mut self,
        now: SimTime,
        to: SocketAddrV6,
        command: &Command,
        purpose: Purpose,
        sequence: Sequence,
    ) -> RequestId {
        let id = command.send(now, &mut self.endpoint, to, Some(sequence));
        self.requests.insert(id, purpose);
        id
    }

    /// What is overtaken must not arrive any more.
    fn abandon_procedures(&mut self) {
        self.binding = None;
        self.asked_hold = None;
        self.registrar.repeats = 0;
        self.abandon_requests();
    }

    fn abandon_requests(&mut self) {
        for (id, _) in std::mem::take(&mut self.requests) {
            self.endpoint.cancel(id);
        }
    }

    fn handle_events(&mut self, now: SimTime) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                coap::Event::Request {
                    exchange,
                    from,
                    message_id,
                    confirmable,
                    context,
                    request,
                } => {
                    let incoming = Incoming {
                        exchange,
                        from,
                        context,
                        confirmable,
                        request,
                    };
                    self.handle_request(now, message_id, incoming);
                }
                coap::Event::Response {
                    id,
                    message_id,
                    response,
                    ..
                } => self.answered(now, id, message_id, response),
                coap::Event::Failed { id, to, reason } => self.failed(now, id, to, reason),
                coap::Event::Sent { id, .. } => self.client.sent(now, &mut self.endpoint, id),
                coap::Event::Notification {
                    id,
                    message_id,
                    sequence,
                    response,
                    ..
                } => {
                    let state = Outcome::Notified {
                        message_id,
                        sequence,
                        response,
                    };
                    (self.client).heard_of(now, &mut self.endpoint, id, message_id, state);
                }
                coap::Event::NotificationLost {
                    id,
                    message_id,
                    sequence,
                    reason,
                } => {
                    let lost = Outcome::NotificationLost { sequence, reason };
                    (self.client).heard_of(now, &mut self.endpoint, id, message_id, lost);
                }
                coap::Event::Block { from, message_id } => {
                    self.sequence_number = message_id;
                    self.events.push_back(Event::Block { from, message_id });
                }
                coap::Event::Pong { .. } => {}
            }
        }
        while let Some((former, present)) = self.client.poll_move() {
            self.follow(former, present);
        }
    }

    fn answered(&mut self, now: SimTime, id: RequestId, message_id: u16, response: Response) {
        match self.client.owns(id) {
            true => (self.client).answered(now, &mut self.endpoint, id, message_id, response),
            false => self.ended(now, id, Ok(&response)),
        }
    }

    fn failed(&mut self, now: SimTime, id: RequestId, to: SocketAddrV6, reason: Failure) {
        match self.client.owns(id) {
            true => (self.client).unanswered(now, &mut self.endpoint, id, to, reason),
            false => self.ended(now, id, Err(reason.to_string())),
        }
    }

    fn ended(&mut self, now: SimTime, id: RequestId, outcome: Result<&Response, String>) {
        let of_wmms = self.registrar.owns(id)
            || matches!(self.requests.get(&id), Some(purpose) if !matches!(purpose, Purpose::Tell(_)));
        if of_wmms && self.registrar.is_contested(&outcome) {
            let removal = Removal::TakenByAnother;
            self.events.push_back(Event::Contested { removal });
        }
        if self.registrar.owns(id) {
            return self.registration_ended(now, outcome);
        }
        let Some(purpose) = self.requests.remove(&id) else {
            return;
        };
        if self.registrar.is_to_repeat(&outcome) {
            return self.repeat(now, purpose);
        }
        match purpose {
            Purpose::Hold { until } => {
                self.asked_hold = None;
                let answer =
                    outcome.and_then(|response| text(codec::parse_hold_response(response)));
                self.hold_ended(until.is_some(), answer);
            }
            Purpose::Bind => self.bind_ended(now, outcome),
            Purpose::Tell(correspondent) => {
                if !outcome.is_ok_and(|response| response.code == Code::CHANGED) {
                    self.forget(correspondent);
                }
                self.complete_binding(now);
            }
            Purpose::Deregister => {
                let done = outcome.and_then(|response| text(expect_code(response, Code::DELETED)));
                self.events.push_back(match done {
                    Ok(()) => Event::Deregistered,
                    Err(reason) => Event::DeregistrationFailed { reason },
                });
            }
        }
    }

    /// Says again, under a new number, what a peer took for old.
    fn repeat(&mut self, now: SimTime, purpose: Purpose) {
        match (purpose, self.binding) {
            (Purpose::Hold { until }, _) => self.send_hold(now, until),
            (Purpose::Deregister, _) => self.send_deregistration(now),
            (Purpose::Bind | Purpose::Tell(_), Some(binding)) => {
                // Everybody anew, so that all keep the same number.
                self.abandon_requests();
                self.send_binding(now, &self.binding_update(binding.t_addr), binding.mode);
            }
            (Purpose::Bind | Purpose::Tell(_), None) => {}
        }
    }

    fn registration_ended(&mut self, now: SimTime, outcome: Result<&Response, String>) {
        let p_addr = self.config.p_addr;
        match self.registrar.finished(now, &mut self.endpoint, outcome) {
            Ok(None) => {}
            Ok(Some(t_addr)) => {
                self.endpoint.release_notifications(now);
                self.client.resume_all(now, &mut self.endpoint);
                let registered = BindingEvent::Registered { p_addr, t_addr };
                self.events.push_back(Event::Binding(registered));
                self.step(Step::Attached { address: t_addr });
            }
            Err(reason) => self.events.push_back(Event::RegistrationFailed { reason }),
        }
    }

    fn bind_ended(&mut self, now: SimTime, outcome: Result<&Response, String>) {
        let Some(binding) = &mut self.binding else {
            return;
        };
        let t_addr = binding.t_addr;
        match outcome {
            Ok(response) if [Code::CHANGED, Code::CREATED].contains(&response.code) => {
                binding.acknowledged = true;
                self.registrar.renewed(now, t_addr);
                self.client.resume_all(now, &mut self.endpoint);
                self.complete_binding(now);
            }
            Ok(response) if response.code == Code::NOT_FOUND => {
                // In direct mode the correspondents have been told.
                let tell = match binding.mode {
                    BindingMode::Direct => BindingMode::Relayed,
                    BindingMode::Relayed => {
                        binding.mode = BindingMode::Direct;
                        BindingMode::Direct
                    }
                    BindingMode::Nobody => BindingMode::Nobody,
                };
                let command = self.registrar.command(t_addr);
                self.send_binding(now, &command, tell);
            }
            other => {
                let error = other.and_then(|response| text(expect_code(response, Code::CHANGED)));
                let reason = error.err().unwrap_or_default();
                self.binding = None;
                self.registrar.fall_back(now, t_addr);
                self.client.resume_all(now, &mut self.endpoint);
                let reason = format!("binding update: {reason}");
                self.binding_ended(Step::Failed { reason });
            }
        }
    }

    fn complete_binding(&mut self, now: SimTime) {
        let is_awaited =
            |purpose: &Purpose| matches!(purpose, Purpose::Tell(c) if self.is_awaited(*c));
        let told = || !self.requests.values().any(is_awaited);
        if let Some(binding) = self.binding
            && binding.acknowledged
            && (now >= binding.until || told())
        {
            self.binding = None;
            let t_addr = binding.t_addr;
            self.endpoint.release_notifications(now);
            self.binding_ended(Step::Bound { address: t_addr });
        }
    }
}

fn text<T>(result: Result<T, ResponseError>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

impl Machine for Node {
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
        self.client.expire(now, &mut self.endpoint);
        self.endpoint.handle_datagram(now, from, payload)?;
        self.handle_events(now);
        Ok(())
    }

    fn handle_timeout(&mut self, now: SimTime) {
        self.endpoint.handle_timeout(now);
        self.handle_events(now);
        self.registrar.handle_timeout(now, &mut self.endpoint);
        self.client.expire(now, &mut self.endpoint);
        self.give_up_waiting(now);
        self.complete_binding(now);
        self.handle_events(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.endpoint.poll_transmit()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        let waits = |binding: &Binding| binding.acknowledged || binding.keeps_back;
        let binding = self.binding.filter(waits);
        [
            self.endpoint.poll_timeout(),
            self.registrar.poll_timeout(),
            self.client.poll_timeout(),
            self.hold_ends(),
            binding.map(|binding| binding.until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn poll_event(&mut self) -> Option<Event> {
        let of_client = || self.client.poll_event().map(Event::Client);
        self.events.pop_front().or_else(of_client)
    }

    /// Its WMMS, and who has shown where it is.
    fn knows(&self, now: SimTime, from: &SocketAddrV6) -> bool {
        from.ip() == self.config.wmms.ip() || self.endpoint.knows(now, from)
    }
}
