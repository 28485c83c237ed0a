//! What a report says of directories as runs leave them, and as accidents leave them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use measure::distribution::{HandoverRow, Row};
use measure::selftest::{Truth, synthesize};
use report::Report;
use roxmltree::Document;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Start of the scenario in the example of docs/result.md, and of the synthetic capture.
const START_NS: u64 = 1_600_000_000_000_000_000;

/// The example of docs/result.md: what `measure`'s own test says that it writes.
fn example() -> Value {
    let text = include_str!("../../../docs/result.md");
    let example = text.split("## Example").nth(1).unwrap();
    let json = example.split("```json\n").nth(1).unwrap();
    serde_json::from_str(json.split("```").next().unwrap()).unwrap()
}

fn plan() -> String {
    plan_with(&[])
}

/// The plan with these `PATH=VALUE`.
fn plan_with(set: &[&str]) -> String {
    let text = include_str!("../../../topologies/handover.yaml");
    let set: Vec<topology::Parameter> = set.iter().map(|text| text.parse().unwrap()).collect();
    let overrides = topology::Overrides {
        assignments: topology::Parameter::combinations(&set).remove(0),
        ..Default::default()
    };
    topology::load("handover.yaml", text, overrides)
        .unwrap()
        .to_yaml()
}

fn event(after_ns: u64, node: &str, rest: &Value) -> String {
    let mut event = json!({ "time_ns": START_NS + after_ns, "node": node });
    let keys = event.as_object_mut().unwrap();
    keys.extend(rest.as_object().unwrap().clone());
    event.to_string() + "\n"
}

/// The events of the example's handover: it started at 0.052 s, `link` took 5 ms and `binding`
/// 31.5 ms.
fn events() -> String {
    let phase = |what: &str, phase: &str| json!({"event": what, "handover": 1, "phase": phase});
    [
        event(0, "scenario", &json!({"event": "scenario_started"})),
        event(52_000_000, "sensor", &json!({"event": "handover_started", "handover": 1, "from": "er1", "reason": "signal"})),
        event(52_000_000, "sensor", &phase("phase_started", "link")),
        event(57_000_000, "sensor", &phase("phase_ended", "link")),
        event(57_000_000, "sensor", &phase("phase_started", "binding")),
        event(88_500_000, "sensor", &phase("phase_ended", "binding")),
        event(88_500_000, "sensor", &json!({"event": "handover_completed", "handover": 1, "to": "er2", "t_addr": "2001:db8:2::5"})),
        event(90_000_000, "client", &json!({"event": "request_failed", "p_addr": "2001:db8::9", "reason": "hold <timeout>"})),
    ]
    .concat()
}

/// A run directory with every file.
fn run() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    fs::write(path.join("plan.yaml"), plan()).unwrap();
    fs::write(
        path.join("run.json"),
        r#"{"backend":"vm","clock":"virtual","kernel":"6.1.0-18-amd64","wpanlab_version":"0.1.0"}"#,
    )
    .unwrap();
    fs::write(path.join("events.jsonl"), events()).unwrap();
    fs::write(path.join("result.json"), example().to_string()).unwrap();
    fs::create_dir(path.join("captures")).unwrap();
    let capture = synthesize(&Truth::default()).unwrap();
    fs::write(path.join("captures/client.eth0.pcapng"), capture).unwrap();
    dir
}

fn read(path: &Path) -> Report {
    Report::read(path, None).unwrap()
}

/// All text of a page or a drawing.
fn text(document: &Document) -> String {
    let texts = document.descendants().filter(|n| n.is_text());
    texts
        .filter_map(|n| n.text())
        .collect::<Vec<_>>()
        .join("\n")
}

fn parse(page: &str) -> Document<'_> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    Document::parse_with_options(page, options).unwrap()
}

