//! What a client asked a gateway by HTTP while the node handed over.

use std::net::{IpAddr, SocketAddr};

use etherparse::PacketBuilder;

use super::*;
use crate::common::at;
use measure::http::HttpClient;

const TOPOLOGY: &str = "\
version: 1
name: web
nodes:
  er1: { role: edge-router }
  wmms: { role: wmms }
  sensor: { role: mobile-node, attached_to: er1, resources: [{ path: /t, changes_every: 1 s }] }
  web: { place: wired, mobility: comp, services: [{ gateway: { http: { port: 8080, address: any } } }] }
  browser:
    place: wired
    services:
      - http-client:
          gateway: web
          polls:
            - { node: sensor, path: /t, every: 10 ms, phase: 0 ms }
            - { node: sensor, path: /t, observe: true }
scenario: { duration: 100 ms }
expect:
  http_delivery: \">= 50 %\"
  http_deferred: 1
  http_unanswered: 0
  http_latency_max: \"<= 40 ms\"
  http_states: 3
  http_silence: \"< 45 ms\"
  of: [{ client: browser, path: /t, http_refused: 0 }]
";

const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const STATE: &str = "16\r\nevent: state\ndata: 1\n\n\r\n";

/// The capture of the browser, as raw IP.
struct Browser {
    wire: Wire,
    ends: [SocketAddr; 2],
    /// How many bytes each end has sent.
    sent: [u32; 2],
}

impl Browser {
    fn new(plan: &Plan) -> Browser {
        let address = |node: &str| -> IpAddr {
            let backbone = plan.nodes[node].backbone.as_ref().unwrap();
            backbone.address.addr().into()
        };
        Browser {
            wire: Wire::new(),
            ends: [
                SocketAddr::new(address("browser"), 0),
                SocketAddr::new(address("web"), 8080),
            ],
            sent: [0; 2],
        }
    }

    /// A connection from this port.
    fn open(&mut self, us: u64, port: u16) {
        self.ends[0].set_port(port);
        self.sent = [0; 2];
        self.segment(us, 0, true, "");
        self.sent[0] = 1;
        self.segment(us + 100, 1, true, "");
        self.sent = [1; 2];
    }

    fn says(&mut self, us: u64, end: usize, text: &str) {
        self.segment(us, end, false, text);
        self.sent[end] += text.len() as u32;
    }

    fn segment(&mut self, us: u64, end: usize, syn: bool, text: &str) {
        let (from, to) = (self.ends[end], self.ends[1 - end]);
        let (IpAddr::V6(src), IpAddr::V6(dst)) = (from.ip(), to.ip()) else {
            panic!("IPv4");
        };
        let builder = PacketBuilder::ipv6(src.octets(), dst.octets(), 64);
        let mut builder = builder.tcp(from.port(), to.port(), self.sent[end], 1000);
        if syn {
            builder = builder.syn();
        }
        if end == 1 || !syn {
            builder = builder.ack(self.sent[1 - end]);
        }
        let mut packet = Vec::new();
        builder.write(&mut packet, text.as_bytes()).unwrap();
        self.wire.0.push(Packet::new(0, at(us), packet));
    }

    /// Asks for this target.
    fn asks(&mut self, us: u64, target: &str, follows: bool) {
        let accept = if follows {
            "Accept: text/event-stream\r\n"
        } else {
            ""
        };
        self.says(us, 0, &format!("GET {target} HTTP/1.1\r\n{accept}\r\n"));
    }

    fn answers(&mut self, us: u64, status: &str) {
        self.says(
            us,
            1,
            &format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\n21.5"),
        );
    }
}

/// A handover from 50 to 90 ms: of polls one is answered late and one is told to ask again, and the stream is silent.
fn result(plan: &Plan, damage: Option<capture::ReadError>) -> RunResult {
    let target = {
        let client = plan.nodes["browser"].http_clients().next().unwrap();
        client.polls[0].target()
    };
    let mut browser = Browser::new(plan);
    browser.open(0, 40000);
    for ms in [0, 10, 20, 30] {
        browser.asks(ms * 1000 + 500, &target, false);
        browser.answers(ms * 1000 + 2500, "200 OK");
    }
    browser.asks(50_500, &target, false);
    browser.answers(80_500, "200 OK");
    browser.asks(85_500, &target, false);
    browser.answers(86_500, "503 Busy\r\nRetry-After: 1");
    browser.asks(95_000, "/somewhere/else", false);
    browser.answers(95_100, "404 Not Found");
    browser.open(200, 40001);
    browser.asks(1_000, &target, true);
    browser.says(2_000, 1, HEAD);
    for ms in [3, 43, 83] {
        browser.says(ms * 1000, 1, STATE);
    }
    let mut capture = browser.wire.capture();
    capture.damage = damage;
    let own = InterfaceCapture {
        node: "browser".into(),
        interface: "eth0".into(),
        capture,
    };
    // It says of itself that more was answered.
    let drained = EventKind::HttpDrained {
        asked: 8,
        answered: 7,
        reasons: Default::default(),
    };
    let mut events = events();
    events.insert(0, event(0, "browser", EventKind::Ready));
    events.push(event(200_000, "browser", drained));
    build(plan, &facts(), &events, &[own], None)
}

