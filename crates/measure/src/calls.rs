//! What clients were to ask, and what became of it by their own account.
//!
//! A capture shows what was sent. What waited in a client and was given up there is in no
//! capture: only the client's own count ([`EventKind::Drained`]) has it.

pub(crate) mod told;

use std::collections::BTreeMap;
use std::fmt;

use rundir::{Event, EventKind};
use serde::{Deserialize, Serialize};
use topology::Plan;
use topology::plan::NodeName;

use crate::result::Flow;
use crate::text::times;

pub use told::tally as tally_text;

/// Reasons of failures, as [`EventKind::RequestFailed`] has them, with which a request was given up
/// before it left its client. `docs/result.md` has all reasons.
const NEVER_SENT: [&str; 6] = [
    "hold queue full",
    "hold timeout",
    "backlog full",
    "backlog timeout",
    "node unknown",
    "no way to protect it",
];
/// Beginnings of such reasons, which go on with what a peer said.
const NEVER_SENT_BECAUSE: [&str; 2] = ["discovery failed: ", "never sent: "];

/// What clients were to ask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    /// Of all clients; what is not known of one is not known of all.
    pub all: Tally,
    /// Client by client, in the order of names.
    pub clients: Vec<ClientCalls>,
}

/// What one client was to ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientCalls {
    /// The client.
    pub client: NodeName,
    /// Its counts.
    #[serde(flatten)]
    pub tally: Tally,
    /// Where its account and its capture, or two parts of its account, do not fit together.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub differences: Vec<String>,
}

/// `12 (mean 80.000 ms, longest 12500.000 ms)`
impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [mean, longest] = times([self.mean_s, self.longest_s]);
        write!(f, "{} (mean {mean}, longest {longest})", self.requests)
    }
}

/// Counts of requests by the account of whoever asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// That were to be asked: polls that were due; of an observation its beginning. Not known if
    /// the client did not live to tell, or was started again in between.
    pub asked: Option<u64>,
    /// That were answered, be it with an error.
    pub answered: Option<u64>,
    /// That were given up. Not known if the client did not live to tell.
    pub failed: Option<u64>,
    /// Those given up by reason: those that are known.
    pub reasons: BTreeMap<String, u64>,
    /// Those given up before they left the client; they are in no capture.
    pub never_sent: Option<u64>,
    /// Answered of those asked, in percent; absent if nothing was asked.
    pub delivery_percent: Option<f64>,
    /// Those that waited in the client before they were sent; absent if none did, or that is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waited: Option<Waited>,
}

/// Requests that were sent, and not at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waited {
    /// How many.
    pub requests: u64,
    /// Mean of them, seconds.
    pub mean_s: f64,
    /// The longest, seconds.
    pub longest_s: f64,
}

impl Waited {
    fn of(told: &rundir::event::Waited) -> Option<Waited> {
        let known = told.requests > 0 && told.total_s.is_finite() && told.longest_s.is_finite();
        known.then(|| Waited {
            requests: told.requests,
            mean_s: told.total_s / told.requests as f64,
            longest_s: told.longest_s,
        })
    }

    fn and(self, other: Waited) -> Waited {
        let total = |w: Waited| w.mean_s * w.requests as f64;
        let requests = self.requests.saturating_add(other.requests);
        Waited {
            requests,
            mean_s: (total(self) + total(other)) / requests as f64,
            longest_s: self.longest_s.max(other.longest_s),
        }
    }
}

impl Tally {
    fn of(own: &Account<'_>) -> Tally {
        let last = own.drained.filter(|_| own.lives < 2);
        let reasons = own.reasons();
        let told: u64 = reasons.values().sum();
        let never_sent = reasons.iter().filter(|(reason, _)| is_never_sent(reason));
        let never_sent = never_sent.map(|(_, count)| count).sum();
        Tally {
            asked: last.map(|drained| drained.requested),
            answered: last.map(|drained| drained.answered),
            // Its own count starts anew with a restarted daemon; the log's does not.
            failed: own.drained.map(|drained| drained.failed.max(told)),
            reasons,
            never_sent: own.drained.map(|_| never_sent),
            delivery_percent: None,
            waited: last.and_then(|drained| Waited::of(drained.waited?)),
        }
        .with_delivery()
    }

