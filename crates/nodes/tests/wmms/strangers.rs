//! The WMMS beside strangers: what nobody takes in keeps nobody waiting, and a life of the daemon
//! repeats nothing of another. Its own network namespace, with a link to this one.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6, ToSocketAddrs, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::ChildStdout;
use std::time::{Duration, Instant};

use netlink::{Dad, Links, Namespace, sysctl};

use crate::daemon::{Daemon, runtime};
use crate::flood::forge;
use crate::load::{Ask, p_addr, t_addr};

/// The WMMS on the link, and this end.
pub const WMMS: &str = "2001:db8::4";
const HERE: &str = "2001:db8::1";

/// Longer than an answer takes on a busy machine, and shorter than what was waited for when answers
/// to nobody held up all others: 70 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon and whoever is beside it, in a namespace each.
pub struct Beside {
    pub there: Namespace,
    pub here: Namespace,
}

impl Beside {
    pub fn new() -> Beside {
        let [there, here] = [(); 2].map(|()| Namespace::create().expect("a namespace"));
        Beside { there, here }
    }

    /// Makes a link between the two with these addresses at its ends. From here one may send under any
    /// address.
    pub fn join(&self, here: Ipv6Addr, there: Ipv6Addr) {
        let foreign = || sysctl::write("net.ipv6.ip_nonlocal_bind", 1);
        let allowed = self.here.run(foreign).expect("its namespace");
        allowed.expect("foreign sources");
        let joined = runtime().block_on(join([&self.here, &self.there], [here, there]));
        joined.expect("a link");
    }

    /// [`Beside::join`] at [`HERE`] and [`WMMS`].
    pub fn join_wmms(&self) {
        let [here, there] = [HERE, WMMS].map(|text| text.parse().expect("an address"));
        self.join(here, there);
    }

    /// Pings the WMMS until it answers: the two are neighbours.
    pub fn meet(&self) {
        let socket = self.socket((HERE, 0));
        let connect = || socket.connect((WMMS, 5683));
        let connected = self.here.run(connect).expect("its namespace");
        connected.expect("connect");
        let second = Some(Duration::from_secs(1));
        socket.set_read_timeout(second).expect("timeout");
        let began = Instant::now();
        loop {
            socket.send(&[0x40, 0, 0, 1]).expect("send");
            if socket.recv(&mut [0; 16]).is_ok() {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "nobody is answered");
        }
    }

    /// A socket on this side.
    pub fn socket(&self, address: impl ToSocketAddrs) -> UdpSocket {
        let socket = self.here.run(|| UdpSocket::bind(address));
        socket.expect("its namespace").expect("bind")
    }

    /// Has the WMMS answer a network by way of this end.
    pub fn lead_to(&self, network: Ipv6Addr, length: u8) {
        let via = HERE.parse().expect("an address");
        let to = format!("{network}/{length}").parse().expect("a network");
        let route = async {
            let links = Links::connect(&self.there).await?;
            links.add_route(to, via, links.index("eth0").await?).await
        };
        let added: netlink::Result<()> = runtime().block_on(route);
        added.expect("a route");
    }

    /// Starts the WMMS and waits until it answers.
    pub fn start(&self, state: &Path) -> Daemon {
        self.start_node("wmms", state)
    }

    /// Starts the daemon of a node and waits until it answers.
    pub fn start_node(&self, node: &str, state: &Path) -> Daemon {
        let started = self.there.run(|| {
            let mut daemon = Daemon::of(node, state);
            daemon.ready();
            daemon
        });
        started.expect("a daemon")
    }

    /// As [`Beside::start`], with the events in a pipe.
    pub fn start_unread(&self, state: &Path) -> (Daemon, ChildStdout) {
        let started = self.there.run(|| {
            let (mut daemon, events) = Daemon::start_unread(state);
            daemon.ready();
            (daemon, events)
        });
        started.expect("a daemon")
    }

    /// A socket on the WMMS's own host.
    pub fn local(&self) -> UdpSocket {
        let socket = self.there.run(|| UdpSocket::bind("[::1]:0"));
        let socket = socket.expect("its namespace").expect("bind");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        socket
    }
}

