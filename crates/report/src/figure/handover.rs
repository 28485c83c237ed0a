//! The phases of handovers, and the Message IDs around them (CoMM, figures 8, 10 and 13).

use std::collections::{BTreeMap, BTreeSet};

use measure::assemble::client_interfaces;
use measure::distribution::Percentiles;
use measure::mobility::{GivenUp, NodeHandover, given_up_text};
use measure::phases::{ByPhase, all_phases};
use measure::result::Handover;
use measure::signalling::{Protocol, Signalling};
use rundir::Phase;
use units::SimTime;

use super::{Block, Chart, Figure, PHASES, Section, figures, ms, phase_name, phase_style, table};
use crate::chart::bars::{Bars, Part, Row};
use crate::chart::plot::Mark;
use crate::chart::values::Clock;
use crate::figure::{sequence, traffic};
use crate::load::Run;

/// As many handovers are drawn one by one; of more, the slowest.
const DETAILED: usize = 40;
/// As many of them are open at first.
const OPEN: usize = 2;

/// The section of the handovers.
pub fn section(run: &Run) -> Section {
    let mut blocks = Vec::new();
    match &run.result.handovers {
        None => blocks.push(Block::Missing(
            "Handovers: result.json does not tell them.".into(),
        )),
        Some(handovers) if handovers.is_empty() => {
            blocks.push(Block::Text("The run has no handover.".into()));
        }
        Some(handovers) => {
            if run.events.is_none() {
                blocks.push(Block::Missing(
                    "Timelines of the phases: events.jsonl is not there or cannot be understood."
                        .into(),
                ));
            }
            blocks.extend(overview(run, handovers));
            blocks.extend(listing(handovers));
            blocks.extend(signalling(handovers));
            blocks.extend(details(run, handovers));
        }
    }
    blocks.extend(given_up(run));
    Section {
        id: "handovers",
        title: "Handovers",
        blocks,
    }
}

/// When it began by either account, in scenario time: the first phase or the last response before.
fn origin(run: &Run, handover: &Handover, record: Option<&NodeHandover>) -> Option<f64> {
    let spans = record.into_iter().flat_map(|r| r.spans.values().flatten());
    let phases = spans.map(|(start, _)| run.seconds(*start));
    let before = handover.last_before.map(|b| b.time_s);
    phases
        .chain(before)
        .chain(handover.started_s)
        .reduce(f64::min)
}

fn parts(run: &Run, record: &NodeHandover, origin: f64) -> Vec<(usize, String, Vec<Part>, f64)> {
    let at = |time: SimTime| (run.seconds(time) - origin) * 1e3;
    let mut rows = Vec::new();
    for (phase, spans) in record.spans.iter() {
        let (colour, symbol) = phase_style(phase);
        let name = phase_name(phase);
        let part = |(start, end): &(SimTime, SimTime)| Part {
            name: name.clone(),
            from: at(*start),
            to: at(*end),
            colour,
            hint: format!(
                "{name}: {} from {} to {}",
                ms((at(*end) - at(*start)) / 1e3),
                ms(at(*start) / 1e3),
                ms(at(*end) / 1e3)
            ),
        };
        let parts: Vec<Part> = spans.iter().map(part).collect();
        let length = parts.iter().map(|p| p.to - p.from).sum();
        rows.push((colour, name + symbol, parts, length));
    }
    rows
}

/// The colours of the usual phases, and of what other ones the handovers have.
fn keys(run: &Run, handovers: &[Handover]) -> Vec<(usize, String)> {
    let mut phases = PHASES.map(|(phase, ..)| phase).to_vec();
    let records = handovers.iter().filter_map(|h| run.record(h));
    let seen = all_phases(records.map(|record| &record.spans));
    phases.extend(
        seen.into_iter()
            .filter(|phase| !PHASES.iter().any(|p| p.0 == *phase)),
    );
    let key = |phase: &Phase| (phase_style(phase).0, phase_name(phase));
    phases.iter().map(key).collect()
}

/// The node's own number of a handover, which its events, the result and its notes have.
pub(super) fn number(handover: &Handover) -> String {
    handover
        .number
        .map_or_else(|| "?".into(), |n| n.to_string())
}

fn route(handover: &Handover) -> String {
    let name = |n: &Option<String>| n.clone().unwrap_or_else(|| "?".into());
    format!("{} \u{2192} {}", name(&handover.from), name(&handover.to))
}

