//! Location (6), as whoever knows where the device is says it (LwM2M 1.1 Core §E.7).
//!
//! | resource | what it has |
//! | --- | --- |
//! | 0, 1 | latitude and longitude, degrees |
//! | 5 | when that was, seconds: since 1970 if the client has a calendar, or else of the scenario |
//! | 6 | speed, m/s |

use std::fmt;
use std::time::Duration;

use units::SimTime;

use crate::path::Path;
use crate::store::Transaction;
use crate::value::Value;

/// The object.
pub const LOCATION: u16 = 6;
const LATITUDE: u16 = 0;
const LONGITUDE: u16 = 1;
const TIMESTAMP: u16 = 5;
const SPEED: u16 = 6;

/// Where a device is, and how fast it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fix {
    /// Degrees north.
    pub latitude_deg: f64,
    /// Degrees east.
    pub longitude_deg: f64,
    /// Metres per second.
    pub speed_m_s: f64,
}

/// Who knows where a device is.
pub trait Whereabouts: fmt::Debug {
    /// Where it is at an instant of the scenario.
    fn at(&self, at: Duration) -> Fix;
}

/// How a client has its Location.
#[derive(Debug)]
pub struct Locating {
    /// Who knows it.
    pub whereabouts: Box<dyn Whereabouts>,
    /// From one fix to the next; at least 1 ms. The first one is at the client's start.
    pub every: Duration,
    /// The scenario's time when the client starts: zero, but of a device that lives again.
    pub began: Duration,
}

/// When fixes are taken.
#[derive(Debug)]
pub(super) struct Fixes {
    of: Locating,
    start: SimTime,
    due: Option<SimTime>,
}

impl Fixes {
    pub(super) fn new(mut of: Locating) -> Fixes {
        of.every = of.every.max(Duration::from_millis(1));
        Fixes {
            of,
            start: SimTime::ZERO,
            due: None,
        }
    }

    pub(super) fn start(&mut self, now: SimTime) {
        self.start = now;
        self.due = Some(now);
    }

    pub(super) fn due(&self) -> Option<SimTime> {
        self.due
    }

    /// Writes the last fix that was due by `now`, if one was; `epoch_s` is that of the client's configuration. What the
    /// tree cannot have is left out: a server may have deleted the instance.
    pub(super) fn take(&mut self, now: SimTime, epoch_s: Option<f64>, begun: &mut Transaction<'_>) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        let elapsed = now.saturating_since(self.start);
        let past = elapsed.as_nanos() % self.of.every.as_nanos();
        let elapsed = elapsed.saturating_sub(Duration::from_nanos_u128(past));
        let at = self.start + elapsed;
        self.due = Some(at + self.of.every);
        let in_scenario = self.of.began.saturating_add(elapsed);
        let fix = self.of.whereabouts.at(in_scenario);
        let seconds = match epoch_s {
            Some(epoch) => epoch + at.saturating_since(SimTime::ZERO).as_secs_f64(),
            None => in_scenario.as_secs_f64(),
        };
        for (id, value) in [
            (LATITUDE, Value::Float(fix.latitude_deg)),
            (LONGITUDE, Value::Float(fix.longitude_deg)),
            (TIMESTAMP, Value::Time(seconds as i64)),
            (SPEED, Value::Float(fix.speed_m_s)),
        ] {
            let _ = begun.set(Path::resource(LOCATION, 0, id), value);
        }
    }
}
