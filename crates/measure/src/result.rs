//! `result.json`: the types, in the order of its keys (`docs/result.md`).
//!
//! All times are seconds. `…time_s`, `started_s` and `completed_s` count from the start of the
//! scenario, whose Unix time is [`Scenario::start_unix_ns`].

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use rundir::air::Facts;
use serde::{Deserialize, Serialize};
use topology::plan::{Metric, NodeName, Scope};
use units::{Seed, SimTime};

use crate::analysis::{self, Edge};
use crate::applications::Application;
use crate::attachment::By;
use crate::calls::Calls;
use crate::http::HttpClient;
use crate::mobility::GivenUp;
use crate::phases::ByPhase;
use crate::signalling::{Overhead, Signalling};

/// Version of the format: raised when a key is removed or its meaning changes.
pub const SCHEMA: u32 = 2;

/// What a run showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the program that made the run.
    pub wpanlab_version: String,
    /// Name of the topology.
    pub topology: String,
    /// Root seed.
    pub seed: Seed,
    /// `native`, `vm` or `uml`.
    pub backend: String,
    /// `virtual` or `realtime`.
    pub clock: String,
    /// Kernel release.
    pub kernel: String,
    /// Version of QEMU; absent without a VM, and in the results of before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub qemu: Option<String>,
    /// What takes time on the processor of a User-Mode Linux; absent elsewhere.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub processor: Option<String>,
    /// The scenario's time.
    pub scenario: Scenario,
    /// Why the run did not come to its end, and how far it came; absent if it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub partial: Option<String>,
    /// Whether every expectation passed, and the run came to its end.
    pub passed: bool,
    /// What failed and no expectation is about, a sentence each; absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub uncovered: Vec<String>,
    /// Every completed handover of every polled node, once per client, method and resource.
    pub handovers: Vec<Handover>,
    /// Handovers that nodes began and did not complete, in the order of their ends; absent if there
    /// were none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub given_up: Vec<GivenUp>,
    /// What the clients were to ask, by their own account.
    #[serde(default)]
    pub calls: Calls,
    /// All polls of all clients together.
    pub requests: Requests,
    /// Polls per client, node, method and resource.
    pub flows: Vec<Flow>,
    /// Requests that the clients sent or answered for a protocol's own sake, as for mobility.
    pub signalling: Requests,
    /// What tunnels and extension headers cost the nodes whose packets had some; absent if none had, or
    /// if a capture is missing.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub overhead: Vec<Overhead>,
    /// What nodes sent and received for their applications, by node and protocol; absent if there is no
    /// application's protocol that there is a dissector of.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub applications: Vec<Application>,
    /// What clients asked gateways by HTTP; absent if the plan has no such client.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub http: Vec<HttpClient>,
    /// What every radio used over the scenario, by node; absent without the per-frame air.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub radios: Option<Vec<RadioUse>>,
    /// What the per-frame air counted over the whole run, `air.json`; absent without it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub air: Option<Facts>,
    /// The plan's limit that [`rundir::air::Lateness::over_limit`] counts over; absent without
    /// the per-frame air.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lateness_limit_s: Option<f64>,
    /// The topology's expectations.
    pub expectations: Vec<Expectation>,
    /// What a reader should know: what could not be measured or does not fit together.
    pub notes: Vec<String>,
}

/// The scenario's time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Unix time of scenario time 0, nanoseconds, on the clock of captures and events.
    pub start_unix_ns: u64,
    /// Duration as planned.
    pub duration_s: f64,
}

