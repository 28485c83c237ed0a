//! 6LoWPAN, against smoltcp's encoder and frames of Linux, and laid out by hand from the RFCs.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::Ipv6Net;
use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Ieee802154Address, Ipv6Address, UdpRepr};
use smoltcp::wire::{SixlowpanIphcPacket, SixlowpanIphcRepr, SixlowpanNextHeader};
use smoltcp::wire::{SixlowpanUdpNhcPacket, SixlowpanUdpNhcRepr};
use units::Eui64;

use super::super::*;
use super::{Udp, frame, ip, unread, v6_packet};

const NOFCS: LinkType = LinkType::IEEE802_15_4_NOFCS;

const SRC: [u8; 8] = [0x02, 0, 0, 0, 0, 0, 0xaa, 0xbb];
const DST: [u8; 8] = [0x02, 0, 0, 0, 0, 0, 0xcc, 0xdd];

/// A data frame of PAN 1 from [`SRC`] to [`DST`].
fn mpdu(sequence: u8, payload: &[u8]) -> Vec<u8> {
    in_pan(1, sequence, payload)
}

fn in_pan(pan: u8, sequence: u8, payload: &[u8]) -> Vec<u8> {
    let reversed = |mut address: [u8; 8]| {
        address.reverse();
        address
    };
    let head = [0x41, 0xcc, sequence, pan, 0];
    [&head[..], &reversed(DST), &reversed(SRC), payload].concat()
}

fn read(payload: &[u8]) -> Option<IpPacket<'static>> {
    read_with(Options::default(), payload)
}

fn read_with(options: Options, payload: &[u8]) -> Option<IpPacket<'static>> {
    let bytes = mpdu(1, payload);
    let packet = Decoder::new(options).read(frame(NOFCS, &bytes))?;
    Some(IpPacket {
        payload: Payload::made(
            packet.payload.to_vec(),
            packet.payload.length(),
            packet.payload.has_holes(),
        ),
        ..packet
    })
}

fn why_not(payload: &[u8]) -> Option<Unread> {
    unread(NOFCS, &mpdu(1, payload))
}

fn contexts(given: &[(u8, &str)]) -> Options {
    let contexts = given.iter().map(|(id, net)| (*id, net.parse().unwrap()));
    Options {
        contexts: contexts.collect(),
    }
}

fn v6(text: &str) -> IpAddr {
    IpAddr::V6(text.parse().unwrap())
}

/// IPHC with both addresses and nothing else in line: TF 11, NH in line (UDP), HLIM 64.
fn iphc(second: u8, in_line: &[u8]) -> Vec<u8> {
    let udp = [0, 1, 0, 2, 0, 9, 0, 0, 0x77];
    [&[0x7a, second][..], in_line, &udp].concat()
}

/// Where the Next Header goes that [`iphc`] has in line: before the addresses, behind the context
/// identifiers.
fn ends(second: u8, in_line: &[u8], options: Options) -> Option<(IpAddr, IpAddr)> {
    let (ids, addresses) = in_line.split_at(usize::from(second >> 7));
    let packet = iphc(second, &[ids, &[17], addresses].concat());
    let packet = read_with(options, &packet)?;
    assert_eq!(packet.udp().unwrap().payload, [0x77]);
    assert_eq!(packet.header.hop_limit, 64);
    Some((packet.src, packet.dst))
}

#[test]
fn every_form_of_a_stateless_address_is_read() {
    let iid: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8];
    let full: &[u8] = &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    // SAM (RFC 6282 §3.1.1), and the same of DAM.
    let forms = [
        (0, full, v6("2001:db8::9")),
        (1, iid, v6("fe80::102:304:506:708")),
        (2, &[0x12, 0x34], v6("fe80::ff:fe00:1234")),
    ];
    for (mode, in_line, expected) in forms {
        let (src, _) = ends(mode << 4 | 3, in_line, Options::default()).unwrap();
        assert_eq!(src, expected);
        let (src, dst) = ends(3 << 4 | mode, in_line, Options::default()).unwrap();
        assert_eq!((src, dst), (v6("fe80::aabb"), expected));
    }
    let elided = ends(0x33, &[], Options::default()).unwrap();
    assert_eq!(elided, (v6("fe80::aabb"), v6("fe80::ccdd")));
}

