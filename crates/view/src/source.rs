//! The directory of a run, whose files may grow, be replaced, or be something else than they are called.

use std::fs::{File, Metadata};
use std::io::{self, BufReader};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use capture::Reader;
use measure::RunResult;
use rundir::written::PAGE;
use rundir::{Made, RunDir, SweepDir};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use topology::Plan;

use crate::fixed;
use crate::frames::Frames;
use crate::index::Index;
use crate::intervention::{Intervention, Steering};
use crate::pace::{Pacer, Told};

/// Bytes of the events that are read at a time: a line fits.
const SLICE: usize = 2 << 20;

/// Frames of the air that are read at a time.
const FRAMES: usize = 20_000;

/// What of `error.txt` is shown, bytes.
const MOST_OF_ERROR: usize = 4096;

/// Why a directory is not shown.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is a sweep's.
    #[error("{}: it is a sweep; give one of its runs, such as {}", dir.display(), dir.join(SweepDir::run_name(1, 1)).display())]
    Sweep {
        /// It.
        dir: PathBuf,
    },
    /// A file is missing, or is none.
    #[error("{}: {source}: give the directory that `wpanlab run` wrote", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// `plan.yaml` is no plan.
    #[error("{}: {source}", file.display())]
    Plan {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: topology::plan::NotAPlan,
    },
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "condition", content = "why", rename_all = "lowercase")]
pub enum Condition {
    /// There is neither a result nor an error: it goes on, or was killed.
    Growing,
    /// It has a result.
    Finished,
    /// It did not come to its end, and what there is was measured; why.
    Partial(String),
    /// It did not come to its end; why.
    Failed(String),
}

/// How much of a run there is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Extent {
    /// Raised whenever the events are others than they were.
    pub generation: u64,
    /// How many events are known.
    pub count: u64,
    /// The instant of the first event, Unix time in nanoseconds, as text: it has more digits than a page's numbers.
    pub first_ns: Option<String>,
    /// When the scenario started, nanoseconds after the first event.
    pub start_ns: Option<u64>,
    /// The last instant that is known, likewise.
    pub end_ns: u64,
    /// The scenario came to its end.
    pub ended: bool,
    /// Everything that is there has been read.
    pub read: bool,
    /// How many handovers were begun.
    pub handovers: u64,
    /// How many of those that are listed have ended.
    pub ended_handovers: u64,
    /// What became of it.
    #[serde(flatten)]
    pub condition: Condition,
    /// What cannot be read, and why.
    pub problems: Vec<String>,
    /// There is a `report.html`.
    pub report: bool,
    /// By what clock it goes on, if it is held by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace: Option<Told>,
    /// Steps can be added to its scenario.
    pub steps: bool,
    /// The command that has it again.
    pub command: Option<String>,
}

impl Extent {
    /// The same without what changes all the time: how far the clock is that holds the run.
    pub fn without_clock(self) -> Extent {
        let pace = self.pace.map(|told| Told {
            at_ns: 0,
            reached_ns: 0,
            ..told
        });
        Extent { pace, ..self }
    }
}

/// By what a file is known to be the one that it was.
type Stamp = (u64, u64, u64, i64, i64);

fn stamp(of: &Metadata) -> Stamp {
    (of.dev(), of.ino(), of.len(), of.mtime(), of.mtime_nsec())
}

/// How far the capture of the air is read. It is there when the run is over.
enum Air {
    /// Not at all.
    Unread,
    /// So far.
    Reading(Reader<BufReader<File>>),
    /// There is nothing to read, or no more.
    Read,
}

/// A run directory as far as it has been read.
pub struct Source {
    dir: RunDir,
    plan: Value,
    names: Vec<String>,
    air: Air,
    /// Why its capture is not read to its end.
    unread_air: Option<String>,
    frames: Frames,
    index: Index,
    events: Option<File>,
    generation: u64,
    is_read: bool,
    result: Option<Value>,
    /// Why there is none although there is a file of it.
    unread_result: Option<String>,
    condition: Condition,
    /// What is wrong with a file other than the events' lines.
    problems: Vec<String>,
    has_report: bool,
    steering: Steering,
    /// The command that has it again.
    command: Option<String>,
    plan_stamp: Option<Stamp>,
    end_stamps: [Option<Stamp>; 2],
    slice: Vec<u8>,
}

