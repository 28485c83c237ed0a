//! What a chart draws, as a table: comma-separated values, and what the page's script needs besides to find its way in
//! them.

use serde_json::{Value, json};

use super::WIDE;
use super::bars::Bars;
use super::plot::{Mark, Plot, Series, Shape, shown};
use super::scale::Kind;

/// Which time of the scenario an axis shows: at its value `x` it is `origin_s + x * unit_s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// The time at 0, in seconds of the scenario.
    pub origin_s: f64,
    /// The axis' unit in seconds.
    pub unit_s: f64,
}

impl Clock {
    /// An axis of seconds of the scenario.
    pub const SCENARIO: Clock = Clock {
        origin_s: 0.0,
        unit_s: 1.0,
    };

    /// An axis of milliseconds since a second of the scenario.
    pub fn milliseconds(origin_s: f64) -> Clock {
        Clock {
            origin_s,
            unit_s: 1e-3,
        }
    }

    fn told(self) -> Value {
        json!([self.origin_s, self.unit_s])
    }
}

/// Of a series with very many points those that are drawn, or all; and how exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What is drawn, to six decimals: microseconds of an axis of seconds.
    Drawn,
    /// Every point, to nine decimals: the nanoseconds that captures have.
    Whole,
}

impl Extent {
    /// A value with the decimals that it has, and no more than it is to have. What is next to nothing has more.
    pub fn number(self, value: f64) -> String {
        let decimals = match self {
            Extent::Drawn => 6,
            Extent::Whole => 9,
        };
        let decimals = match value.abs() < 1e-3 {
            true => 2 * decimals,
            false => decimals,
        };
        let text = format!("{value:.decimals$}");
        let text = match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.'),
            false => &text,
        };
        if text == "-0" { "0" } else { text }.to_owned()
    }
}

/// A table with a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns, with their units.
    pub heads: Vec<String>,
    /// As many cells each.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table whose columns have these names.
    pub fn new<const N: usize>(heads: [&str; N], rows: Vec<[String; N]>) -> Table {
        Table {
            heads: heads.map(str::to_owned).to_vec(),
            rows: rows.into_iter().map(Vec::from).collect(),
        }
    }

    /// Comma-separated values (RFC 4180, with line feeds).
    pub fn csv(&self) -> String {
        let cell = |cell: &String| match cell.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell.clone(),
        };
        let line = |cells: &Vec<String>| {
            let cells: Vec<String> = cells.iter().map(cell).collect();
            cells.join(",") + "\n"
        };
        [&self.heads]
            .into_iter()
            .chain(&self.rows)
            .map(line)
            .collect()
    }
}

/// The unit that a title has behind it: `ms` of `round-trip time (ms, logarithmic)`; empty if it has none.
pub fn unit(title: &str) -> &str {
    let inside = title.strip_suffix(')').and_then(|t| t.rsplit_once('('));
    let unit = inside.and_then(|(_, unit)| unit.split(',').next());
    unit.unwrap_or_default().trim()
}

fn is_same(a: &[(f64, f64)], b: &[(f64, f64)]) -> bool {
    // A gap is not equal to itself.
    let bits = |(x, y): &(f64, f64)| (x.to_bits(), y.to_bits());
    a.iter().map(bits).eq(b.iter().map(bits))
}

/// What a column is called: without the count that the legend has.
fn bare(series: &Series) -> &str {
    let count = format!(" ({})", series.points.len());
    series.name.strip_suffix(&count).unwrap_or(&series.name)
}

