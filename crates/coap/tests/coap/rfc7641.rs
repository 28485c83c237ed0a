//! Observe (RFC 7641), at both ends.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::block::{Block, BlockSize};
use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Event, Failure, Kind, Params, RequestId, Response};
use machine::Machine;

use crate::support::*;

/// A separate message with the token of `request` and an Observe number.
fn notification(kind: Kind, message_id: u16, request: &Message, number: u64) -> Message {
    let mut message = separate(kind, message_id, request);
    message.options.push_uint(option::OBSERVE, number);
    message.payload = vec![number as u8];
    message
}

/// An observation that peer 1 has confirmed with number 1.
fn observing() -> (Subject, RequestId, Message) {
    observing_as(steady())
}

fn observing_as(params: Params) -> (Subject, RequestId, Message) {
    let mut client = Subject::new(params);
    let (now, to) = (client.now, peer(1));
    let id = client.endpoint.observe(now, to, CON, get("/t"));
    let request = client.sent_one();
    assert_eq!(request.options.get_uint(option::OBSERVE), Some(0));
    let mut first = piggybacked(&request);
    first.options.push_uint(option::OBSERVE, 1);
    client.receive(1, &first);
    assert_eq!(numbers(&mut client), [1]);
    (client, id, request)
}

/// The numbers of the notifications told since the last call; nothing else may be.
fn numbers(client: &mut Subject) -> Vec<u32> {
    let events = client.events().into_iter();
    let number = |event| match event {
        Event::Notification { sequence, .. } => sequence,
        other => panic!("expected a notification: {other:?}"),
    };
    events.map(number).collect()
}

#[test]
fn notifications_are_told_until_the_peer_says_that_no_more_follow() {
    let (mut client, id, request) = observing();
    client.receive(1, &notification(Kind::NonConfirmable, 50, &request, 2));
    assert_eq!(numbers(&mut client), [2]);
    assert!(client.sent().is_empty(), "a NON is not acknowledged");
    client.receive(1, &notification(Kind::Confirmable, 51, &request, 3));
    assert_eq!(numbers(&mut client), [3]);
    let ack = client.sent_one();
    assert_eq!((ack.kind, ack.message_id), (Kind::Acknowledgement, 51));
    // "the server can send a notification with an appropriate response code" (§4.2).
    let mut gone = separate(Kind::NonConfirmable, 52, &request);
    gone.code = Code::NOT_FOUND;
    client.receive(1, &gone);
    let responses = client.responses();
    assert_eq!((responses[0].0, responses[0].1.code), (id, Code::NOT_FOUND));
    assert_eq!(client.endpoint.outstanding(), 0);
}

#[test]
fn a_notification_that_was_overtaken_is_acknowledged_and_not_told() {
    let (mut client, _, request) = observing();
    client.receive(1, &notification(Kind::NonConfirmable, 51, &request, 3));
    client.receive(1, &notification(Kind::Confirmable, 50, &request, 2));
    assert_eq!(numbers(&mut client), [3]);
    assert_eq!(client.sent_one().kind, Kind::Acknowledgement);
    client.now = secs(128.1);
    client.receive(1, &notification(Kind::NonConfirmable, 52, &request, 2));
    assert_eq!(numbers(&mut client), [2], "after 128 s every number is new");
}

#[test]
fn after_a_reset_of_the_client_or_without_registration_a_notification_is_rejected() {
    let (mut client, id, request) = observing();
    client.endpoint.cancel(id);
    assert_eq!(client.failures(), [(id, Failure::Cancelled)]);
    for (kind, message_id) in [(Kind::NonConfirmable, 50), (Kind::Confirmable, 51)] {
        client.receive(1, &notification(kind, message_id, &request, 2));
        let reset = client.sent_one();
        assert_eq!((reset.kind, reset.message_id), (Kind::Reset, message_id));
    }
}

