//! What the per-frame air left: the radios' energy, and whether the air was punctual.

use std::collections::BTreeMap;
use std::time::Duration;

use rundir::air::Facts;
use rundir::{Event, EventKind, Phase};
use topology::Plan;
use topology::plan::NodeName;
use units::SimTime;
use units::quantity::format_duration;

use crate::mobility::NodeHandover;
use crate::phases::ByPhase;
use crate::result::RadioUse;

/// What radios had used since they came up, at the instants at which they were read.
#[derive(Debug, Default)]
pub(crate) struct Readings(BTreeMap<NodeName, BTreeMap<SimTime, Reading>>);

/// One reading: seconds and millijoules since the radio came up.
#[derive(Clone, Copy, Debug)]
struct Reading {
    tx_s: f64,
    rx_s: f64,
    listen_s: f64,
    sleep_s: f64,
    millijoules: f64,
}

impl Readings {
    /// All readings of a log.
    pub(crate) fn of(events: &[Event]) -> Readings {
        let mut readings = Readings::default();
        for event in events {
            let EventKind::RadioEnergy {
                tx_s,
                rx_s,
                listen_s,
                sleep_s,
                millijoules,
            } = event.kind
            else {
                continue;
            };
            let reading = Reading {
                tx_s,
                rx_s,
                listen_s,
                sleep_s,
                millijoules,
            };
            let of_node = readings.0.entry(event.node.clone()).or_default();
            of_node.insert(SimTime::from_nanos(event.time_ns), reading);
        }
        readings
    }

    /// What every radio of `plan` used over the scenario, and notes on those of which that is
    /// not known.
    pub(crate) fn radios(&self, plan: &Plan, events: &[Event]) -> (Vec<RadioUse>, Vec<String>) {
        let scenario = scenario(events);
        let (mut radios, mut notes) = (Vec::new(), Vec::new());
        for (name, _) in plan.nodes.iter().filter(|(_, n)| n.radio.is_some()) {
            let used = scenario.and_then(|span| self.used(name, span));
            match used {
                Some(used) => radios.push(used),
                None => notes.push(format!(
                    "what the radio of {name} used over the scenario is not known: it was not read at both ends"
                )),
            }
        }
        (radios, notes)
    }

    /// Millijoules of the moving node's radio in each completed phase of `handover`: the sum
    /// over its spans. A phase with a span that is not known at both ends is left out.
    pub(crate) fn phases(&self, handover: &NodeHandover) -> ByPhase<f64> {
        let energy = |(phase, spans): (&Phase, &Vec<(SimTime, SimTime)>)| {
            let of_span = |span: &(SimTime, SimTime)| {
                let used = self.used(&handover.node, *span)?;
                Some(used.millijoules)
            };
            let sum: Option<f64> = spans.iter().map(of_span).sum();
            Some((phase.clone(), picojoules(sum?)))
        };
        handover.spans.iter().filter_map(energy).collect()
    }

    /// Millijoules of the moving node's radio in all phases of `handover` that [`Readings::phases`] has:
    /// those that run side by side are one time, which is used once.
    pub(crate) fn of_handover(&self, handover: &NodeHandover) -> Option<f64> {
        let known = self.phases(handover);
        let spans = handover.spans.iter();
        let spans = spans.filter(|(phase, _)| known.get(phase).is_some());
        let spans = merged(spans.flat_map(|(_, spans)| spans.iter().copied()));
        let used = spans.iter().map(|span| self.used(&handover.node, *span));
        let sum: Option<f64> = used.map(|used| Some(used?.millijoules)).sum();
        sum.filter(|_| !known.is_empty()).map(picojoules)
    }

    /// Millijoules that a radio of `plan` used for frames, transmitting or synchronised on one, within
    /// the first span and in none of `without`, which are in order and apart; `None` if it was not read
    /// at one of their ends.
    pub(crate) fn frames(
        &self,
        plan: &Plan,
        node: &str,
        within: (SimTime, SimTime),
        without: &[(SimTime, SimTime)],
    ) -> Option<f64> {
        let own = plan.nodes.get(node)?.radio.as_ref()?.profile.as_ref();
        let profile = own.or(plan.radio.phy.as_ref().map(|phy| &phy.profile))?;
        let of_span = |span: (SimTime, SimTime)| {
            let used = self.used(node, span)?;
            let charge = used.tx_s * profile.tx_ma + used.rx_s * profile.rx_ma;
            Some(charge * profile.supply_v)
        };
        let apart: Option<f64> = without.iter().map(|span| of_span(*span)).sum();
        Some(picojoules(of_span(within)? - apart?))
    }

