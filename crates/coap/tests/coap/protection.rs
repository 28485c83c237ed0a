//! The place for message security, filled with a toy.

mod toy;

use coap::block::BlockSize;
use coap::message::option;
use coap::protection::{ContextId, Refusal};
use coap::wire::Message;
use coap::{Code, Event, ExchangeId, Failure, Kind, Params, Request, Response};
use toy::{OPTION, Toy};

use crate::support::*;

/// Where the client and the server are at first.
const CLIENT: u16 = 1;
const SERVER: u16 = 2;

/// Two endpoints, each with a toy that knows the other.
struct Pair {
    client: Subject,
    server: Subject,
    client_at: u16,
    server_at: u16,
    /// Everything that was sent, as the network sees it.
    wire: Vec<Message>,
    /// What the server's owner has seen.
    asked: Vec<(ExchangeId, Option<ContextId>, Request)>,
}

impl Pair {
    fn new() -> Pair {
        Pair::with(steady())
    }

    fn with(params: Params) -> Pair {
        let subject = |other| {
            let mut subject = Subject::new(params.clone());
            subject.endpoint = subject.endpoint.with_protection(Toy::with(peer(other)));
            subject
        };
        Pair {
            client: subject(SERVER),
            server: subject(CLIENT),
            client_at: CLIENT,
            server_at: SERVER,
            wire: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// Blocks of 64 bytes.
    fn in_blocks() -> Pair {
        Pair::with(Params {
            block_size: BlockSize::new(64).unwrap(),
            ..steady()
        })
    }

    fn toy(subject: &mut Subject) -> &mut Toy {
        subject.endpoint.protection().expect("it is a toy")
    }

    /// What the client has sent arrives.
    fn reach_server(&mut self) {
        for (to, message) in self.client.sent() {
            self.wire.push(message.clone());
            if to == peer(self.server_at) {
                self.server.receive(self.client_at, &message);
            }
        }
        for event in self.server.events() {
            if let Event::Request {
                exchange,
                context,
                request,
                ..
            } = event
            {
                self.asked.push((exchange, context, request));
            }
        }
    }

    /// What the server has sent arrives.
    fn reach_client(&mut self) {
        for (_, message) in self.server.sent() {
            self.wire.push(message.clone());
            self.client.receive(self.server_at, &message);
        }
    }

    /// Everything arrives, and every request that the owner has not answered is answered so.
    fn run(&mut self, answer: impl Fn(&Request) -> Response) {
        let mut answered = self.asked.len();
        loop {
            let before = self.wire.len();
            self.reach_server();
            while let Some((exchange, _, request)) = self.asked.get(answered) {
                let (now, response) = (self.server.now, answer(request));
                let endpoint = &mut self.server.endpoint;
                endpoint.respond_observed(now, *exchange, response);
                answered += 1;
            }
            self.reach_client();
            if self.wire.len() == before {
                return;
            }
        }
    }

    fn ask(&mut self, request: Request) -> coap::RequestId {
        let (now, to) = (self.client.now, peer(self.server_at));
        self.client.endpoint.request(now, to, CON, request)
    }

    fn observe(&mut self, path: &str) -> coap::RequestId {
        let (now, to) = (self.client.now, peer(self.server_at));
        self.client.endpoint.observe(now, to, CON, get(path))
    }

    fn notify(&mut self, path: &str, state: &str) {
        let now = self.server.now;
        self.server.endpoint.notify(now, path, &content(state));
    }

    /// Payloads of the notifications since the last call; nothing else may have happened.
    fn notified(&mut self) -> Vec<String> {
        let events = self.client.events().into_iter();
        let payload = |event| match event {
            Event::Notification { response, .. } => String::from_utf8(response.payload).unwrap(),
            other => panic!("expected a notification: {other:?}"),
        };
        events.map(payload).collect()
    }
}

fn post(path: &str, payload: &[u8]) -> Request {
    Request {
        payload: payload.to_vec(),
        ..Request::new(Code::POST, path)
    }
}

#[test]
fn the_wire_shows_no_code_no_path_and_no_payload_and_the_owners_see_all_of_them() {
    let mut pair = Pair::new();
    let asked = post("/secret", b"light on");
    let id = pair.ask(Request {
        method: Code::PUT,
        ..asked.clone()
    });
    pair.run(|_| content("done"));
    let [request, response] = &pair.wire[..] else {
        panic!("{:?}", pair.wire)
    };
    assert_eq!((request.code, response.code), (Code::POST, Code::CHANGED));
    assert_eq!(
        (request.token, request.message_id),
        (response.token, response.message_id)
    );
    for message in [request, response] {
        let numbers: Vec<u16> = message.options.iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [OPTION]);
    }
    let shown = request.encode();
    assert!(
        !shown
            .windows(5)
            .any(|part| part == b"light" || part == b"ecret")
    );
    let (_, context, seen) = &pair.asked[0];
    assert_eq!((seen.method, &seen.payload), (Code::PUT, &asked.payload));
    assert_eq!(
        (seen.path().as_str(), *context),
        ("/secret", Some(ContextId(1)))
    );
    assert_eq!(pair.client.responses(), [(id, content("done"))]);
}

#[test]
fn a_retransmission_also_to_another_address_repeats_the_bytes_and_uses_no_number() {
    let mut pair = Pair::new();
    pair.ask(post("/a", b"x"));
    let first = pair.client.sent_one();
    pair.client.advance(secs(2.0));
    assert_eq!(pair.client.sent(), [(peer(SERVER), first.clone())]);
    pair.client
        .endpoint
        .retarget(pair.client.now, peer(SERVER), peer(9));
    assert_eq!(pair.client.sent(), [(peer(9), first.clone())]);
    assert_eq!(Pair::toy(&mut pair.client).next, 1);
    // It was served where the node was before, and is where it is now.
    pair.server.receive(CLIENT, &first);
    let exchange = pair.server.one_exchange();
    pair.server.receive(CLIENT, &first);
    pair.server.respond(exchange, content("done"));
    let answer = pair.server.sent_one();
    pair.server.receive(CLIENT, &first);
    assert_eq!(
        pair.server.sent(),
        [(peer(CLIENT), answer.clone())],
        "a copy"
    );
    assert!(pair.server.events().is_empty());
    assert_eq!(Pair::toy(&mut pair.server).seen.len(), 1);
    pair.client.receive(9, &answer);
    assert_eq!(pair.client.responses()[0].1, content("done"));
    // Who has moved is still who it was.
    pair.server_at = 9;
    pair.ask(post("/a", b"y"));
    pair.run(|_| content("again"));
    assert_eq!(pair.asked[0].1, Some(ContextId(1)));
    assert_eq!(pair.client.responses()[0].1, content("again"));
}

#[test]
fn a_separate_response_is_verified_and_its_retransmission_repeats_the_bytes() {
    let mut pair = Pair::new();
    let id = pair.ask(get("/slow"));
    pair.reach_server();
    pair.server.advance(secs(0.5));
    pair.reach_client();
    let (exchange, ..) = pair.asked[0];
    pair.server.respond(exchange, content("late"));
    let lost = pair.server.sent_one();
    assert_eq!((lost.kind, lost.code), (Kind::Confirmable, Code::CHANGED));
    pair.server.advance(secs(2.5));
    let again = pair.server.sent_one();
    assert_eq!(again, lost);
    pair.client.receive(SERVER, &again);
    assert_eq!(pair.client.responses(), [(id, content("late"))]);
    pair.reach_server();
    pair.server.advance(secs(100.0));
    assert!(pair.server.sent().is_empty(), "acknowledged");
}

#[test]
fn every_block_is_a_message_of_its_own_and_the_owners_see_whole_bodies() {
    let mut pair = Pair::in_blocks();
    let body: Vec<u8> = (0..200).collect();
    let id = pair.ask(post("/large", &body));
    pair.run(|request| Response {
        payload: request.payload.repeat(2),
        ..Response::new(Code::CHANGED)
    });
    assert_eq!(pair.asked.len(), 1);
    assert_eq!(pair.asked[0].2.payload, body);
    let responses = pair.client.responses();
    assert_eq!(
        (responses[0].0, &responses[0].1.payload),
        (id, &body.repeat(2))
    );
    // 4 blocks there, 7 back, the first of which answers the last.
    assert_eq!(pair.wire.len(), 2 * 10);
    assert_eq!(Pair::toy(&mut pair.client).next, 10);
    assert_eq!(Pair::toy(&mut pair.server).next, 0, "one response each");
}

#[test]
fn notifications_are_bound_to_their_registration_wherever_either_end_has_moved() {
    let mut pair = Pair::in_blocks();
    let id = pair.observe("/t");
    pair.run(|_| content("1"));
    assert_eq!(pair.notified(), ["1"]);
    assert_eq!(pair.wire[0].code, Code::FETCH, "RFC 8613 4.1.3.5");
    pair.notify("/t", "2");
    pair.run(|_| content("?"));
    assert_eq!(pair.notified(), ["2"]);
    assert_eq!(pair.wire[2].code, Code::CONTENT);
    assert_eq!(
        pair.wire[2].options.get(OPTION),
        Some(&[0][..]),
        "its own number"
    );
    // The server has moved.
    let now = pair.client.now;
    pair.client.endpoint.retarget(now, peer(SERVER), peer(9));
    pair.server_at = 9;
    let long = "x".repeat(150);
    pair.notify("/t", &long);
    pair.run(|_| content("?"));
    assert_eq!(pair.notified(), [long]);
    assert_eq!(pair.asked.len(), 1, "its further blocks are protected, too");
    // The client has moved: a registration is a message of its own.
    pair.client_at = 8;
    pair.client.endpoint.observe_again(now, id);
    pair.run(|_| content("3"));
    assert_eq!(pair.notified(), ["3"]);
    pair.notify("/t", "4");
    let numbers = Pair::toy(&mut pair.server).next;
    pair.run(|_| content("?"));
    // The registration from the former address is another one there, and bound to what this
    // endpoint has forgotten.
    assert_eq!((pair.notified(), numbers), (vec!["4".to_owned()], 4));
    pair.client.endpoint.stop_observing(now, id);
    pair.run(|_| content("5"));
    assert_eq!(pair.client.responses()[0].1, content("5"));
}

#[test]
fn a_notification_that_waited_is_protected_when_it_is_sent() {
    let mut pair = Pair::new();
    pair.observe("/t");
    pair.run(|_| content("1"));
    pair.server.endpoint.hold_notifications();
    pair.notify("/t", "2");
    pair.notify("/t", "3");
    assert_eq!(Pair::toy(&mut pair.server).next, 0);
    pair.server.endpoint.release_notifications(pair.server.now);
    let sent = pair.server.sent_one();
    pair.server.advance(secs(2.0));
    assert_eq!(pair.server.sent_one(), sent, "a retransmission");
    pair.client.receive(SERVER, &sent);
    assert_eq!(pair.notified(), ["1", "3"]);
}

/// RFC 8613 §8.2: "the OSCORE errors (steps 2, 3, and 6) [...] are sent as simple CoAP responses".
#[test]
fn a_refused_request_is_answered_unprotected_and_the_owner_does_not_see_it() {
    type Spoil = fn(&mut Pair, &mut Message);
    let refusals: [(Code, Spoil); 3] = [
        (Code::UNAUTHORIZED, |pair, _| {
            Pair::toy(&mut pair.server).keys.clear();
        }),
        (Code::BAD_REQUEST, |_, message| message.payload[0] ^= 1),
        (Code::BAD_OPTION, |_, message| {
            message.options.remove(OPTION);
            message.options.push(OPTION, [0; 7]);
        }),
    ];
    for (code, spoil) in refusals {
        let mut pair = Pair::new();
        let id = pair.ask(get("/a"));
        let mut message = pair.client.sent_one();
        spoil(&mut pair, &mut message);
        pair.server.receive(CLIENT, &message);
        assert!(pair.server.events().is_empty());
        let answer = pair.server.sent_one();
        assert_eq!((answer.kind, answer.code), (Kind::Acknowledgement, code));
        assert_eq!(answer.options.get(OPTION), None);
        // The same to a copy (RFC 7252 §4.5), and the client's owner hears it.
        pair.server.receive(CLIENT, &message);
        assert_eq!(pair.server.sent_one(), answer);
        pair.client.receive(SERVER, &answer);
        let responses = pair.client.responses();
        assert_eq!((responses[0].0, responses[0].1.code), (id, code));
    }
}

#[test]
fn an_unprotected_request_passes_or_is_refused_as_the_protection_says() {
    let mut server = Pair::new().server;
    server.receive_get(Kind::Confirmable, 1);
    let events = server.events();
    assert!(matches!(
        &events[..],
        [Event::Request { context: None, .. }]
    ));
    Pair::toy(&mut server).plain = Some(Refusal::silent());
    server.receive_get(Kind::Confirmable, 2);
    let reset = server.sent_one();
    assert_eq!((reset.kind, reset.message_id), (Kind::Reset, 2));
    server.receive_get(Kind::Confirmable, 2);
    assert_eq!(server.sent_one(), reset);
    server.receive_get(Kind::NonConfirmable, 3);
    let unauthorized = Response::new(Code::UNAUTHORIZED);
    Pair::toy(&mut server).plain = Some(Refusal::answered(unauthorized));
    server.receive_get(Kind::NonConfirmable, 4);
    let answer = server.sent_one();
    assert_eq!(
        (answer.kind, answer.code),
        (Kind::NonConfirmable, Code::UNAUTHORIZED)
    );
    assert!(server.events().is_empty());
}

/// "An endpoint receiving a critical option that it does not know": RFC 7252 §5.4.1.
#[test]
fn an_endpoint_without_protection_refuses_what_is_protected() {
    let mut pair = Pair::new();
    pair.ask(get("/a"));
    let mut plain = Subject::new(steady());
    plain.receive(CLIENT, &pair.client.sent_one());
    assert_eq!(plain.sent_one().code, Code::BAD_OPTION);
}

/// §8.3: "CoAP error responses derived from CoAP processing [...] are protected".
#[test]
fn an_error_above_the_protection_is_protected() {
    let mut pair = Pair::new();
    let mut unknown = get("/a");
    unknown.options.push(2051, [1]);
    let id = pair.ask(unknown);
    pair.run(|_| content("?"));
    assert!(pair.asked.is_empty());
    assert_eq!(pair.wire[1].code, Code::CHANGED);
    let responses = pair.client.responses();
    assert_eq!(
        (responses[0].0, responses[0].1.code),
        (id, Code::BAD_OPTION)
    );
}

#[test]
fn a_response_that_cannot_be_verified_counts_for_the_message_layer_only() {
    let mut pair = Pair::new();
    let id = pair.ask(get("/a"));
    pair.reach_server();
    let forged = content("forged");
    let mut ack = piggybacked(&pair.wire[0]);
    ack.payload = forged.payload;
    pair.client.receive(SERVER, &ack);
    pair.client.advance(secs(10.0));
    assert!(pair.client.events().is_empty() && pair.client.sent().is_empty());
    // So does a confirmable one: it is acknowledged, and dropped.
    let separate = separate(Kind::Confirmable, 77, &pair.wire[0]);
    pair.client.receive(SERVER, &separate);
    let ack = pair.client.sent_one();
    assert_eq!((ack.kind, ack.message_id), (Kind::Acknowledgement, 77));
    assert!(pair.client.events().is_empty());
    // What the server answers is taken.
    pair.server.advance(secs(0.5));
    pair.server.sent();
    let (exchange, ..) = pair.asked[0];
    pair.server.respond(exchange, content("true"));
    pair.reach_client();
    assert_eq!(pair.client.responses(), [(id, content("true"))]);
}

#[test]
fn a_response_to_another_request_is_not_taken_for_ones_own() {
    let mut pair = Pair::new();
    let first = pair.ask(get("/a"));
    pair.run(|_| content("a"));
    pair.ask(get("/b"));
    let second = pair.client.sent_one();
    let replayed = Message {
        message_id: second.message_id,
        token: second.token,
        ..pair.wire[1].clone()
    };
    pair.client.receive(SERVER, &replayed);
    assert_eq!(pair.client.responses(), [(first, content("a"))]);
}

#[test]
fn what_cannot_be_protected_ends_and_holds_nothing_up() {
    let mut pair = Pair::new();
    Pair::toy(&mut pair.client).end = Some(1);
    let ids = ["/a", "/b", "/c"].map(|path| pair.ask(get(path)));
    pair.run(|_| content("a"));
    let mut events = pair.client.events();
    events.sort_by_key(|event| match event {
        Event::Response { id, .. } | Event::Failed { id, .. } => Some(*id),
        _ => None,
    });
    assert!(matches!(&events[0], Event::Response { id, .. } if *id == ids[0]));
    for (event, id) in events[1..].iter().zip(&ids[1..]) {
        let failed = Event::Failed {
            id: *id,
            to: peer(SERVER),
            reason: Failure::Unprotectable,
        };
        assert_eq!(*event, failed);
    }
    assert_eq!(events.len(), 3);
    assert_eq!(pair.client.endpoint.outstanding(), 0);
    // The context is gone; what needs none is not concerned.
    Pair::toy(&mut pair.client).places.clear();
    pair.ask(get("/d"));
    pair.run(|_| content("d"));
    assert_eq!(pair.client.responses()[0].1, content("d"));
}

#[test]
fn an_observation_whose_notification_cannot_be_protected_ends() {
    let mut pair = Pair::new();
    pair.observe("/t");
    pair.run(|_| content("1"));
    Pair::toy(&mut pair.server).end = Some(0);
    pair.notify("/t", "2");
    assert!(pair.server.sent().is_empty());
    assert!(!pair.server.endpoint.is_observed("/t"));
}

#[test]
fn blocks_and_observations_belong_to_the_context_that_asked_for_them() {
    let mut pair = Pair::in_blocks();
    pair.ask(get("/secret"));
    pair.run(|_| content(&"s".repeat(100)));
    assert_eq!(pair.client.responses().len(), 1);
    let mut asked = message(Kind::Confirmable, Code::GET, 900, pair.wire[0].token);
    asked.options.push(option::URI_PATH, *b"secret");
    asked.options.push_uint(option::BLOCK2, 1 << 4 | 2);
    pair.server.receive(CLIENT, &asked);
    pair.reach_server();
    let (_, context, _) = pair.asked.pop().expect("the owner is asked");
    assert_eq!((context, pair.server.sent()), (None, vec![]));

    let mut pair = Pair::new();
    pair.observe("/t");
    pair.run(|_| content("1"));
    let mut end = message(Kind::Confirmable, Code::GET, 901, pair.wire[0].token);
    end.options.push(option::URI_PATH, *b"t");
    end.options.push_uint(option::OBSERVE, 1);
    pair.server.receive(CLIENT, &end);
    let observations: Vec<_> = pair.server.endpoint.observations().collect();
    assert_eq!(observations.len(), 1);
    assert_eq!(observations[0].context, Some(ContextId(1)));
}

/// It is known at its former address only, where the server would have seen a copy.
#[test]
fn a_request_that_its_client_sends_again_from_elsewhere_is_done_once() {
    let mut pair = Pair::new();
    let id = pair.ask(post("/count", b"1"));
    pair.reach_server();
    pair.client.endpoint.recall(peer(SERVER));
    pair.client_at = 8;
    pair.client.endpoint.resend(pair.client.now, peer(SERVER));
    pair.reach_server();
    assert_eq!(pair.wire[0], pair.wire[1]);
    assert_eq!(pair.asked.len(), 1);
    pair.reach_client();
    let responses = pair.client.responses();
    assert_eq!(
        (responses[0].0, responses[0].1.code),
        (id, Code::UNAUTHORIZED)
    );
    assert_eq!(responses[0].1.payload, b"Replay detected");
}
