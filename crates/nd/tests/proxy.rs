//! Neighbourhood discovery of RFC 5568: octets, and what both sides do.

use std::net::Ipv6Addr;
use std::time::Duration;

use machine::{Machine, Origin};
use nd::proxy::{
    FAST_HANDOVERS, Known, Neighbour, ProxyAdvertisement, ProxySolicitation, Requester, Responder,
    Wanted, unsolicited,
};
use nd::{HOP_LIMIT, Invalid, NdOption};
use proptest::prelude::*;
use units::{Eui64, Seed, SimTime};

const NODE: Eui64 = Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 2]);
const HERE: Eui64 = Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 1]);
const THERE: Eui64 = Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 3]);

/// Drawn by hand from the figures of RFC 5568 §6.1.1 and §6.4.3; tshark 4.0 reads them as that.
#[rustfmt::skip]
const SOLICITATION: [u8; 32] = [
    154, 0, 0, 0, // RtSolPr, code 0, checksum left to the kernel
    2, 0, 0x12, 0x34, // subtype, reserved, identifier
    19, 2, 4, // link-layer address of the source
    0x02, 0x00, 0x5e, 0x10, 0x00, 0x00, 0x00, 0x02,
    0, 0, 0, 0, 0, // padding
    19, 1, 0, 0, 0, 0, 0, 0, // wildcard
];

/// The same for RFC 5568 §6.1.2 and §6.4.1.
#[rustfmt::skip]
const ADVERTISEMENT: [u8; 80] = [
    154, 0, 0, 0, // PrRtAdv, code 0, checksum left to the kernel
    3, 0, 0x12, 0x34, // subtype, reserved, identifier
    19, 2, 4, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, // the source
    19, 2, 1, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, // the access point
    19, 2, 3, 0x02, 0x00, 0x5e, 0x10, 0x00, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, // its router
    17, 3, 3, 64, 0, 0, 0, 0, // the router's address, and how long its prefix is
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
];

fn neighbour() -> Neighbour {
    Neighbour {
        access_point: THERE,
        link_layer: THERE,
        router: "2001:db8:2::1".parse().unwrap(),
        prefix: "2001:db8:2::/64".parse().unwrap(),
        others: Vec::new(),
    }
}

fn option_of_another_protocol() -> NdOption {
    NdOption::Unknown {
        kind: 23,
        data: vec![7; 22],
    }
}

fn from(link_layer: Eui64) -> Origin {
    Origin {
        source: link_layer.link_local(),
        hop_limit: HOP_LIMIT,
    }
}

fn at(ms: u64) -> SimTime {
    SimTime::ZERO + Duration::from_millis(ms)
}

fn requester() -> Requester {
    Requester::new(NODE, Seed(1).rng(&["node", "proxy"]))
}

#[test]
fn a_solicitation_and_its_answer_are_written_and_read_octet_for_octet() {
    let solicitation = ProxySolicitation {
        identifier: 0x1234,
        source_link_layer: Some(NODE),
        wanted: Wanted::Any,
    };
    assert_eq!(solicitation.encode(), SOLICITATION);
    let source = NODE.link_local();
    let read = ProxySolicitation::decode(source, HOP_LIMIT, &SOLICITATION);
    assert_eq!(read, Ok(solicitation));

    let advertisement = ProxyAdvertisement {
        identifier: 0x1234,
        source_link_layer: Some(HERE),
        known: vec![Known::Neighbour(neighbour())],
    };
    assert_eq!(advertisement.encode(), ADVERTISEMENT);
    let source = HERE.link_local();
    let read = ProxyAdvertisement::decode(source, HOP_LIMIT, &ADVERTISEMENT);
    assert_eq!(read, Ok(advertisement));
}

