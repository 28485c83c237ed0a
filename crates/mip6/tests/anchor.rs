//! A local mobility anchor, by the rules of RFC 5213 §5.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::Duration;

use crate::support::proxy::{ANCHOR, link_layer, node, pool, prefix, start};
use crate::support::{at_router, ms, secs};
use ipnet::Ipv6Net;
use machine::Machine;
use mip6::codec::{
    AccessTechnology, BindingAcknowledgement, BindingUpdate, HandoffIndicator, Lifetime,
    LinkLayerId, Message, MobilityOption, NodeId, Status, Timestamp,
};
use mip6::proxy::anchor::{self, Policy};
use mip6::{Anchor, Headers, Ignored};
use units::{Sequence, SimTime};

/// An anchor and what gateways say to it.
struct World {
    anchor: Anchor,
    now: SimTime,
}

/// What an update says; the rest is as it should be.
#[derive(Clone)]
struct Ask {
    gateway: Ipv6Addr,
    lifetime: u16,
    sequence: u16,
    options: Vec<MobilityOption>,
}

impl World {
    fn new(config: anchor::Config) -> World {
        World {
            anchor: Anchor::new(config),
            now: start(),
        }
    }

    fn plain() -> World {
        World::new(anchor::Config::new(ANCHOR, pool()))
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.anchor.handle_timeout(self.now);
    }

    /// An update with all mandatory options, a timestamp and a link-layer identifier.
    fn ask(&self, router: u16, handoff: HandoffIndicator) -> Ask {
        Ask {
            gateway: at_router(router),
            lifetime: 100,
            sequence: 7,
            options: vec![
                MobilityOption::NodeId(node()),
                MobilityOption::HomeNetworkPrefix("::/0".parse().unwrap()),
                MobilityOption::Handoff(handoff),
                MobilityOption::AccessTechnology(AccessTechnology::ETHERNET),
                MobilityOption::Timestamp(Timestamp::of(self.now)),
                MobilityOption::LinkLayerId(link_layer()),
            ],
        }
    }

    fn hear(&mut self, ask: &Ask) -> Result<(), Ignored> {
        let update = BindingUpdate {
            sequence: Sequence(ask.sequence),
            acknowledge: true,
            proxy_registration: true,
            lifetime: Lifetime(ask.lifetime),
            options: ask.options.clone(),
            ..BindingUpdate::default()
        };
        let headers = Headers::between(ask.gateway, ANCHOR);
        let payload = Message::BindingUpdate(update).encode(&headers).unwrap();
        self.anchor.handle_datagram(self.now, headers, &payload)
    }

    fn answer(&mut self) -> Option<(Headers, BindingAcknowledgement)> {
        let transmit = self.anchor.poll_transmit()?;
        match Message::decode(&transmit.to, &transmit.payload).unwrap() {
            Message::BindingAcknowledgement(answer) => Some((transmit.to, answer)),
            other => panic!("{other:?}"),
        }
    }

    /// The answer to an update, whose form is checked (§5.3.6).
    fn say(&mut self, ask: &Ask) -> BindingAcknowledgement {
        self.hear(ask).unwrap();
        let (to, answer) = self.answer().expect("an answer");
        // "The Type 2 Routing header MUST NOT be present."
        assert_eq!(to, Headers::between(ANCHOR, ask.gateway));
        assert!(answer.proxy_registration);
        if answer.status != Status::SEQUENCE {
            assert_eq!(answer.sequence, Sequence(ask.sequence));
        }
        let has = |wanted: fn(&MobilityOption) -> bool| answer.options.iter().any(wanted);
        assert!(has(|option| matches!(option, MobilityOption::NodeId(_))));
        assert!(has(|option| matches!(
            option,
            MobilityOption::HomeNetworkPrefix(_)
        )));
        assert!(has(|option| matches!(option, MobilityOption::Handoff(_))));
        assert!(has(|option| matches!(
            option,
            MobilityOption::AccessTechnology(_)
        )));
        answer
    }

    fn status(&mut self, ask: &Ask) -> Status {
        self.say(ask).status
    }

    fn events(&mut self) -> Vec<anchor::Event> {
        std::iter::from_fn(|| self.anchor.poll_event()).collect()
    }

