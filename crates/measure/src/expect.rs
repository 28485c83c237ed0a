//! Whether the topology's expectations hold, and what fails that none of them is about.

mod http;
mod uncovered;

use std::collections::BTreeMap;

use rundir::{Event, EventKind};
use topology::Plan;
use topology::plan::{Comparison, Expectation as Expected, Metric, NodeName, Scope};

use crate::analysis::{self, Exchange, Rtt};
use crate::applications::{Application, Observed};
use crate::calls::{Calls, is_never_sent};
use crate::http::Measured;
use crate::mobility::{GivenUp, NodeHandover};
use crate::result::{Expectation, Flow, Handover, Notifications, Outcome, RadioUse};
use crate::result::{percent, seconds};

/// Why what was lost of notifications is not measured.
const LOST_UNKNOWN: &str = "numbers are missing, and nobody knows whether the server counts by one";

/// Where nodes register (RFC 9176 §5), and the name of the message.
const REGISTRATIONS: &str = "/rd";
const REGISTER: &str = "register";
const SEND: &str = "send";

/// What expectations are compared with.
pub(crate) struct Evidence<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) handovers: &'a [Handover],
    /// Handovers by the nodes' own account; absent without an event log of the scenario.
    pub(crate) records: Option<&'a [NodeHandover]>,
    pub(crate) given_up: &'a [GivenUp],
    /// What clients saw, with the exchanges of each of them.
    pub(crate) flows: &'a [Flow],
    pub(crate) exchanges: &'a [Vec<Exchange>],
    pub(crate) calls: &'a Calls,
    /// What clients told of failures as they happened.
    pub(crate) failures: &'a Failures,
    pub(crate) radios: Option<&'a [RadioUse]>,
    /// What nodes sent and received for applications; absent if a capture is missing or damaged.
    pub(crate) applications: Option<&'a [Application]>,
    /// What clients asked by HTTP.
    pub(crate) http: &'a Measured,
    /// Why the clients' traffic is not known completely, if it is not.
    pub(crate) traffic_gap: Option<&'a str>,
}

/// Failed requests by client, node asked and reason. The node is not known if the address is none's,
/// or the client told only how many.
#[derive(Debug, Default)]
pub(crate) struct Failures(BTreeMap<(NodeName, Option<NodeName>, String), u64>);

impl Failures {
    pub(crate) fn of(plan: &Plan, events: &[Event], calls: &Calls) -> Failures {
        let nodes: BTreeMap<_, _> = plan
            .nodes
            .iter()
            .map(|(n, node)| (node.address, n))
            .collect();
        let mut all: BTreeMap<_, u64> = BTreeMap::new();
        let mut logged: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for event in events {
            if let EventKind::RequestFailed { p_addr, reason } = &event.kind {
                let node = nodes.get(p_addr).map(|node| (*node).clone());
                *all.entry((event.node.clone(), node, reason.clone()))
                    .or_default() += 1;
                *logged.entry((&event.node, reason)).or_default() += 1;
            }
        }
        for client in &calls.clients {
            for (reason, count) in &client.tally.reasons {
                let key = (client.client.as_str(), reason.as_str());
                let more = count.saturating_sub(logged.get(&key).copied().unwrap_or_default());
                if more > 0 {
                    let key = (client.client.clone(), None, reason.clone());
                    *all.entry(key).or_default() += more;
                }
            }
        }
        Failures(all)
    }

    /// Those that may be in `scope`: of a node that is not known in each.
    fn within(&self, scope: &Scope) -> impl Iterator<Item = (&str, u64)> {
        let fits = |client: &str, node: &Option<NodeName>| match node {
            Some(node) => scope.has(client, node),
            None => scope.node.is_none() && scope.has(client, ""),
        };
        let within = self.0.iter().filter(move |((c, n, _), _)| fits(c, n));
        within.map(|((_, _, reason), count)| (reason.as_str(), *count))
    }
}

