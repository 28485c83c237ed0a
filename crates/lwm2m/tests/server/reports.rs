//! What clients send of their own accord: Send, and the PUT of object 2347, Notify.

use coap::message::option;
use coap::{Code, NoResponse, Reliability, Request, Response};
use lwm2m::format::{Creation, Style, encode};
use lwm2m::server::{Config, Event, Operation, Outcome, ReportPath};
use lwm2m::{Format, Path, Record, Value};

use crate::support::{Reply, World, at, float, path, secs};

fn with(method: Code, path: &str, format: Format, payload: &[u8]) -> Request {
    let mut request = Request::new(method, path);
    (request.options).push_uint(option::CONTENT_FORMAT, u64::from(format.number()));
    request.payload = payload.to_vec();
    request
}

fn send(format: Format, records: &[Record]) -> Request {
    let payload = encode(format, &Path::ROOT, records, Style::default()).unwrap();
    with(Code::POST, "/dp", format, &payload)
}

/// Three values of one resource, with their times.
fn series() -> Vec<Record> {
    let at_time = |(n, value)| Record {
        time: Some(1_700_000_000.0 + f64::from(n)),
        ..float("/3303/0/5700", value)
    };
    [(0, 20.0), (60, 21.0), (120, 22.0)].map(at_time).to_vec()
}

fn reports(world: &mut World) -> Vec<(String, Option<Path>, Option<Vec<Record>>)> {
    let events = world.take_events().into_iter();
    let reports = events.filter_map(|event| match event {
        Event::Reported {
            path,
            base,
            content,
            ..
        } => Some((path, base, content.map(|c| c.records.unwrap()))),
        _ => None,
    });
    reports.collect()
}

#[test]
fn send_keeps_all_records_and_their_times() {
    for format in [Format::SenmlJson, Format::SenmlCbor] {
        let mut world = World::new(Config::default());
        world.register(1, "a", &["lwm2m=1.1"]);
        world.take_events();
        let request = send(format, &series());
        assert_eq!(world.ask(1, request).code, Code::CHANGED);
        let events = world.take_events();
        let [Event::Sent { endpoint, content }] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!((&**endpoint, &content.records), ("a", &Ok(series())));
    }
}

#[test]
fn send_of_a_stranger_is_answered_4_04_and_what_is_none_4_00_or_4_15() {
    let mut world = World::new(Config::default());
    world.register(1, "a", &["lwm2m=1.1"]);
    let request = send(Format::SenmlCbor, &series());
    assert_eq!(world.ask(2, request).code, Code::NOT_FOUND);
    let broken = with(Code::POST, "/dp", Format::SenmlCbor, b"\xff");
    assert_eq!(world.ask(1, broken).code, Code::BAD_REQUEST);
    let text = with(Code::POST, "/dp", Format::Text, b"1");
    assert_eq!(world.ask(1, text).code, Code::UNSUPPORTED_CONTENT_FORMAT);
    let sent = |event: &Event| matches!(event, Event::Sent { .. });
    assert!(!world.take_events().iter().any(sent));
}

#[test]
fn a_report_to_a_path_that_was_handed_out_is_known_by_it_wherever_it_comes_from() {
    let mut world = World::new(Config::default());
    world.register(1, "a", &["lt=1000"]);
    let id = world.server.registration("a").unwrap().id;
    let place = world.server.report_path(id, 3);
    assert_eq!(place, format!("/n/{id}/3"));
    let payload = br#"{"bn":"/3303/0/5700","e":[{"v":21.5}]}"#;
    let put = with(Code::PUT, &place, Format::Json, payload);
    // After a NAT rebinding.
    assert_eq!(world.ask(5, put).code, Code::CHANGED);
    let expected = (place, None, Some(vec![float("/3303/0/5700", 21.5)]));
    assert_eq!(reports(&mut world), [expected]);
    let known = world.server.registration("a").unwrap();
    assert_eq!(known.address, at(5));
    // It prolongs nothing (OMA issue 555).
    assert_eq!(
        world.server.ends(id),
        Some(units::SimTime::ZERO + secs(1000))
    );
}

