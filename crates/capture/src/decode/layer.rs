//! What a layer is, and which there are.
//!
//! To add one: a file with its function, and a line in [`of`], or in [`OVER_UDP`] for what UDP
//! carries. One that keeps something from frame to frame has a field in [`State`].

mod acks;
mod authentication;
mod contexts;
mod cooked;
mod dtls;
mod esp;
mod ethernet;
mod gre;
mod icmpv6;
mod ipv4;
mod ipv6;
mod loopback;
mod mac;
mod marks;
mod phy;
mod raw;
mod sixlowpan;
mod tcp;
mod tunnels;
mod udp;
mod zep;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::Ipv6Net;
use units::{Channel, EthernetAddress, PanId, SimTime};

use super::{Header, IpPacket, Link, LinkAddress, Payload, Sender, Unread};
use crate::packet::LinkType;
use crate::reassembly::{Part, Reassembly, Whole};
use acks::Acks;
use contexts::Contexts;
use mac::Repeats;
use phy::Trailers;

/// A layer: takes its header off the bytes, or puts others in their place, and adds what it says
/// to what the layers below it said.
pub(super) type Layer = fn(&mut Payload<'_>, &mut Below, &mut State) -> Read;

/// What a layer found, or why it is not read.
pub(super) type Read = Result<Step, Unread>;

/// How the chain goes on.
pub(super) enum Step {
    /// With the next layer.
    Next(Kind),
    /// Not: the bytes are those of an upper-layer protocol.
    End(u8),
    /// Not: nothing for IP is in this frame, or not all of it yet, or it is a repetition.
    Nothing,
}

/// What bytes are, as the layer below them says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A frame of an interface.
    Link(LinkType),
    /// What follows an EtherType.
    EtherType(u16),
    /// IPv4 or IPv6: the version field tells.
    Ip,
    /// A MAC frame of IEEE 802.15.4 without FCS.
    Mac,
    /// What a data frame of IEEE 802.15.4 carries.
    Sixlowpan,
    /// What follows an IP protocol number, or Next Header. Without a layer it is an upper-layer
    /// protocol.
    Protocol(u8),
}

/// The registry: which layer reads what.
pub(super) fn of(kind: Kind) -> Option<Layer> {
    Some(match kind {
        Kind::Link(LinkType::ETHERNET) => ethernet::read,
        Kind::Link(LinkType::LINUX_SLL) => cooked::read,
        Kind::Link(LinkType::LINUX_SLL2) => cooked::read_version_2,
        Kind::Link(LinkType::NULL | LinkType::LOOP) => loopback::read,
        Kind::Link(LinkType::RAW | LinkType::IPV4 | LinkType::IPV6) => raw::read,
        Kind::Link(LinkType(12 | 14)) => raw::read, // DLT_RAW as some BSDs number it.
        Kind::Link(LinkType::IEEE802_15_4) => phy::with_fcs,
        Kind::Link(LinkType::IEEE802_15_4_NONASK_PHY) => phy::with_preamble,
        Kind::Link(LinkType::IEEE802_15_4_NOFCS) => phy::without_fcs,
        Kind::Link(LinkType::IEEE802_15_4_TAP) => phy::with_tap_header,
        Kind::Link(LinkType::WIRESHARK_UPPER_PDU) => marks::read,
        Kind::EtherType(0x0800) => ipv4::read,
        Kind::EtherType(0x86dd) => ipv6::read,
        Kind::EtherType(0x8100 | 0x88a8 | 0x9100) => ethernet::read_vlan_tag,
        Kind::Ip => raw::read,
        Kind::Mac => mac::read,
        Kind::Sixlowpan => sixlowpan::read,
        Kind::Protocol(0) => ipv6::hop_by_hop_options,
        Kind::Protocol(4) => ipv4::read,
        Kind::Protocol(super::TCP) => tcp::read,
        Kind::Protocol(super::UDP) => udp::read,
        Kind::Protocol(41) => ipv6::read,
        Kind::Protocol(43) => ipv6::routing,
        Kind::Protocol(44) => ipv6::fragment,
        Kind::Protocol(47) => gre::read,
        Kind::Protocol(50) => esp::read,
        Kind::Protocol(51) => authentication::read,
        Kind::Protocol(icmpv6::PROTOCOL) => icmpv6::read,
        Kind::Protocol(55) => tunnels::minimal,
        Kind::Protocol(60) => ipv6::destination_options,
        Kind::Protocol(97) => tunnels::ether_ip,
        Kind::Protocol(115) => tunnels::l2tp,
        Kind::Protocol(137) => tunnels::mpls,
        _ => return None,
    })
}

