//! The CoAP client, CWC in CoMM: asks nodes by their permanent address.
//!
//! Discovers where a node is, keeps that in the [`Lbc`], keeps requests back
//! while the node is on hold, and follows it to its new T_Addr.
//!
//! What the papers leave open:
//!
//! * Per node at most NSTART requests (RFC 7252 §4.7) are on their way; the others wait
//!   *here*, in order, and not in the endpoint, so that a hold stops them. Requests that wait
//!   for a discovery, for a hold to end or for their turn share one queue of
//!   [`HoldQueue::capacity`] per node, and each waits at most [`HoldQueue::timeout`]. Nothing
//!   is dropped silently: every [`CallId`] ends in one [`Event::Answered`] or
//!   [`Event::Failed`].
//! * Confirmable requests on their way when a hold comes keep their schedule, and are sent to
//!   the new T_Addr as soon as it is known.
//! * A request that finds no answer makes the entry doubtful: the next one discovers again.
//!   So does a hold that outlasts [`HoldQueue::timeout`], in case the binding update never
//!   got here.
//! * A hold or binding update is accepted from the WMMS and from the node itself (its T_Addr,
//!   old or new), and only about a node that this client asks. This is no protection against
//!   forged addresses; CoMP has none.
//! * A hold or binding update that is not newer than the last one accepted about its node
//!   changes nothing and is answered 4.09 ([`crate::sequence`]), but the same binding update from
//!   WMMS and node is acknowledged to both. The answer to a discovery is taken whatever its
//!   number: the WMMS is asked where this client has lost the node.
//! * A hold that meets a discovery on its way is answered, and the discovery is made again:
//!   its answer may be older than the hold. A binding update takes the place of the answer.

mod api;
mod observe;
mod server;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::message::PORT;
use coap::{Code, Endpoint, ExchangeId, Failure, Machine, Reliability, Request, RequestId};
use coap::{Response, Transmit};
use units::{Rng, SimTime};

pub use api::{CallFailure, CallId, Config, Event, HoldQueue};

use crate::binding::{Expired, Removal};
use crate::codec::{self, Command, Lifetime, Location, Procedure, ResponseError};
use crate::deadlines::Deadlines;
use crate::lbc::{self, Lbc};
use crate::registrar::Registrar;
use crate::resource;
use crate::sequence::Sequence;

/// A request that is kept back.
#[derive(Debug)]
struct Waiting {
    call: CallId,
    since: SimTime,
    reliability: Reliability,
    request: Request,
    /// To be observed (RFC 7641).
    observe: bool,
}

/// What the client knows of a node besides its LBC entry.
#[derive(Debug, Default)]
struct Peer {
    waiting: VecDeque<Waiting>,
    /// Requests sent and not ended.
    in_flight: u32,
    discovery: Option<RequestId>,
    /// Since when requests are kept back, or the WMMS last confirmed that.
    on_hold_since: Option<SimTime>,
    /// Where requests were sent last.
    sent_to: Option<Ipv6Addr>,
    /// Message ID of the last request that the node answered; 0 if it answered none.
    sequence_number: u16,
}

/// What a request of ours is for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Discovery(Ipv6Addr),
    Call(CallId, Ipv6Addr),
    /// An observation that the node has confirmed.
    Observation(CallId, Ipv6Addr),
}

/// The client; a [`Machine`].
#[derive(Debug)]
pub struct Client {
    config: Config,
    endpoint: Endpoint,
    registrar: Registrar,
    lbc: Lbc,
    peers: BTreeMap<Ipv6Addr, Peer>,
    requests: BTreeMap<RequestId, Purpose>,
    /// When the first request waiting for a node has waited long enough.
    patience: Deadlines<Ipv6Addr>,
    next_call: u64,
    outstanding: usize,
    events: VecDeque<Event>,
}

impl Client {
    /// A client that is not registered. `rng` makes Message IDs, tokens and timeouts.
    pub fn new(config: Config, rng: Rng) -> Client {
        Client {
            endpoint: Endpoint::new(config.coap.clone(), codec::KNOWN_CRITICAL, rng),
            registrar: Registrar::new(config.p_addr, config.wmms, config.lifetime),
            config,
            lbc: Lbc::new(),
            peers: BTreeMap::new(),
            requests: BTreeMap::new(),
            patience: Deadlines::new(),
            next_call: 0,
            outstanding: 0,
            events: VecDeque::new(),
        }
    }

    /// Registers at the WMMS, and again before the lifetime ends: [`Event::Registered`] or
    /// [`Event::RegistrationFailed`].
    pub fn register(&mut self, now: SimTime, t_addr: Ipv6Addr) {
        self.registrar.register(now, &mut self.endpoint, t_addr);
        self.handle_events(now);
    }

