//! A mobile node among its home agent, a mobility anchor point and a correspondent, by the rules of RFC
//! 6275 §11 and RFC 5380 §6.

mod support;

use std::time::Duration;

use machine::Machine;
use mip6::agent;
use mip6::cache::Change;
use mip6::codec::{
    BindingAcknowledgement, ErrorStatus, Kind, Lifetime, Message, MobilityOption, Status,
};
use mip6::mobile::{self, Event, Order, Peer, Reason, RouteOptimization, Start};
use mip6::rr::{Authenticator, Cookie, KeygenToken, NonceIndex};
use mip6::{Agent, Headers, Ignored};
use support::{
    AGENT, CORRESPONDENT, HOME, MAP, Net, Party, REGIONAL, Sent, agent_config, at_router, away,
    below_map, map_config, ms, secs, tunnel,
};
use units::Sequence;

const CN: Peer = Peer::Correspondent(CORRESPONDENT);

fn update_of(sent: &Sent) -> &mip6::codec::BindingUpdate {
    match &sent.message {
        Message::BindingUpdate(update) => update,
        other => panic!("{other:?}"),
    }
}

fn to(sent: &[&Sent], receiver: std::net::Ipv6Addr) -> Vec<Sent> {
    let sent = sent
        .iter()
        .filter(|sent| sent.headers.receiver() == receiver);
    sent.map(|sent| (*sent).clone()).collect()
}

/// A net in which the node is bound at its home agent and at the correspondent.
fn optimised(config: RouteOptimization) -> Net {
    let mut net = Net::new(mobile::Config {
        route_optimization: config,
        ..mobile::Config::new(HOME, AGENT)
    });
    net.move_to(away(1));
    net.run(secs(1));
    net.correspond();
    net.run(secs(1));
    assert_eq!(net.node.bound_at(CN), Some(at_router(1)));
    forget(&mut net);
    net
}

/// What has happened so far is not looked at.
fn forget(net: &mut Net) {
    net.log.clear();
    net.node_events.clear();
    net.ignored.clear();
}

fn events(net: &Net) -> Vec<Event> {
    net.node_events.iter().map(|(_, event)| *event).collect()
}

/// A message to the node that nobody in the net has sent.
fn forge(net: &mut Net, headers: Headers, message: &Message) -> Result<(), Ignored> {
    let payload = message.encode(&headers).unwrap();
    let result = net.node.handle_datagram(net.now, headers, &payload);
    net.run(Duration::ZERO);
    result
}

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
fn both_tests_leave_in_one_instant_behind_the_home_registration() {
    let mut net = optimised(RouteOptimization::default());
    let start = net.elapsed();
    net.move_to(away(2));
    let kinds: Vec<(Kind, Headers)> = net
        .log
        .iter()
        .map(|sent| (sent.message.kind(), sent.headers))
        .collect();
    let to_agent = Headers::between(at_router(2), AGENT).from_home(HOME);
    let home_test = Headers {
        tunnel: Some(tunnel(at_router(2))),
        ..Headers::between(HOME, CORRESPONDENT)
    };
    let care_of_test = Headers::between(at_router(2), CORRESPONDENT);
    let expected = [
        (Kind::BindingUpdate, to_agent),
        (Kind::HomeTestInit, home_test),
        (Kind::CareOfTestInit, care_of_test),
    ];
    assert_eq!(kinds, expected);
    assert!(net.log.iter().all(|sent| sent.at == start));
}

