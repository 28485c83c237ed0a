//! `mip6::MobileNode`: any sequence of moves, commands, answers, other messages and time steps.
//!
//! What is sent decodes and has the addresses that it must have; nothing is sent from a node without an
//! address; numbers to a peer rise; no more than three messages of a type leave to a peer within a
//! second; a care-of address that the owner is told to use is one of the node's; nothing that was due
//! stays due.

#![no_main]

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use machine::Machine;
use mip6::Headers;
use mip6::codec::{BindingAcknowledgement, Kind, Lifetime, Message};
use mip6::mobile::{
    Attachment, Config, Event, Map, MobileNode, Order, Peer, RouteOptimization, Start,
};
use mip6::rr::{KeygenToken, NonceIndex};
use units::{Seed, Sequence, SimTime};
use wpanlab_fuzz::mip6::{
    AGENT, CORRESPONDENT, HOME, MAP, REGIONAL, address, care_of, headers, message, status,
};
use wpanlab_fuzz::script;
use wpanlab_fuzz::script::World as _;

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    if let Ok(mut world) = World::new(&mut u) {
        while !u.is_empty() && world.step(&mut u).is_ok() {}
    }
});

struct World {
    node: MobileNode,
    now: SimTime,
    /// The node's address on its link.
    link: Option<Ipv6Addr>,
    regional: bool,
    is_home: bool,
    /// The last messages that want an answer.
    asked: Vec<(Headers, Message)>,
    /// Of the last update to the home agent.
    sequence: Option<Sequence>,
    times: BTreeMap<(Ipv6Addr, Kind), Vec<SimTime>>,
}

impl World {
    fn new(u: &mut Unstructured) -> Result<World> {
        let config = Config {
            lifetime: Duration::from_secs(u.int_in_range(4..=4000)?),
            max_correspondents: 2,
            route_optimization: RouteOptimization {
                start: match u.arbitrary()? {
                    true => Start::WithHomeUpdate,
                    false => Start::AfterHomeAcknowledgement,
                },
                order: match u.arbitrary()? {
                    true => Order::Parallel,
                    false => Order::Serial,
                },
                reuse_tokens: u.arbitrary()?,
                acknowledge: u.arbitrary()?,
                ..RouteOptimization::default()
            },
            ..Config::new(HOME, AGENT)
        };
        Ok(World {
            node: MobileNode::new(config, Seed(1).rng(&["fuzz"])),
            now: SimTime::ZERO + Duration::from_secs(1_000_000),
            link: None,
            regional: false,
            is_home: false,
            asked: Vec::new(),
            sequence: None,
            times: BTreeMap::new(),
        })
    }

    fn step(&mut self, u: &mut Unstructured) -> Result<()> {
        self.timeout();
        match u.int_in_range(0..=15u8)? {
            0..=2 => self.relocate(u)?,
            3 => {
                let correspondent = *u.choose(&[CORRESPONDENT, AGENT, MAP, HOME, care_of(9)])?;
                self.node.correspond(self.now, correspondent);
            }
            4 => {
                let correspondent = address(u)?;
                match u.arbitrary()? {
                    true => self.node.forget(self.now, correspondent),
                    false => self.node.unsupported(correspondent),
                }
            }
            5..=9 => self.answer(u)?,
            10 | 11 => {
                let (headers, message) = (headers(u)?, message(u)?);
                self.hear(headers, &message);
            }
            _ => self.pass(script::step(u)?),
        }
        self.settle();
        Ok(())
    }

    fn relocate(&mut self, u: &mut Unstructured) -> Result<()> {
        match u.int_in_range(0..=7u8)? {
            0 => {
                (self.link, self.is_home) = (None, false);
                self.node.detach();
            }
            1 => {
                (self.link, self.regional, self.is_home) = (Some(HOME), false, true);
                self.node.return_home(self.now);
            }
            _ => {
                let here = care_of(u.int_in_range(1..=3)?);
                self.regional = u.arbitrary()?;
                (self.link, self.is_home) = (Some(here), false);
                let valid_lifetime = Duration::from_secs(u.int_in_range(0..=4000)?);
                let map = self.regional.then_some(Map {
                    address: MAP,
                    regional: REGIONAL,
                    valid_lifetime,
                });
                self.node
                    .move_to(self.now, Attachment { address: here, map });
            }
        }
        Ok(())
    }

