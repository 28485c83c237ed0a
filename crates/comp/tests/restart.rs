//! A WMMS that is restarted in the middle, and one that is asked for too much.

use std::net::{Ipv6Addr, SocketAddrV6};

use crate::support::*;
use coap::Code;
use comp::codec::{Command, Lifetime};
use comp::{BindingMode, Limit, Limits};
use handover::Mobility;

#[test]
fn a_binding_that_was_on_its_way_when_the_wmms_crashed_is_passed_on_again() {
    let mut net = Net::registered(Setup {
        binding: BindingMode::Relayed,
        ..Setup::default()
    });
    net.get(0);
    net.run_until(1100);
    // The client cannot be reached while the node binds, and the WMMS dies before it tries again.
    net.cut = Box::new(|_, d| *d.from.ip() == W && *d.to.ip() == client_address(0));
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(1500);
    assert!(net.wmms.mmt().get(P).unwrap().extra.telling);
    net.cut = Box::new(|_, _| false);
    net.restart_wmms(ms(500), BindingMode::Relayed, net.table());
    net.run_until(1600);
    assert_eq!(net.clients[0].client().lbc().get(P).unwrap().t_addr, T2);
    assert!(!net.wmms.mmt().get(P).unwrap().extra.telling, "it has come");
}

#[test]
fn a_source_that_registers_too_much_is_refused_and_counted_and_others_are_served() {
    let mut net = Net::registered(Setup::default());
    let limits = Limits {
        entries_per_source: 2,
        ..Limits::default()
    };
    net.restart_wmms(ms(500), BindingMode::Direct, comp::mmt::Mmt::new(limits));
    let p = |n| Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, n);
    let register = |n| Command::Registration {
        p_addr: p(n),
        t_addr: T1,
        lifetime: Lifetime(60),
    };
    let greedy = SocketAddrV6::new(p(0xff), 5683, 0, 0);
    let mut ask = |from, n| net.ask(from, W, register(n).request()).unwrap().code;
    assert_eq!([ask(greedy, 1), ask(greedy, 2)], [Code::CREATED; 2]);
    assert_eq!(ask(greedy, 3), Code::TOO_MANY_REQUESTS);
    assert_eq!(ask(greedy, 1), Code::CREATED, "its own entry, again");
    let modest = SocketAddrV6::new(p(0xfe), 5683, 0, 0);
    assert_eq!(ask(modest, 3), Code::CREATED);
    let refusals: Vec<_> = net.wmms.refusals().iter().collect();
    assert_eq!(refusals, [(&Limit::EntriesPerSource, &1)]);
}

#[test]
fn holds_that_wait_are_bounded_per_source_and_free_again_when_answered() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1100);
    net.restart_wmms(ms(500), BindingMode::Direct, net.table());
    // The client is silent, so every hold waits for its timeout.
    net.cut = Box::new(|_, d| *d.to.ip() == client_address(0));
    let hold = Command::Hold {
        p_addr: P,
        sleep: None,
    };
    let limit = Limits::default().holds_per_source as u16;
    let greedy = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 1);
    let ask = |net: &mut Net, port| {
        let from = SocketAddrV6::new(greedy, port, 0, 0);
        let request = net.newer(W, &hold);
        net.ask(from, W, request).map(|response| response.code)
    };
    for port in 0..limit {
        assert_eq!(ask(&mut net, port), None, "it waits");
    }
    let refused = Some(Code::TOO_MANY_REQUESTS);
    assert_eq!(ask(&mut net, limit), refused, "whatever its port");
    net.run_until(1700);
    assert_eq!(
        ask(&mut net, limit + 1),
        None,
        "it waits: the others are answered"
    );
}
