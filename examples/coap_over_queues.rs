//! A CoAP client and server over two queues of bytes: no socket, no clock.
//!
//! Every third datagram is lost; the endpoint's retransmission copes, in virtual time. The same
//! endpoint runs on a socket with `driver::Driver`.
//!
//!     cargo run -p wpanlab --example coap_over_queues

use std::collections::VecDeque;
use std::net::SocketAddrV6;
use std::time::Duration;

use coap::{Code, Endpoint, Event, Params, Reliability, Request, Response};
use machine::{Machine, earlier};
use units::{Seed, SimTime};

const CLIENT: &str = "[2001:db8::1]:5683";
const SERVER: &str = "[2001:db8::2]:5683";
/// How long a datagram takes.
const LATENCY: Duration = Duration::from_millis(20);

/// One end and the datagrams on their way to it.
struct End {
    address: SocketAddrV6,
    endpoint: Endpoint,
    inbox: VecDeque<(SimTime, Vec<u8>)>,
}

impl End {
    fn new(address: &str) -> End {
        End {
            address: address.parse().expect("an address and a port"),
            endpoint: Endpoint::new(Params::default(), &[], Seed(1).rng(&[address])),
            inbox: VecDeque::new(),
        }
    }

    fn due(&self) -> Option<SimTime> {
        let arrival = self.inbox.front().map(|(at, _)| *at);
        earlier(self.endpoint.poll_timeout(), arrival)
    }

    fn run(&mut self, now: SimTime, from: SocketAddrV6) -> Result<(), std::convert::Infallible> {
        self.endpoint.handle_timeout(now);
        while let Some((_, datagram)) = self.inbox.pop_front_if(|(at, _)| *at <= now) {
            self.endpoint.handle_datagram(now, from, &datagram)?;
        }
        Ok(())
    }
}

/// Puts what one end wants to send in the other one's queue, but for every third datagram.
fn carry(now: SimTime, from: &mut End, to: &mut End, sent: &mut u32) {
    while let Some(transmit) = from.endpoint.poll_transmit() {
        *sent += 1;
        if !sent.is_multiple_of(3) {
            to.inbox.push_back((now + LATENCY, transmit.payload));
        }
    }
}

fn main() -> Result<(), std::convert::Infallible> {
    let (mut client, mut server) = (End::new(CLIENT), End::new(SERVER));
    let (mut now, mut sent) = (SimTime::ZERO, 0);
    for n in 0..5 {
        let get = Request::new(Code::GET, &format!("/sensor/{n}"));
        client
            .endpoint
            .request(now, server.address, Reliability::Confirmable, get);
    }
    let mut answered = 0;
    loop {
        client.run(now, server.address)?;
        server.run(now, client.address)?;
        while let Some(event) = server.endpoint.poll_event() {
            if let Event::Request {
                exchange, request, ..
            } = event
            {
                let mut response = Response::new(Code::CONTENT);
                response.payload = format!("you asked for {}", request.path()).into_bytes();
                server.endpoint.respond(now, exchange, response);
            }
        }
        while let Some(event) = client.endpoint.poll_event() {
            if let Event::Response { response, .. } = event {
                println!("{now} {}", String::from_utf8_lossy(&response.payload));
                answered += 1;
            }
        }
        carry(now, &mut client, &mut server, &mut sent);
        carry(now, &mut server, &mut client, &mut sent);
        let Some(next) = earlier(client.due(), server.due()) else {
            break;
        };
        now = next;
    }
    println!("{answered} of 5 answered; {sent} datagrams, every third lost");
    Ok(())
}
