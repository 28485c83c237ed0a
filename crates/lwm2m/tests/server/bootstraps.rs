//! The bootstrap interface (LwM2M 1.1 Core §6.1, Transport table 6.4.2-1).

use std::collections::BTreeMap;

use coap::message::option;
use coap::{Code, Endpoint, Event as CoapEvent, Reliability, Request, Response};
use lwm2m::operations::Mode;
use lwm2m::server::bootstrap::{Bootstrap, BootstrapEvent, Plans};
use lwm2m::server::{Config, Failure, Operation, Outcome};
use lwm2m::{Path, Record, Value};
use machine::Machine as _;
use service::Service as _;
use units::{Seed, SimTime};

use crate::support::{at, params, path};

/// A bootstrap server, and a client that answers with these codes, and 2.04 after them.
struct Bench {
    server: Bootstrap,
    endpoint: Endpoint,
    client: Endpoint,
    codes: Vec<Code>,
    asked: Vec<Request>,
    told: Vec<Response>,
}

impl Bench {
    fn new(plans: Plans) -> Bench {
        let endpoint = |name| Endpoint::new(params(), &[], Seed(1).rng(&[name]));
        Bench {
            server: Bootstrap::new(Config::default(), plans),
            endpoint: endpoint("server"),
            client: endpoint("client"),
            codes: Vec::new(),
            asked: Vec::new(),
            told: Vec::new(),
        }
    }

    fn ask(&mut self, method: Code, queries: &[&str]) -> Response {
        let now = SimTime::ZERO;
        let mut request = Request::new(method, "/bs");
        for query in queries {
            request.options.push(option::URI_QUERY, query);
        }
        (self.client).request(now, at(9), Reliability::Confirmable, request);
        while self.step(now) {}
        self.told.pop().expect("an answer")
    }

