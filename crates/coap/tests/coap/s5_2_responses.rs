//! Piggy-backed, separate and non-confirmable responses.

use coap::wire::Token;
use coap::{Code, Event, Kind};

use crate::support::*;

#[test]
fn an_answer_at_once_is_piggybacked_with_the_requests_message_id_and_token() {
    let mut subject = Subject::new(steady());
    subject.receive_get(Kind::Confirmable, 7);
    let exchange = subject.one_exchange();
    subject.respond(exchange, content("21"));
    let sent = subject.sent_one();
    let token = Token::new(&[0, 7]).unwrap();
    assert_eq!(
        (sent.kind, sent.code),
        (Kind::Acknowledgement, Code::CONTENT)
    );
    assert_eq!((sent.message_id, sent.token), (7, token));
    assert_eq!(subject.timeout(), None);
}

#[test]
fn a_late_answer_is_acknowledged_first_and_sent_separately_until_acknowledged() {
    let mut subject = Subject::new(steady());
    subject.receive_get(Kind::Confirmable, 7);
    let exchange = subject.one_exchange();
    subject.advance(secs(0.499));
    assert_eq!(subject.sent(), []);
    subject.advance(secs(0.5));
    assert_eq!(subject.sent_one(), ack(7));
    subject.advance(secs(3.0));
    subject.respond(exchange, content("21"));
    let response = subject.sent_one();
    assert_eq!(response.kind, Kind::Confirmable);
    assert_eq!(response.token, Token::new(&[0, 7]).unwrap());
    subject.advance(secs(5.0));
    assert_eq!(subject.sent_one(), response);
    subject.receive(1, &ack(response.message_id));
    subject.advance(secs(200.0));
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
}

/// "Once the server sends back an Empty Acknowledgement, it MUST NOT send back the response in
/// another Acknowledgement, even if the client retransmits another identical request."
#[test]
fn a_request_retransmitted_after_the_empty_ack_gets_another_empty_ack() {
    let mut subject = Subject::new(steady());
    subject.receive_get(Kind::Confirmable, 7);
    let exchange = subject.one_exchange();
    subject.advance(secs(0.5));
    subject.sent();
    subject.receive_get(Kind::Confirmable, 7);
    assert_eq!(subject.sent_one(), ack(7));
    subject.respond(exchange, content("21"));
    let response = subject.sent_one();
    subject.receive(1, &ack(response.message_id));
    // "it MUST retain the state to create the ACK for the request, if needed, even if a
    // Confirmable response was already acknowledged" (§4.2).
    subject.receive_get(Kind::Confirmable, 7);
    assert_eq!(subject.sent_one(), ack(7));
    assert_eq!(subject.events(), []);
}

/// "The server MUST stop retransmitting its response on any matching Acknowledgement (silently
/// ignoring any Response Code or payload) or Reset message."
#[test]
fn any_matching_ack_or_reset_stops_a_separate_response() {
    let stops = [
        |id, _| ack(id),
        |id, _| rst(id),
        |id, token| message(Kind::Acknowledgement, Code::CONTENT, id, token),
    ];
    for (n, stop) in stops.into_iter().enumerate() {
        let mut subject = Subject::new(steady());
        subject.receive_get(Kind::Confirmable, 7);
        let exchange = subject.one_exchange();
        subject.advance(secs(1.0));
        subject.sent();
        subject.respond(exchange, content("21"));
        let response = subject.sent_one();
        subject.receive(2, &stop(response.message_id, response.token));
        subject.advance(secs(3.0));
        assert_eq!(subject.sent_one(), response, "another peer's, case {n}");
        subject.receive(1, &stop(response.message_id, response.token));
        subject.advance(secs(100.0));
        assert_eq!(
            (subject.sent(), subject.events()),
            (vec![], vec![]),
            "case {n}"
        );
    }
}

#[test]
fn a_separate_response_is_given_up_after_max_retransmit() {
    let mut subject = Subject::new(steady());
    subject.receive_get(Kind::Confirmable, 7);
    let exchange = subject.one_exchange();
    subject.advance(secs(1.0));
    subject.sent();
    subject.respond(exchange, content("21"));
    subject.advance(secs(100.0));
    assert_eq!(subject.sent().len(), 5);
    assert_eq!(subject.events(), []);
}

#[test]
fn an_exchange_is_answered_once() {
    let mut subject = Subject::new(steady());
    subject.receive_get(Kind::Confirmable, 7);
    let exchange = subject.one_exchange();
    subject.respond(exchange, content("21"));
    subject.respond(exchange, content("22"));
    assert_eq!(subject.sent_one().payload, b"21");
}

#[test]
fn a_separate_response_is_acknowledged_and_delivered_with_our_message_id() {
    let mut subject = Subject::new(steady());
    let id = subject.request(1, CON, "/a");
    let request = subject.sent_one();
    subject.receive(1, &ack(request.message_id));
    subject.advance(secs(20.0));
    subject.receive(1, &separate(Kind::Confirmable, 0x57e1, &request));
    assert_eq!(subject.sent(), [(peer(1), ack(0x57e1))]);
    let response = coap::Response::new(Code::CONTENT);
    let expected = Event::Response {
        id,
        from: peer(1),
        message_id: request.message_id,
        response,
    };
    assert_eq!(subject.events(), [expected]);
    assert_eq!(subject.timeout(), None);
}

/// "the Confirmable message carrying the response may actually arrive before or after the
/// Acknowledgement message for the request; for the purposes of terminating the retransmission
/// sequence, this also serves as an acknowledgement."
#[test]
fn a_separate_response_before_the_ack_ends_retransmission() {
    let mut subject = Subject::new(steady());
    subject.request(1, CON, "/a");
    let request = subject.sent_one();
    subject.receive(1, &separate(Kind::Confirmable, 9, &request));
    subject.receive(1, &ack(request.message_id));
    subject.sent();
    subject.advance(secs(100.0));
    assert_eq!(subject.sent(), []);
    assert_eq!(subject.responses().len(), 1);
}

/// "an endpoint MUST be prepared to receive a Non-confirmable response (preceded or followed by
/// an Empty Acknowledgement message) in reply to a Confirmable request, or a Confirmable
/// response in reply to a Non-confirmable request" (§5.2.3).
#[test]
fn either_kind_of_separate_response_answers_either_kind_of_request() {
    for (reliability, kind) in [(CON, Kind::NonConfirmable), (NON, Kind::Confirmable)] {
        let mut subject = Subject::new(steady());
        let id = subject.request(1, reliability, "/a");
        let request = subject.sent_one();
        subject.receive(1, &separate(kind, 9, &request));
        assert_eq!(subject.responses()[0].0, id);
        let acks = usize::from(kind == Kind::Confirmable);
        assert_eq!(subject.sent().len(), acks);
    }
}