fn plan_of_web() -> Plan {
    let overrides = topology::Overrides::default();
    topology::load("web.yaml", TOPOLOGY, overrides).unwrap_or_else(|e| panic!("{e:?}"))
}

#[test]
fn what_was_asked_by_http_is_told_poll_by_poll_and_around_the_handover() {
    let plan = plan_of_web();
    let result = result(&plan, None);
    let [
        HttpClient {
            client,
            gateway,
            connections,
            polls,
        },
    ] = &result.http[..]
    else {
        panic!("{:?}", result.http);
    };
    assert_eq!((&**client, &**gateway), ("browser", "web"));
    assert_eq!((connections.opened, connections.refused), (2, 0));
    let [asked, followed] = &polls[..] else {
        panic!("{polls:?}");
    };
    let of = &asked.requests;
    assert_eq!(
        (asked.due, of.sent, of.answered, of.deferred),
        (10, 6, 5, 1)
    );
    let latency = of.latency_s.unwrap();
    assert_eq!((latency.median, latency.max), (0.002, 0.03));
    let [seen] = &asked.handovers[..] else {
        panic!("{asked:?}");
    };
    assert_eq!(
        (seen.number, seen.started_s, seen.completed_s),
        (1, 0.052, 0.0885)
    );
    assert_eq!((seen.requests, seen.late, seen.deferred), (2, Some(1), 1));
    assert_eq!(seen.longest_s, Some(0.03));
    assert_eq!((asked.events.as_ref(), followed.due), (None, 1));
    let events = followed.events.as_ref().unwrap();
    assert_eq!((events.states, events.longest_silence_s), (3, Some(0.04)));
    assert_eq!(followed.handovers[0].silence_s, Some(0.04));
    let other = "browser sent 1 request by HTTP that no poll of its has".to_owned();
    assert!(result.notes.contains(&other), "{:?}", result.notes);
    let says = "browser says that 7 of its requests by HTTP were answered, and its capture has 6";
    assert!(
        result.notes.iter().any(|note| note == says),
        "{:?}",
        result.notes
    );
    let outcomes = result.expectations.iter().map(|e| (e.metric, e.outcome));
    let failed: Vec<_> = outcomes.filter(|(_, o)| *o != Outcome::Passed).collect();
    assert_eq!(failed, []);

    let text = text::summary(&result);
    for line in [
        "browser asks web by HTTP: 2 connections\n",
        "  sensor/t: 10 due, 6 sent, 5 answered, 1 deferred (503), 0 unanswered\n",
        "    latency: median 2.000 ms, p95 30.000 ms, max 30.000 ms\n",
        "    handover 1 (52.000 ms to 88.500 ms): 2 requests open, 1 late, 1 deferred, longest latency 30.000 ms\n",
        "  sensor/t: followed: 1 sent, 1 answered, 0 unanswered\n",
        "    events: 3 states, longest silence 40.000 ms\n",
        "    handover 1 (52.000 ms to 88.500 ms): no state for 40.000 ms\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn a_run_without_expectations_of_http_says_what_was_not_answered() {
    let mut plan = plan_of_web();
    plan.expect.clear();
    let result = result(&plan, None);
    let told = "1 of 7 requests by HTTP were answered 503, to be asked again, and no expectation is about that";
    assert!(
        result.uncovered.iter().any(|text| text == told),
        "{:?}",
        result.uncovered
    );
}

#[test]
fn of_a_damaged_capture_and_of_none_nothing_of_http_is_measured() {
    let plan = plan_of_web();
    let source = std::io::Error::other("torn");
    let damage = capture::ReadError::Open {
        file: "browser.eth0".into(),
        source,
    };
    let nothing = build(&plan, &facts(), &events(), &[], None);
    for (result, reason) in [
        (
            result(&plan, Some(damage)),
            "the capture of browser is damaged",
        ),
        (nothing, "there is no capture of browser"),
    ] {
        let of_http = result.expectations.iter();
        for e in of_http.filter(|e| e.metric.key().starts_with("http_")) {
            assert_eq!(e.outcome, Outcome::NotMeasured, "{e}");
            assert!(e.reason.as_ref().unwrap().starts_with(reason), "{e:?}");
        }
        assert!(!result.passed);
    }
}
