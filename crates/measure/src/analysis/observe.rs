//! Frames to CoAP messages, and which of several sightings of a message counts.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use capture::Capture;
use capture::decode::{Decoder, Frame, IpPacket};
use capture::sightings::{Sighting, Sightings};
use coap::Kind;
use coap::wire::Message;
use units::SimTime;

use super::binding::Bindings;
use super::hop::Hop;
use super::{Options, Other};
use crate::dissect::{Dissectors, Protocol};

/// How often a CON is sent again, and from its first transmission to its last (RFC 7252 §4.8).
const MAX_RETRANSMIT: usize = 4;
const MAX_TRANSMIT_SPAN: Duration = Duration::from_secs(45);

/// Where something was seen: capture, interface in it, and interface index of SLL2.
type Point = (usize, usize, Option<u32>);

impl Options {
    /// What stands for an endpoint.
    fn alias(&self, mut endpoint: SocketAddr) -> SocketAddr {
        if let Some(alias) = self.aliases.get(&endpoint.ip()) {
            endpoint.set_ip(*alias);
        }
        endpoint
    }

    /// Whether what goes from `src` to `dst` is CoAP that is to be looked at.
    fn concerns(&self, src: SocketAddr, dst: SocketAddr) -> bool {
        let ends = [src, dst];
        ends.iter().any(|end| self.ports.contains(&end.port()))
            && (self.host.is_empty() || ends.iter().any(|end| self.host.contains(&end.ip())))
    }

    /// Where a packet was seen.
    fn point(&self, capture: usize, interface: usize, packet: &IpPacket<'_>) -> Point {
        match self.host.is_empty() {
            true => (capture, interface, packet.interface_index),
            false => (0, 0, None),
        }
    }
}

/// A CoAP message as it was seen at one point, once however often the packet was seen there.
pub(super) struct Observed {
    point: Point,
    outgoing: Option<bool>,
    /// Whether the capture does not say that nobody received it.
    arrived: bool,
    /// Whether that is only concluded ([`Decoder::concludes`]).
    concluded: bool,
    /// Whether the same was there just before.
    twin: bool,
    /// When its first fragment was seen, on its first hop.
    pub(super) first: SimTime,
    /// When all of it had been seen; of a response on its last hop, which is its receiver's.
    pub(super) complete: SimTime,
    pub(super) src: SocketAddr,
    pub(super) dst: SocketAddr,
    pub(super) message: Message,
    /// Whose it is, if not an application's.
    pub(super) protocol: Option<Protocol>,
    /// Where it was seen first.
    pub(super) hop: Option<Hop>,
}

impl Observed {
    pub(super) fn is_request(&self) -> bool {
        self.message.code.is_request()
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

/// All CoAP messages of `captures`, in time order, and the bindings that any message tells of.
pub(super) fn observe<C: Borrow<Capture>>(
    captures: &[C],
    options: &Options,
    other: &mut Other,
) -> (Vec<Observed>, Bindings) {
    let mut observed = Vec::new();
    let mut bindings = Bindings::default();
    for (index, capture) in captures.iter().map(Borrow::borrow).enumerate() {
        let before = observed.len();
        let new = || Decoder::new(options.decode.clone());
        let decoders = capture.interfaces.iter().map(|_| new()).collect();
        let mut reading = Reading::new(index, options, decoders, &mut observed);
        reading.read(capture);
        if let Some(decoders) = reading.again() {
            observed.truncate(before);
            reading = Reading::new(index, options, decoders, &mut observed);
            reading.read(capture);
        }
        bindings.add(std::mem::take(&mut reading.bindings));
        let twins = reading.twins;
        reading.add_to(other);
        if twins > 0 {
            other.copies += leave_out_mirrored(&mut observed, before);
        }
    }
    other.coap_messages = observed.len() as u64;
    other.bindings_left_out = bindings.left_out();
    observed.sort_by_key(|o| o.complete);
    (observed, bindings)
}

/// Takes mirrored copies out of what was observed from `start` on; returns how many. A twin is a
/// copy where most of the messages that went the same way have one: of what is sent again few have.
fn leave_out_mirrored(observed: &mut Vec<Observed>, start: usize) -> u64 {
    let way = |o: &Observed| (o.point, o.outgoing, o.src.ip(), o.dst.ip());
    let mut ways: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for o in &observed[start..] {
        let (messages, twins) = ways.entry(way(o)).or_default();
        *messages += usize::from(!o.twin);
        *twins += usize::from(o.twin);
    }
    let is_mirrored = |o: &Observed| ways.get(&way(o)).is_some_and(|(m, twins)| twins * 2 > *m);
    let all = observed.len();
    let mut index = 0;
    observed.retain(|o| {
        index += 1;
        index <= start || !o.twin || !is_mirrored(o)
    });
    (all - observed.len()) as u64
}

/// The reading of a capture.
struct Reading<'o> {
    index: usize,
    options: &'o Options,
    /// Of each interface.
    decoders: Vec<Decoder>,
    dissectors: Vec<Dissectors>,
    sightings: Vec<Sightings>,
    bindings: Bindings,
    /// Behind those of other captures.
    observed: &'o mut Vec<Observed>,
    /// Of those, how many are [`Observed::twin`]s.
    twins: usize,
    found: Other,
}

impl<'o> Reading<'o> {
    fn new(
        index: usize,
        options: &'o Options,
        decoders: Vec<Decoder>,
        observed: &'o mut Vec<Observed>,
    ) -> Reading<'o> {
        Reading {
            index,
            options,
            dissectors: (decoders.iter())
                .map(|_| Dissectors::new(&options.dissectors))
                .collect(),
            sightings: decoders.iter().map(|_| Sightings::default()).collect(),
            bindings: Bindings::default(),
            decoders,
            observed,
            twins: 0,
            found: Other::default(),
        }
    }

