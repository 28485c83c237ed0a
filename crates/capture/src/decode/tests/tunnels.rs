//! Headers around and before an IPv6 packet of `etherparse`'s.

use std::net::IpAddr;

use super::super::*;
use super::{V4, ip, udp, unread, v4_packet, v6_address, v6_packet};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An IPv6 packet from `::a` to `::b` of the same prefix that carries `next`.
fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 63]);
    packet.extend(v6_address(0xa));
    packet.extend(v6_address(0xb));
    packet.extend(payload);
    packet
}

/// The same of IPv4.
fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 1, 0, 0, 62, protocol, 0, 0]);
    packet.extend(V4.0);
    packet.extend(V4.1);
    packet.extend(payload);
    packet
}

/// The packet with its outer headers, whose payload is `hello`.
fn tunnelled(packet: &[u8]) -> (IpAddr, IpAddr, Vec<Header>) {
    let found = udp(LinkType::RAW, packet).unwrap();
    assert_eq!(found.payload, b"hello");
    let bytes = packet.len();
    let packet = ip(LinkType::RAW, packet).unwrap();
    assert_eq!(packet.header_bytes + packet.payload.length(), bytes);
    (packet.src, packet.dst, packet.outer)
}

#[test]
fn ip_in_ip_is_read_and_the_outer_addresses_are_kept() {
    let inner = (address("2001:db8::1"), address("2001:db8::2"));
    let outer = Header {
        src: address("2001:db8::a"),
        dst: address("2001:db8::b"),
        hop_limit: 63,
        identification: None,
    };
    let outer_v4 = Header {
        src: IpAddr::from(V4.0),
        dst: IpAddr::from(V4.1),
        hop_limit: 62,
        identification: Some(1),
    };
    let packet = v6_packet(b"hello");
    let (src, dst, headers) = tunnelled(&v6(41, &packet));
    assert_eq!(((src, dst), headers), (inner, vec![outer]));
    let (src, dst, headers) = tunnelled(&v4(41, &packet));
    assert_eq!(((src, dst), headers), (inner, vec![outer_v4]));
    let (src, dst, headers) = tunnelled(&v4(41, &v6(41, &packet)));
    assert_eq!(((src, dst), headers), (inner, vec![outer_v4, outer]));
    let (src, _, headers) = tunnelled(&v6(4, &v4_packet(b"hello")));
    assert_eq!((src, headers), (IpAddr::from(V4.0), vec![outer]));
    let header = ip(LinkType::RAW, &v6(41, &packet)).unwrap().header;
    assert_eq!((header.src, header.hop_limit), (inner.0, 64));
}

#[test]
fn gre_is_read() {
    let packet = v6_packet(b"hello");
    let gre = |head: &[u8], packet: &[u8]| v4(47, &[head, packet].concat());
    tunnelled(&gre(&[0, 0, 0x86, 0xdd], &packet));
    // Checksum, key and sequence number.
    let head = [0xb0, 0, 0x86, 0xdd, 1, 2, 0, 0, 3, 4, 5, 6, 7, 8, 9, 10];
    tunnelled(&gre(&head, &packet));
    let ethernet = [&[0; 12][..], &[0x86, 0xdd], &packet].concat();
    tunnelled(&gre(&[0, 0, 0x65, 0x58], &ethernet));
    let version_1 = unread(LinkType::RAW, &gre(&[0, 1, 0x88, 0x0b], &packet));
    assert_eq!(version_1, Some(Unread::Value("GRE version", 1)));
}

#[test]
fn the_fragments_of_a_tunnels_packet_are_put_together_first() {
    let inner = v6_packet(b"hello");
    let fragment = |offset: u16, more: u16, data: &[u8]| {
        let mut header = vec![41, 0];
        header.extend((offset | more).to_be_bytes());
        header.extend([0, 0, 0, 9]);
        v6(44, &[&header, data].concat())
    };
    let mut decoder = Decoder::default();
    let first = fragment(0, 1, &inner[..48]);
    assert_eq!(decoder.read(super::frame(LinkType::RAW, &first)), None);
    let last = fragment(48, 0, &inner[48..]);
    let packet = decoder.read(super::frame(LinkType::RAW, &last)).unwrap();
    assert_eq!(packet.udp().unwrap().payload, b"hello");
    assert_eq!((packet.fragments, packet.outer.len()), (2, 1));
}

