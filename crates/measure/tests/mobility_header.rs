//! There is a place for protocols below UDP: a dissector of Mobility Headers (RFC 6275), put in the
//! place of those that the library has, and the library's own. Packets go in, an announced binding and a
//! handover come out, of a node whose answering address never changes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::common::{Wire, at, content, get, ip_packet};
use capture::{Capture, Packet};
use coap::Kind;
use measure::analysis::{Analysis, Options};
use measure::attachment::{By, Change, Unseen};
use measure::dissect::{Binding, Dissector, Meaning, Protocol, Seen, Standing, Subject};
use measure::export::Report;
use measure::text::{Table, report};
use mip6::Headers;
use mip6::codec::{Lifetime, Message, checksum};
use mip6::headers::MOBILITY_HEADER;

/// A Binding Update is known by its type (RFC 6275 §6.1.7).
#[derive(Debug)]
struct MobilityHeader;

const PROTOCOL: Protocol = Protocol::new("mobility_header", "Mobile IPv6");

impl Dissector for MobilityHeader {
    fn read(&mut self, packet: &Seen<'_>) -> Option<Meaning> {
        let (IpAddr::V6(home), IpAddr::V6(receiver)) = (packet.ip.src, packet.ip.dst) else {
            return None;
        };
        if packet.ip.protocol != MOBILITY_HEADER {
            return None;
        }
        let headers = Headers::between(home, receiver);
        let Ok(Message::BindingUpdate(update)) = Message::decode(&headers, &packet.ip.payload)
        else {
            return None;
        };
        // "the home address of the mobile node" is in the Home Address option, the care-of address in
        // "the Source Address field in the IPv6 header or ... the Alternate Care-of Address option".
        let permanent = packet.ip.src;
        let alternate = update.alternate_care_of().map(IpAddr::V6);
        let care_of = alternate.unwrap_or(packet.ip.header.src);
        let binding = Binding {
            permanent,
            care_of,
            standing: Standing::Announced,
        };
        // Lifetime 0 from elsewhere than home deletes a binding and makes none.
        let deletes = update.lifetime == Lifetime::ZERO && care_of != permanent;
        Some(Meaning {
            protocol: PROTOCOL,
            message: "binding update".into(),
            subject: Subject::Node(vec![permanent, care_of]),
            binding: (!deletes).then_some(binding),
        })
    }
}

const CLIENT: &str = "[2001:db8::1]:5683";
const HOME: &str = "[2001:db8:f::5]:5683";
const AGENT: &str = "2001:db8:f::1";
const HERE: &str = "2001:db8:1::5";
const THERE: &str = "2001:db8:2::5";

fn octets(address: &str) -> [u8; 16] {
    address.parse::<Ipv6Addr>().unwrap().octets()
}

fn home() -> Ipv6Addr {
    match HOME.parse::<SocketAddr>().unwrap().ip() {
        IpAddr::V6(home) => home,
        IpAddr::V4(_) => unreachable!(),
    }
}

/// A destination options header with a Home Address option, which is aligned to 8n+6 by a PadN of
/// 4 (RFC 6275 §6.3).
fn home_address(next: u8) -> Vec<u8> {
    [&[next, 2, 1, 2, 0, 0, 201, 16][..], &home().octets()].concat()
}

/// Gives a Mobility Header from the home address to the home agent its checksum.
fn sum(mobility: &mut [u8]) {
    let sum = checksum(home(), octets(AGENT).into(), mobility);
    mobility[4..6].copy_from_slice(&sum.to_be_bytes());
}

/// A Binding Update from a care-of address to the home agent: 96 bytes.
fn binding_update(care_of: &str, sequence: u16, lifetime: u16) -> Vec<u8> {
    let mut mobility = vec![59, 3, 5, 0, 0xab, 0xcd];
    mobility.extend(sequence.to_be_bytes());
    mobility.extend([0xc0, 0]); // A, H
    mobility.extend(lifetime.to_be_bytes());
    mobility.extend([1, 0, 3, 16]); // PadN, Alternate Care-of Address at 8n+6
    mobility.extend(octets(care_of));
    sum(&mut mobility);
    let payload = [home_address(135), mobility].concat();
    let mut packet = vec![0x60, 0, 0, 0, 0, payload.len() as u8, 60, 64];
    packet.extend(octets(care_of));
    packet.extend(octets(AGENT));
    packet.extend(payload);
    assert_eq!(packet.len(), 96);
    packet
}

