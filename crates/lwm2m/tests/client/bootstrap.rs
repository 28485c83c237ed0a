//! Bootstrap, as a bootstrap server sees the client (LwM2M 1.1 Core §6.1; Transport, table 6.4.2-1).

mod operations;

use std::time::Duration;

use coap::message::option;
use coap::{Code, Request, Response};
use lwm2m::client::{Cause, Client, Config, Event};
use lwm2m::model::Version;
use lwm2m::{Format, Record, Store, Value};

use crate::support::*;

/// The bootstrap server of these tests, beside servers 1 and 2.
const BOOTSTRAP: usize = 3;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The device with the accounts of so many servers and with one of the bootstrap server, `/0/9`.
fn provided(servers: usize, hold_off: Option<i64>) -> Store {
    let mut store = device(servers);
    let mut begun = store.transaction();
    begun.create(path("/0/9")).unwrap();
    let uri = format!("coap://[{}]", address(BOOTSTRAP).ip());
    begun.set(path("/0/9/0"), Value::String(uri)).unwrap();
    begun.set(path("/0/9/1"), Value::Boolean(true)).unwrap();
    if let Some(seconds) = hold_off {
        begun.set(path("/0/9/11"), Value::Integer(seconds)).unwrap();
    }
    begun.commit();
    store
}

fn bench(servers: usize) -> Bench {
    let config = Config::new("device");
    Bench::with(config, provided(servers, None), BOOTSTRAP)
}

/// A client without a server that has asked to be bootstrapped.
fn asked() -> Bench {
    let mut bench = bench(0);
    bench.start();
    assert!(bench.client.is_bootstrapping());
    bench.clear();
    bench
}

fn queries(request: &Request) -> Vec<String> {
    let all = request.options.get_all(option::URI_QUERY);
    all.map(|query| String::from_utf8_lossy(query).into_owned())
        .collect()
}

fn name(method: Code) -> &'static str {
    match method {
        Code::POST => "POST",
        Code::PUT => "PUT",
        _ => "another method",
    }
}

/// Methods and paths of what the servers were asked, each with its server.
fn said(bench: &Bench) -> Vec<(usize, String)> {
    let requests = bench
        .events
        .iter()
        .filter_map(|(server, event)| match event {
            coap::Event::Request { request, .. } => Some((
                *server,
                format!("{} {}", name(request.method), request.path()),
            )),
            _ => None,
        });
    requests.collect()
}

fn events(bench: &mut Bench) -> Vec<Event> {
    std::iter::from_fn(|| bench.client.poll_event()).collect()
}

fn record(at: &str, value: Value) -> Record {
    Record::new(path(at), value)
}

/// A Security instance of server `server`.
fn security(instance: u16, server: usize) -> Vec<Record> {
    let at = |id: u16| format!("/0/{instance}/{id}");
    let uri = format!("coap://[{}]:5683", address(server).ip());
    vec![
        record(&at(0), Value::String(uri)),
        record(&at(1), Value::Boolean(false)),
        record(&at(2), Value::Integer(3)),
        record(&at(10), Value::Integer(server as i64)),
    ]
}

/// Its Server instance.
fn server(instance: u16, server: usize) -> Vec<Record> {
    let at = |id: u16| format!("/1/{instance}/{id}");
    vec![
        record(&at(0), Value::Integer(server as i64)),
        record(&at(1), Value::Integer(300)),
        record(&at(6), Value::Boolean(false)),
        record(&at(7), Value::String("U".to_owned())),
    ]
}

fn put(bench: &mut Bench, at: &str, format: Format, records: &[Record]) -> Response {
    bench.ask(BOOTSTRAP, with(Code::PUT, at, format, records))
}

/// A PUT of these bytes.
fn raw(bench: &mut Bench, at: &str, format: Option<u64>, payload: &[u8]) -> Response {
    let mut request = Request::new(Code::PUT, at);
    if let Some(number) = format {
        request.options.push_uint(option::CONTENT_FORMAT, number);
    }
    request.payload = payload.to_vec();
    bench.ask(BOOTSTRAP, request)
}

