//! aiocoap's server and client on the loopback interface: FETCH and iPATCH with bodies in blocks,
//! FETCH observed, No-Response, and the shortest and the longest tokens. The time limit only turns
//! a hang into a failure.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use coap::block::BlockSize;
use coap::message::option;
use coap::{
    Code, Endpoint, Event, NoResponse, Params, Reliability, Request, Response, TokenLength,
};
use driver::{Driver, Udp};
use units::Seed;

use crate::support::in_real_time;

/// Longer than any of these tests, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

const CON: Reliability = Reliability::Confirmable;

/// aiocoap's server, which ends with the value.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddrV6,
}

impl Server {
    fn start() -> Server {
        Server::over("udp")
    }

    /// `transport`: `udp`, or `ws` of CoAP over WebSockets.
    pub(crate) fn over(transport: &str) -> Server {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(here.join("../../target/peers/bin/python"))
            .arg(here.join("tests/coap/aiocoap_server.py"))
            .arg(transport)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("aiocoap in target/peers; ./scripts/setup installs it");
        let mut port = String::new();
        let printed = child.stdout.take().expect("its output is a pipe");
        BufReader::new(printed).read_line(&mut port).unwrap();
        let port = port.trim().parse().expect("it prints its port");
        let address = SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0);
        Server { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already, or ended now: nothing else can be done about it here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Blocks of 64 B at our side.
fn client() -> Driver<Endpoint> {
    driver(Params::default())
}

/// Blocks of 64 B, and the rest of `params`.
fn driver(params: Params) -> Driver<Endpoint> {
    let params = Params {
        block_size: BlockSize::new(64).unwrap(),
        ..params
    };
    let endpoint = Endpoint::new(params, &[], Seed(1).rng(&["client"]));
    Driver::new(endpoint, Udp::bind("[::1]:0".parse().unwrap()).unwrap()).unwrap()
}

fn request(method: Code, path: &str, payload: &[u8]) -> Request {
    let mut request = Request {
        payload: payload.to_vec(),
        ..Request::new(method, path)
    };
    request.options.push_uint(option::CONTENT_FORMAT, 42);
    request
}

async fn ask(client: &mut Driver<Endpoint>, to: SocketAddrV6, request: Request) -> Response {
    client.with(|endpoint, now| endpoint.request(now, to, CON, request));
    match client.next_event().await.unwrap() {
        Event::Response { response, .. } => response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn aiocoap_takes_a_fetch_and_a_patch_of_2_kb_in_blocks() {
    in_real_time(LIMIT, async {
        let server = Server::start();
        let mut client = client();
        let body: Vec<u8> = (0..2000).map(|n| (n / 16 + n) as u8).collect();
        for length in [50, 2000] {
            let fetch = request(Code::FETCH, "/select", &body[..length]);
            let selected = ask(&mut client, server.address, fetch).await;
            assert_eq!(selected.code, Code::CONTENT);
            assert_eq!(selected.payload, body[..length].repeat(2));
        }
        let patch = request(Code::IPATCH, "/select", &body);
        let patched = ask(&mut client, server.address, patch).await;
        assert_eq!(patched.code, Code::CHANGED);
        let stored = Request::new(Code::GET, "/select");
        let stored = ask(&mut client, server.address, stored).await;
        assert_eq!(stored.payload, body);
    });
}

#[test]
fn aiocoap_notifies_two_fetches_of_one_path_of_their_own_states() {
    in_real_time(LIMIT, async {
        let server = Server::start();
        let mut client = client();
        let mut observe = |from: &[u8]| {
            let fetch = request(Code::FETCH, "/count", from);
            client.with(|endpoint, now| endpoint.observe(now, server.address, CON, fetch))
        };
        let (low, high) = (observe(b"0"), observe(b"1000000"));
        let mut told = [0, 0];
        while told.iter().any(|notifications| *notifications < 3) {
            let Event::Notification { id, response, .. } = client.next_event().await.unwrap()
            else {
                panic!("not notified")
            };
            let text = String::from_utf8(response.payload).unwrap();
            let number: u64 = text.parse().unwrap();
            assert_eq!(number >= 1_000_000, id == high, "{text}");
            told[usize::from(id == high)] += 1;
        }
        client.with(|endpoint, now| [low, high].map(|id| endpoint.stop_observing(now, id)));
        while client.machine().outstanding() > 0 {
            client.next_event().await.unwrap();
        }
    });
}

#[test]
fn aiocoap_answers_tokens_of_no_and_of_eight_bytes() {
    in_real_time(LIMIT, async {
        let server = Server::start();
        for bytes in [0, 8] {
            let mut client = driver(Params {
                token_length: TokenLength::new(bytes),
                ..Params::default()
            });
            let body = vec![b'x'; 200];
            let patch = request(Code::IPATCH, "/select", &body);
            let patched = ask(&mut client, server.address, patch).await;
            assert_eq!(patched.code, Code::CHANGED);
            let fetch = request(Code::FETCH, "/select", b"abc");
            let selected = ask(&mut client, server.address, fetch).await;
            assert_eq!(selected.payload, b"abcabc", "{bytes}");
            let get = Request::new(Code::GET, "/select");
            let stored = ask(&mut client, server.address, get).await;
            assert_eq!(stored.payload, body);
        }
    });
}

/// What became of an iPATCH of ours that does not want all responses.
async fn patched(
    client: &mut Driver<Endpoint>,
    to: SocketAddrV6,
    reliability: Reliability,
    path: &str,
    unwanted: NoResponse,
) -> Option<Code> {
    let mut patch = request(Code::IPATCH, path, format!("{unwanted:?}").as_bytes());
    unwanted.push(&mut patch.options);
    client.with(|endpoint, now| endpoint.request(now, to, reliability, patch));
    match client.next_event().await.unwrap() {
        Event::Response { response, .. } => Some(response.code),
        Event::Sent { .. } => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn aiocoap_says_nothing_of_what_we_do_not_want() {
    in_real_time(LIMIT, async {
        let server = Server::start();
        let mut client = client();
        let at = server.address;
        for reliability in [Reliability::NonConfirmable, CON] {
            let all = NoResponse::ALL;
            let ended = patched(&mut client, at, reliability, "/select", all).await;
            assert_eq!(ended, None, "{reliability:?}");
            let get = Request::new(Code::GET, "/select");
            let stored = ask(&mut client, at, get).await;
            assert_eq!(
                stored.payload,
                format!("{all:?}").as_bytes(),
                "it was received"
            );
            // Errors are told to who wants them, successes to who wants those.
            let errors = NoResponse::SUCCESS;
            let ended = patched(&mut client, at, reliability, "/nowhere", errors).await;
            assert_eq!(ended, Some(Code::NOT_FOUND));
            let successes = NoResponse(24);
            let ended = patched(&mut client, at, reliability, "/select", successes).await;
            assert_eq!(ended, Some(Code::CHANGED));
        }
    });
}

/// Answers aiocoap's client.
fn answer(request: &Request, stored: &mut Vec<u8>) -> Response {
    let content = |payload: &[u8]| Response {
        payload: payload.to_vec(),
        ..Response::new(Code::CONTENT)
    };
    match (request.method, request.path().as_str()) {
        (Code::GET, "/store") => content(stored),
        (Code::PUT | Code::IPATCH, "/store") => {
            stored.clone_from(&request.payload);
            Response::new(Code::CHANGED)
        }
        (Code::FETCH, "/select") => content(&request.payload.repeat(2)),
        _ => Response::new(Code::NOT_FOUND),
    }
}

/// Bodies of 2 kB in blocks of 64 B, with and without entity tags.
#[test]
fn our_server_says_nothing_of_what_aiocoap_does_not_want_and_answers_its_fetch_and_ipatch() {
    in_real_time(LIMIT, async {
        for block_etags in [true, false] {
            let mut server = driver(Params {
                block_etags,
                ..Params::default()
            });
            let port = server.socket().local_addr().unwrap().port();
            let here = Path::new(env!("CARGO_MANIFEST_DIR"));
            let mut command = Command::new(here.join("../../target/peers/bin/python"));
            command.arg(here.join("tests/coap/aiocoap_client.py"));
            command.arg(port.to_string());
            let mut client = tokio::task::spawn_blocking(move || command.output().unwrap());
            let mut stored = Vec::new();
            let output = loop {
                tokio::select! {
                    event = server.next_event() => {
                        if let Event::Request { exchange, request, .. } = event.unwrap() {
                            let response = answer(&request, &mut stored);
                            server.with(|endpoint, now| endpoint.respond(now, exchange, response));
                        }
                    }
                    output = &mut client => break output.unwrap(),
                }
            };
            let printed = String::from_utf8(output.stdout).unwrap();
            let mut expected: Vec<&str> = Vec::new();
            for _ in ["NON", "CON"] {
                expected.extend(["2.05 x", "silent"].repeat(4));
                expected.extend(["4.04 ", "2.04 "]);
            }
            expected.extend(["2.05 aaaaaaaaaa", "2.04 ", "2.05 aaaaa"]);
            expected.extend(["2.05 4000", "2.04 ", "2.05 2000"]);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{errors}");
        }
    });
}