impl Plot {
    /// Names of the columns behind that of x, and which of them each series has. One without a name is another way to
    /// draw the same points, or spans around those of a series.
    fn columns(&self) -> (Vec<String>, Vec<usize>) {
        let mut columns: Vec<(String, &Series)> = Vec::new();
        let named = |s: &&Series| !s.name.is_empty();
        columns.extend(
            self.series
                .iter()
                .filter(named)
                .map(|s| (bare(s).to_owned(), s)),
        );
        for (i, series) in self
            .series
            .iter()
            .enumerate()
            .filter(|(_, s)| s.name.is_empty())
        {
            if columns
                .iter()
                .any(|(_, s)| is_same(&s.points, &series.points))
            {
                continue;
            }
            let mut later = self.series[i..].iter().filter(named);
            let of = later.find(|s| s.colour == series.colour);
            let name = of.map(|s| format!("span of {}", bare(s)));
            columns.push((name.unwrap_or_else(|| self.y.title.clone()), series));
        }
        let of_series = self.series.iter().map(|series| {
            let own = columns.iter().position(|(_, s)| std::ptr::eq(*s, series));
            let same = || {
                columns
                    .iter()
                    .position(|(_, s)| is_same(&s.points, &series.points))
            };
            own.or_else(same).unwrap_or_default()
        });
        let of_series = of_series.collect();
        (
            columns.into_iter().map(|(name, _)| name).collect(),
            of_series,
        )
    }

    /// A row for each x, and for each further point at it; a cell for each series. A gap in a line is `NaN`.
    pub fn table(&self, extent: Extent) -> Table {
        let (names, of_series) = self.columns();
        let (x, _) = self.scales(WIDE, 0.0);
        let mut points: Vec<(f64, usize, f64)> = Vec::new();
        for column in 0..names.len() {
            let Some(i) = of_series.iter().position(|of| *of == column) else {
                continue;
            };
            let series = &self.series[i];
            let all = match extent {
                Extent::Drawn => shown(series, &x),
                Extent::Whole => series.points.clone(),
            };
            points.extend(all.into_iter().map(|(x, y)| (x, column, y)));
        }
        // Those of a series keep their order.
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut rows: Vec<Vec<String>> = Vec::new();
        for (x, column, y) in points {
            let (x, y) = (extent.number(x), extent.number(y));
            match rows.last_mut() {
                Some(row) if row[0] == x && row[column + 1].is_empty() => row[column + 1] = y,
                _ => {
                    let mut row = vec![String::new(); names.len() + 1];
                    row[column + 1] = y;
                    row[0] = x;
                    rows.push(row);
                }
            }
        }
        let unit = unit(&self.y.title);
        let with_unit = |name: String| match unit.is_empty() || name == self.y.title {
            true => name,
            false => format!("{name} ({unit})"),
        };
        let heads = [self.x.title.clone()].into_iter();
        let heads = heads.chain(names.into_iter().map(with_unit));
        Table {
            heads: heads.collect(),
            rows,
        }
    }

    /// What the page's script needs besides the table.
    pub fn told(&self) -> Value {
        let (_, of_series) = self.columns();
        let series = self.series.iter().zip(of_series);
        let series = series.map(|(s, column)| json!([shape(s.shape), s.colour, column + 1]));
        let marks = |marks: &[Mark]| -> Vec<Value> {
            marks.iter().map(|m| json!([m.at, m.text])).collect()
        };
        let y = match (self.y.range, self.y.kind) {
            (Some(_), _) => "fixed",
            (None, Kind::Linear) => "linear",
            (None, Kind::Whole) => "whole",
            (None, Kind::Log) => "log",
        };
        let mut told = json!({
            "kind": "plot",
            "units": [unit(&self.x.title), unit(&self.y.title)],
            "y": y,
            "series": series.collect::<Vec<_>>(),
        });
        let mut add = |key: &str, value: Vec<Value>| {
            if !value.is_empty() {
                told[key] = value.into();
            }
        };
        let shades = self.shades.iter().map(|(from, to)| json!([from, to]));
        add("shades", shades.collect());
        add("verticals", marks(&self.verticals));
        add("horizontals", marks(&self.horizontals));
        if let Some(clock) = self.x.clock {
            told["clock"] = clock.told();
        }
        told
    }
}

fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Dots => "dots",
        Shape::Line => "line",
        Shape::Dashes => "dashes",
        Shape::Joined => "joined",
        Shape::Steps => "steps",
        Shape::Rings => "rings",
        Shape::Diamonds => "diamonds",
        Shape::Crosses => "crosses",
    }
}

