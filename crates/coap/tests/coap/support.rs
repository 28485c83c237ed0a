//! An endpoint under test, and a peer made of hand-built messages.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::message::PORT;
use coap::wire::{Message, Token};
use coap::{
    Code, Endpoint, Event, ExchangeId, Failure, Kind, Options, Params, Reliability, Request,
    RequestId, Response,
};
use machine::Machine;
use units::{Seed, SimTime};

pub const CON: Reliability = Reliability::Confirmable;
pub const NON: Reliability = Reliability::NonConfirmable;

/// Critical options that the endpoints of these tests know beyond the URI.
pub const KNOWN: &[u16] = &[2049];

/// Runs a test with real sockets; what takes longer than `limit` counts as hanging.
pub fn in_real_time(limit: Duration, test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let ended = tokio::time::timeout(limit, test).await;
            ended.expect("the test hangs");
        });
}

/// The peer `fd00::host`.
pub fn peer(host: u16) -> SocketAddrV6 {
    SocketAddrV6::new(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host), PORT, 0, 0)
}

pub fn secs(secs: f64) -> SimTime {
    SimTime::ZERO + Duration::from_secs_f64(secs)
}

/// Without random timeouts: retransmissions at 2, 6, 14 and 30 s, given up at 62 s.
pub fn steady() -> Params {
    Params {
        ack_random_factor: 1.0,
        ..Params::default()
    }
}

pub fn get(path: &str) -> Request {
    Request::new(Code::GET, path)
}

pub fn content(payload: &str) -> Response {
    Response {
        payload: payload.into(),
        ..Response::new(Code::CONTENT)
    }
}

/// A message with `token` and nothing else.
pub fn message(kind: Kind, code: Code, message_id: u16, token: Token) -> Message {
    Message {
        kind,
        code,
        message_id,
        token,
        options: Options::new(),
        payload: Vec::new(),
    }
}

/// An endpoint, its clock, and shorthand for what goes in and comes out.
pub struct Subject {
    pub endpoint: Endpoint,
    pub now: SimTime,
}

impl Subject {
    pub fn new(params: Params) -> Subject {
        Subject {
            endpoint: Endpoint::new(params, KNOWN, Seed(1).rng(&["subject"])),
            now: SimTime::ZERO,
        }
    }

    pub fn request(&mut self, to: u16, reliability: Reliability, path: &str) -> RequestId {
        self.endpoint
            .request(self.now, peer(to), reliability, get(path))
    }

    pub fn respond(&mut self, exchange: ExchangeId, response: Response) {
        self.endpoint.respond(self.now, exchange, response);
    }

    /// `message` arrives from peer `from`.
    pub fn receive(&mut self, from: u16, message: &Message) {
        self.receive_bytes(from, &message.encode());
    }

    pub fn receive_bytes(&mut self, from: u16, datagram: &[u8]) {
        self.endpoint
            .handle_datagram(self.now, peer(from), datagram);
    }

    /// A confirmable GET arrives from peer 1; its token is its Message ID.
    pub fn receive_get(&mut self, kind: Kind, message_id: u16) {
        self.receive(1, &get_message(kind, message_id));
    }

    pub fn timeout(&self) -> Option<SimTime> {
        self.endpoint.poll_timeout()
    }

    /// The timer fires now.
    pub fn fire(&mut self) {
        self.endpoint.handle_timeout(self.now);
    }

    /// Lets time pass until `until`, timer by timer.
    pub fn advance(&mut self, until: SimTime) {
        while let Some(due) = self.endpoint.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.endpoint.handle_timeout(self.now);
        }
        self.now = until;
    }

    /// Everything sent since the last call: to which peer, and what.
    pub fn sent(&mut self) -> Vec<(SocketAddrV6, Message)> {
        std::iter::from_fn(|| self.endpoint.poll_transmit())
            .map(|t| (t.to, Message::decode(&t.payload).expect("sends valid CoAP")))
            .collect()
    }

    /// The one message sent since the last call.
    pub fn sent_one(&mut self) -> Message {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "expected one message: {sent:?}");
        sent.remove(0).1
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }

    /// The exchange of the one event, a request.
    pub fn one_exchange(&mut self) -> ExchangeId {
        match self.events().as_slice() {
            [Event::Request { exchange, .. }] => *exchange,
            other => panic!("expected one request: {other:?}"),
        }
    }

    /// The failures reported since the last call; panics on any other event.
    pub fn failures(&mut self) -> Vec<(RequestId, Failure)> {
        self.events()
            .into_iter()
            .map(|event| match event {
                Event::Failed { id, reason, .. } => (id, reason),
                other => panic!("expected a failure: {other:?}"),
            })
            .collect()
    }

    /// The responses received since the last call; panics on any other event.
    pub fn responses(&mut self) -> Vec<(RequestId, Response)> {
        self.events()
            .into_iter()
            .map(|event| match event {
                Event::Response { id, response, .. } => (id, response),
                other => panic!("expected a response: {other:?}"),
            })
            .collect()
    }
}

/// A GET whose token is its Message ID.
pub fn get_message(kind: Kind, message_id: u16) -> Message {
    let token = Token::new(&message_id.to_be_bytes()).unwrap();
    message(kind, Code::GET, message_id, token)
}

/// A piggy-backed 2.05 to `request`.
pub fn piggybacked(request: &Message) -> Message {
    message(
        Kind::Acknowledgement,
        Code::CONTENT,
        request.message_id,
        request.token,
    )
}

/// A separate 2.05 to `request`.
pub fn separate(kind: Kind, message_id: u16, request: &Message) -> Message {
    message(kind, Code::CONTENT, message_id, request.token)
}

pub fn ack(message_id: u16) -> Message {
    Message::empty(Kind::Acknowledgement, message_id)
}

pub fn rst(message_id: u16) -> Message {
    Message::empty(Kind::Reset, message_id)
}
