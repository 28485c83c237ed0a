//! Which node an address is of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use topology::Plan;
use topology::plan::{NodeName, NodePlan};

use super::passages::{Passage, Sighting};

/// The nodes of a plan, by numbers in the order of their names.
pub(super) struct Who<'p> {
    nodes: Vec<(&'p NodeName, &'p NodePlan)>,
    by_address: BTreeMap<IpAddr, u32>,
    /// By the interface identifier, for addresses that a node forms by itself (RFC 4862 §5.3, §5.5).
    by_identifier: BTreeMap<[u8; 8], u32>,
    by_mac: BTreeMap<[u8; 6], u32>,
    /// Whether there are whole captures of a node's wire and of its radio.
    captured: Vec<[bool; 2]>,
    /// What a packet may take to where it goes.
    way: Duration,
}

/// As often may a packet cross the backbone: to a home agent, to a mobility anchor point, to a router and on.
const CROSSINGS: u32 = 4;
/// What a packet may take beside the backbone: over a radio with its backoffs and retries, and in queues. It is under
/// the time after which CoAP sends a message again that was lost (RFC 7252 §4.8, ACK_TIMEOUT), so that the second
/// is not taken for the first.
const WITHOUT_BACKBONE: Duration = Duration::from_millis(1900);

impl<'p> Who<'p> {
    /// `addresses` are those that nodes had in the run.
    pub(super) fn of(plan: &'p Plan, addresses: &BTreeMap<IpAddr, NodeName>) -> Who<'p> {
        let mut who = Who {
            nodes: plan.nodes.iter().collect(),
            by_address: BTreeMap::new(),
            by_identifier: BTreeMap::new(),
            by_mac: BTreeMap::new(),
            captured: vec![[false; 2]; plan.nodes.len()],
            way: way(plan),
        };
        for (number, (_, node)) in (0..).zip(&plan.nodes) {
            if let Some(backbone) = &node.backbone {
                let mac = backbone.mac.0;
                who.by_mac.insert(mac, number);
                let link = capture::decode::LinkAddress::Ethernet(backbone.mac);
                who.by_identifier
                    .insert(link.interface_identifier(), number);
                who.by_address
                    .insert(backbone.address.addr().into(), number);
            }
            if let Some(radio) = &node.radio {
                let identifier = radio.eui64.interface_identifier();
                who.by_identifier.insert(identifier, number);
            }
            if let Some(router) = &node.router {
                who.by_address.insert(router.address.into(), number);
            }
            who.by_address.insert(node.address.into(), number);
        }
        // What the run tells counts before what the plan does.
        for (address, name) in addresses {
            if let Some(number) = who.index(name) {
                who.by_address.insert(*address, number);
            }
        }
        who
    }

    pub(super) fn index(&self, name: &str) -> Option<u32> {
        let found = self
            .nodes
            .binary_search_by(|(node, _)| node.as_str().cmp(name));
        found.ok().and_then(|at| u32::try_from(at).ok())
    }

    pub(super) fn name(&self, node: u32) -> &str {
        self.nodes.get(node as usize).map_or("?", |(name, _)| name)
    }

    pub(super) fn one(&self, address: IpAddr) -> Option<u32> {
        let address = address.to_canonical();
        let known = self.by_address.get(&address);
        known.copied().or_else(|| match address {
            IpAddr::V6(v6) => {
                let identifier = v6.octets().last_chunk::<8>().copied()?;
                self.by_identifier.get(&identifier).copied()
            }
            IpAddr::V4(_) => None,
        })
    }

    pub(super) fn of_mac(&self, mac: &[u8]) -> Option<u32> {
        let mac: [u8; 6] = mac.try_into().ok()?;
        self.by_mac.get(&mac).copied()
    }

    pub(super) fn has_capture(&mut self, node: u32, is_wired: bool) {
        if let Some(captured) = self.captured.get_mut(node as usize) {
            captured[usize::from(!is_wired)] = true;
        }
    }

    /// Whether what a node does not have in its captures did not come to it, or go from it.
    pub(super) fn sees_all(&self, node: u32) -> bool {
        let (at, found) = (node as usize, self.nodes.get(node as usize));
        found.is_some_and(|(_, node)| {
            let [wired, radio] = self.captured[at];
            (wired || node.backbone.is_none()) && (radio || node.radio.is_none())
        })
    }

    /// What a packet may take at most to where it goes, by the plan. Queues may make it more.
    pub(super) fn way(&self) -> Duration {
        self.way
    }

    pub(super) fn translates(&self, node: u32) -> bool {
        let node = self.nodes.get(node as usize);
        node.is_some_and(|(_, node)| node.translates())
    }

    pub(super) fn is_router(&self, node: u32) -> bool {
        let node = self.nodes.get(node as usize);
        node.is_some_and(|(_, node)| node.is_router())
    }

    /// The place of its lifeline: hosts of radios, routers, others, and who asks.
    pub(super) fn rank(&self, node: u32) -> (u8, u32) {
        let rank = match self.nodes.get(node as usize) {
            Some((_, node)) if node.host.is_some() => 0,
            Some((_, node)) if node.is_router() => 1,
            Some((_, node)) if node.asks() => 3,
            _ => 2,
        };
        (rank, node)
    }

    /// Whether a sighting may be of a message of one of `nodes`, all of them if there is none.
    pub(super) fn concerns(&self, seen: &Sighting, nodes: &BTreeSet<NodeName>) -> bool {
        let is_one = |node: u32| nodes.contains(self.name(node));
        let ends = [seen.from, seen.to, seen.subject];
        // Of multicast nobody knows yet who will have received it.
        nodes.is_empty()
            || seen.is_multicast
            || ends.into_iter().flatten().any(is_one)
            || is_one(seen.node)
    }

    /// Whether a message is of one of `nodes`, all of them if there is none.
    pub(super) fn is_of(&self, message: &Passage, nodes: &BTreeSet<NodeName>) -> bool {
        let is_one = |node: u32| nodes.contains(self.name(node));
        let to = message.to.iter().map(|end| end.node);
        let mut all = to.chain([message.from]).chain(message.subject);
        nodes.is_empty() || all.any(is_one)
    }
}

fn way(plan: &Plan) -> Duration {
    let backbone = plan
        .nodes
        .values()
        .filter_map(|node| node.backbone.as_ref());
    let farthest = backbone.filter_map(|eth0| eth0.delay).max();
    let backbone = &plan.backbone;
    let crossing = backbone
        .delay
        .saturating_add(backbone.jitter.unwrap_or_default())
        .saturating_add(farthest.unwrap_or_default().saturating_mul(2));
    WITHOUT_BACKBONE.saturating_add(crossing.saturating_mul(CROSSINGS))
}
