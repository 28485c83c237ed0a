//! What a report says of directories as runs leave them, and as accidents leave them.

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{example, parse, plan_with, read, run, text};
use report::Report;
use roxmltree::Document;
use serde_json::json;

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
    let scripts = |n: &roxmltree::Node| n.tag_name().name() == "script";
    assert_eq!(document.descendants().filter(scripts).count(), 1, "its own");
    for node in document.descendants() {
        assert_eq!(node.attribute("src"), None);
        let link = node.attribute("href").unwrap_or("#");
        let file = node.tag_name().name() == "a" && dir.path().join(link).exists();
        assert!(link.starts_with('#') || link == "data:," || file, "{link}");
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
fn costs_that_no_run_has_are_no_reason_to_fail() {
    let dir = run();
    let mut result = example();
    let cost = json!({ "messages": u64::MAX, "bytes": u64::MAX });
    let mut handover = result["handovers"][0].clone();
    handover["signalling"] = json!({ "air": { "comp": cost }, "wired": { "comp": cost } });
    result["handovers"] = json!([handover, handover]);
    fs::write(dir.path().join("result.json"), result.to_string()).unwrap();
    let report = read(dir.path());
    assert_eq!(report.problems(), [] as [&str; 0]);
    assert!(report.html().contains("signalling per handover"));
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
    let plan = plan_with(&[]).replace("er2", "'</svg><script>'");
    fs::write(dir.path().join("plan.yaml"), plan).unwrap();
    let report = read(dir.path());
    assert_eq!(report.problems(), [] as [&str; 0]);
    let page = report.html();
    let document = parse(&page);
    let named = |name: &str| {
        let nodes = document.descendants();
        nodes.filter(|n| n.tag_name().name() == name).count()
    };
    assert_eq!((named("script"), named("img")), (1, 0), "its own script");
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

#[test]
fn a_run_that_did_not_come_to_its_end_is_an_error_in_junit_and_partial_on_the_page() {
    let dir = run();
    let mut result = example();
    let why = "interrupted by SIGINT; the last event of its 5 s is at 2.000 s";
    result["partial"] = json!(why);
    result["passed"] = json!(false);
    fs::write(dir.path().join("result.json"), result.to_string()).unwrap();
    let of_result = read(dir.path());
    fs::remove_file(dir.path().join("result.json")).unwrap();
    fs::write(dir.path().join("error.txt"), "the VM ended\n").unwrap();
    let of_error = read(dir.path());
    fs::remove_file(dir.path().join("error.txt")).unwrap();
    let told = Report::read_unfinished(dir.path(), None, "the disk is full").unwrap();
    let nothing = Report::of_nothing("walk", "walk.yaml:3:1: unknown key");
    for (report, why) in [
        (of_result, why),
        (of_error, "the VM ended"),
        (told, "the disk is full"),
        (nothing, "walk.yaml:3:1: unknown key"),
    ] {
        let xml = report.junit();
        let document = Document::parse(&xml).unwrap();
        let root = document.root_element();
        for (count, expected) in [("tests", "1"), ("failures", "0"), ("errors", "1")] {
            assert_eq!(root.attribute(count), Some(expected), "{xml}");
        }
        let error = document.descendants().find(|n| n.has_tag_name("error"));
        assert_eq!(error.unwrap().attribute("message"), Some(why));
        let page = report.html();
        let top = page.split_once("<nav>").unwrap().0;
        assert!(top.contains(r#"<span class="verdict failed">partial</span>"#));
        assert!(top.contains(&format!("did not come to its end</b>: {why}.")));
        assert!(!page.contains("<b>passed</b>"), "{page}");
    }
}

/// The verdict is about what the topology expects; what failed beside it must not be overlooked.
#[test]
fn what_failed_and_no_expectation_is_about_stands_at_the_top_and_is_a_skipped_case() {
    let dir = run();
    let mut result = example();
    let uncovered = "15 of 25 requests failed, and no expectation is about that: 15 hold timeout";
    result["uncovered"] = json!([uncovered]);
    let tally = json!({
        "asked": 25, "answered": 10, "failed": 15, "reasons": { "hold timeout": 15 },
        "never_sent": 15, "delivery_percent": 40.0,
    });
    let mut client = tally.clone();
    client["client"] = json!("client");
    result["calls"] = json!({ "all": tally, "clients": [client] });
    result["given_up"] = json!([
        { "node": "sensor", "number": 2, "from": "er1", "started_s": 1.0, "ended_s": 2.0, "reason": "er2 lost" },
    ]);
    fs::write(dir.path().join("result.json"), result.to_string()).unwrap();
    let report = read(dir.path());
    assert_eq!(report.problems(), [] as [&str; 0]);
    let page = report.html();
    let document = parse(&page);
    let header = (document.descendants())
        .find(|n| n.tag_name().name() == "header")
        .unwrap();
    let told: String = header.descendants().filter_map(|n| n.text()).collect();
    assert!(told.contains(uncovered), "{told}");
    let text = text(&document);
    for told in [
        "15 of 25",
        "40.00 %",
        "hold timeout",
        "1 handover given up: 1 er2 lost",
    ] {
        assert!(text.contains(told), "{told}");
    }

    let xml = report.junit();
    let document = Document::parse(&xml).unwrap();
    let suite = document.root_element().first_element_child().unwrap();
    let counts = ["tests", "failures", "skipped", "time"].map(|name| suite.attribute(name));
    assert_eq!(counts, [Some("6"), Some("0"), Some("1"), Some("30")]);
    let skipped = (suite.descendants())
        .find(|n| n.has_tag_name("skipped"))
        .unwrap();
    assert_eq!(skipped.attribute("message"), Some(uncovered));
    let property = |name: &str| {
        let mut all = suite.descendants().filter(|n| n.has_tag_name("property"));
        let found = all.find(|n| n.attribute("name") == Some(name));
        found.and_then(|n| n.attribute("value"))
    };
    for (name, value) in [
        ("asked", "25"),
        ("failed", "15"),
        ("never sent", "15"),
        ("failed: hold timeout", "15"),
        ("failed by client: hold timeout", "15"),
        ("delivery in percent", "40"),
        ("delivery in percent by client", "40"),
        ("seed", "1"),
    ] {
        assert_eq!(property(name), Some(value), "{name}");
    }
}

/// The texts of the cells of the rows of the table whose first head is `head`.
fn rows_of(page: &str, head: &str) -> Vec<Vec<String>> {
    let document = parse(page);
    let named = |node: &roxmltree::Node, name: &str| node.tag_name().name() == name;
    let all = |node: roxmltree::Node| -> String {
        node.descendants()
            .filter_map(|n| n.text().filter(|_| n.is_text()))
            .collect()
    };
    let mut tables = document.descendants().filter(|n| named(n, "table"));
    let table = tables.find(|table| {
        let first = table.descendants().find(|n| named(n, "th"));
        first.is_some_and(|th| all(th) == head)
    });
    let rows = table
        .into_iter()
        .flat_map(|t| t.descendants())
        .filter(|n| named(n, "tr"));
    let cells = rows.map(|row| row.children().filter(|n| named(n, "td")).map(all).collect());
    cells
        .filter(|cells: &Vec<String>| !cells.is_empty())
        .collect()
}

#[test]
fn the_page_says_when_and_how_the_run_was_made_and_leads_to_its_captures() {
    let dir = run();
    let plain = read(dir.path()).html();
    assert!(!plain.contains("command line"), "nothing is made up");
    let made = json!({
        "started": "2026-11-29T04:05:06Z",
        "command": "wpanlab run 'my walk.yaml' --seed 7",
        "warnings": ["line 5: nobody asks it"],
    });
    fs::write(dir.path().join("made.json"), made.to_string()).unwrap();
    let report = read(dir.path());
    assert_eq!(report.problems(), [] as [&str; 0]);
    let page = report.html();
    let text = text(&parse(&page));
    for told in [
        "2026-11-29T04:05:06Z",
        "wpanlab run 'my walk.yaml' --seed 7",
        "nobody asks it",
    ] {
        assert!(text.contains(told), "{told}");
    }
    assert!(page.contains("href=\"captures/client.eth0.pcapng\""));
    let beside = dir.path().parent().unwrap().join("page.html");
    let name = dir.path().file_name().unwrap().to_str().unwrap();
    let page = report.html_at(&beside, dir.path());
    assert!(page.contains(&format!("href=\"{name}/captures/client.eth0.pcapng\"")));
    fs::write(dir.path().join("made.json"), "{").unwrap();
    let report = read(dir.path());
    assert_eq!(report.problems().len(), 1, "{:?}", report.problems());
    assert!(report.problems()[0].starts_with("made.json cannot be understood"));
}

#[test]
fn the_page_has_what_each_link_of_the_air_delivered_and_says_where_that_is_not_known() {
    let dir = run();
    let phy = plan_with(&["radio={ medium: phy }".into()]);
    fs::write(dir.path().join("plan.yaml"), phy).unwrap();
    let text = include_str!("../../../docs/result.md");
    let air = text.split("would have these keys").nth(1).unwrap();
    let air = air.split("```json\n").nth(1).unwrap();
    let air: serde_json::Value = serde_json::from_str(air.split("```").next().unwrap()).unwrap();
    let mut result = example();
    result["radios"] = air["radios"].clone();
    result["air"] = air["air"].clone();
    let page = |result: &serde_json::Value| {
        fs::write(dir.path().join("result.json"), result.to_string()).unwrap();
        read(dir.path()).html()
    };
    assert!(page(&result).contains("`air` of result.json does not tell it"));
    result["air"]["links"] = json!([
        { "from": "er1", "to": "sensor", "frames": 8, "delivered": 6 },
        { "from": "sensor", "to": "er1", "frames": 3, "delivered": 3 },
    ]);
    let told = rows_of(&page(&result), "from");
    assert_eq!(
        told,
        [
            ["er1", "sensor", "8", "6", "75.00 %"],
            ["sensor", "er1", "3", "3", "100.00 %"]
        ]
    );
}

#[test]
fn every_observation_is_drawn_with_what_it_received_and_lost() {
    let dir = run();
    let mut result = example();
    let mut flow = result["flows"][0].clone();
    flow["notifications"] = json!({
        "sent": 10, "received": 9, "confirmable": 1, "lost": 1, "lost_percent": 10.0, "reordered": 0,
    });
    let flows: Vec<_> = (0..21)
        .map(|i| {
            let mut flow = flow.clone();
            flow["node"] = json!(format!("sensor{i}"));
            flow
        })
        .collect();
    result["flows"] = json!(flows);
    fs::write(dir.path().join("result.json"), result.to_string()).unwrap();
    let svgs = read(dir.path()).svgs();
    let (_, svg) = svgs.iter().find(|(name, _)| name == "observers").unwrap();
    let drawn = text(&Document::parse(svg).unwrap());
    assert_eq!(drawn.matches("9 of 10").count(), 21, "{drawn}");
    assert!(drawn.contains("client: sensor20/t"), "{drawn}");
}
