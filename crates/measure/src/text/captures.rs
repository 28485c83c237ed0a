//! What `wpanlab analyze` prints.

use std::collections::BTreeMap;
use std::time::Duration;

use units::SimTime;

use super::{counted, line, ms, printable, time, times};
use crate::analysis::{Analysis, Exchange, Flow, Gap, Other, Requests, Stepped, method_name};
use crate::attachment::{Change, Handover, Unseen};
use crate::calls::by_frequency;
use crate::dissect::Protocol;
use crate::result;

/// Rows shown on either side of one that is worth a look.
const CONTEXT: usize = 2;

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
    warnings(&mut out, other);
    if analysis.flows.is_empty() {
        line(&mut out, format_args!("{}", nothing(analysis)));
        udp_ports(&mut out, other);
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
        (other.notifications, "Observe {notifications|notification}"),
        (
            other.begun_before,
            "of them of {registrations|a registration} that {were|was} not captured",
        ),
        (
            other.multicast,
            "{requests to multicast groups|request to a multicast group}, not paired",
        ),
        (other.multicast_responses, "{responses|response} to those"),
        (
            other.wants_none,
            "{requests that want|request that wants} no response (RFC 7967), and had none",
        ),
        (
            other.deregistrations,
            "{deregistrations of observers|deregistration of an observer}",
        ),
        (other.pings, "{pings|ping}"),
        (
            other.stray,
            "{responses|response} to no request of the capture",
        ),
        (
            other.copies,
            "{copies of CoAP messages|copy of a CoAP message}: the same packet on another hop, at a mirror, around a tunnel",
        ),
        (
            other.seen_elsewhere,
            "further {sightings of CoAP messages at other interfaces|sighting of a CoAP message at another interface}",
        ),
        (
            other.after_end,
            "of the lost requests {were|was} first sent after the end",
        ),
        (other.repeated, "{frames|frame} that the MAC sent again"),
        (
            other.incomplete,
            "{datagrams|datagram} with a missing fragment",
        ),
        (
            other.dropped,
            "of them given up, because too many were begun at once",
        ),
        (
            other.bindings_left_out,
            "{bindings|binding} that {were|was} left out, because there were too many",
        ),
        (
            other.undecodable,
            "{datagrams that are|datagram that is} not CoAP",
        ),
        (
            other.reserved,
            "{messages|message} with a code that is reserved, or that {their|its} type must not have, which {are no responses|is no response}",
        ),
    ];
    if counts.iter().any(|(count, _)| *count > 0) {
        out.push_str("\nbesides\n");
    }
    for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
        line(
            &mut out,
            format_args!("  {count} {}", counted(*count, what)),
        );
    }
    if let Some(first) = &other.first_undecodable {
        line(&mut out, format_args!("    the first: {first}"));
    }
    if !other.faults.is_empty() {
        out.push_str("\nwrong, and dropped by who gets it\n");
    }
    for (what, count) in &other.faults {
        line(
            &mut out,
            format_args!("  {count} {}", counted(*count, what)),
        );
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
    } else if other.multicast > 0 {
        ": those to multicast groups are not paired".into()
    } else if other.coap_messages > 0 {
        String::new()
    } else if other.undecodable > 0 {
        format!(": {} datagrams are not CoAP", other.undecodable)
    } else if not_read > 0 {
        format!(": {not_read} frames were not read")
    } else if other.udp_ports.is_empty() {
        format!(": no packet of {} is UDP", other.packets)
    } else {
        " (is it another UDP port? --port names it)".into()
    };
    format!("no CoAP requests{why}")
}

/// The UDP ports that were seen where there is no CoAP.
fn udp_ports(out: &mut String, other: &Other) {
    if !other.udp_ports.is_empty() {
        out.push_str("\nUDP ports that were seen: --port N reads one as CoAP\n");
    }
    for port in &other.udp_ports {
        let coap = match port.could_be_coap {
            0 => String::new(),
            n => format!(", {n} of them could be CoAP"),
        };
        line(
            out,
            format_args!("  {:>5}  {} datagrams{coap}", port.number, port.datagrams),
        );
    }
    if other.other_udp_ports > 0 {
        line(out, format_args!("  and {} more", other.other_udp_ports));
    }
}

/// What `frames` of a kind are, in a line: `12 frames: ESP`.
fn unread(what: &impl std::fmt::Display, frames: u64) -> String {
    let word = if frames == 1 { "frame" } else { "frames" };
    format!("{frames} {word}: {what}")
}

