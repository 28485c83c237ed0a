//! Whoever is where it says may name any T_Addr: what is said of a node there is said of nobody else there.

use std::net::{Ipv6Addr, SocketAddrV6};

use crate::support::{Net, P, Setup, T1, T2, W, at, client_address, socket};
use coap::Code;
use comp::codec::{Command, Lifetime};
use comp::{BindingMode, Removal, Sequence, node};
use handover::Mobility;

/// Address `n` of a network of strangers.
fn stranger(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, n)
}

/// A net among strangers in which client 0 has asked the node.
fn asked(binding: BindingMode) -> Net {
    let mut net = Net::registered(Setup {
        strangers: true,
        binding,
        ..Setup::default()
    });
    net.get(0);
    net.run_until(1100);
    net.sent.clear();
    net
}

fn registration(p_addr: Ipv6Addr, t_addr: Ipv6Addr) -> Command {
    Command::Registration {
        p_addr,
        t_addr,
        lifetime: Lifetime(600),
    }
}

const fn hold(p_addr: Ipv6Addr) -> Command {
    Command::Hold {
        p_addr,
        sleep: None,
    }
}

/// What a stranger at its own address asks the WMMS, without a number.
fn code(net: &mut Net, from: Ipv6Addr, command: &Command) -> Option<Code> {
    let answer = net.ask(socket(from), W, command.request());
    answer.map(|response| response.code)
}

/// Requests sent to `address` so far.
fn told(net: &Net, address: Ipv6Addr) -> usize {
    let to_it = net.sent.iter().filter(|(_, d)| *d.to.ip() == address);
    to_it.filter(|(_, d)| d.message().code.is_request()).count()
}

fn correspondents(net: &Net, p_addr: Ipv6Addr) -> Vec<SocketAddrV6> {
    let entry = net.wmms.mmt().get(p_addr).expect("registered");
    entry.extra.correspondents.iter().collect()
}

#[test]
fn nobody_moves_its_own_correspondents_to_a_victim() {
    let mut net = asked(BindingMode::Relayed);
    let victim = stranger(0x99);
    let own = stranger(0x1000);
    code(&mut net, stranger(1), &registration(own, stranger(1)));
    for n in 2..10 {
        let at = stranger(n);
        code(&mut net, at, &registration(stranger(0x100 + n), at));
        code(&mut net, at, &Command::Discovery { p_addr: own });
    }
    assert_eq!(correspondents(&net, own).len(), 8);
    for n in 2..10 {
        code(
            &mut net,
            stranger(n),
            &registration(stranger(0x100 + n), victim),
        );
    }
    net.sent.clear();
    code(&mut net, stranger(1), &registration(own, stranger(11)));
    net.run_until(60_000);
    assert_eq!(told(&net, victim), 0);
    assert!(correspondents(&net, own).iter().all(|c| *c.ip() != victim));
}

#[test]
fn who_registers_at_the_address_of_a_client_takes_nothing_from_it() {
    let mut net = asked(BindingMode::Relayed);
    let (client, thief, own) = (client_address(0), stranger(1), stranger(2));
    // On hold at the client's address.
    code(&mut net, thief, &registration(own, client));
    code(&mut net, thief, &hold(own));
    net.node.hold(net.now);
    net.run_until(1150);
    assert!(net.clients[0].client().lbc().get(P).unwrap().held);
    // And elsewhere.
    code(&mut net, thief, &registration(own, thief));
    assert_eq!(correspondents(&net, P), [socket(client)]);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(1300);
    let known = net.clients[0].client().lbc().get(P).unwrap();
    assert_eq!((known.t_addr, known.held), (T2, false));
}

#[test]
fn who_takes_a_client_gives_it_nothing_of_its_own_at_other_ports() {
    let mut net = asked(BindingMode::Relayed);
    let (client, thief, own) = (client_address(0), stranger(1), stranger(2));
    code(&mut net, thief, &registration(own, thief));
    for port in 1..9 {
        let from = SocketAddrV6::new(thief, port, 0, 0);
        net.ask(from, W, Command::Discovery { p_addr: own }.request());
    }
    let number = net.wmms.mmt().sequence(client).expect("it counts").0;
    let theft = registration(client, thief).numbered(Some(Sequence(number + 1)));
    net.ask(socket(thief), W, theft);
    net.run_until(1300);
    let entry = net.wmms.mmt().get(client).unwrap();
    assert_eq!(entry.t_addr, client, "it has taken itself back");
    let at_client = |c: &&SocketAddrV6| *c.ip() == client;
    assert_eq!(
        correspondents(&net, own).iter().filter(at_client).count(),
        0
    );
    assert_eq!(correspondents(&net, P), [socket(client)]);
    assert!(net.now >= at(1300) && known_at(&net) == T1);
}

/// Where client 0 takes the node to be.
fn known_at(net: &Net) -> Ipv6Addr {
    net.clients[0].client().lbc().get(P).expect("known").t_addr
}

