//! Handovers over which the address that answers stays, in captures alone.

use std::net::IpAddr;
use std::time::Duration;

use crate::common::{Wire, at, content, get, ip_packet};
use capture::{Capture, Interface, LinkType, Packet, TapHeader};
use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Kind, Options as CoapOptions};
use measure::analysis::{Analysis, Options};
use measure::attachment::{By, Unseen};
use measure::export::Report;
use measure::text::{Table, report};

const CLIENT: &str = "[2001:db8::1]:5683";
const NODE: &str = "[2001:db8:1::5]:5683";
const THERE: &str = "[2001:db8:2::5]:5683";
const AGENT: &str = "[2001:db8::77]:5683";

fn of(capture: Capture) -> Analysis {
    Analysis::of(&[capture], &Options::default())
}

/// Polls of the home address, every 10 ms for 100 ms and from 400 ms on, as `frame` sends each
/// packet: from the client or not, before the move or after it.
fn polls(mut frame: impl FnMut(u64, bool, bool, &[u8])) {
    for n in 0..20_u16 {
        let moved = n >= 10;
        let us = u64::from(n) * 10_000 + if moved { 300_000 } else { 0 };
        let request = get(Kind::NonConfirmable, n, n as u8, "/t");
        frame(us, true, moved, &ip_packet(CLIENT, NODE, &request.encode()));
        let response = content(Kind::NonConfirmable, 900 + n, n as u8);
        frame(
            us + 1_000,
            false,
            moved,
            &ip_packet(NODE, CLIENT, &response.encode()),
        );
    }
}

fn capture(link_type: LinkType, packets: Vec<Packet>) -> Capture {
    Capture {
        name: "wire".into(),
        interfaces: vec![Interface::new("wire", link_type)],
        packets,
        damage: None,
    }
}

/// What the one flow shows of its one handover.
fn shown(analysis: &Analysis) -> (By, Duration) {
    let [flow] = &analysis.flows[..] else {
        panic!("{:?}", analysis.flows);
    };
    let [handover] = &flow.handovers()[..] else {
        panic!("{:?}", flow.handovers());
    };
    (handover.by(), handover.duration().unwrap())
}

#[test]
fn a_sniffer_of_the_radio_shows_that_the_node_has_another_router() {
    // Between the node, 0x0005, and routers 0x0001 and 0x0002 of the same PAN.
    let mut packets = Vec::new();
    polls(|us, request, moved, packet| {
        let router = if moved { 2 } else { 1 };
        let (dst, src) = if request { (5, router) } else { (router, 5) };
        let header = [0x41, 0x88, packets.len() as u8, 1, 0, dst, 0, src, 0, 0x41];
        packets.push(Packet::new(0, at(us), [&header[..], packet].concat()));
    });
    let analysis = of(capture(LinkType::IEEE802_15_4_NOFCS, packets));
    assert_eq!(shown(&analysis), (By::Router, Duration::from_millis(310)));
    let text = report(&analysis, Table::None);
    let by = ", 0 lost, by router: from 0x0005 to 0x0001 in PAN 0x0001, then 0x0005 to 0x0002 in PAN 0x0001\n";
    assert!(text.contains(by), "{text}");
    let json = serde_json::to_value(Report::of(&analysis)).unwrap();
    let handover = &json["flows"][0]["handovers"][0];
    assert_eq!(
        (&handover["by"], &handover["delay_s"]),
        (&"router".into(), &0.31.into())
    );
    assert_eq!(handover["links"][1], "0x0005 to 0x0002 in PAN 0x0001");
}

