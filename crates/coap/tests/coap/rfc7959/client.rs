//! The client of a body.

use super::*;

#[test]
fn figure_2_a_get_in_blocks_whose_size_the_server_chooses() {
    let mut client = Subject::new(steady());
    let id = client.request(1, CON, "/status");
    let whole = body(3 * 128 - 28);
    for (number, part) in whole.chunks(128).enumerate() {
        let asked = client.sent_one();
        let number = number as u32;
        let block2 = option_of(&asked, option::BLOCK2);
        let expected = (number > 0).then(|| block(number, false, 128));
        assert_eq!(block2, expected, "block {number}");
        let answer = block(number, number < 2, 128);
        let answer = answers(&asked, Code::CONTENT, option::BLOCK2, answer, part);
        client.receive(1, &answer);
    }
    let responses = client.responses();
    assert_eq!(responses.len(), 1);
    assert_eq!(responses[0].0, id);
    assert_eq!(responses[0].1.payload, whole);
    assert_eq!(responses[0].1.options.get(option::BLOCK2), None);
    assert_eq!(client.endpoint.outstanding(), 0);
}

#[test]
fn figure_3_early_negotiation_names_the_size_in_the_first_request() {
    let mut client = Subject::new(params(64));
    client.request(1, CON, "/status");
    let asked = client.sent_one();
    let first = option_of(&asked, option::BLOCK2);
    assert_eq!(first, Some(block(0, false, 64)));

    let mut server = Subject::new(steady());
    server.receive(
        1,
        &asks(Code::GET, 1, option::BLOCK2, block(0, false, 64), b""),
    );
    let exchange = server.one_exchange();
    server.respond(exchange, large(&body(150)));
    let answer = server.sent_one();
    let sent = option_of(&answer, option::BLOCK2);
    assert_eq!(sent, Some(block(0, true, 64)));
    assert_eq!(answer.payload, body(150)[..64]);
    assert_eq!(answer.options.get_uint(option::SIZE2), Some(150));
}

#[test]
fn figure_4_late_negotiation_goes_on_with_smaller_blocks_from_the_same_byte() {
    let mut client = Subject::new(params(64));
    client.request(1, CON, "/status");
    let asked = client.sent_one();
    // A server that takes no notice of the size asked for.
    let first = block(0, true, 128);
    let part = &body(200)[..128];
    client.receive(
        1,
        &answers(&asked, Code::CONTENT, option::BLOCK2, first, part),
    );
    let next = option_of(&client.sent_one(), option::BLOCK2);
    assert_eq!(next, Some(block(2, false, 64)), "byte 128 is block 2 of 64");
}

#[test]
fn blocks_of_two_representations_never_mix() {
    let (old, new) = (body(100), vec![b'x'; 100]);
    let mut client = Subject::new(params(64));
    client.request(1, CON, "/status");
    let mut answer = |number: u32, of: &[u8]| {
        let asked = client.sent_one();
        let wanted = option_of(&asked, option::BLOCK2).unwrap();
        assert_eq!(wanted.number, number);
        let part = of.chunks(64).nth(number as usize).unwrap();
        let sent = block(number, number == 0, 64);
        let mut message = answers(&asked, Code::CONTENT, option::BLOCK2, sent, part);
        message.options.push(option::ETAG, entity_tag(of));
        client.receive(1, &message);
    };
    answer(0, &old);
    answer(1, &new);
    answer(0, &new);
    answer(1, &new);
    let responses = client.responses();
    assert_eq!(responses[0].1.payload, new);
}

#[test]
fn a_representation_that_always_changes_is_given_up() {
    let mut client = Subject::new(params(64));
    let id = client.request(1, CON, "/status");
    for n in 0_u8.. {
        let mut sent = client.sent();
        let Some((_, asked)) = sent.pop() else { break };
        let number = option_of(&asked, option::BLOCK2).unwrap().number;
        let first = block(number, true, 64);
        let mut answer = answers(&asked, Code::CONTENT, option::BLOCK2, first, &[n; 64]);
        answer.options.push(option::ETAG, [n]);
        client.receive(1, &answer);
        assert!(n < 20, "asks for ever");
    }
    assert_eq!(client.failures(), [(id, Failure::BodyChanges)]);
}

#[test]
fn blocks_that_do_not_fit_end_the_request() {
    for (answer, length) in [
        (block(1, true, 64), 64),
        (block(0, true, 64), 63),
        (block(0, false, 64), 65),
    ] {
        let mut client = Subject::new(steady());
        let id = client.request(1, CON, "/status");
        let asked = client.sent_one();
        let payload = vec![1; length];
        let answer = answers(&asked, Code::CONTENT, option::BLOCK2, answer, &payload);
        client.receive(1, &answer);
        assert_eq!(client.failures(), [(id, Failure::BadBlock)]);
    }
}