#[test]
fn a_node_that_asks_its_router_hears_of_the_others() {
    let (mut node, mut router) = (requester(), Responder::new(HERE, vec![neighbour()]));
    node.ask(at(500), HERE.link_local());
    node.handle_timeout(at(499));
    assert_eq!(node.poll_transmit(), None);
    assert_eq!(node.poll_timeout(), Some(at(500)));
    node.handle_timeout(at(500));
    let question = node.poll_transmit().unwrap();
    assert_eq!(question.to, HERE.link_local());
    let taken = router.handle_datagram(at(501), from(NODE), &question.payload);
    assert_eq!(taken, Ok(()));
    let answer = router.poll_transmit().unwrap();
    assert_eq!(answer.to, NODE.link_local());

    // Another router's answer, and one to another question, are none.
    for (link_layer, byte) in [(THERE, 0), (HERE, 1)] {
        let mut other = answer.payload.clone();
        other[7] ^= byte;
        let ignored = node.handle_datagram(at(502), from(link_layer), &other);
        assert_eq!(ignored, Err(Invalid::NotAsked));
    }
    let taken = node.handle_datagram(at(502), from(HERE), &answer.payload);
    assert_eq!(taken, Ok(()));
    assert_eq!(node.poll_event(), Some(neighbour()));
    assert_eq!((node.poll_event(), node.poll_timeout()), (None, None));
    let again = node.handle_datagram(at(503), from(HERE), &answer.payload);
    assert_eq!(again, Err(Invalid::NotAsked));
}

