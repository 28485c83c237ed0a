//! Who asks by CoAP over a WebSocket (RFC 8323).

use coap::message::option;
use coap::websocket::{PEER, Session, signaling};
use coap::{Code, Endpoint, Event, Params, Request as CoapRequest, RequestId};
use tungstenite::client::ClientRequestBuilder;
use tungstenite::{Message, WebSocket};

use super::*;
use crate::web::MAX_STREAMS;

/// A client at the other end of a WebSocket.
struct Client {
    socket: WebSocket<TcpStream>,
    session: Session,
}

impl Client {
    fn open(at: SocketAddr) -> Client {
        let stream = TcpStream::connect(at).unwrap();
        // Only so that a test that fails ends.
        (stream.set_read_timeout(Some(Duration::from_secs(60)))).unwrap();
        let uri = format!("ws://localhost:{}/.well-known/coap", at.port());
        let request = ClientRequestBuilder::new(uri.parse().unwrap()).with_sub_protocol("coap");
        let (socket, _) = tungstenite::client(request, stream).unwrap();
        let endpoint = Endpoint::new(Params::default(), &[], Seed(1).rng(&["client"]));
        let session = Session::new(now(), endpoint);
        Client { socket, session }
    }

    fn send(&mut self) {
        while let Some(message) = self.session.poll_transmit(now()) {
            self.socket.send(Message::binary(message)).unwrap();
        }
    }

    /// The next event.
    fn next(&mut self) -> Event {
        loop {
            self.send();
            match self.session.poll_event() {
                Some(event) => return event,
                None => match self.socket.read().unwrap() {
                    Message::Binary(message) => self.session.handle_message(now(), &message),
                    other => panic!("{other}"),
                },
            }
        }
    }

    fn ask(&mut self, request: CoapRequest) -> coap::Response {
        let endpoint = self.session.endpoint();
        let asked = endpoint.request(now(), PEER, Reliability::Confirmable, request);
        self.answer(asked)
    }

