//! A [`Machine`] on a socket, in tokio.

use std::collections::VecDeque;
use std::fmt::{Debug, Display};
use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use machine::{Machine, Transmit};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::{debug, warn};
use units::SimTime;

use crate::clock::now;
use crate::socket::{BATCH, Received, Socket};
use crate::udp::Udp;

/// Messages taken in at most before what they made the machine send goes out: a machine that
/// writes to a disk before it answers does so once for all of them.
const GROUP: usize = 1024;

/// How often messages were ignored, for a log. A line for each would let any neighbour fill the
/// disk.
#[derive(Debug, Default)]
pub struct Ignored(u64);

impl Ignored {
    /// One more; how many there were if that is to be logged: of the first, the tenth, the
    /// hundredth, and so on.
    pub fn another(&mut self) -> Option<u64> {
        self.0 += 1;
        (self.0 == 10_u64.pow(self.0.ilog10())).then_some(self.0)
    }
}

/// Runs a [`Machine`] on a socket.
///
/// A message that cannot be sent is a lost message, whatever the kernel says about it (network
/// unreachable while a node moves, address not available, connection refused, …): it is logged,
/// and the machine's retransmission copes.
///
/// ```no_run
/// # async fn run<M>(machine: M) -> std::io::Result<()>
/// # where M: machine::Machine<
/// #     From = std::net::SocketAddrV6, To = std::net::SocketAddrV6,
/// #     Event = String, Ignored = std::convert::Infallible,
/// # > {
/// use driver::{Driver, Udp};
///
/// let mut driver = Driver::new(machine, Udp::bind("[::]:5683".parse().unwrap())?)?;
/// loop {
///     println!("{}", driver.next_event().await?);
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Driver<M: Machine, S: AsRawFd = Udp> {
    machine: M,
    socket: AsyncFd<S>,
    /// The next messages to send; some stay here if the socket's buffer has no room.
    unsent: VecDeque<Transmit<M::To>>,
    ignored: Ignored,
    timer: Pin<Box<Sleep>>,
    /// What `timer` is set to.
    armed: Option<SimTime>,
}