#[test]
fn what_a_tlv_report_means_is_known_if_the_server_wrote_the_notify_instance() {
    let mut world = World::new(Config::default());
    world.register(1, "a", &[]);
    world.answers(1, |_| Reply::With(Response::new(Code::CREATED)));
    let id = world.server.registration("a").unwrap().id;
    let place = world.server.report_path(id, 0);
    let text = |resource: u16, text: &str| {
        let path = Path::resource(2347, 0, resource);
        Record::new(path, Value::String(text.to_owned()))
    };
    let creation = Creation {
        object: 2347,
        instance: None,
        records: vec![text(5915, "/2346/0/5914"), text(5917, &place)],
    };
    let format = None;
    let created = world.outcome("a", Operation::Create { creation, format });
    assert_eq!(created, Outcome::Created(None));
    world.take_events();
    let values: Vec<Record> = (0..2)
        .map(|k| {
            let path = Path::resource_instance(2346, 0, 5914, k);
            Record::new(path, Value::String(format!("{k}.5")))
        })
        .collect();
    let base = path("/2346/0/5914");
    let payload = encode(Format::Tlv, &base, &values, Style::default()).unwrap();
    world.ask(1, with(Code::PUT, &place, Format::Tlv, &payload));
    assert_eq!(reports(&mut world), [(place, Some(base), Some(values))]);
}

#[test]
fn a_report_may_go_to_a_path_of_the_configuration_even_that_of_registrations() {
    let mut world = World::new(Config {
        report_paths: vec![ReportPath {
            path: "/rd".to_owned(),
            base: Some(path("/3303/0/5700")),
        }],
        ..Config::default()
    });
    world.register(1, "a", &[]);
    let put = with(
        Code::PUT,
        "/rd",
        Format::Tlv,
        &[0xe4, 0x16, 0x44, 0x41, 0xac, 0, 0],
    );
    assert_eq!(world.ask(1, put.clone()).code, Code::CHANGED);
    let expected = Some(vec![float("/3303/0/5700", 21.5)]);
    assert_eq!(
        reports(&mut world),
        [("/rd".to_owned(), Some(path("/3303/0/5700")), expected)]
    );
    assert_eq!(world.ask(2, put).code, Code::NOT_FOUND);
}

#[test]
fn a_report_without_registration_is_answered_4_04() {
    let mut world = World::new(Config::default());
    world.register(1, "a", &[]);
    let id = world.server.registration("a").unwrap().id;
    let wrong = [
        "/n/0123456789/0".to_owned(),
        "/n/x/0".to_owned(),
        format!("/n/{id}/x"),
        format!("/n/{id}/65536"),
    ];
    for place in wrong {
        let put = with(Code::PUT, &place, Format::Text, b"1");
        assert_eq!(world.ask(1, put).code, Code::NOT_FOUND, "{place}");
    }
}

#[test]
fn a_report_without_content_is_ready_to_receive_and_wakes_the_queue() {
    for no_response in [false, true] {
        let mut world = World::new(Config::default());
        world.register(1, "a", &["b=UQ"]);
        world.pass(secs(1000));
        let id = world.operate(
            "a",
            Operation::Delete {
                path: path("/2346/0"),
            },
        );
        assert!(world.asked(1).is_empty());
        let registration = world.server.registration("a").unwrap().id;
        let place = world.server.report_path(registration, 0);
        let mut ready = Request::new(Code::PUT, &place);
        if no_response {
            NoResponse::ALL.push(&mut ready.options);
            let now = world.now;
            let endpoint = &mut world.client(1).endpoint;
            endpoint.request(now, at(9), Reliability::NonConfirmable, ready);
            world.settle();
            assert_eq!(world.client(1).told.len(), 1);
        } else {
            assert_eq!(world.ask(1, ready).code, Code::CHANGED);
        }
        assert_eq!(world.asked_paths(1), ["/2346/0"]);
        assert!(world.done(id).is_some());
        assert_eq!(reports(&mut world), [(place, None, None)]);
    }
}

#[test]
fn what_cannot_be_read_is_reported_all_the_same() {
    let mut world = World::new(Config::default());
    world.register(1, "a", &[]);
    world.take_events();
    let id = world.server.registration("a").unwrap().id;
    let place = world.server.report_path(id, 0);
    assert_eq!(
        world
            .ask(1, with(Code::PUT, &place, Format::Json, b"{"))
            .code,
        Code::CHANGED
    );
    let events = world.take_events();
    let [
        Event::Reported {
            content: Some(content),
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert!(content.records.is_err());
}
