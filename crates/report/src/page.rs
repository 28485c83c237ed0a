//! Sections as one HTML page that needs nothing beside itself. It is well-formed XML, too.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use measure::result::{Expectation, Outcome};

use crate::chart::{DARK, LIGHT, NARROW, WIDE, clean, style};
use crate::figure::{Block, Figure, Section, ms};
use topology::plan::Unit;

/// What stands over the sections.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Of the page.
    pub title: String,
    /// Whether it passed, if that is known.
    pub passed: Option<bool>,
    /// Figures to see first: value, what it is.
    pub tiles: Vec<(String, String)>,
    /// Facts by name.
    pub facts: Vec<(String, String)>,
    /// The expectations, if they are known.
    pub expectations: Option<Vec<Expectation>>,
    /// What failed and no expectation is about.
    pub uncovered: Vec<String>,
    /// What the measurement noted.
    pub notes: Vec<String>,
    /// What is missing.
    pub problems: Vec<String>,
}

const CSS: &str = include_str!("page.css");
/// Nothing is fetched from anywhere, whatever the page holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The page.
pub fn page(head: &Head, sections: &[Section]) -> String {
    let css = format!(
        ":root{{color-scheme:light dark;{LIGHT}}}@media screen and (prefers-color-scheme:dark){{:root{{{DARK}}}}}{CSS}{}",
        style()
    );
    // Void elements are written out: HTML takes the slash, XML needs it.
    let meta = format!(
        "<meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"/><link rel=\"icon\" href=\"data:,\"/>"
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" xmlns="http://www.w3.org/1999/xhtml" {
            head {
                (PreEscaped(meta))
                title { (head.title) }
                style { (PreEscaped(css)) }
            }
            body {
                header {
                    h1 { (head.title) }
                    (verdict(head.passed))
                    @for failed in &head.uncovered { p class="warning" { b { "Something failed" } ": " (failed) "." } }
                }
                nav {
                    @for section in sections { a href={ "#" (section.id) } { (section.title) } }
                }
                main {
                    (top(head))
                    @for section in sections {
                        section id=(section.id) {
                            h2 { (section.title) }
                            @for block in &section.blocks { (render(block)) }
                        }
                    }
                }
            }
        }
    };
    clean(&page.into_string())
}

fn verdict(passed: Option<bool>) -> Markup {
    html! {
        @match passed {
            Some(true) => { p { span class="verdict passed" { "passed" } } }
            Some(false) => { p { span class="verdict failed" { "failed" } } }
            None => { p { span class="verdict" { "verdict not known" } } }
        }
    }
}

fn top(head: &Head) -> Markup {
    html! {
        @if !head.tiles.is_empty() {
            div class="tiles" {
                @for (value, name) in &head.tiles { div { b { (value) } span { (name) } } }
            }
        }
        @if let Some(expectations) = &head.expectations { (expected(expectations)) }
        @for problem in &head.problems { p class="missing" { "Missing: " (problem) "." } }
        @for note in &head.notes { p class="missing" { "Note: " (note) "." } }
        dl {
            @for (name, value) in &head.facts { dt { (name) } dd { (value) } }
        }
    }
}

fn expected(expectations: &[Expectation]) -> Markup {
    if expectations.is_empty() {
        return html! { p { "The topology expects nothing in particular." } };
    }
    html! {
        div class="scroll" {
            table {
                thead { tr { th { "expectation" } th { "expected" } th { "measured" } th { "outcome" } } }
                tbody {
                    @for e in expectations {
                        tr {
                            td {
                                (e.metric.key())
                                @if !e.of.is_all() { " of " (e.of) }
                            }
                            td { (e.expected) }
                            td { (measured(e)) }
                            td class=(if e.outcome == Outcome::Passed { "passed" } else { "failed" }) {
                                b { (e.outcome.name()) }
                                @if let Some(reason) = &e.reason { ": " (reason) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What was measured of an expectation, with its unit.
pub fn measured(e: &Expectation) -> String {
    match (e.measured, e.metric.unit()) {
        (None, _) => "not measured".into(),
        (Some(seconds), Unit::Seconds) => ms(seconds),
        (Some(figure), _) => measure::text::measured(e.metric, figure),
    }
}

fn render(block: &Block) -> Markup {
    html! {
        @match block {
            Block::Figure(figure) => { (render_figure(figure)) }
            Block::Text(text) => { p { (text) } }
            Block::Missing(text) => { p class="missing" { (text) } }
            Block::Code(text) => { pre { (text) } }
            Block::Folded(title, blocks) => {
                details {
                    summary { (title) }
                    @for block in blocks { (render(block)) }
                }
            }
            Block::Table(heads, rows) => {
                div class="scroll" {
                    table {
                        thead { tr { @for head in heads { th { (head) } } } }
                        tbody { @for row in rows { tr { @for cell in row { td.num[is_figure(cell)] { (cell) } } } } }
                    }
                }
            }
        }
    }
}

/// Whether a cell is a figure, with or without a unit: those stand under each other to the last digit.
fn is_figure(cell: &str) -> bool {
    let number = cell
        .split(' ')
        .next()
        .unwrap_or_default()
        .replace('\u{2009}', "");
    let words = cell.split(' ').count();
    words <= 2 && number.parse::<f64>().is_ok_and(f64::is_finite)
}

fn render_figure(figure: &Figure) -> Markup {
    html! {
        figure id={ "fig-" (file_stem(&figure.id)) } {
            h3 { (figure.title) }
            (figure.chart.draw(WIDE).inline("wide", &figure.title))
            (figure.chart.draw(NARROW).inline("narrow", &figure.title))
            figcaption { (figure.full_caption()) }
        }
    }
}

/// `id` as the name of a file and of an anchor: letters, digits, `-`, `_` and `.`.
pub fn file_stem(id: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    id.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::is_figure;

    #[test]
    fn figures_are_aligned_and_words_are_not() {
        for figure in ["12", "0.052", "50.0 ms", "-3.2", "40.00 %"] {
            assert!(is_figure(figure), "{figure}");
        }
        for words in [
            "",
            "er1",
            "not seen",
            "1 of 2 runs",
            "NaN",
            "inf",
            "2001:db8::1",
        ] {
            assert!(!is_figure(words), "{words}");
        }
    }
}
