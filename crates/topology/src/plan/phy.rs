//! The per-frame air of a plan.

use std::time::Duration;

use propagation::{Model, TracePoint};
use serde::{Deserialize, Serialize};
use units::quantity::duration;
use units::{Dbm, LossRatio};

use super::NodeName;

/// What `medium: phy` needs to know beside the radios.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhyPlan {
    /// The part of every radio that has no profile of its own. Its transmit power is the one
    /// that the topology gave, if it gave one.
    pub profile: medium::Profile,
    /// Loss between radios that have a position and neither a fixed attenuation nor a trace.
    pub path_loss: Model,
    /// MAC of every radio.
    pub mac: MacPlan,
    /// Whether frames that were lost are in the capture of the air too.
    pub capture_lost: bool,
    /// A frame that is handed over later than this after its instant makes the run say so.
    #[serde(with = "duration")]
    pub lateness_limit: Duration,
    /// Links whose loss over time comes from a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TracePlan>,
    /// Links that lose frames by chance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<LossPlan>,
}

/// Unslotted CSMA-CA and retransmission (IEEE 802.15.4-2006 table 86), and the queue before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MacPlan {
    /// macMinBE: first backoff exponent.
    pub min_be: u8,
    /// macMaxBE: last backoff exponent.
    pub max_be: u8,
    /// macMaxCSMABackoffs: busy channels after the first before a frame is given up.
    pub max_csma_backoffs: u8,
    /// macMaxFrameRetries: transmissions after the first without an acknowledgement.
    pub max_frame_retries: u8,
    /// Frames that wait for the radio; one more is dropped.
    pub queue: u32,
    /// Whether unicast frames ask for an acknowledgement.
    pub acks: bool,
}

/// The loss of one link over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracePlan {
    /// One end.
    pub a: NodeName,
    /// The other.
    pub b: NodeName,
    /// Loss at instants, in time order; linear between, and held at the ends.
    pub points: Vec<TracePoint>,
}

/// What one link loses by chance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossPlan {
    /// One end.
    pub a: NodeName,
    /// The other.
    pub b: NodeName,
    /// The share of its frames, acknowledgements too, that is lost beside noise and collisions.
    pub loss: LossRatio,
}

/// How a mobile node looks for a router: it listens on each candidate's channel in turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanPlan {
    /// How long it listens on each channel.
    #[serde(with = "duration")]
    pub dwell: Duration,
    /// Looking around before the link is lost; absent: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<EarlyScanPlan>,
}

/// Scans while the serving router can still be heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyScanPlan {
    /// The serving router's signal must be under this.
    pub threshold: Dbm,
    /// From the start of one scan to the start of the next.
    #[serde(with = "duration")]
    pub every: Duration,
}
