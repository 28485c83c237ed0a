//! Mobile access gateways: an edge router says for its nodes where they are, and is the same router to each
//! of them everywhere.
//!
//! On the 6LoWPAN link there are others, too. It stands for links for two (RFC 5213 §6.3): each node has its
//! prefix advertised to it alone, from a link-local address that all gateways have (§6.8), and hears no other
//! advertisements. A node comes with a router solicitation, and goes when it does not answer any more (§6.13).
//!
//! What comes from a node goes into the tunnel to the anchor, also to who is near (§6.10.3, without local
//! routing), and what comes out of it goes to the node. Either only as long as there is a binding (§6.10.5):
//! two tables of routes hold what is served, and drop the rest.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use anyhow::{Context, Result};
use driver::{Driver, Icmpv6, Raw};
use ipnet::Ipv6Net;
use mip6::Gateway;
use mip6::codec::{AccessTechnology, HandoffIndicator, LinkLayerId, NodeId};
use mip6::proxy::gateway::{Attached, Config, Event};
use nd::message::ROUTER_SOLICITATION;
use nd::reachability::{NEIGHBOUR_ADVERTISEMENT, Presence, Watch};
use nd::visitors::Visitors;
use nd::{ALL_ROUTERS, HOP_LIMIT, advertiser, reachability};
use netlink::{Dad, DataPlane, Lead, Links, Namespace, Packets, TunnelEnds};
use topology::kind::GatewayPlan;
use topology::plan::RouterPlan;
use units::Eui64;

use crate::control::Controls;
use crate::host::Host;
use crate::mip6::kept::{Keeper, Kept};

/// The name of the tunnel to the anchor.
const TO_ANCHOR: &str = "mip6-lma";
/// The table of what comes from nodes, and of what comes out of the tunnel.
const FROM_NODES: u32 = 100;
const TO_NODES: u32 = 101;
/// Bits of the prefix of link-local addresses.
const LINK_LOCAL_BITS: u8 = 64;

/// What the gateway says of a node.
#[derive(Debug)]
enum Told {
    /// It is served.
    Served(NodeId),
    /// It is not, or not any more.
    Released(NodeId),
}

/// The routes of the nodes that are served.
#[derive(Debug)]
struct Routes {
    plane: DataPlane,
    lowpan: u32,
    tunnel: u32,
    /// The prefixes of nodes, and their link-layer addresses.
    nodes: BTreeMap<NodeId, (Ipv6Net, Eui64)>,
}

impl Routes {
    fn open(plan: &GatewayPlan, lowpan: &str) -> Result<Routes> {
        let mut plane = DataPlane::open()?;
        // What a former daemon left.
        plane.delete_left(|name| name == TO_ANCHOR)?;
        let ends = TunnelEnds {
            local: plan.address,
            remote: plan.anchor,
        };
        let tunnel = plane.add_tunnel(TO_ANCHOR, ends)?;
        let everywhere = Ipv6Net::default();
        for (interface, from, table) in [
            (lowpan, plan.pool, FROM_NODES),
            (TO_ANCHOR, everywhere, TO_NODES),
        ] {
            plane.drop_otherwise(Packets::Led {
                table,
                from: everywhere,
                to: everywhere,
            })?;
            plane.lead(Lead {
                interface,
                from,
                table,
            })?;
        }
        let visitors = plan.nodes.iter();
        let mut routes = Routes {
            plane,
            lowpan: nix::net::if_::if_nametoindex(lowpan).with_context(|| lowpan.to_owned())?,
            tunnel,
            nodes: visitors
                .map(|visitor| {
                    let own = (visitor.prefix, visitor.eui64);
                    (identifier(&visitor.node), own)
                })
                .collect(),
        };
        for visitor in &plan.nodes {
            routes.stop_serving(visitor.prefix)?;
        }
        Ok(routes)
    }

    /// The ways from a prefix and to it, with the interface of each.
    fn ways(&self, prefix: Ipv6Net) -> [(Packets, u32); 2] {
        let everywhere = Ipv6Net::default();
        let from = Packets::Led {
            table: FROM_NODES,
            from: prefix,
            to: everywhere,
        };
        let to = Packets::Led {
            table: TO_NODES,
            from: everywhere,
            to: prefix,
        };
        [(from, self.tunnel), (to, self.lowpan)]
    }

