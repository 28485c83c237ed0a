//! What the testbed tells a daemon while it runs: one JSON object a line on its standard input.

pub use handover::Signal;
use serde::{Deserialize, Serialize};

/// A line on a daemon's standard input. End of file means [`Control::Stop`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "control", rename_all = "snake_case")]
pub enum Control {
    /// The scenario clock is at zero: clients start polling.
    Start,
    /// The radio's signal register for one PAN changed.
    Signal(Signal),
    /// A sleeping mobile node wakes up before its time.
    Wake,
    /// A step of the scenario that a service of the node's carries out.
    Operate {
        /// Its place among the steps of the node's plan.
        step: usize,
    },
    /// The scenario is over: clients stop asking, wait for what is outstanding and report
    /// [`crate::EventKind::Drained`].
    Drain,
    /// Leave.
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::{Channel, Dbm, PanId};

    #[test]
    fn a_signal_stands_in_its_control_line() {
        let lines = [
            (
                Some(Dbm(-61.0)),
                r#"{"control":"signal","channel":20,"pan_id":"0x0002","rssi":"-61 dBm"}"#,
            ),
            (
                None,
                r#"{"control":"signal","channel":20,"pan_id":"0x0002","rssi":null}"#,
            ),
        ];
        for (rssi, line) in lines {
            let control = Control::Signal(Signal {
                channel: Channel::try_from(20).unwrap(),
                pan_id: PanId(2),
                rssi,
            });
            assert_eq!(serde_json::to_string(&control).unwrap(), line);
            assert_eq!(serde_json::from_str::<Control>(line).unwrap(), control);
        }
    }
}
