//! The page in a browser: `browser.cjs` does what a reader does, in one start of Chromium, with the files as they are.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{events, read, run};

/// A run whose nodes have places: the sensor of `topologies/mobility-phy.yaml` walks from 2 s on, at 3 m/s.
fn walk() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = include_str!("../../../topologies/mobility-phy.yaml");
    let plan = topology::load("mobility-phy.yaml", text, topology::Overrides::default());
    fs::write(dir.path().join("plan.yaml"), plan.unwrap().to_yaml()).unwrap();
    fs::write(dir.path().join("events.jsonl"), events()).unwrap();
    dir
}

#[test]
fn a_reader_reads_a_report_in_a_browser() {
    let (run, walk) = (run(), walk());
    // The browser keeps its profile where it is removed with the test.
    let temporary = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = temporary.path().join(name);
        fs::write(&file, text).unwrap();
        file
    };
    let report = read(run.path());
    let page = report.html();
    let hostile =
        "<script>window.injected = 1</script><img src=\"data:,\" onerror=\"window.injected = 2\"/>";
    let injected = page.replacen("<main", &format!("{hostile}<main"), 1);
    let pages = [
        write("run.html", &page),
        write("walk.html", &read(walk.path()).html()),
        write("injected.html", &injected),
    ];
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("node")
        .arg(here.join("tests/browser.cjs"))
        .args(&pages)
        .env("TMPDIR", temporary.path())
        .output()
        .expect("node; ./scripts/setup installs it");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}
