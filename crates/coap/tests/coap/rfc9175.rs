//! Echo (RFC 9175 §2): who asks for the first time shows where it is.

use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Endpoint, Event, Kind, Params, Request, Response, Tokens};
use machine::Machine;
use units::Seed;

use crate::support::*;

fn wary() -> Params {
    Params {
        verify_sources: true,
        tokens: Tokens::Random,
        ..steady()
    }
}

fn post(message_id: u16, echo: Option<&[u8]>) -> Message {
    let token = Token::new(&message_id.to_be_bytes()).unwrap();
    let mut request = message(Kind::Confirmable, Code::POST, message_id, token);
    request.options.push(option::URI_PATH, b"a".as_slice());
    if let Some(echo) = echo {
        request.options.push(option::ECHO, echo);
    }
    request
}

/// The Echo value of the one message sent, a 4.01.
fn challenged(subject: &mut Subject) -> Vec<u8> {
    let reply = subject.sent_one();
    assert_eq!(reply.code, Code::UNAUTHORIZED);
    assert_eq!(subject.events(), []);
    reply.options.get(option::ECHO).expect("an Echo").to_vec()
}

#[test]
fn what_would_change_something_reaches_the_owner_when_its_source_has_proved_itself() {
    let mut subject = Subject::new(wary());
    subject.receive(1, &post(1, None));
    let echo = challenged(&mut subject);
    // Nothing was kept of it: a copy is asked the same.
    subject.receive(1, &post(1, None));
    assert_eq!(challenged(&mut subject), echo);
    subject.receive(1, &post(2, Some(&echo)));
    let events = subject.events();
    let [Event::Request { request, .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(request.options.get(option::ECHO), None, "it was for us");
    subject.receive(1, &post(3, None));
    assert_eq!(subject.events().len(), 1, "known by now");
    subject.advance(secs(3601.0));
    subject.sent();
    subject.receive(1, &post(4, None));
    challenged(&mut subject);
}

#[test]
fn an_echo_of_another_source_an_old_one_and_an_invented_one_prove_nothing() {
    let mut subject = Subject::new(wary());
    subject.receive(1, &post(1, None));
    let echo = challenged(&mut subject);
    subject.receive(2, &post(2, Some(&echo)));
    challenged(&mut subject);
    let mut other_port = peer(1);
    other_port.set_port(5684);
    let from_there = post(3, Some(&echo)).encode();
    let Ok(()) = subject
        .endpoint
        .handle_datagram(subject.now, other_port, &from_there);
    challenged(&mut subject);
    subject.receive(1, &post(3, Some(&echo[..7])));
    challenged(&mut subject);
    subject.receive(1, &post(4, Some(&[0; 8])));
    challenged(&mut subject);
    subject.advance(secs(59.0));
    subject.receive(1, &post(5, None));
    let later = challenged(&mut subject);
    subject.advance(secs(121.0));
    subject.receive(1, &post(6, Some(&echo)));
    challenged(&mut subject);
    subject.receive(1, &post(7, Some(&later)));
    challenged(&mut subject);
    let mut other = Subject::new(wary());
    other.endpoint = Endpoint::new(wary(), KNOWN, Seed(2).rng(&["another"]));
    other.receive(1, &post(1, None));
    assert_ne!(challenged(&mut other), echo, "of another server");
}

/// The answer to a GET of a source that is not proven, which has `payload`.
fn answer_to_a_stranger(response: Response) -> (usize, Message) {
    let mut subject = Subject::new(wary());
    let request = get_message(Kind::Confirmable, 7);
    subject.receive(1, &request);
    let exchange = subject.one_exchange();
    assert!(!subject.endpoint.is_proven(exchange));
    subject.respond(exchange, response);
    (request.encode().len(), subject.sent_one())
}

#[test]
fn a_stranger_gets_three_times_what_it_sent_and_no_more() {
    let short = content("21.8");
    let (_, reply) = answer_to_a_stranger(short.clone());
    assert_eq!((reply.code, reply.payload), (short.code, short.payload));
    for length in 0..2000 {
        let long = content(&"x".repeat(length));
        let (asked, reply) = answer_to_a_stranger(long);
        let got = reply.encode().len();
        assert!(got <= 3 * asked, "{length}: {got} for {asked}");
        let whole = reply.payload.len() == length;
        assert!(whole || reply.options.get(option::ECHO).is_some());
    }
    let wordy = Response::diagnostic(Code::NOT_FOUND, &"no".repeat(100));
    let (_, reply) = answer_to_a_stranger(wordy);
    assert_eq!(
        (reply.code, reply.payload),
        (Code::NOT_FOUND, Vec::new()),
        "an error without its words"
    );
}

#[test]
fn what_the_endpoint_answers_itself_is_bounded_too() {
    for length in [0, 1, 8] {
        for number in [9, 2051, option::PROXY_URI] {
            let mut subject = Subject::new(wary());
            let token = Token::new(&vec![7; length]).unwrap();
            let mut request = message(Kind::Confirmable, Code::GET, 1, token);
            request.options.push(number, b"x".as_slice());
            subject.receive(1, &request);
            let got = subject.sent_one().encode().len();
            assert!(got <= 3 * request.encode().len(), "{got}");
        }
    }
    // So short that not even the challenge fits.
    let mut subject = Subject::new(wary());
    subject.receive(1, &message(Kind::Confirmable, Code::POST, 1, Token::EMPTY));
    let reply = subject.sent_one();
    assert_eq!((reply.code, reply.encode().len()), (Code::UNAUTHORIZED, 4));
}

#[test]
fn a_stranger_that_wants_to_observe_is_asked_where_it_is_and_a_late_answer_is_not_repeated() {
    let mut subject = Subject::new(wary());
    let mut observe = get_message(Kind::Confirmable, 7);
    observe.options.push_uint(option::OBSERVE, 0);
    subject.receive(1, &observe);
    challenged(&mut subject);
    subject.receive_get(Kind::Confirmable, 8);
    let exchange = subject.one_exchange();
    subject.advance(secs(1.0));
    subject.respond(exchange, content("123456789"));
    let sent = subject.sent();
    let kinds: Vec<Kind> = sent.iter().map(|(_, m)| m.kind).collect();
    assert_eq!(kinds, [Kind::Acknowledgement, Kind::NonConfirmable]);
    let got: usize = sent.iter().map(|(_, m)| m.encode().len()).sum();
    assert!(got <= 3 * get_message(Kind::Confirmable, 8).encode().len());
    subject.advance(secs(100.0));
    assert_eq!(subject.sent(), []);
}

/// Carries what two endpoints say to each other; returns what the server was asked.
fn converse(client: &mut Subject, server: &mut Subject, response: &Response) -> Vec<Request> {
    let mut asked = Vec::new();
    loop {
        let before = asked.len();
        let sent = client.sent();
        for (_, message) in &sent {
            server.receive(1, message);
        }
        for event in server.events() {
            if let Event::Request {
                exchange, request, ..
            } = event
            {
                server.respond(exchange, response.clone());
                asked.push(request);
            }
        }
        let answers = server.sent();
        for (_, message) in &answers {
            client.receive(2, message);
        }
        if sent.is_empty() && answers.is_empty() && asked.len() == before {
            return asked;
        }
    }
}

#[test]
fn a_client_shows_where_it_is_without_its_owner_and_is_served_once() {
    for method in [Code::POST, Code::GET] {
        let (mut client, mut server) = (Subject::new(steady()), Subject::new(wary()));
        let body = content(&"x".repeat(3000));
        let request = Request::new(method, "/a");
        let id = (client.endpoint).request(client.now, peer(2), CON, request);
        let asked = converse(&mut client, &mut server, &body);
        let responses = client.responses();
        let [(answered, response)] = responses.as_slice() else {
            panic!("{responses:?}")
        };
        assert_eq!((*answered, &response.payload), (id, &body.payload));
        let safe = usize::from(method.is_safe());
        assert_eq!(asked.len(), 1 + safe, "a GET was answered before, too");
    }
}

#[test]
fn an_observer_shows_where_it_is_and_stays_one() {
    let (mut client, mut server) = (Subject::new(steady()), Subject::new(wary()));
    client.endpoint.observe(client.now, peer(2), CON, get("/a"));
    let (_, first) = client.sent().remove(0);
    server.receive(1, &first);
    let (_, challenge) = server.sent().remove(0);
    client.receive(2, &challenge);
    let (_, again) = client.sent().remove(0);
    assert_eq!(again.options.get_uint(option::OBSERVE), Some(0));
    server.receive(1, &again);
    let exchange = server.one_exchange();
    server
        .endpoint
        .respond_observed(server.now, exchange, content("1"));
    assert_eq!(server.endpoint.observers().count(), 1);
}

#[test]
fn a_server_that_is_never_content_is_believed_after_two_proofs() {
    let mut client = Subject::new(steady());
    let id = client.request(2, CON, "/a");
    for n in 0..3_u8 {
        let request = client.sent_one();
        let expected = n.checked_sub(1).map(|n| vec![n; 8]);
        let echo = request.options.get(option::ECHO).map(<[u8]>::to_vec);
        assert_eq!(echo, expected);
        let mut refusal = piggybacked(&request);
        refusal.code = Code::UNAUTHORIZED;
        refusal.options.push(option::ECHO, [n; 8]);
        client.receive(2, &refusal);
    }
    let responses = client.responses();
    assert_eq!(responses.len(), 1);
    assert_eq!(
        (responses[0].0, responses[0].1.code),
        (id, Code::UNAUTHORIZED)
    );
}

#[test]
fn whoever_answers_a_request_whose_token_nobody_guesses_is_where_it_was_asked() {
    let mut subject = Subject::new(wary());
    subject.request(1, CON, "/a");
    let request = subject.sent_one();
    subject.receive(1, &piggybacked(&request));
    assert_eq!(subject.responses().len(), 1);
    subject.receive(1, &post(1, None));
    assert_eq!(subject.events().len(), 1);
    subject.receive(2, &post(2, None));
    subject.sent();
    assert_eq!(subject.events(), []);
}

#[test]
fn who_does_not_want_to_know_asks_nobody() {
    let mut subject = Subject::new(steady());
    subject.receive(1, &post(1, None));
    let exchange = subject.one_exchange();
    assert!(subject.endpoint.is_proven(exchange));
    subject.respond(exchange, content(&"x".repeat(1000)));
    assert_eq!(subject.sent_one().payload.len(), 1000);
}

#[test]
fn the_owner_asks_for_a_proof_where_it_remembers_who_asks() {
    let mut subject = Subject::new(wary());
    subject.receive_get(Kind::NonConfirmable, 1);
    let exchange = subject.one_exchange();
    subject.endpoint.challenge(subject.now, exchange);
    let echo = challenged(&mut subject);
    let mut again = get_message(Kind::NonConfirmable, 2);
    again.options.push(option::ECHO, echo.as_slice());
    subject.receive(1, &again);
    let exchange = subject.one_exchange();
    assert!(subject.endpoint.is_proven(exchange));
    assert_eq!(subject.endpoint.poll_transmit(), None);
}

#[test]
fn a_loopback_address_needs_no_proof() {
    let mut subject = Subject::new(wary());
    for from in ["[::1]:7", "[::ffff:127.0.0.1]:7"] {
        let request = post(1, None).encode();
        let Ok(()) =
            (subject.endpoint).handle_datagram(subject.now, from.parse().unwrap(), &request);
        assert_eq!(subject.events().len(), 1);
    }
}

#[test]
fn nobody_fills_the_room_for_bodies_under_sources_that_it_does_not_have() {
    for method in [Code::FETCH, Code::POST] {
        let mut subject = Subject::new(wary());
        let token = Token::new(&[1]).unwrap();
        let mut first = message(Kind::Confirmable, method, 1, token);
        first.payload = vec![0; 64];
        // Block 0 of 64 bytes, with more to come.
        first.options.push_uint(option::BLOCK1, 0x0a);
        subject.receive(1, &first);
        let echo = challenged(&mut subject);
        first.message_id = 2;
        first.options.push(option::ECHO, echo.as_slice());
        subject.receive(1, &first);
        assert_eq!(subject.sent_one().code, Code::CONTINUE);
    }
}