    /// Asks the node `p_addr` for `path`, now or as soon as it can be reached.
    pub fn get(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
        path: &str,
        reliability: Reliability,
    ) -> CallId {
        self.ask(now, p_addr, path, reliability, false)
    }

    fn ask(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
        path: &str,
        reliability: Reliability,
        observe: bool,
    ) -> CallId {
        let call = CallId(self.next_call);
        self.next_call += 1;
        self.outstanding += 1;
        let peer = self.peers.entry(p_addr).or_default();
        peer.waiting.push_back(Waiting {
            call,
            since: now,
            reliability,
            request: Request::new(Code::GET, path),
            observe,
        });
        self.drop_overdue_hold(now, p_addr);
        self.pump(now, p_addr);
        self.refuse_overflow(p_addr);
        self.handle_events(now);
        call
    }

    /// Requests given to [`Client::get`] that have not ended.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// The cache.
    pub fn lbc(&self) -> &Lbc {
        &self.lbc
    }

    fn refuse_overflow(&mut self, p_addr: Ipv6Addr) {
        let capacity = self.config.hold_queue.capacity;
        let Some(peer) = self.peers.get_mut(&p_addr) else {
            return;
        };
        if peer.waiting.len() <= capacity {
            return;
        }
        let reason = match peer.on_hold_since {
            Some(_) => CallFailure::HoldQueueFull,
            None => CallFailure::BacklogFull,
        };
        if let Some(refused) = peer.waiting.pop_back() {
            self.fail(refused.call, p_addr, reason);
        }
        self.arm_patience(p_addr);
    }

    /// Sends what may be sent to a node, or finds out where it is.
    fn pump(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        let window = self.config.coap.nstart.max(1);
        while let Some(peer) = self.peers.get_mut(&p_addr)
            && !peer.waiting.is_empty()
        {
            let Some(entry) = self.lbc.get(p_addr) else {
                self.discover(now, p_addr);
                break;
            };
            if entry.held || peer.in_flight >= window {
                break;
            }
            let Some(waiting) = peer.waiting.pop_front() else {
                break;
            };
            peer.in_flight += 1;
            peer.sent_to = Some(entry.t_addr);
            let to = coap_address(entry.t_addr);
            let Waiting {
                call,
                reliability,
                request,
                observe,
                ..
            } = waiting;
            let id = match observe {
                true => self.endpoint.observe(now, to, reliability, request),
                false => self.endpoint.request(now, to, reliability, request),
            };
            self.requests.insert(id, Purpose::Call(call, p_addr));
        }
        self.arm_patience(p_addr);
    }

    fn arm_patience(&mut self, p_addr: Ipv6Addr) {
        let first = (self.peers.get(&p_addr)).and_then(|peer| peer.waiting.front());
        match first {
            Some(first) => {
                let until = first.since + self.config.hold_queue.timeout;
                self.patience.set(p_addr, until);
            }
            None => self.patience.clear(p_addr),
        }
    }

    fn discover(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        let peer = self.peers.entry(p_addr).or_default();
        if peer.discovery.is_some() {
            return;
        }
        let discovery = Command::Discovery { p_addr };
        let id = discovery.send(now, &mut self.endpoint, self.config.wmms, None);
        peer.discovery = Some(id);
        self.requests.insert(id, Purpose::Discovery(p_addr));
    }

