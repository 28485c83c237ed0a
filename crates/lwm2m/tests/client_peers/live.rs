//! A client on a socket of the loopback interface, beside a server that is a program of somebody else's: it is told by lines
//! of JSON what to ask, and says in lines of JSON what it sees.

use std::collections::VecDeque;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::path::Path as File;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use coap::{Endpoint, Params};
use driver::{Driver, Udp, clock};
use lwm2m::client::{Account, Client, Config};
use lwm2m::{Path, Registry, Store, Value};
use serde_json::{Value as Json, json};
use service::{Reach, Service as _};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use units::Seed;

/// Longer than any of these tests, also on a busy machine: it only turns a hang into a failure.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a test; a test that hangs fails.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let ended = tokio::time::timeout(LIMIT, test).await;
        ended.expect("the test hangs");
    });
}

pub fn path(text: &str) -> Path {
    text.parse().unwrap()
}

/// A port that nobody has.
fn free_port() -> u16 {
    let free = UdpSocket::bind("[::1]:0").unwrap();
    free.local_addr().unwrap().port()
}

/// A device with a temperature, a humidity and a position, of one server.
fn device(server: SocketAddrV6) -> Store {
    let account = Account {
        server: 1,
        address: server,
        lifetime: Duration::from_secs(300),
        pmin: None,
        pmax: None,
    };
    let registry = Arc::new(Registry::built_in());
    let objects = [2346, 2347, 3303, 3304, 3360];
    let mut store = Client::tree(registry, &[account], &objects).unwrap();
    let mut begun = store.transaction();
    for instance in ["/3303/0", "/3304/0", "/3360/0"] {
        begun.create(path(instance)).unwrap();
    }
    for (at, value) in [
        ("/3303/0/5700", 21.5),
        ("/3304/0/5700", 48.0),
        ("/3360/0/5702", 3.25),
        ("/3360/0/5703", 7.125),
    ] {
        begun.set(path(at), Value::Float(value)).unwrap();
    }
    begun.commit();
    store
}

/// A device that has no server but a bootstrap server.
fn unprovided(bootstrap: SocketAddrV6) -> Store {
    let mut store = Client::tree(Arc::new(Registry::built_in()), &[], &[3303]).unwrap();
    let mut begun = store.transaction();
    let uri = format!("coap://[{}]:{}", bootstrap.ip(), bootstrap.port());
    begun.create(path("/0/9")).unwrap();
    begun.set(path("/0/9/0"), Value::String(uri)).unwrap();
    begun.set(path("/0/9/1"), Value::Boolean(true)).unwrap();
    begun.commit();
    store
}

/// A client at work, and its server.
pub struct Live {
    pub client: Client,
    pub server_port: u16,
    driver: Driver<Endpoint>,
    server: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    /// What the server was asked, and the notifications that it got; the test has not looked at them.
    asked: VecDeque<Json>,
    notified: VecDeque<Json>,
    requests: u64,
}

impl Live {
    /// Starts `program`, of target/peers, with the server's script of this directory; then the client.
    pub async fn start(program: &str, script: &str, config: Config) -> Live {
        Live::with(program, script, config, device).await
    }

    /// The same with a client that knows the server as its bootstrap server only.
    pub async fn bootstrapped(program: &str, script: &str, config: Config) -> Live {
        Live::with(program, script, config, unprovided).await
    }

