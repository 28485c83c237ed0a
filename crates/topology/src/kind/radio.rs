//! Hosts with a radio: how they get their address, and when their radio sleeps.

use std::net::Ipv6Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::antenna::Antenna;
use super::handover::{HandoverPlan, Leaving, Moving};
use super::{Expand, Mobility, MobilityKeys, Node, Place, Protocol, ServiceKeys};
use crate::decode::{At, Block, Decoder};
use crate::file::Coap;
use crate::plan::{AddressMode, DadMode, NodeName};
use crate::resolve::timers::{ms, s};
use crate::resolve::{Context, Resolver, or, or_default};

tables! {
    /// A radio at an edge router.
    pub struct Attached {
        with antenna: Antenna,
        /// Makes this many nodes alike, named NAME1, NAME2, …: a poll of NAME polls each; from 1
        /// to 1000.
        pub count: Option<At<u32>>,
        /// The edge router that it is attached to, or starts at.
        pub attached_to: At<String>,
        /// Its duty cycle; default always awake.
        pub sleep: Option<Sleep>,
    }

    /// How a host gets the address at its router.
    pub struct Host {
        /// How the address is obtained; default `slaac`, which others can know beforehand, of a
        /// node whose mobility tells others of it `dhcpv6` if there is a server.
        pub address: Option<At<AddressMode>>,
        /// Duplicate address detection: `normal` (RFC 4862), `optimistic` (RFC 4429), `off`;
        /// default `normal`. On a 6LoWPAN link of Linux it finds nothing, and `normal` costs its second
        /// nevertheless.
        pub dad: Option<At<DadMode>>,
        /// Router solicitation.
        pub router_solicitation: Option<RouterSolicitation>,
        /// DHCPv6 client.
        pub dhcpv6: Option<Dhcpv6Client>,
    }

    /// A node with a radio: it stays at its router, or moves if it has a `mobility` or a
    /// `handover`.
    pub struct RadioNode also ["place"] {
        with attached: Attached,
        with host: Host,
        with mobility: MobilityKeys,
        with services: ServiceKeys,
        /// Edge routers that it may attach to; default all. Of a node that moves.
        pub candidates: Option<Vec<At<String>>>,
        /// When it leaves its router, and how it looks for others.
        pub handover: Option<Leaving>,
        /// CoAP parameters.
        pub coap: Option<Block<Coap>>,
    }

    /// When a radio sleeps. A sleep that falls due during a handover is left out.
    pub struct Sleep {
        /// From the start of one sleep to the start of the next; over 0 s.
        pub every: At<Duration>,
        /// How long it sleeps; shorter than `every`, and at most 4294967.295 s.
        pub period: At<Duration>,
        /// From the start of the scenario to the start of the first sleep; over 0 s and at most
        /// `every`; default from the seed, so that nodes that sleep alike are out of step.
        pub phase: Option<At<Duration>>,
        /// Whether others are told first, so that they keep their requests back: else its radio
        /// goes off and nobody is told; default whether the node's mobility can tell them.
        pub announced: Option<At<bool>>,
    }

    /// Host constants of router discovery (RFC 4861 §6.3.7, §10).
    pub struct RouterSolicitation {
        /// MAX_RTR_SOLICITATION_DELAY; default 1 s.
        pub max_delay: Option<At<Duration>>,
        /// RTR_SOLICITATION_INTERVAL; over 0 s; default 4 s.
        pub interval: Option<At<Duration>>,
        /// MAX_RTR_SOLICITATIONS; at least 1; default 3.
        pub max_solicitations: Option<At<u32>>,
    }

    /// DHCPv6 client constants (RFC 8415 §7.6).
    pub struct Dhcpv6Client {
        /// Asks for a two-message exchange; default false.
        pub rapid_commit: Option<At<bool>>,
        /// SOL_MAX_DELAY; default 1 s.
        pub solicit_max_delay: Option<At<Duration>>,
        /// SOL_TIMEOUT; over 0 s; default 1 s.
        pub solicit_timeout: Option<At<Duration>>,
        /// REQ_TIMEOUT; over 0 s; default 1 s.
        pub request_timeout: Option<At<Duration>>,
    }
}