    fn read(&mut self, capture: &Capture) {
        for frame in &capture.packets {
            let frame_of = Frame::of(&capture.interfaces[frame.interface], frame);
            if let Some(packet) = self.decoders[frame.interface].read(frame_of) {
                self.found.packets += 1;
                self.packet(frame.interface, &packet);
            }
        }
        self.found.frames = capture.packets.len() as u64;
    }

    /// Whose message a packet is, if a dissector knows.
    fn dissect(
        &mut self,
        interface: usize,
        packet: &IpPacket<'_>,
        coap: Option<&Message>,
    ) -> Option<Protocol> {
        let meaning = self.dissectors[interface].read(packet, coap)?;
        self.bindings.learn(packet, &meaning);
        Some(meaning.protocol)
    }

    fn packet(&mut self, interface: usize, packet: &IpPacket<'_>) {
        let datagram = (packet.udp()).filter(|d| self.options.concerns(d.src, d.dst));
        let Some(datagram) = datagram else {
            self.dissect(interface, packet, None);
            return;
        };
        let src = self.options.alias(datagram.src);
        let dst = self.options.alias(datagram.dst);
        match Message::decode(datagram.payload) {
            Ok(message) => {
                let protocol = self.dissect(interface, packet, Some(&message));
                let sighting = self.sightings[interface].see(packet, self.observed.len());
                if let Sighting::Again(known) = sighting {
                    let copy = self.observed[known].seen_again(packet);
                    self.found.copies += u64::from(copy);
                    return;
                }
                let twin = matches!(sighting, Sighting::Twin(_));
                self.twins += usize::from(twin);
                self.observed.push(Observed {
                    point: self.options.point(self.index, interface, packet),
                    outgoing: packet.outgoing,
                    arrived: packet.received,
                    concluded: self.decoders[interface].concludes(),
                    twin,
                    first: packet.began,
                    complete: packet.time,
                    src,
                    dst,
                    message,
                    protocol,
                    hop: packet.link.map(|link| Hop {
                        link,
                        hop_limit: packet.header.hop_limit,
                    }),
                });
            }
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
            }
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

    fn add_to(self, other: &mut Other) {
        other.frames += self.found.frames;
        other.packets += self.found.packets;
        other.undecodable += self.found.undecodable;
        if other.first_undecodable.is_none() {
            other.first_undecodable = self.found.first_undecodable;
        }
        other.copies += self.found.copies;
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

/// A client endpoint, watched at one point.
pub(super) struct Client<'o> {
    pub(super) endpoint: SocketAddr,
    point: Point,
    /// What was sent from and to it, as seen from its point.
    messages: Vec<&'o Observed>,
    sent: Direction,
    received: Direction,
}

/// Which copies count at a point that sees a packet leave and arrive, such as a router in a
/// cooked capture of all interfaces.
#[derive(Clone, Copy)]
enum Direction {
    All,
    Only(bool),
}

impl Direction {
    /// `preferred`, if some of the packets go that way and others do not.
    fn choose(seen: impl Iterator<Item = Option<bool>>, preferred: bool) -> Direction {
        let mut ways = [false; 2];
        seen.flatten().for_each(|way| ways[usize::from(way)] = true);
        if ways == [true; 2] {
            Direction::Only(preferred)
        } else {
            Direction::All
        }
    }

    fn admits(self, outgoing: Option<bool>) -> bool {
        match self {
            Direction::All => true,
            Direction::Only(way) => outgoing == Some(way),
        }
    }
}

impl<'o> Client<'o> {
    fn new(endpoint: SocketAddr, point: Point) -> Client<'o> {
        Client {
            endpoint,
            point,
            messages: Vec::new(),
            sent: Direction::All,
            received: Direction::All,
        }
    }

    /// Takes a message from or to this client, seen at any point.
    fn add(&mut self, o: &'o Observed) {
        if o.point == self.point {
            self.messages.push(o);
        }
    }

    fn choose_directions(&mut self) {
        let here = || self.messages.iter();
        let requests = here().filter(|o| o.src == self.endpoint && o.is_request());
        let responses = here().filter(|o| o.dst == self.endpoint && !o.is_request());
        self.sent = Direction::choose(requests.map(|o| o.outgoing), true);
        self.received = Direction::choose(responses.map(|o| o.outgoing), false);
    }

    /// Whether a response without an acknowledgement of the radio arrived all the same: its client
    /// would have sent the request again (RFC 7252 §4.2), but for the last time.
    fn is_content_with(&self, response: &Observed) -> bool {
        if !response.concluded || response.message.kind != Kind::Acknowledgement {
            return false;
        }
        let (mut before, mut after) = (0, 0);
        let window =
            |o: &&Observed| o.complete.saturating_since(response.complete) < MAX_TRANSMIT_SPAN;
        let from = (self.messages).partition_point(|o| {
            response.complete.saturating_since(o.complete) > MAX_TRANSMIT_SPAN
        });
        for o in self.messages[from..].iter().copied().take_while(window) {
            let same = o.message.message_id == response.message.message_id;
            if same && o.is_request() && (o.src, o.dst) == (response.dst, response.src) {
                match o.complete <= response.complete {
                    true => before += 1,
                    false => after += 1,
                }
            }
        }
        after == 0 && before <= MAX_RETRANSMIT
    }

    /// What it sent and received, in time order.
    pub(super) fn messages(&self) -> impl Iterator<Item = Passed<'o>> {
        self.messages.iter().filter_map(|o| {
            if o.src == self.endpoint && self.sent.admits(o.outgoing) {
                Some(Passed::Sent(o))
            } else if o.dst == self.endpoint && self.received.admits(o.outgoing) {
                (o.arrived || self.is_content_with(o)).then_some(Passed::Received(o))
            } else {
                None
            }
        })
    }
}

