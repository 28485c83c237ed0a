//! Figures of a sweep over the parameter that it varies.

use std::collections::BTreeMap;

use measure::distribution::{Per, Percentiles, Point};
use units::quantity::parse_duration;

use super::{Block, Chart, Figure, Section};
use crate::chart::COLOURS;
use crate::chart::plot::{Axis, Plot, Series, Shape};
use crate::sweep::{Sweep, end};

/// The figures that are drawn, if the runs have them: name, title, axis.
const CHOSEN: [(&str, &str, &str); 7] = [
    ("handover_delay_s", "Handover delay", "handover delay (ms)"),
    (
        "outage_s",
        "Interruption by the events",
        "interruption D (ms)",
    ),
    ("binding_s", "Binding phase", "binding (ms)"),
    (
        "rtt_median_s",
        "Median round-trip time of a run",
        "round-trip time (ms)",
    ),
    (
        "handover_energy_mj",
        "Energy of a handover",
        "energy of the node's radio (mJ)",
    ),
    (
        "radio_energy_mj",
        "Energy of all radios of a run",
        "energy of all radios (mJ)",
    ),
    (
        "lost_per_handover",
        "Lost requests per handover",
        "lost per handover",
    ),
];

/// A parameter as an axis.
struct Across<'s> {
    path: &'s str,
    unit: String,
    /// Its value at each point.
    at: BTreeMap<usize, f64>,
}

/// Chosen figures over the numeric parameter with the most values; one series per combination of
/// the other parameters' values. `None` if no numeric parameter varies.
pub fn section(sweep: &Sweep) -> Option<Section> {
    let across = across(sweep)?;
    let series = series_names(sweep, &across);
    let mut blocks = vec![];
    if series.len() > COLOURS {
        blocks.push(Block::Missing(format!(
            "Of {} combinations of the other parameters the first {COLOURS} are drawn; figures.csv has all.",
            series.len()
        )));
    }
    for (name, title, axis) in CHOSEN {
        blocks.extend(figure(sweep, &across, &series, (name, title, axis)).map(Block::Figure));
    }
    Some(Section {
        id: "over",
        title: "Over the parameter",
        blocks,
    })
}

fn across(sweep: &Sweep) -> Option<Across<'_>> {
    let numeric = |path| {
        let values: Option<Vec<&str>> = sweep
            .points()
            .iter()
            .map(|p| Some(p.set.get(path)?.as_str()))
            .collect();
        let (numbers, unit) = numbers(&values?)?;
        let points = sweep.points().iter().map(|p| p.point);
        let at = points.zip(numbers).collect();
        Some(Across { path, unit, at })
    };
    let distinct = |across: &Across| {
        let mut values: Vec<f64> = across.at.values().copied().collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values.len()
    };
    // Of several with as many values, the last one of the command line.
    sweep
        .varied()
        .into_iter()
        .filter_map(numeric)
        .max_by_key(distinct)
}

/// `values` as numbers of one unit, and the unit: durations in milliseconds, all else as it is
/// written. `None` if they are not all numbers of the same unit.
fn numbers(values: &[&str]) -> Option<(Vec<f64>, String)> {
    let durations: Result<Vec<_>, _> = values.iter().map(|v| parse_duration(v)).collect();
    if let Ok(durations) = durations {
        let ms = durations.iter().map(|d| d.as_secs_f64() * 1e3).collect();
        return Some((ms, "ms".into()));
    }
    let split = |value: &&str| {
        let text = value.trim();
        let end = text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c)));
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        let number: f64 = number.parse().ok()?;
        let unit = unit.trim_start();
        let is_unit = unit
            .chars()
            .all(|c| c.is_ascii_alphabetic() || "/%".contains(c));
        is_unit.then(|| (number, unit.to_owned()))
    };
    let split: Vec<(f64, String)> = values.iter().map(split).collect::<Option<_>>()?;
    let unit = split.first()?.1.clone();
    let same = split.iter().all(|(_, of)| *of == unit);
    same.then(|| (split.into_iter().map(|s| s.0).collect(), unit))
}

/// Points by the values of the parameters that are not the axis, in the order of points.
fn series_names<'s>(sweep: &'s Sweep, across: &Across) -> Vec<(String, Vec<&'s Point>)> {
    let others: Vec<&str> = sweep
        .varied()
        .into_iter()
        .filter(|path| *path != across.path)
        .collect();
    let mut series: Vec<(String, Vec<&Point>)> = Vec::new();
    for point in sweep.points() {
        let set = |path: &&str| Some(format!("{}={}", end(path), point.set.get(*path)?));
        let name = others.iter().filter_map(set).collect::<Vec<_>>().join(", ");
        match series.iter_mut().find(|s| s.0 == name) {
            Some((_, points)) => points.push(point),
            None => series.push((name, vec![point])),
        }
    }
    for (_, points) in &mut series {
        points.sort_by(|a, b| across.at[&a.point].total_cmp(&across.at[&b.point]));
    }
    series
}

