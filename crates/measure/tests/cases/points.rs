//! Who saw what: files, sections, interfaces, and their clocks.

use super::*;

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

/// Requests that leave by one interface and responses that come by another one, which sees nothing
/// else: whether the client received one it shows by what it sends again.
fn by_two_interfaces(asked_s: &[u64], answered_s: &[u64], options: &Options) -> [usize; 5] {
    let (mut out, mut back) = (Wire::new(), Wire::new());
    for s in asked_s {
        let get = get(Kind::Confirmable, 1, 1, "/t");
        out.message(s * 1_000_000, CLIENT, HERE, &get);
    }
    // Both record for as long.
    let end = 1_000_000_000;
    out.message(
        end,
        HERE,
        "[2001:db8::d]:5683",
        &get(Kind::Confirmable, 9, 9, "/t"),
    );
    for s in answered_s {
        let ack = content(Kind::Acknowledgement, 1, 1);
        back.message(s * 1_000_000, HERE, CLIENT, &ack);
    }
    let analysis = Analysis::of(&[out.capture(), back.capture()], options);
    counts(&analysis.flows[0])
}

#[test]
fn who_sends_again_after_a_long_ack_timeout_did_not_receive_the_response_before() {
    let slow = Options {
        max_transmit_span: Duration::from_secs(900),
        ..Options::default()
    };
    // An ACK_TIMEOUT of 40 s, and the first response is lost on its way to the client.
    let sent_again = by_two_interfaces(&[0, 60], &[1, 61], &slow);
    assert_eq!(sent_again, [1, 1, 0, 1, 0], "the second one is no copy");
    // With the usual ACK_TIMEOUT they are two requests.
    let usual = by_two_interfaces(&[0, 60], &[1, 61], &Options::default());
    assert_eq!(usual, [2, 2, 0, 0, 0]);
}

#[test]
fn who_has_sent_as_often_as_he_may_does_not_show_that_he_received_the_response() {
    let once = Options {
        max_retransmit: 1,
        ..Options::default()
    };
    assert_eq!(by_two_interfaces(&[0, 3], &[4], &once), [1, 0, 1, 1, 0]);
    assert_eq!(by_two_interfaces(&[0], &[1], &once), [1, 1, 0, 0, 0]);
    let usual = by_two_interfaces(&[0, 3], &[4], &Options::default());
    assert_eq!(usual, [1, 1, 0, 1, 0]);
}

#[test]
fn the_clients_round_trip_is_measured_also_beside_a_clock_that_drifts() {
    // The server's capture has a round trip of 600 us, and a clock that gains 1 ms over the capture:
    // set by its middle it has the first requests before the client has them.
    let (mut client, mut server) = (Wire::new(), Wire::new());
    for n in 0..20 {
        let us = u64::from(n) * 100_000;
        client.poll(us, n, n as u8, CLIENT, HERE);
        let ahead = 3_000_000 + u64::from(n) * 50;
        let get = get(Kind::Confirmable, n, n as u8, "/t");
        server.message(us + ahead + 200, CLIENT, HERE, &get);
        let ack = content(Kind::Acknowledgement, n, n as u8);
        server.message(us + ahead + 800, HERE, CLIENT, &ack);
    }
    for captures in [[&client, &server], [&server, &client]] {
        let analysis = of(&captures.map(Wire::capture));
        assert_eq!(counts(only(&analysis)), [20, 20, 0, 0, 0]);
        let rtt = only(&analysis).requests().rtt.unwrap();
        assert_eq!((rtt.min, rtt.max), (ms(1), ms(1)));
    }
}

