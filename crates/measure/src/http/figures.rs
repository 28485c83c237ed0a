//! What the exchanges of a poll by HTTP come to, over the run and around the handovers of its node.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use topology::plan::{HttpPollPlan, NodeName};
use units::SimTime;

use super::Polled;
use super::connection::{Exchange, Outcome};
use crate::analysis;
use crate::mobility::NodeHandover;
use crate::result::{Rtt, Scenario, percent, seconds};

/// The type of the events that tell a state.
const STATE: &str = "state";

/// What became of a poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PollFigures {
    /// The node asked.
    pub node: NodeName,
    /// For what.
    pub path: String,
    /// How often it was to be asked within the scenario, by the plan, as far as the run came; of an event stream once. What of this was not sent was left
    /// out, since the response before was still waited for, or had no connection.
    pub due: u64,
    /// Its requests; of an event stream those that it began with.
    pub requests: RequestCounts,
    /// What an event stream told; absent of what is asked again and again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub events: Option<Events>,
    /// The same around each handover that the node completed; absent if it completed none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub handovers: Vec<HandoverSeen>,
}

/// Counts of requests by HTTP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// Sent.
    pub sent: usize,
    /// Answered without an error.
    pub answered: usize,
    /// Answered 503 with when to ask again (`Retry-After`).
    pub deferred: usize,
    /// Answered with another error, 4xx or 5xx, by status; absent if none was.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub refused: BTreeMap<String, usize>,
    /// Without a whole response when their connection, or the capture, ended.
    pub unanswered: usize,
    /// Open when the run was ended before its end: nobody knows what would have become of them. Absent if none was.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub open: usize,
    /// Answered of those sent and not open, in percent; null if there are none.
    pub delivery_percent: Option<f64>,
    /// Bytes of the responses: heads, bodies and the framing of chunks; of one that is not whole its body's.
    pub response_bytes: u64,
    /// From the first byte of a request to the last one of its response, of those that were answered; null if none was.
    pub latency_s: Option<Rtt>,
}

/// What an event stream told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// States.
    pub states: usize,
    /// Other events by their type; absent if there were none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub others: BTreeMap<String, usize>,
    /// The longest time without a state, whatever stream they came by: from when it was to be asked for to the first state, between two, and
    /// from the last one to the end of the scenario, or of a run that did not come to it. Null if the run ended before it was to be asked.
    pub longest_silence_s: Option<f64>,
}

/// A handover of the node asked, as a poll saw it: of requests those that were open at an instant of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandoverSeen {
    /// The node's own number of it.
    pub number: u32,
    /// When it began, from the node's events.
    pub started_s: f64,
    /// When it was completed, from the same.
    pub completed_s: f64,
    /// How many requests were open.
    pub requests: usize,
    /// Of those the ones that were answered, and took longer than every one that was open in no handover, also in none that was
    /// not completed; null if there was none to compare with.
    pub late: Option<usize>,
    /// Of those the ones that were answered 503 with when to ask again.
    pub deferred: usize,
    /// Of those the ones that were answered with another error.
    pub refused: usize,
    /// Of those the ones that were not answered.
    pub unanswered: usize,
    /// The longest latency of those that were answered; null if none was.
    pub longest_s: Option<f64>,
    /// Of an event stream the longest time without a state that was not over before the handover began, and had begun when
    /// it was completed. Absent of what is asked again and again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub silence_s: Option<f64>,
}

impl RequestCounts {
    /// Counts exchanges.
    pub fn of<'e>(exchanges: impl IntoIterator<Item = &'e Exchange>) -> RequestCounts {
        let mut counts = RequestCounts::default();
        let mut latencies = Vec::new();
        for exchange in exchanges {
            counts.sent += 1;
            counts.response_bytes += exchange.octets;
            match exchange.outcome() {
                Outcome::Answered => counts.answered += 1,
                Outcome::Deferred => counts.deferred += 1,
                Outcome::Refused(status) => {
                    *counts.refused.entry(status.to_string()).or_default() += 1;
                }
                Outcome::Unanswered => counts.unanswered += 1,
                Outcome::Open => counts.open += 1,
            }
            latencies.extend(exchange.latency());
        }
        counts.delivery_percent = percent(counts.answered, counts.sent - counts.open);
        counts.latency_s = analysis::Rtt::of(latencies).map(Rtt::from);
        counts
    }
}

