//! Mobile IPv6 and Hierarchical Mobile IPv6 as a node's mobility: where it is at home, and whom it
//! tells where it is.

pub mod agent;
pub mod correspondent;
mod domain;
pub mod proxy;

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::{DefaultGiven, Mobility, MobilityFacts, Node, Protocol, ServiceTable};
use crate::decode::{At, Block, Decoder};
use crate::diagnostic::alternatives;
use crate::plan::{self, PollPlan};
use crate::resolve::timers::{in_seconds, s};
use crate::resolve::{Context, NO_ADDRESS, Resolver, or};
use crate::scalar::words;
pub(crate) use domain::anchor_point_of;

/// A node is asked at its home address, whoever asks.
pub(super) const LOCATED: bool = false;

/// What the kernel needs for tunnels, home addresses and routing headers.
const KERNEL_MODULES: &[&str] = &["ip6_tunnel", "mip6", "xfrm_user"];

tables! {
    /// Mobile IPv6 (RFC 6275) and Hierarchical Mobile IPv6 (RFC 5380): where a node is at home, and
    /// whom it tells where it is.
    #[schemars(rename = "MobileIpv6")]
    pub struct Settings {
        /// Its home agent; default the only one there is.
        pub home_agent: Option<At<String>>,
        /// Its home address, in the home agent's prefix; default formed there from its EUI-64.
        pub home_address: Option<At<Ipv6Addr>>,
        /// Lifetime of its bindings at home agent and mobility anchor point; whole multiples of 4 s
        /// up to 262140 s; default 3600 s.
        pub lifetime: Option<At<Duration>>,
        /// `hmipv6`: the only mobility anchor point that it registers with; default that of whichever
        /// domain it is in.
        pub map: Option<At<String>>,
        /// `hmipv6`: whether correspondents are told its regional address; default false.
        pub route_optimization: Option<At<bool>>,
        /// With route optimization: in which order home test and care-of test run, `parallel` (RFC
        /// 6275 §11.6.1) or `serial`, which does not conform; default `parallel`.
        pub return_routability: Option<At<Order>>,
        /// With route optimization: when the tests begin, `with-home-bu` or `after-home-ba`; default
        /// `with-home-bu`.
        pub start: Option<At<Start>>,
        /// With route optimization: whether a home keygen token is used again while it is young
        /// enough (RFC 6275 §5.2.7), so that a move needs no home test; default false.
        pub reuse_home_token: Option<At<bool>>,
        /// With route optimization: whether correspondents are asked for an acknowledgement, without
        /// which a lost update is not sent again; default true.
        pub acknowledge: Option<At<bool>>,
        /// With route optimization: lifetime of its bindings at correspondents; whole multiples of 4 s
        /// up to 420 s (RFC 6275 §5.2.7); default 420 s.
        pub correspondent_lifetime: Option<At<Duration>>,
    }
}

/// Which of the protocols of the family it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Everything through the home agent (RFC 6275 §5.1, bidirectional tunneling).
    #[serde(rename = "mipv6")]
    Tunnel,
    /// Correspondents that can are told (RFC 6275 §5.1, route optimization).
    #[serde(rename = "mipv6-ro")]
    RouteOptimization,
    /// Below a mobility anchor point (RFC 5380).
    #[serde(rename = "hmipv6")]
    Hierarchical,
}

impl Mode {
    /// The one that the file has this word for.
    fn of(word: &str) -> Mode {
        match word {
            "mipv6-ro" => Mode::RouteOptimization,
            "hmipv6" => Mode::Hierarchical,
            _ => Mode::Tunnel,
        }
    }

    /// The word that the file has for it.
    fn word(self) -> &'static str {
        match self {
            Mode::Tunnel => "mipv6",
            Mode::RouteOptimization => "mipv6-ro",
            Mode::Hierarchical => "hmipv6",
        }
    }
}

/// In which order the two tests of return routability run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// "MUST send (in parallel) a Home Test Init message and a Care-of Test Init message" (RFC 6275
    /// §11.6.1).
    Parallel,
    /// One after the other, as the CoMP paper's table 3 has it. Not conforming.
    Serial,
}
words!(Order, "parallel" => Parallel, "serial" => Serial);

