//! Handovers over a network with delay and loss: what the client sees.

use std::time::Duration;

use crate::support::*;
use coap::Code;
use comp::client::{self, CallFailure, HoldQueue};
use comp::{BindingMode, node};
use handover::{BindingEvent, Mobility, Step};

/// How a handover is done.
#[derive(Clone, Copy, Debug)]
struct Way {
    hold: bool,
    binding: BindingMode,
}

/// The node's T_Addr from here on; from the detachment to the binding pass 100 ms.
fn hand_over(net: &mut Net, start: u64, way: Way, to: std::net::Ipv6Addr, poll: &mut Poll) {
    if way.hold {
        net.node.hold(net.now);
        poll.until(net, start + 50);
        let answered = |event: &node::Event| matches!(event, node::Event::HoldAnswered { .. });
        assert!(
            net.node_events.iter().any(|(_, event)| answered(event)),
            "{:?}",
            net.node_events
        );
    }
    net.node_address = None;
    poll.until(net, start + 150);
    net.node_address = Some(to);
    net.node.bind(net.now, to);
}

/// A GET every 10 ms of client 0.
struct Poll {
    next: u64,
    calls: Vec<client::CallId>,
}

impl Poll {
    fn new(net: &Net) -> Poll {
        Poll {
            next: net.now.as_nanos() / 1_000_000,
            calls: Vec::new(),
        }
    }

    fn until(&mut self, net: &mut Net, end: u64) {
        while self.next < end {
            net.run_until(self.next);
            self.calls.push(net.get(0));
            self.next += 10;
        }
        net.run_until(end);
    }
}

/// The calls in the order of their answers.
fn answers(net: &Net) -> Vec<client::CallId> {
    (net.client_events.iter())
        .filter_map(|(_, _, event)| response_of(event).map(|(call, _)| call))
        .collect()
}

const WAYS: [Way; 4] = [
    Way {
        hold: true,
        binding: BindingMode::Direct,
    },
    Way {
        hold: true,
        binding: BindingMode::Relayed,
    },
    Way {
        hold: false,
        binding: BindingMode::Direct,
    },
    Way {
        hold: false,
        binding: BindingMode::Relayed,
    },
];

#[test]
fn a_poll_every_10_ms_across_a_handover_is_answered_completely_and_in_order() {
    for way in WAYS {
        let mut net = Net::registered(Setup {
            binding: way.binding,
            ..Setup::default()
        });
        let mut poll = Poll::new(&net);
        poll.until(&mut net, 2000);
        hand_over(&mut net, 2000, way, T2, &mut poll);
        poll.until(&mut net, 4000);
        net.run_until(5000);
        assert_eq!(net.failures(), [], "{way:?}");
        assert_eq!(answers(&net), poll.calls, "{way:?}");
        assert_eq!(net.clients[0].client().outstanding(), 0);
        let bound = net.node_took(&Step::Bound { address: T2 });
        assert_eq!(bound, Some(at(2158)), "{way:?}");
    }
}

#[test]
fn with_hold_nothing_is_sent_to_the_old_address_and_the_gap_is_the_handover() {
    for way in &WAYS[..2] {
        let mut net = Net::registered(Setup {
            binding: way.binding,
            ..Setup::default()
        });
        let mut poll = Poll::new(&net);
        poll.until(&mut net, 2000);
        hand_over(&mut net, 2000, *way, T2, &mut poll);
        poll.until(&mut net, 3000);
        let unanswered = (net.sent.iter())
            .filter(|(time, d)| *time > at(2012) && *d.to.ip() == T1 && d.is(Code::GET));
        assert_eq!(unanswered.count(), 0, "{way:?}");
        let times: Vec<_> = (net.client_events.iter())
            .filter(|(_, _, event)| response_of(event).is_some())
            .map(|(time, _, _)| *time)
            .collect();
        let gap = times.windows(2).map(|w| w[1] - w[0]).max().unwrap();
        assert!(gap < ms(175), "{gap:?} {way:?}");
        let resumed = (net.client_events.iter()).find_map(|(_, _, event)| match event {
            client::Event::Binding(BindingEvent::Resumed { queued, .. }) => Some(*queued),
            _ => None,
        });
        assert!(resumed.is_some_and(|queued| queued >= 13), "{resumed:?}");
    }
}

