//! The codec against bytes of other implementations: a Linux 6.18 host and radvd 2.19, captured
//! on a veth pair with dumpcap and checked with tshark; and smoltcp's encoder and decoder.

use std::net::Ipv6Addr;

use nd::{
    HOP_LIMIT, Invalid, LinkLayerAddress, NdOption, PrefixInformation, RouterAdvertisement,
    RouterSolicitation,
};
use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::Duration as SmolDuration;
use smoltcp::wire::{
    Icmpv6Packet, Icmpv6Repr, NdiscPrefixInfoFlags, NdiscPrefixInformation, NdiscRepr,
    NdiscRouterFlags, RawHardwareAddress,
};
use units::{Eui64, ShortAddress};

const HOST: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5eff, 0xfe00, 0x0c);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5eff, 0xfe00, 0x0a);

/// Linux, interface coming up: Ethernet, so the link-layer address takes one unit.
#[rustfmt::skip]
const LINUX_SOLICITATION: [u8; 16] = [
    0x85, 0x00, 0xbf, 0x15, // router solicitation, code 0, checksum
    0x00, 0x00, 0x00, 0x00, // reserved
    0x01, 0x01, 0x02, 0x00, 0x5e, 0x00, 0x00, 0x0c, // source link-layer address, 1 unit
];

/// radvd: AdvManagedFlag on, AdvOtherConfigFlag on, AdvLinkMTU 1280, AdvReachableTime 30000,
/// AdvRetransTimer 1000, AdvDefaultLifetime 1800, AdvCurHopLimit 64.
#[rustfmt::skip]
const RADVD_ADVERTISEMENT: [u8; 64] = [
    0x86, 0x00, 0x9b, 0x3f, // router advertisement, code 0, checksum
    0x40, 0xc0, 0x07, 0x08, // cur hop limit 64, M and O, lifetime 1800 s
    0x00, 0x00, 0x75, 0x30, // reachable time 30000 ms
    0x00, 0x00, 0x03, 0xe8, // retrans timer 1000 ms
    0x03, 0x04, 0x40, 0xc0, // prefix information, 4 units, 64 bits, L and A
    0x00, 0x01, 0x51, 0x80, // valid lifetime 86400 s
    0x00, 0x00, 0x38, 0x40, // preferred lifetime 14400 s
    0x00, 0x00, 0x00, 0x00, // reserved
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x01, 0x00, 0x00, // 2001:db8:1::
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x05, 0x01, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00, // MTU 1280
    0x01, 0x01, 0x02, 0x00, 0x5e, 0x00, 0x00, 0x0a, // source link-layer address, 1 unit
];

/// The form of RFC 4944 §8, drawn by hand from its figure.
#[rustfmt::skip]
const EXTENDED_ADDRESS_SOLICITATION: [u8; 24] = [
    0x85, 0x00, 0x00, 0x00, // router solicitation, code 0, checksum left to the kernel
    0x00, 0x00, 0x00, 0x00, // reserved
    0x01, 0x02, // source link-layer address, 2 units
    0x02, 0x00, 0x5e, 0x10, 0x00, 0x00, 0x00, 0x01, // EUI-64
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // padding
];

const EUI64: Eui64 = Eui64([0x02, 0x00, 0x5e, 0x10, 0x00, 0x00, 0x00, 0x01]);

fn without_checksum(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[2..4].fill(0);
    bytes
}

fn ethernet(last: u8) -> NdOption {
    NdOption::Unknown {
        kind: 1,
        data: vec![0x02, 0x00, 0x5e, 0x00, 0x00, last],
    }
}

#[test]
fn linux_solicitation_is_read_and_written_octet_for_octet() {
    let message = RouterSolicitation::decode(HOST, HOP_LIMIT, &LINUX_SOLICITATION).unwrap();
    assert_eq!(message.options, [ethernet(0x0c)]);
    assert_eq!(message.encode(), without_checksum(&LINUX_SOLICITATION));
}

#[test]
fn radvd_advertisement_is_read_and_written_octet_for_octet() {
    let message = RouterAdvertisement::decode(ROUTER, HOP_LIMIT, &RADVD_ADVERTISEMENT).unwrap();
    let expected = RouterAdvertisement {
        cur_hop_limit: 64,
        managed: true,
        other: true,
        router_lifetime_s: 1800,
        reachable_time_ms: 30_000,
        retrans_timer_ms: 1000,
        options: vec![
            NdOption::Prefix(PrefixInformation {
                prefix: "2001:db8:1::/64".parse().unwrap(),
                on_link: true,
                autonomous: true,
                valid_lifetime_s: 86_400,
                preferred_lifetime_s: 14_400,
            }),
            NdOption::Mtu(1280),
            ethernet(0x0a),
        ],
    };
    assert_eq!(message, expected);
    assert_eq!(message.encode(), without_checksum(&RADVD_ADVERTISEMENT));
}

