//! What clients asked gateways by HTTP, poll by poll.

use crate::http::{Events, HandoverSeen, HttpClient, PollFigures, RequestCounts};

use super::{counted, line, printable, time, times};

/// Of more polls than this a run's summary has the number alone: `result.json` has them.
const MOST: usize = 8;

/// Of more handovers than this a poll has the first ones.
const MOST_HANDOVERS: usize = 8;

/// A block for each poll, with what its handovers did to it.
pub(super) fn summarise(out: &mut String, clients: &[HttpClient]) {
    let polls: usize = clients.iter().map(|client| client.polls.len()).sum();
    for client in clients {
        let (name, gateway, of) = (&client.client, &client.gateway, &client.connections);
        let failed = [(of.refused, "refused"), (of.unanswered, "unanswered")];
        let failed = failed.into_iter().filter(|(count, _)| *count > 0);
        let failed: String = failed
            .map(|(count, how)| format!(", {count} {how}"))
            .collect();
        let what = counted(of.opened as u64, "{connections|connection}");
        line(
            out,
            format_args!(
                "{name} asks {gateway} by HTTP: {} {what}{failed}",
                of.opened
            ),
        );
        if polls <= MOST {
            client
                .polls
                .iter()
                .for_each(|poll| summarise_poll(out, poll));
        }
    }
    if polls > MOST {
        line(out, format_args!("  {polls} polls, see result.json"));
    }
}

fn summarise_poll(out: &mut String, poll: &PollFigures) {
    let what = format!("{}{}", poll.node, printable(&poll.path));
    let counts = counts(&poll.requests);
    let asked = match poll.events {
        Some(_) => "followed: ".to_owned(),
        None => format!("{} due, ", poll.due),
    };
    line(out, format_args!("  {what}: {asked}{counts}"));
    if let Some(latency) = poll.requests.latency_s {
        let [median, p95, max] = times([latency.median, latency.p95, latency.max]);
        let text = format_args!("    latency: median {median}, p95 {p95}, max {max}");
        line(out, text);
    }
    if let Some(events) = &poll.events {
        summarise_events(out, events);
    }
    for handover in poll.handovers.iter().take(MOST_HANDOVERS) {
        summarise_handover(out, handover);
    }
    let more = poll.handovers.len().saturating_sub(MOST_HANDOVERS);
    if more > 0 {
        line(out, format_args!("    and {more} more handovers"));
    }
}

/// `20 sent, 18 answered, 1 deferred (503), 1 refused (1 x 404), 0 unanswered`
fn counts(of: &RequestCounts) -> String {
    let deferred = match of.deferred {
        0 => String::new(),
        n => format!(", {n} deferred (503)"),
    };
    let by_status = of
        .refused
        .iter()
        .map(|(status, n)| format!("{n} x {status}"));
    let by_status: Vec<String> = by_status.collect();
    let refused = match of.refused.values().sum::<usize>() {
        0 => String::new(),
        n => format!(", {n} refused ({})", by_status.join(", ")),
    };
    format!(
        "{} sent, {} answered{deferred}{refused}, {} unanswered",
        of.sent, of.answered, of.unanswered
    )
}

fn summarise_events(out: &mut String, events: &Events) {
    let others = events.others.iter();
    let others: String = others
        .map(|(kind, n)| format!(", {n} {}", printable(kind)))
        .collect();
    let states = events.states;
    let what = counted(states as u64, "{states|state}");
    let silence = events
        .longest_silence_s
        .map_or_else(|| "?".to_owned(), time);
    line(
        out,
        format_args!("    events: {states} {what}{others}, longest silence {silence}"),
    );
}

fn summarise_handover(out: &mut String, h: &HandoverSeen) {
    let [started, completed] = times([h.started_s, h.completed_s]);
    let number = h.number;
    if let Some(silence) = h.silence_s {
        let silence = time(silence);
        let text = format_args!(
            "    handover {number} ({started} to {completed}): no state for {silence}"
        );
        return line(out, text);
    }
    let late = h
        .late
        .map_or_else(|| "?".to_owned(), |late| late.to_string());
    let longest = h.longest_s.map_or_else(|| "?".to_owned(), time);
    let failed = [
        (h.deferred, "deferred"),
        (h.refused, "refused"),
        (h.unanswered, "unanswered"),
    ];
    let failed = failed.into_iter().filter(|(count, _)| *count > 0);
    let failed: String = failed
        .map(|(count, how)| format!(", {count} {how}"))
        .collect();
    let what = counted(h.requests as u64, "{requests|request}");
    line(
        out,
        format_args!(
            "    handover {number} ({started} to {completed}): {} {what} open, {late} late{failed}, longest latency {longest}",
            h.requests
        ),
    );
}
