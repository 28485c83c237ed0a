//! What must be refused is refused for its reason, and no octets make anything panic.

mod common;

use std::net::SocketAddrV6;

use common::{answer, at, client_config, eui64, pool, server_config, tell};
use dhcpv6::message::{IaAddress, IaNa, Malformed, MessageType, Status, StatusCode};
use dhcpv6::relay::{self, Direction, RelayError, RelayMessage};
use dhcpv6::server::{Event, Ignored, MAX_LEASES};
use dhcpv6::{Client, Duid, Message, Relay, Server, client};
use machine::Machine;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use units::{Seed, SimTime};

fn from() -> SocketAddrV6 {
    "[fe80::1%3]:546".parse().unwrap()
}

fn server() -> Server {
    let mut config = server_config(vec![pool(1, 9)]);
    config.direct_link = Some(pool(1, 9).first);
    Server::new(config).unwrap()
}

fn server_duid() -> Option<Duid> {
    Some(Duid::link_layer(eui64(0xff)))
}

fn ask(server: &mut Server, message: &Message) -> Result<Message, Ignored> {
    let answer = answer(server, SimTime::ZERO, from(), &message.encode())?;
    assert_eq!(answer.to, from());
    let decoded = Message::decode(&answer.payload).unwrap();
    assert_eq!(
        (decoded.xid, &decoded.server_id),
        (message.xid, &server_duid())
    );
    assert_eq!(decoded.client_id, message.client_id);
    Ok(decoded)
}

/// A message of the client with an association that has `addresses`.
fn message(kind: MessageType, addresses: &[&str]) -> Message {
    let mut message = Message::new(kind, [1, 2, 3]);
    message.client_id = Some(Duid::link_layer(eui64(1)));
    let addresses = addresses.iter().map(|address| IaAddress {
        address: address.parse().unwrap(),
        preferred_s: 0,
        valid_s: 0,
        status: None,
    });
    message.ia_nas.push(IaNa {
        iaid: 1,
        t1_s: 0,
        t2_s: 0,
        addresses: addresses.collect(),
        status: None,
    });
    message
}

#[test]
fn section_16_says_which_messages_a_server_discards() {
    use MessageType as M;
    let mut server = server();
    for kind in [M::Solicit, M::Confirm, M::Rebind] {
        let mut named = message(kind, &["2001:db8:1::5"]);
        named.server_id = server_duid();
        assert_eq!(ask(&mut server, &named), Err(Ignored::NamesServer(kind)));
    }
    for kind in [M::Request, M::Renew, M::Release, M::Decline] {
        let mut other = message(kind, &["2001:db8:1::5"]);
        assert_eq!(ask(&mut server, &other), Err(Ignored::OtherServer(kind)));
        other.server_id = Some(Duid::link_layer(eui64(7)));
        assert_eq!(ask(&mut server, &other), Err(Ignored::OtherServer(kind)));
    }
    for kind in [M::Solicit, M::Confirm, M::Rebind, M::Request, M::Renew] {
        let mut nobody = message(kind, &[]);
        nobody.client_id = None;
        assert_eq!(ask(&mut server, &nobody), Err(Ignored::NoClientId(kind)));
    }
    for kind in [M::Advertise, M::Reply, M::Reconfigure] {
        let wrong = message(kind, &[]);
        assert_eq!(ask(&mut server, &wrong), Err(Ignored::Kind(kind)));
    }
    let information = message(M::InformationRequest, &[]);
    let expected = Ignored::Addresses(M::InformationRequest);
    assert_eq!(ask(&mut server, &information), Err(expected));
    let mut many = message(M::Solicit, &[]);
    many.ia_nas = vec![many.ia_nas[0].clone(); 9];
    assert_eq!(
        ask(&mut server, &many),
        Err(Ignored::TooManyAssociations(9))
    );
}

