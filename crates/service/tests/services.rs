//! Several services on nodes that do not move, over a network of two endpoints.

use std::collections::BTreeMap;
use std::net::SocketAddrV6;
use std::time::Duration;

use coap::link::Link;
use coap::message::option;
use coap::wire::Message;
use coap::{Code, Endpoint, ExchangeId, Kind, Params, Reliability, Request, Response};
use machine::Machine;
use service::requester::{Ask, Poll, Requester, Timing};
use service::sensors::{Changes, Counter, Resource, Sensors, Source, Writes};
use service::{
    CallFailure, CallId, Event, Incoming, Node, Outcome, Reach, Report, Service, Services, Tally,
    Target,
};
use units::{Rng, Seed, SimTime};

const CON: Reliability = Reliability::Confirmable;

fn stream(name: &str) -> Rng {
    Seed(1).rng(&[name])
}

fn address(host: u16) -> SocketAddrV6 {
    SocketAddrV6::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, host].into(), 5683, 0, 0)
}

fn at(ms: u64) -> SimTime {
    SimTime::ZERO + Duration::from_millis(ms)
}

/// Asks another node for what is behind `/relay`, as a gateway would: client and server at once.
#[derive(Debug)]
struct Relay {
    to: SocketAddrV6,
    waiting: BTreeMap<CallId, ExchangeId>,
    /// Who asked it.
    askers: Vec<SocketAddrV6>,
    tally: Tally,
    reports: Vec<Report>,
}

impl Relay {
    fn to(to: SocketAddrV6) -> Relay {
        Relay {
            to,
            waiting: BTreeMap::new(),
            askers: Vec::new(),
            tally: Tally::default(),
            reports: Vec::new(),
        }
    }
}

impl Service for Relay {
    fn serves(&self, path: &str) -> bool {
        path.starts_with("/relay/")
    }

    fn links(&self) -> Vec<Link> {
        vec![Link::new("/relay")]
    }

    fn handle_request(&mut self, now: SimTime, incoming: Incoming, node: &mut dyn Node) {
        self.askers.push(incoming.from);
        self.tally.requested += 1;
        let path = incoming.request.path();
        let further = Request::new(incoming.request.method, &path["/relay".len()..]);
        let call = node.ask(now, Target::Address(self.to), CON, further);
        self.waiting.insert(call, incoming.exchange);
    }

    fn handle_outcome(
        &mut self,
        now: SimTime,
        call: CallId,
        outcome: Outcome,
        node: &mut dyn Node,
    ) {
        let exchange = self.waiting.remove(&call).expect("its own call");
        let response = match outcome {
            Outcome::Answered { response, .. } => {
                self.tally.answered += 1;
                response
            }
            Outcome::Failed(reason) => {
                self.tally.fail(&reason);
                let target = Target::Address(self.to);
                self.reports.push(Report::RequestFailed { target, reason });
                Response::new(Code::new(5, 4))
            }
            Outcome::Notified { .. } | Outcome::NotificationLost { .. } | Outcome::Sent => {
                panic!("it observes nothing, and wants to be answered")
            }
        };
        node.respond(now, exchange, response);
    }

    fn tally(&self) -> Tally {
        self.tally.clone()
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop()
    }
}

/// A node that does not move.
struct Fixed {
    address: SocketAddrV6,
    endpoint: Endpoint,
    services: Services,
    reports: Vec<Report>,
    /// What became of its calls, whoever made them.
    outcomes: Vec<Outcome>,
}

