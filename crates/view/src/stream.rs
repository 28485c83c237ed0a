//! All events from an instant on as one event stream, with the state at its beginning.
//!
//! The log is the file: whoever reads slowly is given it slowly, and nothing is kept for them but a few events that are
//! on their way.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::stream::unfold;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::answer::{Desk, Refusal, mark, snapshot, told};
use crate::replay::{Since, events};
use crate::source::{Condition, Source};

/// Events that are on their way to one reader, at most.
const AHEAD: usize = 256;

/// After so long without an event a comment says that the stream is there still.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One reader.
struct Reader {
    desk: Desk,
    /// Text that is not sent yet.
    ahead: VecDeque<String>,
    /// The number of the event after that.
    next: u64,
    generation: u64,
    /// How much there was when that was last told, without the clock.
    extent: Value,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

/// A stream that goes on from the instant `last`, which a reader had before, or begins at `at`.
///
/// | event | is |
/// | --- | --- |
/// | `snapshot` | the state at the beginning: as `/state` has it |
/// | `happened` | an event, with its instant as `id`: as `/events` has it |
/// | `extent` | how much there is has changed, and no event says so |
/// | `reset` | the file is another one: a `snapshot` of its beginning follows |
/// | `over` | there will be no more; the stream ends |
///
/// # Errors
/// There are as many streams as there may be, or the events cannot be read.
pub(crate) fn open(desk: &Desk, last: Option<u64>, at: Option<Since>) -> Result<Response, Refusal> {
    let place = Arc::clone(&desk.streams).try_acquire_owned();
    let place = place.map_err(|_| {
        let reason = "as many event streams as there may be are open";
        Refusal(StatusCode::SERVICE_UNAVAILABLE, reason.into())
    })?;
    let source = desk.source();
    let mark = mark(&source, last.map(Since::Instant).or(at))?;
    let extent = source.extent();
    if last.is_some() && is_over(&source) && mark.place.number == extent.count {
        // Who has everything is not to come again (EventSource takes this for the end).
        let mut nothing = Response::new(Body::empty());
        *nothing.status_mut() = StatusCode::NO_CONTENT;
        return Ok(nothing);
    }
    let id = (mark.place.number > 0).then_some(mark.place.time_ns);
    let reader = Reader {
        desk: desk.clone(),
        ahead: VecDeque::from([text(id, "snapshot", &snapshot(&source, &mark))]),
        next: mark.place.number,
        generation: extent.generation,
        extent: json!(extent.without_clock()),
        is_over: false,
        _place: place,
    };
    drop(source);
    let parts = unfold(reader, |mut reader| async move {
        let part = reader.part().await?;
        Some((Ok::<Bytes, Infallible>(part), reader))
    });
    let mut response = Response::new(Body::from_stream(parts));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

/// Whether nothing more is to come.
fn is_over(source: &Source) -> bool {
    let extent = source.extent();
    extent.read && extent.condition != Condition::Growing
}

impl Reader {
    /// What is sent next; none at the end.
    async fn part(&mut self) -> Option<Bytes> {
        loop {
            if !self.ahead.is_empty() {
                let all: String = self.ahead.drain(..).collect();
                return Some(all.into());
            }
            if self.is_over {
                return None;
            }
            // What comes from here on is news, also if it comes before it is waited for.
            self.desk.news.mark_unchanged();
            if let Err(Refusal(_, why)) = self.read_on() {
                self.ahead.push_back(text(None, "problem", &why.into()));
                self.is_over = true;
            }
            if self.ahead.is_empty() {
                match timeout(KEEP_ALIVE, self.desk.news.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return None,
                    Err(_) => return Some(Bytes::from_static(b":\n\n")),
                }
            }
        }
    }

    fn read_on(&mut self) -> Result<(), Refusal> {
        let desk = self.desk.clone();
        let source = desk.source();
        let extent = source.extent();
        if extent.generation != self.generation {
            self.generation = extent.generation;
            self.next = 0;
            let beginning = snapshot(&source, &mark(&source, None)?);
            self.ahead.push_back(text(None, "reset", &json!(extent)));
            self.ahead.push_back(text(None, "snapshot", &beginning));
        }
        if let Some(file) = source.events() {
            for happened in events(source.index(), file, Since::Number(self.next), AHEAD)? {
                self.next = happened.number + 1;
                let event = told(&source, &happened);
                let id = Some(happened.time_ns);
                self.ahead.push_back(text(id, "happened", &event));
            }
        }
        if !self.ahead.is_empty() {
            return Ok(());
        }
        let told = json!(extent);
        let known = json!(extent.without_clock());
        if known != self.extent {
            self.ahead.push_back(text(None, "extent", &told));
            self.extent = known;
        }
        if is_over(&source) {
            self.ahead.push_back(text(None, "over", &told));
            self.is_over = true;
        }
        Ok(())
    }
}

/// An event of a stream. JSON in one line has no line end in it.
fn text(id: Option<u64>, name: &str, data: &Value) -> String {
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    format!("{id}event: {name}\ndata: {data}\n\n")
}
