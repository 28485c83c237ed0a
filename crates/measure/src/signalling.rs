//! What a handover costs in messages of the protocols that there is a dissector of, counted in the
//! captures (the CoMP paper names the figure in section 4.2 and gives none).
//!
//! A message counts once on each side, however many links it crosses there: over the air where
//! it is in the capture of the node's radio, wired where it is in the capture of the node that
//! put it on the backbone. Its bytes are those of the IP packet, before the compression of
//! headers (RFC 6282) and without repetitions of the MAC.

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
use crate::dissect::{self, Dissectors, Subject};

/// Messages, and the bytes of their IP packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// How many.
    pub messages: u64,
    /// Bytes from the IP header on.
    pub bytes: u64,
}

/// What a handover cost; protocols that sent nothing are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signalling {
    /// Between the node and its routers.
    pub air: BTreeMap<Protocol, Cost>,
    /// On the backbone. Neighbour discovery there is not the node's.
    pub wired: BTreeMap<Protocol, Cost>,
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
    bytes: u64,
}

/// Every signalling message of a run, by the node that it is about.
pub struct Traffic<'p> {
    sent: Vec<Sent<'p>>,
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
        let mut sent = Vec::new();
        let mut read = |node: &'p str, interface: &str, mac: Option<[u8; 6]>| {
            let capture = capture(node, interface).filter(|c| c.damage.is_none())?;
            let mut view = View {
                subjects: &subjects,
                node,
                mac,
                decoder: Decoder::default(),
                dissectors: Dissectors::new(&dissect::all()),
            };
            let packets = capture.packets.iter();
            sent.extend(packets.filter_map(|p| view.sent(capture, p)));
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
        Some(Traffic { sent })
    }

    /// What was sent for `node` from `start` to `end`, both included.
    pub fn between(&self, node: &str, start: SimTime, end: SimTime) -> Signalling {
        let first = self.sent.partition_point(|message| message.time < start);
        let within = self.sent[first..].iter().take_while(|m| m.time <= end);
        let mut signalling = Signalling::default();
        for message in within.filter(|m| m.node == node) {
            let side = match message.side {
                Side::Air => &mut signalling.air,
                Side::Wire => &mut signalling.wired,
            };
            let cost = side.entry(message.protocol.clone()).or_default();
            cost.messages += 1;
            cost.bytes += message.bytes;
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

/// One interface's capture.
struct View<'s, 'p> {
    subjects: &'s Subjects<'p>,
    node: &'p str,
    /// Of the backbone interface; frames that it did not send are in its peer's capture.
    mac: Option<[u8; 6]>,
    decoder: Decoder,
    dissectors: Dissectors,
}

impl<'p> View<'_, 'p> {
    fn sent(&mut self, capture: &Capture, packet: &Packet) -> Option<Sent<'p>> {
        let interface = capture.interfaces.get(packet.interface)?;
        let ip = self.decoder.read(Frame::of(interface, packet))?;
        let meaning = self.dissectors.read(&ip, coap(&ip).as_ref())?;
        let node = match &meaning.subject {
            Subject::Node(addresses) => {
                let mut addresses = addresses.iter();
                addresses.find_map(|address| self.subjects.one(*address))?
            }
            // On the backbone, nobody in particular.
            Subject::Link => self.mac.is_none().then_some(self.node)?,
        };
        let own = self
            .mac
            .is_none_or(|mac| packet.data.get(6..12) == Some(&mac[..]));
        own.then_some(Sent {
            time: packet.time,
            node,
            side: if self.mac.is_some() {
                Side::Wire
            } else {
                Side::Air
            },
            protocol: meaning.protocol,
            bytes: (ip.header_bytes + ip.payload.length()) as u64,
        })
    }
}

fn coap(packet: &IpPacket<'_>) -> Option<Message> {
    let datagram = packet.udp()?;
    let ports = [datagram.src.port(), datagram.dst.port()];
    let message = ports.contains(&PORT).then_some(datagram.payload)?;
    Message::decode(message).ok()
}
