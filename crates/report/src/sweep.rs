//! The files of a sweep: many runs of one topology over seeds, and perhaps over values.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use measure::distribution::{Distribution, HandoverRow, Point, Row};
use rundir::{Made, SweepDir};
use serde::Deserialize;
use topology::Plan;

use crate::load::{json, made, name_of};

const MANIFEST: &str = SweepDir::MANIFEST;
const RUNS: &str = SweepDir::RUNS;

/// What the report shows of `sweep.json`. Keys that it does not have are absent here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Topology file as the command line had it.
    pub topology: Option<String>,
    /// First and last seed.
    pub seeds: Option<[u64; 2]>,
    /// When there are seeds enough.
    pub until: Option<Until>,
    /// Parameters in the order of the command line.
    pub parameters: Vec<Parameter>,
    /// `native`, or `vm` with what executes it.
    pub backend: Option<String>,
    /// `virtual` or `realtime`.
    pub clock: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Version of the program that made the runs.
    pub wpanlab_version: Option<String>,
}

/// A rule that ends a sweep before its last seed.
#[derive(Clone, Debug, Deserialize)]
pub struct Until {
    /// As the command line had it.
    pub rule: String,
    /// What came of it; absent while the sweep is under way.
    pub decided: Option<Decided>,
}

/// Which seeds were enough.
#[derive(Clone, Debug, Deserialize)]
pub struct Decided {
    /// The last one that was run.
    pub last_seed: u64,
}

/// A parameter and its values.
#[derive(Clone, Debug, Deserialize)]
pub struct Parameter {
    /// Its path in the topology.
    pub path: String,
    /// What it is set to.
    pub values: Vec<String>,
}

impl Manifest {
    /// How many runs the sweep has when it is finished; not known before what ends it is decided.
    pub fn runs(&self) -> Option<u64> {
        let [first, mut last] = self.seeds?;
        if let Some(until) = &self.until {
            last = until.decided.as_ref()?.last_seed;
        }
        let seeds = last.checked_sub(first)?.checked_add(1)?;
        let mut values = self.parameters.iter().map(|p| p.values.len() as u64);
        values.try_fold(seeds, u64::checked_mul)
    }
}

/// What a sweep left.
#[derive(Debug)]
pub struct Sweep {
    /// Name of the directory.
    pub name: String,
    /// `sweep.json`.
    pub manifest: Manifest,
    /// `made.json`; absent in the directories of before.
    pub made: Option<Made>,
    /// Its runs, in the order of points and seeds.
    pub rows: Vec<Row>,
    /// The distribution of their figures. It is made of the rows by what makes
    /// `distribution.json`, so that an interrupted sweep has one, too.
    pub distribution: Distribution,
    /// The plan of the first point as text.
    pub plan_text: Option<String>,
    /// The plan of each point that has one.
    pub plans: BTreeMap<usize, Plan>,
    /// What is missing or cannot be read.
    pub problems: Vec<String>,
}

impl Sweep {
    /// Whether `dir` is a sweep's.
    pub fn is_at(dir: &Path) -> bool {
        let dir = SweepDir::new(dir);
        dir.manifest().exists() || dir.runs().exists()
    }

    /// Reads a sweep's directory. Nothing in it is required.
    pub fn read(dir: &Path) -> Sweep {
        let sweep = SweepDir::new(dir);
        let mut problems = Vec::new();
        let manifest = json(sweep.files(), &sweep.manifest()).and_then(|value| {
            // What serde says of a key is what a reader needs.
            Ok(serde_json::from_value(value)?)
        });
        let manifest: Manifest = manifest.unwrap_or_else(|error| {
            problems.push(format!("{MANIFEST} cannot be read: {error}"));
            Manifest::default()
        });
        let rows = read_rows(&sweep, &mut problems);
        match manifest.runs() {
            Some(planned) if planned != rows.len() as u64 => problems.push(format!(
                "{RUNS} has {} of the {planned} runs of {MANIFEST}: `wpanlab run` with --resume makes the others",
                rows.len()
            )),
            _ => {}
        }
        let mut plan_text = None;
        let mut plans = BTreeMap::new();
        for point in rows.iter().map(|row| row.point).collect::<BTreeSet<_>>() {
            let file = sweep.point(point).plan();
            let read = sweep
                .files()
                .read_to_string(&file)
                .map_err(|error| error.to_string());
            let plan = read.and_then(|text| {
                let plan = Plan::from_yaml(&text).map_err(|error| error.to_string());
                plan_text.get_or_insert(text);
                plan
            });
            match plan {
                Ok(plan) => drop(plans.insert(point, plan)),
                Err(error) => problems.push(format!(
                    "point-{point}/plan.yaml cannot be understood: {error}"
                )),
            }
        }
        let topology = plans.values().next().map(|plan| plan.name.clone());
        let topology = topology.or_else(|| manifest.topology.clone());
        let parameters = match manifest.parameters.is_empty() {
            false => manifest.parameters.iter().map(|p| p.path.clone()).collect(),
            true => rows
                .first()
                .map_or_else(Vec::new, |row| row.set.keys().cloned().collect()),
        };
        let topology = topology.unwrap_or_else(|| name_of(dir));
        let expected = plans.values().next();
        let expected = expected.map_or(&[][..], |plan| &plan.expect_sweep);
        let distribution = Distribution::of(&topology, parameters, &rows);
        let made = made(&sweep.made(), &mut problems);
        Sweep {
            name: name_of(dir),
            made,
            distribution: distribution.expecting(expected, &rows),
            manifest,
            rows,
            plan_text,
            plans,
            problems,
        }
    }

