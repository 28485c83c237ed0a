//! From a captured frame to an IP packet and what it carries, one layer after the other.
//!
//! ```text
//! link type ── Ethernet, VLAN, cooked, loopback, raw ──────────────┐
//!     │                                                            v
//!     └─ PHY, TAP, FCS ── IEEE 802.15.4 ── 6LoWPAN ──────────── IPv4, IPv6 ──> upper layer
//!                                     mesh, fragments,          │      ^
//!                                     IPHC, NHC                 v      │
//!                                                extension headers, fragments,
//!                                                tunnels (IPv4, IPv6, GRE),
//!                                                ESP without encryption,
//!                                                UDP of a sniffer (ZEP): back to PHY
//! ```
//!
//! A layer is a function over the bytes that are left and what the layers below said: it takes
//! its header off and gives the kind of the next layer, or an end, or why it is not read. Each has
//! a file of its own and a line in the registry, `decode/layer.rs`, where to begin with another.
//!
//! A [`Decoder`] belongs to one capture point, an interface of a capture, whose frames it takes in
//! their order: fragments, header compression contexts and repetitions of the MAC are
//! known from frames before. What it keeps of them is bounded. What it does not read it counts by
//! kind ([`Unread`]).
//!
//! Addresses are those that upper layers see: behind a routing header the last one of the route,
//! with a Home Address option (RFC 6275 §6.3) the home address. Those on the wire are in
//! [`IpPacket::header`], those of the tunnels around it in [`IpPacket::outer`]. Upper-layer
//! protocols, the Mobility Header (135) among them, end the chain: what they mean is their
//! reader's business. Checksums are not verified, and one that 6LoWPAN elided is zero.
//!
//! ```
//! use capture::decode::{Decoder, Frame};
//! use capture::{Interface, LinkType, Packet};
//! use units::SimTime;
//!
//! // IEEE 802.15.4: data in PAN 1, from 2 to 1. 6LoWPAN: link-local addresses elided, UDP ports
//! // 61618 and 61619.
//! let mut bytes = vec![0x41, 0x88, 7, 1, 0, 1, 0, 2, 0];
//! bytes.extend([0x7e, 0x33, 0xf7, 0x23]);
//! bytes.extend(b"hello");
//! let packet = Packet::new(0, SimTime::ZERO, bytes);
//!
//! let mut decoder = Decoder::default();
//! let frame = Frame::of(&Interface::new("wpan0", LinkType::IEEE802_15_4_NOFCS), &packet);
//! let packet = decoder.read(frame).ok_or("an IP packet")?;
//! let datagram = packet.udp().ok_or("a UDP datagram")?;
//! assert_eq!(datagram.src, "[fe80::ff:fe00:2]:61618".parse()?);
//! assert_eq!(datagram.payload, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod layer;
mod packet;
mod payload;
mod unread;

use std::collections::BTreeMap;

use ipnet::Ipv6Net;
use units::{PanId, SimTime};

use crate::packet::{Interface, LinkType, Packet};
use crate::tap;
use layer::{Below, Kind, State, Step};

pub use packet::{Datagram, Header, IpPacket, Link, LinkAddress, Segment, Sender, TCP, UDP};
pub use payload::Payload;
pub use unread::{Unread, UnreadFrames};

/// Layers in a frame. A packet of this project's networks has some ten; the most that a frame of
/// 127 bytes has room for is not much more.
const MAX_LAYERS: usize = 64;

/// What a decoder knows before the first frame.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The prefixes of 6LoWPAN header compression by context (RFC 6282 §3.1.1), in all PANs. They
    /// count before what router advertisements in the capture say.
    pub contexts: BTreeMap<u8, Ipv6Net>,
}

/// A frame as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'f> {
    /// When.
    pub time: SimTime,
    /// What it starts with.
    pub link_type: LinkType,
    /// What was captured of it.
    pub bytes: &'f [u8],
    /// Bytes on the wire; more if the capture cut it.
    pub length: usize,
    /// Whether anybody received it. A capture of the air also has frames that nobody did.
    pub received: bool,
}

