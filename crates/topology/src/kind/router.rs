//! Edge routers: between the backbone and the radios.

mod nat;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use units::quantity::{duration, format_duration};
use units::{Channel, Eui64, PanId};

pub use nat::{Nat, NatPlan};

use super::antenna::Antenna;
use super::dhcpv6_server;
use super::radio::Radio;
use super::wired::Wired;
use super::{Expand, GatewayPlan, Mobility, Node, Place, ServiceKeys, anchor_point_of, gateway_of};
use crate::decode::{At, Block, Decoder};
use crate::file::Coap;
use crate::plan::{AddressMode, NodeName};
use crate::resolve::identity;
use crate::resolve::timers::{in_milliseconds, ms, s};
use crate::resolve::{Context, NO_ADDRESS, Resolver, or};

tables! {
    /// An edge router's own keys.
    pub struct Router {
        with wired: Wired,
        with antenna: Antenna,
        /// Channel of its PAN; from 11 to 26; default 11, 12, … in name order.
        pub channel: Option<At<Channel>>,
        /// PAN ID: two routers on one channel need two; default `0x0001`, `0x0002`, … in name
        /// order.
        pub pan: Option<At<PanId>>,
        /// Prefix of its 6LoWPAN link; a /64; default 2001:db8:1::/64, 2001:db8:2::/64, … in name
        /// order.
        pub prefix: Option<At<Ipv6Net>>,
        /// Its address in that prefix; default PREFIX::1.
        pub address: Option<At<Ipv6Addr>>,
        /// Router advertisements.
        pub router_advertisements: Option<RouterAdvertisements>,
        /// The DHCPv6 server that it relays to; default the only one there is.
        pub dhcpv6_server: Option<At<String>>,
        /// It translates addresses (NAT) of what it forwards from its 6LoWPAN link to the backbone.
        pub nat: Option<Block<Nat>>,
    }

    /// 6LoWPAN edge router: advertises its prefix on the radio side, forwards, relays DHCPv6.
    pub struct EdgeRouter also ["role"] {
        with router: Router,
        with services: ServiceKeys,
        /// CoAP parameters.
        pub coap: Option<Block<Coap>>,
    }

    /// An edge router with what runs on it.
    pub struct RouterNode also ["place"] {
        with router: Router,
        with services: ServiceKeys,
        /// CoAP parameters.
        pub coap: Option<Block<Coap>>,
    }

    /// Router configuration variables (RFC 4861 §6.2.1) and constants (§10).
    pub struct RouterAdvertisements {
        /// MinRtrAdvInterval; from 30 ms (RFC 6275 §7.5) to three quarters of `max_interval`,
        /// under 9 s all of it; default a third of `max_interval`, under 9 s all of it.
        pub min_interval: Option<At<Duration>>,
        /// MaxRtrAdvInterval; from 70 ms (RFC 6275 §7.5) to 1800 s; default 600 s, under `phy` of
        /// a router to which a node may go that the scenario moves 500 ms.
        pub max_interval: Option<At<Duration>>,
        /// MAX_RA_DELAY_TIME: longest random delay of a solicited advertisement; default 0.5 s.
        pub max_response_delay: Option<At<Duration>>,
        /// MIN_DELAY_BETWEEN_RAS; default 3 s, under `phy` of a router to which a node may go that
        /// the scenario moves, and whose `max_interval` is shorter, 30 ms (RFC 6275 §7.5).
        pub min_delay_between: Option<At<Duration>>,
        /// AdvDefaultLifetime; whole seconds, 0 s or from `max_interval` to 9000 s; default three
        /// times `max_interval`, at most 9000 s.
        pub router_lifetime: Option<At<Duration>>,
        /// M flag: addresses by DHCPv6; default whether a node uses it.
        pub managed: Option<At<bool>>,
        /// O flag: other configuration by DHCPv6; default false.
        pub other: Option<At<bool>>,
        /// A flag of the prefix; default whether a node uses SLAAC.
        pub autonomous: Option<At<bool>>,
        /// AdvRetransTimer; whole milliseconds; default 0 ms, unspecified.
        pub retrans_timer: Option<At<Duration>>,
        /// AdvReachableTime; whole milliseconds, at most 1 h; default 0 ms, unspecified.
        pub reachable_time: Option<At<Duration>>,
        /// AdvValidLifetime; whole seconds; default 2592000 s, 30 days.
        pub valid_lifetime: Option<At<Duration>>,
        /// AdvPreferredLifetime; whole seconds; default 604800 s, 7 days.
        pub preferred_lifetime: Option<At<Duration>>,
    }
}

