//! The native backend and what is left of it, inside a guest: runs that end well, are
//! interrupted, killed or lose a daemon, and `wpanlab clean`.

mod common;

#[path = "native_backend/clock.rs"]
mod clock;
#[path = "native_backend/disk.rs"]
mod disk;
#[path = "native_backend/live.rs"]
mod live;
#[path = "native_backend/machine.rs"]
mod machine;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::said;
use machine::{Footprint, Foreign};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand_core::Rng as _;
use rundir::{Event, EventKind, HandoverEvent, RunDir};
use serde_json::Value;
use vm::harness::{HOST_ROOT, Harness};

const NATIVE: &str = include_str!("data/native.yaml");
const RESTARTS: &str = include_str!("data/restarts.yaml");
const PROGRAM: &str = include_str!("data/program.yaml");
const STATE: &str = "/run/wpanlab";
const CLAIMS_OF_RUNS: &str = "/run/wpanlab/";
/// How many runs more to kill, and the seed of the instants: `scripts/kill-test`.
const KILLS: &str = "WPANLAB_KILLS";
/// What a process of a killed run may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("sleeper") => loop {
            std::thread::park();
        },
        Some("straggler") => straggler(),
        Some(live::INTERFACES) => live::interfaces(),
        _ => {}
    }
    Harness {
        share_host_root: true,
        memory_mib: 1024,
        environment: vec![KILLS.to_owned()],
        stall_limit: match std::env::var_os(KILLS) {
            None => Harness::default().stall_limit,
            // Many kills are one test, which says nothing meanwhile.
            Some(_) => Duration::from_secs(3600),
        },
        ..Harness::default()
    }
    .main(&[
        (
            "a_native_run_passes_and_leaves_nothing",
            a_native_run_passes_and_leaves_nothing,
        ),
        (
            "clean_removes_what_a_killed_run_left_and_nothing_else",
            clean_removes_what_a_killed_run_left_and_nothing_else,
        ),
        (
            "a_run_killed_while_it_makes_its_network_is_cleaned_too",
            a_run_killed_while_it_makes_its_network_is_cleaned_too,
        ),
        (
            "a_run_killed_at_any_instant_is_cleaned_and_nothing_else",
            a_run_killed_at_any_instant_is_cleaned_and_nothing_else,
        ),
        (
            "an_interrupted_run_says_so_and_keeps_what_was_seen",
            an_interrupted_run_says_so_and_keeps_what_was_seen,
        ),
        (
            "an_interruption_while_the_network_is_made_leaves_nothing",
            an_interruption_while_the_network_is_made_leaves_nothing,
        ),
        (
            "two_runs_live_side_by_side_and_clean_leaves_them_alone",
            two_runs_live_side_by_side_and_clean_leaves_them_alone,
        ),
        (
            "a_daemon_that_dies_ends_the_run_with_its_log",
            a_daemon_that_dies_ends_the_run_with_its_log,
        ),
        (
            "crashed_nodes_come_back_wherever_they_are",
            crashed_nodes_come_back_wherever_they_are,
        ),
        (
            "a_daemon_on_a_host_whose_clock_is_set_ends_no_lifetime_early_or_late",
            clock::a_daemon_on_a_host_whose_clock_is_set_ends_no_lifetime_early_or_late,
        ),
        (
            "a_run_during_which_the_hosts_clock_is_set_says_so",
            clock::a_run_during_which_the_hosts_clock_is_set_says_so,
        ),
        (
            "a_run_whose_disk_is_full_or_read_only_fails_with_a_file_and_leaves_nothing",
            disk::a_run_whose_disk_is_full_or_read_only_fails_with_a_file_and_leaves_nothing,
        ),
        (
            "a_node_is_entered_and_a_capture_followed_while_the_run_goes_on",
            live::a_node_is_entered_and_a_capture_followed_while_the_run_goes_on,
        ),
        (
            "what_a_program_started_goes_with_the_run",
            what_a_program_started_goes_with_the_run,
        ),
    ])
}

/// A program of the user's that leaves a process of its own behind.
fn straggler() -> ! {
    let own = std::env::current_exe().unwrap();
    Command::new(own).arg("sleeper").spawn().unwrap();
    std::process::exit(0)
}

