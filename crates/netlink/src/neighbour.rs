//! Neighbours: link-layer addresses of IPv6 addresses on a link.

use std::net::Ipv6Addr;

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::error::Result;
use crate::link::Links;

impl Links {
    /// Makes a neighbour known for ever, without neighbour discovery. Equals
    /// `ip -6 neigh replace ADDRESS lladdr MAC dev DEV nud permanent`.
    pub async fn add_neighbour(&self, ifindex: u32, address: Ipv6Addr, mac: [u8; 6]) -> Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet6;
        message.header.ifindex = ifindex;
        message.header.state = NeighbourState::Permanent;
        message.attributes = vec![
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)),
            NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
        ];
        let request = RouteNetlinkMessage::NewNeighbour(message);
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        match self.rtnl.request(request, flags).await {
            Ok(_) => Ok(()),
            Err(failure) => {
                let operation = format!("add neighbour {address}");
                Err(self.explain(failure, ifindex, operation, &[]).await)
            }
        }
    }
}