/// A handover as one client saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// The node that moved.
    pub node: NodeName,
    /// The node's own number of the handover, as in its events; absent if they do not explain it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub number: Option<u32>,
    /// The client that asked it.
    pub client: NodeName,
    /// Method of the requests, `GET`; absent in schema 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub method: Option<String>,
    /// What it asked for.
    pub resource: String,
    /// By what `delay_s` was found: in schema 1 always by the address.
    #[serde(default)]
    pub by: By,
    /// The edge router left, from the node's events.
    pub from: Option<NodeName>,
    /// The edge router arrived at, from the node's events.
    pub to: Option<NodeName>,
    /// When the trigger fired, from the node's events.
    pub started_s: Option<f64>,
    /// When the binding was acknowledged, from the node's events.
    pub completed_s: Option<f64>,
    /// From the last response before to the first one after, in the client's capture; null if
    /// the capture does not show the handover.
    pub delay_s: Option<f64>,
    /// The last response before.
    pub last_before: Option<Response>,
    /// The first response after.
    pub first_after: Option<Response>,
    /// Message IDs requested over the handover and never answered.
    pub lost_message_ids: Vec<u16>,
    /// Seconds per phase, from the node's events.
    pub phases: ByPhase<f64>,
    /// Millijoules that the moving node's radio used per phase; absent without the per-frame
    /// air.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub energy_mj: Option<ByPhase<f64>>,
    /// Millijoules that it used in all of them, of phases side by side once; absent if it is known of
    /// none, and in the results of before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub energy_total_mj: Option<f64>,
    /// Messages from `started_s` to `completed_s`; absent if a capture is missing, or one of the
    /// two.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signalling: Option<Signalling>,
}

/// Where a radio's time went, and what that cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RadioUse {
    /// Whose radio.
    pub node: NodeName,
    /// Transmitting.
    pub tx_s: f64,
    /// Synchronised on a frame.
    pub rx_s: f64,
    /// Listening.
    pub listen_s: f64,
    /// Asleep.
    pub sleep_s: f64,
    /// Energy of all that, by the currents of the radio's profile.
    pub millijoules: f64,
    /// Of it, what it used outside of handovers to transmit and to receive frames, for each request that
    /// its node answered there; absent if it answered none, and in the results of before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mj_per_request: Option<f64>,
}

/// A response at one end of a handover.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Message ID of the request that it answers.
    pub message_id: u16,
    /// When the client received it.
    pub time_s: f64,
    /// Who answered.
    pub address: SocketAddr,
}

/// Counts of requests: Message IDs, or bodies where they cross in blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    /// Requested.
    pub sent: usize,
    /// Answered.
    pub answered: usize,
    /// Never answered.
    pub lost: usize,
    /// Sent more than once.
    pub retransmitted: usize,
    /// Rejected with RST; among the lost.
    pub reset: usize,
    /// Copies of responses beyond the first.
    pub duplicates: usize,
    /// Requests for or with a further block of a body (RFC 7959), part of the one for the first
    /// block and counted with it; absent if there were none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub further_blocks: usize,
    /// Responses with an error by their code, `4.04`; they are among the answered. Absent if there
    /// were none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub error_responses: BTreeMap<String, usize>,
    /// Answered of those sent, in percent; null if nothing was sent.
    #[serde(default)]
    pub delivery_percent: Option<f64>,
    /// Round-trip times; null if nothing was answered.
    pub rtt_s: Option<Rtt>,
}

/// Round-trip times, from the first transmission to the response: how long a request had waited in
/// its client is not in them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rtt {
    /// Shortest.
    pub min: f64,
    /// Mean; absent in the results of before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mean: Option<f64>,
    /// Median.
    pub median: f64,
    /// 95th percentile (nearest rank).
    pub p95: f64,
    /// 99th percentile (nearest rank); absent in the results of before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p99: Option<f64>,
    /// Longest.
    pub max: f64,
}

/// What one client saw of one resource of one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The client.
    pub client: NodeName,
    /// The node asked.
    pub node: NodeName,
    /// Method of the requests, `GET`; absent in schema 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub method: Option<String>,
    /// Path and query.
    pub resource: String,
    /// Addresses that answered, in the order of their first responses.
    pub addresses: Vec<SocketAddr>,
    /// Counts.
    pub requests: Requests,
    /// Message IDs never answered.
    pub lost_message_ids: Vec<u16>,
    /// Longest time between two responses of the same address.
    pub largest_gap_s: Option<f64>,
    /// What was notified after the answers (RFC 7641); absent if it was not observed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub notifications: Option<Notifications>,
}

