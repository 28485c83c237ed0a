//! UDP datagrams in batches: one system call receives or sends many, and none waits.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Instant;

use machine::Transmit;
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce, SndBuf, SndBufForce};
use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrIn6, getsockopt, sendmmsg, sendto, setsockopt,
};
use socket2::{Domain, Protocol, SockFilter, SockRef, Type};

use crate::batch::Slots;
use crate::error::OpenError;
use crate::room::Room;
use crate::socket::{BATCH, Received, Socket};

/// Slots that are offered where few datagrams come.
const FEW: usize = 2;

/// The longest UDP payload, and then some: no datagram is cut off. No power of two, or all slots
/// would begin in the same few lines of the processor's caches.
const SLOT_BYTES: usize = (1 << 16) + 192;

/// Bytes of datagrams that may wait for neighbour discovery, as the kernel counts them: 768 for a
/// short one, of twice this. As many as 1,024 neighbours, which Linux has at most (`gc_thresh3`), can
/// have wait at 8 datagrams each, and a quarter more.
const SEND_BUFFER: usize = 4 << 20;

/// Bytes of datagrams that may wait to be received, as the kernel counts them, of twice this: some ten thousand
/// short ones, a tenth of a second of a flood of 10^5 a second. They take memory only while they wait.
pub const RECEIVE_BUFFER: usize = 4 << 20;

/// Lets everything through but IPv4 that the link took for a broadcast, and IPv6 under an IPv4-mapped source
/// (`linux/filter.h`; RFC 791 §3.1, RFC 8200 §3). A packet that has no such fields does not come through.
const FILTER: [SockFilter; 13] = {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_WORD: u16 = 0x20;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const NETWORK_HEADER: u32 = 0xfff0_0000;
    const SOURCE: u32 = NETWORK_HEADER + 8;
    const PACKET_TYPE: u32 = 0xffff_f004;
    const PACKET_BROADCAST: u32 = 1;
    const VERSION_4: u32 = 0x40;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, NETWORK_HEADER),
        SockFilter::new(AND, 0, 0, 0xf0),
        SockFilter::new(JUMP_IF_EQUAL, 0, 2, VERSION_4),
        SockFilter::new(LOAD_BYTE, 0, 0, PACKET_TYPE),
        SockFilter::new(JUMP_IF_EQUAL, 7, 6, PACKET_BROADCAST),
        SockFilter::new(LOAD_WORD, 0, 0, SOURCE),
        SockFilter::new(JUMP_IF_EQUAL, 0, 4, 0),
        SockFilter::new(LOAD_WORD, 0, 0, SOURCE + 4),
        SockFilter::new(JUMP_IF_EQUAL, 0, 2, 0),
        SockFilter::new(LOAD_WORD, 0, 0, SOURCE + 8),
        SockFilter::new(JUMP_IF_EQUAL, 1, 0, 0xffff),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
};

nix::ioctl_read_bad!(
    /// Bytes in the send buffer (udp(7), SIOCOUTQ).
    outq,
    nix::libc::TIOCOUTQ,
    nix::libc::c_int
);

/// A UDP socket that does not block. It takes what comes to the host and to the groups that it has
/// joined itself, of which a new one has none: what comes to a group of the host, such as ff02::1,
/// is for nobody here (RFC 7252 §8 has a server join).
#[derive(Debug)]
pub struct Udp {
    socket: std::net::UdpSocket,
    room: Room,
    /// Bytes of the send buffer.
    send_buffer: usize,
    slots: Slots<SockaddrIn6>,
    /// Slots that the next call offers.
    offered: usize,
}

impl Udp {
    /// A socket on `[::]:port`, bound to `interface` if one is named. It takes IPv4 too, as
    /// IPv4-mapped addresses.
    ///
    /// # Errors
    /// When the port is taken or the interface does not exist.
    pub fn open(port: u16, interface: Option<&str>) -> Result<Udp, OpenError> {
        let on = interface.map_or_else(String::new, |interface| format!(" on {interface}"));
        Udp::open_socket(port, interface).map_err(OpenError::of(format!("UDP port {port}{on}")))
    }

