use super::*;
use crate::stub::{Stub, Told, exchange, incoming};
use coap::block::entity_tag;
use units::Seed;

const SECOND: Duration = Duration::from_secs(1);

fn at(s: f64) -> SimTime {
    SimTime::ZERO + Duration::from_secs_f64(s)
}

fn every(period: Duration) -> Option<Changes> {
    Some(Changes {
        every: period,
        phase: Duration::ZERO,
    })
}

const ALL: Writes = Writes {
    put: true,
    post: true,
    patch: true,
    ipatch: true,
    delete: true,
};

fn sensors(resources: Vec<Resource>) -> Sensors {
    Sensors::new(resources, |name| Seed(1).rng(&[name])).unwrap()
}

/// What a topology of today asks for: sizes, and some that change.
fn plain() -> Sensors {
    let resource = |path: &str, size, changes| Resource {
        size: Some(size),
        changes,
        ..Resource::new(path)
    };
    sensors(vec![
        resource("/temperature", 16, None),
        resource("/image", 2048, every(SECOND)),
        resource("/slow", 8, every(SECOND * 100)),
    ])
}

/// One that may be written.
fn door() -> Sensors {
    sensors(vec![Resource {
        source: Source::Constant(b"shut".to_vec()),
        writes: ALL,
        ..Resource::new("/door")
    }])
}

fn request(method: Code, path: &str, payload: &str, options: &[(u16, &[u8])]) -> Request {
    let mut request = Request {
        payload: payload.into(),
        ..Request::new(method, path)
    };
    for (number, value) in options {
        request.options.push(*number, value);
    }
    request
}

fn ask(sensors: &mut Sensors, request: &Request) -> Response {
    sensors.answer(SimTime::ZERO, request).response
}

fn get(sensors: &mut Sensors, path: &str) -> Response {
    ask(sensors, &Request::new(Code::GET, path))
}

/// The code with which the door answers, in its first state.
fn door_answers(request: &Request) -> Code {
    ask(&mut door(), request).code
}

#[test]
fn a_reading_has_the_size_of_its_resource() {
    let answer = plain().answer(SimTime::ZERO, &Request::new(Code::GET, "/temperature"));
    assert!(!answer.observable);
    let response = answer.response;
    assert_eq!(response.code, Code::CONTENT);
    assert_eq!(response.payload.len(), 16);
    let options: Vec<_> = response.options.iter().collect();
    assert_eq!(options, [(option::CONTENT_FORMAT, &b""[..])]);
    let text = String::from_utf8(response.payload).unwrap();
    assert!((text.trim().parse::<f64>().unwrap() - 21.5).abs() < 0.15);
}

/// One stream, and one reading for all that are read anew: what it was before resources had
/// sources.
#[test]
fn readings_are_drawn_in_the_order_of_requests_and_changes() {
    use rand_core::Rng as _;
    let mut rng = Seed(1).rng(&["readings"]);
    let mut wander = |reading: &mut i32| {
        *reading = (*reading + (rng.next_u32() % 3) as i32 - 1).clamp(-400, 850);
        format!("{:<16}", format!("{:.1}", f64::from(*reading) / 10.0))
    };
    let (mut shared, mut own) = (215, 215);
    let resource = |path: &str, changes| Resource {
        size: Some(16),
        changes,
        ..Resource::new(path)
    };
    let mut sensors = sensors(vec![
        resource("/a", None),
        resource("/b", None),
        resource("/c", every(SECOND)),
    ]);
    let text = |response: Response| String::from_utf8(response.payload).unwrap();
    sensors.start(at(0.0), &mut Stub::default());
    for n in 1..500_u32 {
        assert_eq!(text(get(&mut sensors, "/a")), wander(&mut shared));
        assert_eq!(text(get(&mut sensors, "/b")), wander(&mut shared));
        let changed = sensors.take_due(at(n.into()));
        assert_eq!(changed.len(), 1);
        let expected = wander(&mut own);
        assert_eq!(text(changed[0].1.clone()), expected);
        assert_eq!(text(get(&mut sensors, "/c")), expected);
    }
}

