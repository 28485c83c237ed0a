use std::net::IpAddr;

use units::{Eui64, PanId};

use super::*;
use crate::decode::{Header, LinkAddress, Payload, Sender};

fn us(n: u64) -> SimTime {
    SimTime::from_nanos(n * 1_000)
}

fn address(last: u8) -> IpAddr {
    format!("2001:db8::{last:x}").parse().unwrap()
}

/// UDP from port 1 to port 2, without the checksum's two bytes told apart.
const DATAGRAM: &[u8] = &[0, 1, 0, 2, 0, 10, 0xaa, 0xbb, 7, 8];

/// A packet that is seen with `hop_limit`.
fn packet(time: SimTime, hop_limit: u8) -> IpPacket<'static> {
    let header = Header {
        src: address(1),
        dst: address(2),
        hop_limit,
        identification: None,
    };
    IpPacket {
        began: time,
        time,
        src: header.src,
        dst: header.dst,
        protocol: UDP,
        payload: Payload::new(DATAGRAM, DATAGRAM.len()),
        header,
        outer: Vec::new(),
        header_bytes: 40,
        link: None,
        sender: None,
        mesh_hops_left: None,
        fragments: 0,
        outgoing: None,
        interface_index: None,
        received: true,
    }
}

/// The same in a frame of a node.
fn sent_by(node: u8, sequence: u8, time: SimTime, hop_limit: u8) -> IpPacket<'static> {
    IpPacket {
        sender: Some(Sender {
            pan: PanId(1),
            address: LinkAddress::Extended(Eui64([2, 0, 0, 0, 0, 0, 0, node])),
            sequence: Some(sequence),
        }),
        ..packet(time, hop_limit)
    }
}

/// What packets are that are seen in this order.
fn seen(packets: impl IntoIterator<Item = IpPacket<'static>>) -> Vec<Sighting> {
    let mut sightings = Sightings::default();
    let numbered = packets.into_iter().enumerate();
    numbered
        .map(|(number, packet)| sightings.see(&packet, number))
        .collect()
}

/// The numbers of packets seen in this order.
fn numbers(packets: impl IntoIterator<Item = IpPacket<'static>>) -> Vec<usize> {
    let seen = seen(packets).into_iter().enumerate();
    seen.map(|(number, sighting)| match sighting {
        Sighting::First => number,
        Sighting::Again(earlier) => earlier,
        Sighting::Twin(_) => panic!("a twin"),
    })
    .collect()
}

const ACK_TIMEOUT: u64 = 2_000_000;

#[test]
fn what_comes_at_once_is_a_twin_and_what_comes_after_a_timeout_is_another() {
    use Sighting::{First, Twin};
    for timeout in [ACK_TIMEOUT, 100_000, 1_021] {
        let times = [0, 20, timeout, timeout + 20];
        let packets = times.map(|t| packet(us(t), 64));
        assert_eq!(seen(packets), [First, Twin(0), First, Twin(2)]);
    }
}

#[test]
fn twins_are_forwarded_each_by_itself() {
    use Sighting::{Again, First, Twin};
    let hops = [(0, 64), (8, 64), (3_000, 63), (6_000, 63)];
    let packets = hops.map(|(t, hops)| packet(us(t), hops));
    assert_eq!(seen(packets), [First, Twin(0), Again(0), Again(1)]);
}

#[test]
fn a_forwarded_packet_is_the_same_and_so_is_its_repetition_hop_by_hop() {
    let way = |at: u64| [(at, 64), (at + 5_000, 63), (at + 90_000, 62)];
    let both = [way(0), way(ACK_TIMEOUT)].concat();
    let seen = numbers(both.into_iter().map(|(t, hops)| packet(us(t), hops)));
    assert_eq!(seen, [0, 0, 0, 3, 3, 3]);
    // ACK_TIMEOUT is 100 ms, and the second hop did not get the one or the other.
    let seen = [(0, 64), (100_000, 64), (110_000, 63)];
    assert_eq!(
        numbers(seen.map(|(t, hops)| packet(us(t), hops))),
        [0, 1, 0]
    );
    // Both are on their way at once, and overtake nobody.
    let seen = [(0, 64), (100_000, 64), (110_000, 63), (120_000, 63)];
    assert_eq!(
        numbers(seen.map(|(t, hops)| packet(us(t), hops))),
        [0, 1, 0, 1]
    );
}

