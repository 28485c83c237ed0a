//! [`coap::Endpoint::retarget`]: a peer has moved.

use coap::wire::Message;
use coap::{Event, Failure, Kind, Params};

use crate::support::*;

/// Peer 1 moves to address 2.
fn move_peer(subject: &mut Subject) {
    subject.endpoint.retarget(subject.now, peer(1), peer(2));
}

fn to(sent: &[(std::net::SocketAddrV6, Message)]) -> Vec<std::net::SocketAddrV6> {
    sent.iter().map(|(to, _)| *to).collect()
}

#[test]
fn an_unacknowledged_request_is_sent_to_the_new_address_at_once_and_unchanged() {
    let mut subject = Subject::new(steady());
    let id = subject.request(1, CON, "/a");
    let request = subject.sent_one();
    subject.advance(secs(29.0));
    assert_eq!(subject.sent().len(), 3);
    move_peer(&mut subject);
    assert_eq!(subject.sent(), [(peer(2), request.clone())]);
    // The schedule starts anew: 2, 4, 8 and 16 s, and 32 s until it fails.
    for at in [31.0, 35.0, 43.0, 59.0] {
        subject.advance(secs(at - 0.001));
        assert_eq!(subject.sent(), [], "before {at} s");
        subject.advance(secs(at));
        assert_eq!(subject.sent(), [(peer(2), request.clone())], "at {at} s");
    }
    subject.advance(secs(91.0));
    let events = subject.events();
    let failed = Event::Failed {
        id,
        to: peer(2),
        reason: Failure::Timeout,
    };
    assert_eq!(events, [failed]);
}

#[test]
fn the_answer_from_the_new_address_counts() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let request = subject.sent_one();
    move_peer(&mut subject);
    subject.receive(2, &piggybacked(&request));
    let events = subject.events();
    assert!(matches!(&events[..], [Event::Response { from, .. }] if *from == peer(2)));
    assert_eq!(subject.endpoint.outstanding(), 0);
}

#[test]
fn a_late_answer_from_the_old_address_counts() {
    let kinds = [
        Kind::Acknowledgement,
        Kind::Confirmable,
        Kind::NonConfirmable,
    ];
    for kind in kinds {
        let mut subject = Subject::new(steady());
        subject.request(1, CON, "/a");
        let request = subject.sent_one();
        move_peer(&mut subject);
        let mut response = separate(kind, 9, &request);
        if kind == Kind::Acknowledgement {
            response.message_id = request.message_id;
        }
        subject.receive(1, &response);
        let events = subject.events();
        assert!(matches!(&events[..], [Event::Response { from, .. }] if *from == peer(1)));
    }
}

#[test]
fn a_late_empty_ack_from_the_old_address_counts_but_a_reset_does_not() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let request = subject.sent_one();
    move_peer(&mut subject);
    subject.sent();
    subject.receive(1, &rst(request.message_id));
    assert_eq!(subject.events(), []);
    subject.receive(1, &ack(request.message_id));
    subject.advance(secs(10.0));
    assert_eq!(subject.sent(), []);
    subject.receive(2, &separate(Kind::Confirmable, 9, &request));
    assert_eq!(subject.responses().len(), 1);
}

#[test]
fn an_address_the_request_was_never_sent_to_stays_a_stranger() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    subject.request(1, CON, "/b");
    let first = subject.sent_one();
    move_peer(&mut subject);
    subject.sent();
    subject.receive(2, &piggybacked(&first));
    let second = subject.sent_one();
    subject.events();
    // The second was only queued for address 1.
    subject.receive(1, &piggybacked(&second));
    assert_eq!(subject.events(), []);
}

#[test]
fn an_acknowledged_request_waits_for_the_new_address_without_being_sent_again() {
    let mut subject = Subject::new(steady());
    let id = subject.request(1, CON, "/a");
    let request = subject.sent_one();
    subject.receive(1, &ack(request.message_id));
    subject.advance(secs(10.0));
    move_peer(&mut subject);
    assert_eq!(subject.sent(), []);
    assert_eq!(subject.timeout(), Some(secs(93.0)));
    subject.receive(2, &separate(Kind::NonConfirmable, 9, &request));
    assert_eq!(subject.responses()[0].0, id);
}

#[test]
fn queued_requests_move_in_the_order_of_the_commands() {
    let mut subject = Subject::new(steady());
    let order = [(1, "/a"), (2, "/b"), (1, "/c"), (2, "/d"), (1, "/e")];
    let ids = order.map(|(host, path)| subject.request(host, CON, path));
    let in_flight = subject.sent();
    assert_eq!(to(&in_flight), [peer(1), peer(2)]);
    move_peer(&mut subject);
    // Only the one in flight goes at once; NSTART holds the others.
    assert_eq!(subject.sent(), [(peer(2), in_flight[0].1.clone())]);
    subject.receive(2, &piggybacked(&in_flight[0].1));
    assert_eq!(subject.sent(), []);
    subject.receive(2, &piggybacked(&in_flight[1].1));
    for _ in 2..5 {
        let next = subject.sent();
        assert_eq!(to(&next), [peer(2)]);
        subject.receive(2, &piggybacked(&next[0].1));
    }
    let answered: Vec<_> = subject.responses().into_iter().map(|(id, _)| id).collect();
    assert_eq!(answered, ids);
    assert_eq!(subject.endpoint.outstanding(), 0);
}

