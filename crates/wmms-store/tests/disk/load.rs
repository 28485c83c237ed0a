//! A load of updates on a store, and what is in the store after each group of them.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::path::Path;
use std::time::Duration;

use comp::Limits;
use comp::codec::Lifetime;
use comp::mmt::{Entry, Mmt};
use units::{Rng, SimTime};
use wmms_store::{Journal, JournalError, Store, Writer};

use crate::disk::{DATABASE, Disk, MARK, below};

/// What a table holds.
pub type Contents = BTreeMap<Ipv6Addr, Entry>;

/// Whose entries are updated.
const NODES: usize = 48;
/// Changes of a group at most.
const GROUP: usize = 8;
/// Groups between two restarts.
const LIFE: usize = 60;

pub fn p(n: usize) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n as u16)
}

fn t(n: usize) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, (n >> 16) as u16, n as u16)
}

pub fn contents(table: &Mmt) -> Contents {
    table.iter().map(|(p, entry)| (p, entry.clone())).collect()
}

/// Opens the store on `disk` and reads its table.
pub fn open(disk: &Disk) -> Result<(Journal, Mmt), JournalError> {
    let (database, mark) = (disk.file(DATABASE), disk.file(MARK));
    let mut journal = Journal::open_on(Path::new("wmms.redb"), database, mark)?;
    let mut table = Mmt::new(Limits::default());
    journal.load(&mut table)?;
    Ok((journal, table))
}

pub fn commit(journal: &mut Journal, table: &mut Mmt) -> Result<(), JournalError> {
    let changes = table.take_changes();
    let group = journal.group(table, &changes);
    journal.writer().commit(group)
}

/// One update of a random node: registrations and bindings, some holds, correspondents and ends.
pub fn update(table: &mut Mmt, number: usize, rng: &mut Rng) {
    let (node, now) = (below(rng, NODES), SimTime::from_nanos(number as u64));
    let source = t(below(rng, NODES));
    match below(rng, 12) {
        0 => drop(table.remove(now, p(node))),
        1 => drop(table.hold(now, p(node), Some(Duration::from_secs(number as u64)))),
        2 => drop(table.add_correspondent(p(node), SocketAddrV6::new(source, 5683, 0, 0))),
        _ => table.bind(now, p(node), t(number), Lifetime(600), source),
    }
}

/// A load of `updates` on the store that `open` opens, in groups, with restarts in between. Gives
/// the journal of the last life, and what the table held after each group, from the empty one on;
/// `acknowledged` hears of each.
pub fn run(
    open: impl Fn() -> (Journal, Mmt),
    updates: usize,
    rng: &mut Rng,
    mut acknowledged: impl FnMut(usize),
) -> (Journal, Vec<Contents>) {
    let mut states = vec![Contents::new()];
    let (mut journal, mut table) = open();
    let mut number = 0;
    while number < updates {
        for _ in 0..=below(rng, GROUP) {
            number += 1;
            update(&mut table, number, rng);
        }
        if !table.has_changes() {
            continue;
        }
        commit(&mut journal, &mut table).unwrap();
        states.push(contents(&table));
        acknowledged(states.len() - 1);
        if states.len().is_multiple_of(LIFE) {
            drop(journal);
            (journal, table) = open();
        }
    }
    (journal, states)
}

/// [`run`] on a disk in memory.
pub fn run_on(disk: &Disk, updates: usize, rng: &mut Rng) -> (Journal, Vec<Contents>) {
    let acknowledged = |groups| disk.acknowledge(groups);
    run(|| open(disk).unwrap(), updates, rng, acknowledged)
}
