//! Counts, and how punctual the shell was.

use std::time::Duration;

use medium::{FrameReport, Kind, Outcome, Transmission};
use rundir::air::{Facts, Lateness};

/// What is counted while the medium runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    facts: Facts,
    /// Of every frame handed over since the scenario started, nanoseconds.
    late_ns: Vec<u64>,
}

impl Tally {
    pub(crate) fn transmission(&mut self, transmission: &Transmission) {
        match transmission.kind {
            Kind::Data { .. } => self.facts.transmissions += 1,
            Kind::Ack => self.facts.acks += 1,
        }
    }

    pub(crate) fn done(&mut self, report: &FrameReport) {
        self.facts.frames += 1;
        *self.facts.sent.entry(report.sent.to_string()).or_default() += 1;
        for (_, outcome) in &report.receivers {
            match outcome {
                Outcome::Delivered { .. } => self.facts.delivered += 1,
                Outcome::Dropped(reason) => {
                    *self.facts.dropped.entry(reason.to_string()).or_default() += 1;
                }
            }
        }
    }

    /// What is measured begins. Before, daemons are started, and a kernel without preemption copies a
    /// process in one piece.
    pub(crate) fn started(&mut self) {
        self.late_ns.clear();
    }

    /// A frame was handed over so long after its instant.
    pub(crate) fn late(&mut self, by: Duration) {
        self.late_ns
            .push(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Everything, with the lateness held against `limit`.
    pub(crate) fn finish(mut self, limit: Duration) -> Facts {
        self.late_ns.sort_unstable();
        let at = |share: f64| {
            let last = self.late_ns.len().checked_sub(1)?;
            let index = (last as f64 * share).round() as usize;
            Some(Duration::from_nanos(self.late_ns[index]).as_secs_f64())
        };
        self.facts.lateness = Lateness {
            median_s: at(0.5).unwrap_or(0.0),
            p99_s: at(0.99).unwrap_or(0.0),
            max_s: at(1.0).unwrap_or(0.0),
            over_limit: self
                .late_ns
                .iter()
                .filter(|&&late| u128::from(late) > limit.as_nanos())
                .count() as u64,
        };
        self.facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_a_distribution_and_counts_what_is_over_the_limit() {
        let mut tally = Tally::default();
        for microseconds in (1..=100).rev() {
            tally.late(Duration::from_micros(microseconds));
        }
        let lateness = tally.finish(Duration::from_micros(98)).lateness;
        assert_eq!(lateness.max_s, 100e-6);
        assert_eq!(lateness.p99_s, 99e-6);
        assert_eq!(lateness.over_limit, 2);
    }

    #[test]
    fn what_was_late_before_the_scenario_does_not_count() {
        let mut tally = Tally::default();
        tally.late(Duration::from_millis(5));
        tally.started();
        tally.late(Duration::from_micros(3));
        let lateness = tally.finish(Duration::from_millis(2)).lateness;
        assert_eq!((lateness.max_s, lateness.over_limit), (3e-6, 0));
    }

    #[test]
    fn a_medium_without_traffic_was_never_late() {
        let facts = Tally::default().finish(Duration::ZERO);
        assert_eq!(facts, Facts::default());
    }
}
