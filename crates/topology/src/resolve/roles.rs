//! What each node does, and whom it needs for that.

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use units::ByteSize;

use super::identity::{Network, Router};
use super::radio::RadioModel;
use super::{NO_ADDRESS, Resolver, or};
use crate::decode::At;
use crate::diagnostic::alternatives;
use crate::file::{self, Node};
use crate::plan::{
    AddressMode, Arrivals, BindingMode, ClientPlan, Dhcpv6ServerPlan, EdgeRouterPlan,
    HoldQueuePlan, MobileNodePlan, NodePlan, PollPlan, PoolPlan, RadioInterface, ResourcePlan,
    Role, SleepPlan, WmmsLimitsPlan, WmmsPlan,
};

/// The resource of a mobile node that names none.
const DEFAULT_PATH: &str = "/temperature";
/// Size of a resource that names none.
const DEFAULT_SIZE: ByteSize = ByteSize(16);
/// As much as a client puts together from blocks.
const MAX_SIZE: ByteSize = ByteSize(65_000);
/// Option 2054 counts milliseconds in 32 bits.
const MAX_SLEEP: Duration = Duration::from_millis(u32::MAX as u64);
/// Hosts of a router's prefix that DHCPv6 leases.
const POOL: (u128, u128) = (0x1000, 0x1fff);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl<'t> Resolver<'t> {
    /// Resolves one node.
    pub(super) fn node(
        &mut self,
        name: &str,
        node: &Node,
        network: &Network<'t>,
        model: &RadioModel,
    ) -> NodePlan {
        let path = format!("nodes.{name}");
        let profile = self.own_profile(name, node, model);
        NodePlan {
            backbone: network.wired.get(name).cloned(),
            radio: network.radios.get(name).map(|radio| RadioInterface {
                profile,
                ..radio.clone()
            }),
            role: match node {
                Node::EdgeRouter(file) => Role::EdgeRouter(self.edge_router(&path, file, network)),
                Node::Dhcpv6Server(file) => {
                    Role::Dhcpv6Server(self.dhcpv6_server(name, file, network))
                }
                Node::Wmms(file) => Role::Wmms(WmmsPlan {
                    hold_timeout: self.positive(
                        &format!("{path}.hold_timeout"),
                        file.hold_timeout,
                        s(1),
                    ),
                    binding: self.binding(),
                    limits: self.wmms_limits(&format!("{path}.limits"), file.limits.as_ref()),
                    coap: self.coap(&format!("{path}.coap"), file.coap.as_ref()),
                }),
                Node::Client(file) => Role::Client(self.client(name, file, network)),
                Node::MobileNode(file) => {
                    Role::MobileNode(Box::new(self.mobile_node(name, file, network, model)))
                }
                Node::Program(file) => Role::Program(self.program(name, file, network)),
            },
        }
    }

    fn wmms_limits(&mut self, path: &str, file: Option<&file::WmmsLimits>) -> WmmsLimitsPlan {
        let mut limit = |key: &str, given: Option<Option<At<u32>>>, default| {
            self.at_least_one(&format!("{path}.{key}"), given.flatten(), default)
        };
        let entries = limit("entries", file.map(|f| f.entries), 1 << 20);
        let of_source = file.map(|f| f.entries_per_source);
        let entries_per_source = limit("entries_per_source", of_source, 256);
        let discoveries = file.map(|f| f.discoveries_per_source);
        let discoveries_per_source = limit("discoveries_per_source", discoveries, 1024);
        let holds = file.map(|f| f.holds_per_source);
        let holds_per_source = limit("holds_per_source", holds, 64);
        let correspondents_per_node = self.checked(
            &format!("{path}.correspondents_per_node"),
            file.and_then(|f| f.correspondents_per_node),
            256,
            |value| value.to_string(),
            |value| (1..=u32::from(u16::MAX)).contains(&value),
            "from 1 to 65535",
        );
        WmmsLimitsPlan {
            entries,
            entries_per_source,
            correspondents_per_node,
            discoveries_per_source,
            holds_per_source,
        }
    }

    /// How a mobile node gets its temporary address.
    pub(super) fn address_mode(&self, node: &file::MobileNode) -> AddressMode {
        let default = match self.dhcpv6_servers().next() {
            Some(_) => AddressMode::Dhcpv6,
            None => AddressMode::Slaac,
        };
        or(node.handover.as_ref().and_then(|h| h.address), default)
    }

    pub(super) fn dhcpv6_servers(&self) -> impl Iterator<Item = &'t str> {
        self.nodes
            .iter()
            .filter(|(_, (_, node))| matches!(node, Node::Dhcpv6Server(_)))
            .map(|(name, _)| *name)
    }

    /// The mobile nodes that use `mode`.
    fn users_of(&self, mode: AddressMode) -> Vec<&'t str> {
        self.mobile_nodes()
            .filter(|(_, node)| self.address_mode(node) == mode)
            .map(|(name, _)| name)
            .collect()
    }

    fn edge_router(
        &mut self,
        path: &str,
        file: &file::EdgeRouter,
        network: &Network<'t>,
    ) -> EdgeRouterPlan {
        let router = path.strip_prefix("nodes.").and_then(|n| network.router(n));
        let server = self.server_of(path, file);
        let ra = file.router_advertisements.as_ref();
        let managed = self.users_of(AddressMode::Dhcpv6);
        let autonomous = self.users_of(AddressMode::Slaac);
        let ra_path = format!("{path}.router_advertisements");
        let flags = [
            ("managed", ra.and_then(|ra| ra.managed), &managed, "dhcpv6"),
            (
                "autonomous",
                ra.and_then(|ra| ra.autonomous),
                &autonomous,
                "slaac",
            ),
        ];
        for (key, flag, users, mode) in flags {
            if let (Some(At { value: false, span }), Some(user)) = (flag, users.first()) {
                let message = format!(
                    "`{ra_path}.{key}`: `false` leaves `{user}` without an address, because its \
                     mode is {mode}; write `true`, or change `nodes.{user}.handover.address`"
                );
                self.problem(span, message);
            }
        }
        EdgeRouterPlan {
            prefix: router.map_or_else(Ipv6Net::default, |router| router.prefix),
            address: router.map_or(NO_ADDRESS, |router| router.address),
            router_advertisements: self.router_advertisements(
                &ra_path,
                ra,
                !managed.is_empty(),
                !autonomous.is_empty(),
            ),
            dhcpv6_server: server.map(|server| network.address_of(server)),
        }
    }

    /// The DHCPv6 server that an edge router relays to.
    fn server_of(&mut self, path: &str, file: &file::EdgeRouter) -> Option<&'t str> {
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

    fn dhcpv6_server(
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

    /// Address of the WMMS that `name` registers at.
    fn wmms_of(
        &mut self,
        name: &str,
        given: Option<&At<String>>,
        network: &Network<'t>,
    ) -> Ipv6Addr {
        let path = format!("nodes.{name}.wmms");
        if let Some(given) = given {
            let fits = |node: &Node| matches!(node, Node::Wmms(_));
            let found = self.named(&path, given, "a wmms", fits);
            return found.map_or(NO_ADDRESS, |(wmms, _)| network.address_of(wmms));
        }
        let all: Vec<&str> = self
            .nodes
            .iter()
            .filter(|(_, (_, node))| matches!(node, Node::Wmms(_)))
            .map(|(name, _)| *name)
            .collect();
        let message = match all.as_slice() {
            [only] => return network.address_of(only),
            [] => format!(
                "`nodes.{name}` needs a wmms to register at, and there is none; add one, \
                 `wmms: {{ role: wmms }}`"
            ),
            several => format!(
                "`{path}` is missing: there are several; name {}",
                alternatives(several.iter().copied())
            ),
        };
        self.problem(self.span_of(name), message);
        NO_ADDRESS
    }

    /// Who updates the correspondents: one answer for all nodes, because the WMMS passes
    /// bindings on or does not.
    fn binding(&mut self) -> BindingMode {
        let mut all = self.mobile_nodes().map(|(name, node)| {
            let given = node.handover.as_ref().and_then(|h| h.binding);
            (name, or(given, BindingMode::Direct), given.map(|g| g.span))
        });
        let Some((first, mode, at)) = all.next() else {
            return BindingMode::Direct;
        };
        if let Some((other, _, other_at)) = all.find(|(_, other, _)| *other != mode) {
            let message = format!(
                "`nodes.{other}.handover.binding` differs from `nodes.{first}`'s: the WMMS \
                 serves both in one way; give both the same"
            );
            self.problem(other_at.or(at).unwrap_or(self.span_of(other)), message);
        }
        mode
    }

    fn client(&mut self, name: &str, file: &file::Client, network: &Network<'t>) -> ClientPlan {
        let path = format!("nodes.{name}");
        let queue = file.hold_queue.as_ref();
        let polls = file.polls.iter().flatten().enumerate();
        ClientPlan {
            p_addr: or(file.p_addr, network.address_of(name)),
            wmms: self.wmms_of(name, file.wmms.as_ref(), network),
            lifetime: self.binding_lifetime(&format!("{path}.lifetime"), file.lifetime),
            polls: polls
                .flat_map(|(i, poll)| self.polls(&format!("{path}.polls[{i}]"), poll, network))
                .collect(),
            hold_queue: HoldQueuePlan {
                capacity: self.at_least_one(
                    &format!("{path}.hold_queue.capacity"),
                    queue.and_then(|q| q.capacity),
                    1000,
                ),
                timeout: self.positive(
                    &format!("{path}.hold_queue.timeout"),
                    queue.and_then(|q| q.timeout),
                    s(10),
                ),
            },
            coap: self.coap(&format!("{path}.coap"), file.coap.as_ref()),
        }
    }

    /// A poll; of a group, one of each of its nodes.
    fn polls(&mut self, path: &str, poll: &file::Poll, network: &Network<'t>) -> Vec<PollPlan> {
        let groups = self.groups;
        let Some(members) = groups.get(poll.node.as_str()) else {
            return Vec::from_iter(self.poll(path, poll, &poll.node, network));
        };
        let member = |name: &String| At {
            value: name.clone(),
            span: poll.node.span,
        };
        let members = members.iter().map(member);
        members
            .filter_map(|node| self.poll(path, poll, &node, network))
            .collect()
    }

    /// The poll of one node.
    fn poll(
        &mut self,
        path: &str,
        poll: &file::Poll,
        node: &At<String>,
        network: &Network<'t>,
    ) -> Option<PollPlan> {
        let every = self.positive(&format!("{path}.every"), poll.every, s(1));
        let fits = |node: &Node| matches!(node, Node::MobileNode(_));
        let path_node = format!("{path}.node");
        let (node, Node::MobileNode(target)) =
            self.named(&path_node, node, "a mobile-node", fits)?
        else {
            return None;
        };
        let served: Vec<&str> = match &target.resources {
            Some(resources) => resources.iter().map(|r| r.path.as_str()).collect(),
            None => vec![DEFAULT_PATH],
        };
        let resource = match (&poll.path, served.as_slice()) {
            (Some(given), served) if served.contains(&given.as_str()) => given.value.clone(),
            (None, [only]) => (*only).to_owned(),
            (given, served) => {
                let known = alternatives(served.iter().copied());
                let (span, found) = match given {
                    Some(given) => (given.span, format!("`{}`", given.value)),
                    None => (poll.node.span, "nothing".to_owned()),
                };
                let message = format!(
                    "`{path}.path`: {found} is not a resource of `{}`, which serves {known}",
                    poll.node.value
                );
                self.problem(span, message);
                return None;
            }
        };
        let observe = self.observed(path, poll, target, &resource);
        Some(PollPlan {
            node: node.to_owned(),
            p_addr: network.address_of(node),
            path: resource,
            every,
            arrivals: or(poll.arrivals, Arrivals::Periodic),
            confirmable: or(poll.confirmable, true),
            observe,
        })
    }

    /// Whether a poll observes `resource` of `target`, which has to be possible.
    fn observed(
        &mut self,
        path: &str,
        poll: &file::Poll,
        target: &file::MobileNode,
        resource: &str,
    ) -> bool {
        let Some(observe) = poll.observe.filter(|observe| observe.value) else {
            return false;
        };
        let mut resources = target.resources.iter().flatten();
        if !resources.any(|r| r.path.value == resource && r.changes_every.is_some()) {
            let node = &poll.node.value;
            let message = format!(
                "`{path}.observe`: {resource} of `{node}` does not change by itself; give it a `changes_every`"
            );
            self.problem(observe.span, message);
        }
        if let Some(every) = poll.every {
            let message = format!(
                "`{path}.every`: an observed resource is not asked periodically; leave `every` out and say `changes_every` at the resource"
            );
            self.problem(every.span, message);
        }
        true
    }

    fn mobile_node(
        &mut self,
        name: &str,
        file: &file::MobileNode,
        network: &Network<'t>,
        model: &RadioModel,
    ) -> MobileNodePlan {
        let path = format!("nodes.{name}");
        let is_router = |node: &Node| matches!(node, Node::EdgeRouter(_));
        let at = format!("{path}.attached_to");
        self.named(&at, &file.attached_to, "an edge-router", is_router);
        let mut candidates = Vec::new();
        match &file.candidates {
            None => candidates.extend(network.routers.iter().map(Router::candidate)),
            Some(given) => {
                for (i, router) in given.iter().enumerate() {
                    let at = format!("{path}.candidates[{i}]");
                    let found = self.named(&at, router, "an edge-router", is_router);
                    let router = found.and_then(|(name, _)| network.router(name));
                    candidates.extend(router.map(Router::candidate));
                }
                if !given.iter().any(|c| c.value == file.attached_to.value) {
                    let message = format!(
                        "`{at}`: `{}` is not among the candidates; add it there",
                        file.attached_to.value
                    );
                    self.problem(file.attached_to.span, message);
                }
            }
        }
        MobileNodePlan {
            p_addr: network.address_of(name),
            wmms: self.wmms_of(name, file.wmms.as_ref(), network),
            attached_to: file.attached_to.value.clone(),
            resources: self.resources(&path, file),
            lifetime: self.binding_lifetime(&format!("{path}.lifetime"), file.lifetime),
            sleep: self.sleep(&path, file),
            handover: self.handover(name, file, network, model),
            candidates,
            coap: self.coap(&format!("{path}.coap"), file.coap.as_ref()),
        }
    }

    fn sleep(&mut self, path: &str, file: &file::MobileNode) -> Option<SleepPlan> {
        let sleep = file.sleep.as_ref()?;
        let every = self.positive(
            &format!("{path}.sleep.every"),
            Some(sleep.every),
            Duration::ZERO,
        );
        let period = self.duration(
            &format!("{path}.sleep.period"),
            Some(sleep.period),
            Duration::ZERO,
            |period| !period.is_zero() && period < every && period <= MAX_SLEEP,
            "longer than zero and shorter than `every`, and at most 4294967.295 s, as CoMP's Sleep \
             period option holds",
        );
        Some(SleepPlan {
            every,
            period,
            announced: or(sleep.announced, true),
        })
    }

    fn resources(&mut self, path: &str, file: &file::MobileNode) -> Vec<ResourcePlan> {
        let Some(resources) = &file.resources else {
            return vec![ResourcePlan {
                path: DEFAULT_PATH.to_owned(),
                size: DEFAULT_SIZE,
                changes_every: None,
            }];
        };
        let mut plans: Vec<ResourcePlan> = Vec::new();
        for (i, resource) in resources.iter().enumerate() {
            let path = format!("{path}.resources[{i}]");
            let uri = &resource.path;
            if let Some(right) = wrong_path(uri) {
                let message = format!("`{path}.path`: `{}` {right}", uri.value);
                self.problem(uri.span, message);
            }
            if plans.iter().any(|plan| plan.path == uri.value) {
                let message = format!(
                    "`{path}.path`: duplicate path `{}`; give each resource its own",
                    uri.value
                );
                self.problem(uri.span, message);
            }
            let size = self.checked(
                &format!("{path}.size"),
                resource.size,
                DEFAULT_SIZE,
                |size| size.to_string(),
                |size| size <= MAX_SIZE,
                "a size up to 65000 B, which a client puts together from blocks",
            );
            let at = format!("{path}.changes_every");
            let changes_every = resource
                .changes_every
                .map(|every| self.positive(&at, Some(every), s(1)));
            plans.push(ResourcePlan {
                path: uri.value.clone(),
                size,
                changes_every,
            });
        }
        plans
    }
}

/// What a resource's path must be, if it is not.
fn wrong_path(path: &str) -> Option<&'static str> {
    let Some(rest) = path.strip_prefix('/') else {
        return Some("is not a path; write `/temperature`");
    };
    if rest == "comp" {
        Some("is CoMP's own resource; choose another")
    } else if rest.split('/').any(|segment| {
        // RFC 7252 §5.10: Uri-Path is 0 to 255 bytes; an empty segment would not be seen.
        segment.is_empty() || segment.len() > 255 || segment.contains(['?', '#', ' '])
    }) {
        Some("has an empty, long or unprintable segment; write `/temperature`")
    } else {
        None
    }
}

/// The address `offset` into a prefix.
fn offset(prefix: Ipv6Net, offset: u128) -> Ipv6Addr {
    Ipv6Addr::from_bits(prefix.network().to_bits() | offset)
}
