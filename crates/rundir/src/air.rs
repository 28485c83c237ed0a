//! `air.json`: what the per-frame medium counted.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::json;

/// Counts over a whole run, and how punctual the medium's shell was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Frames that hosts handed to their radios.
    pub frames: u64,
    /// Transmissions of them, retries included.
    pub transmissions: u64,
    /// Immediate ACKs.
    pub acks: u64,
    /// How the frames ended for their senders, by the words of the medium.
    pub sent: BTreeMap<String, u64>,
    /// Frames delivered to a host: one per receiver.
    pub delivered: u64,
    /// Frames not delivered to a receiver that they were for, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Frames with one destination, by sender and destination, in the order of their names; none in
    /// the files of before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Of frames since the scenario started: from the instant at which the medium wants one
    /// delivered to the instant at which the kernel was given it.
    pub lateness: Lateness,
}

/// What became of the frames from one radio to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The node that sent.
    pub from: String,
    /// The node whose address they had.
    pub to: String,
    /// Frames that the sender's host handed to its radio, each once whatever its retries.
    pub frames: u64,
    /// Those that the destination's host was given.
    pub delivered: u64,
}

impl Link {
    /// Delivered of the frames, in percent; `None` without a frame.
    pub fn delivery_percent(&self) -> Option<f64> {
        (self.frames > 0).then(|| self.delivered as f64 / self.frames as f64 * 100.0)
    }
}

/// A distribution of delays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lateness {
    /// Median, seconds.
    pub median_s: f64,
    /// 99th percentile, seconds.
    pub p99_s: f64,
    /// Largest, seconds.
    pub max_s: f64,
    /// How many were over the plan's limit.
    pub over_limit: u64,
}

impl Facts {
    /// Writes `air.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        json::write(self, path)
    }

    /// Reads `air.json`.
    ///
    /// # Errors
    /// The file cannot be read, or is none of ours.
    pub fn read(path: &Path) -> std::io::Result<Facts> {
        json::read(path)
    }
}
