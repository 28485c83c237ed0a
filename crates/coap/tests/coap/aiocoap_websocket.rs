//! A session of ours as the client of aiocoap's server over `coap+ws`.

use std::net::TcpStream;
use std::time::Duration;

use coap::message::option;
use coap::websocket::{PATH, PEER, SUBPROTOCOL, Session};
use coap::{Code, Endpoint, Event, Params, Reliability, Request, Response};
use tungstenite::client::ClientRequestBuilder;
use tungstenite::{Message, WebSocket};
use units::{Seed, SimTime};

use crate::aiocoap::Server;

const CON: Reliability = Reliability::Confirmable;

/// Nothing here waits for a time.
const NOW: SimTime = SimTime::ZERO;

struct Client {
    socket: WebSocket<TcpStream>,
    session: Session,
}

impl Client {
    fn open(server: &Server) -> Client {
        let stream = TcpStream::connect(server.address).unwrap();
        // Only so that a test that fails ends.
        (stream.set_read_timeout(Some(Duration::from_secs(120)))).unwrap();
        let uri = format!("ws://{}{PATH}", server.address).parse().unwrap();
        let request = ClientRequestBuilder::new(uri).with_sub_protocol(SUBPROTOCOL);
        let (socket, _) = tungstenite::client(request, stream).unwrap();
        let endpoint = Endpoint::new(Params::default(), &[], Seed(1).rng(&["client"]));
        let session = Session::new(NOW, endpoint);
        Client { socket, session }
    }

    fn next(&mut self) -> Event {
        loop {
            while let Some(message) = self.session.poll_transmit(NOW) {
                self.socket.send(Message::binary(message)).unwrap();
            }
            match self.session.poll_event() {
                Some(event) => return event,
                None => match self.socket.read().unwrap() {
                    Message::Binary(message) => self.session.handle_message(NOW, &message),
                    other => panic!("{other}"),
                },
            }
        }
    }

    fn ask(&mut self, request: Request) -> Response {
        let endpoint = self.session.endpoint();
        let asked = endpoint.request(NOW, PEER, CON, request);
        loop {
            match self.next() {
                Event::Response { id, response, .. } if id == asked => return response,
                Event::Notification { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn request(method: Code, path: &str, payload: &[u8]) -> Request {
    let mut request = Request::new(method, path);
    request.options.push_uint(option::CONTENT_FORMAT, 42);
    request.payload = payload.to_vec();
    request
}

#[test]
fn aiocoap_answers_in_blocks_and_is_observed_over_a_websocket() {
    let server = Server::over("ws");
    let mut client = Client::open(&server);
    let body: Vec<u8> = (0..2000).map(|n| (n / 16 + n) as u8).collect();
    for length in [50, 2000] {
        let selected = client.ask(request(Code::FETCH, "/select", &body[..length]));
        assert_eq!(selected.code, Code::CONTENT);
        assert_eq!(selected.payload, body[..length].repeat(2));
    }
    assert_eq!(
        client.ask(request(Code::IPATCH, "/select", &body)).code,
        Code::CHANGED
    );
    assert_eq!(
        client.ask(Request::new(Code::GET, "/nothing")).code,
        Code::NOT_FOUND
    );
    let fetch = request(Code::FETCH, "/count", b"0");
    let endpoint = client.session.endpoint();
    let observed = endpoint.observe(NOW, PEER, CON, fetch);
    let mut told = Vec::new();
    while told.len() < 5 {
        match client.next() {
            Event::Notification { id, response, .. } if id == observed => {
                let text = String::from_utf8(response.payload).unwrap();
                told.push(text.parse::<u32>().unwrap());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(told.is_sorted_by(|a, b| a < b), "{told:?}");
    assert_eq!(client.ask(Request::new(Code::GET, "/select")).payload, body);
}
