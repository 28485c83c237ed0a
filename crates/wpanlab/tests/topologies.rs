//! Every topology that the project ships does what its `expect:` says, and one that does not
//! says so with its exit code.

mod common;

use common::{Run, said, topology};

/// Runs `name` and returns its result, which passed.
fn passes(name: &str) -> serde_json::Value {
    let run = Run::of(&topology(name), &[]);
    assert_eq!(
        run.output.status.code(),
        Some(0),
        "{name}: {}",
        said(&run.output)
    );
    let result = run.result();
    let expectations = result["expectations"].as_array().unwrap();
    assert!(!expectations.is_empty(), "{name} expects nothing");
    assert!(
        expectations.iter().all(|e| e["outcome"] == "passed"),
        "{name}: {result:#}"
    );
    result
}

fn delay(result: &serde_json::Value) -> f64 {
    result["handovers"][0]["delay_s"].as_f64().unwrap()
}

#[test]
fn the_smallest_file_hands_over() {
    passes("minimal.yaml");
}

#[test]
fn a_node_that_goes_back_and_forth_hands_over_every_time() {
    let result = passes("ping-pong.yaml");
    let routers: Vec<_> = result["handovers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|handover| {
            (
                handover["from"].as_str().unwrap(),
                handover["to"].as_str().unwrap(),
            )
        })
        .collect();
    assert!(routers.len() >= 4, "{routers:?}");
    for (number, pair) in routers.iter().enumerate() {
        let expected = if number % 2 == 0 {
            ("er1", "er2")
        } else {
            ("er2", "er1")
        };
        assert_eq!(*pair, expected, "{routers:?}");
    }
}

#[test]
fn standard_timers_without_hold_take_seconds_and_lose_requests() {
    let result = passes("paper-comm.yaml");
    // evaluation.md: 1 s of duplicate address detection and up to 1 s each of solicitation
    // and DHCPv6 delay, plus at most MAX_RA_DELAY_TIME.
    let delay = delay(&result);
    assert!((1.0..3.7).contains(&delay), "{delay} s");
    assert!(result["requests"]["lost"].as_u64().unwrap() >= 1);
    let dad = result["handovers"][0]["phases"]["dad"].as_f64().unwrap();
    assert!((1.0..1.2).contains(&dad), "RetransTimer is 1 s: {dad}");
}

#[test]
fn with_hold_the_same_handover_loses_nothing() {
    let result = passes("paper-comm-hold.yaml");
    assert_eq!(result["requests"]["lost"], 0);
    assert!(delay(&result) > 1.0);
}

#[test]
fn a_missed_expectation_is_exit_code_1_and_named() {
    let text = std::fs::read_to_string(topology("minimal.yaml")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let wrong = dir.path().join("wrong.yaml");
    let changed = text.replace("handovers: 1", "handovers: 7");
    assert_ne!(changed, text, "minimal.yaml expects one handover");
    std::fs::write(&wrong, changed).unwrap();
    let run = Run::of(&wrong, &[]);
    assert_eq!(run.output.status.code(), Some(1), "{}", said(&run.output));
    assert!(
        said(&run.output).contains("failed: handovers 7"),
        "{}",
        said(&run.output)
    );
    assert_eq!(run.result()["passed"], false);
}

#[test]
fn a_sweep_over_seeds_reports_its_distribution_and_each_run_is_what_its_seed_gives() {
    let sweep = Run::of(
        &topology("minimal.yaml"),
        &["--seeds", "3..4", "--compare", "1 h"],
    );
    assert_eq!(
        sweep.output.status.code(),
        Some(0),
        "{}",
        said(&sweep.output)
    );
    let text = said(&sweep.output);
    assert!(text.contains("2 runs, 0 failed"), "{text}");
    assert!(
        text.contains("3600 s: 100.0 % of the delays are shorter"),
        "{text}"
    );
    let alone = Run::of(&topology("minimal.yaml"), &["--seed", "4"]);
    assert_eq!(sweep.read("seed-4/result.json"), alone.read("result.json"));
}
