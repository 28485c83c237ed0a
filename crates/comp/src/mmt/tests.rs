//! The table and its limits.

use super::*;

const P1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const P2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const P3: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 3);
const T1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const T2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);

const NEW: Result<Enrolled, Limit> = Ok(Enrolled::New);
const BEFORE: Result<Enrolled, Limit> = Ok(Enrolled::Before);

fn at(seconds: u64) -> SimTime {
    SimTime::ZERO + Duration::from_secs(seconds)
}

fn client(port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(P2, port, 0, 0)
}

fn table(limits: Limits) -> Mmt {
    let mut mmt = Mmt::new(limits);
    mmt.bind(at(0), P1, T1, Lifetime(20), T1);
    mmt
}

#[test]
fn a_binding_renews_the_lifetime_clears_the_hold_and_keeps_the_correspondents() {
    let mut mmt = table(Limits::default());
    assert_eq!(mmt.add_correspondent(P1, client(5683)), NEW);
    assert!(mmt.hold(at(1), P1, Some(Duration::from_secs(5))));
    mmt.bind(at(2), P1, T2, Lifetime(20), T2);
    let entry = mmt.get(P1).unwrap();
    assert_eq!((entry.t_addr, entry.held), (T2, false));
    assert!(entry.extra.correspondents.iter().eq([client(5683)]));
    assert_eq!(mmt.next_deadline(), Some(at(22)), "the sleep's end is off");
}

#[test]
fn correspondents_are_bounded_and_known_ones_stay_welcome() {
    let mut mmt = table(Limits {
        correspondents_per_node: 2,
        ..Limits::default()
    });
    // Nodes that are registered themselves.
    mmt.bind(at(0), P2, P2, Lifetime(20), P2);
    mmt.bind(at(0), P3, P3, Lifetime(20), P3);
    let on = |ip| SocketAddrV6::new(ip, 5683, 0, 0);
    assert_eq!(mmt.add_correspondent(P1, on(P2)), NEW);
    assert_eq!(mmt.add_correspondent(P1, on(P3)), NEW);
    assert_eq!(mmt.add_correspondent(P1, on(P2)), BEFORE);
    let displaced = Ok(Enrolled::InPlaceOf(on(P3)));
    assert_eq!(mmt.add_correspondent(P1, on(T2)), displaced);
    mmt.remove_correspondent(P1, on(P2));
    assert_eq!(mmt.add_correspondent(P1, on(P3)), NEW);
    let kept = &mmt.get(P1).unwrap().extra.correspondents;
    assert!(kept.iter().eq([on(P3), on(T2)]));
    let unknown = mmt.add_correspondent(T1, on(P2));
    assert_eq!(unknown, Ok(Enrolled::Nowhere));
}

#[test]
fn registered_nodes_of_one_network_displace_each_other_and_nobody_else() {
    let limit = 256;
    let mut mmt = table(Limits::default());
    let host = |net: u16, n: u16| {
        let ip = Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, n);
        SocketAddrV6::new(ip, 5683, 0, 0)
    };
    let mut join = |net, n| {
        let from = host(net, n);
        mmt.bind(at(0), *from.ip(), *from.ip(), Lifetime(20), *from.ip());
        mmt.add_correspondent(P1, from)
    };
    assert_eq!(join(7, 1), NEW);
    for n in 1..limit {
        assert_eq!(join(8, n), NEW);
    }
    for n in limit..3 * limit {
        let displaced = Ok(Enrolled::InPlaceOf(host(8, n + 1 - limit)));
        assert_eq!(join(8, n), displaced);
    }
    for n in 2..100 {
        let Ok(Enrolled::InPlaceOf(displaced)) = join(7, n) else {
            panic!("{n} is refused");
        };
        assert_eq!(displaced.ip().segments()[2], 8, "{n}");
    }
    let kept = &mmt.get(P1).unwrap().extra.correspondents;
    assert!((1..100).all(|n| kept.contains(host(7, n))));
    assert_eq!(kept.len(), usize::from(limit));
}

