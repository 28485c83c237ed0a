//! An edge router that translates addresses (RFC 4787): what it cannot do is refused, where a run would show
//! something else than what the file says.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::quantity::{duration, format_duration};

use super::Router;
use crate::decode::At;
use crate::kind::radio::Radio;
use crate::kind::{Mobility, Node, NodePlan};
use crate::plan::NodeName;
use crate::resolve::timers::s;
use crate::resolve::{Context, Resolver};

tables! {
    /// What the router translates: the source of all that it forwards to the backbone becomes its own address there.
    pub struct Nat {
        /// How long a mapping of UDP lives after its last datagram, of either direction; whole seconds from 1 s to
        /// 24 h; default 300 s (RFC 4787 §4.3).
        pub timeout: Option<At<Duration>>,
    }
}

/// A NAT between the 6LoWPAN link and the backbone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatPlan {
    /// How long a mapping of UDP lives after its last datagram, whole seconds.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

/// What the kernel needs for it, and not every run does. `libcrc32c`, which conntrack needs, wants an algorithm that is
/// there before it.
pub(super) const KERNEL_MODULES: &[&str] = &[
    "crc32c_generic",
    "nf_conntrack",
    "nf_tables",
    "nft_chain_nat",
    "nft_masq",
    "nft_ct",
];

/// RFC 4787 §4.3, REQ-5: "a default value of five minutes or more is RECOMMENDED".
const DEFAULT_TIMEOUT: Duration = s(300);
/// The longest, which the kernel's ticks have room for.
const MAX_TIMEOUT: Duration = s(86_400);

impl NatPlan {
    /// What it is, in words for a person.
    pub(super) fn describe(&self) -> String {
        format!("NAT, {}", format_duration(self.timeout))
    }
}

impl Nat {
    /// The plan of the NAT of `context`'s node.
    pub(super) fn plan<'t>(&self, r: &mut Resolver<'t>, context: &Context<'_, 't>) -> NatPlan {
        let path = format!("{}.nat", context.path);
        for (name, node, radio) in r.hosts() {
            if may_be_at(radio, context.name) {
                refuse_mobility(r, &path, name, node, context.name);
            }
        }
        if !context.node.services.is_empty() {
            let message = format!(
                "`{path}`: what runs on the router itself would share its address and ports with what it \
                 translates; give the services to another node, or remove `nat`"
            );
            r.problem(r.span_of(context.name), message);
        }
        let right =
            |time: Duration| time.subsec_nanos() == 0 && (s(1)..=MAX_TIMEOUT).contains(&time);
        NatPlan {
            timeout: r.duration(
                &format!("{path}.timeout"),
                self.timeout,
                DEFAULT_TIMEOUT,
                right,
                "whole seconds from 1 s to 24 h",
            ),
        }
    }
}

/// A protocol tells others the address that the node has on its link, at which nobody on the backbone finds it.
fn refuse_mobility(r: &mut Resolver<'_>, path: &str, name: &str, node: &Node, router: &str) {
    if matches!(node.mobility, Mobility::None) {
        return;
    }
    let message = format!(
        "`{path}`: `{name}` may come to `{router}`, and its mobility tells others an address that they do not \
         reach behind a NAT; write `mobility: none` for it, name other `candidates`, or remove `nat`"
    );
    r.problem(r.span_of(name), message);
}

fn may_be_at(radio: &Radio, router: &str) -> bool {
    let moving = radio.handover.as_ref();
    *radio.attached_to.value == *router || moving.is_some_and(|moving| moving.may_attach(router))
}

impl Router {
    /// Whether it translates addresses: then there is no way from the backbone to its prefix.
    pub(crate) fn translates(&self) -> bool {
        self.nat.is_some()
    }
}

impl Resolver<'_> {
    /// Reports nodes that ask one behind a NAT by the address that it has there. `nodes` are resolved.
    pub(crate) fn check_nats(&mut self, nodes: &BTreeMap<NodeName, NodePlan>) {
        for (name, node) in nodes {
            for (other, asked) in nodes.iter().filter(|(other, _)| *other != name) {
                let Some(router) = hidden(nodes, asked) else {
                    continue;
                };
                let together =
                    only_router(node) == Some(router) && only_router(asked) == Some(router);
                if together || !node.knows_beforehand(asked.address) {
                    continue;
                }
                let message = format!(
                    "`nodes.{name}`: it asks `{other}` at an address behind the NAT of `{router}`, to which there \
                     is no way; let `{other}` ask `{name}`, or remove `nodes.{router}.nat`"
                );
                self.problem(self.span_of(name), message);
            }
        }
    }
}

/// The router with a NAT that a node may be at.
fn hidden<'n>(nodes: &BTreeMap<NodeName, NodePlan>, node: &'n NodePlan) -> Option<&'n str> {
    let host = node.host.as_ref()?;
    let candidates = node.candidates().iter().map(|candidate| &candidate.router);
    let mut routers = std::iter::once(&host.attached_to).chain(candidates);
    let router = routers.find(|router| nodes.get(*router).is_some_and(NodePlan::translates))?;
    Some(router)
}

/// The router that a node is always at.
fn only_router(node: &NodePlan) -> Option<&str> {
    let host = node.host.as_ref()?;
    let mut others = node.candidates().iter();
    others
        .all(|c| c.router == host.attached_to)
        .then_some(host.attached_to.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    fn plan(backbone: &str, nat: &str) -> Plan {
        let text = format!(
            "version: 1\nname: nat\nbackbone: {{ kind: {backbone} }}\nnodes:\n  \
             er1: {{ role: edge-router{nat} }}\n  er2: {{ role: edge-router }}\n  \
             server: {{ place: wired, services: [{{ sensors: [{{ path: /value }}] }}] }}\n\
             scenario: {{ duration: 5 s }}\n"
        );
        let plan = crate::load("nat.yaml", &text, crate::Overrides::default());
        plan.unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn from_the_backbone_there_is_no_way_to_what_is_behind_a_nat() {
        for backbone in ["bridge", "routed"] {
            for (nat, ways) in [("", [true, true]), (", nat: {}", [false, true])] {
                let plan = plan(backbone, nat);
                let routes = &plan.nodes["server"].backbone.as_ref().unwrap().routes;
                let has_way = |router: &str| {
                    let router = plan.nodes[router].router.as_ref().unwrap();
                    routes.iter().any(|route| route.to == router.prefix)
                };
                assert_eq!(["er1", "er2"].map(has_way), ways, "{backbone}{nat}");
                let reached = |router: &str| plan.nodes[router].reached_prefixes().next().is_some();
                assert_eq!(["er1", "er2"].map(reached), ways);
                assert!(plan.nodes["er1"].forwards());
            }
        }
    }

    #[test]
    fn the_kernel_is_asked_for_more_only_where_there_is_a_nat() {
        let plan = plan("bridge", ", nat: { timeout: 30 s }");
        let modules = |node: &str| plan.nodes[node].kernel_modules();
        assert!(modules("er1").contains("nft_masq") && modules("er2").is_empty());
        let described = plan.nodes["er1"].describe();
        assert!(described.contains(&"NAT, 30 s".to_owned()), "{described:?}");
    }

    #[test]
    fn a_nat_that_says_nothing_forgets_after_five_minutes() {
        let router = plan("bridge", ", nat: {}").nodes["er1"].router.clone();
        assert_eq!(router.unwrap().nat.unwrap().timeout, s(300));
    }
}
