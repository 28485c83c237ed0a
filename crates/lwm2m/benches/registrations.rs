//! Registrations and updates at the server: `cargo bench -p lwm2m --bench registrations`.
//!
//! First without sockets: 10,000 registrations and 100,000 updates as datagrams, at the CoAP endpoint and the server, and the
//! bytes that they hold. Then on loopback beside libcoap's resource directory (`coap-rd-notls`, which takes LwM2M's registrations
//! as it takes RFC 9176's): one generator, one machine, one run, in turns. An update is a POST here, a PUT there, as it is all
//! that this directory knows.

#[path = "../tests/hostile/counting.rs"]
mod counting;

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Endpoint, Kind, Options, Params};
use driver::{Driver, Udp};
use lwm2m::server::{Config, Server};
use machine::Machine as _;
use service::Service as _;
use units::{Seed, SimTime};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const CLIENTS: u32 = 10_000;
const UPDATES: u32 = 100_000;
/// Updates in one turn on loopback.
const TURN: u32 = 20_000;
/// Requests under way on loopback.
const WINDOW: u32 = 16;
const LINKS: &str = "</>;rt=\"oma.lwm2m\";ct=112,</1/0>,</3/0>,</3303/0>,</3360/0>,</2346>,</2347>";
/// What the server is told to be the one that is measured.
const SERVE: &str = "serve";

fn main() {
    // cargo says `--bench`, too.
    if std::env::args().any(|argument| argument == SERVE) {
        return serve();
    }
    without_sockets();
    on_loopback();
}

fn request(method: Code, number: u32, path: &[&str], queries: &[String], payload: &str) -> Vec<u8> {
    let mut options = Options::new();
    path.iter()
        .for_each(|segment| options.push(option::URI_PATH, *segment));
    if !payload.is_empty() {
        options.push_uint(option::CONTENT_FORMAT, 40);
    }
    queries
        .iter()
        .for_each(|query| options.push(option::URI_QUERY, query.as_str()));
    let message = Message {
        kind: Kind::Confirmable,
        code: method,
        message_id: number as u16,
        token: Token::new(&number.to_be_bytes()).expect("4 bytes are a token"),
        options,
        payload: payload.as_bytes().to_vec(),
    };
    message.encode()
}

fn registration(number: u32) -> Vec<u8> {
    let queries = [
        format!("ep=urn:dev:mac:{number:012x}"),
        "lt=86400".to_owned(),
        "lwm2m=1.1".to_owned(),
        "b=U".to_owned(),
    ];
    request(Code::POST, number, &["rd"], &queries, LINKS)
}

/// The segments of the place that a registration was given.
fn place(answer: &[u8]) -> Vec<String> {
    let message = Message::decode(answer).expect("an answer is CoAP");
    assert_eq!(message.code, Code::CREATED);
    let segments = message.options.get_all(option::LOCATION_PATH);
    segments
        .map(|segment| String::from_utf8_lossy(segment).into_owned())
        .collect()
}

fn update(method: Code, number: u32, place: &[String]) -> Vec<u8> {
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    request(method, number, &place, &[], "")
}

/// The server with its endpoint, without a socket.
struct Bare {
    now: SimTime,
    server: Server,
    endpoint: Endpoint,
}

impl Bare {
    /// Takes these datagrams, each of the client with that number; the answers, and how many requests there were in a second.
    fn take(&mut self, datagrams: &[(u32, Vec<u8>)]) -> (Vec<Vec<u8>>, f64) {
        let mut answers = Vec::with_capacity(datagrams.len());
        let begun = Instant::now();
        for (client, datagram) in datagrams {
            self.now += Duration::from_millis(1);
            let from = Ipv6Addr::from(0xfd00_u128 << 112 | u128::from(*client) + 1);
            let from = SocketAddrV6::new(from, 5683, 0, 0);
            let Ok(()) = self.endpoint.handle_datagram(self.now, from, datagram);
            while let Some(event) = self.endpoint.poll_event() {
                if let Ok(service::Event::Request(incoming)) = service::Event::try_from(event) {
                    self.server
                        .handle_request(self.now, incoming, &mut self.endpoint);
                }
            }
            answers.extend(self.endpoint.poll_transmit().map(|sent| sent.payload));
            while self.server.poll_event().is_some() {}
        }
        let rate = datagrams.len() as f64 / begun.elapsed().as_secs_f64();
        assert_eq!(answers.len(), datagrams.len());
        (answers, rate)
    }
}