    /// Notes on the phases of `handover` whose energy is not known.
    pub(crate) fn note_phases(&self, handover: &NodeHandover) -> Vec<String> {
        let known = self.phases(handover);
        let unknown = handover.spans.phases().filter(|p| known.get(p).is_none());
        let note = |phase: &Phase| {
            format!(
                "the energy of {} in phase {} of handover {} is not known: its radio was not read at both ends",
                handover.node,
                phase.name(),
                handover.number
            )
        };
        unknown.map(note).collect()
    }

    fn used(&self, node: &str, (start, end): (SimTime, SimTime)) -> Option<RadioUse> {
        let readings = self.0.get(node)?;
        let (a, b) = (readings.get(&start)?, readings.get(&end)?);
        Some(RadioUse {
            node: node.into(),
            tx_s: nanoseconds(b.tx_s - a.tx_s),
            rx_s: nanoseconds(b.rx_s - a.rx_s),
            listen_s: nanoseconds(b.listen_s - a.listen_s),
            sleep_s: nanoseconds(b.sleep_s - a.sleep_s),
            millijoules: picojoules(b.millijoules - a.millijoules),
            mj_per_request: None,
        })
    }
}

/// When the scenario began and ended.
pub(crate) fn scenario(events: &[Event]) -> Option<(SimTime, SimTime)> {
    let time = |kind: EventKind| {
        let event = events.iter().find(|e| e.kind == kind);
        event.map(|e| SimTime::from_nanos(e.time_ns))
    };
    time(EventKind::ScenarioStarted).zip(time(EventKind::ScenarioEnded))
}

/// Spans in order, of those that overlap or meet one for all.
pub(crate) fn merged(
    spans: impl IntoIterator<Item = (SimTime, SimTime)>,
) -> Vec<(SimTime, SimTime)> {
    let mut spans: Vec<_> = spans.into_iter().collect();
    spans.sort();
    let mut merged: Vec<(SimTime, SimTime)> = Vec::new();
    for (start, end) in spans {
        match merged.last_mut().filter(|(_, last)| start <= *last) {
            Some((_, last)) => *last = end.max(*last),
            None => merged.push((start, end)),
        }
    }
    merged
}

/// Seconds, rounded to the nanosecond: readings are whole nanoseconds, their difference as
/// floating point is not.
fn nanoseconds(seconds: f64) -> f64 {
    (seconds * 1e9).round() / 1e9
}

/// Millijoules, rounded to the picojoule: a radio that listens uses tens of them in a
/// nanosecond.
pub(crate) fn picojoules(millijoules: f64) -> f64 {
    (millijoules * 1e9).round() / 1e9
}

/// What a reader has to know of an air that was late: `limit_s` is the plan's limit in seconds.
pub(crate) fn late(facts: &Facts, limit_s: f64) -> Option<String> {
    let lateness = &facts.lateness;
    let limit = exact(limit_s);
    let worst = format!("{:.3} ms", lateness.max_s * 1e3);
    let frames = match lateness.over_limit {
        0 => return None,
        1 => "1 frame was".into(),
        n => format!("{n} frames were"),
    };
    Some(format!(
        "{frames} handed over more than {limit} late, the limit of the plan, and the worst {worst}: delays under {worst} are not trustworthy"
    ))
}

