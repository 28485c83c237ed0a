//! CoMP and CoMM as a node's mobility: whom it registers at, and whom it tells when it moves.

pub mod wmms;

use std::net::Ipv6Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::{Mobility, MobilityFacts, NO_MOBILITY, Node, Protocol, ServiceTable};
use crate::decode::{At, Block, Decoder};
use crate::diagnostic::{Span, alternatives};
use crate::plan::AddressMode;
use crate::resolve::identity::Network;
use crate::resolve::timers::{in_seconds, s};
use crate::resolve::{Context, NO_ADDRESS, Resolver, or};
use crate::scalar::words;

/// A node is found through its WMMS: whoever asks it speaks CoMP.
pub(super) const LOCATED: bool = true;

/// CoMP's own resource.
pub(super) const PATH: &str = "/comp";

tables! {
    /// CoMP, and CoMM: how a node is reached.
    pub struct Reached {
        /// P_Addr, its permanent identifier; default of a node with a radio its SLAAC address at the
        /// router that it starts at, of a wired one its address on the backbone.
        pub p_addr: Option<At<Ipv6Addr>>,
        /// The WMMS that it registers at; default the only one there is.
        pub wmms: Option<At<String>>,
        /// Lifetime of its registration and bindings; whole seconds from 1 s to 65535 s; default
        /// 600 s.
        pub lifetime: Option<At<Duration>>,
        /// Requests kept back while a node that it asks is on hold, or it is itself.
        pub hold_queue: Option<HoldQueue>,
    }

    /// CoMP, and CoMM: who hears of a handover.
    pub struct Handed {
        /// Whether the correspondents are put on hold first; default true, with `binding: nobody`
        /// false.
        pub hold: Option<At<bool>>,
        /// Who updates the correspondents: `direct` the node, `relayed` the WMMS, `nobody` none of
        /// them: a client that gets no answer asks the WMMS again; default `direct`.
        pub binding: Option<At<BindingMode>>,
    }

    /// CoMP, and CoMM: how a node is reached, and who hears of a handover.
    pub struct Settings {
        with reached: Reached,
        with handed: Handed,
    }

    /// Bounds of the hold queue.
    pub struct HoldQueue {
        /// Requests kept per node: one more fails at once; at least 1; default 1000.
        pub capacity: Option<At<u32>>,
        /// Longest wait of a request, then it fails; over 0 s; default 10 s.
        pub timeout: Option<At<Duration>>,
    }
}

/// The settings as the file has them.
#[derive(Clone, Debug)]
pub struct Given {
    /// Where the keys of `reached` stand in the node's table: nothing, or `comp.`.
    reached_path: &'static str,
    reached: Reached,
    /// Where the keys of `handed` stand: `handover.`, or `comp.`.
    handed_path: &'static str,
    handed: Handed,
}

impl Given {
    /// Settings that stand among a shorthand's own keys.
    pub(crate) fn inline(reached: Reached, handed: Option<Handed>) -> Given {
        Given {
            reached_path: "",
            reached,
            handed_path: "handover.",
            handed: handed.unwrap_or(Handed {
                hold: None,
                binding: None,
            }),
        }
    }

    /// Every default.
    fn nothing() -> Given {
        let reached = Reached {
            p_addr: None,
            wmms: None,
            lifetime: None,
            hold_queue: None,
        };
        Given::inline(reached, None)
    }

    /// The settings of a node: those of its table `comp`, or those among its keys, but not both.
    pub(super) fn of(
        _: Protocol,
        table: Option<Block<Settings>>,
        inline: Option<Given>,
        d: &mut Decoder,
    ) -> Given {
        let Some(Block { table, .. }) = table else {
            return inline.unwrap_or_else(Given::nothing);
        };
        for (key, span) in inline.iter().flat_map(Given::keys) {
            d.report(
                span,
                format!("`{key}` stands beside `comp`; write it there"),
            );
        }
        Given {
            reached_path: "comp.",
            reached: table.reached,
            handed_path: "comp.",
            handed: table.handed,
        }
    }

    /// The keys that are given, by their paths in the node's table, and where.
    pub(super) fn keys(&self) -> Vec<(String, Span)> {
        let (reached, handed) = (&self.reached, &self.handed);
        let queue = reached.hold_queue.as_ref();
        let queue = queue.and_then(HoldQueue::span);
        let keys = [
            (self.reached_path, "p_addr", reached.p_addr.map(|v| v.span)),
            (
                self.reached_path,
                "wmms",
                reached.wmms.as_ref().map(|v| v.span),
            ),
            (
                self.reached_path,
                "lifetime",
                reached.lifetime.map(|v| v.span),
            ),
            (self.reached_path, "hold_queue", queue),
            (self.handed_path, "hold", handed.hold.map(|v| v.span)),
            (self.handed_path, "binding", handed.binding.map(|v| v.span)),
        ];
        let given = keys.into_iter();
        given
            .filter_map(|(path, key, span)| Some((format!("{path}{key}"), span?)))
            .collect()
    }

