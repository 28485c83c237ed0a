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
    /// Why it could not be measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

impl PointExpectation {
    /// `p95 of handover_delay_s < 2 s`, `share of lost 0 >= 95 %`, `passed runs >= 90 %`.
    pub fn name(&self) -> String {
        let of = match (&self.figure, &self.holds) {
            (None, _) => "passed runs".to_owned(),
            (Some(figure), Some(holds)) => format!("share of {figure} {holds}"),
            (Some(figure), None) => format!("{} of {figure}", self.statistic.key()),
        };
        format!("{of} {}", self.expected)
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
        let outcome = match &measured {
            Err(_) => Outcome::NotMeasured,
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
            reason: measured.err(),
        }
    };
    expected.iter().map(one).collect()
}

fn holds(condition: &Condition, figure: f64) -> bool {
    condition.comparison.holds(figure, condition.value)
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
