//! The mobile CoAP node, mCSN in CoMM.
//!
//! Registers at the WMMS and keeps the registration alive, asks it for a hold before a
//! handover or a sleep, and tells it, and in [`BindingMode::Direct`] the correspondents at
//! once, of a new T_Addr. Requests for other paths than [`PATH`](crate::codec::PATH) are the
//! application's.
//!
//! What the papers leave open:
//!
//! * *Correspondents* are the last [`MAX_CORRESPONDENTS`] peers whose requests the node
//!   answered. One that refuses a binding update or stays silent is forgotten and does not
//!   fail the binding: a peer that knows nothing of CoMP may ask the node too.
//! * The binding waits for silent correspondents no longer than [`patience`], though they go
//!   on being told.
//! * A WMMS that answers a binding update 4.04 has lost the entry, and with it whom to pass it
//!   on to; the node registers instead, and tells its correspondents itself in either mode.
//! * A binding that fails is registered when the next refresh would be due, unless the owner
//!   binds again before.
//! * The registration is refreshed at half its lifetime, but not during a hold, which it
//!   would end; what falls due during a sleep waits for its end.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::{Code, Endpoint, ExchangeId, Machine, Request, RequestId, Response, Transmit};
use units::{Rng, SimTime};

use crate::binding::BindingMode;
use crate::codec::{self, Command, ResponseError, expect_code};
use crate::registrar::Registrar;
use crate::resource;
use crate::sequence::Sequence;

/// Correspondents remembered; the one not heard for longest is forgotten first. As many as the
/// WMMS keeps, which in direct mode leaves those to the node that it has served.
pub const MAX_CORRESPONDENTS: usize = 256;

/// Requests handed to the application and not answered yet that are remembered.
const MAX_UNANSWERED: usize = 1024;

/// How long a binding waits for correspondents after it was sent: 2.5 ACK_TIMEOUT, 5 s by
/// default, within which a first copy that was lost is repeated (RFC 7252 §4.2: after at most
/// 1.5 ACK_TIMEOUT) and acknowledged.
pub fn patience(params: &coap::Params) -> Duration {
    params.ack_timeout.saturating_mul(5) / 2
}

/// What a [`Node`] is told once.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Its permanent identifier.
    pub p_addr: Ipv6Addr,
    /// The WMMS.
    pub wmms: SocketAddrV6,
    /// Lifetime of its bindings; rounded up to whole seconds, at most 65535 s.
    pub lifetime: Duration,
    /// CoAP transmission parameters.
    pub coap: coap::Params,
}

/// What the owner is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The WMMS accepted [`Node::register`]; refreshes are not reported.
    Registered {
        /// Permanent address.
        p_addr: Ipv6Addr,
        /// Temporary address.
        t_addr: Ipv6Addr,
    },
    /// The WMMS did not accept a registration or refresh; it is repeated.
    RegistrationFailed {
        /// Why.
        reason: String,
    },
    /// The hold or sleep is answered: no request is on its way.
    HoldAnswered {
        /// The last answer that arrived, as a correspondent reported it to the WMMS; 0 if
        /// none did. Compare with [`Node::sequence_number`].
        sequence_number: u16,
    },
    /// The WMMS did not accept the hold or sleep.
    HoldFailed {
        /// Why.
        reason: String,
    },
    /// The binding is acknowledged by the WMMS and by all correspondents still of interest.
    Bound {
        /// Temporary address.
        t_addr: Ipv6Addr,
    },
    /// The WMMS did not accept the binding.
    BindFailed {
        /// Why.
        reason: String,
    },
    /// The WMMS has forgotten the node.
    Deregistered,
    /// The WMMS did not accept the deregistration.
    DeregistrationFailed {
        /// Why.
        reason: String,
    },
    /// A peer was served a further block of a body (RFC 7959) without the application.
    Block {
        /// Who asked.
        from: SocketAddrV6,
        /// Message ID of the request.
        message_id: u16,
    },
    /// A request for the application; answer it with [`Node::respond`].
    Request {
        /// Names it.
        exchange: ExchangeId,
        /// Who asks.
        from: SocketAddrV6,
        /// Message ID of the request.
        message_id: u16,
        /// The request.
        request: Request,
    },
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
    /// When to stop waiting for correspondents.
    until: SimTime,
}

/// The mobile node; a [`Machine`].
#[derive(Debug)]
pub struct Node {
    config: Config,
    endpoint: Endpoint,
    registrar: Registrar,
    requests: BTreeMap<RequestId, Purpose>,
    binding: Option<Binding>,
    /// Whose requests were answered, the latest last.
    correspondents: VecDeque<SocketAddrV6>,
    /// Requests that the application has not answered.
    unanswered: BTreeMap<ExchangeId, (SocketAddrV6, u16)>,
    sequence_number: u16,
    events: VecDeque<Event>,
}

