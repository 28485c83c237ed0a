//! Where frames come from, and which of them one capture point saw.

use std::ops::ControlFlow;

use capture::{Capture, Interface, LinkType, Packet};
use units::SimTime;

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

/// The frames of one interface in one source.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    source: usize,
    interface: usize,
    name: String,
    link_type: LinkType,
    first: SimTime,
    last: SimTime,
}

/// Which interfaces of which sources are one capture point.
///
/// A capture that goes on in the next file, in another section of the file, or after its interface
/// was described again, is one: the same name and the same link type, and the one begins when the
/// other is over. Two that record at the same time are two.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// By source and interface.
    of: Vec<Vec<Option<usize>>>,
    pub(super) all: Vec<Stream>,
    /// The sources in the order of their first frames.
    pub(super) order: Vec<usize>,
    /// All frames.
    pub(super) frames: u64,
}

/// What one capture point recorded.
#[derive(Debug)]
pub(super) struct Stream {
    name: String,
    link_type: LinkType,
    last: SimTime,
    /// By source, from when to when.
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
            source.frames(&mut |interfaces, packet| {
                streams.frames += 1;
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
                });
                piece.first = piece.first.min(packet.time);
                piece.last = piece.last.max(packet.time);
                ControlFlow::Continue(())
            });
            streams.of.push(vec![None; of_source.len()]);
            pieces.extend(of_source.into_iter().flatten());
        }
        pieces.sort_by_key(|piece| (piece.first, piece.source, piece.interface));
        for piece in pieces {
            streams.add(piece);
        }
        streams
    }

    fn add(&mut self, piece: Piece) {
        if !self.order.contains(&piece.source) {
            self.order.push(piece.source);
        }
        let goes_on = |stream: &&(usize, &Stream)| {
            let Piece { name, first, .. } = &piece;
            stream.1.link_type == piece.link_type
                && stream.1.name == *name
                && stream.1.last < *first
        };
        let all = self.all.iter().enumerate();
        let before = all.filter(|stream| goes_on(&stream));
        let before = before
            .max_by_key(|(_, stream)| stream.last)
            .map(|(at, _)| at);
        let at = before.unwrap_or(self.all.len());
        if at == self.all.len() {
            self.all.push(Stream {
                name: piece.name,
                link_type: piece.link_type,
                last: piece.last,
                recorded: Vec::new(),
            });
        }
        let stream = &mut self.all[at];
        stream.last = piece.last;
        let recorded = (piece.source, piece.first, piece.last);
        stream.recorded.push(recorded);
        self.of[piece.source][piece.interface] = Some(at);
    }

    /// The one that an interface of a source is, or a part of.
    pub(super) fn find(&self, source: usize, interface: usize) -> Option<usize> {
        *self.of.get(source)?.get(interface)?
    }

    /// Makes streams of a source's own of its parts of those that others are a part of, too; gives
    /// each and its own one.
    pub(super) fn set_apart(&mut self, source: usize) -> Vec<(usize, usize)> {
        let mut apart = Vec::new();
        for at in 0..self.all.len() {
            let of_source = |(of, ..): &(usize, SimTime, SimTime)| *of == source;
            let stream = &mut self.all[at];
            let (own, others) = stream.recorded.iter().partition(|piece| of_source(piece));
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

    /// Sets the clock of a source.
    pub(super) fn shift(&mut self, source: usize, to: impl Fn(SimTime) -> SimTime) {
        let recorded = self.all.iter_mut().flat_map(|stream| &mut stream.recorded);
        for (_, first, last) in recorded.filter(|(of, ..)| *of == source) {
            (*first, *last) = (to(*first), to(*last));
        }
    }

    /// When the first frame was captured.
    pub(super) fn start(&self) -> Option<SimTime> {
        let recorded = self.all.iter().flat_map(|stream| &stream.recorded);
        recorded.map(|(_, first, _)| *first).min()
    }
}
