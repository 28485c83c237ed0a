//! Proxy Mobile IPv6 (RFC 5213): a mobile access gateway says for its nodes where they are, and they
//! keep their prefixes without doing anything.
//!
//! | module | holds |
//! | --- | --- |
//! | [`gateway`] | [`Gateway`]: mobile access gateway (MAG) |
//! | [`anchor`] | [`Anchor`]: local mobility anchor (LMA) |

pub mod anchor;
pub mod gateway;
mod session;

pub use anchor::Anchor;
pub use gateway::Gateway;
