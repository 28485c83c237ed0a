//! FETCH, PATCH and iPATCH (RFC 8132), at both ends.

use coap::block::{Block, BlockSize};
use coap::message::option;
use coap::wire::{Message, Token};
use coap::{
    Code, Endpoint, Event, ExchangeId, Failure, Kind, Params, Request, RequestId, Response,
};
use machine::Machine;
use units::{Seed, SimTime};

use crate::support::*;

/// `application/senml+json`, as a selection of what to fetch.
const SENML: u64 = 110;

fn request(method: Code, path: &str, payload: &[u8]) -> Request {
    let mut request = Request {
        payload: payload.to_vec(),
        ..Request::new(method, path)
    };
    request.options.push_uint(option::CONTENT_FORMAT, SENML);
    request
}

fn block(number: u32, more: bool, bytes: usize) -> Block {
    Block {
        number,
        more,
        size: BlockSize::new(bytes).unwrap(),
    }
}

/// Blocks of 64 bytes.
fn params() -> Params {
    Params {
        block_size: BlockSize::new(64).unwrap(),
        ..steady()
    }
}

fn block_of(message: &Message, number: u16) -> Option<Block> {
    Block::of(&message.options, number).unwrap()
}

/// What a whole body selects: itself, three times.
fn selected(request: &Request) -> Response {
    Response {
        payload: request.payload.repeat(3),
        ..Response::new(Code::CONTENT)
    }
}

/// A client at 1 and a server at 2 that [`selected`] answers for.
struct Pair {
    client: Endpoint,
    server: Endpoint,
    /// What the server's owner has seen.
    asked: Vec<(ExchangeId, Request)>,
    /// Everything the client has sent.
    sent: Vec<Message>,
    told: Vec<Event>,
}

impl Pair {
    fn new() -> Pair {
        Pair::with(params())
    }

    fn with(params: Params) -> Pair {
        let endpoint = |name| Endpoint::new(params.clone(), KNOWN, Seed(1).rng(&[name]));
        Pair {
            client: endpoint("client"),
            server: endpoint("server"),
            asked: Vec::new(),
            sent: Vec::new(),
            told: Vec::new(),
        }
    }

    fn ask(&mut self, request: Request) -> RequestId {
        self.client.request(SimTime::ZERO, peer(2), CON, request)
    }

    fn observe(&mut self, request: Request) -> RequestId {
        self.client.observe(SimTime::ZERO, peer(2), CON, request)
    }

    /// Carries datagrams until nothing moves.
    fn run(&mut self) {
        let now = SimTime::ZERO;
        loop {
            if let Some(sent) = self.client.poll_transmit() {
                self.sent.push(Message::decode(&sent.payload).unwrap());
                self.server.handle_datagram(now, peer(1), &sent.payload);
            } else if let Some(sent) = self.server.poll_transmit() {
                self.client.handle_datagram(now, peer(2), &sent.payload);
            } else {
                break;
            }
            while let Some(event) = self.server.poll_event() {
                if let Event::Request {
                    exchange, request, ..
                } = event
                {
                    let response = selected(&request);
                    self.asked.push((exchange, request));
                    self.server.respond_observed(now, exchange, response);
                }
            }
        }
        self.told
            .extend(std::iter::from_fn(|| self.client.poll_event()));
    }

    /// Payloads of the responses so far, by their requests.
    fn responses(&self) -> Vec<(RequestId, &[u8])> {
        let response = |event| match event {
            &Event::Response {
                id, ref response, ..
            } => Some((id, response.payload.as_slice())),
            _ => None,
        };
        self.told.iter().filter_map(response).collect()
    }

    /// Payloads of the notifications so far, by their requests.
    fn notifications(&self) -> Vec<(RequestId, &[u8])> {
        let notification = |event| match event {
            &Event::Notification {
                id, ref response, ..
            } => Some((id, response.payload.as_slice())),
            _ => None,
        };
        self.told.iter().filter_map(notification).collect()
    }
}

