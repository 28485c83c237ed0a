//! Operations as the messages of LwM2M 1.1 Transport §6.4.3, and in the bytes of the paper's tables IV and V (Leshan's).

use coap::message::option;
use coap::{Code, Request, Response};
use lwm2m::format::{Creation, FloatSize, Style};
use lwm2m::operations::Mode;
use lwm2m::server::{Config, Content, Failure, Operation, Outcome, ReadFormat};
use lwm2m::{Format, Path, Record, Value};

use crate::support::{Reply, World, content, float, path, records};

/// As the paper's server was: JSON is read, TLV is written, a number has 8 bytes.
fn leshan() -> Config {
    Config {
        read_format: ReadFormat::Always(Format::Json),
        write_format: Some(Format::Tlv),
        style: Style {
            float_size: FloatSize::Double,
            ..Style::default()
        },
        ..Config::default()
    }
}

fn read(text: &str) -> Operation {
    Operation::Read {
        path: path(text),
        format: None,
    }
}

fn write(text: &str, mode: Mode, records: Vec<Record>) -> Operation {
    Operation::Write {
        path: path(text),
        mode,
        records,
        format: None,
    }
}

fn registered(config: Config) -> World {
    let mut world = World::new(config);
    world.register(1, "a", &[]);
    world
}

/// The paper's Batch of these links, whose instance the client chooses.
fn batch(links: &[&str]) -> Operation {
    let link = |(place, link): (usize, &&str)| Record {
        path: path(&format!("/2346/0/5913/{place}")),
        value: Some(Value::String((*link).to_owned())),
        time: None,
    };
    create(2346, links.iter().enumerate().map(link).collect())
}

fn create(object: u16, records: Vec<Record>) -> Operation {
    Operation::Create {
        creation: Creation {
            object,
            instance: None,
            records,
        },
        format: None,
    }
}

/// The length of the one message to the client.
fn bytes(operation: Operation) -> usize {
    let mut world = registered(leshan());
    world.operate("a", operation);
    world.asked_one(1).1
}

#[test]
fn requests_have_the_bytes_of_the_papers_tables() {
    let position = ["/3360/0/5702", "/3360/0/5703", "/3360/0/5704"];
    let six = [
        &["/3303/0/5700", "/3304/0/5700"][..],
        &position,
        &["/3/0/9"],
    ]
    .concat();
    assert_eq!(bytes(read("/3303/0/5700")), 27);
    assert_eq!(bytes(read("/3/0/9")), 21);
    assert_eq!(bytes(read("/2346/0/5914")), 27);
    assert_eq!(bytes(batch(&six)), 108);
    assert_eq!(bytes(batch(&position)), 70);
    assert_eq!(bytes(create(3360, Vec::new())), 20);
    let put = |value| {
        write(
            "/3360/0/5702",
            Mode::Replace,
            vec![float("/3360/0/5702", value)],
        )
    };
    assert_eq!(bytes(put(3.25)), 40);
    assert_eq!(bytes(put(1.0 / 3.0)), 40);
}

/// Notify that reports by `uri` to `/rd` every 15 minutes, unacknowledged.
fn notify(uri: Vec<Record>) -> Operation {
    let resource = |id, value| Record::new(Path::resource(2347, 0, id), value);
    let others = [
        resource(5916, Value::Integer(1)),
        resource(5917, Value::String("/rd".to_owned())),
        resource(5918, Value::Integer(900)),
        resource(5919, Value::Boolean(false)),
        resource(5920, Value::Boolean(true)),
    ];
    create(2347, uri.into_iter().chain(others).collect())
}

#[test]
fn the_notify_create_has_60_bytes_as_the_paper_says_it_and_131_as_it_was_measured() {
    let link = Record::new(
        Path::resource(2347, 0, 5915),
        Value::String("/2346/0/5914".to_owned()),
    );
    assert_eq!(bytes(notify(vec![link])), 60);
    let six = [
        "/3303/0/5700",
        "/3304/0/5700",
        "/3360/0/5702",
        "/3360/0/5703",
        "/3360/0/5704",
        "/3/0/9",
    ];
    let link = |(riid, text): (u16, &str)| {
        let path = Path::resource_instance(2347, 0, 5915, riid);
        Record::new(path, Value::String(text.to_owned()))
    };
    assert_eq!(bytes(notify((0..).zip(six).map(link).collect())), 131);
}

