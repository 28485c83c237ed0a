//! Charts as SVG with text as text. Pure: figures come in, markup goes out.
//!
//! Hand-made rather than by a chart library: a chart here is drawn for two widths (a screen or
//! paper, and a telephone), takes its colours from the page's style sheet, so that one drawing
//! serves light and dark, and needs spans, brackets and crosses that libraries do not have.
//!
//! | module | holds |
//! | --- | --- |
//! | [`scale`] | axes: round ticks, labels, places |
//! | [`thin`] | fewer points that look the same |
//! | [`plot`] | points, lines and marks over two axes |
//! | [`bars`] | horizontal bars of stacked parts |
//! | [`sequence`] | messages between lifelines |
//! | [`values`] | what is drawn, as tables |

pub mod bars;
pub mod plot;
pub mod scale;
pub mod sequence;
pub mod thin;
pub mod values;

use maud::{Markup, PreEscaped, html};

/// Width of a drawing for screens and paper, in CSS pixels.
pub const WIDE: f64 = 760.0;
/// Width of a drawing for telephones: 375 pixels less the page's margins.
pub const NARROW: f64 = 343.0;

/// How wide a character of a label is, at most, on average: for room, not for layout.
const CHARACTER: f64 = 6.9;

/// A drawing: size in CSS pixels, and what is on it.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
    /// SVG elements. Colours and fonts come from classes.
    pub body: Markup,
    /// Where its axes are, if it has some.
    pub axes: Option<Axes>,
}

/// The axes of a drawing: of each the places of its ends in CSS pixels, and the values there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axes {
    /// To the right.
    pub x: [f64; 4],
    /// Upwards, or of bars downwards, in rows.
    pub y: [f64; 4],
}

/// What colours mean, for the page and for SVG files alike. The palette is Okabe and Ito's, that
/// keeps apart for all kinds of colour vision; lighter where the page is dark.
pub const LIGHT: &str = "--ink:#1b1f24;--soft:#57606a;--line:#c9d1d9;--paper:#ffffff;--shade:#eef1f4;\
--c0:#0072b2;--c1:#d55e00;--c2:#007a5a;--c3:#a8478a;--c4:#b07d00;--c5:#2a8fc4;--c6:#6f6f6f;--c7:#7a4fbf;\
--good:#1a7f37;--bad:#c1121f;";
/// [`LIGHT`] on a dark page.
pub const DARK: &str = "--ink:#e6edf3;--soft:#9da7b3;--line:#3d444d;--paper:#0d1117;--shade:#1b222b;\
--c0:#58a6ff;--c1:#ff9e4a;--c2:#3ecf9b;--c3:#e58ac8;--c4:#e3b341;--c5:#7cc7f0;--c6:#a0a0a0;--c7:#b79cff;\
--good:#3fb950;--bad:#ff6b6b;";
/// How many colours `c0`, `c1`, ... there are.
pub const COLOURS: usize = 8;

/// The style of drawings, over the variables of [`LIGHT`].
pub fn style() -> String {
    let mut css = String::from(
        "svg.d text{font:11.5px system-ui,'DejaVu Sans',Arial,sans-serif;fill:var(--ink)}\
         svg.d .soft{fill:var(--soft)}svg.d .halo{paint-order:stroke;stroke:var(--paper);stroke-width:4px}svg.d .strong{font-weight:600}\
         svg.d .grid{stroke:var(--line);stroke-width:1;fill:none}\
         svg.d .axis{stroke:var(--soft);stroke-width:1;fill:none}\
         svg.d .mark{stroke:var(--soft);stroke-width:1.2;stroke-dasharray:4 3;fill:none}\
         svg.d .shade{fill:var(--shade)}svg.d .range{fill:var(--c0);fill-opacity:.07;stroke:var(--c0);stroke-opacity:.4}\
         svg.d .wire{stroke:var(--soft);stroke-width:2;fill:none}svg.d .air{stroke:var(--c0);stroke-width:1.2;stroke-dasharray:3 3;fill:none}\
         svg.d .dashed{stroke-dasharray:5 3}\
         svg.d .box{fill:var(--shade);stroke:var(--soft)}\
         svg.d .bad{stroke:var(--bad);stroke-width:2;fill:none}",
    );
    for i in 0..COLOURS {
        css.push_str(&format!(
            "svg.d .f{i}{{fill:var(--c{i})}}svg.d .l{i}{{stroke:var(--c{i});stroke-width:1.8;fill:none;stroke-linejoin:round}}\
             svg.d .d{i}{{stroke:var(--c{i});stroke-width:3.4;stroke-linecap:round;fill:none}}\
             svg.d .r{i}{{stroke:var(--c{i});stroke-width:1.4;fill:none}}"
        ));
    }
    css.push_str(
        "svg.d .few{stroke-width:6}svg.d .faint{stroke-opacity:.4}svg.d .tint{fill-opacity:.07}",
    );
    css
}

impl Drawing {
    /// For a page that has [`style`]. `label` is read out for those who do not see it.
    pub fn inline(&self, class: &str, label: &str) -> Markup {
        let view = format!("0 0 {} {}", place(self.width), place(self.height));
        html! {
            svg class={ "d " (class) } viewBox=(view) width=(place(self.width)) height=(place(self.height)) role="img" aria-label=(label) data-x=[self.axes.map(|axes| ends(axes.x))] data-y=[self.axes.map(|axes| ends(axes.y))] { (self.body) }
        }
    }

