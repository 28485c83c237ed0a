use std::collections::BTreeMap;
use std::net::SocketAddr;

use capture::LinkType;
use capture::decode::{Decoder, Frame};
use etherparse::PacketBuilder;
use proptest::prelude::*;
use units::SimTime;

use super::*;

/// What the register says of packets that one point sees in this order; a UDP datagram is CoAP if it
/// can be.
pub(super) fn read(packets: &[Vec<u8>]) -> Vec<Option<Meaning>> {
    let (mut decoder, mut dissectors) = (Decoder::default(), Dissectors::new(&all()));
    let read = packets.iter().map(|bytes| {
        let frame = Frame {
            time: SimTime::ZERO,
            link_type: LinkType::RAW,
            bytes,
            length: bytes.len(),
            received: true,
        };
        let ip = decoder.read(frame)?;
        let coap = ip.udp().and_then(|d| Message::decode(d.payload).ok());
        dissectors.read(&ip, coap.as_ref())
    });
    read.collect()
}

/// The messages that packets are; empty of those that no dissector knows.
pub(super) fn names(meanings: &[Option<Meaning>]) -> Vec<String> {
    let name = |meaning: &Option<Meaning>| meaning.as_ref().map(|m| m.message.to_string());
    let names = meanings.iter().map(|m| name(m).unwrap_or_default());
    names.collect()
}

pub(super) fn udp(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let (IpAddr::V6(src), IpAddr::V6(dst)) = (from.ip(), to.ip()) else {
        panic!("{from} {to}");
    };
    let builder = PacketBuilder::ipv6(src.octets(), dst.octets(), 64);
    let mut packet = Vec::new();
    let builder = builder.udp(from.port(), to.port());
    builder.write(&mut packet, payload).unwrap();
    packet
}

fn icmpv6(kind: u8) -> Vec<u8> {
    let builder = PacketBuilder::ipv6([1; 16], [2; 16], 255).icmpv6_raw(kind, 0, [0; 4]);
    let mut packet = Vec::new();
    builder.write(&mut packet, &[0; 8]).unwrap();
    packet
}

/// Protocol, message and subject of one packet.
fn one(packet: Vec<u8>) -> Option<(String, String, Subject)> {
    let meaning = read(&[packet]).remove(0)?;
    assert_eq!(meaning.binding, None);
    let protocol = meaning.protocol.label().to_owned();
    Some((protocol, meaning.message.into_owned(), meaning.subject))
}

#[test]
fn neighbour_discovery_is_its_links() {
    for (kind, name) in [
        (133, "router solicitation"),
        (158, "duplicate address confirmation"),
    ] {
        let expected = ("neighbour discovery".into(), name.into(), Subject::Link);
        assert_eq!(one(icmpv6(kind)), Some(expected));
    }
    assert_eq!(one(icmpv6(128)), None, "an echo request");
}

#[test]
fn a_relayed_message_of_dhcpv6_is_its_clients() {
    let (client, server) = ("[fe80::5]:546", "[ff02::1:2]:547");
    let solicit = one(udp(client, server, &[1, 0, 0, 9]));
    let expected = ("DHCPv6".to_owned(), "solicit".to_owned(), Subject::Link);
    assert_eq!(solicit, Some(expected));

    // Type, hop count, link-address, peer-address (RFC 8415 §9).
    let peer: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
    let relayed = [&[12, 0][..], &[0; 16], &peer, &[0; 4]].concat();
    let (relay, server) = ("[2001:db8::1]:547", "[2001:db8::2]:547");
    let (protocol, message, subject) = one(udp(relay, server, &relayed)).unwrap();
    assert_eq!(
        (protocol.as_str(), message.as_str()),
        ("DHCPv6", "relay-forward")
    );
    assert_eq!(subject, Subject::Node(vec!["fe80::5".parse().unwrap()]));
    assert_eq!(
        one(udp(relay, server, &relayed[..30])),
        None,
        "it names nobody"
    );
    let unknown = one(udp(relay, server, &[99])).unwrap();
    assert_eq!(unknown.1, "message of an unknown type");
}

#[test]
fn protocols_are_in_the_order_of_the_register_and_others_behind_them() {
    let mut protocols: Vec<Protocol> = ["mobility_header", "neighbour_discovery", "dhcpv6", "a"]
        .map(Protocol::named)
        .into();
    protocols.sort();
    let labels: Vec<&str> = protocols.iter().map(Protocol::label).collect();
    assert_eq!(
        labels,
        ["DHCPv6", "neighbour discovery", "a", "mobility header"]
    );
    for (place, (protocol, _)) in REGISTER.iter().enumerate() {
        assert_eq!(protocol.place(), place, "two have the key {protocol:?}");
    }
}

#[test]
fn in_files_a_protocol_is_its_key() {
    let costs = BTreeMap::from([(dhcpv6::PROTOCOL, 2), (Protocol::named("new_one"), 1)]);
    let text = serde_json::to_string(&costs).unwrap();
    assert_eq!(text, r#"{"dhcpv6":2,"new_one":1}"#);
    assert_eq!(
        serde_json::from_str::<BTreeMap<Protocol, i32>>(&text).unwrap(),
        costs
    );
}

proptest! {
    #[test]
    fn no_datagram_makes_a_dissector_panic(
        ports in (prop::sample::select(vec![546_u16, 547, 5683]), any::<u16>()),
        payload in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let from = format!("[2001:db8::1]:{}", ports.0);
        let to = format!("[2001:db8::2]:{}", ports.1);
        read(&[udp(&from, &to, &payload)]);
    }
}
