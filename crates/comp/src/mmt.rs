//! The Mobility Management Table of the WMMS (CoMP §3.1; CoMM §4).
//!
//! One entry per P_Addr: T_Addr, Lifetime, H_Flag, sleep period and last sequence number, as
//! in the papers, and (ours) the correspondents that discovered it, to whom hold and binding
//! are passed on.
//!
//! The table enforces the [`Limits`] on what it keeps, and says which entries have changed, for
//! whoever makes it durable.

mod asked;

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::ops::Bound;
use std::time::Duration;

use units::SimTime;

use crate::binding::Expired;
use crate::codec::Lifetime;
use crate::limits::{Limit, Limits, Shares};
use crate::sequence::Sequence;
use crate::table::{self, Table};
use asked::Asked;

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

/// Addresses in ascending order, in as little memory as they need: nodes are many, their
/// correspondents few. A flow label is no part of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Correspondents(Box<[Correspondent]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Correspondent {
    ip: Ipv6Addr,
    port: u16,
    scope: u32,
}

impl From<SocketAddrV6> for Correspondent {
    fn from(address: SocketAddrV6) -> Correspondent {
        Correspondent {
            ip: *address.ip(),
            port: address.port(),
            scope: address.scope_id(),
        }
    }
}

impl Correspondents {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `address` is one.
    pub fn contains(&self, address: SocketAddrV6) -> bool {
        self.0.binary_search(&address.into()).is_ok()
    }

    /// All, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SocketAddrV6> {
        (self.0.iter()).map(|c| SocketAddrV6::new(c.ip, c.port, 0, c.scope))
    }

    /// Whether it was not there.
    fn insert(&mut self, address: SocketAddrV6) -> bool {
        let found = self.0.binary_search(&address.into());
        if let Err(at) = found {
            let mut all = std::mem::take(&mut self.0).into_vec();
            all.reserve_exact(1);
            all.insert(at, address.into());
            self.0 = all.into_boxed_slice();
        }
        found.is_err()
    }

    /// Whether it was there.
    fn remove(&mut self, address: SocketAddrV6) -> bool {
        let found = self.0.binary_search(&address.into());
        if let Ok(at) = found {
            let mut all = std::mem::take(&mut self.0).into_vec();
            all.remove(at);
            self.0 = all.into_boxed_slice();
        }
        found.is_ok()
    }
}

impl FromIterator<SocketAddrV6> for Correspondents {
    fn from_iter<I: IntoIterator<Item = SocketAddrV6>>(addresses: I) -> Correspondents {
        let sorted: BTreeSet<Correspondent> = addresses.into_iter().map(Into::into).collect();
        Correspondents(sorted.into_iter().collect())
    }
}

/// What the WMMS knows about one P_Addr.
pub type Entry = table::Entry<Talk>;