/// §4: "the new methods fit into the old table of methods".
#[test]
fn s4_get_and_fetch_are_safe_and_the_codes_are_those_of_section_6() {
    let methods = [
        (Code::GET, "0.01", true),
        (Code::POST, "0.02", false),
        (Code::PUT, "0.03", false),
        (Code::DELETE, "0.04", false),
        (Code::FETCH, "0.05", true),
        (Code::PATCH, "0.06", false),
        (Code::IPATCH, "0.07", false),
    ];
    for (method, text, safe) in methods {
        assert_eq!(
            (method.to_string().as_str(), method.is_safe()),
            (text, safe)
        );
        assert!(method.is_request());
    }
    assert_eq!(Code::CONFLICT.to_string(), "4.09");
    assert_eq!(Code::UNPROCESSABLE_ENTITY.to_string(), "4.22");
}

#[test]
fn another_decoder_calls_the_methods_by_the_same_names() {
    use coap_lite::{MessageClass, Packet, RequestType};
    let names = [
        (Code::FETCH, RequestType::Fetch),
        (Code::PATCH, RequestType::Patch),
        (Code::IPATCH, RequestType::IPatch),
    ];
    for (method, name) in names {
        let sent = message(Kind::Confirmable, method, 1, Token::EMPTY).encode();
        let packet = Packet::from_bytes(&sent).unwrap();
        assert_eq!(packet.header.code, MessageClass::Request(name));
    }
}

#[test]
fn every_method_carries_its_payload_there_and_back_whole_and_in_blocks() {
    let methods = [
        Code::POST,
        Code::PUT,
        Code::FETCH,
        Code::PATCH,
        Code::IPATCH,
    ];
    for method in methods {
        for length in [1, 64, 65, 500] {
            let mut pair = Pair::new();
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let id = pair.ask(request(method, "/a", &payload));
            pair.run();
            assert_eq!(pair.asked.len(), 1, "{method} {length}: the owner sees one");
            let (_, seen) = &pair.asked[0];
            assert_eq!((seen.method, &seen.payload), (method, &payload));
            assert_eq!(seen.options.get_uint(option::CONTENT_FORMAT), Some(SENML));
            assert_eq!(pair.responses(), [(id, &*payload.repeat(3))]);
            assert_eq!(pair.client.outstanding(), 0);
        }
    }
}

/// §2.5: "the Block2 option can then be used as it would with GET or POST".
#[test]
fn s2_5_a_fetch_names_the_size_of_blocks_at_once_and_has_its_payload_in_every_request() {
    let mut pair = Pair::new();
    pair.ask(request(Code::FETCH, "/a", &[7; 60]));
    pair.run();
    let blocks: Vec<_> = pair
        .sent
        .iter()
        .map(|m| block_of(m, option::BLOCK2))
        .collect();
    let expected = [0, 1, 2].map(|number| Some(block(number, false, 64)));
    assert_eq!(blocks, expected);
    assert!(pair.sent.iter().all(|sent| sent.payload == [7; 60]));
}

/// §2.5: "The Block1 option can be used with a FETCH request as it would be used with a POST".
#[test]
fn s2_5_a_payload_that_went_out_in_blocks_goes_out_once() {
    let mut pair = Pair::new();
    pair.ask(request(Code::FETCH, "/a", &[7; 100]));
    pair.run();
    let lengths: Vec<usize> = pair.sent.iter().map(|sent| sent.payload.len()).collect();
    assert_eq!(lengths, [64, 36, 0, 0, 0, 0], "300 bytes of response");
}

/// A FETCH of `/a` by peer 1 for block `number` of its response; its token is its Message ID.
fn fetch(message_id: u16, number: u32, payload: &[u8]) -> Message {
    let token = Token::new(&message_id.to_be_bytes()).unwrap();
    let mut message = message(Kind::Confirmable, Code::FETCH, message_id, token);
    message.options.push(option::URI_PATH, *b"a");
    let asked = block(number, false, 64).value();
    message.options.push_uint(option::BLOCK2, asked);
    message.payload = payload.to_vec();
    message
}