impl Source {
    /// The run in `dir`. Of its events nothing is read yet.
    ///
    /// # Errors
    /// It is the directory of a sweep, or of no run: it has no `plan.yaml`, or one of its files is a symbolic link, a
    /// device or the like.
    pub fn open(dir: &Path) -> Result<Source, OpenError> {
        let sweep = SweepDir::new(dir);
        if sweep.files().open(&sweep.manifest()).is_ok() {
            return Err(OpenError::Sweep { dir: dir.into() });
        }
        let dir = RunDir::new(dir);
        let (plan, plan_stamp) = read_plan(&dir)?;
        for file in [dir.events(), dir.result(), dir.error()] {
            match dir.files().open(&file) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(OpenError::File { file, source });
                }
                _ => {}
            }
        }
        let names: Vec<String> = plan.nodes.keys().cloned().collect();
        let mut source = Source {
            plan: fixed::plan(&name_of(dir.root()), &plan),
            index: Index::new(names.iter().cloned()),
            names,
            air: Air::Unread,
            unread_air: None,
            frames: Frames::new(&plan),
            dir,
            events: None,
            generation: 0,
            is_read: false,
            result: None,
            unread_result: None,
            condition: Condition::Growing,
            problems: Vec::new(),
            has_report: false,
            steering: Steering::default(),
            command: None,
            plan_stamp,
            end_stamps: [None; 2],
            slice: vec![0; SLICE],
        };
        source.look();
        Ok(source)
    }

    /// The same of a run that people who look at it can steer.
    pub fn steered(self, steering: Steering) -> Source {
        Source { steering, ..self }
    }

    /// Whom to tell what is to happen in it.
    pub fn interventions(&self) -> Option<mpsc::Sender<Intervention>> {
        self.steering.interventions.clone()
    }

    /// The clock that holds it while it goes on.
    pub fn pacer(&self) -> Option<&Pacer> {
        let growing = self.condition == Condition::Growing;
        self.steering.pacer.as_ref().filter(|_| growing)
    }

    /// Looks what files there are now: to be called now and then.
    pub fn look(&mut self) {
        self.problems.clear();
        self.command = Made::read(&self.dir.made())
            .ok()
            .and_then(|made| made.again);
        self.look_at_plan();
        // What became of the run comes before its events: those are all there once it ended.
        self.look_at_end();
        self.look_at_events();
        let page = self.dir.root().join(PAGE);
        self.has_report = self.dir.files().open(&page).is_ok();
    }

    fn look_at_plan(&mut self) {
        let path = self.dir.plan();
        let now = self.dir.files().open(&path).and_then(|f| f.metadata());
        if now.is_ok_and(|now| Some(stamp(&now)) == self.plan_stamp) {
            return;
        }
        match read_plan(&self.dir) {
            Ok((plan, stamp)) => {
                self.plan = fixed::plan(&name_of(self.dir.root()), &plan);
                self.names = plan.nodes.keys().cloned().collect();
                self.frames = Frames::new(&plan);
                self.plan_stamp = stamp;
                self.begin_again();
            }
            Err(error) => self.problems.push(error.to_string()),
        }
    }

    fn look_at_end(&mut self) {
        let files = [self.dir.result(), self.dir.error()];
        let stamps = files.each_ref().map(|path| {
            let open = self.dir.files().open(path);
            open.and_then(|f| f.metadata()).ok().map(|m| stamp(&m))
        });
        if stamps == self.end_stamps {
            return;
        }
        self.end_stamps = stamps;
        // The events may have grown since they were read to their end.
        self.is_read = false;
        self.result = None;
        self.unread_result = None;
        self.air = Air::Unread;
        self.frames.clear();
        self.condition = self.end(stamps[0].is_some(), stamps[1].is_some());
    }

    /// What became of it, by the files that are there.
    fn end(&mut self, has_result: bool, has_error: bool) -> Condition {
        if has_result {
            let read = self.dir.files().read(&self.dir.result());
            let parsed = read.and_then(|bytes| Ok(serde_json::from_slice::<RunResult>(&bytes)?));
            match parsed {
                Ok(result) => {
                    self.result = Some(fixed::result(&result));
                    return result
                        .partial
                        .map_or(Condition::Finished, Condition::Partial);
                }
                Err(error) => {
                    self.unread_result = Some(format!("result.json cannot be understood: {error}"));
                    return Condition::Finished;
                }
            }
        }
        if !has_error {
            return Condition::Growing;
        }
        let text = self.dir.files().read(&self.dir.error());
        let text = text.map(|bytes| {
            let some = &bytes[..bytes.len().min(MOST_OF_ERROR)];
            String::from_utf8_lossy(some).trim().to_owned()
        });
        Condition::Failed(text.unwrap_or_else(|error| format!("error.txt: {error}")))
    }

    fn look_at_events(&mut self) {
        let path = self.dir.events();
        let opened = (self.dir.files().open(&path)).and_then(|file| {
            let now = file.metadata()?;
            Ok((file, now))
        });
        let (file, now) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if self.events.take().is_some() {
                    self.begin_again();
                }
                if error.kind() != io::ErrorKind::NotFound {
                    self.problems.push(format!("events.jsonl: {error}"));
                }
                self.is_read = true;
                return;
            }
        };
        let before = self.events.as_ref().and_then(|file| file.metadata().ok());
        let is_same = before.is_some_and(|b| (b.dev(), b.ino()) == (now.dev(), now.ino()));
        if !is_same || now.len() < self.index.end().place.offset {
            if self.events.is_some() {
                self.begin_again();
            }
            self.events = Some(file);
        }
    }

    fn begin_again(&mut self) {
        self.index = Index::new(self.names.iter().cloned());
        self.generation += 1;
        self.is_read = false;
    }

    /// Reads on in the events, and behind them in the capture of the air, some megabytes at most; says whether there
    /// is more at once.
    pub fn read_on(&mut self) -> bool {
        self.read_events() || self.read_air()
    }

    /// Whether there is more at once.
    fn read_air(&mut self) -> bool {
        match &mut self.air {
            Air::Read => false,
            Air::Unread if self.condition == Condition::Growing => false,
            Air::Unread => {
                self.air = self.open_air();
                true
            }
            Air::Reading(reader) => {
                for _ in 0..FRAMES {
                    let packet = match reader.next() {
                        Some(Ok(packet)) => packet,
                        end => {
                            let error = end.and_then(Result::err);
                            self.unread_air = error.map(|error| error.to_string());
                            self.air = Air::Read;
                            return false;
                        }
                    };
                    let interface = reader.interfaces().get(packet.interface);
                    if let Some(interface) = interface {
                        self.frames.take(interface.link_type, &packet);
                    }
                }
                true
            }
        }
    }

    /// Without a capture there are no frames to see, and who asks for them is told so.
    fn open_air(&mut self) -> Air {
        let name = "captures/air.pcapng";
        let path = self.dir.air_capture();
        let opened = match self.dir.files().open(&path) {
            Ok(file) => {
                let input = BufReader::with_capacity(1 << 16, file);
                Reader::new(name, input).map_err(|error| error.to_string())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Air::Read,
            Err(error) => Err(format!("{name}: {error}")),
        };
        match opened {
            Ok(reader) => Air::Reading(reader),
            Err(error) => {
                self.unread_air = Some(error);
                Air::Read
            }
        }
    }

    /// The frames on the air, and whether they are all that there are.
    pub fn frames(&self) -> (&Frames, bool) {
        (&self.frames, matches!(self.air, Air::Read))
    }

    /// Whether there is more at once.
    fn read_events(&mut self) -> bool {
        let Some(file) = &self.events else {
            return false;
        };
        if self.index.problem().is_some() {
            // What is behind the line that is wrong is not read.
            self.is_read = true;
            return false;
        }
        let offset = self.index.end().place.offset;
        let read = match fill(file, &mut self.slice, offset) {
            Ok(read) => read,
            Err(error) => {
                self.problems.push(format!("events.jsonl: {error}"));
                self.is_read = true;
                return false;
            }
        };
        let taken = self.index.take(&self.slice[..read]);
        if read == SLICE && self.index.problem().is_none() {
            return true;
        }
        if self.condition != Condition::Growing {
            self.index.take_last(&self.slice[taken..read]);
        }
        self.is_read = true;
        false
    }

    /// How much there is.
    pub fn extent(&self) -> Extent {
        let index = &self.index;
        let since = |time_ns: u64| time_ns.saturating_sub(index.first_ns().unwrap_or_default());
        let (listed, more) = index.handovers();
        let broken = index
            .problem()
            .map(|what| format!("events.jsonl: {what}. What is before it is shown"));
        let broken = broken.into_iter().chain(self.doubts());
        let unread = self.unread_result.iter().chain(&self.unread_air);
        let problems = self.problems.iter().chain(unread).cloned();
        Extent {
            generation: self.generation,
            count: index.end().place.number,
            first_ns: index.first_ns().map(|first| first.to_string()),
            start_ns: index.start_ns().map(since),
            end_ns: since(index.end().place.time_ns),
            ended: index.has_ended(),
            read: self.is_read,
            handovers: listed.len() as u64 + more,
            ended_handovers: index.ended_handovers(),
            condition: self.condition.clone(),
            problems: problems.chain(broken).collect(),
            report: self.has_report,
            pace: (self.pacer()).map(|pacer| pacer.lock().told(Instant::now())),
            steps: self.steering.interventions.is_some(),
            command: self.command.clone(),
        }
    }

    /// What a run that came to its end does not leave so.
    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.condition != Condition::Finished || !self.is_read {
            return doubts;
        }
        if self.index.problem().is_none() && self.index.end().place.number == 0 {
            let is_there = if self.events.is_some() {
                "empty"
            } else {
                "not there"
            };
            doubts.push(format!(
                "events.jsonl is {is_there}: what happened in the run is not shown"
            ));
        }
        if let Some(line) = self.index.late() {
            doubts.push(format!(
                "events.jsonl: line {line} is earlier than one before it: states from there on are those after the later one"
            ));
        }
        doubts
    }

    /// What of the plan is drawn.
    pub fn plan(&self) -> &Value {
        &self.plan
    }

    /// What of the result is listed, if there is one.
    pub fn result(&self) -> Option<&Value> {
        self.result.as_ref()
    }

    /// What has been read of the events.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The events again, from anywhere; none if there are none.
    pub fn events(&self) -> Option<&File> {
        self.events.as_ref()
    }

    /// The bytes of `report.html`.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn report(&self) -> io::Result<Vec<u8>> {
        self.dir.files().read(&self.dir.root().join(PAGE))
    }
}

fn read_plan(dir: &RunDir) -> Result<(Plan, Option<Stamp>), OpenError> {
    let file = dir.plan();
    let read = || {
        let now = dir.files().open(&file)?.metadata()?;
        Ok((dir.files().read_to_string(&file)?, stamp(&now)))
    };
    match read() {
        Ok((text, stamp)) => match Plan::from_yaml(&text) {
            Ok(plan) => Ok((plan, Some(stamp))),
            Err(source) => Err(OpenError::Plan { file, source }),
        },
        Err(source) => Err(OpenError::File { file, source }),
    }
}

/// As many bytes as there are from `offset` on, and fit.
fn fill(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What the directory is called, by whatever way it is reached.
fn name_of(dir: &Path) -> String {
    let whole = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = whole.file_name().unwrap_or(whole.as_os_str());
    name.to_string_lossy().into_owned()
}