/// A message as a client has to do with it.
pub(super) enum Passed<'o> {
    Sent(&'o Observed),
    Received(&'o Observed),
}

/// Every endpoint that sent a request, at the point that saw most of its requests: the
/// nearest one, since a message that is lost farther on was still seen there. Among equals the
/// point that saw the first request first.
pub(super) fn clients(observed: &[Observed]) -> Vec<Client<'_>> {
    let mut sightings: BTreeMap<SocketAddr, BTreeMap<Point, (usize, SimTime)>> = BTreeMap::new();
    for o in observed.iter().filter(|o| o.is_request()) {
        let points = sightings.entry(o.src).or_default();
        points.entry(o.point).or_insert((0, o.first)).0 += 1;
    }
    let nearest = |points: BTreeMap<Point, (usize, SimTime)>| {
        let key =
            |(point, (count, first)): (Point, (usize, SimTime))| (usize::MAX - count, first, point);
        points.into_iter().map(key).min().map(|(_, _, point)| point)
    };
    let clients = sightings
        .into_iter()
        .filter_map(|(endpoint, points)| Some((endpoint, Client::new(endpoint, nearest(points)?))));
    let mut clients: BTreeMap<SocketAddr, Client<'_>> = clients.collect();
    for o in observed {
        if let Some(client) = clients.get_mut(&o.src) {
            client.add(o);
        }
        if let Some(client) = clients.get_mut(&o.dst).filter(|_| o.dst != o.src) {
            client.add(o);
        }
    }
    let mut clients: Vec<Client<'_>> = clients.into_values().collect();
    clients.iter_mut().for_each(Client::choose_directions);
    clients
}