#[test]
fn observe_1_with_the_same_token_ends_an_observation() {
    let (mut client, id, request) = observing();
    client.endpoint.stop_observing(client.now, id);
    let end = client.sent_one();
    assert_eq!(end.token, request.token);
    assert_ne!(end.message_id, request.message_id);
    assert_eq!(end.options.get_uint(option::OBSERVE), Some(1));
    client.receive(1, &piggybacked(&end));
    assert_eq!(client.responses()[0].0, id);
}

#[test]
fn a_peer_that_does_not_notify_answers_once() {
    let mut client = Subject::new(steady());
    let id = client.endpoint.observe(client.now, peer(1), CON, get("/t"));
    let request = client.sent_one();
    client.receive(1, &piggybacked(&request));
    assert_eq!(client.responses()[0].0, id);
}

#[test]
fn notifications_go_on_from_where_the_node_has_moved_to_without_another_registration() {
    let (mut client, _, request) = observing();
    // From the new address before the client knows of it: neither told nor rejected.
    let early = notification(Kind::Confirmable, 50, &request, 2);
    client.receive(2, &early);
    assert!(client.events().is_empty() && client.sent().is_empty());
    client.endpoint.retarget(client.now, peer(1), peer(2));
    assert!(client.sent().is_empty(), "no other registration");
    client.receive(2, &early);
    assert_eq!(numbers(&mut client), [2], "its retransmission");
    assert_eq!(client.sent_one().kind, Kind::Acknowledgement);
    client.receive(3, &notification(Kind::NonConfirmable, 60, &request, 3));
    assert!(client.events().is_empty(), "from a stranger");
}

#[test]
fn an_observation_without_notification_is_given_up_after_max_age_and_15_s() {
    let (mut client, id, request) = observing();
    client.now = secs(10.0);
    let mut next = notification(Kind::NonConfirmable, 50, &request, 2);
    next.options.push_uint(option::MAX_AGE, 5);
    client.receive(1, &next);
    assert_eq!(numbers(&mut client), [2]);
    client.advance(secs(29.9));
    assert!(client.events().is_empty());
    client.advance(secs(30.0));
    assert_eq!(client.failures(), [(id, Failure::Silent)]);
}

#[test]
fn a_client_may_give_longer_to_servers_that_do_not_say_how_long_a_state_is_fresh() {
    let (mut client, id, _) = observing_as(Params {
        default_max_age: Duration::from_secs(600),
        ..steady()
    });
    client.advance(secs(614.9));
    assert!(client.events().is_empty());
    client.advance(secs(615.0));
    assert_eq!(client.failures(), [(id, Failure::Silent)]);
}

#[test]
fn a_notification_in_blocks_is_told_when_its_last_block_is_there() {
    let (mut client, id, request) = observing();
    let mut first = notification(Kind::NonConfirmable, 50, &request, 2);
    first.payload = vec![1; 64];
    let size = BlockSize::new(64).unwrap();
    first
        .options
        .push_uint(option::BLOCK2, Block::first(true, size).value());
    client.receive(1, &first);
    assert!(client.events().is_empty());
    let rest = client.sent_one();
    assert_ne!(rest.token, request.token);
    assert_eq!(rest.options.get(option::OBSERVE), None, "RFC 7959 3.4");
    let mut last = piggybacked(&rest);
    let end = Block::at(64, false, size).value();
    last.options.push_uint(option::BLOCK2, end);
    last.payload = vec![2; 10];
    client.receive(1, &last);
    let events = client.events();
    let [
        Event::Notification {
            id: told,
            sequence: 2,
            response,
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*told, response.payload.len()), (id, 74));
}

/// A server whose resource /t peer 1 observes with token `01`; that answer is taken.
fn observed(params: Params) -> Subject {
    let mut server = Subject::new(params);
    let answer = register(&mut server, 900, "0");
    assert_eq!(answer.options.get_uint(option::OBSERVE), Some(1));
    assert!(server.endpoint.is_observed("/t"));
    server
}

