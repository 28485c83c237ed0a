//! The way of a node's packets, changed in the middle of a protocol's step: tunnels, routes by source,
//! home addresses.
//!
//! Every method is done when it returns, so that a protocol can change the way before its next message
//! leaves. What is set up once and waits for nobody is [`Links`](crate::Links)' part.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::Ipv6Net;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{if_nameindex, if_nametoindex};
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, CacheInfo,
};
use rtnetlink::packet_route::link::{
    InfoData, InfoIpTunnel, InfoKind, Ip6TunnelFlags, LinkAttribute, LinkInfo, LinkMessage,
};
use rtnetlink::packet_route::neighbour::NeighbourState;
use rtnetlink::packet_route::route::{RouteMessage, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, IpProtocol, RouteNetlinkMessage};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::{AddressMessageBuilder, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};

use units::Eui64;

use crate::direct::Direct;
use crate::error::{Errno, Error, Failure, Result};
use crate::neighbour;
use crate::rtnl::module_advice;

/// Hop Limit of a tunnel's packets: what a host sends with (RFC 2473 §6.3, RFC 8200).
const HOP_LIMIT: u8 = 64;
/// Metric of a route that is there.
const METRIC: u32 = 1024;
/// Metric of the blackhole that is left when it is not.
const LAST_RESORT: u32 = 2048;

/// The outer addresses of a tunnel (RFC 2473).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelEnds {
    /// This end.
    pub local: Ipv6Addr,
    /// The other one. What comes from somewhere else is dropped.
    pub remote: Ipv6Addr,
}

/// Which packets a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packets {
    /// Those to addresses of a prefix.
    To(Ipv6Net),
    /// Those from an address, whose destination is not on a link (`IPV6_SUBTREES`).
    From(Ipv6Addr),
    /// Of those that a [`Lead`] leads to a table, those between addresses of two prefixes.
    Led {
        /// The table.
        table: u32,
        /// Where they are from.
        from: Ipv6Net,
        /// Where they go.
        to: Ipv6Net,
    },
}

/// Which packets go by the routes of a table of their own, before the others are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead<'a> {
    /// The interface that they come in by.
    pub interface: &'a str,
    /// Where they are from.
    pub from: Ipv6Net,
    /// The table, which is the place of this rule among others, too: the lower, the earlier.
    pub table: u32,
}

/// A connection to rtnetlink in the calling thread's namespace, which stays in it.
#[derive(Debug)]
pub struct DataPlane {
    rtnl: Direct,
}

impl DataPlane {
    /// Connects.
    ///
    /// # Errors
    /// When there is no such socket.
    pub fn open() -> Result<DataPlane> {
        let opened = Direct::open(NETLINK_ROUTE);
        let rtnl = opened.map_err(|e| Error::io("rtnetlink", "open a socket", e))?;
        Ok(DataPlane { rtnl })
    }

    /// Makes an IPv6-in-IPv6 tunnel, up; returns its number. Equals `ip link add NAME type ip6tnl mode ip6ip6 local LOCAL remote REMOTE
    /// encaplimit none hoplimit 64` and `ip link set NAME up`.
    pub fn add_tunnel(&mut self, name: &str, ends: TunnelEnds) -> Result<u32> {
        let advice = module_advice("load the kernel module ip6_tunnel");
        let request = RouteNetlinkMessage::NewLink(tunnel(Some(name), 0, ends));
        let made = self.rtnl.route(&request, NLM_F_CREATE | NLM_F_EXCL);
        let operation = format!("create tunnel from {} to {}", ends.local, ends.remote);
        made.map_err(|failure| failure.at(name, operation, &advice))?;
        let found = if_nametoindex(name);
        let ifindex = found.map_err(|errno| Error::io(name, "find link", errno))?;
        let up = LinkUnspec::new_with_index(ifindex).up().build();
        let upped = self.rtnl.route(&RouteNetlinkMessage::SetLink(up), 0);
        upped.map_err(|failure| failure.at(name, "set up", &[]))?;
        Ok(ifindex)
    }

    /// Moves a tunnel: its number, its routes and what stands on it stay. Equals
    /// `ip link set dev DEV type ip6tnl local LOCAL remote REMOTE`.
    pub fn move_tunnel(&mut self, ifindex: u32, ends: TunnelEnds) -> Result<()> {
        let request = RouteNetlinkMessage::NewLink(tunnel(None, ifindex, ends));
        let operation = format!("move tunnel to {} and {}", ends.local, ends.remote);
        let advice = [(Errno::EEXIST, "there is another tunnel with these ends")];
        let moved = self.rtnl.route(&request, 0);
        moved.map_err(|failure| at(failure, ifindex, operation, &advice))
    }

