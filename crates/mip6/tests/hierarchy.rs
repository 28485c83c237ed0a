//! A mobile node below a mobility anchor point, by the rules of RFC 5380 §6.

use std::time::Duration;

use crate::support::node::{CN, events, forge, forget, to, update_of};
use crate::support::{
    AGENT, HOME, MAP, Net, OTHER_MAP, OTHER_REGIONAL, Party, REGIONAL, at_router, away, below_map,
    below_other, ms, secs,
};
use mip6::codec::{BindingAcknowledgement, Kind, Lifetime, Message, Status};
use mip6::mobile::{Event, Peer};
use mip6::{Headers, Ignored};

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
fn an_anchor_point_whose_option_has_no_lifetime_is_not_asked() {
    let mut net = Net::plain();
    let mut attachment = below_map(1);
    attachment.map.as_mut().unwrap().valid_lifetime = Duration::ZERO;
    net.move_to(attachment);
    net.run(secs(100));
    assert!(net.log.is_empty());
}

/// What the node was asked to do with its way, of the anchor points and the home agent.
fn told(net: &Net) -> Vec<(Peer, std::net::Ipv6Addr)> {
    let sent = events(net).into_iter().filter_map(|event| match event {
        Event::Sent { peer, care_of } => Some((peer, care_of)),
        _ => None,
    });
    sent.collect()
}

#[test]
fn in_another_domain_the_anchor_point_before_forwards_what_is_under_way() {
    let mut net = Net::plain();
    net.move_to(below_map(1));
    net.run(secs(1));
    assert_eq!(net.node.previous_map(), None);
    forget(&mut net);
    net.move_to(below_other(3));
    net.run(secs(1));
    let (map, other) = (
        Peer::MobilityAnchorPoint(MAP),
        Peer::MobilityAnchorPoint(OTHER_MAP),
    );
    // Both anchor points at once, and the home agent when the new one has answered.
    let expected = [
        (other, at_router(3)),
        (map, at_router(3)),
        (Peer::HomeAgent, OTHER_REGIONAL),
    ];
    assert_eq!(told(&net), expected);
    let updates = net.sent(Party::Node, Kind::BindingUpdate);
    let [new, previous, home] = &updates[..] else {
        panic!("{updates:?}");
    };
    assert_eq!((new.at, previous.at), (secs(1), secs(1)));
    let from_home = Headers::between(at_router(3), MAP).from_home(REGIONAL);
    assert_eq!(previous.headers, from_home);
    assert!(
        update_of(previous).lifetime < Lifetime(900),
        "no more than it had"
    );
    assert_eq!(home.at, secs(1) + ms(40));
    assert_eq!(net.map.binding(REGIONAL).unwrap().care_of, at_router(3));
    assert_eq!(net.agent.binding(HOME).unwrap().care_of, OTHER_REGIONAL);
    assert_eq!(net.node.previous_map(), Some((MAP, REGIONAL)));

    // Nobody sends by way of it any more, so that it is not told of the next move in the domain; back in its
    // own it is the other one that forwards.
    net.move_to(below_other(4));
    net.run(secs(1));
    assert_eq!(net.map.binding(REGIONAL).unwrap().care_of, at_router(3));
    assert_eq!(net.node.previous_map(), None);
    net.move_to(below_map(2));
    net.run(secs(1));
    assert_eq!(net.node.previous_map(), Some((OTHER_MAP, OTHER_REGIONAL)));
    let forwards = net.other_map.binding(OTHER_REGIONAL).unwrap().care_of;
    assert_eq!(forwards, at_router(2));
    assert_eq!(net.agent.binding(HOME).unwrap().care_of, REGIONAL);
    // It goes on with the numbers that it had there, and the home agent waits for the anchor point as before.
    assert!(
        net.statuses(Party::Map)
            .iter()
            .all(|status| status.is_accepted())
    );
    let mut home = net.sent(Party::Node, Kind::BindingUpdate).into_iter();
    let last = home.rfind(|sent| sent.headers.destination == AGENT);
    assert_eq!(last.unwrap().at, secs(3) + ms(40));
    net.run(secs(3600));
    assert_eq!(net.node.previous_map(), None, "it is not kept up");
}