#[test]
fn strangers_displace_who_of_them_asked_longest_ago_and_no_registered_node() {
    let mut mmt = table(Limits {
        correspondents_per_node: 3,
        ..Limits::default()
    });
    mmt.bind(at(0), P2, P2, Lifetime(20), P2);
    let stranger = |n: u16| SocketAddrV6::new(Ipv6Addr::from(n as u128), 5683, 0, 0);
    assert_eq!(mmt.add_correspondent(P1, client(5683)), NEW);
    assert_eq!(mmt.add_correspondent(P1, stranger(1)), NEW);
    assert_eq!(mmt.add_correspondent(P1, stranger(2)), NEW);
    assert_eq!(mmt.add_correspondent(P1, stranger(1)), BEFORE);
    let displaced = |n| Ok(Enrolled::InPlaceOf(stranger(n)));
    assert_eq!(mmt.add_correspondent(P1, stranger(3)), displaced(2));
    for n in 4..1000 {
        let before = if n == 4 { 1 } else { n - 2 };
        assert_eq!(mmt.add_correspondent(P1, stranger(n)), displaced(before));
    }
    let kept = &mmt.get(P1).unwrap().extra.correspondents;
    assert!(kept.contains(client(5683)) && kept.len() == 3);
    assert_eq!(mmt.asked_by(*stranger(5).ip()).len(), 0);
}

#[test]
fn many_ports_of_one_address_are_few_correspondents() {
    let mut mmt = table(Limits::default());
    for port in 0..300 {
        let enrolled = mmt.add_correspondent(P1, client(port));
        let expected = match port.checked_sub(MAX_PORTS as u16) {
            None => Enrolled::New,
            Some(first) => Enrolled::InPlaceOf(client(first)),
        };
        assert_eq!(enrolled, Ok(expected));
    }
    let kept = &mmt.get(P1).unwrap().extra.correspondents;
    assert_eq!(kept.len(), MAX_PORTS);
    assert_eq!(mmt.asked.count(P2), MAX_PORTS);
}

#[test]
fn the_discoveries_of_a_source_are_bounded_over_all_nodes() {
    let mut mmt = table(Limits {
        discoveries_per_source: 1,
        ..Limits::default()
    });
    mmt.bind(at(0), P3, T2, Lifetime(20), T2);
    assert_eq!(mmt.add_correspondent(P1, client(1)), NEW);
    let much = Err(Limit::DiscoveriesPerSource);
    assert_eq!(mmt.add_correspondent(P3, client(2)), much, "another port");
    let other = SocketAddrV6::new(T2, 1, 0, 0);
    assert_eq!(mmt.add_correspondent(P3, other), NEW, "another source");
    mmt.remove(at(0), P1);
    assert_eq!(mmt.add_correspondent(P3, client(2)), NEW);
}

#[test]
fn one_network_has_a_quarter_of_the_table_however_many_addresses_it_has() {
    let mut mmt = Mmt::new(Limits {
        entries: 8,
        entries_per_source: 1,
        ..Limits::default()
    });
    let host = |net: u16, n: u16| Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, n);
    let mut join = |net, n| {
        let admitted = mmt.admits(host(net, n), host(net, n));
        if admitted.is_ok() {
            mmt.bind(
                at(0),
                host(net, n),
                host(net, n),
                Lifetime(20),
                host(net, n),
            );
        }
        admitted
    };
    assert_eq!((join(1, 1), join(1, 2)), (Ok(()), Ok(())));
    assert_eq!(join(1, 3), Err(Limit::EntriesPerNetwork));
    assert_eq!(join(2, 1), Ok(()));
    assert_eq!(join(1, 2), Ok(()), "known");
    assert_eq!(mmt.expire(at(20)), Some(Expired::Lifetime(host(1, 1))));
    assert_eq!(mmt.admits(host(1, 3), host(1, 3)), Ok(()));
}