#[test]
fn without_hold_the_request_on_its_way_is_sent_again_to_the_new_address() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1500);
    net.node_address = None;
    net.get(0);
    net.run_until(1600);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(1700);
    assert_eq!(net.answered(), 2);
    let gets: Vec<_> = (net.sent.iter())
        .filter(|(_, d)| d.is(Code::GET) && *d.from.ip() == client_address(0))
        .filter(|(_, d)| *d.to.ip() != W)
        .map(|(_, d)| (*d.to.ip(), d.message().message_id))
        .collect();
    assert_eq!(
        gets.iter().map(|(to, _)| *to).collect::<Vec<_>>(),
        [T1, T1, T2]
    );
    assert_eq!(gets[1].1, gets[2].1, "the same message: a retransmission");
}

#[test]
fn a_direct_binding_goes_from_the_node_and_a_relayed_one_from_the_wmms() {
    for (binding, from) in [(BindingMode::Direct, T2), (BindingMode::Relayed, W)] {
        let mut net = Net::registered(Setup {
            binding,
            clients: 3,
            ..Setup::default()
        });
        net.get_from_all();
        net.run_until(1500);
        net.node.hold(net.now);
        net.run_until(1600);
        let before = net.sent.len();
        net.node_address = Some(T2);
        net.node.bind(net.now, T2);
        net.run_until(1700);
        for i in 0..3 {
            let told: Vec<_> = (net.sent[before..].iter())
                .filter(|(_, d)| *d.to.ip() == client_address(i) && d.is(Code::PUT))
                .map(|(_, d)| *d.from.ip())
                .collect();
            assert_eq!(told, [from], "{binding:?}");
            assert_eq!(net.clients[i].client().lbc().get(P).unwrap().t_addr, T2);
            assert!(!net.clients[i].client().lbc().get(P).unwrap().held);
        }
    }
}

#[test]
fn a_node_that_tells_nobody_is_lost_until_a_client_misses_an_answer_and_looks_it_up() {
    let mut net = Net::registered(Setup {
        binding: BindingMode::Nobody,
        hold: false,
        ..Setup::default()
    });
    net.wmms = net.wmms.says_nothing_of([P]);
    net.get(0);
    net.run_until(1500);
    assert_eq!(net.answered(), 1);
    let before = net.sent.len();
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.get(0);
    net.run_until(60_000);
    let puts = (net.sent[before..].iter()).filter(|(_, d)| d.is(Code::PUT));
    let told: Vec<_> = puts.map(|(_, d)| *d.to.ip()).collect();
    assert_eq!(told, [W]);
    assert_eq!(net.clients[0].client().lbc().get(P).unwrap().t_addr, T1);
    // The exchange ends after MAX_TRANSMIT_WAIT, 93 s (RFC 7252 §4.8.2).
    net.run_until(100_000);
    assert_eq!(net.failures().len(), 1);
    net.get(0);
    net.run_until(101_000);
    assert_eq!(net.answered(), 2);
    assert_eq!(net.clients[0].client().lbc().get(P).unwrap().t_addr, T2);
}

#[test]
fn what_was_lost_at_the_former_address_says_nothing_of_the_new_one() {
    let mut net = Net::registered(Setup {
        hold: false,
        ..Setup::default()
    });
    net.get(0);
    net.run_until(1500);
    net.node_address = None;
    let non = coap::Reliability::NonConfirmable;
    net.clients[0].ask(net.now, service::Target::Node(P), non, get("/temperature"));
    net.run_until(1600);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(200_000);
    assert_eq!(
        net.failures(),
        [CallFailure::Exchange(coap::Failure::NoResponse)]
    );
    assert_eq!(net.clients[0].client().lbc().get(P).unwrap().t_addr, T2);
    let doubted = client::Event::Binding(removed(comp::Removal::NoAnswer));
    let mut events = net.client_events.iter();
    assert!(events.all(|(.., event)| *event != doubted));
}

