//! What a [`Driver`](crate::Driver) needs of a socket.

use std::collections::VecDeque;
use std::io;
use std::net::Ipv6Addr;
use std::os::fd::AsRawFd;

use machine::Transmit;

/// Messages in one system call, at most.
pub(crate) const BATCH: usize = 64;

/// A socket that does not block, read and written in batches.
pub trait Socket: AsRawFd {
    /// Where a message comes from, and what the kernel says of its way.
    type From;
    /// Where a message goes to.
    type To;

    /// The address of who sent a message.
    fn source(from: &Self::From) -> Ipv6Addr;

    /// Gives `take` what one system call receives.
    ///
    /// # Errors
    /// Those of the system call.
    fn receive(&mut self, take: impl FnMut(Self::From, &[u8])) -> io::Result<Received>;

    /// Whether a message for `to` may be sent now, which is asked once for each. One that may not is
    /// lost.
    fn admits(&mut self, _to: &Self::To) -> bool {
        true
    }

    /// Sends the first of `messages` without waiting; returns how many were sent. One that is
    /// refused fails the call that begins with it.
    ///
    /// # Errors
    /// Those of the system call, about the first message.
    fn send(&mut self, messages: &VecDeque<Transmit<Self::To>>) -> io::Result<usize>;
}

/// What one system call brought.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Messages.
    pub count: usize,
    /// Whether more may wait.
    pub more: bool,
}
