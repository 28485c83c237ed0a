//! Message IDs and round-trip times, as the clients' captures show them; losses with reasons.

use std::collections::{BTreeMap, BTreeSet};

use measure::analysis::{Exchange, Flow, method_name};
use measure::calls::{Calls, Tally};
use measure::result::Handover;
use rundir::EventKind;

use super::handover::number;
use super::{Block, Chart, Figure, Section, links, ms, observers, table};
use crate::chart::bars::{Bars, Part, Row};
use crate::chart::plot::{Axis, Mark, Plot, Series, Shape};
use crate::chart::scale::Kind;
use crate::chart::values::Clock;
use crate::load::Run;

/// As many flows have figures of their own.
const FLOWS: usize = 12;

/// Requests, responses, retransmissions and losses of `exchanges`, by Message ID, with times
/// turned into an axis by `at`.
fn series<'a>(
    exchanges: impl Iterator<Item = &'a Exchange> + Clone,
    at: impl Fn(&Run, units::SimTime) -> f64,
    run: &Run,
) -> Vec<Series> {
    let id = |e: &Exchange| f64::from(e.message_id());
    let made = |name: &str, shape, colour, mut points: Vec<(f64, f64)>| {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series {
            name: format!("{name} ({})", points.len()),
            shape,
            colour,
            points,
        }
    };
    let all = exchanges.clone();
    let requests = all.map(|e| (at(run, e.sent_at()), id(e))).collect();
    let answered = exchanges
        .clone()
        .filter_map(|e| Some((at(run, e.answered_at()?), id(e))));
    let again = exchanges
        .clone()
        .flat_map(|e| e.again().iter().map(move |t| (t.time, id(e))));
    let again = again.map(|(time, id)| (at(run, time), id)).collect();
    let lost = exchanges.filter(|e| !e.is_answered());
    let lost = lost.map(|e| (at(run, e.sent_at()), id(e))).collect();
    vec![
        made("request", Shape::Dots, 0, requests),
        made("response", Shape::Dots, 1, answered.collect()),
        made("sent again", Shape::Rings, 3, again),
        made("lost", Shape::Crosses, 0, lost),
    ]
}

/// The Message IDs around a handover.
pub fn around(run: &Run, i: usize, handover: &Handover) -> Option<Block> {
    let (before, after) = handover.last_before.zip(handover.first_after)?;
    let flow = flow_of(run, handover)?;
    let pad = (after.time_s - before.time_s).max(0.02) * 0.35;
    let (from, to) = (before.time_s - pad, after.time_s + pad);
    let inside = |e: &&Exchange| {
        let end = e.answered_at().unwrap_or(e.sent_at());
        run.seconds(end) >= from && run.seconds(e.sent_at()) <= to
    };
    let near = flow.exchanges.iter().filter(inside);
    let origin = before.time_s;
    let at = move |run: &Run, time| (run.seconds(time) - origin) * 1e3;
    let mut plot = Plot::new(
        Axis {
            range: Some(((from - origin) * 1e3, (to - origin) * 1e3)),
            clock: Some(Clock::milliseconds(origin)),
            ..Axis::new("since the last response before (ms)")
        },
        Axis::whole("Message ID"),
    );
    plot.series = series(near, at, run);
    for s in &mut plot.series {
        // Points of requests that reach over the edge of the window.
        s.points
            .retain(|(x, _)| (*x / 1e3 + origin >= from) && (*x / 1e3 + origin <= to));
    }
    plot.shades = vec![(0.0, (after.time_s - origin) * 1e3)];
    plot.height = 150.0;
    Some(Block::Figure(Figure {
        id: format!("message-ids-{}", i + 1),
        title: format!(
            "Message IDs over handover {} of {}",
            number(handover),
            handover.node
        ),
        caption: format!(
            "In the capture of {}; the gap is shaded. Responses from {} before and {} after.",
            handover.client, before.address, after.address
        ),
        chart: Chart::Plot(plot),
    }))
}

