//! Another service or mobility protocol is its own file and a line in the register: nobody asks for
//! one by its name where a trait of the register answers.

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file below `folder`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Lines of `files` in which a variant of `name` stands.
fn naming(name: &str, files: &[PathBuf]) -> Vec<String> {
    let mark = format!("{name}::");
    let names_one = |line: &&str| {
        let mut parts = line.split(&mark).skip(1);
        parts.any(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    let lines = files.iter().flat_map(|file| {
        let text = fs::read_to_string(file).unwrap();
        let lines = text.lines().filter(names_one);
        let found: Vec<String> = lines
            .map(|line| format!("{}: {}", file.display(), line.trim()))
            .collect();
        found
    });
    lines.collect()
}

#[test]
fn who_asks_a_node_of_a_plan_names_no_service_and_no_protocol() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("src/kind/node.rs"), root.join("src/resolve.rs")];
    sources(&root.join("src/resolve"), &mut files);
    // `nodes` starts them, and has an arm for each.
    for other in ["measure", "report", "testbed"] {
        sources(&root.join("..").join(other).join("src"), &mut files);
    }
    for name in ["ServicePlan", "ServiceTable", "MobilityPlan"] {
        assert_eq!(naming(name, &files), Vec::<String>::new());
    }
}
