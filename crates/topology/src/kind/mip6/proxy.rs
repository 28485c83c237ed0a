//! Proxy Mobile IPv6 (RFC 5213) as a node's mobility: the edge router that it is at says where it is, and
//! the node does nothing.

pub mod anchor;
pub mod gateway;

use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use units::quantity::{duration, format_duration};

use super::{MAX_S, lifetime};
use crate::decode::{At, Block, Decoder};
use crate::diagnostic::alternatives;
use crate::kind::{DefaultGiven, MobilityFacts, Protocol, ServicePlan};
use crate::plan::{self, AddressMode};
use crate::resolve::identity::SUBNET;
use crate::resolve::{Context, Resolver};

/// A node is asked at its home address, whoever asks.
pub(in crate::kind) const LOCATED: bool = false;

/// What the kernel needs for tunnels.
const KERNEL_MODULES: &[&str] = &["ip6_tunnel"];

/// The link-local address that mobile access gateways have on their links, all the same one
/// (FixedMAGLinkLocalAddressOnAllAccessLinks, RFC 5213 §6.8, §9.3).
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The lifetime of a binding where the file says nothing, seconds.
const LIFETIME_S: u64 = 3600;

tables! {
    /// Proxy Mobile IPv6 (RFC 5213): what edge routers say of a node to its local mobility anchor.
    #[schemars(rename = "ProxyMobileIpv6")]
    pub struct Settings {
        /// Lifetime of its binding; whole multiples of 4 s up to 262140 s; default 3600 s.
        pub lifetime: Option<At<Duration>>,
    }
}

/// The settings as the file has them.
#[derive(Clone, Debug)]
pub struct Given {
    lifetime: Option<At<Duration>>,
}

impl Given {
    /// The settings of a node: those of its own table.
    pub(in crate::kind) fn of(
        _: Protocol,
        table: Option<Block<Settings>>,
        _: Option<DefaultGiven>,
        _: &mut Decoder,
    ) -> Given {
        Given {
            lifetime: table.and_then(|block| block.table.lifetime),
        }
    }

    /// Its address is formed from a prefix that the anchor gives it: the file gives none.
    pub(in crate::kind) fn address(&self) -> Option<At<Ipv6Addr>> {
        None
    }

    /// The local mobility anchor, out of whose prefix the node gets its own.
    pub(in crate::kind) fn home<'t>(&self, r: &Resolver<'t>) -> Option<&'t str> {
        r.running(anchor::is_lma).next()
    }

    /// The plan of `context`'s node.
    pub(in crate::kind) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
    ) -> Plan {
        let path = &context.path;
        check_place(r, context);
        let anchors: Vec<&'t str> = r.running(anchor::is_lma).collect();
        if anchors.is_empty() && r.faults.nodes_known() {
            let message = format!(
                "`{path}` needs an lma for `mobility: pmipv6`, and there is none; add one, `lma: {{ \
                 role: lma }}`"
            );
            r.problem(r.span_of(context.name), message);
        }
        let anchor = anchors.first();
        let lifetime_at = format!("{path}.pmipv6.lifetime");
        Plan {
            prefix: prefix_of(context, context.name),
            anchor: anchor.map_or(Ipv6Addr::UNSPECIFIED, |name| {
                context.network.address_of(name)
            }),
            lifetime: lifetime(r, &lifetime_at, self.lifetime, LIFETIME_S, MAX_S),
        }
    }
}