/// When return routability begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// With the update to the home agent (RFC 6275 §11.7.2).
    WithHomeBu,
    /// When the home agent has acknowledged.
    AfterHomeBa,
}
words!(Start, "with-home-bu" => WithHomeBu, "after-home-ba" => AfterHomeBa);

/// The settings as the file has them.
#[derive(Clone, Debug)]
pub struct Given {
    mode: Mode,
    settings: Settings,
}

impl Given {
    /// The settings of a node: those of its table `mipv6`. A shorthand has none among its own keys.
    pub(super) fn of(
        protocol: Protocol,
        table: Option<Block<Settings>>,
        _: Option<DefaultGiven>,
        _: &mut Decoder,
    ) -> Given {
        let nothing = Settings {
            home_agent: None,
            home_address: None,
            lifetime: None,
            map: None,
            route_optimization: None,
            return_routability: None,
            start: None,
            reuse_home_token: None,
            acknowledge: None,
            correspondent_lifetime: None,
        };
        Given {
            mode: Mode::of(protocol.word()),
            settings: table.map_or(nothing, |block| block.table),
        }
    }

    /// The home address that the file gives.
    pub(super) fn address(&self) -> Option<At<Ipv6Addr>> {
        self.settings.home_address
    }

    /// The home agent, in whose prefix the home address is formed, if it is known. One that is not
    /// is reported with the plan.
    pub(super) fn home<'t>(&self, r: &Resolver<'t>) -> Option<&'t str> {
        known(r, agent::is_home_agent, self.settings.home_agent.as_ref())
    }

    /// The plan of `context`'s node.
    pub(super) fn plan<'t>(&self, r: &mut Resolver<'t>, context: &Context<'_, 't>) -> Plan {
        let path = format!("{}.mipv6", context.path);
        let given = &self.settings;
        self.check_place(r, context);
        self.check_mode(r, &path);
        let home_agent = self.peer(r, context, &HOME_AGENT, given.home_agent.as_ref());
        let home_prefix = home_agent.and_then(|name| context.network.prefix_of(name));
        self.check_home_address(r, &path, home_prefix);
        let at = |name: Option<&str>| name.map_or(NO_ADDRESS, |n| context.network.address_of(n));
        let optimizes = match self.mode {
            Mode::Tunnel => false,
            Mode::RouteOptimization => true,
            Mode::Hierarchical => or(given.route_optimization, false),
        };
        Plan {
            mode: self.mode,
            home_address: context.network.permanent(context.name),
            home_agent: at(home_agent),
            home_prefix: home_prefix.unwrap_or_default(),
            lifetime: lifetime(r, &format!("{path}.lifetime"), given.lifetime, 3600, MAX_S),
            route_optimization: self.route_optimization(r, &path, optimizes),
            correspondents: match optimizes {
                true => correspondents(r, context),
                false => Vec::new(),
            },
            maps: self.maps(r, context),
        }
    }

    /// A node moves, or it needs no home agent.
    fn check_place(&self, r: &mut Resolver<'_>, context: &Context<'_, '_>) {
        if context.node.host().is_none() {
            let message = format!(
                "`{}.mobility`: `{}` is for a node that moves, and one on the backbone does not; \
                 write `none`, and `services: [{{ correspondent: {{}} }}]` for route optimization",
                context.path,
                self.mode.word()
            );
            r.problem(r.span_of(context.name), message);
        }
    }

    /// Settings that mean nothing in this mode.
    fn check_mode(&self, r: &mut Resolver<'_>, path: &str) {
        let given = &self.settings;
        let hierarchical = [
            ("map", given.map.as_ref().map(|v| v.span)),
            (
                "route_optimization",
                given.route_optimization.map(|v| v.span),
            ),
        ];
        let of_correspondents = [
            (
                "return_routability",
                given.return_routability.map(|v| v.span),
            ),
            ("start", given.start.map(|v| v.span)),
            ("reuse_home_token", given.reuse_home_token.map(|v| v.span)),
            ("acknowledge", given.acknowledge.map(|v| v.span)),
            (
                "correspondent_lifetime",
                given.correspondent_lifetime.map(|v| v.span),
            ),
        ];
        let word = self.mode.word();
        let mut refuse = |keys: &[(&str, Option<crate::Span>)], right: &str| {
            for (key, span) in keys {
                if let Some(span) = span {
                    let message = format!(
                        "`{path}.{key}`: means nothing with `mobility: {word}`; write {right}, or \
                         remove it"
                    );
                    r.problem(*span, message);
                }
            }
        };
        if self.mode != Mode::Hierarchical {
            refuse(&hierarchical, "`mobility: hmipv6`");
        }
        let on = or(given.route_optimization, false);
        match self.mode {
            Mode::RouteOptimization => {}
            Mode::Hierarchical if on => {}
            Mode::Hierarchical => refuse(&of_correspondents, "`route_optimization: true`"),
            Mode::Tunnel => refuse(&of_correspondents, "`mobility: mipv6-ro`"),
        }
    }

    /// A home address is one of the home prefix.
    fn check_home_address(&self, r: &mut Resolver<'_>, path: &str, prefix: Option<Ipv6Net>) {
        let (Some(given), Some(prefix)) = (self.settings.home_address, prefix) else {
            return;
        };
        let wrong = match prefix.contains(&given.value) {
            false => format!("is not in the home agent's prefix, {prefix}; give one of it"),
            true if given.value == agent::own_address(prefix) => {
                format!("is the home agent's own; give another one of {prefix}")
            }
            true => return,
        };
        let message = format!(
            "`{path}.home_address`: `{}` {wrong}, or leave it out",
            given.value
        );
        r.problem(given.span, message);
    }

    /// The node that it registers with: the one that is named, or the only one.
    fn peer<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        wanted: &Wanted,
        named: Option<&At<String>>,
    ) -> Option<&'t str> {
        let path = format!("{}.mipv6.{}", context.path, wanted.key);
        if let Some(name) = named {
            let fits = |node: &Node| node.runs(wanted.is);
            return Some(r.named(&path, name, wanted.article, fits)?.0);
        }
        let all: Vec<&'t str> = r.running(wanted.is).collect();
        let message = match all.as_slice() {
            [only] => return Some(only),
            [] if !r.faults.nodes_known() => return None,
            [] => format!(
                "`{}` needs {} for `mobility: {}`, and there is none; add one, `{}`",
                context.path,
                wanted.article,
                self.mode.word(),
                wanted.example
            ),
            several => format!(
                "`{path}` is missing: there are several; name {}",
                alternatives(several.iter().copied())
            ),
        };
        r.problem(r.span_of(context.name), message);
        None
    }

    fn route_optimization(
        &self,
        r: &mut Resolver<'_>,
        path: &str,
        optimizes: bool,
    ) -> Option<RouteOptimizationPlan> {
        let given = &self.settings;
        optimizes.then(|| RouteOptimizationPlan {
            order: or(given.return_routability, Order::Parallel),
            start: or(given.start, Start::WithHomeBu),
            reuse_home_token: or(given.reuse_home_token, false),
            acknowledge: or(given.acknowledge, true),
            lifetime: lifetime(
                r,
                &format!("{path}.correspondent_lifetime"),
                given.correspondent_lifetime,
                MAX_RR_BINDING_S,
                MAX_RR_BINDING_S,
            ),
        })
    }
}

