//! Who discovered a node, and who of them has not asked for longest.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv6Addr, SocketAddrV6};

use machine::network;

/// Addresses in ascending order, in as little memory as they need: nodes are many, their
/// correspondents few. A flow label is no part of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Correspondents(Box<[Correspondent]>);

#[derive(Clone, Copy, Debug)]
struct Correspondent {
    ip: Ipv6Addr,
    port: u16,
    /// Who asked last has the highest; after a restart nobody knows, and all have 0.
    turn: u16,
    scope: u32,
}

impl Correspondent {
    fn key(&self) -> (Ipv6Addr, u16, u32) {
        (self.ip, self.port, self.scope)
    }

    fn address(&self) -> SocketAddrV6 {
        SocketAddrV6::new(self.ip, self.port, 0, self.scope)
    }
}

impl PartialEq for Correspondent {
    fn eq(&self, other: &Correspondent) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Correspondent {}

fn key(address: SocketAddrV6) -> (Ipv6Addr, u16, u32) {
    (*address.ip(), address.port(), address.scope_id())
}

impl Correspondents {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `address` is one.
    pub fn contains(&self, address: SocketAddrV6) -> bool {
        self.find(address).is_ok()
    }

    /// All, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SocketAddrV6> {
        self.0.iter().map(Correspondent::address)
    }

    /// Of those at addresses that are `wanted`: how many, and who of them asked longest ago.
    pub(super) fn idlest(
        &self,
        wanted: impl Fn(Ipv6Addr) -> bool,
    ) -> (usize, Option<SocketAddrV6>) {
        let them = || self.0.iter().filter(|c| wanted(c.ip));
        let idlest = them().min_by_key(|c| c.turn);
        (them().count(), idlest.map(Correspondent::address))
    }

    /// Of those in the networks that have most of them, who asked longest ago.
    pub(super) fn idlest_of_crowd(&self) -> Option<SocketAddrV6> {
        let mut of: BTreeMap<Ipv6Addr, usize> = BTreeMap::new();
        for correspondent in &self.0 {
            *of.entry(network(correspondent.ip)).or_default() += 1;
        }
        let most = of.values().max().copied();
        let is_crowded = |ip| of.get(&network(ip)).copied() == most;
        self.idlest(is_crowded).1
    }

    fn find(&self, address: SocketAddrV6) -> Result<usize, usize> {
        (self.0).binary_search_by_key(&key(address), Correspondent::key)
    }

    /// `address` has asked; whether it was not there.
    pub(super) fn insert(&mut self, address: SocketAddrV6) -> bool {
        let turn = self.next_turn();
        match self.find(address) {
            Ok(at) => {
                self.0[at].turn = turn;
                false
            }
            Err(at) => {
                let mut all = std::mem::take(&mut self.0).into_vec();
                all.reserve_exact(1);
                let (ip, port, scope) = key(address);
                let new = Correspondent {
                    ip,
                    port,
                    turn,
                    scope,
                };
                all.insert(at, new);
                self.0 = all.into_boxed_slice();
                true
            }
        }
    }

    /// The turn after all that were taken; when there are no more numbers, they are given anew.
    fn next_turn(&mut self) -> u16 {
        let last = self.0.iter().map(|c| c.turn).max();
        if let Some(next) = last.map_or(Some(0), |last| last.checked_add(1)) {
            return next;
        }
        let mut by_turn: Vec<usize> = (0..self.0.len()).collect();
        by_turn.sort_by_key(|place| self.0[*place].turn);
        // More than there are numbers for have the last one together.
        let turn = |rank: usize| u16::try_from(rank).unwrap_or(u16::MAX - 1);
        for (rank, place) in by_turn.iter().enumerate() {
            self.0[*place].turn = turn(rank);
        }
        turn(by_turn.len())
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, address: SocketAddrV6) -> bool {
        let found = self.find(address);
        if let Ok(at) = found {
            let mut all = std::mem::take(&mut self.0).into_vec();
            all.remove(at);
            self.0 = all.into_boxed_slice();
        }
        found.is_ok()
    }
}

impl FromIterator<SocketAddrV6> for Correspondents {
    fn from_iter<I: IntoIterator<Item = SocketAddrV6>>(addresses: I) -> Correspondents {
        let sorted: BTreeSet<_> = addresses.into_iter().map(key).collect();
        let all = sorted.into_iter().map(|(ip, port, scope)| Correspondent {
            ip,
            port,
            turn: 0,
            scope,
        });
        Correspondents(all.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddrV6 {
        SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0)
    }

    #[test]
    fn who_has_not_asked_for_longest_is_known_however_often_the_others_ask() {
        let mut all = Correspondents::default();
        for port in [7, 5, 6] {
            assert!(all.insert(at(port)));
        }
        assert_eq!(all.idlest(|_| true), (3, Some(at(7))));
        // More often than a turn has numbers.
        for _ in 0..70_000 {
            assert!(!all.insert(at(7)));
        }
        assert_eq!(all.idlest(|_| true), (3, Some(at(5))));
        assert!(all.remove(at(5)) && !all.remove(at(5)));
        assert_eq!(all.idlest(|_| true), (2, Some(at(6))));
        assert_eq!(all.idlest(|_| false), (0, None));
        assert!(all.iter().eq([at(6), at(7)]));
    }

    #[test]
    fn a_correspondent_takes_no_more_than_its_address_and_two_words() {
        assert_eq!(size_of::<Correspondent>(), 24);
    }
}
