//! Whether the topology's expectations hold.

use rundir::{Event, EventKind};
use topology::plan::{Comparison, Expectation as Expected, Metric};

use crate::result::{Expectation, Handover, Outcome, Requests};

/// What expectations are compared with.
pub(crate) struct Evidence<'a> {
    pub(crate) handovers: &'a [Handover],
    /// Handovers that nodes completed; absent without an event log of the scenario.
    pub(crate) completed: Option<usize>,
    pub(crate) requests: &'a Requests,
    /// Requests that clients gave up, or why that is not known.
    pub(crate) failed: Result<u64, String>,
    /// Why the clients' traffic is not known completely, if it is not.
    pub(crate) traffic_gap: Option<&'a str>,
}

/// Figures to compare: every one of them must hold.
type Figures = Result<Vec<f64>, String>;

impl Evidence<'_> {
    /// Compares. What cannot be measured never passes.
    pub(crate) fn judge(&self, expected: &Expected) -> Expectation {
        let expectation = |measured, outcome, reason| Expectation {
            metric: expected.metric,
            expected: expected.text.clone(),
            measured,
            outcome,
            reason,
        };
        let figures = match self.figures(expected.metric) {
            Ok(figures) => figures,
            Err(reason) => return expectation(None, Outcome::NotMeasured, Some(reason)),
        };
        let holds = |figure: &f64| expected.comparison.holds(*figure, expected.value);
        let outcome = if figures.iter().all(holds) {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        expectation(decisive(&figures, expected), outcome, None)
    }

    fn figures(&self, metric: Metric) -> Figures {
        let count = |n: usize| Ok(vec![n as f64]);
        match metric {
            Metric::Handovers => match self.completed {
                Some(n) => count(n),
                None => Err("the event log has no start of the scenario".into()),
            },
            Metric::HandoverDelay => self.delays(),
            Metric::Lost => self.traffic().and_then(|r| count(r.lost)),
            Metric::Answered => self.traffic().and_then(|r| count(r.answered)),
            Metric::Retransmitted => self.traffic().and_then(|r| count(r.retransmitted)),
            Metric::Failed => self.failed.clone().map(|n| vec![n as f64]),
            Metric::RttP95 => {
                let rtt = self.traffic()?.rtt_s;
                let rtt = rtt.ok_or("no request was answered")?;
                Ok(vec![rtt.p95])
            }
        }
    }

    fn traffic(&self) -> Result<&Requests, String> {
        match self.traffic_gap {
            Some(reason) => Err(reason.into()),
            None if self.requests.sent == 0 => Err("no request was sent".into()),
            None => Ok(self.requests),
        }
    }

    fn delays(&self) -> Figures {
        self.traffic()?;
        if self.handovers.is_empty() {
            return Err("there was no handover".into());
        }
        let delay = |h: &Handover| {
            h.delay_s.ok_or_else(|| {
                format!(
                    "the capture of {} does not show the handover of {}",
                    h.client, h.node
                )
            })
        };
        self.handovers.iter().map(delay).collect()
    }
}

/// Of several figures the one that decides: the one farthest on the wrong side.
fn decisive(figures: &[f64], expected: &Expected) -> Option<f64> {
    let figures = figures.iter().copied();
    match expected.comparison {
        Comparison::Less | Comparison::AtMost => figures.reduce(f64::max),
        Comparison::AtLeast | Comparison::Greater => figures.reduce(f64::min),
        Comparison::Equal => {
            let distance = |f: f64| (f - expected.value).abs();
            figures.reduce(|a, b| if distance(b) > distance(a) { b } else { a })
        }
    }
}