#[test]
fn on_the_air_another_channel_is_another_router() {
    // Both networks have the same identifiers.
    let mut packets = Vec::new();
    polls(|us, request, moved, packet| {
        let (dst, src) = if request { (5, 1) } else { (1, 5) };
        let header = [0x41, 0x88, packets.len() as u8, 1, 0, dst, 0, src, 0, 0x41];
        let mut psdu = [&header[..], packet].concat();
        let crc = psdu.iter().fold(0_u16, |crc, byte| {
            (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
                crc >> 1 ^ if crc & 1 == 1 { 0x8408 } else { 0 }
            })
        });
        psdu.extend(crc.to_le_bytes());
        let tap = TapHeader {
            channel: (if moved { 20 } else { 15 }).try_into().unwrap(),
            rss: None,
            lqi: None,
        };
        packets.push(Packet::new(0, at(us), tap.packet(&psdu)));
    });
    let analysis = of(capture(LinkType::IEEE802_15_4_TAP, packets));
    assert_eq!(shown(&analysis), (By::Router, Duration::from_millis(310)));
}

#[test]
fn at_the_client_responses_come_from_another_router_of_the_backbone() {
    let mut packets = Vec::new();
    polls(|us, request, moved, packet| {
        let router = if moved { 0xb } else { 0xa };
        let (dst, src) = if request { (router, 1) } else { (1, router) };
        let header = [2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src, 0x86, 0xdd];
        packets.push(Packet::new(0, at(us), [&header[..], packet].concat()));
    });
    let analysis = of(capture(LinkType::ETHERNET, packets));
    assert_eq!(shown(&analysis), (By::Router, Duration::from_millis(310)));
    assert!(analysis.flows[0].gaps().is_empty());
}

/// The node registers at its agent, which acknowledges.
fn register(wire: &mut Wire, us: u64, id: u16, from: &str) {
    let octets = |address: &str| match address.parse::<std::net::SocketAddr>().unwrap().ip() {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(_) => unreachable!(),
    };
    let mut options = CoapOptions::new();
    options.push(option::URI_PATH, "comp");
    options.push_uint(2048, 2);
    options.push(2049, octets("[fd00:f::5]:0"));
    options.push(2050, octets(from));
    let registration = Message {
        kind: Kind::Confirmable,
        code: Code::POST,
        message_id: id,
        token: Token::new(&[id as u8]).unwrap(),
        options,
        payload: Vec::new(),
    };
    let mut created = content(Kind::Acknowledgement, id, id as u8);
    created.code = Code::CREATED;
    wire.message(us, from, AGENT, &registration)
        .message(us + 500, AGENT, from, &created);
}

#[test]
fn over_and_back_between_two_responses_is_seen_by_the_bindings() {
    let mut wire = Wire::new();
    register(&mut wire, 0, 50, NODE);
    register(&mut wire, 150_000, 51, THERE);
    register(&mut wire, 390_000, 52, NODE);
    for n in 0..20_u16 {
        let us = 1_000 + u64::from(n) * 10_000 + if n >= 10 { 399_000 } else { 0 };
        wire.poll(us, 100 + n, n as u8, CLIENT, NODE);
    }
    for n in 0..5_u16 {
        let us = 120_000 + u64::from(n) * 50_000;
        wire.message(
            us,
            CLIENT,
            NODE,
            &get(Kind::NonConfirmable, 200 + n, 99, "/t"),
        );
    }
    let analysis = of(wire.capture());
    let [flow] = &analysis.flows[..] else {
        panic!("{:?}", analysis.flows);
    };
    let handovers = flow.handovers();
    let shown = handovers
        .iter()
        .map(|h| (h.by(), h.gap.clone().map(|g| g.duration())));
    let shown: Vec<_> = shown.collect();
    let shared = Unseen::Shared(at(390_000));
    let expected = [
        (By::Binding, Err(shared)),
        (By::Binding, Ok(Duration::from_millis(409))),
    ];
    assert_eq!(shown, expected);
    let text = report(&analysis, Table::None);
    let line = "  handover   in the pause of the change at 0.390000 s, by binding: CoMP registration of fd00:f::5 at 0.150000 s, from 2001:db8:1::5 to 2001:db8:2::5\n";
    assert!(text.contains(line), "{text}");
}
