//! Device management (LwM2M 1.1 Core §6.3), and the bytes of the paper's tables.

use coap::message::option;
use coap::{Code, Request};
use lwm2m::client::Config;
use lwm2m::format::Style;
use lwm2m::value::FloatText;
use lwm2m::{Format, Record, Value};

use crate::support::*;

/// A device that writes floats as the paper's did.
fn of_the_paper() -> Bench {
    let style = Style {
        float_text: FloatText::SixDecimals,
        ..Style::default()
    };
    let config = Config {
        style,
        versions: vec![lwm2m::model::Version::V1_0],
        ..Config::new("device")
    };
    let mut bench = Bench::with(config, device(1), 1);
    bench.start();
    bench.clear();
    bench
}

#[test]
fn the_separate_reads_of_table_v_are_those_of_the_paper_to_the_byte() {
    let mut bench = of_the_paper();
    for at in SIX {
        assert_eq!(bench.get(at, Format::Json).code, Code::CONTENT);
    }
    assert_eq!(bench.received, [27, 27, 27, 27, 27, 21]);
    assert_eq!(bench.sent, [59, 59, 58, 58, 58, 47]);
}

#[test]
fn the_batch_of_table_v_is_that_of_the_paper_to_the_byte() {
    let mut bench = of_the_paper();
    let created = bench.ask(1, create_batch(&SIX));
    assert_eq!(created.code, Code::CREATED);
    let location: Vec<&[u8]> = created.options.get_all(option::LOCATION_PATH).collect();
    assert_eq!(location, [b"2346".as_slice(), b"0"]);
    // What the client says of its own accord: a new instance.
    let update = bench
        .requests()
        .iter()
        .filter(|request| request.path() == "/rd/1")
        .count();
    assert_eq!(update, 1);
    assert_eq!((bench.received[0], bench.sent[0]), (108, 19));
    bench.clear();
    let json = bench.get("/2346/0/5914", Format::Json);
    assert_eq!((bench.received[0], bench.sent[0]), (27, 202));
    assert_eq!(
        text(&json),
        "{\"bn\":\"/2346/0/5914\",\"e\":[{\"n\":\"/0\",\"sv\":\"21.500000\"},{\"n\":\"/1\",\"sv\":\"48.000000\"},\
         {\"n\":\"/2\",\"sv\":\"3.250000\"},{\"n\":\"/3\",\"sv\":\"7.125000\"},{\"n\":\"/4\",\"sv\":\"1.200000\"},\
         {\"n\":\"/5\",\"sv\":\"100\"}]}"
    );
    bench.clear();
    bench.get("/2346/0/5914", Format::Tlv);
    assert_eq!((bench.received[0], bench.sent[0]), (27, 82));
}

#[test]
fn the_writes_of_table_iv_are_those_of_the_paper_to_the_byte() {
    let mut bench = of_the_paper();
    let mut empty = Request::new(Code::POST, "/3360");
    empty
        .options
        .push_uint(option::CONTENT_FORMAT, Format::Tlv.number().into());
    assert_eq!(bench.ask(1, empty).code, Code::CREATED);
    assert_eq!((bench.received[0], bench.sent[0]), (20, 19));
    bench.clear();
    let x = Record::new(path("/3360/1/5702"), Value::Float(1.0));
    assert_eq!(
        bench
            .ask(1, with(Code::PUT, "/3360/1/5702", Format::Tlv, &[x]))
            .code,
        Code::CHANGED
    );
    assert_eq!((bench.received[0], bench.sent[0]), (40, 12));
    bench.clear();
    let links = ["/3360/1/5702", "/3360/1/5703", "/3360/1/5704"];
    assert_eq!(bench.ask(1, create_batch(&links)).code, Code::CREATED);
    assert_eq!((bench.received[0], bench.sent[0]), (70, 19));
    bench.clear();
    let texts = ["12.34567890123", "2.34567890123", "3.45678901234"];
    let records = texts
        .iter()
        .enumerate()
        .map(|(n, t)| string(&format!("/2346/0/5914/{n}"), t));
    let records: Vec<Record> = records.collect();
    let put = with(Code::PUT, "/2346/0/5914", Format::Tlv, &records);
    assert_eq!(bench.ask(1, put).code, Code::CHANGED);
    assert_eq!((bench.received[0], bench.sent[0]), (81, 12));
}

