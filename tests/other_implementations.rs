//! libcoap's client and aiocoap inside the network, while the testbed's own client polls and
//! the node hands over.

mod common;

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use common::{Run, root, said};
use serde_json::Value;

/// P_Addr of `sensor`, and T_Addr at `er1`.
const AT_ER1: &str = "2001:db8:1::ff:fe00:10";
/// T_Addr of `sensor` at `er2`.
const AT_ER2: &str = "2001:db8:2::ff:fe00:10";

/// One run of `peers.yaml` for all tests but one.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    let python = root().join("target/peers/bin/python");
    assert!(
        python.exists(),
        "no aiocoap in {}: run ./scripts/setup",
        python.display()
    );
    passed(&peers("peers.yaml"))
});

fn peers(name: &str) -> PathBuf {
    root().join("tests/other_implementations").join(name)
}

fn passed(topology: &Path) -> Run {
    let run = Run::of(topology, &[]);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    run
}

/// A CoAP message as libcoap's client prints it:
/// `v:1 t:ACK c:2.05 i:1f39 {01} [ Content-Format:text/plain ] :: '20.5            '`.
#[derive(Debug, PartialEq)]
struct Message {
    /// `CON`, `NON`, `ACK`.
    kind: String,
    /// `GET`, `2.05`.
    code: String,
    mid: String,
    token: String,
    /// Name, or number if libcoap has none, and value.
    options: Vec<(String, String)>,
    payload: String,
}

impl Message {
    fn parse(line: &str) -> Message {
        let (head, rest) = line
            .split_once(" [")
            .unwrap_or_else(|| panic!("no message: {line}"));
        let (options, payload) = rest.split_once(']').unwrap();
        let mut words = head.split(' ').skip(1);
        let mut word = |prefix: &str| {
            let word = words.next().unwrap();
            word.strip_prefix(prefix).unwrap().to_owned()
        };
        Message {
            kind: word("t:"),
            code: word("c:"),
            mid: word("i:"),
            token: word(""),
            options: options
                .split(", ")
                .filter_map(|option| option.trim().split_once(':'))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            payload: payload
                .strip_prefix(" :: '")
                .and_then(|p| p.strip_suffix('\''))
                .unwrap_or_default()
                .to_owned(),
        }
    }

    fn option(&self, name: &str) -> &str {
        let found = self.options.iter().find(|(n, _)| n == name);
        &found.unwrap_or_else(|| panic!("no {name} in {self:?}")).1
    }

    /// The bytes of an option that libcoap does not know: `\x02\x55`.
    fn bytes(&self, number: &str) -> Vec<u8> {
        self.option(number)
            .split("\\x")
            .skip(1)
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect()
    }

    fn address(&self, number: &str) -> String {
        let bytes: [u8; 16] = self.bytes(number).try_into().unwrap();
        Ipv6Addr::from(bytes).to_string()
    }

    fn is_answer_to(&self, request: &Message) -> bool {
        let acknowledges = self.kind != "ACK" || self.mid == request.mid;
        self.token == request.token && acknowledges
    }
}

/// Every message in the log of a node that runs libcoap's client.
fn messages(run: &Run, node: &str) -> Vec<Message> {
    let log = run.read(&format!("log/{node}.log"));
    log.lines()
        .filter(|line| line.starts_with("v:1 "))
        .map(Message::parse)
        .collect()
}

/// The one request of a node, and its one answer.
fn exchange(node: &str) -> (Message, Message) {
    let messages = messages(&RUN, node);
    let [.., request, answer] = messages.as_slice() else {
        panic!("{node}: {messages:?}");
    };
    assert_eq!(request.code, "GET", "{node}: {messages:?}");
    assert!(answer.is_answer_to(request), "{node}: {messages:?}");
    let mut messages = messages;
    let answer = messages.pop().unwrap();
    (messages.pop().unwrap(), answer)
}

fn assert_is_a_reading(answer: &Message) {
    assert_eq!(answer.code, "2.05", "{answer:?}");
    assert_eq!(answer.option("Content-Format"), "text/plain");
    assert_eq!(answer.payload.len(), 16, "{answer:?}");
    let degrees: f64 = answer.payload.trim().parse().unwrap();
    assert!((10.0..35.0).contains(&degrees), "{answer:?}");
}

/// `program_exited` of every program: node and status.
fn exits(run: &Run) -> Vec<(String, i64)> {
    let events = run.read("events.jsonl");
    let events = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut exits: Vec<(String, i64)> = events
        .filter(|event| event["event"] == "program_exited")
        .map(|event| {
            let node = event["node"].as_str().unwrap().to_owned();
            (node, event["status"].as_i64().unwrap())
        })
        .collect();
    exits.sort();
    exits
}

#[test]
fn every_program_ends_well_and_the_client_notices_nothing() {
    let ended = [
        "aiocoap",
        "find-at-er1",
        "find-at-er2",
        "find-critical",
        "find-nobody",
        "read-at-er1",
        "read-at-er2",
        "read-non",
        "read-second",
    ];
    assert_eq!(exits(&RUN), ended.map(|node| (node.to_owned(), 0)));
    let result = RUN.result();
    assert_eq!(result["requests"]["lost"], 0, "{result:#}");
    assert_eq!(result["handovers"].as_array().unwrap().len(), 1);
    assert!(result["requests"]["answered"].as_u64().unwrap() >= 190);
}

