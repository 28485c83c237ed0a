//! The page in Chromium, before a gateway and a sensor over loopback. `browser.cjs` looks and types; it says on its
//! output what is to happen to the sensor, one line each, and waits for a line of its input.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::gateway::loopback::World;

/// The script. The browser ends with it: it is spoken to by a pipe, and leaves when that is closed.
struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        // Gone already, or ended now: nothing else can be done about it here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_was_asked_over_a_connection_that_goes_is_answered() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gateway/page");
    let status = Command::new("node")
        .arg(here.join("socket.cjs"))
        .arg(here.join("coap.js"))
        .status()
        .expect("node; ./scripts/setup installs it");
    assert!(status.success(), "{status}: what is above failed");
}

#[test]
fn the_page_shows_what_a_node_says_through_holds_by_both_ways() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let world = World::new(true);
    let temporary = tempfile::tempdir().unwrap();
    // To look at, if somebody wants to.
    let pictures = std::env::var_os("WPANLAB_SCREENSHOTS").map(PathBuf::from);
    let pictures = pictures.unwrap_or_else(|| temporary.path().join("pictures"));
    std::fs::create_dir_all(&pictures).unwrap();
    let child = Command::new("node")
        .arg(here.join("src/gateway/page/browser.cjs"))
        .arg(temporary.path().join("profile"))
        .arg(pictures)
        .arg(world.http.to_string())
        .arg(world.coap.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node; ./scripts/setup installs it");
    let mut script = Script(child);
    let mut told = script.0.stdin.take().unwrap();
    let says = BufReader::new(script.0.stdout.take().unwrap());
    for line in says.lines() {
        let line = line.unwrap();
        match line.split_once(' ') {
            None if line == "hold" => world.hold(),
            Some(("bind", t_addr)) => world.bind(t_addr),
            _ => panic!("the script says {line}"),
        }
        told.write_all(b"done\n").unwrap();
    }
    let status = script.0.wait().unwrap();
    assert!(status.success(), "{status}: what is above failed");
}
