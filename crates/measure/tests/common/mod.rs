//! Builds captures message by message.

use std::net::{IpAddr, SocketAddr};

use capture::{Capture, Interface, LinkType, Packet};
use coap::wire::{Message, Token};
use coap::{Code, Kind, Options, Request};
use etherparse::PacketBuilder;
use measure::analysis::{Flow, Gap};
use units::SimTime;

/// Unix time of the first instant, nanoseconds.
pub const START: u64 = 1_600_000_000_000_000_000;

/// The instant `us` microseconds after the start.
pub fn at(us: u64) -> SimTime {
    SimTime::from_nanos(START + us * 1000)
}

/// The times of a flow's handovers, which it shows all.
pub fn handovers(flow: &Flow) -> Vec<Gap> {
    let handovers = flow.handovers().into_iter();
    handovers.map(|handover| handover.gap.unwrap()).collect()
}

/// A GET.
pub fn get(kind: Kind, message_id: u16, token: u8, path: &str) -> Message {
    let request = Request::new(Code::GET, path);
    Message {
        kind,
        code: request.method,
        message_id,
        token: Token::new(&[token]).unwrap(),
        options: request.options,
        payload: Vec::new(),
    }
}

/// A 2.05 response.
pub fn content(kind: Kind, message_id: u16, token: u8) -> Message {
    Message {
        kind,
        code: Code::CONTENT,
        message_id,
        token: Token::new(&[token]).unwrap(),
        options: Options::new(),
        payload: b"21.5".to_vec(),
    }
}

/// An IP packet with a message in a UDP datagram.
pub fn ip_packet(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    ip_packet_at(64, from, to, payload)
}

/// The same with its hop limit.
pub fn ip_packet_at(hop_limit: u8, from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let builder = match (from.ip(), to.ip()) {
        (IpAddr::V6(a), IpAddr::V6(b)) => PacketBuilder::ipv6(a.octets(), b.octets(), hop_limit),
        (IpAddr::V4(a), IpAddr::V4(b)) => PacketBuilder::ipv4(a.octets(), b.octets(), hop_limit),
        _ => panic!("{from} and {to} are of different families"),
    };
    let mut packet = Vec::new();
    let builder = builder.udp(from.port(), to.port());
    builder.write(&mut packet, payload).unwrap();
    packet
}

/// A capture of one interface, raw IP.
pub struct Wire(pub Vec<Packet>);

impl Wire {
    pub fn new() -> Wire {
        Wire(Vec::new())
    }

    /// A message at `us` microseconds.
    pub fn message(&mut self, us: u64, from: &str, to: &str, message: &Message) -> &mut Wire {
        let packet = ip_packet(from, to, &message.encode());
        self.0.push(Packet::new(0, at(us), packet));
        self
    }

    /// A message at `us` microseconds that has come as far as its hop limit says.
    pub fn message_at(
        &mut self,
        hop_limit: u8,
        us: u64,
        from: &str,
        to: &str,
        message: &Message,
    ) -> &mut Wire {
        let packet = ip_packet_at(hop_limit, from, to, &message.encode());
        self.0.push(Packet::new(0, at(us), packet));
        self
    }

    /// A GET of /t at `us` with a piggy-backed response 1 ms later.
    pub fn poll(&mut self, us: u64, message_id: u16, token: u8, from: &str, to: &str) -> &mut Wire {
        let get = get(Kind::Confirmable, message_id, token, "/t");
        self.message(us, from, to, &get);
        let ack = content(Kind::Acknowledgement, message_id, token);
        self.message(us + 1000, to, from, &ack)
    }

    pub fn capture(&self) -> Capture {
        let mut packets = self.0.clone();
        packets.sort_by_key(|p| p.time);
        Capture {
            name: "wire".into(),
            interfaces: vec![Interface::new("wire", LinkType::RAW)],
            packets,
            damage: None,
        }
    }
}
