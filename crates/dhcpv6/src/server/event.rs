//! What a server says: events, and why it ignored a datagram.

use std::net::Ipv6Addr;

use super::Pool;
use crate::Duid;
use crate::message::{Malformed, MessageType};
use crate::relay::{HOP_COUNT_LIMIT, RelayError};

/// What a server tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An address was given to a client.
    Leased {
        /// The address.
        address: Ipv6Addr,
        /// The client.
        duid: Duid,
    },
    /// A client keeps its address for another valid lifetime.
    Renewed {
        /// The address.
        address: Ipv6Addr,
        /// The client.
        duid: Duid,
    },
    /// A client gave its address back.
    Released {
        /// The address.
        address: Ipv6Addr,
        /// The client.
        duid: Duid,
    },
    /// A client found its address in use by another node.
    Declined {
        /// The address.
        address: Ipv6Addr,
        /// The client.
        duid: Duid,
    },
    /// A client asked for an address where every one is leased, and was answered NoAddrsAvail.
    Exhausted {
        /// The pool of its link.
        pool: Pool,
        /// The client.
        duid: Duid,
    },
    /// A client that has [`super::MAX_LEASES`] addresses of a pool asked for another one, and was
    /// answered NoAddrsAvail.
    Refused {
        /// The pool of its link.
        pool: Pool,
        /// The client.
        duid: Duid,
    },
    /// A lease's valid lifetime has passed.
    Expired {
        /// The address.
        address: Ipv6Addr,
        /// The client.
        duid: Duid,
    },
}

/// Why a datagram was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// Not a message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Not a relay agent's message, or its answer would not fit.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// Relayed more often than relay agents may.
    #[error("relayed more than {HOP_COUNT_LIMIT} times")]
    TooManyHops,
    /// A message that servers do not get.
    #[error("{0:?} is no message to a server")]
    Kind(MessageType),
    /// A message that must name its client and does not (RFC 8415 §16).
    #[error("{0:?} without a Client Identifier")]
    NoClientId(MessageType),
    /// A message that must not name a server, but does (§16).
    #[error("{0:?} with a Server Identifier")]
    NamesServer(MessageType),
    /// A message for another server, or for none where it must name one (§16).
    #[error("{0:?} is not for this server")]
    OtherServer(MessageType),
    /// An Information-request that asks for addresses (§16.12), or a Confirm without any to
    /// confirm (§18.3.3).
    #[error("{0:?} with or without addresses where that makes no sense")]
    Addresses(MessageType),
    /// More associations than one client needs.
    #[error("{0} identity associations: at most 8 are served")]
    TooManyAssociations(usize),
    /// A link that no pool is for.
    #[error("link-address {0} is in no pool's link")]
    UnknownLink(Ipv6Addr),
    /// A message without a relay agent, and no link is configured for those.
    #[error("not relayed, and no link is configured for unrelayed messages")]
    NotRelayed,
}