/// Requests that clients reported as failed to their callers. Known only if every client
/// lived to say that nothing was outstanding.
pub(crate) fn failed(events: &[Event], clients: &[&str]) -> Result<u64, String> {
    let of = |client: &str| {
        let own = || events.iter().filter(|e| e.node == client);
        let drained = own().rev().find_map(|e| match e.kind {
            EventKind::Drained { failed, .. } => Some(failed),
            _ => None,
        });
        let reported = own().filter(|e| matches!(e.kind, EventKind::RequestFailed { .. }));
        match drained {
            // Its own count starts anew with a restarted daemon; the log's does not.
            Some(failed) => Ok(failed.max(reported.count() as u64)),
            None => Err(format!("{client} did not report that it had drained")),
        }
    };
    if clients.is_empty() {
        return Err("the topology has no client".into());
    }
    clients.iter().map(|client| of(client)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(sent: usize) -> Requests {
        Requests {
            sent,
            answered: sent,
            lost: 0,
            retransmitted: 0,
            reset: 0,
            duplicates: 0,
            further_blocks: 0,
            rtt_s: None,
        }
    }

    fn handover(delay_s: Option<f64>) -> Handover {
        Handover {
            node: "sensor".into(),
            client: "client".into(),
            method: Some("GET".into()),
            resource: "/t".into(),
            by: Default::default(),
            from: None,
            to: None,
            started_s: None,
            completed_s: None,
            delay_s,
            last_before: None,
            first_after: None,
            lost_message_ids: Vec::new(),
            phases: Default::default(),
            energy_mj: None,
            signalling: None,
        }
    }

    fn judge(
        handovers: &[Handover],
        sent: usize,
        gap: Option<&str>,
        metric: Metric,
        comparison: Comparison,
        value: f64,
    ) -> Expectation {
        let evidence = Evidence {
            handovers,
            completed: Some(handovers.len()),
            requests: &requests(sent),
            failed: failed(&[], &["client"]),
            traffic_gap: gap,
        };
        evidence.judge(&Expected {
            metric,
            comparison,
            value,
            text: "as written".into(),
        })
    }

    #[test]
    fn the_delay_of_every_handover_must_hold_and_the_worst_is_shown() {
        let handovers = [
            handover(Some(0.05)),
            handover(Some(0.2)),
            handover(Some(0.1)),
        ];
        let less = |value| {
            judge(
                &handovers,
                9,
                None,
                Metric::HandoverDelay,
                Comparison::Less,
                value,
            )
        };
        assert_eq!(less(0.3).outcome, Outcome::Passed);
        assert_eq!(less(0.15).outcome, Outcome::Failed);
        assert_eq!(less(0.15).measured, Some(0.2));
        let greater = judge(
            &handovers,
            9,
            None,
            Metric::HandoverDelay,
            Comparison::Greater,
            0.07,
        );
        assert_eq!(
            (greater.outcome, greater.measured),
            (Outcome::Failed, Some(0.05))
        );
    }

    #[test]
    fn a_handover_that_the_capture_does_not_show_is_not_measured() {
        let handovers = [handover(Some(0.05)), handover(None)];
        let e = judge(
            &handovers,
            9,
            None,
            Metric::HandoverDelay,
            Comparison::Less,
            1.0,
        );
        assert_eq!(e.outcome, Outcome::NotMeasured);
        let reason = "the capture of client does not show the handover of sensor";
        assert_eq!(e.reason.as_deref(), Some(reason));
        let e = judge(&[], 9, None, Metric::HandoverDelay, Comparison::Less, 1.0);
        assert_eq!(e.outcome, Outcome::NotMeasured);
    }

    #[test]
    fn nothing_lost_of_nothing_sent_is_not_measured() {
        let e = judge(&[], 0, None, Metric::Lost, Comparison::Equal, 0.0);
        assert_eq!(e.outcome, Outcome::NotMeasured);
        let e = judge(&[], 5, None, Metric::Lost, Comparison::Equal, 0.0);
        assert_eq!((e.outcome, e.measured), (Outcome::Passed, Some(0.0)));
        let e = judge(&[], 5, Some("cut"), Metric::Lost, Comparison::Equal, 0.0);
        assert_eq!(e.outcome, Outcome::NotMeasured);
        let e = judge(&[], 5, None, Metric::RttP95, Comparison::Less, 1.0);
        assert_eq!(e.outcome, Outcome::NotMeasured);
    }

    #[test]
    fn failures_count_only_if_every_client_drained() {
        let e = judge(&[], 5, None, Metric::Failed, Comparison::Equal, 0.0);
        assert_eq!(e.outcome, Outcome::NotMeasured);
        let event = |kind| Event {
            time_ns: 0,
            node: "client".into(),
            kind,
        };
        let drained = event(EventKind::Drained {
            requested: 3,
            answered: 2,
            failed: 1,
            reasons: Default::default(),
        });
        assert_eq!(failed(&[drained], &["client"]), Ok(1));
    }
}
