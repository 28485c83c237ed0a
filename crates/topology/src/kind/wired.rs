//! A node on the backbone.

use std::net::Ipv6Addr;
use std::time::Duration;

use units::EthernetAddress;

use super::{Expand, MobilityKeys, Node, Place, Protocol, ServiceKeys};
use crate::decode::{At, Block, Decoder};
use crate::file::Coap;

tables! {
    /// The interface on the backbone.
    pub struct Wired {
        /// Its address on the backbone, in its prefix; default the next free one, in name order.
        pub backbone_address: Option<At<Ipv6Addr>>,
        /// MAC address on the backbone; default from the seed.
        pub mac: Option<At<EthernetAddress>>,
        /// How much farther away it is than others: this delay one way, in both directions, is added to
        /// that of the backbone; default 0 s.
        pub delay: Option<At<Duration>>,
    }

    /// A node on the backbone.
    pub struct WiredNode also ["place"] {
        with wired: Wired,
        with mobility: MobilityKeys,
        with services: ServiceKeys,
        /// CoAP parameters.
        pub coap: Option<Block<Coap>>,
    }
}

impl Expand for WiredNode {
    fn expand(self, d: &mut Decoder) -> Node {
        Node {
            kind: "wired",
            mobility: self.mobility.choose(Protocol::None, None, d),
            services: self.services.services(),
            place: Place::Wired(self.wired),
            coap: self.coap,
        }
    }
}