impl Expand for EdgeRouter {
    fn expand(self, _: &mut Decoder) -> Node {
        Node {
            kind: "edge-router",
            place: Place::Router(Box::new(self.router)),
            mobility: Mobility::None,
            services: self.services.services(),
            coap: self.coap,
        }
    }
}

impl Expand for RouterNode {
    fn expand(self, _: &mut Decoder) -> Node {
        Node {
            kind: "router",
            place: Place::Router(Box::new(self.router)),
            mobility: Mobility::None,
            services: self.services.services(),
            coap: self.coap,
        }
    }
}

/// Edge router: advertises its prefix on `lowpan0`, forwards, relays DHCPv6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterPlan {
    /// The prefix on its 6LoWPAN link.
    pub prefix: Ipv6Net,
    /// Its own address in that prefix.
    pub address: Ipv6Addr,
    /// Router advertisements.
    pub router_advertisements: RouterAdvertisementPlan,
    /// DHCPv6 server to relay to; absent: no relay agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcpv6_server: Option<Ipv6Addr>,
    /// What it says of others to nodes that ask beforehand (RFC 5568 §6.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neighbours: Vec<NeighbourPlan>,
    /// The mobility anchor point that it is below and advertises; absent: it advertises none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor_point: Option<Ipv6Addr>,
    /// The radios of nodes that it is told of before they come and form an address from its prefix: what a
    /// router that they leave says with a Handover Initiate (RFC 5568 §6.2.1), which the plan stands for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expected: BTreeMap<NodeName, Eui64>,
    /// The nodes for which it says where they are; absent: they say so themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayPlan>,
    /// The NAT that it is for what it forwards to the backbone; absent: it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat: Option<NatPlan>,
}

/// What an edge router says of another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeighbourPlan {
    /// The other one.
    pub router: NodeName,
    /// Its link-layer address, which is its access point's, too.
    pub eui64: Eui64,
    /// Its address in the prefix of its link.
    pub address: Ipv6Addr,
    /// That prefix.
    pub prefix: Ipv6Net,
    /// The mobility anchor point that it is below and advertises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor_point: Option<Ipv6Addr>,
}

/// Router configuration variables (RFC 4861 §6.2.1) and protocol constants (§10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterAdvertisementPlan {
    /// MinRtrAdvInterval.
    #[serde(with = "duration")]
    pub min_interval: Duration,
    /// MaxRtrAdvInterval.
    #[serde(with = "duration")]
    pub max_interval: Duration,
    /// MAX_RA_DELAY_TIME: longest random delay of a solicited advertisement.
    #[serde(with = "duration")]
    pub max_response_delay: Duration,
    /// MIN_DELAY_BETWEEN_RAS.
    #[serde(with = "duration")]
    pub min_delay_between: Duration,
    /// AdvDefaultLifetime, whole seconds.
    #[serde(with = "duration")]
    pub router_lifetime: Duration,
    /// M flag: addresses by DHCPv6.
    pub managed: bool,
    /// O flag: other configuration by DHCPv6.
    pub other: bool,
    /// A flag of the prefix: SLAAC.
    pub autonomous: bool,
    /// AdvRetransTimer, milliseconds on the wire; 0: unspecified.
    #[serde(with = "duration")]
    pub retrans_timer: Duration,
    /// AdvReachableTime, milliseconds on the wire; 0: unspecified.
    #[serde(with = "duration")]
    pub reachable_time: Duration,
    /// AdvValidLifetime of the prefix, whole seconds.
    #[serde(with = "duration")]
    pub valid_lifetime: Duration,
    /// AdvPreferredLifetime of the prefix, whole seconds.
    #[serde(with = "duration")]
    pub preferred_lifetime: Duration,
}

