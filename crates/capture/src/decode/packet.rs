//! What the chain of layers ends with.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use units::{Channel, EthernetAddress, Eui64, PanId, ShortAddress, SimTime};

use super::Payload;

/// Protocol number of UDP.
pub const UDP: u8 = 17;

/// Protocol number of TCP.
pub const TCP: u8 = 6;

/// An IP packet with its upper-layer protocol, put together of its fragments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpPacket<'f> {
    /// When its first frame was captured.
    pub began: SimTime,
    /// When the frame was captured that completed it.
    pub time: SimTime,
    /// Source as upper layers see it.
    pub src: IpAddr,
    /// Destination as upper layers see it.
    pub dst: IpAddr,
    /// Upper-layer protocol.
    pub protocol: u8,
    /// Upper-layer data.
    pub payload: Payload<'f>,
    /// The innermost IP header.
    pub header: Header,
    /// The IP headers around it, of tunnels, the outermost first.
    pub outer: Vec<Header>,
    /// Bytes of all IP headers before the payload, extension headers and those of tunnels among
    /// them. Of a packet that was put together of fragments they count once.
    pub header_bytes: usize,
    /// The link that it crossed, of IEEE 802.15.4 or Ethernet.
    pub link: Option<Link>,
    /// Who sent the frame, if it is one of IEEE 802.15.4 that names its source.
    pub sender: Option<Sender>,
    /// Hops that were left in a mesh under IP (RFC 4944 §5.2).
    pub mesh_hops_left: Option<u8>,
    /// Of how many fragments it was put together, 6LoWPAN's and IP's; 0 if it was whole.
    pub fragments: u32,
    /// Whether the host that captured sent it; only cooked captures say.
    pub outgoing: Option<bool>,
    /// Index of the interface it crossed; only SLL2 says.
    pub interface_index: Option<u32>,
    /// Whether whom its frames were for received all of them ([`super::Frame::received`]).
    pub received: bool,
}

/// An IP header as it was on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Source address.
    pub src: IpAddr,
    /// Destination address: with a routing header, the next one of its route.
    pub dst: IpAddr,
    /// Hop limit, or time to live.
    pub hop_limit: u8,
    /// Identification of IPv4. 0 in many packets that must not be fragmented (RFC 6864).
    pub identification: Option<u16>,
}

/// Who sent a frame of IEEE 802.15.4, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sender {
    /// Its PAN.
    pub pan: PanId,
    /// Its address.
    pub address: LinkAddress,
    /// The frame's data sequence number; frames of 2015 may have none.
    pub sequence: Option<u8>,
}

/// A link, as far as a frame on it tells. Of a mesh under IP (RFC 4944 §5.2) it is the way through
/// the mesh, not one hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// The channel; only TAP says.
    pub channel: Option<Channel>,
    /// The PAN of IEEE 802.15.4.
    pub pan: Option<PanId>,
    /// Who sent the packet on it.
    pub src: Option<LinkAddress>,
    /// Whom it was for.
    pub dst: Option<LinkAddress>,
}

impl fmt::Display for Link {
    /// `02:00:00:00:00:05 to 02:00:00:00:00:01`; of a radio also `in PAN 0x0001 on channel 15`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |address: Option<LinkAddress>| {
            address.map_or_else(|| "?".to_owned(), |address| address.to_string())
        };
        write!(f, "{} to {}", end(self.src), end(self.dst))?;
        if let Some(pan) = self.pan {
            write!(f, " in PAN {pan}")?;
        }
        if let Some(channel) = self.channel {
            write!(f, " on channel {channel}")?;
        }
        Ok(())
    }
}

/// An address of the link layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkAddress {
    /// 16 bits, of IEEE 802.15.4.
    Short(ShortAddress),
    /// 64 bits, of IEEE 802.15.4.
    Extended(Eui64),
    /// 48 bits, of Ethernet.
    Ethernet(EthernetAddress),
}

