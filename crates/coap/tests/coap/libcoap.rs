//! libcoap's client and server on the loopback interface: block-wise transfer, Observe,
//! `/.well-known/core`, FETCH and iPATCH, No-Response, tokens, both ways. No test depends on how long anything takes;
//! the time limit only turns a hang into a failure.

use std::io::Write;
use std::net::{SocketAddrV6, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use coap::block::BlockSize;
use coap::link::{self, Link};
use coap::message::option;
use coap::{
    Code, Endpoint, Event, NoResponse, Params, Reliability, Request, Response, TokenLength,
};
use driver::{Driver, Udp};
use units::Seed;

use crate::support::in_real_time;

const CLIENT: &str = "coap-client-notls";
const SERVER: &str = "coap-server-notls";

/// Longer than any of these tests, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Blocks of 64 B at our side, and a short ACK_TIMEOUT for a server that is still starting.
fn driver(name: &str) -> Driver<Endpoint> {
    driver_with(name, Params::default())
}

/// As [`driver`], and the rest of `params`.
fn driver_with(name: &str, params: Params) -> Driver<Endpoint> {
    let params = Params {
        block_size: BlockSize::new(64).unwrap(),
        ack_timeout: Duration::from_millis(200),
        max_retransmit: 8,
        ..params
    };
    let endpoint = Endpoint::new(params, &[], Seed(1).rng(&[name]));
    Driver::new(endpoint, Udp::bind("[::1]:0".parse().unwrap()).unwrap()).unwrap()
}

fn body(length: usize) -> Vec<u8> {
    (0..length)
        .map(|n| b'a' + ((n / 16 + n) % 26) as u8)
        .collect()
}

fn content(payload: Vec<u8>) -> Response {
    Response {
        payload,
        ..Response::new(Code::CONTENT)
    }
}

/// What our server was told.
#[derive(Default)]
struct Served {
    stored: Vec<Vec<u8>>,
    requests: usize,
}

/// Runs libcoap's client against our server until it ends; what it printed.
async fn libcoap_asks(arguments: &[&str], path: &str, served: &mut Served) -> String {
    let server = driver("server");
    libcoap_asks_of(server, arguments, path, served).await
}

/// As [`libcoap_asks`], of a server.
async fn libcoap_asks_of(
    mut server: Driver<Endpoint>,
    arguments: &[&str],
    path: &str,
    served: &mut Served,
) -> String {
    let port = server.socket().local_addr().unwrap().port();
    let mut command = Command::new(CLIENT);
    command
        .args(arguments)
        .arg(format!("coap://[::1]:{port}{path}"));
    let mut client = tokio::task::spawn_blocking(move || {
        command
            .output()
            .expect("coap-client-notls; ./scripts/setup installs it")
    });
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let mut state = 0;
    let output = loop {
        tokio::select! {
            event = server.next_event() => serve(&mut server, event.unwrap(), state, served),
            _ = ticks.tick() => {
                state += 1;
                let state = content(format!("state {state}\n").into_bytes());
                server.with(|endpoint, now| endpoint.notify(now, "/state", &state));
            }
            output = &mut client => break output.unwrap(),
        }
    };
    // Its last words may still be in our socket.
    while server.machine().is_observed("/state") {
        let event = tokio::time::timeout(Duration::from_secs(10), server.next_event()).await;
        let event = event.expect("libcoap said that it ends").unwrap();
        serve(&mut server, event, state, served);
    }
    String::from_utf8(output.stdout).unwrap()
}

fn serve(server: &mut Driver<Endpoint>, event: Event, state: u32, served: &mut Served) {
    if let Event::Request {
        exchange, request, ..
    } = event
    {
        served.requests += 1;
        let response = answer(&request, state, served);
        server.with(|endpoint, now| endpoint.respond_observed(now, exchange, response));
    }
}

fn answer(request: &Request, state: u32, served: &mut Served) -> Response {
    match (request.method, request.path().as_str()) {
        (Code::GET, "/large") => content(body(2000)),
        (Code::GET, "/state") => content(format!("state {state}\n").into_bytes()),
        (Code::GET, link::WELL_KNOWN_CORE) => {
            let many = (0..40).map(|n| Link::new(&format!("/sensor/{n}")));
            link::answer(request, &many.collect::<Vec<_>>())
        }
        (Code::FETCH, "/select") => content(request.payload.repeat(2)),
        (Code::FETCH, "/state") => content(format!("state {state}\n").into_bytes()),
        (Code::PUT | Code::IPATCH, "/store") => {
            served.stored.push(request.payload.clone());
            Response::new(Code::CHANGED)
        }
        _ => Response::new(Code::NOT_FOUND),
    }
}

#[test]
fn libcoap_fetches_2_kb_in_blocks_that_either_side_chose() {
    in_real_time(LIMIT, async {
        let whole = String::from_utf8(body(2000)).unwrap();
        for arguments in [&[][..], &["-b", "32"], &["-N", "-b", "256"]] {
            let mut served = Served::default();
            let printed = libcoap_asks(arguments, "/large", &mut served).await;
            assert_eq!(printed.trim_end(), whole, "{arguments:?}");
            assert_eq!(served.requests, 1, "the owner saw one request");
        }
    });
}

#[test]
fn libcoap_sends_2_kb_in_blocks() {
    in_real_time(LIMIT, async {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&body(2000)).unwrap();
        let name = file.path().to_str().unwrap();
        for size in ["64", "1024"] {
            let mut served = Served::default();
            let arguments = ["-m", "put", "-b", size, "-f", name];
            libcoap_asks(&arguments, "/store", &mut served).await;
            assert_eq!(served.stored, [body(2000)], "blocks of {size}");
        }
    });
}

