//! Whoever is where it says may name any T_Addr: what is said of a node there is said of nobody else there.

mod support;

use std::net::{Ipv6Addr, SocketAddrV6};

use coap::Code;
use comp::codec::{Command, Lifetime};
use comp::{BindingMode, Sequence};
use handover::Mobility;
use support::{Net, P, Setup, T1, T2, W, at, client_address, socket};

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
