//! A message sequence: lifelines from left to right, time from the top to the bottom.
//!
//! Time is not to scale: every message has a row, however many of them one millisecond has. A line leans as much as
//! other messages begin or end while its own is on its way.

use maud::{Markup, html};
use measure::sequence::{End, Fate, Message, Sequence};

use super::scale::number;
use super::values::{Extent, Table};
use super::{Drawing, Key, legend, place, shortened, symbol, width_of};
use crate::sequence::{hint, plain};

/// A sequence to be drawn.
#[derive(Clone, Debug)]
pub struct SequenceChart {
    /// What it shows.
    pub sequence: Sequence,
    /// Which of the colours each of its bands has.
    pub colours: Vec<usize>,
}

/// From the row of one message to the next.
const ROW: f64 = 18.0;
/// From one end of a message to whatever comes next.
const STEP: f64 = 5.0;
/// Room for a band beside the lifelines.
const LANE: f64 = 9.0;
/// How wide a name is written, at least.
const SHORTEST: usize = 3;

/// Where everything is.
struct Layout {
    width: f64,
    /// Where times end, and where bands begin.
    left: f64,
    lifelines: Vec<f64>,
    top: f64,
    bottom: f64,
    /// Instants, in seconds, and where they are, in the order of both.
    places: Vec<(f64, f64)>,
    /// The row of each message.
    rows: Vec<f64>,
    /// The place of each end of each message.
    ends: Vec<Vec<f64>>,
}

impl SequenceChart {
    /// The drawing at a width in pixels.
    pub fn draw(&self, width: f64) -> Drawing {
        let sequence = &self.sequence;
        let protocols = protocols(sequence);
        let names = protocols.iter().enumerate().skip(1);
        let names = names.map(|(at, label)| (Key::Line(colour(at)), plain(label)));
        let bands = sequence.bands.iter().zip(&self.colours);
        let mut keys: Vec<(Key, String)> = names.collect();
        for (band, colour) in bands {
            let key = (Key::Fill(*colour), plain(&band.name));
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let (legend, over) = legend(&keys, 4.0, width - 8.0);
        let layout = self.layout(width, over);
        let protocol = |m: &Message| {
            let label = m.protocol.as_ref().map_or("", |p| p.label());
            protocols
                .iter()
                .position(|p| p == label)
                .unwrap_or_default()
        };
        let all = || sequence.messages.iter().enumerate();
        let body = html! {
            (legend)
            (self.bands(&layout))
            (heads(sequence, &layout))
            @for (at, message) in all() { (lines(sequence, message, at, &layout, colour(protocol(message)))) }
            // Over the lines, which would strike through the words.
            @for (at, message) in all() { (words(sequence, message, at, &layout)) }
        };
        Drawing {
            width,
            height: layout.bottom + 8.0,
            body,
            axes: None,
        }
    }

    /// A row for each end of each message.
    pub fn table(&self, extent: Extent) -> Table {
        let name = |lifeline: usize| {
            let name = self.sequence.lifelines.get(lifeline);
            name.map_or_else(|| "?".into(), |name| plain(name))
        };
        let rows = self.sequence.messages.iter().flat_map(|message| {
            message.to.iter().map(move |end| {
                let (received, fate) = match end.fate {
                    Fate::Received(at) => (extent.number(at), "received"),
                    Fate::Lost(_) => (String::new(), "lost"),
                    Fate::Unknown => (String::new(), "not captured there"),
                };
                [
                    message
                        .sent_s
                        .map_or_else(String::new, |at| extent.number(at)),
                    name(message.from),
                    name(end.lifeline),
                    received,
                    fate.to_owned(),
                    message
                        .protocol
                        .as_ref()
                        .map_or("", |p| p.label())
                        .to_owned(),
                    plain(&message.label),
                ]
            })
        });
        let heads = [
            "sent (s)",
            "from",
            "to",
            "received (s)",
            "fate",
            "protocol",
            "message",
        ];
        Table::new(heads, rows.collect())
    }

    fn layout(&self, width: f64, over: f64) -> Layout {
        let sequence = &self.sequence;
        let time = |m: &Message| width_of(&ms(m.first_s(), sequence));
        let times = sequence
            .messages
            .iter()
            .map(time)
            .fold(width_of("0.00"), f64::max);
        let left = times + 6.0 + LANE * lanes(sequence) as f64 + 4.0;
        let count = sequence.lifelines.len().max(1) as f64;
        let each = (width - left - 8.0) / count;
        let lifelines = (0..sequence.lifelines.len()).map(|i| left + each * (i as f64 + 0.5));
        let top = over + 30.0;
        let mut layout = Layout {
            width,
            left: times + 6.0,
            lifelines: lifelines.collect(),
            top,
            bottom: top,
            places: Vec::new(),
            rows: vec![top; sequence.messages.len()],
            ends: Vec::new(),
        };
        layout.place(sequence);
        layout
    }

    /// Spans beside the lifelines, each with a line where it begins.
    fn bands(&self, layout: &Layout) -> Markup {
        let right = layout.width - 8.0;
        let lanes = in_lanes(&self.sequence);
        let all = self.sequence.bands.iter().zip(&self.colours).zip(lanes);
        html! {
            @for ((band, colour), lane) in all {
                @let (from, to) = (layout.at(band.from_s), layout.at(band.to_s));
                @let (x, y) = (layout.left + LANE * lane as f64, from.min(to));
                @let size = (to - from).max(2.0);
                g {
                    title { (plain(&band.name)) " " (ms(band.from_s, &self.sequence)) " to " (ms(band.to_s, &self.sequence)) " ms" }
                    rect class={ "f" (colour) } x=(place(x)) y=(place(y)) width="6" height=(place(size)) {}
                    rect class={ "tint f" (colour) } x=(place(x)) y=(place(y)) width=(place(right - x)) height=(place(size)) {}
                }
            }
        }
    }
}

impl Layout {
    /// Whether a pointer may rest on it: not on a telephone.
    fn has_hints(&self) -> bool {
        self.width >= 500.0
    }

