//! Ten thousand clients, and clients that mean harm.

use std::collections::BTreeSet;
use std::mem::size_of;
use std::net::{Ipv6Addr, SocketAddrV6};

use coap::link::Link;
use coap::message::option;
use coap::{
    Code, Endpoint, ExchangeId, Observation, Options, Params, Reliability, Request, Response, Waits,
};
use lwm2m::Registry;
use lwm2m::server::{Config, Entry, Event, Operation, Registration, Server};
use machine::Machine as _;
use proptest::prelude::*;
use service::{CallFailure, CallId, Incoming, Node, Outcome, Reach, Service as _, Target};
use units::{Seed, SimTime};

use crate::support::{LINKS, at, path, registration, secs};

/// A node that counts what it is told.
#[derive(Default)]
struct Counting {
    calls: u64,
    observes: BTreeSet<CallId>,
    /// Who was asked last.
    target: Option<Target>,
    answers: Vec<Response>,
}

impl Node for Counting {
    fn ask(&mut self, _: SimTime, target: Target, _: Reliability, _: Request) -> CallId {
        self.calls += 1;
        self.target = Some(target);
        CallId(self.calls)
    }

    fn observe(&mut self, now: SimTime, to: Target, how: Reliability, request: Request) -> CallId {
        let call = self.ask(now, to, how, request);
        self.observes.insert(call);
        call
    }

    fn respond(&mut self, _: SimTime, _: ExchangeId, response: Response) {
        self.answers.push(response);
    }

    fn stop_observing(&mut self, _: SimTime, _: CallId) {}
    fn respond_observed(&mut self, _: SimTime, _: ExchangeId, _: Response) {}
    fn notify(&mut self, _: SimTime, _: &str, _: &Response) {}
    fn notify_one(&mut self, _: SimTime, _: ExchangeId, _: &Response) {}
    fn observations(&self) -> Vec<Observation<'_>> {
        Vec::new()
    }
    fn links(&self) -> Vec<Link> {
        Vec::new()
    }
    fn waits(&self) -> Waits {
        Waits::default()
    }
}

/// An exchange to answer: an endpoint is asked once, since nobody else makes one.
fn exchange() -> ExchangeId {
    let endpoint = |name| Endpoint::new(Params::default(), &[], Seed(1).rng(&[name]));
    let (mut client, mut server) = (endpoint("client"), endpoint("server"));
    let (now, get) = (SimTime::ZERO, Request::new(Code::GET, "/"));
    client.request(now, at(1), Reliability::Confirmable, get);
    let sent = client.poll_transmit().unwrap();
    let Ok(()) = server.handle_datagram(now, at(2), &sent.payload);
    match server.poll_event() {
        Some(coap::Event::Request { exchange, .. }) => exchange,
        other => panic!("{other:?}"),
    }
}

struct Bench {
    server: Server,
    node: Counting,
    exchange: ExchangeId,
}

impl Bench {
    fn new(config: Config) -> Bench {
        Bench {
            server: Server::new(config, Seed(1).rng(&["server"])),
            node: Counting::default(),
            exchange: exchange(),
        }
    }

    fn receive(&mut self, now: SimTime, from: SocketAddrV6, request: Request) -> Response {
        let incoming = Incoming {
            exchange: self.exchange,
            from,
            context: None,
            confirmable: true,
            request,
        };
        self.server.handle_request(now, incoming, &mut self.node);
        self.node.answers.pop().expect("every request is answered")
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.server.poll_event()).collect()
    }
}

fn address(number: u32) -> SocketAddrV6 {
    let [_, high, middle, low] = number.to_be_bytes();
    let last = u16::from_be_bytes([middle, low]);
    let ip = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, u16::from(high), last);
    SocketAddrV6::new(ip, 5683, 0, 0)
}

