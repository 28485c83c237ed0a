//! A network of a mobile node, its home agent, a mobility anchor point and a correspondent: every
//! message takes as long as the way between two of them, and goes where tunnels and bindings lead it.

pub mod node;
pub mod proxy;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use machine::Machine;
use mip6::agent::{self, Role};
use mip6::cache::Change;
use mip6::codec::{Kind, Message, Status};
use mip6::headers::Tunnel;
use mip6::mobile::{self, Attachment, Map};
use mip6::{Agent, Correspondent, Headers, Ignored, MobileNode, correspondent};
use units::{Seed, SimTime};

pub const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 5);
pub const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1);
pub const MAP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 1);
pub const REGIONAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 5);
/// Another mobility anchor point, and the node's address there.
pub const OTHER_MAP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 1);
pub const OTHER_REGIONAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 5);
pub const CORRESPONDENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1);

/// The node's address at the router of that number.
pub fn at_router(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, 5)
}

pub fn away(number: u16) -> Attachment {
    Attachment {
        address: at_router(number),
        map: None,
    }
}

/// Below the mobility anchor point.
pub fn below_map(number: u16) -> Attachment {
    Attachment {
        address: at_router(number),
        map: Some(Map {
            address: MAP,
            regional: REGIONAL,
            valid_lifetime: Duration::from_secs(3600),
        }),
    }
}

/// Below the other one.
pub fn below_other(number: u16) -> Attachment {
    let map = Map {
        address: OTHER_MAP,
        regional: OTHER_REGIONAL,
        ..below_map(number).map.unwrap()
    };
    Attachment {
        map: Some(map),
        ..below_map(number)
    }
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    Node,
    Agent,
    Map,
    Correspondent,
    OtherMap,
}

/// A message on its way, of which `to` is the next party that takes it up.
struct Flight {
    from: Party,
    to: Party,
    headers: Headers,
    payload: Vec<u8>,
}

/// A message as it left a machine.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Duration,
    pub by: Party,
    pub headers: Headers,
    pub message: Message,
    pub payload: Vec<u8>,
}

pub struct Net {
    pub now: SimTime,
    pub node: MobileNode,
    pub agent: Agent,
    pub map: Agent,
    pub other_map: Agent,
    pub correspondent: Correspondent,
    /// One way, between two parties.
    pub delay: fn(Party, Party) -> Duration,
    /// The node's address on its link, if it has one.
    pub link: Option<Ipv6Addr>,
    /// Whether the node is on its home link.
    pub is_home: bool,
    /// Which messages are lost, by their number among those of a type.
    pub lost: Vec<(Party, Kind)>,
    flights: BTreeMap<(SimTime, u64), Flight>,
    number: u64,
    pub log: Vec<Sent>,
    pub node_events: Vec<(Duration, mobile::Event)>,
    pub agent_events: Vec<(Duration, agent::Event)>,
    pub map_events: Vec<(Duration, agent::Event)>,
    pub other_map_events: Vec<(Duration, agent::Event)>,
    pub correspondent_events: Vec<(Duration, Change)>,
    pub ignored: Vec<(Party, Ignored)>,
}

pub fn agent_config() -> agent::Config {
    agent::Config::new(Role::HomeAgent, AGENT, "2001:db8:f::/64".parse().unwrap())
}

pub fn map_config() -> agent::Config {
    let role = Role::MobilityAnchorPoint {
        access_prefixes: Vec::new(),
    };
    agent::Config::new(role, MAP, "2001:db8:a::/64".parse().unwrap())
}

pub fn other_map_config() -> agent::Config {
    let prefix = "2001:db8:b::/64".parse().unwrap();
    agent::Config::new(map_config().role, OTHER_MAP, prefix)
}

impl Net {
    /// 20 ms from everybody to everybody; nobody checks addresses.
    pub fn new(config: mobile::Config) -> Net {
        let without_dad = |config| agent::Config {
            dad: Duration::ZERO,
            ..config
        };
        let agent = Agent::new(without_dad(agent_config()));
        let map = Agent::new(without_dad(map_config()));
        Net::with(config, agent, map)
    }

