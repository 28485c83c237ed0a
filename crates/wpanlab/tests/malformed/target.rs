//! A daemon's port, and an attack on it.

use std::fs;
use std::io::{self, Read};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::{Duration, Instant};

use dhcpv6::message::MessageType;
use nd::{HOP_LIMIT, NdOption, RouterAdvertisement, RouterSolicitation};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::datagrams::{self, Malformed};
use crate::network::Outside;

/// What is still on its way after this is lost: guest time.
const GIVEN_UP: Duration = Duration::from_millis(100);
/// Longest wait for a daemon to take what it was sent, or to answer: guest time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Protocol number of ICMPv6, which a raw socket shows as its port.
const ICMPV6: u16 = 58;

/// From where a port is attacked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// Over a wire of the test's own.
    Wire,
    /// Over the radio, from a node on the same link.
    Radio {
        /// That node.
        neighbour: &'static str,
    },
}

/// How a live daemon shows itself.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// A Reset to a CoAP ping (RFC 7252 §1.2).
    Pong,
    /// A Reply to an Information-request (RFC 8415 §18.3.6).
    Information,
    /// It lives; the handovers that follow need it.
    Life,
}

/// A daemon's port.
pub struct Target {
    /// For people.
    pub name: &'static str,
    /// The node.
    pub node: &'static str,
    /// The way there.
    pub way: Way,
    /// UDP port, or [`ICMPV6`].
    pub port: u16,
    valid: fn() -> Vec<Vec<u8>>,
    answer: Answer,
}

/// Every port of every daemon.
pub fn targets() -> Vec<Target> {
    let er1 = Way::Radio { neighbour: "er1" };
    let sensor = Way::Radio {
        neighbour: "sensor",
    };
    let target = |name, node, way, port, valid, answer| Target {
        name,
        node,
        way,
        port,
        valid,
        answer,
    };
    vec![
        target(
            "WMMS, CoAP",
            "wmms",
            Way::Wire,
            5683,
            datagrams::coap as _,
            Answer::Pong,
        ),
        target(
            "client, CoAP",
            "client",
            Way::Wire,
            5683,
            datagrams::coap,
            Answer::Pong,
        ),
        target(
            "sensor, CoAP",
            "sensor",
            er1,
            5683,
            datagrams::coap,
            Answer::Pong,
        ),
        target(
            "server, DHCPv6",
            "dhcp",
            Way::Wire,
            547,
            datagrams::dhcpv6,
            Answer::Information,
        ),
        target(
            "relay agent, server's side",
            "er1",
            Way::Wire,
            547,
            datagrams::dhcpv6,
            Answer::Life,
        ),
        target(
            "relay agent, clients' side",
            "er1",
            sensor,
            547,
            datagrams::dhcpv6,
            Answer::Life,
        ),
        target(
            "sensor, DHCPv6",
            "sensor",
            er1,
            546,
            datagrams::dhcpv6,
            Answer::Life,
        ),
        target(
            "router, solicitations",
            "er1",
            sensor,
            ICMPV6,
            datagrams::solicitations,
            Answer::Life,
        ),
        target(
            "sensor, advertisements",
            "sensor",
            er1,
            ICMPV6,
            datagrams::advertisements,
            Answer::Life,
        ),
    ]
}

impl Target {
    /// Datagrams sent before the daemon is waited for; a radio's queue has 300 frames.
    fn burst(&self) -> u64 {
        match self.way {
            Way::Wire => 64,
            Way::Radio { .. } => 8,
        }
    }

    /// Prepares an attack.
    pub fn attack(&self, outside: &Outside) -> Attack<'_> {
        let (namespace, to) = outside.way_to(self);
        let socket = namespace.run(|| self.socket()).unwrap().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut attack = Attack {
            target: self,
            socket,
            to: to.into(),
            pid: outside.daemon(self),
            datagrams: Malformed::new(self.name, (self.valid)()),
            sent: 0,
            lost: 0,
            arrived_before: 0,
        };
        attack.arrived_before = attack.arrived();
        attack
    }

    fn socket(&self) -> io::Result<Socket> {
        if self.port == ICMPV6 {
            let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
            socket.set_unicast_hops_v6(HOP_LIMIT.into())?;
            return Ok(socket);
        }
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        // A DHCPv6 server answers to the clients' port.
        let port = match self.answer {
            Answer::Information => dhcpv6::CLIENT_PORT,
            _ => 0,
        };
        socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0).into())?;
        Ok(socket)
    }

    /// Whether a datagram can be sent, by a raw socket if it has room for its checksum, and may
    /// be: what is valid and names a router, or another address of the sender's on the link, is
    /// no malformed datagram but an attack that succeeds.
    fn is_fit(&self, datagram: &[u8]) -> bool {
        if self.port != ICMPV6 {
            return true;
        }
        let sender = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let is_router = RouterAdvertisement::decode(sender, HOP_LIMIT, datagram).is_ok();
        let has_moved = RouterSolicitation::decode(sender, HOP_LIMIT, datagram).is_ok_and(|s| {
            let mut options = s.options.iter();
            options.any(|o| !matches!(o, NdOption::Unknown { kind: 2.., .. }))
        });
        datagram.len() >= 4 && !is_router && !has_moved
    }
}