#[test]
fn the_page_has_every_figure_for_both_widths_and_needs_nothing_else() {
    let dir = run();
    let report = read(dir.path());
    assert_eq!(report.problems(), [] as [&str; 0]);
    let page = report.html();
    let document = parse(&page);
    let figures: BTreeSet<&str> = document
        .descendants()
        .filter(|n| n.has_tag_name(("http://www.w3.org/1999/xhtml", "figure")))
        .filter_map(|n| n.attribute("id"))
        .collect();
    for id in [
        "topology",
        "handover-1",
        "message-ids-flow-1",
        "rtt-flow-1",
        "signal-sensor",
        "figure-15",
        "figure-16",
        "figure-17",
    ] {
        assert!(
            figures.contains(format!("fig-{id}").as_str()),
            "{id} in {figures:?}"
        );
    }
    let svgs = document
        .descendants()
        .filter(|n| n.tag_name().name() == "svg");
    assert_eq!(svgs.count(), 2 * figures.len());
    for node in document.descendants() {
        assert_ne!(node.tag_name().name(), "script");
        assert_eq!(node.attribute("src"), None);
        let link = node.attribute("href").unwrap_or("#");
        assert!(link.starts_with('#') || link == "data:,", "{link}");
        if let Some(target) = link.strip_prefix('#').filter(|t| !t.is_empty()) {
            let found = document
                .descendants()
                .any(|n| n.attribute("id") == Some(target));
            assert!(found, "nothing has the id {target}");
        }
    }
    let ids: Vec<&str> = document
        .descendants()
        .filter_map(|n| n.attribute("id"))
        .collect();
    assert_eq!(
        ids.len(),
        ids.iter().collect::<BTreeSet<_>>().len(),
        "ids are unique"
    );
    let text = text(&document);
    for told in [
        "passed",
        "6.1.0-18-amd64",
        "< 100 ms",
        "50.0 ms",
        "hold <timeout>",
        "lost (2)",
    ] {
        assert!(text.contains(told), "{told}");
    }
}

#[test]
fn the_timeline_shows_the_phases_and_the_gap_at_their_times() {
    let dir = run();
    let svgs = read(dir.path()).svgs();
    let (_, svg) = svgs.iter().find(|(name, _)| name == "handover-1").unwrap();
    let document = Document::parse(svg).unwrap();
    let text = text(&document);
    // The last response before was at 41 ms: that is time 0, the trigger 11 ms later.
    for told in [
        "link: 5.00 ms from 11.0 ms to 16.0 ms",
        "binding: 31.5 ms from 16.0 ms to 47.5 ms",
        "last response before: ID 104 at 0.000 ms",
        "first response after: ID 105 at 50.0 ms",
    ] {
        assert!(text.contains(told), "{told} in {text}");
    }
}