#[test]
fn an_eui64_takes_two_units_with_six_octets_of_padding() {
    let bytes = EXTENDED_ADDRESS_SOLICITATION;
    let message = RouterSolicitation::decode(HOST, HOP_LIMIT, &bytes).unwrap();
    let address = LinkLayerAddress::Extended(EUI64);
    assert_eq!(message.source_link_layer(), Some(address));
    assert_eq!(message.encode(), bytes);
}

#[test]
fn smoltcp_reads_and_writes_the_same_eui64_solicitation() {
    let repr = Icmpv6Repr::Ndisc(NdiscRepr::RouterSolicit {
        lladdr: Some(RawHardwareAddress::from_bytes(&EUI64.0)),
    });
    assert_eq!(smoltcp_encode(&repr), EXTENDED_ADDRESS_SOLICITATION);
    assert_eq!(smoltcp_decode(&EXTENDED_ADDRESS_SOLICITATION), repr);
}

fn smoltcp_encode(repr: &Icmpv6Repr) -> Vec<u8> {
    let mut bytes = vec![0; repr.buffer_len()];
    let mut packet = Icmpv6Packet::new_unchecked(&mut bytes);
    repr.emit(
        &HOST,
        &ROUTER,
        &mut packet,
        &ChecksumCapabilities::ignored(),
    );
    bytes
}

fn smoltcp_decode(bytes: &[u8]) -> Icmpv6Repr<'_> {
    let packet = Icmpv6Packet::new_checked(bytes).unwrap();
    Icmpv6Repr::parse(&HOST, &ROUTER, &packet, &ChecksumCapabilities::ignored()).unwrap()
}

/// The same advertisement for smoltcp, which keeps one option of each kind.
fn for_smoltcp(ours: &RouterAdvertisement) -> Icmpv6Repr<'static> {
    let seconds = |s: u32| SmolDuration::from_secs(u64::from(s));
    let millis = |ms: u32| SmolDuration::from_millis(u64::from(ms));
    let mut flags = NdiscRouterFlags::empty();
    flags.set(NdiscRouterFlags::MANAGED, ours.managed);
    flags.set(NdiscRouterFlags::OTHER, ours.other);
    let prefix_info = ours.prefixes().next().map(|prefix| {
        let mut flags = NdiscPrefixInfoFlags::empty();
        flags.set(NdiscPrefixInfoFlags::ON_LINK, prefix.on_link);
        flags.set(NdiscPrefixInfoFlags::ADDRCONF, prefix.autonomous);
        NdiscPrefixInformation {
            prefix_len: prefix.prefix.prefix_len(),
            flags,
            valid_lifetime: seconds(prefix.valid_lifetime_s),
            preferred_lifetime: seconds(prefix.preferred_lifetime_s),
            prefix: prefix.prefix.network(),
        }
    });
    let lladdr = match ours.source_link_layer() {
        Some(LinkLayerAddress::Extended(address)) => {
            Some(RawHardwareAddress::from_bytes(&address.0))
        }
        _ => None,
    };
    Icmpv6Repr::Ndisc(NdiscRepr::RouterAdvert {
        hop_limit: ours.cur_hop_limit,
        flags,
        router_lifetime: seconds(u32::from(ours.router_lifetime_s)),
        reachable_time: millis(ours.reachable_time_ms),
        retrans_time: millis(ours.retrans_timer_ms),
        lladdr,
        mtu: ours.mtu(),
        prefix_info,
    })
}

fn prefix() -> impl Strategy<Value = PrefixInformation> {
    let parts = (
        any::<[u8; 16]>(),
        0..=128u8,
        any::<[bool; 2]>(),
        any::<[u32; 2]>(),
    );
    parts.prop_map(
        |(address, length, [on_link, autonomous], [valid, preferred])| PrefixInformation {
            prefix: ipnet::Ipv6Net::new(address.into(), length).unwrap().trunc(),
            on_link,
            autonomous,
            valid_lifetime_s: valid,
            preferred_lifetime_s: preferred,
        },
    )
}

fn any_option() -> impl Strategy<Value = NdOption> {
    let extended = any::<[u8; 8]>().prop_map(|octets| LinkLayerAddress::Extended(Eui64(octets)));
    let short = any::<u16>().prop_map(|short| LinkLayerAddress::Short(ShortAddress(short)));
    let unknown = (6..=255u8, 1..4usize, any::<u8>());
    prop_oneof![
        extended.prop_map(NdOption::SourceLinkLayer),
        short.prop_map(NdOption::SourceLinkLayer),
        prefix().prop_map(NdOption::Prefix),
        any::<u32>().prop_map(NdOption::Mtu),
        unknown.prop_map(|(kind, units, fill)| NdOption::Unknown {
            kind,
            data: vec![fill; units * 8 - 2]
        }),
    ]
}

fn advertisement(
    options: impl Strategy<Value = Vec<NdOption>>,
) -> impl Strategy<Value = RouterAdvertisement> {
    let fixed = (
        any::<u8>(),
        any::<[bool; 2]>(),
        any::<u16>(),
        any::<[u32; 2]>(),
    );
    (fixed, options).prop_map(|((hop, [managed, other], lifetime, times), options)| {
        RouterAdvertisement {
            cur_hop_limit: hop,
            managed,
            other,
            router_lifetime_s: lifetime,
            reachable_time_ms: times[0],
            retrans_timer_ms: times[1],
            options,
        }
    })
}

