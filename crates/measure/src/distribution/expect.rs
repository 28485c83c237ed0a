//! Whether what a topology expects over the runs of a sweep holds.

use serde::{Deserialize, Serialize};
use topology::plan::{Condition, Statistic, SweepExpectation};

use super::{Point, Row, samples};
use crate::result::Outcome;

/// What a topology expects of a point, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointExpectation {
    /// The figure; absent if it is about the runs themselves.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub figure: Option<String>,
    /// What of its distribution was compared.
    pub statistic: Statistic,
    /// What the values that `share` counts hold, as the topology file wrote it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub holds: Option<String>,
    /// What was expected, as the topology file wrote it.
    pub expected: String,
    /// What was measured, in the figure's unit; of a share percent.
    pub measured: Option<f64>,
    /// Whether it holds.
    pub outcome: Outcome,
    /// Why it could not be measured, or not in all runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

impl PointExpectation {
    /// `p95 of handover_delay_s < 2 s`, `share with lost <= 5: >= 95 %`, `passed runs >= 90 %`.
    pub fn name(&self) -> String {
        let of = match (&self.figure, &self.holds) {
            (None, _) => "passed runs".to_owned(),
            (Some(figure), Some(holds)) => format!("share with {figure} {holds}:"),
            (Some(figure), None) => format!("{} of {figure}", self.statistic.key()),
        };
        format!("{of} {}", self.expected)
    }

    /// What was measured, with its unit, and of which runs if not of all: `100.00 %`, `0.0119 s of 1
    /// of 4 runs; 3 have none`, or why nothing was.
    pub fn found(&self) -> String {
        let parts = [self.measured_text(), self.reason.clone()];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        parts.join(" ")
    }

    /// What was measured, with its unit.
    pub fn measured_text(&self) -> Option<String> {
        let name = match self.statistic {
            Statistic::Share | Statistic::Passed => "_percent",
            _ => self.figure.as_deref().unwrap_or_default(),
        };
        let measured = self.measured?;
        Some(match name.rsplit_once('_') {
            Some((_, "percent")) => format!("{measured:.2} %"),
            Some((_, "s")) => format!("{measured:.4} s"),
            Some((_, "mj")) => format!("{measured:.4} mJ"),
            _ => ((measured * 1e4).round() / 1e4).to_string(),
        })
    }
}

/// Judges `expected` of the runs of a point.
pub(super) fn judge(
    point: &Point,
    rows: &[&Row],
    expected: &[SweepExpectation],
) -> Vec<PointExpectation> {
    let one = |expected: &SweepExpectation| {
        let measured = measured(point, rows, expected);
        let uncovered = uncovered(rows, expected);
        // As in a single run: what is not measured never passes. The runs without a value may be those
        // in which nothing worked.
        let outcome = match &measured {
            Err(_) => Outcome::NotMeasured,
            Ok(figure) if uncovered.is_some() && holds(&expected.condition, *figure) => {
                Outcome::NotMeasured
            }
            Ok(figure) if holds(&expected.condition, *figure) => Outcome::Passed,
            Ok(_) => Outcome::Failed,
        };
        PointExpectation {
            figure: expected.figure.clone(),
            statistic: expected.statistic,
            holds: expected.holds.as_ref().map(|c| c.text.clone()),
            expected: expected.condition.text.clone(),
            measured: measured.as_ref().ok().copied(),
            outcome,
            reason: measured.err().or(uncovered),
        }
    };
    expected.iter().map(one).collect()
}

fn holds(condition: &Condition, figure: f64) -> bool {
    condition.comparison.holds(figure, condition.value)
}

/// Of which runs the figure is, if not of all.
fn uncovered(rows: &[&Row], expected: &SweepExpectation) -> Option<String> {
    let name = expected.figure.as_ref()?;
    let samples = samples(rows);
    let sample = samples.iter().find(|sample| sample.name == *name)?;
    super::coverage(rows.len(), rows.len() - sample.runs)
}

fn measured(point: &Point, rows: &[&Row], expected: &SweepExpectation) -> Result<f64, String> {
    let share = |part: usize, whole: usize| match whole {
        0 => Err("no run was measured".to_owned()),
        whole => Ok(100.0 * part as f64 / whole as f64),
    };
    let Some(name) = &expected.figure else {
        return share(point.runs - point.failed, point.runs);
    };
    let unknown = || format!("no run has the figure `{name}`");
    if let (Statistic::Share, Some(condition)) = (expected.statistic, &expected.holds) {
        let samples = samples(rows);
        let values = samples.iter().find(|sample| sample.name == *name);
        let values = &values.ok_or_else(unknown)?.values;
        let holding = values.iter().filter(|value| holds(condition, **value));
        return share(holding.count(), values.len());
    }
    let figure = point.figure(name).ok_or_else(unknown)?;
    Ok(match expected.statistic {
        Statistic::Min => figure.min,
        Statistic::Mean => figure.mean,
        Statistic::Median => figure.median,
        Statistic::P95 => figure.p95,
        Statistic::Max => figure.max,
        Statistic::Share | Statistic::Passed => return Err("the plan does not say of what".into()),
    })
}

#[cfg(test)]
mod tests {
    use topology::plan::Comparison;

    use super::*;
    use crate::distribution::Distribution;
    use crate::distribution::row::test_row;

    fn expectation(
        figure: Option<&str>,
        statistic: Statistic,
        comparison: Comparison,
        value: f64,
    ) -> SweepExpectation {
        SweepExpectation {
            figure: figure.map(str::to_owned),
            statistic,
            holds: None,
            condition: Condition {
                comparison,
                value,
                text: value.to_string(),
            },
        }
    }

