//! Home agents and mobility anchor points: [`mip6::Agent`] on a link that is virtual, and a tunnel to
//! each care-of address.
//!
//! Nobody but the agent is on its link, so that a packet for a home address comes to the agent by the
//! route to the prefix, and needs no proxy (RFC 6275 §10.4.1), and Duplicate Address Detection finds what the
//! agent's node itself has there: its own address, and what else somebody has given it. What comes out of a
//! tunnel came from the care-of address of its binding (§10.4.5): the kernel drops the rest.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use anyhow::Result;
use handover::BindingEvent;
use mip6::cache::Change;
use mip6::{Agent, agent};
use netlink::{DataPlane, Packets, TunnelEnds, Xfrm};
use topology::kind::mip6::agent::{AgentPlan, HomeAgentPlan, MapPlan};

use super::binding_event;
use super::kept::{Keeper, Kept, let_updates_in};
use super::numbers::Numbers;
use super::protection;
use super::way::LOOPBACK;
use crate::control::Controls;
use crate::host::Host;

/// Runs a home agent at `address`.
pub(crate) async fn home_agent(
    host: Host,
    controls: Controls,
    plan: HomeAgentPlan,
    address: Ipv6Addr,
) -> Result<()> {
    run(host, controls, plan.0, agent::Role::HomeAgent, address).await
}

/// Runs a mobility anchor point, which is known by its address in its prefix (RFC 5380 §5).
pub(crate) async fn map(host: Host, controls: Controls, plan: MapPlan) -> Result<()> {
    let role = agent::Role::MobilityAnchorPoint {
        access_prefixes: plan.0.links.clone(),
    };
    let address = plan.0.own_address();
    run(host, controls, plan.0, role, address).await
}

async fn run(
    host: Host,
    controls: Controls,
    plan: AgentPlan,
    role: agent::Role,
    address: Ipv6Addr,
) -> Result<()> {
    protect(&plan)?;
    let config = agent::Config {
        max_lifetime: plan.max_lifetime,
        max_bindings: usize::try_from(plan.max_bindings)?,
        dad: plan.dad,
        own: Some(plan.own_address()),
        ..agent::Config::new(role, address, plan.prefix)
    };
    let tunnels = Tunnels::open(&config, plan.own_address())?;
    let agent = Kept::new(Agent::new(config), tunnels);
    agent.run(host, controls).await
}

/// Lets Binding Updates in: those of nodes with security associations by these alone, and others if such may
/// register. What a former daemon left goes.
fn protect(plan: &AgentPlan) -> Result<()> {
    let mut xfrm = Xfrm::open()?;
    let_updates_in(&mut xfrm)?;
    if plan.protected_only {
        protection::keep_others_out(&mut xfrm)?;
    }
    let mut nodes = plan.protected.iter();
    nodes.try_for_each(|node| protection::at_agent(&mut xfrm, node))
}

/// The name of an agent's tunnel.
pub(super) fn tunnel_name(number: u32) -> String {
    format!("mip6.{number}")
}

/// Whether a link is one of them.
pub(super) fn is_tunnel(name: &str) -> bool {
    let number = name.strip_prefix("mip6.").map(str::parse::<u32>);
    matches!(number, Some(Ok(_)))
}

/// A tunnel and a route for each binding.
#[derive(Debug)]
struct Tunnels {
    plane: DataPlane,
    /// The near end of all of them.
    local: Ipv6Addr,
    /// By home address.
    tunnels: BTreeMap<Ipv6Addr, Tunnel>,
    /// The home address of each care-of address.
    homes: BTreeMap<Ipv6Addr, Ipv6Addr>,
    numbers: Numbers,
}

/// A tunnel to a node.
#[derive(Clone, Copy, Debug)]
struct Tunnel {
    /// The number in its name.
    number: u32,
    /// Its interface.
    index: u32,
    /// The node's end.
    care_of: Ipv6Addr,
}

impl Tunnels {
    /// None yet, of a node whose own address on its link is `own`.
    fn open(config: &agent::Config, own: Ipv6Addr) -> Result<Tunnels> {
        let mut plane = DataPlane::open()?;
        // Nobody knows any more whose they are.
        plane.delete_left(is_tunnel)?;
        // Who has no binding is nowhere: not by the default route, which may lead back (inet #483).
        plane.drop_otherwise(Packets::To(config.prefix))?;
        plane.add_address(LOOPBACK, own)?;
        Ok(Tunnels {
            plane,
            local: config.address,
            tunnels: BTreeMap::new(),
            homes: BTreeMap::new(),
            numbers: Numbers::default(),
        })
    }

    /// An address has one tunnel, and is the node's who said last that it has it: of who had it before, the
    /// packets are dropped until he says where he is.
    fn bind(&mut self, home: Ipv6Addr, care_of: Ipv6Addr) -> Result<()> {
        let before = self.homes.get(&care_of).copied();
        if let Some(other) = before.filter(|other| *other != home) {
            self.unbind(other)?;
        }
        let ends = TunnelEnds {
            local: self.local,
            remote: care_of,
        };
        if let Some(tunnel) = self.tunnels.get_mut(&home) {
            self.homes.remove(&tunnel.care_of);
            self.homes.insert(care_of, home);
            tunnel.care_of = care_of;
            return Ok(self.plane.move_tunnel(tunnel.index, ends)?);
        }
        let number = self.numbers.take();
        let index = self.plane.add_tunnel(&tunnel_name(number), ends)?;
        let tunnel = Tunnel {
            number,
            index,
            care_of,
        };
        self.tunnels.insert(home, tunnel);
        self.homes.insert(care_of, home);
        Ok(self.plane.route_by(Packets::To(home.into()), index)?)
    }

    fn unbind(&mut self, home: Ipv6Addr) -> Result<()> {
        match self.tunnels.remove(&home) {
            Some(tunnel) => {
                self.homes.remove(&tunnel.care_of);
                self.plane.delete_link(tunnel.index)?;
                self.numbers.give_back(tunnel.number);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Keeper<Agent> for Tunnels {
    type Told = BindingEvent;

    fn keep(&mut self, _: &mut Agent, event: agent::Event) -> Result<Option<BindingEvent>> {
        let change = match event {
            // Nobody else can be on a virtual link.
            agent::Event::Check(_) => return Ok(None),
            agent::Event::Changed(change) => change,
        };
        match change {
            Change::Bound {
                home_address,
                care_of,
                previous,
                ..
            } if previous != Some(care_of) => self.bind(home_address, care_of)?,
            Change::Bound { .. } => return Ok(None),
            Change::Removed { home_address, .. } => self.unbind(home_address)?,
        }
        Ok(Some(binding_event(change)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_knows_its_own_tunnels() {
        assert!((0..300).all(|number| is_tunnel(&tunnel_name(number))));
        for other in ["eth0", "ip6tnl0", "mip6", "mip6-map", "mip6.", "mip6.x"] {
            assert!(!is_tunnel(other), "{other}");
        }
    }
}
