//! The per-frame IEEE 802.15.4 air: 2.4 GHz O-QPSK PHY, unslotted CSMA-CA, receivers, energy.

pub mod config;
pub mod output;
pub mod phy;
pub mod profile;

pub use config::{AddressFilter, FrameId, MacParams, PathLoss, RadioConfig, RadioIndex};
pub use output::{
    Delivery, Fate, FrameReport, Heard, Kind, Outcome, Output, Reason, Reception, SendOutcome,
    Transmission,
};
pub use profile::{Profile, ProfileError};
