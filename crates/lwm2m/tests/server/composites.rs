//! Composite operations (LwM2M 1.1 Core §6.3.8, §6.3.9, §6.4.4), and clients that do not know them (OMA issue 596).

use coap::message::option;
use coap::{Code, Request, Response};
use lwm2m::format::{Style, decode, decode_paths, encode};
use lwm2m::server::{Config, Event, Operation, Outcome};
use lwm2m::{Format, Path, Record, Registry, Value};

use crate::support::{Reply, World, content, float, path, records, secs};

const TEMPERATURE: &str = "/3303/0/5700";
const HUMIDITY: &str = "/3304/0/5700";

fn both() -> Vec<Path> {
    vec![path(TEMPERATURE), path(HUMIDITY)]
}

fn read() -> Operation {
    Operation::ReadComposite {
        paths: both(),
        format: None,
    }
}

fn observe() -> Operation {
    Operation::ObserveComposite {
        paths: both(),
        format: None,
    }
}

fn write(records: Vec<Record>) -> Operation {
    Operation::WriteComposite {
        records,
        format: None,
    }
}

fn positions() -> Vec<Record> {
    vec![float("/3360/0/5702", 1.0), float("/3360/0/5703", 2.0)]
}

fn values() -> Vec<Record> {
    vec![float(TEMPERATURE, 21.5), float(HUMIDITY, 48.0)]
}

fn senml(records: &[Record]) -> Response {
    let format = Format::SenmlCbor;
    content(
        format,
        &encode(format, &Path::ROOT, records, Style::default()).unwrap(),
    )
}

/// A client that knows what it is asked one by one only, and answers composites so.
fn simple(composite: impl Fn() -> Option<Response> + 'static) -> impl FnMut(&Request) -> Reply {
    move |request| match (request.method, request.path().as_str()) {
        (Code::FETCH | Code::IPATCH, _) => composite().map_or(Reply::Nothing, Reply::With),
        (Code::GET, TEMPERATURE) => Reply::Observed(one(TEMPERATURE, 21.5)),
        (Code::GET, HUMIDITY) => Reply::Observed(one(HUMIDITY, 48.0)),
        (Code::GET, _) => Reply::With(Response::new(Code::NOT_FOUND)),
        _ => Reply::With(Response::new(Code::CHANGED)),
    }
}

fn one(text: &str, value: f64) -> Response {
    let (format, record) = (Format::SenmlCbor, float(text, value));
    content(
        format,
        &encode(
            format,
            &record.path,
            std::slice::from_ref(&record),
            Style::default(),
        )
        .unwrap(),
    )
}

fn registered(version: &str) -> World {
    let mut world = World::new(Config::default());
    world.register(1, "a", &[version]);
    world
}

fn fell_back(world: &mut World) -> usize {
    let events = world.take_events();
    let of_it = |event: &&Event| matches!(event, Event::FellBack { .. });
    events.iter().filter(of_it).count()
}

fn methods(world: &mut World) -> Vec<Code> {
    world
        .asked(1)
        .iter()
        .map(|(request, _)| request.method)
        .collect()
}

#[test]
fn a_composite_read_is_a_fetch_of_the_root_with_names() {
    let mut world = registered("lwm2m=1.1");
    world.answers(1, |_| Reply::With(senml(&values())));
    assert_eq!(records(world.outcome("a", read())), values());
    let (request, _) = world.asked_one(1);
    assert_eq!(
        (request.method, request.path()),
        (Code::FETCH, "/".to_owned())
    );
    assert_eq!(request.options.get(option::URI_PATH), None);
    assert_eq!(request.options.get_uint(option::CONTENT_FORMAT), Some(112));
    assert_eq!(request.options.get_uint(option::ACCEPT), Some(112));
    let names = decode_paths(Format::SenmlCbor, &request.payload);
    assert_eq!(names, Ok(both()));
}

#[test]
fn a_composite_write_is_an_ipatch_of_the_root() {
    let mut world = registered("lwm2m=1.1");
    assert_eq!(
        world.outcome("a", write(positions())),
        Outcome::Success(Code::CHANGED)
    );
    let (request, _) = world.asked_one(1);
    assert_eq!(
        (request.method, request.path()),
        (Code::IPATCH, "/".to_owned())
    );
    assert_eq!(request.options.get_uint(option::CONTENT_FORMAT), Some(112));
    let registry = Registry::built_in();
    let written = decode(Format::SenmlCbor, &Path::ROOT, &request.payload, &registry).unwrap();
    assert_eq!(written, positions());
}

#[test]
fn a_composite_observation_is_a_fetch_with_observe() {
    let mut world = registered("lwm2m=1.1");
    world.answers(1, |_| Reply::Observed(senml(&values())));
    assert_eq!(records(world.outcome("a", observe())), values());
    let cancel = Operation::CancelObservation { paths: both() };
    assert!(matches!(world.outcome("a", cancel), Outcome::Content(_)));
    let asked = world.asked(1);
    let observes = asked
        .iter()
        .map(|(request, _)| (request.method, request.options.get_uint(option::OBSERVE)));
    let expected = [(Code::FETCH, Some(0)), (Code::FETCH, Some(1))];
    assert_eq!(observes.collect::<Vec<_>>(), expected);
    assert_eq!(asked[0].0.payload, asked[1].0.payload);
}

