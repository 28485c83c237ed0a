//! Frames to CoAP messages.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::ControlFlow;

use capture::decode::{Decoder, Frame, IpPacket};
use capture::sightings::{Sighting, Sightings};
use capture::{Interface, Packet};
use coap::wire::Message;
use units::SimTime;

use super::binding::Bindings;
use super::clients::Message as Passing;
use super::clocks;
use super::hop::Hop;
use super::message::{Brief, Rare, Resources, decode, is_reserved};
use super::passing::{Endpoints, Live, Survey};
use super::ports::Ports;
use super::source::{Source, Streams};
use super::steps::Steps;
use super::{Options, Other};
use crate::dissect::{Dissectors, Protocol};

/// Where something was seen: stream, and interface index of SLL2.
pub(super) type Point = (usize, Option<u32>);

impl Options {
    /// Whether one of these ports is CoAP's.
    fn is_coap(&self, ports: [u16; 2]) -> bool {
        ports.iter().any(|port| self.ports.contains(port))
    }

    /// Whether what goes from `src` to `dst` is CoAP that is to be looked at.
    fn concerns(&self, src: SocketAddr, dst: SocketAddr) -> bool {
        let ends = [src, dst];
        self.is_coap(ends.map(|end| end.port()))
            && (self.host.is_empty() || ends.iter().any(|end| self.host.contains(&end.ip())))
    }

    /// Where a packet was seen.
    fn point(&self, stream: usize, packet: &IpPacket<'_>) -> Point {
        match self.host.is_empty() {
            true => (stream, packet.interface_index),
            false => (0, None),
        }
    }
}

/// Values that many messages have, each once in memory.
#[derive(Debug)]
pub(super) struct Table<T> {
    all: Vec<T>,
    places: BTreeMap<T, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table {
            all: Vec::new(),
            places: BTreeMap::new(),
        }
    }
}

impl<T: Ord + Clone> Table<T> {
    fn place(&mut self, value: T) -> u32 {
        if let Some(place) = self.places.get(&value) {
            return *place;
        }
        // There are no more values than messages, of which no memory holds as many.
        let place = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(value.clone());
        self.places.insert(value, place);
        place
    }

    fn get(&self, place: u32) -> &T {
        &self.all[place as usize]
    }

    pub(super) fn all(&self) -> &[T] {
        &self.all
    }
}

/// A CoAP message as it was seen at one point, once however often the packet was seen there.
pub(super) struct Observed {
    /// When its first fragment was seen, on its first hop.
    pub(super) first: SimTime,
    /// When all of it had been seen; of a response on its last hop, which is its receiver's.
    pub(super) complete: SimTime,
    pub(super) brief: Brief,
    /// Source and destination, point, hop and protocol by their places in the tables of [`Traffic`].
    pub(super) way: u32,
    pub(super) point: u32,
    hop: Option<Rare>,
    protocol: Option<Rare>,
    /// Which packet it is, of those that several points saw.
    pub(super) packet: u32,
    /// The piece of a source that has it.
    pub(super) piece: u32,
    pub(super) outgoing: Option<bool>,
    /// How far on its way it was, where it was seen first.
    pub(super) hop_limit: u8,
    /// Whether the capture does not say that nobody received it.
    pub(super) arrived: bool,
    /// Whether that is only concluded ([`Decoder::concludes`]).
    pub(super) concluded: bool,
    /// Whether the same was there just before.
    pub(super) twin: bool,
}

impl Observed {
    pub(super) fn is_request(&self) -> bool {
        self.brief.code.is_request()
    }

    /// The same message was seen again, as `packet`. Gives whether that is a copy; it is none if
    /// what was lost over the air came through now. One that arrived and was lost then was lost on
    /// a hop farther on its way.
    fn seen_again(&mut self, packet: &IpPacket<'_>) -> bool {
        let arrives = packet.received && !self.arrived;
        if !self.is_request() && packet.received {
            self.complete = packet.time;
        }
        self.arrived = packet.received;
        !arrives
    }
}

/// All CoAP messages of captures, in time order.
#[derive(Default)]
pub(super) struct Traffic {
    pub(super) messages: Vec<Observed>,
    /// Source and destination.
    pub(super) ways: Table<(SocketAddr, SocketAddr)>,
    pub(super) points: Table<Point>,
    hops: Table<Hop>,
    protocols: Table<Protocol>,
    resources: Resources,
    pub(super) streams: Streams,
}

