//! What stands in other files: traces and movements.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use propagation::import::{self, Format};
use propagation::series;
use propagation::{ParseError, Trace, Waypoint};

use super::Resolver;
use crate::decode::At;
use crate::file::Import;

/// Reads a file that a topology names: its bytes, or why there are none. The name is as the
/// topology has it, relative to the topology's own file. One that ends in `/` is a directory: its
/// bytes are the names of the files in it, a line each.
pub type Loader<'l> = dyn FnMut(&str) -> Result<Vec<u8>, String> + 'l;

/// The movements of one file, or what is wrong with it.
type Nodes = Result<BTreeMap<u32, Vec<Waypoint>>, String>;

/// The waypoints of every step with an `import`, on the scenario's clock, by the step's index.
/// A step whose import failed, which has been reported, is not there.
pub(super) type Imports = BTreeMap<usize, Vec<Waypoint>>;

/// What a file of gzip begins with (RFC 1952 §2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Longest text of a compressed file: more than a million waypoints.
const MAX_UNPACKED: u64 = 128 << 20;

/// The bytes themselves, or what gzip made them from: BonnMotion's own files are compressed.
fn unpacked(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let mut text = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes.as_slice()).take(MAX_UNPACKED + 1);
    reader
        .read_to_end(&mut text)
        .map_err(|error| format!("not unpacked by gzip: {error}"))?;
    if text.len() as u64 > MAX_UNPACKED {
        return Err(format!("more than {} MiB unpacked", MAX_UNPACKED >> 20));
    }
    Ok(text)
}

impl Resolver<'_> {
    /// Reads the file `name`, or says what is wrong.
    fn read<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, ParseError>,
    ) -> Result<T, String> {
        let bytes = (self.files)(name).map_err(|error| format!("cannot read `{name}`: {error}"))?;
        let bytes = unpacked(bytes).map_err(|error| format!("`{name}`: {error}"))?;
        let text = String::from_utf8(bytes).map_err(|_| format!("`{name}` is not UTF-8 text"))?;
        parse(&text).map_err(|error| format!("`{name}`: {error}"))
    }

    /// The trace in the file that `path` names.
    pub(super) fn trace(&mut self, path: &str, file: &At<String>) -> Option<Trace> {
        let trace = self.read(file, Trace::parse);
        trace
            .map_err(|message| self.problem(file.span, format!("`{path}`: {message}")))
            .ok()
    }

    /// The bytes of the file that `path` names.
    pub(crate) fn bytes(&mut self, path: &str, file: &At<String>) -> Option<Vec<u8>> {
        (self.files)(file)
            .map_err(|error| {
                let message = format!("`{path}`: cannot read `{}`: {error}", file.value);
                self.problem(file.span, message);
            })
            .ok()
    }

    /// The bytes of a file, or why there are none.
    pub(crate) fn contents(&mut self, name: &str) -> Result<Vec<u8>, String> {
        (self.files)(name).map_err(|error| format!("cannot read `{name}`: {error}"))
    }

    /// The files of `directory`, which ends in `/`, whose names end in `ending`, in the order of their names, of which
    /// there is one at least.
    pub(crate) fn files_of(
        &mut self,
        directory: &str,
        ending: &str,
    ) -> Result<Vec<String>, String> {
        let names = String::from_utf8(self.contents(directory)?);
        let names = names.map_err(|_| format!("`{directory}` has names that are not UTF-8"))?;
        let files = names.lines().filter(|name| name.ends_with(ending));
        let mut files: Vec<String> = files.map(|name| format!("{directory}{name}")).collect();
        files.sort();
        match files.is_empty() {
            true => Err(format!(
                "`{directory}` has no file whose name ends in `{ending}`"
            )),
            false => Ok(files),
        }
    }

    /// The readings over scenario time in the file that `path` names.
    pub(crate) fn readings(
        &mut self,
        path: &str,
        file: &At<String>,
    ) -> Option<Vec<(Duration, f64)>> {
        let readings = self.read(file, |text| series::parse(text, &series::READINGS));
        readings
            .map_err(|message| self.problem(file.span, format!("`{path}`: {message}")))
            .ok()
    }

    /// Reads every import; each file once.
    pub(super) fn imports(&mut self) -> Imports {
        let topology = self.topology;
        let mut read: BTreeMap<(&str, String), Nodes> = BTreeMap::new();
        let mut imports = Imports::new();
        for (i, step) in topology.scenario.steps.iter().flatten().enumerate() {
            let Some(file) = &step.import else { continue };
            let format: Format = file.format.value;
            let nodes = read
                .entry((file.file.as_str(), format.to_string()))
                .or_insert_with(|| self.read(&file.file, |text| import::parse(format, text)));
            match waypoints(nodes, file) {
                Ok(waypoints) => {
                    let end = topology.scenario.duration.value;
                    imports.insert(i, on_the_clock(waypoints, step.at.value, end));
                }
                Err((at, message)) => {
                    let path = format!("scenario.steps[{i}].import");
                    let (key, span) = at;
                    self.problem(span, format!("`{path}.{key}`: {message}"));
                }
            }
        }
        imports
    }
}

/// The waypoints of one node of a file; or the key that is wrong, and why.
fn waypoints<'n>(
    nodes: &'n Nodes,
    file: &Import,
) -> Result<&'n [Waypoint], ((&'static str, crate::diagnostic::Span), String)> {
    let nodes = nodes
        .as_ref()
        .map_err(|message| (("file", file.file.span), message.clone()))?;
    nodes
        .get(&file.node.value)
        .map(Vec::as_slice)
        .ok_or_else(|| {
            let known = match (nodes.keys().next(), nodes.keys().next_back()) {
                (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
                (Some(only), _) => format!("{only}"),
                (None, _) => "none".to_owned(),
            };
            let message = format!(
                "`{}` has no node {}; it has {known}",
                file.file.value, file.node.value
            );
            (("node", file.node.span), message)
        })
}

/// A file's waypoints on a clock that starts at `start`, up to `end`: the leg that goes on longer
/// is cut there.
fn on_the_clock(waypoints: &[Waypoint], start: Duration, end: Duration) -> Vec<Waypoint> {
    let mut cut: Vec<Waypoint> = Vec::new();
    for waypoint in waypoints {
        let at = start.saturating_add(waypoint.at);
        let position = waypoint.position;
        if at <= end {
            cut.push(Waypoint { at, position });
            continue;
        }
        match cut.last().copied() {
            Some(last) if last.at < end => {
                let share = (end - last.at).as_secs_f64() / (at - last.at).as_secs_f64();
                let position = last.position.toward(position, share).rounded();
                cut.push(Waypoint { at: end, position });
            }
            Some(_) => {}
            // Nothing of it happens before the end: it stands at its first place.
            None => cut.push(Waypoint { at: end, position }),
        }
        break;
    }
    cut
}
