//! Analysis of a capture: who asked whom, what was lost, where handovers were.
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
            match &handover.gap {
                Ok(gap) => println!(
                    "  handover of {:?}, from Message ID {} to {}",
                    gap.duration(),
                    gap.before.message_id,
                    gap.after.message_id
                ),
                Err(why) => println!("  handover: {why}"),
            }
        }
    }
    Ok(())
}
