//! From a captured frame to a UDP datagram.
//!
//! Link types understood: Ethernet (with VLAN tags), Linux cooked (SLL and SLL2), raw IP, BSD
//! loopback. Frames of any other link type, IEEE 802.15.4 among them, yield nothing: a
//! 6LoWPAN frame is for Wireshark to dissect, the same packet is in the capture of `lowpan0`
//! or of the backbone.

mod ip;
mod link;

use std::net::{IpAddr, SocketAddr};

use crate::packet::LinkType;

/// Protocol number of UDP.
pub const UDP: u8 = 17;

/// An IP packet, or a fragment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpPacket<'a> {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Upper-layer protocol.
    pub protocol: u8,
    /// What was captured of the upper-layer data.
    pub payload: &'a [u8],
    /// Bytes of upper-layer data on the wire; more than `payload` if the capture cut it.
    pub length: usize,
    /// Which part of the packet it is, if it was fragmented.
    pub fragment: Option<Fragment>,
    /// Whether the host that captured sent it; only cooked captures say.
    pub outgoing: Option<bool>,
    /// Index of the interface it crossed; only SLL2 says.
    pub interface_index: Option<u32>,
}

/// A fragment of an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Identification, common to all fragments of the packet.
    pub id: u32,
    /// Where its data starts, in bytes.
    pub offset: u32,
    /// Whether more follow.
    pub more: bool,
}

/// A UDP datagram, or the beginning of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Source address and port.
    pub src: SocketAddr,
    /// Destination address and port.
    pub dst: SocketAddr,
    /// What was captured of the payload.
    pub payload: &'a [u8],
    /// Whether `payload` is less than what was sent: cut by the capture, or a first fragment.
    pub truncated: bool,
    /// Set if this is the first fragment of a longer datagram.
    pub fragment: Option<Fragment>,
}

/// The IP packet in a captured frame, if there is one.
pub fn ip(link_type: LinkType, frame: &[u8]) -> Option<IpPacket<'_>> {
    let link = link::strip(link_type, frame)?;
    let packet = ip::packet(link.payload)?;
    Some(IpPacket {
        outgoing: link.outgoing,
        interface_index: link.interface_index,
        ..packet
    })
}

/// The UDP datagram in a captured frame, if there is one. Of a fragmented datagram only the
/// first fragment gives one; [`crate::reassembly`] puts all of them together.
pub fn udp(link_type: LinkType, frame: &[u8]) -> Option<Datagram<'_>> {
    ip(link_type, frame)?.udp()
}

impl<'a> IpPacket<'a> {
    /// The UDP datagram that starts in this packet.
    pub fn udp(&self) -> Option<Datagram<'a>> {
        if self.protocol != UDP || self.fragment.is_some_and(|f| f.offset != 0) {
            return None;
        }
        let (header, rest) = self.payload.split_first_chunk::<8>()?;
        let [s0, s1, d0, d1, l0, l1, _, _] = *header;
        // Length 0 is a jumbogram's (RFC 2675 §4): the IP length counts.
        let length = match usize::from(u16::from_be_bytes([l0, l1])) {
            0 => self.length,
            n if n < 8 => return None,
            n => n,
        };
        let payload = &rest[..rest.len().min(length - 8)];
        Some(Datagram {
            src: SocketAddr::new(self.src, u16::from_be_bytes([s0, s1])),
            dst: SocketAddr::new(self.dst, u16::from_be_bytes([d0, d1])),
            payload,
            truncated: payload.len() < length - 8,
            fragment: self.fragment,
        })
    }
}

#[cfg(test)]
mod tests;
