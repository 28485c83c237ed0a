//! Lost requests of a sweep beside lambda * D.

use measure::distribution::{Loss, Point};
use topology::plan::NodePlan;

use super::{Block, Chart, Figure, Section, figures};
use crate::chart::plot::{Axis, Mark, Plot, Series, Shape};
use crate::sweep::Sweep;

/// What was lost at each point, and whether it is what rate by interruption says.
pub fn section(sweep: &Sweep) -> Section {
    let known: Vec<(&Point, &Loss)> = sweep
        .points()
        .iter()
        .filter_map(|point| Some((point, point.loss.as_ref()?)))
        .collect();
    let mut blocks = vec![Block::Text(total(sweep))];
    if known.is_empty() {
        blocks.push(Block::Missing("Losses beside lambda * D: no handover of the table has a rate of requests and an interruption that the events tell.".into()));
    } else {
        blocks.push(Block::Text(in_words(sweep, &known)));
        blocks.push(table(sweep, &known));
        blocks.push(Block::Figure(figure(sweep, &known)));
        blocks.extend(differences(sweep, &known).map(Block::Figure));
    }
    Section {
        id: "losses",
        title: "Losses",
        blocks,
    }
}

fn total(sweep: &Sweep) -> String {
    let measured = || sweep.rows.iter().filter(|row| row.error.is_none());
    let of = |name: &str| {
        measured()
            .filter_map(|row| row.figures.get(name))
            .sum::<f64>()
    };
    let with = measured().filter(|row| row.figures.get("lost").is_some_and(|n| *n > 0.0));
    format!(
        "{} of {} Message IDs were lost, in {} of {} measured runs.",
        of("lost"),
        of("sent"),
        with.count(),
        measured().count()
    )
}

/// Whether any mobile node of the point asks for a hold; `None` without its plan.
fn hold(sweep: &Sweep, point: &Point) -> Option<bool> {
    let nodes = &sweep.plans.get(&point.point)?.nodes;
    Some(nodes.values().any(NodePlan::holds))
}

fn in_words(sweep: &Sweep, known: &[(&Point, &Loss)]) -> String {
    let mut text = match known {
        [(_, loss)] => format!(
            "{} lost per handover, lambda * D is {} (means of {} handovers in {} runs). The difference is {}, {}",
            figures(loss.lost),
            figures(loss.lambda_d),
            loss.handovers,
            loss.runs,
            figures(loss.difference),
            match (loss.interval_95, loss.follows) {
                (Some([low, high]), Some(follows)) => format!(
                    "its 95 % interval {} to {}: the losses {} lambda * D.",
                    figures(low),
                    figures(high),
                    if follows { "follow" } else { "do not follow" }
                ),
                _ => "without an interval: fewer than six runs have such a handover.".into(),
            }
        ),
        _ => {
            let count = |follows| known.iter().filter(|k| k.1.follows == follows).count();
            format!(
                "Of {} points, the losses follow lambda * D at {} (0 lies in the 95 % interval of the difference), do not at {}, and {} have fewer than six runs, which give no interval.",
                known.len(),
                count(Some(true)),
                count(Some(false)),
                count(None)
            )
        }
    };
    if known
        .iter()
        .any(|(point, _)| hold(sweep, point) == Some(true))
    {
        text.push_str(" With hold, requests wait for the new address instead of being lost: 0 is expected there, as in the paper's table 4, and not lambda * D.");
    }
    text
}

fn table(sweep: &Sweep, known: &[(&Point, &Loss)]) -> Block {
    let mut heads = sweep.heads();
    heads.extend(
        [
            "lost per handover",
            "lambda * D",
            "difference",
            "95 % interval",
            "follows",
            "hold",
            "handovers",
            "runs",
        ]
        .map(str::to_owned),
    );
    let yes = |yes: Option<bool>| match yes {
        Some(true) => "yes".to_owned(),
        Some(false) => "no".into(),
        None => "not known".into(),
    };
    let row = |(point, loss): &(&Point, &Loss)| {
        // Kept on one line.
        let told =
            |[low, high]: [f64; 2]| format!("{}\u{a0}to\u{a0}{}", figures(low), figures(high));
        let interval = loss.interval_95.map(told);
        let mut cells = sweep.cells(point);
        cells.extend([
            figures(loss.lost),
            figures(loss.lambda_d),
            figures(loss.difference),
            interval.unwrap_or_else(|| "under six runs".into()),
            yes(loss.follows),
            yes(hold(sweep, point)),
            format!("{} of {}", loss.handovers, loss.handovers + loss.left_out),
            loss.runs.to_string(),
        ]);
        cells
    };
    Block::Table(heads, known.iter().map(row).collect())
}

