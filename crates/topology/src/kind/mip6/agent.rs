//! Home agents and mobility anchor points.

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::domain::regional_address;
use super::protection::{self, Party, ProtectionPlan};
use super::{MAX_S, alone_on_the_backbone, kernel_modules, lifetime, registering};
use crate::decode::{At, Decoder};
use crate::kind::served::OwnPrefix;
use crate::kind::wired::Wired;
use crate::kind::{
    Expand, Mobility, Node, Place, Serves, Service, ServiceFacts, ServiceKeys, ServiceTable,
};
use crate::resolve::identity::SUBNET;
use crate::resolve::timers::s;
use crate::resolve::{Context, Resolver, or};

tables! {
    /// Whose addresses a home agent or a mobility anchor point looks after, and how.
    pub struct Agent {
        /// The prefix of these addresses, which no link has; a /64; default of home agents
        /// 2001:db8:a000::/64, 2001:db8:a001::/64, …, of mobility anchor points 2001:db8:b000::/64, …,
        /// in name order.
        pub prefix: Option<At<Ipv6Net>>,
        /// The longest lifetime that it grants; whole multiples of 4 s up to 262140 s; default 3600 s.
        pub max_lifetime: Option<At<Duration>>,
        /// How many nodes it has room for; at least 1, and as many as register with it; default 256.
        pub max_bindings: Option<At<u32>>,
        /// How long duplicate address detection takes before the first registration of an address is
        /// acknowledged (RFC 6275 §10.3.1); up to 20 s; default 1 s.
        pub dad: Option<At<Duration>>,
    }

    /// Home agent (RFC 6275 §10): takes up what is sent to the home addresses of nodes that are away.
    pub struct HomeAgent {
        with agent: Agent,
    }

    /// Home agent (RFC 6275 §10): takes up what is sent to the home addresses of nodes that are away.
    pub struct HomeAgentNode also ["role"] {
        with wired: Wired,
        with agent: HomeAgent,
        with services: ServiceKeys,
    }

    /// Mobility anchor point (RFC 5380): takes up what is sent to the regional addresses of nodes.
    pub struct Map {
        with agent: Agent,
        /// Edge routers that are below it; default all, if there is no other `map`.
        pub routers: Option<Vec<At<String>>>,
        /// Whether it refuses nodes on links of other edge routers (RFC 5380 §6.2: status 129), so that
        /// what is under way to a node that has left its domain is lost; default false.
        pub restricted: Option<At<bool>>,
    }

    /// Mobility anchor point (RFC 5380): takes up what is sent to the regional addresses of nodes.
    pub struct MapNode also ["role"] {
        with wired: Wired,
        with map: Map,
        with services: ServiceKeys,
    }
}

/// The third group of the first default prefix of home addresses, and of regional ones.
const HOME_PREFIXES: u16 = 0xa000;
const REGIONAL_PREFIXES: u16 = 0xb000;

/// RetransTimer (RFC 4861 §10), once: Duplicate Address Detection.
const DAD: Duration = s(1);
/// Of two such and a try that falls between them, less than a run waits for its nodes.
const LONGEST_DAD: Duration = s(20);
/// For how many nodes there is room by default.
const MAX_BINDINGS: u32 = 256;

pub(super) fn is_home_agent(table: &ServiceTable) -> bool {
    matches!(table, ServiceTable::HomeAgent(_))
}

pub(super) fn is_map(table: &ServiceTable) -> bool {
    matches!(table, ServiceTable::Map(_))
}

/// A node on the backbone with the service that it is named after.
pub(super) fn node(
    kind: &'static str,
    wired: Wired,
    own: ServiceTable,
    services: ServiceKeys,
) -> Node {
    let own = Service::of_shorthand("", own);
    Node {
        kind,
        place: Place::Wired(wired),
        mobility: Mobility::None,
        services: std::iter::once(own).chain(services.services()).collect(),
        coap: None,
    }
}

impl Expand for HomeAgentNode {
    fn expand(self, _: &mut Decoder) -> Node {
        let own = ServiceTable::HomeAgent(Box::new(self.agent));
        node("home-agent", self.wired, own, self.services)
    }
}

impl Expand for MapNode {
    fn expand(self, _: &mut Decoder) -> Node {
        let own = ServiceTable::Map(Box::new(self.map));
        node("map", self.wired, own, self.services)
    }
}

/// Whose addresses a home agent or a mobility anchor point looks after, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentPlan {
    /// The prefix of home addresses, or of regional care-of addresses.
    pub prefix: Ipv6Net,
    /// The longest lifetime that it grants, a multiple of 4 s.
    #[serde(with = "duration")]
    pub max_lifetime: Duration,
    /// For how many of them it has room.
    pub max_bindings: u32,
    /// Duplicate Address Detection before a first registration is acknowledged.
    #[serde(with = "duration")]
    pub dad: Duration,
    /// Of a mobility anchor point: the prefixes of the links that its nodes may be on; empty: of any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Ipv6Net>,
    /// Nodes whose registrations are protected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<ProtectionPlan>,
    /// Whether these are all that register, so that nobody else may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected_only: bool,
}

