//! A WMMS under a flood from many sources: what its own nodes notice of it, what it sends to those
//! sources, and what it keeps and writes.
//!
//! `WPANLAB_FLOOD="100000 100000 10"`: datagrams a second, sources, seconds. `scripts/flood` has that.

use std::collections::BTreeSet;
use std::fs;
use std::io::IoSlice;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netlink::Namespace;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn6, sendmmsg};
use rand_core::Rng as _;
use socket2::{Domain, Protocol, Socket, Type};
use units::{Rng, Seed};

use crate::daemon::{PATIENCE, SERVER};
use crate::load::{Ask, Load, option, p_addr, t_addr};
use crate::strangers::{Beside, WMMS};

/// Nodes of the WMMS, each with one update on its way.
pub const NODES: usize = 16;
/// Datagrams of the flood in one system call.
const BATCH: usize = 64;
/// The share of the sources that has one network (/64); each of the others has one of its own.
const CROWDED: u32 = 2;
/// The networks of the flood (/32).
pub const FLOOD: u128 = 0x2001_0db9 << 96;
/// What the daemon may have more in memory after the cheap flood than before: a table's share and the
/// history of exchanges.
const MEMORY: u64 = 64 << 20;
/// What it may write about the flood: what the gate of events lets through.
const WRITTEN: u64 = 8 << 20;

/// How hard, from how many, how long.
#[derive(Clone, Copy, Debug)]
struct Flood {
    rate: u32,
    sources: u32,
    seconds: f64,
}

impl Flood {
    fn wanted() -> Option<Flood> {
        let text = std::env::var("WPANLAB_FLOOD").ok()?;
        let numbers: Vec<u32> = text
            .split_whitespace()
            .map(|n| n.parse().unwrap())
            .collect();
        let [rate, sources, seconds] = numbers[..] else {
            panic!("WPANLAB_FLOOD is three numbers: datagrams a second, sources, seconds");
        };
        let seconds = f64::from(seconds);
        Some(Flood {
            rate,
            sources,
            seconds,
        })
    }

    /// One that costs a test little.
    fn cheap() -> Flood {
        Flood {
            rate: 10_000,
            sources: 10_000,
            seconds: 0.5,
        }
    }
}

/// What the WMMS's nodes notice in a while.
#[derive(Debug, Default)]
pub struct Noticed {
    /// From the first copy of an update to its answer.
    waits: Vec<Duration>,
    seconds: f64,
}

impl Noticed {
    pub const HEADING: &str = "16 nodes  updates/s    p50 ms    p99 ms    max ms";

    fn wait(&self, share: f64) -> Duration {
        let last = self.waits.len().saturating_sub(1);
        let place = (last as f64 * share) as usize;
        self.waits.get(place).copied().unwrap_or_default()
    }

    pub fn line(&self, when: &str) -> String {
        let ms = |share| self.wait(share).as_secs_f64() * 1e3;
        format!(
            "{when:<8} {:>10.0} {:>9.2} {:>9.2} {:>9.2}",
            self.waits.len() as f64 / self.seconds,
            ms(0.5),
            ms(0.99),
            ms(1.0)
        )
    }
}

/// The nodes, on the WMMS's own host.
pub struct Nodes {
    load: Load,
    began: Vec<Instant>,
    updates: u64,
}

impl Nodes {
    pub fn new(beside: &Beside) -> Nodes {
        let any: SocketAddr = "[::1]:0".parse().expect("an address");
        let server = SERVER.parse().expect("an address");
        let load = || Load::new(any, server, NODES, 1);
        let mut nodes = Nodes {
            load: beside.there.run(load).expect("its namespace"),
            began: vec![Instant::now(); NODES],
            updates: 0,
        };
        let register = &mut |n| Ask::Register(p_addr(n), t_addr(n));
        nodes.load.run(NODES as u64, register);
        for slot in 0..NODES {
            nodes.update(slot);
        }
        nodes
    }

