//! CoMP and CoMM: mobility management over CoAP, as pure state machines.
pub mod binding;
pub mod codec;
mod deadlines;
pub mod handover;
pub mod lbc;
pub mod mmt;

pub use binding::{BindingMode, Expired, Removal};
