//! What goes into and comes out of a [`Sequencer`](super::Sequencer).

use std::net::Ipv6Addr;
use std::time::Duration;

use units::{Channel, Db, Dbm, PanId};

/// A PAN that the node may attach to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Name of its edge router, for events.
    pub router: String,
    /// Its channel.
    pub channel: Channel,
    /// Its PAN.
    pub pan_id: PanId,
}

/// The signal condition that starts a handover.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// The serving router's signal is under this …
    pub threshold: Dbm,
    /// … and another candidate's is stronger by at least this …
    pub hysteresis: Db,
    /// … in this many samples in a row (0 counts as 1).
    pub samples: u32,
    /// Sampling period. Also how long a handover that failed rests before it is tried again.
    pub sample_every: Duration,
}

/// How a node finds routers on channels that its radio is not tuned to: it tunes to each and
/// listens for what routers send by themselves (passive scan).
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The longest time on a channel; all of its candidates heard end it before.
    pub dwell: Duration,
    /// Listening while the serving router can still be heard; none: only in the link phase.
    pub early: Option<EarlyScan>,
}

/// Listening on other channels before a handover. It belongs to no phase.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlyScan {
    /// The serving router's signal is under this.
    pub threshold: Dbm,
    /// From the start of one round over all other channels to the start of the next.
    pub every: Duration,
}

/// What a [`Sequencer`](super::Sequencer) is told once.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The PANs that the node may attach to.
    pub candidates: Vec<Candidate>,
    /// Which of them it is attached to at the start.
    pub serving: usize,
    /// When to leave.
    pub trigger: Trigger,
    /// How the node finds routers on other channels; none: it hears all channels at once, so
    /// that every register is always true.
    pub scan: Option<Scan>,
    /// Whether a new address has to be checked before it may be used (RFC 4862 §5.4); not so
    /// with optimistic detection (RFC 4429) or none.
    pub dad: bool,
}

/// What the owner is to do. A later command takes the place of an unfinished earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// [`Mobility::prepare`](crate::Mobility::prepare), then its steps.
    Prepare,
    /// Leave the old router ([`Mobility::leave`](crate::Mobility::leave)) and tune to a candidate,
    /// then [`Sequencer::link_ready`](super::Sequencer::link_ready).
    Retune {
        /// Its place in [`Config::candidates`].
        candidate: usize,
    },
    /// Tune the radio to a channel and nothing else: PAN, addresses and routes stay. Then
    /// [`Sequencer::listening`](super::Sequencer::listening).
    Listen {
        /// The channel.
        channel: Channel,
    },
    /// The handover is called off and the node stays where it was:
    /// [`Mobility::stay`](crate::Mobility::stay). Nothing is to be reported.
    Stay,
    /// Solicit a router, then [`Sequencer::router_advertised`](super::Sequencer::router_advertised).
    Solicit,
    /// Obtain an address, then [`Sequencer::address_acquired`](super::Sequencer::address_acquired).
    AcquireAddress,
    /// Check the address for duplicates, then [`Sequencer::address_usable`](super::Sequencer::address_usable).
    CheckAddress {
        /// The address.
        address: Ipv6Addr,
    },
    /// [`Mobility::bind`](crate::Mobility::bind), then its steps.
    Bind {
        /// The new address.
        address: Ipv6Addr,
    },
}
