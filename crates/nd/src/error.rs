//! Why a received message is none.

use std::net::Ipv6Addr;

/// Why a received message is silently discarded (RFC 4861 §6.1.1, §6.1.2; RFC 5568 §6.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It was forwarded, so its sender is not on the link.
    #[error("hop limit is {0}: expected 255, a neighbour's")]
    HopLimit(u8),
    /// Its source is no link-local address, where it has to be.
    #[error("source is {0}: expected a link-local address")]
    Source(Ipv6Addr),
    /// Another ICMPv6 message.
    #[error("ICMPv6 type is {found}: expected {expected}")]
    Type {
        /// ICMPv6 type found.
        found: u8,
        /// ICMPv6 type wanted.
        expected: u8,
    },
    /// A code that is not assigned.
    #[error("ICMPv6 code is {0}, which its type does not have")]
    Code(u8),
    /// Another message of Fast Handovers.
    #[error("subtype is {found}: expected {expected}")]
    Subtype {
        /// Subtype found (RFC 5568 §6.1).
        found: u8,
        /// Subtype wanted.
        expected: u8,
    },
    /// A solicitation for proxy advertisement that names no access point (RFC 5568 §6.1.1).
    #[error("a solicitation for proxy advertisement names no access point: expected one, or any")]
    NoAccessPoint,
    /// Another router than the one that is heard on a link that is for two (RFC 5213 §6.3).
    #[error("router {0} is not the one that this node hears")]
    Router(Ipv6Addr),
    /// An advertisement that answers no question.
    #[error("an advertisement that nobody asked for")]
    NotAsked,
    /// Shorter than the fixed part.
    #[error("ICMPv6 message has {present} octets: expected at least {least}")]
    TooShort {
        /// Octets found.
        present: usize,
        /// Octets of the fixed part.
        least: usize,
    },
    /// An option that has no length.
    #[error("option {kind} has length 0: expected at least 1 unit of 8 octets")]
    ZeroLengthOption {
        /// Option type.
        kind: u8,
    },
    /// An option that ends behind the message.
    #[error("option {kind} has {length} octets: only {present} are left in the message")]
    TruncatedOption {
        /// Option type.
        kind: u8,
        /// Octets that it claims.
        length: usize,
        /// Octets that are left.
        present: usize,
    },
    /// A solicitation that names a link-layer address for the unspecified address.
    #[error("a solicitation from :: has a source link-layer address option: expected none")]
    LinkLayerOfUnspecified,
}