#[test]
fn a_correspondent_registration_has_the_form_of_section_11_7_2() {
    let mut net = optimised(RouteOptimization::default());
    net.move_to(away(2));
    net.run(secs(1));
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    let [update] = &to(&updates, CORRESPONDENT)[..] else {
        panic!("{updates:?}");
    };
    let headers = Headers::between(at_router(2), CORRESPONDENT).from_home(HOME);
    assert_eq!(update.headers, headers);
    let said = update_of(update);
    assert!(said.acknowledge && !said.home_registration && said.authenticator.is_some());
    assert_eq!(said.lifetime, Lifetime(105));
    assert_eq!((update.payload.len(), said.options.len()), (32, 1));
    let expected = [
        Event::Removed {
            peer: CN,
            reason: Reason::Moved,
        },
        Event::Sent {
            peer: Peer::HomeAgent,
            care_of: at_router(2),
        },
        Event::Testing {
            correspondent: CORRESPONDENT,
        },
        Event::Accepted {
            peer: Peer::HomeAgent,
            care_of: at_router(2),
            lifetime: Lifetime(900),
            status: Status::ACCEPTED,
        },
        Event::Sent {
            peer: CN,
            care_of: at_router(2),
        },
        Event::Accepted {
            peer: CN,
            care_of: at_router(2),
            lifetime: Lifetime(105),
            status: Status::ACCEPTED,
        },
    ];
    assert_eq!(events(&net), expected);
}

#[test]
fn the_update_to_a_correspondent_waits_for_the_home_agent() {
    let mut net = optimised(RouteOptimization::default());
    net.lost = vec![(Party::Agent, Kind::BindingAcknowledgement)];
    let start = net.elapsed().as_millis();
    net.move_to(away(2));
    net.run(secs(3));
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    let times: Vec<u128> = to(&updates, CORRESPONDENT)
        .iter()
        .map(|sent| sent.at.as_millis() - start)
        .collect();
    assert_eq!(times, [1040], "the tokens were there after 80 ms");
}

#[test]
fn an_update_to_a_correspondent_rests_while_the_home_agent_has_forgotten_the_node() {
    let mut net = optimised(RouteOptimization::default());
    net.lost = vec![(Party::Correspondent, Kind::BindingAcknowledgement)];
    net.move_to(away(2));
    net.run(ms(500));
    forget(&mut net);
    net.lost = vec![(Party::Agent, Kind::BindingAcknowledgement); 2];
    let headers = Headers::between(AGENT, at_router(2));
    forge(&mut net, headers, &error(ErrorStatus::UNKNOWN_BINDING)).unwrap();
    let start = net.elapsed();
    net.run(secs(20));
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    let waits = to(&updates, CORRESPONDENT)[0].at - start;
    assert_eq!(waits, ms(4540), "after the third answer of the home agent");
    assert_eq!(net.node.bound_at(CN), Some(at_router(2)));
}

#[test]
fn a_test_that_is_lost_is_repeated_with_a_new_cookie() {
    let mut net = optimised(RouteOptimization::default());
    net.lost = vec![
        (Party::Node, Kind::HomeTestInit),
        (Party::Correspondent, Kind::CareOfTest),
    ];
    net.move_to(away(2));
    net.run(secs(5));
    for kind in [Kind::HomeTestInit, Kind::CareOfTestInit] {
        let cookies: Vec<Cookie> = net
            .sent(Party::Node, kind)
            .iter()
            .map(|sent| match sent.message {
                Message::HomeTestInit { cookie } | Message::CareOfTestInit { cookie } => cookie,
                _ => unreachable!(),
            })
            .collect();
        assert_eq!(cookies.len(), 2, "{kind:?}");
        assert_ne!(cookies[0], cookies[1]);
    }
    assert_eq!(net.node.bound_at(CN), Some(at_router(2)));
}

#[test]
fn a_correspondent_that_never_answers_is_given_up_after_three_retransmissions() {
    let mut net = optimised(RouteOptimization::default());
    net.lost = vec![(Party::Correspondent, Kind::CareOfTest); 100];
    net.move_to(away(2));
    net.run(secs(100));
    assert_eq!(net.sent(Party::Node, Kind::CareOfTestInit).len(), 4);
    assert_eq!(
        net.node.bound_at(CN),
        Some(at_router(1)),
        "that it may still have"
    );
    // Tried again after the next move.
    net.lost.clear();
    net.move_to(away(3));
    net.run(secs(1));
    assert_eq!(net.node.bound_at(CN), Some(at_router(3)));
}

