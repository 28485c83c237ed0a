//! Handovers as the nodes' event logs tell them, and the addresses that nodes had.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use rundir::event::SCENARIO;
use rundir::{BindingEvent, Event, EventKind, HandoverEvent, Phase};
use serde::{Deserialize, Serialize};
use topology::Plan;
use topology::plan::NodeName;
use units::SimTime;

use crate::calls::by_frequency;
use crate::phases::ByPhase;
use crate::result::Scenario;

/// A handover by a node's own account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeHandover {
    /// The node that moved.
    pub node: NodeName,
    /// Its own count of handovers, from 1.
    pub number: u32,
    /// The trigger fired; absent if the log does not say.
    pub started: Option<SimTime>,
    /// The edge router left.
    pub from: Option<NodeName>,
    /// The binding was acknowledged.
    pub completed: Option<SimTime>,
    /// The edge router arrived at.
    pub to: Option<NodeName>,
    /// The new temporary address.
    pub t_addr: Option<Ipv6Addr>,
    /// When the node gave it up, and why.
    pub failed: Option<(SimTime, String)>,
    /// What keeps it from its end, as the DHCPv6 server said.
    pub unserved: Option<String>,
    /// The completed spans of each phase: one that is tried again has several.
    pub spans: ByPhase<Vec<(SimTime, SimTime)>>,
    pub(crate) open: ByPhase<SimTime>,
}

impl NodeHandover {
    /// How long each phase took: the sum of its spans.
    pub(crate) fn phases(&self) -> ByPhase<Duration> {
        let length = |(start, end): &(SimTime, SimTime)| end.saturating_since(*start);
        let sum =
            |(phase, spans): (&Phase, &Vec<_>)| (phase.clone(), spans.iter().map(length).sum());
        self.spans.iter().map(sum).collect()
    }
}

/// All handovers of all nodes, in the order of their beginnings. One without a start is a
/// trigger that was called off.
pub fn handovers(events: &[Event]) -> Vec<NodeHandover> {
    let mut handovers: Vec<NodeHandover> = Vec::new();
    for event in events {
        let of_handover = match &event.kind {
            EventKind::Handover(of_handover) => of_handover,
            EventKind::Unserved { reason } => {
                let last = handovers.iter_mut().rfind(|h| h.node == event.node);
                let open = last.filter(|h| h.completed.is_none() && h.failed.is_none());
                if let Some(handover) = open {
                    handover.unserved = Some(reason.clone());
                }
                continue;
            }
            _ => continue,
        };
        let time = SimTime::from_nanos(event.time_ns);
        let mut record = |number, begins: fn(&NodeHandover) -> bool| {
            record(&mut handovers, &event.node, number, begins)
        };
        match of_handover {
            HandoverEvent::Started { handover, from, .. } => {
                let at = record(*handover, |h| h.started.is_some());
                handovers[at].started = Some(time);
                handovers[at].from = Some(from.clone());
            }
            HandoverEvent::PhaseStarted { handover, phase } => {
                // The trigger is the first phase, and comes before the start.
                let is_first = *phase == Phase::TRIGGER;
                let begins: fn(&NodeHandover) -> bool = match is_first {
                    true => |h| h.started.is_some(),
                    false => |_| false,
                };
                let at = record(*handover, begins);
                if is_first {
                    // One before it with the same number was called off.
                    handovers[at].spans.remove(phase);
                }
                *handovers[at].open.entry(phase) = time;
            }
            HandoverEvent::PhaseEnded { handover, phase } => {
                let at = record(*handover, |_| false);
                if let Some(start) = handovers[at].open.remove(phase) {
                    let spans = &mut handovers[at].spans;
                    spans.entry(phase).push((start, time));
                    spans.sort_by_key(|spans| spans.first().copied().map(|(start, _)| start));
                }
            }
            HandoverEvent::Completed {
                handover,
                to,
                t_addr,
            } => {
                let at = record(*handover, |h| h.completed.is_some());
                handovers[at].completed = Some(time);
                handovers[at].to = Some(to.clone());
                handovers[at].t_addr = Some(*t_addr);
            }
            HandoverEvent::Failed { handover, reason } => {
                let at = record(*handover, |h| h.failed.is_some());
                handovers[at].failed = Some((time, reason.clone()));
            }
        }
    }
    handovers
}

