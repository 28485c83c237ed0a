//! Time and energy of a radio in each of its states.

use std::collections::VecDeque;
use std::time::Duration;

use units::SimTime;

use crate::Profile;

/// How far back [`Meter::read`] answers.
const MEMORY: Duration = Duration::from_secs(1);

/// What a radio draws current for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A frame or an ACK of its own is on the air.
    Tx,
    /// Synchronised on a frame.
    Rx,
    /// Awake otherwise: backoff, CCA, turnaround and waiting included.
    Listen,
    /// Asleep.
    Sleep,
}

/// Time in each state and energy, since the radio was added.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Energy {
    /// Transmitting.
    pub tx: Duration,
    /// Synchronised on a frame.
    pub rx: Duration,
    /// Awake, neither transmitting nor receiving.
    pub listen: Duration,
    /// Asleep.
    pub sleep: Duration,
    /// Energy drawn, in millijoules: time by the profile's current by its supply voltage.
    pub millijoules: f64,
}

impl Energy {
    /// What was spent after `earlier`, an older reading of the same radio.
    pub fn since(&self, earlier: &Energy) -> Energy {
        Energy {
            tx: self.tx.saturating_sub(earlier.tx),
            rx: self.rx.saturating_sub(earlier.rx),
            listen: self.listen.saturating_sub(earlier.listen),
            sleep: self.sleep.saturating_sub(earlier.sleep),
            millijoules: self.millijoules - earlier.millijoules,
        }
    }
}

/// Adds the time from the begin of a state to `end` to the total of that state.
fn add(totals: &mut [u64; 4], began: Began, end: SimTime) {
    totals[began.state() as usize] += end.as_nanos().saturating_sub(began.at().as_nanos());
}

/// The states of one radio over time.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    /// Nanoseconds in each state up to the first of `states`.
    base: [u64; 4],
    /// When each state began; never empty.
    states: VecDeque<Began>,
}

/// An instant and the state that began then, in one word: a radio has entered some hundred of them within its
/// memory, and all those in range enter one with every frame.
#[derive(Clone, Copy, Debug)]
struct Began(u64);

impl Began {
    fn new(at: SimTime, state: State) -> Began {
        Began(at.as_nanos() << 2 | state as u64)
    }

    fn at(self) -> SimTime {
        SimTime::from_nanos(self.0 >> 2)
    }

    fn state(self) -> State {
        [State::Tx, State::Rx, State::Listen, State::Sleep][(self.0 & 3) as usize]
    }
}

impl Meter {
    pub(crate) fn new(now: SimTime, state: State) -> Meter {
        Meter {
            base: [0; 4],
            states: VecDeque::from([Began::new(now, state)]),
        }
    }

    /// From `now` on the radio is in `state`.
    pub(crate) fn enter(&mut self, now: SimTime, state: State) {
        match self.states.back_mut() {
            Some(last) if last.state() == state => return,
            Some(last) if last.at() == now => *last = Began::new(now, state),
            _ => self.states.push_back(Began::new(now, state)),
        }
        while let [Some(first), Some(next)] = [self.states.front(), self.states.get(1)]
            && now.saturating_since(next.at()) >= MEMORY
        {
            add(&mut self.base, *first, next.at());
            self.states.pop_front();
        }
    }

    /// The totals at `at`. An instant to come is read as if the last state went on; one
    /// before the memory's begin as that begin.
    pub(crate) fn read(&self, at: SimTime, profile: &Profile) -> Energy {
        let mut totals = self.base;
        for (i, began) in self.states.iter().enumerate() {
            let end = self.states.get(i + 1).map_or(at, |next| at.min(next.at()));
            add(&mut totals, *began, end);
        }
        let [tx, rx, listen, sleep] = totals.map(Duration::from_nanos);
        let mut energy = Energy {
            tx,
            rx,
            listen,
            sleep,
            millijoules: 0.0,
        };
        let milliampere_seconds = energy.tx.as_secs_f64() * profile.tx_ma
            + energy.rx.as_secs_f64() * profile.rx_ma
            + energy.listen.as_secs_f64() * profile.listen_ma
            + energy.sleep.as_secs_f64() * profile.sleep_ma;
        energy.millijoules = milliampere_seconds * profile.supply_v;
        energy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> SimTime {
        SimTime::from_nanos((seconds * 1e9) as u64)
    }

    #[test]
    fn an_instant_a_second_ago_is_still_answered() {
        let profile = Profile::named("cc2420").unwrap();
        let mut meter = Meter::new(SimTime::ZERO, State::Sleep);
        for i in 0..1000 {
            meter.enter(at(f64::from(i) + 0.25), State::Listen);
            meter.enter(at(f64::from(i) + 0.75), State::Sleep);
        }
        let energy = meter.read(at(998.75), &profile);
        assert_eq!(energy.listen, Duration::from_millis(499_500));
        assert_eq!(energy.sleep, Duration::from_millis(499_250));
        // 499.5 s of 18.8 mA and 499.25 s of 0.02 mA at 3.3 V.
        let expected = (499.5 * 18.8 + 499.25 * 0.02) * 3.3;
        assert!((energy.millijoules - expected).abs() < 1e-6);
        assert!(meter.states.len() < 10, "old states are folded");
        let phase = meter.read(at(999.5), &profile).since(&energy);
        assert_eq!(phase.listen, Duration::from_millis(250));
        assert_eq!(phase.sleep, Duration::from_millis(500));
    }
}