/// All handovers under each other, if there are several.
fn overview(run: &Run, handovers: &[Handover]) -> Option<Block> {
    if handovers.len() < 2 || run.events.is_none() {
        return None;
    }
    let one_node = handovers.iter().all(|h| h.node == handovers[0].node);
    let row = |handover: &Handover| {
        let node = if one_node {
            String::new()
        } else {
            format!("{} ", handover.node)
        };
        let record = run.record(handover);
        let start = origin(run, handover, record);
        let parts = record.zip(start).map(|(record, start)| {
            parts(run, record, start)
                .into_iter()
                .flat_map(|(_, _, parts, _)| parts)
                .collect()
        });
        let parts: Vec<Part> = parts.unwrap_or_default();
        // A bar has its own length behind it; what the client saw is another one.
        let end = parts.iter().map(|part| part.to).fold(0.0, f64::max);
        let delay = handover.delay_s.map_or_else(|| "not seen".into(), ms);
        Row {
            name: format!("{}  {node}{}", number(handover), route(handover)),
            parts,
            value: format!("{} (delay {delay})", ms(end / 1e3)),
        }
    };
    let rows: Vec<Row> = handovers.iter().map(row).collect();
    let shown = rows.len().min(DETAILED);
    let cut = match rows.len() > shown {
        true => format!(" The first {shown} of {}.", rows.len()),
        false => String::new(),
    };
    Some(Block::Figure(Figure {
        id: "handovers".into(),
        title: "Phases of every handover".into(),
        caption: format!(
            "Each row begins with its first phase or the last response before the gap, whichever is earlier. Behind it: how long it is, and the delay that the client saw, from the last response before to the first after.{cut}"
        ),
        chart: Chart::Bars(Bars {
            title: "since the handover's beginning (ms)".into(),
            rows: rows.into_iter().take(shown).collect(),
            keys: keys(run, handovers),
            shade: None,
            marks: vec![],
            clock: None,
        }),
    }))
}

/// The table in the order of time; of several the slowest first as well.
fn listing(handovers: &[Handover]) -> Vec<Block> {
    let in_time: Vec<&Handover> = handovers.iter().collect();
    let mut slowest = in_time.clone();
    let delay = |h: &Handover| h.delay_s.unwrap_or(f64::INFINITY);
    slowest.sort_by(|a, b| delay(b).total_cmp(&delay(a)));
    let table = rows(&in_time, outlier_from(handovers));
    let count = handovers.len();
    let mut blocks = vec![match count > 8 {
        true => Block::Folded(
            format!("Table of {count} handovers, in the order of time"),
            vec![table],
        ),
        false => table,
    }];
    if count > 2 {
        let table = rows(&slowest, outlier_from(handovers));
        let title = format!("Table of {count} handovers, those not seen and the slowest first");
        blocks.push(Block::Folded(title, vec![table]));
    }
    blocks
}

/// A delay over this is far from the others: over the third quartile by more than one and a half
/// times what lies between the quartiles (Tukey 1977). None of a few.
fn outlier_from(handovers: &[Handover]) -> f64 {
    let delays: Vec<f64> = handovers.iter().filter_map(|h| h.delay_s).collect();
    match Percentiles::of(&delays) {
        Some(p) if p.count > 4 => p.q3 + 1.5 * (p.q3 - p.q1),
        _ => f64::INFINITY,
    }
}

fn rows(handovers: &[&Handover], outlier_from: f64) -> Block {
    let row = |h: &&Handover| {
        let seconds = |t: Option<f64>| t.map_or_else(|| "not known".into(), |t| format!("{t:.3}"));
        let id = |r: &Option<measure::result::Response>| {
            r.map_or_else(|| "not seen".into(), |r| r.message_id.to_string())
        };
        let far = h.delay_s.is_some_and(|delay| delay > outlier_from);
        [
            number(h),
            h.node.clone(),
            h.client.clone(),
            route(h),
            seconds(h.started_s),
            h.delay_s.map_or_else(|| "not seen".into(), ms),
            if far { "outlier" } else { "" }.to_owned(),
            id(&h.last_before),
            id(&h.first_after),
            h.lost_message_ids.len().to_string(),
        ]
    };
    table(
        [
            "number",
            "node",
            "client",
            "routers",
            "trigger at (s)",
            "delay",
            "",
            "last Message ID before",
            "first after",
            "lost",
        ],
        handovers.iter().map(row).collect(),
    )
}

/// What a handover cost in messages: the mean over those of which it is known.
fn signalling(handovers: &[Handover]) -> Option<Block> {
    let known: Vec<&Signalling> = handovers.iter().flat_map(|h| &h.signalling).collect();
    let row = |protocol: &Protocol| {
        let mean = |of: &dyn Fn(&Signalling) -> Option<u64>| {
            let all = known.iter().filter_map(|s| of(s));
            let sum = all.fold(0, u64::saturating_add);
            figures(sum as f64 / known.len() as f64)
        };
        [
            protocol.label().to_owned(),
            mean(&|s| Some(s.air.get(protocol)?.messages)),
            mean(&|s| Some(s.air.get(protocol)?.bytes)),
            mean(&|s| Some(s.wired.get(protocol)?.messages)),
            mean(&|s| Some(s.wired.get(protocol)?.bytes)),
        ]
    };
    let sides = known.iter().flat_map(|s| [&s.air, &s.wired]);
    let protocols: BTreeSet<&Protocol> = sides.flat_map(BTreeMap::keys).collect();
    let heads = [
        "signalling per handover (mean)",
        "messages over the air",
        "bytes",
        "messages on the backbone",
        "bytes",
    ];
    (!known.is_empty()).then(|| table(heads, protocols.into_iter().map(row).collect()))
}

