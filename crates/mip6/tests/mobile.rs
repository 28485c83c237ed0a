//! A mobile node and its home agent, by the rules of RFC 6275 §11.

use std::time::Duration;

use crate::support::node::{CN, error, events, forge, forget, optimised, to, update_of};
use crate::support::{
    AGENT, CORRESPONDENT, HOME, Net, Party, agent_config, at_router, away, map_config, ms, secs,
};
use machine::Machine;
use mip6::agent;
use mip6::cache::Change;
use mip6::codec::{
    BindingAcknowledgement, ErrorStatus, Kind, Lifetime, Message, MobilityOption, Status,
};
use mip6::mobile::{self, Event, Peer, Reason, RouteOptimization};
use mip6::rr::{Cookie, KeygenToken, NonceIndex};
use mip6::{Agent, Headers, Ignored};
use units::Sequence;

#[test]
fn a_home_registration_has_the_form_of_section_11_7_1() {
    let mut net = Net::plain();
    net.move_to(away(1));
    let [update] = &net.sent(Party::Node, Kind::BindingUpdate)[..] else {
        panic!("{:?}", net.log);
    };
    let headers = Headers::between(at_router(1), AGENT).from_home(HOME);
    assert_eq!(update.headers, headers);
    let said = update_of(update);
    assert!(said.home_registration && said.acknowledge && said.authenticator.is_none());
    assert!(!said.key_management && !said.map_registration && !said.proxy_registration);
    assert_eq!(said.lifetime, Lifetime(900));
    assert_eq!(
        said.options,
        [MobilityOption::AlternateCareOf(at_router(1))]
    );
    net.run(secs(1));
    let expected = [
        Event::Sent {
            peer: Peer::HomeAgent,
            care_of: at_router(1),
        },
        Event::Accepted {
            peer: Peer::HomeAgent,
            care_of: at_router(1),
            lifetime: Lifetime(900),
            status: Status::ACCEPTED,
        },
    ];
    assert_eq!(events(&net), expected);
    assert_eq!(net.ignored, []);
}

#[test]
fn an_update_that_is_not_answered_is_sent_again_at_1_2_4_up_to_32_seconds_with_rising_numbers() {
    let mut net = Net::plain();
    net.move_to(away(1));
    net.run(secs(5));
    forget(&mut net);
    net.lost = vec![(Party::Agent, Kind::BindingAcknowledgement); 100];
    net.move_to(away(2));
    net.run(secs(130));
    let times: Vec<u128> = net.times(Party::Node, Kind::BindingUpdate);
    let waits: Vec<u128> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(
        waits,
        [1000, 2000, 4000, 8000, 16_000, 32_000, 32_000, 32_000]
    );
    let numbers: Vec<Sequence> = net
        .sent(Party::Node, Kind::BindingUpdate)
        .iter()
        .map(|sent| update_of(sent).sequence)
        .collect();
    assert!(
        numbers
            .windows(2)
            .all(|pair| pair[1].is_newer_than(pair[0]))
    );
}

#[test]
fn the_first_registration_waits_for_duplicate_address_detection_before_it_repeats() {
    let config = mobile::Config::new(HOME, AGENT);
    let mut net = Net::with(config, Agent::new(agent_config()), Agent::new(map_config()));
    net.move_to(away(1));
    net.run(secs(10));
    assert_eq!(net.times(Party::Node, Kind::BindingUpdate), [0]);
    assert_eq!(
        net.times(Party::Agent, Kind::BindingAcknowledgement),
        [1020]
    );
    // Lost: 1.5 s and doubling (InitialBindackTimeoutFirstReg).
    let mut net = Net::plain();
    net.lost = vec![(Party::Node, Kind::BindingUpdate); 3];
    net.move_to(away(1));
    net.run(secs(20));
    assert_eq!(
        net.times(Party::Node, Kind::BindingUpdate),
        [0, 1500, 4500, 10_500]
    );
}

#[test]
fn bindings_are_refreshed_before_they_end_for_as_long_as_the_node_stays() {
    let mut net = optimised(RouteOptimization::default());
    let start = net.elapsed();
    for _ in 0..4 * 3600 {
        net.run(secs(1));
        assert_eq!(
            net.agent.binding(HOME).map(|b| b.care_of),
            Some(at_router(1))
        );
        let bound = net.correspondent.binding(HOME).map(|b| b.care_of);
        assert_eq!(
            bound,
            Some(at_router(1)),
            "after {:?}",
            net.elapsed() - start
        );
    }
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    // 4 h / (3600 - 32) s, and 4 h / (420 - 32) s and some more: none outlives the home agent's.
    assert_eq!(to(&updates, AGENT).len(), 4);
    assert_eq!(to(&updates, CORRESPONDENT).len(), 40);
    assert!(
        events(&net)
            .iter()
            .all(|event| !matches!(event, Event::Removed { .. }))
    );
}