/// The table.
#[derive(Clone, Debug)]
pub struct Mmt {
    table: Table<Talk>,
    limits: Limits,
    /// Entries by [`Talk::source`].
    entries_of: Shares,
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
            self.entries_of.take(entry.extra.source);
            for correspondent in entry.extra.correspondents.iter() {
                self.asked.insert(*correspondent.ip(), p_addr);
            }
            self.table.restore(p_addr, entry);
        }
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
        Ok(())
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
                self.entries_of.give_back(former);
            }
            self.entries_of.take(source);
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

    /// Removes an entry; its number is remembered for [`table::MEMORY`].
    pub fn remove(&mut self, now: SimTime, p_addr: Ipv6Addr) -> Option<Entry> {
        let entry = self.table.remove(now, p_addr)?;
        self.give_back(p_addr, Some(&entry));
        self.note_change(p_addr);
        Some(entry)
    }

    /// Remembers who discovered `p_addr`. False if `p_addr` is not in the table.
    ///
    /// # Errors
    /// The limit that does not allow it; a known correspondent is welcome always.
    pub fn add_correspondent(
        &mut self,
        p_addr: Ipv6Addr,
        from: SocketAddrV6,
    ) -> Result<bool, Limit> {
        let Some(entry) = self.table.get(p_addr) else {
            return Ok(false);
        };
        let known = &entry.extra.correspondents;
        if known.contains(from) {
            return Ok(true);
        }
        if known.len() >= self.limits.correspondents_per_node as usize {
            return Err(Limit::CorrespondentsPerNode);
        }
        if self.asked.count(*from.ip()) >= self.limits.discoveries_per_source as usize {
            return Err(Limit::DiscoveriesPerSource);
        }
        self.asked.insert(*from.ip(), p_addr);
        self.change(p_addr, |talk| talk.correspondents.insert(from));
        Ok(true)
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

    /// Who was at `former` is at `present` now, as a correspondent of any node; no limit applies.
    /// Returns the nodes, each with the correspondent as it was.
    pub(crate) fn move_correspondents(
        &mut self,
        former: Ipv6Addr,
        present: Ipv6Addr,
    ) -> Vec<(Ipv6Addr, SocketAddrV6)> {
        let mut moved = Vec::new();
        for p_addr in self.asked_by(former) {
            let of = self
                .table
                .get(p_addr)
                .map(|entry| &entry.extra.correspondents);
            let there: Vec<SocketAddrV6> = (of.into_iter().flat_map(Correspondents::iter))
                .filter(|correspondent| *correspondent.ip() == former)
                .collect();
            for correspondent in there {
                self.remove_correspondent(p_addr, correspondent);
                let mut here = correspondent;
                here.set_ip(present);
                let new = self.change(p_addr, |talk| talk.correspondents.insert(here));
                if new == Some(true) {
                    self.asked.insert(present, p_addr);
                }
                moved.push((p_addr, correspondent));
            }
        }
        moved
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
        let (expired, entry) = self.table.take_due(now)?;
        let (Expired::Lifetime(p_addr) | Expired::Sleep(p_addr)) = expired;
        self.give_back(p_addr, entry.as_ref());
        self.note_change(p_addr);
        Some(expired)
    }

    /// Whether [`Mmt::take_changes`] has something to give.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
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
        self.entries_of.give_back(extra.source);
        for correspondent in extra.correspondents.iter() {
            self.asked.remove(*correspondent.ip(), p_addr);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const P2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    const P3: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 3);
    const T1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    const T2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);

    fn at(seconds: u64) -> SimTime {
        SimTime::ZERO + Duration::from_secs(seconds)
    }

    fn client(port: u16) -> SocketAddrV6 {
        SocketAddrV6::new(P2, port, 0, 0)
    }

    fn table(limits: Limits) -> Mmt {
        let mut mmt = Mmt::new(limits);
        mmt.bind(at(0), P1, T1, Lifetime(20), T1);
        mmt
    }

    #[test]
    fn a_binding_renews_the_lifetime_clears_the_hold_and_keeps_the_correspondents() {
        let mut mmt = table(Limits::default());
        assert_eq!(mmt.add_correspondent(P1, client(5683)), Ok(true));
        assert!(mmt.hold(at(1), P1, Some(Duration::from_secs(5))));
        mmt.bind(at(2), P1, T2, Lifetime(20), T2);
        let entry = mmt.get(P1).unwrap();
        assert_eq!((entry.t_addr, entry.held), (T2, false));
        assert!(entry.extra.correspondents.iter().eq([client(5683)]));
        assert_eq!(mmt.next_deadline(), Some(at(22)), "the sleep's end is off");
    }

    #[test]
    fn correspondents_are_bounded_and_known_ones_stay_welcome() {
        let mut mmt = table(Limits {
            correspondents_per_node: 2,
            ..Limits::default()
        });
        assert_eq!(mmt.add_correspondent(P1, client(1)), Ok(true));
        assert_eq!(mmt.add_correspondent(P1, client(0)), Ok(true));
        let full = Err(Limit::CorrespondentsPerNode);
        assert_eq!(mmt.add_correspondent(P1, client(2)), full);
        assert_eq!(mmt.add_correspondent(P1, client(1)), Ok(true));
        mmt.remove_correspondent(P1, client(1));
        assert_eq!(mmt.add_correspondent(P1, client(2)), Ok(true));
        let kept = &mmt.get(P1).unwrap().extra.correspondents;
        assert!(kept.iter().eq([client(0), client(2)]));
        assert_eq!(mmt.add_correspondent(P3, client(0)), Ok(false), "unknown");
    }

    #[test]
    fn the_discoveries_of_a_source_are_bounded_over_all_nodes() {
        let mut mmt = table(Limits {
            discoveries_per_source: 1,
            ..Limits::default()
        });
        mmt.bind(at(0), P3, T2, Lifetime(20), T2);
        assert_eq!(mmt.add_correspondent(P1, client(1)), Ok(true));
        let much = Err(Limit::DiscoveriesPerSource);
        assert_eq!(mmt.add_correspondent(P3, client(2)), much, "another port");
        let other = SocketAddrV6::new(T2, 1, 0, 0);
        assert_eq!(mmt.add_correspondent(P3, other), Ok(true), "another source");
        mmt.remove(at(0), P1);
        assert_eq!(mmt.add_correspondent(P3, client(2)), Ok(true));
    }

    #[test]
    fn the_entries_of_a_source_are_bounded_until_they_leave() {
        let mut mmt = table(Limits {
            entries_per_source: 1,
            entries: 2,
            ..Limits::default()
        });
        assert_eq!(mmt.admits(P1, T1), Ok(()), "its own");
        assert_eq!(mmt.admits(P2, T1), Err(Limit::EntriesPerSource));
        assert_eq!(mmt.admits(P2, T2), Ok(()));
        mmt.bind(at(1), P1, T2, Lifetime(20), T2);
        assert_eq!(mmt.admits(P2, T1), Ok(()), "the node has moved on");
        assert_eq!(mmt.admits(P2, T2), Err(Limit::EntriesPerSource));
        mmt.bind(at(1), P2, T1, Lifetime(30), T1);
        assert_eq!(mmt.admits(P3, P3), Err(Limit::Entries));
        assert_eq!(mmt.expire(at(21)), Some(Expired::Lifetime(P1)));
        assert_eq!(mmt.admits(P3, T2), Ok(()));
    }

    #[test]
    fn correspondents_that_move_are_found_and_counted_where_they_are() {
        let mut mmt = table(Limits {
            discoveries_per_source: 2,
            ..Limits::default()
        });
        mmt.bind(at(0), P2, T2, Lifetime(20), T2);
        let (here, mut there) = (client(0), client(0));
        there.set_ip(T2);
        mmt.add_correspondent(P1, here).unwrap();
        mmt.add_correspondent(P2, here).unwrap();
        mmt.add_correspondent(P2, there).unwrap();
        mmt.take_changes();
        let moved = mmt.move_correspondents(*here.ip(), T2);
        assert_eq!(moved, [(P1, here), (P2, here)]);
        assert!(mmt.take_changes().into_iter().eq([P1, P2]), "to be saved");
        assert!(mmt.asked_by(*here.ip()).is_empty());
        assert!(mmt.asked_by(T2).into_iter().eq([P1, P2]));
        let of = |p: Ipv6Addr| mmt.get(p).unwrap().extra.correspondents.clone();
        assert!(of(P1).iter().eq([there]) && of(P2).iter().eq([there]));
        // The former address has room again, the present one none.
        mmt.bind(at(0), P3, T1, Lifetime(20), T1);
        assert_eq!(mmt.add_correspondent(P3, here), Ok(true));
        let full = Err(Limit::DiscoveriesPerSource);
        assert_eq!(mmt.add_correspondent(P3, there), full);
    }

    #[test]
    fn every_change_is_reported_once_and_putting_back_is_none() {
        let mut mmt = table(Limits::default());
        assert!(mmt.take_changes().into_iter().eq([P1]));
        assert!(!mmt.has_changes());
        let entry = mmt.get(P1).unwrap().clone();
        mmt.restore(P2, Some(entry));
        assert!(!mmt.has_changes());
        let changes: [fn(&mut Mmt); 7] = [
            |mmt| assert!(mmt.hold(at(1), P1, Some(Duration::from_secs(1)))),
            |mmt| assert_eq!(mmt.add_correspondent(P1, client(0)), Ok(true)),
            |mmt| mmt.remove_correspondent(P1, client(0)),
            |mmt| mmt.set_sequence_number(P1, 7),
            |mmt| mmt.set_telling(P1, true),
            |mmt| assert_eq!(mmt.expire(at(2)), Some(Expired::Sleep(P1))),
            |mmt| assert!(mmt.remove(at(0), P1).is_some()),
        ];
        for change in changes {
            change(&mut mmt);
            assert!(mmt.take_changes().into_iter().eq([P1]));
        }
    }

    #[test]
    fn what_is_put_back_takes_the_place_and_the_share_of_what_was_there() {
        let mut mmt = table(Limits {
            entries_per_source: 1,
            ..Limits::default()
        });
        let entry = mmt.get(P1).unwrap().clone();
        mmt.restore(P1, Some(entry));
        mmt.restore(P1, None);
        assert!(mmt.is_empty());
        assert_eq!(mmt.admits(P2, T1), Ok(()));
        assert_eq!(mmt.next_deadline(), None);
    }

    #[test]
    fn a_lifetime_written_by_a_clock_that_was_ahead_is_the_longest_there_is() {
        let mut mmt = Mmt::new(Limits::default());
        mmt.bind(at(1_000_000), P1, T1, Lifetime(20), T1);
        mmt.correct_lifetimes(at(10));
        // Option 2051: 16 bits of seconds.
        assert_eq!(mmt.next_deadline(), Some(at(10 + 65_535)));
    }
}