    /// Gives every instant its place: those of messages that begin have a row.
    fn place(&mut self, sequence: &Sequence) {
        // Of a message its beginning, and each of its ends.
        let mut instants: Vec<(f64, usize, Option<usize>)> = Vec::new();
        for (at, message) in sequence.messages.iter().enumerate() {
            instants.push((message.first_s(), at, None));
            for (end, to) in message.to.iter().enumerate() {
                instants.push((end_s(message, to), at, Some(end)));
            }
        }
        // A message ends behind its beginning, even if both are at one instant.
        instants.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        let ends = |m: &Message| vec![0.0; m.to.len()];
        self.ends = sequence.messages.iter().map(ends).collect();
        let (mut y, mut row) = (self.top, self.top - ROW + 18.0);
        for (time, at, end) in instants {
            match end {
                None => {
                    y = (y + STEP).max(row + ROW);
                    row = y;
                    self.rows[at] = y;
                }
                Some(end) => {
                    y += STEP;
                    self.ends[at][end] = y;
                }
            }
            self.places.push((time, y));
        }
        self.bottom = y + 10.0;
    }

    /// Where an instant is: between the nearest ones that have a place.
    fn at(&self, time: f64) -> f64 {
        let next = self.places.partition_point(|(t, _)| *t < time);
        let after = self.places.get(next).copied();
        let before = next
            .checked_sub(1)
            .and_then(|at| self.places.get(at))
            .copied();
        match (before, after) {
            (Some((t0, y0)), Some((t1, y1))) if t1 > t0 => y0 + (y1 - y0) * (time - t0) / (t1 - t0),
            (None, Some((t1, y1))) if time < t1 => y1.min(self.top),
            (None, Some((_, y))) | (Some((_, y)), Some(_)) => y,
            (Some(_), None) => self.bottom,
            (None, None) => self.top,
        }
    }

