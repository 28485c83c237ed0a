use super::*;
use crate::node::CallFailure;
use crate::stub::{Stub, Told};
use coap::message::option;
use coap::{Code, Failure, Response};
use units::Seed;

const TARGET: Target = Target::Node(std::net::Ipv6Addr::LOCALHOST);

fn at(ms: u64) -> SimTime {
    SimTime::ZERO + Duration::from_millis(ms)
}

/// A GET of `/t` every 10 ms.
fn poll(name: &str) -> Poll {
    Poll {
        name: name.to_owned(),
        target: TARGET,
        ask: Ask::get("/t"),
        reliability: Reliability::Confirmable,
        observe: false,
        timing: Timing::every(Duration::from_millis(10)),
    }
}

fn observation() -> Poll {
    Poll {
        observe: true,
        ..poll("observation")
    }
}

fn requester(polls: Vec<Poll>) -> Requester {
    Requester::new(polls, |name| Seed(1).rng(&[name])).unwrap()
}

/// Everything that is due until `until`.
fn run(requester: &mut Requester, node: &mut Stub, until: SimTime) -> Vec<(SimTime, CallId)> {
    let mut calls = Vec::new();
    while let Some(due) = requester
        .poll_timeout(Reach::FULL)
        .filter(|due| *due <= until)
    {
        requester.handle_timeout(due, Reach::FULL, node);
        calls.extend(node.calls().into_iter().map(|call| (due, call)));
    }
    calls
}

fn answered() -> Outcome {
    Outcome::Answered {
        message_id: 1,
        response: Response::new(Code::CONTENT),
    }
}

fn notified(sequence: u32) -> Outcome {
    let response = Response::new(Code::CONTENT);
    Outcome::Notified {
        message_id: 1,
        sequence,
        response,
    }
}

fn timeout() -> CallFailure {
    CallFailure::Exchange(Failure::Timeout)
}

