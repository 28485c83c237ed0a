//! Clients that are nodes and nodes that are clients: over one endpoint each, and moving.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use crate::support::*;
use coap::wire::Message;
use coap::{Code, Kind, Params, Reliability, Response};
use comp::BindingMode;
use comp::client::{self, CallFailure, HoldQueue, Target};
use comp::codec::{Lifetime, Location};
use comp::node::{self, Node};
use handover::{Mobility, Step};
use machine::Machine;
use units::{Seed, SimTime};

/// The other one: its P_Addr is where it is at first.
const C: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 1, 0);
/// And where it is later.
const C2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 9);

const BOTH: [BindingMode; 2] = [BindingMode::Direct, BindingMode::Relayed];

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Node,
    Other,
}

fn setup(binding: BindingMode) -> Setup {
    Setup {
        binding,
        ..Setup::default()
    }
}

/// What the two, or the network, do in these tests.
trait Roles {
    fn machine(&mut self, who: Who) -> &mut node::Node;
    fn place(&mut self, who: Who, at: Option<Ipv6Addr>);
    fn asks(&mut self, who: Who) -> client::CallId;
    fn events(&self, who: Who) -> Vec<client::Event>;
    fn steps(&self, who: Who) -> Vec<(SimTime, Step)>;

    fn answered_calls(&self, who: Who) -> Vec<client::CallId> {
        let answered = |event: client::Event| response_of(&event).map(|(call, _)| call);
        self.events(who).into_iter().filter_map(answered).collect()
    }

    fn failed(&self, who: Who) -> Vec<CallFailure> {
        let failed = |event: client::Event| failure(&event).map(|(_, reason)| reason);
        self.events(who).into_iter().filter_map(failed).collect()
    }

    fn bound(&self, who: Who) -> Option<SimTime> {
        let bound = |(_, step): &(_, Step)| matches!(step, Step::Bound { .. });
        let found = self.steps(who).into_iter().find(bound);
        found.map(|(time, _)| time)
    }
}

impl Roles for Net {
    fn machine(&mut self, who: Who) -> &mut node::Node {
        match who {
            Who::Node => &mut self.node,
            Who::Other => &mut self.clients[0],
        }
    }

    fn place(&mut self, who: Who, at: Option<Ipv6Addr>) {
        match who {
            Who::Node => self.node_address = at,
            Who::Other => self.client_addresses[0] = at,
        }
    }

    fn asks(&mut self, who: Who) -> client::CallId {
        let now = self.now;
        let (p_addr, path) = match who {
            Who::Node => (C, "/clock"),
            Who::Other => (P, "/temperature"),
        };
        let confirmable = Reliability::Confirmable;
        let target = Target::Node(p_addr);
        self.machine(who).ask(now, target, confirmable, get(path))
    }

    fn events(&self, who: Who) -> Vec<client::Event> {
        let of_other = self.client_events.iter().filter(|(_, i, _)| *i == 0);
        match who {
            Who::Node => (self.node_as_client.iter().map(|(_, e)| e.clone())).collect(),
            Who::Other => of_other.map(|(_, _, e)| e.clone()).collect(),
        }
    }

    fn steps(&self, who: Who) -> Vec<(SimTime, Step)> {
        let of_other = self.client_steps.iter().filter(|(_, i, _)| *i == 0);
        match who {
            Who::Node => self.node_steps.clone(),
            Who::Other => of_other.map(|(t, _, step)| (*t, step.clone())).collect(),
        }
    }
}

/// A handover: asks for a hold at `at` ms if there is to be one, leaves 100 ms later and is at its
/// other address 250 ms after that.
#[derive(Clone, Copy, Debug)]
struct Move {
    who: Who,
    at: u64,
    hold: bool,
}