#[test]
fn every_form_of_a_multicast_address_is_read() {
    let full: &[u8] = &[0xff, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    for (mode, in_line, expected) in [
        (0, full, "ff05::9"),
        (1, &[5, 1, 2, 3, 4, 5], "ff05::1:203:405"),
        (2, &[5, 1, 2, 3], "ff05::1:203"),
        (3, &[0x1a], "ff02::1a"),
    ] {
        let (_, dst) = ends(0x38 | mode, in_line, Options::default()).unwrap();
        assert_eq!(dst, v6(expected));
    }
    // Based on a unicast prefix, of context 2 (§3.1.1, M=1 DAC=1 DAM=00).
    let options = contexts(&[(2, "2001:db8:1:2::/64")]);
    let (_, dst) = ends(0xbc, &[0x02, 0x35, 0, 1, 2, 3, 4], options.clone()).unwrap();
    assert_eq!(dst, v6("ff35:40:2001:db8:1:2:102:304"));
    let reserved = iphc(0xbd, &[0x02, 17, 0x35, 0, 1, 2, 3, 4]);
    assert_eq!(read_with(options, &reserved), None);
}

#[test]
fn every_form_of_a_stateful_address_is_read() {
    let options = contexts(&[
        (0, "2001:db8::/64"),
        (5, "2001:db8:5::/48"),
        (6, "fd00::/96"),
    ]);
    let iid: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8];
    let ends = |second, in_line: &[u8]| ends(second, in_line, options.clone());
    // SAC=1, SAM=00 is the unspecified address.
    assert_eq!(ends(0x43, &[]).unwrap().0, v6("::"));
    // Context 0 without an extension byte.
    assert_eq!(ends(0x53, iid).unwrap().0, v6("2001:db8::102:304:506:708"));
    assert_eq!(
        ends(0x63, &[0x12, 0x34]).unwrap().0,
        v6("2001:db8::ff:fe00:1234")
    );
    assert_eq!(ends(0x73, &[]).unwrap().0, v6("2001:db8::aabb"));
    // Context 5 of the source, 6 of the destination; "Bits covered by context information are
    // always used", and those between a shorter prefix and the identifier are zero.
    let (src, dst) = ends(0xf7, &[0x56]).unwrap();
    assert_eq!((src, dst), (v6("2001:db8:5::aabb"), v6("fd00::ccdd")));
    let (_, dst) = ends(0xf5, &[&[0x56], iid].concat()).unwrap();
    assert_eq!(dst, v6("fd00::506:708"));
    let (_, dst) = ends(0xf6, &[0x50, 0x12, 0x34]).unwrap();
    assert_eq!(dst, v6("2001:db8::ff:fe00:1234"));
    // DAC=1, DAM=00 is reserved.
    assert_eq!(read_with(options.clone(), &iphc(0x74, &[17])), None);
    // A context that nobody knows.
    let unknown = iphc(0xf3, &[0x70, 17]);
    assert_eq!(
        why_not(&unknown),
        Some(Unread::Value("6LoWPAN without its context", 7))
    );
}

#[test]
fn every_form_of_traffic_class_flow_label_and_hop_limit_is_read() {
    for (hlim, in_line, expected) in [
        (0, &[17, 33][..], 33),
        (1, &[17], 1),
        (2, &[17], 64),
        (3, &[17], 255),
    ] {
        for (form, fields) in [
            (0, &[0x81, 0xf, 1, 2][..]),
            (1, &[0x8f, 1, 2]),
            (2, &[0x81]),
            (3, &[]),
        ] {
            let head = [0x60 | form << 3 | hlim, 0x33];
            let udp = [0, 1, 0, 2, 0, 9, 0, 0, 0x77];
            let packet = read(&[&head, fields, in_line, &udp].concat()).unwrap();
            assert_eq!(packet.header.hop_limit, expected);
            assert_eq!(packet.udp().unwrap().payload, [0x77]);
        }
    }
}

