//! What a handover costs in messages: CoMP's, DHCPv6's and neighbour discovery's, counted in the
//! captures (the CoMP paper names the figure in section 4.2 and gives none).
//!
//! A message counts once on each side, however many links it crosses there: over the air where
//! it is in the capture of the node's radio, wired where it is in the capture of the node that
//! put it on the backbone. Its bytes are those of the IP packet, before the compression of
//! headers (RFC 6282) and without repetitions of the MAC.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use capture::decode::{Datagram, Decoder, Frame, IpPacket};
use capture::{Capture, Packet};
use coap::message::PORT;
use coap::wire::{Message, Token};
use serde::{Deserialize, Serialize};
use topology::Plan;
use topology::plan::NodeName;
use units::SimTime;

use crate::analysis::{P_ADDR, is_signalling};

/// Protocol number of ICMPv6.
const ICMPV6: u8 = 58;
/// Ports of DHCPv6 clients, and of servers and relay agents (RFC 8415 §7.2).
const DHCPV6_PORTS: [u16; 2] = [546, 547];
/// RELAY-FORW and RELAY-REPL (RFC 8415 §7.3), and where their peer-address is (§9).
const RELAYED: [u8; 2] = [12, 13];
const PEER_ADDRESS: std::ops::Range<usize> = 18..34;

/// A protocol whose messages a handover needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Requests for `/comp` or with an option of CoMP, and what answers them.
    Comp,
    /// RFC 8415.
    Dhcpv6,
    /// RFC 4861 and RFC 6775: solicitations, advertisements, duplicate address requests.
    NeighbourDiscovery,
}

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
        messages: sum.messages + cost.messages,
        bytes: sum.bytes + cost.bytes,
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
                asked: BTreeMap::new(),
            };
            let mut decoder = Decoder::default();
            let packets = capture.packets.iter();
            sent.extend(packets.filter_map(|p| view.sent(&mut decoder, capture, p)));
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
            let cost = side.entry(message.protocol).or_default();
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

    fn octets(&self, octets: &[u8]) -> Option<&'p str> {
        let octets: [u8; 16] = octets.try_into().ok()?;
        self.one(Ipv6Addr::from(octets).into())
    }
}

/// One interface's capture.
struct View<'s, 'p> {
    subjects: &'s Subjects<'p>,
    node: &'p str,
    /// Of the backbone interface; frames that it did not send are in its peer's capture.
    mac: Option<[u8; 6]>,
    /// Whom CoMP's requests so far were about, by client, server and token.
    asked: BTreeMap<(SocketAddr, SocketAddr, Key), &'p str>,
}

/// What a response has of its request: an empty one the Message ID, another one the token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    MessageId(u16),
    Token(Token),
}

impl<'p> View<'_, 'p> {
    fn sent(
        &mut self,
        decoder: &mut Decoder,
        capture: &Capture,
        packet: &Packet,
    ) -> Option<Sent<'p>> {
        let interface = capture.interfaces.get(packet.interface)?;
        let ip = decoder.read(Frame::of(interface.link_type, packet))?;
        let (protocol, node) = self.told(&ip)?;
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
            protocol,
            bytes: header_length(ip.src) + ip.payload.length() as u64,
        })
    }

    fn told(&mut self, ip: &IpPacket<'_>) -> Option<(Protocol, &'p str)> {
        if ip.protocol == ICMPV6 {
            // 133 to 137 of RFC 4861; 157 and 158 of RFC 6775.
            let discovery = matches!(ip.payload.first()?, 133..=137 | 157 | 158);
            let on_air = self.mac.is_none() && discovery;
            return on_air.then_some((Protocol::NeighbourDiscovery, self.node));
        }
        let datagram = ip.udp()?;
        let ports = [datagram.src.port(), datagram.dst.port()];
        if ports.iter().any(|port| DHCPV6_PORTS.contains(port)) {
            let relayed = datagram
                .payload
                .first()
                .is_some_and(|t| RELAYED.contains(t));
            let node = match relayed {
                true => self.subjects.octets(datagram.payload.get(PEER_ADDRESS)?),
                false => self.mac.is_none().then_some(self.node),
            };
            return Some((Protocol::Dhcpv6, node?));
        }
        let node = ports.contains(&PORT).then(|| self.comp(&datagram))??;
        Some((Protocol::Comp, node))
    }

    fn comp(&mut self, datagram: &Datagram<'_>) -> Option<&'p str> {
        let message = Message::decode(datagram.payload).ok()?;
        let (from, to) = (datagram.src, datagram.dst);
        let (id, token) = (
            Key::MessageId(message.message_id),
            Key::Token(message.token),
        );
        if message.code.is_request() {
            if !is_signalling(&message) {
                return None;
            }
            let named = message
                .options
                .get(P_ADDR)
                .and_then(|p| self.subjects.octets(p));
            let ends = || self.subjects.one(from.ip()).or(self.subjects.one(to.ip()));
            let node = named.or_else(ends)?;
            self.asked.insert((from, to, id), node);
            self.asked.insert((from, to, token), node);
            return Some(node);
        }
        // A response, or an empty message: to whom the request came from, or, if it
        // acknowledges a separate response, the other way round.
        let key = if message.code.is_response() {
            token
        } else {
            id
        };
        let answers = self.asked.get(&(to, from, key)).copied();
        if let Some(node) = answers.filter(|_| message.code.is_response()) {
            self.asked.insert((from, to, id), node);
        }
        answers
    }
}

/// Length of an IP header without options or extensions, bytes.
fn header_length(address: IpAddr) -> u64 {
    if address.is_ipv4() { 20 } else { 40 }
}
