//! The Mobility Management Table of the WMMS (CoMP §3.1; CoMM §4).
//!
//! One entry per P_Addr: T_Addr, Lifetime, H_Flag, sleep period and last sequence number, as
//! in the papers, and (ours) the correspondents that discovered it, to whom hold and binding
//! are passed on. Entries expire in the order of their deadlines; nothing is scanned.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::SimTime;

use crate::binding::Expired;
use crate::codec::Lifetime;
use crate::deadlines::Deadlines;

/// Correspondents kept per node. One more discovery is refused, because an answered hold
/// promises that every correspondent was told.
pub const MAX_CORRESPONDENTS: usize = 256;

/// What the WMMS knows about one P_Addr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where the node is.
    pub t_addr: Ipv6Addr,
    /// When the binding ends.
    pub lifetime_ends: SimTime,
    /// H_Flag: requests to the node are to be kept back.
    pub held: bool,
    /// When a sleeping node wakes up; `None` while it does not sleep.
    pub sleep_ends: Option<SimTime>,
    /// Message ID of the last request the node answered, as a correspondent last reported
    /// it; 0 if none did.
    pub sequence_number: u16,
    /// Who discovered the node and may send it requests.
    pub correspondents: BTreeSet<SocketAddrV6>,
}

impl Entry {
    fn deadline(&self) -> SimTime {
        self.sleep_ends
            .map_or(self.lifetime_ends, |sleep| sleep.min(self.lifetime_ends))
    }
}

/// The table.
#[derive(Clone, Debug)]
pub struct Mmt {
    entries: BTreeMap<Ipv6Addr, Entry>,
    deadlines: Deadlines<Ipv6Addr>,
}

impl Default for Mmt {
    fn default() -> Mmt {
        Mmt::new()
    }
}

impl Mmt {
    /// An empty table.
    pub const fn new() -> Mmt {
        Mmt {
            entries: BTreeMap::new(),
            deadlines: Deadlines::new(),
        }
    }

    /// The entry of `p_addr`.
    pub fn get(&self, p_addr: Ipv6Addr) -> Option<&Entry> {
        self.entries.get(&p_addr)
    }

    /// Every entry, by P_Addr.
    pub fn iter(&self) -> impl Iterator<Item = (Ipv6Addr, &Entry)> {
        self.entries.iter().map(|(p_addr, entry)| (*p_addr, entry))
    }

    /// Puts an entry back as it was before a restart; it expires when it would have.
    pub fn restore(&mut self, p_addr: Ipv6Addr, entry: Entry) {
        self.deadlines.set(p_addr, entry.deadline());
        self.entries.insert(p_addr, entry);
    }

    /// Registers `p_addr`, or binds it again: T_Addr and Lifetime are new, H_Flag is 0. The
    /// correspondents and the sequence number of an existing entry stay.
    pub fn bind(&mut self, now: SimTime, p_addr: Ipv6Addr, t_addr: Ipv6Addr, lifetime: Lifetime) {
        let lifetime_ends = now + lifetime.duration();
        let entry = self.entries.entry(p_addr).or_insert_with(|| Entry {
            t_addr,
            lifetime_ends,
            held: false,
            sleep_ends: None,
            sequence_number: 0,
            correspondents: BTreeSet::new(),
        });
        entry.t_addr = t_addr;
        entry.lifetime_ends = lifetime_ends;
        entry.held = false;
        entry.sleep_ends = None;
        self.deadlines.set(p_addr, entry.deadline());
    }

    /// Sets H_Flag, until further notice or for the sleep period. False if `p_addr` is not in
    /// the table.
    pub fn hold(&mut self, now: SimTime, p_addr: Ipv6Addr, sleep: Option<Duration>) -> bool {
        let Some(entry) = self.entries.get_mut(&p_addr) else {
            return false;
        };
        entry.held = true;
        entry.sleep_ends = sleep.map(|period| now + period);
        self.deadlines.set(p_addr, entry.deadline());
        true
    }

    /// Removes an entry.
    pub fn remove(&mut self, p_addr: Ipv6Addr) -> Option<Entry> {
        self.deadlines.clear(p_addr);
        self.entries.remove(&p_addr)
    }