impl Default for Host {
    /// Nothing given.
    fn default() -> Host {
        Host {
            address: None,
            dad: None,
            router_solicitation: None,
            dhcpv6: None,
        }
    }
}

/// A host with a radio, whatever words the file has for it.
#[derive(Clone, Debug)]
pub struct Radio {
    /// The radio.
    pub antenna: Antenna,
    /// So many nodes alike.
    pub count: Option<At<u32>>,
    /// The edge router that it is attached to, or starts at.
    pub attached_to: At<String>,
    /// Its duty cycle.
    pub sleep: Option<Sleep>,
    /// Where the keys of `host` stand in the node's table: nothing, or `handover.`.
    pub host_path: &'static str,
    /// How it gets its address.
    pub host: Host,
    /// How it moves, if it does.
    pub handover: Option<Moving>,
}

impl Radio {
    /// A radio of the file; `host_path` is where the keys of `host` stand.
    pub(super) fn new(
        attached: Attached,
        host: Host,
        host_path: &'static str,
        handover: Option<Moving>,
    ) -> Radio {
        Radio {
            antenna: attached.antenna,
            count: attached.count,
            attached_to: attached.attached_to,
            sleep: attached.sleep,
            host_path,
            host,
            handover,
        }
    }
}

impl Expand for RadioNode {
    fn expand(self, d: &mut Decoder) -> Node {
        let mobility = self.mobility.choose(Protocol::None, None, d);
        let moves = self.handover.is_some()
            || self.candidates.is_some()
            || !matches!(mobility, Mobility::None);
        let handover = moves.then_some(Moving {
            candidates: self.candidates,
            leaving: self.handover,
        });
        Node {
            kind: "radio",
            place: Place::Radio(Box::new(Radio::new(self.attached, self.host, "", handover))),
            mobility,
            services: self.services.services(),
            coap: self.coap,
        }
    }
}

/// A host with a radio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostPlan {
    /// The edge router that it is attached to, or starts at.
    pub attached_to: NodeName,
    /// How its address is obtained.
    pub address: AddressMode,
    /// Duplicate address detection of that address.
    pub dad: DadMode,
    /// Router solicitation.
    pub router_solicitation: RouterSolicitationPlan,
    /// DHCPv6 client.
    pub dhcpv6: Dhcpv6ClientPlan,
    /// The link-local address of the routers that it hears, and no others; absent: it hears all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv6Addr>,
    /// When its radio sleeps; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep: Option<SleepPlan>,
    /// When it leaves its router, and for which; absent: it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<HandoverPlan>,
}

/// When a radio sleeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SleepPlan {
    /// From the start of one sleep to the start of the next; over 0 s.
    #[serde(with = "duration")]
    pub every: Duration,
    /// From the start of the scenario to that of the first.
    #[serde(with = "duration")]
    pub phase: Duration,
    /// How long it sleeps.
    #[serde(with = "duration")]
    pub period: Duration,
    /// Whether others are told first.
    pub announced: bool,
}

/// Host constants of router discovery (RFC 4861 §6.3.7, §10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterSolicitationPlan {
    /// MAX_RTR_SOLICITATION_DELAY: longest random delay of the first solicitation.
    #[serde(with = "duration")]
    pub max_delay: Duration,
    /// RTR_SOLICITATION_INTERVAL.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// MAX_RTR_SOLICITATIONS, then it starts over.
    pub max_solicitations: u32,
}

/// DHCPv6 client constants (RFC 8415 §7.6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dhcpv6ClientPlan {
    /// Asks for a two-message exchange.
    pub rapid_commit: bool,
    /// SOL_MAX_DELAY: longest random delay of the first Solicit.
    #[serde(with = "duration")]
    pub solicit_max_delay: Duration,
    /// SOL_TIMEOUT.
    #[serde(with = "duration")]
    pub solicit_timeout: Duration,
    /// REQ_TIMEOUT.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
}

/// The longest sleep: as many milliseconds as 32 bits count, which is what is announced.
const MAX_SLEEP: Duration = ms(u32::MAX as u64);

