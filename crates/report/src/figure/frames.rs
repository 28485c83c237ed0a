//! The frames of handovers, with their numbers in the captures, and how to open those there.

use measure::mobility::NodeHandover;
use measure::sequence::ListedFrame;
use rundir::made::quoted;
use units::SimTime;

use super::sequence::{HANDOVERS, Listed};
use super::{Block, Section, table};
use crate::load::Run;
use crate::sequence::plain;

/// As many handovers are open at first.
const OPEN: usize = 1;
/// All interfaces' frames in one file, with the events.
const ALL: &str = "captures/all.pcapng";

/// The section of the frames: of the handovers that have a message sequence, in the order of time.
pub fn section(run: &Run) -> Section {
    let listed = run.sequences.frames();
    let mut blocks = vec![
        Block::Text("Commands are given in the run's directory. This one plays the run; its page shows the instant that an address has:".into()),
        Block::Code("wpanlab view . --port 8080".into()),
    ];
    if listed.is_empty() {
        blocks.extend(without_frames(run));
    } else {
        blocks.push(Block::Text(about(run)));
    }
    for (place, listed) in listed.into_iter().enumerate() {
        let inner = of_handover(run, listed);
        match place < OPEN {
            true => blocks.extend(inner),
            false => blocks.push(Block::Folded(title(run, &listed.record), inner)),
        }
    }
    Section {
        id: "frames",
        title: "Frames and the player",
        blocks,
    }
}

/// The first handovers, of which no frame is known.
fn without_frames(run: &Run) -> Vec<Block> {
    let started = run.records.iter().filter(|record| record.started.is_some());
    let blocks = started.take(HANDOVERS).flat_map(|record| {
        let at = record.started.map(|at| run.seconds(at));
        let played = at.map(|at| Block::Played(address(at, &record.node)));
        [
            Some(Block::Text(format!("{}.", title(run, record)))),
            played,
        ]
    });
    let mut blocks: Vec<Block> = blocks.flatten().collect();
    blocks.push(match run.records.is_empty() {
        true => Block::Text("There is no handover whose frames could be listed.".into()),
        false => Block::Missing("Frames of handovers: there is no capture of them.".into()),
    });
    blocks
}

/// What the tables have, and what they have not.
fn about(run: &Run) -> String {
    let more = match has_all(run) {
        true => format!(" Those of IEEE 802.15.4 are in {ALL}, too."),
        false => String::new(),
    };
    format!(
        "Each line of a table is a frame with an IP packet of the node, or of signalling about it, as an interface of the backbone (eth0) or of a radio (lowpan0) has it. Its number is the one that Wireshark counts in that capture; its command opens the capture there.{more}"
    )
}

fn has_all(run: &Run) -> bool {
    run.files.iter().any(|file| file == ALL)
}

fn title(run: &Run, record: &NodeHandover) -> String {
    let name = |router: &Option<String>| router.clone().unwrap_or_else(|| "?".into());
    let began = record
        .started
        .map(|at| format!(", {:.3} s", run.seconds(at)));
    format!(
        "Handover {} of {}: {} \u{2192} {}{}",
        record.number,
        record.node,
        name(&record.from),
        name(&record.to),
        began.unwrap_or_default()
    )
}

fn of_handover(run: &Run, listed: &Listed) -> Vec<Block> {
    let record = &listed.record;
    let mut blocks = vec![
        Block::Text(format!("{}.", title(run, record))),
        Block::Played(address(
            run.seconds(record.started.unwrap_or(listed.from)),
            &record.node,
        )),
    ];
    let frames = &listed.list.frames;
    if frames.is_empty() {
        blocks.push(Block::Missing(
            "Its frames: no capture has any of it.".into(),
        ));
        return blocks;
    }
    let heads = [
        "time (s)",
        "interface",
        "from",
        "to",
        "what it is",
        "frame",
        "command",
    ];
    blocks.push(table(
        heads,
        frames.iter().map(|frame| row(run, frame)).collect(),
    ));
    if has_all(run) {
        let left_out = match listed.list.left_out {
            0 => "The whole time with all interfaces, the frames of the radios among them:"
                .to_owned(),
            1 => "1 more frame is left out. All of them, and those of the radios:".into(),
            n => format!("{n} more frames are left out. All of them, and those of the radios:"),
        };
        blocks.push(Block::Text(left_out));
        blocks.push(Block::Code(format!(
            "tshark -r {ALL} -Y \"frame.time_epoch >= {} && frame.time_epoch <= {}\"",
            epoch(listed.from),
            epoch(listed.to)
        )));
    } else if listed.list.left_out > 0 {
        blocks.push(Block::Text(format!(
            "{} more frames are left out; they follow in the same captures.",
            listed.list.left_out
        )));
    }
    blocks
}

fn row(run: &Run, frame: &ListedFrame) -> [String; 7] {
    let nobody = || "?".to_owned();
    let to = match frame.is_multicast {
        true => "all".to_owned(),
        false => frame.to.clone().unwrap_or_else(nobody),
    };
    [
        format!("{:.6}", run.seconds(frame.time)),
        format!("{} {}", frame.node, frame.interface),
        frame.from.clone().unwrap_or_else(nobody),
        to,
        plain(&frame.label),
        frame.number.to_string(),
        format!(
            "wireshark -g {} {}",
            frame.number,
            quoted(format!(
                "captures/{}.{}.pcapng",
                frame.node, frame.interface
            ))
        ),
    ]
}

/// What stands behind the `#` of the player's address.
fn address(seconds: f64, node: &str) -> String {
    format!("t={seconds:.9}&node={}", crate::page::encoded(node))
}

/// Unix time as Wireshark's filters have it.
fn epoch(time: SimTime) -> String {
    let nanos = time.as_nanos();
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}
