//! A handover, without the messages of any protocol.
//!
//! | module | holds |
//! | --- | --- |
//! | [`sequencer`] | [`Sequencer`]: when to leave a router, for which other one, and what comes next |

pub mod sequencer;

pub use sequencer::{
    Candidate, Command, Config, EarlyScan, Event, Phase, Reason, Scan, Sequencer, Trigger,
};