#[test]
fn a_packet_whose_hop_limit_grew_is_another() {
    let seen = [(0, 63), (10_000, 64)];
    assert_eq!(numbers(seen.map(|(t, hops)| packet(us(t), hops))), [0, 1]);
}

#[test]
fn on_a_radio_the_sender_and_its_sequence_number_tell() {
    let seen = numbers([
        // Forwarded under IP: the hop limit stays.
        sent_by(1, 7, us(0), 64),
        sent_by(2, 200, us(8_000), 64),
        // The MAC sends it again.
        sent_by(2, 200, us(16_000), 64),
        // Its sender sends it again, sooner than TWINS_WITHIN.
        sent_by(1, 8, us(16_500), 64),
        sent_by(2, 201, us(20_000), 64),
    ]);
    assert_eq!(seen, [0, 0, 0, 3, 3]);
}

#[test]
fn inside_and_outside_of_a_tunnel_it_is_one_packet() {
    let outer = |hop_limit| Header {
        src: address(0xa),
        dst: address(0xb),
        hop_limit,
        identification: None,
    };
    let tunnelled = |time, inner, hop_limit| IpPacket {
        outer: vec![outer(hop_limit)],
        ..packet(us(time), inner)
    };
    let seen = numbers([
        packet(us(0), 64),
        tunnelled(2_000, 63, 64),
        tunnelled(9_000, 63, 63),
        packet(us(11_000), 63),
        packet(us(ACK_TIMEOUT), 64),
    ]);
    assert_eq!(seen, [0, 0, 0, 0, 4]);
}

#[test]
fn an_elided_checksum_makes_no_other_packet_and_other_content_does() {
    let with = |bytes: &'static [u8]| IpPacket {
        payload: Payload::new(bytes, bytes.len()),
        ..packet(us(10), 63)
    };
    let first = || packet(us(0), 64);
    let elided = &[0, 1, 0, 2, 0, 10, 0, 0, 7, 8];
    assert_eq!(numbers([first(), with(elided)]), [0, 0]);
    let other = &[0, 1, 0, 2, 0, 10, 0xaa, 0xbb, 7, 9];
    assert_eq!(numbers([first(), with(other)]), [0, 1]);
    let port = &[0, 1, 0, 3, 0, 10, 0xaa, 0xbb, 7, 8];
    assert_eq!(numbers([first(), with(port)]), [0, 1]);
    let identified = |id: u16| {
        let mut packet = packet(us(id.into()), 64);
        packet.header.identification = Some(id);
        packet
    };
    assert_eq!(numbers([identified(1), identified(2)]), [0, 1]);
    let outgoing = |way| IpPacket {
        outgoing: Some(way),
        ..packet(us(0), 64)
    };
    assert_eq!(numbers([outgoing(true), outgoing(false)]), [0, 1]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut sightings = Sightings::default();
    let mut header = packet(us(0), 64);
    for n in 0..3 * MOST_PACKETS {
        header.header.identification = Some(n as u16);
        header.protocol = (n >> 16) as u8;
        sightings.see(&header, n);
        assert!(sightings.latest.len() <= MOST_PACKETS);
    }
    let mut sightings = Sightings::default();
    for n in 0..1_000 {
        // Alike, each too late to be a copy; each at 200 stages.
        let at = n * 2_000;
        sightings.see(&packet(us(at), 255), 2 * n as usize);
        for hops in 0..200_u8 {
            sightings.see(&packet(us(at + 1), 254 - hops), 2 * n as usize + 1);
        }
        for alike in sightings.latest.values() {
            assert!(alike.earlier.len() < MOST_AT_ONCE);
            assert!(alike.latest.others.len() <= MOST_STAGES);
        }
    }
}
