//! Points, lines and marks over two axes.

use maud::{Markup, html};

use super::scale::{Kind, Scale, labels};
use super::values::Clock;
use super::{Axes, Drawing, Key, legend, place, shortened, symbol, thin, width_of};

/// How the points of a series are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A dot each.
    Dots,
    /// Joined. A y that is not a number is a gap.
    Line,
    /// Joined by a dashed line.
    Dashes,
    /// A diamond each, and joined.
    Joined,
    /// Joined, each y held until the next. A y that is not a number is a gap.
    Steps,
    /// A ring each.
    Rings,
    /// A diamond each.
    Diamonds,
    /// A cross each: losses.
    Crosses,
}

/// Points that belong together.
#[derive(Clone, Debug)]
pub struct Series {
    /// What the legend calls them.
    pub name: String,
    /// How they are drawn.
    pub shape: Shape,
    /// Which of the colours.
    pub colour: usize,
    /// x and y, in the order of x.
    pub points: Vec<(f64, f64)>,
}

/// A line across the plot, and what it means.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Where.
    pub at: f64,
    /// What is there.
    pub text: String,
}

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it shows, with its unit.
    pub title: String,
    /// How.
    pub kind: Kind,
    /// From and to exactly these; otherwise from and to round values around all that is shown.
    pub range: Option<(f64, f64)>,
    /// Shown in any case.
    pub include: Vec<f64>,
    /// If it is one of time: which time of the scenario it shows.
    pub clock: Option<Clock>,
}

impl Axis {
    /// An axis of counts or numbers of things.
    pub fn whole(title: impl Into<String>) -> Axis {
        Axis {
            kind: Kind::Whole,
            ..Axis::new(title)
        }
    }

    /// A linear axis around all values.
    pub fn new(title: impl Into<String>) -> Axis {
        Axis {
            title: title.into(),
            kind: Kind::Linear,
            range: None,
            include: vec![],
            clock: None,
        }
    }
}

/// A plot.
#[derive(Clone, Debug)]
pub struct Plot {
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// The later over the earlier.
    pub series: Vec<Series>,
    /// Spans of x that are shaded.
    pub shades: Vec<(f64, f64)>,
    /// Vertical lines.
    pub verticals: Vec<Mark>,
    /// Horizontal lines.
    pub horizontals: Vec<Mark>,
    /// Height of the area in pixels.
    pub height: f64,
}

/// So few dots are drawn larger.
const FEW: usize = 200;

impl Plot {
    /// An empty plot over two axes.
    pub fn new(x: Axis, y: Axis) -> Plot {
        Plot {
            x,
            y,
            series: vec![],
            shades: vec![],
            verticals: vec![],
            horizontals: vec![],
            height: 220.0,
        }
    }

    /// How many points of how many a drawing of that width shows, if not all.
    pub fn thinned(&self, width: f64) -> Option<(usize, usize)> {
        let (x, _) = self.scales(width, 0.0);
        let all: usize = self.series.iter().map(|s| s.points.len()).sum();
        let kept = self.series.iter().map(|s| shown(s, &x).len()).sum();
        (kept < all).then_some((kept, all))
    }

    /// The drawing at a width in pixels.
    pub fn draw(&self, width: f64) -> Drawing {
        let (legend, legend_height) = legend(&self.keys(), 4.0, width - 8.0);
        let top = legend_height + 26.0;
        let (x, y) = self.scales(width, top);
        let bottom = top + self.height;
        let left = x.at(f64::NEG_INFINITY);
        let right = x.at(f64::INFINITY);
        let body = html! {
            (legend)
            text.soft x="4" y=(place(top - 11.0)) { (shortened(&self.y.title, (width / width_of("n")) as usize)) }
            g.area {
                @for (from, to) in &self.shades {
                    rect.shade x=(place(x.at(*from))) y=(place(top)) width=(place((x.at(*to) - x.at(*from)).max(0.5))) height=(place(self.height)) {}
                }
                (grid(&x, &y, (left, right), (top, bottom)))
                // A label hides no point.
                @for (i, mark) in self.verticals.iter().filter(|m| x.has(m.at)).enumerate() {
                    (vertical(mark, i, x.at(mark.at), (top, bottom), (left, right)))
                }
                @for series in &self.series { (draw_series(series, &x, &y)) }
                @for (i, mark) in self.horizontals.iter().filter(|m| y.has(m.at)).enumerate() {
                    @let beside = if i % 2 == 0 { -5.0 } else { 13.0 };
                    path.mark d={ "M" (place(left)) " " (place(y.at(mark.at))) "H" (place(right)) } {}
                    text.soft.halo x=(place(right - 3.0)) y=(place(y.at(mark.at) + beside)) text-anchor="end" { (mark.text) }
                }
            }
            text.soft x=(place((left + right) / 2.0)) y=(place(bottom + 33.0)) text-anchor="middle" { (self.x.title) }
        };
        Drawing {
            width,
            height: bottom + 42.0,
            body,
            axes: Some(Axes {
                x: x.ends(),
                y: y.ends(),
            }),
        }
    }

