//! What clients were to ask, and what a run says of what failed.

use std::collections::BTreeMap;

use measure::distribution::{Origin, Row};

use super::*;

fn failed(reason: &str) -> Event {
    let reason = reason.to_owned();
    let p_addr = P_ADDR.parse().unwrap();
    event(
        60_000,
        "client",
        EventKind::RequestFailed { p_addr, reason },
    )
}

/// [`events`] with failures, counted at the end.
fn events_with(asked: u64, reasons: &[(&str, u64)]) -> Vec<Event> {
    let mut events = events();
    events.pop();
    let mut count = 0;
    for (reason, times) in reasons {
        count += times;
        events.extend((0..*times).map(|_| failed(reason)));
    }
    let reasons = reasons.iter().map(|(r, n)| ((*r).to_owned(), *n));
    let drained = EventKind::Drained {
        requested: asked,
        answered: asked - count,
        sent: 0,
        failed: count,
        reasons: reasons.collect(),
        waited: None,
    };
    events.push(event(200_000, "client", drained));
    events
}

/// All that was sent was answered, and passed; what waited in the client was not sent.
#[test]
fn a_run_says_what_failed_before_it_was_sent() {
    let mut plan = plan();
    plan.expect = vec![expect(Metric::Lost, Comparison::Equal, 0.0, "0")];
    let events = events_with(25, &[("hold timeout", 11), ("backlog timeout", 4)]);
    let (_root, _, result) = measure(&plan, &events, &polls(&client_address(&plan)));
    assert!(result.passed);
    let all = &result.calls.all;
    assert_eq!(
        (all.asked, all.answered, all.failed, all.never_sent),
        (Some(25), Some(10), Some(15), Some(15))
    );
    assert_eq!(all.delivery_percent, Some(40.0));
    assert_eq!(all.reasons["hold timeout"], 11);
    assert_eq!(result.calls.clients[0].differences, Vec::<String>::new());
    assert_eq!(result.requests.delivery_percent, Some(100.0));
    let uncovered = "15 of 25 requests failed, and no expectation is about that: \
                     11 hold timeout, 4 backlog timeout";
    assert_eq!(result.uncovered, [uncovered]);

    let summary = text::summary(&result);
    assert!(
        summary.starts_with("handover: passed, although something failed (seed"),
        "{summary}"
    );
    assert!(
        summary.lines().nth(1) == Some(&format!("WARNING: {uncovered}")),
        "{summary}"
    );
    let asked = "\nasked: 25, answered 10 (40.00 %), failed 15 (11 hold timeout, 4 backlog timeout), never sent 15\n";
    assert!(summary.contains(asked), "{summary}");
}

#[test]
fn what_an_expectation_is_about_needs_no_warning() {
    let mut plan = plan();
    plan.expect = vec![expect(
        Metric::Delivery,
        Comparison::AtLeast,
        90.0,
        ">= 90 %",
    )];
    let events = events_with(25, &[("hold timeout", 15)]);
    let (_root, _, result) = measure(&plan, &events, &polls(&client_address(&plan)));
    assert!(!result.passed);
    assert_eq!(result.uncovered, Vec::<String>::new());
    let summary = text::summary(&result);
    assert!(summary.contains("\nfailed: delivery >= 90 % (40.00 %)\n"));
}

#[test]
fn an_account_that_does_not_fit_the_capture_is_told() {
    let plan = plan();
    let events = events_with(12, &[("hold timeout", 1)]);
    let (_root, _, result) = measure(&plan, &events, &polls(&client_address(&plan)));
    assert_eq!(
        result.calls.clients[0].differences,
        [
            "by its own account it sent 11 requests, its capture has 10",
            "by its own account 11 requests were answered, in its capture 10"
        ]
    );
    let note = "\nnote: client: by its own account it sent 11 requests, its capture has 10\n";
    assert!(text::summary(&result).contains(note));
}

#[test]
fn errors_are_answers_and_told_by_their_code() {
    let plan = plan();
    let client = client_address(&plan);
    let mut wire = polls(&client);
    for (n, code) in [
        (0, Code::NOT_FOUND),
        (1, Code::NOT_FOUND),
        (2, Code::new(5, 3)),
    ] {
        wire.message(
            100_000 + n * 100,
            &client,
            NEW,
            &get(Kind::Confirmable, 400 + n as u16, 40 + n as u8, "/t"),
        );
        let mut answer = content(Kind::Acknowledgement, 400 + n as u16, 40 + n as u8);
        answer.code = code;
        wire.message(100_500 + n * 100, NEW, &client, &answer);
    }
    let (_root, _, result) = measure(&plan, &events_with(13, &[]), &wire);
    let errors: Vec<_> = result.requests.error_responses.iter().collect();
    assert_eq!(errors, [(&"4.04".to_owned(), &2), (&"5.03".to_owned(), &1)]);
    assert_eq!(result.flows[0].requests.error_responses["4.04"], 2);
    assert_eq!(result.calls.all.delivery_percent, Some(100.0));
    assert_eq!(
        result.uncovered,
        ["3 of 13 answers were errors, and no expectation is about that"]
    );
    let summary = text::summary(&result);
    assert!(
        summary.contains("\nerror responses: 2 4.04, 1 5.03\n"),
        "{summary}"
    );
}

