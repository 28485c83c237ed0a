//! Client against server, directly and through relay agents, in virtual time.

mod common;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{answer, at, client_config, eui64, pool, server_config, tell};
use dhcpv6::client::{self, Failure};
use dhcpv6::message::{MessageType, StatusCode};
use dhcpv6::{Client, Duid, Event, Message, Server, server};
use machine::Machine;
use proptest::prelude::*;
use units::SimTime;
use world::{LATENCY, World};

const SOLICIT: u8 = 1;
const REQUEST: u8 = 3;
const RENEW: u8 = 5;
const REBIND: u8 = 6;

fn kinds(sent: &[(SimTime, u8)]) -> Vec<u8> {
    sent.iter().map(|&(_, kind)| kind).collect()
}

fn bound_at(events: &[(SimTime, Event)]) -> SimTime {
    match events {
        [(at, Event::Bound(_)), ..] => *at,
        other => panic!("not bound first: {other:?}"),
    }
}

#[test]
fn four_messages_take_two_round_trips_when_the_server_has_preference_255() {
    for relayed in [true, false] {
        let mut config = server_config(vec![pool(1, 100)]);
        config.direct_link = Some(pool(1, 100).first);
        let mut world = World::new(config, vec![client_config(1)], 1);
        world.relayed = relayed;
        world.start(0);
        world.run(at(1000));
        assert_eq!(kinds(&world.nodes[0].sent), [SOLICIT, REQUEST]);
        assert_eq!(
            bound_at(&world.nodes[0].events),
            SimTime::ZERO + 4 * LATENCY
        );
    }
}

#[test]
fn two_messages_suffice_where_both_sides_want_rapid_commit() {
    for (client, server, expected) in [
        (true, true, &[SOLICIT][..]),
        (true, false, &[SOLICIT, REQUEST]),
        (false, true, &[SOLICIT, REQUEST]),
    ] {
        let mut config = server_config(vec![pool(1, 100)]);
        config.rapid_commit = server;
        let client = client::Config {
            rapid_commit: client,
            ..client_config(1)
        };
        let mut world = World::new(config, vec![client], 1);
        world.start(0);
        world.run(at(1000));
        assert_eq!(kinds(&world.nodes[0].sent), expected);
        let messages = expected.len() as u32;
        let bound = bound_at(&world.nodes[0].events);
        assert_eq!(bound, SimTime::ZERO + 2 * messages * LATENCY);
    }
}

proptest! {
    #[test]
    fn with_a_lower_preference_other_servers_are_waited_for(seed: u64, preference in 0..255u8) {
        let mut config = server_config(vec![pool(1, 100)]);
        config.preference = preference;
        let mut world = World::new(config, vec![client_config(1)], seed);
        world.start(0);
        world.run(at(10_000));
        let waited = world.nodes[0].sent[1].0 - SimTime::ZERO;
        prop_assert_eq!(kinds(&world.nodes[0].sent), [SOLICIT, REQUEST]);
        // "The first RT MUST be selected to be strictly greater than IRT" (§18.2.1).
        prop_assert!(waited > Duration::from_secs(1) && waited <= Duration::from_millis(1100));
    }

    #[test]
    fn the_first_solicit_is_delayed_and_the_next_follow_section_15(seed: u64) {
        let client = client::Config {
            solicit_max_delay: Duration::from_secs(1),
            ..client_config(1)
        };
        let mut world = World::new(server_config(vec![pool(1, 1)]), vec![client], seed);
        world.server_up = false;
        world.start(0);
        world.run(at(60_000_000));
        let times: Vec<f64> = world.nodes[0].sent.iter().map(|(t, _)| t.as_secs_f64()).collect();
        prop_assert!(times[0] <= 1.0);
        let timeouts: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        prop_assert!(timeouts[0] > 1.0 && timeouts[0] <= 1.1);
        for pair in timeouts.windows(2) {
            let doubled = pair[1] >= 1.899 * pair[0] && pair[1] <= 2.101 * pair[0];
            let longest = pair[1] >= 3240.0 && pair[1] <= 3960.0;
            prop_assert!(doubled || longest, "{:?}", timeouts);
        }
        prop_assert!(timeouts.len() > 20, "it never gives up");
    }

    #[test]
    fn every_client_gets_an_address_of_its_own_in_spite_of_loss(
        seed: u64,
        loss in 0..30u64,
        rapid_commit: bool,
    ) {
        let clients = (0..12).map(|i| client::Config {
            rapid_commit,
            // An answer passes three links that lose: two in three tries may be in vain.
            solicit_max_rt: Duration::from_secs(30),
            ..client_config(i)
        });
        let pools = vec![pool(1, 6), pool(2, 6)];
        let mut world = World::new(server_config(pools.clone()), clients.collect(), seed);
        world.loss = loss;
        for i in 0..12 {
            world.nodes[i].link = 1 + i as u16 % 2;
            world.start(i);
        }
        world.run(at(1_500_000));
        let mut addresses = BTreeSet::new();
        for node in &world.nodes {
            let address = node.lease().expect("bound").address;
            prop_assert!(pools[usize::from(node.link) - 1].link.contains(&address));
            addresses.insert(address);
        }
        prop_assert_eq!(addresses.len(), 12);
        let leased: BTreeSet<_> = world.server.leases().map(|(address, ..)| address).collect();
        prop_assert_eq!(leased, addresses);
    }
}

