//! Reports as plain text, the same on every machine: no colours, no terminal width.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use units::SimTime;

use crate::analysis::{Analysis, Exchange, Flow, Gap, Requests, method_name};
use crate::attachment::{By, Change, Handover, Unseen};
use crate::dissect::Protocol;
use crate::result::{self, RunResult};
use crate::signalling::Cost;

/// Rows shown on either side of one that is worth a look.
const CONTEXT: usize = 2;
/// With more radios than this a run's summary does not list them.
const MOST_RADIOS: usize = 8;

/// Which rows of the Message-ID table are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Table {
    /// None.
    None,
    /// Those lost, sent again, rejected or answered twice, those at the ends of handovers and
    /// gaps, and two on either side.
    #[default]
    Notable,
    /// All.
    All,
}

/// The report of `wpanlab analyze`.
///
/// Times count from the first frame, as in Wireshark.
pub fn report(analysis: &Analysis, table: Table) -> String {
    let mut out = String::new();
    let other = &analysis.other;
    line(
        &mut out,
        format_args!(
            "{} frames, {} CoAP messages",
            other.frames, other.coap_messages
        ),
    );
    if analysis.flows.is_empty() {
        line(&mut out, format_args!("{}", nothing(analysis)));
    }
    for flow in &analysis.flows {
        out.push('\n');
        report_flow(&mut out, flow, analysis.start, table);
    }
    for (protocol, exchanges) in by_protocol(&analysis.signalling) {
        line(&mut out, format_args!("\n{protocol} signalling"));
        requests(&mut out, &Requests::of(exchanges));
    }
    let counts = [
        (other.notifications, "Observe notifications"),
        (other.multicast, "requests to multicast groups, not paired"),
        (other.deregistrations, "deregistrations of observers"),
        (other.pings, "pings"),
        (other.stray, "responses to no request of the capture"),
        (
            other.copies,
            "copies of CoAP messages: the same packet on another hop, at a mirror, around a tunnel",
        ),
        (other.repeated, "frames that the MAC sent again"),
        (other.incomplete, "datagrams with a missing fragment"),
        (
            other.dropped,
            "of them given up, because too many were begun at once",
        ),
        (
            other.bindings_left_out,
            "bindings that were left out, because there were too many",
        ),
        (other.undecodable, "datagrams that are not CoAP"),
    ];
    if counts.iter().any(|(count, _)| *count > 0) {
        out.push_str("\nbesides\n");
    }
    for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
        line(&mut out, format_args!("  {count} {what}"));
    }
    if let Some(first) = &other.first_undecodable {
        line(&mut out, format_args!("    the first: {first}"));
    }
    if !other.unread.is_empty() {
        out.push_str("\nnot read\n");
    }
    for (what, count) in &other.unread {
        line(&mut out, format_args!("  {}", unread(what, *count)));
    }
    out
}

/// Why captures show no request, in a line.
pub fn nothing(analysis: &Analysis) -> String {
    let other = &analysis.other;
    let not_read: u64 = other.unread.values().sum();
    let why = if other.frames == 0 {
        ": there is no frame".into()
    } else if other.packets == 0 {
        ": no frame gave an IP packet".into()
    } else if other.coap_messages > 0 {
        String::new()
    } else if other.undecodable > 0 {
        format!(": {} datagrams are not CoAP", other.undecodable)
    } else if not_read > 0 {
        format!(": {not_read} frames were not read")
    } else {
        " (is it another UDP port? --port names it)".into()
    };
    format!("no CoAP requests{why}")
}

/// What `frames` of a kind are, in a line: `12 frames: ESP`.
fn unread(what: &impl std::fmt::Display, frames: u64) -> String {
    let word = if frames == 1 { "frame" } else { "frames" };
    format!("{frames} {word}: {what}")
}

