//! Local mobility anchors.

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::{KERNEL_MODULES, prefix_of};
use crate::decode::{At, Decoder};
use crate::kind::mip6::{MAX_S, agent, alone_on_the_backbone, lifetime};
use crate::kind::served::OwnPrefix;
use crate::kind::wired::Wired;
use crate::kind::{Expand, Mobility, Node, Serves, ServiceFacts, ServiceKeys, ServiceTable};
use crate::plan::NodeName;
use crate::resolve::timers::ms;
use crate::resolve::{Context, Resolver};

tables! {
    /// Local mobility anchor (RFC 5213 §5): gives nodes their prefixes, and knows at which edge router
    /// each of them is.
    pub struct Lma {
        /// The prefix out of which every node gets a /64 of its own; a /48; default
        /// 2001:db8:c000::/48.
        pub prefix: Option<At<Ipv6Net>>,
        /// The longest lifetime that it grants; whole multiples of 4 s up to 262140 s; default 3600 s.
        pub max_lifetime: Option<At<Duration>>,
        /// TimestampValidityWindow (RFC 5213 §9.1): how far the time that an edge router writes may be from
        /// its own, so that the way between the two has to be shorter; over 0 s; default 300 ms.
        pub timestamp_validity: Option<At<Duration>>,
    }

    /// Local mobility anchor (RFC 5213 §5): gives nodes their prefixes, and knows at which edge router
    /// each of them is.
    pub struct LmaNode also ["role"] {
        with wired: Wired,
        with anchor: Lma,
        with services: ServiceKeys,
    }
}

/// The third group of the first default prefix.
const PREFIXES: u16 = 0xc000;
/// Bits of that prefix.
const POOL: u8 = 48;
/// TimestampValidityWindow (RFC 5213 §9.1).
const TIMESTAMP_VALIDITY: Duration = ms(300);

pub(in crate::kind) fn is_lma(table: &ServiceTable) -> bool {
    matches!(table, ServiceTable::Lma(_))
}

impl Expand for LmaNode {
    fn expand(self, _: &mut Decoder) -> Node {
        let own = ServiceTable::Lma(Box::new(self.anchor));
        agent::node("lma", self.wired, own, self.services)
    }
}

/// A local mobility anchor, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorPlan {
    /// The prefix that those of its nodes are out of.
    pub prefix: Ipv6Net,
    /// The longest lifetime that it grants, a multiple of 4 s.
    #[serde(with = "duration")]
    pub max_lifetime: Duration,
    /// How far the time in an update may be from its own.
    #[serde(with = "duration")]
    pub timestamp_validity: Duration,
    /// The nodes that it serves, with their prefixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<AnchoredPlan>,
    /// The edge routers that may say where those are, by their addresses on the backbone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<Ipv6Addr>,
}

/// A node of a local mobility anchor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchoredPlan {
    /// Its name, which is its identifier (RFC 5213 §6.6), too.
    pub node: NodeName,
    /// Its home network prefix.
    pub prefix: Ipv6Net,
    /// The address that it forms there.
    pub address: Ipv6Addr,
}

impl Lma {
    /// The plan of the service at `path`.
    pub(crate) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> AnchorPlan {
        alone_on_the_backbone(r, context, path, is_lma);
        let first = r.running(is_lma).next();
        if let Some(first) = first.filter(|first| *first != context.name) {
            let message = format!(
                "`{path}`: there is an lma already, `{first}`, and edge routers know of one only; \
                 remove one of them"
            );
            r.problem(r.span_of(context.name), message);
        }
        let nodes: Vec<AnchoredPlan> = served(r)
            .map(|name| AnchoredPlan {
                node: name.to_owned(),
                prefix: prefix_of(context, name),
                address: context.network.address_of(name),
            })
            .collect();
        let routers = context.network.routers.iter();
        let gateways = routers.filter(|router| serves_any(r, router.name));
        AnchorPlan {
            prefix: context.network.prefix_of(context.name).unwrap_or_default(),
            gateways: gateways
                .map(|router| context.network.address_of(router.name))
                .collect(),
            nodes,
            max_lifetime: lifetime(
                r,
                &format!("{path}.max_lifetime"),
                self.max_lifetime,
                3600,
                MAX_S,
            ),
            timestamp_validity: r.positive(
                &format!("{path}.timestamp_validity"),
                self.timestamp_validity,
                TIMESTAMP_VALIDITY,
            ),
        }
    }
}

/// The nodes whose mobility is Proxy Mobile IPv6.
pub(super) fn served<'t>(r: &Resolver<'t>) -> impl Iterator<Item = &'t str> + use<'t> {
    let hosts = r.hosts();
    let served = hosts.filter(|(_, node, _)| matches!(node.mobility, Mobility::Proxy(_)));
    served.map(|(name, ..)| name)
}

/// Whether one of them may come to `router`.
fn serves_any(r: &Resolver<'_>, router: &str) -> bool {
    served(r).any(|name| may_come(r, name, router))
}

/// Whether the node `name` may come to `router`.
pub(super) fn may_come(r: &Resolver<'_>, name: &str, router: &str) -> bool {
    let mut hosts = r.hosts();
    hosts.any(|(host, _, radio)| {
        let moving = radio.handover.as_ref();
        host == name && moving.is_some_and(|moving| moving.may_attach(router))
    })
}

impl Serves for Lma {
    fn prefix(&self) -> Option<OwnPrefix> {
        Some(OwnPrefix {
            bits: POOL,
            given: self.prefix,
            first: PREFIXES,
        })
    }
}

impl ServiceFacts for AnchorPlan {
    fn prefix(&self) -> Option<Ipv6Net> {
        Some(self.prefix)
    }

    fn kernel_modules(&self) -> &'static [&'static str] {
        KERNEL_MODULES
    }

    fn describe(&self) -> Vec<String> {
        vec!["local mobility anchor".into(), self.prefix.to_string()]
    }
}