#[test]
fn every_form_of_udp_is_read() {
    for (form, ports, expected) in [
        (0, &[0x16, 0x33, 0x9c, 0x40][..], (5683, 40000)),
        (1, &[0x16, 0x33, 0x07], (5683, 0xf007)),
        (2, &[0x07, 0x16, 0x33], (0xf007, 5683)),
        (3, &[0x5a], (0xf0b5, 0xf0ba)),
    ] {
        for checksum in [&[0xab, 0xcd][..], &[]] {
            let elided = u8::from(checksum.is_empty()) << 2;
            let head = [0x7e, 0x33, 0xf0 | elided | form];
            let packet = read(&[&head, ports, checksum, b"hello"].concat()).unwrap();
            let datagram = packet.udp().unwrap();
            assert_eq!((datagram.src.port(), datagram.dst.port()), expected);
            assert_eq!(
                (datagram.payload, datagram.truncated),
                (&b"hello"[..], false)
            );
            let expected = if checksum.is_empty() {
                [0, 0]
            } else {
                [0xab, 0xcd]
            };
            assert_eq!(packet.payload[6..8], expected);
        }
    }
}

#[test]
fn compressed_extension_headers_are_read() {
    // Hop-by-hop with an RPL option of 4 bytes, as Contiki sends it: 6 bytes, of which 8 need no
    // padding. Destination options of 3 bytes, which need PadN. Then UDP.
    let head = [0x7e, 0x33];
    let hop_by_hop = [0xe1, 6, 0x63, 4, 0, 0x1e, 3, 0];
    let destination = [0xe7, 3, 0x3e, 1, 9];
    let udp = [0xf3, 0x5a, 0xab, 0xcd];
    let packet = read(&[&head[..], &hop_by_hop, &destination, &udp, b"hello"].concat()).unwrap();
    assert_eq!(packet.udp().unwrap().payload, b"hello");
    assert_eq!(packet.payload.length(), 13);

    // A fragment header, with the next header in line (UDP), of an atomic fragment.
    let fragment = [0xe4, 17, 0, 0, 0, 0, 0, 0, 9];
    let datagram = &v6_packet(b"hello")[40..];
    let packet = read(&[&head[..], &fragment, datagram].concat()).unwrap();
    assert_eq!(packet.udp().unwrap().payload, b"hello");

    // A mobility header, whose next header is in line (none).
    let mobility = [0xe8, 59, 6, 5, 0, 1, 2, 3, 4];
    let packet = read(&[&head[..], &mobility].concat()).unwrap();
    assert_eq!(
        (packet.protocol, &*packet.payload),
        (135, &[59, 0, 5, 0, 1, 2, 3, 4][..])
    );
    // An RPL source route (RFC 6554): the last address is the destination's.
    let routing = [0xe3, 6 + 8, 3, 1, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x42];
    let packet = read(&[&head[..], &routing, &udp, b"hello"].concat()).unwrap();
    assert_eq!(
        (packet.dst, packet.header.dst),
        (v6("fe80::42"), v6("fe80::ccdd"))
    );
    // One that is no multiple of 8 bytes, and has no options to pad with.
    assert!(why_not(&[&head[..], &[0xe8, 59, 5, 5, 0, 1, 2, 3]].concat()).is_some());
}

#[test]
fn a_compressed_tunnel_derives_addresses_from_its_own_header() {
    // Outer: from fe80::aabb, in line to 2001:db8::9. Inner: both elided but for the prefix.
    let outer = [0x7e, 0x30];
    let dst = "2001:db8::9".parse::<Ipv6Addr>().unwrap().octets();
    let inner = [0xee, 0x7e, 0x33];
    let udp = [0xf3, 0x5a, 0xab, 0xcd];
    let packet = read(&[&outer[..], &dst, &inner, &udp, b"hello"].concat()).unwrap();
    assert_eq!((packet.src, packet.dst), (v6("fe80::aabb"), v6("fe80::9")));
    assert_eq!(packet.outer[0].dst, v6("2001:db8::9"));
    assert_eq!(packet.udp().unwrap().payload, b"hello");

    let deep = [&outer[..], &dst, &[0xee, 0x7e, 0x33].repeat(20)].concat();
    assert!(why_not(&deep).is_some());
}