/// Counts of notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Notifications {
    /// Those received and those lost; null if that is not known, 0 in the results of before.
    #[serde(default)]
    pub sent: Option<usize>,
    /// Received, each once.
    pub received: usize,
    /// CON among them.
    pub confirmable: usize,
    /// Sent and never received; null if the server is not known to number them one by one, and
    /// numbers are missing.
    pub lost: Option<usize>,
    /// How many numbers are missing then, which were lost if it does number them one by one; absent if
    /// most numbers are, and if what was lost is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub missing_numbers: Option<usize>,
    /// Those lost of the ones sent, in percent; null if nothing was sent or that is not known, and in
    /// the results of before.
    #[serde(default)]
    pub lost_percent: Option<f64>,
    /// Received after one of a higher number; the client leaves them out (RFC 7641 §3.4).
    pub reordered: usize,
}

impl From<analysis::Notifications> for Notifications {
    fn from(n: analysis::Notifications) -> Notifications {
        Notifications {
            sent: n.sent(),
            received: n.received,
            confirmable: n.confirmable,
            lost: n.lost,
            missing_numbers: n.missing.filter(|_| n.lost.is_none()),
            lost_percent: (n.lost.zip(n.sent())).and_then(|(lost, sent)| percent(lost, sent)),
            reordered: n.reordered,
        }
    }
}

/// An expectation and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// What was compared.
    pub metric: Metric,
    /// Whose; absent if it is that of the whole run.
    #[serde(skip_serializing_if = "Scope::is_all", default)]
    pub of: Scope,
    /// As the topology file wrote it: `< 100 ms`.
    pub expected: String,
    /// What was measured, in the metric's unit. Of several handovers the one that decides.
    pub measured: Option<f64>,
    /// Whether it holds.
    pub outcome: Outcome,
    /// Why it could not be measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

impl fmt::Display for Expectation {
    /// `handover_delay < 100 ms`, `lost 0 of client a, node b`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.metric.key(), self.expected)?;
        match self.of.is_all() {
            true => Ok(()),
            false => write!(f, " of {}", self.of),
        }
    }
}

/// What became of an expectation. Only [`Outcome::Passed`] is a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It holds.
    #[serde(rename = "passed")]
    Passed,
    /// It does not hold.
    #[serde(rename = "failed")]
    Failed,
    /// There was nothing to compare; counts as a failure.
    #[serde(rename = "not measured")]
    NotMeasured,
}

impl Outcome {
    /// The name in `result.json`.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::NotMeasured => "not measured",
        }
    }
}

impl RunResult {
    /// As the text of `result.json`.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("a result holds only strings, numbers, lists and tables");
        text.push('\n');
        text
    }
}

impl Scenario {
    /// Seconds from the start of the scenario to `time`; negative before it.
    pub fn seconds(&self, time: SimTime) -> f64 {
        (i128::from(time.as_nanos()) - i128::from(self.start_unix_ns)) as f64 / 1e9
    }

    pub(crate) fn response(&self, edge: &Edge) -> Response {
        Response {
            message_id: edge.message_id,
            time_s: self.seconds(edge.received),
            address: edge.from,
        }
    }
}

impl From<&analysis::Requests> for Requests {
    fn from(r: &analysis::Requests) -> Requests {
        Requests {
            sent: r.sent,
            answered: r.answered,
            lost: r.lost,
            retransmitted: r.retransmitted,
            reset: r.reset,
            duplicates: r.duplicates,
            further_blocks: r.further_blocks,
            error_responses: (r.error_responses.iter())
                .map(|(code, count)| (code.to_string(), *count))
                .collect(),
            delivery_percent: percent(r.answered, r.sent),
            rtt_s: r.rtt.map(Rtt::from),
        }
    }
}

impl From<analysis::Rtt> for Rtt {
    fn from(rtt: analysis::Rtt) -> Rtt {
        Rtt {
            min: seconds(rtt.min),
            mean: Some(seconds(rtt.mean)),
            median: seconds(rtt.median),
            p95: seconds(rtt.p95),
            p99: Some(seconds(rtt.p99)),
            max: seconds(rtt.max),
        }
    }
}

/// For keys that are there only where there is something to count.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(crate) fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// `part` of `whole` in percent, unless there is no whole.
pub(crate) fn percent(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}

/// Seconds with the shortest decimal form: one rounding, unlike `Duration::as_secs_f64`.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e9
}