    pub fn with(config: mobile::Config, agent: Agent, map: Agent) -> Net {
        let other_map = Agent::new(agent::Config {
            dad: Duration::ZERO,
            ..other_map_config()
        });
        let rng = |name| Seed(1).rng(&[name]);
        let config_of_correspondent = correspondent::Config::new(CORRESPONDENT);
        Net {
            now: SimTime::ZERO,
            node: MobileNode::new(config, rng("node")),
            agent,
            map,
            other_map,
            correspondent: Correspondent::new(config_of_correspondent, rng("correspondent")),
            delay: |_, _| ms(20),
            link: None,
            is_home: false,
            lost: Vec::new(),
            flights: BTreeMap::new(),
            number: 0,
            log: Vec::new(),
            node_events: Vec::new(),
            agent_events: Vec::new(),
            map_events: Vec::new(),
            other_map_events: Vec::new(),
            correspondent_events: Vec::new(),
            ignored: Vec::new(),
        }
    }

    /// A node with its home agent.
    pub fn plain() -> Net {
        Net::new(mobile::Config::new(HOME, AGENT))
    }

    pub fn elapsed(&self) -> Duration {
        self.now.saturating_since(SimTime::ZERO)
    }

    pub fn move_to(&mut self, at: Attachment) {
        self.link = Some(at.address);
        self.is_home = false;
        self.node.move_to(self.now, at);
        self.drain();
    }

    pub fn return_home(&mut self) {
        self.link = Some(HOME);
        self.is_home = true;
        self.node.return_home(self.now);
        self.drain();
    }

    pub fn correspond(&mut self) {
        assert!(self.node.correspond(self.now, CORRESPONDENT));
        self.drain();
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.drain();
        loop {
            let flight = self.flights.keys().next().map(|(at, _)| *at);
            let timers = [
                self.node.poll_timeout(),
                self.agent.poll_timeout(),
                self.map.poll_timeout(),
                self.other_map.poll_timeout(),
                self.correspondent.poll_timeout(),
            ];
            let next = timers.into_iter().flatten().chain(flight).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            self.timeouts();
            self.arrive();
            self.drain();
        }
        self.now = end;
    }

    fn timeouts(&mut self) {
        let now = self.now;
        self.node.handle_timeout(now);
        self.agent.handle_timeout(now);
        self.map.handle_timeout(now);
        self.other_map.handle_timeout(now);
        self.correspondent.handle_timeout(now);
        let late = |next: Option<SimTime>| next.is_some_and(|next| next <= now);
        assert!(
            !late(self.node.poll_timeout()),
            "the node's timer stays due"
        );
        assert!(
            !late(self.agent.poll_timeout()),
            "the agent's timer stays due"
        );
        self.drain();
    }

    fn arrive(&mut self) {
        while let Some(entry) = self.flights.first_entry() {
            if entry.key().0 > self.now {
                return;
            }
            let flight = entry.remove();
            self.deliver(flight);
            self.drain();
        }
    }

    fn deliver(&mut self, flight: Flight) {
        let Flight {
            to,
            headers,
            payload,
            ..
        } = flight;
        let now = self.now;
        let outermost = headers
            .tunnel
            .map_or(headers.destination, |t| t.destination);
        match to {
            Party::Node => {
                let result = self.node.handle_datagram(now, headers, &payload);
                self.note(to, result);
            }
            Party::Correspondent => {
                let result = self.correspondent.handle_datagram(now, headers, &payload);
                self.note(to, result);
            }
            Party::Agent if headers.tunnel.is_some() && outermost == AGENT => {
                // RFC 6275 §10.4.5: "MUST verify that the Source Address in the tunnel IP header is
                // the mobile node's primary care-of address".
                let tunnel = headers.tunnel.unwrap();
                let binding = self.agent.binding(headers.source);
                if binding.is_some_and(|binding| binding.care_of == tunnel.source) {
                    let inner = Headers {
                        tunnel: None,
                        ..headers
                    };
                    self.send(to, inner, payload);
                }
            }
            Party::Agent if headers.destination == AGENT => {
                let result = self.agent.handle_datagram(now, headers, &payload);
                self.note(to, result);
            }
            // Intercepted: into the tunnel to where the node is.
            Party::Agent => {
                if let Some(binding) = self.agent.binding(headers.destination) {
                    let headers = headers.through(AGENT, binding.care_of);
                    self.send(to, headers, payload);
                }
            }
            Party::Map | Party::OtherMap => {
                let (map, address, regional) = match to {
                    Party::Map => (&mut self.map, MAP, REGIONAL),
                    _ => (&mut self.other_map, OTHER_MAP, OTHER_REGIONAL),
                };
                let source = headers.tunnel.map_or(headers.source, |t| t.source);
                if outermost == address {
                    let result = map.handle_datagram(now, headers, &payload);
                    self.note(to, result);
                } else if source == regional && flight.from == Party::Node {
                    self.send(to, headers, payload);
                } else if let Some(binding) = map.binding(outermost)
                    && self.link == Some(binding.care_of)
                {
                    self.fly(to, Party::Node, headers, payload);
                }
            }
        }
    }

