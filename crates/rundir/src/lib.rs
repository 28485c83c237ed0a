//! The run directory: the only thing that the live half and the analysis share.
//!
//! Owns the names of its files ([`layout`]), the events that daemons and the testbed write
//! ([`event`]), what the live half says of itself ([`facts`], [`air`]), what the caller says of the run
//! ([`made`]), what a daemon is told while it runs ([`control`]) and what of a directory is a run's
//! ([`written`]). Knows nothing of namespaces, QEMU or captures. Documented for users in
//! `docs/run-directory.md`.

#![forbid(unsafe_code)]

pub mod air;
pub mod control;
pub mod event;
pub mod facts;
mod json;
pub mod layout;
pub mod made;
pub mod written;

pub use event::{BindingEvent, Event, EventKind, HandoverEvent, Phase};
pub use facts::RunFacts;
pub use layout::{RunDir, SweepDir};
pub use made::Made;
pub use written::Written;
