//! What arrives faster than a machine takes it in: peers that it knows come before strangers.
//!
//! A socket has one receive buffer. When it is full the kernel drops whatever comes next, whoever sends it, so that
//! a flood from strangers costs the peers as large a share of their datagrams as its own. So a
//! [`Driver`](crate::Driver) with more before it than it takes in at once empties the buffer first, which costs a fraction of what the machine
//! does with a datagram, and asks [`Machine::knows`](machine::Machine::knows) of each. Known peers stand in one line, strangers in
//! another. While few wait, all are handed over in the order in which they came; beyond that the known first.
//! A line that is full loses what has waited longest in that of the strangers: nobody may wait for the answer any more.
//!
//! Who is known can flood, too. So a host has a share of the line of the known, and a network has one,
//! whose hosts one peer may own alone; beyond it they stand with the strangers, behind nobody else.
//!
//! What else there would be, and why it is not this:
//!
//! * A socket per known peer, connected to it, has a buffer of its own. Until Linux 6.13 the kernel looks all
//!   sockets of one port up in a single list: with 10^5 peers each datagram of a flood would be compared with all
//!   of them. They also take a descriptor each, of which a process often has 1,024.
//! * A classic BPF filter drops strangers in the kernel, but has 4,096 instructions and no memory for 10^5
//!   addresses; an eBPF map has, and wants privileges that a daemon here gives up.
//! * A thread that drains wakes another one for each datagram, flood or not, and who is known would stand
//!   behind a lock.
//!
//! This costs nothing as long as there is no flood: no copy, no system call. Its bound is what one thread can read: when
//! even that falls behind, the kernel drops as it did.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv6Addr;

use machine::network;

/// Datagrams that are handed over in the order of their arrival, whoever sent them, while no more wait.
const IN_ORDER: usize = 1024;

/// Bytes that wait in the line of the known at most, and in that of the strangers.
const KNOWN_BYTES: usize = 4 << 20;
const STRANGERS_BYTES: usize = 1 << 20;

/// What a datagram takes beside its payload, with what the allocator keeps of it.
const OVERHEAD: usize = 128;

/// Datagrams of one host that wait among the known at most, and of one network.
const HOST_SHARE: usize = 64;
const NETWORK_SHARE: usize = 4096;

/// A datagram that waits.
#[derive(Debug)]
pub(crate) struct Waiting<F> {
    /// How many came before it.
    number: u64,
    source: Ipv6Addr,
    /// Whether it stands among the known.
    pub(crate) known: bool,
    /// Where it comes from.
    pub(crate) from: F,
    /// What it says.
    pub(crate) payload: Vec<u8>,
}

impl<F> Waiting<F> {
    fn bytes(&self) -> usize {
        self.payload.len() + OVERHEAD
    }
}

#[derive(Debug)]
struct Line<F> {
    waiting: VecDeque<Waiting<F>>,
    bytes: usize,
}

impl<F> Line<F> {
    const EMPTY: Line<F> = Line {
        waiting: VecDeque::new(),
        bytes: 0,
    };

    fn push(&mut self, waiting: Waiting<F>) {
        self.bytes += waiting.bytes();
        self.waiting.push_back(waiting);
    }

    fn pop(&mut self) -> Option<Waiting<F>> {
        let first = self.waiting.pop_front()?;
        self.bytes -= first.bytes();
        Some(first)
    }

    fn first(&self) -> Option<u64> {
        self.waiting.front().map(|first| first.number)
    }
}

/// Datagrams that were taken from a socket and not handed over yet.
#[derive(Debug)]
pub(crate) struct Intake<F> {
    known: Line<F>,
    strangers: Line<F>,
    /// How many of the known line are a host's, and a network's.
    of_hosts: HashMap<Ipv6Addr, usize>,
    of_networks: HashMap<Ipv6Addr, usize>,
    arrived: u64,
    passed_over: u64,
}

impl<F> Intake<F> {
    /// Nobody waits.
    pub(crate) fn new() -> Intake<F> {
        Intake {
            known: Line::EMPTY,
            strangers: Line::EMPTY,
            of_hosts: HashMap::new(),
            of_networks: HashMap::new(),
            arrived: 0,
            passed_over: 0,
        }
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.waiting.is_empty() && self.strangers.waiting.is_empty()
    }

    /// Puts a datagram in line.
    pub(crate) fn put(&mut self, known: bool, source: Ipv6Addr, from: F, payload: &[u8]) {
        let mut waiting = Waiting {
            number: self.arrived,
            source,
            known,
            from,
            payload: payload.to_vec(),
        };
        self.arrived += 1;
        waiting.known = known && self.admits(&waiting);
        if waiting.known {
            *self.of_hosts.entry(source).or_default() += 1;
            *self.of_networks.entry(network(source)).or_default() += 1;
            return self.known.push(waiting);
        }
        while self.strangers.bytes + waiting.bytes() > STRANGERS_BYTES
            && self.strangers.pop().is_some()
        {
            self.passed_over += 1;
        }
        self.strangers.push(waiting);
    }

    /// Whether there is room for it among the known.
    fn admits(&self, waiting: &Waiting<F>) -> bool {
        let has = |shares: &HashMap<_, usize>, whose| shares.get(whose).copied().unwrap_or(0);
        self.known.bytes + waiting.bytes() <= KNOWN_BYTES
            && has(&self.of_hosts, &waiting.source) < HOST_SHARE
            && has(&self.of_networks, &network(waiting.source)) < NETWORK_SHARE
    }

