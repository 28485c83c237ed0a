//! Who is who: prefixes, addresses, channels, PANs, MACs, EUI-64s and routes.

mod prefixes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use units::{Channel, EthernetAddress, Eui64, PanId, ShortAddress};

use self::prefixes::Prefixes;
use super::{NO_ADDRESS, Resolver};
use crate::decode::At;
use crate::diagnostic::Span;
use crate::kind::router;
use crate::kind::wired::Wired;
use crate::plan::{
    AddressMode, BackboneInterface, BackboneKind, BackbonePlan, CandidatePlan, RadioInterface,
    RoutePlan,
};

/// Prefix of a bridged backbone.
const BRIDGE_PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
/// Prefix of a routed backbone, a /48 with a /64 per node.
const ROUTED_PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf000, 0, 0, 0, 0, 0);
/// Channels of the 2.4 GHz PHY.
const CHANNELS: std::ops::RangeInclusive<u8> = 11..=26;

/// Bits of the prefix of a link.
pub(crate) const SUBNET: u8 = 64;

/// Who has which address.
pub(crate) struct Network<'t> {
    /// The prefixes that are reached through nodes.
    prefixes: Prefixes<'t>,
    /// Edge routers in name order.
    pub routers: Vec<Router<'t>>,
    /// `eth0` of every wired node.
    pub wired: BTreeMap<&'t str, BackboneInterface>,
    /// `wpan0` of every radio node.
    pub radios: BTreeMap<&'t str, RadioInterface>,
    /// Permanent address of every host with a radio, of which one is known beforehand.
    pub hosts: BTreeMap<&'t str, Ipv6Addr>,
    /// Permanent address that the file gives a wired node beside that of its interface.
    given: BTreeMap<&'t str, Ipv6Addr>,
}

/// An edge router's identity.
pub(crate) struct Router<'t> {
    pub name: &'t str,
    pub file: &'t router::Router,
    pub channel: Channel,
    pub pan_id: PanId,
    pub prefix: Ipv6Net,
    /// The prefix is another's too, which has been reported.
    overlaps: bool,
    pub address: Ipv6Addr,
}

impl Network<'_> {
    pub(crate) fn router(&self, name: &str) -> Option<&Router<'_>> {
        self.routers.iter().find(|router| router.name == name)
    }

    /// The EUI-64 of a node's radio.
    pub(crate) fn eui64_of(&self, name: &str) -> Option<Eui64> {
        self.radios.get(name).map(|radio| radio.eui64)
    }

    /// The prefix that is reached through a node: of its link, or of addresses that it looks after.
    pub(crate) fn prefix_of(&self, name: &str) -> Option<Ipv6Net> {
        self.prefixes.0.get(name).map(|own| own.prefix)
    }

    /// The address at which a node's interface is reached: the permanent one of a host with a
    /// radio, that on the backbone of any other.
    pub(crate) fn address_of(&self, name: &str) -> Ipv6Addr {
        let wired = || self.wired.get(name).map(|eth| eth.address.addr());
        let host = self.hosts.get(name).copied();
        host.or_else(wired).unwrap_or(NO_ADDRESS)
    }

    /// The address by which others know a node.
    pub(crate) fn permanent(&self, name: &str) -> Ipv6Addr {
        let given = self.given.get(name).copied();
        given.unwrap_or_else(|| self.address_of(name))
    }
}

impl Router<'_> {
    pub(crate) fn candidate(&self) -> CandidatePlan {
        CandidatePlan {
            router: self.name.to_owned(),
            channel: self.channel,
            pan_id: self.pan_id,
            access_point: None,
        }
    }
}

/// Identifiers that are taken, each with the path of its owner.
struct Claims<K>(BTreeMap<K, String>);

impl<K: Ord + Display> Claims<K> {
    fn claim(&mut self, r: &mut Resolver<'_>, what: &str, key: K, path: String, span: Span) {
        match self.0.get(&key) {
            Some(owner) => r.problem(
                span,
                format!(
                    "`{path}`: duplicate {what} `{key}`: `{owner}` has it already; give another"
                ),
            ),
            None => {
                self.0.insert(key, path);
            }
        }
    }
}

