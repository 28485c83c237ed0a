//! [`driver::Driver`] with an endpoint on the loopback interface. No test depends on how long anything
//! takes; the time limit only turns a hang into a failure.

use std::net::{SocketAddrV6, UdpSocket};
use std::time::Duration;

use coap::wire::Message;
use coap::{Code, Endpoint, Event, Failure, Kind, Params, Response};
use driver::{Driver, Udp};
use units::Seed;

use crate::support::*;

/// Longer than any of these tests, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn driver(address: &str, params: Params) -> Driver<Endpoint> {
    let endpoint = Endpoint::new(params, KNOWN, Seed(1).rng(&[address]));
    Driver::new(endpoint, Udp::bind(address.parse().unwrap()).unwrap()).unwrap()
}

/// Fast enough for a test of real time.
fn hasty() -> Params {
    Params {
        ack_timeout: Duration::from_millis(20),
        max_retransmit: 2,
        ..Params::default()
    }
}

fn request(driver: &mut Driver<Endpoint>, to: SocketAddrV6, path: &str) {
    driver.with(|endpoint, now| endpoint.request(now, to, CON, get(path)));
}

/// Answers every request with its path.
async fn serve(mut server: Driver<Endpoint>) {
    loop {
        if let Event::Request {
            exchange, request, ..
        } = server.next_event().await.unwrap()
        {
            let response = content(&request.path());
            server.with(|endpoint, now| endpoint.respond(now, exchange, response));
        }
    }
}

#[test]
fn requests_are_answered_over_real_sockets_in_order() {
    in_real_time(LIMIT, async {
        let server = driver("[::1]:0", Params::default());
        let mut client = driver("[::1]:0", Params::default());
        let to = server.socket().local_addr().unwrap();
        for n in 0..100 {
            request(&mut client, to, &format!("/{n}"));
        }
        let ask = async {
            for n in 0..100 {
                let event = client.next_event().await.unwrap();
                let Event::Response { response, from, .. } = event else {
                    panic!("{event:?}")
                };
                assert_eq!(response, content(&format!("/{n}")));
                assert_eq!(from, to);
            }
        };
        tokio::select! {
            () = serve(server) => {}
            () = ask => {}
        }
    });
}

#[test]
fn an_ipv4_peer_appears_as_ipv4_mapped() {
    in_real_time(LIMIT, async {
        let mut server = driver("[::]:0", Params::default());
        let port = server.socket().local_addr().unwrap().port();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let request = get_message(Kind::Confirmable, 7).encode();
        socket.send_to(&request, ("127.0.0.1", port)).unwrap();
        let event = server.next_event().await.unwrap();
        let Event::Request { exchange, from, .. } = event else {
            panic!("{event:?}")
        };
        assert_eq!(from.ip().to_string(), "::ffff:127.0.0.1");
        server.with(|endpoint, now| endpoint.respond(now, exchange, content("")));
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        let response = Message::decode(&buffer[..length]).unwrap();
        assert_eq!((response.message_id, response.code), (7, Code::CONTENT));
    });
}

#[test]
fn the_timer_retransmits_and_gives_up() {
    in_real_time(LIMIT, async {
        let silent = UdpSocket::bind("[::1]:0").unwrap();
        let std::net::SocketAddr::V6(to) = silent.local_addr().unwrap() else {
            panic!("bound to ::1")
        };
        let mut client = driver("[::1]:0", hasty());
        request(&mut client, to, "/a");
        let event = client.next_event().await.unwrap();
        assert!(matches!(event, Event::Failed { reason, .. } if reason == Failure::Timeout));
        silent.set_nonblocking(true).unwrap();
        let mut buffer = [0; 64];
        let received = std::iter::from_fn(|| silent.recv(&mut buffer).ok()).count();
        assert_eq!(received, 3);
    });
}

#[test]
fn a_datagram_that_cannot_be_sent_is_a_lost_one() {
    in_real_time(LIMIT, async {
        let mut client = driver("[::1]:0", hasty());
        // A source of ::1 reaches no global address: the kernel refuses every datagram.
        request(&mut client, "[2001:db8::1]:5683".parse().unwrap(), "/a");
        // Too long for UDP: EMSGSIZE.
        let to = client.socket().local_addr().unwrap();
        client.with(|endpoint, now| {
            let large = get(&"/bcdefg".repeat(10_000));
            endpoint.request(now, to, CON, large)
        });
        for _ in 0..2 {
            let event = client.next_event().await.unwrap();
            assert!(matches!(event, Event::Failed { reason, .. } if reason == Failure::Timeout));
        }
    });
}

#[test]
fn a_cancelled_wait_loses_no_event() {
    in_real_time(LIMIT, async {
        let server = driver("[::1]:0", Params::default());
        let mut client = driver("[::1]:0", Params::default());
        let to = server.socket().local_addr().unwrap();
        let server = tokio::spawn(serve(server));
        for n in 0..50 {
            request(&mut client, to, &format!("/{n}"));
        }
        let mut answered = 0;
        while answered < 50 {
            tokio::select! {
                biased;
                event = client.next_event() => {
                    assert!(matches!(event.unwrap(), Event::Response { .. }));
                    answered += 1;
                }
                () = tokio::task::yield_now() => {}
            }
        }
        server.abort();
    });
}

#[test]
fn a_large_body_arrives_whole() {
    in_real_time(LIMIT, async {
        let mut server = driver("[::1]:0", Params::default());
        let mut client = driver("[::1]:0", Params::default());
        let to = server.socket().local_addr().unwrap();
        request(&mut client, to, "/a");
        let payload = vec![0x5a; 60_000];
        let exchange = tokio::select! {
            event = server.next_event() => match event.unwrap() {
                Event::Request { exchange, .. } => exchange,
                other => panic!("{other:?}"),
            },
            event = client.next_event() => panic!("{event:?}"),
        };
        let mut response = Response::new(Code::CONTENT);
        response.payload.clone_from(&payload);
        server.with(|endpoint, now| endpoint.respond(now, exchange, response));
        tokio::select! {
            () = serve(server) => {}
            event = client.next_event() => {
                let event = event.unwrap();
                let Event::Response { response, .. } = event else {
                    panic!("{event:?}")
                };
                assert!(response.payload == payload);
            }
        }
    });
}

#[test]
fn what_has_arrived_is_taken_in_without_waiting_for_it() {
    in_real_time(LIMIT, async {
        let mut server = driver("[::1]:0", Params::default());
        server.take_in().unwrap();
        assert!(server.ready_event().is_none());
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        for message_id in 0..100 {
            let request = get_message(Kind::Confirmable, message_id).encode();
            (socket.send_to(&request, server.socket().local_addr().unwrap())).unwrap();
        }
        let mut requests = 0;
        while requests < 100 {
            server.take_in().unwrap();
            requests += std::iter::from_fn(|| server.ready_event()).count();
            // The kernel may deliver later, and the time limit has its say.
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn an_address_in_use_is_named_in_the_error() {
    in_real_time(LIMIT, async {
        let first = driver("[::1]:0", Params::default());
        let taken = first.socket().local_addr().unwrap();
        let error = Udp::bind(taken).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&taken.to_string()), "{error}");
    });
}
