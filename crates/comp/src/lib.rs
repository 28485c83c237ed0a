//! CoMP and CoMM: mobility management over CoAP, as pure state machines.
pub mod binding;
pub mod client;
pub mod codec;
mod deadlines;
pub mod handover;
pub mod lbc;
pub mod mmt;
pub mod node;
mod registrar;
mod resource;
pub mod wmms;

pub use binding::{BindingMode, Expired, Removal};