impl RouterPlan {
    /// The UDP port of its relay agent, if it is one.
    pub(super) fn port(&self) -> Option<u16> {
        self.dhcpv6_server.map(|_| dhcpv6_server::PORT)
    }

    /// What it is, in words for a person.
    pub(super) fn describe(&self) -> Vec<String> {
        let mut lines = vec!["edge router".into(), self.prefix.to_string()];
        lines.extend(self.gateway.as_ref().map(GatewayPlan::describe));
        lines.extend(self.nat.as_ref().map(NatPlan::describe));
        lines
    }

    /// Modules of the kernel that it needs and that not every run does.
    pub(super) fn kernel_modules(&self) -> &'static [&'static str] {
        match self.nat {
            Some(_) => nat::KERNEL_MODULES,
            None => &[],
        }
    }
}

/// RFC 4861 §6.2.1: MaxRtrAdvInterval "MUST be no less than 4 seconds and no greater than
/// 1800 seconds"; RFC 6275 §7.5 lets mobility go down to 70 ms …
const MAX_INTERVAL: (Duration, Duration) = (ms(70), s(1800));
/// … and MinRtrAdvInterval from 3 s down to 30 ms.
const MIN_INTERVAL: Duration = ms(30);
/// From here on RFC 4861's default of MinRtrAdvInterval is 0.33 MaxRtrAdvInterval, and 0.75 of
/// it is the largest value allowed; under it the default is MaxRtrAdvInterval itself.
const FRACTION_FROM: Duration = s(9);
/// RFC 4861 §6.2.1: AdvDefaultLifetime is 0 or between MaxRtrAdvInterval and this.
const MAX_ROUTER_LIFETIME: Duration = s(9000);
/// RFC 4861 §6.2.1: AdvReachableTime "MUST be no greater than 3,600,000 milliseconds".
const MAX_REACHABLE_TIME: Duration = s(3600);

/// RFC 4861 §6.2.1: MaxRtrAdvInterval's default.
pub(crate) const DEFAULT_MAX_INTERVAL: Duration = s(600);
/// MaxRtrAdvInterval of a router that is listened for, where the file says nothing of its intervals:
/// twice a second, so that a node need not listen long.
const LISTENED_FOR_MAX_INTERVAL: Duration = ms(500);
/// RFC 4861 §10: MIN_DELAY_BETWEEN_RAS.
const MIN_DELAY_BETWEEN: Duration = s(3);
/// RFC 6275 §7.5: MinDelayBetweenRAs of a router whose intervals are shorter than RFC 4861 allows.
const LISTENED_FOR_MIN_DELAY_BETWEEN: Duration = ms(30);

impl Router {
    /// The longest time between its multicast advertisements. `listened_for`: by the
    /// per-frame air nodes that go to it find it by them.
    pub(crate) fn max_interval(&self, listened_for: bool) -> Duration {
        default_max_interval(self.router_advertisements.as_ref(), listened_for)
    }

    /// Whether a node whose signals change while the scenario lasts finds the router `name` by its
    /// advertisements.
    pub(super) fn is_listened_for(r: &Resolver<'_>, context: &Context<'_, '_>, name: &str) -> bool {
        let mut going = r.going().filter_map(Node::host);
        let may_attach = |radio: &Radio| {
            let moving = radio.handover.as_ref();
            moving.is_some_and(|moving| moving.may_attach(name))
        };
        context.model.is_phy() && going.any(may_attach)
    }

