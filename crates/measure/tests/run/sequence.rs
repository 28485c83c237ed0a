//! Who sent what to whom.

use std::collections::BTreeSet;

use super::signalling::Network;
use super::*;
use coap::wire::Message;
use etherparse::PacketBuilder;
use measure::mobility::handovers;
use measure::sequence::{Fate, Reader, Sequence, Stretch, phases};
use units::SimTime;

fn udp(from: &str, to: &str, message: &Message) -> Vec<u8> {
    crate::common::ip_packet(from, to, &message.encode())
}

fn network() -> Network {
    Network {
        plan: plan(),
        seen: Vec::new(),
    }
}

/// A request on its way to the node by a router, and the answer, a millisecond a hop.
fn poll(network: &mut Network, us: u64, (router, node): (&str, &str), id: u16) {
    let client = client_address(&network.plan);
    let request = udp(&client, node, &get(Kind::Confirmable, id, id as u8, "/t"));
    network.wired(us, "client", router, &request);
    network.air(us + 1000, &request);
    let answer = udp(node, &client, &content(Kind::Acknowledgement, id, id as u8));
    network.air(us + 2000, &answer);
    network.wired(us + 3000, router, "client", &answer);
}

/// Reads what the network's interfaces saw, each in a file.
fn reader<'p>(network: &'p Network, stretches: Vec<Stretch>) -> Reader<'p> {
    let root = tempfile::tempdir().unwrap();
    let dir = run_directory(root.path(), &network.plan, &events(), &Wire::new());
    network.write(&dir);
    let mut reader = Reader::new(&network.plan, &events(), stretches, true);
    for (node, interface) in Reader::interfaces(&network.plan) {
        if let Ok(capture) = measure::read_capture(&dir, &dir.capture(node, interface)) {
            reader.read(node, interface, &capture);
        }
    }
    reader
}

fn all(most: usize) -> Stretch {
    Stretch {
        from: SimTime::ZERO,
        to: SimTime::FAR_FUTURE,
        nodes: BTreeSet::new(),
        most,
        signalling_first: false,
    }
}

/// `client > sensor CON GET /t MID 0x0001: 0.001 received 0.002`, by whole milliseconds.
fn told(sequence: &Sequence) -> Vec<String> {
    let name = |lifeline: usize| sequence.lifelines[lifeline].as_str();
    let ms = |seconds: f64| (seconds * 1e3).round();
    let message = |m: &measure::sequence::Message| {
        let ends = m.to.iter().map(|end| {
            let fate = match end.fate {
                Fate::Received(at) => format!("received {}", ms(at)),
                Fate::Lost(None) => "lost".into(),
                Fate::Lost(Some((by, at))) => format!("lost behind {} {}", name(by), ms(at)),
                Fate::Unknown => "unknown".into(),
            };
            format!("{} {fate}", name(end.lifeline))
        });
        let sent = m.sent_s.map_or("unseen".into(), |at| ms(at).to_string());
        let ends = ends.collect::<Vec<_>>().join(", ");
        format!("{} {sent} > {ends}: {}", name(m.from), m.label)
    };
    sequence.messages.iter().map(message).collect()
}

#[test]
fn a_message_goes_from_its_senders_capture_to_its_receivers_whatever_forwards_it() {
    let mut network = network();
    poll(&mut network, 10_000, ("er1", OLD), 1);
    let sequence = reader(&network, vec![all(100)]).sequences().remove(0);
    assert_eq!(sequence.lifelines, ["sensor", "client"]);
    assert_eq!(
        told(&sequence),
        [
            "client 10 > sensor received 11: CON GET /t MID 0x0001",
            "sensor 12 > client received 13: ACK 2.05 MID 0x0001",
        ]
    );
    assert_eq!(sequence.left_out, 0);
}

#[test]
fn a_message_that_its_receiver_never_saw_is_lost_behind_who_saw_it_last() {
    let mut network = network();
    let client = client_address(&network.plan);
    let request = udp(&client, OLD, &get(Kind::Confirmable, 7, 7, "/t"));
    // Sent, lost, and sent again with the same bytes.
    network.wired(60_000, "client", "er1", &request);
    network.wired(90_000, "client", "er1", &request);
    network.air(91_000, &request);
    let sequence = reader(&network, vec![all(100)]).sequences().remove(0);
    assert_eq!(
        told(&sequence),
        [
            "client 60 > sensor lost behind er1 60: CON GET /t MID 0x0007",
            "client 90 > sensor received 91: CON GET /t MID 0x0007",
        ]
    );
}

#[test]
fn what_goes_to_somebody_without_a_capture_is_neither_received_nor_lost() {
    let mut network = network();
    let radio = |name: &str| network.plan.nodes[name].radio.as_ref().unwrap().eui64;
    let (sensor, router) = (radio("sensor").link_local(), radio("er2").link_local());
    let packet = |from: std::net::Ipv6Addr, to: std::net::Ipv6Addr, kind: u8| {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv6(from.octets(), to.octets(), 255);
        let builder = builder.icmpv6_raw(kind, 0, [0; 4]);
        builder.write(&mut packet, &[0; 8]).unwrap();
        packet
    };
    network.air(60_000, &packet(sensor, router, 133));
    let all_nodes = "ff02::1".parse().unwrap();
    network.air(61_000, &packet(router, all_nodes, 134));
    let record = handovers(&events()).remove(0);
    let stretch = Stretch::of_handover(&record, SimTime::ZERO, 100).unwrap();
    let reader = reader(&network, vec![stretch]);
    let sequence = reader.sequences().remove(0);
    assert_eq!(
        told(&sequence),
        [
            "sensor 60 > er2 unknown: router solicitation",
            "er2 unseen > sensor received 61: router advertisement",
        ]
    );
    let bands = phases(&record, |time| reader.seconds(time));
    let bands: Vec<&str> = bands.iter().map(|band| band.name.as_str()).collect();
    assert_eq!(bands, ["link", "binding"]);
    assert_eq!(sequence.start_s, 0.052);
}

