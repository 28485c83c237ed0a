//! Lost requests beside rate by interruption, the CoMP paper's loss model (section 4.4:
//! loss = lambda * D without hold).
//!
//! lambda is the client's rate of requests. D is not the delay between two responses, which says
//! by itself how many requests were lost between them, but is taken from the events: from the
//! instant at which the node leaves its old router to the one at which the client learns of the
//! new address, and the time by which a request that is answered must be sent before the former
//! (a mean round-trip time less the wired way of the response).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::interval::{half_width, mean};
use super::row::Row;

/// How the interval is made, in `distribution.json`.
const METHOD: &str = "95 % interval of the mean over runs (seeds) of the run's mean of lost - lambda * D, by Student's t";

/// Losses of the handovers of one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Handovers whose interruption is known.
    pub handovers: usize,
    /// Handovers left out because it is not.
    pub left_out: usize,
    /// Runs with such handovers.
    pub runs: usize,
    /// Requests lost per handover, mean.
    pub lost: f64,
    /// lambda * D per handover, mean.
    pub lambda_d: f64,
    /// Mean over runs of the run's mean of lost - lambda * D.
    pub difference: f64,
    /// 95 % confidence interval of `difference`; `null` under six runs.
    pub interval_95: Option<[f64; 2]>,
    /// Whether the losses follow lambda * D: 0 lies in the interval; `null` without one.
    pub follows: Option<bool>,
    /// How the interval is made.
    pub method: String,
}

impl Loss {
    /// The losses of the rows of one point; `None` without a handover whose interruption is known.
    pub fn of(rows: &[&Row]) -> Option<Loss> {
        let (mut lost, mut expected, mut left_out) = (Vec::new(), Vec::new(), 0);
        let mut differences: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for row in rows {
            for handover in &row.handovers {
                let (Some(rate), Some(outage)) = (handover.rate_per_s, handover.outage_s) else {
                    left_out += 1;
                    continue;
                };
                let of_handover = handover.lost as f64;
                lost.push(of_handover);
                expected.push(rate * outage);
                let of_run = differences.entry(row.seed.0).or_default();
                of_run.push(of_handover - rate * outage);
            }
        }
        if lost.is_empty() {
            return None;
        }
        let of_runs: Vec<f64> = differences.values().map(|of_run| mean(of_run)).collect();
        let difference = mean(&of_runs);
        let interval = half_width(&of_runs).map(|half| [difference - half, difference + half]);
        Some(Loss {
            handovers: lost.len(),
            left_out,
            runs: of_runs.len(),
            lost: mean(&lost),
            lambda_d: mean(&expected),
            difference,
            interval_95: interval,
            follows: interval.map(|[low, high]| low <= 0.0 && 0.0 <= high),
            method: METHOD.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::row::test_row;

    /// Rows of one handover each, at 10 requests a second, with these losses and interruptions.
    fn rows(losses: &[(usize, f64)]) -> Vec<Row> {
        let row = |(seed, (lost, outage)): (usize, &(usize, f64))| {
            let mut row = test_row(1, seed as u64, &[1.0]);
            row.handovers[0].lost = *lost;
            row.handovers[0].outage_s = Some(*outage);
            row
        };
        losses.iter().enumerate().map(row).collect()
    }

    #[test]
    fn losses_that_are_lambda_d_on_average_follow_it() {
        // lost - lambda D: 0.5, -0.5, 0.5, -0.5, 0.5, -0.5; deviation sqrt(6 * 0.25 / 5) = 0.5477,
        // half width 2.571 * 0.5477 / sqrt(6) = 0.575.
        let losses = [
            (3, 0.25),
            (2, 0.25),
            (3, 0.25),
            (2, 0.25),
            (3, 0.25),
            (2, 0.25),
        ];
        let rows = rows(&losses);
        let loss = Loss::of(&rows.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!((loss.handovers, loss.runs, loss.left_out), (6, 6, 0));
        assert_eq!((loss.lost, loss.lambda_d, loss.difference), (2.5, 2.5, 0.0));
        let [low, high] = loss.interval_95.unwrap();
        assert!(
            (high - 0.575).abs() < 2e-3 && (low + 0.575).abs() < 2e-3,
            "{low} {high}"
        );
        assert_eq!(loss.follows, Some(true));
    }

    #[test]
    fn losses_that_are_always_more_do_not() {
        let rows = rows(&[(4, 0.3), (4, 0.3), (4, 0.31), (4, 0.3), (4, 0.29), (4, 0.3)]);
        let loss = Loss::of(&rows.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(loss.follows, Some(false));
    }

    #[test]
    fn few_runs_have_no_interval_and_unknown_interruptions_are_counted() {
        let mut rows = rows(&[(4, 0.3), (4, 0.3)]);
        rows[1].handovers[0].outage_s = None;
        let loss = Loss::of(&rows.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(
            (loss.handovers, loss.left_out, loss.interval_95),
            (1, 1, None)
        );
        rows[0].handovers[0].outage_s = None;
        assert_eq!(Loss::of(&rows.iter().collect::<Vec<_>>()), None);
    }
}