fn report_flow(out: &mut String, flow: &Flow, start: SimTime, table: Table) {
    let to = flow.node.as_deref().map(|n| format!(" {n}"));
    line(
        out,
        format_args!(
            "{} asks{} {} {}",
            flow.client,
            to.unwrap_or_default(),
            method_name(flow.method),
            printable(&flow.resource)
        ),
    );
    requests(out, &flow.requests());
    for (address, count) in flow.addresses() {
        line(out, format_args!("  answered   {count} by {address}"));
    }
    for (address, count) in flow.unanswered() {
        line(out, format_args!("  unanswered {count} by {address}"));
    }
    if flow.is_guessed() {
        out.push_str(
            "  one node   by the pattern of requests alone; --node NAME=ADDR,ADDR says otherwise\n",
        );
    }
    if let Some(n) = flow.notifications() {
        line(
            out,
            format_args!(
                "  notified   {} received, {} of them CON, {} lost, {} reordered",
                n.received, n.confirmable, n.lost, n.reordered
            ),
        );
    }
    let lost = flow.lost();
    if !lost.is_empty() {
        line(out, format_args!("  lost IDs   {}", ids(&lost)));
    }
    let silent = flow.unanswered_at_end();
    if silent > 0 {
        line(
            out,
            format_args!("  at the end {silent} requests without a response"),
        );
    }
    let (handovers, left_out) = flow.told_handovers();
    for handover in &handovers {
        let what = match &handover.gap {
            Ok(gap) => gap_text(gap, start),
            Err(Unseen::Shared(other)) => {
                format!("in the pause of the change at {} s", since(start, *other))
            }
            Err(unseen) => format!("not shown: {unseen}"),
        };
        let by = by_text(handover, start);
        line(out, format_args!("  handover   {what}, by {by}"));
    }
    if left_out > 0 {
        line(out, format_args!("  handover   {left_out} more not shown"));
    }
    let gaps = flow.gaps();
    for gap in &gaps {
        line(out, format_args!("  gap        {}", gap_text(gap, start)));
    }
    if let Some(largest) = flow.largest_gap().filter(|_| gaps.is_empty()) {
        let length = time(result::seconds(largest.duration()));
        line(
            out,
            format_args!("  largest gap without a change of address {length}"),
        );
    }
    message_ids(out, flow, start, table);
}

fn requests(out: &mut String, r: &Requests) {
    line(
        out,
        format_args!(
            "  requests   {} sent, {} answered, {} lost, {} retransmitted, {} rejected, {} duplicate responses",
            r.sent, r.answered, r.lost, r.retransmitted, r.reset, r.duplicates
        ),
    );
    if r.further_blocks > 0 {
        let text = format_args!(
            "  blocks     {} more requests for further blocks",
            r.further_blocks
        );
        line(out, text);
    }
    if let Some(rtt) = r.rtt {
        line(
            out,
            format_args!(
                "  rtt        min {}, median {}, p95 {}, max {}",
                time(result::seconds(rtt.min)),
                time(result::seconds(rtt.median)),
                time(result::seconds(rtt.p95)),
                time(result::seconds(rtt.max))
            ),
        );
    }
}

fn gap_text(gap: &Gap, start: SimTime) -> String {
    let (before, after) = (&gap.before, &gap.after);
    format!(
        "{}: from Message ID {} at {} s ({}) to {} at {} s ({}), {} lost",
        milliseconds(gap.duration()),
        before.message_id,
        since(start, before.received),
        before.from,
        after.message_id,
        since(start, after.received),
        after.from,
        gap.lost.len()
    )
}

/// By what a handover is known.
fn by_text(handover: &Handover, start: SimTime) -> String {
    let by = handover.by().name();
    match &handover.change {
        Change::Address => by.to_owned(),
        Change::Binding(b) => format!(
            "{by}: {} {} of {} at {} s, from {} to {}",
            b.protocol,
            b.message,
            b.permanent,
            since(start, b.time),
            b.from,
            b.to
        ),
        Change::Router { from, to } => format!("{by}: from {from}, then {to}"),
    }
}