#[test]
fn libcoap_fetches_with_a_body_of_2_kb_and_patches_with_one() {
    in_real_time(LIMIT, async {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&body(2000)).unwrap();
        let name = file.path().to_str().unwrap();
        for size in ["64", "1024"] {
            let mut served = Served::default();
            let arguments = ["-m", "fetch", "-t", "50", "-b", size, "-f", name];
            let printed = libcoap_asks(&arguments, "/select", &mut served).await;
            let selected = String::from_utf8(body(2000).repeat(2)).unwrap();
            assert_eq!(printed.trim_end(), selected, "blocks of {size}");
            assert_eq!(served.requests, 1, "the owner saw one request");
            let arguments = ["-m", "ipatch", "-t", "50", "-b", size, "-f", name];
            libcoap_asks(&arguments, "/store", &mut served).await;
            assert_eq!(served.stored, [body(2000)], "blocks of {size}");
        }
    });
}

#[test]
fn libcoap_observes_and_ends_it() {
    in_real_time(LIMIT, async {
        for arguments in [&["-s", "3"][..], &["-m", "fetch", "-e", "x", "-s", "3"]] {
            let mut served = Served::default();
            let printed = libcoap_asks(arguments, "/state", &mut served).await;
            let states: Vec<u32> = (printed.lines())
                .filter_map(|line| line.strip_prefix("state ")?.parse().ok())
                .collect();
            assert!(states.len() > 3, "{printed}");
            assert!(states.is_sorted(), "{printed}");
        }
    });
}

#[test]
fn libcoap_lists_and_filters_our_links_in_blocks() {
    in_real_time(LIMIT, async {
        let mut served = Served::default();
        let path = "/.well-known/core";
        let printed = libcoap_asks(&[], path, &mut served).await;
        assert_eq!(printed.trim_end().split(',').count(), 40, "{printed}");
        let filtered = "/.well-known/core?href=/sensor/3*";
        let printed = libcoap_asks(&[], filtered, &mut served).await;
        assert_eq!(
            printed.trim_end().split(',').count(),
            11,
            "3, 30 to 39: {printed}"
        );
    });
}

/// libcoap's server, which ends with the value.
struct LibcoapServer {
    child: Child,
    address: SocketAddrV6,
}