#[test]
fn what_stands_before_a_compressed_header_is_taken_off() {
    let udp = [0x7e, 0x33, 0xf3, 0x5a, 0xab, 0xcd, b'h', b'i'];
    // Broadcast with a sequence number; page 0.
    assert!(read(&[&[0x50, 9][..], &udp].concat()).is_some());
    assert!(read(&[&[0xf0][..], &udp].concat()).is_some());
    // Mesh: 4 hops left, both short; then 15 or more, extended.
    let packet = read(&[&[0xb4, 0x12, 0x34, 0x56, 0x78][..], &udp].concat()).unwrap();
    assert_eq!(
        (packet.src, packet.dst, packet.mesh_hops_left),
        (v6("fe80::ff:fe00:1234"), v6("fe80::ff:fe00:5678"), Some(4))
    );
    assert_eq!(
        packet.sender.unwrap().address,
        LinkAddress::Extended(Eui64(SRC))
    );
    let mesh = [
        &[0x8f, 200][..],
        &[2, 0, 0, 0, 0, 0, 0, 5],
        &[2, 0, 0, 0, 0, 0, 0, 6],
    ];
    let packet = read(&[&mesh.concat()[..], &[0x50, 1], &udp].concat()).unwrap();
    assert_eq!(
        (packet.src, packet.dst, packet.mesh_hops_left),
        (v6("fe80::5"), v6("fe80::6"), Some(200))
    );
}

#[test]
fn what_is_not_read_of_6lowpan_is_told() {
    for (bytes, expected) in [
        (&[0x42, 0][..], Unread::Named("6LoWPAN HC1")),
        (&[0x08, 0], Unread::Named("IEEE 802.15.4 without 6LoWPAN")),
        (&[0xf1, 0], Unread::Value("6LoWPAN page", 1)),
        (&[0x48, 0], Unread::Value("6LoWPAN dispatch", 0x48)),
        (&[0xe8, 0], Unread::Value("6LoWPAN dispatch", 0xe8)),
        // Generic header compression (RFC 7400).
        (&[0x7e, 0x33, 0xd0], Unread::Value("6LoWPAN NHC", 0xd0)),
        (&[0x7e, 0x33, 0xea], Unread::Value("6LoWPAN NHC", 0xea)),
        (&[0x7e], Unread::Malformed("6LoWPAN IPHC header")),
        (&[0xc0, 60, 1], Unread::Malformed("6LoWPAN fragment header")),
        // More than the datagram has.
        (
            &[0xc0, 10, 1, 2, 0x7e, 0x33, 0xf3, 0x5a, 0xab, 0xcd],
            Unread::Malformed("6LoWPAN IPHC header"),
        ),
    ] {
        assert_eq!(why_not(bytes), Some(expected), "{bytes:02x?}");
        assert_eq!(read(bytes), None);
    }
}

/// A router advertisement with a context option: context 1, and this lifetime in minutes.
fn advertisement(prefix: &str, lifetime: u8) -> Vec<u8> {
    let net: Ipv6Net = prefix.parse().unwrap();
    // TF 11, ICMPv6 in line, HLIM 255, both addresses elided; 16 bytes before the options.
    let mut bytes = vec![0x7b, 0x33, 58, 134, 0, 0, 0, 64, 0, 0, 30];
    bytes.extend([0; 8]);
    // Another option first (MTU).
    bytes.extend([5, 1, 0, 0, 0, 0, 5, 0]);
    let units = if net.prefix_len() > 64 { 3 } else { 2 };
    bytes.extend([34, units, net.prefix_len(), 0x11, 0, 0, 0, lifetime]);
    bytes.extend(&net.addr().octets()[..usize::from(units - 1) * 8]);
    bytes
}

