//! Handovers as the nodes' event logs tell them, and the addresses that nodes had.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use rundir::event::SCENARIO;
use rundir::{Event, EventKind, Phase};
use topology::Plan;
use topology::plan::NodeName;
use units::SimTime;

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
    /// The completed spans of each phase: one that is tried again has several.
    pub spans: BTreeMap<Phase, Vec<(SimTime, SimTime)>>,
    open: BTreeMap<Phase, SimTime>,
}

impl NodeHandover {
    /// How long each phase took: the sum of its spans.
    pub(crate) fn phases(&self) -> BTreeMap<Phase, Duration> {
        let length = |(start, end): &(SimTime, SimTime)| end.saturating_since(*start);
        let sum = |(phase, spans): (&Phase, &Vec<_>)| (*phase, spans.iter().map(length).sum());
        self.spans.iter().map(sum).collect()
    }
}

/// All handovers of all nodes, in the order of their beginnings. One without a start is a
/// trigger that was called off.
pub fn handovers(events: &[Event]) -> Vec<NodeHandover> {
    let mut handovers: Vec<NodeHandover> = Vec::new();
    for event in events {
        let time = SimTime::from_nanos(event.time_ns);
        let mut record = |number, begins: fn(&NodeHandover) -> bool| {
            record(&mut handovers, &event.node, number, begins)
        };
        match &event.kind {
            EventKind::HandoverStarted { handover, from, .. } => {
                let at = record(*handover, |h| h.started.is_some());
                handovers[at].started = Some(time);
                handovers[at].from = Some(from.clone());
            }
            EventKind::PhaseStarted { handover, phase } => {
                let begins: fn(&NodeHandover) -> bool = match phase {
                    // The trigger is the first phase, and comes before HandoverStarted.
                    Phase::Trigger => |h| h.started.is_some(),
                    _ => |_| false,
                };
                let at = record(*handover, begins);
                if *phase == Phase::Trigger {
                    // One before it with the same number was called off.
                    handovers[at].spans.remove(phase);
                }
                handovers[at].open.insert(*phase, time);
            }
            EventKind::PhaseEnded { handover, phase } => {
                let at = record(*handover, |_| false);
                if let Some(start) = handovers[at].open.remove(phase) {
                    let spans = handovers[at].spans.entry(*phase).or_default();
                    spans.push((start, time));
                }
            }
            EventKind::HandoverCompleted {
                handover,
                to,
                t_addr,
            } => {
                let at = record(*handover, |h| h.completed.is_some());
                handovers[at].completed = Some(time);
                handovers[at].to = Some(to.clone());
                handovers[at].t_addr = Some(*t_addr);
            }
            _ => {}
        }
    }
    handovers
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

/// Every address that a node with a radio or with resources had, from the plan and the events; and,
/// as notes, the addresses that two nodes had.
pub(crate) fn addresses(
    plan: &Plan,
    events: &[Event],
) -> (BTreeMap<IpAddr, NodeName>, Vec<String>) {
    let mut addresses: BTreeMap<IpAddr, NodeName> = BTreeMap::new();
    let mut notes = Vec::new();
    for (name, node) in &plan.nodes {
        if node.host.is_some() || node.resources().next().is_some() {
            addresses.insert(node.address.into(), name.clone());
        }
    }
    let permanent = addresses.clone();
    for event in events {
        let of_p_addr = |p_addr: &Ipv6Addr| permanent.get(&IpAddr::V6(*p_addr)).cloned();
        let (node, address) = match &event.kind {
            EventKind::Registered { p_addr, t_addr }
            | EventKind::BindingChanged { p_addr, t_addr, .. } => (of_p_addr(p_addr), t_addr),
            EventKind::HandoverCompleted { t_addr, .. } => (Some(event.node.clone()), t_addr),
            EventKind::Leased { address } => (Some(event.node.clone()), address),
            _ => continue,
        };
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
        EventKind::HandoverStarted {
            handover,
            from,
            reason,
        } => format!("handover {handover} started, from {from} ({reason})"),
        EventKind::PhaseStarted { handover, phase } => {
            format!("handover {handover}: {} started", phase.name())
        }
        EventKind::PhaseEnded { handover, phase } => {
            format!("handover {handover}: {} ended", phase.name())
        }
        EventKind::HandoverCompleted {
            handover,
            to,
            t_addr,
        } => format!("handover {handover} completed, at {to} as {t_addr}"),
        EventKind::HandoverFailed { handover, reason } => {
            format!("handover {handover} failed: {reason}")
        }
        EventKind::Registered { p_addr, t_addr } => format!("{p_addr} registered at {t_addr}"),
        EventKind::BindingChanged {
            p_addr,
            t_addr,
            held,
        } => {
            let hold = if *held { ", on hold" } else { "" };
            format!("{p_addr} is at {t_addr}{hold}")
        }
        EventKind::BindingRemoved { p_addr, reason } => {
            format!("binding of {p_addr} removed: {reason}")
        }
        EventKind::Resumed { p_addr, queued } => {
            format!("resumed {p_addr}, {queued} requests were kept back")
        }
        EventKind::Leased { address } => format!("leased {address}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn event(ms: u64, node: &str, kind: EventKind) -> Event {
        Event {
            time_ns: ms * 1_000_000,
            node: node.into(),
            kind,
        }
    }

    fn started(handover: u32, from: &str) -> EventKind {
        EventKind::HandoverStarted {
            handover,
            from: from.into(),
            reason: "signal".into(),
        }
    }

    fn completed(handover: u32, to: &str, t_addr: &str) -> EventKind {
        EventKind::HandoverCompleted {
            handover,
            to: to.into(),
            t_addr: t_addr.parse().unwrap(),
        }
    }

    fn phase(handover: u32, phase: Phase, starts: bool) -> EventKind {
        if starts {
            EventKind::PhaseStarted { handover, phase }
        } else {
            EventKind::PhaseEnded { handover, phase }
        }
    }

    #[test]
    fn phases_before_and_after_the_start_belong_to_the_handover() {
        let handovers = handovers(&[
            event(10, "sensor", phase(1, Phase::Trigger, true)),
            event(30, "sensor", phase(1, Phase::Trigger, false)),
            event(30, "sensor", started(1, "er1")),
            event(30, "sensor", phase(1, Phase::Link, true)),
            event(35, "sensor", phase(1, Phase::Link, false)),
            event(90, "sensor", completed(1, "er2", "2001:db8:2::5")),
            event(90, "sensor", phase(1, Phase::Resume, true)),
        ]);
        assert_eq!(handovers.len(), 1);
        assert_eq!(handovers[0].from.as_deref(), Some("er1"));
        assert_eq!(handovers[0].to.as_deref(), Some("er2"));
        let ms = Duration::from_millis;
        let phases = BTreeMap::from([(Phase::Trigger, ms(20)), (Phase::Link, ms(5))]);
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
            event(0, "sensor", phase(1, Phase::Binding, true)),
            event(7, "sensor", phase(1, Phase::Binding, false)),
            event(10, "sensor", phase(1, Phase::Binding, true)),
            event(12, "sensor", phase(1, Phase::Binding, false)),
        ]);
        assert_eq!(
            handovers[0].phases()[&Phase::Binding],
            Duration::from_millis(9)
        );
        assert_eq!(handovers[0].completed, None);
    }

    #[test]
    fn a_trigger_that_was_called_off_does_not_count() {
        let handovers = handovers(&[
            event(0, "sensor", phase(1, Phase::Trigger, true)),
            event(50, "sensor", phase(1, Phase::Trigger, false)),
            event(60, "sensor", phase(1, Phase::Trigger, true)),
            event(80, "sensor", phase(1, Phase::Trigger, false)),
            event(80, "sensor", started(1, "er1")),
        ]);
        assert_eq!(handovers.len(), 1);
        let trigger = handovers[0].phases()[&Phase::Trigger];
        assert_eq!(trigger, Duration::from_millis(20));
    }

    #[test]
    fn a_restarted_node_that_counts_from_1_again_is_not_confused_with_its_former_self() {
        let handovers = handovers(&[
            event(0, "sensor", started(1, "er1")),
            event(9, "sensor", completed(1, "er2", "2001:db8:2::5")),
            event(20, "sensor", phase(1, Phase::Trigger, true)),
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
            event(1, "wmms", EventKind::Ready),
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
