//! A gateway from HTTP to CoAP (RFC 8075): who asks it by HTTP asks a node by its permanent address.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::http::{Http, HttpPlan};
use super::{Serves, ServiceFacts, looks_up};
use crate::decode::At;
use crate::resolve::timers::s;
use crate::resolve::{Context, NO_ADDRESS, Resolver};

tables! {
    /// A gateway from HTTP to CoAP (RFC 8075), `/hc/coap://%5B2001:db8::5%5D/temperature`.
    pub struct HttpGateway {
        /// Where it answers HTTP: a TCP port, or a table.
        pub http: Http,
        /// So long a GET waits for a node that is being handed over, or asleep; over 0 s; default 5 s. Then it is answered 503.
        pub wait: Option<At<Duration>>,
    }
}

/// A gateway from HTTP to CoAP, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpGatewayPlan {
    /// Where it answers HTTP.
    pub http: HttpPlan,
    /// So long a GET waits for a node that is being handed over, or asleep.
    #[serde(with = "duration")]
    pub wait: Duration,
    /// The node's own address, by which others know it.
    pub address: Ipv6Addr,
    /// The permanent addresses that the node's mobility locates; others are asked as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub located: Vec<Ipv6Addr>,
    /// The nodes that have something to be asked for, by their permanent addresses: what its page offers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<String, Ipv6Addr>,
}

impl HttpGateway {
    /// The plan of the service at `path`.
    pub(super) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> HttpGatewayPlan {
        HttpGatewayPlan {
            http: self.http.plan(r, &format!("{path}.http")),
            wait: r.positive(&format!("{path}.wait"), self.wait, s(5)),
            address: context.network.permanent(context.name),
            located: located(r, context),
            nodes: others(r, context),
        }
    }
}

/// The nodes that have something that `context`'s may ask them for.
fn others(r: &Resolver<'_>, context: &Context<'_, '_>) -> BTreeMap<String, Ipv6Addr> {
    let served = r
        .nodes
        .iter()
        .filter(|(name, (_, node))| **name != context.name && !node.served().is_empty());
    let named = served.map(|(name, _)| ((*name).to_owned(), context.network.permanent(name)));
    named
        .filter(|(_, address)| *address != NO_ADDRESS)
        .collect()
}

/// The nodes that `context`'s finds by its mobility.
fn located(r: &Resolver<'_>, context: &Context<'_, '_>) -> Vec<Ipv6Addr> {
    let own = &context.node.mobility;
    let others = r.nodes.iter().filter(|(name, (_, node))| {
        let is_located = node.mobility.is_located() && node.mobility.is_like(own);
        **name != context.name && (is_located || looks_up(r, context.node, node))
    });
    let addresses = others.map(|(name, _)| context.network.permanent(name));
    addresses.filter(|address| *address != NO_ADDRESS).collect()
}

impl Serves for HttpGateway {
    fn asks(&self) -> bool {
        true
    }
}

impl ServiceFacts for HttpGatewayPlan {
    fn is_coap(&self) -> bool {
        true
    }

    fn asks(&self) -> bool {
        true
    }

    fn describe(&self) -> Vec<String> {
        vec![format!("gateway from HTTP, port {}", self.http.port)]
    }
}
