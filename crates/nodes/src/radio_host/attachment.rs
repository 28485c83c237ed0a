//! How a radio host stands at its router: it stays, or a sequencer decides when it leaves.

use handover::{Sequencer, Step};
use units::SimTime;

/// How the node is attached.
#[derive(Debug)]
pub(super) enum Attachment {
    /// To one router for good.
    Fixed {
        /// Whether its first address is known.
        attached: bool,
    },
    /// To whichever router the sequencer says.
    Moving(Box<Sequencer>),
}

impl Attachment {
    /// Whether the first address is not known yet to those who have to know it.
    pub(super) fn is_attaching(&self) -> bool {
        match self {
            Attachment::Fixed { attached } => !attached,
            Attachment::Moving(sequencer) => sequencer.is_attaching(),
        }
    }

    /// Whether the node is between two routers, or prepares to leave one.
    pub(super) fn in_progress(&self) -> bool {
        match self {
            Attachment::Fixed { .. } => false,
            Attachment::Moving(sequencer) => sequencer.in_progress(),
        }
    }

    /// When [`Attachment::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<SimTime> {
        match self {
            Attachment::Fixed { .. } => None,
            Attachment::Moving(sequencer) => sequencer.poll_timeout(),
        }
    }

    /// The instant of [`Attachment::poll_timeout`] has come.
    pub(super) fn handle_timeout(&mut self, now: SimTime) {
        if let Some(sequencer) = self.sequencer() {
            sequencer.handle_timeout(now);
        }
    }

    /// The mobility protocol has taken a step.
    pub(super) fn handle_step(&mut self, now: SimTime, step: Step) {
        match self {
            Attachment::Fixed { attached } => *attached |= matches!(step, Step::Attached { .. }),
            Attachment::Moving(sequencer) => sequencer.handle_step(now, step),
        }
    }

    /// The sequencer of a node that moves.
    pub(super) fn sequencer(&mut self) -> Option<&mut Sequencer> {
        match self {
            Attachment::Fixed { .. } => None,
            Attachment::Moving(sequencer) => Some(sequencer),
        }
    }
}