/// When a run was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ran {
    /// Scenario time 0.
    pub(super) start: SimTime,
    /// The end of the scenario, or of a run that did not come to it.
    pub(super) end: SimTime,
}

impl PollFigures {
    /// Those of `polled`. `records` are the handovers of all nodes.
    pub(super) fn of(
        polled: &Polled,
        ran: Ran,
        scenario: &Scenario,
        records: &[NodeHandover],
    ) -> PollFigures {
        let Polled { poll, exchanges } = polled;
        let records: Vec<&NodeHandover> = records
            .iter()
            .filter(|record| record.node == poll.node)
            .collect();
        let spans = disturbed(&records, ran.end);
        let is_calm = |e: &&Exchange| !spans.iter().any(|span| is_open_in(e, *span));
        let calm = exchanges.iter().filter(is_calm);
        let silences = poll.observe.then(|| silences(poll, exchanges, ran));
        let around = Around {
            scenario,
            exchanges,
            silences: silences.as_deref(),
            calm: calm.filter_map(Exchange::latency).max(),
        };
        let seen = records.iter().filter_map(|record| {
            let span = (record.started?, record.completed?);
            Some(around.seen(record.number, span))
        });
        PollFigures {
            node: poll.node.clone(),
            path: poll.path.clone(),
            due: poll.due_within(ran.end.saturating_since(ran.start)),
            requests: RequestCounts::of(exchanges),
            handovers: seen.collect(),
            events: silences.map(|silences| Events::of(exchanges, &silences)),
        }
    }
}

/// When a node was under way: also in handovers that it gave up, or did not end before the next one or the run's end.
fn disturbed(records: &[&NodeHandover], end: SimTime) -> Vec<Span> {
    let began = |i: usize| records.get(i).and_then(|record| record.started);
    let span = |(i, record): (usize, &&NodeHandover)| {
        let failed = record.failed.as_ref().map(|(at, _)| *at);
        let over = record.completed.or(failed).or(began(i + 1));
        Some((record.started?, over.unwrap_or(end)))
    };
    records.iter().enumerate().filter_map(span).collect()
}

/// From when to when.
type Span = (SimTime, SimTime);

/// Whether a request was open at an instant of a span.
fn is_open_in(exchange: &Exchange, (began, ended): Span) -> bool {
    exchange.sent <= ended && exchange.ended().is_none_or(|end| end >= began)
}

/// What there is to tell of a poll around handovers.
struct Around<'a> {
    scenario: &'a Scenario,
    exchanges: &'a [Exchange],
    /// Of an event stream when it told no state.
    silences: Option<&'a [Span]>,
    /// The longest latency of those that were open in no handover.
    calm: Option<Duration>,
}

impl Around<'_> {
    fn seen(&self, number: u32, span: Span) -> HandoverSeen {
        let open = self.exchanges.iter().filter(|e| is_open_in(e, span));
        let open: Vec<&Exchange> = open.collect();
        let latencies = || open.iter().filter_map(|exchange| exchange.latency());
        let later = |calm| latencies().filter(|latency| *latency > calm).count();
        let counts = RequestCounts::of(open.iter().copied());
        HandoverSeen {
            number,
            started_s: self.scenario.seconds(span.0),
            completed_s: self.scenario.seconds(span.1),
            requests: counts.sent,
            late: self.calm.map(later),
            deferred: counts.deferred,
            refused: counts.refused.values().sum(),
            unanswered: counts.unanswered,
            longest_s: latencies().max().map(seconds),
            silence_s: self.silences.and_then(|all| {
                let touches = |(began, ended): &&Span| *began <= span.1 && *ended >= span.0;
                longest(all.iter().filter(touches))
            }),
        }
    }
}

impl Events {
    fn of(exchanges: &[Exchange], silences: &[Span]) -> Events {
        let mut others: BTreeMap<String, usize> = BTreeMap::new();
        let events = exchanges.iter().flat_map(|exchange| &exchange.events);
        for (_, kind) in events.filter(|(_, kind)| kind != STATE) {
            *others.entry(kind.clone()).or_default() += 1;
        }
        Events {
            states: states(exchanges).len(),
            others,
            longest_silence_s: longest(silences),
        }
    }
}

/// When states were told, in the order of time.
pub fn states(exchanges: &[Exchange]) -> Vec<SimTime> {
    let events = exchanges.iter().flat_map(|exchange| &exchange.events);
    let told = events.filter(|(_, kind)| kind == STATE);
    let mut told: Vec<SimTime> = told.map(|(time, _)| *time).collect();
    told.sort_unstable();
    told
}

