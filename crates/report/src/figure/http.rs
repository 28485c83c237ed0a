//! What clients asked gateways by HTTP: counts and latencies, over time and around handovers.

use std::time::Duration;

use measure::http::connection::{Exchange, Outcome};
use measure::http::figures::states;
use measure::http::{HandoverSeen, HttpClient, PollFigures, Polled};

use super::traffic::{handover_marks, time_axis};
use super::{Block, Chart, Figure, Section, ms, table};
use crate::chart::plot::{Axis, Plot, Series, Shape};
use crate::load::Run;

/// As many polls have a figure of their own.
const DRAWN: usize = 12;

/// The section; nothing of a run without clients of HTTP.
pub fn section(run: &Run) -> Option<Section> {
    let clients = &run.result.http;
    if clients.is_empty() && run.by_http.is_empty() {
        return None;
    }
    let mut blocks = vec![counts(clients)];
    blocks.extend(handovers(clients));
    blocks.extend(connections(clients));
    if run.by_http.len() > DRAWN {
        blocks.push(Block::Text(format!(
            "Of {} polls the first {DRAWN} are drawn; the table has all.",
            run.by_http.len()
        )));
    }
    for (i, (client, polled)) in run.by_http.iter().take(DRAWN).enumerate() {
        blocks.push(match polled.poll.observe {
            true => silences(run, i, client, polled),
            false => latencies(run, i, client, polled),
        });
    }
    Some(Section {
        id: "http",
        title: "Requests by HTTP",
        blocks,
    })
}

/// Poll by poll, with who asks.
fn polls(clients: &[HttpClient]) -> impl Iterator<Item = (&HttpClient, &PollFigures)> {
    clients
        .iter()
        .flat_map(|client| client.polls.iter().map(move |poll| (client, poll)))
}

fn who(client: &HttpClient, poll: &PollFigures) -> [String; 2] {
    let way = match poll.events {
        Some(_) => ", followed",
        None => "",
    };
    [
        format!("{} by {}", client.client, client.gateway),
        format!("{}{}{way}", poll.node, poll.path),
    ]
}

fn seconds(time: Option<f64>) -> String {
    time.map_or_else(|| "-".into(), ms)
}

fn counts(clients: &[HttpClient]) -> Block {
    let rows = polls(clients).map(|(client, poll)| {
        let of = &poll.requests;
        let refused: usize = of.refused.values().sum();
        let latency = of.latency_s;
        let [client, asked] = who(client, poll);
        let states = poll.events.as_ref().map(|events| events.states.to_string());
        [
            client,
            asked,
            poll.due.to_string(),
            of.sent.to_string(),
            of.answered.to_string(),
            of.deferred.to_string(),
            refused.to_string(),
            of.unanswered.to_string(),
            of.open.to_string(),
            states.unwrap_or_else(|| "-".into()),
            seconds(latency.map(|latency| latency.median)),
            seconds(latency.map(|latency| latency.p95)),
            seconds(latency.map(|latency| latency.max)),
        ]
    });
    let heads = [
        "client",
        "resource",
        "due",
        "sent",
        "answered",
        "503, later",
        "other errors",
        "no response",
        "open at the end",
        "states told",
        "median latency",
        "95th percentile",
        "longest",
    ];
    table(heads, rows.collect())
}

/// What handovers did to the polls of the nodes that moved.
fn handovers(clients: &[HttpClient]) -> Option<Block> {
    let row = |client: &HttpClient, poll: &PollFigures, seen: &HandoverSeen| {
        let [client, asked] = who(client, poll);
        let late = seen
            .late
            .map_or_else(|| "-".into(), |late| late.to_string());
        [
            client,
            asked,
            seen.number.to_string(),
            format!("{:.6} s", seen.started_s),
            seen.requests.to_string(),
            late,
            seen.deferred.to_string(),
            seen.refused.to_string(),
            seen.unanswered.to_string(),
            seconds(seen.longest_s),
            seconds(seen.silence_s),
        ]
    };
    let rows = polls(clients).flat_map(|(client, poll)| {
        let seen = poll.handovers.iter();
        seen.map(move |seen| row(client, poll, seen))
    });
    let rows: Vec<[String; 11]> = rows.collect();
    let heads = [
        "client",
        "resource",
        "handover",
        "at",
        "requests open",
        "late",
        "503, later",
        "other errors",
        "no response",
        "longest latency",
        "longest time without a state",
    ];
    (!rows.is_empty()).then(|| table(heads, rows))
}