    pub(super) fn scales(&self, width: f64, top: f64) -> (Scale, Scale) {
        let points = || self.series.iter().flat_map(|s| &s.points);
        let marks = self.horizontals.iter().map(|m| m.at);
        let ys = points()
            .map(|p| p.1)
            .chain(self.y.include.iter().copied())
            .chain(marks);
        let y_ends = (top + self.height, top);
        let y = match self.y.range {
            Some(range) => Scale::exact(range, 7, y_ends),
            None => Scale::round(self.y.kind, ys, 7, y_ends),
        };
        let widest = labels(&y.ticks())
            .iter()
            .map(|l| width_of(l))
            .fold(0.0, f64::max);
        let ticks = if width < 500.0 { 6 } else { 11 };
        let x_ends = (widest + 12.0, width - 14.0);
        let x = match self.x.range {
            Some(range) => Scale::exact(range, ticks, x_ends),
            None => {
                let xs = points().map(|p| p.0).chain(self.x.include.iter().copied());
                Scale::round(self.x.kind, xs, ticks, x_ends)
            }
        };
        (x, y)
    }

    fn keys(&self) -> Vec<(Key, String)> {
        let named = self.series.iter().filter(|s| !s.name.is_empty());
        named.map(|s| (key(s), s.name.clone())).collect()
    }
}

fn key(series: &Series) -> Key {
    match series.shape {
        Shape::Dots => Key::Dot(series.colour),
        Shape::Line | Shape::Steps => Key::Line(series.colour),
        Shape::Dashes => Key::Dashes(series.colour),
        Shape::Joined => Key::Diamond(series.colour),
        Shape::Rings => Key::Ring(series.colour),
        Shape::Diamonds => Key::Diamond(series.colour),
        Shape::Crosses => Key::Cross,
    }
}

/// The points of a series that are drawn. Losses always are.
pub(super) fn shown(series: &Series, x: &Scale) -> Vec<(f64, f64)> {
    match series.shape {
        Shape::Crosses | Shape::Rings | Shape::Diamonds | Shape::Joined => series.points.clone(),
        _ => thin::thin(&series.points, |value| x.at(value) as i64),
    }
}

fn grid(x: &Scale, y: &Scale, (left, right): (f64, f64), (top, bottom): (f64, f64)) -> Markup {
    let (xs, ys) = (x.ticks(), y.ticks());
    html! {
        @for (tick, label) in ys.iter().zip(labels(&ys)) {
            path.grid d={ "M" (place(left)) " " (place(y.at(*tick))) "H" (place(right)) } {}
            text.soft x=(place(left - 5.0)) y=(place(y.at(*tick) + 4.0)) text-anchor="end" { (label) }
        }
        @for (tick, label) in xs.iter().zip(labels(&xs)) {
            path.axis d={ "M" (place(x.at(*tick))) " " (place(bottom)) "v4" } {}
            text.soft x=(place(x.at(*tick))) y=(place(bottom + 17.0)) text-anchor="middle" { (label) }
        }
        path.axis d={ "M" (place(left)) " " (place(top)) "V" (place(bottom)) "H" (place(right)) } {}
    }
}

/// A vertical line; labels of neighbours stand at different heights.
fn vertical(
    mark: &Mark,
    i: usize,
    at: f64,
    (top, bottom): (f64, f64),
    (left, right): (f64, f64),
) -> Markup {
    let room = width_of(&mark.text) + 8.0;
    let (x, anchor) = match at + room > right && at - room > left {
        true => (at - 4.0, "end"),
        false => (at + 4.0, "start"),
    };
    let y = top + 12.0 + 14.0 * (i % 3) as f64;
    html! {
        path class=(if mark.text.is_empty() { "mark faint" } else { "mark" }) d={ "M" (place(at)) " " (place(top)) "V" (place(bottom)) } {}
        @if !mark.text.is_empty() {
            text.soft.halo x=(place(x)) y=(place(y)) text-anchor=(anchor) { (mark.text) }
        }
    }
}