fn without_sockets() {
    let mut bare = Bare {
        now: SimTime::ZERO,
        server: Server::new(Config::default(), Seed(1).rng(&["server"])),
        endpoint: Endpoint::new(
            Params::default(),
            service::KNOWN_CRITICAL,
            Seed(1).rng(&["coap"]),
        ),
    };
    let registrations: Vec<_> = (0..CLIENTS).map(|n| (n, registration(n))).collect();
    let empty = counting::live();
    let (answers, registered) = bare.take(&registrations);
    let places: Vec<_> = answers.iter().map(|answer| place(answer)).collect();
    drop(answers);
    let of_places: usize = places
        .iter()
        .flatten()
        .map(|s| s.capacity() + size_of::<String>())
        .sum();
    let of_places = of_places + places.capacity() * size_of::<Vec<String>>();
    let full = counting::live() - of_places;
    // What the endpoint knows of each message, for as long as a copy may come.
    bare.now += Duration::from_secs(300);
    bare.endpoint.handle_timeout(bare.now);
    let quiet = counting::live() - of_places;
    let updates = (0..UPDATES).map(|n| {
        let client = n % CLIENTS;
        (
            client,
            update(Code::POST, CLIENTS + n, &places[client as usize]),
        )
    });
    let (answers, updated) = bare.take(&updates.collect::<Vec<_>>());
    let changed = |answer: &Vec<u8>| answer.get(1) == Some(&0x44);
    assert!(answers.iter().all(changed));
    assert_eq!(bare.server.registrations().count(), CLIENTS as usize);
    let each = |bytes: usize| (bytes - empty) / CLIENTS as usize;
    println!(
        "without sockets: {CLIENTS} registrations {registered:.0}/s, {UPDATES} updates {updated:.0}/s; {} B a registration, {} B \
         once no copy of its messages can come",
        each(full),
        each(quiet)
    );
}

/// A server on a socket, until it is killed.
fn serve() {
    let endpoint = Endpoint::new(
        Params::default(),
        service::KNOWN_CRITICAL,
        Seed(1).rng(&["coap"]),
    );
    let mut server = Server::new(Config::default(), Seed(1).rng(&["server"]));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let socket = Udp::bind("[::1]:0".parse().expect("an address")).expect("a socket");
        let mut driver = Driver::new(endpoint, socket).expect("a driver");
        println!(
            "{}",
            driver.socket().local_addr().expect("its address").port()
        );
        loop {
            let event = driver.next_event().await.expect("the socket works");
            if let Ok(service::Event::Request(incoming)) = service::Event::try_from(event) {
                driver.with(|node, now| server.handle_request(now, incoming, node));
            }
            while server.poll_event().is_some() {}
        }
    });
}

/// A server that is measured; dropped, it is killed.
struct Measured {
    name: &'static str,
    child: Child,
    socket: UdpSocket,
    /// How it is told of an update.
    method: Code,
    places: Vec<Vec<String>>,
    /// Requests that were sent again.
    again: u64,
}

impl Drop for Measured {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Measured {
    fn new(name: &'static str, child: Child, port: u16, method: Code) -> Measured {
        let socket = UdpSocket::bind("[::1]:0").expect("a socket");
        socket
            .connect((Ipv6Addr::LOCALHOST, port))
            .expect("its address");
        socket
            .set_read_timeout(Some(Duration::from_secs(2)))
            .expect("a limit");
        Measured {
            name,
            child,
            socket,
            method,
            places: Vec::new(),
            again: 0,
        }
    }

