//! Mobile access gateways and a local mobility anchor, by the rules of RFC 5213.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use machine::Machine;
use mip6::codec::{
    AccessTechnology, BindingAcknowledgement, BindingUpdate, HandoffIndicator, Lifetime,
    LinkLayerId, Message, MobilityOption, NodeId, Status, Timestamp,
};
use mip6::proxy::anchor::{self, Policy};
use mip6::proxy::gateway::{self, Attached};
use mip6::{Anchor, Gateway, Headers, Ignored};
use support::{at_router, ms, secs};
use units::{Sequence, SimTime};

const ANCHOR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1);

fn pool() -> Ipv6Net {
    "2001:db8:f000::/36".parse().unwrap()
}

fn prefix(number: u16) -> Ipv6Net {
    let network = Ipv6Addr::new(0x2001, 0xdb8, 0xf000, number, 0, 0, 0, 0);
    Ipv6Net::new(network, 64).unwrap()
}

fn node() -> NodeId {
    NodeId(b"sensor".to_vec())
}

fn link_layer() -> LinkLayerId {
    LinkLayerId(vec![2, 0, 0x5e, 0x10, 0, 0, 0, 5])
}

fn attached(handoff: HandoffIndicator) -> Attached {
    Attached {
        node: node(),
        link_layer: Some(link_layer()),
        handoff,
        prefix: None,
        sequence: None,
    }
}

/// A day in 2023, as live clocks have it.
fn start() -> SimTime {
    SimTime::ZERO + secs(1_700_000_000)
}

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

/// Two gateways and the anchor, 20 ms apart.
struct Domain {
    now: SimTime,
    gateways: [Gateway; 2],
    anchor: Anchor,
    flights: Vec<(SimTime, Headers, Vec<u8>)>,
    sent: Vec<(SimTime, Headers, Message)>,
    events: Vec<(Duration, usize, gateway::Event)>,
    bound: Vec<(Duration, Ipv6Addr)>,
    loses: usize,
}

impl Domain {
    fn new(config: impl Fn(gateway::Config) -> gateway::Config) -> Domain {
        let gateway =
            |router| Gateway::new(config(gateway::Config::new(at_router(router), ANCHOR)));
        Domain {
            now: start(),
            gateways: [gateway(1), gateway(2)],
            anchor: Anchor::new(anchor::Config::new(ANCHOR, pool())),
            flights: Vec::new(),
            sent: Vec::new(),
            events: Vec::new(),
            bound: Vec::new(),
            loses: 0,
        }
    }

    fn attach(&mut self, gateway: usize, attached: Attached) {
        assert!(self.gateways[gateway].attach(self.now, attached));
        self.drain();
    }

    fn detach(&mut self, gateway: usize) {
        self.gateways[gateway].detach(self.now, &node());
        self.drain();
    }

