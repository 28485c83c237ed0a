//! Datagrams out of fragments: IP's (RFC 791 §3.2, RFC 8200 §4.5) and 6LoWPAN's (RFC 4944 §5.3).
//!
//! A 2 KB response crosses Ethernet in two fragments, and a client has it only when the last one
//! arrived: its time is what a round trip ends with.
//!
//! What is kept is bounded: [`MAX_DATAGRAMS`], [`MAX_BYTES`], and [`REASSEMBLY_TIMEOUT`] of the
//! capture's time. The oldest goes first, and is counted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash};
use std::time::Duration;

use units::SimTime;

use crate::hash::Folded;

/// "If insufficient fragments are received to complete reassembly of a packet within 60
/// seconds of the reception of the first-arriving fragment of that packet, reassembly of that
/// packet must be abandoned" (RFC 8200 §4.5; the same in RFC 4944 §5.3).
pub const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(60);

/// A fragment of a datagram that was complete this long ago is a copy, as a mirror port makes
/// them. Later, its identification is in use again.
const COPIES: Duration = Duration::from_secs(1);

/// Datagrams with missing fragments at one capture point.
pub const MAX_DATAGRAMS: usize = 1024;

/// Bytes of their fragments, with what each costs beside its data.
pub const MAX_BYTES: usize = 8 << 20;

/// What a fragment costs beside its data, about.
const OVERHEAD: usize = 64;

/// Longest IP payload (RFC 791; RFC 8200 without jumbograms).
const MAX_LENGTH: usize = 65_535;

/// A fragment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) time: SimTime,
    /// Where its data begins in the datagram, bytes.
    pub(crate) offset: usize,
    /// What was captured of its data.
    pub(crate) data: &'a [u8],
    /// Bytes of its data on the wire.
    pub(crate) length: usize,
    /// Bytes of the whole datagram, if this fragment tells.
    pub(crate) total: Option<usize>,
    /// What the datagram carries, if this is its first fragment.
    pub(crate) protocol: u8,
    /// Whether the node that it was for received it.
    pub(crate) received: bool,
}

/// A datagram of which all fragments were seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    /// When its first-captured fragment was captured.
    pub(crate) began: SimTime,
    pub(crate) bytes: Vec<u8>,
    /// Whether the capture cut some of it, which reads as zero.
    pub(crate) holes: bool,
    pub(crate) protocol: u8,
    /// Whether every fragment was received.
    pub(crate) received: bool,
    pub(crate) fragments: u32,
}

/// Puts the fragments seen at one point together. `K` is what the fragments of one datagram have
/// in common, and no other datagram's.
#[derive(Debug)]
pub(crate) struct Reassembly<K> {
    datagrams: HashMap<K, Datagram, BuildHasherDefault<Folded>>,
    /// In the order of their first fragments, with those that are no longer there.
    order: VecDeque<(u64, K)>,
    begun: u64,
    bytes: usize,
    abandoned: u64,
    dropped: u64,
}

#[derive(Debug)]
struct Datagram {
    number: u64,
    began: SimTime,
    parts: BTreeMap<usize, Stored>,
    /// Length of the whole, once a fragment told it.
    total: Option<usize>,
    /// Sum of the parts' lengths, which do not overlap.
    have: usize,
    protocol: u8,
    /// Since when all of it was there.
    complete: Option<SimTime>,
}

#[derive(Debug)]
struct Stored {
    data: Vec<u8>,
    length: usize,
    received: bool,
}

/// How a fragment fits in with those before it.
enum Fit {
    New,
    /// It was there; this copy of it was received, the earlier one was not.
    Received,
    /// It was there.
    Known,
    /// It contradicts what is there.
    Contradiction,
}

impl<K> Default for Reassembly<K> {
    fn default() -> Reassembly<K> {
        Reassembly {
            datagrams: HashMap::default(),
            order: VecDeque::new(),
            begun: 0,
            bytes: 0,
            abandoned: 0,
            dropped: 0,
        }
    }
}

impl<K: Copy + Eq + Hash> Reassembly<K> {
    /// Takes a fragment; returns the datagram that it completes. One of which a fragment was not
    /// received comes a second time if a later copy of that fragment is.
    pub(crate) fn push(&mut self, key: K, part: Part<'_>) -> Option<Whole> {
        self.expire(part.time);
        let end = part.offset.checked_add(part.length)?;
        if end > MAX_LENGTH || part.total.is_some_and(|total| total > MAX_LENGTH) {
            return None;
        }
        if part.length == 0 && part.total != Some(end) {
            return None; // It adds nothing.
        }
        if let Some(datagram) = self.datagrams.get(&key) {
            let stale = datagram
                .complete
                .is_some_and(|at| part.time.saturating_since(at) > COPIES);
            // "If a link fragment that overlaps another fragment is received ... the fragment(s)
            // already accumulated in the reassembly buffer SHALL be discarded. A fresh
            // reassembly may be commenced with the most recently received link fragment"
            // (RFC 4944 §5.3). RFC 5722 discards the whole IPv6 packet.
            if stale || matches!(datagram.fit(&part), Fit::Contradiction) {
                self.remove(&key);
            }
        }
        self.make_room(&key, part.data.len() + OVERHEAD);
        let number = self.begun;
        let datagram = self.datagrams.entry(key).or_insert_with(|| {
            self.order.push_back((number, key));
            self.begun += 1;
            Datagram::begin(number, part.time)
        });
        match datagram.fit(&part) {
            Fit::New => {
                self.bytes += part.data.len() + OVERHEAD;
                datagram.add(&part);
            }
            Fit::Received => datagram.mark_received(part.offset),
            Fit::Known | Fit::Contradiction => return None,
        }
        if datagram.total != Some(datagram.have) {
            return None;
        }
        let before = datagram.complete.replace(part.time);
        let received = datagram.parts.values().all(|part| part.received);
        let whole = (received || before.is_none()).then(|| datagram.whole(received));
        if received {
            // What stays is only to know copies by.
            self.bytes -= datagram.empty();
        }
        whole
    }

