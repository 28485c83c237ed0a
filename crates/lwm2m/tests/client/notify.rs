//! Notify (2347): what it says, when, and to whom.

use std::time::Duration;

use coap::message::option;
use coap::{Code, Event};
use lwm2m::{Format, Record, Value};

use crate::support::*;

/// A Notify of a resource to server 1, at `/up` every 900 s.
fn notify(uri: &str, more: &[(u16, Value)]) -> Vec<Record> {
    let text = |text: &str| Value::String(text.to_owned());
    let mut values = vec![
        (5915, text(uri)),
        (5916, Value::Integer(1)),
        (5917, text("/up")),
        (5918, Value::Integer(900)),
        (5919, Value::Boolean(false)),
        (5920, Value::Boolean(true)),
    ];
    for (id, value) in more {
        values.retain(|(there, _)| there != id);
        values.push((*id, value.clone()));
    }
    let records = values
        .into_iter()
        .map(|(id, value)| Record::new(path(&format!("/2347/0/{id}")), value));
    records.collect()
}

/// What server 1 was sent at `/up`.
fn sent(bench: &Bench) -> Vec<String> {
    let requests = bench
        .requests()
        .into_iter()
        .filter(|request| request.path() == "/up");
    requests
        .map(|request| String::from_utf8_lossy(&request.payload).into_owned())
        .collect()
}

const PERIOD: Duration = Duration::from_secs(900);

#[test]
fn a_value_is_sent_at_once_and_then_at_every_period_without_drift() {
    let mut bench = Bench::registered(1);
    bench.pass(Duration::from_secs(7));
    assert_eq!(
        bench.ask(1, create(2347, &notify("/3/0/9", &[]))).code,
        Code::CREATED
    );
    assert_eq!(sent(&bench).len(), 1);
    bench.pass(PERIOD - Duration::from_secs(1));
    assert_eq!(sent(&bench).len(), 1);
    bench.pass(Duration::from_secs(1));
    assert_eq!(sent(&bench).len(), 2);
    bench.pass(PERIOD * 8);
    assert_eq!(sent(&bench).len(), 10);
    // Another period begins anew.
    let often = Record::new(path("/2347/0/5918"), Value::Integer(10));
    bench.ask(1, with(Code::PUT, "/2347/0/5918", Format::Tlv, &[often]));
    assert_eq!(sent(&bench).len(), 11);
    bench.pass(Duration::from_secs(30));
    assert_eq!(sent(&bench).len(), 14);
}

#[test]
fn it_wants_no_response_and_waits_for_none() {
    let mut bench = Bench::registered(1);
    bench.ask(
        1,
        create(2347, &notify("/3/0/9", &[(5918, Value::Integer(1))])),
    );
    bench.clear();
    bench.pass(Duration::from_secs(5));
    assert_eq!(sent(&bench).len(), 5);
    assert_eq!(bench.received.len(), 0);
    let request = bench.requests()[0];
    assert_eq!(request.options.get_uint(option::NO_RESPONSE), Some(26));
    let non = bench.events.iter().filter(|(_, event)| {
        matches!(
            event,
            Event::Request {
                confirmable: false,
                ..
            }
        )
    });
    assert_eq!(non.count(), 5);
}

#[test]
fn a_batch_of_six_is_sent_as_one() {
    let mut bench = Bench::registered(1);
    bench.ask(1, create_batch(&SIX));
    assert_eq!(
        bench
            .ask(1, create(2347, &notify("/2346/0/5914", &[])))
            .code,
        Code::CREATED
    );
    let request = bench
        .requests()
        .into_iter()
        .find(|request| request.path() == "/up")
        .unwrap();
    assert_eq!(request.options.get_uint(option::CONTENT_FORMAT), Some(112));
    let records = lwm2m::format::decode(
        Format::SenmlCbor,
        &path("/2346/0/5914"),
        &request.payload,
        bench.client.store().registry(),
    );
    assert_eq!(records.unwrap().len(), 6);
}

#[test]
fn without_a_resource_it_says_that_the_client_is_there() {
    let mut bench = Bench::registered(1);
    assert_eq!(
        bench.ask(1, create(2347, &notify("", &[]))).code,
        Code::CREATED
    );
    let request = bench
        .requests()
        .into_iter()
        .find(|request| request.path() == "/up")
        .unwrap();
    assert!(request.payload.is_empty() && request.options.get(option::CONTENT_FORMAT).is_none());
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut bench = Bench::registered(1);
    let text = |text: &str| Value::String(text.to_owned());
    for (uri, more, expected) in [
        ("/3/0/9", (5916, Value::Integer(2)), "4.00"),
        ("/3/0/9", (5916, Value::Integer(0)), "4.00"),
        ("/3/0/9", (5918, Value::Integer(0)), "4.00"),
        ("/3/0/9", (5917, text("up")), "4.00"),
        ("/3/0/9", (5917, text("/rd/1")), "4.00"),
        ("/3/0/9", (5917, text("/dp")), "4.00"),
        ("/3/0/9", (5917, text("/up?x=1")), "4.00"),
        ("/3/0/9", (5917, text("coap://[::1]/up")), "4.00"),
        ("/3/0/10", (5917, text("/up")), "4.04"),
        ("/3/0/4", (5917, text("/up")), "4.00"),
        ("/0/0/0", (5917, text("/up")), "4.01"),
        ("/2346/0/5914", (5917, text("/up")), "4.04"),
        ("x", (5917, text("/up")), "4.00"),
        ("/3/0", (5917, text("/n/5a3f/0")), "2.01"),
    ] {
        let response = bench.ask(1, create(2347, &notify(uri, std::slice::from_ref(&more))));
        assert_eq!(
            response.code.to_string(),
            expected,
            "{uri} {more:?}: {}",
            self::text(&response)
        );
    }
    let unwhole = create(2347, &notify("/3/0/9", &[])[1..]);
    assert_eq!(bench.ask(1, unwhole).code, Code::BAD_REQUEST);
}

