//! ARCHITECTURE.md's crate table is the dependency graph.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand};

type Graph = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The names in backquotes of a table cell.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn documented(crates: &BTreeSet<String>) -> Graph {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut graph = Graph::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let name = quoted(cells[0]).into_iter().next().unwrap();
        let depends = cells.last().unwrap();
        let all = depends.contains("all of them");
        let depends = if all {
            crates
                .iter()
                .filter(|other| **other != name)
                .cloned()
                .collect()
        } else {
            quoted(depends)
        };
        graph.insert(name, depends);
    }
    graph
}

fn actual() -> Graph {
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .exec()
        .unwrap();
    let members: BTreeSet<String> = metadata
        .packages
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let of = |package: &cargo_metadata::Package| {
        package
            .dependencies
            .iter()
            .filter(|d| d.kind == DependencyKind::Normal && members.contains(&d.name))
            .map(|d| d.name.clone())
            .collect()
    };
    metadata
        .packages
        .iter()
        .map(|package| (package.name.to_string(), of(package)))
        .collect()
}

#[test]
fn every_crate_is_in_the_table_and_depends_on_nothing_else() {
    let actual = actual();
    let documented = documented(&actual.keys().cloned().collect());
    assert_eq!(
        documented.keys().collect::<Vec<_>>(),
        actual.keys().collect::<Vec<_>>(),
        "the table's crates and the workspace's"
    );
    for (name, depends) in &actual {
        let allowed = &documented[name];
        let extra: Vec<_> = depends.difference(allowed).collect();
        assert!(
            extra.is_empty(),
            "{name} depends on {extra:?}, which ARCHITECTURE.md does not allow"
        );
        let unused: Vec<_> = allowed.difference(depends).collect();
        assert!(
            unused.is_empty() || name == "wpanlab",
            "{name} does not depend on {unused:?} any more: ARCHITECTURE.md is behind"
        );
    }
}

#[test]
fn pure_crates_have_no_runtime_and_no_system_calls() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .exec()
        .unwrap();
    let pure = text
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("(pure)"));
    let mut seen = 0;
    for line in pure {
        let name = quoted(line.split('|').nth(1).unwrap())
            .into_iter()
            .next()
            .unwrap();
        let package = metadata
            .packages
            .iter()
            .find(|p| p.name.as_str() == name)
            .unwrap();
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| d.kind == DependencyKind::Normal)
        {
            let impure = ["tokio", "nix", "rustix", "socket2", "neli", "rtnetlink"];
            assert!(
                !impure.contains(&dependency.name.as_str()),
                "{name} depends on {}",
                dependency.name
            );
        }
        seen += 1;
    }
    assert!(seen >= 4, "the table marks its pure crates");
}
