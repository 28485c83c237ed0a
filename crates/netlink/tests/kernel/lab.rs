//! Nodes and datagrams for the tests.

use std::future::Future;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use ipnet::Ipv6Net;
use netlink::{
    Dad, Hwsim, Links, Namespace, Nl802154, PhyIndex, RadioId, create_radio_with_phy, sysctl,
};
use units::{Channel, Eui64, PanId};

pub const PAN: PanId = PanId(0xabcd);
const PORT: u16 = 5683;

/// Runs a test on a current-thread runtime, as the daemons do.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(test)
}

pub fn channel(number: u8) -> Channel {
    Channel::try_from(number).unwrap()
}

pub fn net(text: &str) -> Ipv6Net {
    text.parse().unwrap()
}

/// A namespace with a radio in it and a 6LoWPAN link, up.
pub struct Node {
    pub namespace: Namespace,
    pub links: Links,
    pub nl802154: Nl802154,
    pub radio: RadioId,
    pub phy: PhyIndex,
    pub wpan: u32,
    pub lowpan: u32,
    pub eui64: Eui64,
}

impl Node {
    /// Node `number`, with a link-local address that needs no detection.
    pub async fn new(hwsim: &Hwsim, number: u8) -> Node {
        let here = Namespace::current().unwrap();
        let host = Nl802154::connect(&here).await.unwrap();
        let made = create_radio_with_phy(hwsim, &host, |_| {}).await.unwrap();
        let namespace = Namespace::create().unwrap();
        host.move_phy(made.phy, &namespace).await.unwrap();
        let nl802154 = Nl802154::connect(&namespace).await.unwrap();
        let links = Links::connect(&namespace).await.unwrap();
        let wpan = nl802154.interface_of(made.phy).await.unwrap().ifindex;
        let eui64 = Eui64([0x02, 0, 0x5e, 0, 0, 0, 0, number]);
        links.set_address(wpan, &eui64.0).await.unwrap();
        nl802154.set_pan_id(wpan, PAN).await.unwrap();
        nl802154.set_channel(made.phy, channel(11)).await.unwrap();
        let lowpan = links.add_lowpan("lowpan0", wpan).await.unwrap();
        let quiet = || sysctl::write("net.ipv6.conf.lowpan0.addr_gen_mode", 1);
        namespace.run(quiet).unwrap().unwrap();
        links.up(wpan).await.unwrap();
        links.up(lowpan).await.unwrap();
        let address = Ipv6Net::new(eui64.link_local(), 64).unwrap();
        links.add_address(lowpan, address, Dad::Off).await.unwrap();
        Node {
            namespace,
            links,
            nl802154,
            radio: made.radio,
            phy: made.phy,
            wpan,
            lowpan,
            eui64,
        }
    }

    /// Its link-local address, to be bound to or to be sent to from `from`'s side.
    pub fn socket_address(&self, from: &Node) -> SocketAddrV6 {
        SocketAddrV6::new(self.eui64.link_local(), PORT, 0, from.lowpan)
    }

    pub fn socket(&self) -> UdpSocket {
        socket(&self.namespace, self.socket_address(self))
    }

    /// Whether a datagram gets to `other` and back.
    pub fn reaches(&self, other: &Node) -> bool {
        let (ours, theirs) = (self.socket(), other.socket());
        exchange(&ours, &theirs, other.socket_address(self)).is_some()
    }
}

pub async fn join(hwsim: &Hwsim, a: &Node, b: &Node) {
    hwsim.add_edge(a.radio, b.radio).await.unwrap();
    hwsim.add_edge(b.radio, a.radio).await.unwrap();
}

/// Longer than the 3 s in which the kernel gives up on a silent neighbour (RFC 4861 §10:
/// three solicitations, 1 s apart): what is sent before that is queued and then dropped.
const SILENCE: Duration = Duration::from_secs(5);

/// A UDP socket that was made in `namespace`.
pub fn socket(namespace: &Namespace, address: SocketAddrV6) -> UdpSocket {
    let socket = namespace.run(|| UdpSocket::bind(address)).unwrap().unwrap();
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    socket
}

pub fn global(address: Ipv6Addr) -> SocketAddrV6 {
    SocketAddrV6::new(address, PORT, 0, 0)
}

/// Sends a datagram to `to` (the address of `theirs`) and back, and returns the time by the
/// kernel's monotonic clock; `None` if either does not arrive.
pub fn exchange(ours: &UdpSocket, theirs: &UdpSocket, to: SocketAddrV6) -> Option<Duration> {
    let started = Instant::now();
    ours.send_to(b"there", to).unwrap();
    let mut buffer = [0; 64];
    let (length, from) = received(theirs.recv_from(&mut buffer))?;
    assert_eq!(&buffer[..length], b"there");
    theirs.send_to(b"back", from).unwrap();
    let (length, _) = received(ours.recv_from(&mut buffer))?;
    assert_eq!(&buffer[..length], b"back");
    Some(started.elapsed())
}

fn received<T>(result: std::io::Result<T>) -> Option<T> {
    match result {
        Ok(received) => Some(received),
        // A read that timed out, or the neighbour's silence reported by ICMPv6.
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::HostUnreachable) => None,
        Err(e) => panic!("receive: {e}"),
    }
}