    /// Gives up a discovery under way; true if there was one.
    fn cancel_discovery(&mut self, p_addr: Ipv6Addr) -> bool {
        let discovery = (self.peers.get_mut(&p_addr)).and_then(|peer| peer.discovery.take());
        if let Some(id) = discovery {
            self.requests.remove(&id);
            self.endpoint.cancel(id);
        }
        discovery.is_some()
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
                coap::Event::Response {
                    id,
                    message_id,
                    response,
                    ..
                } => self.answered(now, id, message_id, response),
                coap::Event::Notification {
                    id,
                    message_id,
                    sequence,
                    response,
                    ..
                } => self.notified(now, id, message_id, sequence, response),
                coap::Event::Failed { id, to, reason } => self.unanswered(now, id, to, reason),
                coap::Event::Pong { .. } | coap::Event::Block { .. } => {}
            }
        }
    }

    fn answered(&mut self, now: SimTime, id: RequestId, message_id: u16, response: Response) {
        if self.registrar.owns(id) {
            return self.registration_ended(now, Ok(&response));
        }
        match self.requests.remove(&id) {
            Some(Purpose::Call(call, p_addr)) => {
                if let Some(peer) = self.peers.get_mut(&p_addr) {
                    peer.in_flight -= 1;
                    peer.sequence_number = message_id;
                }
                self.outstanding -= 1;
                self.events.push_back(Event::Answered {
                    call,
                    p_addr,
                    message_id,
                    response,
                });
                self.pump(now, p_addr);
            }
            Some(Purpose::Observation(call, p_addr)) => {
                let reason = format!("the node answered {}", response.code);
                self.observation_ended(call, p_addr, reason);
            }
            Some(Purpose::Discovery(p_addr)) => self.discovered(now, p_addr, &response),
            None => {}
        }
    }

    fn unanswered(&mut self, now: SimTime, id: RequestId, to: SocketAddrV6, reason: Failure) {
        if self.registrar.owns(id) {
            return self.registration_ended(now, Err(reason.to_string()));
        }
        match self.requests.remove(&id) {
            Some(Purpose::Call(call, p_addr)) => {
                if let Some(peer) = self.peers.get_mut(&p_addr) {
                    peer.in_flight -= 1;
                }
                self.fail(call, p_addr, CallFailure::Exchange(reason));
                let silent = matches!(reason, Failure::Timeout | Failure::NoResponse);
                self.doubt(now, p_addr, to, silent);
                self.pump(now, p_addr);
            }
            Some(Purpose::Observation(call, p_addr)) => {
                self.observation_ended(call, p_addr, reason.to_string());
                let silent = matches!(reason, Failure::Timeout | Failure::Silent);
                self.doubt(now, p_addr, to, silent);
                self.pump(now, p_addr);
            }
            Some(Purpose::Discovery(p_addr)) => {
                self.discovery_failed(p_addr, &CallFailure::Discovery(reason.to_string()));
            }
            None => {}
        }
    }

    /// Forgets where a node is that was silent at `to`. On hold, silence is what was announced;
    /// elsewhere, it is old news.
    fn doubt(&mut self, now: SimTime, p_addr: Ipv6Addr, to: SocketAddrV6, silent: bool) {
        let doubtful = (self.lbc.get(p_addr))
            .is_some_and(|entry| silent && !entry.held && entry.t_addr == *to.ip());
        if doubtful {
            self.remove(now, p_addr, Removal::NoAnswer);
        }
    }

    fn registration_ended(&mut self, now: SimTime, outcome: Result<&Response, String>) {
        let p_addr = self.config.p_addr;
        match self.registrar.finished(now, &mut self.endpoint, outcome) {
            Ok(None) => {}
            Ok(Some(t_addr)) => self.events.push_back(Event::Registered { p_addr, t_addr }),
            Err(reason) => self.events.push_back(Event::RegistrationFailed { reason }),
        }
    }

    fn discovered(&mut self, now: SimTime, p_addr: Ipv6Addr, response: &Response) {
        let failure = match Location::parse(response) {
            Ok(location) if location.p_addr != p_addr => {
                let other = location.p_addr;
                CallFailure::Discovery(format!("the answer is about {other}, not {p_addr}"))
            }
            Ok(location) if location.lifetime == Lifetime::ZERO => CallFailure::NodeUnknown,
            Ok(location) => {
                if let Some(peer) = self.peers.get_mut(&p_addr) {
                    peer.discovery = None;
                }
                return self.locate(now, &location);
            }
            Err(ResponseError::Refused { code, .. }) if code == Code::NOT_FOUND => {
                CallFailure::NodeUnknown
            }
            Err(error) => CallFailure::Discovery(error.to_string()),
        };
        self.discovery_failed(p_addr, &failure);
    }

    /// Everything that waits for a node that cannot be found fails.
    fn discovery_failed(&mut self, p_addr: Ipv6Addr, reason: &CallFailure) {
        let Some(peer) = self.peers.get_mut(&p_addr) else {
            return;
        };
        peer.discovery = None;
        for waiting in std::mem::take(&mut peer.waiting) {
            self.fail(waiting.call, p_addr, reason.clone());
        }
        self.arm_patience(p_addr);
    }

    fn fail(&mut self, call: CallId, p_addr: Ipv6Addr, reason: CallFailure) {
        self.outstanding -= 1;
        self.events.push_back(Event::Failed {
            call,
            p_addr,
            reason,
        });
    }

    /// Stores where a node is, and goes on from there.
    fn locate(&mut self, now: SimTime, location: &Location) {
        let Location {
            p_addr,
            t_addr,
            lifetime,
            held,
            sleep,
            sequence,
        } = *location;
        let before = (self.lbc.get(p_addr)).map(|entry| (entry.t_addr, entry.held));
        self.lbc.bind(now, p_addr, t_addr, lifetime);
        self.lbc.set_sequence(p_addr, sequence);
        if held {
            self.keep_back(now, p_addr, sleep);
        }
        if before != Some((t_addr, held)) {
            self.events.push_back(Event::BindingChanged {
                p_addr,
                t_addr,
                held,
            });
        }
        if held {
            self.arm_patience(p_addr);
            return;
        }
        let peer = self.peers.entry(p_addr).or_default();
        // What is still being retransmitted goes first: it was asked first.
        if let Some(former) = peer.sent_to.replace(t_addr) {
            let former = coap_address(former);
            self.endpoint.retarget(now, former, coap_address(t_addr));
            self.endpoint.release(now, former);
        }
        self.resume(now, p_addr);
    }

    /// A hold has come, perhaps again: nothing more goes to the node, not even what is under way.
    fn keep_back(&mut self, now: SimTime, p_addr: Ipv6Addr, sleep: Option<Duration>) {
        self.lbc.hold(now, p_addr, sleep);
        let peer = self.peers.entry(p_addr).or_default();
        peer.on_hold_since = Some(now);
        if let Some(to) = peer.sent_to {
            self.endpoint.keep_back(coap_address(to));
        }
    }

    /// A hold is over, if there was one: sends what was kept back.
    fn resume(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        self.release(now, p_addr);
        if let Some(peer) = self.peers.get_mut(&p_addr)
            && peer.on_hold_since.take().is_some()
        {
            let queued = peer.waiting.len();
            self.events.push_back(Event::Resumed { p_addr, queued });
        }
        self.pump(now, p_addr);
    }

    /// What was under way when the hold came may be sent again.
    fn release(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        if let Some(to) = self.peers.get(&p_addr).and_then(|peer| peer.sent_to) {
            self.endpoint.release(now, coap_address(to));
        }
    }

    fn remove(&mut self, now: SimTime, p_addr: Ipv6Addr, reason: Removal) {
        if self.lbc.remove(now, p_addr).is_some() {
            self.events
                .push_back(Event::BindingRemoved { p_addr, reason });
            self.release(now, p_addr);
        }
    }

    fn expire(&mut self, now: SimTime) {
        while let Some(expired) = self.lbc.expire(now) {
            match expired {
                Expired::Lifetime(p_addr) => {
                    self.events.push_back(Event::BindingRemoved {
                        p_addr,
                        reason: Removal::LifetimeEnded,
                    });
                    self.release(now, p_addr);
                    self.pump(now, p_addr);
                }
                Expired::Sleep(p_addr) => {
                    if let Some(entry) = self.lbc.get(p_addr) {
                        let (t_addr, held) = (entry.t_addr, entry.held);
                        self.events.push_back(Event::BindingChanged {
                            p_addr,
                            t_addr,
                            held,
                        });
                    }
                    self.resume(now, p_addr);
                }
            }
        }
        while let Some(p_addr) = self.patience.take_due(now) {
            self.fail_overdue(now, p_addr);
        }
    }

    /// Fails the requests that have waited too long for a node.
    fn fail_overdue(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        let timeout = self.config.hold_queue.timeout;
        while let Some(peer) = self.peers.get_mut(&p_addr)
            && let Some(overdue) = peer.waiting.pop_front_if(|w| w.since + timeout <= now)
        {
            let reason = match peer.on_hold_since {
                Some(_) => CallFailure::HoldTimeout,
                None => CallFailure::BacklogTimeout,
            };
            self.fail(overdue.call, p_addr, reason);
        }
        self.drop_overdue_hold(now, p_addr);
        self.pump(now, p_addr);
    }

    /// A hold that outlasts the client's patience is not trusted any more.
    fn drop_overdue_hold(&mut self, now: SimTime, p_addr: Ipv6Addr) {
        let asleep = (self.lbc.get(p_addr)).is_some_and(|entry| entry.sleep_ends.is_some());
        let hold_overdue = (self.peers.get(&p_addr))
            .and_then(|peer| peer.on_hold_since)
            .is_some_and(|since| since + self.config.hold_queue.timeout <= now);
        if hold_overdue && !asleep {
            self.remove(now, p_addr, Removal::HoldOverdue);
        }
    }
}

/// Where CoAP is spoken at `address`.
fn coap_address(address: Ipv6Addr) -> SocketAddrV6 {
    SocketAddrV6::new(address, PORT, 0, 0)
}

impl Machine for Client {
    type Event = Event;

    fn handle_datagram(&mut self, now: SimTime, from: SocketAddrV6, payload: &[u8]) {
        self.expire(now);
        self.endpoint.handle_datagram(now, from, payload);
        self.handle_events(now);
    }

    fn handle_timeout(&mut self, now: SimTime) {
        self.endpoint.handle_timeout(now);
        self.handle_events(now);
        self.registrar.handle_timeout(now, &mut self.endpoint);
        self.expire(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.endpoint.poll_transmit()
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        [
            self.endpoint.poll_timeout(),
            self.registrar.poll_timeout(),
            self.lbc.next_deadline(),
            self.patience.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
