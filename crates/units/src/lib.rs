//! Quantities with units, virtual time, link-layer identifiers and seed derivation.
//!
//! Owns the newtypes that every other crate speaks in, so that a bare number never crosses
//! a crate boundary. Knows nothing of files, sockets, clocks or the topology.
//!
//! ```
//! use units::{Dbm, Db, SimTime};
//! use std::time::Duration;
//! let rssi: Dbm = Dbm(0.0) - Db(85.0);
//! assert_eq!(rssi.to_string(), "-85 dBm");
//! assert_eq!("90 dB".parse::<Db>().unwrap(), Db(90.0));
//! assert_eq!(SimTime::ZERO + Duration::from_millis(5), SimTime::from_nanos(5_000_000));
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`time`] | [`SimTime`] |
//! | [`quantity`] | [`Db`], [`Dbm`], [`DataRate`], [`ByteSize`], and durations as text |
//! | [`ieee802154`] | [`Eui64`], [`PanId`], [`ShortAddress`], [`Channel`], [`Lqi`] |
//! | [`ethernet`] | [`MacAddress`] |
//! | [`sequence`] | [`Sequence`]: which of two messages is the newer one |
//! | [`seed`] | [`Seed`] and [`Rng`]: one root seed, a derived stream per purpose |

#![forbid(unsafe_code)]

pub mod ethernet;
pub mod ieee802154;
pub mod quantity;
pub mod seed;
pub mod sequence;
pub mod time;

pub use ethernet::EthernetAddress;
pub use ieee802154::{Channel, Eui64, Lqi, MacAddress, PanId, ShortAddress};
pub use quantity::{ByteSize, DataRate, Db, Dbm, LossRatio, QuantityError};
pub use seed::{Rng, Seed};
pub use sequence::Sequence;
pub use time::SimTime;
