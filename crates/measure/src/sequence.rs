//! Who sent what to whom: stretches of a run as message sequences, out of the captures of its interfaces.
//!
//! A message is one packet from end to end: it is sent where the capture of the node has it that its source address
//! is of, and received where that of its destination does. A message that was sent again is another one.
//! Routers between the ends are not told, except as the last ones that saw what was lost.
//!
//! A [`Reader`] takes capture after capture, and keeps of each what its stretches ask for. What comes of them is
//! a [`Sequence`], pure data that anybody may draw. Everything is bounded: of a stretch with very many
//! messages a sequence has some, and says how many it leaves out.
//!
//! | module | holds |
//! | --- | --- |
//! | `who` | which node an address is of |
//! | `words` | what a message is called |
//! | `exchanges` | which messages are one exchange, and of what kind |
//! | `passages` | sightings of packets to messages with their ends |
//! | `draft` | which messages a sequence has, and whose |

mod draft;
mod exchanges;
mod passages;
mod who;
mod words;

use std::collections::BTreeSet;
use std::time::Duration;

use capture::decode::{Decoder, Frame, IpPacket};
use capture::sightings::content;
use capture::{Capture, Packet};
use rundir::Event;
use serde::Serialize;
use topology::Plan;
use topology::plan::NodeName;
use units::SimTime;

use self::draft::Room;
use self::exchanges::Tracker;
use self::passages::{Passage, Sighting};
use self::who::Who;
use self::words::Words;
pub use crate::dissect::Protocol;
use crate::dissect::{self, Dissectors, Meaning, Subject};
use crate::mobility;
use crate::mobility::NodeHandover;
use crate::result::Scenario;
use crate::signalling::coap;

/// Sightings that are kept of one interface and one stretch, for each message that it is to have.
const SIGHTINGS_PER_MESSAGE: usize = 8;
/// Kinds of exchanges that one capture keeps; there may be more.
pub const MOST_KINDS: usize = 256;
/// What was sent this much before a stretch may be received in it.
const BEFORE: Duration = Duration::from_millis(500);
/// What is sent in a stretch may be received this much later.
const AFTER: Duration = Duration::from_secs(1);

/// Messages in the order of time, and between whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sequence {
    /// The instant that times may be told from, in seconds of the scenario.
    pub start_s: f64,
    /// Names of the nodes: those with a radio, routers, others, and who asks.
    pub lifelines: Vec<NodeName>,
    /// In the order in which they were sent.
    pub messages: Vec<Message>,
    /// Spans of time that have a name, in the order in which they begin.
    pub bands: Vec<Band>,
    /// How many messages it was not to have more.
    pub left_out: u64,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// Whose: the index of its lifeline.
    pub from: usize,
    /// When it was sent, in seconds of the scenario; null if its sender's capture does not have it.
    pub sent_s: Option<f64>,
    /// Whom it was for: one, or of multicast all that received it.
    pub to: Vec<End>,
    /// Whose message it is, if a dissector knows it.
    pub protocol: Option<Protocol>,
    /// What it is, in the dissector's words and CoAP's: `hold: CON PUT /comp MID 0x1234`.
    pub label: String,
}

/// Where a message went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct End {
    /// Whose: the index of the lifeline.
    pub lifeline: usize,
    /// What became of it on its way there.
    pub fate: Fate,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It was received, at this second of the scenario.
    Received(f64),
    /// It did not come. The lifeline of who saw it last on its way, and when, if somebody did.
    Lost(Option<(usize, f64)>),
    /// Nobody knows: there is no whole capture of the other end.
    Unknown,
}

/// A span of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Band {
    /// What it is.
    pub name: String,
    /// Its beginning, in seconds of the scenario.
    pub from_s: f64,
    /// Its end.
    pub to_s: f64,
}

impl Message {
    /// The first instant at which it was seen anywhere, in seconds of the scenario.
    pub fn first_s(&self) -> f64 {
        let received = self.to.iter().filter_map(End::received_s);
        let seen = self.to.iter().filter_map(|end| match end.fate {
            Fate::Lost(seen) => seen.map(|(_, at)| at),
            _ => None,
        });
        let all = self.sent_s.into_iter().chain(received).chain(seen);
        all.reduce(f64::min).unwrap_or_default()
    }
}

impl End {
    /// When it was received, in seconds of the scenario.
    pub fn received_s(&self) -> Option<f64> {
        match self.fate {
            Fate::Received(at) => Some(at),
            _ => None,
        }
    }
}

/// A stretch of a run.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// From this instant on.
    pub from: SimTime,
    /// Until this one, which belongs to it.
    pub to: SimTime,
    /// Only what these nodes sent, received, or what is about them; of all nodes if none is named.
    pub nodes: BTreeSet<NodeName>,
    /// As many messages at most.
    pub most: usize,
    /// Of more of them whether those of signalling are kept first, and then those at both ends; else the
    /// first ones are.
    pub signalling_first: bool,
}

impl Stretch {
    /// Whether something that is seen at `time` may be of a message in it.
    fn may_have(&self, time: SimTime) -> bool {
        time <= self.to + AFTER && time + BEFORE >= self.from
    }

