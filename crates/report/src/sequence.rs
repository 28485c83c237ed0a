//! Message sequences of a run: read out of its captures, and written as text, as Mermaid and, by
//! [`SequenceChart`], as SVG.
//!
//! Names and labels come from captures, and are anybody's. Each of the three escapes them by its own rules; [`plain`]
//! takes out before what none of them could show.
//!
//! | module | holds |
//! | --- | --- |
//! | [`text`] | for a terminal |
//! | [`mermaid`] | for whatever draws Mermaid |

pub mod mermaid;
pub mod text;

use std::io;

use measure::mobility::NodeHandover;
use measure::read_capture;
use measure::sequence::{Band, Fate, Message, Reader, Sequence, Stretch};
use rundir::{Event, RunDir};
use topology::Plan;
use topology::plan::NodeName;

use crate::chart::sequence::SequenceChart;
use crate::chart::{WIDE, clean};
use crate::figure::{PHASES, phase_name};
use crate::load::not_understood;

/// Reads the captures of a run's interfaces, and what of them there is not.
///
/// A capture that is not there is no problem: what became of messages on their way to it is not known then. Of each
/// stretch the first `frames` frames are listed.
pub fn read<'p>(
    dir: &RunDir,
    plan: &'p Plan,
    events: &[Event],
    stretches: Vec<Stretch>,
    exchanges: bool,
    frames: usize,
) -> (Reader<'p>, Vec<String>) {
    let mut reader = Reader::new(plan, events, stretches, exchanges).listing(frames);
    let mut problems = Vec::new();
    reader.read(|node, interface| {
        let path = dir.capture(node, interface);
        let (capture, problem) = match read_capture(dir, &path) {
            Ok(capture) => {
                let damage = capture.damage.as_ref();
                let damage = damage.map(|damage| not_understood(&path, damage));
                (Some(capture), damage)
            }
            Err(error) if is_missing(&error) => (None, None),
            Err(error) => (None, Some(not_understood(&path, &error))),
        };
        let is_new = |problem: &String| !problems.contains(problem);
        problems.extend(problem.filter(is_new));
        capture
    });
    (reader, problems)
}

fn is_missing(error: &capture::ReadError) -> bool {
    match error {
        capture::ReadError::Open { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// The handover `number`, of `node` if it is told.
///
/// # Errors
/// There is none, or there are several: a sentence that says so, and which there are.
pub fn handover<'r>(
    records: &'r [NodeHandover],
    number: u32,
    node: Option<&NodeName>,
) -> Result<&'r NodeHandover, String> {
    let of_node = |r: &&NodeHandover| node.is_none_or(|node| r.node == *node);
    let found: Vec<&NodeHandover> = (records.iter().filter(of_node))
        .filter(|r| r.number == number && r.started.is_some())
        .collect();
    match found[..] {
        [one] => Ok(one),
        [] => {
            let of = node.map_or_else(String::new, |node| format!(" of {node}"));
            let most = records.iter().filter(of_node).map(|r| r.number).max();
            let has = most.map_or("it has none".into(), |n| format!("they are 1 to {n}"));
            Err(format!("the run has no handover {number}{of}: {has}"))
        }
        [first, ..] => Err(match found.iter().all(|r| r.node == first.node) {
            true => format!(
                "{} has several handovers {number}, as it was started again: give --from and --to",
                first.node
            ),
            false => {
                let nodes: Vec<&str> = found.iter().map(|r| r.node.as_str()).collect();
                format!(
                    "{} have a handover {number}: give one of them with --node",
                    nodes.join(", ")
                )
            }
        }),
    }
}

/// A sequence as a chart, with the colours of the phases.
pub fn chart(sequence: Sequence) -> SequenceChart {
    let colour = |band: &Band| {
        let mut known = PHASES.into_iter();
        let known = known.find(|(phase, ..)| phase_name(phase) == band.name);
        let sum = || band.name.bytes().map(usize::from).sum::<usize>();
        known.map_or_else(|| sum() % crate::chart::COLOURS, |(_, colour, _)| colour)
    };
    SequenceChart {
        colours: sequence.bands.iter().map(colour).collect(),
        sequence,
    }
}

/// Width of a file with so many lifelines, in pixels.
fn width(lifelines: usize) -> f64 {
    WIDE.max(90.0 + 110.0 * lifelines as f64)
}

/// A sequence as an SVG file.
pub fn svg(sequence: Sequence, title: &str) -> String {
    let width = width(sequence.lifelines.len());
    let title = match left_out(&sequence) {
        Some(more) => format!("{title} ({more})"),
        None => title.to_owned(),
    };
    chart(sequence).draw(width).file(&plain(&title))
}

/// `12 more messages are left out`, if some are.
pub fn left_out(sequence: &Sequence) -> Option<String> {
    match sequence.left_out {
        0 => None,
        1 => Some("1 more message is left out".into()),
        n => Some(format!("{n} more messages are left out")),
    }
}

/// A row of a sequence that has one for each message.
enum Row<'s> {
    Message(&'s Message),
    /// A band begins or ends.
    Band(&'s str, &'static str),
}

/// Messages, and the ends of bands, in the order of time.
fn rows(sequence: &Sequence) -> Vec<(f64, Row<'_>)> {
    let messages = sequence.messages.iter();
    let messages = messages.map(|message| (message.first_s(), Row::Message(message)));
    let bands = sequence.bands.iter().flat_map(|band| {
        let name = band.name.as_str();
        [
            (band.from_s, Row::Band(name, "begins")),
            (band.to_s, Row::Band(name, "ends")),
        ]
    });
    let mut rows: Vec<(f64, Row<'_>)> = bands.chain(messages).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    rows
}

/// An instant since the beginning of the sequence.
fn ms(seconds: f64, sequence: &Sequence) -> String {
    format!("{:.3} ms", (seconds - sequence.start_s) * 1e3)
}

/// All that is known of a message, in one line.
pub fn hint(sequence: &Sequence, message: &Message) -> String {
    let name = |lifeline: usize| sequence.lifelines.get(lifeline).map_or("?", |n| n);
    let at = |seconds: f64| ms(seconds, sequence);
    let protocol = message.protocol.as_ref();
    let protocol = protocol.map_or_else(String::new, |p| format!(" ({})", p.label()));
    let sent = message.sent_s.map_or_else(|| "not seen there".into(), at);
    let ends = message.to.iter().map(|end| {
        let what = match end.fate {
            Fate::Received(time) => format!("received {}", at(time)),
            Fate::Lost(None) => "lost".into(),
            Fate::Lost(Some((by, time))) => format!("lost, last seen by {} {}", name(by), at(time)),
            Fate::Unknown => "not captured there".into(),
        };
        format!("{}, {what}", name(end.lifeline))
    });
    let ends = ends.collect::<Vec<_>>().join("; ");
    let text = format!(
        "{}{protocol}: from {}, {sent}, to {ends}",
        message.label,
        name(message.from)
    );
    plain(&text)
}

/// `text` in one line, without characters that a reader does not see or that turn the others around.
pub fn plain(text: &str) -> String {
    let is_shown = |c: char| {
        let is_format = matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}');
        !c.is_control() && !is_format
    };
    let one = |c: char| if is_shown(c) { c } else { '\u{fffd}' };
    clean(&text.chars().map(one).collect::<String>())
}

#[cfg(test)]
pub(crate) mod tests;