/// A response that the node sends from its care-of address, with its home address (route
/// optimisation).
fn with_home_address(care_of: &str, packet: &[u8]) -> Vec<u8> {
    let (header, datagram) = packet.split_at(40);
    let options = home_address(17);
    let mut header = header.to_vec();
    let length = (options.len() + datagram.len()) as u16;
    header[4..6].copy_from_slice(&length.to_be_bytes());
    header[6] = 60;
    header[8..24].copy_from_slice(&octets(care_of));
    [&header[..], &options, datagram].concat()
}

/// Ten polls at home agent's distance, three that are lost while the node is away, ten more; the
/// node announces where it is before the first and in the gap, once to each of two peers.
fn wire() -> Wire {
    let mut wire = Wire::new();
    let mut bind = |us: u64, care_of: &str, sequence| {
        let update = binding_update(care_of, sequence, 75);
        wire.0.push(Packet::new(0, at(us), update));
    };
    bind(1, HERE, 1);
    bind(390_000, THERE, 2);
    // An acknowledgement was lost.
    bind(1_390_000, THERE, 3);
    for n in 0..10_u16 {
        let us = 10_000 * u64::from(n);
        let optimised = |wire: &mut Wire, us, id: u16, care_of| {
            wire.message(
                us,
                CLIENT,
                HOME,
                &get(Kind::NonConfirmable, id, id as u8, "/t"),
            );
            let response = content(Kind::NonConfirmable, 900 + id, id as u8);
            let packet = ip_packet(HOME, CLIENT, &response.encode());
            let packet = with_home_address(care_of, &packet);
            wire.0.push(Packet::new(0, at(us + 1_000), packet));
        };
        optimised(&mut wire, us + 1_000, n, HERE);
        optimised(&mut wire, us + 400_000, 20 + n, THERE);
    }
    for n in 10..13_u16 {
        let us = 10_000 * u64::from(n);
        wire.message(
            us,
            CLIENT,
            HOME,
            &get(Kind::NonConfirmable, n, n as u8, "/t"),
        );
    }
    wire
}

fn analyse(capture: &Capture) -> Analysis {
    let options = Options {
        dissectors: vec![|| Box::new(MobilityHeader)],
        ..Options::default()
    };
    Analysis::of(std::slice::from_ref(capture), &options)
}

#[test]
fn a_node_that_answers_from_its_home_address_shows_its_handover_by_the_binding() {
    let analysis = analyse(&wire().capture());
    let [flow] = &analysis.flows[..] else {
        panic!("{:?}", analysis.flows);
    };
    assert_eq!(flow.node.as_deref(), Some("2001:db8:f::5"));
    assert_eq!(flow.addresses(), [(HOME.parse().unwrap(), 20)]);
    let [handover] = &flow.handovers()[..] else {
        panic!("{:?}", flow.handovers());
    };
    // From the response at 92 ms to the one at 401 ms.
    let gap = handover.gap.as_ref().unwrap();
    assert_eq!(gap.duration().as_millis(), 309);
    assert_eq!((gap.before.message_id, gap.after.message_id), (9, 20));
    assert_eq!(gap.lost, [10, 11, 12]);
    let Change::Binding(announced) = &handover.change else {
        panic!("{handover:?}");
    };
    assert_eq!(handover.by(), By::Binding);
    assert_eq!(
        (announced.time, &announced.protocol),
        (at(390_000), &PROTOCOL)
    );
    assert_eq!(
        (announced.from.to_string(), announced.to.to_string()),
        (HERE.into(), THERE.into())
    );

    let text = report(&analysis, Table::None);
    let line = "  handover   309.000 ms: from Message ID 9 at 0.091999 s ([2001:db8:f::5]:5683) to 20 at 0.400999 s ([2001:db8:f::5]:5683), 3 lost, by binding: Mobile IPv6 binding update of 2001:db8:f::5 at 0.389999 s, from 2001:db8:1::5 to 2001:db8:2::5\n";
    assert!(text.contains(line), "{text}");
    let json = serde_json::to_value(Report::of(&analysis)).unwrap();
    assert_eq!(
        json["flows"][0]["handovers"][0],
        serde_json::json!({
            "by": "binding",
            "delay_s": 0.309,
            "last_before": { "message_id": 9, "time_s": 0.091999, "address": HOME },
            "first_after": { "message_id": 20, "time_s": 0.400999, "address": HOME },
            "lost_message_ids": [10, 11, 12],
            "announced": {
                "time_s": 0.389999,
                "protocol": "mobility_header",
                "message": "binding update",
                "permanent": "2001:db8:f::5",
                "from": HERE,
                "to": THERE,
            },
        })
    );
}