#[test]
fn the_home_agents_advice_is_taken() {
    let agent = Agent::new(agent::Config {
        dad: Duration::ZERO,
        refresh_advice: Some(secs(100)),
        ..agent_config()
    });
    let config = mobile::Config::new(HOME, AGENT);
    let mut net = Net::with(config, agent, Agent::new(map_config()));
    net.move_to(away(1));
    net.run(secs(350));
    let times = net.times(Party::Node, Kind::BindingUpdate);
    assert_eq!(times, [0, 100_000, 200_000, 300_000]);
}

#[test]
fn an_acceptance_that_wants_prefix_discovery_is_not_refreshed() {
    let mut net = Net::plain();
    net.lost = vec![(Party::Agent, Kind::BindingAcknowledgement)];
    net.move_to(away(1));
    net.run(ms(500));
    let sequence = update_of(net.sent(Party::Node, Kind::BindingUpdate)[0]).sequence;
    let answer = Message::BindingAcknowledgement(BindingAcknowledgement {
        status: Status::PREFIX_DISCOVERY,
        sequence,
        lifetime: Lifetime(100),
        ..BindingAcknowledgement::default()
    });
    let headers = Headers::between(AGENT, at_router(1)).to_home(HOME);
    forge(&mut net, headers, &answer).unwrap();
    assert_eq!(net.node.bound_at(Peer::HomeAgent), Some(at_router(1)));
    forget(&mut net);
    net.run(secs(1000));
    assert!(net.log.is_empty());
    let expired = Event::Removed {
        peer: Peer::HomeAgent,
        reason: Reason::Expired,
    };
    assert_eq!(events(&net), [expired]);
}

#[test]
fn a_node_that_lost_its_count_goes_on_above_the_agents() {
    let mut net = Net::plain();
    net.move_to(away(1));
    net.run(secs(1));
    let before = update_of(net.sent(Party::Node, Kind::BindingUpdate)[0]).sequence;
    // It restarts, with numbers that are older.
    let rng = (0..)
        .map(|seed| units::Seed(seed).rng(&["restarted"]))
        .find(|rng| {
            let mut rng = rng.clone();
            let first = Sequence(rand_core::Rng::next_u32(&mut rng) as u16);
            !first.is_newer_than(before)
        });
    let config = mobile::Config::new(HOME, AGENT);
    net.node = mip6::MobileNode::new(config, rng.unwrap());
    forget(&mut net);
    net.move_to(away(2));
    net.run(secs(1));
    let statuses = net.statuses(Party::Agent);
    assert_eq!(statuses, [Status::SEQUENCE, Status::ACCEPTED]);
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    assert_eq!(update_of(updates[1]).sequence, before.next());
    assert_eq!(updates[1].at - updates[0].at, ms(40), "at once");
}

#[test]
fn a_node_that_comes_home_deletes_its_bindings() {
    let mut net = optimised(RouteOptimization::default());
    net.return_home();
    let [update] = &net.sent(Party::Node, Kind::BindingUpdate)[..] else {
        panic!();
    };
    assert_eq!(update.headers, Headers::between(HOME, AGENT));
    let said = update_of(update);
    assert!(said.home_registration && said.acknowledge);
    assert_eq!(said.lifetime, Lifetime::ZERO);
    assert_eq!(said.options, [MobilityOption::AlternateCareOf(HOME)]);
    net.run(secs(2));
    assert!(net.agent.binding(HOME).is_none() && net.correspondent.binding(HOME).is_none());
    // "Sending a Home Test Init message is sufficient": not through the tunnel any more.
    assert_eq!(net.sent(Party::Node, Kind::CareOfTestInit).len(), 0);
    let tests = net.sent(Party::Node, Kind::HomeTestInit);
    assert_eq!(tests[0].headers, Headers::between(HOME, CORRESPONDENT));
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    let deletion = &to(&updates, CORRESPONDENT)[0];
    assert_eq!(deletion.headers, Headers::between(HOME, CORRESPONDENT));
    assert_eq!(update_of(deletion).lifetime, Lifetime::ZERO);
    let Some((_, care_of)) = update_of(deletion).nonce_indices() else {
        panic!();
    };
    assert_eq!(care_of, NonceIndex(0));
    let removed = |peer, reason| Event::Removed { peer, reason };
    let happened = events(&net);
    assert!(happened.contains(&removed(Peer::HomeAgent, Reason::Deregistered)));
    assert!(happened.contains(&removed(CN, Reason::Deregistered)));
    forget(&mut net);
    net.run(secs(10_000));
    assert!(net.log.is_empty(), "nothing is refreshed at home");
    // And away again.
    net.move_to(away(4));
    net.run(secs(1));
    assert_eq!(net.node.bound_at(CN), Some(at_router(4)));
}

