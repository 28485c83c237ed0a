//! A router that has an advertisement for each of its hosts.

use std::net::Ipv6Addr;
use std::time::Duration;

use machine::{Machine, Origin};
use nd::visitors::Visitors;
use nd::{HOP_LIMIT, Invalid, RouterSolicitation};
use units::{Eui64, Seed, SimTime};

fn host(number: u8) -> Ipv6Addr {
    Eui64([0x02, 0, 0x5e, 0x10, 0, 0, 0, number]).link_local()
}

fn at(ms: u64) -> SimTime {
    SimTime::ZERO + Duration::from_millis(ms)
}

fn router(delay_ms: u64, seed: u64) -> Visitors {
    let delay = Duration::from_millis(delay_ms);
    Visitors::new([host(1), host(2)], delay, Seed(seed).rng(&["visitors"]))
}

/// A solicitation of a host's.
fn solicit(router: &mut Visitors, now: SimTime, source: Ipv6Addr) -> Result<(), Invalid> {
    let hop_limit = HOP_LIMIT;
    let from = Origin { source, hop_limit };
    router.handle_datagram(now, from, &RouterSolicitation::default().encode())
}

#[test]
fn a_host_that_solicits_is_told_of_and_answered_when_there_is_an_answer() {
    let mut router = router(0, 1);
    solicit(&mut router, at(0), host(1)).unwrap();
    solicit(&mut router, at(0), host(1)).unwrap();
    assert_eq!(
        (router.poll_event(), router.poll_event()),
        (Some(host(1)), None)
    );
    assert_eq!(
        (router.poll_transmit(), router.poll_timeout()),
        (None, None)
    );
    router.advertise(at(40), host(1), vec![7]);
    let sent = router.poll_transmit().unwrap();
    assert_eq!((sent.to, sent.payload), (host(1), vec![7]));
    assert_eq!(router.poll_transmit(), None);
}

#[test]
fn the_random_delay_runs_while_the_answer_is_waited_for() {
    let mut late = 0;
    for ms in 0..100 {
        let mut router = router(500, ms);
        solicit(&mut router, at(ms), host(1)).unwrap();
        router.advertise(at(ms + 250), host(1), vec![7]);
        let due = router.poll_timeout();
        assert_eq!(router.poll_transmit().is_none(), due.is_some());
        assert!(due.is_none_or(|due| due <= at(ms + 500)));
        late += u32::from(due.is_some());
        if let Some(due) = due {
            router.handle_timeout(due);
            assert!(router.poll_transmit().is_some());
        }
        // Nobody has asked meanwhile.
        router.advertise(at(9000), host(1), vec![8]);
        assert!(router.poll_transmit().is_some());
    }
    assert!((30..70).contains(&late), "{late} of 100");
}

#[test]
fn a_host_that_is_forgotten_or_not_known_gets_nothing() {
    let mut router = router(500, 1);
    solicit(&mut router, at(0), host(3)).unwrap();
    assert_eq!(router.poll_event(), None);
    router.advertise(at(0), host(3), vec![7]);
    solicit(&mut router, at(0), host(2)).unwrap();
    router.advertise(at(0), host(2), vec![7]);
    router.forget(host(2));
    router.handle_timeout(at(1000));
    assert_eq!(
        (router.poll_transmit(), router.poll_timeout()),
        (None, None)
    );
}
