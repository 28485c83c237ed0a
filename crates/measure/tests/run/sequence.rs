//! Who sent what to whom.

use std::collections::BTreeSet;

use super::signalling::Network;
use super::*;
use coap::wire::Message;
use etherparse::PacketBuilder;
use measure::mobility::handovers;
use measure::sequence::{Fate, Reader, Sequence, Stretch, phases};
use proptest::prelude::*;
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

/// What the network's interfaces saw, in a reader.
fn reader(network: &Network, stretches: Vec<Stretch>) -> Reader<'_> {
    damaged(network, stretches, "")
}

/// The same, where the file of one interface, `client.eth0`, ends inside a packet.
fn damaged<'p>(network: &'p Network, stretches: Vec<Stretch>, broken: &str) -> Reader<'p> {
    let mut reader = Reader::new(&network.plan, &events(), stretches, true);
    reader.read(|node, interface| {
        let file = format!("{node}.{interface}");
        let has_file = interface == "eth0" || network.plan.nodes[node].host.is_some();
        let link = match interface {
            "eth0" => LinkType::ETHERNET,
            _ => LinkType::RAW,
        };
        let of_file = network.seen.iter().filter(|(name, _)| *name == file);
        let mut packets: Vec<Packet> = of_file.map(|(_, packet)| packet.clone()).collect();
        packets.sort_by_key(|packet| packet.time);
        let truncated = || capture::ReadError::Truncated {
            file: file.clone(),
            packet: 9,
        };
        has_file.then(|| Capture {
            interfaces: vec![Interface::new(&file, link)],
            packets,
            damage: (file == broken).then(truncated),
            name: file.clone(),
        })
    });
    reader
}

/// The run goes on for long after what happened.
fn later(network: &mut Network) {
    poll(network, 60_000_000, ("er1", OLD), 60_000);
}

fn stretch(from_us: u64, to_us: u64) -> Stretch {
    Stretch {
        from: crate::common::at(from_us),
        to: crate::common::at(to_us),
        ..all(100)
    }
}