    fn x(&self, lifeline: usize) -> f64 {
        self.lifelines.get(lifeline).copied().unwrap_or(self.left)
    }
}

/// When the line of a message ends.
fn end_s(message: &Message, end: &End) -> f64 {
    match end.fate {
        Fate::Received(at) | Fate::Lost(Some((_, at))) => at,
        Fate::Lost(None) | Fate::Unknown => message.first_s(),
    }
}

/// The protocols of the messages in their order; the first is none.
fn protocols(sequence: &Sequence) -> Vec<String> {
    let mut all = vec![String::new()];
    for protocol in sequence.messages.iter().filter_map(|m| m.protocol.as_ref()) {
        if !all.iter().any(|known| known == protocol.label()) {
            all.push(protocol.label().to_owned());
        }
    }
    all
}

fn colour(protocol: usize) -> usize {
    protocol % super::COLOURS
}

/// Milliseconds since the beginning of the sequence.
fn ms(seconds: f64, sequence: &Sequence) -> String {
    number((seconds - sequence.start_s) * 1e3, 2)
}

/// Which lane each band has: the first in which nothing else is then.
fn in_lanes(sequence: &Sequence) -> Vec<usize> {
    let mut ends: Vec<f64> = Vec::new();
    let lane = |band: &measure::sequence::Band| {
        let free = ends.iter().position(|end| *end <= band.from_s);
        let lane = free.unwrap_or(ends.len());
        match ends.get_mut(lane) {
            Some(end) => *end = band.to_s,
            None => ends.push(band.to_s),
        }
        lane
    };
    sequence.bands.iter().map(lane).collect()
}

fn lanes(sequence: &Sequence) -> usize {
    in_lanes(sequence)
        .into_iter()
        .max()
        .map_or(0, |lane| lane + 1)
}

/// Names and lifelines.
fn heads(sequence: &Sequence, layout: &Layout) -> Markup {
    let each = layout.lifelines.get(1).zip(layout.lifelines.first());
    let each = each.map_or(layout.width, |(second, first)| second - first);
    // Of narrow ones every other name is a row higher.
    let longest = sequence
        .lifelines
        .iter()
        .map(|n| width_of(n))
        .fold(0.0, f64::max);
    let rows = if longest + 6.0 > each { 2 } else { 1 };
    let room = (each * f64::from(rows) / width_of("n")).max(SHORTEST as f64) as usize;
    html! {
        @for (at, name) in sequence.lifelines.iter().enumerate() {
            @let x = layout.x(at);
            @let y = layout.top - 8.0 - if rows == 2 && at % 2 == 0 { 13.0 } else { 0.0 };
            path.axis d={ "M" (place(x)) " " (place(layout.top - 4.0)) "V" (place(layout.bottom)) } {}
            text.strong.halo x=(place(x)) y=(place(y)) text-anchor="middle" { title { (plain(name)) } (shortened(&plain(name), room)) }
        }
    }
}

/// The lines of a message, one to each of its ends.
fn lines(
    sequence: &Sequence,
    message: &Message,
    at: usize,
    layout: &Layout,
    colour: usize,
) -> Markup {
    let (x, y) = (layout.x(message.from), layout.rows[at]);
    html! {
        g {
            @if layout.has_hints() { title { (hint(sequence, message)) } }
            @for (to, end_y) in message.to.iter().zip(&layout.ends[at]) {
                (line((x, y), (layout.x(to.lifeline), *end_y), to, layout, colour))
            }
        }
    }
}

fn line(from: (f64, f64), to: (f64, f64), end: &End, layout: &Layout, colour: usize) -> Markup {
    let path = |to: (f64, f64)| {
        let ((x0, y0), (x1, y1)) = (from, to);
        format!("M{} {}L{} {}", place(x0), place(y0), place(x1), place(y1))
    };
    match end.fate {
        Fate::Received(_) => html! {
            path class={ "r" (colour) } d=(path(to)) {}
            (head(from, to, colour))
        },
        Fate::Unknown => html! {
            path class={ "dashed r" (colour) } d=(path(to)) {}
            (head(from, to, colour))
        },
        Fate::Lost(seen) => {
            // Half of what was left of its way.
            let from_x = seen.map_or(from.0, |(lifeline, _)| layout.x(lifeline));
            let cross = ((from_x + to.0) / 2.0, to.1);
            html! {
                path class={ "r" (colour) } d=(path(cross)) {}
                (symbol(Key::Cross, cross.0, cross.1))
            }
        }
    }
}

/// The head of an arrow.
fn head((x0, y0): (f64, f64), (x1, y1): (f64, f64), colour: usize) -> Markup {
    let length = (x1 - x0).hypot(y1 - y0).max(1.0);
    let (dx, dy) = ((x1 - x0) / length, (y1 - y0) / length);
    let back = (x1 - 8.0 * dx, y1 - 8.0 * dy);
    let point = |side: f64| {
        let (x, y) = (back.0 - side * dy, back.1 + side * dx);
        format!("{} {}", place(x), place(y))
    };
    let path = format!(
        "M{} {}L{}L{}z",
        place(x1),
        place(y1),
        point(3.5),
        point(-3.5)
    );
    html! { path class={ "f" (colour) } d=(path) {} }
}

/// When it was sent, and what it is: at its sender, if there is room over its line or behind it; else where there is
/// more.
fn words(sequence: &Sequence, message: &Message, at: usize, layout: &Layout) -> Markup {
    let y = layout.rows[at] - 3.0;
    let from = layout.x(message.from);
    let to = message.to.iter().map(|end| layout.x(end.lifeline));
    let (least, most) = to.fold((from, from), |(a, b), x| (a.min(x), b.max(x)));
    let text = plain(&message.label);
    let right = |x: f64| (x + 7.0, "start", layout.width - 11.0 - x);
    let left = |x: f64| (x - 7.0, "end", x - 7.0 - layout.left);
    let own = if most > from { right(from) } else { left(from) };
    let room = |(.., room): &(f64, &str, f64)| *room;
    let others = [right(least), left(most)].into_iter();
    let widest = others.max_by(|a, b| room(a).total_cmp(&room(b)));
    let widest = widest.filter(|_| room(&own) < width_of(&text));
    let (x, anchor, room) = widest.unwrap_or(own);
    let most = (room / width_of("n")).max(SHORTEST as f64) as usize;
    html! {
        text.soft x=(place(layout.left - 6.0)) y=(place(y + 4.0)) text-anchor="end" { (ms(message.first_s(), sequence)) }
        text.halo x=(place(x)) y=(place(y)) text-anchor=(anchor) {
            @if layout.has_hints() { title { (hint(sequence, message)) } }
            (shortened(&text, most))
        }
    }
}

#[cfg(test)]
mod tests;