    /// Deletes the links whose names are those that a former daemon of this node gave its own.
    ///
    /// # Errors
    /// When links cannot be listed, or one of them cannot be deleted.
    pub fn delete_left(&mut self, is_own: impl Fn(&str) -> bool) -> Result<()> {
        let links = if_nameindex().map_err(|errno| Error::io("links", "list", errno))?;
        for link in &links {
            if link.name().to_str().is_ok_and(&is_own) {
                self.delete_link(link.index())?;
            }
        }
        Ok(())
    }

    /// Deletes a virtual link, and with it the routes over it. Equals `ip link del DEV`.
    pub fn delete_link(&mut self, ifindex: u32) -> Result<()> {
        let request = LinkUnspec::new_with_index(ifindex).build();
        let deleted = self.rtnl.route(&RouteNetlinkMessage::DelLink(request), 0);
        deleted.map_err(|failure| at(failure, ifindex, "delete", &[]))
    }

    /// Adds a home address (RFC 6275 §11.3.1), which is the node's although it is not on a link:
    /// without this mark the kernel drops what comes to it by way of a type 2 routing header. One that is
    /// there already stays. Equals `ip -6 address add ADDRESS/128 dev DEV home nodad`.
    pub fn add_home_address(&mut self, ifindex: u32, address: Ipv6Addr) -> Result<()> {
        let request = RouteNetlinkMessage::NewAddress(home_address(ifindex, address));
        let added = self.rtnl.route(&request, NLM_F_CREATE | NLM_F_REPLACE);
        added.map_err(|failure| at(failure, ifindex, format!("add home address {address}"), &[]))
    }

    /// Adds a regional care-of address (RFC 5380 §6.1), which is like a home address, and from which nothing
    /// leaves that does not ask for it: it is deprecated, so that the home address comes before it (RFC 6724 §5,
    /// rules 3 and 4). Equals `ip -6 address add ADDRESS/128 dev DEV home nodad preferred_lft 0`.
    pub fn add_regional_address(&mut self, ifindex: u32, address: Ipv6Addr) -> Result<()> {
        let request = RouteNetlinkMessage::NewAddress(deprecated(home_address(ifindex, address)));
        let added = self.rtnl.route(&request, NLM_F_CREATE | NLM_F_REPLACE);
        let operation = format!("add regional address {address}");
        added.map_err(|failure| at(failure, ifindex, operation, &[]))
    }

    /// Removes an address that was added by one of these methods; one that is gone is removed. Equals
    /// `ip -6 address del ADDRESS/128 dev DEV`.
    pub fn remove_address(&mut self, ifindex: u32, address: Ipv6Addr) -> Result<()> {
        let request = RouteNetlinkMessage::DelAddress(own_address(ifindex, address));
        match self.rtnl.route(&request, 0) {
            Err(failure) if !failure.is(Errno::EADDRNOTAVAIL) => {
                let operation = format!("remove address {address}");
                Err(at(failure, ifindex, operation, &[]))
            }
            _ => Ok(()),
        }
    }

    /// Adds an address at which a node is asked, and from which nothing leaves that does not ask for it. One
    /// that is there already stays. Equals
    /// `ip -6 address add ADDRESS/128 dev DEV nodad preferred_lft 0`.
    pub fn add_address(&mut self, ifindex: u32, address: Ipv6Addr) -> Result<()> {
        let request = RouteNetlinkMessage::NewAddress(deprecated(own_address(ifindex, address)));
        let added = self.rtnl.route(&request, NLM_F_CREATE | NLM_F_REPLACE);
        added.map_err(|failure| at(failure, ifindex, format!("add address {address}"), &[]))
    }

    /// Whether an interface of the calling thread's namespace has an address. Equals
    /// `ip -6 address show to ADDRESS`.
    ///
    /// # Errors
    /// When addresses cannot be listed.
    pub fn has_address(&self, address: Ipv6Addr) -> Result<bool> {
        let listed = getifaddrs();
        let mut all = listed.map_err(|errno| Error::io("addresses", "list", errno))?;
        Ok(all.any(|interface| {
            let found = interface.address;
            let found = found.and_then(|found| Some(found.as_sockaddr_in6()?.ip()));
            found == Some(address)
        }))
    }

    /// Sends packets by an interface, also if they went elsewhere. Equals
    /// `ip -6 route replace default from ADDRESS dev DEV`.
    pub fn route_by(&mut self, packets: Packets, ifindex: u32) -> Result<()> {
        let request = RouteNetlinkMessage::NewRoute(by(packets, ifindex));
        let routed = self.rtnl.route(&request, NLM_F_CREATE | NLM_F_REPLACE);
        routed.map_err(|failure| at(failure, ifindex, format!("route {packets:?}"), &[]))
    }

