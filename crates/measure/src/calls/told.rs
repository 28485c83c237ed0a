//! What clients were to ask, as text.

use super::{Tally, by_frequency};
use crate::result::RunResult;

/// With more clients than this only those are listed of which a request failed.
const MOST_CLIENTS: usize = 8;

/// The lines of a run's summary: all clients, and each if there are several.
pub(crate) fn lines(result: &RunResult) -> Vec<String> {
    let calls = &result.calls;
    if calls.clients.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("asked: {}", tally(&calls.all))];
    if calls.clients.len() > 1 {
        let all = calls.clients.len() <= MOST_CLIENTS;
        let listed = calls.clients.iter();
        let listed = listed.filter(|c| all || c.tally.known_failures() > 0);
        lines.extend(listed.map(|c| format!("  {}: {}", c.client, tally(&c.tally))));
    }
    let errors = &result.requests.error_responses;
    if !errors.is_empty() {
        let errors = errors.iter().map(|(code, n)| (code.clone(), *n as u64));
        let errors = by_frequency(&errors.collect());
        lines.push(format!("error responses: {errors}"));
    }
    lines
}

/// Where accounts and captures do not fit together, a sentence each.
pub(crate) fn differences(result: &RunResult) -> impl Iterator<Item = String> {
    let clients = result.calls.clients.iter();
    clients.flat_map(|c| {
        let of_client = c.differences.iter();
        of_client.map(move |difference| format!("{}: {difference}", c.client))
    })
}

/// `2252, answered 904 (40.14 %), failed 1348 (1300 hold timeout, 48 timeout), never sent 1300`, and if
/// some waited `, waited 12 (mean 80.000 ms, longest 12500.000 ms)`
pub fn tally(tally: &Tally) -> String {
    let count = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let delivery = match tally.delivery_percent {
        Some(percent) => format!(" ({percent:.2} %)"),
        None => String::new(),
    };
    let failed = match tally.failed {
        None => format!("at least {}", tally.known_failures()),
        failed => count(failed),
    };
    let reasons = match tally.reasons.is_empty() {
        true => String::new(),
        false => format!(" ({})", tally.reasons_text()),
    };
    let waited = tally.waited;
    let waited = waited.map_or_else(String::new, |waited| format!(", waited {waited}"));
    format!(
        "{}, answered {}{delivery}, failed {failed}{reasons}, never sent {}{waited}",
        count(tally.asked),
        count(tally.answered),
        count(tally.never_sent)
    )
}