    /// Remembers who discovered `p_addr`. False if `p_addr` is not in the table or has
    /// [`MAX_CORRESPONDENTS`] others.
    pub fn add_correspondent(&mut self, p_addr: Ipv6Addr, from: SocketAddrV6) -> bool {
        self.entries.get_mut(&p_addr).is_some_and(|entry| {
            let known = entry.correspondents.contains(&from);
            if !known && entry.correspondents.len() < MAX_CORRESPONDENTS {
                return entry.correspondents.insert(from);
            }
            known
        })
    }

    /// Forgets a correspondent that cannot be told.
    pub fn remove_correspondent(&mut self, p_addr: Ipv6Addr, correspondent: SocketAddrV6) {
        if let Some(entry) = self.entries.get_mut(&p_addr) {
            entry.correspondents.remove(&correspondent);
        }
    }

    /// Stores the last sequence number that a correspondent reported.
    pub fn set_sequence_number(&mut self, p_addr: Ipv6Addr, sequence_number: u16) {
        if let Some(entry) = self.entries.get_mut(&p_addr) {
            entry.sequence_number = sequence_number;
        }
    }

    /// When [`Mmt::expire`] next has something to do.
    pub fn next_deadline(&self) -> Option<SimTime> {
        self.deadlines.next()
    }

    /// Takes one deadline that has come, the earliest first.
    pub fn expire(&mut self, now: SimTime) -> Option<Expired<Ipv6Addr>> {
        let p_addr = self.deadlines.take_due(now)?;
        let entry = self.entries.get_mut(&p_addr)?;
        if entry.lifetime_ends <= now {
            self.entries.remove(&p_addr);
            return Some(Expired::Lifetime(p_addr));
        }
        entry.held = false;
        entry.sleep_ends = None;
        self.deadlines.set(p_addr, entry.deadline());
        Some(Expired::Sleep(p_addr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const P2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    const T1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    const T2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);

    fn at(seconds: u64) -> SimTime {
        SimTime::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn entries_leave_in_the_order_of_their_lifetimes() {
        let mut mmt = Mmt::new();
        mmt.bind(at(0), P1, T1, Lifetime(20));
        mmt.bind(at(0), P2, T2, Lifetime(10));
        assert_eq!(mmt.next_deadline(), Some(at(10)));
        assert_eq!(mmt.expire(at(9)), None);
        assert_eq!(mmt.expire(at(30)), Some(Expired::Lifetime(P2)));
        assert_eq!(mmt.expire(at(30)), Some(Expired::Lifetime(P1)));
        assert_eq!(mmt.expire(at(30)), None);
        assert_eq!(mmt.iter().count(), 0);
        assert_eq!(mmt.next_deadline(), None);
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
        assert_eq!(entry.correspondents.iter().collect::<Vec<_>>(), [&client]);
        assert_eq!(mmt.next_deadline(), Some(at(22)), "the sleep's end is off");
    }

    #[test]
    fn a_sleep_ends_the_hold_but_not_the_entry() {
        let mut mmt = Mmt::new();
        mmt.bind(at(0), P1, T1, Lifetime(20));
        mmt.hold(at(1), P1, Some(Duration::from_secs(5)));
        assert_eq!(mmt.next_deadline(), Some(at(6)));
        assert_eq!(mmt.expire(at(6)), Some(Expired::Sleep(P1)));
        assert!(!mmt.get(P1).unwrap().held);
        assert_eq!(mmt.next_deadline(), Some(at(20)));
    }

    #[test]
    fn a_sleep_longer_than_the_lifetime_ends_with_the_lifetime() {
        let mut mmt = Mmt::new();
        mmt.bind(at(0), P1, T1, Lifetime(20));
        mmt.hold(at(1), P1, Some(Duration::from_secs(60)));
        assert_eq!(mmt.expire(at(20)), Some(Expired::Lifetime(P1)));
    }

    #[test]
    fn a_table_put_back_after_a_restart_expires_when_it_would_have() {
        let mut before = Mmt::new();
        before.bind(at(0), P1, T1, Lifetime(20));
        before.hold(at(1), P1, None);
        let mut after = Mmt::new();
        for (p_addr, entry) in before.iter() {
            after.restore(p_addr, entry.clone());
        }
        assert_eq!(after.get(P1), before.get(P1));
        assert_eq!(after.expire(at(20)), Some(Expired::Lifetime(P1)));
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
