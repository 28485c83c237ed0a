//! Messages of an IPv6 protocol of its own, with the extension headers around them (RFC 3542).

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use machine::Transmit;
use nix::libc;
use socket2::{Domain, Protocol, Type};

use crate::error::OpenError;
use crate::socket::{Received, Socket};

/// The longest message that is taken, bytes; the rest of a longer one is cut off.
const LONGEST: usize = 2048;
/// Room for the control messages of a message: addresses, and extension headers up to 2 KiB.
const CONTROL_WORDS: usize = 288;

/// How a message has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Source address, after what the kernel made of the extension headers: with a Home Address
    /// option it is the one in the option, and the option has the other.
    pub source: Ipv6Addr,
    /// Destination address; with a type 2 routing header likewise.
    pub destination: Ipv6Addr,
    /// The interface.
    pub ifindex: u32,
    /// Destination options headers, from their Next Header field on.
    pub destination_options: Vec<Vec<u8>>,
    /// The routing header, from its Next Header field on.
    pub routing: Option<Vec<u8>>,
}

/// How a message is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Source address, one of the node's.
    pub source: Ipv6Addr,
    /// The last destination on its way, which the routing header is taken for if there is one.
    pub destination: Ipv6Addr,
    /// A destination options header.
    pub destination_options: Option<Vec<u8>>,
    /// A routing header with the first destination in it.
    pub routing: Option<Vec<u8>>,
}

/// A raw socket of one protocol. Checksums are the business of whoever sends and receives: the kernel
/// would take the address in the IPv6 header where a Home Address option has the one that counts
/// (RFC 6275 §6.1.1), and takes a wrong one over veth.
#[derive(Debug)]
pub struct Raw {
    socket: socket2::Socket,
    message: Box<[u8]>,
}

impl Raw {
    /// A socket of `protocol` for all addresses of the node.
    ///
    /// # Errors
    /// When the socket cannot be made (`CAP_NET_RAW`).
    pub fn open(protocol: u8) -> Result<Raw, OpenError> {
        let opened = Raw::open_socket(protocol);
        opened.map_err(OpenError::of(format!("raw socket of protocol {protocol}")))
    }

    fn open_socket(protocol: u8) -> io::Result<Raw> {
        let protocol = Protocol::from(i32::from(protocol));
        let socket = socket2::Socket::new(Domain::IPV6, Type::RAW, Some(protocol))?;
        for (option, value) in [
            (libc::IPV6_RECVPKTINFO, 1),
            (libc::IPV6_RECVDSTOPTS, 1),
            (libc::IPV6_RECVRTHDR, 1),
            (libc::IPV6_CHECKSUM, -1),
        ] {
            set(&socket, option, value)?;
        }
        socket.set_nonblocking(true)?;
        Ok(Raw {
            socket,
            message: vec![0; LONGEST].into_boxed_slice(),
        })
    }
}

