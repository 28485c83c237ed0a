//! What a handover costs in messages of the protocols that there is a dissector of, counted in the
//! captures (the CoMP paper names the figure in section 4.2 and gives none).
//!
//! A message counts once on each side, however many links it crosses there: over the air where
//! it is in the capture of the node's radio, wired where it is in the capture of the node that
//! put it on the backbone; one that the end of a tunnel puts there again, without the tunnel, counts again. Its bytes are those of the IP packet, before the compression of
//! headers (RFC 6282) and without repetitions of the MAC.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use capture::decode::{Decoder, Frame, IpPacket};
use capture::{Capture, Packet};
use coap::message::PORT;
use coap::wire::Message;
use serde::{Deserialize, Serialize};
use topology::Plan;
use topology::plan::NodeName;
use units::SimTime;

pub use crate::dissect::Protocol;
use crate::dissect::{self, Dissectors, Faults, Subject};
use crate::text::faults_text;

/// Messages, and the bytes of their IP packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// How many.
    pub messages: u64,
    /// Bytes from the IP header on.
    pub bytes: u64,
}

impl Cost {
    fn add(&mut self, bytes: u64) {
        self.messages += 1;
        self.bytes += bytes;
    }
}

/// What a handover cost; protocols that sent nothing are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signalling {
    /// Between the node and its routers.
    pub air: BTreeMap<Protocol, Cost>,
    /// On the backbone. Neighbour discovery there is not the node's.
    pub wired: BTreeMap<Protocol, Cost>,
    /// The same message by message, by the names that their specifications have for them; empty in the
    /// results of before.
    #[serde(default)]
    pub by_message: BTreeMap<Protocol, BTreeMap<String, Sides>>,
}

/// What one message of a protocol cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides {
    /// Between the node and its routers.
    pub air: Cost,
    /// On the backbone.
    pub wired: Cost,
}

impl Signalling {
    /// All protocols over the air.
    pub fn over_air(&self) -> Cost {
        total(&self.air)
    }

    /// All protocols on the backbone.
    pub fn on_wire(&self) -> Cost {
        total(&self.wired)
    }
}

fn total(costs: &BTreeMap<Protocol, Cost>) -> Cost {
    costs.values().fold(Cost::default(), |sum, cost| Cost {
        messages: sum.messages.saturating_add(cost.messages),
        bytes: sum.bytes.saturating_add(cost.bytes),
    })
}

/// What tunnels and extension headers cost on one side: the bytes of a node's CoAP packets, of no
/// protocol's own, that are before their upper layer and are no single IPv6 header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers {
    /// CoAP messages in packets with more than one IPv6 header.
    pub messages: u64,
    /// What their packets have more, bytes.
    pub bytes: u64,
}

/// What tunnels and extension headers cost a node over a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overhead {
    /// The node.
    pub node: NodeName,
    /// Between the node and its routers.
    pub air: Headers,
    /// On the backbone, each time that a packet was put there.
    pub wired: Headers,
    /// Bytes over the air for each request to the node; null if there was none.
    pub air_bytes_per_request: Option<f64>,
    /// The same on the backbone.
    pub wired_bytes_per_request: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Air,
    Wire,
}

struct Sent<'p> {
    time: SimTime,
    node: &'p str,
    side: Side,
    protocol: Protocol,
    message: Cow<'static, str>,
    bytes: u64,
}

/// Every signalling message of a run, by the node that it is about.
pub struct Traffic<'p> {
    sent: Vec<Sent<'p>>,
    /// What tunnels and extension headers cost, over the air and on the backbone.
    overhead: BTreeMap<&'p str, (Headers, Headers)>,
    /// What was wrong with messages, by the interface that saw them.
    faults: Vec<(String, Faults)>,
    has_applications: bool,
}