#[test]
fn two_runs_with_the_same_seed_are_the_same() {
    let run = || {
        let clients = (0..5).map(client_config).collect();
        let mut world = World::new(server_config(vec![pool(1, 20)]), clients, 7);
        world.loss = 30;
        (0..5).for_each(|i| world.start(i));
        world.run(at(8_000_000));
        let nodes = world.nodes.into_iter();
        nodes
            .map(|node| (node.sent, node.events))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_node_that_moves_gets_an_address_of_its_new_link_and_back_its_old_one() {
    let pools = vec![pool(1, 1000), pool(2, 1000)];
    let mut world = World::new(server_config(pools), vec![client_config(1)], 1);
    let mut addresses = Vec::new();
    for (i, link) in [1, 2, 1].into_iter().enumerate() {
        world.nodes[0].link = link;
        world.start(0);
        assert_eq!(world.nodes[0].lease(), None, "forgotten at the start");
        world.run(at(1000 * (i as u64 + 1)));
        addresses.push(world.nodes[0].lease().unwrap().address);
    }
    assert!(pool(2, 1).link.contains(&addresses[1]));
    assert_eq!(addresses[0], addresses[2]);
}

#[test]
fn a_lease_is_renewed_at_t1_and_the_server_hears_of_it() {
    let mut world = World::new(server_config(vec![pool(1, 10)]), vec![client_config(1)], 1);
    world.start(0);
    world.run(at(1_810_000));
    let node = &world.nodes[0];
    assert_eq!(kinds(&node.sent), [SOLICIT, REQUEST, RENEW]);
    assert_eq!(
        node.sent[2].0,
        bound_at(&node.events) + Duration::from_secs(1800)
    );
    assert_eq!(node.events.len(), 2);
    let lease = node.lease().unwrap().clone();
    assert_eq!(node.events[1].1, Event::Bound(lease.clone()));
    assert_eq!(lease.t1, Duration::from_secs(1800));
    assert_eq!(lease.t2, Duration::from_secs(2880));
    let (address, duid) = (lease.address, Duid::link_layer(eui64(1)));
    let leased = server::Event::Leased {
        address,
        duid: duid.clone(),
    };
    assert_eq!(world.server.poll_event(), Some(leased));
    let renewed = server::Event::Renewed { address, duid };
    assert_eq!(world.server.poll_event(), Some(renewed));
}

#[test]
fn a_silent_server_is_asked_until_t2_then_any_until_the_lease_ends() {
    let mut world = World::new(server_config(vec![pool(1, 10)]), vec![client_config(1)], 1);
    world.start(0);
    world.run(at(1000));
    let bound = bound_at(&world.nodes[0].events);
    let address = world.nodes[0].lease().unwrap().address;
    world.server_up = false;
    world.run(bound + Duration::from_secs(7210));
    let node = &world.nodes[0];
    let times = |wanted| {
        let of_kind = node.sent.iter().filter(move |&&(_, kind)| kind == wanted);
        of_kind.map(|&(at, _)| at).collect::<Vec<_>>()
    };
    let (renews, rebinds) = (times(RENEW), times(REBIND));
    assert_eq!(renews[0], bound + Duration::from_secs(1800));
    assert!(
        renews
            .iter()
            .all(|&at| at < bound + Duration::from_secs(2880))
    );
    assert_eq!(rebinds[0], bound + Duration::from_secs(2880));
    assert!(renews.len() >= 4 && rebinds.len() >= 4);
    let first = (renews[1] - renews[0]).as_secs_f64();
    assert!((9.0..=11.0).contains(&first), "REN_TIMEOUT is 10 s");
    let end = bound + Duration::from_secs(7200);
    assert_eq!(node.events[1], (end, Event::Expired { address }));
    assert_eq!(node.sent.iter().find(|s| s.0 >= end), Some(&(end, SOLICIT)));
    assert_eq!(world.server.leases().count(), 0, "it expired there too");
}

#[test]
fn a_server_that_forgot_its_leases_gives_the_address_again_without_a_break() {
    let config = server_config(vec![pool(1, 1000)]);
    let mut world = World::new(config.clone(), vec![client_config(1)], 1);
    world.start(0);
    world.run(at(1000));
    let address = world.nodes[0].lease().unwrap().address;
    world.server = Server::new(config).unwrap();
    world.run(at(1_810_000));
    let node = &world.nodes[0];
    // Renew, NoBinding, Request (§18.2.10.1).
    assert_eq!(kinds(&node.sent), [SOLICIT, REQUEST, RENEW, REQUEST]);
    assert_eq!(node.lease().unwrap().address, address);
    assert!(
        node.events
            .iter()
            .all(|(_, event)| matches!(event, Event::Bound(_)))
    );
}

#[test]
fn a_released_address_is_free_at_once() {
    let mut world = World::new(server_config(vec![pool(1, 1)]), vec![client_config(1)], 1);
    world.start(0);
    world.run(at(1000));
    let address = world.nodes[0].lease().unwrap().address;
    world.act(0, Client::release);
    assert_eq!(world.nodes[0].lease(), None);
    world.run(at(1100));
    let released = Event::Released { address };
    assert_eq!(world.nodes[0].events.last().unwrap().1, released);
    assert_eq!(world.server.leases().count(), 0);
    assert_eq!(world.nodes[0].client.poll_timeout(), None);
}

#[test]
fn a_release_that_nobody_answers_is_sent_four_times() {
    let mut world = World::new(server_config(vec![pool(1, 1)]), vec![client_config(1)], 1);
    world.start(0);
    world.run(at(1000));
    world.server_up = false;
    world.act(0, Client::release);
    world.run(at(100_000));
    let releases = kinds(&world.nodes[0].sent).into_iter().filter(|&k| k == 8);
    assert_eq!(releases.count(), 4);
    let last = &world.nodes[0].events.last().unwrap().1;
    assert!(matches!(last, Event::Released { .. }));
}

#[test]
fn a_declined_address_is_not_given_again_while_it_may_be_in_use() {
    let mut world = World::new(server_config(vec![pool(1, 2)]), vec![client_config(1)], 1);
    world.start(0);
    world.run(at(1000));
    let first = world.nodes[0].lease().unwrap().address;
    world.act(0, Client::decline);
    world.run(at(1100));
    let second = world.nodes[0].lease().unwrap().address;
    assert_ne!(first, second);
    let declined = std::iter::from_fn(|| world.server.poll_event())
        .any(|event| matches!(event, server::Event::Declined { address, .. } if address == first));
    assert!(declined);
}

#[test]
fn a_full_pool_is_said_and_the_next_client_gets_what_expires() {
    let clients = vec![client_config(1), client_config(2)];
    let mut config = server_config(vec![pool(1, 1)]);
    config.preferred = Duration::from_secs(60);
    config.valid = Duration::from_secs(120);
    let mut world = World::new(config, clients, 1);
    world.start(0);
    world.run(at(1000));
    let address = world.nodes[0].lease().unwrap().address;
    world.nodes[0].client.stop();
    world.start(1);
    world.run(at(100_000));
    assert_eq!(world.nodes[1].lease(), None);
    let asked = world.nodes[1].sent.len();
    assert!(asked > 4, "it keeps asking");
    // Both sides say why, each time.
    let says_why = |(_, event): &(SimTime, Event)| match event {
        Event::Unserved(Failure::Refused { kind, code, .. }) => {
            (*kind, *code) == (MessageType::Solicit, StatusCode::NoAddrsAvail)
        }
        _ => false,
    };
    let told = world.nodes[1].events.iter().filter(|e| says_why(e));
    assert_eq!(told.count(), asked);
    let events: Vec<server::Event> = std::iter::from_fn(|| world.server.poll_event()).collect();
    let exhausted = |event: &&server::Event| matches!(event, server::Event::Exhausted { pool, .. } if *pool == self::pool(1, 1));
    assert_eq!(events.iter().filter(exhausted).count(), asked);
    world.run(at(400_000));
    assert_eq!(world.nodes[1].lease().unwrap().address, address);
}

#[test]
fn an_address_lost_between_advertise_and_request_makes_the_client_start_over_later() {
    let clients = vec![client_config(1), client_config(2)];
    let mut config = server_config(vec![pool(1, 1)]);
    config.preference = 0;
    let mut world = World::new(config, clients, 1);
    // Both are offered the only address; the first to ask gets it.
    world.start(0);
    world.start(1);
    world.run(at(3000));
    let (winner, loser) = match world.nodes[0].lease() {
        Some(_) => (0, 1),
        None => (1, 0),
    };
    assert!(world.nodes[winner].lease().is_some());
    let (refused_at, event) = &world.nodes[loser].events[0];
    let Event::Failed(Failure::Refused { kind, code, .. }) = event else {
        panic!("not refused: {event:?}");
    };
    assert_eq!(
        (*kind, *code),
        (MessageType::Request, StatusCode::NoAddrsAvail)
    );
    let again = world.nodes[loser].sent.iter().find(|s| s.0 >= *refused_at);
    assert_eq!(
        again,
        Some(&(*refused_at + Duration::from_secs(1), SOLICIT))
    );
}

#[test]
fn a_request_that_nobody_answers_is_sent_ten_times_and_then_servers_are_sought_again() {
    let mut config = server_config(vec![pool(1, 1)]);
    config.preference = 0;
    let mut world = World::new(config, vec![client_config(1)], 1);
    world.start(0);
    world.run(at(500));
    world.server_up = false;
    world.run(at(300_000));
    let sent = kinds(&world.nodes[0].sent);
    assert_eq!(
        sent[..12],
        [&[SOLICIT][..], &[REQUEST; 10], &[SOLICIT]].concat()
    );
    let expected = Failure::NoAnswer {
        kind: MessageType::Request,
        sent: 10,
    };
    assert_eq!(world.nodes[0].events[0].1, Event::Failed(expected));
}

#[test]
fn of_two_servers_the_one_with_the_higher_preference_is_taken() {
    let mut world = World::new(server_config(vec![pool(1, 9)]), vec![client_config(1)], 1);
    world.server_up = false;
    let client = &mut world.nodes[0].client;
    client.start(SimTime::ZERO);
    let solicit = Message::decode(&client.poll_transmit().unwrap().payload).unwrap();
    let answer = |n: u8, preference: u8| {
        let mut config = server_config(vec![pool(1, 9)]);
        config.duid = Duid::link_layer(eui64(n));
        config.preference = preference;
        config.direct_link = Some(pool(1, 9).first);
        let from = "[fe80::1]:546".parse().unwrap();
        let mut server = Server::new(config).unwrap();
        let answer = answer(&mut server, SimTime::ZERO, from, &solicit.encode());
        answer.unwrap().payload
    };
    for (n, preference) in [(10, 3), (11, 7), (12, 7), (13, 5)] {
        tell(client, at(10), &answer(n, preference)).unwrap();
        assert_eq!(client.poll_transmit(), None);
    }
    client.handle_timeout(client.poll_timeout().unwrap());
    let request = Message::decode(&client.poll_transmit().unwrap().payload).unwrap();
    assert_eq!(request.kind, MessageType::Request);
    assert_eq!(request.server_id, Some(Duid::link_layer(eui64(11))));
    assert_ne!(request.xid, solicit.xid);
}
