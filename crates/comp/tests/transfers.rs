//! What takes longer than one request, over a handover: bodies in blocks (RFC 7959) and
//! observations (RFC 7641).

use crate::support::*;
use coap::message::option;
use coap::{Code, Reliability, Response};
use comp::client::{self, CallFailure, Target};
use comp::{BindingMode, node};
use handover::Mobility;

/// From T1 to T2, away for 100 ms, from `start` on.
fn hand_over(net: &mut Net, start: u64, hold: bool) {
    net.run_until(start);
    if hold {
        net.node.hold(net.now);
        net.run_until(start + 50);
    }
    net.node_address = None;
    net.run_until(start + 150);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
}

#[test]
fn a_body_in_blocks_that_is_under_way_during_a_handover_arrives_whole() {
    for hold in [false, true] {
        for binding in [BindingMode::Direct, BindingMode::Relayed] {
            let mut net = Net::registered(Setup {
                binding,
                ..Setup::default()
            });
            // 20 blocks of 1024 B, each 8 ms there and back.
            net.state = (0..20_000_u32).map(|n| (n / 7) as u8).collect();
            net.get(0);
            hand_over(&mut net, 1080, hold);
            // A block that the old router still carried is asked for again.
            net.state = b"another".to_vec();
            net.run_until(60_000);
            let bodies: Vec<&Vec<u8>> = (net.client_events.iter())
                .filter_map(|(_, _, event)| {
                    response_of(event).map(|(_, response)| &response.payload)
                })
                .collect();
            let whole: Vec<u8> = (0..20_000_u32).map(|n| (n / 7) as u8).collect();
            assert_eq!(bodies, [&whole], "hold {hold}, {binding:?}");
            assert_eq!(net.served.len(), 1, "the application saw one request");
            let to = |t_addr| net.count_sent(t_addr, Code::GET);
            assert!(to(T1) > 5 && to(T2) > 2, "{} and {}", to(T1), to(T2));
        }
    }
}

/// The numbers and states that client 0 was notified.
fn notified(net: &Net) -> Vec<(u32, String)> {
    (net.client_events.iter())
        .filter_map(|(_, _, event)| {
            let (sequence, response) = notification(event)?;
            Some((sequence, String::from_utf8_lossy(&response.payload).into()))
        })
        .collect()
}

/// A new state every 10 ms from `from` until `until`, in milliseconds.
fn change(net: &mut Net, from: u64, until: u64) {
    for millis in (from..until).step_by(10) {
        net.run_until(millis);
        let mut state = Response::new(Code::CONTENT);
        state.payload = millis.to_string().into_bytes();
        net.node.notify(net.now, "/temperature", &state);
    }
    net.run_until(until);
}

fn observe(net: &mut Net) -> client::CallId {
    let now = net.now;
    let (target, confirmable) = (Target::Node(P), Reliability::Confirmable);
    net.clients[0].observe(now, target, confirmable, get("/temperature"))
}

