use std::net::SocketAddr;

use etherparse::PacketBuilder;

use super::*;

mod acks;
mod esp;
mod ip;
mod radio;
mod sixlowpan;
mod tunnels;

const V4: ([u8; 4], [u8; 4]) = ([192, 0, 2, 1], [192, 0, 2, 2]);

fn v6_address(last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    address[15] = last;
    address
}

/// An IPv6 packet with a UDP datagram.
fn v6_packet(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv6(v6_address(1), v6_address(2), 64)
        .udp(40000, 5683)
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

fn v4_packet(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(V4.0, V4.1, 64)
        .udp(40000, 5683)
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

/// A datagram with its payload.
#[derive(Clone, Debug, PartialEq)]
struct Udp {
    src: SocketAddr,
    dst: SocketAddr,
    payload: Vec<u8>,
    truncated: bool,
}

impl Udp {
    fn of(packet: &IpPacket<'_>) -> Option<Udp> {
        let datagram = packet.udp()?;
        Some(Udp {
            src: datagram.src,
            dst: datagram.dst,
            payload: datagram.payload.to_vec(),
            truncated: datagram.truncated,
        })
    }
}

/// A frame that was captured whole.
fn frame(link_type: LinkType, bytes: &[u8]) -> Frame<'_> {
    Frame {
        time: SimTime::ZERO,
        link_type,
        bytes,
        length: bytes.len(),
        received: true,
    }
}

/// What a decoder makes of one frame.
fn ip(link_type: LinkType, bytes: &[u8]) -> Option<IpPacket<'_>> {
    Decoder::default().read(frame(link_type, bytes))
}

fn udp(link_type: LinkType, bytes: &[u8]) -> Option<Udp> {
    Udp::of(&ip(link_type, bytes)?)
}

/// Why a decoder does not read a frame.
fn unread(link_type: LinkType, bytes: &[u8]) -> Option<Unread> {
    let mut decoder = Decoder::default();
    decoder.read(frame(link_type, bytes));
    decoder.unread().keys().next().copied()
}