#[test]
fn a_node_that_has_come_says_who_it_is() {
    // RFC 5568 §6.3, RFC 4861 §4.4: neither R nor S nor O.
    let address: Ipv6Addr = "2001:db8:2::9".parse().unwrap();
    let mut octets = vec![136, 0, 0, 0, 0, 0, 0, 0];
    octets.extend(address.octets());
    octets.extend([2, 2, 0x02, 0, 0x5e, 0x10, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(unsolicited(address, NODE), octets);
}

#[test]
fn a_question_is_repeated_three_times_and_no_more_than_three_times_a_second() {
    let mut node = requester();
    node.ask(at(0), HERE.link_local());
    let mut sent = Vec::new();
    while let Some(due) = node.poll_timeout() {
        node.handle_timeout(due);
        sent.extend(node.poll_transmit().map(|question| (due, question)));
    }
    let times: Vec<SimTime> = sent.iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [at(0), at(100), at(300), at(1000)]);
    assert!(sent.iter().all(|(_, question)| *question == sent[0].1));
    node.ask(at(5000), HERE.link_local());
    node.stop();
    assert_eq!(node.poll_timeout(), None);
}

#[test]
fn each_access_point_that_is_named_is_answered_for() {
    let mut router = Responder::new(HERE, vec![neighbour()]);
    let mut asked = |named: &[Eui64]| {
        let solicitation = ProxySolicitation {
            identifier: 7,
            source_link_layer: None,
            wanted: Wanted::These(named.to_vec()),
        };
        let taken = router.handle_datagram(at(0), from(NODE), &solicitation.encode());
        assert_eq!(taken, Ok(()));
        let answer = router.poll_transmit().unwrap().payload;
        let read = ProxyAdvertisement::decode(HERE.link_local(), HOP_LIMIT, &answer).unwrap();
        (answer[1], read.known)
    };
    let known = Known::Neighbour(neighbour());
    assert_eq!(asked(&[THERE]), (0, vec![known.clone()]));
    let others = vec![Known::SameLink(HERE), Known::Nothing(NODE)];
    assert_eq!(asked(&[HERE, NODE]), (2, others.clone()));
    let all = [others, vec![known]].concat();
    assert_eq!(asked(&[HERE, NODE, THERE]), (3, all));
}

#[test]
fn a_prefix_that_is_not_the_address_is_told_apart() {
    let neighbour = Neighbour {
        router: "2001:db8:ff::1".parse().unwrap(),
        ..neighbour()
    };
    let advertisement = ProxyAdvertisement {
        identifier: 1,
        source_link_layer: None,
        known: vec![Known::Neighbour(neighbour.clone()); 2],
    };
    let octets = advertisement.encode();
    assert_eq!(octets.len(), 8 + 2 * 80);
    let read = ProxyAdvertisement::decode(HERE.link_local(), HOP_LIMIT, &octets);
    assert_eq!(read, Ok(advertisement));
}

#[test]
fn an_answer_never_exceeds_the_least_mtu() {
    let mut router = Responder::new(HERE, vec![neighbour(); 100]);
    let taken = router.handle_datagram(at(0), from(NODE), &SOLICITATION);
    assert_eq!(taken, Ok(()));
    assert!(router.poll_transmit().unwrap().payload.len() + 40 <= 1280);
    // What others have each of them say counts, too.
    let longer = Neighbour {
        others: vec![option_of_another_protocol()],
        ..neighbour()
    };
    let mut router = Responder::new(HERE, vec![longer.clone(); 100]);
    let taken = router.handle_datagram(at(0), from(NODE), &SOLICITATION);
    assert_eq!(taken, Ok(()));
    let answer = router.poll_transmit().unwrap().payload;
    assert!(answer.len() + 40 <= 1280, "{}", answer.len());
    let read = ProxyAdvertisement::decode(HERE.link_local(), HOP_LIMIT, &answer).unwrap();
    assert_eq!(read.known, vec![Known::Neighbour(longer); 15]);
}

#[test]
fn what_breaks_a_rule_is_told_by_the_rule() {
    let solicitation = |source, hop_limit, octets: &[u8]| {
        ProxySolicitation::decode(source, hop_limit, octets).unwrap_err()
    };
    let source = NODE.link_local();
    let global: Ipv6Addr = "2001:db8::9".parse().unwrap();
    let changed = |at: usize, to: u8| {
        let mut octets = SOLICITATION;
        octets[at] = to;
        octets
    };
    let right = HOP_LIMIT;
    let found = [
        solicitation(source, 254, &SOLICITATION),
        solicitation(global, right, &SOLICITATION),
        solicitation(source, right, &changed(0, 133)),
        solicitation(source, right, &changed(1, 1)),
        solicitation(source, right, &changed(4, 3)),
        solicitation(source, right, &changed(25, 0)),
        solicitation(source, right, &SOLICITATION[..24]),
        solicitation(source, right, &SOLICITATION[..7]),
    ];
    let type_found = Invalid::Type {
        found: 133,
        expected: FAST_HANDOVERS,
    };
    let subtype = Invalid::Subtype {
        found: 3,
        expected: 2,
    };
    let expected = [
        Invalid::HopLimit(254),
        Invalid::Source(global),
        type_found,
        Invalid::Code(1),
        subtype,
        Invalid::ZeroLengthOption { kind: 19 },
        Invalid::NoAccessPoint,
        Invalid::TooShort {
            present: 7,
            least: 8,
        },
    ];
    assert_eq!(found, expected);
}

fn eui64() -> impl Strategy<Value = Eui64> {
    any::<[u8; 8]>().prop_map(Eui64)
}

/// An option of another protocol, of whole units.
fn other() -> impl Strategy<Value = NdOption> {
    let data = any::<[u8; 22]>();
    (20_u8.., data).prop_map(|(kind, data)| NdOption::Unknown {
        kind,
        data: data.to_vec(),
    })
}

prop_compose! {
    fn neighbours()(
        access_point in eui64(),
        link_layer in eui64(),
        router in any::<u128>(),
        prefix in any::<u128>(),
        length in 0_u8..=128,
        others in proptest::collection::vec(other(), 0..3),
    ) -> Neighbour {
        let prefix = ipnet::Ipv6Net::new(prefix.into(), length).unwrap().trunc();
        Neighbour { access_point, link_layer, router: router.into(), prefix, others }
    }
}

fn known() -> impl Strategy<Value = Known> {
    prop_oneof![
        neighbours().prop_map(Known::Neighbour),
        eui64().prop_map(Known::SameLink),
        eui64().prop_map(Known::Nothing),
        eui64().prop_map(Known::NoFastHandover),
    ]
}

proptest! {
    #[test]
    fn every_advertisement_is_read_as_it_was_written(
        identifier in any::<u16>(),
        source_link_layer in proptest::option::of(eui64()),
        known in proptest::collection::vec(known(), 0..5),
    ) {
        let written = ProxyAdvertisement { identifier, source_link_layer, known };
        let read = ProxyAdvertisement::decode(HERE.link_local(), HOP_LIMIT, &written.encode());
        prop_assert_eq!(read, Ok(written));
    }

    #[test]
    fn any_octets_are_a_message_or_an_error(octets in proptest::collection::vec(any::<u8>(), 0..120)) {
        let mut octets = octets;
        for subtype in [2, 3] {
            for (place, octet) in [(0, FAST_HANDOVERS), (1, 0), (4, subtype)] {
                if let Some(at) = octets.get_mut(place) {
                    *at = octet;
                }
            }
            let source = HERE.link_local();
            let _ = ProxySolicitation::decode(source, HOP_LIMIT, &octets);
            if let Ok(read) = ProxyAdvertisement::decode(source, HOP_LIMIT, &octets) {
                let again = ProxyAdvertisement::decode(source, HOP_LIMIT, &read.encode());
                prop_assert_eq!(again, Ok(read));
            }
        }
    }
}