fn a_native_run_passes_and_leaves_nothing() {
    let before = Footprint::now();
    let run = Run::start("passes", NATIVE);
    let dir = run.dir.clone();
    let output = run.end();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = fs::read_to_string(dir.result()).unwrap();
    let result: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(result["backend"], "native");
    assert_eq!(result["clock"], "realtime");
    assert_eq!(result["handovers"].as_array().unwrap().len(), 1);
    assert_eq!(Footprint::now(), before);
}

fn clean_removes_what_a_killed_run_left_and_nothing_else() {
    let foreign = Foreign::make();
    let before = Footprint::now();
    let mut run = Run::start("killed", NATIVE);
    run.wait_until_it_plays();
    std::thread::sleep(Duration::from_millis(2500));
    let daemons = daemons();
    assert_eq!(daemons.len(), 6, "{daemons:?}");
    for pid in &daemons {
        let net = "CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE";
        assert_eq!(bounding_set(*pid), 1 << 12 | 1 << 13 | 1 << 10, "{net}");
    }
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    wait_until("the daemons die with their run", || {
        daemons.iter().all(|pid| !is_running(*pid))
    });

    let left = Footprint::now();
    assert_ne!(left, before);
    let listed = wpanlab(&["clean", "--dry-run"]);
    assert_eq!(listed.status.code(), Some(0), "{}", said(&listed));
    let text = String::from_utf8_lossy(&listed.stdout);
    let count = |word: &str| text.matches(word).count();
    assert_eq!(count("namespace "), 7, "six nodes and the backbone: {text}");
    assert_eq!(count("radio "), 3, "{text}");
    assert_eq!(Footprint::now(), left, "a dry run removes nothing");

    let cleaned = wpanlab(&["clean"]);
    assert_eq!(cleaned.status.code(), Some(0), "{}", said(&cleaned));
    assert_eq!(Footprint::now(), before, "{}", said(&cleaned));
    let again = wpanlab(&["clean"]);
    assert!(
        said(&again).contains("nothing to clean"),
        "{}",
        said(&again)
    );
    foreign.is_still_there();
    foreign.remove();
}

/// Killed at many different instants of the bring-up.
fn a_run_killed_while_it_makes_its_network_is_cleaned_too() {
    let before = Footprint::now();
    for delay_ms in [3, 10, 20, 40, 60, 80, 110, 150, 200, 300, 400] {
        let mut run = Run::start("killed-early", NATIVE);
        run.wait_for("bring up");
        std::thread::sleep(Duration::from_millis(delay_ms));
        run.kill_and_clean(&before);
    }
}

/// And at any instant from before it begins to after it has ended, most of them in the bring-up.
fn a_run_killed_at_any_instant_is_cleaned_and_nothing_else() {
    let wanted = std::env::var(KILLS).unwrap_or_else(|_| "3 1".to_owned());
    let (kills, seed) = wanted.split_once(' ').expect("how many, and a seed");
    let mut chance = units::Seed(seed.parse().unwrap()).rng(&["kills"]);
    let mut below = |limit: u64| chance.next_u64() % limit;
    let foreign = Foreign::make();
    let before = Footprint::now();
    for _ in 0..kills.parse().unwrap() {
        let span_us = match below(4) {
            0 => 9_000_000,
            _ => 1_000_000,
        };
        let delay = Duration::from_micros(below(span_us));
        let run = Run::start("killed-anywhere", NATIVE);
        std::thread::sleep(delay);
        run.kill_and_clean(&before);
        foreign.is_still_there();
    }
    println!("{kills} kills, nothing left");
    foreign.remove();
}

fn an_interrupted_run_says_so_and_keeps_what_was_seen() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let before = Footprint::now();
        let mut run = Run::start(signal.as_str(), NATIVE);
        run.wait_until_it_plays();
        std::thread::sleep(Duration::from_millis(3500));
        // A terminal tells the whole foreground process group.
        kill(Pid::from_raw(-run.pid()), signal).unwrap();
        let dir = run.dir.clone();
        let output = run.end();
        let code = 128 + signal as i32;
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        let words = format!("interrupted by {signal}");
        assert!(said(&output).contains(&words), "{}", said(&output));
        assert_eq!(Footprint::now(), before);
        let events = events(&dir);
        let seen = |kind: fn(&EventKind) -> bool| events.iter().any(|e| kind(&e.kind));
        assert!(seen(|k| matches!(k, EventKind::ScenarioStarted)));
        assert!(seen(|k| matches!(
            k,
            EventKind::Handover(HandoverEvent::Completed { .. })
        )));
        let packets = packets(&dir.capture("client", "eth0"));
        assert!(packets > 100, "{packets} packets of 3.5 s at 20 GET/s");
    }
}

