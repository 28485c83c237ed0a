//! Where the radio is tuned, and what that makes known of channels that it is not tuned to.
//!
//! The *home* channel is the serving router's, wherever the radio is (the word of 802.11's scanning).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use units::{Channel, SimTime};

use super::api::{Config, Scan};

/// After this many scans in a row that brought no relief the pause does not grow any more.
const MAX_DOUBLINGS: u32 = 3;

/// What the radio is doing as far as a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tuning {
    /// It stays where it is.
    Settled,
    /// It is being tuned to a channel.
    Changing { to: Channel },
    /// It listens on the channel that it is tuned to.
    Dwelling { until: SimTime },
}

/// The radio of a node that hears only the channel that it is tuned to.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    pub(super) scan: Scan,
    pub(super) tuning: Tuning,
    /// The channel that the radio is tuned to.
    pub(super) tuned: Channel,
    /// Channels still to listen on, in the link phase or in a round of early scanning.
    pub(super) queue: VecDeque<Channel>,
    /// When the next round of early scanning may begin.
    next_round: SimTime,
    /// Before this the radio does not leave the home channel to scan early.
    stay_until: SimTime,
    /// Whether the serving router was measured since the radio came back to its channel.
    measured: bool,
    /// Scans begun since the serving router was last over the trigger's threshold.
    scans: u32,
    /// Of each candidate, its channel.
    channels: Vec<Channel>,
    /// Candidates heard since the current dwell began.
    heard: BTreeSet<usize>,
    /// When the radio left each channel that it has been on.
    left: BTreeMap<Channel, SimTime>,
    /// [`super::Trigger::sample_every`].
    sample_every: Duration,
}

impl Scanner {
    /// The scanner that `config` asks for; the radio is on the serving candidate's channel.
    pub(super) fn new(config: &Config) -> Option<Scanner> {
        let scan = config.scan.clone()?;
        Some(Scanner {
            scan,
            tuning: Tuning::Settled,
            tuned: config.candidates[config.serving].channel,
            queue: VecDeque::new(),
            next_round: SimTime::ZERO,
            stay_until: SimTime::ZERO,
            measured: true,
            scans: 0,
            channels: config.candidates.iter().map(|c| c.channel).collect(),
            heard: BTreeSet::new(),
            left: BTreeMap::new(),
            sample_every: config.trigger.sample_every,
        })
    }

    /// Every channel once, in the candidates' order.
    fn distinct(&self) -> Vec<Channel> {
        let mut distinct = Vec::new();
        for &channel in &self.channels {
            if !distinct.contains(&channel) {
                distinct.push(channel);
            }
        }
        distinct
    }

    /// Every channel but `home`, beginning after it and going round.
    pub(super) fn others(&self, home: Channel) -> VecDeque<Channel> {
        let mut distinct = self.distinct();
        if let Some(at) = distinct.iter().position(|c| *c == home) {
            distinct.rotate_left(at);
        }
        distinct.retain(|channel| *channel != home);
        distinct.into()
    }

    /// The channel after the one that the radio is on; the same if there is only one.
    pub(super) fn next_round_robin(&self) -> Channel {
        self.others(self.tuned)
            .front()
            .copied()
            .unwrap_or(self.tuned)
    }

    /// For how long what was heard on a channel, or that nothing was, is taken as true after
    /// the radio has left it.
    ///
    /// With early scanning: until the next round must have come past, however long it dwells
    /// on the channels before. Without: as long as one look at all other channels takes, and
    /// twice as long with each scan in a row that brought no relief, up to eight times: the
    /// node would otherwise spend all its time away, with its correspondents on hold.
    fn memory(&self, home: Channel) -> Duration {
        let others = u32::try_from(self.others(home).len()).unwrap_or(u32::MAX);
        let round = self.scan.dwell.saturating_mul(others.max(1));
        match &self.scan.early {
            Some(early) => early
                .every
                // Between two channels of a round the radio is on the home channel for a dwell.
                .saturating_add(round.saturating_mul(2)),
            None => round
                .saturating_mul(1 << self.scans.min(MAX_DOUBLINGS))
                .max(self.sample_every),
        }
    }

