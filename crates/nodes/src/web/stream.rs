//! Event streams (HTML §9.2, Server-sent events): bounded, with a log that a reader goes on from.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Bytes;
use futures_util::Stream;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval_at};
use units::SimTime;

use super::{Asked, Door, Way};

/// Events that wait for one reader, at most, and their bytes: of more the oldest are lost.
const MAX_WAITING: usize = 1024;
const MAX_WAITING_BYTES: usize = 1 << 20;

/// Events that a log keeps, at most, and their bytes.
const MAX_KEPT: usize = 1024;
const MAX_KEPT_BYTES: usize = 1 << 20;

/// So often a comment is sent where nothing happens: it keeps the connection, and shows whether somebody reads.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// An event as its bytes are.
type Text = Arc<str>;

/// The bytes of an event. JSON has no line feed outside of its strings' escapes, so that one `data` line holds it.
fn text(id: Option<u64>, name: &str, data: &Value) -> Text {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("{id}event: {name}\ndata: {data}\n\n").into()
}

/// What waits for a reader.
#[derive(Debug, Default)]
struct Queue {
    /// What it begins with: bounded by whoever begins it, and never lost.
    first: VecDeque<Text>,
    waiting: VecDeque<Text>,
    bytes: usize,
    lost: u64,
    /// Nothing follows.
    is_over: bool,
    /// Nobody reads.
    is_left: bool,
    waker: Option<Waker>,
}

impl Queue {
    fn push(&mut self, event: Text) {
        self.bytes += event.len();
        self.waiting.push_back(event);
        while self.waiting.len() > 1
            && (self.waiting.len() > MAX_WAITING || self.bytes > MAX_WAITING_BYTES)
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.bytes -= oldest.len();
            self.lost += 1;
        }
    }

    fn next(&mut self) -> Option<Text> {
        if let Some(first) = self.first.pop_front() {
            return Some(first);
        }
        if self.lost > 0 {
            let count = std::mem::take(&mut self.lost);
            return Some(text(None, "lost", &json!({ "count": count })));
        }
        let next = self.waiting.pop_front()?;
        self.bytes -= next.len();
        Some(next)
    }
}

/// Both ends of a stream have it, and neither panics while it holds it.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The service's end of an event stream. Dropped, the stream ends.
#[derive(Debug)]
pub(crate) struct Writer(Arc<Mutex<Queue>>);

impl Writer {
    /// Tells an event that no log has.
    pub(crate) fn tell(&self, name: &str, data: &Value) {
        self.with(|queue| queue.push(text(None, name, data)));
    }

    /// Whether somebody reads.
    pub(crate) fn is_read(&self) -> bool {
        !lock(&self.0).is_left
    }

    fn with(&self, act: impl FnOnce(&mut Queue)) {
        let mut queue = lock(&self.0);
        if queue.is_left {
            return;
        }
        act(&mut queue);
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.with(|queue| queue.is_over = true);
    }
}

/// The reader's end of an event stream: the body of a response.
#[derive(Debug)]
pub(crate) struct Reader {
    queue: Arc<Mutex<Queue>>,
    way: Way,
    /// Begins with the first poll, when it is in a connection.
    quiet: Option<Interval>,
    /// Its place among the streams.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

#[cfg(test)]
impl Reader {
    /// What waits for it, as its bytes are.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let mut queue = lock(&self.queue);
        let texts = std::iter::from_fn(|| queue.next());
        texts.map(|text| text.to_string()).collect()
    }

    /// Whether nothing follows.
    pub(crate) fn is_over(&self) -> bool {
        lock(&self.queue).is_over
    }
}

pub(super) fn new(way: Way) -> (Writer, Reader) {
    let queue = Arc::default();
    let reader = Reader {
        queue: Arc::clone(&queue),
        way,
        quiet: None,
        place: None,
    };
    (Writer(queue), reader)
}

impl Stream for Reader {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let reader = self.get_mut();
        let quiet = reader.quiet.get_or_insert_with(|| {
            let first = tokio::time::Instant::now() + KEEP_ALIVE;
            let mut quiet = interval_at(first, KEEP_ALIVE);
            quiet.set_missed_tick_behavior(MissedTickBehavior::Delay);
            quiet
        });
        let mut queue = lock(&reader.queue);
        if let Some(event) = queue.next() {
            quiet.reset();
            return Poll::Ready(Some(Ok(Bytes::copy_from_slice(event.as_bytes()))));
        }
        if queue.is_over {
            return Poll::Ready(None);
        }
        queue.waker = Some(cx.waker().clone());
        match quiet.poll_tick(cx) {
            Poll::Ready(_) => Poll::Ready(Some(Ok(Bytes::from_static(b":\n\n")))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut queue = lock(&self.queue);
        *queue = Queue {
            is_left: true,
            ..Queue::default()
        };
        drop(queue);
        self.way.tell(Asked::Left);
    }
}

/// What a service has told, as far as it is kept, and who is told what follows. An event's ID is its instant in
/// nanoseconds, or the next number if that is had already: they ascend.
#[derive(Debug)]
pub(crate) struct Log {
    kept: VecDeque<(u64, Text)>,
    bytes: usize,
    /// The ID of the last event, and of the last one that is not kept any more.
    last: u64,
    gone: u64,
    followers: Vec<Writer>,
}

impl Log {
    /// Empty: nothing that was before `now` is known.
    pub(crate) fn new(now: SimTime) -> Log {
        let last = now.as_nanos();
        Log {
            kept: VecDeque::new(),
            bytes: 0,
            last,
            gone: last,
            followers: Vec::new(),
        }
    }

