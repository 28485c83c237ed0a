//! A sweep as comma-separated values (RFC 4180, with line feeds).

use std::collections::BTreeSet;

use super::{Distribution, HANDOVER_DELAY, Percentiles, Row};

/// `runs.csv`: one line per run. Columns: `point`, the parameters by path, `seed`, `passed`, each
/// figure of runs, `handover_delay_s_median` over the run's handovers, `command` and `error`.
pub fn runs(parameters: &[String], rows: &[Row]) -> String {
    let names: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| row.figures.keys().map(String::as_str))
        .collect();
    let delay = format!("{HANDOVER_DELAY}_median");
    let mut header = vec!["point"];
    header.extend(parameters.iter().map(String::as_str));
    header.extend(["seed", "passed"]);
    header.extend(&names);
    header.extend([delay.as_str(), "command", "error"]);
    let mut out = line(header);
    for row in rows {
        let mut cells = vec![row.point.to_string()];
        cells.extend(values(parameters, &row.set));
        cells.extend([row.seed.to_string(), row.passed.to_string()]);
        let figure = |name: &&str| row.figures.get(*name).map(f64::to_string);
        cells.extend(names.iter().map(|name| figure(name).unwrap_or_default()));
        let delays: Vec<f64> = row.handovers.iter().filter_map(|h| h.delay_s).collect();
        let median = Percentiles::of(&delays).map(|p| p.median.to_string());
        cells.push(median.unwrap_or_default());
        cells.push(row.command.clone());
        cells.push(row.error.clone().unwrap_or_default());
        out.push_str(&line(cells.iter().map(String::as_str)));
    }
    out
}

/// `figures.csv`: one line per point and figure. Columns: `point`, the parameters by path,
/// `figure`, `count`, `mean` and the percentiles.
pub fn figures(distribution: &Distribution) -> String {
    let mut header = vec!["point"];
    header.extend(distribution.parameters.iter().map(String::as_str));
    header.extend([
        "figure", "count", "mean", "min", "p5", "q1", "median", "q3", "p95", "max",
    ]);
    let mut out = line(header);
    for point in &distribution.points {
        for figure in &point.figures {
            let mut cells = vec![point.point.to_string()];
            cells.extend(values(&distribution.parameters, &point.set));
            cells.push(figure.name.clone());
            cells.push(figure.percentiles.count.to_string());
            let percentiles = figure.percentiles.figures();
            cells.extend(percentiles.map(|(_, value)| value.to_string()));
            out.push_str(&line(cells.iter().map(String::as_str)));
        }
    }
    out
}

fn values<'r>(
    parameters: &'r [String],
    set: &'r std::collections::BTreeMap<String, String>,
) -> impl Iterator<Item = String> + 'r {
    let value = |path| set.get(path).cloned().unwrap_or_default();
    parameters.iter().map(value)
}

/// One line; cells with a comma, a quote or a line break are quoted.
fn line<'c>(cells: impl IntoIterator<Item = &'c str>) -> String {
    let quoted = |cell: &str| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_owned()
        }
    };
    let cells: Vec<String> = cells.into_iter().map(quoted).collect();
    cells.join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::row::test_row;

    #[test]
    fn runs_have_a_line_each_and_broken_ones_their_error() {
        let mut rows = vec![test_row(1, 1, &[0.5]), test_row(2, 1, &[])];
        rows[0].set.insert("a.b".into(), "[1 m, 2 m]".into());
        rows[1].error = Some("it said \"no\"".into());
        rows[1].figures.clear();
        let expected = "\
point,a.b,seed,passed,lost,handover_delay_s_median,command,error
1,\"[1 m, 2 m]\",1,true,0,0.5,wpanlab run x.yaml --seed 1,
2,2,1,true,,,wpanlab run x.yaml --seed 1,\"it said \"\"no\"\"\"
";
        assert_eq!(runs(&["a.b".into()], &rows), expected);
    }

    #[test]
    fn figures_have_a_line_for_each_point() {
        let rows = [test_row(1, 1, &[1.0, 3.0]), test_row(2, 1, &[])];
        let table = figures(&Distribution::of("x", vec!["a.b".into()], &rows));
        let delays = "1,1,handover_delay_s,2,2,1,1.1,1.5,2,2.5,2.9,3";
        assert_eq!(table.lines().nth(1), Some(delays));
        assert_eq!(table.lines().last(), Some("2,2,lost,1,0,0,0,0,0,0,0,0"));
    }
}
