use std::time::Duration;

use topology::plan::Unit;
use units::SimTime;

use super::*;
use crate::applications::{Volume, Ways};
use crate::calls::calls;

const TOPOLOGY: &str = "\
version: 1
name: judged
nodes:
  er1: { role: edge-router }
  sensor: { role: sensor, attached_to: er1, resources: [{ path: /t }, { path: /u }] }
  other: { role: sensor, attached_to: er1, resources: [{ path: /t }] }
  manager: { place: wired, services: [{ sensors: [{ path: /rd }] }] }
  client: { role: client, mobility: none, polls: [{ node: sensor, path: /t }, { node: sensor, path: /u }] }
  second: { role: client, mobility: none, polls: [{ node: sensor, path: /t }, { node: other, path: /t }] }
scenario: { duration: 30 s }
";

/// What there is to judge.
struct Bench {
    plan: Plan,
    handovers: Vec<Handover>,
    records: Vec<NodeHandover>,
    given_up: Vec<GivenUp>,
    flows: Vec<Flow>,
    exchanges: Vec<Vec<Exchange>>,
    events: Vec<Event>,
    radios: Option<Vec<RadioUse>>,
    applications: Option<Vec<Application>>,
    gap: Option<&'static str>,
}

impl Bench {
    fn new() -> Bench {
        let plan = topology::load("judged.yaml", TOPOLOGY, topology::Overrides::default());
        Bench {
            plan: plan.unwrap_or_else(|e| panic!("{e:?}")),
            handovers: Vec::new(),
            records: Vec::new(),
            given_up: Vec::new(),
            flows: Vec::new(),
            exchanges: Vec::new(),
            events: Vec::new(),
            radios: None,
            applications: None,
            gap: None,
        }
    }