impl Move {
    fn step(self, net: &mut Net, time: u64) {
        let Move { who, at, hold } = self;
        let now = net.now;
        let there = match who {
            Who::Node => T2,
            Who::Other => C2,
        };
        if time == at && hold {
            net.machine(who).hold(now);
        } else if time == at + 100 {
            net.machine(who).leave(now);
            net.place(who, None);
        } else if time == at + 350 {
            net.place(who, Some(there));
            net.machine(who).bind(now, there);
        }
    }
}

/// Both ask every 10 ms from 1 s to `until`, and move; then everything has time to end. Returns
/// their calls.
fn play(net: &mut Net, moves: &[Move], until: u64) -> [Vec<client::CallId>; 2] {
    let mut calls = [Vec::new(), Vec::new()];
    for time in (1000..until).step_by(10) {
        net.run_until(time);
        for step in moves {
            step.step(net, time);
        }
        calls[0].push(net.asks(Who::Node));
        calls[1].push(net.asks(Who::Other));
    }
    net.run_until(until + 20_000);
    calls
}

/// Two nodes that ask each other and move: nothing is lost, and the order is kept.
fn ask_each_other(binding: BindingMode, moves: &[Move]) {
    let context = format!("{binding:?} {moves:?}");
    for seed in 1..=10 {
        let mut net = Net::registered(Setup {
            seed,
            hold_queue: client::HoldQueue {
                capacity: 1000,
                timeout: Duration::from_secs(10),
            },
            ..setup(binding)
        });
        let calls = play(&mut net, moves, 5000);
        for (who, calls) in [Who::Node, Who::Other].into_iter().zip(calls) {
            assert_eq!(net.failed(who), [], "{who:?} {context} {seed}");
            assert_eq!(net.answered_calls(who), calls, "{who:?} {context} {seed}");
        }
        for step in moves {
            assert!(net.bound(step.who).is_some(), "{context} {seed}");
        }
    }
}

#[test]
fn two_nodes_that_ask_each_other_lose_nothing_when_they_move_one_after_the_other() {
    for binding in BOTH {
        for hold in [true, false] {
            let moves = [
                Move {
                    who: Who::Node,
                    at: 2000,
                    hold,
                },
                Move {
                    who: Who::Other,
                    at: 3500,
                    hold,
                },
            ];
            ask_each_other(binding, &moves);
        }
    }
}

#[test]
fn two_nodes_that_ask_each_other_lose_nothing_when_they_move_at_the_same_time() {
    for binding in BOTH {
        for hold in [true, false] {
            for later in [0, 10, 50, 100, 150, 200, 300, 350, 360, 400] {
                let moves = [
                    Move {
                        who: Who::Node,
                        at: 2000,
                        hold,
                    },
                    Move {
                        who: Who::Other,
                        at: 2000 + later,
                        hold,
                    },
                ];
                ask_each_other(binding, &moves);
            }
        }
    }
}

/// What is asked while away is sent when the WMMS has acknowledged the binding, not before.
#[test]
fn a_node_that_asks_sends_nothing_while_it_is_away_and_everything_in_order_afterwards() {
    for binding in BOTH {
        let mut net = Net::registered(setup(binding));
        net.asks(Who::Node);
        net.run_until(1100);
        net.node.hold(net.now);
        net.run_until(1200);
        net.node.leave(net.now);
        net.node_address = None;
        net.sent.clear();
        let calls: Vec<_> = (0..20).map(|_| net.asks(Who::Node)).collect();
        net.run_until(1500);
        assert_eq!(net.count_sent(C, Code::GET), 0);
        net.node_address = Some(T2);
        net.node.bind(net.now, T2);
        net.run_until(1507);
        assert_eq!(net.count_sent(C, Code::GET), 0, "not acknowledged yet");
        net.run_until(3000);
        assert_eq!(net.answered_calls(Who::Node)[1..], calls);
        let from = |d: &Datagram| d.is(Code::GET) && *d.from.ip() == T2;
        let sent = net.sent.iter().filter(|(_, d)| from(d)).count();
        assert_eq!(sent, 20, "each once");
    }
}

