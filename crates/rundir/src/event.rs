//! `events.jsonl`: one JSON object a line, on the clock of the captures.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unix time in nanoseconds, on the clock that stamps the captures.
    pub time_ns: u64,
    /// The node that saw it; the testbed itself writes `scenario`.
    pub node: String,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The node name under which the testbed's own events stand.
pub const SCENARIO: &str = "scenario";

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A daemon can serve; the scenario clock waits for all of them.
    Ready,
    /// The scenario clock is at zero.
    ScenarioStarted,
    /// A scenario step was carried out.
    ScenarioStep {
        /// What it did, in words.
        what: String,
    },
    /// The scenario's duration is over.
    ScenarioEnded,
    /// The trigger condition of a handover holds.
    HandoverStarted {
        /// Number of the handover at this node, from 1.
        handover: u32,
        /// The edge router left.
        from: String,
        /// Why: `signal` or `link lost`.
        reason: String,
    },
    /// A phase begins.
    PhaseStarted {
        /// The handover.
        handover: u32,
        /// The phase.
        phase: Phase,
    },
    /// A phase ends.
    PhaseEnded {
        /// The handover.
        handover: u32,
        /// The phase.
        phase: Phase,
    },
    /// The WMMS, and every correspondent in direct mode, acknowledged the binding.
    HandoverCompleted {
        /// The handover.
        handover: u32,
        /// The edge router arrived at.
        to: String,
        /// The new temporary address.
        t_addr: Ipv6Addr,
    },
    /// A handover was given up; the node tries again while it has no link.
    HandoverFailed {
        /// The handover.
        handover: u32,
        /// Why.
        reason: String,
    },
    /// A node registered at the WMMS.
    Registered {
        /// Permanent address.
        p_addr: Ipv6Addr,
        /// Temporary address.
        t_addr: Ipv6Addr,
    },
    /// The mobility table, or a cache, changed.
    BindingChanged {
        /// Permanent address.
        p_addr: Ipv6Addr,
        /// Temporary address.
        t_addr: Ipv6Addr,
        /// Whether requests are to be held back.
        held: bool,
    },
    /// An entry was removed: deregistered, lifetime over, or lifetime 0.
    BindingRemoved {
        /// Permanent address.
        p_addr: Ipv6Addr,
        /// Why.
        reason: String,
    },
    /// A client sends again what it kept back.
    Resumed {
        /// Permanent address of the node.
        p_addr: Ipv6Addr,
        /// Requests that were kept back.
        queued: u32,
    },
    /// A request ended without a response; its caller was told.
    RequestFailed {
        /// Permanent address of the node asked.
        p_addr: Ipv6Addr,
        /// Why: `timeout`, `reset`, `hold queue full`, `hold timeout`, `node unknown`, …
        reason: String,
    },
    /// A DHCPv6 lease was given or taken.
    Leased {
        /// The address.
        address: Ipv6Addr,
    },
    /// A program of the user's ended.
    ProgramExited {
        /// Its exit status; 128 and the signal's number if it was killed.
        status: i32,
    },
    /// A client has stopped polling (scenario over) and nothing is outstanding.
    Drained {
        /// Requests handed to the client since its start.
        requested: u64,
        /// Requests answered.
        answered: u64,
        /// Requests that failed.
        failed: u64,
    },
}

/// A phase of a handover (comp.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// From the first sample under the threshold to the decision.
    Trigger,
    /// Hold request to its answer.
    Hold,
    /// Leaving the old router and retuning (tL2).
    Link,
    /// Router solicitation to router advertisement (tMD).
    MovementDetection,
    /// Obtaining T_Addr (tAC without DAD).
    Address,
    /// Duplicate address detection of T_Addr (the rest of tAC).
    Dad,
    /// Binding update to its acknowledgement by the WMMS and the correspondents (tBU).
    Binding,
    /// From the binding's acknowledgement to the first request answered at the new address.
    Resume,
}

impl Phase {
    /// The name in `result.json`.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Trigger => "trigger",
            Phase::Hold => "hold",
            Phase::Link => "link",
            Phase::MovementDetection => "movement_detection",
            Phase::Address => "address",
            Phase::Dad => "dad",
            Phase::Binding => "binding",
            Phase::Resume => "resume",
        }
    }
}