    fn update(&mut self, slot: usize) {
        self.updates += 1;
        self.began[slot] = Instant::now();
        let update = Ask::Bind(p_addr(slot as u64), t_addr(self.updates));
        self.load.send(slot, update);
    }

    /// Each node updates again as soon as it is answered, until `enough`.
    pub fn go_on(&mut self, enough: impl Fn() -> bool) -> Noticed {
        let began = Instant::now();
        let mut looked = began;
        let mut waits = Vec::new();
        while !enough() {
            let mut free = Vec::new();
            self.load
                .receive(Duration::from_millis(20), &mut |slot, message| {
                    assert_eq!(message[1] >> 5, 2, "refused: {message:02x?}");
                    free.push(slot);
                });
            for slot in free {
                waits.push(self.began[slot].elapsed());
                self.update(slot);
            }
            if looked.elapsed() > Duration::from_millis(500) {
                looked = Instant::now();
                self.load.send_again();
            }
        }
        waits.sort();
        Noticed {
            waits,
            seconds: began.elapsed().as_secs_f64(),
        }
    }
}

impl Nodes {
    /// The WMMS has of each node what that has said itself, whatever others said.
    pub fn are_where_they_say(&mut self) {
        self.load.give_up();
        for slot in 0..NODES {
            self.load.send(slot, Ask::Discover(p_addr(slot as u64)));
        }
        let own = (0..=self.updates).map(t_addr).collect::<BTreeSet<_>>();
        let began = Instant::now();
        let mut found = 0;
        while found < NODES {
            assert!(began.elapsed() < PATIENCE, "no answer");
            self.load
                .receive(Duration::from_millis(100), &mut |slot, message| {
                    let value = option(message, 2050).expect("a T_Addr");
                    let bytes = <[u8; 16]>::try_from(value).expect("16 bytes");
                    assert!(own.contains(&Ipv6Addr::from(bytes)), "node {slot}");
                    found += 1;
                });
            self.load.send_again();
        }
    }
}

/// Bytes that the WMMS's end of the link has received and sent, and how many packets, with all their
/// headers.
fn crossed(there: &Namespace) -> [u64; 4] {
    let read = || fs::read_to_string("/proc/thread-self/net/dev");
    let text = there.run(read).expect("its namespace").expect("its links");
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("eth0:"));
    let numbers: Vec<u64> = (line.expect("eth0").split_whitespace())
        .map(|n| n.parse().expect("a number"))
        .collect();
    [numbers[0], numbers[8], numbers[1], numbers[9]]
}

/// Datagrams that found no room in a receive buffer of the WMMS's host (`drops`).
fn dropped(there: &Namespace) -> u64 {
    let read = || fs::read_to_string("/proc/thread-self/net/udp6");
    let text = there.run(read).expect("its namespace").expect("sockets");
    let drops = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().last());
    drops.map(|n| n.parse::<u64>().expect("a number")).sum()
}

/// Sends datagrams under sources that are not this host's.
pub struct Flooder {
    socket: Socket,
    rng: Rng,
    /// One of each source, made before the flood; another Message ID each time.
    packets: Vec<Vec<u8>>,
    sent: u64,
    /// What the kernel took.
    accepted: u64,
}

impl Flooder {
    pub fn new(sources: u32) -> Flooder {
        let mut flooder = Flooder {
            socket: raw_socket(),
            rng: Seed(9).rng(&["flood"]),
            packets: Vec::new(),
            sent: 0,
            accepted: 0,
        };
        let to = WMMS.parse().expect("an address");
        flooder.packets = (0..sources)
            .map(|n| packet(source(n), to, &flooder.message()))
            .collect();
        flooder
    }

