//! Block-wise transfer (RFC 7959): figures of §3, and what the standard leaves to the endpoint.

mod client;
mod server;

use std::time::Duration;

use coap::block::{Block, BlockSize, entity_tag};
use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Endpoint, Event, Failure, Kind, Options, Params, Request, Response};
use machine::Machine;
use units::{Seed, SimTime};

use crate::support::*;

fn block(number: u32, more: bool, bytes: usize) -> Block {
    Block {
        number,
        more,
        size: BlockSize::new(bytes).unwrap(),
    }
}

/// Bytes that differ from block to block.
fn body(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n / 16 + n) as u8).collect()
}

fn params(bytes: usize) -> Params {
    Params {
        block_size: BlockSize::new(bytes).unwrap(),
        ..steady()
    }
}

fn option_of(message: &Message, number: u16) -> Option<Block> {
    Block::of(&message.options, number).unwrap()
}

/// A request of peer 1 with one block option.
fn asks(code: Code, message_id: u16, number: u16, block: Block, payload: &[u8]) -> Message {
    let token = Token::new(&message_id.to_be_bytes()).unwrap();
    let mut message = message(Kind::Confirmable, code, message_id, token);
    message.options.push(option::URI_PATH, *b"status");
    message.options.push_uint(number, block.value());
    message.payload = payload.to_vec();
    message
}

/// A piggy-backed answer to `request` with one block option.
fn answers(request: &Message, code: Code, number: u16, block: Block, payload: &[u8]) -> Message {
    let mut message = message(
        Kind::Acknowledgement,
        code,
        request.message_id,
        request.token,
    );
    message.options.push_uint(number, block.value());
    message.payload = payload.to_vec();
    message
}

/// The owner's answer.
fn large(body: &[u8]) -> Response {
    Response {
        payload: body.to_vec(),
        ..Response::new(Code::CONTENT)
    }
}

/// Two endpoints; what the server sends goes to where `server_at` says.
struct Pair {
    client: Endpoint,
    server: Endpoint,
    client_at: u16,
    now: SimTime,
}

impl Pair {
    fn new(bytes: usize) -> Pair {
        let endpoint = |name| Endpoint::new(params(bytes), KNOWN, Seed(1).rng(&[name]));
        Pair {
            client: endpoint("client"),
            server: endpoint("server"),
            client_at: 9,
            now: SimTime::ZERO,
        }
    }

    /// Carries datagrams to and from the server at `address` until nothing moves, but no more
    /// than `requests` of the client's; others are lost. Whole requests are answered `answer`.
    fn carry(&mut self, address: u16, requests: usize, answer: &[u8]) -> usize {
        let mut carried = 0;
        while let Some(sent) = self.client.poll_transmit() {
            if sent.to != peer(address) || carried == requests {
                continue;
            }
            carried += 1;
            self.server
                .handle_datagram(self.now, peer(self.client_at), &sent.payload);
            while let Some(event) = self.server.poll_event() {
                if let Event::Request { exchange, .. } = event {
                    self.server.respond(self.now, exchange, large(answer));
                }
            }
            while let Some(answer) = self.server.poll_transmit() {
                self.client
                    .handle_datagram(self.now, peer(address), &answer.payload);
            }
        }
        carried
    }
}

#[test]
fn a_2_kb_get_goes_on_where_the_server_has_moved_to() {
    let mut pair = Pair::new(64);
    let whole = body(2048);
    let id = pair.client.request(pair.now, peer(1), CON, get("/image"));
    assert_eq!(pair.carry(1, 10, &whole), 10);
    assert_eq!(pair.client.poll_event(), None);
    // The eleventh request is on its way when the server moves from 1 to 2.
    pair.client.retarget(pair.now, peer(1), peer(2));
    assert_eq!(pair.carry(2, 99, b"another representation"), 2048 / 64 - 10);
    let Some(Event::Response {
        id: answered,
        from,
        response,
        ..
    }) = pair.client.poll_event()
    else {
        panic!("no response")
    };
    assert_eq!((answered, from), (id, peer(2)));
    assert_eq!(response.payload, whole);
}

#[test]
fn a_get_whose_client_moves_begins_again_and_is_of_one_representation() {
    let mut pair = Pair::new(64);
    pair.client.request(pair.now, peer(1), CON, get("/image"));
    assert_eq!(pair.carry(1, 10, &body(2048)), 10);
    // The server knows the body by its client's address.
    pair.client_at = 8;
    pair.now += Duration::from_secs(3);
    pair.client.handle_timeout(pair.now);
    pair.carry(1, 99, &[7; 1000]);
    let Some(Event::Response { response, .. }) = pair.client.poll_event() else {
        panic!("no response")
    };
    assert_eq!(response.payload, [7; 1000]);
}

#[test]
fn a_body_of_up_to_a_block_is_one_message_as_before() {
    let mut server = Subject::new(steady());
    server.receive_get(Kind::Confirmable, 1);
    let exchange = server.one_exchange();
    server.respond(exchange, large(&body(1024)));
    let answer = server.sent_one();
    assert_eq!(answer.payload, body(1024));
    assert_eq!(answer.options, Options::new());
}
