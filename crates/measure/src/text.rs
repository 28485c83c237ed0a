//! Reports as plain text, the same on every machine: no colours, no terminal width.
//!
//! | module | holds |
//! | --- | --- |
//! | `applications` | what nodes sent and received for their applications |
//! | `captures` | what `wpanlab analyze` prints |
//! | `http` | what clients asked gateways by HTTP |

mod applications;
mod captures;
mod http;

use std::fmt::Write as _;

use topology::plan::{Metric, Unit};

use crate::attachment::By;
use crate::calls::told;
use crate::dissect::Faults;
use crate::result::{self, RunResult};
use crate::signalling::Cost;

pub(crate) use captures::stepped_text;
pub use captures::{Table, nothing, report};

/// With more radios than this a run's summary does not list them.
const MOST_RADIOS: usize = 8;

/// The end of `wpanlab run`: what was measured, in a dozen lines.
pub fn summary(result: &RunResult) -> String {
    let mut out = String::new();
    let verdict = match (&result.partial, result.passed, result.uncovered.is_empty()) {
        (Some(_), ..) => "partial",
        (None, true, true) => "passed",
        (None, true, false) => "passed, although something failed",
        (None, false, _) => "failed",
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
    for failed in &result.uncovered {
        line(&mut out, format_args!("WARNING: {failed}"));
    }
    for handover in &result.handovers {
        summarise_handover(&mut out, handover);
    }
    for asked in told::lines(result) {
        line(&mut out, format_args!("{}", printable(&asked)));
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
        let [min, median, p95, max] = times([rtt.min, rtt.median, rtt.p95, rtt.max]);
        line(
            &mut out,
            format_args!(
                "rtt: min {min}, median {median}, p95 {p95}, max {max} (without waiting in the client)"
            ),
        );
    }
    for flow in &result.flows {
        if let Some(n) = flow.notifications {
            let (client, node, resource) = (&flow.client, &flow.node, printable(&flow.resource));
            let sent = n
                .sent
                .map_or_else(|| "?".to_owned(), |sent| sent.to_string());
            let lost = match n.lost {
                Some(lost) => format!("{lost} lost ({:.2} %)", n.lost_percent.unwrap_or_default()),
                None => "? lost".into(),
            };
            let text = format_args!(
                "{client} observes {node}{resource}: {sent} notifications sent, {} received, {} of them CON, {lost}, {} reordered",
                n.received, n.confirmable, n.reordered
            );
            line(&mut out, text);
        }
    }
    applications::summarise(&mut out, &result.applications);
    http::summarise(&mut out, &result.http);
    summarise_air(&mut out, result);
    for e in &result.expectations {
        let found = match (&e.measured, &e.reason) {
            (_, Some(reason)) => reason.clone(),
            (Some(figure), None) => measured(e.metric, *figure),
            (None, None) => String::new(),
        };
        // What held until then need not hold to the end.
        let so_far = match result.partial {
            Some(_) => " so far",
            None => "",
        };
        let outcome = e.outcome.name();
        line(&mut out, format_args!("{outcome}{so_far}: {e} ({found})"));
    }
    for difference in told::differences(result) {
        line(&mut out, format_args!("note: {difference}"));
    }
    // The warning is a note, too: once is enough.
    for note in result.notes.iter().filter(|n| Some(*n) != late.as_ref()) {
        line(&mut out, format_args!("note: {note}"));
    }
    out
}

/// A figure with the unit of its metric.
pub fn measured(metric: Metric, figure: f64) -> String {
    match metric.unit() {
        Unit::Count => figure.to_string(),
        Unit::Seconds if metric == Metric::HandoverDelay => ms(figure),
        Unit::Seconds => time(figure),
        Unit::Percent => format!("{figure:.2} %"),
        Unit::Millijoules => format!("{figure:.3} mJ"),
    }
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
    // A phase of which it is not known is missing in it; results of former programs have no sum.
    let known = h.phases.phases().all(|phase| energy.get(phase).is_some());
    let at_least = if known { "" } else { "at least " };
    let total = h.energy_total_mj;
    let total = total.map_or_else(String::new, |mj| format!("{at_least}{mj:.3} mJ: "));
    let phase = |(phase, mj): (&rundir::Phase, &f64)| format!("{} {mj:.3} mJ", phase.name());
    let phases: Vec<String> = energy.iter().map(phase).collect();
    let phases = phases.join(", ");
    line(out, format_args!("  energy: {total}{phases}"));
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

/// Seconds as people read them: with microseconds as long as those matter.
pub(crate) fn time(seconds: f64) -> String {
    let [time] = times([seconds]);
    time
}

/// The times of one line, all in the unit of the shortest: they are there to be compared.
pub(crate) fn times<const N: usize>(seconds: [f64; N]) -> [String; N] {
    let long = seconds.iter().all(|seconds| *seconds >= 10.0);
    seconds.map(|seconds| match long {
        true => format!("{seconds:.1} s"),
        false => ms(seconds),
    })
}

/// Seconds as milliseconds with microseconds.
fn ms(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1e3)
}

/// `text` of so many: of every `{several|one}` the one that fits.
pub(crate) fn counted(count: u64, text: &str) -> String {
    let mut parts = text.split(['{', '|', '}']);
    let mut counted = parts.next().unwrap_or_default().to_owned();
    while let (Some(several), Some(one), Some(rest)) = (parts.next(), parts.next(), parts.next()) {
        counted.push_str(if count == 1 { one } else { several });
        counted.push_str(rest);
    }
    counted
}

/// `2 Mobility Headers with a wrong checksum, 1 malformed Mobility Header`.
pub(crate) fn faults_text(faults: &Faults) -> String {
    let each = faults.iter();
    let each = each.map(|(what, count)| format!("{count} {}", counted(*count, what)));
    each.collect::<Vec<_>>().join(", ")
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
    fn one_is_counted_as_one() {
        let text = "{requests|request} that {were|was} lost";
        assert_eq!(counted(1, text), "request that was lost");
        assert_eq!(counted(2, text), "requests that were lost");
        assert_eq!(counted(1, "further"), "further");
    }

    #[test]
    fn the_times_of_a_line_have_one_unit() {
        assert_eq!(times([7.6, 44.3]), ["7600.000 ms", "44300.000 ms"]);
        assert_eq!(times([10.0, 44.3]), ["10.0 s", "44.3 s"]);
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let evil = "/\u{1b}[31mred\nfake\u{9b}0m";
        assert_eq!(printable(evil), "/\\u{1b}[31mred\\nfake\\u{9b}0m");
        assert_eq!(printable("/temp\\é?a=b"), "/temp\\é?a=b");
    }
}
