//! Observation (RFC 7641).

use super::*;

#[test]
fn a_restarted_observation_has_its_message_ids_again() {
    let analysis = analyse(&["restart.pcap"]);
    let flow = only(&analysis);
    let notified = flow.notifications().unwrap();
    // The numbers 5 to 10 are not there, which proves nothing.
    assert_eq!((notified.received, notified.lost), (6, None));
    assert_eq!(notified.missing, Some(6));
    let text = report(&analysis, Table::None);
    assert!(
        text.contains("6 received, 0 of them CON, 0 reordered, 6 numbers missing, lost if"),
        "{text}"
    );
    let json = serde_json::to_value(measure::export::Report::of(&analysis)).unwrap();
    let notified = &json["flows"][0]["notifications"];
    assert!(notified["lost"].is_null() && notified["sent"].is_null());
    assert_eq!(notified["missing_numbers"], 6);
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
    assert_eq!((notified.received, notified.lost), (9_999, Some(0)));
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
        (notified.received, notified.lost, notified.missing),
        (3, None, Some(2))
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
    assert_eq!(all, [Some((4, Some(0))); 3]);
    assert_eq!(analysis.other.stray, 0);
}

#[test]
fn an_observation_from_before_the_capture_is_a_flow_by_its_token() {
    let analysis = analyse(&["late.pcap"]);
    let flow = only(&analysis);
    assert_eq!(flow.token, Token::new(b"ob"));
    let notified = flow.notifications().unwrap();
    assert_eq!((notified.received, notified.lost), (6, Some(0)));
    assert_eq!(by_address(flow), [3, 3]);
    let [handover] = &handovers(flow)[..] else {
        panic!("{:?}", flow.handovers());
    };
    assert_eq!(handover.duration(), ms(3000));
    assert_eq!((analysis.other.stray, analysis.other.begun_before), (0, 6));
    let text = report(&analysis, Table::Notable);
    assert!(text.contains("observes by token 6f62"), "{text}");
    assert!(
        text.contains("one node   by the pattern of requests alone"),
        "{text}"
    );
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

/// A registration, and notifications 100 ms apart with these numbers.
fn numbered(numbers: &[u32]) -> Wire {
    let mut wire = Wire::new();
    wire.message(0, CLIENT, HERE, &register(1, 9, 0)).message(
        1_000,
        HERE,
        CLIENT,
        &notification(Kind::Acknowledgement, 1, 9, numbers[0]),
    );
    for (n, number) in numbers.iter().enumerate().skip(1) {
        let message = notification(Kind::NonConfirmable, 500 + n as u16, 9, *number);
        wire.message(100_000 * n as u64, HERE, CLIENT, &message);
    }
    wire
}

/// The sensor's notifications: nothing is known of how it counts, or that it does by one.
fn received_and_lost(wire: &Wire) -> [(usize, Option<usize>, Option<usize>); 2] {
    [false, true].map(|known| {
        let mut options = Options::default();
        let here: std::net::SocketAddr = HERE.parse().unwrap();
        options.nodes.insert(here.ip(), "sensor".into());
        if known {
            options.count_by_one.insert("sensor".into());
        }
        let analysis = Analysis::of(&[wire.capture()], &options);
        let n = only(&analysis).notifications().unwrap();
        (n.received, n.lost, n.missing)
    })
}

#[test]
fn what_is_missing_is_lost_of_a_server_that_is_known_to_count_by_one_only() {
    // Most of them are lost.
    let heavy = numbered(&[1, 4, 7, 8, 20, 26]);
    assert_eq!(
        received_and_lost(&heavy),
        [(5, None, None), (5, Some(20), Some(20))]
    );
    // Milliseconds of a clock, through the end of the numbers.
    let clock = numbered(&[0x00ff_ff00, 0x00ff_ff64, 0x00ff_ffc8, 0x2c, 0x90]);
    assert_eq!(received_and_lost(&clock)[0], (4, None, None));
    // Nothing fits between numbers that follow each other.
    let whole = numbered(&[0x00ff_fffe, 0x00ff_ffff, 0, 1]);
    assert_eq!(received_and_lost(&whole), [(3, Some(0), Some(0)); 2]);
    // One that comes late was not lost.
    let late = numbered(&[1, 2, 5, 3, 6, 7]);
    assert_eq!(
        received_and_lost(&late),
        [(5, None, Some(1)), (5, Some(1), Some(1))]
    );
}

#[test]
fn who_registers_again_by_the_same_token_misses_what_was_notified_in_between() {
    let mut wire = numbered(&[1, 2, 3]);
    // The numbers 4 and 5 come nowhere; it registers again, by another token also.
    for (n, token, number) in [(2, 9, 6), (3, 10, 1)] {
        let us = 10_000_000 * u64::from(n);
        wire.message(us, CLIENT, HERE, &register(n, token, 0));
        let answer = notification(Kind::Acknowledgement, n, token, number);
        wire.message(us + 1_000, HERE, CLIENT, &answer);
    }
    let next = notification(Kind::NonConfirmable, 600, 9, 7);
    wire.message(31_000_000, HERE, CLIENT, &next);
    let [unknown, known] = received_and_lost(&wire);
    assert_eq!(known, (3, Some(2), Some(2)));
    assert_eq!(unknown, (3, None, Some(2)));
}

#[test]
fn a_server_that_was_started_again_counts_anew() {
    let mut wire = numbered(&[1, 2, 3]);
    wire.message(10_000_000, CLIENT, HERE, &register(2, 9, 0));
    let answer = notification(Kind::Acknowledgement, 2, 9, 1);
    wire.message(10_001_000, HERE, CLIENT, &answer);
    let next = notification(Kind::NonConfirmable, 600, 9, 2);
    wire.message(11_000_000, HERE, CLIENT, &next);
    assert_eq!(received_and_lost(&wire)[1], (3, Some(0), Some(0)));
}

/// What a client and a server have of an observation whose notifications are lost on their way from
/// the fourth on, and whether the client asks for something afterwards.
fn lost_at_the_end(steps: u32, asks_afterwards: bool) -> [Wire; 2] {
    let (mut client, mut server) = (Wire::new(), Wire::new());
    let register = register(1, 9, 0);
    let answer = notification(Kind::Acknowledgement, 1, 9, 100);
    client.message_at(64, 0, CLIENT, HERE, &register);
    server.message_at(62, 2_000, CLIENT, HERE, &register);
    server.message_at(64, 3_000, HERE, CLIENT, &answer);
    client.message_at(62, 5_000, HERE, CLIENT, &answer);
    for n in 1..=8_u16 {
        let us = u64::from(n) * 1_000_000;
        let number = 100 + u32::from(n) * steps;
        let message = notification(Kind::Confirmable, 500 + n, 9, number);
        server.message_at(64, us, HERE, CLIENT, &message);
        if n < 4 {
            client.message_at(62, us + 2_000, HERE, CLIENT, &message);
        } else {
            server.message_at(64, us + 2_500_000, HERE, CLIENT, &message);
        }
    }
    if asks_afterwards {
        let get = get(Kind::NonConfirmable, 7, 7, "/t");
        client.message_at(64, 30_000_000, CLIENT, HERE, &get);
    }
    [client, server]
}

#[test]
fn what_was_notified_after_the_last_one_received_was_sent_and_lost() {
    for asks_afterwards in [false, true] {
        let [client, server] = lost_at_the_end(1, asks_afterwards);
        let alone = of(&[client.capture()]);
        let notified = alone.flows[0].notifications().unwrap();
        assert_eq!((notified.received, notified.lost), (3, Some(0)));
        for captures in [[&client, &server], [&server, &client]] {
            let analysis = of(&captures.map(Wire::capture));
            let notified = only(&analysis).notifications().unwrap();
            assert_eq!((notified.received, notified.lost), (3, Some(5)));
            assert_eq!(notified.sent(), Some(8));
            assert_eq!(only(&analysis).requests().duplicates, 0);
        }
    }
    // A server that counts otherwise: how many are missing between two numbers is not known.
    let analysis = of(&lost_at_the_end(1000, true).map(|wire| wire.capture()));
    let notified = only(&analysis).notifications().unwrap();
    assert_eq!(
        (notified.received, notified.lost, notified.missing),
        (3, None, None)
    );
}
