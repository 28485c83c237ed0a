//! The No-Response option (RFC 7967), at both sides.

use std::time::Duration;

use coap::block::{Block, BlockSize};
use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Event, Failure, Kind, NoResponse, Params, Request, RequestId, Response};

use crate::support::*;

const SUCCESS: NoResponse = NoResponse::SUCCESS;
const ALL: NoResponse = NoResponse::ALL;

/// A PUT of a peer, with a token of its Message ID.
fn put(kind: Kind, message_id: u16, unwanted: NoResponse) -> Message {
    let token = Token::new(&message_id.to_be_bytes()).unwrap();
    let mut put = message(kind, Code::PUT, message_id, token);
    unwanted.push(&mut put.options);
    put
}

/// A PUT of ours.
fn our_put(unwanted: NoResponse) -> Request {
    let mut put = Request::new(Code::PUT, "/position");
    unwanted.push(&mut put.options);
    put
}

/// What the subject sends to each of 2.04, 4.04 and 5.00, asked in a message of `kind`.
fn answers(kind: Kind, unwanted: NoResponse) -> Vec<Vec<(Kind, Code)>> {
    let codes = [Code::CHANGED, Code::NOT_FOUND, Code::INTERNAL_SERVER_ERROR];
    let answer = |code: Code| {
        let mut subject = Subject::new(steady());
        subject.receive(1, &put(kind, 7, unwanted));
        let exchange = subject.one_exchange();
        subject.respond(exchange, Response::new(code));
        subject.advance(secs(100.0));
        let sent = subject.sent().into_iter();
        sent.map(|(_, m)| (m.kind, m.code)).collect()
    };
    codes.map(answer).to_vec()
}

/// "The server MUST send back responses of the classes for which the client has not expressed any
/// disinterest" (§2.1, table 2).
#[test]
fn a_server_answers_non_in_the_classes_that_are_wanted_and_in_no_other() {
    let non = |code| vec![(Kind::NonConfirmable, code)];
    let (ok, missing) = (non(Code::CHANGED), non(Code::NOT_FOUND));
    let broken = non(Code::INTERNAL_SERVER_ERROR);
    let of = |value| answers(Kind::NonConfirmable, NoResponse(value));
    assert_eq!(of(0), [ok.clone(), missing.clone(), broken.clone()]);
    assert_eq!(of(2), [vec![], missing.clone(), broken.clone()]);
    assert_eq!(of(8), [ok.clone(), vec![], broken.clone()]);
    assert_eq!(of(16), [ok, missing.clone(), vec![]]);
    assert_eq!(of(18), [vec![], missing, vec![]]);
    assert_eq!(of(26), [vec![], vec![], vec![]]);
}

#[test]
fn a_confirmable_request_gets_an_empty_ack_in_place_of_what_it_does_not_want() {
    let empty = vec![(Kind::Acknowledgement, Code::EMPTY)];
    let ack = |code| vec![(Kind::Acknowledgement, code)];
    let of = |value| answers(Kind::Confirmable, NoResponse(value));
    let (missing, broken) = (Code::NOT_FOUND, Code::INTERNAL_SERVER_ERROR);
    assert_eq!(of(2), [empty.clone(), ack(missing), ack(broken)]);
    assert_eq!(of(26), [empty.clone(), empty.clone(), empty]);
}

/// "Suppressing the separate response reduces traffic by one additional CoAP message" (§2).
#[test]
fn after_the_empty_ack_a_separate_response_is_suppressed() {
    let mut subject = Subject::new(steady());
    subject.receive(1, &put(Kind::Confirmable, 7, SUCCESS));
    let exchange = subject.one_exchange();
    subject.advance(secs(0.5));
    assert_eq!(subject.sent_one(), ack(7));
    subject.respond(exchange, Response::new(Code::CHANGED));
    assert_eq!((subject.sent(), subject.timeout()), (vec![], None));
}

#[test]
fn a_repeated_request_gets_the_ack_again_and_is_not_told_twice() {
    let mut subject = Subject::new(steady());
    let con = put(Kind::Confirmable, 7, ALL);
    subject.receive(1, &con);
    let exchange = subject.one_exchange();
    subject.respond(exchange, Response::new(Code::CHANGED));
    assert_eq!(subject.sent_one(), ack(7));
    subject.receive(1, &con);
    assert_eq!(subject.sent_one(), ack(7));
    let non = put(Kind::NonConfirmable, 8, ALL);
    subject.receive(1, &non);
    let exchange = subject.one_exchange();
    subject.respond(exchange, Response::new(Code::CHANGED));
    subject.receive(1, &non);
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
}