impl Node {
    /// A node that is not registered. `rng` makes Message IDs, tokens and timeouts.
    pub fn new(config: Config, rng: Rng) -> Node {
        Node {
            endpoint: Endpoint::new(config.coap.clone(), codec::KNOWN_CRITICAL, rng),
            registrar: Registrar::new(config.p_addr, config.wmms, config.lifetime),
            config,
            requests: BTreeMap::new(),
            binding: None,
            correspondents: VecDeque::new(),
            unanswered: BTreeMap::new(),
            sequence_number: 0,
            events: VecDeque::new(),
        }
    }

    /// Registers at the WMMS, and again before the lifetime ends: [`Event::Registered`] or
    /// [`Event::RegistrationFailed`].
    pub fn register(&mut self, now: SimTime, t_addr: Ipv6Addr) {
        self.registrar.register(now, &mut self.endpoint, t_addr);
        self.handle_events(now);
    }

    /// Asks the WMMS to hold back requests until [`Node::bind`]: [`Event::HoldAnswered`] or
    /// [`Event::HoldFailed`].
    pub fn hold(&mut self, now: SimTime) {
        self.registrar.suspend(&mut self.endpoint);
        self.abandon_procedures();
        self.send_hold(now, None);
        self.handle_events(now);
    }

    /// Asks the WMMS to hold back requests for `period` or until [`Node::bind`]; answered
    /// like a hold.
    pub fn sleep(&mut self, now: SimTime, period: Duration) {
        self.registrar.postpone(&mut self.endpoint, now + period);
        self.abandon_procedures();
        self.send_hold(now, Some(now + period));
        self.handle_events(now);
    }

    /// The node is awake again although it has bound nothing: its sleep period is over, and
    /// observers hear of the latest state.
    pub fn awake(&mut self, now: SimTime) {
        self.endpoint.release_notifications(now);
    }

    fn send_hold(&mut self, now: SimTime, until: Option<SimTime>) {
        self.endpoint.hold_notifications();
        let command = Command::Hold {
            p_addr: self.config.p_addr,
            sleep: until.map(|until| until.saturating_since(now)),
        };
        self.send_to_wmms(now, &command, Purpose::Hold { until });
    }