    /// That of a handover: from its first phase to its end; to `until` if it has none.
    pub fn of_handover(record: &NodeHandover, until: SimTime, most: usize) -> Option<Stretch> {
        let spans = || record.spans.values().flatten();
        let from = spans().map(|(from, _)| *from).chain(record.started).min()?;
        let end = record.completed.or(record.failed.as_ref().map(|f| f.0));
        Some(Stretch {
            from,
            to: end.unwrap_or(until).max(from),
            nodes: BTreeSet::from([record.node.clone()]),
            most,
            signalling_first: true,
        })
    }
}

/// The phases of a handover as bands; `seconds` gives the time of the scenario.
pub fn phases(record: &NodeHandover, seconds: impl Fn(SimTime) -> f64) -> Vec<Band> {
    let spans = record.spans.iter();
    let spans = spans.flat_map(|(phase, spans)| spans.iter().map(move |span| (phase, span)));
    let mut bands: Vec<Band> = spans
        .map(|(phase, (from, to))| Band {
            name: phase.name().replace('_', " "),
            from_s: seconds(*from),
            to_s: seconds(*to),
        })
        .collect();
    bands.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
    bands
}

/// The first exchange of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstExchange {
    /// Who asked.
    pub client: NodeName,
    /// Whom.
    pub server: NodeName,
    /// For what: `GET /temperature`, or in a dissector's words.
    pub name: String,
    /// Its messages.
    pub sequence: Sequence,
}

/// What is asked of the captures, and what they answer.
pub struct Reader<'p> {
    who: Who<'p>,
    /// Scenario time 0; if the events do not have it, the first packet that is read.
    start: Option<SimTime>,
    stretches: Vec<Stretch>,
    /// Of each of the stretches.
    seen: Vec<Vec<Sighting>>,
    /// From when on each has no more, and how many messages that were.
    ends: Vec<(Option<SimTime>, u64)>,
    /// If exchanges are wanted: those of each capture point, and what was seen of them.
    exchanges: Option<(Vec<Tracker>, Vec<Sighting>)>,
    points: u32,
}