#[test]
fn svg_files_stand_alone_with_text_as_text() {
    let dir = run();
    let svgs = read(dir.path()).svgs();
    let names: BTreeSet<_> = svgs.iter().map(|s| &s.0).collect();
    assert_eq!(names.len(), svgs.len(), "names of files are unique");
    for (name, svg) in &svgs {
        let document = Document::parse(svg).unwrap();
        let root = document.root_element();
        assert_eq!(
            root.tag_name().namespace(),
            Some("http://www.w3.org/2000/svg"),
            "{name}"
        );
        let mut texts = root.descendants().filter(|n| n.tag_name().name() == "text");
        assert!(texts.next().is_some(), "{name}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
    }
}

#[test]
fn hostile_text_stays_text() {
    let evil = "</title></style><script>alert('x')</script><img src=\"http://x/\"/>&amp;\u{1}";
    let dir = run();
    let mut result = example();
    for key in ["topology", "kernel", "backend"] {
        result[key] = json!(evil);
    }
    result["handovers"][0]["node"] = json!(evil);
    result["handovers"][0]["from"] = json!(evil);
    result["flows"][0]["resource"] = json!(evil);
    result["notes"] = json!([evil]);
    result["expectations"][1]["expected"] = json!(evil);
    result["expectations"][1]["outcome"] = json!("failed");
    fs::write(dir.path().join("result.json"), result.to_string()).unwrap();
    let plan = plan().replace("er2", "'</svg><script>'");
    fs::write(dir.path().join("plan.yaml"), plan).unwrap();
    let report = read(dir.path());
    assert_eq!(report.problems(), [] as [&str; 0]);
    let page = report.html();
    let document = parse(&page);
    assert!(
        !document
            .descendants()
            .any(|n| ["script", "img"].contains(&n.tag_name().name()))
    );
    assert!(text(&document).contains("<script>alert('x')</script>"));
    for (name, svg) in report.svgs() {
        assert!(!name.contains(['/', '<', ' ']), "{name}");
        let document = Document::parse(&svg).unwrap();
        assert!(
            !document
                .descendants()
                .any(|n| n.tag_name().name() == "script")
        );
    }
    Document::parse(&report.junit()).unwrap();
}

#[test]
fn a_missing_or_damaged_file_is_said_and_the_rest_is_shown() {
    for name in [
        "plan.yaml",
        "run.json",
        "events.jsonl",
        "result.json",
        "captures/client.eth0.pcapng",
    ] {
        let last = name.rsplit('/').next().unwrap();
        for damaged in [None, Some("\u{0}{[nothing"), Some("")] {
            let dir = run();
            let path = dir.path().join(name);
            match damaged {
                None => fs::remove_file(&path).unwrap(),
                Some(text) => fs::write(&path, text).unwrap(),
            }
            let report = read(dir.path());
            let told = report.problems().iter().any(|p| p.starts_with(last));
            // An empty log of events is a log; that it holds none shows elsewhere.
            assert!(
                told || (name == "events.jsonl" && damaged == Some("")),
                "{name}, {damaged:?}: {:?}",
                report.problems()
            );
            let page = report.html();
            let document = parse(&page);
            for problem in report.problems() {
                let shown = problem.replace('\u{0}', "");
                assert!(
                    text(&document).contains(shown.lines().next().unwrap()),
                    "{shown}"
                );
            }
            assert!(
                page.contains("id=\"fig-figure-15\""),
                "the model needs no file"
            );
        }
    }
}

#[test]
fn a_missing_key_is_said_and_the_rest_is_shown() {
    let keys: Vec<String> = example().as_object().unwrap().keys().cloned().collect();
    for key in keys.iter().filter(|key| *key != "schema") {
        for wrong in [None, Some(json!({"no": "such thing"}))] {
            let mut result = example();
            match wrong {
                None => drop(result.as_object_mut().unwrap().remove(key)),
                Some(value) => result[key] = value,
            }
            let dir = run();
            fs::write(dir.path().join("result.json"), result.to_string()).unwrap();
            let report = read(dir.path());
            let told = report
                .problems()
                .iter()
                .filter(|p| p.contains(&format!("`{key}`")));
            assert_eq!(told.count(), 1, "{key}: {:?}", report.problems());
            parse(&report.html());
        }
    }
}

#[test]
fn a_directory_of_something_else_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let error = Report::read(dir.path(), None).unwrap_err().to_string();
    assert!(error.starts_with(&dir.path().display().to_string()) && error.contains("result.json"));
}

#[test]
fn junit_has_one_case_per_expectation_and_failures_say_what_was_measured() {
    let dir = run();
    let mut result = example();
    result["expectations"][1]["outcome"] = json!("failed");
    result["expectations"][1]["measured"] = json!(0.25);
    result["expectations"][4] = json!({"metric": "rtt_p95", "expected": "<= 1 ms", "measured": null, "outcome": "not measured", "reason": "a capture is damaged"});
    fs::write(dir.path().join("result.json"), result.to_string()).unwrap();
    let xml = read(dir.path()).junit();
    let document = Document::parse(&xml).unwrap();
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    let suite = root.first_element_child().unwrap();
    // The attributes that the common schema (Jenkins' junit-10.xsd) requires.
    for (name, value) in [("tests", "5"), ("failures", "2"), ("errors", "0")] {
        assert_eq!(suite.attribute(name), Some(value));
        assert_eq!(root.attribute(name), Some(value));
    }
    assert!(suite.attribute("name").is_some());
    let order: Vec<_> = suite
        .children()
        .filter(|n| n.is_element())
        .map(|n| n.tag_name().name())
        .collect();
    assert_eq!(
        order,
        [
            "properties",
            "testcase",
            "testcase",
            "testcase",
            "testcase",
            "testcase"
        ]
    );
    let cases: Vec<_> = suite
        .children()
        .filter(|n| n.has_tag_name("testcase"))
        .collect();
    assert!(
        cases
            .iter()
            .all(|c| c.attribute("name").is_some() && c.attribute("classname") == Some("handover"))
    );
    assert_eq!(cases[1].attribute("name"), Some("handover_delay < 100 ms"));
    let failure = cases[1].first_element_child().unwrap();
    assert_eq!(failure.tag_name().name(), "failure");
    assert_eq!(
        failure.attribute("message"),
        Some("expected < 100 ms, measured 250 ms")
    );
    assert_eq!(failure.text(), Some("measured value: 0.25"));
    let unmeasured = cases[4].first_element_child().unwrap();
    assert!(
        unmeasured
            .attribute("message")
            .unwrap()
            .contains("a capture is damaged")
    );
    assert_eq!(cases[0].first_element_child(), None);
}

