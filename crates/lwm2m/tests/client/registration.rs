//! Registration (LwM2M 1.1 Core §6.2).

use std::time::Duration;

use coap::Code;
use coap::message::option;
use lwm2m::client::Config;
use lwm2m::model::Version;
use lwm2m::{Format, Value};

use crate::support::*;

fn queries(request: &coap::Request) -> Vec<String> {
    let all = request.options.get_all(option::URI_QUERY);
    all.map(|query| String::from_utf8_lossy(query).into_owned())
        .collect()
}

#[test]
fn a_client_registers_with_its_name_lifetime_version_and_objects() {
    let mut bench = Bench::with(Config::new("device"), device(1), 1);
    bench.start();
    let requests = bench.requests();
    let [request] = requests.as_slice() else {
        panic!("{requests:?}")
    };
    assert_eq!(
        (request.method, request.path().as_str()),
        (Code::POST, "/rd")
    );
    assert_eq!(
        queries(request),
        ["ep=device", "lt=86400", "lwm2m=1.1", "b=U"]
    );
    assert_eq!(request.options.get_uint(option::CONTENT_FORMAT), Some(40));
    assert_eq!(
        String::from_utf8_lossy(&request.payload),
        "</>;rt=\"oma.lwm2m\";ct=112,</1>;ver=1.1,</1/0>,</2>;ver=1.1,</3>;ver=1.2,</3/0>,</2346>,</2347>,\
         </3303/0>,</3304/0>,</3360/0>"
    );
    assert!(bench.client.is_registered(1));
}

#[test]
fn after_4_12_it_takes_the_next_version() {
    let config = Config {
        versions: vec![Version::V1_2, Version::V1_1, Version::V1_0],
        queue: true,
        ..Config::new("device")
    };
    let mut bench = Bench::with(config, device(1), 1);
    bench.answers = vec![Code::PRECONDITION_FAILED, Code::PRECONDITION_FAILED];
    bench.start();
    let versions: Vec<_> = bench
        .requests()
        .iter()
        .map(|request| queries(request))
        .collect();
    assert_eq!(versions[0][2..], ["lwm2m=1.2", "b=U", "Q"]);
    assert_eq!(versions[1][2..], ["lwm2m=1.1", "b=U", "Q"]);
    assert_eq!(versions[2][2..], ["lwm2m=1.0", "b=UQ"]);
    assert!(bench.client.is_registered(1));
    // Of 1.0 without the root, and without SenML.
    let payload = String::from_utf8_lossy(&bench.requests()[2].payload).into_owned();
    assert!(payload.starts_with("</1>"), "{payload}");
}

#[test]
fn it_updates_at_half_its_lifetime_and_says_only_what_is_new() {
    let mut bench = Bench::registered(1);
    bench.pass(LIFETIME / 2);
    let update = bench.requests()[0];
    assert_eq!(
        (update.method, update.path().as_str()),
        (Code::POST, "/rd/1")
    );
    assert!(queries(update).is_empty() && update.payload.is_empty());
    bench.clear();
    // A server creates something, and sets another lifetime.
    assert_eq!(bench.ask(1, create(3360, &[])).code, Code::CREATED);
    let requests = bench.requests();
    let payload = String::from_utf8_lossy(&requests[0].payload).into_owned();
    assert!(payload.ends_with("</3360/0>,</3360/1>"), "{payload}");
    bench.clear();
    let lifetime = lwm2m::Record::new(path("/1/0/1"), Value::Integer(300));
    assert_eq!(
        bench
            .ask(1, with(Code::PUT, "/1/0/1", Format::Tlv, &[lifetime]))
            .code,
        Code::CHANGED
    );
    assert_eq!(queries(bench.requests()[0]), ["lt=300"]);
    bench.clear();
    // 93 s before its end is later than half of it.
    bench.pass(Duration::from_secs(150));
    assert_eq!(bench.requests().len(), 1);
}

#[test]
fn it_registers_again_where_it_is_not_known_any_more() {
    let mut bench = Bench::registered(1);
    bench.answers = vec![Code::NOT_FOUND];
    bench.pass(LIFETIME / 2);
    let paths: Vec<String> = bench
        .requests()
        .iter()
        .map(|request| request.path())
        .collect();
    assert_eq!(paths, ["/rd/1", "/rd"]);
    assert!(bench.client.is_registered(1));
}

#[test]
fn a_registration_that_fails_is_tried_again_ever_later() {
    let mut bench = Bench::with(Config::new("device"), device(1), 1);
    bench.answers = vec![Code::FORBIDDEN; 3];
    bench.start();
    let mut tried = Vec::new();
    for second in 1..=60 * 8 {
        let before = bench.requests().len();
        bench.pass(Duration::from_secs(1));
        if bench.requests().len() > before {
            tried.push(second);
        }
    }
    assert_eq!(tried, [60, 180, 420]);
    assert!(bench.client.is_registered(1));
}

#[test]
fn a_server_may_ask_for_an_update_and_for_rest() {
    let mut bench = Bench::registered(1);
    assert_eq!(
        bench.ask(1, coap::Request::new(Code::POST, "/1/0/8")).code,
        Code::CHANGED
    );
    assert_eq!(bench.requests()[0].path(), "/rd/1");
    bench.clear();
    let timeout = lwm2m::Record::new(path("/1/0/5"), Value::Integer(30));
    bench.ask(1, with(Code::PUT, "/1/0/5", Format::Tlv, &[timeout]));
    assert_eq!(
        bench.ask(1, coap::Request::new(Code::POST, "/1/0/4")).code,
        Code::CHANGED
    );
    let last = bench
        .requests()
        .last()
        .map(|request| (request.method, request.path()));
    assert_eq!(last, Some((Code::DELETE, "/rd/1".to_owned())));
    assert!(!bench.client.is_registered(1));
    bench.pass(Duration::from_secs(30));
    assert!(bench.client.is_registered(1));
}

#[test]
fn a_server_that_is_left_is_told_nothing_more() {
    let mut bench = Bench::registered(1);
    let of = bench.begin(1, observe("/3303/0/5700", Format::Text));
    assert_eq!(
        bench.ask(1, coap::Request::new(Code::POST, "/1/0/4")).code,
        Code::CHANGED
    );
    bench.set("/3303/0/5700", 30.0);
    assert_eq!(bench.notifications(of), ["21.5"]);
}

#[test]
fn a_server_that_takes_registrations_and_no_updates_is_left_alone_for_ever_longer() {
    let mut bench = Bench::registered(1);
    bench.answers = [Code::SERVICE_UNAVAILABLE, Code::CREATED].repeat(8);
    bench.pass(LIFETIME * 3);
    assert!(
        bench.requests().len() <= 12,
        "{} requests",
        bench.requests().len()
    );
}
