//! The LQI of received frames: an `AF_IEEE802154` datagram socket with `WPAN_WANTLQI` (kernel
//! 4.20 and later, `net/ieee802154/socket.c`).
//!
//! The kernel has such sockets in the initial network namespace only. They get the data frames
//! that their interface accepts: those to its own address or to the broadcast address, in its own
//! PAN or in the broadcast PAN. Frames of another PAN on the channel are not among them.

use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use units::{Eui64, Lqi, MacAddress, PanId, ShortAddress};

use crate::error::{Error, Result};

const MODULE: &str = "ieee802154_socket";

// `include/net/af_ieee802154.h`, which the kernel does not export.
const SOL_IEEE802154: libc::c_int = 0;
const WPAN_WANTLQI: libc::c_int = 3;
const ADDR_SHORT: libc::c_int = 2;
const ADDR_LONG: libc::c_int = 3;

/// `struct sockaddr_ieee802154`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct SockAddr {
    family: u16,
    addr_type: libc::c_int,
    pan_id: u16,
    /// `hwaddr`, first byte first; its first two bytes are also `short_addr`.
    hwaddr: [u8; 8],
}

/// Room for a control message of one byte, aligned as its header.
#[repr(C)]
#[derive(Clone, Copy)]
union Control {
    header: libc::cmsghdr,
    bytes: [u8; 64],
}

/// What a socket says of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeardFrame {
    /// The sender; none if the frame does not name it.
    pub source: Option<MacAddress>,
    /// The sender's PAN.
    pub pan_id: PanId,
    /// The link quality with which the radio received it.
    pub lqi: Lqi,
}

/// A socket that yields the LQI of each data frame that an interface accepts.
#[derive(Debug)]
pub struct LqiSocket {
    interface: String,
    fd: AsyncFd<OwnedFd>,
}

impl LqiSocket {
    /// Opens a socket for the interface named `interface`, whose extended address is `eui64`, in
    /// the namespace of the calling thread, which must be the initial one. Frames that it gets
    /// from then on wait in its buffer. It lasts through changes of channel and PAN.
    ///
    /// # Errors
    /// When the kernel has no such sockets, this is another namespace, the kernel is too old to
    /// give the LQI, or no interface has that address.
    pub fn open(interface: &str, eui64: Eui64) -> Result<LqiSocket> {
        let failed = |operation: &str, errno: Errno| Error::io(interface, operation, errno);
        let fd = datagram_socket().map_err(|errno| match errno {
            Errno::EAFNOSUPPORT => no_sockets(interface),
            errno => failed("open an AF_IEEE802154 socket", errno),
        })?;
        want_lqi(&fd).map_err(|errno| match errno {
            Errno::ENOPROTOOPT => Error::unusable(
                interface,
                "ask for the LQI of received frames",
                "this kernel cannot (WPAN_WANTLQI); Linux 4.20 and later can",
            ),
            errno => failed("ask for the LQI of received frames", errno),
        })?;
        bind(&fd, eui64).map_err(|errno| match errno {
            Errno::ENODEV => Error::unusable(
                interface,
                "bind an AF_IEEE802154 socket",
                format_args!("no 802.15.4 interface of this namespace has the address {eui64}"),
            ),
            errno => failed("bind an AF_IEEE802154 socket", errno),
        })?;
        // SAFETY: an OwnedFd names the same open file for as long as it lives.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }
            .map_err(|e| Error::io(interface, "watch an AF_IEEE802154 socket", e))?;
        Ok(LqiSocket {
            interface: interface.to_owned(),
            fd,
        })
    }

    /// The next frame. Cancel-safe.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn next(&self) -> Result<HeardFrame> {
        let failed = |e| Error::io(&self.interface, "receive the LQI of a frame", e);
        loop {
            let mut ready = self.fd.readable().await.map_err(failed)?;
            match ready.try_io(|fd| Ok(receive(fd.get_ref())?)) {
                Ok(Ok(frame)) => return Ok(frame),
                Ok(Err(e)) if e.raw_os_error() == Some(Errno::EINTR as i32) => {}
                Ok(Err(e)) => return Err(failed(e)),
                Err(_would_block) => {}
            }
        }
    }
}

/// Why the kernel does not know the address family here. sysfs may not be mounted: then the
/// module counts as missing.
fn no_sockets(interface: &str) -> Error {
    let what = if Path::new("/sys/module").join(MODULE).exists() {
        "the kernel has them in the initial network namespace only; this is another one".to_owned()
    } else {
        format!("kernel module {MODULE} not loaded (modprobe {MODULE})")
    };
    Error::unusable(interface, "open an AF_IEEE802154 socket", what)
}