    /// Takes whoever is next.
    pub(crate) fn take(&mut self) -> Option<Waiting<F>> {
        let few = self.known.waiting.len() + self.strangers.waiting.len() <= IN_ORDER;
        let known_next = match (self.known.first(), self.strangers.first()) {
            (Some(known), Some(stranger)) => !few || known < stranger,
            (known, _) => known.is_some(),
        };
        if !known_next {
            return self.strangers.pop();
        }
        let next = self.known.pop()?;
        give_back(&mut self.of_hosts, next.source);
        give_back(&mut self.of_networks, network(next.source));
        Some(next)
    }

    /// How many found no room since the last call.
    pub(crate) fn take_passed_over(&mut self) -> u64 {
        std::mem::take(&mut self.passed_over)
    }
}

fn give_back(shares: &mut HashMap<Ipv6Addr, usize>, whose: Ipv6Addr) {
    if let Some(count) = shares.get_mut(&whose) {
        *count -= 1;
        if *count == 0 {
            shares.remove(&whose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Host `host` of network `network`.
    fn address(network: u32, host: u32) -> Ipv6Addr {
        Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(network) << 64 | u128::from(host))
    }

    /// Each host is in a network of its own; what it says is its number.
    fn put(intake: &mut Intake<u32>, known: bool, hosts: std::ops::Range<u32>) {
        for host in hosts {
            intake.put(known, address(host, 1), host, &host.to_be_bytes());
        }
    }

    fn take_all(intake: &mut Intake<u32>) -> Vec<u32> {
        std::iter::from_fn(|| intake.take())
            .map(|waiting| waiting.from)
            .collect()
    }

    #[test]
    fn while_few_wait_they_are_handed_over_as_they_came() {
        let mut intake = Intake::new();
        for n in 0..IN_ORDER as u32 / 4 {
            put(&mut intake, n % 3 == 0, n..n + 1);
        }
        let all: Vec<u32> = (0..IN_ORDER as u32 / 4).collect();
        assert_eq!(take_all(&mut intake), all);
        assert_eq!(intake.take_passed_over(), 0);
    }

    #[test]
    fn when_many_wait_the_known_come_first_and_strangers_as_they_came() {
        let mut intake = Intake::new();
        put(&mut intake, false, 0..2000);
        put(&mut intake, true, 2000..2003);
        put(&mut intake, false, 2003..2100);
        let taken = take_all(&mut intake);
        assert_eq!(taken[..4], [2000, 2001, 2002, 0]);
        assert!(taken[3..].is_sorted() && taken.len() == 2100);
        assert!(intake.is_empty());
        assert!(intake.of_hosts.is_empty() && intake.of_networks.is_empty());
    }

    #[test]
    fn strangers_displace_strangers_those_who_waited_longest_and_nobody_who_is_known() {
        let mut intake = Intake::new();
        put(&mut intake, true, 0..100);
        put(&mut intake, false, 100..100_100);
        let room = STRANGERS_BYTES / (4 + OVERHEAD);
        let taken = take_all(&mut intake);
        assert_eq!(taken[..100], *(0..100).collect::<Vec<_>>());
        assert_eq!(
            taken[100..],
            *Vec::from_iter(100_100 - room as u32..100_100)
        );
        assert_eq!(intake.take_passed_over(), 100_000 - room as u64);
        assert_eq!(intake.take_passed_over(), 0);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_the_longest_datagram_has_room() {
        let mut intake = Intake::new();
        let longest = vec![0; 65_507];
        for n in 0..1000 {
            intake.put(n % 2 == 0, address(n, 1), n, &longest);
            assert!(intake.known.bytes <= KNOWN_BYTES);
            assert!(intake.strangers.bytes <= STRANGERS_BYTES);
        }
        let taken = take_all(&mut intake);
        let of_each = |bytes| bytes / (longest.len() + OVERHEAD);
        assert_eq!(taken.len(), of_each(KNOWN_BYTES) + of_each(STRANGERS_BYTES));
        assert_eq!((intake.known.bytes, intake.strangers.bytes), (0, 0));
    }

    #[test]
    fn a_known_host_that_floods_is_a_stranger_beyond_its_share() {
        let mut intake = Intake::new();
        for n in 0..100_000 {
            intake.put(true, address(7, 7), n, b"flood");
        }
        put(&mut intake, true, 200_000..200_010);
        let taken = take_all(&mut intake);
        assert_eq!(taken[..HOST_SHARE], *Vec::from_iter(0..HOST_SHARE as u32));
        let honest = &taken[HOST_SHARE..HOST_SHARE + 10];
        assert_eq!(honest, Vec::from_iter(200_000..200_010));
        assert!(intake.take_passed_over() > 0);
    }

    #[test]
    fn all_hosts_of_a_network_together_leave_room_to_others() {
        let mut intake = Intake::new();
        for n in 0..100_000 {
            intake.put(true, address(7, n % 50_000), n, b"flood");
        }
        put(&mut intake, true, 200_000..200_010);
        let taken = take_all(&mut intake);
        let honest = &taken[NETWORK_SHARE..NETWORK_SHARE + 10];
        assert_eq!(honest, Vec::from_iter(200_000..200_010));
    }
}