/// What the node says of others who spoke for it.
fn contests(net: &Net) -> Vec<Removal> {
    let removal = |(_, event): &(_, node::Event)| match event {
        node::Event::Contested { removal } => Some(*removal),
        _ => None,
    };
    net.node_events.iter().filter_map(removal).collect()
}

/// A stranger says this of the node under the next number.
fn speak(net: &mut Net, command: &Command) -> Option<Code> {
    let request = net.newer(W, command);
    let answer = net.ask(socket(stranger(1)), W, request);
    answer.map(|response| response.code)
}

const fn update(t_addr: Ipv6Addr, lifetime: u16) -> Command {
    Command::BindingUpdate {
        p_addr: P,
        t_addr,
        lifetime: Lifetime(lifetime),
    }
}

#[test]
fn a_node_that_somebody_puts_on_hold_or_to_sleep_hears_of_it_and_is_back() {
    for sleep in [None, Some(comp::codec::MAX_SLEEP)] {
        let mut net = asked(BindingMode::Direct);
        speak(&mut net, &Command::Hold { p_addr: P, sleep });
        net.run_until(1200);
        assert_eq!(contests(&net), [Removal::HeldByAnother], "{sleep:?}");
        assert!(!net.wmms.mmt().get(P).unwrap().held);
        net.get(0);
        net.run_until(1300);
        assert_eq!(net.answered(), 2, "{sleep:?}");
    }
}

#[test]
fn a_node_that_is_put_on_hold_and_taken_at_once_hears_of_it_and_is_back() {
    let mut net = asked(BindingMode::Relayed);
    // What it is told of the hold is lost.
    net.cut = Box::new(|_, d| *d.to.ip() == T1 && d.message().options.get(2053) == Some(&[1]));
    speak(&mut net, &hold(P));
    assert_eq!(
        speak(&mut net, &update(stranger(1), 600)),
        Some(Code::CHANGED)
    );
    net.run_until(1200);
    assert_eq!(contests(&net), [Removal::TakenByAnother]);
    assert_eq!(net.wmms.mmt().get(P).unwrap().t_addr, T1);
    assert_eq!(known_at(&net), T1);
}

#[test]
fn a_node_whose_lifetime_somebody_shortens_hears_of_it_and_lives_on() {
    let mut net = asked(BindingMode::Direct);
    assert_eq!(speak(&mut net, &update(T1, 1)), Some(Code::CHANGED));
    net.run_until(5000);
    assert_eq!(contests(&net), [Removal::TakenByAnother]);
    assert_eq!(net.wmms.mmt().get(P).unwrap().t_addr, T1);
}

#[test]
fn a_node_that_is_moved_from_its_own_address_hears_of_it_and_is_back() {
    let mut net = asked(BindingMode::Direct);
    // By somebody who forges it, within the hour for which it is believed.
    let request = net.newer(W, &update(stranger(1), 600));
    net.ask(socket(T1), W, request);
    net.run_until(1200);
    assert_eq!(contests(&net), [Removal::TakenByAnother]);
    assert_eq!(net.wmms.mmt().get(P).unwrap().t_addr, T1);
}

#[test]
fn a_node_that_speaks_from_another_address_than_its_own_contests_nothing() {
    let mut net = asked(BindingMode::Direct);
    let number = net.wmms.mmt().sequence(P).expect("it counts");
    // As if the node had said it.
    let own = Sequence(number.0);
    let request = update(T1, 600).numbered(Some(own));
    net.ask(socket(W), T1, request);
    net.run_until(1200);
    assert_eq!(contests(&net), []);
}

#[test]
fn an_address_that_has_shown_nothing_gets_one_message_for_each_that_names_it() {
    let mut net = asked(BindingMode::Direct);
    let (victim, own) = (stranger(0x99), stranger(2));
    for n in 0..10 {
        code(&mut net, stranger(1), &registration(own, victim));
        code(&mut net, stranger(1), &registration(own, stranger(20 + n)));
    }
    code(&mut net, stranger(1), &registration(own, victim));
    code(&mut net, stranger(1), &hold(own));
    code(
        &mut net,
        stranger(1),
        &Command::Deregistration { p_addr: own },
    );
    net.run_until(200_000);
    assert_eq!(told(&net, victim), 12);
    let to_it = net.sent.iter().filter(|(_, d)| *d.to.ip() == victim);
    assert!(
        to_it
            .into_iter()
            .all(|(_, d)| d.message().kind == coap::Kind::NonConfirmable)
    );
}

#[test]
fn the_wmms_is_no_place_for_a_node() {
    let mut net = asked(BindingMode::Direct);
    let fresh = Net::new(Setup {
        strangers: true,
        ..Setup::default()
    });
    net.wmms = fresh.wmms.at(W);
    let own = stranger(2);
    let refused = code(&mut net, stranger(1), &registration(own, W));
    assert_eq!(refused, Some(Code::BAD_REQUEST));
    let taken = code(&mut net, stranger(1), &registration(own, stranger(1)));
    assert_eq!(taken, Some(Code::CREATED));
}
