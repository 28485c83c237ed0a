//! What a radio is configured with, and what the medium asks of its surroundings.

use serde::{Deserialize, Serialize};
use units::{Channel, Db, Eui64, PanId, ShortAddress, SimTime};

use crate::Profile;

/// A radio of the medium: its place in the order of [`crate::Medium::add_radio`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RadioIndex(pub usize);

/// A frame that a host handed to its radio: numbered from 0 in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FrameId(pub u64);

/// MAC attributes of a transmitter (IEEE 802.15.4-2006 table 86) and its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MacParams {
    /// `macMinBE`, the first backoff exponent: 3 by default.
    pub min_be: u8,
    /// `macMaxBE`, the largest backoff exponent: 5 by default. More than 16 counts as 16.
    pub max_be: u8,
    /// `macMaxCSMABackoffs`, backoffs before a channel access failure: 4 by default.
    pub max_csma_backoffs: u8,
    /// `macMaxFrameRetries`, retries after a missing ACK: 3 by default.
    pub max_frame_retries: u8,
    /// Frames that may wait behind the one being sent: 300 by default, the transmit queue
    /// length of a Linux wpan interface.
    pub queue: usize,
}

impl Default for MacParams {
    fn default() -> MacParams {
        MacParams {
            min_be: 3,
            max_be: 5,
            max_csma_backoffs: 4,
            max_frame_retries: 3,
            queue: 300,
        }
    }
}

/// The addresses that a radio's hardware accepts frames for (IEEE 802.15.4-2006 §7.5.6.2,
/// third level of filtering).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressFilter {
    /// `aExtendedAddress`.
    pub eui64: Eui64,
    /// `macPANId`; `PanId(0xffff)` while the radio belongs to no PAN.
    pub pan_id: PanId,
    /// `macShortAddress`, if it has one.
    pub short: Option<ShortAddress>,
}

/// A radio as [`crate::Medium::add_radio`] takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct RadioConfig {
    /// Unique in the medium: the radio's random streams are derived from it.
    pub name: String,
    /// The part and its figures.
    pub profile: Profile,
    /// Its MAC's attributes.
    pub mac: MacParams,
    /// The channel that it starts on.
    pub channel: Channel,
    /// The addresses that it starts with.
    pub filter: AddressFilter,
    /// Promiscuous mode (IEEE 802.15.4-2006 §7.5.6.5): whether the owner wants [`crate::Output::Heard`]
    /// of this radio.
    pub promiscuous: bool,
}

/// Loss between two radios at an instant.
pub trait PathLoss {
    /// The loss from `from`'s antenna connector to `to`'s for a transmission that begins at
    /// `at`; `None` if nothing at all gets there.
    ///
    /// The medium asks once per transmission and radio on its channel, when the transmission
    /// begins; for a radio that came to the channel later, when it first matters there, with
    /// the beginning of the transmission as `at` all the same.
    fn loss(&mut self, at: SimTime, from: RadioIndex, to: RadioIndex) -> Option<Db>;
}