/// A timeline and the Message IDs of each handover: the slowest first if there are many.
fn details(run: &Run, handovers: &[Handover]) -> Vec<Block> {
    let mut order: Vec<usize> = (0..handovers.len()).collect();
    let mut blocks = Vec::new();
    if handovers.len() > DETAILED {
        let delay = |i: &usize| handovers[*i].delay_s.unwrap_or(f64::INFINITY);
        order.sort_by(|a, b| delay(b).total_cmp(&delay(a)));
        order.truncate(DETAILED);
        blocks.push(Block::Text(format!(
            "Of {} handovers the {DETAILED} slowest are drawn one by one, those that no client saw first.",
            handovers.len()
        )));
    }
    for (place, i) in order.into_iter().enumerate() {
        let handover = &handovers[i];
        let mut inner: Vec<Block> = timeline(run, i, handover).into_iter().collect();
        inner.extend(sequence::of_handover(run, i, handover));
        inner.extend(traffic::around(run, i, handover));
        if inner.is_empty() {
            continue;
        }
        let title = format!(
            "Handover {} of {}: {}, {}",
            number(handover),
            handover.node,
            route(handover),
            handover
                .delay_s
                .map_or_else(|| "not seen by the client".into(), ms)
        );
        if place < OPEN {
            blocks.extend(inner);
        } else {
            blocks.push(Block::Folded(title, inner));
        }
    }
    blocks
}

fn timeline(run: &Run, i: usize, handover: &Handover) -> Option<Block> {
    let record = run.record(handover)?;
    let start = origin(run, handover, Some(record))?;
    let mut rows: Vec<Row> = Vec::new();
    for (_, name, parts, length) in parts(run, record, start) {
        rows.push(Row {
            name,
            parts,
            value: ms(length / 1e3),
        });
    }
    let at = |seconds: f64| (seconds - start) * 1e3;
    let gap = handover.last_before.zip(handover.first_after);
    let marks: Vec<Mark> = gap.map_or_else(Vec::new, |(before, after)| {
        let mark = |r: measure::result::Response, what: &str| Mark {
            at: at(r.time_s),
            text: format!(
                "{what}: ID {} at {} ms",
                r.message_id,
                figures(at(r.time_s))
            ),
        };
        vec![
            mark(before, "last response before"),
            mark(after, "first response after"),
        ]
    });
    let delay = handover
        .delay_s
        .map_or_else(|| "not seen by the client".into(), ms);
    let energy: Vec<String> = handover
        .energy_mj
        .iter()
        .flat_map(ByPhase::iter)
        .map(|(p, mj)| format!("{} {} mJ", phase_name(p), figures(*mj)))
        .collect();
    let energy = match energy.is_empty() {
        true => String::new(),
        false => format!(" Energy of the node's radio: {}.", energy.join(", ")),
    };
    Some(Block::Figure(Figure {
        id: format!("handover-{}", i + 1),
        title: format!(
            "Handover {} of {}: {}, delay {delay}",
            number(handover),
            handover.node,
            route(handover)
        ),
        caption: format!(
            "Phases from the node's events; the shaded time, between the dashed lines, is the gap in the capture of {}. Time 0 is {start:.3} s of the scenario.{energy}{}",
            handover.client,
            frames(run, handover).unwrap_or_default()
        ),
        chart: Chart::Bars(Bars {
            title: "time (ms)".into(),
            rows,
            keys: vec![],
            shade: gap.map(|(b, a)| (at(b.time_s), at(a.time_s))),
            marks: marks.into_iter().map(|m| (m.at, m.text)).collect(),
            clock: Some(Clock::milliseconds(start)),
        }),
    }))
}

/// Where to look at the packets at both ends of the gap.
fn frames(run: &Run, handover: &Handover) -> Option<String> {
    let (before, after) = handover.last_before.zip(handover.first_after)?;
    let plan = run.plan.as_ref()?.nodes.get(&handover.client)?;
    let files = client_interfaces(plan).map(|i| format!("captures/{}.{i}.pcapng", handover.client));
    let files = files.collect::<Vec<_>>().join(" or ");
    Some(format!(
        " The packets: {files}, in Wireshark with the filter coap.mid == {} || coap.mid == {}.",
        before.message_id, after.message_id
    ))
}

/// Handovers that did not complete, with the reasons that the nodes gave.
fn given_up(run: &Run) -> Option<Block> {
    let time = |at: Option<f64>| at.map_or_else(|| "-".into(), |at| format!("{at:.3}"));
    let row = |h: &GivenUp| {
        [
            h.node.clone(),
            h.number.to_string(),
            h.from.clone().unwrap_or_else(|| "?".into()),
            time(h.started_s),
            time(h.ended_s),
            h.reason.clone(),
        ]
    };
    let given_up = &run.result.given_up;
    let heads = [
        "node",
        "its number",
        "from",
        "began (s)",
        "ended (s)",
        "reason",
    ];
    let rows = given_up.iter().map(row).collect();
    Some(Block::Folded(
        given_up_text(given_up)?,
        vec![table(heads, rows)],
    ))
}
