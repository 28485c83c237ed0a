//! The topologies that ship, and one file with every key.

use std::fs;
use std::path::{Path, PathBuf};

use topology::{Overrides, Plan};

mod common;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A topology that ships, or one of `full*.yaml`.
struct Valid {
    name: String,
    path: PathBuf,
    text: String,
}

impl Valid {
    fn plan(&self) -> Plan {
        self.plan_with(Overrides::default())
    }

    fn plan_with(&self, overrides: Overrides) -> Plan {
        let folder = self.path.parent().unwrap();
        common::load_in(folder, &self.name, &self.text, overrides)
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The topologies of the folders `topologies/` and `topologies/papers/`, and `full*.yaml` of the
/// tests, by path.
fn valid() -> Vec<Valid> {
    let mut paths: Vec<PathBuf> = ["topologies", "topologies/papers"]
        .iter()
        .flat_map(|folder| fs::read_dir(root().join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    let full = [
        "full.yaml",
        "full-phy.yaml",
        "full-services.yaml",
        "full-two-ray.yaml",
    ];
    paths.extend(full.map(|name| common::tests_folder().join(name)));
    paths.sort();
    paths
        .into_iter()
        .map(|path| Valid {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            text: fs::read_to_string(&path).unwrap(),
            path,
        })
        .collect()
}

fn named(name: &str) -> Valid {
    valid().into_iter().find(|file| file.name == name).unwrap()
}

#[test]
fn every_shipped_topology_loads_and_is_there() {
    let names: Vec<String> = valid().into_iter().map(|file| file.name).collect();
    for wanted in [
        "handover",
        "paper-comm",
        "paper-comm-hold",
        "ping-pong",
        "minimal",
    ] {
        assert!(names.contains(&format!("{wanted}.yaml")), "{wanted}");
    }
    for file in valid() {
        assert_eq!(format!("{}.yaml", file.plan().name), file.name);
    }
}

#[test]
fn a_plan_reads_back_however_long_a_way_is() {
    let text = "version: 1
name: long
radio: { medium: phy }
nodes:
  er1: { role: edge-router, position: [0 m, 0 m] }
  wmms: { role: wmms }
  circler: { role: mobile-node, attached_to: er1, position: [5 m, 0 m] }
  client: { role: client, polls: [{ node: circler }] }
scenario:
  duration: 60 s
  steps:
    - { at: 0 s, move: circler, circle: { centre: [0 m, 0 m], radius: 5 m }, speed: 500 m/s, until: 58 s }
";
    let plan = topology::load("long.yaml", text, topology::Overrides::default()).unwrap();
    let track = &plan.nodes["circler"].radio.as_ref().unwrap().track;
    assert!(track.len() > 40_000, "{}", track.len());
    assert_eq!(Plan::from_yaml(&plan.to_yaml()).unwrap(), plan);
}

#[test]
fn every_plan_reads_back_exactly_as_it_was_written() {
    for file in valid() {
        let (plan, name) = (file.plan(), file.name);
        let yaml = plan.to_yaml();
        assert_eq!(Plan::from_yaml(&yaml).unwrap(), plan, "{name}");
        assert_eq!(Plan::from_yaml(&yaml).unwrap().to_yaml(), yaml, "{name}");
        assert_eq!(Plan::from_json(&plan.to_json()).unwrap(), plan, "{name}");
    }
}

/// Resolution is a promise to every stored plan: a changed default shows here.
#[test]
fn every_plan_is_as_its_golden_file() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for file in valid() {
        let (yaml, name) = (file.plan().to_yaml(), file.name);
        let path = golden.join(&name);
        if update {
            fs::write(&path, &yaml).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            expected == yaml,
            "the plan of {name} differs from {}; see `git diff` after UPDATE_GOLDEN=1 cargo test \
             -p topology",
            path.display()
        );
    }
}

#[test]
fn a_changed_key_of_a_plan_is_refused() {
    let yaml = named("full-phy.yaml").plan().to_yaml();
    for (key, wrong) in [
        ("seed:", "sead:"),
        ("prefix:", "prefixe:"),
        ("mac:", "mack:"),
        ("min_be:", "mini_be:"),
        ("exponent:", "exponents:"),
        ("sigma:", "sigmas:"),
        ("supply_v:", "supply:"),
        ("x_m:", "x:"),
        ("points:", "point:"),
        ("dwell:", "dwells:"),
        ("signal_timeout:", "signal_timeouts:"),
    ] {
        assert!(yaml.contains(key));
        assert!(
            Plan::from_yaml(&yaml.replacen(key, wrong, 1)).is_err(),
            "{key}"
        );
    }
}

#[test]
fn another_seed_changes_identifiers_and_nothing_else() {
    let file = named("handover.yaml");
    let one = file.plan();
    let seed = Some(units::Seed(2));
    let two = file.plan_with(Overrides {
        seed,
        ..Overrides::default()
    });
    assert_eq!(two.seed, units::Seed(2));
    let eui64 = |plan: &Plan| plan.nodes["sensor"].radio.as_ref().unwrap().eui64;
    assert_ne!(eui64(&one), eui64(&two));
    assert_eq!(one.scenario, two.scenario);
    assert_eq!(one.links, two.links);
}

#[test]
fn the_schema_in_docs_is_the_schema_of_the_code() {
    let path = root().join("docs/topology.schema.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, topology::schema()).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == topology::schema(),
        "docs/topology.schema.json is not the schema of the code; regenerate it with `wpanlab \
         schema > docs/topology.schema.json`"
    );
}

/// Between this line of `docs/topology.md` and its end stands what the schema says.
const GENERATED: &str = "<!-- From here on this page is made from the schema. -->\n";

#[test]
fn the_tables_in_docs_are_those_of_the_schema() {
    let path = root().join("docs/topology.md");
    let stored = fs::read_to_string(&path).unwrap();
    let (written, tables) = stored.split_once(GENERATED).unwrap();
    let wanted = format!("\n{}", topology::reference().trim_end()) + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{written}{GENERATED}{wanted}")).unwrap();
    } else {
        assert!(
            tables == wanted,
            "docs/topology.md is not made from the schema of the code; make it anew with \
             UPDATE_GOLDEN=1 cargo test -p topology --test valid"
        );
    }
}

#[test]
fn the_schema_has_a_default_or_says_that_a_key_is_required_wherever_there_is_a_value() {
    let text = topology::reference();
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert!(rows.len() > 150, "{} keys", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 6, "{row}");
        assert!(
            cells[..3].iter().all(|cell| !cell.trim().is_empty()),
            "{row}"
        );
    }
    let links = text.split("](#table-").skip(1);
    for name in links.filter_map(|rest| rest.split(')').next()) {
        let heading = format!("### table {name}\n");
        assert!(text.to_lowercase().contains(&heading), "no table {name}");
    }
    let schema: serde_json::Value = serde_json::from_str(&topology::schema()).unwrap();
    let of = |table: &str, key: &str| schema["$defs"][table]["properties"][key].clone();
    assert_eq!(of("MacParameters", "max_be")["default"], 5);
    assert_eq!(of("MacParameters", "max_be")["minimum"], 3);
    assert_eq!(of("MacParameters", "max_be")["maximum"], 8);
    assert_eq!(
        of("RouterAdvertisements", "max_interval")["default"],
        "600 s"
    );
    assert_eq!(of("Radio", "medium")["default"], "edges");
    assert_eq!(of("Radio", "capture_lost")["x-medium"], "phy");
    assert_eq!(of("Backbone", "delay")["title"], "duration");
}

#[test]
fn every_shipped_topology_names_the_schema_for_editors() {
    for file in valid() {
        if file.name.starts_with("full") {
            continue;
        }
        let first = file.text.lines().next().unwrap();
        let papers = file.path.parent().unwrap().ends_with("papers");
        let up = if papers { "../.." } else { ".." };
        let wanted = format!("# yaml-language-server: $schema={up}/docs/topology.schema.json");
        assert_eq!(first, wanted, "{}", file.name);
    }
}

/// A plan is read without a type for each scalar: text that looks like something else has to stay text.
#[test]
fn a_name_that_yaml_would_take_for_something_else_stays_a_name() {
    let mut plan = named("minimal.yaml").plan();
    let words =
        "1|-1|1e5|0x1f|0o7|1_000|1.5|no|off|y|true|null|~|.inf|1:30|2001-01-01|-|<<|=|a: b|# a|";
    for word in words.split('|') {
        (plan.name, plan.summary) = (word.into(), word.into());
        let yaml = plan.to_yaml();
        assert_eq!(Plan::from_yaml(&yaml).unwrap(), plan, "{word}: {yaml}");
    }
}
