//! What strangers can do who know the protocol and have no keys: little, and nothing that lasts.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use crate::support::{Net, P, Setup, T1, T2, W, client_address, ms, socket};
use coap::Code;
use comp::codec::{self, Command, Lifetime};
use comp::mmt::MAX_PORTS;
use comp::wmms::MAX_HOLD;
use comp::{BindingMode, Limits, Removal, node};
use handover::Mobility;

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

fn wary(binding: BindingMode) -> Setup {
    Setup {
        strangers: true,
        binding,
        ..Setup::default()
    }
}

fn number(net: &Net) -> u16 {
    net.wmms.mmt().sequence(P).expect("it counts").0
}

fn update(t_addr: Ipv6Addr) -> Command {
    Command::BindingUpdate {
        p_addr: P,
        t_addr,
        lifetime: Lifetime(600),
    }
}

fn registration(p_addr: Ipv6Addr, t_addr: Ipv6Addr) -> Command {
    Command::Registration {
        p_addr,
        t_addr,
        lifetime: Lifetime(u16::MAX),
    }
}

/// Where client 0 takes the node to be.
fn known(net: &Net) -> Option<Ipv6Addr> {
    let entry = net.clients[0].client().lbc().get(P);
    entry.map(|entry| entry.t_addr)
}

/// Bytes sent to `address` so far.
fn got(net: &Net, address: Ipv6Addr) -> usize {
    let to_it = net.sent.iter().filter(|(_, d)| *d.to.ip() == address);
    to_it.map(|(_, d)| d.payload.len()).sum()
}

/// A datagram under a source that its sender does not have; returns its length.
fn forge(net: &mut Net, from: SocketAddrV6, to: Ipv6Addr, command: &Command) -> usize {
    let request = command.numbered(None);
    let message = coap::wire::Message {
        kind: coap::Kind::Confirmable,
        code: request.method,
        message_id: from.port(),
        token: coap::wire::Token::EMPTY,
        options: request.options,
        payload: request.payload,
    };
    let (to, payload) = (socket(to), message.encode());
    let bytes = payload.len();
    net.hand_over(&crate::support::Datagram { from, to, payload });
    bytes
}

#[test]
fn among_strangers_too_a_node_is_followed_in_either_mode() {
    for binding in [BindingMode::Direct, BindingMode::Relayed] {
        let mut net = asked(wary(binding));
        net.node.hold(net.now);
        net.run_until(1200);
        net.node_address = Some(T2);
        net.node.bind(net.now, T2);
        net.get(0);
        net.run_until(1300);
        let bound = handover::Step::Bound { address: T2 };
        assert!(net.node_took(&bound).is_some(), "{binding:?}");
        assert_eq!((known(&net), net.answered()), (Some(T2), 2), "{binding:?}");
    }
}

#[test]
fn a_client_asks_the_wmms_before_it_believes_an_address_that_it_does_not_know() {
    let mut net = asked(wary(BindingMode::Direct));
    let (thief, client) = (stranger(1), client_address(0));
    for n in 1..4 {
        let theft = update(thief).numbered(Some(comp::Sequence(number(&net) + n)));
        net.sent.clear();
        net.ask(socket(thief), client, theft);
        net.get(0);
        net.run_until(1100 + 100 * u64::from(n));
        assert_eq!(net.count_sent(W, Code::GET), usize::from(n == 1), "{n}");
        assert_eq!(net.count_sent(thief, Code::GET), 0);
    }
    net.run_until(60_000);
    assert_eq!((known(&net), net.answered()), (Some(T1), 4));
    // Asked about the last claim as about a first one, and not for ever.
    assert_eq!(net.count_sent(W, Code::GET), 4);
    // The node itself moves, and is believed.
    net.node.hold(net.now);
    net.run_until(60_100);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(60_200);
    assert_eq!(known(&net), Some(T2));
}

