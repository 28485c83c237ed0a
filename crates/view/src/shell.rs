//! The server: on loopback, for who asks it as who it is ([`listener`]). What changes something are the two POSTs to a run that
//! somebody watches: one moves its clock, one has it begin again with a step more.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use listener::{Bounded, Host, Patience, Stranger};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::answer::{Desk, Refusal, lock};
use crate::source::Source;

/// Connections at once, at most: further ones wait until one has left.
const MAX_CONNECTIONS: usize = 512;

/// Event streams at once, at most: further ones are answered 503, so that there is room for questions.
const MAX_STREAMS: usize = 256;

/// A connection to which nothing goes for so long is closed. Answers come at once.
const PATIENT: Patience = Patience {
    silence: Duration::from_secs(60),
    for_answers: false,
};

/// What somebody wants of a run has no more bytes.
const MOST_OF_WISH: usize = 4096;

/// So long somebody may take to say what he wants.
const SAID: Duration = Duration::from_secs(10);

/// So long it takes to say whether a step can be one: it is read as the topology is.
const ANSWERED: Duration = Duration::from_secs(30);

/// Where a run that goes on is held, and where it is told what is to happen in it.
const PACE: &str = "/pace";
const STEPS: &str = "/steps";

/// So often it is looked whether the run has grown.
const LOOK: Duration = Duration::from_millis(200);

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
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let bounded = Bounded::new(listener, places, PATIENT);
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
            (source.read_on(), source.extent().without_clock())
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
    let (parts, body) = request.into_parts();
    let answer = match check(&parts) {
        Ok(()) if parts.method == Method::POST => wish(&desk, &parts, body).await,
        Ok(()) => desk.answer(&parts),
        Err(refusal) => Err(refusal),
    };
    let mut response = answer.unwrap_or_else(Refusal::response);
    let is_said = [PACE, STEPS].contains(&parts.uri.path());
    let not_allowed = response.status() == StatusCode::METHOD_NOT_ALLOWED;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
    set(CACHE_CONTROL, "no-store");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "no-referrer");
    set(RESOURCE_POLICY, "same-origin");
    if not_allowed {
        set(ALLOW, if is_said { "POST" } else { "GET, HEAD" });
    }
    response
}

/// Whether it is asked as who it is, to read, and not by a page of somebody else's.
fn check(parts: &Parts) -> Result<(), Refusal> {
    let is_page = parts.uri.path() == "/";
    listener::check(&parts.uri, &parts.headers, is_own, is_page).map_err(|stranger| {
        let mut reason = stranger.to_string();
        if stranger == Stranger::Misdirected {
            reason += ": expected 127.0.0.1 or localhost";
        }
        Refusal(stranger.status(), reason)
    })?;
    let reason = match (parts.uri.path(), &parts.method) {
        (PACE | STEPS, &Method::POST) => return Ok(()),
        (PACE | STEPS, _) => "how a run goes on is said by POST",
        (_, &Method::GET | &Method::HEAD) => return Ok(()),
        _ => "nothing can be changed here: GET and HEAD",
    };
    Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, reason.into()))
}

/// `application/json`, with parameters or without.
fn is_json(kind: &HeaderValue) -> bool {
    let text = kind.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// Does what somebody wants of the run. No page of somebody else's can ask for it: JSON needs leave of ours first (CORS).
async fn wish(desk: &Desk, parts: &Parts, body: Body) -> Result<Response, Refusal> {
    let kind = parts.headers.get(CONTENT_TYPE);
    if !kind.is_some_and(is_json) {
        let reason = "expected Content-Type: application/json";
        return Err(Refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason.into()));
    }
    let read = timeout(SAID, to_bytes(body, MOST_OF_WISH)).await;
    let read = read.map_err(|_| {
        let reason = "the body did not come to its end";
        Refusal(StatusCode::REQUEST_TIMEOUT, reason.into())
    })?;
    let bytes = read.map_err(|_| {
        let reason = format!("expected {MOST_OF_WISH} bytes at most");
        Refusal(StatusCode::PAYLOAD_TOO_LARGE, reason)
    })?;
    if parts.uri.path() == STEPS {
        let wish = serde_json::from_slice(&bytes);
        let wish = wish.map_err(|error| {
            Refusal::bad(format!(
                "{error}: expected {{\"step\":TEXT,\"at_ns\":NUMBER}}"
            ))
        })?;
        return timeout(ANSWERED, desk.intervene(wish))
            .await
            .unwrap_or_else(|_| {
                let reason = "the run measures what it has, and took no step: once more";
                Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, reason.into()))
            });
    }
    let wish = serde_json::from_slice(&bytes);
    desk.wish(wish.map_err(|error| {
        Refusal::bad(format!(
            "{error}: expected {{\"speed\":NUMBER or null}}, {{\"paused\":true or false}} or {{\"step\":true}}"
        ))
    })?)
}

/// Whether `host`, as a Host header has it, is loopback's address or name. A page cannot point those elsewhere.
fn is_own(host: &str) -> bool {
    match Host::of(host) {
        Some(Host::Address(IpAddr::V4(address))) => address.is_loopback(),
        Some(Host::Name(name)) => name.eq_ignore_ascii_case("localhost"),
        _ => false,
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