#[test]
fn the_versions_that_a_run_depends_on_are_named() {
    let plan = plan();
    let facts = RunFacts {
        qemu: Some("7.2.22".into()),
        processor: None,
        ..facts()
    };
    let result = build(&plan, &facts, &events(), &[], None);
    assert_eq!(result.qemu.as_deref(), Some("7.2.22"));
    assert_eq!(result.kernel, "6.1.0-18-amd64");
    assert_eq!(result.wpanlab_version, "0.1.0");
}

/// The registration and the first notifications cross, the others leave the sensor only.
#[test]
fn what_a_node_notified_to_the_end_of_a_run_was_sent() {
    let mut plan = plan();
    plan.expect = vec![expect(
        Metric::NotificationsLost,
        Comparison::Equal,
        0.0,
        "0",
    )];
    let client = client_address(&plan);
    let (mut here, mut there) = (polls(&client), Wire::new());
    let mut register = get(Kind::Confirmable, 7, 77, "/t");
    register.options.push_uint(6, 0);
    let notification = |kind, id, number: u64| {
        let mut message = content(kind, id, 77);
        message.options.push_uint(6, number);
        message
    };
    let answer = notification(Kind::Acknowledgement, 7, 1);
    here.message(200_000, &client, NEW, &register)
        .message(201_000, NEW, &client, &answer);
    for n in 2..=10 {
        let us = 200_000 + n * 100_000;
        let message = notification(Kind::NonConfirmable, 800 + n as u16, n);
        there.message(us, NEW, &client, &message);
        if n <= 4 {
            here.message(us + 500, NEW, &client, &message);
        }
    }
    // What is sent when the scenario is over is not waited for.
    let late = notification(Kind::NonConfirmable, 900, 11);
    there.message(31_000_000, NEW, &client, &late);
    let own = |node: &str, interface: &str, wire: &Wire| InterfaceCapture {
        node: node.into(),
        interface: interface.into(),
        capture: wire.capture(),
    };
    let lost = |captures: &[InterfaceCapture]| {
        let result = build(&plan, &facts(), &events(), captures, None);
        let notified = result.flows[0].notifications.unwrap();
        (
            notified.received,
            notified.lost,
            result.expectations[0].outcome,
        )
    };
    let client = || own("client", "eth0", &here);
    let sensor = own("sensor", "lowpan0", &there);
    assert_eq!(lost(&[client()]), (3, Some(0), Outcome::Passed));
    assert_eq!(lost(&[client(), sensor]), (3, Some(6), Outcome::Failed));
}

/// One poll is sent a second after the end and never answered, another one is.
#[test]
fn what_a_client_asked_after_the_end_counts_in_its_account_and_in_its_capture() {
    let mut plan = plan();
    let of_sensor = |metric| Expectation {
        of: Scope {
            node: Some("sensor".into()),
            ..Scope::default()
        },
        ..expect(metric, Comparison::Equal, 12.0, "12")
    };
    plan.expect = vec![
        expect(Metric::Asked, Comparison::Equal, 12.0, "12"),
        of_sensor(Metric::Asked),
    ];
    let client = client_address(&plan);
    let mut wire = polls(&client);
    wire.poll(31_000_000, 300, 30, &client, NEW);
    let unanswered = get(Kind::Confirmable, 301, 31, "/t");
    wire.message(31_500_000, &client, NEW, &unanswered);
    let (_root, _, result) = measure(&plan, &events_with(12, &[("timeout", 1)]), &wire);
    assert_eq!((result.requests.sent, result.requests.lost), (12, 1));
    assert_eq!(result.flows[0].lost_message_ids, [301]);
    let asked = result.expectations.iter().map(|e| e.measured);
    assert_eq!(asked.collect::<Vec<_>>(), [Some(12.0); 2]);
    assert_eq!(result.calls.clients[0].differences, Vec::<String>::new());
    assert_eq!(
        result.notes,
        ["capture of client: 1 of the lost requests was first sent after the end of the scenario"]
    );
}

#[test]
fn a_sweep_has_what_waited_in_the_clients() {
    let plan = plan();
    let mut events = events_with(10, &[]);
    let Some(EventKind::Drained { waited, .. }) = events.last_mut().map(|last| &mut last.kind)
    else {
        panic!("the last event is the client's account");
    };
    *waited = Some(rundir::event::Waited {
        requests: 4,
        total_s: 2.0,
        longest_s: 1.5,
    });
    let (_root, _, result) = measure(&plan, &events, &polls(&client_address(&plan)));
    let origin = Origin {
        point: 0,
        seed: plan.seed,
        set: BTreeMap::new(),
        command: "wpanlab run x.yaml".to_owned(),
        dir: "run-1".to_owned(),
    };
    let figures = Row::of(origin, &plan, &events, &result).figures;
    let waited = ["waited", "waited_mean_s", "waited_max_s"].map(|name| figures[name]);
    assert_eq!(waited, [4.0, 0.5, 1.5]);
}