#[test]
fn a_body_longer_than_the_bound_ends_the_request() {
    let mut client = Subject::new(Params {
        max_body: 100,
        ..steady()
    });
    let id = client.request(1, CON, "/status");
    for number in 0..2 {
        let asked = client.sent_one();
        let part = block(number, true, 64);
        let answer = answers(&asked, Code::CONTENT, option::BLOCK2, part, &[0; 64]);
        client.receive(1, &answer);
    }
    assert_eq!(client.failures(), [(id, Failure::BodyTooLarge)]);
}

#[test]
fn figures_6_and_11_a_post_in_blocks_with_smaller_blocks_and_an_answer_in_blocks() {
    let mut client = Subject::new(params(128));
    let request = Request {
        payload: body(300),
        ..Request::new(Code::POST, "/soap")
    };
    client
        .endpoint
        .request(SimTime::ZERO, peer(1), CON, request);
    let asked = client.sent_one();
    let first = option_of(&asked, option::BLOCK1);
    assert_eq!(first, Some(block(0, true, 128)));
    assert_eq!(asked.options.get_uint(option::SIZE1), Some(300));
    // The server takes the block, and wants 32 bytes from now on.
    let smaller = block(0, true, 32);
    let answer = answers(&asked, Code::CONTINUE, option::BLOCK1, smaller, b"");
    client.receive(1, &answer);
    let mut taken = asked.payload;
    let last = loop {
        let asked = client.sent_one();
        let sent = option_of(&asked, option::BLOCK1).unwrap();
        assert_eq!((sent.size.bytes(), sent.offset()), (32, taken.len()));
        taken.extend_from_slice(&asked.payload);
        if !sent.more {
            break asked;
        }
        client.receive(
            1,
            &answers(&asked, Code::CONTINUE, option::BLOCK1, sent, b""),
        );
    };
    assert_eq!(taken, body(300));
    let part = block(0, true, 128);
    let answer = answers(&last, Code::CHANGED, option::BLOCK2, part, &[5; 128]);
    client.receive(1, &answer);
    let asked = client.sent_one();
    assert_eq!((asked.code, asked.payload.len()), (Code::POST, 0));
    let next = option_of(&asked, option::BLOCK2).unwrap();
    assert_eq!(
        (next.offset(), option_of(&asked, option::BLOCK1)),
        (128, None)
    );
    let end = Block {
        more: false,
        ..next
    };
    let answer = answers(&asked, Code::CHANGED, option::BLOCK2, end, &[6; 8]);
    client.receive(1, &answer);
    assert_eq!(client.responses()[0].1.payload.len(), 136);
}

#[test]
fn a_4_13_with_a_smaller_size_is_a_hint_to_begin_again() {
    let mut client = Subject::new(params(1024));
    let request = Request {
        payload: body(2000),
        ..Request::new(Code::PUT, "/a")
    };
    client
        .endpoint
        .request(SimTime::ZERO, peer(1), CON, request);
    let asked = client.sent_one();
    let hint = block(0, true, 256);
    let code = Code::REQUEST_ENTITY_TOO_LARGE;
    client.receive(1, &answers(&asked, code, option::BLOCK1, hint, b""));
    let asked = client.sent_one();
    assert_eq!(option_of(&asked, option::BLOCK1), Some(block(0, true, 256)));
    client.receive(1, &answers(&asked, code, option::BLOCK1, hint, b""));
    assert_eq!(
        client.responses()[0].1.code,
        code,
        "no smaller: told to the owner"
    );
}

#[test]
fn blocks_written_by_the_owner_pass_as_they_are() {
    let mut client = Subject::new(steady());
    let mut request = get("/status");
    let wanted = block(3, false, 64);
    request.options.push_uint(option::BLOCK2, wanted.value());
    client
        .endpoint
        .request(SimTime::ZERO, peer(1), CON, request);
    let asked = client.sent_one();
    let part = block(3, true, 64);
    client.receive(
        1,
        &answers(&asked, Code::CONTENT, option::BLOCK2, part, &[1; 64]),
    );
    let responses = client.responses();
    assert!(responses[0].1.options.get(option::BLOCK2).is_some());
}