    /// Prefixes and the gateways that they lead to.
    fn sessions(&self) -> Vec<(Ipv6Net, Ipv6Addr)> {
        let all = self.anchor.sessions();
        all.map(|(prefix, session)| (prefix, session.gateway))
            .collect()
    }
}

impl Ask {
    /// Without the options that a predicate names.
    fn without(&self, named: fn(&MobilityOption) -> bool) -> Ask {
        let kept = self.options.iter().filter(|option| !named(option));
        Ask {
            options: kept.cloned().collect(),
            ..self.clone()
        }
    }

    fn with(&self, option: MobilityOption) -> Ask {
        let mut ask = self.clone();
        ask.options.push(option);
        ask
    }

    /// With these prefixes instead of ALL_ZERO.
    fn for_prefixes(&self, prefixes: &[Ipv6Net]) -> Ask {
        let all = prefixes
            .iter()
            .map(|p| MobilityOption::HomeNetworkPrefix(*p));
        let mut ask = self.without(|option| matches!(option, MobilityOption::HomeNetworkPrefix(_)));
        ask.options.extend(all);
        ask
    }
}

fn assigned(answer: &BindingAcknowledgement) -> Vec<Ipv6Net> {
    let options = answer.options.iter();
    let prefixes = options.filter_map(|option| match option {
        MobilityOption::HomeNetworkPrefix(prefix) => Some(*prefix),
        _ => None,
    });
    prefixes.collect()
}

#[test]
fn a_node_gets_a_prefix_and_keeps_it_at_the_next_gateway() {
    let mut world = World::plain();
    let first = world.ask(1, HandoffIndicator::NEW_INTERFACE);
    let answer = world.say(&first);
    assert_eq!(
        (answer.status, answer.lifetime),
        (Status::ACCEPTED, Lifetime(100))
    );
    assert_eq!(assigned(&answer), [prefix(0)]);
    // What has to come back as it was sent does.
    for option in [
        MobilityOption::NodeId(node()),
        MobilityOption::Handoff(HandoffIndicator::NEW_INTERFACE),
        MobilityOption::LinkLayerId(link_layer()),
        MobilityOption::Timestamp(Timestamp::of(start())),
    ] {
        assert!(answer.options.contains(&option), "{option:?}");
    }
    world.pass(secs(1));
    let second = world.ask(2, HandoffIndicator::BETWEEN_GATEWAYS);
    assert_eq!(assigned(&world.say(&second)), [prefix(0)]);
    assert_eq!(world.sessions(), [(prefix(0), at_router(2))]);
    let bound = |router, previous| anchor::Event::Bound {
        node: node(),
        prefix: prefix(0),
        gateway: at_router(router),
        previous,
        lifetime: Lifetime(100),
    };
    assert_eq!(
        world.events(),
        [bound(1, None), bound(2, Some(at_router(1)))]
    );
}

#[test]
fn an_option_that_is_missing_is_named() {
    let mut world = World::plain();
    let ask = world.ask(1, HandoffIndicator::NEW_INTERFACE);
    type Named = fn(&MobilityOption) -> bool;
    let cases: [(Named, Status); 4] = [
        (
            |o| matches!(o, MobilityOption::NodeId(_)),
            Status::NO_NODE_ID,
        ),
        (
            |o| matches!(o, MobilityOption::HomeNetworkPrefix(_)),
            Status::NO_PREFIX,
        ),
        (
            |o| matches!(o, MobilityOption::Handoff(_)),
            Status::NO_HANDOFF,
        ),
        (
            |o| matches!(o, MobilityOption::AccessTechnology(_)),
            Status::NO_ACCESS_TECHNOLOGY,
        ),
    ];
    for (named, status) in cases {
        let answer = world.say(&ask.without(named));
        assert_eq!(answer.status, status);
    }
    // "The identifier ... MUST be set to a zero length identifier."
    let answer = world.say(&ask.without(|o| matches!(o, MobilityOption::NodeId(_))));
    assert!(
        answer
            .options
            .contains(&MobilityOption::NodeId(NodeId(Vec::new())))
    );
    assert_eq!((world.sessions(), world.events()), (vec![], vec![]));
}

