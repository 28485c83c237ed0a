//! A node is asked by HTTP at one URL, wherever it is.

mod common;
#[path = "gateway/desk.rs"]
mod desk;
#[path = "gateway/page.rs"]
mod page;

use common::{Run, root, said, topology, tshark, wpanlab};

#[test]
fn a_url_and_what_is_followed_stay_valid_through_a_handover() {
    let run = Run::of(&root().join("tests/gateway/gateway.yaml"), &[]);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    let log = run.read("log/web.log");
    let told = |what: &str| -> Vec<&str> {
        let lines = log.lines().filter_map(|line| line.strip_prefix(what));
        lines.map(str::trim).collect()
    };
    assert_eq!(told("stream "), ["200 text/event-stream"], "{log}");
    let answers = told("get ");
    assert!(answers.len() > 1, "{log}");
    assert!(
        answers.iter().all(|answer| answer.starts_with("200 2")),
        "{log}"
    );
    // Ten seconds of them: it was still told where it is after the handover.
    assert_eq!(told("states "), ["20"], "{log}");
    // The gateway is a client of the measurement like any.
    let result = run.result();
    assert_eq!(
        result["handovers"].as_array().map(Vec::len),
        Some(1),
        "{result}"
    );
}

/// The times, statuses and bytes that tshark reads of the responses in a capture, each with the request that it answers.
fn by_tshark(run: &Run) -> Vec<(f64, u16)> {
    let capture = run.path("captures/browser.eth0.pcapng");
    let fields = ["http.time", "http.response.code"];
    let filter =
        "http.response && tcp.srcport == 8080 && !(http.content_type contains \"event-stream\")";
    let lines = tshark(&capture, filter, &fields);
    let read = |line: Vec<String>| (line[0].parse().unwrap(), line[1].parse().unwrap());
    lines.into_iter().map(read).collect()
}

#[test]
fn a_client_of_http_waits_out_the_hold_and_tshark_sees_the_same() {
    let run = Run::of(&topology("web.yaml"), &[]);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    let result = run.result();
    let http = &result["http"][0];
    let [asked, followed] = http["polls"].as_array().unwrap().as_slice() else {
        panic!("{http:#}");
    };
    let count = |key: &str| asked["requests"][key].as_u64().unwrap();
    let judged = by_tshark(&run);
    assert_eq!(judged.len() as u64, count("sent"));
    assert!(
        judged.iter().all(|(_, status)| *status == 200),
        "{judged:?}"
    );
    // tshark stamps the request by its last segment, and the response by its first: both are one each here.
    let longest = judged.iter().map(|(time, _)| *time).fold(0.0, f64::max);
    let told = asked["requests"]["latency_s"]["max"].as_f64().unwrap();
    assert!((longest - told).abs() < 1e-6, "{longest} s, {told} s");
    // Duplicate address detection alone takes a second: one request is open all the while, and the next ones are left out.
    let seen = &asked["handovers"][0];
    assert!(seen["late"].as_u64().unwrap() >= 1, "{asked:#}");
    assert_eq!(seen["longest_s"], told, "{asked:#}");
    assert!(told > 0.8, "{told} s");
    assert!(
        count("sent") + 5 < asked["due"].as_u64().unwrap(),
        "{asked:#}"
    );
    // What is followed goes on by the same stream.
    assert_eq!(followed["requests"]["sent"], 1);
    let silence = followed["handovers"][0]["silence_s"].as_f64().unwrap();
    assert!(silence > 0.8, "{followed:#}");
    assert_eq!(http["connections"]["opened"], 2);
    // The client says the same of itself.
    let events = run.read("events.jsonl");
    let drained = events
        .lines()
        .find(|line| line.contains("\"http_drained\""))
        .unwrap();
    let drained: serde_json::Value = serde_json::from_str(drained).unwrap();
    assert_eq!(drained["asked"], count("sent") + 1);
    assert_eq!(drained["answered"], count("answered") + 1);
    // The page draws each state, the first one, too, and says of nothing that it is no number.
    let page = run.dir.path().join("page.html");
    let mut command = wpanlab(&["report", "--out"]);
    let output = command.arg(&page).arg(run.path("")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let page = std::fs::read_to_string(page).unwrap();
    let drawn = format!(">state ({})<", followed["events"]["states"]);
    assert!(page.contains(&drawn), "no {drawn}");
    assert!(!page.contains("NaN ms"));
}

/// They share its connections, and nobody tells whose those were that were refused.
#[test]
fn of_two_clients_of_one_gateway_neither_passes_without_connections() {
    let run = Run::of(&root().join("tests/gateway/two.yaml"), &[]);
    assert_eq!(run.output.status.code(), Some(1), "{}", said(&run.output));
    let result = run.result();
    let [http] = result["http"].as_array().unwrap().as_slice() else {
        panic!("{:#}", result["http"]);
    };
    assert_eq!(http["polls"].as_array().unwrap().len(), 3, "{http:#}");
    let refused = http["connections"]["refused"].as_u64().unwrap();
    assert!(refused > 20, "{http:#}");
    let expected = result["expectations"].as_array().unwrap();
    let judged: Vec<_> = expected.iter().map(|e| &e["outcome"]).collect();
    let right = ["passed", "passed", "failed", "failed"];
    assert_eq!(judged, right, "{expected:#?}");
    assert!(expected[1]["measured"].as_f64().unwrap() >= refused as f64);
    // No state came any more.
    let silence = http["polls"][2]["events"]["longest_silence_s"]
        .as_f64()
        .unwrap();
    assert!((3.5..4.5).contains(&silence), "{http:#}");
}

#[test]
fn who_waits_no_longer_than_the_hold_is_told_to_ask_again() {
    let wait = ["--set", "nodes.web.services[0].gateway.wait=300ms"];
    let run = Run::of(&topology("web.yaml"), &wait);
    // It was shipped with the expectation that all are answered.
    assert_eq!(run.output.status.code(), Some(1), "{}", said(&run.output));
    let result = run.result();
    let asked = &result["http"][0]["polls"][0];
    let later = by_tshark(&run)
        .iter()
        .filter(|(_, status)| *status == 503)
        .count() as u64;
    assert_eq!(asked["requests"]["deferred"], later, "{asked:#}");
    assert_eq!(asked["handovers"][0]["deferred"], later, "{asked:#}");
    assert!(later >= 1, "{asked:#}");
    assert_eq!(asked["requests"]["unanswered"], 0);
    let text = said(&run.output);
    assert!(text.contains("failed: http_delivery >= 100 %"), "{text}");
}

#[test]
fn who_gives_up_before_the_gateway_does_has_no_response() {
    let impatient = [
        "--set",
        "nodes.browser.services[0].http-client.timeout=300ms",
    ];
    let run = Run::of(&topology("web.yaml"), &impatient);
    assert_eq!(run.output.status.code(), Some(1), "{}", said(&run.output));
    let result = run.result();
    let asked = &result["http"][0]["polls"][0];
    let unanswered = asked["requests"]["unanswered"].as_u64().unwrap();
    assert!(unanswered >= 1, "{asked:#}");
    assert_eq!(asked["handovers"][0]["unanswered"], unanswered);
    // Each time another connection.
    assert_eq!(result["http"][0]["connections"]["opened"], 2 + unanswered);
}
