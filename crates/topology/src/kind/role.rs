//! Shorthands for combinations of a place, a mobility and services.

use super::dhcpv6_server::Dhcpv6Server;
use super::handover::{Leaving, Moving};
use super::program::Program;
use super::radio::{Attached, Host, Radio};
use super::requester::{Poll, Polls};
use super::sensors::{Resource, Sensors};
use super::wired::Wired;
use super::{
    DefaultGiven, DefaultHanded, DefaultReached, Expand, Mobility, MobilityKeys, Node, Place,
    Protocol, Service, ServiceKeys, ServiceTable,
};
use crate::decode::{At, Block, Decoder};
use crate::file::Coap;

tables! {
    /// CoAP client, called CWC in CoMM. It stays where it is.
    pub struct Client also ["role"] {
        with wired: Wired,
        with reached: DefaultReached,
        with asked: Asked,
        with mobility: MobilityKeys,
        with services: ServiceKeys,
        /// CoAP parameters.
        pub coap: Option<Block<Coap>>,
    }

    /// What a shorthand serves and asks.
    pub struct Asked {
        /// What it polls.
        pub polls: Option<Vec<Poll>>,
        /// CoAP resources that it serves; default of a `mobile-node` and a `sensor` `/temperature` of
        /// 16 B, of a `client` none.
        pub resources: Option<Vec<Resource>>,
    }

    /// Mobile CoAP node, called mCSN in CoMM.
    pub struct MobileNode also ["role"] {
        with attached: Attached,
        with reached: DefaultReached,
        with asked: Asked,
        with mobility: MobilityKeys,
        with services: ServiceKeys,
        /// Edge routers that it may attach to; default all.
        pub candidates: Option<Vec<At<String>>>,
        /// Handover behaviour.
        pub handover: Option<MobileHandover>,
        /// CoAP parameters.
        pub coap: Option<Block<Coap>>,
    }

    /// How a mobile node hands over: when, who hears of it, and how it gets its new address.
    pub struct MobileHandover {
        with leaving: Leaving,
        with handed: DefaultHanded,
        with host: Host,
    }

    /// CoAP node with a radio that stays where it is: no handover, no hold, no scan. Others ask it at
    /// the address that it forms at its router.
    pub struct Sensor also ["role"] {
        with attached: Attached,
        with host: Host,
        with asked: Asked,
        with services: ServiceKeys,
        /// CoAP parameters.
        pub coap: Option<Block<Coap>>,
    }

    /// DHCPv6 server on the backbone (RFC 8415).
    pub struct Dhcpv6ServerNode also ["role"] {
        with wired: Wired,
        with server: Dhcpv6Server,
        with services: ServiceKeys,
    }

    /// A program of the user's, in its own namespace on the backbone.
    pub struct ProgramNode also ["role"] {
        with wired: Wired,
        with program: Program,
        with services: ServiceKeys,
    }
}

impl Asked {
    /// The services that these keys stand for. `serves` says whether a node that names no resource
    /// has the default one.
    fn services(self, serves: bool, listed: ServiceKeys) -> Vec<Service> {
        let listed = listed.services();
        let served_there = listed.iter().any(|service| {
            matches!(service.table, ServiceTable::Sensors(_)) || !service.table.served().is_empty()
        });
        let sensors = match self.resources {
            Some(resources) => Some(Sensors(Some(resources))),
            None => (serves && !served_there).then_some(Sensors(None)),
        };
        let sensors =
            sensors.map(|table| Service::of_shorthand("resources", ServiceTable::Sensors(table)));
        let polls = self.polls.map(Polls);
        let polls = polls.map(|table| Service::of_shorthand("polls", ServiceTable::Polls(table)));
        sensors.into_iter().chain(polls).chain(listed).collect()
    }
}

impl Expand for Client {
    fn expand(self, d: &mut Decoder) -> Node {
        let inline = DefaultGiven::inline(self.reached, None);
        Node {
            kind: "client",
            place: Place::Wired(self.wired),
            mobility: self.mobility.choose(Protocol::DEFAULT, Some(inline), d),
            services: self.asked.services(false, self.services),
            coap: self.coap,
        }
    }
}

impl Expand for MobileNode {
    fn expand(self, d: &mut Decoder) -> Node {
        let (leaving, handed, host) = match self.handover {
            Some(handover) => (Some(handover.leaving), Some(handover.handed), handover.host),
            None => (None, None, Host::default()),
        };
        let inline = DefaultGiven::inline(self.reached, handed);
        let moving = Moving {
            candidates: self.candidates,
            leaving,
        };
        let radio = Radio::new(self.attached, host, "handover.", Some(moving));
        Node {
            kind: "mobile-node",
            place: Place::Radio(Box::new(radio)),
            mobility: self.mobility.choose(Protocol::DEFAULT, Some(inline), d),
            services: self.asked.services(true, self.services),
            coap: self.coap,
        }
    }
}

impl Expand for Sensor {
    fn expand(self, _: &mut Decoder) -> Node {
        Node {
            kind: "sensor",
            place: Place::Radio(Box::new(Radio::new(self.attached, self.host, "", None))),
            mobility: Mobility::None,
            services: self.asked.services(true, self.services),
            coap: self.coap,
        }
    }
}

impl Expand for Dhcpv6ServerNode {
    fn expand(self, _: &mut Decoder) -> Node {
        let own = ServiceTable::Dhcpv6Server(Box::new(self.server));
        Node {
            kind: "dhcpv6-server",
            place: Place::Wired(self.wired),
            mobility: Mobility::None,
            services: std::iter::once(Service::of_shorthand("", own))
                .chain(self.services.services())
                .collect(),
            coap: None,
        }
    }
}

impl Expand for ProgramNode {
    fn expand(self, _: &mut Decoder) -> Node {
        let own = ServiceTable::Program(self.program);
        Node {
            kind: "program",
            place: Place::Wired(self.wired),
            mobility: Mobility::None,
            services: std::iter::once(Service::of_shorthand("", own))
                .chain(self.services.services())
                .collect(),
            coap: None,
        }
    }
}