    /// What the router `name` says of others: nothing, if no node that comes to it asks.
    fn neighbours(r: &Resolver<'_>, context: &Context<'_, '_>, name: &str) -> Vec<NeighbourPlan> {
        let asks = |radio: &Radio| {
            let moving = radio.handover.as_ref();
            moving.is_some_and(|moving| moving.asks_about_others() && moving.may_attach(name))
        };
        let others = context.network.routers.iter();
        let others = others.filter(|other| other.name != name);
        let plan = |other: &identity::Router<'_>| {
            Some(NeighbourPlan {
                router: other.name.to_owned(),
                eui64: context.network.eui64_of(other.name)?,
                address: other.address,
                prefix: other.prefix,
                anchor_point: anchor_point_of(r, context.network, other.name),
            })
        };
        match r.hosts().any(|(_, _, radio)| asks(radio)) {
            true => others.filter_map(plan).collect(),
            false => Vec::new(),
        }
    }

    /// The nodes that `context`'s node is told of before they come.
    fn expected(r: &Resolver<'_>, context: &Context<'_, '_>) -> BTreeMap<NodeName, Eui64> {
        let is_expected = |node: &Node, radio: &Radio| {
            let moving = radio.handover.as_ref();
            let comes = moving.is_some_and(|m| m.asks_about_others() && m.may_attach(context.name));
            let forms = r.address_mode(node) == AddressMode::Slaac;
            comes && forms && node.mobility.router_of_its_own().is_none()
        };
        let hosts = r
            .hosts()
            .filter(|(_, node, radio)| is_expected(node, radio));
        let named = hosts.filter_map(|(name, ..)| {
            let eui64 = context.network.eui64_of(name)?;
            Some((name.to_owned(), eui64))
        });
        named.collect()
    }

    /// The plan of `context`'s node.
    pub(crate) fn plan<'t>(&self, r: &mut Resolver<'t>, context: &Context<'_, 't>) -> RouterPlan {
        let path = &context.path;
        let router = context.network.router(context.name);
        let server = r.relayed_server(context, self);
        let ra = self.router_advertisements.as_ref();
        let managed = r.users_of(AddressMode::Dhcpv6);
        let autonomous = r.users_of(AddressMode::Slaac);
        let ra_path = format!("{path}.router_advertisements");
        let flags = [
            ("managed", ra.and_then(|ra| ra.managed), &managed, "dhcpv6"),
            (
                "autonomous",
                ra.and_then(|ra| ra.autonomous),
                &autonomous,
                "slaac",
            ),
        ];
        for (key, flag, users, mode) in flags {
            if let (Some(At { value: false, span }), Some((user, key_of_mode))) =
                (flag, users.first())
            {
                let message = format!(
                    "`{ra_path}.{key}`: `false` leaves `{user}` without an address, because its \
                     mode is {mode}; write `true`, or change `nodes.{user}.{key_of_mode}`"
                );
                r.problem(span, message);
            }
        }
        RouterPlan {
            prefix: router.map_or_else(Ipv6Net::default, |router| router.prefix),
            address: router.map_or(NO_ADDRESS, |router| router.address),
            router_advertisements: advertisements(
                r,
                &ra_path,
                (ra, Router::is_listened_for(r, context, context.name)),
                !managed.is_empty(),
                !autonomous.is_empty(),
            ),
            dhcpv6_server: server.map(|server| context.network.address_of(server)),
            neighbours: Router::neighbours(r, context, context.name),
            anchor_point: anchor_point_of(r, context.network, context.name),
            expected: Router::expected(r, context),
            gateway: gateway_of(r, context),
            nat: self.nat.as_ref().map(|nat| nat.table.plan(r, context)),
        }
    }
}

/// MaxRtrAdvInterval as given, or by default.
fn default_max_interval(file: Option<&RouterAdvertisements>, listened_for: bool) -> Duration {
    let says_nothing = file.is_none_or(|ra| ra.min_interval.is_none());
    let default = match listened_for && says_nothing {
        true => LISTENED_FOR_MAX_INTERVAL,
        false => DEFAULT_MAX_INTERVAL,
    };
    or(file.and_then(|ra| ra.max_interval), default)
}

