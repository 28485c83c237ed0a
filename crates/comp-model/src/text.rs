//! The report as plain text, the same on every machine: no colours, no terminal width.

use crate::figure::Figure;
use crate::reading::Reading;
use crate::report::{FigureReport, ParameterRow, Report};

/// The text of everything: parameters, readings, equation 1, tables 3 and 4, variants, figures 15 to 17.
pub fn report(report: &Report) -> String {
    let mut out = String::new();
    heading(&mut out, "Table 5: parameters");
    parameters(&mut out, &report.parameters);
    out.push('\n');
    readings(&mut out, &report.readings);
    out.push('\n');
    heading(&mut out, &format!("Equation 1: {}", report.equation_1));
    paths(&mut out, report);
    out.push('\n');
    heading(&mut out, "Table 3: handover delay");
    delays(&mut out, report);
    out.push('\n');
    heading(&mut out, "Table 4: packets lost in a handover");
    losses(&mut out, report);
    out.push('\n');
    heading(
        &mut out,
        "Not in the paper: handover delay as the protocols' specifications have it",
    );
    variants(&mut out, report);
    for data in &report.figures {
        out.push('\n');
        figure(&mut out, data);
    }
    out
}

/// The text of one figure, and how the paper was read.
pub fn figure_report(report: &FigureReport) -> String {
    let mut out = String::new();
    figure(&mut out, &report.figure);
    let changed: Vec<ParameterRow> = report
        .parameters
        .iter()
        .filter(|row| row.value != row.default)
        .cloned()
        .collect();
    if !changed.is_empty() {
        out.push('\n');
        heading(&mut out, "Parameters that are not table 5's");
        parameters(&mut out, &changed);
    }
    out.push('\n');
    readings(&mut out, &report.readings);
    out
}

/// One line per reading: `name: used`, and the default where it is another.
pub fn reading_lines(readings: &[Reading]) -> String {
    let line = |reading: &Reading| {
        let default = match reading.used == reading.default {
            true => String::new(),
            false => format!(" (default {})", reading.default),
        };
        format!("{}: {}{default}\n", reading.name, reading.used)
    };
    readings.iter().map(line).collect()
}

fn parameters(out: &mut String, rows: &[ParameterRow]) {
    let cells = rows.iter().map(|row| {
        let source = match row.fixed_because {
            Some(reason) => format!("{}; fixed: {reason}", row.source),
            None => row.source.to_owned(),
        };
        let default = row.default.to_string();
        let symbol = row.symbol.to_owned();
        let value = row.value.to_string();
        [row.name.to_owned(), symbol, value, default, source]
    });
    table(
        out,
        ["name", "symbol", "value", "default", "source"],
        cells.collect(),
    );
}

fn readings(out: &mut String, readings: &[Reading]) {
    heading(out, "How the paper is read");
    for reading in readings {
        let used = &reading.used;
        out.push_str(&format!("  {}: {used}", reading.name));
        if let Some(choice) = reading.choices.iter().find(|c| c.name == *used) {
            out.push_str(&format!(" ({})", choice.means));
        }
        out.push('\n');
        if reading.used != reading.default {
            out.push_str(&format!("    default: {}\n", reading.default));
        }
        out.push_str(&format!("    open: {}\n", reading.question));
        let others = reading.choices.iter().filter(|c| c.name != *used);
        for choice in others {
            out.push_str(&format!("    or {}: {}\n", choice.name, choice.means));
        }
        if !reading.parameters.is_empty() {
            out.push_str(&format!("    set by {}\n", reading.parameters.join(", ")));
        }
    }
}

fn paths(out: &mut String, report: &Report) {
    let cells = report.paths.iter().map(|row| {
        [
            row.symbol.to_owned(),
            row.wireless_hops.to_string(),
            row.wired_hops.to_string(),
            if row.tunnelled { "yes" } else { "no" }.to_owned(),
            row.one_way_ms.to_string(),
        ]
    });
    let header = ["way", "wireless hops", "wired hops", "tunnelled", "ms"];
    table(out, header, cells.collect());
}

fn delays(out: &mut String, report: &Report) {
    let cells = report.table_3.iter().map(|row| {
        let formula = format!("{} = {}", row.formula, row.evaluated_ms);
        [row.protocol.to_owned(), row.delay_ms.to_string(), formula]
    });
    table(out, ["protocol", "ms", "sum"], cells.collect());
}

fn losses(out: &mut String, report: &Report) {
    let cells = report.table_4.iter().map(|row| {
        let lost = row.lost_packets.to_string();
        [row.protocol.to_owned(), lost, row.formula.to_owned()]
    });
    table(out, ["protocol", "packets", "formula"], cells.collect());
}

fn variants(out: &mut String, report: &Report) {
    let cells = report.variants.iter().map(|row| {
        [
            row.variant.to_owned(),
            row.delay_ms.to_string(),
            row.formula.to_owned(),
        ]
    });
    table(out, ["protocol", "ms", "formula"], cells.collect());
}

fn figure(out: &mut String, data: &Figure) {
    heading(out, &format!("Figure {}: {}", data.number, data.title));
    for fixed in &data.fixed {
        out.push_str(&format!("  {} {}\n", fixed.name, fixed.value));
    }
    let columns = data.columns();
    let header = [&*columns[0], &*columns[1], &*columns[2], &*columns[3]];
    let cells = data
        .points
        .iter()
        .map(|p| [p.x, p.mipv6, p.hmipv6, p.comp].map(|value| value.to_string()));
    table(out, header, cells.collect());
}

fn heading(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Columns as wide as their widest cell, two blanks between, none at the end of a line.
fn table<const N: usize>(out: &mut String, header: [&str; N], rows: Vec<[String; N]>) {
    let header = header.map(str::to_owned);
    let rows: Vec<[String; N]> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in &rows {
        let mut line = String::from("  ");
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