/// The block with which `server` answers, of a body of 100 bytes that `body` says if it does not
/// have it.
fn answered(server: &mut Subject, asked: &Message, body: Option<u8>) -> Vec<u8> {
    server.receive(1, asked);
    for event in server.events() {
        if let Event::Request { exchange, .. } = event {
            let response = Response {
                payload: vec![body.expect("the owner is not asked"); 100],
                ..Response::new(Code::CONTENT)
            };
            server.respond(exchange, response);
        }
    }
    server.sent_one().payload
}

/// §2: "the request body is part of the cache key".
#[test]
fn s2_1_two_fetches_of_one_path_by_one_peer_have_a_body_each() {
    let mut server = Subject::new(params());
    assert_eq!(answered(&mut server, &fetch(1, 0, b"x"), Some(1)), [1; 64]);
    assert_eq!(answered(&mut server, &fetch(2, 0, b"y"), Some(2)), [2; 64]);
    assert_eq!(answered(&mut server, &fetch(3, 1, b"x"), None), [1; 36]);
    assert_eq!(answered(&mut server, &fetch(4, 1, b"y"), None), [2; 36]);
    assert_eq!(answered(&mut server, &fetch(5, 0, b"z"), Some(3)), [3; 64]);
}

/// As libcoap and aiocoap do it.
#[test]
fn s2_1_a_further_block_that_is_asked_for_without_payload_is_of_the_last_body() {
    let mut server = Subject::new(params());
    answered(&mut server, &fetch(1, 0, b"x"), Some(1));
    answered(&mut server, &fetch(2, 0, b"y"), Some(2));
    assert_eq!(answered(&mut server, &fetch(3, 1, b""), None), [2; 36]);
    answered(&mut server, &fetch(4, 1, b"x"), None);
    assert_eq!(answered(&mut server, &fetch(5, 1, b""), None), [1; 36]);
}

#[test]
fn a_response_that_changes_is_fetched_again_but_no_change_is_made_twice() {
    for (method, again) in [
        (Code::FETCH, true),
        (Code::IPATCH, false),
        (Code::POST, false),
    ] {
        let mut client = Subject::new(params());
        let whole = request(method, "/a", &[7; 100]);
        let id = client.endpoint.request(client.now, peer(1), CON, whole);
        let first = client.sent_one();
        let mut taken = message(
            Kind::Acknowledgement,
            Code::CONTINUE,
            first.message_id,
            first.token,
        );
        taken
            .options
            .push_uint(option::BLOCK1, block(0, true, 64).value());
        client.receive(1, &taken);
        for number in [0, 1] {
            let asked = client.sent_one();
            let mut part = piggybacked(&asked);
            part.payload = vec![1; 64];
            part.options.push(option::ETAG, [number as u8]);
            let block2 = block(number, true, 64);
            part.options.push_uint(option::BLOCK2, block2.value());
            client.receive(1, &part);
        }
        if again {
            let asked = client.sent_one();
            assert_eq!(block_of(&asked, option::BLOCK1), Some(block(0, true, 64)));
            assert_eq!(asked.payload, [7; 64]);
        } else {
            assert_eq!(client.failures(), [(id, Failure::BodyChanges)]);
        }
    }
}

/// The server's observations: which exchange registered them, and with what payload.
fn observed(server: &Endpoint) -> Vec<(ExchangeId, Vec<u8>)> {
    let observations = server.observations();
    observations
        .map(|observation| (observation.id, observation.request.payload.clone()))
        .collect()
}

