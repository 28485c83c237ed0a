//! Neighbours: link-layer addresses of IPv6 addresses on a link.

use std::net::Ipv6Addr;

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use units::Eui64;

use crate::error::{Errno, Result};
use crate::link::Links;

const ADVICE: [(Errno, &str); 1] = [(Errno::ENETDOWN, "the interface is down")];

/// Puts a neighbour into the kernel's table.
pub(crate) fn request(
    ifindex: u32,
    address: Ipv6Addr,
    link_layer: &[u8],
    state: NeighbourState,
) -> RouteNetlinkMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet6;
    message.header.ifindex = ifindex;
    message.header.state = state;
    message.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)),
        NeighbourAttribute::LinkLayerAddress(link_layer.to_vec()),
    ];
    RouteNetlinkMessage::NewNeighbour(message)
}

impl Links {
    /// Makes a neighbour known for ever, without neighbour discovery. Equals
    /// `ip -6 neigh replace ADDRESS lladdr MAC dev DEV nud permanent`.
    pub async fn add_neighbour(&self, ifindex: u32, address: Ipv6Addr, mac: [u8; 6]) -> Result<()> {
        let state = NeighbourState::Permanent;
        self.put_neighbour(ifindex, address, &mac, state).await
    }

    /// Tells the kernel the link-layer address of a neighbour, which it believes until the neighbour says
    /// otherwise, as if it had been heard by the way (STALE: RFC 4861 §7.3.3). Equals
    /// `ip -6 neigh replace ADDRESS lladdr EUI64 dev DEV nud stale`.
    pub async fn learn_neighbour(
        &self,
        ifindex: u32,
        address: Ipv6Addr,
        link_layer: Eui64,
    ) -> Result<()> {
        let state = NeighbourState::Stale;
        self.put_neighbour(ifindex, address, &link_layer.0, state)
            .await
    }

    async fn put_neighbour(
        &self,
        ifindex: u32,
        address: Ipv6Addr,
        link_layer: &[u8],
        state: NeighbourState,
    ) -> Result<()> {
        let request = request(ifindex, address, link_layer, state);
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        match self.rtnl.request(request, flags).await {
            Ok(_) => Ok(()),
            Err(failure) => {
                let operation = format!("add neighbour {address}");
                Err(self.explain(failure, ifindex, operation, &ADVICE).await)
            }
        }
    }
}
