//! Mobile access gateways and their anchor, by the rules of RFC 5213 §6.

use std::net::Ipv6Addr;
use std::time::Duration;

use crate::support::proxy::{ANCHOR, attached, link_layer, node, pool, prefix, start};
use crate::support::{at_router, ms, secs};
use machine::Machine;
use mip6::codec::{
    AccessTechnology, BindingAcknowledgement, BindingUpdate, HandoffIndicator, Lifetime, Message,
    MobilityOption, NodeId, Status, Timestamp,
};
use mip6::proxy::anchor::{self};
use mip6::proxy::gateway::{self, Attached};
use mip6::{Anchor, Gateway, Headers, Ignored};
use units::{Sequence, SimTime};

/// Two gateways and the anchor, 20 ms apart if nothing else is said.
struct Domain {
    now: SimTime,
    way: Duration,
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
            way: ms(20),
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
            let arrives = self.now + self.way;
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
    // Nor with an acceptance that gives it no prefix.
    domain.loses = 1;
    domain.attach(0, attached(right));
    let (_, _, update) = domain.updates()[1].clone();
    let nothing = hear(&mut domain, update.sequence, right);
    assert_eq!(nothing, Err(Ignored::NotEchoed));
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

#[test]
fn a_node_that_comes_back_before_it_was_missed_is_served_when_the_anchor_has_answered() {
    let mut domain = Domain::new(|config| config);
    domain.attach(0, attached(HandoffIndicator::UNKNOWN));
    domain.run(secs(1));
    domain.attach(1, attached(HandoffIndicator::UNKNOWN));
    domain.run(secs(1));
    // The first has not noticed that it left.
    domain.events.clear();
    domain.attach(0, attached(HandoffIndicator::UNKNOWN));
    assert_eq!(domain.gateways[0].served(&node()), None);
    let (_, _, update) = domain.updates().pop().unwrap();
    let unknown = MobilityOption::Handoff(HandoffIndicator::UNKNOWN);
    assert!(update.options.contains(&unknown), "not a re-registration");
    domain.run(secs(1));
    let served = |(at, by, event): &(Duration, usize, gateway::Event)| {
        matches!(event, gateway::Event::Served { .. }).then_some((*at, *by))
    };
    let served: Vec<_> = domain.events.iter().filter_map(served).collect();
    assert_eq!(served, [(ms(2040), 0)]);
    let (_, session) = domain.anchor.sessions().next().unwrap();
    assert_eq!(session.gateway, at_router(1));
}

#[test]
fn a_gateway_that_lost_a_node_unnoticed_does_not_get_it_back_by_registering_it_again() {
    let mut domain = Domain::new(|config| config);
    domain.attach(0, attached(HandoffIndicator::UNKNOWN));
    domain.run(secs(3500));
    domain.attach(1, attached(HandoffIndicator::UNKNOWN));
    // Until after the first one's registration is due again, 32 s before it ends, and has ended.
    domain.run(secs(200));
    let again = domain.updates().into_iter().filter(|(_, by, update)| {
        let unchanged = MobilityOption::Handoff(HandoffIndicator::UNCHANGED);
        *by == at_router(1) && update.options.contains(&unchanged)
    });
    assert!(again.count() > 1, "it is not answered");
    let (_, session) = domain.anchor.sessions().next().unwrap();
    assert_eq!(session.gateway, at_router(2));
}

#[test]
fn a_handover_takes_two_ways_to_the_anchor_and_what_is_sent_behind_the_binding_comes_with_it() {
    for way in [5, 10, 20, 40].map(ms) {
        let mut domain = Domain::new(|config| config);
        domain.way = way;
        domain.attach(0, attached(HandoffIndicator::UNKNOWN));
        domain.run(secs(1));
        domain.events.clear();
        domain.bound.clear();
        domain.attach(1, attached(HandoffIndicator::UNKNOWN));
        domain.run(secs(1));
        let (served, by, _) = domain.events[0];
        assert_eq!((served, by), (secs(1) + 2 * way, 1));
        // What the anchor forwards from then on takes one way more.
        assert_eq!(domain.bound, [(served - way, at_router(2))]);
    }
}
