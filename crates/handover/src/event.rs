//! What a node tells of its handovers; `events.jsonl` has it in this form.

use std::fmt;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use crate::Phase;

/// Something happened in a handover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event")]
pub enum Event {
    /// The trigger condition holds, or the link is lost.
    #[serde(rename = "handover_started")]
    Started {
        /// Number of the handover at this node, from 1.
        handover: u32,
        /// The edge router left.
        from: String,
        /// Why.
        reason: Reason,
    },
    /// A phase begins. A trigger that is called off ends without [`Event::Started`]; the next one
    /// has the same number.
    #[serde(rename = "phase_started")]
    PhaseStarted {
        /// The handover.
        handover: u32,
        /// The phase.
        phase: Phase,
    },
    /// A phase ends.
    #[serde(rename = "phase_ended")]
    PhaseEnded {
        /// The handover.
        handover: u32,
        /// The phase.
        phase: Phase,
    },
    /// The new address is known to whom the mobility protocol tells it.
    #[serde(rename = "handover_completed")]
    Completed {
        /// The handover.
        handover: u32,
        /// The edge router arrived at.
        to: String,
        /// The new temporary address.
        t_addr: Ipv6Addr,
    },
    /// The handover was given up. Another one follows, at once or after a rest; after "no better
    /// router heard" only if the serving router stays weak or is lost.
    #[serde(rename = "handover_failed")]
    Failed {
        /// The handover.
        handover: u32,
        /// Why.
        reason: String,
    },
}

/// Why a handover starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The serving router's signal is weak and another's is better.
    #[serde(rename = "signal")]
    Signal,
    /// Nothing is heard any more.
    #[serde(rename = "link lost")]
    LinkLost,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Signal => "signal",
            Reason::LinkLost => "link lost",
        })
    }
}
