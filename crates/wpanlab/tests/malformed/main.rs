//! Malformed datagrams at every port of every daemon, inside a guest: none dies, none grows, none
//! fills its log, all still answer, and the handovers that follow succeed.
//!
//! 600 to each port; `WPANLAB_DATAGRAMS=1000000 cargo test --release -p wpanlab --test malformed` for
//! more, which takes hours: the guest's processor is emulated. With `WPANLAB_NATIVE=1`, as root, the
//! daemons without a radio get them on this machine instead, in minutes.

mod datagrams;
mod native;
mod network;
mod target;

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rundir::RunDir;
use serde_json::Value;
use vm::harness::{HOST_ROOT, Harness};

use network::{Nodes, Outside};
use target::{Target, targets};

/// Names the number of datagrams to each port.
const COUNT: &str = "WPANLAB_DATAGRAMS";
/// Whether the daemons without a radio are attacked on this machine.
const NATIVE: &str = "WPANLAB_NATIVE";
/// What a daemon may have in memory more after the second half than after the first: its bounded
/// tables are not all full after the first half of a short run.
const ALLOWANCE_KIB: u64 = 512;
/// What a daemon may write to its log in all. Of what it accepts, its events tell.
const LOG_BYTES: u64 = 16 << 10;

fn main() {
    if std::env::var_os(NATIVE).is_some() {
        return native::attack_all(count());
    }
    Harness {
        share_host_root: true,
        memory_mib: 2048,
        environment: vec![COUNT.to_owned()],
        // Guest time, of which a datagram over the radio takes the most.
        test_limit: Duration::from_secs(24 * 3600),
        stall_limit: Duration::from_secs(3 * 3600),
        ..Harness::default()
    }
    .main(&[(
        "no_daemon_dies_grows_or_fills_its_log_whatever_arrives_at_its_ports",
        no_daemon_dies_grows_or_fills_its_log_whatever_arrives_at_its_ports,
    )])
}

fn no_daemon_dies_grows_or_fills_its_log_whatever_arrives_at_its_ports() {
    let (count, targets) = (count(), targets());
    let mut run = Run::start(count * targets.len() as u64);
    let outside = Outside::open(Nodes::running(&targets), &targets);
    for target in &targets {
        attack(target, &outside, count);
    }
    let dir = run.dir.clone();
    run.end();
    let result = fs::read_to_string(dir.result()).unwrap();
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["handovers"].as_array().unwrap().len(), 2, "{result}");
    for node in ["er1", "er2", "dhcp", "wmms", "sensor", "client"] {
        check_log(node, &dir.log(node));
    }
}

/// Datagrams to each port.
fn count() -> u64 {
    std::env::var(COUNT).map_or(600, |count| {
        count.parse().expect("WPANLAB_DATAGRAMS is a number")
    })
}

fn check_log(node: &str, log: &Path) {
    let text = fs::read_to_string(log).unwrap_or_default();
    println!("{node}: {} bytes of log", text.len());
    let begin: String = text.chars().take(2000).collect();
    assert!(text.len() as u64 <= LOG_BYTES, "{node}: {begin}");
}

/// The topology with a first handover at `first` and a second one 15 s later.
fn topology(first: Duration) -> String {
    let at = |more: u64| format!("{} s", first.as_secs() + more);
    include_str!("topology.yaml")
        .replace("DURATION", &at(30))
        .replace("FIRST", &at(0))
        .replace("SECOND", &at(15))
}

/// Sends both halves, and looks at the daemon after each.
fn attack(target: &Target, outside: &Outside, count: u64) {
    let began = Instant::now();
    let mut attack = target.attack(outside);
    let before = attack.resident_kib();
    attack.send(count / 2);
    let half = attack.resident_kib();
    attack.send(count - count / 2);
    let after = attack.resident_kib();
    println!(
        "{}: {count} sent, {} arrived in {:?}, resident {before}, {half}, {after} KiB",
        target.name,
        attack.arrived(),
        began.elapsed(),
    );
    assert!(
        attack.arrived() >= count - count / 100,
        "{}: more than 1 % were lost on the way",
        target.name
    );
    assert!(
        after <= half + ALLOWANCE_KIB,
        "{}: {half} KiB after half of the datagrams, {after} KiB after all",
        target.name
    );
}

/// A run in the background.
struct Run {
    child: Child,
    stderr: BufReader<ChildStderr>,
    dir: RunDir,
}

impl Run {
    /// Starts a run that leaves time for `datagrams`, and waits until it plays. What is left of
    /// the time costs nothing in a VM.
    fn start(datagrams: u64) -> Run {
        let first = Duration::from_secs(30) + Duration::from_millis(4) * datagrams as u32;
        let file = PathBuf::from("/tmp/malformed.yaml");
        fs::write(&file, topology(first)).unwrap();
        let dir = PathBuf::from("/tmp/malformed");
        // From the host's file system, every page of it would come over 9p.
        let binary = Path::new("/tmp/wpanlab");
        let host = Path::new(HOST_ROOT).join(&env!("CARGO_BIN_EXE_wpanlab")[1..]);
        fs::copy(host, binary).unwrap();
        let mut child = Command::new(binary)
            .args(["run", "--backend", "native", "--clock", "realtime", "--out"])
            .args([&dir, &file])
            .env("WPANLAB_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut heard = String::new();
        while !heard.contains("scenario: ") {
            let read = stderr.read_line(&mut heard).unwrap();
            assert!(read > 0, "the run does not start:\n{heard}");
        }
        Run {
            child,
            stderr,
            dir: RunDir::new(dir),
        }
    }

    fn end(&mut self) {
        let mut heard = String::new();
        self.stderr.read_to_string(&mut heard).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}:\n{heard}");
    }
}
