//! How a node is connected, in the words of its services.

use std::net::Ipv6Addr;

use service::{Bearer, Connectivity};
use topology::plan::NodePlan;

/// That of a node that is where it is: it speaks by its wire, and an edge router has a radio beside it. The router is
/// that of a routed backbone; on a bridge every node is a neighbour, or behind one of several edge routers.
pub(crate) fn wired(node: &NodePlan) -> Connectivity {
    let radio = node.radio.as_ref().map(|_| Bearer::Ieee802154);
    let backbone = node.backbone.as_ref();
    let gateway = backbone.and_then(|backbone| backbone.gateway);
    Connectivity {
        bearer: Bearer::Ethernet,
        available: [Bearer::Ethernet].into_iter().chain(radio).collect(),
        heard: None,
        addresses: vec![node.address],
        routers: gateway.into_iter().collect(),
    }
}

/// That of a node with a radio alone, which has `address` from `router`.
pub(crate) fn radio(
    heard: Option<service::Heard>,
    address: Ipv6Addr,
    router: Ipv6Addr,
) -> Connectivity {
    Connectivity {
        bearer: Bearer::Ieee802154,
        available: vec![Bearer::Ieee802154],
        heard,
        addresses: vec![address],
        routers: vec![router],
    }
}
