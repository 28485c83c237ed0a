//! Runs over the per-frame air.

use super::*;
use measure::result::RadioUse;
use rundir::air::{Facts, Lateness};

/// The plan of the other tests with `medium: phy`.
fn phy_plan() -> Plan {
    let mut plan = plan_with("radio: { medium: phy, lateness_limit: 2 ms }\n");
    plan.seed = units::Seed(1);
    plan
}

/// What a radio had used: seconds transmitting, receiving and listening, and millijoules.
fn energy(us: u64, node: &str, used: [f64; 4]) -> Event {
    let [tx_s, rx_s, listen_s, millijoules] = used;
    let kind = EventKind::RadioEnergy {
        tx_s,
        rx_s,
        listen_s,
        sleep_s: 0.0,
        millijoules,
    };
    event(us, node, kind)
}

/// The events of a handover with what the radios had used, as a run leaves them.
fn phy_events() -> Vec<Event> {
    let mut events = events();
    events.extend([
        energy(0, "er1", [0.1, 0.2, 0.7, 60.0]),
        energy(0, "er2", [0.125, 0.0, 0.875, 62.0]),
        energy(0, "sensor", [0.017152, 0.020256, 0.205462693, 14.5]),
        energy(52_000, "sensor", [0.02, 0.025, 0.249870693, 18.25]),
        energy(57_000, "sensor", [0.021, 0.026, 0.252870693, 18.562]),
        energy(57_000, "sensor", [0.021, 0.026, 0.252870693, 18.562]),
        energy(88_500, "sensor", [0.025, 0.03, 0.276370693, 20.5]),
        event(30_000_000, SCENARIO, EventKind::ScenarioEnded),
        energy(30_000_000, "er1", [1.1, 1.2, 28.7, 1920.0]),
        energy(30_000_000, "er2", [0.125, 0.0, 30.875, 1923.0]),
        energy(30_000_000, "sensor", [1.449216, 1.5, 27.293654693, 1880.75]),
    ]);
    events.sort_by(|a, b| (a.time_ns, &a.node).cmp(&(b.time_ns, &b.node)));
    events
}

fn facts() -> Facts {
    Facts {
        frames: 28,
        transmissions: 31,
        acks: 20,
        sent: [("acknowledged", 20), ("sent", 7), ("not acknowledged", 1)]
            .map(|(how, count)| (how.to_owned(), count))
            .into(),
        delivered: 33,
        dropped: [("noise", 3), ("collision", 2)]
            .map(|(why, count)| (why.to_owned(), count))
            .into(),
        links: Vec::new(),
        lateness: Lateness {
            median_s: 0.000010317,
            p99_s: 0.00001131,
            max_s: 0.000023027,
            over_limit: 0,
        },
    }
}

/// A run directory with what the air left, not yet measured.
fn air_directory(root: &Path, plan: &Plan, events: &[Event], facts: &Facts) -> RunDir {
    let dir = run_directory(root, plan, events, &polls(&client_address(plan)));
    facts.write(&dir.air()).unwrap();
    // A frame that the air lost, with the FCS, after the header of link type 283.
    let header = vec![0, 0, 12, 0, 0, 0, 1, 0, 1, 0, 0, 0];
    let mut packet = Packet::new(
        0,
        crate::common::at(60_000),
        [header, vec![2, 0, 42, 0, 0]].concat(),
    );
    packet.comment = Some("sensor: attempt 1; er1: lost: noise, -97.1 dBm".into());
    let air = Capture {
        interfaces: vec![Interface::new("air", LinkType::IEEE802_15_4_TAP)],
        packets: vec![packet],
        ..Capture::default()
    };
    write_capture(&dir.air_capture(), &air);
    dir
}

fn measure_air(events: &[Event], facts: &Facts) -> (tempfile::TempDir, RunDir, RunResult) {
    let root = tempfile::tempdir().unwrap();
    let dir = air_directory(root.path(), &phy_plan(), events, facts);
    let result = measure::run_dir(&dir).unwrap();
    (root, dir, result)
}

