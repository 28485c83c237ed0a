//! Congestion control: NSTART.

use std::time::Duration;

use coap::{Failure, Kind, Params, Waits};

use crate::support::*;

fn paths(subject: &mut Subject) -> Vec<String> {
    (subject.sent().into_iter())
        .map(|(_, m)| String::from_utf8(m.options.get(11).unwrap_or(b"").to_vec()).unwrap())
        .collect()
}

#[test]
fn a_second_request_waits_for_the_response_to_the_first_in_order() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    subject.request(1, CON, "/b");
    subject.request(1, CON, "/c");
    assert_eq!(subject.endpoint.outstanding(), 3);
    let first = subject.sent_one();
    subject.receive(1, &piggybacked(&first));
    let second = subject.sent_one();
    assert_eq!(second.options.get(11), Some(b"b".as_slice()));
    assert_eq!(second.message_id, first.message_id.wrapping_add(1));
    subject.receive(1, &piggybacked(&second));
    assert_eq!(paths(&mut subject), ["c"]);
    assert_eq!(subject.endpoint.outstanding(), 1);
}

#[test]
fn how_long_requests_waited_for_their_turn_is_known_when_they_are_sent() {
    let mut subject = Subject::new(steady());
    let ask = |subject: &mut Subject, since, path| {
        let now = subject.now;
        (subject.endpoint).ask(now, since, peer(1), CON, get(path), false)
    };
    subject.advance(secs(1.0));
    let now = subject.now;
    ask(&mut subject, now, "/a");
    // Its caller has kept it back for half a second already.
    ask(&mut subject, secs(0.5), "/b");
    subject.request(1, CON, "/nobody-asks-how-long");
    let first = subject.sent_one();
    assert_eq!(subject.endpoint.waits(), Waits::default());
    subject.advance(secs(1.5));
    subject.receive(1, &piggybacked(&first));
    assert_eq!(paths(&mut subject), ["b"]);
    // Sent once more, it has not waited once more.
    subject.advance(secs(20.0));
    assert!(paths(&mut subject).contains(&"b".to_owned()));
    let waits = Waits {
        requests: 1,
        total: Duration::from_secs(1),
        longest: Duration::from_secs(1),
    };
    assert_eq!(subject.endpoint.waits(), waits);
}

#[test]
fn nstart_counts_per_peer() {
    let mut subject = Subject::new(Params {
        nstart: 2,
        ..steady()
    });
    for path in ["/a", "/b", "/c"] {
        subject.request(1, CON, path);
        subject.request(2, CON, path);
    }
    assert_eq!(paths(&mut subject), ["a", "a", "b", "b"]);
}

#[test]
fn a_request_whose_turn_does_not_come_in_time_fails_without_being_sent() {
    let mut subject = Subject::new(Params {
        queue_timeout: Some(Duration::from_secs(5)),
        ..steady()
    });
    subject.request(1, CON, "/a");
    let turned = subject.request(1, CON, "/b");
    let late = subject.request(1, CON, "/c");
    let first = subject.sent_one();
    subject.advance(secs(4.0));
    subject.sent();
    subject.receive(1, &piggybacked(&first));
    assert_eq!(paths(&mut subject), ["b"], "its turn has come");
    assert_eq!(subject.responses().len(), 1);
    subject.advance(secs(5.0));
    assert_eq!(subject.failures(), [(late, Failure::NotSent)]);
    assert!(subject.timeout().is_some(), "{turned:?} is retransmitted");
    assert_eq!(subject.endpoint.outstanding(), 1);
}

#[test]
fn an_empty_ack_ends_the_interaction_though_the_response_is_missing() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    subject.request(1, CON, "/b");
    let first = subject.sent_one();
    subject.receive(1, &ack(first.message_id));
    assert_eq!(paths(&mut subject), ["b"]);
}

#[test]
fn a_non_confirmable_request_holds_its_place_until_its_response_or_timeout() {
    let mut subject = Subject::new(steady());
    subject.request(1, NON, "/a");
    subject.request(1, NON, "/b");
    subject.request(1, CON, "/c");
    let first = subject.sent_one();
    subject.receive(1, &separate(Kind::NonConfirmable, 1, &first));
    assert_eq!(paths(&mut subject), ["b"]);
    subject.advance(secs(93.0));
    assert_eq!(paths(&mut subject), ["c"]);
}

#[test]
fn failure_reset_and_cancellation_let_the_next_request_go() {
    let mut subject = Subject::new(steady());
    let a = subject.request(1, CON, "/a");
    let b = subject.request(1, CON, "/b");
    let c = subject.request(1, CON, "/c");
    subject.request(1, CON, "/d");
    subject.sent();
    subject.advance(secs(62.0));
    let sent = subject.sent();
    let (_, second) = sent.last().unwrap();
    subject.receive(1, &rst(second.message_id));
    assert_eq!(paths(&mut subject), ["c"]);
    subject.endpoint.cancel(c);
    let due = subject.timeout().unwrap();
    assert!(due <= subject.now);
    subject.advance(subject.now);
    assert_eq!(paths(&mut subject), ["d"]);
    assert_eq!(
        subject.failures(),
        [
            (a, Failure::Timeout),
            (b, Failure::Reset),
            (c, Failure::Cancelled)
        ]
    );
}

#[test]
fn a_queued_request_can_be_cancelled() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let b = subject.request(1, CON, "/b");
    subject.request(1, CON, "/c");
    let first = subject.sent_one();
    subject.endpoint.cancel(b);
    assert_eq!(subject.failures(), [(b, Failure::Cancelled)]);
    subject.receive(1, &piggybacked(&first));
    assert_eq!(paths(&mut subject), ["c"]);
}

#[test]
fn responses_of_ours_are_not_held_back() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    subject.sent();
    for id in 0..3 {
        subject.receive_get(Kind::Confirmable, id);
    }
    let events = subject.events();
    subject.advance(secs(1.0));
    assert_eq!(subject.sent().len(), 3);
    for event in events {
        let coap::Event::Request { exchange, .. } = event else {
            panic!("{event:?}")
        };
        subject.respond(exchange, content(""));
    }
    assert_eq!(subject.sent().len(), 3);
}