impl Traffic {
    pub(super) fn src(&self, o: &Observed) -> SocketAddr {
        self.ways.get(o.way).0
    }

    pub(super) fn dst(&self, o: &Observed) -> SocketAddr {
        self.ways.get(o.way).1
    }

    /// Makes capture points of a piece's own of what seemed to be a part of others: its clock is
    /// another one.
    pub(super) fn set_apart(&mut self, piece: usize) {
        for (stream, own) in self.streams.set_apart(piece) {
            for o in self
                .messages
                .iter_mut()
                .filter(|o| o.piece as usize == piece)
            {
                let (of, interface) = self.points.all[o.point as usize];
                if of == stream {
                    o.point = self.points.place((own, interface));
                }
            }
        }
    }

    /// `o`, of which a point has seen most of what `brief` has.
    pub(super) fn message<'t>(&'t self, o: &Observed, brief: &'t Brief) -> Passing<'t> {
        Passing {
            first: o.first,
            complete: o.complete,
            src: self.src(o),
            dst: self.dst(o),
            brief,
            resource: brief.resource.map(|place| self.resources.get(place)),
            protocol: o.protocol.map(|place| &self.protocols.all[place.at()]),
            hop: o.hop.map(|place| self.hops.all[place.at()]),
        }
    }
}

/// What captures have.
pub(super) struct Seen {
    /// Without messages, if there are too many to be kept.
    pub(super) traffic: Traffic,
    /// What any message tells of.
    pub(super) bindings: Bindings,
    /// Who asks, if messages are not kept: they are to be read once more, by [`pass`].
    pub(super) passing: Option<Endpoints>,
}

/// All CoAP messages of `sources`, in time order, and the bindings that any message tells of.
pub(super) fn observe(sources: &[&dyn Source], options: &Options, other: &mut Other) -> Seen {
    let mut reading = Reading::new(options, Streams::of(sources));
    // Of several the clocks are compared, message by message.
    if sources.len() == 1 {
        reading.most_kept = options.most_kept;
    }
    reading.read(sources);
    let hindsight = reading.again();
    if hindsight.is_some() || (reading.dropped && !reading.survey.is_steady()) {
        reading = Reading::new(options, reading.traffic.streams);
        if let Some(decoders) = hindsight {
            reading.decoders = decoders;
        }
        reading.read(sources);
    }
    reading.add_to(other);
    other.stepped = reading.traffic.streams.stepped(sources);
    match reading.dropped {
        true => reading.passing(other),
        false => reading.kept(sources, other),
    }
}

/// Gives the messages of `sources`, which were read once and not kept, to `live`.
pub(super) fn pass<'o>(
    sources: &[&dyn Source],
    options: &'o Options,
    streams: Streams,
    live: Live<'o>,
) -> Option<Live<'o>> {
    let mut reading = Reading::new(options, streams);
    reading.live = Some(live);
    reading.read(sources);
    reading.live
}

/// The bindings of all sources.
fn all(told: Vec<Bindings>, other: &mut Other) -> Bindings {
    let mut bindings = Bindings::default();
    told.into_iter()
        .for_each(|of_source| bindings.add(of_source));
    other.bindings_left_out = bindings.left_out();
    bindings
}

/// Takes mirrored copies out; returns how many. A twin is a copy where most of the messages that
/// went the same way have one: of what is sent again few have.
fn leave_out_mirrored(traffic: &mut Traffic) -> u64 {
    let addresses = traffic.ways.all.clone();
    let way = |o: &Observed| {
        let (src, dst) = addresses[o.way as usize];
        (o.point, o.outgoing, src.ip(), dst.ip())
    };
    let mut ways: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for o in &traffic.messages {
        let (messages, twins) = ways.entry(way(o)).or_default();
        *messages += usize::from(!o.twin);
        *twins += usize::from(o.twin);
    }
    let is_mirrored = |o: &Observed| ways.get(&way(o)).is_some_and(|(m, twins)| twins * 2 > *m);
    let all = traffic.messages.len();
    traffic.messages.retain(|o| !o.twin || !is_mirrored(o));
    (all - traffic.messages.len()) as u64
}