#[test]
fn every_radio_is_charged_with_what_it_used_between_the_ends_of_the_scenario() {
    let (_root, _, result) = measure_air(&phy_events(), &facts());
    assert_eq!(result.notes, Vec::<String>::new());
    let used = |node: &str, [tx_s, rx_s, listen_s, millijoules]: [f64; 4]| RadioUse {
        node: node.into(),
        tx_s,
        rx_s,
        listen_s,
        sleep_s: 0.0,
        millijoules,
        mj_per_request: None,
    };
    // CC2420. Beside the handover, of 5 ms transmitting and 5 ms receiving, 10 requests were answered.
    // (1.427064 s * 17.4 mA + 1.474744 s * 18.8 mA) * 3.3 V / 10
    let expected = [
        used("er1", [1.0, 1.0, 28.0, 1860.0]),
        used("er2", [0.0, 0.0, 30.0, 1861.0]),
        RadioUse {
            mj_per_request: Some(17.343513264),
            ..used("sensor", [1.432064, 1.479744, 27.088192, 1866.25])
        },
    ];
    assert_eq!(result.radios.as_deref(), Some(&expected[..]));
    assert_eq!(result.air, Some(facts()));
    assert_eq!(result.lateness_limit_s, Some(0.002));
}

#[test]
fn every_phase_is_charged_with_what_the_moving_node_used_from_its_start_to_its_end() {
    let (_root, _, result) = measure_air(&phy_events(), &facts());
    let energy = result.handovers[0].energy_mj.as_ref().unwrap();
    let energy: Vec<_> = energy.iter().map(|(p, mj)| (p.name(), *mj)).collect();
    assert_eq!(energy, [("link", 0.312), ("binding", 1.938)]);
    assert_eq!(result.handovers[0].energy_total_mj, Some(2.25));
}

#[test]
fn the_summary_tells_of_the_air_the_handovers_energy_and_the_radios() {
    let (_root, _, result) = measure_air(&phy_events(), &facts());
    let expected = "\
handover: passed (seed 1, vm backend, virtual clock, kernel 6.1.0-18-amd64)
handover of sensor from er1 to er2, seen by client at /t: 50.000 ms, 0 lost
  phases: link 5.000 ms, binding 31.500 ms
  energy: 2.250 mJ: link 0.312 mJ, binding 1.938 mJ
asked: 10, answered 10 (100.00 %), failed 0, never sent 0
requests: 10 sent, 10 answered, 0 lost, 0 retransmitted
rtt: min 1.000 ms, median 1.000 ms, p95 1.000 ms, max 1.000 ms (without waiting in the client)
air: 28 frames, 31 transmissions, 33 delivered, 5 dropped (2 collision, 3 noise)
radio of er1: 1860.000 mJ (tx 1.000 s, rx 1.000 s, listen 28.000 s, sleep 0.000 s)
radio of er2: 1861.000 mJ (tx 0.000 s, rx 0.000 s, listen 30.000 s, sleep 0.000 s)
radio of sensor: 1866.250 mJ (tx 1.432 s, rx 1.480 s, listen 27.088 s, sleep 0.000 s)
passed: handovers 1 (1)
";
    let summary = text::summary(&result);
    assert!(summary.starts_with(expected), "{summary}");
    assert!(!summary.contains("WARNING"), "{summary}");
}

#[test]
fn more_than_eight_radios_are_not_listed_in_the_summary() {
    let (_root, _, mut result) = measure_air(&phy_events(), &facts());
    let radio = result.radios.as_ref().unwrap()[0].clone();
    let lines = |result: &RunResult| text::summary(result).matches("\nradio of ").count();
    result.radios = Some(vec![radio.clone(); 8]);
    assert_eq!(lines(&result), 8);
    result.radios = Some(vec![radio; 9]);
    assert_eq!(lines(&result), 0);
    assert!(text::summary(&result).contains("\nair: 28 frames"));
}

#[test]
fn an_air_that_was_late_is_a_loud_line_and_a_note() {
    let mut facts = facts();
    facts.lateness.max_s = 0.0035;
    facts.lateness.over_limit = 4;
    let (_root, _, result) = measure_air(&phy_events(), &facts);
    let late = "4 frames were handed over more than 2 ms late, the limit of the plan, and the worst 3.500 ms: delays under 3.500 ms are not trustworthy";
    assert_eq!(result.notes, [late]);
    let summary = text::summary(&result);
    let second = summary.lines().nth(1).unwrap();
    assert_eq!(second, format!("WARNING: {late}"));
    assert_eq!(summary.matches(late).count(), 1, "{summary}");
}

