//! ICMPv6 messages of one type on one interface, for router discovery.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use machine::{Origin, Transmit};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, SockaddrIn6, sendmsg, setsockopt,
    sockopt::Ipv6RecvHopLimit,
};
use socket2::{Domain, Protocol, Type};

use crate::batch::Slots;
use crate::error::OpenError;
use crate::socket::{Received, Socket};

/// The longest message that is taken, bytes.
const SLOT_BYTES: usize = 1500;
/// Messages in one system call, at most.
const SLOTS: usize = 4;

/// A raw ICMPv6 socket bound to one interface. The kernel computes and checks the checksum.
#[derive(Debug)]
pub struct Icmpv6 {
    socket: socket2::Socket,
    slots: Slots<SockaddrIn6>,
    ifindex: u32,
}

impl Icmpv6 {
    /// A socket on `interface`, a member of `groups`, that receives messages of type `accept`
    /// only, and sends with `hop_limit`.
    ///
    /// # Errors
    /// When the socket cannot be made (`CAP_NET_RAW`) or the interface does not exist.
    pub fn open(
        interface: &str,
        groups: &[Ipv6Addr],
        accept: u8,
        hop_limit: u8,
    ) -> Result<Icmpv6, OpenError> {
        let opened = Icmpv6::open_socket(interface, groups, accept, hop_limit);
        opened.map_err(OpenError::of(format!("{interface}: ICMPv6 socket")))
    }

    fn open_socket(
        interface: &str,
        groups: &[Ipv6Addr],
        accept: u8,
        hop_limit: u8,
    ) -> io::Result<Icmpv6> {
        let ifindex = nix::net::if_::if_nametoindex(interface)?;
        let socket = socket2::Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        socket.bind_device(Some(interface.as_bytes()))?;
        let hops = u32::from(hop_limit);
        socket.set_multicast_hops_v6(hops)?;
        socket.set_unicast_hops_v6(hops)?;
        socket.set_multicast_if_v6(ifindex)?;
        socket.set_multicast_loop_v6(false)?;
        setsockopt(&socket, Ipv6RecvHopLimit, &true)?;
        for group in groups {
            socket.join_multicast_v6(group, ifindex)?;
        }
        accept_only(&socket, accept)?;
        socket.set_nonblocking(true)?;
        Ok(Icmpv6 {
            socket,
            slots: Slots::new(SLOTS, SLOT_BYTES, Some(cmsg_space!(i32))),
            ifindex,
        })
    }
}

impl Icmpv6 {
    /// Has the socket send from one of the node's link-local addresses, and receive what is for it and for
    /// its groups.
    ///
    /// # Errors
    /// When the interface does not have the address, or it may not be used yet.
    pub fn bind(self, address: Ipv6Addr) -> Result<Icmpv6, OpenError> {
        let at = SocketAddrV6::new(address, 0, 0, self.ifindex);
        let bound = self.socket.bind(&at.into());
        bound.map_err(OpenError::of(format!("{address}: ICMPv6 socket")))?;
        Ok(self)
    }

    /// Sends a message from one of the node's addresses, where it matters which one. One that cannot leave
    /// at once is lost.
    ///
    /// # Errors
    /// When it is refused: `source` is no address of the node's, or may not be used yet.
    pub fn send_from(&self, source: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> io::Result<()> {
        let from = nix::libc::in6_pktinfo {
            ipi6_addr: nix::libc::in6_addr {
                s6_addr: source.octets(),
            },
            ipi6_ifindex: self.ifindex,
        };
        let sent = sendmsg(
            self.socket.as_raw_fd(),
            &[IoSlice::new(message)],
            &[ControlMessage::Ipv6PacketInfo(&from)],
            MsgFlags::MSG_DONTWAIT,
            Some(&SockaddrIn6::from(self.at(to))),
        );
        match sent {
            Ok(_) | Err(Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// An address on this interface's link, or anywhere.
    fn at(&self, to: Ipv6Addr) -> SocketAddrV6 {
        let on_link = to.is_unicast_link_local() || to.is_multicast();
        SocketAddrV6::new(to, 0, 0, if on_link { self.ifindex } else { 0 })
    }
}

impl AsRawFd for Icmpv6 {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Socket for Icmpv6 {
    type From = Origin;
    type To = Ipv6Addr;

    fn source(from: &Origin) -> Ipv6Addr {
        from.source
    }

    fn receive(&mut self, mut take: impl FnMut(Origin, &[u8])) -> io::Result<Received> {
        let flags = MsgFlags::MSG_DONTWAIT;
        let slots = &mut self.slots;
        let mut outcome = Ok(());
        let count =
            slots.receive(
                self.socket.as_fd(),
                SLOTS,
                flags,
                |received, message| match origin(received) {
                    Ok(origin) => take(origin, message),
                    Err(error) => outcome = Err(error),
                },
            )?;
        outcome?;
        Ok(Received {
            count,
            more: count == SLOTS,
        })
    }

    fn send(&mut self, messages: &VecDeque<Transmit<Ipv6Addr>>) -> io::Result<usize> {
        let Some(Transmit { to, payload }) = messages.front() else {
            return Ok(0);
        };
        let to = self.at(*to).into();
        self.socket.send_to(payload, &to).map(|_| 1)
    }
}

fn origin(received: &RecvMsg<'_, '_, SockaddrIn6>) -> io::Result<Origin> {
    let hop_limit = received.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv6HopLimit(limit) => u8::try_from(limit).ok(),
        _ => None,
    });
    let missing = |what| io::Error::other(format!("ICMPv6 message without its {what}"));
    Ok(Origin {
        source: received.address.ok_or_else(|| missing("source"))?.ip(),
        hop_limit: hop_limit.ok_or_else(|| missing("hop limit"))?,
    })
}

/// Passes one ICMPv6 type to the socket (`ICMP6_FILTER`, RFC 3542 §3.2): a set bit blocks.
fn accept_only(socket: &socket2::Socket, accept: u8) -> io::Result<()> {
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