#[test]
fn the_links_name_every_resource_and_which_can_be_observed() {
    let mut sensors = plain();
    let links = sensors.links();
    let core = Request::new(Code::GET, coap::link::WELL_KNOWN_CORE);
    let text = coap::link::answer(&core, &links).payload;
    let expected = "</temperature>;ct=0;sz=16,</image>;ct=0;sz=2048;obs,</slow>;ct=0;sz=8;obs";
    assert_eq!(String::from_utf8(text).unwrap(), expected);
    assert!(sensors.serves("/slow") && !sensors.serves("/slow/er"));
    sensors = door();
    assert!(sensors.links()[0].observable);
}

#[test]
fn a_resource_with_a_period_changes_only_then_and_tells_the_latest_state_once() {
    let mut sensors = plain();
    let due = |sensors: &Sensors| sensors.poll_timeout(Reach::FULL);
    assert_eq!(due(&sensors), None);
    sensors.start(at(10.0), &mut Stub::default());
    assert_eq!(due(&sensors), Some(at(11.0)));
    assert!(sensors.take_due(at(10.9)).is_empty());
    let before = get(&mut sensors, "/image");
    assert_eq!(get(&mut sensors, "/image"), before);
    let answer = sensors.answer(at(11.0), &Request::new(Code::GET, "/image"));
    assert!(answer.observable);
    let changed = sensors.take_due(at(13.5));
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].0, "/image");
    assert_eq!(changed[0].1.payload.len(), 2048);
    assert_eq!(get(&mut sensors, "/image"), changed[0].1);
    assert_eq!(due(&sensors), Some(at(14.0)));
}

#[test]
fn nothing_changes_by_itself_while_the_node_cannot_send() {
    let mut sensors = plain();
    let mut node = Stub::default();
    sensors.start(at(0.0), &mut node);
    let away = Reach {
        sends: false,
        asks: true,
    };
    assert_eq!(sensors.poll_timeout(away), None);
    sensors.handle_timeout(at(5.0), away, &mut node);
    assert_eq!(node.take(), []);
    sensors.handle_timeout(at(5.0), Reach::FULL, &mut node);
    assert!(matches!(&node.take()[..], [Told::Notify(path, _)] if path == "/image"));
}

#[test]
fn a_phase_is_from_the_start_to_the_first_change_and_none_is_a_period() {
    let first = |phase: f64| {
        let resource = Resource {
            changes: Some(Changes {
                every: SECOND,
                phase: Duration::from_secs_f64(phase),
            }),
            ..Resource::new("/r")
        };
        let mut sensors = sensors(vec![resource]);
        sensors.start(at(10.0), &mut Stub::default());
        sensors.poll_timeout(Reach::FULL).unwrap()
    };
    assert_eq!(first(0.25), at(10.25));
    assert_eq!(first(0.0), at(11.0));
}

#[test]
fn a_slow_resource_says_how_long_its_state_is_fresh_and_one_that_is_written_for_a_day() {
    let max_age = |response: Response| response.options.get_uint(option::MAX_AGE);
    assert_eq!(max_age(get(&mut plain(), "/image")), None);
    assert_eq!(max_age(get(&mut plain(), "/slow")), Some(101));
    assert_eq!(max_age(get(&mut door(), "/door")), Some(86_400));
}

#[test]
fn a_replayed_resource_changes_at_the_instants_of_its_series() {
    let points = [(0, "a"), (1, "b"), (70, "c")];
    let points = points.map(|(at, value)| (Duration::from_secs(at), value.to_owned()));
    let replay = Replay::new(points, End::Hold).unwrap();
    let mut sensors = sensors(vec![Resource {
        source: Source::Replay(replay),
        ..Resource::new("/r")
    }]);
    let payload = |response: Response| String::from_utf8(response.payload).unwrap();
    assert_eq!(payload(get(&mut sensors, "/r")), "a");
    sensors.start(at(100.0), &mut Stub::default());
    assert_eq!(sensors.poll_timeout(Reach::FULL), Some(at(101.0)));
    assert_eq!(sensors.take_due(at(101.0)).len(), 1);
    let second = get(&mut sensors, "/r");
    // Until the next value, 69 s later; after the last one nothing more comes.
    assert_eq!(second.options.get_uint(option::MAX_AGE), Some(70));
    assert_eq!(payload(second), "b");
    assert_eq!(sensors.poll_timeout(Reach::FULL), Some(at(170.0)));
    let last = sensors.take_due(at(999.0)).remove(0).1;
    assert_eq!(last.options.get_uint(option::MAX_AGE), Some(86_400));
    assert_eq!(payload(last), "c");
    assert_eq!(sensors.poll_timeout(Reach::FULL), None);
}