async fn join(sides: [&Namespace; 2], ends: [Ipv6Addr; 2]) -> netlink::Result<()> {
    let mac = |end| [0x02, 0, 0x5e, 0, 0, end];
    let here = Links::connect(sides[0]).await?;
    let there = Links::connect(sides[1]).await?;
    here.add_veth("eth0", "eth0", sides[1], mac(1), mac(2))
        .await?;
    for (links, address) in [(&here, ends[0]), (&there, ends[1])] {
        let index = links.index("eth0").await?;
        links.up(index).await?;
        let address = format!("{address}/64").parse().expect("an address");
        links.add_address(index, address, Dad::Off).await?;
    }
    Ok(())
}

/// 6,000 pings from 60 addresses of the link that nobody has: who is there is answered all the same.
pub fn answers_to_nobody_keep_nobody_waiting(state: &Path) {
    let beside = Beside::new();
    beside.join_wmms();
    let _daemon = beside.start(state);
    for n in 1..=60 {
        let nobody = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0xdead, n);
        let socket = beside.socket((nobody, 7777));
        for id in 0..100_u16 {
            let [high, low] = id.to_be_bytes();
            // What the link does not take is not what this is about.
            let _ = socket.send_to(&[0x40, 0, high, low], (WMMS, 5683));
        }
    }
    beside.meet();
}

nix::ioctl_write_ptr_bad!(
    /// Gives an interface an IPv4 address, of which the mask and the broadcast address are its class's
    /// (netdevice(7)).
    set_address,
    nix::libc::SIOCSIFADDR,
    nix::libc::ifreq
);

fn give_ipv4(address: Ipv4Addr) -> std::io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: all-zero is a valid ifreq, and a valid sockaddr_in, which is as long as a sockaddr.
    let (mut request, mut at): (nix::libc::ifreq, nix::libc::sockaddr_in) =
        unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"eth0") {
        *place = *byte as nix::libc::c_char;
    }
    at.sin_family = nix::libc::AF_INET as u16;
    at.sin_addr.s_addr = u32::from_ne_bytes(address.octets());
    // SAFETY: see above.
    request.ifr_ifru.ifru_addr =
        unsafe { std::mem::transmute::<nix::libc::sockaddr_in, nix::libc::sockaddr>(at) };
    // SAFETY: the descriptor is open, and the request reads an ifreq.
    unsafe { set_address(socket.as_raw_fd(), &request) }?;
    Ok(())
}

/// Somebody asks groups of the host's, which no daemon has joined, and by IPv4 all hosts of the link; a forger
/// would have everybody answer at once. Who is asked alone answers.
pub fn what_is_sent_to_all_is_answered_by_nobody(state: &Path) {
    let beside = Beside::new();
    beside.join_wmms();
    for (namespace, end) in [(&beside.here, 1), (&beside.there, 4)] {
        let given = namespace.run(|| give_ipv4(Ipv4Addr::new(192, 0, 2, end)));
        given.expect("its namespace").expect("an IPv4 address");
    }
    let _daemon = beside.start(state);
    beside.meet();
    // GET /.well-known/core, non-confirmable, with a token of one byte.
    let ask = |token: u8| [&[0x51, 1, 0, token, token], &b"\xbb.well-known\x04core"[..]].concat();
    let answers = |socket: &UdpSocket, last: u8| {
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let tokens = std::iter::from_fn(|| Some(receive(socket)[4]));
        let mut tokens: Vec<u8> = tokens.take_while(|token| *token != last).collect();
        tokens.sort_unstable();
        tokens
    };
    let v6 = beside.socket((HERE, 0));
    let index = beside.here.run(|| nix::net::if_::if_nametoindex("eth0"));
    let index = index.expect("its namespace").expect("eth0");
    for (token, group) in [(1, "ff02::1"), (2, "ff02::fd")] {
        let group = SocketAddrV6::new(group.parse().expect("a group"), 5683, 0, index);
        v6.send_to(&ask(token), group).expect("send");
    }
    v6.send_to(&ask(3), (WMMS, 5683)).expect("send");
    assert!(answers(&v6, 3).is_empty(), "of groups");
    let v4 = beside.socket("192.0.2.1:0");
    v4.set_broadcast(true).expect("an option");
    for (token, all) in [(4, "192.0.2.255"), (5, "255.255.255.255")] {
        // Where there is no way to all, nobody is asked.
        let _ = v4.send_to(&ask(token), (all, 5683));
    }
    v4.send_to(&ask(6), ("192.0.2.4", 5683)).expect("send");
    assert!(answers(&v4, 6).is_empty(), "of broadcasts");
}

