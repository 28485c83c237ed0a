//! Router and host under virtual time.

use std::net::Ipv6Addr;
use std::time::Duration;

use machine::{Machine, Origin};
use nd::advertiser::{self, Advertiser};
use nd::solicitor::{self, Solicitor};
use nd::{
    ALL_NODES, ALL_ROUTERS, HOP_LIMIT, Invalid, NdOption, RouterAdvertisement, RouterSolicitation,
};
use proptest::prelude::*;
use units::{Eui64, Seed, SimTime};

const ROUTER: Eui64 = Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 1]);
const NODE: Eui64 = Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 2]);

fn at(ms: u64) -> SimTime {
    SimTime::ZERO + Duration::from_millis(ms)
}

fn defaults() -> advertiser::Config {
    advertiser::Config::new(ROUTER, "2001:db8:1::/64".parse().unwrap())
}

fn advertiser(config: advertiser::Config, seed: u64) -> Advertiser {
    Advertiser::new(config, Seed(seed).rng(&["router"])).unwrap()
}

fn solicitor(config: solicitor::Config, seed: u64) -> Solicitor {
    Solicitor::new(config, Seed(seed).rng(&["node"])).unwrap()
}

/// On the link.
fn from(source: Ipv6Addr) -> Origin {
    Origin {
        source,
        hop_limit: HOP_LIMIT,
    }
}

/// What a node hears of an advertisement of [`ROUTER`]'s.
fn heard(node: &mut Solicitor, bytes: &[u8]) -> solicitor::Advertised {
    node.handle_datagram(at(0), from(ROUTER.link_local()), bytes)
        .unwrap();
    node.poll_event().unwrap()
}

fn solicitation() -> Vec<u8> {
    RouterSolicitation::default().encode()
}

/// Fires the timer until `end` and returns when and to whom was sent.
fn run(advertiser: &mut Advertiser, end: SimTime) -> Vec<(SimTime, Ipv6Addr)> {
    let mut sent = Vec::new();
    while let Some(now) = advertiser.poll_timeout().filter(|&t| t <= end) {
        advertiser.handle_timeout(now);
        while let Some(transmit) = advertiser.poll_transmit() {
            sent.push((now, transmit.to));
        }
    }
    sent
}

proptest! {
    #[test]
    fn unsolicited_advertisements_keep_to_their_intervals(seed: u64) {
        let mut router = advertiser(defaults(), seed);
        router.start(SimTime::ZERO);
        let sent = run(&mut router, at(10_000_000));
        prop_assert!(sent.len() > 15);
        prop_assert!(sent.iter().all(|&(_, to)| to == ALL_NODES));
        prop_assert!(sent[0].0 <= at(16_000));
        for (i, pair) in sent.windows(2).enumerate() {
            let interval = pair[1].0 - pair[0].0;
            if i < 2 {
                // Of the first three, each is at most 16 s after the one before.
                prop_assert_eq!(interval, Duration::from_secs(16));
            } else {
                let allowed = Duration::from_secs(198)..=Duration::from_secs(600);
                prop_assert!(allowed.contains(&interval), "{:?}", interval);
            }
        }
    }

    #[test]
    fn solicited_multicast_answers_are_delayed_and_rate_limited(
        seed: u64,
        solicitations in proptest::collection::vec(0..20_000u64, 1..30),
    ) {
        let mut router = advertiser(defaults(), seed);
        router.start(SimTime::ZERO);
        let mut times = solicitations;
        times.sort_unstable();
        let mut sent = Vec::new();
        for &ms in &times {
            sent.extend(run(&mut router, at(ms)));
            router
                .handle_datagram(at(ms), from(NODE.link_local()), &solicitation())
                .unwrap();
        }
        sent.extend(run(&mut router, at(60_000)));
        for pair in sent.windows(2) {
            prop_assert!(pair[1].0 - pair[0].0 >= Duration::from_secs(3), "{:?}", sent);
        }
        for ms in times {
            let answer = sent.iter().find(|(t, _)| *t >= at(ms)).expect("answered");
            prop_assert!(answer.0 - at(ms) <= Duration::from_millis(3500));
        }
    }

    #[test]
    fn random_octets_change_nothing_and_do_not_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        kind in prop_oneof![Just(133u8), Just(134)],
        hop_limit in prop_oneof![Just(255u8), any::<u8>()],
    ) {
        let bytes = [&[kind][..], &bytes].concat();
        let mut router = advertiser(defaults(), 1);
        router.start(SimTime::ZERO);
        let before = router.poll_timeout();
        let origin = Origin { source: NODE.link_local(), hop_limit };
        if router.handle_datagram(at(0), origin, &bytes).is_err() {
            prop_assert_eq!(router.poll_timeout(), before);
        }
        let mut node = solicitor(solicitor::Config::new(None), 1);
        node.start(SimTime::ZERO);
        if node.handle_datagram(at(0), origin, &bytes).is_err() {
            prop_assert!(node.is_soliciting());
        }
    }
}

