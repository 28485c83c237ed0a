//! What is delayed, doubled, lost or from before a restart never takes the place of newer news.

use std::net::Ipv6Addr;
use std::time::Duration;

use crate::support::*;
use comp::codec::{self, Command, Lifetime, Location};
use comp::mmt::{self, Mmt};
use comp::{BindingMode, Sequence, node};
use handover::{BindingEvent, Mobility};
use proptest::prelude::*;

/// Longest extra delay of a datagram: MAX_LATENCY (RFC 7252 §4.8.2).
const MAX_LATENCY_MS: u64 = 100_000;
const LIFETIME: Duration = Duration::from_secs(50_000);

/// Where the node is after its `i`-th move; ascending with time.
fn place(i: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, i)
}

fn place_number(address: Ipv6Addr) -> u16 {
    address.segments()[7]
}

/// What the node does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Hold,
    Sleep(u16),
    Move,
    Register,
    Restart,
    Ask,
    RestartWmms,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Hold),
        1 => (1u16..2000).prop_map(Step::Sleep),
        4 => Just(Step::Move),
        1 => Just(Step::Register),
        1 => Just(Step::Restart),
        2 => Just(Step::Ask),
        1 => Just(Step::RestartWmms),
    ]
}

/// A run in which the node's places ascend, so that a table in which one descends took an old
/// message for a new one.
struct Trial {
    net: Net,
    binding: BindingMode,
    place: u16,
    newest_at_wmms: u16,
}

impl Trial {
    fn take(&mut self, step: Step) {
        let now = self.net.now;
        match step {
            Step::Hold => self.net.node.hold(now),
            Step::Sleep(ms) => self.net.node.sleep(now, Duration::from_millis(ms.into())),
            Step::Move => {
                self.place += 1;
                self.net.node_address = Some(place(self.place));
                self.net.node.bind(now, place(self.place));
            }
            Step::Register => self.net.node.register(now, place(self.place)),
            Step::Restart => {
                self.place += 1;
                self.net.node_address = Some(place(self.place));
                self.net.restart_node(LIFETIME);
                self.net.node.register(now, place(self.place));
            }
            Step::Ask => self.net.get_from_all(),
            Step::RestartWmms => {
                let table = self.net.table();
                self.net.restart_wmms(ms(500), self.binding, table);
            }
        }
    }