#[test]
fn ten_thousand_clients_and_a_hundred_thousand_updates() {
    const CLIENTS: u32 = 10_000;
    let mut bench = Bench::new(Config::default());
    let mut places = Vec::new();
    let start = SimTime::ZERO;
    for number in 0..CLIENTS {
        let request = registration(&format!("urn:dev:{number}"), &["lt=86400", "b=UQ"], LINKS);
        let response = bench.receive(start, address(number), request);
        assert_eq!(response.code, Code::CREATED);
        let segments = response.options.get_all(option::LOCATION_PATH);
        places.push(segments.fold(String::new(), |path, segment| {
            path + "/" + std::str::from_utf8(segment).unwrap()
        }));
    }
    assert_eq!(bench.events().len(), CLIENTS as usize);
    for round in 1..=10 {
        let now = start + secs(round * 3600);
        for (number, place) in (0..CLIENTS).zip(&places) {
            // Every other one has another address each time.
            let from = address(number + (number % 2) * u32::try_from(round).unwrap() * CLIENTS);
            let response = bench.receive(now, from, Request::new(Code::POST, place));
            assert_eq!(response.code, Code::CHANGED);
        }
        let moved = |event: &&Event| matches!(event, Event::Updated { moved: true, .. });
        let events = bench.events();
        assert_eq!(
            (events.len(), events.iter().filter(moved).count()),
            (10_000, 5_000)
        );
        assert_eq!(
            bench.server.poll_timeout(Reach::FULL),
            Some(now + secs(86_400))
        );
    }
    assert_eq!(bench.server.registrations().count(), CLIENTS as usize);
    // What a registration holds: its place, its name, its objects, and no more for the updates.
    for known in bench.server.registrations() {
        let objects = known.description.objects.capacity() * size_of::<Entry>();
        let bytes = size_of::<Registration>() + known.endpoint.len() + objects;
        assert!(bytes <= 640, "{bytes} B");
    }
    let end = start + secs(10 * 3600 + 86_400);
    bench
        .server
        .handle_timeout(end, Reach::FULL, &mut bench.node);
    let expired = |event: &&Event| matches!(event, Event::Expired { .. });
    assert_eq!(
        bench.events().iter().filter(expired).count(),
        CLIENTS as usize
    );
    assert_eq!(bench.server.registrations().count(), 0);
    assert_eq!(bench.server.poll_timeout(Reach::FULL), None);
}

#[test]
fn a_client_with_a_permanent_address_is_asked_there_wherever_it_is() {
    let permanent = *address(77).ip();
    let mut bench = Bench::new(Config {
        permanent: [("moves".to_owned(), permanent)].into(),
        ..Config::default()
    });
    for (ep, asked) in [
        ("moves", Target::Node(permanent)),
        ("stays", Target::Address(address(1))),
    ] {
        bench.receive(SimTime::ZERO, address(1), registration(ep, &[], LINKS));
        let discover = Operation::Discover { path: path("/3") };
        let server = &mut bench.server;
        server.operate(SimTime::ZERO, ep, discover, &mut bench.node);
        assert_eq!(bench.node.target, Some(asked));
    }
}

/// A request of any method for one of the server's paths, with any options and any payload.
fn any_request() -> impl Strategy<Value = Request> {
    let places = prop_oneof![
        Just("/rd".to_owned()),
        Just("/dp".to_owned()),
        Just("/rd/0123456789".to_owned()),
        Just("/n/0123456789/0".to_owned()),
        "/n/[0-9a-f]{10}/[0-9]{1,6}",
        "/[a-z]{0,3}/.{0,4}",
    ];
    let queries = prop::collection::vec(
        prop_oneof![
            "ep=[a-c]?",
            "lt=.{0,12}",
            "lwm2m=.{0,4}",
            "b=.{0,4}",
            "Q",
            ".{0,20}"
        ],
        0..5,
    );
    let format = prop_oneof![
        Just(40_u64),
        Just(110),
        Just(112),
        Just(11542),
        Just(11543),
        any::<u64>()
    ];
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "(</[0-9]{1,5}(/[0-9]{1,5})?>(;[a-z]{1,3}=\"?.{0,5}\"?)?,?){0,5}"
            .prop_map(String::into_bytes),
        "[<>/;,=\"a-z0-9]{0,40}".prop_map(String::into_bytes),
    ];
    (1_u8..8, places, queries, prop::option::of(format), payload).prop_map(
        |(method, place, queries, format, payload)| {
            let mut request = Request::new(Code(method), &place);
            request.payload = payload;
            for query in queries {
                request.options.push(option::URI_QUERY, query);
            }
            if let Some(format) = format {
                request.options.push_uint(option::CONTENT_FORMAT, format);
            }
            request
        },
    )
}

