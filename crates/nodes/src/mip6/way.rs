//! The way of a mobile node's packets: its home address, the tunnel to its home agent, the one to its
//! mobility anchor point, and the Home Address option on what goes to correspondents.
//!
//! The tunnels move in place, so that their routes stay. Between the instant at which the node leaves its
//! link and the first Binding Update from the next one nothing leaves from its home address: its only
//! route then is a blackhole.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use anyhow::Result;
use mip6::headers::Tunnel;
use netlink::xfrm::{Direction, Extension, Policy, Selector, State, Upper};
use netlink::{DataPlane, Packets, TunnelEnds, Xfrm};
use topology::kind::mip6::{AnchorPlan, Plan};

use super::kept::{OF_THE_REST, between, leave_signalling_alone};
use super::protection;

/// The loopback: it is up wherever the node is.
const LOOPBACK: u32 = 1;

/// Names of the tunnels to a home agent, and to a mobility anchor point.
const TO_HOME: &str = "mip6";
const TO_MAP: &str = "mip6-map";

/// A tunnel for everything from one address.
#[derive(Debug)]
struct Channel {
    name: &'static str,
    /// Whose packets go into it.
    inner: Ipv6Addr,
    /// The other end.
    remote: Ipv6Addr,
    /// Its interface and its end here, since it was made.
    made: Option<(u32, Ipv6Addr)>,
}

impl Channel {
    /// Lets packets through from `local`.
    fn open(&mut self, plane: &mut DataPlane, local: Ipv6Addr) -> Result<()> {
        let ends = TunnelEnds {
            local,
            remote: self.remote,
        };
        let ifindex = match self.made {
            None => plane.add_tunnel(self.name, ends)?,
            Some((ifindex, there)) => {
                if there != local {
                    plane.move_tunnel(ifindex, ends)?;
                }
                ifindex
            }
        };
        self.made = Some((ifindex, local));
        Ok(plane.route_by(Packets::From(self.inner), ifindex)?)
    }

    /// Lets packets through again if its end is here already.
    fn reopen(&mut self, plane: &mut DataPlane, local: Ipv6Addr) -> Result<()> {
        match self.made {
            Some((_, there)) if there == local => self.open(plane, local),
            _ => Ok(()),
        }
    }

    fn close(&mut self, plane: &mut DataPlane) -> Result<()> {
        match self.made {
            Some((ifindex, _)) => Ok(plane.stop_routing(Packets::From(self.inner), ifindex)?),
            None => Ok(()),
        }
    }
}

/// The kernel state of a mobile node.
#[derive(Debug)]
pub(super) struct Way {
    plane: DataPlane,
    xfrm: Xfrm,
    home: Channel,
    /// To the mobility anchor point; from the regional address.
    regional: Option<Channel>,
    /// Correspondents that packets go to without a tunnel.
    optimized: BTreeSet<Ipv6Addr>,
}

impl Way {
    /// Gives the node its home address, from which nothing leaves yet.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn open(plan: &Plan) -> Result<Way> {
        let (mut plane, mut xfrm) = (DataPlane::open()?, Xfrm::open()?);
        let regional = plan.map.as_ref().map(|map: &AnchorPlan| Channel {
            name: TO_MAP,
            inner: map.regional_address,
            remote: map.address,
            made: None,
        });
        let home = Channel {
            name: TO_HOME,
            inner: plan.home_address,
            remote: plan.home_agent,
            made: None,
        };
        // What a former daemon of this node left.
        plane.delete_left(|name| [TO_HOME, TO_MAP].contains(&name))?;
        plane.drop_otherwise(Packets::From(home.inner))?;
        plane.add_home_address(LOOPBACK, home.inner)?;
        if let Some(Channel { inner, .. }) = regional {
            plane.drop_otherwise(Packets::From(inner))?;
            plane.add_regional_address(LOOPBACK, inner)?;
        }
        xfrm.put_state(&State::any(Extension::Routing))?;
        xfrm.put_policy(&Policy {
            direction: Direction::In,
            selector: Selector::all(Upper::Any),
            extension: Some(Extension::Routing),
            protection: None,
            priority: OF_THE_REST,
        })?;
        leave_signalling_alone(&mut xfrm)?;
        let at_anchor = plan.map.iter().filter_map(|map| map.protection.as_ref());
        for association in plan.protection.iter().chain(at_anchor) {
            protection::at_node(&mut xfrm, association)?;
        }
        let mut way = Way {
            plane,
            xfrm,
            home,
            regional,
            optimized: plan.correspondents.iter().copied().collect(),
        };
        for correspondent in &plan.correspondents {
            way.through_home(*correspondent)?;
        }
        Ok(way)
    }

    /// The tunnel that a packet has come out of, if it is the home agent's.
    pub(super) fn home_tunnel(&self, ifindex: u32) -> Option<Tunnel> {
        let (tunnel, local) = self.home.made?;
        (tunnel == ifindex).then_some(Tunnel {
            source: self.home.remote,
            destination: local,
        })
    }

    /// Packets go through the home agent from `care_of`.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn from(&mut self, care_of: Ipv6Addr) -> Result<()> {
        self.home.open(&mut self.plane, care_of)
    }

    /// Packets from the regional address go through the mobility anchor point from `address`.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn below(&mut self, address: Ipv6Addr) -> Result<()> {
        match &mut self.regional {
            Some(regional) => regional.open(&mut self.plane, address),
            None => Ok(()),
        }
    }

    /// The node is on a link again where it has `address`: what was said of that address holds.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn resume(&mut self, address: Ipv6Addr) -> Result<()> {
        let care_of = match &mut self.regional {
            None => address,
            Some(regional) => {
                regional.reopen(&mut self.plane, address)?;
                regional.inner
            }
        };
        self.home.reopen(&mut self.plane, care_of)
    }

    /// The node leaves its link: nothing leaves from its home address any more.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn leave(&mut self) -> Result<()> {
        self.home.close(&mut self.plane)?;
        match &mut self.regional {
            Some(regional) => regional.close(&mut self.plane),
            None => Ok(()),
        }
    }

    /// What goes to a correspondent goes there from `care_of`, with a Home Address option.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn straight_to(&mut self, correspondent: Ipv6Addr, care_of: Ipv6Addr) -> Result<()> {
        self.xfrm.put_state(&self.option(correspondent, care_of))?;
        if self.optimized.insert(correspondent) {
            self.xfrm.put_policy(&self.policy(correspondent))?;
        }
        Ok(())
    }

    /// What goes to a correspondent goes through the home agent.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn through_home(&mut self, correspondent: Ipv6Addr) -> Result<()> {
        if self.optimized.remove(&correspondent) {
            self.xfrm.delete_policy(&self.policy(correspondent))?;
            let option = self.option(correspondent, Ipv6Addr::UNSPECIFIED);
            self.xfrm.delete_state(&option)?;
        }
        Ok(())
    }

    fn option(&self, correspondent: Ipv6Addr, care_of: Ipv6Addr) -> State {
        State {
            extension: Extension::HomeAddress,
            source: self.home.inner,
            destination: correspondent,
            care_of,
        }
    }

    fn policy(&self, correspondent: Ipv6Addr) -> Policy {
        let addresses = (self.home.inner, correspondent);
        between(Direction::Out, addresses, Extension::HomeAddress)
    }
}