/// The exchanges of each protocol, in the order of protocols.
fn by_protocol(exchanges: &[Exchange]) -> BTreeMap<&Protocol, Vec<&Exchange>> {
    let mut by_protocol: BTreeMap<&Protocol, Vec<&Exchange>> = BTreeMap::new();
    for exchange in exchanges {
        if let Some(protocol) = &exchange.protocol {
            by_protocol.entry(protocol).or_default().push(exchange);
        }
    }
    by_protocol
}

fn message_ids(out: &mut String, flow: &Flow, start: SimTime, table: Table) {
    let shown = match table {
        Table::None => return,
        Table::All => vec![true; flow.exchanges.len()],
        Table::Notable => notable(flow),
    };
    if !shown.contains(&true) {
        return;
    }
    line(
        out,
        format_args!(
            "  {:>10} {:>4} {:>14} {:>14} {:>12} {:>5}  answered by",
            "Message ID", "type", "sent s", "answered s", "rtt", "sent"
        ),
    );
    let mut hidden = 0;
    for (exchange, shown) in flow.exchanges.iter().zip(shown) {
        if !shown {
            hidden += 1;
            continue;
        }
        skipped(out, &mut hidden);
        row(out, exchange, start);
    }
    skipped(out, &mut hidden);
}

fn skipped(out: &mut String, hidden: &mut usize) {
    if *hidden > 0 {
        line(out, format_args!("  {:>10} {hidden} answered at once", "…"));
        *hidden = 0;
    }
}

fn row(out: &mut String, e: &Exchange, start: SimTime) {
    let (answered, rtt, by) = match (&e.answer, e.rtt()) {
        (Some(a), Some(rtt)) => (
            since(start, a.time),
            milliseconds(rtt),
            format!("{} {}", a.from, a.code),
        ),
        _ if e.reset.is_some() => ("-".into(), "-".into(), "nobody: rejected (RST)".into()),
        _ => ("-".into(), "-".into(), "nobody: lost".into()),
    };
    let again = match e.duplicates {
        0 => String::new(),
        n => format!(", {n} more copies"),
    };
    line(
        out,
        format_args!(
            "  {:>10} {:>4} {:>14} {answered:>14} {rtt:>12} {:>5}  {by}{again}",
            e.message_id,
            if e.confirmable { "CON" } else { "NON" },
            since(start, e.sent_at()),
            e.transmissions.len(),
        ),
    );
}

/// Which exchanges are worth a row.
fn notable(flow: &Flow) -> Vec<bool> {
    let mut edges: Vec<SimTime> = Vec::new();
    let handovers = flow.handovers().into_iter();
    let gaps = handovers.filter_map(|handover| handover.gap.ok());
    for gap in gaps.chain(flow.gaps()) {
        edges.extend([gap.before.received, gap.after.received]);
    }
    edges.sort_unstable();
    let marked = |e: &Exchange| {
        let answer = e.answer.map(|a| a.time);
        answer.is_none_or(|time| edges.binary_search(&time).is_ok())
            || e.retransmissions() > 0
            || e.duplicates > 0
    };
    let mut shown = vec![false; flow.exchanges.len()];
    for (index, exchange) in flow.exchanges.iter().enumerate() {
        if marked(exchange) {
            let end = (index + CONTEXT + 1).min(shown.len());
            shown[index.saturating_sub(CONTEXT)..end].fill(true);
        }
    }
    shown
}

