//! Distributions over the runs of a sweep.

use std::collections::BTreeMap;

use measure::distribution::Quartiles;
use measure::result::Handover;

use super::{Block, Chart, Figure, PHASES, Section, figures, median, ms, phase_name, table};
use crate::chart::bars::{Bars, Row, stacked};
use crate::chart::plot::{Axis, Mark, Plot, Series, Shape};
use crate::sweep::{self, Sweep};

/// The delays of handovers over all runs: quartiles, histogram, cumulative distribution, and where
/// `compare_s` falls.
pub fn delays(sweep: &Sweep, compare_s: Option<f64>) -> Section {
    let mut blocks = Vec::new();
    let groups = groups(sweep);
    let all: Vec<f64> = sweep.rows.iter().flat_map(sweep::Row::delays).collect();
    match Quartiles::of(&all) {
        None => blocks.push(Block::Missing("The distribution of handover delays: no run of the table has a handover that a client saw.".into())),
        Some(_) => {
            blocks.push(quartile_table(&groups));
            blocks.push(cumulative(&groups, compare_s));
            blocks.push(histogram(&all, compare_s));
        }
    }
    if let (Some(compare), false) = (compare_s, all.is_empty()) {
        let below = all.iter().filter(|d| **d < compare).count();
        blocks.push(Block::Text(format!(
            "{} of {} delays, {:.1} %, are shorter than {}.",
            below,
            all.len(),
            100.0 * below as f64 / all.len() as f64,
            ms(compare)
        )));
    }
    Section {
        id: "delays",
        title: "Handover delay",
        blocks,
    }
}

/// Delays by what was set, in the order of first appearance; one group if nothing was.
fn groups(sweep: &Sweep) -> Vec<(String, Vec<f64>)> {
    let mut groups: Vec<(String, Vec<f64>)> = Vec::new();
    for row in &sweep.rows {
        let setting = row.setting();
        let at = groups
            .iter()
            .position(|g| g.0 == setting)
            .unwrap_or_else(|| {
                groups.push((setting, Vec::new()));
                groups.len() - 1
            });
        groups[at].1.extend(row.delays());
    }
    groups
}

fn named(setting: &str) -> String {
    if setting.is_empty() {
        "all runs".into()
    } else {
        setting.into()
    }
}

fn quartile_table(groups: &[(String, Vec<f64>)]) -> Block {
    let row = |(setting, delays): &(String, Vec<f64>)| {
        let q = Quartiles::of(delays)?;
        Some([
            named(setting),
            q.count.to_string(),
            ms(q.min),
            ms(q.q1),
            ms(q.median),
            ms(q.q3),
            ms(q.max),
        ])
    };
    table(
        [
            "runs",
            "handovers",
            "min",
            "first quartile",
            "median",
            "third quartile",
            "max",
        ],
        groups.iter().filter_map(row).collect(),
    )
}

fn comparison(compare_s: Option<f64>) -> Vec<Mark> {
    let mark = |s: f64| Mark {
        at: s * 1e3,
        text: format!("compared: {}", ms(s)),
    };
    compare_s.map(mark).into_iter().collect()
}

fn cumulative(groups: &[(String, Vec<f64>)], compare_s: Option<f64>) -> Block {
    let mut plot = Plot::new(
        Axis {
            include: compare_s
                .map(|s| s * 1e3)
                .into_iter()
                .chain([0.0])
                .collect(),
            ..Axis::new("handover delay (ms)")
        },
        Axis {
            range: Some((0.0, 100.0)),
            ..Axis::new("share of handovers that took no longer (%)")
        },
    );
    for (i, (setting, delays)) in groups.iter().filter(|g| !g.1.is_empty()).enumerate() {
        let mut sorted = delays.clone();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let mut points = vec![(sorted[0] * 1e3, 0.0)];
        points.extend(
            sorted
                .iter()
                .enumerate()
                .map(|(i, s)| (s * 1e3, (i + 1) as f64 / count * 100.0)),
        );
        plot.series.push(Series {
            name: format!("{} ({})", named(setting), sorted.len()),
            shape: Shape::Steps,
            colour: i % crate::chart::COLOURS,
            points,
        });
    }
    plot.verticals = comparison(compare_s);
    Block::Figure(Figure {
        id: "delay-cumulative".into(),
        title: "Cumulative distribution of the handover delay".into(),
        caption: "Of every handover of every run that a client saw.".into(),
        chart: Chart::Plot(plot),
    })
}

