//! The shell of the per-frame medium (`medium: phy`): the kernel's radios on one side,
//! [`medium::Medium`] on the other.
//!
//! Owns the frames on the shadow radios and their instants, the nodes' signal registers and the
//! capture of the air. Must not know how radios and namespaces are made (the testbed makes them),
//! nor what a daemon does with its register.
//!
//! ```text
//! node's radio ──edge── shadow radio + monitor ──► handle_frame ─┐
//!                                                               Medium + Field
//! node's radio ──edge── shadow radio + monitor ◄── Deliver ──────┘
//!                 signal registers ◄── Heard    Transmission ──► captures/air.pcapng
//! ```
//!
//! Each node has one *shadow* radio per channel in use, joined to it alone: a frame crosses an
//! edge of hwsim only between radios on one channel, so the shadow that a frame arrives at tells
//! the channel that its sender is on.
//!
//! One thread serves all radios. It runs in the real-time scheduling class: a frame's receiver is
//! decided at the end of the frame's airtime, and the thread then hands it over at once. What it
//! needs for that is measured ([`Facts::lateness`]); the rest of its work hides inside airtimes.
//!
//! | module | holds |
//! | --- | --- |
//! | `shell` | the thread: frames in, deliveries out, each at its instant |
//! | `registers` | signal registers of the mobile nodes |
//! | `record` | the capture of the air |
//! | `inbox` | what the testbed tells the thread |
//! | `tally` | counts and lateness |

mod inbox;
mod record;
mod registers;
mod shell;
mod tally;

use std::path::PathBuf;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use rundir::Event;
use rundir::air::Facts;
use rundir::control::Control;
use topology::Plan;
use topology::plan::NodeName;
use units::{Channel, Db, PanId, SimTime};

pub use record::Recorder;

/// A shadow radio's monitor interface, in the initial network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// The node whose radio it is joined to.
    pub node: NodeName,
    /// The channel that it is on.
    pub channel: Channel,
    /// The number of its monitor interface.
    pub ifindex: u32,
}

/// What happens outside the medium.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The scenario clock is at zero at this instant: movement begins.
    Started(SimTime),
    /// The attenuation between two nodes is this, whatever their distance.
    Attenuation(NodeName, NodeName, Db),
    /// The link between two nodes is there, or is not.
    Link(NodeName, NodeName, bool),
    /// A node tuned its radio.
    Tuned(NodeName, Channel, PanId),
    /// A node put its radio to sleep, or woke it.
    Awake(NodeName, bool),
    /// Somebody wants to know what the node's radio had used by this instant.
    Read(NodeName, SimTime),
}

/// What the medium has to say while it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A signal register of a node is another one.
    Signal(NodeName, Control),
    /// The answer to [`Change::Read`].
    Reading(Event),
}

/// Told of every [`Notice`], in the medium's thread.
pub type OnNotice = Box<dyn FnMut(Notice) + Send>;

/// The running medium.
pub struct Air {
    changes: inbox::Outbox,
    thread: JoinHandle<Result<Facts>>,
}

impl Air {
    /// Starts the medium of `plan` over `shadows`; what is on the air goes into the capture
    /// `file`, which is written by whoever owns the [`Recorder`].
    ///
    /// # Errors
    /// The plan has no per-frame air, a shadow is missing, or a socket, file or thread cannot be
    /// had.
    pub fn start(
        plan: &Plan,
        shadows: &[Shadow],
        file: PathBuf,
        on_notice: OnNotice,
    ) -> Result<(Air, Recorder)> {
        let phy = plan.radio.phy.as_ref().context("the plan has no air")?;
        let (changes, inbox) = inbox::open().context("a pipe to the medium")?;
        let nodes = shell::nodes_with_radio(plan).map(|(name, _)| name.clone());
        let (transmissions, recorder) = record::open(nodes.collect(), phy.capture_lost, file)?;
        let shell = shell::Shell::new(plan, phy, shadows, inbox, transmissions, on_notice)?;
        let thread = std::thread::Builder::new()
            .name("air".into())
            .spawn(move || shell.run())?;
        let air = Air { changes, thread };
        Ok((air, recorder))
    }

    /// Tells the medium of a change. A medium that has failed says so in [`Air::finish`].
    pub fn tell(&mut self, change: Change) {
        self.changes.put(change);
    }

    /// Ends the medium: what it counted, and how late it was.
    ///
    /// # Errors
    /// When it failed, and why.
    pub fn finish(self) -> Result<Facts> {
        drop(self.changes);
        match self.thread.join() {
            Ok(facts) => facts.context("the medium"),
            Err(_) => Err(anyhow!("the medium's thread panicked")),
        }
    }
}
