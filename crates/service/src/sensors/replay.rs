//! A series of values in time.

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

/// A series of values in time: each holds from its instant on, the first also before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Instants and values; at least one, and each later than the one before it.
    points: Vec<(Duration, String)>,
    end: End,
}

/// What follows the last value of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It holds.
    #[default]
    Hold,
    /// The series again, when the last value has held as long as the one before it.
    Repeat,
}

/// A series without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a series without a value")]
pub struct EmptySeries;

impl Replay {
    /// The series of `points`: instants since the start of the scenario, and what the representation
    /// is from then on. Of several at one instant the last one counts.
    ///
    /// # Errors
    /// [`EmptySeries`] without a point.
    pub fn new(
        points: impl IntoIterator<Item = (Duration, String)>,
        end: End,
    ) -> Result<Replay, EmptySeries> {
        let in_order: BTreeMap<Duration, String> = points.into_iter().collect();
        match in_order.is_empty() {
            true => Err(EmptySeries),
            false => Ok(Replay {
                points: in_order.into_iter().collect(),
                end,
            }),
        }
    }

    /// The value at a time since the start.
    pub fn at(&self, elapsed: Duration) -> &str {
        let (_, elapsed) = self.turn(elapsed);
        let after = self
            .points
            .partition_point(|(instant, _)| *instant <= elapsed);
        &self.points[after.saturating_sub(1)].1
    }

    /// The first instant after `elapsed` at which another value begins.
    pub fn next(&self, elapsed: Duration) -> Option<Duration> {
        let (begun, within) = self.turn(elapsed);
        let after = self
            .points
            .partition_point(|(instant, _)| *instant <= within);
        if let Some((instant, _)) = self.points.get(after) {
            return Some(begun.saturating_add(*instant));
        }
        let (first, _) = self.points[0];
        let again = begun.saturating_add(self.period()?).saturating_add(first);
        (again > elapsed).then_some(again)
    }

    /// The longest time for which a value holds before another follows.
    pub fn longest(&self) -> Duration {
        let gaps = self.points.windows(2).map(|pair| pair[1].0 - pair[0].0);
        let (first, _) = self.points[0];
        let around = self.last_gap().saturating_add(first);
        gaps.max().unwrap_or_default().max(around)
    }

    /// When the turn began in which `elapsed` falls, and how far into it that is.
    fn turn(&self, elapsed: Duration) -> (Duration, Duration) {
        let Some(period) = self.period() else {
            return (Duration::ZERO, elapsed);
        };
        let into = Duration::from_nanos_u128(elapsed.as_nanos() % period.as_nanos());
        (elapsed - into, into)
    }

    /// After so long the series begins again, if it does.
    fn period(&self) -> Option<Duration> {
        let (last, _) = self.points[self.points.len() - 1];
        let period = last.saturating_add(self.last_gap());
        (self.end == End::Repeat && !period.is_zero()).then_some(period)
    }

    fn last_gap(&self) -> Duration {
        match &self.points[..] {
            [.., (before, _), (last, _)] => *last - *before,
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POINTS: [(f64, &str); 3] = [(1.0, "20.0"), (1.5, "21.0 C"), (4.0, "\"a,b\"")];

    fn replay(points: &[(f64, &str)], end: End) -> Replay {
        let points = points
            .iter()
            .map(|(at, value)| (secs(*at), (*value).to_owned()));
        Replay::new(points, end).unwrap()
    }

    fn secs(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    fn values(end: End, at: &[f64]) -> Vec<String> {
        let replay = replay(&POINTS, end);
        at.iter().map(|s| replay.at(secs(*s)).to_owned()).collect()
    }

    /// The instants at which another value begins.
    fn instants(end: End) -> Vec<f64> {
        let replay = replay(&POINTS, end);
        let next = |elapsed: &Duration| replay.next(*elapsed);
        let all = std::iter::successors(Some(Duration::ZERO), next);
        all.skip(1).take(5).map(|d| d.as_secs_f64()).collect()
    }

    #[test]
    fn each_value_holds_from_its_instant_on_and_the_last_one_or_all_again_at_the_end() {
        let at = [0.0, 1.0, 1.499, 1.5, 3.9, 4.0, 6.4, 6.5, 7.5, 8.0];
        let (first, second, third) = ("20.0", "21.0 C", "\"a,b\"");
        let held = [
            first, first, first, second, second, third, third, third, third, third,
        ];
        assert_eq!(values(End::Hold, &at), held);
        // 4 s and 2.5 s more: then from the start, whose first value comes after a second.
        let again = [
            first, first, first, second, second, third, third, first, first, second,
        ];
        assert_eq!(values(End::Repeat, &at), again);
        assert_eq!(instants(End::Hold), [1.0, 1.5, 4.0]);
        assert_eq!(instants(End::Repeat), [1.0, 1.5, 4.0, 7.5, 8.0]);
        let replay = replay(&POINTS, End::Repeat);
        assert_eq!(replay.longest(), secs(3.5));
    }

    proptest! {
        #[test]
        fn a_value_holds_until_the_next_begins(
            gaps in proptest::collection::vec(1_u64..5000, 1..6),
            repeat in any::<bool>(),
            elapsed in 0_u64..100_000,
            share in 0.0_f64..1.0,
        ) {
            let mut time = 0;
            let mut points = Vec::new();
            for (n, gap) in gaps.iter().enumerate() {
                points.push((Duration::from_millis(time), n.to_string()));
                time += gap;
            }
            let end = if repeat { End::Repeat } else { End::Hold };
            let replay = Replay::new(points, end).unwrap();
            let elapsed = Duration::from_millis(elapsed);
            match replay.next(elapsed) {
                Some(next) => {
                    prop_assert!(next > elapsed);
                    let before = elapsed + (next - elapsed).mul_f64(share * 0.999);
                    prop_assert_eq!(replay.at(before), replay.at(elapsed));
                    prop_assert_ne!(replay.at(next), replay.at(elapsed));
                    prop_assert!(next - elapsed <= replay.longest());
                }
                None => {
                    let last = (gaps.len() - 1).to_string();
                    prop_assert!(gaps.len() == 1 || !repeat);
                    prop_assert_eq!(replay.at(elapsed), last.as_str());
                }
            }
        }
    }

    #[test]
    fn a_single_value_never_changes() {
        for end in [End::Hold, End::Repeat] {
            let series = replay(&[(0.0, "x")], end);
            assert_eq!(series.at(secs(99.0)), "x");
            assert_eq!(series.next(secs(0.0)), None);
        }
    }

    #[test]
    fn the_last_one_of_an_instant_counts_and_none_is_no_series() {
        let both = replay(&[(2.0, "c"), (0.0, "a"), (0.0, "b")], End::Hold);
        assert_eq!([both.at(secs(0.0)), both.at(secs(2.0))], ["b", "c"]);
        assert_eq!(Replay::new([], End::Hold), Err(EmptySeries));
    }
}
