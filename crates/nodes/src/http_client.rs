//! An HTTP client: asks a gateway for what nodes have, again and again, or follows it as an event stream.
//!
//! It stands for a page or a program on another machine, and is measured by its packets. Every poll has a connection of its own,
//! which it keeps, and asks one thing at a time: an instant at which the response before is still waited for is left out.
//! Who does not answer in time loses the connection, so that what comes later is nobody's.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use driver::Ignored;
use futures_util::StreamExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rundir::EventKind;
use rundir::control::Control;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use topology::plan::{HttpClientPlan, HttpPollPlan};

use crate::control::Controls;
use crate::host::Host;

/// After so long an event stream that has ended is asked for again: "probably in the region of a few seconds" (WHATWG HTML,
/// Server-sent events, "reconnection time").
const AGAIN: Duration = Duration::from_secs(3);

/// The media type of an event stream.
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Runs the client. `lasts`: how long the scenario does, if that is known.
pub(crate) async fn run(
    host: Host,
    mut controls: Controls,
    plan: HttpClientPlan,
    lasts: Option<Duration>,
) -> Result<()> {
    let (over, is_over) = watch::channel(false);
    let polls = plan.polls.iter();
    let polls = polls.map(|poll| Poll::new(&plan, poll, is_over.clone()));
    let mut polls: Vec<Poll> = polls.collect::<Result<_>>()?;
    let (mut asking, mut tally) = (JoinSet::new(), Tally::default());
    let mut drains = false;
    host.part_is_ready()?;
    loop {
        if drains && asking.is_empty() {
            host.events.report(std::mem::take(&mut tally).told())?;
            drains = false;
        }
        tokio::select! {
            control = controls.next() => match control {
                Control::Start => {
                    let start = Instant::now();
                    for poll in polls.drain(..) {
                        asking.spawn(poll.run(start, lasts.map(|lasts| start + lasts)));
                    }
                }
                Control::Drain => {
                    drains = true;
                    over.send_replace(true);
                }
                Control::Operate { .. } | Control::Signal(_) | Control::Wake => {}
                Control::Stop => return Ok(()),
            },
            Some(ended) = asking.join_next() => tally.add(ended.context("a poll by HTTP")?),
        }
    }
}

/// Why a request was not answered without an error.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// Not in time, be it the connection, the head or the body.
    Timeout,
    /// There was no connection.
    Unconnected(io::ErrorKind),
    /// The connection ended before the response did, or it was none.
    Broken,
    /// A response with an error, or one that is no event stream where that was asked for.
    Status(StatusCode),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Timeout => f.write_str("timeout"),
            Failure::Unconnected(kind) => kind.fmt(f),
            Failure::Broken => f.write_str("no whole response"),
            Failure::Status(status) => status.as_u16().fmt(f),
        }
    }
}

/// What became of requests by the client's own account.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    asked: u64,
    answered: u64,
    reasons: BTreeMap<String, u64>,
}

impl Tally {
    fn count(&mut self, outcome: &Result<(), Failure>) {
        self.asked += 1;
        match outcome {
            Ok(()) => self.answered += 1,
            Err(failure) => *self.reasons.entry(failure.to_string()).or_default() += 1,
        }
    }

    fn add(&mut self, other: Tally) {
        self.asked += other.asked;
        self.answered += other.answered;
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
    }

    fn told(self) -> EventKind {
        EventKind::HttpDrained {
            asked: self.asked,
            answered: self.answered,
            reasons: self.reasons,
        }
    }
}

/// One poll.
struct Poll {
    target: Uri,
    follows: bool,
    first: Duration,
    every: Duration,
    /// So long a response is waited for.
    timeout: Duration,
    line: Line,
    /// The scenario is over.
    over: watch::Receiver<bool>,
    tally: Tally,
    failed: Ignored,
}

impl Poll {
    fn new(
        client: &HttpClientPlan,
        plan: &HttpPollPlan,
        over: watch::Receiver<bool>,
    ) -> Result<Poll> {
        let target = plan.target();
        Ok(Poll {
            target: target
                .parse()
                .with_context(|| format!("`{target}` is no target"))?,
            follows: plan.observe,
            first: plan.first,
            every: plan.every,
            timeout: client.timeout,
            line: Line::new(SocketAddr::new(client.address.into(), client.port))?,
            over,
            tally: Tally::default(),
            failed: Ignored::default(),
        })
    }

    /// Asks from `start` on, as long as the scenario lasts: until `end`, or until somebody says that it is over.
    async fn run(mut self, start: Instant, end: Option<Instant>) -> Tally {
        let mut due = start + self.first;
        while self.comes(due, end).await {
            if self.follows {
                self.follow().await;
                due = Instant::now() + AGAIN;
            } else {
                let outcome = self.ask().await;
                self.count(&outcome);
                due = next(due, self.every, Instant::now());
            }
        }
        self.tally
    }

