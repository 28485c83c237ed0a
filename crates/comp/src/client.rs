//! What a [`Node`](crate::node::Node) does as a client, CWC in CoMM: it asks others by their
//! permanent address, by any method.
//!
//! Discovers where a node is, keeps that in the [`Lbc`], keeps requests back while the node is on
//! hold, and follows it to its new T_Addr. A [`Target::Address`] is asked where it is: it is never
//! discovered, on hold or in doubt, and only this node's own absence keeps requests to it back.
//!
//! What the papers leave open:
//!
//! * Per node at most NSTART requests (RFC 7252 §4.7) are on their way; the others wait
//!   *here*, in order, and not in the endpoint, so that a hold stops them. Requests that wait
//!   for a discovery, for a hold to end or for their turn share one queue of
//!   [`HoldQueue::capacity`] per node, and each waits at most [`HoldQueue::timeout`]. Nothing
//!   is dropped silently: every [`CallId`] ends in one [`Outcome::Answered`],
//!   [`Outcome::Sent`] or [`Outcome::Failed`].
//! * Confirmable requests on their way when a hold comes keep their schedule, and are sent to
//!   the new T_Addr as soon as it is known. A binding to the T_Addr that the node had before has
//!   them sent again as well: the node was away, and its answers with it.
//! * A request that finds no answer makes the entry doubtful: the next one discovers again.
//!   So does a hold that outlasts [`HoldQueue::timeout`], in case the binding update never
//!   got here.
//! * A hold or binding update is accepted from the WMMS and from the node itself (its T_Addr,
//!   old or new), and only about a node that this client asks. With
//!   [`verify_sources`](coap::Params::verify_sources) one from a T_Addr that is new is believed when
//!   the WMMS says the same (`client/claim.rs`). This is no protection against forged addresses; CoMP has
//!   none.
//! * A hold or binding update that is not newer than the last one accepted about its node
//!   changes nothing and is answered 4.09 ([`crate::sequence`]), but the same binding update from
//!   WMMS and node is acknowledged to both. The answer to a discovery is taken whatever its
//!   number: the WMMS is asked where this client has lost the node.
//! * *A request that is sent twice, and what it does.* A request that is sent again to a new T_Addr
//!   keeps its Message ID and token. The node knows a copy by these and by where it comes from
//!   (RFC 7252 §4.5), wherever it is reached itself: what it was served at its former T_Addr it
//!   answers at the new one with the same reply, and does once, unless it has restarted or was
//!   asked so much meanwhile that it has forgotten. A request that is sent again because the
//!   *client* has moved comes from another address, and so is another request: what is not
//!   idempotent (POST, PATCH; RFC 8132 §4) may be done twice.
//! * While the client itself is handed over or asleep, requests are kept back in the same queues.
//!   What was on its way when it left is sent again, under its Message ID, when it is back; what
//!   was not confirmable has failed.
//! * A client that has moved acknowledges holds with Sequence number 0 until it is answered
//!   where it is now: the node does not know it there.
//! * A hold that meets a discovery on its way is answered, and the discovery is made again:
//!   its answer may be older than the hold. A binding update takes the place of the answer.

mod api;
mod claim;
mod expiry;
mod observe;
mod pause;
mod server;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::message::PORT;
use coap::{Code, Endpoint, Failure, Reliability, Request, RequestId, Response};
use handover::BindingEvent;
use units::SimTime;

pub use api::{Event, HoldQueue};
pub use service::{CallFailure, CallId, Outcome, Target};

use crate::binding::{Expired, Removal};
use crate::codec::{self, Command, Lifetime, Location, Procedure, ResponseError};
use crate::lbc::{self, Lbc};
use crate::sequence::Sequence;
use claim::Claim;
use machine::Deadlines;

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