fn figure(
    sweep: &Sweep,
    across: &Across,
    series: &[(String, Vec<&Point>)],
    (name, title, axis): (&str, &str, &str),
) -> Option<Figure> {
    let lost = name == "lost_per_handover";
    let known = sweep.points().iter().flat_map(|p| &p.figures);
    let per = known.clone().find(|figure| figure.name == name)?.per;
    let mut plot = Plot::new(
        Axis::new(match across.unit.as_str() {
            "" => across.path.to_owned(),
            unit => format!("{} ({unit})", across.path),
        }),
        Axis {
            include: vec![0.0],
            ..Axis::new(axis)
        },
    );
    for (i, (of, points)) in series.iter().take(COLOURS).enumerate() {
        let named = |what: &str| match of.as_str() {
            "" => what.to_owned(),
            of => format!("{what}, {of}"),
        };
        if lost {
            plot.series
                .extend(line(across, points, name, i, &named("lost"), |p| p.mean));
            let expected = line(across, points, "lambda_d", i, &named("lambda * D"), |p| {
                p.mean
            });
            plot.series
                .extend(expected.into_iter().map(|series| Series {
                    shape: if series.shape == Shape::Diamonds {
                        Shape::Rings
                    } else {
                        series.shape
                    },
                    ..series
                }));
        } else {
            let factor = if name.ends_with("_s") { 1e3 } else { 1.0 };
            plot.series.push(spans(across, points, name, i, factor));
            plot.series
                .extend(line(across, points, name, i, &named("median"), |p| {
                    p.median * factor
                }));
        }
    }
    let of = match per {
        Per::Handover => "handovers",
        Per::Run => "runs",
    };
    Some(Figure {
        id: format!("over-{name}"),
        title: format!("{title} over {}", across.path),
        caption: match lost {
            true => "Means over all handovers of a point; which of them have lambda * D, and its interval, is under Losses.".into(),
            false => format!("Median over the {of} of a point; upright lines from the first to the third quartile."),
        },
        chart: Chart::Plot(plot),
    })
}

/// A figure's value at each point, marked and joined.
fn line(
    across: &Across,
    points: &[&Point],
    figure: &str,
    colour: usize,
    name: &str,
    of: impl Fn(&Percentiles) -> f64,
) -> [Series; 2] {
    let at = |point: &&Point| Some((across.at[&point.point], of(point.figure(figure)?)));
    let points: Vec<(f64, f64)> = points.iter().filter_map(at).collect();
    [(Shape::Line, ""), (Shape::Diamonds, name)].map(|(shape, name)| Series {
        name: name.to_owned(),
        shape,
        colour,
        points: points.clone(),
    })
}

/// From the first to the third quartile at each point.
fn spans(across: &Across, points: &[&Point], figure: &str, colour: usize, factor: f64) -> Series {
    let span = |point: &&Point| {
        let (x, p) = (across.at[&point.point], point.figure(figure)?);
        // What is not a number ends an upright line.
        Some([(x, p.q1 * factor), (x, p.q3 * factor), (x, f64::NAN)])
    };
    Series {
        name: String::new(),
        shape: Shape::Line,
        colour,
        points: points.iter().filter_map(span).flatten().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_unit_are_numbers_and_durations_have_one_whatever_they_are_written_in() {
        let ms = |values: &[f64]| Some((values.to_vec(), "ms".to_owned()));
        assert_eq!(numbers(&["500 us", "2 ms", "1 s"]), ms(&[0.5, 2.0, 1000.0]));
        assert_eq!(
            numbers(&["-85 dBm", "-90 dBm"]),
            Some((vec![-85.0, -90.0], "dBm".into()))
        );
        assert_eq!(
            numbers(&["3", "4.5"]),
            Some((vec![3.0, 4.5], String::new()))
        );
        for wrong in [
            ["true", "false"],
            ["3 dB", "3 dBm"],
            ["[1 m, 2 m]", "3"],
            ["0x0001", "2"],
            ["1 2", "3"],
        ] {
            assert_eq!(numbers(&wrong), None, "{wrong:?}");
        }
    }
}
