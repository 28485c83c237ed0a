//! Captures of which a stranger asked, and what is right of each.

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use capture::{Capture, Interface, LinkType, Packet};
use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Kind};
use common::{Wire, at, content, get, handovers, ip_packet};
use measure::analysis::{Analysis, Flow, Options, Requests};
use measure::text::{Table, report};

const CLIENT: &str = "[2001:db8::c]:5683";
const HERE: &str = "[2001:db8:1::5]:5683";
const THERE: &str = "[2001:db8:2::5]:5683";

fn analyse(names: &[&str]) -> Analysis {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases");
    let files: Vec<PathBuf> = names.iter().map(|name| dir.join(name)).collect();
    let (analysis, damage) = measure::analyze(&files, &Options::default());
    assert!(damage.is_empty(), "{damage:?}");
    analysis
}

fn of(captures: &[Capture]) -> Analysis {
    Analysis::of(captures, &Options::default())
}

fn only(analysis: &Analysis) -> &Flow {
    let [flow] = &analysis.flows[..] else {
        panic!("{:?}", analysis.flows);
    };
    flow
}

/// Sent, answered, lost, sent again, answered twice.
fn counts(flow: &Flow) -> [usize; 5] {
    let Requests {
        sent,
        answered,
        lost,
        retransmitted,
        duplicates,
        ..
    } = flow.requests();
    [sent, answered, lost, retransmitted, duplicates]
}

