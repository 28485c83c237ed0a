//! The feed of a run: events leave as they happen, in time order, into `events.jsonl` and to
//! whoever follows the run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use files::Tree;
use rundir::{Event, event};
use units::SimTime;

use crate::Progress;

/// How long an event waits for earlier ones that are still under way: a daemon's line takes
/// microseconds where nothing else runs, milliseconds on a busy machine.
const LAG: Duration = Duration::from_millis(50);
/// After how long events leave when the run has something to do anyway: several go at once.
const ENOUGH: Duration = Duration::from_millis(100);
/// After how long the feed has the run woken for them. Each time costs the guest a change of address
/// space, which its emulated processor pays for with all that it had cached.
const LATEST: Duration = Duration::from_millis(250);

/// The place of an event in the file: its instant, then its node, then as it came in.
type Place = (u64, String, u64);

/// Whoever follows a run.
pub(crate) type Follower<'a> = &'a mut dyn FnMut(Progress);

/// The events of a run on their way out.
pub(crate) struct Feed<'a> {
    path: PathBuf,
    file: BufWriter<File>,
    follower: Follower<'a>,
    waiting: BTreeMap<Place, Event>,
    arrived: u64,
    /// The latest one that has left.
    left: Option<(u64, String)>,
    /// Whether one came after a later one had left: the file is put in order at the end.
    disorder: bool,
}