impl Bars {
    /// A row for each part of each row.
    pub fn table(&self, extent: Extent) -> Table {
        let rows = self.rows.iter().flat_map(|row| {
            row.parts.iter().map(|part| {
                let (from, to) = (extent.number(part.from), extent.number(part.to));
                [row.name.clone(), part.name.clone(), from, to]
            })
        });
        let [from, to] = ["from", "to"].map(|end| format!("{end}: {}", self.title));
        Table::new(["row", "part", &from, &to], rows.collect())
    }

    /// What the page's script needs besides the table: of each row its name, what is written behind it, and the colours
    /// of its parts.
    pub fn told(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let colours: Vec<usize> = row.parts.iter().map(|part| part.colour).collect();
            json!([row.name, row.value, colours])
        });
        let mut told = json!({
            "kind": "bars",
            "units": [unit(&self.title)],
            "rows": rows.collect::<Vec<_>>(),
        });
        if let Some((from, to)) = self.shade {
            told["shade"] = json!([from, to]);
        }
        if !self.marks.is_empty() {
            told["marks"] = self
                .marks
                .iter()
                .map(|(at, text)| json!([at, text]))
                .collect();
        }
        if let Some(clock) = self.clock {
            told["clock"] = clock.told();
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::plot::Axis;

    fn series(name: &str, shape: Shape, points: &[(f64, f64)]) -> Series {
        Series {
            name: name.into(),
            shape,
            colour: 0,
            points: points.to_vec(),
        }
    }

    fn plot(series: Vec<Series>) -> Plot {
        let mut plot = Plot::new(Axis::new("time (s)"), Axis::new("delay (ms, logarithmic)"));
        plot.series = series;
        plot
    }

    #[test]
    fn series_share_the_rows_of_their_common_instants_and_keep_their_order() {
        let plot = plot(vec![
            series(
                "sent (3)",
                Shape::Dots,
                &[(0.5, 7.0), (1.0, 8.0), (2.0, 9.0)],
            ),
            series("lost (1)", Shape::Crosses, &[(1.0, 8.0)]),
            series(
                "level",
                Shape::Steps,
                &[(0.5, -61.5), (1.0, f64::NAN), (1.0, -60.0)],
            ),
        ]);
        assert_eq!(
            plot.table(Extent::Whole).csv(),
            "time (s),sent (ms),lost (ms),level (ms)\n0.5,7,,-61.5\n1,8,8,NaN\n1,,,-60\n2,9,,\n"
        );
    }

    #[test]
    fn what_is_drawn_twice_is_told_once_and_spans_have_a_name() {
        let points = [(1.0, 2.0), (2.0, 3.0)];
        let span = [(1.0, 1.0), (1.0, 4.0), (1.0, f64::NAN)];
        let plot = plot(vec![
            series("", Shape::Line, &span),
            series("", Shape::Line, &points),
            series("median, \"a\"", Shape::Diamonds, &points),
        ]);
        assert_eq!(
            plot.table(Extent::Whole).csv(),
            "time (s),\"median, \"\"a\"\" (ms)\",\"span of median, \"\"a\"\" (ms)\"\n1,2,1\n1,,4\n1,,NaN\n2,3,\n"
        );
        let columns: Vec<u64> = (plot.told()["series"].as_array().unwrap().iter())
            .map(|s| s[2].as_u64().unwrap())
            .collect();
        assert_eq!(columns, [2, 1, 1]);
    }

    #[test]
    fn values_have_the_decimals_that_they_have() {
        let told = |value| Extent::Whole.number(value);
        assert_eq!(told(12.236_f64.next_up()), "12.236");
        assert_eq!(told(1.534_123_456), "1.534123456");
        assert_eq!(told(1200.0), "1200");
        assert_eq!(told(-0.0), "0");
        assert_eq!(told(0.000_000_012_5), "0.0000000125");
        assert_eq!(Extent::Drawn.number(1.534_123_456), "1.534123");
    }

    #[test]
    fn the_unit_stands_at_the_end_of_a_title() {
        let units = [
            "time (s)",
            "rtt (ms, logarithmic)",
            "rate (1/s)",
            "Message ID",
            "",
        ];
        assert_eq!(units.map(unit), ["s", "ms", "1/s", "", ""]);
    }
}
