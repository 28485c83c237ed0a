//! An answer leaves only after what it acknowledges is written; a group is written once.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use coap::{Endpoint, Machine, Params, Reliability, Transmit};
use comp::codec::{self, Command, Lifetime};
use comp::mmt::Mmt;
use comp::wmms::{self, Wmms};
use comp::{BindingMode, Limits};
use store::{Durable, Event, Store};
use units::{Seed, SimTime};

/// Keeps what was committed, and can break.
#[derive(Debug, Default)]
struct Shelf {
    commits: Vec<BTreeSet<Ipv6Addr>>,
    broken: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("no room on the shelf")]
struct NoRoom;

impl Store for Shelf {
    type Error = NoRoom;

    fn load(&mut self, _: &mut Mmt) -> Result<(), NoRoom> {
        Ok(())
    }

    fn commit(&mut self, _: &Mmt, changed: &BTreeSet<Ipv6Addr>) -> Result<(), NoRoom> {
        self.commits.push(changed.clone());
        if self.broken { Err(NoRoom) } else { Ok(()) }
    }
}

fn p(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n)
}

fn durable(broken: bool) -> Durable<Shelf> {
    let config = wmms::Config {
        hold_timeout: Duration::from_secs(1),
        binding: BindingMode::Direct,
        limits: Limits::default(),
        coap: Params::default(),
    };
    let shelf = Shelf {
        broken,
        ..Shelf::default()
    };
    Durable::new(Wmms::new(config, Seed(1).rng(&["wmms"])), shelf)
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

#[test]
fn a_group_of_requests_is_committed_once_and_before_the_first_answer() {
    let mut machine = durable(false);
    for node in 1..=3 {
        register(&mut machine, node);
        assert!(machine.store().commits.is_empty());
    }
    assert!(machine.poll_transmit().is_some());
    assert_eq!(
        machine.store().commits,
        [BTreeSet::from([p(1), p(2), p(3)])]
    );
    assert!(machine.poll_transmit().is_some() && machine.poll_transmit().is_some());
    assert!(machine.poll_transmit().is_none());
    assert_eq!(machine.store().commits.len(), 1);
}

#[test]
fn what_changes_nothing_is_answered_without_a_commit() {
    let mut machine = durable(false);
    let (from, payload) = datagram(1, Command::Discovery { p_addr: p(9) });
    machine.handle_datagram(SimTime::ZERO, from, &payload);
    assert!(machine.poll_transmit().is_some(), "4.04");
    assert!(machine.store().commits.is_empty());
}

#[test]
fn a_store_that_fails_silences_the_wmms_and_its_owner_is_told_once() {
    let mut machine = durable(true);
    register(&mut machine, 1);
    assert!(machine.poll_transmit().is_none());
    register(&mut machine, 2);
    assert!(machine.poll_transmit().is_none());
    assert!(matches!(machine.poll_event(), Some(Event::Failed(NoRoom))));
    assert!(matches!(machine.poll_event(), Some(Event::Wmms(_))));
    assert_eq!(machine.store().commits.len(), 1);
}