#[test]
fn nstart_of_the_new_address_counts_what_moved_there() {
    let mut subject = Subject::new(Params {
        nstart: 2,
        ..steady()
    });
    for path in ["/a", "/b", "/c"] {
        subject.request(1, CON, path);
    }
    assert_eq!(subject.sent().len(), 2);
    move_peer(&mut subject);
    let moved = subject.sent();
    assert_eq!(to(&moved), [peer(2), peer(2)]);
    subject.request(1, CON, "/old");
    assert_eq!(to(&subject.sent()), [peer(1)]);
    subject.receive(2, &piggybacked(&moved[0].1));
    assert_eq!(to(&subject.sent()), [peer(2)]);
}

#[test]
fn a_peer_that_moves_back_and_forth_is_followed() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let request = subject.sent_one();
    let mut at = 1;
    for host in [2, 1, 3, 1, 2] {
        subject.endpoint.retarget(subject.now, peer(at), peer(host));
        assert_eq!(subject.sent(), [(peer(host), request.clone())]);
        at = host;
    }
    subject.receive(3, &piggybacked(&request));
    assert_eq!(subject.responses().len(), 1);
}

#[test]
fn retargeting_to_the_same_peer_or_without_requests_does_nothing() {
    let mut subject = Subject::new(steady());
    move_peer(&mut subject);
    subject.request(2, CON, "/a");
    subject.sent();
    subject.endpoint.retarget(subject.now, peer(2), peer(2));
    move_peer(&mut subject);
    assert_eq!(subject.sent(), []);
}

#[test]
fn a_peer_that_is_kept_back_gets_nothing_until_it_is_released() {
    let mut subject = Subject::new(steady());
    let first = subject.request(1, CON, "/a");
    let sent = subject.sent_one();
    subject.endpoint.keep_back(peer(1));
    // The retransmissions at 2, 6 and 14 s, and one behind the first.
    subject.request(1, CON, "/b");
    subject.advance(secs(20.0));
    assert_eq!(subject.sent(), []);
    assert_eq!(subject.events(), []);
    subject.endpoint.release(subject.now, peer(1));
    assert_eq!(subject.sent(), [(peer(1), sent.clone())]);
    // The schedule starts anew: 2 s, then 4 s.
    subject.advance(secs(21.999));
    assert_eq!(subject.sent(), []);
    subject.advance(secs(22.0));
    assert_eq!(subject.sent(), [(peer(1), sent.clone())]);
    subject.receive(1, &piggybacked(&sent));
    let events = subject.events();
    assert!(matches!(&events[..], [Event::Response { id, .. }] if *id == first));
    assert_eq!(subject.sent_one().options.path(), "/b");
}

#[test]
fn a_retransmission_that_was_not_due_while_its_peer_was_kept_back_comes_at_its_time() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let sent = subject.sent_one();
    subject.endpoint.keep_back(peer(1));
    subject.advance(secs(1.5));
    subject.endpoint.release(subject.now, peer(1));
    assert_eq!(subject.sent(), []);
    subject.advance(secs(2.0));
    assert_eq!(subject.sent(), [(peer(1), sent)]);
}

#[test]
fn a_kept_back_peer_that_moves_is_asked_at_its_new_address_and_its_answer_still_counts() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let sent = subject.sent_one();
    subject.request(3, CON, "/other");
    let other = subject.sent_one();
    subject.endpoint.keep_back(peer(1));
    subject.advance(secs(5.0));
    // Another peer's retransmissions go on.
    assert_eq!(subject.sent(), [(peer(3), other)]);
    move_peer(&mut subject);
    subject.endpoint.release(subject.now, peer(1));
    assert_eq!(subject.sent(), [(peer(2), sent.clone())]);
    subject.receive(1, &piggybacked(&sent));
    assert_eq!(subject.responses().len(), 1);
}

#[test]
fn a_peer_that_is_back_where_it_was_gets_what_it_has_not_acknowledged_at_once() {
    let mut subject = Subject::new(Params {
        nstart: 3,
        ..steady()
    });
    subject.request(1, CON, "/lost");
    subject.request(1, CON, "/acknowledged");
    subject.request(1, NON, "/once");
    subject.request(1, CON, "/queued");
    let sent = subject.sent();
    let [lost, acknowledged, once] = [0, 1, 2].map(|n: usize| sent[n].1.clone());
    subject.receive(1, &ack(acknowledged.message_id));
    let queued = subject.sent_one();
    subject.request(3, CON, "/another");
    subject.sent();
    subject.advance(secs(20.0));
    subject.sent();
    subject.endpoint.retry(subject.now, peer(1));
    // Neither what the peer has nor what goes out once (RFC 7252 §4.3).
    assert_eq!(
        subject.sent(),
        [(peer(1), lost.clone()), (peer(1), queued.clone())]
    );
    // The schedule starts anew.
    subject.advance(secs(21.9));
    assert_eq!(subject.sent(), []);
    subject.receive(1, &piggybacked(&lost));
    subject.receive(1, &piggybacked(&queued));
    subject.receive(1, &separate(Kind::NonConfirmable, 9, &once));
    assert_eq!(subject.responses().len(), 3);
}

#[test]
fn a_peer_that_is_back_where_it_was_is_not_kept_back_any_more() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/lost");
    let lost = subject.sent_one();
    subject.endpoint.keep_back(peer(1));
    subject.request(1, CON, "/kept");
    subject.advance(secs(1.0));
    subject.endpoint.retry(subject.now, peer(1));
    assert_eq!(subject.sent(), [(peer(1), lost.clone())]);
    subject.receive(1, &piggybacked(&lost));
    assert_eq!(subject.sent().len(), 1);
}
