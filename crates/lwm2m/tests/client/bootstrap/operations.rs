//! What a bootstrap server may do, and what it is answered (LwM2M 1.1 Transport, table 6.4.2-1).

use coap::message::option;
use coap::{Code, Request};
use lwm2m::client::Event;
use lwm2m::{Format, Record, Value};

use super::{
    BOOTSTRAP, asked, bench, delete, discovered, events, finish, put, queries, raw, record, said,
    secs, security, server, write_account,
};
use crate::support::*;

#[test]
fn objects_instances_and_resources_are_written_in_every_format() {
    for format in [
        Format::Tlv,
        Format::Json,
        Format::SenmlJson,
        Format::SenmlCbor,
        Format::Lwm2mCbor,
    ] {
        let mut bench = asked();
        let both = [security(1, 1), security(2, 2)].concat();
        let lifetime = [record("/1/4/1", Value::Integer(60))];
        for (at, records) in [
            ("/0", &both[..]),
            ("/1/4", &server(4, 1)),
            ("/1/5", &server(5, 2)),
            ("/1/4/1", &lifetime),
        ] {
            let response = put(&mut bench, at, format, records);
            assert_eq!(
                response.code,
                Code::CHANGED,
                "{format} {at}: {}",
                text(&response)
            );
        }
        let response = raw(&mut bench, "/1/5/1", Some(0), b"90");
        assert_eq!(response.code, Code::CHANGED);
        assert_eq!(finish(&mut bench).code, Code::CHANGED);
        let lifetimes: Vec<_> = bench
            .requests()
            .iter()
            .map(|r| queries(r).remove(1))
            .collect();
        assert_eq!(lifetimes, ["lt=60", "lt=90"], "{format}");
        // Of an object those stay that are not named.
        assert!(bench.client.store().contains(&path("/0/9")));
    }
}

#[test]
fn a_write_says_all_that_an_instance_has_and_needs_no_right() {
    let mut bench = asked();
    write_account(&mut bench, 1, 1);
    // A resource that only the device writes; one that is not there any more; one that has a value only for this client.
    assert_eq!(
        raw(&mut bench, "/3/0/0", Some(0), b"Maker").code,
        Code::CHANGED
    );
    let control =
        [(0, 3303), (1, 0), (3, 1)].map(|(id, n)| record(&format!("/2/7/{id}"), Value::Integer(n)));
    assert_eq!(
        put(&mut bench, "/2/7", Format::Tlv, &control).code,
        Code::CHANGED
    );
    let fewer = &server(1, 1)[..2];
    assert_eq!(
        put(&mut bench, "/1/1", Format::Tlv, fewer).code,
        Code::CHANGED
    );
    // "The LwM2M Client MUST ignore" what it does not know: SMS resources of Security, and what is executed.
    let more = [
        security(1, 1),
        vec![
            record("/0/1/6", Value::Integer(3)),
            record("/0/1/9", Value::Integer(1)),
        ],
    ];
    assert_eq!(
        put(&mut bench, "/0/1", Format::Tlv, &more.concat()).code,
        Code::CHANGED
    );
    // An instance without values.
    assert_eq!(
        raw(&mut bench, "/3303/7", Some(11542), b"").code,
        Code::CHANGED
    );
    assert_eq!(finish(&mut bench).code, Code::CHANGED);
    let store = bench.client.store();
    for (at, there) in [
        ("/3/0/0", true),
        ("/2/7/3", true),
        ("/1/1/1", true),
        ("/1/1/7", false),
        ("/0/1/6", false),
        ("/3303/7", true),
    ] {
        assert_eq!(store.contains(&path(at)), there, "{at}");
    }
    assert!(bench.client.is_registered(1));
}