#[test]
fn an_observation_goes_on_from_the_new_address_in_order_and_without_registering_again() {
    for binding in [BindingMode::Direct, BindingMode::Relayed] {
        let mut net = Net::registered(Setup {
            binding,
            ..Setup::default()
        });
        observe(&mut net);
        net.run_until(1100);
        assert_eq!(
            net.clients[0].client().outstanding(),
            0,
            "the first state answers"
        );
        change(&mut net, 1100, 1500);
        // Moves for 200 ms: what changes meanwhile is not sent, the latest state is.
        net.node.hold(net.now);
        change(&mut net, 1500, 1550);
        net.node_address = None;
        change(&mut net, 1550, 1700);
        net.node_address = Some(T2);
        net.node.bind(net.now, T2);
        change(&mut net, 1700, 2500);

        let told = notified(&net);
        let numbers: Vec<u32> = told.iter().map(|(number, _)| *number).collect();
        let consecutive: Vec<u32> = (1..=numbers.len() as u32).collect();
        assert_eq!(numbers, consecutive, "in order, none lost ({binding:?})");
        let states: Vec<u64> = told.iter().filter_map(|(_, s)| s.parse().ok()).collect();
        let over: Vec<&u64> = states
            .iter()
            .filter(|s| (1500..1700).contains(*s))
            .collect();
        assert!(
            over.len() <= 1,
            "during the move only the latest counts: {over:?}"
        );
        assert_eq!(states.last(), Some(&2490));
        let registrations = (net.sent.iter())
            .filter(|(_, datagram)| {
                let message = datagram.message();
                message.code == Code::GET && message.options.get(option::OBSERVE).is_some()
            })
            .count();
        assert_eq!(registrations, 1);
        let from = |t_addr| {
            let sent = net.sent.iter();
            sent.filter(|(_, d)| *d.from.ip() == t_addr && d.is(Code::CONTENT))
                .count()
        };
        assert!(
            from(T1) > 30 && from(T2) > 70,
            "{} and {}",
            from(T1),
            from(T2)
        );
    }
}

#[test]
fn lost_notifications_are_missing_numbers_and_the_newest_state_still_comes() {
    let mut net = Net::registered(Setup::default());
    observe(&mut net);
    net.run_until(1100);
    net.cut = Box::new(|now, d| {
        (at(1200)..at(1300)).contains(&now) && d.is(Code::CONTENT) && *d.from.ip() == T1
    });
    change(&mut net, 1100, 1500);
    net.run_until(10_000);
    let told = notified(&net);
    let (last, state) = told.last().unwrap();
    assert!(state == "1490" && (*last as usize) > told.len(), "{told:?}");
}

#[test]
fn a_stopped_observation_ends_at_both_ends() {
    let mut net = Net::registered(Setup::default());
    let call = observe(&mut net);
    net.run_until(1100);
    let now = net.now;
    net.clients[0].stop_observing(now, call);
    net.run_until(1200);
    let mut ended = net
        .client_events
        .iter()
        .map(|(_, _, event)| response_of(event));
    assert!(ended.any(|ended| ended.is_some_and(|(ended, _)| ended == call)));
    let before = net.sent.len();
    change(&mut net, 1200, 1300);
    assert_eq!(net.sent.len(), before, "nobody is notified");
}

#[test]
fn an_observation_of_a_node_that_has_died_ends_after_max_age() {
    let mut net = Net::registered(Setup::default());
    observe(&mut net);
    net.run_until(1100);
    net.node_address = None;
    // 60 s and 15 s after the first state.
    net.run_until(75_000);
    let ended = |net: &Net| {
        let mut events = net.client_events.iter();
        let silent = CallFailure::Exchange(coap::Failure::Silent);
        events.any(|(_, _, event)| failure(event).is_some_and(|(_, reason)| reason == silent))
    };
    assert!(!ended(&net));
    net.run_until(77_000);
    assert!(ended(&net));
    assert!(
        net.clients[0].client().lbc().get(P).is_none(),
        "discovered again next time"
    );
}

#[test]
fn a_binding_also_goes_to_an_observer_that_asked_long_ago() {
    let mut net = Net::registered(Setup {
        clients: 2,
        ..Setup::default()
    });
    observe(&mut net);
    net.run_until(1100);
    for n in 0..node::MAX_CORRESPONDENTS as u16 {
        let from = std::net::SocketAddrV6::new(client_address(500 + usize::from(n)), 5683, 0, 0);
        net.ask(from, T1, coap::Request::new(Code::GET, "/temperature"));
    }
    let observer = socket(client_address(0));
    assert!(!net.node.correspondents().any(|known| known == observer));
    hand_over(&mut net, 1200, false);
    net.run_until(1400);
    assert_eq!(net.clients[0].client().lbc().get(P).unwrap().t_addr, T2);
}
