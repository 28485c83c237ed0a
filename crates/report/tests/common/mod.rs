//! What tests of the report have in common.
#![allow(dead_code)] // each test file uses its part

use std::path::Path;

use report::Report;
use roxmltree::Document;
use serde_json::Value;

/// The example of docs/result.md: what `measure`'s own test says that it writes.
pub fn example() -> Value {
    let text = include_str!("../../../../docs/result.md");
    let example = text.split("## Example").nth(1).unwrap();
    let json = example.split("```json\n").nth(1).unwrap();
    serde_json::from_str(json.split("```").next().unwrap()).unwrap()
}

/// The plan of the shipped topology with these `PATH=VALUE`.
pub fn plan_with(set: &[String]) -> String {
    let text = include_str!("../../../../topologies/handover.yaml");
    let set: Vec<topology::Parameter> = set.iter().map(|text| text.parse().unwrap()).collect();
    let overrides = topology::Overrides {
        assignments: topology::Parameter::combinations(&set).remove(0),
        ..Default::default()
    };
    topology::load("handover.yaml", text, overrides)
        .unwrap()
        .to_yaml()
}

/// The report of a directory.
pub fn read(path: &Path) -> Report {
    Report::read(path, None).unwrap()
}

/// All text of a page or a drawing.
pub fn text(document: &Document) -> String {
    let texts = document.descendants().filter(|n| n.is_text());
    texts
        .filter_map(|n| n.text())
        .collect::<Vec<_>>()
        .join("\n")
}

/// A page, which is XML.
pub fn parse(page: &str) -> Document<'_> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    Document::parse_with_options(page, options).unwrap()
}
