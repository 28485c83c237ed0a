//! A gateway, a sensor and somebody who asks by HTTP or by CoAP over a WebSocket, over loopback.

mod aiocoap;
mod crowd;
mod websocket;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::Sender;

use nix::sys::resource::{Resource as Limit, getrlimit, setrlimit};
use tokio::sync::mpsc::UnboundedSender;

use service::Sensors;
use service::sensors::{Changes, Counter, Resource, Source, Writes};
use units::Seed;

use super::*;
use crate::control::Controls;
use crate::host::stand_in as host;
use crate::web::loopback::{AtLoopback, Events, Moves, Pair, ask, malformed};

/// A lamp that may be switched, a counter that goes on every 20 ms, and some bytes.
fn sensors() -> Sensors {
    let lamp = Resource {
        source: Source::Constant(b"off".to_vec()),
        writes: Writes::ALL,
        ..Resource::new("/lamp")
    };
    let counter = Source::Counter(Counter {
        start: 1.0,
        step: 1.0,
        decimals: 0,
    });
    let count = Resource {
        source: counter,
        changes: Some(Changes {
            every: Duration::from_millis(20),
            phase: Duration::ZERO,
        }),
        ..Resource::new("/count")
    };
    let slow = Resource {
        changes: Some(Changes {
            every: Duration::from_millis(500),
            phase: Duration::ZERO,
        }),
        source: Source::Counter(Counter {
            start: 1.0,
            step: 1.0,
            decimals: 0,
        }),
        ..Resource::new("/slow")
    };
    let bytes = Resource {
        source: Source::Constant(vec![0xff, 0]),
        content_format: 11542,
        ..Resource::new("/bytes")
    };
    let rng = |name: &str| Seed(1).rng(&["sensors", name]);
    Sensors::new(vec![lamp, count, slow, bytes], rng).unwrap()
}

/// Has this process have the descriptors of both ends of all the connections that a gateway may have.
fn allow_both_ends() {
    let (soft, hard) = getrlimit(Limit::RLIMIT_NOFILE).unwrap();
    setrlimit(Limit::RLIMIT_NOFILE, soft.max(hard.min(4096)), hard).unwrap();
}

/// Both nodes.
pub(super) struct World {
    pub(super) http: SocketAddr,
    pub(super) coap: SocketAddrV6,
    moves: UnboundedSender<Moves>,
    _nodes: Pair,
}

impl World {
    pub(super) fn new(writes: bool) -> World {
        allow_both_ends();
        let run = move |door: Door,
                        bell,
                        [of_gateway, of_sensor]: [Controls; 2],
                        tell: Sender<_>| async move {
            let state = std::path::Path::new("");
            let ((near, moves), far) =
                (AtLoopback::with_moves("gateway"), AtLoopback::new("sensor"));
            tell.send((door.at[0], far.at(), moves)).unwrap();
            let config = Config {
                writes,
                // Longer than a slow machine takes for anything.
                wait: Duration::from_secs(90),
                located: BTreeSet::new(),
                origin: None,
                nodes: BTreeMap::from([("sensor".into(), far.at())]),
            };
            let rng = Seed(1).rng(&["websockets"]);
            let gateway = Gateway::new(now(), config, door, rng);
            let near = near.run(host("gateway", state, 0), gateway, bell, of_gateway);
            let host = host("sensor", state, 0);
            let far = far.run(host, sensors(), Bell::default(), of_sensor);
            tokio::join!(near, far);
        };
        let ((http, coap, moves), nodes) = Pair::run(Some(sockets::AT), run);
        World {
            http,
            coap,
            moves,
            _nodes: nodes,
        }
    }

    fn target(&self, path: &str) -> String {
        format!("/hc/coap://%5B::1%5D:{}{path}", self.coap.port())
    }

    /// The gateway's node is told that the sensor is on its way.
    pub(super) fn hold(&self) {
        self.moves.send(Moves::Hold(self.coap)).unwrap();
    }

    /// It is told that the sensor is there.
    pub(super) fn bind(&self, t_addr: &str) {
        let t_addr = t_addr.parse().unwrap();
        self.moves.send(Moves::Bound(self.coap, t_addr)).unwrap();
    }

    /// The head and the body of an answer.
    fn ask(&self, line: &str, more: &str, body: &str) -> (String, Vec<u8>) {
        let mut answer = Vec::new();
        ask(self.http, line, more, body)
            .read_to_end(&mut answer)
            .unwrap();
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        (head.to_ascii_lowercase(), answer[end + 4..].to_vec())
    }

