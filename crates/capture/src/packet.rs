//! What a capture file consists of.

use std::fmt;

use units::SimTime;

/// Link-layer header type of an interface: a `LINKTYPE_` value of the tcpdump registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback, address family in the byte order of the host that captured.
    pub const NULL: LinkType = LinkType(0);
    /// Ethernet.
    pub const ETHERNET: LinkType = LinkType(1);
    /// IPv4 or IPv6 without a link-layer header.
    pub const RAW: LinkType = LinkType(101);
    /// OpenBSD loopback, address family in network byte order.
    pub const LOOP: LinkType = LinkType(108);
    /// Linux "cooked" capture, what `tcpdump -i any` wrote for many years.
    pub const LINUX_SLL: LinkType = LinkType(113);
    /// IEEE 802.15.4 with FCS.
    pub const IEEE802_15_4: LinkType = LinkType(195);
    /// IEEE 802.15.4 with preamble, SFD, length and FCS, as a receiver hears it.
    pub const IEEE802_15_4_NONASK_PHY: LinkType = LinkType(215);
    /// IPv4 without a link-layer header.
    pub const IPV4: LinkType = LinkType(228);
    /// IPv6 without a link-layer header: a capture of `lowpan0`.
    pub const IPV6: LinkType = LinkType(229);
    /// IEEE 802.15.4 without FCS.
    pub const IEEE802_15_4_NOFCS: LinkType = LinkType(230);
    /// Wireshark's "exported PDU", which names its dissector: carries [`crate::Mark`]s.
    pub const WIRESHARK_UPPER_PDU: LinkType = LinkType(252);
    /// Linux "cooked" capture version 2, with the interface index.
    pub const LINUX_SLL2: LinkType = LinkType(276);
    /// IEEE 802.15.4 with the TAP pseudo-header (channel, RSS, LQI).
    pub const IEEE802_15_4_TAP: LinkType = LinkType(283);
}

impl LinkType {
    /// What it is, of those that sniffers of nodes write.
    fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 | 108 => "BSD loopback",
            1 => "Ethernet",
            9 | 50 => "PPP",
            12 | 14 | 101 => "raw IP",
            105 | 119 | 127 | 163 | 192 => "IEEE 802.11",
            113 | 276 => "Linux cooked",
            187 | 201 => "Bluetooth HCI",
            189 | 220 | 249 => "USB",
            195 | 215 | 230 | 283 => "IEEE 802.15.4",
            251 | 256 => "Bluetooth Low Energy",
            252 => "Wireshark's exported PDU",
            _ => return None,
        })
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link type {}", self.0)?;
        match self.name() {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

/// An interface that packets were captured on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name (`if_name`); empty if the file does not say.
    pub name: String,
    /// What its packets start with.
    pub link_type: LinkType,
    /// A description (`if_description`).
    pub description: Option<String>,
}

impl Interface {
    /// An interface without a description.
    pub fn new(name: impl Into<String>, link_type: LinkType) -> Interface {
        Interface {
            name: name.into(),
            link_type,
            description: None,
        }
    }
}

/// A captured packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Index of its interface in the file.
    pub interface: usize,
    /// When it was captured: Unix time.
    pub time: SimTime,
    /// Bytes it had on the wire; more than `data` if the capture cut it (snap length).
    pub original_len: u32,
    /// What was captured, from the link-layer header on.
    pub data: Vec<u8>,
    /// A remark shown beside the packet (`opt_comment`); several are joined by line feeds.
    pub comment: Option<String>,
}

impl Packet {
    /// A whole packet without a comment.
    pub fn new(interface: usize, time: SimTime, data: Vec<u8>) -> Packet {
        Packet {
            interface,
            time,
            original_len: u32::try_from(data.len()).unwrap_or(u32::MAX),
            data,
            comment: None,
        }
    }
}
