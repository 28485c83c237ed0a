//! Observations (LwM2M 1.1 Core §6.4), and those of a batch.

use std::time::Duration;

use coap::message::option;
use coap::{Code, Request};
use lwm2m::{Format, Record, Value};

use crate::support::*;

const VALUES: &str = "/2346/0/5914";

fn with_query(mut request: Request, query: &str) -> Request {
    request.options.push(option::URI_QUERY, query);
    request
}

#[test]
fn a_change_is_told_once_and_an_equal_value_not_at_all() {
    let mut bench = Bench::registered(1);
    let of = bench.begin(1, observe("/3303/0/5700", Format::Text));
    bench.set("/3303/0/5700", 22.0);
    bench.set("/3303/0/5700", 22.0);
    bench.set("/3304/0/5700", 1.0);
    bench.set("/3303/0/5700", 23.0);
    assert_eq!(bench.notifications(of), ["21.5", "22", "23"]);
}

#[test]
fn an_instance_and_an_object_show_what_is_below() {
    let mut bench = Bench::registered(1);
    let instance = bench.begin(1, observe("/3360/0", Format::SenmlJson));
    let object = bench.begin(1, observe("/3360", Format::SenmlJson));
    bench.set("/3360/0/5702", 9.0);
    bench.ask(
        1,
        create(
            3360,
            &[Record::new(path("/3360/0/5702"), Value::Float(1.0))],
        ),
    );
    assert_eq!(bench.notifications(instance).len(), 2);
    let all = bench.notifications(object);
    assert_eq!(all.len(), 3);
    assert!(
        all[2].contains("/3360/1") || all[2].contains("1/5702"),
        "{}",
        all[2]
    );
}

#[test]
fn attributes_say_when() {
    let mut bench = Bench::registered(1);
    bench.ask(
        1,
        with_query(Request::new(Code::PUT, "/3303/0/5700"), "pmin=10"),
    );
    bench.ask(1, with_query(Request::new(Code::PUT, "/3303/0"), "pmax=60"));
    let of = bench.begin(1, observe("/3303/0/5700", Format::Text));
    bench.set("/3303/0/5700", 22.0);
    bench.set("/3303/0/5700", 23.0);
    assert_eq!(bench.notifications(of).len(), 1);
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.notifications(of), ["21.5", "23"]);
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.notifications(of), ["21.5", "23", "23"]);
    // A condition: what does not cross it is told when pmax says so.
    bench.ask(
        1,
        with_query(Request::new(Code::PUT, "/3303/0/5700"), "gt=30"),
    );
    bench.set("/3303/0/5700", 29.0);
    bench.pass(Duration::from_secs(20));
    bench.set("/3303/0/5700", 31.0);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.notifications(of).last().unwrap(), "31");
}

#[test]
fn the_account_has_periods_for_what_says_none() {
    let mut bench = Bench::registered(1);
    let pmax = Record::new(path("/1/0/3"), Value::Integer(30));
    bench.ask(1, with(Code::PUT, "/1/0/3", Format::Tlv, &[pmax]));
    let of = bench.begin(1, observe("/3303/0/5700", Format::Text));
    bench.pass(Duration::from_secs(91));
    assert_eq!(bench.notifications(of).len(), 4);
}

#[test]
fn a_composite_is_told_once_for_all_that_a_write_changes() {
    let mut bench = Bench::registered(1);
    let named = [path("/3360/0/5702"), path("/3303/0/5700")];
    let mut fetch = Request::new(Code::FETCH, "/");
    fetch.options.push_uint(option::CONTENT_FORMAT, 110);
    fetch.payload = lwm2m::format::encode_paths(Format::SenmlJson, &named).unwrap();
    fetch.options.push_uint(option::ACCEPT, 110);
    fetch.options.push_uint(option::OBSERVE, 0);
    let of = bench.begin(1, fetch);
    let written = [
        Record::new(path("/3360/0/5702"), Value::Float(1.0)),
        Record::new(path("/3360/0/5703"), Value::Float(2.0)),
    ];
    assert_eq!(
        bench
            .ask(1, with(Code::IPATCH, "/", Format::SenmlCbor, &written))
            .code,
        Code::CHANGED
    );
    bench.set("/3303/0/5700", 30.0);
    bench.set("/3304/0/5700", 30.0);
    let told = bench.notifications(of);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[1].contains("21.5") && told[2].contains("30"),
        "{told:?}"
    );
}

