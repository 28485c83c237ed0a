//! The transmissions on one channel, and what of them arrives at a radio.

use std::sync::Arc;
use std::time::Duration;

use units::{Dbm, SimTime};

use crate::mpdu::Header;
use crate::{FrameId, Kind, PathLoss, RadioIndex, Reason, phy};

/// A transmission from its first symbol on.
#[derive(Clone, Debug)]
pub(crate) struct OnAir {
    /// Unique in the medium.
    pub id: u64,
    pub from: RadioIndex,
    pub frame: FrameId,
    pub kind: Kind,
    /// `None` if the MPDU is malformed.
    pub header: Option<Header>,
    pub mpdu: Arc<[u8]>,
    pub psdu: Arc<[u8]>,
    pub start: SimTime,
    pub shr_end: SimTime,
    pub end: SimTime,
    pub tx_power: Dbm,
    /// Received power in dBm by radio: not a number while nobody asked, minus infinity where
    /// there is no path.
    pub power: Vec<f64>,
    /// The radios that it is for, and for each why it lost the frame before its end.
    pub receivers: Vec<(RadioIndex, Option<Reason>)>,
    /// The radios that synchronised on it, in order; some may have given it up since.
    pub locked: Vec<RadioIndex>,
    /// Whether noise alone can lose it at one of them.
    pub at_the_edge: bool,
}

impl OnAir {
    /// Received power at `to`.
    pub fn power(&mut self, path: &mut dyn PathLoss, to: RadioIndex) -> Dbm {
        if self.power.len() <= to.0 {
            self.power.resize(to.0 + 1, f64::NAN);
        }
        let power = &mut self.power[to.0];
        if power.is_nan() {
            let loss = path.loss(self.start, self.from, to);
            let received = loss.map_or(f64::NEG_INFINITY, |loss| (self.tx_power - loss).0);
            // A loss that is not a number is no path either.
            *power = received.max(f64::NEG_INFINITY);
        }
        Dbm(*power)
    }

    /// Notes that `radio` lost the transmission, if it is for it.
    pub fn lose(&mut self, radio: RadioIndex, reason: Reason) {
        if let Some((_, lost)) = self.receivers.iter_mut().find(|(r, _)| *r == radio) {
            *lost = Some(reason);
        }
    }
}

/// Other transmissions' power at a radio during a part of a frame, in milliwatts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Part {
    pub interference_mw: f64,
    pub time: Duration,
}

/// One channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Air {
    /// The radios tuned to it, in order.
    pub members: Vec<RadioIndex>,
    /// In the order in which they began; ended ones stay while they matter.
    pub transmissions: Vec<OnAir>,
    /// Lists of transmissions that are over, empty, for those to come.
    spare: Vec<Vec<RadioIndex>>,
}

/// How many lists are kept: more are seldom on one channel at once.
const SPARE: usize = 4;

impl Air {
    pub fn join(&mut self, radio: RadioIndex) {
        if let Err(place) = self.members.binary_search(&radio) {
            self.members.insert(place, radio);
        }
    }

    pub fn leave(&mut self, radio: RadioIndex) {
        self.members.retain(|member| *member != radio);
    }

    pub fn position(&self, id: u64) -> Option<usize> {
        self.transmissions.iter().rposition(|t| t.id == id)
    }

    /// An empty list.
    pub fn list(&mut self) -> Vec<RadioIndex> {
        self.spare.pop().unwrap_or_default()
    }

    /// Keeps a list for a transmission to come.
    pub fn reuse(&mut self, mut list: Vec<RadioIndex>) {
        if self.spare.len() < SPARE {
            list.clear();
            self.spare.push(list);
        }
    }

    /// Whether another transmission is on the air during a part of `span` of number `index`.
    pub fn is_overlapped(&self, index: usize, (start, end): (SimTime, SimTime)) -> bool {
        let others = self.transmissions.iter().enumerate();
        let mut others = others.filter(|(i, _)| *i != index);
        others.any(|(_, other)| other.start < end && start < other.end)
    }

    /// Forgets ended transmissions that neither overlap one under way nor can be in a CCA's
    /// window any more.
    pub fn prune(&mut self, now: SimTime) {
        let under_way = self.transmissions.iter().filter(|t| t.end > now);
        let oldest = under_way.map(|t| t.start).min().unwrap_or(now);
        self.transmissions
            .retain(|t| t.end > oldest || t.end + phy::CCA > now);
    }

    /// The interference that `radio` sees in `span` of transmission number `index`, as parts
    /// of one level each; empty if there is none.
    pub fn interference(
        &mut self,
        path: &mut dyn PathLoss,
        index: usize,
        radio: RadioIndex,
        (start, end): (SimTime, SimTime),
    ) -> Vec<Part> {
        let mut others: Vec<(SimTime, SimTime, f64)> = Vec::new();
        for (i, other) in self.transmissions.iter_mut().enumerate() {
            let (from, to) = (other.start.max(start), other.end.min(end));
            if i == index || other.from == radio || from >= to {
                continue;
            }
            let power_mw = phy::to_mw(other.power(path, radio));
            if power_mw > 0.0 {
                others.push((from, to, power_mw));
            }
        }
        if others.is_empty() {
            return Vec::new();
        }
        let mut edges = vec![start, end];
        edges.extend(others.iter().flat_map(|(from, to, _)| [*from, *to]));
        edges.sort_unstable();
        edges.dedup();
        let level = |start, end| {
            let on = others.iter().filter(|(s, e, _)| *s <= start && end <= *e);
            on.map(|(_, _, power_mw)| power_mw).sum()
        };
        let parts = edges.windows(2).map(|edge| Part {
            interference_mw: level(edge[0], edge[1]),
            time: edge[1].saturating_since(edge[0]),
        });
        parts.collect()
    }

    /// Mean power of all signals at `radio` over the CCA that ends at `now`, in milliwatts.
    pub fn energy(&mut self, path: &mut dyn PathLoss, radio: RadioIndex, now: SimTime) -> f64 {
        let mut sum = 0.0;
        for other in self.transmissions.iter_mut().filter(|t| t.from != radio) {
            // The window's part before the transmission, and the one after it, have nothing.
            let before = phy::CCA.saturating_sub(now.saturating_since(other.start));
            let after = now.saturating_since(other.end);
            let time = phy::CCA.saturating_sub(before + after);
            if !time.is_zero() {
                sum += phy::to_mw(other.power(path, radio)) * time.as_secs_f64();
            }
        }
        sum / phy::CCA.as_secs_f64()
    }
}