    #[test]
    fn each_point_is_judged_by_its_own_distribution() {
        let mut rows = vec![
            test_row(1, 1, &[1.0, 2.0]),
            test_row(1, 2, &[3.0]),
            test_row(2, 1, &[9.0]),
        ];
        rows[1].passed = false;
        let expected = [
            expectation(
                Some("handover_delay_s"),
                Statistic::Median,
                Comparison::AtMost,
                2.0,
            ),
            expectation(None, Statistic::Passed, Comparison::AtLeast, 60.0),
        ];
        let distribution = Distribution::of("x", vec![], &rows).expecting(&expected, &rows);
        let outcomes: Vec<Vec<_>> = (distribution.points.iter())
            .map(|p| {
                p.expectations
                    .iter()
                    .map(|e| (e.outcome, e.measured))
                    .collect()
            })
            .collect();
        assert_eq!(
            outcomes,
            [
                [(Outcome::Passed, Some(2.0)), (Outcome::Failed, Some(50.0))],
                [(Outcome::Failed, Some(9.0)), (Outcome::Passed, Some(100.0))],
            ]
        );
        assert!(!distribution.passed());
        let name = distribution.points[0].expectations[0].name();
        assert_eq!(name, "median of handover_delay_s 2");
    }

    #[test]
    fn a_share_is_of_the_values_of_handovers_or_of_runs() {
        let mut rows: Vec<Row> = (0..4).map(|seed| test_row(1, seed, &[1.0])).collect();
        rows[0].figures.insert("lost".into(), 7.0);
        let mut share = expectation(Some("lost"), Statistic::Share, Comparison::AtLeast, 75.0);
        share.holds = Some(Condition {
            comparison: Comparison::Equal,
            value: 0.0,
            text: "0".into(),
        });
        let mut delays = share.clone();
        delays.figure = Some("handover_delay_s".into());
        delays.holds = Some(Condition {
            comparison: Comparison::Less,
            value: 2.0,
            text: "< 2 s".into(),
        });
        let judged = Distribution::of("x", vec![], &rows).expecting(&[share, delays], &rows);
        let measured: Vec<_> = (judged.points[0].expectations.iter())
            .map(|e| (e.outcome, e.measured))
            .collect();
        assert_eq!(
            measured,
            [
                (Outcome::Passed, Some(75.0)),
                (Outcome::Passed, Some(100.0))
            ]
        );
        assert!(judged.passed());
    }

    /// The runs without a round-trip time may be those in which nobody answered.
    #[test]
    fn a_figure_that_some_runs_have_not_is_told_with_how_many_and_never_passes() {
        let mut rows: Vec<Row> = (0..4).map(|seed| test_row(1, seed, &[])).collect();
        rows[0].figures.insert("rtt_median_s".into(), 0.0119);
        rows[1].handovers = test_row(1, 1, &[2.0, 4.0]).handovers;
        let max =
            |figure, value| expectation(Some(figure), Statistic::Max, Comparison::Less, value);
        let mut share = max("rtt_median_s", 50.0);
        share.statistic = Statistic::Share;
        share.holds = Some(share.condition.clone());
        share.condition.comparison = Comparison::AtLeast;
        let expected = [
            max("rtt_median_s", 1.0),
            max("handover_delay_s", 9.0),
            max("handover_delay_s", 3.0),
            share,
            max("lost", 1.0),
        ];
        let judged = Distribution::of("x", vec![], &rows).expecting(&expected, &rows);
        let found: Vec<_> = (judged.points[0].expectations.iter())
            .map(|e| (e.outcome, e.found()))
            .collect();
        let of_one = |figure: &str| format!("{figure} of 1 of 4 runs; 3 have none");
        assert_eq!(
            found,
            [
                (Outcome::NotMeasured, of_one("0.0119 s")),
                (Outcome::NotMeasured, of_one("4.0000 s")),
                (Outcome::Failed, of_one("4.0000 s")),
                (Outcome::NotMeasured, of_one("100.00 %")),
                (Outcome::Passed, "0".into()),
            ]
        );
        let text = judged.report(&rows, None);
        let line = text
            .lines()
            .find(|l| l.starts_with("rtt_median_s"))
            .unwrap();
        assert!(line.ends_with(" of 1 of 4 runs; 3 have none"), "{text}");
        let line = "not measured: max of rtt_median_s 1 (0.0119 s of 1 of 4 runs; 3 have none)\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_figure_that_no_run_has_is_not_measured_and_never_passes() {
        let rows = [test_row(1, 1, &[])];
        let delay = expectation(
            Some("handover_delay_s"),
            Statistic::Max,
            Comparison::Less,
            9.0,
        );
        let judged = Distribution::of("x", vec![], &rows).expecting(&[delay], &rows);
        let e = &judged.points[0].expectations[0];
        assert_eq!(e.outcome, Outcome::NotMeasured);
        assert_eq!(
            e.reason.as_deref(),
            Some("no run has the figure `handover_delay_s`")
        );
        assert!(!judged.passed());
    }

    #[test]
    fn without_expectations_over_the_sweep_every_run_must_pass_and_broken_ones_never_do() {
        let mut rows = vec![test_row(1, 1, &[1.0]), test_row(1, 2, &[1.0])];
        assert!(Distribution::of("x", vec![], &rows).passed());
        rows[1].passed = false;
        assert!(!Distribution::of("x", vec![], &rows).passed());
        let half = expectation(None, Statistic::Passed, Comparison::AtLeast, 50.0);
        let judge = |rows: &[Row]| {
            let half = std::slice::from_ref(&half);
            Distribution::of("x", vec![], rows).expecting(half, rows)
        };
        assert!(judge(&rows).passed());
        rows[1].error = Some("the VM ended".into());
        assert!(!judge(&rows).passed());
    }
}
