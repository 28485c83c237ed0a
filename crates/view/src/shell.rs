//! The listener: on loopback, for who asks it as who it is.
//!
//! A page of somebody's in a browser on the same machine may send requests here. It reads no answer, since there is no
//! CORS, and a foreign `Origin` is refused; a name of its own that it points here is not among those that are answered to
//! (`Host`). Nothing here changes anything.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep};

use crate::answer::{Desk, Refusal, lock};
use crate::source::Source;

/// Connections at once, at most: further ones wait until one has left.
const MAX_CONNECTIONS: usize = 64;

/// Event streams at once, at most: further ones are answered 503, so that there is room for questions.
const MAX_STREAMS: usize = 48;

/// A connection on which nothing goes for so long is closed.
const IDLE: Duration = Duration::from_secs(60);

/// So often it is looked whether the run has grown.
const LOOK: Duration = Duration::from_millis(200);

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Shows `source` by HTTP on `port` of 127.0.0.1, any that is free if it is 0, and follows it if it grows, until this
/// is dropped. `tell` is told where, and later `complain` what cannot be read, each once.
///
/// # Errors
/// The port is not to be had.
pub async fn serve(
    source: Source,
    port: u16,
    tell: impl FnOnce(SocketAddr),
    complain: impl FnMut(&str),
) -> io::Result<()> {
    let wanted = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let listener = TcpListener::bind(wanted).await?;
    tell(listener.local_addr()?);
    let source = Arc::new(Mutex::new(source));
    let (raise, news) = watch::channel(0);
    let desk = Desk::new(Arc::clone(&source), news, MAX_STREAMS);
    let bounded = Bounded {
        listener,
        places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
    };
    let router = Router::new().fallback(answer).with_state(desk);
    tokio::select! {
        served = axum::serve(bounded, router).into_future() => served,
        () = follow(&source, &raise, complain) => Ok(()),
    }
}

/// Reads on as the run grows. In slices, so that questions are answered meanwhile.
async fn follow(source: &Mutex<Source>, news: &watch::Sender<u64>, mut complain: impl FnMut(&str)) {
    let mut told: Vec<String> = Vec::new();
    let mut before = None;
    loop {
        let (more, extent) = {
            let mut source = lock(source);
            (source.read_on(), source.extent())
        };
        for problem in &extent.problems {
            if !told.contains(problem) {
                complain(problem);
                told.push(problem.clone());
            }
        }
        if before.as_ref() != Some(&extent) {
            news.send_modify(|version| *version += 1);
            before = Some(extent);
        }
        if more {
            yield_now().await;
            continue;
        }
        sleep(LOOK).await;
        lock(source).look();
    }
}

async fn answer(State(desk): State<Desk>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let answer = check(&parts).and_then(|()| desk.answer(&parts));
    let mut response = answer.unwrap_or_else(Refusal::response);
    let not_allowed = response.status() == StatusCode::METHOD_NOT_ALLOWED;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
    set(CACHE_CONTROL, "no-store");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "no-referrer");
    set(RESOURCE_POLICY, "same-origin");
    if not_allowed {
        set(ALLOW, "GET, HEAD");
    }
    response
}

/// Whether it is asked as who it is, to read, and not by a page of somebody else's. A browser sends no `Origin` for
/// what a page embeds, but says from where it comes (Fetch Metadata).
fn check(parts: &Parts) -> Result<(), Refusal> {
    let headers = &parts.headers;
    if headers.get_all(HOST).iter().count() > 1 {
        return Err(Refusal::bad("there is more than one Host (RFC 9112 §3.2)"));
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = (parts.uri.authority().map(Authority::as_str).or(host))
        .ok_or_else(|| Refusal::bad("there is no Host (RFC 9112 §3.2)"))?;
    if !is_own(host) {
        let reason = "not answered to as this host: expected 127.0.0.1 or localhost";
        return Err(Refusal(StatusCode::MISDIRECTED_REQUEST, reason.into()));
    }
    let own = format!("http://{host}");
    let is_foreign = headers
        .get(ORIGIN)
        .is_some_and(|origin| origin.as_bytes() != own.as_bytes());
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    // A link that somebody follows leads here, and only to the page.
    let from_elsewhere = match site {
        None | Some(b"same-origin" | b"none") => false,
        Some(_) => parts.uri.path() != "/",
    };
    if is_foreign || from_elsewhere {
        let reason = "asked by a page of another origin";
        return Err(Refusal(StatusCode::FORBIDDEN, reason.into()));
    }
    if parts.method != Method::GET && parts.method != Method::HEAD {
        let reason = "nothing can be changed here: GET and HEAD";
        return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, reason.into()));
    }
    Ok(())
}

/// Whether `host`, as a Host header has it, is loopback's address or name. A page cannot point those elsewhere.
fn is_own(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let is_port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let is_loopback = name
        .parse::<Ipv4Addr>()
        .is_ok_and(|address| address.is_loopback());
    is_port && (is_loopback || name.eq_ignore_ascii_case("localhost"))
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
                Ok((stream, from)) => {
                    let idle = Box::pin(sleep(IDLE));
                    let connection = Connection {
                        stream,
                        idle,
                        _place: place,
                    };
                    return (connection, from);
                }
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

/// A connection, closed when nothing has gone out for [`IDLE`]: who is answered is not, and who sends byte by byte is.
struct Connection {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Ends what waits for too long.
    fn unless_idle<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        match self.idle.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.unless_idle(cx) {
            Poll::Pending => Pin::new(&mut self.stream).poll_read(cx, buffer),
            idle => idle,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_ready() {
            let until = Instant::now() + IDLE;
            self.idle.as_mut().reset(until);
            return written;
        }
        self.unless_idle(cx)
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
    use super::*;

    #[test]
    fn loopback_alone_is_answered_to() {
        for own in [
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost:65535",
            "LOCALHOST",
            "127.3.2.1:1",
        ] {
            assert!(is_own(own), "{own}");
        }
        for foreign in [
            "",
            ":80",
            "192.0.2.1",
            "example.org:80",
            "localhost.example",
            "127.0.0.1:x",
            "127.0.0.1:65536",
            "127.0.0.1:+80",
            "a@127.0.0.1",
            "127.1",
            "0.0.0.0",
        ] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }
}