fn draw_series(series: &Series, x: &Scale, y: &Scale) -> Markup {
    let points = shown(series, x);
    let at = |(px, py): &(f64, f64)| (x.at(*px), y.at(*py));
    let colour = series.colour;
    match series.shape {
        Shape::Dots => {
            let d = dots(points.iter().map(at));
            let few = points.len() <= FEW;
            html! { path class={ "d" (colour) @if few { " few" } } d=(d) {} }
        }
        Shape::Line | Shape::Steps => {
            let d = joined(&points, series.shape == Shape::Steps, at);
            html! { path class={ "l" (colour) } d=(d) {} }
        }
        Shape::Dashes => html! {
            path class={ "dashed l" (colour) } d=(joined(&points, false, at)) {}
        },
        Shape::Rings | Shape::Diamonds | Shape::Crosses | Shape::Joined => html! {
            @if series.shape == Shape::Joined {
                path class={ "l" (colour) } d=(joined(&points, false, at)) {}
            }
            @for point in &points {
                (symbol(key(series), at(point).0, at(point).1))
            }
        },
    }
}

/// A dot at each place, each from the one before it: that is shorter to write.
fn dots(places: impl Iterator<Item = (f64, f64)>) -> String {
    let tenths = |value: f64| (value * 10.0).round() as i64;
    let (mut d, mut before) = (String::new(), (0, 0));
    for (x, y) in places {
        let (x, y) = (tenths(x), tenths(y));
        let (dx, dy) = (written(x - before.0), written(y - before.1));
        let between = if dy.starts_with('-') { "" } else { " " };
        d.push_str(&format!("m{dx}{between}{dy}h0"));
        before = (x, y);
    }
    d
}

/// Tenths, as short as a path may have them.
fn written(tenths: i64) -> String {
    let sign = if tenths < 0 { "-" } else { "" };
    let (whole, rest) = (tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10);
    match (whole, rest) {
        (whole, 0) => format!("{sign}{whole}"),
        (0, rest) => format!("{sign}.{rest}"),
        (whole, rest) => format!("{sign}{whole}.{rest}"),
    }
}

fn joined(points: &[(f64, f64)], steps: bool, at: impl Fn(&(f64, f64)) -> (f64, f64)) -> String {
    let (mut d, mut drawing) = (String::new(), false);
    for point in points {
        let (x, y) = at(point);
        let gap = point.1.is_nan();
        match (drawing, gap) {
            // A step lasts to where the gap begins.
            (true, true) if steps => d.push_str(&format!("H{}", place(x))),
            (true, false) if steps => d.push_str(&format!("H{}V{}", place(x), place(y))),
            (true, false) => d.push_str(&format!("L{} {}", place(x), place(y))),
            (false, false) => d.push_str(&format!("M{} {}", place(x), place(y))),
            (_, true) => {}
        }
        drawing = !gap;
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::{NARROW, WIDE};

    fn plot(points: Vec<(f64, f64)>, shape: Shape) -> Plot {
        let mut plot = Plot::new(Axis::new("time (s)"), Axis::new("delay (ms)"));
        plot.series.push(Series {
            name: "measured".into(),
            shape,
            colour: 0,
            points,
        });
        plot
    }

    #[test]
    fn every_chart_names_its_axes_and_series_and_stays_on_its_paper() {
        for width in [WIDE, NARROW] {
            let drawing = plot(vec![(0.0, 1.0), (30.0, 250.0)], Shape::Line).draw(width);
            let file = drawing.file("t");
            let document = roxmltree::Document::parse(&file).unwrap();
            let texts: Vec<_> = document
                .descendants()
                .filter(|n| n.has_tag_name(("http://www.w3.org/2000/svg", "text")))
                .collect();
            for wanted in ["time (s)", "delay (ms)", "measured", "0", "250"] {
                assert!(texts.iter().any(|t| t.text() == Some(wanted)), "{wanted}");
            }
            for text in texts {
                let x: f64 = text.attribute("x").unwrap().parse().unwrap();
                assert!((0.0..=width).contains(&x));
            }
        }
    }

    #[test]
    fn a_gap_interrupts_a_line_and_ends_a_step() {
        let points = [(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 4.0)];
        assert_eq!(joined(&points, false, |p| *p), "M0 1M2 3L3 4");
        assert_eq!(joined(&points, true, |p| *p), "M0 1H1M2 3H3V4");
    }

    #[test]
    fn dots_stand_where_they_are_however_far_from_the_first() {
        let places = [(1.04, 2.0), (1.5, 1.5), (0.96, 101.0)];
        assert_eq!(dots(places.into_iter()), "m1 2h0m.5-.5h0m-.5 99.5h0");
    }

    #[test]
    fn a_drawing_says_when_it_does_not_show_every_point() {
        let many = (0..20_000)
            .map(|i| (f64::from(i), f64::from(i % 7)))
            .collect();
        let (kept, all) = plot(many, Shape::Dots).thinned(WIDE).unwrap();
        assert_eq!(all, 20_000);
        assert!(kept <= 2 * WIDE as usize);
        assert_eq!(plot(vec![(0.0, 0.0)], Shape::Dots).thinned(WIDE), None);
    }
}