    /// Tells an event of `now` to all, and keeps it.
    pub(crate) fn tell(&mut self, now: SimTime, name: &str, data: &Value) {
        self.last = now.as_nanos().max(self.last + 1);
        let event = text(Some(self.last), name, data);
        self.bytes += event.len();
        for follower in &self.followers {
            follower.with(|queue| queue.push(Arc::clone(&event)));
        }
        self.kept.push_back((self.last, event));
        while (self.kept.len() > MAX_KEPT || self.bytes > MAX_KEPT_BYTES)
            && let Some((id, oldest)) = self.kept.pop_front()
        {
            self.bytes -= oldest.len();
            self.gone = id;
        }
    }

    /// A stream of what is told from now on. It begins with what was told after the event `since`, or, where that is
    /// not known any more or none is named, with `snapshot`.
    pub(crate) fn follow(
        &mut self,
        door: &Door,
        since: Option<u64>,
        snapshot: impl FnOnce() -> Value,
    ) -> Reader {
        if let Some(known) = since.filter(|since| self.knows(*since)) {
            return self.follow_on(door, known);
        }
        let (writer, reader) = door.stream();
        writer.with(|queue| {
            if let Some(since) = since {
                let lost = json!({ "count": null, "since": since });
                queue.first.push_back(text(None, "lost", &lost));
            }
            let snapshot = text(Some(self.last), "snapshot", &snapshot());
            queue.first.push_back(snapshot);
        });
        self.followers.push(writer);
        reader
    }

    /// A stream of what was told after the event `since`, as far as it is kept, and is told from now on.
    pub(crate) fn follow_on(&mut self, door: &Door, since: u64) -> Reader {
        let (writer, reader) = door.stream();
        let later = self.kept.iter().filter(|(id, _)| *id > since);
        let later = later.map(|(_, event)| Arc::clone(event));
        writer.with(|queue| queue.first.extend(later));
        self.followers.push(writer);
        reader
    }

    /// Whether everything is kept that was told after the event `since`.
    pub(crate) fn knows(&self, since: u64) -> bool {
        (self.gone..=self.last).contains(&since)
    }

    /// The ID of what was told last, or of what was before it.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Whether somebody reads.
    pub(crate) fn is_followed(&self) -> bool {
        self.followers.iter().any(Writer::is_read)
    }

    /// Forgets who does not read any more.
    pub(crate) fn forget_left(&mut self) {
        self.followers.retain(Writer::is_read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::Bell;
    use tokio::sync::mpsc::unbounded_channel;

    fn pair() -> (Writer, Reader) {
        let (asked, _) = unbounded_channel();
        let bell = Bell::default();
        new(Way { asked, bell })
    }

    fn take(reader: &Reader) -> Vec<Text> {
        let mut queue = lock(&reader.queue);
        std::iter::from_fn(|| queue.next()).collect()
    }

    #[test]
    fn who_does_not_read_loses_the_oldest_and_is_told_how_many() {
        let (writer, reader) = pair();
        for n in 0..MAX_WAITING + 7 {
            writer.tell("tick", &json!(n));
        }
        let read = take(&reader);
        assert_eq!(&*read[0], "event: lost\ndata: {\"count\":7}\n\n");
        assert_eq!(&*read[1], "event: tick\ndata: 7\n\n");
        assert_eq!(read.len(), MAX_WAITING + 1);
        writer.tell("tick", &json!("next"));
        assert_eq!(take(&reader), ["event: tick\ndata: \"next\"\n\n".into()]);
    }

    #[test]
    fn long_events_are_bounded_by_their_bytes_and_one_is_always_there() {
        let (writer, reader) = pair();
        let long = json!("x".repeat(MAX_WAITING_BYTES / 2 + 1));
        (0..5).for_each(|_| writer.tell("long", &long));
        assert_eq!(&*take(&reader)[0], "event: lost\ndata: {\"count\":4}\n\n");
        writer.tell("longer", &json!("x".repeat(2 * MAX_WAITING_BYTES)));
        assert_eq!(take(&reader).len(), 1);
    }

    #[test]
    fn nothing_is_kept_for_who_has_left() {
        let (writer, reader) = pair();
        assert!(writer.is_read());
        drop(reader);
        assert!(!writer.is_read());
        writer.tell("tick", &json!(1));
        assert!(lock(&writer.0).waiting.is_empty());
    }

    #[test]
    fn ids_ascend_and_are_instants_where_they_can_be() {
        let mut log = Log::new(SimTime::from_nanos(5));
        for at in [10, 10, 10, 11, 500, 3] {
            log.tell(SimTime::from_nanos(at), "tick", &json!(null));
        }
        let ids: Vec<u64> = log.kept.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [10, 11, 12, 13, 500, 501]);
    }

    #[test]
    fn a_log_is_bounded_and_knows_what_it_has_lost() {
        let mut log = Log::new(SimTime::ZERO);
        for at in 1..=MAX_KEPT as u64 + 3 {
            log.tell(SimTime::from_nanos(at), "tick", &json!(null));
        }
        assert_eq!((log.kept.len(), log.gone), (MAX_KEPT, 3));
        log.tell(
            SimTime::from_nanos(9_999),
            "long",
            &json!("x".repeat(MAX_KEPT_BYTES)),
        );
        assert_eq!((log.kept.len(), log.bytes, log.gone), (0, 0, 9_999));
    }
}