/// Its answer went to where the node is not any more.
#[test]
fn a_request_on_its_way_when_the_node_leaves_is_sent_again_under_its_message_id() {
    let mut net = Net::registered(Setup::default());
    net.asks(Who::Node);
    net.run_until(1100);
    net.sent.clear();
    net.asks(Who::Node);
    net.run_until(1101);
    net.node.leave(net.now);
    net.node_address = None;
    net.run_until(1400);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(1500);
    assert_eq!(net.answered_calls(Who::Node).len(), 2);
    let gets: Vec<u16> = (net.sent.iter())
        .filter(|(_, d)| d.is(Code::GET) && *d.to.ip() == C)
        .map(|(_, d)| d.message().message_id)
        .collect();
    assert_eq!(gets.len(), 2, "not again before it was due");
    assert_eq!(gets[0], gets[1]);
}

#[test]
fn a_request_that_is_not_confirmable_fails_when_the_node_leaves_and_the_next_one_goes_on() {
    let mut net = Net::registered(Setup::default());
    net.asks(Who::Node);
    net.run_until(1100);
    let non = Reliability::NonConfirmable;
    net.node.ask(net.now, Target::Node(C), non, get("/clock"));
    net.run_until(1101);
    net.node.leave(net.now);
    net.node_address = None;
    net.node.ask(net.now, Target::Node(C), non, get("/clock"));
    net.run_until(1400);
    net.node_address = Some(T2);
    net.node.bind(net.now, T2);
    net.run_until(1500);
    let left = CallFailure::Exchange(coap::Failure::Left);
    assert_eq!(net.failed(Who::Node), [left]);
    assert_eq!(net.answered_calls(Who::Node).len(), 2);
    assert!(
        net.node.client().lbc().get(C).is_some(),
        "it was not silent"
    );
}

#[test]
fn requests_of_a_node_that_sleeps_wait_until_it_is_awake() {
    let mut net = Net::registered(Setup::default());
    net.asks(Who::Node);
    net.run_until(1100);
    net.node.sleep(net.now, ms(2000));
    net.run_until(1200);
    net.node.leave(net.now);
    net.sent.clear();
    net.asks(Who::Node);
    net.run_until(3100);
    assert_eq!(net.count_sent(C, Code::GET), 0);
    net.node.awake(net.now);
    net.run_until(3200);
    assert_eq!(net.answered_calls(Who::Node).len(), 2);
}

/// The node at its new address asks another, moves the client, then holds.
#[test]
fn a_hold_reaches_a_correspondent_where_it_has_moved_to() {
    for binding in BOTH {
        let mut net = Net::registered(setup(binding));
        net.asks(Who::Other);
        net.run_until(1100);
        net.clients[0].leave(net.now);
        net.client_addresses[0] = Some(C2);
        net.clients[0].bind(net.now, C2);
        net.run_until(1300);
        net.sent.clear();
        net.node.hold(net.now);
        net.run_until(1400);
        let hold = |d: &Datagram| d.is(Code::PUT) && *d.from.ip() == W;
        let to: Vec<Ipv6Addr> = (net.sent.iter())
            .filter(|(_, d)| hold(d))
            .map(|(_, d)| *d.to.ip())
            .collect();
        assert_eq!(to, [C2], "{binding:?}");
        assert!(net.clients[0].client().lbc().get(P).unwrap().held);
        // The node has answered nothing at that address: in either mode the WMMS tells it.
        net.node_address = Some(T2);
        net.node.bind(net.now, T2);
        net.run_until(1500);
        let entry = net.clients[0].client().lbc().get(P).unwrap();
        assert_eq!((entry.t_addr, entry.held), (T2, false), "{binding:?}");
    }
}

