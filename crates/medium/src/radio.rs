//! One radio: its MAC's phase, what is due for it, what it is synchronised on, what it owes.

use std::collections::VecDeque;
use std::sync::Arc;

use units::{Channel, Dbm, Rng, Seed, SimTime};

use crate::energy::{Meter, State};
use crate::mpdu::Header;
use crate::{FrameId, Outcome, RadioConfig, RadioIndex, Reason, phy};

/// A frame of the radio's host, waiting or being sent.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub frame: FrameId,
    pub channel: Channel,
    pub queued: SimTime,
    pub mpdu: Arc<[u8]>,
    pub psdu: Arc<[u8]>,
    /// `None` if the MPDU is malformed.
    pub header: Option<Header>,
    /// Transmissions so far.
    pub attempts: u8,
    /// NB of §7.5.1.4: backoffs of this attempt that ended at a busy channel.
    pub busy: u8,
    /// BE of §7.5.1.4.
    pub exponent: u8,
    /// How it went at each receiver so far, in their order.
    pub progress: Vec<(RadioIndex, Outcome)>,
}

impl Job {
    /// Whether its sender waits for an ACK.
    pub fn wants_ack(&self) -> bool {
        self.header.is_some_and(|header| header.wants_ack())
    }

    /// Notes the outcome of one attempt at `radio`. True if its host gets the frame now: not
    /// if an earlier attempt was delivered.
    pub fn note(&mut self, radio: RadioIndex, outcome: Outcome) -> bool {
        let place = match self.progress.binary_search_by_key(&radio, |(r, _)| *r) {
            Ok(place) => place,
            Err(place) => {
                self.progress.insert(place, (radio, outcome));
                return matches!(outcome, Outcome::Delivered { .. });
            }
        };
        let before = &mut self.progress[place].1;
        match (&*before, outcome) {
            (Outcome::Delivered { .. }, _) => false,
            (Outcome::Dropped(_), Outcome::Delivered { .. }) => {
                *before = outcome;
                true
            }
            (Outcome::Dropped(old), Outcome::Dropped(new)) => {
                if *old != new {
                    *before = Outcome::Dropped(Reason::RetriesExhausted);
                }
                false
            }
        }
    }
}

/// Where the MAC is with the frame at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing at hand: an empty queue, or the interframe space before the next frame.
    Idle,
    /// Waiting for its random number of backoff periods.
    Backoff,
    /// Measuring; busy already if the radio could not measure at its begin.
    Cca { busy: bool },
    /// Found an idle channel, turning to transmit.
    Turning,
    /// On the air.
    Sending,
    /// Until the ACK or the end of `macAckWaitDuration`.
    AwaitingAck,
}

/// What is due for a radio at an instant, in the order in which things of one instant are done. Ends come
/// before beginnings: a frame that ends when a CCA or another frame begins does not overlap it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The radio's transmission ends.
    TransmissionEnd,
    /// The start-of-frame delimiter of the radio's transmission ends.
    ShrEnd,
    /// `macAckWaitDuration` is over.
    AckTimeout,
    /// The interframe space is over.
    Spaced,
    /// The backoff periods are over.
    CcaStart,
    /// The channel has been measured.
    CcaEnd,
    /// The radio's ACK begins.
    AckStart,
    /// The radio's frame begins.
    Start,
}

/// A frame that a receiver is synchronised on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lock {
    /// [`crate::air::OnAir::id`].
    pub transmission: u64,
    pub start: SimTime,
    pub shr_end: SimTime,
    pub rssi: Dbm,
    /// The reception's random number, once chance had to decide.
    pub draw: Option<f64>,
}

/// An ACK that a receiver is turning around for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingAck {
    pub at: SimTime,
    pub to: RadioIndex,
    pub frame: FrameId,
    pub sequence: u8,
}

/// A radio of the medium. What every transmission on its channel touches is here, the rest in
/// boxes: with many radios in range that is what the processor's cache has room for.
#[derive(Clone, Debug)]
pub(crate) struct Radio {
    /// As added; channel and filter as set since.
    pub config: Box<RadioConfig>,
    pub sensitivity: Dbm,
    pub noise: Dbm,
    pub noise_mw: f64,
    pub cca_mw: f64,
    pub promiscuous: bool,
    pub awake: bool,
    pub phase: Phase,
    pub current: Option<Box<Job>>,
    pub queue: VecDeque<Box<Job>>,
    /// End of the interframe space.
    pub spaced: SimTime,
    /// The MAC's one entry in the agenda.
    pub timer: Option<(SimTime, Step)>,
    pub backoff: Box<Rng>,
    /// The channel and id of its own transmission on the air.
    pub on_air: Option<(Channel, u64)>,
    /// End of the turnaround after its last transmission.
    pub deaf_until: SimTime,
    pub ack: Option<PendingAck>,
    pub lock: Option<Lock>,
    pub meter: Meter,
}

impl Radio {
    pub fn new(config: RadioConfig, seed: Seed, now: SimTime) -> Radio {
        let noise = config.profile.noise();
        Radio {
            sensitivity: config.profile.sensitivity,
            noise,
            noise_mw: phy::to_mw(noise),
            cca_mw: phy::to_mw(config.profile.cca_threshold),
            promiscuous: config.promiscuous,
            awake: true,
            phase: Phase::Idle,
            current: None,
            queue: VecDeque::new(),
            spaced: now,
            timer: None,
            backoff: Box::new(seed.rng(&["medium", "backoff", &config.name])),
            on_air: None,
            deaf_until: now,
            ack: None,
            lock: None,
            meter: Meter::new(now, State::Listen),
            config: Box::new(config),
        }
    }

    /// Whether the receiver can synchronise on a frame of this power.
    pub fn can_detect(&self, rssi: Dbm) -> bool {
        rssi.0.is_finite() && rssi.0 >= self.sensitivity.0
    }

    /// Whether the receiver is powered: a sleeping radio wakes for a frame of its own host
    /// and for an ACK that it owes.
    pub fn is_on(&self) -> bool {
        self.awake || self.current.is_some() || self.ack.is_some()
    }

    /// Whether the radio transmits, or is turning around to or from it.
    pub fn is_deaf(&self, now: SimTime) -> bool {
        self.on_air.is_some()
            || self.ack.is_some()
            || self.phase == Phase::Turning
            || now < self.deaf_until
    }

    /// Whether the radio is past the start-of-frame delimiter of a frame (§6.9.9: a CCA is
    /// then busy).
    pub fn is_receiving(&self, now: SimTime) -> bool {
        self.lock.is_some_and(|lock| lock.shr_end <= now)
    }

    pub fn state(&self) -> State {
        if self.on_air.is_some() {
            State::Tx
        } else if self.lock.is_some() {
            State::Rx
        } else if self.is_on() {
            State::Listen
        } else {
            State::Sleep
        }
    }
}