/// Any answer to an operation.
fn any_outcome() -> impl Strategy<Value = Outcome> {
    let response = (
        any::<u8>(),
        any::<u16>(),
        prop::collection::vec(any::<u8>(), 0..60),
    )
        .prop_map(|(code, format, payload)| {
            let mut options = Options::new();
            options.push_uint(option::CONTENT_FORMAT, u64::from(format));
            options.push(option::LOCATION_PATH, &payload);
            Response {
                code: Code(code),
                options,
                payload,
            }
        });
    let failures = prop_oneof![
        Just(coap::Failure::Timeout),
        Just(coap::Failure::NoResponse),
        Just(coap::Failure::Silent),
        Just(coap::Failure::Reset),
    ];
    prop_oneof![
        response.clone().prop_map(|response| Outcome::Answered {
            message_id: 1,
            response
        }),
        (any::<u32>(), response).prop_map(|(sequence, response)| Outcome::Notified {
            message_id: 1,
            sequence,
            response
        }),
        failures.prop_map(|failure| Outcome::Failed(CallFailure::Exchange(failure))),
    ]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let read = || Operation::Read {
        path: path("/3303/0"),
        format: None,
    };
    let observe = || Operation::Observe {
        path: path("/3303/0/5700"),
        format: None,
    };
    let paths = || vec![path("/3303/0/5700"), path("/3/0")];
    prop_oneof![
        Just(read()),
        Just(observe()),
        Just(Operation::ReadComposite {
            paths: paths(),
            format: None
        }),
        Just(Operation::ObserveComposite {
            paths: paths(),
            format: None
        }),
        Just(Operation::CancelObservation { paths: paths() }),
        Just(Operation::CancelObservation {
            paths: vec![path("/3303/0/5700")]
        }),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Receive(u16, Request),
    Register(u16, bool),
    Operate(Operation),
    End(u64, Outcome),
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_u16..4, any_request()).prop_map(|(host, request)| Step::Receive(host, request)),
        (1_u16..4, any::<bool>()).prop_map(|(host, queue_mode)| Step::Register(host, queue_mode)),
        any_operation().prop_map(Step::Operate),
        (0_u64..8, any_outcome()).prop_map(|(back, outcome)| Step::End(back, outcome)),
        (0_u64..200_000).prop_map(Step::Pass),
    ]
}

/// Little room, and models of nothing, which take no time to read.
fn small() -> Config {
    Config {
        max_queue: 3,
        max_registrations: 2,
        ..Config::new(Registry::new())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes in whatever order, nothing panics, every operation ends once and as often as it began, and nothing
    /// is left when everybody is gone.
    #[test]
    fn whatever_comes_every_operation_ends_once(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut bench = Bench::new(small());
        let mut now = SimTime::ZERO;
        let (mut begun, mut done) = (Vec::new(), Vec::new());
        bench.server.start(now, &mut bench.node);
        for step in steps {
            match step {
                Step::Receive(host, request) => {
                    bench.receive(now, at(host), request);
                }
                Step::Register(host, queue_mode) => {
                    let query = if queue_mode { "b=UQ" } else { "b=U" };
                    bench.receive(now, at(host), registration("a", &[query, "lt=100000"], LINKS));
                }
                Step::Operate(operation) => {
                    let id = bench.server.operate(now, "a", operation, &mut bench.node);
                    begun.push(id);
                }
                Step::End(back, outcome) => {
                    let call = CallId(bench.node.calls.saturating_sub(back));
                    let outcome = match outcome {
                        Outcome::Notified { message_id, response, .. }
                            if !bench.node.observes.contains(&call) =>
                        {
                            Outcome::Answered { message_id, response }
                        }
                        outcome => outcome,
                    };
                    bench.server.handle_outcome(now, call, outcome, &mut bench.node);
                }
                Step::Pass(duration_s) => {
                    now += secs(duration_s);
                    bench.server.handle_timeout(now, Reach::FULL, &mut bench.node);
                }
            }
            prop_assert!(bench.server.registrations().count() <= 2);
            done.extend(bench.events().into_iter().filter_map(|event| match event {
                Event::Done { id, .. } => Some(id),
                _ => None,
            }));
        }
        let text = bench.server.snapshot();
        let restored = Server::restore(small(), Seed(1).rng(&["x"]), &text);
        prop_assert_eq!(restored.map(|server| server.snapshot()), Ok(text));
        bench.server.drain(now, &mut bench.node);
        bench.server.handle_timeout(SimTime::FAR_FUTURE, Reach::FULL, &mut bench.node);
        done.extend(bench.events().into_iter().filter_map(|event| match event {
            Event::Done { id, .. } => Some(id),
            _ => None,
        }));
        done.sort_unstable();
        let calls = bench.node.calls;
        if bench.server.registrations().count() == 0 {
            prop_assert_eq!(bench.server.open(), (0, 0));
            prop_assert_eq!(done, begun);
        }
        prop_assert!(bench.server.tally().requested <= calls);
    }
}