#[test]
fn one_client_has_so_many_addresses_and_leaves_the_rest_to_others() {
    let mut config = server_config(vec![pool(1, 20)]);
    config.direct_link = Some(pool(1, 20).first);
    let mut server = Server::new(config).unwrap();
    let mut solicit = |client: u8, iaid: u32| {
        let mut message = message(MessageType::Solicit, &[]);
        message.client_id = Some(Duid::link_layer(eui64(client)));
        message.rapid_commit = true;
        message.ia_nas[0].iaid = iaid;
        let reply = ask(&mut server, &message).unwrap();
        let events: Vec<Event> = std::iter::from_fn(|| server.poll_event()).collect();
        let is_refused = matches!(events[..], [Event::Refused { .. }]);
        assert_eq!(reply.ia_nas[0].addresses.is_empty(), is_refused);
        is_refused
    };
    let refused: Vec<bool> = (0..100).map(|iaid| solicit(1, iaid)).collect();
    let expected = (0..100).map(|iaid| iaid >= MAX_LEASES);
    assert_eq!(refused, expected.collect::<Vec<_>>());
    // What it has it keeps.
    assert!(!solicit(1, 0) && !solicit(2, 0));
}

#[test]
fn an_information_request_is_answered_with_who_answers() {
    let mut bare = Message::new(MessageType::InformationRequest, [1, 2, 3]);
    assert_eq!(ask(&mut server(), &bare).unwrap().kind, MessageType::Reply);
    bare.server_id = Some(Duid::link_layer(eui64(7)));
    let expected = Ignored::OtherServer(MessageType::InformationRequest);
    assert_eq!(ask(&mut server(), &bare), Err(expected));
}

#[test]
fn a_link_without_a_pool_is_named() {
    let agent = Relay {
        link_address: "2001:db8:9::1".parse().unwrap(),
        interface_id: None,
    };
    let solicit = message(MessageType::Solicit, &[]).encode();
    let forwarded = agent.forward(*from().ip(), &solicit).unwrap();
    let ignored = answer(&mut server(), SimTime::ZERO, from(), &forwarded);
    assert_eq!(ignored, Err(Ignored::UnknownLink(agent.link_address)));
    let mut relayed_only = Server::new(server_config(vec![pool(1, 9)])).unwrap();
    let ignored = answer(&mut relayed_only, SimTime::ZERO, from(), &solicit);
    assert_eq!(ignored, Err(Ignored::NotRelayed));
}

#[test]
fn an_address_of_another_link_is_refused_taken_away_or_not_confirmed() {
    let mut server = server();
    let mut request = message(MessageType::Request, &["2001:db8:2::5"]);
    request.server_id = server_duid();
    let status = |reply: &Message| reply.ia_nas[0].status.as_ref().map(|s| s.code);
    let reply = ask(&mut server, &request).unwrap();
    assert_eq!(status(&reply), Some(StatusCode::NotOnLink));
    let rebind = ask(
        &mut server,
        &message(MessageType::Rebind, &["2001:db8:2::5"]),
    )
    .unwrap();
    assert_eq!(rebind.ia_nas[0].addresses[0].valid_s, 0);
    for (addresses, code) in [
        (&["2001:db8:1::5"][..], StatusCode::Success),
        (&["2001:db8:1::5", "2001:db8:2::5"], StatusCode::NotOnLink),
    ] {
        let reply = ask(&mut server, &message(MessageType::Confirm, addresses)).unwrap();
        assert_eq!(reply.status.unwrap().code, code);
    }
    let empty = ask(&mut server, &message(MessageType::Confirm, &[]));
    assert_eq!(empty, Err(Ignored::Addresses(MessageType::Confirm)));
}

#[test]
fn what_nobody_leased_has_no_binding() {
    let mut server = server();
    for kind in [
        MessageType::Renew,
        MessageType::Release,
        MessageType::Decline,
    ] {
        let mut message = message(kind, &["2001:db8:1::5"]);
        message.server_id = server_duid();
        let reply = ask(&mut server, &message).unwrap();
        let status = reply.ia_nas[0].status.as_ref().unwrap();
        assert_eq!(status.code, StatusCode::NoBinding, "{kind:?}");
    }
}

