//! What happens.

use std::time::Duration;

use propagation::import::Format;
use units::Db;

use super::place::{Pair, Position};
use crate::decode::{At, Block};
use crate::kind::DeviceOperation;
use crate::scalar::{LinkState, Metres, Speed};

tables! {
    /// What happens, and until when.
    pub struct Scenario {
        /// Scenario time at which the run ends. The clock starts when every daemon is ready; over
        /// 0 s and at most 24 h.
        pub duration: At<Duration>,
        /// The script, in time order.
        pub steps: Option<Vec<Step>>,
    }

    /// One step: `at`, and exactly one of `link`, `move`, `crash`, `restart`, `wake` and `operate`.
    #[schemars(extend("oneOf" = [
        { "required": ["link"] }, { "required": ["move"] },
        { "required": ["crash"] }, { "required": ["restart"] }, { "required": ["wake"] },
        { "required": ["operate"] }
    ]))]
    pub struct Step {
        /// Scenario time.
        pub at: At<Duration>,
        /// Repeats the step with this period, until `until`, `times` times, or to the end.
        pub every: Option<At<Duration>>,
        /// Scenario time after which the step is not repeated, of `back_and_forth` and `circle`
        /// the end; at most that of the scenario; default the end of the scenario.
        pub until: Option<At<Duration>>,
        /// How many times the step is done in all.
        pub times: Option<At<u32>>,
        /// Changes the link between two radios: `state` or `attenuation`.
        pub link: Option<Pair>,
        /// `down` takes the link away whatever its attenuation, `up` gives it back.
        pub state: Option<At<LinkState>>,
        /// New attenuation; at least 0 dB.
        pub attenuation: Option<At<Db>>,
        /// Goes linearly from the attenuation in force to the new one in this time.
        pub over: Option<At<Duration>>,
        /// Moves a host with a radio: `to`, `path`, `back_and_forth` or `circle` with `speed`, or
        /// `import`. What it loses on the way follows the path-loss model.
        pub r#move: Option<At<String>>,
        /// Where to, `[x, y]` in metres.
        pub to: Option<Position>,
        /// Where to, point by point.
        pub path: Option<Vec<Position>>,
        /// From point to point to the last, back to the first, and so on.
        pub back_and_forth: Option<Vec<Position>>,
        /// To the nearest point of a circle and round it, counter-clockwise.
        pub circle: Option<Block<Circle>>,
        /// Moves as another tool's file says.
        pub import: Option<Block<Import>>,
        /// How fast.
        pub speed: Option<At<Speed>>,
        /// Kills a node's daemon.
        pub crash: Option<At<String>>,
        /// Starts a crashed daemon again.
        pub restart: Option<At<String>>,
        /// Wakes a node that sleeps before its time. Nothing happens if it is awake.
        pub wake: Option<At<String>>,
        /// Has a node with an `lwm2m-server` do `operations` to a client of its, now or when that is heard.
        pub operate: Option<At<String>>,
        /// The node that they are done to, one with an `lwm2m-client`; default the server's only one.
        pub client: Option<At<String>>,
        /// What is done, one after the other.
        pub operations: Option<Vec<Block<DeviceOperation>>>,
    }

    /// A circle in the plane.
    pub struct Circle {
        /// Its centre.
        pub centre: Position,
        /// Its radius; over 0 m.
        pub radius: At<Metres>,
    }

    /// A node of a movement file. Its clock starts at the step's `at`; what it does after the end
    /// of the scenario is left out.
    pub struct Import {
        /// The file, relative to this one.
        pub file: At<String>,
        /// `bonnmotion`: BonnMotion's `.movements`, a line `time x y time x y …` per node. `ns2`:
        /// `$node_(0) set X_ 10.0` and `$ns_ at 2.0 "$node_(0) setdest 20.0 5.0 1.5"`.
        pub format: At<Format>,
        /// Number of the node in it: of the line, from 0, or N in `$node_(N)`.
        pub node: At<u32>,
    }
}
