//! The WMMS beside libcoap's server: `cargo bench -p nodes --bench wmms`.
//!
//! One generator, one machine, one run, on loopback in a network namespace of its own; the WMMS
//! writes to its store (in `TMPDIR`), libcoap's server to memory: once with a socket of the same
//! room for datagrams as the WMMS's, and once as it comes.
//! Prints requests per second, the servers' processor time, their ratio, memory per entry and the
//! time until a killed WMMS answers again.
//! `WPANLAB_ENTRIES=1000000` sets how many entries the table gets.

#[path = "../tests/wmms/daemon.rs"]
mod daemon;
#[allow(dead_code, reason = "the test uses the rest")]
#[path = "../tests/wmms/load.rs"]
mod load;

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use daemon::{Daemon, SERVER};
use load::{Ask, Load, p_addr, t_addr};
use netlink::{Links, Namespace, sysctl};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

const PEERS: usize = 16;
/// Requests that a peer has in flight.
const WINDOWS: [usize; 2] = [16, 64];
/// Requests per measurement, measurements per server: they take turns.
const REQUESTS: u64 = 200_000;
const ROUNDS: usize = 5;
/// Nodes of the throughput measurements.
const NODES: u64 = 10_000;
/// Where the nodes of the memory measurement are.
const NODES_NETWORK: &str = "2001:db9::/32";
/// Where libcoap's servers listen: with room for datagrams, and as it comes.
const LIBCOAP: [&str; 2] = ["[::1]:5700", "[::1]:5701"];
/// Bytes of a PUT at libcoap's server: with it, the datagram is as long as a binding update.
const PUT_BYTES: usize = 34;

fn main() {
    daemon::be_daemon();
    daemon::isolate();
    let directory = tempfile::tempdir().expect("a directory");
    throughput(directory.path());
    for entry in fs::read_dir(directory.path()).expect("the directory") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "redb") {
            fs::remove_file(path).expect("remove the store");
        }
    }
    let entries = std::env::var("WPANLAB_ENTRIES").map_or(1_000_000, |entries| {
        entries.parse().expect("WPANLAB_ENTRIES is a number")
    });
    memory(directory.path(), entries);
}

/// libcoap's server; dropped, it is killed.
struct Libcoap(Child);

impl Libcoap {
    fn start(address: &str) -> Libcoap {
        let port = address.rsplit(':').next().expect("a port");
        let mut child = Command::new("coap-server-notls")
            .args(["-A", "::1", "-p", port])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("coap-server-notls: install libcoap3-bin");
        daemon::wait_until_ready(address, &mut child).expect("libcoap's server runs");
        Libcoap(child)
    }

    fn with_room(address: &str) -> Libcoap {
        let libcoap = Libcoap::start(address);
        make_room(&libcoap.0).expect("give libcoap's sockets room");
        libcoap
    }
}

/// Gives the sockets of a server as much room for datagrams as the WMMS gives its own: otherwise
/// libcoap's loses some, and the generator waits for ACK_TIMEOUT.
fn make_room(server: &Child) -> std::io::Result<()> {
    let pid = Pid::from_child(server);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    for entry in fs::read_dir(format!("/proc/{}/fd", server.id()))? {
        let path = entry?.path();
        if !fs::read_link(&path)?
            .to_string_lossy()
            .starts_with("socket:")
        {
            continue;
        }
        let number = path.file_name().and_then(|n| n.to_str()?.parse().ok());
        let number = number.expect("a descriptor's number");
        let socket = pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty())?;
        setsockopt(&socket, RcvBufForce, &driver::udp::RECEIVE_BUFFER)?;
    }
    Ok(())
}