/// Peer 1 registers for /t with token `01`; the answer, which carries `state`.
fn register(server: &mut Subject, message_id: u16, state: &str) -> Message {
    let token = Token::new(&[1]).unwrap();
    let mut request = message(Kind::Confirmable, Code::GET, message_id, token);
    request.options.push(option::URI_PATH, *b"t");
    request.options.push_uint(option::OBSERVE, 0);
    server.receive(1, &request);
    let (exchange, now) = (server.one_exchange(), server.now);
    let endpoint = &mut server.endpoint;
    endpoint.respond_observed(now, exchange, content(state));
    server.sent_one()
}

fn notify(server: &mut Subject, state: &str) {
    server.endpoint.notify(server.now, "/t", &content(state));
}

fn ack(server: &mut Subject, kind: Kind, message_id: u16) {
    server.receive(1, &Message::empty(kind, message_id));
}

#[test]
fn every_nth_notification_is_confirmable_and_numbers_are_consecutive() {
    let mut server = observed(Params {
        confirm_notifications: 3,
        ..steady()
    });
    for n in 2..=7_u64 {
        notify(&mut server, "x");
        let sent = server.sent_one();
        let kind = match n {
            4 | 7 => Kind::Confirmable,
            _ => Kind::NonConfirmable,
        };
        assert_eq!(
            (sent.kind, sent.options.get_uint(option::OBSERVE)),
            (kind, Some(n))
        );
        assert_eq!(sent.token.as_bytes(), [1]);
        if kind == Kind::Confirmable {
            ack(&mut server, Kind::Acknowledgement, sent.message_id);
        }
    }
    server.endpoint.notify(server.now, "/other", &content("x"));
    assert!(server.sent().is_empty());
}

#[test]
fn while_a_confirmable_one_is_unacknowledged_only_the_latest_state_waits() {
    let mut server = observed(Params {
        confirm_notifications: 1,
        ..steady()
    });
    for state in ["1", "2", "3"] {
        notify(&mut server, state);
    }
    let first = server.sent_one();
    assert_eq!(first.payload, b"1");
    ack(&mut server, Kind::Acknowledgement, first.message_id);
    let next = server.sent_one();
    assert_eq!(next.payload, b"3");
    assert_eq!(next.options.get_uint(option::OBSERVE), Some(3));
}

#[test]
fn a_reset_observe_1_silence_and_an_error_state_each_end_an_observation() {
    let mut server = observed(steady());
    notify(&mut server, "1");
    let sent = server.sent_one();
    ack(&mut server, Kind::Reset, sent.message_id);
    assert!(!server.endpoint.is_observed("/t"));

    let mut server = observed(steady());
    let mut end = message(Kind::Confirmable, Code::GET, 901, Token::new(&[1]).unwrap());
    end.options.push(option::URI_PATH, *b"t");
    end.options.push_uint(option::OBSERVE, 1);
    server.receive(1, &end);
    assert!(!server.endpoint.is_observed("/t"));
    let exchange = server.one_exchange();
    let now = server.now;
    server
        .endpoint
        .respond_observed(now, exchange, content("1"));
    assert_eq!(server.sent_one().options.get(option::OBSERVE), None);

    let mut server = observed(Params {
        confirm_notifications: 1,
        ..steady()
    });
    notify(&mut server, "1");
    server.advance(secs(62.0));
    assert_eq!(server.sent().len(), 5);
    assert!(!server.endpoint.is_observed("/t"));

    let mut server = observed(steady());
    let gone = Response::new(Code::NOT_FOUND);
    server.endpoint.notify(server.now, "/t", &gone);
    let sent = server.sent_one();
    assert_eq!((sent.kind, sent.code), (Kind::Confirmable, Code::NOT_FOUND));
    assert_eq!(sent.options.get(option::OBSERVE), None);
    assert!(!server.endpoint.is_observed("/t"));
}

