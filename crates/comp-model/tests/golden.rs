//! The output, byte for byte.
//!
//! The three CSV files were computed apart from this code, with exact fractions, from equation 1
//! and table 3: `t = 400/250 + Lwl + 2 (400/10000 + Lw + 1/10)` and 650 + 8 t + 4 (...), 650 + 2 t,
//! 650 + 3 t. `model.json` holds the form; its figures are held to the CSV files here and to the
//! sums by hand in `paper.rs`.

use comp_model::{Figure, FigureNumber, Model};
use serde_json::Value;

const CSV: [&str; 3] = [
    include_str!("golden/figure-15.csv"),
    include_str!("golden/figure-16.csv"),
    include_str!("golden/figure-17.csv"),
];
const JSON: &str = include_str!("golden/model.json");

#[test]
fn figures_as_csv_are_those_computed_apart() {
    for (number, expected) in FigureNumber::ALL.into_iter().zip(CSV) {
        assert_eq!(Model::default().figure(number).csv(), expected);
    }
}

#[test]
fn the_document_is_the_golden_one() {
    let json = serde_json::to_string_pretty(&Model::default().report()).unwrap();
    assert_eq!(json, JSON.trim_end());
}

#[test]
fn the_golden_documents_figures_are_those_of_the_csv_files() {
    let document: Value = serde_json::from_str(JSON).unwrap();
    let figures = document["figures"].as_array().unwrap();
    assert_eq!(figures.len(), CSV.len());
    for (figure, csv) in figures.iter().zip(CSV) {
        let points = figure["points"].as_array().unwrap();
        let lines: Vec<&str> = csv.lines().skip(1).collect();
        assert_eq!(points.len(), lines.len());
        for (point, line) in points.iter().zip(lines) {
            let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
            let names = ["x", "mipv6", "hmipv6", "comp"];
            let values: Vec<f64> = names.iter().map(|n| point[n].as_f64().unwrap()).collect();
            assert_eq!(values, cells);
        }
    }
}

#[test]
fn the_document_names_every_reading_and_every_parameter_of_table_5() {
    let document: Value = serde_json::from_str(JSON).unwrap();
    let table_5 = [
        ("tAC", "500 ms"),
        ("tMD", "100 ms"),
        ("tL2", "50 ms"),
        ("Bw", "10 Mbit/s"),
        ("Bwl", "250 kbit/s"),
        ("q", "100 us"),
        ("Lwl", "15 ms"),
        ("Lw", "2 ms"),
        ("S", "50 B"),
        ("St", "80 B"),
        ("lambda", "10/s"),
        ("V", "10 m/s"),
    ];
    let rows: Vec<&Value> = document["parameters"]
        .as_object()
        .unwrap()
        .values()
        .collect();
    for (symbol, value) in table_5 {
        let row = rows.iter().find(|row| row["symbol"] == symbol).unwrap();
        assert_eq!(row["value"], value, "{symbol}");
        assert!(
            row["source"].as_str().unwrap().starts_with("table 5"),
            "{symbol}"
        );
    }
    let readings: Vec<&String> = document["readings"].as_object().unwrap().keys().collect();
    assert_eq!(
        readings,
        [
            "omitted_hops",
            "wireless_bandwidth_of_range",
            "ha_cn_path",
            "tunnel",
            "comp_update",
            "binding_delay",
            "comp_loss",
            "figure_17_axis",
            "figure_15_range",
            "figure_16_range",
        ]
    );
}

#[test]
fn the_text_says_the_delays_the_losses_and_the_readings() {
    let text = comp_model::text::report(&Model::default().report());
    for line in [
        "  MIPv6     825.6   tL2 + tMD + tAC + 4 (t(B,HA) + t(B,CN)) + 2 t(HA,CN) = \
         50 + 100 + 500 + 4 x (20.88 + 20.88) + 2 x 4.28",
        "  HMIPv6    691.76  tL2 + tMD + tAC + 2 t(B,MAP) = 50 + 100 + 500 + 2 x 20.88",
        "  CoMP      712.64  tL2 + tMD + tAC + t(B,WMMS) + t(WMMS,B) + t(B,A) = \
         50 + 100 + 500 + 20.88 + 20.88 + 20.88",
        "  MIPv6     8.256    lambda D(MIPv6)",
        "  CoMP      0        0",
        "  omitted_hops: router-HA 2, router-CN 2, router-MAP 2",
        "  ha_cn_path: wired (all hops between HA and CN are wired)",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(
        text.lines().all(|l| l == l.trim_end()),
        "no blanks at the end of a line"
    );
    assert!(text.is_ascii());
}

#[test]
fn the_text_of_a_figure_says_what_is_not_the_papers() {
    let model = Model::with(&["wired_delay=5ms", "comp_update=text"]).unwrap();
    let text = comp_model::text::figure_report(&model.figure_report(FigureNumber::Fifteen));
    assert!(
        text.contains("Parameters that are not table 5's\n"),
        "{text}"
    );
    assert!(
        text.contains("  wired_delay  Lw      5 ms   2 ms     table 5\n"),
        "{text}"
    );
    assert!(text.contains("  comp_update: text ("), "{text}");
    assert!(text.contains("    default: table-3\n"), "{text}");
    let paper = Model::default();
    let text = comp_model::text::figure_report(&paper.figure_report(FigureNumber::Fifteen));
    assert!(!text.contains("not table 5's"), "{text}");
    let short = comp_model::text::reading_lines(&model.readings());
    assert!(
        short.contains("comp_update: text (default table-3)\n"),
        "{short}"
    );
    assert!(short.contains("\ntunnel: none\n"), "{short}");
}

#[test]
fn a_figures_own_values_are_in_its_text_and_its_json() {
    let report = Model::default().figure_report(FigureNumber::Seventeen);
    let text = comp_model::text::figure_report(&report);
    assert!(
        text.contains("\n  wireless_delay 2 ms\n  packet_rate 10/s\n"),
        "{text}"
    );
    let json: Value = serde_json::to_value(&report).unwrap();
    assert_eq!(json["number"], 17);
    assert_eq!(json["fixed"][0]["name"], "wireless_delay");
    assert_eq!(json["fixed"][0]["value"], "2 ms");
    assert_eq!(json["readings"]["figure_17_axis"]["used"], "wired-delay");
    let Figure { points, .. } = report.figure;
    assert_eq!(json["points"].as_array().unwrap().len(), points.len());
}