    fn with_delivery(mut self) -> Tally {
        let counts = self.answered.zip(self.asked);
        let counts = counts.filter(|(_, asked)| *asked > 0);
        self.delivery_percent =
            counts.map(|(answered, asked)| 100.0 * answered as f64 / asked as f64);
        self
    }

    fn add(&mut self, other: &Tally) {
        let sum = |a: &mut Option<u64>, b: Option<u64>| *a = a.zip(b).map(|(a, b)| a + b);
        sum(&mut self.asked, other.asked);
        sum(&mut self.answered, other.answered);
        sum(&mut self.failed, other.failed);
        sum(&mut self.never_sent, other.never_sent);
        self.waited = match (self.waited, other.waited) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
    }

    /// How many were given up as far as that is known, which is all of them if it is known.
    pub fn known_failures(&self) -> u64 {
        self.failed
            .unwrap_or_else(|| self.reasons.values().sum::<u64>())
    }

    /// `1300 hold timeout, 48 backlog timeout`: the most frequent reason first.
    pub fn reasons_text(&self) -> String {
        by_frequency(&self.reasons)
    }
}

/// `41 er2 lost, 5 no better router heard`: words with their counts, the most frequent one first.
pub(crate) fn by_frequency(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let text = |(reason, count): &(&String, &u64)| format!("{count} {reason}");
    counts.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// Whether a request that failed for `reason` never left its client.
pub fn is_never_sent(reason: &str) -> bool {
    let mut beginnings = NEVER_SENT_BECAUSE.iter();
    NEVER_SENT.contains(&reason) || beginnings.any(|words| reason.starts_with(words))
}

/// The counts of a client's `drained` event.
#[derive(Clone, Copy)]
struct Drained<'e> {
    requested: u64,
    answered: u64,
    sent: u64,
    failed: u64,
    reasons: &'e BTreeMap<String, u64>,
    waited: Option<&'e rundir::event::Waited>,
}

/// What the log has of a client's requests.
struct Account<'e> {
    /// What it told last.
    drained: Option<Drained<'e>>,
    /// How often it was started.
    lives: usize,
    /// Failures that it told as they happened.
    logged: BTreeMap<String, u64>,
}