    /// The combinations of values.
    pub fn points(&self) -> &[Point] {
        &self.distribution.points
    }

    /// Paths of the parameters that have more than one value, in the order of the command line.
    pub fn varied(&self) -> Vec<&str> {
        let paths = self.distribution.parameters.iter().map(String::as_str);
        let differs = |path: &&str| {
            let values: BTreeSet<_> = self.points().iter().map(|p| p.set.get(*path)).collect();
            values.len() > 1
        };
        paths.filter(differs).collect()
    }

    /// What a point is called in a figure: its number, and the values that tell it from others.
    pub fn label(&self, point: &Point) -> String {
        match self.points().len() {
            1 => "all runs".into(),
            _ => format!("{}: {}", point.point, self.values(point).join(", ")),
        }
    }

    /// Heads of the columns that tell points apart in a table; none if there is one point. Of paths
    /// only the end is there, if no two end alike.
    pub fn heads(&self) -> Vec<String> {
        let varied = self.varied();
        let ends: BTreeSet<&str> = varied.iter().map(|path| end(path)).collect();
        let unique = ends.len() == varied.len();
        let name = |path: &&str| if unique { end(path) } else { path }.to_owned();
        match self.points().len() {
            0 | 1 => vec![],
            _ => ["point".to_owned()]
                .into_iter()
                .chain(varied.iter().map(name))
                .collect(),
        }
    }

    /// A point's cells under [`Sweep::heads`].
    pub fn cells(&self, point: &Point) -> Vec<String> {
        match self.points().len() {
            0 | 1 => vec![],
            _ => [point.point.to_string()]
                .into_iter()
                .chain(self.values(point))
                .collect(),
        }
    }

    fn values(&self, point: &Point) -> Vec<String> {
        let value = |path| point.set.get(path).cloned().unwrap_or_default();
        self.varied().into_iter().map(value).collect()
    }

    /// Whether the table has every run; `true` if `sweep.json` does not tell how many there are.
    pub fn is_complete(&self) -> bool {
        self.manifest
            .runs()
            .is_none_or(|runs| runs == self.rows.len() as u64)
    }

    /// The handovers of a point as clients saw them, of the runs that were measured.
    pub fn handovers(&self, point: usize) -> impl Iterator<Item = &HandoverRow> {
        let of_point = move |row: &&Row| row.point == point && row.error.is_none();
        self.rows
            .iter()
            .filter(of_point)
            .flat_map(|row| &row.handovers)
    }

    /// Their delays, in seconds.
    pub fn delays(&self, point: usize) -> Vec<f64> {
        self.handovers(point).filter_map(|h| h.delay_s).collect()
    }
}

/// The last two keys of a path.
pub fn end(path: &str) -> &str {
    let dots = path.rmatch_indices('.');
    dots.map(|(at, _)| at + 1)
        .nth(1)
        .map_or(path, |at| &path[at..])
}

fn read_rows(dir: &SweepDir, problems: &mut Vec<String>) -> Vec<Row> {
    let text = dir
        .files()
        .read_to_string(&dir.runs())
        .unwrap_or_else(|error| {
            problems.push(format!("{RUNS} cannot be read: {error}"));
            String::new()
        });
    let mut rows: Vec<Row> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(row) => rows.push(row),
            Err(error) => {
                problems.push(format!("{RUNS}:{} cannot be understood: {error}", i + 1));
            }
        }
    }
    // While a sweep is under way they stand in the order in which they ended.
    rows.sort_by_key(|row| (row.point, row.seed.0));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_path_is_its_last_two_keys() {
        assert_eq!(end("nodes.client.polls[0].every"), "polls[0].every");
        assert_eq!([end("a.b"), end("a"), end("")], ["a.b", "a", ""]);
    }

    #[test]
    fn a_sweep_has_a_run_for_each_seed_and_combination_of_values() {
        let manifest = |text: &str| serde_json::from_str::<Manifest>(text).unwrap();
        let full = r#"{"seeds":[3,7],"later":1,"parameters":[{"path":"a","values":["1","2","3"]},{"path":"b","values":["x","y"]}]}"#;
        assert_eq!(manifest(full).runs(), Some(30));
        assert_eq!(
            manifest(r#"{"seeds":[0,18446744073709551615]}"#).runs(),
            None
        );
        assert_eq!(manifest("{}").runs(), None);
        let until = |decided| {
            let text =
                format!(r#"{{"seeds":[3,90],"until":{{"rule":"lost mean ±1 %"{decided}}}}}"#);
            manifest(&text).runs()
        };
        assert_eq!(
            until(r#","decided":{"last_seed":12,"reached":true}"#),
            Some(10)
        );
        assert_eq!(until(""), None);
    }
}
