//! What is lost, late or restarted at the wrong moment: bounded waits, explicit failures, and
//! the way back.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::*;
use coap::Code;
use comp::client::{self, CallFailure};
use comp::codec::{Command, Lifetime};
use comp::mmt::Mmt;
use comp::{BindingMode, Limits, Removal, node};
use handover::{BindingEvent, Mobility, Step};
use machine::Machine;

/// A network whose client 0 has been answered once, at 1.1 s.
fn served(setup: Setup) -> Net {
    let mut net = Net::registered(setup);
    net.get(0);
    net.run_until(1100);
    assert_eq!(net.answered(), 1);
    net
}

/// T_Addr and H_Flag of the node, as client `i` has them.
fn known_to(net: &Net, i: usize) -> Option<(std::net::Ipv6Addr, bool)> {
    (net.clients[i].client().lbc().get(P)).map(|entry| (entry.t_addr, entry.held))
}

#[test]
fn clients_on_hold_at_a_wmms_that_lost_its_table_are_told_by_the_node_in_either_mode() {
    for binding in [BindingMode::Direct, BindingMode::Relayed] {
        let mut net = served(Setup {
            binding,
            ..Setup::default()
        });
        net.node.hold(net.now);
        net.run_until(1200);
        net.get(0);
        net.restart_wmms(ms(500), binding, Mmt::new(Limits::default()));
        net.node_address = Some(T2);
        net.node.bind(net.now, T2);
        net.run_until(1300);
        assert_eq!(known_to(&net, 0), Some((T2, false)), "{binding:?}");
        assert_eq!(net.answered(), 2, "{binding:?}");
        let bound = net.node_took(&Step::Bound { address: T2 });
        assert_eq!(bound, Some(at(1216)), "{binding:?}");
        let to_client = (net.sent.iter())
            .filter(|(time, d)| *time >= at(1200) && *d.to.ip() == client_address(0));
        let updates = to_client.filter(|(_, d)| d.is(Code::PUT)).count();
        assert_eq!(updates, 1, "once, in {binding:?} mode");
    }
}

#[test]
fn a_wmms_that_restarts_empty_learns_of_the_node_at_its_next_refresh() {
    let mut net = Net::registered(Setup {
        lifetime: Duration::from_secs(20),
        ..Setup::default()
    });
    net.restart_wmms(ms(500), BindingMode::Direct, Mmt::new(Limits::default()));
    net.get(0);
    net.run_until(2000);
    assert_eq!(net.failures(), [CallFailure::NodeUnknown]);
    net.run_until(10_100);
    net.get(0);
    net.run_until(10_200);
    assert_eq!(net.answered(), 1);
}

#[test]
fn a_second_direct_binding_reaches_a_client_that_the_wmms_was_still_telling_of_the_first() {
    let mut net = served(Setup {
        clients: 2,
        ..Setup::default()
    });
    net.node.hold(net.now);
    net.run_until(1200);
    // It discovers during the hold: only the WMMS can release it.
    net.get(1);
    net.run_until(1300);
    net.cut =
        Box::new(|time, d| *d.from.ip() == W && *d.to.ip() == client_address(1) && time < at(1350));
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(1400);
    assert_eq!(known_to(&net, 1), Some((T1, true)));
    net.node_address = Some(T1);
    net.node.bind(net.now, T1);
    net.run_until(1500);
    assert_eq!(known_to(&net, 1), Some((T1, false)));
    assert_eq!(net.answered(), 2);
}

#[test]
fn a_refresh_does_not_stop_a_binding_on_its_way_to_a_silent_client() {
    let mut net = served(Setup {
        binding: BindingMode::Relayed,
        lifetime: Duration::from_secs(20),
        ..Setup::default()
    });
    net.cut =
        Box::new(|time, d| *d.to.ip() == client_address(0) && d.is(Code::PUT) && time < at(11_500));
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(18_000);
    assert_eq!(
        net.count_sent(W, Code::POST),
        2,
        "node and client refreshed"
    );
    assert_eq!(known_to(&net, 0), Some((T2, false)));
}

#[test]
fn every_client_that_the_node_served_is_released_however_many_there_are() {
    let clients = 40;
    let mut net = Net::registered(Setup {
        clients,
        ..Setup::default()
    });
    net.get_from_all();
    net.run_until(1100);
    net.node.hold(net.now);
    net.run_until(1200);
    assert!((0..clients).all(|i| known_to(&net, i) == Some((T1, true))));
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(1300);
    for i in 0..clients {
        assert_eq!(known_to(&net, i), Some((T2, false)), "client {i}");
    }
}

#[test]
fn a_binding_that_failed_is_registered_once_the_wmms_is_back() {
    let mut net = Net::registered(Setup {
        lifetime: Duration::from_secs(20),
        ..Setup::default()
    });
    net.cut = Box::new(|time, d| *d.to.ip() == W && time < at(100_000));
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(100_000);
    let failed = |step: &Step| matches!(step, Step::Failed { .. });
    assert!(net.node_steps.iter().any(|(_, step)| failed(step)));
    assert_eq!(net.wmms.mmt().get(P), None, "its lifetime ended");
    net.run_until(150_000);
    assert_eq!(net.wmms.mmt().get(P).unwrap().t_addr, T2);
    let registered = node::Event::Binding(BindingEvent::Registered {
        p_addr: P,
        t_addr: T2,
    });
    assert!(net.node_reported(&registered).is_some());
}

