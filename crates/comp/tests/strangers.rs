//! What strangers can do who know the protocol and have no keys: little, and nothing that lasts.

mod support;

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::Code;
use comp::codec::{self, Command, Lifetime};
use comp::mmt::MAX_PORTS;
use comp::wmms::MAX_HOLD;
use comp::{BindingMode, Limits};
use support::{Net, P, Setup, T1, T2, W, client_address, ms, socket};

const HOLD: Command = Command::Hold {
    p_addr: P,
    sleep: None,
};
const DISCOVERY: Command = Command::Discovery { p_addr: P };

/// Address `n` of a network of strangers.
fn stranger(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, n)
}

/// A net in which client 0 asks the node.
fn asked(setup: Setup) -> Net {
    let mut net = Net::registered(setup);
    net.get(0);
    net.run_until(1100);
    net
}

fn code(net: &mut Net, from: SocketAddrV6, command: &Command) -> Option<Code> {
    let request = net.newer(W, command);
    net.ask(from, W, request).map(|response| response.code)
}

#[test]
fn discoveries_from_all_ports_of_an_address_hide_the_node_from_nobody() {
    let mut net = asked(Setup::default());
    let limit = Limits::default().correspondents_per_node as u16;
    for port in 0..=limit {
        let from = SocketAddrV6::new(stranger(1), 20_000 + port, 0, 0);
        assert_eq!(code(&mut net, from, &DISCOVERY), Some(Code::CONTENT));
    }
    let known = &net.wmms.mmt().get(P).unwrap().extra.correspondents;
    assert_eq!(known.len(), 1 + MAX_PORTS);
    assert!(known.contains(socket(client_address(0))));
    assert_eq!(
        code(&mut net, socket(stranger(2)), &DISCOVERY),
        Some(Code::CONTENT)
    );
}

#[test]
fn discoveries_from_many_addresses_displace_no_client_that_is_registered() {
    let mut net = asked(Setup::default());
    let limit = Limits::default().correspondents_per_node as u16;
    for n in 0..2 * limit {
        let from = socket(stranger(n));
        assert_eq!(code(&mut net, from, &DISCOVERY), Some(Code::CONTENT), "{n}");
    }
    let known = &net.wmms.mmt().get(P).unwrap().extra.correspondents;
    assert_eq!(known.len(), usize::from(limit));
    assert!(known.contains(socket(client_address(0))));
    assert_eq!(net.wmms.refusals().len(), 0);
}

#[test]
fn a_hold_does_not_wait_for_a_correspondent_that_was_displaced() {
    let mut net = Net::registered(Setup {
        hold_timeout: Duration::from_secs(60),
        binding: BindingMode::Relayed,
        ..Setup::default()
    });
    let from = |port| SocketAddrV6::new(stranger(1), port, 0, 0);
    for port in 0..MAX_PORTS as u16 {
        code(&mut net, from(port), &DISCOVERY);
    }
    // None of them acknowledges the hold that is passed on.
    net.cut = Box::new(|_, d| *d.to.ip() == stranger(1) && d.is(Code::PUT));
    net.node.hold(net.now);
    net.run_until(2000);
    assert!(!prepared(&net));
    for port in 0..MAX_PORTS as u16 {
        code(&mut net, from(100 + port), &DISCOVERY);
    }
    net.run_until(2100);
    assert!(prepared(&net), "{:?}", net.node_steps);
}

fn prepared(net: &Net) -> bool {
    net.node_took(&handover::Step::Prepared).is_some()
}

#[test]
fn a_hold_that_its_node_does_not_end_ends_by_itself() {
    let mut net = asked(Setup::default());
    code(&mut net, socket(stranger(1)), &HOLD);
    net.run_until(1200);
    assert!(net.wmms.mmt().get(P).unwrap().held);
    // Also if the WMMS restarts meanwhile: from then on.
    net.restart_wmms(ms(500), BindingMode::Direct, net.table());
    let end = 1200 + MAX_HOLD.as_millis() as u64;
    net.run_until(end - 1);
    assert!(net.wmms.mmt().get(P).unwrap().held);
    net.run_until(end + 1);
    assert!(!net.wmms.mmt().get(P).unwrap().held);
    net.get(0);
    net.run_until(end + 500);
    assert_eq!(net.answered(), 2);
}

#[test]
fn a_sleep_of_49_days_is_refused_and_one_to_the_end_of_the_lifetime_ends_with_it() {
    let mut net = asked(Setup::default());
    let sleep = |period| Command::Hold {
        p_addr: P,
        sleep: Some(period),
    };
    let long = sleep(Duration::from_millis(u32::MAX.into()));
    assert_eq!(code(&mut net, socket(T1), &long), Some(Code::BAD_REQUEST));
    assert!(!net.wmms.mmt().get(P).unwrap().held);
    let longest = sleep(codec::MAX_SLEEP);
    code(&mut net, socket(T1), &longest);
    let entry = net.wmms.mmt().get(P).unwrap();
    assert!(entry.lifetime_ends < entry.sleep_ends.unwrap());
}

#[test]
fn a_network_that_fills_its_share_leaves_room_for_the_others() {
    let limits = Limits {
        entries: 64,
        entries_per_source: 4,
        ..Limits::default()
    };
    let mut net = Net::new(Setup::default());
    let empty = comp::mmt::Mmt::new(limits);
    net.restart_wmms(ms(500), BindingMode::Direct, empty);
    let mut served = 0;
    for n in 0..256 {
        let register = Command::Registration {
            p_addr: stranger(0x1000 + n),
            t_addr: stranger(n / 4),
            lifetime: Lifetime(u16::MAX),
        };
        let answer = code(&mut net, socket(stranger(n / 4)), &register);
        served += usize::from(answer == Some(Code::CREATED));
    }
    assert_eq!(served, 16);
    net.node_address = Some(T2);
    net.node.register(net.now, T2);
    net.run_until(100);
    assert_eq!(net.wmms.mmt().get(P).unwrap().t_addr, T2);
}
