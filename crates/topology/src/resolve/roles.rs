//! What each node does, and whom it needs for that.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::identity::{Network, Router};
use super::polls::default_resource;
use super::radio::RadioModel;
use super::{NO_ADDRESS, Resolver, or};
use crate::decode::At;
use crate::diagnostic::alternatives;
use crate::file::{self, Node};
use crate::plan::{
    AddressMode, BindingMode, ClientPlan, EdgeRouterPlan, MobileNodePlan, NodePlan, RadioInterface,
    Role, SleepPlan, WmmsLimitsPlan, WmmsPlan,
};
use ipnet::Ipv6Net;

/// Option 2054 counts milliseconds in 32 bits.
const MAX_SLEEP: Duration = Duration::from_millis(u32::MAX as u64);
pub(super) const fn s(seconds: u64) -> Duration {
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
        ClientPlan {
            p_addr: or(file.p_addr, network.address_of(name)),
            wmms: self.wmms_of(name, file.wmms.as_ref(), network),
            lifetime: self.binding_lifetime(&format!("{path}.lifetime"), file.lifetime),
            polls: self.polls(name, file.polls.as_deref(), network),
            hold_queue: self.hold_queue(&path, file.hold_queue.as_ref()),
            resources: self.resources(&path, file.resources.as_deref().unwrap_or_default()),
            coap: self.coap(&format!("{path}.coap"), file.coap.as_ref()),
        }
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
            resources: match &file.resources {
                Some(resources) => self.resources(&path, resources),
                None => vec![default_resource()],
            },
            lifetime: self.binding_lifetime(&format!("{path}.lifetime"), file.lifetime),
            sleep: self.sleep(&path, file),
            handover: self.handover(name, file, network, model),
            candidates,
            polls: self.polls(name, file.polls.as_deref(), network),
            hold_queue: self.hold_queue_of_asking(&path, file),
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
}