impl AsRawFd for Raw {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Sets an option of the IPv6 level.
fn set(socket: &socket2::Socket, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the option takes an int, which `value` is; the descriptor is open.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IPV6,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Socket for Raw {
    type From = Arrival;
    type To = Departure;

    fn source(from: &Arrival) -> Ipv6Addr {
        from.source
    }

    fn receive(&mut self, mut take: impl FnMut(Arrival, &[u8])) -> io::Result<Received> {
        let mut control = [0_u64; CONTROL_WORDS];
        let mut from = MaybeUninit::<libc::sockaddr_in6>::zeroed();
        let mut part = libc::iovec {
            iov_base: self.message.as_mut_ptr().cast(),
            iov_len: self.message.len(),
        };
        let mut header = empty_header();
        header.msg_name = from.as_mut_ptr().cast();
        header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: all pointers of `header` are to memory of the lengths beside them, which outlives
        // the call.
        let length = unsafe { libc::recvmsg(self.as_raw_fd(), &raw mut header, flags) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: all-zero is a valid sockaddr_in6, and the kernel has written one.
        let from = unsafe { from.assume_init() };
        let source = Ipv6Addr::from(from.sin6_addr.s6_addr);
        // SAFETY: `header` is as the kernel left it, and its control messages are in `control`.
        let arrival = unsafe { arrival(source, &header) };
        // Without its destination, or not with all of its headers, it is for nobody.
        if let (Some(arrival), Some(message)) = (arrival, self.message.get(..length)) {
            take(arrival, message);
        }
        Ok(Received {
            count: 1,
            more: true,
        })
    }

    fn send(&mut self, messages: &VecDeque<Transmit<Departure>>) -> io::Result<usize> {
        let Some(Transmit { to, payload }) = messages.front() else {
            return Ok(0);
        };
        let mut control = Control::default();
        control.push(libc::IPV6_PKTINFO, &packet_info(to.source))?;
        if let Some(options) = &to.destination_options {
            control.push(libc::IPV6_DSTOPTS, options)?;
        }
        if let Some(routing) = &to.routing {
            control.push(libc::IPV6_RTHDR, routing)?;
        }
        let name = socket2::SockAddr::from(SocketAddrV6::new(to.destination, 0, 0, 0));
        let mut part = libc::iovec {
            iov_base: payload.as_ptr().cast_mut().cast(),
            iov_len: payload.len(),
        };
        let mut header = empty_header();
        header.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_namelen = name.len();
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.words.as_mut_ptr().cast();
        header.msg_controllen = control.length as _;
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: all pointers of `header` are to memory of the lengths beside them, which outlives
        // the call and is not written to.
        let sent = unsafe { libc::sendmsg(self.as_raw_fd(), &raw const header, flags) };
        match sent {
            ..0 => Err(io::Error::last_os_error()),
            _ => Ok(1),
        }
    }
}

fn empty_header() -> libc::msghdr {
    // SAFETY: all-zero is a valid msghdr.
    unsafe { std::mem::zeroed() }
}

/// `struct in6_pktinfo` of a source address, on whichever interface.
fn packet_info(source: Ipv6Addr) -> Vec<u8> {
    let mut info = source.octets().to_vec();
    info.extend(0_u32.to_ne_bytes());
    info
}

/// What the control messages say.
///
/// # Safety
/// `header` is one that `recvmsg` has filled in.
unsafe fn arrival(source: Ipv6Addr, header: &libc::msghdr) -> Option<Arrival> {
    // Headers that did not find room are missing: without a Home Address option the message would be
    // another one.
    if header.msg_flags & libc::MSG_CTRUNC != 0 {
        return None;
    }
    let mut arrived = None;
    let (mut destination_options, mut routing) = (Vec::new(), None);
    // SAFETY: the caller's promise.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !control.is_null() {
        // SAFETY: it is a control message of `header`, with its data behind it.
        let (head, data) = unsafe { (*control, libc::CMSG_DATA(control)) };
        // SAFETY: CMSG_LEN does arithmetic.
        let before = unsafe { libc::CMSG_LEN(0) } as usize;
        let length = head.cmsg_len.saturating_sub(before);
        // SAFETY: these are the data of the message.
        let data = unsafe { std::slice::from_raw_parts(data, length) };
        match (head.cmsg_level, head.cmsg_type) {
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => arrived = read_packet_info(data),
            (libc::IPPROTO_IPV6, libc::IPV6_DSTOPTS) => destination_options.push(data.to_vec()),
            (libc::IPPROTO_IPV6, libc::IPV6_RTHDR) => routing = Some(data.to_vec()),
            _ => {}
        }
        // SAFETY: as for the first one.
        control = unsafe { libc::CMSG_NXTHDR(header, control) };
    }
    let (destination, ifindex) = arrived?;
    Some(Arrival {
        source,
        destination,
        ifindex,
        destination_options,
        routing,
    })
}

fn read_packet_info(data: &[u8]) -> Option<(Ipv6Addr, u32)> {
    let address: [u8; 16] = data.get(..16)?.try_into().ok()?;
    let ifindex = data.get(16..20)?.try_into().ok()?;
    Some((address.into(), u32::from_ne_bytes(ifindex)))
}

/// Control messages that are being written.
#[derive(Debug)]
struct Control {
    words: [u64; CONTROL_WORDS],
    length: usize,
}

impl Default for Control {
    fn default() -> Control {
        Control {
            words: [0; CONTROL_WORDS],
            length: 0,
        }
    }
}

impl Control {
    /// Adds a control message of the IPv6 level.
    fn push(&mut self, kind: libc::c_int, data: &[u8]) -> io::Result<()> {
        let too_long = || io::Error::from(io::ErrorKind::InvalidInput);
        let length = libc::c_uint::try_from(data.len()).map_err(|_| too_long())?;
        // SAFETY: both do arithmetic.
        let (whole, space) = unsafe { (libc::CMSG_LEN(length), libc::CMSG_SPACE(length) as usize) };
        if self.length.saturating_add(space) > size_of_val(&self.words) {
            return Err(too_long());
        }
        // SAFETY: there is room for `space` bytes, which begin at a multiple of a word.
        unsafe {
            let at = self.words.as_mut_ptr().cast::<u8>().add(self.length);
            let message = at.cast::<libc::cmsghdr>();
            (*message).cmsg_len = whole as _;
            (*message).cmsg_level = libc::IPPROTO_IPV6;
            (*message).cmsg_type = kind;
            ptr::copy_nonoverlapping(data.as_ptr(), libc::CMSG_DATA(message), data.len());
        }
        self.length += space;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_messages_are_read_as_they_were_written() {
        let source = Ipv6Addr::LOCALHOST;
        let headers = [[60_u8; 24], [43; 24], [61; 24]];
        let mut control = Control::default();
        control.push(libc::IPV6_DSTOPTS, &headers[0]).unwrap();
        control
            .push(libc::IPV6_PKTINFO, &packet_info(source))
            .unwrap();
        control.push(libc::IPV6_RTHDR, &headers[1]).unwrap();
        control.push(libc::IPV6_DSTOPTS, &headers[2]).unwrap();
        let mut header = empty_header();
        header.msg_control = control.words.as_mut_ptr().cast();
        header.msg_controllen = control.length as _;
        // SAFETY: it is what the kernel would have written.
        let arrived = unsafe { arrival(Ipv6Addr::UNSPECIFIED, &header) };
        let expected = Arrival {
            source: Ipv6Addr::UNSPECIFIED,
            destination: source,
            ifindex: 0,
            destination_options: vec![headers[0].to_vec(), headers[2].to_vec()],
            routing: Some(headers[1].to_vec()),
        };
        assert_eq!(arrived, Some(expected));
        header.msg_flags = libc::MSG_CTRUNC;
        // SAFETY: as before.
        let cut = unsafe { arrival(Ipv6Addr::UNSPECIFIED, &header) };
        assert_eq!(cut, None, "headers are missing");
        let too_long = control.push(libc::IPV6_DSTOPTS, &[0; 8 * CONTROL_WORDS]);
        assert_eq!(too_long.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
