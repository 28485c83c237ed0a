//! A run directory, and the files of `wpanlab analyze`.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use capture::{Capture, ReadError, WriteError, Writer};
use rundir::air::Facts;
use rundir::event::{ReadEventsError, read_all};
use rundir::{Event, RunDir, RunFacts};
use topology::Plan;
use topology::plan::NodePlan;
use units::SimTime;
use units::quantity::format_duration;

use crate::analysis::{Analysis, CaptureFile, Options, Source};
use crate::assemble::{InterfaceCapture, build, client_interfaces};
use crate::mobility;
use crate::result::RunResult;
use crate::wireshark;

/// Why a run cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// A file of the run directory cannot be read.
    #[error("{path}: cannot read it: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// `plan.yaml` is not a plan.
    #[error("{path}: {source}")]
    Plan {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: topology::plan::NotAPlan,
    },
    /// `events.jsonl` is not a list of events.
    #[error("{path}: {source}")]
    Events {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ReadEventsError,
    },
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] ReadError),
    /// A result cannot be written.
    #[error("{path}: cannot write it: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Measures a finished run: reads `plan.yaml`, `run.json`, `events.jsonl`, `air.json` if the
/// plan has the per-frame air, and the captures, and writes `result.json` and
/// `captures/all.pcapng`, the events as comments into the captures of the interfaces, and the keys of the plan's
/// security associations for Wireshark.
/// Measuring again gives the same files.
///
/// A run that has an `error.txt` did not come to its end: it is measured as far as it came, did not
/// pass, and says so.
///
/// # Errors
/// A file is missing or cannot be understood, or a result cannot be written. A capture that
/// is damaged further on is no error: the result says so, and what depends on it is not
/// measured.
pub fn run_dir(dir: &RunDir) -> Result<RunResult, MeasureError> {
    let path = dir.plan();
    let text = read(&path, |p| dir.files().read_to_string(p))?;
    let plan = Plan::from_yaml(&text).map_err(|source| MeasureError::Plan { path, source })?;
    let facts = read(&dir.facts(), RunFacts::read)?;
    let events = events(dir)?;
    let air = match &plan.radio.phy {
        Some(_) => Some(read(&dir.air(), Facts::read)?),
        None => None,
    };

    let captures = interface_captures(dir)?;
    for (client, node) in clients(&plan) {
        for interface in client_interfaces(node) {
            if InterfaceCapture::find(&captures, client, interface).is_none() {
                // Says what is wrong with it.
                read_capture(dir, &dir.capture(client, interface))?;
            }
        }
    }
    let mut result = build(&plan, &facts, &events, &captures, air.as_ref());
    if let Some(why) = ended_early(dir)? {
        result.passed = false;
        result.partial = Some(format!("{why}; {}", how_far(&plan, &events, &captures)));
    }
    mark_captures(dir, captures, &events)?;
    let associations = wireshark::associations(&plan);
    if !associations.is_empty() {
        write(dir, dir.wireshark_associations(), &associations)?;
        write(dir, dir.wireshark_preferences(), wireshark::PREFERENCES)?;
    }
    write(dir, dir.result(), &result.to_json())?;
    Ok(result)
}

fn write(dir: &RunDir, path: PathBuf, text: &str) -> Result<(), MeasureError> {
    let written = dir.files().replace(&path, text.as_bytes());
    written.map_err(|source| MeasureError::Write { path, source })
}

/// Analyses capture files (`-` is standard input); several are taken as views of the same network.
/// What cannot be read, a file or the rest of one, comes back beside the analysis of everything
/// else.
pub fn analyze(files: &[PathBuf], options: &Options) -> (Analysis, Vec<ReadError>) {
    let mut captures = Vec::new();
    let mut unread = Vec::new();
    for file in files {
        match CaptureFile::open(file) {
            Ok(capture) => captures.push(capture),
            Err(error) => unread.push(error),
        }
    }
    let sources: Vec<&dyn Source> = captures.iter().map(|file| file as &dyn Source).collect();
    let analysis = Analysis::of_sources(&sources, options);
    unread.extend(captures.into_iter().filter_map(CaptureFile::into_damage));
    (analysis, unread)
}