#[test]
fn a_run_without_a_result_is_an_error_in_junit() {
    let dir = run();
    fs::remove_file(dir.path().join("result.json")).unwrap();
    let xml = read(dir.path()).junit();
    let document = Document::parse(&xml).unwrap();
    assert_eq!(document.root_element().attribute("errors"), Some("1"));
    assert!(document.descendants().any(|n| n.has_tag_name("error")));
}

/// A sweep as `wpanlab run --seeds` leaves it, of rows of [`row`].
fn sweep(rows: &[Row]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let lines = rows
        .iter()
        .map(|row| serde_json::to_string(row).unwrap() + "\n");
    fs::write(path.join("runs.jsonl"), lines.collect::<String>()).unwrap();
    let (mut values, mut seeds) = (BTreeSet::new(), BTreeSet::new());
    for row in rows {
        values.insert(row.set["backbone.delay"].clone());
        seeds.insert(row.seed.0);
        let run = path.join(&row.dir);
        fs::create_dir_all(&run).unwrap();
        // The rate of [`row`], at which the paper holds figure 17.
        let delay = format!("backbone.delay={}", row.set["backbone.delay"]);
        let plan = plan_with(&[&delay, "nodes.client.polls[0].every=100 ms"]);
        fs::write(run.parent().unwrap().join("plan.yaml"), plan).unwrap();
        let mut result = example();
        result["expectations"][0]["outcome"] = json!(if row.passed { "passed" } else { "failed" });
        fs::write(run.join("result.json"), result.to_string()).unwrap();
    }
    let manifest = json!({
        "schema": 1, "topology": "x/handover.yaml", "seeds": [seeds.first(), seeds.last()],
        "parameters": [{"path": "backbone.delay", "values": values}],
        "backend": "vm, kvm", "clock": "virtual", "kernel": "6.1.0", "wpanlab_version": "0.1.0",
    });
    fs::write(path.join("sweep.json"), manifest.to_string()).unwrap();
    dir
}

/// A run with handovers of these delays, that each lost 3 at 10 requests per second.
fn row(point: usize, delay: &str, seed: u64, delays_s: &[f64]) -> Row {
    let handover = |delay_s: &f64| HandoverRow {
        node: "sensor".into(),
        client: "client".into(),
        from: None,
        to: None,
        delay_s: Some(*delay_s),
        outage_s: Some(0.25),
        rate_per_s: Some(10.0),
        lost: 3,
        phases: [
            (rundir::Phase::Link, 0.005),
            (rundir::Phase::Binding, 0.0315),
        ]
        .into(),
        energy_mj: None,
    };
    let figures = [("lost", 3.0 * delays_s.len() as f64), ("sent", 10.0)];
    Row {
        point,
        seed: units::Seed(seed),
        set: [("backbone.delay".to_owned(), delay.to_owned())].into(),
        command: format!("wpanlab run x/handover.yaml --seed {seed}"),
        dir: format!("point-{point}/seed-{seed}"),
        passed: true,
        error: None,
        figures: figures.map(|(name, value)| (name.to_owned(), value)).into(),
        handovers: delays_s.iter().map(handover).collect(),
    }
}

fn names(report: &Report) -> BTreeSet<String> {
    report.svgs().into_iter().map(|svg| svg.0).collect()
}

