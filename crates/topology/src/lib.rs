//! Topology file to resolved plan.
pub mod plan;
pub use plan::Plan;