impl<'e> Account<'e> {
    fn of(events: &'e [Event], client: &str) -> Account<'e> {
        let mut own = Account {
            drained: None,
            lives: 0,
            logged: BTreeMap::new(),
        };
        for event in events.iter().filter(|event| event.node == client) {
            match &event.kind {
                EventKind::Ready => own.lives += 1,
                EventKind::RequestFailed { reason, .. } => {
                    *own.logged.entry(reason.clone()).or_default() += 1;
                }
                EventKind::Drained {
                    requested,
                    answered,
                    sent,
                    failed,
                    reasons,
                    waited,
                } => {
                    own.drained = Some(Drained {
                        requested: *requested,
                        answered: *answered,
                        sent: *sent,
                        failed: *failed,
                        reasons,
                        waited: waited.as_ref(),
                    });
                }
                _ => {}
            }
        }
        own
    }

    /// Failures by reason, from whichever has more of them: the log, or the client's count.
    fn reasons(&self) -> BTreeMap<String, u64> {
        let sum = |of: &BTreeMap<String, u64>| of.values().sum::<u64>();
        match self.drained {
            Some(drained) if sum(drained.reasons) > sum(&self.logged) => drained.reasons.clone(),
            _ => self.logged.clone(),
        }
    }

    /// Where the two parts of the account do not fit together.
    fn differences(&self) -> Vec<String> {
        let mut differences = Vec::new();
        let logged: u64 = self.logged.values().sum();
        match self.drained {
            None => differences.push(
                "it did not live to tell how much it asked: what failed is what the log has".into(),
            ),
            Some(_) if self.lives > 1 => differences.push(format!(
                "it was started {} times: how much it asked before the last time is not known",
                self.lives
            )),
            Some(drained) => {
                if drained.failed != logged {
                    differences.push(format!(
                        "it counted {} failed requests, and told of {logged} as they failed",
                        drained.failed
                    ));
                }
                let ended = [drained.answered, drained.sent, drained.failed];
                let ended = ended.into_iter().fold(0, u64::saturating_add);
                if ended != drained.requested {
                    differences.push(format!(
                        "it asked {} requests, and {ended} were answered or failed",
                        drained.requested
                    ));
                }
            }
        }
        differences
    }
}

/// What every client was to ask. `flows` are what their captures show; without the captures,
/// `None`.
pub(crate) fn calls(plan: &Plan, events: &[Event], flows: Option<&[Flow]>) -> Calls {
    let clients = plan.nodes.iter().filter(|(_, node)| node.asks());
    let clients: Vec<ClientCalls> = clients
        .map(|(client, _)| {
            let own = Account::of(events, client);
            let tally = Tally::of(&own);
            let mut differences = own.differences();
            if let Some(flows) = flows {
                let of_client = flows.iter().filter(|flow| flow.client == *client);
                differences.extend(beside_capture(&tally, of_client));
            }
            ClientCalls {
                client: client.clone(),
                tally,
                differences,
            }
        })
        .collect();
    let mut all = Tally {
        asked: Some(0),
        answered: Some(0),
        failed: Some(0),
        never_sent: Some(0),
        ..Tally::default()
    };
    clients.iter().for_each(|client| all.add(&client.tally));
    Calls {
        all: all.with_delivery(),
        clients,
    }
}

/// Where a client's account and its capture do not fit together.
fn beside_capture<'f>(tally: &Tally, flows: impl Iterator<Item = &'f Flow>) -> Vec<String> {
    let (mut sent, mut answered, mut observes) = (0, 0, false);
    for flow in flows {
        sent += flow.requests.sent as u64;
        answered += flow.requests.answered as u64;
        observes |= flow.notifications.is_some();
    }
    let mut differences = Vec::new();
    let told = tally.asked.zip(tally.never_sent);
    let told = told.map(|(asked, never_sent)| asked.saturating_sub(never_sent));
    if let Some(told) = told.filter(|told| *told != sent) {
        // An observation is asked for once. Its registration is sent as often as it is renewed, and
        // a notification whose body has more blocks is followed by a request for them.
        let renewed = match observes && sent > told {
            true => " (registrations sent anew and fetches of notified bodies are requests there)",
            false => "",
        };
        differences.push(format!(
            "by its own account it sent {told} requests, its capture has {sent}{renewed}"
        ));
    }
    if let Some(told) = tally.answered.filter(|told| *told != answered && !observes) {
        differences.push(format!(
            "by its own account {told} requests were answered, in its capture {answered}"
        ));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind) -> Event {
        Event {
            time_ns: 0,
            node: "client".into(),
            kind,
        }
    }

    fn failed(reason: &str) -> Event {
        event(EventKind::RequestFailed {
            p_addr: "fd00:f::5".parse().unwrap(),
            reason: reason.into(),
        })
    }

    fn drained(requested: u64, answered: u64, reasons: &[(&str, u64)]) -> Event {
        event(EventKind::Drained {
            requested,
            answered,
            sent: 0,
            failed: reasons.iter().map(|(_, count)| count).sum(),
            reasons: reasons.iter().map(|(r, n)| ((*r).into(), *n)).collect(),
            waited: None,
        })
    }

    fn of(events: &[Event]) -> (Tally, Vec<String>) {
        let own = Account::of(events, "client");
        (Tally::of(&own), own.differences())
    }

    #[test]
    fn what_waited_in_the_client_and_was_given_up_is_told_by_reason_and_never_sent() {
        let (tally, differences) = of(&[
            event(EventKind::Ready),
            failed("hold timeout"),
            failed("backlog timeout"),
            failed("timeout"),
            failed("hold timeout"),
            drained(
                9,
                5,
                &[("hold timeout", 2), ("backlog timeout", 1), ("timeout", 1)],
            ),
        ]);
        assert_eq!(differences, Vec::<String>::new());
        assert_eq!(
            (tally.asked, tally.answered, tally.failed, tally.never_sent),
            (Some(9), Some(5), Some(4), Some(3))
        );
        assert_eq!(
            tally.reasons_text(),
            "2 hold timeout, 1 backlog timeout, 1 timeout"
        );
        assert!((tally.delivery_percent.unwrap() - 500.0 / 9.0).abs() < 1e-12);
    }

    #[test]
    fn what_waited_in_the_client_and_was_sent_is_told_with_mean_and_longest() {
        let told = |requests, total_s, longest_s| {
            let mut drained = drained(9, 9, &[]);
            if let EventKind::Drained { waited, .. } = &mut drained.kind {
                *waited = Some(rundir::event::Waited {
                    requests,
                    total_s,
                    longest_s,
                });
            }
            of(&[event(EventKind::Ready), drained]).0
        };
        let (one, other) = (told(4, 2.0, 1.5), told(1, 0.5, 0.5));
        let waited = one.waited.unwrap();
        assert_eq!(
            (waited.requests, waited.mean_s, waited.longest_s),
            (4, 0.5, 1.5)
        );
        assert!(tally_text(&one).ends_with(", waited 4 (mean 500.000 ms, longest 1500.000 ms)"));
        let mut sum = one;
        sum.add(&other);
        let waited = sum.waited.unwrap();
        assert_eq!(
            (waited.requests, waited.mean_s, waited.longest_s),
            (5, 0.5, 1.5)
        );
        // Nobody's file makes a figure that is none.
        assert_eq!(told(0, 1.0, 1.0).waited, None);
        assert_eq!(told(2, f64::INFINITY, 1.0).waited, None);
    }

    #[test]
    fn a_client_that_did_not_live_to_tell_leaves_what_the_log_has() {
        let (tally, differences) = of(&[event(EventKind::Ready), failed("hold timeout")]);
        assert_eq!((tally.asked, tally.failed), (None, None));
        assert_eq!(tally.delivery_percent, None);
        assert_eq!(tally.known_failures(), 1);
        assert!(differences[0].starts_with("it did not live to tell"));
    }

    #[test]
    fn a_client_that_was_started_again_has_forgotten_what_it_asked_and_not_what_failed() {
        let (tally, differences) = of(&[
            event(EventKind::Ready),
            failed("timeout"),
            event(EventKind::Ready),
            failed("timeout"),
            drained(7, 6, &[("timeout", 1)]),
        ]);
        assert_eq!((tally.asked, tally.failed), (None, Some(2)));
        assert!(differences[0].starts_with("it was started 2 times"));
    }

    #[test]
    fn two_parts_of_an_account_that_do_not_fit_together_are_told() {
        let (tally, differences) = of(&[failed("timeout"), drained(9, 5, &[("timeout", 3)])]);
        assert_eq!(tally.failed, Some(3));
        assert_eq!(
            differences,
            [
                "it counted 3 failed requests, and told of 1 as they failed",
                "it asked 9 requests, and 8 were answered or failed"
            ]
        );
    }

    #[test]
    fn a_reason_is_one_of_what_was_never_sent_if_the_documentation_says_so() {
        let page = include_str!("../../../docs/result.md");
        let table = page.split("| reason | sent |").nth(1).unwrap();
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let mut sent = BTreeMap::new();
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let reason = cells[1].trim_matches('`').replace('…', "5.03");
            assert_eq!(is_never_sent(&reason), cells[2] == "no", "{reason}");
            *sent.entry(cells[2]).or_insert(0) += 1;
        }
        assert!(sent["no"] >= 8 && sent["yes"] >= 8, "{sent:?}");
    }
}