    /// Tells the WMMS, and in direct mode every correspondent at once, that the node is now at
    /// `t_addr`: [`Event::Bound`] or [`Event::BindFailed`]. Ends a hold; takes the place of an
    /// unfinished hold or binding.
    pub fn bind(&mut self, now: SimTime, t_addr: Ipv6Addr, mode: BindingMode) {
        self.abandon_procedures();
        self.endpoint.hold_notifications();
        self.registrar.moved(&mut self.endpoint, t_addr);
        self.binding = Some(Binding {
            t_addr,
            mode,
            acknowledged: false,
            until: now + patience(&self.config.coap),
        });
        self.send_binding(now, &self.binding_update(t_addr), mode);
        self.handle_events(now);
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
        // An observer may have asked so long ago that it is no correspondent any more.
        let mut told: Vec<SocketAddrV6> = self.endpoint.observers().collect();
        told.dedup();
        told.retain(|observer| !self.correspondents.contains(observer));
        told.extend(&self.correspondents);
        for correspondent in told {
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

    /// Answers an [`Event::Request`]; whoever is answered is a correspondent.
    pub fn respond(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        self.note_answered(exchange);
        self.endpoint.respond(now, exchange, response);
    }

    /// Whoever is answered is a correspondent.
    fn note_answered(&mut self, exchange: ExchangeId) {
        if let Some((from, message_id)) = self.unanswered.remove(&exchange) {
            self.sequence_number = message_id;
            self.correspondents.retain(|known| *known != from);
            if self.correspondents.len() == MAX_CORRESPONDENTS {
                self.correspondents.pop_front();
            }
            if from != self.config.wmms {
                self.correspondents.push_back(from);
            }
        }
    }

    /// Answers like [`Node::respond`], and registers whoever asked to observe (RFC 7641) for
    /// [`Node::notify`].
    ///
    /// An observer is known by its address and token, which do not change when this node moves:
    /// what it observes goes on from the new T_Addr. During a hold and until a binding is
    /// complete nothing is notified; then the latest state is.
    pub fn respond_observed(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        self.note_answered(exchange);
        self.endpoint.respond_observed(now, exchange, response);
    }

    /// Tells the observers of `path` its new state, now or when the node has moved.
    pub fn notify(&mut self, now: SimTime, path: &str, state: &Response) {
        self.endpoint.notify(now, path, state);
    }

    /// The peers that a direct binding goes to, the one heard last at the end.
    pub fn correspondents(&self) -> impl Iterator<Item = SocketAddrV6> {
        self.correspondents.iter().copied()
    }

    /// Message ID of the last request that the node answered; 0 if it answered none.
    pub fn sequence_number(&self) -> u16 {
        self.sequence_number
    }

    fn send_to_wmms(&mut self, now: SimTime, command: &Command, purpose: Purpose) {
        let sequence = self.registrar.counter.next(now);
        self.send(now, self.config.wmms, command, purpose, sequence);
    }

    fn send(
        &mut self,
        now: SimTime,
        to: SocketAddrV6,
        command: &Command,
        purpose: Purpose,
        sequence: Sequence,
    ) {
        let id = command.send(now, &mut self.endpoint, to, Some(sequence));
        self.requests.insert(id, purpose);
    }

    /// What is overtaken must not arrive any more.
    fn abandon_procedures(&mut self) {
        self.binding = None;
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
                    request,
                    ..
                } => self.handle_request(now, exchange, from, message_id, request),
                coap::Event::Response { id, response, .. } => self.ended(now, id, Ok(&response)),
                coap::Event::Failed { id, reason, .. } => {
                    self.ended(now, id, Err(reason.to_string()));
                }
                coap::Event::Block { from, message_id } => {
                    self.sequence_number = message_id;
                    self.events.push_back(Event::Block { from, message_id });
                }
                coap::Event::Pong { .. } | coap::Event::Notification { .. } => {}
            }
        }
    }

    fn handle_request(
        &mut self,
        now: SimTime,
        exchange: ExchangeId,
        from: SocketAddrV6,
        message_id: u16,
        request: Request,
    ) {
        if resource::is_comp(&request) {
            let response = match Command::parse(&request) {
                Ok(command) => resource::not_served(&command, "a node", &[]),
                Err(error) => error.response(),
            };
            self.endpoint.respond(now, exchange, response);
            return;
        }
        if self.unanswered.len() == MAX_UNANSWERED {
            self.unanswered.pop_first();
        }
        self.unanswered.insert(exchange, (from, message_id));
        self.events.push_back(Event::Request {
            exchange,
            from,
            message_id,
            request,
        });
    }

    fn ended(&mut self, now: SimTime, id: RequestId, outcome: Result<&Response, String>) {
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
            Purpose::Hold { .. } => {
                let answer =
                    outcome.and_then(|response| text(codec::parse_hold_response(response)));
                self.events.push_back(match answer {
                    Ok(sequence_number) => Event::HoldAnswered { sequence_number },
                    Err(reason) => Event::HoldFailed { reason },
                });
            }
            Purpose::Bind => self.bind_ended(now, outcome),
            Purpose::Tell(correspondent) => {
                if !outcome.is_ok_and(|response| response.code == Code::CHANGED) {
                    self.correspondents.retain(|known| *known != correspondent);
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
                self.events.push_back(Event::Registered { p_addr, t_addr });
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
                self.complete_binding(now);
            }
            Ok(response) if response.code == Code::NOT_FOUND => {
                let told = std::mem::replace(&mut binding.mode, BindingMode::Direct);
                let command = self.registrar.command(t_addr);
                // In direct mode the correspondents have been told.
                let tell = match told {
                    BindingMode::Direct => BindingMode::Relayed,
                    BindingMode::Relayed => BindingMode::Direct,
                };
                self.send_binding(now, &command, tell);
            }
            other => {
                let error = other.and_then(|response| text(expect_code(response, Code::CHANGED)));
                let reason = error.err().unwrap_or_default();
                self.binding = None;
                self.registrar.fall_back(now, t_addr);
                self.events.push_back(Event::BindFailed { reason });
            }
        }
    }

    fn complete_binding(&mut self, now: SimTime) {
        let told = || !(self.requests.values()).any(|purpose| matches!(purpose, Purpose::Tell(_)));
        if let Some(binding) = self.binding
            && binding.acknowledged
            && (now >= binding.until || told())
        {
            self.binding = None;
            let t_addr = binding.t_addr;
            self.endpoint.release_notifications(now);
            self.events.push_back(Event::Bound { t_addr });
        }
    }
}

fn text<T>(result: Result<T, ResponseError>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

impl Machine for Node {
    type Event = Event;

    fn handle_datagram(&mut self, now: SimTime, from: SocketAddrV6, payload: &[u8]) {
        self.endpoint.handle_datagram(now, from, payload);
        self.handle_events(now);
    }

    fn handle_timeout(&mut self, now: SimTime) {
        self.endpoint.handle_timeout(now);
        self.handle_events(now);
        self.registrar.handle_timeout(now, &mut self.endpoint);
        self.complete_binding(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.endpoint.poll_transmit()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        let binding = self.binding.filter(|binding| binding.acknowledged);
        [
            self.endpoint.poll_timeout(),
            self.registrar.poll_timeout(),
            binding.map(|binding| binding.until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
