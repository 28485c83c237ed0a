//! A bootstrap server by aiocoap: the requests are its own, and every payload was written by hand.

use lwm2m::client::Config;
use lwm2m::{Format, Path, Value};
use serde_json::json;

use crate::live::{Live, run};

const TEXT: u16 = 0;
const LINKS: u16 = 40;
const SENML_JSON: u16 = 110;
const TLV: u16 = 11542;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What it asks, and what the client shall answer: code, and payload if it has one that counts.
async fn asks(
    live: &mut Live,
    method: &str,
    path: &str,
    format: Option<u16>,
    payload: &[u8],
    expected: (&str, &str),
) {
    let wanted = match method {
        "GET" => json!({"method": method, "path": path, "accept": format}),
        _ => json!({
            "method": method, "path": path, "content_format": format, "payload": hex(payload),
        }),
    };
    let answer = live.tell(wanted).await;
    let text = answer["payload"].as_str().unwrap_or_default();
    assert_eq!(answer["code"], expected.0, "{method} {path}: {answer}");
    if !expected.1.is_empty() {
        assert_eq!(text, hex(expected.1.as_bytes()), "{method} {path}");
    }
}

#[test]
fn it_is_bootstrapped_by_aiocoap_and_registers_with_what_it_wrote() {
    run(async {
        let config = Config {
            format: Some(Format::SenmlJson),
            ..Config::new("device")
        };
        let mut live = Live::bootstrapped("bin/python", "aiocoap_server.py", config).await;
        let asked = live.asked().await;
        assert_eq!(asked["asked"], "POST /bs");
        assert_eq!(asked["query"], "ep=device&pct=110");
        assert_eq!(asked["kind"], "CON");
        let port = live.server_port;
        let uri = format!("coap://[::1]:{port}");
        let before = live.client.store().save();

        asks(&mut live, "DELETE", "/1", None, b"", ("2.02", "")).await;
        asks(&mut live, "DELETE", "/0/9", None, b"", ("4.00", "")).await;
        // Security in TLV: the URI, no bootstrap server, NoSec, Short Server ID 7.
        let mut tlv = vec![0xc8, 0x00, uri.len() as u8];
        tlv.extend(uri.as_bytes());
        tlv.extend(b"\xc1\x01\x00\xc1\x02\x03\xc1\x0a\x07");
        asks(&mut live, "PUT", "/0/1", Some(TLV), &tlv, ("2.04", "")).await;
        let json = br#"[{"bn":"/1/0/","n":"0","v":7},{"n":"1","v":300},{"n":"6","vb":false},{"n":"7","vs":"U"}]"#;
        asks(
            &mut live,
            "PUT",
            "/1/0",
            Some(SENML_JSON),
            json,
            ("2.04", ""),
        )
        .await;
        asks(&mut live, "PUT", "/1/0/1", Some(TEXT), b"200", ("2.04", "")).await;
        let coaps = b"coaps://[::1]";
        asks(&mut live, "PUT", "/0/1/0", Some(TEXT), coaps, ("4.00", "")).await;
        asks(&mut live, "PUT", "/1/0/1", Some(50), b"1", ("4.15", "")).await;
        asks(&mut live, "POST", "/1/0/8", None, b"", ("4.05", "")).await;
        let links = format!("</>;lwm2m=1.1,</0>;ver=1.1,</0/1>;ssid=7;uri=\"{uri}\",</0/9>");
        asks(&mut live, "GET", "/0", Some(LINKS), b"", ("2.05", &links)).await;
        asks(&mut live, "GET", "/1/0/1", Some(TEXT), b"", ("2.05", "200")).await;
        asks(&mut live, "GET", "/3/0", Some(TLV), b"", ("4.05", "")).await;
        assert_eq!(live.client.store().save(), before);
        asks(&mut live, "POST", "/bs", None, b"", ("2.04", "")).await;

        // Version 1.1 is this server's.
        let asked = live.asked().await;
        assert_eq!(asked["asked"], "POST /rd");
        assert_eq!(asked["query"], "ep=device&lt=200&lwm2m=1.1&b=U");
        let lifetime = live.client.store().value(&Path::resource(1, 0, 1)).cloned();
        assert_eq!(lifetime, Some(Value::Integer(200)));
        live.end().await;
    });
}