impl Radio {
    /// The plan of `context`'s node.
    pub(crate) fn plan<'t>(&self, r: &mut Resolver<'t>, context: &Context<'_, 't>) -> HostPlan {
        let path = format!("{}.{}", context.path, self.host_path);
        let at = format!("{}.attached_to", context.path);
        r.named(&at, &self.attached_to, "an edge-router", Node::is_router);
        let address = r.address_mode(context.node);
        let no_server = r.dhcpv6_servers().next().is_none() && r.faults.nodes_known();
        if address == AddressMode::Dhcpv6 && no_server {
            let at = self.host.address.map(|address| address.span);
            r.problem(
                at.unwrap_or(r.span_of(context.name)),
                format!(
                    "`{path}address`: `dhcpv6` needs a dhcpv6-server, and there is none; add \
                     one, `dhcp: {{ role: dhcpv6-server }}`, or write `slaac`"
                ),
            );
        }
        let solicitation = self.host.router_solicitation.as_ref();
        let dhcpv6 = self.host.dhcpv6.as_ref();
        let handover = self.handover.as_ref();
        HostPlan {
            attached_to: self.attached_to.value.clone(),
            address,
            dad: or(self.host.dad, DadMode::Normal),
            router_solicitation: RouterSolicitationPlan {
                max_delay: or(solicitation.and_then(|s| s.max_delay), s(1)),
                interval: r.positive(
                    &format!("{path}router_solicitation.interval"),
                    solicitation.and_then(|s| s.interval),
                    s(4),
                ),
                max_solicitations: r.at_least_one(
                    &format!("{path}router_solicitation.max_solicitations"),
                    solicitation.and_then(|s| s.max_solicitations),
                    3,
                ),
            },
            dhcpv6: Dhcpv6ClientPlan {
                rapid_commit: or_default(&dhcpv6.and_then(|d| d.rapid_commit)),
                solicit_max_delay: or(dhcpv6.and_then(|d| d.solicit_max_delay), s(1)),
                solicit_timeout: r.positive(
                    &format!("{path}dhcpv6.solicit_timeout"),
                    dhcpv6.and_then(|d| d.solicit_timeout),
                    s(1),
                ),
                request_timeout: r.positive(
                    &format!("{path}dhcpv6.request_timeout"),
                    dhcpv6.and_then(|d| d.request_timeout),
                    s(1),
                ),
            },
            gateway: context.node.mobility.router_of_its_own(),
            sleep: self.sleep(r, context),
            handover: handover.map(|moving| moving.plan(r, context, &self.attached_to)),
        }
    }

    fn sleep(&self, r: &mut Resolver<'_>, context: &Context<'_, '_>) -> Option<SleepPlan> {
        let sleep = self.sleep.as_ref()?;
        let path = format!("{}.sleep", context.path);
        let every = r.positive(&format!("{path}.every"), Some(sleep.every), Duration::ZERO);
        let period = r.duration(
            &format!("{path}.period"),
            Some(sleep.period),
            Duration::ZERO,
            |period| !period.is_zero() && period < every && period <= MAX_SLEEP,
            "longer than zero and shorter than `every`, and at most 4294967.295 s",
        );
        let phase = r.phase_after(&format!("{path}.phase"), sleep.phase, every);
        let tells = context.node.mobility.announces_sleep();
        if let Some(announced) = sleep
            .announced
            .filter(|announced| announced.value && !tells)
        {
            let message = format!(
                "`{path}.announced`: `true` needs a `mobility` that can tell others; leave it out, \
                 or give the node one"
            );
            r.problem(announced.span, message);
        }
        Some(SleepPlan {
            every,
            phase,
            period,
            announced: or(sleep.announced, tells),
        })
    }
}

impl<'t> Resolver<'t> {
    /// How a host gets its address at its router.
    pub(crate) fn address_mode(&self, node: &Node) -> AddressMode {
        let default = match self.dhcpv6_servers().next() {
            Some(_) if node.mobility.tells_address() => AddressMode::Dhcpv6,
            _ => AddressMode::Slaac,
        };
        or(node.host().and_then(|radio| radio.host.address), default)
    }

    /// The hosts that use `mode`, and where each says so.
    pub(crate) fn users_of(&self, mode: AddressMode) -> Vec<(&'t str, String)> {
        self.hosts()
            .filter(|(_, node, _)| self.address_mode(node) == mode)
            .map(|(name, _, radio)| (name, format!("{}address", radio.host_path)))
            .collect()
    }
}
