//! Datagrams in batches: one system call receives or sends many.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddrV6;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn6, recvmmsg, sendmmsg, sendto};

use crate::machine::Transmit;

/// Datagrams in one system call, at most.
pub(super) const BATCH: usize = 64;
/// Slots that are offered where few datagrams come.
const FEW: usize = 2;

/// The longest UDP payload, and then some: no datagram is cut off. Memory that no datagram has
/// touched is not resident. No power of two, or all slots would begin in the same few lines of the
/// processor's caches.
const SLOT_BYTES: usize = (1 << 16) + 192;

/// Room for the datagrams that one system call receives.
#[derive(Debug)]
pub(super) struct Inbox {
    slots: Box<[u8]>,
    /// Made once: most calls receive a single datagram, and this is for many.
    headers: MultiHeaders<SockaddrIn6>,
    /// Slots that the next call offers, each of which costs it something.
    offered: usize,
}

/// What one system call brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    /// Datagrams.
    pub(super) count: usize,
    /// Whether more may wait.
    pub(super) more: bool,
}

// SAFETY: the pointers in `headers` are into memory that it owns, or to slots of an earlier call, which
// the next one replaces before the kernel sees them.
unsafe impl Send for Inbox {}

impl Inbox {
    pub(super) fn new() -> Inbox {
        Inbox {
            slots: vec![0; BATCH * SLOT_BYTES].into_boxed_slice(),
            headers: MultiHeaders::preallocate(BATCH, None),
            offered: FEW,
        }
    }

    /// Gives `take` what waits in the socket: at most [`BATCH`] datagrams, and twice as many as the
    /// last time.
    ///
    /// # Errors
    /// Those of `recvmmsg`.
    pub(super) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        mut take: impl FnMut(SocketAddrV6, &[u8]),
    ) -> io::Result<Received> {
        let headers = &mut self.headers;
        let slots = self.slots.chunks_exact_mut(SLOT_BYTES);
        let mut slots: Vec<_> = slots
            .take(self.offered)
            .map(|slot| [IoSliceMut::new(slot)])
            .collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let received = recvmmsg(socket.as_raw_fd(), headers, &mut slots, flags, None)?;
        let mut count = 0;
        for datagram in received {
            count += 1;
            // An IPv6 socket has no other addresses: IPv4 is mapped.
            if let (Some(from), Some(payload)) = (datagram.address, datagram.iovs().next()) {
                take(from.into(), payload);
            }
        }
        let more = count == self.offered;
        self.offered = (2 * count).clamp(FEW, BATCH);
        Ok(Received { count, more })
    }
}

/// Sends the first of `datagrams`, [`BATCH`] at most; returns how many were sent. One that is
/// refused fails the call that begins with it.
///
/// # Errors
/// Those of `sendmmsg`, about the first one.
pub(super) fn send(socket: BorrowedFd<'_>, datagrams: &VecDeque<Transmit>) -> io::Result<usize> {
    let fd = socket.as_raw_fd();
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
