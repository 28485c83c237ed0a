//! The per-frame IEEE 802.15.4 air: 2.4 GHz O-QPSK PHY, unslotted CSMA-CA, receivers, energy.
//!
//! Owns what happens to a frame between the host that hands it to its radio and the hosts
//! that get it: queue, CSMA-CA, airtime, noise, collisions and capture, address filter, ACK,
//! retries, duplicates, and the time that each radio spends in each state. Must not know
//! where radios are or how they move ([`PathLoss`] tells the loss between two of them), what
//! a frame carries, sockets, clocks or the topology: instants and a seed come in, outputs are
//! polled.
//!
//! The model, its derivations and what it leaves out: `docs/medium.md`.
//!
//! ```
//! use medium::{AddressFilter, MacParams, Medium, Outcome, Output, Profile, RadioConfig, RadioIndex};
//! use units::{Channel, Db, Eui64, PanId, Seed, ShortAddress, SimTime};
//!
//! /// Every radio is 60 dB from every other.
//! struct Room;
//! impl medium::PathLoss for Room {
//!     fn loss(&mut self, _: SimTime, _: RadioIndex, _: RadioIndex) -> Option<Db> {
//!         Some(Db(60.0))
//!     }
//! }
//!
//! let channel = Channel::try_from(26)?;
//! let radio = |name: &str, address: u16| RadioConfig {
//!     name: name.to_owned(),
//!     profile: Profile::named("cc2420").expect("a part of NAMES"),
//!     mac: MacParams::default(),
//!     channel,
//!     filter: AddressFilter {
//!         eui64: Eui64::derive(Seed(1), name),
//!         pan_id: PanId(0xabcd),
//!         short: Some(ShortAddress(address)),
//!     },
//!     promiscuous: false,
//! };
//! let mut medium = Medium::new(Seed(1), SimTime::ZERO);
//! let a = medium.add_radio(radio("a", 1));
//! let b = medium.add_radio(radio("b", 2));
//!
//! // Data, ACK wanted, PAN ID compressed, short addresses: from 1 to 2 in PAN 0xabcd.
//! let mpdu = [0x61, 0x88, 7, 0xcd, 0xab, 2, 0, 1, 0, b'h', b'i'];
//! medium.handle_frame(SimTime::ZERO, &mut Room, a, channel, &mpdu);
//! while let Some(at) = medium.poll_timeout() {
//!     medium.handle_timeout(at, &mut Room);
//! }
//! let mut delivered = false;
//! while let Some(output) = medium.poll_output() {
//!     match output {
//!         Output::Deliver(delivery) => {
//!             assert_eq!((delivery.to, &*delivery.mpdu), (b, &mpdu[..]));
//!             delivered = true;
//!         }
//!         Output::Done(report) => {
//!             assert!(matches!(report.receivers[..], [(to, Outcome::Delivered { .. })] if to == b));
//!         }
//!         Output::Transmission(_) | Output::Heard(_) => {}
//!     }
//! }
//! assert!(delivered);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Medium`] is the state machine; around it:
//!
//! | module | holds |
//! | --- | --- |
//! | [`config`] | [`RadioConfig`], [`MacParams`], [`AddressFilter`], [`PathLoss`] |
//! | [`profile`] | [`Profile`]: radio parts with their datasheets' figures |
//! | [`phy`] | times, bit errors, noise, link quality |
//! | [`mac`] | times and choices of CSMA-CA |
//! | [`mpdu`] | MAC headers, address filter, FCS |
//! | [`output`] | what comes out of it |
//! | [`energy`] | [`Energy`]: time and energy of a radio in each of its states |

#![forbid(unsafe_code)]

mod air;
pub mod config;
pub mod energy;
pub mod mac;
mod medium;
pub mod mpdu;
pub mod output;
pub mod phy;
pub mod profile;
mod radio;

pub use config::{AddressFilter, FrameId, MacParams, PathLoss, RadioConfig, RadioIndex};
pub use energy::Energy;
pub use medium::Medium;
pub use output::{
    Delivery, Fate, FrameReport, Heard, Kind, Outcome, Output, Reason, Reception, SendOutcome,
    Transmission,
};
pub use profile::{Profile, ProfileError};
