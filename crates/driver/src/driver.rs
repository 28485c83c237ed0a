//! A [`Machine`] on a socket, in tokio.

use std::collections::VecDeque;
use std::fmt::{Debug, Display};
use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use machine::{Machine, Transmit};
use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::{debug, warn};
use units::SimTime;

use crate::clock::now;
use crate::intake::Intake;
use crate::socket::{BATCH, Received, Socket};
use crate::udp::Udp;

/// Messages taken in at most before what they made the machine send goes out: a machine that
/// writes to a disk before it answers does so once for all of them. If more wait then, they are sorted
/// (`intake`).
const GROUP: usize = 1024;

/// Messages of strangers taken in at most while more come than the machine takes in, before the socket is
/// emptied again: a receive buffer holds those of some milliseconds.
const STRANGERS: usize = 64;

/// Messages that are read from a socket at once at most, to be sorted.
const DRAINED: usize = 8192;

/// How often messages were ignored, for a log. A line for each would let any neighbour fill the
/// disk.
#[derive(Debug, Default)]
pub struct Ignored(u64);

impl Ignored {
    /// One more; how many there were if that is to be logged: of the first, the tenth, the
    /// hundredth, and so on.
    pub fn another(&mut self) -> Option<u64> {
        self.several(1)
    }

    /// So many more; how many there were if the first, the tenth, the hundredth, and so on is among
    /// them.
    pub fn several(&mut self, more: u64) -> Option<u64> {
        let former = self.0.checked_ilog10();
        self.0 = self.0.saturating_add(more);
        (self.0.checked_ilog10() > former).then_some(self.0)
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0
    }
}

