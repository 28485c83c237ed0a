//! Which frames arrived, as acknowledgements tell (IEEE 802.15.4-2006 §7.5.6.4).
//!
//! A frame that asks for an acknowledgement and gets none is sent again, with the same sequence
//! number, and given up in the end. An attempt that was followed by another was not received; the
//! one that was acknowledged was. A capture may lack acknowledgements that its radio did not hear:
//! - What a receiver is asked says nothing where none of its acknowledgements was heard at all.
//! - After fewer attempts than a MAC makes before it gives up, its last one was acknowledged.
//! - After more than any makes, it is a strobe for a receiver that sleeps, and so was its last one.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::Duration;

use units::{Channel, PanId, SimTime};

use crate::hash::Folded;

use super::mac::REPEATED_WITHIN;
use super::{Below, Ends, LinkAddress, Sender};

/// From the time stamp of a frame, which may be that of its beginning, to its acknowledgement: a
/// frame takes 4.256 ms, macAckWaitDuration is 0.864 ms (IEEE 802.15.4-2006 table 86), and the
/// clock of a sniffer may count milliseconds.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(10);

/// Attempts after which a MAC gives up: one, and macMaxFrameRetries, 3 unless it is told otherwise
/// and 7 at most (table 86).
const GIVEN_UP_AFTER: std::ops::RangeInclusive<usize> = 4..=8;

/// Attempts that are remembered of a frame; a strobe of 100 ms has fewer.
const MOST_ATTEMPTS: usize = 128;
/// Frames whose acknowledgement is waited for, and receivers, that are remembered.
const MOST_FRAMES: usize = 1 << 15;
/// Attempts that are remembered as not received.
const MOST_LOST: usize = 1 << 20;

type Map<K, V> = HashMap<K, V, BuildHasherDefault<Folded>>;

type Receiver = (PanId, Option<LinkAddress>);

/// What frames asked and which acknowledgements came, in the order of the capture.
#[derive(Clone, Debug, Default)]
pub(super) struct Acks {
    asked: Map<Sender, Asked>,
    /// The last frame with a sequence number on a channel.
    last: Map<(Option<Channel>, u8), (Sender, SimTime)>,
    /// Those that acknowledged anything.
    heard: HashSet<Receiver>,
    /// Frames by number that seem not to have been received, and whom they were for.
    lost: Vec<(u64, Receiver)>,
    /// Whether the capture itself says what was not received.
    told: bool,
}

/// A frame that asked for an acknowledgement.
#[derive(Clone, Debug)]
struct Asked {
    frame: u64,
    receiver: Receiver,
    /// Numbers of its attempts.
    attempts: Vec<u64>,
    acknowledged: bool,
    time: SimTime,
}

impl Acks {
    /// Takes a frame that may be told not to have been received.
    pub(super) fn tell(&mut self, received: bool) {
        self.told |= !received;
    }

    /// Takes a frame, its number and fingerprint, that asks for an acknowledgement.
    pub(super) fn ask(
        &mut self,
        number: u64,
        frame: u64,
        sender: Sender,
        ends: Ends,
        below: &Below,
    ) {
        let Some(sequence) = sender.sequence else {
            return;
        };
        if self.asked.len() >= MOST_FRAMES {
            self.settle_all();
        }
        let time = below.time;
        self.last.insert((below.channel, sequence), (sender, time));
        let same = |asked: &&mut Asked| {
            asked.frame == frame && time.saturating_since(asked.time) <= REPEATED_WITHIN
        };
        if let Some(asked) = self.asked.get_mut(&sender).filter(same) {
            asked.time = time;
            if !asked.acknowledged && asked.attempts.len() < MOST_ATTEMPTS {
                asked.attempts.push(number);
            }
            return;
        }
        let asked = Asked {
            frame,
            receiver: (ends.pan, ends.dst),
            attempts: vec![number],
            acknowledged: false,
            time,
        };
        if let Some(before) = self.asked.insert(sender, asked) {
            self.settle(before);
        }
    }

    /// Takes an acknowledgement.
    pub(super) fn acknowledge(&mut self, sequence: u8, below: &Below) {
        let Some((sender, time)) = self.last.remove(&(below.channel, sequence)) else {
            return;
        };
        if below.time.saturating_since(time) > ACKNOWLEDGED_WITHIN {
            return;
        }
        let Some(asked) = self.asked.get_mut(&sender).filter(|a| !a.acknowledged) else {
            return;
        };
        asked.acknowledged = true;
        asked.attempts.pop();
        let (receiver, attempts) = (asked.receiver, std::mem::take(&mut asked.attempts));
        if self.heard.len() < MOST_FRAMES {
            self.heard.insert(receiver);
        }
        self.lose(attempts, receiver);
    }

    /// Frames by number that were not received; none if all were, as far as this capture tells.
    pub(super) fn lost(&self) -> Option<Arc<BTreeSet<u64>>> {
        if self.told {
            return None;
        }
        let mut all = self.clone();
        all.settle_all();
        let heard = |(_, receiver): &&(u64, Receiver)| all.heard.contains(receiver);
        let lost: BTreeSet<u64> = all.lost.iter().filter(heard).map(|(n, _)| *n).collect();
        (!lost.is_empty()).then(|| Arc::new(lost))
    }

    fn settle_all(&mut self) {
        for (_, asked) in std::mem::take(&mut self.asked) {
            self.settle(asked);
        }
    }

    /// Of a frame that is not sent again.
    fn settle(&mut self, mut asked: Asked) {
        if !GIVEN_UP_AFTER.contains(&asked.attempts.len()) {
            asked.attempts.pop();
        }
        self.lose(asked.attempts, asked.receiver);
    }

    fn lose(&mut self, attempts: Vec<u64>, receiver: Receiver) {
        let room = MOST_LOST.saturating_sub(self.lost.len());
        let lost = attempts.into_iter().take(room);
        self.lost.extend(lost.map(|number| (number, receiver)));
    }
}
