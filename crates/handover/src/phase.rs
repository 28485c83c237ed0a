//! Phases of a handover, by name.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A phase of a handover. The constants are the sequencer's own and the names in use for what a
/// mobility protocol does before a node leaves and after it has an address; a protocol may have
/// other phases, any number of them, and they may overlap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phase(Cow<'static, str>);

impl Phase {
    /// From the first sample under the threshold to the decision.
    pub const TRIGGER: Phase = Phase::named("trigger");
    /// A protocol's, before the node leaves: having others keep back what is for it.
    pub const HOLD: Phase = Phase::named("hold");
    /// Leaving the old router, finding the new one and retuning (tL2).
    pub const LINK: Phase = Phase::named("link");
    /// Router solicitation to router advertisement (tMD).
    pub const MOVEMENT_DETECTION: Phase = Phase::named("movement_detection");
    /// Obtaining the address at the new router (tAC without DAD).
    pub const ADDRESS: Phase = Phase::named("address");
    /// Duplicate address detection of that address (the rest of tAC).
    pub const DAD: Phase = Phase::named("dad");
    /// A protocol's, after that: making the address known, until it is acknowledged (tBU).
    pub const BINDING: Phase = Phase::named("binding");
    /// From there to the first request at the new address.
    pub const RESUME: Phase = Phase::named("resume");

    /// The phase with this name: a word in lower case, `return_routability`.
    pub const fn named(name: &'static str) -> Phase {
        Phase(Cow::Borrowed(name))
    }

    /// The name in `events.jsonl` and `result.json`.
    pub fn name(&self) -> &str {
        &self.0
    }
}