/// The node of a kind that is named, or the first one.
fn known<'t>(
    r: &Resolver<'t>,
    is: fn(&ServiceTable) -> bool,
    named: Option<&At<String>>,
) -> Option<&'t str> {
    let mut all = r.running(is);
    match named {
        Some(named) => all.find(|name| **name == *named.value),
        None => all.next(),
    }
}

/// The nodes that register with the home agent or mobility anchor point `name`.
fn registering<'t>(r: &Resolver<'t>, name: &str) -> Vec<&'t str> {
    let nodes = r.hosts().filter_map(|(node, of, _)| match &of.mobility {
        Mobility::Mip6(given) => Some((node, given)),
        _ => None,
    });
    let there =
        nodes.filter(|(_, given)| given.home(r) == Some(name) || given.anchors(r).contains(&name));
    there.map(|(node, _)| node).collect()
}

/// With whom a node registers.
struct Wanted {
    key: &'static str,
    is: fn(&ServiceTable) -> bool,
    article: &'static str,
    example: &'static str,
}

const HOME_AGENT: Wanted = Wanted {
    key: "home_agent",
    is: agent::is_home_agent,
    article: "a home-agent",
    example: "ha: { role: home-agent }",
};

const MAP: Wanted = Wanted {
    key: "map",
    is: agent::is_map,
    article: "a map",
    example: "map: { role: map }",
};

