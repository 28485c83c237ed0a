//! The packets come from `etherparse`, an encoder that nobody here wrote.

use super::super::*;
use super::{V4, frame, ip, udp, v4_packet, v6_address, v6_packet};
use etherparse::{
    IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions,
    Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, PacketBuilder, SingleVlanHeader,
    TcpOptionElement, VlanHeader, VlanId,
};
use proptest::prelude::*;

fn assert_v6(datagram: Option<super::Udp>, payload: &[u8]) {
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
fn a_tcp_segment_has_its_numbers_its_flags_and_what_is_behind_its_options() {
    let segment = |payload: &[u8]| {
        let mut packet = Vec::new();
        PacketBuilder::ipv6(v6_address(1), v6_address(2), 64)
            .tcp(40000, 8080, 0xffff_fffe, 1000)
            .syn()
            .fin()
            .ack(7)
            .options(&[TcpOptionElement::MaximumSegmentSize(1440)])
            .unwrap()
            .write(&mut packet, payload)
            .unwrap();
        packet
    };
    let packet = segment(b"hello");
    let read = ip(LinkType::RAW, &packet).unwrap();
    let expected = Segment {
        src: "[2001:db8::1]:40000".parse().unwrap(),
        dst: "[2001:db8::2]:8080".parse().unwrap(),
        sequence: 0xffff_fffe,
        acknowledgement: 7,
        syn: true,
        ack: true,
        fin: true,
        rst: false,
        payload: b"hello",
        truncated: false,
    };
    assert_eq!((read.tcp(), read.udp()), (Some(expected), None));
    let cut = Frame {
        length: packet.len(),
        ..frame(LinkType::RAW, &packet[..packet.len() - 2])
    };
    let cut = Decoder::default().read(cut).unwrap();
    let segment = cut.tcp().unwrap();
    assert_eq!((segment.payload, segment.truncated), (&b"hel"[..], true));
    // A header that is longer than the packet, and one that is shorter than any.
    for offset in [0xf0, 0x40] {
        let mut packet = packet.clone();
        packet[40 + 12] = offset;
        let read = ip(LinkType::RAW, &packet).unwrap();
        assert_eq!(read.tcp(), None);
    }
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

/// A decoder of raw IP, and what it makes of one packet after the other, at these seconds.
fn in_turn(packets: &[(u64, &[u8])]) -> (Decoder, Vec<Option<super::Udp>>) {
    let mut decoder = Decoder::default();
    let found = packets.iter().map(|(second, bytes)| {
        let frame = Frame {
            time: SimTime::from_nanos(second * 1_000_000_000),
            ..super::frame(LinkType::RAW, bytes)
        };
        super::Udp::of(&decoder.read(frame)?)
    });
    let found = found.collect();
    (decoder, found)
}

#[test]
fn fragments_give_a_datagram_when_all_are_there() {
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
    let last = fragment(7, false, &whole[56..]);
    let (decoder, found) = in_turn(&[(1, &first), (2, &last)]);
    assert_eq!(found[0], None);
    assert_v6(found[1].clone(), &[9; 100]);
    assert_eq!(decoder.incomplete(), 0);
    let (decoder, found) = in_turn(&[(1, &first), (62, &last)]);
    assert_eq!((found[1].clone(), decoder.incomplete()), (None, 2));

    let mut decoder = Decoder::default();
    decoder.read(super::frame(LinkType::RAW, &last));
    let packet = decoder.read(super::frame(LinkType::RAW, &first)).unwrap();
    assert_eq!((packet.fragments, packet.payload.length()), (2, 108));
    // An atomic fragment is a whole packet.
    let atomic = fragment(0, false, whole);
    assert_v6(udp(LinkType::RAW, &atomic), &[9; 100]);
    assert_eq!(ip(LinkType::RAW, &atomic).unwrap().fragments, 0);
}

#[test]
fn ipv4_fragments_give_a_datagram_when_all_are_there() {
    let whole = &v4_packet(&[9; 100])[20..];
    let fragment = |offset: u16, more, payload: &[u8]| {
        let length = payload.len() as u16;
        let mut header = Ipv4Header::new(length, 64, IpNumber::UDP, V4.0, V4.1).unwrap();
        header.identification = 4711;
        header.more_fragments = more;
        header.dont_fragment = false;
        header.fragment_offset = IpFragOffset::try_new(offset).unwrap();
        let mut bytes = Vec::new();
        IpHeaders::Ipv4(header, Ipv4Extensions::default())
            .write(&mut bytes)
            .unwrap();
        bytes.extend(payload);
        bytes
    };
    let (first, last) = (
        fragment(0, true, &whole[..56]),
        fragment(7, false, &whole[56..]),
    );
    let (_, found) = in_turn(&[(1, &last), (1, &first)]);
    assert_eq!(found[0], None);
    let datagram = found[1].as_ref().unwrap();
    assert_eq!(datagram.payload, [9; 100]);
    assert_eq!(datagram.dst, "192.0.2.2:5683".parse().unwrap());
}

#[test]
fn the_copies_of_fragments_that_a_router_sends_on_are_put_together_apart() {
    let whole = &v6_packet(&[9; 100])[40..];
    let fragment = |offset, more, payload: &[u8], hop_limit| {
        let header = Ipv6FragmentHeader::new(
            IpNumber::UDP,
            IpFragOffset::try_new(offset).unwrap(),
            more,
            77,
        );
        let extensions = Ipv6Extensions {
            fragment: Some(header),
            ..Ipv6Extensions::default()
        };
        let mut packet = extended(extensions, IpNumber::UDP, payload);
        packet[7] = hop_limit;
        packet
    };
    let hop = |hop_limit| {
        let first = fragment(0, true, &whole[..56], hop_limit);
        (first, fragment(7, false, &whole[56..], hop_limit))
    };
    let ((first, last), (first_on, last_on)) = (hop(64), hop(63));
    let (decoder, found) = in_turn(&[(1, &first), (1, &first_on), (1, &last), (1, &last_on)]);
    let there: Vec<bool> = found.iter().map(Option::is_some).collect();
    assert_eq!(there, [false, false, true, true]);
    assert_eq!(decoder.incomplete(), 0);
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
        link in prop::sample::select(
            vec![0_u16, 1, 101, 108, 113, 195, 215, 228, 229, 230, 276, 283],
        ),
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
