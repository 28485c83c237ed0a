//! Many runs of one topology: how a figure is distributed over seeds.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use rundir::Phase;
use serde::{Deserialize, Serialize};
use units::Seed;

use crate::result::{Handover, Outcome, RunResult};

/// One run of a sweep, the figures that its table keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedRow {
    /// Root seed.
    pub seed: Seed,
    /// Whether every expectation passed.
    pub passed: bool,
    /// Every handover that the capture shows.
    pub handovers: Vec<Handover>,
    /// Message IDs requested and never answered.
    pub lost: usize,
    /// Message IDs requested.
    pub sent: usize,
}

impl SeedRow {
    /// The row of a result.
    pub fn of(result: &RunResult) -> SeedRow {
        SeedRow {
            seed: result.seed,
            passed: result.passed,
            handovers: result.handovers.clone(),
            lost: result.requests.lost,
            sent: result.requests.sent,
        }
    }
}

/// Five numbers of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quartiles {
    /// Size of the sample.
    pub count: usize,
    /// Smallest.
    pub min: f64,
    /// First quartile: linear interpolation between the order statistics.
    pub q1: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub q3: f64,
    /// Largest.
    pub max: f64,
}

impl Quartiles {
    /// The quartiles of `values`, or `None` of an empty sample.
    pub fn of(values: &[f64]) -> Option<Quartiles> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let at = |share: f64| {
            let place = share * (sorted.len() - 1) as f64;
            let (low, high) = (
                sorted[place.floor() as usize],
                sorted[place.ceil() as usize],
            );
            low + (high - low) * place.fract()
        };
        Some(Quartiles {
            count: sorted.len(),
            min,
            q1: at(0.25),
            median: at(0.5),
            q3: at(0.75),
            max,
        })
    }
}

/// A figure and its distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// `handover_delay_s`, or a phase's name.
    pub name: String,
    /// Its distribution, seconds.
    pub quartiles: Quartiles,
}

/// What a sweep over seeds shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Name of the topology.
    pub topology: String,
    /// One row a run, by seed.
    pub runs: Vec<SeedRow>,
    /// The handover delay and each phase of it.
    pub figures: Vec<Figure>,
    /// Lost Message IDs per run.
    pub lost: Option<Quartiles>,
}

impl Distribution {
    /// The distribution over `runs`.
    pub fn of(topology: &str, mut runs: Vec<SeedRow>) -> Distribution {
        runs.sort_by_key(|row| row.seed);
        let handovers = || runs.iter().flat_map(|row| &row.handovers);
        let delays: Vec<f64> = handovers()
            .filter_map(|handover| handover.delay_s)
            .collect();
        let phases: BTreeSet<Phase> = handovers()
            .flat_map(|handover| handover.phases.keys().copied())
            .collect();
        let mut figures: Vec<Figure> = Vec::new();
        let mut add = |name: &str, values: &[f64]| {
            let quartiles = Quartiles::of(values);
            figures.extend(quartiles.map(|quartiles| Figure {
                name: name.to_owned(),
                quartiles,
            }));
        };
        add("handover_delay", &delays);
        for phase in phases {
            let of_phase = handovers().filter_map(|handover| handover.phases.get(&phase).copied());
            add(phase.name(), &of_phase.collect::<Vec<f64>>());
        }
        let lost: Vec<f64> = runs.iter().map(|row| row.lost as f64).collect();
        Distribution {
            topology: topology.to_owned(),
            lost: Quartiles::of(&lost),
            figures,
            runs,
        }
    }

    /// The share of handover delays under `seconds`, or `None` without any.
    pub fn share_below(&self, seconds: f64) -> Option<f64> {
        let delays = self
            .runs
            .iter()
            .flat_map(|row| &row.handovers)
            .filter_map(|h| h.delay_s);
        let delays: Vec<f64> = delays.collect();
        let below = delays.iter().filter(|delay| **delay < seconds).count();
        (!delays.is_empty()).then(|| below as f64 / delays.len() as f64)
    }

    /// The report as text; `compare` is a delay in seconds to place in the distribution.
    pub fn report(&self, compare: Option<f64>) -> String {
        let failed = self.runs.iter().filter(|row| !row.passed).count();
        let mut out = format!(
            "{}: {} runs, {failed} failed\n",
            self.topology,
            self.runs.len()
        );
        let delay = self.figures.first().map(|figure| figure.quartiles.median);
        let _ = writeln!(
            out,
            "{:<20} {:>9} {:>9} {:>9} {:>9} {:>9}  share of the median delay",
            "seconds", "min", "q1", "median", "q3", "max"
        );
        for Figure { name, quartiles: q } in &self.figures {
            let share = delay
                .filter(|delay| *delay > 0.0)
                .map_or(0.0, |delay| 100.0 * q.median / delay);
            let _ = writeln!(
                out,
                "{name:<20} {:>9.4} {:>9.4} {:>9.4} {:>9.4} {:>9.4}  {share:>5.1} %",
                q.min, q.q1, q.median, q.q3, q.max
            );
        }
        if let Some(q) = &self.lost {
            let _ = writeln!(
                out,
                "{:<20} {:>9} {:>9} {:>9} {:>9} {:>9}",
                "lost Message IDs", q.min, q.q1, q.median, q.q3, q.max
            );
        }
        if let (Some(seconds), Some(share)) = (compare, compare.and_then(|s| self.share_below(s))) {
            let _ = writeln!(
                out,
                "{seconds} s: {:.1} % of the delays are shorter",
                100.0 * share
            );
        }
        for row in self.runs.iter().filter(|row| !row.passed) {
            let _ = writeln!(out, "{}: seed {}", Outcome::Failed.name(), row.seed);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_interpolate_between_order_statistics() {
        // R's default (type 7): quantile(c(1, 2, 3, 4)) gives 1, 1.75, 2.5, 3.25, 4.
        let q = Quartiles::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(
            (q.min, q.q1, q.median, q.q3, q.max),
            (1.0, 1.75, 2.5, 3.25, 4.0)
        );
        let one = Quartiles::of(&[7.0]).unwrap();
        assert_eq!((one.count, one.q1, one.q3), (1, 7.0, 7.0));
        assert_eq!(Quartiles::of(&[]), None);
    }

    #[test]
    fn runs_without_a_handover_have_no_delays_but_losses() {
        let row = |seed, lost| SeedRow {
            seed: Seed(seed),
            passed: true,
            handovers: vec![],
            lost,
            sent: 9,
        };
        let distribution = Distribution::of("x", vec![row(2, 4), row(1, 2)]);
        assert_eq!(distribution.runs[0].seed, Seed(1), "by seed");
        assert!(distribution.figures.is_empty());
        assert_eq!(distribution.lost.unwrap().median, 3.0);
        assert_eq!(distribution.share_below(1.0), None);
    }
}
