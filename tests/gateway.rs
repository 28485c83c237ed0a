//! A node is asked by HTTP at one URL, wherever it is.

mod common;

use common::{Run, root, said};

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