/// Router advertisements; `managed` and `autonomous` are what the nodes need.
fn advertisements(
    r: &mut Resolver<'_>,
    path: &str,
    (file, listened_for): (Option<&RouterAdvertisements>, bool),
    managed: bool,
    autonomous: bool,
) -> RouterAdvertisementPlan {
    let (min_interval, max_interval) = intervals(r, path, file, listened_for);
    let min_delay_between = match listened_for && max_interval < MIN_DELAY_BETWEEN {
        true => LISTENED_FOR_MIN_DELAY_BETWEEN,
        false => MIN_DELAY_BETWEEN,
    };
    let zero = Duration::ZERO;
    let lifetime_right = format!(
        "0 s, or whole seconds from max_interval, {}, to 9000 s (RFC 4861 §6.2.1)",
        format_duration(max_interval)
    );
    let (valid_lifetime, preferred_lifetime) = r.lifetimes(
        path,
        (file.and_then(|f| f.valid_lifetime), s(2_592_000)),
        (file.and_then(|f| f.preferred_lifetime), s(604_800)),
    );
    RouterAdvertisementPlan {
        min_interval,
        max_interval,
        max_response_delay: or(file.and_then(|f| f.max_response_delay), ms(500)),
        min_delay_between: or(file.and_then(|f| f.min_delay_between), min_delay_between),
        router_lifetime: r.duration(
            &format!("{path}.router_lifetime"),
            file.and_then(|f| f.router_lifetime),
            s((3 * max_interval).as_millis().div_ceil(1000) as u64).min(MAX_ROUTER_LIFETIME),
            |value| {
                value.is_zero()
                    || (value.subsec_nanos() == 0
                        && (max_interval..=MAX_ROUTER_LIFETIME).contains(&value))
            },
            &lifetime_right,
        ),
        managed: or(file.and_then(|f| f.managed), managed),
        other: or(file.and_then(|f| f.other), false),
        autonomous: or(file.and_then(|f| f.autonomous), autonomous),
        retrans_timer: r.duration(
            &format!("{path}.retrans_timer"),
            file.and_then(|f| f.retrans_timer),
            zero,
            |value| in_milliseconds(value, u64::from(u32::MAX)),
            "whole milliseconds up to 4294967295 ms",
        ),
        reachable_time: r.duration(
            &format!("{path}.reachable_time"),
            file.and_then(|f| f.reachable_time),
            zero,
            |value| in_milliseconds(value, MAX_REACHABLE_TIME.as_secs() * 1000),
            "whole milliseconds up to 1 h (RFC 4861 §6.2.1)",
        ),
        valid_lifetime,
        preferred_lifetime,
    }
}

/// MinRtrAdvInterval and MaxRtrAdvInterval.
fn intervals(
    r: &mut Resolver<'_>,
    path: &str,
    file: Option<&RouterAdvertisements>,
    listened_for: bool,
) -> (Duration, Duration) {
    let max = r.duration(
        &format!("{path}.max_interval"),
        file.and_then(|f| f.max_interval),
        default_max_interval(file, listened_for),
        |value| (MAX_INTERVAL.0..=MAX_INTERVAL.1).contains(&value),
        "from 70 ms (RFC 6275 §7.5) to 1800 s (RFC 4861 §6.2.1)",
    );
    let max = max.clamp(MAX_INTERVAL.0, MAX_INTERVAL.1);
    let (default, limit) = if max >= FRACTION_FROM {
        (max * 33 / 100, max * 3 / 4)
    } else {
        (max, max)
    };
    let right = format!(
        "from 30 ms (RFC 6275 §7.5) to {}, which max_interval = {} allows (RFC 4861 §6.2.1)",
        format_duration(limit),
        format_duration(max)
    );
    let min = r.duration(
        &format!("{path}.min_interval"),
        file.and_then(|f| f.min_interval),
        default,
        |value| (MIN_INTERVAL..=limit).contains(&value),
        &right,
    );
    (min, max)
}
