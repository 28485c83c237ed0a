//! `wpanlab view` as a command: what it prints, what it refuses, how it ends; and a run that goes on while somebody looks.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{said, topology, wpanlab};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A run directory in which nothing has happened yet.
fn planned() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let plan = wpanlab(&["plan"]).arg(topology("handover.yaml")).output();
    std::fs::write(dir.path().join("plan.yaml"), plan.unwrap().stdout).unwrap();
    dir
}

/// After so long a test that fails ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command while it serves. A test that fails leaves none behind.
struct Served(Child);

impl Served {
    /// How it ended, once it has.
    fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it serves still");
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Of one that has ended both say so, and nothing is lost.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn view(options: &[&str], dir: &Path) -> (Served, String) {
    let child = wpanlab(&["view"])
        .args(options)
        .arg(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut served = Served(child);
    let mut line = String::new();
    let mut printed = BufReader::new(served.0.stdout.take().unwrap());
    printed.read_line(&mut line).unwrap();
    (served, line.trim().to_owned())
}

#[test]
fn it_prints_where_the_page_is_and_ends_with_a_signal() {
    let dir = planned();
    for (options, before, signal) in [
        (&[][..], "http://127.0.0.1:", Signal::SIGINT),
        (
            &["--json"],
            "{\"address\":\"http://127.0.0.1:",
            Signal::SIGTERM,
        ),
    ] {
        let (mut served, line) = view(options, dir.path());
        let port: String = line
            .strip_prefix(before)
            .unwrap_or_else(|| panic!("{line}"))
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let id = i32::try_from(served.0.id()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
        assert_eq!(served.wait().code(), Some(0));
    }
}

#[test]
fn what_it_cannot_show_and_a_port_that_is_taken_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let output = wpanlab(&["view"]).arg(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("plan.yaml"), "{}", said(&output));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = planned();
    let output = wpanlab(&["view", "--port", &port]).arg(dir.path()).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains(&port), "{}", said(&output));
}

/// Who watches a run, slows it down, pauses it and has it go on event by event gets the run that nobody watches; and who lets
/// something happen in it, the run of the command that its directory names.
#[test]
fn a_run_that_is_watched_paused_and_stepped_is_the_same_to_the_byte() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/watched");
    let output = std::process::Command::new(script)
        .args(["--patterns", "2", "--interventions", "1", "--backend", "vm"])
        .arg(topology("handover.yaml"))
        .env("WPANLAB", env!("CARGO_BIN_EXE_wpanlab"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = said(&output);
    assert_eq!(told.matches("the same to the byte").count(), 3, "{told}");
}

#[test]
fn a_pace_is_of_virtual_time_and_of_one_run() {
    let refused = |options: &[&str], why: &str| {
        let output = wpanlab(&["run"])
            .arg(topology("handover.yaml"))
            .args(options)
            .output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(why), "{}", said(&output));
    };
    refused(&["--forward", "8080=client:80"], "--clock realtime");
    let realtime = ["--backend", "vm", "--clock", "realtime", "--pace", "1"];
    refused(&realtime, "virtual time");
    let realtime = ["--backend", "vm", "--clock", "realtime"];
    refused(
        &[&realtime[..], &["--forward", "8080=nobody:80"]].concat(),
        "there is no node nobody",
    );
    refused(&["--pace", "0"], "`0` is no speed");
    refused(&["--seeds", "1..2", "--view"], "--seeds");
    refused(&["--port", "8080"], "--view");
}
