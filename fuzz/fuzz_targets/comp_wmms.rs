//! `comp::wmms::Wmms`: any sequence of commands, other datagrams and time steps.
//!
//! The table stays within its limits; an error answer changes nothing; a number never gets older;
//! H_Flag and sleep agree; nothing outlives its lifetime; every change is reported, so that it can
//! be made durable.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use ::comp::codec::{self, Command};
use ::comp::mmt::Entry;
use ::comp::wmms::{Config, Wmms};
use ::comp::{BindingMode, Limits};
use coap::wire::{Message, Token};
use coap::{Code, Params};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use machine::Machine;
use units::{Seed, SimTime};
use wpanlab_fuzz::script::World as _;
use wpanlab_fuzz::{comp, script};

const LIMITS: Limits = Limits {
    entries: 2,
    entries_per_source: 2,
    correspondents_per_node: 3,
    discoveries_per_source: 3,
    holds_per_source: 2,
};

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    if let Ok(mut world) = World::new(&mut u) {
        while !u.is_empty() && world.step(&mut u).is_ok() {}
    }
});

type Table = BTreeMap<Ipv6Addr, Entry>;

struct World {
    wmms: Wmms,
    now: SimTime,
    message_id: u16,
    heard: Vec<(u16, Token)>,
    /// As it was when everything was last reported.
    table: Table,
}

impl World {
    fn new(u: &mut Unstructured) -> Result<World> {
        let config = Config {
            hold_timeout: Duration::from_millis(u.int_in_range(0..=3000)?),
            binding: match u.arbitrary()? {
                true => BindingMode::Direct,
                false => BindingMode::Relayed,
            },
            limits: LIMITS,
            coap: Params::default(),
        };
        Ok(World {
            wmms: Wmms::new(config, Seed(1).rng(&["fuzz"])),
            now: SimTime::ZERO + Duration::from_secs(1_000_000),
            message_id: 0x100,
            heard: Vec::new(),
            table: Table::new(),
        })
    }

    fn step(&mut self, u: &mut Unstructured) -> Result<()> {
        self.timeout();
        match u.int_in_range(0..=9u8)? {
            0..=5 => self.command(u)?,
            6 | 7 => {
                let message = script::message(u, &self.heard)?;
                self.wmms
                    .handle_datagram(self.now, comp::sender(u)?, &message.encode());
                self.drain();
            }
            _ => self.pass(script::step(u)?),
        }
        Ok(())
    }

    fn command(&mut self, u: &mut Unstructured) -> Result<()> {
        let (command, sequence, from) = (comp::command(u)?, comp::sequence(u)?, comp::sender(u)?);
        self.message_id = self.message_id.wrapping_add(1);
        let asked = comp::encode(&command, sequence, self.message_id);
        let before = self.table.clone();
        let last = self.wmms.mmt().sequence(command.p_addr());
        self.wmms.handle_datagram(self.now, from, &asked.encode());
        let sent = self.drain();
        let answer = sent
            .iter()
            .find(|(to, m)| *to == from && comp::answers(m, &asked));
        let Some((_, answer)) = answer else {
            assert!(
                matches!(command, Command::Hold { .. }),
                "no answer to {command:?}"
            );
            return Ok(());
        };
        if !answer.code.is_success() {
            assert_eq!(self.table, before, "{} changed something", answer.code);
        } else if let Command::Discovery { p_addr } = command {
            let knew = |entry: &Entry| entry.extra.correspondents.iter().any(|c| c == from);
            let is_new = !before.get(&p_addr).is_some_and(knew);
            assert!(!is_new || self.discoveries(*from.ip()) <= LIMITS.discoveries_per_source);
        }
        let orders = !matches!(command, Command::Discovery { .. });
        let old = matches!((sequence, last), (Some(s), Some(l)) if !s.is_newer_than(l));
        assert_eq!(
            answer.code == Code::new(4, 9),
            orders && old,
            "{sequence:?} after {last:?}"
        );
        if orders && old {
            let response = coap::Response {
                code: answer.code,
                options: answer.options.clone(),
                payload: Vec::new(),
            };
            assert_eq!(codec::parse_outdated(&response), last);
        }
        Ok(())
    }

    /// Takes everything that comes out, and looks at the table.
    fn drain(&mut self) -> Vec<(SocketAddrV6, Message)> {
        while self.wmms.poll_event().is_some() {}
        let mut sent = Vec::new();
        while let Some(transmit) = self.wmms.poll_transmit() {
            let message = Message::decode(&transmit.payload).expect("what is sent decodes");
            let seen = (message.message_id, message.token);
            if message.code.is_request() && !self.heard.contains(&seen) {
                self.heard.push(seen);
            }
            sent.push((transmit.to, message));
        }
        let table: Table = self
            .wmms
            .mmt()
            .iter()
            .map(|(p, e)| (p, e.clone()))
            .collect();
        let former = std::mem::replace(&mut self.table, table);
        self.check_changes(&former);
        self.check_limits();
        sent
    }

    fn check_changes(&mut self, former: &Table) {
        let reported = self.wmms.take_changes();
        for p_addr in former.keys().chain(self.table.keys()) {
            let (was, is) = (former.get(p_addr), self.table.get(p_addr));
            assert!(
                was == is || reported.contains(p_addr),
                "{p_addr} changed in secret"
            );
            let number = |entry: Option<&Entry>| entry.and_then(|entry| entry.sequence);
            if let (Some(was), Some(is)) = (number(was), number(is)) {
                assert!(
                    was == is || is.is_newer_than(was),
                    "{p_addr}: {is} after {was}"
                );
            }
        }
    }

    fn check_limits(&self) {
        assert!(self.table.len() <= LIMITS.entries as usize);
        let mut entries = BTreeMap::new();
        for (p_addr, entry) in &self.table {
            assert!(
                entry.held || entry.sleep_ends.is_none(),
                "{p_addr} sleeps and is not held"
            );
            let correspondents: BTreeSet<SocketAddrV6> =
                entry.extra.correspondents.iter().collect();
            assert!(correspondents.len() <= LIMITS.correspondents_per_node as usize);
            *entries.entry(entry.extra.source).or_insert(0) += 1;
        }
        assert!(entries.values().all(|n| *n <= LIMITS.entries_per_source));
    }

    /// What is known of discoveries by a source; those of a node that has moved there are among
    /// them, whatever the limit.
    fn discoveries(&self, source: Ipv6Addr) -> u32 {
        let entries = self.table.values();
        let correspondents = entries.flat_map(|entry| entry.extra.correspondents.iter());
        correspondents.filter(|c| *c.ip() == source).count() as u32
    }
}

impl script::World for World {
    type Machine = Wmms;

    fn machine(&mut self) -> (&mut Wmms, &mut SimTime) {
        (&mut self.wmms, &mut self.now)
    }

    fn settle(&mut self) {
        self.drain();
        for (p_addr, entry) in &self.table {
            assert!(
                entry.lifetime_ends > self.now,
                "{p_addr} outlives its lifetime"
            );
            assert!(
                entry.sleep_ends.is_none_or(|end| end > self.now),
                "{p_addr} sleeps on"
            );
        }
    }
}
