//! What captures show: pairing, losses, gaps and handovers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::common::{Wire, at, content, get, handovers, ip_packet};
use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Kind, Options as CoapOptions};
use measure::analysis::{Analysis, Options};

const CLIENT: &str = "[2001:db8::1]:5683";
const OLD: &str = "[2001:db8:1::5]:5683";
const NEW: &str = "[2001:db8:2::5]:5683";
const OTHER: &str = "[2001:db8:1::6]:5683";

/// A CoMP binding update.
fn binding_update(message_id: u16, token: u8, p_addr: &str, t_addr: &str) -> Message {
    let octets = |a: &str| match a.parse().unwrap() {
        IpAddr::V4(a) => a.to_ipv6_mapped().octets(),
        IpAddr::V6(a) => a.octets(),
    };
    let mut options = CoapOptions::new();
    options.push(option::URI_PATH, "comp");
    options.push_uint(2048, 1);
    options.push(2049, octets(p_addr));
    options.push(2050, octets(t_addr));
    Message {
        kind: Kind::Confirmable,
        code: Code::PUT,
        message_id,
        token: Token::new(&[token]).unwrap(),
        options,
        payload: Vec::new(),
    }
}

fn analyse(wire: &Wire) -> Analysis {
    Analysis::of(&[wire.capture()], &Options::default())
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_change_of_the_answering_address_is_a_handover() {
    let mut wire = Wire::new();
    wire.poll(0, 103, 3, CLIENT, OLD)
        .poll(10_000, 104, 4, CLIENT, OLD)
        .message(
            20_000,
            CLIENT,
            OLD,
            &get(Kind::NonConfirmable, 105, 5, "/t"),
        )
        .poll(1_550_000, 106, 6, CLIENT, NEW);
    let analysis = analyse(&wire);
    assert_eq!(analysis.flows.len(), 1);
    let handovers = handovers(&analysis.flows[0]);
    assert_eq!(handovers.len(), 1);
    let handover = &handovers[0];
    assert_eq!(handover.duration(), ms(1540));
    assert_eq!(
        (handover.before.message_id, handover.after.message_id),
        (104, 106)
    );
    assert_eq!(handover.before.received, at(11_000));
    assert_eq!(handover.before.from, OLD.parse().unwrap());
    assert_eq!(handover.after.from, NEW.parse().unwrap());
    assert_eq!(handover.lost, [105]);
    assert_eq!(analysis.flows[0].lost(), [105]);
    let requests = analysis.flows[0].requests();
    assert_eq!((requests.sent, requests.answered, requests.lost), (4, 3, 1));
}

#[test]
fn a_gap_without_a_change_of_address_is_a_gap_and_no_handover() {
    let mut wire = Wire::new();
    for n in 0..10 {
        let late = if n < 5 { 0 } else { 700_000 };
        wire.poll(u64::from(n) * 10_000 + late, n, n as u8, CLIENT, OLD);
    }
    let flow = &analyse(&wire).flows[0];
    assert!(handovers(flow).is_empty());
    assert_eq!(flow.gaps().len(), 1);
    let gap = flow.largest_gap().unwrap();
    assert_eq!(gap.duration(), ms(710));
    assert_eq!((gap.before.message_id, gap.after.message_id), (4, 5));
}

#[test]
fn back_and_forth_is_two_handovers() {
    let mut wire = Wire::new();
    for n in 0..30 {
        let server = if (10..20).contains(&n) { NEW } else { OLD };
        wire.poll(u64::from(n) * 10_000, n, n as u8, CLIENT, server);
    }
    let analysis = analyse(&wire);
    assert_eq!(analysis.flows.len(), 1);
    let handovers = handovers(&analysis.flows[0]);
    let ids: Vec<_> = handovers.iter().map(|h| h.after.message_id).collect();
    assert_eq!(ids, [10, 20]);
    assert_eq!(
        analysis.flows[0].addresses(),
        [(OLD.parse().unwrap(), 20), (NEW.parse().unwrap(), 10)]
    );
}

#[test]
fn a_late_response_from_the_old_address_is_no_handover_back() {
    let mut wire = Wire::new();
    wire.poll(0, 1, 1, CLIENT, OLD)
        .message(10_000, CLIENT, OLD, &get(Kind::NonConfirmable, 2, 2, "/t"))
        .poll(50_000, 3, 3, CLIENT, NEW)
        .message(55_000, OLD, CLIENT, &content(Kind::NonConfirmable, 900, 2))
        .poll(60_000, 4, 4, CLIENT, NEW);
    let flow = &analyse(&wire).flows[0];
    let handovers = handovers(flow);
    assert_eq!(handovers.len(), 1);
    assert_eq!(handovers[0].duration(), ms(50));
    assert!(flow.lost().is_empty());
}

#[test]
fn a_request_sent_again_to_the_new_address_is_one_request() {
    let pending = get(Kind::Confirmable, 2, 2, "/t");
    let mut wire = Wire::new();
    wire.poll(0, 1, 1, CLIENT, OLD)
        .message(10_000, CLIENT, OLD, &pending)
        .message(2_010_000, CLIENT, OLD, &pending)
        .message(3_000_000, CLIENT, NEW, &pending)
        .message(
            3_001_000,
            NEW,
            CLIENT,
            &content(Kind::Acknowledgement, 2, 2),
        );
    let flow = &analyse(&wire).flows[0];
    let requests = flow.requests();
    assert_eq!(
        (requests.sent, requests.lost, requests.retransmitted),
        (2, 0, 1)
    );
    assert_eq!(flow.exchanges[1].retransmissions(), 2);
    assert_eq!(flow.exchanges[1].rtt(), Some(ms(2991)));
    assert_eq!(handovers(flow).len(), 1);
}

#[test]
fn a_separate_response_is_matched_by_its_token() {
    let mut wire = Wire::new();
    let request = get(Kind::Confirmable, 7, 9, "/t");
    wire.message(0, CLIENT, OLD, &request)
        .message(
            1_000,
            OLD,
            CLIENT,
            &Message::empty(Kind::Acknowledgement, 7),
        )
        .message(500_000, OLD, CLIENT, &content(Kind::Confirmable, 4711, 9))
        .message(
            501_000,
            CLIENT,
            OLD,
            &Message::empty(Kind::Acknowledgement, 4711),
        )
        .message(2_500_000, OLD, CLIENT, &content(Kind::Confirmable, 4711, 9));
    let exchange = &analyse(&wire).flows[0].exchanges[0];
    assert_eq!(exchange.acknowledged(), Some(at(1_000)));
    let answer = exchange.answer().unwrap();
    assert_eq!((answer.time, answer.message_id), (at(500_000), 4711));
    assert_eq!(exchange.duplicates(), 1);
    assert_eq!(exchange.rtt(), Some(ms(500)));
}

#[test]
fn an_ack_with_another_token_or_from_another_address_is_no_answer() {
    let mut wire = Wire::new();
    wire.message(0, CLIENT, OLD, &get(Kind::Confirmable, 7, 9, "/t"))
        .message(1_000, OLD, CLIENT, &content(Kind::Acknowledgement, 7, 8))
        .message(2_000, OTHER, CLIENT, &content(Kind::Acknowledgement, 7, 9));
    let analysis = analyse(&wire);
    assert_eq!(analysis.flows[0].lost(), [7]);
    assert_eq!(analysis.other.stray, 2);
}

#[test]
fn a_rejected_request_is_lost_and_counted_as_rejected() {
    let mut wire = Wire::new();
    wire.message(0, CLIENT, OLD, &get(Kind::Confirmable, 7, 9, "/t"))
        .message(1_000, OLD, CLIENT, &Message::empty(Kind::Reset, 7));
    let requests = analyse(&wire).flows[0].requests();
    assert_eq!((requests.sent, requests.lost, requests.reset), (1, 1, 1));
}

#[test]
fn message_ids_that_come_round_are_new_requests() {
    let mut wire = Wire::new();
    // 1 ms apart, the IDs come round after 65.536 s: inside EXCHANGE_LIFETIME. Here one
    // request in 4096 is kept, and every token is the same.
    for n in 0..40_u64 {
        wire.poll(n * 4_096_000, (n * 4096) as u16, 1, CLIENT, OLD);
    }
    let requests = analyse(&wire).flows[0].requests();
    assert_eq!((requests.sent, requests.answered), (40, 40));
    assert_eq!((requests.retransmitted, requests.duplicates), (0, 0));
}

#[test]
fn a_message_id_in_use_again_within_the_span_is_told_apart_by_its_token() {
    let mut wire = Wire::new();
    wire.message(0, CLIENT, OLD, &get(Kind::NonConfirmable, 7, 1, "/t"))
        .poll(5_000_000, 7, 2, CLIENT, OLD);
    let flow = &analyse(&wire).flows[0];
    assert_eq!(flow.exchanges.len(), 2);
    assert_eq!(flow.lost(), [7]);
    assert!(flow.exchanges[1].is_answered());
}

#[test]
fn two_nodes_asked_in_turns_are_two_flows() {
    let mut wire = Wire::new();
    for n in 0..20 {
        let server = if n % 4 == 0 { OTHER } else { OLD };
        wire.poll(u64::from(n) * 10_000, n, n as u8, CLIENT, server);
    }
    let analysis = analyse(&wire);
    assert_eq!(analysis.flows.len(), 2);
    assert!(analysis.flows.iter().all(|f| handovers(f).is_empty()));
}

#[test]
fn comp_messages_tell_which_addresses_are_one_node_and_are_counted_apart() {
    let p_addr = "2001:db8:f::5";
    let mut wire = Wire::new();
    // Two nodes, each asked once at each of its addresses: no pattern could tell.
    wire.message(
        0,
        OLD,
        CLIENT,
        &binding_update(50, 50, p_addr, "2001:db8:1::5"),
    )
    .message(500, CLIENT, OLD, &content(Kind::Acknowledgement, 50, 50))
    .poll(1_000, 1, 1, CLIENT, OLD)
    .poll(2_000, 2, 2, CLIENT, OTHER)
    .message(
        3_000,
        NEW,
        CLIENT,
        &binding_update(51, 51, p_addr, "2001:db8:2::5"),
    )
    .message(
        3_500,
        OTHER,
        CLIENT,
        &binding_update(51, 51, "2001:db8:f::6", "2001:db8:1::6"),
    )
    .poll(4_000, 3, 3, CLIENT, NEW);
    let analysis = analyse(&wire);
    assert_eq!(analysis.flows.len(), 2);
    assert_eq!(analysis.flows[0].node.as_deref(), Some(p_addr));
    assert_eq!(handovers(&analysis.flows[0]).len(), 1);
    assert_eq!(analysis.flows[1].exchanges.len(), 1);
    assert_eq!(analysis.signalling.len(), 3);
    let answered = analysis.signalling.iter().filter(|e| e.is_answered());
    assert_eq!(answered.count(), 1);
}

#[test]
fn names_that_the_caller_gives_decide() {
    let mut wire = Wire::new();
    wire.poll(0, 1, 1, CLIENT, OLD)
        .poll(10_000, 2, 2, CLIENT, NEW);
    let name = |a: &str, n: &str| {
        (
            a.parse::<std::net::SocketAddr>().unwrap().ip(),
            n.to_owned(),
        )
    };
    let options = Options {
        nodes: BTreeMap::from([name(OLD, "a"), name(NEW, "b")]),
        ..Options::default()
    };
    let analysis = Analysis::of(&[wire.capture()], &options);
    let names: Vec<_> = analysis.flows.iter().map(|f| f.node.clone()).collect();
    assert_eq!(names, [Some("a".into()), Some("b".into())]);
}

#[test]
fn the_interfaces_of_a_router_are_one_point_and_what_it_forwards_is_not_its_own() {
    let (wired_end, radio_end) = ("[2001:db8::7]:5683", OLD);
    let (mut eth0, mut lowpan0) = (Wire::new(), Wire::new());
    eth0.poll(0, 1, 1, CLIENT, wired_end)
        .poll(5_000, 77, 7, "[2001:db8::2]:5683", OTHER)
        .poll(10_000, 3, 3, CLIENT, wired_end);
    lowpan0
        .poll(1_000, 2, 2, CLIENT, radio_end)
        .poll(5_100, 77, 7, "[2001:db8::2]:5683", OTHER)
        .poll(11_000, 4, 4, CLIENT, radio_end);
    let options = Options {
        host: BTreeSet::from(["2001:db8::1".parse().unwrap()]),
        ..Options::default()
    };
    let analysis = Analysis::of(&[eth0.capture(), lowpan0.capture()], &options);
    let asked = analysis.flows.iter().map(|f| {
        let ids = f.exchanges.iter().map(|e| e.message_id());
        (f.client.to_string(), ids.collect::<Vec<_>>())
    });
    let own = || "2001:db8::1".to_owned();
    let expected = [(own(), vec![1, 3]), (own(), vec![2, 4])];
    assert_eq!(asked.collect::<Vec<_>>(), expected);
    assert_eq!(analysis.other.coap_messages, 8);
}

#[test]
fn clients_are_kept_apart_and_a_client_with_a_new_port_each_time_is_one() {
    let mut wire = Wire::new();
    for n in 0..6 {
        let port = format!("[2001:db8::1]:{}", 40_000 + n);
        wire.poll(u64::from(n) * 10_000, n, 1, &port, OLD);
        wire.poll(u64::from(n) * 10_000 + 500, n, 1, "[2001:db8::2]:5683", OLD);
        // At the same time, at the first address: another program.
        wire.poll(
            u64::from(n) * 10_000 + 700,
            n,
            1,
            "[2001:db8::1]:50000",
            OLD,
        );
    }
    let analysis = analyse(&wire);
    let sizes: Vec<_> = analysis.flows.iter().map(|f| f.exchanges.len()).collect();
    assert_eq!(sizes, [6, 6, 6]);
}

#[test]
fn requests_to_other_resources_are_flows_of_their_own() {
    let mut wire = Wire::new();
    let mut other = get(Kind::Confirmable, 2, 2, "/t");
    other.options.push(option::URI_QUERY, "unit=K");
    wire.poll(0, 1, 1, CLIENT, OLD)
        .message(10_000, CLIENT, OLD, &other);
    let analysis = analyse(&wire);
    let resources: Vec<_> = analysis.flows.iter().map(|f| f.resource.as_str()).collect();
    assert_eq!(resources, ["/t", "/t?unit=K"]);
}

#[test]
fn a_merged_capture_counts_every_message_once_as_the_client_saw_it() {
    let mut client = Wire::new();
    let mut router = Wire::new();
    for n in 0..4 {
        let us = u64::from(n) * 10_000;
        client.poll(us, n, n as u8, CLIENT, OLD);
        // The last request is lost between client and router.
        if n < 3 {
            let get = get(Kind::Confirmable, n, n as u8, "/t");
            let ack = content(Kind::Acknowledgement, n, n as u8);
            router.message(us + 200, CLIENT, OLD, &get);
            router.message(us + 800, OLD, CLIENT, &ack);
        }
    }
    let named = |wire: &Wire, name: &str| capture::Capture {
        name: name.into(),
        ..wire.capture()
    };
    let merged = capture::merge(
        &[named(&router, "er1.eth0"), named(&client, "client.eth0")],
        &[],
    );
    for captures in [vec![merged], vec![router.capture(), client.capture()]] {
        let analysis = Analysis::of(&captures, &Options::default());
        let requests = analysis.flows[0].requests();
        assert_eq!((requests.sent, requests.answered), (4, 4));
        assert_eq!((requests.retransmitted, requests.duplicates), (0, 0));
        assert_eq!(requests.rtt.unwrap().median, ms(1));
    }
}

#[test]
fn a_fragmented_response_arrives_with_its_last_fragment() {
    let mut response = content(Kind::Acknowledgement, 1, 1);
    response.payload = vec![b'x'; 2048];
    let whole = ip_packet(OLD, CLIENT, &response.encode());
    let (header, udp) = whole.split_at(40);
    let fragment = |from: usize, to: usize| {
        let mut packet = header.to_vec();
        packet[4..6].copy_from_slice(&((to - from + 8) as u16).to_be_bytes());
        packet[6] = 44; // Fragment header (RFC 8200 §4.5).
        let more = u16::from(to < udp.len());
        packet.extend([17, 0]);
        packet.extend((from as u16 | more).to_be_bytes());
        packet.extend([0, 0, 0, 7]);
        packet.extend(&udp[from..to]);
        packet
    };
    let mut wire = Wire::new();
    wire.message(0, CLIENT, OLD, &get(Kind::Confirmable, 1, 1, "/t"));
    let first = capture::Packet::new(0, at(1_000), fragment(0, 1232));
    let last = capture::Packet::new(0, at(3_000), fragment(1232, udp.len()));
    wire.0.push(first);
    assert_eq!(analyse(&wire).flows[0].lost(), [1]);
    assert_eq!(analyse(&wire).other.incomplete, 1);
    wire.0.push(last);
    assert_eq!(analyse(&wire).flows[0].exchanges[0].rtt(), Some(ms(3)));
}

#[test]
fn what_is_not_paired_is_counted() {
    let mut wire = Wire::new();
    let mut observe = get(Kind::Confirmable, 2, 2, "/t");
    observe.options.push_uint(option::OBSERVE, 0);
    let notification = |message_id| {
        let mut message = content(Kind::NonConfirmable, message_id, 2);
        message
            .options
            .push_uint(option::OBSERVE, message_id.into());
        message
    };
    wire.message(
        0,
        CLIENT,
        "[ff02::fd]:5683",
        &get(Kind::NonConfirmable, 1, 1, "/t"),
    )
    .message(1_000, CLIENT, OLD, &observe)
    .message(2_000, OLD, CLIENT, &notification(900))
    .message(3_000, OLD, CLIENT, &notification(901))
    .message(4_000, CLIENT, OLD, &Message::empty(Kind::Confirmable, 3))
    .message(5_000, OLD, CLIENT, &Message::empty(Kind::Reset, 3));
    wire.0.push(capture::Packet::new(
        0,
        at(6_000),
        ip_packet(OLD, CLIENT, &[0xff, 0, 0, 0]),
    ));
    let analysis = analyse(&wire);
    let other = &analysis.other;
    assert_eq!(
        (other.multicast, other.notifications, other.pings),
        (1, 1, 1)
    );
    assert_eq!(other.undecodable, 1);
    assert_eq!(analysis.flows.len(), 1);
    assert_eq!(
        analysis.flows[0].exchanges[0].answer().unwrap().code,
        Code::CONTENT
    );
}

#[test]
fn a_client_that_moves_is_one_client_and_what_it_sends_again_one_request() {
    const MOVED: &str = "[2001:db8:3::1]:5683";
    let again = get(Kind::Confirmable, 105, 5, "/t");
    let mut wire = Wire::new();
    wire.poll(0, 103, 3, CLIENT, OLD)
        .poll(10_000, 104, 4, CLIENT, OLD)
        .message(20_000, CLIENT, OLD, &again)
        // It moves, and then so does the node.
        .poll(100_000, 105, 5, MOVED, OLD)
        .poll(110_000, 106, 6, MOVED, NEW);
    let ip = |endpoint: &str| endpoint.parse::<std::net::SocketAddr>().unwrap().ip();
    let mut options = Options {
        nodes: BTreeMap::from([
            (ip(OLD), "sensor".to_owned()),
            (ip(NEW), "sensor".to_owned()),
        ]),
        ..Options::default()
    };
    let two = Analysis::of(&[wire.capture()], &options);
    assert_eq!(two.flows.len(), 2, "nobody said that they are one");

    let client = [CLIENT, MOVED].map(|endpoint| (ip(endpoint), "client".to_owned()));
    options.nodes.extend(client);
    let analysis = Analysis::of(&[wire.capture()], &options);
    let [flow] = &analysis.flows[..] else {
        panic!("{:?}", analysis.flows);
    };
    assert_eq!(flow.client, ip(CLIENT));
    assert_eq!(flow.client_name.as_deref(), Some("client"));
    let requests = flow.requests();
    assert_eq!((requests.sent, requests.answered, requests.lost), (4, 4, 0));
    assert_eq!(requests.retransmitted, 1);
    let handovers = handovers(flow);
    assert_eq!(handovers.len(), 1, "the node's; the client's is none");
    assert_eq!(handovers[0].duration(), ms(10));
    assert_eq!(flow.largest_gap().unwrap().duration(), ms(90));
}
