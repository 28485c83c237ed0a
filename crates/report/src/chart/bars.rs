//! Horizontal bars of stacked parts, one a row, over a common axis.

use maud::html;

use super::scale::{Kind, Scale, labels};
use super::values::Clock;
use super::{Axes, Drawing, Key, legend, place, shortened, width_of};

/// A part of a row.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is called.
    pub name: String,
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// Which of the colours.
    pub colour: usize,
    /// What it is: shown under the pointer.
    pub hint: String,
}

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its parts.
    pub parts: Vec<Part>,
    /// Written behind the last part.
    pub value: String,
}

/// Rows over a common axis.
#[derive(Clone, Debug)]
pub struct Bars {
    /// What the axis shows, with its unit.
    pub title: String,
    /// From the top.
    pub rows: Vec<Row>,
    /// Names of the colours.
    pub keys: Vec<(usize, String)>,
    /// A span of the axis that is shaded, if there is one.
    pub shade: Option<(f64, f64)>,
    /// Dashed lines from the top to the bottom, each with its text, which stands over it.
    pub marks: Vec<(f64, String)>,
    /// If the axis is one of time: which time of the scenario it shows.
    pub clock: Option<Clock>,
}

/// Height of a row, and of the bar in it.
const ROW: f64 = 22.0;
const BAR: f64 = 14.0;

impl Bars {
    /// The drawing at a width in pixels.
    pub fn draw(&self, width: f64) -> Drawing {
        let keys: Vec<(Key, String)> = self
            .keys
            .iter()
            .map(|(c, name)| (Key::Fill(*c), name.clone()))
            .collect();
        let (legend, legend_height) = legend(&keys, 4.0, width - 8.0);
        let top = legend_height + 6.0 + 15.0 * self.marks.len() as f64;
        let longest = |text: &dyn Fn(&Row) -> &str| {
            self.rows
                .iter()
                .map(|r| width_of(text(r)))
                .fold(0.0, f64::max)
        };
        let limit = if width < 500.0 { 15 } else { 26 };
        let left = longest(&|r| &r.name).min(width_of("n") * limit as f64) + 12.0;
        let right = width - 14.0 - longest(&|r| &r.value);
        let ends = self
            .rows
            .iter()
            .flat_map(|r| &r.parts)
            .flat_map(|p| [p.from, p.to]);
        let ends = ends.chain(self.marks.iter().map(|m| m.0)).chain([0.0]);
        let ticks = if width < 500.0 { 5 } else { 9 };
        let x = Scale::round(Kind::Linear, ends, ticks, (left, right));
        let bottom = top + ROW * self.rows.len() as f64;
        let ticks = x.ticks();
        let mark = |i: usize| legend_height + 12.0 + 15.0 * i as f64;
        let body = html! {
            (legend)
            @for (i, row) in self.rows.iter().enumerate() {
                @let y = top + ROW * i as f64;
                text x=(place(left - 6.0)) y=(place(y + 15.0)) text-anchor="end" { (shortened(&row.name, limit)) }
            }
            g.area {
                @if let Some((from, to)) = self.shade {
                    rect.shade x=(place(x.at(from))) y=(place(top)) width=(place(x.at(to) - x.at(from))) height=(place(bottom - top)) {}
                }
                @for (tick, label) in ticks.iter().zip(labels(&ticks)) {
                    path.grid d={ "M" (place(x.at(*tick))) " " (place(top)) "V" (place(bottom)) } {}
                    text.soft x=(place(x.at(*tick))) y=(place(bottom + 16.0)) text-anchor="middle" { (label) }
                }
                @for (i, (at, _)) in self.marks.iter().enumerate() {
                    path.mark d={ "M" (place(x.at(*at))) " " (place(mark(i) - 6.0)) "V" (place(bottom)) } {}
                }
                // Over the lines, which would strike through the figures.
                @for (i, row) in self.rows.iter().enumerate() {
                    @let y = top + ROW * i as f64;
                    @for part in &row.parts {
                        rect class={ "f" (part.colour) } x=(place(x.at(part.from))) y=(place(y + 4.0)) width=(place((x.at(part.to) - x.at(part.from)).max(1.0))) height=(place(BAR)) {
                            title { (part.hint) }
                        }
                    }
                    @let end = row.parts.iter().map(|p| p.to).fold(0.0, f64::max);
                    text.soft.halo x=(place(x.at(end) + 5.0)) y=(place(y + 15.0)) { (row.value) }
                }
                @for (i, (at, text)) in self.marks.iter().enumerate() {
                    @let x = x.at(*at) + 4.0;
                    text.soft.halo x=(place(x.min(width - 2.0 - width_of(text)).max(2.0))) y=(place(mark(i) + 2.0)) { (text) }
                }
            }
            path.axis d={ "M" (place(left)) " " (place(top)) "V" (place(bottom)) "H" (place(right)) } {}
            text.soft x=(place((left + right) / 2.0)) y=(place(bottom + 32.0)) text-anchor="middle" { (self.title) }
        };
        Drawing {
            width,
            height: bottom + 40.0,
            body,
            axes: Some(Axes {
                x: x.ends(),
                y: [top, bottom, 0.0, self.rows.len() as f64],
            }),
        }
    }
}

