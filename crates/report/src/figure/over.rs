//! Figures of a sweep over the parameter that it varies.

use std::collections::BTreeMap;

use measure::distribution::{Loss, Per, Point};
use units::quantity::parse_duration;

use super::{Block, Chart, Figure, Section};
use crate::chart::COLOURS;
use crate::chart::plot::{Axis, Plot, Series, Shape};
use crate::sweep::{Sweep, end};

/// The figures that are drawn, if the runs have them: name, title, axis.
const CHOSEN: [(&str, &str, &str); 8] = [
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
        "air_signalling_messages",
        "Signalling of a handover over the air",
        "messages",
    ),
    (
        "wired_signalling_messages",
        "Signalling of a handover on the backbone",
        "messages",
    ),
    (
        "radio_energy_mj",
        "Energy of all radios of a run",
        "energy of all radios (mJ)",
    ),
];

/// A parameter as an axis.
struct Across<'s> {
    path: &'s str,
    unit: String,
    /// Its value at each point.
    at: BTreeMap<usize, f64>,
}

impl Across<'_> {
    /// An empty plot over the parameter, from 0 upwards.
    fn plot(&self, y: &str) -> Plot {
        let x = match self.unit.as_str() {
            "" => self.path.to_owned(),
            unit => format!("{} ({unit})", self.path),
        };
        let y = Axis {
            include: vec![0.0],
            ..Axis::new(y)
        };
        Plot::new(Axis::new(x), y)
    }
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
    blocks.extend(losses(sweep, &across, &series).map(Block::Figure));
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
    let mut known = sweep.points().iter().flat_map(|point| &point.figures);
    let per = known.find(|figure| figure.name == name)?.per;
    let factor = if name.ends_with("_s") { 1e3 } else { 1.0 };
    let mut plot = across.plot(axis);
    for (colour, (of, points)) in series.iter().take(COLOURS).enumerate() {
        let median = |point: &Point| Some(point.figure(name)?.median * factor);
        plot.series
            .push(spans(across, points, name, colour, factor));
        let named = named("median", of);
        plot.series.extend(line(
            across,
            points,
            colour,
            (&named, Shape::Diamonds),
            median,
        ));
    }
    let of = match per {
        Per::Handover => "handovers",
        Per::Run => "runs",
    };
    Some(Figure {
        id: format!("over-{name}"),
        title: format!("{title} over {}", across.path),
        caption: format!(
            "Median over the {of} of a point; upright lines from the first to the third quartile."
        ),
        chart: Chart::Plot(plot),
    })
}

/// Losses and lambda * D, means; `None` if no point has both.
fn losses(sweep: &Sweep, across: &Across, series: &[(String, Vec<&Point>)]) -> Option<Figure> {
    sweep.points().iter().find(|point| point.loss.is_some())?;
    let mut plot = across.plot("lost per handover");
    for (colour, (of, points)) in series.iter().take(COLOURS).enumerate() {
        type Value = fn(&Loss) -> f64;
        let measured: [(_, _, Value); 2] = [
            ("lost", Shape::Diamonds, |loss| loss.lost),
            ("lambda * D", Shape::Rings, |loss| loss.lambda_d),
        ];
        for (what, shape, value) in measured {
            let named = named(what, of);
            let value = |point: &Point| point.loss.as_ref().map(value);
            plot.series
                .extend(line(across, points, colour, (&named, shape), value));
        }
    }
    Some(Figure {
        id: "over-lost".into(),
        title: format!("Lost requests per handover over {}", across.path),
        caption: "Means over the handovers of a point whose interruption D is known.".into(),
        chart: Chart::Plot(plot),
    })
}

/// What a series is called: what it shows, and of which other values.
fn named(what: &str, of: &str) -> String {
    match of {
        "" => what.to_owned(),
        of => format!("{what}, {of}"),
    }
}

/// A value at each point, marked and joined.
fn line(
    across: &Across,
    points: &[&Point],
    colour: usize,
    (name, shape): (&str, Shape),
    of: impl Fn(&Point) -> Option<f64>,
) -> [Series; 2] {
    let at = |point: &&Point| Some((across.at[&point.point], of(point)?));
    let points: Vec<(f64, f64)> = points.iter().filter_map(at).collect();
    [(Shape::Line, ""), (shape, name)].map(|(shape, name)| Series {
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
