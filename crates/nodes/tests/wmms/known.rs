//! Who is known to a WMMS is heard before strangers who were there first, and those who are not heard are told of.

use std::fs;
use std::net::Ipv6Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use driver::udp::RECEIVE_BUFFER;
use driver::{Buffers, PacketSocket};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use units::SimTime;

use crate::daemon::{PATIENCE, SERVER};
use crate::flood::{FLOOD, Flooder};
use crate::load::{Ask, Load, p_addr, t_addr};
use crate::strangers::Beside;

/// Nodes of the WMMS, on its own host.
const NODES: usize = 16;
/// Datagrams of strangers that wait when those of the nodes come: as many as the receive buffer holds,
/// and more than the daemon keeps.
const STRANGERS: u32 = 8000;
/// What strangers may be answered before the nodes are: those whom the daemon takes in before it knows
/// that there are so many, and some.
const BEFORE: usize = 2000;

/// What leaves by a link of the WMMS's.
struct Watched {
    socket: PacketSocket,
    buffers: Buffers,
}

impl Watched {
    fn new(beside: &Beside, interface: &str) -> Watched {
        let open = || PacketSocket::of_interface(interface, false);
        let socket = beside.there.run(open).expect("its namespace");
        Watched {
            socket: socket.expect("a packet socket"),
            buffers: Buffers::new(64, 256),
        }
    }

    /// When the CoAP server's answers left.
    fn answers(&mut self) -> Vec<SimTime> {
        let mut answers = Vec::new();
        let taken = self.socket.receive(&mut self.buffers, |packet, bytes| {
            // UDP from port 5683.
            if bytes.len() >= 48 && bytes[6] == 17 && bytes[40..42] == 5683_u16.to_be_bytes() {
                answers.push(packet.at);
            }
            Ok::<_, Errno>(())
        });
        taken.expect("packets");
        answers
    }
}

fn answer(load: &mut Load, expected: usize) {
    let began = Instant::now();
    let mut answered = 0;
    while answered < expected {
        assert!(began.elapsed() < PATIENCE, "{answered} answers");
        load.receive(Duration::from_millis(100), &mut |_, message| {
            assert_eq!(message[1] >> 5, 2, "refused: {message:02x?}");
            answered += 1;
        });
    }
}

/// Nothing depends on how long anything takes: the daemon stands still until all have asked, and what
/// counts is in which order it answers.
pub fn whom_the_wmms_knows_it_hears_before_a_flood_that_was_there_first(state: &Path) {
    let any: std::net::SocketAddr = "[::1]:0".parse().expect("an address");
    let probe = std::net::UdpSocket::bind(any).expect("bind");
    if setsockopt(&probe, RcvBufForce, &RECEIVE_BUFFER).is_err() {
        println!("not root: no receive buffer holds so many datagrams");
        return;
    }
    let beside = Beside::new();
    beside.join_wmms();
    beside.lead_to(Ipv6Addr::from(FLOOD), 32);
    let daemon = beside.start(state);
    let server = SERVER.parse().expect("an address");
    let load = || Load::new(any, server, NODES, 1);
    let mut load = beside.there.run(load).expect("its namespace");
    load.run(NODES as u64, &mut |n| Ask::Register(p_addr(n), t_addr(n)));
    beside.meet();
    let flooder = || Flooder::new(STRANGERS);
    let mut flooder = beside.here.run(flooder).expect("its namespace");
    let [mut own, mut link] = ["lo", "eth0"].map(|interface| Watched::new(&beside, interface));

    daemon.stand_still();
    flooder.send_all();
    for slot in 0..NODES {
        load.send(slot, Ask::Bind(p_addr(slot as u64), t_addr(99)));
    }
    load.flush();
    daemon.go_on();
    answer(&mut load, NODES);

    let last = own.answers().into_iter().max().expect("answers");
    let answered = link.answers();
    let before = answered.iter().filter(|at| **at < last).count();
    assert!(before < BEFORE, "{before} strangers were answered before");
    // Until nobody waits any more.
    beside.meet();
    let told = fs::read_to_string(state.join("events")).expect("events");
    assert!(told.contains(r#""event":"passed_over""#), "{told}");
}
