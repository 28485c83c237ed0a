//! A run directory to `result.json` and `all.pcapng`.

mod air;
mod applications;
mod attachment;
mod calls;
mod home_address;
mod http;
mod outage;
mod sequence;
mod signalling;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::common::{START, Wire, content, get};
use capture::{Capture, Interface, LinkType, Packet, Writer};
use coap::{Code, Kind};
use measure::assemble::{InterfaceCapture, build};
use measure::result::{Outcome, RunResult};
use measure::text;
use rundir::event::{Reason, SCENARIO, write_line};
use rundir::{BindingEvent, Event, EventKind, HandoverEvent, Phase, RunDir, RunFacts};
use topology::plan::{Comparison, Expectation, Metric, Plan, Scope};

const P_ADDR: &str = "fd00:f::5";
const OLD: &str = "[2001:db8:1::5]:5683";
const NEW: &str = "[2001:db8:2::5]:5683";

/// A resolved plan of two routers, a WMMS, a sensor and a client.
fn plan() -> Plan {
    plan_with("")
}

/// The same with more keys of the topology, whole lines.
fn plan_with(keys: &str) -> Plan {
    let text = "\
version: 1
name: handover
nodes:
  er1: { role: edge-router, channel: 15, pan: 0x0001, prefix: \"2001:db8:1::/64\" }
  er2: { role: edge-router, channel: 20, pan: 0x0002, prefix: \"2001:db8:2::/64\" }
  dhcp: { role: dhcpv6-server }
  wmms: { role: wmms }
  sensor: { role: mobile-node, attached_to: er1, resources: [{ path: /t, size: 16 B }] }
  client: { role: client, polls: [{ node: sensor, path: /t, every: 10 ms }] }
scenario: { duration: 30 s, steps: [] }
"
    .to_owned()
        + keys;
    let overrides = topology::Overrides::default();
    let mut plan =
        topology::load("handover.yaml", &text, overrides).unwrap_or_else(|e| panic!("{e:?}"));
    plan.nodes.get_mut("sensor").unwrap().address = P_ADDR.parse().unwrap();
    plan.expect = vec![
        expect(Metric::Handovers, Comparison::Equal, 1.0, "1"),
        expect(Metric::HandoverDelay, Comparison::Less, 0.1, "< 100 ms"),
        expect(Metric::Lost, Comparison::Equal, 0.0, "0"),
        expect(Metric::Failed, Comparison::Equal, 0.0, "0"),
        expect(Metric::RttP95, Comparison::AtMost, 0.001, "<= 1 ms"),
    ];
    plan
}

fn expect(metric: Metric, comparison: Comparison, value: f64, text: &str) -> Expectation {
    Expectation {
        metric,
        of: Default::default(),
        comparison,
        value,
        text: text.into(),
    }
}

fn client_address(plan: &Plan) -> String {
    let backbone = plan.nodes["client"].backbone.as_ref().unwrap();
    format!("[{}]:5683", backbone.address.addr())
}

fn event(us: u64, node: &str, kind: impl Into<EventKind>) -> Event {
    Event {
        time_ns: START + us * 1000,
        node: node.into(),
        kind: kind.into(),
    }
}

/// A handover at 50 ms that takes 40 ms; the scenario starts at 0.
fn events() -> Vec<Event> {
    let registered = BindingEvent::Registered {
        p_addr: P_ADDR.parse().unwrap(),
        t_addr: "2001:db8:1::5".parse().unwrap(),
    };
    let started = HandoverEvent::Started {
        handover: 1,
        from: "er1".into(),
        reason: Reason::Signal,
    };
    let phase = |phase, starts| match starts {
        true => HandoverEvent::PhaseStarted { handover: 1, phase },
        false => HandoverEvent::PhaseEnded { handover: 1, phase },
    };
    let completed = HandoverEvent::Completed {
        handover: 1,
        to: "er2".into(),
        t_addr: "2001:db8:2::5".parse().unwrap(),
    };
    let drained = EventKind::Drained {
        requested: 10,
        answered: 10,
        sent: 0,
        failed: 0,
        reasons: Default::default(),
        waited: None,
    };
    vec![
        event(0, "client", EventKind::Ready),
        event(0, "sensor", registered),
        event(0, SCENARIO, EventKind::ScenarioStarted),
        event(52_000, "sensor", started),
        event(52_000, "sensor", phase(Phase::LINK, true)),
        event(57_000, "sensor", phase(Phase::LINK, false)),
        event(57_000, "sensor", phase(Phase::BINDING, true)),
        event(88_500, "sensor", phase(Phase::BINDING, false)),
        event(88_500, "sensor", completed),
        event(200_000, "client", drained),
    ]
}

/// Five polls at the old address, five at the new one, 10 ms apart but for the gap of 50 ms.
fn polls(client: &str) -> Wire {
    let mut wire = Wire::new();
    for n in 0..5_u16 {
        wire.poll(u64::from(n) * 10_000, 100 + n, n as u8, client, OLD);
        wire.poll(
            u64::from(n) * 10_000 + 90_000,
            105 + n,
            5 + n as u8,
            client,
            NEW,
        );
    }
    wire
}

fn write_capture(path: &Path, capture: &Capture) {
    let file = fs::File::create(path).unwrap();
    let mut writer = Writer::new(file, &capture.interfaces).unwrap();
    for packet in &capture.packets {
        writer.write(packet).unwrap();
    }
    writer.finish().unwrap();
}

fn facts() -> RunFacts {
    RunFacts {
        backend: "vm".into(),
        clock: "virtual".into(),
        kernel: "6.1.0-18-amd64".into(),
        qemu: None,
        processor: None,
        wpanlab_version: "0.1.0".into(),
    }
}

fn run_directory(root: &Path, plan: &Plan, events: &[Event], wire: &Wire) -> RunDir {
    let dir = RunDir::new(root);
    fs::create_dir_all(dir.captures()).unwrap();
    fs::write(dir.plan(), plan.to_yaml()).unwrap();
    facts().write(&dir.facts()).unwrap();
    let mut log = Vec::new();
    for event in events {
        write_line(&mut log, event).unwrap();
    }
    fs::write(dir.events(), log).unwrap();
    write_capture(&dir.capture("client", "eth0"), &wire.capture());
    // What a wpan sniffer leaves beside it: an acknowledgement frame without FCS.
    let wpan = Capture {
        interfaces: vec![Interface::new("wpan0", LinkType::IEEE802_15_4_NOFCS)],
        packets: vec![Packet::new(0, crate::common::at(1), vec![0x02, 0x00, 42])],
        ..Capture::default()
    };
    write_capture(&dir.capture("sensor", "wpan0"), &wpan);
    dir
}

fn measure(plan: &Plan, events: &[Event], wire: &Wire) -> (tempfile::TempDir, RunDir, RunResult) {
    let root = tempfile::tempdir().unwrap();
    let dir = run_directory(root.path(), plan, events, wire);
    let result = measure::run_dir(&dir).unwrap();
    (root, dir, result)
}

/// A second sensor that polls the first one moves in the middle of it.
#[test]
fn a_mobile_node_that_polls_is_a_client_by_its_permanent_address() {
    let mut plan = plan();
    let mut asking = plan.nodes["sensor"].clone();
    asking.address = "fd00:f::6".parse().unwrap();
    asking.services.clone_from(&plan.nodes["client"].services);
    plan.nodes.insert("walker".into(), asking);
    plan.nodes.remove("client");

    let (here, there) = ("[2001:db8:1::6]:5683", "[2001:db8:2::6]:5683");
    let mut wire = Wire::new();
    wire.poll(1_000, 1, 1, here, OLD)
        .poll(11_000, 2, 2, there, OLD)
        .poll(95_000, 3, 3, there, NEW)
        // What others ask the walker is not its own.
        .poll(12_000, 9, 9, OLD, there);
    let mut events = events();
    for t_addr in ["2001:db8:1::6", "2001:db8:2::6"] {
        let kind = BindingEvent::Registered {
            p_addr: "fd00:f::6".parse().unwrap(),
            t_addr: t_addr.parse().unwrap(),
        };
        events.push(event(0, "walker", kind));
    }
    let capture = InterfaceCapture {
        node: "walker".into(),
        interface: "lowpan0".into(),
        capture: wire.capture(),
    };
    let result = build(&plan, &facts(), &events, &[capture], None);
    let [flow] = &result.flows[..] else {
        panic!("{:#?}", result.flows)
    };
    assert_eq!(
        (flow.client.as_str(), flow.node.as_str()),
        ("walker", "sensor")
    );
    assert_eq!((flow.requests.sent, flow.requests.lost), (3, 0));
    let [handover] = &result.handovers[..] else {
        panic!("{:#?}", result.handovers)
    };
    assert_eq!(handover.client, "walker");
    assert!((handover.delay_s.unwrap() - 0.084).abs() < 1e-9);
}

#[test]
fn a_run_is_measured_and_its_expectations_judged() {
    let plan = plan();
    let (_root, dir, result) = measure(&plan, &events(), &polls(&client_address(&plan)));
    assert_eq!(result.notes, Vec::<String>::new());
    assert!(result.passed, "{:?}", result.expectations);

    let handover = &result.handovers[0];
    assert_eq!(result.handovers.len(), 1);
    assert_eq!(
        (handover.node.as_str(), handover.client.as_str()),
        ("sensor", "client")
    );
    assert_eq!(handover.from.as_deref(), Some("er1"));
    assert_eq!(handover.to.as_deref(), Some("er2"));
    assert_eq!(handover.delay_s, Some(0.05));
    let ends = (handover.last_before.unwrap(), handover.first_after.unwrap());
    assert_eq!((ends.0.message_id, ends.0.time_s), (104, 0.041));
    assert_eq!((ends.1.message_id, ends.1.time_s), (105, 0.091));
    assert_eq!(
        (handover.started_s, handover.completed_s),
        (Some(0.052), Some(0.0885))
    );
    let phases: Vec<_> = handover
        .phases
        .iter()
        .map(|(p, s)| (p.name(), *s))
        .collect();
    assert_eq!(phases, [("link", 0.005), ("binding", 0.0315)]);
    assert_eq!((result.requests.sent, result.requests.answered), (10, 10));
    assert_eq!(result.scenario.start_unix_ns, START);

    let text = fs::read_to_string(dir.result()).unwrap();
    assert_eq!(serde_json::from_str::<RunResult>(&text).unwrap(), result);
    let summary = text::summary(&result);
    assert!(summary.starts_with("handover: passed (seed "), "{summary}");
    let line = "handover of sensor from er1 to er2, seen by client at /t: 50.000 ms, 0 lost\n  phases: link 5.000 ms, binding 31.500 ms\n";
    assert!(summary.contains(line), "{summary}");
    assert!(
        summary.contains("passed: handover_delay < 100 ms (50.000 ms)\n"),
        "{summary}"
    );
}

#[test]
fn the_example_in_the_documentation_is_what_is_written() {
    let mut plan = plan();
    plan.seed = units::Seed(1);
    let (_root, dir, _) = measure(&plan, &events(), &polls(&client_address(&plan)));
    let written = fs::read_to_string(dir.result()).unwrap();
    let page = include_str!("../../../docs/result.md");
    let example = page
        .split("```json\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    assert_eq!(example, written, "\n{written}");
}

#[test]
fn measuring_twice_writes_the_same_bytes() {
    let plan = plan();
    let (_root, dir, _) = measure(&plan, &events(), &polls(&client_address(&plan)));
    let files = || {
        let client = dir.capture("client", "eth0");
        [dir.result(), dir.merged_capture(), client].map(|f| fs::read(f).unwrap())
    };
    let once = files();
    measure::run_dir(&dir).unwrap();
    assert!(files() == once);
}

#[test]
fn the_events_stand_as_comments_in_the_clients_capture() {
    let plan = plan();
    let (_root, dir, _) = measure(&plan, &events(), &polls(&client_address(&plan)));
    let capture = capture::read(dir.capture("client", "eth0")).unwrap();
    let commented = capture
        .packets
        .iter()
        .find(|p| p.time == crate::common::at(90_000));
    let comment = commented.unwrap().comment.as_deref().unwrap();
    let first = comment.lines().next().unwrap();
    assert_eq!(
        first,
        "sensor: handover 1 started, from er1 (signal) (38ms before this packet)"
    );
    assert_eq!(fs::read_dir(dir.captures()).unwrap().count(), 3);
}

#[test]
fn a_handover_that_the_client_never_saw_is_reported_and_not_measured() {
    let plan = plan();
    let mut wire = Wire::new();
    wire.poll(0, 1, 1, &client_address(&plan), OLD);
    let (_root, _, result) = measure(&plan, &events(), &wire);
    assert!(!result.passed);
    assert_eq!(result.handovers.len(), 1);
    assert_eq!(result.handovers[0].delay_s, None);
    assert_eq!(result.handovers[0].to.as_deref(), Some("er2"));
    let outcome = |metric| {
        let mut all = result.expectations.iter();
        all.find(|e| e.metric == metric).unwrap().outcome
    };
    assert_eq!(outcome(Metric::Handovers), Outcome::Passed);
    assert_eq!(outcome(Metric::HandoverDelay), Outcome::NotMeasured);
    assert_eq!(outcome(Metric::Lost), Outcome::Passed);
    assert_eq!(
        result.notes,
        [
            "the handover that sensor completed at 0.0885 s is not in the capture of client: no response came after it"
        ]
    );
}

#[test]
fn what_a_client_is_asked_itself_is_none_of_its_flows() {
    let plan = plan();
    let client = client_address(&plan);
    let mut wire = polls(&client);
    wire.poll(1_000, 900, 90, "[2001:db8::9]:5683", &client);
    let client = "client".to_owned();
    let analysis = measure::assemble::analysis(&plan, &events(), &client, &[wire.capture()]);
    let flows = analysis.flows.iter();
    let asked: Vec<_> = flows
        .map(|f| (f.node.as_deref(), f.exchanges.len()))
        .collect();
    assert_eq!(asked, [(Some("sensor"), 10)]);
}

#[test]
fn a_run_without_requests_measures_nothing() {
    let plan = plan();
    let mut wire = Wire::new();
    let stranger = get(Kind::Confirmable, 1, 1, "/t");
    wire.message(0, &client_address(&plan), "[2001:db8:9::9]:5683", &stranger);
    let (_root, _, result) = measure(&plan, &events(), &wire);
    let not_measured = [Metric::HandoverDelay, Metric::Lost, Metric::RttP95];
    for e in result
        .expectations
        .iter()
        .filter(|e| not_measured.contains(&e.metric))
    {
        assert_eq!(e.outcome, Outcome::NotMeasured, "{:?}", e.metric);
        assert_eq!(
            e.reason.as_deref(),
            Some("client sent no request for sensor/t")
        );
    }
    assert!(result.notes[0].starts_with("client sent 1 requests for /t to [2001:db8:9::9]:5683"));
}

#[test]
fn a_run_that_was_interrupted_is_measured_as_far_as_it_came_and_has_not_passed() {
    let plan = plan();
    let wire = polls(&client_address(&plan));
    let (_kept, dir, whole) = measure(&plan, &events(), &wire);
    assert_eq!(whole.partial, None);
    std::fs::write(dir.error(), "interrupted by SIGINT\n").unwrap();
    let result = measure::run_dir(&dir).unwrap();
    assert!(!result.passed);
    assert_eq!(
        result.partial.as_deref(),
        Some("interrupted by SIGINT; the last event of its 30 s is at 0.200 s")
    );
    assert_eq!(result.requests, whole.requests);
    // Its capture goes on after the last event.
    let events: Vec<Event> = events().into_iter().take(3).collect();
    let (_kept, dir, _) = measure(&plan, &events, &wire);
    std::fs::write(dir.error(), "interrupted by SIGINT\n").unwrap();
    let how_far = measure::run_dir(&dir).unwrap().partial.unwrap();
    assert!(
        how_far.ends_with("the last packet of its 30 s is at 0.131 s"),
        "{how_far}"
    );
    let text = measure::text::summary(&result);
    assert!(text.contains(": partial ("), "{text}");
    assert!(text.contains("WARNING: interrupted by SIGINT"), "{text}");
}

#[test]
fn a_missing_capture_is_an_error_that_names_the_file() {
    let plan = plan();
    let root = tempfile::tempdir().unwrap();
    let dir = run_directory(root.path(), &plan, &events(), &Wire::new());
    fs::remove_file(dir.capture("client", "eth0")).unwrap();
    let error = measure::run_dir(&dir).unwrap_err().to_string();
    assert!(
        error.contains("client.eth0.pcapng: cannot open the capture"),
        "{error}"
    );
}

#[test]
fn tshark_opens_the_merged_capture_and_gives_the_delay_of_the_result() {
    let plan = plan();
    let (_root, dir, result) = measure(&plan, &events(), &polls(&client_address(&plan)));
    let fields =
        "-Tfields -eframe.time_epoch -eframe.interface_name -ecoap.mid -ecoap.code -eframe.comment";
    let output = Command::new("tshark")
        .arg("-r")
        .arg(dir.merged_capture())
        .args(fields.split(' '))
        .output()
        .expect("tshark is needed for this test: install the package tshark");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split('\t').collect()).collect();

    let comments = rows.iter().filter(|r| r[1] == "marks").map(|r| r[4]);
    assert_eq!(
        comments.collect::<Vec<_>>(),
        [
            "sensor: fd00:f::5 registered at 2001:db8:1::5",
            "scenario started",
            "sensor: handover 1 started, from er1 (signal)",
            "sensor: handover 1: link started",
            "sensor: handover 1: link ended",
            "sensor: handover 1: binding started",
            "sensor: handover 1: binding ended",
            "sensor: handover 1 completed, at er2 as 2001:db8:2::5",
        ]
    );
    assert_eq!(rows.iter().filter(|r| r[1] == "sensor.wpan0").count(), 1);
    let response = |message_id: &str| {
        let row = rows
            .iter()
            .find(|r| r[1] == "client.eth0" && r[2] == message_id && r[3] == "69");
        row.unwrap()[0]
            .split('.')
            .nth(1)
            .unwrap()
            .parse::<f64>()
            .unwrap()
            / 1e9
    };
    let delay = response("105") - response("104");
    assert!((delay - result.handovers[0].delay_s.unwrap()).abs() < 1e-3);
}

/// A run directory may have come from anywhere.
#[test]
fn what_lies_in_a_run_directory_is_measured_as_files_and_leads_nowhere() {
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let root = tempfile::tempdir().unwrap();
    let plan = plan();
    let wire = polls(&client_address(&plan));
    let dir = run_directory(root.path(), &plan, &events(), &wire);
    // In the places of what is written.
    symlink(&victim, dir.result()).unwrap();
    symlink(&victim, dir.merged_capture()).unwrap();
    measure::run_dir(&dir).unwrap();
    for file in [dir.result(), dir.merged_capture()] {
        assert!(fs::symlink_metadata(&file).unwrap().is_file(), "{file:?}");
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    // In the places of what is read.
    let capture = dir.capture("sensor", "wpan0");
    for file in [dir.plan(), dir.facts(), dir.events(), capture] {
        let kept = root.path().join("kept");
        fs::rename(&file, &kept).unwrap();
        symlink(&kept, &file).unwrap();
        let refused = measure::run_dir(&dir).unwrap_err().to_string();
        let named = file.display().to_string();
        assert!(refused.starts_with(&named), "{refused}");
        assert!(refused.contains("a symbolic link"), "{refused}");
        fs::remove_file(&file).unwrap();
        fs::rename(&kept, &file).unwrap();
    }
    // And of a directory.
    fs::rename(dir.captures(), elsewhere.path().join("captures")).unwrap();
    symlink(elsewhere.path().join("captures"), dir.captures()).unwrap();
    let refused = measure::run_dir(&dir).unwrap_err().to_string();
    assert!(refused.contains("captures is no directory"), "{refused}");
}