    /// As a file of its own, light on white.
    pub fn file(&self, title: &str) -> String {
        let (width, height) = (place(self.width), place(self.height));
        let view = format!("0 0 {width} {height}");
        let style = format!("svg{{{LIGHT}}}{}", style());
        // Escaped like any text: it has neither `<` nor `&`, and an XML parser undoes the rest.
        let svg = html! {
            svg xmlns="http://www.w3.org/2000/svg" class="d" viewBox=(view) width=(width) height=(height) {
                title { (title) }
                style { (PreEscaped(&style)) }
                rect width="100%" height="100%" fill="#ffffff" {}
                (self.body)
            }
        };
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n",
            clean(&svg.into_string())
        )
    }
}

/// The ends of an axis, as the page's script reads them: places as they are drawn, values as they are.
fn ends([start, end, min, max]: [f64; 4]) -> String {
    format!("{} {} {min} {max}", place(start), place(end))
}

/// `text` without the characters that XML 1.0 cannot hold even escaped (section 2.2).
pub fn clean(text: &str) -> String {
    let allowed = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    text.chars().filter(allowed).collect()
}

/// A coordinate with the decimals that can be seen.
pub fn place(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" {
        "0".into()
    } else {
        text.into()
    }
}

/// Room for `text` in a label.
pub fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}

/// `text`, shortened if it has more characters than `limit`.
pub fn shortened(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    kept + "\u{2026}"
}

/// What an entry of a legend looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A filled square.
    Fill(usize),
    /// A dot.
    Dot(usize),
    /// A line.
    Line(usize),
    /// A dashed line of a colour.
    Dashes(usize),
    /// A ring.
    Ring(usize),
    /// A diamond.
    Diamond(usize),
    /// The cross of a loss.
    Cross,
    /// A dashed line.
    Mark,
}

/// Entries in rows from (`left`, 0) that are `width` long; gives the markup and its height.
pub fn legend(entries: &[(Key, String)], left: f64, width: f64) -> (Markup, f64) {
    let (mut x, mut y) = (left, 10.0);
    let mut placed = Vec::new();
    let limit = ((width - 24.0) / CHARACTER).max(4.0) as usize;
    for (key, name) in entries {
        let name = shortened(name, limit);
        let room = 20.0 + width_of(&name) + 12.0;
        if x > left && x + room - 12.0 > left + width {
            (x, y) = (left, y + 17.0);
        }
        placed.push((x, y, *key, name));
        x += room;
    }
    let height = if entries.is_empty() { 0.0 } else { y + 10.0 };
    let markup = html! {
        @for (x, y, key, name) in &placed {
            (symbol(*key, *x + 7.0, *y))
            text x=(place(*x + 19.0)) y=(place(*y + 4.0)) { (name) }
        }
    };
    (markup, height)
}

/// A legend's symbol, or a point of a plot, around (`x`, `y`).
pub fn symbol(key: Key, x: f64, y: f64) -> Markup {
    let line = format!("M{} {}h14", place(x - 7.0), place(y));
    html! {
        @match key {
            Key::Fill(c) => { rect class={ "f" (c) } x=(place(x - 6.0)) y=(place(y - 5.0)) width="12" height="10" rx="2" {} }
            Key::Dot(c) => { path class={ "d" (c) " few" } d={ "M" (place(x)) " " (place(y)) "h0" } {} }
            Key::Line(c) => { path class={ "l" (c) } d=(line) {} }
            Key::Dashes(c) => { path class={ "dashed l" (c) } d=(line) {} }
            Key::Ring(c) => { circle class={ "r" (c) } cx=(place(x)) cy=(place(y)) r="4.5" {} }
            Key::Diamond(c) => {
                path class={ "f" (c) } d={ "M" (place(x)) " " (place(y - 6.0)) "l5 6l-5 6l-5-6z" } {}
            }
            Key::Cross => { path class="bad" d={ "M" (place(x - 4.0)) " " (place(y - 4.0)) "l8 8m0-8l-8 8" } {} }
            Key::Mark => { path class="mark" d=(line) {} }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_have_no_needless_digits() {
        assert_eq!([place(1.0), place(-0.04), place(2.25)], ["1", "0", "2.2"]);
    }

    #[test]
    fn a_legend_that_does_not_fit_in_one_row_takes_more() {
        let entries: Vec<_> = (0..6)
            .map(|i| (Key::Dot(i), "twelve chars".into()))
            .collect();
        let (_, one) = legend(&entries, 0.0, 2000.0);
        let (_, more) = legend(&entries, 0.0, 250.0);
        assert!(more > one);
        assert_eq!(legend(&[], 0.0, 100.0).1, 0.0);
    }

    #[test]
    fn a_file_is_xml_with_its_text_as_text() {
        let body = html! { text x="1" y="9" { "a < b & \"c\"" } };
        let drawing = Drawing {
            width: 10.0,
            height: 10.0,
            body,
            axes: None,
        };
        let file = drawing.file("<title>");
        let document = roxmltree::Document::parse(&file).unwrap();
        let texts: Vec<_> = document.descendants().filter_map(|n| n.text()).collect();
        assert!(texts.contains(&"a < b & \"c\"") && texts.contains(&"<title>"));
        assert_eq!(
            document.root_element().tag_name().namespace(),
            Some("http://www.w3.org/2000/svg")
        );
    }
}
