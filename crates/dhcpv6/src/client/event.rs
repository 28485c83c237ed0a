//! What a client says: events, failures, and why it ignored a datagram.

use std::net::Ipv6Addr;

use super::Lease;
use crate::message::{Malformed, MessageType, StatusCode};

/// What a client tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The address is the client's; again after each renewal.
    Bound(Lease),
    /// An exchange came to nothing; the client starts over by itself.
    Failed(Failure),
    /// A server has answered that it has nothing to give. The client goes on to ask, as seldom as it
    /// sends its message again: another server may have an address, or the same one later.
    Unserved(Failure),
    /// The address must not be used any more; the client starts over by itself.
    Expired {
        /// The address.
        address: Ipv6Addr,
    },
    /// The server has answered a release, or has been told as often as it is worth.
    Released {
        /// The address.
        address: Ipv6Addr,
    },
}

/// Why an exchange came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody answered.
    #[error("{kind:?} sent {sent} times without an answer")]
    NoAnswer {
        /// The message.
        kind: MessageType,
        /// How often it was sent.
        sent: u32,
    },
    /// The server said no.
    #[error("{kind:?} refused with {code:?}: {message}")]
    Refused {
        /// The message.
        kind: MessageType,
        /// The server's status code.
        code: StatusCode,
        /// The server's words.
        message: String,
    },
}

/// Why a received datagram changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// Not a message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A message that nobody waits for.
    #[error("{0:?} is not what is waited for")]
    Unexpected(MessageType),
    /// Another exchange's answer.
    #[error("transaction ID is not that of the exchange under way")]
    Transaction,
    /// Another client's answer, or nobody's.
    #[error("Client Identifier is absent or another client's")]
    ClientId,
    /// An answer of nobody.
    #[error("Server Identifier is absent")]
    NoServerId,
    /// No address that can be used; the exchange goes on.
    #[error("no address for this association that may be used")]
    NoAddress,
    /// A status that leaves the exchange as it is.
    #[error("server answered {0:?}; the exchange goes on")]
    Status(StatusCode),
}
