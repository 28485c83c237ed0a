//! Captures of radios, of tunnels and of several hops give what a node's own interface gives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::{Wire, at, content, get, handovers, ip_packet};
use capture::{Capture, Interface, LinkType, Packet};
use coap::Kind;
use measure::analysis::{Analysis, Flow, Gap, Options, Requests};
use measure::export::Report;
use measure::text::{Table, report};
use units::SimTime;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// A walk of which `crates/capture` has the captures of the node's interfaces and of the air.
fn walk(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../capture/tests/data")
        .join(name)
}

fn analyse(path: PathBuf) -> Analysis {
    of(capture::read(path).unwrap())
}

fn of(capture: Capture) -> Analysis {
    Analysis::of(&[capture], &Options::default())
}

fn apart(a: SimTime, b: SimTime) -> Duration {
    a.saturating_since(b).max(b.saturating_since(a))
}

/// That two analyses say the same, but for times, which are at most `limit` apart.
fn assert_same(ours: &Analysis, expected: &Analysis, limit: Duration) {
    assert!(!expected.flows.is_empty());
    assert_eq!(ours.flows.len(), expected.flows.len());
    for (a, b) in ours.flows.iter().zip(&expected.flows) {
        assert_same_flow(a, b, limit);
    }
    assert_same_counts(
        Requests::of(&ours.signalling),
        Requests::of(&expected.signalling),
    );
    let besides = |a: &Analysis| {
        let o = &a.other;
        (
            o.coap_messages,
            o.multicast,
            o.pings,
            o.stray,
            o.undecodable,
        )
    };
    assert_eq!(besides(ours), besides(expected));
}

fn assert_same_flow(a: &Flow, b: &Flow, limit: Duration) {
    assert_eq!(
        (a.client, &a.node, a.method, &a.resource),
        (b.client, &b.node, b.method, &b.resource)
    );
    assert_same_counts(a.requests(), b.requests());
    assert_eq!(a.addresses(), b.addresses());
    assert_eq!(a.lost(), b.lost());
    let ids = |gaps: Vec<Gap>| {
        let ids = |g: &Gap| (g.before.message_id, g.after.message_id, g.lost.clone());
        gaps.iter().map(ids).collect::<Vec<_>>()
    };
    assert_eq!(ids(handovers(a)), ids(handovers(b)));
    assert_eq!(ids(a.gaps()), ids(b.gaps()));
    for (a, b) in a.exchanges.iter().zip(&b.exchanges) {
        assert_eq!((a.message_id(), a.token()), (b.message_id(), b.token()));
        assert_eq!(a.retransmissions(), b.retransmissions());
        assert!(apart(a.sent_at(), b.sent_at()) <= limit);
        if let (Some(a), Some(b)) = (a.answer(), b.answer()) {
            assert!(apart(a.time, b.time) <= limit);
        }
    }
}

/// Without round-trip times.
fn assert_same_counts(a: Requests, b: Requests) {
    let counts = |r: Requests| Requests { rtt: None, ..r };
    assert_eq!(counts(a), counts(b));
}

#[test]
fn a_sniffers_capture_gives_what_the_same_packets_give_as_raw_ip() {
    let sniffer = analyse(data("sniffer.pcap"));
    assert_same(&sniffer, &analyse(data("sniffer-ip.pcap")), Duration::ZERO);
    let flow = &sniffer.flows[0];
    let requests = flow.requests();
    assert_eq!(
        (requests.sent, requests.answered, requests.lost),
        (23, 20, 3)
    );
    assert_eq!(flow.lost(), [110, 111, 112]);
    let [handover] = &handovers(flow)[..] else {
        panic!("{:?}", handovers(flow));
    };
    assert_eq!(handover.duration(), Duration::from_millis(400));
    assert_eq!(
        (handover.before.message_id, handover.after.message_id),
        (109, 113)
    );
    assert!(sniffer.other.unread.is_empty());
}

#[test]
fn a_nodes_radio_interface_gives_what_its_ip_interface_gives() {
    let lowpan = analyse(walk("walk.lowpan0.pcap"));
    let wpan = analyse(walk("walk.wpan0.pcap"));
    assert_same(&wpan, &lowpan, Duration::from_micros(10));
    let handover = |a: &Analysis| handovers(&a.flows[0])[0].duration();
    assert_eq!(handover(&wpan).as_millis(), 227);
    assert!(handover(&wpan).abs_diff(handover(&lowpan)) < Duration::from_micros(1));
}

#[test]
fn the_air_gives_what_the_nodes_ip_interface_gives_but_for_the_airtime() {
    let lowpan = analyse(walk("walk.lowpan0.pcap"));
    let air = analyse(walk("walk.air.pcap"));
    // A frame of 100 bytes and its acknowledgement take 4 ms; the air has the beginning of the
    // frame, the node its end, and its response waits for the channel.
    assert_same(&air, &lowpan, Duration::from_millis(6));
    assert_eq!(air.other.repeated, 3);
    let handover = |a: &Analysis| handovers(&a.flows[0])[0].duration();
    assert!(handover(&air).abs_diff(handover(&lowpan)) < Duration::from_millis(1));
}