#[test]
fn a_request_says_everything_that_the_poll_does() {
    let ask = Ask {
        method: Code::IPATCH,
        path: "/a/b".into(),
        query: vec!["x=1".into(), "y".into()],
        payload: vec![1, 2],
        content_format: Some(110),
        accept: Some(112),
        options: vec![(258, vec![26])],
    };
    let mut requester = requester(vec![Poll { ask, ..poll("p") }]);
    let mut node = Stub::default();
    requester.start(at(0), &mut node);
    requester.handle_timeout(at(0), Reach::FULL, &mut node);
    let told = node.take();
    let [Told::Ask(_, TARGET, Reliability::Confirmable, request)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(
        (request.method, &request.payload[..]),
        (Code::IPATCH, &[1, 2][..])
    );
    let options: Vec<(u16, &[u8])> = request.options.iter().collect();
    let expected: [(u16, &[u8]); 7] = [
        (option::URI_PATH, b"a"),
        (option::URI_PATH, b"b"),
        (option::CONTENT_FORMAT, &[110]),
        (option::URI_QUERY, b"x=1"),
        (option::URI_QUERY, b"y"),
        (option::ACCEPT, &[112]),
        (258, &[26]),
    ];
    assert_eq!(options, expected);
}

#[test]
fn another_poll_shifts_no_instant_of_the_others() {
    let random = |name: &str| Poll {
        timing: Timing {
            arrivals: Arrivals::Poisson,
            jitter: Duration::from_millis(3),
            ..Timing::every(Duration::from_millis(10))
        },
        target: Target::Address(format!("[::1]:{}", name.len()).parse().unwrap()),
        ..poll(name)
    };
    let instants = |polls: Vec<Poll>, wanted: Target| {
        let mut requester = requester(polls);
        let mut node = Stub::default();
        requester.start(at(0), &mut node);
        let mut instants = Vec::new();
        while let Some(due) = requester
            .poll_timeout(Reach::FULL)
            .filter(|due| *due < at(1000))
        {
            requester.handle_timeout(due, Reach::FULL, &mut node);
            let told = node.take().into_iter();
            let to = |told| matches!(told, Told::Ask(_, target, ..) if target == wanted);
            instants.extend(told.filter(|told| to(told.clone())).map(|_| due));
        }
        instants
    };
    let target = random("aaaa").target;
    let alone = instants(vec![random("aaaa")], target);
    assert!(alone.len() > 50);
    assert_eq!(instants(vec![random("b"), random("aaaa")], target), alone);
    // Two of one name are two.
    let both = instants(vec![random("aaaa"), random("aaaa")], target);
    assert!(alone.iter().all(|instant| both.contains(instant)));
    let others = both.iter().filter(|instant| !alone.contains(instant));
    assert!(others.count() > 50, "out of step");
}

/// It has ended, and is neither an answer nor a failure of which there would be something to report.
#[test]
fn what_wants_no_response_is_counted_as_sent() {
    let mut requester = requester(vec![poll("p")]);
    let mut node = Stub::default();
    requester.start(at(0), &mut node);
    let calls = run(&mut requester, &mut node, at(20));
    for ((_, call), outcome) in calls.iter().zip([Outcome::Sent, answered(), Outcome::Sent]) {
        requester.handle_outcome(at(20), *call, outcome, &mut node);
    }
    let tally = requester.tally();
    assert_eq!((tally.requested, tally.answered, tally.sent), (3, 1, 2));
    assert_eq!((tally.failed, tally.outstanding()), (0, 0));
    assert_eq!(requester.poll_report(), None);
    requester.drain(at(20), &mut node);
    assert!(requester.is_drained());
    let mut sum = tally.clone();
    sum.add(tally);
    assert_eq!(sum.sent, 4);
}

#[test]
fn what_is_asked_ends_and_is_counted_by_how() {
    let mut requester = requester(vec![poll("p")]);
    let mut node = Stub::default();
    requester.start(at(0), &mut node);
    let calls = run(&mut requester, &mut node, at(30));
    assert_eq!(calls.len(), 4);
    let outcomes = [
        answered(),
        Outcome::Failed(timeout()),
        Outcome::Failed(timeout()),
        Outcome::Failed(CallFailure::HoldTimeout),
    ];
    assert_eq!(requester.tally().outstanding(), 4);
    for ((_, call), outcome) in calls.iter().zip(outcomes) {
        requester.handle_outcome(at(40), *call, outcome, &mut node);
    }
    let tally = requester.tally();
    assert_eq!((tally.requested, tally.answered, tally.failed), (4, 1, 3));
    let reasons: Vec<(&str, u64)> = tally
        .reasons
        .iter()
        .map(|(r, n)| (r.as_str(), *n))
        .collect();
    assert_eq!(reasons, [("hold timeout", 1), ("timeout", 2)]);
    let reports: Vec<Report> = std::iter::from_fn(|| requester.poll_report()).collect();
    let failed = |reason| Report::RequestFailed {
        target: TARGET,
        reason,
    };
    let expected = [timeout(), timeout(), CallFailure::HoldTimeout].map(failed);
    assert_eq!(reports, expected);
    assert_eq!(node.take(), [], "nothing is repeated");
}

#[test]
fn what_is_due_waits_until_the_node_may_ask() {
    let mut requester = requester(vec![poll("p")]);
    let mut node = Stub::default();
    requester.start(at(0), &mut node);
    let away = Reach {
        sends: true,
        asks: false,
    };
    assert_eq!(requester.poll_timeout(away), None);
    requester.handle_timeout(at(25), away, &mut node);
    assert_eq!(node.take(), []);
    requester.handle_timeout(at(25), Reach::FULL, &mut node);
    assert_eq!(node.calls().len(), 3);
}

#[test]
fn an_observation_is_asked_for_once_and_again_a_second_after_it_has_ended() {
    let mut requester = requester(vec![observation()]);
    let mut node = Stub::default();
    requester.start(at(0), &mut node);
    requester.handle_timeout(at(0), Reach::FULL, &mut node);
    let told = node.take();
    let [Told::Observe(call, ..)] = told[..] else {
        panic!("{told:?}")
    };
    for (sequence, time) in [(1, 100), (2, 200), (3, 300)] {
        requester.handle_outcome(at(time), call, notified(sequence), &mut node);
    }
    assert_eq!(requester.tally().answered, 1, "the first state answers");
    // One that is replaced while it crosses is told, and ends nothing.
    let reason = Failure::Superseded;
    let lost = Outcome::NotificationLost {
        sequence: 4,
        reason,
    };
    requester.handle_outcome(at(350), call, lost, &mut node);
    let target = TARGET;
    let told = Report::NotificationLost { target, reason };
    assert_eq!(requester.poll_report(), Some(told));
    assert_eq!(requester.poll_timeout(Reach::FULL), None);
    let silent = CallFailure::Exchange(Failure::Silent);
    requester.handle_outcome(at(400), call, Outcome::Failed(silent), &mut node);
    assert!(matches!(
        requester.poll_report(),
        Some(Report::ObservationEnded { target: TARGET, .. })
    ));
    assert_eq!(requester.poll_timeout(Reach::FULL), Some(at(1400)));
    let again = run(&mut requester, &mut node, at(9999));
    assert_eq!(again.len(), 1);
    // This time the node does not notify.
    requester.handle_outcome(at(1500), again[0].1, answered(), &mut node);
    assert_eq!(requester.poll_report(), None);
    assert_eq!(requester.tally().answered, 2);
    let again = run(&mut requester, &mut node, at(2500));
    requester.handle_outcome(at(2600), again[0].1, Outcome::Failed(timeout()), &mut node);
    assert!(matches!(
        requester.poll_report(),
        Some(Report::RequestFailed { .. })
    ));
    assert_eq!(requester.poll_timeout(Reach::FULL), Some(at(3600)));
    let tally = requester.tally();
    assert_eq!((tally.requested, tally.answered, tally.failed), (3, 2, 1));
}

#[test]
fn after_the_scenario_nothing_is_begun_and_observations_are_ended() {
    let mut requester = requester(vec![observation(), observation(), poll("p")]);
    let mut node = Stub::default();
    requester.start(at(0), &mut node);
    requester.handle_timeout(at(0), Reach::FULL, &mut node);
    let calls = node.calls();
    assert_eq!(calls.len(), 3);
    requester.handle_outcome(at(1), calls[0], notified(1), &mut node);
    requester.drain(at(2), &mut node);
    assert_eq!(node.take(), [Told::StopObserving(calls[0])]);
    assert_eq!(requester.poll_timeout(Reach::FULL), None);
    assert!(!requester.is_drained());
    // The other one is confirmed only now.
    requester.handle_outcome(at(3), calls[1], notified(1), &mut node);
    assert_eq!(node.take(), [Told::StopObserving(calls[1])]);
    requester.handle_outcome(at(4), calls[2], answered(), &mut node);
    assert!(requester.is_drained());
    requester.handle_outcome(at(5), calls[0], answered(), &mut node);
    assert_eq!(requester.poll_timeout(Reach::FULL), None, "not again");
}

#[test]
fn a_request_that_is_due_before_the_end_is_asked_though_the_end_was_told_or_dropped_if_it_cannot() {
    let away = Reach {
        sends: false,
        asks: false,
    };
    for (reach, asked) in [(Reach::FULL, 3), (away, 2)] {
        let mut requester = requester(vec![poll("p")]).lasting(Duration::from_millis(21));
        let mut node = Stub::default();
        requester.start(at(0), &mut node);
        let calls = run(&mut requester, &mut node, at(15));
        for (_, call) in calls {
            requester.handle_outcome(at(15), call, answered(), &mut node);
        }
        requester.drain(at(19), &mut node);
        assert!(!requester.is_drained(), "one is due at 20 ms");
        assert_eq!(requester.poll_timeout(reach), Some(at(20)));
        requester.handle_timeout(at(20), reach, &mut node);
        assert_eq!(requester.tally().requested, asked);
        for call in node.calls() {
            requester.handle_outcome(at(21), call, answered(), &mut node);
        }
        assert!(requester.is_drained());
    }
}

#[test]
fn polls_that_do_not_fit_are_refused() {
    let error = |poll: Poll| Requester::new(vec![poll], |name| Seed(1).rng(&[name])).unwrap_err();
    let of = |ask: Ask| Poll { ask, ..poll("p") };
    let ask = |method| Ask {
        method,
        ..Ask::get("/t")
    };
    let name = || "p".to_owned();
    let never = Poll {
        timing: Timing::every(Duration::ZERO),
        ..poll("p")
    };
    assert_eq!(error(never), PollError::NoPeriod(name()));
    let content = Code::CONTENT;
    assert_eq!(
        error(of(ask(content))),
        PollError::NoMethod(name(), content)
    );
    let put = Poll {
        observe: true,
        ..of(ask(Code::PUT))
    };
    assert_eq!(error(put), PollError::NotObservable(name(), Code::PUT));
    let fetch = of(ask(Code::FETCH));
    assert_eq!(error(fetch), PollError::NoContentFormat(name()));
    let long = of(Ask::get(&"x".repeat(256)));
    assert_eq!(error(long), PollError::LongOption(name(), 11, 256, 255));
    let far = of(Ask {
        options: vec![(2048, vec![0; 70_000])],
        ..Ask::get("/t")
    });
    assert_eq!(
        error(far),
        PollError::LongOption(name(), 2048, 70_000, 1024)
    );
}
