//! Messages transmitted reliably.

use coap::wire::{Message, Token};
use coap::{Code, Failure, Kind, Params};

use crate::support::*;

#[test]
fn a_request_is_retransmitted_unchanged_with_doubled_timeouts_and_then_fails() {
    let mut subject = Subject::new(steady());
    let id = subject.request(1, CON, "/a");
    let first = subject.sent();
    assert_eq!(first.len(), 1);
    for at in [2.0, 6.0, 14.0, 30.0] {
        subject.advance(secs(at - 0.001));
        assert_eq!(subject.sent(), [], "before {at} s");
        subject.advance(secs(at));
        assert_eq!(subject.sent(), first, "at {at} s");
    }
    subject.advance(secs(61.999));
    assert_eq!(subject.events(), []);
    subject.advance(secs(62.0));
    assert_eq!(subject.failures(), [(id, Failure::Timeout)]);
    assert_eq!(subject.sent(), []);
    assert_eq!(subject.endpoint.outstanding(), 0);
    assert_eq!(subject.timeout(), None);
}

#[test]
fn random_timeouts_stay_within_max_transmit_span_and_max_transmit_wait() {
    let params = Params {
        nstart: 50,
        ..Params::default()
    };
    let mut subject = Subject::new(params.clone());
    for _ in 0..50 {
        subject.request(1, CON, "/a");
    }
    let mut starts = Vec::new();
    let mut last_sent = secs(0.0);
    assert_eq!(subject.sent().len(), 50);
    while let Some(due) = subject.timeout() {
        subject.advance(due);
        if !subject.sent().is_empty() {
            last_sent = due;
            starts.push(due);
        }
    }
    assert!(
        starts[0] >= secs(2.0) && starts[0] < secs(2.2),
        "{starts:?}"
    );
    assert!(last_sent <= secs(0.0) + params.max_transmit_span());
    assert!(last_sent > secs(0.0) + params.max_transmit_span() * 9 / 10);
    assert!(subject.now <= secs(0.0) + params.max_transmit_wait());
    let failures = subject.failures();
    assert_eq!(failures.len(), 50);
    assert!(failures.iter().all(|(_, why)| *why == Failure::Timeout));
}

#[test]
fn a_late_sender_keeps_ack_timeout_between_retransmissions_and_stays_in_the_envelope() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let first = subject.sent_one();
    // Asleep from 0 s to 25 s: one of the retransmissions of 2, 6 and 14 s, the next after
    // ACK_TIMEOUT, and no retransmission after 30 s.
    subject.now = secs(25.0);
    subject.fire();
    assert_eq!(subject.sent_one(), first);
    assert_eq!(subject.timeout(), Some(secs(27.0)));
    subject.advance(secs(27.0));
    assert_eq!(subject.sent_one(), first);
    subject.now = secs(40.0);
    subject.fire();
    subject.advance(secs(60.0));
    assert_eq!(subject.sent(), []);
    subject.advance(secs(200.0));
    assert_eq!(subject.sent(), []);
    assert_eq!(subject.failures().len(), 1);
}

#[test]
fn an_empty_ack_stops_retransmission_and_starts_the_response_timeout() {
    let mut subject = Subject::new(steady());
    let id = subject.request(1, CON, "/a");
    let request = subject.sent_one();
    subject.advance(secs(1.0));
    subject.receive(1, &ack(request.message_id));
    assert_eq!(subject.timeout(), Some(secs(94.0)));
    subject.advance(secs(93.9));
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
    subject.advance(secs(94.0));
    assert_eq!(subject.failures(), [(id, Failure::NoResponse)]);
}

#[test]
fn a_reset_ends_a_request() {
    let mut subject = Subject::new(steady());
    let id = subject.request(1, CON, "/a");
    let request = subject.sent_one();
    subject.receive(1, &rst(request.message_id));
    assert_eq!(subject.failures(), [(id, Failure::Reset)]);
    assert_eq!(subject.timeout(), None);
}

#[test]
fn a_ping_is_answered_with_a_reset() {
    let mut subject = Subject::new(steady());
    subject.receive(1, &Message::empty(Kind::Confirmable, 0x1236));
    assert_eq!(subject.sent(), [(peer(1), rst(0x1236))]);
    assert_eq!(subject.events(), []);
}

