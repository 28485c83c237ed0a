//! Local mobility anchors: a tunnel to each gateway, and for each node a route into one of them.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use anyhow::Result;
use handover::BindingEvent;
use ipnet::Ipv6Net;
use mip6::Anchor;
use mip6::codec::NodeId;
use mip6::proxy::anchor::{Config, Event, Policy};
use netlink::{DataPlane, Packets, TunnelEnds};
use topology::kind::mip6::proxy::anchor::AnchorPlan;

use crate::control::Controls;
use crate::host::Host;
use crate::mip6::agent::{is_tunnel, tunnel_name};
use crate::mip6::kept::{Keeper, Kept};

/// Runs a local mobility anchor at `address`.
pub(crate) async fn run(
    host: Host,
    mut controls: Controls,
    plan: AnchorPlan,
    address: Ipv6Addr,
) -> Result<()> {
    let routes = Routes::open(&plan, address)?;
    let nodes = plan.nodes.iter().map(|node| {
        let policy = Policy {
            enabled: true,
            prefix: Some(node.prefix),
        };
        (NodeId(node.node.clone().into_bytes()), policy)
    });
    let config = Config {
        nodes: Some(nodes.collect()),
        gateways: Some(plan.gateways.iter().copied().collect()),
        max_lifetime: plan.max_lifetime,
        max_sessions: plan.nodes.len(),
        timestamp_validity: plan.timestamp_validity,
        ..Config::new(address, plan.prefix)
    };
    let mut driver = Kept::new(Anchor::new(config), routes).open()?;
    host.part_is_ready()?;
    loop {
        tokio::select! {
            told = driver.next_event() => host.events.report(told??.into())?,
            () = controls.stopped() => return Ok(()),
        }
    }
}

/// The ways to gateways, and which node's packets go which way.
#[derive(Debug)]
struct Routes {
    plane: DataPlane,
    /// Tunnels by gateway.
    tunnels: BTreeMap<Ipv6Addr, u32>,
    /// Where the packets to a prefix go.
    routed: BTreeMap<Ipv6Net, Ipv6Addr>,
    /// The address of a node in its prefix, by which a run knows it.
    addresses: BTreeMap<Ipv6Net, Ipv6Addr>,
}

impl Routes {
    fn open(plan: &AnchorPlan, address: Ipv6Addr) -> Result<Routes> {
        let mut plane = DataPlane::open()?;
        // Nobody knows any more what went into them.
        plane.delete_left(is_tunnel)?;
        // Who is nowhere gets nothing: not by the default route, which may lead back.
        plane.drop_otherwise(Packets::To(plan.prefix))?;
        let mut tunnels = BTreeMap::new();
        for (number, gateway) in (0..).zip(&plan.gateways) {
            let ends = TunnelEnds {
                local: address,
                remote: *gateway,
            };
            tunnels.insert(*gateway, plane.add_tunnel(&tunnel_name(number), ends)?);
        }
        let addresses = plan.nodes.iter().map(|node| (node.prefix, node.address));
        Ok(Routes {
            plane,
            tunnels,
            routed: BTreeMap::new(),
            addresses: addresses.collect(),
        })
    }

    /// What goes to `prefix` goes to `gateway` (RFC 5213 §5.3.4).
    fn bind(&mut self, prefix: Ipv6Net, gateway: Ipv6Addr) -> Result<Option<BindingEvent>> {
        if self.routed.get(&prefix) == Some(&gateway) {
            return Ok(None);
        }
        let Some(tunnel) = self.tunnels.get(&gateway) else {
            tracing::warn!(%prefix, %gateway, "no gateway of the plan; the prefix stays where it is");
            return Ok(None);
        };
        self.plane.route_by(Packets::To(prefix), *tunnel)?;
        let before = self.routed.insert(prefix, gateway);
        let event = self.addresses.get(&prefix).map(|p_addr| match before {
            None => BindingEvent::Registered {
                p_addr: *p_addr,
                t_addr: gateway,
            },
            Some(_) => BindingEvent::Changed {
                p_addr: *p_addr,
                t_addr: gateway,
                held: false,
            },
        });
        Ok(event)
    }

    /// What goes to `prefix` is dropped (RFC 5213 §5.3.5).
    fn unbind(&mut self, prefix: Ipv6Net, reason: &'static str) -> Result<Option<BindingEvent>> {
        let Some(gateway) = self.routed.remove(&prefix) else {
            return Ok(None);
        };
        if let Some(tunnel) = self.tunnels.get(&gateway) {
            self.plane.stop_routing(Packets::To(prefix), *tunnel)?;
        }
        let event = self
            .addresses
            .get(&prefix)
            .map(|p_addr| BindingEvent::Removed {
                p_addr: *p_addr,
                reason: reason.into(),
            });
        Ok(event)
    }
}

impl Keeper<Anchor> for Routes {
    type Told = BindingEvent;

    fn keep(&mut self, _: &mut Anchor, event: Event) -> Result<Option<BindingEvent>> {
        match event {
            Event::Bound {
                prefix, gateway, ..
            } => self.bind(prefix, gateway),
            Event::Left { prefix, .. } => self.unbind(prefix, "deregistered"),
            Event::Removed { prefix, .. } => self.unbind(prefix, "lifetime ended"),
        }
    }
}
