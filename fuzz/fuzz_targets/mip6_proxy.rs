//! `mip6::Gateway` and `mip6::Anchor` with each other: nodes come and go, messages are lost, repeated,
//! late or invented, time passes.
//!
//! A prefix is one node's, of the pool, and there are no more sessions than there may be; what is refused
//! or ignored changes nothing; every change is told; a gateway serves a node only with a prefix; no two
//! updates of a gateway have one number; nothing that was due stays due.

#![no_main]

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use machine::Machine;
use mip6::codec::{
    AccessTechnology, BindingUpdate, HandoffIndicator, Lifetime, LinkLayerId, Message,
    MobilityOption, NodeId, Timestamp,
};
use mip6::proxy::anchor::{self, Anchor};
use mip6::proxy::gateway::{self, Attached, Gateway};
use mip6::{Headers, Transmit};
use units::{Sequence, SimTime};
use wpanlab_fuzz::mip6::{AGENT, care_of, headers, message, sequence};
use wpanlab_fuzz::script;

const LIMIT: usize = 3;

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    if let Ok(mut world) = World::new(&mut u) {
        while !u.is_empty() && world.step(&mut u).is_ok() {}
    }
});

struct World {
    anchor: Anchor,
    gateways: [Gateway; 2],
    now: SimTime,
    /// Messages that have left and not arrived, or not for the last time.
    flights: Vec<Transmit>,
    /// Prefix, node and gateway, as the anchor has told.
    told: BTreeMap<Ipv6Net, (NodeId, Ipv6Addr)>,
}

fn pool() -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0xf000, 0, 0, 0, 0, 0), 62)
}

fn node(u: &mut Unstructured) -> Result<NodeId> {
    Ok(NodeId(vec![b'n', u.int_in_range(0..=3)?]))
}

fn link_layer(u: &mut Unstructured) -> Result<Option<LinkLayerId>> {
    Ok(match u.int_in_range(0..=2_u8)? {
        0 => None,
        number => Some(LinkLayerId(vec![number; 8])),
    })
}

fn prefix(u: &mut Unstructured) -> Result<Ipv6Net> {
    let number = u.int_in_range(0..=5)?;
    let network = Ipv6Addr::new(0x2001, 0xdb8, 0xf000, number, 0, 0, 0, 0);
    Ok(match u.int_in_range(0..=3_u8)? {
        0 => Ipv6Net::new_assert(network, 48).trunc(),
        _ => Ipv6Net::new_assert(network, 64),
    })
}

impl World {
    fn new(u: &mut Unstructured) -> Result<World> {
        let timestamps = u.ratio(3, 4)?;
        let fixed_link_local = u.arbitrary::<bool>()?.then_some(Ipv6Addr::LOCALHOST);
        let lifetime = Duration::from_secs(u.int_in_range(4..=4000)?);
        let gateway = |router| {
            Gateway::new(gateway::Config {
                timestamps,
                fixed_link_local,
                lifetime,
                max_nodes: 2,
                ..gateway::Config::new(care_of(router), AGENT)
            })
        };
        Ok(World {
            anchor: Anchor::new(anchor::Config {
                max_sessions: LIMIT,
                ..anchor::Config::new(AGENT, pool())
            }),
            gateways: [gateway(1), gateway(2)],
            now: SimTime::ZERO + Duration::from_secs(1_000_000),
            flights: Vec::new(),
            told: BTreeMap::new(),
        })
    }

    fn step(&mut self, u: &mut Unstructured) -> Result<()> {
        match u.int_in_range(0..=11u8)? {
            0 | 1 => {
                let attached = Attached {
                    node: node(u)?,
                    link_layer: link_layer(u)?,
                    handoff: HandoffIndicator(u.int_in_range(0..=5)?),
                    prefix: u.arbitrary::<bool>()?.then_some(prefix(u)?),
                    lifetime: None,
                    sequence: u.arbitrary::<bool>()?.then_some(sequence(u)?),
                };
                let gateway = u.int_in_range(0..=1usize)?;
                self.gateways[gateway].attach(self.now, attached);
            }
            2 => {
                let (gateway, node) = (u.int_in_range(0..=1usize)?, node(u)?);
                self.gateways[gateway].detach(self.now, &node);
            }
            3..=7 if !self.flights.is_empty() => {
                let chosen = u.choose_index(self.flights.len())?;
                let flight = match u.ratio(1, 5)? {
                    true => self.flights[chosen].clone(),
                    false => self.flights.remove(chosen),
                };
                self.deliver(flight.to, &flight.payload);
            }
            8 => {
                let headers = Headers::between(care_of(u.int_in_range(1..=3)?), AGENT);
                let update = self.invented(u)?;
                self.hear(headers, &Message::BindingUpdate(update));
            }
            9 => {
                let (headers, message) = (headers(u)?, message(u)?);
                self.hear(headers, &message);
            }
            _ => self.now += script::step(u)?,
        }
        self.settle();
        Ok(())
    }

