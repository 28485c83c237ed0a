//! Requests that are not answered as others are, or of which not all can be read.

use super::*;

/// One after the other, 100 ms apart, with one option more; each answered by `answer`, if it is.
fn asked(option: u16, value: &[u8], answer: impl Fn(u16) -> Option<Message>) -> Wire {
    let mut wire = Wire::new();
    for n in 0..5 {
        let us = u64::from(n) * 100_000;
        let mut request = get(Kind::NonConfirmable, n, n as u8, "/t");
        request.options.push(option, value);
        wire.message(us, CLIENT, HERE, &request);
        if let Some(answer) = answer(n) {
            wire.message(us + 10_000, HERE, CLIENT, &answer);
        }
    }
    wire
}

#[test]
fn who_wants_no_response_loses_none() {
    const NO_RESPONSE: u16 = 258;
    let silent = of(&[asked(NO_RESPONSE, &[26], |_| None).capture()]);
    assert!(silent.flows.is_empty(), "{:?}", silent.flows);
    assert_eq!(silent.other.wants_none, 5);
    // An error that comes all the same answers.
    let error = |n| {
        let mut error = content(Kind::NonConfirmable, 500 + n, n as u8);
        error.code = Code::NOT_FOUND;
        (n == 3).then_some(error)
    };
    let one = of(&[asked(NO_RESPONSE, &[2], error).capture()]);
    assert_eq!(counts(only(&one)), [1, 1, 0, 0, 0]);
    // Who does not want errors waits for success.
    let waits = of(&[asked(NO_RESPONSE, &[24], |_| None).capture()]);
    assert_eq!(counts(only(&waits)), [5, 0, 5, 0, 0]);
    assert_eq!(waits.other.wants_none, 0);
}

#[test]
fn of_what_oscore_protects_it_is_told_that_the_resource_is_not_known() {
    let answer = |n| Some(content(Kind::NonConfirmable, 500 + n, n as u8));
    let analysis = of(&[asked(9, &[9, 1, 2], answer).capture()]);
    let flow = only(&analysis);
    assert_eq!(counts(flow), [5, 5, 0, 0, 0]);
    assert_eq!(flow.resource, "/t…");
    assert_eq!(analysis.other.protected, 5);
    let text = report(&analysis, Table::None);
    assert!(
        text.contains("WARNING: 5 CoAP messages are protected by OSCORE"),
        "{text}"
    );
}

#[test]
fn what_a_proxy_is_asked_for_is_the_uri() {
    let answer = |n| Some(content(Kind::NonConfirmable, 500 + n, n as u8));
    let analysis = of(&[asked(35, b"coap://far.example/x", answer).capture()]);
    assert_eq!(only(&analysis).resource, "coap://far.example/x");
}

#[test]
fn blocks_that_come_unasked_are_no_copies_and_are_told() {
    const Q_BLOCK2: u16 = 31;
    let mut wire = Wire::new();
    let mut request = get(Kind::NonConfirmable, 1, 1, "/t");
    request.options.push_uint(Q_BLOCK2, 0b1010);
    wire.message(0, CLIENT, HERE, &request);
    for n in 0..4_u16 {
        let mut block = content(Kind::NonConfirmable, 100 + n, 1);
        block
            .options
            .push_uint(Q_BLOCK2, u64::from(n) << 4 | 0b1010);
        wire.message(10_000 + u64::from(n) * 1_000, HERE, CLIENT, &block);
    }
    let analysis = of(&[wire.capture()]);
    assert_eq!(counts(only(&analysis)), [1, 1, 0, 0, 0]);
    assert_eq!(analysis.other.q_blocks, 5);
    let text = report(&analysis, Table::None);
    assert!(text.contains("Q-Block options (RFC 9177)"), "{text}");
}

#[test]
fn responses_to_a_group_are_counted_as_such() {
    let mut wire = Wire::new();
    for n in 0..3_u16 {
        let us = u64::from(n) * 1_000_000;
        let request = get(Kind::NonConfirmable, n, n as u8, "/t");
        wire.message(us, CLIENT, "[ff02::fd]:5683", &request);
        for (at, server) in [HERE, THERE].into_iter().enumerate() {
            let answer = content(Kind::NonConfirmable, 700 + n, n as u8);
            wire.message(us + 10_000 * (at as u64 + 1), server, CLIENT, &answer);
        }
    }
    // Long after the last one, and to nothing at all.
    let late = content(Kind::NonConfirmable, 800, 2);
    wire.message(400_000_000, HERE, CLIENT, &late);
    let analysis = of(&[wire.capture()]);
    let other = &analysis.other;
    assert_eq!(
        (other.multicast, other.multicast_responses, other.stray),
        (3, 6, 1)
    );
    let text = report(&analysis, Table::None);
    assert!(
        text.contains("those to multicast groups are not paired"),
        "{text}"
    );
    assert!(text.contains("6 responses to those"), "{text}");
}