fn delete(bench: &mut Bench, at: &str) -> Code {
    bench.ask(BOOTSTRAP, Request::new(Code::DELETE, at)).code
}

fn finish(bench: &mut Bench) -> Response {
    bench.ask(BOOTSTRAP, Request::new(Code::POST, "/bs"))
}

fn discovered(bench: &mut Bench, at: &str) -> String {
    let response = bench.ask(BOOTSTRAP, get(at, Format::Link));
    assert_eq!(response.code, Code::CONTENT, "{}", text(&response));
    text(&response)
}

/// Writes the account of a server.
fn write_account(bench: &mut Bench, instance: u16, of: usize) {
    for (at, records) in [
        (format!("/0/{instance}"), security(instance, of)),
        (format!("/1/{instance}"), server(instance, of)),
    ] {
        let response = put(bench, &at, Format::Tlv, &records);
        assert_eq!(response.code, Code::CHANGED, "{}", text(&response));
    }
}

#[test]
fn a_client_without_a_server_asks_when_its_hold_off_time_is_over() {
    let config = Config::new("device");
    let mut bench = Bench::with(config, provided(0, Some(10)), BOOTSTRAP);
    bench.start();
    bench.pass(Duration::from_millis(9_999));
    assert_eq!(said(&bench), []);
    bench.pass(Duration::from_millis(1));
    assert_eq!(said(&bench), [(BOOTSTRAP, "POST /bs".to_owned())]);
    assert_eq!(queries(bench.requests()[0]), ["ep=device", "pct=112"]);
    let requested = Event::BootstrapRequested {
        server: address(BOOTSTRAP),
        cause: Cause::NoServer,
    };
    assert_eq!(events(&mut bench), [requested]);
}

#[test]
fn a_client_that_has_a_server_does_not_ask_and_one_without_a_bootstrap_server_cannot() {
    let mut bench = bench(1);
    bench.start();
    bench.pass(LIFETIME);
    assert!(said(&bench).iter().all(|(server, _)| *server == 1));
    let mut bench = Bench::with(Config::new("device"), device(0), BOOTSTRAP);
    bench.start();
    bench.pass(LIFETIME);
    assert_eq!(said(&bench), []);
}

#[test]
fn the_preferred_format_is_named_from_1_1_on_and_given_up_after_4_15() {
    let of = |versions: Vec<Version>, format| Config {
        versions,
        format,
        ..Config::new("device")
    };
    let new = vec![Version::V1_1, Version::V1_0];
    for (config, expected) in [
        (of(vec![Version::V1_0], None), vec!["ep=device"]),
        (
            of(new.clone(), Some(Format::Tlv)),
            vec!["ep=device", "pct=11542"],
        ),
        (
            of(new.clone(), Some(Format::SenmlJson)),
            vec!["ep=device", "pct=110"],
        ),
        (of(new, Some(Format::Json)), vec!["ep=device", "pct=112"]),
    ] {
        let mut bench = Bench::with(config, provided(0, None), BOOTSTRAP);
        bench.answers = vec![Code::UNSUPPORTED_CONTENT_FORMAT];
        bench.start();
        assert_eq!(queries(bench.requests()[0]), expected);
        let again: Vec<_> = bench.requests()[1..].iter().map(|r| queries(r)).collect();
        match expected.len() {
            // There was nothing to give up.
            1 => assert!(again.is_empty() && !bench.client.is_bootstrapping()),
            _ => assert!(again == [["ep=device"]] && bench.client.is_bootstrapping()),
        }
    }
}

