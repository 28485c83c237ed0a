//! Whoever follows the guest of a run: shows how far it is, keeps its events as they come, and holds it to a pace.

use std::fs::File;
use std::io;
use std::time::Instant;

use rundir::{Event, EventKind, RunDir, event};
use testbed::Progress;
use view::Pacer;
use vm::Follow;

use crate::progress::Show;

/// What is done with what a guest tells.
pub struct Follower<'a> {
    show: &'a Show,
    dir: &'a RunDir,
    events: Events,
    pacer: Option<&'a Pacer>,
}

/// `events.jsonl` as far as the run is. The guest's own file takes its place at the end, if it is another one.
enum Events {
    /// There was none yet.
    None,
    /// It is being written.
    Open(File),
    /// It could not be written, which was said.
    Broken,
}

impl<'a> Follower<'a> {
    /// Follows a run into `dir`.
    pub fn new(show: &'a Show, dir: &'a RunDir, pacer: Option<&'a Pacer>) -> Follower<'a> {
        Follower {
            show,
            dir,
            events: Events::None,
            pacer,
        }
    }

    fn keep(&mut self, event: &Event) {
        if let Err(error) = self.write(event) {
            let path = self.dir.events();
            self.show.remark(&format!(
                "{}: {error}: what happens is not there before the end of the run",
                path.display()
            ));
            self.events = Events::Broken;
        }
    }

    /// Whoever reads the file while it grows finds whole lines.
    fn write(&mut self, event: &Event) -> io::Result<()> {
        if let Events::None = self.events {
            self.events = Events::Open(self.dir.files().create(&self.dir.events())?);
        }
        match &mut self.events {
            Events::Open(file) => event::write_line(file, event),
            Events::None | Events::Broken => Ok(()),
        }
    }

    /// Tells the clock how far the run is.
    fn pace(&self, progress: &Progress) {
        let Some(pacer) = self.pacer else {
            return;
        };
        let mut pace = pacer.lock();
        match progress {
            Progress::Event(event) if event.kind == EventKind::ScenarioStarted => {
                pace.start(Instant::now(), event.time_ns);
            }
            Progress::Event(event) => pace.reach_event(event.time_ns),
            Progress::Scenario { at, .. } => pace.reach(*at),
            Progress::Finishing => pace.end(),
            _ => {}
        }
    }
}

impl Follow for Follower<'_> {
    fn progress(&mut self, line: &str) {
        let progress: Progress = match serde_json::from_str(line) {
            Ok(progress) => progress,
            Err(_) => return self.show.stage(line),
        };
        self.show.testbed(&progress);
        self.pace(&progress);
        if let Progress::Event(event) = &progress {
            self.keep(event);
        }
    }

    fn holds(&self) -> bool {
        self.pacer.is_some()
    }

    fn goes_on(&mut self) -> bool {
        self.pacer
            .is_none_or(|pacer| pacer.lock().goes_on(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use view::{Pace, Speed};

    use super::*;

    fn told(follower: &mut Follower<'_>, time_ns: u64, kind: EventKind) {
        let node = "scenario".into();
        let event = Event {
            time_ns,
            node,
            kind,
        };
        let line = serde_json::to_string(&Progress::Event(event)).unwrap();
        follower.progress(&line);
    }

    #[test]
    fn events_are_in_the_file_as_soon_as_they_are_told() {
        let base = tempfile::tempdir().unwrap();
        let dir = RunDir::new(base.path());
        let mut follower = Follower::new(&Show::Nothing, &dir, None);
        follower.progress("a line for people");
        assert!(!dir.events().exists());
        for (number, time_ns) in [(1, 7), (2, 9)] {
            told(&mut follower, time_ns, EventKind::Ready);
            let lines = fs::read_to_string(dir.events()).unwrap();
            assert_eq!(lines.lines().count(), number);
            let last = lines.lines().last().unwrap();
            assert_eq!(
                last,
                format!(r#"{{"time_ns":{time_ns},"node":"scenario","event":"ready"}}"#)
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_does_not_end_the_run() {
        let base = tempfile::tempdir().unwrap();
        let dir = RunDir::new(base.path().join("absent"));
        let mut follower = Follower::new(&Show::Nothing, &dir, None);
        told(&mut follower, 7, EventKind::Ready);
        told(&mut follower, 8, EventKind::Ready);
        assert!(matches!(follower.events, Events::Broken));
    }

    #[test]
    fn the_clock_holds_the_scenario_and_nothing_before_or_after_it() {
        let base = tempfile::tempdir().unwrap();
        let dir = RunDir::new(base.path());
        let pacer = Pacer::new(Pace::new(Some(Speed::REAL), Instant::now()));
        let mut follower = Follower::new(&Show::Nothing, &dir, Some(&pacer));
        told(&mut follower, 500_000_000_000, EventKind::Ready);
        assert!(follower.goes_on());
        told(&mut follower, 600_000_000_000, EventKind::ScenarioStarted);
        let of = Duration::from_secs(3600);
        let line = serde_json::to_string(&Progress::Scenario { at: of, of }).unwrap();
        follower.progress(&line);
        assert!(!follower.goes_on());
        let line = serde_json::to_string(&Progress::Finishing).unwrap();
        follower.progress(&line);
        assert!(follower.goes_on());
    }
}
