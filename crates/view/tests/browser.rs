//! The page in a browser: `browser.cjs` does what a person does, in one start of Chromium.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{EVENTS, RESULT, Server, planned, run};

#[test]
fn a_person_plays_a_run_in_a_browser() {
    let (finished, growing) = (run(), planned());
    let (early, late) = EVENTS.split_at(EVENTS.find("{\"time_ns\":1577836802").unwrap());
    fs::write(growing.path().join("events.jsonl"), early).unwrap();
    let rest = tempfile::tempdir().unwrap();
    fs::write(rest.path().join("events"), late).unwrap();
    fs::write(rest.path().join("result"), RESULT).unwrap();
    let servers = [&finished, &growing].map(|dir| Server::of(dir.path()));
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
        .env(
            "NODE_PATH",
            here.join("../../target/peers/node/node_modules"),
        )
        .env("TMPDIR", temporary.path())
        .output()
        .expect("node; ./scripts/setup installs it");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    for server in servers {
        assert_eq!(server.end(), [""; 0]);
    }
}