    /// Whether the register of a candidate on `channel` still says something.
    pub(super) fn is_known(&self, now: SimTime, home: Channel, channel: Channel) -> bool {
        channel == self.tuned || self.stale_at(home, channel) > now
    }

    /// When what is known of another channel is too old; the epoch if nothing is known.
    fn stale_at(&self, home: Channel, channel: Channel) -> SimTime {
        let left = self.left.get(&channel);
        left.map_or(SimTime::ZERO, |left| *left + self.memory(home))
    }

    /// When the first of the other channels is one of which nothing is known; never without
    /// another channel.
    pub(super) fn some_stale_at(&self, home: Channel) -> SimTime {
        let others = self.others(home).into_iter();
        let first = others.map(|channel| self.stale_at(home, channel)).min();
        first.unwrap_or(SimTime::FAR_FUTURE)
    }

    /// The radio is tuned to `channel`.
    pub(super) fn arrive(&mut self, now: SimTime, channel: Channel) {
        self.left.insert(self.tuned, now);
        self.tuned = channel;
        self.tuning = Tuning::Settled;
        self.heard.clear();
    }

    /// Begins a dwell where the radio is.
    pub(super) fn dwell(&mut self, now: SimTime) {
        self.heard.clear();
        self.tuning = Tuning::Dwelling {
            until: now + self.scan.dwell,
        };
    }

    /// The scan is over, wherever the radio is.
    pub(super) fn stop(&mut self) {
        self.tuning = Tuning::Settled;
        self.queue.clear();
    }

    /// The register of `candidate` changed; `heard`: it is not empty.
    pub(super) fn note(&mut self, candidate: usize, heard: bool) {
        if heard {
            self.heard.insert(candidate);
        } else {
            self.heard.remove(&candidate);
        }
    }

    /// Candidates on the channel listened to that were not heard there.
    pub(super) fn unheard(&self) -> Vec<usize> {
        let here = |i: &usize| self.channels[*i] == self.tuned && !self.heard.contains(i);
        (0..self.channels.len()).filter(here).collect()
    }

    /// Whether the radio listens and has heard everybody on the channel.
    pub(super) fn has_heard_all(&self) -> bool {
        matches!(self.tuning, Tuning::Dwelling { .. }) && self.unheard().is_empty()
    }

    /// A scan of all other channels begins, in the link phase.
    pub(super) fn begin_scan(&mut self, home: Channel) {
        self.scans = self.scans.saturating_add(1);
        self.queue = self.others(home);
    }

    /// The serving router is over the trigger's threshold: what was in vain before is forgotten.
    pub(super) fn relieved(&mut self) {
        self.scans = 0;
    }

    /// The serving router's register changed.
    pub(super) fn measured(&mut self) {
        self.measured = true;
    }

    /// The radio is back from another channel. It stays for as long as it may have been
    /// away, and until it has measured the serving router again: a node that leaves before
    /// would never notice that the router is gone.
    pub(super) fn returned(&mut self, now: SimTime) {
        self.tuning = Tuning::Settled;
        self.stay_until = now + self.scan.dwell;
        self.measured = false;
    }

    /// A handover ended at the router whose channel the radio is on.
    pub(super) fn settled(&mut self, now: SimTime) {
        self.queue.clear();
        self.stay_until = now + self.scan.dwell;
        self.measured = true;
    }

    /// When early scanning goes on: the next channel of a round, or a new round.
    pub(super) fn early_at(&self, home: Channel) -> Option<SimTime> {
        self.scan.early.as_ref()?;
        if !self.measured || self.others(home).is_empty() {
            return None;
        }
        let round = if self.queue.is_empty() {
            self.next_round
        } else {
            SimTime::ZERO
        };
        Some(round.max(self.stay_until))
    }

    /// The next channel to listen on early; begins a round if none is under way.
    pub(super) fn next_early(&mut self, now: SimTime, home: Channel) -> Option<Channel> {
        if self.queue.is_empty() {
            let every = self.scan.early.as_ref()?.every;
            self.next_round = now + every;
            self.queue = self.others(home);
        }
        self.queue.pop_front()
    }
}
