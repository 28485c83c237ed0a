//! `comp::node::Node`: any sequence of what its owner has it do, requests, answers, commands and
//! time steps.
//!
//! A hold, a binding and a deregistration end once each, at the latest in silence, unless another
//! took its place; any answer but those that are to be repeated or replaced ends it at once; every
//! correspondent is told of a new address at once, or when nobody is on hold any more; a number
//! never gets older; every call ends once.

#![no_main]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use ::comp::client::{self, CallId, HoldQueue, Outcome, Target};
use ::comp::codec::{self, Command, Lifetime, Location};
use ::comp::node::{Config, Event, MAX_CORRESPONDENTS, Node};
use ::comp::{BindingMode, Sequence};
use coap::message::{PORT, option};
use coap::wire::{Message, Token};
use coap::{Code, ExchangeId, Kind, Params, Reliability, Request, Response};
use handover::{Mobility as _, Step};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use machine::Machine;
use units::{Seed, SimTime};
use wpanlab_fuzz::script::World as _;
use wpanlab_fuzz::{comp, script};

const P_ADDR: Ipv6Addr = Ipv6Addr::new(0xfd00, 3, 0, 0, 0, 0, 0, 1);
const WMMS: SocketAddrV6 = SocketAddrV6::new(comp::WMMS, PORT, 0, 0);
/// Requests that may still be answered.
const HEARD: usize = 30;
/// A node that nobody answers registers all the time.
const LONGEST_STEP: Duration = Duration::from_secs(1000);

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    let mode = match u.arbitrary() {
        Ok(true) => BindingMode::Direct,
        _ => BindingMode::Relayed,
    };
    let mut world = World::new(mode);
    while !u.is_empty() && world.step(&mut u).is_ok() {}
    world.end();
});

/// What the node is to tell the WMMS.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Procedure {
    Hold,
    Bind { t_addr: Ipv6Addr, mode: BindingMode },
    Deregister,
}

struct World {
    node: Node,
    /// Who tells the correspondents.
    mode: BindingMode,
    now: SimTime,
    message_id: u16,
    /// What the node has asked others, and whom: the latest.
    heard: VecDeque<(SocketAddrV6, Message)>,
    /// The tokens of all that it has asked.
    tokens: BTreeSet<Vec<u8>>,
    /// Tokens of those that were answered.
    answered: Vec<Token>,
    /// Requests that the node has not answered, with their Message IDs.
    exchanges: Vec<(ExchangeId, u16)>,
    calls: BTreeSet<CallId>,
    procedure: Option<Procedure>,
    /// Whether the WMMS has acknowledged the binding.
    acknowledged: bool,
    /// Correspondents that have not been told of the node's address.
    owed: BTreeSet<SocketAddrV6>,
    /// Whom the node has told a number: the next one is newer than one of these, which are the last
    /// one and those that it was told since.
    numbers: BTreeMap<SocketAddrV6, Vec<Sequence>>,
}

impl World {
    fn new(mode: BindingMode) -> World {
        let config = Config {
            p_addr: P_ADDR,
            wmms: WMMS,
            hold: true,
            binding: mode,
            lifetime: Duration::from_secs(600),
            hold_queue: HoldQueue {
                capacity: 3,
                timeout: Duration::from_secs(5),
            },
            coap: Params {
                // Nothing waits for something else that was asked of the same peer.
                nstart: u32::MAX,
                ..Params::default()
            },
        };
        World {
            node: Node::new(config, Seed(1).rng(&["fuzz"])),
            mode,
            now: SimTime::ZERO + Duration::from_secs(1_000_000),
            message_id: 0x100,
            heard: VecDeque::new(),
            tokens: BTreeSet::new(),
            answered: Vec::new(),
            exchanges: Vec::new(),
            calls: BTreeSet::new(),
            procedure: None,
            acknowledged: false,
            owed: BTreeSet::new(),
            numbers: BTreeMap::new(),
        }
    }

    fn step(&mut self, u: &mut Unstructured) -> Result<()> {
        self.timeout();
        match u.int_in_range(0..=15u8)? {
            0..=3 => self.order(u)?,
            4 | 5 => self.request(u)?,
            6 => self.respond(u)?,
            7..=11 => self.answer(u)?,
            12 => {
                let known = self.heard.iter();
                let known: Vec<(u16, Token)> =
                    known.map(|(_, m)| (m.message_id, m.token)).collect();
                let message = script::message(u, &known)?;
                self.deliver(comp::sender(u)?, &message);
            }
            _ => self.pass(script::step(u)?.min(LONGEST_STEP)),
        }
        Ok(())
    }

