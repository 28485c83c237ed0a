//! Message sequences: of handovers, and of the first exchange of each kind.

use std::collections::BTreeSet;

use measure::mobility::NodeHandover;
use measure::result::Handover;
use measure::sequence::{FirstExchange, FrameList, MOST_KINDS, Sequence, Stretch, phases};
use rundir::RunDir;
use topology::Plan;
use topology::plan::NodeName;
use units::SimTime;

use super::handover::number;
use super::{Block, Chart, Figure, Section};
use crate::load::Run;
use crate::sequence::{chart, left_out, plain};

/// As many handovers have a sequence; of more, the slowest.
pub const HANDOVERS: usize = 8;
/// Messages of a handover that are drawn.
const MESSAGES: usize = 60;
/// As many kinds of exchanges are drawn.
const KINDS: usize = 16;
/// As many of them are open at first.
const OPEN: usize = 3;
/// Messages of an exchange that are drawn.
const OF_EXCHANGE: usize = 24;
/// Frames of a handover that are listed.
const FRAMES: usize = 24;

/// The sequences of a run.
#[derive(Debug, Default)]
pub struct Sequences {
    /// Of handovers, by the node and when it started, in nanoseconds of Unix time.
    handovers: Vec<((NodeName, SimTime), Sequence)>,
    /// The frames of the same handovers, in the same order.
    frames: Vec<Listed>,
    exchanges: Vec<FirstExchange>,
    /// Whether any capture was read.
    is_read: bool,
}

/// The frames of a handover.
#[derive(Debug)]
pub struct Listed {
    /// The handover by the node's own account.
    pub record: NodeHandover,
    /// From this instant on.
    pub from: SimTime,
    /// Until this one, which belongs to it.
    pub to: SimTime,
    /// The first of them.
    pub list: FrameList,
}

impl Sequences {
    /// The frames of handovers, in the order of time.
    pub fn frames(&self) -> Vec<&Listed> {
        let mut frames: Vec<&Listed> = self.frames.iter().collect();
        frames.sort_by_key(|listed| listed.from);
        frames
    }

    /// Reads the captures of `dir` for the sequences of the run, of which everything else is known. What cannot be
    /// read is a sentence, if the run does not have that already.
    pub fn read(dir: &RunDir, plan: &Plan, run: &Run) -> (Sequences, Vec<String>) {
        let events = run.events.as_deref().unwrap_or_default();
        let handovers = run.result.handovers.iter().flatten();
        let mut known = BTreeSet::new();
        let records = handovers.filter_map(|handover| {
            let record = run.record(handover)?;
            let key = (record.node.clone(), record.started?);
            let delay = handover.delay_s.unwrap_or(f64::INFINITY);
            known
                .insert(key.clone())
                .then_some((delay, key, record, handover))
        });
        let mut records: Vec<_> = records.collect();
        records.sort_by(|a, b| b.0.total_cmp(&a.0));
        let wanted = records
            .into_iter()
            .filter_map(|(_, key, record, handover)| {
                Some((key, record, stretch(run, record, handover)?))
            });
        let wanted: Vec<_> = wanted.take(HANDOVERS).collect();
        let stretches = wanted.iter().map(|(.., stretch)| stretch.clone()).collect();
        let (reader, unread) = crate::sequence::read(dir, plan, events, stretches, true, FRAMES);
        let new = unread
            .into_iter()
            .filter(|unread| !run.problems.contains(unread));
        let new = new.collect();
        let listed = reader.frames().into_iter().zip(&wanted);
        let listed = listed.map(|(list, (_, record, stretch))| Listed {
            record: (*record).clone(),
            from: stretch.from,
            to: stretch.to,
            list,
        });
        let frames = listed.collect();
        let sequences = reader.sequences().into_iter().zip(wanted);
        let handovers = sequences.map(|(mut sequence, (key, record, _))| {
            sequence.bands = phases(record, |time| reader.seconds(time));
            (key, sequence)
        });
        let sequences = Sequences {
            handovers: handovers.collect(),
            frames,
            exchanges: reader.first_exchanges(OF_EXCHANGE),
            is_read: reader.has_read(),
        };
        (sequences, new)
    }
}