/// From context 1, elided, to a link-local address.
const STATEFUL: &[u8] = &[0x7a, 0xf3, 0x10, 17, 0, 1, 0, 2, 0, 9, 0, 0, 0x77];

#[test]
fn contexts_are_learnt_from_router_advertisements_of_the_same_pan() {
    let mut decoder = Decoder::default();
    let mut sequence = 0;
    let mut next = |decoder: &mut Decoder, pan, bytes: &[u8]| {
        sequence += 1;
        let bytes = in_pan(pan, sequence, bytes);
        let packet = decoder.read(frame(NOFCS, &bytes))?;
        Some(packet.src)
    };
    let router = advertisement("2001:db8:1::/64", 10);
    assert_eq!(next(&mut decoder, 1, STATEFUL), None);
    assert!(next(&mut decoder, 1, &router).is_some());
    assert_eq!(
        next(&mut decoder, 1, STATEFUL),
        Some(v6("2001:db8:1::aabb"))
    );
    assert_eq!(next(&mut decoder, 2, STATEFUL), None);
    let other = advertisement("2001:db8:2::1234:0/112", 10);
    assert!(next(&mut decoder, 2, &other).is_some());
    assert_eq!(
        next(&mut decoder, 2, STATEFUL),
        Some(v6("2001:db8:2::1234:aabb"))
    );
    assert_eq!(decoder.contexts().len(), 2);
    // "A value of all zero bits (0x0) indicates that this context entry MUST be removed
    // immediately."
    let over = advertisement("2001:db8:1::/64", 0);
    assert!(next(&mut decoder, 1, &over).is_some());
    assert_eq!(next(&mut decoder, 1, STATEFUL), None);

    // Hindsight.
    let mut again = decoder.again().unwrap();
    assert_eq!(next(&mut again, 1, STATEFUL), Some(v6("2001:db8:1::aabb")));
    assert!(again.again().is_none());
    let mut given = Decoder::new(contexts(&[(1, "2001:db8:9::/64")]));
    assert!(next(&mut given, 1, &router).is_some());
    assert_eq!(next(&mut given, 1, STATEFUL), Some(v6("2001:db8:9::aabb")));
    assert!(given.again().is_none());
    // One that crossed a router: TF 11, ICMPv6, hop limit 64.
    let mut far = router;
    far[0] = 0x7a;
    let mut decoder = Decoder::default();
    next(&mut decoder, 1, &far);
    assert_eq!(decoder.contexts().len(), 0);
}

/// A datagram of 300 bytes in fragments of these bytes of it, each behind its header.
fn fragments(tag: u8, cuts: &[usize]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let packet = v6_packet(&(0..252).collect::<Vec<u8>>());
    let size = packet.len() as u16;
    let mut made = Vec::new();
    let mut from = 0;
    for to in cuts.iter().map(|cut| cut * 8).chain([packet.len()]) {
        let head = (if from == 0 { 0xc000 } else { 0xe000 }) | size;
        let mut fragment = head.to_be_bytes().to_vec();
        fragment.extend([0, tag]);
        match from {
            0 => fragment.push(0x41),
            _ => fragment.push((from / 8) as u8),
        }
        fragment.extend(&packet[from..to]);
        made.push(fragment);
        from = to;
    }
    (made, packet[40..].to_vec())
}

#[test]
fn a_datagram_whose_fragment_was_lost_over_the_air_was_not_received() {
    let (parts, _) = fragments(9, &[12, 24]);
    let mut decoder = Decoder::default();
    let mut fates = Vec::new();
    // The last is lost twice, and comes through then.
    for (sequence, part, received) in [
        (1, 0, true),
        (2, 1, true),
        (3, 2, false),
        (3, 2, false),
        (3, 2, true),
    ] {
        let bytes = mpdu(sequence, &parts[part]);
        let frame = Frame {
            received,
            ..frame(NOFCS, &bytes)
        };
        fates.push(decoder.read(frame).map(|packet| packet.received));
    }
    assert_eq!(fates, [None, None, Some(false), None, Some(true)]);
    assert_eq!((decoder.repeated(), decoder.incomplete()), (2, 0));
}