    fn open_socket(port: u16, interface: Option<&str>) -> io::Result<Udp> {
        let socket = socket2::Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_only_v6(false)?;
        if let Some(interface) = interface {
            socket.bind_device(Some(interface.as_bytes()))?;
            socket.set_multicast_if_v6(nix::net::if_::if_nametoindex(interface)?)?;
        }
        let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0);
        socket.bind(&any.into())?;
        Udp::from_socket(socket.into())
    }

    /// Binds a socket; `[::]` takes IPv4 too, as IPv4-mapped addresses.
    ///
    /// # Errors
    /// When the address is taken or not this host's.
    pub fn bind(address: SocketAddrV6) -> Result<Udp, OpenError> {
        let socket = std::net::UdpSocket::bind(address).and_then(Udp::from_socket);
        socket.map_err(OpenError::of(format!("bind UDP {address}")))
    }

    /// Takes a bound IPv6 socket, for example one made in another network namespace.
    ///
    /// # Errors
    /// When it cannot be kept from blocking, or has no such options.
    pub fn from_socket(socket: std::net::UdpSocket) -> io::Result<Udp> {
        socket.set_nonblocking(true)?;
        SockRef::from(&socket).set_multicast_all_v6(false)?;
        // Without CAP_NET_ADMIN it is as much as `net.core.wmem_max` and `rmem_max` allow.
        setsockopt(&socket, SndBufForce, &SEND_BUFFER)
            .or_else(|_| setsockopt(&socket, SndBuf, &SEND_BUFFER))?;
        setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER)
            .or_else(|_| setsockopt(&socket, RcvBuf, &RECEIVE_BUFFER))?;
        Ok(Udp {
            send_buffer: getsockopt(&socket, SndBuf)?,
            room: Room::default(),
            socket,
            slots: Slots::new(BATCH, SLOT_BYTES, None),
            offered: FEW,
        })
    }

    /// The same socket, among strangers: it takes no IPv4 broadcast, and no IPv6 packet under an IPv4-mapped source.
    ///
    /// Whoever forges a source would have all hosts of a link answer there at once; what is for all
    /// a server is to have joined (RFC 7252 §8), and nobody joins this one. And a socket that takes IPv4, too, cannot
    /// tell `::ffff:127.0.0.1` in an IPv6 header, which any link lets through, from its own host.
    ///
    /// # Errors
    /// When the kernel takes no filter.
    pub fn among_strangers(self) -> io::Result<Udp> {
        SockRef::from(&self.socket).attach_filter(&FILTER)?;
        Ok(self)
    }

    /// The socket itself, for its options.
    pub fn get_ref(&self) -> &std::net::UdpSocket {
        &self.socket
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// Those of `getsockname`.
    pub fn local_addr(&self) -> io::Result<SocketAddrV6> {
        self.socket.local_addr().map(|address| match address {
            SocketAddr::V6(address) => address,
            SocketAddr::V4(address) => {
                SocketAddrV6::new(address.ip().to_ipv6_mapped(), address.port(), 0, 0)
            }
        })
    }
}

impl AsRawFd for Udp {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Socket for Udp {
    type From = SocketAddrV6;
    type To = SocketAddrV6;

    fn source(from: &SocketAddrV6) -> Ipv6Addr {
        *from.ip()
    }

    /// At most a batch of datagrams, and twice as many as the last time.
    fn receive(&mut self, mut take: impl FnMut(SocketAddrV6, &[u8])) -> io::Result<Received> {
        let (offered, flags) = (self.offered, MsgFlags::MSG_DONTWAIT);
        let slots = &mut self.slots;
        let count = slots.receive(self.socket.as_fd(), offered, flags, |datagram, payload| {
            // An IPv6 socket has no other addresses: IPv4 is mapped.
            if let Some(from) = datagram.address {
                take(from.into(), payload);
            }
        })?;
        self.offered = (2 * count).clamp(FEW, BATCH);
        Ok(Received {
            count,
            more: count == offered,
        })
    }

    fn admits(&mut self, to: &SocketAddrV6) -> bool {
        self.room.admits(Instant::now(), *to.ip())
    }

    fn send(&mut self, datagrams: &VecDeque<Transmit>) -> io::Result<usize> {
        let sent = self.send_batch(datagrams);
        if self.room.is_curious() {
            let used = self.waiting().unwrap_or(0);
            self.room.look(Instant::now(), used, self.send_buffer);
        }
        sent
    }
}

impl Udp {
    /// Bytes in the send buffer.
    fn waiting(&self) -> io::Result<usize> {
        let mut bytes = 0;
        // SAFETY: the descriptor is open, and the request writes an int.
        unsafe { outq(self.socket.as_raw_fd(), &mut bytes) }?;
        Ok(usize::try_from(bytes).unwrap_or(0))
    }

    fn send_batch(&self, datagrams: &VecDeque<Transmit>) -> io::Result<usize> {
        let fd = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        if let [Some(one), None] = [datagrams.front(), datagrams.get(1)] {
            // What it takes to send many is more than what it takes to send.
            sendto(fd, &one.payload, &SockaddrIn6::from(one.to), flags)?;
            return Ok(1);
        }
        let first = || datagrams.iter().take(BATCH);
        let payloads: Vec<_> = first().map(|d| [IoSlice::new(&d.payload)]).collect();
        let addresses: Vec<_> = first().map(|d| Some(SockaddrIn6::from(d.to))).collect();
        let mut headers = MultiHeaders::preallocate(payloads.len(), None);
        let sent = sendmmsg(fd, &mut headers, &payloads, addresses, [], flags)?;
        Ok(sent.count())
    }
}