    /// What the owner can have it do.
    fn order(&mut self, u: &mut Unstructured) -> Result<()> {
        let (now, node) = (self.now, &mut self.node);
        match u.int_in_range(0..=9u8)? {
            0..=2 => self.bind(u)?,
            3 => {
                node.hold(now);
                self.begins(Procedure::Hold);
            }
            4 => {
                node.sleep(now, script::step(u)?);
                self.begins(Procedure::Hold);
            }
            5 => node.register(now, comp::place(u)?),
            6 => {
                node.deregister(now);
                self.begins(Procedure::Deregister);
            }
            7 => node.leave(now),
            8 => node.awake(now),
            _ => {
                let target = match u.ratio(1, 4)? {
                    true => Target::Address(comp::sender(u)?),
                    false => Target::Node(comp::p_addr(u)?),
                };
                let request = Request::new(Code::GET, "/a");
                let call = node.ask(now, target, Reliability::Confirmable, request);
                assert!(self.calls.insert(call));
            }
        }
        self.settle();
        Ok(())
    }

    fn bind(&mut self, u: &mut Unstructured) -> Result<()> {
        let t_addr = comp::place(u)?;
        let mode = self.mode;
        self.node.bind(self.now, t_addr);
        self.begins(Procedure::Bind { t_addr, mode });
        if mode == BindingMode::Direct {
            self.owed = self.node.correspondents().collect();
        }
        Ok(())
    }

    /// Takes the place of another procedure.
    fn begins(&mut self, procedure: Procedure) {
        self.procedure = Some(procedure);
        self.acknowledged = false;
        self.owed.clear();
    }

    /// Somebody asks: the application, or, with a command, what the node knows of others.
    fn request(&mut self, u: &mut Unstructured) -> Result<()> {
        self.message_id = self.message_id.wrapping_add(1);
        if u.arbitrary()? {
            let from = if u.arbitrary()? {
                WMMS
            } else {
                comp::sender(u)?
            };
            let (command, sequence) = (comp::command(u)?, comp::sequence(u)?);
            let message = comp::encode(&command, sequence, self.message_id);
            self.deliver(from, &message);
            return Ok(());
        }
        let mut request = Request::new(Code::GET, "/a");
        if u.ratio(1, 3)? {
            request.options.push_uint(option::OBSERVE, 0);
        }
        let message = Message {
            kind: *u.choose(&[Kind::Confirmable, Kind::NonConfirmable])?,
            code: request.method,
            message_id: self.message_id,
            token: Token::new(&self.message_id.to_be_bytes()).unwrap_or_default(),
            options: request.options,
            payload: Vec::new(),
        };
        self.deliver(comp::sender(u)?, &message);
        Ok(())
    }

    fn respond(&mut self, u: &mut Unstructured) -> Result<()> {
        let state = Response::new(*u.choose(&[Code::CONTENT, Code::NOT_FOUND])?);
        if self.exchanges.is_empty() || u.ratio(1, 4)? {
            self.node.notify(self.now, "/a", &state);
        } else {
            let index = u.choose_index(self.exchanges.len())?;
            let (exchange, message_id) = self.exchanges.swap_remove(index);
            match u.arbitrary()? {
                true => self.node.respond(self.now, exchange, state),
                false => self.node.respond_observed(self.now, exchange, state),
            }
            assert_eq!(self.node.sequence_number(), message_id);
            assert!(self.node.correspondents().count() <= MAX_CORRESPONDENTS);
        }
        self.settle();
        Ok(())
    }