/// A server's answer to a request for a block of `whole`, in blocks of 64 bytes.
fn serve_block(asked: &Message, whole: &[u8]) -> Message {
    let number = option_of(asked, option::BLOCK2).map_or(0, |block| block.number);
    let from = number as usize * 64;
    let part = &whole[from..whole.len().min(from + 64)];
    let answer = block(number, from + part.len() < whole.len(), 64);
    let mut answer = answers(asked, Code::CONTENT, option::BLOCK2, answer, part);
    answer.options.push(option::ETAG, entity_tag(whole));
    answer
}

fn three_at_a_time() -> Params {
    Params {
        nstart: 3,
        ..params(64)
    }
}

#[test]
fn s2_4_a_second_get_of_a_resource_waits_until_the_first_has_all_its_blocks() {
    let mut client = Subject::new(three_at_a_time());
    let first = client.request(1, CON, "/status");
    let mut asked = client.sent_one();
    client.receive(1, &serve_block(&asked, &body(150)));
    asked = client.sent_one();
    let second = client.request(1, CON, "/status");
    let third = client.request(1, CON, "/status");
    assert_eq!(client.sent(), [], "wait for the first");
    // What is no block of that resource passes them: another path, another peer.
    client.request(1, CON, "/other");
    client.request(2, CON, "/status");
    assert_eq!(client.sent().len(), 2);
    let mut ended = Vec::new();
    for whole in [body(150), body(151), body(152)] {
        loop {
            client.receive(1, &serve_block(&asked, &whole));
            ended.extend(client.responses());
            let mut sent = client.sent();
            assert!(sent.len() <= 1, "{sent:?}");
            let Some((_, next)) = sent.pop() else {
                break;
            };
            asked = next;
            if option_of(&asked, option::BLOCK2).is_none_or(|block| block.number == 0) {
                break;
            }
        }
    }
    let ended: Vec<_> = ended.iter().map(|(id, r)| (*id, r.payload.len())).collect();
    assert_eq!(ended, [(first, 150), (second, 151), (third, 152)]);
}

#[test]
fn s2_4_of_two_gets_that_turn_out_to_go_in_blocks_the_second_begins_again_after_the_first() {
    let mut client = Subject::new(three_at_a_time());
    // A server with one place for the bodies of a peer, each of its own.
    let ids = [(); 2].map(|()| client.request(1, CON, "/status"));
    let mut waiting: Vec<Message> = client.sent().into_iter().map(|(_, m)| m).collect();
    assert_eq!(waiting.len(), 2);
    let (mut place, mut made, mut ended, mut messages) = (body(150), 150, Vec::new(), 0);
    while !waiting.is_empty() {
        let asked = waiting.remove(0);
        messages += 1;
        if option_of(&asked, option::BLOCK2).is_none_or(|block| block.number == 0) {
            made += 1;
            place = body(made);
        }
        client.receive(1, &serve_block(&asked, &place));
        ended.extend(client.responses().into_iter().map(|(id, _)| id));
        waiting.extend(client.sent().into_iter().map(|(_, m)| m));
    }
    assert_eq!(ended, ids);
    assert!(messages <= 10, "{messages} messages");
}

#[test]
fn s2_5_a_second_put_of_a_resource_waits_until_the_first_has_gone() {
    let mut client = Subject::new(three_at_a_time());
    let put = |client: &mut Subject, length| {
        let mut request = Request::new(Code::PUT, "/status");
        request.payload = body(length);
        client.endpoint.request(client.now, peer(1), CON, request)
    };
    let ids = [150, 130].map(|length| put(&mut client, length));
    let (mut taken, mut ended) = (Vec::new(), Vec::new());
    let mut sent = client.sent();
    while let Some((_, asked)) = sent.pop() {
        assert!(sent.is_empty());
        let block1 = option_of(&asked, option::BLOCK1).unwrap();
        taken.push((block1.number, block1.more));
        let code = match block1.more {
            true => Code::CONTINUE,
            false => Code::CHANGED,
        };
        client.receive(1, &answers(&asked, code, option::BLOCK1, block1, b""));
        ended.extend(client.responses().into_iter().map(|(id, _)| id));
        sent = client.sent();
    }
    let blocks = [(0, true), (1, true), (2, false)];
    assert_eq!(taken, [blocks, blocks].concat());
    assert_eq!(ended, ids);
}