fn flow_of<'a>(run: &'a Run, handover: &Handover) -> Option<&'a Flow> {
    let (_, analysis) = run
        .clients
        .iter()
        .find(|(name, _)| *name == handover.client)?;
    let method = handover.method.as_ref();
    let same = |f: &&Flow| {
        f.node.as_ref() == Some(&handover.node)
            && f.resource == handover.resource
            && method.is_none_or(|method| *method == method_name(f.method))
    };
    analysis.flows.iter().find(same)
}

/// Message IDs and round-trip times over the whole run.
pub fn section(run: &Run) -> Section {
    let mut blocks = Vec::new();
    let mut flows: Vec<(&String, &Flow)> = run
        .clients
        .iter()
        .flat_map(|(name, analysis)| analysis.flows.iter().map(move |f| (name, f)))
        .collect();
    // Those around handovers come first: of many not all are drawn.
    let moved: BTreeSet<&str> = (run.result.handovers.iter().flatten())
        .map(|handover| handover.node.as_str())
        .collect();
    flows.sort_by_key(|(_, flow)| !flow.node.as_deref().is_some_and(|n| moved.contains(n)));
    if flows.is_empty() {
        blocks.push(Block::Missing(
            "Message IDs and round-trip times over time: no capture of a client shows requests."
                .into(),
        ));
    }
    if flows.len() > FLOWS {
        blocks.push(Block::Text(format!(
            "Of {} flows {FLOWS} are drawn, those of nodes that handed over first; the table has all.",
            flows.len()
        )));
    }
    blocks.extend(observers::section_part(run));
    for (i, (client, flow)) in flows.iter().take(FLOWS).enumerate() {
        let node = flow.node.as_deref().unwrap_or("an unknown node");
        let asked = asked_for(Some(&method_name(flow.method)), &flow.resource);
        let between = if asked == flow.resource { "" } else { ": " };
        let name = format!("{client} to {node}{between}{asked}");
        let mut drawn = vec![message_ids(run, i, &name, flow), rtt(run, i, &name, flow)];
        drawn.extend(notifications(run, i, &name, flow));
        if i == 0 {
            blocks.extend(drawn);
        } else {
            blocks.push(Block::Folded(name, drawn));
        }
    }
    blocks.extend(counts(run));
    Section {
        id: "messages",
        title: "Requests and responses",
        blocks,
    }
}

/// A resource, behind the method: a GET goes without saying.
fn asked_for(method: Option<&str>, resource: &str) -> String {
    match method {
        None | Some("GET") => resource.to_owned(),
        Some(method) => format!("{method} {resource}"),
    }
}

pub(super) fn time_axis(run: &Run) -> Axis {
    Axis {
        range: run.duration_s().map(|end| (0.0, end)),
        clock: Some(Clock::SCENARIO),
        ..Axis::new("time in the scenario (s)")
    }
}

pub(super) fn handover_marks(run: &Run, node: Option<&str>) -> Vec<Mark> {
    let handovers = run.result.handovers.iter().flatten();
    let mut of_node: Vec<f64> = handovers
        .filter(|h| Some(h.node.as_str()) == node)
        .filter_map(|h| h.started_s)
        .collect();
    // Each flow saw it.
    of_node.sort_by(f64::total_cmp);
    of_node.dedup();
    let few = of_node.len() <= 4;
    let mark = |at: &f64| Mark {
        at: *at,
        text: if few { "trigger".into() } else { String::new() },
    };
    of_node.iter().map(mark).collect()
}

fn message_ids(run: &Run, i: usize, name: &str, flow: &Flow) -> Block {
    let mut plot = Plot::new(time_axis(run), Axis::whole("Message ID"));
    plot.series = series(flow.exchanges.iter(), |run, time| run.seconds(time), run);
    plot.verticals = handover_marks(run, flow.node.as_deref());
    Block::Figure(Figure {
        id: format!("message-ids-flow-{}", i + 1),
        title: format!("Message ID over time: {name}"),
        caption: "Each request at the time it was first sent, each response at the time it was received, by the Message ID of the request. Dashed: a handover's trigger.".into(),
        chart: Chart::Plot(plot),
    })
}