fn an_interruption_while_the_network_is_made_leaves_nothing() {
    let before = Footprint::now();
    for delay_ms in [5, 30, 70, 120, 250] {
        let mut run = Run::start("interrupted-early", NATIVE);
        run.wait_for("bring up");
        std::thread::sleep(Duration::from_millis(delay_ms));
        kill(Pid::from_raw(run.pid()), Signal::SIGINT).unwrap();
        let output = run.end();
        assert_eq!(output.status.code(), Some(130), "{}", said(&output));
        let said = said(&output);
        assert!(said.contains("interrupted by SIGINT"), "{said}");
        assert_eq!(Footprint::now(), before, "after {delay_ms} ms");
    }
}

fn two_runs_live_side_by_side_and_clean_leaves_them_alone() {
    let before = Footprint::now();
    let mut runs = [Run::start("one", NATIVE), Run::start("two", NATIVE)];
    for run in &mut runs {
        run.wait_until_it_plays();
    }
    let cleaned = wpanlab(&["clean"]);
    assert!(
        said(&cleaned).contains("nothing to clean"),
        "{}",
        said(&cleaned)
    );
    for run in runs {
        let output = run.end();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    assert_eq!(Footprint::now(), before);
}

fn a_daemon_that_dies_ends_the_run_with_its_log() {
    let before = Footprint::now();
    let mut run = Run::start("daemon-dies", NATIVE);
    run.wait_until_it_plays();
    std::thread::sleep(Duration::from_secs(1));
    // A daemon in good health has nothing to say.
    let log = run.dir.log("wmms");
    let mut log = fs::File::options().append(true).open(log).unwrap();
    writeln!(log, "its last words").unwrap();
    let killed_at = Instant::now();
    kill(Pid::from_raw(daemon("wmms")), Signal::SIGKILL).unwrap();
    let output = run.end();
    let took = killed_at.elapsed();
    assert!(took < Duration::from_secs(3), "in guest time: {took:?}");
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let said = said(&output);
    assert!(said.contains("node wmms died (signal: 9"), "{said}");
    assert!(said.contains("its last words"), "{said}");
    assert_eq!(Footprint::now(), before);
}

fn crashed_nodes_come_back_wherever_they_are() {
    let before = Footprint::now();
    let run = Run::start("restarts", RESTARTS);
    let dir = run.dir.clone();
    let output = run.end();
    let logs = || {
        format!(
            "{}\nsensor:\n{}\nwmms:\n{}\n{}",
            said(&output),
            fs::read_to_string(dir.log("sensor")).unwrap_or_default(),
            fs::read_to_string(dir.log("wmms")).unwrap_or_default(),
            fs::read_to_string(dir.events()).unwrap_or_default(),
        )
    };
    assert_eq!(output.status.code(), Some(0), "{}", logs());
    let events = events(&dir);
    let of = |node: &str, kind: fn(&EventKind) -> bool| {
        let found = events.iter().filter(|e| e.node == node && kind(&e.kind));
        found.count()
    };
    let ready = |kind: &EventKind| matches!(kind, EventKind::Ready);
    let completed =
        |kind: &EventKind| matches!(kind, EventKind::Handover(HandoverEvent::Completed { .. }));
    assert_eq!(of("wmms", ready), 2, "{}", logs());
    assert_eq!(of("sensor", ready), 2, "{}", logs());
    assert_eq!(of("sensor", completed), 2, "to er2 and back: {}", logs());
    let answered = events.iter().find_map(|e| match e.kind {
        EventKind::Drained {
            requested,
            answered,
            ..
        } => Some((requested, answered)),
        _ => None,
    });
    let (requested, answered) = answered.unwrap_or_else(|| panic!("{}", logs()));
    assert!(requested >= 320, "16 s at 20 GET/s: {requested}");
    assert_eq!(answered, requested, "some are late: {}", logs());
    assert_eq!(Footprint::now(), before);
}

fn what_a_program_started_goes_with_the_run() {
    let before = Footprint::now();
    let own = std::env::current_exe().unwrap();
    let topology = PROGRAM.replace("TEST_PROGRAM", own.to_str().unwrap());
    let output = Run::start("program", &topology).end();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(Footprint::now(), before, "after a run that passed");

    let mut run = Run::start("program-killed", &topology);
    run.wait_until_it_plays();
    std::thread::sleep(Duration::from_secs(2));
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    let cleaned = wpanlab(&["clean"]);
    assert_eq!(cleaned.status.code(), Some(0), "{}", said(&cleaned));
    assert_eq!(Footprint::now(), before, "after a kill and clean");
}

/// A native run in the background.
struct Run {
    child: Child,
    stderr: BufReader<ChildStderr>,
    heard: String,
    dir: RunDir,
}

impl Run {
    fn start(name: &str, topology: &str) -> Run {
        Run::start_in(name, topology, Path::new(&format!("/tmp/{name}")))
    }

    fn start_in(name: &str, topology: &str, out: &Path) -> Run {
        let file = PathBuf::from(format!("/tmp/{name}.yaml"));
        fs::write(&file, topology).unwrap();
        let mut child = command(&["run", "--backend", "native", "--clock", "realtime"])
            .args(["--force", "--out"])
            .args([out, &file])
            .env("WPANLAB_LOG", "warn,nodes=debug,coap=debug")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Run {
            child,
            stderr,
            heard: String::new(),
            dir: RunDir::new(out),
        }
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// kill -9; then `clean` leaves what there was `before` the run.
    fn kill_and_clean(mut self, before: &Footprint) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let began = Instant::now();
        let mut heard = String::new();
        // What is still being made is written down before it can be cleaned.
        loop {
            let cleaned = wpanlab(&["clean"]);
            assert_eq!(cleaned.status.code(), Some(0), "{}", said(&cleaned));
            heard += &said(&cleaned);
            let left = Footprint::now();
            if left == *before {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "left: {left:#?}\nbefore: {before:#?}\n{heard}\n{}",
                self.heard
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_until_it_plays(&mut self) {
        self.wait_for("scenario: ");
    }

    fn wait_for(&mut self, words: &str) {
        loop {
            let length = self.heard.len();
            self.stderr.read_line(&mut self.heard).unwrap();
            let line = &self.heard[length..];
            assert!(!line.is_empty(), "no `{words}` in:\n{}", self.heard);
            if line.contains(words) {
                return;
            }
        }
    }

    fn end(mut self) -> Output {
        self.stderr.read_to_string(&mut self.heard).unwrap();
        let mut output = self.child.wait_with_output().unwrap();
        output.stderr = self.heard.into_bytes();
        output
    }
}

/// The command, in a process group of its own, as a shell starts it.
fn command(arguments: &[&str]) -> Command {
    use std::os::unix::process::CommandExt;
    // From the host's file system, every page of it would come over 9p.
    let binary = Path::new("/tmp/wpanlab");
    if !binary.exists() {
        let host = Path::new(HOST_ROOT).join(&env!("CARGO_BIN_EXE_wpanlab")[1..]);
        fs::copy(host, binary).unwrap();
    }
    let mut command = Command::new(binary);
    command.args(arguments).process_group(0);
    command
}

fn wpanlab(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Every process of user space that is no zombie, with its arguments.
fn running() -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if !arguments.is_empty() {
            let text = String::from_utf8_lossy(&arguments).replace('\0', " ");
            found.push((pid, text));
        }
    }
    found
}

fn is_running(pid: i32) -> bool {
    running().iter().any(|(found, _)| *found == pid)
}

/// The capabilities that a process and what it executes can have (proc(5), `CapBnd`).
fn bounding_set(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
}

fn daemons() -> Vec<i32> {
    let is_daemon = |(_, arguments): &(i32, String)| arguments.contains(" node --plan ");
    let all = running().into_iter().filter(is_daemon);
    all.map(|(pid, _)| pid).collect()
}

fn daemon(node: &str) -> i32 {
    let end = format!(" {node} ");
    let all = running().into_iter();
    all.filter(|(_, arguments)| arguments.contains(" node --plan "))
        .find(|(_, arguments)| arguments.ends_with(&end))
        .unwrap_or_else(|| panic!("no daemon of {node}"))
        .0
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn tree(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

fn events(dir: &RunDir) -> Vec<Event> {
    let file = fs::File::open(dir.events()).unwrap();
    rundir::event::read_all(BufReader::new(file)).unwrap()
}

fn packets(capture: &Path) -> usize {
    let file = fs::File::open(capture).unwrap();
    capture::Reader::new(capture.display().to_string(), BufReader::new(file))
        .unwrap()
        .map(Result::unwrap)
        .count()
}
