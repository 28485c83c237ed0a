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

use units::SimTime;

use crate::binding::Expired;
use crate::codec::Lifetime;
use crate::limits::{Limit, Limits, Shares, network};
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
    /// nobody has registered. Strangers so displace each other, and no node that the WMMS knows.
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
                let (_, idlest) = known.idlest(|ip| !self.knows(ip));
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
        self.give_share_back(extra.source);
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

    const NEW: Result<Enrolled, Limit> = Ok(Enrolled::New);
    const BEFORE: Result<Enrolled, Limit> = Ok(Enrolled::Before);

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
        assert_eq!(mmt.add_correspondent(P1, client(5683)), NEW);
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
        // Nodes that are registered themselves.
        mmt.bind(at(0), P2, P2, Lifetime(20), P2);
        mmt.bind(at(0), P3, P3, Lifetime(20), P3);
        let on = |ip| SocketAddrV6::new(ip, 5683, 0, 0);
        assert_eq!(mmt.add_correspondent(P1, on(P2)), NEW);
        assert_eq!(mmt.add_correspondent(P1, on(P3)), NEW);
        let full = Err(Limit::CorrespondentsPerNode);
        assert_eq!(mmt.add_correspondent(P1, on(T2)), full);
        assert_eq!(mmt.add_correspondent(P1, on(P2)), BEFORE);
        mmt.remove_correspondent(P1, on(P3));
        assert_eq!(mmt.add_correspondent(P1, on(T2)), NEW);
        let kept = &mmt.get(P1).unwrap().extra.correspondents;
        assert!(kept.iter().eq([on(P2), on(T2)]));
        let unknown = mmt.add_correspondent(T1, on(P2));
        assert_eq!(unknown, Ok(Enrolled::Nowhere));
    }

    #[test]
    fn strangers_displace_who_of_them_asked_longest_ago_and_no_registered_node() {
        let mut mmt = table(Limits {
            correspondents_per_node: 3,
            ..Limits::default()
        });
        mmt.bind(at(0), P2, P2, Lifetime(20), P2);
        let stranger = |n: u16| SocketAddrV6::new(Ipv6Addr::from(n as u128), 5683, 0, 0);
        assert_eq!(mmt.add_correspondent(P1, client(5683)), NEW);
        assert_eq!(mmt.add_correspondent(P1, stranger(1)), NEW);
        assert_eq!(mmt.add_correspondent(P1, stranger(2)), NEW);
        assert_eq!(mmt.add_correspondent(P1, stranger(1)), BEFORE);
        let displaced = |n| Ok(Enrolled::InPlaceOf(stranger(n)));
        assert_eq!(mmt.add_correspondent(P1, stranger(3)), displaced(2));
        for n in 4..1000 {
            let before = if n == 4 { 1 } else { n - 2 };
            assert_eq!(mmt.add_correspondent(P1, stranger(n)), displaced(before));
        }
        let kept = &mmt.get(P1).unwrap().extra.correspondents;
        assert!(kept.contains(client(5683)) && kept.len() == 3);
        assert_eq!(mmt.asked_by(*stranger(5).ip()).len(), 0);
    }

    #[test]
    fn many_ports_of_one_address_are_few_correspondents() {
        let mut mmt = table(Limits::default());
        for port in 0..300 {
            let enrolled = mmt.add_correspondent(P1, client(port));
            let expected = match port.checked_sub(MAX_PORTS as u16) {
                None => Enrolled::New,
                Some(first) => Enrolled::InPlaceOf(client(first)),
            };
            assert_eq!(enrolled, Ok(expected));
        }
        let kept = &mmt.get(P1).unwrap().extra.correspondents;
        assert_eq!(kept.len(), MAX_PORTS);
        assert_eq!(mmt.asked.count(P2), MAX_PORTS);
    }

    #[test]
    fn the_discoveries_of_a_source_are_bounded_over_all_nodes() {
        let mut mmt = table(Limits {
            discoveries_per_source: 1,
            ..Limits::default()
        });
        mmt.bind(at(0), P3, T2, Lifetime(20), T2);
        assert_eq!(mmt.add_correspondent(P1, client(1)), NEW);
        let much = Err(Limit::DiscoveriesPerSource);
        assert_eq!(mmt.add_correspondent(P3, client(2)), much, "another port");
        let other = SocketAddrV6::new(T2, 1, 0, 0);
        assert_eq!(mmt.add_correspondent(P3, other), NEW, "another source");
        mmt.remove(at(0), P1);
        assert_eq!(mmt.add_correspondent(P3, client(2)), NEW);
    }

    #[test]
    fn one_network_has_a_quarter_of_the_table_however_many_addresses_it_has() {
        let mut mmt = Mmt::new(Limits {
            entries: 8,
            entries_per_source: 1,
            ..Limits::default()
        });
        let host = |net: u16, n: u16| Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, n);
        let mut join = |net, n| {
            let admitted = mmt.admits(host(net, n), host(net, n));
            if admitted.is_ok() {
                mmt.bind(
                    at(0),
                    host(net, n),
                    host(net, n),
                    Lifetime(20),
                    host(net, n),
                );
            }
            admitted
        };
        assert_eq!((join(1, 1), join(1, 2)), (Ok(()), Ok(())));
        assert_eq!(join(1, 3), Err(Limit::EntriesPerNetwork));
        assert_eq!(join(2, 1), Ok(()));
        assert_eq!(join(1, 2), Ok(()), "known");
        assert_eq!(mmt.expire(at(20)), Some(Expired::Lifetime(host(1, 1))));
        assert_eq!(mmt.admits(host(1, 3), host(1, 3)), Ok(()));
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
        assert_eq!(mmt.add_correspondent(P3, here), NEW);
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
            |mmt| assert_eq!(mmt.add_correspondent(P1, client(0)), NEW),
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
