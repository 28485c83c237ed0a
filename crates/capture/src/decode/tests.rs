//! The packets come from `etherparse`, an encoder that nobody here wrote.

use super::*;
use etherparse::{
    IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions,
    Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, PacketBuilder, SingleVlanHeader, VlanHeader,
    VlanId,
};
use proptest::prelude::*;

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

fn assert_v6(datagram: Option<Datagram<'_>>, payload: &[u8]) {
    let datagram = datagram.expect("a datagram");
    assert_eq!(datagram.src, "[2001:db8::1]:40000".parse().unwrap());
    assert_eq!(datagram.dst, "[2001:db8::2]:5683".parse().unwrap());
    assert_eq!(datagram.payload, payload);
    assert!(!datagram.truncated);
}

fn with_header(header: &[u8], packet: &[u8]) -> Vec<u8> {
    [header, packet].concat()
}

#[test]
fn ethernet_with_ipv4_is_decoded() {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4(V4.0, V4.1, 64)
        .udp(40000, 5683)
        .write(&mut frame, b"hello")
        .unwrap();
    let datagram = udp(LinkType::ETHERNET, &frame).unwrap();
    assert_eq!(datagram.src, "192.0.2.1:40000".parse().unwrap());
    assert_eq!(datagram.dst, "192.0.2.2:5683".parse().unwrap());
    assert_eq!(datagram.payload, b"hello");
}

#[test]
fn padding_of_a_short_ethernet_frame_is_not_payload() {
    let mut frame = with_header(&[0; 12], &with_header(&[0x08, 0x00], &v4_packet(b"hi")));
    frame.resize(60, 0xee);
    let datagram = udp(LinkType::ETHERNET, &frame).unwrap();
    assert_eq!(datagram.payload, b"hi");
    assert!(!datagram.truncated);
}

#[test]
fn vlan_tags_are_skipped() {
    let id = |n| VlanId::try_new(n).unwrap();
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([0; 6], [0; 6])
        .vlan(VlanHeader::Single(SingleVlanHeader {
            vlan_id: id(7),
            ..SingleVlanHeader::default()
        }))
        .ipv6(v6_address(1), v6_address(2), 64)
        .udp(40000, 5683)
        .write(&mut frame, b"hello")
        .unwrap();
    assert_v6(udp(LinkType::ETHERNET, &frame), b"hello");

    let mut frame = Vec::new();
    PacketBuilder::ethernet2([0; 6], [0; 6])
        .double_vlan(id(7), id(8))
        .ipv6(v6_address(1), v6_address(2), 64)
        .udp(40000, 5683)
        .write(&mut frame, b"hello")
        .unwrap();
    assert_v6(udp(LinkType::ETHERNET, &frame), b"hello");
}

#[test]
fn cooked_captures_are_decoded_with_their_direction() {
    // LINKTYPE_LINUX_SLL: packet type 4 (sent by us), ARPHRD 1, address length 6, IPv6.
    let sll = [0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x86, 0xdd];
    let frame = with_header(&sll, &v6_packet(b"hello"));
    assert_v6(udp(LinkType::LINUX_SLL, &frame), b"hello");
    assert_eq!(
        ip(LinkType::LINUX_SLL, &frame).unwrap().outgoing,
        Some(true)
    );

    // LINKTYPE_LINUX_SLL2: IPv6, reserved, interface 3, ARPHRD 1, packet type 0 (to us).
    let sll2 = [
        0x86, 0xdd, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0,
    ];
    let frame = with_header(&sll2, &v6_packet(b"hello"));
    assert_v6(udp(LinkType::LINUX_SLL2, &frame), b"hello");
    let packet = ip(LinkType::LINUX_SLL2, &frame).unwrap();
    assert_eq!(packet.outgoing, Some(false));
    assert_eq!(packet.interface_index, Some(3));
}

#[test]
fn raw_ip_and_loopback_are_decoded() {
    let packet = v6_packet(b"hello");
    for raw in [LinkType::RAW, LinkType::IPV6, LinkType(12), LinkType(14)] {
        assert_v6(udp(raw, &packet), b"hello");
    }
    assert!(udp(LinkType::IPV4, &v4_packet(b"hello")).is_some());
    // AF_INET6 of FreeBSD in little-endian order, of Darwin in network order.
    assert_v6(
        udp(LinkType::NULL, &with_header(&[28, 0, 0, 0], &packet)),
        b"hello",
    );
    assert_v6(
        udp(LinkType::LOOP, &with_header(&[0, 0, 0, 30], &packet)),
        b"hello",
    );
}

