//! What goes into and comes out of the [`Client`](super::Client).

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use coap::{Failure, Response};
use handover::BindingEvent;

/// Bounds of what is kept back per node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldQueue {
    /// Requests kept; one more fails at once.
    pub capacity: usize,
    /// Longest wait of a request; then it fails.
    pub timeout: Duration,
}

impl Default for HoldQueue {
    /// 1000 requests, 10 s.
    fn default() -> HoldQueue {
        HoldQueue {
            capacity: 1000,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Names a request given to [`Node::get`](crate::node::Node::get) or
/// [`Node::observe`](crate::node::Node::observe); ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(super) u64);

/// What the owner is told, in [`node::Event::Client`](crate::node::Event::Client).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The node answered, be it with an error code.
    Answered {
        /// Which request.
        call: CallId,
        /// Permanent address of the node.
        p_addr: Ipv6Addr,
        /// Message ID of the request.
        message_id: u16,
        /// The response.
        response: Response,
    },
    /// A resource that is observed has a new state; the first one answers the request.
    Notified {
        /// Which request.
        call: CallId,
        /// Permanent address of the node.
        p_addr: Ipv6Addr,
        /// The number in the Observe option (RFC 7641 §3.4).
        sequence: u32,
        /// The state.
        response: Response,
    },
    /// No more states of a resource follow.
    ObservationEnded {
        /// Which request.
        call: CallId,
        /// Permanent address of the node.
        p_addr: Ipv6Addr,
        /// Why.
        reason: String,
    },
    /// A request ended without a response.
    Failed {
        /// Which request.
        call: CallId,
        /// Permanent address of the node.
        p_addr: Ipv6Addr,
        /// Why.
        reason: CallFailure,
    },
    /// T_Addr or H_Flag of an entry of the cache changed, the entry left the cache, or a hold is
    /// over and what was kept back is being sent.
    Binding(BindingEvent),
}

/// Why a request ended without a response.
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
    /// Its turn did not come in time, or the discovery did not end.
    BacklogTimeout,
    /// The WMMS does not know the node.
    NodeUnknown,
    /// The discovery failed otherwise.
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
