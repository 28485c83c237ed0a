//! Which shard a P_Addr is in, and which instance a shard is for.
//!
//! The P_Addr decides: a source address changes in a handover, and a node would go from one instance to
//! another just when it is in a hurry. Shards are what is claimed and fenced; there are as many as there can
//! be instances.

use std::net::Ipv6Addr;

/// How many shards there are. Another number is another database.
pub const SHARDS: u16 = 64;

/// A part of all P_Addrs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u16);

impl Shard {
    /// That of `p_addr`.
    pub fn of(p_addr: Ipv6Addr) -> Shard {
        let bits = u128::from(p_addr);
        let hash = mix((bits >> 64) as u64 ^ mix(bits as u64));
        Shard((hash % u64::from(SHARDS)) as u16)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Shard> {
        (0..SHARDS).map(Shard)
    }

    /// Its number in the database; `None` if it has no such shard.
    pub fn from_number(number: i32) -> Option<Shard> {
        let number = u16::try_from(number).ok()?;
        (number < SHARDS).then_some(Shard(number))
    }

    /// Its number in the database.
    pub fn number(self) -> i32 {
        self.0.into()
    }

    /// Its place among all.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// Whom of `instances` it is for: who has the highest hash with it (rendezvous, or highest random weight,
    /// hashing). When an instance leaves, its shards alone go elsewhere, to all that are left; when one comes, it takes
    /// from each. Everybody who knows the same instances has the same answer.
    pub fn owner<'a>(self, instances: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let weight = |name: &str| mix(name_hash(name) ^ mix(u64::from(self.0) + 1));
        (instances.into_iter()).max_by(|a, b| weight(a).cmp(&weight(b)).then(b.cmp(a)))
    }
}

/// FNV-1a.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finalizer of SplitMix64: every bit of the result depends on every bit of `bits`.
fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn p_addr(n: u128) -> Ipv6Addr {
        Ipv6Addr::from(0x2001_0db8_u128 << 96 | n)
    }

    /// What stands in databases: another result would look for entries where they are not.
    #[test]
    fn shards_and_owners_are_those_of_earlier_versions() {
        let shards: Vec<i32> = (0..6).map(|n| Shard::of(p_addr(n)).number()).collect();
        assert_eq!(shards, [59, 48, 8, 7, 49, 31]);
        let owners: String = (0..16)
            .filter_map(|n| Shard(n).owner(["a", "b", "c"]))
            .collect();
        assert_eq!(owners, "cccbaaccbbccbbca");
    }

    #[test]
    fn neighbouring_addresses_are_spread_over_all_shards() {
        let mut counts = BTreeMap::<Shard, u32>::new();
        for n in 0..64_000 {
            *counts.entry(Shard::of(p_addr(n))).or_default() += 1;
        }
        assert_eq!(counts.len(), usize::from(SHARDS));
        assert!(counts.values().all(|count| (800..1200).contains(count)));
    }

    #[test]
    fn nobody_owns_what_there_are_no_instances_for() {
        assert_eq!(Shard(0).owner([]), None);
    }

    proptest! {
        #[test]
        fn who_leaves_moves_its_own_shards_and_no_other(
            names in proptest::collection::btree_set("[a-z]{1,6}", 2..8), leaves in any::<prop::sample::Index>(),
        ) {
            let all: Vec<&str> = names.iter().map(String::as_str).collect();
            let left: BTreeSet<&str> = (all.iter().copied())
                .filter(|name| *name != all[leaves.index(all.len())])
                .collect();
            for shard in Shard::all() {
                let before = shard.owner(all.iter().copied()).unwrap();
                let after = shard.owner(left.iter().copied()).unwrap();
                prop_assert!(before == after || !left.contains(before));
                // The order in which they are named is nothing.
                prop_assert_eq!(shard.owner(all.iter().rev().copied()), Some(before));
            }
        }
    }
}
