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