    async fn with(
        program: &str,
        script: &str,
        config: Config,
        device: fn(SocketAddrV6) -> Store,
    ) -> Live {
        let here = File::new(env!("CARGO_MANIFEST_DIR"));
        let peers = here.join("../../target/peers");
        let server_port = free_port();
        let endpoint = Endpoint::new(
            Params::default(),
            service::KNOWN_CRITICAL,
            Seed(1).rng(&["coap"]),
        );
        let driver = Driver::new(endpoint, Udp::bind("[::1]:0".parse().unwrap()).unwrap()).unwrap();
        let port = driver.socket().local_addr().unwrap().port();
        let program = match program.contains('/') {
            true => peers.join(program),
            false => program.into(),
        };
        let mut server = Command::new(program)
            .arg(here.join("tests/client_peers").join(script))
            .args([server_port, port].map(|port| port.to_string()))
            .env("NODE_PATH", peers.join("node/node_modules"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a peer in target/peers; ./scripts/setup installs it");
        let printed = server.stdout.take().expect("its output is a pipe");
        let address = SocketAddrV6::new(Ipv6Addr::LOCALHOST, server_port, 0, 0);
        let mut live = Live {
            client: Client::new(config, device(address), Seed(1).rng(&["client"]), false),
            server_port,
            driver,
            input: server.stdin.take(),
            server,
            lines: BufReader::new(printed).lines(),
            asked: VecDeque::new(),
            notified: VecDeque::new(),
            requests: 0,
        };
        assert_eq!(live.line().await, json!({"ready": true}));
        let client = &mut live.client;
        live.driver.with(|node, now| client.start(now, node));
        live
    }

    /// The next line that the server says.
    async fn line(&mut self) -> Json {
        loop {
            let due = clock::instant(self.client.poll_timeout(Reach::FULL));
            let client = &mut self.client;
            tokio::select! {
                line = self.lines.next_line() => {
                    let line = line.unwrap().expect("the server goes on");
                    return serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
                }
                event = self.driver.next_event() => {
                    let event = event.unwrap();
                    self.driver.with(|node, now| match service::Event::try_from(event) {
                        Ok(service::Event::Request(incoming)) => {
                            client.handle_request(now, incoming, node);
                        }
                        Ok(service::Event::Call { call, outcome }) => {
                            client.handle_outcome(now, call, outcome, node);
                        }
                        Err(_) => {}
                    });
                }
                () = tokio::time::sleep_until(due) => {
                    self.driver.with(|node, now| client.handle_timeout(now, Reach::FULL, node));
                }
            }
        }
    }

    /// The next line, unless it was something that the server was asked or told.
    async fn take(&mut self) -> Option<Json> {
        let line = self.line().await;
        if line.get("asked").is_some() {
            self.asked.push_back(line);
        } else if line.get("notified").is_some() {
            self.notified.push_back(line);
        } else {
            return Some(line);
        }
        None
    }

    /// What the server is asked next.
    pub async fn asked(&mut self) -> Json {
        loop {
            if let Some(asked) = self.asked.pop_front() {
                return asked;
            }
            let stray = self.take().await;
            assert_eq!(stray, None);
        }
    }

    /// The next notification.
    pub async fn notified(&mut self) -> Json {
        loop {
            if let Some(notified) = self.notified.pop_front() {
                return notified;
            }
            let stray = self.take().await;
            assert_eq!(stray, None);
        }
    }

    /// Whether the server was asked something that the test has not looked at.
    pub fn has_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Notifications that nobody waited for.
    pub fn unread(&self) -> usize {
        self.notified.len()
    }

    /// Has the server do something; what came of it.
    pub async fn tell(&mut self, mut wanted: Json) -> Json {
        self.requests += 1;
        wanted["id"] = self.requests.into();
        let input = self.input.as_mut().expect("the server runs");
        input
            .write_all(format!("{wanted}\n").as_bytes())
            .await
            .unwrap();
        loop {
            if let Some(done) = self.take().await {
                assert_eq!(done["done"], wanted["id"]);
                return done;
            }
        }
    }

    /// The device has a new value.
    pub fn set(&mut self, at: &str, value: f64) {
        let client = &mut self.client;
        let value = Value::Float(value);
        let set = |node: &mut Endpoint, now| client.set(now, path(at), value, node);
        self.driver.with(set).unwrap();
    }

    /// Observations that the client has.
    pub fn observations(&self) -> usize {
        self.driver.machine().observations().count()
    }

    /// The server's input ends, and it.
    pub async fn end(mut self) {
        self.input = None;
        assert!(self.server.wait().await.unwrap().success());
    }
}
