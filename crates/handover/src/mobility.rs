//! The seam between a handover and the protocol that makes a node's address known.
//!
//! The [`Sequencer`](crate::Sequencer) says when, a [`Mobility`] knows what: one puts the
//! correspondents on hold and tells a server, another registers at a home agent, then at
//! correspondents; a node without mobility tells nobody. Whoever owns both carries the sequencer's
//! commands to the protocol, and the protocol's steps back to the sequencer, in their order.
//!
//! | sequencer's [`Command`](crate::Command) | protocol's method | steps that it waits for |
//! | --- | --- | --- |
//! | (attaching, when the first address is usable) | [`Mobility::attach`] | [`Step::Attached`] |
//! | `Prepare` | [`Mobility::prepare`] | [`Step::Prepared`] or [`Step::Failed`] |
//! | `Retune` | [`Mobility::leave`], before the radio goes | none |
//! | `Bind` | [`Mobility::bind`] | [`Step::Bound`] or [`Step::Failed`] |
//! | `Stay` | [`Mobility::stay`] | none |

mod none;

use std::net::Ipv6Addr;
use std::time::Duration;

use units::SimTime;

use crate::Phase;
pub use none::NoMobility;

/// A mobility protocol at a node that moves.
///
/// After each command, and whenever else the protocol may have something to tell, drain
/// [`Mobility::poll_step`]; a protocol that waits for nobody takes its step in the command itself.
/// A step that is taken later, when a message or an instant comes, has to be among the events of the
/// protocol's machine, too: those wake whoever drives it. Each is polled once, in either way.
/// A later command takes the place of an unfinished earlier one, whose steps do not come any more.
pub trait Mobility {
    /// The node has its first address. Makes it known and keeps it known: [`Step::Attached`]. What
    /// fails is tried again by itself.
    fn attach(&mut self, now: SimTime, address: Ipv6Addr);

    /// A handover is decided and the old link still carries messages: does what has to be done
    /// before the node leaves. [`Step::Prepared`], or [`Step::Failed`], which does not keep the
    /// node from leaving.
    fn prepare(&mut self, now: SimTime);

    /// The radio leaves its link, or is turned off: nothing comes in any more before the next
    /// [`Mobility::bind`] or [`Mobility::awake`].
    fn leave(&mut self, now: SimTime);

    /// The node may use `address`, at a new router or at the one that it has been at. Makes that
    /// known: [`Step::Bound`] or [`Step::Failed`]. Ends what [`Mobility::prepare`] or
    /// [`Mobility::announce_sleep`] began.
    fn bind(&mut self, now: SimTime, address: Ipv6Addr);

    /// The handover is called off and the node stays at `address`: undoes what
    /// [`Mobility::prepare`] did. Nobody waits for a step.
    fn stay(&mut self, now: SimTime, address: Ipv6Addr);

    /// The radio is to be off for `period`, counted from now: says so where that is of use.
    /// [`Step::SleepAnnounced`] or [`Step::SleepRefused`].
    fn announce_sleep(&mut self, now: SimTime, period: Duration);

    /// The radio is on again after a sleep that took its time, announced or not.
    fn awake(&mut self, now: SimTime);

    /// The next step that the protocol has taken.
    fn poll_step(&mut self) -> Option<Step>;
}

/// What a mobility protocol tells of its work, in the order in which it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first address is known.
    Attached {
        /// Which one.
        address: Ipv6Addr,
    },
    /// The node may leave its link.
    Prepared,
    /// The address is known to all whom the handover has to wait for.
    Bound {
        /// Which one.
        address: Ipv6Addr,
    },
    /// [`Mobility::prepare`] or [`Mobility::bind`] has failed.
    Failed {
        /// Why.
        reason: String,
    },
    /// A phase of the protocol's own begins, under a name that no phase of the sequencer has.
    PhaseStarted(Phase),
    /// A phase of the protocol's own ends. Those that are open when a step fails or the handover is
    /// given up are ended by the sequencer.
    PhaseEnded(Phase),
    /// The radio may be turned off: nobody sends anything meanwhile who can be kept from it.
    SleepAnnounced,
    /// The sleep could not be announced. Some may have heard of it, so that a node which stays
    /// awake binds again.
    SleepRefused {
        /// Why.
        reason: String,
    },
}