    /// The answer, whatever is told meanwhile.
    fn answer(&mut self, asked: RequestId) -> coap::Response {
        loop {
            match self.next() {
                Event::Response { id, response, .. } if id == asked => return response,
                Event::Notification { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn observe(&mut self, request: CoapRequest) -> RequestId {
        let endpoint = self.session.endpoint();
        endpoint.observe(now(), PEER, Reliability::Confirmable, request)
    }

    /// The next state.
    fn state(&mut self, of: RequestId) -> String {
        loop {
            match self.next() {
                Event::Notification { id, response, .. } if id == of => {
                    return String::from_utf8(response.payload).unwrap();
                }
                Event::Notification { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

impl World {
    /// A request to the sensor.
    fn of_sensor(&self, method: Code, path: &str) -> CoapRequest {
        let mut request = CoapRequest::new(method, "");
        let uri = format!("coap://[::1]:{}{path}", self.coap.port());
        request.options.push(option::PROXY_URI, uri);
        request
    }
}

#[test]
fn a_resource_is_read_written_and_not_found_over_a_websocket() {
    let world = World::new(true);
    let mut client = Client::open(world.http);
    let read = client.ask(world.of_sensor(Code::GET, "/lamp"));
    assert_eq!((read.code, &read.payload[..]), (Code::CONTENT, &b"off"[..]));
    let mut put = world.of_sensor(Code::PUT, "/lamp");
    put.options.push_uint(option::CONTENT_FORMAT, 0);
    put.payload = b"on".to_vec();
    assert_eq!(client.ask(put).code, Code::CHANGED);
    assert_eq!(
        client.ask(world.of_sensor(Code::GET, "/lamp")).payload,
        b"on"
    );
    let bytes = client.ask(world.of_sensor(Code::GET, "/bytes"));
    assert_eq!(bytes.options.get_uint(option::CONTENT_FORMAT), Some(11542));
    let nothing = client.ask(world.of_sensor(Code::GET, "/nothing"));
    assert_eq!(nothing.code, Code::NOT_FOUND);
    // By its parts.
    let mut parts = CoapRequest::new(Code::GET, "/lamp");
    parts.options.push(option::PROXY_SCHEME, "coap");
    parts.options.push(option::URI_HOST, "[::1]");
    let port = u64::from(world.coap.port());
    parts.options.push_uint(option::URI_PORT, port);
    assert_eq!(client.ask(parts).payload, b"on");
}

/// RFC 7959 from end to end: 2 KB as one body, in blocks on both ways.
#[test]
fn two_kilobytes_go_in_blocks_over_the_websocket_and_behind_it() {
    let world = World::new(true);
    let mut client = Client::open(world.http);
    let body: Vec<u8> = (0..2048).map(|n| b'a' + (n / 7 % 26) as u8).collect();
    let mut put = world.of_sensor(Code::PUT, "/lamp");
    put.options.push_uint(option::CONTENT_FORMAT, 0);
    put.payload = body.clone();
    assert_eq!(client.ask(put).code, Code::CHANGED);
    assert_eq!(
        client.ask(world.of_sensor(Code::GET, "/lamp")).payload,
        body
    );
    // By HTTP it is the same.
    assert_eq!(
        world
            .ask(&format!("GET {}", world.target("/lamp")), "", "")
            .1,
        body
    );
}

#[test]
fn a_gateway_that_only_reads_changes_nothing_over_a_websocket() {
    let world = World::new(false);
    let mut client = Client::open(world.http);
    for method in [
        Code::PUT,
        Code::POST,
        Code::DELETE,
        Code::PATCH,
        Code::IPATCH,
    ] {
        assert_eq!(
            client.ask(world.of_sensor(method, "/lamp")).code,
            Code::FORBIDDEN
        );
    }
    assert_eq!(
        client.ask(world.of_sensor(Code::GET, "/lamp")).payload,
        b"off"
    );
}

/// RFC 8323 §7.
#[test]
fn a_counter_is_observed_over_two_websockets_while_others_are_asked() {
    let world = World::new(false);
    let mut clients = [0; 2].map(|_| Client::open(world.http));
    let observed = [0, 1].map(|n: usize| clients[n].observe(world.of_sensor(Code::GET, "/count")));
    for (client, observed) in clients.iter_mut().zip(observed) {
        let values: Vec<f64> = (0..5)
            .map(|_| client.state(observed).parse().unwrap())
            .collect();
        assert!(values.is_sorted_by(|a, b| a < b), "{values:?}");
        assert_eq!(
            client.ask(world.of_sensor(Code::GET, "/lamp")).payload,
            b"off"
        );
    }
    let [mut first, mut second] = clients;
    first.session.endpoint().stop_observing(now(), observed[0]);
    // Its end, or a state that was on its way.
    assert_eq!(first.answer(observed[0]).code, Code::CONTENT);
    // Of the other nothing has ended.
    second.state(observed[1]);
    assert_eq!(
        first.ask(world.of_sensor(Code::GET, "/lamp")).payload,
        b"off"
    );
}

/// Where nodes are, and who is on its way: over a WebSocket and by HTTP.
#[test]
fn a_hold_and_a_new_binding_are_told_to_who_follows_the_nodes() {
    let world = World::new(false);
    let mut client = Client::open(world.http);
    let observed = client.observe(CoapRequest::new(Code::GET, "/nodes"));
    let node = |text: &str| -> serde_json::Value {
        let state: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(state["write"], false);
        state["nodes"][0].clone()
    };
    let first = node(&client.state(observed));
    let uri = format!("coap://[::1]:{}", world.coap.port());
    let expected = serde_json::json!({ "name": "sensor", "uri": uri, "held_for_s": null, "at": null, "missed": 0 });
    assert_eq!(first, expected);
    let mut events = Events::of(world.http, "/nodes", "");
    assert_eq!(events.next().unwrap().name, "snapshot");
    world.hold();
    let held = node(&client.state(observed));
    assert!(held["held_for_s"].as_f64().is_some(), "{held}");
    assert_eq!(events.next().unwrap().name, "hold");
    // What is asked now waits.
    let endpoint = client.session.endpoint();
    let get = world.of_sensor(Code::GET, "/lamp");
    let asked = endpoint.request(now(), PEER, Reliability::Confirmable, get);
    client.send();
    world.bind("2001:db8:2::5");
    let bound = node(&client.state(observed));
    let expected = serde_json::json!({ "name": "sensor", "uri": uri, "held_for_s": null, "at": "2001:db8:2::5", "missed": 0 });
    assert_eq!(bound, expected);
    let told = events.next().unwrap();
    assert_eq!((told.name.as_str(), told.data), ("binding", expected));
    assert_eq!(client.answer(asked).payload, b"off");
    let by_http = world.ask("GET /nodes", "", "").1;
    assert_eq!(node(std::str::from_utf8(&by_http).unwrap()), bound);
}

/// A handshake with these fields, and its status.
fn handshake(at: SocketAddr, more: &str) -> (u16, TcpStream) {
    let fields = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let head = format!(
        "GET /.well-known/coap HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n{fields}{more}\r\n"
    );
    let mut stream = TcpStream::connect(at).unwrap();
    (stream.set_read_timeout(Some(Duration::from_secs(60)))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    let status = String::from_utf8_lossy(&status[9..]).parse();
    (status.unwrap(), stream)
}

const COAP: &str = "Sec-WebSocket-Protocol: coap\r\n";

/// What is right but for one thing.
#[test]
fn who_opens_a_websocket_is_checked_as_who_asks_by_http() {
    let world = World::new(false);
    let status = |more: &str| handshake(world.http, more).0;
    assert_eq!(status(COAP), 101);
    assert_eq!(status(""), 400);
    assert_eq!(status("Sec-WebSocket-Protocol: mqtt\r\n"), 400);
    assert_eq!(status(&format!("{COAP}Origin: http://localhost\r\n")), 101);
    assert_eq!(
        status(&format!("{COAP}Origin: http://example.org\r\n")),
        403
    );
    assert_eq!(
        status(&format!("{COAP}Sec-Fetch-Site: cross-site\r\n")),
        403
    );
    let (head, _) = world.ask("GET /.well-known/coap", "", "");
    assert!(head.starts_with("http/1.1 426 "), "{head}");
    assert!(head.contains("\r\nupgrade: websocket"), "{head}");
}

#[test]
fn of_more_websockets_than_there_may_be_the_last_is_refused() {
    let world = World::new(false);
    let mut open = Vec::new();
    let refused = loop {
        match handshake(world.http, COAP) {
            (101, stream) => open.push(stream),
            (refused, _) => break refused,
        }
    };
    assert_eq!((open.len(), refused), (MAX_STREAMS, 503));
    // There is room for questions.
    assert_eq!(
        world.status(&format!("GET {}", world.target("/lamp")), "", ""),
        200
    );
}

/// RFC 8323 §5.5, and what is no message of CoAP's: the connection ends, and the gateway does not.
#[test]
fn a_connection_ends_by_release_and_by_what_is_no_message() {
    let world = World::new(false);
    let release = coap::websocket::Frame::new(signaling::RELEASE).encode();
    for last in [
        Message::binary(release),
        Message::binary(vec![0x10, 1]),
        Message::text("GET"),
    ] {
        let mut client = Client::open(world.http);
        assert_eq!(
            client.ask(world.of_sensor(Code::GET, "/lamp")).payload,
            b"off"
        );
        client.socket.send(last).unwrap();
        let is_close = |message: &Message| message.is_close();
        let mut told = std::iter::from_fn(|| client.socket.read().ok());
        assert!(told.any(|message| is_close(&message)));
    }
    assert_eq!(
        world.status(&format!("GET {}", world.target("/lamp")), "", ""),
        200
    );
}

/// RFC 6455 §5.5.1, §7.1.5: who closes is answered, and does not take it for a connection that broke.
#[test]
fn who_closes_a_websocket_is_answered() {
    let world = World::new(false);
    let mut client = Client::open(world.http);
    client.socket.close(None).unwrap();
    let last = loop {
        if let Err(last) = client.socket.read() {
            break last;
        }
    };
    assert!(
        matches!(last, tungstenite::Error::ConnectionClosed),
        "{last}"
    );
}

#[test]
fn the_page_is_served_and_is_in_nobodys_frame() {
    let world = World::new(false);
    let (head, body) = world.ask("GET /", "", "");
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(
        head.contains("\r\ncontent-type: text/html;charset=utf-8"),
        "{head}"
    );
    assert!(head.contains("frame-ancestors 'none'"), "{head}");
    assert!(body.starts_with(b"<!doctype html>"), "{body:?}");
    assert_eq!(world.status("POST /", "", ""), 405);
}