#[test]
fn the_entries_of_a_source_are_bounded_until_they_leave() {
    let mut mmt = table(Limits {
        entries_per_source: 1,
        entries: 2,
        ..Limits::default()
    });
    assert_eq!(mmt.admits(P1, T1), Ok(()), "its own");
    assert_eq!(mmt.admits(P2, T1), Err(Limit::EntriesPerSource));
    assert_eq!(mmt.admits(P2, T2), Ok(()));
    mmt.bind(at(1), P1, T2, Lifetime(20), T2);
    assert_eq!(mmt.admits(P2, T1), Ok(()), "the node has moved on");
    assert_eq!(mmt.admits(P2, T2), Err(Limit::EntriesPerSource));
    mmt.bind(at(1), P2, T1, Lifetime(30), T1);
    assert_eq!(mmt.admits(P3, P3), Err(Limit::Entries));
    assert_eq!(mmt.expire(at(21)), Some(Expired::Lifetime(P1)));
    assert_eq!(mmt.admits(P3, T2), Ok(()));
}

#[test]
fn correspondents_that_move_are_found_and_counted_where_they_are() {
    let mut mmt = table(Limits {
        discoveries_per_source: 2,
        ..Limits::default()
    });
    mmt.bind(at(0), P2, T2, Lifetime(20), T2);
    let (here, mut there) = (client(0), client(0));
    there.set_ip(T2);
    mmt.add_correspondent(P1, here).unwrap();
    mmt.add_correspondent(P2, here).unwrap();
    mmt.add_correspondent(P2, there).unwrap();
    mmt.take_changes();
    assert_eq!(mmt.move_correspondents(*here.ip(), T2, Some(7)), []);
    let moved = mmt.move_correspondents(*here.ip(), T2, None);
    assert_eq!(moved, [(P1, here, true), (P2, here, true)]);
    assert!(mmt.take_changes().into_iter().eq([P1, P2]), "to be saved");
    assert!(mmt.asked_by(*here.ip()).is_empty());
    assert!(mmt.asked_by(T2).into_iter().eq([P1, P2]));
    let of = |p: Ipv6Addr| mmt.get(p).unwrap().extra.correspondents.clone();
    assert!(of(P1).iter().eq([there]) && of(P2).iter().eq([there]));
    // The former address has room again, the present one none.
    mmt.bind(at(0), P3, T1, Lifetime(20), T1);
    assert_eq!(mmt.add_correspondent(P3, here), NEW);
    let full = Err(Limit::DiscoveriesPerSource);
    assert_eq!(mmt.add_correspondent(P3, there), full);
}

#[test]
fn every_change_is_reported_once_and_putting_back_is_none() {
    let mut mmt = table(Limits::default());
    assert!(mmt.take_changes().into_iter().eq([P1]));
    assert!(!mmt.has_changes());
    let entry = mmt.get(P1).unwrap().clone();
    mmt.restore(P2, Some(entry));
    assert!(!mmt.has_changes());
    let changes: [fn(&mut Mmt); 7] = [
        |mmt| assert!(mmt.hold(at(1), P1, Some(Duration::from_secs(1)))),
        |mmt| assert_eq!(mmt.add_correspondent(P1, client(0)), NEW),
        |mmt| mmt.remove_correspondent(P1, client(0)),
        |mmt| mmt.set_sequence_number(P1, 7),
        |mmt| mmt.set_telling(P1, true),
        |mmt| assert_eq!(mmt.expire(at(2)), Some(Expired::Sleep(P1))),
        |mmt| assert!(mmt.remove(at(0), P1).is_some()),
    ];
    for change in changes {
        change(&mut mmt);
        assert!(mmt.take_changes().into_iter().eq([P1]));
    }
}

#[test]
fn what_is_put_back_takes_the_place_and_the_share_of_what_was_there() {
    let mut mmt = table(Limits {
        entries_per_source: 1,
        ..Limits::default()
    });
    let entry = mmt.get(P1).unwrap().clone();
    mmt.restore(P1, Some(entry));
    mmt.restore(P1, None);
    assert!(mmt.is_empty());
    assert_eq!(mmt.admits(P2, T1), Ok(()));
    assert_eq!(mmt.next_deadline(), None);
}

#[test]
fn a_lifetime_written_by_a_clock_that_was_ahead_is_the_longest_there_is() {
    let mut mmt = Mmt::new(Limits::default());
    mmt.bind(at(1_000_000), P1, T1, Lifetime(20), T1);
    mmt.correct_lifetimes(at(10));
    // Option 2051: 16 bits of seconds.
    assert_eq!(mmt.next_deadline(), Some(at(10 + 65_535)));
}
