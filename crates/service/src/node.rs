//! The node as its services see it.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddrV6};

use coap::link::Link;
use coap::{
    ContextId, ExchangeId, Failure, Observation, Reliability, Request, RequestId, Response, Waits,
};
use units::SimTime;

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A node by its permanent address, at CoAP's port: wherever the mobility protocol of the
    /// asking node says that it is.
    Node(Ipv6Addr),
    /// Whoever is at that address: asked as it is, neither located nor waited for.
    Address(SocketAddrV6),
}

impl Target {
    /// Whoever is at that address, at CoAP's port.
    pub fn at(address: Ipv6Addr) -> Target {
        Target::Address(SocketAddrV6::new(address, coap::message::PORT, 0, 0))
    }

    /// Its address, permanent or not.
    pub fn ip(&self) -> Ipv6Addr {
        match self {
            Target::Node(address) => *address,
            Target::Address(address) => *address.ip(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Node(address) => address.fmt(f),
            Target::Address(address) => address.fmt(f),
        }
    }
}

/// Names what a node was told to ask; ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Why a call ended without a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// Sent, and [`Failure`] says what became of it.
    Exchange(Failure),
    /// The queue was full while the node was on hold.
    HoldQueueFull,
    /// The node was on hold for too long.
    HoldTimeout,
    /// The queue was full of requests for a node that was not on hold.
    BacklogFull,
    /// Its turn did not come in time, or the node was not located in time.
    BacklogTimeout,
    /// The mobility protocol does not know the node.
    NodeUnknown,
    /// The node could not be located otherwise.
    Discovery(String),
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallFailure::Exchange(Failure::Timeout) => f.write_str("timeout"),
            CallFailure::Exchange(Failure::Reset) => f.write_str("reset"),
            CallFailure::Exchange(Failure::NoResponse) => f.write_str("no response"),
            CallFailure::Exchange(other) => other.fmt(f),
            CallFailure::HoldQueueFull => f.write_str("hold queue full"),
            CallFailure::HoldTimeout => f.write_str("hold timeout"),
            CallFailure::BacklogFull => f.write_str("backlog full"),
            CallFailure::BacklogTimeout => f.write_str("backlog timeout"),
            CallFailure::NodeUnknown => f.write_str("node unknown"),
            CallFailure::Discovery(reason) => write!(f, "discovery failed: {reason}"),
        }
    }
}

impl std::error::Error for CallFailure {}

/// What becomes of a call. It ends in one [`Outcome::Answered`], [`Outcome::Sent`] or [`Outcome::Failed`]; an
/// observation (RFC 7641) has any number of [`Outcome::Notified`] and [`Outcome::NotificationLost`]
/// before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The response, be it an error; to an observation, what ends it.
    Answered {
        /// Message ID of the request, which a separate response does not carry; of one in blocks, of the last.
        message_id: u16,
        /// The response.
        response: Response,
    },
    /// A state of what is observed.
    Notified {
        /// Message ID of the notification; of the first, of the response.
        message_id: u16,
        /// The number in the Observe option (RFC 7641 §3.4).
        sequence: u32,
        /// The state.
        response: Response,
    },
    /// A state of what is observed that could not be had whole: the observation goes on.
    NotificationLost {
        /// The number in the Observe option.
        sequence: u32,
        /// Why.
        reason: Failure,
    },
    /// The request was sent, and no response that it wants has come or is waited for (RFC 7967).
    Sent,
    /// There is no response, or no further state.
    Failed(CallFailure),
}

impl Outcome {
    /// Whether the call has ended with it.
    pub fn ends(&self) -> bool {
        matches!(
            self,
            Outcome::Answered { .. } | Outcome::Sent | Outcome::Failed(_)
        )
    }
}

/// A request of somebody's, to be answered by [`Node::respond`] or [`Node::respond_observed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Names it.
    pub exchange: ExchangeId,
    /// Who asks: from where.
    pub from: SocketAddrV6,
    /// Who asks: under which security context, if it came protected.
    pub context: Option<ContextId>,
    /// CON, otherwise NON.
    pub confirmable: bool,
    /// The request.
    pub request: Request,
}

/// What a node has for its services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody asks.
    Request(Incoming),
    /// What became of what a service asked.
    Call {
        /// What was asked.
        call: CallId,
        /// What became of it.
        outcome: Outcome,
    },
}

/// A node, as far as its services can see it: a CoAP endpoint whose peers, and which itself, may
/// move.
///
/// What it has for them comes as [`Event`]s, through whoever runs it.
pub trait Node {
    /// Asks, now or as soon as the target can be reached.
    fn ask(
        &mut self,
        now: SimTime,
        target: Target,
        reliability: Reliability,
        request: Request,
    ) -> CallId;

    /// Observes by a GET or FETCH (RFC 7641 §3.1, RFC 8132 §2.4), from now or as soon as the target
    /// can be reached; wherever it moves.
    fn observe(
        &mut self,
        now: SimTime,
        target: Target,
        reliability: Reliability,
        request: Request,
    ) -> CallId;