/// The longest lifetime that a Binding Update can have: 16 bits of 4 s (RFC 6275 §6.1.7).
const MAX_S: u64 = 4 * u16::MAX as u64;
/// MAX_RR_BINDING_LIFETIME (RFC 6275 §12).
const MAX_RR_BINDING_S: u64 = 420;

/// A lifetime in units of 4 s, of at most `most` seconds.
fn lifetime(
    r: &mut Resolver<'_>,
    path: &str,
    given: Option<At<Duration>>,
    default: u64,
    most: u64,
) -> Duration {
    let right = format!("a whole multiple of 4 s from 4 s to {most} s (RFC 6275 §6.1.7)");
    let holds = |value: Duration| in_seconds(value, 4, most) && value.as_secs().is_multiple_of(4);
    r.duration(path, given, s(default), holds, &right)
}

/// Who takes up Mobility Headers is on the backbone, and takes them all: two on one node would not
/// know whose is whose. `own` is which of them it is.
fn alone_on_the_backbone(
    r: &mut Resolver<'_>,
    context: &Context<'_, '_>,
    path: &str,
    own: fn(&ServiceTable) -> bool,
) {
    if context.node.has_radio() {
        let message = format!("`{path}`: it runs on the backbone only; put it on a wired node");
        r.problem(r.span_of(context.name), message);
    }
    let kinds: [fn(&ServiceTable) -> bool; 4] = [
        agent::is_home_agent,
        agent::is_map,
        proxy::anchor::is_lma,
        correspondent::is_correspondent,
    ];
    let services = context.node.services.iter();
    let mut first = services.filter(|service| kinds.iter().any(|is| is(&service.table)));
    // Said by the first.
    let is_first = first.next().is_some_and(|first| own(&first.table));
    if is_first && first.next().is_some() {
        let message = format!(
            "`{}`: only one of its services can take Mobility Headers; put them on two nodes",
            context.path
        );
        r.problem(r.span_of(context.name), message);
    }
}

/// The addresses of those who ask `context`'s node, and can be told where it is.
fn correspondents<'t>(r: &Resolver<'t>, context: &Context<'_, 't>) -> Vec<Ipv6Addr> {
    let able: BTreeSet<&str> = r.running(correspondent::is_correspondent).collect();
    let asking = able.into_iter().filter(|name| r.asks(name, context.name));
    asking
        .map(|name| context.network.address_of(name))
        .collect()
}

/// A node with a home address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Which protocol of the family it is.
    pub mode: Mode,
    /// Its home address.
    pub home_address: Ipv6Addr,
    /// The address of its home agent.
    pub home_agent: Ipv6Addr,
    /// The prefix of its home link, which there is no more of than this.
    pub home_prefix: Ipv6Net,
    /// Lifetime of its bindings at home agent and mobility anchor point, a multiple of 4 s.
    #[serde(with = "duration")]
    pub lifetime: Duration,
    /// How correspondents are told; absent: they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_optimization: Option<RouteOptimizationPlan>,
    /// Nodes that ask this one and can be told where it is, by the addresses that they ask from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub correspondents: Vec<Ipv6Addr>,
    /// The mobility anchor points that it registers with where a router advertises them; of `hmipv6`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<AnchorPlan>,
}