    /// Somebody answers what the node has asked; mostly the right thing.
    fn answer(&mut self, u: &mut Unstructured) -> Result<()> {
        if self.asked.is_empty() {
            return Ok(());
        }
        let (asked, message) = u.choose(&self.asked)?.clone();
        let back = Headers {
            routing: asked.home_address,
            tunnel: None,
            ..Headers::between(asked.destination, asked.source)
        };
        let back = match asked.tunnel {
            Some(tunnel) => back.through(tunnel.destination, tunnel.source),
            None => back,
        };
        let (nonce, token) = (NonceIndex(u.int_in_range(0..=2)?), KeygenToken([5; 8]));
        let answer = match message {
            Message::HomeTestInit { cookie } => Message::HomeTest {
                nonce,
                cookie,
                token,
            },
            Message::CareOfTestInit { cookie } => Message::CareOfTest {
                nonce,
                cookie,
                token,
            },
            Message::BindingUpdate(update) => {
                let status = match u.ratio(1, 2)? {
                    true => status(u)?,
                    false => mip6::codec::Status::ACCEPTED,
                };
                let sequence = match u.ratio(1, 4)? {
                    true => Sequence(u.arbitrary()?),
                    false => update.sequence,
                };
                Message::BindingAcknowledgement(BindingAcknowledgement {
                    status,
                    sequence,
                    lifetime: Lifetime(u.int_in_range(0..=1000)?).min(update.lifetime),
                    ..BindingAcknowledgement::default()
                })
            }
            _ => return Ok(()),
        };
        self.hear(back, &answer);
        Ok(())
    }

    fn hear(&mut self, headers: Headers, message: &Message) {
        let payload = message
            .encode(&headers)
            .expect("a message with few options");
        let _ = self.node.handle_datagram(self.now, headers, &payload);
    }

    /// Looks at a message that leaves.
    fn look(&mut self, headers: Headers, message: Message) {
        let link = self.link.expect("a node without an address says nothing");
        let here = match self.regional {
            true => vec![link, REGIONAL],
            false => vec![link],
        };
        let kind = message.kind();
        match &message {
            Message::HomeTestInit { .. } => {
                assert_eq!(headers.source, HOME);
                let through = headers.tunnel.map(|tunnel| tunnel.source);
                assert!(self.is_home || through.is_some_and(|source| here.contains(&source)));
            }
            Message::CareOfTestInit { .. } => {
                assert!(here.contains(&headers.source) && headers.home_address.is_none());
            }
            Message::BindingUpdate(update) => {
                assert!(here.contains(&headers.source));
                assert_eq!(headers.home_address.is_none(), self.is_home);
                // Of the others it forgets the numbers with them.
                if headers.destination == AGENT {
                    let last = self.sequence.replace(update.sequence);
                    assert_ne!(last, Some(update.sequence), "the same number twice");
                }
            }
            Message::BindingError { .. } => return,
            other => panic!("a mobile node sends no {other:?}"),
        }
        let times = self.times.entry((headers.destination, kind)).or_default();
        times.push(self.now);
        // An anchor point may be a correspondent, too, which is another process.
        if headers.destination != MAP
            && let [.., first, _, _, last] = times[..]
        {
            assert!(
                last.saturating_since(first) >= Duration::from_secs(1),
                "{kind:?}"
            );
        }
        self.asked.push((headers, message));
        if self.asked.len() > 8 {
            self.asked.remove(0);
        }
    }
}

impl script::World for World {
    type Machine = MobileNode;

    fn machine(&mut self) -> (&mut MobileNode, &mut SimTime) {
        (&mut self.node, &mut self.now)
    }

    fn settle(&mut self) {
        while let Some(transmit) = self.node.poll_transmit() {
            let message = Message::decode(&transmit.to, &transmit.payload);
            self.look(transmit.to, message.expect("what is sent decodes"));
        }
        while let Some(event) = self.node.poll_event() {
            if let Event::Sent { peer, care_of } = event {
                let ours = [self.link, Some(REGIONAL).filter(|_| self.regional)];
                assert!(ours.contains(&Some(care_of)), "{peer:?} is told {care_of}");
                assert!(!matches!(peer, Peer::MobilityAnchorPoint(_)) || self.regional);
            }
        }
    }
}