/// The end of `wpanlab run`: what was measured, in a dozen lines.
pub fn summary(result: &RunResult) -> String {
    let mut out = String::new();
    let verdict = match (result.passed, &result.partial) {
        (true, _) => "passed",
        (false, None) => "failed",
        (false, Some(_)) => "partial",
    };
    line(
        &mut out,
        format_args!(
            "{}: {verdict} (seed {}, {} backend, {} clock, kernel {})",
            result.topology, result.seed, result.backend, result.clock, result.kernel
        ),
    );
    if let Some(how_far) = &result.partial {
        line(&mut out, format_args!("WARNING: {how_far}"));
    }
    let late = lateness(result);
    if let Some(late) = &late {
        line(&mut out, format_args!("WARNING: {late}"));
    }
    for handover in &result.handovers {
        summarise_handover(&mut out, handover);
    }
    let r = &result.requests;
    line(
        &mut out,
        format_args!(
            "requests: {} sent, {} answered, {} lost, {} retransmitted",
            r.sent, r.answered, r.lost, r.retransmitted
        ),
    );
    if r.further_blocks > 0 {
        let blocks = r.further_blocks;
        let text = format_args!("blocks: {blocks} requests for further blocks of those bodies");
        line(&mut out, text);
    }
    if let Some(rtt) = r.rtt_s {
        line(
            &mut out,
            format_args!(
                "rtt: min {}, median {}, p95 {}, max {}",
                time(rtt.min),
                time(rtt.median),
                time(rtt.p95),
                time(rtt.max)
            ),
        );
    }
    for flow in &result.flows {
        if let Some(n) = flow.notifications {
            let (client, node, resource) = (&flow.client, &flow.node, printable(&flow.resource));
            let text = format_args!(
                "{client} observes {node}{resource}: {} notifications, {} of them CON, {} lost, {} reordered",
                n.received, n.confirmable, n.lost, n.reordered
            );
            line(&mut out, text);
        }
    }
    summarise_air(&mut out, result);
    for e in &result.expectations {
        let metric = serde_json::to_value(e.metric).unwrap_or_default();
        let metric = metric.as_str().unwrap_or_default().to_owned();
        let found = match (&e.measured, &e.reason) {
            (_, Some(reason)) => reason.clone(),
            (Some(figure), None) if metric == "handover_delay" => ms(*figure),
            (Some(figure), None) if is_duration(&metric) => time(*figure),
            (Some(figure), None) => figure.to_string(),
            (None, None) => String::new(),
        };
        line(
            &mut out,
            format_args!("{}: {metric} {} ({found})", e.outcome.name(), e.expected),
        );
    }
    // The warning is a note, too: once is enough.
    for note in result.notes.iter().filter(|n| Some(*n) != late.as_ref()) {
        line(&mut out, format_args!("note: {note}"));
    }
    out
}

fn is_duration(metric: &str) -> bool {
    matches!(metric, "handover_delay" | "rtt_p95")
}

fn summarise_handover(out: &mut String, h: &result::Handover) {
    let unknown = || "?".to_owned();
    let by = match h.by {
        By::Address => String::new(),
        other => format!(", by {}", other.name()),
    };
    let delay = match h.delay_s {
        Some(delay) => format!("{}, {} lost{by}", ms(delay), h.lost_message_ids.len()),
        None => "not in the capture".into(),
    };
    // A GET goes without saying.
    let method = h.method.as_deref().filter(|method| *method != "GET");
    let method = method.map(|method| format!("{method} "));
    line(
        out,
        format_args!(
            "handover of {} from {} to {}, seen by {} at {}{}: {delay}",
            h.node,
            h.from.clone().unwrap_or_else(unknown),
            h.to.clone().unwrap_or_else(unknown),
            h.client,
            method.unwrap_or_default(),
            printable(&h.resource)
        ),
    );
    if !h.phases.is_empty() {
        let phase =
            |(phase, seconds): (&rundir::Phase, &f64)| format!("{} {}", phase.name(), ms(*seconds));
        let phases: Vec<String> = h.phases.iter().map(phase).collect();
        line(out, format_args!("  phases: {}", phases.join(", ")));
    }
    summarise_energy(out, h);
    if let Some(signalling) = &h.signalling {
        let cost = |cost: Cost| format!("{} messages, {} bytes", cost.messages, cost.bytes);
        let (air, wired) = (signalling.over_air(), signalling.on_wire());
        let (air, wired) = (cost(air), cost(wired));
        line(out, format_args!("  signalling: air {air}; wired {wired}"));
    }
}

