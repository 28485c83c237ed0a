//! The mobility protocol's part of a handover, as the sequencer sees it.

use std::net::Ipv6Addr;

use units::SimTime;

use super::{First, Sequencer, Stage, State};
use crate::event::Event;
use crate::mobility::Step;
use crate::phase::Phase;

/// A phase that ends when somebody else says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    handover: u32,
    phase: Phase,
}

impl Sequencer {
    /// The mobility protocol has taken a step. [`Step::Attached`] is to be passed on only if it is
    /// about the address that the node has. Phases count while the protocol is asked for something
    /// in a handover, so that it may use the same procedures outside one.
    pub fn handle_step(&mut self, now: SimTime, step: Step) {
        match step {
            Step::Attached { .. } => self.attached(now),
            Step::Prepared => {
                if self.running(Stage::Preparing).is_some() {
                    self.leave(now);
                }
            }
            Step::Bound { address } => self.bound(now, address),
            Step::Failed { reason } => {
                if self.protocol_is_asked() {
                    self.step_failed(now, reason);
                }
            }
            Step::PhaseStarted(phase) => {
                if self.protocol_is_asked() {
                    self.open(phase);
                }
            }
            Step::PhaseEnded(phase) => self.close(&phase),
            // Of a node that hands over nobody wants to know.
            Step::SleepAnnounced | Step::SleepRefused { .. } => {}
        }
    }

    fn protocol_is_asked(&self) -> bool {
        let stage = [Stage::Preparing, Stage::Binding];
        matches!(self.state, State::Running(r) if stage.contains(&r.stage))
    }

    /// The first address is known. Ignored while the node is on its way to another router.
    fn attached(&mut self, now: SimTime) {
        let State::Attaching(first) = self.state else {
            return;
        };
        match first {
            First::Here => self.attach(now),
            First::Searching => {
                self.state = State::Attached { decide_at: None };
                self.start_without_link(now);
            }
            First::Going(_) => {}
        }
    }

    /// The new address is known.
    fn bound(&mut self, now: SimTime, t_addr: Ipv6Addr) {
        let of_address = |r: &super::Running| r.address == Some(t_addr);
        let Some(r) = self.running(Stage::Binding).filter(of_address) else {
            return;
        };
        let Some(target) = r.target else {
            return;
        };
        self.events.push_back(Event::Completed {
            handover: self.count,
            to: self.config.candidates[target].router.clone(),
            t_addr,
        });
        self.serving = target;
        self.open(Phase::RESUME);
        if r.requested {
            self.close(&Phase::RESUME);
        }
        self.attach(now);
    }

    /// A phase begins that does not end with the stage; one that is open already stays so.
    fn open(&mut self, phase: Phase) {
        if self.open.iter().any(|open| open.phase == phase) {
            return;
        }
        let handover = self.count;
        self.start_phase(phase.clone());
        self.open.push(Open { handover, phase });
    }

    /// Ends a phase, if it is open.
    pub(super) fn close(&mut self, phase: &Phase) {
        if let Some(at) = self.open.iter().position(|open| open.phase == *phase) {
            let Open { handover, phase } = self.open.remove(at);
            self.push_ended(handover, phase);
        }
    }

    /// Ends all phases that are open.
    pub(super) fn close_all(&mut self) {
        for Open { handover, phase } in std::mem::take(&mut self.open) {
            self.push_ended(handover, phase);
        }
    }
}
