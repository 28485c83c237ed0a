//! How fast a run goes that somebody watches (pure).
//!
//! A run in virtual time is much faster than what an eye follows. So it is stopped whenever it is further than a clock that goes
//! at a speed which people choose. How far it is it tells with its events, and once a second of its own without any. It is stopped
//! within about a millisecond of wall time of telling that, in which one that has little to do gets seconds ahead.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// No further is the clock ahead of a run that does not keep up: it goes on from there, and does not hurry.
const AHEAD: Duration = Duration::from_secs(1);

/// The fastest that is a speed: three years a second.
const FASTEST: f64 = 1e8;

/// Slower than anybody looks: at this one a second is a quarter of an hour.
const SLOWEST: f64 = 1e-3;

/// Why something is no speed.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no speed: expected how many times real time, such as 1 or 0.1")]
pub struct NotASpeed(String);

/// How many times real time, a thousandth at least.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub struct Speed(f64);

impl Speed {
    /// Real time.
    pub const REAL: Speed = Speed(1.0);

    fn of(self, wall: Duration) -> Duration {
        Duration::try_from_secs_f64(wall.as_secs_f64() * self.0).unwrap_or(Duration::MAX)
    }
}

impl TryFrom<f64> for Speed {
    type Error = NotASpeed;

    fn try_from(times: f64) -> Result<Speed, NotASpeed> {
        match (SLOWEST..=FASTEST).contains(&times) {
            true => Ok(Speed(times)),
            false => Err(NotASpeed(times.to_string())),
        }
    }
}

impl std::str::FromStr for Speed {
    type Err = NotASpeed;

    fn from_str(text: &str) -> Result<Speed, NotASpeed> {
        let wrong = || NotASpeed(text.to_owned());
        let times: f64 = text.parse().map_err(|_| wrong())?;
        Speed::try_from(times).map_err(|_| wrong())
    }
}

/// What somebody wants of a run that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Wish {
    /// It goes at this speed; without one as fast as it goes.
    Speed(Option<Speed>),
    /// It stands still, or goes on.
    Paused(bool),
    /// It goes on to what it tells next, and stands still there.
    Step(True),
}

/// `true`, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "bool")]
pub struct True;

impl TryFrom<bool> for True {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<True, &'static str> {
        value.then_some(True).ok_or("expected true")
    }
}

/// What there is to say of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Told {
    /// How many times real time; none: as fast as it goes.
    pub speed: Option<Speed>,
    /// It stands still.
    pub paused: bool,
    /// It holds the run now: the scenario has started, and is not over.
    pub holds: bool,
    /// Where the clock is, nanoseconds of the scenario; where the run is, if that is behind, or has no speed; where it was when the
    /// scenario ended.
    pub at_ns: u64,
    /// How far the run is: what happens until there is known.
    pub reached_ns: u64,
}

/// The clock that a run is held by. Instants are the wall's.
#[derive(Clone, Debug)]
pub struct Pace {
    speed: Option<Speed>,
    paused: bool,
    /// How far the run is, of its scenario. None before that and after it: then nothing holds it.
    reached: Option<Duration>,
    /// How far it was when the scenario ended.
    ended: Duration,
    /// When the scenario started, Unix time of the run.
    start_ns: u64,
    /// What the clock showed at `since`.
    from: Duration,
    since: Instant,
    /// Until there the run goes as fast as it goes.
    skipped: Duration,
}

impl Pace {
    /// The clock of a run whose scenario has not started.
    pub fn new(speed: Option<Speed>, now: Instant) -> Pace {
        Pace {
            speed,
            paused: false,
            reached: None,
            ended: Duration::ZERO,
            start_ns: 0,
            from: Duration::ZERO,
            since: now,
            skipped: Duration::ZERO,
        }
    }

    /// The run begins again, and is to be at this time of its scenario as soon as it can.
    pub fn begin_again(&mut self, at: Duration) {
        (self.reached, self.ended) = (None, Duration::ZERO);
        self.skipped = at;
    }

    /// The scenario has started, at this Unix time of the run in nanoseconds.
    pub fn start(&mut self, now: Instant, start_ns: u64) {
        self.reached = Some(Duration::ZERO);
        self.start_ns = start_ns;
        (self.from, self.since) = (self.skipped, now);
    }

    /// The run has told that it is so far in its scenario.
    pub fn reach(&mut self, at: Duration) {
        if let Some(reached) = &mut self.reached {
            *reached = at.max(*reached);
        }
    }

    /// The run has told of something at this Unix time of its own, in nanoseconds.
    pub fn reach_event(&mut self, time_ns: u64) {
        self.reach(Duration::from_nanos(time_ns.saturating_sub(self.start_ns)));
    }

    /// The scenario is over.
    pub fn end(&mut self) {
        self.ended = self.reached.take().unwrap_or(self.ended);
    }

    /// Somebody wants something of it.
    pub fn wish(&mut self, now: Instant, wish: Wish) {
        self.turn(now);
        match wish {
            Wish::Speed(speed) => self.speed = speed,
            Wish::Paused(paused) => self.paused = paused,
            Wish::Step(True) => {
                self.paused = true;
                self.from = self.reached.unwrap_or_default() + Duration::from_nanos(1);
            }
        }
    }

    /// Whether the run goes on.
    pub fn goes_on(&mut self, now: Instant) -> bool {
        let Some(reached) = self.reached else {
            return true;
        };
        if reached < self.skipped {
            self.since = now;
            return true;
        }
        if !self.paused && self.shown(now) > reached.saturating_add(AHEAD) {
            (self.from, self.since) = (reached + AHEAD, now);
        }
        (self.speed.is_none() && !self.paused) || reached < self.shown(now)
    }