#[test]
fn an_agent_that_knows_nothing_of_a_node_that_comes_home_is_content() {
    let mut net = Net::plain();
    net.move_to(away(1));
    net.run(secs(1));
    net.agent = Agent::new(agent_config());
    forget(&mut net);
    net.return_home();
    net.run(secs(10));
    assert_eq!(net.sent(Party::Node, Kind::BindingUpdate).len(), 1);
    let expected = Event::Removed {
        peer: Peer::HomeAgent,
        reason: Reason::Deregistered,
    };
    assert!(events(&net).contains(&expected));
}

#[test]
fn an_agent_that_refuses_is_not_asked_again_before_the_next_move() {
    let agent = Agent::new(agent::Config {
        home_addresses: Some(Default::default()),
        ..agent_config()
    });
    let config = mobile::Config::new(HOME, AGENT);
    let mut net = Net::with(config, agent, Agent::new(map_config()));
    net.move_to(away(1));
    net.run(secs(100));
    assert_eq!(net.sent(Party::Node, Kind::BindingUpdate).len(), 1);
    let expected = Event::Rejected {
        peer: Peer::HomeAgent,
        status: Status::PROHIBITED,
    };
    assert_eq!(events(&net)[1..], [expected]);
    net.move_to(away(2));
    assert_eq!(net.sent(Party::Node, Kind::BindingUpdate).len(), 2);
}

#[test]
fn a_home_address_that_is_taken_is_never_registered_again() {
    let config = mobile::Config::new(HOME, AGENT);
    let mut net = Net::with(config, Agent::new(agent_config()), Agent::new(map_config()));
    net.move_to(away(1));
    net.run(ms(500));
    net.agent.address_in_use(HOME);
    net.run(secs(1));
    forget(&mut net);
    net.move_to(away(2));
    net.run(secs(100));
    assert!(net.log.is_empty());
    let expected = Event::Rejected {
        peer: Peer::HomeAgent,
        status: Status::DUPLICATE_ADDRESS,
    };
    assert_eq!(events(&net), [expected]);
}

#[test]
fn a_binding_error_of_the_home_agent_has_the_node_register_again() {
    let mut net = Net::plain();
    net.move_to(away(1));
    net.run(secs(1));
    forget(&mut net);
    let headers = Headers::between(AGENT, at_router(1));
    forge(&mut net, headers, &error(ErrorStatus::UNKNOWN_BINDING)).unwrap();
    assert_eq!(net.sent(Party::Node, Kind::BindingUpdate).len(), 1);
}

#[test]
fn who_is_not_in_the_list_is_not_listened_to() {
    let mut net = optimised(RouteOptimization::default());
    let stranger = "2001:db8:dead::1".parse().unwrap();
    let here = Headers::between(stranger, at_router(1));
    let home = Headers::between(stranger, HOME).through(AGENT, at_router(1));
    let cases = [
        (here, error(ErrorStatus::UNKNOWN_BINDING)),
        (here, error(ErrorStatus::UNKNOWN_TYPE)),
        (home, Message::BindingRefreshRequest),
        (
            here.to_home(HOME),
            Message::BindingAcknowledgement(BindingAcknowledgement::default()),
        ),
        (
            home,
            Message::HomeTest {
                nonce: NonceIndex(0),
                cookie: Cookie([0; 8]),
                token: KeygenToken([0; 8]),
            },
        ),
    ];
    for (headers, message) in cases {
        let result = forge(&mut net, headers, &message);
        assert_eq!(result, Err(Ignored::Stranger(stranger)), "{message:?}");
    }
    assert!(net.log.is_empty() && events(&net).is_empty());
}

#[test]
fn a_node_without_an_address_says_nothing() {
    let mut net = optimised(RouteOptimization::default());
    net.node.detach();
    net.link = None;
    net.run(secs(20_000));
    assert!(net.log.is_empty());
    let expired = |peer| Event::Removed {
        peer,
        reason: Reason::Expired,
    };
    assert_eq!(events(&net), [expired(CN), expired(Peer::HomeAgent)]);
    assert_eq!(net.node.poll_timeout(), None);
    net.move_to(away(2));
    net.run(secs(1));
    assert_eq!(net.node.bound_at(CN), Some(at_router(2)));
}