#[test]
fn nodes_and_gateways_that_are_not_to_be_served_are_refused() {
    let named = |name: &str| NodeId(name.as_bytes().to_vec());
    let policy = |enabled| Policy {
        enabled,
        prefix: None,
    };
    let own = Policy {
        enabled: true,
        prefix: Some(prefix(0)),
    };
    let nodes = [
        (named("off"), policy(false)),
        (node(), policy(true)),
        (named("own"), own),
    ];
    let mut world = World::new(anchor::Config {
        nodes: Some(BTreeMap::from(nodes)),
        gateways: Some(BTreeSet::from([at_router(1)])),
        max_sessions: 2,
        ..anchor::Config::new(ANCHOR, pool())
    });
    let of = |world: &World, name: &str, router| {
        let ask = world.ask(router, HandoffIndicator::NEW_INTERFACE);
        let ask = ask.without(|option| matches!(option, MobilityOption::NodeId(_)));
        ask.with(MobilityOption::NodeId(named(name)))
    };
    let foreign = of(&world, "sensor", 2);
    assert_eq!(world.status(&foreign), Status::GATEWAY_NOT_AUTHORIZED);
    // Nor may one lead the tunnel elsewhere (§5.3.1, §6.9.1.5).
    let elsewhere = of(&world, "sensor", 1).with(MobilityOption::AlternateCareOf(at_router(2)));
    assert_eq!(world.status(&elsewhere), Status::GATEWAY_NOT_AUTHORIZED);
    let itself = of(&world, "sensor", 1).with(MobilityOption::AlternateCareOf(at_router(1)));
    assert_eq!(
        world.status(&itself.for_prefixes(&[prefix(0)])),
        Status::PREFIX_NOT_AUTHORIZED
    );
    let stranger = of(&world, "stranger", 1);
    assert_eq!(world.status(&stranger), Status::NOT_ANCHOR);
    let off = of(&world, "off", 1);
    assert_eq!(world.status(&off), Status::PROXY_NOT_ENABLED);
    // Prefixes: one's own, one of the pool, none of anybody else's.
    let sensor = of(&world, "sensor", 1);
    let reserved = sensor.for_prefixes(&[prefix(0)]);
    assert_eq!(world.status(&reserved), Status::PREFIX_NOT_AUTHORIZED);
    let outside = sensor.for_prefixes(&["2001:db8:e::/64".parse().unwrap()]);
    assert_eq!(world.status(&outside), Status::PREFIX_NOT_AUTHORIZED);
    let two = sensor.for_prefixes(&[prefix(3), prefix(4)]);
    assert_eq!(world.status(&two), Status::PREFIX_NOT_AUTHORIZED);
    assert_eq!(assigned(&world.say(&sensor)), [prefix(1)], "0 is reserved");
    let own = of(&world, "own", 1);
    assert_eq!(assigned(&world.say(&own)), [prefix(0)]);
    world.pass(ms(1));
    let again = of(&world, "sensor", 1).without(|o| matches!(o, MobilityOption::LinkLayerId(_)));
    assert_eq!(world.status(&again), Status::INSUFFICIENT);
    assert_eq!(world.sessions().len(), 2);
}

#[test]
fn prefixes_of_others_or_other_sets_are_refused() {
    let mut world = World::plain();
    let ask = world.ask(1, HandoffIndicator::NEW_INTERFACE);
    world.say(&ask);
    world.pass(ms(1));
    let ask = world.ask(1, HandoffIndicator::UNCHANGED);
    let more = ask.for_prefixes(&[prefix(0), prefix(1)]);
    assert_eq!(world.status(&more), Status::PREFIX_SET);
    let other = ask
        .without(|option| matches!(option, MobilityOption::NodeId(_)))
        .with(MobilityOption::NodeId(NodeId(b"other".to_vec())))
        .for_prefixes(&[prefix(0)]);
    assert_eq!(world.status(&other), Status::PREFIX_NOT_AUTHORIZED);
    assert_eq!(
        world.status(&ask.for_prefixes(&[prefix(0)])),
        Status::ACCEPTED
    );
}