    /// Waits for `due`; `false` if the scenario is over before.
    async fn comes(&mut self, due: Instant, end: Option<Instant>) -> bool {
        match end {
            Some(end) if due >= end => false,
            // What is due before the end is asked, whenever the end is told.
            Some(_) if !self.follows => {
                sleep_until(due).await;
                true
            }
            _ => tokio::select! {
                biased;
                _ = self.over.wait_for(|over| *over) => false,
                () = sleep_until(due) => true,
            },
        }
    }

    /// Asks once.
    async fn ask(&mut self) -> Result<(), Failure> {
        let (request, limit) = (self.request(), self.timeout);
        let asked = async {
            let response = self.line.send(request).await?;
            let status = response.status();
            read(response.into_body()).await?;
            match status.is_client_error() || status.is_server_error() {
                true => Err(Failure::Status(status)),
                false => Ok(()),
            }
        };
        let outcome = timeout(limit, asked).await;
        let outcome = outcome.unwrap_or(Err(Failure::Timeout));
        self.close_after(&outcome);
        outcome
    }

    /// Follows an event stream to its end, or the scenario's.
    async fn follow(&mut self) {
        let request = self.request();
        let began = timeout(self.timeout, self.line.send(request)).await;
        let began = began.unwrap_or(Err(Failure::Timeout));
        let began = began.and_then(|response| match is_stream(response.headers()) {
            true if response.status() == StatusCode::OK => Ok(response.into_body()),
            _ => Err(Failure::Status(response.status())),
        });
        let (outcome, body) = match began {
            Ok(body) => (Ok(()), Some(body)),
            Err(failure) => (Err(failure), None),
        };
        self.count(&outcome);
        if let Some(body) = body {
            tokio::select! {
                _ = read(body) => {}
                _ = self.over.wait_for(|over| *over) => {}
            }
        }
        self.line.close();
    }

    fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.target.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.line.host.clone());
        if self.follows {
            headers.insert(ACCEPT, EVENT_STREAM);
        }
        request
    }

    /// A response with an error leaves the connection as it is.
    fn close_after(&mut self, outcome: &Result<(), Failure>) {
        if !matches!(outcome, Ok(()) | Err(Failure::Status(_))) {
            self.line.close();
        }
    }

    fn count(&mut self, outcome: &Result<(), Failure>) {
        self.tally.count(outcome);
        if let Err(failure) = outcome
            && let Some(times) = self.failed.another()
        {
            tracing::warn!(target = %self.target, %failure, times, "not answered by HTTP");
        }
    }
}

/// The first instant after `now` that is so many periods after `due`.
fn next(due: Instant, every: Duration, now: Instant) -> Instant {
    let behind = now.saturating_duration_since(due).as_nanos();
    let periods = behind.checked_div(every.as_nanos()).unwrap_or_default() + 1;
    due + Duration::from_nanos_u128(every.as_nanos() * periods)
}

fn is_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE) == Some(&EVENT_STREAM)
}

/// Reads a body, which nobody needs.
async fn read(body: Incoming) -> Result<(), Failure> {
    let mut body = Body::new(body).into_data_stream();
    while let Some(bytes) = body.next().await {
        bytes.map_err(|_| Failure::Broken)?;
    }
    Ok(())
}

/// A connection that is made when it is needed, and kept.
struct Line {
    server: SocketAddr,
    /// The server's address, as a Host header has it.
    host: HeaderValue,
    open: Option<Open>,
}

/// A connection, and what carries it: closed when this is dropped.
struct Open {
    requests: SendRequest<Body>,
    _carrying: JoinSet<()>,
}

impl Line {
    fn new(server: SocketAddr) -> Result<Line> {
        Ok(Line {
            server,
            host: HeaderValue::try_from(server.to_string()).context("Host")?,
            open: None,
        })
    }

    /// Sends a request; gives the head of its response.
    async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<axum::http::Response<Incoming>, Failure> {
        // One that the server has closed meanwhile is of no use.
        let usable = match &mut self.open {
            Some(open) => open.requests.ready().await.is_ok(),
            None => false,
        };
        let open = match self.open.take().filter(|_| usable) {
            Some(open) => self.open.insert(open),
            None => {
                let opened = self.connect().await?;
                self.open.insert(opened)
            }
        };
        let response = open.requests.send_request(request).await;
        response.map_err(|_| Failure::Broken)
    }

    async fn connect(&self) -> Result<Open, Failure> {
        let unconnected = |error: io::Error| Failure::Unconnected(error.kind());
        let stream = TcpStream::connect(self.server).await.map_err(unconnected)?;
        stream.set_nodelay(true).map_err(unconnected)?;
        let (requests, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|_| Failure::Broken)?;
        let mut carrying = JoinSet::new();
        carrying.spawn(async move {
            // Why it ended is told to who waits for a response.
            let _ = connection.await;
        });
        Ok(Open {
            requests,
            _carrying: carrying,
        })
    }

    fn close(&mut self) {
        self.open = None;
    }
}

#[cfg(test)]
mod tests;
