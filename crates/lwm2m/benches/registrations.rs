//! Registrations and updates at the server: `cargo bench -p lwm2m --bench registrations`.
//!
//! First without sockets: 10,000 registrations and 100,000 updates as datagrams, at the CoAP endpoint and the server, and the
//! bytes that they hold. Then on loopback beside libcoap's resource directory (`coap-rd-notls`, which takes LwM2M's registrations
//! as it takes RFC 9176's): one generator, one machine, one run, in turns. The directory of libcoap 4.3.1 answers
//! every update with 5.01, so that of updates there is nothing to compare. Rates are of wall time; processor time is the server's.

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
/// Turns of as many registrations on loopback.
const TURNS: u32 = 5;
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

/// Processor time of a process or a thread.
fn cpu(process: &str) -> Duration {
    let stat =
        std::fs::read_to_string(format!("/proc/{process}/schedstat")).expect("its schedstat");
    let nanoseconds = stat.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.expect("nanoseconds"))
}

/// How long requests took.
#[derive(Clone, Copy, Default)]
struct Took {
    requests: usize,
    wall: Duration,
    cpu: Duration,
}

impl Took {
    fn new(requests: usize, wall: Duration, cpu: Duration) -> Took {
        Took {
            requests,
            wall,
            cpu,
        }
    }

    fn add(&mut self, other: Took) {
        *self = Took::new(
            self.requests + other.requests,
            self.wall + other.wall,
            self.cpu + other.cpu,
        );
    }

    fn rate(&self) -> f64 {
        self.requests as f64 / self.wall.as_secs_f64()
    }
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each = self.cpu.as_secs_f64() * 1e6 / self.requests as f64;
        write!(
            f,
            "{:.0}/s ({each:.1} us of processor time each)",
            self.rate()
        )
    }
}

/// The server with its endpoint, without a socket.
struct Bare {
    now: SimTime,
    server: Server,
    endpoint: Endpoint,
}

impl Bare {
    /// Takes these datagrams, each of the client with that number; the answers, and what it took.
    fn take(&mut self, datagrams: &[(u32, Vec<u8>)]) -> (Vec<Vec<u8>>, Took) {
        let mut answers = Vec::with_capacity(datagrams.len());
        let (begun, before) = (Instant::now(), cpu("thread-self"));
        for (client, datagram) in datagrams {
            self.now += Duration::from_millis(1);
            let from = Ipv6Addr::from((0xfd00_u128 << 112) | (u128::from(*client) + 1));
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
        let took = Took::new(
            datagrams.len(),
            begun.elapsed(),
            cpu("thread-self") - before,
        );
        assert_eq!(answers.len(), datagrams.len());
        (answers, took)
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
    let Bare {
        server, endpoint, ..
    } = bare;
    let both = counting::live();
    drop(endpoint);
    let of_endpoint = both - counting::live();
    let each = |bytes: usize| bytes / CLIENTS as usize;
    println!(
        "without sockets: {CLIENTS} registrations {registered}, {UPDATES} updates {updated}; {} B a registration with its \
         endpoint's part, and after the updates {} B of an endpoint for each of {} clients",
        each(full - empty),
        each(of_endpoint),
        server.registrations().count()
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
    fn new(name: &'static str, child: Child, port: u16) -> Measured {
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
        Measured::new("ours", child, port)
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
        Measured::new("coap-rd", child, port)
    }

    /// Sends requests, [`WINDOW`] at a time; their answers in their order, and what it took.
    fn run(&mut self, first: u32, requests: &[Vec<u8>]) -> (Vec<Vec<u8>>, Took) {
        let mut answers: Vec<Option<Vec<u8>>> = vec![None; requests.len()];
        let (mut sent, mut open) = (0, 0);
        let mut buffer = [0; 2048];
        let process = self.child.id().to_string();
        let (begun, before) = (Instant::now(), cpu(&process));
        while open > 0 || sent < requests.len() {
            while open < WINDOW && sent < requests.len() {
                // One that is refused since nobody listens yet is sent again.
                let _ = self.socket.send(&requests[sent]);
                (sent, open) = (sent + 1, open + 1);
            }
            let Ok(length) = self.socket.recv(&mut buffer) else {
                // It does not listen yet, or a datagram was lost.
                std::thread::sleep(Duration::from_millis(10));
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
        let took = Took::new(requests.len(), begun.elapsed(), cpu(&process) - before);
        (answers.into_iter().flatten().collect(), took)
    }

    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("VmRSS") * 1024
    }

    /// Waits until it listens.
    fn wait(&mut self) {
        let get = request(Code::GET, u32::MAX, &[".well-known", "core"], &[], "");
        self.run(u32::MAX, &[get]);
        self.again = 0;
    }

    fn register(&mut self, turn: u32) -> Took {
        let first = turn * CLIENTS;
        let requests: Vec<_> = (first..first + CLIENTS).map(registration).collect();
        let (answers, took) = self.run(first, &requests);
        self.places
            .extend(answers.iter().map(|answer| place(answer)));
        took
    }

    fn update(&mut self) -> Took {
        let first = TURNS * CLIENTS;
        let places = self.places.iter().cycle();
        let requests = (first..first + UPDATES).zip(places);
        let requests: Vec<_> = requests
            .map(|(n, place)| update(Code::POST, n, place))
            .collect();
        let (answers, took) = self.run(first, &requests);
        let changed = |answer: &Vec<u8>| answer.get(1) == Some(&0x44);
        assert!(answers.iter().all(changed), "{}", self.name);
        took
    }
}

fn on_loopback() {
    let mut servers = [Measured::ours(), Measured::libcoap()];
    servers.iter_mut().for_each(Measured::wait);
    let before = servers.each_ref().map(Measured::resident);
    let mut sums = [Took::default(); 2];
    for turn in 0..TURNS {
        for (server, sum) in servers.iter_mut().zip(&mut sums) {
            sum.add(server.register(turn));
        }
    }
    for ((server, sum), before) in servers.iter().zip(&sums).zip(before) {
        let each = (server.resident() - before) / u64::from(TURNS * CLIENTS);
        println!(
            "{}: {} registrations in {TURNS} turns {sum}; {each} B resident each; {} sent again",
            server.name, sum.requests, server.again
        );
    }
    println!(
        "registrations, ratio to coap-rd: {:.2}",
        sums[0].rate() / sums[1].rate()
    );
    let updated = servers[0].update();
    println!("ours: {UPDATES} updates {updated}");
}
