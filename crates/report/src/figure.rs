//! Figures and the sections that they stand in. Each function takes what was read and gives
//! sections; where something is missing, the section says so in the figure's place.
//!
//! | module | holds |
//! | --- | --- |
//! | [`map`] | the topology, and the area to scale |
//! | [`handover`] | the phases of handovers, and the Message IDs around them |
//! | [`sequence`] | who sent what to whom, in handovers and for applications |
//! | [`traffic`] | Message IDs and round-trip times over the run; losses with reasons |
//! | [`observers`] | who observes what |
//! | [`http`] | what clients asked gateways by HTTP |
//! | [`links`] | delivery from radio to radio |
//! | [`frames`] | frames of handovers, with their numbers in the captures |
//! | [`instant`] | who was where when, for the page's scrubber |
//! | [`files`] | captures and other files, to be opened |
//! | [`radio`] | signal strength with the trigger; energy; the air |
//! | [`paper`] | figures 15 to 17 of the CoMP paper with the run in them |
//! | [`spread`] | distributions over the runs of a sweep |
//! | [`loss`] | losses of a sweep beside lambda * D |
//! | [`over`] | figures of a sweep over the parameter that it varies |

pub mod files;
pub mod frames;
pub mod handover;
pub mod http;
pub mod instant;
pub mod links;
pub mod loss;
pub mod map;
pub mod observers;
pub mod over;
pub mod paper;
pub mod radio;
pub mod sequence;
pub mod spread;
pub mod traffic;

use rundir::Phase;
use serde_json::{Value, json};

use crate::chart::COLOURS;

use crate::chart::bars::Bars;
use crate::chart::plot::Plot;
use crate::chart::scale::number;
use crate::chart::sequence::SequenceChart;
use crate::chart::values::{Extent, Table};
use crate::chart::{Drawing, WIDE};

/// A chart, to be drawn at any width.
#[derive(Clone, Debug)]
pub enum Chart {
    /// Points and lines.
    Plot(Plot),
    /// Horizontal bars.
    Bars(Bars),
    /// The nodes and what joins them.
    Network(map::Network),
    /// The area to scale.
    Area(map::Area),
    /// Messages between nodes.
    Sequence(SequenceChart),
}

impl Chart {
    /// The drawing at a width in pixels.
    pub fn draw(&self, width: f64) -> Drawing {
        match self {
            Chart::Plot(plot) => plot.draw(width),
            Chart::Bars(bars) => bars.draw(width),
            Chart::Network(network) => network.draw(width),
            Chart::Area(area) => area.draw(width),
            Chart::Sequence(sequence) => sequence.draw(width),
        }
    }

    /// What it draws.
    pub fn table(&self, extent: Extent) -> Table {
        match self {
            Chart::Plot(plot) => plot.table(extent),
            Chart::Bars(bars) => bars.table(extent),
            Chart::Network(network) => network.table(),
            Chart::Area(area) => area.table(extent),
            Chart::Sequence(sequence) => sequence.table(extent),
        }
    }

    /// What the page's script needs besides the table.
    pub fn told(&self) -> Value {
        match self {
            Chart::Plot(plot) => plot.told(),
            Chart::Bars(bars) => bars.told(),
            Chart::Network(network) => network.told(),
            Chart::Area(_) => json!({ "kind": "area" }),
            Chart::Sequence(_) => json!({ "kind": "sequence" }),
        }
    }
}

/// A chart with its title and what must be said with it.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Unique in the report; the name of its SVG file.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// What a reader needs to read it rightly.
    pub caption: String,
    /// The drawing.
    pub chart: Chart,
}

impl Figure {
    /// The caption; with how many points are drawn, if not all are.
    pub fn full_caption(&self) -> String {
        let Chart::Plot(plot) = &self.chart else {
            return self.caption.clone();
        };
        match plot.thinned(WIDE) {
            None => self.caption.clone(),
            Some((kept, all)) => format!(
                "{} Of {} points {} are drawn: the least and the greatest of each column of pixels.",
                self.caption,
                number(all as f64, 0),
                number(kept as f64, 0)
            ),
        }
    }
}

