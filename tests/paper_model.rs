//! `wpanlab model`: what it prints and writes, and what it refuses.

mod common;

use std::path::PathBuf;
use std::process::Output;

use common::{root, said, wpanlab};
use serde_json::Value;

/// Computed apart from the model's code: crates/comp-model/tests/golden.rs says how.
fn golden(name: &str) -> String {
    let path: PathBuf = root().join("crates/comp-model/tests/golden").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn model(arguments: &[&str]) -> Output {
    wpanlab(&["model"]).args(arguments).output().unwrap()
}

/// Standard output of a command that must succeed.
fn printed(arguments: &[&str]) -> String {
    let output = model(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_tables_show_the_points_computed_by_hand_and_the_readings_used() {
    let text = printed(&[]);
    for line in [
        "  MIPv6     825.6   tL2 + ",
        "  HMIPv6    691.76  tL2 + ",
        "  CoMP      712.64  tL2 + ",
        "  HMIPv6    6.9176   lambda D(HMIPv6)",
        "  tunnel: none ",
        "  ha_cn_path: wired ",
        "Figure 15: ",
        "Figure 16: ",
        "Figure 17: ",
    ] {
        assert!(text.lines().any(|l| l.starts_with(line)), "{line}\n{text}");
    }
}

#[test]
fn a_figure_as_csv_is_the_golden_one_and_its_readings_stand_beside_it() {
    for number in ["15", "16", "17"] {
        let output = model(&["--figure", number, "--format", "csv"]);
        assert!(output.status.success(), "{}", said(&output));
        let csv = String::from_utf8(output.stdout).unwrap();
        assert_eq!(csv, golden(&format!("figure-{number}.csv")));
        let beside = String::from_utf8(output.stderr).unwrap();
        assert!(beside.contains("comp_loss: zero\n"), "{beside}");
    }
    let output = model(&["--figure", "15", "--format", "csv", "--quiet"]);
    assert!(output.stderr.is_empty(), "{}", said(&output));
}

#[test]
fn a_figure_as_json_has_its_points_and_its_readings() {
    let figure: Value =
        serde_json::from_str(&printed(&["--figure", "15", "--format", "json"])).unwrap();
    assert_eq!(figure["number"], 15);
    assert_eq!(figure["points"][0]["mipv6"], 785.6);
    assert_eq!(figure["readings"]["comp_update"]["used"], "table-3");
    assert_eq!(figure["parameters"]["wired_delay"]["value"], "2 ms");
}

#[test]
fn json_is_the_golden_document_whichever_way_it_is_asked_for() {
    let document = golden("model.json");
    assert_eq!(printed(&["--format", "json"]), document);
    assert_eq!(printed(&["--json"]), document);
    assert_eq!(printed(&["--json", "--format", "json"]), document);
}

#[test]
fn settings_are_repeatable_and_take_the_names_of_the_json() {
    // t = 1.6 + 20 + 4.28 = 25.88 ms; CoMP by the text: 650 + 2 x 25.88 = 701.76 ms.
    let set = ["--set", "wireless_delay=20ms", "--set", "comp_update=text"];
    let document: Value =
        serde_json::from_str(&printed(&[&set[..], &["--format", "json"]].concat())).unwrap();
    assert_eq!(document["table_3"][2]["delay_ms"], 701.76);
    assert_eq!(document["parameters"]["wireless_delay"]["value"], "20 ms");
    assert_eq!(document["readings"]["comp_update"]["used"], "text");
    let text = printed(&set);
    assert!(text.contains("  comp_update: text ("), "{text}");
    assert!(text.contains("    default: table-3\n"), "{text}");
}

#[test]
fn out_writes_the_document_and_the_figures_and_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("new/model");
    let names = [
        "model.json",
        "figure-15.csv",
        "figure-16.csv",
        "figure-17.csv",
    ];
    // The second time over the first.
    for _ in 0..2 {
        let text = printed(&["--out", out.to_str().unwrap()]);
        let expected: String = names
            .iter()
            .map(|name| format!("{}\n", out.join(name).display()))
            .collect();
        assert_eq!(text, expected);
        for name in names {
            let written = std::fs::read_to_string(out.join(name)).unwrap();
            assert_eq!(written, golden(name), "{name}");
        }
    }
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), names.len());
    assert_eq!(printed(&["--quiet", "--out", out.to_str().unwrap()]), "");
    let json = printed(&["--json", "--out", out.to_str().unwrap()]);
    assert_eq!(json, golden("model.json"));
}

#[test]
fn wrong_input_is_refused_with_exit_code_2_and_nothing_on_standard_output() {
    for (arguments, words) in [
        (
            &["--set", "wireless_delay=20"][..],
            "wpanlab: --set wireless_delay: `20` is not a delay of at most 1 h, such as",
        ),
        (
            &["--set", "wireles_delay=20ms"],
            "`wireles_delay` is no parameter and no reading; expected one of address_delay,",
        ),
        (
            &["--set", "tunnel=yes"],
            "tunnel: `yes` is not one of none, home-agent,",
        ),
        (&["--set", "tunnel"], "`tunnel`: expected NAME=VALUE"),
        (
            &["--set", "l2_delay=1ms", "--set", "l2_delay=2ms"],
            "l2_delay: set twice, expected once",
        ),
        (
            &["--figure", "15", "--set", "wireless_delay=20ms"],
            "--set wireless_delay: figure 15 varies it; expected a parameter that it leaves free",
        ),
        (
            &["--figure", "17", "--set", "packet_rate=20/s"],
            "--set packet_rate: figure 17 holds it at 10/s; expected",
        ),
        (
            &["--format", "csv"],
            "--format csv: expected --figure 15, 16 or 17",
        ),
        (
            &["--json", "--figure", "15", "--format", "csv"],
            "--json: expected no other --format than json",
        ),
        (&["--figure", "14"], "14 is not in 15..=17"),
        (&["--figure", "15", "--out", "x"], "cannot be used with"),
        (&["--format", "yaml"], "[possible values: text, csv, json]"),
    ] {
        let output = model(arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            said(&output)
        );
        assert!(output.stdout.is_empty(), "{arguments:?}: {}", said(&output));
        assert!(
            said(&output).contains(words),
            "{arguments:?}: {}",
            said(&output)
        );
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named_with_exit_code_3() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let output = model(&["--out", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains(file.to_str().unwrap()),
        "{}",
        said(&output)
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}