#[test]
fn radio_frames_pass_undecoded() {
    for link_type in [
        LinkType::IEEE802_15_4,
        LinkType::IEEE802_15_4_NOFCS,
        LinkType::IEEE802_15_4_TAP,
    ] {
        assert_eq!(udp(link_type, &v6_packet(b"hello")), None);
    }
}

/// An IPv6 packet with these extension headers before `payload`.
fn extended(extensions: Ipv6Extensions, next: IpNumber, payload: &[u8]) -> Vec<u8> {
    let mut extensions = extensions;
    let first = extensions.set_next_headers(next);
    let header = Ipv6Header {
        source: v6_address(1),
        destination: v6_address(2),
        next_header: first,
        hop_limit: 64,
        payload_length: (extensions.header_len() + payload.len()) as u16,
        ..Ipv6Header::default()
    };
    let mut bytes = Vec::new();
    IpHeaders::Ipv6(header, extensions)
        .write(&mut bytes)
        .unwrap();
    bytes.extend(payload);
    bytes
}

#[test]
fn extension_headers_are_skipped() {
    let option = |len: usize| Ipv6RawExtHeader::new_raw(IpNumber::UDP, &vec![0; len]).unwrap();
    let extensions = Ipv6Extensions {
        hop_by_hop_options: Some(option(6)),
        destination_options: Some(option(14)),
        ..Ipv6Extensions::default()
    };
    let udp_datagram = &v6_packet(b"hello")[40..];
    let packet = extended(extensions, IpNumber::UDP, udp_datagram);
    assert_v6(udp(LinkType::RAW, &packet), b"hello");
}

#[test]
fn the_first_fragment_gives_a_datagram_and_a_later_one_does_not() {
    let fragment = |offset, more, payload: &[u8]| {
        let extensions = Ipv6Extensions {
            fragment: Some(Ipv6FragmentHeader::new(
                IpNumber::UDP,
                IpFragOffset::try_new(offset).unwrap(),
                more,
                77,
            )),
            ..Ipv6Extensions::default()
        };
        extended(extensions, IpNumber::UDP, payload)
    };
    let whole = &v6_packet(&[9; 100])[40..];
    let first = fragment(0, true, &whole[..56]);
    let datagram = udp(LinkType::RAW, &first).unwrap();
    assert_eq!(datagram.payload, [9; 48]);
    assert!(datagram.truncated);
    assert_eq!(
        datagram.fragment,
        Some(Fragment {
            id: 77,
            offset: 0,
            more: true
        })
    );
    let last = fragment(7, false, &whole[56..]);
    assert_eq!(udp(LinkType::RAW, &last), None);
    assert_eq!(
        ip(LinkType::RAW, &last).unwrap().fragment.unwrap().offset,
        56
    );
    // An atomic fragment is a whole packet.
    let atomic = fragment(0, false, whole);
    assert_v6(udp(LinkType::RAW, &atomic), &[9; 100]);
}

#[test]
fn ipv4_fragments_are_recognised() {
    let whole = &v4_packet(&[9; 100])[20..];
    let mut header = Ipv4Header::new(56, 64, IpNumber::UDP, V4.0, V4.1).unwrap();
    header.identification = 4711;
    header.more_fragments = true;
    header.dont_fragment = false;
    let mut bytes = Vec::new();
    IpHeaders::Ipv4(header, Ipv4Extensions::default())
        .write(&mut bytes)
        .unwrap();
    bytes.extend(&whole[..56]);
    let datagram = udp(LinkType::RAW, &bytes).unwrap();
    assert_eq!(datagram.fragment.unwrap().id, 4711);
    assert!(datagram.truncated);
}

#[test]
fn a_cut_packet_is_marked_truncated() {
    let packet = v6_packet(b"hello");
    let datagram = udp(LinkType::RAW, &packet[..packet.len() - 2]).unwrap();
    assert_eq!(datagram.payload, b"hel");
    assert!(datagram.truncated);
}

proptest! {
    #[test]
    fn no_input_makes_the_decoder_panic(
        link in prop::sample::select(vec![0_u16, 1, 101, 108, 113, 228, 229, 230, 276, 283]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = udp(LinkType(link), &bytes);
    }

    #[test]
    fn no_damage_to_a_packet_makes_the_decoder_panic(
        at in 0_usize..53, value: u8, keep in 0_usize..60,
    ) {
        let mut packet = v6_packet(b"hello");
        packet[at] = value;
        packet.truncate(keep);
        if let Some(datagram) = udp(LinkType::RAW, &packet) {
            prop_assert!(datagram.payload.len() <= 5);
        }
    }
}