/// Columns of round width: at most 30, by the rule of Freedman and Diaconis.
fn histogram(delays: &[f64], compare_s: Option<f64>) -> Block {
    let q = Quartiles::of(delays);
    let (low, high, between) = q.map_or((0.0, 1.0, 1.0), |q| {
        (q.min * 1e3, q.max * 1e3, (q.q3 - q.q1) * 1e3)
    });
    let wanted = 2.0 * between / (delays.len() as f64).cbrt();
    let width = round_up(
        wanted
            .max((high - low) / 30.0)
            .max(high.abs() * 1e-6)
            .max(1e-6),
    );
    let first = (low / width).floor();
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for delay in delays {
        *counts
            .entry((delay * 1e3 / width - first).floor().max(0.0) as u64)
            .or_default() += 1;
    }
    let last = counts.keys().last().copied().unwrap_or_default();
    let edge = |column: u64| (first + column as f64) * width;
    let mut points = vec![(edge(0), 0.0)];
    points
        .extend((0..=last).map(|c| (edge(c), counts.get(&c).copied().unwrap_or_default() as f64)));
    points.push((edge(last + 1), 0.0));
    let mut plot = Plot::new(
        Axis {
            include: compare_s
                .map(|s| s * 1e3)
                .into_iter()
                .chain([0.0])
                .collect(),
            ..Axis::new("handover delay (ms)")
        },
        Axis {
            include: vec![0.0],
            ..Axis::whole("handovers")
        },
    );
    plot.series.push(Series {
        name: String::new(),
        shape: Shape::Steps,
        colour: 0,
        points,
    });
    plot.verticals = comparison(compare_s);
    if let Some(q) = q {
        plot.shades.push((q.q1 * 1e3, q.q3 * 1e3));
        plot.verticals.push(Mark {
            at: q.median * 1e3,
            text: format!("median {}", ms(q.median)),
        });
    }
    Block::Figure(Figure {
        id: "delay-histogram".into(),
        title: "Histogram of the handover delay".into(),
        caption: format!(
            "Columns of {} ms; from the first to the third quartile is shaded.",
            figures(width)
        ),
        chart: Chart::Plot(plot),
    })
}

/// The next 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|f| f * power >= value * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// How the delay is made up: the median of each phase over all handovers.
pub fn phases(sweep: &Sweep) -> Section {
    let handovers: Vec<&Handover> = sweep
        .rows
        .iter()
        .filter_map(|r| r.handovers.as_ref())
        .flatten()
        .collect();
    let delay: Vec<f64> = handovers.iter().filter_map(|h| h.delay_s).collect();
    let delay = median(&delay);
    let (mut bars, mut cells) = (Vec::new(), Vec::new());
    for (phase, colour, symbol) in PHASES {
        let values: Vec<f64> = handovers
            .iter()
            .filter_map(|h| h.phases.get(&phase).copied())
            .collect();
        let Some(q) = Quartiles::of(&values) else {
            continue;
        };
        let name = phase_name(phase) + symbol;
        let share = delay.filter(|d| *d > 0.0).map_or_else(
            || "not known".into(),
            |d| format!("{:.1} %", 100.0 * q.median / d),
        );
        cells.push([
            name.clone(),
            q.count.to_string(),
            ms(q.min),
            ms(q.q1),
            ms(q.median),
            ms(q.q3),
            ms(q.max),
            share.clone(),
        ]);
        bars.push(Row {
            parts: stacked(&[(colour, name.as_str(), q.median * 1e3)], |name, _| {
                format!("{name}: {}", ms(q.median))
            }),
            name,
            value: format!("{}, {share}", ms(q.median)),
        });
    }
    let blocks = match bars.is_empty() {
        true => vec![Block::Missing("Phases: no run of the table has a handover with phases.".into())],
        false => vec![
            Block::Figure(Figure {
                id: "phases".into(),
                title: "Median of each phase, and its share of the median delay".into(),
                caption: "Shares need not add up to 100 %: medians do not add, phases can lie outside the gap, and a client waits for its next request.".into(),
                chart: Chart::Bars(Bars {
                    title: "median (ms)".into(),
                    rows: bars,
                    keys: vec![],
                    shade: None,
                    marks: vec![],
                }),
            }),
            table(["phase", "handovers", "min", "first quartile", "median", "third quartile", "max", "of the median delay"], cells),
        ],
    };
    Section {
        id: "phases",
        title: "Phases",
        blocks,
    }
}

