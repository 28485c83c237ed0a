//! What became of the frames from radio to radio.

use super::{Block, table};
use crate::load::Run;

/// A table of every link of the per-frame air that had frames, as its counters have them.
pub fn delivery(run: &Run) -> Vec<Block> {
    let Some(air) = &run.result.air else {
        return Vec::new(); // that there is none is said where its frames are
    };
    if air.links.is_empty() {
        let missing = "Delivery per link: `air` of result.json does not tell it.";
        return vec![Block::Missing(missing.into())];
    }
    let row = |link: &rundir::air::Link| {
        let percent = link.delivery_percent();
        [
            link.from.clone(),
            link.to.clone(),
            link.frames.to_string(),
            link.delivered.to_string(),
            percent.map_or_else(|| "-".into(), |percent| format!("{percent:.2} %")),
        ]
    };
    vec![
        Block::Text("Frames with one destination over each link of the air, each once whatever its retries; acknowledgements and broadcasts are not among them. What was sent to a node that had left its router is not delivered there.".into()),
        table(
            ["from", "to", "frames sent", "delivered", "delivered in percent"],
            air.links.iter().map(row).collect(),
        ),
    ]
}
