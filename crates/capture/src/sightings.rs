//! Which packets are one that was seen several times.
//!
//! A sniffer between two hops sees a packet on both. A router's interface sees it come and go, a
//! mirror port sees it twice, and one that sees into a tunnel sees it inside and outside. It is
//! one packet, while a packet that its sender sends again, with the same bytes, is another one.
//! What tells them apart:
//!
//! - **Content**: addresses as upper layers see them, which routing headers, home addresses and
//!   tunnels do not change; protocol; for UDP the ports and the data, not the checksum, which
//!   6LoWPAN may elide; for IPv4 the identification. Other content is another packet.
//! - **Stage**: how far on its way the packet was seen: its hop limit, the tunnels around it and
//!   their hop limits, the hops that a mesh under IP has left, and who sent the frame on a radio.
//!   A packet passes each stage once, and its hop limit never grows.
//! - **Sequence number** of the radio's MAC: at one stage, one frame that was sent twice by the MAC
//!   has the same one, one that was sent by a node anew has another.
//! - **Time**. At another stage within [`FORWARDED_WITHIN`] of the last sighting it is the same
//!   packet, later another one.
//!
//! At the same stage without sequence numbers nothing in two packets tells whether a mirror copied
//! the one or its sender sent both: a router that had to find out its neighbour's address first
//! sends two that came a second apart within microseconds. Within [`TWINS_WITHIN`] they are
//! [`Sighting::Twin`]s, and how many of a sender's packets have a twin tells: a mirror copies all.
//!
//! [`FORWARDED_WITHIN`] is far under the least time after which a node sends again what was not
//! answered. For CoAP that is ACK_TIMEOUT, 2 s, and not to be under 1 s in the Internet (RFC 7252
//! §4.8.1). Where it is less, a repetition is still told from a copy, by its stage: it would be
//! lost only if the capture missed both the first packet at the later stage and the second at the
//! earlier one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use units::SimTime;

use crate::decode::{IpPacket, UDP};
use crate::hash::Folded;

/// From one stage of a packet's way to the next: a hop over a radio with its backoffs, retries and
/// the sleep of the receiver.
pub const FORWARDED_WITHIN: Duration = Duration::from_millis(500);

/// From a packet to its copy at the same stage: what a mirror port or a bridge takes.
pub const TWINS_WITHIN: Duration = Duration::from_millis(1);

/// Packets of the same content that may be on their way at once; of more the oldest is taken as
/// arrived.
const MOST_AT_ONCE: usize = 8;

/// Stages at which a packet may be seen: hops, twice for a tunnel over each.
const MOST_STAGES: usize = 64;

/// Packets that are remembered in each of two generations.
const MOST_PACKETS: usize = 1 << 17;

/// The packets that one capture point has seen lately. What it keeps is bounded.
#[derive(Debug, Default)]
pub struct Sightings {
    /// The packets of about the last [`FORWARDED_WITHIN`], and of that time before, by content.
    latest: Packets,
    before: Packets,
    since: SimTime,
}

type Packets = HashMap<u64, Alike, BuildHasherDefault<Folded>>;

/// Packets of the same content: the latest, and those before it in their order.
#[derive(Debug)]
struct Alike {
    latest: Seen,
    earlier: Vec<Seen>,
}

/// A packet.
#[derive(Debug)]
struct Seen {
    number: usize,
    hop_limit: u8,
    last: SimTime,
    first: Stage,
    others: Vec<Stage>,
}

/// A stage of its way, and when it was last seen there.
#[derive(Clone, Copy, Debug)]
struct Stage {
    place: u64,
    sequence: Option<u8>,
    time: SimTime,
}

/// What a sighting is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A packet that was not seen before.
    First,
    /// The packet with this number, further on its way, or sent again by the MAC.
    Again(usize),
    /// A packet like the one with this number at the same place at the same time: its mirrored
    /// copy, or one that its sender sent along with it.
    Twin(usize),
}

impl Sightings {
    /// Takes a packet that was seen, in the order of the capture. If it was not seen before, it is
    /// called `number` from now on.
    pub fn see(&mut self, packet: &IpPacket<'_>, number: usize) -> Sighting {
        let now = packet.time;
        if now.saturating_since(self.since) > FORWARDED_WITHIN || self.latest.len() >= MOST_PACKETS
        {
            // The map's room is used again.
            std::mem::swap(&mut self.before, &mut self.latest);
            self.latest.clear();
            self.since = now;
        }
        let content = content(packet);
        let stage = Stage {
            place: place(packet),
            sequence: packet.sender.and_then(|sender| sender.sequence),
            time: now,
        };
        let hop_limit = packet.header.hop_limit;
        let seen = Seen {
            number,
            hop_limit,
            last: now,
            first: stage,
            others: Vec::new(),
        };
        let alike = match self.latest.entry(content) {
            Entry::Occupied(alike) => alike.into_mut(),
            Entry::Vacant(place) => match self.before.remove(&content) {
                Some(alike) => place.insert(alike),
                None => {
                    place.insert(Alike::one(seen));
                    return Sighting::First;
                }
            },
        };
        if let Some(known) = alike.find(|seen| seen.can_be_at(&stage, hop_limit)) {
            known.sight(stage, hop_limit);
            return Sighting::Again(known.number);
        }
        let twin = alike.find(|seen| seen.has_just_been_at(&stage));
        let twin = twin.map(|seen| seen.number);
        alike.add(seen);
        twin.map_or(Sighting::First, Sighting::Twin)
    }
}