#[test]
fn s2_4_what_waits_for_a_transfer_that_fails_or_is_cancelled_goes_on() {
    for cancels in [true, false] {
        let mut client = Subject::new(three_at_a_time());
        let first = client.request(1, CON, "/status");
        let asked = client.sent_one();
        client.receive(1, &serve_block(&asked, &body(150)));
        let asked = client.sent_one();
        client.request(1, CON, "/status");
        match cancels {
            true => {
                client.endpoint.cancel(first);
                client.fire();
            }
            false => client.receive(1, &rst(asked.message_id)),
        }
        let next = option_of(&client.sent_one(), option::BLOCK2);
        assert_eq!(next, Some(block(0, false, 64)));
    }
}

#[test]
fn s2_6_a_client_gives_up_the_body_that_a_newer_notification_replaces_and_says_so() {
    let mut client = Subject::new(params(64));
    let (now, to) = (client.now, peer(1));
    let id = client.endpoint.observe(now, to, CON, get("/status"));
    let asked = client.sent_one();
    let notify = |sequence: u64, message_id, whole: &[u8]| {
        let mut first = serve_block(&asked, whole);
        (first.kind, first.message_id) = (Kind::NonConfirmable, message_id);
        first.options.push_uint(option::OBSERVE, sequence);
        first
    };
    let mut first = notify(1, 0, &body(150));
    (first.kind, first.message_id) = (Kind::Acknowledgement, asked.message_id);
    client.receive(1, &first);
    client.sent_one();
    client.receive(1, &notify(2, 77, &body(100)));
    let lost = Event::NotificationLost {
        id,
        message_id: asked.message_id,
        sequence: 1,
        reason: Failure::Superseded,
    };
    assert_eq!(client.events(), [lost]);
    client.fire();
    let rest = client.sent_one();
    client.receive(1, &serve_block(&rest, &body(100)));
    let events = client.events();
    let whole = |event: &Event| match event {
        Event::Notification { response, .. } => response.payload == body(100),
        _ => false,
    };
    assert!(events.len() == 1 && whole(&events[0]), "{events:?}");
}

/// The first block of a body without an entity tag, or a further one: Size2 is in the first.
fn untagged(asked: &Message, whole: &[u8], announced: usize) -> Message {
    let mut answer = serve_block(asked, whole);
    answer.options.remove(option::ETAG);
    answer.options.remove(option::SIZE2);
    if option_of(&answer, option::BLOCK2).is_some_and(|block| block.number == 0) {
        answer.options.push_uint(option::SIZE2, announced as u64);
    }
    answer
}

/// Without entity tags a representation that changes is told by its length: Size2 of the first
/// block, if it has that.
#[test]
fn without_entity_tags_a_body_of_another_length_than_was_announced_is_asked_for_again() {
    let mut client = Subject::new(params(64));
    client.request(1, CON, "/status");
    let asked = client.sent_one();
    client.receive(1, &untagged(&asked, &body(150), 150));
    for whole in [170, 170] {
        let asked = client.sent_one();
        client.receive(1, &untagged(&asked, &body(whole), whole));
    }
    let again = client.sent_one();
    assert_eq!(option_of(&again, option::BLOCK2), Some(block(0, false, 64)));
    client.receive(1, &untagged(&again, &body(170), 170));
    for _ in 0..2 {
        let asked = client.sent_one();
        client.receive(1, &untagged(&asked, &body(170), 170));
    }
    assert_eq!(client.responses()[0].1.payload, body(170));
}

/// Size2 is "the current estimate the server has of the total size" (RFC 7959 §4): one that is
/// wrong in the same way again is no change.
#[test]
fn a_server_that_estimates_wrongly_is_believed_the_second_time() {
    let mut client = Subject::new(params(64));
    client.request(1, CON, "/status");
    for _ in 0..6 {
        assert_eq!(client.events(), []);
        let asked = client.sent_one();
        client.receive(1, &untagged(&asked, &body(150), 1000));
    }
    assert_eq!(client.responses()[0].1.payload, body(150));
}

#[test]
fn a_request_to_a_host_goes_in_blocks_of_its_own_size_and_asks_for_such() {
    let mut client = Subject::new(steady());
    client.endpoint.set_block_size(peer(1), BlockSize::new(32));
    for (to, asks_for, payload) in [(1, Some(block(0, false, 32)), 32), (2, None, 100)] {
        client.request(to, CON, "/status");
        let asked = client.sent_one();
        assert_eq!(option_of(&asked, option::BLOCK2), asks_for);
        client.receive(to, &piggybacked(&asked));
        let put = Request {
            payload: body(100),
            ..Request::new(Code::PUT, "/status")
        };
        (client.endpoint).request(client.now, peer(to), CON, put);
        assert_eq!(client.sent_one().payload.len(), payload);
        client.events();
    }
}