#[test]
fn a_nested_relay_forward_is_answered_in_the_same_nest() {
    let inner = Relay {
        link_address: "2001:db8:1::1".parse().unwrap(),
        interface_id: Some(b"inner".to_vec()),
    };
    let outer = Relay {
        link_address: "2001:db8:2::1".parse().unwrap(),
        interface_id: Some(b"outer".to_vec()),
    };
    let near = "fe80::2".parse().unwrap();
    let solicit = message(MessageType::Solicit, &[]).encode();
    let once = inner.forward(*from().ip(), &solicit).unwrap();
    let twice = outer.forward(near, &once).unwrap();
    let from_outer = "[2001:db8:ffff::1]:547".parse().unwrap();
    let answer = answer(&mut server(), SimTime::ZERO, from_outer, &twice).unwrap();
    assert_eq!(answer.to, from_outer);
    let first = relay::unwrap_reply(&answer.payload).unwrap();
    assert_eq!(first.interface_id, outer.interface_id);
    assert_eq!(
        (*first.transmit.to.ip(), first.transmit.to.port()),
        (near, 547)
    );
    let second = relay::unwrap_reply(&first.transmit.payload).unwrap();
    assert_eq!(second.interface_id, inner.interface_id);
    assert_eq!(second.transmit.to.port(), 546);
    let advertise = Message::decode(&second.transmit.payload).unwrap();
    // The link nearest to the client counts.
    let address = advertise.ia_nas[0].addresses[0].address;
    assert!(pool(1, 9).link.contains(&address));
}

#[test]
fn more_hops_than_relay_agents_make_are_refused() {
    let mut payload = message(MessageType::Solicit, &[]).encode();
    for _ in 0..12 {
        payload = RelayMessage {
            direction: Direction::Forward,
            hop_count: 0,
            link_address: pool(1, 9).first,
            peer_address: *from().ip(),
            interface_id: None,
            message: payload,
        }
        .encode()
        .unwrap();
    }
    let ignored = answer(&mut server(), SimTime::ZERO, from(), &payload);
    assert_eq!(ignored, Err(Ignored::TooManyHops));
}

#[test]
fn options_nested_as_deep_as_a_datagram_allows_do_not_exhaust_the_stack() {
    // An IA_NA in an IA_NA in …: each level 16 octets.
    let mut nested = Vec::new();
    while nested.len() < 65_000 {
        let length = (nested.len() + 12) as u16;
        let header = [&[0, 3][..], &length.to_be_bytes(), &[0; 12]].concat();
        nested = [header, nested].concat();
    }
    let bytes = [&[1, 0, 0, 1][..], &nested].concat();
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.ia_nas.len(), 1, "what is nested in it is ignored");
}

#[test]
fn lengths_that_an_option_cannot_have_are_refused_for_it() {
    let decode = |options: &[u8]| Message::decode(&[&[1, 0, 0, 1][..], options].concat());
    for (code, length) in [
        (13u8, 1u8),
        (3, 11),
        (6, 3),
        (7, 2),
        (8, 1),
        (14, 1),
        (82, 3),
    ] {
        let option = [&[0, code, 0, length][..], &vec![0; length.into()]].concat();
        let expected = Malformed::Length {
            code: code.into(),
            length: length.into(),
        };
        assert_eq!(decode(&option), Err(expected));
    }
    let expected = Malformed::Length { code: 1, length: 2 };
    assert_eq!(decode(&[0, 1, 0, 2, 0, 3]), Err(expected));
    let truncated = Malformed::Truncated {
        code: 1,
        length: 9,
        present: 1,
    };
    assert_eq!(decode(&[0, 1, 0, 9, 0]), Err(truncated));
    assert_eq!(
        decode(&[0, 13, 0, 3, 0, 0, 0xff]),
        Err(Malformed::StatusText)
    );
    assert_eq!(Message::decode(&[1, 0, 0]), Err(Malformed::TooShort(3)));
    assert_eq!(Message::decode(&[12, 0, 0, 1]), Err(Malformed::Type(12)));
    assert!(
        decode(&[0, 99, 0, 1, 7]).is_ok(),
        "unknown options are ignored"
    );
}