#[test]
fn what_is_sent_in_a_stretch_and_received_after_it_is_not_lost() {
    let mut network = network();
    poll(&mut network, 10_000, ("er1", OLD), 1);
    let stretch = |from, to| Stretch {
        from: crate::common::at(from),
        to: crate::common::at(to),
        ..all(100)
    };
    let stretches = vec![stretch(9_000, 10_500), stretch(10_500, 12_500)];
    let sequences = reader(&network, stretches).sequences();
    let told: Vec<_> = sequences.iter().map(told).collect();
    assert_eq!(
        told,
        [
            ["client 10 > sensor received 11: CON GET /t MID 0x0001"],
            ["sensor 12 > client received 13: ACK 2.05 MID 0x0001"],
        ]
    );
}

#[test]
fn of_very_many_messages_a_sequence_has_some_and_counts_the_others() {
    let mut network = network();
    for n in 0..500 {
        poll(&mut network, 10_000 * u64::from(n), ("er1", OLD), n);
    }
    for (most, few, signalling_first) in [(10, 10, false), (400, 400, true), (2000, 1000, false)] {
        let stretch = Stretch {
            signalling_first,
            ..all(most)
        };
        let reader = reader(&network, vec![stretch]);
        let sequence = reader.sequences().remove(0);
        assert_eq!(sequence.messages.len(), few);
        assert_eq!(sequence.left_out, 1000 - few as u64);
        // Those that are there are whole.
        let fates = sequence.messages.iter().flat_map(|m| &m.to);
        let lost = fates
            .filter(|end| matches!(end.fate, Fate::Lost(_)))
            .count();
        assert_eq!(lost, 0, "of {most}");
    }
}

#[test]
fn the_first_exchange_of_a_kind_is_the_first_that_was_answered() {
    let mut network = network();
    let client = client_address(&network.plan);
    let lost = udp(&client, OLD, &get(Kind::NonConfirmable, 1, 1, "/t"));
    network.wired(10_000, "client", "er1", &lost);
    for n in 2..9 {
        poll(&mut network, 10_000 * u64::from(n), ("er1", OLD), n);
    }
    // Another resource, which nobody answers.
    let other = udp(&client, OLD, &get(Kind::NonConfirmable, 99, 99, "/<b>"));
    network.wired(200_000, "client", "er1", &other);
    let exchanges = reader(&network, vec![]).first_exchanges(10);
    let names: Vec<_> = exchanges
        .iter()
        .map(|e| (e.client.as_str(), e.server.as_str(), e.name.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("client", "sensor", "GET /t"),
            ("client", "sensor", "GET /<b>")
        ]
    );
    assert_eq!(
        told(&exchanges[0].sequence),
        [
            "client 20 > sensor received 21: CON GET /t MID 0x0002",
            "sensor 22 > client received 23: ACK 2.05 MID 0x0002",
        ]
    );
    assert_eq!(exchanges[1].sequence.messages.len(), 1);
}

#[test]
fn a_notification_is_a_kind_of_its_own() {
    let mut network = network();
    let client = client_address(&network.plan);
    let mut register = get(Kind::Confirmable, 1, 1, "/t");
    register.options.push(6, []);
    let observed = |kind, id, number: u8| {
        let mut message = content(kind, id, 1);
        message.options.push(6, [number]);
        message
    };
    let request = udp(&client, OLD, &register);
    network.wired(10_000, "client", "er1", &request);
    network.air(11_000, &request);
    for (us, message) in [
        (12_000, observed(Kind::Acknowledgement, 1, 1)),
        (20_000, observed(Kind::Confirmable, 500, 2)),
        (40_000, observed(Kind::Confirmable, 501, 3)),
    ] {
        let answer = udp(OLD, &client, &message);
        network.air(us, &answer);
        network.wired(us + 1000, "er1", "client", &answer);
        if message.kind == Kind::Confirmable {
            let empty = Message::empty(Kind::Acknowledgement, message.message_id);
            let ack = udp(&client, OLD, &empty);
            network.wired(us + 2000, "client", "er1", &ack);
            network.air(us + 3000, &ack);
        }
    }
    let exchanges = reader(&network, vec![]).first_exchanges(10);
    let told: Vec<_> = exchanges
        .iter()
        .map(|e| (e.name.as_str(), told(&e.sequence)))
        .collect();
    assert_eq!(
        told,
        [
            (
                "GET /t",
                vec![
                    "client 10 > sensor received 11: CON GET /t observe 0 MID 0x0001".to_owned(),
                    "sensor 12 > client received 13: ACK 2.05 observe 1 MID 0x0001".to_owned(),
                ]
            ),
            (
                "notification of GET /t",
                vec![
                    "sensor 20 > client received 21: CON 2.05 observe 2 MID 0x01f4".to_owned(),
                    "client 22 > sensor received 23: ACK MID 0x01f4".to_owned(),
                ]
            )
        ]
    );
}