#[test]
fn a_sweep_of_one_point_shows_percentiles_failed_seeds_and_where_a_delay_falls() {
    let mut rows = [
        row(1, "2 ms", 9, &[0.1, 0.2]),
        row(1, "2 ms", 10, &[0.3, 0.4]),
    ];
    rows[1].passed = false;
    let dir = sweep(&rows);
    let compare = std::time::Duration::from_millis(350);
    let report = Report::read(dir.path(), Some(compare)).unwrap();
    assert_eq!(report.problems(), [] as [&str; 0]);
    let page = report.html();
    let text = text(&parse(&page));
    // R: quantile(c(100, 200, 300, 400)) gives 100, 175, 250, 325, 400; 5 % is 115, 95 % is 385.
    for told in [
        "\n115\n175\n250\n325\n385\n400\n",
        "3 of 4 delays, 75.0 %, are shorter than 350 ms.",
        "Of 2 runs 1 failed and 0 ended without a measurement; they stand first.",
        "12 of 20 Message IDs were lost, in 2 of 2 measured runs.",
        // 10 a second for 0.25 s.
        "3.00 lost per handover, lambda * D is 2.50 (means of 4 handovers in 2 runs). The difference is 0.500, without an interval",
        "wpanlab run x/handover.yaml --seed 10",
        // Figure 17: Lw is half of the backbone's 2 ms.
        "Here that is 1.00 ms: 3.00 lost per handover, mean of 4.",
    ] {
        assert!(text.contains(told), "{told} in {text}");
    }
    let names = names(&report);
    for name in [
        "delay-cumulative",
        "delay-histogram",
        "phases",
        "lost-lambda-d",
        "figure-15",
    ] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert!(
        !names.iter().any(|name| name.starts_with("over-")),
        "nothing varies"
    );
    let xml = report.junit();
    let document = Document::parse(&xml).unwrap();
    let suites: Vec<_> = document
        .descendants()
        .filter(|n| n.has_tag_name("testsuite"))
        .map(|s| {
            (
                s.attribute("name").unwrap(),
                s.attribute("failures").unwrap(),
            )
        })
        .collect();
    assert_eq!(suites, [("point-1/seed-9", "0"), ("point-1/seed-10", "1")]);
}

#[test]
fn a_sweep_over_a_delay_is_split_by_it_and_drawn_over_it() {
    let rows: Vec<Row> = ["2 ms", "20 ms"]
        .iter()
        .enumerate()
        .flat_map(|(i, delay)| (1..=6).map(move |seed| row(i + 1, delay, seed, &[0.1 + i as f64])))
        .collect();
    let dir = sweep(&rows);
    let report = read(dir.path());
    assert_eq!(report.problems(), [] as [&str; 0]);
    let page = report.html();
    let text = text(&parse(&page));
    for told in [
        "1: 2 ms (6)",
        "2: 20 ms (6)",
        // Every run lost 3 and had 2.5: the difference is 0.5, and so are both ends.
        "0.500 to 0.500",
        "Of 2 points, the losses follow lambda * D at 0 (0 lies in the 95 % interval of the difference), do not at 2,",
        "Figure 15 is left out",
        "Figure 16 is left out",
    ] {
        assert!(text.contains(told), "{told} in {text}");
    }
    let names = names(&report);
    for name in [
        "over-handover_delay_s",
        "over-binding_s",
        "over-lost_per_handover",
        "figure-17",
    ] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert!(
        !names.contains("delay-histogram"),
        "two points have no common one"
    );
}

#[test]
fn an_interrupted_sweep_has_no_verdict_and_a_run_without_a_measurement_is_an_error() {
    let mut rows = vec![
        row(1, "2 ms", 1, &[0.1]),
        row(1, "2 ms", 2, &[]),
        row(2, "5 ms", 1, &[0.2]),
    ];
    let dir = sweep(&rows);
    let report = read(dir.path());
    let told = "runs.jsonl has 3 of the 4 runs of sweep.json";
    assert!(
        report.problems()[0].starts_with(told),
        "{:?}",
        report.problems()
    );
    assert!(report.html().contains("verdict not known"));
    (rows[1].passed, rows[1].error) = (false, Some("the VM <ended>".into()));
    let dir = sweep(&rows);
    let report = read(dir.path());
    let page = report.html();
    assert!(text(&parse(&page)).contains("not measured: the VM <ended>"));
    let xml = report.junit();
    let document = Document::parse(&xml).unwrap();
    let errors: Vec<_> = document
        .descendants()
        .filter(|n| n.has_tag_name("error"))
        .collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].attribute("message"), Some("the VM <ended>"));
}

#[test]
fn a_damaged_table_of_runs_is_said() {
    let whole = serde_json::to_string(&row(1, "2 ms", 1, &[0.1])).unwrap();
    for (line, problems) in [
        ("", 1),
        ("{", 2),
        ("[]", 2),
        ("{\"seed\": \"x\"}", 2),
        (&whole, 2),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("runs.jsonl"), line).unwrap();
        let report = read(dir.path());
        // sweep.json is missing in any case, and the plan of the whole run.
        assert_eq!(
            report.problems().len(),
            problems,
            "{line}: {:?}",
            report.problems()
        );
        parse(&report.html());
        Document::parse(&report.junit()).unwrap();
    }
}
