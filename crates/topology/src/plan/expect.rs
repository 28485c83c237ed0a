//! What must hold at the end of a run, and over the runs of a sweep.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::NodeName;

/// What must hold at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// What is compared.
    pub metric: Metric,
    /// Whose; absent if it is that of the whole run.
    #[serde(default, skip_serializing_if = "Scope::is_all")]
    pub of: Scope,
    /// How.
    pub comparison: Comparison,
    /// With what, in the unit of the metric.
    pub value: f64,
    /// As the topology file wrote it: `< 100 ms`.
    pub text: String,
}

/// A part of a run's traffic: what all of the given names fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<NodeName>,
    /// Who is asked, or moves, or whose radio it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// How it is asked, `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// What it is asked for, with its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Scope {
    /// Whether it is the whole run.
    pub fn is_all(&self) -> bool {
        *self == Scope::default()
    }

    /// Whether it tells resources apart.
    pub fn is_of_resource(&self) -> bool {
        self.method.is_some() || self.path.is_some()
    }

    /// Whether it is about requests, and not about a node.
    pub fn is_of_requests(&self) -> bool {
        self.client.is_some() || self.is_of_resource()
    }

    /// Whether requests of `client` to `node` may be in it.
    pub fn has(&self, client: &str, node: &str) -> bool {
        let fits = |wanted: &Option<String>, name| wanted.as_ref().is_none_or(|w| w == name);
        fits(&self.client, client) && fits(&self.node, node)
    }

    /// Whether requests of `client` to `node` for `path` by `method` are in it. A method that is not
    /// known fits every one.
    pub fn has_flow(&self, client: &str, node: &str, method: Option<&str>, path: &str) -> bool {
        let by = |wanted: &String| method.is_none_or(|method| wanted == method);
        self.has(client, node)
            && self.method.as_ref().is_none_or(by)
            && self.path.as_ref().is_none_or(|wanted| wanted == path)
    }
}

impl fmt::Display for Scope {
    /// `client a, node b, GET /t`; nothing for the whole run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |what: &str, name: &Option<String>| Some(format!("{what} {}", name.as_ref()?));
        let resource: Vec<&str> = (self.method.iter())
            .chain(&self.path)
            .map(String::as_str)
            .collect();
        let resource = (!resource.is_empty()).then(|| resource.join(" "));
        let parts = [
            named("client", &self.client),
            named("node", &self.node),
            resource,
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

/// In what a metric is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Whole numbers.
    Count,
    /// Seconds; in a topology a duration.
    Seconds,
    /// Percent, 0 to 100.
    Percent,
    /// Millijoules.
    Millijoules,
}

/// Of whom a metric can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Of a node that moves or has a radio.
    Node,
    /// Of clients and of whom they ask, by the clients' account.
    Asked,
    /// Of requests, by client, node and resource.
    Flow,
    /// Of requests by HTTP, by client, node and resource.
    Http,
}

