//! Who was where when: what the page's script draws on the map for the instant that a reader chooses.

use rundir::event::Attachment;
use serde_json::{Value, json};
use topology::plan::NodePlan;
use units::SimTime;

use crate::load::Run;

/// As many nodes are told.
const NODES: usize = 64;
/// As many changes of router are told, of all nodes, and as many handovers.
const CHANGES: usize = 20_000;

/// How long the scenario lasts, the routers of the nodes that hand over, when which handover began, and in which
/// capture everything is. Nothing if the time or the plan is not known.
pub fn told(run: &Run) -> Option<Value> {
    let duration_s = run.duration_s().filter(|s| s.is_finite() && *s > 0.0)?;
    let plan = run.plan.as_ref()?;
    let mut room = CHANGES;
    let moving = plan
        .nodes
        .iter()
        .filter(|(_, node)| node.handover().is_some());
    // Of a node everything is told, or nothing.
    let nodes = moving.take(NODES).filter_map(|(name, node)| {
        let changes = changes(run, name, node);
        room = room.checked_sub(changes.len())?;
        Some(json!([name, changes]))
    });
    let nodes: Vec<Value> = nodes.collect();
    let handovers = run.records.iter().filter_map(|record| {
        let started = run.seconds(record.started?);
        Some(json!([
            started,
            format!("handover {} of {}", record.number, record.node)
        ]))
    });
    let handovers: Vec<Value> = handovers.take(CHANGES).collect();
    Some(json!({
        "duration": duration_s,
        // Digits: it is more than a number of the script's holds.
        "start": run.result.scenario.map(|s| s.start_unix_ns.to_string()),
        "all": run.files.iter().any(|file| file == "captures/all.pcapng"),
        "nodes": nodes,
        "handovers": handovers,
    }))
}

/// From when on a node is at which router, in seconds of the scenario; null: at none.
fn changes(run: &Run, name: &str, node: &NodePlan) -> Vec<Value> {
    let mut last = node.host.as_ref().map(|host| host.attached_to.as_str());
    let mut changes = vec![(0.0, last)];
    let events = run.events.iter().flatten();
    for event in events.filter(|event| event.node == name) {
        let now = match Attachment::told_by(&event.kind) {
            Some(Attachment::Away) => None,
            Some(Attachment::At(router)) => {
                last = Some(router);
                last
            }
            Some(Attachment::Back) => last,
            None => continue,
        };
        if changes.last().is_none_or(|(_, before)| *before != now) {
            changes.push((run.seconds(SimTime::from_nanos(event.time_ns)), now));
        }
    }
    changes.iter().map(|change| json!(change)).collect()
}
