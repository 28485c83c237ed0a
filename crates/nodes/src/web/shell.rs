//! The server: what it takes, what it refuses by itself, and what it hands to the [`Door`](super::Door). Who may ask at all is
//! [`listener`]'s.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts as _, Query, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, UPGRADE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use listener::{Bounded, Host, Patience, Stranger};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use topology::scalar::from_hex;

use super::socket::carry;
use super::{Answer, Asked, Reply, Request, Response, Settings, SocketAt, Way};

/// Event streams and WebSockets at once, at most: further ones are answered 503, so that there is room for questions.
pub(crate) const MAX_STREAMS: usize = 1024;

/// Connections at once, at most: further ones wait until one has left.
const MAX_CONNECTIONS: usize = MAX_STREAMS + 64;

/// File descriptors for those, and for what else a daemon has open.
const DESCRIPTORS: u64 = MAX_CONNECTIONS as u64 + 256;

/// Bytes of a request's body, at most; 413 of more.
const MAX_BODY: usize = 64 * 1024;

/// Bytes of a WebSocket's message, at most: a body, and what a protocol puts before it.
const MAX_MESSAGE: usize = MAX_BODY + 2048;

/// So long a service may take for an answer: longer than a CoAP exchange does by its defaults, MAX_TRANSMIT_WAIT
/// (RFC 7252 §4.8.2). Then the answer is 504.
const PATIENCE: Duration = Duration::from_secs(100);

/// A connection may be silent for longer than [`PATIENCE`].
const PATIENT: Patience = Patience {
    silence: Duration::from_secs(120),
    for_answers: true,
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

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
    allow_descriptors()?;
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
        let bounded = Bounded::new(listener, Arc::clone(&places), PATIENT);
        accepting.spawn(async move {
            // It does not end.
            let _ = axum::serve(bounded, router).await;
        });
    }
    Ok(at)
}

/// Lets this process have as many descriptors as there may be connections: 1,024 are usual, and more to be had without asking. With
/// fewer some wait.
fn allow_descriptors() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = DESCRIPTORS.min(hard);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    Ok(())
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

    /// Whether it is asked as who it is, and not by a page of somebody else's.
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Response> {
        listener::check(uri, headers, |host| is_own(host, &self.names), false).map_err(|stranger| {
            let mut reason = stranger.to_string();
            if stranger == Stranger::Misdirected {
                reason += &format!(": expected an address, or {}", self.names.join(", "));
            }
            Response::problem(stranger.status(), &reason)
        })
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
    match Host::of(host) {
        Some(Host::Address(_)) => true,
        Some(Host::Name(name)) => names.iter().any(|own| own.eq_ignore_ascii_case(name)),
        None => false,
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

#[cfg(test)]
mod tests {
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
