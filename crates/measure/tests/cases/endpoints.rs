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

/// Options in which these addresses are `client`'s.
fn one_client(endpoints: &[&str]) -> Options {
    let ip = |endpoint: &&str| endpoint.parse::<std::net::SocketAddr>().unwrap().ip();
    let named = endpoints.iter().map(|e| (ip(e), "client".to_owned()));
    Options {
        nodes: named.collect(),
        ..Options::default()
    }
}

#[test]
fn a_client_with_two_addresses_at_a_time_is_one_when_they_are_named() {
    const OF_IPV4: &str = "192.0.2.1:40000";
    const OF_IPV6: &str = "[2001:db8::c]:40001";
    let server = |from: &str| match from {
        OF_IPV4 => "192.0.2.5:5683",
        _ => HERE,
    };
    let mut wire = Wire::new();
    for n in 0..8 {
        let from = [OF_IPV4, OF_IPV6][usize::from(n % 2)];
        // Each socket counts for itself.
        wire.poll(u64::from(n) * 10_000, n / 2, n as u8, from, server(from));
    }
    let analysis = of(&[wire.capture()]);
    assert_eq!(analysis.flows.len(), 2, "nobody said that they are one");
    let mut options = one_client(&[OF_IPV4, OF_IPV6]);
    for server in ["192.0.2.5", "2001:db8:1::5"] {
        options
            .nodes
            .insert(server.parse().unwrap(), "sensor".into());
    }
    let analysis = Analysis::of(&[wire.capture()], &options);
    let flow = only(&analysis);
    assert_eq!(counts(flow), [8, 8, 0, 0, 0]);
    assert_eq!(flow.client_name.as_deref(), Some("client"));
    let text = report(&analysis, Table::None);
    assert!(text.contains("client asks sensor GET /t"), "{text}");
    let json = serde_json::to_value(measure::export::Report::of(&analysis)).unwrap();
    assert_eq!(json["flows"][0]["client"], "192.0.2.1");
    assert_eq!(json["flows"][0]["client_name"], "client");
}

#[test]
fn two_addresses_of_one_interface_may_have_the_same_message_ids_at_a_time() {
    const OTHER: &str = "[2001:db8::d]:5683";
    let mut wire = Wire::new();
    for n in 0..4 {
        let us = u64::from(n) * 100_000;
        for (after, from, token) in [(0, CLIENT, 1), (1_000, OTHER, 101)] {
            let get = get(Kind::Confirmable, n, n as u8 + token, "/t");
            wire.message(us + after, from, HERE, &get);
            let ack = content(Kind::Acknowledgement, n, n as u8 + token);
            wire.message(us + 10_000 + after, HERE, from, &ack);
        }
    }
    let options = one_client(&[CLIENT, OTHER]);
    let analysis = Analysis::of(&[wire.capture()], &options);
    assert_eq!(counts(only(&analysis)), [8, 8, 0, 0, 0]);
    assert_eq!(analysis.other.stray, 0);
    let rtt = only(&analysis).requests().rtt.unwrap();
    assert_eq!((rtt.min, rtt.max), (ms(10), ms(10)));
}

#[test]
fn a_client_that_asks_itself_by_its_other_address_is_answered() {
    let mut wire = Wire::new();
    wire.poll(0, 1, 1, CLIENT, HERE)
        .poll(10_000, 2, 2, CLIENT, HERE);
    let analysis = Analysis::of(&[wire.capture()], &one_client(&[CLIENT, HERE]));
    assert_eq!(counts(only(&analysis)), [2, 2, 0, 0, 0]);
}

#[test]
fn very_many_addresses_are_no_one_node_and_take_no_longer_each() {
    let mut wire = Wire::new();
    for n in 0..3_000_u32 {
        let server = format!("[2001:db8:1::{n:x}]:5683");
        wire.poll(u64::from(n) * 100, n as u16, n as u8, CLIENT, &server);
    }
    let analysis = of(&[wire.capture()]);
    assert_eq!(analysis.flows.len(), 3_000);
    assert!(analysis.flows.iter().all(|flow| !flow.is_guessed()));
}