    /// What anybody may send: procedures about nodes of its own and of others, pings, links, noise.
    fn message(&mut self) -> Vec<u8> {
        let n = self.rng.next_u64();
        let (id, token) = ((n >> 48) as u16, (n >> 16) as u32);
        let [own, other] = [p_addr(1 << 40 | n >> 32), p_addr(n % NODES as u64)];
        match n % 8 {
            0 => Ask::Register(own, t_addr(n)).encode(id, token),
            1 => Ask::Register(other, t_addr(n)).encode(id, token),
            2 => Ask::Bind(other, t_addr(n)).encode(id, token),
            3 => Ask::Deregister(other).encode(id, token),
            4 => Ask::Discover(other).encode(id, token),
            5 => vec![0x40, 0, (id >> 8) as u8, id as u8],
            // GET /.well-known/core, non-confirmable.
            6 => [
                &[0x50, 1, (id >> 8) as u8, id as u8],
                &b"\xbb.well-known\x04core"[..],
            ]
            .concat(),
            _ => n.to_be_bytes().repeat(1 + (n >> 60) as usize),
        }
    }

    /// Sends at the wanted rate, as far as this host can.
    fn run(&mut self, flood: Flood) {
        let began = Instant::now();
        let end = Duration::from_secs_f64(flood.seconds);
        let mut headers = MultiHeaders::preallocate(BATCH, None);
        while began.elapsed() < end {
            let due = (began.elapsed().as_secs_f64() * f64::from(flood.rate)) as u64;
            match self.sent < due {
                true => self.send_batch(&mut headers),
                false => thread::sleep(Duration::from_micros(200)),
            }
        }
    }

    /// Sends one datagram of each source.
    pub fn send_all(&mut self) {
        let mut headers = MultiHeaders::preallocate(BATCH, None);
        while self.sent < self.packets.len() as u64 {
            self.send_batch(&mut headers);
        }
    }

    fn send_batch(&mut self, headers: &mut MultiHeaders<SockaddrIn6>) {
        let to: SockaddrIn6 = format!("[{WMMS}]:0").parse().expect("an address");
        let first = (self.sent % self.packets.len() as u64) as usize;
        let last = (first + BATCH).min(self.packets.len());
        self.packets[first..last]
            .iter_mut()
            .for_each(|packet| number_anew(packet));
        let batch = self.packets[first..last].iter();
        let slices: Vec<_> = batch.map(|packet| [IoSlice::new(packet)]).collect();
        self.sent += slices.len() as u64;
        let addresses = vec![Some(to); slices.len()];
        let flags = MsgFlags::MSG_DONTWAIT;
        // What finds no room is lost.
        let fd = self.socket.as_raw_fd();
        let sent = sendmmsg(fd, headers, &slices, addresses, [], flags);
        self.accepted += sent.map_or(0, |sent| sent.count() as u64);
    }
}

/// One that sends what has an IPv6 header already.
fn raw_socket() -> Socket {
    // IPPROTO_RAW: the header is ours (raw(7)).
    let raw = Protocol::from(nix::libc::IPPROTO_RAW);
    Socket::new(Domain::IPV6, Type::RAW, Some(raw)).expect("a raw socket")
}

/// Sends one message to the WMMS under any source.
pub fn forge(from: Ipv6Addr, message: &[u8]) {
    let to: Ipv6Addr = WMMS.parse().expect("an address");
    let packet = packet(from, to, message);
    let to = std::net::SocketAddrV6::new(to, 0, 0, 0);
    raw_socket().send_to(&packet, &to.into()).expect("send");
}

/// Source `n` of the flood.
fn source(n: u32) -> Ipv6Addr {
    let network = match n.is_multiple_of(CROWDED) {
        true => 0,
        false => u128::from(n) << 64,
    };
    Ipv6Addr::from(FLOOD | network | u128::from(n + 1))
}

