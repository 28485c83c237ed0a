//! The way of a mobile node's packets: its home address, the tunnel to its home agent, the one to its
//! mobility anchor point, and the Home Address option on what goes to correspondents.
//!
//! The tunnels move in place, so that their routes stay. In another domain the node has others, and keeps those of
//! the domain before, through which what was under way comes after it. Between the instant at which the node leaves its
//! link and the first Binding Update from the next one nothing leaves from its home address: its only
//! route then is a blackhole.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use anyhow::{Context, Result};
use mip6::headers::Tunnel;
use netlink::xfrm::{Direction, Extension, Policy, Selector, State, Upper};
use netlink::{DataPlane, Packets, TunnelEnds, Xfrm};
use topology::kind::mip6::Plan;

use super::kept::{OF_THE_REST, between, leave_signalling_alone};
use super::protection;

/// The loopback: it is up wherever the node is.
pub(super) const LOOPBACK: u32 = 1;

/// Names of the tunnels to a home agent and to a mobility anchor point: there are those of the domain that the node
/// is in, and of the one before it.
const TUNNELS: [(&str, &str); 2] = [("mip6", "mip6-map"), ("mip6-2", "mip6-map-2")];

/// What nobody has (RFC 6666).
const DISCARD: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0);

/// A mobility anchor point, and the regional address of the node there.
pub(super) type Anchor = (Ipv6Addr, Ipv6Addr);

/// A tunnel for everything from one address.
#[derive(Debug)]
struct Channel {
    name: &'static str,
    /// Whose packets go into it.
    inner: Ipv6Addr,
    /// The other end.
    remote: Ipv6Addr,
    /// Its interface and its ends, since it was made.
    made: Option<(u32, TunnelEnds)>,
}

impl Channel {
    fn new(name: &'static str, inner: Ipv6Addr, remote: Ipv6Addr) -> Channel {
        Channel {
            name,
            inner,
            remote,
            made: None,
        }
    }

    /// Lets packets through from `local`.
    fn open(&mut self, plane: &mut DataPlane, local: Ipv6Addr) -> Result<()> {
        let ends = TunnelEnds {
            local,
            remote: self.remote,
        };
        let ifindex = match self.made {
            None => plane.add_tunnel(self.name, ends)?,
            Some((ifindex, before)) => {
                if before != ends {
                    plane.move_tunnel(ifindex, ends)?;
                }
                ifindex
            }
        };
        self.made = Some((ifindex, ends));
        Ok(plane.route_by(Packets::From(self.inner), ifindex)?)
    }

    /// Whether its end here is `local`.
    fn ends_at(&self, local: Ipv6Addr) -> bool {
        self.made.is_some_and(|(_, ends)| ends.local == local)
    }

    fn close(&mut self, plane: &mut DataPlane) -> Result<()> {
        match self.made {
            Some((ifindex, _)) => Ok(plane.stop_routing(Packets::From(self.inner), ifindex)?),
            None => Ok(()),
        }
    }

    /// Nothing goes into it and nothing comes out of it. The kernel takes 10 ms and more to delete a link, in
    /// the middle of a handover, so that it stays for the next domain.
    fn park(&mut self, plane: &mut DataPlane) -> Result<()> {
        self.close(plane)?;
        if let Some((ifindex, ends)) = &mut self.made {
            *ends = TunnelEnds {
                local: DISCARD,
                remote: Ipv6Addr::from_bits(DISCARD.to_bits() | u128::from(*ifindex)),
            };
            plane.move_tunnel(*ifindex, *ends)?;
        }
        Ok(())
    }
}

/// The tunnels of a domain: below a mobility anchor point, or of links that are below none.
#[derive(Debug)]
struct Domain {
    anchor: Option<Anchor>,
    home: Channel,
    /// To the mobility anchor point; from the regional address.
    regional: Channel,
}

impl Domain {
    /// Whether what goes to the home agent from `care_of` gets to it, of a node that has `address` on its link.
    fn carries(&self, care_of: Ipv6Addr, address: Ipv6Addr) -> bool {
        let gets_out = match self.anchor {
            Some(_) => self.regional.ends_at(address),
            None => care_of == address,
        };
        self.home.ends_at(care_of) && gets_out
    }

    /// The domain of an anchor point, or of none. From its regional address nothing leaves yet.
    fn enter(&mut self, plane: &mut DataPlane, anchor: Option<Anchor>) -> Result<()> {
        self.anchor = anchor;
        if let Some((map, regional)) = anchor {
            (self.regional.inner, self.regional.remote) = (regional, map);
            plane.drop_otherwise(Packets::From(regional))?;
            plane.add_regional_address(LOOPBACK, regional)?;
        }
        Ok(())
    }

    /// Undoes [`Domain::enter`] and what came after it.
    fn leave(&mut self, plane: &mut DataPlane) -> Result<()> {
        self.home.park(plane)?;
        self.regional.park(plane)?;
        if let Some((_, regional)) = self.anchor.take() {
            plane.remove_address(LOOPBACK, regional)?;
            plane.stop_dropping(Packets::From(regional))?;
        }
        Ok(())
    }
}