#[test]
fn what_is_written_counts_from_finish_on_and_then_every_server_is_registered_with() {
    let mut bench = asked();
    let before = bench.client.store().save();
    assert_eq!(delete(&mut bench, "/0"), Code::DELETED);
    write_account(&mut bench, 1, 1);
    write_account(&mut bench, 2, 2);
    assert_eq!(bench.client.store().save(), before);
    assert_eq!(said(&bench), []);
    let finished = finish(&mut bench);
    assert_eq!(
        (finished.code, text(&finished).as_str()),
        (Code::CHANGED, "")
    );
    let registers = |server| (server, "POST /rd".to_owned());
    assert_eq!(said(&bench), [registers(1), registers(2)]);
    let query = &queries(bench.requests()[0])[1];
    assert_eq!(query, "lt=300");
    assert!(bench.client.is_registered(1) && bench.client.is_registered(2));
    assert!(!bench.client.is_bootstrapping());
    let last = events(&mut bench).pop();
    let server = address(BOOTSTRAP);
    assert_eq!(last, Some(Event::Bootstrapped { server }));
    // It is over: nothing is asked again.
    bench.clear();
    bench.pass(secs(149));
    assert_eq!(said(&bench), []);
}

#[test]
fn silence_ends_it_and_it_is_tried_again_ever_later() {
    let mut bench = asked();
    write_account(&mut bench, 1, 1);
    bench.pass(secs(246));
    assert!(bench.client.is_bootstrapping());
    // Every request is a sign of life, also one that is refused.
    assert_eq!(delete(&mut bench, "/0/9"), Code::BAD_REQUEST);
    bench.pass(secs(246));
    assert!(bench.client.is_bootstrapping());
    bench.pass(secs(1));
    assert!(!bench.client.is_bootstrapping());
    assert!(!bench.client.store().contains(&path("/0/1")));
    assert_eq!(finish(&mut bench).code, Code::UNAUTHORIZED);
    // A refused request, again and again: 60, 120, 240 s after the former.
    bench.clear();
    bench.answers = vec![Code::BAD_REQUEST; 3];
    let mut tried = Vec::new();
    for second in 1..=60 * 10 {
        let before = said(&bench).len();
        bench.pass(secs(1));
        if said(&bench).len() > before {
            tried.push(second);
        }
    }
    assert_eq!(tried, [60, 180, 420]);
    assert_eq!(events(&mut bench).len(), 2 + 2 * 3);
}

#[test]
fn a_request_that_nobody_answers_is_a_failure_unless_operations_come() {
    let mut lost = bench(0);
    lost.lose = (0..5).collect();
    lost.start();
    lost.pass(secs(100));
    let failed = events(&mut lost).pop();
    assert!(
        matches!(&failed, Some(Event::BootstrapFailed { reason, .. }) if reason == "timeout"),
        "{failed:?}"
    );
    let mut quiet = bench(0);
    // All five transmissions of the request; between the first two come the answers to the writes.
    quiet.lose = vec![0, 3, 4, 5, 6];
    quiet.start();
    // It has heard of the client by other means.
    write_account(&mut quiet, 1, 1);
    quiet.pass(secs(100));
    assert!(quiet.client.is_bootstrapping());
    assert_eq!(finish(&mut quiet).code, Code::CHANGED);
    assert!(quiet.client.is_registered(1));
}

#[test]
fn a_server_triggers_it_at_once_if_there_is_a_bootstrap_server() {
    let mut bench = Bench::registered(1);
    let refused = bench.ask(1, Request::new(Code::POST, "/1/0/9"));
    assert_eq!(refused.code, Code::METHOD_NOT_ALLOWED);
    assert_eq!(
        text(&refused),
        "/1/0/9: there is no account of a bootstrap server"
    );

    let config = Config::new("device");
    let mut bench = Bench::with(config, provided(1, Some(3600)), BOOTSTRAP);
    bench.start();
    bench.clear();
    for _ in 0..2 {
        let done = bench.ask(1, Request::new(Code::POST, "/1/0/9"));
        assert_eq!(done.code, Code::CHANGED);
    }
    assert_eq!(said(&bench), [(BOOTSTRAP, "POST /bs".to_owned())]);
    let cause = events(&mut bench)
        .into_iter()
        .find_map(|event| match event {
            Event::BootstrapRequested { cause, .. } => Some(cause),
            _ => None,
        });
    assert_eq!(cause, Some(Cause::Triggered));
    // The servers are served meanwhile, and where it fails, too.
    assert!(bench.client.is_registered(1));
    bench.pass(secs(247));
    assert!(bench.client.is_registered(1) && !bench.client.is_bootstrapping());
    bench.clear();
    bench.pass(secs(60));
    assert_eq!(said(&bench), [(BOOTSTRAP, "POST /bs".to_owned())]);
}

