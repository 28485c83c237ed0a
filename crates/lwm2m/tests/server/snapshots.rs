//! What outlives the server's process.

use coap::{Code, Request, Response};
use lwm2m::format::Creation;
use lwm2m::operations::Mode;
use lwm2m::server::{Config, Operation, Outcome, Server};
use lwm2m::{Format, ObjectLink, Path, Record, Registry, Value};
use service::Service as _;
use units::Seed;

use crate::support::{Reply, World, content, float, path, secs};

/// Which does not get stale within a day.
fn temperature() -> Response {
    let mut response = content(Format::Tlv, &[0xe4, 0x16, 0x44, 0x41, 0xac, 0, 0]);
    (response.options).push_uint(coap::message::option::MAX_AGE, 86_400);
    response
}

/// The server's process begins again, with another endpoint; the clients notice nothing.
fn restart(world: &mut World) {
    let text = world.server.snapshot();
    let rng = Seed(2).rng(&["server"]);
    world.server = Server::restore(world.server.config().clone(), rng, &text).unwrap();
    assert_eq!(world.server.snapshot(), text);
    let params = crate::support::params();
    world.endpoint = coap::Endpoint::new(params, &[], Seed(2).rng(&["coap"]));
    let now = world.now;
    world.server.start(now, &mut world.endpoint);
    world.settle();
}

fn every_operation() -> Vec<Operation> {
    let at = path("/3303/0/5700");
    let format = Some(Format::SenmlJson);
    let value = |resource, value| Record::new(Path::resource(3, 0, resource), value);
    let records = vec![
        value(0, Value::String("a \"b\"".into())),
        value(1, Value::Integer(i64::MIN)),
        value(2, Value::Unsigned(u64::MAX)),
        value(3, Value::Float(0.1 + 0.2)),
        value(5, Value::Boolean(true)),
        value(6, Value::Opaque(vec![0, 255])),
        value(7, Value::Time(1_700_000_000)),
        value(
            8,
            Value::ObjectLink(ObjectLink {
                object: 3,
                instance: 0,
            }),
        ),
        value(9, Value::CoreLink("</3>".into())),
        Record {
            time: Some(-1.5),
            ..float("/3/0/10", f64::MIN_POSITIVE)
        },
        Record::named(path("/3/0/11")),
    ];
    let creation = |instance| Creation {
        object: 3360,
        instance,
        records: Vec::new(),
    };
    let write = |mode| Operation::Write {
        path: path("/3/0"),
        mode,
        records: records.clone(),
        format,
    };
    vec![
        Operation::Read { path: at, format },
        Operation::Discover { path: at },
        write(Mode::Replace),
        write(Mode::Update),
        Operation::WriteAttributes {
            path: at,
            attributes: vec!["pmin=1".into(), "gt".into()],
        },
        Operation::Execute {
            path: path("/3/0/4"),
            arguments: "0='x'".into(),
        },
        Operation::Create {
            creation: creation(None),
            format: None,
        },
        Operation::Create {
            creation: creation(Some(7)),
            format,
        },
        Operation::Delete {
            path: path("/3360/7"),
        },
        Operation::Observe {
            path: at,
            format: None,
        },
        Operation::CancelObservation {
            paths: vec![at, path("/3/0")],
        },
        Operation::ReadComposite {
            paths: vec![at],
            format,
        },
        Operation::WriteComposite {
            records: vec![float("/3360/0/5702", 1.5)],
            format,
        },
        Operation::ObserveComposite {
            paths: vec![at],
            format: None,
        },
    ]
}

#[test]
fn registrations_survive_with_all_that_is_known_of_them() {
    let mut world = World::new(Config::default());
    world.answers(1, |request| match request.method {
        Code::FETCH => Reply::With(Response::new(Code::METHOD_NOT_ALLOWED)),
        _ => Reply::With(temperature()),
    });
    let queries = ["lt=500", "lwm2m=1.1", "b=U", "Q", "sms=49170"];
    let place = world.register(1, "a", &queries);
    let paths = vec![path("/3303/0/5700")];
    world.operate(
        "a",
        Operation::ReadComposite {
            paths,
            format: None,
        },
    );
    let before = world.server.registration("a").unwrap().clone();
    assert!(before.lacks_composites());
    let ends = world.server.ends(before.id);
    world.pass(secs(100));
    restart(&mut world);
    let after = world.server.registration("a").unwrap();
    assert_eq!((after.id, after.address), (before.id, before.address));
    assert_eq!(after.description, before.description);
    assert_eq!(
        (after.since, after.awake_until),
        (before.since, before.awake_until)
    );
    assert!(after.lacks_composites());
    assert_eq!(world.server.ends(before.id), ends);
    assert_eq!(
        world.ask(1, Request::new(Code::POST, &place)).code,
        Code::CHANGED
    );
    world.pass(secs(500));
    assert!(world.server.registration("a").is_none());
}