    /// Answers a request of the node's, rightly or not.
    fn answer(&mut self, u: &mut Unstructured) -> Result<()> {
        if self.heard.is_empty() {
            return Ok(());
        }
        let (from, asked) = self.heard[u.choose_index(self.heard.len())?].clone();
        let command = command_of(&asked);
        let response = match u.int_in_range(0..=7u8)? {
            0 => Response::new(Code::NOT_FOUND),
            1 => Response::new(Code::BAD_REQUEST),
            2 => {
                let mut full = Response::new(Code::SERVICE_UNAVAILABLE);
                full.options
                    .push_uint(option::MAX_AGE, u.int_in_range(0..=60)?);
                full
            }
            3 => {
                let last = comp::sequence(u)?;
                let near = command.as_ref().and_then(|(_, number)| *number);
                codec::outdated_response(last.or(near).unwrap_or(Sequence(0)))
            }
            4 => Response::new(Code::CHANGED),
            _ => self.success(u, &command)?,
        };
        let message = Message {
            kind: Kind::Acknowledgement,
            code: response.code,
            message_id: asked.message_id,
            token: asked.token,
            options: response.options.clone(),
            payload: Vec::new(),
        };
        if let Some(last) = codec::parse_outdated(&response) {
            self.numbers.values_mut().for_each(|known| known.push(last));
        }
        let before = self.procedure;
        let is_current = self.is_current(from, &asked) && !self.answered.contains(&asked.token);
        self.answered.push(asked.token);
        if let Some(Procedure::Bind { mode, .. }) = &mut self.procedure {
            self.acknowledged |= from == WMMS && response.code.is_success();
            // From now on the node tells them itself.
            let lost = is_current && response.code == Code::NOT_FOUND;
            if lost && std::mem::replace(mode, BindingMode::Direct) == BindingMode::Relayed {
                self.owed = self.node.correspondents().collect();
            }
        }
        self.node.handle_datagram(self.now, from, &message.encode());
        self.settle();
        if is_current && ends(before, &response) {
            assert_eq!(self.procedure, None, "{} ends {before:?}", response.code);
        }
        Ok(())
    }

    /// Whether it is the last that the WMMS was sent of what is under way.
    fn is_current(&self, to: SocketAddrV6, asked: &Message) -> bool {
        let is_of_it = |(to, message): &&(SocketAddrV6, Message)| {
            let command = command_of(message).filter(|_| *to == WMMS);
            command.is_some_and(|(command, _)| self.procedure.is_some_and(|p| p.says(&command)))
        };
        let last = self.heard.iter().find(is_of_it);
        to == WMMS && last.is_some_and(|(_, message)| message.token == asked.token)
    }

    /// What a request like this is answered if all is well.
    fn success(
        &self,
        u: &mut Unstructured,
        command: &Option<(Command, Option<Sequence>)>,
    ) -> Result<Response> {
        Ok(match command {
            None => Response::new(Code::CONTENT),
            Some((Command::Hold { .. }, _)) => codec::hold_response(u.arbitrary()?),
            Some((Command::BindingUpdate { .. }, _)) => Response::new(Code::CHANGED),
            Some((Command::Registration { .. }, _)) => Response::new(Code::CREATED),
            Some((Command::Deregistration { .. }, _)) => Response::new(Code::DELETED),
            Some((Command::Discovery { p_addr }, _)) => Location {
                p_addr: *p_addr,
                t_addr: comp::place(u)?,
                lifetime: Lifetime(*u.choose(&[5, 60, 65_535])?),
                held: u.arbitrary()?,
                sleep: None,
                sequence: comp::sequence(u)?,
            }
            .response(),
        })
    }

