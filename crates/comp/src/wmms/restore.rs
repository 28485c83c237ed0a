//! Entries that an earlier life kept, or another server: how it goes on with them, and how it leaves them.

use std::net::Ipv6Addr;

use units::SimTime;

use super::{MAX_HOLD, Wmms};
use crate::codec::Lifetime;
use crate::mmt::{Entry, Mmt};

impl Wmms {
    /// Goes on with the table of an earlier life, to be called first.
    ///
    /// * Entries whose lifetime has ended meanwhile leave at the next
    ///   [`Machine::handle_timeout`](machine::Machine::handle_timeout).
    /// * A hold that was not answered is not: the node repeats it, or has moved on. Of a node
    ///   on hold all correspondents are taken for those that it cannot tell.
    /// * A binding that was on its way is passed on again, to every correspondent: to whom it
    ///   had come already, it says nothing new.
    pub fn restore(&mut self, now: SimTime, mmt: Mmt) {
        self.mmt = mmt;
        self.mmt.correct_lifetimes(now);
        let all: Vec<Ipv6Addr> = self.mmt.iter().map(|(p_addr, _)| p_addr).collect();
        self.resume(now, all);
    }

    /// Takes over entries that another server kept, beside those of its own: as [`Wmms::restore`], and at
    /// any time. They are no changes, and no limit applies.
    pub fn adopt(&mut self, now: SimTime, entries: impl IntoIterator<Item = (Ipv6Addr, Entry)>) {
        let adopted = entries.into_iter().map(|(p_addr, entry)| {
            self.mmt.restore(p_addr, Some(entry));
            p_addr
        });
        let adopted: Vec<Ipv6Addr> = adopted.collect();
        self.mmt.correct_lifetimes(now);
        self.resume(now, adopted);
    }

    /// Leaves to another server the entries that `of` names, and everything that is under way about them.
    /// Nobody is told, and they are no changes: to be called when [`Wmms::take_changes`] has nothing to
    /// give about them.
    pub fn hand_over(&mut self, now: SimTime, of: impl Fn(Ipv6Addr) -> bool) {
        let theirs = self.mmt.iter().map(|(p_addr, _)| p_addr);
        let theirs: Vec<Ipv6Addr> = theirs.filter(|p_addr| of(*p_addr)).collect();
        for p_addr in theirs {
            self.hold_ends.clear(p_addr);
            self.correspondent_returns(now, p_addr);
            self.forget_forwards(p_addr);
            self.mmt.forget(p_addr);
        }
    }

    /// Goes on with what was under way of nodes that have just come into the table.
    fn resume(&mut self, now: SimTime, nodes: Vec<Ipv6Addr>) {
        let mut telling = Vec::new();
        for p_addr in nodes {
            let Some(entry) = self.mmt.get(p_addr) else {
                continue;
            };
            if entry.held {
                if entry.sleep_ends.is_none() {
                    self.hold_ends.set(p_addr, now + MAX_HOLD);
                }
                let all = entry.extra.correspondents.iter().collect();
                if let Some(place) = self.place_of(p_addr) {
                    self.away.leaves(p_addr, place);
                }
                self.unserved.insert(p_addr, all);
            } else if entry.extra.telling && entry.lifetime_ends > now {
                let left = entry.lifetime_ends.saturating_since(now);
                telling.push((p_addr, entry.t_addr, Lifetime::covering(left)));
            }
        }
        for (p_addr, t_addr, lifetime) in telling {
            let told = self.correspondents(p_addr);
            self.forward_binding(now, p_addr, t_addr, lifetime, told);
        }
    }
}