#[test]
fn timestamps_order_what_gateways_say() {
    let mut world = World::plain();
    let late = world.ask(1, HandoffIndicator::BETWEEN_GATEWAYS);
    world.pass(ms(100));
    let ask = world.ask(2, HandoffIndicator::NEW_INTERFACE);
    world.say(&ask);
    // What the gateway before has sent earlier, and arrives later.
    let answer = world.say(&late);
    assert_eq!(answer.status, Status::TIMESTAMP_LOWER);
    let now = MobilityOption::Timestamp(Timestamp::of(world.now));
    assert!(answer.options.contains(&now), "its own time");
    assert_eq!(world.sessions(), [(prefix(0), at_router(2))]);
    assert_eq!(
        world.status(&ask),
        Status::TIMESTAMP_LOWER,
        "the same once more"
    );
    // Clocks apart: 300 ms are the most.
    let ask = |world: &World, ahead| {
        let ask = world.ask(1, HandoffIndicator::BETWEEN_GATEWAYS);
        let ask = ask.without(|option| matches!(option, MobilityOption::Timestamp(_)));
        ask.with(MobilityOption::Timestamp(Timestamp::of(world.now + ahead)))
    };
    let wrong = ask(&world, ms(301));
    assert_eq!(world.status(&wrong), Status::TIMESTAMP_MISMATCH);
    let right = ask(&world, ms(299));
    assert_eq!(world.status(&right), Status::ACCEPTED);
}

#[test]
fn without_timestamps_numbers_order_them() {
    let mut world = World::plain();
    let numbered = |world: &World, router, sequence| Ask {
        sequence,
        ..world
            .ask(router, HandoffIndicator::BETWEEN_GATEWAYS)
            .without(|option| matches!(option, MobilityOption::Timestamp(_)))
    };
    let first = numbered(&world, 1, 9);
    assert_eq!(world.status(&first), Status::ACCEPTED);
    let old = numbered(&world, 2, 9);
    let answer = world.say(&old);
    assert_eq!(
        (answer.status, answer.sequence),
        (Status::SEQUENCE, Sequence(9))
    );
    let timestamp = |option: &MobilityOption| matches!(option, MobilityOption::Timestamp(_));
    assert!(!answer.options.iter().any(timestamp));
    let new = numbered(&world, 2, 10);
    assert_eq!(world.status(&new), Status::ACCEPTED);
    assert_eq!(world.sessions(), [(prefix(0), at_router(2))]);
}

#[test]
fn a_deregistration_waits_for_the_next_gateway_and_counts_only_from_the_last() {
    let mut world = World::plain();
    let ask = world.ask(1, HandoffIndicator::NEW_INTERFACE);
    world.say(&ask);
    world.events();
    world.pass(ms(10));
    let leaves = |world: &World, router| Ask {
        lifetime: 0,
        ..world
            .ask(router, HandoffIndicator::UNKNOWN)
            .for_prefixes(&[prefix(0)])
    };
    let foreign = leaves(&world, 2);
    assert_eq!(world.hear(&foreign), Err(Ignored::NoSession));
    assert!(world.answer().is_none());
    let ours = leaves(&world, 1);
    let answer = world.say(&ours);
    assert_eq!(
        (answer.status, answer.lifetime),
        (Status::ACCEPTED, Lifetime::ZERO)
    );
    let left = anchor::Event::Left {
        node: node(),
        prefix: prefix(0),
    };
    assert_eq!(world.events(), [left]);
    // The node is at the next one before 10 s are over.
    world.pass(secs(9));
    let next = world.ask(2, HandoffIndicator::UNKNOWN);
    assert_eq!(assigned(&world.say(&next)), [prefix(0)]);
    world.pass(secs(20));
    assert_eq!(world.sessions(), [(prefix(0), at_router(2))]);
    // And this time it is nowhere.
    let ours = leaves(&world, 2);
    world.say(&ours);
    world.events();
    world.pass(secs(10));
    let removed = anchor::Event::Removed {
        node: node(),
        prefix: prefix(0),
        gateway: at_router(2),
    };
    assert_eq!(world.events(), [removed]);
    let nobodys = leaves(&world, 2);
    assert_eq!(world.hear(&nobodys), Err(Ignored::NoSession));
}