#[test]
fn a_request_that_is_sent_again_too_late_for_its_span_is_told() {
    let mut wire = Wire::new();
    let again = get(Kind::Confirmable, 1, 1, "/t");
    for s in [0, 10, 30, 70, 150] {
        wire.message(s * 1_000_000, CLIENT, HERE, &again);
    }
    let ack = content(Kind::Acknowledgement, 1, 1);
    wire.message(151_000_000, HERE, CLIENT, &ack);
    let analysis = of(&[wire.capture()]);
    assert_eq!(counts(only(&analysis)), [2, 1, 1, 1, 0]);
    assert_eq!(analysis.other.repeated_late, 1);
    let text = report(&analysis, Table::None);
    assert!(text.contains("--max-transmit-span says so"), "{text}");
    let slow = Options {
        max_transmit_span: Duration::from_secs(225),
        ..Options::default()
    };
    let analysis = Analysis::of(&[wire.capture()], &slow);
    assert_eq!(analysis.other.repeated_late, 0);
    // A Message ID that has come round is another request.
    let mut wire = Wire::new();
    for n in 0..70_000_u32 {
        let get = get(Kind::Confirmable, n as u16, 1, "/t");
        wire.message(u64::from(n) * 1_000, CLIENT, HERE, &get);
    }
    let analysis = of(&[wire.capture()]);
    assert_eq!(counts(only(&analysis))[0], 70_000);
    assert_eq!(analysis.other.repeated_late, 0);
}

#[test]
fn a_resource_of_any_length_takes_little_memory_and_stays_its_own() {
    let mut wire = Wire::new();
    for n in 0..4_u16 {
        // A thousand options, two requests for each of two resources.
        let path = format!("{}/{}", "/segment".repeat(1_000), n / 2);
        let mut get = get(Kind::Confirmable, n, n as u8, "/");
        for segment in path.split('/').skip(1) {
            get.options.push(option::URI_PATH, segment);
        }
        let us = u64::from(n) * 100_000;
        wire.message(us, CLIENT, HERE, &get);
        let ack = content(Kind::Acknowledgement, n, n as u8);
        wire.message(us + 10_000, HERE, CLIENT, &ack);
    }
    let analysis = of(&[wire.capture()]);
    let all: Vec<_> = analysis.flows.iter().map(counts).collect();
    assert_eq!(all, [[2, 2, 0, 0, 0]; 2]);
    for flow in &analysis.flows {
        assert!(flow.resource.starts_with("/segment/segment/"));
        assert!(flow.resource.len() < 1_100, "{}", flow.resource.len());
    }
}

#[test]
fn a_response_comes_too_late_by_whatever_message() {
    for (kind, id) in [
        (Kind::Acknowledgement, 1),
        (Kind::Confirmable, 700),
        (Kind::NonConfirmable, 701),
    ] {
        for (after_s, answered) in [(200, 1), (300, 0), (1000, 0)] {
            let mut wire = Wire::new();
            wire.message(0, CLIENT, HERE, &get(Kind::Confirmable, 1, 1, "/t"))
                .message(after_s * 1_000_000, HERE, CLIENT, &content(kind, id, 1));
            let analysis = of(&[wire.capture()]);
            let expected = [1, answered, 1 - answered, 0, 0];
            assert_eq!(counts(only(&analysis)), expected, "{kind:?} {after_s}");
        }
    }
    // And notifies, if the registration was not answered before.
    let mut wire = Wire::new();
    wire.message(0, CLIENT, HERE, &register(1, 9, 0));
    for n in 0..3 {
        let message = notification(Kind::NonConfirmable, 50 + n, 9, n.into());
        wire.message(
            300_000_000 + u64::from(n) * 1_000_000,
            HERE,
            CLIENT,
            &message,
        );
    }
    let analysis = of(&[wire.capture()]);
    assert_eq!(counts(only(&analysis)), [1, 0, 1, 0, 0]);
    assert_eq!(only(&analysis).notifications().unwrap().received, 3);
}