#[test]
fn with_a_period_a_source_in_time_is_sampled_at_the_instants_of_change() {
    let sine = Sine {
        mean: 0.0,
        amplitude: 10.0,
        period: SECOND * 4,
        phase: Duration::ZERO,
        decimals: 0,
    };
    let mut sensors = sensors(vec![Resource {
        source: Source::Sine(sine),
        changes: every(SECOND),
        ..Resource::new("/s")
    }]);
    sensors.start(at(0.0), &mut Stub::default());
    let mut sample = |s: f64| sensors.take_due(at(s)).remove(0).1.payload;
    // Late by half a second: it was 10 when it was due.
    assert_eq!(sample(1.5), b"10");
    assert_eq!(sample(2.0), b"0");
    assert_eq!(sample(3.999), b"-10");
}

#[test]
fn a_node_that_is_very_late_makes_up_for_some_changes_and_is_on_time_again() {
    let mut sensors = sensors(vec![Resource {
        source: Source::Counter(Counter::up_from(0.0)),
        changes: every(Duration::from_nanos(10)),
        ..Resource::new("/c")
    }]);
    sensors.start(at(0.0), &mut Stub::default());
    let changed = sensors.take_due(at(100.0));
    assert_eq!(changed[0].1.payload, MAX_CATCH_UP.to_string().as_bytes());
    let next = sensors.poll_timeout(Reach::FULL).unwrap();
    assert_eq!(next - at(100.0), Duration::from_nanos(10));
}

#[test]
fn fetch_reads_what_get_reads_and_has_to_have_the_content_format() {
    let format = |format: &'static [u8]| vec![(option::CONTENT_FORMAT, format)];
    let fetch = request(Code::FETCH, "/door", "x", &format(b""));
    let response = ask(&mut door(), &fetch);
    assert_eq!(
        (response.code, &response.payload[..]),
        (Code::CONTENT, &b"shut"[..])
    );
    assert!(door().answer(SimTime::ZERO, &fetch).observable);
    let without = request(Code::FETCH, "/door", "x", &[]);
    assert_eq!(door_answers(&without), Code::BAD_REQUEST);
    let other = request(Code::FETCH, "/door", "x", &format(&[60]));
    assert_eq!(door_answers(&other), Code::UNSUPPORTED_CONTENT_FORMAT);
}

#[test]
fn every_method_that_writes_writes_and_whoever_observes_is_told() {
    for method in [Code::PUT, Code::POST, Code::PATCH, Code::IPATCH] {
        let mut sensors = door();
        let mut node = Stub::default();
        let wanted = request(method, "/door", "open", &[(option::CONTENT_FORMAT, b"")]);
        let incoming = incoming(exchange(), wanted);
        sensors.handle_request(at(1.0), incoming, &mut node);
        let told = node.take();
        let [Told::Respond(_, response), Told::Notify(path, state)] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(response.code, Code::CHANGED, "{method}");
        assert_eq!((path.as_str(), &state.payload[..]), ("/door", &b"open"[..]));
        assert_eq!(*state, get(&mut sensors, "/door"));
        let tag = entity_tag(b"open");
        assert_eq!(state.options.get(option::ETAG), Some(&tag[..]));
        assert_eq!(response.options.get(option::ETAG), Some(&tag[..]));
    }
}