#[test]
fn two_routers_with_a_fixed_interval_do_not_advertise_together() {
    let second = Duration::from_secs(1);
    let config = advertiser::Config {
        min_interval: second,
        max_interval: second,
        min_delay_between: Duration::ZERO,
        ..defaults()
    };
    let phases: Vec<SimTime> = [1, 2]
        .map(|seed| {
            let mut router = advertiser(config.clone(), seed);
            router.start(SimTime::ZERO);
            let sent = run(&mut router, at(10_000));
            assert!(sent.windows(2).all(|pair| pair[1].0 - pair[0].0 == second));
            sent[0].0
        })
        .into();
    assert_ne!(phases[0], phases[1]);
}

#[test]
fn an_interval_shorter_than_the_rate_limit_gives_way_to_it() {
    let config = advertiser::Config {
        min_interval: Duration::from_millis(30),
        max_interval: Duration::from_millis(70),
        ..defaults()
    };
    let mut router = advertiser(config, 1);
    router.start(SimTime::ZERO);
    let sent = run(&mut router, at(9_500));
    assert_eq!(sent.len(), 4);
    let limit = Duration::from_secs(3);
    assert!(sent.windows(2).all(|pair| pair[1].0 - pair[0].0 == limit));
}

#[test]
fn with_delays_of_zero_a_solicitation_is_answered_at_once() {
    for unicast_answers in [false, true] {
        let config = advertiser::Config {
            max_response_delay: Duration::ZERO,
            min_delay_between: Duration::ZERO,
            unicast_answers,
            ..defaults()
        };
        let mut router = advertiser(config, 1);
        router.start(SimTime::ZERO);
        for now in [at(1), at(2)] {
            let node = NODE.link_local();
            router
                .handle_datagram(now, from(node), &solicitation())
                .unwrap();
            let expected = if unicast_answers { node } else { ALL_NODES };
            assert_eq!(router.poll_transmit().unwrap().to, expected);
            assert_eq!(router.poll_transmit(), None);
            assert!(router.poll_timeout().unwrap() > now);
        }
    }
}

#[test]
fn a_unicast_answer_is_not_held_up_by_the_multicast_rate_limit() {
    let config = advertiser::Config {
        unicast_answers: true,
        ..defaults()
    };
    let mut router = advertiser(config, 1);
    router.start(SimTime::ZERO);
    let first = run(&mut router, at(16_000))[0].0;
    let node = NODE.link_local();
    let mut solicit = |now| {
        router
            .handle_datagram(now, from(node), &solicitation())
            .unwrap();
        router.poll_timeout().unwrap()
    };
    let answer = solicit(first);
    assert!(answer - first <= Duration::from_millis(500));
    let again = solicit(first + Duration::from_nanos(1));
    assert_eq!(again, answer, "the first solicitation sets the time");
    assert_eq!(run(&mut router, answer), [(answer, node)]);
}