/// How correspondents are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteOptimizationPlan {
    /// In which order the tests run.
    pub order: Order,
    /// When they begin.
    pub start: Start,
    /// Whether a home keygen token is used again while it is young enough.
    pub reuse_home_token: bool,
    /// A: whether an acknowledgement is asked for.
    pub acknowledge: bool,
    /// Lifetime of a binding, a multiple of 4 s.
    #[serde(with = "duration")]
    pub lifetime: Duration,
}

/// A mobility anchor point, and the node's address there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorPlan {
    /// Its address, which is one of the prefix: of the option that edge routers advertise the regional
    /// address is formed (RFC 5380 §5).
    pub address: Ipv6Addr,
    /// The prefix of regional care-of addresses.
    pub prefix: Ipv6Net,
    /// The node's regional care-of address (RCoA).
    pub regional_address: Ipv6Addr,
}

/// The shortest MTU of a link (RFC 8200 §5), over which a tunnel does not go: Linux lets its packets
/// be no longer and does not fragment them.
const MTU: u64 = 1280;
/// What a tunnel adds (RFC 2473).
const TUNNEL: u64 = 40;

/// Bytes of the longest IPv6 packet of a request, if bodies are in blocks of at most `block`.
fn longest_packet(poll: &PollPlan, block: u64) -> u64 {
    // Headers of IPv6, UDP and CoAP, with its token, the payload marker and the Block option.
    let headers = 40 + 8 + 4 + 8 + 1 + 4;
    // Option headers have up to five bytes (RFC 7252 §3.1).
    let options = poll.options.iter().map(|option| option.value.0.len());
    let options = options.chain(poll.query.iter().map(String::len));
    let options: usize = options.chain([poll.path.len()]).map(|n| n + 5).sum();
    let payload = poll.payload.as_ref().map_or(0, |payload| payload.0.len());
    headers + options as u64 + (payload as u64).min(block)
}

impl Plan {
    /// Bytes of the longest packet that reaches the node.
    fn room(&self) -> u64 {
        let tunnels = 1 + u64::from(!self.maps.is_empty());
        MTU - tunnels * TUNNEL
    }
}

impl MobilityFacts for Plan {
    fn word(&self) -> &'static str {
        self.mode.word()
    }

    fn needs_others(&self) -> bool {
        true
    }

    fn kernel_modules(&self) -> &'static [&'static str] {
        KERNEL_MODULES
    }

    fn describe(&self) -> Vec<String> {
        let mode = match self.mode {
            Mode::Tunnel => "Mobile IPv6, tunnel",
            Mode::RouteOptimization => "Mobile IPv6, route optimization",
            Mode::Hierarchical => "Hierarchical Mobile IPv6",
        };
        vec![mode.into(), format!("home {}", self.home_address)]
    }

    fn warnings(&self, name: &str, plan: &plan::Plan) -> Vec<String> {
        let asking = plan.nodes.iter().flat_map(|(client, node)| {
            let polls = node.polls().filter(|poll| poll.node == name);
            polls.map(move |poll| (client.as_str(), node, poll))
        });
        let mut warnings = BTreeSet::new();
        if self.mode == Mode::Hierarchical && !self.finds_one(name, plan) {
            let message = "no edge router that it may come to is below a mobility anchor point of \
                           its, so that it registers with its home agent alone; name one in \
                           `routers` of a `map`";
            warnings.insert(message.to_owned());
        }
        for (client, node, poll) in asking {
            if self.route_optimization.is_some() && !correspondent::runs_on(node) {
                warnings.insert(format!(
                    "`{client}` asks it and is no correspondent, so that all goes through the home \
                     agent; give `{client}` `services: [{{ correspondent: {{}} }}]`"
                ));
            }
            let block = node.coap.as_ref().map_or(0, |coap| coap.block_size.0);
            let (longest, room) = (longest_packet(poll, block), self.room());
            if longest > room {
                warnings.insert(format!(
                    "`{client}` asks it for {} in packets of {longest} B, and what is longer than \
                     {room} B gets through no tunnel; make options, payload or `coap.block_size` \
                     shorter",
                    poll.path
                ));
            }
        }
        warnings.into_iter().collect()
    }

    fn tells_address() -> bool {
        true
    }

    fn address_key() -> Option<&'static str> {
        Some("mipv6.home_address")
    }
}
