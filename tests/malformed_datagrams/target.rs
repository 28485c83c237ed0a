//! A daemon's port, and an attack on it.

use std::fs;
use std::io::{self, Read};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::{Duration, Instant};

use dhcpv6::message::MessageType;
use nd::message::{ROUTER_ADVERTISEMENT, ROUTER_SOLICITATION};
use nd::{HOP_LIMIT, NdOption, RouterAdvertisement, RouterSolicitation};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::datagrams::{self, Malformed};
use crate::network::Outside;

/// What is still on its way after this is lost: guest time.
const GIVEN_UP: Duration = Duration::from_millis(100);
/// Longest wait for a daemon to take what it was sent, or to answer: guest time.
const PATIENCE: Duration = Duration::from_secs(60);
/// A radio's queue has 300 frames, some for each datagram.
const RADIO_BURST: u64 = 8;
/// Half of a socket's buffer.
const BURST: u64 = 64;

/// From where a port is attacked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// Over a wire of the test's own.
    Wire,
    /// To the link-local address of the node's 6LoWPAN interface.
    Lowpan {
        /// A node on the same link, or the node itself. To the daemon that is the same: what goes
        /// to an interface's own address is received on that interface, although it comes by `lo`.
        from: &'static str,
    },
}

/// Where a daemon listens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Port {
    /// A UDP port.
    Udp(u16),
    /// ICMPv6 messages of one type: others do not pass the filter of its socket.
    Icmpv6(u8),
}

impl Port {
    /// The number that the kernel shows for the socket; a raw one has its protocol's.
    pub fn number(self) -> u16 {
        match self {
            Port::Udp(port) => port,
            Port::Icmpv6(_) => 58,
        }
    }
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
    /// The port.
    pub port: Port,
    /// Datagrams sent before the daemon is waited for.
    burst: u64,
    valid: fn() -> Vec<Vec<u8>>,
    answer: Answer,
}

/// Every port of every daemon, over the radio where a daemon listens there; or `quiet`, so that no
/// radio carries what is sent and no run captures it: a million datagrams would fill the memory.
pub fn targets(quiet: bool) -> Vec<Target> {
    let (er1, sensor) = (Way::Lowpan { from: "er1" }, Way::Lowpan { from: "sensor" });
    let (to_sensor, to_coap) = match quiet {
        true => (sensor, Way::Wire),
        false => (er1, er1),
    };
    let target = |name, node, way, port, valid, answer| Target {
        name,
        node,
        way,
        port,
        burst: match way {
            Way::Lowpan { .. } if !quiet => RADIO_BURST,
            Way::Lowpan { .. } | Way::Wire => BURST,
        },
        valid,
        answer,
    };
    let coap = |name, node, way| {
        let port = Port::Udp(coap::message::PORT);
        target(name, node, way, port, datagrams::coap as _, Answer::Pong)
    };
    let dhcpv6 = |name, node, way, port, answer| {
        let port = Port::Udp(port);
        target(name, node, way, port, datagrams::dhcpv6 as _, answer)
    };
    let nd = |name, node, way, kind, valid| {
        let port = Port::Icmpv6(kind);
        target(name, node, way, port, valid, Answer::Life)
    };
    let (server, client) = (dhcpv6::SERVER_PORT, dhcpv6::CLIENT_PORT);
    vec![
        coap("WMMS, CoAP", "wmms", Way::Wire),
        coap("client, CoAP", "client", Way::Wire),
        coap("sensor, CoAP", "sensor", to_coap),
        dhcpv6(
            "server, DHCPv6",
            "dhcp",
            Way::Wire,
            server,
            Answer::Information,
        ),
        dhcpv6(
            "relay agent, server's side",
            "er1",
            Way::Wire,
            server,
            Answer::Life,
        ),
        dhcpv6(
            "relay agent, clients' side",
            "er1",
            sensor,
            server,
            Answer::Life,
        ),
        dhcpv6("sensor, DHCPv6", "sensor", to_sensor, client, Answer::Life),
        nd(
            "router, solicitations",
            "er1",
            sensor,
            ROUTER_SOLICITATION,
            datagrams::solicitations as _,
        ),
        nd(
            "sensor, advertisements",
            "sensor",
            to_sensor,
            ROUTER_ADVERTISEMENT,
            datagrams::advertisements,
        ),
    ]
}

impl Target {
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
        if let Port::Icmpv6(_) = self.port {
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

    /// The next datagram that the port takes, can be sent, by a raw socket if it has room for its
    /// checksum, and may be: what is valid and names a router, or another address of the sender's
    /// on the link, is no malformed datagram but an attack that succeeds.
    fn next(&self, malformed: &mut Malformed) -> Vec<u8> {
        let Port::Icmpv6(kind) = self.port else {
            return malformed.next();
        };
        let sender = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        loop {
            let mut message = malformed.next();
            if message.len() < 4 {
                continue;
            }
            message[0] = kind;
            let is_router = RouterAdvertisement::decode(sender, HOP_LIMIT, &message).is_ok();
            let has_moved = RouterSolicitation::decode(sender, HOP_LIMIT, &message)
                .is_ok_and(|s| s.options.iter().any(names_something));
            if !is_router && !has_moved {
                return message;
            }
        }
    }
}

/// Whether an option says something of its sender.
fn names_something(option: &NdOption) -> bool {
    !matches!(option, NdOption::Unknown { kind: 2.., .. })
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
            let datagram = self.target.next(&mut self.datagrams);
            self.socket.send_to(&datagram, &self.to).unwrap();
            self.sent += 1;
            if self.sent.is_multiple_of(self.target.burst) {
                self.wait_until_taken();
            }
        }
        self.wait_until_taken();
        self.wait_for_an_answer();
    }

    /// Datagrams that have reached the node's sockets since the beginning, and a few others.
    pub fn arrived(&self) -> u64 {
        let (counter, dropped) = match self.target.port {
            Port::Udp(_) => ("Udp6InDatagrams", 0),
            // Counted before there is a place in a socket's queue for it.
            Port::Icmpv6(_) => ("Icmp6InMsgs", self.of_sockets(Self::dropped)),
        };
        let counters = self.of_process("net/snmp6");
        let line = counters.lines().find(|line| line.starts_with(counter));
        let value = line.and_then(|line| line.split_whitespace().nth(1));
        value.unwrap().parse::<u64>().unwrap() - dropped - self.arrived_before
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
            if (all || since.elapsed() > GIVEN_UP) && self.of_sockets(Self::queued) == 0 {
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

    /// The sum of a column over the port's sockets.
    fn of_sockets(&self, column: fn(&[&str]) -> u64) -> u64 {
        let table = match self.target.port {
            Port::Udp(_) => "net/udp6",
            Port::Icmpv6(_) => "net/raw6",
        };
        let port = format!(":{:04X}", self.target.port.number());
        let table = self.of_process(table);
        let sockets = table.lines().skip(1).map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields
        });
        let of_port = sockets.filter(|fields| fields[1].ends_with(&port));
        of_port.map(|fields| column(&fields)).sum()
    }

    /// Bytes in a socket's receive queue, of its line.
    fn queued(fields: &[&str]) -> u64 {
        let received = fields[4].split(':').nth(1).unwrap();
        u64::from_str_radix(received, 16).unwrap()
    }

    /// Datagrams for which its queue had no place.
    fn dropped(fields: &[&str]) -> u64 {
        fields.last().unwrap().parse().unwrap()
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
