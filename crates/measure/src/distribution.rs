//! Many runs of one topology: how its figures are distributed over seeds, at each combination of
//! the parameters that a sweep varies.
//!
//! | module | holds |
//! | --- | --- |
//! | [`row`] | one run of a sweep: a line of `runs.jsonl` |
//! | [`percentiles`] | percentiles of a sample |
//! | [`interval`] | confidence intervals over runs |
//! | [`expect`] | whether what is expected over the runs holds |
//! | [`loss`] | lost requests beside rate by interruption |
//! | [`table`] | `runs.csv` and `figures.csv` |
//! | `text` | the report as text |

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use topology::plan::SweepExpectation;

pub mod expect;
pub mod interval;
pub mod loss;
mod outage;
pub mod percentiles;
pub mod row;
pub mod table;
mod text;

pub use expect::PointExpectation;
pub use loss::Loss;
pub use percentiles::Percentiles;
pub use row::{HandoverRow, Origin, Row};

use crate::phases::all_phases;
use crate::result::Outcome;

/// Version of the formats: raised when a key is removed or its meaning changes.
pub const SCHEMA: u32 = 1;

/// The handover delay of the capture, seconds; one value per handover and client.
pub const HANDOVER_DELAY: &str = "handover_delay_s";

/// What a sweep shows: `distribution.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the topology.
    pub topology: String,
    /// Paths of the parameters that were set, in the order of the command line.
    pub parameters: Vec<String>,
    /// One per combination of their values.
    pub points: Vec<Point>,
}

/// The runs with one combination of parameter values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Number of the combination, from 1.
    pub point: usize,
    /// Value by path, as the command line has them.
    pub set: BTreeMap<String, String>,
    /// Runs that were measured.
    pub runs: usize,
    /// Of them, those of which an expectation does not hold.
    pub failed: usize,
    /// Runs that ended without a measurement.
    pub broken: usize,
    /// Every figure's distribution, handovers' first, then the runs'.
    pub figures: Vec<Figure>,
    /// Losses of handovers beside rate by interruption; absent without handovers whose
    /// interruption is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loss: Option<Loss>,
    /// What the topology expects over the runs; absent if it says nothing.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub expectations: Vec<PointExpectation>,
}

/// A figure and its distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name, which ends with its unit if it has one.
    pub name: String,
    /// What has one value each: a handover as a client saw it, or a run.
    pub per: Per,
    /// Measured runs that have no value; absent if there are none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub runs_without: usize,
    /// Its distribution.
    pub percentiles: Percentiles,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// `of 1 of 4 runs; 3 have none`: which of `runs` runs a figure is of that so many have not; none if
/// all have it.
fn coverage(runs: usize, without: usize) -> Option<String> {
    let have = if without == 1 { "has" } else { "have" };
    let of = runs.saturating_sub(without);
    (without > 0).then(|| format!("of {of} of {runs} runs; {without} {have} none"))
}

/// What has one value of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// A handover as one client saw it.
    Handover,
    /// A run.
    Run,
}

impl Distribution {
    /// The distribution over `rows`, which are in the order of points.
    pub fn of(topology: &str, parameters: Vec<String>, rows: &[Row]) -> Distribution {
        let points: BTreeSet<usize> = rows.iter().map(|row| row.point).collect();
        let of_point = |point| -> Vec<&Row> { rows.iter().filter(|r| r.point == point).collect() };
        Distribution {
            schema: SCHEMA,
            topology: topology.to_owned(),
            parameters,
            points: points
                .into_iter()
                .map(|p| Point::of(p, &of_point(p)))
                .collect(),
        }
    }

    /// The same with what is expected over the runs, judged on the same `rows`.
    #[must_use]
    pub fn expecting(mut self, expected: &[SweepExpectation], rows: &[Row]) -> Distribution {
        for point in &mut self.points {
            let of_point = rows.iter().filter(|row| row.point == point.point);
            let measured: Vec<&Row> = of_point.filter(|row| row.error.is_none()).collect();
            point.expectations = expect::judge(point, &measured, expected);
        }
        self
    }

    /// Whether every run was measured and every expectation over them holds; without one, whether
    /// every run passed.
    pub fn passed(&self) -> bool {
        self.points.iter().all(|point| {
            let hold = (point.expectations.iter()).all(|e| e.outcome == Outcome::Passed);
            let runs = !point.expectations.is_empty() || point.failed == 0;
            point.broken == 0 && hold && runs
        })
    }

    /// As the text of `distribution.json`.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("a distribution holds only strings, numbers, lists and tables") + "\n"
    }

    /// The report as text; `compare` is a delay in seconds to place in the distribution of
    /// `rows`, the same as in [`Distribution::of`].
    pub fn report(&self, rows: &[Row], compare: Option<f64>) -> String {
        text::report(self, rows, compare)
    }
}