/// The times without a state: before the first one from when it was to be asked for, and after the last one.
fn silences(poll: &HttpPollPlan, exchanges: &[Exchange], ran: Ran) -> Vec<Span> {
    let mut instants = states(exchanges);
    // From then on it was wanted, whether or not there was a connection to ask by.
    instants.push(ran.start + poll.first);
    instants.push(ran.end);
    instants.sort_unstable();
    // What is told after the end of the scenario ends the last silence.
    let pairs = instants.windows(2).map(|pair| (pair[0], pair[1]));
    pairs.filter(|(before, _)| *before < ran.end).collect()
}

fn longest<'s>(silences: impl IntoIterator<Item = &'s Span>) -> Option<f64> {
    let lengths = silences
        .into_iter()
        .map(|(before, after)| after.saturating_since(*before));
    lengths.max().map(seconds)
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use topology::plan::HttpPollPlan;

    use super::super::connection::Response;
    use super::*;

    fn at(ms: u64) -> SimTime {
        SimTime::ZERO + Duration::from_millis(1_000_000 + ms)
    }

    /// A request that is answered with this status after so many milliseconds.
    fn exchange(sent_ms: u64, status: u16, after_ms: u64) -> Exchange {
        Exchange {
            sent: at(sent_ms),
            method: "GET".into(),
            target: "/".into(),
            follows: false,
            response: Some(Response {
                time: at(sent_ms + after_ms),
                status,
                retry_after: status == 503,
                is_stream: false,
            }),
            whole: Some(at(sent_ms + after_ms)),
            left: None,
            octets: 100,
            events: Vec::new(),
            is_cut: false,
        }
    }

    fn lost(sent_ms: u64, left_ms: u64) -> Exchange {
        Exchange {
            response: None,
            whole: None,
            left: Some(at(left_ms)),
            octets: 0,
            ..exchange(sent_ms, 200, 0)
        }
    }

    fn poll(observe: bool) -> HttpPollPlan {
        HttpPollPlan {
            node: "sensor".into(),
            address: "2001:db8:1::5".parse().unwrap(),
            path: "/t".into(),
            every: Duration::from_secs(1),
            first: Duration::ZERO,
            observe,
        }
    }

    fn record(number: u32, started_ms: u64, completed_ms: Option<u64>) -> NodeHandover {
        NodeHandover {
            node: "sensor".into(),
            number,
            started: Some(at(started_ms)),
            completed: completed_ms.map(at),
            ..NodeHandover::default()
        }
    }

    fn figures(poll: &HttpPollPlan, exchanges: Vec<Exchange>, of: &[NodeHandover]) -> PollFigures {
        let scenario = Scenario {
            start_unix_ns: at(0).as_nanos(),
            duration_s: 10.0,
        };
        let polled = Polled {
            poll: poll.clone(),
            exchanges,
        };
        let ran = Ran {
            start: at(0),
            end: at(10_000),
        };
        PollFigures::of(&polled, ran, &scenario, of)
    }

    #[test]
    fn every_request_has_one_outcome_and_those_around_a_handover_are_told_for_themselves() {
        let exchanges = vec![
            exchange(0, 200, 10),
            exchange(1000, 200, 30),
            // Kept back, and answered late.
            exchange(1990, 200, 700),
            exchange(3000, 503, 5000),
            lost(4000, 4500),
            exchange(5000, 404, 10),
            exchange(6000, 503, 10),
        ];
        let mut busy = exchanges.clone();
        // Without Retry-After.
        if let Some(response) = busy.last_mut().and_then(|last| last.response.as_mut()) {
            response.retry_after = false;
        }
        let records = [record(1, 2000, Some(4200)), record(2, 9000, None)];
        let of = figures(&poll(false), busy, &records);
        let requests = &of.requests;
        assert_eq!((of.due, requests.sent, requests.answered), (10, 7, 3));
        assert_eq!((requests.deferred, requests.unanswered), (1, 1));
        let refused = [("404".to_owned(), 1), ("503".to_owned(), 1)];
        assert_eq!(requests.refused, BTreeMap::from(refused));
        assert_eq!(requests.response_bytes, 600);
        assert_eq!(requests.latency_s.unwrap().max, 0.7);
        let expected = HandoverSeen {
            number: 1,
            started_s: 2.0,
            completed_s: 4.2,
            requests: 3,
            late: Some(1),
            deferred: 1,
            refused: 0,
            unanswered: 1,
            longest_s: Some(0.7),
            silence_s: None,
        };
        assert_eq!(of.handovers, [expected]);
        assert_eq!(of.events, None);
    }

    #[test]
    fn nothing_is_late_without_something_to_compare_with() {
        let of = figures(
            &poll(false),
            vec![exchange(10, 200, 500)],
            &[record(1, 0, Some(100))],
        );
        assert_eq!(of.handovers[0].late, None);
        let none = figures(&poll(false), vec![], &[record(1, 0, Some(100))]);
        let seen = &none.handovers[0];
        assert_eq!((seen.requests, seen.longest_s), (0, None));
        assert_eq!(none.requests.delivery_percent, None);
    }

    #[test]
    fn a_stream_is_told_by_its_states_and_by_how_long_none_came() {
        let told = |ms: &u64| (at(*ms), STATE.to_owned());
        let mut stream = exchange(0, 200, 5);
        stream.whole = None;
        stream.left = Some(at(9000));
        stream.response.as_mut().unwrap().is_stream = true;
        stream.events = [10, 500, 1000, 3000, 3100].iter().map(told).collect();
        stream.events.push((at(3200), "error".into()));
        let mut again = stream.clone();
        again.sent = at(3500);
        again.response.as_mut().unwrap().time = at(3505);
        again.left = None;
        again.events = [8000].iter().map(told).collect();
        let records = [record(1, 1500, Some(2500)), record(2, 3050, Some(3060))];
        let of = figures(&poll(true), vec![stream, again], &records);
        assert_eq!((of.due, of.requests.answered), (1, 2));
        assert_eq!(of.requests.latency_s.unwrap().min, 0.005);
        let events = of.events.unwrap();
        assert_eq!((events.states, events.longest_silence_s), (6, Some(4.9)));
        assert_eq!(events.others, BTreeMap::from([("error".to_owned(), 1)]));
        let silences: Vec<Option<f64>> = of.handovers.iter().map(|h| h.silence_s).collect();
        assert_eq!(silences, [Some(2.0), Some(0.1)]);
        // It has no end for the client, and was answered when it began.
        assert_eq!(of.handovers[0].requests, 0);
    }

    #[test]
    fn a_stream_that_dies_or_never_begins_is_silent_to_the_end() {
        let mut stream = exchange(1000, 200, 5);
        stream.response.as_mut().unwrap().is_stream = true;
        stream.events = vec![(at(2000), STATE.to_owned()), (at(2500), STATE.to_owned())];
        let died = figures(
            &poll(true),
            vec![stream.clone()],
            &[record(1, 4000, Some(5000))],
        );
        assert_eq!(died.events.unwrap().longest_silence_s, Some(7.5));
        assert_eq!(died.handovers[0].silence_s, Some(7.5));
        // It was to be asked at 0 s, and is told nothing for long, whether or not there was a connection before.
        stream.events = vec![(at(9500), STATE.to_owned())];
        let late = figures(&poll(true), vec![stream], &[]);
        assert_eq!(late.events.unwrap().longest_silence_s, Some(9.5));
        let never = figures(&poll(true), vec![], &[]);
        assert_eq!(never.events.unwrap().longest_silence_s, Some(10.0));
    }

    #[test]
    fn a_handover_that_was_not_completed_is_no_time_to_compare_with() {
        let exchanges = vec![
            exchange(0, 200, 10),
            exchange(1000, 200, 2000),
            exchange(8000, 200, 1000),
        ];
        let mut failed = record(1, 1000, None);
        failed.failed = Some((at(3500), "er2 lost".into()));
        let records = [failed, record(2, 8000, Some(8500))];
        let of = figures(&poll(false), exchanges.clone(), &records);
        assert_eq!(of.handovers[0].late, Some(1), "1 s is long beside 10 ms");
        // One without an end lasts until the next.
        let records = [record(1, 1000, None), record(2, 8000, Some(8500))];
        let of = figures(&poll(false), exchanges, &records);
        assert_eq!(of.handovers[0].late, Some(1));
    }

    #[test]
    fn what_was_open_when_a_run_was_ended_was_not_lost() {
        let mut open = lost(9000, 9900);
        open.is_cut = true;
        let of = RequestCounts::of(&[exchange(0, 200, 10), lost(1000, 2000), open]);
        assert_eq!((of.sent, of.answered, of.unanswered, of.open), (3, 1, 1, 1));
        assert_eq!(of.delivery_percent, Some(50.0));
    }
}