fn give(message: &mut Message, address: &str) {
    message.ia_nas[0].addresses[0].address = address.parse().unwrap();
}

#[test]
fn a_client_ignores_what_is_not_for_its_exchange() {
    let mut client = Client::new(client_config(1), Seed(1).rng(&["client"])).unwrap();
    client.start(SimTime::ZERO);
    let solicit = Message::decode(&client.poll_transmit().unwrap().payload).unwrap();
    let good = ask(&mut server(), &solicit).unwrap();
    let mut refuse = |change: fn(&mut Message)| {
        let mut changed = good.clone();
        change(&mut changed);
        let ignored = tell(&mut client, at(1), &changed.encode()).unwrap_err();
        assert_eq!(client.poll_transmit(), None);
        ignored
    };
    use client::Ignored as I;
    assert_eq!(refuse(|m| m.xid[0] ^= 1), I::Transaction);
    assert_eq!(refuse(|m| m.client_id = None), I::ClientId);
    assert_eq!(
        refuse(|m| m.client_id.clone_from(&m.server_id)),
        I::ClientId
    );
    assert_eq!(refuse(|m| m.server_id = None), I::NoServerId);
    assert_eq!(refuse(|m| m.ia_nas.clear()), I::NoAddress);
    assert_eq!(refuse(|m| m.ia_nas[0].iaid = 9), I::NoAddress);
    assert_eq!(refuse(|m| give(m, "ff02::1")), I::NoAddress);
    assert_eq!(refuse(|m| give(m, "::")), I::NoAddress);
    assert_eq!(refuse(|m| give(m, "::1")), I::NoAddress);
    let unasked = refuse(|m| {
        m.kind = MessageType::Reply;
        m.rapid_commit = true;
    });
    assert_eq!(unasked, I::Unexpected(MessageType::Reply));
    tell(&mut client, at(1), &good.encode()).unwrap();
    assert!(client.poll_transmit().is_some());
}

#[test]
fn an_unspecific_failure_leaves_the_exchange_to_its_retransmission() {
    let mut client = Client::new(client_config(1), Seed(1).rng(&["client"])).unwrap();
    let mut server = server();
    client.start(SimTime::ZERO);
    let solicit = Message::decode(&client.poll_transmit().unwrap().payload).unwrap();
    let advertise = ask(&mut server, &solicit).unwrap();
    tell(&mut client, at(1), &advertise.encode()).unwrap();
    let request = Message::decode(&client.poll_transmit().unwrap().payload).unwrap();
    let good = ask(&mut server, &request).unwrap();
    let mut failed = good.clone();
    failed.status = Some(Status {
        code: StatusCode::UnspecFail,
        message: "busy".to_owned(),
    });
    let ignored = tell(&mut client, at(2), &failed.encode());
    assert_eq!(
        ignored,
        Err(client::Ignored::Status(StatusCode::UnspecFail))
    );
    assert_eq!(client.poll_transmit(), None);
    tell(&mut client, at(3), &good.encode()).unwrap();
    assert!(client.lease().is_some());
}

