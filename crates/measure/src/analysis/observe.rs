//! Frames to CoAP messages, and which of several sightings of a message counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use capture::reassembly::Reassembler;
use capture::{Capture, decode};
use coap::wire::Message;
use units::SimTime;

use super::{Options, Other};

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
}

/// A CoAP message as it was seen at one point.
pub(super) struct Observed {
    point: Point,
    outgoing: Option<bool>,
    /// When its first fragment was seen.
    pub(super) first: SimTime,
    /// When all of it had been seen.
    pub(super) complete: SimTime,
    pub(super) src: SocketAddr,
    pub(super) dst: SocketAddr,
    pub(super) message: Message,
}

impl Observed {
    pub(super) fn is_request(&self) -> bool {
        self.message.code.is_request()
    }
}

/// All CoAP messages of `captures`, in time order.
pub(super) fn observe(captures: &[Capture], options: &Options, other: &mut Other) -> Vec<Observed> {
    let mut observed = Vec::new();
    let mut reassemblers: BTreeMap<Point, Reassembler> = BTreeMap::new();
    for (c, capture) in captures.iter().enumerate() {
        for frame in &capture.packets {
            other.frames += 1;
            let link_type = capture.interfaces[frame.interface].link_type;
            let Some(packet) = decode::ip(link_type, &frame.data) else {
                continue;
            };
            if packet.protocol != decode::UDP {
                continue;
            }
            let point = (c, frame.interface, packet.interface_index);
            let reassembler = reassemblers.entry(point).or_default();
            let Some(datagram) = reassembler.push(frame.time, &packet) else {
                continue;
            };
            let (src, dst) = (datagram.src, datagram.dst);
            if !options.ports.contains(&src.port()) && !options.ports.contains(&dst.port()) {
                continue;
            }
            let (src, dst) = (options.alias(src), options.alias(dst));
            match Message::decode(&datagram.payload) {
                Ok(message) => observed.push(Observed {
                    point,
                    outgoing: packet.outgoing,
                    first: datagram.first,
                    complete: datagram.complete,
                    src,
                    dst,
                    message,
                }),
                Err(error) => {
                    other.undecodable += 1;
                    let cut = if datagram.truncated {
                        ", cut by the capture"
                    } else {
                        ""
                    };
                    other.first_undecodable.get_or_insert_with(|| {
                        format!("{} to {} at {}{cut}: {error}", src, dst, frame.time)
                    });
                }
            }
        }
    }
    other.coap_messages = observed.len() as u64;
    other.incomplete = reassemblers.values().map(|r| r.incomplete() as u64).sum();
    observed.sort_by_key(|o| o.complete);
    observed
}

/// A client endpoint and the point at which it is watched.
pub(super) struct Client {
    pub(super) endpoint: SocketAddr,
    point: Point,
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

impl Client {
    /// Whether the client sent this, as seen from its point.
    pub(super) fn sent(&self, o: &Observed) -> bool {
        o.src == self.endpoint && o.point == self.point && self.sent.admits(o.outgoing)
    }

    /// Whether the client received this, as seen from its point.
    pub(super) fn received(&self, o: &Observed) -> bool {
        o.dst == self.endpoint && o.point == self.point && self.received.admits(o.outgoing)
    }
}

/// Every endpoint that sent a request, with the point that saw most of its requests: the
/// nearest one, since a message that is lost farther on was still seen there. Among equals the
/// point that saw the first request first.
pub(super) fn clients(observed: &[Observed]) -> Vec<Client> {
    let mut sightings: BTreeMap<SocketAddr, BTreeMap<Point, (usize, SimTime)>> = BTreeMap::new();
    for o in observed.iter().filter(|o| o.is_request()) {
        let points = sightings.entry(o.src).or_default();
        points.entry(o.point).or_insert((0, o.first)).0 += 1;
    }
    let nearest = |points: &BTreeMap<Point, (usize, SimTime)>| {
        let key = |(point, (count, first)): (&Point, &(usize, SimTime))| {
            (usize::MAX - count, *first, *point)
        };
        points.iter().map(key).min().map(|(_, _, point)| point)
    };
    let clients = sightings.iter();
    clients
        .filter_map(|(endpoint, points)| {
            let point = nearest(points)?;
            let here = || observed.iter().filter(move |o| o.point == point);
            let requests = here().filter(|o| o.src == *endpoint && o.is_request());
            let responses = here().filter(|o| o.dst == *endpoint && !o.is_request());
            Some(Client {
                endpoint: *endpoint,
                point,
                sent: Direction::choose(requests.map(|o| o.outgoing), true),
                received: Direction::choose(responses.map(|o| o.outgoing), false),
            })
        })
        .collect()
}
