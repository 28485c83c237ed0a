//! A mobile node and its correspondent, by the rules of RFC 6275 §11.6 and §11.7.2.

use crate::support::node::{CN, error, events, forge, forget, optimised, to, update_of};
use crate::support::{AGENT, CORRESPONDENT, HOME, Net, Party, at_router, away, ms, secs, tunnel};
use mip6::codec::{BindingAcknowledgement, ErrorStatus, Kind, Lifetime, Message, Status};
use mip6::mobile::{self, Event, Order, Peer, Reason, RouteOptimization, Start};
use mip6::rr::{Authenticator, Cookie, KeygenToken, NonceIndex};
use mip6::{Headers, Ignored};

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
    let statuses = net.statuses(Party::Correspondent);
    assert_eq!(statuses, [Status::HOME_NONCE, Status::ACCEPTED]);
    assert_eq!(net.sent(Party::Node, Kind::HomeTestInit).len(), 1);
    assert_eq!(net.sent(Party::Node, Kind::CareOfTestInit).len(), 1);
    assert_eq!(net.node.bound_at(CN), Some(at_router(2)));
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
fn the_list_has_room_for_so_many_and_none_that_is_no_correspondent() {
    let mut net = Net::new(mobile::Config {
        max_correspondents: 2,
        ..mobile::Config::new(HOME, AGENT)
    });
    net.move_to(away(1));
    let now = net.now;
    for nobody in ["ff02::1", "fe80::1", "::", "2001:db8:f::5", "2001:db8:f::1"] {
        assert!(
            !net.node.correspond(now, nobody.parse().unwrap()),
            "{nobody}"
        );
    }
    let of = |number: u16| std::net::Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, number);
    assert!(net.node.correspond(now, of(1)) && net.node.correspond(now, of(2)));
    assert!(!net.node.correspond(now, of(3)) && net.node.correspond(now, of(2)));
    // One that has no binding is forgotten at once.
    net.node.forget(now, of(2));
    assert!(net.node.correspond(now, of(3)));
}
