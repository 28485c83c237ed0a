//! Packet sockets (packet(7)): what crosses interfaces, with the kernel's time stamps.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimestampns};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, RecvMsg, SockFlag, SockType, setsockopt,
};
use nix::sys::time::TimeSpec;
use units::SimTime;

use crate::batch::Slots;
use crate::error::OpenError;

/// No packets, until it is bound (packet(7)).
const NONE_YET: u16 = 0;
/// Every protocol (`linux/if_ether.h`).
const ETH_P_ALL: u16 = 0x0003;
/// Frames on an IEEE 802.15.4 monitor interface (`linux/if_ether.h`).
const ETH_P_IEEE802154: u16 = 0x00f6;
/// Receive buffer of a socket: some ten thousand packets.
const BUFFER: usize = 32 << 20;

/// A packet socket that never waits. It belongs to the network namespace of the thread that
/// opened it.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

/// A packet that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The interface that it came in or went out on.
    pub ifindex: u32,
    /// When: the kernel's time stamp.
    pub at: SimTime,
    /// Its bytes; more than the buffer has if it was cut.
    pub length: usize,
}

impl Received {
    fn of(packet: &RecvMsg<'_, '_, LinkAddr>) -> Result<Received, Errno> {
        let stamp = packet.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
            _ => None,
        });
        let from = packet.address.ok_or(Errno::EPROTO)?;
        Ok(Received {
            ifindex: u32::try_from(from.ifindex()).map_err(|_| Errno::EPROTO)?,
            at: SimTime::ZERO + Duration::from(stamp.ok_or(Errno::ENODATA)?),
            length: packet.bytes,
        })
    }
}

/// Memory for the packets that one system call receives; used again and again.
#[derive(Debug)]
pub struct Buffers(Slots<LinkAddr>);

impl Buffers {
    /// For `packets` of at most `longest` bytes; both are at least one.
    pub fn new(packets: usize, longest: usize) -> Buffers {
        Buffers(Slots::new(packets, longest, Some(cmsg_space!(TimeSpec))))
    }
}

impl PacketSocket {
    /// Everything that crosses `interface`, in both directions, with its link-layer header or
    /// without.
    ///
    /// # Errors
    /// When the socket cannot be made (`CAP_NET_RAW`) or the interface does not exist.
    pub fn of_interface(interface: &str, with_header: bool) -> Result<PacketSocket, OpenError> {
        let opened = PacketSocket::open_at(interface, with_header);
        opened.map_err(OpenError::of(format!("packet socket on {interface}")))
    }

    fn open_at(interface: &str, with_header: bool) -> Result<PacketSocket, Errno> {
        let kind = match with_header {
            true => SockType::Raw,
            false => SockType::Datagram,
        };
        // With a protocol it would have the packets of all interfaces until it is bound to one.
        let socket = PacketSocket::open(kind, NONE_YET)?;
        let index = nix::net::if_::if_nametoindex(interface)?;
        let address = link_layer(index, ETH_P_ALL);
        // SAFETY: the pointer and the length are those of `address`, which outlives the call.
        let bound = unsafe {
            libc::bind(
                socket.0.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        Errno::result(bound)?;
        Ok(socket)
    }

    /// The frames that come in on all IEEE 802.15.4 monitor interfaces of the namespace, with
    /// their FCS. It does not see what it sends: a socket for one protocol gets no outgoing
    /// packets.
    ///
    /// # Errors
    /// When the socket cannot be made (`CAP_NET_RAW`).
    pub fn of_monitors() -> Result<PacketSocket, OpenError> {
        let opened = PacketSocket::open(SockType::Raw, ETH_P_IEEE802154);
        opened.map_err(OpenError::of("packet socket on all monitor interfaces"))
    }

    fn open(kind: SockType, protocol: u16) -> Result<PacketSocket, Errno> {
        let flags = (SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC).bits();
        // nix's list of protocols does not have IEEE 802.15.4.
        // SAFETY: `socket` takes no pointers.
        let fd = Errno::result(unsafe {
            libc::socket(
                AddressFamily::Packet as i32,
                kind as i32 | flags,
                i32::from(protocol.to_be()),
            )
        })?;
        // SAFETY: it is new, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        setsockopt(&fd, RcvBufForce, &BUFFER)?;
        setsockopt(&fd, ReceiveTimestampns, &true)?;
        Ok(PacketSocket(fd))
    }

    /// Gives `take` every packet that waits, with its bytes as far as `buffers` has space for them.
    ///
    /// # Errors
    /// Those of `recvmmsg`, and those of `take`, which gets no more packets then.
    pub fn receive<E: From<Errno>>(
        &self,
        buffers: &mut Buffers,
        mut take: impl FnMut(Received, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (slots, flags) = (&mut buffers.0, MsgFlags::MSG_TRUNC);
        let offered = slots.count();
        loop {
            let mut outcome = Ok(());
            let got = slots.receive(self.0.as_fd(), offered, flags, |packet, bytes| {
                if outcome.is_ok() {
                    let received = Received::of(packet).map_err(E::from);
                    outcome = received.and_then(|received| take(received, bytes));
                }
            });
            outcome?;
            match got {
                Ok(count) if count < offered => return Ok(()),
                Err(Errno::EAGAIN) => return Ok(()),
                // An interface went down, as when a node retunes; it comes up again.
                Ok(_) | Err(Errno::ENETDOWN | Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sends a frame, without FCS, out of a monitor interface.
    ///
    /// # Errors
    /// Those of `sendto`: `ENOBUFS` where the interface's queue is full, `ENETDOWN` where it is down.
    pub fn send(&self, ifindex: u32, mpdu: &[u8]) -> Result<(), Errno> {
        let to = link_layer(ifindex, ETH_P_IEEE802154);
        // SAFETY: pointers and lengths are those of `mpdu` and `to`, which outlive the call.
        let sent = unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                mpdu.as_ptr().cast(),
                mpdu.len(),
                0,
                (&raw const to).cast(),
                size_of_val(&to) as libc::socklen_t,
            )
        };
        Errno::result(sent).map(drop)
    }

    /// Packets that did not fit into the receive buffer (`PACKET_STATISTICS`) since the last call.
    ///
    /// # Errors
    /// Those of `getsockopt`.
    pub fn dropped(&self) -> Result<u32, Errno> {
        // SAFETY: all-zero is a valid tpacket_stats.
        let mut stats: libc::tpacket_stats = unsafe { std::mem::zeroed() };
        let mut length = size_of_val(&stats) as libc::socklen_t;
        // SAFETY: the option fills at most `length` bytes of `stats`.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast(),
                &mut length,
            )
        };
        Errno::result(result).map(|_| stats.tp_drops)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn link_layer(ifindex: u32, protocol: u16) -> libc::sockaddr_ll {
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = ifindex as i32;
    address
}
