//! A neighbour that is watched, under virtual time.

use std::net::Ipv6Addr;
use std::time::Duration;

use machine::{Machine, Origin};
use nd::reachability::{Config, NEIGHBOUR_ADVERTISEMENT, Presence, Watch};
use nd::{HOP_LIMIT, Invalid};
use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Icmpv6Packet, Icmpv6Repr, NdiscNeighborFlags, NdiscRepr, RawHardwareAddress};
use units::{Eui64, SimTime};

const ROUTER: Eui64 = Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 1]);

fn node() -> Ipv6Addr {
    Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, 2]).link_local()
}

fn at(ms: u64) -> SimTime {
    SimTime::ZERO + Duration::from_millis(ms)
}

fn from(hop_limit: u8) -> Origin {
    Origin {
        source: node(),
        hop_limit,
    }
}

/// A neighbour advertisement (RFC 4861 §4.4) with these flags.
fn advertisement(target: Ipv6Addr, flags: u8) -> Vec<u8> {
    let mut out = vec![NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    out.extend(target.octets());
    out
}

/// When it has asked until `end`, and what became of whom.
fn run(watch: &mut Watch, end: u64) -> (Vec<SimTime>, Vec<(SimTime, Presence)>) {
    let (mut asked, mut gone) = (Vec::new(), Vec::new());
    while let Some(now) = watch.poll_timeout().filter(|due| *due <= at(end)) {
        watch.handle_timeout(now);
        while let Some(transmit) = watch.poll_transmit() {
            assert_eq!(transmit.to, node());
            asked.push(now);
        }
        gone.extend(std::iter::from_fn(|| watch.poll_event()).map(|who| (now, who)));
    }
    (asked, gone)
}

fn watch() -> Watch {
    let mut watch = Watch::new(Config::new(ROUTER)).unwrap();
    watch.heard(at(0), node());
    watch
}

#[test]
fn who_does_not_answer_three_times_is_gone_33_s_after_it_was_heard_of() {
    let mut watch = watch();
    let (asked, gone) = run(&mut watch, 100_000);
    assert_eq!(asked, [at(30_000), at(31_000), at(32_000)]);
    assert_eq!(gone, [(at(33_000), Presence::Gone(node()))]);
    assert_eq!(watch.poll_timeout(), None);
}

#[test]
fn who_answers_too_late_is_back() {
    let mut watch = watch();
    run(&mut watch, 33_000);
    let answer = advertisement(node(), 0x60);
    watch
        .handle_datagram(at(33_010), from(HOP_LIMIT), &answer)
        .unwrap();
    assert_eq!(watch.poll_event(), Some(Presence::Back(node())));
    assert_eq!(watch.poll_timeout(), Some(at(63_010)));
    // And again, but not for ever.
    run(&mut watch, 100_000);
    let late = watch.handle_datagram(at(200_000), from(HOP_LIMIT), &answer);
    assert_eq!(late, Err(Invalid::NotAsked));
}

#[test]
fn an_answer_that_was_asked_for_says_that_a_neighbour_is_there() {
    let mut watch = watch();
    run(&mut watch, 31_000);
    let answer = advertisement(node(), 0x60);
    watch
        .handle_datagram(at(31_500), from(HOP_LIMIT), &answer)
        .unwrap();
    assert_eq!(watch.poll_timeout(), Some(at(61_500)));
    watch.forget(node());
    assert_eq!(watch.poll_timeout(), None);
}

#[test]
fn what_was_not_asked_for_or_was_forwarded_says_nothing() {
    let mut watch = watch();
    let mut hear = |hop_limit, bytes: &[u8]| watch.handle_datagram(at(5), from(hop_limit), bytes);
    let unsolicited = advertisement(node(), 0x20);
    assert_eq!(hear(HOP_LIMIT, &unsolicited), Err(Invalid::NotAsked));
    let of_another = advertisement(ROUTER.link_local(), 0x60);
    assert_eq!(hear(HOP_LIMIT, &of_another), Err(Invalid::NotAsked));
    let good = advertisement(node(), 0x60);
    assert_eq!(hear(64, &good), Err(Invalid::HopLimit(64)));
    let short = hear(HOP_LIMIT, &good[..20]);
    assert!(matches!(
        short,
        Err(Invalid::TooShort {
            present: 20,
            least: 24
        })
    ));
    assert_eq!(watch.poll_timeout(), Some(at(30_000)));
}

#[test]
fn smoltcp_reads_a_solicitation_and_writes_the_answer() {
    let mut watch = watch();
    watch.handle_timeout(at(30_000));
    let payload = watch.poll_transmit().unwrap().payload;
    let (own, sums) = (ROUTER.link_local(), ChecksumCapabilities::ignored());
    let packet = Icmpv6Packet::new_checked(&payload).unwrap();
    let read = Icmpv6Repr::parse(&own, &node(), &packet, &sums).unwrap();
    let asks = NdiscRepr::NeighborSolicit {
        target_addr: node(),
        lladdr: Some(RawHardwareAddress::from_bytes(&ROUTER.0)),
    };
    assert_eq!(read, Icmpv6Repr::Ndisc(asks));
    let answer = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
        target_addr: node(),
        lladdr: None,
    });
    let mut bytes = vec![0; answer.buffer_len()];
    let mut packet = Icmpv6Packet::new_unchecked(&mut bytes);
    answer.emit(&node(), &own, &mut packet, &sums);
    watch
        .handle_datagram(at(30_010), from(HOP_LIMIT), &bytes)
        .unwrap();
    assert_eq!(watch.poll_timeout(), Some(at(60_010)));
}

#[test]
fn times_of_zero_are_refused() {
    let zero = Config {
        retrans_timer: Duration::ZERO,
        ..Config::new(ROUTER)
    };
    assert_eq!(Watch::new(zero).unwrap_err().variable, "RetransTimer");
}

proptest! {
    #[test]
    fn any_octets_are_an_advertisement_or_an_error(octets in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = watch().handle_datagram(at(1), from(HOP_LIMIT), &octets);
    }
}
