//! `--until`: seeds are added in their order until a figure is known well enough. What decides is the
//! results in that order, and not which run ended first.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::str::FromStr;

use anyhow::Result;
use measure::distribution::Row;
use measure::distribution::interval::{self, Estimate, MIN_RUNS, Middle};
use serde::{Deserialize, Serialize};

use crate::failure::Refused;

/// When there are seeds enough: once the 95 % interval of a figure's mean or median is within a share
/// of it, at each point.
#[derive(Clone, Debug, PartialEq)]
pub struct Until {
    figure: String,
    middle: Middle,
    /// The share, 0.01 of one percent.
    share: f64,
    /// As the command line has it.
    text: String,
}

/// What `sweep.json` says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// As the command line has it.
    pub rule: String,
    /// What came of it; absent until the sweep is at its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decided: Option<Decided>,
}

/// Which seeds are enough.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The last one that is run.
    pub last_seed: u64,
    /// Whether they are: else they are all that there may be.
    pub reached: bool,
    /// What decided.
    points: Vec<AtPoint>,
}

/// The figure at a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct AtPoint {
    point: usize,
    /// `null` if too few runs have it.
    estimate: Option<Estimate>,
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Until, String> {
        let wrong = || {
            format!(
                "`{text}` is no FIGURE mean|median ±SHARE % such as `handover_delay_s median ±1 %`"
            )
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let [figure, middle, share @ ..] = &words[..] else {
            return Err(wrong());
        };
        let middle = match *middle {
            "mean" => Middle::Mean,
            "median" => Middle::Median,
            _ => return Err(wrong()),
        };
        let share = share.concat();
        let signed = ["±", "+-", "+/-"].iter();
        let percent = signed.filter_map(|sign| share.strip_prefix(sign)).next();
        let percent = percent.and_then(|percent| percent.strip_suffix('%'));
        let percent: f64 = percent
            .and_then(|percent| percent.parse().ok())
            .ok_or_else(wrong)?;
        if !(percent > 0.0 && percent < 100.0) {
            return Err(format!("`{text}`: the share is over 0 and under 100 %"));
        }
        Ok(Until {
            figure: (*figure).to_owned(),
            middle,
            share: percent / 100.0,
            text: words.join(" "),
        })
    }
}

impl Until {
    /// What `sweep.json` says before anything is decided.
    pub fn told(&self) -> Told {
        Told {
            rule: self.text.clone(),
            decided: None,
        }
    }
}

/// Looks at the results in the order of seeds, as far as they are there.
#[derive(Debug)]
pub struct Watch<'u> {
    until: &'u Until,
    seeds: RangeInclusive<u64>,
    points: usize,
    /// What came before its turn, by seed and point.
    early: BTreeMap<(u64, usize), Found>,
    /// The first seed that was not looked at; `None` after the last.
    next: Option<u64>,
    /// At each point the values of the seeds before that.
    values: Vec<Vec<f64>>,
    /// Measured runs of those seeds.
    measured: usize,
    decided: Option<Decided>,
}

/// What a run has of the figure.
#[derive(Debug)]
enum Found {
    /// It failed itself.
    Broken,
    Value(f64),
    /// None of it, but these figures.
    Others(Vec<String>),
}