    /// What there is to say of it.
    pub fn told(&self, now: Instant) -> Told {
        let reached = self.reached.unwrap_or(self.ended);
        let at = match self.reached {
            Some(_) => reached.min(self.shown(now)),
            None => reached,
        };
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Told {
            speed: self.speed,
            paused: self.paused,
            holds: self.reached.is_some(),
            at_ns: nanos(at),
            reached_ns: nanos(reached),
        }
    }

    /// What the clock shows.
    fn shown(&self, now: Instant) -> Duration {
        match self.speed {
            _ if self.paused => self.from,
            None => self.reached.unwrap_or_default(),
            Some(speed) => (self.from).saturating_add(speed.of(now.duration_since(self.since))),
        }
    }

    /// Begins anew from what the clock shows: it is to be another one.
    fn turn(&mut self, now: Instant) {
        (self.from, self.since) = (self.shown(now), now);
    }
}

/// The clock, shared between who makes the run and who shows it.
#[derive(Clone, Debug)]
pub struct Pacer(Arc<Mutex<Pace>>);

impl Pacer {
    /// Shares a clock.
    pub fn new(pace: Pace) -> Pacer {
        Pacer(Arc::new(Mutex::new(pace)))
    }

    /// The clock. Who had it does not leave it half changed.
    pub fn lock(&self) -> MutexGuard<'_, Pace> {
        self.0.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn started(speed: Option<f64>) -> (Pace, Instant) {
        let now = Instant::now();
        let speed = speed.map(|times| Speed::try_from(times).unwrap());
        let mut pace = Pace::new(speed, now);
        assert!(pace.goes_on(now), "nothing holds the bring-up");
        pace.start(now, 1_000);
        (pace, now)
    }

    #[test]
    fn a_run_is_held_while_it_is_ahead_of_the_clock_and_no_longer() {
        let (mut pace, begin) = started(Some(2.0));
        pace.reach_event(1_000 + 3_000_000_000);
        for (wall, goes_on, at_s) in [(0.0, false, 0.0), (1.0, false, 2.0), (1.6, true, 3.0)] {
            let now = begin + S.mul_f64(wall);
            assert_eq!(pace.goes_on(now), goes_on, "{wall}");
            assert_eq!(pace.told(now).at_ns as f64, at_s * 1e9, "{wall}");
        }
        pace.end();
        assert!(pace.goes_on(begin), "nothing holds the end");
        let told = pace.told(begin);
        assert_eq!(
            (told.holds, told.at_ns, told.reached_ns),
            (false, 3_000_000_000, 3_000_000_000)
        );
    }

    #[test]
    fn one_that_does_not_keep_up_does_not_hurry_afterwards() {
        let (mut pace, begin) = started(Some(1.0));
        let now = begin + 100 * S;
        assert!(pace.goes_on(now));
        pace.reach(5 * S);
        assert!(!pace.goes_on(now), "not 100 s at once");
        assert!(!pace.goes_on(now + 3 * S));
        assert!(pace.goes_on(now + 4 * S + S / 10));
    }

    #[test]
    fn a_pause_takes_no_time_and_a_step_goes_to_what_is_told_next() {
        let (mut pace, begin) = started(Some(1.0));
        pace.reach(2 * S);
        pace.wish(begin + S, Wish::Paused(true));
        let later = begin + 50 * S;
        assert!(!pace.goes_on(later));
        assert_eq!(pace.told(later).at_ns, 1_000_000_000);
        pace.wish(later, Wish::Step(True));
        assert!(pace.goes_on(later));
        pace.reach_event(1_000 + 2_000_000_002);
        assert!(!pace.goes_on(later));
        pace.wish(later, Wish::Paused(false));
        assert!(!pace.goes_on(later));
        assert!(pace.goes_on(later + S));
    }

    #[test]
    fn without_a_speed_it_goes_as_fast_as_it_goes_until_it_is_paused() {
        let (mut pace, begin) = started(None);
        pace.reach(7 * S);
        assert!(pace.goes_on(begin));
        pace.wish(begin, Wish::Paused(true));
        pace.reach(8 * S);
        assert!(!pace.goes_on(begin));
        let speed = Some(Speed::REAL);
        pace.wish(begin, Wish::Speed(speed));
        pace.wish(begin, Wish::Paused(false));
        assert!(!pace.goes_on(begin) && pace.goes_on(begin + 2 * S));
    }

    #[test]
    fn one_that_begins_again_goes_as_fast_as_it_goes_to_where_it_was() {
        let (mut pace, begin) = started(Some(1.0));
        pace.reach(5 * S);
        assert!(!pace.goes_on(begin));
        pace.begin_again(4 * S);
        assert!(pace.goes_on(begin));
        pace.start(begin, 1_000);
        pace.reach(3 * S);
        let late = begin + 60 * S;
        assert!(pace.goes_on(late));
        pace.reach(5 * S);
        assert!(!pace.goes_on(late));
        assert!(pace.goes_on(late + S + S / 10));
    }

    #[test]
    fn what_is_no_speed_is_refused() {
        for text in ["0", "-1", "nan", "inf", "1e9", "", "1x"] {
            let error = text.parse::<Speed>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
        let wish = |text| serde_json::from_str::<Wish>(text);
        assert_eq!(wish(r#"{"speed":null}"#).unwrap(), Wish::Speed(None));
        assert_eq!(wish(r#"{"paused":true}"#).unwrap(), Wish::Paused(true));
        for text in [
            r#"{"speed":0}"#,
            r#"{"speed":"1"}"#,
            r#"{"step":false}"#,
            r#"{"go":1}"#,
            "{}",
            "",
        ] {
            assert!(wish(text).is_err(), "{text}");
        }
    }
}