#[test]
fn loss_delays_a_handover_with_hold_but_loses_no_request() {
    for seed in 0..20 {
        for way in &WAYS[..2] {
            let mut net = Net::registered_despite_loss(Setup {
                seed,
                loss: 0.05, // at 0.1, one request in 4000 loses all its five transmissions
                binding: way.binding,
                hold_queue: HoldQueue {
                    capacity: 10_000,
                    timeout: Duration::from_secs(300),
                },
                ..Setup::default()
            });
            let start = net.now.as_nanos() / 1_000_000;
            let mut poll = Poll::new(&net);
            poll.until(&mut net, start + 500);
            net.node.hold(net.now);
            poll.until(&mut net, start + 700);
            net.node_address = None;
            poll.until(&mut net, start + 800);
            net.node_address = Some(T2);
            net.node.bind(net.now, T2);
            poll.until(&mut net, start + 1500);
            net.run_until(start + 400_000);
            assert_eq!(net.failures(), [], "seed {seed} {way:?}");
            assert_eq!(net.answered(), poll.calls.len(), "seed {seed} {way:?}");
            let bound = net.node_took(&Step::Bound { address: T2 });
            assert!(bound.is_some(), "seed {seed} {way:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_datagrams() {
    let run = || {
        let mut net = Net::registered_despite_loss(Setup {
            loss: 0.2,
            ..Setup::default()
        });
        let mut poll = Poll::new(&net);
        let start = net.now.as_nanos() / 1_000_000;
        poll.until(&mut net, start + 300);
        net.node.bind(net.now, T1);
        net.run_until(start + 60_000);
        let datagrams = net
            .sent
            .iter()
            .map(|(time, d)| (*time, d.from, d.to, d.payload.clone()));
        datagrams.collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn ping_pong_between_two_addresses_answers_everything() {
    for way in &WAYS[..2] {
        let mut net = Net::registered(Setup {
            binding: way.binding,
            ..Setup::default()
        });
        let mut poll = Poll::new(&net);
        poll.until(&mut net, 2000);
        for handover in 0..10 {
            let start = 2000 + handover * 1000;
            poll.until(&mut net, start);
            net.node_events.clear();
            hand_over(
                &mut net,
                start,
                *way,
                if handover % 2 == 0 { T2 } else { T1 },
                &mut poll,
            );
        }
        poll.until(&mut net, 12_500);
        net.run_until(13_000);
        assert_eq!(net.failures(), []);
        assert_eq!(answers(&net), poll.calls);
    }
}

#[test]
fn a_copy_of_an_old_binding_update_does_not_undo_a_newer_one() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1100);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(1200);
    let old: Vec<Datagram> = (net.sent.iter())
        .filter(|(_, d)| *d.from.ip() == T2 && d.is(Code::PUT))
        .map(|(_, d)| d.clone())
        .collect();
    assert_eq!(old.len(), 2, "to the WMMS and to the client");
    net.node_address = Some(T1);
    net.node.bind(net.now, T1);
    net.run_until(1300);
    for copy in &old {
        net.hand_over(copy);
    }
    net.run_until(1400);
    assert_eq!(net.wmms.mmt().get(P).unwrap().t_addr, T1);
    assert_eq!(net.clients[0].client().lbc().get(P).unwrap().t_addr, T1);
}

#[test]
fn a_new_binding_stops_the_hold_that_is_still_being_passed_on() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1100);
    // The WMMS cannot reach the client for a while, the node can.
    net.cut =
        Box::new(|time, d| *d.from.ip() == W && *d.to.ip() == client_address(0) && time < at(2000));
    net.node.hold(net.now);
    net.run_until(1700);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(30_000);
    let entry = net.clients[0].client().lbc().get(P).unwrap();
    assert_eq!((entry.t_addr, entry.held), (T2, false));
}

#[test]
fn a_client_that_the_node_never_served_is_released_by_the_wmms_in_direct_mode_too() {
    let mut net = Net::registered(Setup {
        clients: 2,
        ..Setup::default()
    });
    net.get(0);
    net.run_until(1100);
    net.node.hold(net.now);
    net.run_until(1200);
    // It discovers during the hold, so that its request waits and the node cannot know it.
    net.get(1);
    net.run_until(1300);
    let before = net.sent.len();
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(1400);
    assert_eq!(net.answered(), 2);
    let forwarded: Vec<_> = (net.sent[before..].iter())
        .filter(|(_, d)| *d.from.ip() == W && d.is(Code::PUT))
        .map(|(_, d)| *d.to.ip())
        .collect();
    assert_eq!(
        forwarded,
        [client_address(1)],
        "and nothing to the client that the node told"
    );
}

#[test]
fn a_correspondent_that_knows_no_comp_is_forgotten_and_does_not_fail_the_binding() {
    let mut net = Net::registered(Setup::default());
    let stranger = socket("2001:db8:e::9".parse().unwrap());
    let get = coap::Request::new(Code::GET, "/temperature");
    assert_eq!(net.ask(stranger, T1, get).unwrap().code, Code::CONTENT);
    assert_eq!(net.node.correspondents().collect::<Vec<_>>(), [stranger]);
    net.node.bind(net.now, T2);
    net.node_address = Some(T2);
    net.run_until(120_000);
    // It is silent: waited for during 2.5 ACK_TIMEOUT, forgotten when the endpoint gives up.
    let bound = net.node_took(&Step::Bound { address: T2 });
    assert_eq!(bound, Some(at(6000)));
    assert_eq!(net.node.correspondents().count(), 0);
}

#[test]
fn a_binding_at_a_wmms_that_lost_its_table_becomes_a_registration() {
    let mut net = Net::registered(Setup::default());
    let empty = comp::mmt::Mmt::new(comp::Limits::default());
    net.restart_wmms(ms(500), BindingMode::Direct, empty);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(1100);
    assert_eq!(net.node_took(&Step::Bound { address: T2 }), Some(at(1016)));
    assert_eq!(net.wmms.mmt().get(P).unwrap().t_addr, T2);
}

#[test]
fn a_wmms_that_does_not_answer_fails_the_binding() {
    let mut net = Net::registered(Setup::default());
    net.cut = Box::new(|_, d| *d.to.ip() == W);
    net.node.bind(net.now, T1);
    net.run_until(120_000);
    let failed = |step: &Step| matches!(step, Step::Failed { .. });
    assert!(
        net.node_steps.iter().any(|(_, step)| failed(step)),
        "{:?}",
        net.node_steps
    );
}

#[test]
fn a_newer_binding_takes_the_place_of_one_under_way() {
    let mut net = Net::registered(Setup::default());
    net.cut = Box::new(|_, d| *d.from.ip() == T1);
    net.node.bind(net.now, T1);
    net.run_until(1100);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(120_000);
    assert_eq!(net.node_events, []);
    let phase = |step: &Step| matches!(step, Step::PhaseStarted(_) | Step::PhaseEnded(_));
    let ends = net.node_steps.iter().map(|(_, step)| step);
    let ends: Vec<&Step> = ends.filter(|step| !phase(step)).collect();
    assert_eq!(ends, [&Step::Bound { address: T2 }]);
    let to_wmms = net
        .sent
        .iter()
        .filter(|(_, d)| *d.to.ip() == W && d.is(Code::PUT));
    assert_eq!(to_wmms.count(), 2, "the first is not repeated");
}

#[test]
fn a_node_that_restarts_elsewhere_on_hold_releases_its_correspondents() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1100);
    net.node.hold(net.now);
    net.run_until(1200);
    net.get(0);
    let config = node::Config {
        p_addr: P,
        wmms: socket(W),
        hold: true,
        binding: BindingMode::Direct,
        lifetime: Duration::from_secs(600),
        hold_queue: HoldQueue::default(),
        coap: coap::Params::default(),
    };
    net.node = node::Node::new(config, units::Seed(5).rng(&["again"]));
    net.node_address = Some(T2);
    net.node.register(net.now, T2);
    net.run_until(1300);
    assert_eq!(net.answered(), 2);
}