/// What was lost, run by run.
pub fn losses(sweep: &Sweep) -> Section {
    let mut plot = Plot::new(
        Axis::whole("run, in the order of the table"),
        Axis {
            include: vec![0.0],
            ..Axis::whole("lost Message IDs")
        },
    );
    let lost: Vec<(f64, f64)> = sweep
        .rows
        .iter()
        .enumerate()
        .filter_map(|(i, r)| Some(((i + 1) as f64, r.lost? as f64)))
        .collect();
    let total: f64 = lost.iter().map(|p| p.1).sum();
    let sent: u64 = sweep.rows.iter().filter_map(|r| r.sent).sum();
    let unknown = sweep.rows.len() - lost.len();
    let mut blocks = vec![Block::Text(format!(
        "{total} of {sent} Message IDs were lost, in {} of {} runs.",
        lost.iter().filter(|p| p.1 > 0.0).count(),
        lost.len()
    ))];
    if unknown > 0 {
        blocks.push(Block::Missing(format!(
            "{unknown} runs of the table do not say what they lost."
        )));
    }
    if total > 0.0 {
        plot.series.push(Series {
            name: "lost in a run".into(),
            shape: Shape::Diamonds,
            colour: 1,
            points: lost,
        });
        blocks.push(Block::Figure(Figure {
            id: "lost".into(),
            title: "Lost Message IDs of every run".into(),
            caption: String::new(),
            chart: Chart::Plot(plot),
        }));
    }
    Section {
        id: "losses",
        title: "Losses",
        blocks,
    }
}

/// Every run, the failed ones first.
pub fn runs(sweep: &Sweep) -> Section {
    let mut rows: Vec<&sweep::Row> = sweep.rows.iter().collect();
    rows.sort_by_key(|row| row.passed == Some(true));
    let told = |row: &&sweep::Row| {
        let count = |n: Option<u64>| n.map_or_else(|| "not known".into(), |n| n.to_string());
        let delays: Vec<f64> = row.delays().collect();
        [
            row.seed
                .map_or_else(|| "not known".into(), |s| s.to_string()),
            row.setting(),
            match row.passed {
                Some(true) => "passed".into(),
                Some(false) => "failed".into(),
                None => "not known".into(),
            },
            delays.len().to_string(),
            median(&delays).map_or_else(|| "none".into(), ms),
            count(row.sent),
            count(row.lost),
        ]
    };
    let failed = sweep.rows.iter().filter(|r| r.passed != Some(true)).count();
    let table = table(
        [
            "seed",
            "set",
            "outcome",
            "handovers",
            "median delay",
            "sent",
            "lost",
        ],
        rows.iter().map(told).collect(),
    );
    let blocks = match failed {
        0 => vec![
            Block::Text(format!("All {} runs passed.", sweep.rows.len())),
            Block::Folded("Table of all runs".into(), vec![table]),
        ],
        n => vec![
            Block::Text(format!(
                "{n} of {} runs failed; they stand first.",
                sweep.rows.len()
            )),
            table,
        ],
    };
    Section {
        id: "runs",
        title: "Runs",
        blocks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_round_widths() {
        assert_eq!(
            [round_up(0.03), round_up(20.0), round_up(51.0)],
            [0.05, 20.0, 100.0]
        );
    }

    #[test]
    fn every_delay_is_in_a_column() {
        let delays: Vec<f64> = (0..97).map(|i| 0.1 + f64::from(i) * 0.0031).collect();
        let Block::Figure(Figure {
            chart: Chart::Plot(plot),
            ..
        }) = histogram(&delays, None)
        else {
            panic!("a figure");
        };
        let sum: f64 = plot.series[0].points.iter().map(|p| p.1).sum();
        assert_eq!(sum, 97.0);
    }
}