/// A handover that a node began and did not complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GivenUp {
    /// The node.
    pub node: NodeName,
    /// Its own number of the handover.
    pub number: u32,
    /// The edge router left.
    pub from: Option<NodeName>,
    /// When the trigger fired; null if the log does not say.
    pub started_s: Option<f64>,
    /// When it was given up; null if the run ended first.
    pub ended_s: Option<f64>,
    /// Why, in the node's words.
    pub reason: String,
}

/// Why a handover did not complete of which the log has no end.
const RUN_ENDED: &str = "no end in the events";

/// The handovers that were begun and not completed, in the order of their ends.
pub(crate) fn given_up(records: &[NodeHandover], scenario: &Scenario) -> Vec<GivenUp> {
    let begun = |r: &&NodeHandover| r.started.is_some() || r.failed.is_some();
    let mut open: Vec<&NodeHandover> = (records.iter().filter(begun))
        .filter(|r| r.completed.is_none())
        .collect();
    let end = |r: &NodeHandover| r.failed.as_ref().map(|(time, _)| *time);
    open.sort_by_key(|r| (end(r).is_none(), end(r)));
    let told = |r: &NodeHandover| GivenUp {
        node: r.node.clone(),
        number: r.number,
        from: r.from.clone(),
        started_s: r.started.map(|time| scenario.seconds(time)),
        ended_s: end(r).map(|time| scenario.seconds(time)),
        reason: match (&r.failed, &r.unserved) {
            (Some((_, reason)), _) => reason.clone(),
            (None, Some(unserved)) => format!("{RUN_ENDED}: {unserved}"),
            (None, None) => RUN_ENDED.into(),
        },
    };
    open.into_iter().map(told).collect()
}

/// `46 handovers given up: 41 er2 lost, 5 no better router heard`.
pub fn given_up_text(given_up: &[GivenUp]) -> Option<String> {
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for one in given_up {
        *reasons.entry(one.reason.clone()).or_default() += 1;
    }
    let count = given_up.len();
    let handovers = if count == 1 { "handover" } else { "handovers" };
    (count > 0).then(|| format!("{count} {handovers} given up: {}", by_frequency(&reasons)))
}

/// Index of the handover `number` of `node`: the latest, or a new one if there is none or
/// `begins` says of it that the event begins another. A daemon that was started again counts
/// from 1 again.
fn record(
    handovers: &mut Vec<NodeHandover>,
    node: &str,
    number: u32,
    begins: fn(&NodeHandover) -> bool,
) -> usize {
    let same = |h: &NodeHandover| h.node == node && h.number == number;
    match handovers.iter().rposition(same) {
        Some(at) if !begins(&handovers[at]) => at,
        _ => {
            handovers.push(NodeHandover {
                node: node.into(),
                number,
                ..NodeHandover::default()
            });
            handovers.len() - 1
        }
    }
}

/// Unix time of scenario time 0, if the log has it.
pub fn scenario_start(events: &[Event]) -> Option<SimTime> {
    let started = |e: &&Event| e.kind == EventKind::ScenarioStarted;
    let event = events.iter().find(started)?;
    Some(SimTime::from_nanos(event.time_ns))
}