/// Losses over lambda * D. The interval of the difference stands at its point's lambda * D, so
/// that the line of equality crosses it if and only if 0 lies in it.
fn figure(sweep: &Sweep, known: &[(&Point, &Loss)]) -> Figure {
    let mut plot = Plot::new(
        Axis {
            include: vec![0.0],
            ..Axis::new("lambda * D per handover")
        },
        Axis {
            include: vec![0.0],
            ..Axis::new("lost per handover")
        },
    );
    let mut handovers: Vec<(f64, f64)> = known
        .iter()
        .flat_map(|(point, _)| sweep.handovers(point.point))
        .filter_map(|h| Some((h.rate_per_s? * h.outage_s?, h.lost as f64)))
        .collect();
    handovers.sort_by(|a, b| a.0.total_cmp(&b.0));
    let greatest = handovers.last().map_or(0.0, |h| h.0);
    plot.series = vec![
        Series {
            name: "every handover".into(),
            shape: Shape::Dots,
            colour: 6,
            points: handovers,
        },
        Series {
            name: "lost = lambda * D".into(),
            shape: Shape::Line,
            colour: 0,
            points: vec![(0.0, 0.0), (greatest, greatest)],
        },
    ];
    let few = known.len() <= COLOURS.len();
    match few {
        true => plot
            .series
            .extend(known.iter().zip(COLOURS).flat_map(|(one, colour)| {
                let name = format!("mean of {}", sweep.label(one.0));
                means(std::slice::from_ref(one), colour, name)
            })),
        false => plot
            .series
            .extend(means(known, COLOURS[0], "mean of a point".into())),
    }
    Figure {
        id: "lost-lambda-d".into(),
        title: "Lost requests over lambda * D".into(),
        caption: "lambda: requests per second; D: the interruption by the events (docs/sweep.md), not by the losses. Diamonds: means of a point; upright lines: the 95 % interval of its difference by Student's t over runs, which the slanted line crosses where losses follow lambda * D.".into(),
        chart: Chart::Plot(plot),
    }
}

/// The means of points, and the intervals of their differences.
fn means(known: &[(&Point, &Loss)], colour: usize, name: String) -> [Series; 2] {
    let mut losses: Vec<&Loss> = known.iter().map(|(_, loss)| *loss).collect();
    losses.sort_by(|a, b| a.lambda_d.total_cmp(&b.lambda_d));
    let intervals = losses.iter().filter_map(|loss| {
        let [low, high] = loss.interval_95?;
        let x = loss.lambda_d;
        // What is not a number ends an upright line.
        Some([(x, x + low), (x, x + high), (x, f64::NAN)])
    });
    let means = losses.iter().map(|loss| (loss.lambda_d, loss.lost));
    [
        Series {
            name: String::new(),
            shape: Shape::Line,
            colour,
            points: intervals.flatten().collect(),
        },
        Series {
            name,
            shape: Shape::Diamonds,
            colour,
            points: means.collect(),
        },
    ]
}

/// The difference at every point without hold, where several have an interval: next to the losses
/// themselves the intervals are too short to see.
fn differences(sweep: &Sweep, known: &[(&Point, &Loss)]) -> Option<Figure> {
    let without_hold = known
        .iter()
        .filter(|(point, _)| hold(sweep, point) == Some(false));
    let (mut means, mut intervals) = (Vec::new(), Vec::new());
    for (point, loss) in without_hold {
        let (x, Some([low, high])) = (point.point as f64, loss.interval_95) else {
            continue;
        };
        means.push((x, loss.difference));
        // What is not a number ends an upright line.
        intervals.extend([(x, low), (x, high), (x, f64::NAN)]);
    }
    let mut plot = Plot::new(
        Axis {
            include: vec![0.0, (sweep.points().len() + 1) as f64],
            ..Axis::whole("point")
        },
        Axis {
            include: vec![0.0],
            ..Axis::new("lost - lambda * D per handover")
        },
    );
    let several = means.len() > 1;
    for (name, shape, points) in [
        ("95 % interval", Shape::Line, intervals),
        ("mean over runs", Shape::Diamonds, means),
    ] {
        plot.series.push(Series {
            name: name.into(),
            shape,
            colour: 0,
            points,
        });
    }
    plot.horizontals.push(Mark {
        at: 0.0,
        text: "lambda * D".into(),
    });
    several.then(|| Figure {
        id: "lost-difference".into(),
        title: "Lost requests less lambda * D, without hold".into(),
        caption: "Losses follow lambda * D at the points whose upright line has 0 in it.".into(),
        chart: Chart::Plot(plot),
    })
}

/// Colours of points, if there are no more: not those of the line and of the dots.
const COLOURS: [usize; 6] = [1, 2, 3, 4, 5, 7];
