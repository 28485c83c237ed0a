//! A mobile node below a mobility anchor point, by the rules of RFC 5380 §6.

mod support;

use std::time::Duration;

use mip6::codec::{BindingAcknowledgement, Kind, Lifetime, Message};
use mip6::mobile::{Event, Peer};
use mip6::{Headers, Ignored};
use support::node::{CN, events, forge, forget, to, update_of};
use support::{AGENT, HOME, MAP, Net, Party, REGIONAL, at_router, away, below_map, ms, secs};

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