fn datagram_socket() -> nix::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: `socket` takes no pointers.
    let fd = Errno::result(unsafe { libc::socket(libc::AF_IEEE802154, kind, 0) })?;
    // SAFETY: it is new, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn want_lqi(fd: &OwnedFd) -> nix::Result<()> {
    let yes: libc::c_int = 1;
    // SAFETY: the pointer and the length are those of `yes`, which outlives the call.
    let set = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            SOL_IEEE802154,
            WPAN_WANTLQI,
            (&raw const yes).cast(),
            mem::size_of_val(&yes) as libc::socklen_t,
        )
    };
    Errno::result(set).map(drop)
}

fn bind(fd: &OwnedFd, eui64: Eui64) -> nix::Result<()> {
    let address = SockAddr {
        family: libc::AF_IEEE802154 as u16,
        addr_type: ADDR_LONG,
        hwaddr: eui64.0,
        ..SockAddr::default()
    };
    // SAFETY: the pointer and the length are those of `address`, which outlives the call.
    let bound = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address).cast(),
            mem::size_of_val(&address) as libc::socklen_t,
        )
    };
    Errno::result(bound).map(drop)
}

/// Takes a frame from the socket and leaves its content.
fn receive(fd: &OwnedFd) -> nix::Result<HeardFrame> {
    let mut from = SockAddr::default();
    let mut content = [0_u8; 1];
    let mut parts = libc::iovec {
        iov_base: content.as_mut_ptr().cast(),
        iov_len: content.len(),
    };
    let mut control = Control { bytes: [0; 64] };
    // SAFETY: all-zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = mem::size_of_val(&from) as libc::socklen_t;
    message.msg_iov = &raw mut parts;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = mem::size_of_val(&control);
    // SAFETY: `message` points to objects of the lengths it says, which outlive the call.
    Errno::result(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, 0) })?;
    let lqi = lqi_of(&message).ok_or(Errno::EPROTO)?;
    Ok(from.frame(lqi))
}

/// The LQI among the control messages that `recvmsg` filled in.
fn lqi_of(message: &libc::msghdr) -> Option<Lqi> {
    // SAFETY: `recvmsg` has set the control buffer and its length, which is still alive; the
    // macros stay within it.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while let Some(here) = header.as_ref() {
            if (here.cmsg_level, here.cmsg_type) == (SOL_IEEE802154, WPAN_WANTLQI) {
                return Some(Lqi(*libc::CMSG_DATA(header)));
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    None
}

impl SockAddr {
    fn frame(self, lqi: Lqi) -> HeardFrame {
        let [first, second, ..] = self.hwaddr;
        let source = match self.addr_type {
            ADDR_LONG => Some(MacAddress::Extended(Eui64(self.hwaddr))),
            ADDR_SHORT => {
                let short = u16::from_ne_bytes([first, second]);
                Some(MacAddress::Short(ShortAddress(short)))
            }
            _ => None,
        };
        HeardFrame {
            source,
            pan_id: PanId(self.pan_id),
            lqi,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_laid_out_as_in_the_kernels_header() {
        // Two bytes of padding after the family, two at the end.
        assert_eq!(mem::size_of::<SockAddr>(), 20);
        assert_eq!(mem::offset_of!(SockAddr, addr_type), 4);
        assert_eq!(mem::offset_of!(SockAddr, pan_id), 8);
        assert_eq!(mem::offset_of!(SockAddr, hwaddr), 10);
    }

    #[test]
    fn a_sender_is_named_by_the_kind_of_its_address() {
        let address = SockAddr {
            pan_id: 0xabcd,
            hwaddr: [0x34, 0x12, 0x5e, 0, 0, 0, 0, 1],
            ..SockAddr::default()
        };
        let source = |addr_type| {
            let address = SockAddr {
                addr_type,
                ..address
            };
            let frame = address.frame(Lqi(7));
            assert_eq!((frame.pan_id, frame.lqi), (PanId(0xabcd), Lqi(7)));
            frame.source.map(|source| source.to_string())
        };
        assert_eq!(source(0), None);
        assert_eq!(source(3).as_deref(), Some("34:12:5e:00:00:00:00:01"));
        let short = u16::from_ne_bytes([0x34, 0x12]);
        assert_eq!(source(2), Some(ShortAddress(short).to_string()));
    }
}
