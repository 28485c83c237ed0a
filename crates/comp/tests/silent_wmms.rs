//! A WMMS that is dead, or behind a link that carries nothing: whoever needs it goes on without it, in
//! bounded time.

use std::time::Duration;

use crate::support::*;
use coap::{Code, Reliability};
use comp::BindingMode;
use comp::client::{CallFailure, HoldQueue, Target};
use comp::node::patience;
use handover::{Mobility, Step};

/// [`patience`] of the default parameters, in ms.
const PATIENCE: u64 = 5000;

/// A network in which the node has asked its client, and the client the node; from 1.1 s on the WMMS
/// is dead.
fn bereaved(setup: Setup) -> Net {
    let mut net = Net::registered(setup);
    net.get(0);
    ask(&mut net);
    net.run_until(1100);
    assert_eq!((net.answered(), net.node_as_client.len()), (1, 2));
    net.cut = Box::new(|_, d| *d.from.ip() == W || *d.to.ip() == W);
    net
}

fn ask(net: &mut Net) {
    let target = Target::Node(client_address(0));
    net.node
        .ask(net.now, target, Reliability::Confirmable, get("/clock"));
}

/// When the node's calls were answered.
fn answers(net: &Net) -> Vec<units::SimTime> {
    let answered = net.node_as_client.iter();
    let answered = answered.filter(|(_, event)| response_of(event).is_some());
    answered.map(|(time, _)| *time).collect()
}

#[test]
fn a_node_does_not_stay_for_a_hold_that_the_wmms_does_not_even_acknowledge() {
    let mut net = bereaved(Setup::default());
    let params = coap::Params::default();
    assert_eq!(patience(&params), ms(PATIENCE));
    net.node.prepare(net.now);
    net.run_until(1099 + PATIENCE);
    let failed = |net: &Net| {
        let is = |(_, step): &&(_, Step)| matches!(step, Step::Failed { .. });
        net.node_steps.iter().find(is).map(|(time, _)| *time)
    };
    assert_eq!(failed(&net), None);
    net.run_until(1100 + PATIENCE);
    assert_eq!(failed(&net), Some(at(1100 + PATIENCE)));
    // It is not asked any more, and a second hold is waited for as long.
    net.sent.clear();
    net.run_until(20_000);
    assert_eq!(net.count_sent(W, Code::PUT), 0);
    net.node_steps.clear();
    net.node.prepare(net.now);
    net.run_until(30_000);
    assert_eq!(failed(&net), Some(at(20_000 + PATIENCE)));
}

#[test]
fn a_sleep_that_the_wmms_does_not_hear_of_is_refused_as_soon() {
    let mut net = bereaved(Setup::default());
    net.node.sleep(net.now, Duration::from_secs(60));
    net.run_until(1100 + PATIENCE);
    let refused = |(_, step): &(_, Step)| matches!(step, Step::SleepRefused { .. });
    assert!(net.node_steps.iter().any(refused), "{:?}", net.node_steps);
}

#[test]
fn a_wmms_that_acknowledges_a_hold_has_as_long_as_its_owner_wants_it_to() {
    let mut net = Net::registered(Setup {
        hold_timeout: ms(8000),
        ..Setup::default()
    });
    net.get(0);
    net.run_until(1100);
    net.cut = Box::new(|_, d| *d.to.ip() == client_address(0));
    net.node.prepare(net.now);
    net.run_until(12_000);
    let prepared = net.node_took(&Step::Prepared);
    assert!(prepared > Some(at(9000)), "{:?}", net.node_steps);
}

#[test]
fn a_wmms_that_dies_after_its_acknowledgement_is_waited_for_as_long_as_a_hold_is_trusted() {
    let mut net = Net::registered(Setup {
        hold_timeout: Duration::from_secs(60),
        ..Setup::default()
    });
    net.get(0);
    net.run_until(1100);
    net.cut = Box::new(|_, d| *d.to.ip() == client_address(0));
    net.node.prepare(net.now);
    net.run_until(3000);
    net.cut = Box::new(|_, d| *d.from.ip() == W || *d.to.ip() == W);
    net.run_until(60_000);
    let [.., (time, Step::Failed { .. })] = &net.node_steps[..] else {
        panic!("{:?}", net.node_steps);
    };
    assert_eq!(*time, at(11_100), "the queue's timeout");
}

#[test]
fn what_a_node_keeps_back_for_its_binding_is_sent_without_the_wmms() {
    for binding in [BindingMode::Direct, BindingMode::Relayed] {
        let mut net = bereaved(Setup {
            binding,
            ..Setup::default()
        });
        net.node.leave(net.now);
        net.node_address = None;
        net.run_until(1300);
        net.node_address = Some(T2);
        net.node.bind(net.now, T2);
        ask(&mut net);
        net.run_until(1299 + PATIENCE);
        assert_eq!(answers(&net).len(), 1, "the WMMS follows first");
        net.run_until(1400 + PATIENCE);
        assert_eq!(answers(&net).len(), 2, "{binding:?}");
        // What it asks next does not wait at all.
        ask(&mut net);
        net.run_until(1500 + PATIENCE);
        assert_eq!(answers(&net).len(), 3, "{binding:?}");
        // The binding itself goes on being told, and is acknowledged once the WMMS is back.
        net.cut = Box::new(|_, _| false);
        net.run_until(60_000);
        let bound = Step::Bound { address: T2 };
        assert!(net.node_took(&bound).is_some(), "{binding:?}");
    }
}

#[test]
fn observers_of_a_node_hear_of_it_at_its_new_address_without_the_wmms() {
    let mut net = bereaved(Setup::default());
    let target = Target::Node(P);
    let confirmable = Reliability::Confirmable;
    let request = get("/temperature");
    net.clients[0].observe(net.now, target, confirmable, request);
    net.run_until(1200);
    net.node.leave(net.now);
    net.node.bind(net.now, T2);
    net.node_address = Some(T2);
    let mut state = coap::Response::new(Code::CONTENT);
    state.payload = b"30.0".to_vec();
    net.node.notify(net.now, "/temperature", &state);
    net.run_until(1300 + PATIENCE);
    let heard = net.client_events.iter().filter_map(|(_, _, event)| {
        let (_, response) = notification(event)?;
        Some(response.payload.clone())
    });
    assert!(heard.into_iter().any(|payload| payload == b"30.0"));
}

#[test]
fn whoever_asks_without_end_while_a_node_is_on_hold_keeps_a_queue_and_hears_of_the_rest() {
    let mut net = bereaved(Setup {
        hold_queue: HoldQueue {
            capacity: 100,
            timeout: Duration::from_secs(10),
        },
        ..Setup::default()
    });
    net.cut = Box::new(|_, _| false);
    net.node.hold(net.now);
    net.run_until(1200);
    net.cut = Box::new(|_, d| *d.from.ip() == W || *d.to.ip() == W);
    for _ in 0..10_000 {
        net.get(0);
        assert!(net.clients[0].client().outstanding() <= 100);
    }
    net.run_until(1201);
    assert_eq!(net.failures(), vec![CallFailure::HoldQueueFull; 9900]);
    net.run_until(11_200);
    let late = net.failures().split_off(9900);
    assert_eq!(late, vec![CallFailure::HoldTimeout; 100]);
    assert_eq!(net.clients[0].client().outstanding(), 0);
}