#[test]
fn without_hold_too_a_correspondent_that_has_moved_hears_of_a_binding() {
    for binding in BOTH {
        let mut net = Net::registered(setup(binding));
        net.asks(Who::Other);
        net.run_until(1100);
        net.clients[0].leave(net.now);
        net.client_addresses[0] = Some(C2);
        net.clients[0].bind(net.now, C2);
        net.run_until(1300);
        net.node_address = Some(T2);
        net.node.bind(net.now, T2);
        net.run_until(1400);
        let entry = net.clients[0].client().lbc().get(P).unwrap();
        assert_eq!(entry.t_addr, T2, "{binding:?}");
    }
}

#[test]
fn a_hold_does_not_wait_for_a_correspondent_that_is_on_hold_itself() {
    for first in [Who::Other, Who::Node] {
        let mut net = Net::registered(Setup::default());
        net.asks(Who::Other);
        net.asks(Who::Node);
        net.run_until(1100);
        net.clients[0].hold(net.now);
        if first == Who::Other {
            net.run_until(1200);
        }
        // It leaves, and does not hear the hold of the other.
        net.clients[0].leave(net.now);
        net.run_until(net.now.as_nanos() / 1_000_000 + 1);
        net.client_addresses[0] = None;
        let asked = net.now;
        net.node.hold(net.now);
        net.run_until(1400);
        let answered = |(_, e): &&(_, node::Event)| matches!(e, node::Event::HoldAnswered { .. });
        let found = net.node_events.iter().find(answered).expect("answered");
        assert_eq!(found.0, asked + ms(8), "one round trip");
        // It is back: the hold is told first thing.
        net.client_addresses[0] = Some(C2);
        net.clients[0].bind(net.now, C2);
        net.run_until(1500);
        assert!(net.clients[0].client().lbc().get(P).unwrap().held);
    }
}

/// The hold is on its way to the correspondent's former address when that binds.
#[test]
fn a_correspondent_that_moves_while_a_hold_is_passed_on_hears_of_it_where_it_is() {
    let mut net = Net::registered(Setup::default());
    net.asks(Who::Other);
    net.run_until(1100);
    // It moves without a hold of its own.
    net.clients[0].leave(net.now);
    net.client_addresses[0] = None;
    net.node.hold(net.now);
    net.run_until(1200);
    net.client_addresses[0] = Some(C2);
    net.clients[0].bind(net.now, C2);
    net.run_until(1300);
    let entry = net.clients[0].client().lbc().get(P).unwrap();
    assert!(entry.held);
    let answered = |event: &node::Event| matches!(event, node::Event::HoldAnswered { .. });
    assert!(net.node_events.iter().any(|(_, event)| answered(event)));
}

#[test]
fn a_binding_does_not_wait_for_the_former_address_of_a_correspondent() {
    // The node asks it, too, and so hears that it moves; or it does not, and much time passes.
    for (asks_it, later) in [(true, 2000), (false, 20_000)] {
        let mut net = Net::registered(Setup::default());
        net.asks(Who::Other);
        if asks_it {
            net.asks(Who::Node);
        }
        net.run_until(1100);
        net.clients[0].leave(net.now);
        net.client_addresses[0] = Some(C2);
        net.clients[0].bind(net.now, C2);
        net.run_until(later);
        net.asks(Who::Other);
        net.run_until(later + 100);
        let correspondents: Vec<Ipv6Addr> = (net.node.correspondents()).map(|c| *c.ip()).collect();
        match asks_it {
            true => assert_eq!(correspondents, [C2]),
            false => assert_eq!(correspondents, [C, C2]),
        }
        net.node_address = Some(T2);
        net.node.bind(net.now, T2);
        net.run_until(later + 200);
        assert_eq!(net.bound(Who::Node), Some(at(later + 108)), "{asks_it}");
    }
}