#[test]
fn only_its_owner_points_it_to_another_server() {
    let mut store = device(2);
    let mut begun = store.transaction();
    for (control, object, instance, owner, rights) in
        [(0, 2347, 65_535, 65_535, 16), (1, 3, 0, 1, 1)]
    {
        let control = lwm2m::Path::instance(2, control);
        begun.create(control).unwrap();
        for (id, value) in [(0, object), (1, instance), (3, owner)] {
            begun
                .set(control.child(id).unwrap(), Value::Integer(value))
                .unwrap();
        }
        let acl = control.child(2).unwrap().child(0).unwrap();
        begun.set(acl, Value::Integer(rights)).unwrap();
    }
    begun.commit();
    let mut bench = Bench::with(lwm2m::client::Config::new("device"), store, 2);
    bench.start();
    assert_eq!(
        bench.ask(1, create(2347, &notify("/3/0/9", &[]))).code,
        Code::CREATED
    );
    // Server 1 gives server 2 the right to write it.
    let may = Record::new(path("/2/2/2/2"), Value::Integer(3));
    assert_eq!(
        bench
            .ask(1, with(Code::POST, "/2/2/2", Format::Tlv, &[may]))
            .code,
        Code::CHANGED
    );
    let to = |server| Record::new(path("/2347/0/5916"), Value::Integer(server));
    let put = |server| with(Code::PUT, "/2347/0/5916", Format::Tlv, &[to(server)]);
    assert_eq!(bench.ask(2, put(1)).code, Code::CHANGED);
    assert_eq!(bench.ask(1, put(2)).code, Code::CHANGED);
    assert_eq!(bench.ask(2, put(1)).code, Code::UNAUTHORIZED);
}

/// What is written through a batch has the rules of what it links to.
#[test]
fn a_batch_neither_redirects_nor_breaks_a_notify() {
    let mut bench = Bench::registered(1);
    assert_eq!(
        bench.ask(1, create(2347, &notify("/3/0/9", &[]))).code,
        Code::CREATED
    );
    let links = ["/2347/0/5917", "/2347/0/5918"];
    assert_eq!(bench.ask(1, create_batch(&links)).code, Code::CREATED);
    for (uri, period, expected) in [
        ("/rd", "5", "4.00"),
        ("/up", "0", "4.00"),
        ("/on", "5", "2.04"),
    ] {
        let values = [
            string("/2346/0/5914/0", uri),
            string("/2346/0/5914/1", period),
        ];
        let put = with(Code::PUT, "/2346/0/5914", Format::Tlv, &values);
        assert_eq!(
            bench.ask(1, put).code.to_string(),
            expected,
            "{uri} {period}"
        );
    }
}

/// A confirmable one that is not acknowledged is not joined by others; one with the values of then follows.
#[test]
fn one_that_is_not_through_is_followed_by_the_latest() {
    let mut bench = Bench::registered(1);
    let confirmable = [
        (5918, Value::Integer(1)),
        (5919, Value::Boolean(true)),
        (5920, Value::Boolean(false)),
    ];
    bench.ask(1, create(2347, &notify("/3303/0/5700", &confirmable)));
    bench.clear();
    bench.lose = (0..3).collect();
    bench.set("/3303/0/5700", 1.0);
    bench.pass(Duration::from_secs(1));
    bench.set("/3303/0/5700", 2.0);
    bench.pass(Duration::from_secs(8));
    bench.set("/3303/0/5700", 3.0);
    // The first one and its retransmissions, lost.
    assert_eq!((bench.sent.len(), sent(&bench).len()), (3, 0));
    bench.pass(Duration::from_secs(30));
    let registry = bench.client.store().registry().clone();
    let values: Vec<Option<Value>> = bench
        .requests()
        .into_iter()
        .filter(|r| r.path() == "/up")
        .map(|request| {
            let records = lwm2m::format::decode(
                Format::SenmlCbor,
                &path("/3303/0/5700"),
                &request.payload,
                &registry,
            );
            records.unwrap()[0].value.clone()
        })
        .collect();
    assert_eq!(
        values[..2],
        [Some(Value::Float(1.0)), Some(Value::Float(3.0))],
        "{values:?}"
    );
}

#[test]
fn a_server_that_knows_the_client_no_more_is_registered_with_again() {
    let mut bench = Bench::registered(1);
    let answered = [(5920, Value::Boolean(false))];
    bench.ask(1, create(2347, &notify("/3/0/9", &answered)));
    bench.clear();
    bench.answers = vec![Code::NOT_FOUND, Code::NOT_FOUND];
    bench.pass(PERIOD);
    let paths: Vec<String> = bench
        .requests()
        .iter()
        .map(|request| request.path())
        .collect();
    assert_eq!(paths, ["/up", "/rd/1", "/rd", "/up"]);
}
