//! The listener: what it takes, what it refuses by itself, and what it hands to the [`Door`](super::Door).
//!
//! A page of somebody's in a browser on the same machine may send requests here. It reads no answer, since there is
//! no CORS; it changes nothing, since a foreign `Origin` is refused; and a name of its own that it points here is not
//! among those that are answered to (`Host`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts as _, Query, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use topology::scalar::from_hex;

use super::socket::carry;
use super::{Answer, Asked, Reply, Request, Response, Settings, SocketAt, Way};

/// Connections at once, at most: further ones wait until one has left.
const MAX_CONNECTIONS: usize = 64;

/// Event streams and WebSockets at once, at most: further ones are answered 503, so that there is room for questions.
pub(super) const MAX_STREAMS: usize = 48;

/// Bytes of a request's body, at most; 413 of more.
const MAX_BODY: usize = 64 * 1024;

/// Bytes of a WebSocket's message, at most: a body, and what a protocol puts before it.
const MAX_MESSAGE: usize = MAX_BODY + 2048;

/// So long a service may take for an answer: longer than a CoAP exchange does by its defaults, MAX_TRANSMIT_WAIT
/// (RFC 7252 §4.8.2). Then the answer is 504.
const PATIENCE: Duration = Duration::from_secs(100);

/// A connection on which nothing goes for so long is closed; longer than [`PATIENCE`]. Of what comes the beginning of a request
/// counts alone: one that comes byte by byte would keep its place for ever.
const IDLE: Duration = Duration::from_secs(120);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a browser says of a page of this origin, and of an address that somebody types.
const OWN_SITES: [&[u8]; 2] = [b"same-origin", b"none"];

/// What every connection has.
#[derive(Clone)]
struct Gate {
    way: Way,
    /// Host names that it answers to.
    names: Arc<[String]>,
    streams: Arc<Semaphore>,
    /// Where WebSockets are taken, and the number of the next one.
    sockets: Option<SocketAt>,
    next_socket: Arc<AtomicU64>,
}

/// Listens, and accepts connections in tasks of `accepting`; says where.
pub(super) fn serve(
    settings: Settings,
    way: &Way,
    names: &[&str],
    accepting: &mut JoinSet<()>,
) -> anyhow::Result<Vec<SocketAddr>> {
    let names = names.iter().chain(&["localhost"]).map(|n| n.to_string());
    let gate = Gate {
        way: way.clone(),
        names: names.collect(),
        streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        sockets: settings.sockets,
        next_socket: Arc::default(),
    };
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let addresses: &[IpAddr] = match settings.everywhere {
        // Of both families (RFC 3493 §5.3).
        true => &[IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
        false => &[
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V4(Ipv4Addr::LOCALHOST),
        ],
    };
    let mut at = Vec::new();
    for address in addresses {
        let wanted = SocketAddr::new(*address, settings.port);
        let listener = listen(wanted).with_context(|| {
            format!("listen for HTTP on {wanted}: is another program there? take another port")
        })?;
        at.push(listener.local_addr()?);
        let router = Router::new().fallback(answer).with_state(gate.clone());
        let bounded = Bounded {
            listener,
            places: Arc::clone(&places),
        };
        accepting.spawn(async move {
            // It does not end.
            let _ = axum::serve(bounded, router).await;
        });
    }
    Ok(at)
}

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    // SO_REUSEADDR is set: a daemon that is started again finds its port.
    let listener = StdListener::bind(at)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Answers a request: with a WebSocket, as an event stream or whole.
async fn answer(
    State(gate): State<Gate>,
    request: axum::extract::Request,
) -> axum::response::Response {
    let sockets = gate.sockets.filter(|at| at.path == request.uri().path());
    let answer = match sockets {
        Some(at) => match gate.upgraded(at, request).await {
            Ok(upgraded) => return upgraded,
            Err(refusal) => Answer::Whole(refusal),
        },
        None => match gate.taken(request).await {
            Ok(request) => gate.ask(request).await,
            Err(refusal) => Answer::Whole(refusal),
        },
    };
    written(answer)
}

/// An answer as it is sent.
fn written(answer: Answer) -> axum::response::Response {
    let (status, content_type, more, body) = match answer {
        Answer::Whole(Response {
            status,
            content_type,
            headers,
            body,
        }) => (status, content_type, headers, Body::from(body)),
        Answer::Stream(reader) => (
            StatusCode::OK,
            Some(HeaderValue::from_static("text/event-stream")),
            Vec::new(),
            Body::from_stream(reader),
        ),
    };
    let mut response = axum::response::Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, content_type);
    }
    for (name, value) in more {
        headers.insert(name, value);
    }
    response
}