/// A node moves, and takes the address and the router that it is given.
fn check_place(r: &mut Resolver<'_>, context: &Context<'_, '_>) {
    let path = &context.path;
    let Some(radio) = context.node.host() else {
        let message = format!(
            "`{path}.mobility`: `pmipv6` is for a node that moves, and one on the backbone does \
             not; write `none`"
        );
        return r.problem(r.span_of(context.name), message);
    };
    let mut radios = context.network.radios.iter();
    if let Some((name, _)) = radios.find(|(_, radio)| radio.eui64.link_local() == LINK_LOCAL) {
        let message = format!(
            "`nodes.{name}.eui64`: makes the address {LINK_LOCAL}, which every router has with \
             `mobility: pmipv6`; give it another one"
        );
        r.problem(r.span_of(name), message);
    }
    let address = radio.host.address;
    if let Some(address) = address.filter(|address| address.value != AddressMode::Slaac) {
        let message = format!(
            "`{path}.{}address`: a node with `mobility: pmipv6` forms its address from the prefix \
             that its local mobility anchor gives it; write `slaac`, or leave it out",
            radio.host_path
        );
        r.problem(address.span, message);
    }
    let leaving = radio
        .handover
        .as_ref()
        .and_then(|moving| moving.leaving.as_ref());
    let beforehand = leaving.and_then(|leaving| leaving.proxy_advertisements);
    if let Some(asks) = beforehand.filter(|asks| asks.value) {
        let message = format!(
            "`{path}.handover.proxy_advertisements`: a node with `mobility: pmipv6` has the same \
             prefix and the same router everywhere, and nothing to ask; write `false`, or leave it \
             out"
        );
        r.problem(asks.span, message);
    }
}

/// The home network prefix of a node, which is its alone (RFC 5213 §5.2: per-MN-Prefix model).
fn prefix_of(context: &Context<'_, '_>, name: &str) -> Ipv6Net {
    let address = context.network.address_of(name);
    Ipv6Net::new_assert(address, SUBNET).trunc()
}

/// A node that edge routers say of where it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Its home network prefix, which every router advertises to it alone.
    pub prefix: Ipv6Net,
    /// The address of its local mobility anchor.
    pub anchor: Ipv6Addr,
    /// Lifetime of its binding, a multiple of 4 s.
    #[serde(with = "duration")]
    pub lifetime: Duration,
}

impl MobilityFacts for Plan {
    fn word(&self) -> &'static str {
        "pmipv6"
    }

    fn needs_others(&self) -> bool {
        true
    }

    fn kernel_modules(&self) -> &'static [&'static str] {
        KERNEL_MODULES
    }

    fn describe(&self) -> Vec<String> {
        vec![
            "Proxy Mobile IPv6".into(),
            format!("prefix {}", self.prefix),
        ]
    }

    /// A way that takes longer than the anchor takes timestamps to be old.
    fn warnings(&self, name: &str, plan: &plan::Plan) -> Vec<String> {
        let Some((anchor, validity)) = plan.nodes.iter().find_map(validity_of) else {
            return Vec::new();
        };
        let delay_of = |node: &str| plan.nodes[node].backbone.as_ref()?.delay;
        let way_from = |router: &str| {
            let own = [delay_of(router), delay_of(anchor)];
            plan.backbone.delay + own.into_iter().flatten().sum::<Duration>()
        };
        let candidates = plan.nodes[name].candidates().iter();
        let ways = candidates.map(|candidate| (&*candidate.router, way_from(&candidate.router)));
        let (routers, ways): (Vec<&str>, Vec<Duration>) =
            ways.filter(|(_, way)| *way >= validity).unzip();
        let warning = ways.into_iter().max().map(|longest| {
            format!(
                "what {} says of it takes up to {} to `{anchor}`, which takes what is {} old for \
                 wrong; make the way shorter, or `nodes.{anchor}.timestamp_validity` longer",
                alternatives(routers),
                format_duration(longest),
                format_duration(validity)
            )
        });
        warning.into_iter().collect()
    }

    fn router_of_its_own() -> Option<Ipv6Addr> {
        Some(LINK_LOCAL)
    }
}

/// The name of a local mobility anchor, and how old a timestamp may be there.
fn validity_of<'p>((name, node): (&'p String, &plan::NodePlan)) -> Option<(&'p str, Duration)> {
    node.services.iter().find_map(|service| match service {
        ServicePlan::Lma(lma) => Some((name.as_str(), lma.timestamp_validity)),
        _ => None,
    })
}
