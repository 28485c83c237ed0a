//! One run of a sweep.

use std::collections::BTreeMap;

use rundir::Event;
use serde::{Deserialize, Serialize};
use topology::Plan;
use topology::plan::NodeName;
use units::Seed;

use super::outage;
use crate::analysis::method_name;
use crate::http::{ConnectionCounts, RequestCounts};
use crate::phases::ByPhase;
use crate::result::{Handover, RunResult, percent};
use crate::signalling::{Cost, Signalling};

/// One run: a line of `runs.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Number of the combination of parameter values, from 1.
    pub point: usize,
    /// Root seed.
    pub seed: Seed,
    /// Value by path, as the command line has them.
    pub set: BTreeMap<String, String>,
    /// What a shell runs to have this run again, alone.
    pub command: String,
    /// The run directory, relative to the sweep's.
    pub dir: String,
    /// Whether every expectation passed.
    pub passed: bool,
    /// Why there is no measurement; then there are no figures.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// The run's figures by name, which ends with the unit if there is one.
    pub figures: BTreeMap<String, f64>,
    /// Every handover of the result.
    pub handovers: Vec<HandoverRow>,
}

/// A handover as one client saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandoverRow {
    /// The node that moved.
    pub node: NodeName,
    /// The client that asked it.
    pub client: NodeName,
    /// How it asked, `GET`; absent in the tables of before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub method: Option<String>,
    /// What it asked for; absent in the tables of before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resource: Option<String>,
    /// The edge router left.
    pub from: Option<NodeName>,
    /// The edge router arrived at.
    pub to: Option<NodeName>,
    /// From the last response before to the first one after, in the client's capture.
    pub delay_s: Option<f64>,
    /// How long a request of the client would have found nobody: [`super::loss`].
    pub outage_s: Option<f64>,
    /// Requests per second of the client for this resource of the node; none if it observes it.
    pub rate_per_s: Option<f64>,
    /// Message IDs requested over the handover and never answered.
    pub lost: usize,
    /// Seconds per phase.
    pub phases: ByPhase<f64>,
    /// What the node's radio used in the phases, millijoules; absent without the per-frame air.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub energy_mj: Option<f64>,
    /// Signalling over the air; absent if a capture is missing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub air: Option<Cost>,
    /// Signalling on the backbone; absent if a capture is missing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wired: Option<Cost>,
}

/// Which run of a sweep a row is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// [`Row::point`].
    pub point: usize,
    /// [`Row::seed`].
    pub seed: Seed,
    /// [`Row::set`].
    pub set: BTreeMap<String, String>,
    /// [`Row::command`].
    pub command: String,
    /// [`Row::dir`].
    pub dir: String,
}

impl Row {
    /// The row of a run's plan, events and result.
    pub fn of(origin: Origin, plan: &Plan, events: &[Event], result: &RunResult) -> Row {
        let outages = outage::Outages::of(plan, events, result);
        let handover = |handover: &Handover| HandoverRow {
            node: handover.node.clone(),
            client: handover.client.clone(),
            method: handover.method.clone(),
            resource: Some(handover.resource.clone()),
            from: handover.from.clone(),
            to: handover.to.clone(),
            delay_s: handover.delay_s,
            outage_s: outages.seconds(handover),
            rate_per_s: rate(plan, handover),
            lost: handover.lost_message_ids.len(),
            phases: handover.phases.clone(),
            energy_mj: handover.energy_total_mj,
            air: handover.signalling.as_ref().map(Signalling::over_air),
            wired: handover.signalling.as_ref().map(Signalling::on_wire),
        };
        Row {
            passed: result.passed,
            figures: figures(result),
            handovers: result.handovers.iter().map(handover).collect(),
            ..Row::empty(origin)
        }
    }

    /// The row of a run that ended without a measurement.
    pub fn broken(origin: Origin, error: String) -> Row {
        Row {
            error: Some(error),
            ..Row::empty(origin)
        }
    }

    fn empty(origin: Origin) -> Row {
        Row {
            point: origin.point,
            seed: origin.seed,
            set: origin.set,
            command: origin.command,
            dir: origin.dir,
            passed: false,
            error: None,
            figures: BTreeMap::new(),
            handovers: Vec::new(),
        }
    }
}

/// The poll's rate that a handover was seen at; an observation has none: it asks once.
fn rate(plan: &Plan, handover: &Handover) -> Option<f64> {
    let mut polls = plan.nodes.get(&handover.client)?.polls();
    let asks = |method: u8| {
        let told = handover.method.as_ref();
        told.is_none_or(|told| *told == method_name(coap::Code(method)))
    };
    let poll = polls.find(|poll| {
        poll.node == handover.node
            && poll.resource() == handover.resource
            && asks(poll.method.code())
    })?;
    (!poll.observe).then(|| 1e9 / poll.every.as_nanos() as f64)
}

