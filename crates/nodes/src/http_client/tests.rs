//! Against a server at loopback that says what a test has it say.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv6Addr, TcpListener as StdListener, TcpStream as StdStream};
use std::thread::JoinHandle;

use super::*;

/// Longer than a slow machine takes for anything.
const PATIENT: Duration = Duration::from_secs(90);

fn poll(port: u16, observe: bool, timeout: Duration) -> Poll {
    let plan = HttpPollPlan {
        node: "sensor".into(),
        address: "2001:db8:1::5".parse().unwrap(),
        path: "/temperature".into(),
        every: Duration::from_millis(1),
        first: Duration::ZERO,
        observe,
    };
    let client = HttpClientPlan {
        gateway: "web".into(),
        address: Ipv6Addr::LOCALHOST,
        port,
        timeout,
        polls: vec![],
    };
    Poll::new(&client, &plan, watch::channel(false).1).unwrap()
}

/// A server that has one connection after the other, and on each says these responses, one to each request; and the heads of the
/// requests.
fn serve(connections: Vec<Vec<&'static str>>) -> (u16, JoinHandle<Vec<String>>) {
    let listener = StdListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let mut heads = Vec::new();
        for responses in connections {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            for response in responses {
                heads.push(head(&mut reader));
                reader.get_mut().write_all(response.as_bytes()).unwrap();
            }
        }
        heads
    });
    (port, serving)
}

fn head(reader: &mut BufReader<StdStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    head
}

#[tokio::test]
async fn a_poll_keeps_its_connection_until_it_is_of_no_use() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n21.5";
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n21";
    let (port, serving) = serve(vec![vec![ok, busy, half], vec![ok]]);
    let mut poll = poll(port, false, PATIENT);
    let busy = Failure::Status(StatusCode::SERVICE_UNAVAILABLE);
    for expected in [Ok(()), Err(busy), Err(Failure::Broken), Ok(())] {
        let outcome = poll.ask().await;
        assert_eq!(outcome, expected);
        poll.count(&outcome);
    }
    let heads = serving.join().unwrap();
    let target = "GET /hc/coap://%5B2001:db8:1::5%5D/temperature HTTP/1.1\r\n";
    assert!(
        heads.iter().all(|head| head.starts_with(target)),
        "{heads:?}"
    );
    let host = format!("host: [::1]:{port}\r\n");
    assert!(
        heads
            .iter()
            .all(|head| head.to_ascii_lowercase().contains(&host)),
        "{heads:?}"
    );
    // Nobody listens any more.
    poll.line.close();
    let refused = poll.ask().await;
    let kind = io::ErrorKind::ConnectionRefused;
    assert_eq!(refused, Err(Failure::Unconnected(kind)));
    poll.count(&refused);
    let reasons = ["503", "connection refused", "no whole response"];
    let expected = Tally {
        asked: 5,
        answered: 2,
        reasons: reasons.map(|reason| (reason.to_owned(), 1)).into(),
    };
    assert_eq!(poll.tally, expected);
}

#[tokio::test]
async fn who_does_not_answer_in_time_loses_the_connection() {
    // The kernel takes the connection, and nobody the request.
    let listener = StdListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut poll = poll(port, false, Duration::from_millis(20));
    assert_eq!(poll.ask().await, Err(Failure::Timeout));
    assert!(poll.line.open.is_none());
    poll.follows = true;
    poll.follow().await;
    assert_eq!(poll.tally.reasons["timeout"], 1);
}

#[tokio::test]
async fn an_event_stream_is_followed_to_its_end_and_what_is_none_is_a_failure() {
    let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\nevent: state\ndata: {}\n\n";
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let (port, serving) = serve(vec![vec![stream], vec![whole]]);
    let mut poll = poll(port, true, PATIENT);
    poll.follow().await;
    assert_eq!((poll.tally.asked, poll.tally.answered), (1, 1));
    poll.follow().await;
    assert_eq!((poll.tally.asked, poll.tally.answered), (2, 1));
    assert_eq!(poll.tally.reasons["200"], 1);
    let heads = serving.join().unwrap();
    let accept = "accept: text/event-stream\r\n";
    assert!(
        heads
            .iter()
            .all(|head| head.to_ascii_lowercase().contains(accept)),
        "{heads:?}"
    );
}

#[tokio::test]
async fn nothing_is_asked_when_the_scenario_is_over() {
    let (over, is_over) = watch::channel(true);
    let now = Instant::now();
    for (follows, end) in [
        (false, Some(now)),
        (false, None),
        (true, Some(now + PATIENT)),
        (true, None),
    ] {
        let mut poll = poll(1, follows, PATIENT);
        poll.over = is_over.clone();
        assert_eq!(poll.run(now, end).await, Tally::default());
    }
    drop(over);
}

#[test]
fn instants_that_have_passed_are_left_out() {
    let ms = Duration::from_millis;
    let due = Instant::now();
    let after = |now| next(due, ms(10), now) - due;
    assert_eq!(after(due), ms(10));
    assert_eq!(after(due + ms(9)), ms(10));
    assert_eq!(after(due + ms(10)), ms(20));
    assert_eq!(after(due + ms(35)), ms(40));
}
