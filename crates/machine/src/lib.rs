//! The shape of every protocol core here: a state machine over messages and time, without a
//! socket, a clock, a thread or a generator of its own (sans-IO).
//!
//! Owns the trait that `driver` runs, what a core hands out ([`Transmit`]), and deadlines. Must
//! not know any protocol.
//!
//! A core's methods come in four kinds: getters; commands, which its owner gives it; input,
//! `handle_*`; and output, `poll_*`. Whoever owns one gives it input or a command, then drains
//! [`Machine::poll_event`] and [`Machine::poll_transmit`] until both are empty, then arms a timer
//! for [`Machine::poll_timeout`], and calls [`Machine::handle_timeout`] when that fires.
//!
//! ```
//! use std::convert::Infallible;
//! use std::net::SocketAddrV6;
//! use machine::{Machine, Transmit};
//! use units::SimTime;
//!
//! /// Sends back what it gets.
//! #[derive(Default)]
//! struct Echo(Vec<Transmit>);
//!
//! impl Machine for Echo {
//!     type From = SocketAddrV6;
//!     type To = SocketAddrV6;
//!     type Event = Infallible;
//!     type Ignored = Infallible;
//!
//!     fn handle_datagram(
//!         &mut self,
//!         _: SimTime,
//!         from: SocketAddrV6,
//!         payload: &[u8],
//!     ) -> Result<(), Infallible> {
//!         self.0.push(Transmit { to: from, payload: payload.to_vec() });
//!         Ok(())
//!     }
//!     fn handle_timeout(&mut self, _: SimTime) {}
//!     fn poll_transmit(&mut self) -> Option<Transmit> { self.0.pop() }
//!     fn poll_timeout(&self) -> Option<SimTime> { None }
//!     fn poll_event(&mut self) -> Option<Infallible> { None }
//! }
//!
//! let peer = "[2001:db8::1]:7".parse().unwrap();
//! let mut echo = Echo::default();
//! echo.handle_datagram(SimTime::ZERO, peer, b"hello");
//! assert_eq!(echo.poll_transmit().unwrap().payload, b"hello");
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`allowance`] | [`Allowance`]: how often something may happen |
//! | [`deadlines`] | [`Deadlines`]: deadlines by key, ordered by instant |
//! | [`mod@network`] | [`network()`]: the addresses that whoever has one may have |

#![forbid(unsafe_code)]

pub mod allowance;
pub mod deadlines;
pub mod network;

use std::net::{Ipv6Addr, SocketAddrV6};

use units::SimTime;

pub use allowance::Allowance;
pub use deadlines::{Deadlines, earlier};
pub use network::network;

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit<To = SocketAddrV6> {
    /// Where to.
    pub to: To,
    /// The message: a UDP payload, or an ICMPv6 message from its type on.
    pub payload: Vec<u8>,
}

/// Where a message comes from, for a protocol that looks at the hop limit, too (RFC 4861 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who sent it.
    pub source: Ipv6Addr,
    /// Hop limit on arrival.
    pub hop_limit: u8,
}

/// A pure state machine over messages and time: see the [crate](self) for the order of calls.
pub trait Machine {
    /// Where a message comes from, and what else the owner of the socket knows of its way.
    type From;
    /// Where a message goes to.
    type To;
    /// What it tells its owner.
    type Event;
    /// Why a message changed nothing, for a log; [`Infallible`](std::convert::Infallible) if the
    /// machine answers for every message itself.
    type Ignored;

    /// A message arrived.
    ///
    /// # Errors
    /// Why it changed nothing.
    fn handle_datagram(
        &mut self,
        now: SimTime,
        from: Self::From,
        payload: &[u8],
    ) -> Result<(), Self::Ignored>;

    /// The instant of [`Machine::poll_timeout`] has come (calling it early is harmless).
    fn handle_timeout(&mut self, now: SimTime);

    /// The next message to send.
    fn poll_transmit(&mut self) -> Option<Transmit<Self::To>>;

    /// When [`Machine::handle_timeout`] wants to be called.
    fn poll_timeout(&self) -> Option<SimTime>;

    /// The next event for the owner.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// Whether it knows who sends from there, and would rather hear them than a stranger when more
    /// comes than it can take in. Asked of each message then, so it is to cost little; if a machine does not say
    /// otherwise, it knows everybody alike.
    fn knows(&self, _now: SimTime, _from: &Self::From) -> bool {
        true
    }

    /// So many messages were not given to it, because more came than it could take in: for what it
    /// tells its owner.
    fn passed_over(&mut self, _now: SimTime, _messages: u64) {}
}