#[test]
fn requests_in_a_tunnel_are_measured() {
    for name in ["6in4.pcap", "ip6-in-ip6.pcap"] {
        let analysis = analyse(data(name));
        let requests = analysis.flows[0].requests();
        assert_eq!((requests.sent, requests.answered), (3, 3), "{name}");
        let rtt = requests.rtt.unwrap();
        let ms = Duration::from_millis(10);
        assert_eq!((rtt.min, rtt.max), (ms, ms), "{name}");
        assert!(analysis.other.unread.is_empty());
    }
}

#[test]
fn a_packet_that_was_captured_twice_counts_once() {
    for name in ["mirror.pcap", "forwarded.pcap"] {
        let analysis = analyse(data(name));
        let requests = analysis.flows[0].requests();
        assert_eq!((requests.sent, requests.answered), (3, 3), "{name}");
        assert_eq!(
            (requests.retransmitted, requests.duplicates),
            (0, 0),
            "{name}"
        );
        assert_eq!(
            (analysis.other.coap_messages, analysis.other.copies),
            (6, 6)
        );
        let text = report(&analysis, Table::None);
        assert!(text.contains("\n  6 copies of CoAP messages"), "{text}");
    }
}

const CLIENT: &str = "[2001:db8::1]:5683";
const NODE: &str = "[2001:db8:1::5]:5683";

/// A packet that a sniffer sees on two hops, 20 ms apart.
fn two_hops(wire: &mut Wire, us: u64, from: &str, to: &str, message: &coap::wire::Message) {
    for hop in 0..2_u8 {
        let mut packet = ip_packet(from, to, &message.encode());
        packet[7] -= hop;
        let time = at(us + 20_000 * u64::from(hop));
        wire.0.push(Packet::new(0, time, packet));
    }
}

#[test]
fn a_request_counts_from_its_first_hop_and_a_response_from_its_last() {
    let mut wire = Wire::new();
    let request = get(Kind::Confirmable, 1, 1, "/t");
    two_hops(&mut wire, 0, CLIENT, NODE, &request);
    let response = content(Kind::Acknowledgement, 1, 1);
    two_hops(&mut wire, 50_000, NODE, CLIENT, &response);
    let analysis = of(wire.capture());
    let exchange = &analysis.flows[0].exchanges[0];
    assert_eq!(exchange.sent_at(), at(0));
    assert_eq!(exchange.answer().unwrap().time, at(70_000));
    assert_eq!((exchange.retransmissions(), exchange.duplicates()), (0, 0));
}

#[test]
fn what_a_client_sends_again_stays_a_retransmission_on_several_hops() {
    // An ACK_TIMEOUT of 100 ms, and the standard's.
    for timeout in [100_000, 2_000_000] {
        let mut wire = Wire::new();
        let request = get(Kind::Confirmable, 1, 1, "/t");
        for transmission in 0..3 {
            two_hops(&mut wire, transmission * timeout, CLIENT, NODE, &request);
        }
        let response = content(Kind::Acknowledgement, 1, 1);
        two_hops(&mut wire, 2 * timeout + 50_000, NODE, CLIENT, &response);
        let analysis = of(wire.capture());
        let exchange = &analysis.flows[0].exchanges[0];
        assert_eq!(exchange.retransmissions(), 2);
        assert_eq!((exchange.duplicates(), analysis.other.copies), (0, 4));
    }
}

#[test]
fn requests_that_a_router_held_and_sent_on_at_once_are_no_copies() {
    // Of a poll of many one is sent again, and both leave the router within 8 us.
    let mut wire = Wire::new();
    for n in 0..10 {
        wire.poll(u64::from(n) * 100_000, n, n as u8, CLIENT, NODE);
    }
    let held = get(Kind::Confirmable, 4, 4, "/t");
    wire.message(400_008, CLIENT, NODE, &held);
    let analysis = of(wire.capture());
    let requests = analysis.flows[0].requests();
    assert_eq!((requests.sent, requests.retransmitted), (10, 1));
    assert_eq!(analysis.other.copies, 0);
}

/// The capture of the air with what it says of the response with this Message ID, attempt by
/// attempt; the attempts after the first are put in.
fn air_with_fates(message_id: u16, fates: &[&str]) -> Capture {
    let mut capture = capture::read(walk("walk.air.pcap")).unwrap();
    // In an ACK with code 2.05 and a token of 4 bytes.
    let start = [[0x64, 0x45], message_id.to_be_bytes()].concat();
    let has = |p: &Packet| p.data.windows(4).any(|bytes| bytes == start);
    let first = capture.packets.iter().position(has).unwrap();
    let packet = capture.packets[first].clone();
    for (attempt, fate) in fates.iter().enumerate() {
        let comment = format!("sensor: attempt {}; er1: {fate}", attempt + 1);
        let attempt_of = Packet {
            time: packet.time + Duration::from_millis(7) * attempt as u32,
            comment: Some(comment),
            ..packet.clone()
        };
        match attempt {
            0 => capture.packets[first] = attempt_of,
            _ => capture.packets.push(attempt_of),
        }
    }
    capture.packets.sort_by_key(|p| p.time);
    capture
}