/// Why a run did not come to its end; none if it did.
fn ended_early(dir: &RunDir) -> Result<Option<String>, MeasureError> {
    let path = dir.error();
    match dir.files().read_to_string(&path) {
        Ok(why) => Ok(Some(why.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(MeasureError::Read { path, source }),
    }
}

/// How far the scenario came, as the last event or packet tells.
fn how_far(plan: &Plan, events: &[Event], captures: &[InterfaceCapture]) -> String {
    let of = format_duration(plan.scenario.duration);
    let last = events
        .iter()
        .map(|event| SimTime::from_nanos(event.time_ns))
        .max();
    match (mobility::scenario_start(events), last) {
        (Some(start), Some(last)) => {
            let packets = captures.iter().flat_map(|c| &c.capture.packets);
            let (what, last) = match packets.map(|packet| packet.time).max() {
                Some(packet) if packet > last => ("packet", packet),
                _ => ("event", last),
            };
            let at = last.saturating_since(start).as_secs_f64();
            format!("the last {what} of its {of} is at {at:.3} s")
        }
        _ => format!("its scenario of {of} had not begun"),
    }
}

fn clients(plan: &Plan) -> impl Iterator<Item = (&str, &NodePlan)> {
    let nodes = plan.nodes.iter();
    nodes
        .filter(|(_, node)| node.asks() || node.http_clients().next().is_some())
        .map(|(name, node)| (name.as_str(), node))
}

fn events(dir: &RunDir) -> Result<Vec<Event>, MeasureError> {
    let path = dir.events();
    let file = read(&path, |p| dir.files().open(p))?;
    read_all(BufReader::new(file)).map_err(|source| MeasureError::Events { path, source })
}

/// Reads a capture of the run directory whole, see [`capture::read`].
///
/// # Errors
/// It is no regular file, is not there, or is not a capture.
pub fn read_capture(dir: &RunDir, path: &Path) -> Result<Capture, ReadError> {
    let file = path.display().to_string();
    match dir.files().open(path) {
        Ok(input) => Capture::from_reader(file, BufReader::new(input)),
        Err(source) => Err(ReadError::Open { file, source }),
    }
}

fn read<T>(path: &Path, how: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, MeasureError> {
    how(path).map_err(|source| MeasureError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The captures of all interfaces, by file name. That of the air is no interface's: its frames
/// are in the others already, and its comments say what became of them.
fn interface_captures(dir: &RunDir) -> Result<Vec<InterfaceCapture>, MeasureError> {
    let mut captures = Vec::new();
    for path in capture_files(&dir.captures())? {
        let stem = path.file_stem().map(OsStr::to_string_lossy);
        let stem = stem.unwrap_or_default();
        let Some((node, interface)) = stem.rsplit_once('.') else {
            continue; // Of the air, or all of them merged.
        };
        let mut capture = read_capture(dir, &path)?;
        capture.name = stem.clone().into_owned();
        // The only comments in these captures are those of an earlier measurement.
        capture.packets.iter_mut().for_each(|p| p.comment = None);
        captures.push(InterfaceCapture {
            node: node.to_owned(),
            interface: interface.to_owned(),
            capture,
        });
    }
    Ok(captures)
}

/// Merges the captures with the events as marks, and writes the marks as comments into each.
fn mark_captures(
    dir: &RunDir,
    captures: Vec<InterfaceCapture>,
    events: &[Event],
) -> Result<(), MeasureError> {
    let marks = mobility::marks(events);
    let paths: Vec<PathBuf> = captures
        .iter()
        .map(|c| dir.capture(&c.node, &c.interface))
        .collect();
    let captures: Vec<Capture> = captures.into_iter().map(|c| c.capture).collect();
    write_capture(
        dir,
        &dir.merged_capture(),
        &capture::merge(&captures, &marks),
    )?;
    for (path, mut capture) in paths.into_iter().zip(captures) {
        // A damaged file stays as it is: evidence.
        if capture.damage.is_none() {
            capture::annotate(&mut capture.packets, &marks);
            write_capture(dir, &path, &capture)?;
        }
    }
    Ok(())
}

/// The pcapng files of a directory in the order of their names.
fn capture_files(dir: &Path) -> Result<Vec<PathBuf>, MeasureError> {
    let entries = read(dir, |p| fs::read_dir(p))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = read(dir, |_| entry)?.path();
        if path.extension() == Some(OsStr::new("pcapng")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Writes a capture file, or leaves the one that is there.
fn write_capture(dir: &RunDir, path: &Path, capture: &Capture) -> Result<(), MeasureError> {
    let write = || -> Result<(), WriteError> {
        let mut file = dir.files().new_file(path).map_err(WriteError::Io)?;
        let mut writer = Writer::new(BufWriter::new(&mut file), &capture.interfaces)?;
        for packet in &capture.packets {
            writer.write(packet)?;
        }
        writer.finish()?;
        file.commit().map_err(WriteError::Io)
    };
    write().map_err(|error| MeasureError::Write {
        path: path.to_owned(),
        source: match error {
            WriteError::Io(source) => source,
            other => io::Error::other(other),
        },
    })
}
