//! Analysis of a capture in twenty lines: who asked whom, what was lost, where handovers were.
//!
//!     cargo run -p wpanlab --example analyze_capture -- runs/handover-1/captures/client.eth0.pcapng

use std::path::PathBuf;

use measure::analysis::{Analysis, Options};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = std::env::args_os().skip(1).map(PathBuf::from);
    let captures: Vec<_> = files.map(capture::read).collect::<Result<_, _>>()?;
    let analysis = Analysis::of(&captures, &Options::default());
    for flow in &analysis.flows {
        let requests = flow.requests();
        println!(
            "{} asks for {}: {} sent, {} answered, {} lost",
            flow.client, flow.resource, requests.sent, requests.answered, requests.lost
        );
        for handover in flow.handovers() {
            println!(
                "  handover after {:?}, from Message ID {} to {}",
                handover.duration(),
                handover.before.message_id,
                handover.after.message_id
            );
        }
    }
    Ok(())
}