    /// The permanent address that the file gives.
    pub(super) fn address(&self) -> Option<At<Ipv6Addr>> {
        self.reached.p_addr
    }

    /// The node in whose prefix the permanent address is formed: none, it is that of its router.
    pub(super) fn home<'t>(&self, _: &Resolver<'t>) -> Option<&'t str> {
        None
    }

    /// The plan of `context`'s node.
    pub(super) fn plan<'t>(&self, r: &mut Resolver<'t>, context: &Context<'_, 't>) -> Plan {
        let path = format!("{}.{}", context.path, self.reached_path);
        Plan {
            p_addr: context.network.permanent(context.name),
            wmms: self.wmms(r, context, &path),
            lifetime: lifetime(r, &format!("{path}lifetime"), self.reached.lifetime),
            hold_queue: self.hold_queue(r, context, &path),
            handover: self.handover(r, context),
        }
    }

    /// Address of the WMMS that the node registers at.
    fn wmms<'t>(&self, r: &mut Resolver<'t>, context: &Context<'_, 't>, path: &str) -> Ipv6Addr {
        let path = format!("{path}wmms");
        if let Some(given) = &self.reached.wmms {
            let found = r.named(&path, given, "a wmms", |node| node.runs(is_wmms));
            return found.map_or(NO_ADDRESS, |(wmms, _)| context.network.address_of(wmms));
        }
        let all: Vec<&str> = r.running(is_wmms).collect();
        let message = match all.as_slice() {
            [only] => return context.network.address_of(only),
            [] if !r.faults.nodes_known() => return NO_ADDRESS,
            [] => format!(
                "`{}` needs a wmms to register at, and there is none; add one, \
                 `wmms: {{ role: wmms }}`",
                context.path
            ),
            several => format!(
                "`{path}` is missing: there are several; name {}",
                alternatives(several.iter().copied())
            ),
        };
        r.problem(r.span_of(context.name), message);
        NO_ADDRESS
    }

    /// Bounds of what is kept back; none for a node with a radio that asks nobody.
    fn hold_queue(
        &self,
        r: &mut Resolver<'_>,
        context: &Context<'_, '_>,
        path: &str,
    ) -> Option<HoldQueuePlan> {
        let given = self.reached.hold_queue.as_ref();
        let queue = HoldQueuePlan {
            capacity: r.at_least_one(
                &format!("{path}hold_queue.capacity"),
                given.and_then(|q| q.capacity),
                1000,
            ),
            timeout: r.positive(
                &format!("{path}hold_queue.timeout"),
                given.and_then(|q| q.timeout),
                s(10),
            ),
        };
        let asks = context.node.asks() || context.node.host().is_none();
        if let Some(span) = given.and_then(HoldQueue::span).filter(|_| !asks) {
            let message = format!(
                "`{path}hold_queue`: without `polls` there is nothing to keep back; add `polls`, \
                 or remove it"
            );
            r.problem(span, message);
        }
        asks.then_some(queue)
    }

    fn handover(&self, r: &mut Resolver<'_>, context: &Context<'_, '_>) -> Option<HandedPlan> {
        if !context.node.moves() {
            let (hold, binding) = (self.handed.hold, self.handed.binding);
            let hold = hold.map(|hold| ("hold", hold.span));
            let first = hold.or(binding.map(|binding| ("binding", binding.span)));
            if let Some((key, span)) = first {
                let message = format!(
                    "`{}.{}{key}`: is about a handover, and this node does not move; remove it",
                    context.path, self.handed_path
                );
                r.problem(span, message);
            }
            return None;
        }
        let binding = or(self.handed.binding, BindingMode::Direct);
        let tells = binding != BindingMode::Nobody;
        if let Some(hold) = self.handed.hold.filter(|hold| hold.value && !tells) {
            let message = format!(
                "`{}.{}hold`: with `binding: nobody` there is nobody to put on hold; remove one of them",
                context.path, self.handed_path
            );
            r.problem(hold.span, message);
        }
        Some(HandedPlan {
            hold: or(self.handed.hold, tells),
            binding,
        })
    }

    fn binding(&self) -> (BindingMode, Option<Span>) {
        let given = self.handed.binding;
        (or(given, BindingMode::Direct), given.map(|g| g.span))
    }
}

impl HoldQueue {
    fn span(&self) -> Option<Span> {
        let capacity = self.capacity.map(|c| c.span);
        capacity.or(self.timeout.map(|t| t.span))
    }
}

/// The lifetime of a binding or registration.
fn lifetime(r: &mut Resolver<'_>, path: &str, given: Option<At<Duration>>) -> Duration {
    // Option 2051 is a 16-bit count of seconds, and 0 deletes (comp.md).
    let right = "whole seconds from 1 s to 65535 s, as CoMP's Lifetime option holds";
    let holds = |value| in_seconds(value, 1, u64::from(u16::MAX));
    r.duration(path, given, s(600), holds, right)
}