    /// Packets go to and from a prefix. Between two that are alone on a link there is no address resolution,
    /// which here would come before the node has heard of its prefix: its first try would be in vain, and the
    /// next one a second later.
    fn serve(&mut self, prefix: Ipv6Net, eui64: Eui64) -> Result<()> {
        let address = eui64.address_in(prefix.network());
        self.plane.learn_neighbour(self.lowpan, address, eui64)?;
        for (packets, interface) in self.ways(prefix) {
            self.plane.route_by(packets, interface)?;
        }
        Ok(())
    }

    fn stop_serving(&mut self, prefix: Ipv6Net) -> Result<()> {
        for (packets, interface) in self.ways(prefix) {
            self.plane.stop_routing(packets, interface)?;
        }
        Ok(())
    }
}

impl Keeper<Gateway> for Routes {
    type Told = Told;

    fn keep(&mut self, _: &mut Gateway, event: Event) -> Result<Option<Told>> {
        let (node, prefixes) = match event {
            Event::Served { node, prefixes, .. } => (node, prefixes),
            Event::Refused { node, status } => {
                tracing::warn!(%node, %status, "the local mobility anchor does not serve it");
                (node, Vec::new())
            }
            Event::Released { node } => (node, Vec::new()),
        };
        let own = self.nodes.get(&node).copied();
        let (own, eui64) = own.context("a node that the plan does not have")?;
        if prefixes.contains(&own) {
            self.serve(own, eui64)?;
            return Ok(Some(Told::Served(node)));
        }
        self.stop_serving(own)?;
        Ok(Some(Told::Released(node)))
    }
}

/// A node that may come.
struct Visitor {
    node: NodeId,
    attached: Attached,
    /// What is advertised to it.
    advertisement: Vec<u8>,
}

/// Runs the gateway that an edge router is whose radio has `eui64`.
pub(crate) async fn run(
    host: Host,
    mut controls: Controls,
    plan: GatewayPlan,
    router: RouterPlan,
    eui64: Eui64,
) -> Result<()> {
    let mut gateway = Running::open(&host, &plan, &router, eui64).await?;
    host.part_is_ready()?;
    loop {
        tokio::select! {
            told = gateway.signalling.next_event() => gateway.on_told(told??),
            came = gateway.visitors.next_event() => {
                gateway.on_solicitation(came.context("router solicitations")?);
            }
            presence = gateway.watch.next_event() => {
                match presence.context("neighbour advertisements")? {
                    Presence::Gone(source) => gateway.on_gone(source),
                    Presence::Back(source) => gateway.on_solicitation(source),
                }
            }
            () = controls.stopped() => return Ok(()),
        }
    }
}

/// A gateway on its sockets.
struct Running {
    signalling: Driver<Kept<Gateway, Routes>, Raw>,
    visitors: Driver<Visitors, Icmpv6>,
    watch: Driver<Watch, Icmpv6>,
    /// The nodes that may come, by their link-local addresses.
    nodes: BTreeMap<Ipv6Addr, Visitor>,
}

impl Running {
    async fn open(
        host: &Host,
        plan: &GatewayPlan,
        router: &RouterPlan,
        eui64: Eui64,
    ) -> Result<Running> {
        let lowpan = &host.interfaces.lowpan;
        add_link_local(lowpan, plan.link_local).await?;
        let icmpv6 = |groups: &[Ipv6Addr], kind| {
            Icmpv6::open(lowpan, groups, kind, HOP_LIMIT)?.bind(plan.link_local)
        };
        let nodes = visitors(plan, router, eui64)?;
        let settings = &router.router_advertisements;
        let visitors = Visitors::new(
            nodes.keys().copied(),
            settings.max_response_delay,
            host.protocol_rng("mobile-access-gateway"),
        );
        let mut watched = reachability::Config::new(eui64);
        for (time, said) in [
            (&mut watched.reachable_time, settings.reachable_time),
            (&mut watched.retrans_timer, settings.retrans_timer),
        ] {
            // Zero is unspecified.
            if !said.is_zero() {
                *time = said;
            }
        }
        let config = Config {
            // A 6LoWPAN interface stands on that of a radio, for which RFC 5213 §8.5 has no value.
            access_technology: AccessTechnology::VIRTUAL,
            fixed_link_local: Some(plan.link_local),
            max_nodes: plan.nodes.len(),
            ..Config::new(plan.address, plan.anchor)
        };
        let kept = Kept::new(Gateway::new(config), Routes::open(plan, lowpan)?);
        Ok(Running {
            signalling: kept.open()?,
            visitors: Driver::new(visitors, icmpv6(&[ALL_ROUTERS], ROUTER_SOLICITATION)?)?,
            watch: Driver::new(Watch::new(watched)?, icmpv6(&[], NEIGHBOUR_ADVERTISEMENT)?)?,
            nodes,
        })
    }

