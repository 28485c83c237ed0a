//! The gateway's page in Chromium, outside of a testbed in real time: `page.cjs` looks.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{root, said, wpanlab};

/// A run, which is ended if the test fails before.
struct Going(Option<Child>);

impl Drop for Going {
    fn drop(&mut self) {
        if let Some(child) = self.0.take() {
            let id = i32::try_from(child.id()).unwrap();
            // It may have ended.
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
            let _ = child.wait_with_output();
        }
    }
}

/// A port that nobody listens on. Another program may take it before the run does: then the test fails, and says so.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Looks at a run, with more on its command line; `how` names what is to be seen.
fn look(how: &str, more: &[&str]) {
    let temporary = tempfile::tempdir().unwrap();
    let port = free_port();
    let forward = format!("{port}=web:8080");
    let run = wpanlab(&["run", "--backend", "vm", "--clock", "realtime"])
        .args(["--forward", &forward])
        .args(more)
        .arg("--out")
        .arg(temporary.path().join("run"))
        .arg(root().join("tests/gateway/page.yaml"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut going = Going(Some(run));
    // To look at, if somebody wants to.
    let pictures = std::env::var_os("WPANLAB_SCREENSHOTS").map(PathBuf::from);
    let pictures = pictures.unwrap_or_else(|| temporary.path().join("pictures"));
    std::fs::create_dir_all(&pictures).unwrap();
    let looked = Command::new("node")
        .arg(root().join("tests/gateway/page.cjs"))
        .arg(temporary.path().join("profile"))
        .arg(pictures)
        .args([&format!("127.0.0.1:{port}"), how])
        .output()
        .expect("node; ./scripts/setup installs it");
    if !looked.status.success() {
        drop(going);
        panic!("{}", said(&looked));
    }
    let ended = going.0.take().unwrap().wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", said(&ended));
}

#[test]
fn a_browser_sees_holds_and_goes_on_from_new_addresses_and_through_a_crash_of_the_wmms() {
    look("hold", &[]);
}

#[test]
fn a_browser_sees_what_was_lost_without_a_hold() {
    look("none", &["--set", "nodes.sensor.handover.hold=false"]);
}