#[test]
fn an_anchor_point_that_never_answered_does_not_take_the_place_of_the_one_that_forwards() {
    let mut net = Net::plain();
    net.move_to(below_map(1));
    net.run(secs(1));
    net.lost = vec![(Party::OtherMap, Kind::BindingAcknowledgement)];
    net.move_to(below_other(3));
    net.run(ms(500));
    net.move_to(away(5));
    net.run(secs(1));
    assert_eq!(net.node.previous_map(), Some((MAP, REGIONAL)));
    assert_eq!(net.map.binding(REGIONAL).unwrap().care_of, at_router(5));
}

#[test]
fn an_anchor_point_that_refuses_links_of_other_domains_is_not_asked_again() {
    let role = mip6::agent::Role::MobilityAnchorPoint {
        access_prefixes: vec!["2001:db8:1::/64".parse().unwrap()],
    };
    let map = mip6::Agent::new(mip6::agent::Config {
        role,
        dad: Duration::ZERO,
        ..crate::support::map_config()
    });
    let agent = mip6::Agent::new(mip6::agent::Config {
        dad: Duration::ZERO,
        ..crate::support::agent_config()
    });
    let mut net = Net::with(mip6::mobile::Config::new(HOME, AGENT), agent, map);
    net.move_to(below_map(1));
    net.run(secs(1));
    forget(&mut net);
    net.move_to(below_other(3));
    net.run(secs(1));
    assert_eq!(net.statuses(Party::Map), [Status::PROHIBITED]);
    assert_eq!(net.node.previous_map(), None);
    assert_eq!(net.map.binding(REGIONAL).unwrap().care_of, at_router(1));
    // What matters goes on.
    assert_eq!(net.agent.binding(HOME).unwrap().care_of, OTHER_REGIONAL);
    net.move_to(below_other(4));
    net.run(secs(1));
    assert_eq!(net.statuses(Party::Map).len(), 1);
}

#[test]
fn as_long_as_the_home_agent_has_not_heard_the_anchor_point_before_follows_every_move() {
    let mut net = Net::plain();
    net.move_to(below_map(1));
    net.run(secs(1));
    net.lost = vec![(Party::Node, Kind::BindingUpdate); 2];
    net.move_to(below_other(3));
    assert!(net.lost.is_empty(), "neither anchor point has heard");
    net.move_to(below_other(4));
    net.run(ms(50));
    assert_eq!(net.map.binding(REGIONAL).unwrap().care_of, at_router(4));
    assert_eq!(net.agent.binding(HOME).unwrap().care_of, REGIONAL);
}

#[test]
fn an_anchor_point_that_answered_and_that_nobody_was_told_of_takes_nobodys_place() {
    let mut net = Net::plain();
    net.move_to(below_map(1));
    net.run(secs(1));
    // The local update gets through, the one to the home agent behind it does not.
    net.move_to(below_other(3));
    net.run(ms(30));
    net.lost = vec![(Party::Node, Kind::BindingUpdate)];
    net.run(ms(100));
    assert!(net.lost.is_empty(), "the home agent has not heard");
    assert_eq!(net.agent.binding(HOME).unwrap().care_of, REGIONAL);
    net.move_to(away(5));
    net.run(ms(50));
    assert_eq!(net.map.binding(REGIONAL).unwrap().care_of, at_router(5));
}

#[test]
fn a_node_that_comes_back_to_a_domain_goes_on_with_its_numbers() {
    let mut net = Net::plain();
    for at in [below_map(1), away(3), below_map(2), away(3), below_map(1)] {
        net.move_to(at);
        net.run(secs(1));
    }
    let answers = net.sent(Party::Map, Kind::BindingAcknowledgement);
    assert_eq!(answers.len(), 5, "two of them to the node that had left");
    let is_accepted = |message: &Message| match message {
        Message::BindingAcknowledgement(answer) => answer.status.is_accepted(),
        _ => false,
    };
    assert!(answers.iter().all(|sent| is_accepted(&sent.message)));
    assert_eq!(net.agent.binding(HOME).unwrap().care_of, REGIONAL);
}