/// The WMMS's own host needs no proof, also by IPv4; who sends under its address from the link has none.
pub fn nobody_is_this_host_but_this_host(state: &Path) {
    let beside = Beside::new();
    beside.join_wmms();
    let _daemon = beside.start(state);
    beside.meet();
    let sources = ["::ffff:127.0.0.1", "::ffff:192.0.2.9", "::1"];
    for (n, source) in (0..).zip(sources) {
        let register = Ask::Register(p_addr(n), t_addr(n)).encode(n as u16, n as u32);
        let source = source.parse().expect("an address");
        let forged = beside.here.run(|| forge(source, &register));
        forged.expect("its namespace");
    }
    // What came before this is taken in.
    beside.meet();
    let socket = beside.local();
    for n in 0..sources.len() as u64 {
        let discover = Ask::Discover(p_addr(n)).encode(n as u16, n as u32);
        socket.send_to(&discover, "[::1]:5683").expect("send");
        assert_eq!(receive(&socket)[1], 0x84, "4.04: {}", sources[n as usize]);
    }
    let own = beside.there.run(|| UdpSocket::bind("127.0.0.1:0"));
    let own = own.expect("its namespace").expect("bind");
    own.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let register = Ask::Register(p_addr(9), t_addr(9)).encode(9, 9);
    own.send_to(&register, "127.0.0.1:5683").expect("send");
    assert_eq!(receive(&own)[1], 0x41, "2.01");
}

/// A CoMP request, unnumbered, and what it is answered with first.
fn ask(socket: &UdpSocket, id: u8, method: u8, kind: u8, options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut message = vec![0x40, method, 0, id];
    message.extend(b"\xb4comp");
    // 2048 is 2037 above 11: 269 and 1768.
    message.extend([0xe1, 0x06, 0xe8, kind]);
    for (delta, value) in options {
        match value.len() {
            length @ 0..13 => message.push(delta << 4 | length as u8),
            length => message.extend([delta << 4 | 13, length as u8 - 13]),
        }
        message.extend(*value);
    }
    socket.send_to(&message, "[::1]:5683").expect("send");
    receive(socket)
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = [0; 2048];
    let length = socket.recv(&mut bytes).expect("a message");
    bytes[..length].to_vec()
}

/// How many lives a daemon has.
pub fn lives() -> u16 {
    std::env::var("WPANLAB_LIVES").map_or(10, |lives| {
        lives.parse().expect("WPANLAB_LIVES is a number")
    })
}

/// Message IDs and tokens of what the WMMS sends by itself, in all its lives.
pub fn no_life_repeats_a_message_id_or_token_of_another(state: &Path) {
    let beside = Beside::new();
    let p = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5).octets();
    let mut said = Vec::new();
    for life in 0..lives() {
        let _daemon = beside.start(state);
        let (node, client) = (beside.local(), beside.local());
        let lifetime = [0xff, 0xff];
        for (id, t) in [(1, 7), (2, 8), (3, 9)] {
            let t = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, life, 0, t).octets();
            let to_register = [(1, &p[..]), (1, &t[..]), (1, &lifetime[..])];
            assert_eq!(ask(&node, id, 2, 2, &to_register)[1], 0x41, "2.01");
            if id == 1 {
                let found = ask(&client, 1, 1, 0, &[(1, &p[..])]);
                assert_eq!(found[1], 0x45, "2.05");
                continue;
            }
            // Whoever discovered the node hears of every move.
            let told = receive(&client);
            assert_eq!(told[0] & 0x0f, 8, "bytes of the token");
            client
                .send_to(&[0x60, 0, told[2], told[3]], "[::1]:5683")
                .expect("send");
            said.push((told[2..4].to_vec(), told[4..12].to_vec()));
        }
    }
    let tokens: std::collections::BTreeSet<_> = said.iter().map(|(_, token)| token).collect();
    assert_eq!(tokens.len(), said.len(), "{said:?}");
    assert_eq!(said.len(), 2 * usize::from(lives()));
}