/// The reading of captures.
struct Reading<'o> {
    options: &'o Options,
    /// Of each stream.
    decoders: Vec<Decoder>,
    dissectors: Vec<Dissectors>,
    sightings: Vec<Sightings>,
    /// Of each piece of a source.
    bindings: Vec<Bindings>,
    /// Of those pieces whose clock steps back.
    steps: HashMap<usize, Steps>,
    traffic: Traffic,
    /// How many messages were read.
    messages: usize,
    /// As many are kept at most, if the rest can be read once more.
    most_kept: usize,
    survey: Survey,
    /// Whether some were not kept.
    dropped: bool,
    /// Who takes the messages in place of `traffic`.
    live: Option<Live<'o>>,
    /// Of the messages, how many are [`Observed::twin`]s.
    twins: usize,
    found: Other,
    ports: Ports,
}

impl<'o> Reading<'o> {
    fn new(options: &'o Options, streams: Streams) -> Reading<'o> {
        let all = || streams.all.iter();
        Reading {
            options,
            dissectors: all()
                .map(|_| Dissectors::new(&options.dissectors))
                .collect(),
            sightings: all().map(|_| Sightings::default()).collect(),
            bindings: Vec::new(),
            steps: HashMap::new(),
            decoders: all()
                .map(|_| Decoder::new(options.decode.clone()))
                .collect(),
            messages: 0,
            most_kept: usize::MAX,
            survey: Survey::default(),
            dropped: false,
            live: None,
            traffic: Traffic {
                streams,
                ..Traffic::default()
            },
            twins: 0,
            found: Other::default(),
            ports: Ports::default(),
        }
    }

    fn read(&mut self, sources: &[&dyn Source]) {
        let pieces = self.traffic.streams.pieces.iter();
        self.bindings = pieces.map(|_| Bindings::default()).collect();
        self.steps = self.traffic.streams.steps();
        for source in self.traffic.streams.order.clone() {
            let mut number = 0;
            sources[source].frames(&mut |interfaces, packet| {
                number += 1;
                self.frame(source, number, interfaces, packet);
                ControlFlow::Continue(())
            });
        }
    }

    fn frame(&mut self, source: usize, number: u64, interfaces: &[Interface], packet: &Packet) {
        let Some((stream, piece)) = self.traffic.streams.find(source, packet.interface) else {
            return; // It was written since its source was looked through.
        };
        let stepped = self.steps.get_mut(&piece).map(|steps| Packet {
            time: steps.time(packet.time, number),
            ..packet.clone()
        });
        let packet = stepped.as_ref().unwrap_or(packet);
        let frame = Frame::of(&interfaces[packet.interface], packet);
        if let Some(packet) = self.decoders[stream].read(frame) {
            self.found.packets += 1;
            self.packet(piece, stream, &packet);
        }
    }

    /// Whose message a packet is, if a dissector knows; none if it is an application's, which is a request
    /// like any other.
    fn dissect(
        &mut self,
        piece: usize,
        stream: usize,
        packet: &IpPacket<'_>,
        coap: Option<&Message>,
    ) -> Option<Protocol> {
        let meaning = self.dissectors[stream].read(packet, coap)?;
        self.bindings[piece].learn(packet, &meaning);
        Some(meaning.protocol).filter(|protocol| !protocol.is_application())
    }

    fn packet(&mut self, piece: usize, stream: usize, packet: &IpPacket<'_>) {
        let datagram = packet.udp();
        // They are told only where there is no CoAP.
        if let Some(other) = datagram.filter(|_| self.messages == 0) {
            let ports = [other.src, other.dst].map(|end| end.port());
            if !self.options.is_coap(ports) {
                self.ports.see(ports, other.payload);
            }
        }
        let datagram = datagram.filter(|d| self.options.concerns(d.src, d.dst));
        let Some(datagram) = datagram else {
            self.dissect(piece, stream, packet, None);
            return;
        };
        let (src, dst) = (datagram.src, datagram.dst);
        let (message, cut) = match decode(datagram.payload, datagram.truncated) {
            Ok(read) => read,
            Err(error) => {
                self.found.undecodable += 1;
                let cut = if datagram.truncated {
                    ", cut by the capture"
                } else {
                    ""
                };
                self.found.first_undecodable.get_or_insert_with(|| {
                    format!("{src} to {dst} at {}{cut}: {error}", packet.time)
                });
                return;
            }
        };
        if is_reserved(&message) {
            self.found.reserved += 1;
            return;
        }
        let protocol = self.dissect(piece, stream, packet, Some(&message));
        let sighting = self.sightings[stream].see(packet, self.messages);
        if let Sighting::Again(known) = sighting {
            self.survey.is_seen_again();
            // Of those that were not kept all are read anew.
            if let Some(known) = self.traffic.messages.get_mut(known) {
                let copy = known.seen_again(packet);
                self.found.copies += u64::from(copy);
            }
            return;
        }
        let twin = matches!(sighting, Sighting::Twin(_));
        self.twins += usize::from(twin);
        let traffic = &mut self.traffic;
        let hop = packet.link.map(|link| Hop {
            link,
            hop_limit: packet.header.hop_limit,
        });
        let observed = Observed {
            first: packet.began,
            complete: packet.time,
            brief: Brief::of(&message, cut, datagram.payload, dst, &mut traffic.resources),
            way: traffic.ways.place((src, dst)),
            point: traffic.points.place(self.options.point(stream, packet)),
            hop: hop.map(|hop| Rare::new(traffic.hops.place(hop) as usize)),
            protocol: protocol.map(|p| Rare::new(traffic.protocols.place(p) as usize)),
            packet: 0,
            piece: u32::try_from(piece).unwrap_or(u32::MAX),
            outgoing: packet.outgoing,
            hop_limit: packet.header.hop_limit,
            arrived: packet.received,
            concluded: self.decoders[stream].concludes(),
            twin,
        };
        self.take(observed);
    }

    fn take(&mut self, observed: Observed) {
        self.messages += 1;
        if let Some(live) = &mut self.live {
            return live.take(&self.traffic, &observed);
        }
        if self.most_kept < usize::MAX {
            self.survey.see(&self.traffic, &observed);
        }
        self.traffic.messages.push(observed);
        let may_drop = self.dropped || self.survey.is_steady();
        if self.traffic.messages.len() > self.most_kept && may_drop {
            self.traffic.messages.clear();
            self.dropped = true;
        }
    }

    /// Decoders that would read more, if there are any: header compression contexts may be told
    /// after they were used first.
    fn again(&self) -> Option<Vec<Decoder>> {
        let again: Vec<Option<Decoder>> = self.decoders.iter().map(Decoder::again).collect();
        let any = again.iter().any(Option::is_some);
        let new = || Decoder::new(self.options.decode.clone());
        any.then(|| again.into_iter().map(|d| d.unwrap_or_else(new)).collect())
    }

    /// What is seen of messages that are to be read once more.
    fn passing(self, other: &mut Other) -> Seen {
        let mut traffic = self.traffic;
        traffic.messages = Vec::new();
        Seen {
            traffic,
            bindings: all(self.bindings, other),
            passing: Some(self.survey.end(other)),
        }
    }

    /// The messages, each once and in the order of time.
    fn kept(self, sources: &[&dyn Source], other: &mut Other) -> Seen {
        let (mut traffic, mut told) = (self.traffic, self.bindings);
        if self.twins > 0 {
            other.copies += leave_out_mirrored(&mut traffic);
        }
        // A host has one clock.
        if self.options.host.is_empty() {
            other.clocks = clocks::set(&mut traffic, &mut told, sources);
        }
        other.coap_messages = traffic.messages.len() as u64;
        let count = |which: fn(&Brief) -> bool| {
            let messages = traffic.messages.iter();
            messages.filter(|o| which(&o.brief)).count() as u64
        };
        other.cut = count(Brief::is_cut);
        other.protected = count(|brief| brief.protected);
        other.q_blocks = count(|brief| brief.in_q_block);
        // Sorting takes memory, and captures of one interface are in order.
        if !traffic.messages.is_sorted_by_key(|o| o.complete) {
            traffic.messages.sort_by_key(|o| o.complete);
        }
        Seen {
            traffic,
            bindings: all(told, other),
            passing: None,
        }
    }

    fn add_to(&mut self, other: &mut Other) {
        *other = std::mem::take(&mut self.found);
        other.frames = self.traffic.streams.frames;
        if self.messages == 0 {
            (other.udp_ports, other.other_udp_ports) = self.ports.busiest();
        }
        for (what, count) in self.dissectors.iter().flat_map(Dissectors::faults) {
            *other.faults.entry(what).or_default() += count;
        }
        for decoder in &self.decoders {
            other.incomplete += decoder.incomplete();
            other.dropped += decoder.dropped();
            other.repeated += decoder.repeated();
            for (why, frames) in decoder.unread() {
                *other.unread.entry(*why).or_default() += frames;
            }
        }
    }
}
