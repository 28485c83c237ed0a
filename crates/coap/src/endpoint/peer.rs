//! Who a datagram comes from.

use std::hash::{Hash, Hasher};
use std::net::SocketAddrV6;

/// A peer: address, port, and for a link-local address the scope (RFC 4007 §6). The flow
/// label is no part of it, nor the scope that some systems report with a global address.
///
/// Three words, because it is compared and hashed often: the address, then port and scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer {
    high: u64,
    low: u64,
    port: u32,
    scope: u32,
}

impl Peer {
    /// Its host, for what is bounded whatever port a peer sends from: a host has 65,535 of them.
    pub(super) fn host(self) -> Peer {
        Peer { port: 0, ..self }
    }

    /// Whether both name the same peer; a link-local address without scope fits every scope,
    /// as on a socket that is bound to one interface.
    pub(super) fn matches(self, other: Peer) -> bool {
        (self.high, self.low, self.port) == (other.high, other.low, other.port)
            && (self.scope == other.scope || self.scope == 0 || other.scope == 0)
    }
}

impl Hash for Peer {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.high);
        hasher.write_u64(self.low);
        hasher.write_u64(u64::from(self.port) << 32 | u64::from(self.scope));
    }
}

impl From<SocketAddrV6> for Peer {
    fn from(address: SocketAddrV6) -> Peer {
        let bits = address.ip().to_bits();
        Peer {
            high: (bits >> 64) as u64,
            low: bits as u64,
            port: address.port().into(),
            scope: if address.ip().is_unicast_link_local() {
                address.scope_id()
            } else {
                0
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str, flow: u32, scope: u32) -> Peer {
        SocketAddrV6::new(ip.parse().unwrap(), 5683, flow, scope).into()
    }

    #[test]
    fn flow_label_and_scope_of_a_global_address_do_not_count() {
        assert_eq!(peer("fd00::1", 7, 3), peer("fd00::1", 0, 0));
        assert_eq!(peer("::ffff:10.0.0.1", 0, 2), peer("::ffff:10.0.0.1", 1, 0));
    }

    #[test]
    fn scope_of_a_link_local_address_counts_unless_unknown() {
        assert!(!peer("fe80::1", 0, 2).matches(peer("fe80::1", 0, 3)));
        assert!(peer("fe80::1", 0, 2).matches(peer("fe80::1", 0, 0)));
        assert!(peer("fe80::1", 9, 2).matches(peer("fe80::1", 0, 2)));
        assert!(!peer("fe80::1", 0, 2).matches(peer("fe80::2", 0, 2)));
    }
}