#[test]
fn a_hold_that_is_pending_when_the_lifetime_ends_is_refused() {
    let mut net = Net::registered(Setup {
        lifetime: Duration::from_secs(2),
        hold_timeout: Duration::from_secs(60),
        ..Setup::default()
    });
    net.get(0);
    net.run_until(1100);
    net.cut = Box::new(|_, d| *d.to.ip() == client_address(0));
    net.node.hold(net.now);
    net.run_until(4000);
    let [.., (time, Step::Failed { reason })] = &net.node_steps[..] else {
        panic!("{:?}", net.node_steps);
    };
    assert_eq!(net.node_events, [], "and nothing else");
    assert!(reason.contains("4.04"), "{reason}");
    assert!(*time < at(3100), "{time:?}: at the end of the lifetime");
}

#[test]
fn a_request_after_a_hold_that_is_long_overdue_asks_the_wmms_at_once() {
    let mut net = served(Setup::default());
    net.node.hold(net.now);
    net.run_until(1200);
    // The node moves, and its word to the client is lost.
    let binding = Command::BindingUpdate {
        p_addr: P,
        t_addr: T2,
        lifetime: Lifetime(600),
    };
    net.node_address = Some(T2);
    let binding = net.newer(W, &binding);
    net.ask(socket(T2), W, binding).unwrap();
    net.run_until(60_000);
    assert_eq!(known_to(&net, 0), Some((T1, true)));
    net.get(0);
    net.run_until(60_100);
    assert_eq!(net.failures(), []);
    assert_eq!(net.answered(), 2);
    let removed = client::Event::Binding(removed(Removal::HoldOverdue));
    assert!(net.client_events.contains(&(at(60_000), 0, removed)));
}

#[test]
fn on_hold_with_a_crashed_wmms_every_request_ends_in_bounded_time_and_the_client_recovers() {
    let mut net = served(Setup {
        binding: BindingMode::Relayed,
        ..Setup::default()
    });
    net.node.hold(net.now);
    net.run_until(1200);
    net.node_address = None;
    net.cut = Box::new(|time, d| (*d.from.ip() == W || *d.to.ip() == W) && time < at(40_000));
    let mut asked = BTreeMap::new();
    for second in 2..30 {
        net.run_until(second * 1000);
        asked.insert(net.get(0), net.now);
    }
    net.run_until(40_000);
    assert_eq!(net.clients[0].client().outstanding(), 0);
    for (time, _, event) in &net.client_events {
        let Some((call, reason)) = failure(event) else {
            continue;
        };
        let waited = time.saturating_since(asked.remove(&call).unwrap());
        assert_eq!(
            (waited, reason),
            (Duration::from_secs(10), CallFailure::HoldTimeout)
        );
    }
    assert_eq!(asked.len(), 0, "each failed");
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(40_100);
    net.get(0);
    net.run_until(40_200);
    assert_eq!(net.answered(), 2);
}

#[test]
fn the_late_answer_to_an_earlier_hold_is_not_taken_for_the_answer_to_this_one() {
    let mut net = served(Setup::default());
    net.cut = Box::new(|_, d| *d.from.ip() == W && *d.to.ip() == T1);
    net.node.hold(net.now);
    net.run_until(1200);
    let late: Vec<Datagram> = (net.sent.iter())
        .filter(|(time, d)| *time > at(1100) && *d.from.ip() == W && *d.to.ip() == T1)
        .map(|(_, d)| d.clone())
        .collect();
    assert_eq!(late.len(), 1, "the answer");
    net.cut = Box::new(|_, d| *d.to.ip() == W);
    net.node.hold(net.now);
    net.hand_over(&late[0]);
    net.run_until(1300);
    assert_eq!(net.node_events, []);
}

#[test]
fn what_waits_behind_an_update_about_a_node_is_sent_in_the_instant_in_which_that_node_ends() {
    let mut net = Net::new(Setup::default());
    let (mover, sleeper) = (client_address(7), client_address(8));
    let silent = client_address(9);
    let registration = |p_addr, t_addr, seconds| Command::Registration {
        p_addr,
        t_addr,
        lifetime: Lifetime(seconds),
    };
    for (from, command) in [
        (T1, registration(mover, T1, 60)),
        (T1, registration(sleeper, T1, 60)),
        (silent, Command::Discovery { p_addr: mover }),
        (silent, Command::Discovery { p_addr: sleeper }),
        (T2, registration(mover, T2, 5)),
    ] {
        assert!(net.ask(socket(from), W, command.request()).is_some());
    }
    let hold = Command::Hold {
        p_addr: sleeper,
        sleep: None,
    };
    net.ask(socket(T1), W, hold.request());
    net.run_until(4999);
    let asked = |net: &Net| {
        let to_silent = net.sent.iter().filter(|(_, d)| *d.to.ip() == silent);
        let requests = to_silent.filter(|(_, d)| d.is(Code::PUT));
        requests.map(|(_, d)| d.message().token).collect::<Vec<_>>()
    };
    let before = asked(&net);
    assert!(before.iter().all(|token| *token == before[0]), "one waits");
    let ends = at(5000);
    net.wmms.handle_timeout(ends);
    let sent = net.wmms.poll_transmit().expect("the hold");
    assert_eq!(*sent.to.ip(), silent);
    assert!(net.wmms.poll_timeout() > Some(ends));
}