#[test]
fn libcoap_reads_the_node_before_and_after_the_handover() {
    for node in ["read-at-er1", "read-at-er2"] {
        let (request, answer) = exchange(node);
        assert_eq!((&*request.kind, &*answer.kind), ("CON", "ACK"), "{node}");
        assert_is_a_reading(&answer);
    }
    let asked = |node: &str| RUN.read(&format!("log/{node}.log"));
    assert!(asked("read-at-er1").contains(&format!("[{AT_ER1}]:5683")));
    assert!(asked("read-at-er2").contains(&format!("[{AT_ER2}]:5683")));
}

#[test]
fn libcoaps_non_confirmable_request_gets_a_non_confirmable_answer() {
    let (request, answer) = exchange("read-non");
    assert_eq!((&*request.kind, &*answer.kind), ("NON", "NON"));
    assert_is_a_reading(&answer);
}

#[test]
fn libcoap_is_answered_when_only_its_retransmission_arrives() {
    let log = RUN.read("log/read-second.log");
    assert!(log.contains("Packet 1 dropped"), "{log}");
    assert!(log.contains("retransmission #1"), "{log}");
    assert_is_a_reading(&exchange("read-second").1);
}

#[test]
fn libcoap_gets_the_nodes_address_from_the_wmms() {
    for (node, t_addr) in [("find-at-er1", AT_ER1), ("find-at-er2", AT_ER2)] {
        let (request, answer) = exchange(node);
        assert!(request.bytes("2048").is_empty(), "discovery: {request:?}");
        assert_eq!((&*answer.kind, &*answer.code), ("ACK", "2.05"), "{node}");
        assert_eq!(answer.address("2049"), AT_ER1, "{node}: P_Addr");
        assert_eq!(answer.address("2050"), t_addr, "{node}: T_Addr");
        let lifetime = answer.bytes("2051");
        let seconds = lifetime
            .iter()
            .fold(0, |sum, byte| sum * 256 + u32::from(*byte));
        assert!((500..=600).contains(&seconds), "{node}: {seconds} s");
        assert!(answer.bytes("2053").is_empty(), "{node}: {answer:?}");
    }
}

#[test]
fn libcoap_gets_the_errors_of_the_standard() {
    let (_, nobody) = exchange("find-nobody");
    assert_eq!(nobody.code, "4.04", "{nobody:?}");
    let (_, critical) = exchange("find-critical");
    assert_eq!(critical.code, "4.02", "{critical:?}");
    assert!(critical.payload.contains("2999"), "{critical:?}");
}

#[test]
fn aiocoap_follows_the_node() {
    let log = RUN.read("log/aiocoap.log");
    let lines: Vec<&str> = log.lines().collect();
    let line = |start: &str| {
        let found = lines.iter().position(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no `{start}` in\n{log}"))
    };
    let order = [
        line(&format!("T_Addr {AT_ER1} lifetime ")),
        line(&format!("CON {AT_ER1} /temperature 2.05 2")),
        line(&format!("NON {AT_ER1} /temperature 2.05 2")),
        line(&format!(
            "CON {AT_ER1} /.well-known/core 2.05 </temperature>;ct=0;sz=16,</comp>"
        )),
        line(&format!("T_Addr {AT_ER2} lifetime ")),
        line(&format!("CON {AT_ER2} /temperature 2.05 ")),
        line("done"),
    ];
    assert!(order.is_sorted(), "{log}");
    let links = lines
        .iter()
        .filter(|line| line.ends_with("/.well-known/core 2.05 </comp>"));
    assert_eq!(links.count(), 1, "the WMMS lists its resource:\n{log}");
}

#[test]
fn a_request_that_libcoap_repeats_is_answered_again_with_the_same_content() {
    let run = passed(&peers("late.yaml"));
    assert_eq!(exits(&run), [("reader".to_owned(), 0)]);
    let messages = messages(&run, "reader");
    let first = &messages[0];
    assert_eq!((&*first.kind, &*first.code), ("CON", "GET"));
    let repeats = messages.iter().filter(|message| *message == first);
    assert_eq!(repeats.count(), 2, "{messages:?}");
    let answers: Vec<&Message> = messages
        .iter()
        .filter(|message| message.code == "2.05" && message.is_answer_to(first))
        .collect();
    let [once, again] = answers.as_slice() else {
        panic!("two answers to the same Message ID: {messages:?}");
    };
    assert_eq!(once, again);
    assert_is_a_reading(once);
}

/// The exit code of a run with one program, and what it said.
fn run_of_program(command: &str) -> (Option<i32>, String) {
    let text = std::fs::read_to_string(peers("late.yaml")).unwrap();
    let text = text.replace("delay: 1600 ms", "delay: 1 ms");
    let (before, _) = text.split_once("    command:").unwrap();
    let topology = tempfile::NamedTempFile::new().unwrap();
    let text = format!("{before}    command: {command}\n\nscenario: {{ duration: 3 s }}\n");
    std::fs::write(topology.path(), text).unwrap();
    let run = Run::of(topology.path(), &[]);
    (run.output.status.code(), said(&run.output))
}

#[test]
fn a_program_that_fails_fails_the_run_with_the_end_of_its_log() {
    let (code, text) = run_of_program("[sh, -c, \"pwd; echo to stderr >&2; exit 4\"]");
    assert_eq!(code, Some(3), "{text}");
    let directory = root().display().to_string();
    for part in ["node reader", "exit status: 4", &directory, "to stderr"] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    let (code, text) = run_of_program("[no-such-program]");
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.contains("node reader: start \"no-such-program\": No such file"),
        "{text}"
    );
    let (code, text) = run_of_program("[sleep, \"100\"]");
    assert_eq!(code, Some(0), "still running at the end: {text}");
}