#[test]
fn what_is_deleted_is_not_found_until_it_is_put_or_posted() {
    let mut sensors = door();
    let delete = Request::new(Code::DELETE, "/door");
    let answer = sensors.answer(at(1.0), &delete);
    assert_eq!(answer.response.code, Code::DELETED);
    assert_eq!(answer.changed.unwrap().code, Code::NOT_FOUND);
    assert_eq!(get(&mut sensors, "/door").code, Code::NOT_FOUND);
    assert_eq!(
        ask(&mut sensors, &delete).code,
        Code::DELETED,
        "RFC 7252 5.8.4"
    );
    for method in [Code::PATCH, Code::IPATCH] {
        let patch = request(method, "/door", "x", &[]);
        assert_eq!(ask(&mut sensors, &patch).code, Code::NOT_FOUND);
    }
    for method in [Code::PUT, Code::POST] {
        ask(&mut sensors, &delete);
        let write = request(method, "/door", "ajar", &[]);
        assert_eq!(ask(&mut sensors, &write).code, Code::CREATED);
        assert_eq!(get(&mut sensors, "/door").payload, b"ajar");
    }
}

#[test]
fn what_is_written_stays_although_the_resource_would_have_changed() {
    let mut sensors = sensors(vec![Resource {
        source: Source::Counter(Counter::up_from(5.0)),
        size: Some(3),
        changes: every(SECOND),
        writes: ALL,
        ..Resource::new("/c")
    }]);
    sensors.start(at(0.0), &mut Stub::default());
    assert_eq!(get(&mut sensors, "/c").payload, b"5  ");
    assert_eq!(sensors.take_due(at(1.0))[0].1.payload, b"6  ");
    ask(&mut sensors, &request(Code::PUT, "/c", "seven", &[]));
    assert_eq!(sensors.poll_timeout(Reach::FULL), None);
    assert!(sensors.take_due(at(9.0)).is_empty());
    assert_eq!(get(&mut sensors, "/c").payload, b"seven");
}