/// What makes figures less true than they look.
fn warnings(out: &mut String, other: &Other) {
    let counted = [
        (
            other.cut,
            "CoAP messages are cut by the capture (snap length)",
        ),
        (
            other.cut_requests,
            "requests are cut before the end of their options: which resources they are for is not known",
        ),
        (
            other.protected,
            "CoAP messages are protected by OSCORE: methods and resources are not known",
        ),
        (
            other.q_blocks,
            "CoAP messages have Q-Block options (RFC 9177), whose bodies are not put together: each request counts for itself",
        ),
        (
            other.repeated_late,
            "requests repeat one that was not answered, byte for byte, and count as new: if the client sends again as late, --max-transmit-span says so",
        ),
    ];
    for (count, what) in counted.into_iter().filter(|(count, _)| *count > 0) {
        line(out, format_args!("WARNING: {count} {what}"));
    }
    for stepped in &other.stepped {
        line(out, format_args!("WARNING: {}", stepped_text(stepped)));
    }
    for clock in &other.clocks {
        let by = Duration::from_nanos(clock.ahead_ns.unsigned_abs());
        let way = if clock.ahead_ns < 0 {
            "behind"
        } else {
            "ahead"
        };
        line(
            out,
            format_args!(
                "WARNING: the clock of {} is {} {way}, as messages tell that other captures have, too: its times are set by that",
                clock.capture,
                milliseconds(by)
            ),
        );
    }
}

/// What is to be known of a clock that stepped back.
pub(crate) fn stepped_text(stepped: &Stepped) -> String {
    let often = match stepped.times {
        1 => String::new(),
        n => format!(", and {} times more", n - 1),
    };
    let so = match stepped.set {
        true => "what comes next counts from the frame before, by its place in the file",
        false => "its times are taken as they are, and figures may be wrong",
    };
    format!(
        "the clock of {} steps back by {} at frame {}{often}: {so}",
        stepped.capture,
        milliseconds(stepped.back),
        stepped.frame
    )
}

fn report_flow(out: &mut String, flow: &Flow, start: SimTime, table: Table) {
    let to = flow.node.as_deref().map(|n| format!(" {n}"));
    let to = to.unwrap_or_default();
    let client = flow.client.to_string();
    let client = flow.client_name.as_deref().unwrap_or(&client);
    match &flow.token {
        Some(token) => line(
            out,
            format_args!(
                "{client} observes{to} by token {token}: the registration was not captured, the resource is not known"
            ),
        ),
        None => line(
            out,
            format_args!(
                "{client} asks{to} {} {}",
                method_name(flow.method),
                printable(&flow.resource)
            ),
        ),
    }
    if !flow.exchanges.is_empty() {
        requests(out, &flow.requests());
    }
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
        let lost = match (n.lost, n.missing) {
            (Some(lost), _) => format!("{lost} lost"),
            (None, Some(missing)) => {
                format!("{missing} numbers missing, lost if the server counts by one")
            }
            (None, None) => "lost not known, since the server does not count by one".into(),
        };
        line(
            out,
            format_args!(
                "  notified   {} received, {} of them CON, {} reordered, {lost}",
                n.received, n.confirmable, n.reordered
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
    if !r.error_responses.is_empty() {
        let count: usize = r.error_responses.values().sum();
        let errors = r.error_responses.iter();
        let errors = errors.map(|(code, n)| (code.to_string(), *n as u64));
        let errors = by_frequency(&errors.collect());
        line(
            out,
            format_args!("  errors     {count} of the answers: {errors}"),
        );
    }
    if r.further_blocks > 0 {
        let text = format_args!(
            "  blocks     {} more requests for further blocks",
            r.further_blocks
        );
        line(out, text);
    }
    if let Some(rtt) = r.rtt {
        let all = [rtt.min, rtt.median, rtt.p95, rtt.max].map(result::seconds);
        let [min, median, p95, max] = times(all);
        let text = format_args!("  rtt        min {min}, median {median}, p95 {p95}, max {max}");
        line(out, text);
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
        if let Some(protocol) = exchange.protocol() {
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
    let (answered, rtt, by) = match (e.answer(), e.rtt()) {
        (Some(a), Some(rtt)) => (
            since(start, a.time),
            milliseconds(rtt),
            format!("{} {}", a.from, a.code),
        ),
        _ if e.reset().is_some() => ("-".into(), "-".into(), "nobody: rejected (RST)".into()),
        _ => ("-".into(), "-".into(), "nobody: lost".into()),
    };
    let again = match e.duplicates() {
        0 => String::new(),
        n => format!(", {n} more copies"),
    };
    line(
        out,
        format_args!(
            "  {:>10} {:>4} {:>14} {answered:>14} {rtt:>12} {:>5}  {by}{again}",
            e.message_id(),
            if e.confirmable() { "CON" } else { "NON" },
            since(start, e.sent_at()),
            1 + e.retransmissions(),
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
        let answer = e.answered_at();
        answer.is_none_or(|time| edges.binary_search(&time).is_ok())
            || e.retransmissions() > 0
            || e.duplicates() > 0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_follow_each_other_are_printed_as_a_range() {
        assert_eq!(ids(&[9407, 9408, 3, 65535, 0]), "9407-9408, 3, 65535, 0");
    }
}