#[test]
fn our_ping_is_an_empty_confirmable_whose_reset_is_the_pong() {
    let mut subject = Subject::new(steady());
    let id = subject.endpoint.ping(subject.now, peer(1));
    let ping = subject.sent_one();
    assert_eq!(ping, Message::empty(Kind::Confirmable, ping.message_id));
    subject.advance(secs(2.0));
    assert_eq!(subject.sent_one(), ping);
    subject.receive(1, &ack(ping.message_id));
    subject.receive(2, &rst(ping.message_id));
    assert_eq!(subject.events(), []);
    subject.receive(1, &rst(ping.message_id));
    assert_eq!(subject.events(), [coap::Event::Pong { id }]);
    assert_eq!(subject.endpoint.outstanding(), 0);
}

#[test]
fn an_unanswered_ping_fails() {
    let mut subject = Subject::new(steady());
    let id = subject.endpoint.ping(subject.now, peer(1));
    subject.advance(secs(62.0));
    assert_eq!(subject.sent().len(), 5);
    assert_eq!(subject.failures(), [(id, Failure::Timeout)]);
}

#[test]
fn a_cancelled_request_is_retransmitted_no_more() {
    let mut subject = Subject::new(steady());
    let id = subject.request(1, CON, "/a");
    let request = subject.sent_one();
    subject.endpoint.cancel(id);
    assert_eq!(subject.failures(), [(id, Failure::Cancelled)]);
    subject.advance(secs(100.0));
    subject.receive(1, &piggybacked(&request));
    subject.endpoint.cancel(id);
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
}

/// "MUST reject the message if the recipient lacks context to process the message properly,
/// including situations where the message is Empty, uses a code with a reserved class (1, 6,
/// or 7), or has a message format error. Rejecting a Confirmable message is effected by
/// sending a matching Reset message and otherwise ignoring it."
#[test]
fn malformed_and_reserved_confirmable_messages_are_reset() {
    let malformed: [(&[u8], &str); 6] = [
        (&[0x40, 0x01, 0x12, 0x37, 0xff], "marker without payload"),
        (
            &[0x49, 1, 0x12, 0x37, 1, 2, 3, 4, 5, 6, 7, 8, 9],
            "token of 9 bytes",
        ),
        (&[0x42, 0x01, 0x12, 0x37, 0xaa], "token cut off"),
        (&[0x40, 0x01, 0x12, 0x37, 0xf1, 0x00], "option delta 15"),
        (&[0x41, 0x00, 0x12, 0x37, 0xaa], "Empty with token"),
        (&[0x40, 0x21, 0x12, 0x37], "code 1.01"),
    ];
    for (datagram, what) in malformed {
        let mut subject = Subject::new(steady());
        subject.receive_bytes(1, datagram);
        assert_eq!(subject.sent(), [(peer(1), rst(0x1237))], "{what}");
        // The same as NON, ACK and RST is ignored.
        for kind in 1..4 {
            let mut other = datagram.to_vec();
            other[0] |= kind << 4;
            subject.receive_bytes(1, &other);
        }
        assert_eq!(
            (subject.sent(), subject.events()),
            (vec![], vec![]),
            "{what}"
        );
    }
}

#[test]
fn messages_of_other_versions_and_scraps_are_ignored() {
    let mut subject = Subject::new(steady());
    let cases: [&[u8]; 5] = [
        &[0x80, 1, 0, 1],
        &[0x00, 1, 0, 1],
        &[0x40, 1, 0],
        &[0x40],
        &[],
    ];
    for datagram in cases {
        subject.receive_bytes(1, datagram);
    }
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
}

/// "recipients of Acknowledgement and Reset messages MUST NOT respond with either
/// Acknowledgement or Reset messages."
#[test]
fn an_ack_or_reset_without_a_message_of_ours_is_ignored() {
    let mut subject = Subject::new(steady());
    subject.receive(1, &ack(1));
    subject.receive(1, &rst(1));
    for kind in [Kind::Acknowledgement, Kind::Reset] {
        for code in [Code::GET, Code::CONTENT, Code::new(7, 1)] {
            subject.receive(1, &message(kind, code, 1, Token::EMPTY));
        }
    }
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
}
