//! An answer leaves only after what it acknowledges is written; meanwhile the WMMS goes on.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::{Endpoint, Params, Reliability};
use comp::codec::{self, Command, Lifetime};
use comp::mmt::Mmt;
use comp::wmms::{self, Wmms};
use comp::{BindingMode, Limits};
use machine::{Machine, Transmit};
use units::{Seed, SimTime};
use wmms_store::{Durable, Event, Store, Writer};

/// Makes groups of what has changed; who writes them is played by the tests.
#[derive(Debug)]
struct Shelf;

#[derive(Debug)]
struct Porter;

impl Store for Shelf {
    type Error = Infallible;
    type Group = BTreeSet<Ipv6Addr>;
    type Writer = Porter;

    fn load(&mut self, _: &mut Mmt) -> Result<(), Infallible> {
        Ok(())
    }

    fn group(&mut self, _: &Mmt, changed: &BTreeSet<Ipv6Addr>) -> BTreeSet<Ipv6Addr> {
        changed.clone()
    }

    fn writer(&self) -> Porter {
        Porter
    }
}

impl Writer for Porter {
    type Group = BTreeSet<Ipv6Addr>;
    type Error = Infallible;

    fn commit(&mut self, _: BTreeSet<Ipv6Addr>) -> Result<(), Infallible> {
        Ok(())
    }
}

fn p(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n)
}

fn durable() -> Durable<Shelf> {
    let config = wmms::Config {
        hold_timeout: Duration::from_secs(1),
        binding: BindingMode::Direct,
        limits: Limits::default(),
        coap: Params::default(),
    };
    Durable::new(Wmms::new(config, Seed(1).rng(&["wmms"])), Shelf)
}

/// A node's request as a datagram.
fn datagram(node: u16, command: Command) -> (SocketAddrV6, Vec<u8>) {
    let rng = Seed(u64::from(node)).rng(&["node"]);
    let mut endpoint = Endpoint::new(Params::default(), codec::KNOWN_CRITICAL, rng);
    let server = SocketAddrV6::new(p(0xffff), 5683, 0, 0);
    let confirmable = Reliability::Confirmable;
    endpoint.request(SimTime::ZERO, server, confirmable, command.request());
    let Transmit { payload, .. } = endpoint.poll_transmit().unwrap();
    (SocketAddrV6::new(p(node), 5683, 0, 0), payload)
}

fn register(machine: &mut Durable<Shelf>, node: u16) {
    let command = Command::Registration {
        p_addr: p(node),
        t_addr: p(node),
        lifetime: Lifetime(60),
    };
    let (from, payload) = datagram(node, command);
    machine.handle_datagram(SimTime::ZERO, from, &payload);
}

/// The next group to write, past the WMMS's events.
fn poll_group(machine: &mut Durable<Shelf>) -> Option<BTreeSet<Ipv6Addr>> {
    while let Some(event) = machine.poll_event() {
        if let Event::Write(group) = event {
            return Some(group);
        }
    }
    None
}

/// Datagrams that may leave.
fn transmits(machine: &mut Durable<Shelf>) -> usize {
    std::iter::from_fn(|| machine.poll_transmit()).count()
}

#[test]
fn a_group_of_requests_is_one_group_and_answered_once_it_is_written() {
    let mut machine = durable();
    for node in 1..=3 {
        register(&mut machine, node);
        assert!(machine.poll_transmit().is_none());
    }
    let group = poll_group(&mut machine);
    assert_eq!(group, Some(BTreeSet::from([p(1), p(2), p(3)])));
    assert!(machine.poll_transmit().is_none());
    machine.written();
    assert_eq!(transmits(&mut machine), 3);
    assert!(!machine.has_waiting());
    assert_eq!(poll_group(&mut machine), None);
}

#[test]
fn what_changes_while_a_group_is_written_is_the_next_group() {
    let mut machine = durable();
    register(&mut machine, 1);
    assert_eq!(poll_group(&mut machine), Some(BTreeSet::from([p(1)])));
    register(&mut machine, 2);
    register(&mut machine, 3);
    assert_eq!(poll_group(&mut machine), None, "one at a time");
    machine.written();
    assert_eq!(transmits(&mut machine), 1, "the first group's");
    assert!(machine.has_waiting());
    let group = poll_group(&mut machine);
    assert_eq!(group, Some(BTreeSet::from([p(2), p(3)])));
    assert!(machine.poll_transmit().is_none());
    machine.written();
    assert_eq!(transmits(&mut machine), 2);
}

#[test]
fn what_is_read_from_an_unwritten_group_waits_for_it() {
    let mut machine = durable();
    register(&mut machine, 1);
    assert!(poll_group(&mut machine).is_some());
    let (from, payload) = datagram(2, Command::Discovery { p_addr: p(9) });
    machine.handle_datagram(SimTime::ZERO, from, &payload);
    assert!(
        machine.poll_transmit().is_none(),
        "it may have read group 1"
    );
    machine.written();
    assert_eq!(transmits(&mut machine), 2);
}

#[test]
fn what_changes_nothing_is_answered_without_a_group() {
    let mut machine = durable();
    let (from, payload) = datagram(1, Command::Discovery { p_addr: p(9) });
    machine.handle_datagram(SimTime::ZERO, from, &payload);
    assert_eq!(poll_group(&mut machine), None);
    assert!(machine.poll_transmit().is_some(), "4.04");
}

#[test]
fn what_nobody_waits_for_is_written_at_the_end() {
    let mut machine = durable();
    register(&mut machine, 1);
    assert!(poll_group(&mut machine).is_some());
    machine.written();
    machine.handle_timeout(SimTime::ZERO + Duration::from_secs(61));
    assert_eq!(poll_group(&mut machine), None);
    assert_eq!(machine.take_rest(), Some(BTreeSet::from([p(1)])));
    assert_eq!(machine.take_rest(), None);
}

#[test]
fn of_many_lifetimes_that_end_at_once_the_store_hears_bit_by_bit() {
    let mut machine = durable();
    for node in 1..=5000 {
        register(&mut machine, node);
    }
    assert!(poll_group(&mut machine).is_some());
    machine.written();
    let end = SimTime::ZERO + Duration::from_secs(61);
    let mut removed = 0;
    while machine.poll_timeout().is_some_and(|due| due <= end) {
        machine.handle_timeout(end);
        if let Some(group) = poll_group(&mut machine) {
            assert!(group.len() < 1100, "{} in a group", group.len());
            removed += group.len();
            machine.written();
        }
    }
    assert!(removed > 3900, "{removed}");
    assert_eq!(
        machine.take_rest().map(|rest| rest.len() + removed),
        Some(5000)
    );
}