/// Runs a [`Machine`] on a socket.
///
/// A message that cannot be sent at once is a lost message, whatever the kernel says about it (no
/// room in the socket's buffer, network unreachable while a node moves, too long, not permitted, …):
/// it is counted and logged, and the machine's retransmission copes. Nothing waits for it.
///
/// ```no_run
/// # async fn run<M>(machine: M) -> Result<(), Box<dyn std::error::Error>>
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
    /// The next messages to send; empty between two calls.
    unsent: VecDeque<Transmit<M::To>>,
    /// What came in faster than the machine takes it in; empty but in a flood.
    intake: Intake<M::From>,
    ignored: Ignored,
    /// Messages for which the intake had no room.
    passed_over: Ignored,
    /// Messages that were not sent.
    lost: Ignored,
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
            // Nothing waits until it can be written, and to be told of it would wake the task after each message sent.
            // SAFETY: the descriptor is the socket's own; it is open and the same until both go.
            socket: unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?,
            unsent: VecDeque::new(),
            intake: Intake::new(),
            ignored: Ignored::default(),
            passed_over: Ignored::default(),
            lost: Ignored::default(),
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
        if !self.intake.is_empty() {
            return self.work_off();
        }
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
        self.intake = Intake::new();
        let socket = self.socket.get_mut();
        while socket.receive(|_, _| {}).is_ok() {}
    }

    fn poll_next_event(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<M::Event>> {
        let mut worked = false;
        loop {
            self.flush();
            if let Some(event) = self.machine.poll_event() {
                return Poll::Ready(Ok(event));
            }
            let now = now();
            if self.machine.poll_timeout().is_some_and(|due| due <= now) {
                self.machine.handle_timeout(now);
                // A machine with much to do at one instant does it bit by bit: messages come in
                // between.
                if self.machine.poll_timeout().is_some_and(|due| due <= now) {
                    self.take_in()?;
                }
                continue;
            }
            if !self.intake.is_empty() {
                if worked {
                    // The owner is to see to everything else, too: a store that has written, a
                    // command to stop.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                worked = true;
                self.work_off()?;
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

    /// Sends what the machine has; what cannot be sent at once is lost.
    fn flush(&mut self) {
        loop {
            while self.unsent.len() < BATCH
                && let Some(message) = self.machine.poll_transmit()
            {
                match self.socket.get_mut().admits(&message.to) {
                    true => self.unsent.push_back(message),
                    false => self.lose(&message, &"too much waits for its neighbour"),
                }
            }
            if self.unsent.is_empty() {
                return;
            }
            match self.socket.get_mut().send(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    if let Some(message) = self.unsent.pop_front() {
                        self.lose(&message, &e);
                    }
                }
            }
        }
    }

    fn lose(&mut self, message: &Transmit<M::To>, reason: &dyn Display) {
        let Transmit { to, payload } = message;
        debug!(?to, bytes = payload.len(), "not sent: {reason}");
        if let Some(times) = self.lost.another() {
            warn!(?to, bytes = payload.len(), times, "not sent: {reason}");
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
            let mut count = 0;
            let receive = |socket: &mut S| {
                let received = receive(machine, ignored, socket)?;
                count = received.count;
                // The socket is empty. The runtime is told so here, which saves a call that finds nothing.
                match received.more {
                    true => Ok(()),
                    false => Err(io::ErrorKind::WouldBlock.into()),
                }
            };
            let received = self.socket.try_io_mut(Interest::READABLE, receive);
            taken += count;
            match received {
                Ok(()) => {}
                // Whatever the error is, the next call meets it too.
                Err(_) if taken > 0 => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        self.drain()
    }

    /// Sorts the messages that wait, [`DRAINED`] at most.
    fn drain(&mut self) -> io::Result<()> {
        let (machine, intake, now) = (&self.machine, &mut self.intake, now());
        let mut drained = 0;
        while drained < DRAINED {
            let received = self.socket.get_mut().receive(|from, payload| {
                let known = machine.knows(now, &from);
                intake.put(known, S::source(&from), from, payload);
            });
            match received {
                Ok(received) if received.more => drained += received.count,
                Ok(_) => break,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if is_about_a_former_send(&e) => debug!("receive: {e}"),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Sorts the messages that wait and gives the machine those who are next, few of strangers.
    fn work_off(&mut self) -> io::Result<()> {
        self.drain()?;
        let (now, mut strangers) = (now(), 0);
        for _ in 0..GROUP {
            if strangers == STRANGERS {
                break;
            }
            let Some(next) = self.intake.take() else {
                break;
            };
            strangers += usize::from(!next.known);
            let (machine, ignored) = (&mut self.machine, &mut self.ignored);
            hand_over(machine, ignored, now, next.from, &next.payload);
        }
        match self.intake.take_passed_over() {
            0 => {}
            more => self.pass_over(now, more),
        }
        Ok(())
    }

    fn pass_over(&mut self, now: SimTime, more: u64) {
        self.machine.passed_over(now, more);
        if let Some(times) = self.passed_over.several(more) {
            warn!(
                times,
                "messages of strangers passed over: more come than are taken in"
            );
        }
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
            // Armed again should the deadline not have come.
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
        hand_over(machine, ignored, arrived, from, payload);
    })
}

fn hand_over<M>(machine: &mut M, ignored: &mut Ignored, at: SimTime, from: M::From, payload: &[u8])
where
    M: Machine,
    M::From: Clone + Debug,
    M::Ignored: Display,
{
    if let Err(reason) = machine.handle_datagram(at, from.clone(), payload)
        && let Some(times) = ignored.another()
    {
        warn!(?from, %reason, times, "message ignored");
    }
}

/// Whether a receive error reports what became of an earlier message (icmpv6(7), and what a
/// firewall says), or an interruption: the socket is fine.
fn is_about_a_former_send(error: &io::Error) -> bool {
    use Errno::{
        EACCES, ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, EINTR, EMSGSIZE, ENETDOWN,
        ENETUNREACH, ENOBUFS, EPERM, EPROTO,
    };
    let errno = error.raw_os_error().map(Errno::from_raw);
    errno.is_some_and(|errno| {
        matches!(
            errno,
            EACCES
                | ECONNREFUSED
                | ECONNRESET
                | EHOSTDOWN
                | EHOSTUNREACH
                | EINTR
                | EMSGSIZE
                | ENETDOWN
                | ENETUNREACH
                | ENOBUFS
                | EPERM
                | EPROTO
        )
    })
}

#[cfg(test)]
mod tests;
