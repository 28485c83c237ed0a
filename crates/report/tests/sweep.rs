//! What a report says of the directories of sweeps.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use common::{example, parse, plan_with, read, text};
use measure::distribution::{HandoverRow, Row};
use report::Report;
use report::sweep::Sweep;
use roxmltree::Document;
use serde_json::json;
use tempfile::TempDir;

/// A sweep as `wpanlab run --seeds` leaves it, of rows of [`row`].
fn sweep(rows: &[Row]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let lines = rows
        .iter()
        .map(|row| serde_json::to_string(row).unwrap() + "\n");
    fs::write(path.join("runs.jsonl"), lines.collect::<String>()).unwrap();
    let (mut values, mut seeds) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeSet::new());
    for row in rows {
        for (path, value) in &row.set {
            values.entry(path).or_default().insert(value);
        }
        seeds.insert(row.seed.0);
        let run = path.join(&row.dir);
        fs::create_dir_all(&run).unwrap();
        let mut set: Vec<String> = row
            .set
            .iter()
            .map(|(path, v)| format!("{path}={v}"))
            .collect();
        // The rate of [`row`], at which the paper holds figure 17.
        set.push("nodes.client.polls[0].every=100 ms".into());
        let plan = plan_with(&set);
        fs::write(run.parent().unwrap().join("plan.yaml"), plan).unwrap();
        let mut result = example();
        result["expectations"][0]["outcome"] = json!(if row.passed { "passed" } else { "failed" });
        fs::write(run.join("result.json"), result.to_string()).unwrap();
    }
    let parameters = values
        .iter()
        .map(|(path, values)| json!({"path": path, "values": values}));
    let manifest = json!({
        "schema": 1, "topology": "x/handover.yaml", "seeds": [seeds.first(), seeds.last()],
        "parameters": parameters.collect::<Vec<_>>(),
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
        method: Some("GET".into()),
        resource: Some("/t".into()),
        from: None,
        to: None,
        delay_s: Some(*delay_s),
        outage_s: Some(0.25),
        rate_per_s: Some(10.0),
        lost: 3,
        phases: [
            (rundir::Phase::LINK, 0.005),
            (rundir::Phase::BINDING, 0.0315),
        ]
        .into_iter()
        .collect(),
        energy_mj: None,
        air: None,
        wired: None,
    };
    let figures = [("lost", 3.0 * delays_s.len() as f64), ("sent", 10.0)];
    Row {
        point,
        seed: units::Seed(seed),
        set: [("backbone.delay".to_owned(), delay.to_owned())].into(),
        command: format!("wpanlab run x/handover.yaml --seed {seed}"),
        dir: rundir::SweepDir::run_name(point, seed),
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
    let mut rows = Vec::new();
    for (point, delay, delay_s) in [(1, "2 ms", 0.1), (2, "20 ms", 1.1)] {
        rows.extend((1..=6).map(|seed| row(point, delay, seed, &[delay_s])));
    }
    for row in &mut rows {
        let hold = "nodes.sensor.handover.hold".to_owned();
        row.set.insert(hold, "false".into());
    }
    let dir = sweep(&rows);
    let report = read(dir.path());
    assert_eq!(report.problems(), [] as [&str; 0]);
    let page = report.html();
    let text = text(&parse(&page));
    for told in [
        "1: 2 ms (6)",
        "2: 20 ms (6)",
        // Every run lost 3 and had 2.5: the difference is 0.5, and so are both ends.
        "0.500\u{a0}to\u{a0}0.500",
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
        "over-lost",
        "lost-difference",
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
fn protocols_that_are_compared_have_a_curve_each_beside_the_model() {
    let mut rows = Vec::new();
    for (at, word) in ["comp", "mipv6", "none"].into_iter().enumerate() {
        for (delay_at, delay) in ["2 ms", "20 ms"].into_iter().enumerate() {
            let mut row = row(1 + 2 * at + delay_at, delay, 1, &[0.1]);
            let set = [
                ("nodes.sensor.mobility", word),
                ("nodes.sensor.handover.address", "slaac"),
                ("nodes.ha", "{ role: home-agent }"),
            ];
            let set = set.map(|(path, value)| (path.to_owned(), value.to_owned()));
            row.set.extend(set);
            row.handovers[0].lost = [0, 5, 7][at];
            rows.push(row);
        }
    }
    let dir = sweep(&rows);
    let report = read(dir.path());
    assert_eq!(report.problems(), [] as [&str; 0]);
    let drawings: BTreeMap<_, _> = report.svgs().into_iter().collect();
    let drawing = parse(&drawings["figure-17"]);
    let seventeen = text(&drawing);
    for told in [
        "comp with hold, measured",
        "mipv6, measured",
        "none, measured",
        "MIPv6 (model)",
    ] {
        assert!(seventeen.contains(told), "{told} in {seventeen}");
    }
    // Diamonds of a colour, the first in the legend: a curve has its losses over half of the delays.
    let curve = |class: &str| -> Vec<(f64, f64)> {
        let paths = drawing
            .descendants()
            .filter(|n| n.attribute("class") == Some(class));
        let marks = paths.filter_map(|n| n.attribute("d")?.strip_prefix('M')?.split_once('l'));
        let places = marks.map(|(at, _)| {
            let (x, y) = at.split_once(' ').unwrap();
            (x.parse().unwrap(), y.parse().unwrap())
        });
        places.skip(1).collect()
    };
    let (comp, mipv6, none) = (curve("f1"), curve("f0"), curve("f6"));
    for at in 0..2 {
        assert_eq!((comp[at].0, comp[at].0), (mipv6[at].0, none[at].0));
        let of_one = (comp[at].1 - mipv6[at].1) / 5.0;
        assert!(of_one > 1.0 && ((comp[at].1 - none[at].1) / 7.0 - of_one).abs() < 0.1);
    }
    assert!(comp[0].0 < comp[1].0);
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

#[test]
fn the_table_is_read_to_the_last_digit() {
    // Values of a sweep that are one unit in the last place off if they are read carelessly.
    let mut one = row(1, "2 ms", 1, &[25.685997968000002, 63.572056483000004]);
    one.handovers[0].energy_mj = Some(30.897785204999998);
    let dir = sweep(std::slice::from_ref(&one));
    assert_eq!(Sweep::read(dir.path()).rows, [one]);
}

#[test]
fn what_is_expected_over_the_runs_decides_and_is_a_suite_of_each_point() {
    let mut rows = vec![
        row(1, "2 ms", 1, &[0.1]),
        row(1, "2 ms", 2, &[0.3]),
        row(1, "2 ms", 3, &[0.2]),
    ];
    rows[2].passed = false;
    let dir = sweep(&rows);
    let plan = dir.path().join("point-1/plan.yaml");
    let expected = "\
expect_sweep:
- statistic: passed
  condition: { comparison: '>=', value: 60.0, text: '>= 60 %' }
- figure: handover_delay_s
  statistic: max
  condition: { comparison: '<', value: 0.5, text: '< 500 ms' }
";
    let text_of_plan = fs::read_to_string(&plan).unwrap() + expected;
    fs::write(&plan, text_of_plan).unwrap();
    let report = read(dir.path());
    assert_eq!(report.problems(), [] as [&str; 0]);
    let page = report.html();
    let document = parse(&page);
    let verdict = (document.descendants()).find(|n| n.attribute("class") == Some("verdict passed"));
    assert!(verdict.is_some(), "one of three may fail");
    assert!(text(&document).contains("max of handover_delay_s < 500 ms"));

    let xml = report.junit();
    let document = Document::parse(&xml).unwrap();
    let suite = |name: &str| {
        let mut suites = document.descendants();
        let found =
            suites.find(|n| n.has_tag_name("testsuite") && n.attribute("name") == Some(name));
        found.unwrap_or_else(|| panic!("no suite {name} in {xml}"))
    };
    let cases: Vec<_> = (suite("point-1").children())
        .filter(|n| n.has_tag_name("testcase"))
        .map(|n| {
            (
                n.attribute("classname").unwrap(),
                n.attribute("name").unwrap(),
            )
        })
        .collect();
    assert_eq!(
        cases,
        [
            ("handover.point-1", "passed runs >= 60 %"),
            ("handover.point-1", "max of handover_delay_s < 500 ms"),
        ]
    );
    let run = suite("point-1/seed-2");
    assert_eq!(run.attribute("time"), Some("30"));
    let property = |name: &str| {
        let mut all = run.descendants().filter(|n| n.has_tag_name("property"));
        all.find(|n| n.attribute("name") == Some(name))?
            .attribute("value")
    };
    assert_eq!(property("point"), Some("1"));
    assert_eq!(property("backbone.delay"), Some("2 ms"));
    let case = run.children().find(|n| n.has_tag_name("testcase")).unwrap();
    assert_eq!(case.attribute("classname"), Some("handover.point-1.seed-2"));
}