#[test]
fn composite_reads_of_six_resources_have_138_bytes_in_json_and_102_in_cbor() {
    let paths = [
        "/3303/0/5700",
        "/3304/0/5700",
        "/3360/0/5702",
        "/3360/0/5703",
        "/3360/0/5704",
        "/3/0/9",
    ];
    for (format, length) in [(Format::SenmlJson, 138), (Format::SenmlCbor, 102)] {
        let read = Operation::ReadComposite {
            paths: paths.map(path).to_vec(),
            format: Some(format),
        };
        assert_eq!(bytes(read), length, "{format}");
    }
}

#[test]
fn a_read_is_a_get_with_the_format_of_the_version_and_is_read_by_the_models() {
    for (version, number, format) in [("1.0", 11542, Format::Tlv), ("1.1", 112, Format::SenmlCbor)]
    {
        let mut world = World::new(Config::default());
        world.register(1, "a", &[&format!("lwm2m={version}")]);
        world.answers(1, |_| {
            Reply::With(content(Format::Tlv, &[0xe4, 0x16, 0x44, 0x41, 0xac, 0, 0]))
        });
        world.operate("a", read("/3303/0/5700"));
        let (request, _) = world.asked_one(1);
        assert_eq!(request.method, Code::GET);
        assert_eq!(request.options.get_uint(option::ACCEPT), Some(number));
        assert_eq!(number, u64::from(format.number()));
    }
    let mut world = registered(Config::default());
    let payload = [0xe4, 0x16, 0x44, 0x41, 0xac, 0, 0];
    world.answers(1, move |_| Reply::With(content(Format::Tlv, &payload)));
    let outcome = world.outcome("a", read("/3303/0/5700"));
    assert_eq!(records(outcome), [float("/3303/0/5700", 21.5)]);
}

#[test]
fn a_read_may_leave_the_format_to_the_client() {
    let mut world = registered(Config {
        read_format: ReadFormat::Unsaid,
        ..Config::default()
    });
    world.answers(1, |_| Reply::With(content(Format::Text, b"21.5")));
    let outcome = world.outcome("a", read("/3303/0/5700"));
    assert_eq!(records(outcome), [float("/3303/0/5700", 21.5)]);
    assert_eq!(world.asked_one(1).0.options.get(option::ACCEPT), None);
}

#[test]
fn what_cannot_be_read_is_kept_as_it_came() {
    let mut world = registered(Config::default());
    world.answers(1, |_| Reply::With(content(Format::Tlv, b"\xff\xff\xff")));
    let Outcome::Content(Content {
        payload, records, ..
    }) = world.outcome("a", read("/3303/0"))
    else {
        panic!("no content")
    };
    assert_eq!(payload, b"\xff\xff\xff");
    assert!(records.is_err());
}

#[test]
fn errors_of_the_client_are_told_with_their_words() {
    let mut world = registered(Config::default());
    world.answers(1, |_| {
        Reply::With(Response::diagnostic(Code::NOT_FOUND, "no such"))
    });
    let outcome = world.outcome("a", read("/3303/0/5700"));
    let code = Code::NOT_FOUND;
    let diagnostic = "no such".to_owned();
    assert_eq!(outcome, Outcome::Refused { code, diagnostic });
}

#[test]
fn discover_is_a_get_with_accept_40() {
    let mut world = registered(Config::default());
    let links = b"</3303/0>;pmin=10,</3303/0/5700>";
    world.answers(1, move |_| Reply::With(content(Format::Link, links)));
    let discover = Operation::Discover {
        path: path("/3303/0"),
    };
    let Outcome::Content(found) = world.outcome("a", discover) else {
        panic!("no content")
    };
    assert_eq!((found.payload, found.format), (links.to_vec(), Some(40)));
    let (request, _) = world.asked_one(1);
    assert_eq!(request.method, Code::GET);
    assert_eq!(request.options.get_uint(option::ACCEPT), Some(40));
}

#[test]
fn a_write_replaces_by_put_and_updates_by_post() {
    let mut world = registered(Config::default());
    for (mode, method) in [(Mode::Replace, Code::PUT), (Mode::Update, Code::POST)] {
        let values = vec![float("/3360/0/5702", 1.0), float("/3360/0/5703", 2.0)];
        let outcome = world.outcome("a", write("/3360/0", mode, values));
        assert_eq!(outcome, Outcome::Success(Code::CHANGED));
        let (request, _) = world.asked_one(1);
        assert_eq!(
            (request.method, request.path()),
            (method, "/3360/0".to_owned())
        );
        assert_eq!(
            request.options.get_uint(option::CONTENT_FORMAT),
            Some(11542)
        );
        assert_eq!(request.payload.len(), 14);
    }
}

