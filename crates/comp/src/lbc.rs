//! The Local Binding Cache of a client (CoMP §3.1 and figure 3; CoMM §4).
//!
//! One entry per P_Addr that the client talks to: T_Addr, Lifetime, H_Flag. "The Lifetime
//! value of 0 at LBC indicates that an LBC entry for the CoAP node must be deleted and
//! retrieved from the entry of the CoAP node in the MMT of the WMMS" (CoMP §3.1).

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use units::SimTime;

use crate::binding::Expired;
use crate::codec::Lifetime;
use crate::deadlines::Deadlines;

/// What a client knows about one P_Addr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where the node is.
    pub t_addr: Ipv6Addr,
    /// When this must be discovered again.
    pub lifetime_ends: SimTime,
    /// H_Flag: requests are kept back.
    pub held: bool,
    /// When a sleeping node wakes up; `None` while it does not sleep.
    pub sleep_ends: Option<SimTime>,
}

impl Entry {
    fn deadline(&self) -> SimTime {
        self.sleep_ends
            .map_or(self.lifetime_ends, |sleep| sleep.min(self.lifetime_ends))
    }
}

/// The cache.
#[derive(Clone, Debug)]
pub struct Lbc {
    entries: BTreeMap<Ipv6Addr, Entry>,
    deadlines: Deadlines<Ipv6Addr>,
}

impl Default for Lbc {
    fn default() -> Lbc {
        Lbc::new()
    }
}

impl Lbc {
    /// An empty cache.
    pub const fn new() -> Lbc {
        Lbc {
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

    /// Stores where `p_addr` is; H_Flag is 0.
    pub fn bind(&mut self, now: SimTime, p_addr: Ipv6Addr, t_addr: Ipv6Addr, lifetime: Lifetime) {
        let entry = Entry {
            t_addr,
            lifetime_ends: now + lifetime.duration(),
            held: false,
            sleep_ends: None,
        };
        self.deadlines.set(p_addr, entry.deadline());
        self.entries.insert(p_addr, entry);
    }

    /// Sets H_Flag, until further notice or for the sleep period. False if `p_addr` is not in
    /// the cache.
    pub fn hold(&mut self, now: SimTime, p_addr: Ipv6Addr, sleep: Option<Duration>) -> bool {
        let Some(entry) = self.entries.get_mut(&p_addr) else {
            return false;
        };
        entry.held = true;
        entry.sleep_ends = sleep.map(|period| now + period);
        self.deadlines.set(p_addr, entry.deadline());
        true
    }

    /// Drops an entry.
    pub fn remove(&mut self, p_addr: Ipv6Addr) -> Option<Entry> {
        self.deadlines.clear(p_addr);
        self.entries.remove(&p_addr)
    }

    /// When [`Lbc::expire`] next has something to do.
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

    const P: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const T1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    const T2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);

    fn at(seconds: u64) -> SimTime {
        SimTime::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_binding_replaces_the_address_and_ends_the_hold() {
        let mut lbc = Lbc::new();
        lbc.bind(at(0), P, T1, Lifetime(10));
        assert!(lbc.hold(at(1), P, None));
        lbc.bind(at(2), P, T2, Lifetime(10));
        assert_eq!(
            lbc.get(P),
            Some(&Entry {
                t_addr: T2,
                lifetime_ends: at(12),
                held: false,
                sleep_ends: None
            })
        );
        assert_eq!(lbc.next_deadline(), Some(at(12)));
    }

    #[test]
    fn a_sleep_ends_before_the_lifetime_does() {
        let mut lbc = Lbc::new();
        assert!(!lbc.hold(at(0), P, None), "P is not in the cache");
        lbc.bind(at(0), P, T1, Lifetime(10));
        lbc.hold(at(1), P, Some(Duration::from_secs(2)));
        assert_eq!(lbc.expire(at(2)), None);
        assert_eq!(lbc.expire(at(3)), Some(Expired::Sleep(P)));
        assert_eq!(lbc.expire(at(10)), Some(Expired::Lifetime(P)));
        assert_eq!(lbc.iter().count(), 0);
    }
}
