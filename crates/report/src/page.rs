//! Sections as one HTML page that needs nothing beside itself. It is well-formed XML, too.
//!
//! Without its script it is legible: figures are drawn, and their values stand below them. The script, in files by what it
//! does, adds what a reader does with them.
//!
//! | module | holds |
//! | --- | --- |
//! | [`script`] | the page's own script, and the policy that lets no other one run |
//! | `sort.js` | tables by a column |
//! | `values.js` | figures and their values |
//! | `draw.js` | a part of a figure, drawn larger |
//! | `cursor.js` | pointer, touch and keys on a figure |
//! | `instant.js` | the instant that figures, map, frames and player share |

pub mod script;

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use measure::result::{Expectation, Outcome};
use serde_json::Value;

use crate::chart::values::Extent;
use crate::chart::{DARK, LIGHT, NARROW, WIDE, clean, style};
use crate::figure::{Block, Figure, Section, ms};
use topology::plan::Unit;

/// What stands over the sections.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Of the page.
    pub title: String,
    /// Why it did not come to its end; absent if it did.
    pub unfinished: Option<String>,
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
    /// Who was where when, of a run; see [`crate::figure::instant`].
    pub instants: Option<Value>,
}

const CSS: &str = include_str!("page/page.css");

/// The page. `base` is the way from it to the directory that is shown, empty or with a `/` at the
/// end.
pub fn page(head: &Head, sections: &[Section], base: &str) -> String {
    let css = format!(
        ":root{{color-scheme:light dark;{LIGHT}}}@media screen and (prefers-color-scheme:dark){{:root{{{DARK}}}}}{CSS}{}",
        style()
    );
    // Void elements are written out: HTML takes the slash, XML needs it.
    let meta = format!(
        "<meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\"/><link rel=\"icon\" href=\"data:,\"/>",
        script::policy()
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
                    (verdict(head))
                    @if let Some(why) = &head.unfinished { p class="warning" { b { "This did not come to its end" } ": " (why) ". What is shown here is what was seen until then." } }
                    @for failed in &head.uncovered { p class="warning" { b { "Something failed" } ": " (failed) "." } }
                }
                nav {
                    @for section in sections { a href={ "#" (section.id) } { (section.title) } }
                }
                main data-run=[head.instants.as_ref().map(Value::to_string)] {
                    (top(head))
                    @for section in sections {
                        section id=(section.id) {
                            h2 { (section.title) }
                            @for block in &section.blocks { (render(block, base)) }
                        }
                    }
                }
                script { (PreEscaped(script::script())) }
            }
        }
    };
    clean(&page.into_string())
}

fn verdict(head: &Head) -> Markup {
    html! {
        @match head.passed {
            _ if head.unfinished.is_some() => { p { span class="verdict failed" { "partial" } } }
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
        @if let Some(expectations) = &head.expectations { (expected(expectations, head.unfinished.is_some())) }
        @for problem in &head.problems { p class="missing" { "Missing: " (problem) "." } }
        @for note in &head.notes { p class="missing" { "Note: " (note) "." } }
        dl {
            @for (name, value) in &head.facts { dt { (name) } dd { (value) } }
        }
    }
}

/// `so_far`: what held need not hold to the end.
fn expected(expectations: &[Expectation], so_far: bool) -> Markup {
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
                            td class=[outcome_class(e.outcome, so_far)] {
                                @if so_far { "so far: " (e.outcome.name()) } @else { b { (e.outcome.name()) } }
                                @if let Some(reason) = &e.reason { ": " (reason) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn outcome_class(outcome: Outcome, so_far: bool) -> Option<&'static str> {
    match outcome {
        Outcome::Passed if so_far => None,
        Outcome::Passed => Some("passed"),
        _ => Some("failed"),
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

fn render(block: &Block, base: &str) -> Markup {
    html! {
        @match block {
            Block::Figure(figure) => { (render_figure(figure)) }
            Block::Text(text) => { p { (text) } }
            Block::Missing(text) => { p class="missing" { (text) } }
            Block::Code(text) => { pre { (text) } }
            Block::Played(instant) => {
                p.played { "In the player: " code { "http://127.0.0.1:8080/#" (instant) } }
            }
            Block::Links(files) => {
                ul {
                    @for (file, about) in files {
                        li {
                            a href={ (base) (file) } { (file) }
                            @if !about.is_empty() { ": " (about) }
                        }
                    }
                }
            }
            Block::Folded(title, blocks) => {
                details {
                    summary { (title) }
                    @for block in blocks { (render(block, base)) }
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
    let told = figure.chart.told().to_string();
    let stem = file_stem(&figure.id);
    // Between single quotes JSON needs fewer escapes.
    let begin = format!(
        "<figure id=\"fig-{stem}\" data-chart='{}'>",
        attribute(&told)
    );
    html! {
        (PreEscaped(begin))
        h3 { (figure.title) }
        (figure.chart.draw(WIDE).inline("wide", &figure.title))
        (figure.chart.draw(NARROW).inline("narrow", &figure.title))
        figcaption { (figure.full_caption()) }
        details.values {
            summary { "Values" }
            pre { (figure.chart.table(Extent::Drawn).csv()) }
        }
        (PreEscaped("</figure>"))
    }
}

/// `text` between single quotes.
fn attribute(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    escaped.replace('\'', "&#39;")
}

/// The way from the page `file` to the directory `dir`, as a link begins: empty if the page stands
/// there.
pub fn way(file: &Path, dir: &Path) -> String {
    let from = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (from, to) = (whole(from), whole(dir));
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[common..].iter().map(|_| "../".to_owned());
    let down = to[common..].iter().map(|part| {
        let name = part.as_os_str().to_string_lossy();
        format!("{}/", encoded(&name))
    });
    up.chain(down).collect()
}

/// A part of a path as a link has it (RFC 3986 §2.1).
pub(crate) fn encoded(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    name.bytes().map(byte).collect()
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
    use std::fs;

    use super::*;

    #[test]
    fn links_lead_from_the_page_to_the_run_wherever_it_stands() {
        let base = tempfile::tempdir().unwrap();
        let run = base.path().join("my runs/a");
        fs::create_dir_all(&run).unwrap();
        fs::create_dir_all(base.path().join("pages/x")).unwrap();
        let way = |page: &str| way(&base.path().join(page), &run);
        assert_eq!(way("my runs/a/report.html"), "");
        assert_eq!(way("my runs/a.html"), "a/");
        assert_eq!(way("page.html"), "my%20runs/a/");
        assert_eq!(way("pages/x/a.html"), "../../my%20runs/a/");
    }

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