/// Gives the CoAP message in a packet the next Message ID.
fn number_anew(packet: &mut [u8]) {
    let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let (checksum, id) = (word(46), word(50));
    let next = id.wrapping_add(1);
    // RFC 1624 §3.
    let mut sum = u32::from(!checksum) + u32::from(!id) + u32::from(next);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    packet[46..48].copy_from_slice(&(!(sum as u16)).max(1).to_be_bytes());
    packet[50..52].copy_from_slice(&next.to_be_bytes());
}

/// A UDP datagram with its IPv6 header (RFC 8200 §3, RFC 768).
fn packet(from: Ipv6Addr, to: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([17, 64]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    for field in [40_000, 5683, length, 0] {
        packet.extend(u16::to_be_bytes(field));
    }
    packet.extend(payload);
    // The addresses, the UDP header and the payload, then the rest of the pseudo-header (§8.1).
    let words = packet[8..].chunks(2).map(|word| {
        let [high, low] = [word[0], word.get(1).copied().unwrap_or(0)];
        u32::from(u16::from_be_bytes([high, low]))
    });
    let mut sum = words.sum::<u32>() + u32::from(length) + 17;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let checksum = !(sum as u16);
    packet[46..48].copy_from_slice(&checksum.max(1).to_be_bytes());
    packet
}

/// The nodes of a WMMS are served beside a flood, which gets no more than three times its bytes back.
pub fn a_flood_from_many_sources_is_no_amplifier_and_leaves_little_behind(state: &Path) {
    let wanted = Flood::wanted();
    let flood = wanted.unwrap_or_else(Flood::cheap);
    let beside = Beside::new();
    beside.join_wmms();
    beside.lead_to(FLOOD.into(), 32);
    let daemon = beside.start(state);
    let mut nodes = Nodes::new(&beside);
    beside.meet();
    let quiet = Duration::from_secs_f64(flood.seconds.min(10.0) / 2.0);
    let calm = |nodes: &mut Nodes| {
        let end = Instant::now() + quiet;
        nodes.go_on(|| Instant::now() >= end)
    };
    let before = calm(&mut nodes);
    let (memory, said, links) = (daemon.resident(), daemon.said(), crossed(&beside.there));
    let over = AtomicBool::new(false);
    let flooder = || Flooder::new(flood.sources);
    let mut flooder = beside.here.run(flooder).expect("its namespace");
    let (during, sent) = thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            flooder.run(flood);
            over.store(true, Ordering::Relaxed);
            flooder.accepted
        });
        let during = nodes.go_on(|| over.load(Ordering::Relaxed));
        (during, flooding.join().expect("the flood"))
    });
    let after = calm(&mut nodes);
    let grown = daemon.resident().saturating_sub(memory);
    let written: Vec<u64> = daemon
        .said()
        .iter()
        .zip(said)
        .map(|(now, then)| now - then)
        .collect();
    let crossed: Vec<u64> = (crossed(&beside.there).iter().zip(links))
        .map(|(now, then)| now - then)
        .collect();
    println!("{} datagrams sent, {flood:?}", sent);
    println!("{}", Noticed::HEADING);
    for (when, noticed) in [("before", &before), ("during", &during), ("after", &after)] {
        println!("{}", noticed.line(when));
    }
    println!(
        "received {} packets, {} bytes; sent {} packets, {} bytes: {:.2} bytes a byte",
        crossed[2],
        crossed[0],
        crossed[3],
        crossed[1],
        crossed[1] as f64 / crossed[0] as f64
    );
    println!(
        "{} datagrams found the receive buffer full",
        dropped(&beside.there)
    );
    println!(
        "memory {memory} bytes and {grown} more; log {} bytes, events {} bytes",
        written[0], written[1]
    );
    assert!(crossed[2] > sent / 2, "the flood has arrived");
    assert!(crossed[1] <= 3 * crossed[0], "three times what came");
    assert!(written.iter().sum::<u64>() <= WRITTEN);
    if wanted.is_none() {
        assert!(grown <= MEMORY);
        assert!(after.waits.len() > NODES, "everybody is served again");
    }
    nodes.are_where_they_say();
}
