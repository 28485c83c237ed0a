//! What the testbed tells a daemon while it runs: one JSON object a line on its standard input.

use serde::{Deserialize, Serialize};
use units::{Channel, Dbm, PanId};

/// A line on a daemon's standard input. End of file means [`Control::Stop`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "control", rename_all = "snake_case")]
pub enum Control {
    /// The scenario clock is at zero: clients start polling.
    Start,
    /// The radio's signal register for one PAN changed.
    Signal {
        /// Channel of the PAN.
        channel: Channel,
        /// The PAN.
        pan_id: PanId,
        /// Power of its edge router's frames here; absent: nothing is heard.
        rssi: Option<Dbm>,
    },
    /// A sleeping mobile node wakes up before its time.
    Wake,
    /// The scenario is over: clients stop asking, wait for what is outstanding and report
    /// [`crate::EventKind::Drained`].
    Drain,
    /// Leave.
    Stop,
}