#[test]
fn a_hold_that_meets_a_discovery_is_not_undone_by_its_older_answer() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1002);
    // The WMMS answers the discovery at 1004 and passes the hold on at 1006: both arrive
    // while the answer is lost, and repeated later with H_Flag 0 as it was.
    net.cut = Box::new(|time, d| d.is(Code::CONTENT) && time < at(1500));
    net.node.hold(net.now);
    net.run_until(1400);
    assert_eq!(net.served, []);
    net.run_until(20_000);
    assert_eq!(net.served, [], "the client learnt of the hold");
    assert!(net.clients[0].client().lbc().get(P).unwrap().held);
}

#[test]
fn a_client_goes_on_at_once_when_the_node_is_back_at_the_same_router() {
    for hold in [false, true] {
        for binding in [BindingMode::Direct, BindingMode::Relayed] {
            let mut net = Net::registered(Setup {
                hold,
                binding,
                hold_queue: HoldQueue {
                    timeout: Duration::from_secs(60),
                    ..HoldQueue::default()
                },
                ..Setup::default()
            });
            net.get(0);
            net.run_until(1100);
            // Its first retransmissions are lost, too: the next one is due 16 s later.
            net.node_address = None;
            let lost = net.get(0);
            if hold {
                net.run_until(1200);
                net.node_address = Some(T1);
                net.cut = Box::new(|time, d| time < at(30_000) && d.is(Code::CONTENT));
                net.node.hold(net.now);
            }
            net.run_until(40_000);
            assert_eq!(net.answered(), 1);
            net.node_address = Some(T1);
            net.node.bind(net.now, T1);
            net.run_until(40_100);
            let way = Way { hold, binding };
            assert_eq!(answers(&net).last(), Some(&lost), "{way:?}");
            // WMMS and node tell of one binding: what was lost goes out once for both.
            let again = (net.sent.iter())
                .filter(|(time, d)| *time >= at(40_000) && *d.to.ip() == T1 && d.is(Code::GET));
            assert_eq!(again.count(), 1, "{way:?}");
        }
    }
}
