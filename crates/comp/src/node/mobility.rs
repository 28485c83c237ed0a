//! The node's procedures as the steps of a handover.

use handover::{Mobility, Step};

use super::*;

/// CoMP's order: a hold before the node leaves, if [`Config::hold`] says so, in the phase
/// [`Phase::HOLD`], and a binding update when it has an address, in the phase [`Phase::BINDING`].
/// A first address is registered. A sleep is announced by a hold with a Sleep period.
///
/// [`Node`] gives the steps as [`Event::Step`], too, in their order among the other events.
impl Mobility for Node {
    /// [`Node::register`].
    fn attach(&mut self, now: SimTime, address: Ipv6Addr) {
        self.register(now, address);
    }

    /// [`Node::hold`], or nothing.
    fn prepare(&mut self, now: SimTime) {
        match self.config.hold {
            true => self.hold(now),
            false => self.step(Step::Prepared),
        }
    }

    /// What the node asked others is not answered any more. That is sent again, and what it asks
    /// from now on is sent, after [`Mobility::bind`] or [`Mobility::awake`].
    fn leave(&mut self, now: SimTime) {
        self.client.recall(&mut self.endpoint);
        self.handle_events(now);
    }

    /// Tells the WMMS, and in direct mode every correspondent at once, that the node is now at
    /// `address`. Takes the place of an unfinished hold or binding.
    fn bind(&mut self, now: SimTime, address: Ipv6Addr) {
        self.abandon_procedures();
        self.endpoint.hold_notifications();
        self.client.recall(&mut self.endpoint);
        if self.registrar.moved(&mut self.endpoint, address) {
            self.client.moved();
        }
        let mode = self.config.binding;
        self.binding = Some(Binding {
            t_addr: address,
            mode,
            acknowledged: false,
            until: now + patience(&self.config.coap),
            keeps_back: true,
        });
        self.step(Step::PhaseStarted(Phase::BINDING));
        self.send_binding(now, &self.binding_update(address), mode);
        self.handle_events(now);
    }

    /// WMMS and correspondents take a binding for the end of a hold, and for that of a sleep that was
    /// announced, or was being announced, when the handover began.
    fn stay(&mut self, now: SimTime, address: Ipv6Addr) {
        if self.config.hold || self.client.is_paused() {
            self.bind(now, address);
        }
    }

    /// [`Node::sleep`].
    fn announce_sleep(&mut self, now: SimTime, period: Duration) {
        self.sleep(now, period);
    }

    /// The node has bound nothing: its sleep period is over, and observers hear of the latest
    /// state.
    fn awake(&mut self, now: SimTime) {
        self.endpoint.release_notifications(now);
        self.client.resume_all(now, &mut self.endpoint);
        self.handle_events(now);
    }

    fn poll_step(&mut self) -> Option<Step> {
        let is_step = |event: &Event| matches!(event, Event::Step(_));
        let first = self.events.iter().position(is_step)?;
        match self.events.remove(first) {
            Some(Event::Step(step)) => Some(step),
            _ => None,
        }
    }
}

impl Node {
    pub(super) fn step(&mut self, step: Step) {
        self.events.push_back(Event::Step(step));
    }

    /// The WMMS answered a hold, or that of a sleep, or did not.
    pub(super) fn hold_ended(&mut self, sleep: bool, answer: Result<u16, String>) {
        if !sleep {
            self.step(Step::PhaseEnded(Phase::HOLD));
        }
        self.step(match &answer {
            Ok(_) if sleep => Step::SleepAnnounced,
            Ok(_) => Step::Prepared,
            Err(reason) => {
                let reason = format!("hold: {reason}");
                match sleep {
                    true => Step::SleepRefused { reason },
                    false => Step::Failed { reason },
                }
            }
        });
        if let Ok(sequence_number) = answer {
            self.events
                .push_back(Event::HoldAnswered { sequence_number });
        }
    }

    /// The binding ended.
    pub(super) fn binding_ended(&mut self, outcome: Step) {
        self.step(Step::PhaseEnded(Phase::BINDING));
        self.step(outcome);
    }
}
