//! What a server tells its owner.

use std::net::SocketAddrV6;
use std::sync::Arc;

use coap::Code;

use super::operation::{Content, OperationId, Outcome};
use super::registration::RegistrationId;
use crate::path::Path;

/// What a [`Server`](super::Server) tells its owner.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A client has registered; [`Server::registration`](super::Server::registration) has the rest.
    Registered {
        /// The registration.
        registration: RegistrationId,
        /// The client.
        endpoint: Arc<str>,
        /// The registration of the same client that is over with it.
        replaced: Option<RegistrationId>,
    },
    /// A registration goes on.
    Updated {
        /// The registration.
        registration: RegistrationId,
        /// The client.
        endpoint: Arc<str>,
        /// The client's address is another one.
        moved: bool,
    },
    /// A client has left.
    Deregistered {
        /// The registration.
        registration: RegistrationId,
        /// The client.
        endpoint: Arc<str>,
    },
    /// A lifetime has passed.
    Expired {
        /// The registration.
        registration: RegistrationId,
        /// The client.
        endpoint: Arc<str>,
    },
    /// Somebody's request was refused.
    Refused {
        /// Who asked.
        from: SocketAddrV6,
        /// The answer.
        code: Code,
        /// Its words.
        reason: String,
    },
    /// An operation is over.
    Done {
        /// The operation.
        id: OperationId,
        /// The client.
        endpoint: Arc<str>,
        /// What became of it.
        outcome: Outcome,
    },
    /// What is observed has a new state.
    Notified {
        /// The Observe or Observe-Composite.
        id: OperationId,
        /// The client.
        endpoint: Arc<str>,
        /// The number in the Observe option (RFC 7641 §3.4).
        sequence: u32,
        /// The state.
        content: Content,
    },
    /// A state of what is observed could not be had whole.
    NotificationLost {
        /// The Observe or Observe-Composite.
        id: OperationId,
        /// The client.
        endpoint: Arc<str>,
        /// Why.
        reason: coap::Failure,
    },
    /// An observation is over that nobody cancelled.
    ObservationEnded {
        /// The Observe or Observe-Composite.
        id: OperationId,
        /// The client.
        endpoint: Arc<str>,
        /// Why.
        reason: String,
    },
    /// A client sent values of its own accord (Send, LwM2M 1.1 Core §6.4.6).
    Sent {
        /// The client.
        endpoint: Arc<str>,
        /// All of them, also several of one path with their times.
        content: Content,
    },
    /// A client PUT what it reports (object 2347, Notify).
    Reported {
        /// The client.
        endpoint: Arc<str>,
        /// Where.
        path: String,
        /// What is reported there, if it is known.
        base: Option<Path>,
        /// The values; none: it is ready to receive, and says no more.
        content: Option<Content>,
    },
    /// A client does not know a composite operation: its parts are done one by one, and so will be those
    /// of other composite ones as long as it is registered. Writes are not all or nothing then.
    FellBack {
        /// The operation.
        id: OperationId,
        /// The client.
        endpoint: Arc<str>,
        /// What showed it.
        reason: String,
    },
}
