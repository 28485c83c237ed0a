//! Message deduplication.

use coap::wire::Token;
use coap::{Code, Kind};

use crate::support::*;

#[test]
fn a_duplicate_confirmable_request_gets_the_same_ack_and_reaches_the_owner_once() {
    let mut subject = Subject::new(steady());
    subject.receive_get(Kind::Confirmable, 7);
    let exchange = subject.one_exchange();
    subject.respond(exchange, content("21"));
    let reply = subject.sent();
    // EXCHANGE_LIFETIME of the steady parameters: 30 s + 200 s + 2 s.
    for at in [2.0, 100.0, 231.9] {
        subject.advance(secs(at));
        subject.receive_get(Kind::Confirmable, 7);
        assert_eq!(subject.sent(), reply, "at {at} s");
        assert_eq!(subject.events(), [], "at {at} s");
    }
}

#[test]
fn after_exchange_lifetime_a_message_id_is_new() {
    let mut subject = Subject::new(steady());
    subject.receive_get(Kind::Confirmable, 7);
    let exchange = subject.one_exchange();
    subject.respond(exchange, content("21"));
    subject.sent();
    let lifetime = steady().exchange_lifetime();
    subject.advance(secs(0.0) + lifetime);
    subject.receive_get(Kind::Confirmable, 7);
    assert_ne!(subject.one_exchange(), exchange);
}

#[test]
fn a_duplicate_before_the_reply_is_ignored_and_the_reply_sent_once() {
    let mut subject = Subject::new(steady());
    subject.receive_get(Kind::Confirmable, 7);
    let exchange = subject.one_exchange();
    subject.receive_get(Kind::Confirmable, 7);
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
    subject.respond(exchange, content("21"));
    assert_eq!(subject.sent_one().kind, Kind::Acknowledgement);
}

#[test]
fn a_duplicate_non_confirmable_request_is_ignored_for_non_lifetime() {
    let mut subject = Subject::new(steady());
    subject.receive_get(Kind::NonConfirmable, 7);
    let exchange = subject.one_exchange();
    subject.receive_get(Kind::NonConfirmable, 7);
    subject.respond(exchange, content("21"));
    assert_eq!(subject.sent().len(), 1);
    subject.advance(secs(129.9));
    subject.receive_get(Kind::NonConfirmable, 7);
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
    // NON_LIFETIME of the steady parameters: 30 s + 100 s.
    subject.advance(secs(130.0));
    subject.receive_get(Kind::NonConfirmable, 7);
    subject.one_exchange();
}

#[test]
fn the_same_message_id_from_another_peer_or_port_is_another_request() {
    let mut subject = Subject::new(steady());
    let bytes = get_message(Kind::Confirmable, 7).encode();
    let mut other_port = peer(1);
    other_port.set_port(1234);
    use machine::Machine as _;
    for from in [peer(1), peer(2), other_port] {
        subject.endpoint.handle_datagram(subject.now, from, &bytes);
        subject.one_exchange();
    }
}

#[test]
fn a_reused_message_id_with_another_token_is_another_request() {
    let mut subject = Subject::new(steady());
    subject.receive_get(Kind::Confirmable, 7);
    let first = subject.one_exchange();
    let token = Token::new(b"new").unwrap();
    subject.receive(1, &message(Kind::Confirmable, Code::GET, 7, token));
    let second = subject.one_exchange();
    subject.respond(first, content("old"));
    assert_eq!(subject.sent(), []);
    subject.respond(second, content("new"));
    assert_eq!(subject.sent_one().token, token);
}

#[test]
fn a_duplicate_confirmable_response_is_acknowledged_again_and_delivered_once() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let request = subject.sent_one();
    let response = separate(Kind::Confirmable, 0x57e1, &request);
    for delivered in [1, 0, 0] {
        subject.receive(1, &response);
        assert_eq!(subject.sent(), [(peer(1), ack(0x57e1))]);
        assert_eq!(subject.responses().len(), delivered);
    }
}

#[test]
fn a_duplicate_non_confirmable_response_is_ignored() {
    let mut subject = Subject::new(steady());
    subject.request(1, NON, "/a");
    let request = subject.sent_one();
    let response = separate(Kind::NonConfirmable, 9, &request);
    subject.receive(1, &response);
    assert_eq!(subject.responses().len(), 1);
    subject.receive(1, &response);
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
}

#[test]
fn an_exchange_that_its_owner_never_answers_ends_with_its_lifetime() {
    let mut subject = Subject::new(steady());
    subject.receive_get(Kind::Confirmable, 7);
    let exchange = subject.one_exchange();
    subject.advance(secs(300.0));
    assert_eq!(subject.sent_one(), ack(7));
    subject.receive_get(Kind::Confirmable, 8);
    subject.respond(exchange, content("too late"));
    assert_eq!(subject.sent(), []);
}