/// A part of a section.
// A report has few blocks, and most are figures: a box around each would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Block {
    /// A figure.
    Figure(Figure),
    /// A paragraph.
    Text(String),
    /// A table: heads, rows.
    Table(Vec<String>, Vec<Vec<String>>),
    /// What should be here and why it is not.
    Missing(String),
    /// A title and what is shown when it is opened.
    Folded(String, Vec<Block>),
    /// Text in a fixed font.
    Code(String),
    /// Files of the directory that is shown, and what is in them.
    Links(Vec<(String, String)>),
    /// Where `wpanlab view` shows an instant: what stands behind the `#` of its address.
    Played(String),
}

/// A part of the report.
#[derive(Clone, Debug)]
pub struct Section {
    /// Unique in the report.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// From the top.
    pub blocks: Vec<Block>,
}

impl Section {
    /// All figures, folded ones too.
    pub fn figures(&self) -> Vec<&Figure> {
        fn collect<'a>(blocks: &'a [Block], into: &mut Vec<&'a Figure>) {
            for block in blocks {
                match block {
                    Block::Figure(figure) => into.push(figure),
                    Block::Folded(_, blocks) => collect(blocks, into),
                    _ => {}
                }
            }
        }
        let mut figures = Vec::new();
        collect(&self.blocks, &mut figures);
        figures
    }
}

/// A table of texts.
pub fn table<const N: usize>(heads: [&str; N], rows: Vec<[String; N]>) -> Block {
    let rows = rows.into_iter().map(Vec::from).collect();
    Block::Table(heads.map(str::to_owned).to_vec(), rows)
}

/// The phases that have a colour of their own and, some of them, a symbol in the paper.
pub const PHASES: [(Phase, usize, &str); COLOURS] = [
    (Phase::TRIGGER, 6, ""),
    (Phase::HOLD, 3, ""),
    (Phase::LINK, 0, " (tL2)"),
    (Phase::MOVEMENT_DETECTION, 1, " (tMD)"),
    (Phase::ADDRESS, 2, " (tAC)"),
    (Phase::DAD, 4, " (DAD of tAC)"),
    (Phase::BINDING, 7, " (tBU)"),
    (Phase::RESUME, 5, ""),
];

/// The colour of a phase, and the paper's symbol if it has one. A phase that is not of [`PHASES`]
/// shares the colour of one that is, always the same.
pub fn phase_style(phase: &Phase) -> (usize, &'static str) {
    let known = PHASES.into_iter().find(|(known, ..)| known == phase);
    known.map_or_else(
        || {
            let sum: usize = phase.name().bytes().map(usize::from).sum();
            (sum % COLOURS, "")
        },
        |(_, colour, symbol)| (colour, symbol),
    )
}

/// The name of a phase in words.
pub fn phase_name(phase: &Phase) -> String {
    phase.name().replace('_', " ")
}

/// Seconds as milliseconds with three significant digits or more: `257 ms`, `12.2 ms`.
pub fn ms(seconds: f64) -> String {
    format!("{} ms", figures(seconds * 1e3))
}

/// A value with three significant digits or more, at most three of them decimals.
pub fn figures(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ => 3,
    };
    number(value, decimals)
}

/// The median, the mean of the middle two of an even number.
pub fn median(values: &[f64]) -> Option<f64> {
    measure::distribution::Percentiles::of(values).map(|q| q.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_a_colour_of_its_own() {
        let mut colours: Vec<usize> = PHASES.iter().map(|p| p.1).collect();
        colours.sort_unstable();
        assert_eq!(colours, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_phase_that_nobody_here_knows_has_a_name_and_a_colour() {
        let phase = Phase::named("home_registration");
        assert_eq!(phase_name(&phase), "home registration");
        let (colour, symbol) = phase_style(&phase);
        assert!(colour < COLOURS && symbol.is_empty());
        assert_eq!(phase_style(&Phase::LINK), (0, " (tL2)"));
    }

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!(
            [ms(0.257_275), ms(0.012_236), ms(0.000_013)],
            ["257 ms", "12.2 ms", "0.013 ms"]
        );
        assert_eq!(figures(6378.4), "6378");
    }
}