#[test]
fn a_frame_that_the_air_lost_was_not_received() {
    let lost = "lost: noise, -90.2 dBm, SINR 1.5 dB";
    let analysis = of(air_with_fates(6887, &[lost, lost]));
    let flow = &analysis.flows[0];
    let requests = flow.requests();
    assert_eq!((requests.sent, requests.answered), (8, 7));
    assert_eq!(flow.lost(), [6887]);
    assert_eq!(handovers(flow).len(), 1);

    let received = "received, -80.1 dBm, SINR 9.0 dB";
    let analysis = of(air_with_fates(6887, &[lost, received]));
    let at_once = of(air_with_fates(6887, &[received]));
    let answered = |a: &Analysis| {
        let exchanges = &mut a.flows[0].exchanges.iter();
        let exchange = exchanges.find(|e| e.message_id() == 6887).unwrap();
        assert_eq!(exchange.duplicates(), 0);
        exchange.answer().unwrap().time
    };
    assert_eq!(
        apart(answered(&analysis), answered(&at_once)),
        Duration::from_millis(7)
    );
    assert_eq!(analysis.other.copies, 0);
}

/// When the request with this Message ID was answered, counted from when it was sent.
fn round_trip(flow: &Flow, message_id: u16) -> Duration {
    let mut exchanges = flow.exchanges.iter();
    let exchange = exchanges.find(|e| e.message_id() == message_id).unwrap();
    assert_eq!(exchange.duplicates(), 0);
    exchange
        .answer()
        .unwrap()
        .time
        .saturating_since(exchange.sent_at())
}

#[test]
fn an_answer_that_the_air_lost_ends_no_handover() {
    let air = analyse(data("air-lost.pcapng"));
    let flow = air.flows.iter().find(|f| f.exchanges.len() == 4).unwrap();
    let [handover] = &handovers(flow)[..] else {
        panic!("{:?}", handovers(flow));
    };
    assert_eq!(handover.duration().as_millis(), 2281);
    assert_eq!(handover.after.message_id, 24631);
    assert_eq!(round_trip(flow, 24631).as_millis(), 2197);
    assert!(flow.gaps().is_empty());
    // Of a sniffer of another maker acknowledgements tell the same.
    let mut capture = capture::read(data("air-lost.pcapng")).unwrap();
    capture.interfaces[0].description = None;
    let sniffer = of(capture);
    let flow = sniffer
        .flows
        .iter()
        .find(|f| f.exchanges.len() == 4)
        .unwrap();
    assert_eq!(handovers(flow)[0].duration().as_millis(), 2281);
}

#[test]
fn an_answer_that_was_lost_on_a_later_hop_did_not_arrive() {
    let analysis = analyse(data("sniffer-hops.pcap"));
    let flow = &analysis.flows[0];
    let requests = flow.requests();
    assert_eq!((requests.sent, requests.answered), (21, 21));
    assert_eq!((requests.retransmitted, requests.duplicates), (1, 0));
    assert_eq!(round_trip(flow, 11), Duration::from_millis(2020));
    assert_eq!(round_trip(flow, 10), Duration::from_millis(20));
}

#[test]
fn an_analysis_in_which_nothing_was_readable_says_what_was_not() {
    let secured = vec![0x49, 0x88, 7, 1, 0, 9, 0, 5, 0, 0x0d];
    let mut esp = ip_packet(CLIENT, NODE, &[0; 30]);
    esp[6] = 50;
    let interfaces = [LinkType::IEEE802_15_4_NOFCS, LinkType::RAW, LinkType(147)];
    let packets = [
        (0, secured.clone()),
        (0, secured),
        (1, esp),
        (2, vec![0; 9]),
    ];
    let packets = packets.into_iter().enumerate();
    let capture = Capture {
        interfaces: interfaces.map(|link| Interface::new("", link)).to_vec(),
        packets: packets
            .map(|(n, (interface, bytes))| Packet::new(interface, at(n as u64), bytes))
            .collect(),
        ..Capture::default()
    };
    let analysis = of(capture);
    assert_eq!(
        report(&analysis, Table::Notable),
        "4 frames, 0 CoAP messages\n\
         no CoAP requests: no frame gave an IP packet\n\
         \n\
         not read\n  \
           1 frame: link type 147\n  \
           1 frame: ESP\n  \
           2 frames: IEEE 802.15.4 without keys\n"
    );
    let json = serde_json::to_value(Report::of(&analysis)).unwrap();
    assert_eq!(
        json["frames"],
        serde_json::json!({
            "captured": 4, "packets": 0, "copies": 0, "repeated": 0, "incomplete": 0, "dropped": 0,
            "not_read": [
                { "what": "link type 147", "frames": 1 },
                { "what": "ESP", "frames": 1 },
                { "what": "IEEE 802.15.4 without keys", "frames": 2 },
            ],
        })
    );
}
