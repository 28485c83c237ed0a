//! The Mobility Management Table of the WMMS (CoMP §3.1; CoMM §4).
//!
//! One entry per P_Addr: T_Addr, Lifetime, H_Flag, sleep period and last sequence number, as
//! in the papers, and (ours) the correspondents that discovered it, to whom hold and binding
//! are passed on.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddrV6};

use serde::{Deserialize, Serialize};

use crate::table::{self, Table};

/// Correspondents kept per node. One more discovery is refused, because an answered hold
/// promises that every correspondent was told.
pub const MAX_CORRESPONDENTS: usize = 256;

/// What only the WMMS keeps about a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    /// Message ID of the last request the node answered, as a correspondent last reported
    /// it; 0 if none did.
    pub sequence_number: u16,
    /// Who discovered the node and may send it requests.
    pub correspondents: BTreeSet<SocketAddrV6>,
}

/// What the WMMS knows about one P_Addr.
pub type Entry = table::Entry<Talk>;

/// The table.
pub type Mmt = Table<Talk>;

impl Table<Talk> {
    /// Remembers who discovered `p_addr`. False if `p_addr` is not in the table or has
    /// [`MAX_CORRESPONDENTS`] others.
    pub fn add_correspondent(&mut self, p_addr: Ipv6Addr, from: SocketAddrV6) -> bool {
        self.extra_mut(p_addr).is_some_and(|talk| {
            let known = talk.correspondents.contains(&from);
            if !known && talk.correspondents.len() < MAX_CORRESPONDENTS {
                return talk.correspondents.insert(from);
            }
            known
        })
    }

    /// Forgets a correspondent that cannot be told.
    pub fn remove_correspondent(&mut self, p_addr: Ipv6Addr, correspondent: SocketAddrV6) {
        if let Some(talk) = self.extra_mut(p_addr) {
            talk.correspondents.remove(&correspondent);
        }
    }

    /// Stores the last sequence number that a correspondent reported.
    pub fn set_sequence_number(&mut self, p_addr: Ipv6Addr, sequence_number: u16) {
        if let Some(talk) = self.extra_mut(p_addr) {
            talk.sequence_number = sequence_number;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use units::SimTime;

    use super::*;
    use crate::codec::Lifetime;

    const P1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const P2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    const T1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    const T2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);

    fn at(seconds: u64) -> SimTime {
        SimTime::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_binding_renews_the_lifetime_clears_the_hold_and_keeps_the_correspondents() {
        let mut mmt = Mmt::new();
        let client = SocketAddrV6::new(P2, coap::message::PORT, 0, 0);
        mmt.bind(at(0), P1, T1, Lifetime(20));
        assert!(mmt.add_correspondent(P1, client));
        assert!(mmt.hold(at(1), P1, Some(Duration::from_secs(5))));
        mmt.bind(at(2), P1, T2, Lifetime(20));
        let entry = mmt.get(P1).unwrap();
        assert_eq!((entry.t_addr, entry.held), (T2, false));
        assert_eq!(
            entry.extra.correspondents.iter().collect::<Vec<_>>(),
            [&client]
        );
        assert_eq!(mmt.next_deadline(), Some(at(22)), "the sleep's end is off");
    }

    #[test]
    fn correspondents_are_bounded_and_known_ones_stay_welcome() {
        let mut mmt = Mmt::new();
        mmt.bind(at(0), P1, T1, Lifetime(20));
        let client = |port| SocketAddrV6::new(P2, port, 0, 0);
        for port in 0..MAX_CORRESPONDENTS as u16 {
            assert!(mmt.add_correspondent(P1, client(port)));
        }
        assert!(!mmt.add_correspondent(P1, client(9999)));
        assert!(mmt.add_correspondent(P1, client(0)));
        mmt.remove_correspondent(P1, client(0));
        assert!(mmt.add_correspondent(P1, client(9999)));
        assert!(!mmt.add_correspondent(P2, client(0)), "P2 is unknown");
    }
}
