//! At which router a node is, as its events tell it.

use super::{EventKind, HandoverEvent, Phase, Reason};

/// With this reason a node that gives a handover up is back at its router (`docs/run-directory.md`).
pub const WENT_BACK: &str = "no better router heard";

/// What an event of a node says of the router that it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment<'a> {
    /// It has none from now on.
    Away,
    /// It is at this one.
    At(&'a str),
    /// It is at the one where it was last.
    Back,
}

impl<'a> Attachment<'a> {
    /// What `event` says of it, if it says something.
    pub fn told_by(event: &'a EventKind) -> Option<Attachment<'a>> {
        match event {
            // It has begun anew.
            EventKind::Ready => Some(Attachment::Back),
            EventKind::Handover(event) => match event {
                HandoverEvent::Started {
                    reason: Reason::LinkLost,
                    ..
                } => Some(Attachment::Away),
                HandoverEvent::PhaseStarted { phase, .. } if *phase == Phase::LINK => {
                    Some(Attachment::Away)
                }
                HandoverEvent::Completed { to, .. } => Some(Attachment::At(to)),
                HandoverEvent::Failed { reason, .. } if reason == WENT_BACK => {
                    Some(Attachment::Back)
                }
                _ => None,
            },
            _ => None,
        }
    }
}
