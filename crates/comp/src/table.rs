//! A table of bindings by P_Addr: what the MMT and the LBC have in common.
//!
//! Made for a million entries: an ordered index of P_Addr to slot, entries in one array, and the
//! deadlines in order, so that expiry looks only at what is due. An entry's deadline is computed
//! from it, not stored twice.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::ops::Bound;
use std::time::Duration;

use units::SimTime;

use crate::binding::Expired;
use crate::codec::Lifetime;
use crate::sequence::Sequence;
use machine::Deadlines;

/// What is known about one P_Addr; `extra` is what only this kind of table keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<X> {
    /// Where the node is.
    pub t_addr: Ipv6Addr,
    /// When the binding ends.
    pub lifetime_ends: SimTime,
    /// H_Flag: requests to the node are kept back.
    pub held: bool,
    /// When a sleeping node wakes up; `None` while it does not sleep.
    pub sleep_ends: Option<SimTime>,
    /// Number of the last message about it that was accepted; none if that had none.
    pub sequence: Option<Sequence>,
    /// What else the owner of the table keeps.
    pub extra: X,
}

impl<X> Entry<X> {
    fn deadline(&self) -> SimTime {
        self.sleep_ends
            .map_or(self.lifetime_ends, |sleep| sleep.min(self.lifetime_ends))
    }
}

/// How long the number of an entry that is gone is remembered, so that a message from before
/// does not bring it back: EXCHANGE_LIFETIME, after which no copy of one can arrive with the
/// default parameters (RFC 7252 §4.8.2: 247 s).
pub const MEMORY: Duration = Duration::from_secs(247);

/// Entries that are gone of which the numbers are remembered; of one more, what would be forgotten
/// next is forgotten early. It takes 265 ends a second for [`MEMORY`].
pub const MAX_GONE: usize = 1 << 16;

/// The table. Entries expire in the order of their deadlines; nothing is scanned.
#[derive(Clone, Debug)]
pub struct Table<X> {
    /// Slot of every P_Addr in `slots`.
    index: BTreeMap<Ipv6Addr, u32>,
    /// What the index said last: a request wants the entry of its node a dozen times.
    recent: Cell<Option<(Ipv6Addr, Option<u32>)>>,
    slots: Vec<Option<Entry<X>>>,
    /// Slots that are empty.
    free: Vec<u32>,
    /// The deadline of every entry.
    deadlines: BTreeSet<(SimTime, Ipv6Addr)>,
    /// Last numbers of entries that are gone, and until when they are remembered.
    gone: BTreeMap<Ipv6Addr, Sequence>,
    gone_until: Deadlines<Ipv6Addr>,
}

impl<X> Default for Table<X> {
    fn default() -> Table<X> {
        Table::new()
    }
}

