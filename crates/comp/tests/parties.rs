//! Who is what to whom: several nodes of a client, clients that are looked for, nodes that vanish,
//! addresses of the other family.

use std::net::Ipv6Addr;
use std::time::Duration;

use crate::support::*;
use coap::{Code, Reliability};
use comp::client::CallFailure;
use comp::codec::{Command, Lifetime, Location, option};
use comp::{Removal, client};
use service::Node as _;

/// Another node, and where it is.
const Q: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 6);
const Q_T: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 6);

fn registration(p_addr: Ipv6Addr, t_addr: Ipv6Addr) -> Command {
    Command::Registration {
        p_addr,
        t_addr,
        lifetime: Lifetime(600),
    }
}

#[test]
fn a_hold_of_one_node_keeps_no_request_to_another_back() {
    let mut net = Net::registered(Setup::default());
    net.ask(socket(Q_T), W, registration(Q, Q_T).request());
    net.get(0);
    net.run_until(1100);
    net.node.hold(net.now);
    net.run_until(1200);
    net.sent.clear();
    net.get(0);
    let (target, confirmable) = (client::Target::Node(Q), Reliability::Confirmable);
    net.clients[0].ask(net.now, target, confirmable, get("/temperature"));
    net.run_until(1300);
    assert_eq!(net.count_sent(T1, Code::GET), 0, "on hold");
    assert_eq!(net.count_sent(Q_T, Code::GET), 1, "not on hold");
    let since = |node| net.clients[0].kept_back_since(client::Target::Node(node));
    assert!(since(P).is_some_and(|since| (at(1100)..at(1200)).contains(&since)));
    assert_eq!(since(Q), None);
    let place = |node| net.clients[0].located_at(client::Target::Node(node));
    assert_eq!([place(P), place(Q)], [Some(T1), Some(Q_T)]);
    assert_eq!(net.clients[0].located_at(client::Target::at(T1)), None);
}

#[test]
fn a_client_is_found_like_a_node() {
    let mut net = Net::registered(Setup {
        clients: 2,
        ..Setup::default()
    });
    let who = client_address(1);
    let request = Command::Discovery { p_addr: who }.request();
    let response = net.ask(socket(client_address(0)), W, request).unwrap();
    let location = Location::parse(&response).unwrap();
    assert_eq!((location.p_addr, location.t_addr), (who, who));
    assert!(!location.held);
}

#[test]
fn a_node_that_loses_power_is_gone_with_its_lifetime_and_found_again_when_it_is_back() {
    let lifetime = Duration::from_secs(20);
    let mut net = Net::registered(Setup {
        lifetime,
        ..Setup::default()
    });
    net.get(0);
    net.run_until(1100);
    // In the middle of a sleep, too, nothing more comes.
    net.node.sleep(net.now, Duration::from_secs(60));
    net.run_until(1200);
    net.node_address = None;
    net.run_until(22_000);
    let gone = removed(Removal::LifetimeEnded);
    assert!(net.wmms_events.iter().any(|(_, event)| *event == gone));
    assert!(net.clients[0].client().lbc().get(P).is_none());
    net.get(0);
    net.run_until(23_000);
    assert_eq!(net.failures(), [CallFailure::NodeUnknown]);

    net.restart_node(lifetime);
    net.node_address = Some(T2);
    net.node.register(net.now, T2);
    net.run_until(24_000);
    net.get(0);
    net.run_until(25_000);
    assert_eq!(net.answered(), 2);
}

/// RFC 4291 §2.5.5.2: 80 bits of zero, 16 of one, and the IPv4 address.
#[test]
fn an_ipv4_address_is_carried_as_ipv4_mapped_by_every_procedure() {
    const P4: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 5];
    const T4: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 7];
    let (p_addr, t_addr) = (Ipv6Addr::from(P4), Ipv6Addr::from(T4));
    assert_eq!(p_addr.to_ipv4_mapped().unwrap().octets(), [192, 0, 2, 5]);
    let lifetime = Lifetime(60);
    let sleep = None;
    let commands = [
        (registration(p_addr, p_addr), "2.01"),
        (Command::Hold { p_addr, sleep }, "2.04"),
        (
            Command::BindingUpdate {
                p_addr,
                t_addr,
                lifetime,
            },
            "2.04",
        ),
        (Command::Discovery { p_addr }, "2.05"),
        (Command::Deregistration { p_addr }, "2.02"),
    ];
    let mut net = Net::new(Setup::default());
    for (i, (command, code)) in commands.into_iter().enumerate() {
        // Somebody else each time: who discovered is told of the deregistration.
        let from = socket(client_address(7 + i));
        let request = command.request();
        assert_eq!(
            request.options.get(option::PERMANENT_ADDRESS),
            Some(&P4[..])
        );
        let answer = net.ask(from, W, request).unwrap();
        assert_eq!(answer.code.to_string(), code, "{command:?}");
        if let Ok(location) = Location::parse(&answer) {
            assert_eq!(location.t_addr, t_addr);
            let carried = answer.options.get(option::TEMPORARY_ADDRESS);
            assert_eq!(carried, Some(&T4[..]));
        }
    }
}

#[test]
fn what_is_kept_back_during_a_sleep_goes_out_in_order_after_it() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1100);
    net.node.sleep(net.now, ms(2000));
    net.run_until(1200);
    net.sent.clear();
    let calls: Vec<client::CallId> = (0..20).map(|_| net.get(0)).collect();
    net.run_until(3000);
    assert_eq!(net.count_sent(T1, Code::GET), 0, "it sleeps");
    net.run_until(4000);
    let answered: Vec<client::CallId> = (net.client_events.iter())
        .filter_map(|(_, _, event)| response_of(event).map(|(call, _)| call))
        .collect();
    assert_eq!(answered[1..], calls);
    let waits = service::Node::waits(&net.clients[0]);
    assert!(waits.longest > ms(1500), "{waits:?}");
    // The first call, too: until it was known where the node is.
    assert_eq!(waits.requests, 21);
}

#[test]
fn a_request_whose_answer_was_lost_before_a_sleep_is_sent_again_as_soon_as_it_ends() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1100);
    assert_eq!(
        net.answered(),
        1,
        "and now the client knows where the node is"
    );
    // The answer of the second one is lost; it would be sent again after 2 to 3 s.
    net.cut = Box::new(|_, datagram| *datagram.from.ip() == T1 && datagram.is(Code::CONTENT));
    net.get(0);
    net.run_until(1200);
    net.cut = Box::new(|_, _| false);
    net.node.sleep(net.now, ms(4000));
    net.run_until(1300);
    net.sent.clear();
    net.run_until(5100);
    assert_eq!(net.count_sent(T1, Code::GET), 0, "it sleeps");
    net.run_until(5300);
    assert_eq!(net.answered(), 2, "{:?}", net.client_events);
    assert_eq!(net.count_sent(T1, Code::GET), 1);
}
