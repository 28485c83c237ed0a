//! The page in a browser: `browser.cjs` does what a person does, in one start of Chromium.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use common::{EVENTS, RESULT, Server, planned, run};
use tokio::sync::mpsc;
use view::{Intervention, Pace, Pacer, Speed, Steering};

/// A run that is held and lets things happen: the events that it has told, and which steps are asked of it.
fn held() -> (Steering, std::thread::JoinHandle<Vec<String>>) {
    let mut pace = Pace::new(Some(Speed::REAL), Instant::now());
    let start = EVENTS.lines().next().unwrap();
    let start: serde_json::Value = serde_json::from_str(start).unwrap();
    pace.start(Instant::now(), start["time_ns"].as_u64().unwrap());
    let (interventions, mut asked) = mpsc::channel::<Intervention>(1);
    let steering = Steering {
        pacer: Some(Pacer::new(pace)),
        interventions: Some(interventions),
    };
    let answering = std::thread::spawn(move || {
        let mut steps = Vec::new();
        while let Some(Intervention { step, answer, .. }) = asked.blocking_recv() {
            let known = step.contains("crash: ");
            let refused = || Err(format!("`{step}` is nothing that happens"));
            answer.send(if known { Ok(()) } else { refused() }).unwrap();
            steps.push(step);
        }
        steps
    });
    (steering, answering)
}

#[test]
fn a_person_plays_a_run_in_a_browser() {
    let (finished, growing, watched) = (run(), planned(), planned());
    let (early, late) = EVENTS.split_at(EVENTS.find("{\"time_ns\":1577836802").unwrap());
    for dir in [&growing, &watched] {
        fs::write(dir.path().join("events.jsonl"), early).unwrap();
    }
    let rest = tempfile::tempdir().unwrap();
    fs::write(rest.path().join("events"), late).unwrap();
    fs::write(rest.path().join("result"), RESULT).unwrap();
    let report = report::Report::read(finished.path(), None).unwrap();
    fs::write(finished.path().join("report.html"), report.html()).unwrap();
    let (steering, answering) = held();
    let servers = [
        Server::of(finished.path()),
        Server::of(growing.path()),
        Server::steered(watched.path(), steering),
    ];
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The browser keeps its profile where it is removed with the test.
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new("node")
        .arg(here.join("tests/browser.cjs"))
        .args(
            servers
                .each_ref()
                .map(|server| format!("http://{}/", server.at)),
        )
        .args([growing.path(), rest.path()])
        .env("TMPDIR", temporary.path())
        .output()
        .expect("node; ./scripts/setup installs it");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    for server in servers {
        assert_eq!(server.end(), [""; 0]);
    }
    let steps = answering.join().unwrap();
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert!(steps[0].ends_with("crash: sensor }"), "{steps:?}");
    assert_eq!(steps[1], "{ at: 1 s, nonsense: sensor }");
}
