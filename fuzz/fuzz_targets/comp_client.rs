//! `comp::client::Client`, in its node: any sequence of calls, commands, answers and time steps.
//!
//! Every call ends once, in silence too; an error answer changes nothing; only the WMMS and the node
//! itself are believed; nothing outlives its lifetime.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use ::comp::BindingMode;
use ::comp::client::{CallId, Event, HoldQueue, Outcome, Target};
use ::comp::codec::{Command, Lifetime, Location};
use ::comp::lbc::Entry;
use ::comp::node::{self, Config, Node};
use coap::message::PORT;
use coap::wire::{Message, Token};
use coap::{Code, Kind, Params, Reliability, Request};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use machine::Machine;
use units::{Seed, SimTime};
use wpanlab_fuzz::script::World as _;
use wpanlab_fuzz::{comp, script};

const QUEUE: HoldQueue = HoldQueue {
    capacity: 3,
    timeout: Duration::from_secs(5),
};

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    let mut world = World::new();
    while !u.is_empty() && world.step(&mut u).is_ok() {}
    world.end();
});

type Table = BTreeMap<Ipv6Addr, Entry>;

struct World {
    node: Node,
    now: SimTime,
    message_id: u16,
    heard: Vec<(SocketAddrV6, Message)>,
    calls: BTreeSet<CallId>,
    table: Table,
}

impl World {
    fn new() -> World {
        let config = Config {
            p_addr: [0xfd00, 3, 0, 0, 0, 0, 0, 1].into(),
            wmms: SocketAddrV6::new(comp::WMMS, PORT, 0, 0),
            hold: false,
            binding: BindingMode::Direct,
            lifetime: Duration::from_secs(600),
            hold_queue: QUEUE,
            coap: Params::default(),
        };
        World {
            node: Node::new(config, Seed(1).rng(&["fuzz"])),
            now: SimTime::ZERO + Duration::from_secs(1_000_000),
            message_id: 0x100,
            heard: Vec::new(),
            calls: BTreeSet::new(),
            table: Table::new(),
        }
    }

    fn step(&mut self, u: &mut Unstructured) -> Result<()> {
        self.timeout();
        match u.int_in_range(0..=11u8)? {
            0 | 1 => {
                let target = match u.ratio(1, 4)? {
                    true => Target::Address(comp::sender(u)?),
                    false => Target::Node(comp::p_addr(u)?),
                };
                let method = *u.choose(&[Code::GET, Code::POST, Code::FETCH])?;
                let request = Request::new(method, "/a");
                let call = self
                    .node
                    .ask(self.now, target, Reliability::Confirmable, request);
                assert!(self.calls.insert(call));
                self.drain();
            }
            2..=4 => self.command(u)?,
            5..=7 => self.answer(u)?,
            8 => {
                let known: Vec<(u16, Token)> = self
                    .heard
                    .iter()
                    .map(|(_, m)| (m.message_id, m.token))
                    .collect();
                let message = script::message(u, &known)?;
                self.node
                    .handle_datagram(self.now, comp::sender(u)?, &message.encode());
                self.drain();
            }
            _ => self.pass(script::step(u)?),
        }
        Ok(())
    }

    fn command(&mut self, u: &mut Unstructured) -> Result<()> {
        let (command, sequence) = (comp::command(u)?, comp::sequence(u)?);
        let from = match u.arbitrary()? {
            true => SocketAddrV6::new(comp::WMMS, PORT, 0, 0),
            false => comp::sender(u)?,
        };
        self.message_id = self.message_id.wrapping_add(1);
        let asked = comp::encode(&command, sequence, self.message_id);
        let before = self.table.clone();
        self.node.handle_datagram(self.now, from, &asked.encode());
        let sent = self.drain();
        let answer = sent
            .iter()
            .find(|(to, m)| *to == from && comp::answers(m, &asked));
        let Some((_, answer)) = answer else {
            panic!("no answer to {command:?}");
        };
        if !answer.code.is_success() {
            assert_eq!(self.table, before, "{} changed something", answer.code);
            return Ok(());
        }
        let known = before.get(&command.p_addr());
        let of_node = known.is_some_and(|entry| entry.t_addr == *from.ip());
        let believed = *from.ip() == comp::WMMS || of_node;
        match command {
            Command::Hold { .. } => assert!(believed, "a hold of a stranger's"),
            Command::BindingUpdate { t_addr, .. } => assert!(believed || t_addr == *from.ip()),
            other => panic!("{other:?} was served"),
        }
        if let (Some(last), Some(number)) = (known.and_then(|entry| entry.sequence), sequence) {
            assert!(
                number == last || number.is_newer_than(last),
                "{number} after {last}"
            );
        }
        Ok(())
    }

    /// Answers a request of the client's, rightly or nearly.
    fn answer(&mut self, u: &mut Unstructured) -> Result<()> {
        if self.heard.is_empty() {
            return Ok(());
        }
        let (from, asked) = u.choose(&self.heard)?.clone();
        let code = *u.choose(&[Code::CONTENT, Code::CONTENT, Code::CREATED, Code::NOT_FOUND])?;
        let location = Location {
            p_addr: comp::p_addr(u)?,
            t_addr: comp::place(u)?,
            lifetime: Lifetime(*u.choose(&[0, 5, 60, 65_535])?),
            held: u.arbitrary()?,
            sleep: None,
            sequence: comp::sequence(u)?,
        };
        let message = Message {
            kind: Kind::Acknowledgement,
            code,
            message_id: asked.message_id,
            token: asked.token,
            options: location.response().options,
            payload: Vec::new(),
        };
        self.node.handle_datagram(self.now, from, &message.encode());
        self.drain();
        Ok(())
    }

    fn drain(&mut self) -> Vec<(SocketAddrV6, Message)> {
        while let Some(event) = self.node.poll_event() {
            let node::Event::Client(event) = event else {
                continue;
            };
            if let Event::Call { call, outcome } = event {
                assert!(
                    !matches!(outcome, Outcome::Notified { .. }),
                    "nothing is observed"
                );
                assert!(self.calls.remove(&call), "{call:?} ended twice");
            }
        }
        assert_eq!(self.node.client().outstanding(), self.calls.len());
        let lbc = self.node.client().lbc();
        self.table = lbc.iter().map(|(p_addr, entry)| (p_addr, *entry)).collect();
        let mut sent = Vec::new();
        while let Some(transmit) = self.node.poll_transmit() {
            let message = Message::decode(&transmit.payload).expect("what is sent decodes");
            if message.code.is_request() {
                self.heard.retain(|(_, known)| known.token != message.token);
                self.heard.push((transmit.to, message.clone()));
            }
            sent.push((transmit.to, message));
        }
        sent
    }

    /// Everybody is silent from now on: every call comes to an end.
    fn end(mut self) {
        self.fall_silent(|world| world.calls.is_empty());
    }
}

impl script::World for World {
    type Machine = Node;

    fn machine(&mut self) -> (&mut Node, &mut SimTime) {
        (&mut self.node, &mut self.now)
    }

    fn settle(&mut self) {
        self.drain();
        for (p_addr, entry) in &self.table {
            assert!(
                entry.lifetime_ends > self.now,
                "{p_addr} outlives its lifetime"
            );
            assert!(
                entry.held || entry.sleep_ends.is_none(),
                "{p_addr} sleeps and is not held"
            );
        }
    }
}
