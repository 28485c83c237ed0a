//! Requests that are none, by thousands, and more of them than there are places.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::Duration;

use units::Seed;

use super::loopback::malformed;
use super::shell::MAX_STREAMS;
use super::*;

/// A service that answers its requests' paths, and streams below `/stream`, until it is dropped.
struct Echo {
    at: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    fn new() -> Echo {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let bell = Bell::default();
                let settings = Settings {
                    port: 0,
                    everywhere: false,
                    sockets: None,
                };
                let mut door = Door::open(settings, bell.clone(), &["server"]).unwrap();
                tell.send(door.at[0]).unwrap();
                let mut writers = Vec::new();
                let echo = async {
                    loop {
                        bell.rung().await;
                        while let Some(asked) = door.take() {
                            echo(&door, asked, &mut writers);
                        }
                    }
                };
                tokio::select! {
                    () = echo => {}
                    _ = stopped => {}
                }
            });
        });
        Echo {
            at: told.recv().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.at).unwrap();
        // Only so that a test that fails ends.
        (stream.set_read_timeout(Some(Duration::from_secs(60)))).unwrap();
        stream
    }

    /// What is answered to these bytes, until the connection is closed.
    fn answer(&self, request: &[u8]) -> String {
        read_out(self.connect(), request)
    }

    /// The same, where nothing follows these bytes.
    fn answer_to_all(&self, request: &[u8]) {
        let stream = self.connect();
        let _ = stream.set_nodelay(true);
        let half = stream.try_clone().unwrap();
        // It may be refused before it has been read.
        let _ = (&half).write_all(request);
        let _ = half.shutdown(std::net::Shutdown::Write);
        read_out(stream, b"");
    }

    fn status(&self, head: &str) -> u16 {
        let answer = self.answer(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes());
        let status = answer.split(' ').nth(1);
        status
            .unwrap_or_else(|| panic!("{head}: {answer}"))
            .parse()
            .unwrap()
    }
}

/// Sends `request`, and reads until the connection is closed.
fn read_out(mut stream: TcpStream, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // Who is refused while he speaks is reset.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

fn echo(door: &Door, asked: Asked, writers: &mut Vec<Writer>) {
    let Asked::Request(request, reply) = asked else {
        return writers.retain(Writer::is_read);
    };
    if request.path.first().is_some_and(|first| first == "stream") {
        let (writer, reader) = door.stream();
        writer.tell("open", &Value::Null);
        writers.push(writer);
        return reply.send(Answer::Stream(reader));
    }
    let path = serde_json::json!(request.path);
    reply.send(Answer::Whole(Response::json(StatusCode::OK, &path)));
}

#[test]
fn a_request_is_answered_by_the_service_and_refused_by_the_shell() {
    let echo = Echo::new();
    let whole =
        echo.answer(b"GET /a%20b/c?x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(whole.ends_with("[\"a b\",\"c\"]\n"), "{whole}");
    assert!(
        !whole.to_ascii_lowercase().contains("access-control"),
        "{whole}"
    );
    assert_eq!(echo.status("GET / HTTP/1.1\r\nHost: server:80"), 200);
    assert_eq!(echo.status("GET / HTTP/1.1\r\nHost: [::1]:80"), 200);
    assert_eq!(echo.status("GET / HTTP/1.1\r\nHost: rebound.example"), 421);
    assert_eq!(echo.status("GET / HTTP/1.1"), 400);
    assert_eq!(echo.status("GET /%zz HTTP/1.1\r\nHost: localhost"), 400);
    let foreign =
        "POST / HTTP/1.1\r\nHost: localhost:80\r\nOrigin: http://example.org\r\nContent-Length: 0";
    assert_eq!(echo.status(foreign), 403);
    let own =
        "POST / HTTP/1.1\r\nHost: localhost:80\r\nOrigin: http://localhost:80\r\nContent-Length: 0";
    assert_eq!(echo.status(own), 200);
    assert_eq!(
        echo.status("GET / HTTP/1.1\r\nHost: localhost\r\nHost: server"),
        400
    );
    // A page of another site's embeds it, one of its own asks, somebody types the address.
    for (site, expected) in [
        ("cross-site", 403),
        ("same-site", 403),
        ("same-origin", 200),
        ("none", 200),
    ] {
        let embedded = format!("GET / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: {site}");
        assert_eq!(echo.status(&embedded), expected, "{site}");
    }
    let long =
        b"PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n";
    let refused = echo.answer(long);
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
}

#[test]
fn malformed_requests_neither_kill_nor_block() {
    let echo = Echo::new();
    let mut rng = Seed(1).rng(&["malformed"]);
    let whole = b"PUT /clients/a/3303/0?format=tlv HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                  Transfer-Encoding: chunked\r\nLast-Event-ID: 5\r\n\r\n5\r\n{\"1\":\r\n2\r\n2}\r\n0\r\n\r\n";
    for _ in 0..3_000 {
        let request = malformed(whole, &mut rng);
        echo.answer_to_all(&request);
    }
    assert_eq!(echo.status("GET / HTTP/1.1\r\nHost: localhost"), 200);
}

/// Reads a response's head.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn of_more_streams_than_there_may_be_the_last_is_refused_until_one_leaves() {
    let echo = Echo::new();
    let open = || {
        let mut stream = echo.connect();
        stream
            .write_all(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let head = head(&mut stream);
        (head.starts_with("HTTP/1.1 200 "), stream)
    };
    let mut streams: Vec<TcpStream> = (0..MAX_STREAMS)
        .map(|_| {
            let (opened, stream) = open();
            assert!(opened);
            stream
        })
        .collect();
    let (opened, _refused) = open();
    assert!(!opened);
    assert_eq!(echo.status("GET / HTTP/1.1\r\nHost: localhost"), 200);
    streams.pop();
    // The shell hears of it when it hears of it.
    while !open().0 {
        std::thread::yield_now();
    }
}
