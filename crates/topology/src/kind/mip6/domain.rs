//! Domains of Hierarchical Mobile IPv6 (RFC 5380): which edge routers are below which mobility anchor point.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::agent::{Map, own_address};
use super::{AnchorPlan, Given, MAP, Mode, Plan, agent, protection};
use crate::kind::{Mobility, Node, ServiceTable};
use crate::plan;
use crate::resolve::identity::Network;
use crate::resolve::{Context, Resolver};

/// The mobility anchor points by name.
fn anchor_points<'t>(r: &Resolver<'t>) -> impl Iterator<Item = (&'t str, &'t Map)> + use<'t> {
    let nodes = r.nodes.clone().into_iter();
    nodes.filter_map(|(name, (_, node))| {
        let maps = node
            .services
            .iter()
            .filter_map(|service| match &service.table {
                ServiceTable::Map(map) => Some(&**map),
                _ => None,
            });
        maps.map(|map| (name, map)).next()
    })
}

/// Whether there is but one, so that every edge router is below it if it names none.
fn is_only_one(r: &Resolver<'_>) -> bool {
    r.running(agent::is_map).nth(1).is_none()
}

/// Whether an edge router is below a mobility anchor point.
fn is_below(r: &Resolver<'_>, router: &str, map: &Map) -> bool {
    match &map.routers {
        Some(routers) => routers.iter().any(|named| *named.value == *router),
        None => is_only_one(r),
    }
}

/// The mobility anchor point that `router`, an edge router, advertises: the one that it is below, if a node
/// has any use for it.
pub(crate) fn anchor_point_of(
    r: &Resolver<'_>,
    network: &Network<'_>,
    router: &str,
) -> Option<Ipv6Addr> {
    let uses = |node: &Node| match &node.mobility {
        Mobility::Mip6(given) => given.mode == Mode::Hierarchical,
        _ => false,
    };
    if !r.hosts().any(|(_, node, _)| uses(node)) {
        return None;
    }
    let (above, _) = anchor_points(r).find(|(_, map)| is_below(r, router, map))?;
    network.prefix_of(above).map(own_address)
}

/// The address that the node `name` forms of the prefix of a mobility anchor point.
pub(super) fn regional_address(
    network: &Network<'_>,
    name: &str,
    prefix: Ipv6Net,
) -> Option<Ipv6Addr> {
    let eui64 = network.eui64_of(name)?;
    Some(eui64.address_in(prefix.network()))
}

impl Given {
    /// The mobility anchor points that it may register with.
    pub(super) fn anchors<'t>(&self, r: &Resolver<'t>) -> Vec<&'t str> {
        let all = r.running(agent::is_map);
        let named = self.settings.map.as_ref();
        let is_meant = |name: &&str| named.is_none_or(|named| *named.value == **name);
        match self.mode {
            Mode::Hierarchical => all.filter(is_meant).collect(),
            Mode::Tunnel | Mode::RouteOptimization => Vec::new(),
        }
    }

    /// Their plans. None at all is an error.
    pub(super) fn maps<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
    ) -> Vec<AnchorPlan> {
        let names = match (self.mode, self.anchors(r)) {
            (Mode::Hierarchical, several) if several.len() > 1 => several,
            (Mode::Hierarchical, _) => {
                let only = self.peer(r, context, &MAP, self.settings.map.as_ref());
                only.into_iter().collect()
            }
            (Mode::Tunnel | Mode::RouteOptimization, _) => Vec::new(),
        };
        let network = context.network;
        let plan = |name: &str| {
            let prefix = network.prefix_of(name)?;
            let address = agent::own_address(prefix);
            let regional_address = regional_address(network, context.name, prefix)?;
            let registered = (context.name, regional_address);
            Some(AnchorPlan {
                address,
                prefix,
                regional_address,
                protection: protection::between(r, self, registered, (name, address)).map(Box::new),
            })
        };
        names.into_iter().filter_map(plan).collect()
    }
}

impl Plan {
    /// Whether a router that the node `name` may come to advertises one of its mobility anchor points.
    pub(super) fn finds_one(&self, name: &str, plan: &plan::Plan) -> bool {
        let candidates = plan.nodes[name].candidates().iter();
        let routers = candidates.filter_map(|candidate| plan.nodes.get(&candidate.router));
        let mut advertised = routers.filter_map(|node| node.router.as_ref()?.anchor_point);
        advertised.any(|address| self.maps.iter().any(|map| map.address == address))
    }
}

impl Map {
    /// The links of its domain.
    pub(super) fn links(&self, r: &Resolver<'_>, network: &Network<'_>) -> Vec<Ipv6Net> {
        let routers = network.routers.iter();
        let below = routers.filter(|router| is_below(r, router.name, self));
        below.map(|router| router.prefix).collect()
    }

    /// An edge router is below one of them at most, and below each is one at least.
    pub(super) fn check_routers(
        &self,
        r: &mut Resolver<'_>,
        context: &Context<'_, '_>,
        path: &str,
    ) {
        let path = format!("{path}.routers");
        let Some(routers) = &self.routers else {
            if !is_only_one(r) {
                let message = format!(
                    "`{path}` is missing: there are several mobility anchor points; name the edge \
                     routers that are below this one"
                );
                r.problem(r.span_of(context.name), message);
            }
            return;
        };
        if routers.is_empty() {
            let message = format!(
                "`{path}` names no edge router, and nobody would be below it; name one, or remove \
                 the mobility anchor point"
            );
            r.problem(r.span_of(context.name), message);
        }
        let mut named = BTreeSet::new();
        for (i, router) in routers.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let found = r.named(&path, router, "an edge-router", Node::is_router);
            let Some((name, _)) = found else { continue };
            let before = anchor_points(r).take_while(|(other, _)| *other != context.name);
            let owner = { before }.find(|(_, map)| map.routers.is_some() && is_below(r, name, map));
            let message = match owner {
                Some((owner, _)) => format!(
                    "`{path}`: `{name}` is below `{owner}` already; name it below one of the two"
                ),
                None if !named.insert(name) => {
                    format!("`{path}`: `{name}` is named twice; remove it")
                }
                None => continue,
            };
            r.problem(router.span, message);
        }
    }
}