#[test]
fn what_cannot_be_written_is_refused_and_nothing_of_it_is() {
    let mut bench = asked();
    let tlv = Some(11542);
    for (at, format, payload, code) in [
        ("/", Some(110), &b"[]"[..], Code::METHOD_NOT_ALLOWED),
        ("/3/0/11/0", Some(0), b"1", Code::METHOD_NOT_ALLOWED),
        ("/9999/0", tlv, b"", Code::BAD_REQUEST),
        ("/0/1/99", Some(0), b"1", Code::BAD_REQUEST),
        ("/1/0/8", Some(0), b"1", Code::BAD_REQUEST),
        ("/1/0/1", Some(0), b"x", Code::BAD_REQUEST),
        ("/1/0/1", Some(0), b"0", Code::BAD_REQUEST),
        ("/1/0/1", Some(50), b"1", Code::UNSUPPORTED_CONTENT_FORMAT),
        (
            "/1/0/1",
            Some(40),
            b"</1>",
            Code::UNSUPPORTED_CONTENT_FORMAT,
        ),
        ("/1/0", tlv, b"\xc1\x00", Code::BAD_REQUEST),
        ("/1", tlv, b"\xc1\x00\x01", Code::BAD_REQUEST),
        (
            "/1/0",
            Some(110),
            br#"[{"n":"/1/1/0","v":1}]"#,
            Code::BAD_REQUEST,
        ),
        // The second of two.
        (
            "/1/0",
            Some(110),
            br#"[{"bn":"/1/0/","n":"1","v":5},{"n":"0","v":0}]"#,
            Code::BAD_REQUEST,
        ),
        ("/3/1", tlv, b"", Code::BAD_REQUEST),
        (
            "/2346/0",
            Some(110),
            br#"[{"n":"/2346/0/5914/0","vs":"1"}]"#,
            Code::BAD_REQUEST,
        ),
        ("/2346/0", tlv, b"", Code::BAD_REQUEST),
        (
            "/0/1/0",
            Some(0),
            b"coaps://[2001:db8::1]",
            Code::BAD_REQUEST,
        ),
        ("/0/1/0", Some(0), b"coap://example.org", Code::BAD_REQUEST),
    ] {
        let response = raw(&mut bench, at, format, payload);
        assert_eq!(response.code, code, "{at}: {}", text(&response));
        assert!(!response.payload.is_empty(), "{at}");
    }
    let secured = raw(&mut bench, "/0/1/0", Some(0), b"coaps://[2001:db8::1]");
    assert_eq!(
        text(&secured),
        "/0/1/0: `coaps://[2001:db8::1]`: expected coap://[address]:port; other schemes than coap are not spoken"
    );
    for method in [Code::POST, Code::FETCH, Code::IPATCH, Code::PATCH] {
        let response = bench.ask(BOOTSTRAP, Request::new(method, "/1/0"));
        assert_eq!(response.code, Code::METHOD_NOT_ALLOWED, "{method}");
    }
    assert_eq!(
        discovered(&mut bench, "/0") + &discovered(&mut bench, "/1"),
        "</>;lwm2m=1.1,</0>;ver=1.1,</0/9></>;lwm2m=1.1,</1>;ver=1.1"
    );
}

#[test]
fn a_deletion_leaves_the_account_of_the_bootstrap_server_and_device() {
    let mut bench = bench(2);
    bench.start();
    assert_eq!(
        bench.ask(1, Request::new(Code::POST, "/1/0/9")).code,
        Code::UNAUTHORIZED
    );
    // Of two servers each may do what Access Control says.
    bench.client.share().unwrap();
    assert_eq!(
        bench.ask(1, Request::new(Code::POST, "/1/0/9")).code,
        Code::CHANGED
    );
    for (at, code) in [
        ("/3/0", Code::BAD_REQUEST),
        ("/0/9", Code::BAD_REQUEST),
        ("/0/7", Code::BAD_REQUEST),
        ("/9999", Code::BAD_REQUEST),
        ("/3303/0/5700", Code::METHOD_NOT_ALLOWED),
        ("/3", Code::DELETED),
        ("/0/1", Code::DELETED),
        ("/3303", Code::DELETED),
    ] {
        assert_eq!(delete(&mut bench, at), code, "{at}");
    }
    let left = discovered(&mut bench, "/");
    assert!(left.contains("</0/9>") && left.contains("</0/0>") && !left.contains("</0/1>"));
    assert!(left.contains("</3303>") && !left.contains("</3303/0>"));
    assert_eq!(delete(&mut bench, "/"), Code::DELETED);
    assert_eq!(
        discovered(&mut bench, "/"),
        "</>;lwm2m=1.1,</0>;ver=1.1,</0/9>,</1>;ver=1.1,</2>;ver=1.1,</3>;ver=1.2,</3/0>,</2346>,</2347>,\
         </3303>,</3304>,</3360>"
    );
}