/// What UDP carries, told by its ports and first bytes. Whatever else it carries is its reader's
/// business.
pub(super) const OVER_UDP: &[(Tells, Layer)] = &[(dtls::is, dtls::read), (zep::is, zep::read)];

/// Whether the data of a datagram with these ports are a protocol's.
pub(super) type Tells = fn([u16; 2], &[u8]) -> bool;

/// What layers keep from frame to frame, at one capture point.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Frames so far.
    frames: u64,
    acks: Acks,
    /// Frames by number that a reading before this one found not to have been received.
    lost: Arc<BTreeSet<u64>>,
    trailers: Trailers,
    repeats: Repeats,
    contexts: Contexts,
    lowpan_fragments: Reassembly<sixlowpan::FragmentKey>,
    ip_fragments: Reassembly<FragmentKey>,
}

impl State {
    pub(super) fn new(contexts: BTreeMap<u8, Ipv6Net>) -> State {
        State {
            contexts: Contexts::new(contexts),
            ..State::default()
        }
    }

    /// Another frame begins.
    pub(super) fn begin_frame(&mut self) {
        self.frames += 1;
    }

    /// Whether acknowledgements tell what was not received.
    pub(super) fn concludes(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Packets of which fragments are missing.
    pub(super) fn incomplete(&self) -> u64 {
        self.ip_fragments.incomplete() + self.lowpan_fragments.incomplete()
    }

    /// How many of those were given up for want of room.
    pub(super) fn dropped(&self) -> u64 {
        self.ip_fragments.dropped() + self.lowpan_fragments.dropped()
    }

    /// Frames that were repetitions of the MAC.
    pub(super) fn repeated(&self) -> u64 {
        self.repeats.count()
    }

    /// What routers told of header compression.
    pub(super) fn contexts(&self) -> &BTreeMap<(PanId, u8), Ipv6Net> {
        self.contexts.learnt()
    }

    /// One that begins with what this one learnt too late, if there was anything: contexts, which
    /// frames were not received, and that the frames have FCSs.
    pub(super) fn with_hindsight(&self) -> Option<State> {
        let contexts = self.contexts.with_hindsight();
        let lost = self.acks.lost();
        let mistaken = self.trailers.were_mistaken();
        (contexts.is_some() || lost.is_some() || mistaken).then(|| State {
            contexts: contexts.unwrap_or_else(|| self.contexts.anew()),
            lost: lost.unwrap_or_default(),
            trailers: match self.trailers.are_fcs() {
                true => Trailers::of_fcs(),
                false => Trailers::default(),
            },
            ..State::default()
        })
    }
}

/// What the fragments of one IP packet have in common at one hop. At the next hop they are seen
/// again, put together apart from these, and known as copies then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FragmentKey {
    header: Header,
    identification: u32,
    sender: Option<(PanId, LinkAddress)>,
    way: (Option<bool>, Option<u32>),
}

/// A fragment of an IP packet.
struct Fragment {
    identification: u32,
    /// What the packet carries, if this is its first fragment.
    protocol: u8,
    /// Where its data begins, bytes.
    offset: usize,
    /// Whether others follow.
    more: bool,
}