/// A node that is asked at an address from which it never answered before; its only answer was lost
/// on the way.
#[test]
fn what_did_not_come_as_far_as_its_client_is_lost_also_of_a_node_that_never_answered_there() {
    let (mut own, mut far) = (Wire::new(), Wire::new());
    let asked = get(Kind::NonConfirmable, 2, 2, "/t");
    for (wire, later) in [(&mut own, 0), (&mut far, 100)] {
        wire.poll(later, 1, 1, CLIENT, HERE);
        wire.message(10_000 + later, CLIENT, THERE, &asked);
        wire.poll(20_000 + later, 3, 3, CLIENT, HERE);
    }
    let answer = content(Kind::NonConfirmable, 7, 2);
    far.message(10_500, THERE, CLIENT, &answer);
    let lost = |captures: &[Capture]| {
        let flows = of(captures).flows;
        let counts = flows.iter().map(counts);
        counts
            .map(|[sent, answered, ..]| sent - answered)
            .sum::<usize>()
    };
    assert_eq!(lost(&[own.capture()]), 1);
    assert_eq!(lost(&[own.capture(), far.capture()]), 1);
    // Who sees no response at all watches one direction.
    let mut one_way = own.capture();
    one_way.packets.retain(|packet| packet.data[23] == 0xc);
    assert!(!one_way.packets.is_empty());
    assert_eq!(lost(&[one_way, far.capture()]), 0);
}

/// What a client, a router and a node have of a request every ten seconds. A router holds each first
/// transmission to its node for 1.44 s (RFC 4861 §7.2.2), and the one of every third response for
/// 1.2 s; the second transmission goes at once. Of the last three requests the node's responses do not
/// come as far as the client, so that it sends them three times.
fn held_on_their_way() -> [Wire; 3] {
    let (mut client, mut router, mut node) = (Wire::new(), Wire::new(), Wire::new());
    for n in 0..9_u16 {
        let us = u64::from(n) * 30_000_000;
        let get = get(Kind::Confirmable, n, n as u8, "/t");
        let ack = content(Kind::Acknowledgement, n, n as u8);
        let is_lost = n >= 6;
        let times = if is_lost { 3 } else { 1 };
        for again in 0..times {
            let us = us + [0, 2_300_000, 7_000_000][again];
            let held = if again == 0 { 1_440_000 } else { 0 };
            client.message_at(64, us, CLIENT, HERE, &get);
            router.message_at(63, us + held + 1_000, CLIENT, HERE, &get);
            node.message_at(63, us + held + 4_000, CLIENT, HERE, &get);
            node.message_at(64, us + held + 5_000, HERE, CLIENT, &ack);
            let back = if n % 3 == 2 { 1_200_000 } else { 0 };
            router.message_at(64, us + held + back + 8_000, HERE, CLIENT, &ack);
            if !is_lost {
                client.message_at(63, us + held + back + 9_000, HERE, CLIENT, &ack);
            }
        }
    }
    [client, router, node]
}

#[test]
fn a_packet_that_a_router_held_was_not_sent_again() {
    let [client, router, node] = held_on_their_way();
    let alone = of(&[client.capture()]);
    let expected = only(&alone).requests();
    assert_eq!(counts(only(&alone)), [9, 6, 3, 3, 0]);
    for points in [
        vec![&client, &router],
        vec![&node, &client],
        vec![&node, &router, &client],
    ] {
        // All at one point, such as a mirror of several ports, that sees the client's link.
        let all = points.iter().flat_map(|wire| wire.0.iter().cloned());
        if points.len() == 2 {
            // It saw the responses that were lost afterwards.
            let mirror = of(&[Wire(all.collect()).capture()]);
            assert_eq!(counts(only(&mirror)), [9, 9, 0, 3, 6]);
        }
        let captures: Vec<_> = points.into_iter().map(Wire::capture).collect();
        let analysis = of(&captures);
        assert_eq!(only(&analysis).requests(), expected);
        // All of them as the interfaces of one file.
        let mut merged = capture::merge(&captures, &[]);
        for (n, interface) in merged.interfaces.iter_mut().enumerate() {
            interface.name = format!("if{n}");
        }
        assert_eq!(only(&of(&[merged])).requests(), expected);
    }
}

#[test]
fn a_response_that_only_others_saw_did_not_come_also_if_none_of_that_node_came() {
    let (mut client, mut node) = (Wire::new(), Wire::new());
    for n in 0..5_u16 {
        let us = u64::from(n) * 1_000_000;
        let get = get(Kind::NonConfirmable, n, n as u8, "/t");
        client.message_at(64, us, CLIENT, HERE, &get);
        node.message_at(62, us + 1_000, CLIENT, HERE, &get);
        let answer = content(Kind::NonConfirmable, 100 + n, n as u8);
        node.message_at(64, us + 2_000, HERE, CLIENT, &answer);
    }
    for captures in [[&client, &node], [&node, &client]] {
        let analysis = of(&captures.map(Wire::capture));
        assert_eq!(counts(only(&analysis)), [5, 0, 5, 0, 0]);
    }
}