/// An unknown critical option is 4.02, of class 4 (RFC 7252 §5.4.1).
#[test]
fn what_the_endpoint_answers_itself_obeys_the_option_too() {
    for (unwanted, code) in [(SUCCESS, Code::BAD_OPTION), (ALL, Code::EMPTY)] {
        let mut subject = Subject::new(steady());
        let mut con = put(Kind::Confirmable, 7, unwanted);
        con.options.push(2053, b"");
        for _ in 0..2 {
            subject.receive(1, &con);
            let answer = subject.sent_one();
            assert_eq!((answer.kind, answer.code), (Kind::Acknowledgement, code));
        }
        assert_eq!(subject.events(), []);
    }
}

/// 4.01 with Echo is of class 4, too: who suppresses it is not served by a server that asks where
/// its clients are (RFC 9175 §2.3).
#[test]
fn a_challenge_is_suppressed_where_errors_are() {
    for (kind, answer) in [
        (Kind::Confirmable, vec![ack(7)]),
        (Kind::NonConfirmable, vec![]),
    ] {
        let mut subject = Subject::new(Params {
            verify_sources: true,
            ..steady()
        });
        subject.receive(1, &put(kind, 7, ALL));
        let sent: Vec<Message> = subject.sent().into_iter().map(|(_, m)| m).collect();
        assert_eq!((sent, subject.events()), (answer, vec![]));
    }
}

fn block1(number: u32, more: bool) -> Block {
    Block {
        number,
        more,
        size: BlockSize::MIN,
    }
}