#[test]
fn discover_tells_servers_and_read_is_of_servers_and_access() {
    let mut bench = asked();
    write_account(&mut bench, 1, 1);
    assert_eq!(
        discovered(&mut bench, "/0"),
        "</>;lwm2m=1.1,</0>;ver=1.1,</0/1>;ssid=1;uri=\"coap://[2001:db8::1]:5683\",</0/9>"
    );
    assert_eq!(
        discovered(&mut bench, "/1"),
        "</>;lwm2m=1.1,</1>;ver=1.1,</1/1>;ssid=1"
    );
    let all = discovered(&mut bench, "/");
    assert!(
        all.contains("</1/1>;ssid=1,</2>;ver=1.1,</3>;ver=1.2,</3/0>"),
        "{all}"
    );
    for (at, code) in [
        ("/1/1", Code::METHOD_NOT_ALLOWED),
        ("/9999", Code::NOT_FOUND),
    ] {
        assert_eq!(bench.ask(BOOTSTRAP, get(at, Format::Link)).code, code);
    }
    let read = |bench: &mut Bench, at: &str, format| bench.ask(BOOTSTRAP, get(at, format));
    let lifetime = read(&mut bench, "/1/1/1", Format::Text);
    assert_eq!(
        (lifetime.code, text(&lifetime).as_str()),
        (Code::CONTENT, "300")
    );
    let instance = read(&mut bench, "/1/1", Format::SenmlJson);
    assert!(text(&instance).starts_with(r#"[{"bn":"/1/1","n":"/0","v":1},"#));
    let object = bench.ask(BOOTSTRAP, Request::new(Code::GET, "/1"));
    let format = object.options.get_uint(option::CONTENT_FORMAT);
    assert_eq!((object.code, format), (Code::CONTENT, Some(112)));
    assert_eq!(read(&mut bench, "/2", Format::Tlv).code, Code::CONTENT);
    for (at, format, code) in [
        ("/", Format::Tlv, Code::METHOD_NOT_ALLOWED),
        ("/0/1", Format::Tlv, Code::METHOD_NOT_ALLOWED),
        ("/3/0", Format::Tlv, Code::METHOD_NOT_ALLOWED),
        ("/1/7", Format::Tlv, Code::NOT_FOUND),
        ("/1/1/5", Format::Text, Code::NOT_FOUND),
        ("/1/1", Format::Text, Code::NOT_ACCEPTABLE),
    ] {
        assert_eq!(read(&mut bench, at, format).code, code, "{at}");
    }
}

#[test]
fn a_configuration_that_does_not_fit_together_is_answered_4_06_and_dropped() {
    type Writes = Vec<(&'static str, Vec<Record>)>;
    let without = |mut records: Vec<Record>, id: u16| {
        records.retain(|record| record.path.resource_id() != Some(id));
        records
    };
    let keyed = |mut records: Vec<Record>| {
        records[2].value = Some(Value::Integer(0));
        records
    };
    let cases: Vec<(Writes, &str)> = vec![
        (vec![], "/1: no server"),
        (
            vec![("/0/1", security(1, 1))],
            "/1: no instance of server 1",
        ),
        (
            vec![("/1/1", server(1, 1))],
            "/1/1: no Security instance of server 1",
        ),
        (
            vec![("/0/1", security(1, 1)), ("/1/1", server(1, 2))],
            "/1/1: no Security instance of server 2",
        ),
        (
            vec![("/0/1", security(1, 1)), ("/0/2", security(2, 1))],
            "/0/2: a second one of server 1",
        ),
        (
            vec![
                ("/0/1", security(1, 1)),
                ("/1/1", server(1, 1)),
                ("/1/2", server(2, 1)),
            ],
            "/1/2: a second one of server 1",
        ),
        (vec![("/0/1", without(security(1, 1), 0))], "/0/1: no URI"),
        (
            vec![("/0/1", without(security(1, 1), 10))],
            "/0/1: no Short Server ID",
        ),
        (
            vec![("/0/1", keyed(security(1, 1)))],
            "/0/1: expected Security Mode 3",
        ),
        (
            vec![("/1/1", without(server(1, 1), 0))],
            "/1/1: no Short Server ID",
        ),
        (
            vec![("/1/1", without(server(1, 1), 1))],
            "/1/1: no Lifetime",
        ),
    ];
    for (writes, expected) in cases {
        let mut bench = asked();
        let before = bench.client.store().save();
        for (at, records) in writes {
            assert_eq!(
                put(&mut bench, at, Format::Tlv, &records).code,
                Code::CHANGED
            );
        }
        let finished = finish(&mut bench);
        let words = text(&finished);
        assert_eq!(finished.code, Code::NOT_ACCEPTABLE, "{expected}");
        assert!(words.starts_with(expected), "{words}, expected {expected}");
        assert_eq!(bench.client.store().save(), before);
        let again_at = bench.now + secs(60);
        let failed = events(&mut bench).pop();
        let is_it = matches!(&failed, Some(Event::BootstrapFailed { reason, again_at: at, .. })
            if reason.contains(expected) && *at == again_at);
        assert!(is_it, "{failed:?}");
        bench.clear();
        bench.pass(secs(60));
        assert_eq!(said(&bench), [(BOOTSTRAP, "POST /bs".to_owned())]);
    }
}

#[test]
fn nobody_but_the_bootstrap_server_and_it_only_in_the_phase_may_do_anything() {
    // Server 1 is at work, and the bootstrap server is not asked.
    let mut bench = bench(1);
    bench.start();
    for request in [
        Request::new(Code::POST, "/bs"),
        Request::new(Code::DELETE, "/"),
        get("/1/0", Format::Tlv),
        with(Code::PUT, "/1/0", Format::Tlv, &server(0, 1)),
    ] {
        assert_eq!(
            bench.ask(BOOTSTRAP, request.clone()).code,
            Code::UNAUTHORIZED
        );
        assert_eq!(bench.ask(2, request).code, Code::UNAUTHORIZED);
    }
    // Server 1 is no bootstrap server, also while one is at work.
    assert_eq!(
        bench.ask(1, Request::new(Code::POST, "/1/0/9")).code,
        Code::CHANGED
    );
    for (request, code) in [
        (Request::new(Code::POST, "/bs"), Code::NOT_FOUND),
        (Request::new(Code::DELETE, "/"), Code::METHOD_NOT_ALLOWED),
        (
            with(Code::PUT, "/0/0", Format::Tlv, &security(0, 2)),
            Code::UNAUTHORIZED,
        ),
        (get("/3303/0/5700", Format::Text), Code::CONTENT),
    ] {
        assert_eq!(bench.ask(1, request).code, code);
    }
    assert_eq!(
        bench.ask(2, Request::new(Code::DELETE, "/")).code,
        Code::UNAUTHORIZED
    );
    write_account(&mut bench, 1, 2);
    assert_eq!(finish(&mut bench).code, Code::CHANGED);
    // It is over.
    assert_eq!(finish(&mut bench).code, Code::UNAUTHORIZED);
    assert_eq!(delete(&mut bench, "/0/1"), Code::UNAUTHORIZED);
}