#[test]
fn a_solicitation_from_the_unspecified_address_is_answered_to_all_nodes() {
    let config = advertiser::Config {
        unicast_answers: true,
        max_response_delay: Duration::ZERO,
        ..defaults()
    };
    let mut router = advertiser(config, 1);
    router.start(SimTime::ZERO);
    let nobody = Ipv6Addr::UNSPECIFIED;
    router
        .handle_datagram(at(1), from(nobody), &solicitation())
        .unwrap();
    assert_eq!(router.poll_transmit().unwrap().to, ALL_NODES);
}

#[test]
fn a_router_that_stops_says_so_once_and_then_is_silent() {
    let mut router = advertiser(defaults(), 1);
    router.stop();
    assert_eq!(router.poll_transmit(), None, "it never advertised");
    router.start(SimTime::ZERO);
    router.stop();
    let last = router.poll_transmit().unwrap();
    let source = ROUTER.link_local();
    let decoded = RouterAdvertisement::decode(source, HOP_LIMIT, &last.payload).unwrap();
    assert_eq!((last.to, decoded.router_lifetime_s), (ALL_NODES, 0));
    router
        .handle_datagram(at(1), from(NODE.link_local()), &solicitation())
        .unwrap();
    assert_eq!(
        (router.poll_transmit(), router.poll_timeout()),
        (None, None)
    );
}

#[test]
fn settings_that_do_not_fit_their_field_are_named() {
    let refuse = |config: advertiser::Config| {
        let rng = Seed(1).rng(&["router"]);
        Advertiser::new(config, rng).unwrap_err().to_string()
    };
    let ms = Duration::from_millis;
    let lifetime = refuse(advertiser::Config {
        router_lifetime: ms(1500),
        ..defaults()
    });
    assert_eq!(
        lifetime,
        "AdvDefaultLifetime is 1.5s: expected whole seconds that fit the field"
    );
    let long = advertiser::Config {
        router_lifetime: Duration::from_secs(65_536),
        ..defaults()
    };
    assert!(refuse(long).starts_with("AdvDefaultLifetime is 65536s"));
    let retrans = advertiser::Config {
        retrans_timer: Duration::from_micros(1),
        ..defaults()
    };
    assert!(refuse(retrans).starts_with("AdvRetransTimer is 1µs"));
    let reversed = advertiser::Config {
        min_interval: ms(2),
        max_interval: ms(1),
        ..defaults()
    };
    assert!(refuse(reversed).starts_with("MinRtrAdvInterval is 2ms"));
    let preferred = advertiser::Config {
        valid_lifetime: Duration::from_secs(1),
        ..defaults()
    };
    assert!(refuse(preferred).starts_with("AdvPreferredLifetime"));
}

/// When solicitations are sent, up to `end`.
fn solicitations(node: &mut Solicitor, start: SimTime, end: SimTime) -> Vec<SimTime> {
    node.start(start);
    let mut now = start;
    let mut sent = Vec::new();
    loop {
        while let Some(transmit) = node.poll_transmit() {
            assert_eq!(transmit.to, ALL_ROUTERS);
            sent.push(now);
        }
        match node.poll_timeout().filter(|&t| t <= end) {
            Some(next) => now = next,
            None => return sent,
        }
        node.handle_timeout(now);
    }
}

proptest! {
    #[test]
    fn solicitations_follow_section_6_3_7_and_start_over(seed: u64) {
        let mut node = solicitor(solicitor::Config::new(Some(NODE)), seed);
        let sent = solicitations(&mut node, at(5), at(60_000));
        prop_assert!(sent[0] - at(5) <= Duration::from_secs(1));
        for (i, pair) in sent.windows(2).enumerate() {
            let interval = pair[1] - pair[0];
            if i % 3 == 2 {
                let round = Duration::from_secs(4)..=Duration::from_secs(5);
                prop_assert!(round.contains(&interval), "{:?}", sent);
            } else {
                prop_assert_eq!(interval, Duration::from_secs(4));
            }
        }
    }
}

#[test]
fn a_delay_of_zero_solicits_at_once() {
    let config = solicitor::Config {
        max_delay: Duration::ZERO,
        ..solicitor::Config::new(None)
    };
    let mut node = solicitor(config, 1);
    node.start(at(7));
    assert!(node.poll_transmit().is_some());
    assert_eq!(node.poll_timeout(), Some(at(4007)));
}