impl<'a> Feed<'a> {
    /// A feed into the file at `path`, made new, and to `follower`.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn create(path: PathBuf, follower: Follower<'a>) -> Result<Feed<'a>> {
        let file = Tree::holding(&path).create(&path);
        let file = file.with_context(|| format!("create {}", path.display()))?;
        Ok(Feed {
            path,
            file: BufWriter::new(file),
            follower,
            waiting: BTreeMap::new(),
            arrived: 0,
            left: None,
            disorder: false,
        })
    }

    /// Tells the follower how far the run is.
    pub(crate) fn progress(&mut self, progress: Progress) {
        (self.follower)(progress);
    }

    /// Takes an event in.
    pub(crate) fn push(&mut self, event: Event) {
        self.arrived += 1;
        let place = (event.time_ns, event.node.clone(), self.arrived);
        self.waiting.insert(place, event);
    }

    /// When [`Feed::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<SimTime> {
        let ((time_ns, ..), _) = self.waiting.first_key_value()?;
        Some(SimTime::from_nanos(*time_ns) + LATEST)
    }

    /// Lets go what has waited long enough by `now`; to be called whenever the run is awake.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn handle_timeout(&mut self, now: SimTime) -> Result<()> {
        if !self.has_waited(ENOUGH, now) {
            return Ok(());
        }
        while self.has_waited(LAG, now) {
            self.let_go()?;
        }
        // Whoever reads the file while it grows finds whole lines.
        self.flush()
    }

    /// Whether the oldest event has waited for `time`.
    fn has_waited(&self, time: Duration, now: SimTime) -> bool {
        let oldest = self.waiting.first_key_value();
        oldest.is_some_and(|((time_ns, ..), _)| SimTime::from_nanos(*time_ns) + time <= now)
    }

    /// Lets everything go and ends the file.
    ///
    /// # Errors
    /// The file cannot be written, or put in order.
    pub(crate) fn finish(mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            self.let_go()?;
        }
        self.flush()?;
        match self.disorder {
            true => self.put_in_order(),
            false => Ok(()),
        }
    }

    fn let_go(&mut self) -> Result<()> {
        let Some((_, event)) = self.waiting.pop_first() else {
            return Ok(());
        };
        let written = event::write_line(&mut self.file, &event);
        written.with_context(|| format!("write {}", self.path.display()))?;
        let place = Some((event.time_ns, event.node.clone()));
        self.disorder |= self.left > place;
        self.left = self.left.take().max(place);
        (self.follower)(Progress::Event(event));
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let flushed = self.file.flush();
        flushed.with_context(|| format!("write {}", self.path.display()))
    }

    /// Writes the file anew, each event in its place.
    fn put_in_order(&self) -> Result<()> {
        let path = &self.path;
        let files = Tree::holding(path);
        let file = files
            .open(path)
            .with_context(|| format!("read {}", path.display()))?;
        let mut events = event::read_all(BufReader::new(file))
            .with_context(|| format!("read {}", path.display()))?;
        events.sort_by(|a, b| (a.time_ns, &a.node).cmp(&(b.time_ns, &b.node)));
        let write = || -> std::io::Result<()> {
            let mut ordered = files.new_file(path)?;
            let mut out = BufWriter::new(&mut ordered);
            let lines = &mut out;
            events
                .iter()
                .try_for_each(|event| event::write_line(lines, event))?;
            out.flush()?;
            drop(out);
            ordered.commit()
        };
        write().with_context(|| format!("write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rundir::EventKind;

    fn event(ms: u64, node: &str) -> Event {
        Event {
            time_ns: ms * 1_000_000,
            node: node.into(),
            kind: EventKind::Ready,
        }
    }

    fn at(ms: u64) -> SimTime {
        SimTime::from_nanos(ms * 1_000_000)
    }

    fn in_file(path: &std::path::Path) -> Vec<(u64, String)> {
        let file = BufReader::new(File::open(path).unwrap());
        let events = event::read_all(file).unwrap().into_iter();
        events.map(|e| (e.time_ns / 1_000_000, e.node)).collect()
    }

    /// Runs `play` on a feed: what the follower saw, and what the file has at the end.
    #[allow(clippy::type_complexity)]
    fn feed(play: impl FnOnce(&mut Feed<'_>)) -> (Vec<(u64, String)>, Vec<(u64, String)>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut seen = Vec::new();
        let mut follower = |progress: Progress| {
            if let Progress::Event(event) = progress {
                seen.push((event.time_ns / 1_000_000, event.node));
            }
        };
        let mut feed = Feed::create(path.clone(), &mut follower).unwrap();
        play(&mut feed);
        feed.finish().unwrap();
        let kept = in_file(&path);
        (seen, kept)
    }

    fn named(events: &[(u64, &str)]) -> Vec<(u64, String)> {
        events.iter().map(|(ms, n)| (*ms, (*n).into())).collect()
    }

    #[test]
    fn events_leave_in_time_order_and_those_of_one_instant_by_node() {
        let (seen, kept) = feed(|feed| {
            feed.push(event(3, "b"));
            feed.push(event(1, "b"));
            feed.push(event(3, "a"));
        });
        let expected = named(&[(1, "b"), (3, "a"), (3, "b")]);
        assert_eq!(seen, expected);
        assert_eq!(kept, expected);
    }

    #[test]
    fn an_event_leaves_when_no_earlier_one_can_be_under_way() {
        let (seen, _) = feed(|feed| {
            assert_eq!(feed.poll_timeout(), None);
            feed.push(event(100, "a"));
            assert_eq!(feed.poll_timeout(), Some(at(100) + LATEST));
            feed.push(event(150, "a"));
            feed.push(event(99, "b"));
            feed.handle_timeout(at(198)).unwrap();
            assert_eq!(in_file(&feed.path), []);
            feed.handle_timeout(at(199)).unwrap();
            assert_eq!(in_file(&feed.path), named(&[(99, "b"), (100, "a")]));
            assert_eq!(feed.poll_timeout(), Some(at(150) + LATEST));
            feed.handle_timeout(at(250)).unwrap();
            assert_eq!(feed.poll_timeout(), None);
        });
        assert_eq!(seen, named(&[(99, "b"), (100, "a"), (150, "a")]));
    }

    #[test]
    fn an_event_that_comes_too_late_has_its_place_in_the_file_at_the_end() {
        let (seen, kept) = feed(|feed| {
            feed.push(event(100, "a"));
            feed.handle_timeout(at(1000)).unwrap();
            feed.push(event(40, "b"));
            feed.push(event(100, "a"));
        });
        assert_eq!(seen, named(&[(100, "a"), (40, "b"), (100, "a")]));
        assert_eq!(kept, named(&[(40, "b"), (100, "a"), (100, "a")]));
    }
}
