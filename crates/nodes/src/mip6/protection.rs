//! ESP around the Mobility Headers between a node and who it registers with (RFC 4877 §4), in the kernel.
//!
//! The extension headers that a message is sent with come first, and ESP within them. What has come counts for
//! policies with the home address in place of the care-of address; what leaves does so with a type 2 routing
//! header, and not with a Home Address option. So a mobile node's own policies are about its agent alone, and
//! the association of its updates is anybody's: neither changes when it moves.
//!
//! Policies are about all types of Mobility Headers, since Linux does not tell them apart ([`Upper::Mobility`]).
//! Those of return routability, which are between node and correspondent, are not meant by any: the agent
//! forwards them.

use std::net::Ipv6Addr;

use anyhow::Result;
use ipnet::Ipv6Net;
use netlink::Xfrm;
use netlink::xfrm::{Association, Direction, Extension, Policy, Selector, Upper};
use topology::kind::mip6::protection::{AssociationPlan, ProtectionPlan};

use super::kept::{OF_KEEPING_OUT, OF_PROTECTION};

/// What policies are about.
const MOBILITY: Upper = Upper::Mobility;

/// The SPI of no association: those up to 255 are reserved (RFC 4303 §2.1). What has to have it does not come
/// in.
const NOBODYS_SPI: u32 = 1;

/// At the agent, what an address sends comes in, and what is for it leaves, with ESP alone.
///
/// # Errors
/// Those of the kernel.
pub(super) fn at_agent(xfrm: &mut Xfrm, plan: &ProtectionPlan) -> Result<()> {
    let (node, agent) = (plan.address, plan.agent);
    xfrm.put_association(&association(node, agent, &plan.update))?;
    xfrm.put_association(&association(agent, node, &plan.acknowledgement))?;
    xfrm.put_policy(&Policy {
        direction: Direction::In,
        selector: Selector {
            source: node.into(),
            destination: Ipv6Net::default(),
            upper: MOBILITY,
        },
        extension: Some(Extension::HomeAddress),
        protection: Some(plan.update.spi),
        priority: OF_PROTECTION,
    })?;
    Ok(xfrm.put_policy(&Policy {
        direction: Direction::Out,
        selector: Selector {
            upper: MOBILITY,
            ..Selector::between(agent, node)
        },
        extension: None,
        protection: Some(plan.acknowledgement.spi),
        priority: OF_PROTECTION,
    })?)
}

/// At an agent, nothing comes in but of the addresses of [`at_agent`].
///
/// # Errors
/// Those of the kernel.
pub(super) fn keep_others_out(xfrm: &mut Xfrm) -> Result<()> {
    Ok(xfrm.put_policy(&Policy {
        direction: Direction::In,
        selector: Selector::all(MOBILITY),
        extension: None,
        protection: Some(NOBODYS_SPI),
        priority: OF_KEEPING_OUT,
    })?)
}

/// At the node, what is for the agent leaves, and what it sends comes in, with ESP alone.
///
/// # Errors
/// Those of the kernel.
pub(super) fn at_node(xfrm: &mut Xfrm, plan: &ProtectionPlan) -> Result<()> {
    let (node, agent) = (plan.address, plan.agent);
    let anybody = Ipv6Addr::UNSPECIFIED;
    xfrm.put_association(&association(anybody, agent, &plan.update))?;
    xfrm.put_association(&association(agent, node, &plan.acknowledgement))?;
    xfrm.put_policy(&Policy {
        direction: Direction::Out,
        selector: Selector {
            source: Ipv6Net::default(),
            destination: agent.into(),
            upper: MOBILITY,
        },
        extension: None,
        protection: Some(plan.update.spi),
        priority: OF_PROTECTION,
    })?;
    Ok(xfrm.put_policy(&Policy {
        direction: Direction::In,
        selector: Selector {
            source: agent.into(),
            destination: Ipv6Net::default(),
            upper: MOBILITY,
        },
        extension: Some(Extension::Routing),
        protection: Some(plan.acknowledgement.spi),
        priority: OF_PROTECTION,
    })?)
}

fn association(source: Ipv6Addr, destination: Ipv6Addr, plan: &AssociationPlan) -> Association {
    Association {
        source,
        destination,
        spi: plan.spi,
        key: plan.key.0,
    }
}