    /// A node solicits: it has come, or has not heard the answer (RFC 5213 §6.9.1.1). Or one answers that
    /// counted as gone.
    fn on_solicitation(&mut self, source: Ipv6Addr) {
        if let Some(visitor) = self.nodes.get(&source) {
            self.watch.with(|watch, now| watch.heard(now, source));
            let attached = visitor.attached.clone();
            let attach = |gateway: &mut Gateway, now| gateway.attach(now, attached);
            self.signalling
                .with(|kept, now| kept.with(|gateway| attach(gateway, now)));
        }
    }

    /// A node does not answer any more (RFC 5213 §6.9.1.4, §6.13).
    fn on_gone(&mut self, source: Ipv6Addr) {
        if let Some(visitor) = self.nodes.get(&source) {
            let node = &visitor.node;
            self.signalling
                .with(|kept, now| kept.with(|gateway| gateway.detach(now, node)));
        }
    }

    fn on_told(&mut self, told: Told) {
        let (node, is_served) = match &told {
            Told::Served(node) => (node, true),
            Told::Released(node) => (node, false),
        };
        let mut nodes = self.nodes.iter();
        let Some((source, visitor)) = nodes.find(|(_, visitor)| visitor.node == *node) else {
            return;
        };
        if is_served {
            let advertisement = visitor.advertisement.clone();
            self.visitors
                .with(|visitors, now| visitors.advertise(now, *source, advertisement));
        } else {
            self.visitors.with(|visitors, _| visitors.forget(*source));
        }
    }
}

/// A node's identifier is its name.
fn identifier(name: &str) -> NodeId {
    NodeId(name.as_bytes().to_vec())
}

/// The nodes that may come, by their link-local addresses.
fn visitors(
    plan: &GatewayPlan,
    router: &RouterPlan,
    eui64: Eui64,
) -> Result<BTreeMap<Ipv6Addr, Visitor>> {
    let visitors = plan.nodes.iter().map(|visitor| {
        let config = advertiser::Config {
            prefix: visitor.prefix,
            managed: false,
            autonomous: true,
            ..crate::router::advertiser_config(router, eui64)
        };
        let node = identifier(&visitor.node);
        let attached = Attached {
            node: node.clone(),
            link_layer: Some(LinkLayerId::from(visitor.eui64)),
            // It has come from another gateway or from nowhere, and its link-layer address tells the anchor
            // which session is meant (RFC 5213 §5.4.1.2).
            handoff: HandoffIndicator::UNKNOWN,
            prefix: Some(visitor.prefix),
            lifetime: Some(visitor.lifetime),
            sequence: None,
        };
        let visitor = (
            visitor.eui64.link_local(),
            Visitor {
                node,
                attached,
                advertisement: config.advertisement()?.encode(),
            },
        );
        Ok(visitor)
    });
    visitors.collect()
}

/// The link-local address that all gateways have. Nobody else on the link has it: nodes form theirs of their
/// EUI-64.
async fn add_link_local(lowpan: &str, address: Ipv6Addr) -> Result<()> {
    let links = Links::connect(&Namespace::current()?).await?;
    let index = links.index(lowpan).await?;
    let address = Ipv6Net::new(address, LINK_LOCAL_BITS)?;
    let there = links.addresses(index).await?;
    if there.iter().any(|found| found.address == address) {
        return Ok(());
    }
    Ok(links.add_address(index, address, Dad::Off).await?)
}