impl Fixed {
    fn new(host: u16, services: Services) -> Fixed {
        let rng = stream(&host.to_string());
        Fixed {
            address: address(host),
            endpoint: Endpoint::new(Params::default(), service::KNOWN_CRITICAL, rng),
            services,
            reports: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    /// What whoever runs it does whenever something has happened.
    fn pump(&mut self, now: SimTime) {
        while let Some(event) = self.endpoint.poll_event() {
            let Ok(event) = Event::try_from(event) else {
                continue;
            };
            if let Event::Call { outcome, .. } = &event {
                self.outcomes.push(outcome.clone());
            }
            self.services.handle_event(now, event, &mut self.endpoint);
        }
        let reports = std::iter::from_fn(|| self.services.poll_report());
        self.reports.extend(reports);
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        machine::earlier(
            self.endpoint.poll_timeout(),
            self.services.poll_timeout(Reach::FULL),
        )
    }

    fn handle_timeout(&mut self, now: SimTime) {
        self.endpoint.handle_timeout(now);
        self.pump(now);
        let (services, endpoint) = (&mut self.services, &mut self.endpoint);
        services.handle_timeout(now, Reach::FULL, endpoint);
    }
}

/// Nodes and their time; datagrams arrive at once. The last node is a stranger that asks.
struct Net {
    now: SimTime,
    nodes: Vec<Fixed>,
    /// Who does not receive anything.
    deaf: Option<SocketAddrV6>,
}

impl Net {
    fn new(services: Vec<Services>) -> Net {
        let all = services.into_iter().chain([Services::new()]);
        Net {
            now: SimTime::ZERO,
            nodes: (1..)
                .zip(all)
                .map(|(host, s)| Fixed::new(host, s))
                .collect(),
            deaf: None,
        }
    }

    fn start(&mut self) {
        for node in &mut self.nodes {
            node.services.start(self.now, &mut node.endpoint);
        }
    }

    fn drain(&mut self) {
        for node in &mut self.nodes {
            node.services.drain(self.now, &mut node.endpoint);
        }
    }

    fn carry(&mut self) {
        loop {
            let mut flying = Vec::new();
            for node in &mut self.nodes {
                node.pump(self.now);
                let sent = std::iter::from_fn(|| node.endpoint.poll_transmit());
                flying.extend(sent.map(|sent| (node.address, sent)));
            }
            if flying.is_empty() {
                return;
            }
            for (from, sent) in flying {
                let mut there = self.nodes.iter_mut();
                let heard = self.deaf != Some(sent.to);
                if let Some(node) = there.find(|node| node.address == sent.to && heard) {
                    let Ok(()) = (node.endpoint).handle_datagram(self.now, from, &sent.payload);
                }
            }
        }
    }

    fn run_until(&mut self, end: SimTime) {
        loop {
            self.carry();
            let due = self.nodes.iter().filter_map(Fixed::poll_timeout).min();
            let Some(due) = due.filter(|due| *due <= end) else {
                break;
            };
            self.now = self.now.max(due);
            for node in &mut self.nodes {
                node.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    /// What the stranger hears to a request within a millisecond.
    fn ask(&mut self, host: u16, reliability: Reliability, request: Request) -> Option<Response> {
        let stranger = self.nodes.last_mut()?;
        (stranger.endpoint).request(self.now, address(host), reliability, request);
        self.run_until(self.now + Duration::from_millis(1));
        match self.nodes.last_mut()?.outcomes.pop()? {
            Outcome::Answered { response, .. } => Some(response),
            other => panic!("{other:?}"),
        }
    }

    fn get(&mut self, host: u16, path: &str) -> Response {
        let get = Request::new(Code::GET, path);
        self.ask(host, CON, get).expect("an answer")
    }

    /// What the services of a node have said.
    fn reports(&mut self, host: usize) -> Vec<Report> {
        std::mem::take(&mut self.nodes[host - 1].reports)
    }

    fn tally(&self, host: usize) -> Tally {
        self.nodes[host - 1].services.tally()
    }
}

fn door() -> Resource {
    Resource {
        source: Source::Constant(b"shut".to_vec()),
        writes: Writes {
            put: true,
            ..Writes::default()
        },
        ..Resource::new("/door")
    }
}

fn poll(name: &str, ask: Ask) -> Poll {
    Poll {
        name: name.into(),
        target: Target::Address(address(2)),
        ask,
        reliability: CON,
        observe: false,
        timing: Timing::every(Duration::from_millis(100)),
    }
}

/// A sensor of its own, a relay to node 2, and polls of node 2; node 2 has the door.
fn both(polls: Vec<Poll>) -> Net {
    let mut first = Services::new();
    let clock = Resource {
        source: Source::Counter(Counter::up_from(0.0)),
        ..Resource::new("/clock")
    };
    first.push(Sensors::new(vec![clock], stream).unwrap());
    first.push(Relay::to(address(2)));
    first.push(Requester::new(polls, stream).unwrap());
    let mut second = Services::new();
    second.push(Sensors::new(vec![door()], stream).unwrap());
    let mut net = Net::new(vec![first, second]);
    net.start();
    net
}

#[test]
fn a_request_finds_its_service_by_path_and_everything_else_an_answer() {
    let mut net = both(Vec::new());
    assert_eq!(net.get(1, "/clock").payload, b"0");
    assert_eq!(net.get(1, "/clock").payload, b"1");
    assert_eq!(net.get(1, "/relay/door").payload, b"shut");
    assert_eq!(net.get(1, "/relay/window").code, Code::NOT_FOUND);
    let nowhere = net.get(1, "/relay");
    assert_eq!(nowhere.code, Code::NOT_FOUND);
    let text = String::from_utf8(nowhere.payload).unwrap();
    assert_eq!(text, "no resource /relay: see /.well-known/core");
    let links = String::from_utf8(net.get(1, "/.well-known/core").payload).unwrap();
    assert_eq!(links, "</clock>;ct=0,</relay>");
}

#[test]
fn a_service_that_is_client_and_server_answers_when_it_is_answered_and_knows_who_asks() {
    let mut relay = Relay::to(address(2));
    let mut node = Fixed::new(1, Services::new());
    let asked = |path: &str, message_id: u16| {
        let mut asked = Message::empty(Kind::Confirmable, message_id);
        asked.code = Code::GET;
        asked.options = Request::new(Code::GET, path).options;
        asked.encode()
    };
    let Ok(()) = (node.endpoint).handle_datagram(at(0), address(7), &asked("/relay/door", 1));
    let event = Event::try_from(node.endpoint.poll_event().unwrap()).unwrap();
    let Event::Request(incoming) = event else {
        panic!("{event:?}")
    };
    relay.handle_request(at(0), incoming, &mut node.endpoint);
    assert_eq!(relay.askers, [address(7)]);
    let further = node.endpoint.poll_transmit().unwrap();
    assert_eq!(further.to, address(2));
    assert!(!relay.is_drained());
}

#[test]
fn a_critical_option_is_for_the_services_that_handle_it() {
    let mut net = both(Vec::new());
    let put = |path: &str| {
        let mut put = Request::new(Code::PUT, path);
        put.payload = b"open".to_vec();
        put.options.push(option::IF_NONE_MATCH, []);
        put
    };
    let failed = net.ask(2, CON, put("/door")).unwrap();
    assert_eq!(failed.code, Code::PRECONDITION_FAILED);
    for path in ["/relay/door", "/nowhere"] {
        let refused = net.ask(1, CON, put(path)).unwrap();
        assert_eq!(refused.code, Code::BAD_OPTION, "{path}");
    }
    // RFC 7252 §5.4.1: "MUST cause the message to be rejected".
    let non = Reliability::NonConfirmable;
    assert_eq!(net.ask(1, non, put("/relay/door")), None);
}

#[test]
fn outcomes_find_the_service_that_called_and_the_end_is_reported_once() {
    let put = Ask {
        method: Code::PUT,
        payload: b"open".to_vec(),
        content_format: Some(0),
        ..Ask::get("/door")
    };
    let mut net = both(vec![poll("put", put), poll("get", Ask::get("/door"))]);
    net.run_until(at(1));
    assert_eq!(net.get(1, "/relay/door").payload, b"open");
    net.run_until(at(250));
    net.drain();
    net.run_until(at(300));
    let drained = Tally {
        requested: 7,
        answered: 7,
        ..Tally::default()
    };
    assert_eq!(net.reports(1), [Report::Drained(drained)]);
    assert_eq!(net.reports(2), [Report::Drained(Tally::default())]);
    net.run_until(at(1000));
    assert_eq!(net.reports(1), []);
}

#[test]
fn a_node_is_drained_when_its_last_service_is_and_failures_are_said_and_counted() {
    let mut net = both(vec![poll("get", Ask::get("/door"))]);
    net.deaf = Some(address(2));
    net.run_until(at(50));
    net.drain();
    net.run_until(at(40_000));
    assert_eq!(net.reports(1), []);
    net.run_until(at(200_000));
    let reason = CallFailure::Exchange(coap::Failure::Timeout);
    let failed = Report::RequestFailed {
        target: Target::Address(address(2)),
        reason: reason.clone(),
    };
    let mut tally = Tally {
        requested: 1,
        ..Tally::default()
    };
    tally.fail(&reason);
    assert_eq!(net.tally(1), tally);
    assert_eq!(net.reports(1), [failed, Report::Drained(tally)]);
}

#[test]
fn what_is_observed_by_get_and_by_fetch_is_told_when_it_changes_and_when_it_is_written() {
    let observe = |name: &str, ask: Ask| Poll {
        observe: true,
        ..poll(name, ask)
    };
    let fetch = Ask {
        method: Code::FETCH,
        payload: b"all".to_vec(),
        content_format: Some(0),
        ..Ask::get("/count")
    };
    let polls = vec![observe("get", Ask::get("/count")), observe("fetch", fetch)];
    let mut first = Services::new();
    first.push(Requester::new(polls, stream).unwrap());
    let count = Resource {
        source: Source::Counter(Counter::up_from(0.0)),
        changes: Some(Changes {
            every: Duration::from_millis(100),
            phase: Duration::ZERO,
        }),
        writes: Writes {
            put: true,
            delete: true,
            ..Writes::default()
        },
        ..Resource::new("/count")
    };
    let mut second = Services::new();
    second.push(Sensors::new(vec![count], stream).unwrap());
    let mut net = Net::new(vec![first, second]);
    net.start();
    net.run_until(at(250));
    let mut put = Request::new(Code::PUT, "/count");
    put.payload = b"99".to_vec();
    net.ask(2, CON, put).unwrap();
    let states = |net: &Net| {
        let state = |outcome: &Outcome| match outcome {
            Outcome::Notified { response, .. } => {
                Some(String::from_utf8(response.payload.clone()).unwrap())
            }
            _ => None,
        };
        let outcomes = &net.nodes[0].outcomes;
        outcomes.iter().filter_map(state).collect::<Vec<String>>()
    };
    assert_eq!(states(&net), ["0", "0", "1", "1", "2", "2", "99", "99"]);
    assert_eq!(net.tally(1).answered, 2);
    // A DELETE ends them; a second later they are asked for again, and are not found.
    net.ask(2, CON, Request::new(Code::DELETE, "/count"));
    let ended = net.reports(1);
    let ends = |report: &Report| matches!(report, Report::ObservationEnded { .. });
    assert!(ended.len() == 2 && ended.iter().all(ends), "{ended:?}");
    net.run_until(at(1300));
    assert_eq!(net.tally(1).answered, 4);
    assert_eq!(states(&net).len(), 8);
}
