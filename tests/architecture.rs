//! ARCHITECTURE.md's crate table is the dependency graph, and docs/attacks.md and docs/gateway.md name tests
//! that there are.

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
    let crates_only = text.lines().skip_while(|line| *line != "## Crates").skip(1);
    let crates_only = crates_only.take_while(|line| !line.starts_with("## "));
    for line in crates_only.filter(|line| line.starts_with("| `")) {
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

/// The names of the crates that the table marks as pure.
fn pure() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("(pure)"));
    rows.filter_map(|row| quoted(row.split('|').nth(1)?).into_iter().next())
        .collect()
}

#[test]
fn pure_crates_are_linked_with_no_runtime_and_no_system_calls() {
    const IMPURE: [&str; 8] = [
        "getrandom",
        "tokio",
        "mio",
        "nix",
        "rustix",
        "socket2",
        "neli",
        "rtnetlink",
    ];
    // dhcproto is linked with it, for transaction IDs that we draw ourselves.
    const EXCEPT: [(&str, &str); 1] = [("dhcpv6", "getrandom")];
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .other_options(["--locked".to_owned()])
        .exec()
        .unwrap();
    let resolve = metadata.resolve.as_ref().unwrap();
    let pure = pure();
    assert!(pure.len() >= 9, "the table marks its pure crates: {pure:?}");
    for name in pure {
        let package = metadata.packages.iter().find(|p| p.name.as_str() == name);
        let mut reached = BTreeMap::from([(&package.unwrap().id, name.clone())]);
        let mut to_visit = vec![&package.unwrap().id];
        while let Some(id) = to_visit.pop() {
            let node = resolve.nodes.iter().find(|node| node.id == *id).unwrap();
            let way = reached[id].clone();
            for dependency in &node.deps {
                let normal =
                    |kind: &cargo_metadata::DepKindInfo| kind.kind == DependencyKind::Normal;
                if dependency.dep_kinds.iter().any(normal) && !reached.contains_key(&dependency.pkg)
                {
                    let way = format!("{way} -> {}", metadata[&dependency.pkg].name);
                    let to = metadata[&dependency.pkg].name.as_str();
                    assert!(
                        !IMPURE.contains(&to) || EXCEPT.contains(&(name.as_str(), to)),
                        "{name} is linked with what no pure crate may: {way}"
                    );
                    reached.insert(&dependency.pkg, way);
                    to_visit.push(&dependency.pkg);
                }
            }
        }
    }
}

/// Where the wall clock is read, which may be set at any time, and what for.
const WALL_CLOCK: [(&str, &str); 10] = [
    ("driver/src/clock.rs", "has it"),
    ("mediumd/src/shell.rs", "the kernel's stamps of frames"),
    ("nodes/src/events.rs", "events stand beside captures"),
    ("testbed/src/daemon.rs", "events"),
    ("testbed/src/scenario.rs", "events"),
    ("vm/src/snapshot.rs", "the age of files"),
    ("wpanlab/src/made.rs", "the date of a run"),
    ("rundir/src/made.rs", "the date of a run"),
    ("wmms-postgres/src/rows.rs", "the type of a timestamptz"),
    ("wmms-postgres/src/store.rs", "the type of a timestamptz"),
];

#[test]
fn the_wall_clock_is_read_only_where_a_date_or_a_stamp_is_meant() {
    let words = ["SystemTime", "CLOCK_REALTIME"];
    let pure = pure();
    let mut read = BTreeSet::new();
    let mut to_visit = vec![root().join("crates")];
    while let Some(dir) = to_visit.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                to_visit.push(path);
                continue;
            }
            let name = path.strip_prefix(root().join("crates")).unwrap();
            let name = name.to_string_lossy().into_owned();
            if !name.contains("/src/") || !name.ends_with(".rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            // A pure crate has no clock, and may have stamps of its protocol's.
            let of_driver = !pure
                .iter()
                .any(|pure| name.starts_with(&format!("{pure}/")));
            let reads = |line: &str| {
                words.iter().any(|word| line.contains(word))
                    || (of_driver && line.contains("stamp()"))
            };
            let mut code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            if code.any(reads) {
                read.insert(name);
            }
        }
    }
    let meant = WALL_CLOCK.map(|(file, _)| file.to_owned());
    assert_eq!(read, BTreeSet::from(meant));
}

/// Names of the functions in all Rust files below a directory.
fn functions(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = |rest: &str| rest.split(['(', '<']).next().unwrap_or("").to_owned();
            names.extend(text.split("fn ").skip(1).map(name));
        }
    }
}

/// Whether the last column of a page's table, the first one below `heading`, names tests that there are.
fn check_tests(page: &str, heading: &str, at_least: usize) {
    let mut names = BTreeSet::new();
    functions(&root().join("crates"), &mut names);
    let page = std::fs::read_to_string(root().join(page)).unwrap();
    let lines = page.lines().skip_while(|line| *line != heading);
    let table = lines.skip_while(|line| !line.starts_with("| "));
    let rows: Vec<&str> = table
        .take_while(|line| line.starts_with("| "))
        .skip(2)
        .collect();
    assert!(rows.len() >= at_least, "{} rows", rows.len());
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let named = quoted(tests);
        assert!(!named.is_empty(), "no test: {row}");
        assert!(named.is_subset(&names), "of {named:?} not all are there");
    }
}

#[test]
fn every_attack_that_is_told_of_has_a_test() {
    check_tests("docs/attacks.md", "# Attacks on the daemons", 15);
}

#[test]
fn every_rule_of_the_gateway_has_a_test() {
    check_tests("docs/gateway.md", "## The rules, the code, the tests", 15);
    check_tests(
        "docs/gateway.md",
        "## The rules of CoAP over WebSockets",
        12,
    );
}