#[test]
fn a_client_that_hears_of_a_binding_before_the_wmms_does_asks_again() {
    let mut net = asked(Setup {
        hold: false,
        ..wary(BindingMode::Direct)
    });
    // What the node says to the WMMS from its new address is lost once.
    let mut lost = 0;
    net.cut = Box::new(move |_, d| {
        let is_first = *d.from.ip() == T2 && *d.to.ip() == W && lost == 0;
        lost += usize::from(is_first);
        is_first
    });
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(2000);
    assert_eq!(known(&net), Some(T1), "nobody says so yet");
    net.run_until(9000);
    assert_eq!(known(&net), Some(T2));
}

#[test]
fn what_strangers_forge_enrols_nobody_and_sends_nobody_more_than_three_times_as_much() {
    let mut net = asked(wary(BindingMode::Relayed));
    let victim = stranger(0x99);
    net.sent.clear();
    let mut spent = 0;
    for port in 0..255 {
        let from = SocketAddrV6::new(victim, 10_000 + port, 0, 0);
        spent += forge(&mut net, from, W, &DISCOVERY);
        spent += forge(&mut net, from, W, &registration(stranger(port), victim));
    }
    net.run_until(1200);
    assert!(got(&net, victim) <= 3 * spent);
    let known = &net.wmms.mmt().get(P).unwrap().extra.correspondents;
    assert_eq!(known.len(), 1);
    assert_eq!(net.wmms.mmt().len(), 2, "the node and its client");
    // So a registration sends the victim nothing.
    net.sent.clear();
    net.ask(
        socket(stranger(1)),
        W,
        registration(stranger(2), stranger(1)).request(),
    );
    net.node.hold(net.now);
    net.run_until(60_000);
    assert_eq!(got(&net, victim), 0);
}

#[test]
fn a_stranger_that_is_where_it_says_is_served() {
    let mut net = asked(wary(BindingMode::Direct));
    let newcomer = stranger(1);
    let register = registration(stranger(2), newcomer);
    let answer = net.ask(socket(newcomer), W, register.request()).unwrap();
    assert_eq!(answer.code, Code::CREATED);
    let discovery = DISCOVERY.request();
    let answer = net.ask(socket(newcomer), W, discovery.clone()).unwrap();
    assert_eq!(answer.code, Code::CONTENT);
    let of = |net: &Net| net.wmms.mmt().get(P).unwrap().extra.correspondents.clone();
    assert!(of(&net).contains(socket(newcomer)));
    // Who has registered nothing is told where the node is, and no more.
    let passer_by = socket(stranger(3));
    let answer = net.ask(passer_by, W, discovery).unwrap();
    assert_eq!(answer.code, Code::CONTENT);
    assert!(!of(&net).contains(passer_by));
}

/// What the node says of others who spoke for it.
fn contests(net: &Net) -> Vec<Removal> {
    let removal = |(_, event): &(_, node::Event)| match event {
        node::Event::Contested { removal } => Some(*removal),
        _ => None,
    };
    net.node_events.iter().filter_map(removal).collect()
}

#[test]
fn a_node_that_somebody_deregisters_hears_of_it_and_is_back() {
    for strangers in [false, true] {
        let mut net = asked(Setup {
            strangers,
            ..Setup::default()
        });
        let gone = Command::Deregistration { p_addr: P };
        let answer = code(&mut net, socket(stranger(1)), &gone);
        assert_eq!(answer, Some(Code::DELETED));
        net.run_until(1200);
        assert_eq!(contests(&net), [Removal::DeregisteredByAnother]);
        assert_eq!(net.wmms.mmt().get(P).unwrap().t_addr, T1);
        net.get(0);
        net.run_until(1300);
        assert_eq!(net.answered(), 2);
    }
}

