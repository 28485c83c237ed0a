//! The prefixes that are reached through nodes: of an edge router's link, and of addresses that a
//! service looks after.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::SUBNET;
use crate::decode::At;
use crate::kind::OwnPrefix;
use crate::resolve::Resolver;

/// The first default prefix of edge routers: 2001:db8:1::/64.
const OF_ROUTERS: u16 = 1;

/// The prefixes by the names of their nodes.
pub(super) struct Prefixes<'t>(pub(super) BTreeMap<&'t str, Own>);

/// The prefix that is reached through a node.
pub(super) struct Own {
    pub prefix: Ipv6Net,
    /// It is another's too, which has been reported.
    pub overlaps: bool,
}

impl Prefixes<'_> {
    /// The prefix of an edge router, and whether it is another's too.
    pub(super) fn of(&self, name: &str) -> (Ipv6Net, bool) {
        let own = self.0.get(name);
        own.map_or_else(Default::default, |own| (own.prefix, own.overlaps))
    }
}

/// A node that needs a prefix.
struct Wants<'t> {
    name: &'t str,
    /// Where the file may give it.
    path: String,
    bits: u8,
    given: Option<At<Ipv6Net>>,
    /// The third group of the first default one.
    first: u16,
}

fn overlap(a: Ipv6Net, b: Ipv6Net) -> bool {
    a.contains(&b) || b.contains(&a)
}

/// 2001:db8:GROUP::, of at least 48 bits.
fn numbered(group: u16, bits: u8) -> Ipv6Net {
    let network = Ipv6Addr::new(0x2001, 0xdb8, group, 0, 0, 0, 0, 0);
    Ipv6Net::new_assert(network, bits)
}

/// The group behind another one; behind the last one comes the first, which is 1: 0 is the backbone's.
fn after(group: u16) -> u16 {
    group.checked_add(1).unwrap_or(1)
}

/// The first free group from `next` on.
fn free_group(next: u16, is_free: impl Fn(u16) -> bool) -> Option<u16> {
    let mut groups = (next..=u16::MAX).chain(1..next);
    groups.find(|group| is_free(*group))
}

impl<'t> Resolver<'t> {
    /// The prefix of every node that others reach one through: as the file says, else the next free
    /// one, in name order.
    pub(super) fn prefixes(&mut self, backbone: Ipv6Net) -> Prefixes<'t> {
        let wants = self.who_wants_prefixes();
        let mut taken = vec![(backbone, "backbone.prefix".to_owned())];
        let mut overlapping = BTreeSet::new();
        for (wants, prefix) in wants.iter().filter_map(|w| Some((w, w.given?))) {
            let path = &wants.path;
            self.check_prefix(path, prefix, wants.bits);
            if let Some((other, owner)) = taken.iter().find(|(p, _)| overlap(*p, prefix.value)) {
                let message = format!(
                    "`{path}`: `{}` overlaps `{owner}`, {other}; give another prefix",
                    prefix.value
                );
                self.problem(prefix.span, message);
                overlapping.insert(wants.name);
            }
            taken.push((prefix.trunc(), path.clone()));
        }
        let mut next = BTreeMap::new();
        let own = wants.into_iter().map(|wants| {
            let prefix = wants.given.map(|prefix| prefix.trunc());
            let prefix = prefix.unwrap_or_else(|| {
                let next: &mut u16 = next.entry(wants.first).or_insert(wants.first);
                let numbered = |group: u16| numbered(group, wants.bits);
                let is_free = |group: u16| !taken.iter().any(|(p, _)| overlap(*p, numbered(group)));
                // There are fewer nodes than groups.
                let group = free_group(*next, is_free).unwrap_or(wants.first);
                *next = after(group);
                taken.push((numbered(group), wants.path.clone()));
                numbered(group)
            });
            let overlaps = overlapping.contains(wants.name);
            (wants.name, Own { prefix, overlaps })
        });
        Prefixes(own.collect())
    }

    fn who_wants_prefixes(&self) -> Vec<Wants<'t>> {
        let nodes = self.nodes.iter();
        let wants = nodes.filter_map(|(name, (_, node))| {
            let node_path = format!("nodes.{name}");
            let (path, own) = match (node.router(), node.own_prefix()) {
                (Some(router), _) => {
                    let own = OwnPrefix {
                        bits: SUBNET,
                        given: router.prefix,
                        first: OF_ROUTERS,
                    };
                    (node_path, own)
                }
                (None, Some((service, own))) => (service.path_below(&node_path), own),
                (None, None) => return None,
            };
            Some(Wants {
                name,
                path: format!("{path}.prefix"),
                bits: own.bits,
                given: own.given,
                first: own.first,
            })
        });
        wants.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_the_last_group_comes_the_first_which_is_not_0() {
        assert_eq!(free_group(u16::MAX, |_| true), Some(u16::MAX));
        assert_eq!(after(u16::MAX), 1);
        assert_eq!(free_group(after(u16::MAX), |_| true), Some(1));
        let taken = |group: u16| group < 0xfffe;
        assert_eq!(free_group(u16::MAX, taken), Some(1));
        assert_eq!(free_group(7, |group| group == 3), Some(3));
        assert_eq!(free_group(7, |group| group == 0), None);
    }
}