    fn ours() -> Measured {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .arg(SERVE)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let printed = child.stdout.take().expect("its output is a pipe");
        BufReader::new(printed)
            .read_line(&mut line)
            .expect("its port");
        let port = line.trim().parse().expect("its port");
        Measured::new("ours", child, port, Code::POST)
    }

    fn libcoap() -> Measured {
        let free = UdpSocket::bind("[::1]:0").and_then(|free| free.local_addr());
        let port = free.expect("a free port").port();
        let child = Command::new("coap-rd-notls")
            .args(["-A", "::1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("coap-rd-notls: install libcoap3-bin");
        Measured::new("coap-rd", child, port, Code::PUT)
    }

    /// Sends requests, [`WINDOW`] at a time; their answers in their order, and how many there were in a second.
    fn run(&mut self, first: u32, requests: &[Vec<u8>]) -> (Vec<Vec<u8>>, f64) {
        let mut answers: Vec<Option<Vec<u8>>> = vec![None; requests.len()];
        let (mut sent, mut open) = (0, 0);
        let mut buffer = [0; 2048];
        let begun = Instant::now();
        while open > 0 || sent < requests.len() {
            while open < WINDOW && sent < requests.len() {
                // One that is refused since nobody listens yet is sent again.
                let _ = self.socket.send(&requests[sent]);
                (sent, open) = (sent + 1, open + 1);
            }
            let Ok(length) = self.socket.recv(&mut buffer) else {
                for (request, _) in requests[..sent]
                    .iter()
                    .zip(&answers)
                    .filter(|(_, a)| a.is_none())
                {
                    let _ = self.socket.send(request);
                    self.again += 1;
                }
                continue;
            };
            let token = buffer.get(4..8).and_then(|token| token.try_into().ok());
            let number = token
                .map(u32::from_be_bytes)
                .and_then(|token| token.checked_sub(first));
            let place = number.and_then(|number| answers.get_mut(number as usize));
            if let Some(place) = place.filter(|place| place.is_none()) {
                *place = Some(buffer[..length].to_vec());
                open -= 1;
            }
        }
        let rate = requests.len() as f64 / begun.elapsed().as_secs_f64();
        (answers.into_iter().flatten().collect(), rate)
    }

    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("VmRSS") * 1024
    }

    fn register(&mut self) {
        // The first one waits until it listens.
        self.run(
            u32::MAX,
            &[request(
                Code::GET,
                u32::MAX,
                &[".well-known", "core"],
                &[],
                "",
            )],
        );
        let before = self.resident();
        let requests: Vec<_> = (0..CLIENTS).map(registration).collect();
        let (answers, rate) = self.run(0, &requests);
        self.places = answers.iter().map(|answer| place(answer)).collect();
        let each = (self.resident() - before) / u64::from(CLIENTS);
        println!(
            "{}: {CLIENTS} registrations {rate:.0}/s; {each} B resident each",
            self.name
        );
    }

    fn update(&mut self, turn: u32) -> f64 {
        let first = CLIENTS + turn * TURN;
        let requests = (first..first + TURN).map(|n| {
            let place = &self.places[(n % CLIENTS) as usize];
            update(self.method, n, place)
        });
        let (answers, rate) = self.run(first, &requests.collect::<Vec<_>>());
        let changed = |answer: &&Vec<u8>| answer.get(1) == Some(&0x44);
        assert_eq!(
            answers.iter().filter(changed).count(),
            TURN as usize,
            "{}",
            self.name
        );
        rate
    }
}

fn on_loopback() {
    let mut servers = [Measured::ours(), Measured::libcoap()];
    servers.iter_mut().for_each(Measured::register);
    let mut sums = [0.0; 2];
    let turns = UPDATES / TURN;
    for turn in 0..turns {
        for (server, sum) in servers.iter_mut().zip(&mut sums) {
            *sum += server.update(turn);
        }
    }
    for (server, sum) in servers.iter().zip(sums) {
        let mean = sum / f64::from(turns);
        println!(
            "{}: {UPDATES} updates {mean:.0}/s in {turns} turns; {} sent again",
            server.name, server.again
        );
    }
    println!("ratio of updates to coap-rd: {:.2}", sums[0] / sums[1]);
}