    fn with<R>(&self, look: impl FnOnce(&Evidence<'_>) -> R) -> R {
        let calls = calls(&self.plan, &self.events, None);
        let failures = Failures::of(&self.plan, &self.events, &calls);
        look(&Evidence {
            plan: &self.plan,
            handovers: &self.handovers,
            records: Some(&self.records),
            given_up: &self.given_up,
            flows: &self.flows,
            exchanges: &self.exchanges,
            calls: &calls,
            failures: &failures,
            radios: self.radios.as_deref(),
            applications: self.applications.as_deref(),
            http: &Measured::default(),
            traffic_gap: self.gap,
        })
    }

    /// A whole run: `condition` is `< 0.3`, in the metric's unit.
    fn judge(&self, metric: Metric, condition: &str) -> Expectation {
        self.judge_of(Scope::default(), metric, condition)
    }

    fn judge_of(&self, of: Scope, metric: Metric, condition: &str) -> Expectation {
        let expected = expected(of, metric, condition);
        self.with(|evidence| evidence.judge(&expected))
    }

    /// Requests of `client` to `node`: whether answered, after how many milliseconds.
    fn flow(&mut self, client: &str, node: &str, path: &str, answers: &[Option<u64>]) {
        let exchanges: Vec<Exchange> = answers.iter().map(|ms| exchange(*ms)).collect();
        self.flows.push(Flow {
            client: client.into(),
            node: node.into(),
            method: Some("GET".into()),
            resource: path.into(),
            addresses: Vec::new(),
            requests: (&analysis::Requests::of(&exchanges)).into(),
            lost_message_ids: Vec::new(),
            largest_gap_s: None,
            notifications: None,
        });
        self.exchanges.push(exchanges);
    }

    fn fail(&mut self, client: &str, node: &str, reason: &str) {
        let p_addr = self.plan.nodes[node].address;
        self.event(
            client,
            EventKind::RequestFailed {
                p_addr,
                reason: reason.into(),
            },
        );
    }

    fn drained(&mut self, client: &str, requested: u64, answered: u64) {
        let own = self.events.iter().filter(|e| e.node == client);
        let failed = own.count() as u64;
        let kind = EventKind::Drained {
            requested,
            answered,
            sent: 0,
            failed,
            reasons: BTreeMap::new(),
            waited: None,
        };
        self.event(client, kind);
    }

    fn event(&mut self, client: &str, kind: EventKind) {
        self.events.push(Event {
            time_ns: 0,
            node: client.into(),
            kind,
        });
    }
}

fn expected(of: Scope, metric: Metric, condition: &str) -> Expected {
    let (sign, value) = condition.split_once(' ').unwrap();
    Expected {
        metric,
        of,
        comparison: serde_json::from_value(sign.into()).unwrap(),
        value: value.parse().unwrap(),
        text: condition.into(),
    }
}

fn exchange(answered_ms: Option<u64>) -> Exchange {
    let peer = "[2001:db8::1]:5683".parse().unwrap();
    let answer = answered_ms.map(|ms| (SimTime::ZERO + Duration::from_millis(ms), peer));
    Exchange::of_test(1, &[SimTime::ZERO], peer, answer).made_confirmable()
}

fn handover(delay_s: Option<f64>) -> Handover {
    Handover {
        node: "sensor".into(),
        number: Some(1),
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
        energy_total_mj: None,
        signalling: None,
    }
}

fn client(name: &str) -> Scope {
    Scope {
        client: Some(name.into()),
        ..Scope::default()
    }
}

fn node(name: &str) -> Scope {
    Scope {
        node: Some(name.into()),
        ..Scope::default()
    }
}

#[test]
fn the_delay_of_every_handover_must_hold_and_the_worst_is_shown() {
    let mut bench = Bench::new();
    bench.flow("client", "sensor", "/t", &[Some(1); 9]);
    bench.handovers = [0.05, 0.2, 0.1].map(|delay| handover(Some(delay))).into();
    let delay = |condition| bench.judge(Metric::HandoverDelay, condition);
    assert_eq!(delay("< 0.3").outcome, Outcome::Passed);
    assert_eq!(delay("< 0.15").outcome, Outcome::Failed);
    assert_eq!(delay("< 0.15").measured, Some(0.2));
    let greater = delay("> 0.07");
    assert_eq!(
        (greater.outcome, greater.measured),
        (Outcome::Failed, Some(0.05))
    );
    let median = bench.judge(Metric::HandoverDelayMedian, "< 0.15");
    assert_eq!(
        (median.outcome, median.measured),
        (Outcome::Passed, Some(0.1))
    );
    let p95 = bench.judge(Metric::HandoverDelayP95, "< 0.15");
    assert_eq!(p95.measured, Some(0.2));
}

#[test]
fn a_handover_that_the_capture_does_not_show_is_not_measured() {
    let mut bench = Bench::new();
    bench.flow("client", "sensor", "/t", &[Some(1); 9]);
    bench.handovers = vec![handover(Some(0.05)), handover(None)];
    let e = bench.judge(Metric::HandoverDelay, "< 1.0");
    assert_eq!(e.outcome, Outcome::NotMeasured);
    let reason = "the capture of client does not show the handover of sensor";
    assert_eq!(e.reason.as_deref(), Some(reason));
    bench.handovers.clear();
    let e = bench.judge(Metric::HandoverDelay, "< 1.0");
    assert_eq!(e.outcome, Outcome::NotMeasured);
}

#[test]
fn nothing_lost_of_nothing_sent_is_not_measured() {
    let mut bench = Bench::new();
    let lost = |bench: &Bench| bench.judge(Metric::Lost, "== 0");
    assert_eq!(lost(&bench).outcome, Outcome::NotMeasured);
    bench.flow("client", "sensor", "/t", &[Some(1); 5]);
    let e = lost(&bench);
    assert_eq!((e.outcome, e.measured), (Outcome::Passed, Some(0.0)));
    bench.gap = Some("cut");
    assert_eq!(lost(&bench).outcome, Outcome::NotMeasured);
    let mut silent = Bench::new();
    silent.flow("client", "sensor", "/t", &[None; 5]);
    let e = silent.judge(Metric::RttP95, "< 1.0");
    assert_eq!(e.outcome, Outcome::NotMeasured);
}

#[test]
fn failures_count_only_if_every_client_drained() {
    let mut bench = Bench::new();
    bench.fail("client", "sensor", "timeout");
    bench.drained("client", 3, 2);
    let e = bench.judge(Metric::Failed, "== 1");
    assert_eq!(e.outcome, Outcome::NotMeasured);
    assert_eq!(
        e.reason.as_deref(),
        Some("second did not report that it had drained")
    );
    let e = bench.judge_of(client("client"), Metric::Failed, "== 1");
    assert_eq!((e.outcome, e.measured), (Outcome::Passed, Some(1.0)));
    bench.drained("second", 4, 4);
    let e = bench.judge(Metric::Failed, "== 1");
    assert_eq!((e.outcome, e.measured), (Outcome::Passed, Some(1.0)));
}

/// What the captures show is all answered; what was never sent is not in them.
#[test]
fn delivery_is_of_what_was_to_be_asked_and_loss_of_what_was_sent() {
    let mut bench = Bench::new();
    bench.flow("client", "sensor", "/t", &[Some(1); 3]);
    bench.flow("second", "sensor", "/t", &[Some(1), None]);
    bench.flow("second", "other", "/t", &[Some(1); 2]);
    bench.fail("client", "sensor", "hold timeout");
    bench.fail("second", "sensor", "timeout");
    bench.drained("client", 4, 3);
    bench.drained("second", 4, 3);
    let figure = |of: &Scope, metric: Metric| {
        let e = bench.judge_of(of.clone(), metric, "< 1000");
        e.measured.unwrap_or_else(|| panic!("{e:?}"))
    };
    let all = Scope::default();
    assert_eq!(figure(&all, Metric::Delivery), 75.0);
    assert_eq!(figure(&all, Metric::NeverSent), 1.0);
    assert_eq!(figure(&all, Metric::FailedPercent), 25.0);
    assert!((figure(&all, Metric::LostPercent) - 100.0 / 7.0).abs() < 1e-12);
    assert_eq!(figure(&client("client"), Metric::Delivery), 75.0);
    assert_eq!(figure(&client("client"), Metric::LostPercent), 0.0);
    assert_eq!(figure(&node("sensor"), Metric::Asked), 6.0);
    assert_eq!(figure(&node("other"), Metric::Delivery), 100.0);
    assert_eq!(figure(&node("other"), Metric::Failed), 0.0);
}

#[test]
fn of_a_resource_only_its_own_round_trips_count() {
    let mut bench = Bench::new();
    bench.flow("client", "sensor", "/t", &[Some(10); 4]);
    bench.flow("client", "sensor", "/u", &[Some(30), Some(50), Some(70)]);
    let of = Scope {
        path: Some("/u".into()),
        ..Scope::default()
    };
    let rtt = |metric| bench.judge_of(of.clone(), metric, "< 1").measured;
    assert_eq!(rtt(Metric::RttMedian), Some(0.05));
    assert_eq!(rtt(Metric::RttP99), Some(0.07));
    assert_eq!(rtt(Metric::RttMax), Some(0.07));
    assert_eq!(rtt(Metric::Answered), Some(3.0));
}

#[test]
fn handovers_are_counted_by_node() {
    let mut bench = Bench::new();
    let completed = |node: &str| NodeHandover {
        node: node.into(),
        completed: Some(SimTime::ZERO),
        ..NodeHandover::default()
    };
    bench.records = vec![completed("sensor"), completed("sensor"), completed("other")];
    bench.given_up = vec![GivenUp {
        node: "other".into(),
        number: 1,
        from: None,
        started_s: None,
        ended_s: None,
        reason: "er1 lost".into(),
    }];
    let of = |name, metric| bench.judge_of(node(name), metric, "== 9").measured;
    assert_eq!(of("sensor", Metric::Handovers), Some(2.0));
    assert_eq!(of("other", Metric::Handovers), Some(1.0));
    assert_eq!(of("sensor", Metric::HandoversGivenUp), Some(0.0));
    assert_eq!(of("other", Metric::HandoversGivenUp), Some(1.0));
    let all = bench.judge(Metric::Handovers, "== 3");
    assert_eq!(all.outcome, Outcome::Passed);
}

#[test]
fn notifications_are_those_received_and_those_lost() {
    let mut bench = Bench::new();
    bench.flow("client", "sensor", "/t", &[Some(1)]);
    let e = bench.judge(Metric::NotificationsLost, "== 0");
    assert_eq!(e.reason.as_deref(), Some("nothing was observed"));
    bench.flows[0].notifications = Some(Notifications {
        sent: Some(40),
        missing_numbers: None,
        lost_percent: Some(25.0),
        received: 30,
        confirmable: 3,
        lost: Some(10),
        reordered: 0,
    });
    let figure = |bench: &Bench, metric| bench.judge(metric, "< 99").measured;
    assert_eq!(figure(&bench, Metric::NotificationsSent), Some(40.0));
    assert_eq!(figure(&bench, Metric::NotificationsLostPercent), Some(25.0));
    // Of a server of which nobody knows how it counts.
    bench.flows[0].notifications.as_mut().unwrap().lost = None;
    let e = bench.judge(Metric::NotificationsLost, "== 0");
    assert_eq!(e.outcome, Outcome::NotMeasured);
    assert_eq!(e.reason.as_deref(), Some(super::LOST_UNKNOWN));
    assert_eq!(figure(&bench, Metric::NotificationsLostPercent), None);
    assert_eq!(figure(&bench, Metric::Notifications), Some(30.0));
}

#[test]
fn energy_is_that_of_the_radios_that_there_are() {
    let mut bench = Bench::new();
    let e = bench.judge(Metric::Energy, "< 1.0");
    assert_eq!(e.outcome, Outcome::NotMeasured);
    let radio = |node: &str| RadioUse {
        node: node.into(),
        tx_s: 0.0,
        rx_s: 0.0,
        listen_s: 0.0,
        sleep_s: 0.0,
        millijoules: 3.0,
        mj_per_request: None,
    };
    bench.radios = Some(vec![radio("er1"), radio("sensor")]);
    let e = bench.judge_of(node("sensor"), Metric::Energy, "< 4.0");
    assert_eq!((e.outcome, e.measured), (Outcome::Passed, Some(3.0)));
    let e = bench.judge(Metric::Energy, "< 99.0");
    assert_eq!(e.reason.as_deref(), Some("the radio of other was not read"));
}

/// What a node sent and received: registrations, of which so many were repeated, and what it was notified of.
fn application(
    node: &str,
    (packets, repeated): (u64, u64),
    notifications: Option<Observed>,
) -> Application {
    let volume = |packets, repeated| Volume {
        packets,
        repeated,
        ..Volume::default()
    };
    let ways = Ways {
        sent: volume(packets, 0),
        received: volume(packets, repeated),
    };
    Application {
        node: node.into(),
        protocol: serde_json::from_value("coap".into()).unwrap(),
        sent: ways.sent,
        received: ways.received,
        by_message: [REGISTER, SEND].map(|name| (name.to_owned(), ways)).into(),
        notifications,
        happened: BTreeMap::new(),
        polled: None,
    }
}

#[test]
fn registrations_are_those_that_reached_whoever_is_registered_with() {
    let mut bench = Bench::new();
    let e = bench.judge(Metric::Registrations, "== 0");
    assert_eq!(e.outcome, Outcome::NotMeasured);
    assert_eq!(e.reason.as_deref(), Some("a capture is missing or damaged"));
    // The sensor's are answers to its own.
    bench.applications = Some(vec![
        application("manager", (3, 1), None),
        application("sensor", (3, 0), None),
    ]);
    for metric in [Metric::Registrations, Metric::Sends] {
        let e = bench.judge(metric, "== 2");
        assert_eq!((e.outcome, e.measured), (Outcome::Passed, Some(2.0)));
    }
    let e = bench.judge(Metric::Registrations, "== 1");
    assert_eq!((e.outcome, e.measured), (Outcome::Failed, Some(2.0)));
    let e = bench.judge_of(node("sensor"), Metric::Registrations, "== 0");
    assert_eq!(e.outcome, Outcome::Passed);
}

#[test]
fn what_is_observed_is_judged_by_number_by_what_is_missing_and_by_silence() {
    let mut bench = Bench::new();
    bench.applications = Some(vec![application("sensor", (1, 0), None)]);
    let e = bench.judge(Metric::Observed, "== 0");
    assert_eq!(e.reason.as_deref(), Some("nothing was observed"));
    let observed = |received, lost, longest_silence_s| Observed {
        received,
        lost,
        longest_silence_s,
    };
    bench.applications = Some(vec![
        application("manager", (1, 0), Some(observed(10, Some(2), Some(0.5)))),
        application("other", (1, 0), Some(observed(5, Some(0), Some(3.0)))),
    ]);
    for (metric, passes, fails) in [
        (Metric::Observed, "== 15", "> 15"),
        (Metric::ObservedLost, "<= 2", "== 0"),
        (Metric::ObservedSilence, "< 3.5", "< 1"),
    ] {
        assert_eq!(bench.judge(metric, passes).outcome, Outcome::Passed);
        assert_eq!(bench.judge(metric, fails).outcome, Outcome::Failed);
    }
    let e = bench.judge_of(node("manager"), Metric::ObservedSilence, "< 1");
    assert_eq!((e.outcome, e.measured), (Outcome::Passed, Some(0.5)));
    // Of a server of which nobody knows how it counts, and of an observation with one message.
    bench.applications = Some(vec![application(
        "manager",
        (1, 0),
        Some(observed(10, None, None)),
    )]);
    for metric in [Metric::ObservedLost, Metric::ObservedSilence] {
        assert_eq!(
            bench.judge(metric, "< 9").outcome,
            Outcome::NotMeasured,
            "{metric:?}"
        );
    }
}

#[test]
fn what_fails_and_no_expectation_is_about_is_said() {
    let mut bench = Bench::new();
    bench.flow("client", "sensor", "/t", &[Some(1); 3]);
    for _ in 0..5 {
        bench.fail("client", "sensor", "hold timeout");
    }
    bench.fail("second", "other", "timeout");
    bench.drained("client", 8, 3);
    bench.drained("second", 1, 0);
    let uncovered = |expected: &[Expected]| bench.with(|evidence| evidence.uncovered(expected));
    let all = Scope::default;
    let lost = expected(all(), Metric::Lost, "== 0");
    let said = |sum, reasons| {
        format!("{sum} of 9 requests failed, and no expectation is about that: {reasons}")
    };
    assert_eq!(
        uncovered(&[]),
        [said(6, "5 hold timeout, 1 timeout")],
        "nothing is expected"
    );
    assert_eq!(
        uncovered(&[lost]),
        [said(5, "5 hold timeout")],
        "what was never sent is not lost"
    );
    let of_client = expected(client("client"), Metric::Delivery, "> 1");
    assert_eq!(uncovered(&[of_client]), [said(1, "1 timeout")]);
    let failed = expected(all(), Metric::Failed, "< 9");
    assert_eq!(uncovered(&[failed]), Vec::<String>::new());
}

#[test]
fn losses_errors_and_handovers_given_up_are_said_too() {
    let mut bench = Bench::new();
    bench.flow("client", "sensor", "/t", &[Some(1), None]);
    let not_found = bench.flows[0].requests.error_responses.entry("4.04".into());
    not_found.or_insert(1);
    bench.given_up = vec![GivenUp {
        node: "sensor".into(),
        number: 1,
        from: None,
        started_s: None,
        ended_s: None,
        reason: "er2 lost".into(),
    }];
    let so = "and no expectation is about that";
    assert_eq!(
        bench.with(|evidence| evidence.uncovered(&[])),
        [
            format!("1 of 2 requests that were sent were lost, {so}"),
            format!("1 of 1 answers were errors, {so}"),
            format!("1 handover given up: 1 er2 lost, {so}"),
        ]
    );
}

#[test]
fn every_metric_can_be_judged_of_what_it_says_that_it_is_of() {
    let bench = Bench::new();
    for metric in Metric::ALL {
        // Nothing was seen: nothing may pass but what counts handovers.
        let e = bench.judge(*metric, "< 0");
        assert_ne!(e.outcome, Outcome::Passed, "{metric:?}");
        assert!(
            metric
                .in_percent()
                .is_none_or(|m| m.unit() == Unit::Percent)
        );
    }
}