/// The address that an agent has in the prefix that it looks after.
pub(super) fn own_address(prefix: Ipv6Net) -> Ipv6Addr {
    Ipv6Addr::from_bits(prefix.network().to_bits() | 1)
}

impl AgentPlan {
    /// Its own address in its prefix, PREFIX::1.
    pub fn own_address(&self) -> Ipv6Addr {
        own_address(self.prefix)
    }
}

/// A home agent, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HomeAgentPlan(pub AgentPlan);

/// A mobility anchor point, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapPlan(pub AgentPlan);

impl AgentPlan {
    /// The same with the associations of its nodes, by what `registered` says of a node's address there. It is
    /// itself `agent` to them.
    fn protecting(
        self,
        r: &Resolver<'_>,
        agent: Party<'_>,
        registered: impl Fn(&str) -> Option<Ipv6Addr>,
    ) -> AgentPlan {
        let (protected, protected_only) = protection::of_agent(r, agent, registered);
        AgentPlan {
            protected,
            protected_only,
            ..self
        }
    }

    fn kernel_modules(&self) -> &'static [&'static str] {
        kernel_modules(!self.protected.is_empty())
    }
}

impl Agent {
    /// The prefix that is given, or the first one that is taken by default.
    fn own_prefix(&self, first: u16) -> Option<OwnPrefix> {
        Some(OwnPrefix {
            bits: SUBNET,
            given: self.prefix,
            first,
        })
    }

    /// The plan of the service at `path`, which is the node's `own`.
    fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
        own: fn(&ServiceTable) -> bool,
    ) -> AgentPlan {
        alone_on_the_backbone(r, context, path, own);
        self.check_room(r, context.name, path);
        let max_lifetime = format!("{path}.max_lifetime");
        AgentPlan {
            prefix: context.network.prefix_of(context.name).unwrap_or_default(),
            max_lifetime: lifetime(r, &max_lifetime, self.max_lifetime, 3600, MAX_S),
            max_bindings: r.at_least_one(
                &format!("{path}.max_bindings"),
                self.max_bindings,
                MAX_BINDINGS,
            ),
            dad: r.duration(
                &format!("{path}.dad"),
                self.dad,
                DAD,
                |dad| dad <= LONGEST_DAD,
                "up to 20 s, since a run waits a minute for its nodes",
            ),
            links: Vec::new(),
            protected: Vec::new(),
            protected_only: false,
        }
    }

    /// A node for which there is no room would try for ever, and the run not begin.
    fn check_room(&self, r: &mut Resolver<'_>, name: &str, path: &str) {
        let nodes = registering(r, name).len();
        let room = or(self.max_bindings, MAX_BINDINGS);
        if room > 0 && usize::try_from(room).is_ok_and(|room| room < nodes) {
            let span = self.max_bindings.map(|given| given.span);
            let message = format!(
                "`{path}.max_bindings`: {nodes} nodes register there, and there is room for {room}; \
                 write {nodes} or more"
            );
            r.problem(span.unwrap_or(r.span_of(name)), message);
        }
    }
}

impl HomeAgent {
    /// The plan of the service at `path`.
    pub(crate) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> HomeAgentPlan {
        let network = context.network;
        let agent = (context.name, network.address_of(context.name));
        let plan = self.agent.plan(r, context, path, is_home_agent);
        HomeAgentPlan(plan.protecting(r, agent, |node| Some(network.permanent(node))))
    }
}

impl Map {
    /// The plan of the service at `path`.
    pub(crate) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> MapPlan {
        self.check_routers(r, context, path);
        let plan = AgentPlan {
            links: match or(self.restricted, false) {
                true => self.links(r, context.network),
                false => Vec::new(),
            },
            ..self.agent.plan(r, context, path, is_map)
        };
        let (prefix, agent) = (plan.prefix, (context.name, plan.own_address()));
        let registered = |node: &str| regional_address(context.network, node, prefix);
        MapPlan(plan.protecting(r, agent, registered))
    }
}

impl Serves for HomeAgent {
    fn prefix(&self) -> Option<OwnPrefix> {
        self.agent.own_prefix(HOME_PREFIXES)
    }
}

impl Serves for Map {
    fn prefix(&self) -> Option<OwnPrefix> {
        self.agent.own_prefix(REGIONAL_PREFIXES)
    }
}

impl ServiceFacts for HomeAgentPlan {
    fn prefix(&self) -> Option<Ipv6Net> {
        Some(self.0.prefix)
    }

    fn kernel_modules(&self) -> &'static [&'static str] {
        self.0.kernel_modules()
    }

    fn describe(&self) -> Vec<String> {
        vec!["home agent".into(), self.0.prefix.to_string()]
    }
}

impl ServiceFacts for MapPlan {
    fn prefix(&self) -> Option<Ipv6Net> {
        Some(self.0.prefix)
    }

    fn kernel_modules(&self) -> &'static [&'static str] {
        self.0.kernel_modules()
    }

    fn describe(&self) -> Vec<String> {
        vec!["mobility anchor point".into(), self.0.prefix.to_string()]
    }
}