#[test]
fn moves_in_quick_succession_leave_the_last_one_and_no_more_than_three_messages_a_second() {
    let mut net = optimised(RouteOptimization::default());
    for number in 2..30 {
        net.move_to(away(number));
        net.run(ms(70));
    }
    net.run(secs(20));
    assert_eq!(net.agent.binding(HOME).unwrap().care_of, at_router(29));
    assert_eq!(
        net.correspondent.binding(HOME).unwrap().care_of,
        at_router(29)
    );
    assert_eq!(net.node.bound_at(CN), Some(at_router(29)));
    for kind in [
        Kind::BindingUpdate,
        Kind::HomeTestInit,
        Kind::CareOfTestInit,
    ] {
        for peer in [AGENT, CORRESPONDENT] {
            let times: Vec<Duration> = to(&net.sent(Party::Node, kind), peer)
                .iter()
                .map(|sent| sent.at)
                .collect();
            let windows = times.windows(4);
            assert!(
                windows.into_iter().all(|w| w[3] - w[0] >= secs(1)),
                "{kind:?}: {times:?}"
            );
        }
    }
}

#[test]
fn two_runs_from_one_seed_are_the_same_and_from_another_one_are_not() {
    let run = |seed: u64| {
        let config = mobile::Config::new(HOME, AGENT);
        let mut net = Net::new(config.clone());
        net.node = mip6::MobileNode::new(config, units::Seed(seed).rng(&["node"]));
        net.move_to(away(1));
        net.correspond();
        net.run(secs(1));
        net.move_to(away(2));
        net.run(secs(1000));
        let log = net.log.into_iter();
        log.map(|sent| (sent.at, sent.payload)).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn whatever_is_lost_the_parties_agree_in_the_end() {
    // Every message of the handover, one at a time, and every pair of them.
    let mut whole = optimised(RouteOptimization::default());
    whole.move_to(away(2));
    whole.run(secs(1));
    let all: Vec<(Party, Kind)> = whole
        .log
        .iter()
        .map(|sent| (sent.by, sent.message.kind()))
        .collect();
    assert_eq!(all.len(), 8, "{all:?}");
    for (first, lost) in all.iter().enumerate() {
        for also in &all[first..] {
            let mut net = optimised(RouteOptimization::default());
            net.lost = vec![*lost, *also];
            net.move_to(away(2));
            net.run(secs(30));
            let told = [
                net.agent.binding(HOME).map(|binding| binding.care_of),
                net.correspondent
                    .binding(HOME)
                    .map(|binding| binding.care_of),
                net.node.bound_at(Peer::HomeAgent),
                net.node.bound_at(CN),
            ];
            assert_eq!(told, [Some(at_router(2)); 4], "{lost:?} and {also:?}");
        }
    }
}

#[test]
fn the_agent_forwards_nothing_of_a_node_whose_binding_it_has_not() {
    // What the net's home agent does with tunnelled packets; the kernel does it with its tunnels.
    let mut net = optimised(RouteOptimization::default());
    net.lost = vec![(Party::Node, Kind::BindingUpdate)];
    net.move_to(away(2));
    net.run(ms(500));
    assert_eq!(net.sent(Party::Correspondent, Kind::HomeTest).len(), 0);
    net.run(secs(3));
    assert_eq!(net.sent(Party::Correspondent, Kind::HomeTest).len(), 1);
    let changes = net.correspondent_events.iter();
    let bound = changes.filter(|(_, change)| matches!(change, Change::Bound { .. }));
    assert_eq!(bound.count(), 2);
}

/// INET's issues on its Mobile IPv6, each a scenario that ours has to survive.
mod inet {
    use super::*;

    /// #1198: data to the home address is dropped until the acknowledgement although the home agent
    /// tunnels already. The owner is told of the care-of address when the update leaves.
    #[test]
    fn issue_1198_the_tunnel_is_used_from_the_update_on() {
        let mut net = Net::plain();
        net.move_to(away(1));
        let sent = Event::Sent {
            peer: Peer::HomeAgent,
            care_of: at_router(1),
        };
        assert_eq!(net.node_events, [(Duration::ZERO, sent)]);
    }

    /// #1134: the first registration repeated after 1 s, while the agent still checks the address.
    #[test]
    fn issue_1134_the_first_registration_is_not_repeated_during_the_check() {
        let config = mobile::Config::new(HOME, AGENT);
        let mut net = Net::with(config, Agent::new(agent_config()), Agent::new(map_config()));
        net.delay = |_, _| ms(200);
        net.move_to(away(1));
        net.run(secs(5));
        assert_eq!(net.sent(Party::Node, Kind::BindingUpdate).len(), 1);
    }

    /// #483: packets go round between home agent and node without end. A binding never leads to an
    /// address that is the agent's to forward.
    #[test]
    fn issue_483_no_binding_leads_back_to_the_agent() {
        let mut net = Net::plain();
        let inside = mobile::Attachment {
            address: "2001:db8:f::77".parse().unwrap(),
            map: None,
        };
        net.move_to(inside);
        net.run(secs(1));
        assert!(net.agent.binding(HOME).is_none());
        let expected = Event::Rejected {
            peer: Peer::HomeAgent,
            status: Status::INVALID_CARE_OF,
        };
        assert!(events(&net).contains(&expected));
    }
}