/// What the client knows of whom it asks besides the LBC entry.
#[derive(Debug, Default)]
struct Peer {
    waiting: VecDeque<Waiting>,
    /// Requests sent and not ended.
    in_flight: u32,
    /// Observations that it has confirmed.
    observed: u32,
    discovery: Option<RequestId>,
    /// Since when requests are kept back, or the WMMS last confirmed that.
    on_hold_since: Option<SimTime>,
    /// Where requests were sent last.
    sent_to: Option<SocketAddrV6>,
    /// Message ID of the last request that the node answered; 0 if it answered none.
    sequence_number: u16,
    /// Whether the client has moved since then.
    moved_since: bool,
    /// Where somebody unknown says that the node is.
    claim: Option<Claim>,
}

impl Peer {
    /// Whether nothing is asked of it.
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight == 0 && self.observed == 0
    }

    /// The node answered a request.
    fn answered(&mut self, message_id: u16) {
        self.sequence_number = message_id;
        self.moved_since = false;
    }

    /// What is reported in the 2.04 to a hold: whether the node knows this client.
    fn reported(&self) -> u16 {
        match self.moved_since {
            true => 0,
            false => self.sequence_number,
        }
    }
}

/// What a request of ours is for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Discovery(Ipv6Addr),
    Call(CallId, Target),
    /// An observation that the node has confirmed.
    Observation(CallId, Target),
}

/// The client's part of a node; the endpoint is the node's.
#[derive(Debug)]
pub struct Client {
    wmms: SocketAddrV6,
    hold_queue: HoldQueue,
    /// Requests to one target on their way at a time.
    window: u32,
    lbc: Lbc,
    peers: BTreeMap<Target, Peer>,
    requests: BTreeMap<RequestId, Purpose>,
    /// When the first request waiting for a target has waited long enough.
    patience: Deadlines<Target>,
    /// The WMMS is asked before a binding update from an address that is not known is believed.
    asks_first: bool,
    /// When the WMMS is asked again about a claim.
    doubts: Deadlines<Ipv6Addr>,
    next_call: u64,
    outstanding: usize,
    /// The client itself is handed over or asleep.
    paused: bool,
    /// It has another address since.
    moved: bool,
    /// Former and present T_Addr of nodes that have moved, for the node's part.
    moves: VecDeque<(Ipv6Addr, Ipv6Addr)>,
    events: VecDeque<Event>,
}