/// Twenty polls as a client has them, and as an interface 200 us away whose clock is ahead by so much.
fn with_another_clock(ahead_us: i64) -> [Capture; 2] {
    let (mut client, mut server) = (Wire::new(), Wire::new());
    for n in 0..20 {
        let us = 200_000_000 + u64::from(n) * 100_000;
        let there = us.saturating_add_signed(ahead_us);
        client.poll(us, n, n as u8, CLIENT, HERE);
        let get = get(Kind::Confirmable, n, n as u8, "/t");
        server.message_at(63, there + 200, CLIENT, HERE, &get);
        let ack = content(Kind::Acknowledgement, n, n as u8);
        server.message_at(64, there + 800, HERE, CLIENT, &ack);
    }
    [client.capture(), server.capture()]
}

#[test]
fn the_interfaces_of_one_file_may_have_clocks_of_their_own() {
    for ahead_us in [3_000_000, -100_000_000, 40_000] {
        let merged = capture::merge(&with_another_clock(ahead_us), &[]);
        // Of the same name, of none, and of different ones.
        for names in [["eth0", "eth0"], ["", ""], ["eth0", "lowpan0"]] {
            let mut file = Capture {
                name: "all.pcapng".into(),
                interfaces: merged.interfaces.clone(),
                packets: merged.packets.clone(),
                damage: None,
            };
            for (interface, name) in file.interfaces.iter_mut().zip(names) {
                interface.name = name.into();
            }
            let analysis = of(&[file]);
            assert_eq!(counts(only(&analysis)), [20, 20, 0, 0, 0], "{names:?}");
            let rtt = only(&analysis).requests().rtt.unwrap();
            assert_eq!((rtt.min, rtt.max), (ms(1), ms(1)), "{names:?}");
            let [clock] = &analysis.other.clocks[..] else {
                panic!("{names:?} {:?}", analysis.other.clocks);
            };
            assert_eq!(clock.ahead_ns.abs(), ahead_us.abs() * 1000);
            assert!(clock.capture.starts_with("all.pcapng (interface "));
        }
    }
}

#[test]
fn a_clock_that_steps_back_in_a_file_does_not_change_what_was_answered() {
    let mut wire = Wire::new();
    for n in 0..20 {
        let us = 1_000_000_000 + u64::from(n) * 1_000_000;
        wire.message(us, CLIENT, HERE, &get(Kind::Confirmable, n, n as u8, "/t"));
        if n % 9 != 4 {
            let ack = content(Kind::Acknowledgement, n, n as u8);
            wire.message(us + 1_000, HERE, CLIENT, &ack);
        }
    }
    let straight = of(&[wire.capture()]);
    assert_eq!(counts(only(&straight)), [20, 18, 2, 0, 0]);
    assert!(straight.other.stepped.is_empty());
    for back_ms in [2_000_u64, 5_000, 100_000, 900_000] {
        // Between a request and its response, and between a response and a request.
        for from in [24, 25] {
            let mut file = wire.capture();
            for packet in &mut file.packets[from..] {
                let earlier = packet.time.as_nanos() - back_ms * 1_000_000;
                packet.time = units::SimTime::from_nanos(earlier);
            }
            let analysis = of(&[file]);
            let found = counts(only(&analysis));
            assert_eq!(found, [20, 18, 2, 0, 0], "{back_ms} {from}");
            assert_eq!(analysis.other.stray, 0);
            let text = report(&analysis, Table::None);
            assert!(text.contains("WARNING: the clock of wire steps back"));
        }
    }
    // So little may be frames in another order: it is told.
    let mut file = wire.capture();
    for packet in &mut file.packets[24..] {
        packet.time = units::SimTime::from_nanos(packet.time.as_nanos() - 200_000_000);
    }
    let text = report(&of(&[file]), Table::None);
    let told = "steps back by 199.000 ms at frame 25: its times are taken as they are";
    assert!(text.contains(told), "{text}");
}