/// The order in which smoltcp writes options.
fn smoltcp_options() -> impl Strategy<Value = Vec<NdOption>> {
    let address = proptest::option::of(any::<[u8; 8]>());
    let mtu = proptest::option::of(any::<u32>());
    (address, mtu, proptest::option::of(prefix())).prop_map(|(address, mtu, prefix)| {
        let address = address
            .map(|octets| NdOption::SourceLinkLayer(LinkLayerAddress::Extended(Eui64(octets))));
        let mtu = mtu.map(NdOption::Mtu);
        address
            .into_iter()
            .chain(mtu)
            .chain(prefix.map(NdOption::Prefix))
            .collect()
    })
}

proptest! {
    #[test]
    fn every_message_survives_its_encoding(
        advertisement in advertisement(proptest::collection::vec(any_option(), 0..5)),
    ) {
        let decoded = RouterAdvertisement::decode(ROUTER, HOP_LIMIT, &advertisement.encode());
        prop_assert_eq!(decoded.as_ref(), Ok(&advertisement));
        let solicitation = RouterSolicitation { options: advertisement.options };
        let decoded = RouterSolicitation::decode(HOST, HOP_LIMIT, &solicitation.encode());
        prop_assert_eq!(decoded, Ok(solicitation));
    }

    #[test]
    fn smoltcp_writes_the_same_octets_and_reads_the_same_values(
        ours in advertisement(smoltcp_options()),
    ) {
        let theirs = for_smoltcp(&ours);
        let bytes = ours.encode();
        prop_assert_eq!(&smoltcp_encode(&theirs), &bytes);
        prop_assert_eq!(smoltcp_decode(&bytes), theirs);
    }

    #[test]
    fn whatever_decodes_is_stable_and_nothing_panics(
        kind in prop_oneof![Just(133u8), Just(134u8), any::<u8>()],
        rest in proptest::collection::vec(prop_oneof![0..8u8, any::<u8>()], 0..100),
    ) {
        let bytes = [&[kind, 0][..], &rest].concat();
        if let Ok(message) = RouterAdvertisement::decode(ROUTER, HOP_LIMIT, &bytes) {
            let again = RouterAdvertisement::decode(ROUTER, HOP_LIMIT, &message.encode());
            prop_assert_eq!(again, Ok(message));
        }
        if let Ok(message) = RouterSolicitation::decode(HOST, HOP_LIMIT, &bytes) {
            let again = RouterSolicitation::decode(HOST, HOP_LIMIT, &message.encode());
            prop_assert_eq!(again, Ok(message));
        }
    }
}

#[test]
fn a_solicitation_that_breaks_a_rule_of_section_6_1_1_is_refused_for_it() {
    let decode = RouterSolicitation::decode;
    let good = EXTENDED_ADDRESS_SOLICITATION;
    assert_eq!(decode(HOST, 254, &good), Err(Invalid::HopLimit(254)));
    let unspecified = decode(Ipv6Addr::UNSPECIFIED, HOP_LIMIT, &good);
    assert_eq!(unspecified, Err(Invalid::LinkLayerOfUnspecified));
    let code = decode(HOST, HOP_LIMIT, &[133, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(code, Err(Invalid::Code(1)));
    let short = Invalid::TooShort {
        present: 7,
        least: 8,
    };
    assert_eq!(decode(HOST, HOP_LIMIT, &good[..7]), Err(short));
    let zero = decode(HOST, HOP_LIMIT, &[133, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(zero, Err(Invalid::ZeroLengthOption { kind: 1 }));
    let cut = Invalid::TruncatedOption {
        kind: 1,
        length: 16,
        present: 15,
    };
    assert_eq!(decode(HOST, HOP_LIMIT, &good[..23]), Err(cut));
    let wrong = Invalid::Type {
        found: 134,
        expected: 133,
    };
    assert_eq!(decode(HOST, HOP_LIMIT, &RADVD_ADVERTISEMENT), Err(wrong));
}

#[test]
fn an_advertisement_that_breaks_a_rule_of_section_6_1_2_is_refused_for_it() {
    let decode = RouterAdvertisement::decode;
    let good = RADVD_ADVERTISEMENT;
    let global: Ipv6Addr = "2001:db8::1".parse().unwrap();
    assert_eq!(
        decode(global, HOP_LIMIT, &good),
        Err(Invalid::Source(global))
    );
    assert_eq!(decode(ROUTER, 64, &good), Err(Invalid::HopLimit(64)));
    let short = Invalid::TooShort {
        present: 15,
        least: 16,
    };
    assert_eq!(decode(ROUTER, HOP_LIMIT, &good[..15]), Err(short));
    let mut code = good;
    code[1] = 2;
    assert_eq!(decode(ROUTER, HOP_LIMIT, &code), Err(Invalid::Code(2)));
    let empty = Invalid::TooShort {
        present: 0,
        least: 16,
    };
    assert_eq!(decode(ROUTER, HOP_LIMIT, &[]), Err(empty));
}
