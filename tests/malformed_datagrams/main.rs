//! Malformed datagrams at every port of every daemon, inside a guest: none dies, none grows, none
//! fills its log, all still answer, and the handovers that follow succeed.
//!
//! 600 to each port, over the radio where that is how they come. `WPANLAB_DATAGRAMS=1000000 cargo
//! test --profile quick -p wpanlab --test malformed_datagrams` sends as many; then no radio is on
//! their way, and nothing captures them, which is what takes the time and the memory. With `WPANLAB_NATIVE=1`, as
//! root, the daemons that need no radio get theirs on this machine, and only the mobile node in the
//! guest. `WPANLAB_PORT=sensor` takes the ports with that in their names.

mod apart;
mod datagrams;
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
use vm::harness::Harness;
use vm::{Content, GuestFile};

use network::{Nodes, Outside};
use target::{Target, targets};

/// Names the number of datagrams to each port.
const COUNT: &str = "WPANLAB_DATAGRAMS";
/// Whether the daemons that need no radio are attacked on this machine.
const NATIVE: &str = "WPANLAB_NATIVE";
/// Names the ports to attack, by a part of their names; all without it.
const PORT: &str = "WPANLAB_PORT";
/// The nodes of `topology.yaml`.
const NODES: [&str; 6] = ["er1", "er2", "dhcp", "wmms", "sensor", "client"];
/// The command on this machine.
const HERE: &str = env!("CARGO_BIN_EXE_wpanlab");
/// The command in a guest.
const IN_GUEST: &str = "/bin/wpanlab";
/// What a daemon may have in memory more after the second half than after the first: its bounded
/// tables are not all full after the first half of a short run.
const ALLOWANCE_KIB: u64 = 512;
/// What a daemon may write to its log in all. Of what it accepts, its events tell.
const LOG_BYTES: u64 = 16 << 10;

fn main() {
    if std::env::var_os(NATIVE).is_some() {
        let load = Load::of_environment();
        load.attack_apart(HERE);
        if load.in_run.is_empty() {
            return;
        }
    }
    Harness {
        memory_mib: 2048,
        files: vec![GuestFile {
            guest_path: IN_GUEST.into(),
            source: Content::Host(HERE.into()),
            mode: 0o755,
        }],
        environment: [COUNT, NATIVE, PORT].map(str::to_owned).into(),
        // Guest time.
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
    let load = Load::of_environment();
    if std::env::var_os(NATIVE).is_none() {
        load.attack_apart(IN_GUEST);
    }
    if !load.in_run.is_empty() {
        load.attack_in_run();
    }
}

/// What is attacked, and how often.
struct Load {
    /// Datagrams to each port.
    count: u64,
    /// How much guest time a datagram in a run may take.
    pace: Duration,
    /// Ports of daemons apart from a run.
    apart: Vec<Target>,
    /// Ports of daemons in a run.
    in_run: Vec<Target>,
}

impl Load {
    fn of_environment() -> Load {
        let variable = |name| std::env::var(name).ok();
        let count = variable(COUNT);
        let quiet = count.is_some() || variable(NATIVE).is_some();
        let mut targets = targets(quiet);
        if let Some(port) = variable(PORT) {
            targets.retain(|target| target.name.contains(&port));
            assert!(!targets.is_empty(), "no port has `{port}` in its name");
        }
        let is_apart = |target: &Target| quiet && apart::has(target.node);
        let (apart, in_run) = targets.into_iter().partition(is_apart);
        let number = |count: String| count.parse().expect("WPANLAB_DATAGRAMS is a number");
        Load {
            count: count.map_or(600, number),
            pace: match quiet {
                true => Duration::from_micros(200),
                false => Duration::from_millis(2),
            },
            apart,
            in_run,
        }
    }

    fn attack_apart(&self, wpanlab: &str) {
        if !self.apart.is_empty() {
            apart::attack_all(wpanlab, &self.apart, self.count);
        }
    }

    fn attack_in_run(&self) {
        let mut run = Run::start(self.pace * (self.count * self.in_run.len() as u64) as u32);
        let outside = Outside::open(Nodes::running(&NODES), &self.in_run);
        for target in &self.in_run {
            attack(target, &outside, self.count);
        }
        let dir = run.dir.clone();
        run.end();
        let result = fs::read_to_string(dir.result()).unwrap();
        let result: Value = serde_json::from_str(&result).unwrap();
        assert_eq!(result["handovers"].as_array().unwrap().len(), 2, "{result}");
        for node in NODES {
            check_log(node, &dir.log(node));
        }
    }
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
    /// Starts a run whose first handover leaves time for `attacks`, and waits until it plays. Of
    /// the time that is left over, the polls still cost the emulator theirs.
    fn start(attacks: Duration) -> Run {
        let first = Duration::from_secs(30) + attacks;
        let file = PathBuf::from("/tmp/malformed.yaml");
        fs::write(&file, topology(first)).unwrap();
        let dir = PathBuf::from("/tmp/malformed");
        let mut child = Command::new(IN_GUEST)
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
