//! DHCPv6 servers, their pools, and who relays to them.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::identity::{Network, Router};
use super::roles::s;
use super::{Resolver, or};
use crate::diagnostic::alternatives;
use crate::file::{self, Node};
use crate::plan::{Dhcpv6ServerPlan, PoolPlan};

/// Hosts of a router's prefix that DHCPv6 leases.
const POOL: (u128, u128) = (0x1000, 0x1fff);

impl<'t> Resolver<'t> {
    pub(super) fn dhcpv6_servers(&self) -> impl Iterator<Item = &'t str> {
        self.nodes
            .iter()
            .filter(|(_, (_, node))| matches!(node, Node::Dhcpv6Server(_)))
            .map(|(name, _)| *name)
    }

    /// The DHCPv6 server that an edge router relays to.
    pub(super) fn server_of(&mut self, path: &str, file: &file::EdgeRouter) -> Option<&'t str> {
        let path = format!("{path}.dhcpv6_server");
        if let Some(name) = &file.dhcpv6_server {
            let fits = |node: &Node| matches!(node, Node::Dhcpv6Server(_));
            return Some(self.named(&path, name, "a dhcpv6-server", fits)?.0);
        }
        let servers: Vec<&str> = self.dhcpv6_servers().collect();
        if servers.len() > 1 {
            let name = path.split('.').nth(1).unwrap_or_default();
            let message = format!(
                "`{path}` is missing: there are several; name {}",
                alternatives(servers.iter().copied())
            );
            self.problem(self.span_of(name), message);
        }
        servers.first().copied()
    }

    pub(super) fn dhcpv6_server(
        &mut self,
        name: &str,
        file: &file::Dhcpv6Server,
        network: &Network<'t>,
    ) -> Dhcpv6ServerPlan {
        let path = format!("nodes.{name}");
        let (valid_lifetime, preferred_lifetime) = self.lifetimes(
            &path,
            (file.valid_lifetime, s(7200)),
            (file.preferred_lifetime, s(3600)),
        );
        let mut given: Vec<PoolPlan> = Vec::new();
        for (i, pool) in file.pools.iter().flatten().enumerate() {
            let path = format!("{path}.pools[{i}]");
            let fits = |node: &Node| matches!(node, Node::EdgeRouter(_));
            let path_router = format!("{path}.router");
            let Some((router, _)) = self.named(&path_router, &pool.router, "an edge-router", fits)
            else {
                continue;
            };
            if let Some(router) = network.router(router) {
                if given.iter().any(|other| other.link == router.prefix) {
                    let message = format!(
                        "`{path_router}`: `{}` has a pool already; remove one of the two",
                        router.name
                    );
                    self.problem(pool.router.span, message);
                }
                given.extend(self.pool(&path, pool, router, network));
            }
        }
        let derived = network.routers.iter().filter(|router| {
            !file
                .pools
                .iter()
                .flatten()
                .any(|pool| *pool.router.value == *router.name)
                && self.relays_to(router.file, name)
        });
        let mut pools: Vec<PoolPlan> = derived
            .map(|router| PoolPlan {
                link: router.prefix,
                first: offset(router.prefix, POOL.0),
                last: offset(router.prefix, POOL.1),
            })
            .chain(given)
            .collect();
        pools.sort_by_key(|pool| pool.link);
        Dhcpv6ServerPlan {
            pools,
            valid_lifetime,
            preferred_lifetime,
            rapid_commit: or(file.rapid_commit, false),
        }
    }

    /// Whether an edge router relays to `server`, without reporting anything.
    fn relays_to(&self, router: &file::EdgeRouter, server: &str) -> bool {
        match &router.dhcpv6_server {
            Some(named) => **named == *server,
            None => self.dhcpv6_servers().next() == Some(server),
        }
    }

    fn pool(
        &mut self,
        path: &str,
        pool: &file::Pool,
        router: &Router<'_>,
        network: &Network<'t>,
    ) -> Option<PoolPlan> {
        let prefix = router.prefix;
        for (key, address) in [("first", pool.first), ("last", pool.last)] {
            if !prefix.contains(&address.value) {
                let message = format!(
                    "`{path}.{key}`: `{}` is not in the prefix of `{}`, {prefix}; give one such \
                     as `{}`",
                    address.value,
                    router.name,
                    offset(prefix, POOL.0)
                );
                self.problem(address.span, message);
                return None;
            }
        }
        let (first, last) = (pool.first.value, pool.last.value);
        if first > last {
            let message = format!("`{path}.last`: `{last}` is before the first address, `{first}`");
            self.problem(pool.last.span, message);
        }
        let p_addrs = network.p_addrs.iter().map(|(name, p)| (*name, *p));
        for (owner, address) in p_addrs.chain([(router.name, router.address)]) {
            if (first..=last).contains(&address) {
                let message = format!(
                    "`{path}.first`: the pool from `{first}` to `{last}` holds `{address}`, \
                     which `{owner}` has; take it out"
                );
                self.problem(pool.first.span, message);
            }
        }
        Some(PoolPlan {
            link: prefix,
            first,
            last,
        })
    }
}

/// The address `offset` into a prefix.
fn offset(prefix: Ipv6Net, offset: u128) -> Ipv6Addr {
    Ipv6Addr::from_bits(prefix.network().to_bits() | offset)
}