#[test]
fn it_is_asked_for_when_no_server_has_taken_the_client_as_often_as_it_is_to_try() {
    let tries = |resources: &[(&str, Value)], answers: Vec<Code>| {
        let mut store = provided(1, None);
        let mut begun = store.transaction();
        for (at, value) in resources {
            begun.set(path(at), value.clone()).unwrap();
        }
        begun.commit();
        let mut bench = Bench::with(Config::new("device"), store, BOOTSTRAP);
        bench.answers = answers;
        bench.start();
        bench.pass(secs(1000));
        said(&bench)
    };
    let registers = || (1, "POST /rd".to_owned());
    let asks = || (BOOTSTRAP, "POST /bs".to_owned());
    let refused = |times| vec![Code::FORBIDDEN; times];
    // Communication Retry Count is 5 where it is not said.
    assert_eq!(
        tries(&[], refused(5)),
        [
            registers(),
            registers(),
            registers(),
            registers(),
            registers(),
            asks()
        ]
    );
    let count = ("/1/0/17", Value::Unsigned(2));
    let timer = ("/1/0/18", Value::Unsigned(300));
    let said = tries(&[count.clone(), timer], refused(2));
    assert_eq!(said[..3], [registers(), registers(), asks()]);
    // Taken at last.
    assert_eq!(
        tries(std::slice::from_ref(&count), refused(1)),
        [registers(), registers()]
    );
    // Bootstrap on Registration Failure.
    let never = ("/1/0/16", Value::Boolean(false));
    assert_eq!(tries(&[count, never], refused(9)), vec![registers(); 5]);
}

#[test]
fn a_client_that_a_server_takes_while_it_holds_off_asks_no_more() {
    let mut store = provided(1, Some(100));
    let mut begun = store.transaction();
    begun.set(path("/1/0/17"), Value::Unsigned(1)).unwrap();
    begun.commit();
    let mut bench = Bench::with(Config::new("device"), store, BOOTSTRAP);
    bench.answers = vec![Code::FORBIDDEN];
    bench.start();
    bench.pass(secs(600));
    let registers = (1, "POST /rd".to_owned());
    assert_eq!(said(&bench), [registers.clone(), registers]);
}

#[test]
fn what_a_server_observed_ends_with_its_account_and_a_notify_wakes_with_one() {
    let mut bench = bench(1);
    bench.start();
    let of = bench.begin(1, observe("/3303/0/5700", Format::Text));
    let notify = [
        (5915, Value::String("/3/0/9".to_owned())),
        (5916, Value::Integer(1)),
        (5917, Value::String("/up".to_owned())),
        (5918, Value::Integer(900)),
        (5919, Value::Boolean(false)),
        (5920, Value::Boolean(true)),
    ]
    .map(|(id, value)| record(&format!("/2347/0/{id}"), value));
    assert_eq!(bench.ask(1, create(2347, &notify)).code, Code::CREATED);
    let reports = |bench: &Bench| {
        said(bench)
            .iter()
            .filter(|(_, said)| said == "PUT /up")
            .count()
    };
    assert_eq!(reports(&bench), 1);
    // Server 2 takes the place of server 1.
    let move_to = |bench: &mut Bench, from: usize, to: usize| {
        assert_eq!(
            bench.ask(from, Request::new(Code::POST, "/1/0/9")).code,
            Code::CHANGED
        );
        write_account(bench, 0, to);
        assert_eq!(finish(bench).code, Code::CHANGED);
        assert!(bench.client.is_registered(to as u16) && !bench.client.is_registered(from as u16));
    };
    move_to(&mut bench, 1, 2);
    bench.set("/3303/0/5700", 30.0);
    bench.pass(secs(1800));
    assert_eq!(bench.notifications(of), ["21.5"]);
    assert_eq!(reports(&bench), 1);
    assert_eq!(
        bench.ask(1, get("/3/0/9", Format::Text)).code,
        Code::UNAUTHORIZED
    );
    move_to(&mut bench, 2, 1);
    assert_eq!(reports(&bench), 2);
    bench.set("/3303/0/5700", 31.0);
    // The observation was of another registration.
    assert_eq!(bench.notifications(of), ["21.5"]);
}

