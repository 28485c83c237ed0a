//! What the testbed tells the medium's thread.
//!
//! A lock that puts the waiting thread to sleep, on purpose: a lock-free queue lets its receiver
//! spin while a sender is half-way, and here the receiver outranks the sender. On one processor
//! the sender would not go on until the kernel throttles the real-time class, most of a second
//! later.

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::Change;

type Queue = Arc<Mutex<Vec<Change>>>;

/// The testbed's end. Dropped, it ends the medium.
pub(crate) struct Outbox {
    queue: Queue,
    wake: PipeWriter,
}

/// The thread's end.
pub(crate) struct Inbox {
    queue: Queue,
    woken: PipeReader,
}

/// Both ends.
pub(crate) fn open() -> io::Result<(Outbox, Inbox)> {
    let (woken, wake) = io::pipe()?;
    fcntl(&woken, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let queue = Queue::default();
    let outbox = Outbox {
        queue: Arc::clone(&queue),
        wake,
    };
    Ok((outbox, Inbox { queue, woken }))
}

impl Outbox {
    /// Tells the thread. One that has ended does not hear it; why it has is told elsewhere.
    pub(crate) fn put(&mut self, change: Change) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push(change);
        drop(queue);
        let _ = self.wake.write_all(&[1]);
    }
}

impl Inbox {
    /// What has come since the last time, in its order; `None` after the end.
    pub(crate) fn take(&mut self) -> io::Result<Option<Vec<Change>>> {
        let mut ended = false;
        loop {
            match self.woken.read(&mut [0; 64]) {
                Ok(0) => ended = true,
                Ok(_) => continue,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            break;
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = std::mem::take(&mut *queue);
        Ok((!ended || !changes.is_empty()).then_some(changes))
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::SimTime;

    #[test]
    fn changes_come_in_order_and_the_end_after_the_last_of_them() {
        let (mut outbox, mut inbox) = open().unwrap();
        assert_eq!(inbox.take().unwrap(), Some(Vec::new()));
        let change = |node: &str| Change::Read(node.into(), SimTime::ZERO);
        outbox.put(change("a"));
        outbox.put(change("b"));
        assert_eq!(inbox.take().unwrap(), Some(vec![change("a"), change("b")]));
        outbox.put(change("c"));
        drop(outbox);
        assert_eq!(inbox.take().unwrap(), Some(vec![change("c")]));
        assert_eq!(inbox.take().unwrap(), None);
    }
}