/// What a request is answered: the code of each.
#[test]
fn every_operation_has_its_answers() {
    let mut bench = Bench::registered(1);
    let value = |at: &str, value: Value| Record::new(path(at), value);
    let tlv = |method, at: &str, records: &[Record]| with(method, at, Format::Tlv, records);
    let battery = value("/3/0/9", Value::Integer(7));
    for (request, expected) in [
        (get("/3/0/9", Format::Text), "2.05"),
        (get("/3/0/9", Format::Cbor), "2.05"),
        (get("/3/0", Format::Text), "4.06"),
        (get("/3/0/9/0", Format::Text), "4.04"),
        (get("/3/1", Format::Tlv), "4.04"),
        (get("/9", Format::Tlv), "4.04"),
        (get("/9999/0/1", Format::Tlv), "4.04"),
        (get("/3/0/4", Format::Text), "4.05"),
        (get("/0/0", Format::Tlv), "4.01"),
        (get("/0", Format::Tlv), "4.01"),
        (Request::new(Code::GET, "/3/0"), "2.05"),
        (Request::new(Code::GET, "/"), "4.05"),
        (Request::new(Code::GET, "/3/x"), "4.04"),
        (
            tlv(Code::PUT, "/3/0/9", std::slice::from_ref(&battery)),
            "4.05",
        ),
        (
            tlv(Code::PUT, "/3/0/14", &[string("/3/0/14", "+01:00")]),
            "2.04",
        ),
        (
            tlv(Code::POST, "/3/0", &[string("/3/0/15", "Europe/Paris")]),
            "2.04",
        ),
        (tlv(Code::PUT, "/3/1/14", &[string("/3/1/14", "x")]), "4.04"),
        (
            tlv(Code::PUT, "/0/0/0", &[string("/0/0/0", "coap://[::1]")]),
            "4.01",
        ),
        (Request::new(Code::POST, "/3/0/4"), "2.04"),
        (Request::new(Code::POST, "/3/0/5"), "2.04"),
        (Request::new(Code::DELETE, "/3/0"), "4.05"),
        (Request::new(Code::DELETE, "/3360/0"), "2.02"),
        (Request::new(Code::DELETE, "/3360/0"), "4.04"),
        (Request::new(Code::DELETE, "/3360"), "4.05"),
        (create(3360, &[]), "2.01"),
        (create(9, &[]), "4.04"),
        (create(3, &[]), "4.00"),
        (Request::new(Code::PUT, "/3/0/9"), "4.00"),
        (Request::new(Code::PATCH, "/3/0/9"), "4.05"),
    ] {
        let (method, at) = (request.method, request.path());
        let response = bench.ask(1, request);
        assert_eq!(
            response.code.to_string(),
            expected,
            "{method} {at}: {}",
            text(&response)
        );
    }
    let mut unknown = Request::new(Code::PUT, "/3/0/14");
    unknown.options.push_uint(option::CONTENT_FORMAT, 9999);
    unknown.payload = b"x".to_vec();
    assert_eq!(bench.ask(1, unknown).code, Code::UNSUPPORTED_CONTENT_FORMAT);
}

#[test]
fn discover_names_resources_attributes_and_dimensions() {
    let mut bench = Bench::registered(1);
    let mut attach = Request::new(Code::PUT, "/3/0/9");
    attach.options.push(option::URI_QUERY, "pmin=10");
    attach.options.push(option::URI_QUERY, "gt=50");
    assert_eq!(bench.ask(1, attach).code, Code::CHANGED);
    assert_eq!(
        text(&bench.get("/3/0", Format::Link)),
        "</3/0>,</3/0/4>,</3/0/5>,</3/0/9>;pmin=10;gt=50,</3/0/11>;dim=1,</3/0/12>,</3/0/16>"
    );
    assert_eq!(
        text(&bench.get("/3/0/9", Format::Link)),
        "</3/0/9>;pmin=10;gt=50"
    );
    assert_eq!(bench.get("/0/0", Format::Link).code, Code::UNAUTHORIZED);
    assert_eq!(bench.get("/3/0/99", Format::Link).code, Code::NOT_FOUND);
}