impl Gate {
    /// The answer that makes a WebSocket of the connection (RFC 6455 §4.2.2), or what is wrong with the request.
    async fn upgraded(
        &self,
        at: SocketAt,
        request: axum::extract::Request,
    ) -> Result<axum::response::Response, Response> {
        let (mut parts, _) = request.into_parts();
        self.check_host(&parts.uri, &parts.headers)?;
        let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
        let upgrade = upgrade.map_err(|_| {
            let reason =
                "a WebSocket is here: expected its handshake, a GET of version 13 (RFC 6455 §4.1)";
            let websocket = (UPGRADE, HeaderValue::from_static("websocket"));
            Response {
                headers: vec![websocket],
                ..Response::problem(StatusCode::UPGRADE_REQUIRED, reason)
            }
        })?;
        let upgrade = (upgrade.protocols([at.protocol]))
            .max_message_size(MAX_MESSAGE)
            .max_frame_size(MAX_MESSAGE);
        if upgrade.selected_protocol().is_none() {
            let reason = format!("expected `Sec-WebSocket-Protocol: {}`", at.protocol);
            return Err(bad(&reason));
        }
        let place = Arc::clone(&self.streams).try_acquire_owned();
        let place = place.map_err(|_| {
            let reason = "as many event streams and WebSockets as there may be are open";
            Response::problem(StatusCode::SERVICE_UNAVAILABLE, reason)
        })?;
        let way = self.way.clone();
        let id = self.next_socket.fetch_add(1, Ordering::Relaxed);
        Ok(upgrade.on_upgrade(move |stream| carry(stream, id, way, place)))
    }