/// Seconds in the unit in which they are shortest.
fn exact(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| format!("{seconds} s"), format_duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rundir::HandoverEvent;
    use rundir::air::Lateness;

    fn ms(ms: u64) -> SimTime {
        SimTime::from_nanos(ms * 1_000_000)
    }

    fn read(at: u64, node: &str, millijoules: f64) -> Event {
        Event {
            time_ns: ms(at).as_nanos(),
            node: node.into(),
            kind: EventKind::RadioEnergy {
                tx_s: 0.0,
                rx_s: 0.0,
                listen_s: 0.0,
                sleep_s: 0.0,
                millijoules,
            },
        }
    }

    /// Handover 3 of the sensor, which went through `phase` in these spans, milliseconds.
    fn handover(phase: Phase, spans: &[(u64, u64)]) -> NodeHandover {
        let event = |at, kind| Event {
            time_ns: ms(at).as_nanos(),
            node: "sensor".into(),
            kind,
        };
        let handover = 3;
        let started = EventKind::Handover(HandoverEvent::PhaseStarted {
            handover,
            phase: phase.clone(),
        });
        let ended = EventKind::Handover(HandoverEvent::PhaseEnded { handover, phase });
        let ends = |(a, b): &(u64, u64)| [event(*a, started.clone()), event(*b, ended.clone())];
        let events: Vec<Event> = spans.iter().flat_map(ends).collect();
        crate::mobility::handovers(&events).remove(0)
    }

    #[test]
    fn a_phase_that_is_tried_again_costs_both_times_and_not_the_time_between() {
        let events = [
            read(0, "sensor", 1.0),
            read(7, "sensor", 1.5),
            read(7, "other", 90.0),
            read(10, "sensor", 5.0),
            read(12, "sensor", 5.25),
        ];
        let handover = handover(Phase::BINDING, &[(0, 7), (10, 12)]);
        let readings = Readings::of(&events);
        let expected = ByPhase::from_iter([(Phase::BINDING, 0.75)]);
        assert_eq!(readings.phases(&handover), expected);
        assert_eq!(readings.note_phases(&handover), Vec::<String>::new());
    }

    #[test]
    fn a_phase_that_was_not_read_at_every_end_is_left_out_and_noted() {
        let events = [
            read(0, "sensor", 1.0),
            read(7, "sensor", 1.5),
            read(10, "sensor", 5.0),
        ];
        let handover = handover(Phase::DAD, &[(0, 7), (10, 12)]);
        let readings = Readings::of(&events);
        assert_eq!(readings.phases(&handover), ByPhase::default());
        assert_eq!(
            readings.note_phases(&handover),
            [
                "the energy of sensor in phase dad of handover 3 is not known: its radio was not read at both ends"
            ]
        );
    }

    #[test]
    fn what_phases_use_side_by_side_is_used_once() {
        let mut both = handover(Phase::BINDING, &[(0, 10), (20, 30)]);
        let home = handover(Phase::named("home_registration"), &[(0, 6)]);
        let tests = handover(Phase::named("return_routability"), &[(4, 10)]);
        for other in [home, tests] {
            let (phase, spans) = other.spans.iter().next().unwrap();
            *both.spans.entry(phase) = spans.clone();
        }
        let mut events: Vec<Event> = [(0, 1.0), (4, 1.5), (6, 2.0), (10, 3.0)]
            .map(|(at, mj)| read(at, "sensor", mj))
            .to_vec();
        events.extend([read(20, "sensor", 7.0), read(30, "sensor", 8.0)]);
        assert_eq!(Readings::of(&events).of_handover(&both), Some(3.0));
        // Without the end of `binding` what is known is the two others.
        events.pop();
        assert_eq!(Readings::of(&events).of_handover(&both), Some(2.0));
        assert_eq!(Readings::of(&[]).of_handover(&both), None);
    }

    #[test]
    fn spans_that_meet_are_one() {
        let spans = [(5, 7), (0, 2), (2, 3), (6, 6), (9, 9)].map(|(a, b)| (ms(a), ms(b)));
        let expected = [(0, 3), (5, 7), (9, 9)].map(|(a, b)| (ms(a), ms(b)));
        assert_eq!(merged(spans), expected);
    }

    #[test]
    fn differences_have_no_digits_that_no_reading_has() {
        // 1.449216 - 0.017152 is 1.4320639999999998 in floating point.
        assert_eq!(nanoseconds(1.449216 - 0.017152), 1.432064);
        assert_eq!(picojoules(0.3 - 0.1), 0.2);
    }

    #[test]
    fn an_air_that_was_late_says_how_often_how_much_and_what_that_means() {
        let mut facts = Facts {
            lateness: Lateness {
                max_s: 0.0025,
                over_limit: 3,
                ..Lateness::default()
            },
            ..Facts::default()
        };
        let text = "3 frames were handed over more than 1 ms late, the limit of the plan, and the worst 2.500 ms: delays under 2.500 ms are not trustworthy";
        assert_eq!(late(&facts, 0.001).as_deref(), Some(text));
        facts.lateness.over_limit = 0;
        assert_eq!(late(&facts, 0.001), None);
    }

    #[test]
    fn a_limit_that_is_no_duration_is_printed_as_it_is() {
        assert_eq!(exact(1e300), format!("{} s", 1e300));
        assert_eq!(exact(-1.0), "-1 s");
    }
}
