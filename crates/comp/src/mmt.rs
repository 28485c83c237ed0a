//! The Mobility Management Table of the WMMS (CoMP §3.1; CoMM §4).
//!
//! One entry per P_Addr: T_Addr, Lifetime, H_Flag, sleep period and last sequence number, as
//! in the papers, and (ours) the correspondents that discovered it, to whom hold and binding
//! are passed on.
//!
//! The table enforces the [`Limits`] on what it keeps, and says which entries have changed, for
//! whoever makes it durable.

mod asked;
mod correspondents;

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::ops::Bound;
use std::time::Duration;

use machine::network;
use units::SimTime;

use crate::binding::Expired;
use crate::codec::Lifetime;
use crate::limits::{Limit, Limits, Shares};
use crate::sequence::Sequence;
use crate::table::{self, Table};
use asked::Asked;
pub use correspondents::Correspondents;

/// What only the WMMS keeps about a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talk {
    /// Message ID of the last request the node answered, as a correspondent last reported
    /// it; 0 if none did.
    pub sequence_number: u16,
    /// Who discovered the node and may send it requests.
    pub correspondents: Correspondents,
    /// Who sent the last registration or binding update: the entry counts as that source's.
    pub source: Ipv6Addr,
    /// A binding is on its way to correspondents: a WMMS that restarts passes it on again.
    pub telling: bool,
}

impl Default for Talk {
    fn default() -> Talk {
        Talk {
            sequence_number: 0,
            correspondents: Correspondents::default(),
            source: Ipv6Addr::UNSPECIFIED,
            telling: false,
        }
    }
}

/// What the WMMS knows about one P_Addr.
pub type Entry = table::Entry<Talk>;

/// Correspondents of one node at one address, at its ports. A host has one; a few more are those of
/// its programs, or of what it was before it restarted.
pub const MAX_PORTS: usize = 8;

/// What became of who discovered a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// There is no such node.
    Nowhere,
    /// It was a correspondent before.
    Before,
    /// It is one now.
    New,
    /// It is one now, and this one is none any more.
    InPlaceOf(SocketAddrV6),
}

/// The table.
#[derive(Clone, Debug)]
pub struct Mmt {
    table: Table<Talk>,
    limits: Limits,
    /// Entries by [`Talk::source`].
    entries_of: Shares,
    /// Entries by the network of that.
    entries_in: Shares,
    /// Correspondents of all nodes by their addresses.
    asked: Asked,
    /// P_Addrs whose entries are not what they were at the last [`Mmt::take_changes`].
    changed: BTreeSet<Ipv6Addr>,
    /// The one that changed last: most requests change their node's entry several times.
    changed_last: Option<Ipv6Addr>,
}