#[test]
fn during_a_hold_nothing_is_sent_and_after_it_the_latest_state_confirmable() {
    let mut server = observed(Params {
        confirm_notifications: 2,
        ..steady()
    });
    notify(&mut server, "1");
    notify(&mut server, "2");
    assert_eq!(server.sent().len(), 2);
    // "2" is confirmable and not acknowledged when the node begins to move.
    server.endpoint.hold_notifications();
    server.advance(secs(100.0));
    assert!(server.sent().is_empty(), "no retransmission");
    server.endpoint.release_notifications(server.now);
    let sent = server.sent_one();
    assert_eq!((sent.kind, &*sent.payload), (Kind::Confirmable, &b"2"[..]));
    ack(&mut server, Kind::Acknowledgement, sent.message_id);
    server.endpoint.hold_notifications();
    notify(&mut server, "3");
    notify(&mut server, "4");
    assert!(server.sent().is_empty());
    server.endpoint.release_notifications(server.now);
    let sent = server.sent_one();
    assert_eq!((sent.kind, &*sent.payload), (Kind::Confirmable, &b"4"[..]));
    assert_eq!(sent.options.get_uint(option::OBSERVE), Some(5));
}

#[test]
fn registering_again_takes_the_place_of_the_registration() {
    let mut server = observed(steady());
    let answer = register(&mut server, 902, "1");
    assert_eq!(answer.options.get_uint(option::OBSERVE), Some(2));
    notify(&mut server, "2");
    assert_eq!(server.sent().len(), 1);
}

#[test]
fn one_host_cannot_take_all_room_whatever_its_ports() {
    let mut server = Subject::new(steady());
    for n in 0..20_u16 {
        let token = Token::new(&n.to_be_bytes()).unwrap();
        let mut request = message(Kind::Confirmable, Code::GET, n, token);
        request.options.push_uint(option::OBSERVE, 0);
        let (now, mut from) = (server.now, peer(1));
        from.set_port(5683 + n / 2);
        let Ok(()) = server
            .endpoint
            .handle_datagram(now, from, &request.encode());
        let exchange = server.one_exchange();
        server.endpoint.respond_observed(now, exchange, content(""));
        let accepted = server.sent_one().options.get(option::OBSERVE).is_some();
        assert_eq!(accepted, n < 16, "{n}");
    }
    assert_eq!(server.endpoint.observers().count(), 16);
    assert_eq!(server.endpoint.poll_event(), None);
}

#[test]
fn a_network_that_fills_all_room_displaces_its_own_and_hides_nothing_from_others() {
    let mut server = Subject::new(steady());
    let mut observe = |net: u16, host: u16, n: u16| {
        let token = Token::new(&n.to_be_bytes()).unwrap();
        let mut request = message(Kind::Confirmable, Code::GET, n, token);
        request.options.push_uint(option::OBSERVE, 0);
        let address = Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, host);
        let from = SocketAddrV6::new(address, 5683, 0, 0);
        let now = server.now;
        let Ok(()) = (server.endpoint).handle_datagram(now, from, &request.encode());
        let exchange = server.one_exchange();
        server.endpoint.respond_observed(now, exchange, content(""));
        let accepted = server.sent_one().options.get(option::OBSERVE).is_some();
        assert!(accepted, "{n}");
        let observers: Vec<_> = server.endpoint.observers().collect();
        observers
    };
    let honest = observe(1, 1, 0);
    // 16 of each of 65 addresses are 1,040; there is room for 1,024.
    for n in 0..1040 {
        observe(2, n / 16, n);
    }
    let all = observe(1, 2, 0);
    assert_eq!(all.len(), 1024);
    assert!(all.contains(&honest[0]));
    assert!(
        all.iter()
            .any(|observer| observer.ip().segments()[7] == 2 && observer.ip().segments()[2] == 1)
    );
}