#[test]
fn a_client_that_refuses_composites_is_asked_one_by_one_from_then_on() {
    for code in [
        Code::new(4, 2),
        Code::new(4, 5),
        Code::new(4, 15),
        Code::new(5, 1),
    ] {
        let mut world = registered("lwm2m=1.1");
        world.answers(1, simple(move || Some(Response::new(code))));
        assert_eq!(records(world.outcome("a", read())), values(), "{code}");
        assert_eq!(methods(&mut world), [Code::FETCH, Code::GET, Code::GET]);
        assert_eq!(fell_back(&mut world), 1);
        assert!(world.server.registration("a").unwrap().lacks_composites());
        assert_eq!(records(world.outcome("a", read())), values());
        assert_eq!(methods(&mut world), [Code::GET, Code::GET]);
        assert_eq!(fell_back(&mut world), 0);
        // The next registration may be that of a better one.
        world.register(1, "a", &["lwm2m=1.1"]);
        world.operate("a", read());
        assert_eq!(methods(&mut world)[0], Code::FETCH);
    }
}

#[test]
fn a_client_that_acknowledges_composites_and_says_no_more_is_asked_one_by_one() {
    let mut world = registered("lwm2m=1.1");
    world.answers(1, simple(|| None));
    let id = world.operate("a", read());
    world.pass(secs(95));
    assert_eq!(records(world.done(id).unwrap()), values());
    assert_eq!(methods(&mut world), [Code::FETCH, Code::GET, Code::GET]);
    assert_eq!(fell_back(&mut world), 1);
}

#[test]
fn what_one_of_the_parts_lacks_is_left_out() {
    let mut world = registered("lwm2m=1.1");
    world.answers(1, simple(|| Some(Response::new(Code::METHOD_NOT_ALLOWED))));
    let mut paths = both();
    paths.push(path("/3303/7/5700"));
    let read = |paths| Operation::ReadComposite {
        paths,
        format: None,
    };
    assert_eq!(records(world.outcome("a", read(paths))), values());
    let outcome = world.outcome("a", read(vec![path("/3303/7/5700"), path("/3303/8")]));
    assert!(
        matches!(
            outcome,
            Outcome::Refused {
                code: Code::NOT_FOUND,
                ..
            }
        ),
        "{outcome:?}"
    );
}

#[test]
fn an_observation_in_parts_is_one_observation() {
    let mut world = registered("lwm2m=1.1");
    world.answers(1, simple(|| Some(Response::new(Code::METHOD_NOT_ALLOWED))));
    let id = world.operate("a", observe());
    assert_eq!(records(world.done(id).unwrap()), values());
    assert_eq!(world.server.open(), (0, 1));
    world.take_events();
    let now = world.now;
    let next = one(HUMIDITY, 50.0);
    world.client(1).endpoint.notify(now, HUMIDITY, &next);
    world.settle();
    let events = world.take_events();
    let [
        Event::Notified {
            id: told, content, ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(
        (*told, content.records.clone()),
        (id, Ok(vec![float(HUMIDITY, 50.0)]))
    );
    world.asked(1);
    let cancel = Operation::CancelObservation { paths: both() };
    world.outcome("a", cancel);
    assert_eq!(world.asked_paths(1), [TEMPERATURE, HUMIDITY]);
    assert_eq!(world.server.open(), (0, 0));
}

#[test]
fn writes_in_parts_are_puts_in_order_and_fail_with_the_first() {
    let mut world = registered("lwm2m=1.1");
    world.answers(1, simple(|| Some(Response::new(Code::new(5, 1)))));
    assert_eq!(
        world.outcome("a", write(positions())),
        Outcome::Success(Code::CHANGED)
    );
    assert_eq!(methods(&mut world), [Code::IPATCH, Code::PUT, Code::PUT]);
    world.answers(1, |request| {
        let refused = request.path().ends_with("5702");
        let code = if refused {
            Code::UNAUTHORIZED
        } else {
            Code::CHANGED
        };
        Reply::With(Response::new(code))
    });
    let outcome = world.outcome("a", write(positions()));
    assert!(
        matches!(
            outcome,
            Outcome::Refused {
                code: Code::UNAUTHORIZED,
                ..
            }
        ),
        "{outcome:?}"
    );
}

/// 4.05 is also the answer when one of the resources cannot be written: then nothing must be.
#[test]
fn a_refused_write_of_what_cannot_be_written_is_not_tried_in_parts() {
    let refuses = || simple(|| Some(Response::new(Code::METHOD_NOT_ALLOWED)));
    let mut read_only = positions();
    read_only.push(Record::new(path("/3/0/0"), Value::String("maker".into())));
    let mut world = registered("lwm2m=1.1");
    world.answers(1, refuses());
    let outcome = world.outcome("a", write(read_only));
    assert!(matches!(
        outcome,
        Outcome::Refused {
            code: Code::METHOD_NOT_ALLOWED,
            ..
        }
    ));
    assert_eq!(methods(&mut world), [Code::IPATCH]);
    // Nor is it if the client has shown that it knows the operation.
    world.answers(1, |_| Reply::With(Response::new(Code::CHANGED)));
    world.outcome("a", write(positions()));
    world.answers(1, refuses());
    let outcome = world.outcome("a", write(positions()));
    assert!(matches!(outcome, Outcome::Refused { .. }));
    assert_eq!(methods(&mut world), [Code::IPATCH; 2]);
    assert_eq!(fell_back(&mut world), 0);
}