#[test]
fn a_server_may_say_how_seldom_to_solicit_without_having_an_address() {
    let mut client = Client::new(client_config(1), Seed(1).rng(&["client"])).unwrap();
    client.start(SimTime::ZERO);
    let solicit = Message::decode(&client.poll_transmit().unwrap().payload).unwrap();
    let mut none = ask(&mut server(), &solicit).unwrap();
    none.ia_nas.clear();
    none.sol_max_rt_s = Some(60);
    let ignored = tell(&mut client, at(1), &none.encode());
    assert_eq!(ignored, Err(client::Ignored::NoAddress));
    let mut waits = Vec::new();
    let mut now = SimTime::ZERO;
    for _ in 0..20 {
        let next = client.poll_timeout().unwrap();
        waits.push((next - now).as_secs_f64());
        now = next;
        client.handle_timeout(now);
    }
    assert!(
        waits[10..].iter().all(|wait| (54.0..=66.0).contains(wait)),
        "{waits:?}"
    );
}

#[test]
fn settings_that_cannot_work_are_named() {
    let refuse = |change: fn(&mut dhcpv6::server::Config)| {
        let mut config = server_config(vec![pool(1, 9), pool(2, 9)]);
        change(&mut config);
        Server::new(config).unwrap_err().to_string()
    };
    let off_link = refuse(|c| c.pools[1].last = "2001:db8:3::1".parse().unwrap());
    assert!(
        off_link.starts_with("pool 1 is 2001:db8:2::1:0 to 2001:db8:3::1"),
        "{off_link}"
    );
    assert!(refuse(|c| c.pools[0].last = "2001:db8:1::1".parse().unwrap()).starts_with("pool 0"));
    let overlap = refuse(|c| c.pools[1] = c.pools[0]);
    assert!(overlap.contains("links that do not overlap"), "{overlap}");
    assert!(refuse(|c| c.preferred *= 3).starts_with("preferred lifetime is 10800s"));
    assert!(refuse(|c| c.valid /= 7).contains("whole seconds"));
    let client = client::Config {
        solicit_timeout: std::time::Duration::ZERO,
        ..client_config(1)
    };
    let error = Client::new(client, Seed(1).rng(&["client"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "SOL_TIMEOUT is 0: expected a time longer than 0"
    );
}

fn any_duid() -> impl Strategy<Value = Duid> {
    vec(any::<u8>(), 3..=130).prop_map(|octets| Duid::try_from(octets).unwrap())
}

fn any_status() -> impl Strategy<Value = Status> {
    (any::<u16>(), "\\PC{0,9}").prop_map(|(code, message)| Status {
        code: StatusCode::from(code),
        message,
    })
}

fn any_ia() -> impl Strategy<Value = IaNa> {
    let address = (
        any::<[u8; 16]>(),
        any::<[u32; 2]>(),
        option::of(any_status()),
    )
        .prop_map(|(address, [preferred_s, valid_s], status)| IaAddress {
            address: address.into(),
            preferred_s,
            valid_s,
            status,
        });
    let parts = (
        any::<[u32; 3]>(),
        vec(address, 0..3),
        option::of(any_status()),
    );
    parts.prop_map(|([iaid, t1_s, t2_s], addresses, status)| IaNa {
        iaid,
        t1_s,
        t2_s,
        addresses,
        status,
    })
}

fn any_message() -> impl Strategy<Value = Message> {
    let head = (
        1..=11u8,
        any::<[u8; 3]>(),
        option::of(any_duid()),
        option::of(any_duid()),
    );
    let middle = (
        vec(any_ia(), 0..4),
        vec(any::<u16>(), 0..4),
        any::<Option<u8>>(),
    );
    let tail = (
        any::<Option<u16>>(),
        option::of(any_status()),
        any::<bool>(),
        option::of(60..=86_400u32),
    );
    (head, middle, tail).prop_map(|(head, middle, tail)| Message {
        kind: MessageType::from(head.0),
        xid: head.1,
        client_id: head.2,
        server_id: head.3,
        ia_nas: middle.0,
        requested: middle.1,
        preference: middle.2,
        elapsed_cs: tail.0,
        status: tail.1,
        rapid_commit: tail.2,
        sol_max_rt_s: tail.3,
    })
}

/// Octets that are nearly a message: one with some of its octets changed and its end cut.
fn nearly_a_message() -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let parts = (
        any_message(),
        changes,
        any::<prop::sample::Index>(),
        any::<bool>(),
    );
    parts.prop_map(|(message, changes, end, relayed)| {
        let mut bytes = message.encode();
        if relayed {
            let agent = Relay {
                link_address: "2001:db8:1::1".parse().unwrap(),
                interface_id: Some(vec![1]),
            };
            bytes = agent.forward(*from().ip(), &bytes).unwrap_or(bytes);
        }
        for (at, octet) in changes {
            let at = at.index(bytes.len());
            bytes[at] = octet;
        }
        bytes.truncate(end.index(2 * bytes.len()).max(1));
        bytes
    })
}

proptest! {
    #[test]
    fn every_message_survives_its_encoding(message in any_message()) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn every_relay_message_survives_its_encoding(
        hop_count: u8,
        addresses: [[u8; 16]; 2],
        interface_id in option::of(vec(any::<u8>(), 0..9)),
        message in vec(any::<u8>(), 0..99),
        forward: bool,
    ) {
        let message = RelayMessage {
            direction: if forward { Direction::Forward } else { Direction::Reply },
            hop_count,
            link_address: addresses[0].into(),
            peer_address: addresses[1].into(),
            interface_id,
            message,
        };
        prop_assert_eq!(RelayMessage::decode(&message.encode().unwrap()), Ok(message));
    }

    #[test]
    fn whatever_decodes_is_stable(bytes in nearly_a_message()) {
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
        if let Ok(message) = RelayMessage::decode(&bytes) {
            prop_assert_eq!(RelayMessage::decode(&message.encode().unwrap()), Ok(message));
        }
    }

    #[test]
    fn no_octets_make_server_client_or_relay_agent_panic(
        datagrams in vec(prop_oneof![nearly_a_message(), vec(any::<u8>(), 0..200)], 1..20),
    ) {
        let mut server = server();
        let mut client = Client::new(client_config(1), Seed(1).rng(&["client"])).unwrap();
        client.start(SimTime::ZERO);
        let agent = Relay { link_address: pool(1, 9).first, interface_id: None };
        for (i, mut bytes) in datagrams.into_iter().enumerate() {
            let now = at(100 * i as u64);
            if let Ok(answer) = answer(&mut server, now, from(), &bytes) {
                let ours = answer.payload[0];
                prop_assert!(matches!(ours, 2 | 7 | 13), "{ours}");
            }
            let _ = agent.forward(*from().ip(), &bytes);
            if let Ok(reply) = relay::unwrap_reply(&bytes) {
                prop_assert!(!reply.transmit.payload.is_empty());
            }
            // Make it look like an answer to what the client sent last.
            while let Some(sent) = client.poll_transmit() {
                if bytes.len() > 4 {
                    bytes[0] = 7 - 5 * (i as u8 % 2);
                    bytes[1..4].copy_from_slice(&sent.payload[1..4]);
                }
            }
            let _ = tell(&mut client, now, &bytes);
            client.handle_timeout(now);
            prop_assert!(client.poll_timeout().is_some(), "it never stops by itself");
        }
    }
}

#[test]
fn a_relay_message_that_is_cut_or_empty_is_refused() {
    let decode = RelayMessage::decode;
    assert_eq!(decode(&[]), Err(RelayError::TooShort(0)));
    assert_eq!(decode(&[12; 33]), Err(RelayError::TooShort(33)));
    assert_eq!(decode(&[7; 40]), Err(RelayError::Type(7)));
    let mut bytes = vec![0; 34];
    bytes[0] = 13;
    assert_eq!(decode(&bytes), Err(RelayError::Empty));
    bytes.extend([0, 9, 0, 2, 7]);
    assert!(matches!(
        decode(&bytes),
        Err(RelayError::Option(Malformed::Truncated { .. }))
    ));
}
