//! The sequence of a handover (CoMM §4.2, CoMP §3.2), without the messages.
//!
//! [`Handover`] decides when to leave a router, for which other one, and what comes next; its
//! owner carries the commands out (CoAP, radio, neighbour discovery, DHCPv6, duplicate
//! address detection) and reports each as done or failed.
//!
//! ```text
//!  attached ──► trigger ──► hold ──► link ──► movement detection ──► address ──► dad
//!     ▲  ▲         │          (unless the link is lost)                           │
//!     │  └─────────┘ called off                                                   ▼
//!     └──────────────────────── resume ◄──────────────────────────────────── binding
//! ```
//!
//! Every input takes the time, as those of [`coap::Machine`] do; a completion that comes
//! outside its phase is late and is ignored.
//!
//! *Sampling.* A signal register changes only through [`Handover::handle_signal`], so that
//! "the condition holds in `samples` samples in a row" is "it held since the first of them":
//! one timer, armed only while it holds. A node that stands still costs nothing.

mod api;

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Duration;

use units::{Channel, Dbm, PanId, SimTime};

pub use api::{Candidate, Command, Config, Event, Phase, Reason, Trigger};

/// Where the sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the serving router; `decide_at` while the trigger condition holds.
    Attached { decide_at: Option<SimTime> },
    /// In a phase of the current handover.
    Running(Running),
    /// Without a usable link, until the next try.
    Resting { until: SimTime },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Running {
    phase: Phase,
    /// The candidate retuned to; in the link phase, `None` means searching.
    target: Option<usize>,
    t_addr: Option<Ipv6Addr>,
    /// Whether a request came to the new address already.
    requested: bool,
}

/// The handover sequencer.
///
/// Give it `handle_signal`, `handle_timeout` and the completions; then drain
/// [`Handover::poll_event`] and [`Handover::poll_command`], then arm a timer for
/// [`Handover::poll_timeout`].
#[derive(Clone, Debug)]
pub struct Handover {
    config: Config,
    /// The signal register of each candidate.
    signals: Vec<Option<Dbm>>,
    serving: usize,
    /// Handovers started so far.
    count: u32,
    state: State,
    /// The handover whose resume phase is open.
    resuming: Option<u32>,
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
}

impl Handover {
    /// A node that is attached to `config.serving`.
    ///
    /// # Panics
    /// If `config.serving` is not the place of a candidate.
    pub fn new(config: Config) -> Handover {
        assert!(
            config.serving < config.candidates.len(),
            "serving candidate {} of {}",
            config.serving,
            config.candidates.len()
        );
        Handover {
            signals: vec![None; config.candidates.len()],
            serving: config.serving,
            count: 0,
            state: State::Attached { decide_at: None },
            resuming: None,
            commands: VecDeque::new(),
            events: VecDeque::new(),
            config,
        }
    }

    /// The candidate that the node is, or was last, bound at.
    pub fn serving(&self) -> usize {
        self.serving
    }

    /// Whether the node is between two links, or holds to leave one.
    pub fn in_progress(&self) -> bool {
        !matches!(self.state, State::Attached { .. })
    }