#[test]
fn only_the_methods_that_a_resource_allows_are_taken() {
    let mut sensors = plain();
    let writes = [
        Code::PUT,
        Code::POST,
        Code::PATCH,
        Code::IPATCH,
        Code::DELETE,
    ];
    for method in writes.into_iter().chain([Code(8), Code(31)]) {
        let refused = ask(&mut sensors, &Request::new(method, "/temperature"));
        assert_eq!(refused.code, Code::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(refused.payload, b"allowed: GET, FETCH");
    }
    let mut sensors = super::tests::sensors(vec![Resource {
        writes: Writes {
            put: true,
            ..Writes::default()
        },
        ..Resource::new("/a")
    }]);
    assert_eq!(
        ask(&mut sensors, &Request::new(Code::PUT, "/a")).code,
        Code::CHANGED
    );
    let refused = ask(&mut sensors, &Request::new(Code::DELETE, "/a"));
    assert_eq!(refused.payload, b"allowed: GET, FETCH, PUT");
}

/// RFC 7252 §5.10.8.
#[test]
fn conditions_are_obeyed() {
    let shut = entity_tag(b"shut");
    let open = entity_tag(b"open");
    let put = |options: &[(u16, &[u8])]| request(Code::PUT, "/door", "open", options);
    let (failed, done) = (Code::PRECONDITION_FAILED, Code::CHANGED);
    assert_eq!(door_answers(&put(&[(option::IF_MATCH, &shut)])), done);
    assert_eq!(door_answers(&put(&[(option::IF_MATCH, &open)])), failed);
    let either = put(&[(option::IF_MATCH, &open), (option::IF_MATCH, &shut)]);
    assert_eq!(door_answers(&either), done, "if any of the options match");
    assert_eq!(door_answers(&put(&[(option::IF_MATCH, b"")])), done);
    assert_eq!(door_answers(&put(&[(option::IF_NONE_MATCH, b"")])), failed);
    // And where there is nothing.
    let mut sensors = door();
    ask(&mut sensors, &Request::new(Code::DELETE, "/door"));
    let any = put(&[(option::IF_MATCH, b"")]);
    assert_eq!(ask(&mut sensors, &any).code, failed);
    let none = put(&[(option::IF_NONE_MATCH, b"")]);
    assert_eq!(ask(&mut sensors, &none).code, Code::CREATED);
    // A failed condition changes nothing.
    let mut sensors = door();
    let answer = sensors.answer(at(1.0), &put(&[(option::IF_MATCH, &open)]));
    assert!(answer.changed.is_none());
    assert_eq!(get(&mut sensors, "/door").payload, b"shut");
}

/// "If the condition is not fulfilled, then the server MUST NOT perform the requested method", which
/// any may be (RFC 7252 §5.10.8).
#[test]
fn conditions_are_obeyed_by_methods_that_only_read() {
    let shut = entity_tag(b"shut");
    let open = entity_tag(b"open");
    let (failed, done) = (Code::PRECONDITION_FAILED, Code::CONTENT);
    let get = |options: &[(u16, &[u8])]| request(Code::GET, "/door", "", options);
    assert_eq!(door_answers(&get(&[(option::IF_MATCH, &open)])), failed);
    assert_eq!(door_answers(&get(&[(option::IF_NONE_MATCH, b"")])), failed);
    assert_eq!(door_answers(&get(&[(option::IF_MATCH, &shut)])), done);
    assert_eq!(door_answers(&get(&[(option::IF_MATCH, b"")])), done);
    let fetch = request(
        Code::FETCH,
        "/door",
        "",
        &[(option::IF_MATCH, &open), (option::CONTENT_FORMAT, b"")],
    );
    assert_eq!(door_answers(&fetch), failed);
    // Where there is nothing, nothing matches.
    let mut sensors = door();
    ask(&mut sensors, &Request::new(Code::DELETE, "/door"));
    let any = get(&[(option::IF_MATCH, b"")]);
    assert_eq!(ask(&mut sensors, &any).code, failed);
    let none = get(&[(option::IF_NONE_MATCH, b"")]);
    assert_eq!(ask(&mut sensors, &none).code, Code::NOT_FOUND);
}

#[test]
fn a_payload_in_another_content_format_is_unsupported_and_an_etag_that_fits_is_valid() {
    let json: (u16, &[u8]) = (option::CONTENT_FORMAT, &[50]);
    for method in [Code::PUT, Code::POST, Code::PATCH, Code::IPATCH] {
        let answered = door_answers(&request(method, "/door", "{}", &[json]));
        assert_eq!(answered, Code::UNSUPPORTED_CONTENT_FORMAT);
    }
    let tag = entity_tag(b"shut");
    let known = [(option::ETAG, &b"other"[..]), (option::ETAG, &tag)];
    let valid = ask(&mut door(), &request(Code::GET, "/door", "", &known));
    assert_eq!((valid.code, valid.payload.len()), (Code::VALID, 0));
    assert_eq!(valid.options.get(option::ETAG), Some(&tag[..]));
    let other = ask(&mut door(), &request(Code::GET, "/door", "", &known[..1]));
    assert_eq!(other.code, Code::CONTENT);
}

#[test]
fn resources_that_do_not_fit_are_refused() {
    let error = |resource: Resource| {
        let made = Sensors::new(vec![resource], |name| Seed(1).rng(&[name]));
        made.unwrap_err()
    };
    let of = |source| Resource {
        source,
        ..Resource::new("/a")
    };
    let path = || "/a".to_owned();
    let never = Resource {
        changes: every(Duration::ZERO),
        ..Resource::new("/a")
    };
    assert_eq!(error(never), SensorError::NoPeriod(path()));
    let walk = Walk::reading();
    let outside = Walk {
        start: 99.0,
        ..walk
    };
    assert_eq!(
        error(of(Source::Walk(outside))),
        SensorError::OutOfBounds(path())
    );
    let endless = Walk {
        high: f64::INFINITY,
        ..walk
    };
    assert_eq!(
        error(of(Source::Walk(endless))),
        SensorError::NotFinite(path())
    );
    let long = Walk {
        decimals: 10,
        ..walk
    };
    assert_eq!(
        error(of(Source::Walk(long))),
        SensorError::Decimals(path(), 10)
    );
    let twice = vec![Resource::new("/a"), Resource::new("/a")];
    let made = Sensors::new(twice, |name| Seed(1).rng(&[name]));
    assert_eq!(made.unwrap_err(), SensorError::Twice(path()));
}