#[test]
fn without_its_dissector_the_same_capture_shows_a_gap_only() {
    let options = Options {
        dissectors: Vec::new(),
        ..Options::default()
    };
    let analysis = Analysis::of(&[wire().capture()], &options);
    assert!(analysis.flows[0].handovers().is_empty());
    assert_eq!(analysis.flows[0].gaps().len(), 1);
}

#[test]
fn a_node_that_returns_home_has_changed_its_attachment() {
    let mut wire = wire();
    for n in 0..10_u16 {
        wire.poll(
            800_000 + 10_000 * u64::from(n),
            40 + n,
            n as u8,
            CLIENT,
            HOME,
        );
    }
    // From its home address, with lifetime 0 (RFC 6275 §11.5.5); a deletion from elsewhere is no move.
    let mut mobility = [59, 1, 5, 0, 0xab, 0xcd, 0, 4, 0xc0, 0, 0, 0, 1, 2, 0, 0];
    sum(&mut mobility);
    let mut packet = vec![0x60, 0, 0, 0, 0, 16, 135, 64];
    packet.extend(home().octets());
    packet.extend(octets(AGENT));
    packet.extend(mobility);
    wire.0.push(Packet::new(0, at(500_000), packet));
    let deletion = binding_update(HERE, 5, 0);
    wire.0.push(Packet::new(0, at(450_000), deletion));
    let analysis = analyse(&wire.capture());
    let handovers = analysis.flows[0].handovers();
    assert_eq!(handovers.len(), 2);
    let Change::Binding(announced) = &handovers[1].change else {
        panic!("{handovers:?}");
    };
    assert_eq!(announced.to, IpAddr::V6(home()));
    // The client had stopped asking: the pause to 801 ms is its own.
    assert_eq!(handovers[1].gap, Err(Unseen::NotAsked));
    let text = report(&analysis, Table::None);
    let line = "  handover   not shown: nothing was asked during it, by binding: Mobile IPv6";
    assert!(text.contains(line), "{text}");
}

#[test]
fn the_librarys_dissector_shows_the_same_handover() {
    let analysis = Analysis::of(&[wire().capture()], &Options::default());
    let [handover] = &analysis.flows[0].handovers()[..] else {
        panic!("{:?}", analysis.flows[0].handovers());
    };
    assert_eq!(handover.gap.as_ref().unwrap().duration().as_millis(), 309);
    let Change::Binding(announced) = &handover.change else {
        panic!("{handover:?}");
    };
    assert_eq!(announced.protocol.label(), "Mobile IPv6");
    assert_eq!(announced.message, "home binding update");
    assert_eq!(
        (announced.from.to_string(), announced.to.to_string()),
        (HERE.into(), THERE.into())
    );
    assert!(analysis.other.faults.is_empty());
}

#[test]
fn a_wrong_checksum_is_told_and_announces_nothing() {
    let mut wire = wire();
    for packet in &mut wire.0 {
        // Bit 0 of the sequence number: behind IPv6 header and Home Address option.
        if packet.data[6] == 60 && packet.data[40] == 135 {
            packet.data[40 + 24 + 7] ^= 1;
        }
    }
    let analysis = Analysis::of(&[wire.capture()], &Options::default());
    assert!(analysis.flows[0].handovers().is_empty());
    let text = report(&analysis, Table::None);
    let told = "wrong, and dropped by who gets it\n  3 Mobility Headers with a wrong checksum\n";
    assert!(text.contains(told), "{text}");
    let json = serde_json::to_value(Report::of(&analysis)).unwrap();
    let fault = serde_json::json!([
        { "what": "Mobility Headers with a wrong checksum", "messages": 3 }
    ]);
    assert_eq!(json["frames"]["faults"], fault);
}