/// Every address that a node had which has a radio or serves something, from the plan and the
/// events; and, as notes, the addresses that two nodes had.
pub(crate) fn addresses(
    plan: &Plan,
    events: &[Event],
) -> (BTreeMap<IpAddr, NodeName>, Vec<String>) {
    let mut addresses: BTreeMap<IpAddr, NodeName> = BTreeMap::new();
    let mut notes = Vec::new();
    for (name, node) in &plan.nodes {
        if node.host.is_some() || node.paths().next().is_some() {
            addresses.insert(node.address.into(), name.clone());
        }
    }
    let permanent = addresses.clone();
    // Where a node is may be said by the address of the router that it is at (RFC 5213's Proxy-CoA).
    let routers = plan.nodes.values().filter(|node| node.is_router());
    let routers = routers.filter_map(|node| node.backbone.as_ref());
    let routers: BTreeSet<Ipv6Addr> = routers.map(|eth| eth.address.addr()).collect();
    for event in events {
        let of_p_addr = |p_addr: &Ipv6Addr| permanent.get(&IpAddr::V6(*p_addr)).cloned();
        let (node, address) = match &event.kind {
            EventKind::Binding(
                BindingEvent::Registered { p_addr, t_addr }
                | BindingEvent::Changed { p_addr, t_addr, .. },
            ) => (of_p_addr(p_addr), t_addr),
            EventKind::Handover(HandoverEvent::Completed { t_addr, .. }) => {
                (Some(event.node.clone()), t_addr)
            }
            EventKind::Leased { address } => (Some(event.node.clone()), address),
            _ => continue,
        };
        if routers.contains(address) {
            continue;
        }
        // The DHCPv6 server reports its leases, too.
        let Some(node) = node.filter(|n| permanent.values().any(|p| p == n)) else {
            continue;
        };
        let first = addresses
            .entry(IpAddr::V6(*address))
            .or_insert_with(|| node.clone());
        let note = format!("{address} belonged to {first} and to {node}: its traffic is {first}'s");
        if *first != node && !notes.contains(&note) {
            notes.push(note);
        }
    }
    (addresses, notes)
}

/// What the captures are marked with: the scenario and everything about mobility. Not the
/// requests that failed, of which there may be thousands, nor readiness, nor what radios used.
pub(crate) fn marks(events: &[Event]) -> Vec<capture::Mark> {
    let marks = events.iter().filter_map(|event| {
        let what = describe(&event.kind)?;
        let text = if event.node == SCENARIO {
            what
        } else {
            format!("{}: {what}", event.node)
        };
        Some(capture::Mark {
            time: SimTime::from_nanos(event.time_ns),
            text,
        })
    });
    marks.collect()
}

fn describe(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::ScenarioStarted => "scenario started".into(),
        EventKind::ScenarioStep { what } => what.clone(),
        EventKind::ScenarioEnded => "scenario ended".into(),
        EventKind::Handover(event) => describe_handover(event),
        EventKind::Binding(event) => describe_binding(event),
        EventKind::Leased { address } => format!("leased {address}"),
        EventKind::Unserved { reason } => format!("no address: {reason}"),
        EventKind::SleepStarted {
            period_s,
            announced,
        } => {
            let told = if *announced { "" } else { ", nobody told" };
            format!("asleep for {period_s} s{told}")
        }
        EventKind::SleepEnded { early } => match early {
            true => "awake, early".into(),
            false => "awake".into(),
        },
        EventKind::Tuned { channel, pan_id } => format!("on channel {channel}, PAN {pan_id}"),
        _ => return None,
    })
}

fn describe_handover(event: &HandoverEvent) -> String {
    match event {
        HandoverEvent::Started {
            handover,
            from,
            reason,
        } => format!("handover {handover} started, from {from} ({reason})"),
        HandoverEvent::PhaseStarted { handover, phase } => {
            format!("handover {handover}: {} started", phase.name())
        }
        HandoverEvent::PhaseEnded { handover, phase } => {
            format!("handover {handover}: {} ended", phase.name())
        }
        HandoverEvent::Completed {
            handover,
            to,
            t_addr,
        } => format!("handover {handover} completed, at {to} as {t_addr}"),
        HandoverEvent::Failed { handover, reason } => {
            format!("handover {handover} failed: {reason}")
        }
    }
}

