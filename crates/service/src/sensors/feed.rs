//! [`Feed`]: what a source gives over time, for a service that has resources of its own kind.

use std::time::Duration;

use units::{Rng, SimTime};

use super::config::{Changes, Source};
use super::generator::Generator;

/// A source at its instants.
#[derive(Debug)]
pub struct Feed {
    generator: Generator,
    /// When it changes; none: when its source says.
    changes: Option<Changes>,
    readings: Rng,
    start: SimTime,
    due: Option<SimTime>,
}

impl Feed {
    /// Of `source`, which changes as `changes` says, or by itself. `stream` makes the random stream of a
    /// name: `readings` and `walk`.
    pub fn new(
        source: &Source,
        changes: Option<Changes>,
        mut stream: impl FnMut(&str) -> Rng,
    ) -> Feed {
        let readings = stream("readings");
        Feed {
            generator: Generator::new(source, || stream("walk")),
            changes,
            readings,
            start: SimTime::ZERO,
            due: None,
        }
    }

    /// Its time is zero now.
    pub fn start(&mut self, now: SimTime) {
        self.start = now;
        self.due = match self.changes {
            Some(changes) if changes.phase.is_zero() => Some(now + changes.every),
            Some(changes) => Some(now + changes.phase),
            None => self
                .generator
                .next_change(Duration::ZERO)
                .map(|at| now + at),
        };
    }

    /// It changes no more.
    pub fn stop(&mut self) {
        self.due = None;
    }

    /// When it changes next.
    pub fn due(&self) -> Option<SimTime> {
        self.due
    }

    /// Its value at the instant that was due by `now`, and none if none was. Whoever is late calls it again
    /// and again, and gets all of them.
    pub fn take(&mut self, now: SimTime) -> Option<Vec<u8>> {
        let due = self.due.filter(|due| *due <= now)?;
        let elapsed = due.saturating_since(self.start);
        let value = self.generator.next(elapsed, &mut self.readings);
        self.due = match self.changes {
            Some(changes) => Some(due + changes.every.max(Duration::from_nanos(1))),
            None => self
                .generator
                .next_change(elapsed)
                .map(|at| self.start + at),
        };
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Counter;
    use super::super::replay::{End, Replay};
    use super::*;
    use units::Seed;

    fn values(mut feed: Feed, until: u64) -> Vec<(u64, String)> {
        feed.start(SimTime::ZERO);
        let mut values = Vec::new();
        for second in 0..=until {
            let now = SimTime::ZERO + Duration::from_secs(second);
            while let Some(value) = feed.take(now) {
                values.push((second, String::from_utf8(value).unwrap()));
            }
        }
        values
    }

    #[test]
    fn a_source_changes_at_its_period_or_when_it_says() {
        let counter = Source::Counter(Counter {
            start: 1.0,
            step: 1.0,
            decimals: 0,
        });
        let changes = Changes {
            every: Duration::from_secs(3),
            phase: Duration::from_secs(2),
        };
        let stream = |_: &str| Seed(1).rng(&["feed"]);
        let feed = Feed::new(&counter, Some(changes), stream);
        assert_eq!(
            values(feed, 8),
            [(2, "1".into()), (5, "2".into()), (8, "3".into())]
        );
        let points = [(0, "4"), (3, "5")].map(|(at, v)| (Duration::from_secs(at), v.to_owned()));
        let replay = Source::Replay(Replay::new(points, End::Hold).unwrap());
        let feed = Feed::new(&replay, None, stream);
        assert_eq!(values(feed, 9), [(3, "5".into())]);
    }
}
