//! What a run says and leaves when it fails, and when somebody ends it.

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::{root, said, topology, wpanlab};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

#[test]
fn a_quiet_run_that_fails_prints_its_result_with_what_failed_and_writes_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut command = wpanlab(&["-q", "run", "--backend", "vm"]);
    command.arg(root().join("tests/data/fails.yaml"));
    command.arg("--out").arg(at("run"));
    command.arg("--report").arg(at("page.html"));
    command.arg("--junit").arg(at("junit.xml"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(output.stderr, b"", "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("fails: failed ("), "{text}");
    assert!(text.contains("failed: lost 7 (0)"), "{text}");
    assert!(!text.contains("run directory"), "{text}");
    let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
    assert!(read("page.html").contains("</html>"));
    assert!(read("junit.xml").contains("<failure"));
}

#[test]
fn a_run_that_is_interrupted_leaves_what_it_has_though_nobody_reads_on() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    // Long enough not to be over first.
    let longer = ["--backend", "vm", "--set", "scenario.duration=1 h"];
    let mut command = wpanlab(&["run"]);
    command.args(longer).arg("--out").arg(&out);
    for (option, file) in [("--junit", "ci.xml"), ("--report", "ci.html")] {
        let file = dir.path().join(file);
        std::fs::write(&file, "of an earlier run, which passed").unwrap();
        command.arg(option).arg(file);
    }
    command.arg(topology("handover.yaml"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut progress = BufReader::with_capacity(64, child.stderr.take().unwrap()).lines();
    let begun = progress.any(|line| line.unwrap().starts_with("scenario: 0"));
    assert!(begun, "the scenario begins");
    drop((progress, child.stdout.take()));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));

    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert!(read("events.jsonl").contains("scenario_started"));
    assert!(!read("events.jsonl").contains("scenario_ended"));
    let result: Value = serde_json::from_str(&read("result.json")).unwrap();
    assert_eq!(result["passed"], false);
    let partial = result["partial"].as_str().unwrap();
    assert!(partial.starts_with("interrupted by SIGINT; "), "{partial}");
    let capture = capture::read(out.join("captures/client.eth0.pcapng")).unwrap();
    assert!(capture.damage.is_none() && !capture.packets.is_empty());
    let beside = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let xml = beside("ci.xml");
    assert!(
        xml.contains("<error message=\"interrupted by SIGINT; "),
        "{xml}"
    );
    assert!(beside("ci.html").contains(">partial</span>"));
}