    /// Undoes [`DataPlane::route_by`]; without such a route nothing is to be undone.
    pub fn stop_routing(&mut self, packets: Packets, ifindex: u32) -> Result<()> {
        let request = RouteNetlinkMessage::DelRoute(by(packets, ifindex));
        match self.rtnl.route(&request, 0) {
            Err(failure) if !failure.is(Errno::ESRCH) => Err(at(
                failure,
                ifindex,
                format!("stop routing {packets:?}"),
                &[],
            )),
            _ => Ok(()),
        }
    }

    /// Leads packets to a table; one that is led there already stays. Equals
    /// `ip -6 rule add from FROM iif INTERFACE lookup TABLE priority TABLE`.
    pub fn lead(&mut self, lead: Lead<'_>) -> Result<()> {
        let request = RouteNetlinkMessage::NewRule(rule(lead));
        match self.rtnl.route(&request, NLM_F_CREATE | NLM_F_EXCL) {
            Err(failure) if !failure.is(Errno::EEXIST) => {
                let operation = format!("lead packets from {} to table {}", lead.from, lead.table);
                Err(failure.at(lead.interface, operation, &[]))
            }
            _ => Ok(()),
        }
    }

    /// As [`Links::learn_neighbour`](crate::Links::learn_neighbour).
    pub fn learn_neighbour(
        &mut self,
        ifindex: u32,
        address: Ipv6Addr,
        link_layer: Eui64,
    ) -> Result<()> {
        let state = NeighbourState::Stale;
        let request = neighbour::request(ifindex, address, &link_layer.0, state);
        let learnt = self.rtnl.route(&request, NLM_F_CREATE | NLM_F_REPLACE);
        learnt.map_err(|failure| at(failure, ifindex, format!("add neighbour {address}"), &[]))
    }

    /// Undoes [`DataPlane::drop_otherwise`], if it is not undone.
    pub fn stop_dropping(&mut self, packets: Packets) -> Result<()> {
        let request = RouteNetlinkMessage::DelRoute(blackhole(packets));
        match self.rtnl.route(&request, 0) {
            Err(failure) if !failure.is(Errno::ESRCH) => {
                let operation = format!("stop dropping {packets:?}");
                Err(failure.at("routes", operation, &[]))
            }
            _ => Ok(()),
        }
    }

    /// Drops packets as long as no other route is for them. Equals
    /// `ip -6 route replace blackhole default from ADDRESS metric 2048`.
    pub fn drop_otherwise(&mut self, packets: Packets) -> Result<()> {
        let request = RouteNetlinkMessage::NewRoute(blackhole(packets));
        let routed = self.rtnl.route(&request, NLM_F_CREATE | NLM_F_REPLACE);
        let operation = format!("drop {packets:?}");
        routed.map_err(|failure| failure.at("routes", operation, &[]))
    }
}

fn tunnel(name: Option<&str>, ifindex: u32, ends: TunnelEnds) -> LinkMessage {
    // A change sets what it does not name to zero.
    let data = vec![
        InfoIpTunnel::Local(IpAddr::V6(ends.local)),
        InfoIpTunnel::Remote(IpAddr::V6(ends.remote)),
        InfoIpTunnel::Ttl(HOP_LIMIT),
        // Otherwise each packet has an option of 8 octets more (RFC 2473 §5.1).
        InfoIpTunnel::Ipv6Flags(Ip6TunnelFlags::IgnEncapLimit),
        InfoIpTunnel::Protocol(IpProtocol::Ipv6),
    ];
    let mut link = LinkMessageBuilder::<LinkUnspec>::default().build();
    link.header.index = ifindex;
    if let Some(name) = name {
        link.attributes.push(LinkAttribute::IfName(name.into()));
    }
    link.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Ip6Tnl),
        LinkInfo::Data(InfoData::IpTunnel(data)),
    ]));
    link
}

fn home_address(ifindex: u32, address: Ipv6Addr) -> AddressMessage {
    let mut message = own_address(ifindex, address);
    let flags = AddressFlags::Homeaddress | AddressFlags::Nodad;
    message.header.flags = AddressHeaderFlags::from_bits_retain(flags.bits() as u8);
    message
}

/// An address on no link, for which nobody is asked.
fn own_address(ifindex: u32, address: Ipv6Addr) -> AddressMessage {
    let builder = AddressMessageBuilder::<Ipv6Addr>::new();
    let mut message = builder.index(ifindex).address(address, 128).build();
    message.header.flags = AddressHeaderFlags::from_bits_retain(AddressFlags::Nodad.bits() as u8);
    message
}

/// Others come before it.
fn deprecated(mut message: AddressMessage) -> AddressMessage {
    let mut lifetimes = CacheInfo::default();
    lifetimes.ifa_valid = u32::MAX;
    let lifetimes = AddressAttribute::CacheInfo(lifetimes);
    message.attributes.push(lifetimes);
    message
}

