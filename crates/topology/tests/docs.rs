//! The topologies that the documentation shows, and whether it names every key.
//!
//! A block that begins with ```` ```yaml ```` is a complete topology. One with the word `fragment` after
//! that is a part of one, and is not resolved. Files that an example names are those of this folder.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use topology::{Overrides, Plan};

mod common;

/// A complete topology in a text.
struct Example {
    /// What stands after `yaml` in the line that opens the block.
    mark: String,
    /// The file and the line of its first line.
    place: String,
    text: String,
}

impl Example {
    fn plan(&self) -> Plan {
        let folder = common::tests_folder();
        common::load_in(folder, &self.place, &self.text, Overrides::default())
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

fn page(name: &str) -> String {
    let path = common::tests_folder().join("../../..").join(name);
    fs::read_to_string(path).unwrap()
}

/// The YAML blocks of a page that are complete topologies, in order.
fn examples(page_name: &str) -> Vec<Example> {
    let text = page(page_name);
    let mut lines = text.lines().enumerate();
    let mut examples = Vec::new();
    while let Some((number, line)) = lines.next() {
        let Some(mark) = line.strip_prefix("```yaml") else {
            continue;
        };
        let block = lines.by_ref().map(|(_, line)| line);
        let block: Vec<&str> = block.take_while(|line| *line != "```").collect();
        examples.push(Example {
            mark: mark.trim().to_owned(),
            place: format!("{page_name}, after line {}", number + 1),
            text: block.join("\n"),
        });
    }
    examples.retain(|example| example.mark != "fragment");
    examples
}

fn marked(mark: &str) -> Plan {
    let mut found = examples("docs/topology.md").into_iter();
    found.find(|example| example.mark == mark).unwrap().plan()
}

#[test]
fn every_example_of_the_reference_resolves() {
    let plans: Vec<Plan> = examples("docs/topology.md")
        .iter()
        .map(Example::plan)
        .collect();
    assert!(plans.len() >= 10, "{} examples", plans.len());
    let names: BTreeSet<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
    assert_eq!(names.len(), plans.len(), "each has a name of its own");
}

/// Of every other page.
#[test]
fn every_example_of_the_other_pages_resolves() {
    let folder = common::tests_folder().join("../../../docs");
    let pages = fs::read_dir(folder).unwrap();
    let names = pages.map(|page| page.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".md")).collect();
    names.sort();
    let mut found = Vec::new();
    for name in names {
        let all = examples(&format!("docs/{name}"));
        // Others are of CI, or parts that say so.
        let topologies = all.iter().filter(|one| one.text.starts_with("version:"));
        // What is added there has to be added first, as tests/adding.rs does.
        let topologies = topologies.filter(|_| name != "adding.md");
        found.extend(topologies.map(|one| (name.clone(), one.plan())));
    }
    assert!(
        found.iter().any(|(name, _)| name == "gateway.md"),
        "{}",
        found.len()
    );
}

/// The steps of the first hour: each is a file that runs, and none of them is warned of.
#[test]
fn every_step_of_getting_started_resolves_without_a_warning_and_the_last_one_is_shipped() {
    let steps = examples("docs/getting-started.md");
    assert_eq!(steps.len(), 4);
    for step in &steps {
        let mut none = |_: &str| Err("no file".to_owned());
        let loaded = topology::read(&step.place, &step.text, Overrides::default(), &mut none);
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
        let warnings = loaded.warnings.map(|warnings| warnings.to_string());
        assert_eq!(warnings, None, "{}", step.place);
    }
    // A test runs that one, and holds it to what it expects.
    let shipped = page("topologies/line.yaml");
    let shipped = topology::load("line.yaml", &shipped, Overrides::default()).unwrap();
    assert_eq!(steps[3].plan(), shipped);
}

/// A page says where the others are.
#[test]
fn the_index_of_the_documentation_names_every_page() {
    let index = page("docs/README.md");
    let folder = common::tests_folder().join("../../../docs");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_page = name.ends_with(".md") && name != "README.md";
        assert!(!is_page || index.contains(&format!("({name})")), "{name}");
    }
}

#[test]
fn the_example_of_the_readme_resolves() {
    let examples = examples("README.md");
    assert!(!examples.is_empty());
    for example in examples {
        example.plan();
    }
}

#[test]
fn roles_and_what_they_stand_for_are_the_same_network() {
    let (shorthand, written_out) = (marked("shorthand"), marked("written-out"));
    assert_eq!(shorthand.nodes, written_out.nodes);
    assert_eq!(shorthand.links, written_out.links);
}

#[test]
fn the_reference_names_every_key() {
    let schema: Value = serde_json::from_str(&topology::schema()).unwrap();
    let mut keys = BTreeSet::new();
    collect_keys(&schema, &mut keys);
    assert!(keys.len() > 100, "{} keys", keys.len());
    let text = page("docs/topology.md");
    // Between two backticks, or in a block between three.
    let code = text.split('`').skip(1).step_by(2);
    let words: BTreeSet<&str> = code
        .flat_map(|code| code.split(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c))))
        .collect();
    let missing: Vec<&String> = keys
        .iter()
        .filter(|key| !words.contains(key.as_str()))
        .collect();
    assert!(missing.is_empty(), "not in docs/topology.md: {missing:?}");
}

/// The names of the properties of every table in a schema.
fn collect_keys(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| collect_keys(value, keys));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_keys(item, keys)),
        _ => {}
    }
}