    /// Ends an observation that has been notified: it ends in [`Outcome::Answered`] or
    /// [`Outcome::Failed`]. What has had no outcome yet, observed or not, is given up:
    /// [`Failure::Cancelled`].
    fn stop_observing(&mut self, now: SimTime, call: CallId);

    /// Answers a request, once.
    fn respond(&mut self, now: SimTime, exchange: ExchangeId, response: Response);

    /// Answers a GET or FETCH, and registers whoever wants to observe for [`Node::notify`] and
    /// [`Node::notify_one`].
    fn respond_observed(&mut self, now: SimTime, exchange: ExchangeId, response: Response);

    /// Tells whoever observes `path` its new state; an error ends the observations.
    fn notify(&mut self, now: SimTime, path: &str, state: &Response);

    /// Tells one observation, named by the exchange that registered it, its new state.
    fn notify_one(&mut self, now: SimTime, observation: ExchangeId, state: &Response);

    /// Who observes what of this node.
    fn observations(&self) -> Vec<Observation<'_>>;

    /// What the node serves itself, for `/.well-known/core`.
    fn links(&self) -> Vec<Link>;

    /// What was asked and could not be sent at once, of that which was sent.
    fn waits(&self) -> Waits;

    /// Since when what is asked of `target` is kept back, or when that was last confirmed, because it is said to be on its
    /// way to another place, or asleep; none: it is not, as far as the node knows. One without such a protocol never knows.
    fn kept_back_since(&self, target: Target) -> Option<SimTime> {
        let _ = target;
        None
    }

    /// Where `target` is, as far as the node knows: its temporary address. One without a protocol that tells it never knows.
    fn located_at(&self, target: Target) -> Option<Ipv6Addr> {
        let _ = target;
        None
    }
}

/// A node without mobility: it is where it is, and [`Target::Node`] is an address like any other.
impl Node for coap::Endpoint {
    fn ask(
        &mut self,
        now: SimTime,
        target: Target,
        reliability: Reliability,
        request: Request,
    ) -> CallId {
        let to = address(target);
        call(coap::Endpoint::ask(
            self,
            now,
            now,
            to,
            reliability,
            request,
            false,
        ))
    }

    fn observe(
        &mut self,
        now: SimTime,
        target: Target,
        reliability: Reliability,
        request: Request,
    ) -> CallId {
        let to = address(target);
        call(coap::Endpoint::ask(
            self,
            now,
            now,
            to,
            reliability,
            request,
            true,
        ))
    }

    fn stop_observing(&mut self, now: SimTime, call: CallId) {
        coap::Endpoint::stop_observing(self, now, RequestId(call.0));
    }

    fn respond(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        coap::Endpoint::respond(self, now, exchange, response);
    }

    fn respond_observed(&mut self, now: SimTime, exchange: ExchangeId, response: Response) {
        coap::Endpoint::respond_observed(self, now, exchange, response);
    }

    fn notify(&mut self, now: SimTime, path: &str, state: &Response) {
        coap::Endpoint::notify(self, now, path, state);
    }

    fn notify_one(&mut self, now: SimTime, observation: ExchangeId, state: &Response) {
        coap::Endpoint::notify_one(self, now, observation, state);
    }

    fn observations(&self) -> Vec<Observation<'_>> {
        coap::Endpoint::observations(self).collect()
    }

    fn links(&self) -> Vec<Link> {
        Vec::new()
    }

    fn waits(&self) -> Waits {
        coap::Endpoint::waits(self)
    }
}

fn address(target: Target) -> SocketAddrV6 {
    match target {
        Target::Node(address) => SocketAddrV6::new(address, coap::message::PORT, 0, 0),
        Target::Address(address) => address,
    }
}

fn call(id: RequestId) -> CallId {
    CallId(id.0)
}

/// What of an endpoint's events is for services; the event itself if nothing is.
impl TryFrom<coap::Event> for Event {
    type Error = coap::Event;

    fn try_from(event: coap::Event) -> Result<Event, coap::Event> {
        let (id, outcome) = match event {
            coap::Event::Request {
                exchange,
                from,
                confirmable,
                context,
                request,
                ..
            } => {
                return Ok(Event::Request(Incoming {
                    exchange,
                    from,
                    context,
                    confirmable,
                    request,
                }));
            }
            coap::Event::Response {
                id,
                message_id,
                response,
                ..
            } => (
                id,
                Outcome::Answered {
                    message_id,
                    response,
                },
            ),
            coap::Event::Sent { id, .. } => (id, Outcome::Sent),
            coap::Event::Notification {
                id,
                message_id,
                sequence,
                response,
                ..
            } => (
                id,
                Outcome::Notified {
                    message_id,
                    sequence,
                    response,
                },
            ),
            coap::Event::NotificationLost {
                id,
                sequence,
                reason,
                ..
            } => (id, Outcome::NotificationLost { sequence, reason }),
            coap::Event::Failed { id, reason, .. } => {
                let failure = match reason {
                    Failure::NotSent => CallFailure::BacklogTimeout,
                    sent => CallFailure::Exchange(sent),
                };
                (id, Outcome::Failed(failure))
            }
            other @ (coap::Event::Block { .. } | coap::Event::Pong { .. }) => return Err(other),
        };
        let call = call(id);
        Ok(Event::Call { call, outcome })
    }
}