    /// Runs on, a little at a time, and looks at the table in between.
    fn run(&mut self, until: u64) -> Result<(), TestCaseError> {
        let mut now = self.net.now.as_nanos() / 1_000_000;
        while now < until {
            now = (now + 250).min(until);
            self.net.run_until(now);
            if let Some(entry) = self.net.wmms.mmt().get(P) {
                let found = place_number(entry.t_addr);
                prop_assert!(found >= self.newest_at_wmms, "{found} after newer ones");
                self.newest_at_wmms = found;
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_newest_binding_wins_whatever_the_network_does(
        seed: u64,
        relayed: bool,
        loss in 0.0..0.4,
        duplication in 0.0..0.5,
        jitter_ms in 0..MAX_LATENCY_MS,
        // Two seconds, in which the clock counts to 20, are enough for what a step says.
        steps in proptest::collection::vec((step(), 2_000u64..20_000), 1..25),
    ) {
        let binding = if relayed { BindingMode::Relayed } else { BindingMode::Direct };
        let mut net = Net::new(Setup {
            seed, binding, loss, duplication,
            clients: 2,
            lifetime: LIFETIME,
            jitter: Duration::from_millis(jitter_ms),
            ..Setup::default()
        });
        net.node_address = Some(place(1));
        net.node.register(net.now, place(1));
        let mut trial = Trial { net, binding, place: 1, newest_at_wmms: 0 };
        let mut time = 0;
        for (step, pause) in steps {
            trial.take(step);
            time += pause;
            trial.run(time)?;
        }
        // What is still on its way arrives after the last move.
        trial.net.calm();
        trial.take(Step::Move);
        trial.take(Step::Ask);
        trial.run(time + 1_000_000)?;
        let entry = trial.net.wmms.mmt().get(P).cloned();
        let entry = entry.ok_or_else(|| TestCaseError::fail("the node is not in the table"))?;
        prop_assert_eq!(entry.t_addr, place(trial.place));
        prop_assert!(!entry.held);
        // Whoever tells the clients has told those that it knows of.
        let told: Vec<_> = match binding {
            BindingMode::Direct => trial.net.node.correspondents().collect(),
            BindingMode::Relayed => entry.extra.correspondents.iter().collect(),
            BindingMode::Nobody => Vec::new(),
        };
        for (i, client) in trial.net.clients.iter().enumerate() {
            if told.contains(&socket(client_address(i))) && let Some(entry) = client.client().lbc().get(P) {
                prop_assert_eq!((entry.t_addr, entry.held), (place(trial.place), false));
            }
        }
    }

    #[test]
    fn a_node_that_lost_its_count_gets_through_whatever_the_number_was(last: u16) {
        let mut net = Net::new(Setup::default());
        let before = Command::Registration { p_addr: P, t_addr: T1, lifetime: Lifetime(600) };
        let request = before.numbered(Some(Sequence(last)));
        prop_assert!(net.ask(socket(T1), W, request).is_some());
        net.node_address = Some(T2);
        net.node.register(net.now, T2);
        net.run_until(100);
        let registered = node::Event::Binding(BindingEvent::Registered { p_addr: P, t_addr: T2 });
        prop_assert!(net.node_reported(&registered).is_some());
        let entry = net.wmms.mmt().get(P).unwrap();
        prop_assert_eq!(entry.t_addr, T2);
        prop_assert!(entry.sequence.unwrap().is_newer_than(Sequence(last)));
    }
}

/// Sends the node's own words again.
fn say(net: &mut Net, to: Ipv6Addr, command: &Command, number: Option<u16>) -> coap::Response {
    let request = command.numbered(number.map(Sequence));
    // Of the WMMS, whom every client believes.
    net.ask(socket(W), to, request).expect("an answer")
}

const REGISTRATION: Command = Command::Registration {
    p_addr: P,
    t_addr: T1,
    lifetime: Lifetime(600),
};
const BINDING: Command = Command::BindingUpdate {
    p_addr: P,
    t_addr: T2,
    lifetime: Lifetime(600),
};
const HOLD: Command = Command::Hold {
    p_addr: P,
    sleep: None,
};

/// RFC 6275 §9.5.1: a Sequence number "less than or equal" to the last gets status 135 with
/// "the last accepted Sequence Number".
#[test]
fn what_is_not_newer_is_answered_with_the_last_number_and_changes_nothing() {
    let mut net = Net::new(Setup::default());
    let answer = say(&mut net, W, &REGISTRATION, Some(40_000));
    assert_eq!(answer.code.to_string(), "2.01");
    let gone = Command::Deregistration { p_addr: P };
    let before = net.table();
    for command in [REGISTRATION, BINDING, HOLD, gone] {
        for number in [40_000, 39_999, 7_232] {
            let answer = say(&mut net, W, &command, Some(number));
            assert_eq!(answer.code.to_string(), "4.09", "{command:?} {number}");
            let last = codec::parse_outdated(&answer);
            assert_eq!(last, Some(Sequence(40_000)), "{command:?} {number}");
            assert_eq!(
                entries(&net.table()),
                entries(&before),
                "{command:?} {number}"
            );
        }
    }
    // RFC 1982: 7231 is 32767 above 40000.
    let answer = say(&mut net, W, &BINDING, Some(7_231));
    assert_eq!(answer.code.to_string(), "2.04");
}

#[test]
fn messages_without_a_number_count_by_their_arrival_until_their_node_counts() {
    let mut net = Net::new(Setup::default());
    let gone = Command::Deregistration { p_addr: P };
    for number in [None, None, Some(9)] {
        let answer = say(&mut net, W, &REGISTRATION, number);
        assert_eq!(answer.code.to_string(), "2.01", "{number:?}");
        let entry = net.wmms.mmt().get(P).unwrap();
        assert_eq!(entry.sequence, number.map(Sequence));
    }
    let before = net.table();
    for command in [&REGISTRATION, &BINDING, &HOLD, &gone] {
        let answer = say(&mut net, W, command, None);
        assert_eq!(codec::parse_outdated(&answer), Some(Sequence(9)));
        assert_eq!(entries(&net.table()), entries(&before), "{command:?}");
    }
    // Within a lifetime.
    assert_eq!(say(&mut net, W, &gone, Some(10)).code.to_string(), "2.02");
    let answer = say(&mut net, W, &REGISTRATION, None);
    assert_eq!(answer.code.to_string(), "2.01");
}

#[test]
fn a_client_believes_no_message_without_a_number_of_a_node_that_counts() {
    let mut net = Net::registered(Setup::default());
    net.get(0);
    net.run_until(1100);
    let known = net.clients[0].client().lbc().get(P).copied();
    for command in [&BINDING, &HOLD] {
        let answer = say(&mut net, client_address(0), command, None);
        assert_eq!(answer.code.to_string(), "4.09");
        assert_eq!(net.clients[0].client().lbc().get(P).copied(), known);
    }
}

#[test]
fn a_late_registration_does_not_bring_back_a_node_that_left_until_it_cannot_be_late_any_more() {
    let mut net = Net::new(Setup::default());
    say(&mut net, W, &REGISTRATION, Some(5));
    let gone = Command::Deregistration { p_addr: P };
    assert_eq!(say(&mut net, W, &gone, Some(7)).code.to_string(), "2.02");
    // RFC 7252 §4.8.2: EXCHANGE_LIFETIME is 247 s.
    for (time, code) in [(246_000, "4.09"), (248_000, "2.01")] {
        net.run_until(time);
        let answer = say(&mut net, W, &REGISTRATION, Some(6));
        assert_eq!(answer.code.to_string(), code, "at {time} ms");
    }
}

#[test]
fn a_discovery_tells_the_number_so_that_the_client_refuses_what_is_older() {
    let mut net = Net::registered(Setup::default());
    let mut number = net.wmms.mmt().get(P).unwrap().sequence.unwrap().0;
    net.get(0);
    net.run_until(1100);
    let client = client_address(0);
    let answer = say(&mut net, client, &HOLD, Some(number));
    assert_eq!(codec::parse_outdated(&answer), Some(Sequence(number)));
    number += 1;
    let answer = say(&mut net, client, &BINDING, Some(number));
    assert_eq!(answer.code.to_string(), "2.04");
    // The same binding from the WMMS: acknowledged, and nothing new.
    let answer = say(&mut net, client, &BINDING, Some(number));
    assert_eq!(answer.code.to_string(), "2.04");
    let answer = say(&mut net, client, &HOLD, Some(number));
    assert_eq!(answer.code.to_string(), "4.09");
    let entry = net.clients[0].client().lbc().get(P).unwrap();
    assert_eq!((entry.t_addr, entry.held), (T2, false));

    let request = Command::Discovery { p_addr: P }.request();
    let response = net.ask(socket(T2), W, request).unwrap();
    let location = Location::parse(&response).unwrap();
    assert_eq!(location.sequence, net.wmms.mmt().get(P).unwrap().sequence);
}

/// What a table holds, to compare.
fn entries(table: &Mmt) -> Vec<(Ipv6Addr, mmt::Entry)> {
    let entries = table.iter();
    entries
        .map(|(p_addr, entry)| (p_addr, entry.clone()))
        .collect()
}