#[test]
fn a_frame_of_linux_is_read() {
    // Linux 6.1, `walk.wpan0.pcap`, frame 13; what stands beside is what tshark says.
    let bytes = [
        &[0x61, 0xcc, 0x55][..], // data, ACK asked for, one PAN ID; sequence number 85
        &[0x01, 0x00],           // PAN 0x0001
        &[0xbc, 0xfb, 0x89, 0xf8, 0xe1, 0x09, 0x4a, 0x0a], // to 0a:4a:09:e1:f8:89:fb:bc
        &[0xa2, 0x13, 0x47, 0xb9, 0x50, 0xae, 0x7d, 0x8a], // from 8a:7d:ae:50:b9:47:13:a2
        &[0x6c, 0x00],           // IPHC: flow label, NHC and both addresses in line
        &[0x01, 0x06, 0x24, 63], // flow label 0x10624, hop limit
        &[
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01,
        ],
        &[
            0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x19, 0x50,
        ],
        &[0xf0, 0x16, 0x33, 0x16, 0x33, 0x5b, 0x79], // UDP, 5683 to 5683, checksum
        &[0x44, 0x01, 0x1a, 0x37, 0x37, 0x3a, 0x83, 0x1c], // CoAP: CON, GET, Message ID 6711
        b"\xbbtemperature",
    ]
    .concat();
    let packet = ip(NOFCS, &bytes).unwrap();
    assert_eq!(
        (packet.src, packet.dst),
        (v6("2001:db8::1"), v6("2001:db8:1::1950"))
    );
    let sender = packet.sender.unwrap();
    assert_eq!((sender.pan, sender.sequence), (PanId(1), Some(85)));
    assert_eq!(sender.address.to_string(), "8a:7d:ae:50:b9:47:13:a2");
    assert_eq!(packet.payload[4..8], [0, 28, 0x5b, 0x79]);
    let datagram = packet.udp().unwrap();
    assert_eq!((datagram.src.port(), datagram.dst.port()), (5683, 5683));
    assert_eq!(datagram.payload.len(), 20);
}