/// Parts of these lengths, one after the other; those of no length are left out. `hint` says
/// what a length means, given its name.
pub fn stacked(lengths: &[(usize, &str, f64)], hint: impl Fn(&str, f64) -> String) -> Vec<Part> {
    let mut from = 0.0;
    let mut parts = Vec::new();
    for (colour, name, length) in lengths {
        if *length > 0.0 {
            parts.push(Part {
                name: (*name).to_owned(),
                from,
                to: from + length,
                colour: *colour,
                hint: hint(name, *length),
            });
            from += length;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::NARROW;

    #[test]
    fn stacked_parts_touch_and_empty_ones_are_left_out() {
        let parts = stacked(&[(0, "a", 2.0), (1, "b", 0.0), (2, "c", 3.0)], |n, v| {
            format!("{n} {v}")
        });
        let spans: Vec<_> = parts
            .iter()
            .map(|p| (p.from, p.to, p.hint.as_str()))
            .collect();
        assert_eq!(spans, [(0.0, 2.0, "a 2"), (2.0, 5.0, "c 3")]);
    }

    #[test]
    fn no_line_strikes_through_a_figure() {
        let row = Row {
            name: "a".into(),
            parts: stacked(&[(0, "tx", 10.0)], |_, _| String::new()),
            value: "10 ms".into(),
        };
        let bars = Bars {
            title: "ms".into(),
            rows: vec![row],
            keys: vec![],
            shade: None,
            marks: vec![(10.0, "the end".into())],
            clock: None,
        };
        let file = bars.draw(crate::chart::WIDE).file("t");
        let line = file.find("class=\"mark\"").unwrap();
        for text in [">10 ms<", ">the end<"] {
            assert!(line < file.find(text).unwrap(), "{text} is drawn over it");
        }
    }

    #[test]
    fn the_values_of_the_longest_bars_stay_on_a_telephone() {
        let row = Row {
            name: "a-node-with-a-very-long-name-indeed".into(),
            parts: stacked(&[(0, "tx", 1234.0)], |_, _| String::new()),
            value: "1234.5 mJ".into(),
        };
        let bars = Bars {
            title: "mJ".into(),
            rows: vec![row],
            keys: vec![],
            shade: None,
            marks: vec![],
            clock: None,
        };
        let file = bars.draw(NARROW).file("t");
        let document = roxmltree::Document::parse(&file).unwrap();
        let value = document
            .descendants()
            .find(|n| n.text() == Some("1234.5 mJ"))
            .unwrap();
        let x: f64 = value.attribute("x").unwrap().parse().unwrap();
        assert!(x + width_of("1234.5 mJ") <= NARROW);
    }
}
