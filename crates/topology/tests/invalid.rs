//! What is refused, and how it is said.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use topology::Overrides;

mod common;

fn folder() -> PathBuf {
    common::tests_folder().join("../../../topologies/invalid")
}

/// Every invalid file by name.
fn invalid() -> BTreeMap<String, String> {
    fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The problems of a file as its `# expect:` lines write them.
fn problems(name: &str, text: &str) -> Vec<String> {
    match common::load_in(&folder(), name, text, Overrides::default()) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .problems()
            .iter()
            .map(|p| format!("{}:{}: {}", p.span.line, p.span.column, p.message))
            .collect(),
    }
}

/// Files begin with a line `# expect: LINE:COLUMN: MESSAGE` for each of their problems.
#[test]
fn every_invalid_topology_gives_exactly_the_problems_that_it_expects() {
    let files = invalid();
    assert!(files.len() >= 60, "{} files", files.len());
    let mut wrong = Vec::new();
    for (name, text) in files {
        let expected: Vec<&str> = text
            .lines()
            .map_while(|line| line.strip_prefix("# expect: "))
            .collect();
        let found = problems(&name, &text);
        if found != expected {
            wrong.push(format!(
                "{name}:\n  found {found:#?}\n  expected {expected:#?}"
            ));
        }
        assert!(!expected.is_empty(), "{name} expects nothing");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
