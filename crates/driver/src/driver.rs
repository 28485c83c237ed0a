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
    ignored: Ignored,
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
            // SAFETY: the descriptor is the socket's own; it is open and the same until both go.
            socket: unsafe { AsyncFd::register(socket) }?,
            unsent: VecDeque::new(),
            ignored: Ignored::default(),
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
        if let Err(reason) = machine.handle_datagram(arrived, from.clone(), payload)
            && let Some(times) = ignored.another()
        {
            warn!(?from, %reason, times, "message ignored");
        }
    })
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
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddrV6;

    use super::*;

    #[test]
    fn a_million_ignored_messages_are_seven_lines_of_log() {
        let mut ignored = Ignored::default();
        let logged: Vec<u64> = (0..1_000_000).filter_map(|_| ignored.another()).collect();
        assert_eq!(logged, [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]);
    }

    /// Answers whatever comes with three datagrams to a port where nobody may listen.
    #[derive(Debug, Default)]
    struct Talker(VecDeque<Transmit>);

    impl Machine for Talker {
        type From = SocketAddrV6;
        type To = SocketAddrV6;
        type Event = Infallible;
        type Ignored = Infallible;

        fn handle_datagram(
            &mut self,
            _: SimTime,
            to: SocketAddrV6,
            payload: &[u8],
        ) -> Result<(), Infallible> {
            let payload = payload.to_vec();
            self.0
                .extend(std::iter::repeat_n(Transmit { to, payload }, 3));
            Ok(())
        }
        fn handle_timeout(&mut self, _: SimTime) {}
        fn poll_transmit(&mut self) -> Option<Transmit> {
            self.0.pop_front()
        }
        fn poll_timeout(&self) -> Option<SimTime> {
            None
        }
        fn poll_event(&mut self) -> Option<Infallible> {
            None
        }
    }

    /// A socket that the kernel allows nothing but what is scripted; `Ok` sends one message.
    #[derive(Debug)]
    struct Scripted {
        socket: std::net::UdpSocket,
        script: VecDeque<Result<usize, Errno>>,
        admitted: bool,
    }

    impl AsRawFd for Scripted {
        fn as_raw_fd(&self) -> std::os::fd::RawFd {
            self.socket.as_raw_fd()
        }
    }

    impl Socket for Scripted {
        type From = SocketAddrV6;
        type To = SocketAddrV6;

        fn receive(&mut self, _: impl FnMut(SocketAddrV6, &[u8])) -> io::Result<Received> {
            Err(io::ErrorKind::WouldBlock.into())
        }

        fn admits(&mut self, _: &SocketAddrV6) -> bool {
            self.admitted
        }

        fn send(&mut self, _: &VecDeque<Transmit>) -> io::Result<usize> {
            let next = self.script.pop_front().expect("a send that was foreseen");
            next.map_err(io::Error::from)
        }
    }

    /// Runs a driver until it has said what three datagrams it wants to send; returns how many were
    /// lost and what of the script is left.
    fn lost(script: &[Result<usize, Errno>], admitted: bool) -> (u64, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let socket = std::net::UdpSocket::bind("[::1]:0").unwrap();
        let script = script.iter().copied().collect();
        let socket = Scripted {
            socket,
            script,
            admitted,
        };
        let mut driver = Driver::new(Talker::default(), socket).unwrap();
        let from = "[::1]:9".parse().unwrap();
        let heard = driver.with(|talker, now| talker.handle_datagram(now, from, b"?"));
        heard.unwrap();
        assert!(driver.unsent.is_empty(), "nothing waits");
        (driver.lost.0, driver.socket().script.len())
    }

    #[test]
    fn whatever_the_kernel_says_about_a_datagram_it_is_lost_and_the_next_one_is_sent() {
        use Errno::{
            EACCES, EADDRNOTAVAIL, EAGAIN, EMSGSIZE, ENETDOWN, ENETUNREACH, ENOBUFS, ENOMEM, EPERM,
        };
        let refusals = [
            EACCES,
            EADDRNOTAVAIL,
            EAGAIN,
            EMSGSIZE,
            ENETDOWN,
            ENETUNREACH,
            ENOBUFS,
            ENOMEM,
            EPERM,
        ];
        for refusal in refusals {
            assert_eq!(lost(&[Err(refusal), Ok(2)], true), (1, 0), "{refusal}");
            let all = [Err(refusal); 3];
            assert_eq!(lost(&all, true), (3, 0), "{refusal}");
        }
        assert_eq!(lost(&[Err(Errno::EINTR), Ok(3)], true), (0, 0));
    }

    #[test]
    fn what_the_socket_does_not_admit_is_lost_without_a_system_call() {
        assert_eq!(lost(&[], false), (3, 0));
    }

    #[test]
    fn an_error_about_a_former_datagram_ends_nothing() {
        let about = |errno: Errno| is_about_a_former_send(&errno.into());
        assert!(about(Errno::EPERM) && about(Errno::EMSGSIZE) && about(Errno::EHOSTUNREACH));
        assert!(!about(Errno::EBADF) && !about(Errno::ENOTSOCK));
    }
}
