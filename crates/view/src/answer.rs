//! What is asked, and the answers. A question names an instant or a number of events; nothing is remembered of who asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Query;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot, watch};

use crate::index::Mark;
use crate::intervention::Intervention;
use crate::pace::Wish;
use crate::page::Page;
use crate::replay::{Happened, ReplayError, Since, events, events_at, state_after, state_at};
use crate::source::Source;
use crate::state::changes;
use crate::stream;

/// Events of a range, if nothing else is said, and at most.
const LIMIT: usize = 1000;
const MOST: usize = 4096;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const POLICY: HeaderName = HeaderName::from_static("content-security-policy");

/// A report may have come from anywhere: it is shown, and no script runs but that of this version's reports, which may
/// save what it shows.
fn report_policy() -> HeaderValue {
    let own = report::page::script::source();
    let policy = format!(
        "sandbox allow-scripts allow-downloads; default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {own}"
    );
    HeaderValue::try_from(policy).expect("it has visible ASCII only")
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

impl Refusal {
    pub(crate) fn bad(reason: impl Into<String>) -> Refusal {
        Refusal(StatusCode::BAD_REQUEST, reason.into())
    }

    pub(crate) fn response(self) -> Response {
        let Refusal(status, reason) = self;
        let mut response = of_json(&json!({ "status": status.as_u16(), "reason": reason }));
        *response.status_mut() = status;
        response
    }
}

impl From<ReplayError> for Refusal {
    fn from(error: ReplayError) -> Refusal {
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Desk {
    source: Arc<Mutex<Source>>,
    /// Raised whenever the source may have become another.
    pub(crate) news: watch::Receiver<u64>,
    pub(crate) streams: Arc<Semaphore>,
    page: Arc<Page>,
}

impl Desk {
    pub(crate) fn new(
        source: Arc<Mutex<Source>>,
        news: watch::Receiver<u64>,
        most_streams: usize,
    ) -> Desk {
        Desk {
            source,
            news,
            streams: Arc::new(Semaphore::new(most_streams)),
            page: Arc::new(Page::new()),
        }
    }

    /// The source. Who had it does not leave it half changed.
    pub(crate) fn source(&self) -> MutexGuard<'_, Source> {
        lock(&self.source)
    }

    /// Does what somebody wants of a run that goes on, and says how it goes on.
    pub(crate) fn wish(&self, wish: Wish) -> Result<Response, Refusal> {
        let source = self.source();
        let pacer = source.pacer().ok_or_else(|| {
            let reason =
                "the run is over, or nothing holds it: wpanlab run --view, in virtual time";
            Refusal(StatusCode::CONFLICT, reason.into())
        })?;
        let now = Instant::now();
        let mut pace = pacer.lock();
        pace.wish(now, wish);
        Ok(of_json(&json!(pace.told(now))))
    }

    /// Has a run begin again with a step more.
    pub(crate) async fn intervene(&self, wanted: Step) -> Result<Response, Refusal> {
        let interventions = self.source().interventions();
        let over = || {
            let reason = "nobody makes the run: wpanlab run --view, in virtual time";
            Refusal(StatusCode::CONFLICT, reason.into())
        };
        let (answer, answered) = oneshot::channel();
        let Step { step, at_ns } = wanted;
        let at = Duration::from_nanos(at_ns);
        let intervention = Intervention { step, at, answer };
        let sent = interventions.ok_or_else(over)?.send(intervention).await;
        sent.map_err(|_| over())?;
        match answered.await {
            Ok(Ok(())) => Ok(of_json(&json!({}))),
            Ok(Err(reason)) => Err(Refusal::bad(reason)),
            Err(_) => Err(over()),
        }
    }

    /// Answers.
    pub(crate) fn answer(&self, parts: &Parts) -> Result<Response, Refusal> {
        let query = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri);
        let query = query.map_err(|_| Refusal::bad("the query is not `key=value&…`"))?;
        let asked = Asked(query.0);
        match parts.uri.path() {
            "/" => {
                let mut response = of_text("text/html; charset=utf-8", self.page.html.clone());
                let headers = response.headers_mut();
                headers.insert(POLICY, self.page.policy.clone());
                Ok(response)
            }
            "/run" => Ok(of_json(&run(&self.source()))),
            "/extent" => Ok(of_json(&json!(self.source().extent()))),
            "/state" => {
                let source = self.source();
                let mark = mark(&source, asked.instant("at")?)?;
                Ok(of_json(&snapshot(&source, &mark)))
            }
            "/node" => node(&self.source(), &asked).map(|value| of_json(&value)),
            "/events" if wants_stream(&parts.headers) => {
                let last = parts.headers.get(LAST_EVENT_ID);
                let last = last.and_then(|id| id.to_str().ok()?.trim().parse().ok());
                stream::open(self, last, asked.instant("at")?)
            }
            "/events" => {
                let source = self.source();
                let since = asked.instant("from")?.unwrap_or(Since::Number(0));
                let found = range(&source, since, asked.limit()?)?;
                let generation = source.extent().generation;
                Ok(of_json(
                    &json!({ "generation": generation, "events": found }),
                ))
            }
            "/frames" => {
                let since = asked.number("from")?.unwrap_or(0);
                Ok(of_json(&frames(&self.source(), since, asked.limit()?)))
            }
            "/report.html" => {
                let report = self.source().report();
                let report = report.map_err(|e| Refusal(StatusCode::NOT_FOUND, e.to_string()))?;
                let mut response = of_text("text/html; charset=utf-8", report);
                let policy = report_policy();
                response.headers_mut().insert(POLICY, policy);
                Ok(response)
            }
            _ => Err(Refusal(
                StatusCode::NOT_FOUND,
                "there are /, /run, /extent, /state, /events, /node, /frames, /report.html and, by POST, /pace and /steps"
                    .into(),
            )),
        }
    }
}

pub(crate) fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    source.lock().unwrap_or_else(|broken| broken.into_inner())
}

