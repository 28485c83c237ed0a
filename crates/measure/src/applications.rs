//! What nodes sent and received for their applications: messages by name, in packets, bytes and frames of the
//! radio, and what they missed of what they observe.
//!
//! A node's own captures have it, of what it sent itself and of what reached it, whatever became of it on its
//! way. What a client asks of a protocol is told by the protocol's dissector, and which protocols are an application's as well
//! ([`Protocol::is_application`]).
//!
//! | module | holds |
//! | --- | --- |
//! | `frames` | which frames of IEEE 802.15.4 a datagram crossed in |
//! | `observed` | notifications and their numbers |
//! | `polled` | what was to be asked at its times, and when it reached whom |
//! | `repeats` | which messages were sent before |

mod frames;
mod observed;
mod polled;
mod repeats;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use capture::decode::{Decoder, Frame, IpPacket};
use capture::{Capture, LinkType};
use coap::wire::Message;
use serde::{Deserialize, Serialize};
use topology::Plan;
use topology::plan::{NodeName, NodePlan};
use units::SimTime;

use self::frames::{Fragments, Octets};
use self::observed::Observations;
use self::polled::Arrivals;
pub use self::polled::{Delays, Polled};
use self::repeats::Repeats;
pub use crate::dissect::Protocol;
use crate::dissect::{self, Dissectors, Due};
use crate::signalling::coap;

/// What a node sent and received of one application's protocol, over the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// The node.
    pub node: NodeName,
    /// The protocol.
    pub protocol: Protocol,
    /// All that it sent.
    pub sent: Volume,
    /// All that reached it.
    pub received: Volume,
    /// The same message by message, by the names that the protocol's specification has for them. An answer, or
    /// an acknowledgement, has the name of what it answers.
    pub by_message: BTreeMap<String, Ways>,
    /// What it was notified of (RFC 7641); absent if it observes nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub notifications: Option<Observed>,
    /// What it was to ask at its times; absent if its plan has none, and if one that it was to ask was not captured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub polled: Option<Polled>,
    /// What happened, and how often, that no single message is; absent if nothing did.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub happened: BTreeMap<String, u64>,
}

/// Both ways of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    /// What the node sent.
    pub sent: Volume,
    /// What reached it.
    pub received: Volume,
}

/// Messages of one way, as the node's interfaces saw them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// UDP datagrams, the repeated ones among them.
    pub packets: u64,
    /// Bytes of what is in the datagrams: of CoAP from its header on.
    pub payload_bytes: u64,
    /// Bytes of the IP packets with all their headers, not compressed, tunnels among them.
    pub ip_bytes: u64,
    /// Of the packets those with a message that was sent before (RFC 7252 §4.2, §4.5).
    pub repeated: u64,
    /// What they were over the node's radio; absent without one, and if it is not known of all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub radio: Option<Radio>,
}

/// Frames of a radio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Radio {
    /// Frames of IEEE 802.15.4, each fragment one (RFC 4944 §5.3).
    pub frames: u64,
    /// Their octets from the frame control field to the FCS, both included.
    pub octets: u64,
}

/// What a node was notified of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Notifications after the answers to the registrations, each once.
    pub received: u64,
    /// Numbers of the Observe option that are missing between those received of one observation; null if
    /// most steps from one number to the next are longer than one, so that the numbers do not count notifications.
    pub lost: Option<u64>,
    /// The longest time from one message of an observation to its next, the answer among them, in seconds; null
    /// if no observation had two.
    pub longest_silence_s: Option<f64>,
}

impl Volume {
    /// Bytes as the third paper counts them: in frames of Ethernet (14) with IPv4 (20) and UDP (8), whatever
    /// the run had.
    pub fn bytes_in_ipv4(&self) -> u64 {
        self.payload_bytes + 42 * self.packets
    }
}

/// Both ways of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Sent,
    Received,
}

impl Ways {
    fn of(&mut self, way: Way) -> &mut Volume {
        match way {
            Way::Sent => &mut self.sent,
            Way::Received => &mut self.received,
        }
    }
}

/// What is counted of a node and a protocol.
#[derive(Debug, Default)]
struct Count {
    by_message: BTreeMap<String, Ways>,
    observed: Observations,
    happened: BTreeMap<String, u64>,
}

