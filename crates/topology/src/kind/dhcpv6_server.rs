//! DHCPv6 servers, their pools, and who relays to them.

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::radio::Radio;
use super::router::Router;
use super::{Node, Serves, ServiceFacts, ServiceTable};
use crate::decode::At;
use crate::diagnostic::alternatives;
use crate::plan::AddressMode;
use crate::resolve::identity::{self, Network};
use crate::resolve::timers::s;
use crate::resolve::{Context, Resolver, or};

tables! {
    /// DHCPv6 server (RFC 8415).
    pub struct Dhcpv6Server {
        /// Addresses leased per edge router; default PREFIX::1000 to PREFIX::1fff for each.
        pub pools: Option<Vec<Pool>>,
        /// Valid lifetime of a lease; whole seconds; default 7200 s.
        pub valid_lifetime: Option<At<Duration>>,
        /// Preferred lifetime of a lease; whole seconds; default 3600 s.
        pub preferred_lifetime: Option<At<Duration>>,
        /// Whether a Solicit with Rapid Commit is answered by a Reply; default false.
        pub rapid_commit: Option<At<bool>>,
    }

    /// Addresses leased on the link of one edge router.
    pub struct Pool {
        /// The edge router.
        pub router: At<String>,
        /// First address, in the router's prefix.
        pub first: At<Ipv6Addr>,
        /// Last address, in the router's prefix.
        pub last: At<Ipv6Addr>,
    }
}

/// DHCPv6 server (RFC 8415).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dhcpv6ServerPlan {
    /// One pool per link, chosen by the relay agent's link-address.
    pub pools: Vec<PoolPlan>,
    /// Valid lifetime of a lease, whole seconds.
    #[serde(with = "duration")]
    pub valid_lifetime: Duration,
    /// Preferred lifetime of a lease, whole seconds.
    #[serde(with = "duration")]
    pub preferred_lifetime: Duration,
    /// Whether a Solicit with Rapid Commit is answered by a Reply.
    pub rapid_commit: bool,
}

/// Addresses that the DHCPv6 server leases on one link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolPlan {
    /// The link's prefix; a relay's link-address inside it selects this pool.
    pub link: Ipv6Net,
    /// First address.
    pub first: Ipv6Addr,
    /// Last address.
    pub last: Ipv6Addr,
}

/// UDP port of servers and relay agents (RFC 8415 §7.2).
pub(super) const PORT: u16 = 547;

impl Serves for Dhcpv6Server {}

impl ServiceFacts for Dhcpv6ServerPlan {
    fn port(&self) -> Option<u16> {
        Some(PORT)
    }

    fn describe(&self) -> Vec<String> {
        vec!["DHCPv6 server".into()]
    }
}

/// Hosts of a router's prefix that DHCPv6 leases.
const POOL: (u128, u128) = (0x1000, 0x1fff);

fn is_server(table: &ServiceTable) -> bool {
    matches!(table, ServiceTable::Dhcpv6Server(_))
}

impl<'t> Resolver<'t> {
    /// Every DHCPv6 server, by name.
    pub(crate) fn dhcpv6_servers(&self) -> impl Iterator<Item = &'t str> + use<'t> {
        self.running(is_server)
    }

    /// The DHCPv6 server that an edge router relays to.
    pub(super) fn relayed_server(
        &mut self,
        context: &Context<'_, 't>,
        router: &Router,
    ) -> Option<&'t str> {
        let path = format!("{}.dhcpv6_server", context.path);
        if let Some(name) = &router.dhcpv6_server {
            let fits = |node: &Node| node.runs(is_server);
            return Some(self.named(&path, name, "a dhcpv6-server", fits)?.0);
        }
        let servers: Vec<&str> = self.dhcpv6_servers().collect();
        if servers.len() > 1 {
            let message = format!(
                "`{path}` is missing: there are several; name {}",
                alternatives(servers.iter().copied())
            );
            self.problem(self.span_of(context.name), message);
        }
        servers.first().copied()
    }

    /// Whether an edge router relays to `server`, without reporting anything.
    fn relays_to(&self, router: &Router, server: &str) -> bool {
        match &router.dhcpv6_server {
            Some(named) => **named == *server,
            None => self.dhcpv6_servers().next() == Some(server),
        }
    }
}

