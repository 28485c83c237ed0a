//! Distributions over the runs of a sweep, per combination of its values.

use std::collections::BTreeMap;

use measure::distribution::{Percentiles, Point, Row};
use measure::phases::all_phases;

use super::{Block, Chart, Figure, Section, figures, median, ms, phase_name, phase_style};
use crate::chart::COLOURS;
use crate::chart::bars::{self, Bars, stacked};
use crate::chart::plot::{Axis, Mark, Plot, Series, Shape};
use crate::sweep::Sweep;

/// Points of which the phases are drawn.
const DRAWN: usize = 40;

/// What is expected over the runs, point by point; nothing if nothing is.
pub fn expectations(sweep: &Sweep) -> Option<Section> {
    let rows = sweep.points().iter().flat_map(|point| {
        point.expectations.iter().map(|e| {
            let found = match &e.reason {
                Some(reason) => format!("{}: {reason}", e.outcome.name()),
                None => e.outcome.name().to_owned(),
            };
            let measured = e.measured_text().unwrap_or_else(|| "-".into());
            [sweep.label(point), e.name(), measured, found]
        })
    });
    let rows: Vec<[String; 4]> = rows.collect();
    let heads = ["point", "expected over the runs", "measured", "outcome"];
    (!rows.is_empty()).then(|| Section {
        id: "expected",
        title: "What is expected over the runs",
        blocks: vec![super::table(heads, rows)],
    })
}

/// The delays of handovers: percentiles and cumulative distribution of each point, the histogram if
/// there is one point, and where `compare_s` falls.
pub fn delays(sweep: &Sweep, compare_s: Option<f64>) -> Section {
    let points: Vec<(&Point, Vec<f64>)> = sweep
        .points()
        .iter()
        .map(|point| (point, sweep.delays(point.point)))
        .filter(|(_, delays)| !delays.is_empty())
        .collect();
    let mut blocks = Vec::new();
    if points.is_empty() {
        blocks.push(Block::Missing("The distribution of handover delays: no run of the table has a handover that a client saw.".into()));
    } else {
        blocks.push(Block::Text(
            "Percentiles in milliseconds, over every handover that a client saw.".into(),
        ));
        blocks.push(percentile_table(sweep, &points));
        blocks.push(cumulative(sweep, &points, compare_s));
    }
    if let [(_, delays)] = &points[..] {
        blocks.push(histogram(delays, compare_s));
    }
    if let Some(compare) = compare_s {
        blocks.extend(points.iter().map(|(point, delays)| {
            let below = delays.iter().filter(|d| **d < compare).count();
            let share = 100.0 * below as f64 / delays.len() as f64;
            let count = delays.len();
            let label = sweep.label(point);
            Block::Text(format!(
                "{label}: {below} of {count} delays, {share:.1} %, are shorter than {}.",
                ms(compare)
            ))
        }));
    }
    Section {
        id: "delays",
        title: "Handover delay",
        blocks,
    }
}

fn percentile_table(sweep: &Sweep, points: &[(&Point, Vec<f64>)]) -> Block {
    let mut heads = sweep.heads();
    heads.extend(["handovers", "mean"].map(str::to_owned));
    heads.extend(PERCENTILES.map(str::to_owned));
    let row = |(point, delays): &(&Point, Vec<f64>)| {
        let p = Percentiles::of(delays)?;
        let mut cells = sweep.cells(point);
        cells.push(p.count.to_string());
        cells.extend(p.figures().map(|(_, value)| figures(value * 1e3)));
        Some(cells)
    };
    Block::Table(heads, points.iter().filter_map(row).collect())
}

/// As [`Percentiles::figures`] has them, after the mean.
const PERCENTILES: [&str; 7] = [
    "min",
    "5 %",
    "first quartile",
    "median",
    "third quartile",
    "95 %",
    "max",
];

fn comparison(compare_s: Option<f64>) -> Vec<Mark> {
    let mark = |s: f64| Mark {
        at: s * 1e3,
        text: format!("compared: {}", ms(s)),
    };
    compare_s.map(mark).into_iter().collect()
}

/// The axis of delays, from 0.
fn delay_axis(compare_s: Option<f64>) -> Axis {
    Axis {
        include: compare_s
            .map(|s| s * 1e3)
            .into_iter()
            .chain([0.0])
            .collect(),
        ..Axis::new("handover delay (ms)")
    }
}

