//! A [`Machine`] on a tokio UDP socket: the only place that touches a socket or a clock.

mod batch;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::debug;
use units::SimTime;

use crate::machine::{Machine, Transmit};
use batch::{Inbox, Received};

/// Datagrams taken in at most before what they made the machine send goes out: a machine that
/// writes to a disk before it answers does so once for all of them.
const GROUP: usize = 1024;

/// Now, on `CLOCK_REALTIME`: the clock that captures and event logs use.
pub fn now() -> SimTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    SimTime::ZERO + since_epoch.unwrap_or_default()
}

/// Runs a [`Machine`] on a UDP socket.
///
/// A datagram that cannot be sent is a lost datagram, whatever the kernel says about it
/// (network unreachable while a node moves, address not available, connection refused, …):
/// it is logged, and the machine's retransmission copes.
///
/// ```no_run
/// # async fn run(endpoint: coap::Endpoint) -> std::io::Result<()> {
/// use coap::io::Driver;
/// use coap::{Code, Event, Response};
///
/// let mut driver = Driver::bind(endpoint, "[::]:5683".parse().unwrap())?;
/// loop {
///     if let Event::Request { exchange, .. } = driver.next_event().await? {
///         driver.with(|endpoint, now| {
///             endpoint.respond(now, exchange, Response::new(Code::CONTENT));
///         });
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Driver<M> {
    machine: M,
    socket: UdpSocket,
    /// The next datagrams to send; some stay here if the socket's buffer has no room.
    unsent: VecDeque<Transmit>,
    inbox: Inbox,
    timer: Pin<Box<Sleep>>,
    /// What `timer` is set to.
    armed: Option<SimTime>,
}

impl<M: Machine> Driver<M> {
    /// Binds a socket; `[::]` takes IPv4 too, as IPv4-mapped addresses.
    ///
    /// # Errors
    /// Those of `bind`, with the address in the message. Must run inside a tokio runtime.
    pub fn bind(machine: M, address: SocketAddrV6) -> io::Result<Driver<M>> {
        let socket = std::net::UdpSocket::bind(address)
            .map_err(|e| io::Error::new(e.kind(), format!("bind UDP {address}: {e}")))?;
        Driver::from_socket(machine, socket)
    }

    /// Takes a bound socket, for example one made in another network namespace.
    ///
    /// # Errors
    /// If the runtime cannot register the socket. Must run inside a tokio runtime.
    pub fn from_socket(machine: M, socket: std::net::UdpSocket) -> io::Result<Driver<M>> {
        socket.set_nonblocking(true)?;
        Ok(Driver {
            machine,
            socket: UdpSocket::from_std(socket)?,
            unsent: VecDeque::new(),
            inbox: Inbox::new(),
            timer: Box::pin(sleep_until(Instant::now())),
            armed: None,
        })
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// Those of `getsockname`.
    pub fn local_addr(&self) -> io::Result<SocketAddrV6> {
        self.socket.local_addr().map(ipv6)
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

    /// Takes in the datagrams that wait, about a thousand at most. What they make the machine send or tell
    /// comes with the next call.
    ///
    /// # Errors
    /// As [`Driver::next_event`].
    pub fn take_in(&mut self) -> io::Result<()> {
        let mut taken = 0;
        while taken < GROUP {
            // Not by `try_io`: the runtime hears of datagrams only while the task waits.
            match receive_batch(&mut self.machine, &mut self.inbox, self.socket.as_fd()) {
                Ok(received) => taken += received.count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if is_about_a_former_send(&e) => debug!("receive: {e}"),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn poll_next_event(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<M::Event>> {
        loop {
            while !self.flush() && self.socket.poll_send_ready(cx).is_ready() {}
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

    /// Sends until the machine has nothing more or the socket no room, which is `false`.
    fn flush(&mut self) -> bool {
        loop {
            while self.unsent.len() < batch::BATCH
                && let Some(datagram) = self.machine.poll_transmit()
            {
                self.unsent.push_back(datagram);
            }
            if self.unsent.is_empty() {
                return true;
            }
            let send = || batch::send(self.socket.as_fd(), &self.unsent);
            match self.socket.try_io(Interest::WRITABLE, send) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(e) => {
                    if let Some(Transmit { to, payload }) = self.unsent.pop_front() {
                        debug!(%to, bytes = payload.len(), "not sent: {e}");
                    }
                }
            }
        }
    }

    /// Takes in the datagrams that wait, [`GROUP`] at most.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.socket.poll_recv_ready(cx) {
                Poll::Ready(Ok(())) => {}
                other => return other,
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
            let (machine, inbox) = (&mut self.machine, &mut self.inbox);
            let receive = || receive_batch(machine, inbox, self.socket.as_fd());
            match self.socket.try_io(Interest::READABLE, receive) {
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
fn receive_batch<M: Machine>(
    machine: &mut M,
    inbox: &mut Inbox,
    socket: BorrowedFd<'_>,
) -> io::Result<Received> {
    let mut arrived = None;
    inbox.receive(socket, |from, payload| {
        let arrived = *arrived.get_or_insert_with(now);
        machine.handle_datagram(arrived, from, payload);
    })
}

/// Whether a receive error reports an ICMP error to an earlier datagram, or an interruption:
/// the socket is fine.
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

fn ipv6(address: SocketAddr) -> SocketAddrV6 {
    match address {
        SocketAddr::V6(address) => address,
        SocketAddr::V4(address) => {
            SocketAddrV6::new(address.ip().to_ipv6_mapped(), address.port(), 0, 0)
        }
    }
}
