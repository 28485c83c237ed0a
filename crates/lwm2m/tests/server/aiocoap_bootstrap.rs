//! A client by aiocoap that is bootstrapped on the loopback interface.

use std::net::{Ipv6Addr, SocketAddrV6};

use coap::{Code, Endpoint, Params};
use driver::{Driver, Udp};
use lwm2m::operations::Mode;
use lwm2m::server::bootstrap::{Bootstrap, BootstrapEvent, Plans};
use lwm2m::server::{Config, Operation, Outcome};
use lwm2m::{Path, Record, Value};
use service::Service as _;
use units::Seed;

use crate::aiocoap::{Client, run};
use crate::support::path;

fn plan() -> Vec<Operation> {
    let uri = Value::String("coap://[fd00::9]".to_owned());
    let security = vec![
        Record::new(Path::resource(0, 1, 0), uri),
        Record::new(Path::resource(0, 1, 10), Value::Integer(1)),
    ];
    let write = |text, records| Operation::Write {
        path: path(text),
        mode: Mode::Replace,
        records,
        format: None,
    };
    let server = vec![Record::new(Path::resource(1, 0, 0), Value::Integer(1))];
    vec![
        Operation::Delete { path: Path::ROOT },
        write("/0/1", security),
        write("/1/0", server),
        Operation::Discover { path: Path::ROOT },
        Operation::Read {
            path: path("/1/0"),
            format: None,
        },
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the client hears in a bootstrap whose writes are in `format`.
fn heard(format: u16, security: &[u8], server: &[u8]) -> Vec<String> {
    vec![
        "DELETE / - -".to_owned(),
        format!("PUT /0/1 {format} - {}", hex(security)),
        format!("PUT /1/0 {format} - {}", hex(server)),
        "GET / - 40".to_owned(),
        "GET /1/0".to_owned(),
        "POST /bs - -".to_owned(),
    ]
}

async fn conversation() {
    let endpoint = Endpoint::new(Params::default(), &[], Seed(1).rng(&["coap"]));
    let socket = Udp::bind("[::1]:0".parse().unwrap()).unwrap();
    let mut driver = Driver::new(endpoint, socket).unwrap();
    let port = driver.socket().local_addr().unwrap().port();
    let plans = Plans {
        of_endpoint: [("aiocoap".to_owned(), plan())].into(),
        of_others: None,
    };
    let mut server = Bootstrap::new(Config::default(), plans);
    let address = SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0);
    let mut client = Client::start("aiocoap_bootstrap.py", address);
    let (mut refused, mut finished, mut read) = (Vec::new(), 0, Vec::new());
    while finished < 2 {
        let event = driver.next_event().await.unwrap();
        driver.with(|node, now| match service::Event::try_from(event) {
            Ok(service::Event::Request(incoming)) => server.handle_request(now, incoming, node),
            Ok(service::Event::Call { call, outcome }) => {
                server.handle_outcome(now, call, outcome, node);
            }
            Err(_) => {}
        });
        while let Some(event) = server.poll_event() {
            match event {
                BootstrapEvent::Refused { code, .. } => refused.push(code),
                BootstrapEvent::Done {
                    outcome: Outcome::Content(content),
                    ..
                } => read.push(content),
                BootstrapEvent::Finished { outcome, .. } => {
                    assert_eq!(outcome, Outcome::Success(Code::CHANGED));
                    finished += 1;
                }
                _ => {}
            }
        }
    }
    client.close();
    assert_eq!(refused, [Code::BAD_REQUEST; 2]);
    let links = b"</>;lwm2m=1.1,</0/1>;ssid=1;uri=\"coap://[fd00::9]\",</1/0>;ssid=1";
    let server_id = Record::new(Path::resource(1, 0, 0), Value::Integer(1));
    assert_eq!(read.len(), 4);
    for both in read.chunks(2) {
        assert_eq!(both[0].payload, links);
        assert_eq!(both[1].records, Ok(vec![server_id.clone()]));
    }

    let in_tlv = heard(
        11542,
        b"\xc8\x00\x10coap://[fd00::9]\xc1\x0a\x01",
        b"\xc1\x00\x01",
    );
    let in_json = heard(
        110,
        br#"[{"bn":"/0/1","n":"/0","vs":"coap://[fd00::9]"},{"n":"/10","v":1}]"#,
        br#"[{"bn":"/1/0","n":"/0","v":1}]"#,
    );
    let refused = ["POST /bs 4.00", "POST /bs?ep=nobody 4.00"].map(str::to_owned);
    let asked = ["POST /bs?ep=aiocoap", "POST /bs?ep=aiocoap&pct=110"];
    let expected = [&refused[..], &in_tlv, &in_json].concat();
    let said = client.said();
    // Of its own requests it says the answer when it has it, which may be after the first operation.
    let own = asked.map(|own| format!("{own} 2.04"));
    assert!(own.iter().all(|own| said.contains(own)), "{said:?}");
    let others: Vec<&str> = (said.iter().filter(|line| !own.contains(line)))
        .map(|line| line.trim_end())
        .collect();
    assert_eq!(others.len(), expected.len(), "{others:?}");
    for (line, expected) in others.iter().zip(&expected) {
        assert!(line.starts_with(expected), "{line}, expected {expected}");
    }
}

#[test]
fn aiocoap_is_bootstrapped_in_tlv_and_in_senml_json() {
    run(conversation());
}