/// Connections that came to nothing, or could not be read.
fn connections(clients: &[HttpClient]) -> Vec<Block> {
    let told = clients.iter().filter_map(|client| {
        let of = &client.connections;
        let unread = of.unread.iter();
        let unread = unread.map(|(why, n)| format!("{n} could not be read to the end ({why})"));
        let failed = [(of.refused, "refused"), (of.unanswered, "unanswered")];
        let failed = failed.into_iter().filter(|(n, _)| *n > 0);
        let failed = failed.map(|(n, how)| format!("{n} {how}"));
        let all: Vec<String> = failed.chain(unread).collect();
        let (name, gateway) = (&client.client, &client.gateway);
        (!all.is_empty()).then(|| {
            let all = all.join(", ");
            Block::Text(format!("Connections of {name} with {gateway}: {all}."))
        })
    });
    told.collect()
}

fn named(client: &str, polled: &Polled) -> String {
    format!("{client} to {}{}", polled.poll.node, polled.poll.path)
}

fn made(name: &str, shape: Shape, colour: usize, points: Vec<(f64, f64)>) -> Series {
    Series {
        name: format!("{name} ({})", points.len()),
        shape,
        colour,
        points,
    }
}

/// How long each request took, at the time when it was sent.
fn latencies(run: &Run, i: usize, client: &str, polled: &Polled) -> Block {
    let points = |which: fn(Outcome) -> bool| {
        let chosen = polled.exchanges.iter().filter(|e| which(e.outcome()));
        // What was open when the capture ended has no end: it stands where it was sent.
        let point = |e: &Exchange| {
            let took = e
                .ended()
                .map_or(Duration::ZERO, |end| end.saturating_since(e.sent));
            (run.seconds(e.sent), took.as_secs_f64() * 1e3)
        };
        chosen.map(point).collect::<Vec<_>>()
    };
    let y = Axis {
        include: vec![0.0],
        ..Axis::new("time until it was over (ms)")
    };
    let mut plot = Plot::new(time_axis(run), y);
    plot.series = vec![
        made(
            "answered",
            Shape::Dots,
            0,
            points(|o| o == Outcome::Answered),
        ),
        made(
            "503, later",
            Shape::Diamonds,
            3,
            points(|o| o == Outcome::Deferred),
        ),
        made(
            "another error",
            Shape::Rings,
            1,
            points(|o| matches!(o, Outcome::Refused(_))),
        ),
        made(
            "no response",
            Shape::Crosses,
            0,
            points(|o| o == Outcome::Unanswered),
        ),
    ];
    let open = points(|o| o == Outcome::Open);
    if !open.is_empty() {
        plot.series
            .push(made("open when it was ended", Shape::Rings, 2, open));
    }
    plot.verticals = handover_marks(run, Some(&polled.poll.node));
    Block::Figure(Figure {
        id: format!("http-{}", i + 1),
        title: format!("Latency by HTTP: {}", named(client, polled)),
        caption: "From the first byte of a request to the last one of its response, at the time when it was sent; without a response to when its connection was closed. One is asked after the other, so that a late response has the next ones left out. Dashed: a handover's trigger.".into(),
        chart: Chart::Plot(plot),
    })
}

/// How long it was from each state of an event stream to the one before, at the time when it was told; the first is since it was
/// to be asked for, and what is after the last one goes to the end of a scenario that came to it.
fn silences(run: &Run, i: usize, client: &str, polled: &Polled) -> Block {
    let wanted = polled.poll.first.as_secs_f64();
    let told = states(&polled.exchanges);
    let instants: Vec<f64> = [wanted]
        .into_iter()
        .chain(told.iter().map(|time| run.seconds(*time)))
        .collect();
    let points = instants
        .windows(2)
        .map(|pair| (pair[1], (pair[1] - pair[0]) * 1e3));
    let ended = run.duration_s().filter(|_| run.result.partial.is_none());
    let last = instants.last().copied();
    let none = ended.zip(last).filter(|(end, last)| end > last);
    let none = none.map(|(end, last)| (end, (end - last) * 1e3));
    let y = Axis {
        include: vec![0.0],
        ..Axis::new("time since the state before (ms)")
    };
    let mut plot = Plot::new(time_axis(run), y);
    plot.series = vec![
        made("state", Shape::Dots, 0, points.collect()),
        made(
            "none until the end",
            Shape::Crosses,
            0,
            none.into_iter().collect(),
        ),
    ];
    plot.verticals = handover_marks(run, Some(&polled.poll.node));
    Block::Figure(Figure {
        id: format!("http-{}", i + 1),
        title: format!("States by event stream: {}", named(client, polled)),
        caption: "Each state at the time when it was told, by how long none had been told before: the first one by how long it was to be asked for, and the last silence at the end of the scenario. Dashed: a handover's trigger.".into(),
        chart: Chart::Plot(plot),
    })
}
