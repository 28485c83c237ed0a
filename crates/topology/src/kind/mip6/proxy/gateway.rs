//! Mobile access gateways: what an edge router is if a node may come to it whose mobility is Proxy Mobile
//! IPv6. Nothing in the file says so.

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use units::Eui64;
use units::quantity::duration;

use super::anchor::{is_lma, may_come, served};
use super::{LIFETIME_S, LINK_LOCAL, prefix_of};
use crate::kind::Mobility;
use crate::plan::NodeName;
use crate::resolve::timers::s;
use crate::resolve::{Context, Resolver};

/// A mobile access gateway (RFC 5213 §6), resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayPlan {
    /// Its address on the backbone (Proxy-CoA).
    pub address: Ipv6Addr,
    /// The address of the local mobility anchor.
    pub anchor: Ipv6Addr,
    /// The link-local address that it has, as all of them have, on its 6LoWPAN link.
    pub link_local: Ipv6Addr,
    /// The prefix that those of its nodes are out of.
    pub pool: Ipv6Net,
    /// The nodes that may come.
    pub nodes: Vec<VisitorPlan>,
}

/// A node that may come to a mobile access gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisitorPlan {
    /// Its name, which is its identifier (RFC 5213 §6.6), too.
    pub node: NodeName,
    /// The link-layer address by which it is known.
    pub eui64: Eui64,
    /// Its home network prefix.
    pub prefix: Ipv6Net,
    /// Lifetime of its binding that is asked for, a multiple of 4 s.
    #[serde(with = "duration")]
    pub lifetime: Duration,
}

impl GatewayPlan {
    /// What it is, in words for a person.
    pub(in crate::kind) fn describe(&self) -> String {
        "mobile access gateway".into()
    }
}

/// What `context`'s node, an edge router, is for nodes that may come to it; nothing if there are none.
pub(crate) fn gateway_of(r: &Resolver<'_>, context: &Context<'_, '_>) -> Option<GatewayPlan> {
    let network = context.network;
    let nodes = served(r).filter(|name| may_come(r, name, context.name));
    let nodes: Vec<VisitorPlan> = nodes
        .filter_map(|name| {
            let given = r.hosts().find_map(|(host, node, _)| match &node.mobility {
                Mobility::Proxy(given) if host == name => given.lifetime,
                _ => None,
            });
            Some(VisitorPlan {
                node: name.to_owned(),
                eui64: network.eui64_of(name)?,
                prefix: prefix_of(context, name),
                // A wrong one is reported with its node.
                lifetime: given.map_or(s(LIFETIME_S), |given| given.value),
            })
        })
        .collect();
    let anchor = r.running(is_lma).next().filter(|_| !nodes.is_empty())?;
    Some(GatewayPlan {
        address: network.address_of(context.name),
        anchor: network.address_of(anchor),
        link_local: LINK_LOCAL,
        pool: network.prefix_of(anchor)?,
        nodes,
    })
}