/// A step that somebody wants.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    step: String,
    /// Where whoever wants it is, nanoseconds of the scenario.
    at_ns: u64,
}

/// What follows `?`.
struct Asked(BTreeMap<String, String>);

impl Asked {
    fn number(&self, key: &str) -> Result<Option<u64>, Refusal> {
        let value = self.0.get(key).map(|text| text.parse());
        let value = value.transpose();
        value.map_err(|_| Refusal::bad(format!("{key}: expected a whole number")))
    }

    fn limit(&self) -> Result<usize, Refusal> {
        let limit = self.number("limit")?.unwrap_or(LIMIT as u64);
        let limit = usize::try_from(limit).ok();
        (limit.filter(|limit| (1..=MOST).contains(limit)))
            .ok_or_else(|| Refusal::bad(format!("limit: expected 1 to {MOST}")))
    }

    /// An instant under `key`, Unix time in nanoseconds, or a number of events.
    fn instant(&self, key: &str) -> Result<Option<Since>, Refusal> {
        match (self.number(key)?, self.number("number")?) {
            (Some(_), Some(_)) => Err(Refusal::bad(format!("there are both {key} and number"))),
            (Some(instant), None) => Ok(Some(Since::Instant(instant))),
            (None, number) => Ok(number.map(Since::Number)),
        }
    }
}

/// What is known at an instant or after so many events; by default before all of them.
pub(crate) fn mark(source: &Source, at: Option<Since>) -> Result<Mark, Refusal> {
    let (index, Some(file)) = (source.index(), source.events()) else {
        return Ok(Mark::default());
    };
    Ok(match at.unwrap_or(Since::Number(0)) {
        Since::Instant(time_ns) => state_at(index, file, time_ns)?,
        Since::Number(number) => state_after(index, file, number)?,
    })
}

/// A state as the page has it.
pub(crate) fn snapshot(source: &Source, mark: &Mark) -> Value {
    let first = source.index().first_ns().unwrap_or_default();
    json!({
        "generation": source.extent().generation,
        "number": mark.place.number,
        "t": mark.place.time_ns.saturating_sub(first),
        "nodes": mark.state,
    })
}

/// Events as the page has them.
pub(crate) fn range(source: &Source, since: Since, limit: usize) -> Result<Vec<Value>, Refusal> {
    let Some(file) = source.events() else {
        return Ok(Vec::new());
    };
    let found = events(source.index(), file, since, limit)?;
    Ok(found
        .iter()
        .map(|happened| told(source, happened))
        .collect())
}

/// `n`, its number; `t`, nanoseconds after the first event; the event; and what it changes.
pub(crate) fn told(source: &Source, happened: &Happened) -> Value {
    let first = source.index().first_ns().unwrap_or_default();
    json!({
        "n": happened.number,
        "t": happened.time_ns.saturating_sub(first),
        "event": happened.event,
        "changes": changes(&happened.event),
    })
}

fn run(source: &Source) -> Value {
    let (handovers, more) = source.index().handovers();
    json!({
        "plan": source.plan(),
        "result": source.result(),
        "handovers": handovers,
        "more_handovers": more,
        "extent": source.extent(),
    })
}

/// A node's last events until an instant, the latest last.
fn node(source: &Source, asked: &Asked) -> Result<Value, Refusal> {
    let name = asked
        .0
        .get("name")
        .ok_or_else(|| Refusal::bad("name: there is none"))?;
    let mark = mark(source, asked.instant("at")?)?;
    let known = mark.state.node(name);
    let offsets = known.into_iter().flat_map(|node| node.last());
    let last = match source.events() {
        Some(file) => events_at(source.index(), file, offsets)?,
        None => Vec::new(),
    };
    let first = source.index().first_ns().unwrap_or_default();
    let last = last
        .iter()
        .map(|event| json!({ "t": event.time_ns.saturating_sub(first), "event": event }));
    Ok(json!({ "number": mark.place.number, "last": last.collect::<Vec<_>>() }))
}

/// Frames: nanoseconds after the first event, sender, receiver (null: all), whether somebody received it.
fn frames(source: &Source, since: u64, limit: usize) -> Value {
    let (frames, read) = source.frames();
    let first = i128::from(source.index().first_ns().unwrap_or_default());
    let found = frames.since(since, limit).iter().map(|frame| {
        let t = (i128::from(frame.time_ns) - first) as i64;
        json!([t, frame.from, frame.to(), frame.received])
    });
    json!({
        "names": frames.names(),
        "frames": found.collect::<Vec<_>>(),
        "read": read,
        "left_out": frames.left_out(),
    })
}

fn wants_stream(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| {
        let listed = value.to_str().unwrap_or_default().split(',');
        listed
            .map(|kind| kind.split(';').next().unwrap_or_default().trim())
            .any(|kind| kind.eq_ignore_ascii_case("text/event-stream"))
    })
}

fn of_json(value: &Value) -> Response {
    of_text("application/json", format!("{value}\n"))
}

fn of_text(kind: &'static str, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