fn cumulative(sweep: &Sweep, points: &[(&Point, Vec<f64>)], compare_s: Option<f64>) -> Block {
    let mut plot = Plot::new(
        delay_axis(compare_s),
        Axis {
            range: Some((0.0, 100.0)),
            ..Axis::new("share of handovers that took no longer (%)")
        },
    );
    for (i, (point, delays)) in points.iter().take(COLOURS).enumerate() {
        let mut sorted = delays.clone();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let share = |(i, s): (usize, &f64)| (s * 1e3, (i + 1) as f64 / count * 100.0);
        plot.series.push(Series {
            name: format!("{} ({})", sweep.label(point), sorted.len()),
            shape: Shape::Steps,
            colour: i,
            points: [(sorted[0] * 1e3, 0.0)]
                .into_iter()
                .chain(sorted.iter().enumerate().map(share))
                .collect(),
        });
    }
    plot.verticals = comparison(compare_s);
    let mut caption = String::from("Of every handover of every run that a client saw.");
    if points.len() > COLOURS {
        caption.push_str(&format!(
            " Of {} points the first {COLOURS} are drawn.",
            points.len()
        ));
    }
    Block::Figure(Figure {
        id: "delay-cumulative".into(),
        title: "Cumulative distribution of the handover delay".into(),
        caption,
        chart: Chart::Plot(plot),
    })
}