impl Mmt {
    /// An empty table.
    pub const fn new(limits: Limits) -> Mmt {
        Mmt {
            table: Table::new(),
            limits,
            entries_of: Shares::new(),
            entries_in: Shares::new(),
            asked: Asked::new(),
            changed: BTreeSet::new(),
            changed_last: None,
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The entry of `p_addr`.
    pub fn get(&self, p_addr: Ipv6Addr) -> Option<&Entry> {
        self.table.get(p_addr)
    }

    /// Every entry, by P_Addr.
    pub fn iter(&self) -> impl Iterator<Item = (Ipv6Addr, &Entry)> {
        self.table.iter()
    }

    /// The entries from `start` on, by P_Addr.
    pub fn range(&self, start: Bound<Ipv6Addr>) -> impl Iterator<Item = (Ipv6Addr, &Entry)> {
        self.table.range(start)
    }

    /// Puts an entry as it was before a restart in the place of what is there, or removes it.
    /// No limit applies, and it is no change.
    pub fn restore(&mut self, p_addr: Ipv6Addr, entry: Option<Entry>) {
        let former = self.table.take(p_addr);
        self.give_back(p_addr, former.as_ref());
        if let Some(entry) = entry {
            self.take_share(entry.extra.source);
            for correspondent in entry.extra.correspondents.iter() {
                self.asked.insert(*correspondent.ip(), p_addr);
            }
            self.table.restore(p_addr, entry);
        }
    }

    /// Removes an entry that somebody else keeps from now on: without a trace, and it is no change.
    pub(crate) fn forget(&mut self, p_addr: Ipv6Addr) {
        self.restore(p_addr, None);
        self.changed.remove(&p_addr);
        self.changed_last = None;
    }

    /// Ends lifetimes that cannot be: an end later than the longest lifetime from `now` was
    /// written when the clock was ahead.
    pub fn correct_lifetimes(&mut self, now: SimTime) {
        let latest = now + Lifetime(u16::MAX).duration();
        let late = |(p_addr, entry): (Ipv6Addr, &Entry)| {
            (entry.lifetime_ends > latest).then(|| (p_addr, entry.clone()))
        };
        let late: Vec<_> = self.table.iter().filter_map(late).collect();
        for (p_addr, mut entry) in late {
            entry.lifetime_ends = latest;
            self.table.restore(p_addr, entry);
            self.note_change(p_addr);
        }
    }

    /// Whether the limits allow `source` to [`bind`](Mmt::bind) `p_addr`.
    ///
    /// # Errors
    /// The limit that does not.
    pub fn admits(&self, p_addr: Ipv6Addr, source: Ipv6Addr) -> Result<(), Limit> {
        let entry = self.table.get(p_addr);
        let full = |count: usize| count >= self.limits.entries as usize;
        if entry.is_none() && full(self.table.len()) {
            return Err(Limit::Entries);
        }
        let own = entry.is_some_and(|entry| entry.extra.source == source);
        if !own && self.entries_of.of(source) >= self.limits.entries_per_source {
            return Err(Limit::EntriesPerSource);
        }
        let in_network = self.entries_in.of(network(source));
        if entry.is_none() && in_network >= self.limits.entries_per_network() {
            return Err(Limit::EntriesPerNetwork);
        }
        Ok(())
    }

    fn take_share(&mut self, source: Ipv6Addr) {
        self.entries_of.take(source);
        self.entries_in.take(network(source));
    }

    fn give_share_back(&mut self, source: Ipv6Addr) {
        self.entries_of.give_back(source);
        self.entries_in.give_back(network(source));
    }

    /// Stores where `p_addr` is, for the first time or again, as `source` says: T_Addr and
    /// Lifetime are new, H_Flag is 0, the correspondents stay.
    pub fn bind(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
        t_addr: Ipv6Addr,
        lifetime: Lifetime,
        source: Ipv6Addr,
    ) {
        let former = self.table.get(p_addr).map(|entry| entry.extra.source);
        if former != Some(source) {
            if let Some(former) = former {
                self.give_share_back(former);
            }
            self.take_share(source);
        }
        self.table.bind(now, p_addr, t_addr, lifetime);
        self.change(p_addr, |talk| talk.source = source);
    }

    /// Sets H_Flag, until further notice or for the sleep period. False if `p_addr` is not in
    /// the table.
    pub fn hold(&mut self, now: SimTime, p_addr: Ipv6Addr, sleep: Option<Duration>) -> bool {
        let held = self.table.hold(now, p_addr, sleep);
        if held {
            self.note_change(p_addr);
        }
        held
    }

    /// Sets H_Flag 0 of a node on hold that does not sleep; whether there was such a hold.
    pub fn release(&mut self, p_addr: Ipv6Addr) -> bool {
        let released = self.table.release(p_addr);
        if released {
            self.note_change(p_addr);
        }
        released
    }

    /// Removes an entry; its number is remembered for [`table::MEMORY`].
    pub fn remove(&mut self, now: SimTime, p_addr: Ipv6Addr) -> Option<Entry> {
        let entry = self.table.remove(now, p_addr)?;
        self.give_back(p_addr, Some(&entry));
        self.note_change(p_addr);
        Some(entry)
    }

    /// Remembers who discovered `p_addr`. Where there is no room, who asked longest ago leaves: at
    /// an address with [`MAX_PORTS`] of them one of those, in a full list one at whose address
    /// nobody has registered, and where all are registered one of the network that has most.
    /// Strangers so displace each other, and no node that the WMMS knows; and whoever registers
    /// all addresses of a network displaces its own.
    ///
    /// # Errors
    /// The limit that does not allow it; a known correspondent is welcome always.
    pub fn add_correspondent(
        &mut self,
        p_addr: Ipv6Addr,
        from: SocketAddrV6,
    ) -> Result<Enrolled, Limit> {
        let Some(entry) = self.table.get(p_addr) else {
            return Ok(Enrolled::Nowhere);
        };
        let known = &entry.extra.correspondents;
        if known.contains(from) {
            if let Some(talk) = self.table.extra_mut(p_addr) {
                talk.correspondents.insert(from);
            }
            return Ok(Enrolled::Before);
        }
        let displaced = match known.idlest(|ip| ip == *from.ip()) {
            (count, idlest @ Some(_)) if count >= MAX_PORTS => idlest,
            _ if known.len() < self.limits.correspondents_per_node as usize => None,
            _ => {
                let (_, stranger) = known.idlest(|ip| !self.knows(ip));
                let idlest = stranger.or_else(|| known.idlest_of_crowd());
                Some(idlest.ok_or(Limit::CorrespondentsPerNode)?)
            }
        };
        let one_less = usize::from(displaced.is_some_and(|d| d.ip() == from.ip()));
        let asked = self.asked.count(*from.ip()) - one_less;
        if asked >= self.limits.discoveries_per_source as usize {
            return Err(Limit::DiscoveriesPerSource);
        }
        if let Some(displaced) = displaced {
            self.remove_correspondent(p_addr, displaced);
        }
        self.asked.insert(*from.ip(), p_addr);
        self.change(p_addr, |talk| talk.correspondents.insert(from));
        Ok(displaced.map_or(Enrolled::New, Enrolled::InPlaceOf))
    }

    /// Whether `source` registered or bound what is in the table.
    pub fn knows(&self, source: Ipv6Addr) -> bool {
        self.entries_of.of(source) > 0
    }

    /// Forgets a correspondent that cannot be told.
    pub fn remove_correspondent(&mut self, p_addr: Ipv6Addr, correspondent: SocketAddrV6) {
        let removed = self.change(p_addr, |talk| talk.correspondents.remove(correspondent));
        if removed == Some(true) {
            self.asked.remove(*correspondent.ip(), p_addr);
        }
    }

    /// The nodes of which somebody at `address` is a correspondent.
    pub fn asked_by(&self, address: Ipv6Addr) -> BTreeSet<Ipv6Addr> {
        self.asked.by(address)
    }

    /// Who was at `former`, at one port or at all, is at `present` now, as a correspondent of any
    /// node: as long as the limits of that address allow, otherwise it is none any more. Returns
    /// the nodes, each with the correspondent as it was and whether it still is one.
    pub(crate) fn move_correspondents(
        &mut self,
        former: Ipv6Addr,
        present: Ipv6Addr,
        port: Option<u16>,
    ) -> Vec<(Ipv6Addr, SocketAddrV6, bool)> {
        let mut moved = Vec::new();
        for p_addr in self.asked_by(former) {
            let of = self
                .table
                .get(p_addr)
                .map(|entry| &entry.extra.correspondents);
            let there: Vec<SocketAddrV6> = (of.into_iter().flat_map(Correspondents::iter))
                .filter(|correspondent| *correspondent.ip() == former)
                .filter(|correspondent| port.is_none_or(|port| correspondent.port() == port))
                .collect();
            for correspondent in there {
                self.remove_correspondent(p_addr, correspondent);
                let mut here = correspondent;
                here.set_ip(present);
                let there = self.table.get(p_addr).map(|e| &e.extra.correspondents);
                let known = there.is_some_and(|there| there.contains(here));
                let room = !known && self.has_room_at(p_addr, present);
                if room {
                    self.change(p_addr, |talk| talk.correspondents.insert(here));
                    self.asked.insert(present, p_addr);
                }
                moved.push((p_addr, correspondent, known || room));
            }
        }
        moved
    }

    /// Whether one more at `address` may be a correspondent of `p_addr`.
    fn has_room_at(&self, p_addr: Ipv6Addr, address: Ipv6Addr) -> bool {
        let entry = self.table.get(p_addr);
        let there = entry.map_or(0, |e| e.extra.correspondents.idlest(|ip| ip == address).0);
        let asked = self.asked.count(address);
        there < MAX_PORTS && asked < self.limits.discoveries_per_source as usize
    }

    /// Whether a message about `p_addr` with this number may change the table:
    /// [`Table::check_order`].
    ///
    /// # Errors
    /// The number of the last accepted message, if that is not older.
    pub fn check_order(
        &self,
        p_addr: Ipv6Addr,
        sequence: Option<Sequence>,
    ) -> Result<(), Sequence> {
        self.table.check_order(p_addr, sequence)
    }

    /// The number of the last message about `p_addr` that was accepted.
    pub fn sequence(&self, p_addr: Ipv6Addr) -> Option<Sequence> {
        self.table.sequence(p_addr)
    }

    /// Stores the number of the message that was accepted about an entry.
    pub fn set_sequence(&mut self, p_addr: Ipv6Addr, sequence: Option<Sequence>) {
        if self.table.get(p_addr).is_some() {
            self.table.set_sequence(p_addr, sequence);
            self.note_change(p_addr);
        }
    }

    /// Stores the last sequence number that a correspondent reported.
    pub fn set_sequence_number(&mut self, p_addr: Ipv6Addr, sequence_number: u16) {
        self.change(p_addr, |talk| talk.sequence_number = sequence_number);
    }

    /// Stores whether a binding is on its way to correspondents.
    pub(crate) fn set_telling(&mut self, p_addr: Ipv6Addr, telling: bool) {
        let entry = self.table.get(p_addr);
        if entry.is_some_and(|entry| entry.extra.telling != telling) {
            self.change(p_addr, |talk| talk.telling = telling);
        }
    }

    /// When [`Mmt::expire`] next has something to do.
    pub fn next_deadline(&self) -> Option<SimTime> {
        self.table.next_deadline()
    }

    /// Takes one deadline that has come, the earliest first.
    pub fn expire(&mut self, now: SimTime) -> Option<Expired<Ipv6Addr>> {
        let due = self.table.take_due(now)?;
        Some(self.expired(due))
    }

    /// As [`Mmt::expire`], of one P_Addr, whatever else is due.
    pub fn expire_of(&mut self, now: SimTime, p_addr: Ipv6Addr) -> Option<Expired<Ipv6Addr>> {
        let due = self.table.take_due_of(now, p_addr)?;
        Some(self.expired(due))
    }

    fn expired(
        &mut self,
        (expired, entry): (Expired<Ipv6Addr>, Option<Entry>),
    ) -> Expired<Ipv6Addr> {
        let (Expired::Lifetime(p_addr) | Expired::Sleep(p_addr)) = expired;
        self.give_back(p_addr, entry.as_ref());
        self.note_change(p_addr);
        expired
    }

    /// Whether [`Mmt::take_changes`] has something to give.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// How many P_Addrs [`Mmt::take_changes`] has to give.
    pub fn changes(&self) -> usize {
        self.changed.len()
    }

    /// The P_Addrs whose entries were made, changed or removed since the last call.
    pub fn take_changes(&mut self) -> BTreeSet<Ipv6Addr> {
        self.changed_last = None;
        std::mem::take(&mut self.changed)
    }

    fn note_change(&mut self, p_addr: Ipv6Addr) {
        if self.changed_last.replace(p_addr) != Some(p_addr) {
            self.changed.insert(p_addr);
        }
    }

    fn change<R>(&mut self, p_addr: Ipv6Addr, change: impl FnOnce(&mut Talk) -> R) -> Option<R> {
        let changed = change(self.table.extra_mut(p_addr)?);
        self.note_change(p_addr);
        Some(changed)
    }

    /// An entry has left: its sources have room again.
    fn give_back(&mut self, p_addr: Ipv6Addr, entry: Option<&Entry>) {
        let Some(Entry { extra, .. }) = entry else {
            return;
        };
        self.give_share_back(extra.source);
        for correspondent in extra.correspondents.iter() {
            self.asked.remove(*correspondent.ip(), p_addr);
        }
    }
}

#[cfg(test)]
mod tests;
