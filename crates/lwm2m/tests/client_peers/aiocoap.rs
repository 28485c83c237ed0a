//! A server by aiocoap: what it sends and takes was made by nobody here. Every answer is asserted by its code and its payload,
//! whose bytes were written by hand.

use lwm2m::client::Config;
use lwm2m::model::Version;
use serde_json::{Value as Json, json};

use crate::live::{Live, run};

const TEXT: u16 = 0;
const LINKS: u16 = 40;
const CBOR: u16 = 60;
const SENML_JSON: u16 = 110;
const SENML_CBOR: u16 = 112;
const TLV: u16 = 11542;
const JSON: u16 = 11543;
const LWM2M_CBOR: u16 = 11544;

const TEMPERATURE: &str = "/3303/0/5700";
const BATCH: &str = "/2346/0/5914";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn payload(answer: &Json) -> Vec<u8> {
    let text = answer["payload"].as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn text(answer: &Json) -> String {
    String::from_utf8(payload(answer)).unwrap()
}

/// What a TLV is of (LwM2M 1.0 §6.4.3).
const INSTANCE: u8 = 0;
const RESOURCE_INSTANCE: u8 = 0x40;
const MULTIPLE: u8 = 0x80;
const RESOURCE: u8 = 0xc0;

/// A TLV, with an ID of 8 or 16 bits and a length in the type or in a byte of its own.
fn tlv(kind: u8, id: u16, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    let [high, low] = id.to_be_bytes();
    let wide = if high > 0 { 0x20 } else { 0 };
    let mut bytes = vec![kind | wide | if length < 8 { length } else { 0x08 }];
    bytes.extend([high].iter().filter(|high| **high > 0));
    bytes.push(low);
    bytes.extend([length].iter().filter(|length| **length >= 8));
    bytes.extend(value);
    bytes
}

fn float_tlv(id: u16, value: f32) -> Vec<u8> {
    tlv(RESOURCE, id, &value.to_be_bytes())
}

/// A client that likes LwM2M 1.2 best, registered.
async fn registered() -> Live {
    let config = Config {
        versions: vec![Version::V1_2, Version::V1_1, Version::V1_0],
        ..Config::new("device")
    };
    let mut live = Live::start("bin/python", "aiocoap_server.py", config).await;
    for version in ["1.2", "1.1"] {
        let asked = live.asked().await;
        let query = format!("ep=device&lt=300&lwm2m={version}&b=U");
        assert_eq!(
            (&asked["asked"], &asked["query"]),
            (&json!("POST /rd"), &json!(query))
        );
        assert_eq!(
            (&asked["kind"], &asked["format"]),
            (&json!("CON"), &json!(LINKS))
        );
        let links = "</>;rt=\"oma.lwm2m\";ct=112,</1>;ver=1.1,</1/0>,</3>;ver=1.2,</3/0>,</2346>,</2347>,\
                     </3303/0>,</3304/0>,</3360/0>";
        assert_eq!(text(&asked), links);
    }
    live
}

impl Live {
    /// A request without payload.
    async fn ask(&mut self, method: &str, path: &str, accept: Option<u16>) -> Json {
        self.tell(json!({"method": method, "path": path, "accept": accept}))
            .await
    }

    /// A request with payload.
    async fn send(&mut self, method: &str, path: &str, format: u16, payload: &[u8]) -> Json {
        let wanted = json!({
            "method": method, "path": path, "content_format": format, "payload": hex(payload),
        });
        self.tell(wanted).await
    }

    /// The text of a resource.
    async fn value(&mut self, path: &str) -> String {
        let answer = self.ask("GET", path, Some(TEXT)).await;
        assert_eq!(answer["code"], "2.05", "{path}");
        text(&answer)
    }
}

fn code(answer: &Json) -> &str {
    answer["code"].as_str().unwrap()
}

#[test]
fn it_registers_for_an_older_version_and_updates_what_changes() {
    run(async {
        let mut live = registered().await;
        let trigger = live.ask("POST", "/1/0/8", None).await;
        assert_eq!((code(&trigger), text(&trigger).as_str()), ("2.04", ""));
        let update = live.asked().await;
        assert_eq!(
            (&update["asked"], &update["query"]),
            (&json!("POST /rd/5a3f"), &json!(""))
        );
        assert_eq!(
            (&update["kind"], text(&update).as_str()),
            (&json!("CON"), "")
        );
        assert_eq!(
            code(&live.send("PUT", "/1/0/1", TEXT, b"600").await),
            "2.04"
        );
        assert_eq!(live.asked().await["query"], "lt=600");
        live.end().await;
    });
}

#[test]
fn it_is_read_in_every_format() {
    run(async {
        let mut live = registered().await;
        let resource = [
            (TEXT, b"21.5".to_vec()),
            (TLV, float_tlv(5700, 21.5)),
            (JSON, br#"{"bn":"/3303/0/5700","e":[{"v":21.5}]}"#.to_vec()),
            (SENML_JSON, br#"[{"bn":"/3303/0/5700","v":21.5}]"#.to_vec()),
            (
                SENML_CBOR,
                [
                    b"\x81\xa2\x21\x6c/3303/0/5700\x02".as_slice(),
                    b"\xfa\x41\xac\x00\x00",
                ]
                .concat(),
            ),
            (CBOR, b"\xfa\x41\xac\x00\x00".to_vec()),
            (
                LWM2M_CBOR,
                b"\xbf\x83\x19\x0c\xe7\x00\x19\x16\x44\xfa\x41\xac\x00\x00\xff".to_vec(),
            ),
        ];
        for (format, expected) in resource {
            let answer = live.ask("GET", TEMPERATURE, Some(format)).await;
            assert_eq!((code(&answer), &answer["format"]), ("2.05", &json!(format)));
            assert_eq!(
                hex(&payload(&answer)),
                hex(&expected),
                "{format}: {}",
                String::from_utf8_lossy(&payload(&answer))
            );
        }
        let position = [float_tlv(5702, 3.25), float_tlv(5703, 7.125)].concat();
        let instance = [
            (TLV, position.clone()),
            (
                JSON,
                br#"{"bn":"/3360/0","e":[{"n":"/5702","v":3.25},{"n":"/5703","v":7.125}]}"#
                    .to_vec(),
            ),
            (
                SENML_JSON,
                br#"[{"bn":"/3360/0","n":"/5702","v":3.25},{"n":"/5703","v":7.125}]"#.to_vec(),
            ),
        ];
        for (format, expected) in instance {
            let answer = live.ask("GET", "/3360/0", Some(format)).await;
            assert_eq!(
                hex(&payload(&answer)),
                hex(&expected),
                "{format}: {}",
                String::from_utf8_lossy(&payload(&answer))
            );
        }
        let object = live.ask("GET", "/3360", Some(TLV)).await;
        assert_eq!(hex(&payload(&object)), hex(&tlv(INSTANCE, 0, &position)));
        for (path, accept, expected) in [
            ("/3303/0", Some(TEXT), "4.06"),
            (TEMPERATURE, Some(50), "4.06"),
            ("/3303/7", None, "4.04"),
            ("/3303/0/5605", None, "4.05"),
            ("/0/0", None, "4.01"),
            ("/3303/0/5700/0", None, "4.04"),
        ] {
            assert_eq!(
                code(&live.ask("GET", path, accept).await),
                expected,
                "{path}"
            );
        }
        live.end().await;
    });
}

#[test]
fn it_is_discovered_written_and_executed() {
    run(async {
        let mut live = registered().await;
        let discovered = live.ask("GET", "/3360/0", Some(LINKS)).await;
        assert_eq!(
            (code(&discovered), &discovered["format"]),
            ("2.05", &json!(LINKS))
        );
        assert_eq!(text(&discovered), "</3360/0>,</3360/0/5702>,</3360/0/5703>");
        // PUT of a resource, of an instance; POST of an instance, which leaves the rest.
        assert_eq!(
            code(&live.send("PUT", "/3360/0/5702", TEXT, b"-1.5").await),
            "2.04"
        );
        assert_eq!(live.value("/3360/0/5702").await, "-1.5");
        let update = live
            .send("POST", "/3360/0", TLV, &float_tlv(5703, 2.0))
            .await;
        assert_eq!((code(&update), text(&update).as_str()), ("2.04", ""));
        assert_eq!(live.value("/3360/0/5702").await, "-1.5");
        assert_eq!(
            code(
                &live
                    .send("PUT", "/3360/0", TLV, &float_tlv(5703, 4.0))
                    .await
            ),
            "2.04"
        );
        assert_eq!(code(&live.ask("GET", "/3360/0/5702", None).await), "4.04");
        let json = br#"[{"bn":"/3360/0/","n":"5702","v":6}]"#;
        assert_eq!(
            code(&live.send("POST", "/3360/0", SENML_JSON, json).await),
            "2.04"
        );
        assert_eq!(live.value("/3360/0/5702").await, "6");
        for (method, path, format, payload, expected) in [
            ("PUT", "/3360/0/5702", TEXT, "x", "4.00"),
            ("PUT", TEMPERATURE, TEXT, "1", "4.05"),
            ("PUT", "/3360/7/5702", TEXT, "1", "4.04"),
            ("PUT", "/3360/0/5702", 50, "1", "4.15"),
            ("PUT", "/0/0/0", TEXT, "coap://[::1]", "4.01"),
        ] {
            let answer = live.send(method, path, format, payload.as_bytes()).await;
            assert_eq!(code(&answer), expected, "{path}");
        }
        assert_eq!(live.value("/3360/0/5702").await, "6");

        let attributes = live
            .ask("PUT", "/3303/0/5700?pmin=1&pmax=60&gt=-30", None)
            .await;
        assert_eq!(
            (code(&attributes), text(&attributes).as_str()),
            ("2.04", "")
        );
        let shown = live.ask("GET", TEMPERATURE, Some(LINKS)).await;
        assert_eq!(text(&shown), "</3303/0/5700>;pmin=1;pmax=60;gt=-30");
        assert_eq!(
            code(&live.ask("PUT", "/3303/0/5700?pmin=x", None).await),
            "4.00"
        );
        assert_eq!(code(&live.ask("PUT", "/3303/0?gt=1", None).await), "4.00");

        assert_eq!(
            code(&live.send("POST", "/3/0/4", TEXT, b"0='on',1").await),
            "2.04"
        );
        assert_eq!(
            code(&live.send("POST", "/3/0/4", TEXT, b"on").await),
            "4.00"
        );
        assert_eq!(code(&live.ask("POST", "/3303/0/5605", None).await), "2.04");
        assert_eq!(code(&live.ask("POST", "/3303/7/5605", None).await), "4.04");
        live.end().await;
    });
}

#[test]
fn instances_are_created_and_deleted_and_the_server_hears_of_it() {
    run(async {
        let mut live = registered().await;
        let first = float_tlv(5702, 1.0);
        let created = live.send("POST", "/3360", TLV, &first).await;
        assert_eq!(
            (code(&created), &created["location"]),
            ("2.01", &json!("/3360/1"))
        );
        let update = live.asked().await;
        assert_eq!(update["asked"], "POST /rd/5a3f");
        assert!(text(&update).ends_with("</3360/0>,</3360/1>"));
        let seventh = tlv(INSTANCE, 7, &float_tlv(5702, 7.0));
        let created = live.send("POST", "/3360", TLV, &seventh).await;
        assert_eq!(
            (code(&created), &created["location"]),
            ("2.01", &json!("/3360/7"))
        );
        assert!(text(&live.asked().await).ends_with("</3360/1>,</3360/7>"));
        assert_eq!(live.value("/3360/7/5702").await, "7");
        assert_eq!(
            code(&live.send("POST", "/3360", TLV, &seventh).await),
            "4.00"
        );
        assert_eq!(code(&live.send("POST", "/9999", TLV, &first).await), "4.04");
        let deleted = live.ask("DELETE", "/3360/7", None).await;
        assert_eq!((code(&deleted), text(&deleted).as_str()), ("2.02", ""));
        assert!(text(&live.asked().await).ends_with("</3360/1>"));
        assert_eq!(code(&live.ask("GET", "/3360/7", None).await), "4.04");
        assert_eq!(code(&live.ask("DELETE", "/3360/7", None).await), "4.04");
        assert_eq!(code(&live.ask("DELETE", "/3/0", None).await), "4.05");
        assert_eq!(code(&live.ask("DELETE", "/3360", None).await), "4.05");
        live.end().await;
    });
}

/// Begins to observe; the observation, and the first state.
async fn observe(live: &mut Live, path: &str, accept: u16) -> (Json, String) {
    let wanted = json!({"method": "GET", "path": path, "accept": accept, "observe": 0});
    let begun = live.tell(wanted).await;
    assert_eq!((code(&begun), &begun["observes"]), ("2.05", &json!(true)));
    (begun["done"].clone(), text(&begun))
}

#[test]
fn what_is_observed_is_told_between_its_periods_until_it_is_cancelled() {
    run(async {
        let mut live = registered().await;
        assert_eq!(
            code(&live.ask("PUT", "/3303/0/5700?pmin=1&pmax=2", None).await),
            "2.04"
        );
        let (first, state) = observe(&mut live, TEMPERATURE, TEXT).await;
        assert_eq!((state.as_str(), live.observations()), ("21.5", 1));
        live.set(TEMPERATURE, 22.0);
        live.set(TEMPERATURE, 23.0);
        // Within pmin the two are one; how soon the test is here, nobody says.
        while text(&live.notified().await) != "23" {}
        // Nothing changes any more: pmax.
        let unchanged = live.notified().await;
        assert_eq!(
            (code(&unchanged), text(&unchanged).as_str()),
            ("2.05", "23")
        );
        assert_eq!(unchanged["format"], TEXT);
        let cancel = json!({"method": "GET", "path": TEMPERATURE, "accept": TEXT, "observe": 1, "cancels": first});
        let cancelled = live.tell(cancel).await;
        assert_eq!(
            (code(&cancelled), &cancelled["observes"]),
            ("2.05", &json!(false))
        );
        assert_eq!(live.observations(), 0);

        let (second, _) = observe(&mut live, "/3304/0/5700", TEXT).await;
        live.set("/3304/0/5700", 50.0);
        assert_eq!(text(&live.notified().await), "50");
        live.tell(json!({"forget": second})).await;
        // aiocoap answers the next confirmable one with a Reset, and none that is not.
        let mut value = 50.0;
        while live.observations() > 0 {
            value += 1.0;
            live.set("/3304/0/5700", value);
            assert_eq!(live.value("/3304/0/5700").await, value.to_string());
        }
        live.end().await;
    });
}

#[test]
fn composites_are_read_written_and_observed() {
    run(async {
        let mut live = registered().await;
        let both = br#"[{"n":"/3303/0/5700"},{"n":"/3360/0/5702"}]"#;
        let wanted = json!({
            "method": "FETCH", "path": "/", "content_format": SENML_JSON, "accept": SENML_JSON,
            "payload": hex(both),
        });
        let read = live.tell(wanted).await;
        assert_eq!((code(&read), &read["format"]), ("2.05", &json!(SENML_JSON)));
        let expected = r#"[{"n":"/3303/0/5700","v":21.5},{"n":"/3360/0/5702","v":3.25}]"#;
        assert_eq!(text(&read), expected);
        let in_cbor = b"\x81\xa1\x00\x6c/3360/0/5703";
        let read = live.send("FETCH", "/", SENML_CBOR, in_cbor).await;
        assert_eq!(
            hex(&payload(&read)),
            hex(b"\x81\xa2\x00\x6c/3360/0/5703\x02\xfa\x40\xe4\x00\x00")
        );

        let values = br#"[{"n":"/3360/0/5702","v":8},{"n":"/3/0/15","vs":"CET"}]"#;
        let written = live.send("iPATCH", "/", SENML_JSON, values).await;
        assert_eq!((code(&written), text(&written).as_str()), ("2.04", ""));
        assert_eq!(live.value("/3360/0/5702").await, "8");
        assert_eq!(live.value("/3/0/15").await, "CET");
        // One that cannot be written: none is.
        let values = br#"[{"n":"/3360/0/5702","v":9},{"n":"/3303/0/5700","v":9}]"#;
        assert_eq!(
            code(&live.send("iPATCH", "/", SENML_JSON, values).await),
            "4.05"
        );
        assert_eq!(live.value("/3360/0/5702").await, "8");
        assert_eq!(code(&live.send("iPATCH", "/", TLV, b"").await), "4.15");
        assert_eq!(
            code(&live.send("FETCH", "/3303", SENML_JSON, both).await),
            "4.05"
        );

        let wanted = json!({
            "method": "FETCH", "path": "/", "content_format": SENML_JSON, "accept": SENML_JSON,
            "payload": hex(both), "observe": 0,
        });
        let begun = live.tell(wanted).await;
        assert_eq!((code(&begun), &begun["observes"]), ("2.05", &json!(true)));
        live.set(TEMPERATURE, 24.0);
        let told = live.notified().await;
        let expected = r#"[{"n":"/3303/0/5700","v":24},{"n":"/3360/0/5702","v":8}]"#;
        assert_eq!(text(&told), expected);
        let cancel = json!({
            "method": "FETCH", "path": "/", "content_format": SENML_JSON, "payload": hex(both),
            "observe": 1, "cancels": begun["done"],
        });
        assert_eq!(code(&live.tell(cancel).await), "2.05");
        assert_eq!(live.observations(), 0);
        live.end().await;
    });
}

#[test]
fn batches_are_created_read_written_and_observed() {
    run(async {
        let mut live = registered().await;
        let strings = |texts: [&str; 2]| {
            let instances = (0..).zip(texts);
            let instances = instances.map(|(id, text)| tlv(RESOURCE_INSTANCE, id, text.as_bytes()));
            instances.collect::<Vec<_>>().concat()
        };
        let links = tlv(MULTIPLE, 5913, &strings(["/3360/0/5702", "/3360/0/5703"]));
        let created = live.send("POST", "/2346", TLV, &links).await;
        assert_eq!(
            (code(&created), &created["location"]),
            ("2.01", &json!("/2346/0"))
        );
        assert!(text(&live.asked().await).contains("</2346/0>"));
        let unlinked = tlv(MULTIPLE, 5913, &strings(["/3360/0/5702", "/3360/9/5703"]));
        assert_eq!(
            code(&live.send("POST", "/2346", TLV, &unlinked).await),
            "4.04"
        );

        let read = live.ask("GET", BATCH, Some(TLV)).await;
        let expected = tlv(MULTIPLE, 5914, &strings(["3.25", "7.125"]));
        assert_eq!(
            (code(&read), hex(&payload(&read))),
            ("2.05", hex(&expected))
        );
        let read = live.ask("GET", BATCH, Some(CBOR)).await;
        assert_eq!(
            hex(&payload(&read)),
            hex(b"\x82\xfa\x40\x50\x00\x00\xfa\x40\xe4\x00\x00")
        );

        let wanted = json!({"method": "GET", "path": BATCH, "accept": SENML_JSON, "observe": 0});
        let begun = live.tell(wanted).await;
        let expected = r#"[{"bn":"/2346/0/5914","n":"/0","vs":"3.25"},{"n":"/1","vs":"7.125"}]"#;
        assert_eq!(text(&begun), expected);
        let values = tlv(MULTIPLE, 5914, &strings(["1.5", "-2"]));
        let written = live.send("PUT", BATCH, TLV, &values).await;
        assert_eq!((code(&written), text(&written).as_str()), ("2.04", ""));
        assert_eq!(live.value("/3360/0/5702").await, "1.5");
        assert_eq!(live.value("/3360/0/5703").await, "-2");
        // Both have changed by one request: one notification.
        let told = live.notified().await;
        let expected = r#"[{"bn":"/2346/0/5914","n":"/0","vs":"1.5"},{"n":"/1","vs":"-2"}]"#;
        assert_eq!((text(&told).as_str(), live.unread()), (expected, 0));
        // One of the values is none: neither is written.
        let values = tlv(MULTIPLE, 5914, &strings(["6", "x"]));
        assert_eq!(code(&live.send("PUT", BATCH, TLV, &values).await), "4.00");
        assert_eq!(live.value("/3360/0/5702").await, "1.5");
        live.end().await;
    });
}

#[test]
fn a_notify_says_its_value_as_non_and_as_con() {
    run(async {
        let mut live = registered().await;
        for (confirmable, kind, no_response) in [(0, "NON", json!(26)), (1, "CON", json!(null))] {
            let instance = [
                tlv(RESOURCE, 5915, TEMPERATURE.as_bytes()),
                tlv(RESOURCE, 5916, &[1]),
                tlv(RESOURCE, 5917, b"/up"),
                tlv(RESOURCE, 5918, &[1]),
                tlv(RESOURCE, 5919, &[confirmable]),
                tlv(RESOURCE, 5920, &[1 - confirmable]),
            ];
            let created = live.send("POST", "/2347", TLV, &instance.concat()).await;
            assert_eq!(
                (code(&created), &created["location"]),
                ("2.01", &json!("/2347/0"))
            );
            let mut sent = 0;
            // At once and then at every period, with the client's Update in between.
            while sent < 3 {
                let asked = live.asked().await;
                if asked["asked"] == "POST /rd/5a3f" {
                    continue;
                }
                assert_eq!(
                    (&asked["asked"], &asked["kind"]),
                    (&json!("PUT /up"), &json!(kind))
                );
                assert_eq!(
                    (&asked["format"], &asked["no_response"]),
                    (&json!(SENML_CBOR), &no_response)
                );
                let expected = b"\x81\xa2\x21\x6c/3303/0/5700\x02\xfa\x41\xac\x00\x00";
                assert_eq!(hex(&payload(&asked)), hex(expected));
                sent += 1;
            }
            assert_eq!(code(&live.ask("DELETE", "/2347/0", None).await), "2.02");
            // What was under way has come by now.
            while live.has_asked() {
                live.asked().await;
            }
        }
        live.end().await;
    });
}
