//! Where representations come from, at work.

use std::time::Duration;

use rand_core::Rng as _;
use units::Rng;

use super::config::{Sine, Source, Walk};
use super::replay::Replay;

/// A [`Walk`] at work, in units of its last digit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walker {
    now: i64,
    step: i64,
    low: i64,
    high: i64,
    decimals: u8,
}

impl Walker {
    /// At the start of a walk.
    pub(super) fn new(walk: &Walk) -> Walker {
        let units = |value| in_units(value, walk.decimals);
        Walker {
            now: units(walk.start),
            step: units(walk.step),
            low: units(walk.low),
            high: units(walk.high),
            decimals: walk.decimals,
        }
    }

    /// Takes a step.
    pub(super) fn walk(&mut self, rng: &mut Rng) {
        let direction = i64::from(rng.next_u32() % 3) - 1;
        let next = self.now.saturating_add(direction.saturating_mul(self.step));
        // Not `clamp`: it panics where rounding has turned the bounds around.
        self.now = next.min(self.high).max(self.low);
    }

    /// Where it is.
    pub(super) fn text(&self) -> String {
        decimal(self.now, self.decimals)
    }
}

/// A number in units of its last digit.
fn in_units(value: f64, decimals: u8) -> i64 {
    (value * 10_f64.powi(decimals.into())).round() as i64
}

fn decimal(units: i64, decimals: u8) -> String {
    let value = units as f64 / 10_f64.powi(decimals.into());
    format!("{value:.*}", usize::from(decimals))
}

/// A [`Source`] at work.
#[derive(Debug)]
pub(super) enum Generator {
    /// Of a resource that changes by itself; the others share one.
    Reading(Walker),
    Constant(Vec<u8>),
    Counter {
        /// In units of its last digit, as [`Walker`] has them.
        next: i64,
        step: i64,
        decimals: u8,
    },
    Sine(Sine),
    Walk(Walker, Box<Rng>),
    Replay(Replay),
}

impl Generator {
    /// `stream` makes the stream of a walk.
    pub(super) fn new(source: &Source, stream: impl FnOnce() -> Rng) -> Generator {
        match source {
            Source::Reading => Generator::Reading(Walker::new(&Walk::reading())),
            Source::Constant(bytes) => Generator::Constant(bytes.clone()),
            Source::Counter(counter) => Generator::Counter {
                next: in_units(counter.start, counter.decimals),
                step: in_units(counter.step, counter.decimals),
                decimals: counter.decimals,
            },
            Source::Sine(sine) => Generator::Sine(*sine),
            Source::Walk(walk) => Generator::Walk(Walker::new(walk), Box::new(stream())),
            Source::Replay(replay) => Generator::Replay(replay.clone()),
        }
    }

    /// What there is before anything changes.
    pub(super) fn first(&mut self) -> Vec<u8> {
        match self {
            Generator::Reading(walker) | Generator::Walk(walker, _) => walker.text().into_bytes(),
            // Neither time nor chance has a part in the others.
            _ => self.value(Duration::ZERO),
        }
    }

    /// The next value, `elapsed` after the start; a reading draws from `readings`.
    pub(super) fn next(&mut self, elapsed: Duration, readings: &mut Rng) -> Vec<u8> {
        match self {
            Generator::Reading(walker) => walker.walk(readings),
            Generator::Walk(walker, rng) => walker.walk(rng),
            _ => {}
        }
        self.value(elapsed)
    }

    fn value(&mut self, elapsed: Duration) -> Vec<u8> {
        match self {
            Generator::Reading(walker) | Generator::Walk(walker, _) => walker.text().into_bytes(),
            Generator::Constant(bytes) => bytes.clone(),
            Generator::Counter {
                next,
                step,
                decimals,
            } => {
                let now = *next;
                *next = now.wrapping_add(*step);
                decimal(now, *decimals).into_bytes()
            }
            Generator::Sine(sine) => sine_at(sine, elapsed).into_bytes(),
            Generator::Replay(replay) => replay.at(elapsed).as_bytes().to_vec(),
        }
    }