impl Drop for Libcoap {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is measured, in the order of the columns.
const KINDS: [&str; 4] = [
    "registrations",
    "binding updates",
    "libcoap PUT",
    "as it comes",
];

fn throughput(directory: &Path) {
    let mut wmms = Daemon::start(directory);
    wmms.ready();
    let libcoap = [Libcoap::with_room(LIBCOAP[0]), Libcoap::start(LIBCOAP[1])];
    let put = Ask::PutExample(PUT_BYTES);
    let lengths = [Ask::Bind(p_addr(0), t_addr(0)), put].map(|ask| ask.encode(0, 0).len());
    println!(
        "{REQUESTS} requests a figure; a binding update has {} bytes, a PUT {}",
        lengths[0], lengths[1]
    );
    for window in WINDOWS {
        println!("{PEERS} peers, window {window} each; requests/s (processor time of each)");
        compare(window, &wmms, &libcoap);
    }
}

/// Lets both servers work in turns.
fn compare(window: usize, wmms: &Daemon, libcoap: &[Libcoap; 2]) {
    let any: SocketAddr = "[::1]:0".parse().expect("an address");
    let server = |address: &str| address.parse().expect("an address");
    let mut ours = Load::new(any, server(SERVER), PEERS, window);
    let [mut roomy, mut plain] =
        LIBCOAP.map(|address| Load::new(any, server(address), PEERS, window));
    let put = Ask::PutExample(PUT_BYTES);
    let wmms_cpu = || wmms.cpu();
    let libcoap_cpu = |n: usize| move || daemon::cpu(libcoap[n].0.id());
    let mut sums = [(0.0, 0.0); KINDS.len()];
    for round in 0..ROUNDS as u64 {
        let t = |n: u64| t_addr(round * REQUESTS + n);
        let figures = [
            measure(&mut ours, &wmms_cpu, &mut |n| {
                Ask::Register(p_addr(n % NODES), t(n))
            }),
            measure(&mut ours, &wmms_cpu, &mut |n| {
                Ask::Bind(p_addr(n % NODES), t(n + 1))
            }),
            measure(&mut roomy, &libcoap_cpu(0), &mut |_| put),
            measure(&mut plain, &libcoap_cpu(1), &mut |_| put),
        ];
        for (sum, figure) in sums.iter_mut().zip(figures) {
            *sum = (sum.0 + figure.0, sum.1 + figure.1);
        }
        print_line(&format!("turn {}", round + 1), figures);
    }
    let rounds = ROUNDS as f64;
    print_line("mean", sums.map(|sum| (sum.0 / rounds, sum.1 / rounds)));
    for (name, server, load) in [("libcoap", 2, &roomy), ("libcoap as it comes", 3, &plain)] {
        println!(
            "ratio to {name}: registrations {:.2}, binding updates {:.2}; sent again: {} and {}",
            sums[0].0 / sums[server].0,
            sums[1].0 / sums[server].0,
            ours.resent,
            load.resent
        );
    }
}

/// Requests per second, and the server's microseconds of processor time for each.
fn measure(
    load: &mut Load,
    cpu: &dyn Fn() -> Duration,
    ask: &mut dyn FnMut(u64) -> Ask,
) -> (f64, f64) {
    let before = cpu();
    let took = load.run(REQUESTS, ask);
    let requests = REQUESTS as f64;
    let micros = (cpu() - before).as_secs_f64() * 1e6;
    (requests / took.as_secs_f64(), micros / requests)
}

fn print_line(name: &str, figures: [(f64, f64); KINDS.len()]) {
    print!("{name:8}");
    for (kind, (rate, micros)) in KINDS.iter().zip(figures) {
        print!(" {kind} {rate:7.0}/s ({micros:.1} us)");
    }
    println!();
}

/// Every node registers from an address of its own, as nodes do, and one client in ten thousand
/// nodes discovers them all: an entry has a source and a correspondent.
fn memory(directory: &Path, entries: u64) {
    let mut wmms = Daemon::start(directory);
    wmms.ready();
    let empty = wmms.resident();
    let began = Instant::now();
    let here: netlink::Result<()> = daemon::runtime().block_on(be_at_all_of(NODES_NETWORK));
    here.expect("a local route");
    let server: SocketAddr = SERVER.parse().expect("an address");
    const GROUP: u64 = 512;
    for first in (0..entries).step_by(GROUP as usize) {
        register_group(server, first..(first + GROUP).min(entries));
    }
    let took = began.elapsed();
    let registered = wmms.resident();
    report("an entry", entries, registered - empty, registered);
    println!("{entries} nodes registered in {:.1} s", took.as_secs_f64());
    discover_all(entries);
    let discovered = wmms.resident();
    let what = "an entry with a correspondent";
    report(what, entries, discovered - empty, discovered);
    let file = fs::metadata(directory.join("wmms.redb")).expect("the store");
    println!("the store's file: {} bytes per entry", file.len() / entries);
    wmms.kill();
    let began = Instant::now();
    let mut wmms = Daemon::start(directory);
    wmms.ready();
    println!(
        "recovery after kill -9 with {entries} entries: {:.2} s until it answers",
        began.elapsed().as_secs_f64()
    );
    let recovered = wmms.resident();
    report("recovered, an entry", entries, recovered - empty, recovered);
    discover_all(entries);
    println!("all {entries} entries are there");
}

/// Has this namespace be at every address of a network.
async fn be_at_all_of(network: &str) -> netlink::Result<()> {
    sysctl::write("net.ipv6.ip_nonlocal_bind", 1)?;
    let links = Links::connect(&Namespace::current()?).await?;
    let network = network.parse().expect("a network");
    links
        .add_local_route(network, links.index("lo").await?)
        .await
}

fn discover_all(entries: u64) {
    let client = "[::1]:0".parse().expect("an address");
    let server = SERVER.parse().expect("an address");
    let mut load = Load::new(client, server, PEERS, WINDOWS[0]);
    load.run(entries, &mut |n| Ask::Discover(p_addr(n)));
}

fn report(what: &str, entries: u64, more: u64, resident: u64) {
    println!(
        "{what}: {:.0} bytes; the whole daemon: {:.0} bytes per entry, {} MiB resident",
        more as f64 / entries as f64,
        resident as f64 / entries as f64,
        resident >> 20
    );
}

/// Registers nodes, each from a socket of its own, in a network (/64) of its own.
fn register_group(server: SocketAddr, nodes: std::ops::Range<u64>) {
    let sockets: Vec<UdpSocket> = nodes
        .map(|n| {
            let source = Ipv6Addr::from(0x2001_0db9_u128 << 96 | u128::from(n) << 64 | 1);
            let socket = UdpSocket::bind((source, 0)).expect("bind");
            socket.connect(server).expect("connect");
            let wait = Some(Duration::from_secs(2));
            socket.set_read_timeout(wait).expect("timeout");
            let ask = Ask::Register(p_addr(n), source);
            let datagram = ask.encode(n as u16, n as u32);
            let _ = socket.send(&datagram);
            socket
        })
        .collect();
    for socket in sockets {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).expect("an answer");
        assert_eq!(buffer[1], 0x41, "2.01, not {:02x?}", &buffer[..length]);
    }
}