/// What all nodes of `plan` sent and received for applications, by node and protocol, and notes on what is not
/// known of that. `addresses` are those that the nodes had, `capture` finds the capture of an interface by node and name.
/// The scenario began at `start`.
///
/// A router with a NAT has no applications of its own: what has its address is of the nodes behind it.
pub fn applications<'c>(
    plan: &Plan,
    start: SimTime,
    addresses: &BTreeMap<IpAddr, NodeName>,
    capture: impl Fn(&str, &str) -> Option<&'c Capture>,
) -> (Vec<Application>, Vec<String>) {
    let (mut all, mut notes, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
    let due = |(name, node): (&'_ NodeName, &NodePlan)| (name.clone(), dissect::due(plan, node));
    let due: BTreeMap<NodeName, _> = plan.nodes.iter().map(due).collect();
    let mut arrivals = BTreeMap::new();
    for (name, node) in plan.nodes.iter().filter(|(_, node)| !node.translates()) {
        let wired = node.backbone.as_ref().map(|_| "eth0");
        let radio = node.radio.as_ref().map(|_| "lowpan0");
        let interfaces: Vec<&str> = wired.into_iter().chain(radio).collect();
        let found = interfaces.iter().map(|interface| capture(name, interface));
        let Some(captures) = found.collect::<Option<Vec<&Capture>>>() else {
            continue; // It was not captured, and whoever depends on it says so.
        };
        if captures.iter().any(|capture| capture.damage.is_some()) {
            damaged.push(format!(
                "what {name} sent and received for applications is not known: its capture is damaged"
            ));
            continue;
        }
        let mut view = View::new(name, node, addresses);
        for (asking, due) in due
            .iter()
            .flat_map(|(asking, all)| all.values().map(move |due| (asking, due)))
        {
            view.await_from(asking, due);
        }
        let over_radio: Vec<bool> = interfaces.iter().map(|i| *i == "lowpan0").collect();
        for (capture, over_radio) in captures.into_iter().zip(over_radio) {
            view.read(capture, over_radio);
        }
        arrivals.insert(name.clone(), std::mem::take(&mut view.arrivals));
        if view.counts.is_empty() {
            continue;
        }
        if radio.is_some() {
            notes.extend(view.read_frames(capture(name, "wpan0")));
        }
        all.extend(view.end());
    }
    if !all.is_empty() {
        notes.extend(damaged);
    }
    for of in &mut all {
        let due = due.get(&of.node).and_then(|all| all.get(&of.protocol));
        let due = due.map_or(&[][..], Vec::as_slice);
        of.polled = polled::polled((&of.node, &of.protocol), due, start, &arrivals);
    }
    (all, notes)
}

/// One node's captures.
struct View<'v> {
    name: &'v NodeName,
    own: BTreeSet<IpAddr>,
    addresses: &'v BTreeMap<IpAddr, NodeName>,
    /// The address that stands for all of a node, by each of them.
    one: BTreeMap<IpAddr, IpAddr>,
    counts: BTreeMap<Protocol, Count>,
    /// Messages with which others are to ask it, by who and how.
    awaited: BTreeSet<(&'v str, &'static str)>,
    /// When they did.
    arrivals: Arrivals,
    /// Datagrams of applications over the radio, by way.
    over_radio: BTreeMap<Way, u64>,
}

/// A message of an application.
struct Told {
    protocol: Protocol,
    message: String,
    way: Way,
    /// Whom else it is from or to.
    peer: Peer,
    coap: Message,
}

/// The other end of a message: a node, whatever its address, or the address of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Peer {
    who: Result<NodeName, IpAddr>,
    ports: [u16; 2],
}