impl Alike {
    fn one(latest: Seen) -> Alike {
        Alike {
            latest,
            earlier: Vec::new(),
        }
    }

    /// The first packet of which something is true: they do not overtake each other.
    fn find(&mut self, what: impl Fn(&Seen) -> bool) -> Option<&mut Seen> {
        let latest = std::iter::once(&mut self.latest);
        let mut all = self.earlier.iter_mut().chain(latest);
        all.find(|seen| what(seen))
    }

    fn add(&mut self, seen: Seen) {
        if self.earlier.len() + 1 >= MOST_AT_ONCE {
            self.earlier.remove(0);
        }
        let before = std::mem::replace(&mut self.latest, seen);
        self.earlier.push(before);
    }
}

impl Seen {
    /// The sighting at the same place.
    fn at(&self, stage: &Stage) -> Option<&Stage> {
        let mut stages = std::iter::once(&self.first).chain(&self.others);
        stages.find(|s| s.place == stage.place)
    }

    fn can_be_at(&self, stage: &Stage, hop_limit: u8) -> bool {
        match self.at(stage) {
            Some(known) => {
                stage.sequence.is_some()
                    && stage.sequence == known.sequence
                    && within(FORWARDED_WITHIN, known.time, stage.time)
            }
            None => {
                hop_limit <= self.hop_limit
                    && self.others.len() < MOST_STAGES
                    && within(FORWARDED_WITHIN, self.last, stage.time)
            }
        }
    }

    fn has_just_been_at(&self, stage: &Stage) -> bool {
        self.at(stage).is_some_and(|known| {
            (known.sequence.is_none() || stage.sequence.is_none())
                && within(TWINS_WITHIN, known.time, stage.time)
        })
    }

    fn sight(&mut self, stage: Stage, hop_limit: u8) {
        self.last = stage.time;
        self.hop_limit = self.hop_limit.min(hop_limit);
        if self.at(&stage).is_none() {
            self.others.push(stage);
        }
    }
}

fn within(limit: Duration, earlier: SimTime, later: SimTime) -> bool {
    later.saturating_since(earlier) <= limit
}

/// What no copy of a packet changes, as a number: content, as this module's first words have it.
pub fn content(packet: &IpPacket<'_>) -> u64 {
    let mut hasher = Folded::default();
    for address in [packet.src, packet.dst] {
        match address {
            IpAddr::V4(address) => hasher.write_u32(address.to_bits()),
            IpAddr::V6(address) => hasher.write_u128(address.to_bits()),
        }
    }
    // Each field has bits of its own.
    let way = packet
        .outgoing
        .map_or(0, |outgoing| 2 + u64::from(outgoing));
    let identification = packet.header.identification;
    let identification = identification.map_or(0, |id| 0x1_0000 + u64::from(id));
    hasher.write_u64(u64::from(packet.protocol) | way << 8 | identification << 16);
    let interface = packet
        .interface_index
        .map_or(0, |index| u64::from(index) + 1);
    hasher.write_u64(packet.payload.length() as u64 ^ interface << 24);
    match packet.payload.split_first_chunk::<8>() {
        Some(([s0, s1, d0, d1, ..], data)) if packet.protocol == UDP => {
            hasher.write_u32(u32::from_be_bytes([*s0, *s1, *d0, *d1]));
            hasher.write(data);
        }
        _ => hasher.write(&packet.payload),
    }
    hasher.finish()
}

/// How far on its way a packet is.
fn place(packet: &IpPacket<'_>) -> u64 {
    let on_a_plain_link = packet.sender.is_none() && packet.outer.is_empty();
    if on_a_plain_link && (packet.header.src, packet.header.dst) == (packet.src, packet.dst) {
        return packet.header.hop_limit.into();
    }
    let mut hasher = Folded::default();
    (packet.header, &packet.outer, packet.mesh_hops_left).hash(&mut hasher);
    packet.sender.map(|s| (s.pan, s.address)).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
