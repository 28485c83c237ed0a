//! A server and scripted clients: CoAP endpoints with nothing between them.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::message::option;
use coap::{Code, Endpoint, Event as CoapEvent, Params, Reliability, Request, Response, Tokens};
use lwm2m::server::{Config, Event, Operation, OperationId, Outcome, Server};
use lwm2m::{Format, Path, Record, Value};
use machine::{Machine as _, earlier};
use service::{Reach, Service as _};
use units::{Seed, SimTime};

/// Without random timeouts, and with the tokens of 8 bytes that the paper's peers have.
pub fn params() -> Params {
    Params {
        ack_random_factor: 1.0,
        tokens: Tokens::Random,
        ..Params::default()
    }
}

pub fn at(host: u16) -> SocketAddrV6 {
    SocketAddrV6::new(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host), 5683, 0, 0)
}

pub fn path(text: &str) -> Path {
    text.parse().unwrap()
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What a client does with a request.
pub enum Reply {
    /// It answers.
    With(Response),
    /// It answers, and registers who wants to observe.
    Observed(Response),
    /// It acknowledges, and says no more.
    Nothing,
}

/// A client that does what a test says.
pub struct Client {
    pub endpoint: Endpoint,
    pub address: SocketAddrV6,
    /// What it was asked, and in how many bytes.
    pub asked: Vec<(Request, usize)>,
    /// What it was answered.
    pub told: Vec<Response>,
    /// What it does with requests.
    pub answer: Box<dyn FnMut(&Request) -> Reply>,
    /// Whether nothing reaches it.
    pub asleep: bool,
}

/// All of them, and the time.
pub struct World {
    pub now: SimTime,
    pub server: Server,
    pub endpoint: Endpoint,
    pub clients: BTreeMap<u16, Client>,
    pub events: Vec<Event>,
}

pub fn content(format: Format, payload: &[u8]) -> Response {
    let mut response = Response::new(Code::CONTENT);
    (response.options).push_uint(option::CONTENT_FORMAT, u64::from(format.number()));
    response.payload = payload.to_vec();
    response
}

/// A registration of `ep`, with more queries.
pub fn registration(ep: &str, queries: &[&str], links: &str) -> Request {
    let mut request = Request::new(Code::POST, "/rd");
    (request.options).push_uint(option::CONTENT_FORMAT, u64::from(Format::Link.number()));
    if !ep.is_empty() {
        request.options.push(option::URI_QUERY, format!("ep={ep}"));
    }
    for query in queries {
        request.options.push(option::URI_QUERY, query);
    }
    request.payload = links.into();
    request
}

pub const LINKS: &str = "</1/0>,</3/0>,</3303/0>,</3360/0>,</2346>,</2347>";

impl World {
    pub fn new(config: Config) -> World {
        let mut world = World {
            now: SimTime::ZERO,
            server: Server::new(config, Seed(1).rng(&["server"])),
            endpoint: Endpoint::new(params(), service::KNOWN_CRITICAL, Seed(1).rng(&["coap"])),
            clients: BTreeMap::new(),
            events: Vec::new(),
        };
        world.server.start(world.now, &mut world.endpoint);
        world
    }

    pub fn client(&mut self, host: u16) -> &mut Client {
        self.clients.entry(host).or_insert_with(|| Client {
            endpoint: Endpoint::new(params(), &[], Seed(u64::from(host)).rng(&["client"])),
            address: at(host),
            asked: Vec::new(),
            told: Vec::new(),
            answer: Box::new(|_| Reply::With(Response::new(Code::CHANGED))),
            asleep: false,
        })
    }

    /// What a client answers from now on.
    pub fn answers(&mut self, host: u16, answer: impl FnMut(&Request) -> Reply + 'static) {
        self.client(host).answer = Box::new(answer);
    }

    /// A client asks the server, and is answered.
    pub fn ask(&mut self, host: u16, request: Request) -> Response {
        let now = self.now;
        let client = self.client(host);
        let before = client.told.len();
        client
            .endpoint
            .request(now, at(9), Reliability::Confirmable, request);
        self.settle();
        let told = &self.clients[&host].told;
        assert_eq!(told.len(), before + 1, "expected one answer");
        told[before].clone()
    }

    /// A client registers as `ep`; the path of its registration.
    pub fn register(&mut self, host: u16, ep: &str, queries: &[&str]) -> String {
        let response = self.ask(host, registration(ep, queries, LINKS));
        assert_eq!(response.code, Code::CREATED, "{:?}", response.payload);
        let segments = response.options.get_all(option::LOCATION_PATH);
        segments.fold(String::new(), |path, segment| {
            path + "/" + std::str::from_utf8(segment).unwrap()
        })
    }

    pub fn operate(&mut self, ep: &str, operation: Operation) -> OperationId {
        let id = (self.server).operate(self.now, ep, operation, &mut self.endpoint);
        self.settle();
        id
    }

    /// Operates, and what became of it at once.
    pub fn outcome(&mut self, ep: &str, operation: Operation) -> Outcome {
        let id = self.operate(ep, operation);
        self.done(id).expect("it is over")
    }

    /// What became of an operation, if it is over.
    pub fn done(&self, wanted: OperationId) -> Option<Outcome> {
        let mut done = self.events.iter().filter_map(|event| match event {
            Event::Done { id, outcome, .. } if *id == wanted => Some(outcome.clone()),
            _ => None,
        });
        let first = done.next();
        assert_eq!(done.next(), None, "an operation is over once");
        first
    }

    /// What a client was asked since the last call.
    pub fn asked(&mut self, host: u16) -> Vec<(Request, usize)> {
        std::mem::take(&mut self.client(host).asked)
    }

    /// The one thing that a client was asked since the last call.
    pub fn asked_one(&mut self, host: u16) -> (Request, usize) {
        let mut asked = self.asked(host);
        assert_eq!(asked.len(), 1, "expected one request: {asked:?}");
        asked.remove(0)
    }

    /// Paths of what a client was asked since the last call.
    pub fn asked_paths(&mut self, host: u16) -> Vec<String> {
        let asked = self.asked(host);
        asked.iter().map(|(request, _)| request.path()).collect()
    }

    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Everything that can happen now happens.
    pub fn settle(&mut self) {
        while self.step() {}
        self.events
            .extend(std::iter::from_fn(|| self.server.poll_event()));
    }

    fn step(&mut self) -> bool {
        let now = self.now;
        let mut moved = false;
        while let Some(sent) = self.endpoint.poll_transmit() {
            moved = true;
            let to = self.clients.values_mut().find(|c| c.address == sent.to);
            if let Some(client) = to.filter(|client| !client.asleep) {
                client.receive(now, &sent.payload);
            }
        }
        for client in self.clients.values_mut() {
            while let Some(sent) = client.endpoint.poll_transmit() {
                moved = true;
                let Ok(()) = (self.endpoint).handle_datagram(now, client.address, &sent.payload);
            }
        }
        while let Some(event) = self.endpoint.poll_event() {
            moved = true;
            match service::Event::try_from(event) {
                Ok(service::Event::Request(incoming)) => {
                    assert!(self.server.serves(&incoming.request.path()));
                    (self.server).handle_request(now, incoming, &mut self.endpoint);
                }
                Ok(service::Event::Call { call, outcome }) => {
                    (self.server).handle_outcome(now, call, outcome, &mut self.endpoint);
                }
                Err(_) => {}
            }
        }
        moved
    }

    /// Lets so much time pass.
    pub fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.settle();
        while let Some(due) = self.next().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let now = self.now;
            self.endpoint.handle_timeout(now);
            for client in self.clients.values_mut() {
                client.endpoint.handle_timeout(now);
            }
            if self
                .server
                .poll_timeout(Reach::FULL)
                .is_some_and(|due| due <= now)
            {
                self.server
                    .handle_timeout(now, Reach::FULL, &mut self.endpoint);
            }
            self.settle();
        }
        self.now = until;
    }

    fn next(&self) -> Option<SimTime> {
        let own = earlier(
            self.endpoint.poll_timeout(),
            self.server.poll_timeout(Reach::FULL),
        );
        let clients = self.clients.values();
        clients.fold(own, |first, c| earlier(first, c.endpoint.poll_timeout()))
    }
}

impl Client {
    fn receive(&mut self, now: SimTime, datagram: &[u8]) {
        let Ok(()) = self.endpoint.handle_datagram(now, at(9), datagram);
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                CoapEvent::Request {
                    exchange, request, ..
                } => {
                    let reply = (self.answer)(&request);
                    self.asked.push((request, datagram.len()));
                    match reply {
                        Reply::With(response) => self.endpoint.respond(now, exchange, response),
                        Reply::Observed(response) => {
                            self.endpoint.respond_observed(now, exchange, response);
                        }
                        Reply::Nothing => {}
                    }
                }
                CoapEvent::Response { response, .. } => self.told.push(response),
                _ => {}
            }
        }
    }
}

/// The records of an outcome or of content.
pub fn records(outcome: Outcome) -> Vec<Record> {
    match outcome {
        Outcome::Content(content) => content.records.unwrap(),
        other => panic!("{other:?}"),
    }
}

pub fn float(text: &str, value: f64) -> Record {
    Record::new(path(text), Value::Float(value))
}