    fn deliver(&mut self, from: SocketAddrV6, message: &Message) {
        self.node.handle_datagram(self.now, from, &message.encode());
        self.settle();
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Step(step) => self.took(step),
            Event::Deregistered | Event::DeregistrationFailed { .. } => {
                assert_eq!(self.procedure.take(), Some(Procedure::Deregister));
            }
            Event::Request {
                message_id,
                incoming,
            } => self.exchanges.push((incoming.exchange, message_id)),
            Event::Client(client::Event::Call { call, outcome }) => {
                assert!(
                    !matches!(outcome, Outcome::Notified { .. }),
                    "nothing is observed"
                );
                assert!(self.calls.remove(&call), "{call:?} ended twice");
            }
            Event::Client(_)
            | Event::Binding(_)
            | Event::HoldAnswered { .. }
            | Event::Contested { .. }
            | Event::RegistrationFailed { .. }
            | Event::Block { .. } => {}
        }
    }

    fn took(&mut self, step: Step) {
        match step {
            Step::Prepared | Step::SleepAnnounced | Step::SleepRefused { .. } => {
                assert_eq!(self.procedure.take(), Some(Procedure::Hold));
            }
            Step::Bound { address } => {
                let bound = self.procedure.take();
                let is_this = |p| matches!(p, Procedure::Bind { t_addr, .. } if t_addr == address);
                assert!(bound.is_some_and(is_this), "{address} bound in {bound:?}");
                assert!(self.acknowledged, "the WMMS has acknowledged nothing");
            }
            Step::Failed { .. } => {
                let failed = self.procedure.take();
                let of_handover = matches!(failed, Some(Procedure::Hold | Procedure::Bind { .. }));
                assert!(of_handover, "{failed:?}");
            }
            Step::Attached { .. } | Step::PhaseStarted(_) | Step::PhaseEnded(_) => {}
        }
    }

    fn sent(&mut self, to: SocketAddrV6, message: Message) {
        if !message.code.is_request() {
            return;
        }
        let is_new = self.tokens.insert(message.token.as_bytes().to_vec());
        self.heard.retain(|(_, m)| m.token != message.token);
        self.heard.truncate(HEARD);
        if let Some((command, number)) = command_of(&message) {
            self.owed.remove(&to);
            if !matches!(command, Command::Discovery { .. }) {
                assert_eq!(command.p_addr(), P_ADDR);
                let number = number.expect("what the node says of itself has a number");
                if is_new {
                    self.numbered(to, number);
                }
            }
        }
        self.heard.push_front((to, message));
    }

    fn numbered(&mut self, to: SocketAddrV6, number: Sequence) {
        let known = self.numbers.entry(to).or_default();
        // Two correspondents may have become one since they were told.
        let same = to != WMMS && known.contains(&number);
        let newer = known.iter().any(|last| number.is_newer_than(*last));
        assert!(
            known.is_empty() || same || newer,
            "{number} after {known:?} to {to}"
        );
        *known = vec![number];
    }

    /// Who is not told yet is no correspondent any more, or on hold: maybe as somebody whom the node
    /// has asked there, and who is elsewhere now.
    fn check_owed(&mut self) {
        let present: BTreeSet<SocketAddrV6> = self.node.correspondents().collect();
        self.owed.retain(|owed| present.contains(owed));
        let mut known = self.node.client().lbc().iter();
        let hold = known.any(|(_, entry)| entry.held);
        assert!(hold || self.owed.is_empty(), "{:?} not told", self.owed);
    }

    /// Everybody is silent from now on: everything comes to an end.
    fn end(mut self) {
        self.node.awake(self.now);
        self.settle();
        self.fall_silent(|world| world.procedure.is_none() && world.calls.is_empty());
    }
}

impl script::World for World {
    type Machine = Node;

    fn machine(&mut self) -> (&mut Node, &mut SimTime) {
        (&mut self.node, &mut self.now)
    }

    fn settle(&mut self) {
        while let Some(transmit) = self.node.poll_transmit() {
            let message = Message::decode(&transmit.payload).expect("what is sent decodes");
            self.sent(transmit.to, message);
        }
        while let Some(event) = self.node.poll_event() {
            self.event(event);
        }
        assert_eq!(self.node.client().outstanding(), self.calls.len());
        self.check_owed();
    }
}

impl Procedure {
    /// Whether the WMMS hears of it in this command.
    fn says(self, command: &Command) -> bool {
        match self {
            Procedure::Hold => matches!(command, Command::Hold { .. }),
            Procedure::Bind { .. } => matches!(command, Command::BindingUpdate { .. }),
            Procedure::Deregister => matches!(command, Command::Deregistration { .. }),
        }
    }
}

/// Whether an answer of the WMMS's ends it: not if it is to be said again with a higher number, or as a
/// registration, nor a binding that correspondents have not acknowledged.
fn ends(procedure: Option<Procedure>, response: &Response) -> bool {
    let outdated = codec::parse_outdated(response).is_some();
    match procedure {
        None => false,
        Some(Procedure::Hold | Procedure::Deregister) => !outdated,
        Some(Procedure::Bind { .. }) => {
            let goes_on = [Code::CHANGED, Code::CREATED, Code::NOT_FOUND];
            !outdated && !goes_on.contains(&response.code)
        }
    }
}

fn command_of(message: &Message) -> Option<(Command, Option<Sequence>)> {
    let is_comp = message.options.get(codec::option::MESSAGE_TYPE).is_some();
    is_comp.then(|| {
        let request = Request {
            method: message.code,
            options: message.options.clone(),
            payload: message.payload.clone(),
        };
        Command::parse_numbered(&request).expect("what the node says is a command")
    })
}