impl Client {
    pub(crate) fn new(
        wmms: SocketAddrV6,
        hold_queue: HoldQueue,
        nstart: u32,
        asks_first: bool,
    ) -> Client {
        Client {
            wmms,
            hold_queue,
            window: nstart.max(1),
            lbc: Lbc::new(),
            peers: BTreeMap::new(),
            requests: BTreeMap::new(),
            patience: Deadlines::new(),
            asks_first,
            doubts: Deadlines::new(),
            next_call: 0,
            outstanding: 0,
            paused: false,
            moved: false,
            moves: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Asks, now or as soon as the target can be reached; to be observed (RFC 7641) or answered
    /// once.
    pub(crate) fn ask(
        &mut self,
        now: SimTime,
        endpoint: &mut Endpoint,
        target: Target,
        reliability: Reliability,
        request: Request,
        observe: bool,
    ) -> CallId {
        let call = CallId(self.next_call);
        self.next_call += 1;
        self.outstanding += 1;
        let peer = self.peers.entry(target).or_default();
        peer.waiting.push_back(Waiting {
            call,
            since: now,
            reliability,
            request,
            observe,
        });
        self.drop_overdue_hold(now, endpoint, target);
        self.pump(now, endpoint, target);
        self.refuse_overflow(target);
        call
    }

    /// Requests that have not ended.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Since when a target is on hold, or the WMMS last confirmed that.
    pub(crate) fn on_hold_since(&self, target: Target) -> Option<SimTime> {
        self.peers.get(&target)?.on_hold_since
    }

    /// The cache.
    pub fn lbc(&self) -> &Lbc {
        &self.lbc
    }

    /// When [`Client::expire`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<SimTime> {
        let deadlines = [
            self.lbc.next_deadline(),
            self.patience.next(),
            self.doubts.next(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// The next event for the owner.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next node known to have moved: its former and its present T_Addr.
    pub(crate) fn poll_move(&mut self) -> Option<(Ipv6Addr, Ipv6Addr)> {
        self.moves.pop_front()
    }

    fn refuse_overflow(&mut self, target: Target) {
        let capacity = self.hold_queue.capacity;
        let Some(peer) = self.peers.get_mut(&target) else {
            return;
        };
        if peer.waiting.len() <= capacity {
            return;
        }
        let reason = match self.paused || peer.on_hold_since.is_some() {
            true => CallFailure::HoldQueueFull,
            false => CallFailure::BacklogFull,
        };
        if let Some(refused) = peer.waiting.pop_back() {
            self.fail(refused.call, reason);
        }
        self.arm_patience(target);
    }

    /// Sends what may be sent to a target, or finds out where it is.
    fn pump(&mut self, now: SimTime, endpoint: &mut Endpoint, target: Target) {
        while !self.paused
            && let Some(peer) = self.peers.get_mut(&target)
            && !peer.waiting.is_empty()
        {
            let (to, held) = match target {
                Target::Address(address) => (address, false),
                Target::Node(p_addr) => {
                    let Some(entry) = self.lbc.get(p_addr) else {
                        self.discover(now, endpoint, p_addr);
                        break;
                    };
                    (coap_address(entry.t_addr), entry.held)
                }
            };
            if held || peer.in_flight >= self.window {
                break;
            }
            let Some(waiting) = peer.waiting.pop_front() else {
                break;
            };
            peer.in_flight += 1;
            peer.sent_to = Some(to);
            let Waiting {
                call,
                since,
                reliability,
                request,
                observe,
            } = waiting;
            let id = endpoint.ask(now, since, to, reliability, request, observe);
            self.requests.insert(id, Purpose::Call(call, target));
        }
        self.arm_patience(target);
    }

    fn arm_patience(&mut self, target: Target) {
        let first = (self.peers.get(&target)).and_then(|peer| peer.waiting.front());
        match first {
            Some(first) => {
                let until = first.since + self.hold_queue.timeout;
                self.patience.set(target, until);
            }
            None => {
                self.patience.clear(target);
                self.forget(target);
            }
        }
    }

    /// What the client knows of a node.
    fn node(&self, p_addr: Ipv6Addr) -> Option<&Peer> {
        self.peers.get(&Target::Node(p_addr))
    }

    fn node_mut(&mut self, p_addr: Ipv6Addr) -> &mut Peer {
        self.peers.entry(Target::Node(p_addr)).or_default()
    }

    fn discover(&mut self, now: SimTime, endpoint: &mut Endpoint, p_addr: Ipv6Addr) {
        if self.node_mut(p_addr).discovery.is_some() {
            return;
        }
        let discovery = Command::Discovery { p_addr };
        let id = discovery.send(now, endpoint, self.wmms, None);
        self.node_mut(p_addr).discovery = Some(id);
        self.requests.insert(id, Purpose::Discovery(p_addr));
    }

    /// Gives up a discovery under way; true if there was one.
    fn cancel_discovery(&mut self, endpoint: &mut Endpoint, p_addr: Ipv6Addr) -> bool {
        let peer = self.peers.get_mut(&Target::Node(p_addr));
        let discovery = peer.and_then(|peer| peer.discovery.take());
        if let Some(id) = discovery {
            self.requests.remove(&id);
            endpoint.cancel(id);
        }
        discovery.is_some()
    }

    /// Whether a request is one of the client's.
    pub(crate) fn owns(&self, id: RequestId) -> bool {
        self.requests.contains_key(&id)
    }

    /// One of its requests was answered.
    pub(crate) fn answered(
        &mut self,
        now: SimTime,
        endpoint: &mut Endpoint,
        id: RequestId,
        message_id: u16,
        response: Response,
    ) {
        let answered = |response| Outcome::Answered {
            message_id,
            response,
        };
        match self.requests.remove(&id) {
            Some(Purpose::Call(call, target)) => {
                if let Some(peer) = self.peers.get_mut(&target) {
                    peer.in_flight -= 1;
                    peer.answered(message_id);
                }
                self.outstanding -= 1;
                self.tell(call, answered(response));
                self.pump(now, endpoint, target);
            }
            Some(Purpose::Observation(call, target)) => {
                self.observed_ended(target);
                self.tell(call, answered(response));
            }
            Some(Purpose::Discovery(p_addr)) => self.discovered(now, endpoint, p_addr, &response),
            None => {}
        }
    }

    /// One of its requests was sent, and wants no response (RFC 7967). Nothing is known of its node
    /// by that.
    pub(crate) fn sent(&mut self, now: SimTime, endpoint: &mut Endpoint, id: RequestId) {
        if let Some(Purpose::Call(call, target)) = self.requests.remove(&id) {
            if let Some(peer) = self.peers.get_mut(&target) {
                peer.in_flight -= 1;
            }
            self.outstanding -= 1;
            self.tell(call, Outcome::Sent);
            self.pump(now, endpoint, target);
        }
    }

    /// One of its requests ended otherwise.
    pub(crate) fn unanswered(
        &mut self,
        now: SimTime,
        endpoint: &mut Endpoint,
        id: RequestId,
        to: SocketAddrV6,
        reason: Failure,
    ) {
        match self.requests.remove(&id) {
            Some(Purpose::Call(call, target)) => {
                if let Some(peer) = self.peers.get_mut(&target) {
                    peer.in_flight -= 1;
                }
                self.fail(call, CallFailure::Exchange(reason));
                let silent = matches!(reason, Failure::Timeout | Failure::NoResponse);
                self.doubt(now, endpoint, target, to, silent);
                self.pump(now, endpoint, target);
            }
            Some(Purpose::Observation(call, target)) => {
                self.observed_ended(target);
                self.tell(call, Outcome::Failed(CallFailure::Exchange(reason)));
                let silent = matches!(reason, Failure::Timeout | Failure::Silent);
                self.doubt(now, endpoint, target, to, silent);
                self.pump(now, endpoint, target);
            }
            Some(Purpose::Discovery(p_addr)) => {
                self.discovery_failed(p_addr, &CallFailure::Discovery(reason.to_string()));
            }
            None => {}
        }
    }

    /// Forgets where a node is that was silent at `to`. On hold, silence is what was announced;
    /// elsewhere, it is old news.
    fn doubt(
        &mut self,
        now: SimTime,
        endpoint: &mut Endpoint,
        target: Target,
        to: SocketAddrV6,
        silent: bool,
    ) {
        let Target::Node(p_addr) = target else {
            return;
        };
        let doubtful = (self.lbc.get(p_addr))
            .is_some_and(|entry| silent && !entry.held && entry.t_addr == *to.ip());
        if doubtful {
            self.remove(now, endpoint, p_addr, Removal::NoAnswer);
        }
    }

    fn discovered(
        &mut self,
        now: SimTime,
        endpoint: &mut Endpoint,
        p_addr: Ipv6Addr,
        response: &Response,
    ) {
        let failure = match Location::parse(response) {
            Ok(location) if location.p_addr != p_addr => {
                let other = location.p_addr;
                CallFailure::Discovery(format!("the answer is about {other}, not {p_addr}"))
            }
            Ok(location) if location.lifetime == Lifetime::ZERO => CallFailure::NodeUnknown,
            Ok(location) => {
                self.node_mut(p_addr).discovery = None;
                self.settle(now, &location);
                return self.locate(now, endpoint, &location);
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
        self.drop_claim(p_addr);
        let peer = self.node_mut(p_addr);
        peer.discovery = None;
        for waiting in std::mem::take(&mut peer.waiting) {
            self.fail(waiting.call, reason.clone());
        }
        self.arm_patience(Target::Node(p_addr));
    }

    fn fail(&mut self, call: CallId, reason: CallFailure) {
        self.outstanding -= 1;
        self.tell(call, Outcome::Failed(reason));
    }

    fn tell(&mut self, call: CallId, outcome: Outcome) {
        self.events.push_back(Event::Call { call, outcome });
    }

    /// Stores where a node is, and goes on from there.
    fn locate(&mut self, now: SimTime, endpoint: &mut Endpoint, location: &Location) {
        let Location {
            p_addr,
            t_addr,
            lifetime,
            held,
            sleep,
            sequence,
        } = *location;
        let before = (self.lbc.get(p_addr)).map(|entry| (entry.t_addr, entry.held));
        // A binding that this client had not heard of: an answer to a discovery may be none.
        let is_news = sequence.is_none() || self.lbc.sequence(p_addr) != sequence;
        self.lbc.bind(now, p_addr, t_addr, lifetime);
        self.lbc.set_sequence(p_addr, sequence);
        if held {
            self.keep_back(now, endpoint, p_addr, sleep);
        }
        if before != Some((t_addr, held)) {
            self.events.push_back(Event::Binding(BindingEvent::Changed {
                p_addr,
                t_addr,
                held,
            }));
        }
        if held {
            self.arm_patience(Target::Node(p_addr));
            return;
        }
        // What is still being retransmitted goes first: it was asked first.
        let known = before.map(|(former, _)| coap_address(former));
        let there = coap_address(t_addr);
        if let Some(former) = self.node_mut(p_addr).sent_to.replace(there).or(known) {
            if former != there {
                self.moves.push_back((*former.ip(), t_addr));
                endpoint.retarget(now, former, there);
                endpoint.release(now, former);
            } else if is_news {
                endpoint.retry(now, there);
            }
        }
        self.resume(now, endpoint, p_addr);
    }

    /// A hold has come, perhaps again: nothing more goes to the node, not even what is under way.
    fn keep_back(
        &mut self,
        now: SimTime,
        endpoint: &mut Endpoint,
        p_addr: Ipv6Addr,
        sleep: Option<Duration>,
    ) {
        self.lbc.hold(now, p_addr, sleep);
        let peer = self.node_mut(p_addr);
        peer.on_hold_since = Some(now);
        if let Some(to) = peer.sent_to {
            endpoint.keep_back(to);
        }
    }

    /// A hold is over, if there was one: sends what was kept back.
    fn resume(&mut self, now: SimTime, endpoint: &mut Endpoint, p_addr: Ipv6Addr) {
        self.release(now, endpoint, p_addr);
        let peer = self.node_mut(p_addr);
        if peer.on_hold_since.take().is_some() {
            let queued = u32::try_from(peer.waiting.len()).unwrap_or(u32::MAX);
            let resumed = BindingEvent::Resumed { p_addr, queued };
            self.events.push_back(Event::Binding(resumed));
        }
        self.pump(now, endpoint, Target::Node(p_addr));
    }

    /// What was under way when the hold came may be sent again.
    fn release(&mut self, now: SimTime, endpoint: &mut Endpoint, p_addr: Ipv6Addr) {
        if let Some(to) = self.node(p_addr).and_then(|peer| peer.sent_to) {
            endpoint.release(now, to);
        }
    }

    fn remove(&mut self, now: SimTime, endpoint: &mut Endpoint, p_addr: Ipv6Addr, reason: Removal) {
        if self.lbc.remove(now, p_addr).is_some() {
            let reason = reason.into();
            let removed = BindingEvent::Removed { p_addr, reason };
            self.events.push_back(Event::Binding(removed));
            self.release(now, endpoint, p_addr);
        }
    }
}

/// Where CoAP is spoken at `address`.
fn coap_address(address: Ipv6Addr) -> SocketAddrV6 {
    SocketAddrV6::new(address, PORT, 0, 0)
}