/// The figures of a run that are one number.
fn figures(result: &RunResult) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    let mut add = |name: &str, value: f64| figures.insert(name.to_owned(), value);
    let requests = &result.requests;
    for (name, count) in [
        ("handovers", result.handovers.len()),
        ("sent", requests.sent),
        ("answered", requests.answered),
        ("lost", requests.lost),
        ("retransmitted", requests.retransmitted),
        ("reset", requests.reset),
        ("duplicates", requests.duplicates),
        ("signalling_sent", result.signalling.sent),
        ("signalling_retransmitted", result.signalling.retransmitted),
    ] {
        add(name, count as f64);
    }
    let errors = requests.error_responses.values().sum::<usize>();
    add("error_responses", errors as f64);
    add("handovers_given_up", result.given_up.len() as f64);
    // By the clients' own account, as far as they told it.
    let calls = &result.calls.all;
    for (name, count) in [
        ("asked", calls.asked),
        ("failed", calls.failed),
        ("never_sent", calls.never_sent),
    ] {
        if let Some(count) = count {
            add(name, count as f64);
        }
    }
    if let Some(percent) = calls.delivery_percent {
        add("delivery_percent", percent);
    }
    if let Some(waited) = calls.waited {
        add("waited", waited.requests as f64);
        add("waited_mean_s", waited.mean_s);
        add("waited_max_s", waited.longest_s);
    }
    if let Some(rtt) = requests.rtt_s {
        add("rtt_min_s", rtt.min);
        add("rtt_median_s", rtt.median);
        add("rtt_p95_s", rtt.p95);
        add("rtt_max_s", rtt.max);
        for (name, time) in [("rtt_mean_s", rtt.mean), ("rtt_p99_s", rtt.p99)] {
            if let Some(time) = time {
                add(name, time);
            }
        }
    }
    if let Some(radios) = &result.radios {
        let energy = radios.iter().map(|radio| radio.millijoules).sum();
        add("radio_energy_mj", energy);
        let each = radios.iter().filter_map(|radio| radio.mj_per_request);
        if let Some(each) = mean(each) {
            add("energy_per_request_mj", each);
        }
    }
    let overhead = result.overhead.iter();
    if let Some(each) = mean(overhead.filter_map(|of| of.air_bytes_per_request)) {
        add("overhead_per_request_bytes", each);
    }
    if let Some(air) = &result.air {
        add("air_frames", air.frames as f64);
        add("air_transmissions", air.transmissions as f64);
    }
    figures.extend(by_http(result).map(|(name, value)| (name.to_owned(), value)));
    figures
}

/// Those of requests by HTTP, over all polls; none without an HTTP client.
fn by_http(result: &RunResult) -> impl Iterator<Item = (&'static str, f64)> {
    let polls = || result.http.iter().flat_map(|client| &client.polls);
    let sum =
        |of: fn(&RequestCounts) -> usize| -> usize { polls().map(|poll| of(&poll.requests)).sum() };
    let (sent, answered) = (sum(|of| of.sent), sum(|of| of.answered));
    let connections = result.http.iter().map(|client| &client.connections);
    let unconnected: usize = connections.map(ConnectionCounts::unconnected).sum();
    let known = sent - sum(|of| of.open) + unconnected;
    let counts = [
        ("http_sent", sent),
        ("http_answered", answered),
        ("http_deferred", sum(|of| of.deferred)),
        ("http_refused", sum(|of| of.refused.values().sum())),
        ("http_unanswered", sum(|of| of.unanswered)),
        ("http_unconnected", unconnected),
    ];
    let latencies = polls().filter_map(|poll| Some(poll.requests.latency_s?.max));
    let silences = polls().filter_map(|poll| poll.events.as_ref()?.longest_silence_s);
    let figures = [
        ("http_delivery_percent", percent(answered, known)),
        ("http_latency_max_s", latencies.reduce(f64::max)),
        ("http_silence_s", silences.reduce(f64::max)),
    ];
    let counts = counts.map(|(name, count)| (name, Some(count as f64)));
    let is_there = !result.http.is_empty();
    let all = counts.into_iter().chain(figures).filter(move |_| is_there);
    all.filter_map(|(name, value)| Some((name, value?)))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0_u32, 0.0), |(n, sum), value| (n + 1, sum + value));
    (count > 0).then(|| sum / f64::from(count))
}

/// A row for tests: run `seed` of `point`, with handovers of these delays that lost nothing.
#[cfg(test)]
pub(super) fn test_row(point: usize, seed: u64, delays_s: &[f64]) -> Row {
    let handover = |delay: &f64| HandoverRow {
        node: "sensor".into(),
        client: "client".into(),
        method: Some("GET".into()),
        resource: Some("/t".into()),
        from: None,
        to: None,
        delay_s: Some(*delay),
        outage_s: None,
        rate_per_s: Some(10.0),
        lost: 0,
        phases: ByPhase::default(),
        energy_mj: None,
        air: None,
        wired: None,
    };
    Row {
        passed: true,
        figures: BTreeMap::from([("lost".to_owned(), 0.0)]),
        handovers: delays_s.iter().map(handover).collect(),
        ..Row::empty(Origin {
            point,
            seed: Seed(seed),
            set: BTreeMap::from([("a.b".to_owned(), point.to_string())]),
            command: format!("wpanlab run x.yaml --seed {seed}"),
            dir: rundir::SweepDir::run_name(point, seed),
        })
    }
}