/// Columns of round width: at most 30, by the rule of Freedman and Diaconis.
fn histogram(delays: &[f64], compare_s: Option<f64>) -> Block {
    let q = Percentiles::of(delays);
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
        delay_axis(compare_s),
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

/// How the delay is made up: each point's percentiles of each phase.
pub fn phases(sweep: &Sweep) -> Section {
    let (mut rows, mut cells) = (Vec::new(), Vec::new());
    for point in sweep.points() {
        let delay = median(&sweep.delays(point.point)).filter(|delay| *delay > 0.0);
        let mut lengths = Vec::new();
        let of_point = || sweep.handovers(point.point).map(|h| &h.phases);
        for phase in all_phases(of_point()) {
            let values = of_point().filter_map(|phases| phases.get(&phase).copied());
            let values: Vec<f64> = values.collect();
            let Some(p) = Percentiles::of(&values) else {
                continue;
            };
            let (colour, symbol) = phase_style(&phase);
            let name = phase_name(&phase) + symbol;
            let share = delay.map(|delay| format!("{:.1} %", 100.0 * p.median / delay));
            let mut row = sweep.cells(point);
            row.extend([name.clone(), p.count.to_string()]);
            row.extend(p.figures().map(|(_, value)| figures(value * 1e3)));
            row.push(share.unwrap_or_else(|| "not known".into()));
            cells.push(row);
            lengths.push((colour, name, p.median * 1e3));
        }
        let lengths: Vec<_> = lengths
            .iter()
            .map(|(c, name, ms)| (*c, name.as_str(), *ms))
            .collect();
        if !lengths.is_empty() {
            rows.push(bars::Row {
                name: sweep.label(point),
                parts: stacked(&lengths, |name, length| {
                    format!("{name}: {}", ms(length / 1e3))
                }),
                value: delay
                    .map(|delay| format!("delay {}", ms(delay)))
                    .unwrap_or_default(),
            });
        }
    }
    Section {
        id: "phases",
        title: "Phases",
        blocks: match rows.is_empty() {
            true => vec![Block::Missing(
                "Phases: no run of the table has a handover with phases.".into(),
            )],
            false => phase_blocks(sweep, rows, cells),
        },
    }
}

fn phase_blocks(sweep: &Sweep, mut rows: Vec<bars::Row>, cells: Vec<Vec<String>>) -> Vec<Block> {
    let mut caption = String::from(
        "Beside each bar is the median of the delay that clients saw. The bar need not be as long: medians do not add, phases can lie outside the gap, and a client waits for its next request.",
    );
    if rows.len() > DRAWN {
        caption.push_str(&format!(
            " Of {} points the first {DRAWN} are drawn.",
            rows.len()
        ));
        rows.truncate(DRAWN);
    }
    let drawn = |colour: usize| {
        rows.iter()
            .flat_map(|r| &r.parts)
            .any(|p| p.colour == colour)
    };
    let points = sweep.points().iter();
    let handovers = points.flat_map(|point| sweep.handovers(point.point));
    let keys = all_phases(handovers.map(|h| &h.phases)).into_iter();
    let keys = keys
        .map(|phase| (phase_style(&phase), phase_name(&phase)))
        .filter(|((colour, _), _)| drawn(*colour))
        .map(|((colour, symbol), name)| (colour, name + symbol))
        .collect();
    let bars = Block::Figure(Figure {
        id: "phases".into(),
        title: "Median of each phase".into(),
        caption,
        chart: Chart::Bars(Bars {
            title: "median (ms)".into(),
            rows,
            keys,
            shade: None,
            marks: vec![],
            clock: None,
        }),
    });
    let mut heads = sweep.heads();
    heads.extend(["phase (ms)", "handovers", "mean"].map(str::to_owned));
    heads.extend(PERCENTILES.map(str::to_owned));
    heads.push("median in the median delay".into());
    let table = Block::Table(heads, cells);
    match sweep.points().len() {
        1 => vec![bars, table],
        _ => vec![
            bars,
            Block::Folded("Percentiles of the phases".into(), vec![table]),
        ],
    }
}

/// Every run, those without a measurement and the failed ones first; and every figure.
pub fn runs(sweep: &Sweep) -> Section {
    let mut rows: Vec<&Row> = sweep.rows.iter().collect();
    rows.sort_by_key(|row| (row.error.is_none(), row.passed));
    let mut heads = vec!["outcome".to_owned()];
    heads.extend(sweep.heads());
    heads.extend(
        [
            "seed",
            "handovers",
            "median delay",
            "sent",
            "lost",
            "directory",
        ]
        .map(str::to_owned),
    );
    let told = |row: &&Row| {
        let count = |name| {
            row.figures
                .get(name)
                .map_or_else(|| "not known".into(), f64::to_string)
        };
        let delays: Vec<f64> = row.handovers.iter().filter_map(|h| h.delay_s).collect();
        let point = sweep.points().iter().find(|p| p.point == row.point);
        let mut cells = vec![match (&row.error, row.passed) {
            (Some(error), _) => format!("not measured: {error}"),
            (None, true) => "passed".into(),
            (None, false) => "failed".into(),
        }];
        cells.extend(point.map_or_else(Vec::new, |point| sweep.cells(point)));
        cells.extend([
            row.seed.to_string(),
            row.handovers.len().to_string(),
            median(&delays).map_or_else(|| "none".into(), ms),
            count("sent"),
            count("lost"),
            row.dir.clone(),
        ]);
        cells
    };
    let table = Block::Table(heads, rows.iter().map(told).collect());
    let wrong: Vec<&&Row> = rows
        .iter()
        .filter(|row| row.error.is_some() || !row.passed)
        .collect();
    let mut blocks = if wrong.is_empty() {
        vec![
            Block::Text(format!("All {} runs passed.", rows.len())),
            Block::Folded("Table of all runs".into(), vec![table]),
        ]
    } else {
        let broken = wrong.iter().filter(|row| row.error.is_some()).count();
        let commands: Vec<&str> = wrong.iter().map(|row| row.command.as_str()).collect();
        vec![
            Block::Text(format!(
                "Of {} runs {} failed and {broken} ended without a measurement; they stand first.",
                rows.len(),
                wrong.len() - broken
            )),
            table,
            Block::Text("To have them again:".into()),
            Block::Code(commands.join("\n")),
        ]
    };
    blocks.push(Block::Folded(
        "Percentiles of every figure".into(),
        vec![every_figure(sweep)],
    ));
    Section {
        id: "runs",
        title: "Runs",
        blocks,
    }
}

/// A figure's name with the unit in which it is shown, and what its value is multiplied by.
fn in_unit(name: &str) -> (String, f64) {
    match (name.strip_suffix("_s"), name.strip_suffix("_mj")) {
        (Some(name), _) => (format!("{name} (ms)"), 1e3),
        (None, Some(name)) => (format!("{name} (mJ)"), 1.0),
        (None, None) => (name.to_owned(), 1.0),
    }
}

fn every_figure(sweep: &Sweep) -> Block {
    let mut heads = sweep.heads();
    heads.extend(["figure", "count", "mean"].map(str::to_owned));
    heads.extend(PERCENTILES.map(str::to_owned));
    let mut rows = Vec::new();
    for point in sweep.points() {
        for figure in &point.figures {
            let (name, factor) = in_unit(&figure.name);
            let mut cells = sweep.cells(point);
            cells.extend([name, figure.percentiles.count.to_string()]);
            let percentiles = figure.percentiles.figures();
            cells.extend(percentiles.map(|(_, value)| figures(value * factor)));
            rows.push(cells);
        }
    }
    Block::Table(heads, rows)
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