    fn step(&mut self, now: SimTime) -> bool {
        let mut moved = false;
        while let Some(sent) = self.client.poll_transmit() {
            moved = true;
            let Ok(()) = self.endpoint.handle_datagram(now, at(1), &sent.payload);
        }
        while let Some(event) = self.endpoint.poll_event() {
            match service::Event::try_from(event) {
                Ok(service::Event::Request(incoming)) => {
                    assert!(self.server.serves(&incoming.request.path()));
                    (self.server).handle_request(now, incoming, &mut self.endpoint);
                }
                Ok(service::Event::Call { call, outcome }) => {
                    (self.server).handle_outcome(now, call, outcome, &mut self.endpoint);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        while let Some(sent) = self.endpoint.poll_transmit() {
            moved = true;
            let Ok(()) = self.client.handle_datagram(now, at(9), &sent.payload);
        }
        while let Some(event) = self.client.poll_event() {
            match event {
                CoapEvent::Request {
                    exchange, request, ..
                } => {
                    self.asked.push(request);
                    let code = match self.codes.is_empty() {
                        true => Code::CHANGED,
                        false => self.codes.remove(0),
                    };
                    let mut response = Response::new(code);
                    if code == Code::CONTENT {
                        response.options.push_uint(option::CONTENT_FORMAT, 40);
                    }
                    self.client.respond(now, exchange, response);
                }
                CoapEvent::Response { response, .. } => self.told.push(response),
                _ => {}
            }
        }
        moved
    }

    fn events(&mut self) -> Vec<BootstrapEvent> {
        std::iter::from_fn(|| self.server.poll_event()).collect()
    }

    fn finished(&mut self) -> Vec<Outcome> {
        let events = self.events().into_iter();
        let outcomes = events.filter_map(|event| match event {
            BootstrapEvent::Finished { outcome, .. } => Some(outcome),
            _ => None,
        });
        outcomes.collect()
    }
}

/// A server of short server ID 1 at an address.
fn plan() -> Vec<Operation> {
    let record = |at: Path, value| Record::new(at, value);
    let uri = Value::String("coap://[fd00::9]".to_owned());
    let write = |text, records| Operation::Write {
        path: path(text),
        mode: Mode::Replace,
        records,
        format: None,
    };
    vec![
        Operation::Delete { path: Path::ROOT },
        write(
            "/0/1",
            vec![
                record(Path::resource(0, 1, 0), uri),
                record(Path::resource(0, 1, 10), Value::Integer(1)),
            ],
        ),
        write(
            "/1/0",
            vec![record(Path::resource(1, 0, 0), Value::Integer(1))],
        ),
        Operation::Discover { path: Path::ROOT },
    ]
}

fn of_all() -> Plans {
    Plans {
        of_endpoint: BTreeMap::new(),
        of_others: Some(plan()),
    }
}

#[test]
fn a_client_is_deleted_written_discovered_and_finished_in_order() {
    for (pct, format) in [
        (None, 11542),
        (Some("pct=112"), 112),
        (Some("pct=110"), 110),
    ] {
        let mut bench = Bench::new(of_all());
        bench.codes = vec![Code::DELETED, Code::CHANGED, Code::CHANGED, Code::CONTENT];
        let queries: Vec<&str> = ["ep=a"].into_iter().chain(pct).collect();
        assert_eq!(bench.ask(Code::POST, &queries).code, Code::CHANGED);
        let asked: Vec<_> = (bench.asked.iter())
            .map(|request| (request.method, request.path()))
            .collect();
        let expected = [
            (Code::DELETE, "/"),
            (Code::PUT, "/0/1"),
            (Code::PUT, "/1/0"),
            (Code::GET, "/"),
            (Code::POST, "/bs"),
        ];
        assert_eq!(
            asked,
            expected.map(|(method, path)| (method, path.to_owned()))
        );
        let format_of = |index: usize| bench.asked[index].options.get_uint(option::CONTENT_FORMAT);
        assert_eq!((format_of(1), format_of(2)), (Some(format), Some(format)));
        assert_eq!(bench.asked[3].options.get_uint(option::ACCEPT), Some(40));
        assert!(bench.asked[4].payload.is_empty());
        let done = |event: &&BootstrapEvent| matches!(event, BootstrapEvent::Done { .. });
        let events = bench.events();
        assert_eq!(events.iter().filter(done).count(), 4);
        let last = BootstrapEvent::Finished {
            endpoint: "a".into(),
            outcome: Outcome::Success(Code::CHANGED),
        };
        assert_eq!(events.last(), Some(&last));
        assert_eq!(bench.server.sessions(), 0);
        assert_eq!(bench.server.tally().answered, 5);
    }
}

#[test]
fn the_first_error_ends_it_and_so_does_a_refused_finish() {
    let mut bench = Bench::new(of_all());
    bench.codes = vec![Code::DELETED, Code::BAD_REQUEST];
    bench.ask(Code::POST, &["ep=a"]);
    assert_eq!(bench.asked.len(), 2);
    let finished = bench.finished();
    assert!(matches!(
        finished[..],
        [Outcome::Refused {
            code: Code::BAD_REQUEST,
            ..
        }]
    ));
    let mut bench = Bench::new(Plans {
        of_endpoint: BTreeMap::from([("a".to_owned(), Vec::new())]),
        of_others: None,
    });
    // What the client has does not fit together.
    bench.codes = vec![Code::NOT_ACCEPTABLE];
    bench.ask(Code::POST, &["ep=a"]);
    let finished = bench.finished();
    assert!(matches!(
        finished[..],
        [Outcome::Refused {
            code: Code::NOT_ACCEPTABLE,
            ..
        }]
    ));
}

#[test]
fn requests_without_a_name_of_nobody_or_for_another_format_are_refused() {
    let mut bench = Bench::new(Plans {
        of_endpoint: BTreeMap::from([("a".to_owned(), plan())]),
        of_others: None,
    });
    for (method, queries, code) in [
        (Code::POST, &[][..], Code::BAD_REQUEST),
        (Code::POST, &["ep="], Code::BAD_REQUEST),
        (Code::POST, &["ep=b"], Code::BAD_REQUEST),
        (
            Code::POST,
            &["ep=a", "pct=0"],
            Code::UNSUPPORTED_CONTENT_FORMAT,
        ),
        (
            Code::POST,
            &["ep=a", "pct=x"],
            Code::UNSUPPORTED_CONTENT_FORMAT,
        ),
        (Code::GET, &["ep=a"], Code::METHOD_NOT_ALLOWED),
    ] {
        assert_eq!(bench.ask(method, queries).code, code, "{queries:?}");
    }
    assert!(bench.asked.is_empty());
    let refused = |event: &BootstrapEvent| matches!(event, BootstrapEvent::Refused { .. });
    assert!(bench.events().iter().all(refused));
}

#[test]
fn a_client_that_asks_again_begins_again_and_a_drained_server_begins_nothing() {
    let mut bench = Bench::new(of_all());
    let now = SimTime::ZERO;
    let mut request = Request::new(Code::POST, "/bs");
    request.options.push(option::URI_QUERY, "ep=a");
    for _ in 0..2 {
        let request = request.clone();
        (bench.client).request(now, at(9), Reliability::Confirmable, request);
    }
    while bench.step(now) {}
    let requested = |event: &&BootstrapEvent| matches!(event, BootstrapEvent::Requested { .. });
    let events = bench.events();
    assert_eq!(events.iter().filter(requested).count(), 2);
    assert_eq!(
        bench.asked.last().map(Request::path).as_deref(),
        Some("/bs")
    );
    assert_eq!(bench.server.sessions(), 0);
    assert_eq!(bench.server.tally().outstanding(), 0);
    bench.server.drain(now, &mut bench.endpoint);
    let refused = bench.ask(Code::POST, &["ep=a"]);
    assert_eq!(refused.code, Code::SERVICE_UNAVAILABLE);
}

#[test]
fn what_cannot_be_written_ends_it() {
    let mut bench = Bench::new(Plans {
        of_endpoint: BTreeMap::new(),
        of_others: Some(vec![Operation::Write {
            path: path("/1/0"),
            mode: Mode::Replace,
            records: vec![Record::new(path("/3/0/0"), Value::Integer(1))],
            format: None,
        }]),
    });
    bench.ask(Code::POST, &["ep=a"]);
    let finished = bench.finished();
    assert!(matches!(
        finished[..],
        [Outcome::Failed(Failure::Unencodable(_))]
    ));
    assert!(bench.asked.is_empty());
}