impl<'p> Traffic<'p> {
    /// Reads the captures of all interfaces, by node and interface; `addresses` are those that
    /// the mobile nodes had. `None` if the capture of an interface is missing or damaged.
    pub fn of<'c>(
        plan: &'p Plan,
        addresses: &BTreeMap<IpAddr, NodeName>,
        capture: impl Fn(&str, &str) -> Option<&'c Capture>,
    ) -> Option<Traffic<'p>> {
        let subjects = Subjects::of(plan, addresses);
        let (mut sent, mut faults) = (Vec::new(), Vec::new());
        let (mut overhead, mut has_applications) = (BTreeMap::new(), false);
        let mut read = |node: &'p str, interface: &str, mac: Option<[u8; 6]>| {
            let capture = capture(node, interface).filter(|c| c.damage.is_none())?;
            let mut view = View {
                subjects: &subjects,
                node,
                mac,
                decoder: Decoder::default(),
                dissectors: Dissectors::new(&dissect::all()),
                has_applications: false,
            };
            let packets = capture.packets.iter();
            for packet in packets {
                match view.read(capture, packet) {
                    Some(Found::Message(message)) => sent.push(message),
                    Some(Found::Extra(of, bytes)) => {
                        let (air, wired): &mut (Headers, Headers) = overhead.entry(of).or_default();
                        let side = if mac.is_none() { air } else { wired };
                        side.messages += 1;
                        side.bytes += bytes;
                    }
                    None => {}
                }
            }
            faults.push((format!("{node}.{interface}"), view.dissectors.faults()));
            has_applications |= view.has_applications;
            Some(())
        };
        for (name, node) in &plan.nodes {
            if let Some(backbone) = &node.backbone {
                read(name, "eth0", Some(backbone.mac.0))?;
            }
            // What a router's radio sees is in the captures of the other ends.
            if node.host.is_some() {
                read(name, "lowpan0", None)?;
            }
        }
        sent.sort_by_key(|message| message.time);
        faults.retain(|(_, faults)| !faults.is_empty());
        Some(Traffic {
            sent,
            overhead,
            faults,
            has_applications,
        })
    }

    /// Whether there were messages of an application's protocol, which are no signalling.
    pub(crate) fn has_applications(&self) -> bool {
        self.has_applications
    }

    /// What tunnels and extension headers cost each node that had some; `requests` are how many went to
    /// it.
    pub fn overhead(&self, requests: impl Fn(&str) -> usize) -> Vec<Overhead> {
        let all = self.overhead.iter().map(|(node, (air, wired))| {
            let asked = requests(node);
            // Of more messages than requests and answers, some are of something else. On the backbone one
            // counts in every tunnel that it goes through, over the air once.
            let once = if air.messages > 0 { air } else { wired };
            let of_requests = once.messages <= asked as u64 * 2 + asked as u64 / 10;
            let each = |side: &Headers| {
                (asked > 0 && of_requests).then(|| side.bytes as f64 / asked as f64)
            };
            Overhead {
                node: (*node).to_owned(),
                air: *air,
                wired: *wired,
                air_bytes_per_request: each(air),
                wired_bytes_per_request: each(wired),
            }
        });
        all.collect()
    }

    /// What was wrong with messages of protocols, a sentence for each interface that saw them.
    pub(crate) fn faults(&self) -> impl Iterator<Item = String> {
        let faults = self.faults.iter();
        faults.map(|(interface, faults)| format!("capture of {interface}: {}", faults_text(faults)))
    }

    /// What was sent for `node` from `start` to `end`, both included.
    pub fn between(&self, node: &str, start: SimTime, end: SimTime) -> Signalling {
        let first = self.sent.partition_point(|message| message.time < start);
        let within = self.sent[first..].iter().take_while(|m| m.time <= end);
        let mut signalling = Signalling::default();
        for message in within.filter(|m| m.node == node) {
            let protocol = message.protocol.clone();
            let by_name = signalling.by_message.entry(protocol.clone()).or_default();
            let sides = by_name.entry(message.message.to_string()).or_default();
            let (side, of_message) = match message.side {
                Side::Air => (&mut signalling.air, &mut sides.air),
                Side::Wire => (&mut signalling.wired, &mut sides.wired),
            };
            side.entry(protocol).or_default().add(message.bytes);
            of_message.add(message.bytes);
        }
        signalling
    }
}

/// Which node an address is of.
struct Subjects<'p>(BTreeMap<IpAddr, &'p str>);

