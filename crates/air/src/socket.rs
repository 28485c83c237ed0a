//! The packet socket on the shadow radios' monitor interfaces.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimestampns};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockType, recvmsg, setsockopt,
};
use nix::sys::time::TimeSpec;
use units::SimTime;

/// Protocol of frames on a monitor interface (`linux/if_ether.h`).
const ETH_P_IEEE802154: u16 = 0x00f6;
/// Room for some ten thousand frames: a second of every channel at its full rate.
const BUFFER: usize = 32 << 20;
/// Longest PSDU, and room to notice a longer one.
const LONGEST: usize = 256;

/// One socket for all monitor interfaces of the namespace that it was made in. It does not see
/// what it sends: a socket for one protocol gets no outgoing packets.
pub(crate) struct Monitors {
    fd: OwnedFd,
    buffer: [u8; LONGEST],
}

/// A frame that arrived.
pub(crate) struct Arrived<'a> {
    pub(crate) ifindex: u32,
    /// When it did: the kernel's time stamp.
    pub(crate) at: SimTime,
    /// With its FCS.
    pub(crate) psdu: &'a [u8],
}

impl Monitors {
    pub(crate) fn open() -> nix::Result<Monitors> {
        // The wrapper's list of protocols does not have this one.
        // SAFETY: `socket` takes no pointers.
        let fd = Errno::result(unsafe {
            libc::socket(
                AddressFamily::Packet as i32,
                SockType::Raw as i32 | (SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC).bits(),
                i32::from(ETH_P_IEEE802154.to_be()),
            )
        })?;
        // SAFETY: it is new, and nobody else has it.
        let fd = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd) };
        setsockopt(&fd, RcvBufForce, &BUFFER)?;
        setsockopt(&fd, ReceiveTimestampns, &true)?;
        Ok(Monitors {
            fd,
            buffer: [0; LONGEST],
        })
    }

    /// The next frame, if one waits.
    pub(crate) fn receive(&mut self) -> nix::Result<Option<Arrived<'_>>> {
        let mut control = cmsg_space!(TimeSpec);
        let (length, ifindex, stamp) = loop {
            let mut parts = [IoSliceMut::new(&mut self.buffer)];
            let fd = self.fd.as_raw_fd();
            match recvmsg::<LinkAddr>(fd, &mut parts, Some(&mut control), MsgFlags::empty()) {
                Ok(got) => {
                    let stamp = got.cmsgs()?.find_map(|control| match control {
                        ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
                        _ => None,
                    });
                    let from = got.address.ok_or(Errno::EPROTO)?;
                    let ifindex = u32::try_from(from.ifindex()).map_err(|_| Errno::EPROTO)?;
                    break (got.bytes, ifindex, stamp.ok_or(Errno::EPROTO)?);
                }
                Err(Errno::EAGAIN) => return Ok(None),
                // One of the interfaces went down; the others go on.
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(errno) => return Err(errno),
            }
        };
        Ok(Some(Arrived {
            ifindex,
            at: SimTime::ZERO + Duration::from(stamp),
            psdu: &self.buffer[..length.min(LONGEST)],
        }))
    }

    /// Sends a frame, without FCS, out of a monitor interface.
    pub(crate) fn send(&self, ifindex: u32, mpdu: &[u8]) -> nix::Result<()> {
        // SAFETY: all-zero is a valid sockaddr_ll.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_protocol = ETH_P_IEEE802154.to_be();
        to.sll_ifindex = ifindex as i32;
        // SAFETY: pointers and lengths are those of `mpdu` and `to`, which outlive the call.
        let sent = unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                mpdu.as_ptr().cast(),
                mpdu.len(),
                0,
                (&raw const to).cast(),
                size_of_val(&to) as libc::socklen_t,
            )
        };
        Errno::result(sent).map(drop)
    }
}

impl AsFd for Monitors {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