impl<'p> Reader<'p> {
    /// One that has read nothing. `events` tell which addresses nodes had. With `exchanges` the first ones of each
    /// kind are found, wherever in the run they are.
    pub fn new(
        plan: &'p Plan,
        events: &[Event],
        stretches: Vec<Stretch>,
        exchanges: bool,
    ) -> Reader<'p> {
        let (addresses, _) = mobility::addresses(plan, events);
        Reader {
            who: Who::of(plan, &addresses),
            start: mobility::scenario_start(events),
            seen: stretches.iter().map(|_| Vec::new()).collect(),
            ends: stretches.iter().map(|_| (None, 0)).collect(),
            stretches,
            exchanges: exchanges.then(Default::default),
            points: 0,
        }
    }

    /// The interfaces of a node whose captures are to be read, by their names.
    pub fn interfaces(plan: &Plan) -> impl Iterator<Item = (&NodeName, &'static str)> {
        plan.nodes.iter().flat_map(|(name, node)| {
            let all = crate::assemble::client_interfaces(node);
            all.map(move |interface| (name, interface))
        })
    }

    /// Whether there was any capture.
    pub fn has_read(&self) -> bool {
        self.points > 0
    }

    /// Reads the capture of an interface, one of [`Reader::interfaces`].
    pub fn read(&mut self, node: &str, interface: &str, capture: &Capture) {
        let Some(node) = self.who.index(node) else {
            return;
        };
        let is_wired = interface == "eth0";
        if capture.damage.is_none() {
            self.who.has_capture(node, is_wired);
        }
        let mut point = Point {
            number: self.points,
            order: 0,
            node,
            is_wired,
            decoder: Decoder::default(),
            dissectors: Dissectors::new(&dissect::all()),
            kept: vec![[0; 2]; self.stretches.len()],
        };
        self.points += 1;
        if let Some((trackers, _)) = &mut self.exchanges {
            trackers.push(Tracker::new(node));
        }
        let first = capture.packets.first().map(|packet| packet.time);
        self.start = self.start.or(first);
        for packet in &capture.packets {
            self.packet(&mut point, capture, packet);
        }
    }

    fn packet(&mut self, point: &mut Point, capture: &Capture, packet: &Packet) -> Option<()> {
        let interface = capture.interfaces.get(packet.interface)?;
        let ip = point.decoder.read(Frame::of(interface, packet))?;
        point.order += 1;
        let message = coap(&ip);
        let meaning = point.dissectors.read(&ip, message.as_ref());
        let mut sighting = self.sighting(point, &ip, meaning.as_ref(), &packet.data)?;
        let with_words = |sighting: &Sighting| Sighting {
            words: Words::of(&ip, message.as_ref(), meaning.as_ref()),
            ..sighting.clone()
        };
        if let (Some((trackers, found)), Some(message)) = (&mut self.exchanges, &message) {
            let tracker = trackers.last_mut()?;
            let exchange = tracker.see(&ip, message, meaning.as_ref(), &sighting);
            sighting.exchange = exchange.map(|number| (point.number, number));
            if exchange.is_some() {
                found.push(with_words(&sighting));
            }
        }
        for at in 0..self.stretches.len() {
            let stretch = &self.stretches[at];
            if !stretch.may_have(sighting.time) || !self.who.concerns(&sighting, &stretch.nodes) {
                continue;
            }
            let within = (stretch.from..=stretch.to).contains(&sighting.time);
            let kept = &mut point.kept[at][usize::from(within)];
            if *kept < stretch.most.saturating_mul(SIGHTINGS_PER_MESSAGE) {
                *kept += 1;
                self.seen[at].push(with_words(&sighting));
            } else if within {
                // Nobody else's sightings count from here on, so that what is told is complete.
                let (end, more) = &mut self.ends[at];
                *end = Some(end.map_or(sighting.time, |end| end.min(sighting.time)));
                *more += u64::from(sighting.from == Some(point.node));
            }
        }
        Some(())
    }

    /// What is seen of a packet at a point. None if neither end is known, nor who sent it here.
    fn sighting(
        &self,
        point: &Point,
        ip: &IpPacket<'_>,
        meaning: Option<&Meaning>,
        frame: &[u8],
    ) -> Option<Sighting> {
        let subject = meaning.and_then(|meaning| match &meaning.subject {
            Subject::Node(addresses) => addresses.iter().find_map(|a| self.who.one(*a)),
            Subject::Link => None,
        });
        let by_frame = || match point.is_wired {
            true => self.who.of_mac(frame.get(6..12)?),
            false => None,
        };
        let from = self.who.one(ip.src).or_else(by_frame);
        let is_multicast = ip.dst.is_multicast();
        Some(Sighting {
            content: content(ip),
            time: match from == Some(point.node) {
                true => ip.began,
                false => ip.time,
            },
            point: point.number,
            order: point.order,
            node: point.node,
            from,
            to: self.who.one(ip.dst).filter(|_| !is_multicast),
            is_multicast,
            subject,
            exchange: None,
            words: Words::default(),
        })
    }

    /// The sequence of each stretch, in their order. `bands` are to be added by whoever knows them.
    pub fn sequences(&self) -> Vec<Sequence> {
        let all = self.stretches.iter().zip(&self.seen).zip(&self.ends);
        let made = all.map(|((stretch, seen), (end, more))| {
            let is_told = |s: &&Sighting| end.is_none_or(|end| s.time < end + AFTER);
            let (told, later): (Vec<_>, Vec<_>) = seen.iter().partition(is_told);
            let later = later.iter().filter(|s| s.from == Some(s.node)).count() as u64;
            let mut messages = passages::messages(told, &self.who);
            messages.retain(|m| {
                let within = (stretch.from..=stretch.to).contains(&m.time());
                within && self.who.is_of(m, &stretch.nodes)
            });
            let all = messages.len();
            if let Some(end) = *end {
                messages.retain(|m| m.time() < end);
                let is_late = |m: &&mut Passage| end.saturating_since(m.time()) < AFTER;
                let late = messages.iter_mut().filter(is_late);
                late.for_each(Passage::forget_losses);
            }
            let cut = (all - messages.len()) as u64;
            let mut sequence = draft::sequence(
                messages,
                &self.who,
                |time| self.seconds(time),
                stretch.into(),
            );
            sequence.start_s = self.seconds(stretch.from);
            sequence.left_out += cut + later + more;
            sequence
        });
        made.collect()
    }

    /// The first exchange of every kind that was answered, and of those of which none was the first; in the
    /// order in which a reader sees most of them in the first ones. Each has `most` messages at most.
    pub fn first_exchanges(&self, most: usize) -> Vec<FirstExchange> {
        let Some((trackers, seen)) = &self.exchanges else {
            return Vec::new();
        };
        let messages = passages::messages(seen.iter().collect(), &self.who);
        let found = exchanges::firsts(trackers, messages);
        let made = found.into_iter().map(|(kind, messages)| {
            let mut sequence = draft::sequence(
                messages,
                &self.who,
                |time| self.seconds(time),
                Room {
                    most,
                    signalling_first: false,
                },
            );
            let first = sequence.messages.first().map(Message::first_s);
            sequence.start_s = first.unwrap_or_default();
            FirstExchange {
                client: self.who.name(kind.client).to_owned(),
                server: self.who.name(kind.server).to_owned(),
                name: kind.name,
                sequence,
            }
        });
        made.collect()
    }

    /// The second of the scenario that an instant is.
    pub fn seconds(&self, time: SimTime) -> f64 {
        let scenario = Scenario {
            start_unix_ns: self.start.unwrap_or_default().as_nanos(),
            duration_s: 0.0,
        };
        scenario.seconds(time)
    }
}

/// One interface's capture.
struct Point {
    number: u32,
    /// How many packets it had so far.
    order: u64,
    node: u32,
    is_wired: bool,
    decoder: Decoder,
    dissectors: Dissectors,
    /// How many sightings are kept for each stretch: around it, and in it.
    kept: Vec<[usize; 2]>,
}