/// What the layers so far said.
#[derive(Clone, Debug)]
pub(super) struct Below {
    time: SimTime,
    began: SimTime,
    received: bool,
    fragments: u32,
    outgoing: Option<bool>,
    interface_index: Option<u32>,
    sender: Option<Sender>,
    mesh_hops_left: Option<u8>,
    /// What the frame was heard on.
    channel: Option<Channel>,
    /// Both ends of a link of IEEE 802.15.4, or of a mesh over such links.
    link: Option<Ends>,
    /// Source and destination of an Ethernet frame.
    ethernet: Option<[EthernetAddress; 2]>,
    header: Option<Header>,
    header_bytes: usize,
    outer: Vec<Header>,
    src: IpAddr,
    dst: IpAddr,
}

/// The ends of a link, as far as the frame names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) pan: PanId,
    pub(super) src: Option<LinkAddress>,
    pub(super) dst: Option<LinkAddress>,
}

impl Below {
    pub(super) fn new(time: SimTime, received: bool) -> Below {
        let unspecified = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);
        Below {
            time,
            began: time,
            received,
            fragments: 0,
            outgoing: None,
            interface_index: None,
            sender: None,
            mesh_hops_left: None,
            channel: None,
            link: None,
            ethernet: None,
            header: None,
            header_bytes: 0,
            outer: Vec::new(),
            src: unspecified,
            dst: unspecified,
        }
    }

    /// The next IP header, of so many bytes; one before it is a tunnel's.
    fn enter(&mut self, header: Header, bytes: usize) {
        self.outer.extend(self.header.replace(header));
        (self.src, self.dst) = (header.src, header.dst);
        self.header_bytes += bytes;
    }

    /// What fragments of this layer made.
    fn reassembled(&mut self, whole: Whole) -> Payload<'static> {
        self.began = self.began.min(whole.began);
        self.received = whole.received;
        self.fragments += whole.fragments;
        let length = whole.bytes.len();
        Payload::made(whole.bytes, length, whole.holes)
    }

    /// Adds a fragment of the packet with the latest header: goes on if it was the last missing.
    fn fragment(&mut self, state: &mut State, fragment: &Fragment, data: &mut Payload<'_>) -> Step {
        let Some(header) = self.header else {
            return Step::Nothing;
        };
        let key = FragmentKey {
            header,
            identification: fragment.identification,
            sender: self.sender.map(|s| (s.pan, s.address)),
            way: (self.outgoing, self.interface_index),
        };
        let part = Part {
            time: self.time,
            offset: fragment.offset,
            data,
            length: data.length(),
            total: (!fragment.more).then_some(fragment.offset + data.length()),
            protocol: fragment.protocol,
            received: self.received,
        };
        match state.ip_fragments.push(key, part) {
            None => Step::Nothing,
            Some(whole) => {
                let protocol = whole.protocol;
                *data = self.reassembled(whole);
                Step::Next(Kind::Protocol(protocol))
            }
        }
    }

    /// The packet with the latest header, if there was one.
    pub(super) fn packet<'f>(self, protocol: u8, payload: Payload<'f>) -> Option<IpPacket<'f>> {
        let of_radio = self.link.map(|ends| Link {
            channel: self.channel,
            pan: Some(ends.pan),
            src: ends.src,
            dst: ends.dst,
        });
        let of_ethernet = || {
            let [src, dst] = self.ethernet?.map(LinkAddress::Ethernet);
            Some(Link {
                channel: None,
                pan: None,
                src: Some(src),
                dst: Some(dst),
            })
        };
        let link = of_radio.or_else(of_ethernet);
        Some(IpPacket {
            began: self.began,
            time: self.time,
            src: self.src,
            dst: self.dst,
            protocol,
            payload,
            header: self.header?,
            outer: self.outer,
            header_bytes: self.header_bytes,
            link,
            sender: self.sender,
            mesh_hops_left: self.mesh_hops_left,
            fragments: self.fragments,
            outgoing: self.outgoing,
            interface_index: self.interface_index,
            received: self.received,
        })
    }
}
