//! What goes into and comes out of the [`Client`](super::Client).

use std::time::Duration;

use handover::BindingEvent;
use service::{CallId, Outcome};

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

/// What the owner is told, in [`node::Event::Client`](crate::node::Event::Client).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What became of a request given to [`Node::ask`](crate::node::Node::ask) or
    /// [`Node::observe`](crate::node::Node::observe).
    Call {
        /// Which request.
        call: CallId,
        /// What became of it.
        outcome: Outcome,
    },
    /// T_Addr or H_Flag of an entry of the cache changed, the entry left the cache, or a hold is
    /// over and what was kept back is being sent.
    Binding(BindingEvent),
}