    /// The next command to carry out.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The next event for the owner.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Handover::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<SimTime> {
        match self.state {
            State::Attached { decide_at } => decide_at,
            State::Running(_) => None,
            State::Resting { until } => Some(until),
        }
    }

    /// The instant of [`Handover::poll_timeout`] has come (calling it early is harmless).
    pub fn handle_timeout(&mut self, now: SimTime) {
        match self.state {
            State::Attached {
                decide_at: Some(at),
            } if at <= now => self.decide(),
            State::Resting { until } if until <= now => self.start_without_link(),
            _ => {}
        }
    }

    /// The signal register of a PAN changed; `None`: nothing is heard. PANs that are no
    /// candidates are ignored.
    pub fn handle_signal(
        &mut self,
        now: SimTime,
        channel: Channel,
        pan_id: PanId,
        rssi: Option<Dbm>,
    ) {
        let here = |c: &Candidate| c.channel == channel && c.pan_id == pan_id;
        let Some(changed) = self.config.candidates.iter().position(here) else {
            return;
        };
        self.signals[changed] = rssi;
        let lost = rssi.is_none();
        match self.state {
            State::Attached { .. } if lost && changed == self.serving => self.start_without_link(),
            State::Attached { .. } => self.evaluate(now),
            // Nothing can be sent any more, and no answer will come.
            State::Running(r) if r.phase == Phase::Hold && lost && changed == self.serving => {
                self.commands.clear();
                self.leave_hold();
            }
            State::Running(r) if r.phase == Phase::Link && r.target.is_none() => self.retune(),
            State::Running(r) if lost && r.target == Some(changed) => {
                let router = &self.config.candidates[changed].router;
                self.give_up(format!("{router} lost"));
                self.start_without_link();
            }
            State::Running(_) | State::Resting { .. } => {}
        }
    }

    /// The hold is answered.
    pub fn hold_done(&mut self, _now: SimTime) {
        if self.running(Phase::Hold).is_some() {
            self.leave_hold();
        }
    }

    /// The radio is tuned to the candidate.
    pub fn link_ready(&mut self, _now: SimTime) {
        if let Some(r) = self.running(Phase::Link).filter(|r| r.target.is_some()) {
            self.enter(r, Phase::MovementDetection, Command::Solicit);
        }
    }

    /// The new router's advertisement is in.
    pub fn router_advertised(&mut self, _now: SimTime) {
        if let Some(r) = self.running(Phase::MovementDetection) {
            self.enter(r, Phase::Address, Command::AcquireAddress);
        }
    }

    /// The node has an address at the new router.
    pub fn address_acquired(&mut self, _now: SimTime, address: Ipv6Addr) {
        let Some(r) = self.running(Phase::Address) else {
            return;
        };
        let r = Running {
            t_addr: Some(address),
            ..r
        };
        if self.config.dad {
            self.enter(r, Phase::Dad, Command::CheckAddress { address });
        } else {
            self.enter(r, Phase::Binding, Command::Bind { t_addr: address });
        }
    }

    /// Nobody else has `address`.
    pub fn address_usable(&mut self, _now: SimTime, address: Ipv6Addr) {
        if let Some(r) = self
            .running(Phase::Dad)
            .filter(|r| r.t_addr == Some(address))
        {
            self.enter(r, Phase::Binding, Command::Bind { t_addr: address });
        }
    }

    /// The binding is acknowledged.
    pub fn bound(&mut self, now: SimTime) {
        let Some(r) = self.running(Phase::Binding) else {
            return;
        };
        let (Some(target), Some(t_addr)) = (r.target, r.t_addr) else {
            return;
        };
        self.end_phase(Phase::Binding);
        self.events.push_back(Event::HandoverCompleted {
            handover: self.count,
            to: self.config.candidates[target].router.clone(),
            t_addr,
        });
        self.serving = target;
        self.start_phase(Phase::Resume);
        self.resuming = Some(self.count);
        if r.requested {
            self.end_resume();
        }
        self.state = State::Attached { decide_at: None };
        self.evaluate(now);
    }

    /// A request came to the new address. Every one may be reported; the first counts.
    pub fn first_request(&mut self, _now: SimTime) {
        if let State::Running(r) = &mut self.state {
            // In direct mode a correspondent may be faster than the WMMS.
            r.requested |= r.phase == Phase::Binding;
        } else {
            self.end_resume();
        }
    }

    /// The step that was commanded last cannot be done. A hold that fails does not keep the
    /// node from moving; after any other failure the handover is given up and, after
    /// [`Trigger::sample_every`], another one starts.
    pub fn step_failed(&mut self, now: SimTime, reason: impl Into<String>) {
        match self.state {
            State::Running(r) if r.phase == Phase::Hold => self.leave_hold(),
            State::Running(_) => {
                self.give_up(reason.into());
                // Never at once: a step that fails immediately would spin.
                let rest = self
                    .config
                    .trigger
                    .sample_every
                    .max(Duration::from_millis(1));
                self.state = State::Resting { until: now + rest };
            }
            State::Attached { .. } | State::Resting { .. } => {}
        }
    }

    /// Starts or calls off the trigger phase as the registers now are.
    fn evaluate(&mut self, now: SimTime) {
        let State::Attached { decide_at } = self.state else {
            return;
        };
        match (self.condition_holds(), decide_at) {
            (true, None) => {
                self.start_trigger();
                let trigger = &self.config.trigger;
                let more = trigger.samples.saturating_sub(1);
                let decide_at = Some(now + trigger.sample_every.saturating_mul(more));
                self.state = State::Attached { decide_at };
                if more == 0 {
                    self.decide();
                }
            }
            (false, Some(_)) => {
                self.push_ended(self.count + 1, Phase::Trigger);
                self.state = State::Attached { decide_at: None };
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn condition_holds(&self) -> bool {
        let trigger = &self.config.trigger;
        let other = self.best_but_serving().and_then(|i| self.signals[i]);
        match (self.signals[self.serving], other) {
            (Some(serving), Some(other)) => {
                serving < trigger.threshold && other >= serving + trigger.hysteresis
            }
            _ => false,
        }
    }

    /// The strongest candidate that is heard and passes `filter`, the first of equals.
    fn best(&self, filter: impl Fn(usize) -> bool) -> Option<usize> {
        let mut best: Option<(usize, Dbm)> = None;
        for (i, signal) in self.signals.iter().enumerate() {
            if let Some(signal) = signal.filter(|_| filter(i))
                && best.is_none_or(|(_, strongest)| signal > strongest)
            {
                best = Some((i, signal));
            }
        }
        best.map(|(i, _)| i)
    }

    fn best_but_serving(&self) -> Option<usize> {
        self.best(|i| i != self.serving)
    }

    /// The condition held long enough.
    fn decide(&mut self) {
        self.start(Reason::Signal);
        if !self.config.hold {
            self.enter_link(self.best_but_serving());
            return;
        }
        self.start_phase(Phase::Hold);
        self.commands.push_back(Command::Hold);
        self.state = State::Running(Running {
            phase: Phase::Hold,
            target: None,
            t_addr: None,
            requested: false,
        });
    }

    /// There is no link to send anything over: no hold, the strongest candidate at once.
    fn start_without_link(&mut self) {
        let triggering = matches!(self.state, State::Attached { decide_at: Some(_) });
        if !triggering {
            self.start_trigger();
        }
        self.start(Reason::LinkLost);
        self.enter_link(self.best(|_| true));
    }

    fn start_trigger(&mut self) {
        self.events.push_back(Event::PhaseStarted {
            handover: self.count + 1,
            phase: Phase::Trigger,
        });
    }

    /// Ends the trigger phase with a handover.
    fn start(&mut self, reason: Reason) {
        self.end_resume();
        self.commands.clear();
        self.count += 1;
        self.end_phase(Phase::Trigger);
        self.events.push_back(Event::HandoverStarted {
            handover: self.count,
            from: self.config.candidates[self.serving].router.clone(),
            reason,
        });
    }

    /// If every other candidate has vanished meanwhile, the old router is bound again: the
    /// correspondents are on hold and must be told something.
    fn leave_hold(&mut self) {
        self.end_phase(Phase::Hold);
        self.enter_link(self.best_but_serving().or_else(|| self.best(|_| true)));
    }

    fn enter_link(&mut self, target: Option<usize>) {
        self.start_phase(Phase::Link);
        self.tune(target);
    }

    /// Searching: takes the strongest candidate, if there is one by now.
    fn retune(&mut self) {
        self.tune(self.best(|_| true));
    }

    fn tune(&mut self, target: Option<usize>) {
        if let Some(candidate) = target {
            self.commands.push_back(Command::Retune { candidate });
        }
        self.state = State::Running(Running {
            phase: Phase::Link,
            target,
            t_addr: None,
            requested: false,
        });
    }

    /// From the running phase to the next one.
    fn enter(&mut self, running: Running, phase: Phase, command: Command) {
        self.end_phase(running.phase);
        self.start_phase(phase);
        self.commands.push_back(command);
        self.state = State::Running(Running { phase, ..running });
    }

    /// Ends the running phase and the handover; the caller sets the next state.
    fn give_up(&mut self, reason: String) {
        if let State::Running(r) = self.state {
            self.end_phase(r.phase);
        }
        self.commands.clear();
        self.events.push_back(Event::HandoverFailed {
            handover: self.count,
            reason,
        });
    }

    fn running(&self, phase: Phase) -> Option<Running> {
        match self.state {
            State::Running(r) if r.phase == phase => Some(r),
            _ => None,
        }
    }

    fn end_resume(&mut self) {
        if let Some(handover) = self.resuming.take() {
            self.push_ended(handover, Phase::Resume);
        }
    }

    fn start_phase(&mut self, phase: Phase) {
        self.events.push_back(Event::PhaseStarted {
            handover: self.count,
            phase,
        });
    }

    fn end_phase(&mut self, phase: Phase) {
        self.push_ended(self.count, phase);
    }

    fn push_ended(&mut self, handover: u32, phase: Phase) {
        self.events.push_back(Event::PhaseEnded { handover, phase });
    }
}

#[cfg(test)]
mod tests;