/// Of what a block with more to follow is answered depends how the transfer goes on (RFC 7959
/// §2.3): 2.31, 4.08 and 4.13 are sent, as a server may. The last block's answer is the response.
#[test]
fn blocks_are_answered_until_the_last_one() {
    let mut subject = Subject::new(Params {
        max_body: 32,
        ..steady()
    });
    let mut send = |message_id, number, more| {
        let mut block = put(Kind::Confirmable, message_id, ALL);
        (block.options).push_uint(option::BLOCK1, block1(number, more).value());
        block.payload = vec![b'x'; 16];
        subject.receive(1, &block);
        if let [Event::Request { exchange, .. }] = subject.events()[..] {
            subject.respond(exchange, Response::new(Code::CHANGED));
        }
        subject.sent_one().code
    };
    assert_eq!(send(1, 0, true), Code::CONTINUE);
    assert_eq!(send(2, 1, false), Code::EMPTY);
    assert_eq!(send(3, 1, true), Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(send(4, 1, false), Code::EMPTY, "4.08 to the last block");
    assert_eq!(send(5, 0, true), Code::CONTINUE);
    assert_eq!(send(6, 1, true), Code::CONTINUE);
    assert_eq!(send(7, 2, true), Code::REQUEST_ENTITY_TOO_LARGE);
}

/// Every notification is a response of class 2 to the registration (RFC 7641 §4.2): who does not
/// want those does not observe, and is answered like anybody.
#[test]
fn an_observer_that_wants_no_success_is_not_registered() {
    for (unwanted, observers) in [(SUCCESS, 0), (ALL, 0), (NoResponse(24), 1)] {
        let mut subject = Subject::new(steady());
        let mut get = get_message(Kind::NonConfirmable, 7);
        get.options.push_uint(option::OBSERVE, 0);
        unwanted.push(&mut get.options);
        subject.receive(1, &get);
        let (exchange, now) = (subject.one_exchange(), subject.now);
        let endpoint = &mut subject.endpoint;
        endpoint.respond_observed(now, exchange, content("1"));
        assert_eq!(endpoint.observers().count(), observers, "{unwanted:?}");
        assert_eq!(subject.sent().len(), observers);
        // What ends an observation is told: the observer would wait for its next state.
        subject
            .endpoint
            .notify(now, "/", &Response::new(Code::NOT_FOUND));
        assert_eq!(subject.sent().len(), observers);
    }
}

/// §2.2, table 3: a deregistration "MAY express its disinterest in the response".
#[test]
fn an_observer_that_ends_it_without_a_response_is_forgotten() {
    let mut subject = Subject::new(steady());
    let mut get = get_message(Kind::NonConfirmable, 7);
    get.options.push_uint(option::OBSERVE, 0);
    subject.receive(1, &get);
    let (exchange, now) = (subject.one_exchange(), subject.now);
    (subject.endpoint).respond_observed(now, exchange, content("1"));
    subject.sent_one();
    let mut end = get_message(Kind::NonConfirmable, 8);
    end.token = get.token;
    end.options.push_uint(option::OBSERVE, 1);
    ALL.push(&mut end.options);
    subject.receive(1, &end);
    let exchange = subject.one_exchange();
    subject.respond(exchange, content("1"));
    assert_eq!(subject.sent(), []);
    assert_eq!(subject.endpoint.observers().count(), 0);
}

fn request(subject: &mut Subject, reliability: coap::Reliability, unwanted: u8) -> RequestId {
    let put = our_put(NoResponse(unwanted));
    (subject.endpoint).request(subject.now, peer(1), reliability, put)
}

fn sent(id: RequestId, message: &Message) -> Event {
    Event::Sent {
        id,
        to: peer(1),
        message_id: message.message_id,
    }
}

/// "When No-Response is used with value 26 in a request, the client endpoint SHOULD cease listening
/// to response(s) to the particular request" (§2.1).
#[test]
fn a_non_that_wants_nothing_is_over_when_it_is_sent_and_holds_up_nobody() {
    let mut subject = Subject::new(steady());
    let blocking = subject.request(1, CON, "/a");
    let first = subject.sent_one();
    let ids = [26, 26].map(|unwanted| request(&mut subject, NON, unwanted));
    assert_eq!(subject.sent(), [], "they wait for their turn");
    subject.receive(1, &piggybacked(&first));
    let messages: Vec<Message> = subject.sent().into_iter().map(|(_, m)| m).collect();
    assert!(messages.iter().all(|m| m.kind == Kind::NonConfirmable));
    let events = subject.events();
    assert!(matches!(&events[2], Event::Response { id, .. } if *id == blocking));
    let expected = [sent(ids[0], &messages[0]), sent(ids[1], &messages[1])];
    assert_eq!(events[..2], expected);
    assert_eq!(
        (subject.timeout(), subject.endpoint.outstanding()),
        (None, 0)
    );
    // And the next one goes at once.
    subject.request(1, CON, "/b");
    subject.sent_one();
}

/// "a server that has not implemented this option will respond back" (§3.1).
#[test]
fn a_response_to_a_non_that_wants_nothing_is_unexpected() {
    let mut subject = Subject::new(steady());
    request(&mut subject, NON, 26);
    let request = subject.sent_one();
    subject.events();
    subject.receive(1, &separate(Kind::NonConfirmable, 9, &request));
    subject.receive(1, &rst(request.message_id));
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
    subject.receive(1, &separate(Kind::Confirmable, 10, &request));
    assert_eq!(subject.sent_one(), rst(10));
}

#[test]
fn a_con_that_wants_nothing_ends_with_its_empty_ack() {
    let mut subject = Subject::new(steady());
    let id = request(&mut subject, CON, 26);
    let message = subject.sent_one();
    let next = request(&mut subject, CON, 26);
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
    subject.advance(secs(2.0));
    assert_eq!(subject.sent_one(), message, "until then it is repeated");
    subject.receive(1, &ack(message.message_id));
    assert_eq!(subject.events(), [sent(id, &message)]);
    // The next one of the line is not acknowledged, and one is answered all the same.
    let unheard = subject.sent_one();
    subject.advance(secs(64.0));
    assert_eq!(subject.failures(), [(next, Failure::Timeout)]);
    assert_eq!(subject.sent().len(), 4);
    assert_ne!(unheard.token, message.token);
    let answered = request(&mut subject, CON, 26);
    let message = subject.sent_one();
    subject.receive(1, &piggybacked(&message));
    assert_eq!(subject.responses()[0].0, answered);
}

/// "the client endpoint can no longer completely cease listening activity and must be configured to
/// listen during some application specific time-out period" (§2.1): here `response_timeout`, 93 s.
#[test]
fn who_wants_errors_only_listens_for_them_and_holds_up_nobody() {
    let mut subject = Subject::new(steady());
    let ids = [2, 2, 18].map(|unwanted| request(&mut subject, NON, unwanted));
    let messages: Vec<Message> = subject.sent().into_iter().map(|(_, m)| m).collect();
    assert_eq!((messages.len(), subject.events()), (3, vec![]));
    let mut error = separate(Kind::NonConfirmable, 9, &messages[1]);
    error.code = Code::NOT_FOUND;
    subject.receive(1, &error);
    assert_eq!(subject.responses()[0].0, ids[1]);
    subject.advance(secs(92.9));
    assert_eq!(subject.events(), []);
    subject.advance(secs(93.0));
    let expected = [sent(ids[0], &messages[0]), sent(ids[2], &messages[2])];
    assert_eq!(subject.events(), expected);
    assert_eq!(subject.endpoint.outstanding(), 0);
}

#[test]
fn a_con_that_wants_errors_only_listens_for_them_after_its_ack() {
    let mut subject = Subject::new(steady());
    let id = request(&mut subject, CON, 2);
    let message = subject.sent_one();
    subject.receive(1, &ack(message.message_id));
    subject.request(1, CON, "/next");
    subject.sent_one();
    subject.advance(secs(93.0));
    let events = subject.events();
    assert!(events.contains(&sent(id, &message)), "{events:?}");
}

/// Where success would be told, silence is none.
#[test]
fn who_wants_success_and_hears_nothing_has_failed() {
    for unwanted in [0, 8, 24] {
        let mut subject = Subject::new(steady());
        let id = request(&mut subject, NON, unwanted);
        subject.sent_one();
        request(&mut subject, NON, unwanted);
        assert_eq!(subject.sent(), [], "NSTART");
        subject.advance(secs(93.0));
        assert_eq!(subject.failures(), [(id, Failure::NoResponse)]);
    }
}

/// The option is in every block, since it is part of what tells one body from another (RFC 7252
/// §5.4.6), and means the last one.
#[test]
fn a_body_in_blocks_wants_to_be_told_how_it_goes_on() {
    let mut subject = Subject::new(Params {
        block_size: BlockSize::MIN,
        ..steady()
    });
    let mut put = our_put(ALL);
    put.payload = vec![b'x'; 40];
    let id = (subject.endpoint).request(subject.now, peer(1), NON, put);
    let mut last = None;
    for number in 0..3 {
        let block = subject.sent_one();
        assert_eq!(NoResponse::of(&block.options), ALL);
        let said = Block::of(&block.options, option::BLOCK1).unwrap().unwrap();
        assert_eq!((said.number, said.more), (number, number < 2));
        if said.more {
            assert_eq!(subject.events(), []);
            let mut go_on = separate(Kind::NonConfirmable, number as u16, &block);
            go_on.code = Code::CONTINUE;
            go_on.options.push_uint(option::BLOCK1, said.value());
            subject.receive(1, &go_on);
        }
        last = Some(block);
    }
    assert_eq!(subject.events(), [sent(id, &last.unwrap())]);
    assert_eq!(
        (subject.timeout(), subject.endpoint.outstanding()),
        (None, 0)
    );
}

#[test]
fn an_observation_is_asked_for_without_the_option() {
    let mut subject = Subject::new(steady());
    let mut get = get("/a");
    ALL.push(&mut get.options);
    let (now, endpoint) = (subject.now, &mut subject.endpoint);
    endpoint.observe(now, peer(1), CON, get.clone());
    endpoint.ask(now, now, peer(2), CON, get, true);
    for (_, message) in subject.sent() {
        assert_eq!(message.options.get(option::NO_RESPONSE), None);
        assert_eq!(message.options.get_uint(option::OBSERVE), Some(0));
    }
}

/// What is kept back waits also if nobody answers it, and what is under way moves with its peer.
#[test]
fn errors_are_listened_for_where_the_peer_has_moved() {
    let mut subject = Subject::new(steady());
    subject.endpoint.keep_back(peer(1));
    let id = request(&mut subject, NON, 2);
    assert_eq!(subject.sent(), []);
    subject.endpoint.release(subject.now, peer(1));
    let message = subject.sent_one();
    subject.endpoint.recall(peer(1));
    subject.endpoint.resend(subject.now, peer(1));
    subject.endpoint.retarget(subject.now, peer(1), peer(2));
    assert_eq!((subject.sent(), subject.events()), (vec![], vec![]));
    subject.advance(subject.now + Duration::from_secs(1));
    let mut error = separate(Kind::NonConfirmable, 9, &message);
    error.code = Code::NOT_FOUND;
    subject.receive(2, &error);
    assert_eq!(subject.responses()[0].0, id);
}