#[test]
fn of_an_unknown_handoff_the_anchor_waits_for_the_deregistration_or_makes_a_new_session() {
    let unknown = |world: &World| {
        let ask = world.ask(2, HandoffIndicator::UNKNOWN);
        ask.without(|option| matches!(option, MobilityOption::LinkLayerId(_)))
    };
    for comes in [true, false] {
        let mut world = World::plain();
        let ask = world.ask(1, HandoffIndicator::NEW_INTERFACE);
        world.say(&ask);
        world.pass(ms(10));
        let waits = unknown(&world);
        world.hear(&waits).unwrap();
        assert!(world.answer().is_none());
        world.pass(ms(200));
        if comes {
            let leaves = Ask {
                lifetime: 0,
                ..world.ask(1, HandoffIndicator::UNKNOWN)
            };
            world.hear(&leaves).unwrap();
            let (to, _) = world.answer().unwrap();
            assert_eq!(to.destination, at_router(1));
            let (to, answer) = world.answer().expect("what has waited is answered");
            assert_eq!(
                (to.destination, assigned(&answer)),
                (at_router(2), vec![prefix(0)])
            );
            assert_eq!(world.sessions(), [(prefix(0), at_router(2))]);
        } else {
            world.pass(ms(1300));
            let (_, answer) = world.answer().expect("MaxDelayBeforeNewBCEAssign is over");
            assert_eq!(assigned(&answer), [prefix(1)]);
            assert_eq!(world.sessions().len(), 2);
        }
    }
}

#[test]
fn interfaces_of_a_node_have_a_session_each_unless_one_takes_the_place_of_the_other() {
    let mut world = World::plain();
    let ask = world.ask(1, HandoffIndicator::NEW_INTERFACE);
    world.say(&ask);
    let other = |world: &World, handoff| {
        let ask = world.ask(2, handoff);
        let ask = ask.without(|option| matches!(option, MobilityOption::LinkLayerId(_)));
        ask.with(MobilityOption::LinkLayerId(LinkLayerId(vec![9; 8])))
    };
    world.pass(ms(10));
    let takes = other(&world, HandoffIndicator::BETWEEN_INTERFACES);
    assert_eq!(assigned(&world.say(&takes)), [prefix(0)]);
    assert_eq!(world.sessions().len(), 1);
    world.pass(ms(10));
    let ask = world.ask(1, HandoffIndicator::NEW_INTERFACE);
    assert_eq!(assigned(&world.say(&ask)), [prefix(1)]);
    assert_eq!(world.sessions().len(), 2);
}

#[test]
fn a_gateway_that_asks_for_a_link_local_address_gets_the_same_at_every_link() {
    let mut world = World::plain();
    let asking = |world: &World, router, address: Ipv6Addr| {
        let ask = world.ask(router, HandoffIndicator::BETWEEN_GATEWAYS);
        ask.with(MobilityOption::LinkLocal(address))
    };
    let given = |answer: &BindingAcknowledgement| {
        let options = answer.options.iter();
        let mut given = options.filter_map(|option| match option {
            MobilityOption::LinkLocal(address) => Some(*address),
            _ => None,
        });
        given.next()
    };
    let first = asking(&world, 1, Ipv6Addr::UNSPECIFIED);
    let anchors: Ipv6Addr = "fe80::1".parse().unwrap();
    assert_eq!(given(&world.say(&first)), Some(anchors));
    world.pass(ms(1));
    let own: Ipv6Addr = "fe80::77".parse().unwrap();
    let uploads = asking(&world, 1, own);
    assert_eq!(given(&world.say(&uploads)), Some(own));
    world.pass(ms(1));
    let next = asking(&world, 2, Ipv6Addr::UNSPECIFIED);
    assert_eq!(given(&world.say(&next)), Some(own));
    world.pass(ms(1));
    let without = world.ask(2, HandoffIndicator::UNCHANGED);
    assert_eq!(given(&world.say(&without)), None);
}

#[test]
fn an_anchor_ignores_what_is_no_proxy_registration() {
    let mut world = World::plain();
    let headers = Headers::between(at_router(1), ANCHOR);
    let update = Message::BindingUpdate(BindingUpdate {
        home_registration: true,
        lifetime: Lifetime(100),
        ..BindingUpdate::default()
    });
    let payload = update.encode(&headers).unwrap();
    let result = world.anchor.handle_datagram(world.now, headers, &payload);
    assert_eq!(result, Err(Ignored::Flags));
}