/// An extended or Ethernet address must be an individual one: bit I/G of its first octet is 0.
fn is_group(first_octet: u8) -> bool {
    first_octet & 1 != 0
}

/// Whether a host can have `address` as its own, for everyone to reach.
fn is_host_address(address: Ipv6Addr) -> bool {
    !(address.is_multicast()
        || address.is_unspecified()
        || address.is_loopback()
        || address.is_unicast_link_local())
}

/// The /64 of `prefix` with this number.
fn subnet(prefix: Ipv6Net, number: u16) -> Ipv6Addr {
    Ipv6Addr::from_bits(prefix.network().to_bits() | u128::from(number) << 64)
}

/// `prefix` with `low` as its last 64 bits.
fn host(prefix: Ipv6Net, low: u64) -> Ipv6Addr {
    Ipv6Addr::from_bits((prefix.network().to_bits() >> 64 << 64) | u128::from(low))
}

impl<'t> Resolver<'t> {
    /// Assigns every identity.
    pub(super) fn network(&mut self, backbone: &BackbonePlan) -> Network<'t> {
        let prefix = self.backbone_prefix(backbone.kind);
        let prefixes = self.prefixes(prefix);
        let routers = self.routers(&prefixes);
        let mut wired = self.wired(backbone.kind, prefix);
        self.add_routes(&mut wired, &prefixes.0, backbone.kind, prefix);
        let radios = self.radios(&routers);
        let hosts = self.host_addresses(&prefixes, &radios);
        let network = Network {
            prefixes,
            routers,
            wired,
            radios,
            hosts,
            given: self.given_addresses(),
        };
        self.check_addresses(&network);
        network
    }

    /// A prefix that is `length` long, has no bits after that, and can be assigned.
    fn check_prefix(&mut self, path: &str, prefix: At<Ipv6Net>, length: u8) {
        let right = if prefix.prefix_len() != length {
            format!("a /{length}")
        } else if prefix.trunc() != prefix.value {
            format!("`{}`", prefix.trunc())
        } else if !is_host_address(host(prefix.value, 1)) {
            "a unicast prefix such as `2001:db8:1::/64`".to_owned()
        } else {
            return;
        };
        let message = format!("`{path}`: `{}` cannot be used; give {right}", prefix.value);
        self.problem(prefix.span, message);
    }

    fn backbone_prefix(&mut self, kind: BackboneKind) -> Ipv6Net {
        let (default, length) = match kind {
            BackboneKind::Bridge => (BRIDGE_PREFIX, 64),
            BackboneKind::Routed => (ROUTED_PREFIX, 48),
        };
        match self.topology.backbone.as_ref().and_then(|b| b.prefix) {
            Some(prefix) => {
                self.check_prefix("backbone.prefix", prefix, length);
                prefix.trunc()
            }
            None => Ipv6Net::new_assert(default, length),
        }
    }

    fn routers(&mut self, prefixes: &Prefixes<'t>) -> Vec<Router<'t>> {
        let files: Vec<(&'t str, Span, &'t router::Router)> = self
            .nodes
            .iter()
            .filter_map(|(name, (span, node))| Some((*name, *span, node.router()?)))
            .collect();
        if files.is_empty() && self.faults.nodes_known() {
            let span = self.topology.nodes.0.first().map(|(name, _)| name.span);
            self.problem(
                span.unwrap_or(self.topology.name.span),
                "`nodes`: there is no edge-router; add one, `er1: { role: edge-router }`",
            );
        }
        let mut channels: BTreeSet<u8> = files
            .iter()
            .filter_map(|(_, _, file)| file.channel.map(|channel| channel.number()))
            .collect();
        let mut pans: BTreeSet<u16> = files
            .iter()
            .filter_map(|(_, _, file)| file.pan.map(|pan| pan.value.0))
            .collect();
        let mut taken = Claims(BTreeMap::new());
        let mut routers = Vec::new();
        for (name, span, file) in files {
            let (prefix, overlaps) = prefixes.of(name);
            let channel = file.channel.map_or_else(
                || next_channel(&mut channels, routers.len()),
                |channel| channel.value,
            );
            let pan_id = file.pan.map_or_else(
                || {
                    let free = (1..0xffff).find(|id| pans.insert(*id)).unwrap_or(1);
                    PanId(free)
                },
                |pan| pan.value,
            );
            let at = file
                .pan
                .map(|pan| pan.span)
                .or(file.channel.map(|channel| channel.span))
                .unwrap_or(span);
            // A node tells edge routers apart by channel and PAN: two alike are one to it.
            let key = format!("channel {channel}, PAN {pan_id}");
            let what = "channel and PAN";
            taken.claim(self, what, key, format!("nodes.{name}"), at);
            if let Some(address) = file.address
                && (!prefix.contains(&address.value) || address.value == prefix.network())
            {
                self.problem(
                    address.span,
                    format!(
                        "`nodes.{name}.address`: `{}` is not a host in the router's prefix \
                         {prefix}; give one such as `{}`",
                        address.value,
                        host(prefix, 1)
                    ),
                );
            }
            routers.push(Router {
                name,
                file,
                channel,
                pan_id,
                prefix,
                overlaps,
                address: file
                    .address
                    .map_or(host(prefix, 1), |address| address.value),
            });
        }
        routers
    }

    fn wired(
        &mut self,
        kind: BackboneKind,
        prefix: Ipv6Net,
    ) -> BTreeMap<&'t str, BackboneInterface> {
        let mut macs = Claims(BTreeMap::new());
        let mut subnets = Claims(BTreeMap::new());
        let files: Vec<(&'t str, Span, &'t Wired)> = self
            .nodes
            .iter()
            .filter_map(|(name, (span, node))| Some((*name, *span, node.wired()?)))
            .collect();
        let mut taken: BTreeSet<u64> = files
            .iter()
            .filter_map(|(_, _, keys)| keys.backbone_address)
            .map(|address| index_of(kind, address.value))
            .collect();
        let mut wired = BTreeMap::new();
        for (name, span, keys) in files {
            let path = format!("nodes.{name}.backbone_address");
            if let Some(address) = keys.backbone_address
                && (!prefix.contains(&address.value)
                    || host(Ipv6Net::new_assert(address.value, 64), 0) == address.value)
            {
                self.problem(
                    address.span,
                    format!(
                        "`{path}`: `{}` is not a host in the backbone's prefix {prefix}",
                        address.value
                    ),
                );
            }
            let index = match keys.backbone_address {
                Some(address) => index_of(kind, address.value),
                None => (1..).find(|i| taken.insert(*i)).unwrap_or(1),
            };
            let derived = match kind {
                BackboneKind::Bridge => host(prefix, index),
                BackboneKind::Routed => {
                    Ipv6Addr::from_bits(prefix.network().to_bits() | u128::from(index) << 64 | 2)
                }
            };
            let address = keys
                .backbone_address
                .map_or(derived, |address| address.value);
            let address = Ipv6Net::new_assert(address, 64);
            let gateway = (kind == BackboneKind::Routed).then(|| {
                let at = keys.backbone_address.map_or(span, |address| address.span);
                subnets.claim(self, "subnet", address.trunc(), path, at);
                let low = if host(address, 1) == address.addr() {
                    2
                } else {
                    1
                };
                host(address, low)
            });
            let mac = keys.mac.map_or_else(
                || {
                    let bytes = self.seed.bytes(&["node", name, "mac"]);
                    // 02: locally administered, individual.
                    EthernetAddress([0x02, bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]])
                },
                |mac| mac.value,
            );
            let at = keys.mac.map_or(span, |mac| mac.span);
            self.check_individual("mac", name, mac.0[0], &mac, at);
            macs.claim(self, "MAC address", mac, format!("nodes.{name}.mac"), at);
            let interface = BackboneInterface {
                mac,
                address,
                gateway,
                delay: keys.delay.map(|delay| delay.value),
                routes: Vec::new(),
            };
            wired.insert(name, interface);
        }
        wired
    }

    fn check_individual(&mut self, key: &str, name: &str, first: u8, text: &dyn Display, at: Span) {
        if is_group(first) {
            self.problem(
                at,
                format!(
                    "`nodes.{name}.{key}`: `{text}` is a group address; the first octet of an \
                     individual one is even"
                ),
            );
        }
    }

    fn radios(&mut self, routers: &[Router<'_>]) -> BTreeMap<&'t str, RadioInterface> {
        let mut eui64s = Claims(BTreeMap::new());
        let mut shorts = Claims(BTreeMap::new());
        let mut radios = BTreeMap::new();
        for (name, (span, node)) in self.nodes.clone() {
            let Some(antenna) = node.antenna() else {
                continue;
            };
            let router = node.host().map_or(name, |host| host.attached_to.as_str());
            let (eui64, short): (Option<At<Eui64>>, Option<At<ShortAddress>>) =
                (antenna.eui64, antenna.short_address);
            let at = eui64.map_or(span, |eui64| eui64.span);
            let eui64 = eui64.map_or_else(|| Eui64::derive(self.seed, name), |e| e.value);
            self.check_individual("eui64", name, eui64.0[0], &eui64, at);
            eui64s.claim(self, "EUI-64", eui64, format!("nodes.{name}.eui64"), at);
            // A wrong `attached_to` is reported where the host is resolved.
            let Some(router) = routers.iter().find(|r| r.name == router) else {
                continue;
            };
            if let Some(short) = short {
                let path = format!("nodes.{name}.short_address");
                let key = format!("{} in PAN {}", short.value, router.pan_id);
                shorts.claim(self, "short address", key, path, short.span);
            }
            let interface = RadioInterface {
                eui64,
                channel: router.channel,
                pan_id: router.pan_id,
                short_address: short.map(|short| short.value),
                // Both come with the radio model and the scenario.
                profile: None,
                track: Vec::new(),
            };
            radios.insert(name, interface);
        }
        radios
    }

    /// The permanent addresses of hosts with a radio: as the file says, or as they form them at home,
    /// which is at the routers where they start if their mobility has no other place for it. One that
    /// leases an address and tells nobody of it has none.
    fn host_addresses(
        &self,
        prefixes: &Prefixes<'t>,
        radios: &BTreeMap<&'t str, RadioInterface>,
    ) -> BTreeMap<&'t str, Ipv6Addr> {
        let mut addresses = BTreeMap::new();
        // How many have a prefix of their own out of a node's.
        let mut subnets: BTreeMap<&str, u16> = BTreeMap::new();
        for (name, node, host) in self.hosts() {
            let home = node.mobility.home(self).unwrap_or(&host.attached_to);
            let home = prefixes
                .0
                .get(home)
                .map(|own| match own.prefix.prefix_len() {
                    SUBNET => own.prefix.network(),
                    _ => {
                        let number = subnets.entry(home).or_default();
                        *number += 1;
                        subnet(own.prefix, *number)
                    }
                });
            let formed = || Some(radios.get(name)?.eui64.address_in(home?));
            let is_permanent = node.mobility.address_key().is_some();
            let is_known = is_permanent || self.address_mode(node) == AddressMode::Slaac;
            let given = node.mobility.address().map(|given| given.value);
            let address = given.or_else(|| is_known.then(formed).flatten());
            addresses.extend(address.map(|address| (name, address)));
        }
        addresses
    }

    /// The permanent addresses that the file gives wired nodes.
    fn given_addresses(&self) -> BTreeMap<&'t str, Ipv6Addr> {
        let nodes = self.nodes.iter();
        let wired = nodes.filter(|(_, (_, node))| node.host().is_none());
        wired
            .filter_map(|(name, (_, node))| Some((*name, node.mobility.address()?.value)))
            .collect()
    }

    /// Refuses an address that two have, or that no host can have.
    fn check_addresses(&mut self, network: &Network<'t>) {
        let mut taken = Claims(BTreeMap::new());
        for (name, (span, node)) in self.nodes.clone() {
            let given = |at: Option<At<Ipv6Addr>>| at.map_or(span, |at| at.span);
            let mut owned = Vec::new();
            if let (Some(eth), Some(keys)) = (network.wired.get(name), node.wired()) {
                let at = given(keys.backbone_address);
                owned.push((eth.address.addr(), Some("backbone_address"), at));
                owned.extend(eth.gateway.map(|gateway| (gateway, Some("gateway"), at)));
            }
            if let Some(file) = node.router() {
                let derived = |r: &&Router<'_>| file.address.is_some() || !r.overlaps;
                let router = network.router(name).filter(derived);
                let at = given(file.address);
                owned.extend(router.map(|r| (r.address, Some("address"), at)));
            }
            let (permanent, key) = (node.mobility.address(), node.mobility.address_key());
            if node.host().is_some() {
                let address = network.hosts.get(name);
                owned.extend(address.map(|address| (*address, key, given(permanent))));
            } else {
                // A wired node's own address may be its permanent one.
                let own = owned.first().map(|(own, ..)| *own);
                let permanent = permanent.filter(|p| Some(p.value) != own);
                owned.extend(permanent.map(|p| (p.value, key, p.span)));
            }
            for (address, key, at) in owned {
                let path = match key {
                    Some(key) => format!("nodes.{name}.{key}"),
                    None => format!("nodes.{name}"),
                };
                if is_host_address(address) {
                    taken.claim(self, "address", address, path, at);
                } else {
                    let message = format!(
                        "`{path}`: `{address}` is not an address that a host can be reached at; \
                         give a unicast address such as `2001:db8:1::10`"
                    );
                    self.problem(at, message);
                }
            }
        }
    }
}

