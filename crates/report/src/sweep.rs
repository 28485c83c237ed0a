//! The files of a sweep: many runs of one topology over seeds, and perhaps over values.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use measure::result::Handover;
use rundir::RunDir;
use serde::Deserialize;
use serde_json::Value;
use topology::Plan;
use units::Seed;

use crate::load::{json, name_of};

/// The distribution of a sweep over seeds.
pub const DISTRIBUTION: &str = "distribution.json";
/// The table of a sweep's runs, one JSON object a line.
pub const RUNS: &str = "runs.jsonl";

/// One run of a sweep. Keys that it does not have are absent here; others are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    /// Root seed.
    pub seed: Option<Seed>,
    /// What was set in this run, by path in the topology.
    #[serde(default)]
    pub set: BTreeMap<String, Value>,
    /// Whether every expectation passed.
    pub passed: Option<bool>,
    /// Every handover.
    pub handovers: Option<Vec<Handover>>,
    /// Message IDs requested and never answered.
    pub lost: Option<u64>,
    /// Message IDs requested.
    pub sent: Option<u64>,
}

impl Row {
    /// What was set, for people: `a=1, b=2 ms`; empty if nothing was.
    pub fn setting(&self) -> String {
        let one = |(path, value): (&String, &Value)| match value {
            Value::String(text) => format!("{path}={text}"),
            other => format!("{path}={other}"),
        };
        self.set.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// The delays that clients saw, seconds.
    pub fn delays(&self) -> impl Iterator<Item = f64> {
        self.handovers.iter().flatten().filter_map(|h| h.delay_s)
    }
}

/// What a sweep left.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Name of the directory.
    pub name: String,
    /// The plan that its runs have in common, as text and understood.
    pub plan_text: Option<String>,
    /// See `plan_text`.
    pub plan: Option<Plan>,
    /// Name of the topology.
    pub topology: Option<String>,
    /// Its runs.
    pub rows: Vec<Row>,
    /// Directories of runs under it, in order.
    pub runs: Vec<PathBuf>,
    /// What is missing or cannot be read.
    pub problems: Vec<String>,
}

impl Sweep {
    /// Whether `dir` is a sweep's.
    pub fn is_at(dir: &Path) -> bool {
        dir.join(DISTRIBUTION).exists() || dir.join(RUNS).exists()
    }

    /// Reads a sweep's directory.
    pub fn read(dir: &Path) -> Sweep {
        let mut sweep = Sweep {
            name: name_of(dir),
            ..Sweep::default()
        };
        let plan = RunDir::new(dir).plan();
        match fs::read_to_string(&plan) {
            Ok(text) => {
                match Plan::from_yaml(&text) {
                    Ok(plan) => sweep.plan = Some(plan),
                    Err(error) => sweep
                        .problems
                        .push(format!("plan.yaml cannot be understood: {error}")),
                }
                sweep.plan_text = Some(text);
            }
            Err(error) => sweep
                .problems
                .push(format!("plan.yaml cannot be read: {error}")),
        }
        sweep.read_rows(dir);
        find_runs(dir, 3, &mut sweep.runs);
        sweep
            .runs
            .sort_by_key(|path| natural(&path.to_string_lossy()));
        sweep
    }

    fn read_rows(&mut self, dir: &Path) {
        let table = dir.join(RUNS);
        let values: Result<Vec<Value>, io::Error> = match fs::read_to_string(&table) {
            Ok(text) => {
                let lines = text.lines().filter(|line| !line.trim().is_empty());
                lines.map(|line| Ok(serde_json::from_str(line)?)).collect()
            }
            Err(_) => json(&dir.join(DISTRIBUTION)).map(|mut value| {
                self.topology = value["topology"].as_str().map(str::to_owned);
                match value["runs"].take() {
                    Value::Array(rows) => rows,
                    _ => {
                        self.problems
                            .push(format!("{DISTRIBUTION} has no list `runs`"));
                        Vec::new()
                    }
                }
            }),
        };
        let values = values.unwrap_or_else(|error| {
            self.problems
                .push(format!("the table of runs cannot be understood: {error}"));
            Vec::new()
        });
        for (i, value) in values.into_iter().enumerate() {
            match serde_json::from_value::<Row>(value) {
                Ok(row) => self.rows.push(row),
                Err(error) => self.problems.push(format!(
                    "run {} of the table cannot be understood: {error}",
                    i + 1
                )),
            }
        }
        let bare = self.rows.iter().filter(|r| r.handovers.is_none()).count();
        if bare > 0 {
            self.problems.push(format!("{bare} of {} runs have no key `handovers` in the table: they are in no distribution", self.rows.len()));
        }
    }
}

fn find_runs(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if !path.is_dir() {
            continue;
        }
        if path.join("result.json").exists() || path.join("run.json").exists() {
            found.push(path);
        } else if depth > 1 {
            find_runs(&path, depth - 1, found);
        }
    }
}

/// Text to sort by, in which `seed-9` comes before `seed-10`.
fn natural(text: &str) -> Vec<(u64, String)> {
    let chars: Vec<char> = text.chars().collect();
    let groups = chars.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    let part = |group: &[char]| {
        let text: String = group.iter().collect();
        // What is no number, or too large a one, sorts as a word, after all numbers.
        text.parse()
            .map_or((u64::MAX, text), |n| (n, String::new()))
    };
    groups.map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_in_the_order_of_their_numbers() {
        let mut names = ["seed-10", "seed-9", "seed-100", "a"];
        names.sort_by_key(|n| natural(n));
        assert_eq!(names, ["a", "seed-9", "seed-10", "seed-100"]);
    }

    #[test]
    fn a_row_may_say_what_was_set_and_have_keys_of_later_versions() {
        let text = r#"{"seed":3,"passed":true,"set":{"backbone.delay":"5 ms","x":2},"later":{}}"#;
        let row: Row = serde_json::from_str(text).unwrap();
        assert_eq!(row.setting(), "backbone.delay=5 ms, x=2");
        assert_eq!(row.delays().count(), 0);
    }
}