impl Point {
    fn of(point: usize, rows: &[&Row]) -> Point {
        let measured = || rows.iter().filter(|row| row.error.is_none());
        let measured_rows: Vec<&Row> = measured().copied().collect();
        let runs = measured_rows.len();
        let figures = samples(&measured_rows).into_iter();
        let figures = figures.filter_map(|sample| sample.figure(runs));
        Point {
            point,
            set: rows.first().map(|row| row.set.clone()).unwrap_or_default(),
            runs,
            failed: measured().filter(|row| !row.passed).count(),
            broken: rows.len() - measured().count(),
            figures: figures.collect(),
            loss: Loss::of(rows),
            expectations: Vec::new(),
        }
    }

    /// The distribution of the figure `name`.
    pub fn figure(&self, name: &str) -> Option<&Percentiles> {
        let figure = self.figures.iter().find(|figure| figure.name == name)?;
        Some(&figure.percentiles)
    }
}

/// The values of a figure.
struct Sample {
    name: String,
    per: Per,
    values: Vec<f64>,
    /// Runs that have one or more of the values.
    runs: usize,
}

impl Sample {
    /// Its distribution over so many runs, if there are values.
    fn figure(self, runs: usize) -> Option<Figure> {
        let percentiles = Percentiles::of(&self.values)?;
        Some(Figure {
            name: self.name,
            per: self.per,
            runs_without: runs.saturating_sub(self.runs),
            percentiles,
        })
    }
}

/// The values of all figures: handovers' first, then the runs'.
fn samples(rows: &[&Row]) -> Vec<Sample> {
    let mut samples = of_handovers(rows);
    samples.extend(of_runs(rows));
    samples
}

/// Delay, interruption, losses, phases, energy and signalling, of those handovers that have them.
fn of_handovers(rows: &[&Row]) -> Vec<Sample> {
    let handovers = || rows.iter().flat_map(|row| &row.handovers);
    let mut samples: Vec<Sample> = Vec::new();
    let mut add = |name: &str, of: &dyn Fn(&HandoverRow) -> Option<f64>| {
        samples.push(Sample {
            name: name.to_owned(),
            per: Per::Handover,
            values: handovers().filter_map(of).collect(),
            runs: (rows.iter())
                .filter(|row| row.handovers.iter().any(|h| of(h).is_some()))
                .count(),
        });
    };
    add(HANDOVER_DELAY, &|h| h.delay_s);
    add("outage_s", &|h| h.outage_s);
    add("lambda_d", &|h| Some(h.rate_per_s? * h.outage_s?));
    add("lost_per_handover", &|h| Some(h.lost as f64));
    for phase in all_phases(handovers().map(|h| &h.phases)) {
        add(&format!("{}_s", phase.name()), &|h| {
            h.phases.get(&phase).copied()
        });
    }
    add("handover_energy_mj", &|h| h.energy_mj);
    add("air_signalling_messages", &|h| Some(h.air?.messages as f64));
    add("air_signalling_bytes", &|h| Some(h.air?.bytes as f64));
    add("wired_signalling_messages", &|h| {
        Some(h.wired?.messages as f64)
    });
    add("wired_signalling_bytes", &|h| Some(h.wired?.bytes as f64));
    samples
}

fn of_runs(rows: &[&Row]) -> Vec<Sample> {
    let mut samples: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, value) in rows.iter().flat_map(|row| &row.figures) {
        samples.entry(name).or_default().push(*value);
    }
    let sample = |(name, values): (&str, Vec<f64>)| Sample {
        name: name.to_owned(),
        per: Per::Run,
        runs: values.len(),
        values,
    };
    samples.into_iter().map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::row::test_row;

    #[test]
    fn each_point_has_the_figures_of_its_own_runs_without_the_broken_ones() {
        let mut rows = vec![test_row(1, 1, &[1.0, 2.0]), test_row(1, 2, &[3.0])];
        rows.push(test_row(2, 1, &[9.0]));
        rows[1].passed = false;
        let mut broken = test_row(1, 3, &[100.0]);
        broken.error = Some("the VM ended".into());
        rows.insert(2, broken);
        let distribution = Distribution::of("x", vec!["a.b".into()], &rows);
        let [one, two] = &distribution.points[..] else {
            panic!()
        };
        assert_eq!((one.point, one.runs, one.failed, one.broken), (1, 2, 1, 1));
        let delay = one.figure(HANDOVER_DELAY).unwrap();
        assert_eq!(
            (delay.count, delay.min, delay.median, delay.max),
            (3, 1.0, 2.0, 3.0)
        );
        assert_eq!(two.figure(HANDOVER_DELAY).unwrap().max, 9.0);
        assert_eq!(two.set["a.b"], "2");
        assert_eq!(one.figure("lost").unwrap().count, 2);
    }

    #[test]
    fn runs_without_a_handover_have_no_delays_but_losses() {
        let rows = [test_row(1, 1, &[])];
        let distribution = Distribution::of("x", vec![], &rows);
        assert_eq!(distribution.points[0].figure(HANDOVER_DELAY), None);
        assert_eq!(distribution.points[0].figure("lost").unwrap().count, 1);
        assert_eq!(distribution.points[0].loss, None);
    }
}
