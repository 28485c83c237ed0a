//! Who asks whom, by where the asking ones are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

/// The nodes that the correspondents at each address ask. A node stands there once for each of its
/// correspondents at that address: two at two ports make two. A list and not a set, because there
/// may be a million of them.
#[derive(Clone, Debug)]
pub(super) struct Asked(BTreeMap<Ipv6Addr, Vec<Ipv6Addr>>);

impl Asked {
    pub(super) const fn new() -> Asked {
        Asked(BTreeMap::new())
    }

    /// How many correspondents there are at `address`, each counted once per node.
    pub(super) fn count(&self, address: Ipv6Addr) -> usize {
        self.0.get(&address).map_or(0, Vec::len)
    }

    /// The P_Addrs that somebody at `address` asks.
    pub(super) fn by(&self, address: Ipv6Addr) -> BTreeSet<Ipv6Addr> {
        self.0
            .get(&address)
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    /// One more correspondent of `p_addr` at `address`.
    pub(super) fn insert(&mut self, address: Ipv6Addr, p_addr: Ipv6Addr) {
        self.0.entry(address).or_default().push(p_addr);
    }

    /// One less. An address without correspondents takes no memory.
    pub(super) fn remove(&mut self, address: Ipv6Addr, p_addr: Ipv6Addr) {
        let Some(asked) = self.0.get_mut(&address) else {
            return;
        };
        if let Some(place) = asked.iter().rposition(|asked| *asked == p_addr) {
            asked.swap_remove(place);
        }
        if asked.is_empty() {
            self.0.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_asked_from_an_address_until_its_last_correspondent_there_leaves() {
        let (here, node) = (Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);
        let mut asked = Asked::new();
        asked.insert(here, node);
        asked.insert(here, node);
        assert_eq!(asked.count(here), 2);
        asked.remove(here, node);
        assert_eq!(asked.by(here), BTreeSet::from([node]));
        asked.remove(here, node);
        assert_eq!((asked.count(here), asked.0.len()), (0, 0));
        asked.remove(here, node);
    }
}