#[test]
fn what_waits_for_a_sleeping_client_survives_in_its_order() {
    let mut world = World::new(Config {
        queue_expiry: secs(1000),
        ..Config::default()
    });
    let place = world.register(1, "a", &["b=UQ"]);
    world.pass(secs(100));
    let read = |text| Operation::Read {
        path: path(text),
        format: None,
    };
    let ids = ["/3/0/1", "/3/0/2"].map(|text| world.operate("a", read(text)));
    restart(&mut world);
    assert_eq!(world.server.registration("a").unwrap().queue_length(), 2);
    assert!(world.asked(1).is_empty());
    world.ask(1, Request::new(Code::POST, &place));
    assert_eq!(world.asked_paths(1), ["/3/0/1", "/3/0/2"]);
    assert!(ids.iter().all(|id| world.done(*id).is_some()));
    let next = world.operate("a", read("/3/0/3"));
    assert!(next > ids[1]);
}

#[test]
fn what_was_asked_and_not_answered_is_asked_again() {
    let mut world = World::new(Config::default());
    world.register(1, "a", &[]);
    world.answers(1, |_| Reply::Nothing);
    let id = world.operate(
        "a",
        Operation::Delete {
            path: path("/2346/0"),
        },
    );
    world.asked(1);
    world.answers(1, |_| Reply::With(Response::new(Code::DELETED)));
    restart(&mut world);
    assert_eq!(world.asked_paths(1), ["/2346/0"]);
    assert_eq!(world.done(id), Some(Outcome::Success(Code::DELETED)));
}

#[test]
fn observations_are_taken_up_under_their_id() {
    for queue_mode in [false, true] {
        let mut world = World::new(Config::default());
        world.answers(1, |_| Reply::Observed(temperature()));
        let place = world.register(1, "a", if queue_mode { &["b=UQ"] } else { &[] });
        let at = path("/3303/0/5700");
        let observe = Operation::Observe {
            path: at,
            format: None,
        };
        let id = world.operate("a", observe);
        world.asked(1);
        world.pass(secs(70));
        world.take_events();
        if queue_mode {
            world.pass(secs(100));
        }
        restart(&mut world);
        if queue_mode {
            world.ask(1, Request::new(Code::POST, &place));
        }
        assert_eq!(world.asked_paths(1), ["/3303/0/5700"]);
        let of_it = |event: &lwm2m::server::Event| matches!(event, lwm2m::server::Event::Notified { id: told, .. } if *told == id);
        assert_eq!(world.take_events().iter().filter(|e| of_it(e)).count(), 1);
        let now = world.now;
        world
            .client(1)
            .endpoint
            .notify(now, "/3303/0/5700", &temperature());
        world.settle();
        assert!(world.take_events().iter().any(of_it));
        assert_eq!(world.server.open(), (0, 1));
    }
}

#[test]
fn every_operation_is_the_same_afterwards() {
    let mut world = World::new(Config {
        max_queue: 100,
        ..Config::default()
    });
    world.register(1, "a", &["b=UQ", "lwm2m=1.1"]);
    world.pass(secs(100));
    let all = every_operation();
    let mut kept = 0;
    for operation in all {
        let id = world.operate("a", operation);
        kept += usize::from(world.done(id).is_none());
    }
    // The records with every type are no payload: of one of them time and value have no form.
    assert!(kept >= 12, "{kept}");
    let text = world.server.snapshot();
    let server = Server::restore(Config::default(), Seed(1).rng(&["x"]), &text).unwrap();
    assert_eq!(server.snapshot(), text);
}

#[test]
fn a_text_that_is_no_snapshot_is_refused_with_the_place() {
    let mut world = World::new(Config::default());
    world.answers(1, |_| Reply::Observed(temperature()));
    world.register(1, "a", &["b=UQ"]);
    let at = path("/3303/0/5700");
    world.operate(
        "a",
        Operation::Observe {
            path: at,
            format: None,
        },
    );
    world.client(1).asleep = true;
    world.operate(
        "a",
        Operation::WriteComposite {
            records: vec![float("/3360/0/5702", 1.5)],
            format: None,
        },
    );
    let good = world.server.snapshot();
    let restore =
        |text: &str| Server::restore(Config::new(Registry::new()), Seed(1).rng(&["x"]), text);
    assert!(restore(&good).is_ok());
    for (from, to) in [
        ("{", "["),
        ("\"next_operation\":2", "\"next_operation\":1"),
        ("\"next_operation\":2", "\"next_operation\":-2"),
        ("\"registrations\":[", "\"registrations\":[7,"),
        ("[fd00::1]:5683", "fd00::1"),
        ("\"version\":\"1.0\"", "\"version\":\"1\""),
        ("\"fetch\":\"untried\"", "\"fetch\":\"\""),
        ("\"name\":\"Observe\"", "\"name\":\"Read\""),
        ("\"name\":\"Observe\"", "\"name\":\"\""),
        ("\"path\":\"/3303/0/5700\"", "\"path\":\"3303\""),
        ("\"type\":\"Float\"", "\"type\":\"Number\""),
        ("\"value\":\"1.5\"", "\"value\":\"x\""),
        ("[\"/1/0\",null]", "[\"1\",null]"),
        ("\"id\":1,\"endpoint\":\"a\"", "\"id\":1,\"endpoint\":\"b\""),
        ("\"formats\":[]", "\"formats\":[65536]"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from} is in {good}");
        let error = restore(&bad).unwrap_err().to_string();
        assert!(error.contains("expected"), "{error}");
    }
    // Cut off anywhere.
    for end in (0..good.len()).filter(|end| good.is_char_boundary(*end)) {
        assert!(restore(&good[..end]).is_err());
    }
}
