//! A network in virtual time: clients on links, a relay agent per link, one server, loss.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use dhcpv6::client::{self, Lease};
use dhcpv6::{ALL_DHCP_RELAY_AGENTS_AND_SERVERS, Client, Event, Relay, Server, relay, server};
use machine::Machine;
use rand_core::Rng as _;
use units::{Rng, Seed, SimTime};

use crate::common::{answer, eui64, tell};

/// One way between client and server.
pub const LATENCY: Duration = Duration::from_millis(5);

pub struct Node {
    pub client: Client,
    /// The link that it is on.
    pub link: u16,
    pub events: Vec<(SimTime, Event)>,
    /// When it sent which message type.
    pub sent: Vec<(SimTime, u8)>,
    address: Ipv6Addr,
}

impl Node {
    pub fn lease(&self) -> Option<&Lease> {
        self.client.lease()
    }
}

/// A datagram in flight, by whom it is for.
enum Packet {
    Server(SocketAddrV6, Vec<u8>),
    Relay(Vec<u8>),
    Client(usize, Vec<u8>),
}

pub struct World {
    pub now: SimTime,
    pub server: Server,
    pub nodes: Vec<Node>,
    /// Percentage of the datagrams that are lost.
    pub loss: u64,
    /// Whether the server hears and answers.
    pub server_up: bool,
    /// Whether there are relay agents; else clients and server share the link.
    pub relayed: bool,
    in_flight: BTreeMap<(SimTime, u64), Packet>,
    count: u64,
    rng: Rng,
}

impl World {
    pub fn new(server: server::Config, clients: Vec<client::Config>, seed: u64) -> World {
        let nodes = clients.into_iter().enumerate().map(|(i, config)| {
            let rng = Seed(seed).rng(&["client", &i.to_string()]);
            Node {
                client: Client::new(config, rng).unwrap(),
                link: 1,
                events: Vec::new(),
                sent: Vec::new(),
                address: eui64(i as u8).link_local(),
            }
        });
        World {
            now: SimTime::ZERO,
            server: Server::new(server).unwrap(),
            nodes: nodes.collect(),
            loss: 0,
            server_up: true,
            relayed: true,
            in_flight: BTreeMap::new(),
            count: 0,
            rng: Seed(seed).rng(&["loss"]),
        }
    }

    pub fn start(&mut self, node: usize) {
        self.act(node, Client::start);
    }

    /// Has the owner of a client do something to it now.
    pub fn act(&mut self, node: usize, command: fn(&mut Client, SimTime)) {
        command(&mut self.nodes[node].client, self.now);
        self.drain(node);
    }

    /// Does what is due until `end`, then stands there.
    pub fn run(&mut self, end: SimTime) {
        while let Some(next) = self.next().filter(|&next| next <= end) {
            assert!(next >= self.now, "a timeout in the past never goes away");
            self.now = next;
            self.step();
        }
        self.now = end;
    }

    fn next(&self) -> Option<SimTime> {
        let timers = self
            .nodes
            .iter()
            .filter_map(|node| node.client.poll_timeout());
        let server = self.server.poll_timeout();
        let packet = self.in_flight.keys().next().map(|&(at, _)| at);
        timers.chain(server).chain(packet).min()
    }

    fn step(&mut self) {
        let now = self.now;
        self.server.handle_timeout(now);
        for i in 0..self.nodes.len() {
            self.nodes[i].client.handle_timeout(now);
            self.drain(i);
        }
        while let Some(entry) = self.in_flight.first_entry().filter(|e| e.key().0 <= now) {
            match entry.remove() {
                Packet::Server(from, payload) => self.at_server(from, &payload),
                Packet::Relay(payload) => {
                    let answer = relay::unwrap_reply(&payload).unwrap().transmit;
                    self.at_link(answer.to, answer.payload);
                }
                Packet::Client(i, payload) => {
                    // What is ignored here (a late duplicate) has no effect to check.
                    let _ = tell(&mut self.nodes[i].client, now, &payload);
                    self.drain(i);
                }
            }
        }
    }

    fn at_server(&mut self, from: SocketAddrV6, payload: &[u8]) {
        if !self.server_up {
            return;
        }
        let answer = answer(&mut self.server, self.now, from, payload).unwrap();
        if self.relayed {
            assert_eq!(answer.to, from);
            self.send(Packet::Relay(answer.payload));
        } else {
            self.at_link(answer.to, answer.payload);
        }
    }

    fn at_link(&mut self, to: SocketAddrV6, payload: Vec<u8>) {
        assert_eq!(to.port(), 546);
        let i = self
            .nodes
            .iter()
            .position(|n| n.address == *to.ip())
            .unwrap();
        self.send(Packet::Client(i, payload));
    }

    fn drain(&mut self, i: usize) {
        let now = self.now;
        let node = &mut self.nodes[i];
        while let Some(event) = node.client.poll_event() {
            node.events.push((now, event));
        }
        let mut packets = Vec::new();
        while let Some(transmit) = node.client.poll_transmit() {
            assert_eq!(*transmit.to.ip(), ALL_DHCP_RELAY_AGENTS_AND_SERVERS);
            assert_eq!(transmit.to.port(), 547);
            node.sent.push((now, transmit.payload[0]));
            packets.push(if self.relayed {
                let (link, from) = (node.link, node.address);
                let agent = Relay {
                    link_address: Ipv6Addr::new(0x2001, 0xdb8, link, 0, 0, 0, 0, 1),
                    interface_id: Some(vec![link as u8]),
                };
                let agent_at = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, link);
                let payload = agent.forward(from, &transmit.payload).unwrap();
                Packet::Server(SocketAddrV6::new(agent_at, 547, 0, 0), payload)
            } else {
                Packet::Server(SocketAddrV6::new(node.address, 546, 0, 3), transmit.payload)
            });
        }
        packets.into_iter().for_each(|packet| self.send(packet));
    }

    fn send(&mut self, packet: Packet) {
        if self.rng.next_u64() % 100 < self.loss {
            return;
        }
        let latency = match packet {
            Packet::Client(..) if self.relayed => Duration::ZERO,
            _ => LATENCY,
        };
        self.count += 1;
        self.in_flight
            .insert((self.now + latency, self.count), packet);
    }
}