/// What tells wired nodes apart: the host on a bridge, the subnet of a routed /48.
fn index_of(kind: BackboneKind, address: Ipv6Addr) -> u64 {
    match kind {
        BackboneKind::Bridge => address.to_bits() as u64,
        BackboneKind::Routed => u64::from(address.segments()[3]),
    }
}

/// The lowest channel not in `taken`; with more routers than channels, one is used again.
fn next_channel(taken: &mut BTreeSet<u8>, router: usize) -> Channel {
    let again = CHANNELS.start() + (router % CHANNELS.count()) as u8;
    let number = CHANNELS
        .clone()
        .find(|c| !taken.contains(c))
        .unwrap_or(again);
    taken.insert(number);
    Channel::try_from(number).expect("the range is that of Channel")
}

impl Resolver<'_> {
    /// Static routes: from every wired node to every prefix that is reached through another. None is behind a NAT.
    fn add_routes(
        &self,
        wired: &mut BTreeMap<&str, BackboneInterface>,
        prefixes: &BTreeMap<&str, prefixes::Own>,
        kind: BackboneKind,
        backbone: Ipv6Net,
    ) {
        let next_hops: BTreeMap<&str, Ipv6Addr> = wired
            .iter()
            .map(|(name, eth)| (*name, eth.address.addr()))
            .collect();
        let translates = |name: &str| {
            let router = self.nodes.get(name).and_then(|(_, node)| node.router());
            router.is_some_and(router::Router::translates)
        };
        for (name, eth) in wired.iter_mut() {
            if let (BackboneKind::Routed, Some(gateway)) = (kind, eth.gateway) {
                eth.routes.push(RoutePlan {
                    to: backbone,
                    via: gateway,
                });
            }
            let others = prefixes.iter().filter(|(other, _)| *other != name);
            for (other, own) in others.filter(|(other, _)| !translates(other)) {
                let next_hop = next_hops.get(other).copied();
                if let Some(via) = eth.gateway.or(next_hop) {
                    let to = own.prefix;
                    eth.routes.push(RoutePlan { to, via });
                }
            }
        }
    }
}