    fn status(&self, line: &str, more: &str, body: &str) -> u16 {
        let (head, _) = self.ask(line, more, body);
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

#[test]
fn a_resource_is_read_written_and_not_found() {
    let world = World::new(true);
    let lamp = world.target("/lamp");
    let (head, body) = world.ask(&format!("GET {lamp}"), "", "");
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("\r\ncache-control: max-age="), "{head}");
    assert!(!head.contains("no-store"), "{head}");
    assert_eq!(body, b"off");
    let text = "Content-Type: text/plain\r\n";
    assert_eq!(world.status(&format!("PUT {lamp}"), text, "on"), 204);
    let (head, body) = world.ask(&format!("GET {lamp}"), "", "");
    assert_eq!(body, b"on");
    assert!(
        head.contains("\r\ncontent-type: text/plain;charset=utf-8"),
        "{head}"
    );
    let (head, body) = world.ask(&format!("HEAD {lamp}"), "", "");
    assert!(head.contains("\r\ncontent-length: 2"), "{head}");
    assert_eq!(body, b"");
    let (head, body) = world.ask(&format!("GET {}", world.target("/bytes")), "", "");
    assert!(
        head.contains("\r\ncontent-type: application/coap-payload;cf=11542"),
        "{head}"
    );
    assert_eq!(body, [0xff, 0]);
    let (head, body) = world.ask(&format!("GET {}", world.target("/nothing")), "", "");
    assert!(head.starts_with("http/1.1 404 "), "{head}");
    assert!(body.starts_with(b"CoAP server returned 4.04: "), "{body:?}");
    let foreign = format!("{text}Origin: http://example.org\r\n");
    assert_eq!(world.status(&format!("PUT {lamp}"), &foreign, "off"), 403);
    assert_eq!(
        world.status(&format!("PUT {lamp}"), "Content-Type: image/png\r\n", "x"),
        415
    );
    assert_eq!(
        world.status("GET /.well-known/core?rt=core.hc", "", ""),
        200
    );
}

#[test]
fn a_gateway_that_only_reads_changes_nothing() {
    let world = World::new(false);
    let lamp = world.target("/lamp");
    for method in ["PUT", "POST", "DELETE"] {
        let text = "Content-Type: text/plain\r\n";
        assert_eq!(world.status(&format!("{method} {lamp}"), text, "on"), 403);
    }
    assert_eq!(world.ask(&format!("GET {lamp}"), "", "").1, b"off");
}

#[test]
fn a_counter_is_followed_by_several_until_they_leave() {
    let world = World::new(false);
    let streams = [0; 3].map(|_| Events::of(world.http, &world.target("/count"), ""));
    for stream in streams {
        let events: Vec<_> = stream.take(5).collect();
        assert!(
            events.iter().all(|event| event.name == "state"),
            "{events:?}"
        );
        let value = |at: usize| {
            events[at].data["value"]
                .as_str()
                .unwrap()
                .parse::<f64>()
                .unwrap()
        };
        for at in 1..events.len() {
            assert!(
                value(at) > value(at - 1) && events[at].id > events[at - 1].id,
                "{events:?}"
            );
        }
    }
    assert_eq!(
        world.status(&format!("GET {}", world.target("/count")), "", ""),
        200
    );
}

#[test]
fn malformed_requests_neither_kill_nor_block() {
    let world = World::new(true);
    let mut rng = Seed(1).rng(&["malformed"]);
    let target = world.target("/lamp?on&a=%41");
    let whole = format!(
        "PUT {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain;charset=utf-8\r\nAccept: text/plain;q=0.5, \
         application/coap-payload;cf=60\r\nIf-Match: \"0a0b\", *\r\nContent-Length: 2\r\n\r\non"
    );
    for _ in 0..crowd::from_environment("WPANLAB_MALFORMED", 3_000) {
        let request = malformed(whole.as_bytes(), &mut rng);
        let mut stream = TcpStream::connect(world.http).unwrap();
        // What became a request to another port is waited for no longer: it has no answer for long.
        (stream.set_read_timeout(Some(Duration::from_millis(100)))).unwrap();
        // It may be refused before it has been read.
        let _ = stream.write_all(&request);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let (head, body) = world.ask(&format!("GET {}", world.target("/bytes")), "", "");
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert_eq!(body, [0xff, 0]);
}