fn by_address(flow: &Flow) -> Vec<usize> {
    flow.addresses()
        .into_iter()
        .map(|(_, count)| count)
        .collect()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A notification.
fn notification(kind: Kind, message_id: u16, token: u8, number: u32) -> Message {
    let mut message = content(kind, message_id, token);
    message.options.push_uint(option::OBSERVE, number.into());
    message.payload = number.to_string().into_bytes();
    message
}

fn register(message_id: u16, token: u8, observe: u64) -> Message {
    let mut message = get(Kind::Confirmable, message_id, token, "/t");
    message.options.push_uint(option::OBSERVE, observe);
    message
}

fn only_frames(capture: &Capture, wanted: impl Fn(usize) -> bool) -> Capture {
    let frames = capture.packets.iter().enumerate();
    let frames = frames.filter(|(n, _)| wanted(*n));
    Capture {
        packets: frames.map(|(_, packet)| packet.clone()).collect(),
        interfaces: capture.interfaces.clone(),
        name: capture.name.clone(),
        damage: None,
    }
}

fn assert_split(analysis: &Analysis, what: &str) {
    let flow = only(analysis);
    assert_eq!(counts(flow), [5, 5, 0, 0, 0], "{what}");
    assert_eq!(by_address(flow), [3, 2], "{what}");
    let [handover] = &handovers(flow)[..] else {
        panic!("{what}");
    };
    assert_eq!(handover.duration(), ms(800), "{what}");
    let ids = (handover.before.message_id, handover.after.message_id);
    assert_eq!(ids, (3, 4), "{what}");
    assert!(analysis.other.clocks.is_empty(), "{what}");
}

#[test]
fn a_client_is_counted_over_all_files_sections_and_interfaces() {
    for files in [
        &["both.pcap"][..],
        &["part1.pcap", "part2.pcap"],
        &["part2.pcap", "part1.pcap"],
        &["sections.pcapng"],
        &["second-interface.pcapng"],
        // And what is given twice counts once.
        &["both.pcap", "part2.pcap"],
        &["part1.pcap", "part2.pcap", "both.pcap"],
    ] {
        assert_split(&analyse(files), &format!("{files:?}"));
    }
}

#[test]
fn files_that_overlap_have_each_packet_once_and_so_have_sniffers_that_hear_a_part_each() {
    let both =
        capture::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases/both.pcap"));
    let both = both.unwrap();
    let parts = [0..5, 2..8, 6..10].map(|part| only_frames(&both, |n| part.contains(&n)));
    assert_split(&of(&parts), "three files");
    // The one misses requests and responses, the other some of each, too.
    let heard = [[0, 1, 3, 4, 6, 8, 9], [0, 2, 3, 5, 6, 7, 9]];
    let heard = heard.map(|heard| only_frames(&both, |n| heard.contains(&n)));
    assert_split(&of(&heard), "two sniffers");
    // One frame in each of the files.
    let rotated: Vec<_> = (0..10).map(|at| only_frames(&both, |n| n == at)).collect();
    assert_split(&of(&rotated), "ten files");
}

#[test]
fn a_fragment_in_the_next_file_completes_what_the_last_one_began() {
    let mut response = content(Kind::Acknowledgement, 1, 1);
    response.payload = vec![b'x'; 2000];
    let whole = ip_packet(HERE, CLIENT, &response.encode());
    let (header, udp) = whole.split_at(40);
    let fragment = |from: usize, to: usize| {
        let mut packet = header.to_vec();
        packet[4..6].copy_from_slice(&((to - from + 8) as u16).to_be_bytes());
        packet[6] = 44;
        packet.extend([17, 0]);
        packet.extend((from as u16 | u16::from(to < udp.len())).to_be_bytes());
        packet.extend([0, 0, 0, 7]);
        packet.extend(&udp[from..to]);
        packet
    };
    let mut wire = Wire::new();
    wire.message(0, CLIENT, HERE, &get(Kind::Confirmable, 1, 1, "/t"));
    wire.0.push(Packet::new(0, at(1_000), fragment(0, 1232)));
    wire.0
        .push(Packet::new(0, at(3_000), fragment(1232, udp.len())));
    let all = wire.capture();
    let files = [only_frames(&all, |n| n < 2), only_frames(&all, |n| n == 2)];
    let analysis = of(&files);
    assert_eq!(counts(only(&analysis)), [1, 1, 0, 0, 0]);
    assert_eq!(analysis.other.incomplete, 0);
}

#[test]
fn what_the_clients_own_interface_did_not_receive_was_lost_whoever_else_saw_it() {
    let (mut client, mut router) = (Wire::new(), Wire::new());
    for n in 0..6 {
        let us = u64::from(n) * 10_000;
        let (get, ack) = (
            get(Kind::NonConfirmable, n, n as u8, "/t"),
            content(Kind::NonConfirmable, 100 + n, n as u8),
        );
        client.message(us, CLIENT, HERE, &get);
        router.message(us + 200, CLIENT, HERE, &get);
        router.message(us + 800, HERE, CLIENT, &ack);
        if n != 3 {
            client.message(us + 1_000, HERE, CLIENT, &ack);
        }
    }
    let analysis = of(&[router.capture(), client.capture()]);
    assert_eq!(counts(only(&analysis)), [6, 5, 1, 0, 0]);
    assert_eq!(only(&analysis).lost(), [3]);
    assert_eq!(only(&analysis).requests().rtt.unwrap().median, ms(1));
    assert_eq!(analysis.other.seen_elsewhere, 11);
}

#[test]
fn requests_that_leave_by_one_interface_may_be_answered_by_another() {
    let (mut out, mut back) = (Wire::new(), Wire::new());
    for n in 0..5 {
        let us = u64::from(n) * 10_000;
        out.message(us, CLIENT, HERE, &get(Kind::Confirmable, n, n as u8, "/t"));
        let ack = content(Kind::Acknowledgement, n, n as u8);
        back.message(us + 1_000, HERE, CLIENT, &ack);
    }
    let analysis = of(&[out.capture(), back.capture()]);
    assert_eq!(counts(only(&analysis)), [5, 5, 0, 0, 0]);
}

#[test]
fn a_clock_that_is_not_the_others_is_named_and_set() {
    let (mut client, mut server) = (Wire::new(), Wire::new());
    for n in 0..20 {
        let us = u64::from(n) * 100_000;
        client.poll(us, n, n as u8, CLIENT, HERE);
        // 3 s ahead, 200 us away.
        let get = get(Kind::Confirmable, n, n as u8, "/t");
        server.message(us + 3_000_200, CLIENT, HERE, &get);
        let ack = content(Kind::Acknowledgement, n, n as u8);
        server.message(us + 3_000_800, HERE, CLIENT, &ack);
    }
    let mut ahead = server.capture();
    ahead.name = "server.pcap".into();
    let analysis = of(&[client.capture(), ahead]);
    assert_eq!(counts(only(&analysis)), [20, 20, 0, 0, 0]);
    let [clock] = &analysis.other.clocks[..] else {
        panic!("{:?}", analysis.other.clocks);
    };
    assert_eq!(clock.capture, "server.pcap");
    assert_eq!(clock.ahead_ns, 3_000_000_000);
    let text = report(&analysis, Table::None);
    assert!(
        text.contains("the clock of server.pcap is 3000.000 ms ahead"),
        "{text}"
    );
    // The same clock, a hop away: nothing to say.
    let mut near = server.capture();
    for packet in &mut near.packets {
        packet.time = units::SimTime::from_nanos(packet.time.as_nanos() - 3_000_000_000);
    }
    let analysis = of(&[client.capture(), near]);
    assert!(analysis.other.clocks.is_empty());
    assert_eq!(analysis.other.seen_elsewhere, 40);
}

#[test]
fn message_ids_are_each_servers_own() {
    let analysis = analyse(&["two-servers.pcap"]);
    let [one, two] = &analysis.flows[..] else {
        panic!("{:?}", analysis.flows);
    };
    for (flow, rtt) in [(one, 10), (two, 11)] {
        assert_eq!(counts(flow), [3, 3, 0, 0, 0]);
        assert_eq!(flow.requests().rtt.unwrap().median, ms(rtt));
    }
    assert_eq!(analysis.other.stray, 0);
}

#[test]
fn two_servers_with_the_same_message_ids_and_tokens_are_two_also_if_one_is_silent() {
    const OTHER: &str = "[2001:db8:1::52]:5683";
    for answers in [true, false] {
        for kind in [Kind::Confirmable, Kind::NonConfirmable] {
            let mut wire = Wire::new();
            for n in 0..6 {
                let us = u64::from(n) * 100_000;
                let get = get(kind, n, n as u8, "/t");
                let response = match kind {
                    Kind::Confirmable => content(Kind::Acknowledgement, n, n as u8),
                    _ => content(kind, 500 + n, n as u8),
                };
                wire.message(us, CLIENT, HERE, &get);
                wire.message(us + 1_000, CLIENT, OTHER, &get);
                if answers {
                    wire.message(us + 10_000, HERE, CLIENT, &response);
                }
                wire.message(us + 12_000, OTHER, CLIENT, &response);
            }
            let analysis = of(&[wire.capture()]);
            let all: Vec<_> = analysis.flows.iter().map(counts).collect();
            let answered = if answers { 6 } else { 0 };
            let expected = [[6, answered, 6 - answered, 0, 0], [6, 6, 0, 0, 0]];
            assert_eq!(all, expected, "{kind:?}");
        }
    }
}

#[test]
fn a_message_id_whose_lifetime_is_over_is_another_messages() {
    let mut wire = Wire::new();
    let request = get(Kind::Confirmable, 7, 1, "/t");
    wire.message(0, CLIENT, HERE, &request)
        .poll(60_000_000, 7, 1, CLIENT, HERE)
        // To nothing that is still waited for: EXCHANGE_LIFETIME is 247 s.
        .message(
            400_000_000,
            HERE,
            CLIENT,
            &content(Kind::Acknowledgement, 7, 1),
        );
    let analysis = of(&[wire.capture()]);
    assert_eq!(counts(only(&analysis)), [2, 1, 1, 0, 0]);
    assert_eq!(analysis.other.stray, 1);
}

#[test]
fn a_restarted_observation_has_its_message_ids_again() {
    let analysis = analyse(&["restart.pcap"]);
    let flow = only(&analysis);
    let notified = flow.notifications().unwrap();
    // The numbers 5 to 10 are not there.
    assert_eq!((notified.received, notified.lost), (6, 6));
    assert_eq!(counts(flow), [1, 1, 0, 0, 0]);
    let [handover] = &handovers(flow)[..] else {
        panic!("{:?}", flow.handovers());
    };
    assert_eq!(handover.duration(), ms(1100));
}

#[test]
fn notifications_every_millisecond_come_round_their_message_ids() {
    // One in 16 is kept of 160,000: 160 s, and the Message IDs come round after 66 s.
    let mut wire = Wire::new();
    wire.message(0, CLIENT, HERE, &register(1, 9, 0)).message(
        500,
        HERE,
        CLIENT,
        &notification(Kind::Acknowledgement, 1, 9, 0),
    );
    for n in 1..10_000_u32 {
        let message = notification(Kind::NonConfirmable, (n * 16) as u16, 9, n);
        wire.message(u64::from(n) * 16_000, HERE, CLIENT, &message);
    }
    let began = Instant::now();
    let analysis = of(&[wire.capture()]);
    let notified = only(&analysis).notifications().unwrap();
    assert_eq!((notified.received, notified.lost), (9_999, 0));
    assert_eq!(counts(only(&analysis))[4], 0);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_notification_sent_again_is_one_also_from_where_the_node_has_moved_to() {
    let mut wire = Wire::new();
    let con = |id, number| notification(Kind::Confirmable, id, 9, number);
    wire.message(0, CLIENT, HERE, &register(1, 9, 0))
        .message(
            1_000,
            HERE,
            CLIENT,
            &notification(Kind::Acknowledgement, 1, 9, 0),
        )
        .message(100_000, HERE, CLIENT, &con(40, 1))
        .message(2_600_000, HERE, CLIENT, &con(40, 1))
        .message(3_000_000, HERE, CLIENT, &con(41, 2))
        .message(5_500_000, THERE, CLIENT, &con(41, 2))
        .message(6_000_000, THERE, CLIENT, &con(42, 5));
    let flow = of(&[wire.capture()]).flows.remove(0);
    let notified = flow.notifications().unwrap();
    assert_eq!(
        (notified.received, notified.lost, notified.sent()),
        (3, 2, 5)
    );
    assert_eq!(flow.requests().duplicates, 2);
}

#[test]
fn two_observers_with_one_token_have_their_own_notifications() {
    const OTHER: &str = "[2001:db8:1::52]:5683";
    const SECOND: &str = "[2001:db8::c]:6000";
    let mut wire = Wire::new();
    for (client, server, first) in [
        (CLIENT, HERE, 100),
        (SECOND, HERE, 300),
        (CLIENT, OTHER, 500),
    ] {
        let us = u64::from(first) * 10;
        wire.message(us, client, server, &register(first, 9, 0));
        let answer = notification(Kind::Acknowledgement, first, 9, 0);
        wire.message(us + 1, server, client, &answer);
        for n in 1..=4 {
            let message = notification(Kind::NonConfirmable, first + n, 9, n.into());
            wire.message(100_000 * u64::from(n) + us, server, client, &message);
        }
    }
    let analysis = of(&[wire.capture()]);
    let received = |flow: &Flow| flow.notifications().map(|n| (n.received, n.lost));
    let all: Vec<_> = analysis.flows.iter().map(received).collect();
    assert_eq!(all, [Some((4, 0)); 3]);
    assert_eq!(analysis.other.stray, 0);
}

#[test]
fn an_observation_from_before_the_capture_is_a_flow_by_its_token() {
    let analysis = analyse(&["late.pcap"]);
    let flow = only(&analysis);
    assert_eq!(flow.token, Token::new(b"ob"));
    let notified = flow.notifications().unwrap();
    assert_eq!((notified.received, notified.lost), (6, 0));
    assert_eq!(by_address(flow), [3, 3]);
    let [handover] = &handovers(flow)[..] else {
        panic!("{:?}", flow.handovers());
    };
    assert_eq!(handover.duration(), ms(3000));
    assert_eq!((analysis.other.stray, analysis.other.begun_before), (0, 6));
    let text = report(&analysis, Table::Notable);
    assert!(text.contains("observes by token 6f62"), "{text}");
    assert!(!text.contains("no CoAP requests"), "{text}");
}

#[test]
fn a_later_request_with_the_token_names_what_is_observed() {
    for observe in [0, 1] {
        let mut wire = Wire::new();
        for n in 0..4 {
            let message = notification(Kind::NonConfirmable, 700 + n, 9, n.into());
            wire.message(u64::from(n) * 10_000, HERE, CLIENT, &message);
        }
        wire.message(50_000, CLIENT, HERE, &register(1, 9, observe))
            // Before the answer, and no answer.
            .message(
                50_500,
                HERE,
                CLIENT,
                &notification(Kind::NonConfirmable, 704, 9, 4),
            )
            .message(
                51_000,
                HERE,
                CLIENT,
                &notification(Kind::Acknowledgement, 1, 9, 5),
            );
        let analysis = of(&[wire.capture()]);
        let flow = only(&analysis);
        assert_eq!((flow.resource.as_str(), flow.token), ("/t", None));
        assert_eq!(flow.notifications().unwrap().received, 5);
        let asked = if observe == 0 { 1 } else { 0 };
        assert_eq!(counts(flow), [asked, asked, 0, 0, 0]);
        assert_eq!(analysis.other.deregistrations, 1 - asked as u64);
    }
}

#[test]
fn observations_of_two_nodes_from_before_are_two_flows() {
    const OTHER: &str = "[2001:db8:1::52]:5683";
    let mut wire = Wire::new();
    for n in 0..8 {
        let us = u64::from(n) * 10_000;
        let message = notification(Kind::NonConfirmable, 700 + n, 9, n.into());
        wire.message(us, HERE, CLIENT, &message);
        wire.message(us + 5_000, OTHER, CLIENT, &message);
    }
    let analysis = of(&[wire.capture()]);
    assert_eq!(analysis.flows.len(), 2);
    assert!(analysis.flows.iter().all(|flow| handovers(flow).is_empty()));
}

#[test]
fn a_deregistration_and_what_is_asked_after_the_end_are_not_lost() {
    let mut wire = Wire::new();
    wire.message(0, CLIENT, HERE, &register(1, 9, 0))
        .message(
            1_000,
            HERE,
            CLIENT,
            &notification(Kind::Acknowledgement, 1, 9, 0),
        )
        .poll(10_000, 2, 2, CLIENT, HERE)
        .message(20_000, CLIENT, HERE, &register(3, 9, 1))
        .message(30_000, CLIENT, HERE, &get(Kind::Confirmable, 4, 4, "/t"));
    let options = Options {
        end: Some(at(25_000)),
        ..Options::default()
    };
    let analysis = Analysis::of(&[wire.capture()], &options);
    assert_eq!(counts(only(&analysis)), [2, 2, 0, 0, 0]);
    let other = &analysis.other;
    assert_eq!((other.deregistrations, other.after_end), (1, 1));
    assert_eq!(counts(only(&of(&[wire.capture()])))[2], 1);
}

#[test]
fn a_frame_that_was_captured_twice_was_sent_once() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for name in ["mirror.pcap", "forwarded.pcap"] {
        let both = capture::read(dir.join(name)).unwrap();
        let [even, odd] = [0, 1].map(|rest| only_frames(&both, |n| n % 2 == rest));
        // On two interfaces of one file.
        let mut two = only_frames(&both, |_| true);
        two.interfaces.push(two.interfaces[0].clone());
        for (n, packet) in two.packets.iter_mut().enumerate() {
            packet.interface = n % 2;
        }
        for captures in [vec![both], vec![even, odd], vec![two]] {
            let analysis = of(&captures);
            assert_eq!(counts(only(&analysis)), [3, 3, 0, 0, 0], "{name}");
        }
    }
}

#[test]
fn messages_that_are_cut_are_answers_and_the_report_warns() {
    let analysis = analyse(&["snap68.pcap"]);
    let flow = only(&analysis);
    assert_eq!(counts(flow), [6, 6, 0, 0, 0]);
    assert_eq!(flow.resource, "/…");
    assert_eq!((analysis.other.cut, analysis.other.cut_requests), (12, 6));
    let text = report(&analysis, Table::None);
    assert!(text.contains("WARNING: 6 requests are cut"), "{text}");
}

#[test]
fn a_snap_length_may_cut_anywhere_and_another_capture_has_the_rest() {
    let mut wire = Wire::new();
    for n in 0..6 {
        let us = u64::from(n) * 100_000;
        let token = Token::new(&[1, 2, 3, 4, 5, 6, 7, n as u8]).unwrap();
        let mut request = get(
            Kind::Confirmable,
            n,
            0,
            if n % 2 == 0 { "/a" } else { "/b" },
        );
        let mut response = content(Kind::Acknowledgement, n, 0);
        (request.token, response.token) = (token, token);
        wire.message(us, CLIENT, HERE, &request);
        wire.message(us + 1_000, HERE, CLIENT, &response);
    }
    let whole = wire.capture();
    let cut = |snap: usize| {
        let mut capture = wire.capture();
        for packet in &mut capture.packets {
            packet.data.truncate(snap);
        }
        capture
    };
    // 48 bytes of headers, 4 of CoAP's, 8 of the token, 2 of the option.
    for snap in 52..62 {
        let analysis = of(&[cut(snap)]);
        let flow = only(&analysis);
        assert_eq!(counts(flow), [6, 6, 0, 0, 0], "{snap}");
        assert_eq!(analysis.other.cut_requests, 6, "{snap}");
        // Merged with a whole one it is known what was asked for.
        let analysis = of(&[cut(snap), only_frames(&whole, |_| true)]);
        let all: Vec<_> = analysis.flows.iter().map(counts).collect();
        assert_eq!(all, [[3, 3, 0, 0, 0]; 2], "{snap}");
    }
    assert_eq!(of(&[cut(62)]).flows.len(), 2, "only the payloads are cut");
    let blind = of(&[cut(45)]);
    assert_eq!(
        (blind.flows.len(), blind.other.unread.values().sum()),
        (0, 12)
    );
}

#[test]
fn two_fetches_of_one_body_at_once_are_two_bodies() {
    let analysis = analyse(&["interleaved.pcap"]);
    let flow = only(&analysis);
    assert_eq!(counts(flow), [2, 2, 0, 0, 0]);
    let requests = flow.requests();
    assert_eq!(requests.further_blocks, 6);
    let rtt = requests.rtt.unwrap();
    assert_eq!((rtt.min, rtt.max), (ms(303), ms(303)));
}

/// A block of 64 bytes at `number`, of four.
fn block(message: &mut Message, option: u16, number: u64, more: bool) {
    message
        .options
        .push_uint(option, number << 4 | u64::from(more) << 3 | 2);
}

#[test]
fn bodies_are_told_apart_by_etag_and_by_request_tag_if_tokens_do_not() {
    let mut wire = Wire::new();
    let (mut id, mut us) = (0, 0);
    for number in 0..4 {
        for body in 0..2_u8 {
            // The second block of each is asked for in the other order.
            let body = if number == 1 { 1 - body } else { body };
            let more = number < 3;
            let mut request = get(Kind::Confirmable, id, id as u8, "/t");
            block(&mut request, option::BLOCK2, number, false);
            let mut response = content(Kind::Acknowledgement, id, id as u8);
            response.options.push(option::ETAG, [body]);
            block(&mut response, option::BLOCK2, number, more);
            wire.message(us, CLIENT, HERE, &request);
            wire.message(us + 1_000, HERE, CLIENT, &response);

            let mut request = get(Kind::Confirmable, 100 + id, 100 + id as u8, "/up");
            request.code = Code::PUT;
            request.options.push(292, [body]);
            block(&mut request, option::BLOCK1, number, more);
            request.payload = vec![0; 64];
            let mut response = content(Kind::Acknowledgement, 100 + id, 100 + id as u8);
            response.code = if more { Code::CONTINUE } else { Code::CHANGED };
            block(&mut response, option::BLOCK1, number, more);
            wire.message(us + 2_000, CLIENT, HERE, &request);
            wire.message(us + 3_000, HERE, CLIENT, &response);
            id += 1;
            us += 10_000;
        }
    }
    let analysis = of(&[wire.capture()]);
    assert_eq!(analysis.flows.len(), 2);
    for flow in &analysis.flows {
        assert_eq!(counts(flow), [2, 2, 0, 0, 0], "{}", flow.resource);
        assert_eq!(flow.requests().further_blocks, 6);
        let rtt = flow.requests().rtt.unwrap();
        assert_eq!((rtt.min, rtt.max), (ms(61), ms(61)), "{}", flow.resource);
    }
}

#[test]
fn further_blocks_of_what_is_notified_are_no_requests_of_their_own() {
    let mut wire = Wire::new();
    let with = |mut message: Message, number, more| {
        block(&mut message, option::BLOCK2, number, more);
        message
    };
    let answer = notification(Kind::Acknowledgement, 1, 9, 0);
    let changed = notification(Kind::NonConfirmable, 70, 9, 1);
    wire.message(0, CLIENT, HERE, &register(1, 9, 0)).message(
        1_000,
        HERE,
        CLIENT,
        &with(answer, 0, true),
    );
    for (us, id) in [(2_000, 2), (12_000, 3)] {
        if id == 3 {
            wire.message(10_000, HERE, CLIENT, &with(changed.clone(), 0, true));
        }
        let more = get(Kind::Confirmable, id, id as u8, "/t");
        let last = content(Kind::Acknowledgement, id, id as u8);
        wire.message(us, CLIENT, HERE, &with(more, 1, false));
        wire.message(us + 1_000, HERE, CLIENT, &with(last, 1, false));
    }
    let analysis = of(&[wire.capture()]);
    let flow = only(&analysis);
    assert_eq!(counts(flow), [1, 1, 0, 0, 0]);
    assert_eq!(flow.requests().further_blocks, 2);
    assert_eq!(flow.notifications().unwrap().received, 1);
}

#[test]
fn the_time_that_many_nodes_take_grows_with_their_requests_only() {
    let mut wire = Wire::new();
    for round in 0..20_u64 {
        for node in 0..400_u64 {
            let server = format!("[2001:db8:1::{:x}]:5683", node + 1);
            let id = (round * 400 + node) as u16;
            wire.poll((round * 400 + node) * 10_000, id, id as u8, CLIENT, &server);
        }
    }
    let capture = wire.capture();
    let began = Instant::now();
    let analysis = of(&[capture]);
    // It took minutes; a debug build on a busy machine takes some seconds at most.
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(analysis.flows.len(), 400);
    assert!(
        analysis
            .flows
            .iter()
            .all(|flow| counts(flow) == [20, 20, 0, 0, 0])
    );
}

#[test]
fn interfaces_that_record_at_the_same_time_are_two_and_one_after_the_other_is_one() {
    // A mirror of each packet at the second interface, which has neither a name.
    let mut wire = Wire::new();
    for n in 0..4 {
        wire.poll(u64::from(n) * 10_000, n, n as u8, CLIENT, HERE);
    }
    let mut capture = wire.capture();
    capture.interfaces = vec![Interface::new("", LinkType::RAW); 2];
    let copies = capture.packets.iter().map(|packet| Packet {
        interface: 1,
        ..packet.clone()
    });
    let copies: Vec<Packet> = copies.collect();
    capture.packets.extend(copies);
    capture.packets.sort_by_key(|packet| packet.time);
    let analysis = of(&[capture]);
    assert_eq!(counts(only(&analysis)), [4, 4, 0, 0, 0]);
    assert_eq!(analysis.other.seen_elsewhere, 8);
}