impl LinkAddress {
    /// The interface identifier that is derived from it (RFC 6282 §3.2.2, RFC 2464 §4): the
    /// modified EUI-64, or `0000:00ff:fe00:XXXX`.
    pub fn interface_identifier(self) -> [u8; 8] {
        match self {
            LinkAddress::Extended(eui64) => eui64.interface_identifier(),
            LinkAddress::Short(ShortAddress(short)) => {
                let [high, low] = short.to_be_bytes();
                [0, 0, 0, 0xff, 0xfe, 0, high, low]
            }
            LinkAddress::Ethernet(EthernetAddress([a, b, c, d, e, f])) => {
                Eui64([a, b, c, 0xff, 0xfe, d, e, f]).interface_identifier()
            }
        }
    }
}

impl fmt::Display for LinkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkAddress::Short(short) => short.fmt(f),
            LinkAddress::Extended(eui64) => eui64.fmt(f),
            LinkAddress::Ethernet(mac) => mac.fmt(f),
        }
    }
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Source address and port.
    pub src: SocketAddr,
    /// Destination address and port.
    pub dst: SocketAddr,
    /// What was captured of the payload.
    pub payload: &'a [u8],
    /// Whether the capture cut some of it: `payload` is less, or reads as zero somewhere.
    pub truncated: bool,
}

/// A TCP segment (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Source address and port.
    pub src: SocketAddr,
    /// Destination address and port.
    pub dst: SocketAddr,
    /// Sequence number: of the SYN if there is one, else of the first byte.
    pub sequence: u32,
    /// The next number that its sender expects, with `ack`.
    pub acknowledgement: u32,
    /// It begins a connection.
    pub syn: bool,
    /// It acknowledges something.
    pub ack: bool,
    /// Nothing more comes from its sender.
    pub fin: bool,
    /// The connection is no more.
    pub rst: bool,
    /// What was captured of the payload.
    pub payload: &'a [u8],
    /// Whether the capture cut some of it.
    pub truncated: bool,
}

impl IpPacket<'_> {
    /// The TCP segment in this packet.
    pub fn tcp(&self) -> Option<Segment<'_>> {
        if self.protocol != TCP {
            return None;
        }
        let (header, _) = self.payload.split_first_chunk::<20>()?;
        let [
            s0,
            s1,
            d0,
            d1,
            q0,
            q1,
            q2,
            q3,
            a0,
            a1,
            a2,
            a3,
            offset,
            flags,
            ..,
        ] = *header;
        // In words of four bytes, of which the fixed header has five.
        let offset = usize::from(offset >> 4) * 4;
        if offset < 20 || offset > self.payload.length() {
            return None;
        }
        let is_set = |bit: u8| flags & bit != 0;
        let payload = self.payload.get(offset..).unwrap_or_default();
        Some(Segment {
            src: SocketAddr::new(self.src, u16::from_be_bytes([s0, s1])),
            dst: SocketAddr::new(self.dst, u16::from_be_bytes([d0, d1])),
            sequence: u32::from_be_bytes([q0, q1, q2, q3]),
            acknowledgement: u32::from_be_bytes([a0, a1, a2, a3]),
            syn: is_set(0x02),
            ack: is_set(0x10),
            fin: is_set(0x01),
            rst: is_set(0x04),
            payload,
            truncated: self.payload.is_cut(),
        })
    }

    /// The UDP datagram in this packet.
    pub fn udp(&self) -> Option<Datagram<'_>> {
        if self.protocol != UDP {
            return None;
        }
        let (header, rest) = self.payload.split_first_chunk::<8>()?;
        let [s0, s1, d0, d1, l0, l1, _, _] = *header;
        // Length 0 is a jumbogram's (RFC 2675 §4): the IP length counts.
        let length = match usize::from(u16::from_be_bytes([l0, l1])) {
            0 => self.payload.length(),
            n if n < 8 => return None,
            n => n,
        };
        let payload = &rest[..rest.len().min(length - 8)];
        Some(Datagram {
            src: SocketAddr::new(self.src, u16::from_be_bytes([s0, s1])),
            dst: SocketAddr::new(self.dst, u16::from_be_bytes([d0, d1])),
            payload,
            truncated: payload.len() < length - 8 || self.payload.has_holes(),
        })
    }
}