    /// When it changes by itself next, after `elapsed`, where its source says so.
    pub(super) fn next_change(&self, elapsed: Duration) -> Option<Duration> {
        match self {
            Generator::Replay(replay) => replay.next(elapsed),
            _ => None,
        }
    }

    /// The longest time between two changes of which its source says when they are.
    pub(super) fn longest(&self) -> Option<Duration> {
        match self {
            Generator::Replay(replay) => Some(replay.longest()),
            _ => None,
        }
    }
}

fn sine_at(sine: &Sine, elapsed: Duration) -> String {
    let turns = (elapsed + sine.phase).as_secs_f64() / sine.period.as_secs_f64();
    let value = sine.mean + sine.amplitude * (std::f64::consts::TAU * turns.fract()).sin();
    // By way of whole units, which have no negative zero.
    decimal(in_units(value, sine.decimals), sine.decimals)
}

#[cfg(test)]
mod tests {
    use super::super::config::Counter;
    use super::*;
    use units::Seed;

    fn texts(source: Source, seconds: &[u64]) -> Vec<String> {
        let mut generator = Generator::new(&source, || Seed(1).rng(&["walk"]));
        let mut readings = Seed(1).rng(&["readings"]);
        let next = |s: &u64| generator.next(Duration::from_secs(*s), &mut readings);
        let texts = seconds.iter().map(next);
        texts.map(|text| String::from_utf8(text).unwrap()).collect()
    }

    #[test]
    fn a_counter_counts_and_a_constant_does_not() {
        let counter = |start, step, decimals| {
            Source::Counter(Counter {
                start,
                step,
                decimals,
            })
        };
        assert_eq!(texts(counter(7.0, -3.0, 0), &[0, 0, 5]), ["7", "4", "1"]);
        assert_eq!(texts(counter(0.5, 0.25, 2), &[0, 0]), ["0.50", "0.75"]);
        let constant = Source::Constant(b"on".to_vec());
        assert_eq!(texts(constant, &[0, 9]), ["on", "on"]);
        // What a counter cannot count any more begins anew, and panics not.
        assert_eq!(texts(counter(1e300, 1.0, 0), &[0, 0]).len(), 2);
    }

    #[test]
    fn a_sine_has_its_mean_its_extremes_and_no_negative_zero() {
        let sine = Sine {
            mean: 0.0,
            amplitude: 20.0,
            period: Duration::from_secs(40),
            phase: Duration::from_secs(10),
            decimals: 1,
        };
        let at = [0, 10, 20, 30, 40, 80_000_000];
        let values = ["20.0", "0.0", "-20.0", "0.0", "20.0", "20.0"];
        assert_eq!(texts(Source::Sine(sine), &at), values);
    }

    #[test]
    fn a_walk_stays_within_its_bounds_and_goes_by_its_step() {
        let walk = Walk {
            start: 0.25,
            step: 0.25,
            low: 0.0,
            high: 0.5,
            decimals: 2,
        };
        let values = texts(Source::Walk(walk), &[0; 200]);
        for value in ["0.00", "0.25", "0.50"] {
            assert!(values.iter().any(|v| v == value), "{value}");
        }
        assert!(
            values
                .iter()
                .all(|v| ["0.00", "0.25", "0.50"].contains(&v.as_str()))
        );
    }

    /// What resources gave before there were other sources.
    #[test]
    fn a_reading_is_what_it_always_was() {
        let mut reading: i32 = 215;
        let mut rng = Seed(1).rng(&["readings"]);
        let mut expected = || {
            reading = (reading + (rng.next_u32() % 3) as i32 - 1).clamp(-400, 850);
            format!("{:.1}", f64::from(reading) / 10.0)
        };
        let expected: Vec<String> = (0..5000).map(|_| expected()).collect();
        assert_eq!(texts(Source::Reading, &[0; 5000]), expected);
        for units in -400_i64..=850 {
            let before = format!("{:.1}", f64::from(units as i32) / 10.0);
            assert_eq!(decimal(units, 1), before);
        }
    }
}