    fn invented(&self, u: &mut Unstructured) -> Result<BindingUpdate> {
        let mut options = Vec::new();
        for _ in 0..u.int_in_range(0..=8_u8)? {
            options.push(match u.int_in_range(0..=6_u8)? {
                0 | 1 => MobilityOption::NodeId(node(u)?),
                2 => MobilityOption::HomeNetworkPrefix(prefix(u)?),
                3 => MobilityOption::Handoff(HandoffIndicator(u.int_in_range(0..=5)?)),
                4 => MobilityOption::AccessTechnology(AccessTechnology(u.int_in_range(0..=3)?)),
                5 => MobilityOption::LinkLocal(Ipv6Addr::UNSPECIFIED),
                _ => MobilityOption::Timestamp(Timestamp::of(self.now)),
            });
        }
        Ok(BindingUpdate {
            sequence: sequence(u)?,
            acknowledge: true,
            proxy_registration: true,
            lifetime: Lifetime(u.int_in_range(0..=100)?),
            options,
            ..BindingUpdate::default()
        })
    }

    fn hear(&mut self, headers: Headers, message: &Message) {
        let payload = message
            .encode(&headers)
            .expect("a message with few options");
        self.deliver(headers, &payload);
    }

    fn deliver(&mut self, headers: Headers, payload: &[u8]) {
        let before = self.told.clone();
        if headers.receiver() == AGENT {
            let ignored = self
                .anchor
                .handle_datagram(self.now, headers, payload)
                .is_err();
            let refused = self.drain_anchor();
            assert!(
                !(ignored || refused) || self.told == before,
                "it changed something"
            );
            return;
        }
        for gateway in &mut self.gateways {
            let _ = gateway.handle_datagram(self.now, headers, payload);
        }
    }

    /// Takes what the anchor says. Whether it has refused something, and nothing else.
    fn drain_anchor(&mut self) -> bool {
        let (mut refused, mut accepted) = (false, false);
        while let Some(sent) = self.anchor.poll_transmit() {
            let message = Message::decode(&sent.to, &sent.payload).expect("what is sent decodes");
            if let Message::BindingAcknowledgement(answer) = message {
                assert!(answer.proxy_registration && sent.to.routing.is_none());
                refused |= !answer.status.is_accepted();
                accepted |= answer.status.is_accepted();
            }
            self.flights.push(sent);
        }
        while let Some(event) = self.anchor.poll_event() {
            match event {
                anchor::Event::Bound {
                    node,
                    prefix,
                    gateway,
                    previous,
                    ..
                } => {
                    let before = self.told.insert(prefix, (node, gateway));
                    assert_eq!(before.map(|(_, gateway)| gateway), previous);
                }
                anchor::Event::Left { node, prefix } => assert_eq!(self.told[&prefix].0, node),
                anchor::Event::Removed {
                    node,
                    prefix,
                    gateway,
                } => assert_eq!(self.told.remove(&prefix), Some((node, gateway))),
            }
        }
        refused && !accepted
    }

    fn settle(&mut self) {
        self.anchor.handle_timeout(self.now);
        self.drain_anchor();
        let due = self.anchor.poll_timeout();
        assert!(due.is_none_or(|due| due > self.now), "something stays due");
        let sessions = self.anchor.sessions();
        let sessions = sessions.map(|(prefix, s)| (prefix, (s.node.clone(), s.gateway)));
        assert_eq!(self.told, sessions.collect(), "a change was not told");
        assert!(self.told.len() <= LIMIT);
        assert!(self.told.keys().all(|prefix| pool().contains(prefix)));
        for gateway in &mut self.gateways {
            gateway.handle_timeout(self.now);
            let due = gateway.poll_timeout();
            assert!(due.is_none_or(|due| due > self.now), "something stays due");
            let mut last: Option<Sequence> = None;
            while let Some(sent) = gateway.poll_transmit() {
                let message = Message::decode(&sent.to, &sent.payload);
                if let Message::BindingUpdate(update) = message.expect("what is sent decodes") {
                    assert!(update.proxy_registration && sent.to.home_address.is_none());
                    let counted = update
                        .options
                        .iter()
                        .any(|o| matches!(o, MobilityOption::Timestamp(_)));
                    assert!(
                        !counted || last.is_none_or(|last| update.sequence.is_newer_than(last))
                    );
                    last = Some(update.sequence);
                }
                self.flights.push(sent);
            }
            while let Some(event) = gateway.poll_event() {
                if let gateway::Event::Served { prefixes, .. } = event {
                    assert!(!prefixes.is_empty());
                }
            }
        }
        let surplus = self.flights.len().saturating_sub(16);
        self.flights.drain(..surplus);
    }
}