#[test]
fn a_reserved_code_is_no_answer_and_a_method_in_an_ack_no_request() {
    let mut wire = Wire::new();
    wire.poll(0, 1, 1, CLIENT, HERE);
    let codes = [
        Code::new(3, 0),
        Code::new(6, 1),
        Code::new(7, 2),
        Code::new(1, 1),
        Code::GET,
    ];
    for (n, code) in (10..).zip(codes) {
        let us = u64::from(n) * 1_000_000;
        wire.message(us, CLIENT, HERE, &get(Kind::Confirmable, n, n as u8, "/t"));
        let mut answer = content(Kind::Acknowledgement, n, n as u8);
        answer.code = code;
        wire.message(us + 1_000, HERE, CLIENT, &answer);
    }
    let mut separate = content(Kind::NonConfirmable, 800, 10);
    separate.code = Code::new(3, 1);
    wire.message(20_000_000, HERE, CLIENT, &separate);
    let analysis = of(&[wire.capture()]);
    assert_eq!(counts(only(&analysis)), [6, 1, 5, 0, 0]);
    let other = &analysis.other;
    assert_eq!((other.reserved, other.stray), (6, 0));
    let text = report(&analysis, Table::None);
    assert!(
        text.contains("6 messages with a code that is reserved"),
        "{text}"
    );
    let json = serde_json::to_value(measure::export::Report::of(&analysis)).unwrap();
    assert_eq!(json["messages"]["reserved"], 6);
}

#[test]
fn errors_are_told_by_their_code() {
    let mut wire = Wire::new();
    let codes = [(4, 4), (5, 3), (4, 4), (4, 31), (2, 5)];
    for (n, (class, detail)) in (1..).zip(codes) {
        let us = u64::from(n) * 1_000_000;
        wire.message(us, CLIENT, HERE, &get(Kind::Confirmable, n, n as u8, "/t"));
        let mut answer = content(Kind::Acknowledgement, n, n as u8);
        answer.code = Code::new(class, detail);
        wire.message(us + 1_000, HERE, CLIENT, &answer);
    }
    let text = report(&of(&[wire.capture()]), Table::None);
    let errors = "\n  errors     4 of the answers: 2 4.04, 1 4.31, 1 5.03\n";
    assert!(text.contains(errors), "{text}");
}

/// The options of a request.
type Asked<'a> = &'a [(u16, &'a [u8])];

#[test]
fn what_differs_in_host_port_or_the_parting_of_segments_is_another_resource() {
    let mut wire = Wire::new();
    let ask = |wire: &mut Wire, n: u16, options: Asked<'_>| {
        let mut request = get(Kind::Confirmable, n, n as u8, "");
        for (number, value) in options {
            request.options.push(*number, value);
        }
        let us = u64::from(n) * 10_000;
        wire.message(us, CLIENT, HERE, &request);
        wire.message(
            us + 500,
            HERE,
            CLIENT,
            &content(Kind::Acknowledgement, n, n as u8),
        );
    };
    let (host, path, port, query) = (
        option::URI_HOST,
        option::URI_PATH,
        option::URI_PORT,
        option::URI_QUERY,
    );
    let asked: [(Asked<'_>, &str); 10] = [
        (&[(path, b"a"), (path, b"b")], "/a/b"),
        (&[(path, b"a/b")], "/a%2Fb"),
        (&[(path, b"a%2Fb")], "/a%252Fb"),
        (&[(path, "é t".as_bytes())], "/é t"),
        (&[(path, b"\xff")], "/%FF"),
        (&[(query, b"x&y")], "/?x%26y"),
        (&[(query, b"x"), (query, b"y/?")], "/?x&y/?"),
        (&[(host, b"One.example"), (path, b"t")], "//one.example/t"),
        (
            &[(host, b"one.example"), (port, &[0x16, 0x44]), (path, b"t")],
            "//one.example:5700/t",
        ),
        // They are where the request goes to.
        (
            &[
                (host, b"[2001:db8:1::5]"),
                (port, &[0x16, 0x33]),
                (path, b"t"),
            ],
            "/t",
        ),
    ];
    for (n, (options, _)) in (1..).zip(asked) {
        ask(&mut wire, n, options);
    }
    let analysis = of(&[wire.capture()]);
    let flows = analysis.flows.iter();
    let mut found: Vec<_> = flows.map(|flow| flow.resource.as_str()).collect();
    let mut expected = asked.map(|(_, resource)| resource);
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}