/// A handover by both accounts: its phases, and the gap in the capture of who asks.
fn stretch(run: &Run, record: &NodeHandover, handover: &Handover) -> Option<Stretch> {
    let mut stretch = Stretch::of_handover(record, SimTime::ZERO, MESSAGES)?;
    let start_s = run.seconds(stretch.from);
    let at = |seconds: f64| {
        // From an instant that both accounts have.
        let nanos = ((seconds - start_s) * 1e9).round() as i64;
        SimTime::from_nanos(stretch.from.as_nanos().saturating_add_signed(nanos))
    };
    let before = handover.last_before.map(|r| at(r.time_s));
    let after = handover.first_after.map(|r| at(r.time_s));
    stretch.from = before.map_or(stretch.from, |before| before.min(stretch.from));
    stretch.to = after.map_or(stretch.to, |after| after.max(stretch.to));
    Some(stretch)
}

/// The sequence of a handover, unless another handover of the result, of another client, has had it.
pub fn of_handover(run: &Run, i: usize, handover: &Handover) -> Option<Block> {
    let record = run.record(handover)?;
    let key = (record.node.clone(), record.started?);
    let handovers = run.result.handovers.iter().flatten();
    let same = |h: &Handover| h.node == handover.node && h.started_s == handover.started_s;
    let is_first = handovers.take(i).all(|h| !same(h));
    let found = run.sequences.handovers.iter().find(|(of, _)| *of == key);
    let (_, sequence) = found.filter(|_| is_first)?;
    let about = format!(
        "What {} sent and received, and signalling about it. Time 0 is {:.3} s of the scenario.",
        handover.node, sequence.start_s
    );
    Some(figure(
        format!("sequence-{}", i + 1),
        format!(
            "Messages of handover {} of {}",
            number(handover),
            handover.node
        ),
        &about,
        sequence,
    ))
}

/// The section of the exchanges.
pub fn section(run: &Run) -> Section {
    let all = &run.sequences.exchanges;
    let mut blocks = Vec::new();
    if !run.sequences.is_read {
        blocks.push(Block::Missing(
            "Message sequences: there is no capture of an interface.".into(),
        ));
    } else if all.is_empty() {
        blocks.push(Block::Text(
            "The captures show no exchange of CoAP between nodes of the plan.".into(),
        ));
    } else {
        let drawn = all.len().min(KINDS);
        let at_least = if all.len() < MOST_KINDS {
            ""
        } else {
            "at least "
        };
        let of = match all.len() > drawn {
            true => format!(
                "Of {at_least}{} kinds {drawn} are drawn, first those of different names: ",
                all.len()
            ),
            false => String::new(),
        };
        blocks.push(Block::Text(format!(
            "{of}of each client, server and what it asks for, the first exchange that was answered. wpanlab sequence draws any other stretch of the run."
        )));
    }
    for (at, first) in all.iter().take(KINDS).enumerate() {
        let title = plain(&format!(
            "{}: {} asks {}",
            first.name, first.client, first.server
        ));
        let about = format!("Time 0 is {:.3} s of the scenario.", first.sequence.start_s);
        let block = figure(
            format!("exchange-{}", at + 1),
            title.clone(),
            &about,
            &first.sequence,
        );
        blocks.push(match at < OPEN {
            true => block,
            false => Block::Folded(title, vec![block]),
        });
    }
    Section {
        id: "exchanges",
        title: "Message sequences",
        blocks,
    }
}

fn figure(id: String, title: String, about: &str, sequence: &Sequence) -> Block {
    let more = left_out(sequence).map(|more| {
        format!(
            " Of {} messages {} are drawn, signalling first: {more}.",
            sequence.left_out + sequence.messages.len() as u64,
            sequence.messages.len()
        )
    });
    Block::Figure(Figure {
        id,
        title,
        caption: format!(
            "{about} Times on the left are in milliseconds, not to scale. A line goes from where a message is in its sender's capture to where it is in its receiver's; a cross is a message that its receiver's has not, a dashed line one whose receiver was not captured, or may have been captured no longer.{}",
            more.unwrap_or_default()
        ),
        chart: Chart::Sequence(chart(sequence.clone())),
    })
}