/// What the moving node's radio used in the phases of a handover.
fn summarise_energy(out: &mut String, h: &result::Handover) {
    let Some(energy) = h.energy_mj.as_ref().filter(|e| !e.is_empty()) else {
        return;
    };
    let total: f64 = energy.values().sum();
    // A phase of which it is not known is missing in the sum.
    let known = h.phases.phases().all(|phase| energy.get(phase).is_some());
    let at_least = if known { "" } else { "at least " };
    let phase = |(phase, mj): (&rundir::Phase, &f64)| format!("{} {mj:.3} mJ", phase.name());
    let phases: Vec<String> = energy.iter().map(phase).collect();
    let phases = phases.join(", ");
    line(
        out,
        format_args!("  energy: {at_least}{total:.3} mJ: {phases}"),
    );
}

/// Why the air was not punctual enough to be trusted.
fn lateness(result: &RunResult) -> Option<String> {
    crate::air::late(result.air.as_ref()?, result.lateness_limit_s?)
}

fn summarise_air(out: &mut String, result: &RunResult) {
    if let Some(air) = &result.air {
        let dropped = air
            .dropped
            .values()
            .fold(0, |a: u64, b| a.saturating_add(*b));
        let reason = |(reason, count): (&String, &u64)| format!("{count} {reason}");
        let reasons: Vec<String> = air.dropped.iter().map(reason).collect();
        let reasons = match dropped {
            0 => String::new(),
            _ => format!(" ({})", reasons.join(", ")),
        };
        line(
            out,
            format_args!(
                "air: {} frames, {} transmissions, {} delivered, {dropped} dropped{reasons}",
                air.frames, air.transmissions, air.delivered
            ),
        );
    }
    let radios = result.radios.as_deref().unwrap_or_default();
    if radios.len() > MOST_RADIOS {
        return;
    }
    for r in radios {
        line(
            out,
            format_args!(
                "radio of {}: {:.3} mJ (tx {:.3} s, rx {:.3} s, listen {:.3} s, sleep {:.3} s)",
                r.node, r.millijoules, r.tx_s, r.rx_s, r.listen_s, r.sleep_s
            ),
        );
    }
}

/// Message IDs, those that follow each other as a range.
fn ids(ids: &[u16]) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &id in ids {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(id) => *last = id,
            _ => ranges.push((id, id)),
        }
    }
    let texts = ranges.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn since(start: SimTime, time: SimTime) -> String {
    let since = time.saturating_since(start);
    format!("{}.{:06}", since.as_secs(), since.subsec_micros())
}

fn milliseconds(duration: Duration) -> String {
    ms(result::seconds(duration))
}

/// Seconds as people read them: with microseconds as long as those matter.
fn time(seconds: f64) -> String {
    if seconds < 10.0 {
        ms(seconds)
    } else {
        format!("{seconds:.1} s")
    }
}

/// Seconds as milliseconds with microseconds.
fn ms(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1e3)
}

/// A name that came over the network, with the characters escaped that a terminal would obey.
fn printable(name: &str) -> String {
    let escaped = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    name.chars().map(escaped).collect()
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_are_read_in_seconds_and_short_ones_to_the_microsecond() {
        assert_eq!(time(31.6), "31.6 s");
        assert_eq!(time(151.0), "151.0 s");
        assert_eq!(time(2.844316), "2844.316 ms");
        assert_eq!(time(0.00004), "0.040 ms");
    }

    #[test]
    fn ids_that_follow_each_other_are_printed_as_a_range() {
        assert_eq!(ids(&[9407, 9408, 3, 65535, 0]), "9407-9408, 3, 65535, 0");
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let evil = "/\u{1b}[31mred\nfake\u{9b}0m";
        assert_eq!(printable(evil), "/\\u{1b}[31mred\\nfake\\u{9b}0m");
        assert_eq!(printable("/temp\\é?a=b"), "/temp\\é?a=b");
    }
}