#[test]
fn a_node_that_somebody_takes_hears_of_it_and_takes_itself_back() {
    let mut net = asked(wary(BindingMode::Direct));
    let thief = stranger(1);
    let answer = code(&mut net, socket(thief), &update(thief));
    assert_eq!(answer, Some(Code::CHANGED));
    net.run_until(1200);
    assert_eq!(contests(&net), [Removal::TakenByAnother]);
    assert_eq!(net.wmms.mmt().get(P).unwrap().t_addr, T1);
}

#[test]
fn a_node_that_was_taken_in_silence_hears_of_it_at_its_next_refresh() {
    let mut net = asked(Setup {
        lifetime: Duration::from_secs(20),
        ..Setup::default()
    });
    let thief = stranger(1);
    code(&mut net, socket(thief), &update(thief));
    net.run_until(9000);
    assert_eq!(contests(&net), []);
    net.run_until(12_000);
    assert_eq!(contests(&net), [Removal::TakenByAnother]);
    assert_eq!(net.wmms.mmt().get(P).unwrap().t_addr, T1);
}

#[test]
fn only_the_wmms_tells_a_node_that_it_was_taken() {
    let mut net = asked(Setup::default());
    let taken = update(stranger(1)).numbered(Some(comp::Sequence(number(&net) + 1)));
    net.ask(socket(stranger(1)), T1, taken);
    net.run_until(1200);
    assert_eq!(contests(&net), []);
    assert_eq!(net.count_sent(W, Code::POST), 0);
}

#[test]
fn a_wmms_that_has_forgotten_who_is_where_asks_its_nodes_again_and_strangers_nothing() {
    let mut net = asked(wary(BindingMode::Relayed));
    let (node, other_port) = (
        socket(client_address(0)),
        SocketAddrV6::new(client_address(0), 7, 0, 0),
    );
    net.sent.clear();
    // Forged: neither enrols anybody under the port of a node that has one.
    net.run_until(3_700_000);
    forge(&mut net, node, W, &DISCOVERY);
    forge(&mut net, other_port, W, &DISCOVERY);
    net.run_until(3_700_100);
    let codes: Vec<Code> = (net.sent.iter())
        .filter(|(time, d)| {
            *time >= crate::support::at(3_700_000) && [node, other_port].contains(&d.to)
        })
        .map(|(_, d)| d.message().code)
        .filter(|code| code.is_response())
        .collect();
    assert_eq!(codes.len(), 2, "{codes:?}");
    assert!(codes.contains(&Code::CONTENT));
    let known = &net.wmms.mmt().get(P).unwrap().extra.correspondents;
    assert!(!known.contains(other_port));
}

/// As many requests as a channel carries in some seconds, each from another address of the node's PAN,
/// and as many again at its new one.
#[test]
fn a_mobile_node_that_is_flooded_from_its_own_pan_stays_reachable() {
    let mut net = asked(Setup::default());
    let flood = |net: &mut Net, pan: u16, at: Ipv6Addr| {
        for n in 0..1000 {
            let neighbour = Ipv6Addr::new(0x2001, 0xdb8, pan, 0, 0, 0, 0xf, n);
            net.ask(socket(neighbour), at, crate::support::get("/temperature"));
        }
    };
    flood(&mut net, 1, T1);
    assert_eq!(net.node.correspondents().count(), node::MAX_CORRESPONDENTS);
    net.get(0);
    net.run_until(1200);
    assert_eq!(net.answered(), 2);
    flood(&mut net, 1, T1);
    net.node.prepare(net.now);
    net.run_until(1800);
    assert!(prepared(&net), "within the hold's time-out");
    net.get(0);
    net.node.leave(net.now);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    flood(&mut net, 2, T2);
    net.run_until(1900);
    assert_eq!(known(&net), Some(T2));
    assert_eq!(net.answered(), 3);
    net.run_until(8000);
    let bound = handover::Step::Bound { address: T2 };
    assert!(
        net.node_took(&bound).is_some(),
        "nobody silent is waited for"
    );
    assert!(
        net.node
            .correspondents()
            .any(|c| *c.ip() == client_address(0))
    );
}
