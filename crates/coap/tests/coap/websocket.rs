//! CoAP over WebSockets (RFC 8323): the codec, and two sessions over a connection that loses nothing.

use std::time::Duration;

use coap::block::{Block, BlockSize};
use coap::message::option;
use coap::websocket::{Frame, FrameError, KEEP_ALIVE, PEER, Session, signaling};
use coap::wire::{DecodeError, Message, Token};
use coap::{
    Code, Endpoint, Event, ExchangeId, Kind, Options, Params, Reliability, Request, Response,
};
use proptest::collection::vec;
use proptest::prelude::*;
use units::{Seed, SimTime};

use crate::codec::options;

mod connection;

const CON: Reliability = Reliability::Confirmable;

prop_compose! {
    fn frame()(
        code in 0u8..=255,
        token in vec(any::<u8>(), 0..=8),
        options in options(),
        payload in vec(any::<u8>(), 0..40),
    ) -> Frame {
        let token = Token::new(&token).unwrap();
        Frame { code: Code(code), token, options, payload }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(frame in frame()) {
        prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
    }

    /// The format has one encoding per message, so what decodes encodes to the same bytes.
    #[test]
    fn what_decodes_encodes_to_the_same_bytes(
        frame in frame(),
        edits in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = frame.encode();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        if let Ok(frame) = Frame::decode(&bytes) {
            prop_assert_eq!(frame.encode(), bytes);
        }
    }

    /// "The same as the message format for CoAP over TCP", which differs from that over UDP in its first bytes alone
    /// (§3.2).
    #[test]
    fn what_follows_the_token_is_as_over_udp(frame in frame()) {
        prop_assume!(frame.code != Code::EMPTY);
        let Frame { code, token, options, payload } = frame.clone();
        let message = Message { kind: Kind::Confirmable, code, message_id: 0, token, options, payload };
        prop_assert_eq!(&frame.encode()[2..], &message.encode()[4..]);
    }

    /// What a stranger sends ends his session at worst.
    #[test]
    fn no_messages_make_a_session_panic(messages in vec(frame(), 0..12), csm in any::<bool>()) {
        let mut session = session("server");
        if csm {
            session.handle_message(SimTime::ZERO, &Frame::new(signaling::CSM).encode());
        }
        for (second, message) in messages.iter().enumerate() {
            let now = SimTime::ZERO + Duration::from_secs(second as u64);
            session.handle_message(now, &message.encode());
            while let Some(Event::Request { exchange, .. }) = session.poll_event() {
                session.endpoint().respond_observed(now, exchange, Response::new(Code::CONTENT));
            }
            while session.poll_transmit(now).is_some() {}
            session.handle_timeout(now);
        }
    }
}

/// Figures 5, 11 and 12.
#[test]
fn the_figures_of_the_rfc_decode() {
    for (bytes, code, token) in [
        ([0x01, 0x43, 0x7f], Code::new(2, 3), 0x7f),
        ([0x01, 0xe2, 0x42], signaling::PING, 0x42),
        ([0x01, 0xe3, 0x42], signaling::PONG, 0x42),
    ] {
        let frame = Frame::decode(&bytes).unwrap();
        assert_eq!((frame.code, frame.token.as_bytes()), (code, &[token][..]));
        assert_eq!(frame.encode(), bytes);
    }
}

#[test]
fn what_is_no_message_says_why() {
    let error = |bytes: &[u8]| Frame::decode(bytes).unwrap_err();
    assert_eq!(error(&[]), FrameError::Short(0));
    assert_eq!(error(&[0]), FrameError::Short(1));
    assert_eq!(error(&[0x10, 1, 0]), FrameError::Length(1));
    let rest = |bytes: &[u8]| match error(bytes) {
        FrameError::Rest(error) => error,
        other => panic!("{other}"),
    };
    assert_eq!(rest(&[9, 1]), DecodeError::TokenLength(9));
    assert_eq!(rest(&[2, 1, 0]), DecodeError::TokenTruncated);
    assert_eq!(rest(&[0, 1, 0xff]), DecodeError::MarkerWithoutPayload);
}

fn session(name: &str) -> Session {
    let endpoint = Endpoint::new(Params::default(), &[], Seed(1).rng(&[name]));
    Session::new(SimTime::ZERO, endpoint)
}

/// Both ends of a connection, and what crossed it.
struct Pair {
    now: SimTime,
    client: Session,
    server: Session,
    /// Of the client, and of the server.
    sent: [Vec<Frame>; 2],
}

impl Pair {
    fn new() -> Pair {
        let mut pair = Pair {
            now: SimTime::ZERO,
            client: session("client"),
            server: session("server"),
            sent: [Vec::new(), Vec::new()],
        };
        pair.cross();
        pair
    }

    /// Has everything arrive that is to be sent.
    fn cross(&mut self) {
        loop {
            let [to_server, to_client] = [
                self.client.poll_transmit(self.now),
                self.server.poll_transmit(self.now),
            ];
            if let Some(bytes) = &to_server {
                self.sent[0].push(Frame::decode(bytes).unwrap());
                self.server.handle_message(self.now, bytes);
            }
            if let Some(bytes) = &to_client {
                self.sent[1].push(Frame::decode(bytes).unwrap());
                self.client.handle_message(self.now, bytes);
            }
            if to_server.is_none() && to_client.is_none() {
                return;
            }
        }
    }

    fn ask(&mut self, request: Request) {
        self.client.endpoint().request(self.now, PEER, CON, request);
        self.cross();
    }

    /// The next request that the server has.
    fn asked(&mut self) -> (ExchangeId, Request) {
        match self.server.poll_event() {
            Some(Event::Request {
                exchange, request, ..
            }) => (exchange, request),
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, exchange: ExchangeId, payload: &[u8]) {
        self.server
            .endpoint()
            .respond(self.now, exchange, content(payload));
        self.cross();
    }

    fn answered(&mut self) -> Response {
        match self.client.poll_event() {
            Some(Event::Response { response, .. }) => response,
            other => panic!("{other:?}"),
        }
    }

    fn pass(&mut self, by: Duration) {
        self.now += by;
        self.client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
        self.cross();
    }

    /// The server's last message, which ends the connection.
    fn aborted(&self) -> &Frame {
        assert!(self.server.is_over());
        let last = self.sent[1].last().unwrap();
        assert_eq!(last.code, signaling::ABORT);
        assert!(!last.payload.is_empty(), "no diagnostic");
        last
    }

    fn say(&mut self, frame: &Frame) {
        self.server.handle_message(self.now, &frame.encode());
        self.cross();
    }
}

fn content(payload: &[u8]) -> Response {
    Response {
        payload: payload.to_vec(),
        ..Response::new(Code::CONTENT)
    }
}

/// §3.3, §5.3.
#[test]
fn both_ends_begin_with_a_csm() {
    let pair = Pair::new();
    for sent in &pair.sent {
        let csm = &sent[0];
        assert_eq!((sent.len(), csm.code), (1, signaling::CSM));
        assert_eq!(
            csm.options.get_uint(signaling::MAX_MESSAGE_SIZE),
            Some(1152)
        );
        assert_eq!(
            csm.options.get(signaling::BLOCK_WISE_TRANSFER),
            Some(&[][..])
        );
    }
}

/// "Endpoints MUST treat a missing or invalid CSM as a connection error and abort the connection" (§3.3).
#[test]
fn who_does_not_begin_with_a_csm_is_cut_off() {
    for code in [
        Code::GET,
        Code::CONTENT,
        signaling::PING,
        signaling::RELEASE,
    ] {
        let mut server = session("server");
        // "Can always be sent and MUST be ignored" (§3.4).
        server.handle_message(SimTime::ZERO, &Frame::new(Code::EMPTY).encode());
        assert!(!server.is_over());
        server.handle_message(SimTime::ZERO, &Frame::new(code).encode());
        assert!(server.is_over(), "{code}");
        assert_eq!(server.poll_event(), None);
        let sent: Vec<_> = std::iter::from_fn(|| server.poll_transmit(SimTime::ZERO)).collect();
        let codes: Vec<Code> = sent.iter().map(|bytes| Code(bytes[1])).collect();
        assert_eq!(codes, [signaling::CSM, signaling::ABORT], "{code}");
    }
}

/// §5.2, §5.6.
#[test]
fn what_is_not_understood_is_told_in_an_abort() {
    let csm = |number, value: &[u8]| {
        let mut frame = Frame::new(signaling::CSM);
        frame.options.push(number, value);
        frame
    };
    for (number, value) in [
        (9, &[1][..]),
        (signaling::MAX_MESSAGE_SIZE, &[1; 5][..]),
        (signaling::MAX_MESSAGE_SIZE, &[16][..]),
    ] {
        let mut pair = Pair::new();
        pair.say(&csm(number, value));
        let bad = pair.aborted().options.get_uint(signaling::BAD_CSM_OPTION);
        assert_eq!(bad, Some(number.into()));
    }
    let mut pair = Pair::new();
    // What is elective is ignored.
    pair.say(&csm(1000, b"x"));
    assert!(!pair.server.is_over());
    let mut ping = Frame::new(signaling::PING);
    ping.options.push(9, []);
    pair.say(&ping);
    pair.aborted();
    let mut pair = Pair::new();
    pair.say(&Frame::new(Code::new(7, 31)));
    pair.aborted();
    let mut pair = Pair::new();
    pair.server.handle_message(pair.now, &[0x0f, 1]);
    pair.cross();
    pair.aborted();
}

/// §3.3: "A CoAP client can send multiple requests without waiting", responses come "in any order".
#[test]
fn requests_are_answered_in_any_order_by_their_tokens() {
    let mut pair = Pair::new();
    for path in ["/a", "/b", "/c"] {
        pair.ask(Request::new(Code::GET, path));
    }
    let mut asked: Vec<_> = (0..3).map(|_| pair.asked()).collect();
    asked.reverse();
    for (exchange, request) in asked {
        pair.answer(exchange, request.path().as_bytes());
    }
    let answers = [0; 3].map(|_| String::from_utf8(pair.answered().payload).unwrap());
    assert_eq!(answers, ["/c", "/b", "/a"]);
    let tokens = |frames: &[Frame]| -> Vec<Token> { frames[1..].iter().map(|f| f.token).collect() };
    let mut asked = tokens(&pair.sent[0]);
    asked.reverse();
    assert_eq!(tokens(&pair.sent[1]), asked);
}

/// Neither an acknowledgement nor a retransmission crosses, however long the answer takes (§4.3).
#[test]
fn a_late_answer_is_one_message_as_an_early_one_is() {
    let mut pair = Pair::new();
    pair.ask(Request::new(Code::GET, "/a"));
    let (exchange, _) = pair.asked();
    for _ in 0..14 {
        pair.pass(Duration::from_secs(1));
    }
    assert_eq!([pair.sent[0].len(), pair.sent[1].len()], [2, 1]);
    pair.answer(exchange, b"late");
    pair.pass(Duration::from_millis(900));
    assert_eq!(pair.answered().payload, b"late");
    assert_eq!([pair.sent[0].len(), pair.sent[1].len()], [2, 2]);
}

/// RFC 7959 over the connection, in blocks of what the peer takes (§5.3.1, §6).
#[test]
fn bodies_go_in_blocks_that_the_peer_takes() {
    for (takes, block) in [
        (None, 1024),
        (Some(700_u64), 512),
        (Some(144), 16),
        (Some(1 << 20), 1024),
    ] {
        let mut pair = Pair::new();
        if let Some(takes) = takes {
            let mut csm = Frame::new(signaling::CSM);
            csm.options.push_uint(signaling::MAX_MESSAGE_SIZE, takes);
            pair.say(&csm);
        }
        let body: Vec<u8> = (0..2100).map(|n| (n / 7) as u8).collect();
        let mut fetch = Request::new(Code::FETCH, "/a");
        fetch.payload = body.clone();
        pair.ask(fetch);
        let (exchange, request) = pair.asked_after_blocks();
        assert_eq!(request.payload, body);
        pair.answer(exchange, &body);
        assert_eq!(pair.answered().payload, body);
        let longest = pair.sent[1].iter().map(|frame| frame.payload.len()).max();
        assert_eq!(longest, Some(block), "{takes:?}");
    }
}

impl Pair {
    fn asked_after_blocks(&mut self) -> (ExchangeId, Request) {
        loop {
            match self.server.poll_event() {
                Some(Event::Block { .. }) => {}
                Some(Event::Request {
                    exchange, request, ..
                }) => return (exchange, request),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// §6: before our CSM has come a peer may take BERT to be there.
#[test]
fn a_first_block_of_bert_is_one_of_1024_bytes_and_more_is_refused() {
    let bert = |length: usize| {
        let mut frame = Frame::new(Code::PUT);
        frame.options.push_uint(option::BLOCK1, 8 | 7);
        frame.payload = vec![7; length];
        frame
    };
    let mut pair = Pair::new();
    pair.say(&bert(1024));
    let told = pair.sent[1].last().unwrap();
    assert_eq!(told.code, Code::CONTINUE);
    let block = Block::of(&told.options, option::BLOCK1).unwrap().unwrap();
    assert_eq!(block, Block::first(true, BlockSize::MAX));
    pair.say(&bert(2048));
    pair.aborted();
}

/// §7.
#[test]
fn what_is_observed_is_told_until_it_is_not_wanted() {
    let mut pair = Pair::new();
    let observe =
        pair.client
            .endpoint()
            .observe(pair.now, PEER, CON, Request::new(Code::GET, "/a"));
    pair.cross();
    let (exchange, _) = pair.asked();
    pair.server
        .endpoint()
        .respond_observed(pair.now, exchange, content(b"0"));
    pair.cross();
    for n in 1..30 {
        pair.server
            .endpoint()
            .notify_one(pair.now, exchange, &content(n.to_string().as_bytes()));
        pair.cross();
    }
    let mut told = Vec::new();
    while let Some(Event::Notification { response, .. }) = pair.client.poll_event() {
        told.push(String::from_utf8(response.payload).unwrap());
    }
    let expected: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    assert_eq!(told, expected);
    // The client has acknowledged nothing.
    assert_eq!(pair.sent[0].len(), 2);
    pair.client.endpoint().stop_observing(pair.now, observe);
    pair.cross();
    let (_, deregistration) = pair.asked();
    assert_eq!(deregistration.options.get_uint(option::OBSERVE), Some(1));
    assert_eq!(pair.server.endpoint().observations().count(), 0);
}

/// "MUST be ignored on reception" (§7.1).
#[test]
fn notifications_without_a_number_are_told_in_the_order_in_which_they_come() {
    let mut pair = Pair::new();
    pair.client
        .endpoint()
        .observe(pair.now, PEER, CON, Request::new(Code::GET, "/a"));
    pair.cross();
    for value in [&[][..], &[9], &[3]] {
        let mut state = Frame::new(Code::CONTENT);
        state.token = pair.sent[0][1].token;
        state.options.push(option::OBSERVE, value);
        state.payload = value.to_vec();
        state.payload.push(b'!');
        pair.client.handle_message(pair.now, &state.encode());
    }
    let told: Vec<Event> = std::iter::from_fn(|| pair.client.poll_event()).collect();
    let states = told
        .iter()
        .filter(|event| matches!(event, Event::Notification { .. }));
    assert_eq!(states.count(), 3, "{told:?}");
}

/// §5.4.
#[test]
fn a_ping_is_answered_with_its_token() {
    let mut pair = Pair::new();
    let mut ping = Frame::new(signaling::PING);
    ping.token = Token::new(b"token").unwrap();
    // Custody is elective.
    ping.options.push(2, []);
    pair.say(&ping);
    let pong = pair.sent[1].last().unwrap();
    assert_eq!((pong.code, pong.token), (signaling::PONG, ping.token));
}

#[test]
fn who_is_silent_is_pinged_and_who_stays_silent_is_gone() {
    let mut pair = Pair::new();
    pair.pass(KEEP_ALIVE);
    assert_eq!(pair.sent[1].last().unwrap().code, signaling::PONG);
    assert_eq!(
        (pair.client.poll_event(), pair.server.poll_event()),
        (None, None)
    );
    // Nothing arrives any more.
    let mut waited = Duration::ZERO;
    while !pair.server.is_over() {
        let due = pair.server.poll_timeout().unwrap();
        waited += due.saturating_since(pair.now);
        pair.now = due;
        pair.server.handle_timeout(due);
        while pair.server.poll_transmit(due).is_some() {}
        assert_eq!(pair.server.poll_event(), None);
    }
    assert!(
        (Duration::from_secs(60)..Duration::from_secs(120)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(pair.server.poll_timeout(), None);
}

/// §5.5: "SHOULD delay the closing of the connection until it has responded to all requests received by it before".
#[test]
fn a_released_connection_ends_when_all_is_answered() {
    let mut pair = Pair::new();
    pair.ask(Request::new(Code::GET, "/a"));
    let (exchange, _) = pair.asked();
    pair.say(&Frame::new(signaling::RELEASE));
    assert!(!pair.server.is_over());
    pair.answer(exchange, b"x");
    assert_eq!(pair.answered().payload, b"x");
    assert!(pair.server.is_over());
}

/// §5.6.
#[test]
fn an_abort_ends_at_once() {
    let mut pair = Pair::new();
    pair.ask(Request::new(Code::GET, "/a"));
    pair.say(&Frame::new(signaling::ABORT));
    assert!(pair.server.is_over());
    let length = pair.sent[1].len();
    pair.cross();
    assert_eq!(pair.sent[1].len(), length);
}

/// RFC 7252 §5.7.1: what is for a proxy is its owner's, with all options; without such an owner it is refused.
#[test]
fn a_request_for_a_proxy_is_its_owners() {
    let mut request = Request::new(Code::GET, "");
    request.options.push(option::PROXY_URI, "coap://[::1]/a");
    request.options.push(2049, []);
    let mut pair = Pair::new();
    pair.ask(request.clone());
    assert_eq!(pair.answered().code, Code::BAD_OPTION);
    let endpoint = Endpoint::new(Params::default(), &[], Seed(1).rng(&["proxy"]));
    pair.server = Session::new(pair.now, endpoint.as_proxy());
    pair.server
        .handle_message(pair.now, &Frame::new(signaling::CSM).encode());
    pair.ask(request.clone());
    assert_eq!(pair.asked().1, request);
    // What is for the proxy itself is as ever.
    request.options.remove(option::PROXY_URI);
    pair.ask(request);
    assert_eq!(pair.answered().code, Code::BAD_OPTION);
}

#[test]
fn an_options_list_without_blocks_is_left_as_it_is() {
    let mut pair = Pair::new();
    let mut options = Options::new();
    options.push(option::ETAG, [1, 2]);
    options.push(option::URI_PATH, "a");
    pair.ask(Request {
        method: Code::GET,
        options: options.clone(),
        payload: Vec::new(),
    });
    assert_eq!(pair.asked().1.options, options);
}
