//! The sequence of a handover, without the messages.
//!
//! [`Sequencer`] decides when to leave a router, for which other one, and what comes next; its
//! owner carries the commands out (mobility protocol, radio, neighbour discovery, DHCPv6, duplicate
//! address detection) and reports each as done or failed.
//!
//! ```text
//!  attaching
//!     │
//!     ▼                                  ┌──► scan, channel by channel
//!  attached ──► trigger ──► (prepare) ──► link ──► movement detection ──► address ──► dad
//!     ▲  ▲         │            │           │                                          │
//!     │  └─────────┴────────────┴───────────┘ called off                               ▼
//!     └──────────────────────── resume ◄─────────────────────────────────────────── (bind)
//! ```
//!
//! What is in brackets is the mobility protocol's ([`Mobility`](crate::Mobility)): it has phases
//! there under names of its own, one or several, one after the other or at the same time, or none,
//! and reports them in [`Sequencer::handle_step`]. A phase that is still open when the node is bound
//! goes on, until the protocol ends it or the next handover starts.
//!
//! A lost link leaves nothing to prepare. A node that is attaching looks for its first router in the
//! same way, without phases and events. A failed step after the link phase began, or the loss of the
//! new router, gives the handover up and starts the next one at the link phase.
//!
//! Every input takes the time, as in every core here; a completion that comes outside its phase
//! is late and is ignored.
//!
//! *Sampling.* A signal register changes only through [`Sequencer::handle_signal`], so that
//! "the condition holds in `samples` samples in a row" is "it held since the first of them":
//! one timer, armed only while it holds. A node that stands still costs nothing.
//!
//! *Scanning.* With [`Config::scan`] the node hears the channel only that its radio is on:
//!
//! * A register of another channel holds what was measured there when the radio was last on
//!   it, for a while (`Scanner::memory`: with early scanning a round and its longest delay, else
//!   as long as a scan takes, doubled up to eight times with each scan in a row that brought the
//!   serving router not back over the threshold). Then nothing is known of that channel.
//! * The trigger's condition is also true if nothing is known of some other channel.
//! * In the link phase the node goes straight to a router that is known to be better by the
//!   hysteresis. Else it listens on all other channels, on each until all candidates there are
//!   heard or for [`Scan::dwell`], and goes to the best one if that is better at all than the
//!   old router was when it was last heard; else it goes back and the handover is called off.
//! * Without a link any router will do: it goes to the best that is known, or listens on
//!   one channel after the other, its old one too, until something is heard on one.
//! * [`EarlyScan`]: while attached, with a weak signal, one other channel at a time, and in
//!   between on its own for as long as it may have been away and until it has heard its router
//!   again. A round that has begun is broken off only by a signal that recovers; a trigger
//!   that is due while the radio is away decides when it is back.

mod api;
mod protocol;
mod scanner;
mod search;

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Duration;

use units::{Channel, Dbm, SimTime};

use crate::event::{Event, Reason};
use crate::phase::Phase;
use crate::signal::Signal;
pub use api::{Candidate, Command, Config, EarlyScan, Scan, Trigger};
use protocol::Open;
use scanner::{Scanner, Tuning};

/// Where the sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not registered for the first time.
    Attaching(First),
    /// At the serving router; `decide_at` while the trigger condition holds.
    Attached { decide_at: Option<SimTime> },
    /// In a phase of the current handover.
    Running(Running),
    /// Without a usable link, until the next try.
    Resting { until: SimTime },
}

/// Where a node stands that attaches for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// At the serving candidate, as far as is known.
    Here,
    /// That one is not heard, and no other one so far.
    Searching,
    /// Retuning to this candidate.
    Going(usize),
}

/// What is done in a handover under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The mobility protocol prepares the node's leaving, in whatever phases it has.
    Preparing,
    Link,
    MovementDetection,
    Address,
    Dad,
    /// The mobility protocol makes the address known, in whatever phases it has.
    Binding,
}

