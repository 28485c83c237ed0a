//! Router advertisements and solicitations: what is read is the same after encoding, and smoltcp
//! reads the same.

#![no_main]

use std::net::Ipv6Addr;

use libfuzzer_sys::fuzz_target;
use nd::{HOP_LIMIT, NdOption, RouterAdvertisement, RouterSolicitation};
use smoltcp::wire::{Icmpv6Packet, NdiscRepr};

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

fuzz_target!(|icmpv6: &[u8]| {
    if let Ok(solicitation) = RouterSolicitation::decode(ROUTER, HOP_LIMIT, icmpv6) {
        let encoded = solicitation.encode();
        assert_eq!(
            RouterSolicitation::decode(ROUTER, HOP_LIMIT, &encoded),
            Ok(solicitation)
        );
    }
    if let Ok(advertisement) = RouterAdvertisement::decode(ROUTER, HOP_LIMIT, icmpv6) {
        let encoded = advertisement.encode();
        let again = RouterAdvertisement::decode(ROUTER, HOP_LIMIT, &encoded);
        assert_eq!(again.as_ref(), Ok(&advertisement));
        agrees_with_smoltcp(&advertisement, icmpv6);
    }
});

/// smoltcp refuses options in forms that we keep as unknown.
fn agrees_with_smoltcp(ours: &RouterAdvertisement, icmpv6: &[u8]) {
    let Ok(packet) = Icmpv6Packet::new_checked(icmpv6) else {
        return;
    };
    let Ok(NdiscRepr::RouterAdvert {
        hop_limit,
        flags,
        router_lifetime,
        reachable_time,
        retrans_time,
        mtu,
        prefix_info,
        ..
    }) = NdiscRepr::parse(&packet)
    else {
        return;
    };
    use smoltcp::wire::NdiscRouterFlags as Flags;
    assert_eq!(hop_limit, ours.cur_hop_limit);
    assert_eq!(flags.contains(Flags::MANAGED), ours.managed);
    assert_eq!(flags.contains(Flags::OTHER), ours.other);
    assert_eq!(router_lifetime.secs(), ours.router_lifetime_s.into());
    assert_eq!(reachable_time.total_millis(), ours.reachable_time_ms.into());
    assert_eq!(retrans_time.total_millis(), ours.retrans_timer_ms.into());
    // Of an option that is there more than once smoltcp keeps the last.
    let last_mtu = ours.options.iter().rev().find_map(|option| match option {
        NdOption::Mtu(mtu) => Some(*mtu),
        _ => None,
    });
    assert_eq!(mtu, last_mtu);
    // One of more than 128 bits is none to us.
    let last_prefix = ours.options.iter().rev().find_map(|option| match option {
        NdOption::Prefix(prefix) => Some(Some(prefix)),
        NdOption::Unknown { kind: 3, .. } => Some(None),
        _ => None,
    });
    if let (Some(theirs), Some(Some(prefix))) = (prefix_info, last_prefix) {
        assert_eq!(theirs.prefix_len, prefix.prefix.prefix_len());
        assert_eq!(theirs.valid_lifetime.secs(), prefix.valid_lifetime_s.into());
        assert_eq!(
            theirs.preferred_lifetime.secs(),
            prefix.preferred_lifetime_s.into()
        );
    }
}
