//! A client by aiocoap on the loopback interface: what it sends and takes was made by nobody here. The time limit only turns
//! a hang into a failure.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use coap::{Code, Endpoint, Params};
use driver::{Driver, Udp};
use lwm2m::model::Version;
use lwm2m::operations::Mode;
use lwm2m::server::{Config, Event, Operation, OperationId, Outcome, Server};
use service::Service as _;
use units::Seed;

use crate::support::{float, path, records};

/// Longer than this test, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

const TEMPERATURE: &str = "/3303/0/5700";
const HUMIDITY: &str = "/3304/0/5700";

/// aiocoap's client, which ends with the value.
pub struct Client {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Client {
    /// Runs the script of this directory, with the ports of the server and of its own.
    pub fn start(script: &str, server: SocketAddrV6) -> Client {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        // A port that nobody has: aiocoap takes none by itself.
        let free = UdpSocket::bind("[::1]:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut child = Command::new(here.join("../../target/peers/bin/python"))
            .arg(here.join("tests/server").join(script))
            .args([server.port(), port].map(|port| port.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("aiocoap in target/peers; ./scripts/setup installs it");
        let printed = child.stdout.take().expect("its output is a pipe");
        let (said, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(printed).lines().map_while(Result::ok) {
                // Nobody listens any more when the test is over.
                let _ = said.send(line);
            }
        });
        let input = child.stdin.take();
        Client {
            child,
            input,
            lines,
        }
    }

    /// Ends its input.
    pub fn close(&mut self) {
        self.input = None;
    }

    /// What it has said, when it has ended by itself.
    pub fn said(&self) -> Vec<String> {
        self.lines.iter().collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Gone already, or ended now: nothing else can be done about it here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server on a socket.
struct Live {
    server: Server,
    driver: Driver<Endpoint>,
}

impl Live {
    fn operate(&mut self, operation: Operation) -> OperationId {
        let server = &mut self.server;
        (self.driver).with(|node, now| server.operate(now, "aiocoap", operation, node))
    }

    /// The next event.
    async fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.server.poll_event() {
                return event;
            }
            let event = self.driver.next_event().await.unwrap();
            let server = &mut self.server;
            self.driver
                .with(|node, now| match service::Event::try_from(event) {
                    Ok(service::Event::Request(incoming)) => {
                        server.handle_request(now, incoming, node)
                    }
                    Ok(service::Event::Call { call, outcome }) => {
                        server.handle_outcome(now, call, outcome, node);
                    }
                    Err(_) => {}
                });
        }
    }

    /// What becomes of an operation; and the notifications before that.
    async fn outcome(&mut self, operation: Operation) -> (Outcome, usize) {
        let wanted = self.operate(operation);
        let mut notifications = 0;
        loop {
            match self.event().await {
                Event::Done { id, outcome, .. } if id == wanted => return (outcome, notifications),
                Event::Notified { .. } => notifications += 1,
                other => panic!("{other:?}"),
            }
        }
    }
}

async fn conversation() {
    let config = Config {
        versions: Version::V1_0..=Version::V1_1,
        ..Config::default()
    };
    let endpoint = Endpoint::new(Params::default(), &[], Seed(1).rng(&["coap"]));
    let driver = Driver::new(endpoint, Udp::bind("[::1]:0".parse().unwrap()).unwrap()).unwrap();
    let port = driver.socket().local_addr().unwrap().port();
    let mut live = Live {
        server: Server::new(config, Seed(1).rng(&["server"])),
        driver,
    };
    let mut client = Client::start(
        "aiocoap_client.py",
        SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0),
    );
    let refused = live.event().await;
    let refuses = |event: &Event| {
        matches!(
            event,
            Event::Refused {
                code: Code::PRECONDITION_FAILED,
                ..
            }
        )
    };
    assert!(refuses(&refused), "{refused:?}");
    let registered = live.event().await;
    assert!(
        matches!(registered, Event::Registered { .. }),
        "{registered:?}"
    );
    let known = live.server.registration("aiocoap").unwrap();
    assert_eq!(known.description.version, Version::V1_1);
    let sent = live.event().await;
    let Event::Sent { content, .. } = &sent else {
        panic!("{sent:?}")
    };
    let series: Vec<_> = (content.records.iter().flatten())
        .map(|record| {
            (
                record.path,
                record.value.clone().and_then(|v| v.number()),
                record.time,
            )
        })
        .collect();
    let value = |k: f64| {
        (
            path(TEMPERATURE),
            Some(20.0 + k),
            Some(1_700_000_000.0 + 60.0 * k),
        )
    };
    assert_eq!(series, [0.0, 1.0, 2.0].map(value));

    for format in [112, 11544] {
        let sent = live.event().await;
        let Event::Sent { content, .. } = &sent else {
            panic!("{sent:?}")
        };
        assert_eq!(content.format, Some(format));
        assert_eq!(content.records, Ok(vec![float(TEMPERATURE, 21.5)]));
    }
    let refused = live.event().await;
    assert!(
        matches!(
            refused,
            Event::Refused {
                code: Code::UNSUPPORTED_CONTENT_FORMAT,
                ..
            }
        ),
        "{refused:?}"
    );

    let temperature = || path(TEMPERATURE);
    let observe = Operation::Observe {
        path: temperature(),
        format: None,
    };
    let (outcome, _) = live.outcome(observe).await;
    assert_eq!(records(outcome), [float(TEMPERATURE, 21.5)]);
    let read = |text| Operation::Read {
        path: path(text),
        format: None,
    };
    let (outcome, _) = live.outcome(read(HUMIDITY)).await;
    assert_eq!(records(outcome), [float(HUMIDITY, 48.0)]);
    let (outcome, _) = live.outcome(read("/3303/7/5700")).await;
    assert!(
        matches!(
            outcome,
            Outcome::Refused {
                code: Code::NOT_FOUND,
                ..
            }
        ),
        "{outcome:?}"
    );
    let write = Operation::Write {
        path: temperature(),
        mode: Mode::Replace,
        records: vec![float(TEMPERATURE, 22.25)],
        format: None,
    };
    let wanted = live.operate(write);
    let (mut done, mut notified) = (false, false);
    while !(done && notified) {
        match live.event().await {
            Event::Done { id, outcome, .. } => {
                assert_eq!((id, outcome), (wanted, Outcome::Success(Code::CHANGED)));
                done = true;
            }
            Event::Notified { content, .. } => {
                assert_eq!(content.records, Ok(vec![float(TEMPERATURE, 22.25)]));
                notified = true;
            }
            other => panic!("{other:?}"),
        }
    }
    let paths = vec![temperature(), path(HUMIDITY)];
    let both = vec![float(TEMPERATURE, 23.0), float(HUMIDITY, 50.0)];
    let write = Operation::WriteComposite {
        records: both.clone(),
        format: None,
    };
    assert_eq!(live.outcome(write).await.0, Outcome::Success(Code::CHANGED));
    let read = Operation::ReadComposite {
        paths,
        format: None,
    };
    assert_eq!(records(live.outcome(read).await.0), both);
    let cancel = Operation::CancelObservation {
        paths: vec![temperature()],
    };
    assert!(matches!(live.outcome(cancel).await.0, Outcome::Content(_)));

    client.close();
    let left = live.event().await;
    assert!(matches!(left, Event::Deregistered { .. }), "{left:?}");
    let said = client.said();
    for line in [
        "POST /rd 4.12",
        "POST /rd 2.01",
        "POST /dp 2.04",
        "POST /dp 4.15",
        "PUT /3303/0/5700 22.25",
    ] {
        assert!(said.iter().any(|said| said == line), "{line}: {said:?}");
    }
    assert!(
        said.contains(&format!("FETCH {TEMPERATURE} {HUMIDITY}")),
        "{said:?}"
    );
}

/// Runs a conversation; one that hangs fails.
pub fn run(conversation: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let ended = tokio::time::timeout(LIMIT, conversation).await;
            ended.expect("the test hangs");
        });
}

#[test]
fn aiocoap_registers_for_an_older_version_sends_and_is_read_written_and_observed() {
    run(conversation());
}
