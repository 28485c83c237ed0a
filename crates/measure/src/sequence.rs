//! Who sent what to whom: stretches of a run as message sequences, out of the captures of its interfaces.
//!
//! A message is one packet from end to end: it is sent where the capture of the node has it that its source address
//! is of, and received where that of its destination does. A message that was sent again is another one.
//! Routers between the ends are not told, except as the last ones that saw what was lost.
//!
//! A [`Reader`] takes all captures twice. First it keeps of each what its stretches ask for, then what else there is of
//! the same packets, wherever in the run: a message that is sent in a stretch is lost if no capture has it ever after.
//! What comes of them is a [`Sequence`], pure data that anybody may draw. Everything is bounded: of a stretch with very
//! many messages a sequence has some, and says how many it leaves out; of a packet that was seen too often nobody knows
//! what became of it.
//!
//! | module | holds |
//! | --- | --- |
//! | `who` | which node an address is of |
//! | `words` | what a message is called |
//! | `exchanges` | which messages are one exchange, and of what kind |
//! | `frames` | the frames of a stretch, with their numbers in the captures |
//! | `found` | the sightings that were asked for, and others of the same packets |
//! | `transmissions` | which sightings of a packet are of which time that it was sent |
//! | `passages` | sightings of packets to messages with their ends |
//! | `draft` | which messages a sequence has, and whose |

mod draft;
mod exchanges;
mod found;
mod frames;
mod passages;
mod transmissions;
mod who;
mod words;

use std::collections::BTreeSet;

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
use self::found::Found;
pub use self::frames::{FrameList, ListedFrame};
use self::passages::Sighting;
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
    /// Nobody knows: there is no whole capture of the other end, or the captures end while it may have been on its way.
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
    plan: &'p Plan,
    who: Who<'p>,
    /// Scenario time 0; if the events do not have it, the first packet that is read.
    start: Option<SimTime>,
    /// The last instant that whole captures have.
    end: SimTime,
    stretches: Vec<Asked>,
    /// If exchanges are wanted: those of each capture point, and what was seen of them.
    exchanges: Option<(Vec<Tracker>, Found)>,
    /// How many frames of each stretch are listed.
    listed: usize,
    has_read: bool,
}

/// A stretch, and what was found of it.
struct Asked {
    stretch: Stretch,
    found: Found,
    /// From when on it has no more.
    end: Option<SimTime>,
    /// How many messages that were.
    more: u64,
    /// The frames of what it asks for.
    frames: FrameList,
}

impl Asked {
    fn has(&self, time: SimTime) -> bool {
        (self.stretch.from..=self.stretch.to).contains(&time)
            && self.end.is_none_or(|end| time < end)
    }

    /// Nobody else's sightings count from `time` on, so that what is told is complete.
    fn cut(&mut self, time: SimTime) {
        self.end = Some(self.end.map_or(time, |end| end.min(time)));
    }

