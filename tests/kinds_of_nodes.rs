//! Nodes of every place that serve and ask, by every method, in the VM.

mod common;

use std::sync::LazyLock;

use common::{Run, root, said, topology};
use serde_json::Value;

/// One run for all tests of `kinds-of-nodes.yaml`.
static RUN: LazyLock<Run> =
    LazyLock::new(|| Run::of(&root().join("tests/data/kinds-of-nodes.yaml"), &[]));

fn events(kind: &str) -> Vec<Value> {
    let text = RUN.read("events.jsonl");
    let events = text
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap());
    events.filter(|event| event["event"] == kind).collect()
}

/// Requests sent and answered of who asks whom for what, and how.
fn asked(client: &str, method: &str, node: &str, resource: &str) -> (u64, u64) {
    let result = RUN.result();
    let flow = result["flows"].as_array().unwrap().iter().find(|flow| {
        let is = [client, method, node, resource];
        ["client", "method", "node", "resource"].map(|key| &flow[key]) == is.each_ref()
    });
    let flow = flow.unwrap_or_else(|| panic!("{client} {method} {node}{resource}: {result:#}"));
    let count = |key: &str| flow["requests"][key].as_u64().unwrap();
    (count("sent"), count("answered"))
}

#[test]
fn a_node_of_every_place_serves_and_asks() {
    assert_eq!(RUN.output.status.code(), Some(0), "{}", said(&RUN.output));
    // An edge router asks a sensor and is asked by a mobile node, also after that has moved on.
    assert_eq!(asked("er1", "GET", "still", "/door"), (12, 12));
    let (sent, answered) = asked("roving", "GET", "er1", "/uptime");
    assert!(sent >= 10 && answered == sent, "{answered} of {sent}");
    // A mobile node asks and is asked.
    let (sent, answered) = asked("roving", "GET", "still", "/light");
    assert!(sent >= 40 && answered == sent, "{answered} of {sent}");
    let (sent, answered) = asked("client", "GET", "roving", "/position");
    assert!(sent >= 50 && answered == sent, "{answered} of {sent}");
    // A client serves.
    assert_eq!(asked("wired", "PUT", "client", "/note"), (6, 6));
    let handovers = RUN.result()["handovers"].clone();
    let of_position = &handovers[0];
    assert_eq!(of_position["node"], "roving");
    assert!(
        of_position["delay_s"].as_f64().unwrap() > 0.0,
        "{handovers:#}"
    );
}

#[test]
fn a_resource_is_written_by_every_method_and_its_observers_are_told() {
    for method in ["PUT", "POST", "PATCH", "iPATCH", "FETCH", "DELETE"] {
        assert_eq!(asked("client", method, "still", "/door").0, 1, "{method}");
    }
    let result = RUN.result();
    let flows = result["flows"].as_array().unwrap();
    let observed = |resource: &str| {
        let of = |f: &&Value| f["resource"] == resource && !f["notifications"].is_null();
        let flow = flows.iter().find(of);
        flow.unwrap_or_else(|| panic!("{resource}: {result:#}"))["notifications"].clone()
    };
    // One for each of four writes. The fifth removes it, and the observation with it: "notify the
    // client by sending a notification with an appropriate response code" (RFC 7641 §4.2), a 4.04.
    assert_eq!(observed("/door")["received"], 5, "{result:#}");
    assert_eq!(observed("/light")["received"], 12, "{result:#}");
    assert_eq!(observed("/light")["lost"], 0, "{result:#}");
}

#[test]
fn requests_to_who_is_gone_fail_and_the_reasons_are_told() {
    let failed = events("request_failed");
    let reasons = |reason: &str| failed.iter().filter(|e| e["reason"] == reason).count();
    // 35 of 40 polls are made behind its back: some are sent and not answered, the others wait.
    assert!(reasons("timeout") >= 2, "{failed:#?}");
    assert!(reasons("backlog timeout") >= 20, "{failed:#?}");
    let drained = events("drained");
    let client = drained.iter().find(|e| e["node"] == "client").unwrap();
    let count = |key: &str| client[key].as_u64().unwrap();
    assert_eq!(count("answered") + count("failed"), count("requested"));
    let of_client = |reason: &str| {
        let all = failed.iter().filter(|e| e["node"] == "client");
        all.filter(|e| e["reason"] == reason).count()
    };
    for reason in ["timeout", "backlog timeout"] {
        assert_eq!(client["reasons"][reason], of_client(reason), "{reason}");
    }
    assert_eq!(
        count("failed"),
        failed.iter().filter(|e| e["node"] == "client").count() as u64
    );
}

/// The router's advertisements name the EUI-64 that its radio has, whatever the file says.
#[test]
fn a_router_that_was_given_an_eui64_is_handed_over_to() {
    let eui64 = r#"nodes.er2.eui64="02:00:00:00:00:00:be:ef""#;
    let run = Run::of(&topology("handover.yaml"), &["--set", eui64]);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    let result = run.result();
    let handover = &result["handovers"][0];
    assert_eq!(handover["to"], "er2");
    assert_eq!(handover["lost_message_ids"], Value::Array(Vec::new()));
}

/// What is asked of `tests/data/far.yaml` over a backbone of this kind: by whom, of whom, and the
/// shortest round trip in milliseconds.
fn round_trips(kind: &str) -> Vec<(String, String, u64)> {
    let set = format!("backbone.kind={kind}");
    let run = Run::of(&root().join("tests/data/far.yaml"), &["--set", &set]);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    let flows = run.result()["flows"].as_array().unwrap().clone();
    let name = |flow: &Value, key: &str| flow[key].as_str().unwrap().to_owned();
    let flows = flows.iter().map(|flow| {
        let rtt = flow["requests"]["rtt_s"]["min"].as_f64().unwrap();
        let ms = (rtt * 1000.0) as u64;
        (name(flow, "client"), name(flow, "node"), ms)
    });
    flows.collect()
}

#[test]
fn nodes_are_as_far_away_as_the_file_says_in_both_directions() {
    for kind in ["bridge", "routed"] {
        let mut found = round_trips(kind);
        found.sort();
        let expected = [
            // 5 ms of the backbone, and 30 ms, 50 ms or 20 ms of the ends; there and back.
            ("far", "store", 2 * (5 + 50 + 30)),
            ("near", "store", 2 * (5 + 30)),
            ("near", "wall", 2 * (5 + 20)),
        ];
        let expected = expected.map(|(client, node, ms)| (client.into(), node.into(), ms));
        assert_eq!(found, expected, "{kind}");
    }
}
