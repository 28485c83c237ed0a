//! The server of a body.

use super::*;

#[test]
fn the_server_serves_further_blocks_without_its_owner() {
    let mut server = Subject::new(params(64));
    server.receive_get(Kind::Confirmable, 1);
    let exchange = server.one_exchange();
    server.respond(exchange, large(&body(150)));
    let first = server.sent_one();
    let tag = first.options.get(option::ETAG).unwrap().to_vec();
    assert_eq!(tag, entity_tag(&body(150)));
    for (number, more, range) in [(1, true, 64..128), (2, false, 128..150)] {
        let mut asked = get_message(Kind::Confirmable, 1 + number as u16);
        let value = block(number, false, 64).value();
        asked.options.push_uint(option::BLOCK2, value);
        server.receive(1, &asked);
        let events = server.events();
        let [Event::Block { message_id, .. }] = events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(message_id, asked.message_id);
        let answer = server.sent_one();
        let sent = option_of(&answer, option::BLOCK2);
        assert_eq!(sent, Some(block(number, more, 64)));
        assert_eq!(answer.payload, body(150)[range]);
        assert_eq!(answer.options.get(option::ETAG), Some(&tag[..]));
    }
}

#[test]
fn figure_5_a_put_in_blocks_is_atomic() {
    let mut server = Subject::new(params(128));
    let whole = body(300);
    for (number, part) in whole.chunks(128).enumerate() {
        let number = number as u32;
        let sent = block(number, number < 2, 128);
        let id = 1234 + number as u16;
        server.receive(1, &asks(Code::PUT, id, option::BLOCK1, sent, part));
        if number < 2 {
            let answer = server.sent_one();
            assert_eq!(answer.code, Code::CONTINUE);
            assert_eq!(answer.message_id, id);
            assert_eq!(option_of(&answer, option::BLOCK1), Some(sent));
            assert!(matches!(server.events()[..], [Event::Block { .. }]));
        }
    }
    let events = server.events();
    let [
        Event::Request {
            exchange, request, ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(request.payload, whole);
    assert_eq!(request.options.get(option::BLOCK1), None);
    server.respond(*exchange, Response::new(Code::CHANGED));
    let answer = server.sent_one();
    assert_eq!(answer.code, Code::CHANGED);
    let last = option_of(&answer, option::BLOCK1);
    assert_eq!(last, Some(block(2, false, 128)));
}

#[test]
fn a_missing_block_is_answered_4_08_and_a_long_body_4_13() {
    let mut server = Subject::new(Params {
        max_body: 200,
        ..params(128)
    });
    let first = block(0, true, 128);
    server.receive(1, &asks(Code::PUT, 1, option::BLOCK1, first, &[0; 128]));
    assert_eq!(server.sent_one().code, Code::CONTINUE);
    let third = block(2, false, 128);
    server.receive(1, &asks(Code::PUT, 2, option::BLOCK1, third, &[0; 10]));
    assert_eq!(server.sent_one().code, Code::REQUEST_ENTITY_INCOMPLETE);
    // What there was of it is gone: the client has to begin again.
    let second = block(1, false, 128);
    server.receive(1, &asks(Code::PUT, 3, option::BLOCK1, second, &[0; 10]));
    assert_eq!(server.sent_one().code, Code::REQUEST_ENTITY_INCOMPLETE);

    server.receive(1, &asks(Code::PUT, 4, option::BLOCK1, first, &[0; 128]));
    assert_eq!(server.sent_one().code, Code::CONTINUE);
    server.receive(1, &asks(Code::PUT, 5, option::BLOCK1, second, &[0; 73]));
    let refused = server.sent_one();
    assert_eq!(refused.code, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(refused.options.get_uint(option::SIZE1), Some(200));
    let mut announced = asks(Code::PUT, 6, option::BLOCK1, first, &[0; 128]);
    announced.options.push_uint(option::SIZE1, 201);
    server.receive(1, &announced);
    assert_eq!(server.sent_one().code, Code::REQUEST_ENTITY_TOO_LARGE);
}

#[test]
fn bodies_of_two_peers_and_of_two_paths_are_apart_and_a_late_block_finds_nothing() {
    let mut server = Subject::new(params(128));
    let first = block(0, true, 128);
    let last = block(1, false, 128);
    server.receive(1, &asks(Code::PUT, 1, option::BLOCK1, first, &[1; 128]));
    server.receive(2, &asks(Code::PUT, 1, option::BLOCK1, first, &[2; 128]));
    server.sent();
    server.events();
    server.receive(2, &asks(Code::PUT, 2, option::BLOCK1, last, &[2; 10]));
    let events = server.events();
    let [Event::Request { request, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(request.payload, [2; 138]);
    server.now = secs(248.0);
    server.receive(1, &asks(Code::PUT, 2, option::BLOCK1, last, &[1; 10]));
    let code = server.sent().pop().unwrap().1.code;
    assert_eq!(code, Code::REQUEST_ENTITY_INCOMPLETE, "EXCHANGE_LIFETIME");
}

#[test]
fn the_reserved_block_size_is_a_bad_request() {
    let mut server = Subject::new(steady());
    let mut asked = get_message(Kind::Confirmable, 1);
    asked.options.push(option::BLOCK2, [7]);
    server.receive(1, &asked);
    assert_eq!(server.sent_one().code, Code::BAD_REQUEST);
}

/// A GET of `/status` that registers an observation, or asks for a further block of it.
fn observes(message_id: u16, block2: Option<u32>) -> Message {
    let token = Token::new(b"o").unwrap();
    let mut message = message(Kind::Confirmable, Code::GET, message_id, token);
    message.options.push(option::URI_PATH, *b"status");
    match block2 {
        None => message.options.push_uint(option::OBSERVE, 0),
        Some(number) => message
            .options
            .push_uint(option::BLOCK2, block(number, false, 64).value()),
    }
    message
}

#[test]
fn s2_6_an_observer_hears_of_the_latest_state_when_it_has_fetched_the_one_before() {
    let mut server = Subject::new(params(64));
    server.receive(1, &observes(1, None));
    let exchange = server.one_exchange();
    let (endpoint, now) = (&mut server.endpoint, server.now);
    endpoint.respond_observed(now, exchange, large(&body(150)));
    server.sent_one();
    // Two states come while the blocks of the first one cross.
    server
        .endpoint
        .notify(server.now, "/status", &large(&body(151)));
    server.receive(1, &observes(2, Some(1)));
    server
        .endpoint
        .notify(server.now, "/status", &large(&body(152)));
    assert_eq!(server.sent_one().payload, body(150)[64..128]);
    server.receive(1, &observes(3, Some(2)));
    let sent: Vec<Message> = server.sent().into_iter().map(|(_, m)| m).collect();
    let [last, notification] = &sent[..] else {
        panic!("{sent:?}");
    };
    assert_eq!(last.payload, body(150)[128..]);
    assert_eq!(notification.options.get_uint(option::SIZE2), Some(152));
    // An observer that fetches nothing is not waited for longer than a block may take.
    server
        .endpoint
        .notify(server.now, "/status", &large(&body(153)));
    server.advance(secs(1.9));
    assert_eq!(server.sent(), []);
    server.advance(secs(2.1));
    let next = server.sent_one();
    assert_eq!(next.options.get_uint(option::SIZE2), Some(153));
}

/// A tag costs 9 bytes a block; the owner's own stays.
#[test]
fn blocks_go_without_entity_tags_where_those_are_not_wanted() {
    let bare = || {
        Subject::new(Params {
            block_etags: false,
            ..params(64)
        })
    };
    let mut tagged = large(&body(150));
    tagged.options.push(option::ETAG, b"own");
    for (answer, tag) in [(large(&body(150)), None), (tagged, Some(&b"own"[..]))] {
        let mut server = bare();
        server.receive_get(Kind::Confirmable, 1);
        let exchange = server.one_exchange();
        server.respond(exchange, answer);
        for number in 0..3 {
            if number > 0 {
                let mut asked = get_message(Kind::Confirmable, 1 + number as u16);
                let value = block(number, false, 64).value();
                asked.options.push_uint(option::BLOCK2, value);
                server.receive(1, &asked);
            }
            let part = server.sent_one();
            let start = number as usize * 64;
            assert_eq!(part.payload, body(150)[start..(start + 64).min(150)]);
            assert_eq!(part.options.get(option::ETAG), tag);
        }
    }
}

/// What is sent to a host, asked of it and taken from it is in blocks of its own size, from
/// whichever port it asks; notifications, too.
#[test]
fn the_blocks_of_a_host_are_of_its_own_size() {
    let mut server = Subject::new(params(128));
    let mut elsewhere = peer(1);
    elsewhere.set_port(9);
    let small = BlockSize::new(16);
    server.endpoint.set_block_size(elsewhere, small);
    for (from, bytes) in [(1, 16), (2, 128)] {
        server.receive(from, &observes(1, None));
        let exchange = server.one_exchange();
        let (endpoint, now) = (&mut server.endpoint, server.now);
        endpoint.respond_observed(now, exchange, large(&body(150)));
        let first = server.sent_one();
        assert_eq!(
            option_of(&first, option::BLOCK2),
            Some(block(0, true, bytes))
        );
        // Also if it asks for a larger one.
        let mut next = observes(2, None);
        next.options.remove(option::OBSERVE);
        let wanted = block(1, false, 128).value();
        next.options.push_uint(option::BLOCK2, wanted);
        server.receive(from, &next);
        let given = option_of(&server.sent_one(), option::BLOCK2).unwrap();
        assert_eq!((given.offset(), given.size.bytes()), (128, bytes));
        server.events();
        // A body that it sends is to go on in such blocks.
        let part = block(0, true, 128);
        server.receive(from, &asks(Code::PUT, 3, option::BLOCK1, part, &body(128)));
        let go_on = option_of(&server.sent_one(), option::BLOCK1).unwrap();
        assert_eq!(go_on.size.bytes(), bytes);
        server.events();
    }
    server.advance(secs(10.0));
    server.sent();
    (server.endpoint).notify(server.now, "/status", &large(&body(150)));
    let told = server.sent();
    let sizes = told.iter().map(|(_, m)| m.payload.len());
    assert_eq!(sizes.collect::<Vec<_>>(), [16, 128]);
    server.endpoint.set_block_size(peer(1), None);
    server.receive_get(Kind::Confirmable, 9);
    let exchange = server.one_exchange();
    server.respond(exchange, large(&body(150)));
    assert_eq!(server.sent_one().payload.len(), 128);
}