/// What an observer was notified of, if the flow has any.
fn notifications(run: &Run, i: usize, name: &str, flow: &Flow) -> Option<Block> {
    let counts = flow.notifications()?;
    let all = || flow.exchanges.iter().flat_map(|e| e.notifications());
    let points = |confirmable: bool| {
        let chosen = all().filter(|n| n.confirmable == confirmable);
        // One that ends its observation has no number.
        let mut points: Vec<(f64, f64)> = chosen
            .filter_map(|n| Some((run.seconds(n.time), f64::from(n.number?))))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let made = |name: &str, shape, colour, points: Vec<(f64, f64)>| Series {
        name: format!("{name} ({})", points.len()),
        shape,
        colour,
        points,
    };
    let lost = counts
        .lost
        .map_or_else(|| "?".to_owned(), |lost| lost.to_string());
    let mut plot = Plot::new(time_axis(run), Axis::whole("number in the Observe option"));
    plot.series = vec![
        made("non-confirmable", Shape::Dots, 0, points(false)),
        made("confirmable", Shape::Rings, 1, points(true)),
    ];
    plot.verticals = handover_marks(run, flow.node.as_deref());
    Some(Block::Figure(Figure {
        id: format!("notifications-flow-{}", i + 1),
        title: format!("Notifications over time: {name}"),
        caption: format!(
            "Each notification at the time it was received, by its number: {} received, {lost} lost, {} out of order. Dashed: a handover's trigger.",
            counts.received, counts.reordered
        ),
        chart: Chart::Plot(plot),
    }))
}

fn rtt(run: &Run, i: usize, name: &str, flow: &Flow) -> Block {
    let points = |again: bool| {
        let chosen = flow
            .exchanges
            .iter()
            .filter(move |e| (e.retransmissions() > 0) == again);
        let points =
            chosen.filter_map(|e| Some((run.seconds(e.sent_at()), e.rtt()?.as_secs_f64() * 1e3)));
        let mut points: Vec<(f64, f64)> = points.collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let (once, again) = (points(false), points(true));
    let all = || {
        once.iter()
            .chain(&again)
            .map(|p| p.1)
            .filter(|ms| *ms > 0.0)
    };
    let (least, most) = (
        all().fold(f64::INFINITY, f64::min),
        all().fold(0.0, f64::max),
    );
    let y = if most > 30.0 * least {
        Axis {
            kind: Kind::Log,
            ..Axis::new("round-trip time (ms, logarithmic)")
        }
    } else {
        Axis {
            include: vec![0.0],
            ..Axis::new("round-trip time (ms)")
        }
    };
    let mut plot = Plot::new(time_axis(run), y);
    let made = |name: &str, shape, colour, points: Vec<(f64, f64)>| Series {
        name: format!("{name} ({})", points.len()),
        shape,
        colour,
        points,
    };
    plot.series = vec![
        made("sent once", Shape::Dots, 0, once),
        made("sent more than once", Shape::Rings, 3, again),
    ];
    plot.verticals = handover_marks(run, flow.node.as_deref());
    Block::Figure(Figure {
        id: format!("rtt-flow-{}", i + 1),
        title: format!("Round-trip time: {name}"),
        caption: "From the first transmission of a request, at the time of that, to its response. A request that the client kept back on hold was not sent yet: its waiting is no part of this. Lost requests have no round-trip time.".into(),
        chart: Chart::Plot(plot),
    })
}

fn counts(run: &Run) -> Vec<Block> {
    let Some(flows) = &run.result.flows else {
        return vec![Block::Missing(
            "Counts of requests: result.json does not tell them.".into(),
        )];
    };
    let row = |name: [String; 3], r: &measure::result::Requests| {
        let rtt = r.rtt_s.map_or_else(
            || ["none".into(), "none".into()],
            |t| [ms(t.median), ms(t.p95)],
        );
        let counts = [
            r.sent,
            r.answered,
            r.lost,
            r.retransmitted,
            r.reset,
            r.duplicates,
        ];
        let mut row = name.to_vec();
        row.extend(counts.map(|n| n.to_string()));
        row.extend(rtt);
        row
    };
    let mut rows: Vec<Vec<String>> = flows
        .iter()
        .map(|f| {
            row(
                [
                    f.client.clone(),
                    f.node.clone(),
                    asked_for(f.method.as_deref(), &f.resource),
                ],
                &f.requests,
            )
        })
        .collect();
    if let Some(all) = &run.result.signalling {
        let [protocols, resources] = signalling(run);
        rows.push(row(["all clients".into(), protocols, resources], all));
    }
    let heads = [
        "client",
        "node",
        "resource",
        "sent",
        "answered",
        "lost",
        "sent again",
        "reset",
        "duplicates",
        "median RTT",
        "95th percentile",
    ];
    vec![Block::Table(heads.map(str::to_owned).to_vec(), rows)]
}

/// The protocols whose own requests the clients' captures show, and what those are for.
fn signalling(run: &Run) -> [String; 2] {
    let exchanges = run.clients.iter().flat_map(|(_, a)| &a.signalling);
    let (mut protocols, mut resources) = (BTreeSet::new(), BTreeSet::new());
    for exchange in exchanges {
        protocols.extend(exchange.protocol());
        resources.insert(&**exchange.resource());
    }
    let labels: Vec<&str> = protocols.iter().map(|protocol| protocol.label()).collect();
    let name = match labels.is_empty() {
        true => "signalling".to_owned(),
        false => labels.join(", "),
    };
    [name, Vec::from_iter(resources).join(" ")]
}

/// What was lost, and why.
pub fn losses(run: &Run) -> Section {
    let mut blocks = Vec::new();
    match &run.result.requests {
        None => blocks.push(Block::Missing("Lost requests: result.json does not tell them.".into())),
        Some(r) => blocks.push(Block::Text(format!(
            "Of {} requests that were sent {} were answered and {} lost, {} of those rejected with RST. {} were sent more than once.",
            r.sent, r.answered, r.lost, r.reset, r.retransmitted
        ))),
    }
    let lost: Vec<[String; 4]> = run
        .result
        .flows
        .iter()
        .flatten()
        .filter(|f| !f.lost_message_ids.is_empty())
        .map(|f| {
            let shown: Vec<String> = f
                .lost_message_ids
                .iter()
                .take(60)
                .map(u16::to_string)
                .collect();
            let more = f.lost_message_ids.len() - shown.len();
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            [
                f.client.clone(),
                f.node.clone(),
                asked_for(f.method.as_deref(), &f.resource),
                shown.join(" ") + &more,
            ]
        })
        .collect();
    if !lost.is_empty() {
        blocks.push(table(
            ["client", "node", "resource", "lost Message IDs"],
            lost,
        ));
    }
    blocks.extend(asked(run));
    blocks.extend(air(run));
    blocks.extend(links::delivery(run));
    Section {
        id: "losses",
        title: "Losses and their reasons",
        blocks,
    }
}

/// What clients were to ask, and the reasons that they gave for what failed.
fn asked(run: &Run) -> Vec<Block> {
    let Some(calls) = &run.result.calls else {
        return vec![Block::Missing(
            "What clients were to ask: result.json does not tell it.".into(),
        )];
    };
    let mut tallies: Vec<(&str, &Tally)> = (calls.clients.iter())
        .map(|c| (c.client.as_str(), &c.tally))
        .collect();
    if tallies.len() > 1 {
        tallies.push(("all clients", &calls.all));
    }
    let known = |count: Option<u64>| count.map_or_else(|| "not known".into(), |n| n.to_string());
    let row = |(name, tally): &(&str, &Tally)| {
        [
            (*name).to_owned(),
            known(tally.asked),
            known(tally.answered),
            known(tally.failed),
            known(tally.never_sent),
            (tally.delivery_percent).map_or_else(|| "-".into(), |p| format!("{p:.2} %")),
            (tally.waited).map_or_else(|| "-".into(), |waited| waited.to_string()),
        ]
    };
    let counts = tallies.iter().map(row).collect();
    let mut blocks = vec![
        Block::Text("By the clients' own account; what was never sent is in no capture, and how long a request waited in its client is in no round-trip time.".into()),
        table(
            [
                "client",
                "asked",
                "answered",
                "failed",
                "never sent",
                "delivered",
                "waited before they were sent",
            ],
            counts,
        ),
    ];
    let reasons = reasons(run, calls);
    blocks.push(match reasons.is_empty() {
        true => Block::Text("No client reported a failed request.".into()),
        false => table(
            ["client", "reason that it gave its caller", "requests"],
            reasons,
        ),
    });
    let errors = run.result.flows.iter().flatten().flat_map(|f| {
        let errors = f.requests.error_responses.iter();
        errors.map(|(code, n)| {
            let what = asked_for(f.method.as_deref(), &f.resource);
            [
                f.client.clone(),
                f.node.clone(),
                what,
                code.clone(),
                n.to_string(),
            ]
        })
    });
    let errors: Vec<[String; 5]> = errors.collect();
    if !errors.is_empty() {
        let heads = ["client", "node", "resource", "error response", "times"];
        blocks.push(table(heads, errors));
    }
    blocks
}

/// Failures by client and reason, from the client's count or the log, whichever has more.
fn reasons(run: &Run, calls: &Calls) -> Vec<[String; 3]> {
    let mut logged: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for event in run.events.iter().flatten() {
        if let EventKind::RequestFailed { reason, .. } = &event.kind {
            *logged.entry((&event.node, reason)).or_default() += 1;
        }
    }
    for client in &calls.clients {
        for (reason, count) in &client.tally.reasons {
            let known = logged.entry((&client.client, reason)).or_default();
            *known = (*known).max(*count);
        }
    }
    let row = |((client, reason), n): (&(&str, &str), &u64)| {
        [(*client).to_owned(), (*reason).to_owned(), n.to_string()]
    };
    logged.iter().map(row).collect()
}

/// What became of the frames, with the per-frame air.
fn air(run: &Run) -> Option<Block> {
    let Some(air) = &run.result.air else {
        let phy = run.plan.as_ref()?.radio.phy.is_some();
        return Some(match phy {
            true => Block::Missing("Frames on the air: result.json does not tell them.".into()),
            false => Block::Text("The radios of this run are joined by edges (medium: edges), which lose nothing while they exist: there are no frame losses with reasons.".into()),
        });
    };
    let row = |colour: usize, (name, count): (&String, &u64)| Row {
        name: name.clone(),
        parts: vec![Part {
            name: name.clone(),
            from: 0.0,
            to: *count as f64,
            colour,
            hint: format!("{name}: {count}"),
        }],
        value: count.to_string(),
    };
    let mut rows: Vec<Row> = air.sent.iter().map(|s| row(0, s)).collect();
    rows.extend(air.dropped.iter().map(|d| row(1, d)));
    Some(Block::Figure(Figure {
        id: "air".into(),
        title: "Frames on the air".into(),
        caption: format!(
            "{} frames, {} transmissions with retries, {} acknowledgements, {} deliveries, over the whole run with its bring-up and end. A frame is lost to the network only if no retry arrives.",
            air.frames, air.transmissions, air.acks, air.delivered
        ),
        chart: Chart::Bars(Bars {
            title: "frames".into(),
            rows,
            keys: vec![
                (0, "how it ended for the sender".into()),
                (1, "not delivered to a receiver, because".into()),
            ],
            shade: None,
            marks: vec![],
            clock: None,
        }),
    }))
}