/// §2.4: "The Observe option can be used with a FETCH request as it can be used with a GET".
#[test]
fn s2_4_two_observations_of_one_path_by_one_peer_have_a_state_each() {
    let mut pair = Pair::new();
    let x = pair.observe(request(Code::FETCH, "/a", b"x"));
    let y = pair.observe(request(Code::FETCH, "/a", b"y"));
    pair.run();
    assert_eq!(pair.notifications(), [(x, &b"xxx"[..]), (y, b"yyy")]);
    let [(first, ref of_x), (second, ref of_y)] = observed(&pair.server)[..] else {
        panic!("two observations")
    };
    assert_eq!((of_x.as_slice(), of_y.as_slice()), (&b"x"[..], &b"y"[..]));
    assert_eq!((first, second), (pair.asked[0].0, pair.asked[1].0));
    pair.told.clear();
    let now = SimTime::ZERO;
    pair.server.notify_one(now, second, &content("only y"));
    pair.run();
    assert_eq!(pair.notifications(), [(y, &b"only y"[..])]);
    pair.told.clear();
    pair.server.notify(now, "/a", &content("both"));
    pair.run();
    assert_eq!(pair.notifications(), [(x, &b"both"[..]), (y, b"both")]);
    // RFC 7641 §3.6, with the payload that it was registered with.
    pair.client.stop_observing(now, x);
    pair.run();
    assert_eq!(observed(&pair.server), [(second, b"y".to_vec())]);
    let end = pair.sent.last().unwrap();
    assert_eq!((end.code, &end.payload[..]), (Code::FETCH, &b"x"[..]));
    assert_eq!(end.options.get_uint(option::OBSERVE), Some(1));
}

#[test]
fn s2_4_notifications_in_blocks_of_two_observations_do_not_mix() {
    let mut pair = Pair::new();
    let x = pair.observe(request(Code::FETCH, "/a", &[b'x'; 50]));
    let y = pair.observe(request(Code::FETCH, "/a", &[b'y'; 50]));
    pair.run();
    pair.told.clear();
    let now = SimTime::ZERO;
    let [first, second] = [0, 1].map(|n| observed(&pair.server)[n].0);
    let state = |byte: u8| Response {
        payload: vec![byte; 200],
        ..Response::new(Code::CONTENT)
    };
    // Both first blocks are on their way before either's second is asked for.
    pair.server.notify_one(now, first, &state(1));
    pair.server.notify_one(now, second, &state(2));
    pair.run();
    assert_eq!(pair.notifications(), [(x, &[1; 200][..]), (y, &[2; 200])]);
    let asked: Vec<usize> = pair.asked.iter().map(|(_, r)| r.payload.len()).collect();
    assert_eq!(asked, [50, 50], "the owner is not asked for the rest");
}

#[test]
fn s2_4_an_observation_whose_payload_has_blocks_is_registered_again_and_ended_with_them() {
    let mut pair = Pair::new();
    let id = pair.observe(request(Code::FETCH, "/a", &[7; 100]));
    pair.run();
    assert_eq!(pair.notifications(), [(id, &[7; 300][..])]);
    // This endpoint has another address, or says so.
    pair.told.clear();
    pair.client.observe_again(SimTime::ZERO, id);
    pair.run();
    assert_eq!(pair.notifications(), [(id, &[7; 300][..])]);
    assert_eq!(pair.asked.len(), 2);
    assert_eq!(observed(&pair.server), [(pair.asked[1].0, vec![7; 100])]);
    pair.client.stop_observing(SimTime::ZERO, id);
    pair.run();
    assert_eq!(pair.asked[2].1.payload, [7; 100]);
    assert_eq!(observed(&pair.server), []);
    assert_eq!(pair.client.outstanding(), 0);
}

#[test]
fn only_get_and_fetch_are_observed() {
    for method in [Code::POST, Code::PUT, Code::PATCH, Code::IPATCH] {
        let mut pair = Pair::new();
        let id = pair.observe(request(method, "/a", b"x"));
        pair.run();
        assert_eq!(pair.responses(), [(id, &b"xxx"[..])], "{method}");
        assert_eq!(observed(&pair.server), []);
    }
}

/// The payload counts for what is kept of a registration.
#[test]
fn a_fetch_of_more_than_a_kibibyte_is_answered_and_not_observed() {
    let mut pair = Pair::with(steady());
    let id = pair.observe(request(Code::FETCH, "/a", &[1; 1020]));
    pair.run();
    assert_eq!(pair.responses().len(), 1);
    assert_eq!(pair.responses()[0].0, id);
    assert_eq!(observed(&pair.server), []);
}