fn blackhole(packets: Packets) -> RouteMessage {
    let mut message = route(packets).priority(LAST_RESORT).build();
    message.header.kind = RouteType::BlackHole;
    message
}

fn route(packets: Packets) -> RouteMessageBuilder<Ipv6Addr> {
    let builder = RouteMessageBuilder::<Ipv6Addr>::new();
    match packets {
        Packets::To(prefix) => builder.destination_prefix(prefix.network(), prefix.prefix_len()),
        Packets::From(source) => {
            (builder.destination_prefix(Ipv6Addr::UNSPECIFIED, 0)).source_prefix(source, 128)
        }
        Packets::Led { table, from, to } => {
            let builder = builder.destination_prefix(to.network(), to.prefix_len());
            let builder = match from.prefix_len() {
                0 => builder,
                bits => builder.source_prefix(from.network(), bits),
            };
            builder.table_id(table)
        }
    }
}

fn rule(lead: Lead<'_>) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = AddressFamily::Inet6;
    rule.header.action = RuleAction::ToTable;
    if lead.from.prefix_len() > 0 {
        rule.header.src_len = lead.from.prefix_len();
        let source = RuleAttribute::Source(IpAddr::V6(lead.from.network()));
        rule.attributes.push(source);
    }
    let interface = RuleAttribute::Iifname(lead.interface.into());
    rule.attributes.push(interface);
    rule.attributes.push(RuleAttribute::Priority(lead.table));
    match u8::try_from(lead.table) {
        Ok(table) => rule.header.table = table,
        Err(_) => rule.attributes.push(RuleAttribute::Table(lead.table)),
    }
    rule
}

fn by(packets: Packets, ifindex: u32) -> RouteMessage {
    (route(packets).priority(METRIC))
        .output_interface(ifindex)
        .build()
}

fn at(
    failure: Failure,
    ifindex: u32,
    operation: impl std::fmt::Display,
    advice: &[(Errno, &'static str)],
) -> Error {
    failure.at(format_args!("interface {ifindex}"), operation, advice)
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};

    use super::*;

    /// What `ip` of iproute2 6.1 sends for each command in `tests/golden/data_plane.hex`.
    fn of_iproute2() -> Vec<RouteNetlinkMessage> {
        let golden = include_str!("../tests/golden/data_plane.hex");
        let message = |text: &str| {
            let (_command, hex) = text.split_once('\n').unwrap();
            let bytes = crate::golden::bytes(hex);
            match NetlinkMessage::deserialize(&bytes).unwrap().payload {
                NetlinkPayload::InnerMessage(message) => message,
                other => panic!("{other:?}"),
            }
        };
        golden.split("# ip ").skip(1).map(message).collect()
    }

    const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 5);

    #[test]
    fn requests_are_those_of_iproute2() {
        let [link, address, drop, from, led, of_table]: [_; 6] = of_iproute2().try_into().unwrap();
        let RouteNetlinkMessage::NewLink(link) = link else {
            panic!("a link")
        };
        let ends = TunnelEnds {
            local: "2001:db8:1::5".parse().unwrap(),
            remote: "2001:db8:f::1".parse().unwrap(),
        };
        // iproute2 names the defaults, too.
        let ours = tunnel(Some("mip0"), 0, ends);
        assert_eq!(ours.attributes[0], link.attributes[0]);
        let data = |link: &LinkMessage| match &link.attributes[1] {
            LinkAttribute::LinkInfo(info) => match &info[1] {
                LinkInfo::Data(InfoData::IpTunnel(data)) => data.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        let theirs = data(&link);
        assert!(
            data(&ours).iter().all(|said| theirs.contains(said)),
            "{theirs:?}"
        );

        let RouteNetlinkMessage::NewAddress(address) = address else {
            panic!("an address")
        };
        let ours = home_address(1, HOME);
        assert_eq!(ours.header, address.header);
        let theirs = &address.attributes;
        assert!(
            ours.attributes.iter().all(|said| theirs.contains(said)),
            "{theirs:?}"
        );

        let ours = blackhole(Packets::From(HOME));
        assert_eq!(drop, RouteNetlinkMessage::NewRoute(ours));
        let ours = by(Packets::From(HOME), 1);
        assert_eq!(from, RouteNetlinkMessage::NewRoute(ours));

        let lead = Lead {
            interface: "lo",
            from: "2001:db8:c000::/48".parse().unwrap(),
            table: 100,
        };
        assert_eq!(led, RouteNetlinkMessage::NewRule(rule(lead)));
        let packets = Packets::Led {
            table: 100,
            from: "2001:db8:c000:1::/64".parse().unwrap(),
            to: Ipv6Net::default(),
        };
        assert_eq!(of_table, RouteNetlinkMessage::NewRoute(by(packets, 1)));
    }
}