/// Who updates the correspondents: one answer for all nodes, because the WMMS passes bindings on or
/// does not.
fn binding(r: &mut Resolver<'_>) -> BindingMode {
    let given = r.hosts().filter_map(|(name, node, radio)| {
        let moves = radio.handover.is_some();
        match &node.mobility {
            Mobility::Comp(given) if moves => Some((name, given.handed_path, given.binding())),
            _ => None,
        }
    });
    let given = given.filter(|(.., (mode, _))| *mode != BindingMode::Nobody);
    let mut all = given.collect::<Vec<_>>().into_iter();
    let Some((first, _, (mode, at))) = all.next() else {
        return BindingMode::Direct;
    };
    if let Some((other, path, (_, other_at))) = all.find(|(.., (other, _))| *other != mode) {
        let message = format!(
            "`nodes.{other}.{path}binding` differs from `nodes.{first}`'s: the WMMS \
             serves both in one way; give both the same"
        );
        r.problem(other_at.or(at).unwrap_or(r.span_of(other)), message);
    }
    mode
}

/// A node that registers at a WMMS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// P_Addr: its permanent identifier.
    pub p_addr: Ipv6Addr,
    /// Address of the WMMS.
    pub wmms: Ipv6Addr,
    /// Lifetime of its registration and bindings, whole seconds.
    #[serde(with = "duration")]
    pub lifetime: Duration,
    /// Requests kept back while a node that it asks is on hold, or it is itself; absent if it asks
    /// nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_queue: Option<HoldQueuePlan>,
    /// Who hears of a handover; absent if the node does not move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<HandedPlan>,
}

/// Who hears of a handover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandedPlan {
    /// Whether the correspondents are put on hold first.
    pub hold: bool,
    /// Who updates the correspondents.
    pub binding: BindingMode,
}

/// Bounds of the hold queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldQueuePlan {
    /// Requests kept per node; one more fails at once.
    pub capacity: u32,
    /// Longest wait of a request; then it fails.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

/// Who updates the correspondents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindingMode {
    /// The node, at once with the WMMS (CoMM §4.2).
    Direct,
    /// The WMMS (CoMM §4.1).
    Relayed,
    /// None of them: the baseline without mobility.
    Nobody,
}

words!(BindingMode, "direct" => Direct, "relayed" => Relayed, "nobody" => Nobody);

/// Whether a node without mobility is found by whoever asks the only WMMS: it moves, and everybody
/// knows the address that it has first.
fn is_in_directory(r: &Resolver<'_>, node: &Node) -> bool {
    matches!(node.mobility, Mobility::None)
        && node.moves()
        && r.address_mode(node) == AddressMode::Slaac
        && r.running(is_wmms).count() == 1
}

fn is_wmms(table: &ServiceTable) -> bool {
    matches!(table, ServiceTable::Wmms(_))
}

/// The plan of a node without mobility that a client can look up again: it says at the only WMMS where it
/// is, and nobody is told.
pub(super) fn looked_up<'t>(r: &mut Resolver<'t>, context: &Context<'_, 't>) -> Option<Plan> {
    is_in_directory(r, context.node).then(|| Plan {
        handover: Some(HandedPlan {
            hold: false,
            binding: BindingMode::Nobody,
        }),
        ..Given::nothing().plan(r, context)
    })
}

/// Whether `node` is looked up by `asker`: it may have moved.
pub(crate) fn looks_up(r: &Resolver<'_>, asker: &Node, node: &Node) -> bool {
    matches!(asker.mobility, Mobility::Comp(_)) && is_in_directory(r, node)
}

/// The nodes of which nobody is told, by their permanent addresses.
fn untold<'t>(r: &Resolver<'t>, network: &Network<'t>) -> Vec<Ipv6Addr> {
    let tells_nobody = |node: &Node| match &node.mobility {
        Mobility::None => is_in_directory(r, node),
        Mobility::Comp(given) => node.moves() && given.binding().0 == BindingMode::Nobody,
        _ => false,
    };
    let hosts = r.hosts().filter(|(_, node, _)| tells_nobody(node));
    hosts.map(|(name, ..)| network.permanent(name)).collect()
}

impl MobilityFacts for Plan {
    fn word(&self) -> &'static str {
        let handed = self.handover.as_ref();
        match handed.is_some_and(|handed| handed.binding == BindingMode::Nobody) {
            true => NO_MOBILITY,
            false => "comp",
        }
    }

    fn holds(&self) -> bool {
        self.handover.as_ref().is_some_and(|handover| handover.hold)
    }

    fn speaks_coap(&self) -> bool {
        true
    }

    fn needs_others(&self) -> bool {
        true
    }

    fn announces_sleep() -> bool {
        true
    }

    fn tells_address() -> bool {
        true
    }

    fn address_key() -> Option<&'static str> {
        Some("p_addr")
    }
}