#[test]
fn a_mobile_nodes_packets_have_its_home_address() {
    let datagram = &v6_packet(b"hello")[40..];
    let home = v6_address(0x99);
    // Destination options: PadN of 4, Home Address (RFC 6275 §6.3).
    let mut options = vec![17, 2, 1, 2, 0, 0, 201, 16];
    options.extend(home);
    let packet = v6(60, &[&options[..], datagram].concat());
    let from_node = ip(LinkType::RAW, &packet).unwrap();
    assert_eq!(from_node.src, address("2001:db8::99"));
    assert_eq!(from_node.header.src, address("2001:db8::a"));
    assert_eq!(from_node.udp().unwrap().payload, b"hello");

    // Routing header type 2 (RFC 6275 §6.4), with the segment left, and with none.
    let mut routing = vec![17, 2, 2, 1, 0, 0, 0, 0];
    routing.extend(home);
    for (left, dst) in [(1, "2001:db8::99"), (0, "2001:db8::b")] {
        routing[3] = left;
        let packet = v6(43, &[&routing[..], datagram].concat());
        let to_node = ip(LinkType::RAW, &packet).unwrap();
        assert_eq!(to_node.dst, address(dst));
        assert_eq!(to_node.header.dst, address("2001:db8::b"));
        assert_eq!(to_node.udp().unwrap().payload, b"hello");
    }
}

#[test]
fn a_mobility_header_is_an_upper_layer() {
    // Binding Update (RFC 6275 §6.1.7): payload proto 59, 8 units of 8 octets, MH type 5.
    let update = [59, 1, 5, 0, 0x12, 0x34, 0, 7, 0xc0, 0, 0, 30, 1, 2, 0, 0];
    let packet = v6(135, &update);
    let packet = ip(LinkType::RAW, &packet).unwrap();
    assert_eq!((packet.protocol, &*packet.payload), (135, &update[..]));
}

#[test]
fn what_is_encrypted_is_told_by_its_name() {
    assert_eq!(
        unread(LinkType::RAW, &v6(50, &[0; 40])),
        Some(Unread::Named("ESP"))
    );
    // A DTLS 1.2 record: application data, epoch 1, of 3 bytes.
    let record = [23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 5, 0, 3, 1, 2, 3];
    let packet = v6_packet(&record);
    assert_eq!(udp(LinkType::RAW, &packet), None);
    assert_eq!(unread(LinkType::RAW, &packet), Some(Unread::Named("DTLS")));
    // An encrypted record of DTLS 1.3, on the port of coaps and on another one.
    let record = [0x2f, 1, 0, 5, 0, 3, 1, 2, 3];
    let packet = datagram([40000, 5684], &record);
    assert_eq!(unread(LinkType::RAW, &packet), Some(Unread::Named("DTLS")));
    assert_eq!(
        unread(LinkType::RAW, &datagram([40000, 5683], &record)),
        None
    );
}

#[test]
fn tunnels_by_protocol_number_that_are_not_read_have_names() {
    for (protocol, name) in [
        (55, "minimal encapsulation"),
        (97, "EtherIP"),
        (115, "L2TP"),
        (137, "MPLS in IP"),
    ] {
        let packet = v6(protocol, &[0; 60]);
        assert_eq!(unread(LinkType::RAW, &packet), Some(Unread::Named(name)));
    }
}

#[test]
fn links_and_layers_that_are_not_read_are_told() {
    for (link_type, bytes, expected) in [
        (LinkType(147), &[0; 60][..], Unread::LinkType(LinkType(147))),
        (
            LinkType::ETHERNET,
            &[&[0; 12][..], &[0x08, 0x06], &[0; 46]].concat(),
            Unread::EtherType(0x0806),
        ),
        (
            LinkType::ETHERNET,
            &[&[0; 12][..], &[0x00, 0x26], &[0; 46]].concat(),
            Unread::Named("IEEE 802.2 LLC"),
        ),
        (LinkType::RAW, &[0x50; 40], Unread::Value("IP version", 5)),
        (LinkType::RAW, &[0x60; 30], Unread::Malformed("IPv6 header")),
    ] {
        assert_eq!(unread(link_type, bytes), Some(expected));
    }
    let mut nested = v6_packet(b"hello");
    for _ in 0..MAX_LAYERS {
        nested = v6(41, &nested);
    }
    assert_eq!(
        unread(LinkType::RAW, &nested),
        Some(Unread::Named("more layers than a packet has"))
    );
    // Marks of a merged capture are on no wire.
    assert_eq!(unread(LinkType::WIRESHARK_UPPER_PDU, &[0; 20]), None);
}

