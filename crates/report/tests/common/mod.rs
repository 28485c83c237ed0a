//! What tests of the report have in common.
#![allow(dead_code)] // each test file uses its part

use std::fs;
use std::path::Path;

use measure::selftest::{Truth, synthesize};
use report::Report;
use roxmltree::Document;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The example of docs/result.md: what `measure`'s own test says that it writes.
pub fn example() -> Value {
    let text = include_str!("../../../../docs/result.md");
    let example = text.split("## Example").nth(1).unwrap();
    let json = example.split("```json\n").nth(1).unwrap();
    serde_json::from_str(json.split("```").next().unwrap()).unwrap()
}

/// The plan of the shipped topology with these `PATH=VALUE`.
pub fn plan_with(set: &[String]) -> String {
    let text = include_str!("../../../../topologies/handover.yaml");
    let set: Vec<topology::Parameter> = set.iter().map(|text| text.parse().unwrap()).collect();
    let overrides = topology::Overrides {
        assignments: topology::Parameter::combinations(&set).remove(0),
        ..Default::default()
    };
    topology::load("handover.yaml", text, overrides)
        .unwrap()
        .to_yaml()
}

/// Start of the scenario in the example of docs/result.md, and of the synthetic capture.
pub const START_NS: u64 = 1_600_000_000_000_000_000;

/// A line of `events.jsonl`, so long after the start of the scenario.
pub fn event(after_ns: u64, node: &str, rest: &Value) -> String {
    let mut event = json!({ "time_ns": START_NS + after_ns, "node": node });
    let keys = event.as_object_mut().unwrap();
    keys.extend(rest.as_object().unwrap().clone());
    event.to_string() + "\n"
}

/// The events of the example's handover: it started at 0.052 s, `link` took 5 ms and `binding`
/// 31.5 ms.
pub fn events() -> String {
    let phase = |what: &str, phase: &str| json!({"event": what, "handover": 1, "phase": phase});
    [
        event(0, "sensor", &json!({"event": "leased", "address": "2001:db8:1::5"})),
        event(0, "scenario", &json!({"event": "scenario_started"})),
        event(52_000_000, "sensor", &json!({"event": "handover_started", "handover": 1, "from": "er1", "reason": "signal"})),
        event(52_000_000, "sensor", &phase("phase_started", "link")),
        event(57_000_000, "sensor", &phase("phase_ended", "link")),
        event(57_000_000, "sensor", &phase("phase_started", "binding")),
        event(88_500_000, "sensor", &phase("phase_ended", "binding")),
        event(88_500_000, "sensor", &json!({"event": "handover_completed", "handover": 1, "to": "er2", "t_addr": "2001:db8:2::5"})),
        event(90_000_000, "client", &json!({"event": "request_failed", "p_addr": "2001:db8::9", "reason": "hold <timeout>"})),
    ]
    .concat()
}

/// A run directory with every file.
pub fn run() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    fs::write(path.join("plan.yaml"), plan_with(&[])).unwrap();
    fs::write(
        path.join("run.json"),
        r#"{"backend":"vm","clock":"virtual","kernel":"6.1.0-18-amd64","wpanlab_version":"0.1.0"}"#,
    )
    .unwrap();
    fs::write(path.join("events.jsonl"), events()).unwrap();
    fs::write(path.join("result.json"), example().to_string()).unwrap();
    fs::create_dir(path.join("captures")).unwrap();
    let capture = synthesize(&Truth::default()).unwrap();
    fs::write(path.join("captures/client.eth0.pcapng"), capture).unwrap();
    dir
}

/// The report of a directory.
pub fn read(path: &Path) -> Report {
    Report::read(path, None).unwrap()
}

/// All text of a page or a drawing.
pub fn text(document: &Document) -> String {
    let texts = document.descendants().filter(|n| n.is_text());
    texts
        .filter_map(|n| n.text())
        .collect::<Vec<_>>()
        .join("\n")
}

/// A page, which is XML.
pub fn parse(page: &str) -> Document<'_> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    Document::parse_with_options(page, options).unwrap()
}