    /// The request as a service has it, or what is wrong with it.
    async fn taken(&self, request: axum::extract::Request) -> Result<Request, Response> {
        let (parts, body) = request.into_parts();
        self.check_host(&parts.uri, &parts.headers)?;
        let path = segments(parts.uri.path())
            .ok_or_else(|| bad("the path is not percent-encoded UTF-8 (RFC 3986 §2.1)"))?;
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| bad("the query is not `key=value&…`"))?
            .0;
        let body = whole(body).await?;
        let header = |name| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let media_type = |value: &str| {
            let (kind, _) = value.split_once(';').unwrap_or((value, ""));
            kind.trim().to_ascii_lowercase()
        };
        let follows = parts.headers.get_all(ACCEPT).iter().any(|value| {
            let listed = value.to_str().unwrap_or_default().split(',');
            listed
                .map(media_type)
                .any(|kind| kind == "text/event-stream")
        });
        Ok(Request {
            path,
            query,
            content_type: header(CONTENT_TYPE).map(media_type),
            follows,
            last_event: header(LAST_EVENT_ID).and_then(|id| id.trim().parse().ok()),
            body: body.into(),
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
        })
    }

    /// Whether it is asked as who it is, and not by a page of somebody else's. A browser sends no `Origin` for what a page
    /// embeds, but says from where it comes (Fetch Metadata).
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Response> {
        if headers.get_all(HOST).iter().count() > 1 {
            return Err(bad("there is more than one Host (RFC 9112 §3.2)"));
        }
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let host = (uri.authority().map(|authority| authority.as_str()))
            .or_else(|| header(HOST))
            .ok_or_else(|| bad("there is no Host (RFC 9112 §3.2)"))?;
        if !is_own(host, &self.names) {
            let names = self.names.join(", ");
            let reason = format!("not answered to as this host: expected an address, or {names}");
            return Err(Response::problem(StatusCode::MISDIRECTED_REQUEST, &reason));
        }
        let foreign =
            |origin: &HeaderValue| origin.as_bytes() != format!("http://{host}").as_bytes();
        let elsewhere = |site: &HeaderValue| !OWN_SITES.contains(&site.as_bytes());
        if headers.get(ORIGIN).is_some_and(foreign)
            || headers.get(SEC_FETCH_SITE).is_some_and(elsewhere)
        {
            let reason = "asked by a page of another origin";
            return Err(Response::problem(StatusCode::FORBIDDEN, reason));
        }
        Ok(())
    }

    /// Has the service answer.
    async fn ask(&self, request: Request) -> Answer {
        let unavailable =
            |reason| Answer::Whole(Response::problem(StatusCode::SERVICE_UNAVAILABLE, reason));
        let (sender, answer) = oneshot::channel();
        if !(self.way).tell(Asked::Request(Box::new(request), Reply(sender))) {
            return unavailable("the node ends");
        }
        match timeout(PATIENCE, answer).await {
            Ok(Ok(Answer::Stream(mut reader))) => {
                match Arc::clone(&self.streams).try_acquire_owned() {
                    Ok(place) => reader.place = Some(place),
                    Err(_) => {
                        return unavailable(
                            "as many event streams and WebSockets as there may be are open",
                        );
                    }
                }
                Answer::Stream(reader)
            }
            Ok(Ok(whole)) => whole,
            Ok(Err(_)) => unavailable("the node ends"),
            Err(_) => {
                let reason = format!("no answer within {} s", PATIENCE.as_secs());
                Answer::Whole(Response::problem(StatusCode::GATEWAY_TIMEOUT, &reason))
            }
        }
    }
}

/// The bytes of a body. Of one that says that it is too long none is waited for.
async fn whole(body: Body) -> Result<Bytes, Response> {
    let too_long = || {
        let reason = format!("the body did not come whole, or has more than {MAX_BODY} bytes");
        Response::problem(StatusCode::PAYLOAD_TOO_LARGE, &reason)
    };
    match usize::try_from(body.size_hint().lower()) {
        Ok(length) if length <= MAX_BODY => to_bytes(body, MAX_BODY).await.map_err(|_| too_long()),
        _ => Err(too_long()),
    }
}

fn bad(reason: &str) -> Response {
    Response::problem(StatusCode::BAD_REQUEST, reason)
}

/// Whether `host`, as a Host header has it, is an address or one of `names`. A page cannot point an address at another
/// machine, as it can a name of its own.
fn is_own(host: &str, names: &[String]) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (name, port) = match bracketed {
        Some((inner, port)) => (inner, port),
        None => match host.split_once(':') {
            Some((name, port)) => (name, &host[host.len() - port.len() - 1..]),
            None => (host, ""),
        },
    };
    let digits = |port: &str| port.parse::<u16>().is_ok();
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(digits) {
        return false;
    }
    match bracketed {
        Some(_) => name.parse::<Ipv6Addr>().is_ok(),
        None => {
            let same = |own: &String| own.eq_ignore_ascii_case(name);
            name.parse::<Ipv4Addr>().is_ok() || names.iter().any(same)
        }
    }
}

/// The segments of a path, decoded; `None` if it is none.
fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    match path {
        "" => Some(Vec::new()),
        path => path.split('/').map(decoded).collect(),
    }
}