#[test]
fn attributes_of_numbers_are_refused_elsewhere() {
    let mut bench = Bench::registered(1);
    for (at, query, expected) in [
        ("/3/0/14", "gt=1", "4.04"),
        ("/3/0/16", "gt=1", "4.00"),
        ("/3/0", "lt=1", "4.00"),
        ("/3/0/9", "pmin=x", "4.00"),
        ("/3/0/9", "pmax=10", "2.04"),
        ("/0/0", "pmin=1", "4.01"),
    ] {
        let mut request = Request::new(Code::PUT, at);
        request.options.push(option::URI_QUERY, query);
        let response = bench.ask(1, request);
        assert_eq!(
            response.code.to_string(),
            expected,
            "{at} {query}: {}",
            text(&response)
        );
    }
}

#[test]
fn a_stranger_gets_nothing() {
    // Two endpoints, of which the client has an account with one.
    let mut bench = Bench::with(Config::new("device"), device(1), 2);
    bench.start();
    let response = bench.ask(2, get("/3/0/9", Format::Text));
    assert_eq!(response.code, Code::UNAUTHORIZED);
}

#[test]
fn servers_that_share_a_device_may_use_all_of_it_and_delete_only_their_own() {
    let mut bench = Bench::with(Config::new("device"), device(2), 2);
    bench.client.share().unwrap();
    bench.start();
    for server in [1, 2] {
        assert_eq!(
            bench.ask(server, get("/3303/0/5700", Format::Text)).code,
            Code::CONTENT
        );
        let mine = bench.ask(server, create(3360, &[]));
        assert_eq!(mine.code, Code::CREATED);
    }
    // Each sees its own account, and neither the other's.
    assert_eq!(
        bench.ask(1, get("/1/0/1", Format::Text)).code,
        Code::CONTENT
    );
    assert_eq!(
        bench.ask(1, get("/1/1/1", Format::Text)).code,
        Code::UNAUTHORIZED
    );
    assert_eq!(
        bench.ask(1, Request::new(Code::DELETE, "/3360/2")).code,
        Code::UNAUTHORIZED
    );
    assert_eq!(
        bench.ask(2, Request::new(Code::DELETE, "/3360/2")).code,
        Code::DELETED
    );
}

#[test]
fn a_whole_instance_is_replaced_only_by_who_may_and_stays_whole() {
    let mut bench = Bench::with(Config::new("device"), device(2), 2);
    bench.client.share().unwrap();
    bench.start();
    // Nothing is named, so that everything would go.
    let mut empty = Request::new(Code::PUT, "/1/0");
    empty
        .options
        .push_uint(option::CONTENT_FORMAT, Format::Tlv.number().into());
    assert_eq!(bench.ask(2, empty.clone()).code, Code::UNAUTHORIZED);
    assert_eq!(bench.ask(1, empty).code, Code::BAD_REQUEST);
    assert_eq!(text(&bench.ask(1, get("/1/0/1", Format::Text))), "86400");
}

#[test]
fn a_server_neither_makes_nor_ends_an_account() {
    let mut bench = Bench::registered(1);
    assert_eq!(
        bench.ask(1, Request::new(Code::DELETE, "/1/0")).code,
        Code::UNAUTHORIZED
    );
    assert_eq!(bench.ask(1, create(1, &[])).code, Code::UNAUTHORIZED);
    let lifetime = |seconds| Record::new(path("/1/0/1"), Value::Integer(seconds));
    for seconds in [0, -1, 1 << 32] {
        let put = with(Code::PUT, "/1/0/1", Format::Tlv, &[lifetime(seconds)]);
        assert_eq!(bench.ask(1, put).code, Code::BAD_REQUEST, "{seconds}");
    }
}
