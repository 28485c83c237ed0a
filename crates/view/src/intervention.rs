//! What people want to happen in a run that they look at.
//!
//! A run in virtual time is a function of its inputs. So what somebody wants to happen at an instant becomes a step of its
//! scenario, and the run begins again: until that instant it is what it was, but for microseconds that one step more takes to read. Nothing
//! else has to be recorded to have it again.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::pace::Pacer;

/// A step of the scenario that somebody wants.
#[derive(Debug)]
pub struct Intervention {
    /// As a topology has it: `{ at: 3 s, crash: er1 }`.
    pub step: String,
    /// Where whoever wants it is in the scenario: the run is to be there again as soon as it can.
    pub at: Duration,
    /// That the run has begun again with it, or why it does not. Dropped by who does not wait any more, and then it is not wanted.
    pub answer: oneshot::Sender<Result<(), String>>,
}

/// How a run is steered by who looks at it.
#[derive(Clone, Debug, Default)]
pub struct Steering {
    /// The clock that holds it while it goes on.
    pub pacer: Option<Pacer>,
    /// Who makes it begin again with another step.
    pub interventions: Option<mpsc::Sender<Intervention>>,
}