    /// Datagrams of which fragments are missing, those given up included.
    pub(crate) fn incomplete(&self) -> u64 {
        let missing = |d: &&Datagram| d.complete.is_none();
        self.abandoned + self.datagrams.values().filter(missing).count() as u64
    }

    /// How many of those were given up because there was no room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn expire(&mut self, now: SimTime) {
        while let Some(&(number, key)) = self.order.front() {
            let here = self.datagrams.get(&key).filter(|d| d.number == number);
            if here.is_some_and(|d| now.saturating_since(d.began) <= REASSEMBLY_TIMEOUT) {
                return;
            }
            if here.is_some() {
                self.remove(&key);
            }
            self.order.pop_front();
        }
    }

    /// For `bytes` more of the datagram with `key`.
    fn make_room(&mut self, key: &K, bytes: usize) {
        if self.order.len() > 2 * MAX_DATAGRAMS {
            let datagrams = &self.datagrams;
            self.order
                .retain(|(number, key)| datagrams.get(key).is_some_and(|d| d.number == *number));
        }
        let most = MAX_DATAGRAMS - usize::from(!self.datagrams.contains_key(key));
        while self.datagrams.len() > most || self.bytes + bytes > MAX_BYTES {
            let Some((number, key)) = self.order.pop_front() else {
                return;
            };
            if let Some(d) = self.datagrams.get(&key).filter(|d| d.number == number) {
                self.dropped += u64::from(d.complete.is_none());
                self.remove(&key);
            }
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some(mut datagram) = self.datagrams.remove(key) {
            self.bytes -= datagram.empty();
            self.abandoned += u64::from(datagram.complete.is_none());
        }
    }
}

impl Datagram {
    fn begin(number: u64, began: SimTime) -> Datagram {
        Datagram {
            number,
            began,
            parts: BTreeMap::new(),
            total: None,
            have: 0,
            protocol: 0,
            complete: None,
        }
    }

    fn fit(&self, part: &Part<'_>) -> Fit {
        if self.complete.is_some() && self.parts.is_empty() {
            return Fit::Known; // All of it was received.
        }
        let (start, end) = (part.offset, part.offset + part.length);
        if let Some(total) = self.total.or(part.total) {
            let last = self.parts.last_key_value();
            let furthest = last.map_or(0, |(at, p)| at + p.length).max(end);
            if furthest > total || part.total.is_some_and(|told| told != total) {
                return Fit::Contradiction;
            }
        }
        let before = self.parts.range(..start).next_back();
        let overlaps = before.is_some_and(|(at, p)| at + p.length > start);
        match self.parts.range(start..).next() {
            _ if overlaps => Fit::Contradiction,
            Some((at, there)) if *at == start && there.length == part.length => {
                match part.received && !there.received {
                    true => Fit::Received,
                    false => Fit::Known,
                }
            }
            Some((at, _)) if *at < end => Fit::Contradiction,
            _ => Fit::New,
        }
    }

    fn add(&mut self, part: &Part<'_>) {
        self.total = self.total.or(part.total);
        self.have += part.length;
        if part.offset == 0 {
            self.protocol = part.protocol;
        }
        let stored = Stored {
            data: part.data.to_vec(),
            length: part.length,
            received: part.received,
        };
        self.parts.insert(part.offset, stored);
    }

    fn mark_received(&mut self, offset: usize) {
        if let Some(part) = self.parts.get_mut(&offset) {
            part.received = true;
        }
    }

    fn whole(&self, received: bool) -> Whole {
        let mut bytes = Vec::with_capacity(self.have);
        let mut holes = false;
        for (offset, part) in &self.parts {
            bytes.extend(&part.data[..part.data.len().min(part.length)]);
            let end = offset + part.length;
            holes |= bytes.len() < end;
            bytes.resize(end, 0);
        }
        Whole {
            began: self.began,
            bytes,
            holes,
            protocol: self.protocol,
            received,
            fragments: self.parts.len() as u32,
        }
    }

    /// Lets the fragments go; returns what they cost.
    fn empty(&mut self) -> usize {
        let parts = std::mem::take(&mut self.parts);
        parts.values().map(|part| part.data.len() + OVERHEAD).sum()
    }
}

#[cfg(test)]
mod tests;