    fn note(&mut self, party: Party, result: Result<(), Ignored>) {
        self.ignored
            .extend(result.err().map(|ignored| (party, ignored)));
    }

    /// Where a packet goes from where it is.
    fn send(&mut self, from: Party, headers: Headers, payload: Vec<u8>) {
        let source = headers.tunnel.map_or(headers.source, |t| t.source);
        let to = headers
            .tunnel
            .map_or(headers.destination, |t| t.destination);
        let next = match to {
            _ if from == Party::Node && source == REGIONAL => Party::Map,
            _ if from == Party::Node && source == OTHER_REGIONAL => Party::OtherMap,
            AGENT => Party::Agent,
            HOME if self.is_home && self.agent.binding(HOME).is_none() => Party::Node,
            HOME => Party::Agent,
            MAP | REGIONAL => Party::Map,
            OTHER_MAP | OTHER_REGIONAL => Party::OtherMap,
            CORRESPONDENT => Party::Correspondent,
            address if Some(address) == self.link => Party::Node,
            // A link that the node has left.
            _ => return,
        };
        self.fly(from, next, headers, payload);
    }

    fn fly(&mut self, from: Party, to: Party, headers: Headers, payload: Vec<u8>) {
        self.number += 1;
        let arrives = self.now + (self.delay)(from, to);
        let flight = Flight {
            from,
            to,
            headers,
            payload,
        };
        self.flights.insert((arrives, self.number), flight);
    }

    fn drain(&mut self) {
        let at = self.elapsed();
        let machines: [(Party, Vec<mip6::Transmit>); 5] = [
            (Party::Node, drained(&mut self.node)),
            (Party::Agent, drained(&mut self.agent)),
            (Party::Map, drained(&mut self.map)),
            (Party::OtherMap, drained(&mut self.other_map)),
            (Party::Correspondent, drained(&mut self.correspondent)),
        ];
        for (by, transmits) in machines {
            for transmit in transmits {
                let (headers, payload) = (transmit.to, transmit.payload);
                let message = Message::decode(&headers, &payload).expect("what is sent decodes");
                let kind = message.kind();
                self.log.push(Sent {
                    at,
                    by,
                    headers,
                    message,
                    payload: payload.clone(),
                });
                let lost = self.lost.iter().position(|lost| *lost == (by, kind));
                match lost {
                    Some(lost) => drop(self.lost.remove(lost)),
                    None => self.send(by, headers, payload),
                }
            }
        }
        let node = std::iter::from_fn(|| self.node.poll_event());
        self.node_events.extend(node.map(|event| (at, event)));
        let agent = std::iter::from_fn(|| self.agent.poll_event());
        self.agent_events.extend(agent.map(|event| (at, event)));
        let map = std::iter::from_fn(|| self.map.poll_event());
        self.map_events.extend(map.map(|event| (at, event)));
        let other_map = std::iter::from_fn(|| self.other_map.poll_event());
        (self.other_map_events).extend(other_map.map(|event| (at, event)));
        let correspondent = std::iter::from_fn(|| self.correspondent.poll_event());
        (self.correspondent_events).extend(correspondent.map(|event| (at, event)));
    }

    /// What somebody sent of a type, and when.
    pub fn sent(&self, by: Party, kind: Kind) -> Vec<&Sent> {
        let all = self.log.iter();
        all.filter(|sent| sent.by == by && sent.message.kind() == kind)
            .collect()
    }

    /// How somebody answered Binding Updates.
    pub fn statuses(&self, by: Party) -> Vec<Status> {
        let answers = self.sent(by, Kind::BindingAcknowledgement).into_iter();
        let status = |sent: &Sent| match &sent.message {
            Message::BindingAcknowledgement(answer) => answer.status,
            _ => unreachable!(),
        };
        answers.map(status).collect()
    }

    /// Milliseconds at which somebody sent messages of a type.
    pub fn times(&self, by: Party, kind: Kind) -> Vec<u128> {
        let sent = self.sent(by, kind);
        sent.iter().map(|sent| sent.at.as_millis()).collect()
    }
}

fn drained<M: Machine<To = Headers>>(machine: &mut M) -> Vec<mip6::Transmit> {
    std::iter::from_fn(|| machine.poll_transmit()).collect()
}

/// A home address's tunnel, as the node's side has it.
pub fn tunnel(care_of: Ipv6Addr) -> Tunnel {
    Tunnel {
        source: care_of,
        destination: AGENT,
    }
}