impl<M, S> Driver<M, S>
where
    M: Machine,
    M::From: Clone + Debug,
    M::To: Debug,
    M::Ignored: Display,
    S: Socket<From = M::From, To = M::To>,
{
    /// Runs `machine` on `socket`.
    ///
    /// # Errors
    /// If the runtime cannot register the socket. Must run inside a tokio runtime.
    pub fn new(machine: M, socket: S) -> io::Result<Driver<M, S>> {
        Ok(Driver {
            machine,
            // SAFETY: the descriptor is the socket's own; it is open and the same until both go.
            socket: unsafe { AsyncFd::register(socket) }?,
            unsent: VecDeque::new(),
            ignored: Ignored::default(),
            timer: Box::pin(sleep_until(Instant::now())),
            armed: None,
        })
    }

    /// The socket.
    pub fn socket(&self) -> &S {
        self.socket.get_ref()
    }

    /// The machine, to look at.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Gives the machine a command; what it wants to send goes out at once.
    pub fn with<R>(&mut self, command: impl FnOnce(&mut M, SimTime) -> R) -> R {
        let result = command(&mut self.machine, now());
        self.flush();
        result
    }

    /// Runs the machine until it has an event. Cancel-safe: whatever has not been returned
    /// stays for the next call.
    ///
    /// # Errors
    /// Receive errors that are not a peer's doing, such as a closed descriptor.
    pub async fn next_event(&mut self) -> io::Result<M::Event> {
        poll_fn(|cx| self.poll_next_event(cx)).await
    }

    /// The next event that the machine has already; [`Driver::next_event`] sends and waits.
    pub fn ready_event(&mut self) -> Option<M::Event> {
        self.machine.poll_event()
    }

    /// Takes in the messages that wait, about a thousand at most. What they make the machine send
    /// or tell comes with the next call.
    ///
    /// # Errors
    /// As [`Driver::next_event`].
    pub fn take_in(&mut self) -> io::Result<()> {
        let mut taken = 0;
        while taken < GROUP {
            let (machine, ignored) = (&mut self.machine, &mut self.ignored);
            // Not by `try_io`: the runtime hears of messages only while the task waits.
            match receive(machine, ignored, self.socket.get_mut()) {
                Ok(received) => taken += received.count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if is_about_a_former_send(&e) => debug!("receive: {e}"),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Forgets the messages that have arrived and were not taken in: they came over a link that
    /// was left.
    pub fn discard(&mut self) {
        let socket = self.socket.get_mut();
        while socket.receive(|_, _| {}).is_ok() {}
    }

    fn poll_next_event(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<M::Event>> {
        loop {
            while !self.flush() && self.poll_writable(cx)?.is_ready() {}
            if let Some(event) = self.machine.poll_event() {
                return Poll::Ready(Ok(event));
            }
            let now = now();
            if self.machine.poll_timeout().is_some_and(|due| due <= now) {
                self.machine.handle_timeout(now);
                continue;
            }
            match self.poll_receive(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending if self.poll_timer(cx, now).is_pending() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        Ok(self.socket.poll_write_ready(cx)?.map(drop))
    }

    /// Sends until the machine has nothing more or the socket no room, which is `false`.
    fn flush(&mut self) -> bool {
        loop {
            while self.unsent.len() < BATCH
                && let Some(message) = self.machine.poll_transmit()
            {
                self.unsent.push_back(message);
            }
            if self.unsent.is_empty() {
                return true;
            }
            let send = |socket: &S| socket.send(&self.unsent);
            match self.socket.try_io(Interest::WRITABLE, send) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(e) => {
                    if let Some(Transmit { to, payload }) = self.unsent.pop_front() {
                        debug!(?to, bytes = payload.len(), "not sent: {e}");
                    }
                }
            }
        }
    }

    /// Takes in the messages that wait, [`GROUP`] at most.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.socket.poll_read_ready(cx) {
                Poll::Ready(Ok(_ready)) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
            match self.receive() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if is_about_a_former_send(&e) => {
                    debug!("receive: {e}");
                    return Poll::Ready(Ok(()));
                }
                received => return Poll::Ready(received),
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut taken = 0;
        while taken < GROUP {
            let (machine, ignored) = (&mut self.machine, &mut self.ignored);
            let receive = |socket: &mut S| receive(machine, ignored, socket);
            match self.socket.try_io_mut(Interest::READABLE, receive) {
                Ok(received) if received.more => taken += received.count,
                Ok(_) => return Ok(()),
                // Whatever the error is, the next call meets it too.
                Err(_) if taken > 0 => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Arms the one timer if the machine's deadline has changed, and waits for it.
    fn poll_timer(&mut self, cx: &mut Context<'_>, now: SimTime) -> Poll<()> {
        let Some(due) = self.machine.poll_timeout() else {
            return Poll::Pending;
        };
        if self.armed != Some(due) {
            let deadline = Instant::now().checked_add(due.saturating_since(now));
            let Some(deadline) = deadline else {
                return Poll::Pending; // Centuries away.
            };
            self.timer.as_mut().reset(deadline);
            self.armed = Some(due);
        }
        let fired = self.timer.as_mut().poll(cx);
        if fired.is_ready() {
            // Armed again if CLOCK_REALTIME was set back and the deadline has not come.
            self.armed = None;
        }
        fired
    }
}

/// Gives the machine what one system call receives: it has arrived at one instant.
fn receive<M, S>(machine: &mut M, ignored: &mut Ignored, socket: &mut S) -> io::Result<Received>
where
    M: Machine,
    M::From: Clone + Debug,
    M::Ignored: Display,
    S: Socket<From = M::From, To = M::To>,
{
    let mut arrived = None;
    socket.receive(|from, payload| {
        let arrived = *arrived.get_or_insert_with(now);
        if let Err(reason) = machine.handle_datagram(arrived, from.clone(), payload)
            && let Some(times) = ignored.another()
        {
            warn!(?from, %reason, times, "message ignored");
        }
    })
}

/// Whether a receive error reports an ICMP error to an earlier message, or an interruption: the
/// socket is fine.
fn is_about_a_former_send(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_ignored_messages_are_seven_lines_of_log() {
        let mut ignored = Ignored::default();
        let logged: Vec<u64> = (0..1_000_000).filter_map(|_| ignored.another()).collect();
        assert_eq!(logged, [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]);
    }
}