/// Figures to compare: every one of them must hold.
type Figures = Result<Vec<f64>, String>;

/// Of a part of the run: how many requests were to be asked, and answered.
struct Delivery {
    asked: u64,
    answered: u64,
}

impl Evidence<'_> {
    /// Compares. What cannot be measured never passes.
    pub(crate) fn judge(&self, expected: &Expected) -> Expectation {
        let expectation = |measured, outcome, reason| Expectation {
            metric: expected.metric,
            of: expected.of.clone(),
            expected: expected.text.clone(),
            measured,
            outcome,
            reason,
        };
        let figures = match self.figures(expected.metric, &expected.of) {
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

    fn figures(&self, metric: Metric, of: &Scope) -> Figures {
        let one = |figure: f64| Ok(vec![figure]);
        let traffic = |figure: fn(&analysis::Requests) -> usize| {
            let requests = self.traffic(of)?;
            one(figure(&requests) as f64)
        };
        let rtt = |figure: fn(&Rtt) -> std::time::Duration| {
            let rtt = self.traffic(of)?.rtt.ok_or("no request was answered")?;
            one(seconds(figure(&rtt)))
        };
        match metric {
            Metric::Handovers => one(self.completed(of)? as f64),
            Metric::HandoversGivenUp => {
                self.completed(of)?;
                let of_node = self.given_up.iter().filter(|h| of.has("", &h.node));
                one(of_node.count() as f64)
            }
            Metric::HandoverDelay => self.delays(of),
            Metric::HandoverDelayMedian => one(median(&mut self.delays(of)?)),
            Metric::HandoverDelayP95 => one(nearest_rank(&mut self.delays(of)?, 95)),
            Metric::Asked => one(self.delivery(of)?.asked as f64),
            Metric::Delivery => {
                let Delivery { asked, answered } = self.delivery(of)?;
                match asked {
                    0 => Err("no request was asked".into()),
                    asked => one(100.0 * answered as f64 / asked as f64),
                }
            }
            Metric::Failed => one(self.failed(of)? as f64),
            Metric::FailedPercent => match self.delivery(of)?.asked {
                0 => Err("no request was asked".into()),
                asked => one(100.0 * self.failed(of)? as f64 / asked as f64),
            },
            Metric::NeverSent => {
                self.failed(of)?;
                one(self.never_sent(of) as f64)
            }
            Metric::Lost => traffic(|r| r.lost),
            Metric::LostPercent => {
                let requests = self.traffic(of)?;
                let lost = percent(requests.lost, requests.sent);
                one(lost.ok_or("no request was sent")?)
            }
            Metric::Answered => traffic(|r| r.answered),
            Metric::Retransmitted => traffic(|r| r.retransmitted),
            Metric::ErrorResponses => traffic(|r| r.error_responses.values().sum()),
            Metric::RttMedian => rtt(|rtt| rtt.median),
            Metric::RttP95 => rtt(|rtt| rtt.p95),
            Metric::RttP99 => rtt(|rtt| rtt.p99),
            Metric::RttMax => rtt(|rtt| rtt.max),
            Metric::Notifications => one(self.notifications(of)?.received as f64),
            Metric::NotificationsSent => {
                let sent = self.notifications(of)?.sent;
                one(sent.ok_or(LOST_UNKNOWN)? as f64)
            }
            Metric::NotificationsLost => {
                let lost = self.notifications(of)?.lost;
                one(lost.ok_or(LOST_UNKNOWN)? as f64)
            }
            Metric::NotificationsLostPercent => {
                let notifications = self.notifications(of)?;
                notifications.lost.ok_or(LOST_UNKNOWN)?;
                one(notifications.lost_percent.ok_or("nothing was notified")?)
            }
            Metric::Energy => self.energy(of),
            Metric::Registrations => one(self.reached_servers(of, REGISTER)? as f64),
            Metric::Sends => one(self.reached_servers(of, SEND)? as f64),
            Metric::Observed => one(self.observed(of)?.received as f64),
            Metric::ObservedLost => one(self.observed(of)?.lost.ok_or(LOST_UNKNOWN)? as f64),
            Metric::ObservedSilence => {
                let longest = self.observed(of)?.longest_silence_s;
                one(longest.ok_or("no observation had two messages")?)
            }
            Metric::HttpDelivery
            | Metric::HttpUnanswered
            | Metric::HttpDeferred
            | Metric::HttpRefused
            | Metric::HttpLatencyMedian
            | Metric::HttpLatencyP95
            | Metric::HttpLatencyMax
            | Metric::HttpStates
            | Metric::HttpSilence => self.by_http(metric, of).map(|figure| vec![figure]),
        }
    }

    fn completed(&self, of: &Scope) -> Result<usize, String> {
        let records = self
            .records
            .ok_or("the event log has no start of the scenario")?;
        let completed = records.iter().filter(|r| r.completed.is_some());
        Ok(completed.filter(|r| of.has("", &r.node)).count())
    }

    fn flows_of(&self, of: &Scope) -> impl Iterator<Item = (&Flow, &Vec<Exchange>)> {
        let all = self.flows.iter().zip(self.exchanges);
        all.filter(|(flow, _)| {
            of.has_flow(
                &flow.client,
                &flow.node,
                flow.method.as_deref(),
                &flow.resource,
            )
        })
    }

    fn traffic(&self, of: &Scope) -> Result<analysis::Requests, String> {
        if let Some(reason) = self.traffic_gap {
            return Err(reason.into());
        }
        let exchanges = self.flows_of(of).flat_map(|(_, exchanges)| exchanges);
        let requests = analysis::Requests::of(exchanges);
        match requests.sent {
            0 => Err("no request was sent".into()),
            _ => Ok(requests),
        }
    }

    /// Of the whole run, or of a client, by the client's own account; of a part of that from the
    /// captures and what the log has of failures.
    fn delivery(&self, of: &Scope) -> Result<Delivery, String> {
        if of.node.is_some() {
            let requests = match self.traffic(of) {
                Err(_) if self.traffic_gap.is_none() => analysis::Requests::default(),
                requests => requests?,
            };
            self.failed(of)?;
            return Ok(Delivery {
                asked: requests.sent as u64 + self.never_sent(of),
                answered: requests.answered as u64,
            });
        }
        let mut sum = Delivery {
            asked: 0,
            answered: 0,
        };
        for client in self.clients_of(of)? {
            let told = client.tally.asked.zip(client.tally.answered);
            let (asked, answered) =
                told.ok_or_else(|| format!("how much {} asked is not known", client.client))?;
            sum.asked += asked;
            sum.answered += answered;
        }
        Ok(sum)
    }

    /// Requests that clients reported as failed to their callers. Known only if every client lived
    /// to say that nothing was outstanding.
    fn failed(&self, of: &Scope) -> Result<u64, String> {
        let mut sum = 0;
        for client in self.clients_of(of)? {
            let name = &client.client;
            let drained = || format!("{name} did not report that it had drained");
            sum += client.tally.failed.ok_or_else(drained)?;
        }
        Ok(match of.node {
            Some(_) => self.failures.within(of).map(|(_, count)| count).sum(),
            None => sum,
        })
    }

    fn never_sent(&self, of: &Scope) -> u64 {
        let never = self.failures.within(of).filter(|(r, _)| is_never_sent(r));
        never.map(|(_, count)| count).sum()
    }

    fn clients_of(&self, of: &Scope) -> Result<Vec<&crate::calls::ClientCalls>, String> {
        let clients = self.calls.clients.iter();
        let clients: Vec<_> = clients
            .filter(|c| of.client.as_ref().is_none_or(|wanted| *wanted == c.client))
            .collect();
        match clients.is_empty() {
            true => Err("the topology has no client".into()),
            false => Ok(clients),
        }
    }

    fn delays(&self, of: &Scope) -> Figures {
        self.traffic(&Scope {
            node: None,
            ..of.clone()
        })?;
        let handovers = self
            .handovers
            .iter()
            .filter(|h| of.has_flow(&h.client, &h.node, h.method.as_deref(), &h.resource));
        let delay = |h: &Handover| {
            h.delay_s.ok_or_else(|| {
                format!(
                    "the capture of {} does not show the handover of {}",
                    h.client, h.node
                )
            })
        };
        let delays = handovers.map(delay).collect::<Figures>()?;
        match delays.is_empty() {
            true => Err("there was no handover".into()),
            false => Ok(delays),
        }
    }

    fn notifications(&self, of: &Scope) -> Result<Notifications, String> {
        if let Some(reason) = self.traffic_gap {
            return Err(reason.into());
        }
        let observed = self.flows_of(of).filter_map(|(flow, _)| flow.notifications);
        let add = |a: Option<usize>, b: Option<usize>| Some(a? + b?);
        let sum = observed.reduce(|a, b| {
            let (sent, lost) = (add(a.sent, b.sent), add(a.lost, b.lost));
            Notifications {
                sent,
                received: a.received + b.received,
                confirmable: a.confirmable + b.confirmable,
                lost,
                missing_numbers: None,
                lost_percent: (lost.zip(sent)).and_then(|(lost, sent)| percent(lost, sent)),
                reordered: a.reordered + b.reordered,
            }
        });
        sum.ok_or_else(|| "nothing was observed".into())
    }

    fn applications(&self, of: &Scope) -> Result<impl Iterator<Item = &Application>, String> {
        let all = self.applications.ok_or("a capture is missing or damaged")?;
        Ok(all.iter().filter(move |a| of.has("", &a.node)))
    }

    /// Messages of a name that reached servers with which clients register, each once however often it was sent.
    fn reached_servers(&self, of: &Scope, message: &str) -> Result<u64, String> {
        let serves = |node: &NodeName| {
            let plan = self.plan.nodes.get(node);
            plan.is_some_and(|plan| plan.paths().any(|path| path == REGISTRATIONS))
        };
        let servers = self.applications(of)?.filter(|a| serves(&a.node));
        let ways = servers.filter_map(|server| server.by_message.get(message));
        let received = ways.map(|ways| ways.received);
        Ok(received
            .map(|volume| volume.packets - volume.repeated)
            .sum())
    }

    /// What nodes were notified of, all together.
    fn observed(&self, of: &Scope) -> Result<Observed, String> {
        let observed = self.applications(of)?.filter_map(|a| a.notifications);
        let sum = observed.reduce(|a, b| Observed {
            received: a.received + b.received,
            lost: a.lost.zip(b.lost).map(|(a, b)| a + b),
            longest_silence_s: match (a.longest_silence_s, b.longest_silence_s) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (one, other) => one.or(other),
            },
        });
        sum.ok_or_else(|| "nothing was observed".into())
    }

    fn energy(&self, of: &Scope) -> Figures {
        let radios = self
            .radios
            .ok_or("radios use energy with `medium: phy` only")?;
        // A radio that was not read at both ends is not among those that were.
        let planned = self
            .plan
            .nodes
            .iter()
            .filter(|(_, node)| node.radio.is_some());
        let mut sum = 0.0;
        for (name, _) in planned.filter(|(name, _)| of.has("", name)) {
            let radio = radios.iter().find(|radio| radio.node == *name);
            let radio = radio.ok_or_else(|| format!("the radio of {name} was not read"))?;
            sum += radio.millijoules;
        }
        Ok(vec![sum])
    }
}

/// The mean of the middle two of an even number.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n % 2 {
        0 => f64::midpoint(values[n / 2 - 1], values[n / 2]),
        _ => values[n / 2],
    }
}

/// The smallest of `values` that at least so many percent of them do not exceed.
fn nearest_rank(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * percent).div_ceil(100) - 1]
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

#[cfg(test)]
mod tests;