#[test]
fn a_header_that_the_capture_cut_is_told_from_a_malformed_one() {
    let packet = v6_packet(b"hello");
    let mut decoder = Decoder::default();
    let cut = Frame {
        length: packet.len(),
        ..super::frame(LinkType::RAW, &packet[..30])
    };
    assert_eq!(decoder.read(cut), None);
    let unread: Vec<Unread> = decoder.unread().keys().copied().collect();
    assert_eq!(unread, [Unread::Cut("IPv6 header")]);
}

/// IPv6 and UDP with these ports.
fn datagram(ports: [u16; 2], data: &[u8]) -> Vec<u8> {
    let length = (8 + data.len() as u16).to_be_bytes();
    let ports = ports.map(u16::to_be_bytes).concat();
    v6(17, &[&ports[..], &length, &[0; 2], data].concat())
}

#[test]
fn what_udp_carries_and_is_not_read_is_told_by_its_name() {
    let packet = v6_packet(b"hello");
    let over = |header: &[u8]| [header, &packet].concat();
    for (port, data, expected) in [
        (4789, over(&[8, 0, 0, 0, 0, 0, 1, 0]), "VXLAN"),
        (3544, over(&[]), "Teredo"),
        (3544, over(&[0, 0, 0, 0, 0, 0, 0, 0]), "Teredo"),
        (2152, over(&[0x30, 0xff, 0, 53, 0, 0, 0, 1]), "GTP"),
        (6635, over(&[0, 1, 1, 64]), "MPLS in UDP"),
        (6081, over(&[0, 0, 0x86, 0xdd, 0, 0, 1, 0]), "Geneve"),
        (51820, over(&[4, 0, 0, 0]), "WireGuard"),
        (4500, over(&[0, 0, 0, 1, 0, 0, 0, 1]), "ESP"),
    ] {
        let bytes = datagram([55555, port], &data);
        assert_eq!(unread(LinkType::RAW, &bytes), Some(Unread::Named(expected)));
        // At another port it is its reader's business.
        let bytes = datagram([55555, 5683], &data);
        assert_eq!(unread(LinkType::RAW, &bytes), None, "{expected}");
    }
    // CoAP from such a port.
    let get = [0x44, 1, 0, 1, 1, 2, 3, 4, 0xb1, b't'];
    for port in [2152, 3544, 4789, 6081, 6635, 8472, 51820] {
        let bytes = datagram([port, 5683], &get);
        assert_eq!(unread(LinkType::RAW, &bytes), None, "{port}");
    }
}

#[test]
fn coap_over_tcp_is_told() {
    let segment = |port: u16| {
        let ports = [40000_u16.to_be_bytes(), port.to_be_bytes()].concat();
        v6(6, &[&ports[..], &[0; 16]].concat())
    };
    let told = Some(Unread::Named("CoAP over TCP"));
    assert_eq!(unread(LinkType::RAW, &segment(5683)), told);
    assert_eq!(ip(LinkType::RAW, &segment(80)).unwrap().protocol, 6);
}

#[test]
fn a_handshake_for_coap_over_web_sockets_is_told() {
    let segment = |text: &[u8]| v6(6, &[&[0x9c, 0x40, 0, 80][..], &[0; 16], text].concat());
    let told = Some(Unread::Named("CoAP over WebSockets (the handshake)"));
    for handshake in [
        "GET /.well-known/coap HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Protocol: coap\r\n\r\n",
    ] {
        let packet = segment(handshake.as_bytes());
        assert_eq!(unread(LinkType::RAW, &packet), told, "{handshake}");
    }
    let other = segment(b"GET /.well-known/core HTTP/1.1\r\n\r\n");
    assert_eq!(unread(LinkType::RAW, &other), None);
}

#[test]
fn a_udp_header_that_is_cut_or_contradicts_itself_is_told() {
    let packet = datagram([40000, 5683], b"hello");
    let mut decoder = Decoder::default();
    let cut = Frame {
        length: packet.len(),
        ..super::frame(LinkType::RAW, &packet[..47])
    };
    assert_eq!(decoder.read(cut), None);
    assert_eq!(decoder.unread(), &[(Unread::Cut("UDP header"), 1)].into());
    for (length, expected) in [
        (0, None),
        (4, Some(Unread::Malformed("UDP header"))),
        (7, Some(Unread::Malformed("UDP header"))),
        (8, None),
    ] {
        let mut packet = packet.clone();
        packet[45] = length;
        assert_eq!(unread(LinkType::RAW, &packet), expected, "{length}");
    }
}