/// Declares the metrics: key, unit, of whom.
macro_rules! metrics {
    ($( $(#[$meta:meta])* $variant:ident = $key:literal, $unit:ident, $of:ident; )*) => {
        /// A figure of the result that can be expected.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Metric {
            $( $(#[$meta])* #[serde(rename = $key)] $variant, )*
        }

        impl Metric {
            /// All of them.
            pub const ALL: &[Metric] = &[$( Metric::$variant, )*];

            /// Its name in results.
            pub fn key(self) -> &'static str {
                match self { $( Metric::$variant => $key, )* }
            }

            /// Its unit.
            pub fn unit(self) -> Unit {
                match self { $( Metric::$variant => Unit::$unit, )* }
            }

            /// Of whom it can be had.
            pub fn of(self) -> Of {
                match self { $( Metric::$variant => Of::$of, )* }
            }
        }
    };
}

metrics! {
    /// Completed handovers.
    Handovers = "handovers", Count, Node;
    /// Handovers that were begun and not completed.
    HandoversGivenUp = "handovers_given_up", Count, Node;
    /// Delay of every handover.
    HandoverDelay = "handover_delay", Seconds, Flow;
    /// Median of the delays of handovers.
    HandoverDelayMedian = "handover_delay_median", Seconds, Flow;
    /// 95th percentile of the delays of handovers.
    HandoverDelayP95 = "handover_delay_p95", Seconds, Flow;
    /// Requests that clients were to ask.
    Asked = "asked", Count, Asked;
    /// Answered of those that were to be asked.
    Delivery = "delivery", Percent, Asked;
    /// Requests that the client reported as failed to its caller.
    Failed = "failed", Count, Asked;
    /// The same in percent of those that were to be asked.
    FailedPercent = "failed_percent", Percent, Asked;
    /// Requests that were given up before they left the client.
    NeverSent = "never_sent", Count, Asked;
    /// Message IDs requested and never answered.
    Lost = "lost", Count, Flow;
    /// The same in percent of those requested.
    LostPercent = "lost_percent", Percent, Flow;
    /// Message IDs answered.
    Answered = "answered", Count, Flow;
    /// Message IDs sent more than once.
    Retransmitted = "retransmitted", Count, Flow;
    /// Responses with an error, 4.xx or 5.xx.
    ErrorResponses = "error_responses", Count, Flow;
    /// Median of the round-trip times.
    RttMedian = "rtt_median", Seconds, Flow;
    /// 95th percentile of the round-trip times.
    RttP95 = "rtt_p95", Seconds, Flow;
    /// 99th percentile of the round-trip times.
    RttP99 = "rtt_p99", Seconds, Flow;
    /// Longest round-trip time.
    RttMax = "rtt_max", Seconds, Flow;
    /// Notifications received.
    Notifications = "notifications", Count, Flow;
    /// Notifications sent: those received and those lost.
    NotificationsSent = "notifications_sent", Count, Flow;
    /// Notifications that were never received.
    NotificationsLost = "notifications_lost", Count, Flow;
    /// The same in percent of those sent.
    NotificationsLostPercent = "notifications_lost_percent", Percent, Flow;
    /// Registrations that reached servers of applications.
    Registrations = "registrations", Count, Node;
    /// Messages of their own accord that reached servers of applications.
    Sends = "sends", Count, Node;
    /// Notifications that reached nodes, of what their applications observe.
    Observed = "observed", Count, Node;
    /// Numbers that are missing between those.
    ObservedLost = "observed_lost", Count, Node;
    /// Longest time between two messages of an application's observation.
    ObservedSilence = "observed_silence", Seconds, Node;
    /// Answered of the requests by HTTP.
    HttpDelivery = "http_delivery", Percent, Http;
    /// Requests by HTTP without a whole response.
    HttpUnanswered = "http_unanswered", Count, Http;
    /// Requests by HTTP that were answered 503, with when to ask again.
    HttpDeferred = "http_deferred", Count, Http;
    /// Requests by HTTP that were answered with another error, 4xx or 5xx.
    HttpRefused = "http_refused", Count, Http;
    /// Median of the times from a request by HTTP to the end of its response.
    HttpLatencyMedian = "http_latency_median", Seconds, Http;
    /// 95th percentile of those times.
    HttpLatencyP95 = "http_latency_p95", Seconds, Http;
    /// Longest of those times.
    HttpLatencyMax = "http_latency_max", Seconds, Http;
    /// States that event streams told.
    HttpStates = "http_states", Count, Http;
    /// Longest time between two states of an event stream.
    HttpSilence = "http_silence", Seconds, Http;
    /// Energy that radios used over the scenario.
    Energy = "energy", Millijoules, Node;
}

impl Metric {
    /// The metric that a condition in percent under the same key is about.
    pub fn in_percent(self) -> Option<Metric> {
        match self {
            Metric::Lost => Some(Metric::LostPercent),
            Metric::Failed => Some(Metric::FailedPercent),
            Metric::NotificationsLost => Some(Metric::NotificationsLostPercent),
            _ => None,
        }
    }
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `<`
    #[serde(rename = "<")]
    Less,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
    /// `==`, or no operator
    #[serde(rename = "==")]
    Equal,
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
    /// `>`
    #[serde(rename = ">")]
    Greater,
}

impl Comparison {
    /// Whether `measured` compares so with `expected`.
    pub fn holds(self, measured: f64, expected: f64) -> bool {
        match self {
            Comparison::Less => measured < expected,
            Comparison::AtMost => measured <= expected,
            Comparison::Equal => measured == expected,
            Comparison::AtLeast => measured >= expected,
            Comparison::Greater => measured > expected,
        }
    }
}

/// A comparison with a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// How.
    pub comparison: Comparison,
    /// With what, in the unit of what is compared.
    pub value: f64,
    /// As the topology file wrote it.
    pub text: String,
}

/// What must hold over the runs of a sweep, at each of its points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepExpectation {
    /// The figure's name in `distribution.json`; absent if it is about the runs themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figure: Option<String>,
    /// What of its distribution is compared.
    pub statistic: Statistic,
    /// With [`Statistic::Share`] what the values are to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<Condition>,
    /// What must hold of the statistic.
    pub condition: Condition,
}

/// What of a distribution is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Least value.
    Min,
    /// Mean.
    Mean,
    /// Median.
    Median,
    /// 95th percentile.
    P95,
    /// Greatest value.
    Max,
    /// How many of the values hold what they are to hold, in percent.
    Share,
    /// How many of the runs passed, in percent.
    Passed,
}

impl Statistic {
    /// Its key in a topology.
    pub fn key(self) -> &'static str {
        match self {
            Statistic::Min => "min",
            Statistic::Mean => "mean",
            Statistic::Median => "median",
            Statistic::P95 => "p95",
            Statistic::Max => "max",
            Statistic::Share => "share",
            Statistic::Passed => "passed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_written_by_its_key() {
        for metric in Metric::ALL {
            let text = serde_json::to_value(metric).unwrap();
            assert_eq!(text.as_str(), Some(metric.key()));
        }
    }

    #[test]
    fn a_scope_has_what_all_of_its_names_fit() {
        let scope = Scope {
            client: Some("a".into()),
            path: Some("/t".into()),
            ..Scope::default()
        };
        assert!(scope.has_flow("a", "s", Some("GET"), "/t"));
        assert!(!scope.has_flow("a", "s", Some("GET"), "/u"));
        assert!(!scope.has_flow("b", "s", Some("GET"), "/t"));
        assert_eq!(scope.to_string(), "client a, /t");
        assert_eq!(Scope::default().to_string(), "");
    }
}
