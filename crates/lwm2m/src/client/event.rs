//! What a client tells its owner.

use std::net::SocketAddrV6;

use coap::Code;
use service::CallFailure;
use units::SimTime;

/// Events that are kept at most, until somebody takes them.
pub const MAX_EVENTS: usize = 4096;

/// What a [`Client`](super::Client) tells its owner.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It has asked to be bootstrapped.
    BootstrapRequested {
        /// The bootstrap server.
        server: SocketAddrV6,
        /// Why.
        cause: Cause,
    },
    /// Bootstrap-Finish was taken: the accounts are those that the bootstrap server wrote.
    Bootstrapped {
        /// The bootstrap server.
        server: SocketAddrV6,
    },
    /// The bootstrap has failed: the configuration is what it was before.
    BootstrapFailed {
        /// The bootstrap server.
        server: SocketAddrV6,
        /// Why.
        reason: String,
        /// When it is tried again.
        again_at: SimTime,
    },
    /// What became of a Send.
    Sent {
        /// Which.
        id: SendId,
        /// The Short Server ID of the server.
        server: u16,
        /// What became of it.
        outcome: SendOutcome,
    },
}

/// Why a client wants to be bootstrapped (LwM2M 1.1 Core §6.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It has no account of a server.
    NoServer,
    /// No server has taken its registration, as often as it has tried.
    NotRegistered,
    /// A server has executed Bootstrap-Request Trigger, `/1/x/9`.
    Triggered,
}

/// Names a Send; ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendId(pub u64);

/// What became of a Send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The server took it: 2.04.
    Taken,
    /// The server answered something else.
    Refused(Code),
    /// No answer has come.
    Failed(CallFailure),
}
