//! Whose Message IDs and tokens are whose, and how many nodes there may be.

use super::*;

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