impl Dhcpv6Server {
    /// The plan of the service at `path`.
    pub(super) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> Dhcpv6ServerPlan {
        let network = context.network;
        let (valid_lifetime, preferred_lifetime) = r.lifetimes(
            path,
            (self.valid_lifetime, s(7200)),
            (self.preferred_lifetime, s(3600)),
        );
        let mut given: Vec<PoolPlan> = Vec::new();
        for (i, pool) in self.pools.iter().flatten().enumerate() {
            let path = format!("{path}.pools[{i}]");
            let path_router = format!("{path}.router");
            let found = r.named(
                &path_router,
                &pool.router,
                "an edge-router",
                Node::is_router,
            );
            let Some(router) = found.and_then(|(name, _)| network.router(name)) else {
                continue;
            };
            if given.iter().any(|other| other.link == router.prefix) {
                let message = format!(
                    "`{path_router}`: `{}` has a pool already; remove one of the two",
                    router.name
                );
                r.problem(pool.router.span, message);
            }
            pool.warn_if_small(r, &path, router.name);
            given.extend(pool.plan(r, &path, router, network));
        }
        let named = |router: &identity::Router<'_>| {
            let mut pools = self.pools.iter().flatten();
            pools.any(|pool| *pool.router.value == *router.name)
        };
        let routers = network.routers.iter();
        let derived = routers
            .filter(|router| !named(router) && r.relays_to(router.file, context.name))
            .map(|router| PoolPlan {
                link: router.prefix,
                first: offset(router.prefix, POOL.0),
                last: offset(router.prefix, POOL.1),
            });
        let mut pools: Vec<PoolPlan> = derived.chain(given).collect();
        pools.sort_by_key(|pool| pool.link);
        Dhcpv6ServerPlan {
            pools,
            valid_lifetime,
            preferred_lifetime,
            rapid_commit: or(self.rapid_commit, false),
        }
    }
}

impl Pool {
    /// Warns of a pool with fewer addresses than there are nodes that may ask for one.
    fn warn_if_small(&self, r: &mut Resolver<'_>, path: &str, router: &str) {
        let may_ask = |node: &Node, radio: &Radio| match &radio.handover {
            _ if r.address_mode(node) != AddressMode::Dhcpv6 => false,
            Some(moving) => moving.may_attach(router),
            None => *radio.attached_to.value == *router,
        };
        let nodes = r.hosts().filter(|(_, node, radio)| may_ask(node, radio));
        let nodes = nodes.count() as u128;
        let (first, last) = (self.first.value.to_bits(), self.last.value.to_bits());
        let addresses = (last.saturating_sub(first)).saturating_add(1);
        if addresses < nodes {
            let es = if addresses == 1 { "" } else { "es" };
            let message = format!(
                "`{path}`: the pool of {router} has {addresses} address{es} for {nodes} nodes that may \
                 ask for one there; make it larger, or leave `pools` out"
            );
            r.warning(self.last.span, message);
        }
    }

    fn plan(
        &self,
        r: &mut Resolver<'_>,
        path: &str,
        router: &identity::Router<'_>,
        network: &Network<'_>,
    ) -> Option<PoolPlan> {
        let prefix = router.prefix;
        for (key, address) in [("first", self.first), ("last", self.last)] {
            if !prefix.contains(&address.value) {
                let message = format!(
                    "`{path}.{key}`: `{}` is not in the prefix of `{}`, {prefix}; give one such \
                     as `{}`",
                    address.value,
                    router.name,
                    offset(prefix, POOL.0)
                );
                r.problem(address.span, message);
                return None;
            }
        }
        let (first, last) = (self.first.value, self.last.value);
        if first > last {
            let message = format!("`{path}.last`: `{last}` is before the first address, `{first}`");
            r.problem(self.last.span, message);
        }
        let hosts = network.hosts.iter().map(|(name, p)| (*name, *p));
        for (owner, address) in hosts.chain([(router.name, router.address)]) {
            if (first..=last).contains(&address) {
                let message = format!(
                    "`{path}.first`: the pool from `{first}` to `{last}` holds `{address}`, \
                     which `{owner}` has; take it out"
                );
                r.problem(self.first.span, message);
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