/// A request of the client, with a sighting at its own interface if it was sent, and one at the sensor's if it came.
fn request(network: &mut Network, sent_us: Option<u64>, received_us: Option<u64>, id: u16) {
    let client = client_address(&network.plan);
    let request = udp(&client, OLD, &get(Kind::Confirmable, id, 7, "/t"));
    if let Some(us) = sent_us {
        network.wired(us, "client", "er1", &request);
    }
    if let Some(us) = received_us {
        network.air(us, &request);
    }
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
    later(&mut network);
    let sequence = reader(&network, vec![stretch(0, 100_000)])
        .sequences()
        .remove(0);
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
fn of_what_lies_around_a_stretch_nothing_takes_room_from_it() {
    let mut network = network();
    for n in 0..100 {
        poll(&mut network, 10_000 * u64::from(n), ("er1", OLD), n);
    }
    // It ends while a request is on its way, and has room for no more than that.
    let stretch = Stretch {
        most: 1,
        ..stretch(500_000, 500_500)
    };
    let sequence = reader(&network, vec![stretch]).sequences().remove(0);
    assert_eq!(
        told(&sequence),
        ["client 500 > sensor received 501: CON GET /t MID 0x0032"]
    );
}

#[test]
fn what_takes_very_long_is_neither_lost_nor_of_an_unknown_sender() {
    let mut network = network();
    request(&mut network, Some(10_000), Some(9_000_000), 7);
    later(&mut network);
    let stretches = vec![stretch(0, 20_000), stretch(8_900_000, 9_100_000)];
    let sequences = reader(&network, stretches).sequences();
    assert_eq!(
        told(&sequences[0]),
        ["client 10 > sensor received 9000: CON GET /t MID 0x0007"]
    );
    assert_eq!(told(&sequences[1]), [""; 0]);
}

#[test]
fn what_came_before_it_was_sent_was_sent_before_its_senders_capture_began() {
    let mut network = network();
    request(&mut network, None, Some(5_000), 7);
    request(&mut network, Some(60_000), Some(61_000), 7);
    let sequence = reader(&network, vec![all(100)]).sequences().remove(0);
    assert_eq!(
        told(&sequence),
        [
            "client unseen > sensor received 5: CON GET /t MID 0x0007",
            "client 60 > sensor received 61: CON GET /t MID 0x0007",
        ]
    );
}

#[test]
fn what_came_after_the_end_of_a_damaged_capture_is_not_of_the_last_that_it_has() {
    let mut network = network();
    request(&mut network, Some(10_000), Some(11_000), 7);
    request(&mut network, None, Some(3_500_000), 7);
    let reader = damaged(&network, vec![all(100)], "client.eth0");
    let sequence = reader.sequences().remove(0);
    assert_eq!(
        told(&sequence),
        [
            "client 10 > sensor received 11: CON GET /t MID 0x0007",
            "client unseen > sensor received 3500: CON GET /t MID 0x0007",
        ]
    );
}

#[test]
fn what_is_on_its_way_when_the_captures_end_is_not_lost() {
    let mut network = network();
    request(&mut network, Some(10_000), None, 6);
    later(&mut network);
    request(&mut network, Some(60_500_000), None, 7);
    let told = told(&reader(&network, vec![all(100)]).sequences()[0]);
    assert!(told[0].starts_with("client 10 > sensor lost"), "{told:?}");
    assert_eq!(
        told.last().unwrap(),
        "client 60500 > sensor unknown: CON GET /t MID 0x0007"
    );
}

#[test]
fn what_was_sent_again_before_the_first_came_is_not_lost() {
    let mut network = network();
    for (sent_us, received_us) in [
        (0, 1_500_000),
        (1_000_000, 2_500_000),
        (2_000_000, 3_500_000),
    ] {
        request(&mut network, Some(sent_us), Some(received_us), 7);
    }
    // The radio's frame came twice.
    request(&mut network, None, Some(3_502_000), 7);
    later(&mut network);
    let sequence = reader(&network, vec![stretch(0, 4_000_000)])
        .sequences()
        .remove(0);
    let ends = sequence.messages.iter().map(|m| (m.sent_s, m.to[0].fate));
    let ends: Vec<_> = ends.collect();
    let received = |sent_s, at| (Some(sent_s), Fate::Received(at));
    assert_eq!(
        ends,
        [received(0.0, 1.5), received(1.0, 2.5), received(2.0, 3.5)]
    );
}

#[test]
fn of_what_was_seen_too_often_nobody_knows_what_became_of_it() {
    let mut network = network();
    request(&mut network, Some(10_000), None, 7);
    for n in 1..200 {
        request(&mut network, Some(n * 100_000), None, 7);
    }
    request(&mut network, Some(10_000), None, 8);
    later(&mut network);
    let told = told(&reader(&network, vec![stretch(0, 20_000)]).sequences()[0]);
    assert_eq!(told[0], "client 10 > sensor unknown: CON GET /t MID 0x0007");
    assert!(told[1].starts_with("client 10 > sensor lost"), "{told:?}");
}

proptest! {
    /// Packets that are all received, some of them with the same bytes as others: whichever stretch of them, none is
    /// lost, none is received before it was sent, and of none the sender is not known.
    #[test]
    fn where_all_is_received_nothing_is_lost(
        packets in prop::collection::vec((0_u64..3_000_000, 0_u64..1_800_000, 0_u16..6), 1..80),
        from_us in 0_u64..4_000_000,
        long_us in 0_u64..4_000_000,
        most in 1_usize..40,
    ) {
        let mut network = network();
        let mut packets = packets;
        packets.sort_unstable();
        let mut latest = std::collections::BTreeMap::new();
        for (sent_us, takes_us, id) in packets {
            // Those with the same bytes do not overtake each other.
            let received_us = latest.entry(id).or_insert(0);
            *received_us = (sent_us + takes_us).max(*received_us + 1);
            request(&mut network, Some(sent_us), Some(*received_us), id);
        }
        let stretch = Stretch { most, ..stretch(from_us, from_us + long_us) };
        let sequence = reader(&network, vec![stretch]).sequences().remove(0);
        for message in &sequence.messages {
            let Fate::Received(at) = message.to[0].fate else {
                panic!("{message:?}");
            };
            prop_assert!(message.sent_s.is_some_and(|sent| sent <= at), "{message:?}");
        }
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
