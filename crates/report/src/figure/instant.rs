//! Who was where when: what the page's script draws on the map for the instant that a reader chooses.

use serde_json::{Value, json};
use topology::plan::NodePlan;

use crate::load::Run;

/// As many nodes are told.
const NODES: usize = 64;
/// As many changes of router are told, of all nodes.
const CHANGES: usize = 2000;

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
    let nodes = moving.take(NODES).map(|(name, node)| {
        let changes = changes(run, name, node);
        let shown = changes.len().min(room);
        room -= shown;
        json!([name, changes[..shown]])
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

/// From when on a node is at which router, in seconds of the scenario; null: at none. It has left one from the beginning
/// of its `link` phase until the end of its handover, as `wpanlab view` shows it.
fn changes(run: &Run, name: &str, node: &NodePlan) -> Vec<Value> {
    let attached = node.host.as_ref().map(|host| host.attached_to.clone());
    let mut changes = vec![json!([0.0, attached])];
    for record in run.records.iter().filter(|record| record.node == name) {
        let left = record
            .spans
            .get(&rundir::Phase::LINK)
            .and_then(|spans| spans.first());
        changes.extend(left.map(|(at, _)| json!([run.seconds(*at), null])));
        let arrived = record.completed.zip(record.to.as_ref());
        changes.extend(arrived.map(|(at, to)| json!([run.seconds(at), to])));
    }
    changes
}
