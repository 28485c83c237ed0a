//! A raw ICMPv6 socket on one interface, for router discovery.

use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt, sockopt::Ipv6RecvHopLimit,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

/// An ICMPv6 message as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// Who sent it.
    pub source: Ipv6Addr,
    /// Hop limit on arrival.
    pub hop_limit: u8,
    /// The message, from its type on; the kernel has checked the checksum.
    pub message: Vec<u8>,
}

/// A raw ICMPv6 socket bound to one interface.
#[derive(Debug)]
pub struct Icmpv6Socket {
    socket: AsyncFd<Socket>,
    interface: String,
    ifindex: u32,
}

impl Icmpv6Socket {
    /// A socket on `interface`, a member of `groups`, that receives messages of type `accept` only.
    ///
    /// # Errors
    /// When the socket cannot be made (`CAP_NET_RAW`) or the interface does not exist.
    pub fn open(interface: &str, groups: &[Ipv6Addr], accept: u8) -> Result<Icmpv6Socket> {
        let what = || format!("{interface}: ICMPv6 socket");
        let ifindex = nix::net::if_::if_nametoindex(interface).with_context(what)?;
        let socket =
            Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)).with_context(what)?;
        socket
            .bind_device(Some(interface.as_bytes()))
            .with_context(what)?;
        socket
            .set_multicast_hops_v6(u32::from(nd::HOP_LIMIT))
            .with_context(what)?;
        socket
            .set_unicast_hops_v6(u32::from(nd::HOP_LIMIT))
            .with_context(what)?;
        socket.set_multicast_if_v6(ifindex).with_context(what)?;
        socket.set_multicast_loop_v6(false).with_context(what)?;
        setsockopt(&socket, Ipv6RecvHopLimit, &true).with_context(what)?;
        for group in groups {
            socket
                .join_multicast_v6(group, ifindex)
                .with_context(what)?;
        }
        accept_only(&socket, accept).with_context(what)?;
        socket.set_nonblocking(true).with_context(what)?;
        // SAFETY: the descriptor is the socket's own; it is open and the same until both go.
        let socket = unsafe { AsyncFd::register(socket) }.with_context(what)?;
        Ok(Icmpv6Socket {
            socket,
            interface: interface.to_owned(),
            ifindex,
        })
    }

    /// Sends `message` (type, code, checksum 0, body; the kernel computes the checksum). A
    /// message that the network cannot take now is lost, as on any wire.
    pub fn send(&self, to: Ipv6Addr, message: &[u8]) {
        let scope = if to.is_unicast_link_local() || to.is_multicast() {
            self.ifindex
        } else {
            0
        };
        let to = SocketAddrV6::new(to, 0, 0, scope);
        if let Err(error) = self.socket.get_ref().send_to(message, &to.into()) {
            tracing::debug!(interface = %self.interface, %to, %error, "ICMPv6 message lost");
        }
    }

    /// Forgets the messages that have arrived: they came over a link that was left.
    pub fn discard(&self) {
        while receive(self.socket.get_ref()).is_ok() {}
    }

    /// The next message. Cancel-safe.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn receive(&self) -> Result<Received> {
        loop {
            let mut guard = self.socket.readable().await?;
            match guard.try_io(|socket| receive(socket.get_ref())) {
                Ok(received) => {
                    return received.with_context(|| format!("{}: receive", self.interface));
                }
                Err(_would_block) => {}
            }
        }
    }
}

fn receive(socket: &Socket) -> io::Result<Received> {
    let mut message = vec![0; 1500];
    let mut control = cmsg_space!(i32);
    let mut parts = [IoSliceMut::new(&mut message)];
    let got = recvmsg::<SockaddrIn6>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::empty(),
    )?;
    let hop_limit = got.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv6HopLimit(limit) => u8::try_from(limit).ok(),
        _ => None,
    });
    let (source, length) = (got.address, got.bytes);
    let missing = |what| io::Error::other(format!("ICMPv6 message without its {what}"));
    message.truncate(length);
    Ok(Received {
        source: source.ok_or_else(|| missing("source"))?.ip(),
        hop_limit: hop_limit.ok_or_else(|| missing("hop limit"))?,
        message,
    })
}

/// Passes one ICMPv6 type to the socket (`ICMP6_FILTER`, RFC 3542 §3.2): a set bit blocks.
fn accept_only(socket: &Socket, accept: u8) -> io::Result<()> {
    let mut filter = [u32::MAX; 8];
    filter[usize::from(accept >> 5)] &= !(1 << (accept & 31));
    // SAFETY: the option takes a 32-byte bit field, which `filter` is; the descriptor is open.
    let result = unsafe {
        nix::libc::setsockopt(
            socket.as_raw_fd(),
            nix::libc::IPPROTO_ICMPV6,
            1, // ICMP6_FILTER
            filter.as_ptr().cast(),
            size_of_val(&filter) as nix::libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A UDP socket on `[::]:port` that does not block, bound to `interface` if one is named.
///
/// # Errors
/// When the port is taken or the interface does not exist.
pub fn udp(port: u16, interface: Option<&str>) -> Result<std::net::UdpSocket> {
    let what = || format!("UDP port {port}");
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).with_context(what)?;
    socket.set_only_v6(false).with_context(what)?;
    if let Some(interface) = interface {
        socket
            .bind_device(Some(interface.as_bytes()))
            .with_context(what)?;
        let ifindex = nix::net::if_::if_nametoindex(interface).with_context(what)?;
        socket.set_multicast_if_v6(ifindex).with_context(what)?;
    }
    socket.set_nonblocking(true).with_context(what)?;
    let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0);
    socket.bind(&any.into()).with_context(what)?;
    Ok(socket.into())
}