/// RFC 7641 §4.1 knows an observer by its address.
#[test]
fn an_observer_that_moves_registers_again_with_its_token() {
    let mut net = Net::registered(Setup::default());
    let now = net.now;
    let (target, confirmable) = (Target::Node(P), Reliability::Confirmable);
    net.clients[0].observe(now, target, confirmable, get("/temperature"));
    net.run_until(1100);
    net.sent.clear();
    net.clients[0].leave(net.now);
    net.client_addresses[0] = Some(C2);
    net.clients[0].bind(net.now, C2);
    net.run_until(1200);
    net.state = b"22.0".to_vec();
    let state = coap::Response {
        payload: net.state.clone(),
        ..coap::Response::new(Code::CONTENT)
    };
    net.node.notify(net.now, "/temperature", &state);
    net.run_until(1300);
    let states: Vec<Vec<u8>> = (net.events(Who::Other).into_iter())
        .filter_map(|event| notification(&event).map(|(_, response)| response.payload.clone()))
        .collect();
    assert_eq!(states, [&b"21.5"[..], b"21.5", b"22.0"]);
    assert_eq!(net.count_sent(T1, Code::GET), 1);
    assert_eq!(net.clients[0].client().outstanding(), 0);
}

/// What a node sends, decoded.
fn sent(node: &mut Node) -> Vec<(SocketAddrV6, Message)> {
    let transmits = std::iter::from_fn(|| node.poll_transmit());
    let decoded = transmits.map(|t| (t.to, Message::decode(&t.payload).unwrap()));
    decoded.collect()
}

/// Answers the last request to the WMMS among `sent`.
fn answer(node: &mut Node, now: SimTime, sent: &[(SocketAddrV6, Message)], response: Response) {
    let to_wmms = sent.iter().rfind(|(to, _)| *to == socket(W));
    let message = Message {
        kind: Kind::Acknowledgement,
        code: response.code,
        options: response.options,
        ..to_wmms.expect("a request").1.clone()
    };
    node.handle_datagram(now, socket(W), &message.encode());
}

#[test]
fn a_binding_does_not_wait_for_a_correspondent_that_has_moved_and_is_on_hold_there() {
    let config = node::Config {
        p_addr: P,
        wmms: socket(W),
        hold: true,
        binding: BindingMode::Direct,
        lifetime: Duration::from_secs(600),
        hold_queue: HoldQueue::default(),
        coap: Params::default(),
    };
    let mut node = Node::new(config, Seed(1).rng(&["node"]));
    let other = client_address(0);
    let located = |t_addr, held| Location {
        p_addr: other,
        t_addr,
        lifetime: Lifetime(5),
        held,
        sleep: None,
        sequence: None,
    };
    let (target, confirmable) = (Target::Node(other), Reliability::Confirmable);
    node.ask(at(0), target, confirmable, get("/temperature"));
    let discovery = sent(&mut node);
    answer(&mut node, at(0), &discovery, located(T1, false).response());
    // From there it asks, too, and is a correspondent.
    let mut asks = Message::empty(Kind::NonConfirmable, 7);
    asks.code = Code::GET;
    node.handle_datagram(at(0), socket(T1), &asks.encode());
    let events = std::iter::from_fn(|| node.poll_event());
    let exchange = events.filter_map(|event| match event {
        node::Event::Request { incoming, .. } => Some(incoming.exchange),
        _ => None,
    });
    let exchange = exchange.last().expect("a request");
    node.respond(at(0), exchange, Response::new(Code::CONTENT));
    // Its lifetime ends, its answer is still missing, and then it is on hold elsewhere.
    node.handle_timeout(at(5000));
    node.ask(at(5000), target, confirmable, get("/temperature"));
    let discovery = sent(&mut node);
    answer(
        &mut node,
        at(5000),
        &discovery,
        located(T2, true).response(),
    );
    let here = client_address(5);
    node.bind(at(5000), here);
    let binding = sent(&mut node);
    assert!(
        binding.iter().all(|(to, _)| *to == socket(W)),
        "{binding:?}"
    );
    answer(&mut node, at(5000), &binding, Response::new(Code::CHANGED));
    let mut events = std::iter::from_fn(|| node.poll_event());
    assert!(events.any(|event| event == node::Event::Step(Step::Bound { address: here })));
}
