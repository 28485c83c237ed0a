//! Where frames come from, and which of them one capture point saw.

use std::collections::HashMap;
use std::ops::ControlFlow;

use capture::{Capture, Interface, LinkType, Packet};
use units::SimTime;

use super::steps::{Stepped, Steps};

/// Frames in the order in which they were captured, as often as they are asked for.
///
/// A capture in memory is one. A file that is read anew each time needs no memory for its frames.
pub trait Source {
    /// Its name, for messages.
    fn name(&self) -> &str;

    /// Gives each frame to `each`, with the interfaces that are known by then, until that breaks.
    fn frames(&self, each: &mut dyn FnMut(&[Interface], &Packet) -> ControlFlow<()>);
}

impl Source for Capture {
    fn name(&self) -> &str {
        &self.name
    }

    fn frames(&self, each: &mut dyn FnMut(&[Interface], &Packet) -> ControlFlow<()>) {
        for packet in &self.packets {
            if each(&self.interfaces, packet).is_break() {
                return;
            }
        }
    }
}

/// The frames of one interface in one source, which have one clock.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) source: usize,
    interface: usize,
    name: String,
    link_type: LinkType,
    first: SimTime,
    last: SimTime,
    /// The same by the stamps.
    stamps: (SimTime, SimTime),
    steps: Steps,
}

/// Which interfaces of which sources are one capture point.
///
/// A capture that goes on in the next file, in another section of the file, or after its interface
/// was described again, is one: the same name and the same link type, and the one begins when the
/// other is over. Two that record at the same time are two.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// By source and interface, the stream and the piece.
    of: Vec<Vec<Option<(usize, usize)>>>,
    pub(super) all: Vec<Stream>,
    /// In the order of their first frames.
    pub(super) pieces: Vec<Piece>,
    /// The sources in the order of their first frames.
    pub(super) order: Vec<usize>,
    /// All frames.
    pub(super) frames: u64,
}

impl Piece {
    /// A frame with this stamp, and its number in the source.
    fn see(&mut self, stamp: SimTime, frame: u64) {
        let time = self.steps.time(stamp, frame);
        (self.first, self.last) = (self.first.min(time), self.last.max(time));
        let (first, last) = self.stamps;
        self.stamps = (first.min(stamp), last.max(stamp));
    }
}

/// What one capture point recorded.
#[derive(Debug)]
pub(super) struct Stream {
    name: String,
    link_type: LinkType,
    last: SimTime,
    /// By piece, from when to when.
    pub(super) recorded: Vec<(usize, SimTime, SimTime)>,
}

impl Stream {
    /// Whether it is of a radio's sniffer, which may miss a frame that others hear.
    pub(super) fn may_miss(&self) -> bool {
        matches!(
            self.link_type,
            LinkType::IEEE802_15_4
                | LinkType::IEEE802_15_4_NOFCS
                | LinkType::IEEE802_15_4_NONASK_PHY
                | LinkType::IEEE802_15_4_TAP
        )
    }
}