impl<'v> View<'v> {
    fn new(
        name: &'v NodeName,
        node: &NodePlan,
        addresses: &'v BTreeMap<IpAddr, NodeName>,
    ) -> View<'v> {
        let of_node = addresses.iter().filter(|(_, who)| *who == name);
        let wired = node.backbone.as_ref().map(|b| IpAddr::V6(b.address.addr()));
        let radio = node.radio.as_ref();
        let link_local = radio.map(|radio| IpAddr::V6(radio.eui64.link_local()));
        let permanent = node.host.as_ref().map(|_| IpAddr::V6(node.address));
        let own = of_node.map(|(address, _)| *address);
        let own = own.chain(wired).chain(link_local).chain(permanent);
        let mut first = BTreeMap::new();
        let one = addresses.iter();
        let one = one.map(|(address, who)| (*address, *first.entry(who).or_insert(*address)));
        View {
            name,
            own: own.collect(),
            addresses,
            one: one.collect(),
            counts: BTreeMap::new(),
            awaited: BTreeSet::new(),
            arrivals: Arrivals::new(),
            over_radio: BTreeMap::new(),
        }
    }

    /// Another one, `asking`, is to ask what of `due` is for this node.
    fn await_from(&mut self, asking: &'v str, due: &[Due]) {
        let own = due.iter().filter(|due| due.to == *self.name);
        self.awaited.extend(own.map(|due| (asking, due.message)));
    }

    /// Keeps when a request came that was to come.
    fn arrived(&mut self, told: &Told, time: SimTime) {
        let Ok(who) = &told.peer.who else { return };
        let is_awaited = self
            .awaited
            .iter()
            .any(|(from, message)| *from == who && *message == told.message);
        if told.way == Way::Received && told.coap.code.is_request() && is_awaited {
            let key = (who.clone(), told.protocol.clone(), told.message.clone());
            self.arrivals.entry(key).or_default().push(time);
        }
    }

    /// Counts what an interface saw of the node's own.
    fn read(&mut self, capture: &Capture, over_radio: bool) {
        let (mut decoder, mut dissectors) = (Decoder::default(), Dissectors::new(&dissect::all()));
        let mut repeats = Repeats::default();
        for packet in &capture.packets {
            let Some(interface) = capture.interfaces.get(packet.interface) else {
                continue;
            };
            let Some(mut ip) = decoder.read(Frame::of(interface, packet)) else {
                continue;
            };
            let Some(told) = self.told(&mut dissectors, &mut ip) else {
                continue;
            };
            let Some(datagram) = ip.udp() else {
                continue;
            };
            let Told { way, ref peer, .. } = told;
            let is_repeated = repeats.see(way, peer, &told.coap, datagram.payload, ip.time);
            let count = self.counts.entry(told.protocol.clone()).or_default();
            let by_message = count.by_message.entry(told.message.clone()).or_default();
            let volume = by_message.of(way);
            volume.packets += 1;
            // The UDP header is in the payload of IP.
            volume.payload_bytes += ip.payload.length().saturating_sub(8) as u64;
            volume.ip_bytes += (ip.header_bytes + ip.payload.length()) as u64;
            volume.repeated += u64::from(is_repeated);
            if !is_repeated {
                self.arrived(&told, ip.time);
                let count = self.counts.entry(told.protocol.clone()).or_default();
                count.observed.see(way, peer, &told.coap, ip.time);
            }
            *self.over_radio.entry(way).or_default() += u64::from(over_radio);
        }
        for ((protocol, what), times) in dissectors.happened() {
            let happened = &mut self.counts.entry(protocol).or_default().happened;
            *happened.entry(what.to_owned()).or_default() += times;
        }
    }

    /// Adds what the messages were over the radio, or says why that is not known.
    fn read_frames(&mut self, capture: Option<&Capture>) -> Option<String> {
        let read = capture.and_then(|capture| self.frames(capture));
        // What the kernel put together of frames has to be what it gave to the node.
        let of_radio = self.over_radio.values().sum::<u64>() > 0;
        let Some((counted, _)) = read.filter(|(_, datagrams)| *datagrams == self.over_radio) else {
            let name = self.name;
            return of_radio.then(|| {
                format!(
                    "in which frames {name} sent and received for applications is not known: its capture of wpan0 is missing, damaged, or has other datagrams than that of lowpan0"
                )
            });
        };
        for (protocol, count) in &mut self.counts {
            for (message, ways) in &mut count.by_message {
                for way in [Way::Sent, Way::Received] {
                    let key = (protocol.clone(), message.clone(), way);
                    let radio = counted.get(&key).copied().unwrap_or_default();
                    ways.of(way).radio = Some(radio);
                }
            }
        }
        None
    }

    /// The frames of each message, and how many datagrams they made of each way. None if a frame is not of the kind
    /// whose octets are known.
    fn frames(&self, capture: &Capture) -> Option<(Frames, BTreeMap<Way, u64>)> {
        let known = |i: &capture::Interface| i.link_type == LinkType::IEEE802_15_4_NOFCS;
        if capture.damage.is_some() || !capture.interfaces.iter().all(known) {
            return None;
        }
        let mut decoder = Decoder::default();
        let first = self.frames_by(capture, &mut decoder);
        // Contexts of header compression may have been told after they were used first.
        match decoder.again() {
            Some(mut again) => self.frames_by(capture, &mut again),
            None => first,
        }
    }

    fn frames_by(
        &self,
        capture: &Capture,
        decoder: &mut Decoder,
    ) -> Option<(Frames, BTreeMap<Way, u64>)> {
        let mut dissectors = Dissectors::new(&dissect::all());
        let (mut fragments, mut counted) = (Fragments::default(), Frames::new());
        let ways = self.over_radio.keys();
        let mut datagrams: BTreeMap<Way, u64> = ways.map(|way| (*way, 0)).collect();
        for packet in &capture.packets {
            let interface = capture.interfaces.get(packet.interface)?;
            let frame = Frame::of(interface, packet);
            let repeated = decoder.repeated();
            let mut ip = decoder.read(frame);
            let is_repeated = decoder.repeated() > repeated;
            let of_before = fragments.completed(&packet.data).filter(|_| is_repeated);
            if let Some((key, octets, is_whole)) = of_before {
                // The MAC sent it again although it was received: who received it twice has it twice.
                add(&mut counted, &key, octets);
                *datagrams.entry(key.2).or_default() += u64::from(is_whole);
                continue;
            }
            let pending = fragments.take(frame, is_repeated, ip.as_ref());
            let Some(told) = ip.as_mut().and_then(|ip| self.told(&mut dissectors, ip)) else {
                continue;
            };
            let octets = pending?;
            let key = (told.protocol, told.message, told.way);
            add(&mut counted, &key, octets);
            *datagrams.entry(told.way).or_default() += 1;
            fragments.told(frame, key, octets.frames == 1);
        }
        Some((counted, datagrams))
    }

    /// What a packet of the node's own is, if it is an application's. The dissectors get nothing that only
    /// passes the node.
    /// They see a node that moves at one address, so that an answer from where it is now is one to what it was
    /// asked where it was before.
    fn told(&self, dissectors: &mut Dissectors, ip: &mut IpPacket<'_>) -> Option<Told> {
        let is_own = |address: IpAddr| self.own.contains(&address.to_canonical());
        let way = match (is_own(ip.src), is_own(ip.dst)) {
            (true, _) => Way::Sent,
            (false, true) => Way::Received,
            (false, false) => return None,
        };
        for address in [&mut ip.src, &mut ip.dst] {
            if let Some(one) = self.one.get(&address.to_canonical()) {
                *address = *one;
            }
        }
        let message = coap(ip);
        let meaning = dissectors.read(ip, message.as_ref())?;
        let datagram = ip.udp()?;
        let (here, there) = match way {
            Way::Sent => (datagram.src, datagram.dst),
            Way::Received => (datagram.dst, datagram.src),
        };
        meaning.protocol.is_application().then_some(Told {
            message: meaning.message.into_owned(),
            protocol: meaning.protocol,
            way,
            peer: self.peer(here, there),
            coap: message?,
        })
    }

    fn peer(&self, here: SocketAddr, there: SocketAddr) -> Peer {
        let address = there.ip().to_canonical();
        Peer {
            who: self.addresses.get(&address).cloned().ok_or(address),
            ports: [here.port(), there.port()],
        }
    }

    fn end(self) -> impl Iterator<Item = Application> {
        let View { name, counts, .. } = self;
        counts.into_iter().map(|(protocol, count)| Application {
            node: name.clone(),
            sent: sum(count.by_message.values().map(|ways| ways.sent)),
            received: sum(count.by_message.values().map(|ways| ways.received)),
            by_message: count.by_message,
            notifications: count.observed.end(),
            polled: None,
            happened: count.happened,
            protocol,
        })
    }
}

/// Frames and octets by protocol, message and way.
type Frames = BTreeMap<Key, Radio>;
type Key = (Protocol, String, Way);

fn add(counted: &mut Frames, key: &Key, octets: Octets) {
    let radio = counted.entry(key.clone()).or_default();
    radio.frames += octets.frames;
    radio.octets += octets.octets;
}

fn sum(volumes: impl Iterator<Item = Volume>) -> Volume {
    let both = |a: Option<Radio>, b: Option<Radio>| {
        let (a, b) = (a?, b?);
        Some(Radio {
            frames: a.frames + b.frames,
            octets: a.octets + b.octets,
        })
    };
    let none = Volume {
        radio: Some(Radio::default()),
        ..Volume::default()
    };
    volumes.fold(none, |sum, volume| Volume {
        packets: sum.packets + volume.packets,
        payload_bytes: sum.payload_bytes + volume.payload_bytes,
        ip_bytes: sum.ip_bytes + volume.ip_bytes,
        repeated: sum.repeated + volume.repeated,
        radio: both(sum.radio, volume.radio),
    })
}