impl<'f> Frame<'f> {
    /// A packet of this interface.
    pub fn of(interface: &Interface, packet: &'f Packet) -> Frame<'f> {
        Frame {
            time: packet.time,
            link_type: interface.link_type,
            bytes: &packet.data,
            length: packet.original_len as usize,
            received: tap::received_of(interface, packet).unwrap_or(true),
        }
    }
}

/// Decodes the frames of one capture point.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    unread: UnreadFrames,
}

impl Decoder {
    /// One that has seen no frame.
    pub fn new(options: Options) -> Decoder {
        Decoder {
            state: State::new(options.contexts),
            unread: UnreadFrames::new(),
        }
    }

    /// Takes a frame; returns the IP packet that it carries or completes, with its upper-layer
    /// protocol. Nothing comes of frames that carry none (an acknowledgement, a beacon), of
    /// fragments while others are missing, of repetitions of the MAC, and of what is not read.
    pub fn read<'f>(&mut self, frame: Frame<'f>) -> Option<IpPacket<'f>> {
        match self.walk(frame) {
            Ok(packet) => packet,
            Err(unread) => {
                *self.unread.entry(unread).or_default() += 1;
                None
            }
        }
    }

    fn walk<'f>(&mut self, frame: Frame<'f>) -> Result<Option<IpPacket<'f>>, Unread> {
        self.state.begin_frame();
        let mut below = Below::new(frame.time, frame.received);
        let mut kind = Kind::Link(frame.link_type);
        let mut data = Payload::new(frame.bytes, frame.length);
        for _ in 0..MAX_LAYERS {
            let Some(layer) = layer::of(kind) else {
                return match kind {
                    Kind::Link(link_type) => Err(Unread::LinkType(link_type)),
                    Kind::EtherType(number) => Err(Unread::EtherType(number)),
                    Kind::Protocol(protocol) => Ok(below.packet(protocol, data)),
                    Kind::Ip | Kind::Mac | Kind::Sixlowpan => Ok(None),
                };
            };
            kind = match layer(&mut data, &mut below, &mut self.state)? {
                Step::Next(kind) => kind,
                Step::End(protocol) => return Ok(below.packet(protocol, data)),
                Step::Nothing => return Ok(None),
            };
        }
        Err(Unread::Named("more layers than a packet has"))
    }

    /// Frames that were not read so far, by why not.
    pub fn unread(&self) -> &UnreadFrames {
        &self.unread
    }

    /// Packets, IP's and 6LoWPAN's, of which fragments are missing so far.
    pub fn incomplete(&self) -> u64 {
        self.state.incomplete()
    }

    /// How many of those were given up because too many were begun at once
    /// ([`reassembly`](crate::reassembly)).
    pub fn dropped(&self) -> u64 {
        self.state.dropped()
    }

    /// Frames that the MAC sent again, beyond the first of each.
    pub fn repeated(&self) -> u64 {
        self.state.repeated()
    }

    /// Whether what is not received of the packets is concluded from missing acknowledgements,
    /// which a receiver may have had no time to send; else the capture says it itself.
    pub fn concludes(&self) -> bool {
        self.state.concludes()
    }

    /// The header compression contexts that router advertisements told (RFC 6775 §4.2), by PAN.
    pub fn contexts(&self) -> &BTreeMap<(PanId, u8), Ipv6Net> {
        self.state.contexts()
    }

    /// A decoder that knows from its first frame on what this one learnt too late: contexts,
    /// which frames were not received, as acknowledgements tell, and that all have FCSs. To be given the same frames
    /// again; none if it would find nothing else.
    pub fn again(&self) -> Option<Decoder> {
        Some(Decoder {
            state: self.state.with_hindsight()?,
            unread: UnreadFrames::new(),
        })
    }
}

#[cfg(test)]
mod tests;