impl Streams {
    /// Looks through all of `sources`.
    pub(super) fn of(sources: &[&dyn Source]) -> Streams {
        let mut streams = Streams::default();
        let mut pieces = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            let mut of_source: Vec<Option<Piece>> = Vec::new();
            let mut frame = 0;
            source.frames(&mut |interfaces, packet| {
                frame += 1;
                if of_source.len() <= packet.interface {
                    of_source.resize(packet.interface + 1, None);
                }
                let piece = of_source[packet.interface].get_or_insert_with(|| Piece {
                    source: index,
                    interface: packet.interface,
                    name: interfaces[packet.interface].name.clone(),
                    link_type: interfaces[packet.interface].link_type,
                    first: packet.time,
                    last: packet.time,
                    stamps: (packet.time, packet.time),
                    steps: Steps::default(),
                });
                piece.see(packet.time, frame);
                ControlFlow::Continue(())
            });
            streams.frames += frame;
            streams.of.push(vec![None; of_source.len()]);
            pieces.extend(of_source.into_iter().flatten());
        }
        for piece in pieces.iter_mut().filter(|piece| !piece.steps.are_set()) {
            (piece.first, piece.last) = piece.stamps;
        }
        pieces.sort_by_key(|piece| (piece.first, piece.source, piece.interface));
        for (at, piece) in pieces.iter().enumerate() {
            streams.add(at, piece);
        }
        streams.pieces = pieces;
        streams
    }

    fn add(&mut self, at: usize, piece: &Piece) {
        if !self.order.contains(&piece.source) {
            self.order.push(piece.source);
        }
        let goes_on = |stream: &&(usize, &Stream)| {
            let Piece { name, first, .. } = piece;
            stream.1.link_type == piece.link_type
                && stream.1.name == *name
                && stream.1.last < *first
        };
        let all = self.all.iter().enumerate();
        let before = all.filter(|stream| goes_on(&stream));
        let before = before
            .max_by_key(|(_, stream)| stream.last)
            .map(|(at, _)| at);
        let stream = before.unwrap_or(self.all.len());
        if stream == self.all.len() {
            self.all.push(Stream {
                name: piece.name.clone(),
                link_type: piece.link_type,
                last: piece.last,
                recorded: Vec::new(),
            });
        }
        self.all[stream].last = piece.last;
        self.all[stream]
            .recorded
            .push((at, piece.first, piece.last));
        self.of[piece.source][piece.interface] = Some((stream, at));
    }

    /// The one that an interface of a source is, or a part of, and which part.
    pub(super) fn find(&self, source: usize, interface: usize) -> Option<(usize, usize)> {
        *self.of.get(source)?.get(interface)?
    }

    /// Fresh clocks of those pieces whose stamps are not their times.
    pub(super) fn steps(&self) -> HashMap<usize, Steps> {
        let pieces = self.pieces.iter().enumerate();
        let stepped = pieces.filter(|(_, piece)| piece.steps.are_set());
        stepped.map(|(at, _)| (at, Steps::default())).collect()
    }

    /// The clocks that stepped back.
    pub(super) fn stepped(&self, sources: &[&dyn Source]) -> Vec<Stepped> {
        let pieces = self.pieces.iter().enumerate();
        let told = pieces.filter_map(|(at, piece)| piece.steps.told(self.called(at, sources)));
        told.collect()
    }

    /// What a piece is called: the source, and which interface of several.
    pub(super) fn called(&self, at: usize, sources: &[&dyn Source]) -> String {
        let piece = &self.pieces[at];
        let of_source = self.pieces.iter().filter(|p| p.source == piece.source);
        let source = sources[piece.source].name();
        match (of_source.count(), piece.name.as_str()) {
            (1, _) => source.to_owned(),
            (_, "") => format!("{source} (interface {})", piece.interface),
            (_, name) => format!("{source} (interface {}, {name})", piece.interface),
        }
    }

    /// Makes streams of a piece's own of those that others are a part of, too; gives each and its own
    /// one.
    pub(super) fn set_apart(&mut self, piece: usize) -> Vec<(usize, usize)> {
        let mut apart = Vec::new();
        for at in 0..self.all.len() {
            let of_piece = |(of, ..): &(usize, SimTime, SimTime)| *of == piece;
            let stream = &mut self.all[at];
            let (own, others) = stream
                .recorded
                .iter()
                .partition(|recorded| of_piece(recorded));
            let (own, others): (Vec<_>, Vec<_>) = (own, others);
            if own.is_empty() || others.is_empty() {
                continue;
            }
            stream.recorded = others;
            let new = Stream {
                name: stream.name.clone(),
                link_type: stream.link_type,
                last: stream.last,
                recorded: own,
            };
            apart.push((at, self.all.len()));
            self.all.push(new);
        }
        apart
    }

    /// Sets the clock of a piece.
    pub(super) fn shift(&mut self, piece: usize, to: impl Fn(SimTime) -> SimTime) {
        let recorded = self.all.iter_mut().flat_map(|stream| &mut stream.recorded);
        for (_, first, last) in recorded.filter(|(of, ..)| *of == piece) {
            (*first, *last) = (to(*first), to(*last));
        }
    }

    /// When the first frame was captured.
    pub(super) fn start(&self) -> Option<SimTime> {
        let recorded = self.all.iter().flat_map(|stream| &stream.recorded);
        recorded.map(|(_, first, _)| *first).min()
    }
}