/// The kernel state of a mobile node.
#[derive(Debug)]
pub(super) struct Way {
    plane: DataPlane,
    xfrm: Xfrm,
    home: Ipv6Addr,
    /// Tunnels of no domain now.
    spare: Vec<Domain>,
    /// The domain that the node is in, and the one before it, if what was under way there may still come.
    domains: Vec<Domain>,
    /// The care-of address that the home agent was told last.
    told: Option<Ipv6Addr>,
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
        let (home, home_agent) = (plan.home_address, plan.home_agent);
        // What a former daemon of this node left.
        plane.delete_left(|name| TUNNELS.iter().any(|(a, b)| [*a, *b].contains(&name)))?;
        plane.drop_otherwise(Packets::From(home))?;
        plane.add_home_address(LOOPBACK, home)?;
        for map in &plan.maps {
            if plane.has_address(map.regional_address)? {
                plane.remove_address(LOOPBACK, map.regional_address)?;
            }
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
        let at_anchor = plan.maps.iter().filter_map(|map| map.protection.as_ref());
        for association in plan.protection.iter().chain(at_anchor) {
            protection::at_node(&mut xfrm, association)?;
        }
        let spare = TUNNELS.iter().rev().map(|(to_home, to_map)| Domain {
            anchor: None,
            home: Channel::new(to_home, home, home_agent),
            regional: Channel::new(to_map, home, home_agent),
        });
        let mut way = Way {
            plane,
            xfrm,
            home,
            spare: spare.collect(),
            domains: Vec::new(),
            told: None,
            optimized: plan.correspondents.iter().copied().collect(),
        };
        for correspondent in &plan.correspondents {
            way.through_home(*correspondent)?;
        }
        Ok(way)
    }

    /// The node is in the domain of an anchor point, or in none, and what comes through the previous one is for
    /// it, too. What it has of others goes.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn settle(&mut self, here: Option<Anchor>, previous: Option<Anchor>) -> Result<()> {
        let before = previous.filter(|previous| Some(*previous) != here);
        let wanted: Vec<Option<Anchor>> = std::iter::once(here).chain(before.map(Some)).collect();
        if self
            .domains
            .iter()
            .map(|domain| domain.anchor)
            .eq(wanted.iter().copied())
        {
            return Ok(());
        }
        let mut known = std::mem::take(&mut self.domains);
        for mut domain in known.extract_if(.., |domain| !wanted.contains(&domain.anchor)) {
            domain.leave(&mut self.plane)?;
            self.spare.push(domain);
        }
        for anchor in wanted {
            let place = known.iter().position(|domain| domain.anchor == anchor);
            let domain = match place {
                Some(place) => known.remove(place),
                None => {
                    // There are as many as are ever wanted.
                    let mut domain = self.spare.pop().context("tunnels for one domain more")?;
                    domain.enter(&mut self.plane, anchor)?;
                    domain
                }
            };
            self.domains.push(domain);
        }
        Ok(())
    }

    /// The tunnel that a packet has come out of, if it is the home agent's.
    pub(super) fn home_tunnel(&self, ifindex: u32) -> Option<Tunnel> {
        let mut made = self.domains.iter().filter_map(|domain| domain.home.made);
        let (_, ends) = made.find(|(tunnel, _)| *tunnel == ifindex)?;
        Some(Tunnel {
            source: ends.remote,
            destination: ends.local,
        })
    }

    /// Packets go through the home agent from `care_of`.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn from(&mut self, care_of: Ipv6Addr) -> Result<()> {
        self.told = Some(care_of);
        match self.domains.first_mut() {
            Some(here) => here.home.open(&mut self.plane, care_of),
            None => Ok(()),
        }
    }

    /// Packets from the regional address below `map` go through it from `address`, and so do those through the
    /// home agent if it was told last of that address.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn below(&mut self, map: Ipv6Addr, address: Ipv6Addr) -> Result<()> {
        let is_below =
            |domain: &&mut Domain| domain.anchor.is_some_and(|(anchor, _)| anchor == map);
        for domain in self.domains.iter_mut().filter(is_below) {
            domain.regional.open(&mut self.plane, address)?;
        }
        self.resume(address)
    }

    /// The node is on a link again where it has `address`: what was said of that address holds.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn resume(&mut self, address: Ipv6Addr) -> Result<()> {
        let plane = &mut self.plane;
        let holds =
            |domain: &&mut Domain| domain.anchor.is_some() && domain.regional.ends_at(address);
        for domain in self.domains.iter_mut().filter(holds) {
            domain.regional.open(plane, address)?;
        }
        let Some(told) = self.told else { return Ok(()) };
        let mut domains = self.domains.iter_mut();
        match domains.find(|domain| domain.carries(told, address)) {
            Some(domain) => domain.home.open(plane, told),
            None => Ok(()),
        }
    }

    /// The node leaves its link: nothing leaves from its home address any more.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn leave(&mut self) -> Result<()> {
        for domain in &mut self.domains {
            domain.home.close(&mut self.plane)?;
            domain.regional.close(&mut self.plane)?;
        }
        Ok(())
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
            source: self.home,
            destination: correspondent,
            care_of,
        }
    }

    fn policy(&self, correspondent: Ipv6Addr) -> Policy {
        let addresses = (self.home, correspondent);
        between(Direction::Out, addresses, Extension::HomeAddress)
    }
}