    fn drain(&mut self) {
        let elapsed = self.now.saturating_since(start());
        let mut transmits = Vec::new();
        for (number, gateway) in self.gateways.iter_mut().enumerate() {
            transmits.extend(std::iter::from_fn(|| gateway.poll_transmit()));
            let events = std::iter::from_fn(|| gateway.poll_event());
            (self.events).extend(events.map(|event| (elapsed, number, event)));
        }
        transmits.extend(std::iter::from_fn(|| self.anchor.poll_transmit()));
        for transmit in transmits {
            let message = Message::decode(&transmit.to, &transmit.payload).unwrap();
            self.sent.push((self.now, transmit.to, message));
            if self.loses > 0 {
                self.loses -= 1;
                continue;
            }
            let arrives = self.now + ms(20);
            self.flights.push((arrives, transmit.to, transmit.payload));
        }
        while let Some(event) = self.anchor.poll_event() {
            if let anchor::Event::Bound { gateway, .. } = event {
                self.bound.push((elapsed, gateway));
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timers = [
                self.gateways[0].poll_timeout(),
                self.gateways[1].poll_timeout(),
                self.anchor.poll_timeout(),
                self.flights.first().map(|(at, ..)| *at),
            ];
            let next = timers.into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            let now = self.now;
            for gateway in &mut self.gateways {
                gateway.handle_timeout(now);
                assert!(
                    gateway.poll_timeout().is_none_or(|due| due > now),
                    "it stays due"
                );
            }
            self.anchor.handle_timeout(now);
            self.drain();
            while self.flights.first().is_some_and(|(at, ..)| *at <= now) {
                let (_, headers, payload) = self.flights.remove(0);
                let _ = match headers.destination {
                    ANCHOR => self.anchor.handle_datagram(now, headers, &payload),
                    to if to == at_router(1) => {
                        self.gateways[0].handle_datagram(now, headers, &payload)
                    }
                    _ => self.gateways[1].handle_datagram(now, headers, &payload),
                };
                self.drain();
            }
        }
        self.now = end;
    }

    /// The updates that were sent: when, by which gateway, what.
    fn updates(&self) -> Vec<(u128, Ipv6Addr, BindingUpdate)> {
        let all = self.sent.iter();
        let updates = all.filter_map(|(at, headers, message)| match message {
            Message::BindingUpdate(update) => {
                let since = at.saturating_since(start()).as_millis();
                Some((since, headers.source, update.clone()))
            }
            _ => None,
        });
        updates.collect()
    }
}

#[test]
fn a_node_that_moves_keeps_its_prefix_and_is_served_after_one_round_trip() {
    let mut domain = Domain::new(|config| config);
    domain.attach(0, attached(HandoffIndicator::NEW_INTERFACE));
    domain.run(secs(5));
    assert_eq!(domain.gateways[0].served(&node()), Some(&[prefix(0)][..]));
    domain.events.clear();
    domain.bound.clear();
    // The old gateway notices a little later.
    domain.attach(1, attached(HandoffIndicator::BETWEEN_GATEWAYS));
    domain.run(ms(10));
    domain.detach(0);
    domain.run(secs(5));
    assert_eq!(
        domain.bound,
        [(ms(5020), at_router(2))],
        "one way to the anchor"
    );
    let served = gateway::Event::Served {
        node: node(),
        prefixes: vec![prefix(0)],
        link_local: None,
        lifetime: Lifetime(900),
    };
    // The anchor ignores the old one, which is done after INITIAL_BINDACK_TIMEOUT.
    let released = gateway::Event::Released { node: node() };
    assert_eq!(
        domain.events,
        [(ms(5040), 1, served), (ms(6010), 0, released)]
    );
    let (_, session) = domain.anchor.sessions().next().unwrap();
    assert_eq!((session.gateway, session.is_leaving), (at_router(2), false));
}

#[test]
fn a_proxy_update_has_the_form_of_section_6_9_1_5() {
    let mut domain = Domain::new(|config| gateway::Config {
        fixed_link_local: None,
        ..config
    });
    domain.attach(0, attached(HandoffIndicator::NEW_INTERFACE));
    let (_, headers, _) = &domain.sent[0];
    assert_eq!(*headers, Headers::between(at_router(1), ANCHOR));
    let (_, _, update) = &domain.updates()[0];
    assert!(update.proxy_registration && update.acknowledge && !update.home_registration);
    let expected = [
        MobilityOption::NodeId(node()),
        MobilityOption::HomeNetworkPrefix("::/0".parse().unwrap()),
        MobilityOption::Handoff(HandoffIndicator::NEW_INTERFACE),
        MobilityOption::AccessTechnology(AccessTechnology::ETHERNET),
        MobilityOption::Timestamp(Timestamp::of(start())),
        MobilityOption::LinkLayerId(link_layer()),
        MobilityOption::LinkLocal(Ipv6Addr::UNSPECIFIED),
    ];
    assert_eq!(update.options, expected);
    // Registered again, and deregistered: with its prefix, and indicators of their own.
    domain.run(secs(3600));
    domain.detach(0);
    let updates = domain.updates();
    let [_, (at, _, again), (_, _, leaves)] = &updates[..] else {
        panic!("{updates:?}");
    };
    assert_eq!(*at, 3_568_000, "32 s before it ends");
    let has = |update: &BindingUpdate, option| update.options.contains(&option);
    assert!(has(
        again,
        MobilityOption::Handoff(HandoffIndicator::UNCHANGED)
    ));
    assert!(has(
        leaves,
        MobilityOption::Handoff(HandoffIndicator::UNKNOWN)
    ));
    assert_eq!(leaves.lifetime, Lifetime::ZERO);
    for update in [again, leaves] {
        assert!(has(update, MobilityOption::HomeNetworkPrefix(prefix(0))));
        assert!(has(
            update,
            MobilityOption::LinkLocal("fe80::1".parse().unwrap())
        ));
    }
}

#[test]
fn a_proxy_update_is_repeated_with_the_latest_timestamp() {
    let mut domain = Domain::new(|config| config);
    domain.loses = 4;
    domain.attach(0, attached(HandoffIndicator::NEW_INTERFACE));
    domain.run(secs(20));
    let updates = domain.updates();
    let times: Vec<u128> = updates.iter().map(|(at, ..)| *at).collect();
    assert_eq!(times, [0, 1000, 3000, 7000, 15_000]);
    let (_, headers, message) = &domain.sent[0];
    assert_eq!(message.encode(headers).unwrap().len(), 80);
    for (at, _, update) in &updates {
        let then = start() + ms(*at as u64);
        let expected = MobilityOption::Timestamp(Timestamp::of(then));
        assert!(update.options.contains(&expected));
    }
    assert!(domain.gateways[0].served(&node()).is_some());
}

#[test]
fn a_gateway_deals_with_refusals_as_section_6_9_1_2_says() {
    // What the gateway does with a status: how many updates in 10 s, and whether the node is refused.
    let cases = [
        (Status::PROXY_NOT_ENABLED, 1, true),
        (Status::TIMESTAMP_MISMATCH, 1, true),
        (Status::PROHIBITED, 1, true),
        (Status::TIMESTAMP_LOWER, 2, false),
        (Status::PREFIX_NOT_AUTHORIZED, 2, false),
    ];
    for (status, count, is_refused) in cases {
        let mut domain = Domain::new(|config| config);
        domain.loses = 1;
        let known = Attached {
            prefix: Some(prefix(9)),
            ..attached(HandoffIndicator::NEW_INTERFACE)
        };
        domain.attach(0, known);
        let (_, _, update) = domain.updates()[0].clone();
        let headers = Headers::between(ANCHOR, at_router(1));
        let answer = Message::BindingAcknowledgement(BindingAcknowledgement {
            status,
            proxy_registration: true,
            sequence: update.sequence,
            options: update.options,
            ..BindingAcknowledgement::default()
        });
        let payload = answer.encode(&headers).unwrap();
        let now = domain.now;
        domain.gateways[0]
            .handle_datagram(now, headers, &payload)
            .unwrap();
        domain.drain();
        domain.run(secs(10));
        assert_eq!(domain.updates().len(), count, "{status}");
        let refused = gateway::Event::Refused {
            node: node(),
            status,
        };
        let found = domain.events.iter().any(|(_, _, event)| *event == refused);
        assert_eq!(found, is_refused, "{status}");
        assert_eq!(domain.gateways[0].served(&node()).is_some(), !is_refused);
        if status == Status::PREFIX_NOT_AUTHORIZED {
            assert_eq!(domain.gateways[0].served(&node()), Some(&[prefix(0)][..]));
        }
    }
}

#[test]
fn an_acknowledgement_with_other_values_is_ignored_and_nothing_is_repeated() {
    let mut domain = Domain::new(|config| config);
    domain.loses = 1;
    domain.attach(0, attached(HandoffIndicator::NEW_INTERFACE));
    let (_, _, update) = domain.updates()[0].clone();
    let headers = Headers::between(ANCHOR, at_router(1));
    let hear = |domain: &mut Domain, sequence, handoff| {
        let answer = Message::BindingAcknowledgement(BindingAcknowledgement {
            proxy_registration: true,
            sequence,
            lifetime: Lifetime(10),
            options: vec![
                MobilityOption::NodeId(node()),
                MobilityOption::Handoff(handoff),
            ],
            ..BindingAcknowledgement::default()
        });
        let payload = answer.encode(&headers).unwrap();
        let now = domain.now;
        domain.gateways[0].handle_datagram(now, headers, &payload)
    };
    let right = HandoffIndicator::NEW_INTERFACE;
    let other = hear(&mut domain, update.sequence.next(), right);
    assert_eq!(other, Err(Ignored::NotOutstanding));
    let wrong = hear(&mut domain, update.sequence, HandoffIndicator::UNKNOWN);
    assert_eq!(wrong, Err(Ignored::NotEchoed));
    domain.run(secs(100));
    assert_eq!(domain.updates().len(), 1);
    assert_eq!(domain.gateways[0].served(&node()), None);
}

#[test]
fn by_numbers_too_a_node_moves_if_the_gateways_know_the_last_one() {
    let mut domain = Domain::new(|config| gateway::Config {
        timestamps: false,
        ..config
    });
    domain.attach(0, attached(HandoffIndicator::NEW_INTERFACE));
    domain.run(secs(1));
    // The next gateway does not know it, and is told.
    let lost = Attached {
        sequence: Some(Sequence(u16::MAX)),
        ..attached(HandoffIndicator::BETWEEN_GATEWAYS)
    };
    domain.attach(1, lost);
    domain.run(secs(1));
    let numbers: Vec<u16> = domain
        .updates()
        .iter()
        .map(|(.., u)| u.sequence.0)
        .collect();
    assert_eq!(numbers, [1, 0, 2]);
    assert_eq!(domain.gateways[1].served(&node()), Some(&[prefix(0)][..]));
}

#[test]
fn a_gateway_has_room_for_so_many_and_takes_no_identifier_that_does_not_fit() {
    let mut gateway = Gateway::new(gateway::Config {
        max_nodes: 1,
        ..gateway::Config::new(at_router(1), ANCHOR)
    });
    let named = |length| Attached {
        node: NodeId(vec![b'x'; length]),
        ..attached(HandoffIndicator::NEW_INTERFACE)
    };
    for length in [0, 255] {
        assert!(!gateway.attach(start(), named(length)), "{length}");
    }
    assert!(gateway.attach(start(), named(254)));
    assert!(gateway.poll_transmit().is_some());
    assert!(!gateway.attach(start(), named(5)));
    assert!(gateway.attach(start(), named(254)), "it is known");
}