proptest! {
    #[test]
    fn fragments_of_two_datagrams_in_any_order_give_both(
        cuts in prop::collection::btree_set(6_usize..37, 1..6),
        order in any::<prop::sample::Index>(),
        seed: u64,
    ) {
        let cuts: Vec<usize> = cuts.into_iter().collect();
        let ((a, expected), (b, _)) = (fragments(1, &cuts), fragments(2, &cuts));
        let mut all: Vec<Vec<u8>> = a.into_iter().chain(b).collect();
        // Any permutation, and one fragment twice.
        let mut state = seed;
        for i in (1..all.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            all.swap(i, (state >> 33) as usize % (i + 1));
        }
        all.push(all[order.index(all.len())].clone());
        let mut decoder = Decoder::default();
        let mut whole = Vec::new();
        for (sequence, fragment) in all.iter().enumerate() {
            let bytes = mpdu(sequence as u8, fragment);
            whole.extend(decoder.read(frame(NOFCS, &bytes)).map(|p| p.payload.to_vec()));
        }
        prop_assert_eq!(whole, [expected.clone(), expected]);
        prop_assert_eq!(decoder.incomplete(), 0);
    }

    /// smoltcp compresses.
    #[test]
    fn headers_that_another_encoder_compressed_are_read(
        src in any::<[u8; 8]>(), dst in any::<[u8; 8]>(),
        src_form in 0..4, dst_form in 0..6, octets in any::<[u8; 16]>(),
        ports in (prop_oneof![0xf0a0..0xf0c0_u16, 0xef00..0xf200_u16, any::<u16>()], any::<u16>()),
        hop_limit in prop_oneof![Just(1_u8), Just(64), Just(255), any::<u8>()],
        payload in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let (ll_src, ll_dst) = (Ieee802154Address::Extended(src), Ieee802154Address::Extended(dst));
        let address = |form, link: Ieee802154Address| -> Ipv6Address {
            let mut address = octets;
            let mut zero = |from: usize, to| address[from..to].fill(0);
            match form {
                0 => return link.as_link_local_address().unwrap(),
                1 => {
                    zero(0, 8);
                    address[..2].copy_from_slice(&[0xfe, 0x80]);
                }
                2 => {
                    zero(0, 14);
                    address[..2].copy_from_slice(&[0xfe, 0x80]);
                    address[11..13].copy_from_slice(&[0xff, 0xfe]);
                }
                3 => address[0] = 0x20,
                4 => {
                    zero(2, 13);
                    address[0] = 0xff;
                }
                _ => {
                    zero(2, 15);
                    address[..2].copy_from_slice(&[0xff, 0x02]);
                }
            }
            Ipv6Address::from_octets(address)
        };
        let (src_addr, dst_addr) = (address(src_form, ll_src), address(dst_form, ll_dst));
        let iphc = SixlowpanIphcRepr {
            src_addr,
            ll_src_addr: Some(ll_src),
            dst_addr,
            ll_dst_addr: Some(ll_dst),
            next_header: SixlowpanNextHeader::Compressed,
            hop_limit,
            ecn: None,
            dscp: None,
            flow_label: None,
        };
        let udp = SixlowpanUdpNhcRepr(UdpRepr { src_port: ports.0, dst_port: ports.1 });
        let mut bytes = vec![0; iphc.buffer_len() + udp.header_len() + payload.len()];
        let (head, rest) = bytes.split_at_mut(iphc.buffer_len());
        iphc.emit(&mut SixlowpanIphcPacket::new_unchecked(head));
        udp.emit(
            &mut SixlowpanUdpNhcPacket::new_unchecked(rest),
            &src_addr,
            &dst_addr,
            payload.len(),
            |buffer| buffer.copy_from_slice(&payload),
            &ChecksumCapabilities::default(),
        );
        let reversed = |mut address: [u8; 8]| { address.reverse(); address };
        let head = [0x41, 0xcc, 1, 1, 0];
        let bytes = [&head[..], &reversed(dst), &reversed(src), &bytes].concat();
        let mut decoder = Decoder::default();
        let packet = decoder.read(frame(NOFCS, &bytes));
        // A payload that begins like a record of DTLS.
        prop_assume!(!decoder.unread().contains_key(&Unread::Named("DTLS")));
        let packet = packet.expect("a packet");
        prop_assert_eq!((packet.src, packet.dst), (src_addr.into(), dst_addr.into()));
        prop_assert_eq!(packet.header.hop_limit, hop_limit);
        let datagram = Udp::of(&packet).unwrap();
        prop_assert_eq!((datagram.src.port(), datagram.dst.port()), ports);
        prop_assert_eq!(datagram.payload, payload);
        prop_assert!(!datagram.truncated);
    }

    #[test]
    fn no_6lowpan_makes_the_decoder_panic(
        frames in prop::collection::vec(
            (
                prop::sample::select(vec![
                    0x41_u8, 0x50, 0x60, 0x7b, 0x7e, 0x7f, 0x80, 0xb1, 0xc0, 0xc7, 0xe0, 0xe7, 0xf0,
                ]),
                prop::collection::vec(any::<u8>(), 0..80),
                0_usize..9,
                any::<bool>(),
            ),
            1..12,
        ),
    ) {
        let options = contexts(&[(0, "2001:db8::/64"), (5, "2001:db8:5::/48")]);
        let mut decoder = Decoder::new(options);
        for (sequence, (dispatch, rest, longer, received)) in frames.into_iter().enumerate() {
            let bytes = mpdu(sequence as u8, &[&[dispatch][..], &rest].concat());
            let frame = Frame {
                received,
                length: bytes.len() + longer,
                ..frame(NOFCS, &bytes)
            };
            if let Some(packet) = decoder.read(frame) {
                let _ = packet.udp();
            }
        }
    }
}
