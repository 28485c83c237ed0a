//! What failed and no expectation is about.

use std::collections::BTreeMap;

use topology::plan::{Expectation as Expected, Metric};

use super::Evidence;
use crate::calls::{by_frequency, is_never_sent};
use crate::http::RequestCounts;
use crate::mobility::{GivenUp, given_up_text};

/// Metrics that say something of requests which clients gave up before they were sent.
const OF_NEVER_SENT: [Metric; 4] = [
    Metric::Failed,
    Metric::FailedPercent,
    Metric::Delivery,
    Metric::NeverSent,
];
/// Of requests that were sent and not answered, by the client's account or the capture's.
const OF_LOSSES: [Metric; 5] = [
    Metric::Lost,
    Metric::LostPercent,
    Metric::Failed,
    Metric::FailedPercent,
    Metric::Delivery,
];
const OF_ERRORS: [Metric; 1] = [Metric::ErrorResponses];
/// Of notifications that did not arrive.
const OF_NOTIFICATIONS: [Metric; 4] = [
    Metric::Notifications,
    Metric::NotificationsSent,
    Metric::NotificationsLost,
    Metric::NotificationsLostPercent,
];
/// Of requests by HTTP that were not answered, of any kind and of each.
const OF_HTTP: Metric = Metric::HttpDelivery;
const OF_HTTP_UNANSWERED: [Metric; 2] = [OF_HTTP, Metric::HttpUnanswered];
const OF_HTTP_DEFERRED: [Metric; 2] = [OF_HTTP, Metric::HttpDeferred];
const OF_HTTP_REFUSED: [Metric; 2] = [OF_HTTP, Metric::HttpRefused];
/// Of handovers that did not complete.
const OF_HANDOVERS: [Metric; 2] = [Metric::Handovers, Metric::HandoversGivenUp];

/// The end of each sentence.
const SO: &str = ", and no expectation is about that";

impl Evidence<'_> {
    /// A sentence for each kind of thing that failed, with how often, of what no expectation of the
    /// topology is about.
    pub(crate) fn uncovered(&self, expected: &[Expected]) -> Vec<String> {
        let sentences = [
            self.failures_uncovered(expected),
            self.flows_uncovered(
                expected,
                &OF_LOSSES,
                "requests that were sent were lost",
                |f| (f.requests.lost, f.requests.sent),
            ),
            self.flows_uncovered(expected, &OF_ERRORS, "answers were errors", |f| {
                let errors = f.requests.error_responses.values().sum();
                (errors, f.requests.answered)
            }),
            self.flows_uncovered(
                expected,
                &OF_NOTIFICATIONS,
                "notifications were lost",
                |f| {
                    let counts = f.notifications.and_then(|n| Some((n.lost?, n.sent?)));
                    counts.unwrap_or_default()
                },
            ),
            self.unconnected_uncovered(expected),
            self.http_uncovered(
                expected,
                &OF_HTTP_UNANSWERED,
                "requests by HTTP had no response",
                |counts| counts.unanswered,
            ),
            self.http_uncovered(
                expected,
                &OF_HTTP_DEFERRED,
                "requests by HTTP were answered 503, to be asked again",
                |counts| counts.deferred,
            ),
            self.http_uncovered(
                expected,
                &OF_HTTP_REFUSED,
                "responses by HTTP were errors",
                |counts| counts.refused.values().sum(),
            ),
            self.handovers_uncovered(expected),
        ];
        sentences.into_iter().flatten().collect()
    }

    fn failures_uncovered(&self, expected: &[Expected]) -> Option<String> {
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        for ((client, node, reason), count) in &self.failures.0 {
            let node = node.as_deref().unwrap_or_default();
            let metrics = match is_never_sent(reason) {
                true => &OF_NEVER_SENT[..],
                false => &OF_LOSSES[..],
            };
            let covered =
                (expected.iter()).any(|e| metrics.contains(&e.metric) && e.of.has(client, node));
            if !covered {
                *reasons.entry(reason.clone()).or_default() += count;
            }
        }
        let sum: u64 = reasons.values().sum();
        let of = match self.calls.all.asked {
            Some(asked) => format!(" of {asked}"),
            None => String::new(),
        };
        let reasons = by_frequency(&reasons);
        (sum > 0).then(|| format!("{sum}{of} requests failed{SO}: {reasons}"))
    }

    /// `count` gives how many of how many failed.
    fn flows_uncovered(
        &self,
        expected: &[Expected],
        metrics: &[Metric],
        what: &str,
        count: fn(&crate::result::Flow) -> (usize, usize),
    ) -> Option<String> {
        let (mut failed, mut all) = (0, 0);
        for flow in self.flows {
            let covered = expected.iter().any(|e| {
                let method = flow.method.as_deref();
                metrics.contains(&e.metric)
                    && e.of
                        .has_flow(&flow.client, &flow.node, method, &flow.resource)
            });
            let (of_flow, of_all) = count(flow);
            all += of_all;
            failed += if covered { 0 } else { of_flow };
        }
        (failed > 0).then(|| format!("{failed} of {all} {what}{SO}"))
    }

    /// `count` gives how many requests by HTTP failed so.
    fn http_uncovered(
        &self,
        expected: &[Expected],
        metrics: &[Metric],
        what: &str,
        count: fn(&RequestCounts) -> usize,
    ) -> Option<String> {
        let (mut failed, mut all) = (0, 0);
        for client in &self.http.clients {
            for poll in &client.polls {
                let covered = expected.iter().any(|e| {
                    let of = &e.of;
                    metrics.contains(&e.metric)
                        && of.has_flow(&client.client, &poll.node, Some("GET"), &poll.path)
                });
                all += poll.requests.sent;
                failed += if covered { 0 } else { count(&poll.requests) };
            }
        }
        (failed > 0).then(|| format!("{failed} of {all} {what}{SO}"))
    }

    /// Requests by HTTP that had no connection.
    fn unconnected_uncovered(&self, expected: &[Expected]) -> Option<String> {
        let uncovered = self.http.clients.iter().filter(|client| {
            let is_about = |e: &Expected| {
                let mut polls = client.polls.iter();
                OF_HTTP_UNANSWERED.contains(&e.metric)
                    && polls.any(|poll| {
                        let (client, node) = (&client.client, &poll.node);
                        e.of.has_flow(client, node, Some("GET"), &poll.path)
                    })
            };
            !expected.iter().any(is_about)
        });
        let failed: usize = uncovered
            .map(|client| client.connections.unconnected())
            .sum();
        (failed > 0).then(|| format!("{failed} requests by HTTP had no connection{SO}"))
    }

    fn handovers_uncovered(&self, expected: &[Expected]) -> Option<String> {
        let uncovered = |h: &&GivenUp| {
            !(expected.iter()).any(|e| OF_HANDOVERS.contains(&e.metric) && e.of.has("", &h.node))
        };
        let uncovered: Vec<GivenUp> = (self.given_up.iter().filter(uncovered)).cloned().collect();
        given_up_text(&uncovered).map(|text| format!("{text}{SO}"))
    }
}