#[test]
fn without_acknowledgement_a_correspondent_is_told_once() {
    let mut net = optimised(RouteOptimization {
        acknowledge: false,
        ..RouteOptimization::default()
    });
    net.move_to(away(2));
    net.run(secs(10));
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    assert_eq!(to(&updates, CORRESPONDENT).len(), 1);
    assert_eq!(
        net.sent(Party::Correspondent, Kind::BindingAcknowledgement)
            .len(),
        0
    );
    assert_eq!(
        net.correspondent.binding(HOME).unwrap().care_of,
        at_router(2)
    );
}

#[test]
fn a_move_with_a_young_home_token_needs_no_home_test() {
    let mut net = optimised(RouteOptimization {
        reuse_tokens: true,
        ..RouteOptimization::default()
    });
    net.move_to(away(2));
    net.run(secs(1));
    assert_eq!(net.sent(Party::Node, Kind::HomeTestInit).len(), 0);
    assert_eq!(net.sent(Party::Node, Kind::CareOfTestInit).len(), 1);
    assert_eq!(net.node.bound_at(CN), Some(at_router(2)));
    // The home token of the beginning is 210 s old.
    net.run(secs(208));
    net.move_to(away(3));
    net.run(secs(1));
    assert_eq!(net.sent(Party::Node, Kind::HomeTestInit).len(), 1);
    assert_eq!(net.node.bound_at(CN), Some(at_router(3)));
}