/// The paper, §IV-B: a change through the batch reaches the observers of each resource, and one of a resource those of the
/// batch; once each.
#[test]
fn a_batch_and_what_it_links_to_tell_each_others_observers() {
    let mut bench = Bench::registered(1);
    bench.ask(1, create_batch(&SIX[2..5]));
    let of_batch = bench.begin(1, observe(VALUES, Format::Json));
    let of_one = bench.begin(1, observe("/2346/0/5914/2", Format::Text));
    let of_x = bench.begin(1, observe("/3360/0/5702", Format::Text));
    let of_instance = bench.begin(1, observe("/3360/0", Format::SenmlJson));
    let counts = |bench: &Bench| {
        [of_batch, of_one, of_x, of_instance].map(|of| bench.notifications(of).len())
    };
    let records: Vec<Record> = (0..3)
        .map(|n| string(&format!("{VALUES}/{n}"), "5"))
        .collect();
    bench.ask(1, with(Code::PUT, VALUES, Format::Tlv, &records));
    assert_eq!(counts(&bench), [2, 2, 2, 2]);
    // The same once more changes nothing.
    bench.ask(1, with(Code::PUT, VALUES, Format::Tlv, &records));
    assert_eq!(counts(&bench), [2, 2, 2, 2]);
    // From outside: as many notifications as changes.
    bench.set("/3360/0/5702", 6.0);
    bench.set("/3360/0/5703", 6.0);
    assert_eq!(counts(&bench), [4, 2, 3, 4]);
    bench.set("/3360/0/5704", 6.0);
    assert_eq!(counts(&bench), [5, 3, 3, 5]);
}

#[test]
fn an_observed_batch_whose_configuration_goes_ends() {
    let mut bench = Bench::registered(1);
    bench.ask(1, create_batch(&SIX[2..5]));
    let of = bench.begin(1, observe(VALUES, Format::Json));
    // Another configuration: one notification with the new value.
    let other = with(
        Code::PUT,
        "/2346/0/5913",
        Format::Tlv,
        &[string("/2346/0/5913/0", "/3/0/9")],
    );
    assert_eq!(bench.ask(1, other).code, Code::CHANGED);
    assert_eq!(bench.notifications(of).len(), 2);
    assert!(bench.notifications(of)[1].contains("100"));
    bench.clear();
    assert_eq!(
        bench.ask(1, Request::new(Code::DELETE, "/2346/0")).code,
        Code::DELETED
    );
    let ended = bench.events.iter().any(|(_, event)| {
        matches!(event, coap::Event::Response { id, response, .. } if *id == of && response.code == Code::NOT_FOUND)
    });
    assert!(ended, "{:?}", bench.events);
}

#[test]
fn attributes_of_a_batch_value_are_times_only() {
    let mut bench = Bench::registered(1);
    bench.ask(1, create_batch(&SIX[2..5]));
    assert_eq!(
        bench
            .ask(1, with_query(Request::new(Code::PUT, VALUES), "gt=5"))
            .code,
        Code::BAD_REQUEST
    );
    assert_eq!(
        bench
            .ask(1, with_query(Request::new(Code::PUT, VALUES), "pmin=5"))
            .code,
        Code::CHANGED
    );
    // What is attached to a link does not count for the batch.
    bench.ask(
        1,
        with_query(Request::new(Code::PUT, "/3360/0/5702"), "gt=1000"),
    );
    let of = bench.begin(1, observe(VALUES, Format::Json));
    bench.set("/3360/0/5702", 6.0);
    assert_eq!(bench.notifications(of).len(), 1);
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.notifications(of).len(), 2);
}