    /// Forgets what is not told.
    fn prune(&mut self) {
        let Some(end) = self.end else { return };
        self.found.retain(|s| {
            let is_told = s.time < end;
            self.more += u64::from(!is_told && s.is_own());
            is_told
        });
    }
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
        let asked = |stretch| Asked {
            stretch,
            found: Found::default(),
            end: None,
            more: 0,
            frames: FrameList::default(),
        };
        Reader {
            plan,
            who: Who::of(plan, &addresses),
            start: mobility::scenario_start(events),
            end: SimTime::ZERO,
            stretches: stretches.into_iter().map(asked).collect(),
            exchanges: exchanges.then(Default::default),
            listed: 0,
            has_read: false,
        }
    }

    /// Lists the first `most` frames of each stretch as well.
    pub fn listing(mut self, most: usize) -> Reader<'p> {
        self.listed = most;
        self
    }

    /// Whether there was any capture.
    pub fn has_read(&self) -> bool {
        self.has_read
    }

    /// Reads the captures of all interfaces of the plan's nodes: `capture` gives that of a node and an interface of
    /// its, if there is one. It is asked twice for each, so that no more than one need be in memory.
    pub fn read(&mut self, mut capture: impl FnMut(&str, &str) -> Option<Capture>) {
        let interfaces = self.plan.nodes.iter().flat_map(|(name, node)| {
            let all = crate::assemble::client_interfaces(node);
            all.map(move |interface| (name.as_str(), interface))
        });
        let interfaces: Vec<_> = (0..).zip(interfaces).collect();
        for (number, (node, interface)) in &interfaces {
            let capture = capture(node, interface);
            self.first(*number, node, interface, capture.as_ref());
        }
        let asks = self.found().map(Found::look);
        if asks.fold(false, |any, asks| any | asks) {
            for (number, (node, interface)) in &interfaces {
                if let Some(capture) = capture(node, interface) {
                    self.again(*number, node, interface, &capture);
                }
            }
        }
        self.found().for_each(Found::end);
    }

    /// Of the stretches, and of the exchanges.
    fn found(&mut self) -> impl Iterator<Item = &mut Found> {
        let stretches = self.stretches.iter_mut().map(|asked| &mut asked.found);
        let exchanges = self.exchanges.iter_mut().map(|(_, found)| found);
        stretches.chain(exchanges)
    }

    /// Reads a capture for what is asked for.
    fn first(&mut self, number: u32, node: &str, interface: &str, capture: Option<&Capture>) {
        let Some(mut point) = self.point(number, node, interface) else {
            return;
        };
        if let Some((trackers, _)) = &mut self.exchanges {
            trackers.push(Tracker::new(point.node));
        }
        let Some(capture) = capture else { return };
        self.has_read = true;
        let times = || capture.packets.iter().map(|packet| packet.time);
        if capture.damage.is_none() {
            self.who.has_capture(point.node, point.is_wired);
            self.end = times().fold(self.end, SimTime::max);
        }
        self.start = self.start.or(times().next());
        let is_numbered = frames::is_numbered(capture);
        for (number, packet) in (1..).zip(&capture.packets) {
            let place = is_numbered.then_some((interface, number));
            self.packet(&mut point, capture, packet, place);
        }
        let listed = self.listed;
        for asked in &mut self.stretches {
            asked.prune();
            asked.frames.cut(listed);
        }
    }

    /// Reads a capture for whatever else there is of what was found.
    fn again(&mut self, number: u32, node: &str, interface: &str, capture: &Capture) {
        let Some(mut point) = self.point(number, node, interface) else {
            return;
        };
        for packet in &capture.packets {
            let interface = capture.interfaces.get(packet.interface);
            let frame = interface.map(|interface| Frame::of(interface, packet));
            let Some(ip) = frame.and_then(|frame| point.decoder.read(frame)) else {
                continue;
            };
            point.order += 1;
            let known = content(&ip);
            if !self.found().any(|found| found.wants(known)) {
                continue;
            }
            let sighting = self.sighting(&point, &ip, known, None, &packet.data);
            self.found().for_each(|found| found.see(&sighting));
        }
    }

    fn point(&self, number: u32, node: &str, interface: &str) -> Option<Point> {
        Some(Point {
            number,
            order: 0,
            node: self.who.index(node)?,
            is_wired: interface == "eth0",
            decoder: Decoder::default(),
            dissectors: Dissectors::new(&dissect::all()),
            kept: vec![0; self.stretches.len()],
            listed: vec![0; self.stretches.len()],
        })
    }

    /// `place`: of which interface of the node's it is which packet of the file, if that is known.
    fn packet(
        &mut self,
        point: &mut Point,
        capture: &Capture,
        packet: &Packet,
        place: Option<(&str, u64)>,
    ) -> Option<()> {
        let interface = capture.interfaces.get(packet.interface)?;
        let ip = point.decoder.read(Frame::of(interface, packet))?;
        point.order += 1;
        let message = coap(&ip);
        let meaning = point.dissectors.read(&ip, message.as_ref());
        let mut sighting = self.sighting(point, &ip, content(&ip), meaning.as_ref(), &packet.data);
        let with_words = |sighting: &Sighting| Sighting {
            words: Words::of(&ip, message.as_ref(), meaning.as_ref()),
            ..sighting.clone()
        };
        if let (Some((trackers, found)), Some(message)) = (&mut self.exchanges, &message) {
            let tracker = trackers.last_mut()?;
            let exchange = tracker.see(&ip, message, meaning.as_ref(), &sighting);
            sighting.exchange = exchange.map(|number| (point.number, number));
            if exchange.is_some() {
                found.add(with_words(&sighting));
            }
        }
        if let Some(place) = place {
            let label = || Words::of(&ip, message.as_ref(), meaning.as_ref()).label;
            self.list(&mut point.listed, &sighting, packet.time, place, label);
        }
        for (asked, kept) in self.stretches.iter_mut().zip(&mut point.kept) {
            let stretch = &asked.stretch;
            if !(stretch.from..=stretch.to).contains(&sighting.time)
                || !self.who.concerns(&sighting, &stretch.nodes)
            {
                continue;
            }
            let most = stretch.most.saturating_mul(SIGHTINGS_PER_MESSAGE);
            if asked.has(sighting.time) && *kept < most {
                *kept += 1;
                asked.found.add(with_words(&sighting));
            } else {
                asked.cut(sighting.time);
                asked.more += u64::from(sighting.is_own());
            }
        }
        Some(())
    }

    /// Lists a frame for the stretches that it is of: of each capture the first ones, which are in the order of time.
    fn list(
        &mut self,
        counts: &mut [usize],
        sighting: &Sighting,
        time: SimTime,
        (interface, number): (&str, u64),
        label: impl Fn() -> String,
    ) {
        let name = |node: u32| self.who.name(node).to_owned();
        for (asked, count) in self.stretches.iter_mut().zip(counts) {
            let stretch = &asked.stretch;
            if !(stretch.from..=stretch.to).contains(&time)
                || !self.who.concerns(sighting, &stretch.nodes)
            {
                continue;
            }
            if *count >= self.listed {
                asked.frames.left_out += 1;
                continue;
            }
            *count += 1;
            asked.frames.frames.push(ListedFrame {
                time,
                node: name(sighting.node),
                interface: interface.to_owned(),
                number,
                from: sighting.from.map(name),
                to: sighting.to.map(name),
                is_multicast: sighting.is_multicast,
                label: label(),
            });
        }
    }

    /// What is seen of a packet at a point, without words.
    fn sighting(
        &self,
        point: &Point,
        ip: &IpPacket<'_>,
        content: u64,
        meaning: Option<&Meaning>,
        frame: &[u8],
    ) -> Sighting {
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
        Sighting {
            content,
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
        }
    }

    /// The frames of each stretch, in their order; see [`Reader::listing`].
    pub fn frames(&self) -> Vec<FrameList> {
        let listed = self.stretches.iter().map(|asked| asked.frames.clone());
        listed.collect()
    }

    /// The sequence of each stretch, in their order. `bands` are to be added by whoever knows them.
    pub fn sequences(&self) -> Vec<Sequence> {
        let made = self.stretches.iter().map(|asked| {
            let (mut messages, unknown) = passages::messages(&asked.found, &self.who, self.end);
            messages.retain(|m| asked.has(m.time()) && self.who.is_of(m, &asked.stretch.nodes));
            let room = Room::from(&asked.stretch);
            let mut sequence =
                draft::sequence(messages, &self.who, |time| self.seconds(time), room);
            sequence.start_s = self.seconds(asked.stretch.from);
            sequence.left_out += asked.more + unknown;
            sequence
        });
        made.collect()
    }

    /// The first exchange of every kind that was answered, and of those of which none was the first; in the
    /// order in which a reader sees most of them in the first ones. Each has `most` messages at most.
    pub fn first_exchanges(&self, most: usize) -> Vec<FirstExchange> {
        let Some((trackers, found)) = &self.exchanges else {
            return Vec::new();
        };
        let (messages, _) = passages::messages(found, &self.who, self.end);
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
    /// How many sightings are kept for each stretch.
    kept: Vec<usize>,
    /// How many frames are listed for each stretch.
    listed: Vec<usize>,
}