#[test]
fn in_the_serial_order_the_care_of_test_follows_the_home_test() {
    let mut net = optimised(RouteOptimization {
        start: Start::AfterHomeAcknowledgement,
        order: Order::Serial,
        ..RouteOptimization::default()
    });
    let start = net.elapsed().as_millis();
    net.move_to(away(2));
    net.run(secs(1));
    let since = |kind| net.times(Party::Node, kind)[0] - start;
    assert_eq!(
        (since(Kind::HomeTestInit), since(Kind::CareOfTestInit)),
        (40, 120)
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
fn a_correspondents_binding_ends_with_the_home_agents() {
    let mut net = Net::new(mobile::Config {
        lifetime: secs(100),
        ..mobile::Config::new(HOME, AGENT)
    });
    net.move_to(away(1));
    net.run(secs(50));
    net.correspond();
    net.run(secs(1));
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    let told = to(&updates, CORRESPONDENT);
    assert_eq!(
        update_of(&told[0]).lifetime,
        Lifetime(12),
        "48 s of the 50 that are left"
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
    let answers = net.sent(Party::Agent, Kind::BindingAcknowledgement);
    let statuses: Vec<Status> = answers
        .iter()
        .map(|sent| match &sent.message {
            Message::BindingAcknowledgement(answer) => answer.status,
            _ => unreachable!(),
        })
        .collect();
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
fn a_correspondent_that_is_forgotten_deletes_its_binding_while_the_node_is_away() {
    let mut net = optimised(RouteOptimization::default());
    net.node.forget(net.now, CORRESPONDENT);
    net.run(secs(2));
    assert!(net.correspondent.binding(HOME).is_none());
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    let [deletion] = &to(&updates, CORRESPONDENT)[..] else {
        panic!("{updates:?}");
    };
    // "... or to the current care-of address if it is away from home."
    let headers = Headers::between(at_router(1), CORRESPONDENT).from_home(HOME);
    assert_eq!(deletion.headers, headers);
    assert_eq!(net.node.bound_at(CN), None);
    forget(&mut net);
    net.move_to(away(2));
    net.run(secs(2));
    assert_eq!(net.sent(Party::Node, Kind::HomeTestInit).len(), 0);
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
fn nonces_that_are_too_old_are_got_anew_and_no_others() {
    let mut net = optimised(RouteOptimization {
        reuse_tokens: true,
        ..RouteOptimization::default()
    });
    // The correspondent restarts: of the home nonce it knows nothing any more.
    let config = mip6::correspondent::Config::new(CORRESPONDENT);
    let rng = units::Seed(9).rng(&["restarted"]);
    net.correspondent = mip6::Correspondent::new(config, rng);
    net.move_to(away(2));
    net.run(secs(2));
    let answers = net.sent(Party::Correspondent, Kind::BindingAcknowledgement);
    let statuses: Vec<Status> = answers
        .iter()
        .map(|sent| match &sent.message {
            Message::BindingAcknowledgement(answer) => answer.status,
            _ => unreachable!(),
        })
        .collect();
    assert_eq!(statuses, [Status::HOME_NONCE, Status::ACCEPTED]);
    assert_eq!(net.sent(Party::Node, Kind::HomeTestInit).len(), 1);
    assert_eq!(net.sent(Party::Node, Kind::CareOfTestInit).len(), 1);
    assert_eq!(net.node.bound_at(CN), Some(at_router(2)));
}

fn error(status: ErrorStatus) -> Message {
    Message::BindingError {
        status,
        home_address: HOME,
    }
}

#[test]
fn a_binding_error_of_a_correspondent_ends_route_optimization_and_begins_it_again() {
    let mut net = optimised(RouteOptimization::default());
    let headers = Headers::between(CORRESPONDENT, at_router(1));
    forge(&mut net, headers, &error(ErrorStatus::UNKNOWN_BINDING)).unwrap();
    let expected = [
        Event::Removed {
            peer: CN,
            reason: Reason::Unknown,
        },
        Event::Testing {
            correspondent: CORRESPONDENT,
        },
    ];
    assert_eq!(events(&net), expected);
    net.run(secs(1));
    let sent = Event::Sent {
        peer: CN,
        care_of: at_router(1),
    };
    assert_eq!(events(&net)[2], sent);
    assert_eq!(net.node.bound_at(CN), Some(at_router(1)));
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
fn a_correspondent_without_route_optimization_is_left_alone() {
    for by_error in [true, false] {
        let mut net = optimised(RouteOptimization::default());
        net.lost = vec![(Party::Node, Kind::CareOfTestInit); 9];
        net.move_to(away(2));
        net.run(ms(500));
        forget(&mut net);
        if by_error {
            let headers = Headers::between(CORRESPONDENT, at_router(2));
            forge(&mut net, headers, &error(ErrorStatus::UNKNOWN_TYPE)).unwrap();
        } else {
            net.node.unsupported(CORRESPONDENT);
        }
        // Longer than its binding lasts.
        net.run(secs(500));
        assert_eq!(net.sent(Party::Node, Kind::CareOfTestInit).len(), 0);
        let expected = Event::Removed {
            peer: CN,
            reason: Reason::Unsupported,
        };
        assert_eq!(events(&net), [expected]);
        forget(&mut net);
        net.move_to(away(3));
        net.run(secs(5));
        assert_eq!(net.sent(Party::Node, Kind::HomeTestInit).len(), 0);
    }
    // Nothing is expected of it: the message is ignored.
    let mut net = optimised(RouteOptimization::default());
    let headers = Headers::between(CORRESPONDENT, at_router(1));
    let result = forge(&mut net, headers, &error(ErrorStatus::UNKNOWN_TYPE));
    assert_eq!(result, Err(Ignored::NotOutstanding));
    assert_eq!(net.node.bound_at(CN), Some(at_router(1)));
}

#[test]
fn a_refresh_request_begins_the_tests() {
    let mut net = optimised(RouteOptimization::default());
    net.correspondent.request_refresh(HOME);
    net.run(secs(1));
    assert_eq!(net.sent(Party::Node, Kind::HomeTestInit).len(), 1);
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    assert_eq!(to(&updates, CORRESPONDENT).len(), 1);
    assert!(
        events(&net)
            .iter()
            .all(|event| !matches!(event, Event::Removed { .. }))
    );
}

#[test]
fn a_refresh_that_comes_due_while_nobody_answers_is_not_begun_behind_the_last_attempt() {
    let mut net = optimised(RouteOptimization::default());
    net.run(secs(380));
    assert!(net.log.is_empty());
    // Due at 388 s; this attempt lasts until 395 s.
    net.correspondent.request_refresh(HOME);
    net.lost = vec![(Party::Correspondent, Kind::CareOfTest); 100];
    net.run(secs(35));
    assert_eq!(net.sent(Party::Node, Kind::CareOfTestInit).len(), 4);
    let silent = Event::Removed {
        peer: CN,
        reason: Reason::Silent,
    };
    assert!(events(&net).contains(&silent));
}

#[test]
fn a_home_test_counts_only_from_the_tunnel_and_with_its_cookie() {
    let mut net = optimised(RouteOptimization::default());
    net.lost = vec![
        (Party::Correspondent, Kind::HomeTest),
        (Party::Correspondent, Kind::CareOfTest),
    ];
    net.move_to(away(2));
    net.run(ms(500));
    let cookie_of = |kind| match net.sent(Party::Node, kind)[0].message {
        Message::HomeTestInit { cookie } | Message::CareOfTestInit { cookie } => cookie,
        _ => unreachable!(),
    };
    let (home, care_of) = (
        cookie_of(Kind::HomeTestInit),
        cookie_of(Kind::CareOfTestInit),
    );
    let home_test = |cookie| Message::HomeTest {
        nonce: NonceIndex(0),
        cookie,
        token: KeygenToken([0; 8]),
    };
    let care_of_test = |cookie| Message::CareOfTest {
        nonce: NonceIndex(0),
        cookie,
        token: KeygenToken([0; 8]),
    };
    let to_home = Headers::between(CORRESPONDENT, HOME);
    let tunnelled = to_home.through(AGENT, at_router(2));
    let here = Headers::between(CORRESPONDENT, at_router(2));
    let there = Headers::between(CORRESPONDENT, at_router(1));
    let cases = [
        (to_home, home_test(home), Ignored::NotTunnelled),
        (
            to_home.through(CORRESPONDENT, at_router(2)),
            home_test(home),
            Ignored::NotTunnelled,
        ),
        (tunnelled, home_test(care_of), Ignored::NotOutstanding),
        (here, home_test(home), Ignored::Receiver(at_router(2))),
        (here, care_of_test(home), Ignored::NotOutstanding),
        (tunnelled, care_of_test(care_of), Ignored::Receiver(HOME)),
        (
            there,
            care_of_test(care_of),
            Ignored::Receiver(at_router(1)),
        ),
    ];
    for (headers, message, expected) in cases {
        assert_eq!(forge(&mut net, headers, &message), Err(expected));
    }
    // The right ones count, once.
    forge(&mut net, tunnelled, &home_test(home)).unwrap();
    let again = forge(&mut net, tunnelled, &home_test(home));
    assert_eq!(again, Err(Ignored::NotOutstanding));
    forge(&mut net, here, &care_of_test(care_of)).unwrap();
}

#[test]
fn an_acknowledgement_counts_only_with_its_number_and_its_authenticator() {
    let mut net = optimised(RouteOptimization::default());
    net.lost = vec![(Party::Correspondent, Kind::BindingAcknowledgement)];
    net.move_to(away(2));
    net.run(ms(500));
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    let sequence = update_of(&to(&updates, CORRESPONDENT)[0]).sequence;
    let headers = Headers::between(CORRESPONDENT, at_router(2)).to_home(HOME);
    let answer = |sequence, authenticator| {
        Message::BindingAcknowledgement(BindingAcknowledgement {
            sequence,
            lifetime: Lifetime(100),
            authenticator,
            ..BindingAcknowledgement::default()
        })
    };
    let wrong = Some(Authenticator([0; 12]));
    let cases = [
        (answer(sequence, None), Ignored::NotAuthorized),
        (answer(sequence, wrong), Ignored::Authenticator),
        (answer(sequence.next(), wrong), Ignored::NotOutstanding),
    ];
    for (message, expected) in cases {
        assert_eq!(forge(&mut net, headers, &message), Err(expected));
    }
    let refusal = |status| {
        Message::BindingAcknowledgement(BindingAcknowledgement {
            status,
            sequence,
            ..BindingAcknowledgement::default()
        })
    };
    // "If the Status field value is 135 but the Binding Acknowledgement does not pass authentication,
    // the message MUST be silently ignored."
    for status in [Status::SEQUENCE, Status::PROHIBITED] {
        let result = forge(&mut net, headers, &refusal(status));
        assert_eq!(result, Err(Ignored::NotAuthorized));
    }
    assert_eq!(net.node.bound_at(CN), Some(at_router(1)));
    // Of the home agent's, a second one.
    let home = Headers::between(AGENT, at_router(2)).to_home(HOME);
    let result = forge(&mut net, home, &answer(sequence, None));
    assert_eq!(result, Err(Ignored::NotOutstanding));
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
fn a_node_enters_a_domain_moves_in_it_and_leaves_it() {
    let mut net = Net::plain();
    net.move_to(below_map(1));
    net.run(secs(1));
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    let [local, home] = &updates[..] else {
        panic!("{updates:?}");
    };
    assert_eq!(
        local.headers,
        Headers::between(at_router(1), MAP).from_home(REGIONAL)
    );
    let said = update_of(local);
    assert!(said.acknowledge && said.map_registration && !said.home_registration);
    assert_eq!((said.options.len(), local.payload.len()), (0, 16));
    // Not before the anchor point has answered, from the regional address, and for no longer.
    assert_eq!(home.at, ms(40));
    assert_eq!(
        home.headers,
        Headers::between(REGIONAL, AGENT).from_home(HOME)
    );
    assert_eq!(update_of(home).lifetime, Lifetime(899), "3600 s less 40 ms");
    net.correspond();
    net.run(secs(1));
    assert_eq!(net.node.bound_at(CN), Some(REGIONAL));
    forget(&mut net);

    net.move_to(below_map(2));
    net.run(secs(1));
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    assert_eq!(
        (updates.len(), net.log.len()),
        (1, 2),
        "an update and its acknowledgement"
    );
    assert_eq!(net.map.binding(REGIONAL).unwrap().care_of, at_router(2));
    assert_eq!(net.node.bound_at(CN), Some(REGIONAL));
    forget(&mut net);

    net.move_to(away(3));
    net.run(secs(1));
    // The anchor point that it has left forwards what comes.
    assert_eq!(net.map.binding(REGIONAL).unwrap().care_of, at_router(3));
    assert_eq!(net.agent.binding(HOME).unwrap().care_of, at_router(3));
    assert_eq!(
        net.correspondent.binding(HOME).unwrap().care_of,
        at_router(3)
    );
    forget(&mut net);
    net.run(secs(3600));
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    assert_eq!(to(&updates, MAP).len(), 0, "and is not kept up");
    assert!(net.map.binding(REGIONAL).is_none());
}

#[test]
fn an_acknowledgement_of_an_anchor_point_without_its_routing_header_is_ignored() {
    let mut net = Net::plain();
    net.lost = vec![(Party::Map, Kind::BindingAcknowledgement)];
    net.move_to(below_map(1));
    net.run(ms(500));
    let sequence = update_of(net.sent(Party::Node, Kind::BindingUpdate)[0]).sequence;
    let answer = Message::BindingAcknowledgement(BindingAcknowledgement {
        sequence,
        lifetime: Lifetime(100),
        ..BindingAcknowledgement::default()
    });
    let headers = Headers::between(MAP, at_router(1));
    let result = forge(&mut net, headers, &answer);
    assert_eq!(result, Err(Ignored::NoRoutingHeader));
    forge(&mut net, headers.to_home(REGIONAL), &answer).unwrap();
    let map = Peer::MobilityAnchorPoint(MAP);
    assert_eq!(net.node.bound_at(map), Some(at_router(1)));
}

#[test]
fn bindings_through_an_anchor_point_are_kept_up() {
    let mut net = Net::plain();
    net.move_to(below_map(1));
    net.run(secs(1));
    net.correspond();
    net.run(secs(1));
    // Routers advertise the anchor point, so that it stays valid.
    for _ in 0..40 {
        net.run(secs(500));
        net.move_to(below_map(1));
        net.run(secs(1));
        assert_eq!(
            net.map.binding(REGIONAL).map(|b| b.care_of),
            Some(at_router(1))
        );
        assert_eq!(net.agent.binding(HOME).map(|b| b.care_of), Some(REGIONAL));
        assert_eq!(
            net.correspondent.binding(HOME).map(|b| b.care_of),
            Some(REGIONAL)
        );
    }
    let lost = |event: &Event| matches!(event, Event::Removed { .. });
    assert!(!events(&net).iter().any(lost));
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
