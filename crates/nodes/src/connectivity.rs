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

#[cfg(test)]
mod tests {
    use topology::{Overrides, load};

    use super::*;

    #[test]
    fn a_wired_node_has_a_router_where_the_backbone_has_one_and_an_edge_router_two_bearers() {
        let text = |kind: &str| {
            format!(
                "version: 1\nname: wired\nbackbone: {{ kind: {kind} }}\nnodes:\n  \
                 er1: {{ role: edge-router }}\n  server: {{ place: wired, services: [{{ sensors: [{{ path: /x }}] }}] }}\n\
                 scenario: {{ duration: 5 s }}\n"
            )
        };
        let plan = |kind| load("wired.yaml", &text(kind), Overrides::default()).unwrap();
        let (bridge, routed) = (plan("bridge"), plan("routed"));
        let server = wired(&bridge.nodes["server"]);
        assert_eq!(server.available, [Bearer::Ethernet]);
        assert_eq!(server.addresses, [bridge.nodes["server"].address]);
        assert!(server.routers.is_empty() && server.heard.is_none());
        let gateway = routed.nodes["server"].backbone.as_ref().unwrap().gateway;
        assert_eq!(wired(&routed.nodes["server"]).routers, [gateway.unwrap()]);
        let router = wired(&bridge.nodes["er1"]);
        assert_eq!(router.bearer, Bearer::Ethernet);
        assert_eq!(router.available, [Bearer::Ethernet, Bearer::Ieee802154]);
    }
}