#[test]
fn what_changes_meanwhile_is_there_afterwards() {
    let mut bench = bench(1);
    bench.start();
    assert_eq!(
        bench.ask(1, Request::new(Code::POST, "/1/0/9")).code,
        Code::CHANGED
    );
    bench.set("/3303/0/5700", 30.0);
    let position = [record("/3360/0/5702", Value::Float(9.0))];
    assert_eq!(bench.ask(1, create(3360, &position)).code, Code::CREATED);
    assert_eq!(
        bench.ask(1, Request::new(Code::DELETE, "/3304/0")).code,
        Code::DELETED
    );
    let lifetime = [record("/1/0/1", Value::Integer(500))];
    assert_eq!(
        bench
            .ask(1, with(Code::PUT, "/1/0/1", Format::Tlv, &lifetime))
            .code,
        Code::CHANGED
    );
    // What the bootstrap server has deleted does not come back by a change of it.
    assert_eq!(delete(&mut bench, "/3360/0"), Code::DELETED);
    bench.set("/3360/0/5702", 1.0);
    assert_eq!(finish(&mut bench).code, Code::CHANGED);
    let store = bench.client.store();
    let value = |at: &str| store.value(&path(at)).cloned();
    assert_eq!(value("/3303/0/5700"), Some(Value::Float(30.0)));
    assert_eq!(value("/3360/1/5702"), Some(Value::Float(9.0)));
    assert_eq!(value("/1/0/1"), Some(Value::Integer(500)));
    assert!(!store.contains(&path("/3304/0")) && !store.contains(&path("/3360/0")));
}

#[test]
fn an_account_from_a_file_with_a_uri_that_cannot_be_asked_is_refused() {
    let mut client = Client::new(
        Config::new("device"),
        device(1),
        units::Seed(1).rng(&["client"]),
        false,
    );
    let uri = (path("/0/1/0"), Value::String("coaps://[::1]".to_owned()));
    let error = client.add(path("/0/1"), &[uri]).unwrap_err();
    assert!(
        error.to_string().contains("other schemes than coap"),
        "{error}"
    );
}

#[test]
fn a_crash_leaves_the_old_configuration_or_the_new_one() {
    let steps: [fn(&mut Bench); 5] = [
        |bench| assert_eq!(delete(bench, "/"), Code::DELETED),
        |bench| {
            let done = put(bench, "/0/1", Format::Tlv, &security(1, 2));
            assert_eq!(done.code, Code::CHANGED);
        },
        |bench| {
            let done = put(bench, "/1/3", Format::Tlv, &server(3, 2));
            assert_eq!(done.code, Code::CHANGED);
        },
        |bench| drop(discovered(bench, "/")),
        |bench| assert_eq!(finish(bench).code, Code::CHANGED),
    ];
    for crash_after in 0..=steps.len() {
        let mut bench = bench(1);
        bench.start();
        let old = bench.client.store().save();
        assert_eq!(
            bench.ask(1, Request::new(Code::POST, "/1/0/9")).code,
            Code::CHANGED
        );
        for step in &steps[..crash_after] {
            step(&mut bench);
        }
        bench.crash();
        let new = crash_after == steps.len();
        assert_eq!(bench.client.store().save() == old, !new, "{crash_after}");
        assert_eq!(bench.client.is_registered(1), !new);
        assert_eq!(bench.client.is_registered(2), new);
        assert!(!bench.client.is_bootstrapping());
    }
}