#[test]
fn what_no_format_can_say_is_not_sent() {
    let mut world = registered(Config::default());
    let elsewhere = write("/3360/0", Mode::Replace, vec![float("/3303/0/5700", 1.0)]);
    let outcome = world.outcome("a", elsewhere);
    assert!(
        matches!(outcome, Outcome::Failed(Failure::Unencodable(_))),
        "{outcome:?}"
    );
    assert!(world.asked(1).is_empty());
}

#[test]
fn write_attributes_is_a_put_with_queries_and_nothing_else() {
    let mut world = registered(Config::default());
    let attributes = vec!["pmin=10".to_owned(), "pmax=60".to_owned(), "gt".to_owned()];
    let set = Operation::WriteAttributes {
        path: path("/3303/0/5700"),
        attributes: attributes.clone(),
    };
    assert_eq!(world.outcome("a", set), Outcome::Success(Code::CHANGED));
    let (request, _) = world.asked_one(1);
    assert_eq!(request.method, Code::PUT);
    let queries: Vec<&[u8]> = request.options.get_all(option::URI_QUERY).collect();
    assert_eq!(
        queries,
        attributes.iter().map(|a| a.as_bytes()).collect::<Vec<_>>()
    );
    assert_eq!(request.options.get(option::CONTENT_FORMAT), None);
    assert!(request.payload.is_empty());
}

#[test]
fn execute_is_a_post_with_its_arguments_as_text() {
    let mut world = registered(Config::default());
    for (arguments, format) in [("", None), ("0='x',1", Some(0))] {
        let execute = Operation::Execute {
            path: path("/3/0/4"),
            arguments: arguments.to_owned(),
        };
        assert_eq!(world.outcome("a", execute), Outcome::Success(Code::CHANGED));
        let (request, _) = world.asked_one(1);
        let expected = (
            Code::POST,
            "/3/0/4".to_owned(),
            arguments.as_bytes().to_vec(),
        );
        assert_eq!(
            (request.method, request.path(), request.payload.clone()),
            expected
        );
        assert_eq!(request.options.get_uint(option::CONTENT_FORMAT), format);
    }
}

#[test]
fn a_create_is_a_post_to_the_object_and_tells_the_id_of_the_location() {
    let mut world = registered(Config::default());
    world.answers(1, |_| {
        let mut response = Response::new(Code::CREATED);
        for segment in ["2346", "7"] {
            (response.options).push(option::LOCATION_PATH, segment);
        }
        Reply::With(response)
    });
    let outcome = world.outcome("a", batch(&["/3303/0/5700"]));
    assert_eq!(outcome, Outcome::Created(Some(7)));
    assert_eq!(world.asked_one(1).0.path(), "/2346");
    // With an ID, the instance is in the payload: type 0x08 and the ID.
    let Operation::Create { mut creation, .. } = create(3360, vec![float("/3360/4/5702", 1.0)])
    else {
        unreachable!()
    };
    creation.instance = Some(4);
    let format = Some(Format::Tlv);
    world.outcome("a", Operation::Create { creation, format });
    assert_eq!(world.asked_one(1).0.payload[..2], [0x07, 0x04]);
}

#[test]
fn a_delete_is_a_delete() {
    let mut world = registered(Config::default());
    world.answers(1, |_| Reply::With(Response::new(Code::DELETED)));
    let outcome = world.outcome(
        "a",
        Operation::Delete {
            path: path("/2346/0"),
        },
    );
    assert_eq!(outcome, Outcome::Success(Code::DELETED));
    let (request, _) = world.asked_one(1);
    let plain = Request::new(Code::DELETE, "/2346/0");
    assert_eq!(request, plain);
}

#[test]
fn operations_of_a_client_that_is_always_awake_go_in_their_order() {
    let mut world = registered(Config::default());
    for text in ["/3/0/0", "/3/0/1", "/3/0/2"] {
        let now = world.now;
        (world.server).operate(now, "a", read(text), &mut world.endpoint);
    }
    world.settle();
    assert_eq!(world.asked_paths(1), ["/3/0/0", "/3/0/1", "/3/0/2"]);
}

#[test]
fn nobody_is_asked_who_is_not_registered() {
    let mut world = registered(Config::default());
    let outcome = world.outcome("b", read("/3/0"));
    assert_eq!(outcome, Outcome::Failed(Failure::NotRegistered));
}
