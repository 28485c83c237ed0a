//! One system call receives many messages (`recvmmsg(2)`).

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::socket::{MsgFlags, MultiHeaders, RecvMsg, SockaddrLike, recvmmsg};

/// Memory for the messages that one system call receives; used again and again. Slots that no
/// message has touched are not resident.
#[derive(Debug)]
pub(crate) struct Slots<A> {
    memory: Box<[u8]>,
    slot_bytes: usize,
    /// Made once: most calls receive a single message, and this is for many.
    headers: MultiHeaders<A>,
}

// SAFETY: the pointers in `headers` are into memory that it owns, or to slots of an earlier call,
// which the next one replaces before the kernel sees them.
unsafe impl<A: Send> Send for Slots<A> {}

impl<A: SockaddrLike + Copy> Slots<A> {
    /// For `count` messages of at most `slot_bytes`, each with control messages that fit into
    /// `control`; count and size are at least one.
    pub(crate) fn new(count: usize, slot_bytes: usize, control: Option<Vec<u8>>) -> Slots<A> {
        Slots {
            memory: vec![0; count * slot_bytes].into_boxed_slice(),
            slot_bytes,
            headers: MultiHeaders::preallocate(count, control),
        }
    }

    /// Messages that there is memory for.
    pub(crate) fn count(&self) -> usize {
        self.memory.len() / self.slot_bytes
    }

    /// Gives `take` what waits in the socket, at most `offered` messages: each costs the call
    /// something, also where none comes. Returns how many there were.
    ///
    /// # Errors
    /// Those of `recvmmsg`.
    pub(crate) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        offered: usize,
        flags: MsgFlags,
        mut take: impl FnMut(&RecvMsg<'_, '_, A>, &[u8]),
    ) -> nix::Result<usize> {
        let slots = self.memory.chunks_exact_mut(self.slot_bytes);
        let mut slots: Vec<_> = slots
            .take(offered)
            .map(|slot| [IoSliceMut::new(slot)])
            .collect();
        let received = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            &mut slots,
            flags,
            None,
        )?;
        let mut count = 0;
        for message in received {
            count += 1;
            take(&message, message.iovs().next().unwrap_or(&[]));
        }
        Ok(count)
    }
}