impl<'u> Watch<'u> {
    /// Nothing is there yet.
    pub fn new(until: &'u Until, seeds: RangeInclusive<u64>, points: usize) -> Watch<'u> {
        Watch {
            until,
            next: Some(*seeds.start()),
            seeds,
            points,
            early: BTreeMap::new(),
            values: vec![Vec::new(); points],
            measured: 0,
            decided: None,
        }
    }

    /// One more run is there.
    ///
    /// # Errors
    /// [`Refused`]: the figure is none of what the runs have.
    pub fn add(&mut self, row: &Row) -> Result<()> {
        let value = || interval::of_run(row, &self.until.figure, self.until.middle);
        let found = match row.error {
            Some(_) => Found::Broken,
            None => value().map_or_else(|| Found::Others(interval::names(row)), Found::Value),
        };
        self.early.insert((row.seed.0, row.point), found);
        while let (None, Some(seed)) = (&self.decided, self.next) {
            let points = 1..=self.points;
            if !points
                .clone()
                .all(|point| self.early.contains_key(&(seed, point)))
            {
                break;
            }
            for point in points {
                if let Some(found) = self.early.remove(&(seed, point)) {
                    self.take(point, found)?;
                }
            }
            let last = seed == *self.seeds.end();
            self.next = (!last).then(|| seed + 1);
            let points = self.estimates();
            let reached = points.iter().all(|point| self.is_enough(point));
            if reached || last {
                self.decided = Some(Decided {
                    last_seed: seed,
                    reached,
                    points,
                });
            }
        }
        Ok(())
    }

    /// What is decided.
    pub fn decided(&self) -> Option<&Decided> {
        self.decided.as_ref()
    }

    /// A run whose turn it is. A figure that the first few have not is one that nobody has.
    fn take(&mut self, point: usize, found: Found) -> Result<()> {
        self.measured += usize::from(!matches!(found, Found::Broken));
        let others = match found {
            Found::Broken => return Ok(()),
            Found::Value(value) => {
                self.values[point - 1].push(value);
                return Ok(());
            }
            Found::Others(others) => others,
        };
        if self.measured < MIN_RUNS || !self.values.iter().all(Vec::is_empty) {
            return Ok(());
        }
        let text = format!(
            "--until {}: the first {} runs have no {}; they have {}",
            self.until.text,
            self.measured,
            self.until.figure,
            others.join(", ")
        );
        Err(Refused(text).into())
    }

    fn estimates(&self) -> Vec<AtPoint> {
        let values = self.values.iter().enumerate();
        values
            .map(|(at, values)| AtPoint {
                point: at + 1,
                estimate: Estimate::of(values, self.until.middle),
            })
            .collect()
    }

    fn is_enough(&self, point: &AtPoint) -> bool {
        let estimate = point.estimate.as_ref();
        estimate.is_some_and(|estimate| estimate.share() <= self.until.share)
    }
}

impl Told {
    /// What decided, a line for each point.
    pub fn text(&self) -> String {
        let Some(decided) = &self.decided else {
            return String::new();
        };
        let mut text = match decided.reached {
            true => format!(
                "--until {}: reached at seed {}\n",
                self.rule, decided.last_seed
            ),
            false => format!(
                "--until {}: not reached with the last seed, {}\n",
                self.rule, decided.last_seed
            ),
        };
        for AtPoint { point, estimate } in &decided.points {
            let _ = match estimate {
                Some(estimate) => {
                    let ([low, high], percent) = (estimate.interval_95, 100.0 * estimate.share());
                    let Estimate { runs, value, .. } = estimate;
                    writeln!(
                        text,
                        "point {point}: {value:.6}, 95 % interval {low:.6} to {high:.6} (±{percent:.2} %), {runs} runs"
                    )
                }
                None => writeln!(text, "point {point}: fewer than {MIN_RUNS} runs have it"),
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use measure::distribution::Origin;
    use rundir::SweepDir;
    use units::Seed;

    use super::*;
    use crate::failure;

    fn until(text: &str) -> Until {
        text.parse().unwrap()
    }

    /// A run with this number of lost requests.
    fn row(point: usize, seed: u64, lost: f64) -> Row {
        let origin = Origin {
            point,
            seed: Seed(seed),
            set: BTreeMap::new(),
            command: "wpanlab run".into(),
            dir: SweepDir::run_name(point, seed),
        };
        let mut row = Row::broken(origin, String::new());
        row.error = None;
        row.figures.insert("lost".into(), lost);
        row
    }

    #[test]
    fn a_rule_is_a_figure_a_middle_and_a_share() {
        let rule = until("handover_delay_s  median ±1 %");
        assert_eq!(rule.text, "handover_delay_s median ±1 %");
        assert_eq!((rule.middle, rule.share), (Middle::Median, 0.01));
        assert_eq!(until("lost mean +-2.5%").share, 0.025);
        for wrong in [
            "",
            "lost",
            "lost mean",
            "lost p95 ±1 %",
            "lost mean 1 %",
            "lost mean ±1",
            "lost mean ±0 %",
            "lost mean ±x %",
            "lost mean ±NaN %",
        ] {
            wrong.parse::<Until>().unwrap_err();
        }
    }

    /// What was decided when the rows came one after the other in this order.
    fn decided(rule: &str, order: &[Row], limit: u64) -> Option<(u64, bool, usize)> {
        let rule = until(rule);
        let mut watch = Watch::new(&rule, 1..=limit, 1);
        for (before, row) in order.iter().enumerate() {
            watch.add(row).unwrap();
            if let Some(decided) = watch.decided() {
                return Some((decided.last_seed, decided.reached, before + 1));
            }
        }
        None
    }

    #[test]
    fn what_decides_is_the_order_of_seeds_and_not_the_one_of_results() {
        // The mean of nine values has an interval of ±8.5 %, of ten ±7.5 %.
        let rows: Vec<Row> = (1..=40)
            .map(|seed| row(1, seed, 9.0 + 2.0 * (seed % 2) as f64))
            .collect();
        let (last, reached, known) = decided("lost mean ±8 %", &rows, 40).unwrap();
        assert!(reached);
        assert_eq!(known as u64, last);
        let mut swapped = rows.clone();
        swapped.swap(0, 20);
        swapped.swap(5, 6);
        let late = decided("lost mean ±8 %", &swapped, 40).unwrap();
        assert_eq!(late, (last, true, 21));
        assert_eq!(
            decided("lost mean ±0.01 %", &rows, 40),
            Some((40, false, 40))
        );
        assert_eq!(decided("lost mean ±0.01 %", &rows[..39], 40), None);
    }

    #[test]
    fn every_point_is_to_be_known_and_a_run_that_failed_has_no_value() {
        let rule = until("lost median ±5 %");
        let mut watch = Watch::new(&rule, 1..=8, 2);
        let mut rows = Vec::new();
        for seed in 1..=8 {
            rows.push(row(1, seed, 4.0));
            rows.push(row(2, seed, 4.0));
            rows.last_mut().unwrap().error = (seed == 3).then(|| "no kernel".into());
        }
        for (at, row) in rows.iter().enumerate() {
            watch.add(row).unwrap();
            assert_eq!(watch.decided().is_some(), at >= 13, "{at}");
        }
        let decided = watch.decided().unwrap().clone();
        assert_eq!((decided.last_seed, decided.reached), (7, true));
        let told = Told {
            decided: Some(decided),
            ..rule.told()
        };
        let text = told.text();
        assert!(
            text.contains("reached at seed 7\npoint 1: 4.000000,"),
            "{text}"
        );
        let json = serde_json::to_string(&told).unwrap();
        assert_eq!(serde_json::from_str::<Told>(&json).unwrap(), told);
    }

    #[test]
    fn a_figure_that_no_run_has_is_refused_with_those_that_there_are() {
        let rule = until("handover_dleay_s median ±1 %");
        let mut watch = Watch::new(&rule, 1..=100, 1);
        for seed in 1..=5 {
            watch.add(&row(1, seed, 1.0)).unwrap();
        }
        let refused = watch.add(&row(1, 6, 1.0)).unwrap_err();
        assert_eq!(failure::code(&refused), failure::BAD_INPUT);
        let text = failure::text(&refused);
        assert!(
            text.contains("they have ") && text.contains("lost"),
            "{text}"
        );
    }
}