impl<X> Table<X> {
    /// An empty table.
    pub const fn new() -> Table<X> {
        Table {
            index: BTreeMap::new(),
            recent: Cell::new(None),
            slots: Vec::new(),
            free: Vec::new(),
            deadlines: BTreeSet::new(),
            gone: BTreeMap::new(),
            gone_until: Deadlines::new(),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The entry of `p_addr`.
    pub fn get(&self, p_addr: Ipv6Addr) -> Option<&Entry<X>> {
        self.slots[self.slot(p_addr)? as usize].as_ref()
    }

    fn slot(&self, p_addr: Ipv6Addr) -> Option<u32> {
        match self.recent.get() {
            Some((recent, slot)) if recent == p_addr => slot,
            _ => {
                let slot = self.index.get(&p_addr).copied();
                self.recent.set(Some((p_addr, slot)));
                slot
            }
        }
    }

    /// Every entry, by P_Addr.
    pub fn iter(&self) -> impl Iterator<Item = (Ipv6Addr, &Entry<X>)> {
        self.range(Bound::Unbounded)
    }

    /// The entries from `start` on, by P_Addr.
    pub fn range(&self, start: Bound<Ipv6Addr>) -> impl Iterator<Item = (Ipv6Addr, &Entry<X>)> {
        (self.index.range((start, Bound::Unbounded)))
            .filter_map(|(p_addr, slot)| Some((*p_addr, self.slots[*slot as usize].as_ref()?)))
    }

    /// Puts an entry back as it was before a restart; it expires when it would have.
    pub fn restore(&mut self, p_addr: Ipv6Addr, entry: Entry<X>) {
        self.gone.remove(&p_addr);
        self.gone_until.clear(p_addr);
        let deadline = entry.deadline();
        let former = self.replace(p_addr, entry);
        self.move_deadline(p_addr, former.map(|former| former.deadline()), deadline);
    }

    /// Writes an entry; returns the one that it replaces.
    fn replace(&mut self, p_addr: Ipv6Addr, entry: Entry<X>) -> Option<Entry<X>> {
        if let Some(slot) = self.slot(p_addr) {
            return self.slots[slot as usize].replace(entry);
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                // 2^32 entries of this size do not fit into any memory.
                let slot = u32::try_from(self.slots.len()).expect("less than 2^32 entries");
                self.slots.push(None);
                slot
            }
        };
        self.index.insert(p_addr, slot);
        self.recent.set(Some((p_addr, Some(slot))));
        self.slots[slot as usize].replace(entry)
    }

    fn move_deadline(&mut self, p_addr: Ipv6Addr, former: Option<SimTime>, deadline: SimTime) {
        if former == Some(deadline) {
            return;
        }
        if let Some(former) = former {
            self.deadlines.remove(&(former, p_addr));
        }
        self.deadlines.insert((deadline, p_addr));
    }

    /// Whether a message about `p_addr` with this number may change the table: any may if the last
    /// one accepted had none. One without a number may not change an entry whose node has said how
    /// it counts: it would undo what protects the entry from old messages.
    ///
    /// # Errors
    /// The number of the last accepted message, if that is not older.
    pub fn check_order(
        &self,
        p_addr: Ipv6Addr,
        sequence: Option<Sequence>,
    ) -> Result<(), Sequence> {
        match (sequence, self.sequence(p_addr)) {
            (Some(sequence), Some(last)) if !sequence.is_newer_than(last) => Err(last),
            (None, Some(last)) if self.get(p_addr).is_some() => Err(last),
            _ => Ok(()),
        }
    }

    /// The number of the last message about `p_addr` that was accepted, for [`MEMORY`] also of
    /// an entry that is gone.
    pub fn sequence(&self, p_addr: Ipv6Addr) -> Option<Sequence> {
        match self.get(p_addr) {
            Some(entry) => entry.sequence,
            None => self.gone.get(&p_addr).copied(),
        }
    }

    /// Stores the number of the message that was accepted about an entry.
    pub fn set_sequence(&mut self, p_addr: Ipv6Addr, sequence: Option<Sequence>) {
        if let Some(entry) = self.get_mut(p_addr) {
            entry.sequence = sequence;
        }
    }

    /// Stores where `p_addr` is, for the first time or again: T_Addr and Lifetime are new,
    /// H_Flag is 0. What [`Entry::extra`] and [`Entry::sequence`] of an existing entry say stays.
    pub fn bind(&mut self, now: SimTime, p_addr: Ipv6Addr, t_addr: Ipv6Addr, lifetime: Lifetime)
    where
        X: Default,
    {
        let lifetime_ends = now + lifetime.duration();
        if let Some(entry) = self.get_mut(p_addr) {
            let former = entry.deadline();
            entry.t_addr = t_addr;
            entry.lifetime_ends = lifetime_ends;
            entry.held = false;
            entry.sleep_ends = None;
            return self.move_deadline(p_addr, Some(former), lifetime_ends);
        }
        let entry = Entry {
            t_addr,
            lifetime_ends,
            held: false,
            sleep_ends: None,
            sequence: None,
            extra: X::default(),
        };
        self.restore(p_addr, entry);
    }

    /// Sets H_Flag, until further notice or for the sleep period. False if `p_addr` is not in
    /// the table.
    pub fn hold(&mut self, now: SimTime, p_addr: Ipv6Addr, sleep: Option<Duration>) -> bool {
        let Some(entry) = self.get_mut(p_addr) else {
            return false;
        };
        let former = entry.deadline();
        entry.held = true;
        entry.sleep_ends = sleep.map(|period| now + period);
        let deadline = entry.deadline();
        self.move_deadline(p_addr, Some(former), deadline);
        true
    }

    /// Sets H_Flag 0 if it is 1 and no sleep period will do so; whether it was.
    pub fn release(&mut self, p_addr: Ipv6Addr) -> bool {
        let held = |entry: &&mut Entry<X>| entry.held && entry.sleep_ends.is_none();
        match self.get_mut(p_addr).filter(held) {
            Some(entry) => std::mem::replace(&mut entry.held, false),
            None => false,
        }
    }

    /// Removes an entry; its number is remembered for [`MEMORY`], if it is among the last
    /// [`MAX_GONE`].
    pub fn remove(&mut self, now: SimTime, p_addr: Ipv6Addr) -> Option<Entry<X>> {
        let entry = self.take(p_addr)?;
        if let Some(sequence) = entry.sequence {
            if self.gone.len() >= MAX_GONE
                && let Some(oldest) = self.gone_until.take_due(SimTime::FAR_FUTURE)
            {
                self.gone.remove(&oldest);
            }
            self.gone.insert(p_addr, sequence);
            self.gone_until.set(p_addr, now + MEMORY);
        }
        Some(entry)
    }

    /// Removes an entry without a trace.
    pub(crate) fn take(&mut self, p_addr: Ipv6Addr) -> Option<Entry<X>> {
        let slot = self.index.remove(&p_addr)?;
        self.recent.set(None);
        self.free.push(slot);
        let entry = self.slots[slot as usize].take()?;
        self.deadlines.remove(&(entry.deadline(), p_addr));
        Some(entry)
    }

    fn get_mut(&mut self, p_addr: Ipv6Addr) -> Option<&mut Entry<X>> {
        let slot = self.slot(p_addr)?;
        self.slots[slot as usize].as_mut()
    }

    /// What only this kind of table keeps about `p_addr`.
    pub(crate) fn extra_mut(&mut self, p_addr: Ipv6Addr) -> Option<&mut X> {
        self.get_mut(p_addr).map(|entry| &mut entry.extra)
    }

    /// When [`Table::expire`] next has something to do.
    pub fn next_deadline(&self) -> Option<SimTime> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Takes one deadline that has come, the earliest first.
    pub fn expire(&mut self, now: SimTime) -> Option<Expired<Ipv6Addr>> {
        self.take_due(now).map(|(expired, _)| expired)
    }

    /// As [`Table::expire`], with the entry that has left.
    pub(crate) fn take_due(
        &mut self,
        now: SimTime,
    ) -> Option<(Expired<Ipv6Addr>, Option<Entry<X>>)> {
        while let Some(forgotten) = self.gone_until.take_due(now) {
            self.gone.remove(&forgotten);
        }
        let &(at, p_addr) = self.deadlines.first()?;
        (at <= now).then(|| self.end(now, p_addr))?
    }

    /// As [`Table::take_due`], of one P_Addr, whatever else is due.
    pub(crate) fn take_due_of(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
    ) -> Option<(Expired<Ipv6Addr>, Option<Entry<X>>)> {
        let at = self.get(p_addr)?.deadline();
        (at <= now).then(|| self.end(now, p_addr))?
    }

    /// Ends what has come to its end of an entry whose deadline has come.
    fn end(
        &mut self,
        now: SimTime,
        p_addr: Ipv6Addr,
    ) -> Option<(Expired<Ipv6Addr>, Option<Entry<X>>)> {
        let entry = self.get_mut(p_addr)?;
        let at = entry.deadline();
        if entry.lifetime_ends <= now {
            return Some((Expired::Lifetime(p_addr), self.remove(now, p_addr)));
        }
        entry.held = false;
        entry.sleep_ends = None;
        let deadline = entry.deadline();
        self.move_deadline(p_addr, Some(at), deadline);
        Some((Expired::Sleep(p_addr), None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const P2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    const T1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    const T2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);

    fn at(seconds: u64) -> SimTime {
        SimTime::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_binding_replaces_the_address_and_ends_the_hold() {
        let mut table = Table::<()>::new();
        table.bind(at(0), P1, T1, Lifetime(10));
        assert!(table.hold(at(1), P1, None));
        table.bind(at(2), P1, T2, Lifetime(10));
        assert_eq!(
            table.get(P1),
            Some(&Entry {
                t_addr: T2,
                lifetime_ends: at(12),
                held: false,
                sleep_ends: None,
                sequence: None,
                extra: ()
            })
        );
        assert_eq!(table.next_deadline(), Some(at(12)));
    }

    #[test]
    fn what_was_looked_up_last_counts_no_longer_than_it_is_true() {
        let mut table = Table::<()>::new();
        let t_addr = |table: &Table<()>, p_addr| table.get(p_addr).map(|entry| entry.t_addr);
        assert_eq!(t_addr(&table, P1), None);
        table.bind(at(0), P1, T1, Lifetime(10));
        assert_eq!(t_addr(&table, P1), Some(T1));
        table.remove(at(0), P1);
        assert_eq!(t_addr(&table, P1), None);
        // In the slot that P1 had.
        table.bind(at(0), P2, T2, Lifetime(10));
        assert_eq!((t_addr(&table, P1), t_addr(&table, P2)), (None, Some(T2)));
    }

    #[test]
    fn a_sleep_ends_before_the_lifetime_does() {
        let mut table = Table::<()>::new();
        assert!(!table.hold(at(0), P1, None), "P1 is not in the table");
        table.bind(at(0), P1, T1, Lifetime(10));
        table.hold(at(1), P1, Some(Duration::from_secs(2)));
        assert_eq!(table.expire(at(2)), None);
        assert_eq!(table.expire(at(3)), Some(Expired::Sleep(P1)));
        assert_eq!(table.expire(at(10)), Some(Expired::Lifetime(P1)));
        assert_eq!(table.iter().count(), 0);
    }

    #[test]
    fn entries_leave_in_the_order_of_their_lifetimes() {
        let mut table = Table::<()>::new();
        table.bind(at(0), P1, T1, Lifetime(20));
        table.bind(at(0), P2, T2, Lifetime(10));
        assert_eq!(table.next_deadline(), Some(at(10)));
        assert_eq!(table.expire(at(9)), None);
        assert_eq!(table.expire(at(30)), Some(Expired::Lifetime(P2)));
        assert_eq!(table.expire(at(30)), Some(Expired::Lifetime(P1)));
        assert_eq!(table.expire(at(30)), None);
        assert_eq!(table.iter().count(), 0);
        assert_eq!(table.next_deadline(), None);
    }

    #[test]
    fn a_sleep_ends_the_hold_but_not_the_entry() {
        let mut table = Table::<()>::new();
        table.bind(at(0), P1, T1, Lifetime(20));
        table.hold(at(1), P1, Some(Duration::from_secs(5)));
        assert_eq!(table.next_deadline(), Some(at(6)));
        assert_eq!(table.expire(at(6)), Some(Expired::Sleep(P1)));
        assert!(!table.get(P1).unwrap().held);
        assert_eq!(table.next_deadline(), Some(at(20)));
    }

    #[test]
    fn a_sleep_longer_than_the_lifetime_ends_with_the_lifetime() {
        let mut table = Table::<()>::new();
        table.bind(at(0), P1, T1, Lifetime(20));
        table.hold(at(1), P1, Some(Duration::from_secs(60)));
        assert_eq!(table.expire(at(20)), Some(Expired::Lifetime(P1)));
    }

    #[test]
    fn the_numbers_of_so_many_entries_that_are_gone_are_remembered_and_no_more() {
        let mut table = Table::<()>::new();
        let p_addr = |n: usize| Ipv6Addr::from(u128::from(P1) + n as u128);
        let known = Some(Sequence(7));
        for n in 0..=MAX_GONE {
            table.bind(at(n as u64), p_addr(n), T1, Lifetime(10));
            table.set_sequence(p_addr(n), known);
            table.remove(at(n as u64), p_addr(n));
        }
        assert_eq!(table.gone.len(), MAX_GONE);
        assert_eq!(table.sequence(p_addr(0)), None);
        assert_eq!(table.sequence(p_addr(1)), known);
        assert_eq!(table.sequence(p_addr(MAX_GONE)), known);
    }

    #[test]
    fn a_table_put_back_after_a_restart_expires_when_it_would_have() {
        let mut before = Table::<()>::new();
        before.bind(at(0), P1, T1, Lifetime(20));
        before.hold(at(1), P1, None);
        let mut after = Table::<()>::new();
        for (p_addr, entry) in before.iter() {
            after.restore(p_addr, *entry);
        }
        assert_eq!(after.get(P1), before.get(P1));
        assert_eq!(after.expire(at(20)), Some(Expired::Lifetime(P1)));
    }
}