/// Malformed datagrams on their way to a port.
pub struct Attack<'t> {
    target: &'t Target,
    socket: Socket,
    to: SockAddr,
    pid: i32,
    datagrams: Malformed,
    sent: u64,
    /// Of those, what did not arrive.
    lost: u64,
    arrived_before: u64,
}

impl Attack<'_> {
    /// Sends `count` datagrams, no faster than the daemon takes them, and has it answer.
    pub fn send(&mut self, count: u64) {
        for _ in 0..count {
            let datagram = loop {
                let datagram = self.datagrams.next();
                if self.target.is_fit(&datagram) {
                    break datagram;
                }
            };
            self.socket.send_to(&datagram, &self.to).unwrap();
            self.sent += 1;
            if self.sent.is_multiple_of(self.target.burst()) {
                self.wait_until_taken();
            }
        }
        self.wait_until_taken();
        self.wait_for_an_answer();
    }

    /// Datagrams that have reached the node's sockets since the beginning, and a few others.
    pub fn arrived(&self) -> u64 {
        let counter = match self.target.port {
            ICMPV6 => "Icmp6InMsgs",
            _ => "Udp6InDatagrams",
        };
        let counters = self.of_process("net/snmp6");
        let line = counters.lines().find(|line| line.starts_with(counter));
        let value = line.and_then(|line| line.split_whitespace().nth(1));
        value.unwrap().parse::<u64>().unwrap() - self.arrived_before
    }

    /// The daemon's resident memory, counted page by page: VmRSS is late by up to 64 pages.
    pub fn resident_kib(&self) -> u64 {
        let maps = self.of_process("smaps_rollup");
        let line = maps.lines().find_map(|line| line.strip_prefix("Rss:"));
        let value = line.and_then(|line| line.split_whitespace().next());
        value.unwrap().parse().unwrap()
    }

    /// Waits until all has arrived, or no more comes, and the sockets' queues are empty.
    fn wait_until_taken(&mut self) {
        let began = Instant::now();
        let (mut arrived, mut since) = (0, began);
        loop {
            let now_arrived = self.arrived();
            if now_arrived > arrived {
                (arrived, since) = (now_arrived, Instant::now());
            }
            self.forget_answers();
            let all = arrived + self.lost >= self.sent;
            if (all || since.elapsed() > GIVEN_UP) && self.queued() == 0 {
                self.lost = self.sent.saturating_sub(arrived);
                return;
            }
            let name = self.target.name;
            assert!(
                began.elapsed() < PATIENCE,
                "{name}: the daemon takes no more"
            );
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Makes room in our own socket.
    fn forget_answers(&self) {
        let mut buffer = [0; 64];
        self.socket.set_nonblocking(true).unwrap();
        while (&self.socket).read(&mut buffer).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }

    /// Bytes in the queues of the port's sockets.
    fn queued(&self) -> u64 {
        let table = match self.target.port {
            ICMPV6 => "net/raw6",
            _ => "net/udp6",
        };
        let port = format!(":{:04X}", self.target.port);
        let mut queued = 0;
        for line in self.of_process(table).lines().skip(1) {
            let mut fields = line.split_whitespace().skip(1);
            if fields.next().is_some_and(|local| local.ends_with(&port)) {
                let queues = fields.nth(2).unwrap();
                let received = queues.split(':').nth(1).unwrap();
                queued += u64::from_str_radix(received, 16).unwrap();
            }
        }
        queued
    }

    /// What `/proc` says of the daemon, which lives, or of its namespace.
    fn of_process(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid))
            .unwrap_or_else(|error| panic!("{}: the daemon is gone: {error}", self.target.name))
    }

    fn wait_for_an_answer(&mut self) {
        assert!(
            !self.of_process("cmdline").is_empty(),
            "{}: died",
            self.target.name
        );
        let (question, answer): (Vec<u8>, &[u8]) = match self.target.answer {
            Answer::Life => return,
            Answer::Pong => (vec![0x40, 0, 0xaf, 0xfe], &[0x70, 0, 0xaf, 0xfe]),
            Answer::Information => {
                let kind = MessageType::InformationRequest;
                let question = dhcpv6::Message::new(kind, [0xaf, 0xfe, 1]);
                (question.encode(), &[7, 0xaf, 0xfe, 1])
            }
        };
        self.socket.send_to(&question, &self.to).unwrap();
        let mut buffer = [0; 2048];
        loop {
            let length = (&self.socket).read(&mut buffer).unwrap_or_else(|error| {
                panic!("{}: the daemon does not answer: {error}", self.target.name)
            });
            if buffer[..length].starts_with(answer) {
                return;
            }
        }
    }
}