fn describe_binding(event: &BindingEvent) -> String {
    match event {
        BindingEvent::Registered { p_addr, t_addr } => format!("{p_addr} registered at {t_addr}"),
        BindingEvent::Changed {
            p_addr,
            t_addr,
            held,
        } => {
            let hold = if *held { ", on hold" } else { "" };
            format!("{p_addr} is at {t_addr}{hold}")
        }
        BindingEvent::Removed { p_addr, reason } => {
            format!("binding of {p_addr} removed: {reason}")
        }
        BindingEvent::Resumed { p_addr, queued } => {
            format!("resumed {p_addr}, {queued} requests were kept back")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rundir::event::Reason;

    fn event(ms: u64, node: &str, kind: EventKind) -> Event {
        Event {
            time_ns: ms * 1_000_000,
            node: node.into(),
            kind,
        }
    }

    fn started(handover: u32, from: &str) -> EventKind {
        EventKind::Handover(HandoverEvent::Started {
            handover,
            from: from.into(),
            reason: Reason::Signal,
        })
    }

    fn completed(handover: u32, to: &str, t_addr: &str) -> EventKind {
        EventKind::Handover(HandoverEvent::Completed {
            handover,
            to: to.into(),
            t_addr: t_addr.parse().unwrap(),
        })
    }

    fn phase(handover: u32, phase: Phase, starts: bool) -> EventKind {
        EventKind::Handover(match starts {
            true => HandoverEvent::PhaseStarted { handover, phase },
            false => HandoverEvent::PhaseEnded { handover, phase },
        })
    }

    #[test]
    fn phases_before_and_after_the_start_belong_to_the_handover() {
        let handovers = handovers(&[
            event(10, "sensor", phase(1, Phase::TRIGGER, true)),
            event(30, "sensor", phase(1, Phase::TRIGGER, false)),
            event(30, "sensor", started(1, "er1")),
            event(30, "sensor", phase(1, Phase::LINK, true)),
            event(35, "sensor", phase(1, Phase::LINK, false)),
            event(90, "sensor", completed(1, "er2", "2001:db8:2::5")),
            event(90, "sensor", phase(1, Phase::RESUME, true)),
        ]);
        assert_eq!(handovers.len(), 1);
        assert_eq!(handovers[0].from.as_deref(), Some("er1"));
        assert_eq!(handovers[0].to.as_deref(), Some("er2"));
        let ms = Duration::from_millis;
        let phases = ByPhase::from_iter([(Phase::TRIGGER, ms(20)), (Phase::LINK, ms(5))]);
        assert_eq!(
            handovers[0].phases(),
            phases,
            "a phase without end is left out"
        );
    }

    #[test]
    fn a_phase_that_is_tried_again_adds_up() {
        let handovers = handovers(&[
            event(0, "sensor", started(1, "er1")),
            event(0, "sensor", phase(1, Phase::BINDING, true)),
            event(7, "sensor", phase(1, Phase::BINDING, false)),
            event(10, "sensor", phase(1, Phase::BINDING, true)),
            event(12, "sensor", phase(1, Phase::BINDING, false)),
        ]);
        assert_eq!(
            handovers[0].phases().get(&Phase::BINDING),
            Some(&Duration::from_millis(9))
        );
        assert_eq!(handovers[0].completed, None);
    }

    #[test]
    fn phases_that_overlap_are_in_the_order_in_which_they_began() {
        let named = Phase::named;
        let handovers = handovers(&[
            event(0, "sensor", started(1, "er1")),
            event(5, "sensor", phase(1, named("map_registration"), true)),
            event(5, "sensor", phase(1, named("home_registration"), true)),
            event(6, "sensor", phase(1, named("return_routability"), true)),
            event(7, "sensor", phase(1, named("return_routability"), false)),
            event(8, "sensor", phase(1, named("home_registration"), false)),
            event(9, "sensor", phase(1, named("map_registration"), false)),
        ]);
        let phases = handovers[0].phases();
        let names: Vec<&str> = phases.phases().map(Phase::name).collect();
        assert_eq!(
            names,
            [
                "home_registration",
                "map_registration",
                "return_routability"
            ],
            "of the two that began at once the one that ended first"
        );
    }

    #[test]
    fn a_trigger_that_was_called_off_does_not_count() {
        let handovers = handovers(&[
            event(0, "sensor", phase(1, Phase::TRIGGER, true)),
            event(50, "sensor", phase(1, Phase::TRIGGER, false)),
            event(60, "sensor", phase(1, Phase::TRIGGER, true)),
            event(80, "sensor", phase(1, Phase::TRIGGER, false)),
            event(80, "sensor", started(1, "er1")),
        ]);
        assert_eq!(handovers.len(), 1);
        let phases = handovers[0].phases();
        let trigger = phases.get(&Phase::TRIGGER);
        assert_eq!(trigger, Some(&Duration::from_millis(20)));
    }

    #[test]
    fn what_did_not_complete_is_told_with_its_reason_and_summed_up_in_a_line() {
        let failed = |handover, reason: &str| {
            EventKind::Handover(HandoverEvent::Failed {
                handover,
                reason: reason.into(),
            })
        };
        let unserved = |reason: &str| EventKind::Unserved {
            reason: reason.into(),
        };
        let records = handovers(&[
            event(0, "sensor", started(1, "er1")),
            event(9, "sensor", failed(1, "no better router heard")),
            event(20, "sensor", started(2, "er1")),
            event(29, "sensor", completed(2, "er2", "2001:db8:2::5")),
            event(30, "walker", started(1, "er1")),
            event(31, "late", unserved("before it")),
            event(32, "late", started(1, "er1")),
            event(
                33,
                "late",
                unserved("Solicit refused with NoAddrsAvail: none"),
            ),
            event(35, "sensor", started(3, "er2")),
            event(36, "sensor", failed(3, "er1 lost")),
            event(37, "sensor", started(4, "er2")),
            event(38, "sensor", failed(4, "er1 lost")),
        ]);
        let scenario = Scenario {
            start_unix_ns: 0,
            duration_s: 1.0,
        };
        let told = given_up(&records, &scenario);
        let seen: Vec<_> = told
            .iter()
            .map(|h| (h.node.as_str(), h.number, h.ended_s, h.reason.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("sensor", 1, Some(0.009), "no better router heard"),
                ("sensor", 3, Some(0.036), "er1 lost"),
                ("sensor", 4, Some(0.038), "er1 lost"),
                ("walker", 1, None, "no end in the events"),
                (
                    "late",
                    1,
                    None,
                    "no end in the events: Solicit refused with NoAddrsAvail: none"
                ),
            ]
        );
        assert_eq!(
            given_up_text(&told).as_deref(),
            Some(
                "5 handovers given up: 2 er1 lost, 1 no better router heard, 1 no end in the events, \
                 1 no end in the events: Solicit refused with NoAddrsAvail: none"
            )
        );
        assert_eq!(given_up_text(&[]), None);
    }

    #[test]
    fn a_restarted_node_that_counts_from_1_again_is_not_confused_with_its_former_self() {
        let handovers = handovers(&[
            event(0, "sensor", started(1, "er1")),
            event(9, "sensor", completed(1, "er2", "2001:db8:2::5")),
            event(20, "sensor", phase(1, Phase::TRIGGER, true)),
            event(21, "sensor", started(1, "er2")),
            event(29, "sensor", completed(1, "er1", "2001:db8:1::5")),
            event(30, "other", started(1, "er1")),
        ]);
        let seen: Vec<_> = handovers
            .iter()
            .map(|h| (h.node.as_str(), h.from.as_deref(), h.to.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [
                ("sensor", Some("er1"), Some("er2")),
                ("sensor", Some("er2"), Some("er1")),
                ("other", Some("er1"), None),
            ]
        );
    }

    #[test]
    fn marks_tell_what_happened_and_where() {
        let marks = marks(&[
            event(1, SCENARIO, EventKind::ScenarioStarted),
            event(1, "client", EventKind::Ready),
            event(2, "sensor", started(1, "er1")),
            event(
                3,
                "sensor",
                EventKind::Tuned {
                    channel: 20.try_into().unwrap(),
                    pan_id: units::PanId(2),
                },
            ),
        ]);
        let texts: Vec<_> = marks.iter().map(|m| m.text.as_str()).collect();
        let expected = [
            "scenario started",
            "sensor: handover 1 started, from er1 (signal)",
            "sensor: on channel 20, PAN 0x0002",
        ];
        assert_eq!(texts, expected);
    }
}