#[test]
fn a_radio_that_was_not_read_at_both_ends_is_left_out_and_noted() {
    let mut events = phy_events();
    let read = |e: &Event| matches!(e.kind, EventKind::RadioEnergy { .. });
    let end = START + 30_000_000_000;
    events.retain(|e| !(read(e) && e.node == "er2" && e.time_ns == end));
    events.retain(|e| !(read(e) && e.time_ns == START + 88_500_000));
    let (_root, _, result) = measure_air(&events, &facts());
    let radios = result.radios.as_ref().unwrap();
    let known: Vec<_> = radios.iter().map(|r| r.node.as_str()).collect();
    assert_eq!(known, ["er1", "sensor"]);
    assert_eq!(
        result.notes,
        [
            "what the radio of er2 used over the scenario is not known: it was not read at both ends",
            "the energy of sensor in phase binding of handover 1 is not known: its radio was not read at both ends",
        ]
    );
    let summary = text::summary(&result);
    let line = "  energy: at least 0.312 mJ: link 0.312 mJ\n";
    assert!(summary.contains(line), "{summary}");
}

#[test]
fn without_the_per_frame_air_no_key_speaks_of_it() {
    let plan = plan();
    // Stray readings change nothing.
    let (_root, dir, result) = measure(&plan, &phy_events(), &polls(&client_address(&plan)));
    assert_eq!((&result.radios, &result.air), (&None, &None));
    let text = fs::read_to_string(dir.result()).unwrap();
    for key in ["radios", "energy_mj", "\"air\"", "lateness_limit_s"] {
        assert!(!text.contains(key), "{key} in {text}");
    }
    assert!(!text::summary(&result).contains("mJ"));
}

#[test]
fn the_capture_of_the_air_is_neither_merged_nor_changed() {
    let root = tempfile::tempdir().unwrap();
    let dir = air_directory(root.path(), &phy_plan(), &phy_events(), &facts());
    let before = fs::read(dir.air_capture()).unwrap();
    measure::run_dir(&dir).unwrap();
    measure::run_dir(&dir).unwrap();
    assert!(fs::read(dir.air_capture()).unwrap() == before);
    let merged = capture::read(dir.merged_capture()).unwrap();
    let names: Vec<_> = merged.interfaces.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["client.eth0", "sensor.wpan0", "marks"]);
    // The events still stand in the captures of the interfaces.
    let client = capture::read(dir.capture("client", "eth0")).unwrap();
    assert!(client.packets.iter().any(|p| p.comment.is_some()));
}

#[test]
fn a_run_over_the_air_without_its_counts_cannot_be_measured() {
    let root = tempfile::tempdir().unwrap();
    let dir = air_directory(root.path(), &phy_plan(), &phy_events(), &facts());
    fs::remove_file(dir.air()).unwrap();
    let error = measure::run_dir(&dir).unwrap_err().to_string();
    assert!(error.contains("air.json: cannot read it"), "{error}");
}

/// The JSON blocks of a page.
fn json_blocks(page: &str) -> Vec<serde_json::Value> {
    let blocks = page.split("```json\n").skip(1);
    let text = |block: &str| block.split("```").next().unwrap().to_owned();
    let parse = |block: &str| serde_json::from_str(&text(block)).unwrap();
    blocks.map(parse).collect()
}

#[test]
fn the_keys_of_the_air_in_the_documentation_are_what_is_written() {
    let (_root, dir, _) = measure_air(&phy_events(), &facts());
    let written: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.result()).unwrap()).unwrap();
    let example = &json_blocks(include_str!("../../../../docs/result.md"))[1];
    for key in ["radios", "air", "lateness_limit_s"] {
        assert_eq!(example[key], written[key], "{key}");
    }
    let energy = |result: &serde_json::Value| result["handovers"][0]["energy_mj"].clone();
    assert_eq!(energy(example), energy(&written));
}

#[test]
fn the_documentation_of_the_run_directory_shows_a_real_air_json_and_a_real_event() {
    let blocks = json_blocks(include_str!("../../../../docs/run-directory.md"));
    let air = blocks.iter().find(|b| b.get("frames").is_some()).unwrap();
    let shown: Facts = serde_json::from_value(air.clone()).unwrap();
    assert_eq!(shown, facts());
    let event = blocks.iter().find(|b| b["event"] == "radio_energy");
    let shown: Event = serde_json::from_value(event.unwrap().clone()).unwrap();
    assert_eq!(
        shown,
        energy(0, "sensor", [0.017152, 0.020256, 0.205462693, 14.5])
    );
}