#[test]
fn only_a_valid_advertisement_with_a_lifetime_ends_the_search() {
    let mut router = advertiser(defaults(), 1);
    router.start(SimTime::ZERO);
    let good = router.advertisement().encode();
    router.stop();
    let farewell = router.poll_transmit().unwrap().payload;
    let mut node = solicitor(solicitor::Config::new(None), 1);
    node.start(SimTime::ZERO);
    let forwarded = Origin {
        source: ROUTER.link_local(),
        hop_limit: 64,
    };
    let ignored = node.handle_datagram(at(0), forwarded, &good);
    assert_eq!(ignored, Err(Invalid::HopLimit(64)));
    assert_eq!(node.poll_event(), None);
    assert_eq!(heard(&mut node, &farewell).router_lifetime, Duration::ZERO);
    assert!(node.is_soliciting());
    heard(&mut node, &good);
    assert!(!node.is_soliciting());
    assert_eq!((node.poll_transmit(), node.poll_timeout()), (None, None));
}

#[test]
fn an_advertisement_is_heard_as_it_was_configured() {
    // Of a protocol that is none of ours.
    let other = NdOption::Unknown {
        kind: 23,
        data: vec![7; 22],
    };
    let config = advertiser::Config {
        managed: true,
        mtu: Some(1280),
        retrans_timer: Duration::from_millis(250),
        others: vec![other.clone()],
        ..defaults()
    };
    let bytes = advertiser(config, 1).advertisement().encode();
    let mut node = solicitor(solicitor::Config::new(None), 1);
    let heard = heard(&mut node, &bytes);
    assert_eq!(
        (heard.managed, heard.other, heard.mtu),
        (true, false, Some(1280))
    );
    assert_eq!(heard.retrans_timer, Some(Duration::from_millis(250)));
    assert_eq!(
        (heard.reachable_time, heard.cur_hop_limit),
        (None, Some(64))
    );
    assert_eq!(
        heard.source_link_layer.unwrap().to_string(),
        ROUTER.to_string()
    );
    let address = heard.prefixes[0].autonomous_address(NODE);
    assert_eq!(address, Some("2001:db8:1::5e10:0:2".parse().unwrap()));
    assert_eq!(heard.others, [other]);
}

#[test]
fn on_a_link_for_two_a_node_hears_its_router_alone_and_goes_on_asking() {
    let gateway: Ipv6Addr = "fe80::1".parse().unwrap();
    let config = solicitor::Config {
        router: Some(gateway),
        ..solicitor::Config::new(Some(NODE))
    };
    let mut node = solicitor(config, 1);
    node.start(at(0));
    let bytes = advertiser(defaults(), 1).advertisement().encode();
    let ignored = node.handle_datagram(at(0), from(ROUTER.link_local()), &bytes);
    assert_eq!(ignored, Err(Invalid::Router(ROUTER.link_local())));
    assert!(node.is_soliciting() && node.poll_event().is_none());
    node.handle_datagram(at(0), from(gateway), &bytes).unwrap();
    assert!(!node.is_soliciting());
    assert_eq!(node.poll_event().unwrap().router, gateway);
}

#[test]
fn whom_another_answers_is_not_answered() {
    let config = advertiser::Config {
        max_response_delay: Duration::ZERO,
        min_delay_between: Duration::ZERO,
        unanswered: [NODE.link_local()].into(),
        ..defaults()
    };
    let mut router = advertiser(config, 1);
    router.start(at(0));
    let due = router.poll_timeout();
    for (source, is_answered) in [(NODE.link_local(), false), (Ipv6Addr::UNSPECIFIED, true)] {
        router
            .handle_datagram(at(1), from(source), &solicitation())
            .unwrap();
        assert_eq!(router.poll_transmit().is_some(), is_answered);
        assert_eq!(router.poll_timeout() == due, !is_answered);
    }
}