impl<'p> Subjects<'p> {
    fn of(plan: &'p Plan, addresses: &BTreeMap<IpAddr, NodeName>) -> Subjects<'p> {
        let mut subjects = BTreeMap::new();
        for (name, node) in &plan.nodes {
            if let (Some(radio), Some(_)) = (&node.radio, &node.host) {
                let of_node = addresses.iter().filter(|(_, n)| *n == name);
                subjects.extend(of_node.map(|(address, _)| (*address, name.as_str())));
                subjects.insert(radio.eui64.link_local().into(), name.as_str());
            }
        }
        Subjects(subjects)
    }

    fn one(&self, address: IpAddr) -> Option<&'p str> {
        self.0.get(&address.to_canonical()).copied()
    }
}

/// Bytes of the header that every packet has (RFC 8200 §3).
const IPV6_HEADER: u64 = 40;

/// What a packet is.
enum Found<'p> {
    /// A message of a protocol.
    Message(Sent<'p>),
    /// A CoAP message from or to a node, and how many bytes of headers more than one IPv6 header.
    Extra(&'p str, u64),
}

/// One interface's capture.
struct View<'s, 'p> {
    subjects: &'s Subjects<'p>,
    node: &'p str,
    /// Of the backbone interface; frames that it did not send are in its peer's capture.
    mac: Option<[u8; 6]>,
    decoder: Decoder,
    dissectors: Dissectors,
    /// Whether there was a message of an application's protocol.
    has_applications: bool,
}

impl<'p> View<'_, 'p> {
    /// Whose the headers of a packet are that are more than one: on the air of who captured it, on the
    /// backbone of the end that is at two addresses of its node at once.
    fn whose(&self, ip: &IpPacket<'_>) -> Option<&'p str> {
        if self.mac.is_none() {
            return Some(self.node);
        }
        let around = ip.outer.first().unwrap_or(&ip.header);
        let ends = [(ip.src, around.src), (ip.dst, around.dst)];
        let one = |(inner, _): &(IpAddr, IpAddr)| self.subjects.one(*inner);
        let is_at_two = |end: &&(IpAddr, IpAddr)| {
            let (inner, outer) = **end;
            inner != outer
                && self
                    .subjects
                    .one(outer)
                    .is_some_and(|node| Some(node) == one(end))
        };
        let moved = ends.iter().find(is_at_two).and_then(one);
        moved.or_else(|| ends.iter().find_map(one))
    }

    fn read(&mut self, capture: &Capture, packet: &Packet) -> Option<Found<'p>> {
        let interface = capture.interfaces.get(packet.interface)?;
        let ip = self.decoder.read(Frame::of(interface, packet))?;
        let message = coap(&ip);
        let meaning = self.dissectors.read(&ip, message.as_ref());
        let of_application = |m: &dissect::Meaning| m.protocol.is_application();
        self.has_applications |= meaning.as_ref().is_some_and(of_application);
        let meaning = meaning.filter(|meaning| !of_application(meaning));
        let own = self
            .mac
            .is_none_or(|mac| packet.data.get(6..12) == Some(&mac[..]));
        if !own {
            return None;
        }
        let Some(meaning) = meaning else {
            let extra = (ip.header_bytes as u64).saturating_sub(IPV6_HEADER);
            let counts = message.is_some() && extra > 0;
            let node = self.whose(&ip).filter(|_| counts);
            return node.map(|node| Found::Extra(node, extra));
        };
        let node = match &meaning.subject {
            Subject::Node(addresses) => {
                let mut addresses = addresses.iter();
                addresses.find_map(|address| self.subjects.one(*address))?
            }
            // On the backbone, nobody in particular.
            Subject::Link => self.mac.is_none().then_some(self.node)?,
        };
        Some(Found::Message(Sent {
            time: packet.time,
            node,
            side: if self.mac.is_some() {
                Side::Wire
            } else {
                Side::Air
            },
            protocol: meaning.protocol,
            message: meaning.message,
            bytes: (ip.header_bytes + ip.payload.length()) as u64,
        }))
    }
}

/// The CoAP message in a packet, if it is from or to CoAP's port.
pub(crate) fn coap(packet: &IpPacket<'_>) -> Option<Message> {
    let datagram = packet.udp()?;
    let ports = [datagram.src.port(), datagram.dst.port()];
    let message = ports.contains(&PORT).then_some(datagram.payload)?;
    Message::decode(message).ok()
}