/// What a percent-encoded text says, if it is UTF-8 (RFC 3986 §2.1).
pub(crate) fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, plain) = part.split_at_checked(2)?;
        bytes.extend(from_hex(digits)?);
        bytes.extend(plain.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// A listener with so many places.
struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // Nobody closes the semaphore.
            let place = Arc::clone(&self.places).acquire_owned().await.ok();
            match self.listener.accept().await {
                Ok((stream, from)) => return (Connection::new(stream, IDLE, place), from),
                // Of a connection that is gone already, or there is no file for it: others may leave.
                Err(error) => {
                    tracing::warn!(%error, "accept an HTTP connection");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection, closed when nothing goes for as long as `patience`.
struct Connection {
    stream: TcpStream,
    patience: Duration,
    idle: Pin<Box<Sleep>>,
    /// Something has gone: what comes next begins a request.
    is_next: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn new(
        stream: TcpStream,
        patience: Duration,
        place: Option<OwnedSemaphorePermit>,
    ) -> Connection {
        Connection {
            stream,
            patience,
            idle: Box::pin(sleep(patience)),
            is_next: false,
            _place: place,
        }
    }

    /// Gives it time again.
    fn renew(&mut self) {
        let until = Instant::now() + self.patience;
        self.idle.as_mut().reset(until);
    }

    /// Ends what waits for too long.
    fn expired<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.idle.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(expired) = self.expired(cx) {
            return Poll::Ready(expired);
        }
        let before = buffer.filled().len();
        let tried = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before && std::mem::take(&mut self.is_next) {
            self.renew();
        }
        tried
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if tried.is_ready() {
            self.is_next = true;
            self.renew();
            return tried;
        }
        self.expired(cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn a_host_is_an_address_or_a_name_of_its_own() {
        let names = ["localhost".to_owned(), "server".to_owned()];
        for own in [
            "localhost",
            "Server:80",
            "127.0.0.1:8080",
            "[::1]",
            "[2001:db8::1]:8080",
        ] {
            assert!(is_own(own, &names), "{own}");
        }
        let foreign = [
            "",
            "example.org",
            "localhost.example.org",
            "localhost:",
            "localhost:x",
            "::1",
        ];
        for foreign in foreign
            .into_iter()
            .chain(["[::1", "[x]", "[::1]80", "a@localhost", "1.2.3"])
        {
            assert!(!is_own(foreign, &names), "{foreign}");
        }
    }

    #[tokio::test]
    async fn who_sends_byte_by_byte_is_cut_off_and_who_is_answered_is_not() {
        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap());
        let (peer, accepted) = tokio::join!(peer, listener.accept());
        let (mut hears, mut says) = peer.unwrap().into_split();
        let drips = tokio::spawn(async move { while says.write_all(b"x").await.is_ok() {} });
        let reads =
            tokio::spawn(async move { tokio::io::copy(&mut hears, &mut tokio::io::sink()).await });
        let hour = Duration::from_secs(3600);
        let mut connection = Connection::new(accepted.unwrap().0, hour, None);
        let soon = || Instant::now() + hour / 2;
        // An answer gives it time, and so does the beginning of what comes next.
        connection.idle.as_mut().reset(soon());
        connection.write_u8(b'y').await.unwrap();
        assert!(connection.idle.deadline() > soon());
        connection.idle.as_mut().reset(soon());
        connection.read_u8().await.unwrap();
        assert!(connection.idle.deadline() > soon());
        // More of it does not.
        let until = soon();
        connection.idle.as_mut().reset(until);
        connection.read_u8().await.unwrap();
        assert_eq!(connection.idle.deadline(), until);
        connection.idle.as_mut().reset(Instant::now());
        let cut_off = loop {
            if let Err(error) = connection.read_u8().await {
                break error;
            }
        };
        assert_eq!(cut_off.kind(), io::ErrorKind::TimedOut);
        drop(connection);
        drips.await.unwrap();
        let _ = reads.await.unwrap();
    }

    #[test]
    fn a_path_is_decoded_segment_by_segment() {
        let of = |path| segments(path).map(|segments| segments.join("|"));
        assert_eq!(of("/"), Some(String::new()));
        assert_eq!(
            of("/clients/urn%3adev%3Aa%2Fb/3/0/"),
            Some("clients|urn:dev:a/b|3|0".into())
        );
        for bad in ["", "*", "/%", "/%4", "/%zz", "/%ff", "/%+1"] {
            assert_eq!(segments(bad), None, "{bad}");
        }
    }
}
