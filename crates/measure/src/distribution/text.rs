//! A distribution as plain text.

use std::fmt::Write as _;

use super::{Distribution, HANDOVER_DELAY, Per, Point, Row, coverage};
use crate::result::Outcome;

/// One point with a line per figure; several with a line each.
pub(super) fn report(distribution: &Distribution, rows: &[Row], compare: Option<f64>) -> String {
    let sum = |of: fn(&Point) -> usize| distribution.points.iter().map(of).sum::<usize>();
    let (runs, failed, broken) = (sum(|p| p.runs), sum(|p| p.failed), sum(|p| p.broken));
    let mut out = format!(
        "{}: {} runs, {failed} failed",
        distribution.topology,
        runs + broken
    );
    if broken > 0 {
        let _ = write!(out, ", {broken} without a measurement");
    }
    out.push('\n');
    match &distribution.points[..] {
        [point] => figures(&mut out, point),
        points => lines(&mut out, points),
    }
    if let Some(seconds) = compare {
        for point in &distribution.points {
            compared(&mut out, rows, point, seconds);
        }
    }
    expectations(&mut out, distribution);
    for row in rows {
        match &row.error {
            Some(error) => {
                let _ = writeln!(out, "not measured: {}: {error}", row.command);
            }
            None if !row.passed => {
                let _ = writeln!(out, "{}: {}", Outcome::Failed.name(), row.command);
            }
            None => {}
        }
    }
    out
}

/// What is expected over the runs, in the words of a single run.
fn expectations(out: &mut String, distribution: &Distribution) {
    let several = distribution.points.len() > 1;
    for point in &distribution.points {
        let of = match several {
            true => format!("point {}: ", point.point),
            false => String::new(),
        };
        for e in &point.expectations {
            let (outcome, name, found) = (e.outcome.name(), e.name(), e.found());
            let _ = writeln!(out, "{outcome}: {of}{name} ({found})");
        }
    }
}

fn figures(out: &mut String, point: &Point) {
    let _ = writeln!(
        out,
        "{:<25} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "min", "p5", "q1", "median", "q3", "p95", "max"
    );
    for figure in &point.figures {
        let p = figure.percentiles;
        let digits = match figure.per {
            Per::Handover => 4,
            Per::Run if figure.name.ends_with("_s") => 4,
            Per::Run => 1,
        };
        let _ = write!(out, "{:<25}", figure.name);
        for value in [p.min, p.p5, p.q1, p.median, p.q3, p.p95, p.max] {
            let _ = write!(out, " {value:>9.digits$}");
        }
        if let Some(of) = coverage(point.runs, figure.runs_without) {
            let _ = write!(out, "  {of}");
        }
        out.push('\n');
    }
    if let Some(loss) = &point.loss {
        let _ = write!(
            out,
            "lost per handover {:.4}, lambda * D {:.4}: {:+.4}",
            loss.lost, loss.lambda_d, loss.difference
        );
        if let Some([low, high]) = loss.interval_95 {
            let _ = write!(out, ", 95 % interval {low:+.4} to {high:+.4}");
        }
        out.push('\n');
    }
}

fn lines(out: &mut String, points: &[Point]) {
    let _ = writeln!(
        out,
        "{:>5} {:>5} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "point", "runs", "failed", "delay q1", "median", "q3", "lost", "lambda*D"
    );
    for point in points {
        let delay = point.figure(HANDOVER_DELAY);
        let cell = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
        let set: Vec<String> = point
            .set
            .iter()
            .map(|(path, v)| format!("{path}={v}"))
            .collect();
        let _ = writeln!(
            out,
            "{:>5} {:>5} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9}  {}",
            point.point,
            point.runs + point.broken,
            point.failed + point.broken,
            cell(delay.map(|d| d.q1)),
            cell(delay.map(|d| d.median)),
            cell(delay.map(|d| d.q3)),
            cell(point.figure("lost_per_handover").map(|l| l.mean)),
            cell(point.loss.as_ref().map(|l| l.lambda_d)),
            set.join(" ")
        );
    }
    out.push_str("delays in seconds; lost and lambda*D per handover, mean\n");
    for point in points {
        let delay = point.figures.iter().find(|f| f.name == HANDOVER_DELAY);
        if let Some(of) = delay.and_then(|f| coverage(point.runs, f.runs_without)) {
            let _ = writeln!(out, "point {}: delays {of}", point.point);
        }
    }
}

fn compared(out: &mut String, rows: &[Row], point: &Point, seconds: f64) {
    let of_point = rows.iter().filter(|row| row.point == point.point);
    let delays = of_point
        .flat_map(|row| &row.handovers)
        .filter_map(|h| h.delay_s);
    let delays: Vec<f64> = delays.collect();
    if delays.is_empty() {
        return;
    }
    let below = delays.iter().filter(|delay| **delay < seconds).count();
    let share = 100.0 * below as f64 / delays.len() as f64;
    let which = match point.set.is_empty() {
        true => String::new(),
        false => format!("point {}: ", point.point),
    };
    let _ = writeln!(
        out,
        "{which}{seconds} s: {share:.1} % of the delays are shorter"
    );
}

#[cfg(test)]
mod tests {
    use crate::distribution::Distribution;
    use crate::distribution::row::test_row;

    #[test]
    fn failed_and_broken_runs_are_named_by_their_command() {
        let mut rows = vec![
            test_row(1, 1, &[1.0]),
            test_row(1, 2, &[3.0]),
            test_row(2, 1, &[]),
        ];
        rows[1].passed = false;
        rows[2].error = Some("the VM ended".into());
        let text = Distribution::of("x", vec!["a.b".into()], &rows).report(&rows, Some(2.0));
        assert!(
            text.starts_with("x: 3 runs, 1 failed, 1 without a measurement\n"),
            "{text}"
        );
        assert!(
            text.contains("\nfailed: wpanlab run x.yaml --seed 2\n"),
            "{text}"
        );
        let broken = "\nnot measured: wpanlab run x.yaml --seed 1: the VM ended\n";
        assert!(text.contains(broken), "{text}");
        assert!(
            text.contains("\npoint 1: 2 s: 50.0 % of the delays are shorter\n"),
            "{text}"
        );
    }

    #[test]
    fn one_point_has_a_line_per_figure() {
        let rows = [test_row(1, 1, &[1.0, 3.0])];
        let text = Distribution::of("x", vec![], &rows).report(&rows, None);
        let delay = "handover_delay_s             1.0000    1.1000    1.5000    2.0000    2.5000    2.9000    3.0000\n";
        assert!(text.contains(delay), "{text}");
    }
}