impl LibcoapServer {
    fn start() -> LibcoapServer {
        let free = UdpSocket::bind("[::1]:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = Command::new(SERVER)
            .args(["-A", "::1", "-p", &port.to_string(), "-d", "10"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("coap-server-notls; ./scripts/setup installs it");
        let address = SocketAddrV6::new(std::net::Ipv6Addr::LOCALHOST, port, 0, 0);
        LibcoapServer { child, address }
    }
}

impl Drop for LibcoapServer {
    fn drop(&mut self) {
        // Gone already, or ended now: nothing else can be done about it here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn ask(client: &mut Driver<Endpoint>, to: SocketAddrV6, request: Request) -> Response {
    let confirmable = Reliability::Confirmable;
    client.with(|endpoint, now| endpoint.request(now, to, confirmable, request));
    loop {
        match client.next_event().await.unwrap() {
            Event::Response { response, .. } => return response,
            Event::Failed { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
}

#[test]
fn libcoaps_server_takes_and_gives_2_kb_in_blocks() {
    in_real_time(LIMIT, async {
        let server = LibcoapServer::start();
        let mut client = driver("client");
        let put = Request {
            payload: body(2000),
            ..Request::new(Code::PUT, "/new")
        };
        let stored = ask(&mut client, server.address, put).await;
        assert_eq!(stored.code, Code::CREATED);
        let get = Request::new(Code::GET, "/new");
        let given = ask(&mut client, server.address, get).await;
        assert_eq!(given.code, Code::CONTENT);
        assert_eq!(given.payload, body(2000));
        let core = Request::new(Code::GET, link::WELL_KNOWN_CORE);
        let links = ask(&mut client, server.address, core).await;
        let links = String::from_utf8(links.payload).unwrap();
        assert!(
            links.contains("</new>") && links.contains("</time>"),
            "{links}"
        );
    });
}

#[test]
fn libcoaps_server_notifies_until_it_is_told_to_stop() {
    in_real_time(LIMIT, async {
        let server = LibcoapServer::start();
        let mut client = driver("client");
        let mut fetch = Request {
            payload: b"x".to_vec(),
            ..Request::new(Code::FETCH, "/time")
        };
        fetch.options.push_uint(option::CONTENT_FORMAT, 0);
        for request in [Request::new(Code::GET, "/time"), fetch] {
            let method = request.method;
            let confirmable = Reliability::Confirmable;
            let id = client
                .with(|endpoint, now| endpoint.observe(now, server.address, confirmable, request));
            let mut numbers = Vec::new();
            let ended = loop {
                match client.next_event().await.unwrap() {
                    Event::Notification { sequence, .. } => numbers.push(sequence),
                    Event::Response { response, .. } => break response,
                    other => panic!("{method}: {other:?}"),
                }
                if numbers.len() == 3 {
                    client.with(|endpoint, now| endpoint.stop_observing(now, id));
                }
            };
            assert!(numbers.is_sorted() && numbers.len() >= 3, "{numbers:?}");
            assert_eq!(ended.code, Code::CONTENT);
            assert_eq!(client.machine().outstanding(), 0);
        }
    });
}

/// Without entity tags libcoap puts the blocks of one body together all the same.
#[test]
fn libcoap_fetches_2_kb_in_blocks_without_entity_tags() {
    in_real_time(LIMIT, async {
        let whole = String::from_utf8(body(2000)).unwrap();
        for arguments in [&[][..], &["-N", "-b", "32"]] {
            let server = driver_with(
                "server",
                Params {
                    block_etags: false,
                    ..Params::default()
                },
            );
            let mut served = Served::default();
            let printed = libcoap_asks_of(server, arguments, "/large", &mut served).await;
            assert_eq!(printed.trim_end(), whole, "{arguments:?}");
            assert_eq!(served.requests, 1, "the owner saw one request");
        }
    });
}

/// How many lines of what libcoap's client logs of a request have `words`: of what it received, since
/// it logs every message with the same words after `received`.
fn messages(printed: &str, words: &str) -> usize {
    printed.lines().filter(|line| line.contains(words)).count()
}

#[test]
fn our_server_says_nothing_of_what_libcoap_does_not_want() {
    in_real_time(LIMIT, async {
        let ask = async |kind: &[&str], unwanted: &str, path: &str| {
            let mut served = Served::default();
            let mut arguments = vec!["-v", "7", "-B", "1", "-m", "put", "-e", "x"];
            arguments.extend(["-O", unwanted]);
            arguments.extend(kind);
            let printed = libcoap_asks(&arguments, path, &mut served).await;
            assert_eq!(served.requests, 1, "{printed}");
            printed
        };
        let (non, con): (&[&str], &[&str]) = (&["-N"], &[]);
        for (unwanted, path) in [
            ("258,0x1a", "/store"),
            ("258,0x02", "/store"),
            ("258,0x08", "/no"),
        ] {
            let printed = ask(non, unwanted, path).await;
            assert_eq!(messages(&printed, " received "), 0, "{printed}");
            let printed = ask(con, unwanted, path).await;
            assert_eq!(messages(&printed, " received 4 bytes"), 1, "{printed}");
            assert_eq!(messages(&printed, "t:ACK c:0.00"), 1, "{printed}");
        }
        let printed = ask(non, "258,0x02", "/no").await;
        assert_eq!(messages(&printed, "t:NON c:4.04"), 1, "{printed}");
        let printed = ask(con, "258,0x18", "/store").await;
        assert_eq!(messages(&printed, "t:ACK c:2.04"), 1, "{printed}");
    });
}

/// Waits until libcoap's server answers: it has started then.
async fn started(client: &mut Driver<Endpoint>, server: &LibcoapServer) {
    let core = Request::new(Code::GET, link::WELL_KNOWN_CORE);
    ask(client, server.address, core).await;
}

#[test]
fn libcoaps_server_says_nothing_of_what_we_do_not_want() {
    in_real_time(LIMIT, async {
        let server = LibcoapServer::start();
        let mut client = driver("client");
        started(&mut client, &server).await;
        let send = |method, path: &str, unwanted: NoResponse| {
            let mut request = Request {
                payload: path.as_bytes().to_vec(),
                ..Request::new(method, path)
            };
            unwanted.push(&mut request.options);
            request
        };
        for (reliability, path) in [
            (Reliability::NonConfirmable, "/non"),
            (Reliability::Confirmable, "/con"),
        ] {
            let put = send(Code::PUT, path, NoResponse::ALL);
            let id = client
                .with(|endpoint, now| endpoint.request(now, server.address, reliability, put));
            let ended = client.next_event().await.unwrap();
            assert!(
                matches!(ended, Event::Sent { id: sent, .. } if sent == id),
                "{ended:?}"
            );
            assert_eq!(client.machine().outstanding(), 0);
            let stored = ask(&mut client, server.address, Request::new(Code::GET, path)).await;
            assert_eq!(stored.payload, path.as_bytes(), "it was received");
            let patch = send(Code::PATCH, "/nowhere", NoResponse::SUCCESS);
            client.with(|endpoint, now| endpoint.request(now, server.address, reliability, patch));
            let ended = client.next_event().await.unwrap();
            let Event::Response { response, .. } = ended else {
                panic!("{ended:?}")
            };
            assert_eq!(response.code.class(), 4);
        }
    });
}

#[test]
fn libcoaps_server_answers_tokens_of_no_and_of_eight_bytes() {
    in_real_time(LIMIT, async {
        let server = LibcoapServer::start();
        for bytes in [0, 8] {
            let params = Params {
                token_length: TokenLength::new(bytes),
                ..Params::default()
            };
            let mut client = driver_with("client", params);
            started(&mut client, &server).await;
            let put = Request {
                payload: body(500),
                ..Request::new(Code::PUT, "/token")
            };
            let stored = ask(&mut client, server.address, put).await;
            assert!(stored.code.is_success(), "{stored:?}");
            let mut fetch = Request {
                payload: b"x".to_vec(),
                ..Request::new(Code::FETCH, "/time")
            };
            fetch.options.push_uint(option::CONTENT_FORMAT, 0);
            let fetched = ask(&mut client, server.address, fetch).await;
            assert_eq!(fetched.code, Code::CONTENT);
            let get = Request::new(Code::GET, "/token");
            let given = ask(&mut client, server.address, get).await;
            assert_eq!(given.payload, body(500), "{bytes}");
        }
    });
}

/// libcoap's links, which nobody here wrote, are read.
#[test]
fn the_links_of_libcoaps_server_are_read() {
    in_real_time(LIMIT, async {
        let server = LibcoapServer::start();
        let mut client = driver("client");
        let core = Request::new(Code::GET, link::WELL_KNOWN_CORE);
        let core = ask(&mut client, server.address, core).await;
        let links = link::parse(&core.payload).unwrap();
        let time = links.iter().find(|link| link.target == "/time").unwrap();
        assert_eq!(time.value("ct"), Some("0"));
        assert_eq!(time.value("title"), Some("Internal Clock"));
        assert!(time.has("obs"), "{time:?}");
    });
}