impl Stage {
    /// The phase, if the stage is one of the sequencer's own.
    fn phase(self) -> Option<Phase> {
        match self {
            Stage::Preparing | Stage::Binding => None,
            Stage::Link => Some(Phase::LINK),
            Stage::MovementDetection => Some(Phase::MOVEMENT_DETECTION),
            Stage::Address => Some(Phase::ADDRESS),
            Stage::Dad => Some(Phase::DAD),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Running {
    stage: Stage,
    /// The candidate retuned to; in the link phase, `None` means searching.
    target: Option<usize>,
    /// The address there.
    address: Option<Ipv6Addr>,
    /// Whether a request came to the new address already.
    requested: bool,
}

/// The handover sequencer.
///
/// Give it `handle_signal`, `handle_timeout` and the completions; then drain
/// [`Sequencer::poll_event`] and [`Sequencer::poll_command`], then arm a timer for
/// [`Sequencer::poll_timeout`].
#[derive(Clone, Debug)]
pub struct Sequencer {
    config: Config,
    /// The signal register of each candidate.
    signals: Vec<Option<Dbm>>,
    serving: usize,
    /// Handovers started so far.
    count: u32,
    state: State,
    /// The phases that the sequencer does not end by itself at the end of a stage: those of the
    /// mobility protocol, and the resume phase. In the order in which they began.
    open: Vec<Open>,
    /// Whether the search for a router began without a link.
    without_link: bool,
    /// None: all channels are heard at once.
    scanner: Option<Scanner>,
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
}

impl Sequencer {
    /// A node that is attached to `config.serving`.
    ///
    /// # Panics
    /// If `config.serving` is not the place of a candidate.
    pub fn new(config: Config) -> Sequencer {
        Sequencer::starting(config, State::Attached { decide_at: None })
    }

    /// A node that is tuned to `config.serving` and attaches there, or at another candidate if
    /// that one is not heard, until [`Step::Attached`](crate::Step::Attached). Commands are [`Command::Listen`],
    /// [`Command::Retune`] and [`Command::Solicit`] only; there are no events.
    ///
    /// # Panics
    /// As [`Sequencer::new`].
    pub fn attaching(config: Config) -> Sequencer {
        Sequencer::starting(config, State::Attaching(First::Here))
    }

    fn starting(config: Config, state: State) -> Sequencer {
        assert!(
            config.serving < config.candidates.len(),
            "serving candidate {} of {}",
            config.serving,
            config.candidates.len()
        );
        Sequencer {
            signals: vec![None; config.candidates.len()],
            serving: config.serving,
            count: 0,
            state,
            open: Vec::new(),
            without_link: true,
            scanner: Scanner::new(&config),
            commands: VecDeque::new(),
            events: VecDeque::new(),
            config,
        }
    }

    /// The candidate that the node is, or was last, bound at.
    pub fn serving(&self) -> usize {
        self.serving
    }

    /// Whether the node has not been attached yet.
    pub fn is_attaching(&self) -> bool {
        matches!(self.state, State::Attaching(_))
    }

    /// Whether the node is between two links, or prepares to leave one.
    pub fn in_progress(&self) -> bool {
        matches!(self.state, State::Running(_) | State::Resting { .. })
    }

    /// The next command to carry out.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The next event for the owner.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Sequencer::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<SimTime> {
        match self.tuning() {
            Tuning::Changing { .. } => return None,
            Tuning::Dwelling { until } => return Some(until),
            Tuning::Settled => {}
        }
        match self.state {
            State::Attached {
                decide_at: Some(at),
            } => Some(at),
            State::Attached { decide_at: None } => self.looks_around_at(),
            State::Attaching(_) | State::Running(_) => None,
            State::Resting { until } => Some(until),
        }
    }

    /// The instant of [`Sequencer::poll_timeout`] has come (calling it early is harmless).
    pub fn handle_timeout(&mut self, now: SimTime) {
        if self.poll_timeout().is_none_or(|due| due > now) {
            return;
        }
        if matches!(self.tuning(), Tuning::Dwelling { .. }) {
            return self.dwell_over(now);
        }
        match self.state {
            State::Attached { decide_at: Some(_) } => self.decide(),
            State::Attached { decide_at: None } => self.look_around(now),
            State::Resting { .. } => self.start_without_link(now),
            State::Attaching(_) | State::Running(_) => {}
        }
    }

    /// A signal register changed. PANs that are no candidates are ignored.
    pub fn handle_signal(&mut self, now: SimTime, signal: Signal) {
        let rssi = signal.rssi;
        let here = |c: &Candidate| c.channel == signal.channel && c.pan_id == signal.pan_id;
        let Some(changed) = self.config.candidates.iter().position(here) else {
            return;
        };
        self.signals[changed] = rssi;
        let lost = rssi.is_none();
        self.note(changed, rssi);
        match self.state {
            State::Attached { .. } if lost && changed == self.serving => {
                self.start_without_link(now);
            }
            State::Attached { .. } => self.evaluate(now),
            // Nothing can be sent any more, and no answer will come.
            State::Running(r) if r.stage == Stage::Preparing && lost && changed == self.serving => {
                self.commands.clear();
                self.leave(now);
            }
            State::Running(r) if lost && r.target == Some(changed) => {
                let router = &self.config.candidates[changed].router;
                self.give_up(format!("{router} lost"));
                self.start_without_link(now);
            }
            State::Attaching(First::Here) if lost && changed == self.serving => self.search(now),
            State::Attaching(First::Going(there)) if lost && changed == there => self.search(now),
            _ if self.is_searching() && self.scanner.is_none() => self.search(now),
            _ => {}
        }
        if self.scanner.as_ref().is_some_and(Scanner::has_heard_all) {
            self.dwell_over(now);
        }
    }

    /// The radio went to sleep, and nothing is sampled any more: a trigger is called off. To be given
    /// while attached; signals wait until [`Sequencer::awake`].
    pub fn asleep(&mut self, _now: SimTime) {
        if let State::Attached { decide_at: Some(_) } = self.state {
            self.call_off_trigger();
        }
    }

    /// The radio is on again. What the registers hold is older than the sleep: however few samples
    /// the trigger wants, the first one is taken [`Trigger::sample_every`] later.
    pub fn awake(&mut self, now: SimTime) {
        let of_sleep = State::Attached { decide_at: None };
        if self.state == of_sleep && self.condition_holds(now) {
            self.sample(now, 1);
        }
    }

    /// The radio is tuned to the channel that the last [`Command::Listen`] named. Any other
    /// channel is late and is ignored.
    pub fn listening(&mut self, now: SimTime, channel: Channel) {
        if self.tuning() == (Tuning::Changing { to: channel }) {
            self.tuned(now, channel);
        }
    }

    /// The radio is tuned to the candidate.
    pub fn link_ready(&mut self, now: SimTime) {
        if let State::Attaching(First::Going(there)) = self.state {
            self.arrive(now, there);
            self.serving = there;
            self.state = State::Attaching(First::Here);
            self.commands.push_back(Command::Solicit);
        } else if let Some(r) = self.running(Stage::Link)
            && let Some(target) = r.target
        {
            self.arrive(now, target);
            self.enter(r, Stage::MovementDetection, Command::Solicit);
        }
    }

    /// The new router's advertisement is in.
    pub fn router_advertised(&mut self, _now: SimTime) {
        if let Some(r) = self.running(Stage::MovementDetection) {
            self.enter(r, Stage::Address, Command::AcquireAddress);
        }
    }

    /// The node has an address at the new router.
    pub fn address_acquired(&mut self, _now: SimTime, address: Ipv6Addr) {
        let Some(r) = self.running(Stage::Address) else {
            return;
        };
        let r = Running {
            address: Some(address),
            ..r
        };
        if self.config.dad {
            self.enter(r, Stage::Dad, Command::CheckAddress { address });
        } else {
            self.enter(r, Stage::Binding, Command::Bind { address });
        }
    }

    /// Nobody else has `address`.
    pub fn address_usable(&mut self, _now: SimTime, address: Ipv6Addr) {
        if let Some(r) = self
            .running(Stage::Dad)
            .filter(|r| r.address == Some(address))
        {
            self.enter(r, Stage::Binding, Command::Bind { address });
        }
    }

    /// A request came to the new address. Every one may be reported; the first counts.
    pub fn first_request(&mut self, _now: SimTime) {
        if let State::Running(r) = &mut self.state {
            // A peer may be faster than the last one that the binding waits for.
            r.requested |= r.stage == Stage::Binding;
        } else {
            self.close(&Phase::RESUME);
        }
    }

    /// The step that was commanded last cannot be done. A preparation that fails does not keep the
    /// node from moving; after any other failure the handover is given up and, after
    /// [`Trigger::sample_every`], another one starts.
    pub fn step_failed(&mut self, now: SimTime, reason: impl Into<String>) {
        match self.state {
            State::Running(r) if r.stage == Stage::Preparing => self.leave(now),
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
            State::Attaching(_) | State::Attached { .. } | State::Resting { .. } => {}
        }
    }

    /// At the serving candidate, with a link.
    fn attach(&mut self, now: SimTime) {
        if let Some(scanner) = &mut self.scanner {
            scanner.settled(now);
        }
        self.note(self.serving, self.signals[self.serving]);
        self.state = State::Attached { decide_at: None };
        self.evaluate(now);
    }

    /// Starts or calls off the trigger phase as the registers now are.
    fn evaluate(&mut self, now: SimTime) {
        let State::Attached { decide_at } = self.state else {
            return;
        };
        match (self.condition_holds(now), decide_at) {
            (true, None) => {
                let more = self.sample(now, 0);
                if more == 0 && self.tuning() == Tuning::Settled {
                    self.decide();
                }
            }
            (false, Some(_)) => self.call_off_trigger(),
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Starts the trigger phase; how many samples are taken after now, `at_least` so many.
    fn sample(&mut self, now: SimTime, at_least: u32) -> u32 {
        self.start_trigger();
        let trigger = &self.config.trigger;
        let more = trigger.samples.saturating_sub(1).max(at_least);
        let decide_at = Some(now + trigger.sample_every.saturating_mul(more));
        self.state = State::Attached { decide_at };
        more
    }

    fn call_off_trigger(&mut self) {
        self.push_ended(self.count + 1, Phase::TRIGGER);
        self.state = State::Attached { decide_at: None };
    }

    fn condition_holds(&self, now: SimTime) -> bool {
        let trigger = &self.config.trigger;
        let Some(serving) = self.signals[self.serving] else {
            return false;
        };
        serving < trigger.threshold
            && (self.better_candidate(now, trigger.hysteresis).is_some() || self.is_unsure(now))
    }

    /// The condition held long enough.
    fn decide(&mut self) {
        self.start(Reason::Signal);
        self.commands.push_back(Command::Prepare);
        self.run(Stage::Preparing);
    }

    /// There is no link to send anything over: no preparation, the strongest candidate at once.
    fn start_without_link(&mut self, now: SimTime) {
        let triggering = matches!(self.state, State::Attached { decide_at: Some(_) });
        if !triggering {
            self.start_trigger();
        }
        self.start(Reason::LinkLost);
        self.enter_link(now);
    }

    fn start_trigger(&mut self) {
        self.events.push_back(Event::PhaseStarted {
            handover: self.count + 1,
            phase: Phase::TRIGGER,
        });
    }

    /// Ends the trigger phase with a handover.
    fn start(&mut self, reason: Reason) {
        self.close_all();
        self.commands.clear();
        self.without_link = reason == Reason::LinkLost;
        self.count += 1;
        self.end_phase(Phase::TRIGGER);
        self.events.push_back(Event::Started {
            handover: self.count,
            from: self.config.candidates[self.serving].router.clone(),
            reason,
        });
    }

    /// After the preparation, however it went.
    fn leave(&mut self, now: SimTime) {
        self.close_all();
        self.enter_link(now);
    }

    fn enter_link(&mut self, now: SimTime) {
        self.start_phase(Phase::LINK);
        self.run(Stage::Link);
        self.search(now);
    }

    /// A handover under way, without a target yet.
    fn run(&mut self, stage: Stage) {
        self.state = State::Running(Running {
            stage,
            target: None,
            address: None,
            requested: false,
        });
    }

    /// From the running stage to the next one.
    fn enter(&mut self, running: Running, stage: Stage, command: Command) {
        if let Some(phase) = running.stage.phase() {
            self.end_phase(phase);
        }
        if let Some(phase) = stage.phase() {
            self.start_phase(phase);
        }
        self.commands.push_back(command);
        self.state = State::Running(Running { stage, ..running });
    }

    /// Ends what is open and the handover; the caller sets the next state.
    fn give_up(&mut self, reason: String) {
        if let State::Running(r) = self.state
            && let Some(phase) = r.stage.phase()
        {
            self.end_phase(phase);
        }
        self.close_all();
        self.commands.clear();
        if let Some(scanner) = &mut self.scanner {
            scanner.stop();
        }
        self.events.push_back(Event::Failed {
            handover: self.count,
            reason,
        });
    }

    fn running(&self, stage: Stage) -> Option<Running> {
        match self.state {
            State::Running(r) if r.stage == stage => Some(r),
            _ => None,
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
