//! Counts, and how punctual the shell was.

use std::collections::BTreeMap;
use std::time::Duration;

use medium::mpdu::Header;
use medium::{FrameReport, Kind, Outcome, RadioIndex, Transmission};
use rundir::air::{Facts, Lateness, Link};
use units::{Eui64, MacAddress};

use topology::plan::NodeName;

/// The short address of every radio (IEEE 802.15.4-2006 §7.2.1.4).
const BROADCAST: u16 = 0xffff;

/// What is counted while the medium runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    facts: Facts,
    /// Whose radio has an extended address.
    radios: BTreeMap<Eui64, RadioIndex>,
    /// Frames with one destination and those of them delivered, by sender and destination.
    links: BTreeMap<(RadioIndex, RadioIndex), (u64, u64)>,
    /// Of every frame handed over since the scenario started, nanoseconds.
    late_ns: Vec<u64>,
}

impl Tally {
    /// Nothing counted yet, of radios with these extended addresses.
    pub(crate) fn new(radios: BTreeMap<Eui64, RadioIndex>) -> Tally {
        Tally {
            radios,
            ..Tally::default()
        }
    }

    pub(crate) fn transmission(&mut self, transmission: &Transmission) {
        match transmission.kind {
            Kind::Data { .. } => self.facts.transmissions += 1,
            Kind::Ack => self.facts.acks += 1,
        }
    }

    pub(crate) fn done(&mut self, report: &FrameReport) {
        self.facts.frames += 1;
        *self.facts.sent.entry(report.sent.to_string()).or_default() += 1;
        if let Some(to) = self.destination(report) {
            let (frames, delivered) = self.links.entry((report.from, to)).or_default();
            *frames += 1;
            let arrived = |(radio, outcome): &(RadioIndex, Outcome)| {
                *radio == to && matches!(outcome, Outcome::Delivered { .. })
            };
            *delivered += u64::from(report.receivers.iter().any(arrived));
        }
        for (_, outcome) in &report.receivers {
            match outcome {
                Outcome::Delivered { .. } => self.facts.delivered += 1,
                Outcome::Dropped(reason) => {
                    *self.facts.dropped.entry(reason.to_string()).or_default() += 1;
                }
            }
        }
    }

    /// The radio that a frame is for, if it is for one: also one that has gone to another PAN and
    /// does not take it. A short address may be another radio's in another PAN, so that it says only
    /// what the radio does that takes the frame.
    fn destination(&self, report: &FrameReport) -> Option<RadioIndex> {
        let header = Header::parse(&report.mpdu).ok()?;
        match (header.destination?.1, report.receivers.as_slice()) {
            (MacAddress::Extended(eui64), _) => self.radios.get(&eui64).copied(),
            (MacAddress::Short(short), [(one, _)]) if short.0 != BROADCAST => Some(*one),
            (MacAddress::Short(_), _) => None,
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

    /// Everything, with the lateness held against `limit`, of nodes with these names.
    pub(crate) fn finish(mut self, limit: Duration, names: &[NodeName]) -> Facts {
        let name = |radio: &RadioIndex| names.get(radio.0).cloned();
        let link = |((from, to), (frames, delivered)): (&(RadioIndex, RadioIndex), &(u64, u64))| {
            Some(Link {
                from: name(from)?,
                to: name(to)?,
                frames: *frames,
                delivered: *delivered,
            })
        };
        self.facts.links = self.links.iter().filter_map(link).collect();
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
    use medium::{FrameId, Reason, SendOutcome};
    use units::{Channel, Db, Dbm, Lqi, SimTime};

    use super::*;

    #[test]
    fn lateness_is_a_distribution_and_counts_what_is_over_the_limit() {
        let mut tally = Tally::default();
        for microseconds in (1..=100).rev() {
            tally.late(Duration::from_micros(microseconds));
        }
        let lateness = tally.finish(Duration::from_micros(98), &[]).lateness;
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
        let lateness = tally.finish(Duration::from_millis(2), &[]).lateness;
        assert_eq!((lateness.max_s, lateness.over_limit), (3e-6, 0));
    }

    /// A data frame with extended addresses to the radio `to`, or to all.
    fn mpdu(to: Option<u8>) -> Vec<u8> {
        let mut frame = match to {
            Some(_) => vec![0x61, 0xcc, 7, 0x01, 0x00],
            None => vec![0x41, 0xc8, 7, 0x01, 0x00, 0xff, 0xff],
        };
        frame.extend(to.iter().flat_map(|to| [*to, 0, 0, 0, 0, 0, 0, 2]));
        frame.extend([0xee, 0, 0, 0, 0, 0, 0, 2]);
        frame
    }

    fn report(to: Option<u8>, receivers: Vec<(RadioIndex, Outcome)>) -> FrameReport {
        FrameReport {
            frame: FrameId(1),
            from: RadioIndex(0),
            channel: Channel::try_from(11).unwrap(),
            queued: SimTime::ZERO,
            mpdu: mpdu(to).into(),
            ended: SimTime::ZERO,
            attempts: 1,
            sent: SendOutcome::Sent,
            receivers,
        }
    }

    #[test]
    fn a_link_counts_frames_with_one_destination_also_of_one_that_has_gone() {
        let eui64 = |last| Eui64([2, 0, 0, 0, 0, 0, 0, last]);
        let radios = [(eui64(0xaa), RadioIndex(1)), (eui64(0xbb), RadioIndex(2))];
        let mut tally = Tally::new(radios.into());
        let here = Outcome::Delivered {
            at: SimTime::ZERO,
            rssi: Dbm(-50.0),
            lqi: Lqi(255),
            sinr: Db(40.0),
            attempt: 1,
        };
        let lost = Outcome::Dropped(Reason::Collision);
        tally.done(&report(Some(0xaa), vec![(RadioIndex(1), here)]));
        tally.done(&report(Some(0xaa), vec![(RadioIndex(1), lost)]));
        // No filter takes it any more.
        tally.done(&report(Some(0xaa), vec![]));
        tally.done(&report(
            None,
            vec![(RadioIndex(1), here), (RadioIndex(2), here)],
        ));
        tally.done(&report(Some(0xcc), vec![]));
        let names = ["er1", "walker", "wall"].map(str::to_owned);
        let facts = tally.finish(Duration::ZERO, &names);
        let link = Link {
            from: "er1".into(),
            to: "walker".into(),
            frames: 3,
            delivered: 1,
        };
        assert_eq!((facts.frames, facts.delivered), (5, 3));
        assert_eq!(facts.links, [link]);
    }

    #[test]
    fn a_medium_without_traffic_was_never_late() {
        let facts = Tally::default().finish(Duration::ZERO, &[]);
        assert_eq!(facts, Facts::default());
    }
}
