//! A handover, without the messages of any protocol.
//!
//! | module | holds |
//! | --- | --- |
//! | [`binding`] | [`BindingEvent`]: what becomes known of where a node is |
//! | [`event`] | [`Event`]: what a node tells of its handovers |
//! | [`mobility`] | [`Mobility`]: the seam to a mobility protocol; [`NoMobility`] |
//! | [`phase`] | [`Phase`]: a phase by its name |
//! | [`sequencer`] | [`Sequencer`]: when to leave a router, for which other one, and what comes next |

pub mod binding;
pub mod event;
pub mod mobility;
pub mod phase;
pub mod sequencer;
pub mod signal;

pub use binding::BindingEvent;
pub use event::{Event, Reason};
pub use mobility::{Mobility, NoMobility, Step};
pub use phase::Phase;
pub use sequencer::{Candidate, Command, Config, EarlyScan, Scan, Sequencer, Trigger};
pub use signal::Signal;
