//! The shape of every datagram protocol core here.

use std::net::SocketAddrV6;

use units::SimTime;

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddrV6,
    /// UDP payload.
    pub payload: Vec<u8>,
}

/// A pure state machine over datagrams and time.
///
/// Call `handle_*` with input, then drain `poll_event` and `poll_transmit` until both are
/// empty, then arm a timer for `poll_timeout`; when it fires, call `handle_timeout`.
pub trait Machine {
    /// What it tells its owner.
    type Event;

    /// A datagram arrived from `from`.
    fn handle_datagram(&mut self, now: SimTime, from: SocketAddrV6, payload: &[u8]);

    /// The instant of [`Machine::poll_timeout`] has come (calling it early is harmless).
    fn handle_timeout(&mut self, now: SimTime);

    /// The next datagram to send.
    fn poll_transmit(&mut self) -> Option<Transmit>;

    /// When [`Machine::handle_timeout`] wants to be called.
    fn poll_timeout(&self) -> Option<SimTime>;

    /// The next event for the owner.
    fn poll_event(&mut self) -> Option<Self::Event>;
}
